#include "base/tx.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

/* Version 1, one input with a script of 2 bytes, one output with a script of 1, lock time 9. */
static const char small[] =
    "01000000" "01"
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20" "05000000"
    "02aabb" "feffffff"
    "01" "0100000000000080" "01cc"
    "09000000";

static void assert_round_trip(const struct tx *tx)
{
    struct buf b;
    buf_init(&b);
    tx_write(&b, tx);
    assert_int_equal(b.len, tx->raw.len);
    assert_memory_equal(b.data, tx->raw.data, b.len);
    assert_int_equal(tx_size(tx), b.len);
    buf_clear(&b);
}

static void fields_are_read_and_scripts_borrowed(void **state)
{
    (void)state;
    struct buf raw = unhex(small);
    struct reader r;
    struct arena a;
    struct tx tx;
    arena_init(&a);
    buf_put(&raw, "more", 4);
    reader_init(&r, raw.data, raw.len);
    assert_int_equal(tx_read(&r, &a, &tx), OK);
    assert_int_equal(r.left, 4);
    assert_int_equal(tx.version, 1);
    assert_int_equal(tx.n_in, 1);
    assert_int_equal(tx.in[0].prevout.txid.b[31], 0x20);
    assert_int_equal(tx.in[0].prevout.index, 5);
    assert_int_equal(tx.in[0].sequence, 0xfffffffe);
    assert_ptr_equal(tx.in[0].script.data, raw.data + 42);
    assert_int_equal(tx.in[0].script.len, 2);
    assert_int_equal(tx.n_out, 1);
    assert_true(tx.out[0].value == INT64_MIN + 1);
    assert_int_equal(tx.out[0].script.len, 1);
    assert_int_equal(tx.lock_time, 9);
    assert_ptr_equal(tx.raw.data, raw.data);
    assert_int_equal(tx.raw.len, raw.len - 4);
    assert_false(tx_is_coinbase(&tx));
    assert_round_trip(&tx);
    arena_clear(&a);
    buf_clear(&raw);
}

static void raw_bytes_of_transactions_in_a_row_are_cut_without_parsing_them(void **state)
{
    (void)state;
    struct buf raw = unhex(small);
    struct reader r;
    const size_t one = raw.len;
    buf_reserve(&raw, one);
    buf_put(&raw, raw.data, one);
    buf_put_u8(&raw, 1);
    reader_init(&r, raw.data, raw.len);
    for (size_t i = 0; i < 2; i++) {
        const struct span tx = tx_read_raw(&r);
        assert_ptr_equal(tx.data, raw.data + i * one);
        assert_int_equal(tx.len, one);
    }
    assert_int_equal(tx_read_raw(&r).len, 0);
    assert_true(r.failed);
    buf_clear(&raw);
}

static void a_cut_transaction_is_refused_at_every_length(void **state)
{
    (void)state;
    struct buf raw = unhex(small);
    struct error e;
    for (size_t len = 0; len < raw.len; len++) {
        uint8_t *copy = (uint8_t *)malloc(len ? len : 1); /* its own block, for the sanitizers */
        memcpy(copy, raw.data, len);
        assert_null(tx_new(copy, len, &e));
        assert_int_equal(e.code, ERR_PARSE);
        free(copy);
    }
    buf_put_u8(&raw, 0);
    assert_null(tx_new(raw.data, raw.len, &e));
    assert_int_equal(e.code, ERR_PARSE);
    assert_null(tx_new(NULL, 0, NULL));
    buf_clear(&raw);
}

static void claimed_counts_do_not_allocate(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "01000000" "feffffffff" "00000000000000000000000000000000000000000000000000",
        "01000000" "00" "feffffffff" "000000000000000000000000000000",
        "01000000" "ff0000000001000000" "00000000000000000000000000000000",
        "01000000" "fd0000" "00" "00000000", /* a count that is not in its shortest form */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf raw = unhex(bad[i]);
        struct reader r;
        struct arena a;
        struct tx tx;
        arena_init(&a);
        reader_init(&r, raw.data, raw.len);
        assert_int_equal(tx_read(&r, &a, &tx), ERR_PARSE);
        assert_true(a.total < 10000);
        arena_clear(&a);
        buf_clear(&raw);
    }
}

