/* The chain as a whole: opening, choosing the tip, reorganising, coming back after a stop. */
#include <config.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "chain/chain_internal.h"
#include "tests/chain/chain_builder.h"

static void a_new_chain_stands_at_genesis(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct chain_tip tip;
    test_chain_open(&t, &p, 0);
    chain_get_tip(t.chain, &tip);
    assert_int_equal(tip.height, 0);
    assert_memory_equal(tip.hash.b, p.genesis_hash.b, 32);
    assert_int_equal(tip.chain_tx_count, 1);
    test_chain_close(&t);
}

static void submitted_blocks_become_the_tip(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 5);
    assert_int_equal(test_chain_tip_height(&t), 5);
    assert_int_equal(t.connected, 5);
    assert_string_equal(test_chain_submit(&t, &t.blocks[3]), "duplicate");
    assert_true(test_chain_has_coin(&t, &t.blocks[5].coinbase, NULL));
    test_chain_close(&t);
}

static void the_chain_is_the_same_after_a_restart(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 8);
    struct hash256 before = test_chain_coins(&t), after;
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 8);
    after = test_chain_coins(&t);
    assert_memory_equal(before.b, after.b, 32);
    test_chain_grow(&t, 1);
    assert_int_equal(test_chain_tip_height(&t), 9);
    test_chain_close(&t);
}

/* Two branches from block 3 of a grown chain: `a` is longer by one than the grown one. */
static void make_branch(struct test_chain *t, int32_t from, struct built_block *out, int n)
{
    const struct built_block *prev = &t->blocks[from];
    for (int i = 0; i < n; i++) {
        builder_block(&t->options.params, &(struct block_spec){ .prev = prev }, &out[i]);
        prev = &out[i];
    }
}

static void clear_branch(struct built_block *b, int n)
{
    for (int i = 0; i < n; i++)
        built_block_clear(&b[i]);
}

static void the_branch_with_more_work_wins_and_the_other_can_come_back(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct built_block a[4], b[3];
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 6);
    struct hash256 old_coins = test_chain_coins(&t);
    make_branch(&t, 3, a, 4);
    for (int i = 0; i < 3; i++) /* as much work as the tip: the first seen stays */
        assert_string_equal(test_chain_submit(&t, &a[i]), "");
    assert_int_equal(t.disconnected, 0);
    assert_string_equal(test_chain_submit(&t, &a[3]), "");
    assert_int_equal(t.disconnected, 3);
    assert_int_equal(test_chain_tip_height(&t), 7);
    assert_true(test_chain_has_coin(&t, &a[3].coinbase, NULL));
    assert_false(test_chain_has_coin(&t, &t.blocks[6].coinbase, NULL));
    struct hash256 branch_coins = test_chain_coins(&t);
    assert_memory_not_equal(old_coins.b, branch_coins.b, 32);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[6] }, &b[0]);
    builder_block(&p, &(struct block_spec){ .prev = &b[0] }, &b[1]);
    assert_string_equal(test_chain_submit(&t, &b[0]), "");
    assert_string_equal(test_chain_submit(&t, &b[1]), "");
    assert_int_equal(test_chain_tip_height(&t), 8);
    assert_int_equal(t.disconnected, 7);
    struct error e;
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &b[0]), &e), OK);
    /* the other branch has more than what is left */
    assert_int_equal(test_chain_tip_height(&t), 7);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &a[0]), &e), OK);
    struct hash256 back = test_chain_coins(&t);
    assert_memory_equal(old_coins.b, back.b, 32);
    clear_branch(a, 4);
    clear_branch(b, 2);
    test_chain_close(&t);
}

static void invalidate_and_reconsider_return_to_the_same_coins(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 10);
    struct hash256 before = test_chain_coins(&t);
    struct header_node *node = test_chain_node(&t, &t.blocks[4]);
    assert_int_equal(chain_invalidate(t.chain, node, &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 3);
    assert_int_equal(chain_reconsider(t.chain, node, &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 10);
    struct hash256 after = test_chain_coins(&t);
    assert_memory_equal(before.b, after.b, 32);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[0]), &e), ERR_RANGE);
    test_chain_close(&t);
}

static void an_invalidated_block_stays_so_over_a_restart(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 0);
    test_chain_grow(&t, 4);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[3]), &e), OK);
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 2);
    assert_int_equal(chain_reconsider(t.chain, test_chain_node(&t, &t.blocks[3]), &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 4);
    test_chain_close(&t);
}

