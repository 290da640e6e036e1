/*
 * gethdrsen and announcements by hdrsen (spec p2p 3). A proof needs the ids of the whole block, so
 * the pool reads the blocks; an answer ends after a number of their bytes, which the format allows,
 * and the peer asks on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/enriched.h"
#include "node/serve.h"
#include "node/sync_internal.h"

#define READ_MAX (64u << 20) /* bytes of blocks for one answer, but one block at least */

/* --- answers --- */

struct answer {
    struct sync_work work; /* first */
    uint64_t peer;
    struct header_node **nodes;
    size_t n;               /* of nodes; then of those in the answer */
    uint64_t limit;         /* payload bytes */
    bool to_tip;            /* the last node is the tip */
    struct buf entries;
};

static uint64_t block_size(struct chain *c, const struct header_node *node)
{
    struct header_data data;
    header_index_get_data(chain_headers(c), node, &data);
    return data.data.size;
}

/* A pool thread. */
static void read_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    struct chain *c = w->sync->chain;
    uint64_t bytes = 0;
    size_t n = 0;
    for (; n < a->n; n++) {
        const size_t before = a->entries.len;
        bytes += block_size(c, a->nodes[n]);
        if (n > 0 && bytes > READ_MAX)
            break;
        enriched_put(&a->entries, c, a->nodes[n], a->to_tip && n + 1 == a->n);
        if (n > 0 && a->entries.len + 9 > a->limit) {
            a->entries.len = before;
            break;
        }
    }
    a->n = n;
}

static void send_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    struct peer *p = net_peer_by_id(w->sync->net, a->peer);
    struct sync_peer *sp = p ? sync_peer_of(p) : NULL;
    struct buf payload;
    if (!sp)
        return;
    buf_init(&payload);
    buf_put_compact(&payload, a->n);
    buf_put(&payload, a->entries.data, a->entries.len);
    peer_send_buf(p, MSG_HDRSEN, &payload);
    if (a->n)
        sp->best_sent = a->nodes[a->n - 1];
    sp->answering = false;
    serve_continue(sp);
}

static void free_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    buf_clear(&a->entries);
    free(a->nodes);
    free(a);
}

static struct answer *answer_new(struct sync_peer *sp)
{
    struct answer *a = xcalloc(1, sizeof(*a));
    a->work.run = read_answer;
    a->work.done = send_answer;
    a->work.free = free_answer;
    a->peer = sp->id;
    a->nodes = xmalloc(MSG_HEADERS_MAX * sizeof(*a->nodes));
    a->limit = peer_payload_limit(sp->peer);
    return a;
}

void serve_gethdrsen(void *ctx, struct peer *p, const struct msg_locator *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (!serve_gives_headers(s, p))
        return;
    struct answer *a = answer_new(sp);
    a->n = serve_collect_headers(s, m, a->nodes);
    if (a->n == 0)
        serve_note_sent(sp, m, NULL);
    a->to_tip = a->n && a->nodes[a->n - 1] == header_index_tip(s->headers);
    sp->answering = true;
    peer_pause_reading(p);
    sync_work_start(s, &a->work, JOB_LOW);
}

/* --- announcements --- */

struct telling {
    struct sync_work work; /* first */
    struct header_node *nodes[ANNOUNCE_HEADERS_MAX]; /* oldest first, the last is the tip */
    size_t ends[ANNOUNCE_HEADERS_MAX];               /* of their entries */
    size_t n;
    bool complete;
    struct buf entries;
};

/* A pool thread. */
static void read_news(struct sync_work *w)
{
    struct telling *t = (struct telling *)(void *)w;
    t->complete = true;
    for (size_t i = 0; i < t->n; i++) {
        t->complete &= enriched_put(&t->entries, w->sync->chain, t->nodes[i], i + 1 == t->n);
        t->ends[i] = t->entries.len;
    }
}

/* By inv when the peer could not connect the headers, or would not take so much (spec p2p 3). */
static void tell(struct sync_peer *sp, void *ctx)
{
    const struct telling *t = ctx;
    struct header_node *tip = t->nodes[t->n - 1];
    size_t first = 0;
    if (!peer_wants_enriched(sp->peer) || announce_peer_has(sp, tip))
        return;
    while (announce_peer_has(sp, t->nodes[first]))
        first++;
    const size_t from = first ? t->ends[first - 1] : 0, len = t->entries.len - from;
    if (t->complete && announce_peer_has(sp, t->nodes[first]->prev) &&
        len + 9 <= peer_payload_limit(sp->peer)) {
        struct buf payload;
        buf_init(&payload);
        buf_put_compact(&payload, t->n - first);
        buf_put(&payload, t->entries.data + from, len);
        peer_send_buf(sp->peer, MSG_HDRSEN, &payload);
        sp->best_sent = tip;
    } else {
        announce_inv(sp, tip);
    }
}

static void tell_news(struct sync_work *w)
{
    struct telling *t = (struct telling *)(void *)w;
    if (header_index_is_active(w->sync->headers, t->nodes[t->n - 1]))
        sync_each(w->sync, tell, t);
}

static void free_telling(struct sync_work *w)
{
    struct telling *t = (struct telling *)(void *)w;
    buf_clear(&t->entries);
    free(t);
}

void enriched_announce(struct sync *s, struct header_node *const *nodes, size_t n)
{
    struct telling *t = xcalloc(1, sizeof(*t));
    t->work.run = read_news;
    t->work.done = tell_news;
    t->work.free = free_telling;
    memcpy(t->nodes, nodes, n * sizeof(t->nodes[0]));
    t->n = n;
    sync_work_start(s, &t->work, JOB_CANDIDATE);
}
