/* The row arrays of the cmd_<group>.c files. */
#ifndef RPC_COMMANDS_H
#define RPC_COMMANDS_H

#include "rpc/command.h"

extern const struct rpc_group rpc_control_commands;
extern const struct rpc_group rpc_chain_commands;
extern const struct rpc_group rpc_chain_control_commands;
extern const struct rpc_group rpc_block_commands;
extern const struct rpc_group rpc_coins_commands;
extern const struct rpc_group rpc_stats_commands;
extern const struct rpc_group rpc_mining_commands;
extern const struct rpc_group rpc_mining_info_commands;
extern const struct rpc_group rpc_candidate_commands;
extern const struct rpc_group rpc_template_commands;
extern const struct rpc_group rpc_raw_commands;
extern const struct rpc_group rpc_send_commands;
extern const struct rpc_group rpc_why_commands;
extern const struct rpc_group rpc_proof_commands;
extern const struct rpc_group rpc_spv_commands;
extern const struct rpc_group rpc_mempool_commands;
extern const struct rpc_group rpc_info_commands;
extern const struct rpc_group rpc_keys_commands;
extern const struct rpc_group rpc_bca_commands;
extern const struct rpc_group rpc_bca_register_commands;
extern const struct rpc_group rpc_bca_address_commands;
extern const struct rpc_group rpc_bca_assign_commands;
extern const struct rpc_group rpc_bca_rotate_commands;
extern const struct rpc_group rpc_bca_list_commands;
extern const struct rpc_group rpc_bca_move_commands;
extern const struct rpc_group rpc_bca_recover_commands;
extern const struct rpc_group rpc_bca_revoke_commands;
extern const struct rpc_group rpc_contact_commands;
extern const struct rpc_group rpc_peer_commands;
extern const struct rpc_group rpc_successor_commands;
extern const struct rpc_group rpc_file_commands;
extern const struct rpc_group rpc_paychan_commands;
extern const struct rpc_group rpc_payment_commands;
extern const struct rpc_group rpc_paychan_file_commands;
extern const struct rpc_group rpc_record_commands;
extern const struct rpc_group rpc_message_commands;
extern const struct rpc_group rpc_service_commands;
extern const struct rpc_group rpc_forward_commands;
extern const struct rpc_group rpc_frozen_commands;
extern const struct rpc_group rpc_confiscation_commands;
extern const struct rpc_group rpc_verifyscript_commands;
extern const struct rpc_group rpc_create_commands;
extern const struct rpc_group rpc_sign_commands;
extern const struct rpc_group rpc_limits_commands;
extern const struct rpc_group rpc_net_commands;
extern const struct rpc_group rpc_wallet_commands;
extern const struct rpc_group rpc_wallet_keys_commands;
extern const struct rpc_group rpc_wallet_coins_commands;
extern const struct rpc_group rpc_wallet_locks_commands;
extern const struct rpc_group rpc_wallet_files_commands;
extern const struct rpc_group rpc_wallet_dump_commands;
extern const struct rpc_group rpc_wallet_import_commands;
extern const struct rpc_group rpc_wallet_labels_commands;
extern const struct rpc_group rpc_wallet_messages_commands;
extern const struct rpc_group rpc_wallet_payments_commands;
extern const struct rpc_group rpc_wallet_accept_commands;
extern const struct rpc_group rpc_wallet_pruned_commands;
extern const struct rpc_group rpc_wallet_received_commands;
extern const struct rpc_group rpc_wallet_fund_commands;
extern const struct rpc_group rpc_wallet_send_commands;
extern const struct rpc_group rpc_wallet_since_commands;
extern const struct rpc_group rpc_wallet_txs_commands;

#endif
