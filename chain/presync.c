/*
 * Pass 1 judges each header in full with a window of the last PRESYNC_WINDOW ones, which is as far
 * as any difficulty rule looks back; the window's nodes chain back to the real node they build on,
 * so the rules of header_check.c apply unchanged. The length of the chain is bounded too: median
 * time must rise, and may not pass the clock by more than two hours.
 */
#include "chain/presync.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/header_check.h"
#include "chain/locator.h"
#include "chain/pow.h"

#define PRESYNC_WINDOW 2048
_Static_assert(PRESYNC_WINDOW > 2016 + 11, "the retarget and a median before it fit");

struct presync {
    struct header_index *idx;
    const struct chain_params *params;
    struct header_node *start;
    struct u256 needed;
    enum presync_state state;
    struct siphash_key key;
    unsigned phase; /* committed to: heights with this rest by PRESYNC_COMMIT_EVERY; secret */

    struct header_node *window; /* ring by height; pass 1 */
    struct header_node *last;   /* in the window, or start; pass 1 */
    struct buf bits;            /* one commitment a byte: at most 1 for 600 headers */
    struct pow_bits pow;        /* of the header before */

    /* Pass 2. */
    struct block_hash seen;
    int32_t seen_height;
    struct u256 seen_work;
    size_t bits_used;
    struct block_header *held; /* matched and not handed out yet */
    size_t n_held, held_cap, handed; /* handed: how many at the front went out with the last call */
};

struct presync *presync_new(struct header_index *idx, struct header_node *start,
                            const struct u256 *needed)
{
    struct presync *p = xcalloc(1, sizeof(*p));
    p->idx = idx;
    p->params = header_index_params(idx);
    p->start = p->last = start;
    p->needed = *needed;
    rand_bytes(&p->key, sizeof(p->key));
    p->phase = (unsigned)rand_below(PRESYNC_COMMIT_EVERY);
    p->window = xcalloc(PRESYNC_WINDOW, sizeof(*p->window));
    buf_init(&p->bits);
    return p;
}

void presync_free(struct presync *p)
{
    if (!p)
        return;
    free(p->window);
    free(p->held);
    buf_clear(&p->bits);
    free(p);
}

enum presync_state presync_get_state(const struct presync *p)
{
    return p->state;
}

size_t presync_memory_bytes(const struct presync *p)
{
    return sizeof(*p) + (p->window ? PRESYNC_WINDOW * sizeof(*p->window) : 0) + p->bits.cap +
           p->held_cap * sizeof(*p->held);
}

int32_t presync_height(const struct presync *p)
{
    return p->state == PRESYNC_WORK ? p->last->height : p->seen_height;
}

static bool refuse(struct presync *p, struct verdict *v, unsigned score, const char *reason)
{
    p->state = PRESYNC_FAILED;
    return verdict_set(v, REJECT_INVALID, score, reason);
}

static bool committed_height(const struct presync *p, int32_t height)
{
    return (unsigned)height % PRESYNC_COMMIT_EVERY == p->phase;
}

static uint8_t commitment(const struct presync *p, const struct block_hash *hash)
{
    return siphash_32(&p->key, hash->b) & 1;
}

/* --- pass 1 --- */

static struct header_node *window_slot(struct presync *p, int32_t height)
{
    return &p->window[height % PRESYNC_WINDOW];
}

/* The slot's old node goes; the one after it loses its way back. p->pow is of h. */
static void window_push(struct presync *p, const struct block_header *h,
                        const struct block_hash *hash)
{
    const int32_t height = p->last->height + 1;
    if (height - PRESYNC_WINDOW > p->start->height)
        window_slot(p, height + 1)->prev = NULL;
    struct header_node *node = window_slot(p, height);
    *node = (struct header_node){
        .hash = *hash,
        .prev = p->last,
        .height = height,
        .version = h->version,
        .time = h->time,
        .bits = h->bits,
        .max_time = MAX_OF(p->last->max_time, h->time),
        .work = u256_add(&p->last->work, &p->pow.work),
    };
    p->last = node;
}

static const struct pow_bits *bits_of(struct presync *p, const struct block_header *h)
{
    if (p->pow.bits != h->bits)
        pow_bits_init(&p->pow, p->params, h->bits);
    return &p->pow;
}

