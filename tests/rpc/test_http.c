#include "rpc/http.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/intmath.h"
#include "rpc/http_parse.h"
#include "tests/rpc/http_client.h"

/* --- memory that is given back ---------------------------------------------------------------- */

#define CREDENTIALS "c2VjcmV0OmNyZWRlbnRpYWxz"
static atomic_bool watching;
static atomic_uint given_away; /* pieces of memory with the credentials in them */

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
    if (p && atomic_load(&watching) &&
        memmem(p, malloc_usable_size(p), CREDENTIALS, sizeof CREDENTIALS - 1))
        atomic_fetch_add(&given_away, 1);
    __real_free(p);
}

/* --- the server ------------------------------------------------------------------------------- */

/* A server that knows a few paths; see on_request. */
struct fixture {
    struct http_server *server;
    uint16_t port;
    char *dir;
    atomic_uint heads, requests, cancelled_writes;
    pthread_t thread;
    atomic_bool thread_used; /* set when thread is */
};

static struct http_decision on_head(void *ctx, const struct http_request *r)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->heads, 1);
    if (strcmp(http_request_path(r), "/refuse") == 0)
        return (struct http_decision){ .status = 401, .fields = "X-Why: no\r\n",
                                       .body = "refused" };
    if (strcmp(http_request_path(r), "/late") == 0)
        return (struct http_decision){ .status = 401, .delay_ms = 250 };
    return (struct http_decision){ .fields = "X-Extra: 1\r\n" };
}

#define STREAM_BYTES (8u << 20)

static void *stream_main(void *arg)
{
    struct http_request *r = arg;
    static char piece[65536];
    memset(piece, 'x', sizeof piece);
    http_reply_start(r, 200, "text/plain");
    for (size_t sent = 0; sent < STREAM_BYTES; sent += sizeof piece)
        if (http_reply_write(r, piece, sizeof piece)) {
            http_reply_abort(r);
            return (void *)1;
        }
    http_reply_finish(r);
    return NULL;
}

/* As a worker answers. */
static void *thread_main(void *arg)
{
    usleep(20000);
    http_reply(arg, 200, "text/plain", "thread", 6);
    return NULL;
}

static void on_thread(struct fixture *f, void *(*run)(void *), struct http_request *r)
{
    if (f->thread_used)
        pthread_join(f->thread, NULL);
    pthread_create(&f->thread, NULL, run, r);
    f->thread_used = true;
}

static void *abort_main(void *arg)
{
    http_reply_start(arg, 200, "text/plain");
    (void)(http_reply_write(arg, "part", 4) == OK);
    http_reply_abort(arg);
    return NULL;
}

static void on_request(void *ctx, struct http_request *r)
{
    struct fixture *f = ctx;
    const char *path = http_request_path(r);
    struct span body = http_request_body(r);
    atomic_fetch_add(&f->requests, 1);
    if (strcmp(path, "/echo") == 0) {
        http_reply(r, 200, "text/plain", body.data, body.len);
    } else if (strcmp(path, "/length") == 0) {
        char text[32];
        int n =
            snprintf(text, sizeof text, "%zu %d", body.len, body.len ? body.data[body.len - 1] : 0);
        http_reply(r, 200, "text/plain", text, (size_t)n);
    } else if (strcmp(path, "/stream") == 0 || strcmp(path, "/abort") == 0) {
        on_thread(f, path[1] == 's' ? stream_main : abort_main, r);
    } else if (strcmp(path, "/thread") == 0) {
        on_thread(f, thread_main, r);
    } else {
        http_reply(r, 404, NULL, NULL, 0);
    }
}

static int setup_with(void **state, int64_t idle_ms, size_t max_connections)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_make();
    struct http_options o = { .max_body = 3u << 20, .spool_above = 1u << 20, .spool_dir = f->dir,
                              .idle_timeout_ms = idle_ms, .max_connections = max_connections };
    struct http_handlers h = { .ctx = f, .on_head = on_head, .on_request = on_request };
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    assert_int_equal(http_server_new(&f->server, &o, &h, NULL), OK);
    assert_int_equal(http_server_listen(f->server, (struct sockaddr *)&a, sizeof a, NULL), OK);
    assert_int_equal(http_server_start(f->server, NULL), OK);
    f->port = http_server_port(f->server, 0);
    *state = f;
    return 0;
}

