#include <config.h>

#include "chain/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/intake_internal.h"

#define GROW_FIRST (16u << 10)

static atomic_size_t memory_bytes; /* the ledger of intake_memory_bytes */

size_t intake_memory_bytes(void)
{
    return atomic_load_explicit(&memory_bytes, memory_order_relaxed);
}

void intake_count(size_t *counted, size_t bytes)
{
    if (bytes != *counted)
        atomic_fetch_add_explicit(&memory_bytes, bytes - *counted, memory_order_relaxed);
    *counted = bytes;
}

bool intake_grow(struct block_intake *in, size_t len, uint64_t most)
{
    struct buf *b = &in->raw;
    size_t need = b->len + len;
    if (need <= b->cap && b->data)
        return true;
    size_t cap = (size_t)MIN_OF(MAX_OF(MAX_OF(b->cap * 2, need), GROW_FIRST), MAX_OF(most, need));
    uint8_t *p = try_realloc(b->data, cap, 1);
    if (!p)
        return false;
    b->data = p;
    b->cap = cap;
    intake_count(&in->counted, cap);
    return true;
}

void intake_ref(struct block_intake *in)
{
    atomic_fetch_add_explicit(&in->refs, 1, memory_order_relaxed);
}

void intake_unref(struct block_intake *in)
{
    if (atomic_fetch_sub_explicit(&in->refs, 1, memory_order_acq_rel) > 1)
        return;
    intake_large_clear(in);
    intake_count(&in->counted, 0);
    buf_clear(&in->raw);
    pthread_cond_destroy(&in->reported);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

void intake_submit(struct block_intake *in, struct job *job, enum job_priority priority)
{
    if (pool_workers(in->o.pool))
        pool_submit(in->o.pool, priority, job);
    else
        job->run(job);
}

static struct block_intake *intake_of(struct job *job)
{
    return (struct block_intake *)(void *)((char *)job - offsetof(struct block_intake, job));
}

struct block_intake *intake_new(const struct intake_options *o, struct header_node *node,
                                uint64_t size, const uint32_t *checksum, uint64_t source)
{
    struct block_intake *in = xcalloc(1, sizeof(*in));
    atomic_init(&in->refs, 1);
    in->o = *o;
    if (!in->o.stream_min)
        in->o.stream_min = BLOCKFILE_STREAM_MIN;
    in->node = node;
    in->size = size;
    in->source = source;
    in->has_checksum = checksum != NULL;
    in->checksum = checksum ? *checksum : 0;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->reported, NULL);
    buf_init(&in->raw);
    intake_large_init(in);
    return in;
}

/* --- the end of it --- */

struct intake_result intake_result_of(const struct block_intake *in)
{
    return (struct intake_result){ .node = in->node, .source = in->source };
}

/* Not under the lock; intake_abort waits for a call that is under way. */
void intake_report(struct block_intake *in, struct intake_result *result)
{
    pthread_mutex_lock(&in->lock);
    bool call = !in->aborted && !in->failed;
    in->failed = true;
    in->reporting += call;
    pthread_mutex_unlock(&in->lock);
    if (!call) {
        block_segment_unref(result->segment);
        return;
    }
    in->o.done(in->o.ctx, result);
    pthread_mutex_lock(&in->lock);
    in->reporting--;
    pthread_cond_broadcast(&in->reported);
    pthread_mutex_unlock(&in->lock);
}

bool intake_check_sum(const struct block_intake *in, uint32_t sum, struct verdict *v)
{
    if (!in->has_checksum || sum == in->checksum)
        return true;
    return verdict_set_corrupt(v, 0, "checksum");
}

/* Spec consensus 3.2 item 2: the root first, then the tree that a duplicate was hidden in. */
bool intake_check_tree(const struct block_intake *in, const struct block_header *header,
                       const struct merkle *merkle, struct verdict *v)
{
    struct block_hash hash;
    block_header_hash(&hash, header);
    if (!block_hash_equal(&hash, &in->node->hash))
        return verdict_set_corrupt(v, 100, "bad-blk-header");
    if (merkle->count == 0)
        return verdict_set_corrupt(v, 100, "bad-blk-length");
    bool mutated;
    struct hash256 root = merkle_root(merkle, &mutated);
    if (memcmp(root.b, in->node->merkle_root.b, 32) != 0)
        return verdict_set_corrupt(v, 100, "bad-txnmrklroot");
    if (mutated)
        return verdict_set_corrupt(v, 100, "bad-txns-duplicate");
    return true;
}

