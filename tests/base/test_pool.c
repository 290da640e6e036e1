#include <config.h>

#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "tests/test.h"

struct count_job {
    struct job job;
    atomic_int *count;
};

static void count_run(struct job *job)
{
    atomic_fetch_add(((struct count_job *)job)->count, 1);
}

static void pause_ms(long ms)
{
    const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void run_many(unsigned workers, int jobs_n)
{
    atomic_int count = 0;
    struct job_group group;
    struct pool *pool = pool_new(workers, "test");
    struct count_job *jobs = xcalloc((size_t)jobs_n, sizeof(*jobs));
    assert_int_equal(pool_workers(pool), workers);
    job_group_init(&group, pool);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < jobs_n; i++) {
            jobs[i] = (struct count_job){ { count_run, &group, NULL }, &count };
            pool_submit(pool, (enum job_priority)(i % JOB_PRIORITIES), &jobs[i].job);
        }
        job_group_wait(&group);
        assert_int_equal(count, (round + 1) * jobs_n);
        assert_int_equal(pool_queued(pool), 0);
    }
    pool_free(pool);
    free(jobs);
}

static void waiting_returns_when_all_jobs_have_run(void **state)
{
    (void)state;
    run_many(1, 1000);
    run_many(4, 20000);
}

static void without_workers_waiting_runs_the_jobs(void **state)
{
    (void)state;
    run_many(0, 1000);
}

static void waiting_for_an_empty_group_returns_at_once(void **state)
{
    (void)state;
    struct job_group group;
    struct pool *pool = pool_new(0, "test");
    job_group_init(&group, pool);
    job_group_wait(&group);
    job_group_wait_until(&group, 5);
    assert_int_equal(group.pending, 0);
    pool_free(pool);
}

static void freeing_runs_what_is_queued(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers < 3; workers++) {
        atomic_int count = 0;
        struct count_job jobs[100];
        struct pool *pool = pool_new(workers, "test");
        for (int i = 0; i < 100; i++) {
            jobs[i] = (struct count_job){ { count_run, NULL, NULL }, &count };
            pool_submit(pool, JOB_LOW, &jobs[i].job);
        }
        pool_free(pool);
        assert_int_equal(count, 100);
    }
    pool_free(NULL);
}

struct order_job {
    struct job job;
    int number;
    int *order;
    int *n;
};

static void order_run(struct job *job)
{
    struct order_job *o = (struct order_job *)job;
    o->order[(*o->n)++] = o->number;
}

static void urgent_jobs_run_first_and_equal_ones_in_turn(void **state)
{
    (void)state;
    static const enum job_priority priorities[6] = { JOB_LOW,   JOB_MEMPOOL, JOB_BLOCK,
                                                     JOB_BLOCK, JOB_LOW,     JOB_CANDIDATE };
    static const int expected[6] = { 2, 3, 5, 1, 0, 4 };
    int order[6], n = 0;
    struct order_job jobs[6];
    struct job_group group;
    struct pool *pool = pool_new(0, "test");
    job_group_init(&group, pool);
    for (int i = 0; i < 6; i++) {
        jobs[i] = (struct order_job){ { order_run, &group, NULL }, i, order, &n };
        pool_submit(pool, priorities[i], &jobs[i].job);
    }
    assert_int_equal(pool_queued(pool), 6);
    job_group_wait(&group);
    assert_int_equal(n, 6);
    assert_memory_equal(order, expected, sizeof(order));
    pool_free(pool);
}

static void waiting_until_some_are_left_leaves_them(void **state)
{
    (void)state;
    atomic_int count = 0;
    struct count_job jobs[10];
    struct job_group group;
    struct pool *pool = pool_new(0, "test");
    job_group_init(&group, pool);
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct count_job){ { count_run, &group, NULL }, &count };
        pool_submit(pool, JOB_BLOCK, &jobs[i].job);
    }
    job_group_wait_until(&group, 4);
    assert_int_equal(count, 6);
    assert_int_equal(pool_queued(pool), 4);
    job_group_wait(&group);
    assert_int_equal(count, 10);
    pool_free(pool);
}

struct gate_job {
    struct job job;
    atomic_bool *started, *open;
};

static void gate_run(struct job *job)
{
    struct gate_job *g = (struct gate_job *)job;
    atomic_store(g->started, true);
    while (!atomic_load(g->open))
        pause_ms(1);
}