static int setup(void **state) { return setup_with(state, 30000, 0); }
static int setup_impatient(void **state) { return setup_with(state, 700, 3); }

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_stop(f->server, 100);
    if (f->thread_used)
        pthread_join(f->thread, NULL);
    http_server_free(f->server);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static void requests_on_one_connection_are_answered_in_turn(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    for (int i = 0; i < 3; i++) {
        client_say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
        assert_true(client_read(fd, &r));
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "hello");
        assert_non_null(strstr(r.head, "Content-Type: text/plain\n"));
        assert_non_null(strstr(r.head, "X-Extra: 1\n"));
        free(r.body);
    }
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    struct buf all;
    buf_init(&all);
    for (int i = 0; i < 200; i++)
        buf_printf(&all, "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\n%03d", i);
    client_send(fd, all.data, all.len);
    for (int i = 0; i < 200; i++) {
        char want[12];
        snprintf(want, sizeof want, "%03d", i);
        assert_true(client_read(fd, &r));
        assert_string_equal(r.body, want);
        free(r.body);
    }
    buf_clear(&all);
    close(fd);
}

static void expect_thread_reply(int fd)
{
    struct client_reply r;
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, "thread");
    free(r.body);
}

#define THREAD_REQUEST "GET /thread HTTP/1.1\r\n\r\n"

#define ROUND_REQUESTS 8

static void one_after_the_other(int fd)
{
    for (int i = 0; i < ROUND_REQUESTS; i++) {
        client_say(fd, THREAD_REQUEST);
        expect_thread_reply(fd);
    }
}

static void the_next_while_one_is_answered(int fd)
{
    for (int i = 0; i < ROUND_REQUESTS / 2; i++) {
        client_say(fd, THREAD_REQUEST);
        usleep(5000);
        client_say(fd, THREAD_REQUEST);
        expect_thread_reply(fd);
        expect_thread_reply(fd);
    }
}

static void all_at_once(int fd)
{
    for (int i = 0; i < ROUND_REQUESTS; i++)
        client_say(fd, THREAD_REQUEST);
    for (int i = 0; i < ROUND_REQUESTS; i++)
        expect_thread_reply(fd);
}

/* Each takes 20 ms to be answered. Were any to wait for the sweep, which comes twice a second, a
 * round would take a second and more; on a busy machine only some rounds are quick. */
static void replies_of_other_threads_are_followed_by_the_next_request(void **state)
{
    struct fixture *f = *state;
    void (*const rounds[])(int fd) = { one_after_the_other, the_next_while_one_is_answered,
                                       all_at_once };
    int fd = client_connect(f->port);
    unsigned n = 0;
    for (size_t i = 0; i < COUNT_OF(rounds); i++) {
        double took = 1;
        for (int tries = 0; tries < 20 && took > 0.8; tries++) {
            const double start = client_now();
            rounds[i](fd);
            took = client_now() - start;
            n++;
        }
        assert_true(took <= 0.8);
    }
    assert_int_equal(atomic_load(&f->requests), n * ROUND_REQUESTS);
    close(fd);
}

static void a_connection_is_idle_after_a_reply_of_another_thread(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    double start = client_now();
    client_say(fd, THREAD_REQUEST);
    expect_thread_reply(fd);
    assert_true(client_at_end(fd));
    assert_true(client_now() - start < 30);
    close(fd);
}

static void a_connection_that_another_thread_answered_makes_room(void **state)
{
    struct fixture *f = *state;
    int fd[4];
    for (int i = 0; i < 4; i++) {
        fd[i] = client_connect(f->port);
        client_say(fd[i], THREAD_REQUEST);
        expect_thread_reply(fd[i]);
    }
    for (int i = 0; i < 4; i++)
        close(fd[i]);
}

static void a_stop_after_a_reply_of_another_thread_is_quick(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    client_say(fd, THREAD_REQUEST);
    expect_thread_reply(fd);
    double start = client_now();
    http_server_stop(f->server, 60000);
    assert_true(client_now() - start < 30);
    close(fd);
}

static void a_request_in_single_bytes_is_understood(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    static const char text[] =
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct client_reply r;
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        client_send(fd, text + i, 1);
        usleep(200);
    }
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, "abc");
    free(r.body);
    close(fd);
}

static void a_refusal_comes_before_the_body_is_sent(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd, "POST /refuse HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 401);
    assert_string_equal(r.body, "refused");
    assert_non_null(strstr(r.head, "X-Why: no\n"));
    assert_non_null(strstr(r.head, "Connection: close\n"));
    free(r.body);
    assert_true(client_at_end(fd));
    assert_int_equal(atomic_load(&f->requests), 0);
    close(fd);
}

