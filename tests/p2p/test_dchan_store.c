#include <config.h>

#include "p2p/dchan_store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "tests/test.h"

/* What completions said. */
struct told {
    unsigned good, bad;
    char order[8]; /* marks of those that were called */
};
struct mark {
    struct told *told;
    char name;
};

static void note(void *ctx, enum err rc, const struct error *e)
{
    const struct mark *m = ctx;
    if (rc)
        assert_int_equal(e->code, rc);
    m->told->order[m->told->good + m->told->bad] = m->name;
    *(rc ? &m->told->bad : &m->told->good) += 1;
}

static void count_wake(void *ctx) { atomic_fetch_add((atomic_int *)ctx, 1); }

static struct dchan_store *open_store(struct kv *kv, atomic_int *wakes)
{
    struct dchan_store *s;
    assert_int_equal(dchan_store_new(&s, kv, count_wake, wakes, NULL), OK);
    return s;
}

static void put(struct dchan_store *s, const char *key, const char *value, struct mark *m)
{
    struct dchan_write *w = dchan_write_new(s);
    dchan_write_put(w, key, strlen(key), value, strlen(value));
    dchan_store_commit(s, w, m ? note : NULL, m);
}

static void pause_a_moment(void)
{
    const struct timespec t = { 0, 1000000 };
    nanosleep(&t, NULL);
}

/* Until so many completions were called. */
static void poll_until(struct dchan_store *s, const struct told *told, unsigned n)
{
    while (told->good + told->bad < n) {
        dchan_store_poll(s);
        pause_a_moment();
    }
}

static void assert_value(struct kv *kv, const char *key, const char *expected)
{
    struct buf v;
    bool found;
    buf_init(&v);
    assert_int_equal(kv_get(kv, key, strlen(key), &v, &found, NULL), OK);
    assert_int_equal(found, expected != NULL);
    if (expected) {
        assert_int_equal(v.len, strlen(expected));
        assert_memory_equal(v.data, expected, v.len);
    }
    buf_clear(&v);
}

static void a_batch_is_there_when_its_completion_is_called(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct mark a = { &told, 'a' }, b = { &told, 'b' };
    struct dchan_store *s = open_store(kv_open_mem(), &wakes);
    put(s, "k1", "one", &a);
    poll_until(s, &told, 1);
    assert_value(dchan_store_kv(s), "k1", "one");
    struct dchan_write *w = dchan_write_new(s);
    dchan_write_delete(w, "k1", 2);
    dchan_write_put(w, "k2", 2, "", 0);
    dchan_store_commit(s, w, note, &b);
    poll_until(s, &told, 2);
    assert_value(dchan_store_kv(s), "k1", NULL);
    assert_value(dchan_store_kv(s), "k2", "");
    assert_int_equal(told.good, 2);
    assert_true(atomic_load(&wakes) >= 1);
    assert_int_equal(dchan_store_waiting(s), 0);
    dchan_store_free(s);
}

static void completions_come_in_the_order_of_commits(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct mark marks[5];
    struct dchan_store *s = open_store(kv_open_mem(), &wakes);
    for (int i = 0; i < 5; i++) {
        marks[i] = (struct mark){ &told, (char)('a' + i) };
        put(s, "same", &"12345"[i], &marks[i]);
    }
    poll_until(s, &told, 5);
    assert_string_equal(told.order, "abcde");
    assert_value(dchan_store_kv(s), "same", "5");
    dchan_store_free(s);
}

/* Also while the other thread has it in its hands, or has written it. */
static void a_commit_counts_as_waiting_until_its_completion_is_called(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct mark a = { &told, 'a' };
    struct dchan_store *s = open_store(kv_open_mem(), &wakes);
    put(s, "k", "value", &a);
    const size_t waiting = dchan_store_waiting(s);
    assert_true(waiting > 6);
    while (!atomic_load(&wakes)) {
        assert_int_equal(dchan_store_waiting(s), waiting);
        pause_a_moment();
    }
    assert_int_equal(dchan_store_waiting(s), waiting);
    poll_until(s, &told, 1);
    assert_int_equal(dchan_store_waiting(s), 0);
    dchan_store_free(s);
}

static void what_was_told_to_be_there_survives_a_power_cut(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct mark a = { &told, 'a' };
    struct kv *kv = kv_open_mem();
    struct dchan_store *s = open_store(kv, &wakes);
    put(s, "k", "v", &a);
    poll_until(s, &told, 1);
    kv_mem_power_cut(kv);
    assert_value(kv, "k", "v");
    dchan_store_free(s);
}

static void a_failure_reaches_whoever_asked(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct mark a = { &told, 'a' };
    struct kv *kv = kv_open_mem();
    struct dchan_store *s = open_store(kv, &wakes);
    kv_mem_fail_writes(kv, 1);
    put(s, "k", "v", &a);
    poll_until(s, &told, 1);
    assert_int_equal(told.bad, 1);
    kv_mem_fail_writes(kv, 0);
    assert_value(kv, "k", NULL);
    dchan_store_free(s);
}

struct again {
    struct dchan_store *store;
    struct mark mark;
    enum err rc;
};
static void commit_again(void *ctx, enum err rc, const struct error *e)
{
    struct again *a = ctx;
    note(&a->mark, rc, e);
    put(a->store, "late", "v", &(struct mark){ a->mark.told, 'z' });
}

static void closing_writes_what_waits_and_refuses_what_comes_after(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct told told = { 0 };
    struct again a = { open_store(kv_open_mem(), &wakes), { &told, 'a' }, OK };
    struct dchan_write *w = dchan_write_new(a.store);
    dchan_write_put(w, "k", 1, "v", 1);
    dchan_store_commit(a.store, w, commit_again, &a);
    dchan_store_free(a.store);
    assert_string_equal(told.order, "az");
    assert_int_equal(told.good, 1);
    assert_int_equal(told.bad, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_there_when_its_completion_is_called),
        cmocka_unit_test(completions_come_in_the_order_of_commits),
        cmocka_unit_test(a_commit_counts_as_waiting_until_its_completion_is_called),
        cmocka_unit_test(what_was_told_to_be_there_survives_a_power_cut),
        cmocka_unit_test(a_failure_reaches_whoever_asked),
        cmocka_unit_test(closing_writes_what_waits_and_refuses_what_comes_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
