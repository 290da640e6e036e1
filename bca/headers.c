/*
 * A block that is not in the list is not on this chain when the list shows so: another block
 * follows its parent there; or the list begins with the first block of all, and the block's time is
 * not later than the median that blocks after the tip must exceed. Else it may lie before the list
 * or after it.
 */
#include "bca/headers.h"

#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/mem.h"

#define PREV_OFFSET 4
#define TIME_OFFSET 68
#define MEDIAN_SPAN 11

struct bca_headers {
    struct span list;
    size_t n;
    uint32_t median_time; /* of the last headers */
    struct block_hash hash[];
};

static const uint8_t *header_at(const struct bca_headers *h, size_t i)
{
    return h->list.data + BLOCK_HEADER_SIZE * i;
}

static enum err check_headers(struct bca_headers *h, const struct bca_rules *rules, struct error *e)
{
    for (size_t i = 0; i < h->n; i++) {
        struct bca_work work;
        bca_work_read(header_at(h, i), &work);
        if (!bca_work_meets_target(&work, rules))
            return error_set(e, ERR_PARSE, "header %zu of the list has no proof of work for %s", i,
                             rules->name);
        if (i && !mem_equal_var(header_at(h, i) + PREV_OFFSET, h->hash[i - 1].b, 32))
            return error_set(e, ERR_PARSE, "header %zu of the list does not follow the one before",
                             i);
        h->hash[i] = work.hash;
    }
    return OK;
}

static int compare_times(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t median_time(const struct bca_headers *h)
{
    uint32_t times[MEDIAN_SPAN];
    size_t n = 0;
    for (size_t i = h->n; i > 0 && n < MEDIAN_SPAN; i--)
        times[n++] = le32_get(header_at(h, i - 1) + TIME_OFFSET);
    qsort(times, n, sizeof times[0], compare_times);
    return times[n / 2];
}

struct bca_headers *bca_headers_new(struct span list, const struct bca_rules *rules,
                                    struct error *e)
{
    const size_t n = list.len / BLOCK_HEADER_SIZE;
    if (!n || list.len % BLOCK_HEADER_SIZE) {
        error_set(e, ERR_PARSE, "%zu bytes are no list of headers of 80 bytes", list.len);
        return NULL;
    }
    /* A hash is shorter than its header, so the sum cannot overflow. */
    struct bca_headers *h = try_alloc(sizeof *h + n * sizeof h->hash[0], 1);
    if (!h) {
        error_set(e, ERR_NOMEM, "no memory for %zu headers", n);
        return NULL;
    }
    h->list = list;
    h->n = n;
    h->median_time = median_time(h);
    if (check_headers(h, rules, e)) {
        free(h);
        return NULL;
    }
    return h;
}

void bca_headers_free(struct bca_headers *h)
{
    free(h);
}

/* Position from the end, 1 for the tip; 0 when the list has no such block. */
static size_t depth_of(const struct bca_headers *h, const uint8_t hash[32])
{
    for (size_t i = h->n; i > 0; i--)
        if (mem_equal_var(h->hash[i - 1].b, hash, 32))
            return h->n - i + 1;
    return 0;
}

enum bca_place bca_headers_find(void *headers, const uint8_t header[80],
                                const struct block_hash *hash, uint64_t *confirmations)
{
    const struct bca_headers *h = (const struct bca_headers *)headers;
    *confirmations = depth_of(h, hash->b);
    if (*confirmations)
        return BCA_PLACE_ACTIVE;
    if (depth_of(h, header + PREV_OFFSET) > 1)
        return BCA_PLACE_NOT_ACTIVE;
    const bool whole = hash_is_zero(header_at(h, 0) + PREV_OFFSET);
    const bool old = le32_get(header + TIME_OFFSET) <= h->median_time;
    return whole && old ? BCA_PLACE_NOT_ACTIVE : BCA_PLACE_UNKNOWN;
}
