#include "base/bump.h"

#include <stdlib.h>

#include "base/merkle_branch.h"
#include "base/partial_merkle.h"
#include "tests/base/json_text.h"
#include "tests/base/merkle_tree.h"
#include "tests/test.h"

static enum err read_all(const struct buf *raw, struct bump *b)
{
    struct reader r;
    reader_init(&r, raw->data, raw->len);
    enum err rc = bump_read(&r, b, NULL);
    if (!rc && !reader_done(&r)) {
        bump_clear(b);
        rc = ERR_PARSE;
    }
    return rc;
}

static void assert_written(const struct bump *b, const struct buf *want)
{
    struct buf out;
    buf_init(&out);
    bump_write(&out, b);
    assert_int_equal(out.len, want->len);
    assert_memory_equal(out.data, want->data, out.len);
    buf_clear(&out);
}

/* Leads to this root (display order). */
static void assert_root(const struct bump *b, const char *want)
{
    struct bump_top top;
    struct error e = { OK, "" };
    char text[HASH_HEX_SIZE];
    if (bump_climb(b, &top, &e))
        fail_msg("%s", e.text);
    assert_string_equal(hash_to_hex(text, top.root.b), want);
}

static void assert_has(const struct bump *b, const char *txid)
{
    struct txid id;
    uint64_t offset;
    assert_true(hash_from_hex(id.b, txid));
    assert_true(bump_find(b, &id, &offset));
}

/* --- made of trees ---------------------------------------------------------------------------- */

static void from_tree(const struct tree *t, const bool *matched, struct bump *out)
{
    struct partial_merkle_builder p;
    struct partial_merkle partial;
    partial_merkle_init(&p);
    for (size_t i = 0; i < t->n[0]; i++)
        assert_int_equal(partial_merkle_add(&p, t->row[0][i].b, matched[i]), OK);
    assert_int_equal(partial_merkle_finish(&p, &partial), OK);
    assert_int_equal(bump_from_partial(out, 7, &partial, NULL), OK);
    partial_merkle_clear(&p);
}

static bool proves_root(const struct bump *b, const struct tree *t)
{
    struct bump_top top;
    return !bump_climb(b, &top, NULL) && top.depth == t->depth &&
           memcmp(top.root.b, tree_root(t)->b, 32) == 0;
}

static void check_round_trip(const struct bump *b)
{
    struct buf raw;
    struct bump again;
    buf_init(&raw);
    bump_write(&raw, b);
    assert_int_equal(read_all(&raw, &again), OK);
    assert_written(&again, &raw);
    bump_clear(&again);
    buf_clear(&raw);
}

static void each_transaction_alone_is_proved(void **state)
{
    (void)state;
    struct tree t;
    struct bump b;
    for (size_t n = 1; n <= 40; n++) {
        tree_make(&t, n, 1);
        for (size_t i = 0; i < n; i++) {
            bool matched[TREE_LEAVES_MAX] = { [0] = false };
            struct txid id;
            uint64_t offset;
            matched[i] = true;
            from_tree(&t, matched, &b);
            assert_true(proves_root(&b, &t));
            assert_int_equal(b.n_levels, t.depth ? t.depth : 1);
            memcpy(id.b, t.row[0][i].b, 32);
            assert_true(bump_find(&b, &id, &offset));
            assert_int_equal(offset, i);
            id.b[0] ^= 1;
            assert_false(bump_find(&b, &id, &offset));
            check_round_trip(&b);
            bump_clear(&b);
        }
    }
}

/* One record of a random set is the merge of its single proofs, byte for byte. */
static void merged_proofs_are_the_proof_of_the_set(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int round = 0; round < 400; round++) {
        struct tree t;
        struct bump all, merged, one;
        struct buf raw;
        bool matched[TREE_LEAVES_MAX] = { [0] = false };
        size_t n = 2 + tree_random(&random, 60), some = 1 + tree_random(&random, 6);
        tree_make(&t, n, (uint32_t)round);
        bump_init(&merged);
        for (size_t i = 0; i < some; i++) {
            bool single[TREE_LEAVES_MAX] = { [0] = false };
            size_t at = tree_random(&random, n);
            single[at] = matched[at] = true;
            from_tree(&t, single, &one);
            if (i == 0) {
                merged = one;
                continue;
            }
            assert_int_equal(bump_merge(&merged, &one, NULL), OK);
            bump_clear(&one);
        }
        from_tree(&t, matched, &all);
        buf_init(&raw);
        bump_write(&raw, &all);
        assert_written(&merged, &raw);
        assert_true(proves_root(&merged, &t));
        buf_clear(&raw);
        bump_clear(&merged);
        bump_clear(&all);
    }
}

