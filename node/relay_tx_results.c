/* What the chain says about transactions. */
#include "base/clock.h"
#include "base/log.h"
#include "node/relay_tx_internal.h"

#define CLOCK_EVERY 64        /* news between two looks at the clock */
#define ORPHAN_STEPS 256      /* of orphans_work in a turn */
#define INTERNAL_CODES 0x100  /* from here on never sent (spec p2p 3.1) */

/* --- missing parents --- */

static bool parent_is_refused(const struct relay *r, const struct txid *parents, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (recent_set_has(&r->rejected, parents[i].b))
            return true;
    return false;
}

/* Parents that have come since, or are in blocks, are taken out of the list. */
static size_t keep_absent(const struct relay *r, struct txid *parents, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!mempool_contains(r->mempool, &parents[i]) &&
            !recent_set_has(&r->confirmed, parents[i].b))
            parents[kept++] = parents[i];
    return kept;
}

static void ask_parents(struct relay_peer *rp, const struct txid *parents, size_t n)
{
    struct relay *r = rp->relay;
    for (size_t i = 0; i < n; i++)
        if (!relay_knows(r, &parents[i]))
            (void)tx_requests_announce(r->requests, rp->announcer, &parents[i], clock_mono_ms());
}

/*
 * All parents are here. A parent may have been accepted in the same batch, after the child: the
 * child is judged once more. If it still misses something, that does not exist.
 */
static void judge_again(struct relay_peer *rp, struct tx *tx)
{
    if (recent_set_add(&rp->relay->retried, tx->id.b))
        relay_judge(rp->relay, tx_ref(tx), rp);
    else
        recent_set_add(&rp->relay->rejected, tx->id.b);
}

static void on_missing(struct relay_peer *rp, const struct tx_news *news)
{
    struct relay *r = rp->relay;
    struct txid *parents = &r->news.missing[news->missing];
    if (news->n_missing > TX_NEWS_MISSING_MAX || parent_is_refused(r, parents, news->n_missing)) {
        recent_set_add(&r->rejected, news->tx->id.b);
        return;
    }
    const size_t n = keep_absent(r, parents, news->n_missing);
    if (n == 0)
        judge_again(rp, news->tx);
    else if (orphans_add(r->orphans, rp->orphans, news->tx, parents, n, clock_now()))
        ask_parents(rp, parents, n);
}

/* --- refused --- */

/* What may be different in a moment is not remembered, so that it can be sent again. */
static bool is_lasting(const struct verdict *v)
{
    return v->code != REJECT_RATE && v->code != REJECT_TOO_BUSY && v->code != REJECT_MEMPOOL_FULL;
}

static void on_rejected(struct relay_peer *rp, const struct tx_news *news, const struct verdict *v)
{
    struct relay *r = rp->relay;
    char hex[HASH_HEX_SIZE];
    log_debug(LOGC_MEMPOOL, "peer=%llu sent transaction %s: %s", (unsigned long long)rp->id,
              hash_to_hex(hex, news->tx->id.b), v->reason);
    if (v->code < INTERNAL_CODES)
        peer_send_reject(rp->peer, MSG_TX, (enum reject_code)v->code, v->reason, news->tx->id.b);
    if (v->ban_score)
        peer_misbehave(rp->peer, (int)v->ban_score, v->reason);
    else if (peer_is_whitelisted(rp->peer) && r->o.whitelist_force_relay)
        relay_announce(r, news->tx, 0, 0); /* refused by policy: passed on all the same */
    relay_charge(rp, news->cpu_us);
}

/* --- news --- */

static void on_judged(struct relay *r, const struct tx_news *news)
{
    const struct txid *id = &news->tx->id;
    struct relay_peer *rp = relay_find_peer(r, news->source);
    if (news->source < TX_SOURCE_FINALISED) /* a peer; others may have offered the same one */
        relay_judged(r, id, rp, news->cpu_us);
    switch (news->outcome) {
    case TX_ACCEPTED:
        if (rp)
            peer_note_tx(rp->peer);
        break;
    case TX_PARKED: /* relayed as others are (spec channels 3) */
        if (rp)
            (void)ratelimit_take(&rp->parked, 1, clock_mono_ms());
        if (news->source == TX_SOURCE_RPC)
            own_announce(r, news->tx, INT64_MAX, 0);
        else if (rp)
            relay_announce(r, news->tx, INT64_MAX, 0);
        break;
    case TX_CONFIRMED:
        recent_set_add(&r->confirmed, id->b);
        break;
    case TX_MISSING_INPUTS:
        if (rp)
            on_missing(rp, news);
        break;
    case TX_REJECTED:
        if (news->source != TX_SOURCE_RPC && is_lasting(&r->news.verdicts[news->verdict])) {
            recent_set_add(&r->rejected, id->b);
            orphans_parent_refused(r->orphans, id);
        }
        if (rp)
            on_rejected(rp, news, &r->news.verdicts[news->verdict]);
        break;
    case TX_KNOWN: /* a client wants it told once more */
        if (news->source == TX_SOURCE_RPC)
            (void)own_announce_known(r, id);
        break;
    case TX_NOT_JUDGED:
        break;
    }
}

static void on_accepted(struct relay *r, const struct tx_news *news)
{
    const int64_t fee_per_kb = relay_fee_per_kb(news->fee, news->tx);
    orphans_parent_accepted(r->orphans, &news->tx->id);
    tx_requests_arrived(r->requests, NULL, &news->tx->id, clock_mono_ms());
    if (news->source == TX_SOURCE_RPC)
        own_announce(r, news->tx, fee_per_kb, news->sequence);
    else if (news->source != TX_SOURCE_FILE && news->source != TX_SOURCE_REORG)
        relay_announce(r, news->tx, fee_per_kb, news->sequence);
}

static void on_news(struct relay *r, const struct tx_news *news)
{
    switch (news->kind) {
    case TX_NEWS_ACCEPTED:
        on_accepted(r, news);
        break;
    case TX_NEWS_JUDGED:
        on_judged(r, news);
        break;
    case TX_NEWS_CONFIRMED:
        recent_set_add(&r->confirmed, news->tx->id.b);
        tx_kept_note_left(r->kept, &news->tx->id);
        break;
    }
}

bool relay_work_news(struct relay *r)
{
    const int64_t start = clock_mono_us();
    bool took = false;
    for (size_t i = 1;; i++) {
        if (r->news_at == r->news.n) {
            tx_news_clear(&r->news);
            r->news_at = 0;
            if (took || !tx_inbox_take(r->inbox, &r->news))
                break;
            took = true;
        }
        on_news(r, &r->news.news[r->news_at++]);
        if (i % CLOCK_EVERY == 0 && clock_mono_us() - start > RELAY_TURN_US)
            return true;
    }
    if (took)
        relay_look_again(r);
    return false;
}

static void retry_orphans(struct relay_peer *rp)
{
    struct relay *r = rp->relay;
    struct tx *tx;
    while (rp->n_retried < ORPHANS_AT_ONCE && relay_may_judge(rp) &&
           (tx = orphans_take_ready(r->orphans, rp->orphans)) != NULL) {
        rp->retried[rp->n_retried++] = tx->id;
        relay_judge(r, tx, rp);
    }
}

bool relay_work_orphans(struct relay *r)
{
    const bool more = orphans_work(r->orphans, clock_now(), ORPHAN_STEPS);
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        retry_orphans(rp);
    return more;
}
