#include <config.h>

#include "tests/chain/chain_builder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tx.h"
#include "bca/registration.h"
#include "chain/chain_internal.h"
#include "chain/pow.h"
#include "script/sighash.h"
#include "script/template.h"

static const uint8_t secret[32] = { [31] = 7 };

struct span builder_true(void) { return span_of("\x51", 1); }

static size_t own_key(uint8_t key[65])
{
    ec_init();
    return ec_pubkey_create(key, secret, true);
}

struct span builder_p2pkh(void)
{
    static uint8_t script[SCRIPT_P2PKH_SIZE];
    uint8_t key[65], hash[20];
    size_t n = own_key(key);
    hash160(hash, key, n);
    script_make_p2pkh(script, hash);
    return span_of(script, sizeof(script));
}

static void write_tx(struct buf *b, const struct tx_spec *spec, const struct buf *sigs)
{
    buf_put_le32(b, (uint32_t)(spec->version ? spec->version : 1));
    buf_put_compact(b, spec->n_in);
    for (size_t i = 0; i < spec->n_in; i++) {
        struct span sig = sigs && sigs[i].len ? buf_span(&sigs[i]) : spec->in[i].script_sig;
        buf_put(b, spec->in[i].prevout.txid.b, 32);
        buf_put_le32(b, spec->in[i].prevout.index);
        buf_put_var_bytes(b, sig.data, sig.len);
        buf_put_le32(b, UINT32_MAX - spec->in[i].sequence_gap);
    }
    buf_put_compact(b, spec->n_out);
    for (size_t i = 0; i < spec->n_out; i++) {
        buf_put_le64(b, (uint64_t)spec->out[i].value);
        buf_put_var_bytes(b, spec->out[i].script.data, spec->out[i].script.len);
    }
    buf_put_le32(b, spec->lock_time);
}

/* Signs with ALL|FORKID, as regtest wants it from the first block. */
static void sign_input(const struct tx *tx, size_t i, int64_t value, struct buf *out)
{
    uint8_t digest[32], sig[73], key[65];
    struct sighash_cache cache;
    sighash_cache_init(&cache, tx);
    struct sighash_request r = { .code = builder_p2pkh(), .index = i, .amount = value,
                                 .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
    assert_int_equal(sighash_bip143(&cache, &r, digest), SCRIPT_OK);
    sighash_cache_clear(&cache);
    size_t key_len = own_key(key);
    size_t n = ec_sign_der(sig, secret, digest);
    sig[n++] = SIGHASH_ALL | SIGHASH_FORKID;
    buf_put_u8(out, (uint8_t)n);
    buf_put(out, sig, n);
    buf_put_u8(out, (uint8_t)key_len);
    buf_put(out, key, key_len);
}

void builder_tx(const struct tx_spec *spec, struct built_tx *out)
{
    struct buf unsigned_tx = { 0 };
    struct buf *sigs = xcalloc(spec->n_in + 1, sizeof(*sigs));
    write_tx(&unsigned_tx, spec, NULL);
    struct arena arena;
    struct reader r;
    struct tx tx;
    arena_init(&arena);
    reader_init(&r, unsigned_tx.data, unsigned_tx.len);
    assert_int_equal(tx_read(&r, &arena, &tx), OK);
    for (size_t i = 0; i < spec->n_in; i++)
        if (spec->in[i].sign)
            sign_input(&tx, i, spec->in[i].value, &sigs[i]);
    *out = (struct built_tx){ 0 };
    write_tx(&out->raw, spec, sigs);
    sha256d(out->id.b, out->raw.data, out->raw.len);
    arena_clear(&arena);
    for (size_t i = 0; i < spec->n_in; i++)
        buf_clear(&sigs[i]);
    free(sigs);
    buf_clear(&unsigned_tx);
}

void built_tx_clear(struct built_tx *tx) { buf_clear(&tx->raw); }

void builder_move(const struct outpoint *from, int64_t value, struct built_tx *out)
{
    struct in_spec in = { .prevout = *from, .value = value };
    struct out_spec to = { value, builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &to, .n_out = 1 }, out);
}

void builder_register(const struct outpoint *from, int64_t value, struct built_tx *out)
{
    static const uint8_t key[BCA_PUBLIC_KEY_SIZE], root[32];
    uint8_t script[BCA_REGISTRATION_SIZE];
    struct in_spec in = { .prevout = *from, .value = value };
    const struct out_spec to[] = { { 0, span_of(script, sizeof script) },
                                   { 1, builder_p2pkh() },
                                   { value - 1, builder_true() } };
    bca_registration_put(script, key, root);
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = to, .n_out = 3 }, out);
}

