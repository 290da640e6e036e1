/*
 * A block as it streams in from a peer: the first 80 bytes tell which one it is; then the bytes go
 * to the chain's intake, and the peer is not read while the intake has too much to do.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "node/sync_internal.h"

#define UNSOLICITED_AHEAD_MAX 288 /* blocks past the tip that nobody asked for */
#define INTAKE_IDLE_MAX (1u << 20) /* bytes of a block that may lie here while nothing more comes */

enum stream_choice sync_stream_begin(void *ctx, struct peer *p, enum msg_id id, uint64_t size,
                                     const uint8_t *checksum)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (id == MSG_TX) {
        sp->stream_id = id;
        return relay_stream_begin(sp->relay, size, checksum);
    }
    const size_t least = id == MSG_BLOCK ? BLOCK_HEADER_SIZE : compact_head_size(id);
    if (least == 0 || size < least || chain_is_importing(s->chain))
        return STREAM_SKIP;
    sp->stream_id = id;
    sp->head_len = 0;
    sp->stream_size = size;
    sp->has_checksum = checksum != NULL;
    sp->checksum = checksum ? le32_get(checksum) : 0;
    sp->arriving = NULL;
    return STREAM_TAKE;
}

/*
 * Unasked blocks are taken when they could become the tip soon (spec p2p 3: block), unless they are
 * so large that they go to disk as they come: nobody fills it with what we did not ask for (attacks
 * C6).
 */
static bool worth_taking(struct sync_peer *sp, const struct header_node *node)
{
    const struct header_node *tip = header_index_tip(sp->sync->headers);
    if (blocks_was_asked(sp, node))
        return true;
    if (sp->stream_size >= BLOCKFILE_STREAM_MIN && !peer_is_whitelisted(sp->peer))
        return false;
    return tip && u256_cmp(&node->work, &tip->work) > 0 &&
           node->height <= tip->height + UNSOLICITED_AHEAD_MAX;
}

static struct header_node *node_of_head(struct sync_peer *sp)
{
    struct reader r;
    struct block_header h;
    struct block_hash hash;
    reader_init(&r, sp->head, sizeof(sp->head));
    block_header_read(&r, &h);
    block_header_hash(&hash, &h);
    struct header_node *node = header_index_find(sp->sync->headers, &hash);
    if (node)
        return node;
    sync_on_headers(sp->sync, sp->peer, &h, 1); /* judged like any announced header */
    return header_index_find(sp->sync->headers, &hash);
}

static enum stream_flow open_intake(struct sync_peer *sp)
{
    struct sync *s = sp->sync;
    struct verdict v;
    struct header_node *node = node_of_head(sp);
    if (!node || atomic_load(&node->status) & (HS_HAVE_DATA | HS_FAILED_MASK) ||
        !worth_taking(sp, node))
        return STREAM_STOP;
    const struct flight *fl = flights_find(s->flights, node);
    if (fl && fl->n_arrived && (fl->asked_arrived || !blocks_was_asked(sp, node)))
        return STREAM_STOP; /* but what nobody asked for may be spoilt (attacks C4) */
    sp->intake = chain_block_begin(s->chain, node, sp->stream_size,
                                   sp->has_checksum ? &sp->checksum : NULL, sp->id, &v);
    if (!sp->intake) {
        if (!verdict_ok(&v))
            LOG_LIMITED(LOG_WARN, "block at height %d refused: %s %s", node->height, v.reason,
                        v.detail);
        return STREAM_STOP;
    }
    sp->arriving = node;
    sp->intake_ended = false;
    sp->intake_fed = 0;
    return STREAM_MORE;
}

struct lowest { int32_t height; };

static void note_lowest(struct sync_peer *sp, void *ctx)
{
    struct lowest *lowest = ctx;
    if (sp->arriving)
        lowest->height = MIN_OF(lowest->height, sp->arriving->height);
}

/* Over the budget only the block that is needed first grows; others are given up and asked for
 * again. */
