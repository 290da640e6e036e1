#include "base/block.h"

#include <string.h>

#include "base/hash.h"
#include "tests/test.h"

static const char genesis_header[] =
    "01000000" "0000000000000000000000000000000000000000000000000000000000000000"
    "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    "29ab5f49" "ffff001d" "1dac2b7c";

static void a_header_round_trips_and_hashes(void **state)
{
    (void)state;
    struct buf raw = unhex(genesis_header), again;
    struct reader r;
    struct block_header h;
    struct block_hash hash;
    char text[HASH_HEX_SIZE];
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    assert_true(reader_done(&r));
    assert_int_equal(h.version, 1);
    assert_int_equal(h.time, 1231006505);
    assert_int_equal(h.bits, 0x1d00ffff);
    assert_int_equal(h.nonce, 2083236893);
    assert_true(hash_is_zero(h.prev.b));
    block_header_hash(&hash, &h);
    assert_string_equal(hash_to_hex(text, hash.b),
                        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
    buf_init(&again);
    block_header_write(&again, &h);
    assert_int_equal(again.len, BLOCK_HEADER_SIZE);
    assert_memory_equal(again.data, raw.data, BLOCK_HEADER_SIZE);
    buf_clear(&again);
    buf_clear(&raw);
}

static void a_header_that_is_cut_fails(void **state)
{
    (void)state;
    uint8_t bytes[BLOCK_HEADER_SIZE - 1] = { 0 };
    struct reader r;
    struct block_header h;
    reader_init(&r, bytes, sizeof bytes);
    block_header_read(&r, &h);
    assert_true(r.failed);
}

#define LEAVES_MAX 140

/* The whole tree, level by level (spec consensus 3.2). */
static struct hash256 naive_root(struct hash256 *nodes, size_t n, bool *mutated)
{
    *mutated = false;
    if (n == 0)
        return (struct hash256){ { 0 } };
    while (n > 1) {
        for (size_t i = 0; i + 1 < n; i += 2)
            if (memcmp(nodes[i].b, nodes[i + 1].b, 32) == 0)
                *mutated = true;
        if (n % 2) {
            nodes[n] = nodes[n - 1];
            n++;
        }
        for (size_t i = 0; i < n; i += 2)
            sha256d_pair(nodes[i / 2].b, nodes[i].b, nodes[i + 1].b);
        n /= 2;
    }
    return nodes[0];
}

static void check_tree(const struct hash256 *leaves, size_t n, bool *was_mutated)
{
    struct hash256 nodes[LEAVES_MAX + 1];
    struct merkle m;
    bool want_mutated, mutated;
    memcpy(nodes, leaves, n * sizeof *leaves);
    struct hash256 want = naive_root(nodes, n, &want_mutated);
    merkle_init(&m);
    for (size_t i = 0; i < n; i++)
        merkle_add(&m, leaves[i].b);
    struct hash256 root = merkle_root(&m, &mutated);
    assert_memory_equal(root.b, want.b, 32);
    assert_int_equal(mutated, want_mutated);
    assert_int_equal(m.count, n);
    if (was_mutated)
        *was_mutated = mutated;
}

static void make_leaves(struct hash256 *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t seed = (uint8_t)i;
        sha256(leaves[i].b, &seed, 1);
    }
}

static void roots_equal_the_whole_tree(void **state)
{
    (void)state;
    struct hash256 leaves[LEAVES_MAX];
    bool mutated;
    make_leaves(leaves, LEAVES_MAX);
    for (size_t n = 0; n <= 70; n++) {
        check_tree(leaves, n, &mutated);
        assert_false(mutated);
    }
}

static void repeated_tails_equal_the_whole_tree(void **state)
{
    (void)state;
    struct hash256 leaves[LEAVES_MAX];
    size_t found = 0;
    for (size_t n = 1; n <= 70; n++)
        for (size_t tail = 1; tail <= n; tail++) {
            bool mutated;
            make_leaves(leaves, n);
            memcpy(leaves + n, leaves + n - tail, tail * sizeof *leaves);
            check_tree(leaves, n + tail, &mutated);
            found += mutated;
        }
    assert_int_equal(found, 70); /* for each n the tail of its lowest set bit */
}

static void equal_leaves_anywhere_equal_the_whole_tree(void **state)
{
    (void)state;
    struct hash256 leaves[LEAVES_MAX];
    for (size_t n = 2; n <= 20; n++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) {
                bool mutated;
                make_leaves(leaves, n);
                leaves[j] = leaves[i];
                check_tree(leaves, n, &mutated);
                assert_int_equal(mutated, i % 2 == 0 && j == i + 1);
            }
}

static void the_same_root_of_a_longer_list_is_noticed(void **state)
{
    (void)state;
    struct hash256 leaves[LEAVES_MAX];
    struct merkle a, b;
    bool mutated;
    make_leaves(leaves, 6);
    merkle_init(&a);
    merkle_init(&b);
    for (size_t i = 0; i < 8; i++) {
        if (i < 6)
            merkle_add(&a, leaves[i].b);
        merkle_add(&b, leaves[i < 6 ? i : i - 2].b);
    }
    struct hash256 ra = merkle_root(&a, &mutated);
    assert_false(mutated);
    struct hash256 rb = merkle_root(&b, &mutated);
    assert_true(mutated);
    assert_memory_equal(ra.b, rb.b, 32);
}

static void asking_for_the_root_does_not_end_the_tree(void **state)
{
    (void)state;
    struct hash256 leaves[LEAVES_MAX];
    struct merkle m, all;
    make_leaves(leaves, 50);
    merkle_init(&m);
    merkle_init(&all);
    for (size_t i = 0; i < 50; i++) {
        merkle_add(&m, leaves[i].b);
        merkle_root(&m, NULL);
        merkle_add(&all, leaves[i].b);
    }
    struct hash256 a = merkle_root(&m, NULL), b = merkle_root(&all, NULL);
    assert_memory_equal(a.b, b.b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_round_trips_and_hashes),
        cmocka_unit_test(a_header_that_is_cut_fails),
        cmocka_unit_test(roots_equal_the_whole_tree),
        cmocka_unit_test(repeated_tails_equal_the_whole_tree),
        cmocka_unit_test(equal_leaves_anywhere_equal_the_whole_tree),
        cmocka_unit_test(the_same_root_of_a_longer_list_is_noticed),
        cmocka_unit_test(asking_for_the_root_does_not_end_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
