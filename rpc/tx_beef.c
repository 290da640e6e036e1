#include "rpc/tx_beef.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/chain.h"
#include "rpc/tx_lookup.h"
#include "rpc/tx_proof.h"

#define TRIES 5 /* blocks may come between looking at the mempool and at the coins */

/* Ancestors in blocks: output i belongs to a transaction that is in the block of node i. */
struct confirmed {
    struct outpoint *output; /* one of each transaction */
    struct header_node **node;
    size_t n;
};

static void confirmed_clear(struct confirmed *c)
{
    free(c->output);
    free(c->node);
    *c = (struct confirmed){ 0 };
}

static enum err too_many(struct error *e)
{
    return error_set(e, ERR_RANGE, "it stands on more than %d transactions that need a proof",
                     BEEF_TXS_MAX);
}

static enum err count_bytes(struct tx_beef *b, size_t more, struct error *e)
{
    if (more > TX_BEEF_BYTES_MAX - b->bytes)
        return error_set(e, ERR_RANGE, "it has more than %zu bytes with its ancestors",
                         TX_BEEF_BYTES_MAX);
    b->bytes += more;
    return OK;
}

/* --- from the mempool ----------------------------------------------------------------------- */

struct taker {
    struct tx_beef *b;
    struct error *e;
    enum err rc;
};

static enum err take_tx(struct tx_beef *b, struct tx *tx, struct error *e)
{
    const enum err rc = b->n_unconfirmed == BEEF_TXS_MAX ? too_many(e)
                                                         : count_bytes(b, tx->raw.len, e);
    if (!rc)
        b->unconfirmed[b->n_unconfirmed++] = tx_ref(tx);
    return rc;
}

static bool has_taken(const struct tx_beef *b, const struct txid *id)
{
    size_t i = 0;
    while (i < b->n_unconfirmed && !txid_equal(&b->unconfirmed[i]->id, id))
        i++;
    return i < b->n_unconfirmed;
}

static enum mempool_visit take_entry(void *ctx, const struct mempool_entry *entry)
{
    struct taker *t = ctx;
    if (!has_taken(t->b, &entry->tx->id))
        t->rc = take_tx(t->b, entry->tx, t->e);
    return t->rc ? MEMPOOL_ENOUGH : MEMPOOL_GO_ON;
}

/* The pool gives the transaction itself and then its ancestors, parents first. */
static enum err take_unconfirmed(struct rpc_call *call, const struct txid *id, struct tx_beef *b,
                                 struct error *e)
{
    struct taker t = { .b = b, .e = e };
    const size_t first = b->n_unconfirmed;
    if (!b->unconfirmed)
        b->unconfirmed = xcalloc(BEEF_TXS_MAX, sizeof *b->unconfirmed);
    mempool_each_ancestor(chain_mempool(call->env->chain), id, take_entry, &t);
    if (b->n_unconfirmed - first > 1) {
        struct tx *subject = b->unconfirmed[first];
        size_t rest = b->n_unconfirmed - first - 1;
        memmove(b->unconfirmed + first, b->unconfirmed + first + 1,
                rest * sizeof *b->unconfirmed);
        b->unconfirmed[first + rest] = subject;
    }
    return t.rc;
}

/* Of one that is not in the pool: its parents there with their ancestors, then itself. */
static enum err take_unsent(struct rpc_call *call, struct tx *tx, struct tx_beef *b,
                            struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < tx->n_in && !rc; i++)
        if (!b->unconfirmed || !has_taken(b, &tx->in[i].prevout.txid))
            rc = take_unconfirmed(call, &tx->in[i].prevout.txid, b, e);
    return rc ? rc : take_tx(b, tx, e);
}

/* --- on which they stand -------------------------------------------------------------------- */

/* Ids that have been met, by pointers to them. */
struct met {
    struct map ids;
    struct siphash_key key;
};

static bool is_id(const void *item, const void *key)
{
    return txid_equal((const struct txid *)item, (const struct txid *)key);
}

