/* From options to what chain, network and download want to know. */
#include <string.h>
#include <unistd.h>

#include "base/intmath.h"
#include "node/settings.h"

#define MIB (UINT64_C(1) << 20)
#define WORKERS_MIN 2

static unsigned script_threads(const struct settings *s)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t par = config_int(s->config, "par");
    const int64_t threads = par > 0 ? par : MAX_OF(1, cores + par);
    /* The chain thread is one of them. Blocks arrive through the others, and one of these may have
     * a slow script to run (txs_slow.c), so that there are two always. */
    return (unsigned)MAX_OF(threads - 1, WORKERS_MIN);
}

/* The default is cut to what we would accept; a value of the user's above that was refused. */
static uint64_t max_made_block(const struct config *c)
{
    const uint64_t made = config_size(c, "blockmaxsize");
    const uint64_t accepted = config_size(c, "excessiveblocksize");
    return accepted ? MIN_OF(made, accepted) : made;
}

enum err settings_chain(const struct settings *s, struct chain_options *o, struct error *e)
{
    const struct config *c = s->config;
    const int64_t prune = config_int(c, "prune");
    if (prune > 1 && prune < 550)
        return error_set(e, ERR_RANGE,
                         "-prune=%lld: must be 0 (off), 1 (by RPC) or at least 550 MiB",
                         (long long)prune);
    *o = (struct chain_options){
        .params = s->params,
        .data_dir = s->net_dir,
        .dbcache_bytes = s->dbcache_bytes,
        .block_memory_bytes = MAX_OF(s->memory_bytes / 16, 64 * MIB),
        .workers = script_threads(s),
        .max_block_size = config_size(c, "excessiveblocksize"),
        .max_made_block_size = max_made_block(c),
        .max_stack_memory = config_size(c, "maxstackmemoryusageconsensus"),
        .preferred_file_size = config_size(c, "preferredblockfilesize"),
        .use_checkpoints = config_bool(c, "checkpoints"),
        .tx_index = config_bool(c, "txindex"),
        .check_consistency = config_bool(c, "checkblockindex"),
        .soft_freeze_blocks = (int32_t)config_int(c, "softconsensusfreezeduration"),
        .assume_whitelisted = config_bool(c, "enableassumewhitelistedblockdepth"),
        .assume_whitelisted_depth = (int32_t)config_int(c, "assumewhitelistedblockdepth"),
        .prune_target_bytes = prune > 1 ? (uint64_t)prune * MIB : (uint64_t)prune,
        .prune_keep = (int32_t)config_int(c, "pruneminblockstokeep"),
        .rebuild = config_bool(c, "reindex")              ? REBUILD_ALL
                   : config_bool(c, "reindex-chainstate") ? REBUILD_CHAINSTATE
                                                          : REBUILD_NONE,
        .max_tip_age = config_int(c, "maxtipage"),
        .check_blocks = (int32_t)config_int(c, "checkblocks"),
        .check_level = (unsigned)config_int(c, "checklevel"),
        .stop_at_height = (int32_t)config_int(c, "stopatheight"),
        .signature_cache_bytes = MIN_OF(MAX_OF(s->memory_bytes / 64, 4 * MIB), 512 * MIB),
    };
    return settings_mempool(s, o, e);
}

static struct net_strings strings(const struct config *c, const char *name)
{
    struct net_strings out;
    out.n = config_list(c, name, &out.v);
    return out;
}

static bool has_value(const struct config *c, const char *name, const char *value)
{
    const char *const *values;
    const size_t n = config_list(c, name, &values);
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i], value) == 0)
            return true;
    return false;
}

/* 0 is a number like others for the user, and the default for the network. */
static unsigned connections(const struct config *c, const char *name)
{
    const int64_t n = config_int(c, name);
    return n ? (unsigned)n : NET_NONE;
}

static enum seed_net seeds_of(const struct settings *s)
{
    static const enum seed_net seeds[] = {
        [NETWORK_MAIN] = SEEDS_MAIN, [NETWORK_TEST] = SEEDS_TEST,
        [NETWORK_STN] = SEEDS_STN, [NETWORK_REGTEST] = SEEDS_REGTEST,
    };
    return seeds[s->params.network];
}