static void a_refusal_is_read_even_by_a_client_that_goes_on_sending(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    static char junk[400000];
    struct client_reply r;
    client_say(fd, "POST /refuse HTTP/1.1\r\nContent-Length: 400000\r\n\r\n");
    (void)!send(fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 401);
    free(r.body);
    close(fd);
}

static void a_delayed_refusal_does_not_hold_up_others(void **state)
{
    struct fixture *f = *state;
    struct client_reply r;
    bool overtaken = false;
    for (int tries = 0; tries < 20 && !overtaken; tries++) { /* a busy machine may look too late */
        int slow = client_connect(f->port), fast = client_connect(f->port);
        double start = client_now();
        client_say(slow, "POST /late HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        client_say(fast, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nz");
        assert_true(client_read(fast, &r));
        free(r.body);
        overtaken = poll(&(struct pollfd){ .fd = slow, .events = POLLIN }, 1, 0) == 0;
        assert_true(client_read(slow, &r));
        assert_int_equal(r.status, 401);
        assert_true(client_now() - start >= 0.24);
        free(r.body);
        close(slow);
        close(fast);
    }
    assert_true(overtaken);
}

static void a_head_above_the_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    static char head[HTTP_HEAD_MAX + 100];
    struct client_reply r;
    memset(head, 'a', sizeof head);
    memcpy(head, "POST / HTTP/1.1\r\nX: ", 20);
    client_send(fd, head, sizeof head);
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 431);
    free(r.body);
    close(fd);
}

static void garbage_and_wrong_lengths_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *text; int status; } cases[] = {
        { "\x16\x03\x01\x02\n\n", 400 },
        { "POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nTransfer-Encoding: deflate\r\n\r\n", 501 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = client_connect(f->port);
        struct client_reply r;
        client_say(fd, cases[i].text);
        assert_true(client_read(fd, &r));
        assert_int_equal(r.status, cases[i].status);
        free(r.body);
        close(fd);
    }
}

static void expect_continue_is_answered_before_the_body(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 100);
    free(r.body);
    client_say(fd, "ok");
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, "ok");
    free(r.body);
    close(fd);
}

static void a_body_above_the_threshold_goes_through_a_file(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    size_t n = (5u << 20) / 2;
    char *body = malloc(n);
    struct client_reply r;
    memset(body, 'b', n);
    body[n - 1] = 'Z';
    for (int i = 0; i < 2; i++) {
        char head[100], want[64];
        snprintf(head, sizeof head, "POST /length HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", n);
        client_say(fd, head);
        client_send(fd, body, n);
        assert_true(client_read(fd, &r));
        snprintf(want, sizeof want, "%zu %d", n, 'Z');
        assert_string_equal(r.body, want);
        free(r.body);
    }
    free(body);
    close(fd);
}

static void a_chunked_body_above_the_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    static char piece[1u << 20];
    struct client_reply r;
    client_say(fd, "POST /length HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        client_say(fd, "100000\r\n");
        client_send(fd, piece, sizeof piece);
        if (i < 3)
            client_say(fd, "\r\n");
    }
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 413);
    free(r.body);
    close(fd);
}

static void a_streamed_reply_waits_for_a_slow_reader(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd, "POST /stream HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    usleep(200000); /* the writer must be held back meanwhile, not fill memory */
    assert_true(client_read(fd, &r));
    assert_true(r.chunked);
    assert_int_equal(r.len, STREAM_BYTES);
    free(r.body);
    client_say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nq");
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, "q");
    free(r.body);
    close(fd);
}

