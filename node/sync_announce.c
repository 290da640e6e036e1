/*
 * Telling peers about a new tip (spec p2p 8): a compact block to those who want new blocks at once,
 * headers to those who asked for headers, inv to the others. The first get a block that extends the
 * tip when its bytes are stored, before it is validated: its header has proof of work and its
 * transactions fit the header, and nobody is punished for a compact block that turns out invalid.
 */
#include <string.h>

#include "node/compact_form.h"
#include "node/sync_internal.h"

#define ANNOUNCE_BEHIND_MAX 2000

struct announcement {
    struct header_node *nodes[ANNOUNCE_HEADERS_MAX]; /* oldest first */
    size_t n;
    bool too_long;
};

bool announce_peer_has(const struct sync_peer *sp, struct header_node *node)
{
    if (!node)
        return true;
    return (sp->best_known && header_ancestor(sp->best_known, node->height) == node) ||
           (sp->best_sent && header_ancestor(sp->best_sent, node->height) == node);
}

/* The new blocks between what was announced last and the tip. */
static void collect(struct announcement *a, struct header_node *from, struct header_node *tip)
{
    struct header_node *fork = header_last_common(from, tip);
    const int32_t first = fork ? fork->height + 1 : 0;
    a->too_long = tip->height - first + 1 > ANNOUNCE_HEADERS_MAX;
    if (a->too_long)
        return;
    a->n = (size_t)(tip->height - first + 1);
    for (size_t i = a->n; i-- > 0; tip = tip->prev)
        a->nodes[i] = tip;
}

void announce_inv(struct sync_peer *sp, const struct header_node *tip)
{
    struct inv_item item = { .type = INV_BLOCK };
    memcpy(item.hash.b, tip->hash.b, sizeof(item.hash.b));
    peer_send_inv(sp->peer, MSG_INV, &item, 1);
}

/* False when the peer could not connect the headers. */
static bool announce_headers(struct sync_peer *sp, const struct announcement *a)
{
    struct block_header headers[ANNOUNCE_HEADERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (n == 0 && announce_peer_has(sp, a->nodes[i]))
            continue;
        if (n == 0 && !announce_peer_has(sp, a->nodes[i]->prev))
            return false;
        header_of_node(&headers[n++], a->nodes[i]);
    }
    if (n)
        peer_send_headers(sp->peer, headers, n);
    return true;
}

/* --- compact blocks --- */

static bool wants_form(const struct sync_peer *sp, struct header_node *node)
{
    return peer_wants_compact(sp->peer) && !announce_peer_has(sp, node) &&
           announce_peer_has(sp, node->prev);
}

struct form_ctx {
    struct header_node *node;
    const struct compact_form *form; /* NULL: headers instead */
    unsigned n;                      /* peers that want it */
};

static void count_wanting(struct sync_peer *sp, void *ctx)
{
    struct form_ctx *f = ctx;
    f->n += wants_form(sp, f->node);
}

static void send_form(struct sync_peer *sp, void *ctx)
{
    const struct form_ctx *f = ctx;
    struct block_header header;
    if (!wants_form(sp, f->node))
        return;
    if (f->form) {
        peer_send(sp->peer, MSG_CMPCTBLOCK, f->form->message.data, f->form->message.len);
    } else {
        header_of_node(&header, f->node);
        peer_send_headers(sp->peer, &header, 1);
    }
    sp->best_sent = f->node;
}

static bool is_far_behind(const struct sync_peer *sp, const struct header_node *tip)
{
    return peer_start_height(sp->peer) > tip->height + ANNOUNCE_BEHIND_MAX;
}

/* Who waited for the form of the tip and can no longer connect it: what the peer was sent last may
 * have become less meanwhile, by a getheaders that stops early. */
static void tell_left_out(struct sync_peer *sp, void *ctx)
{
    struct header_node *tip = ctx;
    if (!peer_wants_compact(sp->peer) || announce_peer_has(sp, tip) || is_far_behind(sp, tip))
        return;
    announce_inv(sp, tip);
}

void announce_form_made(struct sync *s, struct header_node *node, const struct compact_form *form)
{
    const struct header_node *tip = header_index_tip(s->headers);
    const bool next = node->prev == tip && !(atomic_load(&node->status) & HS_FAILED_MASK);
    if (node != tip && !(next && form))
        return;
    struct form_ctx ctx = { .node = node, .form = form };
    sync_each(s, send_form, &ctx);
    if (node == s->announced) /* else announce_tip is still to come */
        sync_each(s, tell_left_out, node);
}

void announce_stored(struct sync *s, struct header_node *node)
{
    struct form_ctx ctx = { .node = node };
    if (chain_is_initial_download(s->chain) || !s->net ||
        node->prev != header_index_tip(s->headers) ||
        (atomic_load(&node->status) & HS_FAILED_MASK))
        return;
    sync_each(s, count_wanting, &ctx);
    if (!ctx.n)
        return;
    s->unchecked = node;
    ctx.form = forms_get(s, node);
    if (ctx.form)
        sync_each(s, send_form, &ctx);
}

/* --- the tip --- */

struct announce_ctx {
    struct announcement list;
    struct header_node *tip;
    bool enriched; /* a peer waits for hdrsen */
};

/* True when the peer has got the compact block, or gets it when that is made. */
static bool announce_form(struct sync_peer *sp, const struct announce_ctx *a)
{
    struct form_ctx ctx = { .node = a->tip };
    if (a->list.n != 1 || !wants_form(sp, a->tip))
        return false;
    ctx.form = forms_get(sp->sync, a->tip);
    if (ctx.form)
        send_form(sp, &ctx);
    return true;
}

static void announce_to(struct sync_peer *sp, void *ctx)
{
    struct announce_ctx *a = ctx;
    if (is_far_behind(sp, a->tip) || announce_peer_has(sp, a->tip) || announce_form(sp, a))
        return;
    if (peer_wants_enriched(sp->peer) && !a->list.too_long) {
        a->enriched = true;
        return;
    }
    /* An inv alone gives it no header that the next ones could connect to: those wait until it has
     * asked. Else what comes fast would look to it like another chain (attacks C2). */
    const bool wants = peer_wants_headers(sp->peer);
    const bool sent = wants && !a->list.too_long && announce_headers(sp, &a->list);
    if (!sent)
        announce_inv(sp, a->tip);
    if (sent || !wants)
        sp->best_sent = a->tip;
}

void announce_tip(struct sync *s, struct header_node *tip)
{
    if (!tip || tip == s->announced || !s->net)
        return;
    struct announce_ctx ctx = { .tip = tip };
    collect(&ctx.list, s->announced, tip);
    s->announced = tip;
    s->unchecked = NULL;
    sync_each(s, announce_to, &ctx);
    if (ctx.enriched)
        enriched_announce(s, ctx.list.nodes, ctx.list.n);
}
