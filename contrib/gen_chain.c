/*
 * Makes chains for tests and for contrib/bench, without a node: a file for -loadblock with signed
 * P2PKH spends on regtest, or a file of bare headers. The same options give the same bytes.
 *
 *   gen_chain -out=FILE [-inputs=N] [-pertx=K] [-txs=N] [-big=BYTES] [-tail=N] [-signatures=FILE]
 *             [-seed=N] [-spends=N [-chained=K] [-messages=FILE] [-spendblock=FILE]]
 *   gen_chain -out=FILE -headers=N
 *
 * The chain: coinbases to one key until enough have matured, blocks with one fan-out transaction
 * each, blocks of spends with K inputs and one output each, and at the end, with -big, one block
 * that carries so many bytes of data outputs. All of it is valid under regtest's default heights,
 * that is under the rules before Genesis (spec consensus 1.1, 3.1, 3.4): a transaction has at most
 * 1,000,000 bytes and a fan-out at most 20,000 signature operations.
 *
 * -spends makes transactions besides, which spend what the chain leaves unspent: signed, with one
 * input and one output each, every input with a key of its own, -chained=25 in chains of 25. They
 * go to -messages as `tx` messages for a peer, and to -spendblock as the block after the chain.
 *
 * -signatures writes a record of public key, signature and digest for each input, of the spends
 * too, for the bare verification loop of bench_verify.
 */
#include <config.h>

#include "contrib/gen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "script/build.h"

#define COIN INT64_C(100000000)
#define REGTEST_HALVING 150
#define MATURITY 100
#define DATA_TX_MAX 990000 /* bytes of data in one transaction */
#define START_TIME UINT32_C(1600000000)
#define EASY_BITS UINT32_C(0x207fffff)

static const uint8_t disk_magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

#define OPTION(name_, type_, arg_, ...)                                                            \
    { .name = name_, .type = type_, .arg = arg_, .category = "Options", __VA_ARGS__ }

static const struct option_row option_rows[] = {
    OPTION("out", OPTION_STRING, "<file>", .help = "File to write"),
    OPTION("inputs", OPTION_INT, "<n>", .def = "200000", .max = INT32_MAX,
           .help = "Signed inputs in all"),
    OPTION("pertx", OPTION_INT, "<n>", .def = "2", .min = 1, .max = 1000,
           .help = "Inputs of each transaction"),
    OPTION("txs", OPTION_INT, "<n>", .def = "2000", .min = 1, .max = 1000000,
           .help = "Transactions of each block"),
    OPTION("big", OPTION_SIZE, "<size>", .def = "0", .max = INT64_C(4200000000),
           .help = "Data in one last block; 0: no such block"),
    OPTION("tail", OPTION_INT, "<n>", .def = "0", .max = 1000000,
           .help = "Empty blocks after the others; 2,100 are more than two weeks of work"),
    OPTION("spends", OPTION_INT, "<n>", .def = "0", .max = 10000000,
           .help = "Transactions that are in no block of the chain"),
    OPTION("chained", OPTION_INT, "<n>", .def = "1", .min = 1, .max = 1000,
           .help = "How many of these spend one after the other"),
    OPTION("messages", OPTION_STRING, "<file>", .help = "File for them, as `tx` messages"),
    OPTION("spendblock", OPTION_STRING, "<file>", .help = "File for a block of them"),
    OPTION("signatures", OPTION_STRING, "<file>", .help = "File for the signatures"),
    OPTION("seed", OPTION_INT, "<n>", .def = "1", .min = 1, .max = INT64_MAX,
           .help = "Start of all keys and data"),
    OPTION("headers", OPTION_INT, "<n>", .def = "0", .max = INT32_MAX,
           .help = "Write so many headers of 80 bytes and nothing else"),
};

void die(const char *text)
{
    fprintf(stderr, "gen_chain: %s\n", text);
    exit(1);
}

void put(FILE *f, const void *data, size_t len)
{
    if (fwrite(data, 1, len, f) != len)
        die("write failed");
}

