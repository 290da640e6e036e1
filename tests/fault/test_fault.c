#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/fault/preload.h"
#include "tests/test.h"

/* The child: ten 4-byte writes, each synced, then a rename. Exits with the number of what worked,
 * or errno. */
static int child(const char *dir)
{
    char *path = path_join(dir, "victim"), *to = path_join(dir, "renamed");
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    for (int i = 0; i < 10; i++)
        if (pwrite(fd, "abcd", 4, i * 4) != 4 || fdatasync(fd) != 0)
            return errno;
    if (write(1, "\n", 1) != 1 || rename(path, to) != 0)
        return errno;
    return 100;
}

static uint64_t size_of(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    struct buf b;
    buf_init(&b);
    uint64_t size = file_read_all(path, 1 << 20, &b, NULL) == OK ? b.len : UINT64_MAX;
    buf_clear(&b);
    free(path);
    return size;
}

static void without_a_setting_nothing_fails(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, NULL, NULL, NULL), 100);
    assert_int_equal(size_of(dir, "renamed"), 40);
    test_dir_remove(dir);
}

static void the_chosen_call_and_all_later_ones_fail(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, "pwrite:4:ENOSPC", NULL, NULL), ENOSPC);
    assert_int_equal(size_of(dir, "victim"), 12);
    assert_int_equal(fault_run("child", dir, "fdatasync:1:5", NULL, NULL), EIO);
    assert_int_equal(fault_run("child", dir, "open:1:EMFILE", "victim", NULL), EMFILE);
    assert_int_equal(fault_run("child", dir, "rename:1:EACCES", NULL, NULL), EACCES);
    assert_int_equal(fault_run("child", dir, "pwrite:11:EIO", NULL, NULL), 100);
    test_dir_remove(dir);
}

static void a_crash_ends_the_process_before_the_call(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, "pwrite:3:exit", NULL, NULL), FAULT_KILLED);
    assert_int_equal(size_of(dir, "victim"), 8);
    assert_int_equal(fault_run("child", dir, "rename:1:exit", NULL, NULL), FAULT_KILLED);
    assert_int_equal(size_of(dir, "victim"), 40);
    test_dir_remove(dir);
}

static void a_slow_call_is_made_late(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    const int64_t began = clock_mono_ms();
    assert_int_equal(fault_run("child", dir, "fdatasync:10:slow", NULL, NULL), 100);
    assert_in_range(clock_mono_ms() - began, 1000, 600000);
    assert_int_equal(size_of(dir, "renamed"), 40);
    test_dir_remove(dir);
}

static void a_torn_write_leaves_half(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, "pwrite:3:torn", NULL, NULL), FAULT_KILLED);
    assert_int_equal(size_of(dir, "victim"), 10);
    test_dir_remove(dir);
}

static void other_paths_and_other_kinds_of_files_do_not_count(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, "pwrite:1:EIO", "elsewhere", NULL), 100);
    assert_int_equal(fault_run("child", dir, "write:1:EIO", "victim", NULL),
                     100); /* standard output */
    test_dir_remove(dir);
}

static void calls_are_counted(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make(), *file = path_join(dir, "counts");
    assert_int_equal(fault_run("child", dir, NULL, "victim", file), 100);
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read_all(file, 1000, &b, NULL), OK);
    buf_put_u8(&b, 0);
    assert_string_equal(
        (char *)b.data,
        "open 1\nwrite 0\npwrite 10\nfsync 0\nfdatasync 10\nrename 1\nftruncate 0\n"
        "fallocate 0\nunlink 0\nany 22\n");
    buf_clear(&b);
    free(file);
    test_dir_remove(dir);
}

static void a_setting_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    fault_need();
    char *dir = test_dir_make();
    assert_int_equal(fault_run("child", dir, "pwrite:0:EIO", NULL, NULL), 2);
    assert_int_equal(fault_run("child", dir, "paint:1:EIO", NULL, NULL), 2);
    assert_int_equal(fault_run("child", dir, "pwrite:1:NONSENSE", NULL, NULL), 2);
    test_dir_remove(dir);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_setting_nothing_fails),
        cmocka_unit_test(the_chosen_call_and_all_later_ones_fail),
        cmocka_unit_test(a_crash_ends_the_process_before_the_call),
        cmocka_unit_test(a_slow_call_is_made_late),
        cmocka_unit_test(a_torn_write_leaves_half),
        cmocka_unit_test(other_paths_and_other_kinds_of_files_do_not_count),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(a_setting_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
