#include "node/zmq_feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "node/zmq_json.h"
#include "node/zmq_sender.h"
#include "p2p/net.h"
#include "p2p/peer.h"

#define SEGMENT_BYTES (1u << 20)
#define CLOSE_MS 2000 /* for what is queued at the end */

#define TX_TOPICS (ZMQ_BIT(ZMQ_HASHTX) | ZMQ_BIT(ZMQ_RAWTX))
#define TX2_TOPICS (ZMQ_BIT(ZMQ_HASHTX2) | ZMQ_BIT(ZMQ_RAWTX2))
#define BLOCK_TOPICS (ZMQ_BIT(ZMQ_HASHBLOCK) | ZMQ_BIT(ZMQ_RAWBLOCK))
#define BLOCK2_TOPICS (ZMQ_BIT(ZMQ_HASHBLOCK2) | ZMQ_BIT(ZMQ_RAWBLOCK2))

struct note {
    struct queue_node node; /* first */
    enum note_kind {
        NOTE_TX,       /* tx under the topics */
        NOTE_BLOCK,    /* block under the topics */
        NOTE_BLOCK_TXS,/* each transaction of the block; under TX2_TOPICS all but those in ids */
        NOTE_REMOVED,  /* tx, reason, conflict, block */
        NOTE_INVALID,  /* tx, result */
        NOTE_BAD_BLOCK,/* block, result.verdict and .source: the transaction it names */
    } kind;
    unsigned topics;
    const struct header_node *block;
    struct tx *tx, *conflict;      /* references */
    struct txid *ids;              /* owned */
    size_t n_ids;
    enum mempool_reason reason;
    struct tx_result result;       /* tx and conflict are the note's */
};

struct zmq_feed {
    unsigned topics;               /* bits of those wanted */
    struct zmq_sender *sender;
    struct chain *chain;
    struct queue *queue;
    pthread_t thread;
    bool started;
    /* Chain thread. */
    struct txid *confirmed;        /* out of the mempool by the block that is being connected */
    size_t n_confirmed, cap_confirmed;
    /* Both. */
    _Atomic uint32_t lost[ZMQ_TOPICS]; /* messages of notes that found the queue full */
    struct net *_Atomic net;       /* NULL at first */
    _Atomic int64_t end_ms;        /* what is not sent by then is dropped; 0: no end yet */
};

static void note_free(struct note *n)
{
    tx_unref(n->tx);
    tx_unref(n->conflict);
    free(n->ids);
    free(n);
}

/* --- chain thread --------------------------------------------------------------------------- */

static void count_lost(struct zmq_feed *f, const struct note *n)
{
    struct header_data d = { .tx_count = 1 };
    if (n->kind == NOTE_BLOCK_TXS)
        header_index_get_data(chain_headers(f->chain), n->block, &d);
    for (unsigned i = 0; i < ZMQ_TOPICS; i++)
        if (n->topics & ZMQ_BIT(i))
            atomic_fetch_add(&f->lost[i], d.tx_count);
}

static void push(struct zmq_feed *f, const struct note *content)
{
    struct note *n = xmalloc(sizeof *n);
    *n = *content;
    n->node.bytes = sizeof *n + n->n_ids * sizeof *n->ids + (n->tx ? n->tx->raw.len : 0) +
                    (n->conflict ? n->conflict->raw.len : 0);
    if (queue_push(f->queue, &n->node))
        return;
    LOG_LIMITED(LOG_WARN, "ZMQ: the queue is full, messages are left out");
    count_lost(f, n);
    note_free(n);
}

void zmq_feed_tx_accepted(struct zmq_feed *f, struct tx *tx)
{
    unsigned topics = f->topics & (TX_TOPICS | TX2_TOPICS);
    if (topics)
        push(f, &(struct note){ .kind = NOTE_TX, .topics = topics, .tx = tx_ref(tx) });
}

