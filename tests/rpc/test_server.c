#include "rpc/server.h"

#include <stdatomic.h>

#include "rpc/http.h"
#include "rpc/pay_call.h"
#include "tests/rpc/http_client.h"

struct fixture {
    struct rpc_server *server;
    struct rpc_auth *auth;
    struct rpc_env env;
    uint16_t port;
    char *field;
    atomic_uint stops;
    struct rpc_pay_service payments;
    struct { pay_done_fn done; void *ctx; uint64_t amount; } pays[3];
    atomic_size_t n_pays;
};

static void note_stop(void *node) { atomic_fetch_add(&((struct fixture *)node)->stops, 1); }

static void answer_route(void *ctx, struct http_request *r, struct buf *scratch)
{
    buf_reset(scratch);
    buf_printf(scratch, "%s of %s", (const char *)ctx,
               http_request_query(r) ? http_request_query(r) : "nothing");
    http_reply_start_sized(r, 200, "text/plain", "X-More: yes\r\n", scratch->len);
    assert_int_equal(http_reply_write(r, scratch->data, scratch->len), OK);
    http_reply_finish(r);
}

/* Nobody is answered before the third has come, and that one first. */
static void pay_of_three(void *ctx, const struct pay_paying *in, pay_done_fn done, void *done_ctx)
{
    struct fixture *f = ctx;
    f->pays[f->n_pays].done = done;
    f->pays[f->n_pays].ctx = done_ctx;
    f->pays[f->n_pays].amount = in->amount;
    if (++f->n_pays < 3)
        return;
    while (f->n_pays) {
        const size_t i = --f->n_pays;
        const struct pay_paid paid = { .n = f->pays[i].amount, .acknowledged = true };
        const struct error e = { ERR_BUSY, "no room" };
        f->pays[i].done(f->pays[i].ctx, paid.n == 9 ? e.code : OK, &paid, &e);
    }
}

static void answer_too_little(void *ctx, struct http_request *r, struct buf *scratch)
{
    (void)ctx;
    (void)scratch;
    http_reply_start_sized(r, 200, "text/plain", NULL, 10);
    assert_int_equal(http_reply_write(r, "12345", 5), OK);
    http_reply_finish(r);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct rpc_server_options o = { .threads = 2, .queue_depth = 4, .max_block_size = 1000000,
                                    .cors_domain = "http://good.example" };
    f->auth = rpc_auth_new();
    rpc_auth_add_password(f->auth, "u", "p");
    f->field = rpc_auth_field("u:p");
    f->payments = (struct rpc_pay_service){ .pay = pay_of_three, .ctx = f };
    f->env = (struct rpc_env){ .stop = note_stop, .node = f, .payments = &f->payments };
    assert_int_equal(rpc_server_new(&f->server, &o, &f->env, f->auth, NULL), OK);
    rpc_server_add_route(f->server, &(struct rpc_route){ .path = "/open/", .allow_post = true,
                                                         .answer = answer_route, .ctx = "open" });
    rpc_server_add_route(f->server,
                         &(struct rpc_route){ .path = "/closed", .access = ROUTE_WITH_CREDENTIALS,
                                              .threads = 1, .answer = answer_route,
                                              .ctx = "closed" });
    rpc_server_add_route(f->server, &(struct rpc_route){ .path = "/cut", .threads = 1,
                                                         .answer = answer_too_little });
    assert_int_equal(rpc_server_listen(f->server, "[::1]:0", 0, NULL), OK);
    assert_int_equal(rpc_server_start(f->server, NULL), OK);
    rpc_server_set_status(f->server, NULL);
    f->port = rpc_server_port(f->server, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rpc_server_stop(f->server);
    rpc_server_free(f->server);
    rpc_auth_free(f->auth);
    free(f->field);
    free(f);
    return 0;
}

static void post(struct fixture *f, int fd, const char *body)
{
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "POST / HTTP/1.1\r\nAuthorization: %s\r\nContent-Length: %zu\r\n\r\n", f->field,
               strlen(body));
    buf_put_str(&b, body);
    client_send(fd, b.data, b.len);
    buf_clear(&b);
}

