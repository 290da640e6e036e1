/* Payments by a transaction over direct channels as commands make and show them. Waiters, workers
 * for what only reads. */
#ifndef RPC_PAYMENT_JSON_H
#define RPC_PAYMENT_JSON_H

#include "rpc/command.h"
#include "rpc/payment_call.h"

/* pay of a request: parameters contact, satoshis, ref and, the fifth, its id. */
struct rpc_result rpc_pay_request(struct rpc_call *call);
/* A payment_done_fn whose ctx is the struct rpc_later that it answers. */
void rpc_on_transaction(void *later, enum err rc, const struct pay_row *row,
                        const struct error *e);
/* Appends all requests and payments to the array that is open. */
enum err rpc_put_transactions(struct rpc_call *call, struct error *e) MUST_CHECK;

#endif
