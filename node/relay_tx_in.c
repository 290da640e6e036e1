/*
 * What peers announce and send. Whatever is known is not fetched again; what comes is handed to the
 * chain, in bounded amounts for each peer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/check.h"
#include "chain/nonfinal.h"
#include "node/relay_tx_internal.h"
#include "node/sync_internal.h"

/* Of one peer, with the chain at one time or waiting for that. */
#define JUDGING_MAX 20000
#define JUDGING_BYTES (16u << 20)
/* With the chain: as many as cost OFFERED_US together, if they cost what others of the peer did
 * lately. Who begins with cheap ones has no more than OFFERED_MAX dear ones in. */
#define OFFERED_MAX 512
#define OFFERED_MIN 16
#define OFFERED_US 50000
#define COST_FADES 64 /* a cost counts less with each transaction, by this part */
#define STREAM_US_PER_MB 1000 /* what a large transaction costs that is only hashed */

static bool tx_has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct tx *)item)->id, key);
}

bool relay_knows(const struct relay *r, const struct txid *id)
{
    return recent_set_has(&r->rejected, id->b) || recent_set_has(&r->confirmed, id->b) ||
           map_find(&r->judging, siphash_32(&r->key, id->b), tx_has_id, id) ||
           orphans_contains(r->orphans, id) || mempool_contains(r->mempool, id) ||
           nonfinal_contains(r->nonfinal, id);
}

/* spec p2p 9; whitelistrelay lets trusted peers through with blocksonly */
static bool takes_none(const struct relay_peer *rp)
{
    const struct relay_options *o = &rp->relay->o;
    const bool only_blocks =
        o->blocks_only && !(o->whitelist_relay && peer_is_whitelisted(rp->peer));
    return only_blocks || chain_is_importing(rp->relay->chain);
}

void relay_charge(struct relay_peer *rp, int64_t us)
{
    if (us <= 0 || peer_is_whitelisted(rp->peer) || peer_kind(rp->peer) == PEER_MANUAL)
        return;
    if (ratelimit_take(&rp->refused_us, (uint64_t)us, clock_mono_ms()))
        return;
    rp->costs_too_much = true;
    peer_disconnect(rp->peer, "its refused transactions cost too much");
}

/* --- asking --- */

void relay_note_ask(void *ctx, void *peer, const struct txid *id)
{
    (void)ctx;
    struct relay_peer *rp = peer;
    inv_list_add(&rp->ask, INV_TX, id);
    rp->relay->asks = true;
}

void relay_flush_asks(struct relay *r)
{
    if (!r->asks)
        return;
    r->asks = false;
    for (struct relay_peer *rp = relay_first_peer(r); rp; rp = relay_next_peer(rp)) {
        if (rp->ask.n == 0)
            continue;
        peer_send_inv(rp->peer, MSG_GETDATA, rp->ask.v, rp->ask.n);
        free(rp->ask.v);
        rp->ask = (struct inv_list){ .v = NULL };
    }
}

static struct txid txid_of(const struct inv_item *item)
{
    struct txid id;
    memcpy(id.b, item->hash.b, sizeof(id.b));
    return id;
}

void relay_on_inv(struct relay_peer *rp, const struct inv_item *items, size_t n)
{
    struct relay *r = rp->relay;
    const int64_t now = clock_mono_ms();
    const bool ignored = takes_none(rp) || chain_is_initial_download(r->chain);
    for (size_t i = 0; i < n; i++) {
        if (items[i].type != INV_TX)
            continue;
        const struct txid id = txid_of(&items[i]);
        recent_set_add(&rp->known, id.b);
        own_note_spread(r, &id);
        if (push_note_shown(r, rp, &id))
            continue;
        if (!ignored && !relay_knows(r, &id))
            (void)tx_requests_announce(r->requests, rp->announcer, &id, now); /* else: no place */
    }
    relay_flush_asks(r);
}

