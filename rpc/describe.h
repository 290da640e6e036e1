/*
 * The command table as JSON, for programs that make clients, documents or completions from it.
 * Any thread.
 */
#ifndef RPC_DESCRIBE_H
#define RPC_DESCRIBE_H

#include "rpc/command.h"
#include "rpc/json_write.h"

/*
 * One row: {name, category, where: "http"|"worker"|"waiter", hidden, help, result, example,
 * anyparameters, params: [{name, aliases: [...], type, required, json, help}]}. type is a word of
 * rpc_type_name; json tells whether bsvpeer-cli sends the argument as JSON rather than as text.
 */
void jw_command(struct json_writer *w, const struct rpc_command *c);
/* An array of all rows, hidden ones too, by name. */
void jw_command_table(struct json_writer *w, const struct rpc_table *t);

#endif
