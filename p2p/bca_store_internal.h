/* What the files of the store share. */
#ifndef P2P_BCA_STORE_INTERNAL_H
#define P2P_BCA_STORE_INTERNAL_H

#include <pthread.h>

#include "base/hash.h"
#include "base/kv.h"
#include "base/map.h"
#include "p2p/bca_store.h"

#define BCA_ROW_RECORD 'r'
#define BCA_ROW_SEQ 's'
#define BCA_ROW_OWN 'o'

struct bca_own;

struct bca_store {
    struct kv *kv;
    pthread_mutex_t making;  /* of bca_own_begin; taken first of all */
    pthread_mutex_t writing; /* whoever changes anything holds it, over the disk; taken first */
    pthread_mutex_t lock;    /* of what is in memory, never held over the disk */
    struct bca_index *index;
    struct siphash_key key;
    struct map contacts;     /* struct contact */
    struct bca_own *own; /* bca_own.c */
    size_t n_own, own_cap;
    size_t swept;            /* where bca_store_expire goes on */
    struct { bca_news_fn fn; void *ctx; } listeners[BCA_STORE_LISTENERS];
    size_t n_listeners;
};

/* bca_own.c, of bca_store_open and _close. */
enum err bca_own_load(struct bca_store *s, struct error *e) MUST_CHECK;
void bca_own_clear(struct bca_store *s);

#endif
