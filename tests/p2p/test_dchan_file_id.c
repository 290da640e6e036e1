/* The vectors of spec channels 10.3, the tree against its definition, sizes at their limits. */
#include "p2p/dchan_file_id.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

struct leaves {
    uint8_t hashes[64][32];
    uint32_t n;
};

static void note_leaf(void *ctx, uint32_t index, const uint8_t leaf[32])
{
    struct leaves *all = ctx;
    assert_int_equal(index, all->n);
    memcpy(all->hashes[all->n++], leaf, 32);
}

/* In pieces of any length. */
static void hash(const uint8_t *data, size_t size, size_t piece, struct leaves *all,
                 uint8_t root[32], uint8_t id[32])
{
    struct dchan_file_hash h;
    all->n = 0;
    assert_int_equal(dchan_file_hash_init(&h, size, note_leaf, all), OK);
    for (size_t at = 0; at < size; at += piece)
        assert_int_equal(dchan_file_hash_update(&h, data + at, MIN_OF(piece, size - at)), OK);
    assert_int_equal(dchan_file_hash_final(&h, root, id), OK);
}

static void ids_match_the_vectors(void **state)
{
    static const struct {
        size_t size;
        enum { ZEROS, LETTER, COUNTING } what;
        uint32_t leaves;
        const char *root, *id;
    } cases[] = {
        { 0, ZEROS, 1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "e65e2ad61c94df60410ffa6839fa528c72673badd8726ae45640510eb628dd00" },
        { 1, LETTER, 1, "022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c",
          "bf9f7bdcc7bca4125406d0d7b0f447844ebd53ea25c8b0fa938b36c265a63a28" },
        { 16384, ZEROS, 1, "4465d89da4f7f71b0ce211c9a63e834aa9c869358b85a9a64a9988eea3d6b7f0",
          "0cfc3b0c765fda977784c83f795da44aecb26a1dfb39a116b2d310f14ecc6d8f" },
        { 16385, ZEROS, 2, "cfabb7154a1b06ce78e0bdef2d395df2c2c5abe0cc00619e3f5054bb9cfff6c4",
          "a4ae15e242577f95a6e0a9d7c6802d52e435fce7de57c30d954b2280f349f324" },
        { 40000, COUNTING, 3, "8c98c4c5a7f8051a62238f07fafd4d9e634b5e45cf36c003bb476372077bd00c",
          "6aabb2f18a335734f70d6d98d089c11fbc7c929a614be38c44f7f3f3978146b7" },
    };
    static const size_t pieces[] = { 1, 1000, 16384, 50000 };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t *data = xcalloc(1, cases[i].size + 1), root[32], id[32];
        struct leaves all;
        for (size_t k = 0; k < cases[i].size && cases[i].what != ZEROS; k++)
            data[k] = cases[i].what == LETTER ? 'a' : (uint8_t)(k % 251);
        for (size_t k = 0; k < COUNT_OF(pieces); k++) {
            hash(data, cases[i].size, pieces[k], &all, root, id);
            assert_int_equal(all.n, cases[i].leaves);
            assert_hex(root, 32, cases[i].root);
            assert_hex(id, 32, cases[i].id);
        }
        assert_int_equal(dchan_chunk_count(cases[i].size), cases[i].leaves);
        assert_true(dchan_leaves_match(id, cases[i].size, all.hashes[0], all.n));
        for (uint32_t k = 0; k < all.n; k++) {
            uint8_t leaf[32];
            dchan_leaf_hash(leaf, span_of(data + 16384 * k, dchan_chunk_size(cases[i].size, k)));
            assert_memory_equal(leaf, all.hashes[k], 32);
        }
        free(data);
    }
}

static void wrong_leaves_do_not_match(void **state)
{
    uint8_t data[40000] = { 0 }, root[32], id[32];
    struct leaves all;
    (void)state;
    hash(data, sizeof data, 999, &all, root, id);
    assert_true(dchan_leaves_match(id, sizeof data, all.hashes[0], 3));
    assert_false(dchan_leaves_match(id, sizeof data, all.hashes[0], 2));
    assert_false(dchan_leaves_match(id, sizeof data, all.hashes[0], 4));
    assert_false(dchan_leaves_match(id, sizeof data + 1, all.hashes[0], 3));
    assert_false(dchan_leaves_match(id, DCHAN_FILE_MAX + 1, all.hashes[0], 3));
    all.hashes[2][31] ^= 1;
    assert_false(dchan_leaves_match(id, sizeof data, all.hashes[0], 3));
}

