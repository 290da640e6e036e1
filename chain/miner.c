#include "chain/miner.h"

#include "base/amount.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/rand.h"
#include "chain/check.h"
#include "chain/pow.h"

#define COINBASE_VERSION 1
#define EXTRA_NONCE_SIZE 8 /* random bytes pushed after the height */
#define NONCE_OFFSET 76    /* in the header */

/* Height, always (also where BIP34 is not in force), and a push of random bytes. */
static void put_coinbase_script(struct buf *b, int32_t height)
{
    uint8_t script[COINBASE_HEIGHT_PUSH_MAX + 1 + EXTRA_NONCE_SIZE];
    size_t len = coinbase_height_push(script, height);
    script[len++] = EXTRA_NONCE_SIZE;
    rand_bytes(script + len, EXTRA_NONCE_SIZE);
    buf_put_var_bytes(b, script, len + EXTRA_NONCE_SIZE);
}

static void put_coinbase(struct buf *b, const struct miner_job *job, int32_t height, int64_t value)
{
    static const uint8_t null_txid[32];
    buf_put_le32(b, COINBASE_VERSION);
    buf_put_compact(b, 1);
    buf_put(b, null_txid, sizeof(null_txid));
    buf_put_le32(b, UINT32_MAX);
    put_coinbase_script(b, height);
    buf_put_le32(b, TX_SEQUENCE_FINAL);
    buf_put_compact(b, 1);
    buf_put_le64(b, (uint64_t)value);
    buf_put_var_bytes(b, job->script.data, job->script.len);
    buf_put_le32(b, 0); /* lock time */
}

static struct hash256 root_of(const struct miner_job *job, const struct span coinbase)
{
    struct merkle m;
    struct txid id;
    merkle_init(&m);
    sha256d(id.b, coinbase.data, coinbase.len);
    merkle_add(&m, id.b);
    for (size_t i = 0; i < job->n_txs; i++)
        merkle_add(&m, job->txs[i]->id.b);
    return merkle_root(&m, NULL);
}

uint32_t miner_block_time(const struct header_node *prev, int64_t now)
{
    const int64_t earliest = (int64_t)header_median_time(prev) + 1;
    return (uint32_t)MIN_OF(MAX_OF(earliest, now), (int64_t)UINT32_MAX);
}

static enum err reserve(struct buf *block, const struct miner_job *job, struct error *e)
{
    uint64_t size = BLOCK_HEADER_SIZE + 1024 + job->script.len; /* header, count, coinbase */
    for (size_t i = 0; i < job->n_txs; i++)
        if (!add_u64(size, job->txs[i]->raw.len, &size))
            return error_set(e, ERR_RANGE, "block size overflows");
    buf_reset(block);
    return buf_try_reserve(block, size)
               ? OK
               : error_set(e, ERR_NOMEM, "no memory for a block of %llu bytes",
                           (unsigned long long)size);
}

enum err miner_make_block(const struct miner_job *job, struct buf *block, struct error *e)
{
    const int32_t height = job->prev->height + 1;
    int64_t value;
    if (!add_i64(params_subsidy(job->params, height), job->fees, &value) || !money_range(value))
        return error_set(e, ERR_RANGE, "reward with %lld satoshis of fees is out of range",
                         (long long)job->fees);
    const enum err rc = reserve(block, job, e);
    if (rc)
        return rc;

    buf_extend(block, BLOCK_HEADER_SIZE); /* written last */
    buf_put_compact(block, job->n_txs + 1);
    const size_t coinbase_at = block->len;
    put_coinbase(block, job, height, value);
    const struct span coinbase = span_of(block->data + coinbase_at, block->len - coinbase_at);

    struct block_header header = {
        .version = MINER_VERSION,
        .prev = job->prev->hash,
        .merkle_root = root_of(job, coinbase),
        .time = miner_block_time(job->prev, job->now),
    };
    header.bits = pow_required_bits(job->params, job->prev, header.time);
    block_header_put(block->data, &header);
    for (size_t i = 0; i < job->n_txs; i++)
        buf_put(block, job->txs[i]->raw.data, job->txs[i]->raw.len);
    return OK;
}

enum err miner_solve(const struct chain_params *p, struct buf *block, uint64_t *tries,
                     const struct cancel *cancel, bool *found, struct error *e)
{
    struct block_header header;
    struct reader r;
    *found = false;
    reader_init(&r, block->data, block->len);
    block_header_read(&r, &header);
    if (r.failed)
        return error_set(e, ERR_PARSE, "a block of %zu bytes has no header", block->len);
    uint64_t nonce = header.nonce;
    for (; !*found && *tries > 0 && nonce <= UINT32_MAX; nonce++, --*tries) {
        if (cancelled(cancel))
            return error_set(e, ERR_CANCELLED, "mining was stopped");
        struct block_hash hash;
        le32_put(block->data + NONCE_OFFSET, (uint32_t)nonce);
        sha256d(hash.b, block->data, BLOCK_HEADER_SIZE);
        *found = pow_hash_ok(p, &hash, header.bits);
    }
    if (!*found)
        le32_put(block->data + NONCE_OFFSET, (uint32_t)nonce); /* the next call goes on here */
    return OK;
}

enum err miner_mine(const struct miner_job *job, uint64_t *tries, const struct cancel *cancel,
                    struct buf *block, bool *found, struct error *e)
{
    enum err rc = OK;
    *found = false;
    while (!rc && !*found && *tries > 0) {
        rc = miner_make_block(job, block, e);
        if (!rc)
            rc = miner_solve(job->params, block, tries, cancel, found, e);
    }
    return rc;
}
