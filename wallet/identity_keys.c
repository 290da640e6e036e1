#include "wallet/identity_keys.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"
#include "wallet/brc42.h"
#include "wallet/hdpath.h"

#define PURPOSE 4342593 /* "BCA" */

enum { STEP_KEY, STEP_SEED };

/* No account of addresses has this number. */
enum { NUMBER_ACCOUNT = PURPOSE };

enum err identity_take_number(struct wallet *w, uint32_t *number, struct error *e)
{
    return keystore_next_index(wallet_keystore(w), NUMBER_ACCOUNT, KEYSTORE_RECEIVE, number, e);
}

static enum err hardened(struct hdkey *k, const struct hdkey *from, uint32_t index,
                         struct error *e)
{
    return hdkey_child(k, from, HDPATH_HARDENED | index, e);
}

/* Ways through the tree of the seed; in secret memory. */
struct way {
    struct keystore_seed seed;
    struct hdkey root, identity, leaf;
};

static enum err derive(struct way *y, uint32_t coin, uint32_t number, struct identity_secrets *out,
                       struct error *e)
{
    enum err rc = hdkey_master(&y->root, span_of(y->seed.seed, y->seed.seed_len), e);
    if (!rc)
        rc = hardened(&y->root, &y->root, PURPOSE, e);
    if (!rc)
        rc = hardened(&y->root, &y->root, coin, e);
    if (!rc)
        rc = hardened(&y->identity, &y->root, number, e);
    if (!rc)
        rc = hardened(&y->leaf, &y->identity, STEP_KEY, e);
    if (rc)
        return rc;
    memcpy(out->root, y->root.secret, sizeof out->root);
    memcpy(out->key, y->leaf.secret, sizeof out->key);
    memcpy(out->public_key, y->leaf.key, sizeof out->public_key);
    rc = hardened(&y->leaf, &y->identity, STEP_SEED, e);
    memcpy(out->seed, y->leaf.secret, sizeof out->seed);
    return rc;
}

enum err identity_secrets_get(struct wallet *w, uint32_t number, struct identity_secrets *out,
                              struct error *e)
{
    struct way *y = secret_alloc(sizeof *y);
    enum err rc = keystore_get_seed(wallet_keystore(w), &y->seed, e);
    if (!rc)
        rc = derive(y, wallet_params(w)->coin_type, number, out, e);
    if (rc)
        secure_wipe(out, sizeof *out);
    secret_free(y);
    return rc;
}

void identity_modifiers(const struct identity_secrets *s, unsigned n,
                        uint8_t out[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX])
{
    for (unsigned i = 0; i < n; i++)
        bca_modifier_derive(out + BCA_MODIFIER_SIZE * i, s->seed, (uint8_t)i);
}

bool identity_marker(uint8_t script[SCRIPT_P2PKH_SIZE], const uint8_t root[32],
                     const uint8_t modifier_root[32])
{
    const struct brc42_party self = { .who = BRC42_SELF };
    uint8_t key[EC_PUBKEY_SIZE], hash[20];
    struct buf invoice;
    buf_init(&invoice);
    buf_put_str(&invoice, "2-bca revocation-");
    buf_put_hex(&invoice, modifier_root, 32);
    const bool made = brc42_own_key(key, root, &self, buf_span(&invoice));
    buf_clear(&invoice);
    hash160(hash, key, sizeof key);
    script_make_p2pkh(script, hash);
    return made;
}

void identity_scripts(const struct identity_secrets *s, unsigned n,
                      uint8_t registration[BCA_REGISTRATION_SIZE],
                      uint8_t marker[SCRIPT_P2PKH_SIZE])
{
    uint8_t modifiers[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX];
    struct bca_modifier_tree tree;
    identity_modifiers(s, n, modifiers);
    bca_modifier_tree_make(&tree, modifiers, n);
    bca_registration_put(registration, s->public_key, bca_modifier_tree_root(&tree));
    BUG_ON(!identity_marker(marker, s->root, bca_modifier_tree_root(&tree)));
    secure_wipe(modifiers, sizeof modifiers);
}