static void no_inputs_and_no_outputs_is_a_format_all_the_same(void **state)
{
    (void)state;
    struct buf raw = unhex("ffffffff" "00" "00" "00000000");
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    assert_int_equal(tx->version, -1);
    assert_int_equal(tx->n_in + tx->n_out, 0);
    assert_int_equal(tx_size(tx), TX_MIN_SIZE);
    assert_false(tx_is_coinbase(tx));
    tx_unref(tx);
    buf_clear(&raw);
}

static void a_shared_transaction_owns_its_bytes(void **state)
{
    (void)state;
    struct buf raw = unhex(small);
    struct txid want;
    sha256d(want.b, raw.data, raw.len);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    buf_clear(&raw);
    assert_ptr_equal(tx_ref(tx), tx);
    tx_unref(tx);
    assert_true(txid_equal(&tx->id, &want));
    assert_int_equal(tx->in[0].script.data[1], 0xbb);
    assert_round_trip(tx);
    assert_true(tx_memory(tx) > sizeof(struct tx) + tx->raw.len);
    tx_unref(tx);
    tx_unref(NULL);
}

static void a_coinbase_has_one_null_input(void **state)
{
    (void)state;
    struct tx_in in[2] = { { .prevout.index = UINT32_MAX }, { .prevout.index = UINT32_MAX } };
    struct tx tx = { .n_in = 1, .in = in };
    assert_true(tx_is_coinbase(&tx));
    tx.n_in = 2;
    assert_false(tx_is_coinbase(&tx));
    tx.n_in = 1;
    in[0].prevout.index = 0;
    assert_false(tx_is_coinbase(&tx));
    tx.n_in = 0;
    assert_false(tx_is_coinbase(&tx));
}

static void check_count(struct json_object *o, const char *key, uint64_t got)
{
    int64_t want = json_int(o, key, -1);
    if (want >= 0)
        assert_true(got == (uint64_t)want);
}

/* A row of any of the sets; false when it has no plain transaction. */
static bool run_row(struct json_object *row)
{
    struct json_object *in = json_get(row, "input"), *want = json_get(row, "expected");
    const char *form = json_str(row, "form"), *txid = json_str(row, "txid");
    const char *hex = in ? json_str(in, "raw_hex") : json_str(row, "hex");
    if (!hex || (form && strcmp(form, "raw") != 0) || json_get(want, "throws"))
        return false;
    if (!want)
        want = row;
    struct buf raw = unhex(hex);
    struct error e = { OK, "" };
    struct tx *tx = tx_new(raw.data, raw.len, &e);
    if (!tx)
        fail_msg("%.40s...: %s", hex, e.text);
    assert_round_trip(tx);
    if (txid) {
        char text[HASH_HEX_SIZE];
        assert_string_equal(hash_to_hex(text, tx->id.b), txid);
    }
    if (json_str(want, "raw_hex_roundtrip"))
        assert_string_equal(json_str(want, "raw_hex_roundtrip"), hex);
    check_count(want, "bytes", raw.len);
    check_count(want, "inputs", tx->n_in);
    check_count(want, "outputs", tx->n_out);
    check_count(want, "inputs_count", tx->n_in);
    check_count(want, "outputs_count", tx->n_out);
    check_count(want, "locktime", tx->lock_time);
    check_count(want, "version", (uint32_t)tx->version);
    tx_unref(tx);
    buf_clear(&raw);
    return true;
}

/* Rows in the extended format (BRC-30) and of other operations are counted, not run. */
static size_t run_file(const char *name)
{
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows), run = 0;
    for (size_t i = 0; i < n; i++)
        run += run_row(json_object_array_get_idx(rows, i));
    json_object_put(file);
    print_message("%s: %zu cases, %zu rows of other forms\n", name, run, n - run);
    return run;
}

static void known_transactions_round_trip(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("transactions", ".json", &names);
    if (n == 0)
        skip();
    size_t run = 0;
    for (size_t i = 0; i < n; i++)
        run += run_file(names[i]);
    vector_list_free(names, n);
    vector_report("transactions", run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_and_scripts_borrowed),
        cmocka_unit_test(raw_bytes_of_transactions_in_a_row_are_cut_without_parsing_them),
        cmocka_unit_test(a_cut_transaction_is_refused_at_every_length),
        cmocka_unit_test(claimed_counts_do_not_allocate),
        cmocka_unit_test(no_inputs_and_no_outputs_is_a_format_all_the_same),
        cmocka_unit_test(a_shared_transaction_owns_its_bytes),
        cmocka_unit_test(a_coinbase_has_one_null_input),
        cmocka_unit_test(known_transactions_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
