/* Each behaviour is checked on both engines; the last groups are about one of them. */
#include <config.h>

#include "base/kv.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/test.h"

struct fixture {
    char *dir, *path; /* NULL for the memory engine */
    struct kv *kv;
    struct kv_batch *batch;
    struct buf value;
    struct error e;
};

static const struct kv_options options = {
    .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20, .bloom_filter = true,
};

static int set_up_mem(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->kv = kv_open_mem();
    f->batch = kv_batch_new(f->kv);
    buf_init(&f->value);
    *state = f;
    return 0;
}

static int set_up_leveldb(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "sub/db");
    if (kv_open_leveldb(&f->kv, f->path, &options, &f->e))
        return -1;
    f->batch = kv_batch_new(f->kv);
    buf_init(&f->value);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    kv_batch_free(f->batch);
    kv_close(f->kv);
    buf_clear(&f->value);
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *key, const char *value)
{
    kv_batch_put(f->batch, key, strlen(key), value, strlen(value));
}

static void commit(struct fixture *f, enum kv_sync sync)
{
    assert_int_equal(kv_write(f->kv, f->batch, sync, &f->e), OK);
}

static void store(struct fixture *f, const char *key, const char *value)
{
    put(f, key, value);
    commit(f, KV_NO_SYNC);
}

static void erase(struct fixture *f, const char *key)
{
    kv_batch_delete(f->batch, key, strlen(key));
    commit(f, KV_NO_SYNC);
}

static bool has(struct fixture *f, const char *key)
{
    bool found = true;
    assert_int_equal(kv_get(f->kv, key, strlen(key), &f->value, &found, &f->e), OK);
    return found;
}

static void expect(struct fixture *f, const char *key, const char *value)
{
    assert_true(has(f, key));
    assert_int_equal(f->value.len, strlen(value));
    assert_memory_equal(f->value.data, value, f->value.len);
}

/* All keys and values from `from` on, as "a=1 b=2 ". */
static void expect_scan(struct kv_iter *it, const char *from, const char *expected)
{
    struct buf text;
    buf_init(&text);
    for (kv_iter_seek(it, from, strlen(from)); kv_iter_valid(it); kv_iter_next(it)) {
        struct span key = kv_iter_key(it), value = kv_iter_value(it);
        buf_printf(&text, "%.*s=%.*s ", (int)key.len, (const char *)key.data, (int)value.len,
                   (const char *)value.data);
    }
    buf_put_u8(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    assert_int_equal(kv_iter_error(it, NULL), OK);
    buf_clear(&text);
}

static void missing_key_is_not_an_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    assert_false(has(f, "a"));
    store(f, "ab", "x");
    assert_false(has(f, "a"));
    assert_false(has(f, "abc"));
    assert_int_equal(f->value.len, 0);
}

static void a_store_is_empty_until_the_first_key_and_after_the_last(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    bool empty = false;
    assert_int_equal(kv_is_empty(f->kv, &empty, &f->e), OK);
    assert_true(empty);
    store(f, "", "");
    assert_int_equal(kv_is_empty(f->kv, &empty, &f->e), OK);
    assert_false(empty);
    erase(f, "");
    assert_int_equal(kv_is_empty(f->kv, &empty, &f->e), OK);
    assert_true(empty);
}

static void stored_value_is_found_replaced_and_deleted(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    store(f, "key", "one");
    expect(f, "key", "one");
    store(f, "key", "second");
    expect(f, "key", "second");
    erase(f, "key");
    assert_false(has(f, "key"));
    erase(f, "key");
    store(f, "key", "third");
    expect(f, "key", "third");
}

static void empty_keys_and_values_and_zero_bytes_are_kept(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    bool found;
    kv_batch_put(f->batch, "", 0, "nothing", 7);
    kv_batch_put(f->batch, "e", 1, NULL, 0);
    kv_batch_put(f->batch, "a\0b", 3, "\0\xff", 2);
    commit(f, KV_NO_SYNC);
    expect(f, "", "nothing");
    expect(f, "e", "");
    assert_false(has(f, "a"));
    assert_int_equal(kv_get(f->kv, "a\0b", 3, &f->value, &found, &f->e), OK);
    assert_true(found);
    assert_int_equal(f->value.len, 2);
    assert_memory_equal(f->value.data, "\0\xff", 2);
}

