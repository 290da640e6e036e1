/*
 * Priority queue of pointers: a binary heap whose items know their place in it, so that any of them
 * can leave or move. The first item is the one that comes before all others; equal ones must be
 * told apart by the caller's order when the order is to be stable. The heap owns no item. One
 * thread, or the caller's lock.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#define HEAP_NOWHERE SIZE_MAX

/* Whether a must come out earlier than b. */
typedef bool (*heap_before_fn)(const void *a, const void *b);

struct heap {
    void **items;
    size_t n, cap;
    heap_before_fn before;
    size_t place; /* offset in an item of its size_t: where it stands; HEAP_NOWHERE outside */
};

void heap_init(struct heap *h, heap_before_fn before, size_t place);
void heap_clear(struct heap *h); /* the heap's memory; items are the owner's, their places stay */
/* The item is in no place yet. Needs memory for 8 to 16 bytes an item. */
void heap_push(struct heap *h, void *item);
void *heap_first(const struct heap *h); /* NULL when it is empty */
void *heap_pop(struct heap *h);         /* the same, taken out */
bool heap_has(const struct heap *h, const void *item);
void heap_remove(struct heap *h, void *item); /* it is in */
void heap_moved(struct heap *h, void *item);  /* its order changed, it is in */

#endif
