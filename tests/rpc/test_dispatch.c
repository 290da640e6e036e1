#include "rpc/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "rpc/json_read.h"
#include "tests/test.h"

struct fixture {
    struct rpc_env env;
    struct rpc_table *table;
    struct buf out;
    enum rpc_code code;
    unsigned stops;
};

static void note_stop(void *node) { ((struct fixture *)node)->stops++; }

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->table = rpc_table_new();
    f->env = (struct rpc_env){ .table = f->table, .stop = note_stop, .node = f };
    buf_init(&f->out);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rpc_table_free(f->table);
    buf_clear(&f->out);
    free(f);
    clock_set_mock(0);
    return 0;
}

static const char *run_in(struct fixture *f, const char *request, const char *warmup)
{
    struct json_object *v;
    struct json_writer w;
    assert_int_equal(json_read(request, strlen(request), &v, NULL), OK);
    buf_reset(&f->out);
    jw_init(&w, &f->out, NULL, NULL);
    struct rpc_run run = { .env = &f->env, .warmup = warmup, .out = &w };
    f->code = rpc_run(&run, v);
    assert_false(run.broken);
    json_object_put(v);
    buf_put_u8(&f->out, 0);
    return (const char *)f->out.data;
}

static const char *run(struct fixture *f, const char *request) { return run_in(f, request, NULL); }

static void replies_hold_result_error_and_id_in_that_order(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(run(f, "{\"method\":\"echo\",\"params\":[1,\"a\"],\"id\":\"x\"}"),
                        "{\"result\":[1,\"a\"],\"error\":null,\"id\":\"x\"}");
    assert_string_equal(run(f, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}"),
                        "{\"result\":[],\"error\":null,\"id\":null}");
    assert_string_equal(run(f, "{\"method\":\"echo\",\"params\":{\"a\":1},\"id\":{\"b\":[1.50]}}"),
                        "{\"result\":{\"a\":1},\"error\":null,\"id\":{\"b\":[1.50]}}");
    assert_int_equal(f->code, 0);
}

static void requests_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *request, *reply; } cases[] = {
        { "7",
          "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Invalid Request object\"},"
          "\"id\":null}" },
        { "{\"id\":1}",
          "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Missing method\"},\"id\":1}" },
        { "{\"method\":5,\"id\":1}",
          "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Method must be a string\"},"
          "\"id\":1}" },
        { "{\"method\":\"echo\",\"params\":5}",
          "{\"result\":null,\"error\":{\"code\":-32600,\"message\":\"Params must be an array or "
          "object\"},\"id\":null}" },
        { "{\"method\":\"nothing\"}",
          "{\"result\":null,\"error\":{\"code\":-32601,\"message\":\"Method not found\"},"
          "\"id\":null}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(run(f, cases[i].request), cases[i].reply);
}

static void error_codes_give_the_references_http_status(void **state)
{
    (void)state;
    assert_int_equal(rpc_http_status(0), 200);
    assert_int_equal(rpc_http_status(RPC_INVALID_REQUEST), 400);
    assert_int_equal(rpc_http_status(RPC_METHOD_NOT_FOUND), 404);
    assert_int_equal(rpc_http_status(RPC_PARSE_ERROR), 500);
    assert_int_equal(rpc_http_status(RPC_IN_WARMUP), 500);
    assert_int_equal(rpc_http_status(RPC_NOT_FOUND), 500);
}

static void everything_waits_for_the_end_of_the_warm_up(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(run_in(f, "{\"method\":\"help\",\"id\":3}", "Loading block index..."),
                        "{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading block "
                        "index...\"},\"id\":3}");
}

static void a_wrong_number_of_parameters_is_answered_with_the_help(void **state)
{
    struct fixture *f = *state;
    const char *reply = run(f, "{\"method\":\"uptime\",\"params\":[1]}");
    assert_int_equal(f->code, RPC_MISC_ERROR);
    assert_non_null(strstr(reply, "\"message\":\"uptime\\n\\n"));
    reply = run(f, "{\"method\":\"setmocktime\"}");
    assert_int_equal(f->code, RPC_MISC_ERROR);
    assert_non_null(strstr(reply, "setmocktime timestamp\\n"));
}

static void wrong_types_name_what_was_expected(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "{\"method\":\"setmocktime\",\"params\":[\"1\"]}"),
                           "Expected type integer, got string"));
    assert_int_equal(f->code, RPC_TYPE_ERROR);
    assert_non_null(strstr(run(f, "{\"method\":\"setmocktime\",\"params\":[1.5]}"),
                           "JSON integer out of range"));
    assert_non_null(strstr(run(f, "{\"method\":\"setmocktime\",\"params\":[18446744073709551616],"
                                  "\"id\":340282366920938463463374607431768211456}"),
                           "JSON integer out of range\"},"
                           "\"id\":340282366920938463463374607431768211456}"));
    assert_non_null(strstr(run(f, "{\"method\":\"setmocktime\",\"params\":[null]}"),
                           "Expected type integer, got null"));
    assert_non_null(strstr(run(f, "{\"method\":\"help\",\"params\":[5]}"),
                           "JSON value is not a string as expected"));
    assert_non_null(strstr(run(f, "{\"method\":\"logging\",\"params\":[{}]}"),
                           "JSON value is not an array as expected"));
}