static void note_confirmed(struct zmq_feed *f, const struct txid *id)
{
    if (f->n_confirmed == f->cap_confirmed) {
        f->cap_confirmed = MAX_OF(2 * f->cap_confirmed, (size_t)1024);
        f->confirmed = xrealloc(f->confirmed, f->cap_confirmed * sizeof *f->confirmed);
    }
    f->confirmed[f->n_confirmed++] = *id;
}

static enum zmq_topic topic_of_removal(enum mempool_reason reason)
{
    return reason == MEMPOOL_IN_BLOCK || reason == MEMPOOL_REORG ? ZMQ_REMOVED_BY_BLOCK
                                                                 : ZMQ_DISCARDED;
}

void zmq_feed_tx_removed(struct zmq_feed *f, const struct mempool_removed *r,
                         const struct header_node *block)
{
    const unsigned bit = ZMQ_BIT(topic_of_removal(r->reason));
    if (r->reason == MEMPOOL_IN_BLOCK && f->topics & TX2_TOPICS)
        note_confirmed(f, &r->tx->id);
    if (f->topics & bit)
        push(f, &(struct note){ .kind = NOTE_REMOVED, .topics = bit, .tx = tx_ref(r->tx),
                                .conflict = r->conflict ? tx_ref(r->conflict) : NULL,
                                .reason = r->reason, .block = block });
}

void zmq_feed_block_connected(struct zmq_feed *f, struct header_node *node)
{
    const unsigned txs = f->topics & (TX_TOPICS | TX2_TOPICS), block = f->topics & BLOCK2_TOPICS;
    if (txs)
        push(f, &(struct note){ .kind = NOTE_BLOCK_TXS, .topics = txs, .block = node,
                                .ids = f->confirmed, .n_ids = f->n_confirmed });
    f->confirmed = NULL;
    f->n_confirmed = f->cap_confirmed = 0;
    if (block)
        push(f, &(struct note){ .kind = NOTE_BLOCK, .topics = block, .block = node });
}

void zmq_feed_block_disconnected(struct zmq_feed *f, struct header_node *node)
{
    const unsigned topics = f->topics & TX_TOPICS;
    if (topics)
        push(f, &(struct note){ .kind = NOTE_BLOCK_TXS, .topics = topics, .block = node });
}

void zmq_feed_tip_changed(struct zmq_feed *f, const struct chain_tip *tip, bool initial_download)
{
    const unsigned topics = f->topics & BLOCK_TOPICS;
    if (topics && !initial_download)
        push(f, &(struct note){ .kind = NOTE_BLOCK, .topics = topics, .block = tip->node });
}

/* Missing parents are news only to those who wait for an answer; from peers they are orphans. */
static bool is_invalid(const struct tx_result *r)
{
    return r->outcome == TX_REJECTED ||
           (r->outcome == TX_MISSING_INPUTS && r->source == TX_SOURCE_RPC);
}

void zmq_feed_txs_judged(struct zmq_feed *f, const struct tx_result *results, size_t n)
{
    if (!(f->topics & ZMQ_BIT(ZMQ_INVALIDTX)))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct tx_result *r = &results[i];
        if (is_invalid(r))
            push(f, &(struct note){ .kind = NOTE_INVALID, .topics = ZMQ_BIT(ZMQ_INVALIDTX),
                                    .tx = tx_ref(r->tx),
                                    .conflict = r->conflict ? tx_ref(r->conflict) : NULL,
                                    .result = *r });
    }
}

/* Only what names a transaction of a block that is stored, so that it can be looked at. */
void zmq_feed_block_judged(struct zmq_feed *f, const struct block_hash *hash,
                           const struct verdict *v, uint64_t source)
{
    struct header_node *node = header_index_find(chain_headers(f->chain), hash);
    if (v->tx && node && atomic_load(&node->status) & HS_HAVE_DATA &&
        f->topics & ZMQ_BIT(ZMQ_INVALIDTX))
        push(f, &(struct note){ .kind = NOTE_BAD_BLOCK, .topics = ZMQ_BIT(ZMQ_INVALIDTX),
                                .block = node,
                                .result = { .source = source, .outcome = TX_REJECTED,
                                            .verdict = *v } });
}

