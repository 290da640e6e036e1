#include "base/heap.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

void heap_init(struct heap *h, heap_before_fn before, size_t place)
{
    *h = (struct heap){ .before = before, .place = place };
}

void heap_clear(struct heap *h)
{
    free(h->items);
    heap_init(h, h->before, h->place);
}

static size_t *place_of(const struct heap *h, void *item)
{
    return (size_t *)(void *)((char *)item + h->place);
}

static void put(struct heap *h, size_t i, void *item)
{
    h->items[i] = item;
    *place_of(h, item) = i;
}

/* The item, whose slot i is, goes towards the root as far as it must. */
static size_t rise(struct heap *h, size_t i, void *item)
{
    while (i > 0 && h->before(item, h->items[(i - 1) / 2])) {
        put(h, i, h->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, item);
    return i;
}

static void sink(struct heap *h, size_t i, void *item)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->before(h->items[child + 1], h->items[child]))
            child++;
        if (!h->before(h->items[child], item))
            break;
        put(h, i, h->items[child]);
        i = child;
    }
    put(h, i, item);
}

void heap_push(struct heap *h, void *item)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 16;
        h->items = (void **)xrealloc(h->items, h->cap * sizeof(*h->items));
    }
    rise(h, h->n++, item);
}

void *heap_first(const struct heap *h)
{
    return h->n ? h->items[0] : NULL;
}

void *heap_pop(struct heap *h)
{
    void *item = heap_first(h);
    if (item)
        heap_remove(h, item);
    return item;
}

bool heap_has(const struct heap *h, const void *item)
{
    return *(const size_t *)(const void *)((const char *)item + h->place) != HEAP_NOWHERE;
}

static void give_memory_back(struct heap *h)
{
    if (h->cap > 16 && h->n < h->cap / 4) {
        h->cap /= 2;
        h->items = (void **)xrealloc(h->items, h->cap * sizeof(*h->items));
    }
}

void heap_remove(struct heap *h, void *item)
{
    const size_t i = *place_of(h, item);
    void *last = h->items[--h->n];
    *place_of(h, item) = HEAP_NOWHERE;
    if (last != item)
        sink(h, rise(h, i, last), last);
    give_memory_back(h);
}

void heap_moved(struct heap *h, void *item)
{
    sink(h, rise(h, *place_of(h, item), item), item);
}
