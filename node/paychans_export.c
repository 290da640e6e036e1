/*
 * What channels are brought back from (wallet/paychan_file.h): for exportchannels, and in a file
 * that the node keeps by itself (-paychannelexport), on another disk at best. That one loses a
 * channel only when it is over: one that the node does not know any more, as after the loss of its
 * database, stays (spec attacks I9). The thread of the jobs writes it.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "wallet/paychan_file.h"

#define RETRY_MS 60000

static struct paychan_saved save(const struct held *h)
{
    struct paychan_saved s = { .role = h->c.role };
    struct buf copy;
    buf_init(&copy);
    paychan_put_copy(&copy, &h->c);
    memcpy(s.copy, copy.data, sizeof s.copy);
    memcpy(s.id, h->c.id, sizeof s.id);
    memcpy(s.ours, h->ours, sizeof s.ours);
    memcpy(s.theirs, h->theirs, sizeof s.theirs);
    buf_clear(&copy);
    return s;
}

/* --- exportchannels --- */

struct exporting {
    struct paychans *pc;
    struct buf *out;
};

static void export_all(struct channels *c, void *ctx)
{
    const struct exporting *x = ctx;
    (void)c;
    for (size_t i = 0; i < x->pc->n; i++) {
        const struct paychan_saved s = save(x->pc->all[i]);
        if (paychans_is_funded(&x->pc->all[i]->c))
            paychan_put_saved(x->out, &s);
    }
}

enum err paychans_export(void *ctx, struct buf *out, struct error *e)
{
    struct exporting x = { ctx, out };
    if (!channels_call(x.pc->channels, export_all, &x))
        return error_set(e, ERR_CANCELLED, "direct channels have stopped");
    return OK;
}

/* --- the file of the node's own --- */

struct export_job {
    struct paychan_job job; /* first */
    struct paychans *pc;
    struct paychan_file now;
    uint8_t (*over)[PAYCHAN_ID_SIZE];
    size_t n_over;
    enum err rc;
    struct error e;
};

static void work_export(const struct rpc_env *env, struct paychan_job *j)
{
    struct export_job *job = (struct export_job *)j;
    const uint8_t *magic = chain_get_params(env->chain)->disk_magic;
    const char *path = job->pc->export_path;
    struct paychan_file f;
    job->rc = paychan_file_read(&f, path, magic, &job->e);
    if (job->rc && job->rc != ERR_NOTFOUND)
        return; /* what cannot be read is not written over */
    for (size_t i = 0; i < job->n_over; i++)
        paychan_file_remove(&f, job->over[i]);
    for (size_t i = 0; i < job->now.n; i++)
        paychan_file_put(&f, &job->now.v[i]);
    job->rc = paychan_file_write(&f, path, magic, &job->e);
    paychan_file_clear(&f);
}

/* Those that the file lacks now need not be named again. */
static void forget_over(struct paychans *pc, size_t n)
{
    pc->n_over -= n;
    if (pc->n_over)
        memmove(pc->over, pc->over + n, pc->n_over * PAYCHAN_ID_SIZE);
}

static void done_export(struct channels *c, struct paychan_job *j)
{
    struct export_job *job = (struct export_job *)j;
    struct paychans *pc = job->pc;
    if (c) {
        pc->exporting = false;
        pc->export_after_ms = clock_mono_ms() + (job->rc ? RETRY_MS : 0);
        pc->export_due |= job->rc != OK;
        if (!job->rc)
            forget_over(pc, job->n_over);
        else
            LOG_LIMITED(LOG_WARN, "payment channels: %s is not written: %s", pc->export_path,
                        job->e.text);
    }
    paychan_file_clear(&job->now);
    free(job->over);
    free(job);
}

void paychans_export_if_due(struct paychans *pc)
{
    if (!pc->export_due || pc->exporting || !pc->export_path ||
        clock_mono_ms() < pc->export_after_ms)
        return;
    struct export_job *job = xcalloc(1, sizeof *job);
    pc->exporting = true;
    pc->export_due = false;
    job->job = (struct paychan_job){ .work = work_export, .done = done_export };
    job->pc = pc;
    job->n_over = pc->n_over;
    job->over = xcalloc(pc->n_over + 1, PAYCHAN_ID_SIZE);
    if (pc->n_over)
        memcpy(job->over, pc->over, pc->n_over * PAYCHAN_ID_SIZE);
    for (size_t i = 0; i < pc->n; i++) {
        const struct paychan_saved s = save(pc->all[i]);
        if (paychans_is_funded(&pc->all[i]->c))
            paychan_file_put(&job->now, &s);
    }
    paychan_wallet_do(pc->wallet, &job->job);
}

void paychans_note_over(struct held *h)
{
    struct paychans *pc = h->pc;
    if (!paychans_by_id(pc, h->c.id))
        return;
    pc->over = xrealloc(pc->over, (pc->n_over + 1) * PAYCHAN_ID_SIZE);
    memcpy(pc->over[pc->n_over++], h->c.id, PAYCHAN_ID_SIZE);
    pc->export_due = true;
}
