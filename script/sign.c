#include "script/sign.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "script/build.h"
#include "script/encoding.h"
#include "script/iter.h"
#include "script/template.h"

#define SIG_MAX 73      /* strict DER and the hash type */
#define PUSHES_MAX 100  /* looked at in earlier scripts: a multisig of any template has 17 */

struct maker {
    const struct signer *s;
    const struct script_input *in;
    struct span code; /* what signatures cover: the locking or the redeem script */
    struct span pushes[PUSHES_MAX];
    size_t n_pushes;
};

struct signature {
    uint8_t bytes[SIG_MAX];
    size_t len; /* 0: none */
};

void signing_key_init(struct signing_key *k, const struct private_key *key)
{
    k->key = *key;
    k->public_len = ec_pubkey_create(k->public_key, key->secret, key->compressed);
    hash160(k->hash, k->public_key, k->public_len);
}

/* --- signatures ----------------------------------------------------------------------------- */

static bool digest_of(const struct maker *m, uint32_t hash_type, uint8_t out[32])
{
    const struct sighash_request r = { .code = m->code,
                                       .index = m->in->index,
                                       .amount = m->in->amount,
                                       .hash_type = hash_type,
                                       .cancel = m->in->cancel };
    enum script_err err = sighash_form_of(hash_type, m->in->flags) == SIGHASH_FORM_BIP143
                              ? sighash_bip143(m->in->sighash, &r, out)
                              : sighash_original(m->in->sighash, &r, out);
    return err == SCRIPT_OK;
}

/* SINGLE without an output of its own would sign a digest that everybody knows. */
static bool may_sign(const struct maker *m)
{
    return (m->s->hash_type & 0x1f) != SIGHASH_SINGLE || m->in->index < m->in->tx->n_out;
}

static void make_signature(const struct maker *m, const struct signing_key *k,
                           struct signature *out)
{
    uint8_t digest[32];
    out->len = 0;
    if (!may_sign(m) || !digest_of(m, m->s->hash_type, digest))
        return;
    size_t len = ec_sign_der(out->bytes, k->key.secret, digest);
    if (!len)
        return;
    out->bytes[len] = (uint8_t)m->s->hash_type;
    out->len = len + 1;
}

/* One of the earlier pushes that is a signature of this key, under its own hash type. */
static void find_signature(const struct maker *m, struct span key, struct signature *out)
{
    uint8_t digest[32];
    out->len = 0;
    for (size_t i = 0; i < m->n_pushes && !out->len; i++) {
        struct span sig = m->pushes[i];
        if (sig.len > SIG_MAX || !script_sig_is_strict_der(sig) ||
            !digest_of(m, sig.data[sig.len - 1], digest) ||
            !ec_verify_lax(key.data, key.len, sig.data, sig.len - 1, digest))
            continue;
        memcpy(out->bytes, sig.data, sig.len);
        out->len = sig.len;
    }
}

/* Ours, else what somebody else has left. */
static void signature_for(const struct maker *m, struct span key, struct signature *out)
{
    out->len = 0;
    for (size_t i = 0; i < m->s->n_keys && !out->len; i++) {
        const struct signing_key *k = &m->s->keys[i];
        if (k->public_len == key.len && mem_equal_var(k->public_key, key.data, key.len))
            make_signature(m, k, out);
    }
    if (!out->len)
        find_signature(m, key, out);
}

/* The key of a hash, ours or pushed earlier; empty when nobody knows it. */
static struct span key_of_hash(const struct maker *m, const uint8_t hash[20])
{
    uint8_t other[20];
    for (size_t i = 0; i < m->s->n_keys; i++)
        if (mem_equal_var(m->s->keys[i].hash, hash, 20))
            return span_of(m->s->keys[i].public_key, m->s->keys[i].public_len);
    for (size_t i = 0; i < m->n_pushes; i++) {
        if (m->pushes[i].len != 33 && m->pushes[i].len != 65)
            continue;
        hash160(other, m->pushes[i].data, m->pushes[i].len);
        if (mem_equal_var(other, hash, 20))
            return m->pushes[i];
    }
    return span_of(NULL, 0);
}

