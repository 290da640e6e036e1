#include <config.h>

#include "chain/locator.h"

#include <stdlib.h>

#include "tests/chain/header_util.h"
#include "tests/test.h"

struct fixture {
    struct header_index *idx;
    struct header_node *tip;
};

static void fixture_open(struct fixture *f, size_t n)
{
    f->idx = header_index_new(params_get(NETWORK_REGTEST));
    f->tip = header_index_genesis(f->idx);
    struct block_header *h = headers_mine(&f->tip->hash, f->tip->time + 1, 0, n);
    f->tip = headers_accept(f->idx, h, n);
    header_index_set_tip(f->idx, f->tip);
    free(h);
}

static struct header_node *branch(struct fixture *f, struct header_node *from, uint32_t salt,
                                  size_t n)
{
    struct block_header *h = headers_mine(&from->hash, from->time + 1, salt, n);
    struct header_node *last = headers_accept(f->idx, h, n);
    free(h);
    return last;
}

static void locator_is_dense_first_then_twice_as_far_and_ends_with_genesis(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash out[LOCATOR_MAX];
    fixture_open(&f, 100);
    static const int32_t heights[] = { 100, 99, 98, 97, 96, 95, 94, 93, 92,
                                       91,  90, 88, 84, 76, 60, 28, 0 };
    const size_t n = locator_make(f.idx, f.tip, out);
    assert_int_equal(n, sizeof(heights) / sizeof(*heights));
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(out[i].b, header_ancestor(f.tip, heights[i])->hash.b, 32);
    header_index_free(f.idx);
}

static void locator_of_genesis_and_of_nothing_is_genesis(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash out[LOCATOR_MAX];
    fixture_open(&f, 1);
    const struct block_hash genesis = header_index_genesis(f.idx)->hash;
    assert_int_equal(locator_make(f.idx, NULL, out), 1);
    assert_memory_equal(out[0].b, genesis.b, 32);
    assert_int_equal(locator_make(f.idx, header_index_genesis(f.idx), out), 1);
    assert_int_equal(locator_make(f.idx, f.tip, out), 2);
    header_index_free(f.idx);
}

static void fork_is_the_newest_active_block_that_is_named(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash out[LOCATOR_MAX];
    fixture_open(&f, 200);
    struct header_node *root = header_ancestor(f.tip, 150), *other = branch(&f, root, 1, 30);
    assert_ptr_equal(locator_fork(f.idx, out, locator_make(f.idx, f.tip, out)), f.tip);
    /* The other branch names 150 or something older on our chain. */
    const struct header_node *fork = locator_fork(f.idx, out, locator_make(f.idx, other, out));
    assert_true(fork->height <= 150 && fork->height > 100);
    assert_true(header_index_is_active(f.idx, fork));
    header_index_free(f.idx);
}

static void who_is_ahead_on_our_chain_forks_at_our_tip(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash out[LOCATOR_MAX];
    fixture_open(&f, 50);
    struct header_node *ahead =
        branch(&f, f.tip, 0, 60); /* headers we know, blocks not connected yet */
    assert_ptr_equal(locator_fork(f.idx, out, locator_make(f.idx, ahead, out)), f.tip);
    header_index_free(f.idx);
}

static void unknown_hashes_lead_to_genesis(void **state)
{
    (void)state;
    struct fixture f;
    const struct block_hash unknown[] = { { { 1 } }, { { 2 } } };
    fixture_open(&f, 5);
    assert_ptr_equal(locator_fork(f.idx, unknown, 2), header_index_genesis(f.idx));
    assert_ptr_equal(locator_fork(f.idx, NULL, 0), header_index_genesis(f.idx));
    header_index_free(f.idx);
}

static void only_the_first_101_hashes_count(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash long_one[LOCATOR_IN_MAX + 1] = { { { 0 } } };
    fixture_open(&f, 5);
    long_one[LOCATOR_IN_MAX] = f.tip->hash;
    assert_ptr_equal(locator_fork(f.idx, long_one, LOCATOR_IN_MAX + 1),
                     header_index_genesis(f.idx));
    long_one[LOCATOR_IN_MAX - 1] = f.tip->hash;
    assert_ptr_equal(locator_fork(f.idx, long_one, LOCATOR_IN_MAX + 1), f.tip);
    header_index_free(f.idx);
}

static void a_very_long_chain_fits(void **state)
{
    (void)state;
    struct fixture f;
    struct block_hash out[LOCATOR_MAX];
    fixture_open(&f, 30000);
    const size_t n = locator_make(f.idx, f.tip, out);
    assert_true(n < 30);
    assert_memory_equal(out[n - 1].b, header_index_genesis(f.idx)->hash.b, 32);
    header_index_free(f.idx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locator_is_dense_first_then_twice_as_far_and_ends_with_genesis),
        cmocka_unit_test(locator_of_genesis_and_of_nothing_is_genesis),
        cmocka_unit_test(fork_is_the_newest_active_block_that_is_named),
        cmocka_unit_test(who_is_ahead_on_our_chain_forks_at_our_tip),
        cmocka_unit_test(unknown_hashes_lead_to_genesis),
        cmocka_unit_test(only_the_first_101_hashes_count),
        cmocka_unit_test(a_very_long_chain_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
