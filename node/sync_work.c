#include "node/sync_work.h"

#include "node/sync_internal.h"

static void unlink_work(struct sync_work *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->sync->works = w->next;
    if (w->next)
        w->next->prev = w->prev;
}

static void on_loop(struct net *net, void *ctx)
{
    struct sync_work *w = ctx;
    (void)net;
    unlink_work(w);
    w->done(w);
    w->free(w);
}

static void on_pool(struct job *job)
{
    struct sync_work *w = (struct sync_work *)(void *)job;
    w->run(w);
    if (!net_post(w->sync->net, on_loop, w))
        return; /* stopped: it stays in the list, for sync_work_clear */
}

void sync_work_start(struct sync *s, struct sync_work *w, enum job_priority priority)
{
    w->job = (struct job){ .run = on_pool };
    w->sync = s;
    w->prev = NULL;
    w->next = s->works;
    if (s->works)
        s->works->prev = w;
    s->works = w;
    pool_submit(chain_pool(s->chain), priority, &w->job);
}

void sync_work_clear(struct sync *s)
{
    while (s->works) {
        struct sync_work *w = s->works;
        unlink_work(w);
        w->free(w);
    }
}
