#include "node/tx_kept.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

#define EXPIRE_AT_ONCE 1000 /* more wait for the next call */

struct item {
    struct list_link in_age;
    struct tx *tx; /* a reference */
    uint64_t place;
    int64_t at_ms;
    bool left; /* the mempool does not hold it any more */
};

struct tx_kept {
    struct map map;
    struct siphash_key key;
    struct list age;
    size_t bytes, max_bytes;
    size_t left_bytes; /* of transactions that left the mempool */
};

static bool item_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct item *)item)->tx->id, key);
}

static struct item *find(const struct tx_kept *k, const struct txid *id)
{
    return map_find(&k->map, siphash_32(&k->key, id->b), item_has_id, id);
}

static size_t item_bytes(const struct tx *tx)
{
    return mem_cost(sizeof(struct item)) + 2 * sizeof(struct map_slot) + tx_memory(tx);
}

static void drop_oldest(struct tx_kept *k)
{
    struct item *item = LIST_ITEM(list_first(&k->age), struct item, in_age);
    list_remove(&k->age, &item->in_age);
    map_remove(&k->map, siphash_32(&k->key, item->tx->id.b), item_has_id, &item->tx->id);
    k->bytes -= item_bytes(item->tx);
    if (item->left)
        k->left_bytes -= tx_memory(item->tx);
    tx_unref(item->tx);
    free(item);
}

struct tx_kept *tx_kept_new(size_t max_bytes)
{
    struct tx_kept *k = xcalloc(1, sizeof(*k));
    k->max_bytes = max_bytes;
    map_init(&k->map);
    list_init(&k->age);
    rand_bytes(&k->key, sizeof(k->key));
    return k;
}

void tx_kept_free(struct tx_kept *k)
{
    if (!k)
        return;
    while (k->age.n)
        drop_oldest(k);
    map_clear(&k->map);
    free(k);
}

void tx_kept_add(struct tx_kept *k, struct tx *tx, uint64_t place, int64_t now)
{
    if (find(k, &tx->id) || item_bytes(tx) > k->max_bytes)
        return;
    k->bytes += item_bytes(tx);
    while (k->bytes > k->max_bytes)
        drop_oldest(k);
    struct item *item = xcalloc(1, sizeof(*item));
    item->tx = tx_ref(tx);
    item->place = place;
    item->at_ms = now;
    list_append(&k->age, &item->in_age);
    map_put(&k->map, siphash_32(&k->key, tx->id.b), item);
}

struct tx *tx_kept_find(const struct tx_kept *k, const struct txid *id, uint64_t before)
{
    const struct item *item = find(k, id);
    return item && item->place < before ? item->tx : NULL;
}

void tx_kept_expire(struct tx_kept *k, int64_t now)
{
    for (int i = 0; i < EXPIRE_AT_ONCE && k->age.n; i++) {
        const struct item *oldest = LIST_ITEM(list_first(&k->age), struct item, in_age);
        if (now - oldest->at_ms <= TX_KEPT_MS)
            return;
        drop_oldest(k);
    }
}

void tx_kept_note_left(struct tx_kept *k, const struct txid *id)
{
    struct item *item = find(k, id);
    if (!item || item->left)
        return;
    item->left = true;
    k->left_bytes += tx_memory(item->tx);
}

size_t tx_kept_bytes(const struct tx_kept *k)
{
    return k->bytes;
}

size_t tx_kept_own_bytes(const struct tx_kept *k)
{
    return k->map.n * mem_cost(sizeof(struct item)) + map_bytes(&k->map) + k->left_bytes;
}
