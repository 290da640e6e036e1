#include <config.h>

#include "tests/fault/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
