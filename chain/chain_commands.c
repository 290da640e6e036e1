/* Commands that another thread gives and waits for. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

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

enum err chain_job_call(struct chain *c, struct chain_job *job, struct error *e)
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

/* Whether all blocks of the active chain down to node can be taken back: once begun there is no way
 * to stop in the middle. */
static enum err check_way_back(struct chain *c, const struct header_node *node, struct error *e)
{
    const uint32_t needed = HS_HAVE_DATA | HS_HAVE_UNDO;
    for (const struct header_node *at = c->tip; at->height >= node->height; at = at->prev)
        if ((atomic_load(&at->status) & needed) != needed)
            return error_set(e, ERR_RANGE,
                             "the chain cannot go back below height %d, which was pruned",
                             at->height);
    return OK;
}

static enum err do_invalidate(struct chain *c, struct chain_job *job)
{
    enum err rc = OK;
    if (!job->node->prev)
        return error_set(&job->error, ERR_RANGE, "the genesis block cannot be invalidated");
    if (header_ancestor(c->tip, job->node->height) == job->node)
        rc = check_way_back(c, job->node, &job->error);
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
    return chain_job_call(c, &job, e);
}

static enum err do_reconsider(struct chain *c, struct chain_job *job)
{
    header_index_reconsider(c->index, job->node);
    return activate_all(c, &job->error);
}

enum err chain_reconsider(struct chain *c, struct header_node *node, struct error *e)
{
    struct chain_job job = { .fn = do_reconsider, .node = node };
    return chain_job_call(c, &job, e);
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
    return chain_job_call(c, &job, e);
}

static enum err do_prune(struct chain *c, struct chain_job *job)
{
    return prune_to_height(c, job->height, &job->height, &job->error);
}

enum err chain_prune(struct chain *c, int32_t height, int32_t *last, struct error *e)
{
    struct chain_job job = { .fn = do_prune, .height = height };
    enum err rc = chain_job_call(c, &job, e);
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
    enum err rc = chain_job_call(c, &job, e);
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
    return chain_job_call(c, &job, e);
}

static void set_max_block_size(struct chain *c, void *ctx)
{
    atomic_store(&c->max_block_size, *(const uint64_t *)ctx);
    ahead_clear(c); /* those were opened under the old one */
    chain_forget_limits(c);
}

enum err chain_set_max_block_size(struct chain *c, uint64_t bytes)
{
    return chain_call(c, set_max_block_size, &bytes);
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
