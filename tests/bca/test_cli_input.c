#include "bca/cli_input.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/test.h"

static enum err read_text(const char *text, size_t limit, struct buf *out)
{
    buf_init(out);
    return cli_read_bytes("value", text, limit, out, NULL);
}

static void assert_reads(const char *text, const char *want, size_t len)
{
    struct buf got;
    assert_int_equal(read_text(text, 8, &got), OK);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data ? got.data : (const uint8_t *)"", want, len);
    buf_clear(&got);
}

static void assert_refuses(const char *text, enum err code)
{
    struct buf got;
    assert_int_equal(read_text(text, 8, &got), code);
    buf_clear(&got);
}

static void digits_are_bytes_within_the_limit(void **state)
{
    (void)state;
    assert_reads("00ffA5", "\x00\xff\xa5", 3);
    assert_reads("", "", 0);
    assert_reads("0102030405060708", "\1\2\3\4\5\6\7\x08", 8);
    assert_refuses("010203040506070809", ERR_RANGE);
    assert_refuses("012", ERR_PARSE);
    assert_refuses("0g", ERR_PARSE);
    assert_refuses("01 02", ERR_PARSE);
}

static void files_hold_digits_or_the_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        size_t size;
        const char *want;
        size_t len;
    } rows[] = {
        { "01 02\n03\r\n", 10, "\1\2\3", 3 },
        { "\1\2\3", 3, "\1\2\3", 3 },
        { "\0ab", 3, "\0ab", 3 },
        { "", 0, "", 0 },
        { "\n", 1, "", 0 },
    };
    char *dir = test_dir_make(), *path = path_join(dir, "f"), *at = xasprintf("@%s", path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(file_replace(path, rows[i].content, rows[i].size, NULL), OK);
        assert_reads(at, rows[i].want, rows[i].len);
    }
    assert_int_equal(file_replace(path, "01x", 3, NULL), OK);
    assert_refuses(at, ERR_PARSE);
    assert_int_equal(file_replace(path, "\1\2\3\4\5\6\7\1\2", 9, NULL), OK);
    assert_refuses(at, ERR_RANGE);
    assert_int_equal(path_remove(path, NULL), OK);
    assert_refuses(at, ERR_NOTFOUND);
    free(at);
    free(path);
    test_dir_remove(dir);
}

static void errors_name_the_value_and_not_what_it_holds(void **state)
{
    (void)state;
    struct error e = { .code = OK };
    uint8_t out[4];
    assert_int_equal(cli_read_exact("option seed", "5ec4e7", out, 4, &e), ERR_RANGE);
    assert_string_equal(e.text, "option seed: 3 bytes where 4 are needed");
    assert_int_equal(cli_read_exact("option seed", "5ec4e75z", out, 4, &e), ERR_PARSE);
    assert_null(strstr(e.text, "5ec4"));
    assert_int_equal(cli_read_exact("option seed", "5ec4e750", out, 4, &e), OK);
    assert_memory_equal(out, "\x5e\xc4\xe7\x50", 4);
}

static void addresses_and_prefixes_come_as_text_or_digits(void **state)
{
    (void)state;
    uint8_t address[16], prefix[8];
    assert_int_equal(cli_read_address("2001:db8::1", address, NULL), OK);
    assert_int_equal(address[15], 1);
    assert_int_equal(cli_read_address("20010db8000000000000000000000002", address, NULL), OK);
    assert_int_equal(address[15], 2);
    static const char *const bad[] = { "", "::1/64", "127.0.0.1", "20010db8", "2001:db8::g" };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(cli_read_address(bad[i], address, NULL), ERR_PARSE);

    static const char *const good[] = { "2001:db8:0:1::", "2001:db8:0:1::/64", "20010db800000001" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cli_read_prefix(good[i], prefix, NULL), OK);
        assert_memory_equal(prefix, "\x20\x01\x0d\xb8\0\0\0\x01", 8);
    }
    static const char *const wrong[] = { "2001:db8::/48", "2001:db8::1/64", "2001:db8::/640", "",
                                         "/64", "2001:db8:0:1", "20010db80000000g" };
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(cli_read_prefix(wrong[i], prefix, NULL), ERR_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_bytes_within_the_limit),
        cmocka_unit_test(files_hold_digits_or_the_bytes),
        cmocka_unit_test(errors_name_the_value_and_not_what_it_holds),
        cmocka_unit_test(addresses_and_prefixes_come_as_text_or_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
