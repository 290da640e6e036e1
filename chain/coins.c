/*
 * Entries and their states. In the cache an outpoint is
 *   clean             as in the database,
 *   DIRTY             to be written,
 *   DIRTY|FRESH       to be written, surely not in the database: spending it removes it for good,
 *   DIRTY|SPENT       to be deleted from the database.
 * A coin that is not in the cache may be in the database; nothing is remembered about missing ones.
 */
#include <config.h>

#include "chain/coins.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/coins_internal.h"

static enum err read_state(struct coins *c, struct coins_state *s, struct error *e)
{
    *s = (struct coins_state){ .has_best = false };
    bool found;
    enum err rc = kv_get(c->kv, COINS_KEY_BEST, 1, &c->value, &found, e);
    if (rc)
        return rc;
    if (found && c->value.len != 32)
        return error_set(e, ERR_CORRUPT, "coins database: best block of %zu bytes", c->value.len);
    s->has_best = found;
    if (found)
        memcpy(s->best.b, c->value.data, 32);
    buf_reset(&c->value);
    rc = kv_get(c->kv, COINS_KEY_TRANSITION, 1, &c->value, &found, e);
    if (rc || !found)
        return rc;
    if (c->value.len != COINS_TRANSITION_SIZE || c->value.data[0] > 1 || s->has_best)
        return error_set(e, ERR_CORRUPT,
                         "coins database: the record of an interrupted flush is damaged");
    s->in_transition = true;
    s->has_old = c->value.data[0];
    memcpy(s->old_best.b, c->value.data + 1, 32);
    memcpy(s->new_best.b, c->value.data + 33, 32);
    return OK;
}

static enum err find_out_if_empty(struct coins *c, struct error *e)
{
    struct kv_iter *it = kv_iter_new(c->kv);
    kv_iter_seek(it, "c", 1);
    c->disk_empty = !kv_iter_valid(it) || kv_iter_key(it).data[0] != 'c';
    enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

enum err coins_open(struct coins **out, struct kv *kv, size_t budget_bytes,
                    struct coins_state *state, struct error *e)
{
    struct coins *c = xcalloc(1, sizeof(*c));
    c->kv = kv;
    c->budget = budget_bytes;
    c->batch_bytes = COINS_BATCH_BYTES;
    buf_init(&c->value);
    enum err rc = coins_map_init(&c->map, e);
    if (!rc)
        rc = read_state(c, state, e);
    if (!rc)
        rc = find_out_if_empty(c, e);
    if (rc) {
        coins_close(c);
        return rc;
    }
    c->in_transition = state->in_transition;
    c->has_best = state->in_transition ? state->has_old : state->has_best;
    c->best = state->in_transition ? state->old_best : state->best;
    *out = c;
    return OK;
}

void coins_close(struct coins *c)
{
    if (!c)
        return;
    coins_map_clear(&c->map);
    kv_close(c->kv);
    free(c->spent);
    buf_clear(&c->value);
    free(c);
}

/* The list of entries that a flush sorts is charged from the start. */
static size_t used_bytes(const struct coins *c)
{
    return coins_map_bytes(&c->map) + c->dirty * sizeof(uint32_t);
}

static size_t clean_bytes(const struct coins *c)
{
    return c->map.count * sizeof(struct coin_entry) + c->map.heap_bytes - c->dirty_bytes;
}

/* While clean entries take more than a quarter, the next change drops them and no flush is needed.
 */
bool coins_over_budget(const struct coins *c)
{
    return used_bytes(c) > c->budget && clean_bytes(c) <= c->budget / 4;
}

void coins_get_stats(const struct coins *c, struct coins_stats *out)
{
    *out = (struct coins_stats){
        .entries = c->map.count,
        .dirty = c->dirty,
        .cache_bytes = coins_map_system_bytes(&c->map),
        .dirty_bytes = c->dirty_bytes,
        .hits = c->hits,
        .misses = c->misses,
    };
}

void coins_remove_entry(struct coins *c, struct coin_entry *ce, uint32_t number, uint32_t hash)
{
    free(coin_entry_take_script(&c->map, ce));
    coins_map_remove(&c->map, number, hash);
}

/*
 * Second chance: an entry used since the last pass loses its mark, others go. Two passes at most,
 * and it stops an eighth below the budget, so that the work is spread over many insertions.
 */
static void evict_clean(struct coins *c)
{
    size_t target = c->budget - c->budget / 8;
    uint32_t limit = coins_map_limit(&c->map);
    for (uint64_t steps = 2 * (uint64_t)limit; steps > 0 && used_bytes(c) > target; steps--) {
        if (c->sweep >= limit)
            c->sweep = 0;
        uint32_t number = c->sweep++;
        struct coin_entry *ce = coins_map_at(&c->map, number);
        if (!ce || ce->flags & CE_DIRTY)
            continue;
        if (ce->flags & CE_RECENT) {
            ce->flags &= (uint8_t)~CE_RECENT;
            continue;
        }
        struct outpoint o = coins_outpoint_of(ce);
        coins_remove_entry(c, ce, number, coins_map_hash(&c->map, &o));
    }
    coins_map_shrink(&c->map);
}

void coins_before_change(struct coins *c)
{
    free(c->spent);
    c->spent = NULL;
    if (used_bytes(c) > c->budget && clean_bytes(c) > c->budget / 4)
        evict_clean(c);
}

struct coin coins_coin_of(const struct coin_entry *ce)
{
    return (struct coin){
        .value = ce->value,
        .height = (int32_t)ce->height,
        .coinbase = ce->flags & CE_COINBASE,
        .confiscated = ce->flags & CE_CONFISCATED,
        .marker = ce->flags & CE_MARKER,
        .script = coin_entry_script(ce),
    };
}

/* The script must be empty. Flags other than the coin's own stay. */
static bool fill_entry(struct coins *c, struct coin_entry *ce, const struct coin *coin)
{
    ce->value = coin->value;
    ce->height = (uint32_t)coin->height;
    ce->flags =
        (uint8_t)((ce->flags & ~(CE_COINBASE | CE_CONFISCATED | CE_MARKER | CE_SPENT)) |
                  (coin->coinbase ? CE_COINBASE : 0) | (coin->confiscated ? CE_CONFISCATED : 0) |
                  (coin->marker ? CE_MARKER : 0));
    return coin_entry_set_script(&c->map, ce, coin->script);
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NOMEM, "no memory for the coin cache");
}

