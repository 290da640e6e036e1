/* Expiry, memory and the minimum fee rate that follows from it. */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"
#include "tests/chain/pool_util.h"

#define SIZE 200
#define HOUR 3600
#define HALF_LIFE (12 * HOUR)

/* A transaction on its own at a rate in satoshis a kB. */
static struct mempool_entry *add_at_rate(struct mempool *mp, uint32_t coin, int64_t rate)
{
    return pool_add(mp, pool_child(NULL, coin, 4, SIZE), rate * SIZE / 1000);
}

/* What one such entry is charged. */
static size_t entry_memory(void)
{
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    const size_t memory = add_at_rate(mp, 1, 500)->memory;
    mempool_free(mp);
    return memory;
}

/* Room for n entries on their own. */
static struct mempool *begin(size_t n)
{
    struct mempool_options o = pool_options();
    o.max_bytes = n * entry_memory();
    o.max_secondary_bytes = o.max_bytes;
    return mempool_new(&o);
}

static struct mempool_stats stats_of(struct mempool *mp, int64_t now)
{
    struct mempool_stats s;
    mempool_get_stats(mp, now, &s);
    return s;
}

static size_t trim(struct mempool *mp, int64_t now)
{
    struct mempool_removals out = { 0 };
    mempool_trim(mp, now, &out);
    const size_t n = out.n;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out.v[i].reason, MEMPOOL_SIZE_LIMIT);
    mempool_removals_clear(&out);
    return n;
}

/* --- what goes --- */

static void the_lowest_fee_rate_goes_first_and_of_equals_the_youngest(void **state)
{
    (void)state;
    struct mempool *mp = begin(3);
    const struct mempool_entry *dear = add_at_rate(mp, 1, 5000), *first = add_at_rate(mp, 2, 1000);
    add_at_rate(mp, 3, 1000);
    const struct mempool_entry *middle = add_at_rate(mp, 4, 2000);
    assert_int_equal(trim(mp, 0), 1);
    assert_int_equal(stats_of(mp, 0).count, 3);
    assert_int_equal(trim(mp, 0), 0);
    assert_ptr_equal(dear->group, NULL);
    const struct outpoint kept[3] = { pool_coin(1), pool_coin(2), pool_coin(4) };
    assert_ptr_equal(mempool_spender(mp, &kept[0]), dear);
    assert_ptr_equal(mempool_spender(mp, &kept[1]), first);
    assert_ptr_equal(mempool_spender(mp, &kept[2]), middle);
    mempool_free(mp);
}

static void secondary_ones_go_before_primary_ones(void **state)
{
    (void)state;
    struct mempool *mp = begin(2);
    const struct mempool_entry *poor = add_at_rate(mp, 1, 500);
    add_at_rate(mp, 2, 499);
    add_at_rate(mp, 3, 501);
    assert_int_equal(trim(mp, 0), 1);
    assert_int_equal(stats_of(mp, 0).secondary, 0);
    assert_true(mempool_contains(mp, &poor->tx->id));
    mempool_free(mp);
}

static void secondary_ones_have_a_share_of_their_own(void **state)
{
    (void)state;
    struct mempool_options o = pool_options();
    o.max_secondary_bytes = 2 * entry_memory();
    struct mempool *mp = mempool_new(&o);
    const struct mempool_entry *better = add_at_rate(mp, 1, 300), *best = add_at_rate(mp, 2, 400);
    add_at_rate(mp, 3, 100);
    for (uint32_t i = 10; i < 20; i++)
        add_at_rate(mp, i, 500);
    assert_int_equal(trim(mp, 0), 1);
    assert_true(mempool_contains(mp, &better->tx->id));
    assert_true(mempool_contains(mp, &best->tx->id));
    assert_int_equal(stats_of(mp, 0).primary, 10);
    mempool_free(mp);
}

static void a_cheap_parent_stays_with_its_dear_child(void **state)
{
    (void)state;
    struct mempool *mp = begin(3);
    const struct mempool_entry *parent = add_at_rate(mp, 1, 500);
    const struct mempool_entry *child = pool_add(mp, pool_child(parent->tx, 0, 1, SIZE), 10000);
    add_at_rate(mp, 2, 600);
    add_at_rate(mp, 3, 700);
    assert_true(trim(mp, 0) >= 1);
    assert_true(mempool_contains(mp, &parent->tx->id));
    assert_true(mempool_contains(mp, &child->tx->id));
    mempool_free(mp);
}