static bool meet(struct met *m, const struct txid *id)
{
    uint64_t hash = siphash_32(&m->key, id->b);
    if (map_find(&m->ids, hash, is_id, id))
        return false;
    map_put(&m->ids, hash, (void *)(uintptr_t)id);
    return true;
}

static enum err add_parents(const struct tx *tx, size_t already, struct met *m, struct confirmed *c,
                            struct error *e)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        if (!meet(m, &tx->in[i].prevout.txid))
            continue;
        if (already + c->n == BEEF_TXS_MAX)
            return too_many(e);
        c->output[c->n++] = tx->in[i].prevout;
    }
    return OK;
}

/* Spent outputs of what is not in the mempool, one of each transaction. */
static enum err list_parents(const struct tx_beef *b, struct confirmed *c, struct error *e)
{
    struct met m;
    enum err rc = OK;
    map_init(&m.ids);
    rand_bytes(&m.key, sizeof m.key);
    for (size_t i = 0; i < b->n_unconfirmed; i++)
        meet(&m, &b->unconfirmed[i]->id);
    for (size_t i = 0; i < b->n_unconfirmed && !rc; i++)
        rc = add_parents(b->unconfirmed[i], b->n_unconfirmed, &m, c, e);
    map_clear(&m.ids);
    return rc;
}

static bool all_found(const struct confirmed *c)
{
    size_t n = 0;
    while (n < c->n && c->node[n])
        n++;
    return n == c->n;
}

/*
 * Where the parents are: outputs that the mempool spends are unspent in the chain. Or the
 * transaction itself, when it is not in the mempool.
 */
static enum err find_confirmed(struct rpc_call *call, const struct txid *id,
                               const struct tx_beef *b, struct confirmed *c, struct error *e)
{
    c->output = xcalloc(BEEF_TXS_MAX, sizeof *c->output);
    c->node = xcalloc(BEEF_TXS_MAX, sizeof *c->node);
    if (!b->n_unconfirmed) {
        c->output[c->n++].txid = *id;
        return tx_lookup_block(call, id, &c->node[0], e);
    }
    enum err rc = list_parents(b, c, e);
    return rc ? rc : tx_lookup_outputs(call, c->output, c->n, c->node, e);
}

/* --- proofs --------------------------------------------------------------------------------- */

struct place {
    struct header_node *node;
    struct txid id;
};

/* By height, since parents stand in blocks before their children; then by id, as a proof wants. */
static int by_block(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->node->height != y->node->height)
        return x->node->height < y->node->height ? -1 : 1;
    return memcmp(x->id.b, y->id.b, 32);
}

static enum err add_proved(void *ctx, const struct tx *tx, struct error *e)
{
    struct tx_beef *b = ctx;
    enum err rc = count_bytes(b, tx->raw.len, e);
    uint8_t *copy = rc ? NULL : arena_alloc(&b->beef.arena, tx->raw.len, 1);
    if (!copy)
        return rc ? rc : error_set(e, ERR_NOMEM, "out of memory for a transaction");
    memcpy(copy, tx->raw.data, tx->raw.len);
    /* The proof follows when the block has passed. */
    return beef_add_proved(&b->beef, span_of(copy, tx->raw.len), b->beef.n_bumps, e);
}

/* All n are of one block. */
static enum err prove_block(struct rpc_call *call, const struct place *place, size_t n,
                            struct tx_beef *b, struct error *e)
{
    const struct header_node *node = place->node;
    struct txid ids[BEEF_TXS_MAX];
    struct tx_proof_partial p;
    struct bump bump;
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < n; i++)
        ids[i] = place[i].id;
    enum err rc = tx_proof_partial(call, node, ids, n, add_proved, b, &p, e);
    if (rc == ERR_NOTFOUND)
        rc = error_set(e, ERR_IO, "Block file %s not available.", hash_to_hex(hex, node->hash.b));
    if (!rc && p.n_found < n)
        rc = error_set(e, ERR_CORRUPT, "a transaction is not in the block of its output");
    if (!rc)
        rc = bump_from_partial(&bump, (uint32_t)node->height, &p.tree, e);
    if (!rc)
        beef_add_bump(&b->beef, &bump);
    tx_proof_partial_clear(&p);
    return rc;
}