enum err coins_insert(struct coins *c, const struct outpoint *o, uint32_t hash,
                      const struct coin *coin, struct coin_entry **out, uint32_t *number,
                      struct error *e)
{
    struct coin_entry *ce = coins_map_insert(&c->map, o, hash, number);
    if (!ce)
        return no_memory(e);
    ce->flags |= CE_RECENT;
    if (!fill_entry(c, ce, coin)) {
        coins_map_remove(&c->map, *number, hash);
        return no_memory(e);
    }
    *out = ce;
    return OK;
}

/* The entry of o, read from the database if need be; NULL when there is no such coin. */
static enum err find_entry(struct coins *c, const struct outpoint *o, uint32_t hash,
                           struct coin_entry **ce, uint32_t *number, struct error *e)
{
    *ce = coins_map_find(&c->map, o, hash, number);
    if (*ce) {
        c->hits++;
        if ((*ce)->flags & CE_SPENT)
            *ce = NULL;
        return OK;
    }
    c->misses++;
    if (c->disk_empty)
        return OK;
    uint8_t key[COIN_KEY_MAX];
    bool found;
    buf_reset(&c->value);
    enum err rc = kv_get(c->kv, key, coin_key(key, o), &c->value, &found, e);
    if (rc || !found)
        return rc;
    struct coin coin;
    rc = coin_read(c->value.data, c->value.len, &coin, e);
    if (!rc)
        rc = coins_insert(c, o, hash, &coin, ce, number, e);
    return rc;
}

enum err coins_get(struct coins *c, const struct outpoint *o, struct coin *coin, bool *found,
                   struct error *e)
{
    struct coin_entry *ce;
    uint32_t number;
    enum err rc = find_entry(c, o, coins_map_hash(&c->map, o), &ce, &number, e);
    *found = !rc && ce;
    if (!*found)
        return rc;
    ce->flags |= CE_RECENT;
    *coin = coins_coin_of(ce);
    return OK;
}

