#include <config.h>

#include "base/file.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/test.h"

struct fixture {
    char *dir, *path;
    struct error e;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "data");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
}

static size_t names_in(const char *dir)
{
    size_t n = 0;
    assert_int_equal(path_list(dir, count_name, &n, NULL), OK);
    return n;
}

static void open_modes_tell_missing_and_existing_apart(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    assert_int_equal(file_open(&file, f->path, FILE_READ, &f->e), ERR_NOTFOUND);
    assert_non_null(strstr(f->e.text, f->path));
    assert_int_equal(file.fd, -1);
    assert_int_equal(file_open(&file, f->path, FILE_WRITE, &f->e), ERR_NOTFOUND);
    assert_int_equal(file_open(&file, f->path, FILE_CREATE_NEW, &f->e), OK);
    file_close(&file);
    assert_int_equal(file_open(&file, f->path, FILE_CREATE_NEW, &f->e), ERR_EXISTS);
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    file_close(&file);
    file_close(&file);
    assert_int_equal(file.fd, -1);
}

static void written_bytes_are_read_back_at_their_offset(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    char got[5] = "";
    uint64_t size;
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    assert_int_equal(file_pwrite(&file, "world", 5, 1000, &f->e), OK);
    assert_int_equal(file_pwrite(&file, "hello", 5, 3, &f->e), OK);
    assert_int_equal(file_sync(&file, &f->e), OK);
    assert_int_equal(file_pread(&file, got, 5, 1000, &f->e), OK);
    assert_memory_equal(got, "world", 5);
    assert_int_equal(file_pread(&file, got, 5, 3, &f->e), OK);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(file_size(&file, &size, &f->e), OK);
    assert_int_equal(size, 1005);
    file_close(&file);
}

static bool is_cached(const struct file *file)
{
    char byte;
    struct iovec v = { &byte, 1 };
    return preadv2(file->fd, &v, 1, 100000, RWF_NOWAIT) == 1;
}

static void synced_bytes_leave_the_page_cache(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static const char data[1 << 20] = "begins so";
    char got[10];
    struct file file;
    struct statfs fs;
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    assert_int_equal(file_pwrite(&file, data, sizeof data, 0, &f->e), OK);
    assert_int_equal(file_sync(&file, &f->e), OK);
    const bool cached = is_cached(&file);
    file_uncache(&file);
    assert_int_equal(fstatfs(file.fd, &fs), 0);
    if (cached && fs.f_type != TMPFS_MAGIC) /* which has nothing below its cache */
        assert_false(is_cached(&file));
    assert_int_equal(file_pread(&file, got, sizeof got, 0, &f->e), OK);
    assert_memory_equal(got, data, sizeof got);
    file_close(&file);
}

static void short_file_is_corrupt_and_the_text_says_where(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    char got[10];
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    assert_int_equal(file_pwrite(&file, "123456", 6, 0, &f->e), OK);
    assert_int_equal(file_pread(&file, got, 10, 2, &f->e), ERR_CORRUPT);
    assert_non_null(strstr(f->e.text, f->path));
    assert_non_null(strstr(f->e.text, "at 2 wanted 10 bytes, got 4"));
    assert_int_equal(file_pread(&file, got, 0, 100, &f->e), OK);
    file_close(&file);
}

static void offsets_past_the_largest_file_are_refused(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    char byte = 0;
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    assert_int_equal(file_pread(&file, &byte, 1, UINT64_MAX, &f->e), ERR_RANGE);
    assert_int_equal(file_pwrite(&file, &byte, 1, INT64_MAX, &f->e), ERR_RANGE);
    assert_int_equal(file_truncate(&file, UINT64_MAX, &f->e), ERR_RANGE);
    file_close(&file);
}

static void truncate_and_preallocate_change_the_size(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    uint64_t size;
    assert_int_equal(file_open(&file, f->path, FILE_CREATE, &f->e), OK);
    assert_int_equal(file_pwrite(&file, "123456", 6, 0, &f->e), OK);
    assert_int_equal(file_truncate(&file, 3, &f->e), OK);
    assert_int_equal(file_size(&file, &size, &f->e), OK);
    assert_int_equal(size, 3);
    assert_int_equal(file_preallocate(&file, 3, 4093, &f->e), OK);
    assert_int_equal(file_size(&file, &size, &f->e), OK);
    assert_true(size == 4096 || size == 3); /* 3: the file system cannot */
    assert_int_equal(file_preallocate(&file, 0, 0, &f->e), OK);
    file_close(&file);
}