/* --- the thread: transactions --------------------------------------------------------------- */

static void reverse(uint8_t out[32], const uint8_t hash[32])
{
    for (int i = 0; i < 32; i++)
        out[i] = hash[31 - i];
}

static void send_hash(struct zmq_feed *f, enum zmq_topic topic, const uint8_t hash[32])
{
    uint8_t display[32];
    reverse(display, hash);
    zmq_sender_send(f->sender, topic, display, sizeof display);
}

static void send_tx(struct zmq_feed *f, unsigned topics, const struct tx *tx)
{
    static const enum zmq_topic hashes[] = { ZMQ_HASHTX, ZMQ_HASHTX2 },
                                raws[] = { ZMQ_RAWTX, ZMQ_RAWTX2 };
    for (size_t i = 0; i < COUNT_OF(hashes); i++)
        if (topics & ZMQ_BIT(hashes[i]))
            send_hash(f, hashes[i], tx->id.b);
    for (size_t i = 0; i < COUNT_OF(raws); i++)
        if (topics & ZMQ_BIT(raws[i]))
            zmq_sender_send(f->sender, raws[i], tx->raw.data, tx->raw.len);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct txid));
}

static bool was_in_mempool(const struct note *n, const struct txid *id)
{
    return n->n_ids && bsearch(id, n->ids, n->n_ids, sizeof *n->ids, by_id);
}

static bool is_too_late(const struct zmq_feed *f)
{
    const int64_t end = atomic_load_explicit(&f->end_ms, memory_order_relaxed);
    return end && clock_mono_ms() > end;
}

static void send_block_txs(struct zmq_feed *f, const struct note *n)
{
    struct block_reader *r;
    struct block_segment *s;
    struct error e;
    qsort(n->ids, n->n_ids, n->ids ? sizeof *n->ids : 1, by_id);
    enum err rc = chain_read_block(f->chain, n->block, SEGMENT_BYTES, &r, &e);
    if (rc) {
        LOG_LIMITED(LOG_WARN, "ZMQ: transactions of a block are left out: %s", e.text);
        return;
    }
    while (!is_too_late(f) && !(rc = block_reader_next(r, &s, &e)) && s) {
        for (size_t i = 0; i < s->n_txs; i++) {
            bool known = was_in_mempool(n, &s->txs[i].id);
            send_tx(f, known ? n->topics & TX_TOPICS : n->topics, &s->txs[i]);
        }
        block_segment_unref(s);
    }
    if (rc)
        LOG_LIMITED(LOG_WARN, "ZMQ: transactions of a block are left out: %s", e.text);
    block_reader_close(r);
}

/* --- the thread: blocks --------------------------------------------------------------------- */

struct mapping {
    void *start;
    size_t len;
};

static void unmap(void *body, void *ctx)
{
    (void)body;
    struct mapping *m = ctx;
    munmap(m->start, m->len);
    free(m);
}

/* Maps the part of the file; *body is the block. NULL: not to be had. */
static struct mapping *map_block(struct zmq_feed *f, const struct block_pos *pos, void **body)
{
    struct error e;
    int fd;
    if (!pos->size || blockfiles_open_fd(chain_blockfiles(f->chain), pos, &fd, &e)) {
        LOG_LIMITED(LOG_WARN, "ZMQ: a block is left out: %s",
                    pos->size ? e.text : "it is pruned already");
        return NULL;
    }
    const uint64_t before = pos->offset % (uint64_t)sysconf(_SC_PAGESIZE);
    struct mapping *m = xmalloc(sizeof *m);
    m->len = (size_t)(pos->size + before);
    m->start = mmap(NULL, m->len, PROT_READ, MAP_SHARED, fd, (off_t)(pos->offset - before));
    close(fd);
    if (m->start == MAP_FAILED) {
        LOG_LIMITED(LOG_WARN, "ZMQ: a block of %zu bytes cannot be mapped", m->len);
        free(m);
        return NULL;
    }
    *body = (uint8_t *)m->start + before;
    return m;
}

