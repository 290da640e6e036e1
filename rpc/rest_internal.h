/* Shared by the files behind rest.h. */
#ifndef RPC_REST_INTERNAL_H
#define RPC_REST_INTERNAL_H

#include "chain/chain.h"
#include "rpc/dispatch.h"
#include "rpc/http_json.h"
#include "rpc/rest.h"
#include "rpc/rest_path.h"

struct rest {
    struct rpc_env *env;
    struct http_request *http;
    struct buf *scratch;
    struct rest_query q;
};

extern const char rest_type_bin[], rest_type_hex[];

/* rest.c: a refusal as one line of text. */
void rest_fail(struct rest *r, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A whole answer in the format asked for, bin or hex. */
void rest_reply_bytes(struct rest *r, const void *data, size_t len);
/* A part of one whose length has been told; then its end, or the end of the connection. */
enum err rest_send(struct rest *r, const void *data, size_t len) MUST_CHECK;
void rest_finish(struct rest *r, enum err rc);

/* rest_block.c: the stored bytes of a block, as they are or in hex. */
void rest_send_block(struct rest *r, const struct header_node *node);

/* rest_utxos.c */
void rest_answer_utxos(struct rest *r);

#endif