void settings_net(const struct settings *s, struct net_config *n)
{
    const struct config *c = s->config;
    const bool pruned = config_int(c, "prune") != 0;
    *n = (struct net_config){
        .default_port = s->params.p2p_port,
        .chain = seeds_of(s),
        .datadir = s->net_dir,
        .user_agent = s->user_agent,
        .services = SERVICE_BITCOIN_CASH | (pruned ? 0 : SERVICE_NETWORK) |
                    (config_bool(c, "peerbloomfilters") ? SERVICE_BLOOM : 0),
        .listen = config_bool(c, "listen"),
        .port = (uint16_t)config_int(c, "port"),
        .bind = strings(c, "bind"),
        .whitebind = strings(c, "whitebind"),
        .whitelist = strings(c, "whitelist"),
        .connect = strings(c, "connect"),
        .connect_none = has_value(c, "connect", "0"),
        .addnode = strings(c, "addnode"),
        .seednode = strings(c, "seednode"),
        .externalip = strings(c, "externalip"),
        .only_ipv4 = has_value(c, "onlynet", "ipv4"),
        .only_ipv6 = has_value(c, "onlynet", "ipv6"),
        .proxy = config_string(c, "proxy"),
        .dns = config_bool(c, "dns"),
        .dnsseed = config_bool(c, "dnsseed"),
        .forcednsseed = config_bool(c, "forcednsseed"),
        .fixedseeds = config_bool(c, "fixedseeds"),
        .discover = config_bool(c, "discover"),
        .max_connections = connections(c, "maxconnections"),
        .max_outbound = connections(c, "maxoutboundconnections"),
        .max_addnode = connections(c, "maxaddnodeconnections"),
        .max_from_addr = (unsigned)config_int(c, "maxconnectionsfromaddr"),
        .connect_timeout_ms = config_int(c, "timeout"),
        .handshake_timeout_s = config_int(c, "p2phandshaketimeout"),
        .inactivity_timeout_s = config_int(c, "p2ptimeout"),
        .ban_score = (int)config_int(c, "banscore"),
        .ban_time_s = config_int(c, "bantime"),
        .banned_agents = strings(c, "banclientua"),
        .allowed_agents = strings(c, "allowclientua"),
        .max_protocol_payload = (uint32_t)config_size(c, "maxprotocolrecvpayloadlength"),
        .excessive_block_size = config_size(c, "excessiveblocksize"),
        .max_receive_buffer = config_size(c, "maxreceivebuffer"),
        .max_send_buffer = config_size(c, "maxsendbuffer"),
        .memory_budget = MAX_OF(s->memory_bytes / 16, 64 * MIB),
        .max_upload_target = config_size(c, "maxuploadtarget"),
        .relay_tx = !config_bool(c, "blocksonly"),
        .mempool_sync = strings(c, "mempoolsyncpeer"),
        .log_addresses = config_bool(c, "logips"),
    };
    if (n->connect_none)
        n->connect.n = 0;
    memcpy(n->magic, s->params.wire_magic, sizeof(n->magic));
    memcpy(n->disk_magic, s->params.disk_magic, sizeof(n->disk_magic));
}

void settings_sync(const struct settings *s, struct sync_options *o)
{
    const struct config *c = s->config;
    *o = (struct sync_options){
        .window = (uint32_t)config_int(c, "blockdownloadwindow"),
        .stall_timeout_ms = 1000 * config_int(c, "blockstallingtimeout"),
        .stall_min_speed = config_size(c, "blockstallingmindownloadspeed"),
        .slow_fetch_ms = 1000 * config_int(c, "blockdownloadslowfetchtimeout"),
        .max_parallel_fetch = (unsigned)config_int(c, "blockdownloadmaxparallelfetch"),
        .intake_budget = MAX_OF(s->memory_bytes / 8, 128 * MIB),
        .compact_blocks = !config_bool(c, "blocksonly"),
        .compact_budget = MAX_OF(s->memory_bytes / 32, 64 * MIB),
        .max_blocktxn_percent = (unsigned)config_int(c, "maxblocktxnpercent"),
    };
}

/* Announcements that wait, of all peers together: each costs some 250 bytes. */
#define ANNOUNCEMENT_COST 256

static size_t share(const struct settings *s, uint64_t part, uint64_t least, uint64_t most)
{
    return (size_t)MIN_OF(MAX_OF(s->memory_bytes / part, least), most);
}

void settings_relay(const struct settings *s, struct relay_options *o)
{
    const struct config *c = s->config;
    const size_t elements = msg_inv_max(config_size(c, "maxprotocolrecvpayloadlength"));
    *o = (struct relay_options){
        .blocks_only = config_bool(c, "blocksonly"),
        .whitelist_relay = config_bool(c, "whitelistrelay"),
        .whitelist_force_relay = config_bool(c, "whitelistforcerelay"),
        .fee_filter = config_bool(c, "feefilter"),
        .reject_mempool_request = config_bool(c, "rejectmempoolrequest"),
        .broadcast_delay_ms = config_int(c, "broadcastdelay"),
        .propagation_ms = config_int(c, "txnpropagationfreq"),
        .propagation_queue = (size_t)config_int(c, "txnpropagationqlen"),
        .announcements_each = elements * (size_t)config_int(c, "recvinvqueuefactor"),
        .announcements_total =
            share(s, 32, 16 * MIB, 256 * MIB) / ANNOUNCEMENT_COST,
        .orphan_bytes = (size_t)MIN_OF(config_size(c, "maxorphantxsize"), s->memory_bytes / 8),
        .judging_bytes = share(s, 16, 64 * MIB, SIZE_MAX),
        .kept_bytes = share(s, 64, 16 * MIB, 256 * MIB),
    };
}