static void named_parameters_find_their_places_and_holes_are_null(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "{\"method\":\"help\",\"params\":{\"command\":\"stop\"}}"),
                           "{\"result\":\"stop\\n"));
    assert_non_null(strstr(run(f, "{\"method\":\"logging\",\"params\":{\"exclude\":[\"net\"]}}"),
                           "\"net\":false"));
    assert_int_equal(f->code, 0);
    assert_non_null(strstr(run(f, "{\"method\":\"help\",\"params\":{\"nope\":1}}"),
                           "Unknown named parameter nope"));
    assert_int_equal(f->code, RPC_INVALID_PARAMETER);
}

static void help_explains_one_command_or_says_that_it_is_unknown(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "{\"method\":\"help\"}"), "== Control ==\\n"));
    assert_string_equal(run(f, "{\"method\":\"help\",\"params\":[\"zz\"]}"),
                        "{\"result\":\"help: unknown command: zz\",\"error\":null,\"id\":null}");
}

static void stop_asks_the_node(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(run(f, "{\"method\":\"stop\"}"),
                        "{\"result\":\"Bitcoin server stopping\",\"error\":null,\"id\":null}");
    assert_int_equal(f->stops, 1);
}

static void uptime_follows_the_clock_which_setmocktime_sets_on_regtest_alone(void **state)
{
    struct fixture *f = *state;
    f->env.start_time = 1000;
    assert_non_null(strstr(run(f, "{\"method\":\"setmocktime\",\"params\":[1500]}"), "regtest"));
    assert_int_equal(f->code, RPC_MISC_ERROR);
    f->env.mock_time_allowed = true;
    run(f, "{\"method\":\"setmocktime\",\"params\":[1500]}");
    assert_int_equal(f->code, 0);
    assert_string_equal(run(f, "{\"method\":\"uptime\"}"),
                        "{\"result\":500,\"error\":null,\"id\":null}");
    run(f, "{\"method\":\"setmocktime\",\"params\":[-1]}");
    assert_int_equal(f->code, RPC_INVALID_PARAMETER);
}

static void logging_switches_categories(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "{\"method\":\"logging\",\"params\":[[\"rpc\"],[]]}"),
                           "\"rpc\":true"));
    assert_non_null(strstr(run(f, "{\"method\":\"logging\",\"params\":[[],[\"all\"]]}"),
                           "\"rpc\":false"));
    run(f, "{\"method\":\"logging\",\"params\":[[\"bogus\"]]}");
    assert_int_equal(f->code, RPC_INVALID_PARAMETER);
}

static void getmemoryinfo_has_the_references_fields(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "{\"method\":\"getmemoryinfo\"}"),
                           "{\"result\":{\"locked\":{\"used\":0,\"free\":0,\"total\":0,"
                           "\"locked\":0,\"chunks_used\":0,\"chunks_free\":0}"));
}

static void commands_are_placed_by_their_row(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *request; enum rpc_where where; } cases[] = {
        { "{\"method\":\"uptime\"}", RPC_ON_HTTP },
        { "{\"method\":\"getmemoryinfo\"}", RPC_ON_WORKER },
        { "{\"method\":\"nothing\"}", RPC_ON_HTTP }, { "{}", RPC_ON_HTTP },
        { "{\"method\":\"waitfornewblock\"}", RPC_ON_WAITER },
        { "{\"method\":\"getrawtransaction\"}", RPC_TRY_ON_HTTP },
        { "{\"method\":\"getblockheader\",\"params\":[\"x\"]}", RPC_ON_HTTP },
        { "{\"method\":\"getblockheader\",\"params\":[\"x\",false]}", RPC_ON_HTTP },
        { "{\"method\":\"getblockheader\",\"params\":[\"x\",2]}", RPC_ON_WORKER },
        { "{\"method\":\"getblockheader\",\"params\":[\"x\",\"DECODE_HEADER_EXTENDED\"]}",
          RPC_ON_WORKER },
        { "{\"method\":\"getblockheader\",\"params\":{\"verbose\":2}}", RPC_ON_WORKER },
        { "{\"method\":\"getblockheader\"}", RPC_ON_HTTP },
        { "[]", RPC_ON_WORKER }, { "[{\"method\":\"uptime\"}]", RPC_ON_WORKER },
        { "[{\"method\":\"uptime\"},{\"method\":\"waitfornewblock\"}]", RPC_ON_WAITER },
        { "[[{\"method\":\"waitfornewblock\"}],7]", RPC_ON_WORKER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_object *v;
        assert_int_equal(json_read(cases[i].request, strlen(cases[i].request), &v, NULL), OK);
        assert_int_equal(rpc_place(&f->env, v), cases[i].where);
        json_object_put(v);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(replies_hold_result_error_and_id_in_that_order),
        T(requests_that_are_none_are_refused),
        T(error_codes_give_the_references_http_status),
        T(everything_waits_for_the_end_of_the_warm_up),
        T(a_wrong_number_of_parameters_is_answered_with_the_help),
        T(wrong_types_name_what_was_expected),
        T(named_parameters_find_their_places_and_holes_are_null),
        T(help_explains_one_command_or_says_that_it_is_unknown),
        T(stop_asks_the_node),
        T(uptime_follows_the_clock_which_setmocktime_sets_on_regtest_alone),
        T(logging_switches_categories),
        T(getmemoryinfo_has_the_references_fields),
        T(commands_are_placed_by_their_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
