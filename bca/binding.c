#include "bca/binding.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/kdf.h"
#include "bca/address.h"
#include "bca/registration.h"

static const char bind_tag[] = "BCA bind v1";
static const char session_tag[] = "BCA session v1";

void bca_bind(uint8_t out[32], const struct bca_bound *initiator, const struct bca_bound *responder)
{
    static const uint8_t no_address[BCA_ADDRESS_SIZE];
    const struct bca_bound *side[] = { initiator, responder };
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, bind_tag, sizeof bind_tag - 1);
    for (int i = 0; i < 2; i++)
        sha256_update(&ctx, side[i]->ephemeral, BCA_PUBLIC_KEY_SIZE);
    for (int i = 0; i < 2; i++)
        sha256_update(&ctx, side[i]->address ? side[i]->address : no_address, BCA_ADDRESS_SIZE);
    for (int i = 0; i < 2; i++) {
        uint8_t hash[32];
        sha256(hash, side[i]->params.data, side[i]->params.len);
        sha256_update(&ctx, hash, sizeof hash);
    }
    sha256_final(&ctx, out);
}

/* X(secret, key), appended to *material; nothing when one is left out. */
static bool agree(uint8_t *material, size_t *len, const uint8_t *secret, const uint8_t *key)
{
    if (!secret || !key)
        return true;
    const bool ok = ec_ecdh_x(material + *len, key, BCA_PUBLIC_KEY_SIZE, secret);
    *len += 32;
    return ok;
}

/* ee, then es (the responder's static key), then se (the initiator's). */
static bool agree_all(uint8_t material[96], size_t *len, const struct bca_exchange *x)
{
    const bool begins = x->role == BCA_INITIATOR;
    *len = 0;
    if (!x->ephemeral_secret || !x->their_ephemeral_key ||
        !agree(material, len, x->ephemeral_secret, x->their_ephemeral_key))
        return false;
    for (int is_es = 1; is_es >= 0; is_es--) {
        const bool with_our_ephemeral = begins == (is_es == 1);
        if (!agree(material, len, with_our_ephemeral ? x->ephemeral_secret : x->static_secret,
                   with_our_ephemeral ? x->their_static_key : x->their_ephemeral_key))
            return false;
    }
    return true;
}

bool bca_session_keys_make(struct bca_session_keys *out, const uint8_t bind[32],
                           const struct bca_exchange *x)
{
    uint8_t material[96], keys[2][32];
    size_t len;
    const bool ok = agree_all(material, &len, x) &&
                    hkdf_sha256(keys[0], sizeof keys, span_of(bind, 32), span_of(material, len),
                                span_of(session_tag, sizeof session_tag - 1));
    *out = (struct bca_session_keys){ .to_responder = { 0 } };
    if (ok) {
        memcpy(out->to_responder, keys[0], sizeof keys[0]);
        memcpy(out->to_initiator, keys[1], sizeof keys[1]);
    }
    secure_wipe(material, sizeof material);
    secure_wipe(keys, sizeof keys);
    return ok;
}
