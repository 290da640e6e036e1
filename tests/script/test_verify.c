#include <string.h>

#include "base/ec.h"
#include "script/sigcache.h"
#include "tests/script/script_sign.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

#define EXPECT(err, call) assert_string_equal(script_err_name(call), #err)
#define GENESIS_COIN SCRIPT_UTXO_AFTER_GENESIS

static void consensus_limits_are_those_of_the_reference(void **state)
{
    struct script_limits l = script_limits_consensus(0);

    (void)state;
    assert_int_equal(l.script_size, 4294967295);
    assert_int_equal(l.ops, 4294967295);
    assert_int_equal(l.num_bytes_genesis, 750000);
    assert_int_equal(l.num_bytes_chronicle, 32000000);
    assert_true(l.stack_memory == INT64_MAX);
    assert_int_equal(script_limits_consensus(5000).stack_memory, 5000);
}

static void zero_in_a_policy_means_the_consensus_value(void **state)
{
    struct script_policy p = script_policy_default();
    struct script_limits l = script_limits_policy(&p);

    (void)state;
    assert_int_equal(l.script_size, 500000);
    assert_int_equal(l.num_bytes_genesis, 10000);
    assert_int_equal(l.num_bytes_chronicle, 10000);
    assert_int_equal(l.stack_memory, 100000000);
    p = (struct script_policy){ 0 };
    l = script_limits_policy(&p);
    assert_int_equal(l.num_bytes_genesis, 750000);
    assert_int_equal(l.num_bytes_chronicle, 32000000);
    assert_int_equal(l.script_size, 4294967295);
}

static void chronicle_coin_without_genesis_is_an_error(void **state)
{
    (void)state;
    EXPECT(INVALID_FLAGS, run_text("1", "1", SCRIPT_UTXO_AFTER_CHRONICLE));
}

static void a_set_token_gives_no_verdict(void **state)
{
    struct buf lock = script_asm("1");
    struct cancel cancel;
    struct spend s;

    (void)state;
    cancel_init(&cancel);
    spend_init(&s, 1, span_of("", 0), buf_span(&lock), 0, GENESIS_COIN);
    s.in.cancel = &cancel;
    EXPECT(OK, spend_run(&s));
    cancel_set(&cancel);
    EXPECT(CANCELLED, spend_run(&s));
    spend_clear(&s);
    buf_clear(&lock);
}

static enum script_err under_memory(const char *unlock, const char *lock, uint64_t bytes)
{
    struct buf sig = script_asm(unlock), key = script_asm(lock);
    struct spend s;

    spend_init(&s, 1, buf_span(&sig), buf_span(&key), 0,
               GENESIS_COIN | SCRIPT_UTXO_AFTER_CHRONICLE);
    s.limits = script_limits_consensus(bytes);
    enum script_err err = spend_run(&s);
    spend_clear(&s);
    buf_clear(&sig);
    buf_clear(&key);
    return err;
}

/* The least memory under which a script passes, and one byte less: attacks A12. */
static void needs(const char *unlock, const char *lock, uint64_t bytes)
{
    EXPECT(OK, under_memory(unlock, lock, bytes));
    EXPECT(STACK_SIZE, under_memory(unlock, lock, bytes - 1));
}

static void every_growing_opcode_is_counted(void **state)
{
    (void)state;
    needs("1", "", 33);
    needs("'abc'", "DUP", 70);
    needs("'abc'", "IFDUP", 70);
    needs("1 2", "2DUP", 132);
    needs("1 2 3", "3DUP", 198);
    needs("1 2 3 4", "2OVER", 198);
    needs("1 2", "OVER", 99);
    needs("1 2", "TUCK", 99);
    needs("1 'abc'", "DEPTH", 101);
    needs("'abc'", "SIZE", 68);
    needs("'abcdef' 0", "PICK", 76);
    needs("1", "SHA256", 64);
    needs("1", "HASH160", 52);
    needs("1 40", "NUM2BIN", 72);
    needs("'abc' 1", "SPLIT", 68);
    needs("0x02 0xff7f", "1ADD", 35);
    needs("1 100", "LSHIFTNUM", 66);
    needs("", "VER", 36);
    needs("'abc' TOALTSTACK 1", "1", 101);
}

static void shrinking_opcodes_need_no_room(void **state)
{
    (void)state;
    needs("'abc' 'def'", "CAT", 70);
    needs("'abcdef' 2", "LEFT", 71);
    needs("1 2", "ADD", 66);
    needs("1 2", "TOALTSTACK FROMALTSTACK", 66);
    needs("'abc' 'abd'", "XOR", 70);
    needs("1 2 3", "ROT", 99);
}

