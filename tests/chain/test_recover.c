/*
 * Whatever moment the process ends at: the next start finds a consistent chain, and catching up
 * gives the coins of a chain that never stopped. Writes are made to fail one after the other in
 * stores that outlive the chain; and a child process is killed at random moments.
 */
#include <config.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kv_internal.h"
#include "base/mem.h"
#include "chain/index_db.h"
#include "tests/chain/chain_builder.h"

/* --- stores that outlive the chain: closing one only lets go of it --- */

struct kept {
    struct kv kv;
    struct kv *inner;
    struct kv_ops ops; /* of the inner one, but for what takes the store itself */
};

static struct kv *inner_of(struct kv *kv) { return ((struct kept *)(void *)kv)->inner; }
static void kept_close(struct kv *kv) { free(kv); }
static enum err kept_get(struct kv *kv, struct span key, struct buf *value, bool *found,
                         struct error *e)
{
    return kv_get(inner_of(kv), key.data, key.len, value, found, e);
}
static struct kv_batch *kept_batch_new(struct kv *kv) { return kv_batch_new(inner_of(kv)); }
static enum err kept_write(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e)
{
    return inner_of(kv)->ops->write(inner_of(kv), b, sync, e);
}
static struct kv_iter *kept_iter_new(struct kv *kv) { return kv_iter_new(inner_of(kv)); }
static uint64_t kept_disk_bytes(struct kv *kv) { return kv_disk_bytes(inner_of(kv)); }
static size_t kept_memory_bytes(struct kv *kv) { return kv_memory_bytes(inner_of(kv)); }
static void kept_compact(struct kv *kv) { kv_compact(inner_of(kv)); }

struct stores {
    struct kv *index, *coins;
};

static enum err open_kept(void *ctx, const char *name, const struct kv_options *o, struct kv **out,
                          struct error *e)
{
    struct stores *s = (struct stores *)ctx;
    (void)o;
    (void)e;
    struct kept *k = xcalloc(1, sizeof(*k));
    k->inner = strcmp(name, "coins") == 0 ? s->coins : s->index;
    k->ops = *k->inner->ops;
    k->ops.close = kept_close;
    k->ops.get = kept_get;
    k->ops.batch_new = kept_batch_new;
    k->ops.write = kept_write;
    k->ops.iter_new = kept_iter_new;
    k->ops.disk_bytes = kept_disk_bytes;
    k->ops.memory_bytes = kept_memory_bytes;
    k->ops.compact = kept_compact;
    k->kv.ops = &k->ops;
    *out = &k->kv;
    return OK;
}

/* --- the chain that is interrupted --- */

enum { BIG_OUTPUTS = 60, BIG_SCRIPT = 150000, OLD = 5, NEW = 7 };

/* Branch `old` on block 102 is flushed; the longer `fresh` on the same block then replaces it. */
struct story {
    struct built_block old[OLD], fresh[NEW];
    struct outpoint marker; /* the same on both branches */
    struct hash256 coins;   /* at the tip of fresh, from a chain that was never interrupted */
};

/* Many bytes of coins, so that a flush takes several batches. */
static struct built_tx big_tx(const struct built_block *from)
{
    static uint8_t script[BIG_SCRIPT];
    struct built_tx tx;
    struct out_spec out[BIG_OUTPUTS];
    struct in_spec in = { .prevout = from->coinbase };
    memset(script, 0x51, sizeof(script));
    for (int i = 0; i < BIG_OUTPUTS; i++)
        out[i] = (struct out_spec){ 1, span_of(script, sizeof(script)) };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = BIG_OUTPUTS }, &tx);
    return tx;
}

/* The first block of a branch moves one coinbase; the next makes big coins, for the longer branch
 * twice; block 3 registers an identity that block 4 revokes. */
