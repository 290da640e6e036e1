#include "node/bca_gossip.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "node/record_asks.h"
#include "node/sync.h"
#include "node/sync_internal.h"
#include "p2p/bca_own.h"
#include "p2p/ratelimit.h"

#define TICK_MS 1000
#define FLUSH_MS 60000        /* spec channels 1.2 */
#define REGTEST_TICK_MS 50
#define REGTEST_FLUSH_MS 200
#define GIVEN 200             /* records that one peer is given: more than it may take from us */
#define GIVEN_MILLI_PER_S 4000
#define WANTED_MAX 1000       /* announcements of a peer that wait for tokens */
#define WANTED_LOOKS 200      /* of these at one tick */
#define JOBS_EACH 8           /* of a peer, under way */
#define RING 8192             /* records that were taken lately, a power of two */
#define FEW_RECORDS 1000      /* with fewer a sample is asked for */

struct ring_item {
    struct msg_bca_item item;
    uint64_t source; /* a peer, or 0 */
};

struct bca_peer {
    struct record_asker asker;
    struct bca_gossip *gossip;
    struct peer *peer;
    bool told;                      /* we have said sendbca */
    bool spoke, wants, answers;     /* its sendbca */
    bool tell_own;                  /* our own records with the next announcement */
    struct ratelimit taken, given;  /* records from it and to it */
    bool sampled;                   /* it was given a sample, at: */
    int64_t sampled_at;
    unsigned jobs;                  /* of it, under way */
    uint64_t cursor;                /* of the ring: what it hears of next */
    int64_t flush_at;
    struct msg_bca_item *wanted;    /* a ring of WANTED_MAX, NULL: never used */
    size_t wanted_at, n_wanted;
};

struct bca_gossip {
    struct bca_records *records;
    struct bca_store *store;
    struct bca_intake *intake;
    struct net *net;
    struct event *timer;
    int64_t tick_ms, flush_ms;
    int64_t sample_pause_ms;        /* between two samples for one peer */
    struct record_asks asks;        /* and the peers */
    uint32_t burst, rate;           /* records of one peer: in a row, a second */
    uint64_t ring_next;             /* items ever */
    struct ring_item ring[RING];
};

struct bca_gossip *bca_gossip_new(struct bca_records *records, const struct settings *s)
{
    struct bca_gossip *g = xcalloc(1, sizeof *g);
    const bool regtest = s->params.network == NETWORK_REGTEST;
    g->burst = (uint32_t)config_int(s->config, "recordburst");
    g->rate = (uint32_t)config_int(s->config, "recordrate");
    g->records = records;
    g->store = bca_records_store(records);
    g->intake = bca_records_intake(records);
    g->tick_ms = regtest ? REGTEST_TICK_MS : TICK_MS;
    g->flush_ms = regtest ? REGTEST_FLUSH_MS : FLUSH_MS;
    if (config_is_set(s->config, "recordflush"))
        g->flush_ms = 1000 * config_int(s->config, "recordflush");
    g->sample_pause_ms = 1000 * config_int(s->config, "recordsamplepause");
    record_asks_init(&g->asks);
    return g;
}

void bca_gossip_free(struct bca_gossip *g)
{
    if (!g)
        return;
    record_asks_clear(&g->asks);
    free(g);
}

/* --- peers --- */

static void say_sendbca(struct bca_peer *bp)
{
    struct buf payload;
    if (bp->told)
        return;
    bp->told = true;
    buf_init(&payload);
    msg_sendbca_write(&payload, MSG_SENDBCA_ANNOUNCE | MSG_SENDBCA_ANSWERS);
    peer_send_buf(bp->peer, MSG_SENDBCA, &payload);
    buf_clear(&payload);
}

/* Nodes ignore what they do not know. Programs that dial us and offer nothing may end at it. */
static bool is_client(struct peer *p) { return peer_is_inbound(p) && peer_services(p) == 0; }

