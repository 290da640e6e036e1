#include "bca/registration.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/tx.h"
#include "tests/test.h"

static const uint8_t key[33] = { 2, 7, 7 };
static const uint8_t root[32] = { 9, 8, 7 };

struct made_out {
    int64_t value;
    struct buf script;
};

static struct made_out registration_out(void)
{
    struct made_out o = { .value = 0 };
    buf_init(&o.script);
    bca_registration_put(buf_extend(&o.script, BCA_REGISTRATION_SIZE), key, root);
    return o;
}

static struct made_out hex_out(int64_t value, const char *script)
{
    return (struct made_out){ value, unhex(script) };
}

static const char p2pkh[] = "76a914b385519b19c55d1838e86f0dca16eaa783d441d188ac";

/* A transaction with n_in empty inputs and these outputs, which are cleared. */
static struct buf make_tx(size_t n_in, struct made_out *outs, size_t n)
{
    struct buf tx;
    buf_init(&tx);
    buf_put_le32(&tx, 1);
    buf_put_compact(&tx, n_in);
    for (size_t i = 0; i < n_in; i++)
        memset(buf_extend(&tx, 41), 0, 41);
    buf_put_compact(&tx, n);
    for (size_t i = 0; i < n; i++) {
        buf_put_le64(&tx, (uint64_t)outs[i].value);
        buf_put_var_bytes(&tx, outs[i].script.data, outs[i].script.len);
        buf_clear(&outs[i].script);
    }
    buf_put_le32(&tx, 0);
    return tx;
}

static enum bca_registration_found found_in(size_t n_in, struct made_out *outs, size_t n)
{
    struct bca_registration r;
    struct buf tx = make_tx(n_in, outs, n);
    enum bca_registration_found found = bca_registration_find(buf_span(&tx), &r);
    buf_clear(&tx);
    return found;
}

static void the_script_holds_the_hash_of_the_key_and_the_root(void **state)
{
    (void)state;
    uint8_t script[BCA_REGISTRATION_SIZE], hash[32];
    bca_registration_put(script, key, root);
    sha256(hash, key, sizeof key);
    assert_memory_equal(script, "\x00\x6a\x04" "BCA\x01\x40", 8);
    assert_memory_equal(script + 8, hash, 32);
    assert_memory_equal(script + 40, root, 32);
}

static void one_registration_is_found_at_any_place(void **state)
{
    (void)state;
    struct made_out outs[] = { hex_out(5, "51"), hex_out(0, "006a0101"), registration_out() };
    struct buf tx = make_tx(1, outs, 3);
    struct bca_registration r;
    assert_int_equal(bca_registration_find(buf_span(&tx), &r), BCA_REGISTRATION_FOUND);
    assert_int_equal(r.output, 2);
    assert_memory_equal(r.modifier_root, root, 32);
    assert_null(r.marker);
    for (size_t len = 0; len < tx.len; len++)
        assert_int_equal(bca_registration_find(span_of(tx.data, len), &r), BCA_TX_MALFORMED);
    buf_put_u8(&tx, 0);
    assert_int_equal(bca_registration_find(buf_span(&tx), &r), BCA_TX_MALFORMED);
    buf_clear(&tx);
}

static void none_two_or_one_of_another_form_register_nothing(void **state)
{
    (void)state;
    struct made_out none[] = { hex_out(5, "51") };
    assert_int_equal(found_in(1, none, 1), BCA_REGISTRATION_NONE);
    struct made_out two[] = { registration_out(), registration_out() };
    assert_int_equal(found_in(1, two, 2), BCA_REGISTRATION_NONE);
    struct made_out and_cut[] = { registration_out(), hex_out(0, "006a0442434101") };
    assert_int_equal(found_in(1, and_cut, 2), BCA_REGISTRATION_NONE);
    struct made_out longer[] = { registration_out() };
    buf_put_u8(&longer[0].script, 0x51);
    assert_int_equal(found_in(1, longer, 1), BCA_REGISTRATION_NONE);
    struct made_out other_push[] = { registration_out() };
    other_push[0].script.data[7] = 0x3f;
    assert_int_equal(found_in(1, other_push, 1), BCA_REGISTRATION_NONE);
    struct made_out spendable[] = { registration_out() };
    spendable[0].script.data[0] = 0x51;
    assert_int_equal(found_in(1, spendable, 1), BCA_REGISTRATION_NONE);
}

