#include "node/event_log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/test.h"

/* What a log under test keeps for its files: how many events there were. */
struct fixture {
    char *dir, *path;
    struct event_log *log;
    uint64_t account;          /* events said so far, kept through replay */
    uint64_t replayed;         /* records handed over by the last replay */
    uint64_t limit, segment;
};

static void store(void *ctx, struct buf *out)
{
    const struct fixture *f = ctx;
    buf_put_le64(out, f->account);
}

static enum err take_state(void *ctx, struct span state, struct error *e)
{
    (void)e;
    struct fixture *f = ctx;
    f->account = state.len ? le64_get(state.data) : 0;
    f->replayed = 0;
    return OK;
}

static enum err take_record(void *ctx, const struct event_record *r, struct error *e)
{
    struct fixture *f = ctx;
    if (r->number != f->account + 1)
        return error_set(e, ERR_CORRUPT, "number");
    f->account++;
    f->replayed++;
    return OK;
}

static struct event_replayer replayer(struct fixture *f)
{
    return (struct event_replayer){ take_state, take_record, f };
}

static enum err try_open(struct fixture *f, struct error *e)
{
    const struct event_log_options o = { .dir = f->path, .max_bytes = f->limit,
                                         .segment_bytes = f->segment, .store = store, .ctx = f };
    const struct event_replayer r = replayer(f);
    return event_log_open(&f->log, &o, &r, e);
}

static void open_log(struct fixture *f)
{
    struct error e = { .code = OK };
    if (try_open(f, &e))
        fail_msg("%s", e.text);
}

static void close_log(struct fixture *f)
{
    assert_int_equal(event_log_close(f->log, NULL), OK);
    f->log = NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "events");
    f->limit = 1 << 20;
    open_log(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->log)
        close_log(f);
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void say(struct fixture *f, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct event_record r = { .type = LOGGED_TX_ACCEPTED };
        le64_put(r.v[TX_ID].hash, f->account + 1);
        event_log_append(f->log, &r);
        f->account++;
    }
    assert_int_equal(event_log_commit(f->log, NULL), OK);
}

/* --- reading back --- */

struct taken { uint64_t next, stop_at; };

static enum err take(void *ctx, const struct event_record *r, struct error *e)
{
    struct taken *t = ctx;
    if (r->number == t->stop_at)
        return ERR_CANCELLED;
    if (r->number != t->next || le64_get(r->v[TX_ID].hash) != t->next)
        return error_set(e, ERR_PARSE, "event %llu came where %llu was due",
                         (unsigned long long)r->number, (unsigned long long)t->next);
    t->next++;
    return OK;
}

/* Reads from a number to the end; returns how many. */
static uint64_t read_all(struct fixture *f, uint64_t from)
{
    struct event_reader *r;
    struct taken t = { .next = from };
    uint64_t n;
    assert_int_equal(event_reader_open(f->log, from, &r, NULL), OK);
    do
        assert_int_equal(event_reader_next(r, take, &t, &n, NULL), OK);
    while (n);
    event_reader_close(r);
    return t.next - from;
}

static struct event_log_info info(struct fixture *f)
{
    struct event_log_info i;
    event_log_get_info(f->log, &i);
    return i;
}

static void events_are_read_from_any_number(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(info(f).next, 1);
    assert_int_equal(read_all(f, 1), 0);
    say(f, 1000);
    for (uint64_t from = 1; from <= 1001; from += 50)
        assert_int_equal(read_all(f, from), 1001 - from);
    struct event_reader *r;
    assert_int_equal(event_reader_open(f->log, 1002, &r, NULL), ERR_RANGE);
    assert_int_equal(event_reader_open(f->log, 0, &r, NULL), OK); /* from the first there is */
    event_reader_close(r);
    close_log(f);
    open_log(f);
    assert_int_equal(f->account, 1000);
    assert_int_equal(info(f).next, 1001);
    assert_int_equal(read_all(f, 1), 1000);
    say(f, 5);
    assert_int_equal(read_all(f, 999), 7);
}

