#include "base/tx_extended.h"

#include <stdlib.h>
#include <string.h>

#include "tests/base/json_text.h"
#include "tests/test.h"

/* One input with the output of 7 satoshis it spends, one output, lock time 9. */
#define VERSION "02000000"
#define MARKER "0000000000ef"
#define INPUT                                                                                    \
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20" "05000000" "02aabb"       \
    "feffffff"
#define SPENT "0700000000000000" "0151"
#define TAIL "01" "0100000000000000" "01cc" "09000000"
static const char small[] = VERSION MARKER "01" INPUT SPENT TAIL;
static const char plain[] = VERSION "01" INPUT TAIL;

static enum err read_all(const struct buf *raw, struct arena *a, struct tx_extended *x)
{
    struct reader r;
    arena_init(a);
    reader_init(&r, raw->data, raw->len);
    enum err rc = tx_extended_read(&r, a, x);
    return !rc && !reader_done(&r) ? ERR_PARSE : rc;
}

static void assert_written_back(const struct tx_extended *x, const struct buf *raw)
{
    struct buf b;
    buf_init(&b);
    tx_extended_write(&b, &x->tx, x->spent);
    assert_int_equal(b.len, raw->len);
    assert_memory_equal(b.data, raw->data, raw->len);
    buf_clear(&b);
}

/* Behaviour 87: the id is that of the plain form. */
static void the_plain_form_comes_out(void **state)
{
    (void)state;
    struct buf raw = unhex(small), want = unhex(plain);
    struct arena a;
    struct tx_extended x;
    assert_true(tx_extended_detect(buf_span(&raw)));
    assert_false(tx_extended_detect(buf_span(&want)));
    assert_int_equal(read_all(&raw, &a, &x), OK);
    assert_int_equal(x.tx.raw.len, want.len);
    assert_memory_equal(x.tx.raw.data, want.data, want.len);
    assert_int_equal(x.spent[0].value, 7);
    assert_int_equal(x.spent[0].script.len, 1);
    assert_int_equal(x.tx.lock_time, 9);
    assert_written_back(&x, &raw);
    arena_clear(&a);
    buf_clear(&raw);
    buf_clear(&want);
}

static void an_empty_plain_transaction_is_not_taken_for_it(void **state)
{
    (void)state;
    struct buf raw = unhex("01000000" "00" "00" "000000ef");
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    assert_false(tx_extended_detect(buf_span(&raw)));
    tx_unref(tx);
    buf_clear(&raw);
}

static void refused(const char *hex)
{
    struct buf raw = unhex(hex);
    struct arena a;
    struct tx_extended x;
    assert_int_equal(read_all(&raw, &a, &x), ERR_PARSE);
    assert_true(a.total < 10000);
    arena_clear(&a);
    buf_clear(&raw);
}

static void what_is_no_extended_transaction_is_refused(void **state)
{
    (void)state;
    refused("");
    refused(plain);
    refused(VERSION "0000000000ee" "01" INPUT SPENT TAIL);
    /* the four bytes of BRC-30's table */
    refused(VERSION MARKER "01" INPUT "07000000" "0151" TAIL);
    refused(VERSION MARKER "01" INPUT TAIL);
    refused(VERSION MARKER "01" INPUT SPENT TAIL "00");
    refused(VERSION MARKER "feffffffff" INPUT SPENT TAIL);
    refused(VERSION MARKER "fd0100" INPUT SPENT TAIL);
}

static void a_cut_one_is_refused_at_every_length(void **state)
{
    (void)state;
    struct buf raw = unhex(small);
    for (size_t len = 0; len < raw.len; len++) {
        struct buf cut = { .data = (uint8_t *)malloc(len ? len : 1), .len = len, .cap = len };
        struct arena a;
        struct tx_extended x;
        memcpy(cut.data, raw.data, len);
        assert_int_equal(read_all(&cut, &a, &x), ERR_PARSE);
        arena_clear(&a);
        buf_clear(&cut);
    }
    buf_clear(&raw);
}

static void check_count(struct json_object *o, const char *key, size_t got)
{
    int64_t want = json_int(o, key, -1);
    if (want >= 0)
        assert_int_equal(got, want);
}

static bool run_row(struct json_object *row)
{
    struct json_object *in = json_get(row, "input"), *want = json_get(row, "expected");
    const char *hex = in ? json_str(in, "ef_hex") : json_str(row, "hex");
    const char *form = json_str(row, "form"), *txid = json_str(row, "txid");
    if (!hex || (!in && (!form || strcmp(form, "extended") != 0)))
        return false;
    struct buf raw = unhex(hex);
    struct arena a;
    struct tx_extended x;
    char text[HASH_HEX_SIZE];
    assert_int_equal(read_all(&raw, &a, &x), OK);
    assert_true(tx_extended_detect(buf_span(&raw)));
    assert_written_back(&x, &raw);
    tx_compute_id(&x.tx);
    if (txid)
        assert_string_equal(hash_to_hex(text, x.tx.id.b), txid);
    check_count(row, "inputs", x.tx.n_in);
    check_count(row, "outputs", x.tx.n_out);
    check_count(want, "inputs_count", x.tx.n_in);
    check_count(want, "outputs_count", x.tx.n_out);
    arena_clear(&a);
    buf_clear(&raw);
    return true;
}

static void run_file(const char *name)
{
    size_t run = 0;
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        run += run_row(json_object_array_get_idx(rows, i));
    json_object_put(file);
    vector_report_part(name, n, run);
}

static void known_extended_transactions_round_trip(void **state)
{
    (void)state;
    run_file("transactions/transactions.json");
}

static void the_extended_transaction_of_the_sdk_round_trips(void **state)
{
    (void)state;
    run_file("transactions/serialization.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_form_comes_out),
        cmocka_unit_test(an_empty_plain_transaction_is_not_taken_for_it),
        cmocka_unit_test(what_is_no_extended_transaction_is_refused),
        cmocka_unit_test(a_cut_one_is_refused_at_every_length),
        cmocka_unit_test(known_extended_transactions_round_trip),
        cmocka_unit_test(the_extended_transaction_of_the_sdk_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
