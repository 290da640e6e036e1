#include "p2p/bill.h"

#include "base/intmath.h"

#define AHEAD_EVERY 16 /* units that are charged before one is paid ahead again */

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t out;
    return add_u64(a, b, &out) ? out : UINT64_MAX;
}

static uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t out;
    return mul_u64(a, b, &out) ? out : UINT64_MAX;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* n units of 1/whole at this price: prices are small enough for the second product. */
static void charge(struct bill *b, uint64_t price, uint64_t n, uint64_t whole, uint64_t *rest)
{
    const uint64_t part = n % whole * price + *rest;
    b->charged = sum(b->charged, sum(product(n / whole, price), part / whole));
    *rest = part % whole;
}

void bill_bytes(struct bill *b, uint64_t n)
{
    charge(b, b->price.per_mib, n, BILL_MIB, &b->mib_rest);
}

void bill_time(struct bill *b, uint64_t ms)
{
    charge(b, b->price.per_minute, ms, BILL_MINUTE_MS, &b->minute_rest);
}

void bill_pay(struct bill *b, uint64_t amount)
{
    b->paid = sum(b->paid, amount);
}

uint64_t bill_owed(const struct bill *b)
{
    return difference(b->charged, b->paid);
}

bool bill_has_rest(const struct bill *b)
{
    return b->mib_rest || b->minute_rest;
}

uint64_t bill_cost(uint64_t per_mib, uint64_t bytes)
{
    struct bill b = { .price = { .per_mib = per_mib } };
    bill_bytes(&b, bytes);
    return sum(b.charged, b.mib_rest != 0);
}

bool bill_is_over(const struct bill *b, uint64_t credit)
{
    return bill_owed(b) > credit;
}

size_t bill_room(const struct bill *b, uint64_t credit, size_t max)
{
    if (bill_is_over(b, credit))
        return 0;
    if (b->price.per_mib == 0)
        return max;
    /* Satoshis until it is over; more than all of `max` can cost needs no division. */
    const uint64_t left = difference(sum(sum(b->paid, credit), 1), b->charged);
    if (left > bill_cost(b->price.per_mib, max) || left > UINT64_MAX / BILL_MIB)
        return max;
    const uint64_t parts = left * BILL_MIB - b->mib_rest;
    const uint64_t bytes = parts / b->price.per_mib + (parts % b->price.per_mib != 0);
    return (size_t)MIN_OF(bytes, (uint64_t)max);
}

/* --- who pays --- */

uint64_t spending_due(const struct spending *s, bool last)
{
    const uint64_t charged = sum(s->bill.charged, last && bill_has_rest(&s->bill));
    const uint64_t wanted = difference(sum(charged, s->ahead), s->bill.paid);
    return MIN_OF(wanted, difference(s->max, s->bill.paid));
}

bool spending_go_ahead(struct spending *s)
{
    const uint64_t since = s->bill.charged - s->ahead_at;
    if (!s->max || !s->unit || (s->ahead && since / AHEAD_EVERY < s->unit))
        return false;
    s->ahead = sum(s->ahead, s->unit);
    s->ahead_at = s->bill.charged;
    return spending_due(s, false) > 0;
}

bool spending_is_at_limit(const struct spending *s)
{
    return s->max && s->bill.paid >= s->max && s->bill.charged > s->bill.paid;
}
