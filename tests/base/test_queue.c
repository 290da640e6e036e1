#include <config.h>

#include "base/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "tests/test.h"

struct item {
    struct queue_node node; /* first, so that the cast back is plain */
    int sender, number;
};

static void pause_ms(long ms)
{
    const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void count_wake(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void items_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct item items[3] = { 0 };
    struct queue *q = queue_new(0, 0, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        items[i].node.bytes = 10;
        assert_true(queue_push(q, &items[i].node));
    }
    assert_int_equal(queue_items(q), 3);
    assert_int_equal(queue_bytes(q), 30);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(queue_pop(q), &items[i].node);
    assert_null(queue_pop(q));
    assert_int_equal(queue_items(q), 0);
    assert_int_equal(queue_bytes(q), 0);
    queue_free(q);
}

static void full_queue_refuses_by_items(void **state)
{
    (void)state;
    struct item items[3] = { 0 };
    struct queue *q = queue_new(2, 0, NULL, NULL);
    assert_true(queue_push(q, &items[0].node));
    assert_true(queue_push(q, &items[1].node));
    assert_false(queue_push(q, &items[2].node));
    assert_int_equal(queue_items(q), 2);
    assert_true(queue_push_always(q, &items[2].node));
    assert_int_equal(queue_items(q), 3);
    while (queue_pop(q))
        continue;
    queue_free(q);
}

static void full_queue_refuses_by_bytes_but_takes_one_large_node_when_empty(void **state)
{
    (void)state;
    struct item small = { .node.bytes = 40 }, large = { .node.bytes = 1000 };
    struct item exact = { .node.bytes = 60 };
    struct queue *q = queue_new(0, 100, NULL, NULL);
    assert_true(queue_push(q, &small.node));
    assert_false(queue_push(q, &large.node));
    assert_true(queue_push(q, &exact.node));
    while (queue_pop(q))
        continue;
    assert_true(queue_push(q, &large.node));
    assert_false(queue_push(q, &small.node));
    assert_ptr_equal(queue_pop(q), &large.node);
    queue_free(q);
}

static void wake_is_called_once_for_each_time_the_queue_fills(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct item items[3] = { 0 };
    struct queue *q = queue_new(0, 0, count_wake, &wakes);
    assert_true(queue_push(q, &items[0].node));
    assert_true(queue_push_always(q, &items[1].node));
    assert_int_equal(wakes, 1);
    assert_non_null(queue_pop(q));
    assert_non_null(queue_pop(q));
    assert_true(queue_push_wait(q, &items[2].node));
    assert_int_equal(wakes, 2);
    assert_non_null(queue_pop(q));
    queue_free(q);
}

static struct queue *reentered;

static void look_into_queue(void *ctx)
{
    *(size_t *)ctx = queue_items(reentered);
}

static void wake_may_use_the_queue(void **state)
{
    (void)state;
    size_t seen = 0;
    struct item item = { 0 };
    reentered = queue_new(0, 0, look_into_queue, &seen);
    assert_true(queue_push(reentered, &item.node));
    assert_int_equal(seen, 1);
    assert_non_null(queue_pop(reentered));
    queue_free(reentered);
}

static void waiting_pop_gives_up_after_its_time(void **state)
{
    (void)state;
    struct queue *q = queue_new(0, 0, NULL, NULL);
    int64_t start = clock_mono_ms();
    assert_null(queue_pop_wait(q, 30));
    int64_t took = clock_mono_ms() - start;
    assert_true(took >= 29 && took < 5000);
    assert_null(queue_pop_wait(q, 0));
    queue_free(q);
}

static void closed_queue_refuses_all_pushes_but_gives_what_it_has(void **state)
{
    (void)state;
    struct item a = { 0 }, b = { 0 };
    struct queue *q = queue_new(1, 0, NULL, NULL);
    assert_true(queue_push(q, &a.node));
    queue_close(q);
    assert_false(queue_push(q, &b.node));
    assert_false(queue_push_wait(q, &b.node));
    assert_false(queue_push_always(q, &b.node));
    assert_ptr_equal(queue_pop_wait(q, -1), &a.node);
    assert_null(queue_pop_wait(q, -1));
    queue_free(q);
}

struct push_arg {
    struct queue *q;
    struct item item;
    atomic_int result; /* -1 while running */
};

static void *push_one(void *arg)
{
    struct push_arg *p = (struct push_arg *)arg;
    atomic_store(&p->result, queue_push_wait(p->q, &p->item.node));
    return NULL;
}

/* A full queue, and a thread that waits to push into it. */
static pthread_t start_blocked_push(struct push_arg *p, struct item *first)
{
    pthread_t thread;
    *p = (struct push_arg){ .q = queue_new(1, 0, NULL, NULL), .result = -1 };
    assert_true(queue_push(p->q, &first->node));
    assert_int_equal(pthread_create(&thread, NULL, push_one, p), 0);
    pause_ms(20);
    assert_int_equal(p->result, -1);
    return thread;
}

static void waiting_push_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct item first = { 0 };
    struct push_arg p;
    pthread_t thread = start_blocked_push(&p, &first);
    assert_ptr_equal(queue_pop(p.q), &first.node);
    pthread_join(thread, NULL);
    assert_int_equal(p.result, 1);
    assert_ptr_equal(queue_pop(p.q), &p.item.node);
    queue_free(p.q);
}

