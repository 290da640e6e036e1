/* Commands that another thread gives and waits for. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "chain/chain_internal.h"

/* --- running a function on the chain thread --- */

struct call {
    struct command cmd;
    void (*fn)(struct chain *c, void *ctx);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    enum err rc;
};

static void run_call(struct chain *c, struct command *cmd, bool is_cancelled)
{
    struct call *call = (struct call *)(void *)cmd;
    if (!is_cancelled)
        call->fn(c, call->ctx);
    pthread_mutex_lock(&call->lock);
    call->rc = is_cancelled ? ERR_CANCELLED : OK;
    call->done = true;
    pthread_cond_signal(&call->ended);
    pthread_mutex_unlock(&call->lock);
}

enum err chain_call(struct chain *c, void (*fn)(struct chain *c, void *ctx), void *ctx)
{
    struct call call = { .cmd = { .run = run_call }, .fn = fn, .ctx = ctx };
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.ended, NULL);
    if (!chain_push(c, &call.cmd)) {
        call.rc = ERR_CANCELLED;
    } else {
        pthread_mutex_lock(&call.lock);
        while (!call.done)
            pthread_cond_wait(&call.ended, &call.lock);
        pthread_mutex_unlock(&call.lock);
    }
    pthread_cond_destroy(&call.ended);
    pthread_mutex_destroy(&call.lock);
    return call.rc;
}

/* --- commands with a result --- */

struct chain_job {
    enum err (*fn)(struct chain *c, struct chain_job *job);
    struct header_node *node;
    int32_t height;
    unsigned level;
    bool good;
    enum err rc;
    struct error error;
};

static void run_job_command(struct chain *c, void *ctx)
{
    struct chain_job *job = (struct chain_job *)ctx;
    if (c->failed)
        job->rc =
            error_set(&job->error, ERR_IO, "the chain has stopped after an error; see the log");
    else
        job->rc = job->fn(c, job);
    if (c->torn && job->rc)
        chain_fatal(c, &job->error);
}

static enum err job_call(struct chain *c, struct chain_job *job, struct error *e)
{
    enum err rc = chain_call(c, run_job_command, job);
    if (rc)
        return error_set(e, rc, "the node is shutting down");
    if (job->rc && e)
        *e = job->error;
    return job->rc;
}

/* Runs activation to its end inside a command, so that the caller finds the new tip. */
static enum err activate_all(struct chain *c, struct error *e)
{
    bool did = c->active;
    enum err rc = OK;
    while (did && !rc) {
        rc = activate_step(c, &did, e);
        if (!rc)
            rc = flush_if_due(c, e);
    }
    return rc;
}

static enum err do_invalidate(struct chain *c, struct chain_job *job)
{
    enum err rc = OK;
    if (!job->node->prev)
        return error_set(&job->error, ERR_RANGE, "the genesis block cannot be invalidated");
    while (!rc && header_ancestor(c->tip, job->node->height) == job->node)
        rc = activate_disconnect_tip(c, &job->error);
    activate_publish(c);
    if (rc)
        return rc;
    ahead_clear(c);
    header_index_fail(c->index, job->node, 0);
    return activate_all(c, &job->error);
}

enum err chain_invalidate(struct chain *c, struct header_node *node, struct error *e)
{
    struct chain_job job = { .fn = do_invalidate, .node = node };
    return job_call(c, &job, e);
}

static enum err do_reconsider(struct chain *c, struct chain_job *job)
{
    header_index_reconsider(c->index, job->node);
    return activate_all(c, &job->error);
}

enum err chain_reconsider(struct chain *c, struct header_node *node, struct error *e)
{
    struct chain_job job = { .fn = do_reconsider, .node = node };
    return job_call(c, &job, e);
}

static enum err do_precious(struct chain *c, struct chain_job *job)
{
    if (u256_cmp(&job->node->work, &c->tip->work) < 0)
        return OK; /* as the reference: nothing to prefer while it has less work than the tip */
    header_index_prefer(c->index, job->node);
    return activate_all(c, &job->error);
}

enum err chain_precious(struct chain *c, struct header_node *node, struct error *e)
{
    struct chain_job job = { .fn = do_precious, .node = node };
    return job_call(c, &job, e);
}

static enum err do_prune(struct chain *c, struct chain_job *job)
{
    return prune_to_height(c, job->height, &job->height, &job->error);
}

enum err chain_prune(struct chain *c, int32_t height, int32_t *last, struct error *e)
{
    struct chain_job job = { .fn = do_prune, .height = height };
    enum err rc = job_call(c, &job, e);
    *last = job.height;
    return rc;
}