void relay_on_notfound(struct relay_peer *rp, const struct inv_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct txid id = txid_of(&items[i]);
        if (items[i].type == INV_TX)
            tx_requests_not_found(rp->relay->requests, rp->announcer, &id, clock_mono_ms());
    }
    relay_flush_asks(rp->relay);
}

void relay_on_reject(struct relay_peer *rp, const struct msg_reject *m)
{
    struct txid id;
    char hex[HASH_HEX_SIZE], reason[111 * 4 + 1];
    if (!m->has_hash || m->command.len != 2 || memcmp(m->command.data, "tx", 2) != 0)
        return;
    memcpy(id.b, m->hash.b, sizeof(id.b));
    push_note_reject(rp->relay, rp, &id, m->code);
    if (!own_is(rp->relay, &id))
        return;
    log_sanitize(reason, sizeof(reason), m->reason.data, m->reason.len);
    LOG_LIMITED(LOG_INFO, "peer=%llu refuses our transaction %s: %s (code %02x)",
                (unsigned long long)rp->id, hash_to_hex(hex, id.b), reason, m->code);
}

/* --- with the chain --- */

/* More of all peers together is under way than half of the budget: each has an equal part. */
static size_t judging_limit(const struct relay_peer *rp)
{
    const struct relay *r = rp->relay;
    const size_t half = r->o.judging_bytes / 2;
    return r->judging_bytes > half ? MIN_OF(half / r->peers.n, JUDGING_BYTES) : JUDGING_BYTES;
}

static void pause_if_full(struct relay_peer *rp)
{
    if (rp->judging == 0 || rp->paused ||
        (rp->judging_bytes < judging_limit(rp) && rp->judging < JUDGING_MAX))
        return;
    rp->paused = true;
    peer_pause_reading(rp->peer);
}

static void resume_if_room(struct relay_peer *rp)
{
    if (!rp->paused || rp->judging_bytes > judging_limit(rp) / 2 || rp->judging > JUDGING_MAX / 2)
        return;
    rp->paused = false;
    tx_requests_note_progress(rp->announcer, clock_mono_ms());
    sync_resume_reading(sync_peer_of(rp->peer));
}

bool relay_may_judge(const struct relay_peer *rp)
{
    return !rp->paused && rp->judging < JUDGING_MAX / 2;
}

/* --- as many as do not hold up others --- */

static size_t offer_window(const struct relay_peer *rp)
{
    const int64_t n = OFFERED_US / MAX_OF(rp->cost_us, 1);
    return (size_t)MIN_OF(MAX_OF(n, OFFERED_MIN), OFFERED_MAX);
}

/* The highest counts, so that one dear transaction makes the next ones wait. */
static void note_cost(struct relay_peer *rp, int64_t us)
{
    rp->cost_us = MAX_OF(us, rp->cost_us - (rp->cost_us + COST_FADES - 1) / COST_FADES);
}

static void wait_for_place(struct tx_line *l, struct tx *tx)
{
    if (l->end == l->cap && l->at > l->cap / 2) {
        memmove(l->v, l->v + l->at, (l->end - l->at) * sizeof(struct tx *));
        l->end -= l->at;
        l->at = 0;
    } else if (l->end == l->cap) {
        l->cap = MAX_OF(2 * l->cap, 16);
        l->v = xrealloc(l->v, l->cap * sizeof(struct tx *));
    }
    l->v[l->end++] = tx;
    l->bytes += tx_memory(tx);
}

static struct tx *first_in_line(struct tx_line *l)
{
    if (l->at == l->end)
        return NULL;
    struct tx *tx = l->v[l->at++];
    l->bytes -= tx_memory(tx);
    if (l->at == l->end)
        l->at = l->end = 0;
    return tx;
}

/* When the chain is closing none of them will be judged. */
static void offer_waiting(struct relay_peer *rp, size_t most)
{
    struct tx *tx;
    while (rp->offered < most && (tx = first_in_line(&rp->waiting)) != NULL)
        rp->offered += chain_offer_tx(rp->relay->chain, tx, rp->id);
}

