#include "wallet/paychan_tx.h"

#include <string.h>

#include "base/hash.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/sighash.h"
#include "script/template.h"

#define SIGHASH_TYPE (SIGHASH_ALL | SIGHASH_FORKID)
#define REFUND_SEQUENCE UINT32_C(0xfffffffe)
#define REFUND_TRIES 256 /* each succeeds with a chance of 1/4 */

/* --- the lock (spec channels 8.3) --- */

/* DEPTH 3 NUMEQUAL IF 2 */
static const uint8_t lock_close[] = { 0x74, 0x53, 0x9c, 0x63, 0x52 };
/* 2 CHECKMULTISIG ELSE, then the signature of the digest by a known key, made in the script from
 * the digest that the preimage has; its key, CHECKSIGVERIFY; one input only; the sequence. */
static const uint8_t lock_refund[] = {
    0x52, 0xae, 0x67, 0x76, 0xaa, 0x81, 0x8b, 0x01, 0x20, 0x80, 0x26, 0x30, 0x44, 0x02, 0x20, 0x79,
    0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07, 0x02,
    0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98, 0x02,
    0x20, 0x7c, 0x7e, 0x01, 0x41, 0x7e, 0x21, 0x02, 0xb4, 0x05, 0xd7, 0xf0, 0x32, 0x2a, 0x89, 0xd0,
    0xf9, 0xf3, 0xa9, 0x8e, 0x6f, 0x93, 0x8f, 0xdc, 0x1c, 0x96, 0x9a, 0x8d, 0x13, 0x82, 0xa2, 0xbf,
    0x66, 0xa7, 0x1a, 0xe7, 0x4a, 0x1e, 0x83, 0xb0, 0xad, 0x76, 0x01, 0x44, 0x7f, 0x77, 0x01, 0x24,
    0x7f, 0x75, 0xaa, 0x78, 0x54, 0x7f, 0x77, 0x01, 0x20, 0x7f, 0x75, 0x88, 0x82, 0x01, 0x2c, 0x94,
    0x7f, 0x77, 0x54, 0x7f, 0x7c, 0x04, 0xfe, 0xff, 0xff, 0xff, 0x88, 0x01, 0x20, 0x7f, 0x77, 0x54,
    0x7f, 0x75, 0x01, 0x00, 0x7e, 0x81,
};
/* Below 500,000,000, so that it is a height: WITHIN VERIFY. */
static const uint8_t lock_height[] = { 0x04, 0x00, 0x65, 0xcd, 0x1d, 0xa5, 0x69 };
/* CHECKSIG ENDIF */
static const uint8_t lock_end[] = { 0xac, 0x68 };

void paychan_put_lock(struct buf *out, const struct paychan_terms *t)
{
    buf_put(out, lock_close, sizeof lock_close);
    script_put_data(out, t->payer_key, EC_PUBKEY_SIZE);
    script_put_data(out, t->payee_key, EC_PUBKEY_SIZE);
    buf_put(out, lock_refund, sizeof lock_refund);
    script_put_num(out, t->expiry);
    buf_put(out, lock_height, sizeof lock_height);
    script_put_data(out, t->payer_key, EC_PUBKEY_SIZE);
    buf_put(out, lock_end, sizeof lock_end);
}

bool paychan_is_funding(const struct tx_out *out, const struct paychan_terms *t)
{
    struct buf lock;
    buf_init(&lock);
    paychan_put_lock(&lock, t);
    const bool same = out->value >= 0 && (uint64_t)out->value == t->capacity &&
                      out->script.len == lock.len &&
                      memcmp(out->script.data, lock.data, lock.len) == 0;
    buf_clear(&lock);
    return same;
}

/* --- one spend of the output --- */

/* With its scripts; the arrays are the caller's frame. */
struct spend {
    struct tx tx;
    struct tx_in in;
    struct tx_out out[2];
    uint8_t script[2][SCRIPT_P2PKH_SIZE];
};

static void spend_init(struct spend *s, const struct outpoint *at, uint32_t sequence)
{
    *s = (struct spend){ .in = { .prevout = *at, .sequence = sequence } };
    s->tx = (struct tx){ .version = 1, .n_in = 1, .in = &s->in, .out = s->out };
}

static void spend_pay(struct spend *s, uint64_t value, const uint8_t pkh[PAYCHAN_PKH_SIZE])
{
    const size_t i = s->tx.n_out;
    if (value == 0)
        return;
    script_make_p2pkh(s->script[i], pkh);
    s->out[i] = (struct tx_out){ (int64_t)value, span_of(s->script[i], SCRIPT_P2PKH_SIZE) };
    s->tx.n_out++;
}