static void a_group_is_worth_its_common_rate(void **state)
{
    (void)state;
    struct mempool *mp = begin(3);
    const struct mempool_entry *free_one = add_at_rate(mp, 1, 0);
    /* 600 for both: below what others pay alone. */
    pool_add(mp, pool_child(free_one->tx, 0, 1, SIZE), 2 * 600 * SIZE / 1000);
    assert_non_null(free_one->group);
    const struct mempool_entry *alone = add_at_rate(mp, 2, 700), *other = add_at_rate(mp, 3, 650);
    assert_true(trim(mp, 0) >= 1);
    assert_true(mempool_contains(mp, &alone->tx->id));
    assert_true(mempool_contains(mp, &other->tx->id));
    assert_int_equal(stats_of(mp, 0).groups, 0);
    mempool_free(mp);
}

/* Attack B9: a flood of five times what fits; memory stays, and the best paying survive. */
static void a_flood_leaves_the_best_paying_ones(void **state)
{
    (void)state;
    enum { ROOM = 400, FLOOD = 5 * ROOM };
    struct mempool *mp = begin(ROOM);
    const size_t limit = ROOM * entry_memory();
    int64_t lowest_kept = INT64_MAX;
    int64_t *rates = xcalloc(FLOOD, sizeof(*rates));
    for (uint32_t i = 0; i < FLOOD; i++) {
        rates[i] = (int64_t)rand_below(100000) + 5;
        add_at_rate(mp, i, rates[i] / 5 * 5);
        trim(mp, 0);
        assert_true(stats_of(mp, 0).memory <= limit);
    }
    assert_int_equal(stats_of(mp, 0).count, ROOM);
    for (uint32_t i = 0; i < FLOOD; i++) {
        const struct outpoint coin = pool_coin(i);
        if (mempool_spender(mp, &coin) && rates[i] / 5 * 5 < lowest_kept)
            lowest_kept = rates[i] / 5 * 5;
    }
    for (uint32_t i = 0; i < FLOOD; i++) {
        const struct outpoint coin = pool_coin(i);
        assert_true(mempool_spender(mp, &coin) || rates[i] / 5 * 5 <= lowest_kept);
    }
    free(rates);
    mempool_free(mp);
}

/* --- the minimum fee rate --- */

static void without_pressure_there_is_no_minimum(void **state)
{
    (void)state;
    struct mempool *mp = begin(5);
    add_at_rate(mp, 1, 500);
    assert_int_equal(trim(mp, 0), 0);
    mempool_note_block(mp, 0);
    assert_int_equal(mempool_min_fee_per_kb(mp, 0), 0);
    assert_int_equal(mempool_min_fee_per_kb(mp, 1000 * HOUR), 0);
    mempool_free(mp);
}

/* A full pool that threw out one at 600; the next would be 700. */
static struct mempool *full_pool(void)
{
    struct mempool *mp = begin(4);
    for (uint32_t i = 0; i < 5; i++)
        add_at_rate(mp, i, 600 + 100 * (int64_t)i);
    assert_int_equal(trim(mp, 0), 1);
    return mp;
}

static void it_rises_above_what_went_and_what_is_next(void **state)
{
    (void)state;
    struct mempool *mp = full_pool();
    assert_int_equal(mempool_min_fee_per_kb(mp, 0), 1700);
    assert_int_equal(stats_of(mp, 0).min_fee_per_kb, 1700);
    mempool_free(mp);
}

static void it_falls_by_half_in_twelve_hours_from_the_next_block_on(void **state)
{
    (void)state;
    struct mempool *mp = full_pool();
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR), 1700);
    mempool_note_block(mp, 100 * HOUR);
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR), 1700);
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR + HALF_LIFE / 2), 1202);
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR + HALF_LIFE), 850);
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR + 2 * HALF_LIFE), 425);
    assert_int_equal(mempool_min_fee_per_kb(mp, 100 * HOUR + 11 * HALF_LIFE), 0);
    assert_int_equal(mempool_min_fee_per_kb(mp, INT64_C(1) << 40), 0);
    /* Blocks between change nothing about that, up to the last digit. */
    for (int i = 1; i < 72; i++)
        mempool_note_block(mp, 100 * HOUR + i * HALF_LIFE / 72);
    const int64_t stepped = mempool_min_fee_per_kb(mp, 100 * HOUR + HALF_LIFE);
    assert_true(stepped >= 848 && stepped <= 850);
    /* A clock that goes back does not raise it. */
    assert_true(mempool_min_fee_per_kb(mp, 0) <= 1700);
    mempool_free(mp);
}

