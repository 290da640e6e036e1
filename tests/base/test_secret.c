#include <config.h>

#include "base/secret.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/test.h"

/* The flags the kernel has for the mapping of p ("rd wr ... dd"), or an empty text. */
static void mapping_flags(const void *p, char *out, size_t cap)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;
    out[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)p >= from && (unsigned long)p < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(out, cap, "%s", line + 8);
    }
    if (f)
        fclose(f);
}

/* Whether locking memory passes the limit and reaches the kernel: sanitizers swallow the call. */
static bool locking_works(void)
{
    void *p = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char flags[512];
    if (p == MAP_FAILED || mlock(p, 1) != 0)
        return false;
    mapping_flags(p, flags, sizeof flags);
    munmap(p, 1);
    return strstr(flags, " lo") != NULL;
}

static void memory_is_zero_and_writable_to_its_end(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 32, 4080, 4081, 100000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *p = secret_alloc(sizes[i]);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(p[at], 0);
        memset(p, 0xaa, sizes[i]);
        secret_free(p);
    }
    secret_free(NULL);
}

static void memory_stays_out_of_core_dumps_and_swap(void **state)
{
    (void)state;
    void *p = secret_alloc(32);
    char flags[512];
    mapping_flags(p, flags, sizeof flags);
    secret_free(p);
    if (!flags[0])
        skip(); /* no /proc */
    assert_non_null(strstr(flags, " dd"));
    if (locking_works())
        assert_non_null(strstr(flags, " lo"));
}

/* Reads the byte at p in a child; true when it lives through that. */
static bool can_read(const volatile uint8_t *p)
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        const struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        _exit(*p & 0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void the_pages_around_may_not_be_read(void **state)
{
    (void)state;
    const long page = sysconf(_SC_PAGESIZE);
    uint8_t *p = secret_alloc(32);
    const uint8_t *start = p - (uintptr_t)p % (uintptr_t)page;
    assert_true(can_read(start));
    assert_true(can_read(start + page - 1));
    assert_false(can_read(start - 1));
    assert_false(can_read(start + page));
    secret_free(p);
    assert_false(can_read(p));
}

enum { CANNOT_TELL = 77 };

/* In a process that may lock nothing: allocates twice and leaves its log at path. */
static int child_without_limit(const char *path)
{
    const struct rlimit none = { 0, 0 };
    const struct log_options o = { .path = path };
    if (log_open(&o, NULL) || setrlimit(RLIMIT_MEMLOCK, &none) != 0)
        return 1;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 1; /* the limit does not hold for root */
    uint8_t page[1];
    if (mlock(page, 1) == 0)
        return CANNOT_TELL;
    void *a = secret_alloc(32), *b = secret_alloc(32);
    memset(a, 1, 32);
    memset(b, 2, 32);
    secret_free(a);
    secret_free(b);
    log_close();
    return 0;
}

static void a_limit_that_is_too_small_is_said_once(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, "log");
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(child_without_limit(path));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_TELL) {
        free(path);
        test_dir_remove(dir);
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    struct buf text;
    buf_init(&text);
    assert_int_equal(file_read_all(path, 1 << 16, &text, NULL), OK);
    buf_put_u8(&text, 0);
    const char *first = strstr((const char *)text.data, "cannot be locked");
    assert_non_null(first);
    assert_null(strstr(first + 1, "cannot be locked"));
    buf_clear(&text);
    free(path);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_is_too_small_is_said_once),
        cmocka_unit_test(memory_is_zero_and_writable_to_its_end),
        cmocka_unit_test(memory_stays_out_of_core_dumps_and_swap),
        cmocka_unit_test(the_pages_around_may_not_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
