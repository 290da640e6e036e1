#include "node/settings.h"

#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "node/options.h"

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define DBCACHE_MAX (8 * GIB)
#define MEMORY_MIN (64 * MIB)
#define MEMPOOL_MAX UINT64_C(1000000000) /* unless -maxmempool says more */
#define NONFINAL_MAX (50 * MIB)
#define BLOCK_SIZE_MIN 1000000 /* spec rpc 6.1: excessiveblocksize is 0 or above this */
#define USER_AGENT_MAX 256

/* --- network and directories --- */

static enum err choose_network(struct settings *s, struct error *e)
{
    static const struct { const char *option; enum chain_network network; } rows[] = {
        { "testnet", NETWORK_TEST }, { "stn", NETWORK_STN }, { "regtest", NETWORK_REGTEST },
    };
    enum chain_network network = NETWORK_MAIN;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!config_bool(s->config, rows[i].option))
            continue;
        if (network != NETWORK_MAIN)
            return error_set(e, ERR_RANGE,
                             "-testnet, -stn and -regtest exclude each other: give one of them");
        network = rows[i].network;
    }
    s->params = *params_get(network);
    return OK;
}

static enum err choose_base_dir(struct settings *s, struct error *e)
{
    const char *given = config_string(s->config, "datadir");
    if (given) {
        struct stat st;
        if (stat(given, &st) || !S_ISDIR(st.st_mode))
            return error_set(e, ERR_NOTFOUND, "-datadir=%s: no such directory; make it first",
                             given);
        char *full = realpath(given, NULL);
        s->base_dir = full ? full : xstrdup(given);
        return OK;
    }
    const char *home = getenv("HOME");
    s->base_dir = path_join(home && *home ? home : "/", ".bsvpeer");
    return path_make_dirs(s->base_dir, e);
}

/* A name of the user's: absolute, or below dir. */
static char *below(const char *dir, const char *name)
{
    return name[0] == '/' ? xstrdup(name) : path_join(dir, name);
}

static void warn_line(void *ctx, const char *text)
{
    struct settings *s = ctx;
    buf_put_str(&s->warnings, text);
    buf_put_u8(&s->warnings, '\n');
}

static enum err read_config_file(struct settings *s, struct error *e)
{
    const char *given = config_string(s->config, "conf");
    char *path = below(s->base_dir, given ? given : "bsvpeer.conf");
    if (!given && !path_exists(path)) {
        char *other = path_join(s->base_dir, "bitcoin.conf");
        if (path_exists(other)) {
            char *text = xasprintf("no bsvpeer.conf: reading %s", other);
            warn_line(s, text);
            free(text);
        }
        free(path);
        path = other;
    }
    enum err rc = config_parse_file(s->config, path, e);
    if (rc == ERR_NOTFOUND && !given)
        rc = OK;
    else if (rc == ERR_NOTFOUND)
        rc = error_set(e, ERR_NOTFOUND, "-conf=%s: no such file (looked for %s)", given, path);
    free(path);
    return rc;
}

static enum err make_paths(struct settings *s, struct error *e)
{
    s->net_dir = *s->params.data_subdir ? path_join(s->base_dir, s->params.data_subdir)
                                        : xstrdup(s->base_dir);
    s->blocks_dir = path_join(s->net_dir, "blocks");
    s->log_path = path_join(s->net_dir, "bsvpeerd.log");
    s->lock_path = path_join(s->net_dir, ".lock");
    s->pid_path = below(s->net_dir, config_string(s->config, "pid"));
    s->cookie_path = below(s->net_dir, config_string(s->config, "rpccookiefile"));
    return path_make_dirs(s->net_dir, e);
}

/* --- rules between options (spec rpc 6.3) --- */

static void apply_interactions(struct config *c)
{
    static const struct { const char *when, *then, *value; } rules[] = {
        { "bind", "listen", "1" },        { "whitebind", "listen", "1" },
        { "connect", "dnsseed", "0" },    { "connect", "forcednsseed", "0" },
        { "connect", "listen", "0" },     { "proxy", "listen", "0" },
        { "proxy", "discover", "0" },     { "externalip", "discover", "0" },
    };
    /* The first rule that applies counts: who binds an address wants it heard,
     * even with -connect. */
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (config_is_set(c, rules[i].when) &&
            config_source(c, rules[i].then) == OPTION_FROM_DEFAULT)
            config_set_rule(c, rules[i].then, rules[i].value);
    if (!config_bool(c, "listen"))
        config_set_rule(c, "discover", "0");
    if (config_bool(c, "blocksonly"))
        config_set_rule(c, "whitelistrelay", "0");
}

