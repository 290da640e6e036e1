#include "bca/cli_output.h"

#include <stdio.h>

#include "tests/test.h"

static const uint8_t two[64] = { [0] = 0xab, [31] = 1, [32] = 2 };

/* All kinds of values in one record. */
static void fill(struct cli_record *r, bool json)
{
    static const uint8_t address[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 1 };
    cli_record_init(r, json);
    cli_put_text(r, "word", "valid");
    cli_put_text(r, "absent", NULL);
    cli_put_number(r, "number", -5);
    cli_put_null(r, "nothing");
    cli_put_bool(r, "yes", true);
    cli_put_hex(r, "bytes", two, 2);
    cli_put_address(r, "address", address);
    cli_put_siblings(r, "none", two, 0);
}

static void assert_text(struct cli_record *r, const char *want)
{
    buf_put_u8(&r->text, 0);
    assert_string_equal((const char *)r->text.data, want);
    buf_clear(&r->text);
}

static void an_object_has_all_names(void **state)
{
    (void)state;
    struct cli_record r;
    fill(&r, true);
    assert_text(&r, "{\"word\":\"valid\",\"absent\":null,\"number\":-5,\"nothing\":null,"
                    "\"yes\":true,\"bytes\":\"ab00\",\"address\":\"2001:db8::1\",\"none\":[]");
}

static void lines_leave_out_what_is_not_known(void **state)
{
    (void)state;
    struct cli_record r;
    fill(&r, false);
    assert_text(&r, "word: valid\nnumber: -5\nyes: true\nbytes: ab00\n"
                    "address: 2001:db8::1\nnone: ");
}

static void hashes_are_reversed_and_siblings_are_not(void **state)
{
    (void)state;
    struct cli_record r;
    char first[65], second[65], want[400];
    hex_encode(first, two, 32);
    hex_encode(second, two + 32, 32);
    cli_record_init(&r, true);
    cli_put_siblings(&r, "s", two, 2);
    snprintf(want, sizeof want, "{\"s\":[\"%s\",\"%s\"]", first, second);
    assert_text(&r, want);
    cli_record_init(&r, false);
    cli_put_hash(&r, "h", two);
    assert_memory_equal(r.text.data, "h: 01000000", 11);
    assert_memory_equal(r.text.data + r.text.len - 4, "00ab", 4);
    buf_clear(&r.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_has_all_names),
        cmocka_unit_test(lines_leave_out_what_is_not_known),
        cmocka_unit_test(hashes_are_reversed_and_siblings_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
