/*
 * Datagrams of programs of this machine over a stream (spec channels 7.3), for voice and sensors:
 * nothing waits, what does not get through at once is lost, and the stream carries no bytes.
 *
 * On the side of the service each stream has a socket of its own that is connected to the target.
 * On the side of the forward one socket serves all programs that send to it, each of which has a
 * stream that lasts until it has been quiet for a while. Channel thread.
 */
#ifndef P2P_STREAM_DGRAMS_H
#define P2P_STREAM_DGRAMS_H

#include <sys/socket.h>

#include "p2p/local_streams.h"

#define STREAM_DGRAMS_QUIET_MS 120000

struct stream_dgrams;

struct stream_dgrams_config {
    struct local_streams *set;
    struct chan_peer *peer;
    struct dchan_mux *mux;
    struct span service;
    int fd;
    const void *tag;
    struct stream_meter *meter; /* or NULL */
    struct sockaddr_storage program; /* where a forward's datagrams come from and go to */
    socklen_t program_len;           /* 0: fd is connected, and taken */
    void (*ended)(void *ctx, struct stream_dgrams *d); /* the last call; may be NULL */
    void *ctx;
};

/* Not when the set is full. */
void stream_dgrams_accept(const struct stream_dgrams_config *config, uint32_t sid);
/* As dchan_mux_open; ERR_BUSY also at the limit of the set. */
enum err stream_dgrams_open(const struct stream_dgrams_config *config, uint8_t priority,
                            struct stream_dgrams **out) MUST_CHECK;
/* From the program; the first ones wait for the stream to open. They leave at the kick. */
void stream_dgrams_send(struct stream_dgrams *d, struct span data);
void stream_dgrams_kick(struct stream_dgrams *d);
bool stream_dgrams_is_of(const struct stream_dgrams *d, const struct sockaddr_storage *program,
                         socklen_t len);

#endif
