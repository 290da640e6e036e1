/*
 * Files that cost something. Who sends charges a chunk when its first byte leaves, and begins none
 * while the one before is not paid; who receives pays for a chunk when its hash was right and it is
 * written. So at most one chunk is at stake, on either side; where a chunk costs less than a
 * satoshi, as many as come to one.
 *
 * A chunk is charged once: when it was lost with a stream it goes again for nothing. The sums of
 * who sends are in memory: after its end all that went counts as paid. Those of who receives, too,
 * but what was spent is on disk, as it must not pass the limit: at a start it is what the store
 * says, or what the chunks that are there have cost.
 *
 * Who receives tries each second to pay what could not be paid. When all is paid and nothing comes
 * for SILENT_MS although a stream is open, a payment or the sums of one side were lost, and a chunk
 * is paid ahead (bill.h). Who sends repeats nothing: a payment wakes its streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define REF_ID 16       /* bytes of the id in a ref */
#define SILENT_MS 3000  /* all is paid, and nothing comes */

/* What may be owed. */
static uint64_t chunk_cost(uint64_t price, uint64_t size)
{
    return bill_cost(price, UINT64_C(1) << dchan_chunk_log2(size));
}

/* --- sending --- */

static bool charge(struct outgoing *o, uint32_t i)
{
    struct bill next = o->bill;
    if (!o->billed)
        o->billed = xcalloc(1, bits_size(dchan_chunk_count(o->mark.size)));
    if (bit_get(o->billed, i))
        return true;
    next.price = (struct bill_price){ o->price, 0 };
    bill_bytes(&next, dchan_chunk_size(o->mark.size, i));
    if (bill_owed(&next) > chunk_cost(o->price, o->mark.size))
        return false;
    o->bill = next;
    bit_set(o->billed, i);
    return true;
}

size_t sale_room(struct serve *s, size_t max)
{
    struct outgoing *o = s->o;
    if (!o || !o->price || s->what != FILE_CHUNKS)
        return max;
    if (s->pulled >= s->charged_to) {
        const uint32_t i = (uint32_t)(s->pulled >> dchan_chunk_log2(o->mark.size));
        if (!charge(o, i))
            return 0;
        s->charged_to = s->pulled + dchan_chunk_size(o->mark.size, i);
    }
    return (size_t)MIN_OF(s->charged_to - s->pulled, (uint64_t)max);
}

bool sale_is_possible(const struct transfers *t, const struct outgoing *o)
{
    const struct stream_payments *pay = t->payments;
    return !o->price ||
           (pay && !pay->trouble(pay->ctx) && pay->has_channel(pay->ctx, o->contact_id));
}

static void paid(struct transfers *t, struct outgoing *o, uint64_t amount)
{
    struct chan_peer *peer = NULL;
    bill_pay(&o->bill, amount);
    for (struct list_link *l = list_first(&t->serves); l; l = list_next(&t->serves, l)) {
        struct serve *s = LIST_ITEM(l, struct serve, link);
        if (s->o != o || !s->mux)
            continue;
        dchan_mux_wake(s->mux, s->sid);
        peer = s->peer;
    }
    if (peer)
        chan_peer_kick(peer);
}

static uint64_t settle(struct transfers *t, uint64_t contact, uint64_t amount)
{
    for (struct list_link *l = list_first(&t->outgoing), *next; l && amount; l = next) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        const uint64_t part = MIN_OF(bill_owed(&o->bill), amount);
        next = list_next(&t->outgoing, l);
        if (o->contact_id != contact || !part)
            continue;
        paid(t, o, part);
        amount -= part;
    }
    return amount;
}

uint64_t transfers_paid(struct transfers *t, uint64_t contact, struct span ref, uint64_t amount)
{
    const size_t head = sizeof PAY_REF_FILE - 1;
    uint8_t id[REF_ID];
    size_t len;
    if (ref.len == 0)
        return settle(t, contact, amount);
    if (ref.len != head + 2 * REF_ID || memcmp(ref.data, PAY_REF_FILE, head) != 0 ||
        !hex_decode(id, sizeof id, (const char *)ref.data + head, 2 * REF_ID, &len))
        return amount;
    for (struct list_link *l = list_first(&t->outgoing); l; l = list_next(&t->outgoing, l)) {
        struct outgoing *o = LIST_ITEM(l, struct outgoing, link);
        if (o->contact_id == contact && o->price && memcmp(o->id, id, sizeof id) == 0) {
            paid(t, o, amount);
            return 0;
        }
    }
    return amount;
}

