/*
 * Proofs as the BSV standards have them, not methods of the reference: getbump (BRC-74) and getbeef
 * (BRC-62, 95, 96). Both give hex.
 */
#include "rpc/commands.h"

#include <string.h>

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/block_json.h"
#include "rpc/tx_beef.h"
#include "rpc/tx_lookup.h"
#include "rpc/tx_proof.h"

/* --- getbump -------------------------------------------------------------------------------- */

static struct rpc_result put_bump(struct rpc_call *call, const struct header_node *node,
                                  const struct partial_merkle *tree)
{
    struct error e = { 0 };
    struct bump bump;
    struct buf raw;
    if (bump_from_partial(&bump, (uint32_t)node->height, tree, &e))
        return rpc_fail_error(call, &e);
    buf_init(&raw);
    bump_write(&raw, &bump);
    jw_hex(call->out, raw.data, raw.len);
    buf_clear(&raw);
    bump_clear(&bump);
    return rpc_done();
}

static struct rpc_result cmd_getbump(struct rpc_call *call)
{
    struct tx_proof_partial p;
    struct error e = { 0 };
    struct txid id;
    rpc_hash(call, 0, id.b);
    struct header_node *node = tx_lookup_param(call, 1, &id, 1);
    if (!node)
        return rpc_failed(call);
    /* The record names its block by the height alone. */
    if (!header_index_is_active(chain_headers(call->env->chain), node))
        return rpc_fail(call, RPC_NOT_FOUND, "Block not found in chain");
    struct rpc_result result;
    if (tx_proof_partial(call, node, &id, 1, NULL, NULL, &p, &e))
        result = rpc_fail_block(call, node, &e);
    else if (!p.n_found)
        result = rpc_fail(call, RPC_NOT_FOUND, "Transaction(s) not found in provided block");
    else
        result = put_bump(call, node, &p.tree);
    tx_proof_partial_clear(&p);
    return result;
}

/* --- getbeef -------------------------------------------------------------------------------- */

struct beef_shape {
    const char *name;
    enum beef_version version;
    bool atomic;
};

static const struct beef_shape shapes[] = {
    { "v1", BEEF_V1, false },
    { "v2", BEEF_V2, false },
    { "atomic", BEEF_V1, true }, /* readers know either version inside; V1 is the older */
};

/* NULL: call has failed. */
static const struct beef_shape *take_shape(struct rpc_call *call)
{
    const char *name = rpc_text(call, 1, "v1");
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    rpc_fail(call, RPC_INVALID_PARAMETER, "format is '%.100s', must be 'v1', 'v2' or 'atomic'",
             name);
    return NULL;
}

static struct rpc_result put_beef(struct rpc_call *call, const struct beef *b)
{
    struct error e = { 0 };
    struct buf raw;
    if (beef_check(b, &e))
        return rpc_fail_error(call, &e);
    buf_init(&raw);
    beef_write(&raw, b);
    jw_hex(call->out, raw.data, raw.len);
    buf_clear(&raw);
    return rpc_done();
}

static struct rpc_result cmd_getbeef(struct rpc_call *call)
{
    struct error e = { 0 };
    struct tx_beef b;
    struct txid id;
    bool found;
    const struct beef_shape *shape = take_shape(call);
    if (!shape)
        return rpc_failed(call);
    rpc_hash(call, 0, id.b);
    struct rpc_result result;
    if (tx_beef_make(call, &id, shape->version, &b, &found, &e)) {
        result = rpc_fail_error(call, &e);
    } else if (!found) {
        result = tx_lookup_none(call);
    } else {
        b.beef.atomic = shape->atomic;
        b.beef.subject = id;
        result = put_beef(call, &b.beef);
    }
    tx_beef_clear(&b);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "getbump",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getbump,
      .help = "The way of a transaction to the Merkle root of its block as a BUMP (BRC-74). Its "
              "block is found with -txindex, by an unspent output of it, or is named by its hash; "
              "it must be on the active chain.",
      .result = "\"hex\"",
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT, "The block" } } },
    { .name = "getbeef",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_getbeef,
      .help = "A transaction of the mempool with its unconfirmed ancestors, and those in blocks on "
              "which they stand with Merkle proofs, as BEEF; of a transaction in a block itself "
              "and its proof. At most 1000 transactions and 64 MiB.",
      .result = "\"hex\"",
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b atomic",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "format", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "\"v1\" (BRC-62), \"v2\" (BRC-96) or \"atomic\" (BRC-95); default \"v1\"" } } },
};
const struct rpc_group rpc_spv_commands = { rows, COUNT_OF(rows) };
