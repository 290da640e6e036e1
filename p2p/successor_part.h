/*
 * Statements that a key has a successor (spec channels 2.7) in sessions, message 25.
 *
 * Those of contacts: a valid one is stored, synced, before anything else happens; then the user is
 * told, or the contact moves when it was marked so before and nothing speaks against it. One out of
 * a record is no more than told of.
 *
 * Our own: made once for a key, stored synced before anybody gets it, then sent to contacts as
 * soon as a session is up, in those of the old key and, for SUCCESSOR_SENT_S, of the new one. First
 * contacts for which no identity was chosen are given the old one, so that the default may be
 * another one. Who comes under the new key has moved: that becomes its identity, and the old key
 * serves it no more (channels_add_heir). When SUCCESSOR_SENT_S are over it serves nobody.
 *
 * Channel thread. On disk: k | old key 33 | seq 8 big-endian -> the statement, our own, and the
 * name of the old identity, v8 (rows of before have none).
 */
#ifndef P2P_SUCCESSOR_PART_H
#define P2P_SUCCESSOR_PART_H

#include "p2p/channels.h"

enum {
    SUCCESSOR_CHECKS_BURST = 20,      /* of signatures in a session, or of all records; then */
    SUCCESSOR_CHECKS_PER_S = 1,       /* so many in a session */
    SUCCESSOR_RECORDS_PER_S = 20,     /* and so many of records; more are ignored */
    SUCCESSOR_SENT_S = 180 * 86400,
    SUCCESSOR_OWN_MAX = 1000,
};

struct successor_part;

struct successor_part_ops {
    /* One was stored, or the contact has followed it. May be NULL. */
    void (*tell)(void *ctx, const struct contact *contact, const struct dchan_successor *s,
                 bool followed);
    void *ctx;
};

/* Before the channels start. */
enum err successor_part_new(struct successor_part **out, struct channels *c,
                            const struct successor_part_ops *ops, struct error *e) MUST_CHECK;
/* After the channels have stopped and their store is closed. NULL is fine. */
void successor_part_free(struct successor_part *part);

/* A record of the key carries the statement: it is kept and told of, and never followed. */
void successor_part_see(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                        const struct dchan_successor *s);
/* The one of ours about the successor of a key, else about whom it follows, for its records.
 * False: none. */
bool successor_part_of(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                       struct dchan_successor *out);

/* For channels_ask: answered when it is on disk. The same as before gives the same statement.
 * ERR_EXISTS: the identity has named another one. */
struct successor_making {
    struct channels_request r;
    const char *identity, *successor; /* names of identities of ours */
    struct dchan_successor made;
};
void successor_part_make(struct channels *c, struct channels_request *r);

#endif