static void closing_ends_a_waiting_push(void **state)
{
    (void)state;
    struct item first = { 0 };
    struct push_arg p;
    pthread_t thread = start_blocked_push(&p, &first);
    queue_close(p.q);
    pthread_join(thread, NULL);
    assert_int_equal(p.result, 0);
    assert_ptr_equal(queue_pop(p.q), &first.node);
    queue_free(p.q);
}

enum { SENDERS = 4, EACH = 5000 };

struct sender {
    struct queue *q;
    struct item *items;
    int refused;
};

static void *send_all(void *arg)
{
    struct sender *s = (struct sender *)arg;
    for (int i = 0; i < EACH; i++)
        s->refused += !queue_push_wait(s->q, &s->items[i].node);
    return NULL;
}

static void many_senders_lose_nothing_and_keep_their_own_order(void **state)
{
    (void)state;
    static struct item items[SENDERS][EACH];
    struct queue *q = queue_new(64, 4096, NULL, NULL);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    int next[SENDERS] = { 0 };
    for (int s = 0; s < SENDERS; s++) {
        for (int i = 0; i < EACH; i++)
            items[s][i] = (struct item){ .node.bytes = (size_t)(i % 200), .sender = s,
                                         .number = i };
        senders[s] = (struct sender){ q, items[s], 0 };
        assert_int_equal(pthread_create(&threads[s], NULL, send_all, &senders[s]), 0);
    }
    for (int n = 0; n < SENDERS * EACH; n++) {
        struct item *item = (struct item *)queue_pop_wait(q, 20000);
        assert_non_null(item);
        assert_int_equal(item->number, next[item->sender]);
        next[item->sender]++;
    }
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(threads[s], NULL);
        assert_int_equal(senders[s].refused, 0);
    }
    assert_int_equal(queue_bytes(q), 0);
    queue_free(q);
}

static void *push_last(void *arg)
{
    static struct item item;
    struct queue *q = arg;
    assert_true(queue_push_always(q, &item.node));
    return NULL;
}

/* The sender may still be about to signal when the receiver has what it came for. */
static void the_receiver_may_free_the_queue_with_its_last_node(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        pthread_t sender;
        struct queue *q = queue_new(0, 0, NULL, NULL);
        assert_int_equal(pthread_create(&sender, NULL, push_last, q), 0);
        assert_non_null(queue_pop_wait(q, -1));
        queue_free(q);
        pthread_join(sender, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(full_queue_refuses_by_items),
        cmocka_unit_test(full_queue_refuses_by_bytes_but_takes_one_large_node_when_empty),
        cmocka_unit_test(wake_is_called_once_for_each_time_the_queue_fills),
        cmocka_unit_test(wake_may_use_the_queue),
        cmocka_unit_test(waiting_pop_gives_up_after_its_time),
        cmocka_unit_test(closed_queue_refuses_all_pushes_but_gives_what_it_has),
        cmocka_unit_test(waiting_push_goes_on_when_there_is_room),
        cmocka_unit_test(closing_ends_a_waiting_push),
        cmocka_unit_test(the_receiver_may_free_the_queue_with_its_last_node),
        cmocka_unit_test(many_senders_lose_nothing_and_keep_their_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
