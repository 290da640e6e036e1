/*
 * Large blocks. The bytes are cut into pieces of PIECE_BYTES; each piece goes through two passes,
 * which run at the same time: its transactions are hashed, and it is copied to the page cache;
 * either takes a good part of a second for 1 GB. A piece is freed behind the slower pass.
 *
 * The block as a whole is hashed by who feeds it, while the bytes are in its cache; a pass would
 * read them from memory once more, and the passes have more to do than the feeder anyway. That is a
 * fifth of a millisecond for what the loop reads at once. A block without an expected checksum
 * (rebuilt from its compact form, submitted) comes in pieces of any size, and the writing pass
 * hashes it.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/intake_internal.h"

#define PIECE_BYTES (1u << 20)

static void run_pass(struct job *job);

void intake_large_init(struct block_intake *in)
{
    for (unsigned i = 0; i < INTAKE_PASSES; i++)
        in->passes[i] = (struct intake_pass){ .job = { .run = run_pass },
                                              .in = in,
                                              .kind = (enum intake_pass_kind)i };
    block_stream_init(&in->stream);
    sha256_init(&in->sum);
}

static void piece_free(struct intake_piece *p)
{
    size_t counted = p->data.cap;
    intake_count(&counted, 0);
    buf_clear(&p->data);
    free(p);
}

void intake_large_clear(struct block_intake *in)
{
    block_writer_abort(in->writer);
    while (in->head) {
        struct intake_piece *next = in->head->next;
        piece_free(in->head);
        in->head = next;
    }
}

/* --- the passes --- */

static bool has_failed(struct block_intake *in)
{
    pthread_mutex_lock(&in->lock);
    bool failed = in->failed || in->aborted;
    pthread_mutex_unlock(&in->lock);
    return failed;
}

static void give_up_parse(struct block_intake *in, bool after_end)
{
    struct intake_result r = intake_result_of(in);
    verdict_set_corrupt(&r.verdict, 100, after_end ? "bad-blk-length" : "error parsing message");
    verdict_detail(&r.verdict, "transaction %llu of %llu", (unsigned long long)in->stream.txs_done,
                   (unsigned long long)in->stream.tx_count);
    intake_report(in, &r);
}

/* The header is judged as soon as it is there. */
static bool header_fits(const struct block_intake *in)
{
    if (in->stream.state == BS_HEADER)
        return true;
    struct block_hash hash;
    block_header_hash(&hash, &in->stream.header);
    return block_hash_equal(&hash, &in->node->hash);
}

static void parse_piece(struct block_intake *in, const struct intake_piece *p)
{
    if (block_stream_feed(&in->stream, p->data.data, p->data.len)) {
        give_up_parse(in, in->stream.tx_count && in->stream.txs_done == in->stream.tx_count);
    } else if (!header_fits(in)) {
        struct intake_result r = intake_result_of(in);
        verdict_set_corrupt(&r.verdict, 100, "bad-blk-header");
        intake_report(in, &r);
    } else if (p->last && !block_stream_done(&in->stream)) {
        give_up_parse(in, false);
    }
}

static void write_piece(struct block_intake *in, const struct intake_piece *p)
{
    struct intake_result r = intake_result_of(in);
    if (!in->has_checksum) /* a whole transaction at a time: not on the feeder's thread */
        sha256_update(&in->sum, p->data.data, p->data.len);
    if (!in->writer)
        r.err = block_writer_begin(&in->writer, in->o.files, in->size, &r.error);
    if (!r.err)
        r.err = block_writer_put(in->writer, p->data.data, p->data.len, &r.error);
    if (r.err)
        intake_report(in, &r);
}

static void (*const work[INTAKE_PASSES])(struct block_intake *, const struct intake_piece *) = {
    [PASS_PARSE] = parse_piece,
    [PASS_WRITE] = write_piece,
};

static void finish(struct block_intake *in)
{
    struct intake_result r = intake_result_of(in);
    uint8_t digest[32];
    sha256d_final(&in->sum, digest);
    r.wire_checksum = le32_get(digest);
    r.tx_count = (uint32_t)in->stream.tx_count;
    if (intake_check_sum(in, r.wire_checksum, &r.verdict) &&
        intake_check_tree(in, &in->stream.header, &in->stream.merkle, &r.verdict)) {
        r.err = block_writer_finish(in->writer, in->node->height, &r.pos, &r.error);
    } else {
        block_writer_abort(in->writer);
    }
    in->writer = NULL;
    intake_report(in, &r);
}

/* Takes the pass to the next piece. True when there is one. */
static bool step_locked(struct intake_pass *pass, struct intake_piece *p,
                        struct intake_piece **done)
{
    struct block_intake *in = pass->in;
    pass->at = p->next;
    pass->finished = p->last;
    *done = NULL;
    if (--p->passes_left == 0) { /* in order, so it is the head */
        in->head = p->next;
        if (!in->head)
            in->tail = NULL;
        in->queued -= p->data.len;
        *done = p;
    }
    pass->running = pass->at != NULL;
    return pass->running;
}

