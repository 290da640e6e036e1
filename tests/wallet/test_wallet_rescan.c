/*
 * A wallet that lives through anything (reorganisations, crashes, writes that fail, imports,
 * rescans of all and of parts, transactions brought in and taken out, each also while a block is
 * being told) against one with the same keys and no coins that is told the chain once: at the tip
 * both know the same. Random order from fixed seeds.
 */
#include <config.h>

#include "wallet/wallet.h"

#include <stdlib.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "tests/wallet/wallet_util.h"

enum { SEEDS = 5, ROUNDS = 4, STEPS = 90, BLOCKS = 4096, TXS = 4096, DEEP = 5, IN_BLOCK = 4,
       SECRETS = 24, FIRST = RIG_START + 1 };

struct block {
    int prev; /* its number */
    int32_t height;
    int tx[IN_BLOCK];
    size_t n;
};

struct world {
    struct rig r;
    struct block block[BLOCKS]; /* that ever were */
    int n_blocks;
    int chain[BLOCKS];          /* the active one, by height - RIG_START */
    int32_t tip;
    struct tx *tx[TXS];
    int n_txs;
    struct pay_script secret[SECRETS];
    bool may_owe;               /* what only a rescan of all makes good is done too */
    bool owes;                  /* it was */
};

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

/* --- the chain ------------------------------------------------------------------------------- */

static struct block_hash hash_of(int number)
{
    struct block_hash hash = { .b = { 0 } };
    le32_put(hash.b, (uint32_t)number);
    return hash;
}

static int at_height(const struct world *w, int32_t height)
{
    return height <= w->tip ? w->chain[height - RIG_START] : -1;
}

static bool is_spent_by(const struct tx *tx, const struct outpoint *at)
{
    for (size_t i = 0; i < tx->n_in; i++)
        if (outpoint_equal(&tx->in[i].prevout, at))
            return true;
    return false;
}

/* Of the transactions of the chain and of the block to come; NULL after the last. */
static const struct tx *nth_of_chain(const struct world *w, const struct block *more, size_t n)
{
    for (int32_t height = FIRST; height <= w->tip; height++) {
        const struct block *b = &w->block[at_height(w, height)];
        if (n < b->n)
            return w->tx[b->tx[n]];
        n -= b->n;
    }
    return n < more->n ? w->tx[more->tx[n]] : NULL;
}

static bool is_there(const struct world *w, const struct block *more, const struct txid *id)
{
    const struct tx *tx;
    for (size_t i = 0; (tx = nth_of_chain(w, more, i)); i++)
        if (txid_equal(&tx->id, id))
            return true;
    return false;
}

static bool is_spent(const struct world *w, const struct block *more, const struct outpoint *at)
{
    const struct tx *tx;
    for (size_t i = 0; (tx = nth_of_chain(w, more, i)); i++)
        if (is_spent_by(tx, at))
            return true;
    return false;
}

static bool is_strange(const struct outpoint *at)
{
    return at->txid.b[0] == 0xee && at->txid.b[31] == 0xee;
}

/* Of a transaction that left the chain, say. */
static bool may_come(const struct world *w, const struct block *more, const struct tx *tx)
{
    if (is_there(w, more, &tx->id) || tx_is_coinbase(tx))
        return false;
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct outpoint *at = &tx->in[i].prevout;
        if (is_spent(w, more, at) || (!is_strange(at) && !is_there(w, more, &at->txid)))
            return false;
    }
    return true;
}

/* --- transactions ---------------------------------------------------------------------------- */

static void secret_of(uint8_t out[32], uint32_t n)
{
    memset(out, (int)(0x11 + n), 32);
}

static struct pay_script secret_script(uint32_t n)
{
    struct wallet_key k = { .key_len = EC_PUBKEY_SIZE };
    uint8_t secret[32];
    secret_of(secret, n);
    assert_true(ec_pubkey_of(k.key, secret));
    return script_of_key(&k);
}

