/*
 * The statement that a key has a successor (spec channels 2.7), 206 bytes, the same in message 25
 * and in the records of the announcement. It says that both keys agreed, not that the owner of the
 * old one did: a thief of it can sign too. What a statement changes is decided elsewhere. Any
 * thread; ec_init must have been called.
 */
#ifndef P2P_DCHAN_SUCCESSOR_H
#define P2P_DCHAN_SUCCESSOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/reader.h"
#include "p2p/identity_key.h"

#define DCHAN_SUCCESSOR_SIZE 206
#define DCHAN_SUCCESSOR_BODY_SIZE 78 /* what is signed */

struct dchan_successor {
    uint8_t old_key[IDENTITY_KEY_SIZE], new_key[IDENTITY_KEY_SIZE];
    uint64_t seq;    /* 1 for the first statement of a key; only orders a list */
    uint32_t issued; /* unix time */
    uint8_t old_sig[IDENTITY_SIG_SIZE], new_sig[IDENTITY_SIG_SIZE];
};

void dchan_successor_read(struct reader *r, struct dchan_successor *s);
void dchan_successor_write(struct buf *b, const struct dchan_successor *s);

/* Fills the keys and the signatures in. ERR_AUTH: one of the keys refused, or they are one. */
enum err dchan_successor_sign(struct dchan_successor *s, const struct identity_key *old_key,
                              const struct identity_key *new_key) MUST_CHECK;
/*
 * Valid and different keys, both signatures, issued at most two hours after now. Whether the old
 * key is a contact's and the new one nobody else's, the caller looks up before.
 */
bool dchan_successor_verify(const struct dchan_successor *s, uint64_t now);

#endif
