#include "script/encoding.h"
#include "tests/test.h"

static bool der(const char *hex)
{
    struct buf sig = unhex(hex);
    bool ok = script_sig_is_strict_der(buf_span(&sig));

    buf_clear(&sig);
    return ok;
}

static bool strict_key(const char *hex)
{
    struct buf key = unhex(hex);
    bool ok = script_key_is_strict(buf_span(&key));

    buf_clear(&key);
    return ok;
}

static void shortest_signature_is_strict(void **state)
{
    (void)state;
    assert_true(der("300602010102010141"));
}

static void signature_faults_are_found(void **state)
{
    (void)state;
    assert_false(der(""));
    assert_false(der("3006020101020141"));           /* too short */
    assert_false(der("310602010102010141"));         /* no sequence */
    assert_false(der("300702010102010141"));         /* wrong length */
    assert_false(der("300603010102010141"));         /* R is no integer */
    assert_false(der("300602010103010141"));         /* S is no integer */
    assert_false(der("300602018102010141"));         /* negative R */
    assert_false(der("300602010102018141"));         /* negative S */
    assert_false(der("30070202000102010141"));       /* padded R */
    assert_false(der("30070201010202000141"));       /* padded S */
    assert_false(der("3006020002020101" "41"));      /* empty R */
    assert_false(der("3006020201010200" "41"));      /* empty S */
    assert_false(der("300602ff0102010141"));         /* R reaches past the end */
    assert_true(der("3008020200800202008041"));      /* zeros that are needed */
}

static void hash_types_are_one_two_or_three(void **state)
{
    (void)state;
    assert_true(script_hash_type_is_defined(0x01));
    assert_true(script_hash_type_is_defined(0xe3));
    assert_false(script_hash_type_is_defined(0x00));
    assert_false(script_hash_type_is_defined(0x40));
    assert_false(script_hash_type_is_defined(0x44));
    assert_false(script_hash_type_is_defined(0x11));
}

#define X "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

static void keys_are_compressed_or_plain(void **state)
{
    (void)state;
    assert_true(strict_key("02" X));
    assert_true(strict_key("03" X));
    assert_true(strict_key("04" X X));
    assert_false(strict_key("06" X X));
    assert_false(strict_key("07" X X));
    assert_false(strict_key("04" X));
    assert_false(strict_key("02" X X));
    assert_false(strict_key(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_signature_is_strict),
        cmocka_unit_test(signature_faults_are_found),
        cmocka_unit_test(hash_types_are_one_two_or_three),
        cmocka_unit_test(keys_are_compressed_or_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