static void what_is_not_committed_is_not_seen(void **state)
{
    struct fixture *f = *state;
    struct event_record r = { .type = LOGGED_TX_ACCEPTED };
    event_log_append(f->log, &r);
    assert_int_equal(info(f).next, 1);
    assert_int_equal(read_all(f, 1), 0);
    assert_true(event_log_uncommitted(f->log) > 0);
}

static uint64_t folder_bytes(struct fixture *f) { return info(f).bytes; }

static void the_oldest_files_go_when_the_limit_is_reached(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    f->limit = 60000;
    f->segment = 5000;
    open_log(f);
    for (int i = 0; i < 300; i++) {
        say(f, 7);
        assert_true(folder_bytes(f) <= f->limit + f->segment + 1000);
    }
    struct event_log_info i = info(f);
    assert_int_equal(i.next, 2101);
    assert_true(i.oldest > 1000 && i.oldest < 2000);
    assert_int_equal(read_all(f, i.oldest), 2101 - i.oldest);
    struct event_reader *r;
    assert_int_equal(event_reader_open(f->log, i.oldest - 1, &r, NULL), ERR_NOTFOUND);
    close_log(f);
    open_log(f);
    assert_int_equal(f->account, 2100); /* state of the newest file and its records */
    assert_true(f->replayed < 200);
    assert_int_equal(info(f).oldest, i.oldest);
    const struct event_replayer whole = replayer(f);
    assert_int_equal(event_log_replay_whole(f->log, &whole, NULL), OK);
    assert_int_equal(f->account, 2100);
    assert_int_equal(f->replayed, 2101 - i.oldest);
}

static void a_reader_that_is_too_slow_is_told(void **state)
{
    struct fixture *f = *state;
    struct event_reader *r;
    struct taken t = { .next = 1, .stop_at = 10 };
    uint64_t n;
    close_log(f);
    f->limit = 20000;
    f->segment = 4000;
    open_log(f);
    say(f, 20);
    assert_int_equal(event_reader_open(f->log, 1, &r, NULL), OK);
    assert_int_equal(event_reader_next(r, take, &t, &n, NULL), ERR_CANCELLED);
    assert_int_equal(n, 9);
    say(f, 20);
    for (int i = 0; i < 100; i++)
        say(f, 20);
    t.stop_at = 0;
    /* its own file can still be read to the end, but then there is a gap */
    assert_int_equal(event_reader_next(r, take, &t, &n, NULL), OK);
    assert_true(n > 0);
    assert_int_equal(event_reader_next(r, take, &t, &n, NULL), ERR_NOTFOUND);
    assert_int_equal(n, 0);
    event_reader_close(r);
}

/* --- crashes --- */

static char *newest_path(struct fixture *f, uint64_t first)
{
    return event_segment_path(f->path, first);
}

static void cut_file(const char *path, uint64_t size)
{
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    assert_int_equal(file_truncate(&file, size, NULL), OK);
    file_close(&file);
}

static uint64_t size_of(const char *path)
{
    struct file file;
    uint64_t size;
    assert_int_equal(file_open(&file, path, FILE_READ, NULL), OK);
    assert_int_equal(file_size(&file, &size, NULL), OK);
    file_close(&file);
    return size;
}

static void a_torn_end_is_cut_wherever_it_is(void **state)
{
    struct fixture *f = *state;
    say(f, 3);
    close_log(f);
    char *path = newest_path(f, 1);
    const uint64_t full = size_of(path), record = (full - 80) / 3;
    struct buf whole;
    buf_init(&whole);
    assert_int_equal(file_read_all(path, 1 << 20, &whole, NULL), OK);
    for (uint64_t size = 80; size <= full; size++) {
        assert_int_equal(file_replace(path, whole.data, whole.len, NULL), OK);
        cut_file(path, size);
        open_log(f);
        uint64_t kept = (size - 80) / record;
        assert_int_equal(f->account, kept);
        assert_int_equal(info(f).next, kept + 1);
        say(f, 2);
        assert_int_equal(read_all(f, 1), kept + 2);
        close_log(f);
    }
    buf_clear(&whole);
    free(path);
}