static void proofs_of_different_blocks_do_not_merge(void **state)
{
    (void)state;
    struct tree a, b;
    struct bump one, two;
    struct buf before;
    bool matched[TREE_LEAVES_MAX] = { [2] = true };
    tree_make(&a, 6, 1);
    tree_make(&b, 6, 2);
    from_tree(&a, matched, &one);
    from_tree(&b, matched, &two);
    buf_init(&before);
    bump_write(&before, &one);
    assert_int_equal(bump_merge(&one, &two, NULL), ERR_RANGE);
    bump_clear(&two);
    from_tree(&a, matched, &two);
    two.height++;
    assert_int_equal(bump_merge(&one, &two, NULL), ERR_RANGE);
    assert_written(&one, &before);
    buf_clear(&before);
    bump_clear(&one);
    bump_clear(&two);
}

/* Flipped bits in a record of a random tree (attacks A4). Height and txid flags are no part of what
 * the root says. */
static void no_flipped_bit_keeps_root_and_leaves(void **state)
{
    (void)state;
    uint64_t random = 9;
    for (int round = 0; round < 4000; round++) {
        struct tree t;
        struct bump b;
        struct buf raw;
        bool matched[TREE_LEAVES_MAX] = { [0] = false };
        size_t n = 1 + tree_random(&random, TREE_LEAVES_MAX - 1);
        tree_make(&t, n, (uint32_t)round);
        for (size_t i = 0; i < 4; i++)
            matched[tree_random(&random, n)] = true;
        from_tree(&t, matched, &b);
        buf_init(&raw);
        bump_write(&raw, &b);
        bump_clear(&b);
        size_t bit = 8 + tree_random(&random, raw.len * 8 - 8);
        raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!read_all(&raw, &b)) {
            if (proves_root(&b, &t))
                for (size_t i = 0; i < b.level[0].n; i++)
                    if (!b.level[0].leaf[i].duplicate)
                        assert_memory_equal(b.level[0].leaf[i].hash.b,
                                            t.row[0][b.level[0].leaf[i].offset].b, 32);
            bump_clear(&b);
        }
        buf_clear(&raw);
    }
}

/* An inner node passed off as a transaction leads to the root in fewer levels (attacks A4). */
static void an_inner_node_shows_by_the_depth(void **state)
{
    (void)state;
    struct tree t, cut;
    struct bump b;
    struct bump_top top;
    bool matched[TREE_LEAVES_MAX] = { [3] = true };
    tree_make(&t, 16, 1);
    memset(&cut, 0, sizeof cut);
    cut.n[0] = 8;
    memcpy(cut.row[0], t.row[1], 8 * sizeof *t.row[1]);
    from_tree(&cut, matched, &b);
    assert_int_equal(bump_climb(&b, &top, NULL), OK);
    assert_memory_equal(top.root.b, tree_root(&t)->b, 32);
    assert_int_not_equal(top.depth, merkle_depth(16));
    bump_clear(&b);
}

static void a_tree_without_a_match_has_no_record(void **state)
{
    (void)state;
    struct partial_merkle_builder p;
    struct partial_merkle partial;
    struct bump b;
    struct tree t;
    tree_make(&t, 5, 1);
    for (size_t n = 1; n <= 5; n += 4) {
        partial_merkle_init(&p);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(partial_merkle_add(&p, t.row[0][i].b, false), OK);
        assert_int_equal(partial_merkle_finish(&p, &partial), OK);
        assert_int_equal(bump_from_partial(&b, 1, &partial, NULL), ERR_PARSE);
        partial_merkle_clear(&p);
    }
}

/* --- what is refused -------------------------------------------------------------------------- */

#define A "1111111111111111111111111111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222222222222222222222222222"
#define C "3333333333333333333333333333333333333333333333333333333333333333"

static void refused(const char *hex, const char *reason)
{
    struct buf raw = unhex(hex);
    struct bump b;
    struct bump_top top;
    struct error e = { OK, "" };
    assert_int_equal(read_all(&raw, &b), OK);
    assert_int_equal(bump_climb(&b, &top, &e), ERR_PARSE);
    assert_string_equal(e.text, reason);
    bump_clear(&b);
    buf_clear(&raw);
}