/* A key that the wallet looks for, whatever it may forget in a crash. */
static struct pay_script own_script(const struct world *w)
{
    const enum keystore_branch which = below(2) ? KEYSTORE_RECEIVE : KEYSTORE_CHANGE;
    uint32_t next = 0;
    assert_int_equal(keystore_peek_index(w->r.w->ks, WALLET_ACCOUNT, which, &next, NULL), OK);
    return script_at(&w->r, which, below(next + TEST_GAP));
}

static struct pay_script any_script(const struct world *w)
{
    switch (below(4)) {
    case 0:
    case 1:
        return w->secret[below(SECRETS)];
    case 2:
        return foreign_script((uint8_t)(1 + below(3))); /* the first may be watched */
    default:
        return own_script(w);
    }
}

static void put_input(struct buf *b, const struct outpoint *at)
{
    buf_put(b, at->txid.b, 32);
    buf_put_le32(b, at->index);
    buf_put_compact(b, 0);
    buf_put_le32(b, TX_SEQUENCE_FINAL);
}

/* An output of the chain that is free, or of nobody's. */
static struct outpoint any_coin(const struct world *w, const struct block *more)
{
    for (int tries = 0; w->n_txs && tries < 6; tries++) {
        const struct tx *tx = w->tx[below((uint32_t)w->n_txs)];
        const struct outpoint at = out_of(tx, below((uint32_t)tx->n_out));
        if (is_there(w, more, &tx->id) && !is_spent(w, more, &at))
            return at;
    }
    return strange_out((uint32_t)w->n_txs);
}

static struct tx *new_tx(const struct world *w, const struct block *more, bool coinbase)
{
    const struct outpoint null_out = { .index = UINT32_MAX };
    struct outpoint in[2] = { coinbase ? null_out : any_coin(w, more) };
    size_t n_in = 1;
    struct buf b = { 0 };
    if (!coinbase && below(3) == 0) {
        in[1] = any_coin(w, more);
        n_in += !outpoint_equal(&in[0], &in[1]);
    }
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n_in);
    for (size_t i = 0; i < n_in; i++)
        put_input(&b, &in[i]);
    const size_t n_out = 1 + below(3);
    buf_put_compact(&b, n_out);
    for (size_t i = 0; i < n_out; i++) {
        const struct pay_script to = any_script(w);
        buf_put_le64(&b, 1 + below(100000));
        buf_put_var_bytes(&b, to.bytes, sizeof to.bytes);
    }
    buf_put_le32(&b, (uint32_t)w->n_txs);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

static void put_tx(struct world *w, struct block *b, bool coinbase)
{
    const int old = w->n_txs ? (int)below((uint32_t)w->n_txs) : 0;
    if (!coinbase && w->n_txs && below(2) && may_come(w, b, w->tx[old])) {
        b->tx[b->n++] = old;
        return;
    }
    assert_true(w->n_txs < TXS);
    w->tx[w->n_txs] = new_tx(w, b, coinbase);
    b->tx[b->n++] = w->n_txs++;
}

static void grow(struct world *w)
{
    struct block b = { .prev = at_height(w, w->tip), .height = w->tip + 1 };
    const size_t n = below(IN_BLOCK + 1);
    for (size_t i = 0; i < n; i++)
        put_tx(w, &b, i == 0 && below(4) == 0);
    assert_true(w->n_blocks < BLOCKS);
    w->block[w->n_blocks] = b;
    w->tip++;
    w->chain[w->tip - RIG_START] = w->n_blocks++;
}

static void reorganise(struct world *w)
{
    const int32_t depth = (int32_t)below(DEEP);
    w->tip = MAX_OF(w->tip - depth, RIG_START + 1);
    for (int32_t i = 0; i <= depth; i++)
        grow(w);
}

/* --- the wallet ------------------------------------------------------------------------------ */