static void full_disk_has_its_own_code(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file file;
    if (!path_exists("/dev/full"))
        skip();
    assert_int_equal(file_open(&file, "/dev/full", FILE_WRITE, &f->e), OK);
    assert_int_equal(file_pwrite(&file, "x", 1, 0, &f->e), ERR_NOSPACE);
    assert_non_null(strstr(f->e.text, "/dev/full"));
    file_close(&file);
}

static void joined_paths_have_one_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "/", "b", "/b" },
    };
    for (size_t i = 0; i < 3; i++) {
        char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

static void directories_are_made_with_their_parents_for_the_owner_alone(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct stat st;
    char *deep = path_join(f->dir, "a/b//c/");
    assert_int_equal(path_make_dirs(deep, &f->e), OK);
    assert_int_equal(path_make_dirs(deep, &f->e), OK);
    assert_int_equal(stat(deep, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(path_sync_dir(deep, &f->e), OK);
    free(deep);
}

static void a_file_in_the_way_of_a_directory_is_an_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    assert_int_equal(file_replace(f->path, "x", 1, &f->e), OK);
    assert_int_equal(path_make_dirs(f->path, &f->e), ERR_IO);
    assert_non_null(strstr(f->e.text, f->path));
    char *below = path_join(f->path, "sub");
    assert_int_equal(path_make_dirs(below, &f->e), ERR_IO);
    free(below);
}

static void removing_what_is_missing_is_fine(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    assert_int_equal(path_remove(f->path, &f->e), OK);
    assert_int_equal(file_replace(f->path, "x", 1, &f->e), OK);
    assert_true(path_exists(f->path));
    assert_int_equal(path_remove(f->path, &f->e), OK);
    assert_false(path_exists(f->path));
}

static void names_of_a_missing_directory_are_an_error(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    size_t n = 0;
    assert_int_equal(path_list(f->path, count_name, &n, &f->e), ERR_NOTFOUND);
    assert_int_equal(n, 0);
}

static void whole_file_is_read_up_to_the_limit(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static uint8_t data[40000];
    struct buf got;
    memset(data, 0x5a, sizeof(data));
    buf_init(&got);
    assert_int_equal(file_read_all(f->path, 10, &got, &f->e), ERR_NOTFOUND);
    assert_int_equal(file_replace(f->path, data, sizeof(data), &f->e), OK);
    assert_int_equal(file_read_all(f->path, sizeof(data) - 1, &got, &f->e), ERR_RANGE);
    assert_int_equal(file_read_all(f->path, sizeof(data), &got, &f->e), OK);
    assert_int_equal(got.len, sizeof(data));
    assert_memory_equal(got.data, data, sizeof(data));
    buf_clear(&got);
}

/* Opening a pipe would wait for somebody who writes into it. */
static void a_pipe_or_directory_is_no_regular_file(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf got;
    buf_init(&got);
    assert_int_equal(file_read_regular(f->path, 10, &got, &f->e), ERR_NOTFOUND);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(file_read_regular(f->path, 10, &got, &f->e), ERR_RANGE);
    assert_non_null(strstr(f->e.text, "no regular file"));
    assert_int_equal(file_read_regular("/", 10, &got, &f->e), ERR_RANGE);
    assert_int_equal(file_read_regular("/dev/null", 10, &got, &f->e), ERR_RANGE);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(file_replace(f->path, "data", 4, &f->e), OK);
    assert_int_equal(file_read_regular(f->path, 10, &got, &f->e), OK);
    assert_int_equal(got.len, 4);
    buf_clear(&got);
}

static void replace_puts_new_content_and_leaves_no_temporary_file(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf got;
    struct stat st;
    buf_init(&got);
    assert_int_equal(file_replace(f->path, "old content", 11, &f->e), OK);
    assert_int_equal(file_replace(f->path, "new", 3, &f->e), OK);
    assert_int_equal(file_read_all(f->path, 100, &got, &f->e), OK);
    assert_int_equal(got.len, 3);
    assert_memory_equal(got.data, "new", 3);
    assert_int_equal(names_in(f->dir), 1);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    buf_clear(&got);
}

static void failed_replace_leaves_the_target_and_no_temporary_file(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    char *inside = path_join(f->path, "x");
    assert_int_equal(path_make_dirs(inside, &f->e), OK); /* rename onto a directory fails */
    assert_int_equal(file_replace(f->path, "new", 3, &f->e), ERR_IO);
    assert_non_null(strstr(f->e.text, f->path));
    assert_true(path_exists(inside));
    assert_int_equal(names_in(f->dir), 1);
    free(inside);

    char *nowhere = path_join(f->dir, "missing/file");
    assert_int_not_equal(file_replace(nowhere, "new", 3, &f->e), OK);
    free(nowhere);
}

static void a_file_that_differs_from_what_was_written_is_noticed(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static uint8_t data[40000];
    struct file file;
    memset(data, 0x5a, sizeof(data));
    assert_int_equal(file_replace_checked(f->path, data, sizeof(data), &f->e), OK);
    assert_int_equal(names_in(f->dir), 1);
    assert_int_equal(file_open(&file, f->path, FILE_READ, &f->e), OK);
    assert_int_equal(file_compare(&file, data, sizeof(data), &f->e), OK);
    assert_int_equal(file_compare(&file, data, sizeof(data) - 1, &f->e), ERR_CORRUPT);
    data[39999] ^= 1;
    assert_int_equal(file_compare(&file, data, sizeof(data), &f->e), ERR_CORRUPT);
    assert_non_null(strstr(f->e.text, f->path));
    file_close(&file);
}

static void what_is_created_takes_no_other_file_s_place(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct buf got;
    buf_init(&got);
    assert_int_equal(file_create_checked(f->path, "first", 5, &f->e), OK);
    assert_int_equal(file_create_checked(f->path, "second", 6, &f->e), ERR_EXISTS);
    assert_non_null(strstr(f->e.text, f->path));
    assert_int_equal(file_read_all(f->path, 100, &got, &f->e), OK);
    assert_int_equal(got.len, 5);
    assert_memory_equal(got.data, "first", 5);
    assert_int_equal(names_in(f->dir), 1);
    buf_clear(&got);
}

static void second_lock_is_busy_and_names_the_owner(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file first, second;
    char expected[64];
    snprintf(expected, sizeof(expected), "another bsvpeerd (pid %ld) uses this directory",
             (long)getpid());
    assert_int_equal(file_lock(&first, f->path, &f->e), OK);
    assert_int_equal(file_lock(&second, f->path, &f->e), ERR_BUSY);
    assert_non_null(strstr(f->e.text, expected));
    assert_int_equal(second.fd, -1);
    file_close(&first);
    assert_int_equal(file_lock(&second, f->path, &f->e), OK);
    file_close(&second);
}

static void lock_file_of_a_dead_owner_is_taken_over(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct file lock;
    struct buf got;
    char pid[24];
    buf_init(&got);
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    assert_int_equal(file_replace(f->path, "99999999999999\n", 15, &f->e), OK);
    assert_int_equal(file_lock(&lock, f->path, &f->e), OK);
    assert_int_equal(file_read_all(f->path, 100, &got, &f->e), OK);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, pid, (size_t)len);
    file_close(&lock);
    buf_clear(&got);
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(open_modes_tell_missing_and_existing_apart),
        FILE_TEST(written_bytes_are_read_back_at_their_offset),
        FILE_TEST(synced_bytes_leave_the_page_cache),
        FILE_TEST(short_file_is_corrupt_and_the_text_says_where),
        FILE_TEST(offsets_past_the_largest_file_are_refused),
        FILE_TEST(truncate_and_preallocate_change_the_size),
        FILE_TEST(full_disk_has_its_own_code),
        cmocka_unit_test(joined_paths_have_one_slash),
        FILE_TEST(directories_are_made_with_their_parents_for_the_owner_alone),
        FILE_TEST(a_file_in_the_way_of_a_directory_is_an_error),
        FILE_TEST(removing_what_is_missing_is_fine),
        FILE_TEST(names_of_a_missing_directory_are_an_error),
        FILE_TEST(whole_file_is_read_up_to_the_limit),
        FILE_TEST(a_pipe_or_directory_is_no_regular_file),
        FILE_TEST(replace_puts_new_content_and_leaves_no_temporary_file),
        FILE_TEST(failed_replace_leaves_the_target_and_no_temporary_file),
        FILE_TEST(a_file_that_differs_from_what_was_written_is_noticed),
        FILE_TEST(what_is_created_takes_no_other_file_s_place),
        FILE_TEST(second_lock_is_busy_and_names_the_owner),
        FILE_TEST(lock_file_of_a_dead_owner_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
