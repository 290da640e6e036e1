#include "node/serve.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/blockfile.h"
#include "chain/locator.h"
#include "node/sync_internal.h"

#define GETBLOCKS_MAX 500
#define OLD_BRANCH_S (30 * 24 * 3600) /* a side branch is served this far behind the best header */
#define HISTORICAL_S (7 * 24 * 3600)  /* past this a block counts as history */

/* --- headers and inventories --- */

/* First block after what the locator names; an empty locator means the stop hash alone. */
static struct header_node *locator_start(struct sync *s, const struct msg_locator *m)
{
    if (m->n == 0)
        return header_index_find(s->headers, &m->stop);
    struct header_node *fork = locator_fork(s->headers, (const struct block_hash *)m->hashes, m->n);
    return header_index_at(s->headers, fork->height + 1);
}

bool serve_gives_headers(struct sync *s, const struct peer *p)
{
    if (!chain_is_importing(s->chain) &&
        (!chain_is_initial_download(s->chain) || peer_is_whitelisted(p)))
        return true;
    log_debug(LOGC_NET, "peer=%llu asks for headers while we are still syncing: ignored",
              (unsigned long long)peer_id(p));
    return false;
}

/* Who asks from our tip on has it, though there is nothing to send. */
void serve_note_sent(struct sync_peer *sp, const struct msg_locator *m, struct header_node *last)
{
    if (last)
        sp->best_sent = last;
    else if (m->n)
        sp->best_sent = header_index_tip(sp->sync->headers);
}

size_t serve_collect_headers(struct sync *s, const struct msg_locator *m,
                             struct header_node **nodes)
{
    size_t n = 0;
    struct header_node *node = locator_start(s, m);
    while (node && n < MSG_HEADERS_MAX) {
        nodes[n++] = node;
        if (m->n == 0 || block_hash_equal(&node->hash, &m->stop))
            break;
        node = header_index_at(s->headers, node->height + 1);
    }
    return n;
}

void serve_getheaders(void *ctx, struct peer *p, const struct msg_locator *m)
{
    struct sync *s = ctx;
    struct header_node *nodes[MSG_HEADERS_MAX];
    if (!serve_gives_headers(s, p))
        return;
    const size_t n = serve_collect_headers(s, m, nodes);
    struct block_header *headers = xmalloc((n + 1) * sizeof(*headers));
    for (size_t i = 0; i < n; i++)
        header_of_node(&headers[i], nodes[i]);
    serve_note_sent(sync_peer_of(p), m, n ? nodes[n - 1] : NULL);
    peer_send_headers(p, headers, n);
    free(headers);
}

void serve_getblocks(void *ctx, struct peer *p, const struct msg_locator *m)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    struct inv_item *items = xmalloc(GETBLOCKS_MAX * sizeof(*items));
    size_t n = 0;
    /* Without a locator from the start, unlike getheaders. */
    struct header_node *first = m->n ? locator_start(s, m) : header_index_at(s->headers, 1);
    for (struct header_node *node = first; node && n < GETBLOCKS_MAX;
         node = header_index_at(s->headers, node->height + 1)) {
        if (block_hash_equal(&node->hash, &m->stop) || !(atomic_load(&node->status) & HS_HAVE_DATA))
            break;
        items[n].type = INV_BLOCK;
        memcpy(items[n++].hash.b, node->hash.b, sizeof(node->hash.b));
    }
    if (n == GETBLOCKS_MAX)
        memcpy(sp->continue_hash.b, items[n - 1].hash.b, sizeof(sp->continue_hash.b));
    if (n)
        peer_send_inv(p, MSG_INV, items, n);
    free(items);
}

/* --- blocks --- */

/* On the active chain or announced as its next block, or a fully valid branch that ended not long
 * ago (spec p2p 5). */
bool serve_may(struct sync *s, struct header_node *node)
{
    const uint32_t status = atomic_load(&node->status);
    if (!(status & HS_HAVE_DATA))
        return false;
    if (header_index_is_active(s->headers, node))
        return true;
    if (node == s->unchecked && !(status & HS_FAILED_MASK))
        return true;
    const struct header_node *best = header_index_best(s->headers);
    return (status & HS_SCRIPTS_OK) && (int64_t)best->time - (int64_t)node->time < OLD_BRANCH_S;
}

void serve_whole_block(struct sync_peer *sp, struct header_node *node)
{
    struct sync *s = sp->sync;
    struct header_data data;
    struct error e;
    int fd;
    uint8_t checksum[4];
    header_index_get_data(s->headers, node, &data);
    if (data.data.size == 0 ||
        blockfiles_open_fd(chain_blockfiles(s->chain), &data.data, &fd, &e)) {
        LOG_LIMITED(LOG_WARN, "block at height %d cannot be served: %s", node->height,
                    data.data.size ? e.text : "pruned meanwhile");
        return;
    }
    le32_put(checksum, data.wire_checksum);
    peer_send_file(sp->peer, MSG_BLOCK, fd, data.data.offset, data.data.size, checksum);
}