static void precious_prefers_a_branch_of_equal_work(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    struct built_block a[1];
    struct chain_tip tip;
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 3);
    make_branch(&t, 2, a, 1);
    assert_string_equal(test_chain_submit(&t, &a[0]), "");
    assert_int_equal(chain_precious(t.chain, test_chain_node(&t, &a[0]), &e), OK);
    chain_get_tip(t.chain, &tip);
    assert_memory_equal(tip.hash.b, a[0].hash.b, 32);
    assert_int_equal(chain_precious(t.chain, test_chain_node(&t, &t.blocks[3]), &e), OK);
    chain_get_tip(t.chain, &tip);
    assert_memory_equal(tip.hash.b, t.blocks[3].hash.b, 32);
    clear_branch(a, 1);
    test_chain_close(&t);
}

static void a_longer_branch_with_a_bad_block_leads_back_to_the_old_tip(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct built_block a[2], bad, after;
    struct chain_tip tip;
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 5);
    struct hash256 before = test_chain_coins(&t);
    make_branch(&t, 2, a, 2);
    builder_block(&p, &(struct block_spec){ .prev = &a[1], .extra_reward = 1 }, &bad);
    builder_block(&p, &(struct block_spec){ .prev = &bad }, &after);
    assert_string_equal(test_chain_submit(&t, &a[0]), "");
    assert_string_equal(test_chain_submit(&t, &a[1]), "");
    assert_string_equal(test_chain_submit(&t, &bad), ""); /* of equal work: not looked at yet */
    assert_string_equal(test_chain_submit(&t, &after), "");
    assert_int_equal(t.judged, 1);
    assert_string_equal(t.last_judged.reason, "bad-cb-amount");
    chain_get_tip(t.chain, &tip);
    assert_memory_equal(tip.hash.b, t.blocks[5].hash.b, 32);
    struct hash256 coins = test_chain_coins(&t);
    assert_memory_equal(before.b, coins.b, 32);
    clear_branch(a, 2);
    built_block_clear(&bad);
    built_block_clear(&after);
    test_chain_close(&t);
}

static void a_deep_reorganisation_leaves_the_coins_of_a_fresh_replay(void **state)
{
    (void)state;
    enum { DEEP = 144 };
    struct test_chain t, fresh;
    struct chain_params p = test_params(1000);
    struct built_block a[DEEP + 1];
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, DEEP);
    make_branch(&t, 0, a, DEEP + 1);
    test_chain_open(&fresh, &p, 0);
    for (int i = 0; i <= DEEP; i++) {
        assert_string_equal(test_chain_submit(&t, &a[i]), "");
        assert_string_equal(test_chain_submit(&fresh, &a[i]), "");
    }
    assert_int_equal(t.disconnected, DEEP);
    struct hash256 one = test_chain_coins(&t), other = test_chain_coins(&fresh);
    assert_memory_equal(one.b, other.b, 32);
    clear_branch(a, DEEP + 1);
    test_chain_close(&t);
    test_chain_close(&fresh);
}

/* attacks A16: with a cache too small for the way, the coins are flushed on it. */
static void a_reorganisation_larger_than_the_cache_goes_in_steps(void **state)
{
    (void)state;
    enum { DEEP = 60, OUTPUTS = 40, SCRIPT = 9000 };
    struct test_chain t;
    struct chain_params p = test_params(1);
    static uint8_t script[SCRIPT];
    memset(script, 0x51, sizeof(script));
    test_chain_open(&t, &p, 2);
    t.options.dbcache_bytes = 4 << 20;
    test_chain_reopen(&t);
    test_chain_grow(&t, 101 + DEEP);
    struct built_block a[DEEP + 1];
    const struct built_block *prev = &t.blocks[101];
    struct error e;
    struct hash256 before = test_chain_coins(&t);
    for (int i = 0; i <= DEEP; i++) {
        struct out_spec out[OUTPUTS];
        struct in_spec in = { .prevout = t.blocks[i + 1].coinbase };
        struct built_tx tx;
        for (int k = 0; k < OUTPUTS; k++)
            out[k] = (struct out_spec){ 1, span_of(script, sizeof(script)) };
        builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = OUTPUTS }, &tx);
        builder_block(&p, &(struct block_spec){ .prev = prev, .txs = &tx, .n_txs = 1 }, &a[i]);
        built_tx_clear(&tx);
        assert_string_equal(test_chain_submit(&t, &a[i]), "");
        prev = &a[i];
    }
    assert_int_equal(test_chain_tip_height(&t), 101 + DEEP + 1);
    struct header_node *first = test_chain_node(&t, &a[0]);
    struct hash256 with = test_chain_coins(&t);
    assert_int_equal(chain_invalidate(t.chain, first, &e), OK);
    struct hash256 after = test_chain_coins(&t);
    assert_memory_equal(before.b, after.b, 32);
    assert_int_equal(chain_reconsider(t.chain, first, &e), OK);
    after = test_chain_coins(&t);
    assert_memory_equal(with.b, after.b, 32);
    clear_branch(a, DEEP + 1);
    test_chain_close(&t);
}