static void expect(struct fixture *f, const char *body, int status, const char *answer)
{
    int fd = client_connect(f->port);
    struct client_reply r;
    post(f, fd, body);
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, answer);
    assert_int_equal(r.status, status);
    free(r.body);
    close(fd);
}

static void answers_are_json_with_a_newline_and_the_exact_type(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    post(f, fd, "{\"method\":\"echo\",\"params\":[1],\"id\":9}");
    assert_true(client_read(fd, &r));
    assert_string_equal(r.body, "{\"result\":[1],\"error\":null,\"id\":9}\n");
    assert_non_null(strstr(r.head, "Content-Type: application/json\n"));
    free(r.body);
    close(fd);
}

static void errors_have_their_status(void **state)
{
    struct fixture *f = *state;
    expect(f, "{\"method\":\"x\",\"id\":1}", 404,
           "{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},"
           "\"id\":1}\n");
    expect(f, "{\"id\":1}", 400,
           "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Missing method\"},"
           "\"id\":1}\n");
    expect(f, "{bad", 500,
           "{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"},"
           "\"id\":null}\n");
    expect(f, "\"text\"", 500,
           "{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Top-level object parse "
           "error\"},\"id\":null}\n");
    expect(f, "", 500,
           "{\"result\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"},"
           "\"id\":null}\n");
}

static void batches_are_answered_in_order_with_status_200(void **state)
{
    struct fixture *f = *state;
    expect(f, "[]", 200, "[]\n");
    expect(f,
           "[{\"method\":\"echo\",\"params\":[1],\"id\":1},{\"method\":\"zz\",\"id\":2},5,"
           "{\"method\":\"echo\",\"id\":3}]", 200,
           "[{\"result\":[1],\"error\":null,\"id\":1},"
           "{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},"
           "\"id\":2},"
           "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Invalid Request object\"},"
           "\"id\":null},"
           "{\"result\":[],\"error\":null,\"id\":3}]\n");
}

#define PAY(amount) "{\"method\":\"pay\",\"params\":[\"bob\"," #amount "],\"id\":" #amount "}"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define PAID(amount) \
    "{\"result\":{\"via\":\"channel\",\"channel\":\"" ZEROS "\",\"n\":" #amount \
    ",\"paid\":0,\"acknowledged\":true},\"error\":null,\"id\":" #amount "}"

static const char refused_amount[] =
    "{\"result\":null,\"error\":{\"code\":-8,\"message\":\"an amount in satoshis above 0 is "
    "wanted\"},\"id\":0}";

/* Of a batch and of several connections, none of which has a thread. */
static void what_waits_for_others_does_not_hold_up_the_next(void **state)
{
    struct fixture *f = *state;
    struct buf want, batch;
    buf_init(&want);
    buf_init(&batch);
    buf_printf(&want, "[%s,%s,%s,{\"result\":null,\"error\":{\"code\":-1,\"message\":"
               "\"no room\"},\"id\":9},{\"result\":[],\"error\":null,\"id\":4}]\n",
               PAID(1), refused_amount, PAID(2));
    buf_put_u8(&want, 0);
    for (int i = 0; i < 2; i++) { /* small, and so long that a worker parses it */
        buf_reset(&batch);
        buf_printf(&batch, "[%*s" PAY(1) "," PAY(0) "," PAY(2) "," PAY(9)
                   ",{\"method\":\"echo\",\"id\":4}]", i * 20000 + 1, " ");
        buf_put_u8(&batch, 0);
        expect(f, (const char *)batch.data, 200, (const char *)want.data);
    }
    int fd[3];
    for (int i = 0; i < 3; i++)
        fd[i] = client_connect(f->port);
    post(f, fd[0], PAY(1));
    post(f, fd[1], PAY(2));
    post(f, fd[2], PAY(3));
    for (int i = 0; i < 3; i++) {
        struct client_reply r;
        assert_true(client_read(fd[i], &r));
        assert_non_null(strstr(r.body, "\"acknowledged\":true"));
        free(r.body);
        close(fd[i]);
    }
    buf_clear(&want);
    buf_clear(&batch);
}

