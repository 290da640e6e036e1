#include "script/stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "script/num.h"

static uint64_t cost_of(size_t len)
{
    return (uint64_t)len + STACK_ELEMENT_OVERHEAD;
}

static enum script_err charge(struct stack *s, uint64_t more)
{
    struct stack_budget *b = s->budget;

    /* used is at most limit, so the difference does not wrap */
    if (more > b->limit - b->used)
        return SCRIPT_ERR_STACK_SIZE;
    b->used += more;
    return SCRIPT_OK;
}

void stack_init(struct stack *s, struct stack_budget *budget)
{
    s->item = s->first;
    s->n = 0;
    s->cap = STACK_FIRST_ITEMS;
    s->budget = budget;
}

static bool is_heap(const struct stack_item *it)
{
    return it->len > STACK_INLINE && it->cap > 0;
}

static void item_free(struct stack_item *it)
{
    if (is_heap(it))
        free(it->ptr);
}

void stack_clear(struct stack *s)
{
    for (size_t i = 0; i < s->n; i++)
        item_free(&s->item[i]);
    if (s->item != s->first)
        free(s->item);
    stack_init(s, s->budget);
}

/* Room for one more slot. */
static enum script_err reserve(struct stack *s)
{
    struct stack_item *more;

    if (s->n < s->cap)
        return SCRIPT_OK;
    if (s->item == s->first) {
        more = (struct stack_item *)try_alloc(4 * s->cap, sizeof(*more));
        if (more)
            memcpy(more, s->first, sizeof(s->first));
    } else {
        more = (struct stack_item *)try_realloc(s->item, 2 * s->cap, sizeof(*more));
    }
    if (!more)
        return SCRIPT_ERR_NOMEM;
    s->cap = s->item == s->first ? 4 * s->cap : 2 * s->cap;
    s->item = more;
    return SCRIPT_OK;
}

/* A charged slot for len bytes on top, not filled. */
static enum script_err push_slot(struct stack *s, size_t len, struct stack_item **it)
{
    enum script_err err = reserve(s);

    if (!err)
        err = charge(s, cost_of(len));
    if (err)
        return err;
    *it = &s->item[s->n++];
    (*it)->len = len;
    (*it)->cap = 0;
    return SCRIPT_OK;
}

enum script_err stack_push_borrowed(struct stack *s, struct span bytes)
{
    struct stack_item *it;
    enum script_err err = push_slot(s, bytes.len, &it);

    if (err)
        return err;
    if (bytes.len > STACK_INLINE)
        it->ptr = (uint8_t *)bytes.data; /* never written: stack_own copies first */
    else if (bytes.len > 0)
        memcpy(it->small, bytes.data, bytes.len);
    return SCRIPT_OK;
}

enum script_err stack_push_space(struct stack *s, size_t len, uint8_t **space)
{
    struct stack_item *it;
    enum script_err err = push_slot(s, len, &it);

    if (err)
        return err;
    if (len <= STACK_INLINE) {
        *space = it->small;
        return SCRIPT_OK;
    }
    it->ptr = (uint8_t *)try_alloc(len, 1);
    if (!it->ptr) {
        s->n--;
        s->budget->used -= cost_of(len);
        return SCRIPT_ERR_NOMEM;
    }
    it->cap = len;
    *space = it->ptr;
    return SCRIPT_OK;
}

enum script_err stack_push_copy(struct stack *s, const void *data, size_t len)
{
    uint8_t *space;
    enum script_err err = stack_push_space(s, len, &space);

    if (!err && len > 0)
        memcpy(space, data, len);
    return err;
}

enum script_err stack_push_bool(struct stack *s, bool v)
{
    return stack_push_copy(s, "\x01", v ? 1 : 0);
}

enum script_err stack_push_i64(struct stack *s, int64_t v)
{
    uint8_t bytes[9];

    return stack_push_copy(s, bytes, num_encode_i64(bytes, v));
}

enum script_err stack_dup(struct stack *s, size_t depth)
{
    enum script_err err = reserve(s); /* before looking: it may move the slots */

    if (err)
        return err;
    const struct stack_item *it = stack_at(s, depth);
    if (is_heap(it))
        return stack_push_copy(s, it->ptr, it->len);
    return stack_push_borrowed(s, stack_item_span(it));
}