static void blocks_that_arrive_before_their_parents_connect_with_them(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct built_block a[3];
    test_chain_open(&t, &p, 2);
    make_branch(&t, 0, a, 3);
    struct block_header headers[3] = { a[0].header, a[1].header, a[2].header };
    struct header_node *last;
    struct verdict v;
    size_t accepted;
    assert_int_equal(chain_accept_headers(t.chain, headers, NULL, 3, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 3);
    assert_string_equal(test_chain_submit(&t, &a[2]), "");
    assert_string_equal(test_chain_submit(&t, &a[1]), "");
    assert_int_equal(test_chain_tip_height(&t), 0);
    assert_string_equal(test_chain_submit(&t, &a[0]), "");
    assert_int_equal(test_chain_tip_height(&t), 3);
    clear_branch(a, 3);
    test_chain_close(&t);
}

static void a_block_above_the_size_limit_connects_once_the_limit_is_raised(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    struct built_block big;
    uint8_t script[1000] = { 0x00, 0x6a };
    test_chain_open(&t, &p, 1);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[0],
                                            .script = span_of(script, sizeof(script)) }, &big);
    t.options.max_block_size = 1000;
    test_chain_reopen(&t);
    assert_string_equal(test_chain_submit(&t, &big), "bad-blk-length");
    assert_false(atomic_load(&test_chain_node(&t, &big)->status) & HS_FAILED_MASK);
    t.options.max_block_size = 0;
    test_chain_reopen(&t);
    assert_string_equal(test_chain_submit(&t, &big), "");
    assert_int_equal(test_chain_tip_height(&t), 1);
    /* Lowered again: a stored block above it is judged anew when the limit allows. */
    struct error e;
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &big), &e), OK);
    t.options.max_block_size = 1000;
    test_chain_reopen(&t);
    assert_int_equal(chain_reconsider(t.chain, test_chain_node(&t, &big), &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 0);
    assert_true(atomic_load(&test_chain_node(&t, &big)->status) & HS_FAILED_LIMIT);
    t.options.max_block_size = 0;
    test_chain_reopen(&t);
    struct chain_tip tip;
    assert_true(chain_wait_tip(t.chain, 1, NULL, 60000, &tip));
    /* The same while it runs. */
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &big), &e), OK);
    assert_int_equal(chain_set_max_block_size(t.chain, 1000), OK);
    assert_int_equal(chain_max_block_size(t.chain), 1000);
    assert_int_equal(chain_reconsider(t.chain, test_chain_node(&t, &big), &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 0);
    assert_int_equal(chain_set_max_block_size(t.chain, 2000), OK);
    assert_true(chain_wait_tip(t.chain, 1, NULL, 60000, &tip));
    built_block_clear(&big);
    test_chain_close(&t);
}

/* Raises the limit from another thread, between two blocks that are connected. */
struct raiser {
    struct chain *chain;
    sem_t go;
};

static void raise_after_first(void *ctx, struct header_node *node)
{
    struct raiser *r = ctx;
    if (node->height != 1)
        return;
    sem_post(&r->go);
    while (queue_items(r->chain->queue) == 0)
        usleep(100);
}

static void *raise_limit(void *ctx)
{
    struct raiser *r = ctx;
    sem_wait(&r->go);
    assert_int_equal(chain_set_max_block_size(r->chain, 2000), OK);
    return NULL;
}

