/* Commands about peers: who is connected, who shall be, who must not. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "p2p/net.h"

static struct rpc_result no_network(struct rpc_call *call)
{
    return rpc_fail(call, RPC_P2P_DISABLED,
                    "Error: Peer-to-peer functionality missing or disabled");
}

/* --- getpeerinfo ---------------------------------------------------------------------------- */

static void put_ping(struct json_writer *w, const char *name, int64_t us)
{
    if (us >= 0)
        jw_put_double(w, name, (double)us / 1e6);
}

static void put_streams(struct json_writer *w)
{
    /* one stream a peer, the general one: association ids are not offered (architecture 6.5) */
    jw_put_text(w, "associd", "Not-Set");
    jw_put_text(w, "streampolicy", "");
    jw_key(w, "streams");
    jw_array_open(w);
    jw_array_close(w);
}

static void put_per_message(struct json_writer *w, const struct peer_info *p, const char *key,
                            bool sent)
{
    jw_key(w, key);
    jw_object_open(w);
    for (size_t i = 0; i < COUNT_OF(p->per_msg); i++) {
        uint64_t bytes = sent ? p->per_msg[i].sent : p->per_msg[i].received;
        if (bytes)
            jw_put_u64(w, p->per_msg[i].command, bytes);
    }
    jw_object_close(w);
}

static void put_traffic(struct json_writer *w, const struct peer_info *p)
{
    jw_put_i64(w, "lastsend", p->last_send);
    jw_put_i64(w, "lastrecv", p->last_recv);
    jw_put_u64(w, "sendsize", p->send_size);
    jw_put_u64(w, "recvsize", p->recv_size);
    jw_put_u64(w, "sendmemory", p->send_memory);
    jw_put_bool(w, "pausesend", p->pause_send);
    jw_put_bool(w, "unpausesend", !p->pause_send);
    jw_put_u64(w, "bytessent", p->bytes_sent);
    jw_put_u64(w, "bytesrecv", p->bytes_received);
    jw_put_u64(w, "avgrecvbw", p->receive_rate);
}

static void put_sync(struct json_writer *w, const struct peer_info *p)
{
    jw_put_i64(w, "startingheight", p->start_height);
    jw_put_u64(w, "txninvsize", p->tx_inv_size);
    jw_put_i64(w, "banscore", p->ban_score);
    jw_put_i64(w, "synced_headers", p->synced_headers);
    jw_put_i64(w, "synced_blocks", p->synced_blocks);
    jw_key(w, "inflight");
    jw_array_open(w);
    for (size_t i = 0; i < p->n_inflight; i++)
        jw_i64(w, p->inflight[i]);
    jw_array_close(w);
    jw_put_bool(w, "whitelisted", p->whitelisted);
}

static void put_peer(struct json_writer *w, const struct peer_info *p)
{
    jw_object_open(w);
    jw_put_u64(w, "id", p->id);
    jw_put_text(w, "addr", p->addr);
    if (*p->addr_local)
        jw_put_text(w, "addrlocal", p->addr_local);
    jw_key(w, "services");
    jw_hex_u64(w, p->services);
    jw_put_bool(w, "relaytxes", p->relay_tx);
    put_traffic(w, p);
    put_streams(w);
    jw_put_bool(w, "authconn", false);
    jw_put_bool(w, "mempoolsync", p->mempool_sync);
    jw_put_i64(w, "conntime", p->connected);
    jw_put_i64(w, "timeoffset", p->time_offset);
    put_ping(w, "pingtime", p->ping_us);
    put_ping(w, "minping", p->ping_min_us);
    put_ping(w, "pingwait", p->ping_wait_us);
    jw_put_i64(w, "version", p->version);
    jw_put_text(w, "subver", p->user_agent);
    jw_put_bool(w, "inbound", p->inbound);
    jw_put_bool(w, "addnode", p->addnode);
    put_sync(w, p);
    put_per_message(w, p, "bytessent_per_msg", true);
    put_per_message(w, p, "bytesrecv_per_msg", false);
    jw_object_close(w);
}

static struct rpc_result cmd_getpeerinfo(struct rpc_call *call)
{
    struct peer_info *peers = NULL;
    size_t n = 0;
    if (!call->env->net || net_list_peers(call->env->net, &peers, &n))
        return no_network(call);
    jw_array_open(call->out);
    for (size_t i = 0; i < n; i++)
        put_peer(call->out, &peers[i]);
    jw_array_close(call->out);
    free(peers);
    return rpc_done();
}

