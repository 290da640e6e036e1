#include "bca/cli_block.h"

#include "base/block.h"
#include "base/hash.h"
#include "base/merkle_branch.h"
#include "tests/test.h"

static const uint8_t key[33] = { 2, 1 };

static void script_for(uint8_t script[BCA_REGISTRATION_SIZE], uint8_t number)
{
    const uint8_t root[32] = { number };
    bca_registration_put(script, key, root);
}

/* A transaction that registers with root `number`. */
static struct buf make_tx(uint8_t number)
{
    struct buf tx;
    uint8_t script[BCA_REGISTRATION_SIZE];
    script_for(script, number);
    buf_init(&tx);
    buf_put_le32(&tx, 1);
    buf_put_u8(&tx, 1);
    memset(buf_extend(&tx, 41), 0, 41);
    buf_put_u8(&tx, 1);
    buf_put_le64(&tx, 0);
    buf_put_var_bytes(&tx, script, sizeof script);
    buf_put_le32(&tx, 0);
    return tx;
}

/* A block of n of them, roots 1 to n. */
static struct buf make_block(uint8_t n, struct hash256 *root)
{
    struct buf block;
    struct merkle tree;
    buf_init(&block);
    merkle_init(&tree);
    memset(buf_extend(&block, BLOCK_HEADER_SIZE), 7, BLOCK_HEADER_SIZE);
    buf_put_compact(&block, n);
    for (uint8_t i = 1; i <= n; i++) {
        uint8_t id[32];
        struct buf tx = make_tx(i);
        sha256d(id, tx.data, tx.len);
        merkle_add(&tree, id);
        buf_put(&block, tx.data, tx.len);
        buf_clear(&tx);
    }
    *root = merkle_root(&tree, NULL);
    return block;
}

static void assert_leads_to(const struct cli_registered *found, const struct hash256 *root)
{
    struct merkle_branch branch = { .index = found->tx_index, .n = found->tx_depth };
    struct hash256 got;
    uint8_t id[32];
    for (unsigned k = 0; k < branch.n; k++)
        memcpy(branch.sibling[k].hash.b, found->tx_siblings + 32 * k, 32);
    sha256d(id, found->transaction.data, found->transaction.len);
    assert_true(merkle_branch_root(&branch, id, &got));
    assert_memory_equal(got.b, root->b, 32);
}

static void every_transaction_of_blocks_of_any_size_has_its_proof(void **state)
{
    (void)state;
    for (uint8_t n = 1; n <= 20; n++) {
        struct hash256 root;
        struct buf block = make_block(n, &root);
        for (uint8_t i = 1; i <= n; i++) {
            struct cli_registered found;
            uint8_t script[BCA_REGISTRATION_SIZE];
            script_for(script, i);
            assert_int_equal(cli_find_registration(buf_span(&block), script, &found, NULL), OK);
            assert_int_equal(found.tx_index, i - 1);
            assert_leads_to(&found, &root);
        }
        buf_clear(&block);
    }
}

static void what_is_no_block_or_has_no_such_registration_is_refused(void **state)
{
    (void)state;
    struct hash256 root;
    struct cli_registered found;
    uint8_t script[BCA_REGISTRATION_SIZE];
    struct buf block = make_block(3, &root);
    script_for(script, 9);
    assert_int_equal(cli_find_registration(buf_span(&block), script, &found, NULL), ERR_NOTFOUND);
    script_for(script, 1);
    for (size_t len = 0; len < block.len; len++)
        assert_int_equal(cli_find_registration(span_of(block.data, len), script, &found, NULL),
                         ERR_PARSE);
    buf_put_u8(&block, 0);
    assert_int_equal(cli_find_registration(buf_span(&block), script, &found, NULL), ERR_PARSE);
    buf_clear(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transaction_of_blocks_of_any_size_has_its_proof),
        cmocka_unit_test(what_is_no_block_or_has_no_such_registration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