/* --- scripts -------------------------------------------------------------------------------- */

enum made { MADE_NOTHING, MADE_A_PART, MADE_WHOLE };

static enum made put_one(const struct maker *m, struct span key, bool with_key, struct buf *out)
{
    struct signature sig = { .len = 0 };
    if (key.len)
        signature_for(m, key, &sig);
    if (!sig.len)
        return MADE_NOTHING;
    script_put_data(out, sig.bytes, sig.len);
    if (with_key)
        script_put_data(out, key.data, key.len);
    return MADE_WHOLE;
}

/* Signatures in the order of their keys; empty pushes for those that are missing. */
static enum made put_multisig(const struct maker *m, const struct script_match *match,
                              struct buf *out)
{
    unsigned n = 0;
    size_t start = out->len;
    script_put_op(out, OP_0);
    for (unsigned i = 0; i < match->n_keys && n < match->required; i++) {
        struct signature sig;
        signature_for(m, match->data[i], &sig);
        if (sig.len) {
            script_put_data(out, sig.bytes, sig.len);
            n++;
        }
    }
    if (n == 0) {
        out->len = start;
        return MADE_NOTHING;
    }
    for (unsigned i = n; i < match->required; i++)
        script_put_op(out, OP_0);
    return n == match->required ? MADE_WHOLE : MADE_A_PART;
}

static enum made put_plain(const struct maker *m, const struct script_match *match,
                           struct buf *out)
{
    switch (match->type) {
    case SCRIPT_TYPE_PUBKEY:
        return put_one(m, match->data[0], false, out);
    case SCRIPT_TYPE_PUBKEYHASH:
        return put_one(m, key_of_hash(m, match->data[0].data), true, out);
    case SCRIPT_TYPE_MULTISIG:
        return put_multisig(m, match, out);
    case SCRIPT_TYPE_SCRIPTHASH:
    case SCRIPT_TYPE_NULL_DATA:
    case SCRIPT_TYPE_NONSTANDARD:
        return MADE_NOTHING;
    }
    return MADE_NOTHING;
}

static bool has_hash(struct span script, const uint8_t hash[20])
{
    uint8_t other[20];
    hash160(other, script.data, script.len);
    return mem_equal_var(other, hash, 20);
}

static enum made put_script_hash(struct maker *m, const uint8_t hash[20], struct buf *out)
{
    struct script_match match;
    struct span redeem = span_of(NULL, 0);
    for (size_t i = 0; i < m->s->n_redeem && !redeem.len; i++)
        if (has_hash(m->s->redeem[i], hash))
            redeem = m->s->redeem[i];
    for (size_t i = 0; i < m->n_pushes && !redeem.len; i++)
        if (has_hash(m->pushes[i], hash))
            redeem = m->pushes[i];
    if (!redeem.len)
        return MADE_NOTHING;
    m->code = redeem;
    script_classify(redeem, SCRIPT_ERA_ORIGINAL, &match);
    enum made made = put_plain(m, &match, out);
    if (made != MADE_NOTHING)
        script_put_data(out, redeem.data, redeem.len);
    return made;
}

static void collect_pushes(struct maker *m)
{
    for (size_t i = 0; i < m->s->n_earlier; i++) {
        struct script_iter it = script_iter_of(m->s->earlier[i]);
        struct script_op op;
        while (m->n_pushes < PUSHES_MAX && script_iter_next(&it, &op))
            if (op.data.len)
                m->pushes[m->n_pushes++] = op.data;
    }
}

bool script_sign(const struct signer *s, const struct script_input *in, struct buf *out)
{
    struct maker m = { .s = s, .in = in, .code = in->script_pubkey };
    struct script_match match;
    collect_pushes(&m);
    script_classify(in->script_pubkey, script_utxo_era(in->flags), &match);
    enum made made = match.type == SCRIPT_TYPE_SCRIPTHASH
                         ? put_script_hash(&m, match.data[0].data, out)
                         : put_plain(&m, &match, out);
    if (made == MADE_NOTHING && s->n_earlier)
        buf_put(out, s->earlier[0].data, s->earlier[0].len);
    return made == MADE_WHOLE;
}
