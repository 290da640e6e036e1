/* The groups of commands. A new group is one line here and its cmd_<group>.c. */
#include "rpc/command.h"
#include "rpc/commands.h"

const struct rpc_group *const rpc_groups[] = {
    &rpc_control_commands,
    NULL,
};
