/*
 * What contacts owe for services of ours that have a price (spec channels 7.3): one account for a
 * contact at a service, for all its streams, whatever sessions they are in. Streams of an account
 * stop while more than the service's credit is owed, and go on when it was paid.
 *
 * Accounts are on disk, but not each change at once: a crash loses what was charged or paid since
 * the last write, by which at most the credit and one satoshi of each account is lost, since no
 * more is ever owed, or the contact pays as much twice. Nothing is repeated from here: a payment,
 * whenever it comes, lets the streams go on. Channel thread.
 */
#ifndef P2P_SERVICE_BILLS_H
#define P2P_SERVICE_BILLS_H

#include "base/list.h"
#include "p2p/local_streams.h"

#define SERVICE_BILLS_WRITE_MS 5000

struct service_account {
    struct list_link link;
    struct stream_meter meter; /* first that streams are joined with */
    uint64_t contact;          /* id */
    char service[DCHAN_SERVICE_MAX + 1];
    bool dirty;
};

struct service_bills {
    struct local_streams *streams;
    struct list all;
    uint64_t written_ms;
};

/* Reads what is kept. */
enum err service_bills_init(struct service_bills *b, struct local_streams *streams,
                            struct error *e) MUST_CHECK;
void service_bills_clear(struct service_bills *b);

/* The one of a contact at a service of this price and credit, made if need be. */
struct service_account *service_bills_get(struct service_bills *b, const char *service,
                                          uint64_t contact, const struct bill_price *price,
                                          uint64_t credit);
/* The service has this price and credit from now on; zeros: it is free, or gone. */
void service_bills_set_price(struct service_bills *b, const char *service,
                             const struct bill_price *price, uint64_t credit);
/* On disk: that it was paid is what counts; streams of it go on. */
void service_bills_paid(struct service_bills *b, struct service_account *a, uint64_t amount);
/* A payment that does not say what for pays what the contact owes; what is left of it. */
uint64_t service_bills_settle(struct service_bills *b, uint64_t contact, uint64_t amount);
void service_bills_each(const struct service_bills *b, const char *service,
                        void (*fn)(const struct service_account *a, void *ctx), void *ctx);

/* Every second; what is written later is so at the end of a session, too. */
void service_bills_tick(struct service_bills *b, uint64_t now_ms);
void service_bills_write(struct service_bills *b);
/* Those of contacts that are none any more. */
void service_bills_forget(struct service_bills *b);

#endif
