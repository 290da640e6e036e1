#include "p2p/channels_pace.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/test.h"

/* Two ends of a connection of this machine. */
static void connect_both(int *a, int *b)
{
    struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof at;
    const int listener = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    *a = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(*a, (struct sockaddr *)&at, sizeof at), 0);
    *b = accept(listener, NULL, NULL);
    assert_true(*b >= 0);
    close(listener);
}

static void a_connection_with_little_on_its_way_has_room(void **state)
{
    int a, b;
    char data[1000] = { 0 };
    (void)state;
    connect_both(&a, &b);
    assert_false(pace_is_full(a));
    assert_int_equal(send(a, data, sizeof data, 0), sizeof data);
    assert_false(pace_is_full(a));
    close(a);
    close(b);
}

static void what_is_no_connection_is_never_full(void **state)
{
    int pipe_ends[2];
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_false(pace_is_full(pipe_ends[1]));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_false(pace_is_full(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_with_little_on_its_way_has_room),
        cmocka_unit_test(what_is_no_connection_is_never_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