static void import_something(struct world *w)
{
    const int32_t from = w->may_owe && below(2) ? WALLET_NO_SCAN : FIRST;
    const struct pay_script watched = foreign_script(1);
    const uint32_t n = below(SECRETS + 1);
    uint8_t secret[32];
    secret_of(secret, n);
    enum err rc = n < SECRETS ? wallet_import_secret(w->r.w, secret, true, no_label, from, NULL)
                              : wallet_import_script(w->r.w, script_span(&watched), no_label,
                                                     from, NULL);
    if (rc && rc != ERR_EXISTS)
        assert_int_equal(rc, ERR_IO);
    w->owes |= from == WALLET_NO_SCAN;
}

static void rescan_something(struct world *w)
{
    const int32_t from = FIRST + (int32_t)below((uint32_t)(w->tip - RIG_START));
    const int32_t last = below(2) ? HISTORY_TO_BEST : from + (int32_t)below(10);
    enum err rc = wallet_rescan(w->r.w, from, last, NULL);
    if (rc)
        assert_int_equal(rc, ERR_IO);
}

static void take_one_out(struct world *w)
{
    if (!w->n_txs || !w->may_owe)
        return;
    const struct txid *id = &w->tx[below((uint32_t)w->n_txs)]->id;
    wallet_lock(w->r.w);
    enum err rc = history_remove(wallet_history(w->r.w), id, NULL);
    wallet_unlock(w->r.w);
    if (rc && rc != ERR_NOTFOUND)
        assert_int_equal(rc, ERR_IO);
    w->owes |= !rc;
}

/* Of a block that the wallet stands on. */
static void bring_one_in(struct world *w)
{
    struct block_hash hash;
    int32_t best;
    if (!w->may_owe || !wallet_best(w->r.w, &hash, &best, NULL))
        return;
    int number = (int)le32_get(hash.b);
    for (uint32_t deeper = below((uint32_t)(best - RIG_START)); deeper > 0; deeper--)
        number = w->block[number].prev;
    const struct block *b = &w->block[number];
    if (!b->n)
        return;
    const uint32_t place = below((uint32_t)b->n);
    const struct wallet_block head = { .hash = hash_of(number), .height = b->height,
                                       .time = b->height };
    enum err rc = wallet_import_tx(w->r.w, w->tx[b->tx[place]], &head, place, NULL);
    if (rc && rc != ERR_NOTFOUND && rc != ERR_BUSY)
        assert_int_equal(rc, ERR_IO);
    w->owes |= !rc;
}

static void note_in_mempool(struct world *w)
{
    if (!w->n_txs)
        return;
    const struct block none = { .n = 0 };
    struct tx *tx = w->tx[below((uint32_t)w->n_txs)];
    enum err rc = OK;
    if (may_come(w, &none, tx))
        rc = wallet_mempool_add(w->r.w, tx, NULL);
    if (!rc && below(2))
        rc = wallet_mempool_remove(w->r.w, &tx->id, NULL, NULL);
    if (rc)
        assert_int_equal(rc, ERR_IO);
}

static void do_something(struct world *w)
{
    struct wallet_key k;
    enum err rc;
    switch (below(9)) {
    case 0:
    case 1:
    case 2:
        import_something(w);
        break;
    case 3:
        rescan_something(w);
        break;
    case 4:
        take_one_out(w);
        break;
    case 5:
        bring_one_in(w);
        break;
    case 6:
        note_in_mempool(w);
        break;
    case 7:
        rc = wallet_sync(w->r.w, NULL);
        if (rc)
            assert_int_equal(rc, ERR_IO);
        break;
    default:
        rc = wallet_new_key(w->r.w, KEYSTORE_RECEIVE, no_label, &k, NULL);
        if (rc)
            assert_int_equal(rc, ERR_IO);
    }
}

/* What another thread does meanwhile, now and then with a disk that refuses. */
static void meanwhile(struct world *w)
{
    struct kv *full = below(3) ? w->r.coins : w->r.keys;
    if (below(6))
        return;
    const bool fails = below(2);
    if (fails)
        kv_mem_fail_writes(full, 1);
    do_something(w);
    kv_mem_fail_writes(full, 0);
}

