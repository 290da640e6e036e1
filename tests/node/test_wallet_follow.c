/* Wallets behind a real chain: blocks in both directions, the mempool, a queue that overflows. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "node/wallet_follow_internal.h"
#include "tests/chain/chain_builder.h"
#include "tests/test.h"

#define TOO_MANY 200001 /* notes */

struct rig {
    struct test_chain t;
    struct wallet_follow *f;
    struct wallets *all;
    struct wallet *w; /* watches what anyone can spend */
};

static int64_t now(void) { return 0; }

static int setup(void **state)
{
    static const struct wallet_params params = { .magic = { 1 }, .network = HDKEY_TEST,
                                                 .coin_type = 236, .gap_limit = 2, .now = now,
                                                 .scrypt = { 2, 1, 1 } };
    struct rig *r = calloc(1, sizeof *r);
    struct chain_params p = test_params(1);
    test_chain_open(&r->t, &p, 1);
    r->f = wallet_follow_new();
    char *dir = path_join(r->t.dir, "wallets");
    r->all = wallets_new(dir, &params, wallet_follow_wake, r->f);
    free(dir);
    const struct wallet_new how = { .birth = 1 };
    assert_int_equal(wallets_create(r->all, "w", &how, &r->w, NULL), OK);
    assert_int_equal(wallet_import_script(r->w, builder_true(), (struct span){ NULL, 0 },
                                          WALLET_NO_SCAN, NULL),
                     OK);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    wallet_follow_stop(r->f);
    wallet_unref(r->w);
    wallets_free(r->all);
    wallet_follow_free(r->f);
    test_chain_close(&r->t);
    free(r);
    return 0;
}

static void start(struct rig *r)
{
    assert_int_equal(wallet_follow_start(r->f, r->t.chain, r->all, NULL), OK);
    wallet_follow_wake(r->f);
    wallet_follow_settle(r->f);
}

static int32_t height_of(struct rig *r)
{
    struct block_hash hash;
    int32_t height;
    return wallet_best(r->w, &hash, &height, NULL) ? height : HISTORY_NO_HEIGHT;
}

static struct history_balance balance_of(struct rig *r)
{
    struct history_balance b;
    wallet_lock(r->w);
    assert_int_equal(history_balance(wallet_history(r->w), 0, &b, NULL), OK);
    wallet_unlock(r->w);
    return b;
}

