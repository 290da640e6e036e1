/* The manual page of the client, from its options and the command table. */
#ifndef RPC_CLI_MAN_H
#define RPC_CLI_MAN_H

#include "base/config.h"
#include "rpc/command.h"

void cli_man(const struct rpc_table *t, const struct option_row *options, size_t n,
             struct buf *out);

#endif