static struct outpoint make_branch(const struct test_chain *t, struct built_block *out, int n,
                                   const struct built_block *spent, int n_big)
{
    const struct built_block *prev = &t->blocks[t->height];
    struct outpoint marker = { .index = 1 };
    for (int i = 0; i < n; i++) {
        struct built_tx tx = { 0 };
        if (i == 0)
            builder_move(&spent[0].coinbase, spent[0].reward, &tx);
        else if (i <= n_big)
            tx = big_tx(&spent[i]);
        else if (i == 3)
            builder_register(&spent[i].coinbase, spent[i].reward, &tx);
        else if (i == 4)
            builder_revoke(&marker.txid, &tx);
        if (i == 3)
            marker.txid = tx.id;
        builder_block(&t->options.params,
                      &(struct block_spec){ .prev = prev, .txs = &tx, .n_txs = tx.raw.len ? 1 : 0 },
                      &out[i]);
        built_tx_clear(&tx);
        prev = &out[i];
    }
    return marker;
}

static void submit_branch(struct test_chain *t, const struct built_block *b, int n)
{
    for (int i = 0; i < n; i++) {
        const char *reason = test_chain_submit(t, &b[i]);
        assert_true(!reason[0] || strcmp(reason, "duplicate") == 0);
    }
}

static void open_on(struct test_chain *t, struct stores *s)
{
    struct chain_params p = test_params(1);
    struct error e;
    s->index = kv_open_mem();
    s->coins = kv_open_mem();
    test_chain_open(t, &p, 1);
    assert_int_equal(chain_close(t->chain, &e), OK);
    test_dir_remove(t->dir);
    t->dir = test_dir_make();
    t->options.data_dir = t->dir;
    t->options.dbcache_bytes = 256 << 20;
    t->options.open_store = open_kept;
    t->options.store_ctx = s;
    t->options.max_tip_age = 0; /* as while it catches up: nothing is written but by flushes */
    t->chain = NULL;
    test_chain_reopen(t);
}

static void close_on(struct test_chain *t, struct stores *s)
{
    test_chain_close(t);
    kv_close(s->index);
    kv_close(s->coins);
}

/* Every chain of the story shares the same first 102 blocks. */
static void replay_start(struct test_chain *t, const struct test_chain *first)
{
    for (int32_t h = 1; h <= first->height; h++)
        assert_string_equal(test_chain_submit(t, &first->blocks[h]), "");
}

static void make_story(struct story *y, struct test_chain *t, struct stores *s)
{
    open_on(t, s);
    test_chain_grow(t, 106);
    y->marker = make_branch(t, y->old, OLD, &t->blocks[1], 1);
    const struct outpoint again = make_branch(t, y->fresh, NEW, &t->blocks[1], 2);
    assert_memory_equal(&again, &y->marker, sizeof again);
    submit_branch(t, y->fresh, NEW);
    y->coins = test_chain_coins(t);
}

static void clear_story(struct story *y, struct test_chain *t, struct stores *s)
{
    for (int i = 0; i < OLD; i++)
        built_block_clear(&y->old[i]);
    for (int i = 0; i < NEW; i++)
        built_block_clear(&y->fresh[i]);
    close_on(t, s);
}

struct spend {
    const struct block_hash *block;
    bool known;
};

static bool see_spend(void *ctx, const struct block_hash *block, const struct txid *spender)
{
    struct spend *s = ctx;
    (void)spender;
    s->known = block_hash_equal(block, s->block);
    return !s->known;
}

/* Whether it is known that block 4 of the branch spends the marker. */
static bool knows_spend(struct test_chain *t, const struct outpoint *marker,
                        const struct built_block *branch)
{
    struct spend s = { .block = &branch[4].hash };
    assert_int_equal(index_db_each_spend(chain_index_db(t->chain), marker, see_spend, &s, NULL),
                     OK);
    return s.known;
}

enum store { STORE_INDEX, STORE_COINS };
enum ending { ENDS, LOSES_POWER };

