/*
 * Transactions as clients give them: hex of the plain or of the extended form (BRC-30). Any thread.
 */
#ifndef RPC_TX_ARG_H
#define RPC_TX_ARG_H

#include "base/tx.h"
#include "rpc/command.h"

/*
 * Appends the bytes of the plain form. Only the extended form is looked into; whether plain bytes
 * are a transaction is for the caller to find out. ERR_PARSE: not hex, or not an extended
 * transaction though marked as one. ERR_NOMEM.
 */
enum err tx_from_hex(struct buf *plain, const char *hex, size_t digits,
                     struct error *e) MUST_CHECK;
/* The same from parameter i (RPC_HEX). False: call has failed. */
bool rpc_tx(struct rpc_call *call, size_t i, struct buf *plain);
/* A transaction of its own from a JSON string. NULL: e says why. */
struct tx *tx_from_text(struct json_object *hex, struct error *e);
/* Why a transaction could not be had: the text with -22 when it was a matter of the bytes, out of
 * memory otherwise. */
struct rpc_result rpc_fail_tx(struct rpc_call *call, const struct error *e, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
