/* spec/consensus-tests.md part D: numbers 70 to 78, signature hashes. */
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "script/build.h"
#include "script/opcode.h"
#include "tests/script/script_sign.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

#define EXPECT(err, call) assert_string_equal(script_err_name(call), #err)

static enum script_err with_type(uint8_t hash_type, int32_t version, int32_t block, int32_t coin)
{
    struct signing s = { .version = version, .hash_type = hash_type };

    return run_signed("", &s, flags_at(block, coin));
}

static void behaviour_70_hash_types_around_chronicle(void **state)
{
    const int32_t before = 943815, from = 943816;

    (void)state;
    EXPECT(OK, with_type(0x41, 1, before, BLOCK_G));
    EXPECT(ILLEGAL_CHRONICLE, with_type(0x61, 1, before, BLOCK_G));
    EXPECT(ILLEGAL_CHRONICLE, with_type(0x21, 1, before, BLOCK_G));
    EXPECT(MUST_USE_FORKID, with_type(0x01, 1, before, BLOCK_G));
    EXPECT(OK, with_type(0x41, 1, from, BLOCK_G));
    EXPECT(OK, with_type(0x61, 1, from, BLOCK_G));
    EXPECT(MUST_USE_FORKID, with_type(0x21, 1, from, BLOCK_G));
    EXPECT(MUST_USE_FORKID, with_type(0x01, 1, from, BLOCK_G));
    assert_int_equal(sighash_form_of(0x61, flags_at(from, BLOCK_G)), SIGHASH_FORM_ORIGINAL);
    assert_int_equal(sighash_form_of(0x41, flags_at(from, BLOCK_G)), SIGHASH_FORM_BIP143);
}

static void behaviour_71_otda_needs_neither_version_nor_new_coins(void **state)
{
    (void)state;
    EXPECT(OK, with_type(0x61, 1, BLOCK_C, BLOCK_P));
    EXPECT(OK, with_type(0x61, 2, BLOCK_C, BLOCK_P));
    EXPECT(OK, with_type(0x61, 1, BLOCK_C, BLOCK_C));
}

/* ---- a transaction of several inputs and outputs ---- */

struct many {
    struct tx *tx;
    struct buf lock;
};

static void many_init(struct many *m, size_t n_in, size_t n_out)
{
    struct buf b;

    m->lock = key_lock(1, "");
    buf_init(&b);
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n_in);
    for (size_t i = 0; i < n_in; i++) {
        uint8_t id[32] = { (uint8_t)(i + 1), (uint8_t)(i >> 8) };
        buf_put(&b, id, 32);
        buf_put_le32(&b, (uint32_t)i);
        buf_put_compact(&b, 0);
        buf_put_le32(&b, TX_SEQUENCE_FINAL - (uint32_t)i);
    }
    buf_put_compact(&b, n_out);
    for (size_t i = 0; i < n_out; i++) {
        buf_put_le64(&b, 1000 + i);
        buf_put_var_bytes(&b, "\x51", 1);
    }
    buf_put_le32(&b, 0);
    m->tx = tx_new(b.data, b.len, NULL);
    assert_non_null(m->tx);
    buf_clear(&b);
}

static void many_clear(struct many *m)
{
    tx_unref(m->tx);
    buf_clear(&m->lock);
}

static struct buf many_sign(const struct many *m, size_t index, uint8_t hash_type, int64_t amount)
{
    struct sighash_request r = {
        .code = buf_span(&m->lock), .index = index, .amount = amount, .hash_type = hash_type,
    };
    struct sighash_cache cache;
    uint8_t digest[32], secret[32] = { [31] = 1 }, der[72];
    struct buf unlock;

    sighash_cache_init(&cache, m->tx);
    if (sighash_form_of(hash_type, flags_at(BLOCK_C, BLOCK_C)) == SIGHASH_FORM_BIP143)
        assert_int_equal(sighash_bip143(&cache, &r, digest), SCRIPT_OK);
    else
        assert_int_equal(sighash_original(&cache, &r, digest), SCRIPT_OK);
    sighash_cache_clear(&cache);
    size_t len = ec_sign_der(der, secret, digest);
    buf_init(&unlock);
    buf_put_u8(&unlock, (uint8_t)(len + 1));
    buf_put(&unlock, der, len);
    buf_put_u8(&unlock, hash_type);
    return unlock;
}

