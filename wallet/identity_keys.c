#include "wallet/identity_keys.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/secret.h"
#include "wallet/brc42.h"
#include "wallet/hdpath.h"

#define PURPOSE 4342593 /* "BCA" */

enum { STEP_KEY };

/* No account of addresses has this number. */
enum { NUMBER_ACCOUNT = PURPOSE, SKIPPED = 100, GAP = 3 * SKIPPED };

enum err identity_take_number(struct keystore *ks, uint32_t *number, struct error *e)
{
    return keystore_next_index(ks, NUMBER_ACCOUNT, KEYSTORE_RECEIVE, number, e);
}

enum err identity_skip_numbers(struct keystore *ks, struct error *e)
{
    uint32_t next;
    enum err rc = keystore_peek_index(ks, NUMBER_ACCOUNT, KEYSTORE_RECEIVE, &next, e);
    if (rc)
        return rc;
    return keystore_raise_index(ks, NUMBER_ACCOUNT, KEYSTORE_RECEIVE, next + SKIPPED, e);
}

enum err identity_last_number(struct keystore *ks, uint32_t *n, struct error *e)
{
    const enum err rc = keystore_peek_index(ks, NUMBER_ACCOUNT, KEYSTORE_RECEIVE, n, e);
    if (!rc)
        *n += GAP;
    return rc;
}

enum err identity_number_taken(struct keystore *ks, uint32_t number, struct error *e)
{
    return keystore_raise_index(ks, NUMBER_ACCOUNT, KEYSTORE_RECEIVE, number + 1, e);
}

/* --- secrets -------------------------------------------------------------------------------- */

static bool public_key_of(uint8_t out[EC_PUBKEY_SIZE], const uint8_t secret[32])
{
    uint8_t key[EC_PUBKEY_MAX];
    const bool good = ec_pubkey_create(key, secret, true) == EC_PUBKEY_SIZE;
    memcpy(out, key, EC_PUBKEY_SIZE);
    return good;
}

bool identity_secrets_read(struct identity_secrets *out, const uint8_t in[IDENTITY_SECRETS_SIZE])
{
    memcpy(out->key, in, 32);
    memcpy(out->seed, in + 32, 32);
    memcpy(out->marker, in + 64, 32);
    return public_key_of(out->public_key, out->key);
}

void identity_secrets_write(uint8_t out[IDENTITY_SECRETS_SIZE], const struct identity_secrets *s)
{
    memcpy(out, s->key, 32);
    memcpy(out + 32, s->seed, 32);
    memcpy(out + 64, s->marker, 32);
}

void identity_modifiers(const struct identity_secrets *s, unsigned n,
                        uint8_t out[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX])
{
    for (unsigned i = 0; i < n; i++)
        bca_modifier_derive(out + BCA_MODIFIER_SIZE * i, s->seed, (uint8_t)i);
}

static void modifier_root(const struct identity_secrets *s, unsigned n, uint8_t out[32])
{
    uint8_t modifiers[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX];
    struct bca_modifier_tree tree;
    identity_modifiers(s, n, modifiers);
    bca_modifier_tree_make(&tree, modifiers, n);
    memcpy(out, bca_modifier_tree_root(&tree), 32);
    secure_wipe(modifiers, sizeof modifiers);
}

bool identity_marker(uint8_t secret[32], const uint8_t root[32], const uint8_t of[32])
{
    const struct brc42_party self = { .who = BRC42_SELF };
    struct buf invoice;
    buf_init(&invoice);
    buf_put_str(&invoice, "2-bca revocation-");
    buf_put_hex(&invoice, of, 32);
    const bool made = brc42_own_secret(secret, root, &self, buf_span(&invoice));
    buf_clear(&invoice);
    return made;
}

bool identity_marker_script(const struct identity_secrets *s, uint8_t marker[SCRIPT_P2PKH_SIZE])
{
    uint8_t key[EC_PUBKEY_SIZE];
    const bool good = public_key_of(key, s->marker);
    script_make_for_key(marker, span_of(key, sizeof key));
    return good;
}

bool identity_scripts(const struct identity_secrets *s, unsigned n,
                      uint8_t registration[BCA_REGISTRATION_SIZE],
                      uint8_t marker[SCRIPT_P2PKH_SIZE])
{
    uint8_t root[32];
    modifier_root(s, n, root);
    bca_registration_put(registration, s->public_key, root);
    return identity_marker_script(s, marker);
}

/* --- out of the wallet's seed --------------------------------------------------------------- */

static enum err hardened(struct hdkey *k, const struct hdkey *from, uint32_t index,
                         struct error *e)
{
    return hdkey_child(k, from, HDPATH_HARDENED | index, e);
}

struct identity_tree {
    struct keystore_seed seed;
    struct hdkey root, leaf;
};

static enum err derive_root(struct identity_tree *t, uint32_t coin, struct error *e)
{
    enum err rc = hdkey_master(&t->root, span_of(t->seed.seed, t->seed.seed_len), e);
    if (!rc)
        rc = hardened(&t->root, &t->root, PURPOSE, e);
    return rc ? rc : hardened(&t->root, &t->root, coin, e);
}

enum err identity_tree_open(struct identity_tree **out, struct wallet *w, struct error *e)
{
    struct identity_tree *t = secret_alloc(sizeof *t);
    enum err rc = keystore_get_seed(wallet_keystore(w), &t->seed, e);
    if (!rc)
        rc = derive_root(t, wallet_params(w)->coin_type, e);
    if (rc)
        secret_free(t);
    else
        *out = t;
    return rc;
}

void identity_tree_free(struct identity_tree *t)
{
    secret_free(t);
}

enum err identity_tree_key(struct identity_tree *t, uint32_t number, struct identity_secrets *out,
                           struct error *e)
{
    enum err rc = hardened(&t->leaf, &t->root, number, e);
    if (!rc)
        rc = hardened(&t->leaf, &t->leaf, STEP_KEY, e);
    if (rc)
        return rc;
    memcpy(out->key, t->leaf.secret, sizeof out->key);
    memcpy(out->public_key, t->leaf.key, sizeof out->public_key);
    return OK;
}

void identity_tree_marker(const struct identity_tree *t, const uint8_t of[32],
                          struct identity_secrets *out)
{
    BUG_ON(!identity_marker(out->marker, t->root.secret, of));
}

enum err identity_secrets_make(struct wallet *w, uint32_t number, unsigned n,
                               struct identity_secrets *out, struct error *e)
{
    struct identity_tree *t = NULL;
    uint8_t root[32];
    enum err rc = identity_tree_open(&t, w, e);
    if (!rc)
        rc = identity_tree_key(t, number, out, e);
    if (!rc)
        rc = rand_secret(out->seed, sizeof out->seed, e);
    if (!rc) {
        modifier_root(out, n, root);
        identity_tree_marker(t, root, out);
    }
    identity_tree_free(t);
    return rc;
}
