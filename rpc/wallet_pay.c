#include "rpc/wallet_pay.h"

#include "base/log.h"
#include "chain/chain.h"

/* It will never be in a block by us: its coins can be spent again. */
static void give_up(struct wallet *w, const struct tx *tx)
{
    struct error e = { .code = OK };
    wallet_lock(w);
    const enum err rc = history_abandon(wallet_history(w), &tx->id, &e);
    wallet_unlock(w);
    if (rc)
        log_warn("wallet \"%s\": a refused transaction was not abandoned: %s", wallet_name(w),
                 e.text);
}

/* False: call has failed. */
static bool taken(struct rpc_call *call, struct wallet *w, const struct tx *tx,
                  const struct tx_result *r)
{
    const char *reason = "";
    char id[HASH_HEX_SIZE];
    switch (r->outcome) {
    case TX_ACCEPTED:
    case TX_PARKED:
    case TX_KNOWN:
    case TX_CONFIRMED:
        return true;
    case TX_NOT_JUDGED: /* it is stored, and handed over at the next start or before */
        rpc_fail(call, RPC_MISC_ERROR,
                 "the node is shutting down or out of memory; transaction %s is kept and handed "
                 "over again later: do not make another", hash_to_hex(id, tx->id.b));
        return false;
    case TX_MISSING_INPUTS:
        reason = "Missing inputs";
        break;
    case TX_REJECTED:
        reason = r->verdict.reason;
        break;
    }
    give_up(w, tx);
    rpc_fail(call, RPC_WALLET_ERROR, "Error: The transaction was rejected! Reason given: %s",
             reason);
    return false;
}

bool rpc_wallet_submit(struct rpc_call *call, struct wallet *w, struct tx *tx)
{
    struct tx_submission s = { .tx = tx, .allow_high_fee = true /* max_fee was asked for */ };
    /* What fails here is that it was not judged, and the result says so. */
    const enum err rc = chain_submit_txs(call->env->chain, &s, 1, NULL);
    (void)rc;
    const bool good = taken(call, w, tx, &s.result);
    tx_submissions_clear(&s, 1);
    return good;
}

struct rpc_result rpc_wallet_fail_send(struct rpc_call *call, const struct error *e)
{
    return e->code == ERR_NOTFOUND ? rpc_fail(call, RPC_INSUFFICIENT_FUNDS, "%s", e->text)
                                   : rpc_wallet_fail(call, e);
}
