#include "bca/verify.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "base/merkle_branch.h"
#include "bca/modifiers.h"

static enum bca_result valid_if(bool condition)
{
    return condition ? BCA_VALID : BCA_INVALID;
}

static enum bca_result collision_count(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    return valid_if(v->params.collision_count <= BCA_COLLISIONS_MAX);
}

static enum bca_result subnet_prefix(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    return valid_if(mem_equal_var(v->params.subnet_prefix, v->address, BCA_PREFIX_SIZE));
}

/* A key of 33 bytes that parses begins with 02 or 03. */
static enum bca_result public_key(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    return valid_if(ec_pubkey_valid(v->params.public_key, BCA_PUBLIC_KEY_SIZE));
}

static enum bca_result transaction(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    const struct span tx = v->params.transaction;
    v->found = bca_registration_find(tx, &v->registered);
    sha256d(v->txid.b, tx.data, tx.len);
    return valid_if(v->found != BCA_TX_MALFORMED);
}

static enum bca_result registration(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    return valid_if(v->found == BCA_REGISTRATION_FOUND);
}

static enum bca_result key_hash(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    uint8_t hash[32];
    sha256(hash, v->params.public_key, BCA_PUBLIC_KEY_SIZE);
    return valid_if(mem_equal_var(hash, v->registered.key_hash, sizeof hash));
}

static enum bca_result tx_proof(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    struct reader r;
    struct block_header header;
    struct merkle_branch branch;
    struct hash256 root;
    branch.index = v->params.tx_index;
    branch.n = v->params.tx_depth;
    for (unsigned k = 0; k < branch.n; k++) {
        branch.sibling[k].duplicate = false; /* copies are written out */
        memcpy(branch.sibling[k].hash.b, v->params.tx_siblings + 32 * k, 32);
    }
    reader_init(&r, v->params.header, BLOCK_HEADER_SIZE);
    block_header_read(&r, &header);
    return valid_if(merkle_branch_root(&branch, v->txid.b, &root) &&
                    mem_equal_var(root.b, header.merkle_root.b, 32));
}

static enum bca_result modifier_proof(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    const struct bca_params *in = &v->params;
    uint8_t root[32];
    return valid_if(bca_modifier_proof_root(in->modifier, in->modifier_index, in->modifier_depth,
                                            in->modifier_siblings, root) &&
                    mem_equal_var(root, v->registered.modifier_root, sizeof root));
}

static enum bca_result pow_target(struct bca_verdict *v, const struct bca_policy *p)
{
    bca_work_read(v->params.header, &v->work);
    return valid_if(bca_work_meets_target(&v->work, p->rules));
}

/* Looks at the hash alone: whoever forges a header chooses its nBits. */
static enum bca_result pow_sec(struct bca_verdict *v, const struct bca_policy *p)
{
    return valid_if(v->work.hash_zero_bits >= bca_required_bits(p->rules, v->sec));
}

static enum bca_result hash1(struct bca_verdict *v, const struct bca_policy *p)
{
    (void)p;
    const struct bca_address_input in = {
        .modifier = v->params.modifier,
        .header = v->params.header,
        .subnet_prefix = v->params.subnet_prefix,
        .transaction = v->params.transaction,
    };
    uint8_t hash[32], id[BCA_INTERFACE_ID_SIZE];
    bca_hash1(hash, &in, v->params.collision_count);
    bca_interface_id(id, hash, v->sec);
    return valid_if(mem_equal_var(id, v->address + BCA_PREFIX_SIZE, sizeof id));
}

static enum bca_result min_sec(struct bca_verdict *v, const struct bca_policy *p)
{
    return valid_if(v->sec >= p->min_sec);
}

static enum bca_result chain(struct bca_verdict *v, const struct bca_policy *p)
{
    if (!p->chain)
        return BCA_VALID;
    switch (p->chain->find(p->chain->ctx, v->params.header, &v->work.hash, &v->confirmations)) {
    case BCA_PLACE_ACTIVE:
        return valid_if(v->confirmations >= p->min_conf);
    case BCA_PLACE_NOT_ACTIVE:
        return BCA_INVALID;
    case BCA_PLACE_UNKNOWN:
        break;
    }
    return BCA_UNDETERMINED;
}

static enum bca_result revoked(struct bca_verdict *v, const struct bca_policy *p)
{
    if (!p->spends || !v->registered.marker)
        return BCA_VALID;
    const struct outpoint marker = { v->txid, v->registered.output + 1 };
    switch (p->spends->look_up(p->spends->ctx, &marker)) {
    case BCA_MARKER_UNSPENT:
        return BCA_VALID;
    case BCA_MARKER_SPENT:
        return BCA_INVALID;
    case BCA_MARKER_UNKNOWN:
        break;
    }
    return BCA_UNDETERMINED;
}

static const struct {
    const char *name;
    enum bca_result (*run)(struct bca_verdict *v, const struct bca_policy *p);
} steps[BCA_STEP_COUNT] = {
    [BCA_STEP_DECODE] = { "decode", NULL }, /* needs the bytes: bca_verify */
    [BCA_STEP_COLLISION_COUNT] = { "collision_count", collision_count },
    [BCA_STEP_SUBNET_PREFIX] = { "subnet_prefix", subnet_prefix },
    [BCA_STEP_PUBLIC_KEY] = { "public_key", public_key },
    [BCA_STEP_TRANSACTION] = { "transaction", transaction },
    [BCA_STEP_REGISTRATION] = { "registration", registration },
    [BCA_STEP_KEY_HASH] = { "key_hash", key_hash },
    [BCA_STEP_TX_PROOF] = { "tx_proof", tx_proof },
    [BCA_STEP_MODIFIER_PROOF] = { "modifier_proof", modifier_proof },
    [BCA_STEP_POW_TARGET] = { "pow_target", pow_target },
    [BCA_STEP_POW_SEC] = { "pow_sec", pow_sec },
    [BCA_STEP_HASH1] = { "hash1", hash1 },
    [BCA_STEP_MIN_SEC] = { "min_sec", min_sec },
    [BCA_STEP_CHAIN] = { "chain", chain },
    [BCA_STEP_REVOKED] = { "revoked", revoked },
};

const char *bca_step_name(enum bca_step step)
{
    return steps[step].name;
}

const char *bca_result_name(enum bca_result result)
{
    static const char *const names[] = { "valid", "invalid", "undetermined" };
    return names[result];
}

void bca_verify(const uint8_t address[BCA_ADDRESS_SIZE], struct span params,
                const struct bca_policy *policy, struct bca_verdict *v)
{
    *v = (struct bca_verdict){ .address = address, .sec = bca_address_sec(address) };
    v->result = valid_if(bca_params_read(params, &v->params, NULL) == OK);
    for (v->step = BCA_STEP_DECODE; v->result == BCA_VALID && ++v->step < BCA_STEP_COUNT;)
        v->result = steps[v->step].run(v, policy);
}
