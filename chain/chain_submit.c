/*
 * Blocks that RPC or the miner hands over, and candidates that are only to be judged. A block made
 * from a template is fed to the intake transaction by transaction: however large it is, it lies in
 * memory as a whole only where every arriving block of its size would.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/block_template.h"
#include "chain/chain_internal.h"
#include "chain/header_check.h"

#define FEED_PIECE (1u << 20)

struct delivery;
struct feeder;

/* --- waiting -------------------------------------------------------------------------------- */

struct submit {
    struct submit *next;
    struct header_node *node;
    struct verdict verdict;
    bool done, closing;
    pthread_mutex_t lock;
    pthread_cond_t ended;
};

static void submit_wake(struct submit *s, bool closing)
{
    pthread_mutex_lock(&s->lock);
    s->done = true;
    s->closing = closing;
    pthread_cond_signal(&s->ended);
    pthread_mutex_unlock(&s->lock);
}

/* The first verdict stays. Any thread. */
static void submit_judge(struct submit *s, const struct verdict *v)
{
    pthread_mutex_lock(&s->lock);
    if (verdict_ok(&s->verdict))
        s->verdict = *v;
    pthread_mutex_unlock(&s->lock);
}

static bool submit_is_judged(struct submit *s)
{
    pthread_mutex_lock(&s->lock);
    bool judged = !verdict_ok(&s->verdict);
    pthread_mutex_unlock(&s->lock);
    return judged;
}

void submit_judged(struct chain *c, const struct header_node *node, const struct verdict *v)
{
    for (struct submit *s = c->submits; s; s = s->next)
        if (s->node == node)
            submit_judge(s, v);
}

/* The wait is over when the block is judged, or stored and nothing is left to activate. */
void submit_settle(struct chain *c, bool closing)
{
    for (struct submit **at = &c->submits; *at;) {
        struct submit *s = *at;
        bool stored = atomic_load(&s->node->status) & HS_HAVE_DATA;
        if (!closing && !stored && !submit_is_judged(s)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        submit_wake(s, closing && !stored);
    }
}

static void add_submit(struct chain *c, void *ctx)
{
    struct submit *s = (struct submit *)ctx;
    s->next = c->submits;
    c->submits = s;
    if (c->failed)
        submit_settle(c, true);
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* A block to be fed: as one piece, or in parts. */
struct delivery {
    void (*feed)(struct feeder *f, const struct delivery *d);
    uint64_t size;
    const void *bytes;
    const struct block_parts *parts;
};

/* Collects small parts, and feeds in pieces of a size that suits the intake. */
struct feeder {
    struct block_intake *in;
    uint64_t left; /* to be fed */
    struct buf piece;
};

static void feed_piece(struct feeder *f, const void *data, size_t len)
{
    f->left -= len;
    size_t queued = intake_feed(f->in, data, len);
    /* Ours is no event loop: sleeping is the way to give the writers time. With its last byte the
     * intake is gone. */
    while (f->left > 0 && queued > INTAKE_QUEUE_MAX) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        queued = intake_feed(f->in, data, 0);
    }
}

static void feed_collected(struct feeder *f)
{
    if (f->piece.len)
        feed_piece(f, f->piece.data, f->piece.len);
    buf_reset(&f->piece);
}

static void feed_part(void *ctx, const void *data, size_t len)
{
    struct feeder *f = (struct feeder *)ctx;
    const uint8_t *p = (const uint8_t *)data;
    while (len > 0) {
        const size_t n = MIN_OF(len, FEED_PIECE - f->piece.len);
        buf_put(&f->piece, p, n);
        p += n;
        len -= n;
        if (f->piece.len == FEED_PIECE)
            feed_collected(f);
    }
}

static void feed_parts(struct feeder *f, const struct delivery *d)
{
    block_parts_write(d->parts, feed_part, f);
    feed_collected(f);
}

static void feed_bytes(struct feeder *f, const struct delivery *d)
{
    const uint8_t *p = (const uint8_t *)d->bytes;
    while (f->left > 0) {
        const size_t n = (size_t)MIN_OF(f->left, FEED_PIECE);
        feed_piece(f, p, n);
        p += n;
    }
}

static void feed(struct block_intake *in, const struct delivery *d)
{
    struct feeder f = { .in = in, .left = d->size };
    buf_init(&f.piece);
    d->feed(&f, d);
    buf_clear(&f.piece);
}

/* --- handing over --------------------------------------------------------------------------- */

static enum err wait_submit(struct chain *c, struct header_node *node, const struct delivery *d,
                            struct verdict *v, struct error *e)
{
    struct submit s = { .node = node };
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.ended, NULL);
    enum err rc = chain_call(c, add_submit, &s);
    struct block_intake *in =
        rc ? NULL : chain_block_begin(c, node, d->size, NULL, SOURCE_SUBMIT, v);
    if (in) {
        feed(in, d);
    } else if (!rc) {
        submit_judge(&s,
                     v); /* too large; or stored meanwhile, then the next settling ends the wait */
        chain_wake(c);
    }
    if (!rc) {
        pthread_mutex_lock(&s.lock);
        while (!s.done)
            pthread_cond_wait(&s.ended, &s.lock);
        pthread_mutex_unlock(&s.lock);
        *v = s.verdict;
        rc = s.closing ? ERR_CANCELLED : OK;
    }
    pthread_cond_destroy(&s.ended);
    pthread_mutex_destroy(&s.lock);
    return rc ? error_set(e, rc, "the node is shutting down") : OK;
}