static enum err prove_confirmed(struct rpc_call *call, const struct confirmed *c, struct tx_beef *b,
                                struct error *e)
{
    enum err rc = OK;
    struct place *place = xcalloc(BEEF_TXS_MAX, sizeof *place);
    for (size_t i = 0; i < c->n; i++)
        place[i] = (struct place){ c->node[i], c->output[i].txid };
    qsort(place, c->n, sizeof *place, by_block);
    for (size_t at = 0, n; at < c->n && !rc; at += n) {
        for (n = 1; at + n < c->n && place[at + n].node == place[at].node;)
            n++;
        rc = prove_block(call, place + at, n, b, e);
    }
    free(place);
    return rc;
}

/* --- all of it ------------------------------------------------------------------------------ */

static bool still_active(struct chain *chain, const struct confirmed *c)
{
    size_t n = 0;
    while (n < c->n && header_index_is_active(chain_headers(chain), c->node[n]))
        n++;
    return n == c->n;
}

void tx_beef_clear(struct tx_beef *b)
{
    for (size_t i = 0; i < b->n_unconfirmed; i++)
        tx_unref(b->unconfirmed[i]);
    free(b->unconfirmed);
    beef_clear(&b->beef);
    *b = (struct tx_beef){ .n_unconfirmed = 0 };
    beef_init(&b->beef, BEEF_V1);
}

enum outcome { NOT_FOUND, CHANGED_MEANWHILE, WHOLE };

/* unsent: the transaction itself when it is not in the mempool; else NULL. */
static enum err try_once(struct rpc_call *call, const struct txid *id, struct tx *unsent,
                         struct tx_beef *b, enum outcome *outcome, struct error *e)
{
    struct confirmed c = { 0 };
    enum err rc = unsent ? take_unsent(call, unsent, b, e) : take_unconfirmed(call, id, b, e);
    if (!rc)
        rc = find_confirmed(call, id, b, &c, e);
    bool found = !rc && all_found(&c);
    *outcome = found || b->n_unconfirmed ? CHANGED_MEANWHILE : NOT_FOUND;
    if (found)
        rc = prove_confirmed(call, &c, b, e);
    for (size_t i = 0; i < b->n_unconfirmed && !rc && found; i++)
        rc = beef_add_tx(&b->beef, b->unconfirmed[i]->raw, e);
    if (found && still_active(call->env->chain, &c))
        *outcome = WHOLE;
    confirmed_clear(&c);
    return rc;
}

static enum err make(struct rpc_call *call, const struct txid *id, struct tx *unsent,
                     enum beef_version version, struct tx_beef *b, bool *found, struct error *e)
{
    enum outcome outcome = CHANGED_MEANWHILE;
    enum err rc = OK;
    *b = (struct tx_beef){ .n_unconfirmed = 0 };
    for (int i = 0; i < TRIES && !rc && outcome == CHANGED_MEANWHILE; i++) {
        tx_beef_clear(b);
        b->beef.version = version;
        rc = rpc_given_up(call)
                 ? error_set(e, ERR_CANCELLED, "nobody waits for the answer any more")
                 : try_once(call, id, unsent, b, &outcome, e);
    }
    *found = outcome == WHOLE;
    if (!rc && outcome == CHANGED_MEANWHILE)
        rc = error_set(e, ERR_BUSY, "blocks arrive too fast for a look at all ancestors");
    return rc;
}

enum err tx_beef_make(struct rpc_call *call, const struct txid *id, enum beef_version version,
                      struct tx_beef *b, bool *found, struct error *e)
{
    return make(call, id, NULL, version, b, found, e);
}

enum err tx_beef_make_unsent(struct rpc_call *call, struct tx *tx, enum beef_version version,
                             struct tx_beef *b, bool *found, struct error *e)
{
    const enum err rc = make(call, &tx->id, NULL, version, b, found, e);
    if (rc || *found)
        return rc;
    tx_beef_clear(b);
    return make(call, &tx->id, tx, version, b, found, e);
}
