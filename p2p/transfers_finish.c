/*
 * What becomes of a file whose chunks are all there, or that nobody wants any more: it gets its
 * name when it is synced, is saved elsewhere under the name that its sender chose, or is removed.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/file_name.h"
#include "p2p/transfers_internal.h"

/* --- its name --- */

struct finishing {
    struct disk_job job; /* first */
    struct incoming *in;
    const char *dir;     /* private */
    char *part, *whole, *directory, *saved;
    struct buf name;
    struct error saving;
    struct channels_request *request; /* who wants to have it saved */
};

static void finishing_free(struct disk_job *j)
{
    struct finishing *f = (struct finishing *)(void *)j;
    buf_clear(&f->name);
    free(f->part);
    free(f->whole);
    free(f->directory);
    free(f->saved);
    free(f);
}

static struct finishing *finishing_new(struct incoming *in, const char *directory)
{
    struct finishing *f = xcalloc(1, sizeof *f);
    f->in = in;
    f->dir = in->t->directory;
    f->part = disk_path(in->t, in->id, true);
    f->whole = disk_path(in->t, in->id, false);
    f->directory = directory ? xstrdup(directory) : NULL;
    buf_put(&f->name, in->name.data, in->name.len);
    f->job.drop = finishing_free;
    in->finishing = true;
    in->jobs++;
    return f;
}

static void run_finish(struct disk_job *j)
{
    struct finishing *f = (struct finishing *)(void *)j;
    j->rc = file_sync(&f->in->file, &j->error);
    if (!j->rc && rename(f->part, f->whole) != 0)
        j->rc = error_set_errno(&j->error, errno, "%s: cannot get its name", f->part);
    if (!j->rc)
        j->rc = path_sync_dir(f->dir, &j->error);
}

static void take_saved(struct incoming *in, struct finishing *f)
{
    if (f->saved) {
        free(in->saved);
        in->saved = f->saved;
        f->saved = NULL;
    }
    snprintf(in->error, sizeof in->error, "%s", f->saving.code ? f->saving.text : "");
}

static void finish_done(struct disk_job *j)
{
    struct finishing *f = (struct finishing *)(void *)j;
    struct incoming *in = f->in;
    const bool runs = !in->gone && in->state == TRANSFER_RUNNING;
    in->finishing = false;
    in->unsure |= j->rc != OK;
    if (!runs) /* it was ended meanwhile, and has a name that nobody knew of */
        disk_remove(in->t, in->id);
    else if (j->rc)
        incoming_pause(in, &j->error);
    if (incoming_job_ended(in) && runs && !j->rc)
        incoming_is_there(in);
    finishing_free(j);
}

void disk_finish(struct incoming *in)
{
    if (!in->open || !in->has_leaves || in->n_have < in->n || in->jobs || in->finishing)
        return;
    struct finishing *f = finishing_new(in, NULL);
    in->whole = true; /* also when it fails, and is tried again */
    f->job.run = run_finish;
    f->job.done = finish_done;
    disk_submit(in->t, &f->job, JOB_CANDIDATE);
}

/* --- saving --- */

static void run_save(struct disk_job *j)
{
    struct finishing *f = (struct finishing *)(void *)j;
    if (file_name_save(f->whole, f->directory, buf_span(&f->name), &f->saved, &f->saving))
        log_warn("files: %s", f->saving.text);
}

static void save_done(struct disk_job *j)
{
    struct finishing *f = (struct finishing *)(void *)j;
    struct incoming *in = f->in;
    struct transfers *t = in->t;
    struct channels_request *request = f->request;
    in->finishing = false;
    take_saved(in, f);
    const bool fails = f->saving.code || in->gone;
    if (fails && request && channels_is_waiting(t->channels, request))
        channels_answer(t->channels, request, f->saving.code, &f->saving);
    if (incoming_job_ended(in))
        incoming_saved(in, fails ? NULL : request);
    finishing_free(j);
}

void disk_save(struct incoming *in, const char *directory, struct channels_request *request)
{
    struct finishing *f = finishing_new(in, directory);
    f->request = request;
    f->job.run = run_save;
    f->job.done = save_done;
    disk_submit(in->t, &f->job, JOB_CANDIDATE);
}

/* --- removing --- */

struct removing {
    struct disk_job job; /* first */
    char *part, *whole;
};

static void removing_free(struct disk_job *j)
{
    struct removing *r = (struct removing *)(void *)j;
    free(r->part);
    free(r->whole);
    free(r);
}

static void run_remove(struct disk_job *j)
{
    struct removing *r = (struct removing *)(void *)j;
    struct error e;
    if (path_remove(r->part, &e) || path_remove(r->whole, &e))
        log_warn("files: %s", e.text);
}

/* Whoever has it open goes on with a file without a name; opening it anew makes a new one. */
void disk_remove(struct transfers *t, const uint8_t id[32])
{
    struct removing *r = xcalloc(1, sizeof *r);
    r->part = disk_path(t, id, true);
    r->whole = disk_path(t, id, false);
    r->job.run = run_remove;
    r->job.done = removing_free;
    r->job.drop = removing_free;
    disk_submit(t, &r->job, JOB_CANDIDATE);
}
