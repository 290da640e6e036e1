#include "bca/modifiers.h"

#include "base/hash.h"
#include "tests/test.h"

static uint8_t modifiers[BCA_MODIFIERS_MAX][BCA_MODIFIER_SIZE];

static int derive_all(void **state)
{
    (void)state;
    static const uint8_t seed[32] = { 1, 2, 3 };
    for (uint8_t i = 0; i < BCA_MODIFIERS_MAX; i++)
        bca_modifier_derive(modifiers[i], seed, i);
    return 0;
}

static void modifiers_of_a_seed_are_its_keyed_hashes(void **state)
{
    (void)state;
    static const uint8_t seed[32] = { 1, 2, 3 };
    uint8_t mac[32];
    hmac_sha256(mac, seed, 32, "BCA modifier\x07", 13);
    assert_memory_equal(modifiers[7], mac, BCA_MODIFIER_SIZE);
    assert_memory_not_equal(modifiers[0], modifiers[1], BCA_MODIFIER_SIZE);
}

static void counts_are_powers_of_two_up_to_32(void **state)
{
    (void)state;
    size_t allowed = 0;
    for (size_t n = 0; n <= 100; n++)
        allowed += bca_modifier_count_allowed(n);
    assert_int_equal(allowed, 6);
    assert_true(bca_modifier_count_allowed(1) && bca_modifier_count_allowed(32));
    assert_false(bca_modifier_count_allowed(0) || bca_modifier_count_allowed(64));
}

static void the_root_of_four_is_hashed_by_hand(void **state)
{
    (void)state;
    uint8_t leaf[4][32], pair[2][32], root[32];
    for (int i = 0; i < 4; i++)
        sha256(leaf[i], modifiers[i], BCA_MODIFIER_SIZE);
    sha256(pair[0], leaf[0], 64);
    sha256(pair[1], leaf[2], 64);
    sha256(root, pair[0], 64);
    struct bca_modifier_tree t;
    bca_modifier_tree_make(&t, modifiers[0], 4);
    assert_int_equal(t.depth, 2);
    assert_memory_equal(bca_modifier_tree_root(&t), root, 32);
    bca_modifier_tree_make(&t, modifiers[0], 1);
    assert_memory_equal(bca_modifier_tree_root(&t), leaf[0], 32);
}

static void every_proof_leads_to_the_root_and_no_other_index_does(void **state)
{
    (void)state;
    for (size_t n = 1; n <= BCA_MODIFIERS_MAX; n *= 2) {
        struct bca_modifier_tree t;
        bca_modifier_tree_make(&t, modifiers[0], n);
        for (unsigned i = 0; i < n; i++) {
            uint8_t siblings[32 * BCA_MODIFIER_DEPTH_MAX], root[32];
            bca_modifier_tree_proof(&t, i, siblings);
            assert_true(bca_modifier_proof_root(modifiers[i], i, t.depth, siblings, root));
            assert_memory_equal(root, bca_modifier_tree_root(&t), 32);
            assert_false(bca_modifier_proof_root(modifiers[i], i + (unsigned)n, t.depth, siblings,
                                                 root));
            if (n == 1)
                continue;
            assert_true(bca_modifier_proof_root(modifiers[i], i ^ 1, t.depth, siblings, root));
            assert_memory_not_equal(root, bca_modifier_tree_root(&t), 32);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modifiers_of_a_seed_are_its_keyed_hashes),
        cmocka_unit_test(counts_are_powers_of_two_up_to_32),
        cmocka_unit_test(the_root_of_four_is_hashed_by_hand),
        cmocka_unit_test(every_proof_leads_to_the_root_and_no_other_index_does),
    };
    return cmocka_run_group_tests(tests, derive_all, NULL);
}
