#include "chain/tx_table.h"

#include "base/rand.h"

/* A slot of the maps has 16 bytes, and three eighths of them at least are filled when they grow. */
#define SLOT_COST 43

/* What is looked for, and where an item keeps its transaction. */
struct search {
    const void *key;
    size_t tx_at;
};

static const struct tx *tx_of(const void *item, size_t tx_at)
{
    return *(struct tx *const *)(const void *)((const char *)item + tx_at);
}

static bool has_id(const void *item, const void *key)
{
    const struct search *s = (const struct search *)key;
    return txid_equal(&tx_of(item, s->tx_at)->id, (const struct txid *)s->key);
}

static bool spends_it(const void *item, const void *key)
{
    const struct tx_spend *spend = (const struct tx_spend *)item;
    const struct search *s = (const struct search *)key;
    return outpoint_equal(&tx_of(spend->item, s->tx_at)->in[spend->input].prevout,
                          (const struct outpoint *)s->key);
}

static uint64_t hash_id(const struct tx_table *t, const struct txid *id)
{
    return siphash_32(&t->key, id->b);
}

static uint64_t hash_outpoint(const struct tx_table *t, const struct outpoint *o)
{
    return siphash_36(&t->key, o->txid.b, o->index);
}

void tx_table_init(struct tx_table *t, size_t tx_at)
{
    *t = (struct tx_table){ .tx_at = tx_at };
    rand_bytes(&t->key, sizeof(t->key));
    map_init(&t->by_id);
    map_init(&t->by_spent);
}

void tx_table_clear(struct tx_table *t)
{
    map_clear(&t->by_id);
    map_clear(&t->by_spent);
}

void *tx_table_find(const struct tx_table *t, const struct txid *id)
{
    const struct search s = { id, t->tx_at };
    if (t->by_id.n == 0) /* spares the hash: during a sync the pools are empty */
        return NULL;
    return map_find(&t->by_id, hash_id(t, id), has_id, &s);
}

void *tx_table_spender(const struct tx_table *t, const struct outpoint *o)
{
    const struct search s = { o, t->tx_at };
    if (t->by_spent.n == 0)
        return NULL;
    const struct tx_spend *spend =
        (const struct tx_spend *)map_find(&t->by_spent, hash_outpoint(t, o), spends_it, &s);
    return spend ? spend->item : NULL;
}

void tx_table_put(struct tx_table *t, void *item, struct tx_spend *spends)
{
    const struct tx *tx = tx_of(item, t->tx_at);
    map_put(&t->by_id, hash_id(t, &tx->id), item);
    for (size_t i = 0; i < tx->n_in; i++) {
        spends[i] = (struct tx_spend){ item, (uint32_t)i };
        map_put(&t->by_spent, hash_outpoint(t, &tx->in[i].prevout), &spends[i]);
    }
}

void tx_table_remove(struct tx_table *t, const void *item)
{
    const struct tx *tx = tx_of(item, t->tx_at);
    const struct search s = { &tx->id, t->tx_at };
    map_remove(&t->by_id, hash_id(t, &tx->id), has_id, &s);
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct search spend = { &tx->in[i].prevout, t->tx_at };
        map_remove(&t->by_spent, hash_outpoint(t, &tx->in[i].prevout), spends_it, &spend);
    }
}

size_t tx_table_cost(const struct tx *tx)
{
    return (tx->n_in + 1) * SLOT_COST;
}
