/* Overviews that draw on chain, network and options: getinfo, getnetworkinfo, getsettings. */
#include <config.h>

#include "rpc/commands.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "chain/block_template.h"
#include "chain/chain.h"
#include "p2p/net.h"
#include "rpc/block_json.h"
#include "rpc/pay_call.h"


/* Spec rpc 2, getnetworkinfo: 100000000 + major*10^6 + minor*10^4 + revision*100. */
static int64_t version_number(void)
{
    int64_t part[3] = { 0 };
    size_t at = 0;
    for (const char *p = PACKAGE_VERSION; *p && at < 3; p++) {
        if (*p == '.')
            at++;
        else if (*p >= '0' && *p <= '9')
            part[at] = part[at] * 10 + (*p - '0');
        else
            break;
    }
    return 100000000 + part[0] * 1000000 + part[1] * 10000 + part[2] * 100;
}

static struct rpc_result no_network(struct rpc_call *call)
{
    return rpc_fail(call, RPC_P2P_DISABLED,
                    "Error: Peer-to-peer functionality missing or disabled");
}

/* --- getnetworkinfo ------------------------------------------------------------------------- */

static void put_families(struct json_writer *w, const struct net_status *s)
{
    jw_key(w, "networks");
    jw_array_open(w);
    for (size_t i = 0; i < COUNT_OF(s->families); i++) {
        jw_object_open(w);
        jw_put_text(w, "name", s->families[i].name);
        jw_put_bool(w, "limited", s->families[i].limited);
        jw_put_bool(w, "reachable", s->families[i].reachable);
        jw_put_text(w, "proxy", s->families[i].proxy);
        jw_put_bool(w, "proxy_randomize_credentials", false);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static void put_policy(struct json_writer *w, const struct tx_policy *p)
{
    jw_put_amount(w, "relayfee", 0); /* spec rpc 2: always 0 */
    jw_put_i64(w, "minconsolidationfactor", p->consolidation_factor);
    jw_put_i64(w, "maxconsolidationinputscriptsize", p->consolidation_max_script);
    jw_put_i64(w, "minconfconsolidationinput", p->consolidation_min_conf);
    jw_put_i64(w, "minconsolidationinputmaturity", p->consolidation_min_conf);
    jw_put_bool(w, "acceptnonstdconsolidationinput", p->consolidation_nonstandard);
}

static void put_local_addresses(struct json_writer *w, const struct net_status *s)
{
    jw_key(w, "localaddresses");
    jw_array_open(w);
    for (size_t i = 0; i < s->n_local; i++) {
        jw_object_open(w);
        jw_put_text(w, "address", s->local[i].addr);
        jw_put_u64(w, "port", s->local[i].port);
        jw_put_i64(w, "score", s->local[i].score);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static struct rpc_result cmd_getnetworkinfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    const struct tx_policy usual = tx_policy_default(); /* where no chain is open */
    struct net_status s;
    if (!call->env->net || net_get_status(call->env->net, &s))
        return no_network(call);
    jw_object_open(w);
    jw_put_i64(w, "version", version_number());
    jw_put_text(w, "subversion", call->env->user_agent ? call->env->user_agent : "");
    jw_put_i64(w, "protocolversion", MSG_PROTOCOL_VERSION);
    jw_key(w, "localservices");
    jw_hex_u64(w, s.services);
    jw_put_bool(w, "localrelay", s.relay_tx);
    jw_put_i64(w, "timeoffset", s.time_offset);
    jw_put_i64(w, "txnpropagationfreq", s.tx_propagation_ms);
    jw_put_u64(w, "txnpropagationqlen", s.tx_propagation_queue);
    jw_put_bool(w, "networkactive", s.active);
    jw_put_u64(w, "connections", s.counts.total);
    jw_put_u64(w, "addresscount", s.counts.addresses);
    jw_put_text(w, "streampolicies", "Default");
    put_families(w, &s);
    put_policy(w, call->env->chain ? chain_get_policy(call->env->chain) : &usual);
    put_local_addresses(w, &s);
    jw_put_text(w, "warnings", "");
    jw_object_close(w);
    return rpc_done();
}

/* --- getinfo -------------------------------------------------------------------------------- */

static struct rpc_result cmd_getinfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    const struct config *config = call->env->config;
    struct chain *c = call->env->chain;
    struct net_status s = { .active = false };
    struct chain_tip tip;
    char trouble[PAY_TEXT_MAX] = "";
    const char *proxy = config_string(config, "proxy");
    if (call->env->net && net_get_status(call->env->net, &s))
        return no_network(call);
    chain_get_tip(c, &tip);
    jw_object_open(w);
    jw_put_i64(w, "version", version_number());
    jw_put_i64(w, "protocolversion", MSG_PROTOCOL_VERSION);
    jw_put_bool(w, "initcomplete", !chain_is_initial_download(c));
    jw_put_i64(w, "blocks", tip.height);
    jw_put_i64(w, "timeoffset", s.time_offset);
    jw_put_u64(w, "connections", s.counts.total);
    jw_put_text(w, "proxy", proxy ? proxy : "");
    jw_put_double(w, "difficulty", tip.node ? block_difficulty(tip.node->bits) : 1.0);
    jw_put_bool(w, "testnet", chain_get_params(c)->network == NETWORK_TEST);
    jw_put_bool(w, "stn", chain_get_params(c)->network == NETWORK_STN);
    jw_put_amount(w, "paytxfee", 0);
    jw_put_amount(w, "relayfee", 0);
    if (call->env->payments)
        call->env->payments->trouble(call->env->payments->ctx, trouble);
    jw_put_text(w, "errors", trouble);
    jw_put_u64(w, "maxblocksize", chain_max_block_size(c));
    jw_put_u64(w, "maxminedblocksize", assembler_max_size(chain_assembler(c)));
    jw_put_u64(w, "maxstackmemoryusagepolicy", config_size(config, "maxstackmemoryusagepolicy"));
    jw_put_u64(w, "maxstackmemoryusageconsensus",
               config_size(config, "maxstackmemoryusageconsensus"));
    jw_object_close(w);
    return rpc_done();
}

/* What the options say, in the reference's words and order, then what it does not have. */
enum setting_kind { SETTING_SIZE, SETTING_INT, SETTING_BOOL, SETTING_AMOUNT };
static const struct setting {
    const char *name;
    enum setting_kind kind;
} settings[] = {
    { "maxtxsizepolicy", SETTING_SIZE },
    { "datacarriersize", SETTING_SIZE },
    { "maxscriptsizepolicy", SETTING_SIZE },
    { "maxopsperscriptpolicy", SETTING_INT },
    { "maxscriptnumlengthpolicy", SETTING_SIZE },
    { "maxpubkeyspermultisigpolicy", SETTING_INT },
    { "maxtxsigopscountspolicy", SETTING_INT },
    { "maxstackmemoryusagepolicy", SETTING_SIZE },
    { "maxstackmemoryusageconsensus", SETTING_SIZE },
    { "limitancestorcount", SETTING_INT },
    { "limitcpfpgroupmemberscount", SETTING_INT },
    { "maxmempoolsizedisk", SETTING_SIZE },
    { "mempoolmaxpercentcpfp", SETTING_INT },
    { "mempoolexpiry", SETTING_INT },
    { "maxmempoolnonfinal", SETTING_SIZE },
    { "acceptnonstdoutputs", SETTING_BOOL },
    { "datacarrier", SETTING_BOOL },
    { "permitbaremultisig", SETTING_BOOL },
    { "minminingtxfee", SETTING_AMOUNT },
    { "maxtxfee", SETTING_AMOUNT },
    { "maxstdtxvalidationduration", SETTING_INT },
    { "maxnonstdtxvalidationduration", SETTING_INT },
    { "maxtxchainvalidationbudget", SETTING_INT },
    { "minconsolidationfactor", SETTING_INT },
    { "maxconsolidationinputscriptsize", SETTING_SIZE },
    { "minconfconsolidationinput", SETTING_INT },
    { "acceptnonstdconsolidationinput", SETTING_BOOL },
    { "persistmempool", SETTING_BOOL },
    { "dbcache", SETTING_SIZE },
    { "memory", SETTING_SIZE },
    { "par", SETTING_INT },
};

static void put_setting(struct json_writer *w, const struct config *c, const struct setting *s)
{
    switch (s->kind) {
    case SETTING_SIZE:
        jw_put_u64(w, s->name, config_size(c, s->name));
        break;
    case SETTING_INT:
        jw_put_i64(w, s->name, config_int(c, s->name));
        break;
    case SETTING_BOOL:
        jw_put_bool(w, s->name, config_bool(c, s->name));
        break;
    case SETTING_AMOUNT:
        jw_put_amount(w, s->name, config_amount(c, s->name));
        break;
    }
}

static struct rpc_result cmd_getsettings(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct mempool_stats pool;
    mempool_get_stats(chain_mempool(call->env->chain), clock_now(), &pool);
    jw_object_open(w);
    jw_put_u64(w, "excessiveblocksize", chain_max_block_size(call->env->chain));
    jw_put_u64(w, "blockmaxsize", assembler_max_size(chain_assembler(call->env->chain)));
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        put_setting(w, call->env->config, &settings[i]);
    /* These follow from more than their options. */
    jw_put_u64(w, "maxmempool", pool.max_memory);
    jw_put_bool(w, "acceptnonstdtxn", chain_get_policy(call->env->chain)->accept_nonstandard_txs);
    jw_object_close(w);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "getinfo",
      .category = "control",
      .where = RPC_ON_WORKER,
      .fn = cmd_getinfo,
      .help = "State of the node in one object. errors: what needs the user most, of payment "
              "channels (listpaychannels).",
      .result = "{version, protocolversion, initcomplete, blocks, timeoffset, connections, proxy, "
                "difficulty, testnet, "
                "stn, paytxfee, relayfee, errors, maxblocksize, maxminedblocksize, "
                "maxstackmemoryusagepolicy, "
                "maxstackmemoryusageconsensus}",
      .example = "" },
    { .name = "getsettings",
      .category = "control",
      .where = RPC_ON_WORKER,
      .fn = cmd_getsettings,
      .help = "Limits and policies in force.",
      .result = "{excessiveblocksize, blockmaxsize, maxtxsizepolicy, datacarriersize, "
                "maxscriptsizepolicy, maxopsperscriptpolicy, maxscriptnumlengthpolicy, "
                "maxpubkeyspermultisigpolicy, maxtxsigopscountspolicy, maxstackmemoryusagepolicy, "
                "maxstackmemoryusageconsensus, limitancestorcount, limitcpfpgroupmemberscount, "
                "maxmempoolsizedisk, mempoolmaxpercentcpfp, mempoolexpiry, maxmempoolnonfinal, "
                "acceptnonstdoutputs, datacarrier, permitbaremultisig, minminingtxfee, maxtxfee, "
                "maxstdtxvalidationduration, maxnonstdtxvalidationduration, "
                "maxtxchainvalidationbudget, minconsolidationfactor, "
                "maxconsolidationinputscriptsize, minconfconsolidationinput, "
                "acceptnonstdconsolidationinput, persistmempool, dbcache, memory, par, maxmempool, "
                "acceptnonstdtxn}",
      .example = "" },
    { .name = "getnetworkinfo",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_getnetworkinfo,
      .help = "State of the connection to the network.",
      .result = "{version, subversion, protocolversion, localservices, localrelay, timeoffset, "
                "networkactive, "
                "connections, addresscount, networks:[...], relayfee, localaddresses:[...], "
                "warnings, ...}",
      .example = "" },
};
const struct rpc_group rpc_info_commands = { rows, COUNT_OF(rows) };
