/*
 * The second queue (spec consensus 5.2): a transaction whose scripts reached the limit of a batch
 * is run again with the larger one, as a job of low priority that nobody waits for. What is good
 * goes through a batch once more, which finds its scripts done; the rest is refused here.
 */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "chain/chain_internal.h"
#include "chain/txs.h"

#define SLOW_BYTES_MAX (64u << 20) /* waiting; past this the answer is that of a reached limit */

struct slow_job {
    struct job job;
    struct command cmd;
    struct txs *txs;
    struct tx_offer *offer;
    struct accept_rules rules; /* when it began */
    struct arena arena;
};

static void free_job(struct slow_job *j)
{
    arena_clear(&j->arena);
    free(j);
}

static void refuse(struct txs *t, struct tx_offer *o)
{
    accept_enter(&t->env, &t->rules, &o->work); /* the scripts' end decides */
    txs_deliver(t, &o, 1);
}

void txs_slow_add(struct txs *t, struct tx_offer *o)
{
    o->slow = true;
    if (t->slow_bytes + o->node.bytes > SLOW_BYTES_MAX) {
        txs_deliver(t, &o, 1);
        return;
    }
    accept_work_again(&o->work);
    o->work.scripts = SCRIPTS_PENDING;
    o->work.time_limit_us =
        o->work.source == TX_SOURCE_RPC ? 0 : t->policy.nonstandard_time_ms * 1000;
    t->slow_bytes += o->node.bytes;
    tx_list_add(&t->slow, o);
}

/* Chain thread: the scripts have been run. */
static void slow_done(struct chain *c, struct command *cmd, bool is_cancelled)
{
    struct slow_job *j = (struct slow_job *)(void *)((char *)cmd - offsetof(struct slow_job, cmd));
    struct txs *t = &c->txs;
    struct tx_offer *o = j->offer;
    t->slow_running--;
    if (is_cancelled) {
        txs_give_up(t, o);
    } else if (o->work.scripts == SCRIPTS_GOOD) {
        accept_work_again(&o->work);
        tx_list_add(&t->again, o);
    } else {
        refuse(t, o);
    }
    free_job(j);
}

static void run_slow(struct job *job)
{
    struct slow_job *j = (struct slow_job *)(void *)job;
    struct txs *t = j->txs;
    accept_scripts(&t->env, &j->rules, &j->offer->work, &t->chain->cancel);
    j->cmd.run = slow_done;
    if (!chain_push(t->chain, &j->cmd))
        WARN_BUG(true); /* the queue closes after the last of these */
}

static enum err start(struct txs *t, struct tx_offer *o, struct error *e)
{
    struct slow_job *j = xcalloc(1, sizeof(*j));
    j->txs = t;
    j->offer = o;
    j->rules = t->rules;
    arena_init(&j->arena);
    o->work.arena = &j->arena;
    accept_precheck(&t->env, &t->rules, &o->work);
    const enum err rc = accept_judge(&t->env, &t->rules, &o->work, NULL, NULL, e);
    if (rc || o->work.judged) {
        refuse(t, o);
        free_job(j);
        return rc == ERR_NOMEM ? OK : rc;
    }
    j->job = (struct job){ .run = run_slow, .group = &t->slow_group };
    t->slow_running++;
    pool_submit(t->chain->pool, JOB_LOW, &j->job);
    return OK;
}

enum err txs_slow_step(struct txs *t, bool *did, struct error *e)
{
    const unsigned most = pool_workers(t->chain->pool) > 1 ? pool_workers(t->chain->pool) - 1 : 1;
    enum err rc = OK;
    struct tx_offer *o;
    while (!rc && t->slow_running < most && (o = tx_list_take(&t->slow))) {
        txs_refresh_rules(t);
        t->slow_bytes -= o->node.bytes;
        rc = start(t, o, e);
        *did = true;
    }
    if (!rc && t->slow_running && pool_workers(t->chain->pool) == 0)
        job_group_wait(&t->slow_group);
    return rc;
}

void txs_slow_stop(struct txs *t)
{
    job_group_wait(&t->slow_group);
}
