#include "wallet/hdpath.h"

#include <string.h>

#include "tests/test.h"

#define H HDPATH_HARDENED

static void assert_path(const char *text, const uint32_t *want, size_t n, const char *written)
{
    struct hdpath p;
    struct buf out;
    buf_init(&out);
    assert_int_equal(hdpath_parse(&p, text, NULL), OK);
    assert_int_equal(p.n, n);
    assert_memory_equal(p.step, want, n * sizeof *want);
    hdpath_format(&out, &p);
    assert_int_equal(out.len, strlen(written));
    assert_memory_equal(out.data, written, out.len);
    buf_clear(&out);
}

static void paths_are_read_and_written(void **state)
{
    (void)state;
    const uint32_t bsv[] = { 44 | H, 236 | H, 0 | H, 0, 5 }, edge[] = { H - 1, UINT32_MAX };
    assert_path("m/44'/236'/0'/0/5", bsv, 5, "m/44'/236'/0'/0/5");
    assert_path("m/44h/236H/0'/0/5", bsv, 5, "m/44'/236'/0'/0/5");
    assert_path("44'/236'/0'/0/5", bsv, 5, "m/44'/236'/0'/0/5");
    assert_path("M/2147483647/2147483647'", edge, 2, "m/2147483647/2147483647'");
    assert_path("m", bsv, 0, "m");
}

static void bad_paths_are_refused_with_the_step(void **state)
{
    (void)state;
    static const struct { const char *text, *reason; } cases[] = {
        { "", "step 1" }, { "/", "step 1" }, { "m/", "step 1" }, { "mm/0", "m/" },
        { "m0", "m/" }, { "m/0/", "step 2" }, { "m//0", "step 1" }, { "m/0/x", "step 2" },
        { "m/-1", "step 1" }, { "m/+1", "step 1" }, { "m/ 1", "step 1" }, { "m/0''", "step 1" },
        { "m/0'h", "step 1" }, { "m/2147483648", "step 1" }, { "m/0/1/4294967296'", "step 3" },
        { "m/99999999999999999999999999", "step 1" }, { "m/1 ", "step 1" }, { "m/0x1", "step 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hdpath p;
        struct error e;
        assert_int_equal(hdpath_parse(&p, cases[i].text, &e), ERR_PARSE);
        assert_non_null(strstr(e.text, cases[i].reason));
    }
}

static void a_path_has_at_most_255_steps(void **state)
{
    (void)state;
    struct hdpath p;
    struct buf text;
    buf_init(&text);
    buf_put_u8(&text, 'm');
    for (size_t i = 0; i < HDPATH_MAX; i++)
        buf_put_str(&text, "/7");
    buf_put_u8(&text, 0);
    assert_int_equal(hdpath_parse(&p, (char *)text.data, NULL), OK);
    assert_int_equal(p.n, HDPATH_MAX);
    text.len--;
    buf_put(&text, "/7", 3);
    assert_int_equal(hdpath_parse(&p, (char *)text.data, NULL), ERR_RANGE);
    buf_clear(&text);
}

static void accounts_have_the_path_of_bip44(void **state)
{
    (void)state;
    const uint32_t want[] = { 44 | H, 236 | H, 3 | H };
    struct hdpath p;
    assert_int_equal(hdpath_account(&p, HDPATH_COIN_BSV, 3, NULL), OK);
    assert_int_equal(p.n, 3);
    assert_memory_equal(p.step, want, sizeof want);
    assert_int_equal(hdpath_account(&p, H, 0, NULL), ERR_RANGE);
    assert_int_equal(hdpath_account(&p, 0, H, NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_read_and_written),
        cmocka_unit_test(bad_paths_are_refused_with_the_step),
        cmocka_unit_test(a_path_has_at_most_255_steps),
        cmocka_unit_test(accounts_have_the_path_of_bip44),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
