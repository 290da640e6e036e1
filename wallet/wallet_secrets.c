/* Private keys, derived from the seed or read from the key store, and the phrase. */
#include <config.h>

#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "wallet/mnemonic.h"
#include "wallet/wallet_internal.h"

struct wallet_secrets {
    struct wallet *w;
    struct hdkey branch[WALLET_BRANCHES];
    struct hdkey account, child;
    struct keystore_seed seed;
};

enum err wallet_secrets_open(struct wallet_secrets **out, struct wallet *w, struct error *e)
{
    struct wallet_secrets *s = (struct wallet_secrets *)secret_alloc(sizeof *s);
    s->w = w;
    enum err rc = keystore_get_seed(w->ks, &s->seed, e);
    if (!rc)
        rc = wallet_account_key(&s->account, &w->p, span_of(s->seed.seed, s->seed.seed_len), e);
    for (uint32_t i = 0; !rc && i < WALLET_BRANCHES; i++)
        rc = hdkey_child(&s->branch[i], &s->account, i, e);
    if (rc) {
        wallet_secrets_free(s);
        return rc;
    }
    *out = s;
    return OK;
}

void wallet_secrets_free(struct wallet_secrets *s)
{
    secret_free(s);
}

enum err wallet_secrets_get(struct wallet_secrets *s, const struct wallet_key *k, uint8_t out[32],
                            struct error *e)
{
    if (!k->spendable || !k->key_len)
        return error_set(e, ERR_NOTFOUND, "the wallet watches this and has no key for it");
    if (!k->derived)
        return keystore_get_secret(s->w->ks, span_of(k->key, k->key_len), out, e);
    enum err rc = hdkey_child(&s->child, &s->branch[k->branch], k->index, e);
    if (!rc && !mem_equal_var(s->child.key, k->key, EC_PUBKEY_SIZE))
        rc = error_set(e, ERR_CORRUPT, "the seed of the wallet is not that of its addresses");
    if (!rc)
        memcpy(out, s->child.secret, 32);
    return rc;
}

enum err wallet_get_secret(struct wallet *w, const struct wallet_key *k, uint8_t out[32],
                           struct error *e)
{
    struct wallet_secrets *s = NULL;
    wallet_lock(w);
    enum err rc = wallet_secrets_open(&s, w, e);
    if (!rc)
        rc = wallet_secrets_get(s, k, out, e);
    wallet_secrets_free(s);
    wallet_unlock(w);
    return rc;
}

enum err wallet_phrase(struct wallet *w, char *out, size_t room, struct error *e)
{
    struct keystore_seed *seed = (struct keystore_seed *)secret_alloc(sizeof *seed);
    char text[MNEMONIC_TEXT_MAX];
    enum err rc = keystore_get_seed(w->ks, seed, e);
    if (!rc && !seed->entropy_len)
        rc = error_set(e, ERR_NOTFOUND, "the seed of the wallet did not come from a phrase");
    if (!rc)
        rc = mnemonic_encode(text, seed->entropy, seed->entropy_len, e);
    if (!rc && strlen(text) >= room)
        rc = error_set(e, ERR_RANGE, "no room for the phrase");
    if (!rc)
        memcpy(out, text, strlen(text) + 1);
    secure_wipe(text, sizeof text);
    secret_free(seed);
    return rc;
}
