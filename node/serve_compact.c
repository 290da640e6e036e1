/*
 * Blocks for others in pieces (spec p2p 3, 5): cmpctblock and the transactions missing there. Both
 * come from the block's compact form, which the pool makes once and the loop keeps for the blocks
 * near the tip. While a peer's answer is being made nothing else of the peer is handled.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "node/compact_form.h"
#include "node/rebuild.h"
#include "node/serve.h"
#include "node/sync_internal.h"

#define FORM_DEPTH_MAX 5          /* spec p2p 5: type 4 */
#define TXN_DEPTH_MAX 10          /* spec p2p 3: getblocktxn */
#define FORMS_BYTES_MAX (64u << 20)
#define ANSWER_MAX MSG_COLLECT_MAX /* more is cheaper as the whole block, straight from its file */

/* --- forms near the tip --- */

static size_t form_bytes(const struct compact_form *f)
{
    return f->message.cap + (f->n_txs + 1) * sizeof(*f->offsets);
}

static void to_front(struct sync *s, size_t at)
{
    struct compact_form *f = s->forms[at];
    memmove(&s->forms[1], &s->forms[0], at * sizeof(s->forms[0]));
    s->forms[0] = f;
}

static struct compact_form *find_form(struct sync *s, const struct header_node *node)
{
    for (size_t i = 0; i < s->n_forms; i++) {
        if (s->forms[i]->node == node) {
            to_front(s, i);
            return s->forms[0];
        }
    }
    return NULL;
}

static void drop_last(struct sync *s)
{
    struct compact_form *f = s->forms[--s->n_forms];
    atomic_fetch_sub_explicit(&s->form_bytes, form_bytes(f), memory_order_relaxed);
    compact_form_unref(f);
}

static void keep_form(struct sync *s, struct compact_form *f)
{
    if (s->n_forms == COMPACT_FORMS_MAX)
        drop_last(s);
    s->forms[s->n_forms++] = f;
    atomic_fetch_add_explicit(&s->form_bytes, form_bytes(f), memory_order_relaxed);
    to_front(s, s->n_forms - 1);
    while (s->n_forms > 1 && atomic_load(&s->form_bytes) > FORMS_BYTES_MAX)
        drop_last(s);
}

uint64_t sync_compact_memory(struct sync *s)
{
    return rebuild_memory_bytes() +
           (s ? atomic_load_explicit(&s->form_bytes, memory_order_relaxed) : 0);
}

void forms_clear(struct sync *s)
{
    while (s->n_forms > 0)
        drop_last(s);
}

/* --- making one --- */

struct making {
    struct sync_work work; /* first */
    struct header_node *node;
    struct compact_form *form; /* NULL: could not be made */
};

static void make_form(struct sync_work *w)
{
    struct making *m = (struct making *)(void *)w;
    struct error e;
    if (compact_form_make(&m->form, w->sync->chain, m->node, &e))
        log_debug(LOGC_NET, "no compact form of the block at height %d: %s", m->node->height,
                  e.text);
}

static void free_making(struct sync_work *w)
{
    struct making *m = (struct making *)(void *)w;
    compact_form_unref(m->form);
    free(m);
}

static void serve_waiting(struct sync_peer *sp, void *ctx);

static void form_made(struct sync_work *w)
{
    struct making *m = (struct making *)(void *)w;
    struct sync *s = w->sync;
    if (m->form)
        keep_form(s, compact_form_ref(m->form));
    announce_form_made(s, m->node, m->form);
    sync_each(s, serve_waiting, m);
}

static bool is_being_made(const struct sync *s, const struct header_node *node)
{
    for (const struct sync_work *w = s->works; w; w = w->next)
        if (w->run == make_form && ((const struct making *)(const void *)w)->node == node)
            return true;
    return false;
}

struct compact_form *forms_get(struct sync *s, struct header_node *node)
{
    struct compact_form *f = find_form(s, node);
    if (f || is_being_made(s, node))
        return f;
    struct making *m = xcalloc(1, sizeof(*m));
    m->work.run = make_form;
    m->work.done = form_made;
    m->work.free = free_making;
    m->node = node;
    sync_work_start(s, &m->work, JOB_CANDIDATE);
    return NULL;
}

/* --- getdata, type 4 --- */

static void send_form(struct sync_peer *sp, const struct compact_form *f)
{
    peer_send(sp->peer, MSG_CMPCTBLOCK, f->message.data, f->message.len);
}

/* Near a tip that is itself new; else the whole block (spec p2p 5). */
static bool form_is_due(struct sync *s, const struct header_node *node)
{
    const struct header_node *tip = header_index_tip(s->headers);
    return (header_index_is_active(s->headers, node) || node == s->unchecked) &&
           tip->height - node->height <= FORM_DEPTH_MAX && compact_tip_is_recent(s);
}