/* What a signature commits to (BIP 143), in full: the refund shows it to the script. */
static void put_preimage(struct buf *out, const struct spend *s, struct span lock,
                         uint64_t capacity)
{
    struct buf part;
    uint8_t sequence[4];
    buf_init(&part);
    buf_put(&part, s->in.prevout.txid.b, sizeof s->in.prevout.txid.b);
    buf_put_le32(&part, s->in.prevout.index);
    le32_put(sequence, s->in.sequence);
    buf_put_le32(out, (uint32_t)s->tx.version);
    sha256d(buf_extend(out, 32), part.data, part.len);
    sha256d(buf_extend(out, 32), sequence, sizeof sequence);
    buf_put(out, part.data, part.len);
    buf_put_var_bytes(out, lock.data, lock.len);
    buf_put_le64(out, capacity);
    buf_put_le32(out, s->in.sequence);
    buf_reset(&part);
    for (size_t i = 0; i < s->tx.n_out; i++) {
        buf_put_le64(&part, (uint64_t)s->out[i].value);
        buf_put_var_bytes(&part, s->out[i].script.data, s->out[i].script.len);
    }
    sha256d(buf_extend(out, 32), part.data, part.len);
    buf_put_le32(out, s->tx.lock_time);
    buf_put_le32(out, SIGHASH_TYPE);
    buf_clear(&part);
}

/* As the interpreter takes it: DER with the type behind it. False: R or S is none. */
static bool put_signature(struct buf *script, const uint8_t sig[EC_SIG_SIZE])
{
    uint8_t der[73];
    const size_t len = ec_rs_to_der(der, sig);
    if (!len)
        return false;
    der[len] = SIGHASH_TYPE;
    script_put_data(script, der, len + 1);
    return true;
}

/* --- close --- */

bool paychan_close_fits(const struct paychan_terms *t, const struct paychan_close *c)
{
    return c->fee <= t->capacity && c->paid <= t->capacity - c->fee &&
           (c->paid > 0 || c->fee < t->capacity);
}

static void close_make(struct spend *s, const struct paychan_terms *t, const struct outpoint *at,
                       const struct paychan_close *c)
{
    spend_init(s, at, TX_SEQUENCE_FINAL);
    spend_pay(s, c->paid, t->payee_pkh);
    spend_pay(s, t->capacity - c->paid - c->fee, t->payer_pkh);
}

void paychan_close_digest(uint8_t digest[32], const struct paychan_terms *t,
                          const struct outpoint *at, const struct paychan_close *c)
{
    struct spend s;
    struct buf lock, preimage;
    buf_init(&lock);
    buf_init(&preimage);
    close_make(&s, t, at, c);
    paychan_put_lock(&lock, t);
    put_preimage(&preimage, &s, buf_span(&lock), t->capacity);
    sha256d(digest, preimage.data, preimage.len);
    buf_clear(&preimage);
    buf_clear(&lock);
}

bool paychan_close_sign(uint8_t sig[EC_SIG_SIZE], const struct paychan_terms *t,
                        const struct outpoint *at, const struct paychan_close *c,
                        const uint8_t secret[32])
{
    uint8_t digest[32];
    paychan_close_digest(digest, t, at, c);
    return ec_sign_rs(sig, secret, digest);
}

bool paychan_close_verify(const uint8_t payer_sig[EC_SIG_SIZE], const struct paychan_terms *t,
                          const struct outpoint *at, const struct paychan_close *c)
{
    uint8_t digest[32];
    paychan_close_digest(digest, t, at, c);
    return ec_verify_rs(t->payer_key, payer_sig, digest);
}

bool paychan_put_close(struct buf *out, const struct paychan_terms *t, const struct outpoint *at,
                       const struct paychan_close *c, const uint8_t payer_sig[EC_SIG_SIZE],
                       const uint8_t payee_secret[32], const uint8_t *more)
{
    struct spend s;
    struct buf script;
    uint8_t digest[32], sig[EC_SIG_SIZE];
    close_make(&s, t, at, c);
    paychan_close_digest(digest, t, at, c);
    const bool signed_by_us = more ? ec_sign_rs_with(sig, payee_secret, digest, more)
                                   : ec_sign_rs(sig, payee_secret, digest);
    buf_init(&script);
    script_put_op(&script, OP_0);
    const bool ok =
        signed_by_us && put_signature(&script, payer_sig) && put_signature(&script, sig);
    s.in.script = buf_span(&script);
    if (ok)
        tx_write(out, &s.tx);
    buf_clear(&script);
    return ok;
}

