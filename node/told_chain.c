#include "node/told_chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"

void told_chain_init(struct told_chain *c, void (*emit)(void *ctx, struct event_record *r),
                     void *ctx)
{
    *c = (struct told_chain){ .emit = emit, .ctx = ctx };
}

void told_chain_clear(struct told_chain *c)
{
    free(c->v);
    told_chain_init(c, c->emit, c->ctx);
}

static bool has_tail(const struct told_chain *c) { return c->at < c->n; }

static void push(struct told_chain *c, const struct told_block *b)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 64;
        c->v = xrealloc(c->v, c->cap * sizeof *c->v);
    }
    c->v[c->n++] = *b;
}

static void forget_tail(struct told_chain *c)
{
    free(c->v);
    c->v = NULL;
    c->at = c->n = c->cap = 0;
}

/* --- what the log holds --------------------------------------------------------------------- */

void told_chain_load(struct told_chain *c, struct reader *r)
{
    struct told_block b = { .height = 0 };
    forget_tail(c);
    if (!read_u8(r))
        return;
    b.height = (int32_t)read_le32(r);
    read_copy(r, b.hash.b, sizeof b.hash.b);
    push(c, &b);
}

static bool is_hash(const struct block_hash *hash, const union event_value *v)
{
    return memcmp(hash->b, v->hash, sizeof hash->b) == 0;
}

static struct told_block block_of(const union event_value *hash, const union event_value *height)
{
    struct told_block b = { .height = (int32_t)height->number };
    memcpy(b.hash.b, hash->hash, sizeof b.hash.b);
    return b;
}

static bool replay_connected(struct told_chain *c, const struct event_record *r)
{
    struct told_block b = block_of(&r->v[BLOCK_HASH], &r->v[BLOCK_HEIGHT]);
    if (c->n == 0 || !is_hash(&c->v[c->n - 1].hash, &r->v[BLOCK_PREVIOUS]))
        return false;
    push(c, &b);
    return true;
}

static bool replay_disconnected(struct told_chain *c, const struct event_record *r)
{
    if (c->n == 0 || !is_hash(&c->v[c->n - 1].hash, &r->v[BLOCK_HASH]))
        return false;
    struct told_block below = block_of(&r->v[BLOCK_PREVIOUS], &r->v[BLOCK_HEIGHT]);
    below.height--;
    c->n--;
    if (c->n == 0)
        push(c, &below);
    return is_hash(&c->v[c->n - 1].hash, &r->v[BLOCK_PREVIOUS]);
}

static bool replay_start(struct told_chain *c, const struct event_record *r)
{
    struct told_block b = block_of(&r->v[START_HASH], &r->v[START_HEIGHT]);
    forget_tail(c);
    push(c, &b);
    return true;
}

/* Events that are not here say nothing of the chain. */
bool told_chain_replay(struct told_chain *c, const struct event_record *r)
{
    static bool (*const replays[])(struct told_chain *c, const struct event_record *r) = {
        [LOGGED_START] = replay_start,
        [LOGGED_BLOCK_CONNECTED] = replay_connected,
        [LOGGED_BLOCK_DISCONNECTED] = replay_disconnected,
    };
    const size_t type = (size_t)r->type;
    return type >= COUNT_OF(replays) || !replays[type] || replays[type](c, r);
}

bool told_chain_meets(const struct told_chain *c, struct header_index *index)
{
    for (size_t i = c->n; i-- > 0;)
        if (header_index_find(index, &c->v[i].hash))
            return true;
    return c->n == 0;
}

/* --- saying --------------------------------------------------------------------------------- */

static void say_start(struct told_chain *c, struct header_node *node)
{
    struct event_record r = { .type = LOGGED_START };
    memcpy(r.v[START_HASH].hash, node->hash.b, 32);
    r.v[START_HEIGHT].number = node->height;
    forget_tail(c);
    c->tip = node;
    c->waiting = false;
    c->emit(c->ctx, &r);
}

static void say_connected(struct told_chain *c, struct header_node *node)
{
    struct event_record r = { .type = LOGGED_BLOCK_CONNECTED };
    struct header_data d;
    header_index_get_data(c->index, node, &d);
    memcpy(r.v[BLOCK_HASH].hash, node->hash.b, 32);
    if (node->prev)
        memcpy(r.v[BLOCK_PREVIOUS].hash, node->prev->hash.b, 32);
    r.v[BLOCK_HEIGHT].number = node->height;
    r.v[BLOCK_TXS].number = d.tx_count;
    r.v[BLOCK_SIZE].number = (int64_t)d.data.size;
    r.v[BLOCK_TIME].number = node->time;
    c->tip = node;
    c->emit(c->ctx, &r);
}

