/*
 * In a network namespace of its own, whose loopback interface takes addresses at once; duplicate
 * address detection needs two hosts (tests/func/test_bca_assign.py). Where the system allows no
 * namespace, or has no IPv6, the tests skip and say so.
 */
#include "tests/test.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "p2p/netif.h"

static const struct netif_own none = { .is = NULL };

static const char *why_not; /* NULL: there is a namespace */
static uint32_t lo;

static int enter_namespace(void **state)
{
    (void)state;
    struct ifreq up = { .ifr_name = "lo" };
    if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        why_not = "the system allows no network namespace";
        return 0;
    }
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        why_not = "there is no IPv6";
        return 0;
    }
    up.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &up) != 0)
        why_not = "the loopback interface cannot be brought up";
    close(fd);
    lo = if_nametoindex("lo");
    return 0;
}

static void need_namespace(void)
{
    if (why_not) {
        print_message("%s\n", why_not);
        skip();
    }
}

static const uint8_t *ip(const char *text)
{
    static uint8_t out[4][16];
    static unsigned at;
    uint8_t *a = out[at++ % 4];
    assert_int_equal(inet_pton(AF_INET6, text, a), 1);
    return a;
}

static void assign(const char *text)
{
    struct error e = { .code = OK };
    enum netif_result result;
    const enum err rc = netif_assign(lo, ip(text), NULL, &result, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, OK);
    assert_int_equal(result, NETIF_ASSIGNED);
}

static bool has(const char *text, bool *deprecated)
{
    bool there;
    assert_int_equal(netif_has(lo, ip(text), &there, deprecated, NULL), OK);
    return there;
}

static void release(const char *text)
{
    assert_int_equal(netif_release(lo, ip(text), NULL), OK);
    assert_false(has(text, NULL));
}

static void an_address_is_put_on_and_taken_off(void **state)
{
    (void)state;
    bool deprecated;
    need_namespace();
    assert_false(has("2001:db8::5", NULL));
    assign("2001:db8::5");
    assign("2001:db8::5"); /* again is fine */
    assert_true(has("2001:db8::5", &deprecated));
    assert_false(deprecated);
    assert_int_equal(netif_deprecate(lo, ip("2001:db8::5"), 60, NULL), OK);
    assert_true(has("2001:db8::5", &deprecated));
    assert_true(deprecated);
    assign("2001:db8::5");
    assert_true(has("2001:db8::5", &deprecated));
    assert_false(deprecated);
    release("2001:db8::5");
    release("2001:db8::5");
}

static bool is_own(void *ctx, const uint8_t address[16])
{
    return mem_equal_var(ctx, address, 16);
}

static enum err prefix_of(enum netif_scope scope, const struct netif_own *own, const char *wanted,
                          uint8_t prefix[8])
{
    return netif_prefix(lo, scope, own, wanted ? ip(wanted) : NULL, prefix, NULL);
}

static void the_prefix_is_of_an_address_that_lasts(void **state)
{
    (void)state;
    uint8_t prefix[8], own_address[16];
    const struct netif_own own = { is_own, own_address };
    need_namespace();
    assert_int_equal(prefix_of(NETIF_ANY, &none, NULL, prefix), ERR_NOTFOUND);
    assign("fd00:1::1");
    assert_int_equal(prefix_of(NETIF_GLOBAL, &none, NULL, prefix), ERR_NOTFOUND);
    assert_int_equal(prefix_of(NETIF_ANY, &none, NULL, prefix), OK);
    assert_memory_equal(prefix, ip("fd00:1::"), 8);
    assign("2001:db8:0:1::1");
    assign("2001:db8:0:2::1");
    assert_int_equal(prefix_of(NETIF_ANY, &none, NULL, prefix), OK);
    assert_int_equal(prefix[0], 0x20); /* a global one is taken before a private one */
    assert_int_equal(prefix_of(NETIF_ANY, &none, "fd00:1::", prefix), OK);
    assert_memory_equal(prefix, ip("fd00:1::"), 8);
    assert_int_equal(prefix_of(NETIF_GLOBAL, &none, "2001:db8:0:2::", prefix), OK);
    assert_memory_equal(prefix, ip("2001:db8:0:2::"), 8);
    assert_int_equal(netif_deprecate(lo, ip("2001:db8:0:1::1"), 60, NULL), OK);
    assert_int_equal(prefix_of(NETIF_GLOBAL, &none, "2001:db8:0:1::", prefix), OK);
    assert_memory_equal(prefix, ip("2001:db8:0:2::"), 8);
    memcpy(own_address, ip("2001:db8:0:2::1"), 16);
    assert_int_equal(prefix_of(NETIF_GLOBAL, &own, NULL, prefix), ERR_NOTFOUND);
    assert_int_equal(prefix_of(NETIF_ANY, &own, NULL, prefix), OK);
    assert_memory_equal(prefix, ip("fd00:1::"), 8);
    release("fd00:1::1");
    release("2001:db8:0:1::1");
    release("2001:db8:0:2::1");
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    struct error e;
    uint32_t index;
    char name[IF_NAMESIZE];
    enum netif_result result;
    need_namespace();
    assert_int_equal(netif_of_default_route(&index, name, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "no default route"));
    assert_int_equal(netif_index("nowhere0", &index, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "nowhere0"));
    assert_int_equal(netif_index("a-name-that-is-too-long-for-one", &index, &e), ERR_NOTFOUND);
    assert_int_equal(netif_index("lo", &index, &e), OK);
    assert_int_equal(index, lo);
    assert_int_equal(netif_assign(99, ip("2001:db8::5"), NULL, &result, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "interface is gone"));
    assert_int_equal(netif_release(99, ip("2001:db8::5"), &e), OK);
}