static void blocks_are_told_and_taken_back(void **state)
{
    struct rig *r = *state;
    struct error e;
    test_chain_grow(&r->t, 5);
    start(r);
    assert_int_equal(height_of(r), 5);
    const int64_t five = balance_of(r).watched.immature;
    assert_int_equal(five, 5 * r->t.blocks[1].reward);
    test_chain_grow(&r->t, 3);
    wallet_follow_blocks(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(height_of(r), 8);
    assert_int_equal(chain_invalidate(r->t.chain, test_chain_node(&r->t, &r->t.blocks[6]), &e), OK);
    wallet_follow_blocks(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(height_of(r), 5);
    assert_int_equal(balance_of(r).watched.immature, five);
    assert_true(wallet_follow_memory(r->f) > 0);
}

static int32_t scan_next_of(struct wallet *w)
{
    struct block_hash hash;
    int32_t height, next;
    return wallet_best(w, &hash, &height, &next) ? next : HISTORY_NO_HEIGHT;
}

static void a_block_is_read_once_for_all_wallets(void **state)
{
    enum { BLOCKS = 50, FIRST = 5, SECOND = 20, STOP = 40 };
    struct rig *r = *state;
    struct wallet *other = NULL;
    const struct wallet_new how = { .birth = 1 };
    assert_int_equal(wallets_create(r->all, "a", &how, &other, NULL), OK);
    test_chain_grow(&r->t, BLOCKS);
    start(r);
    const uint64_t reads = atomic_load(&r->f->reads);
    assert_in_range(reads, BLOCKS, BLOCKS + 1);
    assert_int_equal(height_of(r), BLOCKS);
    const int64_t had = balance_of(r).watched.immature;
    for (int i = 1; i <= 2; i++) { /* whichever of them has its turn first */
        wallet_follow_let_go(r->f); /* at rest: none is told blocks before both want them */
        assert_int_equal(wallet_rescan(r->w, i == 1 ? FIRST : SECOND, STOP, NULL), OK);
        assert_int_equal(wallet_rescan(other, i == 1 ? SECOND : FIRST, STOP, NULL), OK);
        wallet_follow_wake(r->f);
        wallet_follow_settle(r->f);
        assert_int_equal(scan_next_of(r->w), HISTORY_NO_HEIGHT);
        assert_int_equal(scan_next_of(other), HISTORY_NO_HEIGHT);
        assert_int_equal(atomic_load(&r->f->reads) - reads, i * (STOP - FIRST + 1));
    }
    assert_int_equal(balance_of(r).watched.immature, had);
    wallet_unref(other);
}

static void a_rescan_ends_at_a_pruned_block_and_the_wallet_goes_on(void **state)
{
    enum { BLOCKS = 20, GONE = 7 };
    struct rig *r = *state;
    char text[WALLET_GAP_TEXT_MAX];
    test_chain_grow(&r->t, BLOCKS);
    start(r);
    assert_false(wallet_gap_text(r->w, text));
    header_index_set_status(chain_headers(r->t.chain),
                            test_chain_node(&r->t, &r->t.blocks[GONE]), 0,
                            HS_HAVE_DATA | HS_HAVE_UNDO);
    assert_int_equal(wallet_rescan(r->w, 5, HISTORY_TO_BEST, NULL), OK);
    wallet_follow_wake(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(scan_next_of(r->w), HISTORY_NO_HEIGHT);
    assert_true(wallet_gap_text(r->w, text));
    assert_non_null(strstr(text, "blocks 7 to 20 may be missing"));
    assert_false(wallet_follow_trouble(r->f, "w", text, sizeof text));
    test_chain_grow(&r->t, 3);
    wallet_follow_blocks(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(height_of(r), BLOCKS + 3);
    assert_int_equal(balance_of(r).watched.immature, (BLOCKS + 3) * r->t.blocks[1].reward);
    assert_int_equal(wallet_rescan(r->w, GONE + 1, HISTORY_TO_BEST, NULL), OK);
    wallet_follow_wake(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(scan_next_of(r->w), HISTORY_NO_HEIGHT);
    assert_true(wallet_gap_text(r->w, text));
    assert_non_null(strstr(text, "blocks 7 to 7 may be missing"));
}

static void how_far_a_wallet_is_follows_from_the_transactions(void **state)
{
    struct rig *r = *state;
    struct chain *c = r->t.chain;
    test_chain_grow(&r->t, 20); /* one each */
    struct follow_run run = { .on = true, .begun_ms = clock_mono_ms() - 10000,
                              .from = 5, .next = 5, .end = 14 };
    assert_int_equal(follow_pace(c, &run).eta_s, -1);
    run.next = 10;
    const struct follow_pace half = follow_pace(c, &run);
    assert_true(half.done == 0.5);
    assert_true(half.took_s >= 10 && half.eta_s >= 10);
    run.next = 15;
    assert_true(follow_pace(c, &run).done == 1 && follow_pace(c, &run).eta_s == 0);
}

/* As after a crash: three blocks on the fifth that nobody knows any more. */
static void tell_lost_blocks(struct rig *r)
{
    struct block_hash prev = r->t.blocks[5].hash;
    wallet_lock(r->w);
    for (int32_t i = 6; i <= 8; i++) {
        const struct wallet_block b = { .hash = { { (uint8_t)i } }, .prev = prev, .height = i };
        assert_int_equal(wallet_block_begin(r->w, &b, NULL), OK);
        assert_int_equal(wallet_block_end(r->w, NULL), OK);
        prev = b.hash;
    }
    wallet_unlock(r->w);
}

static void a_block_that_the_index_lost_sends_the_wallet_back(void **state)
{
    struct rig *r = *state;
    test_chain_grow(&r->t, 5);
    start(r);
    tell_lost_blocks(r);
    wallet_follow_wake(r->f);
    wallet_follow_settle(r->f);
    assert_int_equal(height_of(r), 5);
    assert_int_equal(balance_of(r).watched.immature, 5 * r->t.blocks[1].reward);
}

/* It may have a long way, block by block. */
static void a_node_that_stops_does_not_wait_until_a_wallet_is_back(void **state)
{
    struct rig *r = *state;
    test_chain_grow(&r->t, 5);
    start(r);
    wallet_follow_stop(r->f);
    tell_lost_blocks(r);
    struct followed d = { .w = r->w };
    follow_blocks(r->f, &d);
    assert_int_equal(height_of(r), 8);
}

static bool has_tx(struct rig *r, const struct txid *id)
{
    bool found = false, there = false;
    struct history_coin coin;
    const struct outpoint at = { .txid = *id };
    wallet_lock(r->w);
    assert_int_equal(history_get_coin(wallet_history(r->w), &at, &coin, &found, NULL), OK);
    there = found && coin.height == HISTORY_NO_HEIGHT;
    wallet_unlock(r->w);
    return there;
}

/* A transaction out of the first coinbase, into the mempool. */
static struct tx *submit_one(struct rig *r)
{
    struct built_tx built;
    builder_move(&r->t.blocks[1].coinbase, r->t.blocks[1].reward - 1000, &built);
    struct tx *tx = tx_new(built.raw.data, built.raw.len, NULL);
    built_tx_clear(&built);
    assert_non_null(tx);
    struct tx_submission s = { .tx = tx };
    assert_int_equal(chain_submit_txs(r->t.chain, &s, 1, NULL), OK);
    if (s.result.outcome != TX_ACCEPTED)
        fail_msg("%d %s", s.result.outcome, s.result.verdict.reason);
    tx_submissions_clear(&s, 1);
    return tx;
}

static void what_enters_the_mempool_is_told(void **state)
{
    struct rig *r = *state;
    test_chain_grow(&r->t, 101);
    start(r);
    struct tx *tx = submit_one(r);
    assert_false(has_tx(r, &tx->id));
    wallet_follow_tx_accepted(r->f, tx);
    wallet_follow_settle(r->f);
    assert_true(has_tx(r, &tx->id));
    assert_true(balance_of(r).watched.pending + balance_of(r).watched.trusted > 0);
    const struct mempool_removed gone = { .tx = tx, .reason = MEMPOOL_EXPIRED };
    wallet_follow_tx_removed(r->f, &gone, NULL);
    wallet_follow_settle(r->f);
    assert_int_equal(balance_of(r).watched.pending, 0);
    tx_unref(tx);
}

static void after_an_overflow_the_mempool_is_read_anew(void **state)
{
    struct rig *r = *state;
    test_chain_grow(&r->t, 101);
    start(r);
    struct tx *tx = submit_one(r);
    const struct mempool_removed gone = { .tx = tx, .reason = MEMPOOL_EXPIRED };
    wallet_lock(r->w); /* the thread cannot go on */
    for (size_t i = 0; i < 2 * TOO_MANY; i++)
        wallet_follow_tx_removed(r->f, &gone, NULL);
    assert_true(wallet_follow_memory(r->f) < (size_t)100 << 20);
    wallet_unlock(r->w);
    for (int i = 0; i < 100 && !has_tx(r, &tx->id); i++)
        wallet_follow_settle(r->f);
    assert_true(has_tx(r, &tx->id));
    tx_unref(tx);
}

static void own_unconfirmed_ones_are_handed_over_again(void **state)
{
    struct rig *r = *state;
    struct buf ids = { 0 };
    test_chain_grow(&r->t, 101);
    start(r);
    assert_int_equal(wallet_follow_resend(r->f, r->w, &ids, NULL), OK);
    assert_int_equal(ids.len, 0);
    struct tx *tx = submit_one(r);
    wallet_follow_tx_accepted(r->f, tx);
    wallet_follow_settle(r->f);
    assert_int_equal(wallet_follow_resend(r->f, r->w, &ids, NULL), OK);
    assert_int_equal(ids.len, sizeof tx->id.b); /* though the mempool has it */
    assert_memory_equal(ids.data, tx->id.b, ids.len);
    buf_clear(&ids);
    tx_unref(tx);
}

static void a_wallet_that_is_unloaded_is_let_go(void **state)
{
    struct rig *r = *state;
    start(r);
    for (int i = 0; i < 10; i++) {
        wallet_unref(r->w);
        r->w = NULL;
        assert_int_equal(wallets_unload(r->all, "w", NULL), OK);
        wallet_follow_let_go(r->f);
        assert_int_equal(wallets_load(r->all, "w", &r->w, NULL), OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_are_told_and_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_that_the_index_lost_sends_the_wallet_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_node_that_stops_does_not_wait_until_a_wallet_is_back,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_is_read_once_for_all_wallets, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rescan_ends_at_a_pruned_block_and_the_wallet_goes_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(how_far_a_wallet_is_follows_from_the_transactions, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_enters_the_mempool_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(after_an_overflow_the_mempool_is_read_anew, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(own_unconfirmed_ones_are_handed_over_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wallet_that_is_unloaded_is_let_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
