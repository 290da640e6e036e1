#include "chain/tx_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/chain/pool_util.h"

struct item {
    int number;
    struct tx *tx;
    struct tx_spend spends[3];
};

static void begin(struct tx_table *t)
{
    tx_table_init(t, offsetof(struct item, tx));
}

static struct item item_of(int number, const struct outpoint *in, size_t n)
{
    return (struct item){ .number = number, .tx = pool_tx(in, n, 1, 0) };
}

static void items_are_found_by_id_and_by_what_they_spend(void **state)
{
    (void)state;
    struct tx_table t;
    begin(&t);
    struct outpoint coins[4] = { pool_coin(1), pool_coin(2), pool_coin(3), pool_coin(4) };
    struct item a = item_of(1, coins, 2), b = item_of(2, coins + 2, 1);
    tx_table_put(&t, &a, a.spends);
    tx_table_put(&t, &b, b.spends);
    assert_ptr_equal(tx_table_find(&t, &a.tx->id), &a);
    assert_ptr_equal(tx_table_find(&t, &b.tx->id), &b);
    assert_null(tx_table_find(&t, &coins[0].txid));
    assert_ptr_equal(tx_table_spender(&t, &coins[0]), &a);
    assert_ptr_equal(tx_table_spender(&t, &coins[1]), &a);
    assert_ptr_equal(tx_table_spender(&t, &coins[2]), &b);
    assert_null(tx_table_spender(&t, &coins[3]));
    coins[0].index = 1; /* another output of the same transaction */
    assert_null(tx_table_spender(&t, &coins[0]));
    tx_table_remove(&t, &a);
    assert_null(tx_table_find(&t, &a.tx->id));
    assert_null(tx_table_spender(&t, &coins[1]));
    assert_ptr_equal(tx_table_spender(&t, &coins[2]), &b);
    assert_int_equal(t.by_id.n, 1);
    assert_int_equal(t.by_spent.n, 1);
    tx_unref(a.tx);
    tx_unref(b.tx);
    tx_table_clear(&t);
}

/* Attack C20: whoever chooses ids and outputs cannot know where they come to lie. */
static void the_hash_is_keyed_anew_for_each_table(void **state)
{
    (void)state;
    struct tx_table t, u;
    begin(&t);
    begin(&u);
    assert_memory_not_equal(&t.key, &u.key, sizeof(t.key));
    tx_table_clear(&t);
    tx_table_clear(&u);
}

/* Ids that are alike in all bits a careless hash would take: runs of neighbours stay short. */
static void chosen_outputs_do_not_pile_up(void **state)
{
    (void)state;
    enum { N = 4096 };
    struct tx_table t;
    begin(&t);
    struct item *items = xcalloc(N, sizeof(*items));
    for (int i = 0; i < N; i++) {
        struct outpoint o = { .index = (uint32_t)i << 20 };
        memset(o.txid.b, 0, 28);
        items[i] = item_of(i, &o, 1);
        tx_table_put(&t, &items[i], items[i].spends);
    }
    size_t run = 0, longest = 0;
    for (size_t i = 0; i <= t.by_spent.mask; i++) {
        run = t.by_spent.slots[i].item ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_true(longest < 100);
    assert_true(map_bytes(&t.by_id) + map_bytes(&t.by_spent) <= N * tx_table_cost(items[0].tx));
    for (int i = 0; i < N; i++) {
        tx_table_remove(&t, &items[i]);
        tx_unref(items[i].tx);
    }
    assert_int_equal(t.by_spent.n, 0);
    free(items);
    tx_table_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_found_by_id_and_by_what_they_spend),
        cmocka_unit_test(the_hash_is_keyed_anew_for_each_table),
        cmocka_unit_test(chosen_outputs_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
