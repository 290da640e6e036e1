#include <config.h>

#include "base/journal.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/test.h"

#define SECTOR 512

/* A directory, what was read from it, and what was told. */
struct world {
    char *dir;
    struct journal *j;
    struct buf read; /* records, one character each line */
    unsigned good, bad;
    enum err last;
};

static enum err note_record(void *ctx, struct span record, struct error *e)
{
    struct world *w = ctx;
    (void)e;
    buf_put(&w->read, record.data, record.len);
    buf_put_u8(&w->read, '\n');
    return OK;
}

static enum err try_open(struct world *w)
{
    const struct journal_options o = { .dir = w->dir };
    buf_reset(&w->read);
    return journal_open(&w->j, &o, note_record, w, NULL);
}

static int begin(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = test_dir_make();
    buf_init(&w->read);
    assert_int_equal(try_open(w), OK);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    journal_close(w->j);
    test_dir_remove(w->dir);
    buf_clear(&w->read);
    free(w);
    return 0;
}

static void told(void *ctx, enum err rc, const struct error *e)
{
    struct world *w = ctx;
    if (rc)
        assert_int_equal(e->code, rc);
    *(rc ? &w->bad : &w->good) += 1;
    w->last = rc;
}

static void append(struct world *w, const char *text)
{
    journal_append(w->j, span_of(text, strlen(text)), told, w);
}

static void wait_for(struct world *w, unsigned n)
{
    const struct timespec moment = { 0, 1000000 };
    while (w->good + w->bad < n) {
        journal_poll(w->j);
        nanosleep(&moment, NULL);
    }
}

static void write_one(struct world *w, const char *text)
{
    const unsigned before = w->good + w->bad;
    append(w, text);
    wait_for(w, before + 1);
}

static void reopen(struct world *w)
{
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(try_open(w), OK);
}

static char *file_name(const struct world *w, unsigned number)
{
    return xasprintf("%s/%020u.journal", w->dir, number);
}

/* Its file number 1, for changing. */
static struct file close_and_open_file(struct world *w)
{
    char *name = file_name(w, 1);
    struct file f;
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(file_open(&f, name, FILE_WRITE, NULL), OK);
    free(name);
    return f;
}

static void assert_read(struct world *w, const char *expected)
{
    assert_int_equal(w->read.len, strlen(expected));
    assert_memory_equal(w->read.data, expected, w->read.len);
}

static void records_come_back_in_their_order(void **state)
{
    struct world *w = *state;
    append(w, "one");
    append(w, "two");
    append(w, "");
    wait_for(w, 3);
    assert_int_equal(w->good, 3);
    assert_int_equal(journal_waiting(w->j), 0);
    assert_true(journal_bytes(w->j) >= SECTOR);
    write_one(w, "three");
    reopen(w);
    assert_read(w, "one\ntwo\n\nthree\n");
    write_one(w, "four");
    reopen(w);
    assert_read(w, "one\ntwo\n\nthree\nfour\n");
}

static void closing_writes_what_waits(void **state)
{
    struct world *w = *state;
    append(w, "last");
    reopen(w);
    assert_int_equal(w->good, 1);
    assert_read(w, "last\n");
}

static void records_that_wait_share_a_flush(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 1000; i++)
        append(w, "x");
    wait_for(w, 1000);
    assert_int_equal(w->good, 1000);
    /* One flush each would be 1000 sectors. */
    assert_true(journal_bytes(w->j) < 500 * SECTOR);
}

static void compaction_leaves_what_came_after_the_turn(void **state)
{
    struct world *w = *state;
    append(w, "old");
    const uint64_t number = journal_turn(w->j, NULL, NULL);
    append(w, "new");
    wait_for(w, 2);
    assert_false(journal_has_older(w->j));
    journal_drop_before(w->j, number, told, w);
    wait_for(w, 3);
    assert_int_equal(w->good, 3);
    reopen(w);
    assert_read(w, "new\n");
    assert_true(journal_has_older(w->j));
    /* Without the drop, what was before is still there, in front. */
    (void)journal_turn(w->j, NULL, NULL);
    write_one(w, "newer");
    reopen(w);
    assert_read(w, "new\nnewer\n");
}

/* The last batch, cut or spoiled at any byte: the ones before stay. */
static void torn_end_is_cut_off(void **state)
{
    struct world *w = *state;
    write_one(w, "one");
    write_one(w, "two");
    struct file f = close_and_open_file(w);
    for (uint64_t at = 2 * SECTOR; at < 2 * SECTOR + 16; at++) {
        uint8_t byte;
        assert_int_equal(file_pread(&f, &byte, 1, at, NULL), OK);
        byte ^= 0x40;
        assert_int_equal(file_pwrite(&f, &byte, 1, at, NULL), OK);
        assert_int_equal(try_open(w), OK);
        /* What lies behind the record in its sector is not covered. */
        assert_read(w, at < 2 * SECTOR + 15 ? "one\n" : "one\ntwo\n");
        journal_close(w->j);
        byte ^= 0x40;
        assert_int_equal(file_pwrite(&f, &byte, 1, at, NULL), OK);
    }
    for (uint64_t size = SECTOR; size < 2 * SECTOR + 15; size += 3) {
        assert_int_equal(file_truncate(&f, size, NULL), OK);
        assert_int_equal(try_open(w), OK);
        assert_true(w->read.len <= 4);
        journal_close(w->j);
    }
    w->j = NULL;
    file_close(&f);
}