/* Blocks after the tip are read ahead, and judged with it. */
static void a_limit_that_is_raised_holds_for_blocks_read_ahead(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    struct built_block big;
    struct chain_tip tip;
    struct error e;
    uint8_t script[1000] = { 0x00, 0x6a };
    pthread_t thread;
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 2);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[2],
                                            .script = span_of(script, sizeof(script)) }, &big);
    assert_string_equal(test_chain_submit(&t, &big), "");
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[1]), &e), OK);
    assert_int_equal(chain_close(t.chain, &e), OK);
    struct raiser r = { .chain = NULL };
    const struct chain_handlers h = { .ctx = &r, .block_connected = raise_after_first };
    sem_init(&r.go, 0, 0);
    t.options.max_block_size = 1000;
    assert_int_equal(chain_open(&r.chain, &t.options, &h, &e), OK);
    t.chain = r.chain;
    assert_int_equal(chain_reconsider(t.chain, test_chain_node(&t, &t.blocks[1]), &e), OK);
    assert_int_equal(pthread_create(&thread, NULL, raise_limit, &r), 0);
    chain_start(t.chain, NULL);
    assert_true(chain_wait_tip(t.chain, 3, NULL, 60000, &tip));
    pthread_join(thread, NULL);
    sem_destroy(&r.go);
    built_block_clear(&big);
    test_chain_close(&t);
}

struct handing_over {
    struct test_chain *t;
    const struct built_block *block;
    const char *answer;
};

static void *hand_over(void *ctx)
{
    struct handing_over *h = ctx;
    h->answer = test_chain_submit(h->t, h->block);
    return NULL;
}

/* Somebody sends one with the same header while a block is handed over. */
static void a_spoilt_copy_of_a_peer_is_no_answer_to_who_hands_the_block_over(void **state)
{
    (void)state;
    struct test_chain t;
    struct test_gate gate;
    struct chain_params p = test_params(1);
    struct built_block b;
    struct verdict v;
    pthread_t thread;
    test_chain_open(&t, &p, 1);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[0] }, &b);
    struct handing_over h = { .t = &t, .block = &b };
    test_gate_close(&gate, t.chain);
    assert_int_equal(pthread_create(&thread, NULL, hand_over, &h), 0);
    test_gate_wait(&gate, 1); /* it waits for its turn to wait for the block */
    struct block_intake *in =
        chain_block_begin(t.chain, test_chain_node(&t, &b), b.raw.len, NULL, 7, &v);
    assert_non_null(in);
    uint8_t *spoilt = xmalloc(b.raw.len);
    memcpy(spoilt, b.raw.data, b.raw.len);
    spoilt[b.raw.len - 1] ^= 1;
    intake_feed(in, spoilt, b.raw.len);
    test_gate_wait(&gate, 2);
    test_gate_open(&gate);
    pthread_join(thread, NULL);
    assert_string_equal(h.answer, "");
    assert_int_equal(t.judged, 1); /* the copy, for who sent it */
    assert_string_equal(t.last_judged.reason, "bad-txnmrklroot");
    assert_int_equal(test_chain_tip_height(&t), 1);
    free(spoilt);
    built_block_clear(&b);
    test_chain_close(&t);
}

static void waiting_for_a_tip_ends_with_it_or_with_the_time(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_tip tip;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 0);
    assert_false(chain_wait_tip(t.chain, 1, NULL, 10, &tip));
    test_chain_grow(&t, 1);
    assert_true(chain_wait_tip(t.chain, 1, NULL, -1, &tip));
    assert_false(chain_wait_tip(t.chain, 0, &t.blocks[1].hash, 10, &tip));
    test_chain_close(&t);
}

static void verifying_finds_a_good_chain_good_at_every_level(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct error e;
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 7);
    struct hash256 before = test_chain_coins(&t);
    for (unsigned level = 0; level <= 4; level++) {
        bool good = false;
        assert_int_equal(chain_verify(t.chain, level, 0, &good, &e), OK);
        assert_true(good);
        struct hash256 after = test_chain_coins(&t);
        assert_memory_equal(before.b, after.b, 32);
    }
    test_chain_close(&t);
}

