#include <config.h>

#include "rpc/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/config.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/params.h"
#include "p2p/netaddr.h"
#include "rpc/auth.h"
#include "rpc/cli_format.h"
#include "rpc/cli_http.h"
#include "rpc/cli_man.h"
#include "rpc/cli_request.h"
#include "rpc/cli_verbs.h"
#include "rpc/json_read.h"

#define COOKIE_MAX 4096
#define RETRY_SECONDS 1

static const struct option_row option_rows[] = {
    { "help", OPTION_BOOL, 0, "0", 0, 0, 0, "Options", NULL, "Print this text and exit", "?|h" },
    { "help-man", OPTION_BOOL, OPTION_HIDDEN, "0", 0, 0, 0, "Options", NULL,
      "Print the manual page and exit", NULL },
    { "version", OPTION_BOOL, 0, "0", 0, 0, 0, "Options", NULL, "Print the version and exit",
      NULL },
    { "conf", OPTION_STRING, 0, NULL, 0, 0, 0, "Options", "<file>",
      "Configuration file, relative to the data directory (default: bsvpeer.conf, else "
      "bitcoin.conf)",
      NULL },
    { "datadir", OPTION_STRING, 0, NULL, 0, 0, 0, "Options", "<dir>",
      "Data directory (default: ~/.bsvpeer)", NULL },
    { "getinfo", OPTION_BOOL, 0, "0", 0, 0, 0, "Options", NULL,
      "Show the state of the node in a few lines", NULL },
    { "named", OPTION_BOOL, 0, "0", 0, 0, 0, "Options", NULL,
      "Pass named instead of positional arguments", NULL },
    { "stdin", OPTION_BOOL, 0, "0", 0, 0, 0, "Options", NULL,
      "Read further arguments from standard input, one a line", NULL },
    { "testnet", OPTION_BOOL, 0, "0", 0, 0, 0, "Chain", NULL, "Use the test network", NULL },
    { "stn", OPTION_BOOL, 0, "0", 0, 0, 0, "Chain", NULL, "Use the scaling test network", NULL },
    { "regtest", OPTION_BOOL, 0, "0", 0, 0, 0, "Chain", NULL, "Use the regression test network",
      NULL },
    { "rpcconnect", OPTION_STRING, 0, NULL, 0, 0, 0, "Connection", "<host[:port]>",
      "Node to talk to (default: ::1, else 127.0.0.1)", NULL },
    { "rpcport", OPTION_INT, 0, NULL, 1, 65535, 0, "Connection", "<port>",
      "Port (default: 8332, testnet 18332, stn 9332, regtest 18332)", NULL },
    { "rpcuser", OPTION_STRING, 0, NULL, 0, 0, 0, "Connection", "<user>", "User name", NULL },
    { "rpcpassword", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, 0, "Connection", "<password>",
      "Password", NULL },
    { "rpccookiefile", OPTION_STRING, 0, ".cookie", 0, 0, 0, "Connection", "<file>",
      "Cookie file, relative to the network's data directory", NULL },
    { "stdinrpcpass", OPTION_BOOL, 0, "0", 0, 0, 0, "Connection", NULL,
      "Read the password from standard input, its first line", NULL },
    { "rpcwait", OPTION_BOOL, 0, "0", 0, 0, 0, "Connection", NULL, "Wait until the node answers",
      NULL },
    { "rpcclienttimeout", OPTION_INT, 0, "900", 0, 1000000, 0, "Connection", "<seconds>",
      "How long the node may be silent; 0: for ever", NULL },
    { "rpcwallet", OPTION_STRING, 0, NULL, 0, 0, 0, "Connection", "<name>", "Wallet to use", NULL },
};

struct cli {
    struct config *config;
    struct rpc_table *table;
    const struct chain_params *params;
    char *data_dir;    /* of the network */
    char host[256];
    struct cli_endpoint endpoint;
    char *authorization, *path;
    char *typed;       /* the password from standard input; NULL: none */
    const char **args; /* method first */
    size_t n_args;
    char **owned;      /* lines of standard input among args */
    size_t n_owned;
};

int cli_complain(const char *text)
{
    fprintf(stderr, "error: %s\n", text);
    return EXIT_FAILURE;
}

/* --- settings ------------------------------------------------------------------------------- */

static enum err choose_network(struct cli *c, struct error *e)
{
    static const struct { const char *option; enum chain_network network; } nets[] = {
        { "testnet", NETWORK_TEST }, { "stn", NETWORK_STN }, { "regtest", NETWORK_REGTEST },
    };
    enum chain_network chosen = NETWORK_MAIN;
    unsigned n = 0;
    for (size_t i = 0; i < COUNT_OF(nets); i++)
        if (config_bool(c->config, nets[i].option)) {
            chosen = nets[i].network;
            n++;
        }
    if (n > 1)
        return error_set(e, ERR_PARSE, "only one of -testnet, -stn and -regtest is allowed");
    c->params = params_get(chosen);
    return OK;
}

