/* The client: conversion of arguments, output formats, and whole runs against a server. */
#include "rpc/cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/file.h"
#include "base/mem.h"
#include "rpc/cli_format.h"
#include "rpc/cli_request.h"
#include "rpc/json_read.h"
#include "rpc/server.h"
#include "tests/test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- requests ------------------------------------------------------------------------------- */

static void expect_request(const char *method, const char *const *args, size_t n,
                           enum cli_params how, const char *want)
{
    struct rpc_table *t = rpc_table_new();
    struct buf out;
    buf_init(&out);
    assert_int_equal(cli_build_request(t, method, args, n, how, &out, NULL), OK);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data, want);
    buf_clear(&out);
    rpc_table_free(t);
}

static void arguments_become_json_or_text_as_the_row_says(void **state)
{
    (void)state;
    expect_request("setmocktime", (const char *[]){ "5" }, 1, CLI_POSITIONAL,
                   "{\"method\":\"setmocktime\",\"params\":[5],\"id\":1}");
    expect_request("help", (const char *[]){ "5" }, 1, CLI_POSITIONAL,
                   "{\"method\":\"help\",\"params\":[\"5\"],\"id\":1}");
    expect_request("echo", (const char *[]){ "1", "a\"b" }, 2, CLI_POSITIONAL,
                   "{\"method\":\"echo\",\"params\":[\"1\",\"a\\\"b\"],\"id\":1}");
    expect_request("echojson", (const char *[]){ "[1,2.50]", "true" }, 2, CLI_POSITIONAL,
                   "{\"method\":\"echojson\",\"params\":[[1,2.50],true],\"id\":1}");
    expect_request("unknown", (const char *[]){ "1" }, 1, CLI_POSITIONAL,
                   "{\"method\":\"unknown\",\"params\":[\"1\"],\"id\":1}");
    expect_request("logging", (const char *[]){ "exclude=[]", "include=[\"net\"]" }, 2, CLI_NAMED,
                   "{\"method\":\"logging\",\"params\":{\"exclude\":[],\"include\":[\"net\"]},"
                   "\"id\":1}");
}

static void a_verb_after_bca_names_the_method(void **state)
{
    (void)state;
    expect_request("bca", (const char *[]){ "verify", "::1", "00" }, 3, CLI_POSITIONAL,
                   "{\"method\":\"bcaverify\",\"params\":[\"::1\",\"00\"],\"id\":1}");
    expect_request("bca", (const char *[]){ "verify", "params=00" }, 2, CLI_NAMED,
                   "{\"method\":\"bcaverify\",\"params\":{\"params\":\"00\"},\"id\":1}");
    struct rpc_table *t = rpc_table_new();
    struct error e = { 0 };
    struct buf out;
    buf_init(&out);
    assert_int_equal(cli_build_request(t, "bca", NULL, 0, CLI_POSITIONAL, &out, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "bca verify"));
    buf_clear(&out);
    rpc_table_free(t);
}

static void arguments_that_cannot_be_sent_are_named(void **state)
{
    (void)state;
    struct rpc_table *t = rpc_table_new();
    struct error e = { 0 };
    struct buf out;
    buf_init(&out);
    assert_int_equal(cli_build_request(t, "setmocktime", (const char *[]){ "x y" }, 1,
                                       CLI_POSITIONAL, &out, &e), ERR_PARSE);
    assert_string_equal(e.text, "Error parsing JSON:x y");
    assert_int_equal(cli_build_request(t, "help", (const char *[]){ "stop" }, 1, CLI_NAMED, &out,
                                       &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "No '=' in named argument 'stop'"));
    buf_clear(&out);
    rpc_table_free(t);
}

/* --- formats -------------------------------------------------------------------------------- */

static struct json_object *parse(const char *text)
{
    struct json_object *v = NULL;
    assert_int_equal(json_read(text, strlen(text), &v, NULL), OK);
    return v;
}

static void expect_result(const char *json, const char *want)
{
    struct json_object *v = parse(json);
    struct buf out;
    buf_init(&out);
    cli_format_result(v, &out);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data, want);
    buf_clear(&out);
    json_object_put(v);
}

static void results_are_printed_as_the_references_client_does(void **state)
{
    (void)state;
    expect_result("\"a\\nb\"", "a\nb\n");
    expect_result("null", "");
    expect_result("0.10000000", "0.10000000\n");
    expect_result("{\"a\":[1,{\"b\":null}],\"c\":[],\"d\":{}}",
                  "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": [\n  ],\n"
                  "  \"d\": {\n  }\n}\n");
}