void builder_revoke(const struct txid *registration, struct built_tx *out)
{
    struct in_spec in = { .prevout = { *registration, 1 }, .value = 1, .sign = true };
    struct out_spec to = { 0, builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &to, .n_out = 1 }, out);
}

/* --- blocks --- */

static void make_coinbase(const struct chain_params *p, const struct block_spec *spec,
                          int32_t height, struct built_tx *out, int64_t *reward)
{
    static uint32_t counter; /* makes every coinbase another one */
    struct buf script = { 0 };
    uint8_t number[5];
    size_t n = 0;
    for (int32_t v = height; v > 0; v >>= 8)
        number[n++] = (uint8_t)v;
    if (n > 0 && number[n - 1] & 0x80)
        number[n++] = 0;
    if (height >= 1 && height <= 16) {
        buf_put_u8(&script, (uint8_t)(0x50 + height));
    } else {
        buf_put_u8(&script, (uint8_t)n);
        buf_put(&script, number, n);
    }
    buf_put_u8(&script, 4);
    buf_put_le32(&script, ++counter);
    struct in_spec in = { .script_sig = spec->script_sig.len ? spec->script_sig
                                                             : buf_span(&script) };
    in.prevout.index = UINT32_MAX;
    *reward = params_subsidy(p, height) + spec->fees + spec->extra_reward;
    struct out_spec to = { *reward, spec->script.len ? spec->script : builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &to, .n_out = 1 }, out);
    buf_clear(&script);
}

static void mine(const struct chain_params *p, struct block_header *h, struct block_hash *hash)
{
    for (h->nonce = 0;; h->nonce++) {
        block_header_hash(hash, h);
        if (pow_hash_ok(p, hash, h->bits))
            return;
    }
}

void builder_genesis(const struct chain_params *p, struct built_block *out)
{
    uint8_t block[GENESIS_BLOCK_SIZE];
    *out = (struct built_block){ .header = p->genesis, .hash = p->genesis_hash };
    params_genesis_block(p, block);
    buf_put(&out->raw, block, sizeof(block));
}

void builder_block(const struct chain_params *p, const struct block_spec *spec,
                   struct built_block *out)
{
    struct built_tx coinbase;
    struct merkle m;
    *out = (struct built_block){ .height = spec->prev->height + 1 };
    make_coinbase(p, spec, out->height, &coinbase, &out->reward);
    merkle_init(&m);
    merkle_add(&m, coinbase.id.b);
    for (size_t i = 0; i < spec->n_txs; i++)
        merkle_add(&m, spec->txs[i].id.b);
    bool mutated;
    out->header = (struct block_header){ .version = spec->version ? spec->version : 0x20000000,
                                         .prev = spec->prev->hash,
                                         .merkle_root = merkle_root(&m, &mutated),
                                         .time = spec->time ? spec->time
                                                            : spec->prev->header.time + 600,
                                         .bits = p->pow_limit_bits };
    mine(p, &out->header, &out->hash);
    block_header_write(&out->raw, &out->header);
    buf_put_compact(&out->raw, spec->n_txs + 1);
    buf_put(&out->raw, coinbase.raw.data, coinbase.raw.len);
    for (size_t i = 0; i < spec->n_txs; i++)
        buf_put(&out->raw, spec->txs[i].raw.data, spec->txs[i].raw.len);
    out->coinbase = (struct outpoint){ .txid = coinbase.id };
    built_tx_clear(&coinbase);
}

void built_block_clear(struct built_block *b) { buf_clear(&b->raw); }

/* --- a chain --- */

static void on_connected(void *ctx, struct header_node *node)
{
    (void)node;
    ((struct test_chain *)ctx)->connected++;
}

static void on_disconnected(void *ctx, struct header_node *node)
{
    (void)node;
    ((struct test_chain *)ctx)->disconnected++;
}

static void on_judged(void *ctx, const struct block_hash *hash, const struct verdict *v,
                      uint64_t source)
{
    struct test_chain *t = (struct test_chain *)ctx;
    (void)hash;
    (void)source;
    t->last_judged = *v;
    t->judged++;
}

static void on_fatal(void *ctx, const struct error *e)
{
    struct test_chain *t = (struct test_chain *)ctx;
    t->last_error = *e;
    t->fatal++;
}

struct chain_params test_params(int32_t genesis_height)
{
    struct chain_params p = *params_get(NETWORK_REGTEST);
    p.heights.genesis = genesis_height;
    if (p.heights.chronicle < genesis_height)
        p.heights.chronicle = genesis_height;
    return p;
}

