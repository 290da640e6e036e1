/* Blocks that wait in memory: bounded bytes, old ones make way, the rest is read from disk. */
#include <config.h>

#include <string.h>

#include "chain/chain_internal.h"
#include "tests/chain/chain_builder.h"

static struct block_segment *segment(void)
{
    struct chain_params p = test_params(1);
    struct built_block genesis;
    struct block_segment *seg;
    struct block_header h;
    size_t extra, len;
    builder_genesis(&p, &genesis);
    uint8_t *data = buf_take(&genesis.raw, &len);
    struct block_bytes *bytes = block_bytes_new(data, len);
    assert_int_equal(block_segment_parse(&seg, bytes, &h, &extra, NULL), OK);
    block_bytes_unref(bytes);
    return seg;
}

static void a_block_is_found_with_its_source_until_dropped(void **state)
{
    (void)state;
    struct received r;
    struct received_block got;
    struct header_node a = { .height = 5 }, b = { .height = 6 };
    received_init(&r, 1 << 20);
    received_put(&r, &a, 77, segment(), 4);
    received_put(&r, &b, 78, NULL, 4);
    assert_true(received_find(&r, &a, &got));
    assert_int_equal(got.source, 77);
    assert_non_null(got.segment);
    assert_true(received_find(&r, &b, &got));
    assert_null(got.segment);
    received_drop(&r, &a);
    assert_false(received_find(&r, &a, &got));
    assert_int_equal(atomic_load(&r.bytes), 0);
    received_drop(&r, &a); /* twice is fine */
    received_clear(&r);
}

static void past_the_budget_old_blocks_go_and_new_ones_stay_on_disk(void **state)
{
    (void)state;
    struct received r;
    struct received_block got;
    struct header_node nodes[4] = { { .height = 1 }, { .height = 10 }, { .height = 11 },
                                    { .height = 12 } };
    struct block_segment *first = segment();
    size_t one = block_segment_memory(first);
    received_init(&r, 2 * one);
    received_put(&r, &nodes[0], 1, first, 0);
    received_put(&r, &nodes[1], 2, segment(), 0);
    assert_int_equal(atomic_load(&r.bytes), 2 * one);
    received_put(&r, &nodes[2], 3, segment(), 5); /* the tip has passed the first */
    assert_false(received_find(&r, &nodes[0], &got));
    assert_true(received_find(&r, &nodes[2], &got));
    assert_non_null(got.segment);
    received_put(&r, &nodes[3], 4, segment(), 5);
    assert_true(received_find(&r, &nodes[3], &got)); /* its source is still known */
    assert_null(got.segment);
    assert_int_equal(atomic_load(&r.bytes), 2 * one);
    received_clear(&r);
    assert_int_equal(atomic_load(&r.bytes), 0);
}

static void progress_counts_what_was_connected_and_says_what_limits(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct chain_progress progress;
    struct built_block next;
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 40);
    chain_get_progress(t.chain, &progress);
    assert_true(progress.verification == 1.0);
    assert_int_equal(progress.eta_s, 0);
    assert_int_equal(progress.limited_by, LIMIT_NONE);
    assert_true(progress.blocks_per_s > 0 && progress.tx_per_s > 0);
    assert_true(progress.coins.entries >= 40);
    /* A header without its block: we wait for peers. */
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[40] }, &next);
    size_t accepted;
    struct header_node *last;
    struct verdict v;
    assert_int_equal(chain_accept_headers(t.chain, &next.header, NULL, 1, &accepted, &last, &v),
                     OK);
    chain_get_progress(t.chain, &progress);
    assert_true(progress.verification < 1.0 && progress.verification > 0.9);
    assert_true(progress.limited_by != LIMIT_NONE);
    assert_true(progress.eta_s >= 0);
    built_block_clear(&next);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_found_with_its_source_until_dropped),
        cmocka_unit_test(past_the_budget_old_blocks_go_and_new_ones_stay_on_disk),
        cmocka_unit_test(progress_counts_what_was_connected_and_says_what_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
