/*
 * The contacts of a user: the keys that belong to somebody, under a name, with what this somebody
 * may do (spec channels 0, 2.7). All of them are in memory, at most CONTACTS_MAX; changes are
 * handed to the store and count when they are on disk. Sessions, messages, files and permissions
 * belong to a contact, whose key may change while former keys stay known.
 *
 * On disk, key 'c' | id 8 big-endian: see contacts_codec.c; 'c' alone: the next id. Channel thread
 * (channels.h).
 */
#ifndef P2P_CONTACTS_H
#define P2P_CONTACTS_H

#include "p2p/bca_record.h"
#include "p2p/dchan_store.h"

enum {
    CONTACTS_MAX = 10000,
    CONTACT_ALIAS_MAX = 64,        /* bytes of UTF-8, no control characters */
    CONTACT_FORMER_MAX = 16,       /* keys, and statements */
    CONTACT_ADDRESSES_MAX = 4,
    CONTACT_IDENTITY_MAX = 64,
};

struct contact_address {
    uint8_t address[BCA_ADDRESS_SIZE];
    uint16_t port;
};

/* What a contact may do; every row is a member of the policy object of contactset. */
struct contact_policy {
    bool bare;             /* a session without a proved address is fine */
    bool keep;             /* dialled whenever it is not up */
    bool follow_successor; /* a new key of its is taken without asking (spec 2.7) */
    bool messages;         /* [true] */
    bool files;            /* [true] may offer files; each is accepted by the user */
    bool accept_files;     /* accepted without asking, within the quota */
    bool relay;            /* may talk through us to our other contacts */
    bool relay_for_us;     /* we may reach others through it */
    bool padding;          /* what we send it is padded, whatever the option says */
    uint64_t file_quota;   /* bytes, [10 GiB] */
};

struct contact {
    uint64_t id;                          /* never used again */
    uint8_t key[IDENTITY_KEY_SIZE];
    bool has_key;                         /* false: only the address is known so far */
    char alias[CONTACT_ALIAS_MAX + 1];    /* unique, never empty */
    char identity[CONTACT_IDENTITY_MAX + 1]; /* of ours; "" the default */
    struct contact_policy policy;
    size_t n_addresses;                   /* where it was reached or said to be, newest first */
    struct contact_address addresses[CONTACT_ADDRESSES_MAX];
    size_t n_former;
    uint8_t former[CONTACT_FORMER_MAX][IDENTITY_KEY_SIZE];
    size_t n_statements;                  /* of successors, as received */
    uint8_t statements[CONTACT_FORMER_MAX][DCHAN_SUCCESSOR_SIZE];
    uint64_t added_ms, seen_ms;           /* unix; of the last session, 0: never */
};

/* The address comes to the front; the last one goes when there is no room. */
void contact_put_first(struct contact *c, const struct contact_address *where);

struct contacts;

/* Whether a name can be one of a contact: UTF-8 without characters that cannot be seen, no spaces
 * at its ends, not empty. Any thread. */
bool contact_alias_allowed(const char *alias);

/* Reads all. ERR_CORRUPT, ERR_RANGE: of a newer version. */
enum err contacts_open(struct contacts **out, struct dchan_store *store,
                       struct error *e) MUST_CHECK;
/* After the store, which completes what waits. NULL is fine. */
void contacts_free(struct contacts *c);

size_t contacts_count(const struct contacts *c);
size_t contacts_bytes(const struct contacts *c);   /* of memory */
size_t contacts_keyless(const struct contacts *c); /* of which only an address is known */
/* Borrowed until it is removed. By key: also a former one, when former is not NULL and set then. */
struct contact *contacts_by_key(struct contacts *c, const uint8_t key[IDENTITY_KEY_SIZE],
                                bool *former);
struct contact *contacts_by_alias(struct contacts *c, const char *alias);
struct contact *contacts_by_id(struct contacts *c, uint64_t id);
/* As people give it: an alias, or a key in hex. */
struct contact *contacts_find(struct contacts *c, const char *text);
/* For who named somebody that contacts_find does not know. ERR_NOTFOUND. */
static inline enum err contact_unknown(const char *text, struct error *e)
{
    return error_set(e, ERR_NOTFOUND,
                     "no contact \"%.80s\": an alias or a key of contactlist is wanted", text);
}
/* The one with the lowest id above this, to go through all of them bit by bit; NULL at the end. */
struct contact *contacts_next(struct contacts *c, uint64_t id);
void contacts_each(struct contacts *c, void (*fn)(struct contact *contact, void *ctx), void *ctx);

/*
 * Adds what is filled in but id and times; an empty alias is made from the key. ERR_EXISTS (key or
 * alias), ERR_RANGE (alias, too many). In memory at once; done is called when it is on disk, or
 * could not be (then it is taken back).
 */
enum err contacts_add(struct contacts *c, const struct contact *in, dchan_store_fn done, void *ctx,
                      struct contact **out, struct error *e) MUST_CHECK;
/* Replaces by id; as above. */
enum err contacts_change(struct contacts *c, const struct contact *in, dchan_store_fn done,
                         void *ctx, struct error *e) MUST_CHECK;
void contacts_remove(struct contacts *c, struct contact *contact, dchan_store_fn done, void *ctx);
/* Reached there: the address comes to the front. Written when it changes; nobody waits. */
void contacts_seen(struct contacts *c, struct contact *contact,
                   const struct contact_address *where, uint64_t now_unix_ms);

#endif
