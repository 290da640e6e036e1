/* The row arrays of the cmd_<group>.c files. */
#ifndef RPC_COMMANDS_H
#define RPC_COMMANDS_H

#include "rpc/command.h"

extern const struct rpc_group rpc_control_commands; /* cmd_control.c */

#endif