/* Puts the unlocking scripts into a new transaction and runs one input of it. */
static enum script_err many_run(const struct many *m, const struct buf *unlocks, size_t index,
                                int64_t amount)
{
    struct script_limits limits = script_limits_consensus(0);
    struct tx_in inputs[4];
    struct tx copy = *m->tx;
    struct buf raw;

    assert_true(copy.n_in <= 4);
    memcpy(inputs, copy.in, copy.n_in * sizeof(inputs[0]));
    for (size_t i = 0; i < copy.n_in; i++)
        inputs[i].script = buf_span(&unlocks[i]);
    copy.in = inputs;
    buf_init(&raw);
    tx_write(&raw, &copy);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    struct script_input in = {
        .tx = tx, .index = index, .script_pubkey = buf_span(&m->lock), .amount = amount,
        .flags = flags_at(BLOCK_C, BLOCK_C), .limits = &limits,
    };
    enum script_err err = script_verify(&in);
    tx_unref(tx);
    buf_clear(&raw);
    return err;
}

static void behaviour_72_forms_may_be_mixed_in_one_transaction(void **state)
{
    struct many m;
    struct buf unlocks[2];

    (void)state;
    many_init(&m, 2, 2);
    unlocks[0] = many_sign(&m, 0, 0x41, 7);
    unlocks[1] = many_sign(&m, 1, 0x61, 8);
    EXPECT(OK, many_run(&m, unlocks, 0, 7));
    EXPECT(OK, many_run(&m, unlocks, 1, 8));
    buf_clear(&unlocks[0]);
    buf_clear(&unlocks[1]);
    many_clear(&m);
}

static void behaviour_73_single_without_an_output(void **state)
{
    static const uint8_t one[32] = { 1 };
    struct many m;
    struct buf unlocks[2];
    struct sighash_cache cache;
    uint8_t digest[32];

    (void)state;
    many_init(&m, 2, 1);
    struct sighash_request r = { .code = buf_span(&m.lock), .index = 1, .hash_type = 0x63 };
    sighash_cache_init(&cache, m.tx);
    assert_int_equal(sighash_original(&cache, &r, digest), SCRIPT_OK);
    assert_memory_equal(digest, one, 32);
    sighash_cache_clear(&cache);
    unlocks[0] = many_sign(&m, 0, 0x63, 0);
    unlocks[1] = many_sign(&m, 1, 0x63, 0);
    EXPECT(OK, many_run(&m, unlocks, 1, 0));
    buf_clear(&unlocks[1]);
    unlocks[1] = many_sign(&m, 1, 0x43, 0);
    EXPECT(OK, many_run(&m, unlocks, 1, 0));
    buf_clear(&unlocks[0]);
    buf_clear(&unlocks[1]);
    many_clear(&m);
}

/* The BIP143 form of one input spelled out, to see that hashOutputs is zero. */
static void behaviour_73_single_without_an_output_hashes_zero(void **state)
{
    struct many m;
    struct sighash_cache cache;
    struct buf image, part;
    uint8_t digest[32], expected[32], hash[32], zero[32] = { 0 };

    (void)state;
    many_init(&m, 2, 1);
    buf_init(&image);
    buf_init(&part);
    buf_put_le32(&image, 1);
    for (int i = 0; i < 2; i++) {
        buf_put(&part, m.tx->in[i].prevout.txid.b, 32);
        buf_put_le32(&part, m.tx->in[i].prevout.index);
    }
    sha256d(hash, part.data, part.len);
    buf_put(&image, hash, 32);
    buf_put(&image, zero, 32);
    buf_put(&image, part.data + 36, 36);
    buf_put_var_bytes(&image, m.lock.data, m.lock.len);
    buf_put_le64(&image, 99);
    buf_put_le32(&image, m.tx->in[1].sequence);
    buf_put(&image, zero, 32);
    buf_put_le32(&image, 0);
    buf_put_le32(&image, 0x43);
    sha256d(expected, image.data, image.len);
    struct sighash_request r = {
        .code = buf_span(&m.lock), .index = 1, .hash_type = 0x43, .amount = 99,
    };
    sighash_cache_init(&cache, m.tx);
    assert_int_equal(sighash_bip143(&cache, &r, digest), SCRIPT_OK);
    assert_memory_equal(digest, expected, 32);
    sighash_cache_clear(&cache);
    buf_clear(&image);
    buf_clear(&part);
    many_clear(&m);
}