static void uncount_dirty(struct coins *c, const struct coin_entry *ce)
{
    if (ce->flags & CE_DIRTY) {
        c->dirty--;
        c->dirty_bytes -= coin_entry_bytes(ce);
    }
}

static void count_dirty(struct coins *c, struct coin_entry *ce)
{
    ce->flags |= CE_DIRTY;
    c->dirty++;
    c->dirty_bytes += coin_entry_bytes(ce);
}

/* Moves the script out of the entry to where it lives until the next change. */
static struct span take_spent_script(struct coins *c, struct coin_entry *ce)
{
    size_t len = ce->script_len;
    c->spent = coin_entry_take_script(&c->map, ce);
    if (c->spent)
        return span_of(c->spent->data, c->spent->len);
    memcpy(c->spent_inline, ce->script, len);
    return span_of(c->spent_inline, len);
}

enum err coins_spend(struct coins *c, const struct outpoint *o, struct coin *coin, bool *found,
                     struct error *e)
{
    coins_before_change(c);
    uint32_t hash = coins_map_hash(&c->map, o), number;
    struct coin_entry *ce;
    enum err rc = find_entry(c, o, hash, &ce, &number, e);
    *found = !rc && ce;
    if (!*found)
        return rc;
    uncount_dirty(c, ce);
    *coin = coins_coin_of(ce);
    coin->script = take_spent_script(c, ce);
    if (ce->flags & CE_FRESH) {
        coins_map_remove(&c->map, number, hash);
        return OK;
    }
    ce->flags |= CE_SPENT;
    count_dirty(c, ce);
    return OK;
}

/* Everything that can fail comes first: after ERR_NOMEM the cache is as before. */
static enum err replace_entry(struct coins *c, struct coin_entry *ce, const struct coin *coin,
                              struct error *e)
{
    struct coin_entry filled = *ce;
    filled.script_len = 0;
    if (!fill_entry(c, &filled, coin))
        return no_memory(e);
    uncount_dirty(c, ce);
    free(coin_entry_take_script(&c->map, ce)); /* after the copy: it may be what coin borrows */
    *ce = filled;
    count_dirty(c, ce);
    return OK;
}

enum err coins_add(struct coins *c, const struct outpoint *o, const struct coin *coin,
                   enum coins_add_mode mode, struct error *e)
{
    uint32_t hash = coins_map_hash(&c->map, o), number;
    struct coin_entry *ce = coins_map_find(&c->map, o, hash, NULL);
    enum err rc;
    if (ce) {
        rc = replace_entry(c, ce, coin, e);
    } else {
        rc = coins_insert(c, o, hash, coin, &ce, &number, e);
        if (!rc) {
            if (mode == COINS_ADD_NEW || c->disk_empty)
                ce->flags |= CE_FRESH;
            count_dirty(c, ce);
        }
    }
    coins_before_change(c); /* last: coin may borrow what was spent */
    return rc;
}

struct coins_iter {
    struct kv_iter *it;
    bool started;
};

struct coins_iter *coins_iter_new(struct coins *c)
{
    struct coins_iter *it = xcalloc(1, sizeof(*it));
    it->it = kv_iter_new(c->kv);
    kv_iter_seek(it->it, "c", 1);
    return it;
}

void coins_iter_free(struct coins_iter *it)
{
    if (!it)
        return;
    kv_iter_free(it->it);
    free(it);
}

bool coins_iter_next(struct coins_iter *it, struct outpoint *o, struct coin *coin, enum err *err,
                     struct error *e)
{
    if (it->started)
        kv_iter_next(it->it);
    it->started = true;
    *err = kv_iter_error(it->it, e);
    if (*err || !kv_iter_valid(it->it))
        return false;
    struct span key = kv_iter_key(it->it), value = kv_iter_value(it->it);
    if (key.len == 0 || key.data[0] != 'c')
        return false;
    if (!coin_key_read(key.data, key.len, o))
        *err = error_set(e, ERR_CORRUPT, "coins database: a key of %zu bytes is not an outpoint",
                         key.len);
    else
        *err = coin_read(value.data, value.len, coin, e);
    return *err == OK;
}

uint64_t coins_disk_bytes(struct coins *c)
{
    return kv_disk_bytes(c->kv);
}

size_t coins_store_memory(struct coins *c)
{
    return kv_memory_bytes(c->kv);
}
