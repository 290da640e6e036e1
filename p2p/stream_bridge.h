/*
 * Joins a stream with descriptors of this machine (spec channels 7.1): what is read there is sent,
 * what arrives is written there; the end of one half is the end of the other one's, and what breaks
 * off there is reset here with code 5, the other way round a connection is reset.
 *
 * Nothing of what is to be sent is held: it is read when the session has room for it. What arrives
 * and cannot be written is held and counts against the window of the stream, so that a program
 * which does not read stops the sender. Channel thread.
 */
#ifndef P2P_STREAM_BRIDGE_H
#define P2P_STREAM_BRIDGE_H

#include "p2p/local_streams.h"
#include "p2p/service_target.h"

struct stream_bridge_config {
    struct local_streams *set;
    struct chan_peer *peer;
    struct dchan_mux *mux;
    struct span service;
    struct stream_ends ends; /* taken, also by a failure */
    const void *tag;
    struct stream_meter *meter; /* or NULL */
    void (*accepted)(void *ctx, const struct stream_ends *ends); /* may be NULL */
    /* The last call; the ends close after it. May be NULL. */
    void (*ended)(void *ctx, const struct stream_ends *ends, unsigned code, bool was_open);
    /* Instead of it: one of ours came when its session had begun to end, so it was refused. The
     * ends are the owner's again, for another session, with its begun_ms. May be NULL. */
    void (*unserved)(void *ctx, const struct stream_ends *ends, uint64_t begun_ms);
    uint64_t begun_ms; /* the owner's */
    void *ctx;
};

/* One that the peer opened: accepted when the ends are connected, reset when they cannot be. */
void stream_bridge_accept(const struct stream_bridge_config *config, uint32_t sid);
/* As dchan_mux_open; ERR_BUSY also at the limit of the set. The ends stay the caller's then. */
enum err stream_bridge_open(const struct stream_bridge_config *config, uint8_t priority) MUST_CHECK;

#endif
