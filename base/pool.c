/*
 * One mutex guards a FIFO per priority. Submitting is an append, plus a signal only when somebody
 * sleeps. A finished job takes the lock only when somebody waits for a group: the finisher lowers
 * `pending` and then looks at `waiters`, the waiter raises `waiters` and then looks at `pending`,
 * both sequentially consistent, so one of them sees the other.
 */
#include <config.h>

#include "base/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

struct job_list { struct job *head, *tail; };

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* workers sleep here */
    pthread_cond_t done;    /* job_group_wait sleeps here */
    struct job_list lists[JOB_PRIORITIES];
    size_t queued;          /* jobs in the lists */
    unsigned sleeping;      /* workers in wait on `work` */
    atomic_uint waiters;    /* threads inside job_group_wait; written under the lock */
    bool stopping;
    unsigned workers;
    pthread_t *threads;
    char name[12];          /* thread names are at most 15 characters */
};

static struct job *take_locked(struct pool *pool, unsigned lowest)
{
    for (unsigned p = 0; p <= lowest; p++) {
        struct job_list *list = &pool->lists[p];
        struct job *job = list->head;
        if (!job)
            continue;
        list->head = job->next;
        if (!list->head)
            list->tail = NULL;
        pool->queued--;
        return job;
    }
    return NULL;
}

/* Without the lock. Neither the job nor, once lowered to its target, the group is touched after. */
static void run_job(struct pool *pool, struct job *job)
{
    struct job_group *group = job->group;
    job->run(job);
    if (!group)
        return;
    atomic_fetch_sub(&group->pending, 1);
    if (atomic_load(&pool->waiters) == 0)
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    struct pool *pool = (struct pool *)arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job *job = take_locked(pool, JOB_PRIORITIES - 1);
        if (job) {
            pthread_mutex_unlock(&pool->lock);
            run_job(pool, job);
            pthread_mutex_lock(&pool->lock);
            continue;
        }
        if (pool->stopping)
            break;
        pool->sleeping++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->sleeping--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* A thread the system refuses is done without: a pool works with any number. */
static void start_workers(struct pool *pool, unsigned workers)
{
    for (unsigned i = 0; i < workers; i++) {
        if (pthread_create(&pool->threads[i], NULL, worker_main, pool) != 0)
            break;
        char name[16];
        snprintf(name, sizeof(name), "%s.%u", pool->name, i % 100);
        pthread_setname_np(pool->threads[i], name);
        pool->workers++;
    }
}

struct pool *pool_new(unsigned workers, const char *name)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->threads = xcalloc(workers + 1u, sizeof(*pool->threads));
    start_workers(pool, workers);
    return pool;
}

static void run_rest(struct pool *pool)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct job *job = take_locked(pool, JOB_PRIORITIES - 1);
        pthread_mutex_unlock(&pool->lock);
        if (!job)
            return;
        run_job(pool, job);
    }
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->workers; i++)
        pthread_join(pool->threads[i], NULL);
    run_rest(pool);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

unsigned pool_workers(const struct pool *pool)
{
    return pool->workers;
}

/* Before the job is queued: once it is, the group may be finished and gone at any moment. */
static void group_add(struct job_group *group, enum job_priority priority)
{
    atomic_fetch_add(&group->pending, 1);
    unsigned lowest = atomic_load(&group->lowest);
    while (lowest < (unsigned)priority)
        if (atomic_compare_exchange_weak(&group->lowest, &lowest, (unsigned)priority))
            break;
}

void pool_submit(struct pool *pool, enum job_priority priority, struct job *job)
{
    BUG_ON((unsigned)priority >= JOB_PRIORITIES);
    if (job->group)
        group_add(job->group, priority);
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    struct job_list *list = &pool->lists[priority];
    if (list->tail)
        list->tail->next = job;
    else
        list->head = job;
    list->tail = job;
    pool->queued++;
    if (pool->sleeping > 0)
        pthread_cond_signal(&pool->work);
    else if (atomic_load(&pool->waiters) > 0)
        pthread_cond_broadcast(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

size_t pool_queued(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->queued;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

void job_group_init(struct job_group *g, struct pool *pool)
{
    g->pool = pool;
    atomic_init(&g->pending, 0);
    atomic_init(&g->lowest, 0);
}

void job_group_wait(struct job_group *g)
{
    job_group_wait_until(g, 0);
}

void job_group_wait_until(struct job_group *g, size_t most)
{
    struct pool *pool = g->pool;
    if (atomic_load(&g->pending) <= most)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->waiters, 1);
    while (atomic_load(&g->pending) > most) {
        unsigned lowest = pool->workers ? atomic_load(&g->lowest) : JOB_PRIORITIES - 1;
        struct job *job = take_locked(pool, lowest);
        if (!job) {
            pthread_cond_wait(&pool->done, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        run_job(pool, job);
        pthread_mutex_lock(&pool->lock);
    }
    atomic_fetch_sub(&pool->waiters, 1);
    pthread_mutex_unlock(&pool->lock);
}