static void it_waits_for_another_block_when_it_rises_again(void **state)
{
    (void)state;
    struct mempool *mp = full_pool();
    mempool_note_block(mp, 0);
    assert_int_equal(mempool_min_fee_per_kb(mp, HALF_LIFE), 850);
    add_at_rate(mp, 9, 5000);
    assert_int_equal(trim(mp, HALF_LIFE), 1);
    assert_int_equal(mempool_min_fee_per_kb(mp, HALF_LIFE), 1800);
    assert_int_equal(mempool_min_fee_per_kb(mp, 9 * HALF_LIFE), 1800);
    mempool_note_block(mp, 9 * HALF_LIFE);
    assert_int_equal(mempool_min_fee_per_kb(mp, 10 * HALF_LIFE), 900);
    mempool_free(mp);
}

static void it_falls_faster_when_the_pool_is_half_or_a_quarter_full(void **state)
{
    (void)state;
    struct mempool *mp = begin(16);
    for (uint32_t i = 0; i < 17; i++)
        add_at_rate(mp, i, 700);
    assert_int_equal(trim(mp, 0), 1);
    assert_int_equal(mempool_min_fee_per_kb(mp, 0), 1700);
    mempool_note_block(mp, 0);
    for (uint32_t i = 0; i < 9; i++) {
        const struct outpoint coin = pool_coin(i);
        mempool_remove(mp, &mempool_spender(mp, &coin)->tx->id, MEMPOOL_REORG, NULL);
    }
    assert_int_equal(mempool_min_fee_per_kb(mp, HALF_LIFE / 2), 850);
    for (uint32_t i = 9; i < 13; i++) {
        const struct outpoint coin = pool_coin(i);
        mempool_remove(mp, &mempool_spender(mp, &coin)->tx->id, MEMPOOL_REORG, NULL);
    }
    assert_int_equal(mempool_min_fee_per_kb(mp, HALF_LIFE / 4), 850);
    mempool_free(mp);
}

static void while_secondary_ones_are_left_nobody_need_pay_more_than_the_mining_fee(void **state)
{
    (void)state;
    struct mempool *mp = begin(3);
    for (uint32_t i = 0; i < 4; i++)
        add_at_rate(mp, i, 400);
    assert_int_equal(trim(mp, 0), 1);
    assert_int_equal(mempool_min_fee_per_kb(mp, 0), 500);
    mempool_free(mp);
}

/* --- expiry --- */

static void old_ones_expire_with_their_descendants(void **state)
{
    (void)state;
    const struct mempool_options o = pool_options();
    struct mempool *mp = mempool_new(&o);
    struct tx *parent = pool_child(NULL, 1, 1, SIZE), *young = pool_child(NULL, 2, 1, SIZE);
    const struct mempool_candidate early = { .tx = parent, .fee = 100, .time = 1000 };
    const struct mempool_candidate late = { .tx = young, .fee = 100, .time = 1001 };
    struct mempool_removals out = { 0 };
    mempool_add(mp, &late);
    mempool_add(mp, &early);
    pool_add(mp, pool_child(parent, 0, 1, SIZE), 100);
    mempool_expire(mp, 1000 + o.expiry_s, &out);
    assert_int_equal(out.n, 0);
    mempool_expire(mp, 1001 + o.expiry_s, &out);
    assert_int_equal(out.n, 2);
    assert_ptr_equal(out.v[0].tx, parent);
    assert_int_equal(out.v[1].reason, MEMPOOL_EXPIRED);
    assert_true(mempool_contains(mp, &young->id));
    mempool_removals_clear(&out);
    tx_unref(parent);
    tx_unref(young);
    mempool_free(mp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_fee_rate_goes_first_and_of_equals_the_youngest),
        cmocka_unit_test(secondary_ones_go_before_primary_ones),
        cmocka_unit_test(secondary_ones_have_a_share_of_their_own),
        cmocka_unit_test(a_cheap_parent_stays_with_its_dear_child),
        cmocka_unit_test(a_group_is_worth_its_common_rate),
        cmocka_unit_test(a_flood_leaves_the_best_paying_ones),
        cmocka_unit_test(without_pressure_there_is_no_minimum),
        cmocka_unit_test(it_rises_above_what_went_and_what_is_next),
        cmocka_unit_test(it_falls_by_half_in_twelve_hours_from_the_next_block_on),
        cmocka_unit_test(it_waits_for_another_block_when_it_rises_again),
        cmocka_unit_test(it_falls_faster_when_the_pool_is_half_or_a_quarter_full),
        cmocka_unit_test(while_secondary_ones_are_left_nobody_need_pay_more_than_the_mining_fee),
        cmocka_unit_test(old_ones_expire_with_their_descendants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
