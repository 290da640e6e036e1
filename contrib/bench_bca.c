/*
 * Verifies BCA proofs on one thread and forms addresses, for contrib/bench. The proofs are the
 * largest there are (28 and 5 levels), each with a key of its own, many more of them than the table
 * of parsed keys in base/ec.c holds: nothing of one verification helps another.
 *
 * usage: bench_bca [MILLISECONDS]     prints one line of JSON
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "bca/address.h"
#include "bca/modifiers.h"
#include "bca/verify.h"
#include "contrib/bench_loop.h"

#define PROOFS 4096

struct proof {
    uint8_t address[16];
    struct buf params;
};

static const uint8_t prefix[8] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1 };

/* n bytes that are different for each number. */
static void fill(uint8_t *out, size_t n, uint32_t number)
{
    for (uint32_t block = 0; n > 0; block++) {
        uint8_t seed[8], digest[32];
        le32_put(seed, number);
        le32_put(seed + 4, block);
        sha256(digest, seed, sizeof seed);
        const size_t part = n < sizeof digest ? n : sizeof digest;
        memcpy(out, digest, part);
        out += part;
        n -= part;
    }
}

static void make_tx(struct buf *tx, const uint8_t *key, const uint8_t *root)
{
    static const uint8_t change[] = { 0x19, 0x76, 0xa9, 0x14 };
    buf_put_le32(tx, 1);
    buf_put_compact(tx, 1);
    fill(buf_extend(tx, 36), 36, le32_get(key + 1));
    buf_put_compact(tx, 109);
    fill(buf_extend(tx, 109), 109, le32_get(key + 5));
    buf_put_le32(tx, 0xffffffff);
    buf_put_compact(tx, 2);
    buf_put_le64(tx, 0);
    buf_put_compact(tx, BCA_REGISTRATION_SIZE);
    bca_registration_put(buf_extend(tx, BCA_REGISTRATION_SIZE), key, root);
    buf_put_le64(tx, 1);
    buf_put(tx, change, sizeof change);
    fill(buf_extend(tx, 20), 20, le32_get(key + 9));
    buf_put(tx, "\x88\xac", 2);
    buf_put_le32(tx, 0);
}

/* A header of regtest over this root that meets its target. */
static void make_header(uint8_t header[80], const struct hash256 *root)
{
    struct bca_work work;
    fill(header, 80, le32_get(root->b));
    memcpy(header + 36, root->b, 32);
    le32_put(header + 72, 0x207fffff);
    do {
        le32_put(header + 76, le32_get(header + 76) + 1);
        bca_work_read(header, &work);
    } while (!bca_work_meets_target(&work, bca_rules_get(BCA_NET_REGTEST)));
}

static void make_root(const struct buf *tx, uint32_t number, uint8_t *siblings,
                      struct hash256 *root)
{
    struct merkle_branch branch = { .index = number, .n = BCA_TX_DEPTH_MAX };
    uint8_t txid[32];
    sha256d(txid, tx->data, tx->len);
    fill(siblings, (size_t)32 * branch.n, number);
    for (unsigned k = 0; k < branch.n; k++)
        memcpy(branch.sibling[k].hash.b, siblings + 32 * k, 32);
    if (!merkle_branch_root(&branch, txid, root))
        die("no root");
}

static void make_proof(struct proof *p, uint32_t number)
{
    uint8_t secret[32], key[65], modifiers[BCA_MODIFIERS_MAX][16], header[80], count = 0;
    uint8_t tx_siblings[32 * BCA_TX_DEPTH_MAX], modifier_siblings[32 * BCA_MODIFIER_DEPTH_MAX];
    const unsigned index = number % BCA_MODIFIERS_MAX;
    struct bca_modifier_tree tree;
    struct hash256 root;
    struct buf tx;
    fill(secret, sizeof secret, number);
    ec_pubkey_create(key, secret, true);
    fill(modifiers[0], sizeof modifiers, number);
    bca_modifier_tree_make(&tree, modifiers[0], BCA_MODIFIERS_MAX);
    bca_modifier_tree_proof(&tree, index, modifier_siblings);
    buf_init(&tx);
    make_tx(&tx, key, bca_modifier_tree_root(&tree));
    make_root(&tx, number, tx_siblings, &root);
    make_header(header, &root);
    const struct bca_address_input in = { modifiers[index], header, prefix, buf_span(&tx) };
    if (!bca_address_form(&in, 0, &count, p->address))
        die("no address");
    const struct bca_params params = {
        .modifier = in.modifier,
        .public_key = key,
        .transaction = in.transaction,
        .header = header,
        .subnet_prefix = prefix,
        .collision_count = count,
        .tx_index = number,
        .tx_depth = BCA_TX_DEPTH_MAX,
        .tx_siblings = tx_siblings,
        .modifier_index = (uint8_t)index,
        .modifier_depth = BCA_MODIFIER_DEPTH_MAX,
        .modifier_siblings = modifier_siblings,
    };
    buf_init(&p->params);
    bca_params_write(&p->params, &params);
    buf_clear(&tx);
}

/* Runs over all proofs again and again for so long; CPU seconds for one. */
static double measure(struct proof *proofs, double seconds, void (*once)(struct proof *p))
{
    const double start = cpu_seconds();
    double used = 0;
    for (size_t rounds = 1;; rounds++) {
        for (size_t i = 0; i < PROOFS; i++)
            once(&proofs[i]);
        used = cpu_seconds() - start;
        if (used >= seconds)
            return used / (double)(rounds * PROOFS);
    }
}

static void verify(struct proof *p)
{
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct bca_verdict v;
    bca_verify(p->address, buf_span(&p->params), &policy, &v);
    if (v.result != BCA_VALID)
        die(bca_step_name(v.step));
}

static void form(struct proof *p)
{
    struct bca_params params;
    uint8_t address[16], count = 0;
    if (bca_params_read(buf_span(&p->params), &params, NULL))
        die("no parameters");
    const struct bca_address_input in = { params.modifier, params.header, params.subnet_prefix,
                                          params.transaction };
    if (!bca_address_form(&in, 0, &count, address) || memcmp(address, p->address, 16) != 0)
        die("another address");
}

int main(int argc, char **argv)
{
    const double seconds = (argc > 1 ? strtod(argv[1], NULL) : 2000) / 1000;
    struct proof *proofs = xcalloc(PROOFS, sizeof *proofs);
    ec_init();
    for (uint32_t i = 0; i < PROOFS; i++)
        make_proof(&proofs[i], i);
    const double verified = measure(proofs, seconds, verify);
    const double formed = measure(proofs, seconds, form);
    printf("{\"proofs\": %d, \"bytes\": %zu, \"verify_us\": %.3f, \"form_us\": %.3f}\n", PROOFS,
           proofs[0].params.len, verified * 1e6, formed * 1e6);
    for (size_t i = 0; i < PROOFS; i++)
        buf_clear(&proofs[i].params);
    free(proofs);
    return 0;
}
