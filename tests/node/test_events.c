#include <event2/thread.h>
#include <pthread.h>

#include "node/events.h"
#include "tests/test.h"

#define THREADS 4
#define EVENTS_EACH 1000

struct seen {
    struct event_base *base;
    uint64_t last[THREADS + 1];
    size_t n;
};

static void note(void *ctx, const struct node_event *ev)
{
    struct seen *seen = ctx;
    const uint64_t thread = ev->source / 1000000, number = ev->source % 1000000;
    assert_int_equal(seen->last[thread] + 1, number); /* in order for each sender */
    seen->last[thread] = number;
    if (++seen->n == THREADS * EVENTS_EACH)
        event_base_loopbreak(seen->base);
}

struct sender {
    struct node_events *events;
    uint64_t thread;
};

static void *post_many(void *arg)
{
    const struct sender *s = arg;
    for (uint64_t i = 1; i <= EVENTS_EACH; i++)
        node_events_post(s->events, &(struct node_event){ .kind = EVENT_INTAKE_DRAINED,
                                                          .source = s->thread * 1000000 + i });
    return NULL;
}

static void events_of_all_threads_arrive_in_order_and_none_is_lost(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct sender senders[THREADS];
    struct seen seen = { .n = 0 };
    assert_int_equal(evthread_use_pthreads(), 0);
    seen.base = event_base_new();
    struct node_events *events = node_events_new(seen.base, note, &seen);
    for (size_t i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){ events, i };
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &senders[i]), 0);
    }
    event_base_loop(seen.base, EVLOOP_NO_EXIT_ON_EMPTY);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen.n, THREADS * EVENTS_EACH);
    node_events_free(events);
    event_base_free(seen.base);
}

static void events_nobody_picked_up_are_dropped_at_the_end(void **state)
{
    (void)state;
    struct seen seen = { .base = event_base_new() };
    struct node_events *events = node_events_new(seen.base, note, &seen);
    node_events_post(events, &(struct node_event){ .kind = EVENT_STOP });
    node_events_free(events);
    assert_int_equal(seen.n, 0);
    event_base_free(seen.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_all_threads_arrive_in_order_and_none_is_lost),
        cmocka_unit_test(events_nobody_picked_up_are_dropped_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