static void errors_give_text_and_exit_status(void **state)
{
    (void)state;
    static const struct { const char *json, *text; int status; } cases[] = {
        { "{\"code\":-5,\"message\":\"Block not found\"}",
          "error code: -5\nerror message:\nBlock not found\n", 5 },
        { "{\"code\":-32601,\"message\":\"Method not found\"}",
          "error code: -32601\nerror message:\nMethod not found\n", 89 },
        { "{\"code\":-28,\"message\":\"x\"}", "error code: -28\nerror message:\nx\n", 28 },
        { "\"odd\"", "error: \"odd\"\n", 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_object *v = parse(cases[i].json);
        struct buf out;
        buf_init(&out);
        cli_format_error(v, &out);
        buf_put_u8(&out, 0);
        assert_string_equal((const char *)out.data, cases[i].text);
        assert_int_equal(cli_exit_status(v), cases[i].status);
        buf_clear(&out);
        json_object_put(v);
    }
}

static void getinfo_is_a_short_table(void **state)
{
    (void)state;
    struct json_object *chain = parse(
        "{\"chain\":\"regtest\",\"blocks\":5,\"headers\":10,\"bestblockhash\":\"ab\","
        "\"difficulty\":1.5,"
                                      "\"verificationprogress\":0.5,\"pruned\":true}");
    struct json_object *net =
        parse("{\"subversion\":\"/x/\",\"protocolversion\":70016,\"warnings\":\"\"}");
    struct json_object *peers =
        parse("[{\"inbound\":true},{\"inbound\":false},{\"inbound\":false}]");
    struct buf out;
    buf_init(&out);
    cli_format_getinfo(chain, net, peers, &out);
    buf_put_u8(&out, 0);
    assert_string_equal((const char *)out.data,
                        "Chain        regtest (pruned)\nBlocks       5 of 10 headers\nVerified     "
                        "[##########..........] 50.00 %\n"
                        "Best block   ab\nDifficulty   1.5\nPeers        3 (2 out, 1 in)\nNode     "
                        "    /x/, protocol 70016\n");
    buf_clear(&out);
    json_object_put(chain);
    json_object_put(net);
    json_object_put(peers);
}

/* --- whole runs ----------------------------------------------------------------------------- */

struct fixture {
    struct rpc_server *server;
    struct rpc_auth *auth;
    struct rpc_env env;
    char *dir, port[16], out[1 << 20], err[4096];
};

static void no_stop(void *node) { (void)node; }

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = test_dir_make();
    char *net_dir = path_join(f->dir, "regtest"), *cookie = path_join(net_dir, ".cookie");
    struct rpc_server_options o = { .threads = 1 };
    mkdir(net_dir, 0700);
    f->auth = rpc_auth_new();
    assert_int_equal(rpc_auth_write_cookie(f->auth, cookie, NULL), OK);
    rpc_auth_add_password(f->auth, "joe", "secret");
    f->env = (struct rpc_env){ .stop = no_stop };
    assert_int_equal(rpc_server_new(&f->server, &o, &f->env, f->auth, NULL), OK);
    assert_int_equal(rpc_server_listen(f->server, "[::1]:0", 0, NULL), OK);
    assert_int_equal(rpc_server_start(f->server, NULL), OK);
    rpc_server_set_status(f->server, NULL);
    snprintf(f->port, sizeof f->port, "-rpcport=%u", rpc_server_port(f->server, 0));
    free(net_dir);
    free(cookie);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rpc_server_stop(f->server);
    rpc_server_free(f->server);
    rpc_auth_free(f->auth);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static void slurp(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "r");
    size_t n = fread(out, 1, cap - 1, file);
    out[n] = 0;
    fclose(file);
}

/* Runs the client in a child with its output in files; args end with NULL. Returns its exit
 * status. */
static int run_cli(struct fixture *f, const char *input, const char *const *args)
{
    char *out = path_join(f->dir, "out"), *err = path_join(f->dir, "err"),
         *in = path_join(f->dir, "in");
    char *datadir = xasprintf("-datadir=%s", f->dir);
    char *argv[24] = { (char *)(uintptr_t) "bsvpeer-cli", (char *)(uintptr_t) "-regtest", datadir };
    int argc = 3, status;
    for (; args[argc - 3]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 3];
    FILE *file = fopen(in, "w");
    fputs(input, file);
    fclose(file);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(in, "r", stdin) || !freopen(out, "w", stdout) || !freopen(err, "w", stderr))
            _exit(99);
        status = cli_run(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    slurp(out, f->out, sizeof f->out);
    slurp(err, f->err, sizeof f->err);
    free(out);
    free(err);
    free(in);
    free(datadir);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define RUN(f, input, ...) run_cli(f, input, (const char *[]){ __VA_ARGS__, NULL })

static void the_cookie_of_the_data_directory_opens(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RUN(f, "", f->port, "echo", "a", "b"), 0);
    assert_string_equal(f->out, "[\n  \"a\",\n  \"b\"\n]\n");
    assert_string_equal(f->err, "");
}

static void user_and_password_come_from_options_or_standard_input(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RUN(f, "", f->port, "-rpcuser=joe", "-rpcpassword=secret", "uptime"), 0);
    assert_int_equal(RUN(f, "secret\nx\ny z\n", f->port, "-rpcuser=joe", "-stdinrpcpass", "-stdin",
                         "echo", "first"), 0);
    assert_string_equal(f->out, "[\n  \"first\",\n  \"x\",\n  \"y z\"\n]\n");
    assert_int_equal(RUN(f, "", f->port, "-rpcuser=joe", "-rpcpassword=wrong", "uptime"), 1);
    assert_string_equal(f->err, "error: incorrect rpcuser or rpcpassword (authorization failed)\n");
}

