#include <config.h>

#include "node/key_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"

struct key_copy *key_copy_new(const struct identity_secrets *s, const char *wallet)
{
    struct key_copy *k = xcalloc(1, sizeof(*k));
    atomic_init(&k->refs, 1);
    pthread_mutex_init(&k->lock, NULL);
    k->bytes = secret_alloc(sizeof s->key);
    memcpy(k->bytes, s->key, sizeof s->key);
    memcpy(k->pub, s->public_key, sizeof k->pub);
    (void)snprintf(k->wallet, sizeof k->wallet, "%s", wallet);
    return k;
}

void key_copy_wipe(struct key_copy *k)
{
    pthread_mutex_lock(&k->lock);
    secret_free(k->bytes);
    k->bytes = NULL;
    pthread_mutex_unlock(&k->lock);
}

struct key_copy *key_copy_ref(struct key_copy *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void key_copy_unref(struct key_copy *k)
{
    if (atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    key_copy_wipe(k);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    struct key_copy *k = ctx;
    pthread_mutex_lock(&k->lock);
    const bool done = k->bytes && ec_ecdh_sha256(out, their_key, k->bytes);
    pthread_mutex_unlock(&k->lock);
    return done;
}

static bool sign(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    struct key_copy *k = ctx;
    uint8_t digest[32];
    if (strncmp(tag, IDENTITY_TAG_PREFIX, strlen(IDENTITY_TAG_PREFIX)) != 0)
        return false;
    sha256_tagged(digest, tag, text.data, text.len);
    pthread_mutex_lock(&k->lock);
    const bool done = k->bytes && ec_sign_rs(sig, k->bytes, digest);
    pthread_mutex_unlock(&k->lock);
    return done;
}

struct identity_key key_copy_use(struct key_copy *k)
{
    struct identity_key key = { .noise_dh = noise_dh, .sign = sign, .ctx = k };
    memcpy(key.pub, k->pub, sizeof key.pub);
    return key;
}
