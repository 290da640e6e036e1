/* The network's own copy of its configuration: defaults, and texts turned into addresses. */
#include <stddef.h>
#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/net_internal.h"

static void copy_strings(struct net_strings *s)
{
    char **v = xcalloc(s->n + 1, sizeof(*v));
    for (size_t i = 0; i < s->n; i++)
        v[i] = xstrdup(s->v[i]);
    s->v = (const char *const *)v;
}

static void free_strings(struct net_strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free((char *)s->v[i]);
    free((void *)s->v);
}

static const size_t string_lists[] = {
    offsetof(struct net_config, bind), offsetof(struct net_config, whitebind),
    offsetof(struct net_config, whitelist), offsetof(struct net_config, mempool_sync),
    offsetof(struct net_config, connect),
    offsetof(struct net_config, addnode), offsetof(struct net_config, seednode),
    offsetof(struct net_config, externalip), offsetof(struct net_config, banned_agents),
    offsetof(struct net_config, allowed_agents),
};
#define N_STRING_LISTS (sizeof(string_lists) / sizeof(string_lists[0]))

static struct net_strings *string_list(struct net_config *c, size_t i)
{
    return (struct net_strings *)((char *)c + string_lists[i]);
}

static void default_u64(uint64_t *v, uint64_t d) { *v = *v == 0 ? d : *v; }
static void default_i64(int64_t *v, int64_t d) { *v = *v == 0 ? d : *v; }
static void default_number(unsigned *v, unsigned d) { *v = *v == 0 ? d : *v == NET_NONE ? 0 : *v; }

static void fill_defaults(struct net_config *c)
{
    c->port = c->port == 0 ? c->default_port : c->port;
    default_number(&c->max_connections, 125);
    default_number(&c->max_outbound, 8);
    default_number(&c->max_addnode, 8);
    c->max_outbound = MIN_OF(c->max_outbound, c->max_connections);
    default_i64(&c->connect_timeout_ms, 5000);
    default_i64(&c->handshake_timeout_s, 60);
    default_i64(&c->inactivity_timeout_s, 1200);
    c->ban_score = c->ban_score == 0 ? 100 : c->ban_score;
    default_i64(&c->ban_time_s, 86400);
    c->max_protocol_payload = c->max_protocol_payload == 0 ? 2097152 : c->max_protocol_payload;
    default_u64(&c->max_receive_buffer, 500000000);
    default_u64(&c->max_send_buffer, 500000000);
    default_u64(&c->memory_budget, UINT64_C(256) << 20);
}

void net_config_copy(struct net_config *c, const struct net_config *from)
{
    static const char *const default_banned[] = { "abc", "cash", "bch" }; /* spec p2p 2.4 */
    *c = *from;
    if (c->banned_agents.n == 0)
        c->banned_agents = (struct net_strings){ default_banned, 3 };
    for (size_t i = 0; i < N_STRING_LISTS; i++)
        copy_strings(string_list(c, i));
    c->user_agent = xstrdup(from->user_agent != NULL ? from->user_agent : "");
    c->datadir = from->datadir != NULL ? xstrdup(from->datadir) : NULL;
    c->proxy = from->proxy != NULL ? xstrdup(from->proxy) : NULL;
    fill_defaults(c);
}

void net_config_clear(struct net_config *c)
{
    for (size_t i = 0; i < N_STRING_LISTS; i++)
        free_strings(string_list(c, i));
    free((char *)c->user_agent);
    free((char *)c->datadir);
    free((char *)c->proxy);
}

static enum err parse_subnets(struct subnet **out, size_t *n, const struct net_strings *texts,
                              const char *option, struct error *e)
{
    *out = xcalloc(texts->n + 1, sizeof(struct subnet));
    for (size_t i = 0; i < texts->n; i++)
        if (subnet_parse(&(*out)[(*n)++], texts->v[i], e) != OK)
            return error_prefix(e, ERR_RANGE, "%s=%s", option, texts->v[i]);
    return OK;
}

enum err net_config_parse(struct net *net, struct error *e)
{
    const struct net_config *c = &net->c;
    enum err rc = parse_subnets(&net->whitelist, &net->n_whitelist, &c->whitelist, "whitelist", e);
    if (rc == OK)
        rc = parse_subnets(&net->mempool_sync, &net->n_mempool_sync, &c->mempool_sync,
                           "mempoolsyncpeer", e);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < c->externalip.n; i++) {
        struct netaddr a;
        if (netaddr_parse(&a, c->externalip.v[i], c->port, e) != OK)
            return error_prefix(e, ERR_RANGE, "externalip=%s", c->externalip.v[i]);
        local_add(net, &a, 4);
    }
    for (size_t i = 0; i < c->bind.n + c->whitebind.n; i++) {
        struct netaddr a;
        const char *text = i < c->bind.n ? c->bind.v[i] : c->whitebind.v[i - c->bind.n];
        const bool trusted = i >= c->bind.n;
        if (netaddr_parse(&a, text, trusted ? 0 : c->port, e) != OK)
            return error_prefix(e, ERR_RANGE, "%s=%s", trusted ? "whitebind" : "bind", text);
        /* spec p2p 6; a written port 0 lets the system choose */
        if (trusted && a.port == 0 && netaddr_parse(&a, text, 1, e) == OK && a.port == 1)
            return error_set(e, ERR_RANGE, "whitebind=%s: needs a port, as in [::1]:8333", text);
    }
    if (c->proxy == NULL)
        return OK;
    if (netaddr_parse(&net->proxy, c->proxy, SOCKS5_DEFAULT_PORT, e) != OK)
        return error_prefix(e, ERR_RANGE, "proxy=%s", c->proxy);
    net->has_proxy = true;
    return OK;
}