static char *default_data_dir(void)
{
    const char *home = getenv("HOME");
    return path_join(home && *home ? home : "/", ".bsvpeer");
}

/* The file named by -conf, else the first of ours and the reference's that exists. */
static char *config_path(struct cli *c, const char *base)
{
    const char *named = config_string(c->config, "conf");
    if (named)
        return named[0] == '/' ? xstrdup(named) : path_join(base, named);
    char *ours = path_join(base, "bsvpeer.conf");
    if (path_exists(ours))
        return ours;
    free(ours);
    return path_join(base, "bitcoin.conf");
}

static enum err read_settings(struct cli *c, struct error *e)
{
    const char *chosen = config_string(c->config, "datadir");
    if (chosen && !path_exists(chosen))
        return error_set(e, ERR_NOTFOUND, "Specified data directory \"%.200s\" does not exist.",
                         chosen);
    char *base = chosen ? xstrdup(chosen) : default_data_dir();
    char *file = config_path(c, base);
    enum err rc = config_parse_file(c->config, file, e);
    if (rc == ERR_NOTFOUND)
        rc = OK; /* spec rpc 6.2: a missing file is fine */
    if (!rc && !chosen && config_string(c->config, "datadir")) {
        free(base);
        base = xstrdup(config_string(c->config, "datadir"));
    }
    if (!rc)
        rc = choose_network(c, e);
    if (!rc)
        c->data_dir =
            *c->params->data_subdir ? path_join(base, c->params->data_subdir) : xstrdup(base);
    free(file);
    free(base);
    return rc;
}

static enum err choose_endpoint(struct cli *c, struct error *e)
{
    const char *connect = config_string(c->config, "rpcconnect");
    uint16_t port = c->params->rpc_port;
    c->endpoint = (struct cli_endpoint){ .host = "::1", .fallback_host = "127.0.0.1" };
    if (connect) {
        enum err rc = netaddr_split_host_port(connect, c->host, sizeof c->host, &port, e);
        if (rc)
            return error_prefix(e, rc, "option rpcconnect");
        c->endpoint.host = c->host;
        c->endpoint.fallback_host = NULL;
    }
    c->endpoint.port =
        config_is_set(c->config, "rpcport") ? (uint16_t)config_int(c->config, "rpcport") : port;
    c->endpoint.timeout_s = config_int(c->config, "rpcclienttimeout");
    return OK;
}

/* A line of standard input without its end; NULL at the end of input. */
static char *read_line(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    return line;
}

static enum err read_cookie(struct cli *c, struct buf *out, struct error *e)
{
    const char *name = config_string(c->config, "rpccookiefile");
    char *path = name[0] == '/' ? xstrdup(name) : path_join(c->data_dir, name);
    enum err rc = file_read_all(path, COOKIE_MAX, out, NULL);
    if (rc)
        error_set(e, rc,
                  "Could not locate RPC credentials. No authentication cookie could be found "
                  "at %.200s, and no rpcpassword is set in the configuration file",
                  path);
    while (out->len && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
        out->len--;
    free(path);
    return rc;
}

/* May be called again: a node that is starting writes a new cookie. */
static enum err find_credentials(struct cli *c, struct error *e)
{
    const char *user = config_string(c->config, "rpcuser");
    const char *password = c->typed ? c->typed : config_string(c->config, "rpcpassword");
    struct buf both;
    buf_init(&both);
    enum err rc = OK;
    if (password && *password) {
        buf_put_str(&both, user ? user : "");
        buf_put_u8(&both, ':');
        buf_put_str(&both, password);
    } else {
        rc = read_cookie(c, &both, e);
    }
    buf_put_u8(&both, 0);
    free(c->authorization);
    c->authorization = rc ? NULL : rpc_auth_field((const char *)both.data);
    secure_wipe(both.data, both.len);
    buf_clear(&both);
    return rc;
}

static void collect_args(struct cli *c, int argc, char *const *argv, int first)
{
    c->args = xcalloc((size_t)(argc - first) + 1, sizeof *c->args);
    for (int i = first; i < argc; i++)
        c->args[c->n_args++] = argv[i];
    if (!config_bool(c->config, "stdin"))
        return;
    for (char *line; (line = read_line());) {
        c->args = xrealloc(c->args, (c->n_args + 1) * sizeof *c->args);
        c->owned = xrealloc(c->owned, (c->n_owned + 1) * sizeof *c->owned);
        c->args[c->n_args++] = line;
        c->owned[c->n_owned++] = line;
    }
}

/* --- calls ---------------------------------------------------------------------------------- */

static enum err check_status(int status, const struct buf *body, struct error *e)
{
    if (status == 401)
        return error_set(e, ERR_AUTH, "incorrect rpcuser or rpcpassword (authorization failed)");
    if (status >= 400 && status != 400 && status != 404 && status != 500)
        return error_set(e, ERR_PROTO, "server returned HTTP error %d", status);
    if (!body->len)
        return error_set(e, ERR_PROTO, "no response from server");
    return OK;
}

static enum err post_once(struct cli *c, const struct buf *request, struct json_object **reply,
                          struct error *e)
{
    struct buf body;
    int status = 0;
    buf_init(&body);
    enum err rc = find_credentials(c, e);
    if (!rc) {
        rc = cli_post(&c->endpoint, c->path, c->authorization, request, &status, &body, e);
        if (rc == ERR_IO)
            error_prefix(e, rc, "couldn't connect to server");
    }
    if (!rc)
        rc = check_status(status, &body, e);
    if (!rc && json_read((const char *)body.data, body.len, reply, NULL))
        rc = error_set(e, ERR_PROTO, "couldn't parse reply from server: %.*s",
                       (int)MIN_OF(body.len, (size_t)200), (const char *)body.data);
    buf_clear(&body);
    return rc;
}

struct json_object *cli_member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    if (json_object_get_type(o) == json_type_object)
        json_object_object_get_ex(o, name, &v);
    return v;
}