static enum err do_verify(struct chain *c, struct chain_job *job)
{
    return verify_chain(c, job->level, job->height, -1, &job->good, &job->error);
}

enum err chain_verify(struct chain *c, unsigned level, int32_t n, bool *good, struct error *e)
{
    struct chain_job job = { .fn = do_verify, .height = n, .level = level };
    enum err rc = job_call(c, &job, e);
    *good = job.good;
    return rc;
}

static enum err do_flush(struct chain *c, struct chain_job *job)
{
    return flush_all(c, &job->error);
}

enum err chain_flush(struct chain *c, struct error *e)
{
    struct chain_job job = { .fn = do_flush };
    return job_call(c, &job, e);
}

/* --- frozen outputs --- */

struct frozen_job {
    bool (*fn)(struct frozen *f, void *ctx);
    void *ctx;
    struct frozen *copy;
    enum err rc;
    struct error error;
};

static void change_frozen(struct chain *c, void *ctx)
{
    struct frozen_job *job = (struct frozen_job *)ctx;
    struct frozen *changed = frozen_dup(c->frozen);
    if (job->fn(changed, job->ctx)) {
        frozen_set_version(changed, frozen_version(c->frozen) + 1);
        job->rc = frozen_store(changed, c->frozen_path, c->params.disk_magic, &job->error);
        if (!job->rc) {
            frozen_swap(c->frozen, changed);
            txs_frozen_changed(&c->txs);
        }
    }
    frozen_free(changed);
}

enum err chain_change_frozen(struct chain *c, bool (*fn)(struct frozen *f, void *ctx), void *ctx,
                             struct error *e)
{
    struct frozen_job job = { .fn = fn, .ctx = ctx };
    enum err rc = chain_call(c, change_frozen, &job);
    if (rc)
        return error_set(e, rc, "the node is shutting down");
    if (job.rc && e)
        *e = job.error;
    return job.rc;
}

static void copy_frozen(struct chain *c, void *ctx)
{
    ((struct frozen_job *)ctx)->copy = frozen_dup(c->frozen);
}

struct frozen *chain_copy_frozen(struct chain *c)
{
    struct frozen_job job = { .copy = NULL };
    return chain_call(c, copy_frozen, &job) ? NULL : job.copy;
}

/* --- submitblock --- */

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

static void feed_all(struct block_intake *in, const void *block, size_t size)
{
    const uint8_t *p = (const uint8_t *)block;
    const size_t piece = 1u << 20;
    while (size > 0) {
        size_t n = size < piece ? size : piece;
        size_t queued = intake_feed(in, p, n);
        p += n;
        size -= n;
        /* Ours is no event loop: sleeping is the way to give the writers time. */
        while (size > 0 && queued > INTAKE_QUEUE_MAX) {
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            queued = intake_feed(in, p, 0);
        }
    }
}

static enum err wait_submit(struct chain *c, struct header_node *node, const void *block,
                            size_t size, struct verdict *v, struct error *e)
{
    struct submit s = { .node = node };
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.ended, NULL);
    enum err rc = chain_call(c, add_submit, &s);
    struct block_intake *in = rc ? NULL : chain_block_begin(c, node, size, NULL, SOURCE_SUBMIT, v);
    if (in) {
        feed_all(in, block, size);
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

enum err chain_submit_block(struct chain *c, const void *block, size_t size, struct verdict *v,
                            bool *duplicate, struct header_node **node, struct error *e)
{
    struct reader r;
    struct block_header h;
    size_t accepted;
    *v = (struct verdict){ 0 };
    *duplicate = false;
    *node = NULL;
    reader_init(&r, block, size);
    block_header_read(&r, &h);
    if (r.failed)
        return error_set(e, ERR_PARSE, "a block is longer than %zu bytes", size);
    struct block_hash hash;
    block_header_hash(&hash, &h);
    struct header_node *known = header_index_find(c->index, &hash);
    uint32_t status = known ? atomic_load(&known->status) : 0;
    *node = known;
    if (status & (HS_HAVE_DATA | HS_FAILED_MASK)) {
        *duplicate = true;
        if (status & HS_FAILED_MASK)
            verdict_set(v, REJECT_DUPLICATE, 0, "duplicate-invalid");
        return OK;
    }
    enum err rc = chain_accept_headers(c, &h, NULL, 1, &accepted, node, v);
    if (!verdict_ok(v) || rc == ERR_NOTFOUND)
        return OK;
    return rc ? error_set(e, rc, "the header could not be taken")
              : wait_submit(c, *node, block, size, v, e);
}
