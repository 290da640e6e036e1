#include <config.h>

#include "tests/chain/made_block.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

static void put_tx(struct buf *b, size_t i, size_t script_len, uint32_t seed)
{
    uint8_t prev[32] = { 0 };
    le32_put(prev, (uint32_t)i + 1);
    le32_put(prev + 4, seed);
    buf_put_le32(b, 1);
    buf_put_compact(b, 1);
    buf_put(b, prev, sizeof(prev));
    buf_put_le32(b, (uint32_t)i);
    buf_put_var_bytes(b, "\x51\x52", 2);
    buf_put_le32(b, UINT32_MAX);
    buf_put_compact(b, 1);
    buf_put_le64(b, 1000 + i);
    buf_put_compact(b, script_len);
    memset(buf_extend(b, script_len), (int)(i & 0x7f), script_len);
    buf_put_le32(b, 0);
}

static struct made_block make(size_t n, size_t repeat, size_t script_len, uint32_t seed)
{
    struct made_block m = { .node = { .height = (int32_t)seed } };
    struct merkle tree;
    struct buf txs;
    size_t last = 0;
    buf_init(&txs);
    merkle_init(&tree);
    for (size_t i = 0; i < n; i++) {
        uint8_t id[32];
        last = txs.len;
        put_tx(&txs, i, script_len, seed);
        sha256d(id, txs.data + last, txs.len - last);
        merkle_add(&tree, id);
    }
    size_t last_len = txs.len - last;
    struct block_header h = { .version = 1,
                              .time = seed,
                              .merkle_root = merkle_root(&tree, &(bool){ false }) };
    buf_init(&m.raw);
    buf_reserve(&m.raw, txs.len + repeat * last_len + 100);
    block_header_write(&m.raw, &h);
    buf_put_compact(&m.raw, n + repeat);
    buf_put(&m.raw, txs.data, txs.len);
    for (size_t i = 0; i < repeat; i++)
        buf_put(&m.raw, txs.data + last, last_len);
    buf_clear(&txs);
    block_header_hash(&m.node.hash, &h);
    m.node.merkle_root = h.merkle_root;
    return m;
}

struct made_block made_block_new(size_t n, size_t script_len, uint32_t seed)
{
    return make(n, 0, script_len, seed);
}

struct made_block made_block_mutated(size_t n, size_t script_len, uint32_t seed)
{
    return make(n, 1, script_len, seed);
}

void made_block_clear(struct made_block *b)
{
    buf_clear(&b->raw);
}

uint32_t made_block_checksum(const struct made_block *b)
{
    uint8_t digest[32];
    sha256d(digest, b->raw.data, b->raw.len);
    return le32_get(digest);
}
