/*
 * Closes and refunds on their way into a block (spec channels 8.6). Each goes to our own node,
 * whose relay announces it, and whole to peers in different networks, whatever our own node thinks
 * of it: a payer that pours refunds over the network, or a node that saw another spend first, must
 * not keep it out. As long as no peer has shown the close it goes out with another signature each
 * time, since a node that refused an id once does not look at it again until the next block.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/mempool.h"
#include "node/relay_push.h"

#define RACES_MAX 6   /* in one block that a close is signed anew for */
#define EVERYBODY 4   /* times child_blocks: then every peer is told */
#define KINDS 4       /* numbers of orders for one channel */

/* --- to our own node --- */

static const char *outcome_of(const struct tx_result *r)
{
    switch (r->outcome) {
    case TX_ACCEPTED:
    case TX_PARKED:
    case TX_KNOWN:
    case TX_CONFIRMED:
        return NULL;
    case TX_NOT_JUDGED:
        return "the node stops";
    case TX_MISSING_INPUTS:
        return "missing inputs";
    case TX_REJECTED:
        break;
    }
    return r->verdict.reason;
}

/* The chain thread. What is refused is handed over again with the next block. */
static void on_judged(void *ctx, const struct tx_result *r)
{
    const char *what = ctx, *why = outcome_of(r);
    char id[HASH_HEX_SIZE];
    hash_to_hex(id, r->tx->id.b);
    if (why)
        log_debug(LOGC_CHANNEL, "payment channels: %s %s: %s", what, id, why);
    else
        log_debug(LOGC_CHANNEL, "payment channels: %s %s is on its way", what, id);
}

void paychans_submit(struct held *h, struct tx *tx, const char *what)
{
    const struct tx_submission s = { .tx = tx, .allow_high_fee = true };
    if (!chain_submit_tx_later(h->pc->env->chain, &s, on_judged, (void *)(uintptr_t)what))
        log_debug(LOGC_CHANNEL, "payment channels: %s: the node stops", what);
}

/* --- to peers --- */

/* Blocks that are older than what was sent are no sign of anything: a node that was away gets them
 * while it catches up. */
uint32_t paychans_blocks_waited(const struct held *h)
{
    const struct paychan_sending *s = &h->sending;
    struct header_index *headers = chain_headers(h->pc->env->chain);
    struct header_node *tip = header_index_at(headers, (int32_t)h->pc->view.tip);
    if (!tip || !s->since)
        return 0;
    struct header_node *first = header_first_since(tip, s->since_time - PAYCHAN_BLOCK_S);
    if (!first)
        return 0;
    int32_t since = (int32_t)s->since;
    if (first->height > since)
        since = first->height - 1;
    return tip->height > since ? (uint32_t)(tip->height - since) : 0;
}

bool paychans_is_overdue(const struct held *h)
{
    const uint32_t most = EVERYBODY * h->pc->config.child_blocks;
    return !h->c.spend_height && paychans_blocks_waited(h) >= most;
}

struct pushing {
    struct relay *relay;
    struct relay_push_order order; /* its tx is a reference, or NULL: to be ended */
};

static void on_loop(struct net *net, void *ctx)
{
    struct pushing *p = ctx;
    (void)net;
    if (p->order.tx)
        relay_push(p->relay, &p->order);
    else
        relay_push_end(p->relay, p->order.number);
    tx_unref(p->order.tx);
    free(p);
}

/* tx NULL: the order ends. */
static void order_as(const struct paychans *pc, struct tx *tx, uint64_t number, bool everybody)
{
    struct pushing *p = xmalloc(sizeof *p);
    p->relay = pc->relay;
    p->order = (struct relay_push_order){ .number = number,
                                          .tx = tx ? tx_ref(tx) : NULL,
                                          .networks = pc->config.networks,
                                          .everybody = everybody };
    if (net_post(pc->env->net, on_loop, p))
        return;
    tx_unref(p->order.tx); /* the network has stopped */
    free(p);
}

static void order(struct held *h, struct tx *tx, unsigned kind)
{
    if (tx)
        paychan_endpoints_send(h->pc->endpoints, tx);
    order_as(h->pc, tx, h->number * KINDS + kind, paychans_is_overdue(h));
}

void paychans_push(struct held *h, struct tx *tx, unsigned kind) { order(h, tx, kind); }

void paychans_push_tx(struct paychans *pc, struct tx *tx, uint64_t number, bool everybody)
{
    if (tx)
        paychan_endpoints_send(pc->endpoints, tx);
    order_as(pc, tx, number * KINDS, everybody);
}

static void keep(struct tx **place, struct tx *tx)
{
    struct tx *old = *place;
    *place = tx ? tx_ref(tx) : NULL;
    tx_unref(old);
}

/* --- close and refund --- */

static struct tx *make(struct held *h, bool (*put)(const struct paychan *c,
                                                   const uint8_t secret[32], struct buf *out))
{
    struct tx *tx = NULL;
    struct buf raw;
    buf_init(&raw);
    if (!h->secret)
        paychans_alarm(h, "the key of the channel is locked: unlock the wallet, or money is lost");
    else if (put(&h->c, h->secret, &raw))
        tx = tx_new(raw.data, raw.len, NULL);
    buf_clear(&raw);
    return tx;
}

/* Ours is what spends the funding in our own mempool. */
static bool is_in_pool(const struct held *h)
{
    const enum paychan_spend ours =
        h->c.role == PAYCHAN_PAYEE ? PAYCHAN_SPENT_CLOSE : PAYCHAN_SPENT_REFUND;
    return h->sending.spend && h->c.spend == ours && h->c.spend_height == 0;
}