static bool pays_to(const struct tx_out *out, const uint8_t pkh[PAYCHAN_PKH_SIZE])
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    script_make_p2pkh(script, pkh);
    return out->value >= 0 && out->script.len == sizeof script &&
           memcmp(out->script.data, script, sizeof script) == 0;
}

/* The values of the outputs in their order; false: others are there. */
static bool read_outputs(const struct tx *tx, const struct paychan_terms *t, uint64_t *to_payee,
                         uint64_t *to_payer)
{
    size_t i = 0;
    *to_payee = *to_payer = 0;
    if (i < tx->n_out && pays_to(&tx->out[i], t->payee_pkh))
        *to_payee = (uint64_t)tx->out[i++].value;
    if (i < tx->n_out && pays_to(&tx->out[i], t->payer_pkh))
        *to_payer = (uint64_t)tx->out[i++].value;
    return i > 0 && i == tx->n_out;
}

static bool spends_alone(const struct tx *tx, const struct outpoint *at)
{
    return tx->n_in == 1 && outpoint_equal(&tx->in[0].prevout, at);
}

bool paychan_read_close(const struct tx *tx, const struct paychan_terms *t,
                        const struct outpoint *at, struct paychan_close *c)
{
    uint64_t to_payer;
    if (!spends_alone(tx, at) || tx->in[0].sequence != TX_SEQUENCE_FINAL ||
        !read_outputs(tx, t, &c->paid, &to_payer) || c->paid > t->capacity ||
        to_payer > t->capacity - c->paid)
        return false;
    c->fee = t->capacity - c->paid - to_payer;
    return true;
}

bool paychan_read_close_sig(const struct tx *tx, uint8_t payer_sig[EC_SIG_SIZE])
{
    const struct span script = tx->in[0].script;
    if (script.len < 2 || script.data[0] != OP_0)
        return false;
    const size_t len = script.data[1];
    return len >= 2 && len <= 73 && script.len >= 2 + len &&
           script.data[1 + len] == SIGHASH_TYPE &&
           ec_rs_from_der(payer_sig, script.data + 2, len - 1);
}

/* --- refund --- */

/* The script makes a signature of the digest whose first byte is one more: neither that nor the
 * last byte, which is the sign of the number, may run over. */
static bool digest_suits(const uint8_t digest[32])
{
    return digest[0] <= 0x7e && digest[31] <= 0x7f;
}

static bool find_preimage(struct buf *preimage, struct spend *s, const struct paychan_terms *t,
                          uint64_t value, uint8_t digest[32])
{
    struct buf lock;
    bool found = false;
    buf_init(&lock);
    paychan_put_lock(&lock, t);
    spend_pay(s, value, t->payer_pkh);
    for (uint64_t k = 0; !found && k < REFUND_TRIES && k < value; k++) {
        s->out[0].value = (int64_t)(value - k);
        buf_reset(preimage);
        put_preimage(preimage, s, buf_span(&lock), t->capacity);
        sha256d(digest, preimage->data, preimage->len);
        found = digest_suits(digest);
    }
    buf_clear(&lock);
    return found;
}

bool paychan_put_refund(struct buf *out, const struct paychan_terms *t, const struct outpoint *at,
                        uint64_t fee, uint32_t lock_time, const uint8_t payer_secret[32])
{
    struct spend s;
    struct buf preimage, script;
    uint8_t digest[32], sig[EC_SIG_SIZE];
    if (fee >= t->capacity || lock_time < t->expiry || lock_time > PAYCHAN_EXPIRY_MAX)
        return false;
    buf_init(&preimage);
    buf_init(&script);
    spend_init(&s, at, REFUND_SEQUENCE);
    s.tx.lock_time = lock_time;
    const bool ok = find_preimage(&preimage, &s, t, t->capacity - fee, digest) &&
                    ec_sign_rs(sig, payer_secret, digest) && put_signature(&script, sig);
    script_put_data(&script, preimage.data, preimage.len);
    s.in.script = buf_span(&script);
    if (ok)
        tx_write(out, &s.tx);
    buf_clear(&script);
    buf_clear(&preimage);
    return ok;
}
