/*
 * One function per act and side, named as in BOLT 8: mix_hash and mix_key move the transcript h and
 * the chaining key ck, and every act ends with a tag over h under the newest temporary key. What is
 * secret is overwritten as soon as it has been used: an agreement after its mix, the ephemeral
 * after its last agreement.
 */
#include "p2p/dchan_hs.h"

#include <string.h>

#include "base/aead.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/kdf.h"
#include "base/process_copy.h"
#include "p2p/dchan_noise.h"

static const char protocol_name[] = "Noise_XK_secp256k1_ChaChaPoly_SHA256";
static const char prologue_name[] = "bsv-bca-peer";

enum {
    ACT_VERSION = 0,
    PROLOGUE_VERSION = 1,
    PROLOGUE_NAME_LEN = sizeof prologue_name - 1,
    SEALED_KEY_SIZE = IDENTITY_KEY_SIZE + AEAD_TAG_SIZE,
    KEY_AT = 1, /* behind the version byte of every act */
    TAG_AT = KEY_AT + IDENTITY_KEY_SIZE,
    ACT_THREE_TAG_AT = KEY_AT + SEALED_KEY_SIZE,
};
_Static_assert(PROLOGUE_NAME_LEN + 1 + 4 == DCHAN_PROLOGUE_SIZE, "name, version, magic");
_Static_assert(TAG_AT + AEAD_TAG_SIZE == DCHAN_ACT_ONE_SIZE, "version, key, tag");
_Static_assert(ACT_THREE_TAG_AT + AEAD_TAG_SIZE == DCHAN_ACT_THREE_SIZE, "the same, key sealed");

const char *dchan_hs_fault_name(enum dchan_hs_fault fault)
{
    static const char *const names[] = {
        [DCHAN_HS_NO_FAULT] = "none",
        [DCHAN_HS_SHORT] = "ended inside an act",
        [DCHAN_HS_BAD_VERSION] = "bad version",
        [DCHAN_HS_BAD_PUBKEY] = "bad public key",
        [DCHAN_HS_BAD_CIPHERTEXT] = "bad ciphertext",
        [DCHAN_HS_BAD_TAG] = "bad tag",
        [DCHAN_HS_NO_KEY] = "own key not available",
        [DCHAN_HS_NO_RANDOM] = "the random generator fails",
        [DCHAN_HS_COPIED] = "begun by another copy of the process",
    };
    return names[fault];
}

void dchan_keys_wipe(struct dchan_keys *s)
{
    secure_wipe(s, sizeof *s);
}

void dchan_prologue(uint8_t out[DCHAN_PROLOGUE_SIZE], const uint8_t magic[4])
{
    memcpy(out, prologue_name, PROLOGUE_NAME_LEN);
    out[PROLOGUE_NAME_LEN] = PROLOGUE_VERSION;
    memcpy(out + PROLOGUE_NAME_LEN + 1, magic, 4);
}

static void mix_hash(struct dchan_hs *hs, const void *data, size_t len)
{
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, hs->h, sizeof hs->h);
    sha256_update(&ctx, data, len);
    sha256_final(&ctx, hs->h);
}

/* (ck, temp_k) = HKDF(ck, secret); the secret is wiped. */
static void mix_key(struct dchan_hs *hs, uint8_t secret[32])
{
    uint8_t both[64];
    BUG_ON(!hkdf_sha256(both, sizeof both, span_of(hs->ck, 32), span_of(secret, 32),
                        span_of(NULL, 0)));
    memcpy(hs->ck, both, 32);
    memcpy(hs->temp_k, both + 32, 32);
    secure_wipe(both, sizeof both);
    secure_wipe(secret, 32);
}

/* Seals under temp_k with h beside it, and takes the result into h. */
static void seal(struct dchan_hs *hs, uint64_t nonce, struct span plain, uint8_t *out)
{
    uint8_t iv[NOISE_IV_SIZE];
    noise_iv(iv, nonce);
    BUG_ON(!aead_seal(AEAD_CHACHA20_POLY1305, hs->temp_k, span_of(iv, sizeof iv),
                      span_of(hs->h, sizeof hs->h), plain, out));
    mix_hash(hs, out, plain.len + AEAD_TAG_SIZE);
}

