/* What the files of a wallet share: wallet.c, wallet_keys.c, wallet_import.c, wallet_secrets.c,
 * wallet_chain.c, wallet_send.c. */
#ifndef WALLET_WALLET_INTERNAL_H
#define WALLET_WALLET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "script/template.h"
#include "wallet/pick.h"
#include "wallet/scripts.h"
#include "wallet/wallet.h"

struct kv;

enum { WALLET_ACCOUNT = 0, WALLET_BRANCHES = 2 /* of an account */ };

/* Flag of a KEY_RECORD_XPUB record, on disk: the wallet's own account. Others are watched. */
enum { WALLET_XPUB_OWN = 1 };
/* Flag of a KEY_RECORD_SECRET record, on disk: it came with a payment (payments.h). */
enum { WALLET_SECRET_OF_PAYMENT = 1 };

/* Keys that follow one another. Of a watched extended key, account is a number of 2^31 and more
 * that follows from it: the key store holds the next index under that. */
struct wallet_branch {
    struct hdkey key;   /* public */
    uint32_t account;
    enum keystore_branch which;
    uint32_t n_made;    /* keys in the table */
    uint32_t next;      /* as the key store has it, or what was seen since */
    bool seen;          /* the key store is behind */
};

/* Whom a script belongs to: the id of an owner is the place of one of these. */
struct wallet_entry {
    uint32_t branch, index; /* when derived */
    bool derived, spendable;
    bool of_payment;  /* see struct wallet_key */
    uint8_t key_len;  /* 0: a watched script */
    uint8_t key[EC_PUBKEY_MAX];
};

/* A block that is being told. */
struct wallet_feed {
    bool open;
    struct wallet_block block;
    struct history_block_tx *txs; /* those that were picked; each tx is a reference, or kept */
    size_t n, cap;
    size_t bytes;     /* of those that are held */
    bool passed_over; /* a transaction that was not picked */
    bool again;       /* keys were made after that */
    bool given;       /* and they were given out, or wanted by somebody */
};

struct wallet {
    atomic_uint refs;
    char *name;
    struct wallet_params p;
    int64_t birth;
    pthread_mutex_t lock; /* over what follows; recursive */
    struct kv *keys_kv;
    struct keystore *ks;
    struct scripts *scripts;
    struct history *history;
    struct pick *pick;
    struct wallet_branch *branches; /* the wallet's own two, then those that are watched */
    size_t n_branches;
    struct wallet_entry *entries;
    size_t n_entries, entries_cap;
    struct wallet_feed feed;
    uint32_t reserve; /* keys beyond the look-ahead when a block begins */
};

/* Seed and account, or the records of a backup, into an empty database; encrypted first when there
 * is a passphrase, so that no secret lies plain on the disk at any time. */
enum err wallet_make_keys(struct kv *kv, const struct wallet_params *p,
                          const struct wallet_new *how, struct error *e) MUST_CHECK;
/* Both databases are owned from now on, also after an error. */
enum err wallet_open_stores(struct wallet **out, struct kv *keys, struct kv *coins,
                            const char *name, const struct wallet_params *p,
                            struct error *e) MUST_CHECK;

/* --- wallet_keys.c --- */

/* Account 0 of a seed, with its secret. The caller wipes. */
enum err wallet_account_key(struct hdkey *out, const struct wallet_params *p, struct span seed,
                            struct error *e) MUST_CHECK;
/* Fills the table of scripts from the key store; cache: where derived keys are kept. */
enum err wallet_load_keys(struct wallet *w, struct kv *cache, struct error *e) MUST_CHECK;
/* What the outputs of a transaction show. */
struct wallet_sight {
    bool pays_us;
    bool made; /* keys were added to the table */
};
/* An output script was seen in a transaction: when it is of a derived key, the table is filled
 * beyond it. */
enum err wallet_see_script(struct wallet *w, struct span script, struct wallet_sight *seen,
                           struct error *e) MUST_CHECK;
/* The look-ahead is longer by the reserve, in the wallet's own branches. */
enum err wallet_fill_reserve(struct wallet *w, struct error *e) MUST_CHECK;
/* What was seen is on disk: no such key is given out. */
enum err wallet_store_seen(struct wallet *w, struct error *e) MUST_CHECK;
bool wallet_find_key_locked(const struct wallet *w, struct span script, struct wallet_key *out);

/* What is imported, into the table. */
enum err wallet_add_key(struct wallet *w, const struct wallet_entry *entry,
                        struct error *e) MUST_CHECK;
enum err wallet_add_script(struct wallet *w, struct span script, struct error *e) MUST_CHECK;
/* Two branches more, of an extended key and its usual text; without keys yet. */
enum err wallet_watch_branches(struct wallet *w, const char *text, const struct hdkey *key,
                               struct error *e) MUST_CHECK;
/* Keys of the branches from this one on. */
enum err wallet_fill_branches(struct wallet *w, size_t from, struct error *e) MUST_CHECK;

/* --- wallet_secrets.c --- */

/* Secrets of many keys; in secret memory, free wipes. */
struct wallet_secrets;
enum err wallet_secrets_open(struct wallet_secrets **out, struct wallet *w,
                             struct error *e) MUST_CHECK;
enum err wallet_secrets_get(struct wallet_secrets *s, const struct wallet_key *k, uint8_t out[32],
                            struct error *e) MUST_CHECK;
void wallet_secrets_free(struct wallet_secrets *s); /* NULL is fine */

#endif
