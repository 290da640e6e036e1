/*
 * A copy of the key of an identity, in memory for secrets, which sessions use after the wallet that
 * gave it has been locked by time. Who signs or agrees on a secret holds the copy's lock, so that
 * after a wipe nobody has the bytes; what is wiped refuses. Any thread; number and used are the
 * owner's.
 */
#ifndef NODE_KEY_COPY_H
#define NODE_KEY_COPY_H

#include <pthread.h>
#include <stdatomic.h>

#include "p2p/identity_key.h"
#include "wallet/identity.h"
#include "wallet/wallets.h"

struct key_copy {
    atomic_uint refs;
    pthread_mutex_t lock;
    uint8_t *bytes;  /* NULL: wiped */
    uint8_t pub[IDENTITY_KEY_SIZE];
    char wallet[WALLET_NAME_MAX + 1];
    uint64_t number; /* tells it from others of the same key */
    bool used;       /* by the identities that are being collected */
};

struct key_copy *key_copy_new(const struct identity_secrets *s, const char *wallet);
struct key_copy *key_copy_ref(struct key_copy *k);
void key_copy_unref(struct key_copy *k); /* the last one wipes */
void key_copy_wipe(struct key_copy *k);
/* The key, as long as there is a reference. */
struct identity_key key_copy_use(struct key_copy *k);

#endif