static void on_accepted(void *ctx, const struct mempool_entry *entry, uint64_t source)
{
    (void)entry;
    (void)source;
    ((struct test_chain *)ctx)->accepted++;
}

static void on_removed(void *ctx, const struct mempool_removed *r, const struct header_node *block)
{
    (void)block;
    ((struct test_chain *)ctx)->removed[r->reason]++;
}

static void on_txs_judged(void *ctx, const struct tx_result *results, size_t n)
{
    struct test_chain *t = ctx;
    t->batches_judged++;
    for (size_t i = 0; i < n; i++) {
        if (results[i].source == TX_SOURCE_RPC)
            continue;
        t->offered_accepted += results[i].outcome == TX_ACCEPTED;
        t->offered_other += results[i].outcome != TX_ACCEPTED;
    }
}

void test_pool_options(struct chain_options *o)
{
    o->policy = tx_policy_default();
    o->policy.mining_fee_per_kb = 100;
    o->policy.accept_nonstandard_txs = true;
    o->mempool = (struct mempool_options){ .max_bytes = 100 << 20,
                                           .max_secondary_bytes = 10 << 20,
                                           .expiry_s = 336 * 3600,
                                           .mining_fee_per_kb = 100,
                                           .max_ancestors = 10000,
                                           .max_group_members = 25 };
    o->nonfinal_max_bytes = 10 << 20;
    o->signature_cache_bytes = 1 << 20;
    o->persist_mempool = true;
}

static void open_chain(struct test_chain *t)
{
    struct chain_handlers h = { .ctx = t, .block_connected = on_connected,
                                .block_disconnected = on_disconnected, .block_judged = on_judged,
                                .fatal = on_fatal, .tx_accepted = on_accepted,
                                .tx_removed = on_removed, .txs_judged = on_txs_judged };
    struct error e = { .code = OK };
    enum err rc = chain_open(&t->chain, &t->options, &h, &e);
    if (rc)
        fail_msg("chain_open: %s", e.text);
}

void test_chain_open(struct test_chain *t, const struct chain_params *p, unsigned workers)
{
    ec_init();
    *t = (struct test_chain){ .dir = test_dir_make() };
    t->options = (struct chain_options){ .params = *p, .data_dir = t->dir,
                                         .dbcache_bytes = 16 << 20, .block_memory_bytes = 64 << 20,
                                         .workers = workers, .use_checkpoints = true,
                                         .check_consistency = true, .check_blocks = 6,
                                         .check_level = 3, .prune_keep = 288,
                                         .max_tip_age = INT32_MAX, .soft_freeze_blocks = 3 };
    test_pool_options(&t->options);
    t->blocks = xcalloc(1, sizeof(*t->blocks));
    builder_genesis(p, &t->blocks[0]);
    open_chain(t);
    chain_start(t->chain, NULL);
}

void test_chain_reopen_idle(struct test_chain *t)
{
    struct error e = { .code = OK };
    if (t->chain)
        assert_int_equal(chain_close(t->chain, &e), OK);
    open_chain(t);
}

void test_chain_reopen(struct test_chain *t)
{
    test_chain_reopen_idle(t);
    chain_start(t->chain, NULL);
}

void test_chain_close(struct test_chain *t)
{
    struct error e = { .code = OK };
    assert_int_equal(chain_close(t->chain, &e), OK);
    for (int32_t i = 0; i <= t->height; i++)
        built_block_clear(&t->blocks[i]);
    free(t->blocks);
    test_dir_remove(t->dir);
}

const char *test_chain_submit(struct test_chain *t, const struct built_block *b)
{
    struct block_submission s;
    struct error e = { .code = OK };
    if (chain_submit_block(t->chain, b->raw.data, b->raw.len, &s, &e))
        fail_msg("submit: %s", e.text);
    if (s.duplicate && verdict_ok(&s.verdict))
        return "duplicate";
    t->last_verdict = s.verdict;
    return verdict_ok(&s.verdict) ? "" : t->last_verdict.reason;
}

size_t test_chain_submit_records(struct test_chain *t, const struct buf *file)
{
    size_t n = 0;
    struct reader r;
    reader_init(&r, file->data, file->len);
    while (r.left > 0) {
        read_le32(&r);
        uint32_t size = read_le32(&r);
        const uint8_t *data = read_bytes(&r, size);
        assert_false(r.failed);
        struct built_block b = { .raw = { (uint8_t *)(uintptr_t)data, size, size } };
        const char *reason = test_chain_submit(t, &b);
        if (reason[0] && strcmp(reason, "duplicate") != 0)
            fail_msg("record %zu: %s %s", n, reason, t->last_verdict.detail);
        n++;
    }
    return n;
}

