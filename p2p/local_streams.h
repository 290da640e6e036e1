/*
 * The streams that end at programs of this machine: exposed services and forwards (spec channels
 * 7). What all of them have in common, whichever way the bytes take: their number has a limit, they
 * are listed with what they carried, and they end when they idle or when their contact is removed.
 *
 * A stream is embedded first in the struct of whoever moves its bytes (stream_bridge, stream_echo,
 * stream_dgrams), who adds it while the stream lives. Channel thread.
 */
#ifndef P2P_LOCAL_STREAMS_H
#define P2P_LOCAL_STREAMS_H

#include "base/list.h"
#include "p2p/channels.h"
#include "p2p/stream_meter.h"
#include "p2p/stream_rates.h"

struct local_stream {
    struct list_link link;
    struct local_streams *set;
    struct chan_peer *peer; /* there as long as the stream is */
    struct dchan_mux *mux;
    uint32_t sid;
    bool ours;              /* opened by us, for a forward */
    bool open;              /* accepted by whichever side had to */
    char service[DCHAN_SERVICE_MAX + 1];
    const void *tag;        /* of the forward, NULL for a service */
    uint64_t idle_ms;        /* 0: that of the set */
    uint64_t since_ms, active_ms;
    uint64_t sent, received; /* bytes, to and from the peer */
    uint64_t dropped;        /* datagrams that came from here and did not leave */
    struct stream_meter *meter; /* NULL: it costs nothing */
    uint64_t metered_ms;     /* up to here its time is charged */
    /* What the meter held back may go on; NULL where nothing is held back. Ends no stream. */
    void (*resume)(struct local_stream *s);
    /* The peer has withdrawn what was not accepted: frees it without a message. */
    void (*withdraw)(struct local_stream *s);
};

struct local_streams {
    struct channels *channels;
    struct list all;
    size_t max;
    uint64_t idle_ms; /* 0: they may idle for ever */
    const struct stream_payments *payments; /* NULL: there are none */
    struct stream_rates rates; /* set before the channels start */
};

/* Makes the part that ends those that idle and those of a contact that is removed. */
void local_streams_init(struct local_streams *set, struct channels *channels, size_t max,
                        uint64_t idle_ms);

static inline bool local_streams_full(const struct local_streams *set)
{
    return set->all.n >= set->max;
}
/* s has peer, mux, ours, tag, meter and withdraw; sid comes with it or later. Not when it is
 * full. */
void local_stream_add(struct local_streams *set, struct local_stream *s, struct span service);
void local_stream_remove(struct local_stream *s);
/* After its stream was opened or accepted: as long as it lives the session keeps the rate of the
 * service, if that has one. */
void local_stream_keep_rate(const struct local_stream *s);
/* How many of max bytes may be delivered now: all, unless a meter says otherwise. */
size_t local_stream_room(const struct local_stream *s, size_t max);
/* Bytes were moved: they are charged, and it is not idle. */
void local_stream_count(struct local_stream *s, size_t sent, size_t received);
/* Ends it; s is gone. Not from a callback of its mux where the caller still needs it. */
void local_stream_reset(struct local_stream *s, enum dchan_reset code);
/* After something was put from outside a callback of the session. */
void local_stream_kick(struct local_stream *s);

/* How many the peer has opened. */
size_t local_streams_of(const struct local_streams *set, const struct chan_peer *p);
void local_streams_each(const struct local_streams *set,
                        void (*fn)(const struct local_stream *s, void *ctx), void *ctx);
/* Something was paid: streams of this meter go on. */
void local_streams_resume(const struct local_streams *set, const struct stream_meter *m);
/* One of them is there, open or not: the meter must stay. */
bool local_streams_have(const struct local_streams *set, const struct stream_meter *m);
/* One of them is open, and was there then. */
bool local_streams_use(const struct local_streams *set, const struct stream_meter *m,
                       uint64_t since_ms);
/* Of channel_part, for who accepts them. */
void local_streams_withdrawn(struct local_streams *set, struct dchan_mux *mux, uint32_t sid);
/* Ends those for which it holds. */
void local_streams_end(struct local_streams *set, enum dchan_reset code,
                       bool (*which)(const struct local_stream *s, const void *ctx),
                       const void *ctx);

#endif
