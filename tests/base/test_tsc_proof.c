#include "base/tsc_proof.h"

#include "tests/base/merkle_tree.h"
#include "tests/test.h"

/* The example of the standard (spec brc-notes 9): transaction 12 of a block, by block hash. */
static const char example[] =
    "000cef65a4611570303539143dabd6aa64dbd0f41ed89074406dc0e7cd251cf1efff69f17b44cfe9c2a23285168fe0"
    "50"
    "84e1254daa5305311ed8cd95b19ea6b0ed7505008e66d81026ddb2dae0bd88082632790fc6921b299ca798088bef53"
    "25"
    "a607efb9004d104f378654a25e35dbd6a539505a1e3ddbba7f92420414387bb5b12fc1c10f00472581a20a043cee55"
    "ed"
    "ee1c65dd6677e09903f22992062d8fd4b8d55de7b060006fcc978b3f999a3dbb85a6ae55edc06dd9a30855a030b450"
    "20"
    "6c3646dadbd8c000423ab0273c2572880cdc0030034c72ec300ec9dd7bbc7d3f948a9d41b3621e39";
static const char example_root[] =
    "96cbb75fd2ef98e4309eebc8a54d2386333d936ded2a0f3e06c23a91bb612f70";

static enum err read_all(const struct buf *raw, struct tsc_proof *p)
{
    struct reader r;
    reader_init(&r, raw->data, raw->len);
    enum err rc = tsc_proof_read(&r, p);
    return !rc && !reader_done(&r) ? ERR_PARSE : rc;
}

static void assert_written(const struct tsc_proof *p, enum tsc_copy copy, const struct buf *want)
{
    struct buf b;
    buf_init(&b);
    tsc_proof_write(&b, p, copy);
    assert_int_equal(b.len, want->len);
    assert_memory_equal(b.data, want->data, b.len);
    buf_clear(&b);
}

static void the_example_of_the_standard_leads_to_its_root(void **state)
{
    (void)state;
    struct buf raw = unhex(example);
    struct tsc_proof p;
    struct hash256 root;
    char text[HASH_HEX_SIZE];
    assert_int_equal(read_all(&raw, &p), OK);
    assert_int_equal(p.branch.index, 12);
    assert_int_equal(p.target, TSC_BLOCK_HASH);
    assert_string_equal(hash_to_hex(text, p.id.b),
                        "ffeff11c25cde7c06d407490d81ef4d0db64aad6ab3d14393530701561a465ef");
    assert_string_equal(hash_to_hex(text, p.block.b),
                        "75edb0a69eb195cdd81e310553aa4d25e18450e08f168532a2c2e9cf447bf169");
    assert_true(tsc_proof_root(&p, &root));
    assert_string_equal(hash_to_hex(text, root.b), example_root);
    assert_written(&p, TSC_COPY_MARKED, &raw);
    buf_clear(&raw);
}

/* A proof of each leaf of a tree, with every kind of target, with and without the transaction. */
static void proofs_of_a_tree_round_trip(void **state)
{
    (void)state;
    static const enum tsc_target targets[] = { TSC_BLOCK_HASH, TSC_HEADER, TSC_MERKLE_ROOT,
                                               TSC_HEIGHT };
    static const size_t target_size[] = { 32, 80, 32, 3 };
    static const uint8_t tx[] = { 1, 2, 3 };
    struct tree t;
    struct merkle_branch_builder b;
    const struct merkle_branch *branch;
    for (size_t i = 0; i < 11 * 8; i++) {
        size_t index = i % 11, kind = i / 11 % 4;
        bool whole = i / 44;
        tree_make(&t, 11, 1);
        if (whole)
            sha256d(t.row[0][index].b, tx, sizeof tx);
        merkle_branch_init(&b);
        for (size_t k = 0; k < 11; k++)
            merkle_branch_add(&b, t.row[0][k].b, k == index);
        assert_true(merkle_branch_finish(&b, &branch));
        struct tsc_proof p = { .target = targets[kind], .branch = *branch }, q;
        if (p.target == TSC_HEIGHT)
            p.height = 900;
        if (whole)
            p.tx = span_of(tx, sizeof tx);
        memcpy(p.id.b, t.row[0][index].b, 32);
        struct buf raw;
        buf_init(&raw);
        tsc_proof_write(&raw, &p, TSC_COPY_MARKED);
        size_t copies = index == 10 ? 2 : index > 7 ? 1 : 0; /* 11 leaves: rows of 11, 6, 3, 2 */
        assert_int_equal(raw.len, 2 + (whole ? 1 + sizeof tx : 32) + target_size[kind] + 1 +
                                      33 * (4 - copies) + copies);
        assert_int_equal(read_all(&raw, &q), OK);
        assert_int_equal(q.target, p.target);
        assert_memory_equal(q.id.b, t.row[0][index].b, 32);
        assert_written(&q, TSC_COPY_MARKED, &raw);
        buf_clear(&raw);
    }
}

