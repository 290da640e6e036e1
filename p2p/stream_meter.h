/*
 * What the streams of a service cost (spec channels 7.3): a bill that local streams charge as bytes
 * cross them, both ways, and as time passes while they are open. It belongs to whoever serves
 * (service_bills.h) or pays (forward_pay.h), and outlives its streams. Channel thread.
 */
#ifndef P2P_STREAM_METER_H
#define P2P_STREAM_METER_H

#include "base/err.h"
#include "p2p/bill.h"

struct stream_meter {
    struct spending spending;        /* of who serves: the bill in it alone */
    bool serves;                     /* stops when more than this is owed; who pays never does */
    uint64_t credit;
    uint64_t counted_ms;             /* when bytes were charged last */
    void (*counted)(struct stream_meter *m); /* more was charged; may be NULL */
};

/* No more is delivered until it is paid. */
static inline bool stream_meter_is_over(const struct stream_meter *m)
{
    return m->serves && bill_is_over(&m->spending.bill, m->credit);
}

/*
 * Payments as the parts of channels need them; node gives them (they are made and taken by payment
 * channels). Channel thread.
 */
struct stream_payments {
    /* Why none is taken or made: the disk fails; NULL: they are. */
    const char *(*trouble)(void *ctx);
    /* The contact has a payment channel to us that is open. */
    bool (*has_channel)(void *ctx, uint64_t contact);
    /*
     * Pays up to that much, out of channels of ours to the contact; ref says what for. *paid is
     * what was signed and counts, also with an error, which says why it was not all.
     */
    enum err (*pay)(void *ctx, uint64_t contact, uint64_t amount, const char *ref, uint64_t *paid,
                    struct error *e);
    void *ctx;
};

/* Of the ref of payments: what follows is the name of the service, or the first half of the id of
 * the file in hex. */
#define PAY_REF_SERVICE "service:"
#define PAY_REF_FILE "file:"

#endif
