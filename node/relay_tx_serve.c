/* What peers ask of us: transactions, the list of the mempool, and which fees are worth announcing
 * to us. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/mempool.h"
#include "node/relay_tx_internal.h"

#define ANSWER_PART 4096          /* mempool entries looked at in a turn */
#define FEE_MEAN_MS 600000.0      /* spec p2p 3: feefilter */
#define FEE_SOON_MS 60000
#define FEE_WHILE_SYNCING 100000000 /* 1 BSV/kB */
#define FEE_STEP_MIN 125          /* half of 250 satoshis, spec consensus 5.1 */
#define FEE_STEP_MAX 10000000
#define SYNC_EVERY_MS 900000      /* spec p2p 3: mempool with an age */
#define SYNC_AGE_S 3600

/* --- getdata --- */

struct find { const struct relay_peer *rp; struct tx *tx; };

/* It was told of the entry not long ago, or of everything up to there by a mempool answer. */
static enum mempool_visit find_entry(void *ctx, const struct mempool_entry *e)
{
    struct find *f = ctx;
    const struct relay_peer *rp = f->rp;
    const bool young = e->time >= clock_now() - TX_KEPT_MS / 1000;
    if (e->sequence <= rp->mempool_sequence || (young && e->sequence <= rp->told_sequence))
        f->tx = tx_ref(e->tx);
    return MEMPOOL_ENOUGH;
}

struct tx *relay_find_for(struct relay_peer *rp, const struct txid *id)
{
    struct relay *r = rp->relay;
    struct tx *kept = tx_kept_find(r->kept, id, r->announced);
    if (kept)
        return tx_ref(kept);
    struct find f = { .rp = rp };
    mempool_visit(r->mempool, id, find_entry, &f);
    return f.tx;
}

/* --- mempool --- */

void relay_on_mempool(struct relay_peer *rp, int64_t age_s)
{
    struct relay *r = rp->relay;
    struct mempool_stats s;
    if (age_s < 0 && !peer_is_whitelisted(rp->peer) &&
        (r->o.reject_mempool_request || !(net_services(r->net) & SERVICE_BLOOM))) {
        peer_disconnect(rp->peer, "mempool request");
        return;
    }
    if (rp->answer.active || (age_s >= 0 && !peer_is_mempool_sync(rp->peer)))
        return;
    mempool_get_stats(r->mempool, clock_now(), &s);
    rp->answer = (struct mempool_answer){
        .active = true,
        .until = s.sequence,
        .max_time = age_s < 0 ? INT64_MAX : clock_now() - MIN_OF(age_s, clock_now()),
    };
    relay_want_turn(r);
}

struct part {
    struct relay_peer *rp;
    struct inv_list items;
    size_t looked_at;
    bool more;
};

static enum mempool_visit list_entry(void *ctx, const struct mempool_entry *e)
{
    struct part *part = ctx;
    struct relay_peer *rp = part->rp;
    if (e->sequence >= rp->answer.until)
        return MEMPOOL_ENOUGH;
    rp->answer.after = e->sequence;
    if (e->time <= rp->answer.max_time &&
        relay_fee_suffices(rp, relay_fee_per_kb(e->fee, e->tx)) && relay_filter_wants(rp, e->tx)) {
        inv_list_add(&part->items, INV_TX, &e->tx->id);
        recent_set_add(&rp->known, e->tx->id.b);
    }
    part->more =
        ++part->looked_at == ANSWER_PART || rp->matched_bytes >= FILTER_ROUND_BYTES;
    return part->more ? MEMPOOL_ENOUGH : MEMPOOL_GO_ON;
}

/* False: it waits for room, or has ended. */
static bool answer_part(struct relay_peer *rp)
{
    struct part part = { .rp = rp };
    if (!rp->answer.active || rp->no_room)
        return false;
    if (!peer_has_send_room(rp->peer)) {
        rp->no_room = true;
        return false;
    }
    rp->matched_bytes = 0;
    mempool_each(rp->relay->mempool, rp->answer.after, list_entry, &part);
    rp->answer.active = part.more;
    rp->mempool_sequence = MAX_OF(rp->mempool_sequence, rp->answer.after);
    if (part.items.n)
        peer_send_inv(rp->peer, MSG_INV, part.items.v, part.items.n);
    free(part.items.v);
    return rp->answer.active;
}

bool relay_work_answers(struct relay *r)
{
    bool more = false;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp))
        more |= answer_part(rp);
    return more;
}

/* --- feefilter --- */

/* To a step of 10 %, down or (once in three) up, so that the exact value gives nobody away. Who
 * takes everything says so: free transactions are not withheld. */
static int64_t fee_rounded(int64_t rate)
{
    int64_t below = 0, above = FEE_STEP_MIN;
    if (rate <= 0)
        return 0;
    while (above < rate && above < FEE_STEP_MAX) {
        below = above;
        above += above / 10;
    }
    return rate > above || rand_below(3) ? below : above;
}

static bool takes_fee_filter(const struct relay_peer *rp)
{
    const struct relay_options *o = &rp->relay->o;
    return o->fee_filter && !o->blocks_only && peer_version(rp->peer) >= MSG_VERSION_FEEFILTER &&
           !(peer_is_whitelisted(rp->peer) && o->whitelist_force_relay);
}

static void tick_fee_filter(struct relay_peer *rp, int64_t now)
{
    const struct relay *r = rp->relay;
    const bool syncing = chain_is_initial_download(r->chain);
    if (!takes_fee_filter(rp))
        return;
    const int64_t least = syncing ? FEE_WHILE_SYNCING
                                  : mempool_min_fee_per_kb(r->mempool, clock_now());
    if (rp->fee_while_syncing && !syncing)
        rp->fee_next_ms = now; /* what is told from now on is wanted */
    if (now < rp->fee_next_ms) {
        const bool far = least < rp->fee_sent * 3 / 4 || least > rp->fee_sent * 4 / 3;
        if (far && rp->fee_next_ms > now + FEE_SOON_MS)
            rp->fee_next_ms = now + (int64_t)rand_below(FEE_SOON_MS);
        return;
    }
    rp->fee_next_ms = now + (int64_t)rand_exp(FEE_MEAN_MS);
    rp->fee_while_syncing = syncing;
    const int64_t fee = fee_rounded(least);
    if (fee == rp->fee_sent)
        return;
    uint8_t payload[8];
    le64_put(payload, (uint64_t)fee);
    peer_send(rp->peer, MSG_FEEFILTER, payload, sizeof(payload));
    rp->fee_sent = fee;
}

/* --- comparing mempools --- */

static void tick_mempool_sync(struct relay_peer *rp, int64_t now)
{
    uint8_t payload[8];
    if (!peer_is_mempool_sync(rp->peer) || now < rp->sync_next_ms ||
        chain_is_initial_download(rp->relay->chain))
        return;
    rp->sync_next_ms = now + SYNC_EVERY_MS;
    le64_put(payload, SYNC_AGE_S);
    peer_send(rp->peer, MSG_MEMPOOL, payload, sizeof(payload));
}

void relay_tick_peer(struct relay_peer *rp, int64_t now)
{
    if (peer_state(rp->peer) != PEER_READY)
        return;
    tick_fee_filter(rp, now);
    tick_mempool_sync(rp, now);
}
