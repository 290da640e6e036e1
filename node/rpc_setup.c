#include "node/rpc_setup.h"


#include "base/log.h"

static enum err add_credentials(const struct settings *s, struct rpc_auth *auth, struct error *e)
{
    const char *password = config_string(s->config, "rpcpassword");
    const char *user = config_string(s->config, "rpcuser");
    const char *const *hashed;
    const size_t n = config_list(s->config, "rpcauth", &hashed);
    enum err rc = OK;
    for (size_t i = 0; !rc && i < n; i++)
        rc = rpc_auth_add_hashed(auth, hashed[i], e);
    if (rc)
        return rc;
    if (password && *password) {
        rpc_auth_add_password(auth, user ? user : "", password);
        return OK;
    }
    return rpc_auth_write_cookie(auth, s->cookie_path, e);
}

static enum err add_allowed(const struct settings *s, struct rpc_auth *auth, size_t *n,
                            struct error *e)
{
    const char *const *subnets;
    *n = config_list(s->config, "rpcallowip", &subnets);
    enum err rc = OK;
    for (size_t i = 0; !rc && i < *n; i++)
        rc = rpc_auth_allow(auth, subnets[i], e);
    return rc;
}

/* Without -rpcallowip only this machine, whatever -rpcbind says; one address that
 * works is enough. */
static enum err listen_all(const struct settings *s, struct rpc_server *server, bool open,
                           struct error *e)
{
    static const char *const local[] = { "::1", "127.0.0.1" }, *const any[] = { "::", "0.0.0.0" };
    const char *const *addresses = open ? any : local;
    size_t n = 2, bound = 0;
    const char *const *chosen;
    const size_t n_chosen = config_list(s->config, "rpcbind", &chosen);
    if (n_chosen && open) {
        addresses = chosen;
        n = n_chosen;
    } else if (n_chosen) {
        log_warn("-rpcbind is ignored without -rpcallowip: only this machine may ask");
    }
    struct error last = { .code = OK };
    for (size_t i = 0; i < n; i++) {
        if (!rpc_server_listen(server, addresses[i], s->rpc_port, &last))
            bound++;
        else
            log_warn("RPC: %s", last.text);
    }
    return bound ? OK
                 : error_set(
                       e, ERR_IO,
                       "RPC: no address could be bound (%s); is another node running? See -rpcport",
                       last.text);
}

enum err rpc_setup(const struct settings *s, struct rpc_env *env, struct feeds *feeds,
                   struct rpc_auth **auth, struct rpc_server **server, struct error *e)
{
    *auth = NULL;
    *server = NULL;
    if (!config_bool(s->config, "server"))
        return OK;
    const struct rpc_server_options o = {
        .threads = (unsigned)config_int(s->config, "rpcthreads"),
        .queue_depth = (unsigned)config_int(s->config, "rpcworkqueue"),
        .idle_timeout_s = config_int(s->config, "rpcservertimeout"),
        .max_block_size = config_size(s->config, "excessiveblocksize"),
        .spool_dir = s->net_dir,
        .cors_domain = config_string(s->config, "rpccorsdomain"),
        .rest = config_bool(s->config, "rest"),
    };
    size_t n_allowed = 0;
    *auth = rpc_auth_new();
    enum err rc = add_credentials(s, *auth, e);
    if (!rc)
        rc = add_allowed(s, *auth, &n_allowed, e);
    if (!rc)
        rc = rpc_server_new(server, &o, env, *auth, e);
    if (!rc)
        feeds_add_routes(feeds, *server);
    if (!rc)
        rc = listen_all(s, *server, n_allowed > 0, e);
    return rc ? rc : rpc_server_start(*server, e);
}
