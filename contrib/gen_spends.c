#include <config.h>

#include "contrib/gen.h"

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/frame.h"

#define FEE 100 /* satoshis: five times what 191 bytes must pay */

static const uint8_t regtest_magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

struct spends {
    const struct gen *g;
    size_t n, chain_length, n_chains;
    struct gen_key *keys;  /* that of the coin that each transaction spends */
    struct coin *coins;    /* what each chain begins with */
    struct txid *ids;
    struct buf *raws, *records;
};

static void make_key(void *ctx, size_t i)
{
    struct spends *s = ctx;
    gen_key_make(&s->keys[i], s->g->seed, i + 1); /* 0 is the key of all else */
}

/* The transactions of one chain; each pays the key of the next, the last one the common key. */
static void make_one_chain(void *ctx, size_t chain)
{
    struct spends *s = ctx;
    size_t at = chain * s->chain_length, end = MIN_OF(at + s->chain_length, s->n);
    struct coin coin = s->coins[chain];
    for (; at < end; at++) {
        const struct gen_key *next = at + 1 < end ? &s->keys[at + 1] : &s->g->key;
        struct tx_out out = { coin.value - FEE, span_of(next->script, sizeof next->script) };
        if (out.value <= 0)
            die("a chain of spends is too long for its coin");
        s->ids[at] = make_tx(&coin, 1, &out, 1, &s->raws[at], &s->records[at]);
        coin = (struct coin){ s->ids[at], 0, out.value, next };
    }
}

struct spends *spends_new(struct gen *g, size_t n, size_t chain_length)
{
    struct spends *s = xcalloc(1, sizeof *s);
    *s = (struct spends){ .g = g, .n = n, .chain_length = chain_length };
    s->n_chains = (n + chain_length - 1) / chain_length;
    s->keys = xcalloc(n, sizeof *s->keys);
    s->ids = xcalloc(n, sizeof *s->ids);
    s->raws = xcalloc(n, sizeof *s->raws);
    s->records = xcalloc(n, sizeof *s->records);
    s->coins = xcalloc(s->n_chains, sizeof *s->coins);
    in_parallel(g, n, make_key, s);
    add_fan_outs(g, s->n_chains, (struct payees){ s->keys, chain_length });
    for (size_t c = 0; c < s->n_chains; c++)
        s->coins[c] = *coins_next(&g->coins);
    in_parallel(g, s->n_chains, make_one_chain, s);
    for (size_t i = 0; i < n; i++)
        save_records(g, &s->records[i]);
    return s;
}

void spends_free(struct spends *s)
{
    for (size_t i = 0; i < s->n; i++) {
        buf_clear(&s->raws[i]);
        buf_clear(&s->records[i]);
    }
    free(s->keys);
    free(s->ids);
    free(s->raws);
    free(s->records);
    free(s->coins);
    free(s);
}

void spends_write_messages(const struct spends *s, const char *path)
{
    FILE *f = open_for_writing(path);
    for (size_t i = 0; i < s->n; i++) {
        uint8_t head[FRAME_EXT_HEADER_SIZE];
        /* The checksum of a transaction's message is the beginning of its id. */
        size_t n = frame_header_put(head, regtest_magic, "tx", s->raws[i].len, s->ids[i].b);
        put(f, head, n);
        put(f, s->raws[i].data, s->raws[i].len);
    }
    if (fclose(f))
        die("write failed");
}

void spends_write_block(const struct spends *s, const struct gen *g, const char *path)
{
    struct gen branch = *g;
    branch.rewards = (struct coins){ .n = 0 };
    branch.out = open_for_writing(path);
    block_begin(&branch, s->n);
    for (size_t i = 0; i < s->n; i++)
        block_put_tx(&branch, &s->raws[i], &s->ids[i]);
    block_end(&branch);
    if (fclose(branch.out))
        die("write failed");
    free(branch.rewards.list);
}