static void the_last_change_of_a_key_in_a_batch_counts(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    put(f, "a", "1");
    put(f, "a", "2");
    put(f, "b", "1");
    kv_batch_delete(f->batch, "b", 1);
    kv_batch_delete(f->batch, "c", 1);
    put(f, "c", "3");
    commit(f, KV_SYNC);
    expect(f, "a", "2");
    assert_false(has(f, "b"));
    expect(f, "c", "3");
}

static void batch_counts_its_bytes_and_is_empty_after_writing(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    assert_int_equal(kv_batch_bytes(f->batch), 0);
    put(f, "key", "value");
    assert_int_equal(kv_batch_bytes(f->batch), 1 + 1 + 3 + 1 + 5);
    kv_batch_delete(f->batch, "key2", 4);
    assert_int_equal(kv_batch_bytes(f->batch), 11 + 1 + 1 + 4);
    static const char large[300];
    kv_batch_put(f->batch, "l", 1, large, sizeof(large));
    assert_int_equal(kv_batch_bytes(f->batch), 17 + 1 + 2 + 2 + 300);
    commit(f, KV_NO_SYNC);
    assert_int_equal(kv_batch_bytes(f->batch), 0);
    erase(f, "key");
    commit(f, KV_NO_SYNC); /* nothing is written twice */
    assert_false(has(f, "key"));
}

static void iterator_goes_through_keys_in_byte_order(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    put(f, "b", "2");
    put(f, "\xff", "5");
    put(f, "a", "1");
    put(f, "ba", "3");
    put(f, "gone", "x");
    put(f, "z", "4");
    commit(f, KV_NO_SYNC);
    erase(f, "gone");
    struct kv_iter *it = kv_iter_new(f->kv);
    assert_false(kv_iter_valid(it));
    expect_scan(it, "", "a=1 b=2 ba=3 z=4 \xff=5 ");
    expect_scan(it, "b", "b=2 ba=3 z=4 \xff=5 ");
    expect_scan(it, "bb", "z=4 \xff=5 ");
    expect_scan(it, "\xff\x01", "");
    kv_iter_free(it);
    kv_iter_free(NULL);
}

static void iterator_sees_the_state_at_its_creation(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    put(f, "a", "1");
    put(f, "b", "2");
    commit(f, KV_SYNC);
    struct kv_iter *it = kv_iter_new(f->kv);
    store(f, "a", "new");
    store(f, "a", "newer");
    erase(f, "b");
    store(f, "c", "3");
    struct kv_iter *later = kv_iter_new(f->kv);
    store(f, "d", "4");
    expect_scan(it, "", "a=1 b=2 ");
    expect_scan(later, "", "a=newer c=3 ");
    expect_scan(it, "b", "b=2 ");
    kv_iter_free(it);
    expect_scan(later, "", "a=newer c=3 ");
    kv_iter_free(later);
}

static void key_of(char key[16], unsigned i)
{
    /* An odd factor permutes the 32-bit numbers: the keys come in no order. */
    snprintf(key, 16, "%08x", i * 2654435761u);
}

static void a_hundred_thousand_keys_are_kept_in_order(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    enum { KEYS = 100000 };
    char key[16], last[16] = "";
    for (unsigned i = 0; i < KEYS; i++) {
        key_of(key, i);
        put(f, key, key + 4);
        if (i % 1000 == 999)
            commit(f, KV_NO_SYNC);
    }
    for (unsigned i = 0; i < KEYS; i += 97) {
        key_of(key, i);
        expect(f, key, key + 4);
    }
    unsigned seen = 0;
    struct kv_iter *it = kv_iter_new(f->kv);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it), seen++) {
        assert_int_equal(kv_iter_key(it).len, 8);
        assert_true(memcmp(kv_iter_key(it).data, last, 8) > 0);
        memcpy(last, kv_iter_key(it).data, 8);
    }
    assert_int_equal(seen, KEYS);
    kv_iter_free(it);
    assert_true(kv_disk_bytes(f->kv) > 100000);
    assert_true(kv_memory_bytes(f->kv) > 0);
}