static void what_is_no_tree_is_refused(void **state)
{
    (void)state;
    refused("01" "01" "00", "BUMP: there is no single root");
    refused("01" "01" "01" "0102" A, "BUMP: there is no single root");
    refused("01" "01" "01" "0001", "BUMP: there is no single root");
    refused("01" "01" "02" "0002" A "0000" B, "BUMP: an offset is there twice");
    refused("01" "01" "02" "0002" A "0200" B, "BUMP: a hash is missing");
    refused("01" "01" "02" "0102" A "0200" B, "BUMP: a hash is missing");
    refused("01" "02" "01" "0002" A "01" "0100" B, "BUMP: a hash is missing");
    refused("01" "02" "02" "0002" A "0100" B "00", "BUMP: a hash is missing");
    refused("01" "02" "02" "0002" A "0100" B "02" "0200" C "0300" A, "BUMP: a hash is missing");
    refused("01" "03" "02" "0002" A "0100" B "03" "0100" C "0200" A "0300" C "00",
            "BUMP: a hash is not needed");
    refused("01" "02" "02" "0002" A "0100" B "02" "0000" C "0100" A,
            "BUMP: hashes lead to different roots");
    refused("01" "01" "02" "0002" A "0100" A, "BUMP: neighbours are equal");
    refused("01" "01" "02" "0001" "0100" A, "BUMP: a copy stands inside a row");
    refused("01" "01" "04" "0002" A "0101" "0200" B "0300" C, "BUMP: a copy stands inside a row");
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "01", "0100", "0101", "0141", "010101", "0101010002",
        "01" "01" "01" "0003" A,          /* both flags */
        "01" "01" "01" "0004" A,          /* a flag without a meaning */
        "01" "02" "02" "0002" A "0100" B "01" "0102" C, /* a txid above the lowest level */
        "01" "01" "01" "0002" A "00",     /* bytes behind it */
        "fd0100" "01" "01" "0002" A,      /* a number in a longer form */
        "01" "01" "feffffffff" "0002" A,
        "01" "01" "05" "0001" "0101" "0201" "0301" "0401",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf raw = unhex(bad[i]);
        struct bump b;
        assert_int_equal(read_all(&raw, &b), ERR_PARSE);
        buf_clear(&raw);
    }
}

/* Behaviour 87: the working hash is doubled at a duplicate. */
static void the_working_hash_is_doubled_at_a_duplicate(void **state)
{
    (void)state;
    struct buf raw = unhex("01" "01" "02" "0002" A "0101");
    struct bump b;
    struct bump_top top;
    struct hash256 want;
    assert_int_equal(read_all(&raw, &b), OK);
    assert_int_equal(bump_climb(&b, &top, NULL), OK);
    sha256d_pair(want.b, b.level[0].leaf[0].hash.b, b.level[0].leaf[0].hash.b);
    assert_memory_equal(top.root.b, want.b, 32);
    bump_clear(&b);
    buf_clear(&raw);
}

/* --- vectors ---------------------------------------------------------------------------------- */

static void check_txids(struct json_object *ids, const struct bump *b)
{
    for (size_t i = 0; ids && i < json_object_array_length(ids); i++)
        assert_has(b, json_object_get_string(json_object_array_get_idx(ids, i)));
}

static void valid_records_are_taken(void **state)
{
    (void)state;
    struct json_object *rows = vector_json("spv/bump_valid.json");
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *path = json_get(row, "path_json");
        struct buf raw = unhex(json_str(row, "hex"));
        struct bump b;
        struct bump_top top;
        assert_int_equal(read_all(&raw, &b), OK);
        assert_int_equal(b.height, json_int(row, "block_height", -1));
        assert_int_equal(bump_climb(&b, &top, NULL), OK);
        if (json_str(row, "expected_root"))
            assert_root(&b, json_str(row, "expected_root"));
        check_txids(json_get(path, "txids"), &b);
        assert_written(&b, &raw);
        bump_clear(&b);
        buf_clear(&raw);
    }
    json_object_put(rows);
    vector_report("spv/bump_valid.json", n);
}

