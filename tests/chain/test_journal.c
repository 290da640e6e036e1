#include <config.h>

#include "chain/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/chain/pool_util.h"

#define TIP ((struct header_node *)(void *)&tip_stands_here)
static int tip_stands_here;

static struct journal *settled_journal(void)
{
    struct journal *j = journal_new();
    journal_settle(j, TIP);
    return j;
}

/* Adds one that is on its own and gives the reference away; its number. */
static uint64_t journal_put(struct journal *j, struct tx *tx, int64_t fee)
{
    const struct journal_entry e = { .tx = tx, .fee = fee };
    journal_begin(j);
    const uint64_t number = journal_add(j, &e, 1);
    journal_end(j);
    tx_unref(tx);
    return number;
}

static void journal_drop(struct journal *j, uint64_t number)
{
    journal_begin(j);
    journal_remove(j, number);
    journal_end(j);
}

/* Numbers along a snapshot; returns how many. */
static size_t numbers_in(const struct journal_snapshot *s, uint64_t *numbers, size_t max)
{
    struct journal_place at = { 0 };
    const struct journal_entry *e;
    size_t n = 0;
    while ((e = journal_next(s, &at))) {
        assert_true(n < max);
        numbers[n++] = e->number;
    }
    return n;
}

static void numbers_rise_and_totals_add_up(void **state)
{
    (void)state;
    struct journal *j = settled_journal();
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        struct tx *tx = pool_child(NULL, i, 1, 80 + i % 7);
        bytes += tx->raw.len;
        assert_int_equal(journal_put(j, tx, i), i + 1);
    }
    struct journal_snapshot *s = journal_take(j, 0);
    struct journal_place at = { 0 };
    const struct journal_entry *e;
    uint64_t expected = 1;
    for (; (e = journal_next(s, &at)); expected++) {
        assert_int_equal(e->number, expected);
        assert_int_equal(e->fee, expected - 1);
        assert_int_equal(e->group, 0);
    }
    assert_int_equal(expected, 3001);
    assert_null(journal_next(s, &at));
    assert_int_equal(s->totals.count, 3000);
    assert_int_equal(s->totals.bytes, bytes);
    assert_int_equal(s->totals.fees, 3000 * 2999 / 2);
    assert_ptr_equal(s->tip, TIP);
    journal_snapshot_unref(s);
    journal_free(j);
}

static void members_of_a_unit_share_a_group(void **state)
{
    (void)state;
    struct journal *j = settled_journal();
    struct tx *a = pool_child(NULL, 1, 1, 80), *b = pool_child(a, 0, 1, 80);
    const struct journal_entry unit[] = { { .tx = a, .sigops = 3 }, { .tx = b, .fee = 9 } };
    journal_put(j, pool_child(NULL, 3, 1, 80), 5);
    journal_begin(j);
    assert_int_equal(journal_add(j, unit, 2), 2);
    journal_end(j);
    struct journal_snapshot *s = journal_take(j, 0);
    struct journal_place at = { 0 };
    assert_int_equal(journal_next(s, &at)->group, 0);
    const struct journal_entry *first = journal_next(s, &at), *second = journal_next(s, &at);
    assert_ptr_equal(first->tx, a);
    assert_ptr_equal(second->tx, b);
    assert_true(first->group != 0 && first->group == second->group);
    assert_int_equal(s->totals.sigops, 3);
    journal_snapshot_unref(s);
    journal_free(j);
    tx_unref(a);
    tx_unref(b);
}

