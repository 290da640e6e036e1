/*
 * The numbers of spec consensus 1. Hashes stand as people read them and are decoded once, on the
 * first use of a network.
 */
#include "chain/params.h"

#include <pthread.h>
#include <string.h>

#include "base/amount.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/intmath.h"

#define NEVER 100000000

struct checkpoint_row {
    int32_t height;
    const char *hash;
};


/* A row of constants; what needs decoding is text. */
struct network_row {
    struct chain_params params;
    const char *genesis_hash, *bip34_hash, *minimum_work, *assume_valid;
    const struct checkpoint_row *checkpoints;
    size_t n_checkpoints;
    unsigned pow_limit_bits_set; /* powLimit = 2^n - 1 */
};

/* spec consensus 1.5 */
static const struct checkpoint_row main_checkpoints[] = {
    { 11111, "0000000069e244f73d78e8fd29ba2fd2ed618bd6fa2ee92559f542fdb26e7c1d" },
    { 33333, "000000002dd5588a74784eaa7ab0507a18ad16a236e7b1ce69f00d7ddfb5d0a6" },
    { 74000, "0000000000573993a3c9e41ce34471c079dcf5f52a0e824a81e7f953b8661a20" },
    { 105000, "00000000000291ce28027faea320c8d2b054b2e0fe44a773f3eefb151d6bdc97" },
    { 134444, "00000000000005b12ffd4cd315cd34ffd4a594f430ac814c91184a0d42d2b0fe" },
    { 168000, "000000000000099e61ea72015e79632f216fe6cb33d7899acb35b75c8303b763" },
    { 193000, "000000000000059f452a5f7340de6682a977387c17010ff6e6c3bd83ca8b1317" },
    { 210000, "000000000000048b95347e83192f69cf0366076336c639f9b7228e9ba171342e" },
    { 216116, "00000000000001b4f4b433e81ee46494af945cf96014816a4e2370f11b23df4e" },
    { 225430, "00000000000001c108384350f74090433e7fcf79a606b8e797f065b130575932" },
    { 250000, "000000000000003887df1f29024b06fc2200b55f8af8f35453d7be294df2d214" },
    { 279000, "0000000000000001ae8c72a0b0c301f67e3afca10e819efa9041e458e9bd7e40" },
    { 295000, "00000000000000004d9b4ef50f0f9d686fd69db2e03af35a100370c64632a983" },
    { 478558, "0000000000000000011865af4122fe3b144e2cbeea86142e8ff2fb4107352d43" },
    { 504031, "0000000000000000011ebf65b60d0a3de80b8175be709d653b4c1a1beeb6ab9c" },
    { 530359, "0000000000000000011ada8bd08f46074f44a8f155396f43e38acf9501c49103" },
};
static const struct checkpoint_row test_checkpoints[] = {
    { 546, "000000002a936ca763904c3c35fce2f3556c559c0214345d31b1bcebf76acb70" },
    { 1155875, "00000000f17c850672894b9a75b63a1e72830bbd5f4c8889b5c1a80e7faef138" },
    { 1188697, "0000000000170ed0918077bde7b4d36cc4c91be69fa09211f748240dabe047fb" },
};
static const struct checkpoint_row stn_checkpoints[] = {
    { 0, "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943" },
    { 1, "00000000e23f9436cc8a6d6aaaa515a7b84e7a1720fc9f92805c0007c77420c4" },
    { 2, "0000000040f8f40b5111d037b8b7ff69130de676327bcbd76ca0e0498a06c44a" },
    { 4, "00000000d33661d5a6906f84e3c64ea6101d144ec83760bcb4ba81edcb15e68d" },
    { 5, "00000000e9222ebe623bf53f6ec774619703c113242327bdc24ac830787873d6" },
    { 6, "00000000764a4ff15c2645e8ede0d0f2af169f7a517dd94a6778684ed85a51e4" },
    { 7, "000000001f15fe3dac966c6bb873c63348ca3d877cd606759d26bd9ad41e5545" },
    { 8, "0000000074230d332b2ed9d87af3ad817b6f2616c154372311c9b2e4f386c24c" },
    { 9, "00000000ca21de811f04f5ec031aa3a102f8e27f2a436cde588786da1996ec9b" },
    { 10, "0000000046ceee1b7d771594c6c75f11f14f96822fd520e86ec5c703ec231e87" },
    { 11, "00000000e1ad0ed45011a4c7fe5afde3211b4bdcf60370234355338afbf70e2d" },
};
static const struct checkpoint_row regtest_checkpoints[] = {
    { 0, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206" },
};

/* spec consensus 1.6 */
static const char *const main_seeds[] = {
    "seed.bitcoinsv.io", "seed.satoshisvision.network", "seed.bitcoinseed.directory", NULL,
};
static const char *const test_seeds[] = {
    "testnet-seed.bitcoinsv.io",
    "testnet-seed.bitcoincloud.net",
    "testnet-seed.bitcoinseed.directory",
    NULL,
};
static const char *const stn_seeds[] = { "stn-seed.bitcoinsv.io", "stn-seed.bitcoinseed.directory",
                                         NULL };
static const char *const no_seeds[] = { NULL };

/* spec consensus 1.1, 1.2, 1.4 */
static const struct network_row rows[] = {
    [NETWORK_MAIN] = {
        .params = {
            .network = NETWORK_MAIN, .name = "main", .data_subdir = "",
            .wire_magic = { 0xe3, 0xe1, 0xf3, 0xe8 }, .disk_magic = { 0xf9, 0xbe, 0xb4, 0xd9 },
            .p2p_port = 8333, .channel_port = 9944, .rpc_port = 8332,
            .pow_limit_bits = 0x1d00ffff,
            .halving_interval = 210000,
            .heights = { .p2sh = 173805, .bip66 = 363725, .bip65 = 388381, .csv = 419328,
                         .uahf = 478558, .daa = 504031, .genesis = 620538, .chronicle = 943816 },
            .bip34_height = 227931, .prune_after_height = 100000, .mining_requires_peers = true,
            .address_version = 0x00, .script_address_version = 0x05, .secret_version = 0x80,
            .bip32_public = { 0x04, 0x88, 0xb2, 0x1e }, .bip32_private = { 0x04, 0x88, 0xad, 0xe4 },
            .genesis = { .version = 1, .time = 1231006505, .bits = 0x1d00ffff,
                         .nonce = 2083236893 },
            .dns_seeds = main_seeds,
        },
        .genesis_hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        .bip34_hash = "000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8",
        .minimum_work = "a0f3064330647e2f6c4828",
        .assume_valid = "000000000000000000e45ad2fbcc5ff3e85f0868dd8f00ad4e92dffabe28f8d2",
        .checkpoints = main_checkpoints, .n_checkpoints = COUNT_OF(main_checkpoints),
        .pow_limit_bits_set = 224,
    },
    [NETWORK_TEST] = {
        .params = {
            .network = NETWORK_TEST, .name = "test", .data_subdir = "testnet3",
            .wire_magic = { 0xf4, 0xe5, 0xf3, 0xf4 }, .disk_magic = { 0x0b, 0x11, 0x09, 0x07 },
            .p2p_port = 18333, .channel_port = 19944, .rpc_port = 18332,
            .pow_limit_bits = 0x1d00ffff,
            .allow_min_difficulty = true, .halving_interval = 210000,
            .heights = { .p2sh = 519, .bip66 = 330776, .bip65 = 581885, .csv = 770112,
                         .uahf = 1155875, .daa = 1188697,
                         .genesis = 1344302, .chronicle = 1713168 },
            .bip34_height = 21111, .prune_after_height = 1000, .mining_requires_peers = true,
            .address_version = 0x6f, .script_address_version = 0xc4, .secret_version = 0xef,
            .bip32_public = { 0x04, 0x35, 0x87, 0xcf }, .bip32_private = { 0x04, 0x35, 0x83, 0x94 },
            .genesis = { .version = 1, .time = 1296688602, .bits = 0x1d00ffff, .nonce = 414098458 },
            .dns_seeds = test_seeds,
        },
        .genesis_hash = "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        .bip34_hash = "0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8",
        .minimum_work = "2a650f6ff7649485da",
        .assume_valid = "0000000000327972b8470c11755adf8f4319796bafae01f5a6650490b98a17db",
        .checkpoints = test_checkpoints, .n_checkpoints = COUNT_OF(test_checkpoints),
        .pow_limit_bits_set = 224,
    },
    [NETWORK_STN] = {
        .params = {
            .network = NETWORK_STN, .name = "stn", .data_subdir = "stn",
            .wire_magic = { 0xfb, 0xce, 0xc4, 0xf9 }, .disk_magic = { 0xfb, 0xce, 0xc4, 0xf9 },
            .p2p_port = 9333, .channel_port = 29944, .rpc_port = 9332,
            .pow_limit_bits = 0x1d00ffff,
            .halving_interval = 210000,
            /* The reference sets no BIP65, BIP66 and CSV: zero, spec consensus 1.1 note a. */
            .heights = { .p2sh = 1, .bip66 = 0, .bip65 = 0, .csv = 0,
                         .uahf = 15, .daa = 2200, .genesis = 100, .chronicle = 250 },
            .bip34_height = NEVER, .prune_after_height = 1000, .mining_requires_peers = true,
            .address_version = 0x6f, .script_address_version = 0xc4, .secret_version = 0xef,
            .bip32_public = { 0x04, 0x35, 0x87, 0xcf }, .bip32_private = { 0x04, 0x35, 0x83, 0x94 },
            .genesis = { .version = 1, .time = 1296688602, .bits = 0x1d00ffff, .nonce = 414098458 },
            .dns_seeds = stn_seeds,
        },
        .genesis_hash = "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        .checkpoints = stn_checkpoints, .n_checkpoints = COUNT_OF(stn_checkpoints),
        .pow_limit_bits_set = 224,
    },
    [NETWORK_REGTEST] = {
        .params = {
            .network = NETWORK_REGTEST, .name = "regtest", .data_subdir = "regtest",
            .wire_magic = { 0xda, 0xb5, 0xbf, 0xfa }, .disk_magic = { 0xfa, 0xbf, 0xb5, 0xda },
            .p2p_port = 18444, .channel_port = 39944, .rpc_port = 18332,
            .pow_limit_bits = 0x207fffff,
            .allow_min_difficulty = true, .no_retargeting = true, .halving_interval = 150,
            .heights = { .p2sh = 1, .bip66 = 1251, .bip65 = 1351, .csv = 576,
                         .uahf = 0, .daa = 0, .genesis = 10000, .chronicle = 15000 },
            .bip34_height = NEVER, .prune_after_height = 1000,
            .address_version = 0x6f, .script_address_version = 0xc4, .secret_version = 0xef,
            .bip32_public = { 0x04, 0x35, 0x87, 0xcf }, .bip32_private = { 0x04, 0x35, 0x83, 0x94 },
            .genesis = { .version = 1, .time = 1296688602, .bits = 0x207fffff, .nonce = 2 },
            .dns_seeds = no_seeds,
        },
        .genesis_hash = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        .checkpoints = regtest_checkpoints, .n_checkpoints = COUNT_OF(regtest_checkpoints),
        .pow_limit_bits_set = 255,
    },
};

/* The coinbase that all four networks share, spec consensus 1.2. */
static const char genesis_tx_hex[] =
    "01000000" "01"
    "0000000000000000000000000000000000000000000000000000000000000000" "ffffffff"
    "4d" "04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f"
    "72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73"
    "ffffffff" "01" "00f2052a01000000"
    "43" "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f355"
    "04e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac" "00000000";
#define GENESIS_TX_SIZE (GENESIS_BLOCK_SIZE - BLOCK_HEADER_SIZE - 1)
static const char genesis_merkle_root[] =
    "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

#define CHECKPOINTS_MAX 16
static struct chain_params tables[COUNT_OF(rows)];
static struct checkpoint checkpoint_tables[COUNT_OF(rows)][CHECKPOINTS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void decode_hash(uint8_t out[32], const char *hex)
{
    memset(out, 0, 32);
    BUG_ON(hex && !hash_from_hex(out, hex));
}

static void decode_row(enum chain_network n)
{
    const struct network_row *row = &rows[n];
    struct chain_params *p = &tables[n];
    *p = row->params;
    const struct u256 one = u256_from_u64(1);
    const struct u256 past = u256_shl(&one, row->pow_limit_bits_set);
    p->pow_limit = u256_sub(&past, &one);
    decode_hash(p->genesis.merkle_root.b, genesis_merkle_root);
    decode_hash(p->genesis_hash.b, row->genesis_hash);
    decode_hash(p->bip34_hash.b, row->bip34_hash);
    decode_hash(p->assume_valid.b, row->assume_valid);
    BUG_ON(row->minimum_work && !u256_from_hex(&p->minimum_work, row->minimum_work));

    _Static_assert(COUNT_OF(main_checkpoints) <= CHECKPOINTS_MAX, "room for every checkpoint");
    for (size_t i = 0; i < row->n_checkpoints; i++) {
        checkpoint_tables[n][i].height = row->checkpoints[i].height;
        decode_hash(checkpoint_tables[n][i].hash.b, row->checkpoints[i].hash);
    }
    p->checkpoints = checkpoint_tables[n];
    p->n_checkpoints = row->n_checkpoints;
}

static void decode_all(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        decode_row((enum chain_network)i);
}

const struct chain_params *params_get(enum chain_network network)
{
    pthread_once(&once, decode_all);
    return &tables[network];
}

void params_genesis_block(const struct chain_params *p, uint8_t out[GENESIS_BLOCK_SIZE])
{
    size_t len;
    block_header_put(out, &p->genesis);
    out[BLOCK_HEADER_SIZE] = 1;
    BUG_ON(!hex_decode(out + BLOCK_HEADER_SIZE + 1, GENESIS_TX_SIZE, genesis_tx_hex,
                       sizeof(genesis_tx_hex) - 1, &len) || len != GENESIS_TX_SIZE);
}

int64_t params_subsidy(const struct chain_params *p, int32_t height)
{
    const int32_t halvings = height / p->halving_interval;
    return halvings >= 64 ? 0 : 50 * COIN >> halvings;
}
