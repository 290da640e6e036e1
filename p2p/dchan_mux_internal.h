/* What dchan_mux.c (streams, what arrives), dchan_mux_send.c (what leaves) and dchan_mux_shares.c
 * (how much of it there may be) share. */
#ifndef P2P_DCHAN_MUX_INTERNAL_H
#define P2P_DCHAN_MUX_INTERNAL_H

#include "base/list.h"
#include "p2p/dchan_mux.h"
#include "p2p/ratelimit.h"

struct mux_stream {
    uint32_t sid;
    uint8_t priority;
    bool ours;
    bool open;                   /* accepted, by whichever side had to */
    bool fin_sent, fin_received;
    bool wants;                  /* the owner may have something to send */
    bool ready;                  /* in the list of its priority */
    const struct dchan_stream_ops *ops; /* NULL: the peer's, not accepted yet */
    void *ctx;
    uint64_t asked_ms;           /* when s_open went over */
    uint64_t credited_ms;
    uint32_t send_window;
    uint32_t window;             /* granted = left + unread + what was consumed without credit */
    uint32_t left, unread;
    uint16_t next_dgram;
    int32_t deficit;
    struct dchan_rate rate;      /* that its owner wants of the channel */
    struct list_link link;
};

/* Of one side, ascending by sid: each new one is the highest. */
struct mux_side {
    struct mux_stream **v;
    size_t n, cap;
    uint32_t highest;  /* that was ever opened, 0: none */
    size_t waiting;    /* not accepted yet */
};

struct dchan_mux {
    struct dchan_mux_config config;
    struct dchan_mux_stats stats;
    struct mux_side mine, theirs;
    struct list ready[DCHAN_PRIORITY_MAX + 1];
    struct ratelimit opens_sent, opens_received, opens_flood;
    uint64_t rtt_ms; /* 0: not measured */
    bool going, peer_going;
    size_t first;    /* streams of priority 0 */
    size_t dgrams;   /* streams whose owner takes datagrams */
    bool hold;
    struct dchan_rate rate; /* enough for that of each stream */
};

struct mux_stream *mux_find(const struct dchan_mux *mux, uint32_t sid);
/* A number of dchan_shares, or what holds when it is 0. */
static inline uint64_t mux_chosen(uint64_t limit, uint64_t otherwise)
{
    return limit ? limit : otherwise;
}

size_t mux_streams_max(const struct dchan_mux *mux);
size_t mux_opens_max(const struct dchan_mux *mux); /* that wait, of one side */
uint64_t mux_windows_left(const struct dchan_mux *mux); /* bytes that may be granted now */
/* Bytes of the stream's window: at most what is left; at most what it has. */
void mux_grant(struct dchan_mux *mux, struct mux_stream *s, uint32_t n);
void mux_give_back(struct dchan_mux *mux, struct mux_stream *s, uint32_t n);
/* False: less than the least is left. */
bool mux_grant_first(struct dchan_mux *mux, struct mux_stream *s, uint64_t now_ms);

/* Removes, gives the window back, tells the owner, frees. */
void mux_close(struct dchan_mux *mux, struct mux_stream *s, unsigned code);
/* Both halves have ended and nothing waits to be consumed: closes. */
void mux_close_if_done(struct dchan_mux *mux, struct mux_stream *s);
void mux_ready(struct dchan_mux *mux, struct mux_stream *s);
void mux_not_ready(struct dchan_mux *mux, struct mux_stream *s);

/* A stream came or went that has a rate. */
void mux_choose_rate(struct dchan_mux *mux);

/* Messages of a sid, and of a sid and a number. */
void mux_put_fin(struct dchan_mux *mux, uint32_t sid);
void mux_put_number(struct dchan_mux *mux, enum dchan_type type, uint32_t sid, uint32_t value);
void mux_put_reset(struct dchan_mux *mux, uint32_t sid, enum dchan_reset code);

#endif
