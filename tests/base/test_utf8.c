#include "base/utf8.h"

#include "tests/test.h"

static void shortest_forms_of_all_lengths_are_taken(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n; } good[] = {
        { "a", 1 }, { "\xc2\x80", 2 }, { "\xdf\xbf", 2 }, { "\xe0\xa0\x80", 3 },
        { "\xed\x9f\xbf", 3 }, { "\xee\x80\x80", 3 }, { "\xf0\x90\x80\x80", 4 },
        { "\xf4\x8f\xbf\xbf", 4 },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(utf8_sequence((const uint8_t *)good[i].text,
                                       4 < good[i].n ? 4 : good[i].n),
                         good[i].n);
}

static void overlong_surrogate_cut_and_stray_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xc3(",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    assert_true(utf8_valid("", 0));
    assert_int_equal(utf8_sequence(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_forms_of_all_lengths_are_taken),
        cmocka_unit_test(overlong_surrogate_cut_and_stray_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
