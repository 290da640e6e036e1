#include "rpc/mining.h"

#include "base/block_stream.h"
#include "base/config.h"
#include "chain/miner.h"
#include "p2p/net.h"

bool rpc_may_mine(struct rpc_call *call)
{
    struct net_status s = { .active = false };
    struct chain *c = call->env->chain;
    if (chain_get_params(c)->mining_requires_peers &&
        (!call->env->net || net_get_status(call->env->net, &s) || s.counts.total == 0)) {
        rpc_fail(call, RPC_NOT_CONNECTED, "Bitcoin is not connected!");
        return false;
    }
    if (!chain_is_initial_download(c))
        return true;
    rpc_fail(call, RPC_IN_INITIAL_DOWNLOAD, "Bitcoin is downloading blocks...");
    return false;
}

bool rpc_template(struct rpc_call *call, enum template_need need, struct block_template **out)
{
    struct error e = { 0 };
    if (!assembler_get(chain_assembler(call->env->chain), need, out, &e))
        return true;
    rpc_fail_error(call, &e);
    return false;
}

int32_t rpc_block_version(const struct rpc_call *call)
{
    return config_is_set(call->env->config, "blockversion")
               ? (int32_t)config_int(call->env->config, "blockversion")
               : MINER_VERSION;
}

const char *known_block_answer(struct chain *c, const struct block_hash *hash)
{
    struct header_data d;
    struct header_node *node = header_index_find(chain_headers(c), hash);
    if (!node)
        return NULL;
    header_index_get_data(chain_headers(c), node, &d);
    if (d.status & HS_SCRIPTS_OK)
        return "duplicate";
    if (d.status & HS_FAILED_MASK)
        return "duplicate-invalid";
    return d.status & HS_HAVE_DATA ? "duplicate-inconclusive" : NULL;
}

const char *submission_answer(struct chain *c, const struct block_submission *s)
{
    if (!verdict_ok(&s->verdict))
        return s->verdict.reason;
    if (s->duplicate)
        return "duplicate";
    return header_index_is_active(chain_headers(c), s->node)
               ? NULL
               : "inconclusive"; /* stored, but another branch has more work */
}

void jw_text_or_null(struct json_writer *w, const char *text)
{
    if (text)
        jw_text(w, text);
    else
        jw_null(w);
}

bool block_of_bytes(struct span raw, struct block_hash *hash)
{
    struct block_stream s;
    block_stream_init(&s);
    if (block_stream_feed(&s, raw.data, raw.len) || !block_stream_done(&s))
        return false;
    block_header_hash(hash, &s.header);
    return true;
}
