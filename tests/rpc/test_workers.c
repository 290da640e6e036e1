#include "rpc/workers.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/test.h"

struct task {
    struct work work; /* first */
    sem_t *begin, *end; /* NULL: at once */
    atomic_uint *done;
};

static void run(struct work *w, struct buf *scratch)
{
    struct task *t = (struct task *)w;
    buf_put_u8(scratch, 1);
    if (t->begin)
        sem_post(t->begin);
    if (t->end)
        sem_wait(t->end);
    atomic_fetch_add(t->done, 1);
}

/* Two threads, three places in the queue: five are taken, the sixth is not. */
static void threads_and_queue_are_bounded(void **state)
{
    (void)state;
    struct task tasks[6];
    sem_t begin, end;
    atomic_uint done = 0;
    sem_init(&begin, 0, 0);
    sem_init(&end, 0, 0);
    struct workers *w = workers_new(2, 3);
    for (int i = 0; i < 6; i++)
        tasks[i] = (struct task){ { .run = run }, &begin, &end, &done };
    assert_true(workers_push(w, &tasks[0].work));
    assert_true(workers_push(w, &tasks[1].work));
    sem_wait(&begin);
    sem_wait(&begin);
    for (int i = 2; i < 5; i++)
        assert_true(workers_push(w, &tasks[i].work));
    assert_false(workers_push(w, &tasks[5].work));
    for (int i = 0; i < 5; i++)
        sem_post(&end);
    workers_stop(w);
    assert_int_equal(atomic_load(&done), 5);
    assert_false(workers_push(w, &tasks[5].work));
    workers_free(w);
    sem_destroy(&begin);
    sem_destroy(&end);
}

static void without_a_queue_a_free_thread_is_needed(void **state)
{
    (void)state;
    sem_t begin, end;
    atomic_uint done = 0;
    sem_init(&begin, 0, 0);
    sem_init(&end, 0, 0);
    struct workers *w = workers_new(1, 0);
    struct task a = { { .run = run }, &begin, &end, &done }, b = a;
    assert_true(workers_push(w, &a.work));
    assert_false(workers_push(w, &b.work)); /* whether the thread has begun or not */
    sem_wait(&begin);
    assert_false(workers_push(w, &b.work));
    sem_post(&end);
    while (!workers_push(w, &b.work))
        sched_yield();
    sem_post(&end);
    workers_stop(w);
    assert_int_equal(atomic_load(&done), 2);
    workers_free(w);
    sem_destroy(&begin);
    sem_destroy(&end);
}

static void many_pieces_of_work_are_all_done(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct task *tasks = calloc(N, sizeof *tasks);
    atomic_uint done = 0;
    struct workers *w = workers_new(4, 10);
    for (int i = 0; i < N; i++) {
        tasks[i] = (struct task){ { .run = run }, NULL, NULL, &done };
        while (!workers_push(w, &tasks[i].work))
            sched_yield();
    }
    workers_stop(w);
    assert_int_equal(atomic_load(&done), N);
    workers_free(w);
    free(tasks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_queue_are_bounded),
        cmocka_unit_test(without_a_queue_a_free_thread_is_needed),
        cmocka_unit_test(many_pieces_of_work_are_all_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
