/* Real and published chains: every block connects in its place. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "chain/chain_internal.h"
#include "tests/chain/chain_builder.h"

static struct test_chain *open_main(int32_t maturity)
{
    struct test_chain *t = xcalloc(1, sizeof(*t));
    struct chain_params p = *params_get(NETWORK_MAIN);
    p.minimum_work = u256_from_u64(0);
    test_chain_open(t, &p, 2);
    t->chain->env.coinbase_maturity = maturity;
    return t;
}

static void close_main(struct test_chain *t)
{
    test_chain_close(t);
    free(t);
}

/* The file with the first blocks of the main network (heap); calls skip() when there is none. */
static char *first_blocks(void)
{
    char **names, *found = NULL;
    const size_t n = vector_list("blocks", ".blk", &names);
    for (size_t i = 0; i < n && !found; i++)
        if (strncmp(names[i], "blocks/mainnet_0_", 17) == 0)
            found = xasprintf("%s", names[i]);
    vector_list_free(names, n);
    if (!found)
        skip();
    return found;
}

static void the_first_blocks_of_the_main_network_connect(void **state)
{
    (void)state;
    char *name = first_blocks();
    struct buf file = { 0 };
    vector_read(name, &file);
    struct test_chain *t = open_main(COINBASE_MATURITY);
    size_t n = test_chain_submit_records(t, &file);
    vector_report(name, n);
    free(name);
    assert_int_equal(test_chain_tip_height(t), (int)n - 1);
    /* The first payment, where the file has it: block 170 spends the coinbase of block 9. */
    const int32_t back = n > 170 ? 170 : 1;
    struct error e;
    struct hash256 before = test_chain_coins(t);
    struct header_node *node = header_index_at(chain_headers(t->chain), back);
    assert_int_equal(chain_invalidate(t->chain, node, &e), OK);
    assert_int_equal(test_chain_tip_height(t), back - 1);
    assert_int_equal(chain_reconsider(t->chain, node, &e), OK);
    struct hash256 after = test_chain_coins(t);
    assert_memory_equal(before.b, after.b, 32);
    buf_clear(&file);
    close_main(t);
}

static void loadblock_imports_the_same_chain(void **state)
{
    (void)state;
    char *name = first_blocks();
    struct error e;
    struct chain_tip tip;
    struct buf file = { 0 };
    struct test_chain *t = open_main(COINBASE_MATURITY);
    vector_read(name, &file);
    test_chain_submit_records(t, &file);
    struct hash256 direct = test_chain_coins(t);
    struct test_chain *u = open_main(COINBASE_MATURITY);
    assert_int_equal(chain_close(u->chain, &e), OK);
    char *copy = path_join(u->dir, "copy.blk"); /* a vector may be packed */
    assert_int_equal(file_replace(copy, file.data, file.len, &e), OK);
    assert_int_equal(chain_open(&u->chain, &u->options, NULL, &e), OK);
    chain_start(u->chain, (const char *const[]){ copy, NULL });
    assert_true(chain_wait_tip(u->chain, test_chain_tip_height(t), NULL, 20000, &tip));
    for (int i = 0; i < 20000 && chain_is_importing(u->chain); i++)
        usleep(1000);
    assert_false(chain_is_importing(u->chain));
    struct hash256 imported = test_chain_coins(u);
    assert_memory_equal(direct.b, imported.b, 32);
    buf_clear(&file);
    free(copy);
    free(name);
    close_main(t);
    close_main(u);
}

static void the_synthetic_branches_reorganise_with_a_maturity_of_one(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("blocks/reorg-synthetic", ".blk", &names);
    if (n == 0)
        skip();
    struct test_chain *t = open_main(1);
    size_t records = 0;
    for (size_t i = 0; i < n; i++) {
        struct buf file = { 0 };
        vector_read(names[i], &file);
        size_t cases = test_chain_submit_records(t, &file);
        vector_report(names[i], cases);
        records += cases;
        buf_clear(&file);
    }
    assert_true(records > 5);
    struct chain_tip tip;
    chain_get_tip(t->chain, &tip);
    const struct header_node *best = header_index_best(chain_headers(t->chain));
    assert_ptr_equal(tip.node, best);
    vector_list_free(names, n);
    close_main(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_blocks_of_the_main_network_connect),
        cmocka_unit_test(loadblock_imports_the_same_chain),
        cmocka_unit_test(the_synthetic_branches_reorganise_with_a_maturity_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