/* RFC 6962, 2.1, as it is written there. */
static void tree_by_definition(uint8_t out[32], uint8_t (*leaves)[32], size_t n)
{
    uint8_t text[65] = { 1 };
    size_t k = 1;
    if (n == 1) {
        memcpy(out, leaves[0], 32);
        return;
    }
    while (2 * k < n)
        k *= 2;
    tree_by_definition(text + 1, leaves, k);
    tree_by_definition(text + 33, leaves + k, n - k);
    sha256(out, text, sizeof text);
}

static void trees_are_those_of_their_definition(void **state)
{
    struct dchan_tree t;
    uint8_t leaves[70][32], root[32], want[32];
    (void)state;
    dchan_tree_init(&t);
    for (uint8_t i = 0; i < COUNT_OF(leaves); i++) {
        memset(leaves[i], i, 32);
        dchan_tree_add(&t, leaves[i]);
        dchan_tree_root(&t, root);
        tree_by_definition(want, leaves, i + 1u);
        assert_memory_equal(root, want, 32);
    }
}

static void the_largest_tree_fits(void **state)
{
    struct dchan_tree t;
    uint8_t leaf[32] = { 7 }, root[32], want[32], text[65] = { 1 };
    (void)state;
    dchan_tree_init(&t);
    for (int i = 0; i < DCHAN_CHUNKS_MAX; i++)
        dchan_tree_add(&t, leaf);
    dchan_tree_root(&t, root);
    memcpy(want, leaf, 32);
    for (int i = 0; i < DCHAN_TREE_DEPTH_MAX; i++) {
        memcpy(text + 1, want, 32);
        memcpy(text + 33, want, 32);
        sha256(want, text, sizeof text);
    }
    assert_memory_equal(root, want, 32);
}

static void chunks_are_as_small_as_they_may_be(void **state)
{
    static const struct {
        uint64_t size;
        unsigned log2;
        uint32_t count;
    } cases[] = {
        { 0, 14, 1 },
        { 1, 14, 1 },
        { UINT64_C(1) << 30, 14, 65536 },
        { (UINT64_C(1) << 30) + 1, 15, 32769 },
        { UINT64_C(1) << 31, 15, 65536 },
        { (UINT64_C(1) << 37) + 1, 22, 32769 },
        { DCHAN_FILE_MAX, 22, 65536 },
    };
    struct dchan_file_hash h;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(dchan_chunk_log2(cases[i].size), cases[i].log2);
        assert_int_equal(dchan_chunk_count(cases[i].size), cases[i].count);
    }
    assert_int_equal(dchan_chunk_log2(DCHAN_FILE_MAX + 1), 0);
    assert_int_equal(dchan_chunk_log2(UINT64_MAX), 0);
    assert_int_equal(dchan_file_hash_init(&h, DCHAN_FILE_MAX + 1, NULL, NULL), ERR_RANGE);
    assert_int_equal(dchan_chunk_size((UINT64_C(1) << 30) + 1, 32768), 1);
    assert_int_equal(dchan_chunk_size(40000, 1), 16384);
    assert_int_equal(dchan_chunk_size(40000, 2), 40000 - 2 * 16384);
    assert_int_equal(dchan_chunk_size(40000, 3), 0);
}

static void a_file_of_another_size_has_changed(void **state)
{
    struct dchan_file_hash h;
    uint8_t id[32];
    (void)state;
    assert_int_equal(dchan_file_hash_init(&h, 5, NULL, NULL), OK);
    assert_int_equal(dchan_file_hash_update(&h, "abcdef", 6), ERR_RANGE);
    assert_int_equal(dchan_file_hash_update(&h, "abcd", 4), OK);
    assert_int_equal(dchan_file_hash_final(&h, NULL, id), ERR_RANGE);
    assert_int_equal(dchan_file_hash_update(&h, "ef", 2), ERR_RANGE);
    assert_int_equal(dchan_file_hash_update(&h, "e", 1), OK);
    assert_int_equal(dchan_file_hash_final(&h, NULL, id), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_match_the_vectors),
        cmocka_unit_test(wrong_leaves_do_not_match),
        cmocka_unit_test(trees_are_those_of_their_definition),
        cmocka_unit_test(the_largest_tree_fits),
        cmocka_unit_test(chunks_are_as_small_as_they_may_be),
        cmocka_unit_test(a_file_of_another_size_has_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
