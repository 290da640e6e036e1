#include "tests/p2p/dchan_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/test.h"

static bool open_noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    const struct open_key *k = ctx;
    return !k->locked && ec_ecdh_sha256(out, their_key, k->secret);
}

static bool open_sign(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    const struct open_key *k = ctx;
    uint8_t digest[32];
    if (k->locked || strncmp(tag, IDENTITY_TAG_PREFIX, strlen(IDENTITY_TAG_PREFIX)) != 0)
        return false;
    sha256_tagged(digest, tag, text.data, text.len);
    return ec_sign_rs(sig, k->secret, digest);
}

void open_key_init_with(struct open_key *k, const uint8_t secret[32])
{
    *k = (struct open_key){ .key = { .noise_dh = open_noise_dh, .sign = open_sign, .ctx = k } };
    memcpy(k->secret, secret, sizeof k->secret);
    ec_init();
    assert_true(ec_pubkey_of(k->key.pub, k->secret));
}

void open_key_init(struct open_key *k, uint8_t byte)
{
    uint8_t secret[32];
    memset(secret, byte, sizeof secret);
    open_key_init_with(k, secret);
}

void session_pair_make(struct session_pair *p, struct span prologue)
{
    struct dchan_hs i, r;
    uint8_t e_i[32], e_r[32], act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
    size_t len;
    memset(e_i, 0x12, sizeof e_i);
    memset(e_r, 0x22, sizeof e_r);
    open_key_init(&p->initiator_key, 0x11);
    open_key_init(&p->responder_key, 0x21);
    assert_int_equal(dchan_hs_init(&i, &(struct dchan_hs_config){
        DCHAN_INITIATOR, prologue, &p->initiator_key.key, p->responder_key.key.pub, e_i }), OK);
    assert_int_equal(dchan_hs_init(&r, &(struct dchan_hs_config){
        DCHAN_RESPONDER, prologue, &p->responder_key.key, NULL, e_r }), OK);
    assert_int_equal(dchan_hs_start(&i, act), OK);
    struct span in = span_of(act, DCHAN_ACT_ONE_SIZE);
    assert_int_equal(dchan_hs_feed(&r, &in, reply, &len), OK);
    in = span_of(reply, len);
    assert_int_equal(dchan_hs_feed(&i, &in, act, &len), OK);
    in = span_of(act, len);
    assert_int_equal(dchan_hs_feed(&r, &in, reply, &len), OK);
    dchan_hs_take(&i, &p->initiator);
    dchan_hs_take(&r, &p->responder);
}

void assert_hex_at(const void *data, size_t len, const char *hex, const char *file, int line)
{
    char *digits = xmalloc(2 * len + 1);
    hex_encode(digits, data, len);
    _assert_string_equal(digits, hex, file, line);
    free(digits);
}
