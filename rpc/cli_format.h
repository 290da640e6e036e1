/* Output of the client: results as the reference's client prints them, and -getinfo for people. */
#ifndef RPC_CLI_FORMAT_H
#define RPC_CLI_FORMAT_H

#include "base/buf.h"

struct json_object;

/* Strings as they are, null nothing, everything else JSON indented by two. Ends with a newline
 * unless empty. */
void cli_format_result(struct json_object *result, struct buf *out);
/* "error code: -5\nerror message:\n..." */
void cli_format_error(struct json_object *error, struct buf *out);
/* Exit status of an error object: the code without its sign, 8 bits (spec rpc 7). */
int cli_exit_status(struct json_object *error);

/* Results of getblockchaininfo, getnetworkinfo and getpeerinfo as a short table. */
void cli_format_getinfo(struct json_object *chain, struct json_object *net,
                        struct json_object *peers, struct buf *out);

#endif
