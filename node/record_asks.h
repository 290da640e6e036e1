/*
 * Which announced record was asked of which peer (bca_gossip.c): of one at a time, until it answers
 * or RECORD_ASKED_MS have passed. Then it goes behind all others, whatever it answered: whoever
 * announces a record again and again, and never gives it, is asked for it once while each of the
 * others that announced it is (attack B2).
 *
 * Pure: time is an argument. Loop thread.
 */
#ifndef NODE_RECORD_ASKS_H
#define NODE_RECORD_ASKS_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"

enum {
    RECORD_ASKED_MS = 20000,
    RECORD_ASKED_EACH = 200, /* of one peer at a time */
};

struct record_asks {
    struct list peers; /* struct record_asker, whoever is asked first at the front */
    struct map asked;  /* by record key */
    struct siphash_key key;
};

/* A peer, inside what its owner keeps of it. */
struct record_asker {
    struct list_link link;
    struct record_asks *asks;
    struct list asked; /* of it, oldest first */
};

void record_asks_init(struct record_asks *a);
void record_asks_clear(struct record_asks *a); /* all peers have left */

void record_asker_join(struct record_asker *p, struct record_asks *a);
void record_asker_leave(struct record_asker *p); /* what was asked of it is free */

enum record_asked { RECORD_FREE, RECORD_ASKED_HERE, RECORD_ASKED_ELSEWHERE };
enum record_asked record_asker_find(const struct record_asker *p, const uint8_t record_key[32]);
static inline bool record_asker_is_full(const struct record_asker *p)
{
    return p->asked.n >= RECORD_ASKED_EACH;
}
/* It is free, and the peer is not full. */
void record_asker_note(struct record_asker *p, const uint8_t record_key[32], int64_t now_ms);
/* It has answered. True: it was asked, and is no longer. Not while the peers are gone through. */
bool record_asker_answered(struct record_asker *p, const uint8_t record_key[32]);

/* Before anybody is asked at this moment. */
void record_asks_expire(struct record_asks *a, int64_t now_ms);

#endif