static void a_damaged_end_is_cut_too(void **state)
{
    struct fixture *f = *state;
    struct file file;
    say(f, 10);
    close_log(f);
    char *path = newest_path(f, 1);
    const uint64_t full = size_of(path), record = (full - 80) / 10;
    static const uint8_t zeros[4096];
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    /* 8 and 9 */
    assert_int_equal(file_pwrite(&file, zeros, record * 2, 80 + 7 * record, NULL), OK);
    assert_int_equal(file_pwrite(&file, zeros, sizeof zeros, full, NULL), OK);
    file_close(&file);
    open_log(f);
    assert_int_equal(f->account, 7);
    assert_int_equal(size_of(path), 80 + 7 * record);
    say(f, 1);
    assert_int_equal(read_all(f, 1), 8);
    free(path);
}

/* The process dies at some point of the sequence commit, sync, new file, deletion. */
static void whatever_a_crash_leaves_opens(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    f->limit = 9000;
    f->segment = 2000;
    open_log(f);
    for (int i = 0; i < 60; i++) {
        say(f, 13);
        /* a new file is there and the old ones are not yet deleted; a file in the making is left */
        char *junk = path_join(f->path, "00000000000000000099.events.Ab3xYz");
        struct file file;
        assert_int_equal(file_open(&file, junk, FILE_CREATE, NULL), OK);
        file_close(&file);
        close_log(f);
        open_log(f);
        assert_false(path_exists(junk));
        free(junk);
        assert_int_equal(f->account, 13 * ((uint64_t)i + 1));
        struct event_log_info in = info(f);
        assert_int_equal(in.next, f->account + 1);
        assert_int_equal(read_all(f, in.oldest), in.next - in.oldest);
    }
}

static void a_log_that_is_not_understood_is_set_aside(void **state)
{
    struct fixture *f = *state;
    say(f, 5);
    struct event_log_info before = info(f);
    close_log(f);
    char *path = newest_path(f, 1);
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    assert_int_equal(file_pwrite(&file, "x", 1, 30, NULL), OK);
    file_close(&file);
    open_log(f);
    assert_int_equal(info(f).next, 1);
    assert_int_equal(f->account, 0);
    say(f, 2);
    assert_memory_not_equal(info(f).id, before.id, EVENT_LOG_ID_SIZE);
    char *aside = path_join(f->dir, "events.bad");
    assert_true(path_exists(aside));
    free(aside);
    close_log(f);
    cut_file(path, 20); /* once more */
    open_log(f);
    aside = path_join(f->dir, "events.bad1");
    assert_true(path_exists(aside));
    free(aside);
    free(path);
}

static void another_version_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error e = { .code = OK };
    say(f, 5);
    close_log(f);
    char *path = newest_path(f, 1);
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    assert_int_equal(file_pwrite(&file, "\2", 1, 8, NULL), OK);
    file_close(&file);
    assert_int_equal(try_open(f, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "version 2"));
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    assert_int_equal(file_pwrite(&file, "\1", 1, 8, NULL), OK);
    file_close(&file);
    open_log(f);
    assert_int_equal(f->account, 5);
    free(path);
}

static void files_of_different_logs_are_not_mixed(void **state)
{
    struct fixture *f = *state;
    close_log(f);
    f->segment = 500;
    open_log(f);
    say(f, 20);
    struct event_segment s;
    close_log(f);
    static const uint8_t other[EVENT_LOG_ID_SIZE] = { 1 };
    uint8_t account[8];
    le64_put(account, 20);
    assert_int_equal(event_segment_create(f->path, other, 21, span_of(account, 8), &s, NULL), OK);
    event_segment_close(&s);
    open_log(f);
    assert_int_equal(info(f).next, 1);
}

/* --- threads --- */

struct follower {
    pthread_t thread;
    struct event_log *log;
    struct taken taken;
    enum err rc;
};

