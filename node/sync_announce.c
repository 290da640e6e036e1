/* Telling peers about a new tip: headers to those who asked for headers, inv to the others (spec
 * p2p 8). */
#include <string.h>

#include "node/sync_internal.h"

#define ANNOUNCE_HEADERS_MAX 8 /* a longer reorganisation is announced by its tip alone */
#define ANNOUNCE_BEHIND_MAX 2000

struct announcement {
    struct header_node *nodes[ANNOUNCE_HEADERS_MAX]; /* oldest first */
    size_t n;
    bool too_long;
};

static bool peer_has(const struct sync_peer *sp, struct header_node *node)
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

static void announce_inv(struct sync_peer *sp, const struct header_node *tip)
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
        if (n == 0 && peer_has(sp, a->nodes[i]))
            continue;
        if (n == 0 && !peer_has(sp, a->nodes[i]->prev))
            return false;
        header_of_node(&headers[n++], a->nodes[i]);
    }
    if (n)
        peer_send_headers(sp->peer, headers, n);
    return true;
}

struct announce_ctx {
    struct announcement list;
    struct header_node *tip;
};

static void announce_to(struct sync_peer *sp, void *ctx)
{
    struct announce_ctx *a = ctx;
    if (peer_start_height(sp->peer) > a->tip->height + ANNOUNCE_BEHIND_MAX || peer_has(sp, a->tip))
        return;
    const bool sent =
        peer_wants_headers(sp->peer) && !a->list.too_long && announce_headers(sp, &a->list);
    if (!sent)
        announce_inv(sp, a->tip);
    sp->best_sent = a->tip;
}

void announce_tip(struct sync *s, struct header_node *tip)
{
    if (!tip || tip == s->announced || !s->net)
        return;
    struct announce_ctx ctx = { .tip = tip };
    collect(&ctx.list, s->announced, tip);
    s->announced = tip;
    sync_each(s, announce_to, &ctx);
}
