#include "tests/script/script_sign.h"

#include <string.h>

#include "base/ec.h"
#include "script/build.h"
#include "script/opcode.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

const struct script_heights main_heights = {
    .p2sh = 173805, .bip66 = 363725, .bip65 = 388381, .csv = 419328, .uahf = 478558,
    .daa = 504031, .genesis = 620538, .chronicle = 943816,
};

uint32_t flags_at(int32_t block, int32_t coin)
{
    return script_flags_for_coin(&main_heights, script_flags_for_block(&main_heights, block), coin);
}

uint32_t policy_at(int32_t block, int32_t coin)
{
    return script_flags_for_coin(&main_heights, script_flags_for_policy(&main_heights, block),
                                 coin);
}

static void secret_of(uint8_t out[32], unsigned secret)
{
    memset(out, 0, 32);
    out[31] = (uint8_t)secret;
}

struct buf key_of(unsigned secret, bool compressed)
{
    uint8_t bytes[32], key[65];
    struct buf b;

    secret_of(bytes, secret);
    size_t len = ec_pubkey_create(key, bytes, compressed);
    assert_true(len > 0);
    buf_init(&b);
    buf_put(&b, key, len);
    return b;
}

struct buf hybrid_key_of(unsigned secret)
{
    struct buf b = key_of(secret, false);

    b.data[0] = (uint8_t)(6 + (b.data[64] & 1));
    return b;
}

struct buf key_lock(unsigned secret, const char *more)
{
    struct buf lock, key = key_of(secret, true), rest = script_asm(more);

    buf_init(&lock);
    script_put_data(&lock, key.data, key.len);
    script_put_op(&lock, OP_CHECKSIG);
    buf_put(&lock, rest.data, rest.len);
    buf_clear(&key);
    buf_clear(&rest);
    return lock;
}

/* S becomes order - S, which is 33 bytes in DER since its top bit is set. */
static void raise_s(struct buf *der)
{
    static const uint8_t order[32] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    };
    size_t r_len = der->data[3], s_len = der->data[5 + r_len];
    uint8_t s[33] = { 0 };
    int borrow = 0;

    assert_true(s_len <= 32);
    memcpy(s + 33 - s_len, der->data + 6 + r_len, s_len);
    for (int i = 31; i >= 0; i--) {
        int diff = order[i] - s[i + 1] - borrow;
        borrow = diff < 0;
        s[i + 1] = (uint8_t)diff;
    }
    der->len = 6 + r_len;
    der->data[5 + r_len] = 33;
    der->data[1] = (uint8_t)(4 + r_len + 33);
    buf_put(der, s, 33);
}

static void digest_of(struct span lock, const struct signing *s, uint8_t digest[32])
{
    struct spend spend;
    struct sighash_cache cache;
    struct sighash_request r = { .code = s->code, .amount = s->amount, .hash_type = s->hash_type };

    spend_init(&spend, s->version, span_of("", 0), lock, s->amount, s->flags);
    sighash_cache_init(&cache, spend.tx);
    enum script_err err = sighash_form_of(s->hash_type, s->flags) == SIGHASH_FORM_BIP143
                              ? sighash_bip143(&cache, &r, digest)
                              : sighash_original(&cache, &r, digest);
    assert_int_equal(err, SCRIPT_OK);
    sighash_cache_clear(&cache);
    spend_clear(&spend);
}

struct buf sign_spend(struct span lock, const struct signing *s)
{
    uint8_t digest[32], secret[32], der[72];
    struct buf sig;

    digest_of(lock, s, digest);
    if (s->flaw == SIG_WRONG)
        digest[0] ^= 1;
    secret_of(secret, s->secret ? s->secret : 1);
    buf_init(&sig);
    size_t len = ec_sign_der(der, secret, digest);
    assert_true(len > 0);
    buf_put(&sig, der, len);
    if (s->flaw == SIG_HIGH_S)
        raise_s(&sig);
    if (s->flaw == SIG_NOT_DER) /* trailing garbage that the lax parser passes over */
        buf_put_u8(&sig, 0);
    buf_put_u8(&sig, s->hash_type);
    return sig;
}

enum script_err run_signed(const char *more, const struct signing *with, uint32_t flags)
{
    struct buf lock = key_lock(with->secret ? with->secret : 1, more), unlock;
    struct signing s = *with;
    struct spend spend;

    s.flags = flags;
    if (!s.code.data)
        s.code = buf_span(&lock);
    struct buf sig = sign_spend(buf_span(&lock), &s);
    buf_init(&unlock);
    script_put_data(&unlock, sig.data, sig.len);
    spend_init(&spend, s.version, buf_span(&unlock), buf_span(&lock), s.amount, flags);
    enum script_err err = spend_run(&spend);
    spend_clear(&spend);
    buf_clear(&unlock);
    buf_clear(&sig);
    buf_clear(&lock);
    return err;
}
