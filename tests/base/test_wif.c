/* Published keys of all networks are in tests/chain/test_vectors_keys.c. */
#include "base/wif.h"

#include <string.h>

#include "base/base58.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "tests/test.h"

#define VERSION 0x80

static int setup(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

static void both_forms_of_a_key_go_both_ways(void **state)
{
    (void)state;
    static const char *const texts[] = { "5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDf",
                                         "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn" };
    for (int compressed = 0; compressed < 2; compressed++) {
        struct private_key k;
        char text[WIF_TEXT_MAX];
        assert_int_equal(wif_decode(&k, VERSION, texts[compressed]), WIF_OK);
        assert_int_equal(k.compressed, compressed);
        assert_int_equal(k.secret[31], 1);
        assert_string_equal(wif_encode(text, VERSION, &k), texts[compressed]);
        assert_int_equal(wif_decode(&k, 0xef, texts[compressed]), WIF_BAD_TEXT);
        assert_int_equal(k.secret[31], 0);
    }
}

static void zero_and_the_order_are_no_keys(void **state)
{
    (void)state;
    struct buf order = unhex("80fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    const uint8_t zero[33] = { VERSION };
    const uint8_t *rows[] = { order.data, zero };
    for (size_t i = 0; i < 2; i++) {
        struct private_key k;
        char text[64];
        assert_true(base58check_encode(text, sizeof text, rows[i], 33));
        assert_int_equal(wif_decode(&k, VERSION, text), WIF_BAD_KEY);
    }
    buf_clear(&order);
}

static void other_lengths_marks_and_texts_are_refused(void **state)
{
    (void)state;
    uint8_t data[36] = { VERSION };
    struct private_key k;
    char text[80];
    memset(data + 1, 7, 32);
    data[33] = 2; /* no mark */
    const size_t lengths[] = { 1, 32, 34, 35, 36 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_true(base58check_encode(text, sizeof text, data, lengths[i]));
        assert_int_equal(wif_decode(&k, VERSION, text), WIF_BAD_TEXT);
    }
    assert_int_equal(wif_decode(&k, VERSION, ""), WIF_BAD_TEXT);
    assert_int_equal(wif_decode(&k, VERSION, "5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDe"),
                     WIF_BAD_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_a_key_go_both_ways),
        cmocka_unit_test(zero_and_the_order_are_no_keys),
        cmocka_unit_test(other_lengths_marks_and_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