static enum err submit(struct chain *c, const struct block_header *h, const struct delivery *d,
                       struct block_submission *out, struct error *e)
{
    struct block_hash hash;
    size_t accepted;
    block_header_hash(&hash, h);
    *out = (struct block_submission){ .node = header_index_find(c->index, &hash) };
    uint32_t status = out->node ? atomic_load(&out->node->status) : 0;
    if (status & (HS_HAVE_DATA | HS_FAILED_MASK)) {
        out->duplicate = true;
        if (status & HS_FAILED_MASK)
            verdict_set(&out->verdict, REJECT_DUPLICATE, 0, "duplicate-invalid");
        return OK;
    }
    enum err rc = chain_accept_headers(c, h, NULL, 1, &accepted, &out->node, &out->verdict);
    if (!verdict_ok(&out->verdict) || rc == ERR_NOTFOUND)
        return OK;
    return rc ? error_set(e, rc, "the header could not be taken")
              : wait_submit(c, out->node, d, &out->verdict, e);
}

enum err chain_submit_block(struct chain *c, const void *block, size_t size,
                            struct block_submission *out, struct error *e)
{
    struct reader r;
    struct block_header h;
    reader_init(&r, block, size);
    block_header_read(&r, &h);
    if (r.failed)
        return error_set(e, ERR_PARSE, "a block is longer than %zu bytes", size);
    const struct delivery d = { .feed = feed_bytes, .size = size, .bytes = block };
    return submit(c, &h, &d, out, e);
}

enum err chain_submit_parts(struct chain *c, const struct block_parts *parts,
                            struct block_submission *out, struct error *e)
{
    const struct delivery d = { .feed = feed_parts,
                                .size = block_parts_size(parts),
                                .parts = parts };
    return submit(c, &parts->header, &d, out, e);
}

/* --- judging without taking ----------------------------------------------------------------- */

struct trial {
    struct block_header header;
    struct block_segment *block;
    uint64_t size;
    struct verdict *verdict;
};

