#include <string.h>

#include "script/disasm.h"
#include "tests/test.h"

static void expect_text(const char *hex, enum script_disasm mode, const char *expected)
{
    struct buf script = unhex(hex), out;

    buf_init(&out);
    script_disassemble(&out, buf_span(&script), mode);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data, expected);
    buf_clear(&out);
    buf_clear(&script);
}

static void opcodes_have_their_names(void **state)
{
    (void)state;
    expect_text("76a91400112233445566778899aabbccddeeff0011223388ac", SCRIPT_DISASM_PLAIN,
                "OP_DUP OP_HASH160 00112233445566778899aabbccddeeff00112233 OP_EQUALVERIFY "
                "OP_CHECKSIG");
    expect_text("b1b2b3baff", SCRIPT_DISASM_PLAIN,
                "OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY OP_SUBSTR OP_UNKNOWN "
                "OP_INVALIDOPCODE");
}

static void an_empty_script_has_no_text(void **state)
{
    (void)state;
    expect_text("", SCRIPT_DISASM_PLAIN, "");
}

static void short_pushes_are_decimal_numbers(void **state)
{
    (void)state;
    expect_text("00514f600164010204ffffffff", SCRIPT_DISASM_PLAIN, "0 1 -1 16 100 2 -2147483647");
    expect_text("050102030405", SCRIPT_DISASM_PLAIN, "0102030405");
}

static void a_cut_push_is_an_error(void **state)
{
    (void)state;
    expect_text("5105aabb", SCRIPT_DISASM_PLAIN, "1 [error]");
}

#define SIG_BODY "3006020101020101"

static void signatures_show_their_hash_type(void **state)
{
    (void)state;
    expect_text("09" SIG_BODY "41", SCRIPT_DISASM_SIGNATURES, SIG_BODY "[ALL|FORKID]");
    expect_text("09" SIG_BODY "c3", SCRIPT_DISASM_SIGNATURES,
                SIG_BODY "[SINGLE|FORKID|ANYONECANPAY]");
    expect_text("09" SIG_BODY "02", SCRIPT_DISASM_SIGNATURES, SIG_BODY "[NONE]");
    expect_text("09" SIG_BODY "41", SCRIPT_DISASM_PLAIN, SIG_BODY "41");
}

static void data_after_return_is_no_signature(void **state)
{
    (void)state;
    expect_text("6a09" SIG_BODY "41", SCRIPT_DISASM_SIGNATURES, "OP_RETURN " SIG_BODY "41");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opcodes_have_their_names),
        cmocka_unit_test(an_empty_script_has_no_text),
        cmocka_unit_test(short_pushes_are_decimal_numbers),
        cmocka_unit_test(a_cut_push_is_an_error),
        cmocka_unit_test(signatures_show_their_hash_type),
        cmocka_unit_test(data_after_return_is_no_signature),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
