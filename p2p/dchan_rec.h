/*
 * Record layer of direct channels (spec channels 3): messages to sealed packets and back, as BOLT 8
 * has them, and the rotation of keys: each after 1000 uses, by hash every two minutes, by a new
 * agreement every ten minutes or GiB where both sides offer it. Without sockets and clocks: bytes
 * come in and go out through memory, time is an argument (milliseconds of any clock that does not
 * go back).
 *
 * A packet is sealed when it gets its place in the output, never before, so that nonces are in the
 * order of the wire. The input holds at most one packet. The messages rekey, dh_offer and dh_answer
 * are acted on here and reach nobody else. Lengths are authenticated before memory is taken for
 * them; no record allocates once the buffers have their size. All keys are wiped when they are
 * replaced, when the session fails and by dchan_rec_free. One thread at a time; ec_init must have
 * been called.
 */
#ifndef P2P_DCHAN_REC_H
#define P2P_DCHAN_REC_H

#include "p2p/dchan_hs.h"
#include "p2p/dchan_wire.h"

enum {
    DCHAN_MSG_MIN = 2,
    DCHAN_MSG_MAX = 65535,
    DCHAN_LENGTH_SIZE = 18,   /* sealed */
    DCHAN_PACKET_EXTRA = 34,  /* what a packet is longer than its message */
    DCHAN_OUT_MAX = 16 << 20, /* bytes that never wait, unless another limit is set: close */
};

/* What the session has come to; nothing is rekeyed, by either side, before it is up. */
enum dchan_rekeys { DCHAN_REKEYS_NONE, DCHAN_REKEYS_BY_HASH, DCHAN_REKEYS_BY_DH };

struct dchan_rec_stats {
    uint64_t bytes_sent, bytes_received; /* of packets */
    uint32_t rotations_sent, rotations_received;
    uint32_t agreements; /* finished on our side */
};

struct dchan_rec;

/* Copies what it needs of the session, which the caller wipes. */
struct dchan_rec *dchan_rec_new(enum dchan_role role, const struct dchan_keys *s,
                                uint64_t now_ms);
void dchan_rec_free(struct dchan_rec *rec); /* NULL is fine */

/* Bytes that never wait, instead of DCHAN_OUT_MAX. */
void dchan_rec_set_out_max(struct dchan_rec *rec, size_t max);

/* Once the session is up: by hash, or also by agreement when both sides offered DCHAN_DH_REKEY. */
void dchan_rec_allow(struct dchan_rec *rec, enum dchan_rekeys rekeys, uint64_t now_ms);

/* --- sending --- */

/*
 * Appends the packet of the message that is head and body in a row; head holds the type. Both are
 * copied. ERR_RANGE: no length of a message; ERR_BUSY: more than may wait, close;
 * ERR_CANCELLED: after `bye` or a failed tag; ERR_AUTH: this process is a copy of the one that has
 * the session, close; ERR_NOMEM.
 */
enum err dchan_rec_put(struct dchan_rec *rec, struct span head, struct span body,
                       uint64_t now_ms) MUST_CHECK;
/* What is to be written next, borrowed until the next call; and that n bytes of it were. */
struct span dchan_rec_output(const struct dchan_rec *rec);
void dchan_rec_written(struct dchan_rec *rec, size_t n);

/* A rotation by hash now. The other side refuses a second one in 10 s; errors of dchan_rec_put. */
enum err dchan_rec_rekey(struct dchan_rec *rec, uint64_t now_ms) MUST_CHECK;
/*
 * Every second or so: sends what is due. ERR_TIMEOUT: the other side did not finish an agreement in
 * 30 s, close; ERR_AUTH: this process is a copy, close; errors of dchan_rec_put.
 */
enum err dchan_rec_tick(struct dchan_rec *rec, uint64_t now_ms) MUST_CHECK;

/* --- receiving --- */

/*
 * Takes bytes from the front of *in until a message is complete: *msg borrows it until the next
 * call. With an empty *msg all of *in was taken and more is needed. Errors are final, for reading:
 * ERR_AUTH, a tag was wrong or this process is a copy: close without a word (writing has ended as
 * well); ERR_PROTO: send `error` with dchan_rec_error when that is not 0, and close; ERR_BUSY,
 * ERR_NOMEM, ERR_IO: close.
 */
enum err dchan_rec_read(struct dchan_rec *rec, struct span *in, uint64_t now_ms,
                        struct span *msg) MUST_CHECK;
enum dchan_error dchan_rec_error(const struct dchan_rec *rec);
/* Which of the two ERR_AUTH was: this process is a copy. */
bool dchan_rec_is_copy(const struct dchan_rec *rec);
/* The stream ended. False: without `bye` or inside a packet, which is a truncation. */
bool dchan_rec_clean_end(const struct dchan_rec *rec);

const struct dchan_rec_stats *dchan_rec_stats(const struct dchan_rec *rec);
/* Frees buffers that hold nothing: for sessions that are idle. */
void dchan_rec_shrink(struct dchan_rec *rec);

#endif
