/*
 * Two muxes over a pipe that keeps the order and takes the time that a test gives it. Owners of
 * streams send bytes that tell their place, and check those that they get.
 */
#ifndef TESTS_P2P_DCHAN_PIPE_H
#define TESTS_P2P_DCHAN_PIPE_H

#include "p2p/dchan_mux.h"

#define STREAMS 64 /* of one side in a test */

struct owner {
    struct side *side;
    uint32_t sid;
    size_t to_send, sent;      /* bytes of its half; it ends there */
    size_t got, unconsumed;
    size_t dgrams, pulls;
    size_t piece;              /* most that it gives at once, 0: any */
    size_t resets_at;          /* having sent so much it breaks off, 0: never */
    bool eager;                /* consumes at once */
    bool holds_end;            /* has sent all and does not say so */
    bool accepted, fin, closed;
    unsigned code;
};

struct side {
    struct dchan_mux *mux;
    struct dchan_shares shares;
    uint64_t *now_ms;
    struct buf out;            /* u32 length, message */
    size_t taken;
    size_t backlog;
    uint64_t backlog_age_ms;
    struct owner mine[STREAMS], theirs[STREAMS];
    size_t n_mine, n_theirs;
    bool accepts, eager, holds_end; /* what accepted streams are */
    size_t answer_bytes;       /* what an accepted stream sends */
    uint32_t last_open;
    size_t withdrawn;
};

struct pair {
    struct side sides[2]; /* 0 initiates */
    uint64_t now_ms;
};

struct pair *pair_new(bool stranger);
/* All windows must have come back. */
void pair_free(struct pair *p);
/* Everything that waits goes over, in both directions. */
void pair_settle(struct pair *p);

/* A stream that is to carry that many bytes; NULL: refused. */
struct owner *side_open(struct side *side, uint8_t priority, size_t to_send);
/* What the other side opened, when it does not do so by itself. */
enum err side_accept(struct side *side, uint32_t sid);
/* The message that is next on its way from a side; false: none. */
bool side_next(struct side *from, struct dchan_msg *m);
enum dchan_error side_take(struct side *side, const struct dchan_msg *m);
/* At most what it has. */
void owner_consume(struct owner *o, size_t n);

#endif
