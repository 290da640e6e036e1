/*
 * What is kept in memory of announced records (bca_record.h): which there are, and the limits of
 * spec channels 1.2. Prefixes and registrations cost nearly nothing, so a newcomer is never refused
 * for a limit: a random one of the same group goes, those first that we never reached. Records of
 * contacts are in no group and never go. Of one that is gone, key and number are remembered until
 * it cannot be played back any more.
 *
 * Neither disk nor lock: bca_store.h has both.
 */
#ifndef P2P_BCA_INDEX_H
#define P2P_BCA_INDEX_H

#include "base/list.h"
#include "p2p/bca_record.h"

/* A zero means the default in brackets. */
struct bca_limits {
    size_t records;        /* [50000] */
    uint64_t bytes;        /* of records, [128 MiB] */
    unsigned per_48;       /* records of strangers with endpoint 0 in one /48, [64] */
    unsigned per_64;       /* [8] */
    unsigned per_anchor;   /* whose registrations are in one block, [256] */
    size_t remembered;     /* keys of which the number is known, records included, [200000] */
};

enum bca_group_kind { BCA_GROUP_48, BCA_GROUP_64, BCA_GROUP_ANCHOR, BCA_GROUPS };

/* Of a record. */
struct bca_facts {
    uint8_t record_key[32];
    uint8_t digest[32];      /* SHA-256 of its bytes */
    uint64_t seq;
    uint32_t issued, expires; /* unix time */
    uint32_t size;           /* of the record; 0: it is gone, the rest is remembered */
    bool has_place;          /* the next two are set: a tombstone has no address */
    uint8_t prefix[8];       /* of endpoint 0 */
    uint8_t anchor[32];      /* of the block with the registration */
    bool relay;              /* it may be given to anybody; else it came for us alone */
    bool equivocal;          /* another record with its number was seen: neither is given on */
    bool reached;            /* we have talked to its identity */
    int64_t accepted;        /* unix time */
};

struct bca_group;
struct bca_entry {
    struct bca_facts is; /* changed by the functions below */
    bool contact;
    unsigned bag;        /* the index's own, as what follows */
    size_t place;
    struct { struct list_link link; struct bca_group *group; } in[BCA_GROUPS];
};

/* Of a record that was read; raw are its bytes. relay, reached, accepted are the caller's. */
void bca_facts_of(struct bca_facts *f, const struct bca_record *r, struct span raw);

struct bca_index;
struct bca_index *bca_index_new(const struct bca_limits *limits);
void bca_index_free(struct bca_index *ix); /* NULL is fine */

struct bca_entry *bca_index_find(const struct bca_index *ix, const uint8_t record_key[32]);
/* As it is told of here: with a record or only remembered; in the place of what was known of the
 * key. Limits are not looked at. */
struct bca_entry *bca_index_put(struct bca_index *ix, const struct bca_facts *f, bool contact);
/*
 * The next record that has to go for a limit since `newcomer` came, which is never it; NULL when
 * all limits are kept, or nothing is left that may go. The caller takes its record away.
 */
struct bca_entry *bca_index_victim(struct bca_index *ix, const struct bca_entry *newcomer);
/* The same for the number of keys: one whose record is gone. */
struct bca_entry *bca_index_forgettable(struct bca_index *ix, const struct bca_entry *newcomer);
void bca_index_drop_record(struct bca_index *ix, struct bca_entry *e); /* it stays remembered */
void bca_index_forget(struct bca_index *ix, struct bca_entry *e);      /* frees it */
void bca_index_set_contact(struct bca_index *ix, struct bca_entry *e, bool contact);

/* Entry i of all, in no order; an entry that is dropped or changed moves. */
size_t bca_index_count(const struct bca_index *ix);
struct bca_entry *bca_index_at(const struct bca_index *ix, size_t i);
size_t bca_index_records(const struct bca_index *ix);
uint64_t bca_index_bytes(const struct bca_index *ix); /* of records */
size_t bca_index_memory(const struct bca_index *ix);  /* bytes it takes itself */
/* A record, each as likely; NULL when there is none. */
struct bca_entry *bca_index_random(const struct bca_index *ix);

#endif
