/*
 * Worker threads with priorities. A job is a struct the submitter embeds in its own; it runs once
 * on some worker and must not use the pool's lock order upwards (no waiting for another group
 * except through job_group_wait, which helps). Works with zero workers: waiting runs the jobs.
 * Any thread submits.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct pool;

enum job_priority { JOB_BLOCK, JOB_CANDIDATE, JOB_MEMPOOL, JOB_LOW, JOB_PRIORITIES };

/* Jobs that are waited for together. */
struct job_group {
    struct pool *pool;
    atomic_size_t pending;
    atomic_uint lowest; /* lowest priority submitted so far */
};

struct job {
    void (*run)(struct job *job); /* may free or reuse the job */
    struct job_group *group;      /* NULL: nobody waits */
    struct job *next;             /* pool's own */
};

struct pool *pool_new(unsigned workers, const char *name);
/* Runs what is queued, then joins. NULL is fine. */
void pool_free(struct pool *pool);
unsigned pool_workers(const struct pool *pool);
void pool_submit(struct pool *pool, enum job_priority priority, struct job *job);
size_t pool_queued(struct pool *pool);

void job_group_init(struct job_group *g, struct pool *pool);
/*
 * Returns when all jobs of the group have run; meanwhile runs queued jobs on this thread, but none
 * of a priority below those of the group (a block must not wait for a long job of low priority).
 * Without workers any job is run, so that those of no group get their turn too.
 */
void job_group_wait(struct job_group *g);
/* Waits until at most `most` jobs of the group are pending, helping meanwhile. */
void job_group_wait_until(struct job_group *g, size_t most);

#endif
