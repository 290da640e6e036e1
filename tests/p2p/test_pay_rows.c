/* What payments by a transaction are on disk. */
#include <config.h>

#include "p2p/pay_rows.h"

#include <string.h>

#include "base/intmath.h"
#include "tests/test.h"

static struct span text(const char *s) { return span_of(s, strlen(s)); }

static struct pay_row payment(uint8_t id)
{
    struct pay_row r = { .kind = PAY_SENT, .state = PAY_PENDING, .contact = 7, .satoshis = 5000,
                         .fee = 96, .created = 1, .ended = 2, .expires = 3, .status = 4,
                         .has_request = true, .n = 2, .memo_len = 3, .wallet = "main" };
    memset(r.id, id, sizeof r.id);
    memset(r.theirs, 0x02, sizeof r.theirs);
    memset(r.ours, 0x03, sizeof r.ours);
    memset(r.request, 0x04, sizeof r.request);
    memset(r.txid.b, 0x05, sizeof r.txid.b);
    memcpy(r.memo, "tea", 3);
    r.prefix = pay_text_of(text("cHJlZml4"));
    r.output[0] = (struct pay_row_output){ 1, pay_text_of(text("YQ==")) };
    r.output[1] = (struct pay_row_output){ 4, pay_text_of(text("Yg==")) };
    return r;
}

static struct span key_span(const struct pay_key *k) { return span_of(k->b, k->len); }

static void a_row_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct pay_row r = payment(9);
    const struct pay_key key = pay_row_key_of(&r);
    struct pay_row back;
    struct buf b, again;
    buf_init(&b);
    buf_init(&again);
    pay_row_write(&b, &r);
    assert_true(pay_row_read(&back, key_span(&key), buf_span(&b)));
    pay_row_write(&again, &back);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    assert_int_equal(back.contact, 7);
    assert_int_equal(back.kind, PAY_SENT);
    assert_memory_equal(back.id, r.id, sizeof r.id);
    assert_string_equal(back.wallet, "main");
    assert_int_equal(back.output[1].index, 4);
    for (size_t cut = 0; cut < b.len; cut++)
        assert_false(pay_row_read(&back, key_span(&key), span_of(b.data, cut)));
    b.data[1] = 99; /* no such state */
    assert_false(pay_row_read(&back, key_span(&key), buf_span(&b)));
    b.data[1] = PAY_PENDING;
    b.data[0]++; /* a version to come */
    assert_false(pay_row_read(&back, key_span(&key), buf_span(&b)));
    buf_clear(&b);
    buf_clear(&again);
}

/* The same id of two strangers, and of a contact whose key has changed. */
static void keys_tell_whose_it_is(void **state)
{
    (void)state;
    struct pay_row a = payment(1), b = payment(1);
    struct pay_key x = pay_row_key_of(&a), y = pay_row_key_of(&b);
    memset(b.theirs, 0x0a, sizeof b.theirs);
    y = pay_row_key_of(&b);
    assert_true(x.len == y.len && memcmp(x.b, y.b, x.len) == 0);
    a.contact = b.contact = 0;
    x = pay_row_key_of(&a);
    y = pay_row_key_of(&b);
    assert_true(x.len == y.len && memcmp(x.b, y.b, x.len) != 0);
}

static void put(struct kv *kv, const void *key, size_t key_len, struct span value)
{
    struct kv_batch *batch = kv_batch_new(kv);
    kv_batch_put(batch, key, key_len, value.data, value.len);
    assert_int_equal(kv_write(kv, batch, KV_SYNC, NULL), OK);
    kv_batch_free(batch);
}

static void put_row(struct kv *kv, const struct pay_row *r)
{
    const struct pay_key key = pay_row_key_of(r);
    struct buf b;
    buf_init(&b);
    pay_row_write(&b, r);
    put(kv, key.b, key.len, buf_span(&b));
    buf_clear(&b);
}

static enum err count(void *ctx, const struct pay_row *r, struct error *e)
{
    (void)e;
    *(unsigned *)ctx += r->id[0];
    return OK;
}

static void all_rows_are_found_and_nothing_else(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct pay_row r = payment(1);
    const struct outpoint o = { r.txid, 3 };
    uint8_t credit[PAY_CREDIT_KEY_SIZE];
    unsigned sum = 0;
    bool found;
    put_row(kv, &r);
    r = payment(2);
    r.kind = PAY_REQUESTED_OF_US;
    put_row(kv, &r);
    r.kind = PAY_RECEIVED;
    r.contact = 0;
    put_row(kv, &r);
    pay_credit_key(credit, &o);
    put(kv, credit, sizeof credit, text("credited"));
    const struct pay_key beef = pay_beef_key(&r);
    put(kv, beef.b, beef.len, text("proof"));
    put(kv, "p12345678", 9, text("before"));
    put(kv, "r", 1, text("after"));
    assert_int_equal(pay_rows_each(kv, count, &sum, NULL), OK);
    assert_int_equal(sum, 5);
    const struct pay_key key = pay_row_key_of(&r);
    assert_int_equal(pay_row_load(kv, &key, &r, &found, NULL), OK);
    assert_true(found);
    put(kv, key.b, key.len, text("damaged"));
    assert_int_equal(pay_row_load(kv, &key, &r, &found, NULL), ERR_CORRUPT);
    assert_int_equal(pay_rows_each(kv, count, &sum, NULL), ERR_CORRUPT);
    kv_close(kv);
}

/* What is damaged of others is not even read. */
static void rows_of_a_contact_are_found_and_no_others(void **state)
{
    static const enum pay_row_kind kinds[] = { PAY_SENT, PAY_RECEIVED, PAY_REQUESTED_BY_US,
                                               PAY_REQUESTED_OF_US };
    (void)state;
    struct kv *kv = kv_open_mem();
    unsigned sum = 0;
    for (uint8_t i = 0; i < COUNT_OF(kinds); i++)
        for (uint64_t contact = 6; contact <= 8; contact++) {
            struct pay_row r = payment((uint8_t)(1 << i));
            r.kind = kinds[i];
            r.contact = contact;
            put_row(kv, &r);
            const struct pay_key key = pay_row_key_of(&r), beef = pay_beef_key(&r);
            if (contact != 7)
                put(kv, key.b, key.len, text("damaged"));
            put(kv, beef.b, beef.len, text("proof"));
        }
    assert_int_equal(pay_rows_of(kv, 7, count, &sum, NULL), OK);
    assert_int_equal(sum, 15);
    assert_int_equal(pay_rows_of(kv, 9, count, &sum, NULL), OK);
    assert_int_equal(sum, 15);
    assert_int_equal(pay_rows_of(kv, 8, count, &sum, NULL), ERR_CORRUPT);
    kv_close(kv);
}

static void states_and_answers_have_words(void **state)
{
    (void)state;
    for (unsigned s = PAY_OPEN; s <= PAY_LOST; s++)
        assert_string_not_equal(pay_state_name((enum pay_row_state)s), "unknown");
    assert_string_equal(pay_status_name(3), "proof missing");
    assert_string_equal(pay_status_name(77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_read_as_it_was_written),
        cmocka_unit_test(keys_tell_whose_it_is),
        cmocka_unit_test(all_rows_are_found_and_nothing_else),
        cmocka_unit_test(rows_of_a_contact_are_found_and_no_others),
        cmocka_unit_test(states_and_answers_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
