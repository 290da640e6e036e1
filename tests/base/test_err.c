#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static void setting_an_error_gives_its_code_and_text(void **state)
{
    (void)state;
    struct error e = { OK, "" };
    assert_int_equal(error_set(&e, ERR_RANGE, "%d is too large", 7), ERR_RANGE);
    assert_int_equal(e.code, ERR_RANGE);
    assert_string_equal(e.text, "7 is too large");
    assert_int_equal(error_set(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
}

static void the_text_may_be_made_of_itself(void **state)
{
    (void)state;
    struct error e;
    error_set(&e, ERR_IO, "inner");
    error_set(&e, ERR_IO, "outer: %s", e.text);
    assert_string_equal(e.text, "outer: inner");
}

static void a_prefix_keeps_code_and_text(void **state)
{
    (void)state;
    struct error e;
    error_set(&e, ERR_CORRUPT, "bad checksum");
    assert_int_equal(error_prefix(&e, ERR_IO, "blk%05d.dat", 3), ERR_CORRUPT);
    assert_string_equal(e.text, "blk00003.dat: bad checksum");
    assert_int_equal(error_prefix(NULL, ERR_IO, "x"), ERR_IO);
}

static void long_texts_are_cut_and_terminated(void **state)
{
    (void)state;
    struct error e;
    char big[2 * ERROR_TEXT_MAX];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    error_set(&e, ERR_PARSE, "%s", big);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    error_prefix(&e, ERR_PARSE, "%s", big);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
}

static void errno_becomes_text_and_a_full_disk_its_own_code(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(error_set_errno(&e, ENOENT, "open %s", "x"), ERR_IO);
    assert_string_equal(e.text, "open x: No such file or directory");
    assert_int_equal(error_set_errno(&e, ENOSPC, "write"), ERR_NOSPACE);
    assert_int_equal(e.code, ERR_NOSPACE);
    assert_int_equal(error_set_errno(NULL, EDQUOT, "write"), ERR_NOSPACE);
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int i = OK; i <= ERR_NOSPACE; i++)
        assert_true(strlen(err_name((enum err)i)) > 0);
    assert_string_equal(err_name((enum err)999), "unknown error");
}

static void warn_bug_tells_whether_the_condition_held(void **state)
{
    (void)state;
    int evaluated = 0;
    assert_false(WARN_BUG(evaluated++ != 0));
    assert_int_equal(evaluated, 1);
    for (int i = 0; i < 3; i++)
        assert_true(WARN_BUG(i < 3));
}

static void a_broken_fact_stops_the_process(void **state)
{
    (void)state;
    int status;
    BUG_ON(*state != NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        BUG_ON(child == 0);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_gives_its_code_and_text),
        cmocka_unit_test(the_text_may_be_made_of_itself),
        cmocka_unit_test(a_prefix_keeps_code_and_text),
        cmocka_unit_test(long_texts_are_cut_and_terminated),
        cmocka_unit_test(errno_becomes_text_and_a_full_disk_its_own_code),
        cmocka_unit_test(every_code_has_a_name),
        cmocka_unit_test(warn_bug_tells_whether_the_condition_held),
        cmocka_unit_test(a_broken_fact_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