static void reindex_finds_the_same_chain_in_the_block_files(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_tip tip;
    struct chain_params p = test_params(1000);
    const enum chain_rebuild kinds[] = { REBUILD_CHAINSTATE, REBUILD_ALL };
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 12);
    struct hash256 before = test_chain_coins(&t);
    for (size_t i = 0; i < 2; i++) {
        t.options.rebuild = kinds[i];
        test_chain_reopen(&t);
        assert_true(chain_wait_tip(t.chain, 12, NULL, 10000, &tip));
        struct hash256 after = test_chain_coins(&t);
        assert_memory_equal(before.b, after.b, 32);
    }
    t.options.rebuild = REBUILD_NONE;
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 12);
    test_chain_grow(&t, 1);
    test_chain_close(&t);
}

static void the_transaction_index_follows_the_chain_and_can_be_added_later(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    struct tx_location loc;
    bool found = false;
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 5);
    t.options.tx_index = true;
    test_chain_reopen(&t);
    test_chain_grow(&t, 2);
    for (int32_t h = 1; h <= 7; h++) {
        for (int i = 0; i < 10000 && !found; i++) { /* by a thread of its own */
            assert_int_equal(chain_flush(t.chain, &e), OK);
            assert_int_equal(index_db_find_tx(chain_index_db(t.chain), &t.blocks[h].coinbase.txid,
                                              &loc, &found, &e), OK);
            usleep(found ? 0 : 1000);
        }
        assert_true(found);
        found = false;
        assert_memory_equal(loc.block.b, t.blocks[h].hash.b, 32);
        assert_int_equal(loc.offset, 81);
        assert_int_equal(loc.size, t.blocks[h].raw.len - 81);
    }
    test_chain_reopen(&t);
    assert_int_equal(index_db_find_tx(chain_index_db(t.chain), &t.blocks[7].coinbase.txid, &loc,
                                      &found, &e), OK);
    assert_true(found);
    test_chain_close(&t);
}

static void pruning_keeps_what_a_reorganisation_may_need(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    int32_t last;
    test_chain_open(&t, &p, 1);
    t.options.prune_target_bytes = 1;
    t.options.preferred_file_size = 4000; /* a file holds about twenty of these blocks */
    test_chain_reopen(&t);
    test_chain_grow(&t, 400);
    assert_int_equal(chain_prune(t.chain, 1000000, &last, &e), OK);
    assert_true(last > 50 && last <= 112);
    assert_false(atomic_load(&test_chain_node(&t, &t.blocks[last])->status) & HS_HAVE_DATA);
    for (int32_t h = 400 - 288; h <= 400; h++)
        assert_true(atomic_load(&test_chain_node(&t, &t.blocks[h])->status) & HS_HAVE_UNDO);
    struct buf raw = { 0 };
    assert_int_equal(chain_read_block_bytes(t.chain, test_chain_node(&t, &t.blocks[1]), 1000, &raw,
                                            &e), ERR_NOTFOUND);
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 400);
    test_chain_grow(&t, 1);
    /* To go back further is refused before anything is done. */
    struct header_node *gone = test_chain_node(&t, &t.blocks[last]);
    assert_int_equal(chain_invalidate(t.chain, gone, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "pruned"));
    assert_false(atomic_load(&gone->status) & HS_FAILED_MASK);
    assert_int_equal(t.fatal, 0);
    assert_int_equal(test_chain_tip_height(&t), 401);
    test_chain_grow(&t, 1);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[402]), &e), OK);
    test_chain_close(&t);
}

/* Overwrites a byte of a stored block in its file. */
static void damage(struct test_chain *t, const struct built_block *b)
{
    struct header_data data;
    struct error e;
    struct file file;
    header_index_get_data(chain_headers(t->chain), test_chain_node(t, b), &data);
    char *path = blockfiles_path(chain_blockfiles(t->chain), "blk", data.data.file);
    assert_int_equal(file_open(&file, path, FILE_WRITE, &e), OK);
    assert_int_equal(file_pwrite(&file, "\x99", 1, data.data.offset + 130, &e), OK);
    file_close(&file);
    free(path);
}