static void say_disconnected(struct told_chain *c, const struct block_hash *hash,
                             const struct block_hash *previous, int32_t height)
{
    struct event_record r = { .type = LOGGED_BLOCK_DISCONNECTED };
    memcpy(r.v[BLOCK_HASH].hash, hash->b, 32);
    memcpy(r.v[BLOCK_PREVIOUS].hash, previous->b, 32);
    r.v[BLOCK_HEIGHT].number = height;
    c->emit(c->ctx, &r);
}

static void say_back_to(struct told_chain *c, struct header_node *fork)
{
    for (; has_tail(c); c->n--) {
        const struct told_block *b = &c->v[c->n - 1];
        const struct block_hash *below = c->n - 1 > c->at ? &b[-1].hash : &c->tip->hash;
        say_disconnected(c, &b->hash, below, b->height);
    }
    forget_tail(c);
    while (c->tip != fork) {
        struct header_node *node = c->tip;
        c->tip = node->prev;
        say_disconnected(c, &node->hash, &node->prev->hash, node->height);
    }
}

/* From the last block told of to this one. */
static void say_way_to(struct told_chain *c, struct header_node *target)
{
    c->waiting = false;
    if (!c->tip) {
        say_start(c, target); /* how the chain got there from where the log ends is not known */
        return;
    }
    say_back_to(c, header_last_common(c->tip, target));
    while (c->tip != target)
        say_connected(c, header_ancestor(target, c->tip->height + 1));
}

/* --- the chain moves ------------------------------------------------------------------------ */

/* Finds out which of the blocks the index knows. */
static void resolve(struct told_chain *c)
{
    for (size_t i = c->n; i-- > 0 && !c->tip;) {
        c->tip = header_index_find(c->index, &c->v[i].hash);
        if (c->tip)
            c->at = i + 1;
    }
    if (!has_tail(c))
        forget_tail(c);
}

static bool is_told(const struct told_chain *c, const struct header_node *node)
{
    return node->height <= c->tip->height && header_ancestor(c->tip, node->height) == node;
}

void told_chain_attach(struct told_chain *c, struct header_index *index, struct header_node *tip)
{
    c->index = index;
    if (c->n == 0) {
        say_start(c, tip);
        return;
    }
    resolve(c);
    if (tip == c->tip && !has_tail(c))
        return;
    c->waiting = c->tip ? is_told(c, tip) : tip->height < c->v[c->at].height;
    if (!c->waiting)
        say_way_to(c, tip);
}

/* The block comes next on the way that was told of and that the index does not know. */
static bool take_from_tail(struct told_chain *c, struct header_node *node)
{
    if (!has_tail(c) || !block_hash_equal(&c->v[c->at].hash, &node->hash))
        return false;
    c->tip = node;
    c->at++;
    if (!has_tail(c))
        forget_tail(c);
    c->waiting = has_tail(c);
    return true;
}

/* While waiting: the block was told of before. */
static bool is_repeated(struct told_chain *c, struct header_node *node)
{
    if (!c->tip)
        return node->height < c->v[c->at].height || take_from_tail(c, node);
    if (!is_told(c, node))
        return node->prev == c->tip && take_from_tail(c, node);
    if (node == c->tip && !has_tail(c))
        c->waiting = false;
    return true;
}

void told_chain_connected(struct told_chain *c, struct header_node *node)
{
    if (!c->waiting || !is_repeated(c, node))
        say_way_to(c, node);
}

void told_chain_disconnected(struct told_chain *c, struct header_node *node)
{
    say_way_to(c, node->prev);
}

void told_chain_give_up(struct told_chain *c, struct header_node *tip)
{
    if (c->waiting)
        say_way_to(c, tip);
}

void told_chain_store(const struct told_chain *c, struct buf *out)
{
    const struct told_block *last = c->n ? &c->v[c->n - 1] : NULL;
    if (!last && !c->tip) {
        buf_put_u8(out, 0);
        return;
    }
    buf_put_u8(out, 1);
    buf_put_le32(out, (uint32_t)(last ? last->height : c->tip->height));
    buf_put(out, last ? last->hash.b : c->tip->hash.b, 32);
}