static enum mempool_visit note_begin(void *ctx, const struct mempool_entry *entry)
{
    struct paychan_sending *s = ctx;
    if (entry->height > 0 && (uint32_t)entry->height < s->since)
        s->since = (uint32_t)entry->height;
    if (entry->time < s->since_time)
        s->since_time = entry->time;
    return MEMPOOL_ENOUGH;
}

/* Since the mempool has it, which remembers across a restart. */
static void begin_waiting(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    if (!s->since) {
        s->since = h->pc->view.tip;
        s->since_time = clock_now();
    }
    if (is_in_pool(h))
        mempool_visit(chain_mempool(h->pc->env->chain), &s->spend->id, note_begin, s);
}

static void send_out(struct held *h, struct tx *made, const char *what)
{
    struct paychan_sending *s = &h->sending;
    begin_waiting(h);
    if (made && !is_in_pool(h)) /* else it would be a double spend of ours */
        paychans_submit(h, made, what);
    if (made)
        keep(&s->sent, made);
    struct tx *tx = is_in_pool(h) && (s->shown || !made) ? s->spend : s->sent;
    if (tx)
        order(h, tx, 0);
    tx_unref(made);
}

void paychans_send_close(struct held *h) { send_out(h, make(h, paychan_make_close), "close"); }
void paychans_send_refund(struct held *h) { send_out(h, make(h, paychan_make_refund), "refund"); }

/* --- what peers say --- */

struct said {
    struct paychans *pc;
    uint64_t number;
};

static struct held *held_of(struct channels *c, const struct said *s)
{
    return c && !s->pc->stopping && s->number % KINDS == 0
               ? paychans_by_number(s->pc, s->number / KINDS)
               : NULL;
}

static void on_shown(struct channels *c, void *ctx)
{
    struct held *h = held_of(c, ctx);
    if (h)
        h->sending.shown = true;
    free(ctx);
}

static void sign_if_due(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    if (!s->again_ms || clock_mono_ms() < s->again_ms)
        return;
    s->again_ms = 0;
    paychans_give(h, &(struct paychan_event){ .kind = PAYCHAN_EV_RACED }, NULL);
}

/* A while later, so that what was first has been judged; not for ever. */
static void on_raced(struct channels *c, void *ctx)
{
    struct held *h = held_of(c, ctx);
    free(ctx);
    if (!h || h->c.role != PAYCHAN_PAYEE || h->sending.again_ms)
        return;
    struct paychan_sending *s = &h->sending;
    if (s->raced_tip != h->pc->view.tip)
        s->raced = 0;
    s->raced_tip = h->pc->view.tip;
    if (s->raced++ < RACES_MAX)
        s->again_ms = clock_mono_ms() + 1000 * (int64_t)h->pc->config.retry_s;
    sign_if_due(h);
}

static struct said *said_new(struct paychans *pc, uint64_t number)
{
    struct said *s = xmalloc(sizeof *s);
    *s = (struct said){ pc, number };
    return s;
}

static void shown(void *ctx, uint64_t number)
{
    struct paychans *pc = ctx;
    channels_post(pc->channels, on_shown, said_new(pc, number));
}

static void raced(void *ctx, uint64_t number)
{
    struct paychans *pc = ctx;
    channels_post(pc->channels, on_raced, said_new(pc, number));
}

void paychans_listen_to_peers(struct paychans *pc)
{
    relay_push_listen(pc->relay, &(struct relay_push_handlers){ shown, raced, pc });
}

/* --- block after block --- */

static uint32_t depth_of(const struct held *h)
{
    const uint32_t height = h->c.spend_height, tip = h->pc->view.tip;
    return height && height <= tip ? tip - height + 1 : 0;
}

void paychans_end_sending(struct held *h)
{
    for (unsigned kind = 0; kind < KINDS && h->sending.since; kind++)
        order(h, NULL, kind);
    paychans_sending_clear(h);
}

void paychans_sending_clear(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    tx_unref(s->spend);
    tx_unref(s->sent);
    tx_unref(s->child);
    *s = (struct paychan_sending){ .since = 0 };
}

void paychans_note_spend(struct held *h, const struct paychan_sight *sight)
{
    struct paychan_sending *s = &h->sending;
    const bool same = s->spend && sight->spend && txid_equal(&s->spend->id, &sight->spend->id) &&
                      h->c.spend_height == sight->spend_height;
    if (s->spend && !sight->spend)
        s->shown = false; /* who had it may have dropped it as well */
    keep(&s->spend, sight->spend);
    if (!same)
        s->seen_tip = 0; /* it is looked at without a block, and so is its child */
}

/* It is in a block: peers on another branch may not have it. */
static void look_at_block(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    if (!s->since)
        return;
    if (depth_of(h) >= PAYCHAN_DEPTH_FINAL)
        paychans_end_sending(h);
    else if (depth_of(h) && s->spend)
        order(h, s->spend, 0);
}

/* After a crash the node may have been without the blocks that it spends when it was sent. */
static void look_at_funding(struct held *h)
{
    const struct paychan *c = &h->c;
    if (c->role != PAYCHAN_PAYER || c->state < P_FUNDED || c->state == P_CLOSED ||
        c->state == P_REFUNDED || c->funded == PAYCHAN_CONFIRMED || c->spend_height ||
        mempool_contains(chain_mempool(h->pc->env->chain), &c->funding.txid))
        return;
    paychans_do(h, &(struct paychan_action){ .what = PAYCHAN_DO_SEND_FUNDING });
}

void paychans_look_after(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    if (s->seen_tip != h->pc->view.tip) {
        s->seen_tip = h->pc->view.tip;
        if (s->since)
            begin_waiting(h);
        look_at_funding(h);
        look_at_block(h);
        paychans_look_at_child(h);
    }
    paychans_look_for_danger(h);
    sign_if_due(h);
}
