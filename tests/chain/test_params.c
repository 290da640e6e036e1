/* The numbers of the four networks, written down a second time from spec consensus 1. */
#include <config.h>

#include "chain/params.h"

#include <stdio.h>
#include <string.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/tx.h"
#include "chain/pow.h"
#include "tests/test.h"

#define NETWORKS 4

struct expected {
    const char *name, *subdir, *wire, *disk, *genesis;
    uint16_t p2p, rpc;
    uint32_t bits;
    bool min_difficulty, no_retarget, peers;
    int32_t halving, p2sh, bip34, bip66, bip65, csv, uahf, daa, genesis_height, chronicle,
    prune_after;
    uint8_t address, script_address, secret;
    const char *bip32_public, *bip32_private;
};

static const struct expected table[NETWORKS] = {
    [NETWORK_MAIN] = { "main", "", "e3e1f3e8", "f9beb4d9",
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", 8333, 8332, 0x1d00ffff,
        false, false, true, 210000, 173805, 227931, 363725, 388381, 419328, 478558, 504031, 620538,
        943816, 100000, 0x00, 0x05, 0x80, "0488b21e", "0488ade4" },
    [NETWORK_TEST] = { "test", "testnet3", "f4e5f3f4", "0b110907",
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", 18333, 18332,
        0x1d00ffff, true, false, true, 210000, 519, 21111, 330776, 581885, 770112, 1155875, 1188697,
        1344302, 1713168, 1000, 0x6f, 0xc4, 0xef, "043587cf", "04358394" },
    [NETWORK_STN] = { "stn", "stn", "fbcec4f9", "fbcec4f9",
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", 9333, 9332, 0x1d00ffff,
        false, false, true, 210000, 1, 100000000, 0, 0, 0, 15, 2200, 100, 250, 1000,
        0x6f, 0xc4, 0xef, "043587cf", "04358394" },
    [NETWORK_REGTEST] = { "regtest", "regtest", "dab5bffa", "fabfb5da",
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", 18444, 18332,
        0x207fffff, true, true, false, 150, 1, 100000000, 1251, 1351, 576, 0, 0, 10000, 15000, 1000,
        0x6f, 0xc4, 0xef, "043587cf", "04358394" },
};

static void expect_bytes(const uint8_t *bytes, const char *hex)
{
    struct buf b = unhex(hex);
    assert_memory_equal(bytes, b.data, b.len);
    buf_clear(&b);
}

static void numbers_of_every_network(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++) {
        const struct expected *x = &table[i];
        const struct chain_params *p = params_get((enum chain_network)i);
        assert_int_equal(p->network, i);
        assert_string_equal(p->name, x->name);
        assert_string_equal(p->data_subdir, x->subdir);
        expect_bytes(p->wire_magic, x->wire);
        expect_bytes(p->disk_magic, x->disk);
        assert_int_equal(p->p2p_port, x->p2p);
        assert_int_equal(p->rpc_port, x->rpc);
        assert_int_equal(p->allow_min_difficulty, x->min_difficulty);
        assert_int_equal(p->no_retargeting, x->no_retarget);
        assert_int_equal(p->mining_requires_peers, x->peers);
        assert_int_equal(p->halving_interval, x->halving);
        assert_int_equal(p->prune_after_height, x->prune_after);
        assert_int_equal(p->address_version, x->address);
        assert_int_equal(p->script_address_version, x->script_address);
        assert_int_equal(p->secret_version, x->secret);
        expect_bytes(p->bip32_public, x->bip32_public);
        expect_bytes(p->bip32_private, x->bip32_private);
    }
}

static void activation_heights_of_every_network(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++) {
        const struct expected *x = &table[i];
        const struct chain_params *p = params_get((enum chain_network)i);
        assert_int_equal(p->bip34_height, x->bip34);
        assert_int_equal(p->heights.p2sh, x->p2sh);
        assert_int_equal(p->heights.bip66, x->bip66);
        assert_int_equal(p->heights.bip65, x->bip65);
        assert_int_equal(p->heights.csv, x->csv);
        assert_int_equal(p->heights.uahf, x->uahf);
        assert_int_equal(p->heights.daa, x->daa);
        assert_int_equal(p->heights.genesis, x->genesis_height);
        assert_int_equal(p->heights.chronicle, x->chronicle);
    }
}

static void limit_of_work_is_what_its_bits_say(void **state)
{
    (void)state;
    static const unsigned exponent[NETWORKS] = { 224, 224, 224, 255 };
    for (int i = 0; i < NETWORKS; i++) {
        const struct chain_params *p = params_get((enum chain_network)i);
        const struct u256 one = u256_from_u64(1), next = u256_add(&p->pow_limit, &one);
        const struct u256 power = u256_shl(&one, exponent[i]);
        assert_int_equal(u256_cmp(&next, &power), 0);
        assert_int_equal(p->pow_limit_bits, table[i].bits);
        assert_int_equal(u256_to_compact(&p->pow_limit), p->pow_limit_bits);
    }
}

static void genesis_blocks_hash_to_the_listed_hashes(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++) {
        const struct chain_params *p = params_get((enum chain_network)i);
        uint8_t block[GENESIS_BLOCK_SIZE];
        struct block_hash hash;
        struct hash256 root;
        char hex[HASH_HEX_SIZE];
        params_genesis_block(p, block);
        sha256d(hash.b, block, BLOCK_HEADER_SIZE);
        assert_string_equal(hash_to_hex(hex, hash.b), table[i].genesis);
        assert_memory_equal(hash.b, p->genesis_hash.b, 32);
        assert_true(pow_hash_ok(p, &hash, p->genesis.bits));
        assert_int_equal(block[BLOCK_HEADER_SIZE], 1);
        sha256d(root.b, block + BLOCK_HEADER_SIZE + 1, GENESIS_BLOCK_SIZE - BLOCK_HEADER_SIZE - 1);
        assert_memory_equal(root.b, p->genesis.merkle_root.b, 32);
        assert_string_equal(hash_to_hex(hex, root.b),
                            "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b");
    }
}

