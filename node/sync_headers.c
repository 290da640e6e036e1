/*
 * Headers first: one peer gives the initial headers, then everyone. Chains that cannot prove
 * enough work go through presync, so that they cost no memory (attacks C1).
 */
#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "chain/locator.h"
#include "chain/pow.h"
#include "chain/presync.h"
#include "node/sync_internal.h"

#define HEADERS_BASE_TIMEOUT_MS (2 * 60 * 1000)
#define HEADERS_MS_EACH 1           /* expected headers: the time since the best one / spacing */
#define ASK_AGAIN_MS 15000          /* a peer that was still syncing has ignored the request */
#define BLOCK_SPACING_S 600
#define RECENT_S (24 * 3600)        /* best header younger than this: ask every peer */
#define UNCONNECTING_ANNOUNCE_MAX 8 /* shorter messages count as announcements */
#define UNCONNECTING_SCORE_EVERY 10
#define UNCONNECTING_MAX 40         /* so many in a row: the peer follows another chain */
#define GAP_ASK_AGAIN_MS 60000      /* one getheaders for a gap (attacks C2) */
#define PRESYNC_PEERS_MAX 8         /* of the peers we chose, and as many of the others */

/* --- asking --- */

static void send_getheaders(struct sync_peer *sp, const struct block_hash *hashes, size_t n,
                            const struct block_hash *stop)
{
    peer_send_getheaders(sp->peer, hashes->b, n, stop);
    sp->headers_sent = clock_mono_ms();
    const int64_t behind = clock_now() - (int64_t)header_index_best(sp->sync->headers)->time;
    const int64_t expected = MAX_OF(behind, 0) / BLOCK_SPACING_S;
    if (!sp->headers_deadline) /* what a peer sends does not put off an answer it owes */
        sp->headers_deadline =
            sp->headers_sent + HEADERS_BASE_TIMEOUT_MS + expected * HEADERS_MS_EACH;
}

void headers_ask_from(struct sync_peer *sp, struct header_node *from, const struct block_hash *stop)
{
    struct block_hash hashes[LOCATOR_MAX];
    const size_t n = locator_make(sp->sync->headers, from, hashes);
    send_getheaders(sp, hashes, n, stop);
}

static bool best_header_recent(struct sync *s)
{
    return (int64_t)header_index_best(s->headers)->time > clock_now() - RECENT_S;
}

/* From the block before our best, so that the answer is never empty. */
static void ask_from_best(struct sync_peer *sp)
{
    struct header_node *best = header_index_best(sp->sync->headers);
    headers_ask_from(sp, best->prev ? best->prev : best, NULL);
}

void headers_start(struct sync_peer *sp)
{
    struct sync *s = sp->sync;
    const bool may_fetch =
        peer_serves_blocks(sp->peer) && (peer_is_preferred(sp->peer) || s->n_preferred == 0);
    if (sp->headers_asked || !may_fetch || chain_is_importing(s->chain))
        return;
    if (s->header_peer && !best_header_recent(s))
        return;
    sp->headers_asked = true;
    if (!s->header_peer)
        s->header_peer = sp->id;
    log_debug(LOGC_NET, "initial getheaders (%d) to peer=%llu",
              header_index_best(s->headers)->height, (unsigned long long)sp->id);
    ask_from_best(sp);
}

static void drop_presync(struct sync_peer *sp)
{
    presync_free(sp->presync);
    sp->presync = NULL;
}

/* The header peer is silent: another one takes over, unless this one is all we have. */
void headers_check_timeout(struct sync_peer *sp, int64_t now)
{
    struct sync *s = sp->sync;
    if (!sp->headers_deadline)
        return;
    if (now < sp->headers_deadline) {
        if (!sp->presync && now - sp->headers_sent > ASK_AGAIN_MS)
            ask_from_best(sp);
        return;
    }
    sp->headers_deadline = 0;
    drop_presync(sp); /* the place is free for another peer */
    if (s->header_peer != sp->id)
        return;
    s->header_peer = 0;
    if (best_header_recent(s))
        return;
    if (net_ready_count(s->net) > 1 && !peer_is_whitelisted(sp->peer)) {
        peer_disconnect(sp->peer, "headers timeout");
    } else {
        sp->headers_asked = false;
        headers_start(sp);
    }
}

/* --- knowing what a peer has --- */

static bool breaks_rules(const struct header_node *node)
{
    return atomic_load(&node->status) & HS_FAILED_MASK;
}

/* An invalid block that the peer announced before it was judged does not stand in the way of the
 * next one of the same height. */
void headers_note(struct sync_peer *sp, struct header_node *node)
{
    if (!sp->best_known || u256_cmp(&node->work, &sp->best_known->work) > 0 ||
        (breaks_rules(sp->best_known) && !breaks_rules(node)))
        sp->best_known = node;
}

