/* Identities that are registered in a block of their own. */
#ifndef TESTS_WALLET_IDENTITY_UTIL_H
#define TESTS_WALLET_IDENTITY_UTIL_H

#include "bca/work.h"
#include "tests/wallet/wallet_util.h"
#include "wallet/identity.h"

static const uint8_t identity_prefix[BCA_PREFIX_SIZE] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1 };
static const struct identity_form identity_form = { .network = BCA_NET_REGTEST,
                                                    .prefix = identity_prefix, .sec = -1 };

static inline void put_output(struct buf *tx, uint64_t value, const uint8_t *script, size_t len)
{
    buf_put_le64(tx, value);
    buf_put_var_bytes(tx, script, len);
}

static inline void make_registration(struct identity *id)
{
    static const uint8_t spent[32] = { 7 };
    buf_put_le32(&id->tx, 1);
    buf_put_compact(&id->tx, 1);
    buf_put(&id->tx, spent, sizeof spent);
    buf_put_le32(&id->tx, 0);
    buf_put_compact(&id->tx, 0);
    buf_put_le32(&id->tx, UINT32_MAX);
    buf_put_compact(&id->tx, 2);
    put_output(&id->tx, 0, id->registration, sizeof id->registration);
    put_output(&id->tx, 1, id->marker, sizeof id->marker);
    buf_put_le32(&id->tx, 0);
}

/* Alone in a block of regtest. */
static inline void mine_registration(struct identity *id)
{
    struct bca_work work;
    sha256d(id->txid.b, id->tx.data, id->tx.len);
    memset(id->header, 0, sizeof id->header);
    memcpy(id->header + 36, id->txid.b, 32);
    le32_put(id->header + 72, 0x207fffff);
    for (uint32_t nonce = 0;; nonce++) {
        le32_put(id->header + 76, nonce);
        bca_work_read(id->header, &work);
        if (bca_work_meets_target(&work, bca_rules_get(BCA_NET_REGTEST)))
            break;
    }
    id->sent = id->mined = true;
}

/* id is initialized. */
static inline void mined_identity(struct wallet *w, const char *name, unsigned n,
                                  struct identity *id)
{
    assert_int_equal(identity_create(w, name, n, id, NULL), OK);
    make_registration(id);
    mine_registration(id);
    assert_int_equal(identity_store(wallet_keystore(w), id, NULL), OK);
}

#endif