/* Signs `code_text` after the key and CHECKSIG where the lock has `lock_text` there. */
static enum script_err sign_other_code(uint8_t hash_type, const char *lock_text,
                                       const char *code_text)
{
    struct buf code = key_lock(1, code_text);
    struct signing s = { .version = 1, .hash_type = hash_type, .code = buf_span(&code) };
    enum script_err err = run_signed(lock_text, &s, flags_at(BLOCK_C, BLOCK_C));

    buf_clear(&code);
    return err;
}

static void behaviour_74_codeseparator_after_checksig(void **state)
{
    (void)state;
    EXPECT(OK, sign_other_code(0x41, "CODESEPARATOR", "CODESEPARATOR"));
    EXPECT(SIG_NULLFAIL, sign_other_code(0x41, "CODESEPARATOR", ""));
    EXPECT(OK, sign_other_code(0x61, "CODESEPARATOR", "CODESEPARATOR"));
    EXPECT(OK, sign_other_code(0x61, "CODESEPARATOR", ""));
}

/* The original form of the transaction that spend_init makes, with this as its own input's code. */
static void original_digest(const struct tx *tx, const void *written, size_t written_len,
                            uint64_t claimed_len, uint8_t out[32])
{
    struct buf image;

    buf_init(&image);
    buf_put_le32(&image, (uint32_t)tx->version);
    buf_put_compact(&image, 1);
    buf_put(&image, tx->in[0].prevout.txid.b, 32);
    buf_put_le32(&image, tx->in[0].prevout.index);
    buf_put_compact(&image, claimed_len);
    buf_put(&image, written, written_len);
    buf_put_le32(&image, tx->in[0].sequence);
    buf_put_compact(&image, 1);
    buf_put_le64(&image, (uint64_t)tx->out[0].value);
    buf_put_var_bytes(&image, tx->out[0].script.data, tx->out[0].script.len);
    buf_put_le32(&image, tx->lock_time);
    buf_put_le32(&image, 0x61);
    sha256d(out, image.data, image.len);
    buf_clear(&image);
}

static void behaviour_75_otda_over_a_cut_push_after_return(void **state)
{
    struct buf lock = key_lock(1, "RETURN 0x4cff0102"), unlock;
    uint8_t expected[32], digest[32], secret[32] = { [31] = 1 }, der[72];
    struct sighash_cache cache;
    struct spend s;

    (void)state;
    spend_init(&s, 1, span_of("", 0), buf_span(&lock), 5, flags_at(BLOCK_C, BLOCK_C));
    struct sighash_request r = { .code = buf_span(&lock), .hash_type = 0x61 };
    sighash_cache_init(&cache, s.tx);
    assert_int_equal(sighash_original(&cache, &r, digest), SCRIPT_OK);
    original_digest(s.tx, lock.data, lock.len - 2, lock.len, expected);
    assert_memory_equal(digest, expected, 32);
    sighash_cache_clear(&cache);
    spend_clear(&s);

    buf_init(&unlock);
    size_t len = ec_sign_der(der, secret, expected);
    buf_put_u8(&unlock, (uint8_t)(len + 1));
    buf_put(&unlock, der, len);
    buf_put_u8(&unlock, 0x61);
    spend_init(&s, 1, buf_span(&unlock), buf_span(&lock), 5, flags_at(BLOCK_C, BLOCK_C));
    EXPECT(OK, spend_run(&s));
    spend_clear(&s);
    buf_clear(&unlock);
    buf_clear(&lock);
}

static void behaviour_75_separators_vanish_from_data_after_return(void **state)
{
    struct buf lock = key_lock(1, "RETURN 0xab 0x51 0xab 0x02ab"), kept = key_lock(1, "RETURN 1");
    uint8_t expected[32], digest[32];
    struct sighash_cache cache;
    struct spend s;

    (void)state;
    spend_init(&s, 1, span_of("", 0), buf_span(&lock), 5, 0);
    struct sighash_request r = { .code = buf_span(&lock), .hash_type = 0x61 };
    sighash_cache_init(&cache, s.tx);
    assert_int_equal(sighash_original(&cache, &r, digest), SCRIPT_OK);
    /* two separators at opcode positions; the cut push leaves its opcode and no data */
    buf_put_u8(&kept, 0x02);
    original_digest(s.tx, kept.data, kept.len, lock.len - 2, expected);
    assert_memory_equal(digest, expected, 32);
    sighash_cache_clear(&cache);
    spend_clear(&s);
    buf_clear(&lock);
    buf_clear(&kept);
}

