/* Transactions brought into a wallet with a proof, where blocks are not stored, and taken out. */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/spv_call.h"
#include "rpc/tx_arg.h"
#include "rpc/wallet_call.h"

/* --- importprunedfunds ---------------------------------------------------------------------- */

struct place {
    const struct txid *id;
    bool found;
    uint64_t index;
};

static void look(void *ctx, const struct partial_node *node)
{
    struct place *p = ctx;
    if (node->kind != PARTIAL_MATCH || !mem_equal_var(node->hash, p->id->b, 32))
        return;
    p->found = true;
    p->index = node->index;
}

static struct rpc_result import_proved(struct rpc_call *call, struct wallet *w,
                                       const struct tx *tx, struct span proof)
{
    struct place place = { .id = &tx->id };
    struct error e = { .code = OK };
    struct rpc_partial p;
    struct hash256 root;
    if (!rpc_judge_partial(call, proof, &p))
        return rpc_failed(call);
    if (!p.holds)
        return rpc_fail(call, RPC_NOT_FOUND, "Something wrong with merkleblock");
    partial_merkle_walk(&p.tree, look, &place, &root);
    if (!place.found)
        return rpc_fail(call, RPC_NOT_FOUND, "Transaction given doesn't exist in proof");
    if (!rpc_wallet_import_tx(call, w, tx, p.node, (uint32_t)place.index, &e)) {
        jw_null(call->out);
        return rpc_done();
    }
    if (e.code == ERR_NOTFOUND)
        return rpc_fail(call, RPC_NOT_FOUND,
                        "No addresses in wallet correspond to included transaction");
    return rpc_wallet_fail(call, &e);
}

static struct rpc_result import_pruned(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct rpc_result r;
    struct buf proof;
    struct tx *tx = tx_from_text(call->argv[0], &e);
    if (!tx) {
        rpc_fail_tx(call, &e, "TX decode failed");
        return rpc_failed(call);
    }
    buf_init(&proof);
    rpc_hex(call, 1, &proof);
    r = import_proved(call, w, tx, buf_span(&proof));
    buf_clear(&proof);
    tx_unref(tx);
    return r;
}

static struct rpc_result cmd_importprunedfunds(struct rpc_call *call)
{
    return rpc_with_wallet(call, import_pruned);
}

/* --- removeprunedfunds ---------------------------------------------------------------------- */

static struct rpc_result remove_pruned(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct txid id;
    rpc_hash(call, 0, id.b);
    wallet_lock(w);
    const enum err rc = history_remove(wallet_history(w), &id, &e);
    wallet_unlock(w);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Transaction does not exist in wallet.");
    if (rc)
        return rpc_wallet_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_removeprunedfunds(struct rpc_call *call)
{
    return rpc_with_wallet(call, remove_pruned);
}

static const struct rpc_command rows[] = {
    { .name = "importprunedfunds",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_importprunedfunds,
      .help = "Brings in a transaction of a block with its proof, without a rescan: for nodes that "
              "do not store the blocks. A later spend of what it pays is not looked for.",
      .result = "null",
      .example = "0100... 0000...",
      .params = { { "rawtransaction", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "txoutproof", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Its proof, of gettxoutproof" } } },
    { .name = "removeprunedfunds",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_removeprunedfunds,
      .help = "Takes a transaction out of the wallet: what it paid is gone there, what it spent is "
              "there again. Of the chain nothing changes, and a rescan brings it back.",
      .result = "null",
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" } } },
};
const struct rpc_group rpc_wallet_pruned_commands = { rows, COUNT_OF(rows) };