static void a_snapshot_sees_neither_what_leaves_nor_what_comes_later(void **state)
{
    (void)state;
    struct journal *j = settled_journal();
    uint64_t seen[8];
    for (uint32_t i = 0; i < 4; i++)
        journal_put(j, pool_child(NULL, i, 1, 80), 1);
    struct journal_snapshot *old = journal_take(j, 0);
    journal_begin(j);
    journal_remove(j, 2);
    journal_set_fee_delta(j, 3, 77);
    journal_end(j);
    journal_put(j, pool_child(NULL, 9, 1, 80), 1);
    assert_int_equal(numbers_in(old, seen, 8), 4);
    struct journal_place at = { 0 };
    for (uint32_t i = 0; i < 4; i++) {
        const struct journal_entry *e = journal_next(old, &at);
        struct tx *same = pool_child(NULL, i, 1, 80);
        assert_memory_equal(e->tx->id.b, same->id.b, 32); /* alive though the journal let it go */
        assert_int_equal(e->fee_delta, 0);
        tx_unref(same);
    }
    struct journal_snapshot *now = journal_take(j, 0);
    assert_int_equal(numbers_in(now, seen, 8), 4);
    assert_int_equal(seen[1], 3);
    assert_int_equal(seen[3], 5);
    assert_true(now->revision != old->revision);
    assert_int_equal(now->totals.count, 4);
    journal_snapshot_unref(old);
    journal_snapshot_unref(now);
    journal_free(j);
}

static void a_place_goes_on_in_a_later_snapshot_of_the_same_revision(void **state)
{
    (void)state;
    struct journal *j = settled_journal();
    struct journal_place at = { 0 };
    uint64_t expected = 1;
    uint32_t seed = 0;
    for (size_t round = 0; round < 300; round++) {
        for (size_t i = 0; i < round % 11; i++)
            journal_put(j, pool_child(NULL, seed++, 1, 80), 1);
        struct journal_snapshot *s = journal_take(j, 0);
        const struct journal_entry *e;
        while ((e = journal_next(s, &at)))
            assert_int_equal(e->number, expected++);
        assert_int_equal(expected, s->next_number);
        assert_int_equal(s->revision, 0);
        journal_snapshot_unref(s);
    }
    journal_free(j);
}

static void few_that_stay_do_not_hold_the_memory_of_those_that_left(void **state)
{
    (void)state;
    struct journal *j = settled_journal();
    struct journal_stats stats;
    uint64_t seen[128];
    const uint32_t n = 50000;
    for (uint32_t i = 0; i < n; i++)
        journal_put(j, pool_child(NULL, i, 1, 80), 1);
    journal_get_stats(j, &stats);
    const size_t full = stats.memory;
    for (uint64_t number = 1; number <= n; number++)
        if (number % 500 != 0)
            journal_drop(j, number);
    journal_get_stats(j, &stats);
    assert_int_equal(stats.totals.count, n / 500);
    assert_true(stats.memory < full / 50);
    struct journal_snapshot *s = journal_take(j, 0);
    assert_int_equal(numbers_in(s, seen, 128), n / 500);
    for (size_t i = 0; i < n / 500; i++)
        assert_int_equal(seen[i], 500 * (i + 1));
    journal_snapshot_unref(s);
    journal_free(j);
}

/* Any history leaves what a plain list would, and snapshots of any moment stay what they were. */
static void random_histories_equal_a_plain_list(void **state)
{
    (void)state;
    enum { MOST = 4000, KEPT = 16 };
    struct journal *j = settled_journal();
    uint64_t *list = xmalloc(MOST * sizeof(*list)), *copy[KEPT] = { NULL }, *seen;
    struct journal_snapshot *kept[KEPT] = { NULL };
    size_t n = 0, n_copy[KEPT] = { 0 };
    uint64_t random = 12345;
    seen = xmalloc(MOST * sizeof(*seen));
    for (uint32_t step = 0; step < 60000; step++) {
        const uint64_t r = pool_draw(&random, UINT32_MAX);
        const bool grow = (step / 6000) % 2 == 0 ? r % 3 != 0 : r % 3 == 0; /* in waves */
        if (n < MOST && (grow || n == 0)) {
            list[n++] = journal_put(j, pool_child(NULL, step, 1, 80), 1);
        } else {
            const size_t at = (size_t)(r / 3 % n);
            journal_drop(j, list[at]);
            memmove(list + at, list + at + 1, (--n - at) * sizeof(*list));
        }
        if (r % 97 != 0)
            continue;
        const size_t slot = (size_t)(r / 97 % KEPT);
        if (kept[slot]) {
            assert_int_equal(numbers_in(kept[slot], seen, MOST), n_copy[slot]);
            assert_memory_equal(seen, copy[slot], n_copy[slot] * sizeof(*seen));
            journal_snapshot_unref(kept[slot]);
        }
        kept[slot] = journal_take(j, 0);
        assert_int_equal(kept[slot]->totals.count, n);
        copy[slot] = xrealloc(copy[slot], (n + 1) * sizeof(*list));
        memcpy(copy[slot], list, n * sizeof(*list));
        n_copy[slot] = n;
    }
    for (size_t i = 0; i < KEPT; i++) {
        journal_snapshot_unref(kept[i]);
        free(copy[i]);
    }
    journal_free(j);
    free(list);
    free(seen);
}