static void damage_before_a_good_batch_is_no_torn_end(void **state)
{
    struct world *w = *state;
    write_one(w, "one");
    write_one(w, "two");
    struct file f = close_and_open_file(w);
    assert_int_equal(file_pwrite(&f, "X", 1, SECTOR + 12, NULL), OK);
    assert_int_equal(try_open(w), ERR_CORRUPT);
    file_close(&f);
}

static void heads_that_are_wrong_are_seen(void **state)
{
    struct world *w = *state;
    write_one(w, "one");
    struct file f = close_and_open_file(w);
    assert_int_equal(file_pwrite(&f, "\2", 1, 8, NULL), OK);
    assert_int_equal(try_open(w), ERR_RANGE);
    assert_int_equal(file_pwrite(&f, "\1\7", 2, 8, NULL), OK);
    assert_int_equal(try_open(w), ERR_RANGE);
    assert_int_equal(file_pwrite(&f, "\1\0\0\0\7", 5, 8, NULL), OK);
    assert_int_equal(try_open(w), ERR_CORRUPT);
    file_close(&f);
}

static void file_that_was_being_made_is_removed(void **state)
{
    struct world *w = *state;
    char *name = file_name(w, 2);
    struct file f;
    write_one(w, "one");
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(file_open(&f, name, FILE_CREATE_NEW, NULL), OK);
    file_close(&f);
    assert_int_equal(try_open(w), OK);
    assert_read(w, "one\n");
    assert_false(path_exists(name));
    free(name);
}

static enum err open_with_zeros(struct world *w, unsigned number, size_t n)
{
    static const uint8_t zeros[2 * SECTOR];
    char *name = file_name(w, number);
    const enum err rc = file_replace(name, zeros, n, NULL);
    free(name);
    return rc ? rc : try_open(w);
}

/* The length of a file may be on disk before what is in it. */
static void file_whose_head_a_power_cut_kept_from_the_disk_is_removed(void **state)
{
    struct world *w = *state;
    write_one(w, "one");
    reopen(w);
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(open_with_zeros(w, 2, 2 * SECTOR), ERR_CORRUPT); /* it was in use */
    assert_int_equal(open_with_zeros(w, 2, SECTOR), OK);
    assert_read(w, "one\n");
    write_one(w, "two");
    reopen(w);
    assert_read(w, "one\ntwo\n");
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(open_with_zeros(w, 2, SECTOR), ERR_CORRUPT); /* it is not the last */
}

static void failure_stays_and_reaches_everybody(void **state)
{
    struct world *w = *state;
    struct rlimit before, small = { 4096, 4096 };
    char big[8192];
    memset(big, 'y', sizeof big);
    write_one(w, "one");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    journal_append(w->j, span_of(big, sizeof big), told, w);
    wait_for(w, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(w->bad, 1);
    assert_int_equal(w->last, ERR_IO);
    write_one(w, "two"); /* the disk would take it again; what was told stays true */
    assert_int_equal(w->bad, 2);
    reopen(w);
    assert_read(w, "one\n");
}

static enum err refuse(void *ctx, struct span record, struct error *e)
{
    (void)ctx;
    (void)record;
    return error_set(e, ERR_CORRUPT, "not a record");
}

static void owner_that_does_not_understand_a_record_ends_the_opening(void **state)
{
    struct world *w = *state;
    const struct journal_options o = { .dir = w->dir };
    struct error e;
    write_one(w, "one");
    journal_close(w->j);
    w->j = NULL;
    assert_int_equal(journal_open(&w->j, &o, refuse, NULL, &e), ERR_CORRUPT);
    assert_string_equal(e.text, "not a record");
    assert_null(w->j);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(records_come_back_in_their_order),
        T(closing_writes_what_waits),
        T(records_that_wait_share_a_flush),
        T(compaction_leaves_what_came_after_the_turn),
        T(torn_end_is_cut_off),
        T(damage_before_a_good_batch_is_no_torn_end),
        T(heads_that_are_wrong_are_seen),
        T(file_that_was_being_made_is_removed),
        T(file_whose_head_a_power_cut_kept_from_the_disk_is_removed),
        T(failure_stays_and_reaches_everybody),
        T(owner_that_does_not_understand_a_record_ends_the_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
