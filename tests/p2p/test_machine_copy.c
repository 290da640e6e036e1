/* What an event of a device says, and that no other program's word counts. */
#include <config.h>

#include "p2p/machine_copy.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/test.h"

#define EVENT "change@/devices/vmgenid\0ACTION=change\0SUBSYSTEM=acpi\0NEW_VMGENID=1\0SEQNUM=7"

/* In memory of just its size, so that a sanitizer sees what is read behind it. */
static bool says(const void *event, size_t len)
{
    void *copy = malloc(len + !len);
    assert_non_null(copy);
    memcpy(copy, event, len);
    const bool said = machine_copy_says(span_of(copy, len));
    free(copy);
    return said;
}

#define SAYS(text) says(text, sizeof(text) - 1)

static void events_that_say_so(void **state)
{
    (void)state;
    assert_true(SAYS(EVENT));
    assert_true(SAYS(EVENT "\0"));
    assert_true(SAYS("NEW_VMGENID=1"));
    assert_true(SAYS("\0\0NEW_VMGENID=1\0"));
}

static void events_that_say_something_else(void **state)
{
    (void)state;
    assert_false(SAYS(""));
    assert_false(SAYS("\0\0\0"));
    assert_false(SAYS("add@/devices/usb1\0ACTION=add\0"));
    assert_false(SAYS("NEW_VMGENID=10\0"));
    assert_false(SAYS("NEW_VMGENID=\0001\0"));
    assert_false(SAYS("A=NEW_VMGENID=1\0"));
    for (size_t len = 0; len < sizeof EVENT - sizeof "\0SEQNUM=7"; len++)
        assert_false(says(EVENT, len));
}

static void nothing_is_heard_where_nothing_was_said(void **state)
{
    (void)state;
    const int fd = machine_copy_open();
    if (fd < 0)
        skip();
    assert_false(machine_copy_heard(fd));
    close(fd);
}

static int losses; /* errors that recvfrom gives before it reads */

ssize_t __real_recvfrom(int fd, void *out, size_t max, int flags, struct sockaddr *from,
                        socklen_t *len);
ssize_t __wrap_recvfrom(int fd, void *out, size_t max, int flags, struct sockaddr *from,
                        socklen_t *len);

ssize_t __wrap_recvfrom(int fd, void *out, size_t max, int flags, struct sockaddr *from,
                        socklen_t *len)
{
    if (!losses)
        return __real_recvfrom(fd, out, max, flags, from, len);
    losses--;
    errno = ENOBUFS;
    return -1;
}

static void what_was_lost_may_have_said_so(void **state)
{
    (void)state;
    const int fd = machine_copy_open();
    if (fd < 0)
        skip();
    losses = 1;
    assert_true(machine_copy_heard(fd));
    assert_int_equal(losses, 0);
    assert_false(machine_copy_heard(fd));
    close(fd);
}

/* From one socket to the other, as a program can send it to another one. */
static void the_word_of_a_program_does_not_count(void **state)
{
    struct sockaddr_nl to = { .nl_pid = 0 };
    socklen_t len = sizeof to;
    (void)state;
    const int fd = machine_copy_open();
    const int other = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
    if (fd < 0 || other < 0)
        skip();
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    assert_true(to.nl_pid != 0);
    to.nl_groups = 0;
    const ssize_t sent = sendto(other, EVENT, sizeof EVENT, 0, (struct sockaddr *)&to, sizeof to);
    assert_true(sent == sizeof EVENT || errno == EPERM || errno == ECONNREFUSED);
    assert_false(machine_copy_heard(fd));
    close(other);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_that_say_so),
        cmocka_unit_test(events_that_say_something_else),
        cmocka_unit_test(nothing_is_heard_where_nothing_was_said),
        cmocka_unit_test(what_was_lost_may_have_said_so),
        cmocka_unit_test(the_word_of_a_program_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