/* Streams may end others; the search begins anew. */
void transfers_payments_failed(struct transfers *t)
{
    struct list_link *l = list_first(&t->serves);
    while (l) {
        struct serve *s = LIST_ITEM(l, struct serve, link);
        struct chan_peer *peer = s->peer;
        l = list_next(&t->serves, l);
        if (!s->mux || !s->o || !s->o->price)
            continue;
        dchan_mux_reset(s->mux, s->sid, DCHAN_RESET_LOCAL);
        chan_peer_kick(peer);
        l = list_first(&t->serves);
    }
}

void transfers_set_payments(struct transfers *t, const struct stream_payments *p)
{
    t->payments = p;
}

/* --- receiving --- */

static uint64_t left_to_spend(const struct incoming *in)
{
    return in->max > in->spent ? in->max - in->spent : 0;
}

uint64_t purchase_cost(const struct incoming *in, const struct source *s)
{
    return bill_cost(s->price, in->size - in->good);
}

bool purchase_is_affordable(const struct incoming *in, const struct source *s)
{
    return !s->price || (in->t->payments && s->contact_id &&
                         purchase_cost(in, s) <= left_to_spend(in));
}

bool purchase_may_ask(const struct incoming *in, const struct source *s)
{
    return !s->price || (in->t->payments && left_to_spend(in));
}

void purchase_begin(const struct incoming *in, struct source *s)
{
    s->spending = (struct spending){ .bill = { .price = { s->price, 0 } },
                                     .unit = chunk_cost(s->price, in->size) };
}

void purchase_priced(struct incoming *in, struct source *s, uint64_t price)
{
    if (s->price == price)
        return;
    s->price = price;
    purchase_begin(in, s);
    s->accepted = s->accepted && purchase_is_affordable(in, s);
}

static void say_trouble(struct incoming *in, const char *text)
{
    snprintf(in->error, sizeof in->error, "payment: %.250s", text);
}

static void set_limit(const struct incoming *in, struct source *s)
{
    s->spending.max = s->spending.bill.paid + left_to_spend(in);
}

static void pay_now(struct incoming *in, struct source *s)
{
    const struct stream_payments *pay = in->t->payments;
    struct spending *sp = &s->spending;
    char ref[sizeof PAY_REF_FILE + 2 * REF_ID] = PAY_REF_FILE;
    struct error e = { .code = OK };
    uint64_t spent = 0;
    set_limit(in, s);
    const uint64_t amount = spending_due(sp, false);
    hex_encode(ref + sizeof PAY_REF_FILE - 1, in->id, REF_ID);
    const enum err rc =
        pay && amount ? pay->pay(pay->ctx, s->contact_id, amount, ref, &spent, &e) : OK;
    bill_pay(&sp->bill, spent);
    in->spent += spent;
    set_limit(in, s);
    if (rc)
        say_trouble(in, e.text);
    else if (sp->bill.charged > sp->bill.paid && !left_to_spend(in))
        say_trouble(in, "max_satoshis are spent");
    else if (amount)
        in->error[0] = 0;
}

void purchase_got(struct incoming *in, struct source *s, uint64_t bytes)
{
    if (!s || !s->price || !bytes)
        return;
    bill_bytes(&s->spending.bill, bytes);
    s->got_ms = channels_now(in->t->channels);
    pay_now(in, s);
}

void purchase_refused(struct incoming *in, const struct source *s)
{
    if (s && s->price)
        say_trouble(in, "the sender is busy, or wants a payment channel that is open");
}

static bool is_silent(const struct incoming *in, const struct source *s, uint64_t now_ms)
{
    return s->streams && now_ms - s->got_ms >= SILENT_MS &&
           bill_owed(&s->spending.bill) == 0 && left_to_spend(in) >= s->spending.unit;
}

void purchase_tick(struct incoming *in, uint64_t now_ms)
{
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        struct source *s = LIST_ITEM(l, struct source, link);
        if (!s->price)
            continue;
        set_limit(in, s);
        if (is_silent(in, s, now_ms))
            (void)spending_go_ahead(&s->spending);
        if (spending_due(&s->spending, false))
            pay_now(in, s);
    }
}

/* The dearest of those that were accepted: what was spent may be more than the store knows. */
void purchase_opened(struct incoming *in)
{
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        const struct source *s = LIST_ITEM(l, struct source, link);
        if (s->accepted && s->price)
            in->spent = MAX_OF(in->spent, MIN_OF(in->max, bill_cost(s->price, in->good)));
    }
}