static void genesis_coinbase_pays_fifty_coins_to_one_key(void **state)
{
    (void)state;
    uint8_t block[GENESIS_BLOCK_SIZE];
    struct error e;
    params_genesis_block(params_get(NETWORK_MAIN), block);
    struct tx *tx =
        tx_new(block + BLOCK_HEADER_SIZE + 1, GENESIS_BLOCK_SIZE - BLOCK_HEADER_SIZE - 1, &e);
    assert_non_null(tx);
    assert_true(tx_is_coinbase(tx));
    assert_int_equal(tx->n_out, 1);
    assert_int_equal(tx->out[0].value, 50 * COIN);
    assert_int_equal(tx->in[0].script.len, 77);
    assert_int_equal(tx->out[0].script.len, 67);
    tx_unref(tx);
}

static void hash_text(const uint8_t hash[32], const char *want)
{
    char hex[HASH_HEX_SIZE];
    assert_string_equal(hash_to_hex(hex, hash), want);
}

static void known_blocks_and_work(void **state)
{
    (void)state;
    const struct chain_params *m = params_get(NETWORK_MAIN), *t = params_get(NETWORK_TEST);
    char hex[65];
    hash_text(m->bip34_hash.b, "000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8");
    hash_text(t->bip34_hash.b, "0000000023b3a96d3484e5abb3755c413e7d41500f8e2a5c3f0dd01299cd8ef8");
    hash_text(m->assume_valid.b,
              "000000000000000000e45ad2fbcc5ff3e85f0868dd8f00ad4e92dffabe28f8d2");
    hash_text(t->assume_valid.b,
              "0000000000327972b8470c11755adf8f4319796bafae01f5a6650490b98a17db");
    assert_string_equal(u256_to_hex(hex, &m->minimum_work) + 64 - 22, "a0f3064330647e2f6c4828");
    assert_string_equal(u256_to_hex(hex, &t->minimum_work) + 64 - 18, "2a650f6ff7649485da");
    for (int i = NETWORK_STN; i <= NETWORK_REGTEST; i++) {
        const struct chain_params *p = params_get((enum chain_network)i);
        assert_true(u256_is_zero(&p->minimum_work));
        assert_true(hash_is_zero(p->bip34_hash.b));
        assert_true(hash_is_zero(p->assume_valid.b));
    }
}

static void checkpoints_rise_and_are_as_many_as_listed(void **state)
{
    (void)state;
    static const size_t count[NETWORKS] = { 16, 3, 11, 1 };
    for (int i = 0; i < NETWORKS; i++) {
        const struct chain_params *p = params_get((enum chain_network)i);
        assert_int_equal(p->n_checkpoints, count[i]);
        for (size_t j = 1; j < p->n_checkpoints; j++)
            assert_true(p->checkpoints[j].height > p->checkpoints[j - 1].height);
    }
    hash_text(params_get(NETWORK_MAIN)->checkpoints[15].hash.b,
              "0000000000000000011ada8bd08f46074f44a8f155396f43e38acf9501c49103");
    assert_int_equal(params_get(NETWORK_MAIN)->checkpoints[15].height, 530359);
}

static void seeds_of_every_network(void **state)
{
    (void)state;
    static const size_t count[NETWORKS] = { 3, 3, 2, 0 };
    for (int i = 0; i < NETWORKS; i++) {
        const struct chain_params *p = params_get((enum chain_network)i);
        size_t n = 0;
        while (p->dns_seeds[n])
            n++;
        assert_int_equal(n, count[i]);
    }
    assert_string_equal(params_get(NETWORK_MAIN)->dns_seeds[0], "seed.bitcoinsv.io");
    assert_string_equal(params_get(NETWORK_STN)->dns_seeds[1], "stn-seed.bitcoinseed.directory");
}

static void subsidy_halves_and_ends(void **state)
{
    (void)state;
    const struct chain_params *m = params_get(NETWORK_MAIN), *r = params_get(NETWORK_REGTEST);
    assert_int_equal(params_subsidy(m, 0), 50 * COIN);
    assert_int_equal(params_subsidy(m, 209999), 50 * COIN);
    assert_int_equal(params_subsidy(m, 210000), 25 * COIN);
    assert_int_equal(params_subsidy(m, 840000), 312500000);
    assert_int_equal(params_subsidy(m, 32 * 210000), 1);
    assert_int_equal(params_subsidy(m, 33 * 210000), 0);
    assert_int_equal(params_subsidy(m, 64 * 210000), 0);
    assert_int_equal(params_subsidy(m, INT32_MAX), 0);
    assert_int_equal(params_subsidy(r, 149), 50 * COIN);
    assert_int_equal(params_subsidy(r, 150), 25 * COIN);
    int64_t all = 0;
    for (int32_t height = 0; height < 34 * 210000; height += 210000)
        all += 210000 * params_subsidy(m, height);
    assert_int_equal(all, 2099999997690000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_network),
        cmocka_unit_test(activation_heights_of_every_network),
        cmocka_unit_test(limit_of_work_is_what_its_bits_say),
        cmocka_unit_test(genesis_blocks_hash_to_the_listed_hashes),
        cmocka_unit_test(genesis_coinbase_pays_fifty_coins_to_one_key),
        cmocka_unit_test(known_blocks_and_work),
        cmocka_unit_test(checkpoints_rise_and_are_as_many_as_listed),
        cmocka_unit_test(seeds_of_every_network),
        cmocka_unit_test(subsidy_halves_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
