/*
 * Makes chains for tests and for contrib/bench, without a node: a file for -loadblock with signed
 * P2PKH spends on regtest, or a file of bare headers. The same options give the same bytes.
 *
 *   gen_chain -out=FILE [-inputs=N] [-pertx=K] [-txs=N] [-big=BYTES] [-tail=N] [-signatures=FILE]
 *             [-seed=N]
 *   gen_chain -out=FILE -headers=N
 *
 * The chain: coinbases to one key until enough have matured, blocks with one fan-out transaction
 * each, blocks of spends with K inputs and one output each, and at the end, with -big, one block
 * that carries so many bytes of data outputs. All of it is valid under regtest's default heights,
 * that is under the rules before Genesis (spec consensus 1.1, 3.1, 3.4): a transaction has at most
 * 1,000,000 bytes and a fan-out at most 20,000 signature operations.
 *
 * -signatures writes a record of public key, signature and digest for each input, for the bare
 * verification loop of bench_verify.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/block.h"
#include "base/config.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/tx.h"
#include "contrib/signature_record.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/sighash.h"

#define COIN INT64_C(100000000)
#define REGTEST_HALVING 150
#define MATURITY 100
#define FAN_OUT_MAX 19000 /* outputs: below 20,000 signature operations and 1,000,000 bytes */
#define DATA_TX_MAX 990000 /* bytes of data in one transaction */
#define START_TIME UINT32_C(1600000000)
#define EASY_BITS UINT32_C(0x207fffff)
#define THREADS_MAX 64

static const uint8_t disk_magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static const struct option_row option_rows[] = {
    { .name = "out", .type = OPTION_STRING, .arg = "<file>", .help = "File to write", .category = "Options" },
    { .name = "inputs", .type = OPTION_INT, .def = "200000", .max = INT32_MAX, .arg = "<n>",
      .help = "Signed inputs in all", .category = "Options" },
    { .name = "pertx", .type = OPTION_INT, .def = "2", .min = 1, .max = 1000, .arg = "<n>",
      .help = "Inputs of each transaction", .category = "Options" },
    { .name = "txs", .type = OPTION_INT, .def = "2000", .min = 1, .max = 1000000, .arg = "<n>",
      .help = "Transactions of each block", .category = "Options" },
    { .name = "big", .type = OPTION_SIZE, .def = "0", .max = INT64_C(4200000000), .arg = "<size>",
      .help = "Data in one last block; 0: no such block", .category = "Options" },
    { .name = "tail", .type = OPTION_INT, .def = "0", .max = 1000000, .arg = "<n>",
      .help = "Empty blocks after the others; 2,100 are more than two weeks of work", .category = "Options" },
    { .name = "signatures", .type = OPTION_STRING, .arg = "<file>", .help = "File for the signatures",
      .category = "Options" },
    { .name = "seed", .type = OPTION_INT, .def = "1", .min = 1, .max = INT64_MAX, .arg = "<n>",
      .help = "Start of all keys and data", .category = "Options" },
    { .name = "headers", .type = OPTION_INT, .def = "0", .max = INT32_MAX, .arg = "<n>",
      .help = "Write so many headers of 80 bytes and nothing else", .category = "Options" },
};

struct coin {
    struct txid txid;
    uint32_t index;
    int64_t value;
};

struct coins {
    struct coin *list;
    size_t n, cap, used;
};

struct gen {
    FILE *out, *signatures;
    uint8_t secret[32], key[65], script[25];
    struct block_hash tip;
    int32_t height;
    uint32_t time;
    struct merkle merkle; /* of the block being written */
    off_t start;          /* of its record */
    struct coins rewards, coins;
    uint64_t random;
    unsigned threads;
};

static void die(const char *text)
{
    fprintf(stderr, "gen_chain: %s\n", text);
    exit(1);
}

static void put(FILE *f, const void *data, size_t len)
{
    if (fwrite(data, 1, len, f) != len)
        die("write failed");
}