/* --- counts --------------------------------------------------------------------------------- */

static struct rpc_result cmd_getconnectioncount(struct rpc_call *call)
{
    struct net_status s;
    if (!call->env->net || net_get_status(call->env->net, &s))
        return no_network(call);
    jw_u64(call->out, s.counts.total);
    return rpc_done();
}

static struct rpc_result cmd_getnettotals(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct net_status s;
    if (!call->env->net || net_get_status(call->env->net, &s))
        return no_network(call);
    const struct net_totals *t = &s.totals;
    jw_object_open(w);
    jw_put_u64(w, "totalbytesrecv", t->received);
    jw_put_u64(w, "totalbytessent", t->sent);
    jw_put_i64(w, "timemillis", clock_now_ms());
    jw_key(w, "uploadtarget");
    jw_object_open(w);
    jw_put_i64(w, "timeframe", t->upload_cycle_s);
    jw_put_u64(w, "target", t->upload_target);
    jw_put_bool(w, "target_reached", t->upload_reached);
    jw_put_bool(w, "serve_historical_blocks", !t->upload_reached);
    jw_put_u64(w, "bytes_left_in_cycle", t->upload_left);
    jw_put_i64(w, "time_left_in_cycle", t->upload_cycle_left_s);
    jw_object_close(w);
    jw_object_close(w);
    return rpc_done();
}

/* --- connections wanted --------------------------------------------------------------------- */

static struct rpc_result done_or(struct rpc_call *call, enum err rc, enum err expected,
                                 enum rpc_code code, const char *message, const struct error *e)
{
    if (rc && rc == expected)
        return rpc_fail(call, code, "%s", message);
    if (rc == ERR_CANCELLED)
        return no_network(call);
    if (rc)
        return rpc_fail(call, RPC_MISC_ERROR, "%s", e->text[0] ? e->text : err_name(rc));
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_addnode(struct rpc_call *call)
{
    struct net *net = call->env->net;
    const char *node = rpc_text(call, 0, ""), *command = rpc_text(call, 1, "");
    struct error e = { 0 };
    if (!net)
        return no_network(call);
    if (strcmp(command, "add") == 0)
        return done_or(call, net_addnode_add(net, node, &e), ERR_EXISTS, RPC_NODE_ALREADY_ADDED,
                       "Error: Node already added", &e);
    if (strcmp(command, "remove") == 0)
        return done_or(call, net_addnode_remove(net, node, &e), ERR_NOTFOUND, RPC_NODE_NOT_ADDED,
                       "Error: Node has not been added.", &e);
    if (strcmp(command, "onetry") == 0)
        return done_or(call, net_addnode_onetry(net, node, &e), OK, RPC_MISC_ERROR, "", &e);
    return rpc_fail(call, RPC_MISC_ERROR, "command must be add, remove or onetry");
}

static struct rpc_result cmd_disconnectnode(struct rpc_call *call)
{
    struct net *net = call->env->net;
    const char *address = rpc_text(call, 0, "");
    int64_t id = rpc_int(call, 1, -1);
    struct error e = { 0 };
    if (!net)
        return no_network(call);
    if (*address && rpc_has(call, 1))
        return rpc_fail(call, RPC_INVALID_PARAMS,
                        "Only one of address and nodeid should be provided.");
    if (!*address && id < 0)
        return rpc_fail(call, RPC_INVALID_PARAMS,
                        "Only one of address and nodeid should be provided.");
    enum err rc =
        *address ? net_disconnect_addr(net, address, &e) : net_disconnect_id(net, (uint64_t)id, &e);
    return done_or(call, rc, ERR_NOTFOUND, RPC_NODE_NOT_CONNECTED,
                   "Node not found in connected nodes", &e);
}

static void put_added(struct json_writer *w, const struct net_added *a)
{
    jw_object_open(w);
    jw_put_text(w, "addednode", a->node);
    jw_put_bool(w, "connected", a->connected);
    jw_key(w, "addresses");
    jw_array_open(w);
    if (a->connected) {
        jw_object_open(w);
        jw_put_text(w, "address", a->addr);
        jw_put_text(w, "connected", a->inbound ? "inbound" : "outbound");
        jw_object_close(w);
    }
    jw_array_close(w);
    jw_object_close(w);
}

static struct rpc_result cmd_getaddednodeinfo(struct rpc_call *call)
{
    const char *wanted = rpc_text(call, 0, NULL);
    struct net_added *added = NULL;
    size_t n = 0, shown = 0;
    struct rpc_result result = rpc_done();
    if (!call->env->net || net_list_added(call->env->net, &added, &n))
        return no_network(call);
    jw_array_open(call->out);
    for (size_t i = 0; i < n; i++)
        if (!wanted || strcmp(wanted, added[i].node) == 0) {
            put_added(call->out, &added[i]);
            shown++;
        }
    jw_array_close(call->out);
    if (wanted && !shown)
        result = rpc_fail(call, RPC_NODE_NOT_ADDED, "Error: Node has not been added.");
    free(added);
    return result;
}

static struct rpc_result cmd_setnetworkactive(struct rpc_call *call)
{
    bool active = rpc_bool(call, 0, true);
    if (!call->env->net || net_set_active(call->env->net, active))
        return no_network(call);
    jw_bool(call->out, active);
    return rpc_done();
}

static struct rpc_result cmd_ping(struct rpc_call *call)
{
    if (!call->env->net || net_ping_all(call->env->net))
        return no_network(call);
    jw_null(call->out);
    return rpc_done();
}

/* --- transactions --------------------------------------------------------------------------- */

#define PROPAGATION_MAX_MS 3600000

static struct rpc_result cmd_settxnpropagationfreq(struct rpc_call *call)
{
    const int64_t ms = rpc_int(call, 0, 0);
    if (ms < 0 || ms > PROPAGATION_MAX_MS)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "freq must be 0 to %d milliseconds",
                        PROPAGATION_MAX_MS);
    if (!call->env->net || net_set_propagation(call->env->net, ms))
        return no_network(call);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_getorphaninfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct net_status s;
    if (!call->env->net || net_get_status(call->env->net, &s))
        return no_network(call);
    jw_object_open(w);
    jw_put_u64(w, "size", s.orphans);
    jw_put_u64(w, "bytes", s.orphan_bytes);
    jw_put_u64(w, "maxbytes", s.orphan_max_bytes);
    jw_object_close(w);
    return rpc_done();
}