void test_chain_add(struct test_chain *t, const struct built_tx *txs, size_t n)
{
    t->blocks = xrealloc(t->blocks, (size_t)(t->height + 2) * sizeof(*t->blocks));
    struct built_block *next = &t->blocks[t->height + 1];
    builder_block(&t->options.params,
                  &(struct block_spec){ .prev = &t->blocks[t->height], .txs = txs, .n_txs = n },
                  next);
    const char *reason = test_chain_submit(t, next);
    if (reason[0])
        fail_msg("height %d: %s %s", next->height, reason, t->last_verdict.detail);
    t->height++;
}

void test_chain_grow(struct test_chain *t, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        test_chain_add(t, NULL, 0);
}

const char *test_chain_try(struct test_chain *t, const struct built_tx *txs, size_t n, int64_t fees)
{
    struct built_block b;
    builder_block(&t->options.params,
                  &(struct block_spec){ .prev = &t->blocks[t->height], .txs = txs, .n_txs = n,
                                        .fees = fees }, &b);
    const char *reason = test_chain_submit(t, &b);
    built_block_clear(&b);
    return reason;
}

struct header_node *test_chain_node(struct test_chain *t, const struct built_block *b)
{
    struct header_node *node = header_index_find(chain_headers(t->chain), &b->hash);
    assert_non_null(node);
    return node;
}

int32_t test_chain_tip_height(struct test_chain *t)
{
    struct chain_tip tip;
    chain_get_tip(t->chain, &tip);
    return tip.height;
}

struct coins_question {
    struct hash256 hash;
    const struct outpoint *outpoint;
    struct coin coin;
    bool found;
    enum err rc;
};

static void hash_coins(struct chain *c, void *ctx)
{
    struct coins_question *q = (struct coins_question *)ctx;
    struct coins_iter *it = coins_iter_new(chain_coins(c));
    struct sha256 h;
    struct outpoint o;
    struct coin coin;
    struct error e = { .code = OK };
    sha256_init(&h);
    while (coins_iter_next(it, &o, &coin, &q->rc, &e)) {
        struct buf b = { 0 };
        buf_put(&b, o.txid.b, 32);
        buf_put_le32(&b, o.index);
        coin_write(&b, &coin);
        sha256_update(&h, b.data, b.len);
        buf_clear(&b);
    }
    coins_iter_free(it);
    sha256_final(&h, q->hash.b);
}

struct hash256 test_chain_coins(struct test_chain *t)
{
    struct coins_question q = { .rc = OK };
    struct error e = { .code = OK };
    assert_int_equal(chain_flush(t->chain, &e), OK);
    assert_int_equal(chain_call(t->chain, hash_coins, &q), OK);
    assert_int_equal(q.rc, OK);
    return q.hash;
}

static void look_up(struct chain *c, void *ctx)
{
    struct coins_question *q = (struct coins_question *)ctx;
    struct error e = { .code = OK };
    q->rc = coins_get(chain_coins(c), q->outpoint, &q->coin, &q->found, &e);
    q->coin.script = span_of(NULL, 0); /* borrowed: not for outside */
}

bool test_chain_has_coin(struct test_chain *t, const struct outpoint *o, struct coin *coin)
{
    struct coins_question q = { .outpoint = o };
    assert_int_equal(chain_call(t->chain, look_up, &q), OK);
    assert_int_equal(q.rc, OK);
    if (coin && q.found)
        *coin = q.coin;
    return q.found;
}

/* --- the chain thread waits --- */

static void wait_in_gate(struct chain *c, void *ctx)
{
    struct test_gate *g = ctx;
    (void)c;
    sem_post(&g->inside);
    sem_wait(&g->open);
}

static void *run_gate(void *ctx)
{
    struct test_gate *g = ctx;
    assert_int_equal(chain_call(g->chain, wait_in_gate, g), OK);
    return NULL;
}

void test_gate_close(struct test_gate *g, struct chain *c)
{
    g->chain = c;
    sem_init(&g->inside, 0, 0);
    sem_init(&g->open, 0, 0);
    assert_int_equal(pthread_create(&g->thread, NULL, run_gate, g), 0);
    sem_wait(&g->inside);
}

void test_gate_wait(struct test_gate *g, size_t commands)
{
    while (queue_items(g->chain->queue) < commands)
        usleep(1000);
}

void test_gate_open(struct test_gate *g)
{
    sem_post(&g->open);
    pthread_join(g->thread, NULL);
    sem_destroy(&g->inside);
    sem_destroy(&g->open);
}