static void compaction_changes_nothing_visible(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char key[16];
    for (unsigned i = 0; i < 1000; i++) {
        key_of(key, i);
        store(f, key, "some value of a key that is deleted");
        if (i % 2)
            erase(f, key);
    }
    put(f, "x", "1");
    commit(f, KV_SYNC);
    uint64_t before = kv_disk_bytes(f->kv);
    kv_compact(f->kv);
    assert_true(kv_disk_bytes(f->kv) < before);
    for (unsigned i = 0; i < 1000; i++) {
        key_of(key, i);
        assert_int_equal(has(f, key), i % 2 == 0);
    }
    expect(f, "x", "1");
    store(f, "y", "2");
    expect(f, "y", "2");
}

struct reader {
    struct fixture *f;
    atomic_bool stop;
    unsigned reads, torn;
};

/* "x" and "y" are always written together, so a snapshot that shows them different is torn. */
static void *read_pairs(void *arg)
{
    struct reader *r = (struct reader *)arg;
    struct buf value;
    bool found;
    buf_init(&value);
    while (!atomic_load(&r->stop)) {
        struct kv_iter *it = kv_iter_new(r->f->kv);
        kv_iter_seek(it, "x", 1);
        char first = kv_iter_valid(it) ? (char)kv_iter_value(it).data[0] : 0;
        kv_iter_seek(it, "y", 1);
        char second = kv_iter_valid(it) ? (char)kv_iter_value(it).data[0] : 0;
        kv_iter_free(it);
        r->torn += first != second;
        r->torn += kv_get(r->f->kv, "x", 1, &value, &found, NULL) != OK || !found;
        r->reads++;
    }
    buf_clear(&value);
    return NULL;
}

static void readers_on_other_threads_see_whole_batches(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct reader readers[2];
    pthread_t threads[2];
    char text[2] = "a";
    put(f, "x", text);
    store(f, "y", text);
    for (int i = 0; i < 2; i++) {
        readers[i] = (struct reader){ .f = f };
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &readers[i]), 0);
    }
    for (int n = 0; n < 3000; n++) {
        text[0] = (char)('a' + n % 26);
        put(f, "x", text);
        store(f, "y", text);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i].stop, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].torn, 0);
    }
}

/* The memory engine. */

static void failing_writes_change_nothing_and_keep_the_batch(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    kv_mem_fail_writes(f->kv, 2);
    store(f, "a", "1");
    put(f, "a", "2");
    size_t bytes = kv_batch_bytes(f->batch);
    assert_int_equal(kv_write(f->kv, f->batch, KV_SYNC, &f->e), ERR_IO);
    assert_true(f->e.text[0] != '\0');
    assert_int_equal(kv_write(f->kv, f->batch, KV_SYNC, &f->e), ERR_IO);
    assert_int_equal(kv_batch_bytes(f->batch), bytes);
    expect(f, "a", "1");
    kv_mem_fail_writes(f->kv, 0);
    commit(f, KV_SYNC);
    expect(f, "a", "2");
}

static void power_cut_goes_back_to_the_last_synced_batch(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    put(f, "a", "synced");
    put(f, "b", "synced");
    commit(f, KV_SYNC);
    store(f, "a", "lost");
    store(f, "a", "lost too");
    erase(f, "b");
    store(f, "c", "lost");
    expect(f, "a", "lost too");
    kv_mem_power_cut(f->kv);
    expect(f, "a", "synced");
    expect(f, "b", "synced");
    assert_false(has(f, "c"));
    store(f, "c", "again");
    struct kv_iter *it = kv_iter_new(f->kv);
    expect_scan(it, "", "a=synced b=synced c=again ");
    kv_iter_free(it);
}

