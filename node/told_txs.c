#include "node/told_txs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/header_index.h"

#define HEAP_OVERHEAD 16 /* of the allocator, for each id */

void told_txs_init(struct told_txs *t, void (*emit)(void *ctx, struct event_record *r), void *ctx)
{
    *t = (struct told_txs){ .emit = emit, .ctx = ctx, .held = true };
    map_init(&t->live);
    rand_bytes(&t->key, sizeof t->key);
}

static void forget_all(struct told_txs *t)
{
    size_t pos = 0;
    for (struct txid *id; (id = map_next(&t->live, &pos));)
        free(id);
    map_clear(&t->live);
    map_init(&t->live);
}

void told_txs_clear(struct told_txs *t) { forget_all(t); }

void told_txs_restart(struct told_txs *t)
{
    forget_all(t);
    t->held = true;
}

static bool same_id(const void *item, const void *key) { return txid_equal(item, key); }

static uint64_t hash_of(const struct told_txs *t, const struct txid *id)
{
    return siphash_32(&t->key, id->b);
}

static bool is_told(const struct told_txs *t, const struct txid *id)
{
    return map_find(&t->live, hash_of(t, id), same_id, id) != NULL;
}

static bool add(struct told_txs *t, const struct txid *id)
{
    if (is_told(t, id))
        return false;
    struct txid *copy = xmalloc(sizeof *copy);
    *copy = *id;
    map_put(&t->live, hash_of(t, id), copy);
    return true;
}

static bool drop(struct told_txs *t, const struct txid *id)
{
    struct txid *found = map_remove(&t->live, hash_of(t, id), same_id, id);
    free(found);
    return found != NULL;
}

/* --- what the log holds --------------------------------------------------------------------- */

void told_txs_load(struct told_txs *t, struct reader *r)
{
    struct txid id;
    forget_all(t);
    uint64_t n = read_le64(r);
    r->failed |= n > r->left / sizeof id.b;
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        read_copy(r, id.b, sizeof id.b);
        r->failed |= !add(t, &id);
    }
}

static struct txid id_of(const union event_value *v)
{
    struct txid id;
    memcpy(id.b, v->hash, sizeof id.b);
    return id;
}

static bool replay_start(struct told_txs *t, const struct event_record *r)
{
    (void)r;
    forget_all(t);
    return true;
}

static bool replay_accepted(struct told_txs *t, const struct event_record *r)
{
    const struct txid id = id_of(&r->v[TX_ID]);
    return add(t, &id);
}

static bool replay_removed(struct told_txs *t, const struct event_record *r)
{
    const struct txid id = id_of(&r->v[REMOVED_ID]);
    return drop(t, &id);
}

/* Events that are not here say nothing of the mempool. */
bool told_txs_replay(struct told_txs *t, const struct event_record *r)
{
    static bool (*const replays[])(struct told_txs *t, const struct event_record *r) = {
        [LOGGED_START] = replay_start,
        [LOGGED_TX_ACCEPTED] = replay_accepted,
        [LOGGED_TX_REMOVED] = replay_removed,
    };
    const size_t type = (size_t)r->type;
    return type >= COUNT_OF(replays) || !replays[type] || replays[type](t, r);
}

void told_txs_store(const struct told_txs *t, struct buf *out)
{
    size_t pos = 0;
    buf_put_le64(out, t->live.n);
    for (const struct txid *id; (id = map_next(&t->live, &pos));)
        buf_put(out, id->b, sizeof id->b);
}

size_t told_txs_count(const struct told_txs *t) { return t->live.n; }

size_t told_txs_bytes(const struct told_txs *t)
{
    return map_bytes(&t->live) + t->live.n * (sizeof(struct txid) + HEAP_OVERHEAD);
}

/* --- saying --------------------------------------------------------------------------------- */

static void say_accepted(struct told_txs *t, const struct mempool_entry *entry)
{
    struct event_record r = { .type = LOGGED_TX_ACCEPTED };
    if (!add(t, &entry->tx->id))
        return;
    memcpy(r.v[TX_ID].hash, entry->tx->id.b, 32);
    r.v[TX_SIZE].number = (int64_t)entry->tx->raw.len;
    r.v[TX_FEE].number = entry->fee;
    t->emit(t->ctx, &r);
}

void told_txs_accepted(struct told_txs *t, const struct mempool_entry *entry)
{
    if (!t->held)
        say_accepted(t, entry);
}

void told_txs_removed(struct told_txs *t, const struct txid *id, const char *reason,
                      const struct txid *conflict, const struct header_node *block)
{
    struct event_record r = { .type = LOGGED_TX_REMOVED };
    if (!drop(t, id))
        return;
    memcpy(r.v[REMOVED_ID].hash, id->b, 32);
    snprintf(r.v[REMOVED_REASON].text, sizeof r.v[REMOVED_REASON].text, "%s", reason);
    if (conflict)
        memcpy(r.v[REMOVED_CONFLICT].hash, conflict->b, 32);
    if (block)
        memcpy(r.v[REMOVED_BLOCK].hash, block->hash.b, 32);
    t->emit(t->ctx, &r);
}

/* --- settling ------------------------------------------------------------------------------- */

struct id_list {
    struct txid *v;
    size_t n;
};

/* Saying changes the table, so those to be said are collected first. */
static struct id_list find_lost(const struct told_txs *t, struct mempool *pool)
{
    struct id_list lost = { xmalloc((t->live.n + 1) * sizeof *lost.v), 0 };
    size_t pos = 0;
    for (const struct txid *id; (id = map_next(&t->live, &pos));)
        if (!mempool_contains(pool, id))
            lost.v[lost.n++] = *id;
    return lost;
}

static enum mempool_visit settle_entry(void *ctx, const struct mempool_entry *entry)
{
    say_accepted(ctx, entry);
    return MEMPOOL_GO_ON;
}

void told_txs_settle(struct told_txs *t, struct mempool *pool)
{
    struct id_list lost = find_lost(t, pool);
    for (size_t i = 0; i < lost.n; i++)
        told_txs_removed(t, &lost.v[i], "lost-at-restart", NULL, NULL);
    free(lost.v);
    mempool_each(pool, 0, settle_entry, t);
    t->held = false;
}
