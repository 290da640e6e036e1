/* The number of a copy of the process, seen from copies. */
#include <config.h>

#include "base/process_copy.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

#define CHILDREN 8

static void it_stays_the_same_in_one_process(void **state)
{
    (void)state;
    const uint64_t number = process_copy_number();
    assert_true(number != 0);
    assert_true(process_copy_number() == number);
}

static void each_child_and_its_child_have_their_own(void **state)
{
    uint64_t *seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_true(seen != MAP_FAILED);
    seen[0] = process_copy_number();
    for (size_t i = 1; i < 2 * CHILDREN; i += 2) {
        const pid_t child = fork();
        if (child == 0) {
            seen[i] = process_copy_number();
            if (fork() == 0) {
                seen[i + 1] = process_copy_number();
                _exit(0);
            }
            wait(NULL);
            _exit(process_copy_number() == seen[i] ? 0 : 1);
        }
        int status = 1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_true(process_copy_number() == seen[0]);
    for (size_t i = 0; i <= 2 * CHILDREN; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != 0 && seen[i] != seen[k]);
    munmap(seen, 4096);
}

static void it_is_another_when_the_machine_was_copied(void **state)
{
    uint64_t before = process_copy_number();
    (void)state;
    for (int i = 0; i < 10; i++) {
        process_copy_renew();
        assert_true(process_copy_number() != before);
        before = process_copy_number();
        assert_true(process_copy_number() == before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stays_the_same_in_one_process),
        cmocka_unit_test(it_is_another_when_the_machine_was_copied),
        cmocka_unit_test(each_child_and_its_child_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