void stack_pop(struct stack *s)
{
    struct stack_item *it = &s->item[--s->n];

    s->budget->used -= cost_of(it->len);
    item_free(it);
}

void stack_pop_n(struct stack *s, size_t n)
{
    while (n-- > 0)
        stack_pop(s);
}

void stack_raise(struct stack *s, size_t depth)
{
    struct stack_item *it = stack_at(s, depth);
    struct stack_item raised = *it;

    memmove(it, it + 1, depth * sizeof(*it));
    s->item[s->n - 1] = raised;
}

void stack_remove(struct stack *s, size_t depth)
{
    stack_raise(s, depth);
    stack_pop(s);
}

void stack_swap(struct stack *s, size_t depth_a, size_t depth_b)
{
    struct stack_item *a = stack_at(s, depth_a), *b = stack_at(s, depth_b);
    struct stack_item t = *a;

    *a = *b;
    *b = t;
}

enum script_err stack_move_top(struct stack *to, struct stack *from)
{
    enum script_err err = reserve(to);

    if (!err)
        to->item[to->n++] = from->item[--from->n];
    return err;
}

enum script_err stack_copy(struct stack *s, const struct stack *from)
{
    enum script_err err = SCRIPT_OK;

    for (size_t i = 0; i < from->n && !err; i++) {
        const struct stack_item *it = &from->item[i];
        if (is_heap(it))
            err = stack_push_copy(s, it->ptr, it->len);
        else
            err = stack_push_borrowed(s, stack_item_span(it));
    }
    return err;
}

uint8_t *stack_own(struct stack_item *it)
{
    if (it->len <= STACK_INLINE)
        return it->small;
    if (it->cap == 0) {
        uint8_t *copy = (uint8_t *)try_alloc(it->len, 1);
        if (!copy)
            return NULL;
        memcpy(copy, it->ptr, it->len);
        it->ptr = copy;
        it->cap = it->len;
    }
    return it->ptr;
}

/* Heap memory for len bytes that begins with what the element holds. */
static uint8_t *grow_heap(struct stack_item *it, size_t len)
{
    uint8_t *grown;

    if (is_heap(it))
        return (uint8_t *)try_realloc(it->ptr, len, 1);
    grown = (uint8_t *)try_alloc(len, 1);
    if (grown && it->len > 0)
        memcpy(grown, stack_item_data(it), it->len);
    return grown;
}

enum script_err stack_grow(struct stack *s, size_t depth, size_t len, uint8_t **data)
{
    struct stack_item *it = stack_at(s, depth);
    enum script_err err = charge(s, len - it->len);

    if (err)
        return err;
    if (len <= STACK_INLINE) {
        *data = it->small;
    } else if (is_heap(it) && it->cap >= len) {
        *data = it->ptr;
    } else {
        uint8_t *grown = grow_heap(it, len);
        if (!grown) {
            s->budget->used -= len - it->len;
            return SCRIPT_ERR_NOMEM;
        }
        it->ptr = grown;
        it->cap = len;
        *data = grown;
    }
    it->len = len;
    return SCRIPT_OK;
}

/* Memory that is not counted any more must not stay: a script could collect it. */
static void give_back(struct stack_item *it)
{
    uint8_t *less = (uint8_t *)try_realloc(it->ptr, it->len, 1);

    if (less) {
        it->ptr = less;
        it->cap = it->len;
    }
}

void stack_shrink(struct stack *s, size_t depth, size_t offset, size_t len)
{
    struct stack_item *it = stack_at(s, depth);
    uint8_t *old = it->ptr;
    bool heap = is_heap(it);

    s->budget->used -= it->len - len;
    if (len <= STACK_INLINE) {
        memmove(it->small, stack_item_data(it) + offset, len);
        it->len = len;
        if (heap)
            free(old);
        return;
    }
    it->len = len;
    if (!heap) {
        it->ptr += offset;
        return;
    }
    memmove(it->ptr, it->ptr + offset, len);
    if (len <= it->cap / 2)
        give_back(it);
}

bool script_bytes_true(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != 0)
            return i + 1 < bytes.len || bytes.data[i] != 0x80;
    return false;
}