static void changes_are_noticed(void **state)
{
    (void)state;
    int fd;
    need_namespace();
    assert_int_equal(netif_watch(&fd, NULL), OK);
    assert_false(netif_watch_take(fd));
    assign("2001:db8::7");
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(netif_watch_take(fd));
    release("2001:db8::7");
    close(fd);
}

static size_t sessions(const char *text)
{
    size_t n;
    assert_int_equal(netif_sessions(ip(text), &n, NULL), OK);
    return n;
}

/* A socket at one address that is connected to another socket's. */
static int connected(int type, const char *text, const struct sockaddr_in6 *to)
{
    struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
    const int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
    memcpy(&from.sin6_addr, ip(text), 16);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
    return fd;
}

static void connections_at_an_address_are_counted(void **state)
{
    (void)state;
    struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
    socklen_t len = sizeof at;
    need_namespace();
    assign("2001:db8::9");
    assign("2001:db8::a");
    memcpy(&at.sin6_addr, ip("2001:db8::9"), 16);
    const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(sessions("2001:db8::9"), 0); /* listening is none */
    const int client = connected(SOCK_STREAM, "2001:db8::a", &at);
    assert_int_equal(sessions("2001:db8::9"), 1);
    assert_int_equal(sessions("2001:db8::a"), 1);
    const int udp = connected(SOCK_DGRAM, "2001:db8::a", &at);
    assert_int_equal(sessions("2001:db8::a"), 2);
    assert_int_equal(sessions("2001:db8::b"), 0);
    close(udp);
    close(client);
    close(listener);
    release("2001:db8::9");
    release("2001:db8::a");
}

/* In a user namespace of its own a process has no say over the network namespace it came from. */
static int assign_without_privilege(void)
{
    struct error e = { .code = OK };
    enum netif_result result;
    if (unshare(CLONE_NEWUSER) != 0)
        return 77;
    return netif_permitted(lo, NULL) == ERR_AUTH &&
                   netif_assign(lo, ip("2001:db8::5"), NULL, &result, &e) == ERR_AUTH &&
                   strstr(e.text, "CAP_NET_ADMIN") && strstr(e.text, "setcap") &&
                   netif_release(lo, ip("2001:db8::6"), NULL) == ERR_AUTH &&
                   netif_release(lo, ip("2001:db8::5"), NULL) == OK /* it is not there */
               ? 0
               : 1;
}

static void without_the_privilege_it_is_named(void **state)
{
    (void)state;
    int status;
    need_namespace();
    assert_int_equal(netif_permitted(lo, NULL), OK);
    assign("2001:db8::6");
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(assign_without_privilege());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(has("2001:db8::5", NULL));
    release("2001:db8::6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_put_on_and_taken_off),
        cmocka_unit_test(the_prefix_is_of_an_address_that_lasts),
        cmocka_unit_test(what_is_not_there_is_said),
        cmocka_unit_test(changes_are_noticed),
        cmocka_unit_test(connections_at_an_address_are_counted),
        cmocka_unit_test(without_the_privilege_it_is_named),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