FILE *open_for_writing(const char *path)
{
    FILE *f = path ? fopen(path, "wb") : NULL;
    if (!f)
        die(path ? "cannot write the file" : "-out is needed");
    return f;
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
    gen_key_make(&g->key, seed, 0);
    hash_from_hex(g->tip.b, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
    g->seed = g->random = seed;
    g->time = START_TIME;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    g->threads = (unsigned)MIN_OF(MAX_OF(cores, 1), GEN_THREADS_MAX);
}

/* --- headers and blocks --------------------------------------------------------------------- */

static bool meets_target(const struct block_hash *hash)
{
    /* Target 7fffff << 232: the highest three bytes decide, but for one value in 2^23. */
    return hash->b[31] < 0x7f ||
           (hash->b[31] == 0x7f && (hash->b[30] != 0xff || hash->b[29] != 0xff));
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

void block_put_tx(struct gen *g, const struct buf *raw, const struct txid *id)
{
    put(g->out, raw->data, raw->len);
    merkle_add(&g->merkle, id->b);
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
    struct coin reward = { .value = subsidy(g->height), .owner = &g->key };
    put_output(&tx, reward.value, g->key.script, sizeof g->key.script);
    buf_put_le32(&tx, 0);
    sha256d(reward.txid.b, tx.data, tx.len);
    block_put_tx(g, &tx, &reward.txid);
    coins_add(&g->rewards, &reward);
    buf_clear(&script);
    buf_clear(&tx);
}

/* Begins a record; its head is filled in by block_end, so that a block is never whole in memory. */
void block_begin(struct gen *g, uint64_t n_txs)
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

void block_end(struct gen *g)
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

/* --- blocks of transactions ----------------------------------------------------------------- */

/* One block whose second transaction splits a matured coinbase. */
static void add_fan_out(struct gen *g, size_t n, struct payees to)
{
    const struct coin reward = *coins_next(&g->rewards);
    struct tx_out *outs = xcalloc(n, sizeof *outs);
    struct buf raw, records;
    buf_init(&raw);
    buf_init(&records);
    for (size_t i = 0; i < n; i++)
        outs[i] = (struct tx_out){ reward.value / (int64_t)n,
                                   span_of(payee(to, i)->script, sizeof payee(to, i)->script) };
    struct txid id = make_tx(&reward, 1, outs, n, &raw, &records);
    block_begin(g, 1);
    block_put_tx(g, &raw, &id);
    block_end(g);
    for (size_t i = 0; i < n; i++)
        coins_add(&g->coins, &(struct coin){ id, (uint32_t)i, outs[i].value, payee(to, i) });
    save_records(g, &records);
    buf_clear(&raw);
    buf_clear(&records);
    free(outs);
}

void add_fan_outs(struct gen *g, size_t n, struct payees to)
{
    for (size_t done = 0; done < n; done += GEN_FAN_OUT_MAX)
        add_fan_out(g, MIN_OF((size_t)GEN_FAN_OUT_MAX, n - done),
                    (struct payees){ payee(to, done), to.step });
}

/* The transactions of one block, signed by all cores. */
struct batch {
    const struct gen *g;
    const struct coin *coins;
    size_t n_coins, per_tx;
    struct txid *ids;
    struct buf *raws, *records;
};

static void sign_one(void *ctx, size_t i)
{
    const struct batch *b = ctx;
    size_t at = i * b->per_tx, n = MIN_OF(b->per_tx, b->n_coins - at);
    struct tx_out out = { 0, span_of(b->g->key.script, sizeof b->g->key.script) };
    for (size_t j = 0; j < n; j++)
        out.value += b->coins[at + j].value;
    b->ids[i] = make_tx(b->coins + at, n, &out, 1, &b->raws[i], &b->records[i]);
}

static void add_spends(struct gen *g, size_t n_inputs, size_t per_tx)
{
    size_t n_txs = (n_inputs + per_tx - 1) / per_tx;
    struct batch b = { .g = g, .coins = g->coins.list + g->coins.used, .n_coins = n_inputs,
                       .per_tx = per_tx };
    b.ids = xcalloc(n_txs, sizeof *b.ids);
    b.raws = xcalloc(n_txs, sizeof *b.raws);
    b.records = xcalloc(n_txs, sizeof *b.records);
    g->coins.used += n_inputs;
    if (g->coins.used > g->coins.n)
        die("out of coins");
    in_parallel(g, n_txs, sign_one, &b);
    block_begin(g, n_txs);
    for (size_t i = 0; i < n_txs; i++) {
        block_put_tx(g, &b.raws[i], &b.ids[i]);
        save_records(g, &b.records[i]);
        buf_clear(&b.raws[i]);
        buf_clear(&b.records[i]);
    }
    block_end(g);
    free(b.ids);
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

static size_t data_tx_count(uint64_t bytes)
{
    return (size_t)((bytes + DATA_TX_MAX - 1) / DATA_TX_MAX);
}

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
        struct txid id = make_tx(&coin, 1, &out, 1, &raw, &records);
        block_put_tx(g, &raw, &id);
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

static void make_spends(struct gen *g, const struct config *c)
{
    struct spends *s = spends_new(g, (size_t)config_int(c, "spends"),
                                  (size_t)config_int(c, "chained"));
    if (config_string(c, "messages"))
        spends_write_messages(s, config_string(c, "messages"));
    if (config_string(c, "spendblock"))
        spends_write_block(s, g, config_string(c, "spendblock"));
    spends_free(s);
}

static void make_chain(struct gen *g, const struct config *c)
{
    size_t inputs = (size_t)config_int(c, "inputs"), per_tx = (size_t)config_int(c, "pertx");
    size_t per_block = (size_t)config_int(c, "txs") * per_tx;
    uint64_t big = config_size(c, "big");
    size_t needed = inputs + data_tx_count(big);
    /* The fan-out in block MATURITY + i + 1 spends the reward of block i + 1. */
    add_empty(g, MATURITY);
    add_fan_outs(g, needed, (struct payees){ &g->key, 0 });
    for (size_t done = 0; done < inputs; done += per_block)
        add_spends(g, MIN_OF(per_block, inputs - done), per_tx);
    if (big)
        add_big(g, big);
    if (config_int(c, "spends"))
        make_spends(g, c);
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