/* --- bans ----------------------------------------------------------------------------------- */

/* bantime as given: seconds from now or, with absolute, since 1970; 0 is the default. */
static int64_t ban_until(struct rpc_call *call)
{
    int64_t time = rpc_int(call, 2, 0);
    if (rpc_bool(call, 3, false))
        return time;
    if (time <= 0)
        time = config_int(call->env->config, "bantime");
    int64_t until;
    return add_i64(clock_now(), time, &until) ? until : INT64_MAX;
}

static struct rpc_result ban_add(struct rpc_call *call, const char *subnet)
{
    struct error e = { 0 };
    enum err rc = net_ban_add(call->env->net, subnet, ban_until(call), &e);
    if (rc == ERR_PARSE)
        return rpc_fail(call, RPC_INVALID_SUBNET, "Error: Invalid IP/Subnet");
    return done_or(call, rc, ERR_EXISTS, RPC_NODE_ALREADY_ADDED, "Error: IP/Subnet already banned",
                   &e);
}

static struct rpc_result ban_remove(struct rpc_call *call, const char *subnet)
{
    struct error e = { 0 };
    enum err rc = net_ban_remove(call->env->net, subnet, &e);
    if (rc == ERR_PARSE)
        return rpc_fail(call, RPC_INVALID_SUBNET, "Error: Invalid IP/Subnet");
    return done_or(call, rc, ERR_NOTFOUND, RPC_MISC_ERROR, "Error: Unban failed", &e);
}

static struct rpc_result cmd_setban(struct rpc_call *call)
{
    const char *subnet = rpc_text(call, 0, ""), *command = rpc_text(call, 1, "");
    if (!call->env->net)
        return no_network(call);
    if (strcmp(command, "add") == 0)
        return ban_add(call, subnet);
    if (strcmp(command, "remove") == 0)
        return ban_remove(call, subnet);
    return rpc_fail(call, RPC_MISC_ERROR, "command must be add or remove");
}

