/*
 * Blocks for SPV clients with a bloom filter (spec p2p 3, 5: getdata type 3): the proof of what
 * matches, then the matching transactions. The pool looks through the block with a copy of the
 * filter, which comes back with what it has learned.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/partial_merkle.h"
#include "node/block_walk.h"
#include "node/sync_internal.h"
#include "node/tx_filter.h"

#define ANSWER_MAX (8u << 20) /* a filter that selects more is none: the block itself is there */

struct filtered {
    struct sync_work work; /* first */
    uint64_t peer;
    struct header_node *node;
    struct bloom filter;
    struct partial_merkle_builder tree;
    struct buf txs;    /* the matching ones in a row */
    enum err rc;       /* ERR_RANGE: too much */
    struct buf answer; /* merkleblock */
};

static enum err check_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct filtered *f = ctx;
    (void)offset;
    const bool found = tx_filter_match(&f->filter, tx);
    const enum err rc = partial_merkle_add(&f->tree, tx->id.b, found);
    if (rc)
        return error_set(e, rc, "no proof for so many transactions");
    if (found && tx->raw.len > ANSWER_MAX - f->txs.len)
        return error_set(e, ERR_RANGE, "more than %u bytes match", ANSWER_MAX);
    if (found)
        buf_put(&f->txs, tx->raw.data, tx->raw.len);
    return OK;
}

static enum err make_answer(struct filtered *f, struct error *e)
{
    struct partial_merkle tree;
    struct block_header header;
    const enum err rc = partial_merkle_finish(&f->tree, &tree);
    if (rc)
        return error_set(e, rc, "no memory for a proof");
    if (tree.hashes.len + tree.flags.len > ANSWER_MAX)
        return error_set(e, ERR_RANGE, "a proof of %zu bytes", tree.hashes.len + tree.flags.len);
    header_of_node(&header, f->node);
    block_header_write(&f->answer, &header);
    partial_merkle_write(&f->answer, &tree);
    return OK;
}

/* A pool thread. */
static void look_through(struct sync_work *w)
{
    struct filtered *f = (struct filtered *)(void *)w;
    struct error e;
    f->rc = block_walk(w->sync->chain, f->node, check_tx, f, &e);
    if (!f->rc)
        f->rc = make_answer(f, &e);
    if (f->rc)
        log_debug(LOGC_NET, "filtered block at height %d: %s", f->node->height, e.text);
}

static void send_parts(struct peer *p, struct filtered *f)
{
    struct reader r;
    peer_send_buf(p, MSG_MERKLEBLOCK, &f->answer);
    reader_init(&r, f->txs.data, f->txs.len);
    while (r.left > 0 && !r.failed) {
        const struct span raw = tx_read_raw(&r);
        peer_send(p, MSG_TX, raw.data, raw.len);
    }
}

static void send_filtered(struct sync_work *w)
{
    struct filtered *f = (struct filtered *)(void *)w;
    struct peer *p = net_peer_by_id(w->sync->net, f->peer);
    struct sync_peer *sp = p ? sync_peer_of(p) : NULL;
    if (!sp)
        return;
    if (sp->filter)
        bloom_merge(sp->filter, &f->filter);
    if (f->rc == ERR_RANGE)
        peer_disconnect(p, "its filter selects too much of a block");
    else if (!f->rc)
        send_parts(p, f);
    sp->answering = false;
    serve_continue(sp);
}

static void free_filtered(struct sync_work *w)
{
    struct filtered *f = (struct filtered *)(void *)w;
    bloom_clear(&f->filter);
    partial_merkle_clear(&f->tree);
    buf_clear(&f->txs);
    buf_clear(&f->answer);
    free(f);
}

void serve_filtered_block(struct sync_peer *sp, struct header_node *node)
{
    if (!sp->filter)
        return;
    struct filtered *f = xcalloc(1, sizeof(*f));
    f->work.run = look_through;
    f->work.done = send_filtered;
    f->work.free = free_filtered;
    f->peer = sp->id;
    f->node = node;
    bloom_copy(&f->filter, sp->filter);
    partial_merkle_init(&f->tree);
    sp->answering = true;
    sync_work_start(sp->sync, &f->work, JOB_LOW);
}

/* --- the filter of a peer --- */

void filter_drop(struct sync_peer *sp)
{
    if (sp->filter)
        bloom_clear(sp->filter);
    free(sp->filter);
    sp->filter = NULL;
}

void sync_on_filter(void *ctx, struct peer *p, const struct msg_filterload *m)
{
    struct sync_peer *sp = sync_peer_of(p);
    (void)ctx;
    filter_drop(sp);
    if (!m)
        return;
    sp->filter = xmalloc(sizeof(*sp->filter));
    bloom_init(sp->filter, m->bits, m->n_hashes, m->tweak, m->flags);
}

void sync_on_filter_add(void *ctx, struct peer *p, struct span element)
{
    struct sync_peer *sp = sync_peer_of(p);
    (void)ctx;
    if (sp->filter)
        bloom_insert(sp->filter, element.data, element.len);
}

bool sync_filter_wants(struct sync_peer *sp, const struct tx *tx)
{
    return !sp->filter || tx_filter_match(sp->filter, tx);
}
