/* The groups of commands. A new group is one line here and its cmd_<group>.c. */
#include "rpc/command.h"
#include "rpc/commands.h"

const struct rpc_group *const rpc_groups[] = {
    &rpc_control_commands,
    &rpc_chain_commands,
    &rpc_chain_control_commands,
    &rpc_block_commands,
    &rpc_coins_commands,
    &rpc_stats_commands,
    &rpc_mining_commands,
    &rpc_mining_info_commands,
    &rpc_candidate_commands,
    &rpc_template_commands,
    &rpc_raw_commands,
    &rpc_send_commands,
    &rpc_why_commands,
    &rpc_proof_commands,
    &rpc_spv_commands,
    &rpc_mempool_commands,
    &rpc_info_commands,
    &rpc_keys_commands,
    &rpc_frozen_commands,
    &rpc_confiscation_commands,
    &rpc_verifyscript_commands,
    &rpc_create_commands,
    &rpc_sign_commands,
    &rpc_limits_commands,
    &rpc_net_commands,
    NULL,
};
