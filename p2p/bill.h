/*
 * What was delivered, what it costs and what of it was paid (spec channels 7.3): the sums behind
 * metered services and paid files, the same for who delivers and for who pays, so that both come to
 * the same when they have seen the same bytes.
 *
 * Amounts are satoshis. What is delivered is charged as it comes; fractions of a satoshi are kept
 * and never rounded, so that the sum does not depend on the pieces, and what is owed is the whole
 * satoshis of it. No sum wraps: one that would be above 2^64 - 1 stays there. Pure, any thread.
 */
#ifndef P2P_BILL_H
#define P2P_BILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BILL_MIB (UINT64_C(1) << 20)
#define BILL_MINUTE_MS UINT64_C(60000)
#define BILL_PRICE_MAX UINT64_C(100000000) /* for a unit; and the largest credit or budget */

struct bill_price {
    uint64_t per_mib, per_minute;
};

static inline bool bill_price_is_zero(const struct bill_price *p)
{
    return p->per_mib == 0 && p->per_minute == 0;
}

struct bill {
    struct bill_price price; /* of what comes next; at most BILL_PRICE_MAX each */
    uint64_t charged, paid;
    uint64_t mib_rest;       /* charged beside that: in satoshis / BILL_MIB */
    uint64_t minute_rest;    /* in satoshis / BILL_MINUTE_MS */
};

void bill_bytes(struct bill *b, uint64_t n);
void bill_time(struct bill *b, uint64_t ms);
void bill_pay(struct bill *b, uint64_t amount);
uint64_t bill_owed(const struct bill *b); /* 0 also when more was paid than charged */
/* Fractions have been charged, too. */
bool bill_has_rest(const struct bill *b);
/* Of so many bytes, rounded up. */
uint64_t bill_cost(uint64_t per_mib, uint64_t bytes);

/* More is owed than who delivers gives credit for. */
bool bill_is_over(const struct bill *b, uint64_t credit);
/*
 * How many of `max` bytes may be delivered before it is over: so many that the credit is passed by
 * one satoshi, or by one byte where a byte costs more. 0 when it is over.
 */
size_t bill_room(const struct bill *b, uint64_t credit, size_t max);

/* --- who pays --- */

/*
 * A bill with a limit. It is paid as it grows, and nothing before it came, but for `unit` satoshis:
 * when who delivers has stopped although all that came is paid (bytes were lost with a session, a
 * side has lost its sums), one unit is paid ahead, and another one when 16 units were charged
 * since. So whoever takes money and delivers nothing gets one unit.
 */
struct spending {
    struct bill bill;
    uint64_t max;      /* of bill.paid; 0: nothing is paid */
    uint64_t unit;     /* 0: never ahead */
    uint64_t ahead;    /* granted so far; bill.paid may be so much above bill.charged */
    uint64_t ahead_at; /* bill.charged when that was done last */
};

/* To be paid now; with `last` a fraction counts as a whole satoshi. */
uint64_t spending_due(const struct spending *s, bool last);
/* It has stopped: true when that gives something to pay ahead. */
bool spending_go_ahead(struct spending *s);
/* The limit keeps it from paying what was charged. */
bool spending_is_at_limit(const struct spending *s);

#endif
