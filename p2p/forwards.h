/*
 * Services of contacts as ports of this machine (spec channels 7.1): each connection to such a
 * port, which is on loopback alone, becomes a stream to the contact, each program that sends
 * datagrams to one too. When no session is up the contact is dialled and the connection waits,
 * unread; when the contact cannot be reached it is closed. Forwards last until they are taken away
 * or the node stops.
 *
 * A pipe is a forward for one connection, which begins with a token that only the asker was told:
 * 64 hex digits and a line feed. The answer is "ok" and a line feed when the stream is open, or
 * "error: ..." and the end.
 *
 * Channel thread, but for forwards_new and forwards_free, which run before and after it.
 */
#ifndef P2P_FORWARDS_H
#define P2P_FORWARDS_H

#include "p2p/forward_pay.h"
#include "p2p/local_streams.h"
#include "p2p/loopback.h"

enum {
    FORWARDS_MAX = 64,
    FORWARD_GUESTS_MAX = 64,       /* connections of one that wait for their stream */
    FORWARD_PROGRAMS_MAX = 64,     /* that send datagrams */
    FORWARD_WAIT_MS = 30000,       /* for the contact */
    FORWARD_TOKEN_MS = 10000,      /* for the token */
    FORWARD_PIPE_MS = 30000,       /* for the one connection */
    FORWARD_TOKEN_SIZE = 32,
    FORWARD_PRIORITY = 4,
    FORWARD_PIPE_PRIORITY = 2,
    FORWARD_DGRAM_PRIORITY = 0,
};

struct forward_wish {
    const struct contact *contact;
    const char *service;
    uint16_t port;       /* 0: any */
    bool dgrams, pipe;
    uint8_t priority;
    struct forward_budget budget;
};

struct forward {
    struct list_link link;
    struct forwards *owner;
    uint64_t contact;
    char service[DCHAN_SERVICE_MAX + 1];
    bool dgrams, pipe;
    uint8_t priority;
    struct loopback local;
    uint16_t port;
    uint64_t since_ms;
    uint64_t lost;            /* datagrams that found no stream */
    struct event *events[LOOPBACK_MAX];
    struct list guests;       /* that wait */
    struct stream_dgrams **programs;
    size_t n_programs;
    bool dialled;
    uint64_t dialled_ms;
    bool taken, over;         /* of a pipe: its connection has come; has gone */
    uint8_t token[FORWARD_TOKEN_SIZE];
    struct forward_pay pay;
};

struct forwards;

struct forwards *forwards_new(struct local_streams *streams);
void forwards_free(struct forwards *f); /* NULL is fine */

/* ERR_RANGE: name, priority, budget, too many; ERR_IO: the port. Of a pipe: the token is made. */
enum err forwards_add(struct forwards *f, const struct forward_wish *w,
                      const struct forward **out, struct error *e) MUST_CHECK;
/* Its streams end, what they have cost is paid. ERR_NOTFOUND. */
enum err forwards_remove(struct forwards *f, uint16_t port, struct error *e) MUST_CHECK;
/* Pipes are left out. */
void forwards_each(const struct forwards *f, void (*fn)(const struct forward *forward, void *ctx),
                   void *ctx);

#endif