static void waiting_does_not_take_up_jobs_of_lower_priority(void **state)
{
    (void)state;
    atomic_bool started = false, open = false;
    atomic_int low = 0, urgent = 0;
    struct gate_job gate = { { gate_run, NULL, NULL }, &started, &open };
    struct pool *pool = pool_new(1, "test");
    struct job_group group;
    pool_submit(pool, JOB_LOW, &gate.job);
    while (!atomic_load(&started))
        pause_ms(1);
    job_group_init(&group, pool);
    struct count_job low_job = { { count_run, NULL, NULL }, &low };
    struct count_job urgent_job = { { count_run, &group, NULL }, &urgent };
    pool_submit(pool, JOB_LOW, &low_job.job);
    pool_submit(pool, JOB_BLOCK, &urgent_job.job);
    job_group_wait(&group);
    assert_int_equal(urgent, 1);
    assert_int_equal(low, 0);
    atomic_store(&open, true);
    pool_free(pool);
    assert_int_equal(low, 1);
}

struct tree_job {
    struct job job;
    struct pool *pool;
    int depth;
    atomic_int *leaves;
};

static void tree_run(struct job *job)
{
    struct tree_job *t = (struct tree_job *)job;
    if (t->depth == 0) {
        atomic_fetch_add(t->leaves, 1);
        return;
    }
    struct job_group group;
    struct tree_job children[3];
    job_group_init(&group, t->pool);
    for (int i = 0; i < 3; i++) {
        children[i] = (struct tree_job){ { tree_run, &group, NULL }, t->pool, t->depth - 1,
                                         t->leaves };
        pool_submit(t->pool, JOB_CANDIDATE, &children[i].job);
    }
    job_group_wait(&group);
}

static void jobs_may_wait_for_jobs_they_submit(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers < 4; workers++) {
        atomic_int leaves = 0;
        struct job_group group;
        struct pool *pool = pool_new(workers, "test");
        job_group_init(&group, pool);
        struct tree_job root = { { tree_run, &group, NULL }, pool, 5, &leaves };
        pool_submit(pool, JOB_CANDIDATE, &root.job);
        job_group_wait(&group);
        assert_int_equal(leaves, 243);
        pool_free(pool);
    }
}

static void free_run(struct job *job)
{
    atomic_int *count = ((struct count_job *)job)->count;
    free(job);
    atomic_fetch_add(count, 1);
}

static void a_job_may_free_itself(void **state)
{
    (void)state;
    atomic_int count = 0;
    struct job_group group;
    struct pool *pool = pool_new(2, "test");
    job_group_init(&group, pool);
    for (int i = 0; i < 500; i++) {
        struct count_job *job = xmalloc(sizeof(*job));
        *job = (struct count_job){ { free_run, &group, NULL }, &count };
        pool_submit(pool, JOB_MEMPOOL, &job->job);
    }
    job_group_wait(&group);
    assert_int_equal(count, 500);
    pool_free(pool);
}

struct submitter {
    struct pool *pool;
    int failures;
};

/* A group on the stack for each short wave: nothing may touch it after the wait. */
static void *submit_waves(void *arg)
{
    struct submitter *s = (struct submitter *)arg;
    for (int wave = 0; wave < 300; wave++) {
        atomic_int count = 0;
        struct job_group group;
        struct count_job jobs[8];
        job_group_init(&group, s->pool);
        for (int i = 0; i < 8; i++) {
            jobs[i] = (struct count_job){ { count_run, &group, NULL }, &count };
            pool_submit(s->pool, (enum job_priority)(wave % JOB_PRIORITIES), &jobs[i].job);
        }
        job_group_wait(&group);
        s->failures += count != 8;
    }
    return NULL;
}

static void several_threads_wait_for_groups_of_their_own(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers < 3; workers++) {
        struct pool *pool = pool_new(workers, "test");
        struct submitter submitters[4];
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            submitters[i] = (struct submitter){ pool, 0 };
            assert_int_equal(pthread_create(&threads[i], NULL, submit_waves, &submitters[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(submitters[i].failures, 0);
        }
        pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_returns_when_all_jobs_have_run),
        cmocka_unit_test(without_workers_waiting_runs_the_jobs),
        cmocka_unit_test(waiting_for_an_empty_group_returns_at_once),
        cmocka_unit_test(freeing_runs_what_is_queued),
        cmocka_unit_test(urgent_jobs_run_first_and_equal_ones_in_turn),
        cmocka_unit_test(waiting_until_some_are_left_leaves_them),
        cmocka_unit_test(waiting_does_not_take_up_jobs_of_lower_priority),
        cmocka_unit_test(jobs_may_wait_for_jobs_they_submit),
        cmocka_unit_test(a_job_may_free_itself),
        cmocka_unit_test(several_threads_wait_for_groups_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
