#include "chain/miner.h"

#include "base/amount.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/rand.h"
#include "chain/check.h"
#include "chain/header_index.h"
#include "chain/pow.h"

#define COINBASE_VERSION 1
#define EXTRA_NONCE_SIZE 8 /* random bytes pushed after the height */
#define NONCE_OFFSET 76    /* in the header */

enum err miner_reward(const struct chain_params *p, const struct block_template *t, int64_t *value,
                      struct error *e)
{
    if (add_i64(params_subsidy(p, t->height), t->totals.fees, value) && money_range(*value))
        return OK;
    return error_set(e, ERR_RANGE, "reward with %lld satoshis of fees is out of range",
                     (long long)t->totals.fees);
}

/* Height, always (also where BIP34 is not in force), and a push of random bytes. */
static void put_coinbase_script(struct buf *b, int32_t height)
{
    uint8_t script[COINBASE_HEIGHT_PUSH_MAX + 1 + EXTRA_NONCE_SIZE];
    size_t len = coinbase_height_push(script, height);
    script[len++] = EXTRA_NONCE_SIZE;
    rand_bytes(script + len, EXTRA_NONCE_SIZE);
    buf_put_var_bytes(b, script, len + EXTRA_NONCE_SIZE);
}

enum err miner_make_coinbase(const struct chain_params *p, const struct block_template *t,
                             struct span script, struct buf *out, struct error *e)
{
    static const uint8_t null_txid[32];
    int64_t value;
    const enum err rc = miner_reward(p, t, &value, e);
    if (rc)
        return rc;
    buf_put_le32(out, COINBASE_VERSION);
    buf_put_compact(out, 1);
    buf_put(out, null_txid, sizeof(null_txid));
    buf_put_le32(out, UINT32_MAX);
    put_coinbase_script(out, t->height);
    buf_put_le32(out, TX_SEQUENCE_FINAL);
    buf_put_compact(out, 1);
    buf_put_le64(out, (uint64_t)value);
    buf_put_var_bytes(out, script.data, script.len);
    buf_put_le32(out, 0); /* lock time */
    return OK;
}

uint32_t miner_block_time(const struct header_node *prev, int64_t now)
{
    const int64_t earliest = (int64_t)header_median_time(prev) + 1;
    return (uint32_t)MIN_OF(MAX_OF(earliest, now), (int64_t)UINT32_MAX);
}

struct block_header miner_make_header(const struct chain_params *p, const struct block_template *t,
                                      const struct txid *coinbase, int64_t now)
{
    struct block_header h = { .version = MINER_VERSION,
                              .prev = t->prev->hash,
                              .merkle_root = block_template_root(t, coinbase),
                              .time = miner_block_time(t->prev, now) };
    h.bits = pow_required_bits(p, t->prev, h.time);
    return h;
}

enum err miner_solve(const struct chain_params *p, struct block_header *h, uint64_t *tries,
                     const struct cancel *cancel, bool *found, struct error *e)
{
    uint8_t raw[BLOCK_HEADER_SIZE];
    uint64_t nonce = h->nonce;
    *found = false;
    block_header_put(raw, h);
    for (; !*found && *tries > 0 && nonce <= UINT32_MAX; nonce++, --*tries) {
        if (cancelled(cancel))
            return error_set(e, ERR_CANCELLED, "mining was stopped");
        struct block_hash hash;
        h->nonce = (uint32_t)nonce;
        le32_put(raw + NONCE_OFFSET, h->nonce);
        sha256d(hash.b, raw, sizeof(raw));
        *found = pow_hash_ok(p, &hash, h->bits);
    }
    if (!*found)
        h->nonce = (uint32_t)nonce; /* the next call goes on here */
    return OK;
}

enum err miner_mine(const struct miner_job *job, uint64_t *tries, const struct cancel *cancel,
                    struct block_header *header, struct buf *coinbase, bool *found,
                    struct error *e)
{
    enum err rc = OK;
    *found = false;
    while (!rc && !*found && *tries > 0) {
        struct txid id;
        buf_reset(coinbase);
        rc = miner_make_coinbase(job->params, job->rest, job->script, coinbase, e);
        if (rc)
            break;
        sha256d(id.b, coinbase->data, coinbase->len);
        *header = miner_make_header(job->params, job->rest, &id, job->now);
        if (job->version)
            header->version = job->version;
        rc = miner_solve(job->params, header, tries, cancel, found, e);
    }
    return rc;
}
