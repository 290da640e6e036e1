#include <config.h> /* not base/config.h */

#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"

#define ARENA_ALIGN 16
#define ARENA_CHUNK_MIN 1024
#define ARENA_CHUNK_MAX (1u << 20) /* growth stops here; larger pieces get a chunk of their own */

/* Nothing may be allocated here any more, so not even the logger is called. */
static _Noreturn void out_of_memory(void)
{
    fputs("out of memory\n", stderr);
    abort();
}

void *xcheck(void *p)
{
    if (!p)
        out_of_memory();
    return p;
}

void *xmalloc(size_t size)
{
    return xcheck(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return xcheck(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return xcheck(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = (char *)xmalloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *xasprintf(const char *fmt, ...)
{
    char *s;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (len < 0)
        out_of_memory(); /* the only failure left for a format of our own */
    return s;
}

void *try_alloc(size_t count, size_t size)
{
    return try_realloc(NULL, count, size);
}

void *try_calloc(size_t count, size_t size)
{
    size_t total;
    if (!mul_size(count, size, &total) || total > PTRDIFF_MAX)
        return NULL;
    return calloc(1, total ? total : 1);
}

void *try_realloc(void *p, size_t count, size_t size)
{
    size_t total;
    if (!mul_size(count, size, &total) || total > PTRDIFF_MAX)
        return NULL;
    return realloc(p, total ? total : 1);
}

/* The C library puts a word before each piece and rounds to 16 bytes; large ones are whole
 * pages. */
size_t mem_cost(size_t size)
{
    enum { WORD = 8, ALIGN = 16, LEAST = 32, LARGE = 128 << 10, PAGE = 4096 };
    if (size >= LARGE)
        return (size + 2 * WORD + PAGE - 1) & ~(size_t)(PAGE - 1);
    const size_t cost = (size + WORD + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    return MAX_OF(cost, LEAST);
}

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of the data that follows */
    _Alignas(ARENA_ALIGN) uint8_t data[];
};

void arena_init(struct arena *a)
{
    *a = (struct arena){ 0 };
}

void arena_clear(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *older; c; c = older) {
        older = c->older;
        free(c);
    }
    arena_init(a);
}

static struct arena_chunk *take_largest_chunk(struct arena *a)
{
    struct arena_chunk **best = &a->chunks;
    for (struct arena_chunk **c = &a->chunks; *c; c = &(*c)->older)
        if ((*c)->size > (*best)->size)
            best = c;
    struct arena_chunk *kept = *best;
    if (kept)
        *best = kept->older;
    return kept;
}

static void use_chunk(struct arena *a, struct arena_chunk *c)
{
    c->older = a->chunks;
    a->chunks = c;
    a->next = c->data;
    a->end = c->data + c->size;
    a->total += sizeof *c + c->size;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *kept = take_largest_chunk(a);
    arena_clear(a);
    if (kept)
        use_chunk(a, kept);
}

static bool arena_grow(struct arena *a, size_t need)
{
    /* Twice what there is, so that the number of chunks stays logarithmic. */
    size_t size = MIN_OF(MAX_OF(a->total, ARENA_CHUNK_MIN), ARENA_CHUNK_MAX);
    size = MAX_OF(size, need);
    struct arena_chunk *c = (struct arena_chunk *)malloc(sizeof *c + size);
    if (!c)
        return false;
    c->size = size;
    use_chunk(a, c);
    return true;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (!mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX - 4096)
        return NULL;
    bytes = bytes ? (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
    if (bytes > (size_t)(a->end - a->next) && !arena_grow(a, bytes))
        return NULL;
    void *p = a->next;
    a->next += bytes;
    return p;
}