static void *follow(void *arg)
{
    struct follower *w = arg;
    struct event_reader *r;
    uint64_t n = 1;
    w->rc = event_reader_open(w->log, 1, &r, NULL);
    if (w->rc)
        return NULL;
    for (bool last = false; !w->rc && !(last && !n);) {
        last = event_log_is_stopping(w->log);
        w->rc = event_reader_next(r, take, &w->taken, &n, NULL);
        if (!n && !last)
            event_reader_wait(r, 1000);
    }
    event_reader_close(r);
    return NULL;
}

static void readers_follow_while_events_are_written(void **state)
{
    struct fixture *f = *state;
    enum { FOLLOWERS = 3, BATCHES = 400, SIZE = 50 };
    struct follower w[FOLLOWERS];
    close_log(f);
    f->limit = 1 << 30;
    f->segment = 20000;
    open_log(f);
    for (int i = 0; i < FOLLOWERS; i++) {
        w[i] = (struct follower){ .log = f->log, .taken = { .next = 1 } };
        assert_int_equal(pthread_create(&w[i].thread, NULL, follow, &w[i]), 0);
    }
    for (int i = 0; i < BATCHES; i++)
        say(f, SIZE);
    event_log_stop_readers(f->log);
    for (int i = 0; i < FOLLOWERS; i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].rc, OK);
        assert_int_equal(w[i].taken.next, BATCHES * SIZE + 1);
    }
}

static void *wait_for_event(void *arg)
{
    struct event_reader *r = arg;
    return event_reader_wait(r, 20000) ? arg : NULL;
}

static void waiting_ends_with_an_event_or_the_end(void **state)
{
    struct fixture *f = *state;
    struct event_reader *r;
    pthread_t thread;
    void *woken;
    assert_int_equal(event_reader_open(f->log, 1, &r, NULL), OK);
    int64_t start = clock_mono_ms();
    assert_false(event_reader_wait(r, 50));
    assert_true(clock_mono_ms() - start >= 45);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_event, r), 0);
    say(f, 1);
    pthread_join(thread, &woken);
    assert_ptr_equal(woken, r);
    uint64_t n;
    struct taken t = { .next = 1 };
    assert_int_equal(event_reader_next(r, take, &t, &n, NULL), OK);
    assert_int_equal(n, 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_event, r), 0);
    event_log_stop_readers(f->log);
    pthread_join(thread, &woken);
    assert_null(woken);
    event_reader_close(r);
}

static void a_failure_to_write_stays(void **state)
{
    struct fixture *f = *state;
    struct error e = { .code = OK };
    say(f, 1);
    close_log(f);
    f->segment = 100;
    open_log(f);
    char *moved = path_join(f->dir, "gone");
    assert_int_equal(rename(f->path, moved), 0); /* no new file can be made */
    struct event_record r = { .type = LOGGED_TX_ACCEPTED };
    event_log_append(f->log, &r);
    assert_int_not_equal(event_log_commit(f->log, &e), OK);
    assert_non_null(strstr(e.text, "event log"));
    assert_int_equal(rename(moved, f->path), 0);
    event_log_append(f->log, &r);
    assert_int_not_equal(event_log_commit(f->log, NULL), OK);
    assert_true(event_log_has_failed(f->log));
    event_log_close(f->log, NULL);
    f->log = NULL;
    free(moved);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_are_read_from_any_number),
        T(what_is_not_committed_is_not_seen),
        T(the_oldest_files_go_when_the_limit_is_reached),
        T(a_reader_that_is_too_slow_is_told),
        T(a_torn_end_is_cut_wherever_it_is),
        T(a_damaged_end_is_cut_too),
        T(whatever_a_crash_leaves_opens),
        T(a_log_that_is_not_understood_is_set_aside),
        T(another_version_is_refused),
        T(files_of_different_logs_are_not_mixed),
        T(readers_follow_while_events_are_written),
        T(waiting_ends_with_an_event_or_the_end),
        T(a_failure_to_write_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
