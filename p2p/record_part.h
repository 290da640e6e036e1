/*
 * Announced records (spec channels 1.1) in sessions, messages 36 and 38. Own ones go to contacts
 * directly, as soon as a session is up and when they change. A contact may show the record of its
 * own key, which is judged elsewhere and stays with us. Strangers give none and get none; records
 * of others are not taken, since we keep no part of a DHT.
 *
 * Channel thread, but for what says otherwise.
 */
#ifndef P2P_RECORD_PART_H
#define P2P_RECORD_PART_H

#include "p2p/channels.h"

enum {
    RECORD_PART_BURST = 4,          /* records of one contact, then one a minute */
    RECORD_PART_MILLI_PER_S = 1000 / 60,
};

/* Of dht_put_ok. */
enum record_status {
    RECORD_STORED,
    RECORD_STALE,
    RECORD_INVALID,
    RECORD_FULL,
    RECORD_NOT_RESPONSIBLE,
};

/* A record that a contact has shown, and whom the answer is for. */
struct record_offer {
    uint8_t key[IDENTITY_KEY_SIZE];
    uint32_t req;
};

struct record_part_ops {
    /* What contacts get of an identity of ours. raw is initialized. False: nothing. Waits for no
     * disk. */
    bool (*own)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *raw);
    /* Has it judged; record_part_answer comes later. raw is borrowed. False: there is too much. */
    bool (*offer)(void *ctx, const struct record_offer *o, struct span raw);
    /* There is a session with this key. */
    void (*reached)(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE]);
    void *ctx;
};

struct record_part;
/* Before the channels start. */
struct record_part *record_part_new(struct channels *c, const struct record_part_ops *ops);
/* After the channels have stopped. NULL is fine. */
void record_part_free(struct record_part *part);

/* Any: an own record has changed. */
void record_part_own_changed(struct channels *c);
/* Any: what has become of an offer. */
void record_part_answer(struct channels *c, const struct record_offer *o,
                        enum record_status status);

#endif
