#include "bca/params.h"

#include "bca/registration.h"
#include "tests/bca/proof.h"
#include "tests/test.h"

static void what_is_read_is_written_as_the_same_bytes(void **state)
{
    (void)state;
    static const struct proof_shape shapes[] = {
        { .tx_depth = 0 },
        { .modifier_depth = 5, .modifier_index = 17, .tx_depth = 28, .tx_index = 12345678 },
    };
    for (size_t i = 0; i < 2; i++) {
        struct proof p;
        struct bca_params again;
        struct buf copy;
        proof_make(&p, &shapes[i]);
        struct buf raw = proof_bytes(&p);
        assert_int_equal(bca_params_read(buf_span(&raw), &again, NULL), OK);
        assert_int_equal(again.tx_index, shapes[i].tx_index);
        assert_int_equal(again.tx_depth, shapes[i].tx_depth);
        assert_int_equal(again.modifier_index, shapes[i].modifier_index);
        assert_memory_equal(again.header, p.header, 80);
        buf_init(&copy);
        bca_params_write(&copy, &again);
        assert_int_equal(copy.len, raw.len);
        assert_memory_equal(copy.data, raw.data, raw.len);
        buf_clear(&copy);
        buf_clear(&raw);
        proof_clear(&p);
    }
}

static void assert_refused(const struct buf *raw, const char *why)
{
    struct bca_params p;
    struct error e = { .code = OK };
    assert_int_equal(bca_params_read(buf_span(raw), &p, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, why));
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct proof p;
    proof_make(&p, &proof_shape_usual);
    p.params.tx_depth = BCA_TX_DEPTH_MAX + 1;
    uint8_t many[32 * 29] = { 0 };
    p.params.tx_siblings = many;
    struct buf raw = proof_bytes(&p);
    assert_refused(&raw, "28 levels");
    buf_clear(&raw);

    p.params.tx_depth = 0;
    p.params.modifier_depth = 6;
    p.params.modifier_siblings = many;
    raw = proof_bytes(&p);
    assert_refused(&raw, "5 levels");
    raw.data[0] = 2;
    assert_refused(&raw, "version");
    buf_clear(&raw);
    proof_clear(&p);
}

static void the_length_of_the_transaction_is_minimal_and_limited(void **state)
{
    (void)state;
    struct proof p;
    struct bca_params again;
    static uint8_t large[BCA_TX_MAX + 1];
    proof_make(&p, &proof_shape_usual);
    p.params.transaction = span_of(large, BCA_TX_MAX);
    struct buf raw = proof_bytes(&p);
    assert_int_equal(bca_params_read(buf_span(&raw), &again, NULL), OK);
    buf_clear(&raw);
    p.params.transaction.len++;
    raw = proof_bytes(&p);
    assert_refused(&raw, "length of the transaction");
    buf_clear(&raw);

    p.params.transaction.len = 0;
    raw = proof_bytes(&p);
    assert_int_equal(bca_params_read(buf_span(&raw), &again, NULL), OK);
    struct buf longer;
    buf_init(&longer);
    buf_put(&longer, raw.data, 50);
    buf_put(&longer, "\xfd\0\0", 3); /* zero in three bytes */
    buf_put(&longer, raw.data + 51, raw.len - 51);
    assert_refused(&longer, "minimal");
    buf_clear(&longer);
    buf_clear(&raw);
    proof_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_written_as_the_same_bytes),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(the_length_of_the_transaction_is_minimal_and_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