static void send_raw_block(struct zmq_feed *f, enum zmq_topic topic, const struct header_node *node)
{
    struct header_data d;
    void *body;
    header_index_get_data(chain_headers(f->chain), node, &d);
    struct mapping *m = map_block(f, &d.data, &body);
    if (m)
        zmq_sender_send_shared(f->sender, topic, body, (size_t)d.data.size, unmap, m);
    else
        zmq_sender_skip(f->sender, topic, 1);
}

static void send_block(struct zmq_feed *f, const struct note *n)
{
    static const enum zmq_topic hashes[] = { ZMQ_HASHBLOCK, ZMQ_HASHBLOCK2 },
                                raws[] = { ZMQ_RAWBLOCK, ZMQ_RAWBLOCK2 };
    for (size_t i = 0; i < COUNT_OF(hashes); i++)
        if (n->topics & ZMQ_BIT(hashes[i]))
            send_hash(f, hashes[i], n->block->hash.b);
    for (size_t i = 0; i < COUNT_OF(raws); i++)
        if (n->topics & ZMQ_BIT(raws[i]))
            send_raw_block(f, raws[i], n->block);
}

/* --- the thread: JSON ----------------------------------------------------------------------- */

static void send_removed(struct zmq_feed *f, const struct note *n, struct buf *out)
{
    const enum zmq_topic topic = topic_of_removal(n->reason);
    if (topic == ZMQ_DISCARDED)
        zmq_json_discarded(out, n->tx, n->reason, n->conflict, n->block ? &n->block->hash : NULL);
    else
        zmq_json_removed(out, n->tx, n->reason);
    zmq_sender_send(f->sender, topic, out->data, out->len);
}

struct address_query {
    uint64_t id;
    char text[NET_NAME_MAX];
    bool found;
};

static void ask_address(struct net *net, void *ctx)
{
    struct address_query *q = ctx;
    struct peer *p = net_peer_by_id(net, q->id);
    q->found = p != NULL;
    if (p)
        snprintf(q->text, sizeof q->text, "%s", peer_name(p));
}

static bool find_address(struct zmq_feed *f, struct address_query *q)
{
    struct net *net = atomic_load(&f->net);
    return q->id < TX_SOURCE_FINALISED && net && net_call(net, ask_address, q) && q->found;
}

static void send_invalid(struct zmq_feed *f, struct note *n, struct buf *out)
{
    struct address_query q = { .id = n->result.source };
    struct invalid_origin o = { .source = n->result.source };
    if (find_address(f, &q))
        o.address = q.text;
    n->result.tx = n->tx;
    n->result.conflict = n->conflict;
    zmq_json_invalid(out, &n->result, &o, clock_now());
    zmq_sender_send(f->sender, ZMQ_INVALIDTX, out->data, out->len);
}

static uint64_t tx_source_of_block(uint64_t source)
{
    if (source == SOURCE_IMPORT)
        return TX_SOURCE_FILE;
    return source == SOURCE_SUBMIT ? TX_SOURCE_RPC : source;
}

static void send_invalid_in_block(struct zmq_feed *f, const struct note *n, const struct tx *tx,
                                  struct buf *out)
{
    struct tx_result r = n->result;
    struct address_query q = { .id = tx_source_of_block(r.source) };
    struct invalid_origin o = { .block = &n->block->hash, .block_time = n->block->time,
                                .block_height = n->block->height, .source = q.id };
    struct tx copy = *tx; /* a view of the same bytes */
    if (find_address(f, &q))
        o.address = q.text;
    r.tx = &copy;
    zmq_json_invalid(out, &r, &o, clock_now());
    zmq_sender_send(f->sender, ZMQ_INVALIDTX, out->data, out->len);
}

