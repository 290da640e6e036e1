/*
 * A forward that pays for what it gets (spec channels 7.3): the price and the most that may be
 * spent are what the user said, as no message tells a price. What its streams carry is paid as it
 * comes, in amounts as small as payments every few milliseconds allow, so that who serves may stop
 * at a small credit. Nothing is ever paid without a limit from the user.
 *
 * What could not be paid, as there was no session or no channel, is tried again each second; what
 * was signed is never paid twice, as the channel repeats it in the next session. When a stream
 * stays silent although all is paid, a side has lost its sums, and one unit is paid ahead (bill.h).
 * The streams end with their session, and the programs at their ends connect anew. The end of the
 * forward pays the last fraction. Channel thread.
 */
#ifndef P2P_FORWARD_PAY_H
#define P2P_FORWARD_PAY_H

#include "p2p/local_streams.h"

enum {
    FORWARD_PAY_EVERY_MS = 10,
    FORWARD_PAY_SILENT_MS = 3000,
};

struct forward_budget {
    uint64_t max;            /* satoshis in all; 0: it pays nothing */
    struct bill_price price;
    uint64_t ahead;          /* the unit of struct spending */
};

struct forward_pay {
    struct stream_meter meter;
    struct local_streams *streams;
    uint64_t contact;
    char ref[sizeof PAY_REF_SERVICE + DCHAN_SERVICE_MAX];
    struct event *due;       /* NULL: it pays nothing */
    bool scheduled;
    uint64_t paid_ms;        /* when it was tried last */
    char trouble[ERROR_TEXT_MAX]; /* why it is not paid; "" */
};

/* ERR_RANGE: the budget is none. */
enum err forward_budget_check(const struct forward_budget *b, struct error *e) MUST_CHECK;
void forward_pay_init(struct forward_pay *p, struct local_streams *streams, uint64_t contact,
                      const char *service, const struct forward_budget *b);
/* Its streams have ended. */
void forward_pay_clear(struct forward_pay *p);
void forward_pay_tick(struct forward_pay *p, uint64_t now_ms);

/* For its streams; NULL: they are not counted. */
static inline struct stream_meter *forward_pay_meter(struct forward_pay *p)
{
    return p->due ? &p->meter : NULL;
}

#endif