static bool unseal(struct dchan_hs *hs, uint64_t nonce, struct span sealed, uint8_t *out)
{
    uint8_t iv[NOISE_IV_SIZE];
    noise_iv(iv, nonce);
    if (!aead_open(AEAD_CHACHA20_POLY1305, hs->temp_k, span_of(iv, sizeof iv),
                   span_of(hs->h, sizeof hs->h), sealed, out))
        return false;
    mix_hash(hs, sealed.data, sealed.len);
    return true;
}

static void put_tag(struct dchan_hs *hs, uint8_t tag[AEAD_TAG_SIZE])
{
    seal(hs, 0, span_of(NULL, 0), tag);
}

static bool check_tag(struct dchan_hs *hs, const uint8_t tag[AEAD_TAG_SIZE])
{
    uint8_t nothing[1];
    return unseal(hs, 0, span_of(tag, AEAD_TAG_SIZE), nothing);
}

static enum err fail(struct dchan_hs *hs, enum dchan_hs_fault fault)
{
    dchan_hs_clear(hs);
    hs->fault = fault;
    return ERR_AUTH;
}

static bool draw_ephemeral(struct dchan_hs *hs)
{
    if (hs->fixed_ephemeral)
        return ec_pubkey_of(hs->e_pub, hs->e);
    return noise_draw_key(hs->e, hs->e_pub);
}

static void drop_ephemeral(struct dchan_hs *hs)
{
    secure_wipe(hs->e, sizeof hs->e);
}

/* Agreement of our ephemeral key with one of theirs. */
static bool mix_ephemeral(struct dchan_hs *hs, const uint8_t key[IDENTITY_KEY_SIZE])
{
    uint8_t secret[32];
    const bool ok = ec_ecdh_sha256(secret, key, hs->e);
    mix_key(hs, secret);
    return ok;
}

/* Agreement of our static key with their ephemeral one. */
static bool mix_static(struct dchan_hs *hs)
{
    uint8_t secret[32] = { 0 };
    const bool ok = hs->key->noise_dh(hs->key->ctx, secret, hs->remote_e);
    mix_key(hs, secret);
    return ok;
}

enum err dchan_hs_init(struct dchan_hs *hs, const struct dchan_hs_config *c)
{
    *hs = (struct dchan_hs){ .role = c->role, .key = c->key, .awaits = DCHAN_HS_FAILED,
                             .copy = process_copy_number() };
    const uint8_t *responder_key = c->role == DCHAN_INITIATOR ? c->remote_key : c->key->pub;
    if (!ec_pubkey_valid(responder_key, IDENTITY_KEY_SIZE))
        return ERR_RANGE;
    if (c->role == DCHAN_INITIATOR)
        memcpy(hs->remote_s, c->remote_key, IDENTITY_KEY_SIZE);
    hs->fixed_ephemeral = c->ephemeral != NULL;
    if (c->ephemeral)
        memcpy(hs->e, c->ephemeral, sizeof hs->e);
    sha256(hs->ck, protocol_name, sizeof protocol_name - 1);
    memcpy(hs->h, hs->ck, sizeof hs->h);
    mix_hash(hs, c->prologue.data, c->prologue.len);
    mix_hash(hs, responder_key, IDENTITY_KEY_SIZE);
    hs->awaits = c->role == DCHAN_INITIATOR ? DCHAN_HS_TO_START : DCHAN_HS_ACT_ONE;
    return OK;
}

void dchan_hs_clear(struct dchan_hs *hs)
{
    const enum dchan_hs_fault fault = hs->fault;
    secure_wipe(hs, sizeof *hs);
    hs->awaits = DCHAN_HS_FAILED;
    hs->fault = fault;
}

