/*
 * Parameters of the four networks, spec consensus 1. The tables are constant; the node copies the
 * one it runs on and applies what the options override (activation heights, minimum work).
 */
#ifndef CHAIN_PARAMS_H
#define CHAIN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/ids.h"
#include "base/u256.h"
#include "script/flags.h"

enum chain_network { NETWORK_MAIN, NETWORK_TEST, NETWORK_STN, NETWORK_REGTEST };

struct checkpoint {
    int32_t height;
    struct block_hash hash;
};

struct chain_params {
    enum chain_network network;
    const char *name;          /* "main", "test", "stn", "regtest" as getblockchaininfo shows it */
    const char *data_subdir;   /* "" on main */
    uint8_t wire_magic[4], disk_magic[4];
    uint16_t p2p_port, rpc_port, channel_port;
    struct u256 pow_limit;
    uint32_t pow_limit_bits;
    bool allow_min_difficulty; /* 20-minute rule */
    bool no_retargeting;
    int32_t halving_interval;
    struct script_heights heights;
    int32_t bip34_height;         /* first block whose coinbase begins with its height */
    struct block_hash bip34_hash; /* zero: none, BIP30 is always enforced */
    struct u256 minimum_work;
    struct block_hash assume_valid; /* zero: none */
    int32_t prune_after_height;
    bool mining_requires_peers;
    uint8_t address_version, script_address_version, secret_version;
    uint8_t bip32_public[4], bip32_private[4];
    struct block_header genesis;
    struct block_hash genesis_hash;
    const struct checkpoint *checkpoints; /* by rising height */
    size_t n_checkpoints;
    const char *const *dns_seeds; /* NULL-terminated */
};

/* Any thread after the first call; the table lives for ever. */
const struct chain_params *params_get(enum chain_network network);
/* The 285-byte genesis block of the network. */
#define GENESIS_BLOCK_SIZE 285
void params_genesis_block(const struct chain_params *p, uint8_t out[GENESIS_BLOCK_SIZE]);
/* Reward in satoshis at a height, without fees (spec consensus 3.3). */
int64_t params_subsidy(const struct chain_params *p, int32_t height);

#endif
