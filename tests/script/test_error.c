#include <string.h>

#include "script/error.h"
#include "tests/test.h"

static void numbers_are_those_of_the_reference(void **state)
{
    (void)state;
    assert_int_equal(SCRIPT_OK, 0);
    assert_int_equal(SCRIPT_ERR_EVAL_FALSE, 2);
    assert_int_equal(SCRIPT_ERR_SCRIPTNUM_OVERFLOW, 14);
    assert_int_equal(SCRIPT_ERR_BAD_OPCODE, 21);
    assert_int_equal(SCRIPT_ERR_SIG_HASHTYPE, 30);
    assert_int_equal(SCRIPT_ERR_DISCOURAGE_UPGRADABLE_NOPS, 40);
    assert_int_equal(SCRIPT_ERR_BIG_INT, 45);
    assert_int_equal(SCRIPT_ERR_INVALID_FLAGS, 46);
    assert_int_equal(SCRIPT_ERR_VERDICTS, 47);
}

static void every_verdict_has_its_own_name_and_a_message(void **state)
{
    (void)state;
    for (int i = 0; i < SCRIPT_ERR_VERDICTS; i++) {
        assert_non_null(script_err_name((enum script_err)i));
        assert_true(strlen(script_err_message((enum script_err)i)) > 0);
        assert_true(script_err_is_verdict((enum script_err)i));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(script_err_name((enum script_err)i),
                                    script_err_name((enum script_err)k));
    }
}

static void unfinished_work_is_no_verdict(void **state)
{
    (void)state;
    assert_false(script_err_is_verdict(SCRIPT_ERR_CANCELLED));
    assert_false(script_err_is_verdict(SCRIPT_ERR_NOMEM));
    assert_string_equal(script_err_name(SCRIPT_ERR_CANCELLED), "CANCELLED");
    assert_string_equal(script_err_name(SCRIPT_ERR_NOMEM), "NOMEM");
}

static void messages_are_those_of_reject_reasons(void **state)
{
    (void)state;
    assert_string_equal(script_err_message(SCRIPT_ERR_EVAL_FALSE),
        "Script evaluated without error but finished with a false/empty top stack element");
    assert_string_equal(script_err_message(SCRIPT_ERR_SIG_NULLFAIL),
        "Signature must be zero for failed CHECK(MULTI)SIG operation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_reference),
        cmocka_unit_test(every_verdict_has_its_own_name_and_a_message),
        cmocka_unit_test(unfinished_work_is_no_verdict),
        cmocka_unit_test(messages_are_those_of_reject_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