static bool feed_work(struct presync *p, const struct block_header *h, int64_t now,
                      struct verdict *v)
{
    struct block_hash hash;
    block_header_hash(&hash, h);
    if (!block_hash_equal(&h->prev, &p->last->hash))
        return refuse(p, v, 20, "non-contiguous headers");
    if (!header_check_pow(bits_of(p, h), &hash, v) ||
        !header_check_context(p->params, p->last, h, now, v)) {
        p->state = PRESYNC_FAILED;
        return false;
    }
    window_push(p, h, &hash);
    if (committed_height(p, p->last->height))
        buf_put_u8(&p->bits, commitment(p, &hash));
    return true;
}

static void begin_redownload(struct presync *p)
{
    p->state = PRESYNC_REDOWNLOAD;
    p->seen = p->start->hash;
    p->seen_height = p->start->height;
    p->seen_work = p->start->work;
    p->last = p->start;
    free(p->window);
    p->window = NULL;
}

static bool feed_pass1(struct presync *p, const struct block_header *h, size_t n, bool full,
                       struct verdict *v)
{
    const int64_t now = clock_now();
    for (size_t i = 0; i < n; i++) {
        if (!feed_work(p, &h[i], now, v))
            return false;
        if (u256_cmp(&p->last->work, &p->needed) >= 0) {
            begin_redownload(p);
            return true;
        }
    }
    return full || refuse(p, v, 0, "low-work-headers");
}

/* --- pass 2 --- */

static bool feed_again(struct presync *p, const struct block_header *h, struct verdict *v)
{
    struct block_hash hash;
    block_header_hash(&hash, h);
    if (!block_hash_equal(&h->prev, &p->seen) || !pow_bits_met(bits_of(p, h), &hash))
        return refuse(p, v, 20, "non-contiguous headers");
    /* The first pass ended with the header that reached the work; its message may go on past it. */
    const bool shown_before = u256_cmp(&p->seen_work, &p->needed) < 0;
    p->seen = hash;
    p->seen_height++;
    p->seen_work = u256_add(&p->seen_work, &p->pow.work);
    if (shown_before && committed_height(p, p->seen_height) &&
        (p->bits_used >= p->bits.len || p->bits.data[p->bits_used++] != commitment(p, &hash)))
        return refuse(p, v, 100, "headers differ from those shown before");
    p->held[p->n_held++] = *h;
    return true;
}

static void drop_handed(struct presync *p)
{
    if (p->handed == 0)
        return; /* nothing may have been held at all */
    memmove(p->held, p->held + p->handed, (p->n_held - p->handed) * sizeof(*p->held));
    p->n_held -= p->handed;
    p->handed = 0;
}

static bool feed_pass2(struct presync *p, const struct block_header *h, size_t n, bool full,
                       struct verdict *v)
{
    drop_handed(p);
    if (p->n_held + n > p->held_cap) {
        p->held_cap = p->n_held + n;
        p->held = xrealloc(p->held, p->held_cap * sizeof(*p->held));
    }
    for (size_t i = 0; i < n; i++)
        if (!feed_again(p, &h[i], v))
            return false;
    if (u256_cmp(&p->seen_work, &p->needed) >= 0) {
        p->handed = p->n_held; /* as much work as promised: the rest follows the ordinary way */
        p->state = PRESYNC_DONE;
        return true;
    }
    p->handed = p->n_held > PRESYNC_BUFFER ? p->n_held - PRESYNC_BUFFER : 0;
    return full || refuse(p, v, 0, "low-work-headers");
}

bool presync_feed(struct presync *p, const struct block_header *h, size_t n, bool full,
                  const struct block_header **out, size_t *n_out, struct verdict *v)
{
    *v = (struct verdict){ .code = REJECT_NONE };
    *out = NULL;
    *n_out = 0;
    if (p->state == PRESYNC_WORK)
        return feed_pass1(p, h, n, full, v);
    if (p->state != PRESYNC_REDOWNLOAD)
        return false;
    const bool good = feed_pass2(p, h, n, full, v);
    if (good) {
        *out = p->held;
        *n_out = p->handed;
    }
    return good;
}

static const struct block_hash *front_of(const struct presync *p)
{
    return p->state == PRESYNC_WORK ? &p->last->hash : &p->seen;
}

bool presync_continues(const struct presync *p, const struct block_header *first)
{
    return block_hash_equal(&first->prev, front_of(p));
}

size_t presync_locator(const struct presync *p, struct block_hash *out, size_t cap)
{
    struct block_hash known[LOCATOR_MAX];
    const size_t n_known = locator_make(p->idx, p->start, known);
    size_t n = 0;
    const struct block_hash *front = front_of(p);
    if (cap > 0 && !block_hash_equal(front, &p->start->hash))
        out[n++] = *front;
    for (size_t i = 0; i < n_known && n < cap; i++)
        out[n++] = known[i];
    return n;
}
