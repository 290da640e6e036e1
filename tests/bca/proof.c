#include "tests/bca/proof.h"

#include "base/ec.h"
#include "base/hash.h"
#include "base/merkle_branch.h"
#include "bca/address.h"
#include "bca/modifiers.h"
#include "bca/registration.h"
#include "bca/work.h"
#include "tests/test.h"

#define ROOT_OFFSET 36
#define NONCE_OFFSET 76

const struct proof_shape proof_shape_usual = {
    .modifier_depth = 3, .modifier_index = 5, .tx_depth = 4, .tx_index = 9, .with_marker = true,
};

/* Bytes that are different for each tag and number. */
static void fill(uint8_t *out, size_t len, const char *tag, unsigned number)
{
    uint8_t text[16] = { 0 }, digest[32];
    memcpy(text, tag, strlen(tag));
    le32_put(text + 12, number);
    sha256(digest, text, sizeof text);
    memcpy(out, digest, len);
}

static void make_key(uint8_t out[33], const char *tag)
{
    uint8_t secret[32], key[65];
    fill(secret, sizeof secret, tag, 0);
    assert_int_equal(ec_pubkey_create(key, secret, true), 33);
    memcpy(out, key, 33);
}

static void make_tx(struct proof *p, const uint8_t root[32])
{
    static const uint8_t p2pkh_head[] = { 0x76, 0xa9, 0x14 }, p2pkh_tail[] = { 0x88, 0xac };
    uint8_t script[BCA_REGISTRATION_SIZE], spent[32], owner[20];
    fill(spent, sizeof spent, "spent", 0);
    fill(owner, sizeof owner, "owner", 0);
    bca_registration_put(script, p->public_key, root);
    buf_init(&p->tx);
    buf_put_le32(&p->tx, 1);
    buf_put_compact(&p->tx, 1);
    buf_put(&p->tx, spent, sizeof spent);
    buf_put_le32(&p->tx, 7);
    buf_put_compact(&p->tx, 0);
    buf_put_le32(&p->tx, 0xffffffff);
    buf_put_compact(&p->tx, p->shape.with_marker ? 2 : 1);
    buf_put_le64(&p->tx, 0);
    buf_put_var_bytes(&p->tx, script, sizeof script);
    if (p->shape.with_marker) {
        buf_put_le64(&p->tx, 1);
        buf_put_compact(&p->tx, 25);
        buf_put(&p->tx, p2pkh_head, sizeof p2pkh_head);
        buf_put(&p->tx, owner, sizeof owner);
        buf_put(&p->tx, p2pkh_tail, sizeof p2pkh_tail);
    }
    buf_put_le32(&p->tx, 0);
}

void proof_grind(uint8_t header[80], bool good)
{
    const struct bca_rules *rules = bca_rules_get(BCA_NET_REGTEST);
    struct bca_work work;
    for (;;) {
        bca_work_read(header, &work);
        if (bca_work_meets_target(&work, rules) == good)
            return;
        le32_put(header + NONCE_OFFSET, le32_get(header + NONCE_OFFSET) + 1);
    }
}

static void make_header(struct proof *p)
{
    uint8_t txid[32];
    struct hash256 root;
    struct merkle_branch branch = { .index = p->shape.tx_index, .n = p->shape.tx_depth };
    sha256d(txid, p->tx.data, p->tx.len);
    for (unsigned k = 0; k < branch.n; k++) {
        fill(p->tx_siblings[k], 32, "sibling", k);
        memcpy(branch.sibling[k].hash.b, p->tx_siblings[k], 32);
    }
    assert_true(merkle_branch_root(&branch, txid, &root));
    memset(p->header, 0, sizeof p->header);
    le32_put(p->header, 4);
    fill(p->header + 4, 32, "previous", 0);
    memcpy(p->header + ROOT_OFFSET, root.b, 32);
    le32_put(p->header + 68, 1700000000);
    le32_put(p->header + 72, 0x207fffff);
    proof_grind(p->header, true);
}

void proof_make(struct proof *p, const struct proof_shape *shape)
{
    static const uint8_t prefix[8] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2 };
    struct bca_modifier_tree tree;
    uint8_t count = 0;
    ec_init();
    p->shape = *shape;
    make_key(p->public_key, "owner");
    make_key(p->other_key, "another");
    for (unsigned i = 0; i < 32; i++)
        fill(p->modifiers[i], 16, "modifier", i);
    bca_modifier_tree_make(&tree, p->modifiers[0], (size_t)1 << shape->modifier_depth);
    bca_modifier_tree_proof(&tree, shape->modifier_index, p->modifier_siblings[0]);
    make_tx(p, bca_modifier_tree_root(&tree));
    make_header(p);
    memcpy(p->subnet_prefix, prefix, sizeof prefix);
    const struct bca_address_input in = {
        .modifier = p->modifiers[shape->modifier_index], .header = p->header,
        .subnet_prefix = p->subnet_prefix, .transaction = buf_span(&p->tx),
    };
    assert_true(bca_address_form(&in, 0, &count, p->address));
    p->params = (struct bca_params){
        .modifier = in.modifier, .public_key = p->public_key, .transaction = in.transaction,
        .header = p->header, .subnet_prefix = p->subnet_prefix, .collision_count = count,
        .tx_index = shape->tx_index, .tx_depth = (uint8_t)shape->tx_depth,
        .tx_siblings = p->tx_siblings[0], .modifier_index = (uint8_t)shape->modifier_index,
        .modifier_depth = (uint8_t)shape->modifier_depth,
        .modifier_siblings = p->modifier_siblings[0],
    };
}

void proof_clear(struct proof *p)
{
    buf_clear(&p->tx);
}

struct buf proof_bytes(const struct proof *p)
{
    struct buf out;
    buf_init(&out);
    bca_params_write(&out, &p->params);
    return out;
}