struct bca_peer *bca_peer_new(struct bca_gossip *g, struct peer *p)
{
    const int64_t now = clock_mono_ms();
    if (!g)
        return NULL;
    struct bca_peer *bp = xcalloc(1, sizeof *bp);
    bp->gossip = g;
    bp->peer = p;
    bp->cursor = g->ring_next;
    bp->flush_at = now + (int64_t)rand_below((uint64_t)g->flush_ms);
    ratelimit_init(&bp->taken, 1000 * g->rate, g->burst, g->burst, now);
    ratelimit_init(&bp->given, GIVEN_MILLI_PER_S, GIVEN, GIVEN, now);
    record_asker_join(&bp->asker, &g->asks);
    if (!is_client(p))
        say_sendbca(bp);
    return bp;
}

void bca_peer_free(struct bca_peer *bp)
{
    if (!bp)
        return;
    record_asker_leave(&bp->asker);
    free(bp->wanted);
    free(bp);
}

/* NULL: there is no gossip with this peer. */
static struct bca_peer *of(const struct peer *p)
{
    const struct sync_peer *sp = sync_peer_of(p);
    return sp ? sp->bca : NULL;
}

static struct bca_peer *of_one_that_spoke(const struct peer *p)
{
    struct bca_peer *bp = of(p);
    return bp && bp->spoke ? bp : NULL;
}

/* --- asking --- */

static void ask_list(struct bca_peer *bp, const struct msg_bca_item *items, size_t n)
{
    struct buf payload;
    buf_init(&payload);
    msg_getbca_list_write(&payload, items, n);
    peer_send_buf(bp->peer, MSG_GETBCA, &payload);
    buf_clear(&payload);
}

static void ask_sample(struct bca_peer *bp)
{
    struct buf payload;
    buf_init(&payload);
    msg_getbca_sample_write(&payload, MSG_GETBCA_SAMPLE_MAX);
    peer_send_buf(bp->peer, MSG_GETBCA, &payload);
    buf_clear(&payload);
}

static void want(struct bca_peer *bp, const struct msg_bca_item *item)
{
    if (bp->n_wanted == WANTED_MAX)
        return;
    if (!bp->wanted)
        bp->wanted = xcalloc(WANTED_MAX, sizeof *bp->wanted);
    bp->wanted[(bp->wanted_at + bp->n_wanted++) % WANTED_MAX] = *item;
}

static struct msg_bca_item take_wanted(struct bca_peer *bp)
{
    const struct msg_bca_item item = bp->wanted[bp->wanted_at];
    bp->wanted_at = (bp->wanted_at + 1) % WANTED_MAX;
    bp->n_wanted--;
    return item;
}

/* What waits and may be asked for now. One that another peer was asked for comes again later. */
static void ask_for_wanted(struct bca_peer *bp, int64_t now)
{
    struct bca_gossip *g = bp->gossip;
    struct msg_bca_item items[MSG_GETBCA_MAX];
    size_t n = 0;
    for (size_t left = MIN_OF(bp->n_wanted, (size_t)WANTED_LOOKS); left > 0; left--) {
        if (n == MSG_GETBCA_MAX || record_asker_is_full(&bp->asker))
            break;
        const struct msg_bca_item item = take_wanted(bp);
        const enum record_asked asked = record_asker_find(&bp->asker, item.record_key);
        if (!bca_intake_wants(g->intake, item.record_key, item.seq) || asked == RECORD_ASKED_HERE)
            continue;
        if (asked == RECORD_ASKED_ELSEWHERE || !ratelimit_take(&bp->taken, 1, now)) {
            want(bp, &item);
            continue;
        }
        record_asker_note(&bp->asker, item.record_key, now);
        items[n++] = item;
    }
    if (n)
        ask_list(bp, items, n);
}

/* --- announcing --- */

/* Own records that anybody may have. */
static size_t add_own(struct bca_gossip *g, struct msg_bca_item *items, size_t max)
{
    struct bca_facts f;
    uint8_t keys[BCA_OWN_MAX][32];
    size_t n = 0;
    const size_t n_own = bca_own_record_keys(g->store, keys);
    for (size_t i = 0; i < n_own && n < max; i++) {
        if (!bca_store_look(g->store, keys[i], &f) || !bca_facts_public(&f))
            continue;
        memcpy(items[n].record_key, keys[i], sizeof items[n].record_key);
        items[n++].seq = f.seq;
    }
    return n;
}