static void a_transaction_has_inputs_and_outputs(void **state)
{
    (void)state;
    struct made_out outs[] = { registration_out() };
    assert_int_equal(found_in(0, outs, 1), BCA_TX_MALFORMED);
    assert_int_equal(found_in(1, NULL, 0), BCA_TX_MALFORMED);
}

static const uint8_t *marker_with(struct made_out after)
{
    static uint8_t copy[20];
    struct made_out outs[] = { hex_out(3, p2pkh), registration_out(), after, hex_out(3, p2pkh) };
    struct bca_registration r;
    struct buf tx = make_tx(1, outs, 4);
    assert_int_equal(bca_registration_find(buf_span(&tx), &r), BCA_REGISTRATION_FOUND);
    if (r.marker)
        memcpy(copy, r.marker, sizeof copy);
    buf_clear(&tx);
    return r.marker ? copy : NULL;
}

static void the_marker_is_the_p2pkh_directly_after_with_a_value(void **state)
{
    (void)state;
    struct buf hash = unhex("b385519b19c55d1838e86f0dca16eaa783d441d1");
    assert_memory_equal(marker_with(hex_out(1, p2pkh)), hash.data, 20);
    assert_null(marker_with(hex_out(0, p2pkh)));
    assert_null(marker_with(hex_out(1, "51")));
    assert_null(marker_with(hex_out(-1, p2pkh)));
    buf_clear(&hash);
}

/* As found in parsed transactions, which is never anything else. */
static bool marker_place(struct made_out *outs, size_t n, uint32_t *output)
{
    struct buf raw = make_tx(1, outs, n);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    struct bca_registration r;
    assert_non_null(tx);
    const bool found = bca_marker_find(tx, output);
    assert_int_equal(found, bca_registration_find(buf_span(&raw), &r) == BCA_REGISTRATION_FOUND &&
                                r.marker);
    if (found)
        assert_int_equal(*output, r.output + 1);
    tx_unref(tx);
    buf_clear(&raw);
    return found;
}

static void the_marker_of_a_parsed_transaction_has_its_place(void **state)
{
    (void)state;
    uint32_t at = 0;
    struct made_out good[] = { hex_out(3, p2pkh), registration_out(), hex_out(1, p2pkh) };
    assert_true(marker_place(good, 3, &at));
    assert_int_equal(at, 2);
    struct made_out last[] = { hex_out(3, p2pkh), registration_out() };
    assert_false(marker_place(last, 2, &at));
    struct made_out two[] = { registration_out(), hex_out(1, p2pkh), registration_out(),
                              hex_out(1, p2pkh) };
    assert_false(marker_place(two, 4, &at));
    struct made_out cut[] = { registration_out(), hex_out(1, p2pkh), hex_out(0, "006a0442434101") };
    assert_false(marker_place(cut, 3, &at));
    struct made_out first_cut[] = { hex_out(0, "006a0442434101"), registration_out(),
                                    hex_out(1, p2pkh) };
    assert_false(marker_place(first_cut, 3, &at));
    struct made_out none[] = { hex_out(3, p2pkh), hex_out(1, p2pkh) };
    assert_false(marker_place(none, 2, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_script_holds_the_hash_of_the_key_and_the_root),
        cmocka_unit_test(one_registration_is_found_at_any_place),
        cmocka_unit_test(none_two_or_one_of_another_form_register_nothing),
        cmocka_unit_test(a_transaction_has_inputs_and_outputs),
        cmocka_unit_test(the_marker_is_the_p2pkh_directly_after_with_a_value),
        cmocka_unit_test(the_marker_of_a_parsed_transaction_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
