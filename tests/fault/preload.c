#include <config.h>

#include "tests/fault/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "tests/test.h"

static const char *library(void)
{
    const char *name = getenv("BSVPEER_FAULT_LIB");
    return name ? name : "tests/fault/fault.so";
}

void fault_need(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their runtime must be the first library */
#endif
    if (!path_exists(library()))
        skip();
}

static void set_or_unset(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

int fault_run(const char *arg1, const char *arg2, const char *setting, const char *path,
              const char *count_file)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *lib = realpath(library(), NULL);
        set_or_unset("LD_PRELOAD", lib);
        set_or_unset("BSVPEER_FAULT", setting);
        set_or_unset("BSVPEER_FAULT_PATH", path);
        set_or_unset("BSVPEER_FAULT_COUNT", count_file);
        execl("/proc/self/exe", "child", arg1, arg2, (char *)NULL);
        _exit(126);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

unsigned long fault_counted(const char *count_file)
{
    struct buf b = { 0 };
    assert_int_equal(file_read_all(count_file, 1000, &b, NULL), OK);
    buf_put_u8(&b, 0);
    const char *any = strstr((char *)b.data, "any ");
    assert_non_null(any);
    const unsigned long n = strtoul(any + 4, NULL, 10);
    buf_clear(&b);
    return n;
}

static unsigned long count_calls(const char *path, fault_check_fn check)
{
    char *dir = test_dir_make(), *file = path_join(dir, "counts");
    assert_int_equal(fault_run("child", dir, NULL, path ? path : dir, file), 0);
    const unsigned long n = fault_counted(file);
    check(dir, true);
    free(file);
    test_dir_remove(dir);
    return n;
}

void fault_at_every_call(const char *path, const char *what, int status, fault_check_fn check)
{
    const unsigned long calls = count_calls(path, check), step = calls / 60 + 1;
    unsigned long tried = 0;
    for (unsigned long n = 1; n <= calls; n += step, tried++) {
        char *dir = test_dir_make(), setting[64];
        snprintf(setting, sizeof setting, "any:%lu:%s", n, what);
        const int got = fault_run("child", dir, setting, path ? path : dir, NULL);
        if (got != status && got != 0)
            fail_msg("call %lu of %lu: exit status %d", n, calls, got);
        check(dir, false);
        test_dir_remove(dir);
    }
    print_message("%s at %lu of %lu calls\n", what, tried, calls);
    assert_true(tried >= 20);
}
