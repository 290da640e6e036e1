#include "wallet/brc29.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "wallet/brc42.h"
#include "wallet/brc43.h"

#define PROTOCOL "3241645161d8"
#define LEVEL 2

bool brc29_part_valid(struct span part)
{
    if (part.len == 0 || part.len > BRC29_PART_MAX)
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (part.data[i] <= ' ' || part.data[i] > '~')
            return false;
    return true;
}

enum err brc29_new_part(struct buf *out, struct error *e)
{
    uint8_t random[16];
    const enum err rc = rand_secret(random, sizeof random, e);
    if (!rc)
        base64_encode(out, random, sizeof random);
    return rc;
}

static enum err put_invoice(struct buf *out, const struct brc29_place *place, struct error *e)
{
    struct buf key_id;
    if (!brc29_part_valid(place->prefix) || !brc29_part_valid(place->suffix))
        return error_set(e, ERR_RANGE,
                         "prefix and suffix have 1 to %d characters of ASCII and no blank",
                         BRC29_PART_MAX);
    buf_init(&key_id);
    buf_put(&key_id, place->prefix.data, place->prefix.len);
    buf_put_u8(&key_id, ' ');
    buf_put(&key_id, place->suffix.data, place->suffix.len);
    const enum err rc = brc43_invoice(out, LEVEL, span_of(PROTOCOL, strlen(PROTOCOL)),
                                      buf_span(&key_id), BRC43_ACCEPT, e);
    buf_clear(&key_id);
    return rc;
}

static enum err no_key(struct error *e)
{
    return error_set(e, ERR_RANGE, "no key can be derived: the identity key of the other side is "
                                   "none");
}

enum err brc29_key_of_payee(uint8_t key[EC_PUBKEY_SIZE], const uint8_t sender_secret[32],
                            const uint8_t payee[EC_PUBKEY_SIZE], const struct brc29_place *place,
                            struct error *e)
{
    const struct brc42_party party = brc42_other(payee);
    struct buf invoice;
    buf_init(&invoice);
    enum err rc = put_invoice(&invoice, place, e);
    if (!rc && !brc42_their_key(key, sender_secret, &party, buf_span(&invoice)))
        rc = no_key(e);
    buf_clear(&invoice);
    return rc;
}

enum err brc29_secret(uint8_t secret[32], const uint8_t payee_secret[32],
                      const uint8_t sender[EC_PUBKEY_SIZE], const struct brc29_place *place,
                      struct error *e)
{
    const struct brc42_party party = brc42_other(sender);
    struct buf invoice;
    memset(secret, 0, 32);
    buf_init(&invoice);
    enum err rc = put_invoice(&invoice, place, e);
    if (!rc && !brc42_own_secret(secret, payee_secret, &party, buf_span(&invoice)))
        rc = no_key(e);
    buf_clear(&invoice);
    return rc;
}
