/*
 * Delays of announcements, and what they are worth (attacks D12): a network in which a spy is
 * connected to every node and takes who tells it first for the origin.
 */
#include <stdlib.h>

#include "base/rand.h"
#include "node/trickle.h"
#include "tests/fixed_rand.h"
#include "tests/test.h"

static void without_a_mean_there_is_no_delay(void **state)
{
    (void)state;
    struct trickle t = { .mean_ms = 0 };
    assert_int_equal(trickle_next(&t, false, 1000), 1000);
    assert_int_equal(trickle_next(&t, true, 1000), 1000);
}

static void delays_of_outbound_peers_are_independent_with_the_mean_asked_for(void **state)
{
    (void)state;
    struct trickle t = { .mean_ms = 150 };
    const int n = 20000;
    int64_t sum = 0;
    int beyond = 0;
    for (int i = 0; i < n; i++) {
        const int64_t d = trickle_next(&t, false, 5000) - 5000;
        assert_true(d >= 0);
        sum += d;
        beyond += d > 150;
    }
    assert_in_range(sum / n, 140, 160);
    assert_in_range(beyond * 100 / n, 34, 39); /* 1/e of an exponential distribution */
}

static void all_inbound_peers_share_the_moment(void **state)
{
    (void)state;
    struct trickle t = { .mean_ms = 150 };
    const int64_t due = trickle_next(&t, true, 5000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(trickle_next(&t, true, due - 1), due);
    assert_true(trickle_next(&t, true, due + 1) > due);
}

/* --- the network --- */

#define NODES 200
#define OUTBOUND 8
#define HOP_MS 20     /* of the way */
#define SAMPLES 400
#define HOLD_MS 1000  /* own transactions go to two outbound peers first */
#define FIRST_PEERS 2

struct world {
    int out[NODES][OUTBOUND];
    int64_t has[NODES];      /* when it got the transaction, INT64_MAX: not yet */
    int64_t told_spy[NODES]; /* when its inbound round reaches the spy */
};

static void connect_nodes(struct world *w)
{
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < OUTBOUND; k++)
            w->out[i][k] = (int)rand_below(NODES);
}

static int next_node(const struct world *w, const bool *done)
{
    int best = -1;
    for (int i = 0; i < NODES; i++)
        if (!done[i] && w->has[i] < INT64_MAX && (best < 0 || w->has[i] < w->has[best]))
            best = i;
    return best;
}

static void hear(struct world *w, int node, int64_t when)
{
    if (when < w->has[node])
        w->has[node] = when;
}

/* A node tells its peers; all that are connected to it, the spy among them, in one round. */
static void tell_all(struct world *w, int node, int64_t now, int64_t mean)
{
    struct trickle t = { .mean_ms = mean };
    for (int k = 0; k < OUTBOUND; k++)
        hear(w, w->out[node][k], trickle_next(&t, false, now) + HOP_MS);
    const int64_t round = trickle_next(&t, true, now);
    w->told_spy[node] = round + HOP_MS;
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < OUTBOUND; k++)
            if (w->out[i][k] == node)
                hear(w, i, round + HOP_MS);
}

static int first_spy_guess(struct world *w, int origin, int64_t mean, bool hold)
{
    bool done[NODES] = { false };
    for (int i = 0; i < NODES; i++)
        w->has[i] = w->told_spy[i] = INT64_MAX;
    int64_t start = 0;
    done[origin] = true;
    w->has[origin] = 0;
    if (hold) {
        struct trickle t = { .mean_ms = mean };
        for (int k = 0; k < FIRST_PEERS; k++)
            hear(w, w->out[origin][rand_below(OUTBOUND)], trickle_next(&t, false, 0) + HOP_MS);
        start = (int64_t)rand_exp(HOLD_MS);
    }
    tell_all(w, origin, start, mean);
    for (int node; (node = next_node(w, done)) >= 0;) {
        done[node] = true;
        tell_all(w, node, w->has[node], mean);
    }
    int guess = 0;
    for (int i = 0; i < NODES; i++)
        if (w->told_spy[i] < w->told_spy[guess])
            guess = i;
    return guess;
}

static int success_percent(int64_t mean, bool hold)
{
    static struct world w;
    int right = 0;
    for (int i = 0; i < SAMPLES; i++) {
        if (i % 40 == 0)
            connect_nodes(&w);
        const int origin = (int)rand_below(NODES);
        right += first_spy_guess(&w, origin, mean, hold) == origin;
    }
    return right * 100 / SAMPLES;
}

static void attack_D12_the_first_to_tell_a_spy_is_seldom_the_origin(void **state)
{
    (void)state;
    const int off = success_percent(0, false);
    const int delays = success_percent(150, false);
    const int both = success_percent(150, true);
    print_message("first-spy estimator right: without delays %d %%, with delays %d %%, with own "
                  "transactions held too %d %%\n", off, delays, both);
    assert_true(off > 90);
    assert_true(delays < off / 2);
    assert_true(both < 25 && both < delays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_mean_there_is_no_delay),
        cmocka_unit_test(delays_of_outbound_peers_are_independent_with_the_mean_asked_for),
        cmocka_unit_test(all_inbound_peers_share_the_moment),
        cmocka_unit_test(attack_D12_the_first_to_tell_a_spy_is_seldom_the_origin),
    };
    return cmocka_run_group_tests(tests, fixed_rand_begin, fixed_rand_end);
}
