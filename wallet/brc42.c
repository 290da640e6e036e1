#include "wallet/brc42.h"

#include <string.h>

#include "base/hash.h"

const uint8_t brc42_anyone_secret[32] = { [31] = 1 };

struct brc42_party brc42_other(const uint8_t key[EC_PUBKEY_SIZE])
{
    struct brc42_party party = { .who = BRC42_OTHER };
    memcpy(party.key, key, sizeof party.key);
    return party;
}

static bool party_key(uint8_t out[EC_PUBKEY_SIZE], const uint8_t own[32],
                      const struct brc42_party *party)
{
    switch (party->who) {
    case BRC42_SELF:
        return ec_pubkey_of(out, own);
    case BRC42_ANYONE:
        return ec_pubkey_of(out, brc42_anyone_secret);
    case BRC42_OTHER:
        break;
    }
    memcpy(out, party->key, EC_PUBKEY_SIZE);
    return true;
}

/* The number both sides add. */
static bool shared_tweak(uint8_t tweak[32], const uint8_t own[32],
                         const uint8_t key[EC_PUBKEY_SIZE], struct span invoice)
{
    uint8_t shared[EC_PUBKEY_SIZE];
    const bool ok = ec_ecdh_point(shared, key, EC_PUBKEY_SIZE, own);
    hmac_sha256(tweak, shared, sizeof shared, invoice.data, invoice.len);
    secure_wipe(shared, sizeof shared);
    return ok;
}

bool brc42_own_secret(uint8_t child[32], const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice)
{
    uint8_t key[EC_PUBKEY_SIZE], tweak[32], sum[32];
    memcpy(sum, own, sizeof sum);
    const bool ok = party_key(key, own, party) && shared_tweak(tweak, own, key, invoice) &&
                    ec_seckey_tweak_add(sum, tweak);
    if (!ok)
        secure_wipe(sum, sizeof sum);
    memcpy(child, sum, sizeof sum);
    secure_wipe(tweak, sizeof tweak);
    secure_wipe(sum, sizeof sum);
    return ok;
}

bool brc42_own_key(uint8_t child[EC_PUBKEY_SIZE], const uint8_t own[32],
                   const struct brc42_party *party, struct span invoice)
{
    uint8_t secret[32];
    bool ok = brc42_own_secret(secret, own, party, invoice);
    ok = ec_pubkey_of(child, secret) && ok;
    secure_wipe(secret, sizeof secret);
    return ok;
}

bool brc42_their_key(uint8_t child[EC_PUBKEY_SIZE], const uint8_t own[32],
                     const struct brc42_party *party, struct span invoice)
{
    uint8_t tweak[32];
    const bool ok = party_key(child, own, party) && shared_tweak(tweak, own, child, invoice) &&
                    ec_pubkey_tweak_add(child, tweak);
    if (!ok)
        memset(child, 0, EC_PUBKEY_SIZE);
    secure_wipe(tweak, sizeof tweak);
    return ok;
}

bool brc42_symmetric_key(uint8_t out[32], const uint8_t own[32], const struct brc42_party *party,
                         struct span invoice)
{
    uint8_t secret[32], key[EC_PUBKEY_SIZE];
    bool ok = brc42_own_secret(secret, own, party, invoice);
    ok = brc42_their_key(key, own, party, invoice) && ok;
    ok = ec_ecdh_x(out, key, sizeof key, secret) && ok;
    secure_wipe(secret, sizeof secret);
    return ok;
}