static void flush(struct bca_peer *bp)
{
    struct bca_gossip *g = bp->gossip;
    struct msg_bca_item items[MSG_BCAINV_MAX];
    struct buf payload;
    size_t n = bp->tell_own ? add_own(g, items, MSG_BCAINV_MAX) : 0;
    bp->tell_own = false;
    if (g->ring_next - bp->cursor > RING)
        bp->cursor = g->ring_next - RING;
    for (; bp->cursor < g->ring_next && n < MSG_BCAINV_MAX; bp->cursor++) {
        const struct ring_item *i = &g->ring[bp->cursor % RING];
        if (i->source != peer_id(bp->peer))
            items[n++] = i->item;
    }
    if (!n)
        return;
    buf_init(&payload);
    msg_bcainv_write(&payload, items, n);
    peer_send_buf(bp->peer, MSG_BCAINV, &payload);
    buf_clear(&payload);
}

static void tick_peer(struct bca_peer *bp, int64_t now)
{
    if (!bp->spoke || peer_state(bp->peer) != PEER_READY)
        return;
    if (bp->answers && bp->n_wanted)
        ask_for_wanted(bp, now);
    if (now < bp->flush_at)
        return;
    if (bp->wants && peer_has_send_room(bp->peer))
        flush(bp);
    bp->flush_at = now + bp->gossip->flush_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct bca_gossip *g = arg;
    const int64_t now = clock_mono_ms();
    record_asks_expire(&g->asks, now);
    for (struct list_link *l = list_first(&g->asks.peers); l; l = list_next(&g->asks.peers, l))
        tick_peer(LIST_ITEM(l, struct bca_peer, asker.link), now);
}

/* --- messages --- */

void bca_on_sendbca(void *ctx, struct peer *p, const struct msg_sendbca *m)
{
    struct bca_peer *bp = of(p);
    (void)ctx;
    if (!bp || bp->spoke)
        return;
    bp->spoke = true;
    say_sendbca(bp);
    bp->wants = bp->tell_own = m->flags & MSG_SENDBCA_ANNOUNCE;
    bp->answers = m->flags & MSG_SENDBCA_ANSWERS;
    if (bp->answers && !peer_is_inbound(p) && bca_store_records(bp->gossip->store) < FEW_RECORDS)
        ask_sample(bp);
}

void bca_on_bcainv(void *ctx, struct peer *p, const struct msg_bca_list *m)
{
    struct bca_peer *bp = of_one_that_spoke(p);
    (void)ctx;
    if (!bp || !bp->answers)
        return;
    for (size_t i = 0; i < m->n; i++) {
        struct msg_bca_item item;
        msg_bca_item_get(m, i, &item);
        if (bca_intake_wants(bp->gossip->intake, item.record_key, item.seq))
            want(bp, &item);
    }
}

static void submit(struct bca_peer *bp, struct bca_job *job)
{
    if (bca_records_submit(bp->gossip->records, job))
        bp->jobs++;
}

static struct bca_job *new_serving(struct bca_peer *bp, size_t n)
{
    struct bca_job *job = bca_job_new(peer_id(bp->peer));
    job->kind = BCA_JOB_SERVE;
    job->items = xcalloc(MAX_OF(n, (size_t)1), sizeof *job->items);
    return job;
}

static void serve_list(struct bca_peer *bp, const struct msg_bca_list *list, int64_t now)
{
    struct bca_job *job = new_serving(bp, list->n);
    for (size_t i = 0; i < list->n; i++)
        msg_bca_item_get(list, i, &job->items[i]);
    job->n = (size_t)ratelimit_take_some(&bp->given, list->n, now);
    job->n_refused = list->n - job->n;
    submit(bp, job);
}

static void serve_sample(struct bca_peer *bp, size_t max, int64_t now)
{
    uint8_t keys[MSG_GETBCA_SAMPLE_MAX][32];
    if (bp->sampled && now - bp->sampled_at < bp->gossip->sample_pause_ms)
        return;
    bp->sampled = true;
    bp->sampled_at = now;
    struct bca_job *job = new_serving(bp, max);
    job->n = bca_store_sample(bp->gossip->store, keys, max);
    for (size_t i = 0; i < job->n; i++)
        memcpy(job->items[i].record_key, keys[i], sizeof job->items[i].record_key);
    submit(bp, job);
}

