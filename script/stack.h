/*
 * The stacks of one script evaluation, counted in bytes (spec consensus 4.4): every element costs
 * its length plus 32, both stacks draw on one budget, and growth is refused before it happens.
 *
 * An element of up to STACK_INLINE bytes lives in its slot. A longer one is either borrowed (a
 * push: its bytes stay in the script, which outlives the evaluation) or heap memory. Nothing else
 * shares memory, so writing goes through stack_own. One thread.
 *
 * Functions that can grow return SCRIPT_OK, SCRIPT_ERR_STACK_SIZE or SCRIPT_ERR_NOMEM. Depths count
 * from the top, 0 being the top; the caller has checked that the element exists.
 */
#ifndef SCRIPT_STACK_H
#define SCRIPT_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "script/error.h"

#define STACK_INLINE 40
#define STACK_ELEMENT_OVERHEAD 32
#define STACK_FIRST_ITEMS 8

struct stack_item {
    size_t len;
    uint8_t *ptr; /* valid when len > STACK_INLINE */
    size_t cap;   /* of heap memory at ptr; 0: borrowed */
    uint8_t small[STACK_INLINE];
};

struct stack_budget {
    uint64_t used;
    uint64_t limit;
};

struct stack {
    struct stack_item *item; /* [0] is the bottom */
    size_t n;
    size_t cap;
    struct stack_budget *budget; /* shared by main and alternate stack */
    struct stack_item first[STACK_FIRST_ITEMS];
};

void stack_init(struct stack *s, struct stack_budget *budget);
/* Frees; what the elements cost stays on the budget (spec 4.4, last sentences). */
void stack_clear(struct stack *s);

static inline struct stack_item *stack_at(struct stack *s, size_t depth)
{
    return &s->item[s->n - 1 - depth];
}
static inline const uint8_t *stack_item_data(const struct stack_item *it)
{
    return it->len <= STACK_INLINE ? it->small : it->ptr;
}
static inline struct span stack_item_span(const struct stack_item *it)
{
    return span_of(stack_item_data(it), it->len);
}
static inline struct span stack_span(struct stack *s, size_t depth)
{
    return stack_item_span(stack_at(s, depth));
}

enum script_err stack_push_borrowed(struct stack *s, struct span bytes);
enum script_err stack_push_copy(struct stack *s, const void *data, size_t len);
/* Pushes len uninitialised bytes and tells where they are. */
enum script_err stack_push_space(struct stack *s, size_t len, uint8_t **space);
enum script_err stack_push_bool(struct stack *s, bool v);
enum script_err stack_push_i64(struct stack *s, int64_t v);
enum script_err stack_dup(struct stack *s, size_t depth); /* a copy of that element on top */

void stack_pop(struct stack *s);
void stack_pop_n(struct stack *s, size_t n);
void stack_remove(struct stack *s, size_t depth);
void stack_swap(struct stack *s, size_t depth_a, size_t depth_b);
void stack_raise(struct stack *s, size_t depth); /* to the top, the others move down */
/* Top of `from` to the top of `to`; costs nothing. */
enum script_err stack_move_top(struct stack *to, struct stack *from);
/* A deep copy that charges the budget `s` was initialised with. s is empty. */
enum script_err stack_copy(struct stack *s, const struct stack *from);

/* Writable bytes of an element (NULL: out of memory). */
uint8_t *stack_own(struct stack_item *it);
/* Grows an element to len bytes, the new ones uninitialised; *data is writable. */
enum script_err stack_grow(struct stack *s, size_t depth, size_t len, uint8_t **data);
/* Keeps len bytes from offset on. */
void stack_shrink(struct stack *s, size_t depth, size_t offset, size_t len);

/* False: empty, all zero, or all zero but a final 80. */
bool script_bytes_true(struct span bytes);

#endif