static void invalid_records_are_refused(void **state)
{
    (void)state;
    struct json_object *rows = vector_json("spv/bump_invalid.json");
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct buf raw = unhex(json_str(json_object_array_get_idx(rows, i), "hex"));
        struct bump b;
        struct bump_top top;
        if (!read_all(&raw, &b)) {
            assert_int_equal(bump_climb(&b, &top, NULL), ERR_PARSE);
            bump_clear(&b);
        }
        buf_clear(&raw);
    }
    json_object_put(rows);
    vector_report("spv/bump_invalid.json", n);
}

/* Roots that a row of merkle-path.json expects; how many. */
static size_t compare_expected(struct json_object *want, const struct bump *b)
{
    size_t n = 0;
    if (!want)
        return 0;
    json_object_object_foreach(want, key, value) {
        if (strncmp(key, "merkle_root", 11) == 0) {
            assert_root(b, json_object_get_string(value));
            n++;
        }
    }
    if (json_int(want, "block_height", -1) >= 0)
        assert_int_equal(b->height, json_int(want, "block_height", 0));
    if (json_int(want, "path_levels", -1) >= 0)
        assert_int_equal(b->n_levels, json_int(want, "path_levels", 0));
    if (json_int(want, "path_level0_length", -1) >= 0)
        assert_int_equal(b->level[0].n, json_int(want, "path_level0_length", 0));
    return n;
}

static const char *first_of(struct json_object *o, const char *a, const char *b, const char *c)
{
    const char *v = json_str(o, a);
    if (!v)
        v = json_str(o, b);
    return v ? v : json_str(o, c);
}

/* A row that has a record, or expects one; false: neither. */
static bool run_record(struct json_object *in, struct json_object *want)
{
    const char *hex = first_of(in, "bump_hex", "combined_bump_hex", "");
    const char *written = first_of(want, "toHex", "serialized_bump_hex", "bump_hex");
    if (!hex)
        hex = written;
    if (!hex)
        return false;
    struct buf raw = unhex(hex);
    struct bump b;
    assert_int_equal(read_all(&raw, &b), OK);
    compare_expected(want, &b);
    if (json_str(in, "txid"))
        assert_has(&b, json_str(in, "txid"));
    if (written)
        assert_string_equal(written, hex);
    assert_written(&b, &raw);
    bump_clear(&b);
    buf_clear(&raw);
    return true;
}

/* One of the transactions that the row names. */
static bool is_wanted(struct json_object *in, const char *txid)
{
    json_object_object_foreach(in, key, value) {
        if (strstr(key, "txid") && json_object_is_type(value, json_type_string) &&
            strcmp(json_object_get_string(value), txid) == 0)
            return true;
    }
    return false;
}

/* The transactions that the row names, proved out of their whole block. */
static void prove_in_block(struct json_object *in, struct json_object *ids, int64_t height,
                           struct bump *out)
{
    struct partial_merkle_builder p;
    struct partial_merkle partial;
    partial_merkle_init(&p);
    for (size_t i = 0; i < json_object_array_length(ids); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(ids, i));
        struct txid id;
        assert_true(hash_from_hex(id.b, text));
        assert_int_equal(partial_merkle_add(&p, id.b, is_wanted(in, text)), OK);
    }
    assert_int_equal(partial_merkle_finish(&p, &partial), OK);
    assert_int_equal(bump_from_partial(out, (uint32_t)height, &partial, NULL), OK);
    partial_merkle_clear(&p);
}

/* The transactions of the block at a height, which one of the rows has; NULL: none. */
static struct json_object *block_ids(struct json_object *rows, int64_t height)
{
    struct json_object *ids = NULL;
    for (size_t i = 0; !ids && i < json_object_array_length(rows); i++) {
        struct json_object *in = json_get(json_object_array_get_idx(rows, i), "input");
        if (json_int(in, "block_height", -1) == height)
            ids = json_get(in, "full_block_txids");
    }
    return ids;
}

/* A row about a block whose transactions one of the rows has; false: another row. */
static bool run_block(struct json_object *in, struct json_object *want, struct json_object *rows)
{
    const char *written = json_str(want, "serialized_bump_hex");
    const int64_t height = json_int(in, "block_height", -1);
    struct json_object *ids = block_ids(rows, height);
    struct bump b;
    if (!ids || json_get(want, "throws"))
        return false;
    prove_in_block(in, ids, height, &b);
    assert_true(compare_expected(want, &b) > 0);
    if (written) {
        struct buf raw = unhex(written);
        assert_written(&b, &raw);
        buf_clear(&raw);
    }
    bump_clear(&b);
    return true;
}

