/* Row 87 of the behaviours: formats of transactions and proofs, from bytes written here by hand. */
#include <string.h>

#include "base/beef.h"
#include "base/bump.h"
#include "base/hash.h"
#include "base/tx_extended.h"
#include "tests/test.h"

/* version 1, one input of transaction 11..11 output 0, one output of 5 satoshis to OP_TRUE */
#define BEFORE_INPUTS "01000000"
#define INPUT                                                                                    \
    "1111111111111111111111111111111111111111111111111111111111111111" "00000000" "00" "ffffffff"
#define OUTPUT "0500000000000000" "01" "51"
#define AFTER "00000000"
#define PLAIN BEFORE_INPUTS "01" INPUT "01" OUTPUT AFTER
#define SPENT "0700000000000000" "01" "51" /* value of eight bytes */
#define EXTENDED BEFORE_INPUTS "0000000000ef" "01" INPUT SPENT "01" OUTPUT AFTER

static enum err read_tx(const char *hex, struct txid *id)
{
    struct buf raw = unhex(hex);
    struct reader r;
    struct arena a;
    struct tx tx;
    arena_init(&a);
    reader_init(&r, raw.data, raw.len);
    enum err rc = tx_read(&r, &a, &tx);
    if (!rc) {
        tx_compute_id(&tx);
        *id = tx.id;
    }
    arena_clear(&a);
    buf_clear(&raw);
    return rc;
}

static void behaviour_87_counts_that_are_not_the_shortest_form_are_refused(void **state)
{
    (void)state;
    struct txid id;
    assert_int_equal(read_tx(PLAIN, &id), OK);
    assert_int_equal(read_tx(BEFORE_INPUTS "fd0100" INPUT "01" OUTPUT AFTER, &id), ERR_PARSE);
    assert_int_equal(read_tx(BEFORE_INPUTS "01" INPUT "fe01000000" OUTPUT AFTER, &id), ERR_PARSE);
    assert_int_equal(read_tx(BEFORE_INPUTS "ff0100000000000000" INPUT "01" OUTPUT AFTER, &id),
                     ERR_PARSE);
}

static void behaviour_87_the_extended_form_has_the_id_of_the_plain_one(void **state)
{
    (void)state;
    struct txid want;
    struct tx_extended x;
    struct reader r;
    struct arena a;
    struct buf raw = unhex(EXTENDED), again;
    assert_int_equal(read_tx(PLAIN, &want), OK);
    arena_init(&a);
    buf_init(&again);
    reader_init(&r, raw.data, raw.len);
    assert_int_equal(tx_extended_read(&r, &a, &x), OK);
    tx_compute_id(&x.tx);
    assert_memory_equal(x.tx.id.b, want.b, 32);
    assert_int_equal(x.spent[0].value, 7);
    tx_extended_write(&again, &x.tx, x.spent);
    assert_int_equal(again.len, raw.len);
    assert_memory_equal(again.data, raw.data, raw.len);
    buf_clear(&raw);
    buf_clear(&again);
    arena_clear(&a);
}

static void behaviour_87_a_duplicate_leaf_doubles_the_working_hash(void **state)
{
    (void)state;
    /* height 5, one level: offset 0 is a txid, offset 1 duplicates it */
    struct buf raw = unhex("05" "01" "02" "00" "02"
                           "2222222222222222222222222222222222222222222222222222222222222222"
                           "01" "01");
    uint8_t want[32];
    uint8_t leaf[32];
    struct bump b;
    struct bump_top top;
    struct reader r;
    struct error e;
    memset(leaf, 0x22, sizeof(leaf));
    sha256d_pair(want, leaf, leaf);
    reader_init(&r, raw.data, raw.len);
    assert_int_equal(bump_read(&r, &b, &e), OK);
    assert_true(b.level[0].leaf[1].duplicate);
    assert_int_equal(bump_climb(&b, &top, &e), OK);
    assert_memory_equal(top.root.b, want, 32);
    bump_clear(&b);
    buf_clear(&raw);
}

static enum err read_beef(const char *hex, struct beef *b, struct buf *raw)
{
    struct reader r;
    *raw = unhex(hex);
    reader_init(&r, raw->data, raw->len);
    const enum err rc = beef_read(&r, b, NULL);
    return rc ? rc : reader_done(&r) ? OK : ERR_PARSE;
}

/* No proofs, one transaction: its format byte stands behind it in V1 and before it in V2. */
static void behaviour_87_the_format_byte_is_behind_in_v1_and_before_in_v2(void **state)
{
    (void)state;
    struct txid want;
    assert_int_equal(read_tx(PLAIN, &want), OK);
    const char *const good[] = { "0100beef" "00" "01" PLAIN "00", "0200beef" "00" "01" "00" PLAIN };
    const char *const swapped[] = { "0100beef" "00" "01" "00" PLAIN,
                                    "0200beef" "00" "01" PLAIN "00" };
    for (size_t i = 0; i < 2; i++) {
        struct beef b;
        struct buf raw;
        assert_int_equal(read_beef(good[i], &b, &raw), OK);
        assert_int_equal(b.tx[0].form, BEEF_PLAIN);
        assert_memory_equal(b.tx[0].tx.id.b, want.b, 32);
        beef_clear(&b);
        buf_clear(&raw);
        assert_int_equal(read_beef(swapped[i], &b, &raw), ERR_PARSE);
        buf_clear(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviour_87_counts_that_are_not_the_shortest_form_are_refused),
        cmocka_unit_test(behaviour_87_the_extended_form_has_the_id_of_the_plain_one),
        cmocka_unit_test(behaviour_87_a_duplicate_leaf_doubles_the_working_hash),
        cmocka_unit_test(behaviour_87_the_format_byte_is_behind_in_v1_and_before_in_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