void bca_on_getbca(void *ctx, struct peer *p, const struct msg_getbca *m)
{
    struct bca_peer *bp = of_one_that_spoke(p);
    const int64_t now = clock_mono_ms();
    (void)ctx;
    if (!bp || bp->jobs >= JOBS_EACH || !peer_has_send_room(p))
        return;
    if (m->kind == MSG_GETBCA_LIST && m->list.n)
        serve_list(bp, &m->list, now);
    else if (m->kind == MSG_GETBCA_SAMPLE)
        serve_sample(bp, m->sample, now);
}

/* Whether a record is worth a look: it was asked for, or a token is free. */
static bool may_take(struct bca_peer *bp, struct span raw, int64_t now)
{
    enum { KEY_AT = 2 };
    uint8_t record_key[32];
    if (raw.len >= KEY_AT + IDENTITY_KEY_SIZE) {
        bca_record_key(record_key, raw.data + KEY_AT);
        if (record_asker_answered(&bp->asker, record_key))
            return true;
    }
    return ratelimit_take(&bp->taken, 1, now);
}

void bca_on_bcarec(void *ctx, struct peer *p, const struct msg_bcarec *m)
{
    struct bca_peer *bp = of_one_that_spoke(p);
    const int64_t now = clock_mono_ms();
    (void)ctx;
    if (!bp)
        return;
    struct bca_job *job = bca_job_new(peer_id(p));
    for (size_t i = 0; bp->jobs < JOBS_EACH && i < m->n; i++) {
        if (!may_take(bp, m->records[i], now))
            continue;
        buf_put(&job->data, m->records[i].data, m->records[i].len);
        job->sizes[job->n++] = (uint32_t)m->records[i].len;
    }
    for (size_t i = 0; i < m->n_missing; i++)
        (void)record_asker_answered(&bp->asker, m->missing + 32 * i);
    if (job->n)
        submit(bp, job);
    else
        bca_job_free(job);
}

/* --- letters of the thread --- */

static struct bca_peer *by_id(struct bca_gossip *g, uint64_t id)
{
    struct peer *p = net_peer_by_id(g->net, id);
    return p ? of(p) : NULL;
}

static void add_news(struct bca_gossip *g, const struct bca_letter *l)
{
    g->ring[g->ring_next++ % RING] = (struct ring_item){ l->item, l->peer };
}

/* Of the user's wish: no token of a peer is saved. */
static void look_for(struct bca_gossip *g, const struct msg_bca_item *item)
{
    for (struct list_link *l = list_first(&g->asks.peers); l; l = list_next(&g->asks.peers, l)) {
        struct bca_peer *bp = LIST_ITEM(l, struct bca_peer, asker.link);
        if (bp->answers && peer_state(bp->peer) == PEER_READY)
            ask_list(bp, item, 1);
    }
}

static void take_letter(void *ctx, struct bca_letter *l)
{
    struct bca_gossip *g = ctx;
    struct bca_peer *bp = l->peer ? by_id(g, l->peer) : NULL;
    switch (l->kind) {
    case BCA_LETTER_NEWS:
        add_news(g, l);
        break;
    case BCA_LETTER_LOOK:
        look_for(g, &l->item);
        break;
    case BCA_LETTER_ANSWER:
        if (bp)
            peer_send_buf(bp->peer, MSG_BCAREC, &l->payload);
        break;
    case BCA_LETTER_SCORE:
        if (bp)
            peer_misbehave(bp->peer, l->score, l->why);
        break;
    case BCA_LETTER_DONE:
        if (bp)
            bp->jobs--;
        break;
    }
}

/* --- start and end --- */

void bca_gossip_start(struct bca_gossip *g, struct net *net, struct event_base *base)
{
    const struct timeval every = { .tv_sec = g->tick_ms / 1000,
                                   .tv_usec = g->tick_ms % 1000 * 1000 };
    g->net = net;
    bca_records_attach(g->records, net, take_letter, g);
    g->timer = event_new(base, -1, EV_PERSIST, on_timer, g);
    event_add(g->timer, &every);
}

void bca_gossip_stop(struct bca_gossip *g)
{
    if (!g || !g->timer)
        return;
    event_free(g->timer);
    g->timer = NULL;
}
