/*
 * Streams and datagrams of one direct channel (spec channels 4.4, 7.3): identifiers, states,
 * windows and credit, limits, and who sends next. Without sockets and clocks: messages come in by
 * dchan_mux_take and leave by `put`; time is an argument (milliseconds that do not go back).
 *
 * The machine holds no stream data. What arrives is handed on at once and counts against the window
 * until the owner of the stream says that it was consumed; what is to be sent is pulled from the
 * owner when there is room for it. So memory is a small struct for each stream, and what owners
 * hold is bounded by the windows, whose sum is limited for the channel and, in struct dchan_shares,
 * for the node.
 *
 * Control messages are put at once; data waits for dchan_mux_pump, which serves the lowest priority
 * that has any, and within one priority in turns of 16 KiB. When the pump is called with little
 * room, bulk data delays nothing else by more than that.
 *
 * Streams are named by sid: calls for one that has gone do nothing. Functions may be called from
 * callbacks, other than dchan_mux_free and dchan_mux_pump. One thread at a time.
 */
#ifndef P2P_DCHAN_MUX_H
#define P2P_DCHAN_MUX_H

#include "base/err.h"
#include "p2p/dchan_pad.h"
#include "p2p/dchan_wire.h"

enum {
    DCHAN_WINDOW_MIN = 16384,
    DCHAN_WINDOW_START = 262144,
    DCHAN_WINDOW_MAX = 16 << 20,
    DCHAN_WINDOWS_CONTACT = 32 << 20,  /* sum for one channel */
    DCHAN_WINDOWS_STRANGER = 1 << 20,
    DCHAN_STREAMS_CONTACT = 256,
    DCHAN_STREAMS_STRANGER = 16,
    DCHAN_OPENS_MAX = 32,              /* in flight, each side's */
    DCHAN_OPENS_PER_S = 100,           /* more are refused */
    DCHAN_OPENS_FLOOD_PER_S = 1000,    /* more end the channel */
    DCHAN_OPEN_TIMEOUT_MS = 30000,
    DCHAN_DGRAM_BACKLOG = 32768,       /* bytes of output above which datagrams are dropped, */
    DCHAN_DGRAM_AGE_MS = 100,          /* or how long some of it has waited */
    DCHAN_SERVICE_MAX = 64,
};

/* Windows of all channels of the node; the owner zeroes it and sets the limits. */
struct dchan_shares {
    uint64_t granted, to_strangers;
    uint64_t granted_max, to_strangers_max;
    /* Of each channel; 0: the numbers above. */
    uint64_t windows_contact, windows_stranger;
    unsigned streams_contact, streams_stranger, opens_per_s, opens_waiting;
    unsigned opens_flood_per_s;
    uint64_t open_ms;
    uint64_t dgram_backlog;
    uint64_t dgram_age_ms;
};
#define DCHAN_SHARES_MAX (UINT64_C(256) << 20)
#define DCHAN_SHARES_STRANGERS_MAX (UINT64_C(64) << 20)

/* The owner of one stream. */
struct dchan_stream_ops {
    /* Ours: the other side took it. May be NULL. */
    void (*accepted)(void *ctx);
    /* Call dchan_mux_consumed for it, now or later. */
    void (*data)(void *ctx, struct span data);
    /* No more data comes. */
    void (*fin)(void *ctx);
    /*
     * Up to max bytes to send; *end: nothing follows (it is false before). Returning 0 without end
     * means waiting for dchan_mux_wake, unless max is 0: then the window is used up.
     */
    size_t (*pull)(void *ctx, uint8_t *out, size_t max, bool *end);
    /* May be NULL. */
    void (*dgram)(void *ctx, uint16_t seq, struct span data);
    /*
     * The last call: both halves ended and all was consumed (0), or the code of the reset, theirs
     * or ours; what was not consumed is discarded. Theirs is any number but 0 and
     * DCHAN_RESET_TRUNCATED.
     */
    void (*closed)(void *ctx, unsigned code);
};

struct dchan_mux_ops {
    /* Sends head and body in a row as one message; failures are the receiver's to remember. */
    void (*put)(void *ctx, struct span head, struct span body);
    /* Bytes that wait for sending, and how long the oldest of them have. */
    size_t (*backlog)(void *ctx, uint64_t *age_ms);
    /* The peer opens a stream: accept or reset it, now or before it times out. Borrowed. */
    void (*open)(void *ctx, const struct dchan_s_open *m);
    /* One that was neither accepted nor reset has gone. Not called for resets by its owner. */
    void (*withdrawn)(void *ctx, uint32_t sid);
    void *ctx;
};

