#include "rpc/workers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct workers {
    pthread_t *threads;
    unsigned max_threads, depth;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake;
    struct work *first, *last;
    unsigned n_threads, busy, queued;
    bool stopping;
};

/* The lock is held. NULL: the end. */
static struct work *next_locked(struct workers *w)
{
    while (!w->first && !w->stopping)
        pthread_cond_wait(&w->wake, &w->lock);
    struct work *work = w->first;
    if (work) {
        w->first = work->next;
        w->last = w->first ? w->last : NULL;
        w->queued--;
    }
    return work;
}

static void *worker_main(void *arg)
{
    struct workers *w = arg;
    struct buf scratch;
    buf_init(&scratch);
    pthread_mutex_lock(&w->lock);
    for (struct work *work; (work = next_locked(w));) {
        w->busy++;
        pthread_mutex_unlock(&w->lock);
        work->run(work, &scratch);
        pthread_mutex_lock(&w->lock);
        w->busy--;
    }
    pthread_mutex_unlock(&w->lock);
    buf_clear(&scratch);
    return NULL;
}

struct workers *workers_new(unsigned threads, unsigned depth)
{
    struct workers *w = xcalloc(1, sizeof *w);
    w->threads = xcalloc(threads, sizeof *w->threads);
    w->max_threads = threads;
    w->depth = depth;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    return w;
}

/* The lock is held. Whether somebody will take one more piece of work. */
static bool find_thread(struct workers *w)
{
    unsigned free_threads = w->n_threads - w->busy;
    if (w->queued < free_threads)
        return true;
    if (w->n_threads < w->max_threads &&
        pthread_create(&w->threads[w->n_threads], NULL, worker_main, w) == 0) {
        w->n_threads++;
        return true;
    }
    return w->n_threads && w->queued < free_threads + w->depth;
}

bool workers_push(struct workers *w, struct work *work)
{
    pthread_mutex_lock(&w->lock);
    bool taken = !w->stopping && find_thread(w);
    if (taken) {
        work->next = NULL;
        *(w->last ? &w->last->next : &w->first) = work;
        w->last = work;
        w->queued++;
    }
    pthread_mutex_unlock(&w->lock);
    if (taken)
        pthread_cond_signal(&w->wake); /* not under the lock, which the worker takes first */
    return taken;
}

void workers_stop(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    w->n_threads = 0;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w->threads);
    free(w);
}