static void a_long_answer_is_streamed(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct buf b;
    struct client_reply r;
    buf_init(&b);
    buf_put_str(&b, "[{\"method\":\"echo\",\"params\":[\"");
    for (int i = 0; i < 300000; i++)
        buf_put_u8(&b, 'a');
    buf_put_str(&b, "\"]},{\"method\":\"echo\",\"params\":[\"end\"],\"id\":4}]");
    buf_put_u8(&b, 0);
    post(f, fd, (const char *)b.data);
    assert_true(client_read(fd, &r));
    assert_true(r.chunked);
    assert_non_null(strstr(r.body, "{\"result\":[\"end\"],\"error\":null,\"id\":4}]\n"));
    free(r.body);
    buf_clear(&b);
    close(fd);
}

static int status_of(struct fixture *f, const char *request)
{
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd, request);
    assert_true(client_read(fd, &r));
    free(r.body);
    close(fd);
    return r.status;
}

static void paths_methods_and_credentials_are_checked_before_the_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(status_of(f, "POST /x HTTP/1.1\r\nContent-Length: 100\r\n\r\n"), 404);
    assert_int_equal(status_of(f, "GET / HTTP/1.1\r\n\r\n"), 405);
    assert_int_equal(status_of(f, "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"), 401);
    double start = client_now();
    assert_int_equal(status_of(
        f, "POST / HTTP/1.1\r\nAuthorization: Basic eDp5\r\nContent-Length: 100\r\n\r\n"), 401);
    assert_true(client_now() - start > 0.24);
    assert_int_equal(status_of(f, "OPTIONS / HTTP/1.1\r\nOrigin: http://evil.example\r\n\r\n"),
                     405);
}

static void the_allowed_origin_gets_cors_fields_and_no_other(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct client_reply r;
    client_say(fd,
               "OPTIONS / HTTP/1.1\r\nOrigin: http://good.example\r\n"
               "Access-Control-Request-Method: POST\r\n\r\n");
    assert_true(client_read(fd, &r));
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.head, "Access-Control-Allow-Origin: http://good.example\n"));
    assert_non_null(strstr(r.head, "Access-Control-Allow-Headers: authorization,content-type\n"));
    free(r.body);
    close(fd);
    fd = client_connect(f->port);
    post(f, fd, "{\"method\":\"echo\"}");
    assert_true(client_read(fd, &r));
    assert_null(strstr(r.head, "Access-Control"));
    free(r.body);
    close(fd);
}

static void warm_up_is_reported_until_it_ends(void **state)
{
    struct fixture *f = *state;
    rpc_server_set_status(f->server, "Verifying blocks...");
    expect(f, "{\"method\":\"uptime\"}", 500,
           "{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Verifying blocks...\"},"
           "\"id\":null}\n");
    rpc_server_set_status(f->server, NULL);
    expect(f, "{\"method\":\"echo\"}", 200, "{\"result\":[],\"error\":null,\"id\":null}\n");
}

static void stop_reaches_the_node_and_is_answered(void **state)
{
    struct fixture *f = *state;
    expect(f, "{\"method\":\"stop\",\"id\":1}", 200,
           "{\"result\":\"Bitcoin server stopping\",\"error\":null,\"id\":1}\n");
    assert_int_equal(atomic_load(&f->stops), 1);
}

/* Worker requests sent faster than two workers take them: some are refused, none is lost. */
struct answers { unsigned full, good; };

/* What becomes of many requests that come at once. */
static void post_many(struct fixture *f, const char *body, struct answers *a)
{
    enum { N = 64 };
    int fd[N];
    struct client_reply r;
    for (int i = 0; i < N; i++) {
        fd[i] = client_connect(f->port);
        post(f, fd[i], body);
    }
    for (int i = 0; i < N; i++) {
        assert_true(client_read(fd[i], &r));
        assert_true(r.status == 500 || r.status == 200);
        if (r.status == 500)
            assert_string_equal(r.body, "Work queue depth exceeded");
        a->full += r.status == 500;
        a->good += r.status == 200;
        free(r.body);
        close(fd[i]);
    }
}

static void a_full_queue_is_answered_with_the_references_text(void **state)
{
    struct answers a = { 0, 0 };
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, '[');
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "%s{\"method\":\"help\"}", i ? "," : "");
    buf_put_str(&b, "]");
    buf_put_u8(&b, 0);
    for (int i = 0; i < 50 && a.full == 0; i++) /* a busy machine may send them one by one */
        post_many(*state, (const char *)b.data, &a);
    assert_true(a.full > 0 && a.good > 0);
    buf_clear(&b);
}