static bool may_grow(struct sync_peer *sp)
{
    if (intake_memory_bytes() <= sp->sync->options.intake_budget)
        return true;
    struct lowest lowest = { INT32_MAX };
    sync_each(sp->sync, note_lowest, &lowest);
    return sp->arriving->height == lowest.height && blocks_was_asked(sp, sp->arriving);
}

/* At half of the budget nobody sits on the beginning of a block without sending
 * more (attacks C6). */
void intake_check_idle(struct sync_peer *sp)
{
    if (sp->intake && sp->silent && sp->intake_fed > INTAKE_IDLE_MAX &&
        intake_memory_bytes() > sp->sync->options.intake_budget / 2)
        peer_disconnect(sp->peer, "holds memory with a block that does not come");
}

static enum stream_flow feed(struct sync_peer *sp, const uint8_t *data, size_t len)
{
    if (len == 0)
        return STREAM_MORE;
    if (!may_grow(sp)) {
        intake_abort(sp->intake);
        sp->intake = NULL;
        sp->arriving = NULL;
        return STREAM_STOP;
    }
    sp->intake_fed += len;
    sp->intake_full = intake_feed(sp->intake, data, len) > INTAKE_QUEUE_MAX;
    return sp->intake_full ? STREAM_PAUSE : STREAM_MORE;
}

/* Takes what is missing of the first bytes; returns how many it took. */
static size_t take_head(struct sync_peer *sp, size_t size, const uint8_t *data, size_t len)
{
    const size_t n = MIN_OF(len, size - sp->head_len);
    memcpy(sp->head + sp->head_len, data, n);
    sp->head_len += n;
    return n;
}

/* Not worth its memory: the beginning says which block is to be fetched or sent as a whole. */
static enum stream_flow feed_compact(struct sync_peer *sp, const uint8_t *data, size_t len)
{
    const size_t size = compact_head_size(sp->stream_id);
    take_head(sp, size, data, len);
    if (sp->head_len < size)
        return STREAM_MORE;
    compact_too_large(sp, sp->stream_id, sp->head);
    return STREAM_STOP;
}

enum stream_flow sync_stream_data(void *ctx, struct peer *p, const uint8_t *data, size_t len)
{
    (void)ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (sp->stream_id == MSG_TX)
        return relay_stream_data(sp->relay, data, len);
    if (sp->stream_id != MSG_BLOCK)
        return feed_compact(sp, data, len);
    if (sp->intake)
        return feed(sp, data, len);
    const size_t head = take_head(sp, sizeof(sp->head), data, len);
    if (sp->head_len < sizeof(sp->head))
        return STREAM_MORE;
    if (open_intake(sp) == STREAM_STOP)
        return STREAM_STOP;
    if (feed(sp, sp->head, sizeof(sp->head)) == STREAM_STOP)
        return STREAM_STOP;
    return feed(sp, data + head, len - head);
}

void sync_stream_end(void *ctx, struct peer *p, enum stream_end how)
{
    struct sync *s = ctx;
    struct sync_peer *sp = sync_peer_of(p);
    if (sp->stream_id == MSG_TX) {
        relay_stream_end(sp->relay, how);
        return;
    }
    if (sp->intake && how == STREAM_COMPLETE) {
        const bool asked = blocks_was_asked(sp, sp->arriving);
        sp->delivered |= asked;
        if (!sp->intake_ended) /* else no event would ever clear it */
            flights_set_arrived(s->flights, sp->arriving, asked);
        blocks_release(sp, sp->arriving);
    } else if (sp->intake) {
        intake_abort(sp->intake);
    } else if (sp->stream_id == MSG_BLOCK && sp->head_len == sizeof(sp->head)) {
        /* Dropped: we have it, or it is refused. Either way nothing more is expected. */
        struct block_hash hash;
        sha256d(hash.b, sp->head, sizeof(sp->head));
        struct header_node *node = header_index_find(s->headers, &hash);
        if (node)
            blocks_release(sp, node);
    }
    sp->intake = NULL;
    sp->intake_full = false;
    sp->arriving = NULL;
    sp->head_len = 0;
    blocks_plan(s);
}
