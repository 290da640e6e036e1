#include "base/base64.h"

#include "tests/test.h"

/* RFC 4648, section 10. */
static void the_published_examples_go_both_ways(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text;
        uint8_t plain[8];
        buf_init(&text);
        base64_encode(&text, rows[i][0], strlen(rows[i][0]));
        assert_int_equal(text.len, strlen(rows[i][1]));
        assert_memory_equal(text.data, rows[i][1], text.len);
        assert_int_equal(base64_decode(plain, sizeof plain, rows[i][1]), strlen(rows[i][0]));
        assert_memory_equal(plain, rows[i][0], strlen(rows[i][0]));
        buf_clear(&text);
    }
}

static void other_texts_are_refused_and_no_more_than_fits_is_written(void **state)
{
    (void)state;
    uint8_t out[3];
    static const char *const bad[] = { "Zg=a", "Z", "Zm9vY", "Zm9v Zg==", "_w==",
                                       "Zm9vYg==" /* four bytes */ };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(base64_decode(out, sizeof out, bad[i]), SIZE_MAX);
    assert_int_equal(base64_decode(out, sizeof out, "Zm8"), 2); /* without its end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_examples_go_both_ways),
        cmocka_unit_test(other_texts_are_refused_and_no_more_than_fits_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