static bool is_warming_up(struct json_object *reply)
{
    if (json_object_get_type(reply) == json_type_array && json_object_array_length(reply))
        reply = json_object_array_get_idx(reply, 0);
    return json_object_get_int(cli_member(cli_member(reply, "error"), "code")) == RPC_IN_WARMUP;
}

/* With -rpcwait again and again until the node is there and ready. */
static enum err post(struct cli *c, const struct buf *request, struct json_object **reply,
                     struct error *e)
{
    bool wait = config_bool(c->config, "rpcwait");
    for (;;) {
        enum err rc = post_once(c, request, reply, e);
        bool cookie_missing = rc == ERR_NOTFOUND;
        bool again = rc ? rc == ERR_IO || cookie_missing : is_warming_up(*reply);
        if (!wait || !again)
            return rc;
        if (!rc)
            json_object_put(*reply);
        *reply = NULL;
        sleep(RETRY_SECONDS);
    }
}

/* Prints and clears. What cannot be printed must not pass for done: it may have been the only copy
 * of an answer. */
static int print(struct buf *text)
{
    const bool printed = buf_print(text);
    buf_clear(text);
    return printed ? EXIT_SUCCESS : cli_complain("cannot write to standard output");
}

static int show(struct json_object *reply)
{
    struct json_object *error = cli_member(reply, "error");
    struct buf out;
    buf_init(&out);
    if (!error) {
        cli_format_result(cli_member(reply, "result"), &out);
        return print(&out);
    }
    cli_format_error(error, &out);
    if (out.len > 0)
        fwrite(out.data, 1, out.len, stderr);
    buf_clear(&out);
    return cli_exit_status(error);
}

static int show_info(struct json_object *replies)
{
    struct json_object *r[3];
    for (size_t i = 0; i < COUNT_OF(r); i++) {
        struct json_object *reply = json_object_array_get_idx(replies, i);
        if (!reply || cli_member(reply, "error"))
            return reply ? show(reply) : cli_complain("couldn't parse reply from server");
        r[i] = cli_member(reply, "result");
    }
    struct buf out;
    buf_init(&out);
    cli_format_getinfo(r[0], r[1], r[2], &out);
    return print(&out);
}

static const char info_request[] = "[{\"method\":\"getblockchaininfo\"},{\"method\":"
                                   "\"getnetworkinfo\"},{\"method\":\"getpeerinfo\"}]";

/* One command, as typed. */
static enum err ask(struct cli *c, const char *method, const char *const *args, size_t n,
                    enum cli_params how, struct json_object **reply, struct error *e)
{
    struct buf request;
    buf_init(&request);
    enum err rc = cli_build_request(c->table, method, args, n, how, &request, e);
    if (!rc)
        rc = post(c, &request, reply, e);
    buf_clear(&request);
    return rc;
}

static enum err ask_info(struct cli *c, struct json_object **reply, struct error *e)
{
    struct buf request;
    buf_init(&request);
    buf_put_str(&request, info_request);
    const enum err rc = post(c, &request, reply, e);
    buf_clear(&request);
    return rc;
}

