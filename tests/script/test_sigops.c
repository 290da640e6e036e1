#include <string.h>

#include "base/hash.h"
#include "script/build.h"
#include "script/sigops.h"
#include "script/template.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

static uint64_t plain(const char *text)
{
    struct buf b = script_asm(text);
    uint64_t n = sigops_count_script(buf_span(&b));

    buf_clear(&b);
    return n;
}

/* UINT64_MAX for a script that cannot be counted. */
static uint64_t accurate(const char *text, enum script_era era)
{
    struct buf b = script_asm(text);
    uint64_t n;

    if (!sigops_count_accurate(buf_span(&b), era, &n))
        n = UINT64_MAX;
    buf_clear(&b);
    return n;
}

static void plain_count_takes_20_for_a_multisig(void **state)
{
    (void)state;
    assert_int_equal(plain(""), 0);
    assert_int_equal(plain("CHECKSIG CHECKSIGVERIFY"), 2);
    assert_int_equal(plain("2 CHECKMULTISIG 3 CHECKMULTISIGVERIFY"), 40);
    assert_int_equal(plain("0 IF CHECKSIG ENDIF RETURN CHECKSIG"), 2);
}

static void plain_count_stops_at_what_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(plain("CHECKSIG 0x05 0xacac"), 1);
    assert_int_equal(plain("CHECKSIG 0xff CHECKSIG"), 1);
    assert_int_equal(plain("CHECKSIG 0xba CHECKSIG"), 2);
}

static void accurate_count_takes_the_number_of_keys(void **state)
{
    (void)state;
    assert_int_equal(accurate("3 CHECKMULTISIG", SCRIPT_ERA_ORIGINAL), 3);
    assert_int_equal(accurate("16 CHECKMULTISIG CHECKSIG", SCRIPT_ERA_ORIGINAL), 17);
    assert_int_equal(accurate("0 CHECKMULTISIG", SCRIPT_ERA_ORIGINAL), 20);
    assert_int_equal(accurate("NOP CHECKMULTISIG", SCRIPT_ERA_ORIGINAL), 20);
}

static void accurate_count_ends_at_a_return_outside_conditionals(void **state)
{
    (void)state;
    assert_int_equal(accurate("CHECKSIG RETURN CHECKSIG", SCRIPT_ERA_ORIGINAL), 1);
    assert_int_equal(accurate("1 IF RETURN ENDIF CHECKSIG", SCRIPT_ERA_ORIGINAL), 1);
}

static void behaviour_32_unmatched_endif_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(accurate("ENDIF CHECKSIG", SCRIPT_ERA_ORIGINAL), UINT64_MAX);
    assert_int_equal(accurate("1 IF ENDIF ENDIF", SCRIPT_ERA_ORIGINAL), UINT64_MAX);
    assert_int_equal(accurate("1 IF CHECKSIG", SCRIPT_ERA_ORIGINAL), 1);
    assert_int_equal(accurate("VERIF ENDIF CHECKSIG", SCRIPT_ERA_ORIGINAL), 1);
    assert_int_equal(accurate("RETURN ENDIF", SCRIPT_ERA_ORIGINAL), 0);
}

static void policy_count_reads_longer_key_counts(void **state)
{
    (void)state;
    assert_int_equal(accurate("0x02 0xe803 CHECKMULTISIG", SCRIPT_ERA_GENESIS), 1000);
    assert_int_equal(accurate("0x02 0xe883 CHECKMULTISIG", SCRIPT_ERA_GENESIS), UINT64_MAX);
    assert_int_equal(accurate("0x02 0x0100 CHECKMULTISIG", SCRIPT_ERA_GENESIS), UINT64_MAX);
    assert_int_equal(accurate("0x05 0x0100000001 CHECKMULTISIG", SCRIPT_ERA_GENESIS), UINT64_MAX);
    assert_int_equal(accurate("0 CHECKMULTISIG", SCRIPT_ERA_GENESIS), 0);
}

static uint64_t p2sh_count(const char *before, const char *redeem_text, enum script_era era)
{
    struct buf sig = script_asm(before), redeem = script_asm(redeem_text);
    uint8_t hash[20], lock[SCRIPT_P2SH_SIZE];
    uint64_t n;

    hash160(hash, redeem.data, redeem.len);
    script_make_p2sh(lock, hash);
    script_put_data(&sig, redeem.data, redeem.len);
    if (!sigops_count_p2sh(buf_span(&sig), span_of(lock, sizeof(lock)), era, &n))
        n = UINT64_MAX;
    buf_clear(&sig);
    buf_clear(&redeem);
    return n;
}

static void redeem_scripts_count_for_old_coins(void **state)
{
    (void)state;
    assert_int_equal(p2sh_count("0 1", "2 CHECKMULTISIG", SCRIPT_ERA_ORIGINAL), 2);
    assert_int_equal(p2sh_count("0 1", "2 CHECKMULTISIG", SCRIPT_ERA_GENESIS), 0);
    assert_int_equal(p2sh_count("NOP", "2 CHECKMULTISIG", SCRIPT_ERA_ORIGINAL), 0);
    assert_int_equal(p2sh_count("", "ENDIF CHECKSIG", SCRIPT_ERA_ORIGINAL), UINT64_MAX);
}

static void a_transaction_counts_inputs_and_outputs(void **state)
{
    struct buf unlock = script_asm("CHECKSIG"), lock = script_asm("1");
    struct spend s;

    (void)state;
    spend_init(&s, 1, buf_span(&unlock), buf_span(&lock), 0, 0);
    assert_int_equal(sigops_count_tx(s.tx), 1);
    spend_clear(&s);
    buf_clear(&unlock);
    buf_clear(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_count_takes_20_for_a_multisig),
        cmocka_unit_test(plain_count_stops_at_what_cannot_be_read),
        cmocka_unit_test(accurate_count_takes_the_number_of_keys),
        cmocka_unit_test(accurate_count_ends_at_a_return_outside_conditionals),
        cmocka_unit_test(behaviour_32_unmatched_endif_is_an_error),
        cmocka_unit_test(policy_count_reads_longer_key_counts),
        cmocka_unit_test(redeem_scripts_count_for_old_coins),
        cmocka_unit_test(a_transaction_counts_inputs_and_outputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
