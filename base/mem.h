/*
 * Memory. The xmalloc family is for small sizes of our own choosing: it never returns NULL (the
 * process stops when 200 bytes are not to be had). Sizes that come from a peer, a file or an RPC
 * caller go through try_alloc, which reports failure.
 *
 * An arena hands out many small pieces that die together; it is not thread safe.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* p, for what a library allocates: NULL stops the process as xmalloc does. */
void *xcheck(void *p);

/* count*size uninitialised bytes, or NULL when the product overflows or memory is short. */
void *try_alloc(size_t count, size_t size);
/* The same, zero; pages that are never touched cost nothing. */
void *try_calloc(size_t count, size_t size);
void *try_realloc(void *p, size_t count, size_t size);
/* What a piece of this size takes from the system with the allocator's own bytes; for budgets. */
size_t mem_cost(size_t size);

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *next, *end;        /* free part of the newest chunk */
    size_t total;               /* bytes taken from the system */
};

void arena_init(struct arena *a);
/* Frees everything. */
void arena_clear(struct arena *a);
/* Forgets everything but keeps the largest chunk for reuse. */
void arena_reset(struct arena *a);
/* Aligned to 16 bytes; NULL only when memory is short or the product overflows. */
void *arena_alloc(struct arena *a, size_t count, size_t size);

#endif