static enum err take_back_trial(struct chain *c, struct header_node *node, const struct trial *t,
                                struct connect_result *r, struct error *e)
{
    struct undo_reader undo;
    const struct connect_extent all = { .txs = r->txs, .inputs = r->inputs };
    enum err rc = undo_reader_init(&undo, &r->undo, e);
    if (!rc) {
        rc = connect_take_back(&c->env, node, t->block, &undo, &all, e);
        undo_reader_clear(&undo);
    }
    c->torn |= rc != OK;
    return rc;
}

/* On the coins of the tip, which are then as before. */
static enum err connect_trial(struct chain *c, struct header_node *node, const struct trial *t,
                              struct error *e)
{
    const struct block_source_options o = { .files = c->files,
                                            .pool = c->pool,
                                            .params = &c->params,
                                            .segment_bytes = c->env.segment_bytes,
                                            .max_block_size = chain_max_block_size(c),
                                            .coinbase_maturity = c->env.coinbase_maturity };
    struct connect_request q = { .node = node,
                                 .source = block_source_open(&o, node, &node->data, t->block),
                                 .received = t->block,
                                 .scripts = CONNECT_CHECK_SCRIPTS };
    struct connect_result r;
    enum err rc = connect_block(&c->env, &q, &r, e);
    block_source_close(q.source);
    c->torn |= r.torn;
    if (!rc && verdict_ok(&r.verdict))
        rc = take_back_trial(c, node, t, &r, e);
    else if (!rc)
        *t->verdict = r.verdict;
    buf_clear(&r.undo);
    return rc;
}

static enum err do_trial(struct chain *c, struct chain_job *job)
{
    const struct trial *t = (const struct trial *)job->ctx;
    struct header_node node = { .prev = c->tip,
                                .height = c->tip->height + 1,
                                .version = t->header.version,
                                .merkle_root = t->header.merkle_root,
                                .time = t->header.time,
                                .bits = t->header.bits,
                                .nonce = t->header.nonce,
                                .data = { .size = t->size } };
    block_header_hash(&node.hash, &t->header);
    if (!block_hash_equal(&t->header.prev, &c->tip->hash)) {
        verdict_set(t->verdict, REJECT_INVALID, 0, "inconclusive-not-best-prevblk");
        return OK;
    }
    if (!header_check_context(&c->params, c->tip, &t->header, clock_now(), t->verdict))
        return OK;
    return connect_trial(c, &node, t, &job->error);
}

static bool check_root(const struct trial *t)
{
    struct merkle m;
    bool mutated;
    merkle_init(&m);
    for (size_t i = 0; i < t->block->n_txs; i++)
        merkle_add(&m, t->block->txs[i].id.b);
    const struct hash256 root = merkle_root(&m, &mutated);
    if (!mem_equal_var(root.b, t->header.merkle_root.b, sizeof(root.b)))
        return verdict_set(t->verdict, REJECT_INVALID, 100, "bad-txnmrklroot");
    return !mutated || verdict_set(t->verdict, REJECT_INVALID, 100, "bad-txns-duplicate");
}

enum err chain_test_block(struct chain *c, const void *block, size_t size, struct verdict *v,
                          struct error *e)
{
    struct trial t = { .size = size, .verdict = v };
    struct chain_job job = { .fn = do_trial, .ctx = &t };
    size_t extra;
    *v = (struct verdict){ 0 };
    uint8_t *copy = try_alloc(size, 1);
    if (!copy)
        return error_set(e, ERR_NOMEM, "no memory for a block of %zu bytes", size);
    memcpy(copy, block, size);
    struct block_bytes *bytes = block_bytes_new(copy, size);
    enum err rc = block_segment_parse(&t.block, bytes, &t.header, &extra, e);
    block_bytes_unref(bytes);
    if (rc)
        return rc;
    if (extra)
        rc = error_set(e, ERR_PARSE, "%zu bytes after the block", extra);
    else if (check_block_limits(t.block->n_txs, size, chain_max_block_size(c), v) && check_root(&t))
        rc = chain_job_call(c, &job, e);
    block_segment_unref(t.block);
    return rc;
}
