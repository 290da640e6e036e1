/* How many strangers pass, and that the kernel lets these pass and no others. */
#include <config.h>

#include "p2p/channels_sieve.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/test.h"

#define TARGET 1000
#define NONE 0 /* a share */

static const uint8_t here[1][8]; /* the /64 of ::1 */
static const uint8_t elsewhere[2][8] = { { 0x20, 1, 0xd, 0xb8 }, { 0, 0, 0, 0, 0, 0, 0, 1 } };

/* --- how many --- */

/* So many come in a second, spread over it; how many of them pass. */
static uint64_t second_of(struct sieve *s, uint64_t coming, uint64_t *now_ms)
{
    uint64_t passed = 0, owed = 0;
    for (int ms = 0; ms < 1000; ms++) {
        ++*now_ms;
        owed += coming * s->share / 1000;
        for (; owed >= SIEVE_ALL; owed -= SIEVE_ALL) {
            passed++;
            (void)sieve_count(s, *now_ms);
        }
    }
    (void)sieve_tick(s, *now_ms);
    return passed;
}

static void few_strangers_all_pass(void **state)
{
    struct sieve s;
    uint64_t now = 5;
    (void)state;
    sieve_init(&s, TARGET, now);
    for (int i = 0; i < 100; i++)
        assert_in_range(second_of(&s, TARGET * 4 - 1, &now), TARGET * 4 - 10, TARGET * 4);
    assert_true(s.share == SIEVE_ALL);
}

static void a_flood_is_cut_to_what_is_welcome(void **state)
{
    static const uint64_t floods[] = { 6000, 20000, 100000, 1000000 };
    struct sieve s;
    uint64_t now = 5;
    (void)state;
    for (size_t k = 0; k < sizeof floods / sizeof floods[0]; k++) {
        sieve_init(&s, TARGET, now);
        /* until it is noticed, in steps */
        assert_in_range(second_of(&s, floods[k], &now), TARGET, 20 * TARGET);
        for (int i = 0; i < 5; i++)
            (void)second_of(&s, floods[k], &now);
        for (int i = 0; i < 20; i++)
            assert_in_range(second_of(&s, floods[k], &now), TARGET * 9 / 10, TARGET * 11 / 10);
    }
}

static void all_pass_again_when_it_is_over(void **state)
{
    struct sieve s;
    uint64_t now = 5;
    (void)state;
    sieve_init(&s, TARGET, now);
    for (int i = 0; i < 10; i++)
        (void)second_of(&s, 1000000, &now);
    assert_true(s.share < SIEVE_ALL / 500);
    for (int i = 0; i < 15; i++)
        (void)second_of(&s, i % 3, &now);
    assert_true(s.share == SIEVE_ALL);
}

/* --- the filter --- */

struct pair {
    int listener;
    struct sockaddr_in6 at;
};

static int make_listener(void **state)
{
    static struct pair p;
    socklen_t len = sizeof p.at;
    p.at = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    p.listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *state = &p;
    return p.listener < 0 || bind(p.listener, (struct sockaddr *)&p.at, len) != 0 ||
           listen(p.listener, 64) != 0 ||
           getsockname(p.listener, (struct sockaddr *)&p.at, &len) != 0;
}

static int close_listener(void **state)
{
    return close(((struct pair *)*state)->listener);
}

/* Whether the kernel answers the first packet; on loopback it has done so when connect returns. */
/* The kernel answers at once, or when it comes to it: longer where it will answer. */
static bool passes_within(const struct pair *p, int ms)
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&p->at, sizeof p->at) != 0)
        assert_int_equal(errno, EINPROGRESS);
    struct pollfd out = { .fd = fd, .events = POLLOUT };
    const bool passed = poll(&out, 1, ms) == 1 && !(out.revents & (POLLERR | POLLHUP));
    close(fd);
    if (passed)
        close(accept(p->listener, NULL, NULL));
    return passed;
}

static bool passes(const struct pair *p) { return passes_within(p, 900); }
static bool is_dropped(const struct pair *p) { return !passes_within(p, 4); }

static void strangers_are_dropped_and_sources_pass(void **state)
{
    const struct pair *p = *state;
    assert_true(passes(p));
    assert_int_equal(sieve_put_on(p->listener, here, 0, NONE), OK);
    assert_true(is_dropped(p));
    assert_int_equal(sieve_put_on(p->listener, elsewhere, 2, NONE), OK);
    assert_true(is_dropped(p));
    assert_int_equal(sieve_put_on(p->listener, here, 1, NONE), OK);
    assert_true(passes(p));
    assert_int_equal(sieve_put_on(p->listener, elsewhere, 2, SIEVE_ALL), OK);
    for (int i = 0; i < 50; i++)
        assert_true(passes(p));
    assert_int_equal(sieve_put_on(p->listener, here, 0, NONE), OK);
    assert_true(is_dropped(p));
    sieve_take_off(p->listener);
    sieve_take_off(p->listener);
    assert_true(passes(p));
}

