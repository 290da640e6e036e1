/*
 * What a REST address asks for (spec rpc 4). Pure functions over text and bytes that anybody may
 * send; no chain, no sockets.
 */
#ifndef RPC_REST_PATH_H
#define RPC_REST_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ids.h"

#define REST_OUTPOINTS_MAX 15
#define REST_HEADERS_MAX 2000
#define REST_ERROR_MAX 160

enum rest_format { REST_BIN, REST_HEX, REST_JSON };

enum rest_subject {
    REST_TX, REST_BLOCK, REST_BLOCK_IDS, REST_HEADERS, REST_HEADERS_EXTENDED, REST_CHAININFO,
    REST_MEMPOOL_INFO, REST_MEMPOOL_CONTENTS, REST_UTXOS,
};

struct rest_query {
    enum rest_subject subject;
    enum rest_format format;
    uint8_t hash[32];            /* block or transaction */
    unsigned count;              /* headers */
    bool check_mempool;          /* unspent outputs */
    size_t n_outpoints;
    struct outpoint outpoints[REST_OUTPOINTS_MAX];
    char error[REST_ERROR_MAX];  /* of a refusal; empty: an unknown address, nothing to say */
};

/* path: all of it, "/rest/...". 0, or the HTTP status of a refusal with its text in q->error. */
int rest_path_parse(struct rest_query *q, const char *path);

/*
 * Outputs asked for in a body: one byte for the mempool, then a list of outpoints (32 bytes and a
 * u32 each), as hex with REST_HEX. Result as above. An empty body is for the caller to notice.
 */
int rest_body_parse(struct rest_query *q, struct span body);

#endif