static bool drained_locked(struct block_intake *in)
{
    bool drained =
        in->was_full && in->queued < INTAKE_QUEUE_MAX / 2 && !in->aborted && in->o.drained;
    if (drained)
        in->was_full = false;
    in->reporting += drained;
    return drained;
}

static void call_drained(struct block_intake *in)
{
    in->o.drained(in->o.ctx, in->source);
    pthread_mutex_lock(&in->lock);
    in->reporting--;
    pthread_cond_broadcast(&in->reported);
    pthread_mutex_unlock(&in->lock);
}

/* One piece a job, so that jobs of higher priority get their turn. */
static void run_pass(struct job *job)
{
    struct intake_pass *pass = (struct intake_pass *)(void *)job;
    struct block_intake *in = pass->in;
    struct intake_piece *p = pass->at, *done;
    if (!has_failed(in))
        work[pass->kind](in, p);
    pthread_mutex_lock(&in->lock);
    bool more = step_locked(pass, p, &done);
    bool end = !in->failed && !in->aborted;
    for (unsigned i = 0; i < INTAKE_PASSES; i++)
        end &= in->passes[i].finished;
    bool drained = drained_locked(in);
    pthread_mutex_unlock(&in->lock);
    if (done)
        piece_free(done);
    if (drained)
        call_drained(in);
    if (more) {
        intake_submit(in, &pass->job, JOB_CANDIDATE);
        return;
    }
    if (end)
        finish(in);
    intake_unref(in);
}

/* --- feeding --- */

/* Queues the collected piece for all passes and wakes those that wait. Returns the bytes queued. */
static size_t push_piece(struct block_intake *in, bool last)
{
    struct intake_piece *p = xcalloc(1, sizeof(*p));
    p->passes_left = INTAKE_PASSES;
    p->last = last;
    p->data = in->raw;
    buf_init(&in->raw);
    in->counted = 0; /* the piece carries the charge now */
    bool wake[INTAKE_PASSES];
    pthread_mutex_lock(&in->lock);
    if (in->tail)
        in->tail->next = p;
    else
        in->head = p;
    in->tail = p;
    in->queued += p->data.len;
    for (unsigned i = 0; i < INTAKE_PASSES; i++) {
        struct intake_pass *pass = &in->passes[i];
        if (!pass->at)
            pass->at = p;
        wake[i] = !pass->running;
        pass->running = true;
        if (wake[i])
            intake_ref(in);
    }
    size_t queued = in->queued;
    in->was_full |= queued >= INTAKE_QUEUE_MAX;
    pthread_mutex_unlock(&in->lock);
    for (unsigned i = 0; i < INTAKE_PASSES; i++)
        if (wake[i])
            intake_submit(in, &in->passes[i].job, JOB_CANDIDATE);
    return queued;
}

static void report_no_memory(struct block_intake *in)
{
    struct intake_result r = intake_result_of(in);
    r.err = error_set(&r.error, ERR_NOMEM, "no memory for a piece of a block");
    intake_report(in, &r);
}

/* A whole piece is allocated at once only for a peer that has sent one before (attacks C6). */
static bool grow_piece(struct block_intake *in, size_t len, uint64_t fed)
{
    return intake_grow(in, fed > PIECE_BYTES && in->raw.cap == 0 ? PIECE_BYTES : len, PIECE_BYTES);
}

static size_t queued_now(struct block_intake *in)
{
    pthread_mutex_lock(&in->lock);
    size_t queued = in->queued;
    pthread_mutex_unlock(&in->lock);
    return queued;
}

size_t intake_large_feed(struct block_intake *in, const uint8_t *data, size_t len)
{
    bool end = in->fed == in->size;
    size_t queued = len ? 0 : queued_now(in); /* who cannot be called back asks with nothing */
    uint64_t fed = in->fed - len; /* up to data */
    while (len > 0 && !has_failed(in)) {
        size_t n = MIN_OF(len, PIECE_BYTES - in->raw.len);
        if (!grow_piece(in, n, fed)) {
            report_no_memory(in);
            break;
        }
        memcpy(in->raw.data + in->raw.len, data, n);
        if (in->has_checksum) /* from a socket, a little at a time; else see write_piece */
            sha256_update(&in->sum, data, n);
        in->raw.len += n;
        data += n;
        len -= n;
        fed += n;
        if (in->raw.len == PIECE_BYTES || fed == in->size)
            queued = push_piece(in, fed == in->size);
    }
    if (!end)
        return queued;
    if (has_failed(in))
        intake_unref_later(in);
    else
        intake_unref(in);
    return 0;
}
