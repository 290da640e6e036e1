/*
 * Services for whose streams a session sends at a constant rate (-channelrate), whichever side has
 * opened them: by name, as a forward or a pipe and a service of ours have it alike. Read once at
 * the start, then read-only; any thread.
 */
#ifndef P2P_STREAM_RATES_H
#define P2P_STREAM_RATES_H

#include "p2p/dchan_mux.h"
#include "p2p/net.h"

enum { STREAM_RATES_MAX = 64 };

struct stream_rates {
    size_t n;
    struct stream_rate {
        char service[DCHAN_SERVICE_MAX + 1];
        struct dchan_rate rate;
    } v[STREAM_RATES_MAX];
};

/* Values of the option, each service,bytes,milliseconds. ERR_PARSE, ERR_RANGE: one is wrong. */
enum err stream_rates_read(struct stream_rates *out, const struct net_strings *specs,
                           struct error *e) MUST_CHECK;
/* NULL: the service has none. */
const struct dchan_rate *stream_rates_find(const struct stream_rates *r, const char *service);

#endif