static void coins_add(struct coins *c, const struct txid *txid, uint32_t index, int64_t value)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 1024;
        c->list = xrealloc(c->list, c->cap * sizeof *c->list);
    }
    c->list[c->n++] = (struct coin){ *txid, index, value };
}

static const struct coin *coins_next(struct coins *c)
{
    if (c->used == c->n)
        die("out of coins");
    return &c->list[c->used++];
}

/* splitmix64 */
static uint64_t next_random(struct gen *g)
{
    uint64_t z = g->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void gen_init(struct gen *g, uint64_t seed)
{
    uint8_t text[8], digest[20];
    le64_put(text, seed);
    sha256(g->secret, text, sizeof text);
    ec_pubkey_create(g->key, g->secret, true);
    hash160(digest, g->key, 33);
    memcpy(g->script, "\x76\xa9\x14", 3);
    memcpy(g->script + 3, digest, 20);
    memcpy(g->script + 23, "\x88\xac", 2);
    hash_from_hex(g->tip.b, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    g->random = seed;
    g->time = START_TIME;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    g->threads = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

/* --- headers and blocks --------------------------------------------------------------------- */

static bool meets_target(const struct block_hash *hash)
{
    /* Target 7fffff << 232: the highest three bytes decide, but for one value in 2^23. */
    return hash->b[31] < 0x7f || (hash->b[31] == 0x7f && (hash->b[30] != 0xff || hash->b[29] != 0xff));
}

static void next_header(struct gen *g, const struct hash256 *root, uint8_t raw[BLOCK_HEADER_SIZE])
{
    struct block_header h = { .version = 0x20000000, .prev = g->tip, .merkle_root = *root,
                              .time = ++g->time, .bits = EASY_BITS, .nonce = 0 };
    block_header_put(raw, &h);
    do {
        le32_put(raw + 76, h.nonce++);
        sha256d(g->tip.b, raw, BLOCK_HEADER_SIZE);
    } while (!meets_target(&g->tip));
}

static struct txid block_put_tx(struct gen *g, const struct buf *raw)
{
    struct txid id;
    put(g->out, raw->data, raw->len);
    sha256d(id.b, raw->data, raw->len);
    merkle_add(&g->merkle, id.b);
    return id;
}

static int64_t subsidy(int32_t height)
{
    int halvings = height / REGTEST_HALVING;
    return halvings >= 64 ? 0 : 50 * COIN >> halvings;
}

static void put_output(struct buf *b, int64_t value, const void *script, size_t len)
{
    buf_put_le64(b, (uint64_t)value);
    buf_put_var_bytes(b, script, len);
}

static void put_coinbase(struct gen *g)
{
    struct buf tx, script;
    uint8_t null_txid[32] = { 0 };
    buf_init(&tx);
    buf_init(&script);
    script_put_num(&script, g->height);
    script_put_data(&script, "gen_chain", 9);
    buf_put_le32(&tx, 1);
    buf_put_compact(&tx, 1);
    buf_put(&tx, null_txid, sizeof null_txid);
    buf_put_le32(&tx, UINT32_MAX);
    buf_put_var_bytes(&tx, script.data, script.len);
    buf_put_le32(&tx, TX_SEQUENCE_FINAL);
    buf_put_compact(&tx, 1);
    put_output(&tx, subsidy(g->height), g->script, sizeof g->script);
    buf_put_le32(&tx, 0);
    struct txid id = block_put_tx(g, &tx);
    coins_add(&g->rewards, &id, 0, subsidy(g->height));
    buf_clear(&script);
    buf_clear(&tx);
}

/* Begins a record; its head is filled in by block_end, so that a block is never whole in memory. */
static void block_begin(struct gen *g, uint64_t n_txs)
{
    uint8_t room[8 + BLOCK_HEADER_SIZE] = { 0 };
    struct buf count;
    buf_init(&count);
    g->height++;
    g->start = ftello(g->out);
    merkle_init(&g->merkle);
    put(g->out, room, sizeof room);
    buf_put_compact(&count, n_txs + 1);
    put(g->out, count.data, count.len);
    buf_clear(&count);
    put_coinbase(g);
}

static void block_end(struct gen *g)
{
    uint8_t head[8 + BLOCK_HEADER_SIZE];
    struct hash256 root = merkle_root(&g->merkle, NULL);
    off_t end = ftello(g->out), size = end - g->start - 8;
    if (size > UINT32_MAX)
        die("the block does not fit a record of 32 bits");
    memcpy(head, disk_magic, 4);
    le32_put(head + 4, (uint32_t)size);
    next_header(g, &root, head + 8);
    if (fseeko(g->out, g->start, SEEK_SET))
        die("seek failed");
    put(g->out, head, sizeof head);
    if (fseeko(g->out, end, SEEK_SET))
        die("seek failed");
}

/* --- transactions --------------------------------------------------------------------------- */

/* scriptSig of one input, appended to `scripts`; its signature goes to `records` too. */
static void sign_input(const struct gen *g, struct sighash_cache *cache, size_t i, int64_t amount,
                       struct buf *scripts, struct buf *records)
{
    struct signature_record record = { .sig_len = 0 };
    uint8_t sig[73];
    const struct sighash_request request = { .code = span_of(g->script, sizeof g->script), .index = i,
                                             .amount = amount, .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
    if (sighash_bip143(cache, &request, record.digest) != SCRIPT_OK)
        die("digest failed");
    size_t len = ec_sign_der(sig, g->secret, record.digest);
    memcpy(record.key, g->key, sizeof record.key);
    memcpy(record.sig, sig, len);
    record.sig_len = (uint8_t)len;
    sig[len++] = (uint8_t)request.hash_type;
    script_put_data(scripts, sig, len);
    script_put_data(scripts, g->key, 33);
    buf_put(records, &record, sizeof record);
}

/* Reads the unsigned transaction back, since digests read a transaction where it is serialised. */
static void read_back(const struct buf *bare, struct arena *a, struct tx *tx)
{
    struct reader r;
    reader_init(&r, bare->data, bare->len);
    if (tx_read(&r, a, tx) || !reader_done(&r))
        die("own transaction cannot be read");
}

/* Signs every input of the unsigned transaction over the coins it spends; the whole goes to *raw. */
static void sign_and_write(const struct gen *g, const struct buf *bare, const struct coin *coins,
                           struct buf *raw, struct buf *records)
{
    struct tx tx;
    struct arena arena;
    struct sighash_cache cache;
    struct buf scripts;
    arena_init(&arena);
    buf_init(&scripts);
    read_back(bare, &arena, &tx);
    sighash_cache_init(&cache, &tx);
    size_t *ends = xcalloc(tx.n_in, sizeof *ends);
    for (size_t i = 0; i < tx.n_in; i++) {
        sign_input(g, &cache, i, coins[i].value, &scripts, records);
        ends[i] = scripts.len;
    }
    sighash_cache_clear(&cache);
    for (size_t i = 0; i < tx.n_in; i++) {
        size_t from = i ? ends[i - 1] : 0;
        tx.in[i].script = span_of(scripts.data + from, ends[i] - from);
    }
    tx_write(raw, &tx);
    free(ends);
    buf_clear(&scripts);
    arena_clear(&arena);
}

/* A transaction over n coins with these outputs. */
static void make_tx(const struct gen *g, const struct coin *coins, size_t n, struct tx_out *outs, size_t n_outs,
                    struct buf *raw, struct buf *records)
{
    struct tx tx = { .version = 1, .n_in = n, .n_out = n_outs, .out = outs };
    struct buf bare;
    buf_init(&bare);
    tx.in = xcalloc(n, sizeof *tx.in);
    for (size_t i = 0; i < n; i++)
        tx.in[i] = (struct tx_in){ .prevout = { coins[i].txid, coins[i].index }, .sequence = TX_SEQUENCE_FINAL };
    tx_write(&bare, &tx);
    sign_and_write(g, &bare, coins, raw, records);
    buf_clear(&bare);
    free(tx.in);
}

static void save_records(struct gen *g, struct buf *records)
{
    if (g->signatures)
        put(g->signatures, records->data, records->len);
    buf_reset(records);
}

/* One block whose second transaction splits a matured coinbase. */
static void add_fan_out(struct gen *g, size_t n)
{
    const struct coin reward = *coins_next(&g->rewards);
    struct tx_out *outs = xcalloc(n, sizeof *outs);
    struct buf raw, records;
    buf_init(&raw);
    buf_init(&records);
    for (size_t i = 0; i < n; i++)
        outs[i] = (struct tx_out){ reward.value / (int64_t)n, span_of(g->script, sizeof g->script) };
    make_tx(g, &reward, 1, outs, n, &raw, &records);
    block_begin(g, 1);
    struct txid id = block_put_tx(g, &raw);
    block_end(g);
    for (size_t i = 0; i < n; i++)
        coins_add(&g->coins, &id, (uint32_t)i, outs[i].value);
    save_records(g, &records);
    buf_clear(&raw);
    buf_clear(&records);
    free(outs);
}

/* The transactions of one block, signed by all cores. */
struct batch {
    const struct gen *g;
    const struct coin *coins;
    size_t n_coins, per_tx, n_txs;
    struct buf *raws, *records;
    size_t first, step; /* of this thread */
};

static void *sign_batch(void *arg)
{
    const struct batch *b = arg;
    for (size_t i = b->first; i < b->n_txs; i += b->step) {
        size_t at = i * b->per_tx, n = MIN_OF(b->per_tx, b->n_coins - at);
        struct tx_out out = { 0, span_of(b->g->script, sizeof b->g->script) };
        for (size_t j = 0; j < n; j++)
            out.value += b->coins[at + j].value;
        make_tx(b->g, b->coins + at, n, &out, 1, &b->raws[i], &b->records[i]);
    }
    return NULL;
}

static void run_batch(struct batch *whole, unsigned threads)
{
    pthread_t ids[THREADS_MAX];
    struct batch parts[THREADS_MAX];
    for (unsigned t = 0; t < threads; t++) {
        parts[t] = *whole;
        parts[t].first = t;
        parts[t].step = threads;
        if (pthread_create(&ids[t], NULL, sign_batch, &parts[t]))
            die("no thread");
    }
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
}

static void add_spends(struct gen *g, size_t n_inputs, size_t per_tx)
{
    size_t n_txs = (n_inputs + per_tx - 1) / per_tx;
    struct batch b = { .g = g, .coins = g->coins.list + g->coins.used, .n_coins = n_inputs,
                       .per_tx = per_tx, .n_txs = n_txs };
    b.raws = xcalloc(n_txs, sizeof *b.raws);
    b.records = xcalloc(n_txs, sizeof *b.records);
    g->coins.used += n_inputs;
    if (g->coins.used > g->coins.n)
        die("out of coins");
    run_batch(&b, g->threads);
    block_begin(g, n_txs);
    for (size_t i = 0; i < n_txs; i++) {
        block_put_tx(g, &b.raws[i]);
        save_records(g, &b.records[i]);
        buf_clear(&b.raws[i]);
        buf_clear(&b.records[i]);
    }
    block_end(g);
    free(b.raws);
    free(b.records);
}

/* OP_FALSE OP_RETURN and one push: never part of the coins, in all eras (spec consensus 3.3). */
static void put_data_script(struct gen *g, size_t len, struct buf *script)
{
    uint8_t head[SCRIPT_PUSH_HEAD_MAX];
    buf_reset(script);
    script_put_op(script, 0x00);
    script_put_op(script, 0x6a);
    buf_put(script, head, script_push_head(head, len));
    uint8_t *data = buf_extend(script, len);
    size_t i = 0;
    for (; i + 8 <= len; i += 8)
        le64_put(data + i, next_random(g));
    memset(data + i, 0x55, len - i);
}

static size_t data_tx_count(uint64_t bytes) { return (size_t)((bytes + DATA_TX_MAX - 1) / DATA_TX_MAX); }

static void add_big(struct gen *g, uint64_t bytes)
{
    struct buf raw, records, script;
    buf_init(&raw);
    buf_init(&records);
    buf_init(&script);
    block_begin(g, data_tx_count(bytes));
    while (bytes > 0) {
        size_t len = bytes > DATA_TX_MAX ? DATA_TX_MAX : (size_t)bytes;
        const struct coin coin = *coins_next(&g->coins);
        put_data_script(g, len, &script);
        struct tx_out out = { 0, buf_span(&script) };
        buf_reset(&raw);
        make_tx(g, &coin, 1, &out, 1, &raw, &records);
        block_put_tx(g, &raw);
        save_records(g, &records);
        bytes -= len;
    }
    block_end(g);
    buf_clear(&raw);
    buf_clear(&records);
    buf_clear(&script);
}

/* --- chains --------------------------------------------------------------------------------- */

static void add_empty(struct gen *g, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        block_begin(g, 0);
        block_end(g);
    }
}

static void make_chain(struct gen *g, const struct config *c)
{
    size_t inputs = (size_t)config_int(c, "inputs"), per_tx = (size_t)config_int(c, "pertx");
    size_t per_block = (size_t)config_int(c, "txs") * per_tx;
    uint64_t big = config_size(c, "big");
    size_t needed = inputs + data_tx_count(big);
    size_t fan_outs = (needed + FAN_OUT_MAX - 1) / FAN_OUT_MAX;
    /* The fan-out in block MATURITY + i + 1 spends the reward of block i + 1. */
    add_empty(g, MATURITY);
    for (size_t i = 0; i < fan_outs; i++)
        add_fan_out(g, MIN_OF((size_t)FAN_OUT_MAX, needed - i * FAN_OUT_MAX));
    for (size_t done = 0; done < inputs; done += per_block)
        add_spends(g, MIN_OF(per_block, inputs - done), per_tx);
    if (big)
        add_big(g, big);
    add_empty(g, config_int(c, "tail"));
}

static void make_headers(struct gen *g, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        struct hash256 root = { { 0 } };
        uint8_t raw[BLOCK_HEADER_SIZE];
        le64_put(root.b, (uint64_t)i);
        next_header(g, &root, raw);
        put(g->out, raw, sizeof raw);
    }
    g->height = (int32_t)n;
}

static FILE *open_for_writing(const char *path)
{
    FILE *f = path ? fopen(path, "wb") : NULL;
    if (!f)
        die(path ? "cannot write the file" : "-out is needed");
    return f;
}

int main(int argc, char **argv)
{
    struct error e = { 0 };
    struct config *c = config_new(option_rows, COUNT_OF(option_rows), NULL, NULL);
    int used;
    if (config_parse_args(c, argc, argv, &used, &e) || used != argc)
        die(e.text[0] ? e.text : "only options are allowed");
    ec_init();
    struct gen g = { .height = 0 };
    gen_init(&g, (uint64_t)config_int(c, "seed"));
    g.out = open_for_writing(config_string(c, "out"));
    if (config_string(c, "signatures"))
        g.signatures = open_for_writing(config_string(c, "signatures"));
    if (config_int(c, "headers"))
        make_headers(&g, config_int(c, "headers"));
    else
        make_chain(&g, c);
    off_t size = ftello(g.out);
    if (fclose(g.out) || (g.signatures && fclose(g.signatures)))
        die("write failed");
    char hex[HASH_HEX_SIZE];
    printf("{\"height\": %" PRId32 ", \"tip\": \"%s\", \"bytes\": %" PRIu64 "}\n", g.height,
           hash_to_hex(hex, g.tip.b), (uint64_t)size);
    free(g.coins.list);
    free(g.rewards.list);
    config_free(c);
    return 0;
}