/* Finds the transaction that the verdict names. */
static void send_bad_block(struct zmq_feed *f, const struct note *n, struct buf *out)
{
    const uint64_t wanted = n->result.verdict.tx - 1;
    struct block_reader *r;
    struct block_segment *s;
    struct error e;
    enum err rc = chain_read_block(f->chain, n->block, SEGMENT_BYTES, &r, &e);
    if (rc)
        return;
    for (bool found = false; !found && !(rc = block_reader_next(r, &s, &e)) && s;) {
        found = wanted < s->first + s->n_txs;
        if (found)
            send_invalid_in_block(f, n, &s->txs[wanted - s->first], out);
        block_segment_unref(s);
    }
    block_reader_close(r);
}

/* --- the thread ----------------------------------------------------------------------------- */

static void skip_lost(struct zmq_feed *f)
{
    for (unsigned i = 0; i < ZMQ_TOPICS; i++)
        if (atomic_load_explicit(&f->lost[i], memory_order_relaxed))
            zmq_sender_skip(f->sender, (enum zmq_topic)i, atomic_exchange(&f->lost[i], 0));
}

static void send_note(struct zmq_feed *f, struct note *n, struct buf *out)
{
    buf_reset(out);
    switch (n->kind) {
    case NOTE_TX:
        send_tx(f, n->topics, n->tx);
        return;
    case NOTE_BLOCK:
        send_block(f, n);
        return;
    case NOTE_BLOCK_TXS:
        send_block_txs(f, n);
        return;
    case NOTE_REMOVED:
        send_removed(f, n, out);
        return;
    case NOTE_INVALID:
        send_invalid(f, n, out);
        return;
    case NOTE_BAD_BLOCK:
        send_bad_block(f, n, out);
        return;
    }
}

static void *feed_main(void *arg)
{
    struct zmq_feed *f = arg;
    struct buf out;
    buf_init(&out);
    /* NULL: closed and empty */
    for (struct note *n; (n = (struct note *)(void *)queue_pop_wait(f->queue, -1));) {
        skip_lost(f);
        if (!is_too_late(f))
            send_note(f, n, &out);
        note_free(n);
    }
    buf_clear(&out);
    return NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

enum err zmq_feed_open(struct zmq_feed **out, const struct config *c, struct error *e)
{
    struct zmq_addresses a;
    bool wanted;
    *out = NULL;
    enum err rc = zmq_addresses_read(&a, &wanted, c, e);
    if (rc || !wanted)
        return rc;
    struct zmq_feed *f = xcalloc(1, sizeof *f);
    for (unsigned i = 0; i < ZMQ_TOPICS; i++)
        f->topics |= a.of[i] ? ZMQ_BIT(i) : 0;
    f->queue = queue_new(ZMQ_QUEUE_ITEMS, ZMQ_QUEUE_BYTES, NULL, NULL);
    *out = f;
    return zmq_sender_open(&f->sender, &a, e);
}

enum err zmq_feed_start(struct zmq_feed *f, struct chain *c, struct error *e)
{
    f->chain = c;
    int rc = pthread_create(&f->thread, NULL, feed_main, f);
    if (rc)
        return error_set_errno(e, rc, "ZMQ: thread");
    f->started = true;
    return OK;
}

void zmq_feed_set_net(struct zmq_feed *f, struct net *net) { atomic_store(&f->net, net); }

size_t zmq_feed_bytes(struct zmq_feed *f) { return queue_bytes(f->queue); }

void zmq_feed_close(struct zmq_feed *f)
{
    if (!f)
        return;
    atomic_store(&f->end_ms, clock_mono_ms() + CLOSE_MS);
    queue_close(f->queue);
    if (f->started)
        pthread_join(f->thread, NULL);
    for (struct queue_node *n; (n = queue_pop(f->queue));)
        note_free((struct note *)(void *)n);
    queue_free(f->queue);
    zmq_sender_close(f->sender);
    free(f->confirmed);
    free(f);
}