static void options_also_come_from_the_configuration_file(void **state)
{
    struct fixture *f = *state;
    char *conf = path_join(f->dir, "bitcoin.conf");
    FILE *file = fopen(conf, "w");
    fprintf(file, "%s\nrpcuser=joe\nrpcpassword=secret\nexcessiveblocksize=10GB\n", f->port + 1);
    fclose(file);
    assert_int_equal(RUN(f, "", "echo"), 0);
    free(conf);
}

static void errors_of_the_node_set_the_exit_status(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RUN(f, "", f->port, "nosuch"), 89);
    assert_string_equal(f->err, "error code: -32601\nerror message:\nMethod not found\n");
    assert_string_equal(f->out, "");
    assert_int_equal(RUN(f, "", f->port, "-named", "help", "comand=x"), 8);
    rpc_server_set_status(f->server, "Loading...");
    assert_int_equal(RUN(f, "", f->port, "uptime"), 28);
}

static void rpcwait_waits_for_the_end_of_the_warm_up(void **state)
{
    struct fixture *f = *state;
    rpc_server_set_status(f->server, "Loading...");
    char *datadir = xasprintf("-datadir=%s", f->dir);
    pid_t child = fork();
    if (child == 0) {
        char *argv[] = { (char *)(uintptr_t) "cli", (char *)(uintptr_t) "-regtest", datadir,
                         f->port, (char *)(uintptr_t) "-rpcwait", (char *)(uintptr_t) "echo",
                         NULL };
        if (!freopen("/dev/null", "w", stdout))
            _exit(99);
        _exit(cli_run(6, argv));
    }
    usleep(300000);
    rpc_server_set_status(f->server, NULL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    free(datadir);
}

static void failures_of_the_client_itself_exit_with_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RUN(f, "", "-rpcport=1", "uptime"), 1);
    assert_int_equal(strncmp(f->err, "error: couldn't connect to server: ", 35), 0);
    assert_int_equal(RUN(f, "", f->port), 1);
    assert_string_equal(f->err, "error: too few parameters (need at least command)\n");
    assert_int_equal(RUN(f, "", "-rpccookiefile=none", f->port, "uptime"), 1);
    assert_int_equal(strncmp(f->err, "error: Could not locate RPC credentials.", 40), 0);
    assert_int_equal(RUN(f, "", "-rpcprt=1", "uptime"), 1);
    assert_string_equal(f->err, "error: unknown option rpcprt (nearest known: rpcport)\n");
    assert_int_equal(RUN(f, "", "-stn", "uptime"), 1);
    assert_int_equal(RUN(f, "", "-datadir=/nonexistent/x", "uptime"), 1);
}

static void help_and_version_go_to_standard_output(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RUN(f, "", "-?"), 0);
    assert_non_null(strstr(f->out, "Usage:"));
    assert_int_equal(RUN(f, "", "-version"), 0);
    assert_int_equal(strncmp(f->out, "bsvpeer-cli ", 12), 0);
}

static void the_manual_page_names_every_visible_command(void **state)
{
    struct fixture *f = *state;
    struct rpc_table *t = rpc_table_new();
    assert_int_equal(RUN(f, "", "-help-man"), 0);
    assert_int_equal(strncmp(f->out, ".TH BSVPEER\\-CLI 1", 18), 0);
    assert_non_null(strstr(f->out, "\\fB\\-rpcconnect\\fR=<host[:port]>\n"));
    for (size_t i = 0; i < rpc_table_count(t); i++) {
        const struct rpc_command *c = rpc_table_at(t, i);
        char heading[64];
        snprintf(heading, sizeof heading, ".SS \"%s\"\n", c->name);
        if (!strstr(f->out, heading) != !!(c->flags & RPC_HIDDEN))
            fail_msg("%s", c->name);
    }
    rpc_table_free(t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_become_json_or_text_as_the_row_says),
        cmocka_unit_test(a_verb_after_bca_names_the_method),
        cmocka_unit_test(arguments_that_cannot_be_sent_are_named),
        cmocka_unit_test(results_are_printed_as_the_references_client_does),
        cmocka_unit_test(errors_give_text_and_exit_status),
        cmocka_unit_test(getinfo_is_a_short_table),
        T(the_cookie_of_the_data_directory_opens),
        T(user_and_password_come_from_options_or_standard_input),
        T(options_also_come_from_the_configuration_file),
        T(errors_of_the_node_set_the_exit_status),
        T(rpcwait_waits_for_the_end_of_the_warm_up),
        T(failures_of_the_client_itself_exit_with_one),
        T(help_and_version_go_to_standard_output),
        T(the_manual_page_names_every_visible_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