/* Version, ephemeral key, tag over all so far under the key of the last agreement. */
static void write_ephemeral(struct dchan_hs *hs, uint8_t act[DCHAN_ACT_ONE_SIZE])
{
    act[0] = ACT_VERSION;
    memcpy(act + KEY_AT, hs->e_pub, IDENTITY_KEY_SIZE);
    put_tag(hs, act + TAG_AT);
}

enum err dchan_hs_start(struct dchan_hs *hs, uint8_t act[DCHAN_ACT_ONE_SIZE])
{
    if (hs->awaits != DCHAN_HS_TO_START)
        return fail(hs, DCHAN_HS_NO_KEY);
    if (!draw_ephemeral(hs))
        return fail(hs, DCHAN_HS_NO_RANDOM);
    mix_hash(hs, hs->e_pub, IDENTITY_KEY_SIZE);
    if (!mix_ephemeral(hs, hs->remote_s)) /* es */
        return fail(hs, DCHAN_HS_BAD_PUBKEY);
    write_ephemeral(hs, act);
    hs->awaits = DCHAN_HS_ACT_TWO;
    return OK;
}

/* Their ephemeral key of act 1 or 2, taken into h. */
static enum dchan_hs_fault take_ephemeral(struct dchan_hs *hs)
{
    if (hs->act[0] != ACT_VERSION)
        return DCHAN_HS_BAD_VERSION;
    if (!ec_pubkey_valid(hs->act + KEY_AT, IDENTITY_KEY_SIZE))
        return DCHAN_HS_BAD_PUBKEY;
    memcpy(hs->remote_e, hs->act + KEY_AT, IDENTITY_KEY_SIZE);
    mix_hash(hs, hs->remote_e, IDENTITY_KEY_SIZE);
    return DCHAN_HS_NO_FAULT;
}

/* Responder. Until the tag has been checked this costs one agreement. */
static enum dchan_hs_fault answer_act_one(struct dchan_hs *hs, uint8_t reply[DCHAN_ACT_TWO_SIZE])
{
    const enum dchan_hs_fault fault = take_ephemeral(hs);
    if (fault)
        return fault;
    if (!mix_static(hs)) /* es */
        return DCHAN_HS_NO_KEY;
    if (!check_tag(hs, hs->act + TAG_AT))
        return DCHAN_HS_BAD_TAG;
    if (!draw_ephemeral(hs))
        return DCHAN_HS_NO_RANDOM;
    mix_hash(hs, hs->e_pub, IDENTITY_KEY_SIZE);
    if (!mix_ephemeral(hs, hs->remote_e)) /* ee */
        return DCHAN_HS_BAD_PUBKEY;
    write_ephemeral(hs, reply);
    hs->awaits = DCHAN_HS_ACT_THREE;
    return DCHAN_HS_NO_FAULT;
}

/* Initiator: who he is goes out only now, to the side that has shown it holds the dialled key. */
static enum dchan_hs_fault answer_act_two(struct dchan_hs *hs, uint8_t reply[DCHAN_ACT_THREE_SIZE])
{
    const enum dchan_hs_fault fault = take_ephemeral(hs);
    if (fault)
        return fault;
    if (!mix_ephemeral(hs, hs->remote_e)) /* ee */
        return DCHAN_HS_BAD_PUBKEY;
    drop_ephemeral(hs);
    if (!check_tag(hs, hs->act + TAG_AT))
        return DCHAN_HS_BAD_TAG;
    reply[0] = ACT_VERSION;
    seal(hs, 1, span_of(hs->key->pub, IDENTITY_KEY_SIZE), reply + KEY_AT);
    if (!mix_static(hs)) /* se */
        return DCHAN_HS_NO_KEY;
    put_tag(hs, reply + ACT_THREE_TAG_AT);
    hs->awaits = DCHAN_HS_DONE;
    return DCHAN_HS_NO_FAULT;
}

