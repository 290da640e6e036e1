#include "script/sign.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "script/build.h"
#include "script/iter.h"
#include "script/opcode.h"
#include "script/template.h"
#include "tests/script/script_sign.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

#define AMOUNT 1000
#define N_KEYS 3

struct fixture {
    struct signing_key keys[N_KEYS]; /* secrets 1, 2, 3; the last one not compressed */
    struct span redeem;
    struct signer s;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    ec_init();
    for (int i = 0; i < N_KEYS; i++) {
        struct private_key k = { .compressed = i != 2 };
        k.secret[31] = (uint8_t)(i + 1);
        signing_key_init(&f->keys[i], &k);
    }
    f->s = (struct signer){ .keys = f->keys, .n_keys = N_KEYS,
                            .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct buf hash_lock(const struct signing_key *k)
{
    struct buf b = { 0 };
    script_make_p2pkh(buf_extend(&b, SCRIPT_P2PKH_SIZE), k->hash);
    return b;
}

static struct buf key_lock_of(const struct signing_key *k)
{
    struct buf b = { 0 };
    script_put_data(&b, k->public_key, k->public_len);
    script_put_op(&b, OP_CHECKSIG);
    return b;
}

static struct buf multisig_lock(const struct fixture *f, int required, int n)
{
    struct buf b = { 0 };
    script_put_num(&b, required);
    for (int i = 0; i < n; i++)
        script_put_data(&b, f->keys[i].public_key, f->keys[i].public_len);
    script_put_num(&b, n);
    script_put_op(&b, OP_CHECKMULTISIG);
    return b;
}

static struct buf script_hash_lock(const struct buf *redeem)
{
    struct buf b = { 0 };
    uint8_t hash[20];
    hash160(hash, redeem->data, redeem->len);
    script_make_p2sh(buf_extend(&b, SCRIPT_P2SH_SIZE), hash);
    return b;
}

/* Signs the input of spend_init's transaction; *whole as script_sign says. */
static struct buf sign(const struct fixture *f, const struct buf *lock, uint32_t flags, bool *whole)
{
    struct spend spend;
    struct sighash_cache cache;
    struct buf out = { 0 };
    spend_init(&spend, 1, span_of(NULL, 0), buf_span(lock), AMOUNT, flags);
    sighash_cache_init(&cache, spend.tx);
    struct script_input in = spend.in;
    in.sighash = &cache;
    *whole = script_sign(&f->s, &in, &out);
    sighash_cache_clear(&cache);
    spend_clear(&spend);
    return out;
}

static enum script_err run(const struct buf *unlock, const struct buf *lock, uint32_t flags)
{
    struct spend spend;
    spend_init(&spend, 1, buf_span(unlock), buf_span(lock), AMOUNT, flags);
    enum script_err err = spend_run(&spend);
    spend_clear(&spend);
    return err;
}

/* What is made must satisfy the lock under these flags. */
static void assert_signs(const struct fixture *f, struct buf lock, uint32_t flags)
{
    bool whole;
    struct buf unlock = sign(f, &lock, flags, &whole);
    assert_true(whole);
    assert_int_equal(run(&unlock, &lock, flags), SCRIPT_OK);
    buf_clear(&unlock);
    buf_clear(&lock);
}

static void every_kind_of_output_is_signed_in_every_era(void **state)
{
    const struct fixture *f = *state;
    const struct { int32_t block, coin; } rows[] = {
        { 500000, 400000 }, { BLOCK_G, 400000 }, { BLOCK_G, BLOCK_G }, { BLOCK_C, BLOCK_G },
        { BLOCK_C, BLOCK_C },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t flags = policy_at(rows[i].block, rows[i].coin);
        for (int k = 0; k < N_KEYS; k++) {
            assert_signs(f, hash_lock(&f->keys[k]), flags);
            assert_signs(f, key_lock_of(&f->keys[k]), flags);
        }
        for (int required = 1; required <= 3; required++)
            assert_signs(f, multisig_lock(f, required, 3), flags);
    }
}

static void every_hash_type_signs_what_it_says(void **state)
{
    struct fixture *f = *state;
    static const uint32_t bases[] = { SIGHASH_ALL, SIGHASH_NONE, SIGHASH_SINGLE };
    for (size_t i = 0; i < COUNT_OF(bases); i++)
        for (uint32_t any = 0; any < 2; any++)
            for (uint32_t chronicle = 0; chronicle < 2; chronicle++) {
                f->s.hash_type = bases[i] | SIGHASH_FORKID | (any ? SIGHASH_ANYONECANPAY : 0) |
                                 (chronicle ? SIGHASH_CHRONICLE : 0);
                assert_signs(f, hash_lock(&f->keys[0]), policy_at(BLOCK_C, BLOCK_C));
            }
    f->s.hash_type = SIGHASH_ALL; /* before the split of 2017 */
    assert_signs(f, hash_lock(&f->keys[0]), flags_at(450000, 400000));
}

static void script_hashes_are_signed_with_their_script_and_only_before_genesis(void **state)
{
    struct fixture *f = *state;
    struct buf redeem = multisig_lock(f, 2, 3), lock = script_hash_lock(&redeem);
    bool whole;
    struct buf unlock = sign(f, &lock, policy_at(BLOCK_G, 400000), &whole);
    assert_false(whole); /* the script is not known */
    assert_int_equal(unlock.len, 0);
    f->redeem = buf_span(&redeem);
    f->s.redeem = &f->redeem;
    f->s.n_redeem = 1;
    unlock = sign(f, &lock, policy_at(BLOCK_G, 400000), &whole);
    assert_true(whole);
    assert_int_equal(run(&unlock, &lock, flags_at(BLOCK_G, 400000)), SCRIPT_OK);
    struct buf later = sign(f, &lock, policy_at(BLOCK_G, BLOCK_G), &whole);
    assert_false(whole);
    assert_int_equal(later.len, 0);
    /* The script is found in what somebody else has signed, too. */
    struct span earlier = buf_span(&unlock);
    f->s.n_redeem = 0;
    f->s.earlier = &earlier;
    f->s.n_earlier = 1;
    struct buf again = sign(f, &lock, policy_at(BLOCK_G, 400000), &whole);
    assert_true(whole);
    buf_clear(&again);
    buf_clear(&later);
    buf_clear(&unlock);
    buf_clear(&lock);
    buf_clear(&redeem);
}

/* Each of three signs alone, in any order; two of them are enough. */
static void signatures_of_several_come_together(void **state)
{
    struct fixture *f = *state;
    uint32_t flags = policy_at(BLOCK_G, BLOCK_G);
    struct buf lock = multisig_lock(f, 2, 3), part[N_KEYS];
    bool whole;
    f->s.n_keys = 1;
    for (int k = 0; k < N_KEYS; k++) {
        f->s.keys = &f->keys[k];
        part[k] = sign(f, &lock, flags, &whole);
        assert_false(whole);
        assert_int_not_equal(run(&part[k], &lock, flags), SCRIPT_OK);
    }
    f->s.n_keys = 0; /* who brings them together needs no key */
    f->s.n_earlier = 2;
    for (int a = 0; a < N_KEYS; a++)
        for (int b = 0; b < N_KEYS; b++) {
            const struct span two[2] = { buf_span(&part[a]), buf_span(&part[b]) };
            f->s.earlier = two;
            struct buf both = sign(f, &lock, flags, &whole);
            assert_int_equal(whole, a != b);
            assert_int_equal(run(&both, &lock, flags) == SCRIPT_OK, a != b);
            buf_clear(&both);
        }
    /* A signature of something else is none. */
    const struct span one[2] = { buf_span(&part[0]), buf_span(&part[1]) };
    part[1].data[20] ^= 1;
    f->s.earlier = one;
    struct buf none = sign(f, &lock, flags, &whole);
    assert_false(whole);
    for (int k = 0; k < N_KEYS; k++)
        buf_clear(&part[k]);
    buf_clear(&none);
    buf_clear(&lock);
}

static void what_cannot_be_signed_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    static const uint8_t there[] = { 0x01, 0x07 };
    const struct span earlier = span_of(there, sizeof there);
    struct signing_key other = f->keys[0];
    bool whole;
    f->s.earlier = &earlier;
    f->s.n_earlier = 1;
    memset(other.hash, 9, 20);
    struct buf locks[] = { hash_lock(&other), script_asm("1"), script_asm("0 RETURN 0x01 0x07"),
                           { 0 } };
    for (size_t i = 0; i < COUNT_OF(locks); i++) {
        struct buf unlock = sign(f, &locks[i], policy_at(BLOCK_G, BLOCK_G), &whole);
        assert_false(whole);
        assert_int_equal(unlock.len, sizeof there);
        assert_memory_equal(unlock.data, there, sizeof there);
        buf_clear(&unlock);
        buf_clear(&locks[i]);
    }
}

/* The digest of SINGLE beyond the outputs is known to all: no signature of ours over it. */
static void single_without_its_output_is_not_signed(void **state)
{
    struct fixture *f = *state;
    struct buf lock = hash_lock(&f->keys[0]), out = { 0 };
    struct spend spend;
    struct sighash_cache cache;
    uint32_t flags = policy_at(BLOCK_C, BLOCK_C);
    spend_init(&spend, 1, span_of(NULL, 0), buf_span(&lock), AMOUNT, flags);
    struct tx bare = *spend.tx;
    bare.n_out = 0;
    sighash_cache_init(&cache, &bare);
    struct script_input in = spend.in;
    in.tx = &bare;
    in.sighash = &cache;
    static const uint32_t types[] = { 0x43, 0x63, 0xc3, 0xe3 };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        f->s.hash_type = types[i];
        assert_false(script_sign(&f->s, &in, &out));
        assert_int_equal(out.len, 0);
    }
    sighash_cache_clear(&cache);
    spend_clear(&spend);
    buf_clear(&lock);
    buf_clear(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_kind_of_output_is_signed_in_every_era),
        T(every_hash_type_signs_what_it_says),
        T(script_hashes_are_signed_with_their_script_and_only_before_genesis),
        T(signatures_of_several_come_together),
        T(what_cannot_be_signed_stays_as_it_was),
        T(single_without_its_output_is_not_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