static int call(struct cli *c)
{
    const bool info = config_bool(c->config, "getinfo");
    struct json_object *reply = NULL;
    struct error e = { 0 };
    const enum err rc =
        info ? ask_info(c, &reply, &e)
             : ask(c, c->args[0], c->args + 1, c->n_args - 1,
                   config_bool(c->config, "named") ? CLI_NAMED : CLI_POSITIONAL, &reply, &e);
    const int status = rc ? cli_complain(e.text)
                          : info && json_object_get_type(reply) == json_type_array
                                ? show_info(reply) : show(reply);
    json_object_put(reply);
    return status;
}

bool cli_call(struct cli *c, const char *method, const char *const *args, size_t n,
              struct json_object **result, int *status)
{
    struct json_object *reply = NULL;
    struct error e = { 0 };
    const enum err rc = ask(c, method, args, n, CLI_POSITIONAL, &reply, &e);
    if (rc || cli_member(reply, "error")) {
        *status = rc ? cli_complain(e.text) : show(reply);
        json_object_put(reply);
        return false;
    }
    *result = json_object_get(cli_member(reply, "result"));
    json_object_put(reply);
    return true;
}

static int run_verb(struct cli *c, const struct cli_verb *verb)
{
    const size_t n = c->n_args - 1;
    if (n >= verb->min && n <= verb->max && *c->args[1])
        return verb->run(c, c->args + 1, n);
    fprintf(stderr, "error: it is bsvpeer-cli %s %s\n", verb->name, verb->usage);
    return EXIT_FAILURE;
}

static int run_command(struct cli *c)
{
    if (c->n_args == 0 && !config_bool(c->config, "getinfo"))
        return cli_complain("too few parameters (need at least command)");
    const struct cli_verb *verb = c->n_args ? cli_verb_find(c->args[0]) : NULL;
    return verb ? run_verb(c, verb) : call(c);
}

/* --- program -------------------------------------------------------------------------------- */

static void put_verbs(struct buf *out)
{
    size_t n;
    const struct cli_verb *verbs = cli_verbs(&n);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "        bsvpeer-cli [options] %s %s\n", verbs[i].name, verbs[i].usage);
    buf_put_u8(out, '\n');
}

static void put_help(struct buf *out)
{
    buf_put_str(out,
                "bsvpeer-cli " PACKAGE_VERSION "\n\n"
                "Usage:  bsvpeer-cli [options] <command> [params]  Send a command to the node\n"
                "        bsvpeer-cli [options] -named <command> [name=value] ...\n"
                "        bsvpeer-cli [options] bca <verb> [params] Send the command bca<verb>\n"
                "        bsvpeer-cli [options] help                List the commands\n"
                "        bsvpeer-cli [options] help <command>      Explain a command\n"
                "        bsvpeer-cli [options] help --json         Describe all for programs\n");
    put_verbs(out);
    config_help(option_rows, COUNT_OF(option_rows), CONFIG_HELP_USER, out);
}

/* -help, -version, -help-man; empty when none was asked for. */
static void put_text(const struct cli *c, struct buf *out)
{
    if (config_bool(c->config, "version"))
        buf_put_str(out, "bsvpeer-cli " PACKAGE_VERSION "\n");
    else if (config_bool(c->config, "help-man"))
        cli_man(c->table, option_rows, COUNT_OF(option_rows), out);
    else if (config_bool(c->config, "help"))
        put_help(out);
}

static int run(struct cli *c, int argc, char *const *argv)
{
    struct error e = { 0 };
    int first;
    if (config_parse_args(c->config, argc, argv, &first, &e))
        return cli_complain(e.text);
    struct buf text;
    buf_init(&text);
    put_text(c, &text);
    if (text.len)
        return print(&text);
    if (argc == 1) {
        put_help(&text);
        return print(&text) ? EXIT_FAILURE
                            : cli_complain("too few parameters (need at least command)");
    }
    if (read_settings(c, &e) || choose_endpoint(c, &e))
        return cli_complain(e.text);
    const char *wallet = config_string(c->config, "rpcwallet");
    c->path = wallet ? xasprintf("/wallet/%s", wallet) : xstrdup("/");
    c->typed = config_bool(c->config, "stdinrpcpass") ? read_line() : NULL;
    collect_args(c, argc, argv, first);
    const int status = run_command(c);
    if (c->typed)
        secure_wipe(c->typed, strlen(c->typed));
    free(c->typed);
    return status;
}

int cli_run(int argc, char *const *argv)
{
    struct cli c = { 0 };
    if (!file_hold_standard())
        return EXIT_FAILURE;
    c.config = config_new(option_rows, COUNT_OF(option_rows), NULL, NULL);
    c.table = rpc_table_new();
    int status = run(&c, argc, argv);
    for (size_t i = 0; i < c.n_owned; i++)
        free(c.owned[i]);
    free(c.owned);
    free(c.args);
    free(c.authorization);
    free(c.path);
    free(c.data_dir);
    rpc_table_free(c.table);
    config_free(c.config);
    return status;
}