void relay_judge(struct relay *r, struct tx *tx, struct relay_peer *rp)
{
    map_put(&r->judging, siphash_32(&r->key, tx->id.b), tx);
    r->judging_bytes += tx_memory(tx);
    rp->judging_bytes += tx_memory(tx);
    rp->judging++;
    wait_for_place(&rp->waiting, tx);
    offer_waiting(rp, offer_window(rp));
    pause_if_full(rp);
}

static struct tx *take_judging(struct relay *r, const struct txid *id)
{
    struct tx *tx = map_remove(&r->judging, siphash_32(&r->key, id->b), tx_has_id, id);
    if (tx)
        r->judging_bytes -= tx_memory(tx);
    return tx;
}

/* Who sends and goes at once is heard all the same. */
void relay_end_waiting(struct relay_peer *rp)
{
    struct tx *tx;
    if (!rp->costs_too_much)
        offer_waiting(rp, SIZE_MAX);
    while ((tx = first_in_line(&rp->waiting)) != NULL)
        tx_unref(take_judging(rp->relay, &tx->id));
    free(rp->waiting.v);
}

static void forget_retried(struct relay_peer *rp, const struct txid *id)
{
    for (size_t i = 0; i < rp->n_retried; i++)
        if (txid_equal(&rp->retried[i], id)) {
            rp->retried[i] = rp->retried[--rp->n_retried];
            return;
        }
}

void relay_judged(struct relay *r, const struct txid *id, struct relay_peer *rp, int64_t cpu_us)
{
    struct tx *tx = take_judging(r, id);
    if (!tx)
        return;
    if (rp) {
        rp->judging_bytes -= tx_memory(tx);
        rp->judging--;
        rp->offered--;
        forget_retried(rp, id);
        note_cost(rp, cpu_us);
        offer_waiting(rp, offer_window(rp));
        resume_if_room(rp);
    }
    tx_unref(tx);
}

/* --- transactions --- */

/* Bytes after the transaction are ignored, as after all known fields (spec p2p 1.6). */
static struct tx *parse(struct span raw, struct error *e)
{
    struct tx view, *tx = tx_new(raw.data, raw.len, e);
    struct reader r;
    struct arena a;
    if (tx)
        return tx;
    arena_init(&a);
    reader_init(&r, raw.data, raw.len);
    if (tx_read(&r, &a, &view) == OK && view.raw.len < raw.len)
        tx = tx_new(view.raw.data, view.raw.len, e);
    arena_clear(&a);
    return tx;
}

static void refuse(struct relay_peer *rp, enum reject_code code, const char *reason,
                   const struct txid *id)
{
    peer_send_reject(rp->peer, MSG_TX, code, reason, id->b);
}

/* The peer has used up its non-final ones; final ones pass (attacks B8). */
static bool is_parked_too_often(struct relay_peer *rp, const struct tx *tx)
{
    struct chain_tip tip;
    if (ratelimit_wait_ms(&rp->parked, 1, clock_mono_ms()) == 0)
        return false;
    chain_get_tip(rp->relay->chain, &tip);
    return !tx_is_final(tx, tip.height + 1, tip.median_time);
}

/* Trusted peers may use us as a gateway (spec p2p 6: whitelistforcerelay). */
static void relay_known(struct relay_peer *rp, struct tx *tx)
{
    if (peer_is_whitelisted(rp->peer) && rp->relay->o.whitelist_force_relay)
        relay_announce(rp->relay, tx, 0, 0);
}

static void take(struct relay_peer *rp, struct tx *tx)
{
    struct relay *r = rp->relay;
    if (relay_knows(r, &tx->id)) {
        relay_known(rp, tx);
        tx_unref(tx);
    } else if (is_parked_too_often(rp, tx)) {
        refuse(rp, REJECT_CODE_RATE, "non-final-txn-replacement-rate", &tx->id);
        tx_unref(tx);
    } else {
        relay_judge(r, tx, rp);
    }
}

