#include <config.h>

#include "base/kv_mend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/test.h"

/* --- a disk of which a test says what it takes --- */

struct disk {
    struct kv *now;   /* what was opened last */
    bool full, gone;  /* the probe fails; opening does */
    unsigned opened, probed, cleared;
};

static int64_t now;
static int64_t clock_of_test(void) { return now; }

static enum err open_disk(void *ctx, struct kv **out, struct error *e)
{
    struct disk *d = ctx;
    if (d->gone)
        return error_set(e, ERR_IO, "gone");
    d->opened++;
    *out = d->now = kv_open_mem();
    return OK;
}

static enum err probe_disk(void *ctx, struct error *e)
{
    struct disk *d = ctx;
    d->probed++;
    return d->full ? error_set(e, ERR_NOSPACE, "still full") : OK;
}

static void clear_disk(void *ctx) { ((struct disk *)ctx)->cleared++; }

static struct kv *open_mending(struct disk *d)
{
    const struct kv_mend_ops ops = { open_disk, probe_disk, clear_disk, clock_of_test, d };
    struct kv *kv;
    assert_int_equal(kv_mend_open(&kv, &ops, NULL), OK);
    return kv;
}

static enum err put(struct kv *kv, const char *key, struct error *e)
{
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, key, strlen(key), "v", 1);
    const enum err rc = kv_write(kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}

/* -1: an error. */
static int has(struct kv *kv, const char *key)
{
    struct buf value;
    bool found = false;
    buf_init(&value);
    const enum err rc = kv_get(kv, key, strlen(key), &value, &found, NULL);
    buf_clear(&value);
    return rc ? -1 : found;
}

static size_t count(struct kv *kv)
{
    struct kv_iter *it = kv_iter_new(kv);
    size_t n = 0;
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it)) {
        assert_true(kv_iter_key(it).len > 0);
        assert_int_equal(kv_iter_value(it).len, 1);
        n++;
    }
    assert_int_equal(kv_iter_error(it, NULL), OK);
    kv_iter_free(it);
    return n;
}

static void after_a_failure_it_is_opened_again_first(void **state)
{
    (void)state;
    struct disk d = { .full = true };
    struct kv *kv = open_mending(&d);
    struct error e;
    now = 1000;
    assert_int_equal(put(kv, "a", NULL), OK);
    kv_mem_fail_writes(d.now, 1);
    assert_int_equal(put(kv, "b", NULL), ERR_IO);
    kv_mem_fail_writes(d.now, 0);
    assert_int_equal(put(kv, "c", &e), ERR_NOSPACE); /* it would go on, but is not asked */
    assert_string_equal(e.text, "still full");
    assert_int_equal(put(kv, "c", &e), ERR_NOSPACE);
    assert_int_equal(d.probed, 1); /* within a moment the disk is looked at once */
    assert_int_equal(has(kv, "a"), 1);
    assert_int_equal(count(kv), 1);
    now += KV_MEND_PAUSE_MS;
    d.full = false;
    assert_int_equal(put(kv, "c", NULL), OK);
    assert_int_equal(d.opened, 2);
    assert_int_equal(has(kv, "c"), 1);
    kv_close(kv);
    assert_int_equal(d.cleared, 1);
}

static void one_that_cannot_be_opened_again_says_so(void **state)
{
    (void)state;
    struct disk d = { .gone = false };
    struct kv *kv = open_mending(&d);
    now = 10000;
    kv_mem_fail_writes(d.now, 1);
    assert_int_equal(put(kv, "a", NULL), ERR_IO);
    d.gone = true;
    now += KV_MEND_PAUSE_MS;
    assert_int_equal(put(kv, "a", NULL), ERR_IO);
    assert_int_equal(has(kv, "a"), -1);
    struct kv_iter *it = kv_iter_new(kv);
    kv_iter_seek(it, "", 0);
    assert_false(kv_iter_valid(it));
    assert_int_equal(kv_iter_error(it, NULL), ERR_IO);
    kv_iter_free(it);
    d.gone = false;
    now += KV_MEND_PAUSE_MS;
    assert_int_equal(put(kv, "a", NULL), ERR_IO); /* its batch was begun without a store */
    assert_int_equal(put(kv, "a", NULL), OK);
    assert_int_equal(has(kv, "a"), 1);
    kv_close(kv);
}

static void what_cannot_be_opened_at_all_is_an_error(void **state)
{
    (void)state;
    struct disk d = { .gone = true };
    const struct kv_mend_ops ops = { open_disk, probe_disk, clear_disk, clock_of_test, &d };
    struct kv *kv;
    assert_int_equal(kv_mend_open(&kv, &ops, NULL), ERR_IO);
    assert_null(kv);
    assert_int_equal(d.cleared, 1);
}

/* --- readers meanwhile --- */

struct reading {
    struct kv *kv;
    atomic_bool stop;
    atomic_size_t looks;
};

static void *read_on(void *arg)
{
    struct reading *r = arg;
    while (!atomic_load(&r->stop)) {
        (void)has(r->kv, "a");
        struct kv_iter *it = kv_iter_new(r->kv);
        for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it))
            if (kv_iter_value(it).len != 1)
                abort();
        kv_iter_free(it);
        atomic_fetch_add(&r->looks, 1);
    }
    return NULL;
}

static void readers_go_on_while_it_is_opened_again(void **state)
{
    (void)state;
    struct disk d = { .full = false };
    struct reading r = { .kv = open_mending(&d) };
    pthread_t threads[2];
    now = 0;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    for (int round = 0; round < 50 || atomic_load(&r.looks) < 100; round++) {
        kv_mem_fail_writes(d.now, 1);
        assert_int_equal(put(r.kv, "a", NULL), ERR_IO);
        now += KV_MEND_PAUSE_MS;
        assert_int_equal(put(r.kv, "a", NULL), OK);
    }
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(has(r.kv, "a"), 1);
    kv_close(r.kv);
}

static void files_are_those_of_the_database(void **state)
{
    (void)state;
    static const struct kv_options o = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20 };
    char *dir = test_dir_make(), *path = path_join(dir, "db");
    struct kv *kv;
    assert_int_equal(kv_open_leveldb_mending(&kv, path, &o, NULL), OK);
    assert_int_equal(put(kv, "a", NULL), OK);
    assert_int_equal(put(kv, "b", NULL), OK);
    assert_int_equal(count(kv), 2);
    kv_close(kv);
    assert_int_equal(kv_open_leveldb(&kv, path, &o, NULL), OK);
    assert_int_equal(has(kv, "a"), 1);
    kv_close(kv);
    free(path);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_failure_it_is_opened_again_first),
        cmocka_unit_test(one_that_cannot_be_opened_again_says_so),
        cmocka_unit_test(what_cannot_be_opened_at_all_is_an_error),
        cmocka_unit_test(readers_go_on_while_it_is_opened_again),
        cmocka_unit_test(files_are_those_of_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