static void a_cached_signature_is_not_checked_again(void **state)
{
    struct sigcache *cache = sigcache_new(4096);
    struct buf lock = key_lock(1, "");
    struct signing sign = {
        .version = 1, .hash_type = 0x41, .code = buf_span(&lock),
        .flags = flags_at(BLOCK_G, BLOCK_G),
    };
    struct buf sig = sign_spend(buf_span(&lock), &sign), unlock;
    struct spend s;

    (void)state;
    buf_init(&unlock);
    buf_put_var_bytes(&unlock, sig.data, sig.len);
    spend_init(&s, 1, buf_span(&unlock), buf_span(&lock), 0, sign.flags);
    s.in.sigcache = cache;
    EXPECT(OK, spend_run(&s));
    assert_int_equal(sigcache_stats_get(cache).hits, 0);
    EXPECT(OK, spend_run(&s));
    assert_int_equal(sigcache_stats_get(cache).hits, 1);
    s.in.amount = 1; /* another digest: the cache does not help */
    EXPECT(SIG_NULLFAIL, spend_run(&s));
    EXPECT(SIG_NULLFAIL, spend_run(&s));
    assert_int_equal(sigcache_stats_get(cache).hits, 1);
    spend_clear(&s);
    buf_clear(&sig);
    buf_clear(&unlock);
    buf_clear(&lock);
    sigcache_free(cache);
}

static void alternate_stack_does_not_cross_scripts(void **state)
{
    (void)state;
    EXPECT(INVALID_ALTSTACK_OPERATION, run_text("1 TOALTSTACK", "FROMALTSTACK", 0));
}

static void conditionals_do_not_cross_scripts(void **state)
{
    (void)state;
    EXPECT(UNBALANCED_CONDITIONAL, run_text("1 1 IF", "ENDIF", 0));
    EXPECT(UNBALANCED_CONDITIONAL, run_text("1", "ENDIF 1", 0));
}

static void operation_count_starts_again_with_each_script(void **state)
{
    struct buf nops, spend_nops;

    (void)state;
    buf_init(&nops);
    for (int i = 0; i < 500; i++)
        buf_put_u8(&nops, 0x61);
    buf_init(&spend_nops);
    buf_put_u8(&spend_nops, 0x51);
    buf_put(&spend_nops, nops.data, nops.len);
    struct spend s;
    spend_init(&s, 1, buf_span(&spend_nops), buf_span(&nops), 0, 0);
    EXPECT(OK, spend_run(&s));
    spend_clear(&s);
    buf_clear(&nops);
    buf_clear(&spend_nops);
}

static void deep_conditionals_are_followed(void **state)
{
    struct buf lock = script_asm("1 0 IF");
    struct spend s;

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_put_u8(&lock, 0x63);
    for (int i = 0; i < 100000; i++)
        buf_put_u8(&lock, 0x68);
    buf_put_u8(&lock, 0x68);
    spend_init(&s, 1, span_of("", 0), buf_span(&lock), 0, GENESIS_COIN);
    EXPECT(OK, spend_run(&s));
    spend_clear(&s);
    buf_clear(&lock);
}

/* The opcode reads the version as unsigned, unlike the rule on malleability (spec consensus
 * 4.5). */
static void a_sequence_lock_takes_a_negative_version_for_a_large_one(void **state)
{
    struct buf lock = script_asm("3 CHECKSEQUENCEVERIFY");
    const struct { int32_t version; uint32_t sequence; enum script_err err; } rows[] = {
        { -1, 3, SCRIPT_OK }, { INT32_MIN, 3, SCRIPT_OK }, { 2, 3, SCRIPT_OK },
        { -1, 2, SCRIPT_ERR_UNSATISFIED_LOCKTIME }, { 1, 3, SCRIPT_ERR_UNSATISFIED_LOCKTIME },
        { 0, 3, SCRIPT_ERR_UNSATISFIED_LOCKTIME },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spend s;
        spend_init(&s, rows[i].version, span_of(NULL, 0), buf_span(&lock), 0, SCRIPT_CSV);
        s.tx->in[0].sequence = rows[i].sequence;
        assert_int_equal(spend_run(&s), rows[i].err);
        spend_clear(&s);
    }
    buf_clear(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consensus_limits_are_those_of_the_reference),
        cmocka_unit_test(zero_in_a_policy_means_the_consensus_value),
        cmocka_unit_test(chronicle_coin_without_genesis_is_an_error),
        cmocka_unit_test(a_set_token_gives_no_verdict),
        cmocka_unit_test(every_growing_opcode_is_counted),
        cmocka_unit_test(shrinking_opcodes_need_no_room),
        cmocka_unit_test(a_cached_signature_is_not_checked_again),
        cmocka_unit_test(alternate_stack_does_not_cross_scripts),
        cmocka_unit_test(conditionals_do_not_cross_scripts),
        cmocka_unit_test(operation_count_starts_again_with_each_script),
        cmocka_unit_test(deep_conditionals_are_followed),
        cmocka_unit_test(a_sequence_lock_takes_a_negative_version_for_a_large_one),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