void relay_on_tx(struct relay_peer *rp, struct span raw, const struct txid *id)
{
    struct relay *r = rp->relay;
    struct error e;
    const bool asked =
        tx_requests_arrived(r->requests, rp->announcer, id, clock_mono_ms());
    relay_flush_asks(r);
    recent_set_add(&rp->known, id->b);
    if (push_note_shown(r, rp, id) || takes_none(rp))
        return;
    if (relay_knows(r, id) && !peer_is_whitelisted(rp->peer))
        return;
    struct tx *tx = parse(raw, &e);
    if (tx) {
        take(rp, tx);
        return;
    }
    log_debug(LOGC_MEMPOOL, "peer=%llu sent a transaction%s that cannot be read: %s",
              (unsigned long long)rp->id, asked ? " we asked for" : "", e.text);
    peer_send_reject(rp->peer, MSG_TX, REJECT_CODE_MALFORMED, "error parsing message", NULL);
}

/* --- large ones --- */

/*
 * Above MSG_COLLECT_MAX: kept in memory only when policy could accept it and it fits in the budget;
 * else it is hashed as it passes, so that it can be refused by name (attacks B11).
 */
enum stream_choice relay_stream_begin(struct relay_peer *rp, uint64_t size, const uint8_t *checksum)
{
    const struct relay *r = rp->relay;
    if (takes_none(rp))
        return STREAM_SKIP;
    const uint64_t most = relay_max_tx_size(r->chain);
    const bool allowed = most == 0 || size <= most;
    rp->stream_size = size;
    rp->stream_kept = allowed && r->judging_bytes + r->stream_bytes + size <= r->o.judging_bytes;
    if (rp->stream_kept)
        rp->relay->stream_bytes += size;
    rp->stream_has_checksum = checksum != NULL;
    if (checksum)
        memcpy(rp->stream_checksum, checksum, sizeof(rp->stream_checksum));
    sha256_init(&rp->stream_hash);
    return STREAM_TAKE;
}

static void drop_stream(struct relay_peer *rp)
{
    if (rp->stream_kept)
        rp->relay->stream_bytes -= rp->stream_size;
    rp->stream_kept = false;
    buf_clear(&rp->stream);
}

enum stream_flow relay_stream_data(struct relay_peer *rp, const uint8_t *data, size_t len)
{
    sha256_update(&rp->stream_hash, data, len);
    tx_requests_note_progress(rp->announcer, clock_mono_ms());
    if (!rp->stream_kept)
        return STREAM_MORE;
    if (buf_try_reserve(&rp->stream, len))
        buf_put(&rp->stream, data, len);
    else
        drop_stream(rp);
    return STREAM_MORE;
}

/* Nothing of it was kept. An honest peer does not send more than the one that we asked for. */
static void refuse_large(struct relay_peer *rp, const struct txid *id)
{
    struct relay *r = rp->relay;
    tx_requests_arrived(r->requests, rp->announcer, id, clock_mono_ms());
    relay_flush_asks(r);
    recent_set_add(&rp->known, id->b);
    if (!relay_knows(r, id)) {
        refuse(rp, REJECT_CODE_NONSTANDARD, "tx-size", id);
        recent_set_add(&r->rejected, id->b);
    }
    relay_charge(rp, (int64_t)(rp->stream_size >> 20) * STREAM_US_PER_MB);
}

void relay_stream_end(struct relay_peer *rp, enum stream_end how)
{
    struct txid id;
    sha256d_final(&rp->stream_hash, id.b);
    const bool good = !rp->stream_has_checksum ||
                      memcmp(rp->stream_checksum, id.b, sizeof(rp->stream_checksum)) == 0;
    if (how == STREAM_COMPLETE && good && rp->stream_kept)
        relay_on_tx(rp, buf_span(&rp->stream), &id);
    else if (how == STREAM_COMPLETE && good)
        refuse_large(rp, &id);
    drop_stream(rp);
    rp->stream_size = 0;
}