/* --- values that need a second look --- */

static enum err check_block_size(const struct settings *s, struct error *e)
{
    const uint64_t size = config_size(s->config, "excessiveblocksize");
    if (size != 0 && size <= BLOCK_SIZE_MIN)
        return error_set(e, ERR_RANGE,
                         "-excessiveblocksize=%llu: must be 0 (unlimited) or above %d",
                         (unsigned long long)size, BLOCK_SIZE_MIN);
    const uint64_t made = config_size(s->config, "blockmaxsize");
    if (size != 0 && made > size && config_is_set(s->config, "blockmaxsize"))
        return error_set(e, ERR_RANGE,
                         "-blockmaxsize=%llu: must not be above -excessiveblocksize=%llu",
                         (unsigned long long)made, (unsigned long long)size);
    return OK;
}

static enum err check_mining_address(const struct settings *s, struct error *e)
{
    const char *text = config_string(s->config, "miningaddress");
    uint8_t version, hash[20];
    if (!text || (address_decode(text, &version, hash) &&
                  (version == s->params.address_version ||
                   version == s->params.script_address_version)))
        return OK;
    return error_set(e, ERR_PARSE, "-miningaddress=%s: no address of this network", text);
}

static enum err check_load_files(const struct settings *s, struct error *e)
{
    const char *const *files;
    const size_t n = config_list(s->config, "loadblock", &files);
    for (size_t i = 0; i < n; i++)
        if (!path_exists(files[i]))
            return error_set(e, ERR_NOTFOUND, "-loadblock=%s: no such file", files[i]);
    return OK;
}

static enum err regtest_only(const struct settings *s, struct error *e)
{
    static const char *const names[] = { "mocktime", "genesisactivationheight",
                                         "chronicleactivationheight", "blockversion" };
    for (size_t i = 0; s->params.network != NETWORK_REGTEST && i < COUNT_OF(names); i++)
        if (config_is_set(s->config, names[i]))
            return error_set(e, ERR_RANGE, "-%s is for -regtest only", names[i]);
    return OK;
}

static enum err override_hash(const struct settings *s, const char *name, uint8_t out[32],
                              struct error *e)
{
    const char *text = config_string(s->config, name);
    if (!text || !*text)
        return OK;
    if (strcmp(text, "0") == 0)
        memset(out, 0, 32);
    else if (!hash_from_hex(out, text))
        return error_set(e, ERR_PARSE, "-%s=%s: must be 64 hex digits, or 0", name, text);
    return OK;
}

static enum err override_params(struct settings *s, struct error *e)
{
    const char *work = config_string(s->config, "minimumchainwork");
    if (work && *work) {
        const char *digits = strncmp(work, "0x", 2) == 0 ? work + 2 : work;
        if (!u256_from_hex(&s->params.minimum_work, digits))
            return error_set(e, ERR_PARSE, "-minimumchainwork=%s: must be up to 64 hex digits",
                             work);
    }
    if (config_is_set(s->config, "genesisactivationheight"))
        s->params.heights.genesis = (int32_t)config_int(s->config, "genesisactivationheight");
    if (config_is_set(s->config, "chronicleactivationheight"))
        s->params.heights.chronicle = (int32_t)config_int(s->config, "chronicleactivationheight");
    if (s->params.heights.chronicle < s->params.heights.genesis)
        return error_set(
            e, ERR_RANGE,
            "-chronicleactivationheight=%d: must not be below -genesisactivationheight (%d)",
            s->params.heights.chronicle, s->params.heights.genesis);
    const char *magic = config_string(s->config, "magicbytes");
    size_t len;
    if (magic && (s->params.network == NETWORK_MAIN ||
                  !hex_decode(s->params.wire_magic, 4, magic, strlen(magic), &len) || len != 4))
        return error_set(e, ERR_RANGE,
                         "-magicbytes=%s: must be 8 hex digits, and not on the main network",
                         magic);
    return override_hash(s, "assumevalid", s->params.assume_valid.b, e);
}

static uint64_t machine_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 4 * GIB;
}

/* What was chosen for the user shows in getsettings like what the user chose. */
static void show_size(struct settings *s, const char *option, uint64_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%lluB", (unsigned long long)bytes);
    config_set_rule(s->config, option, text);
}

static void choose_memory(struct settings *s)
{
    const uint64_t machine = machine_memory();
    const bool limited = config_is_set(s->config, "memory");
    s->memory_bytes = limited ? config_size(s->config, "memory") : MAX_OF(machine / 2, MEMORY_MIN);
    s->dbcache_bytes = limited ? s->memory_bytes / 2 : MIN_OF(machine / 4, DBCACHE_MAX);
    if (config_is_set(s->config, "dbcache"))
        s->dbcache_bytes = config_size(s->config, "dbcache");
    show_size(s, "memory", s->memory_bytes);
    show_size(s, "dbcache", s->dbcache_bytes);
}

