/*
 * A journal on the real file system, in a child that ends, or whose disk fails, at its n-th call,
 * for every n: opening, batches, new files, the removal of old ones. The child numbers its records,
 * notes elsewhere which of them it was told of, and which it has stored elsewhere before it dropped
 * files. What is read afterwards has no gap, begins where the store ends, and has all that was
 * told.
 */
#include <config.h>

#include "base/journal.h"

#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/fault/preload.h"
#include "tests/test.h"

enum {
    ROUNDS = 4,
    BURST = 5,
    SIZE = 700,          /* bytes of a record: a burst takes several sectors */
    LARGE = 20000,       /* of one in each round */
    STORED_EVERY = 2,    /* rounds: then two files go, the second time */
};

struct side {
    const char *dir;
    struct journal *j;
    uint32_t sent, told; /* numbers of records */
    unsigned orders;     /* carried out */
    enum err failed;     /* a record was not written */
    enum err kept;       /* a file was not removed */
};

/* The process alone ends, so that nothing has to be synced. */
static void put_number(const char *dir, const char *name, uint32_t number)
{
    char *path = path_join(dir, name);
    uint8_t bytes[4];
    struct file f;
    le32_put(bytes, number);
    assert_int_equal(file_open(&f, path, FILE_CREATE, NULL), OK);
    assert_int_equal(file_pwrite(&f, bytes, sizeof bytes, 0, NULL), OK);
    file_close(&f);
    free(path);
}

static uint32_t get_number(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    struct buf b;
    buf_init(&b);
    const uint32_t n = file_read_all(path, 4, &b, NULL) == OK && b.len == 4 ? le32_get(b.data) : 0;
    buf_clear(&b);
    free(path);
    return n;
}

/* --- the child --- */

static void told(void *ctx, enum err rc, const struct error *e)
{
    struct side *s = ctx;
    if (rc) {
        assert_int_equal(e->code, rc);
        s->failed = rc;
        return;
    }
    assert_int_equal(s->failed, OK); /* nothing is written after a failure */
    put_number(s->dir, "told", ++s->told);
}

static void carried_out(void *ctx, enum err rc, const struct error *e)
{
    struct side *s = ctx;
    (void)e;
    s->orders++;
    s->kept = rc;
}

static void append(struct side *s, size_t size)
{
    uint8_t *record = xcalloc(1, size);
    le32_put(record, ++s->sent);
    journal_append(s->j, span_of(record, size), told, s);
    free(record);
}

static void wait_for_all(struct side *s, unsigned orders)
{
    const struct timespec moment = { 0, 100000 };
    while (!s->failed && (s->told < s->sent || s->orders < orders)) {
        journal_poll(s->j);
        nanosleep(&moment, NULL);
    }
}

/* What stands in the records so far is in the store. */
static void store(struct side *s)
{
    const unsigned orders = s->orders + 1;
    const uint64_t number = journal_turn(s->j, NULL, NULL);
    put_number(s->dir, "stored", s->sent);
    journal_drop_before(s->j, number, carried_out, s);
    append(s, SIZE);
    wait_for_all(s, orders);
}

static void one_round(struct side *s, unsigned round)
{
    for (unsigned i = 0; i < BURST; i++)
        append(s, i == 2 ? LARGE : SIZE);
    (void)journal_turn(s->j, NULL, NULL);
    wait_for_all(s, s->orders);
    if (!s->failed && round % STORED_EVERY == STORED_EVERY - 1)
        store(s);
}

static enum err ignore(void *ctx, struct span record, struct error *e)
{
    (void)ctx;
    (void)record;
    (void)e;
    return OK;
}

static int child(const char *dir)
{
    char *victim = path_join(dir, "victim");
    const struct journal_options o = { .dir = victim };
    struct side s = { .dir = dir };
    struct error e;
    if (journal_open(&s.j, &o, ignore, NULL, &e))
        return 1;
    for (unsigned round = 0; round < ROUNDS && !s.failed && !s.kept; round++)
        one_round(&s, round);
    append(&s, SIZE);
    journal_close(s.j);
    free(victim);
    return s.failed || s.kept ? 1 : 0;
}

/* --- what it left --- */

struct reading {
    uint32_t first, last;
};

static enum err take(void *ctx, struct span record, struct error *e)
{
    struct reading *r = ctx;
    (void)e;
    const uint32_t n = le32_get(record.data);
    if (r->first)
        assert_int_equal(n, r->last + 1);
    else
        r->first = n;
    r->last = n;
    return OK;
}

static struct reading read_back(const char *dir, uint32_t more)
{
    char *victim = path_join(dir, "victim");
    const struct journal_options o = { .dir = victim };
    struct reading r = { 0, 0 };
    struct journal *j;
    struct error e;
    assert_int_equal(journal_open(&j, &o, take, &r, &e), OK);
    if (more) {
        uint8_t record[4];
        le32_put(record, r.last + more);
        journal_append(j, span_of(record, sizeof record), NULL, NULL);
    }
    journal_close(j);
    free(victim);
    return r;
}

static void check(const char *dir, bool whole)
{
    const uint32_t now_told = get_number(dir, "told"), stored = get_number(dir, "stored");
    struct reading r = read_back(dir, 0);
    if (r.first) {
        assert_true(r.first <= stored + 1);
        assert_true(r.last >= now_told);
    } else {
        assert_true(stored >= now_told);
    }
    if (whole)
        assert_int_equal(r.last, ROUNDS * BURST + ROUNDS / STORED_EVERY + 1);
    if (!r.first)
        return;
    (void)read_back(dir, 1); /* goes on behind it */
    assert_int_equal(read_back(dir, 0).last, r.last + 1);
}

static void at_each_call_the_process_ends(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "exit", FAULT_KILLED, check);
}

static void at_each_call_half_a_write_is_left(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "torn", FAULT_KILLED, check);
}

static void at_each_call_the_disk_fails(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "EIO", 1, check);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_each_call_the_process_ends),
        cmocka_unit_test(at_each_call_half_a_write_is_left),
        cmocka_unit_test(at_each_call_the_disk_fails),
    };
    if (argc == 3)
        return child(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