void headers_resolve_unknown(struct sync_peer *sp)
{
    if (hash_is_zero(sp->unknown_hash.b))
        return;
    struct header_node *node = header_index_find(sp->sync->headers, &sp->unknown_hash);
    if (!node)
        return;
    headers_note(sp, node);
    sp->unknown_hash = (struct block_hash){ { 0 } };
}

/* --- receiving --- */

/* Work below which a chain is not stored before it proves more. */
static struct u256 work_threshold(struct sync *s)
{
    struct u256 threshold = chain_get_params(s->chain)->minimum_work;
    const struct header_node *tip = header_index_tip(s->headers);
    if (!tip)
        return threshold;
    const struct u256 one = header_block_work(tip);
    const struct u256 margin = u256_mul_u64(&one, SYNC_REORG_HEADERS);
    if (u256_cmp(&tip->work, &margin) > 0) {
        const struct u256 near_tip = u256_sub(&tip->work, &margin);
        if (u256_cmp(&near_tip, &threshold) > 0)
            threshold = near_tip;
    }
    return threshold;
}

static struct u256 claimed_work(const struct header_node *start, const struct block_header *h,
                                size_t n)
{
    struct u256 work = start->work, one = { { 0 } };
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || h[i].bits != h[i - 1].bits)
            one = pow_work_of_bits(h[i].bits);
        work = u256_add(&work, &one);
    }
    return work;
}

/* In the end the peer is left, but its address is not banned: it may be an honest node of another
 * chain. */
static void count_unconnecting(struct sync_peer *sp)
{
    sp->unconnecting++;
    if (sp->unconnecting >= UNCONNECTING_MAX && !peer_is_whitelisted(sp->peer)) {
        LOG_LIMITED(LOG_INFO, "peer=%llu is on the wrong chain: its headers do not connect to ours",
                    (unsigned long long)sp->id);
        peer_disconnect(sp->peer, "wrong chain: its headers do not connect to ours");
    } else if (sp->unconnecting % UNCONNECTING_SCORE_EVERY == 0) {
        peer_misbehave(sp->peer, 20, "headers that do not connect");
    }
}

static void on_unconnecting(struct sync_peer *sp, const struct block_header *last)
{
    const int64_t now = clock_mono_ms();
    block_header_hash(&sp->unknown_hash, last);
    if (sp->unconnecting == 0 || now - sp->gap_asked > GAP_ASK_AGAIN_MS) {
        sp->gap_asked = now;
        headers_ask_from(sp, header_index_best(sp->sync->headers), NULL);
    }
    count_unconnecting(sp);
}

/* A whole message of what the peer has shown us before: it answers in a circle (attacks C2). */
static bool is_repeated(const struct sync_peer *sp, const struct block_header *last)
{
    struct block_hash hash;
    block_header_hash(&hash, last);
    struct header_node *node = header_index_find(sp->sync->headers, &hash);
    return node && sp->best_known && node->height <= sp->best_known->height &&
           header_ancestor(sp->best_known, node->height) == node;
}

static void judge(struct sync_peer *sp, const struct verdict *v)
{
    log_debug(LOGC_NET, "peer=%llu headers: %s", (unsigned long long)sp->id, v->reason);
    if (v->code == REJECT_CHECKPOINT)
        LOG_LIMITED(LOG_INFO, "peer=%llu is on the wrong chain: %s", (unsigned long long)sp->id,
                    v->reason);
    if (v->ban_score)
        peer_misbehave(sp->peer, (int)v->ban_score, v->reason);
}

/* hashes: of the headers, or NULL. */
static void store_headers(struct sync_peer *sp, const struct block_header *h,
                          const struct block_hash *hashes, size_t n)
{
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    const enum err rc = chain_accept_headers(sp->sync->chain, h, hashes, n, &accepted, &last, &v);
    if (last)
        headers_note(sp, last);
    if (rc || !verdict_ok(&v))
        judge(sp, &v);
}

bool headers_accept(struct sync_peer *sp, const struct block_header *h, size_t n,
                    struct verdict *v)
{
    struct sync *s = sp->sync;
    struct header_node *start = header_index_find(s->headers, &h[0].prev), *last;
    size_t accepted;
    *v = (struct verdict){ 0 };
    if (!start)
        return verdict_set(v, REJECT_INVALID, 10, "prev-blk-not-found");
    const struct u256 needed = work_threshold(s), claimed = claimed_work(start, h, n);
    if (u256_cmp(&claimed, &needed) < 0)
        return verdict_set(v, REJECT_INVALID, 0, "too little work");
    return !chain_accept_headers(s->chain, h, NULL, n, &accepted, &last, v) && verdict_ok(v);
}