/* -memory is a ceiling for -maxmempool too, which gets a half of it at most. */
static void choose_mempool_memory(struct settings *s)
{
    s->mempool_bytes = MIN_OF(s->memory_bytes / 8, MEMPOOL_MAX);
    s->nonfinal_bytes = MIN_OF(s->memory_bytes / 16, NONFINAL_MAX);
    if (config_is_set(s->config, "maxmempool"))
        s->mempool_bytes = config_size(s->config, "maxmempool");
    if (config_is_set(s->config, "maxmempoolnonfinal"))
        s->nonfinal_bytes = config_size(s->config, "maxmempoolnonfinal");
    if (config_is_set(s->config, "memory") && s->mempool_bytes > s->memory_bytes / 2) {
        s->mempool_bytes = s->memory_bytes / 2;
        warn_line(s, "-maxmempool is more than half of -memory, which is used instead");
    }
    if (config_size(s->config, "maxmempoolsizedisk"))
        warn_line(s, "-maxmempoolsizedisk: transactions are kept in memory alone, see -maxmempool");
    show_size(s, "maxmempool", s->mempool_bytes);
    show_size(s, "maxmempoolnonfinal", s->nonfinal_bytes);
}

static enum err make_user_agent(struct settings *s, struct error *e)
{
    const char *const *comments;
    const size_t n = config_list(s->config, "uacomment", &comments);
    struct buf b;
    buf_init(&b);
    buf_put_str(&b, "/BSVPeer:" PACKAGE_VERSION);
    for (size_t i = 0; i < n; i++) {
        if (strpbrk(comments[i], "/:()\\\"") || !*comments[i]) {
            buf_clear(&b);
            return error_set(e, ERR_PARSE,
                             "-uacomment=%s: must not be empty or contain / : ( ) \\ \"",
                             comments[i]);
        }
        buf_printf(&b, "%s%s", i ? "; " : "(", comments[i]);
    }
    buf_put_str(&b, n ? ")/" : "/");
    buf_put_u8(&b, 0);
    s->user_agent = (char *)buf_take(&b, &(size_t){ 0 });
    if (strlen(s->user_agent) > USER_AGENT_MAX)
        return error_set(e, ERR_RANGE, "-uacomment: the user agent would exceed %d characters",
                         USER_AGENT_MAX);
    return OK;
}

/* Each step fills its part; the first that fails ends the start. */
enum err settings_load(struct settings *s, int argc, char *const *argv, struct error *e)
{
    *s = (struct settings){ .params = *params_get(NETWORK_MAIN) };
    buf_init(&s->warnings);
    s->config = config_new(node_options, node_options_count, warn_line, s);
    int used;
    enum err rc = config_parse_args(s->config, argc, argv, &used, e);
    if (!rc && used < argc)
        rc = error_set(e, ERR_PARSE,
                       "unexpected argument '%s': bsvpeerd takes options only, see -help",
                       argv[used]);
    if (rc || config_bool(s->config, "help") || config_bool(s->config, "?") ||
        config_bool(s->config, "version") || config_bool(s->config, "help-debug") ||
        config_bool(s->config, "help-man"))
        return rc;
    static enum err (*const steps[])(struct settings *s, struct error *e) = {
        choose_base_dir, read_config_file, choose_network, override_params, make_user_agent,
    };
    for (size_t i = 0; !rc && i < COUNT_OF(steps); i++)
        rc = steps[i](s, e);
    if (!rc)
        rc = regtest_only(s, e);
    if (!rc)
        rc = check_block_size(s, e);
    if (!rc)
        rc = check_mining_address(s, e);
    if (!rc)
        rc = check_load_files(s, e);
    if (rc)
        return rc;
    apply_interactions(s->config);
    choose_memory(s);
    choose_mempool_memory(s);
    s->rpc_port = config_is_set(s->config, "rpcport") ? (uint16_t)config_int(s->config, "rpcport")
                                                      : s->params.rpc_port;
    return make_paths(s, e);
}

void settings_clear(struct settings *s)
{
    config_free(s->config);
    char *paths[] = { s->base_dir, s->net_dir, s->log_path, s->pid_path, s->cookie_path,
                      s->lock_path, s->blocks_dir, s->user_agent };
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        free(paths[i]);
    buf_clear(&s->warnings);
    *s = (struct settings){ .config = NULL };
}
