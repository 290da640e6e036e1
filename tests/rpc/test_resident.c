#include "rpc/resident.h"

#include <string.h>

#include "tests/test.h"

static struct resident read_text(const char *text)
{
    FILE *f = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(f);
    const struct resident r = resident_read(f);
    fclose(f);
    return r;
}

static void pages_of_files_are_of_the_program(void **state)
{
    const struct resident r = read_text(
        "00400000-00500000 r-xp 00000000 fe:00 77                /opt/a name with spaces\n"
        "Size:               1024 kB\n"
        "Rss:                 100 kB\n"
        "Anonymous:             0 kB\n"
        "00500000-00510000 rw-p 00100000 fe:00 77                /opt/a name with spaces\n"
        "Rss:                  20 kB\n"
        "Anonymous:            20 kB\n"
        "00510000-00520000 rw-p 00000000 00:00 0 \n"
        "Rss:                   3 kB\n"
        "00520000-00530000 rw-p 00000000 00:00 0 \n"
        "Rss:                 400 kB\n");
    (void)state;
    assert_int_equal(r.program, 123 * 1024);
    assert_int_equal(r.heap, 400 * 1024);
    assert_int_equal(r.stacks, 0);
    assert_int_equal(r.all, 523 * 1024);
}

static void a_stack_has_its_guard_below_and_an_arena_above(void **state)
{
    const struct resident r = read_text(
        "7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n"
        "Rss:                   1 kB\n"
        "7f0000021000-7f0004000000 ---p 00000000 00:00 0 \n"
        "Rss:                   0 kB\n"
        "7f0004000000-7f0004021000 rw-p 00000000 00:00 0 \n" /* another arena behind it */
        "Rss:                  10 kB\n"
        "7f0004021000-7f0008000000 ---p 00000000 00:00 0 \n"
        "Rss:                   0 kB\n"
        "7f0009000000-7f0009001000 ---p 00000000 00:00 0 \n"
        "Rss:                   0 kB\n"
        "7f0009001000-7f0009801000 rw-p 00000000 00:00 0 \n"
        "Rss:                 100 kB\n"
        "7f0009802000-7f0009803000 rw-p 00000000 00:00 0 \n" /* not next to a guard */
        "Rss:                1000 kB\n"
        "0a000000-0b000000 rw-p 00000000 00:00 0                 [heap]\n"
        "Rss:               10000 kB\n"
        "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0         [stack]\n"
        "Rss:              100000 kB\n");
    (void)state;
    assert_int_equal(r.stacks, 100100 * 1024);
    assert_int_equal(r.heap, 11011 * 1024);
    assert_int_equal(r.program, 0);
}

static void this_process_has_all_of_them(void **state)
{
    const struct resident r = resident_take();
    (void)state;
    assert_true(r.program > 0 && r.stacks > 0 && r.heap > 0);
    assert_int_equal(r.all, r.program + r.stacks + r.heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_files_are_of_the_program),
        cmocka_unit_test(a_stack_has_its_guard_below_and_an_arena_above),
        cmocka_unit_test(this_process_has_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
