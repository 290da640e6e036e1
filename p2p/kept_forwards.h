/*
 * Forwards that survive a restart: what forwardservice asks for is written down and set up again at
 * each start, as services are. A port that cannot be had then is tried again each minute; until
 * then the forward waits, and can be seen and taken away. A forward that pays is not kept: what it
 * may spend would begin anew with each start.
 *
 * On disk: w | port 2 big-endian -> version u8 1, contact u64, flags u8 (1: datagrams), priority
 * u8, service v8. Channel thread, but for kept_forwards_new and _free, which run before and after.
 */
#ifndef P2P_KEPT_FORWARDS_H
#define P2P_KEPT_FORWARDS_H

#include "p2p/forwards.h"

enum { KEPT_FORWARDS_RETRY_MS = 60000 };

struct kept_forward {
    struct list_link link;
    struct kept_forwards *owner;
    uint64_t contact;
    char service[DCHAN_SERVICE_MAX + 1];
    uint16_t port;
    bool dgrams;
    uint8_t priority;
    bool listens;             /* it is one of forwards.h */
    uint64_t tried_ms;
    char trouble[ERROR_TEXT_MAX]; /* why it does not */
};

struct kept_forwards;

/* Reads them and sets them up. forwards is borrowed. ERR_CORRUPT; ERR_RANGE: of a newer version. */
enum err kept_forwards_new(struct kept_forwards **out, struct local_streams *streams,
                           struct forwards *forwards, struct error *e) MUST_CHECK;
/* Before forwards_free. NULL is fine. */
void kept_forwards_free(struct kept_forwards *k);

/*
 * As forwards_add, which listens at once; done is called when it is on disk, or could not be: then
 * it is taken away.
 */
enum err kept_forwards_add(struct kept_forwards *k, const struct forward_wish *w,
                           dchan_store_fn done, void *ctx, uint16_t *port,
                           struct error *e) MUST_CHECK;
/* Also of those that are not kept. done says that it will not come back. ERR_NOTFOUND. */
enum err kept_forwards_remove(struct kept_forwards *k, uint16_t port, dchan_store_fn done,
                              void *ctx, struct error *e) MUST_CHECK;
/* Those that wait for their port. */
void kept_forwards_each_waiting(const struct kept_forwards *k,
                                void (*fn)(const struct kept_forward *f, void *ctx), void *ctx);

#endif