static struct rpc_result cmd_listbanned(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct net_ban *bans = NULL;
    size_t n = 0;
    if (!call->env->net || net_list_bans(call->env->net, &bans, &n))
        return no_network(call);
    jw_array_open(w);
    for (size_t i = 0; i < n; i++) {
        jw_object_open(w);
        jw_put_text(w, "address", bans[i].subnet);
        jw_put_i64(w, "banned_until", bans[i].until);
        jw_put_i64(w, "ban_created", bans[i].created);
        jw_put_text(w, "ban_reason", bans[i].reason);
        jw_object_close(w);
    }
    jw_array_close(w);
    free(bans);
    return rpc_done();
}

static struct rpc_result cmd_clearbanned(struct rpc_call *call)
{
    if (!call->env->net || net_ban_clear(call->env->net))
        return no_network(call);
    jw_null(call->out);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "getpeerinfo",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_getpeerinfo,
      .help = "Everything known of each connected peer.",
      .result = "[{id, addr, services, ...}, ...]",
      .example = "" },
    { .name = "getconnectioncount",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_getconnectioncount,
      .help = "How many peers are connected.",
      .result = "n (numeric)",
      .example = "" },
    { .name = "getnettotals",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_getnettotals,
      .help = "Bytes received and sent since the start.",
      .result = "{totalbytesrecv, totalbytessent, timemillis, uploadtarget:{timeframe, target, "
                "target_reached, "
                "serve_historical_blocks, bytes_left_in_cycle, time_left_in_cycle}}",
      .example = "" },
    { .name = "addnode",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_addnode,
      .help = "Keeps a connection to a node, stops doing so, or tries once.",
      .result = "null",
      .example = "\"[2001:db8::1]:8333\" \"add\"",
      .params = { { "node", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Address of the node, or its name" },
                  { "command", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "add, remove or onetry" } } },
    { .name = "disconnectnode",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_disconnectnode,
      .help = "Ends a connection, named by address or by number.",
      .result = "null",
      .example = "\"[::1]:8333\"",
      .params = { { "address", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Address of the peer" },
                  { "nodeid", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON, "Its id in getpeerinfo" } } },
    { .name = "getaddednodeinfo",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_getaddednodeinfo,
      .help = "The nodes of addnode and whether they are connected.",
      .result = "[{addednode, connected, addresses:[{address, connected}]}, ...]",
      .example = "",
      .params = { { "node", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Show this one only" } } },
    { .name = "setnetworkactive",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_setnetworkactive,
      .help = "Switches all traffic with peers off or on.",
      .result = "true|false",
      .example = "false",
      .params = { { "state", RPC_BOOL, RPC_REQUIRED, RPC_CLI_JSON, "On or off" } } },
    { .name = "ping",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_ping,
      .help = "Pings every peer; getpeerinfo shows the times.",
      .result = "null",
      .example = "" },
    { .name = "setban",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_setban,
      .help = "Bans an address or subnet, or takes the ban back.",
      .result = "null",
      .example = "\"2001:db8::/32\" \"add\" 86400",
      .params = { { "subnet", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "ip, ip/length or ip/mask" },
                  { "command", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "add or remove" },
                  { "bantime", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Seconds, 0 for the default of -bantime" },
                  { "absolute", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "bantime is a time since 1970 (default false)" } } },
    { .name = "listbanned",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_listbanned,
      .help = "All bans.",
      .result = "[{address, banned_until, ban_created, ban_reason}, ...]",
      .example = "" },
    { .name = "clearbanned",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_clearbanned,
      .help = "Takes all bans back.",
      .result = "null",
      .example = "" },
    { .name = "settxnpropagationfreq",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_settxnpropagationfreq,
      .help = "Sets how long transactions are held together before they are announced to peers.",
      .result = "null",
      .example = "250",
      .params = { { "freq", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON,
                    "Milliseconds, 0 to 3600000; 0: not held" } } },
    { .name = "getorphaninfo",
      .category = "hidden",
      .where = RPC_ON_WORKER,
      .flags = RPC_HIDDEN,
      .fn = cmd_getorphaninfo,
      .help = "Transactions whose parents have not come yet.",
      .result = "{size, bytes, maxbytes}",
      .example = "" },
};
const struct rpc_group rpc_net_commands = { rows, COUNT_OF(rows) };