static void a_client_that_leaves_ends_the_stream(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    void *result = NULL;
    client_say(fd, "POST /stream HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    while (!f->thread_used)
        usleep(1000);
    struct linger reset = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    pthread_join(f->thread, &result);
    f->thread_used = false;
    assert_non_null(result);
}

static void an_aborted_reply_cannot_pass_for_a_whole_one(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd, "POST /abort HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_false(client_read(fd, &r));
    free(r.body);
    close(fd);
}

static void http_1_0_gets_a_stream_that_ends_with_the_connection(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    char line[256];
    size_t got = 0;
    static char sink[65536];
    client_say(fd, "POST /stream HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    while (client_line(fd, line, sizeof line) && *line)
        assert_null(strstr(line, "chunked"));
    for (ssize_t n; (n = recv(fd, sink, sizeof sink, 0)) > 0;)
        got += (size_t)n;
    assert_int_equal(got, STREAM_BYTES);
    close(fd);
}

static void a_slow_head_is_cut_off(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    double start = client_now();
    bool open = true;
    client_say(fd, "POST /echo HTTP/1.1\r\n");
    while (open && client_now() - start < 20) {
        open = send(fd, "A: b\r\n", 6, MSG_NOSIGNAL) == 6; /* a byte now and then must not help */
        usleep(50000);
    }
    assert_false(open);
    close(fd);
}

static void an_idle_connection_makes_room_for_a_new_one(void **state)
{
    struct fixture *f = *state;
    int fd[4];
    struct client_reply r;
    for (int i = 0; i < 4; i++) {
        fd[i] = client_connect(f->port);
        client_say(fd[i], "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nn");
        assert_true(client_read(fd[i], &r));
        assert_string_equal(r.body, "n");
        free(r.body);
        usleep(5000); /* times are kept in milliseconds */
    }
    assert_true(client_at_end(fd[0]));
    for (int i = 0; i < 4; i++)
        close(fd[i]);
}

static void an_adopted_socket_pair_is_served(void **state)
{
    (void)state;
    struct fixture f = { 0 };
    struct http_server *s;
    struct http_options o = { .max_body = 1000, .idle_timeout_ms = 1000 };
    struct http_handlers h = { .ctx = &f, .on_head = on_head, .on_request = on_request };
    int pair[2];
    struct client_reply r;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(http_server_new(&s, &o, &h, NULL), OK);
    http_server_adopt(s, pair[0]);
    assert_int_equal(http_server_start(s, NULL), OK);
    client_say(pair[1], "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    assert_true(client_read(pair[1], &r));
    assert_string_equal(r.body, "hi");
    free(r.body);
    close(pair[1]);
    http_server_stop(s, 100);
    http_server_free(s);
}

/* What was freed is anybody's: it may lie in the answer to somebody else. */
static void credentials_are_wiped_with_their_request(void **state)
{
    struct fixture *f = *state;
    struct client_reply r;
    int fd = client_connect(f->port);
    atomic_store(&watching, true);
    for (int i = 0; i < 2; i++) {
        client_say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " CREDENTIALS
                       "\r\n\r\n");
        assert_true(client_read(fd, &r));
        assert_int_equal(r.status, 200);
        free(r.body);
    }
    close(fd);
    http_server_stop(f->server, 0);
    atomic_store(&watching, false);
    assert_int_equal(atomic_load(&given_away), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(requests_on_one_connection_are_answered_in_turn),
        T(credentials_are_wiped_with_their_request),
        T(pipelined_requests_are_answered_in_order),
        T(a_request_in_single_bytes_is_understood),
        T(a_refusal_comes_before_the_body_is_sent),
        T(a_refusal_is_read_even_by_a_client_that_goes_on_sending),
        T(a_delayed_refusal_does_not_hold_up_others),
        T(a_head_above_the_limit_is_refused),
        T(garbage_and_wrong_lengths_are_refused),
        T(expect_continue_is_answered_before_the_body),
        T(a_body_above_the_threshold_goes_through_a_file),
        T(a_chunked_body_above_the_limit_is_refused),
        T(a_streamed_reply_waits_for_a_slow_reader),
        T(a_client_that_leaves_ends_the_stream),
        T(an_aborted_reply_cannot_pass_for_a_whole_one),
        T(http_1_0_gets_a_stream_that_ends_with_the_connection),
        cmocka_unit_test_setup_teardown(a_slow_head_is_cut_off, setup_impatient, teardown),
        cmocka_unit_test_setup_teardown(an_idle_connection_makes_room_for_a_new_one,
                                        setup_impatient, teardown),
        cmocka_unit_test(an_adopted_socket_pair_is_served),
        T(replies_of_other_threads_are_followed_by_the_next_request),
        cmocka_unit_test_setup_teardown(a_connection_is_idle_after_a_reply_of_another_thread,
                                        setup_impatient, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_another_thread_answered_makes_room,
                                        setup_impatient, teardown),
        T(a_stop_after_a_reply_of_another_thread_is_quick),
    };
    signal(SIGPIPE, SIG_IGN); /* as the node does: a client may leave before an answer */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
