#include "tests/chain/pool_util.h"

#include <string.h>

struct outpoint pool_coin(uint32_t number)
{
    struct outpoint o = { .index = 0 };
    memset(o.txid.b, 0xc0, sizeof(o.txid.b));
    le32_put(o.txid.b, number);
    return o;
}

struct outpoint pool_out(const struct tx *tx, uint32_t index)
{
    return (struct outpoint){ tx->id, index };
}

static void put_output(struct buf *b, size_t script)
{
    buf_put_le64(b, 1000);
    buf_put_compact(b, script);
    memset(buf_extend(b, script), 0x51, script);
}

struct tx *pool_tx(const struct outpoint *in, size_t n_in, size_t n_out, size_t size)
{
    struct buf b = { 0 };
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n_in);
    for (size_t i = 0; i < n_in; i++) {
        buf_put(&b, in[i].txid.b, 32);
        buf_put_le32(&b, in[i].index);
        buf_put_compact(&b, 0);
        buf_put_le32(&b, UINT32_MAX);
    }
    buf_put_compact(&b, n_out);
    for (size_t i = 0; i + 1 < n_out; i++)
        put_output(&b, 1);
    const size_t rest = b.len + 8 + 3 + 4; /* value, long count, lock time */
    put_output(&b, size > rest + 0xfd ? size - rest : size > rest + 2 ? size - rest + 2 : 1);
    buf_put_le32(&b, 0);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

struct tx *pool_child(const struct tx *parent, uint32_t index, size_t n_out, size_t size)
{
    const struct outpoint in = parent ? pool_out(parent, index) : pool_coin(index);
    return pool_tx(&in, 1, n_out, size);
}

struct mempool_options pool_options(void)
{
    return (struct mempool_options){
        .max_bytes = 1000000000,
        .max_secondary_bytes = 100000000,
        .expiry_s = 336 * 3600,
        .mining_fee_per_kb = 500,
        .max_ancestors = 10000,
        .max_group_members = 25,
    };
}

struct mempool_entry *pool_add(struct mempool *mp, struct tx *tx, int64_t fee)
{
    const struct mempool_candidate c = { .tx = tx, .fee = fee, .time = 1000, .height = 100 };
    struct mempool_entry *e = mempool_add(mp, &c);
    assert_non_null(e);
    tx_unref(tx);
    return e;
}

uint32_t pool_draw(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}
