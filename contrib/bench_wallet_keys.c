/*
 * What a wallet with many keys costs, for contrib/bench: opening it, the first time and again, and
 * what it adds to the reading of blocks that do not concern it. The stores are in memory.
 *
 * usage: bench_wallet_keys KEYS     prints one line of JSON
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/kv.h"
#include "chain/block_reader.h"
#include "contrib/bench_loop.h"
#include "script/template.h"
#include "wallet/wallet_internal.h"

#define BLOCK_TXS 2000
#define BLOCKS 100

static int64_t now(void)
{
    return 1;
}

static const struct wallet_params params = { .magic = { 1 }, .network = HDKEY_TEST,
                                             .coin_type = 236, .gap_limit = 20, .now = now };

static void copy_store(struct kv *to, struct kv *from)
{
    struct kv_iter *it = kv_iter_new(from);
    struct kv_batch *b = kv_batch_new(to);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        kv_batch_put(b, key.data, key.len, value.data, value.len);
    }
    if (kv_write(to, b, KV_SYNC, NULL))
        die("a store cannot be written");
    kv_iter_free(it);
    kv_batch_free(b);
}

/* As after the end of the process; seconds that opening took. */
static double open_again(struct wallet **w, struct kv **keys, struct kv **coins)
{
    struct kv *k = kv_open_mem(), *c = kv_open_mem();
    copy_store(k, *keys);
    copy_store(c, *coins);
    if (*w)
        wallet_unref(*w);
    *keys = k;
    *coins = c;
    const double start = cpu_seconds();
    if (wallet_open_stores(w, k, c, "w", &params, NULL))
        die("the wallet cannot be opened");
    return cpu_seconds() - start;
}

/* n bytes that differ for each use. */
static void fill(uint8_t *out, size_t n, uint32_t use, uint32_t number)
{
    uint8_t digest[32], seed[8];
    le32_put(seed, use);
    le32_put(seed + 4, number);
    sha256(digest, seed, sizeof seed);
    memcpy(out, digest, n);
}

static void put_tx(struct buf *b, uint32_t number)
{
    uint8_t unlock[107] = { 71 }, script[SCRIPT_P2PKH_SIZE], id[32];
    buf_put_le32(b, 1);
    buf_put_compact(b, 2);
    for (uint32_t i = 0; i < 2; i++) {
        fill(id, sizeof id, i, number);
        buf_put(b, id, sizeof id);
        buf_put_le32(b, i);
        buf_put_var_bytes(b, unlock, sizeof unlock);
        buf_put_le32(b, TX_SEQUENCE_FINAL);
    }
    buf_put_compact(b, 2);
    for (uint32_t i = 0; i < 2; i++) {
        fill(id, 20, 2 + i, number);
        script_make_p2pkh(script, id);
        buf_put_le64(b, 1000);
        buf_put_var_bytes(b, script, sizeof script);
    }
    buf_put_le32(b, 0);
}

static struct block_bytes *make_block(void)
{
    static const uint8_t header[80];
    struct buf b = { 0 };
    buf_put(&b, header, sizeof header);
    buf_put_compact(&b, BLOCK_TXS);
    for (uint32_t i = 0; i < BLOCK_TXS; i++)
        put_tx(&b, i);
    return block_bytes_new(b.data, b.len);
}

static void tell_segment(struct wallet *w, const struct block_segment *s)
{
    for (size_t i = 0; w && i < s->n_txs; i++)
        if (wallet_block_tx(w, &s->txs[i], (uint32_t)(s->first + i), NULL))
            die("a transaction was refused");
}

/* In segments, as the follower of the node reads it; w may be NULL. */
static void read_block(struct wallet *w, struct block_bytes *block)
{
    struct block_reader *r;
    struct block_segment *s = NULL;
    enum err rc = block_reader_open(&r, NULL, NULL, block_bytes_ref(block), 1 << 20, NULL);
    while (!rc && !(rc = block_reader_next(r, &s, NULL)) && s) {
        tell_segment(w, s);
        block_segment_unref(s);
    }
    if (rc)
        die("a block cannot be read");
    block_reader_close(r);
}

/* Of all blocks; w: and they are told to it. */
static double time_blocks(struct wallet *w, struct block_bytes *block)
{
    const double start = cpu_seconds();
    for (int32_t height = 1; height <= BLOCKS; height++) {
        const struct wallet_block b = { .hash = { { (uint8_t)height } },
                                        .prev = { { (uint8_t)(height - 1) } }, .height = height };
        if (w && wallet_block_begin(w, &b, NULL))
            die("a block was refused");
        read_block(w, block);
        if (w && wallet_block_end_later(w, NULL))
            die("a block was not taken");
    }
    if (w && wallet_sync(w, NULL))
        die("the blocks are not written");
    return cpu_seconds() - start;
}

int main(int argc, char **argv)
{
    const unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    struct kv *keys = kv_open_mem(), *coins = kv_open_mem();
    struct wallet *w = NULL;
    ec_init();
    if (n < 1 || n > 1000000) {
        fprintf(stderr, "usage: bench_wallet_keys KEYS     1 to 1,000,000\n");
        return 1;
    }
    if (wallet_make_keys(keys, &params, &(struct wallet_new){ .birth = 1 }, NULL))
        die("no wallet");
    (void)open_again(&w, &keys, &coins);
    if (keystore_raise_index(wallet_keystore(w), 0, KEYSTORE_RECEIVE, (uint32_t)n, NULL))
        die("no keys");
    const double first = open_again(&w, &keys, &coins), again = open_again(&w, &keys, &coins);
    struct block_bytes *block = make_block();
    (void)time_blocks(NULL, block);
    const double read = time_blocks(NULL, block), scan = time_blocks(w, block);
    printf("{\"keys\": %lu, \"first_s\": %.3f, \"again_s\": %.3f, \"read_us\": %.3f, "
           "\"scan_us\": %.3f}\n", n, first, again, read * 1e6 / (BLOCKS * BLOCK_TXS),
           scan * 1e6 / (BLOCKS * BLOCK_TXS));
    block_bytes_unref(block);
    wallet_unref(w);
    return 0;
}
