/* Shared by keystore.c (records of the database) and keystore_crypt.c (encryption, secrets). */
#ifndef WALLET_KEYSTORE_INTERNAL_H
#define WALLET_KEYSTORE_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "wallet/keystore.h"

struct kv_batch;

struct keystore {
    struct kv *kv;
    struct keystore_options options;
    uint8_t id[KEYSTORE_ID_SIZE];
    pthread_mutex_t lock; /* over the rest and every change of the database */
    uint64_t changes;
    bool encrypted;
    uint8_t *master; /* secret memory; NULL: locked or not encrypted */
    int64_t until;   /* of the unlocking */
    int64_t mono_until_ms; /* the same by the clock that nobody sets */
};

/* A record with the memory it lies in. */
struct stored_record {
    struct buf name, value;
    struct key_record r;
    bool found;
};
void stored_init(struct stored_record *s);
void stored_clear(struct stored_record *s);
/* Into a struct after init. */
enum err stored_load(struct kv *kv, enum key_record_kind kind, struct span id,
                     struct stored_record *s, struct error *e) MUST_CHECK;

/* Add to a batch: a record, or its value as it is. */
void keystore_put(struct kv_batch *b, const struct key_record *r);
void keystore_put_value(struct kv_batch *b, enum key_record_kind kind, const struct buf *value);
/* Whether records of a kind are replaced and removed by themselves. */
bool keystore_changes_kind(enum key_record_kind kind);
/* Counts the change and writes it. */
enum err keystore_commit_locked(struct keystore *ks, struct kv_batch *b,
                                struct error *e) MUST_CHECK;

/*
 * A change after which the old content must leave the files of the database: a mark in the same
 * batch, a rewrite of the files, the removal of the mark. After a crash between, opening finds the
 * mark and finishes.
 */
enum err keystore_commit_and_scrub_locked(struct keystore *ks, struct kv_batch *b,
                                          struct error *e) MUST_CHECK;

#endif
