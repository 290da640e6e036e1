#include <config.h>

#include "wallet/pick.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"
#include "wallet/history_internal.h"

struct pick {
    struct history *h;
    struct siphash_key key;
    struct map picked; /* ids of this block */
    uint64_t failed;   /* of the history, at the beginning of the block */
};

struct pick *pick_new(struct history *h)
{
    struct pick *p = (struct pick *)xcalloc(1, sizeof *p);
    p->h = h;
    rand_bytes(&p->key, sizeof p->key);
    map_init(&p->picked);
    return p;
}

static void forget(struct pick *p)
{
    size_t pos = 0;
    for (void *id; (id = map_next(&p->picked, &pos));)
        free(id);
    map_clear(&p->picked);
}

void pick_free(struct pick *p)
{
    if (!p)
        return;
    forget(p);
    free(p);
}

enum err pick_begin(struct pick *p, struct error *e)
{
    forget(p);
    p->failed = p->h->failed;
    return history_refresh(p->h, e);
}

static bool is_id(const void *item, const void *key)
{
    return txid_equal((const struct txid *)item, (const struct txid *)key);
}

static bool spends_watched(const struct pick *p, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct outpoint *at = &tx->in[i].prevout;
        if (spot_find(p->h, at))
            return true;
        if (p->picked.n && map_find(&p->picked, siphash_32(&p->key, at->txid.b), is_id, &at->txid))
            return true;
    }
    return false;
}

bool pick_tx(struct pick *p, const struct tx *tx)
{
    return pick_tx_seen(p, tx, history_pays_us(p->h, tx));
}

bool pick_tx_seen(struct pick *p, const struct tx *tx, bool pays_us)
{
    if (!pays_us && !spends_watched(p, tx))
        return false;
    const uint64_t hash = siphash_32(&p->key, tx->id.b);
    if (!map_find(&p->picked, hash, is_id, &tx->id)) {
        struct txid *id = (struct txid *)xmalloc(sizeof *id);
        *id = tx->id;
        map_put(&p->picked, hash, id);
    }
    return true;
}

bool pick_holds(const struct pick *p)
{
    return p->failed == p->h->failed;
}