/* One run with the n-th write of a store failing. False: there was no n-th write. */
static bool interrupted_run(const struct story *y, const struct test_chain *first, enum store which,
                            uint64_t n, enum ending ending)
{
    struct test_chain t;
    struct stores s;
    struct error e;
    open_on(&t, &s);
    replay_start(&t, first);
    submit_branch(&t, y->old, OLD);
    assert_int_equal(chain_flush(t.chain, &e), OK);
    submit_branch(&t, y->fresh, NEW);
    kv_mem_fail_writes(which == STORE_COINS ? s.coins : s.index, n);
    enum err rc = chain_flush(t.chain, &e);
    assert_int_equal(rc != OK, t.fatal);
    chain_close(t.chain, &e);
    kv_mem_fail_writes(s.coins, 0);
    kv_mem_fail_writes(s.index, 0);
    if (ending == LOSES_POWER) {
        kv_mem_power_cut(s.coins);
        kv_mem_power_cut(s.index);
    }
    t.chain = NULL;
    test_chain_reopen(&t);
    assert_true(test_chain_tip_height(&t) >= first->height + OLD);
    assert_true(knows_spend(&t, &y->marker, y->old)); /* was flushed */
    submit_branch(&t, y->fresh, NEW); /* what the index had lost */
    struct chain_tip tip; /* what it had not is connected in the background */
    assert_true(chain_wait_tip(t.chain, first->height + NEW, NULL, 10000, &tip));
    struct hash256 coins = test_chain_coins(&t);
    assert_memory_equal(coins.b, y->coins.b, 32);
    assert_int_equal(chain_flush(t.chain, &e), OK);
    assert_true(knows_spend(&t, &y->marker, y->fresh));
    close_on(&t, &s);
    return rc != OK;
}

static void a_flush_that_fails_at_any_write_is_made_good_at_the_next_start(void **state)
{
    (void)state;
    struct story y;
    struct test_chain first;
    struct stores s;
    make_story(&y, &first, &s);
    for (enum store which = STORE_INDEX; which <= STORE_COINS; which++) {
        uint64_t n = 1;
        while (interrupted_run(&y, &first, which, n, ENDS) &&
               interrupted_run(&y, &first, which, n, LOSES_POWER))
            n++;
        /* The coins go out in several batches, or this proves little. */
        assert_true(n > (which == STORE_COINS ? 3 : 1));
    }
    clear_story(&y, &first, &s);
}

/* --- killed at random moments --- */

enum { ROUNDS = 12, KILL_BLOCKS = 250 };

static void child_syncs(const struct test_chain *t, const struct built_block *blocks)
{
    struct chain *c;
    struct error e;
    struct chain_options o = t->options;
    if (chain_open(&c, &o, NULL, &e))
        _exit(2);
    chain_start(c, NULL);
    for (int i = 1; i <= KILL_BLOCKS; i++) {
        struct block_submission s;
        if (chain_submit_block(c, blocks[i].raw.data, blocks[i].raw.len, &s, &e) ||
            !verdict_ok(&s.verdict))
            _exit(3);
        if (i % 7 == 0 && chain_flush(c, &e))
            _exit(4);
    }
    for (;;)
        pause();
}

static void a_process_killed_at_any_moment_starts_again_quickly_with_good_coins(void **state)
{
    (void)state;
    struct test_chain clean, t;
    struct chain_params p = test_params(1);
    struct error e;
    test_chain_open(&clean, &p, 0);
    test_chain_grow(&clean, KILL_BLOCKS);
    struct hash256 expected = test_chain_coins(&clean);
    test_chain_open(&t, &p, 1);
    assert_int_equal(chain_close(t.chain, &e), OK);
    t.chain = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child_syncs(&t, clean.blocks);
        usleep(10000 + (useconds_t)(random() % 120000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status)); /* it did not end by itself */
    }
    int64_t start = clock_mono_ms();
    test_chain_reopen(&t);
    assert_true(clock_mono_ms() - start < 10000);
    submit_branch(&t, &clean.blocks[1], KILL_BLOCKS);
    struct chain_tip tip;
    assert_true(chain_wait_tip(t.chain, KILL_BLOCKS, NULL, 10000, &tip));
    struct hash256 coins = test_chain_coins(&t);
    assert_memory_equal(coins.b, expected.b, 32);
    test_chain_close(&t);
    test_chain_close(&clean);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_killed_at_any_moment_starts_again_quickly_with_good_coins),
        cmocka_unit_test(a_flush_that_fails_at_any_write_is_made_good_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