struct dchan_mux_config {
    enum dchan_role role;        /* of the connection: its initiator has the odd sids */
    bool stranger;
    bool dgrams;                 /* the other side offers them */
    struct dchan_shares *shares; /* outlives the mux */
    struct dchan_mux_ops ops;
};

struct dchan_mux_stats {
    size_t streams;
    uint64_t windows;        /* bytes granted */
    uint64_t dgrams_dropped;
};

struct dchan_mux;

struct dchan_mux *dchan_mux_new(const struct dchan_mux_config *config, uint64_t now_ms);
/* Gives its shares back without a call; dchan_mux_end first, when owners are to know. NULL is
 * fine. */
void dchan_mux_free(struct dchan_mux *mux);

/* --- what arrives --- */

/* A message of types 64 to 75. What is not DCHAN_NO_ERROR ends the channel. */
enum dchan_error dchan_mux_take(struct dchan_mux *mux, const struct dchan_msg *m, uint64_t now_ms);

/* --- streams --- */

struct dchan_open {
    struct span service; /* [a-z0-9._-]{1,64} */
    uint8_t priority;
    struct span meta;    /* TLV stream of at most DCHAN_META_MAX */
};

/* ERR_BUSY: a limit; ERR_CANCELLED: either side is going away. No call of ops before it returns. */
enum err dchan_mux_open(struct dchan_mux *mux, const struct dchan_open *o,
                        const struct dchan_stream_ops *ops, void *ctx, uint64_t now_ms,
                        uint32_t *sid) MUST_CHECK;
/*
 * ERR_NOTFOUND: no such stream waits (any more); ERR_BUSY: no window was left, it was reset
 * without a call of ops. When the other side has ended its half already, ops.fin is called in here.
 */
enum err dchan_mux_accept(struct dchan_mux *mux, uint32_t sid, const struct dchan_stream_ops *ops,
                          void *ctx, uint64_t now_ms) MUST_CHECK;
void dchan_mux_reset(struct dchan_mux *mux, uint32_t sid, enum dchan_reset code);
/* There is something to pull. */
void dchan_mux_wake(struct dchan_mux *mux, uint32_t sid);
void dchan_mux_consumed(struct dchan_mux *mux, uint32_t sid, size_t n, uint64_t now_ms);
/* At most DCHAN_DGRAM_MAX bytes. False: dropped, as too much waits or the stream is not open. */
bool dchan_mux_send_dgram(struct dchan_mux *mux, uint32_t sid, struct span data);

/* --- the channel --- */

/* A stream of priority 0 is there: what it sends should wait nowhere behind the rest. */
bool dchan_mux_has_first(const struct dchan_mux *mux);
/* Such a stream, or one with datagrams: what is put early would be in its way. */
bool dchan_mux_is_urgent(const struct dchan_mux *mux);
/* From now on, or not any more, the pump serves nothing else. */
void dchan_mux_hold(struct dchan_mux *mux, bool hold);
/* Pulls and puts until `room` bytes are reached or nobody has any; returns how many were put. */
size_t dchan_mux_pump(struct dchan_mux *mux, size_t room);
/* The same within the room, but for an end that comes with it: messages are cut to what is left. */
size_t dchan_mux_pump_within(struct dchan_mux *mux, size_t room);
/* As long as this stream lives the channel sends at such a rate. */
void dchan_mux_set_rate(struct dchan_mux *mux, uint32_t sid, struct dchan_rate rate);
/* That is enough for the greediest of those that live, not for all of them together: streams that
 * the peer opens raise it no further. bytes 0: none asks for one. */
struct dchan_rate dchan_mux_rate(const struct dchan_mux *mux);
/* Every second or so: opens that were not answered. */
void dchan_mux_tick(struct dchan_mux *mux, uint64_t now_ms);
/* Measured; windows are not tuned before. */
void dchan_mux_set_rtt(struct dchan_mux *mux, uint64_t rtt_ms);
/* We go: refuses streams from now on; returns the last sid of the peer that is served. */
uint32_t dchan_mux_goaway(struct dchan_mux *mux);
/* It does, and serves no new ones of ours. */
bool dchan_mux_peer_goes(const struct dchan_mux *mux);
/* The peer goes: ours above last were not served, and it opens no more either. */
void dchan_mux_take_goaway(struct dchan_mux *mux, uint32_t last);
/*
 * Nothing more comes from the peer: closes with DCHAN_RESET_TRUNCATED what has not ended on both
 * sides. What has stays until its owner has consumed it.
 */
void dchan_mux_take_bye(struct dchan_mux *mux);
/* Closes all streams with this code without a message. */
void dchan_mux_end(struct dchan_mux *mux, enum dchan_reset code);

const struct dchan_mux_stats *dchan_mux_stats(const struct dchan_mux *mux);
bool dchan_service_name_ok(struct span name);

#endif
