/* The chain thread: commands first, then a step of work, then sleep until something comes. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"

#define SLEEP_MS 1000 /* then intervals are looked at again */

bool chain_push(struct chain *c, struct command *cmd)
{
    return queue_push_always(c->queue, &cmd->node);
}

void chain_fatal(struct chain *c, const struct error *e)
{
    if (c->failed)
        return;
    c->failed = true;
    log_error("chain: %s", e->text);
    submit_settle(c, true);
    if (c->h.fatal)
        c->h.fatal(c->h.ctx, e);
}

void chain_publish_tip(struct chain *c)
{
    struct chain_tip tip = { .node = c->tip, .height = -1 };
    if (c->tip) {
        struct header_data data;
        header_index_get_data(c->index, c->tip, &data);
        tip.height = c->tip->height;
        tip.hash = c->tip->hash;
        tip.time = c->tip->time;
        tip.median_time = header_median_time(c->tip);
        tip.chain_tx_count = data.chain_tx_count;
    }
    pthread_mutex_lock(&c->lock);
    c->snapshot = tip;
    pthread_cond_broadcast(&c->tip_moved);
    pthread_mutex_unlock(&c->lock);
}

/* --- blocks that arrive --- */

struct block_command {
    struct command cmd;
    struct intake_result result;
};

static void tell_arrived(struct chain *c, const struct intake_result *r, bool stored)
{
    if (r->source == SOURCE_IMPORT)
        import_block_done(c, r->node);
    if (c->h.block_arrived)
        c->h.block_arrived(c->h.ctx, r->node, r->source, stored);
}

static void block_refused(struct chain *c, const struct intake_result *r)
{
    causes_note_hash(c->o.causes, CAUSE_BLOCK, r->node->hash.b,
                     "a copy was refused: %s (its bytes, which says nothing about the block)",
                     r->verdict.reason);
    if (r->source == SOURCE_SUBMIT) /* else who waits has handed over another copy */
        submit_judged(c, r->node, &r->verdict);
    if (c->h.block_judged)
        c->h.block_judged(c->h.ctx, &r->node->hash, &r->verdict, r->source);
    tell_arrived(c, r, false);
}

static void block_stored(struct chain *c, struct intake_result *r)
{
    /* Two sources may have delivered it at the same time; the second record stays unused. */
    if (!(atomic_load(&r->node->status) & HS_HAVE_DATA)) {
        header_index_set_data(c->index, r->node, &r->pos, r->tx_count, r->wire_checksum);
        received_put(&c->received, r->node, r->source, r->segment, c->tip ? c->tip->height : -1);
        r->segment = NULL;
    }
    tell_arrived(c, r, true);
}

static void run_block(struct chain *c, struct command *cmd, bool is_cancelled)
{
    struct block_command *b = (struct block_command *)(void *)cmd;
    struct intake_result *r = &b->result;
    if (!is_cancelled && r->err) {
        tell_arrived(c, r, false);
        if (r->err != ERR_CANCELLED)
            chain_fatal(c, &r->error);
    } else if (!is_cancelled && !verdict_ok(&r->verdict)) {
        block_refused(c, r);
    } else if (!is_cancelled) {
        block_stored(c, r);
    }
    block_segment_unref(r->segment);
    free(b);
}

void chain_block_found(struct chain *c, struct intake_result *result)
{
    struct block_command *b = xcalloc(1, sizeof(*b));
    b->cmd.run = run_block;
    b->result = *result;
    if (chain_push(c, &b->cmd))
        return;
    block_segment_unref(b->result.segment);
    free(b);
}

void chain_intake_done(void *ctx, struct intake_result *result)
{
    chain_block_found((struct chain *)ctx, result);
}

/* --- the loop --- */

static bool run_commands(struct chain *c)
{
    bool any = false;
    for (struct queue_node *node; (node = queue_pop(c->queue));) {
        struct command *cmd = (struct command *)(void *)node;
        cmd->run(c, cmd, c->stop);
        any = true;
    }
    return any;
}

/* One piece of work. False: nothing to do. */
static bool work_step(struct chain *c)
{
    struct error e = { .code = OK };
    bool did = false;
    if (!c->active || c->failed || c->stop)
        return false;
    enum err rc = activate_step(c, &did, &e);
    if (!rc && !did) /* before transactions: they may go on coming for hours */
        submit_settle(c, false);
    if (!rc)
        rc = txs_step(&c->txs, &did, &e);
    if (!rc && !did && !chain_is_importing(c))
        rc = mempool_load_step(&c->txs, &did, &e);
    if (!rc)
        rc = flush_if_due(c, &e);
    if (!rc && did)
        rc = prune_if_needed(c, &e);
    if (!rc && did)
        rc = check_index(c, &e);
    if (!rc && !did)
        rc = tx_index_step(c, &did, &e);
    if (rc && !(rc == ERR_CANCELLED && cancelled(&c->cancel)))
        chain_fatal(c, &e);
    return did && !rc;
}

static void sleep_for_command(struct chain *c)
{
    if (c->h.idle)
        c->h.idle(c->h.ctx);
    int64_t start = clock_mono_us();
    struct queue_node *node = queue_pop_wait(c->queue, SLEEP_MS);
    progress_time(&c->progress, PROGRESS_IDLE, clock_mono_us() - start);
    if (node) {
        struct command *cmd = (struct command *)(void *)node;
        cmd->run(c, cmd, c->stop);
    }
}

static void *chain_main(void *arg)
{
    struct chain *c = (struct chain *)arg;
    while (!c->stop) {
        run_commands(c);
        if (!work_step(c) && !c->stop)
            sleep_for_command(c);
    }
    txs_stop(&c->txs);
    queue_close(c->queue);
    run_commands(c); /* gives up what is left */
    submit_settle(c, true);
    return NULL;
}

enum err chain_thread_start(struct chain *c, struct error *e)
{
    int errnum = pthread_create(&c->thread, NULL, chain_main, c);
    if (errnum)
        return error_set_errno(e, errnum, "cannot start the chain thread");
    c->thread_started = true;
    return OK;
}

struct stop_command {
    struct command cmd;
};

static void run_stop(struct chain *c, struct command *cmd, bool is_cancelled)
{
    (void)is_cancelled;
    c->stop = true;
    free(cmd);
}

void chain_thread_stop(struct chain *c)
{
    if (!c->thread_started)
        return;
    struct stop_command *stop = xcalloc(1, sizeof(*stop));
    stop->cmd.run = run_stop;
    if (!chain_push(c, &stop->cmd))
        free(stop);
    pthread_join(c->thread, NULL);
    c->thread_started = false;
}

static void run_wake(struct chain *c, struct command *cmd, bool is_cancelled)
{
    (void)c;
    (void)is_cancelled;
    free(cmd);
}

void chain_wake(struct chain *c)
{
    struct command *cmd = xcalloc(1, sizeof(*cmd));
    cmd->run = run_wake;
    if (!chain_push(c, cmd))
        free(cmd);
}