void serve_compact_block(struct sync_peer *sp, struct header_node *node)
{
    if (!form_is_due(sp->sync, node)) {
        serve_whole_block(sp, node);
        return;
    }
    const struct compact_form *f = forms_get(sp->sync, node);
    if (f)
        send_form(sp, f);
    else
        sp->form_wanted = node;
}

/* --- getblocktxn --- */

static void close_request(struct sync_peer *sp)
{
    free(sp->txn_indices);
    sp->txn_indices = NULL;
    sp->form_wanted = NULL;
    sp->answering = false;
}

struct answer {
    struct sync_work work; /* first */
    uint64_t peer;
    struct compact_form *form;
    uint32_t *indices;
    size_t n;
    bool failed;
    struct buf payload;
};

static void read_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    struct error e;
    a->failed = compact_form_answer(a->form, w->sync->chain, a->indices, a->n, ANSWER_MAX,
                                    &a->payload, &e) != OK;
}

static void free_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    compact_form_unref(a->form);
    buf_clear(&a->payload);
    free(a->indices);
    free(a);
}

static void send_answer(struct sync_work *w)
{
    struct answer *a = (struct answer *)(void *)w;
    struct peer *p = net_peer_by_id(w->sync->net, a->peer);
    if (!p || !sync_peer_of(p))
        return;
    struct sync_peer *sp = sync_peer_of(p);
    close_request(sp);
    if (a->failed) {
        serve_in_place(sp, a->form->node);
        return;
    }
    peer_send_buf(p, MSG_BLOCKTXN, &a->payload);
    serve_continue(sp);
}

static void start_answer(struct sync_peer *sp, struct compact_form *f)
{
    struct answer *a = xcalloc(1, sizeof(*a));
    a->work.run = read_answer;
    a->work.done = send_answer;
    a->work.free = free_answer;
    a->peer = sp->id;
    a->form = compact_form_ref(f);
    a->indices = sp->txn_indices;
    a->n = sp->txn_n;
    sp->txn_indices = NULL;
    sp->form_wanted = NULL;
    sp->answering = true;
    sync_work_start(sp->sync, &a->work, JOB_CANDIDATE);
}

/* The form that the peer waits for was made, or could not be. */
static void serve_waiting(struct sync_peer *sp, void *ctx)
{
    const struct making *m = ctx;
    if (sp->form_wanted != m->node)
        return;
    const bool of_txns = sp->txn_indices != NULL;
    if (m->form && of_txns) {
        start_answer(sp, m->form);
        return;
    }
    close_request(sp);
    if (of_txns) {
        serve_in_place(sp, m->node);
        return;
    }
    if (m->form)
        send_form(sp, m->form);
    else
        serve_whole_block(sp, m->node); /* the room for it was there when its turn came */
    serve_continue(sp);
}

/* They rise, so the last is the largest. */
static bool indices_fit(const struct msg_getblocktxn *m, uint32_t n_txs)
{
    struct msg_indices at;
    uint32_t last = 0;
    msg_indices_init(&at, m->indices);
    for (size_t i = 0; i < m->n; i++)
        last = msg_index_next(&at);
    return m->n == 0 || last < n_txs;
}

/* False: no memory. */
static bool take_indices(struct sync_peer *sp, const struct msg_getblocktxn *m)
{
    struct msg_indices at;
    sp->txn_indices = try_alloc(m->n + 1, sizeof(*sp->txn_indices));
    if (!sp->txn_indices)
        return false;
    sp->txn_n = m->n;
    msg_indices_init(&at, m->indices);
    for (size_t i = 0; i < m->n; i++)
        sp->txn_indices[i] = msg_index_next(&at);
    return true;
}

static bool is_asked_for_as_a_whole(struct sync *s, const struct header_node *node, size_t n,
                                    uint32_t n_txs)
{
    const struct header_node *tip = header_index_tip(s->headers);
    return tip->height - node->height > TXN_DEPTH_MAX ||
           (uint64_t)n * 100 > (uint64_t)n_txs * s->options.max_blocktxn_percent;
}

void serve_getblocktxn(void *ctx, struct peer *p, const struct msg_getblocktxn *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    struct header_data data;
    struct header_node *node = header_index_find(s->headers, &m->hash);
    if (!node || !serve_may(s, node))
        return; /* spec p2p 3: ignored */
    header_index_get_data(s->headers, node, &data);
    if (!indices_fit(m, data.tx_count)) {
        peer_misbehave(p, 100, "getblocktxn with an index outside the block");
        return;
    }
    if (is_asked_for_as_a_whole(s, node, m->n, data.tx_count) || !take_indices(sp, m)) {
        serve_in_place(sp, node);
        return;
    }
    sp->form_wanted = node;
    struct compact_form *f = forms_get(s, node);
    if (f)
        start_answer(sp, f);
    peer_pause_reading(p);
}
