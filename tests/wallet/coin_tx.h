/* Transactions for tests of the wallet's coins: scripts of three owners, any inputs. */
#ifndef TESTS_WALLET_COIN_TX_H
#define TESTS_WALLET_COIN_TX_H

#include "base/kv.h"
#include "base/tx.h"
#include "script/template.h"
#include "tests/kv_tools.h"
#include "tests/test.h"
#include "wallet/scripts.h"

enum payee { PAY_MINE, PAY_WATCHED, PAY_FOREIGN };

#define PAYEE_MINE_ID 1
#define PAYEE_WATCHED_ID 2

struct coin_out {
    int64_t value;
    enum payee payee;
};

static inline struct span payee_script(enum payee payee)
{
    static uint8_t scripts[3][SCRIPT_P2PKH_SIZE];
    uint8_t hash[20];
    memset(hash, 0x40 + (int)payee, sizeof hash);
    script_make_p2pkh(scripts[payee], hash);
    return span_of(scripts[payee], SCRIPT_P2PKH_SIZE);
}

/* The table that knows the first two. */
static inline struct scripts *payee_scripts(void)
{
    struct scripts *s = scripts_new();
    assert_true(scripts_add(s, payee_script(PAY_MINE),
                            (struct owner){ PAYEE_MINE_ID, OWNER_SPENDABLE }));
    assert_true(scripts_add(s, payee_script(PAY_WATCHED),
                            (struct owner){ PAYEE_WATCHED_ID, OWNER_WATCH }));
    return s;
}

static inline struct outpoint out_of(const struct tx *tx, uint32_t index)
{
    return (struct outpoint){ tx->id, index };
}

/* An outpoint of nobody's. */
static inline struct outpoint strange_out(uint32_t n)
{
    struct outpoint at = { .index = n };
    memset(at.txid.b, 0xee, 32);
    return at;
}

/* n_in 0: a coinbase. number makes it differ from its likes. */
static inline struct tx *coin_tx(uint32_t number, const struct outpoint *in, size_t n_in,
                                 const struct coin_out *out, size_t n_out)
{
    static const struct outpoint null_out = { .index = UINT32_MAX };
    struct buf b = { 0 };
    struct error e;
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n_in ? n_in : 1);
    for (size_t i = 0; i < (n_in ? n_in : 1); i++) {
        const struct outpoint *at = n_in ? &in[i] : &null_out;
        buf_put(&b, at->txid.b, 32);
        buf_put_le32(&b, at->index);
        buf_put_compact(&b, 0);
        buf_put_le32(&b, TX_SEQUENCE_FINAL);
    }
    buf_put_compact(&b, n_out);
    for (size_t i = 0; i < n_out; i++) {
        const struct span script = payee_script(out[i].payee);
        buf_put_le64(&b, (uint64_t)out[i].value);
        buf_put_var_bytes(&b, script.data, script.len);
    }
    buf_put_le32(&b, number);
    struct tx *tx = tx_new(b.data, b.len, &e);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

#endif
