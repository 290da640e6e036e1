/* Turns the arguments of a command line into a JSON-RPC request, by the command table. */
#ifndef RPC_CLI_REQUEST_H
#define RPC_CLI_REQUEST_H

#include "base/buf.h"
#include "base/err.h"
#include "rpc/command.h"

/* "bca <verb>" stands for the method "bca<verb>", "help --json" for getrpcdescription. */
enum cli_params { CLI_POSITIONAL, CLI_NAMED };

/* ERR_PARSE: an argument that must be JSON is not, or a named one has no '='. */
enum err cli_build_request(const struct rpc_table *t, const char *method, const char *const *args,
                           size_t n, enum cli_params how, struct buf *out,
                           struct error *e) MUST_CHECK;

#endif