/* 20 MB for a client that does not read must not hold up the end: it has the 2 s of grace and what
 * the worker is at, not the 30 s that an idle one has. */
static void stopping_does_not_wait_for_a_client_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, '[');
    for (int i = 0; i < 20; i++) {
        buf_printf(&b, "%s{\"method\":\"echo\",\"params\":[\"", i ? "," : "");
        memset(buf_extend(&b, 1000000), 'e', 1000000);
        buf_put_str(&b, "\"]}");
    }
    buf_put_str(&b, "]");
    buf_put_u8(&b, 0);
    post(f, fd, (const char *)b.data);
    usleep(200000);
    double start = client_now();
    rpc_server_stop(f->server);
    assert_true(client_now() - start < 20);
    buf_clear(&b);
    close(fd);
}

static int get(struct fixture *f, const char *method, const char *path, const char *fields,
               struct client_reply *r)
{
    char text[512];
    int fd = client_connect(f->port);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\n%s\r\n", method, path, fields);
    client_say(fd, text);
    assert_true(client_read(fd, r));
    close(fd);
    return r->status;
}

static void routes_are_answered_beside_rpc(void **state)
{
    struct fixture *f = *state;
    struct client_reply r;
    char credentials[200];
    snprintf(credentials, sizeof credentials, "Authorization: %s\r\n", f->field);
    assert_int_equal(get(f, "GET", "/open/x?a=1", "", &r), 200);
    assert_string_equal(r.body, "open of a=1");
    assert_non_null(strstr(r.head, "X-More: yes\n"));
    assert_false(r.chunked);
    free(r.body);
    static const struct { const char *method, *path; bool named; int status; } rows[] = {
        { "POST", "/open/", false, 200 }, { "PUT", "/open/", false, 405 },
        { "GET", "/open", false, 404 },
        { "GET", "/closed", false, 401 }, { "GET", "/closed", true, 200 },
        { "POST", "/closed", true, 405 },
        { "GET", "/closed/", true, 404 }, { "GET", "/closedx", true, 404 },
        { "GET", "/", true, 405 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(get(f, rows[i].method, rows[i].path, rows[i].named ? credentials : "", &r),
                         rows[i].status);
        free(r.body);
    }
    rpc_server_set_status(f->server, "Loading...");
    assert_int_equal(get(f, "GET", "/open/", "", &r), 503);
    assert_string_equal(r.body, "Service temporarily unavailable: Loading...\r\n");
    free(r.body);
}

static void routes_take_no_large_bodies(void **state)
{
    struct fixture *f = *state;
    struct client_reply r;
    assert_int_equal(get(f, "POST", "/open/", "Content-Length: 65537\r\n", &r), 413);
    free(r.body);
}

static void a_body_that_ends_early_cuts_the_connection(void **state)
{
    struct fixture *f = *state;
    int fd = client_connect(f->port);
    char text[400];
    size_t n = 0;
    client_say(fd, "GET /cut HTTP/1.1\r\n\r\n");
    for (ssize_t got; (got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0;)
        n += (size_t)got;
    text[n] = 0;
    assert_non_null(strstr(text, "Content-Length: 10\r\n"));
    assert_string_equal(text + n - 5, "12345");
    close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(answers_are_json_with_a_newline_and_the_exact_type),
        T(errors_have_their_status),
        T(batches_are_answered_in_order_with_status_200),
        T(what_waits_for_others_does_not_hold_up_the_next),
        T(a_long_answer_is_streamed),
        T(paths_methods_and_credentials_are_checked_before_the_body),
        T(the_allowed_origin_gets_cors_fields_and_no_other),
        T(warm_up_is_reported_until_it_ends),
        T(stop_reaches_the_node_and_is_answered),
        T(stopping_does_not_wait_for_a_client_that_does_not_read),
        T(routes_are_answered_beside_rpc),
        T(routes_take_no_large_bodies),
        T(a_body_that_ends_early_cuts_the_connection),
        T(a_full_queue_is_answered_with_the_references_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