/* The reference has no mark for a copy. */
static void a_copy_can_be_written_as_its_hash(void **state)
{
    (void)state;
    struct tsc_proof p = { .target = TSC_MERKLE_ROOT,
                           .branch = { .index = 2, .n = 2,
                                       .sibling = { { .duplicate = true },
                                                    { .hash = { { 5 } } } } } },
                     q;
    struct hash256 want, got;
    struct buf raw;
    p.id.b[0] = 9;
    buf_init(&raw);
    tsc_proof_write(&raw, &p, TSC_COPY_AS_HASH);
    assert_int_equal(read_all(&raw, &q), OK);
    assert_false(q.branch.sibling[0].duplicate);
    assert_memory_equal(q.branch.sibling[0].hash.b, p.id.b, 32);
    assert_true(tsc_proof_root(&p, &want));
    assert_true(tsc_proof_root(&q, &got));
    assert_memory_equal(want.b, got.b, 32);
    buf_clear(&raw);
}

/* It may be an inner node of the tree (CVE-2017-12842). */
static void a_transaction_of_64_bytes_is_refused(void **state)
{
    (void)state;
    uint8_t tx[65] = { 1 };
    struct tsc_proof p = { .tx = span_of(tx, 64) };
    struct hash256 root;
    assert_false(tsc_proof_root(&p, &root));
    p.tx.len = 65;
    assert_true(tsc_proof_root(&p, &root));
    p.tx.len = 63;
    assert_true(tsc_proof_root(&p, &root));
}

#define ID "ef65a4611570303539143dabd6aa64dbd0f41ed89074406dc0e7cd251cf1efff"
#define HASH "75edb0a69eb195cdd81e310553aa4d25e18450e08f168532a2c2e9cf447bf169"

static void what_is_no_proof_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "00", "0000" ID HASH, "0000" ID HASH "01", "0000" ID HASH "0100",
        "0800" ID HASH "00",          /* a tree */
        "1000" ID HASH "00",          /* several transactions */
        "2000" ID HASH "00",          /* a flag without a meaning */
        "0000" ID HASH "0102" "00",   /* a node of the other shapes */
        "0000" ID HASH "0100" ID "00", /* bytes behind it */
        "0100" "00" HASH "00",        /* an empty transaction */
        "0100" "05" "0102",
        "0000" ID HASH "feffffffff00",
        "0000" ID HASH "41" "0101010101010101010101010101010101010101010101010101010101010101"
                            "0101010101010101010101010101010101010101010101010101010101010101" "01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf raw = unhex(bad[i]);
        struct tsc_proof p;
        assert_int_equal(read_all(&raw, &p), ERR_PARSE);
        buf_clear(&raw);
    }
}

static void no_flipped_bit_keeps_the_root(void **state)
{
    (void)state;
    struct buf raw = unhex(example);
    struct tsc_proof p;
    struct hash256 root;
    char text[HASH_HEX_SIZE];
    for (size_t bit = 0; bit < raw.len * 8; bit++) {
        size_t byte = bit / 8;
        if (byte >= 34 && byte < 66)
            continue; /* the block hash, which the reader compares himself */
        raw.data[byte] ^= (uint8_t)(1u << bit % 8);
        if (!read_all(&raw, &p) && p.target == TSC_BLOCK_HASH && tsc_proof_root(&p, &root))
            assert_string_not_equal(hash_to_hex(text, root.b), example_root);
        raw.data[byte] ^= (uint8_t)(1u << bit % 8);
    }
    buf_clear(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_standard_leads_to_its_root),
        cmocka_unit_test(proofs_of_a_tree_round_trip),
        cmocka_unit_test(a_copy_can_be_written_as_its_hash),
        cmocka_unit_test(a_transaction_of_64_bytes_is_refused),
        cmocka_unit_test(what_is_no_proof_is_refused),
        cmocka_unit_test(no_flipped_bit_keeps_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
