/*
 * The service that sends back what comes, streams and datagrams, to try a channel with. What has
 * not left again counts against the window. Channel thread.
 */
#ifndef P2P_STREAM_ECHO_H
#define P2P_STREAM_ECHO_H

#include "p2p/local_streams.h"

/* Not when the set is full. */
void stream_echo_accept(struct local_streams *set, struct chan_peer *peer, struct dchan_mux *mux,
                        const struct dchan_s_open *m, struct stream_meter *meter);

#endif