static enum err tell(struct world *w, struct wallet *to, int number, bool alone)
{
    const struct block *b = &w->block[number];
    const struct wallet_block head = { .hash = hash_of(number), .prev = hash_of(b->prev),
                                       .height = b->height, .time = b->height };
    if (!alone)
        meanwhile(w);
    enum err rc = wallet_block_begin(to, &head, NULL);
    for (size_t i = 0; !rc && i < b->n; i++) {
        rc = wallet_block_tx(to, w->tx[b->tx[i]], (uint32_t)i, NULL);
        if (!alone)
            meanwhile(w);
    }
    if (rc)
        wallet_block_cancel(to);
    if (rc)
        return rc;
    return alone || below(4) == 0 ? wallet_block_end(to, NULL) : wallet_block_end_later(to, NULL);
}

/* One block back or forth, as the follower goes; false: at the tip. */
static bool step(struct world *w, struct wallet *to, bool alone, enum err *rc)
{
    struct block_hash hash;
    int32_t height, next;
    *rc = OK;
    if (!wallet_best(to, &hash, &height, &next)) {
        *rc = tell(w, to, at_height(w, FIRST), alone);
        return true;
    }
    const int best = (int)le32_get(hash.b);
    if (at_height(w, height) != best) {
        const struct block_hash prev = hash_of(w->block[best].prev);
        *rc = wallet_undo_block(to, &hash, &prev, NULL);
        return true;
    }
    if (next == HISTORY_NO_HEIGHT && height == w->tip)
        return false;
    *rc = tell(w, to, at_height(w, next == HISTORY_NO_HEIGHT ? height + 1 : next), alone);
    return true;
}

static void to_the_tip(struct world *w, struct wallet *to)
{
    enum err rc;
    for (int tries = 0; step(w, to, true, &rc); tries++) {
        assert_true(rc == OK || rc == ERR_BUSY);
        assert_true(tries < 20000);
    }
    assert_int_equal(wallet_sync(to, NULL), OK);
}

static void live(struct world *w)
{
    struct kv *full = below(2) ? w->r.coins : w->r.keys;
    enum err rc = OK;
    switch (below(12)) {
    case 0:
        reorganise(w);
        break;
    case 1:
        rig_reopen(&w->r);
        break;
    case 2:
        kv_mem_fail_writes(full, 1 + below(3));
        for (int i = 0; i < 6 && !rc; i++)
            step(w, w->r.w, true, &rc);
        kv_mem_fail_writes(full, 0);
        if (rc && below(2))
            rig_reopen(&w->r);
        break;
    case 3:
    case 4:
        grow(w);
        break;
    case 5:
        do_something(w);
        break;
    default:
        step(w, w->r.w, false, &rc);
    }
    if (rc && rc != ERR_BUSY)
        assert_int_equal(rc, ERR_IO);
}

/* --- the comparison -------------------------------------------------------------------------- */

struct ids {
    struct txid id[TXS];
    size_t n;
};

static bool keep_id(void *ctx, const struct history_tx *t)
{
    struct ids *ids = (struct ids *)ctx;
    ids->id[ids->n++] = t->tx->id;
    return true;
}

/* What only one of them can know: transactions that left the chain. */
static void forget_unconfirmed(struct wallet *w)
{
    struct history *h = wallet_history(w);
    struct ids *ids = (struct ids *)xcalloc(1, sizeof *ids);
    assert_int_equal(history_list_unconfirmed(h, keep_id, ids, NULL), OK);
    for (size_t i = 0; i < ids->n; i++)
        assert_int_equal(history_remove(h, &ids->id[i], NULL), OK);
    free(ids);
}

static struct wallet *open_copy(const struct world *w, struct kv *coins)
{
    struct wallet *copy;
    assert_int_equal(wallet_open_stores(&copy, kv_copy(w->r.keys), coins, "copy",
                                        &wallet_test_params, NULL), OK);
    return copy;
}

struct told {
    bool found;
    struct history_tx t;
};

static bool keep_tx(void *ctx, const struct history_tx *t)
{
    ((struct told *)ctx)->t = *t;
    return true;
}

