/*
 * Proofs as the BSV standards have them, not methods of the reference: getbump (BRC-74) and getbeef
 * (BRC-62, 95, 96) give hex, verifybump and verifybeef judge what others give.
 */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/block_json.h"
#include "rpc/spv_call.h"
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

/* --- verifybump ----------------------------------------------------------------------------- */

static void put_judged_bump(struct json_writer *w, const struct rpc_bump *b)
{
    jw_object_open(w);
    jw_put_judgement(w, &b->j);
    if (b->read)
        jw_put_proof(w, &b->bump, &b->proof, b->tip);
    jw_object_close(w);
}

static struct rpc_result cmd_verifybump(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct rpc_bump b;
    struct txid id;
    struct buf raw;
    const bool named = rpc_has(call, 1);
    if (named)
        rpc_hash(call, 1, id.b);
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    const enum err rc = rpc_judge_bump(call, buf_span(&raw), named ? &id : NULL, &b, &e);
    if (!rc)
        put_judged_bump(call->out, &b);
    rpc_bump_clear(&b);
    buf_clear(&raw);
    return rc ? rpc_fail_error(call, &e) : rpc_done();
}

/* --- verifybeef ----------------------------------------------------------------------------- */

static void put_contents(struct json_writer *w, const struct rpc_beef *b)
{
    const struct beef_tx *subject = beef_subject(&b->beef);
    jw_put_i64(w, "version", b->beef.version == BEEF_V2 ? 2 : 1);
    jw_put_bool(w, "atomic", b->beef.atomic);
    if (subject) {
        jw_put_hash(w, "txid", subject->tx.id.b);
        jw_put_bool(w, "proved", subject->form == BEEF_PROVED);
    }
    jw_put_u64(w, "txs", b->beef.n_txs);
    jw_key(w, "bumps");
    jw_array_open(w);
    for (size_t i = 0; i < b->beef.n_bumps; i++) {
        jw_object_open(w);
        jw_put_proof(w, &b->beef.bump[i], &b->proof[i], b->tip);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static struct rpc_result cmd_verifybeef(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct rpc_beef *b = xcalloc(1, sizeof *b);
    struct buf raw;
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    const enum err rc = rpc_judge_beef(call, buf_span(&raw), b, &e);
    if (!rc) {
        jw_object_open(call->out);
        jw_put_judgement(call->out, &b->j);
        if (b->read)
            put_contents(call->out, b);
        jw_object_close(call->out);
    }
    rpc_beef_clear(b);
    free(b);
    buf_clear(&raw);
    return rc ? rpc_fail_error(call, &e) : rpc_done();
}

#define RESULT_HELP "result: \"valid\"|\"invalid\"|\"undetermined\", rule?, reason?"

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
    { .name = "verifybump",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifybump,
      .help = "Does a BUMP (BRC-74) prove that transactions are in a block of the active chain? It "
              "must lead to the Merkle root of the block at its height, in a tree as deep as that "
              "block's; a coinbase must be mature. Undetermined: the block is not known here.",
      .result = "{" RESULT_HELP ", height, blockhash?, confirmations?, merkleroot?, "
                "txids: [those that it marks]}",
      .example = "fe8a6a0c000c04...",
      .params = { { "bump", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The BUMP" },
                  { "txid", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "It must prove this transaction (default: those that it marks)" } } },
    { .name = "verifybeef",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifybeef,
      .help = "Does a BEEF (BRC-62, 96, 95) hold: structure, proofs against the active chain, and "
              "scripts, amounts and locks of what is not in a block, as for the next block? "
              "Undetermined: a block (rule block-unknown) or a transaction that is named by its id "
              "alone (txid-only) is not known here, such transactions have more than 64 MiB, or "
              "scripts take too long (script-time). Other rules: format, limits, structure, "
              "merkle-root, merkle-depth, coinbase-maturity, double-spend, non-final, "
              "sequence-lock, script, and those of the mempool (bad-txns-in-belowout). At most "
              "2 MiB, 1000 transactions and 256 BUMPs.",
      .result = "{" RESULT_HELP ", version: 1|2, atomic, txid, proved: it is in a block itself, "
                "txs: how many, bumps: [{height, blockhash?, confirmations?, "
                "merkleroot?, txids}, ...]}; of what cannot be read no more than the first line",
      .example = "0100beef01fe636d0c...",
      .params = { { "beef", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The BEEF" } } },
};
const struct rpc_group rpc_spv_commands = { rows, COUNT_OF(rows) };