/* After the last of 500 announced blocks the peer learns of the tip and goes on (spec p2p 3). */
static void continue_inventory(struct sync_peer *sp, const struct block_hash *hash)
{
    const struct header_node *tip = header_index_tip(sp->sync->headers);
    if (!block_hash_equal(hash, &sp->continue_hash) || !tip)
        return;
    struct inv_item item = { .type = INV_BLOCK };
    memcpy(item.hash.b, tip->hash.b, sizeof(item.hash.b));
    peer_send_inv(sp->peer, MSG_INV, &item, 1);
    sp->continue_hash = (struct block_hash){ { 0 } };
}

static void serve_block(struct sync_peer *sp, const struct inv_item *item)
{
    struct sync *s = sp->sync;
    struct block_hash hash;
    memcpy(hash.b, item->hash.b, sizeof(hash.b));
    struct header_node *node = header_index_find(s->headers, &hash);
    if (!node || !serve_may(s, node))
        return; /* silence, as the reference (spec p2p 5); unknown and pruned look the same */
    const bool filtered = item->type == INV_FILTERED_BLOCK;
    const bool historical = (int64_t)node->time < clock_now() - HISTORICAL_S;
    if ((historical || filtered) && net_upload_target_reached(s->net) &&
        !peer_is_whitelisted(sp->peer)) {
        peer_disconnect(sp->peer, "upload target reached");
        return;
    }
    if (filtered)
        serve_filtered_block(sp, node);
    else if (item->type == INV_CMPCT_BLOCK)
        serve_compact_block(sp, node);
    else
        serve_whole_block(sp, node);
    continue_inventory(sp, &hash);
}

static void drop_requests(struct sync_peer *sp)
{
    free(sp->getdata);
    sp->getdata = NULL;
    sp->getdata_n = sp->getdata_at = 0;
}

/* An answer of the peer is being made: nothing else of it is handled. */
static bool is_waiting(const struct sync_peer *sp)
{
    return sp->form_wanted || sp->answering;
}

/* False: the peer may not have it, or nobody does; of INV_DATAREF_TX nothing is kept. */
static bool serve_tx(struct sync_peer *sp, const struct inv_item *item)
{
    struct txid id;
    if (item->type != INV_TX)
        return false;
    memcpy(id.b, item->hash.b, sizeof(id.b));
    struct tx *tx = relay_find_for(sp->relay, &id);
    if (!tx)
        return false;
    peer_send(sp->peer, MSG_TX, tx->raw.data, tx->raw.len);
    tx_unref(tx);
    return true;
}

static bool is_tx(const struct inv_item *item)
{
    return item->type == INV_TX || item->type == INV_DATAREF_TX;
}

/* Answers in order until the send queue is full; then the peer is not read until it has drained. */
static void work_off(struct sync_peer *sp)
{
    size_t n_missing = 0;
    while (sp->getdata_at < sp->getdata_n && !is_waiting(sp) && peer_has_send_room(sp->peer) &&
           peer_state(sp->peer) == PEER_READY) {
        const struct inv_item *item = &sp->getdata[sp->getdata_at++];
        if (item->type >= INV_BLOCK && item->type <= INV_CMPCT_BLOCK) {
            serve_block(sp, item);
        } else if (is_tx(item) && !serve_tx(sp, item)) {
            sp->getdata[n_missing++] = *item; /* in the place of one that was worked off */
        }
    }
    if (n_missing)
        peer_send_inv(sp->peer, MSG_NOTFOUND, sp->getdata, n_missing);
    if (sp->getdata_at == sp->getdata_n && !is_waiting(sp)) {
        drop_requests(sp);
        sync_resume_reading(sp);
    } else {
        peer_pause_reading(sp->peer);
    }
}

/* No more can wait than one message holds: the peer is not heard until they are worked off. */
void serve_getdata(void *ctx, struct peer *p, const struct inv_item *items, size_t n)
{
    (void)ctx;
    struct sync_peer *sp = sync_peer_of(p);
    const size_t open = sp->getdata_n - sp->getdata_at;
    struct inv_item *all = try_alloc(open + n + 1, sizeof(*all));
    if (!all) {
        peer_disconnect(p, "no memory for its requests");
        return;
    }
    if (open)
        memcpy(all, sp->getdata + sp->getdata_at, open * sizeof(*all));
    if (n)
        memcpy(all + open, items, n * sizeof(*all));
    drop_requests(sp);
    sp->getdata = all;
    sp->getdata_n = open + n;
    work_off(sp);
}

void serve_in_place(struct sync_peer *sp, const struct header_node *node)
{
    struct inv_item item = { .type = INV_BLOCK };
    memcpy(item.hash.b, node->hash.b, sizeof(item.hash.b));
    serve_getdata(sp->sync, sp->peer, &item, 1);
}

void serve_continue(struct sync_peer *sp)
{
    work_off(sp);
}

void serve_send_room(void *ctx, struct peer *p)
{
    (void)ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (sp && sp->getdata_n)
        work_off(sp);
}
