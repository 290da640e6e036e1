/*
 * Transactions and scripts as the RPC shows them (spec rpc 2, "decoded tx"). Any thread.
 */
#ifndef RPC_TX_JSON_H
#define RPC_TX_JSON_H

#include "base/tx.h"
#include "chain/params.h"
#include "rpc/json_write.h"
#include "script/flags.h"

/* Where a transaction lies; all zero: nowhere. */
struct tx_json_block {
    const struct block_hash *hash; /* NULL: not in a block, the fields are left out */
    int32_t confirmations, height;
    uint32_t time;
};

/* The whole object. era: of the block that holds (or would hold) the transaction. */
void jw_tx(struct json_writer *w, const struct tx *tx, const struct chain_params *p,
           enum script_era era, const struct tx_json_block *block);

enum jw_script_hex { JW_SCRIPT_WITH_HEX, JW_SCRIPT_WITHOUT_HEX };
/* Members asm, hex, reqSigs?, type, addresses? of a locking script, into an open object. */
void jw_put_script(struct json_writer *w, struct span script, const struct chain_params *p,
                   enum script_era era, enum jw_script_hex hex);

#endif