static void a_synced_batch_carries_all_before_it(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    store(f, "a", "1");
    store(f, "a", "2");
    commit(f, KV_SYNC); /* an empty batch syncs as well */
    store(f, "a", "3");
    kv_compact(f->kv);
    kv_mem_power_cut(f->kv);
    expect(f, "a", "2");
}

static void power_cut_before_any_sync_empties_the_store(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    store(f, "a", "1");
    store(f, "a", "2");
    kv_mem_power_cut(f->kv);
    assert_false(has(f, "a"));
}

static void overwriting_one_key_does_not_grow_the_store(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    put(f, "tip", "0123456789");
    commit(f, KV_SYNC);
    for (int i = 0; i < 100; i++)
        store(f, "tip", "0123456789");
    assert_int_equal(kv_memory_bytes(f->kv), 3 + 2 * 10);
    put(f, "tip", "0123456789");
    commit(f, KV_SYNC);
    store(f, "tip", "0123456789");
    assert_int_equal(kv_memory_bytes(f->kv), 3 + 2 * 10);
}

/* LevelDB. */

static void close_store(struct fixture *f)
{
    kv_batch_free(f->batch);
    kv_close(f->kv);
    f->batch = NULL;
    f->kv = NULL;
}

static void content_survives_closing(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    store(f, "a", "1");
    close_store(f);
    struct kv_options o = options;
    o.must_exist = true;
    o.compress = true;
    o.max_open_files = 64;
    assert_int_equal(kv_open_leveldb(&f->kv, f->path, &o, &f->e), OK);
    f->batch = kv_batch_new(f->kv);
    expect(f, "a", "1");
}

static void opening_what_must_exist_says_when_it_does_not(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv_options o = options;
    struct kv *kv;
    o.must_exist = true;
    char *path = path_join(f->dir, "other");
    assert_int_equal(kv_open_leveldb(&kv, path, &o, &f->e), ERR_NOTFOUND);
    assert_null(kv);
    assert_false(path_exists(path));
    assert_int_equal(path_make_dirs(path, &f->e), OK);
    assert_int_equal(kv_open_leveldb(&kv, path, &o, &f->e), ERR_NOTFOUND);
    assert_non_null(strstr(f->e.text, path));
    free(path);
}

static void a_store_can_be_open_once(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv *second;
    assert_int_equal(kv_open_leveldb(&second, f->path, &options, &f->e), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(f->e.text, f->path));
    store(f, "still", "works");
    expect(f, "still", "works");
}