/* attacks A6, A7, K2 */
static void a_damaged_file_stops_the_chain_and_judges_no_block(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct built_block a[3];
    struct error e;
    test_chain_open(&t, &p, 1);
    make_branch(&t, 0, a, 3);
    struct block_header headers[3] = { a[0].header, a[1].header, a[2].header };
    struct header_node *last;
    struct verdict v;
    size_t accepted;
    assert_int_equal(chain_accept_headers(t.chain, headers, NULL, 3, &accepted, &last, &v), OK);
    assert_string_equal(test_chain_submit(&t, &a[1]), "");
    assert_string_equal(test_chain_submit(&t, &a[2]), "");
    test_chain_reopen(&t); /* they are no longer in memory */
    damage(&t, &a[1]);
    assert_string_equal(test_chain_submit(&t, &a[0]), "");
    for (int i = 0; i < 5000 && !t.fatal; i++)
        usleep(1000);
    assert_int_equal(t.fatal, 1);
    assert_int_equal(t.last_error.code, ERR_CORRUPT);
    assert_int_equal(t.judged, 0);
    assert_int_equal(atomic_load(&test_chain_node(&t, &a[1])->status) & HS_FAILED_MASK, 0);
    assert_int_equal(chain_flush(t.chain, &e), ERR_IO); /* nothing more is written */
    clear_branch(a, 3);
    test_chain_close(&t);
}

static void run_check(struct chain *c, void *ctx)
{
    *(enum err *)ctx = check_index(c, NULL);
}

static void a_contradiction_in_the_index_is_found_when_asked_for(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    enum err found = ERR_IO;
    test_chain_open(&t, &p, 0);
    test_chain_grow(&t, 4);
    assert_int_equal(chain_call(t.chain, run_check, &found), OK);
    assert_int_equal(found, OK);
    struct header_node *node = test_chain_node(&t, &t.blocks[2]);
    header_index_set_status(chain_headers(t.chain), node, HS_FAILED, 0);
    assert_int_equal(chain_call(t.chain, run_check, &found), OK);
    assert_int_equal(found, ERR_CORRUPT);
    header_index_set_status(chain_headers(t.chain), node, 0, HS_FAILED | HS_SCRIPTS_OK);
    assert_int_equal(chain_call(t.chain, run_check, &found), OK);
    assert_int_equal(found, ERR_CORRUPT);
    header_index_set_status(chain_headers(t.chain), node, HS_SCRIPTS_OK, 0);
    assert_int_equal(chain_call(t.chain, run_check, &found), OK);
    assert_int_equal(found, OK);
    test_chain_close(&t);
}

static void closing_without_a_start_and_twice_open_are_fine(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 2);
    assert_int_equal(chain_close(t.chain, &e), OK);
    assert_int_equal(chain_open(&t.chain, &t.options, NULL, &e), OK);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_chain_stands_at_genesis),
        cmocka_unit_test(submitted_blocks_become_the_tip),
        cmocka_unit_test(the_chain_is_the_same_after_a_restart),
        cmocka_unit_test(the_branch_with_more_work_wins_and_the_other_can_come_back),
        cmocka_unit_test(invalidate_and_reconsider_return_to_the_same_coins),
        cmocka_unit_test(an_invalidated_block_stays_so_over_a_restart),
        cmocka_unit_test(precious_prefers_a_branch_of_equal_work),
        cmocka_unit_test(a_longer_branch_with_a_bad_block_leads_back_to_the_old_tip),
        cmocka_unit_test(a_deep_reorganisation_leaves_the_coins_of_a_fresh_replay),
        cmocka_unit_test(a_reorganisation_larger_than_the_cache_goes_in_steps),
        cmocka_unit_test(blocks_that_arrive_before_their_parents_connect_with_them),
        cmocka_unit_test(a_block_above_the_size_limit_connects_once_the_limit_is_raised),
        cmocka_unit_test(a_limit_that_is_raised_holds_for_blocks_read_ahead),
        cmocka_unit_test(a_spoilt_copy_of_a_peer_is_no_answer_to_who_hands_the_block_over),
        cmocka_unit_test(waiting_for_a_tip_ends_with_it_or_with_the_time),
        cmocka_unit_test(verifying_finds_a_good_chain_good_at_every_level),
        cmocka_unit_test(reindex_finds_the_same_chain_in_the_block_files),
        cmocka_unit_test(the_transaction_index_follows_the_chain_and_can_be_added_later),
        cmocka_unit_test(pruning_keeps_what_a_reorganisation_may_need),
        cmocka_unit_test(a_damaged_file_stops_the_chain_and_judges_no_block),
        cmocka_unit_test(a_contradiction_in_the_index_is_found_when_asked_for),
        cmocka_unit_test(closing_without_a_start_and_twice_open_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
