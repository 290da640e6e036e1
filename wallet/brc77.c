#include "wallet/brc77.h"

#include <string.h>

#include "base/rand.h"
#include "base/reader.h"
#include "wallet/brc2.h"
#include "wallet/brc42.h"

static const uint8_t version[4] = { 0x42, 0x42, 0x33, 0x01 };
static const char protocol[] = "message signing";

enum err brc77_read(struct brc77 *s, struct span data, struct error *e)
{
    uint8_t head[sizeof version];
    struct reader r;
    memset(s, 0, sizeof *s);
    reader_init(&r, data.data, data.len);
    read_copy(&r, head, sizeof head);
    if (!mem_equal_var(head, version, sizeof version))
        return error_set(e, ERR_PARSE, "a signed message begins with 42423301");
    read_copy(&r, s->signer, sizeof s->signer);
    s->for_anyone = r.left && *r.p == 0;
    read_copy(&r, s->verifier, s->for_anyone ? 1 : sizeof s->verifier);
    read_copy(&r, s->key_id, sizeof s->key_id);
    if (r.failed || r.left == 0)
        return error_set(e, ERR_PARSE, "the signed message is cut off");
    if (r.left > sizeof s->sig)
        return error_set(e, ERR_PARSE, "the signature has %zu bytes, more than %d", r.left,
                         BRC77_SIG_MAX);
    s->sig_len = r.left;
    read_copy(&r, s->sig, s->sig_len);
    if (!ec_pubkey_valid(s->signer, sizeof s->signer))
        return error_set(e, ERR_PARSE, "the signer's key is no key");
    if (!s->for_anyone && !ec_pubkey_valid(s->verifier, sizeof s->verifier))
        return error_set(e, ERR_PARSE, "the verifier's key is no key");
    return OK;
}

void brc77_write(struct buf *out, const struct brc77 *s)
{
    buf_put(out, version, sizeof version);
    buf_put(out, s->signer, sizeof s->signer);
    buf_put(out, s->verifier, s->for_anyone ? 1 : sizeof s->verifier);
    buf_put(out, s->key_id, sizeof s->key_id);
    buf_put(out, s->sig, s->sig_len);
}

enum err brc77_sign(struct brc77 *s, const uint8_t signer[32], const uint8_t *verifier,
                    struct span message, struct error *e)
{
    struct brc42_party party = { .who = BRC42_ANYONE };
    struct buf invoice;
    *s = (struct brc77){ .for_anyone = verifier == NULL };
    if (verifier) {
        memcpy(s->verifier, verifier, sizeof s->verifier);
        party = brc42_other(verifier);
    }
    const enum err rc = rand_secret(s->key_id, sizeof s->key_id, e);
    if (rc)
        return rc;
    buf_init(&invoice);
    brc43_message_invoice(&invoice, protocol, s->key_id);
    if (ec_pubkey_of(s->signer, signer))
        s->sig_len = brc3_sign(s->sig, signer, &party, buf_span(&invoice), message);
    buf_clear(&invoice);
    if (s->sig_len)
        return OK;
    return error_set(e, ERR_RANGE, "the key of the signer or of the verifier is no key");
}

/* The secret to check with, or NULL when s is not for its holder. */
static const uint8_t *verifier_secret(const struct brc77 *s, const uint8_t *secret)
{
    uint8_t key[EC_PUBKEY_SIZE];
    if (s->for_anyone)
        return brc42_anyone_secret;
    if (!secret || !ec_pubkey_of(key, secret))
        return NULL;
    return mem_equal_var(key, s->verifier, sizeof key) ? secret : NULL;
}

enum err brc77_verify(bool *valid, const struct brc77 *s, const uint8_t *secret,
                      struct span message, struct error *e)
{
    const struct brc42_party party = brc42_other(s->signer);
    struct buf invoice;
    *valid = false;
    const uint8_t *own = verifier_secret(s, secret);
    if (!own)
        return error_set(e, ERR_AUTH, "the message was signed for another verifier");
    buf_init(&invoice);
    brc43_message_invoice(&invoice, protocol, s->key_id);
    *valid = brc3_verify(own, &party, buf_span(&invoice), message, span_of(s->sig, s->sig_len));
    buf_clear(&invoice);
    return OK;
}