/* --- small blocks --- */

static bool check_small(struct block_intake *in, struct block_bytes *bytes, struct intake_result *r)
{
    uint8_t digest[32];
    sha256d(digest, bytes->data, bytes->len);
    r->wire_checksum = le32_get(digest);
    if (!intake_check_sum(in, r->wire_checksum, &r->verdict))
        return false;
    struct block_header header;
    size_t extra;
    enum err rc = block_segment_parse(&r->segment, bytes, &header, &extra, &r->error);
    if (rc == ERR_PARSE) {
        verdict_set_corrupt(&r->verdict, 100, "error parsing message");
        verdict_detail(&r->verdict, "%s", r->error.text);
        r->error = (struct error){ .code = OK };
        return false;
    }
    r->err = rc;
    if (rc)
        return false;
    if (extra)
        return verdict_set_corrupt(&r->verdict, 100, "bad-blk-length");
    struct merkle merkle;
    merkle_init(&merkle);
    for (size_t i = 0; i < r->segment->n_txs; i++)
        merkle_add(&merkle, r->segment->txs[i].id.b);
    r->tx_count = (uint32_t)r->segment->n_txs;
    return intake_check_tree(in, &header, &merkle, &r->verdict);
}

static void finish_small(struct job *job)
{
    struct block_intake *in = intake_of(job);
    struct intake_result r = intake_result_of(in);
    size_t len;
    uint8_t *data = buf_take(&in->raw, &len);
    struct block_bytes *bytes = block_bytes_new(data, len);
    if (check_small(in, bytes, &r))
        r.err = blockfiles_write(in->o.files, data, len, in->node->height, &r.pos, &r.error);
    if (r.err || !verdict_ok(&r.verdict)) {
        block_segment_unref(r.segment);
        r.segment = NULL;
    }
    block_bytes_unref(bytes);
    intake_count(&in->counted, 0);
    intake_report(in, &r);
    intake_unref(in);
}

static void report_no_memory(struct job *job)
{
    struct block_intake *in = intake_of(job);
    struct intake_result r = intake_result_of(in);
    r.err = error_set(&r.error, ERR_NOMEM, "no memory for a block of %llu bytes",
                      (unsigned long long)in->size);
    intake_report(in, &r);
    intake_unref(in);
}

/* Collected bytes wait for the peer, not for the pool: they are no queue. */
static size_t feed_small(struct block_intake *in, const void *data, size_t len)
{
    bool lost = in->job.run != NULL; /* memory ran out before */
    if (!lost && intake_grow(in, len, in->size)) {
        memcpy(in->raw.data + in->raw.len, data, len);
        in->raw.len += len;
    } else if (!lost) {
        intake_count(&in->counted, 0);
        buf_clear(&in->raw);
        in->job.run = report_no_memory;
        intake_ref(in);
        intake_submit(in, &in->job, JOB_CANDIDATE);
        lost = true;
    }
    if (in->fed < in->size)
        return 0;
    if (lost) {
        intake_unref(in);
        return 0;
    }
    in->job.run = finish_small;
    intake_submit(in, &in->job, JOB_CANDIDATE); /* with the feeder's reference */
    return 0;
}

size_t intake_feed(struct block_intake *in, const void *data, size_t len)
{
    if (WARN_BUG(len > in->size - in->fed))
        len = (size_t)(in->size - in->fed);
    in->fed += len;
    if (in->size < in->o.stream_min)
        return feed_small(in, data, len);
    return intake_large_feed(in, data, len);
}

static void unref_job(struct job *job)
{
    intake_unref(intake_of(job));
}

/* Removing a large temporary file takes its time: not on the loop. */
void intake_unref_later(struct block_intake *in)
{
    in->job.run = unref_job;
    intake_submit(in, &in->job, JOB_LOW);
}

void intake_abort(struct block_intake *in)
{
    pthread_mutex_lock(&in->lock);
    in->aborted = true;
    while (in->reporting)
        pthread_cond_wait(&in->reported, &in->lock);
    pthread_mutex_unlock(&in->lock);
    if (in->size < in->o.stream_min)
        intake_unref(in);
    else
        intake_unref_later(in);
}
