/*
 * What this machine announces of its own identities: how far, and the last record of each. It
 * belongs to the machine and not to a wallet: a copy of a wallet must not announce its identities
 * from another host. Kept in the store of records (bca_store.h), synced before a function returns,
 * so that no number is used twice.
 *
 *   o | key   mode 1 | flags 1 | seq 8 | wallet, identity (compact lengths) | record
 *
 * Any thread.
 */
#ifndef P2P_BCA_OWN_H
#define P2P_BCA_OWN_H

#include "p2p/bca_store.h"

#define BCA_OWN_MAX 256
#define BCA_OWN_NAME_MAX 64

/* On disk: never renumbered. */
enum bca_publication {
    BCA_PRIVATE,  /* no record, but the one by which it may have left */
    BCA_CONTACTS, /* given to contacts over their sessions */
    BCA_PUBLIC,
    BCA_PUBLICATIONS
};
const char *bca_publication_name(enum bca_publication mode);
bool bca_publication_of(const char *name, enum bca_publication *mode);

struct bca_own {
    uint8_t key[IDENTITY_KEY_SIZE];
    enum bca_publication mode;
    bool doubled; /* somebody else signs with its key: nothing more is announced */
    bool open;    /* its last record is for everybody, not for contacts alone */
    uint64_t seq; /* of its last record */
    char wallet[BCA_OWN_NAME_MAX + 1], name[BCA_OWN_NAME_MAX + 1];
    uint8_t record[BCA_RECORD_MAX];
    size_t record_len; /* 0: none was made */
};

/* One piece of work on own records at a time, before any lock of a wallet. */
void bca_own_begin(struct bca_store *s);
void bca_own_end(struct bca_store *s);

/* A copy; false: nothing is known of the key. */
bool bca_own_get(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct bca_own *out);
/* Copies of all, in no order; the caller's to free(). ERR_NOMEM. */
enum err bca_own_list(struct bca_store *s, struct bca_own **out, size_t *n,
                      struct error *e) MUST_CHECK;
/* By what their records are asked for, in no order; room for BCA_OWN_MAX. Returns how many.
 * Memory. */
size_t bca_own_record_keys(struct bca_store *s, uint8_t (*record_keys)[32]);
/* Adds or replaces. ERR_RANGE: there are BCA_OWN_MAX. */
enum err bca_own_put(struct bca_store *s, const struct bca_own *own, struct error *e) MUST_CHECK;

/* Another machine goes on with it. */
enum err bca_own_forget(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE],
                        struct error *e) MUST_CHECK;

/*
 * The record by which contacts find an identity of ours, for their sessions (announce, kind
 * direct): its last one, unless it never was announced. out is initialized. False: there is none.
 */
bool bca_own_record(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *out);

/*
 * A record with a valid signature of its key was seen. When the key is ours and the number none
 * that we gave, or that of our last record, which is another one, it is marked doubled and *doubled
 * set.
 */
enum err bca_own_see(struct bca_store *s, const struct bca_record *r, struct span raw,
                     bool *doubled, struct error *e) MUST_CHECK;

#endif
