/* A wallet over two stores in memory, and blocks for it. */
#ifndef TESTS_WALLET_WALLET_UTIL_H
#define TESTS_WALLET_WALLET_UTIL_H

#include <string.h>

#include "base/hash.h"
#include "script/template.h"
#include "tests/wallet/coin_tx.h"
#include "wallet/wallet_internal.h"

#define TEST_PHRASE                                                                              \
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "   \
    "about"
enum { TEST_GAP = 5, RIG_START = 100 };

static inline int64_t wallet_test_now(void)
{
    return 1000000;
}

static const struct wallet_params wallet_test_params = {
    .magic = { 0xfa, 0xbf, 0xb5, 0xda }, .network = HDKEY_TEST, .address_version = 111,
    .secret_version = 239, .coin_type = 236, .gap_limit = TEST_GAP, .now = wallet_test_now,
    .scrypt = { 2, 1, 1 },
};
static const struct wallet_new from_phrase = { .phrase = TEST_PHRASE };
static const struct span no_label = { NULL, 0 };

struct rig {
    struct kv *keys, *coins; /* owned by the wallet */
    struct wallet *w;
    int32_t height;          /* of the best block, RIG_START before the first */
    bool later;              /* blocks are written by wallet_sync */
    uint8_t branch;          /* of blocks to come */
    uint8_t branches[256];   /* of each block from RIG_START on: makes hashes differ */
};

static inline struct rig rig_start(const struct wallet_new *how)
{
    struct rig r = { .keys = kv_open_mem(), .coins = kv_open_mem(), .height = RIG_START };
    assert_int_equal(wallet_make_keys(r.keys, &wallet_test_params, how, NULL), OK);
    assert_int_equal(wallet_open_stores(&r.w, r.keys, r.coins, "w", &wallet_test_params, NULL),
                     OK);
    return r;
}

static inline void rig_stop(struct rig *r)
{
    wallet_unref(r->w);
}

/* As after the end of the process. */
static inline void rig_reopen(struct rig *r)
{
    struct kv *keys = kv_copy(r->keys), *coins = kv_copy(r->coins);
    wallet_unref(r->w);
    r->keys = keys;
    r->coins = coins;
    assert_int_equal(wallet_open_stores(&r->w, keys, coins, "w", &wallet_test_params, NULL), OK);
}

static inline struct span text_span(const char *s)
{
    return span_of(s, strlen(s));
}

struct pay_script {
    uint8_t bytes[SCRIPT_P2PKH_SIZE];
};

static inline struct span script_span(const struct pay_script *s)
{
    return span_of(s->bytes, sizeof s->bytes);
}

static inline struct pay_script script_of_key(const struct wallet_key *k)
{
    struct pay_script s;
    uint8_t hash[20];
    hash160(hash, k->key, k->key_len);
    script_make_p2pkh(s.bytes, hash);
    return s;
}

static inline struct pay_script foreign_script(uint8_t n)
{
    struct pay_script s;
    uint8_t hash[20];
    memset(hash, n, sizeof hash);
    script_make_p2pkh(s.bytes, hash);
    return s;
}

/* Of a key of the phrase's tree, whether the wallet made it or not. */
static inline struct pay_script script_at(const struct rig *r, enum keystore_branch branch,
                                          uint32_t index)
{
    struct hdkey child;
    struct wallet_key k = { .key_len = EC_PUBKEY_SIZE };
    assert_int_equal(hdkey_child(&child, &r->w->branches[branch].key, index, NULL), OK);
    memcpy(k.key, child.key, EC_PUBKEY_SIZE);
    return script_of_key(&k);
}

static inline struct wallet_key new_key(struct rig *r, enum keystore_branch branch)
{
    struct wallet_key k;
    assert_int_equal(wallet_new_key(r->w, branch, no_label, &k, NULL), OK);
    return k;
}

/* One output, from nobody's coin; number makes it differ from its likes. */
static inline struct tx *pay_tx(uint32_t number, int64_t value, struct span script)
{
    const struct outpoint at = strange_out(number);
    struct buf b = { 0 };
    buf_put_le32(&b, 1);
    buf_put_compact(&b, 1);
    buf_put(&b, at.txid.b, 32);
    buf_put_le32(&b, at.index);
    buf_put_compact(&b, 0);
    buf_put_le32(&b, TX_SEQUENCE_FINAL);
    buf_put_compact(&b, 1);
    buf_put_le64(&b, (uint64_t)value);
    buf_put_var_bytes(&b, script.data, script.len);
    buf_put_le32(&b, 0);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

static inline struct block_hash rig_hash(const struct rig *r, int32_t height)
{
    struct block_hash hash = { .b = { r->branches[height - RIG_START] } };
    le32_put(hash.b + 4, (uint32_t)height);
    return hash;
}

/* Tells a block once. */
static inline enum err tell_block(struct rig *r, int32_t height, struct tx *const *txs, size_t n)
{
    if (height > r->height)
        r->branches[height - RIG_START] = r->branch;
    const struct wallet_block b = { .hash = rig_hash(r, height), .prev = rig_hash(r, height - 1),
                                    .height = height, .time = 5000 + height };
    enum err rc = wallet_block_begin(r->w, &b, NULL);
    for (size_t i = 0; !rc && i < n; i++)
        rc = wallet_block_tx(r->w, txs[i], (uint32_t)i, NULL);
    if (rc)
        wallet_block_cancel(r->w);
    if (rc)
        return rc;
    return r->later ? wallet_block_end_later(r->w, NULL) : wallet_block_end(r->w, NULL);
}

/* As often as it is wanted; never without an end. */
static inline enum err tell_until_taken(struct rig *r, int32_t height, struct tx *const *txs,
                                        size_t n)
{
    enum err rc = ERR_BUSY;
    for (int tries = 0; rc == ERR_BUSY && tries < 50; tries++)
        rc = tell_block(r, height, txs, n);
    return rc;
}

static inline void next_block(struct rig *r, struct tx *const *txs, size_t n)
{
    assert_int_equal(tell_until_taken(r, r->height + 1, txs, n), OK);
    r->height++;
}

static inline void undo_block(struct rig *r)
{
    const struct block_hash hash = rig_hash(r, r->height), prev = rig_hash(r, r->height - 1);
    assert_int_equal(wallet_undo_block(r->w, &hash, &prev, NULL), OK);
    r->height--;
}

/* A block with one payment to this script. */
static inline void pay_in_block(struct rig *r, uint32_t number, int64_t value,
                                const struct pay_script *to)
{
    struct tx *tx = pay_tx(number, value, script_span(to));
    next_block(r, &tx, 1);
    tx_unref(tx);
}

static inline struct history_balance balance_of(struct rig *r)
{
    struct history_balance b;
    wallet_lock(r->w);
    assert_int_equal(history_balance(wallet_history(r->w), 0, &b, NULL), OK);
    wallet_unlock(r->w);
    return b;
}

static inline int64_t trusted(struct rig *r)
{
    return balance_of(r).spendable.trusted;
}

#endif