static void snapshots_wait_until_the_journal_is_settled(void **state)
{
    (void)state;
    struct journal *j = journal_new();
    assert_null(journal_take(j, 10)); /* no tip yet */
    journal_settle(j, TIP);
    struct journal_snapshot *s = journal_take(j, 0);
    assert_non_null(s);
    journal_snapshot_unref(s);
    journal_unsettle(j);
    assert_null(journal_take(j, 10));
    journal_free(j);
}

static void *settle_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    journal_settle(arg, TIP);
    return NULL;
}

static void who_waits_is_woken(void **state)
{
    (void)state;
    struct journal *j = journal_new();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, settle_later, j), 0);
    const int64_t start = clock_mono_ms();
    struct journal_snapshot *s = journal_take(j, 30000);
    assert_non_null(s);
    assert_true(clock_mono_ms() - start < 20000);
    journal_snapshot_unref(s);
    pthread_join(thread, NULL);
    journal_free(j);
}

struct watcher {
    struct journal *j;
    atomic_bool stop;
    size_t rounds;
};

static void *read_snapshots(void *arg)
{
    struct watcher *r = arg;
    while (!atomic_load(&r->stop)) {
        struct journal_snapshot *s = journal_take(r->j, 1000);
        struct journal_place at = { 0 };
        const struct journal_entry *e;
        uint64_t last = 0, count = 0, bytes = 0;
        while ((e = journal_next(s, &at))) {
            if (e->number <= last)
                return NULL;
            last = e->number;
            count++;
            bytes += e->tx->raw.len;
        }
        if (count != s->totals.count || bytes != s->totals.bytes)
            return NULL;
        journal_snapshot_unref(s);
        r->rounds++;
    }
    return r;
}

static void readers_and_the_writer_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct watcher r = { .j = settled_journal() };
    pthread_t thread;
    atomic_init(&r.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, read_snapshots, &r), 0);
    for (uint32_t i = 0; i < 20000; i++) {
        const uint64_t number = journal_put(r.j, pool_child(NULL, i, 1, 80), 1);
        if (number > 700)
            journal_drop(r.j, number - 700);
    }
    atomic_store(&r.stop, true);
    void *result;
    pthread_join(thread, &result);
    assert_ptr_equal(result, &r); /* every snapshot was whole */
    journal_free(r.j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_rise_and_totals_add_up),
        cmocka_unit_test(members_of_a_unit_share_a_group),
        cmocka_unit_test(a_snapshot_sees_neither_what_leaves_nor_what_comes_later),
        cmocka_unit_test(a_place_goes_on_in_a_later_snapshot_of_the_same_revision),
        cmocka_unit_test(few_that_stay_do_not_hold_the_memory_of_those_that_left),
        cmocka_unit_test(random_histories_equal_a_plain_list),
        cmocka_unit_test(snapshots_wait_until_the_journal_is_settled),
        cmocka_unit_test(who_waits_is_woken),
        cmocka_unit_test(readers_and_the_writer_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