static void continue_presync(struct sync_peer *sp, const struct block_header *h, size_t n)
{
    const struct block_header *out;
    size_t n_out;
    struct verdict v;
    const bool full = n == MSG_HEADERS_MAX;
    if (!presync_feed(sp->presync, h, n, full, &out, &n_out, &v)) {
        judge(sp, &v);
        drop_presync(sp);
        return;
    }
    if (n_out)
        store_headers(sp, out, NULL, n_out);
    if (presync_get_state(sp->presync) == PRESYNC_DONE) {
        drop_presync(sp);
        if (full && sp->best_known)
            headers_ask_from(sp, sp->best_known, NULL);
        return;
    }
    struct block_hash locator[LOCATOR_MAX + 1];
    const size_t n_locator = presync_locator(sp->presync, locator, COUNT_OF(locator));
    send_getheaders(sp, locator, n_locator, NULL);
}

struct presync_count {
    bool preferred;
    unsigned n;
};

static void count_presync(struct sync_peer *sp, void *ctx)
{
    struct presync_count *count = ctx;
    count->n += sp->presync && peer_is_preferred(sp->peer) == count->preferred;
}

/*
 * A chain that may be long but has not shown enough work: two passes, for a few peers at a time.
 * Those who connected to us cannot take the places of those we chose.
 */
static void begin_presync(struct sync_peer *sp, struct header_node *start,
                          const struct block_header *h, size_t n, const struct u256 *needed)
{
    struct presync_count count = { .preferred = peer_is_preferred(sp->peer) };
    sync_each(sp->sync, count_presync, &count);
    if (count.n >= PRESYNC_PEERS_MAX)
        return;
    log_debug(LOGC_NET, "peer=%llu shows a chain of little work from height %d: presync",
              (unsigned long long)sp->id, start->height);
    sp->presync = presync_new(sp->sync->headers, start, needed);
    continue_presync(sp, h, n);
}

/* While we check a full message the peer can already send the next one. */
static void ask_for_next(struct sync_peer *sp, const struct block_hash *last)
{
    struct block_hash hashes[LOCATOR_MAX + 1];
    hashes[0] = *last;
    const size_t n =
        locator_make(sp->sync->headers, header_index_best(sp->sync->headers), hashes + 1);
    send_getheaders(sp, hashes, n + 1, NULL);
}

static void receive(struct sync_peer *sp, const struct block_header *h, size_t n)
{
    struct sync *s = sp->sync;
    struct block_hash hashes[MSG_HEADERS_MAX];
    struct header_node *start = header_index_find(s->headers, &h[0].prev);
    if (!start && n < UNCONNECTING_ANNOUNCE_MAX) {
        on_unconnecting(sp, &h[n - 1]);
        return;
    }
    if (!headers_hash(hashes, h, n)) {
        peer_misbehave(sp->peer, 20, "non-contiguous headers");
        return;
    }
    if (!start) {
        on_unconnecting(sp, &h[n - 1]);
        return;
    }
    const bool full = n == MSG_HEADERS_MAX;
    if (full && is_repeated(sp, &h[n - 1])) {
        count_unconnecting(sp);
        return;
    }
    sp->unconnecting = 0;
    const struct u256 needed = work_threshold(s), claimed = claimed_work(start, h, n);
    if (u256_cmp(&claimed, &needed) < 0) {
        if (full)
            begin_presync(sp, start, h, n, &needed);
        else
            log_debug(LOGC_NET, "peer=%llu: %zu headers of too little work, ignored",
                      (unsigned long long)sp->id, n);
        return;
    }
    if (full)
        ask_for_next(sp, &hashes[n - 1]);
    store_headers(sp, h, hashes, n);
}

/* A new tip that an honest peer announces between its answers is no part of them. */
static bool is_announcement(const struct sync_peer *sp, const struct block_header *h, size_t n)
{
    return sp->presync && n > 0 && n < UNCONNECTING_ANNOUNCE_MAX &&
           !presync_continues(sp->presync, &h[0]);
}

void headers_take(struct sync_peer *sp, const struct block_header *h, size_t n)
{
    struct sync *s = sp->sync;
    if (is_announcement(sp, h, n)) {
        block_header_hash(&sp->unknown_hash, &h[n - 1]);
        return;
    }
    sp->headers_deadline = 0;
    sp->headers_follow = n == MSG_HEADERS_MAX;
    if (chain_is_importing(s->chain))
        return;
    if (sp->presync)
        continue_presync(sp, h, n);
    else if (n > 0)
        receive(sp, h, n);
    headers_resolve_unknown(sp);
    if (s->header_peer == sp->id && !sp->presync && (n < MSG_HEADERS_MAX || !sp->headers_deadline))
        s->header_peer =
            0; /* it has told all it knows, or what it told is no use: others are asked */
}

void sync_on_headers(void *ctx, struct peer *p, const struct block_header *h, size_t n)
{
    headers_take(sync_peer_of(p), h, n);
    blocks_plan(ctx);
}
