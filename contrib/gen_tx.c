#include <config.h>

#include "contrib/gen.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "contrib/signature_record.h"
#include "script/build.h"
#include "script/sighash.h"

void gen_key_make(struct gen_key *k, uint64_t seed, uint64_t number)
{
    uint8_t text[16], digest[20], key[65];
    le64_put(text, seed);
    le64_put(text + 8, number);
    sha256(k->secret, text, sizeof text);
    ec_pubkey_create(key, k->secret, true);
    memcpy(k->pub, key, sizeof k->pub);
    hash160(digest, k->pub, sizeof k->pub);
    memcpy(k->script, "\x76\xa9\x14", 3);
    memcpy(k->script + 3, digest, sizeof digest);
    memcpy(k->script + 23, "\x88\xac", 2);
}

void coins_add(struct coins *c, const struct coin *coin)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 1024;
        c->list = xrealloc(c->list, c->cap * sizeof *c->list);
    }
    c->list[c->n++] = *coin;
}

const struct coin *coins_next(struct coins *c)
{
    if (c->used == c->n)
        die("out of coins");
    return &c->list[c->used++];
}

/* --- signing -------------------------------------------------------------------------------- */

/* scriptSig of one input, appended to `scripts`; its signature goes to `records` too. */
static void sign_input(struct sighash_cache *cache, size_t i, const struct coin *coin,
                       struct buf *scripts, struct buf *records)
{
    struct signature_record record = { .sig_len = 0 };
    uint8_t sig[73];
    const struct gen_key *k = coin->owner;
    const struct sighash_request request = { .code = span_of(k->script, sizeof k->script),
                                             .index = i, .amount = coin->value,
                                             .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
    if (sighash_bip143(cache, &request, record.digest) != SCRIPT_OK)
        die("digest failed");
    size_t len = ec_sign_der(sig, k->secret, record.digest);
    memcpy(record.key, k->pub, sizeof record.key);
    memcpy(record.sig, sig, len);
    record.sig_len = (uint8_t)len;
    sig[len++] = (uint8_t)request.hash_type;
    script_put_data(scripts, sig, len);
    script_put_data(scripts, k->pub, sizeof k->pub);
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

/* Signs every input of the unsigned transaction over the coins it spends. */
static void sign_and_write(const struct buf *bare, const struct coin *coins, struct buf *raw,
                           struct buf *records)
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
        sign_input(&cache, i, &coins[i], &scripts, records);
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

struct txid make_tx(const struct coin *coins, size_t n, struct tx_out *outs, size_t n_outs,
                    struct buf *raw, struct buf *records)
{
    struct tx tx = { .version = 1, .n_in = n, .n_out = n_outs, .out = outs };
    struct txid id;
    struct buf bare;
    buf_init(&bare);
    tx.in = xcalloc(n, sizeof *tx.in);
    for (size_t i = 0; i < n; i++)
        tx.in[i] = (struct tx_in){ .prevout = { coins[i].txid, coins[i].index },
                                   .sequence = TX_SEQUENCE_FINAL };
    tx_write(&bare, &tx);
    buf_reset(raw);
    sign_and_write(&bare, coins, raw, records);
    sha256d(id.b, raw->data, raw->len);
    buf_clear(&bare);
    free(tx.in);
    return id;
}

void save_records(struct gen *g, struct buf *records)
{
    if (g->signatures)
        put(g->signatures, records->data, records->len);
    buf_reset(records);
}

/* --- all cores ------------------------------------------------------------------------------ */

struct parallel {
    void (*fn)(void *ctx, size_t i);
    void *ctx;
    size_t n;
    atomic_size_t next;
};

static void *parallel_main(void *arg)
{
    struct parallel *p = arg;
    size_t i;
    while ((i = atomic_fetch_add(&p->next, 1)) < p->n)
        p->fn(p->ctx, i);
    return NULL;
}

void in_parallel(const struct gen *g, size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
    pthread_t ids[GEN_THREADS_MAX];
    struct parallel p = { .fn = fn, .ctx = ctx, .n = n };
    for (unsigned t = 0; t < g->threads; t++)
        if (pthread_create(&ids[t], NULL, parallel_main, &p))
            die("no thread");
    for (unsigned t = 0; t < g->threads; t++)
        pthread_join(ids[t], NULL);
}
