#include "base/merkle_branch.h"

#include "tests/base/merkle_tree.h"
#include "tests/test.h"

static void build(const struct tree *t, size_t index, struct merkle_branch *out)
{
    struct merkle_branch_builder b;
    const struct merkle_branch *branch;
    merkle_branch_init(&b);
    for (size_t i = 0; i < t->n[0]; i++)
        merkle_branch_add(&b, t->row[0][i].b, i == index);
    assert_true(merkle_branch_finish(&b, &branch));
    *out = *branch;
}

static void check_against_tree(const struct tree *t, size_t index, const struct merkle_branch *b)
{
    assert_int_equal(b->index, index);
    assert_int_equal(b->n, t->depth);
    for (unsigned k = 0; k < b->n; k++) {
        size_t sibling = (index >> k) ^ 1;
        assert_int_equal(b->sibling[k].duplicate, sibling >= t->n[k]);
        if (!b->sibling[k].duplicate)
            assert_memory_equal(b->sibling[k].hash.b, t->row[k][sibling].b, 32);
    }
}

static bool proves(const struct merkle_branch *b, const uint8_t leaf[32], const struct tree *t)
{
    struct hash256 root;
    return merkle_branch_root(b, leaf, &root) && merkle_branch_fits(b, t->n[0]) &&
           memcmp(root.b, tree_root(t)->b, 32) == 0;
}

static void branches_of_all_leaves_are_those_of_the_whole_tree(void **state)
{
    (void)state;
    struct tree t;
    struct merkle_branch b;
    for (size_t n = 1; n <= 70; n++) {
        tree_make(&t, n, 1);
        for (size_t i = 0; i < n; i++) {
            build(&t, i, &b);
            check_against_tree(&t, i, &b);
            assert_true(proves(&b, t.row[0][i].b, &t));
        }
    }
}

static void a_tree_without_the_leaf_has_no_branch(void **state)
{
    (void)state;
    struct merkle_branch_builder b;
    const struct merkle_branch *branch;
    uint8_t leaf[32] = { 1 };
    merkle_branch_init(&b);
    assert_false(merkle_branch_finish(&b, &branch));
    merkle_branch_add(&b, leaf, false);
    assert_false(merkle_branch_finish(&b, &branch));
}

static void depth_counts_the_levels_below_the_root(void **state)
{
    (void)state;
    static const struct { uint64_t leaves; unsigned depth; } rows[] = {
        { 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 1024, 10 }, { 1025, 11 },
        { UINT64_C(1) << 63, 63 }, { UINT64_MAX, 64 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(merkle_depth(rows[i].leaves), rows[i].depth);
}

/* Random trees and one flipped bit in leaf, index or a sibling (attacks A4). */
static void no_flipped_bit_passes(void **state)
{
    (void)state;
    struct tree t;
    struct merkle_branch good, bad;
    uint64_t random = 1;
    for (int round = 0; round < 5000; round++) {
        size_t n = 1 + tree_random(&random, 100);
        size_t i = tree_random(&random, n);
        tree_make(&t, n, (uint32_t)round);
        build(&t, i, &good);
        bad = good;
        struct hash256 leaf = t.row[0][i];
        size_t what = tree_random(&random, bad.n + 2), bit = tree_random(&random, 256);
        if (what == bad.n)
            leaf.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        else if (what == bad.n + 1)
            bad.index ^= UINT64_C(1) << bit % 64;
        else if (bad.sibling[what].duplicate)
            bad.sibling[what].duplicate = false;
        else
            bad.sibling[what].hash.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(proves(&good, t.row[0][i].b, &t));
        assert_false(proves(&bad, leaf.b, &t));
    }
}

/* A node of any level passed off as a leaf: the root is right, the depth is not (attacks A4). */
static void an_inner_node_is_no_leaf(void **state)
{
    (void)state;
    struct tree t;
    struct merkle_branch whole, cut;
    struct hash256 root;
    tree_make(&t, 21, 1);
    build(&t, 13, &whole);
    for (unsigned k = 1; k < whole.n; k++) {
        cut = (struct merkle_branch){ .index = whole.index >> k, .n = whole.n - k };
        memcpy(cut.sibling, whole.sibling + k, cut.n * sizeof *cut.sibling);
        assert_true(merkle_branch_root(&cut, t.row[k][13 >> k].b, &root));
        assert_memory_equal(root.b, tree_root(&t)->b, 32);
        assert_false(merkle_branch_fits(&cut, 21));
    }
}

/* A transaction of 64 bytes passed off as a node with a forged leaf below it (CVE-2017-12842). */
static void halves_of_a_short_transaction_are_no_leaves(void **state)
{
    (void)state;
    uint8_t tx[64] = { 2 };
    struct hash256 other = { { 7 } }, id, root, forged;
    memset(tx + 32, 0x55, 32); /* the second half is the id of what the forger wants to prove */
    sha256d(id.b, tx, sizeof tx);
    sha256d_pair(root.b, id.b, other.b);
    struct merkle_branch b = { .index = 1, .n = 2 };
    memcpy(b.sibling[0].hash.b, tx, 32);
    b.sibling[1].hash = other;
    assert_true(merkle_branch_root(&b, tx + 32, &forged));
    assert_memory_equal(forged.b, root.b, 32);
    assert_false(merkle_branch_fits(&b, 2));
}

static void copies_stand_only_at_the_end_of_a_row(void **state)
{
    (void)state;
    struct hash256 root, leaf = { { 3 } };
    struct merkle_branch right = { .index = 1, .n = 1, .sibling = { { .duplicate = true } } };
    assert_false(merkle_branch_root(&right, leaf.b, &root));
    right.sibling[0] = (struct merkle_sibling){ .hash = leaf };
    assert_false(merkle_branch_root(&right, leaf.b, &root));
    struct merkle_branch left = { .index = 2, .n = 2, .sibling = { { .duplicate = true } } };
    assert_true(merkle_branch_root(&left, leaf.b, &root));
    assert_true(merkle_branch_fits(&left, 3));
    assert_false(merkle_branch_fits(&left, 4));
    left.sibling[1].duplicate = true;
    assert_false(merkle_branch_root(&left, leaf.b, &root));
}

static void an_index_beyond_the_depth_is_refused(void **state)
{
    (void)state;
    struct hash256 root;
    uint8_t leaf[32] = { 0 };
    struct merkle_branch b = { .index = 1 };
    assert_false(merkle_branch_root(&b, leaf, &root));
    b.index = 0;
    assert_true(merkle_branch_root(&b, leaf, &root));
    assert_memory_equal(root.b, leaf, 32);
    b.n = MERKLE_DEPTH_MAX + 1;
    assert_false(merkle_branch_root(&b, leaf, &root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_of_all_leaves_are_those_of_the_whole_tree),
        cmocka_unit_test(a_tree_without_the_leaf_has_no_branch),
        cmocka_unit_test(depth_counts_the_levels_below_the_root),
        cmocka_unit_test(no_flipped_bit_passes),
        cmocka_unit_test(an_inner_node_is_no_leaf),
        cmocka_unit_test(halves_of_a_short_transaction_are_no_leaves),
        cmocka_unit_test(copies_stand_only_at_the_end_of_a_row),
        cmocka_unit_test(an_index_beyond_the_depth_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