static void a_share_of_strangers_passes(void **state)
{
    const struct pair *p = *state;
    int passed = 0;
    assert_int_equal(sieve_put_on(p->listener, elsewhere, 2, SIEVE_ALL / 2), OK);
    for (int i = 0; i < 1000; i++)
        passed += !is_dropped(p);
    assert_in_range(passed, 400, 600); /* six times the standard deviation */
}

static void the_last_of_many_sources_passes(void **state)
{
    const struct pair *p = *state;
    uint8_t many[SIEVE_SOURCES_MAX + 1][8];
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < SIEVE_SOURCES_MAX; i++)
        many[i][i % 2 ? 7 : 3] = (uint8_t)(1 + i / 2);
    assert_int_equal(sieve_put_on(p->listener, many, 4, NONE), OK);
    assert_true(is_dropped(p));
    memset(many[3], 0, 8);
    assert_int_equal(sieve_put_on(p->listener, many, 4, NONE), OK);
    assert_true(passes(p));
    /* A kernel with little room for filters takes the first of them. */
    memcpy(many[0], many[3], 8);
    memset(many[3], 9, 8);
    assert_int_equal(sieve_put_on(p->listener, many, SIEVE_SOURCES_MAX + 1, NONE), OK);
    assert_true(passes(p));
}

/* --- a kernel with little room --- */

/* Steps of filters that a socket has room for, 0: what the real one says; those that it has. */
static struct { size_t room, used; } few;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

/* The old filter counts until the new one is there, as in sk_attach_filter. */
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (!few.room)
        return __real_setsockopt(fd, level, name, value, len);
    assert_int_equal(level, SOL_SOCKET);
    if (name == SO_DETACH_FILTER) {
        few.used = 0;
        return 0;
    }
    const size_t steps = ((const struct sock_fprog *)value)->len;
    assert_int_equal(name, SO_ATTACH_FILTER);
    if (few.used + steps > few.room) {
        errno = ENOMEM;
        return -1;
    }
    few.used = steps;
    return 0;
}

static void a_filter_needs_no_room_for_the_one_before(void **state)
{
    static const uint8_t many[SIEVE_SOURCES_MAX][8];
    (void)state;
    few.used = 0;
    few.room = 100;
    assert_int_equal(sieve_put_on(0, many, 16, NONE), OK);
    const size_t all = few.used;
    assert_true(2 * all > few.room); /* one fits, two do not */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sieve_put_on(0, many, 16, NONE), OK);
        assert_int_equal(few.used, all);
    }
    assert_int_equal(sieve_put_on(0, many, 32, NONE), OK);
    assert_int_equal(few.used, all); /* half of them */
    few.room = 1;
    assert_int_equal(sieve_put_on(0, many, 32, NONE), ERR_IO);
    few.room = 0;
}

/* A connection that there is loses nothing, whatever the filter becomes. */
static void connections_are_left_alone(void **state)
{
    const struct pair *p = *state;
    char got[4];
    assert_int_equal(sieve_put_on(p->listener, here, 1, NONE), OK);
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&p->at, sizeof p->at), 0);
    const int other = accept(p->listener, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assert_int_equal(sieve_put_on(p->listener, here, 0, NONE), OK);
        if (i == 2)
            sieve_take_off(other);
        assert_int_equal(write(fd, "ping", 4), 4);
        assert_int_equal(read(other, got, 4), 4);
        assert_int_equal(write(other, "pong", 4), 4);
        assert_int_equal(read(fd, got, 4), 4);
    }
    close(fd);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_strangers_all_pass),
        cmocka_unit_test(a_flood_is_cut_to_what_is_welcome),
        cmocka_unit_test(all_pass_again_when_it_is_over),
        cmocka_unit_test_setup_teardown(strangers_are_dropped_and_sources_pass, make_listener,
                                        close_listener),
        cmocka_unit_test_setup_teardown(a_share_of_strangers_passes, make_listener,
                                        close_listener),
        cmocka_unit_test_setup_teardown(the_last_of_many_sources_passes, make_listener,
                                        close_listener),
        cmocka_unit_test(a_filter_needs_no_room_for_the_one_before),
        cmocka_unit_test_setup_teardown(connections_are_left_alone, make_listener,
                                        close_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
