#include "node/zmq_json.h"

#include <string.h>
#include <time.h>

#include "rpc/json_write.h"

static void put_tx(struct json_writer *w, const struct tx *tx)
{
    jw_put_hash(w, "txid", tx->id.b);
    jw_put_u64(w, "size", tx->raw.len);
    if (tx->raw.len <= ZMQ_HEX_MAX)
        jw_put_hex(w, "hex", tx->raw.data, tx->raw.len);
}

void zmq_json_discarded(struct buf *out, const struct tx *tx, enum mempool_reason reason,
                        const struct tx *conflict, const struct block_hash *block)
{
    struct json_writer w;
    jw_init(&w, out, NULL, NULL);
    jw_object_open(&w);
    jw_put_hash(&w, "txid", tx->id.b);
    jw_put_text(&w, "reason", mempool_reason_name(reason));
    if (conflict) {
        jw_key(&w, "collidedWith");
        jw_object_open(&w);
        put_tx(&w, conflict);
        jw_object_close(&w);
    }
    if (block)
        jw_put_hash(&w, "blockhash", block->b);
    jw_object_close(&w);
}

void zmq_json_removed(struct buf *out, const struct tx *tx, enum mempool_reason reason)
{
    struct json_writer w;
    jw_init(&w, out, NULL, NULL);
    jw_object_open(&w);
    jw_put_text(&w, "reason", mempool_reason_name(reason));
    jw_put_hash(&w, "txid", tx->id.b);
    jw_object_close(&w);
}

/* --- invalid ones --------------------------------------------------------------------------- */

static const char *source_name(uint64_t source)
{
    if (source == TX_SOURCE_RPC)
        return "rpc";
    if (source == TX_SOURCE_FILE)
        return "file";
    if (source == TX_SOURCE_REORG)
        return "reorg";
    return source == TX_SOURCE_FINALISED ? "finalised" : "p2p";
}

static void put_source(struct json_writer *w, const struct invalid_origin *o)
{
    jw_put_text(w, "source", source_name(o->source));
    if (o->source >= TX_SOURCE_FINALISED)
        return;
    if (o->address)
        jw_put_text(w, "address", o->address);
    jw_put_u64(w, "nodeId", o->source);
}

static void put_origin(struct json_writer *w, const struct invalid_origin *o)
{
    jw_put_bool(w, "fromBlock", o->block != NULL);
    if (!o->block) {
        put_source(w, o);
        return;
    }
    jw_key(w, "origins");
    jw_array_open(w);
    jw_object_open(w);
    put_source(w, o);
    jw_object_close(w);
    jw_array_close(w);
    jw_put_hash(w, "blockhash", o->block->b);
    jw_put_u64(w, "blocktime", o->block_time);
    jw_put_i64(w, "blockheight", o->block_height);
}

static void put_flags(struct json_writer *w, const struct tx_result *r)
{
    const struct verdict *v = &r->verdict;
    bool rejected = r->outcome == TX_REJECTED;
    jw_put_bool(w, "isInvalid", rejected);
    jw_put_bool(w, "isValidationError", false); /* that is trouble of ours, which stops the node */
    jw_put_bool(w, "isMissingInputs", r->outcome == TX_MISSING_INPUTS);
    jw_put_bool(w, "isDoubleSpendDetected", r->double_spend);
    jw_put_bool(w, "isMempoolConflictDetected", rejected && v->code == REJECT_CONFLICT);
    jw_put_bool(w, "isNonFinal", rejected && strstr(v->reason, "final") != NULL);
    jw_put_bool(w, "isValidationTimeoutExceeded", r->validation_timeout);
    jw_put_bool(w, "isStandardTx", !rejected || v->code != REJECT_NONSTANDARD);
    jw_put_u64(w, "rejectionCode", rejected ? v->code : 0);
    jw_put_text(w, "rejectionReason", rejected ? v->reason : "");
}

static void put_time(struct json_writer *w, int64_t seconds)
{
    char text[40];
    struct tm parts;
    time_t t = (time_t)seconds;
    gmtime_r(&t, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    jw_put_text(w, "rejectionTime", text);
}

void zmq_json_invalid(struct buf *out, const struct tx_result *r, const struct invalid_origin *o,
                      int64_t time)
{
    struct json_writer w;
    jw_init(&w, out, NULL, NULL);
    jw_object_open(&w);
    put_origin(&w, o);
    put_tx(&w, r->tx);
    put_flags(&w, r);
    jw_key(&w, "collidedWith");
    jw_array_open(&w);
    if (r->conflict) {
        jw_object_open(&w);
        put_tx(&w, r->conflict);
        jw_object_close(&w);
    }
    jw_array_close(&w);
    put_time(&w, time);
    jw_object_close(&w);
}
