#include <string.h>

#include "script/opcode.h"
#include "tests/test.h"

static void bytes_are_those_of_the_protocol(void **state)
{
    (void)state;
    assert_int_equal(OP_NOP, 0x61);
    assert_int_equal(OP_RETURN, 0x6a);
    assert_int_equal(OP_TUCK, 0x7d);
    assert_int_equal(OP_CAT, 0x7e);
    assert_int_equal(OP_SIZE, 0x82);
    assert_int_equal(OP_RESERVED2, 0x8a);
    assert_int_equal(OP_LSHIFT, 0x98);
    assert_int_equal(OP_WITHIN, 0xa5);
    assert_int_equal(OP_HASH160, 0xa9);
    assert_int_equal(OP_CHECKSIG, 0xac);
    assert_int_equal(OP_CHECKMULTISIGVERIFY, 0xaf);
    assert_int_equal(OP_CHECKLOCKTIMEVERIFY, 0xb1);
    assert_int_equal(OP_RSHIFTNUM, 0xb7);
    assert_int_equal(OP_NOP10, 0xb9);
}

static void all_but_pushes_have_a_function(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 256; code++)
        assert_int_equal(opcode_table[code].run != NULL, code > OP_PUSHDATA4);
}

static void only_2mul_and_2div_are_ever_disabled(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 256; code++)
        assert_int_equal(opcode_table[code].enabled_from,
                         code == OP_2MUL || code == OP_2DIV ? SCRIPT_ERA_CHRONICLE
                                                            : SCRIPT_ERA_ORIGINAL);
}

static void conditionals_check_their_stack_themselves(void **state)
{
    (void)state;
    for (unsigned code = OP_IF; code <= OP_ENDIF; code++)
        assert_int_equal(opcode_table[code].min_stack, 0);
}

static void names_are_unique(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < a; b++)
            if (opcode_table[a].name && opcode_table[b].name)
                assert_string_not_equal(opcode_table[a].name, opcode_table[b].name);
    assert_string_equal(opcode_name(0xba), "OP_UNKNOWN");
    assert_string_equal(opcode_name(0xfe), "OP_UNKNOWN");
    assert_string_equal(opcode_name(OP_1NEGATE), "-1");
    assert_string_equal(opcode_name(OP_16), "16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_protocol),
        cmocka_unit_test(all_but_pushes_have_a_function),
        cmocka_unit_test(only_2mul_and_2div_are_ever_disabled),
        cmocka_unit_test(conditionals_check_their_stack_themselves),
        cmocka_unit_test(names_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
