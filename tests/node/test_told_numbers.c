#include "node/told_numbers.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "node/event_log.h"
#include "tests/test.h"

/* A log whose only account is that of numbers. */
struct world {
    char *dir, *log_dir;
    struct event_log *log;
    struct told_numbers told;
};

static void emit(void *ctx, struct event_record *r)
{
    event_log_append(((struct world *)ctx)->log, r);
}

static void store(void *ctx, struct buf *out)
{
    told_numbers_store(&((struct world *)ctx)->told, out);
}

static enum err load(void *ctx, struct span state, struct error *e)
{
    struct reader r;
    reader_init(&r, state.data, state.len);
    told_numbers_load(&((struct world *)ctx)->told, &r);
    return reader_done(&r) ? OK : error_set(e, ERR_CORRUPT, "state");
}

static enum err replay(void *ctx, const struct event_record *r, struct error *e)
{
    return told_numbers_replay(&((struct world *)ctx)->told, r)
               ? OK : error_set(e, ERR_CORRUPT, "told twice");
}

static void open_world(struct world *w)
{
    struct error e;
    const struct event_replayer replayer = { load, replay, w };
    const struct event_log_options o = { .dir = w->log_dir, .max_bytes = 1 << 20,
                                         .segment_bytes = 2000, .store = store, .ctx = w };
    told_numbers_init(&w->told, emit, w);
    assert_int_equal(event_log_open(&w->log, &o, &replayer, &e), OK);
}

static void close_world(struct world *w)
{
    assert_int_equal(event_log_close(w->log, NULL), OK);
    told_numbers_clear(&w->told);
}

static struct event_record message(uint64_t number)
{
    struct event_record r = { .type = LOGGED_MESSAGE_RECEIVED };
    r.v[MESSAGE_ENTRY].number = r.v[MESSAGE_NUMBER].number = (int64_t)number;
    return r;
}

static void put(struct world *w, uint64_t number, bool want_first)
{
    bool first;
    const struct event_record r = message(number);
    assert_true(told_numbers_put(&w->told, &r, &first));
    assert_int_equal(first, want_first);
}

static void commit(struct world *w)
{
    told_numbers_take(&w->told);
    assert_int_equal(event_log_commit(w->log, NULL), OK);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = test_dir_make();
    w->log_dir = path_join(w->dir, "events");
    open_world(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    close_world(w);
    free(w->log_dir);
    test_dir_remove(w->dir);
    free(w);
    return 0;
}

/* What a reader finds, the numbers of messages alone. */
struct found {
    uint64_t v[4096];
    size_t n;
};

static enum err note(void *ctx, const struct event_record *r, struct error *e)
{
    (void)e;
    struct found *f = ctx;
    f->v[f->n++] = (uint64_t)r->v[MESSAGE_ENTRY].number;
    return OK;
}

static void read_all(struct world *w, struct found *f)
{
    struct event_reader *reader;
    uint64_t n = 1;
    f->n = 0;
    assert_int_equal(event_reader_open(w->log, 1, &reader, NULL), OK);
    while (n)
        assert_int_equal(event_reader_next(reader, note, f, &n, NULL), OK);
    event_reader_close(reader);
}

static void a_number_is_told_once(void **state)
{
    struct world *w = *state;
    struct found f;
    put(w, 3, true);
    put(w, 3, false);
    put(w, 2, false);
    put(w, 8, false);
    assert_int_equal(told_numbers_last(&w->told, TOLD_MESSAGES), 8);
    assert_int_equal(told_numbers_last(&w->told, TOLD_FILES), 0);
    commit(w);
    put(w, 8, false);
    put(w, 9, true);
    commit(w);
    read_all(w, &f);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.v[0], 3);
    assert_int_equal(f.v[1], 8);
    assert_int_equal(f.v[2], 9);
}

static void too_many_that_wait_come_again(void **state)
{
    struct world *w = *state;
    bool first;
    for (uint64_t i = 1; i <= TOLD_WAITING_MAX; i++)
        put(w, i, i == 1);
    const struct event_record r = message(TOLD_WAITING_MAX + 1);
    assert_false(told_numbers_put(&w->told, &r, &first));
    assert_int_equal(told_numbers_last(&w->told, TOLD_MESSAGES), TOLD_WAITING_MAX);
    assert_true(told_numbers_bytes(&w->told) >= TOLD_WAITING_MAX * sizeof r);
    commit(w);
    assert_int_equal(told_numbers_bytes(&w->told), 0);
    put(w, TOLD_WAITING_MAX + 1, true);
}

/* The process dies with events that were put, or taken and not committed; what numbers them has all
 * of them on disk and tells what is above the last again. */
static void nothing_is_missing_or_doubled_after_kills(void **state)
{
    struct world *w = *state;
    struct found f;
    uint64_t numbered = 0;
    unsigned random = 1;
    for (int life = 0; life < 40; life++) {
        for (uint64_t i = told_numbers_last(&w->told, TOLD_MESSAGES) + 1; i <= numbered; i++)
            put(w, i, !w->told.n);
        for (int step = 0; step < 30; step++) {
            random = random * 1103515245 + 12345;
            if ((random >> 16) % 5 == 0)
                commit(w);
            else
                put(w, ++numbered, !w->told.n);
        }
        /* no last words: what event_log_close would write is what was appended, here nothing */
        close_world(w);
        open_world(w);
    }
    for (uint64_t i = told_numbers_last(&w->told, TOLD_MESSAGES) + 1; i <= numbered; i++)
        put(w, i, !w->told.n);
    commit(w);
    read_all(w, &f);
    assert_int_equal(f.n, numbered);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(f.v[i], i + 1);
}

static void a_state_of_an_earlier_version_has_no_numbers(void **state)
{
    (void)state;
    struct told_numbers t;
    struct reader r;
    struct buf b;
    told_numbers_init(&t, NULL, NULL);
    t.told[TOLD_FILES] = 5;
    buf_init(&b);
    told_numbers_store(&t, &b);
    reader_init(&r, b.data, b.len);
    told_numbers_load(&t, &r);
    assert_true(reader_done(&r));
    assert_int_equal(told_numbers_last(&t, TOLD_FILES), 5);
    reader_init(&r, b.data, 0);
    told_numbers_load(&t, &r);
    assert_true(reader_done(&r));
    assert_int_equal(told_numbers_last(&t, TOLD_FILES), 0);
    reader_init(&r, b.data, b.len - 1);
    told_numbers_load(&t, &r);
    assert_true(r.failed);
    buf_clear(&b);
    told_numbers_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_number_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_that_wait_come_again, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_missing_or_doubled_after_kills, setup, teardown),
        cmocka_unit_test(a_state_of_an_earlier_version_has_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
