/*
 * Payloads of the messages on Bitcoin connections that carry records of identities (spec channels
 * 1.2): sendbca, bcainv, getbca, bcarec. ERR_PARSE for bytes that do not follow the format or too
 * many of them, ERR_RANGE for a count above its limit. Structs borrow the payload. Pure functions,
 * any thread.
 */
#ifndef P2P_MSG_BCA_H
#define P2P_MSG_BCA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define MSG_BCA_VERSION 1
enum {
    MSG_SENDBCA_ANNOUNCE = 1, /* wants announcements */
    MSG_SENDBCA_ANSWERS = 2,  /* answers getbca */

    MSG_BCAINV_MAX = 1000,
    MSG_GETBCA_MAX = 100,
    MSG_GETBCA_SAMPLE_MAX = 16,
    MSG_BCAREC_MAX = 16,
    MSG_BCAREC_MISSING_MAX = 100,
    MSG_BCAREC_PAYLOAD_MAX = 65600,
    MSG_BCA_ITEM_SIZE = 40,
};

struct msg_sendbca {
    uint32_t version, flags; /* what follows in a later version is ignored */
};
enum err msg_sendbca_read(struct msg_sendbca *m, struct span payload) MUST_CHECK;
void msg_sendbca_write(struct buf *b, uint32_t flags);

/* A record's key and its seq, in getbca the lowest that is of use. */
struct msg_bca_item {
    uint8_t record_key[32];
    uint64_t seq;
};
struct msg_bca_list {
    size_t n;
    const uint8_t *items; /* n * MSG_BCA_ITEM_SIZE */
};
void msg_bca_item_get(const struct msg_bca_list *list, size_t i, struct msg_bca_item *out);

enum err msg_bcainv_read(struct msg_bca_list *m, struct span payload) MUST_CHECK;
void msg_bcainv_write(struct buf *b, const struct msg_bca_item *items, size_t n);

enum msg_getbca_kind { MSG_GETBCA_LIST = 0, MSG_GETBCA_SAMPLE = 1 };
struct msg_getbca {
    uint8_t kind; /* one that is unknown is no error: it is not answered, and the rest not read */
    struct msg_bca_list list;
    uint16_t sample; /* at most so many records of any */
};
enum err msg_getbca_read(struct msg_getbca *m, struct span payload) MUST_CHECK;
void msg_getbca_list_write(struct buf *b, const struct msg_bca_item *items, size_t n);
void msg_getbca_sample_write(struct buf *b, uint16_t max);

struct msg_bcarec {
    size_t n;
    struct span records[MSG_BCAREC_MAX];
    size_t n_missing;
    const uint8_t *missing; /* record keys, 32 bytes each */
};
enum err msg_bcarec_read(struct msg_bcarec *m, struct span payload) MUST_CHECK;
/* Within the limits, also that of the payload. */
void msg_bcarec_write(struct buf *b, const struct msg_bcarec *m);

#endif