/* <sig> 's own push inside the locking script: lock = "<sig> DROP <key> CHECKSIG". */
static enum script_err embedded(uint8_t hash_type, int32_t block, bool code_without_sig)
{
    struct buf key = key_lock(1, ""), rest = script_asm("DROP"), plain, lock, unlock;
    struct signing s = { .version = 1, .hash_type = hash_type, .flags = flags_at(block, BLOCK_P) };
    struct spend spend;

    buf_init(&plain);
    buf_init(&lock);
    buf_init(&unlock);
    buf_put(&plain, rest.data, rest.len);
    buf_put(&plain, key.data, key.len);
    s.code = buf_span(&plain);
    /*
     * The spent transaction's id depends on the lock and the lock on the signature: sign for one
     * lock, and run a transaction that still names it while the lock with the signature is given.
     */
    struct buf sig = sign_spend(buf_span(&plain), &s);
    script_put_data(&lock, sig.data, sig.len);
    buf_put(&lock, plain.data, plain.len);
    script_put_data(&unlock, sig.data, sig.len);
    spend_init(&spend, 1, buf_span(&unlock), buf_span(&plain), 0, s.flags);
    spend.in.script_pubkey = code_without_sig ? buf_span(&lock) : buf_span(&key);
    enum script_err err = spend_run(&spend);
    spend_clear(&spend);
    buf_clear(&sig);
    buf_clear(&key);
    buf_clear(&rest);
    buf_clear(&plain);
    buf_clear(&lock);
    buf_clear(&unlock);
    return err;
}

static void behaviour_76_signature_inside_the_script_code(void **state)
{
    (void)state;
    EXPECT(OK, embedded(0x01, BLOCK_P, true));
    EXPECT(SIG_NULLFAIL, embedded(0x61, BLOCK_C, true));
    EXPECT(EVAL_FALSE, embedded(0x01, BLOCK_P, false));
}

static enum script_err changed_amount(uint8_t hash_type)
{
    struct buf lock = key_lock(1, ""), unlock;
    struct signing s = {
        .version = 1, .hash_type = hash_type, .amount = 1000, .code = buf_span(&lock),
        .flags = flags_at(BLOCK_C, BLOCK_C),
    };
    struct buf sig = sign_spend(buf_span(&lock), &s);
    struct spend spend;

    buf_init(&unlock);
    script_put_data(&unlock, sig.data, sig.len);
    spend_init(&spend, 1, buf_span(&unlock), buf_span(&lock), 1000, s.flags);
    EXPECT(OK, spend_run(&spend));
    spend.in.amount = 1001;
    enum script_err err = spend_run(&spend);
    spend_clear(&spend);
    buf_clear(&unlock);
    buf_clear(&sig);
    buf_clear(&lock);
    return err;
}

static void behaviour_77_amount_is_signed_by_one_form_only(void **state)
{
    (void)state;
    EXPECT(SIG_NULLFAIL, changed_amount(0x41));
    EXPECT(OK, changed_amount(0x61));
}

static void behaviour_78_odd_hash_types_from_genesis(void **state)
{
    (void)state;
    EXPECT(SIG_HASHTYPE, with_type(0x44, 1, BLOCK_G, BLOCK_G));
    EXPECT(SIG_HASHTYPE, with_type(0x40, 1, BLOCK_G, BLOCK_G));
    EXPECT(OK, with_type(0xc1, 1, BLOCK_G, BLOCK_G));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviour_70_hash_types_around_chronicle),
        cmocka_unit_test(behaviour_71_otda_needs_neither_version_nor_new_coins),
        cmocka_unit_test(behaviour_72_forms_may_be_mixed_in_one_transaction),
        cmocka_unit_test(behaviour_73_single_without_an_output),
        cmocka_unit_test(behaviour_73_single_without_an_output_hashes_zero),
        cmocka_unit_test(behaviour_74_codeseparator_after_checksig),
        cmocka_unit_test(behaviour_75_otda_over_a_cut_push_after_return),
        cmocka_unit_test(behaviour_75_separators_vanish_from_data_after_return),
        cmocka_unit_test(behaviour_76_signature_inside_the_script_code),
        cmocka_unit_test(behaviour_77_amount_is_signed_by_one_form_only),
        cmocka_unit_test(behaviour_78_odd_hash_types_from_genesis),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