static struct told look_at(struct wallet *w, const struct txid *id)
{
    struct told told = { .found = false };
    assert_int_equal(history_get_tx(wallet_history(w), id, keep_tx, &told, &told.found, NULL), OK);
    return told;
}

static void assert_same_tx(struct wallet *a, struct wallet *b, const struct txid *id)
{
    const struct told x = look_at(a, id), y = look_at(b, id);
    assert_int_equal(x.found, y.found);
    if (!x.found)
        return;
    assert_int_equal(x.t.height, y.t.height);
    assert_true(block_hash_equal(&x.t.block, &y.t.block));
    assert_int_equal(x.t.position, y.t.position);
    assert_int_equal(x.t.confirmations, y.t.confirmations);
    assert_int_equal(x.t.from_us, y.t.from_us);
    assert_int_equal(x.t.coinbase, y.t.coinbase);
    assert_int_equal(x.t.abandoned, y.t.abandoned);
}

static void assert_same_coin(struct wallet *a, struct wallet *b, const struct outpoint *at)
{
    struct history_coin x, y;
    bool in_a, in_b;
    assert_int_equal(history_get_coin(wallet_history(a), at, &x, &in_a, NULL), OK);
    assert_int_equal(history_get_coin(wallet_history(b), at, &y, &in_b, NULL), OK);
    assert_int_equal(in_a, in_b);
    if (!in_a)
        return;
    assert_int_equal(x.value, y.value);
    assert_int_equal(x.height, y.height);
    assert_int_equal(x.coinbase, y.coinbase);
    assert_int_equal(x.immature, y.immature);
    assert_int_equal(x.owned, y.owned);
    assert_int_equal(x.owner.kind, y.owner.kind);
    assert_int_equal(x.spent, y.spent);
    if (x.spent)
        assert_true(txid_equal(&x.spent_by, &y.spent_by));
}

static void assert_same(const struct world *w, struct wallet *a, struct wallet *b)
{
    struct history_balance x, y;
    for (int i = 0; i < w->n_txs; i++) {
        assert_same_tx(a, b, &w->tx[i]->id);
        for (size_t k = 0; k < w->tx[i]->n_out; k++) {
            const struct outpoint at = out_of(w->tx[i], (uint32_t)k);
            assert_same_coin(a, b, &at);
        }
    }
    assert_int_equal(history_balance(wallet_history(a), 0, &x, NULL), OK);
    assert_int_equal(history_balance(wallet_history(b), 0, &y, NULL), OK);
    assert_memory_equal(&x, &y, sizeof x);
}

static void compare(struct world *w)
{
    if (w->owes)
        assert_int_equal(wallet_rescan(w->r.w, FIRST, HISTORY_TO_BEST, NULL), OK);
    w->owes = false;
    to_the_tip(w, w->r.w);
    struct wallet *lived = open_copy(w, kv_copy(w->r.coins));
    struct wallet *fresh = open_copy(w, kv_open_mem());
    forget_unconfirmed(lived);
    to_the_tip(w, fresh);
    assert_same(w, lived, fresh);
    wallet_unref(lived);
    wallet_unref(fresh);
}

static void a_wallet_that_has_lived_knows_what_a_fresh_one_finds(void **state)
{
    (void)state;
    struct world *w = (struct world *)xcalloc(1, sizeof *w);
    for (uint64_t s = 1; s <= SEEDS; s++) {
        seed = s * UINT64_C(0x9e3779b97f4a7c15);
        *w = (struct world){ .r = rig_start(&from_phrase), .tip = RIG_START, .n_blocks = 1 };
        for (uint32_t i = 0; i < SECRETS; i++)
            w->secret[i] = secret_script(i);
        grow(w);
        for (int round = 0; round < ROUNDS; round++) {
            w->may_owe = round % 2;
            for (int i = 0; i < STEPS; i++)
                live(w);
            compare(w);
        }
        rig_stop(&w->r);
        for (int i = 0; i < w->n_txs; i++)
            tx_unref(w->tx[i]);
    }
    free(w);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wallet_that_has_lived_knows_what_a_fresh_one_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