static enum dchan_hs_fault take_act_three(struct dchan_hs *hs)
{
    if (hs->act[0] != ACT_VERSION)
        return DCHAN_HS_BAD_VERSION;
    if (!unseal(hs, 1, span_of(hs->act + KEY_AT, SEALED_KEY_SIZE), hs->remote_s))
        return DCHAN_HS_BAD_CIPHERTEXT;
    if (!ec_pubkey_valid(hs->remote_s, IDENTITY_KEY_SIZE) ||
        !mix_ephemeral(hs, hs->remote_s)) /* se */
        return DCHAN_HS_BAD_PUBKEY;
    drop_ephemeral(hs);
    if (!check_tag(hs, hs->act + ACT_THREE_TAG_AT))
        return DCHAN_HS_BAD_TAG;
    hs->awaits = DCHAN_HS_DONE;
    return DCHAN_HS_NO_FAULT;
}

/* Length of the awaited act; 0 when none is. */
static size_t act_size(const struct dchan_hs *hs)
{
    switch (hs->awaits) {
    case DCHAN_HS_ACT_ONE:
        return DCHAN_ACT_ONE_SIZE;
    case DCHAN_HS_ACT_TWO:
        return DCHAN_ACT_TWO_SIZE;
    case DCHAN_HS_ACT_THREE:
        return DCHAN_ACT_THREE_SIZE;
    case DCHAN_HS_TO_START:
    case DCHAN_HS_DONE:
    case DCHAN_HS_FAILED:
        break;
    }
    return 0;
}

/* What the whole act in hs->act leads to. */
static enum dchan_hs_fault take_act(struct dchan_hs *hs, uint8_t *reply, size_t *reply_len)
{
    enum dchan_hs_fault fault;
    hs->act_len = 0;
    if (hs->copy != process_copy_number())
        return DCHAN_HS_COPIED;
    if (hs->awaits == DCHAN_HS_ACT_THREE)
        return take_act_three(hs);
    if (hs->awaits == DCHAN_HS_ACT_ONE) {
        fault = answer_act_one(hs, reply);
        *reply_len = fault ? 0 : DCHAN_ACT_TWO_SIZE;
    } else {
        fault = answer_act_two(hs, reply);
        *reply_len = fault ? 0 : DCHAN_ACT_THREE_SIZE;
    }
    return fault;
}

enum err dchan_hs_feed(struct dchan_hs *hs, struct span *in, uint8_t reply[DCHAN_ACT_MAX],
                       size_t *reply_len)
{
    *reply_len = 0;
    if (hs->awaits == DCHAN_HS_FAILED)
        return ERR_AUTH;
    const size_t size = act_size(hs);
    const size_t n = MIN_OF(size - hs->act_len, in->len);
    if (n == 0)
        return OK;
    memcpy(hs->act + hs->act_len, in->data, n);
    hs->act_len += n;
    *in = span_of(in->data + n, in->len - n);
    if (hs->act_len < size)
        return OK;
    const enum dchan_hs_fault fault = take_act(hs, reply, reply_len);
    return fault ? fail(hs, fault) : OK;
}

enum err dchan_hs_end(struct dchan_hs *hs)
{
    if (hs->awaits == DCHAN_HS_DONE)
        return OK;
    return hs->awaits == DCHAN_HS_FAILED ? ERR_AUTH : fail(hs, DCHAN_HS_SHORT);
}

void dchan_hs_take(struct dchan_hs *hs, struct dchan_keys *out)
{
    uint8_t both[64];
    BUG_ON(hs->awaits != DCHAN_HS_DONE);
    BUG_ON(!hkdf_sha256(both, sizeof both, span_of(hs->ck, 32), span_of(NULL, 0),
                        span_of(NULL, 0)));
    const bool initiator = hs->role == DCHAN_INITIATOR;
    memcpy(out->send_key, initiator ? both : both + 32, 32);
    memcpy(out->receive_key, initiator ? both + 32 : both, 32);
    memcpy(out->chaining_key, hs->ck, 32);
    memcpy(out->session_id, hs->h, 32);
    memcpy(out->remote_key, hs->remote_s, IDENTITY_KEY_SIZE);
    secure_wipe(both, sizeof both);
    dchan_hs_clear(hs);
}