/* A child holds the lock that LevelDB takes, as another daemon would. */
static void another_process_with_the_store_open_makes_it_busy(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    int ready[2], done[2];
    char byte;
    close_store(f);
    char *path = path_join(f->path, "LOCK");
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open(path, O_RDWR);
        bool held = fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0;
        close(done[1]);
        held = held && write(ready[1], "x", 1) == 1 && read(done[0], &byte, 1) == 0;
        _exit(!held);
    }
    close(ready[1]);
    close(done[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    enum err rc = kv_open_leveldb(&f->kv, f->path, &options, &f->e);
    close(done[1]);
    close(ready[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(rc, ERR_BUSY);
    assert_non_null(strstr(f->e.text, "another process"));
    free(path);
}

static void a_store_of_somebody_else_is_an_io_error_that_says_so(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    if (geteuid() == 0)
        skip(); /* root may read everything */
    close_store(f);
    assert_int_equal(chmod(f->path, 0500), 0);
    char *path = path_join(f->path, "LOCK");
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(kv_open_leveldb(&f->kv, f->path, &options, &f->e), ERR_IO);
    assert_non_null(strstr(f->e.text, "may not use"));
    assert_int_equal(chmod(f->path, 0700), 0);
    free(path);
}

static void a_file_in_place_of_the_store_is_an_io_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct kv *kv;
    char *path = path_join(f->dir, "file");
    assert_int_equal(file_replace(path, "x", 1, &f->e), OK);
    assert_int_equal(kv_open_leveldb(&kv, path, &options, &f->e), ERR_IO);
    assert_null(kv);
    free(path);
}

struct damage {
    const char *dir;
    unsigned files;
};

static void damage_table(void *ctx, const char *name)
{
    struct damage *d = (struct damage *)ctx;
    if (!strstr(name, ".ldb"))
        return;
    char *path = path_join(d->dir, name);
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    assert_int_equal(file_pwrite(&file, "\xde\xad\xbe\xef", 4, 10, NULL), OK);
    file_close(&file);
    free(path);
    d->files++;
}

static void damaged_table_is_corrupt_not_missing(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct damage d = { f->path, 0 };
    bool found;
    store(f, "a", "a value that lies in the first block");
    kv_compact(f->kv);
    close_store(f);
    assert_int_equal(path_list(f->path, damage_table, &d, &f->e), OK);
    assert_true(d.files > 0);
    assert_int_equal(kv_open_leveldb(&f->kv, f->path, &options, &f->e), OK);
    assert_int_equal(kv_get(f->kv, "a", 1, &f->value, &found, &f->e), ERR_CORRUPT);
    assert_false(found);
    assert_non_null(strstr(f->e.text, f->path));
    assert_non_null(strstr(f->e.text, "must be rebuilt"));
    struct kv_iter *it = kv_iter_new(f->kv);
    kv_iter_seek(it, "", 0);
    assert_false(kv_iter_valid(it));
    assert_int_equal(kv_iter_error(it, &f->e), ERR_CORRUPT);
    kv_iter_free(it);
}

static void damaged_manifest_is_corrupt_at_opening(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    store(f, "a", "1");
    close_store(f);
    char *current = path_join(f->path, "CURRENT");
    assert_int_equal(file_replace(current, "nonsense", 8, &f->e), OK);
    assert_int_equal(kv_open_leveldb(&f->kv, f->path, &options, &f->e), ERR_CORRUPT);
    assert_null(f->kv);
    free(current);
}

#define ON_MEM(fn) { "memory: " #fn, fn, set_up_mem, tear_down, NULL }
#define ON_LEVELDB(fn) { "leveldb: " #fn, fn, set_up_leveldb, tear_down, NULL }
#define ON_BOTH(fn) ON_MEM(fn), ON_LEVELDB(fn)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(missing_key_is_not_an_error),
        ON_BOTH(a_store_is_empty_until_the_first_key_and_after_the_last),
        ON_BOTH(stored_value_is_found_replaced_and_deleted),
        ON_BOTH(empty_keys_and_values_and_zero_bytes_are_kept),
        ON_BOTH(the_last_change_of_a_key_in_a_batch_counts),
        ON_BOTH(batch_counts_its_bytes_and_is_empty_after_writing),
        ON_BOTH(iterator_goes_through_keys_in_byte_order),
        ON_BOTH(iterator_sees_the_state_at_its_creation),
        ON_BOTH(a_hundred_thousand_keys_are_kept_in_order),
        ON_BOTH(compaction_changes_nothing_visible),
        ON_BOTH(readers_on_other_threads_see_whole_batches),
        ON_MEM(failing_writes_change_nothing_and_keep_the_batch),
        ON_MEM(power_cut_goes_back_to_the_last_synced_batch),
        ON_MEM(a_synced_batch_carries_all_before_it),
        ON_MEM(power_cut_before_any_sync_empties_the_store),
        ON_MEM(overwriting_one_key_does_not_grow_the_store),
        ON_LEVELDB(content_survives_closing),
        ON_LEVELDB(opening_what_must_exist_says_when_it_does_not),
        ON_LEVELDB(a_store_can_be_open_once),
        ON_LEVELDB(another_process_with_the_store_open_makes_it_busy),
        ON_LEVELDB(a_store_of_somebody_else_is_an_io_error_that_says_so),
        ON_LEVELDB(a_file_in_place_of_the_store_is_an_io_error),
        ON_LEVELDB(damaged_table_is_corrupt_not_missing),
        ON_LEVELDB(damaged_manifest_is_corrupt_at_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