static void paths_of_the_sdk_are_taken(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spv/merkle-path.json"), *rows = json_rows(file);
    size_t run = 0, n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *in = json_get(row, "input"), *want = json_get(row, "expected");
        bool record = run_record(in, want), block = run_block(in, want, rows);
        run += record || block;
    }
    json_object_put(file);
    vector_report_part("spv/merkle-path.json", n, run);
}

/* Callbacks with a record. Height 0 is written in five bytes there, which is an error everywhere
 * (spec consensus 6). */
static void records_of_callbacks_have_the_height_told(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spv/merkle-path-validation.json"),
                       *rows = json_rows(file);
    const size_t n = json_object_array_length(rows);
    size_t run = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *body =
            json_get(json_get(json_object_array_get_idx(rows, i), "input"), "body");
        const char *hex = json_str(body, "merklePath");
        int64_t height = json_int(body, "blockHeight", -1);
        if (!hex || height < 0 || strlen(hex) % 2)
            continue;
        struct buf raw = unhex(hex);
        struct reader r;
        struct bump b;
        struct bump_top top;
        reader_init(&r, raw.data, raw.len);
        enum err rc = bump_read(&r, &b, NULL);
        if (height == 0 && raw.len > 0 && raw.data[0] >= 0xfd) {
            assert_int_equal(rc, ERR_PARSE);
        } else if (!rc) {
            assert_int_equal(b.height, height);
            assert_int_equal(bump_climb(&b, &top, NULL), OK);
            bump_clear(&b);
        }
        run++;
        buf_clear(&raw);
    }
    json_object_put(file);
    vector_report_part("spv/merkle-path-validation.json", n, run);
}

/* Steps of a tree of five transactions, whose second row is odd as well. */
static void pairs_of_a_tree_of_five_give_the_parents_told(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spv/merkle-path-odd-node.json"),
                       *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *in = json_get(row, "input");
        struct buf left = unhex(json_str(in, "left_hex")), right = unhex(json_str(in, "right_hex"));
        struct buf want = unhex(json_str(json_get(row, "expected"), "parent_hex"));
        struct merkle_branch b = { .n = 1 };
        struct hash256 root;
        b.sibling[0].duplicate = memcmp(left.data, right.data, 32) == 0;
        memcpy(b.sibling[0].hash.b, right.data, 32);
        assert_true(merkle_branch_root(&b, left.data, &root));
        assert_memory_equal(root.b, want.data, 32);
        buf_clear(&left);
        buf_clear(&right);
        buf_clear(&want);
    }
    json_object_put(file);
    vector_report("spv/merkle-path-odd-node.json", n);
}

static void the_example_of_the_specification_is_taken(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spec/brc_examples.json");
    struct buf raw = unhex(json_str(file, "brc74_bump_example"));
    struct bump b;
    assert_int_equal(read_all(&raw, &b), OK);
    assert_int_equal(b.height, 813706);
    assert_root(&b, "57aab6e6fb1b697174ffb64e062c4728f2ffd33ddcfa02a43b64d8cd29b483b4");
    assert_written(&b, &raw);
    bump_clear(&b);
    buf_clear(&raw);
    json_object_put(file);
    vector_report("spec/brc_examples.json", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_transaction_alone_is_proved),
        cmocka_unit_test(merged_proofs_are_the_proof_of_the_set),
        cmocka_unit_test(proofs_of_different_blocks_do_not_merge),
        cmocka_unit_test(no_flipped_bit_keeps_root_and_leaves),
        cmocka_unit_test(an_inner_node_shows_by_the_depth),
        cmocka_unit_test(a_tree_without_a_match_has_no_record),
        cmocka_unit_test(what_is_no_tree_is_refused),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(the_working_hash_is_doubled_at_a_duplicate),
        cmocka_unit_test(valid_records_are_taken),
        cmocka_unit_test(invalid_records_are_refused),
        cmocka_unit_test(paths_of_the_sdk_are_taken),
        cmocka_unit_test(records_of_callbacks_have_the_height_told),
        cmocka_unit_test(pairs_of_a_tree_of_five_give_the_parents_told),
        cmocka_unit_test(the_example_of_the_specification_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
