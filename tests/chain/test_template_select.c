#include <config.h>

#include "chain/template_select.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/chain/pool_util.h"

#define SIZE 200
#define ALL ((struct template_limits){ .max_bytes = UINT64_MAX })
#define TIP ((struct header_node *)(void *)&tip_stands_here)
static int tip_stands_here;

static uint32_t coins; /* given out */

static struct journal *begin(void)
{
    struct journal *j = journal_new();
    journal_settle(j, TIP);
    return j;
}

/* Adds a unit of one; the caller may use the pointer while the journal has it. */
static struct tx *put(struct journal *j, struct tx *tx, int64_t fee)
{
    const struct journal_entry e = { .tx = tx, .fee = fee };
    journal_begin(j);
    journal_add(j, &e, 1);
    journal_end(j);
    tx_unref(tx);
    return tx;
}

static struct tx *alone(void)
{
    return pool_child(NULL, ++coins, 4, SIZE);
}

static struct template_choice select_from(struct journal *j, const struct template_limits *l)
{
    struct template_choice c;
    struct error e = { 0 };
    struct journal_snapshot *s = journal_take(j, 0);
    assert_int_equal(template_select(s, l, &c, &e), OK);
    journal_snapshot_unref(s);
    return c;
}

static struct template_choice select_bytes(struct journal *j, uint64_t max_bytes)
{
    return select_from(j, &(struct template_limits){ .max_bytes = max_bytes });
}

/* The choice is these, in this order. */
static void choice_is(struct template_choice *c, struct tx *const *txs, size_t n)
{
    assert_int_equal(c->n, n);
    for (size_t i = 0; i < n; i++)
        assert_ptr_equal(c->v[i].tx, txs[i]);
    template_choice_clear(c);
}

static void the_best_rates_are_taken_in_the_order_of_what_they_pay(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *low = put(j, alone(), 10), *high = put(j, alone(), 30), *mid = put(j, alone(), 20);
    struct template_choice c = select_bytes(j, 3 * SIZE);
    choice_is(&c, (struct tx *[]){ high, mid, low }, 3);
    c = select_bytes(j, 2 * SIZE);
    assert_int_equal(c.totals.fees, 50);
    assert_int_equal(c.totals.bytes, 2 * SIZE);
    choice_is(&c, (struct tx *[]){ high, mid }, 2);
    c = select_bytes(j, SIZE - 1);
    choice_is(&c, NULL, 0);
    journal_free(j);
}

static void equal_rates_go_by_age_and_small_ones_fill_the_rest(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *a = put(j, alone(), 20), *b = put(j, alone(), 20);
    struct tx *big = put(j, pool_child(NULL, ++coins, 1, 5 * SIZE), 80);
    struct tx *c = put(j, alone(), 10);
    struct template_choice chosen = select_bytes(j, 3 * SIZE);
    choice_is(&chosen, (struct tx *[]){ a, b, c }, 3); /* the big one does not fit */
    chosen = select_bytes(j, 7 * SIZE);
    choice_is(&chosen, (struct tx *[]){ a, b, big }, 3);
    journal_free(j);
}

static void a_child_lifts_the_parent_that_it_needs(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *parent = put(j, alone(), 10), *other = put(j, alone(), 50);
    struct tx *child = put(j, pool_child(parent, 0, 4, SIZE), 110); /* 60 on the average */
    struct template_choice c = select_bytes(j, 2 * SIZE);
    choice_is(&c, (struct tx *[]){ parent, child }, 2);
    c = select_bytes(j, SIZE);
    choice_is(&c, (struct tx *[]){ other }, 1); /* not the parent for its own sake */
    c = select_from(j, &ALL);
    choice_is(&c, (struct tx *[]){ parent, child, other }, 3);
    journal_free(j);
}

static void a_poor_child_does_not_hold_its_parent_back(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *parent = put(j, alone(), 50), *child = put(j, pool_child(parent, 0, 4, SIZE), 1);
    struct tx *other = put(j, alone(), 40);
    struct template_choice c = select_bytes(j, 2 * SIZE);
    choice_is(&c, (struct tx *[]){ parent, other }, 2);
    c = select_from(j, &ALL);
    choice_is(&c, (struct tx *[]){ parent, other, child }, 3);
    journal_free(j);
}

static void a_group_enters_whole_or_not_at_all(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *a = alone(), *b = pool_child(a, 0, 4, SIZE), *c = pool_child(b, 0, 4, SIZE);
    const struct journal_entry unit[] = { { .tx = a }, { .tx = b }, { .tx = c, .fee = 300 } };
    journal_begin(j);
    journal_add(j, unit, 3);
    journal_end(j);
    struct tx *single = put(j, alone(), 60);
    struct template_choice chosen = select_bytes(j, 3 * SIZE);
    choice_is(&chosen, (struct tx *[]){ a, b, c }, 3);
    chosen = select_bytes(j, 3 * SIZE - 1);
    choice_is(&chosen, (struct tx *[]){ single }, 1);
    chosen = select_from(j, &ALL);
    choice_is(&chosen, (struct tx *[]){ a, b, c, single }, 4);
    tx_unref(a);
    tx_unref(b);
    tx_unref(c);
    journal_free(j);
}

static void fee_changes_choose_but_are_not_paid(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *a = put(j, alone(), 10), *b = put(j, alone(), 20);
    journal_begin(j);
    journal_set_fee_delta(j, 1, 100);
    journal_end(j);
    struct template_choice c = select_bytes(j, SIZE);
    assert_int_equal(c.totals.fees, 10);
    choice_is(&c, (struct tx *[]){ a }, 1);
    (void)b;
    journal_free(j);
}

/* Before Genesis each begun megabyte may have 20,000 (spec consensus 3.4). */
static void signature_operations_are_limited_before_genesis(void **state)
{
    (void)state;
    struct journal *j = begin();
    struct tx *heavy = alone(), *heavier = alone(), *light = alone();
    const struct journal_entry v[] = { { .tx = heavy, .fee = 90, .sigops = 12000 },
                                       { .tx = heavier, .fee = 80, .sigops = 8000 },
                                       { .tx = light, .fee = 10, .sigops = 7900 } };
    journal_begin(j);
    for (size_t i = 0; i < 3; i++)
        journal_add(j, &v[i], 1);
    journal_end(j);
    const struct template_limits l = { .max_bytes = UINT64_MAX,
                                       .sigops_limited = true,
                                       .coinbase_sigops = 100 };
    struct template_choice c = select_from(j, &l);
    assert_int_equal(c.totals.sigops, 19900);
    choice_is(&c, (struct tx *[]){ heavy, light }, 2);
    c = select_from(j, &ALL);
    choice_is(&c, (struct tx *[]){ heavy, heavier, light }, 3);
    tx_unref(heavy);
    tx_unref(heavier);
    tx_unref(light);
    journal_free(j);
}

/* --- against a plain greedy choice --- */

struct graph {
    struct journal *j;
    struct tx *txs[400];
    int64_t fees[400];
    uint32_t used[400]; /* outputs spent */
    size_t n;
    uint64_t random;
};

static uint32_t draw(struct graph *g, uint32_t below)
{
    return pool_draw(&g->random, below);
}

static void grow(struct graph *g)
{
    struct outpoint in[4];
    size_t n = 0;
    for (uint32_t want = draw(g, 2) ? draw(g, 3) : 0; want > 0 && g->n; want--) {
        const uint32_t from = draw(g, (uint32_t)g->n);
        if (g->used[from] < 8)
            in[n++] = pool_out(g->txs[from], g->used[from]++);
    }
    if (n == 0)
        in[n++] = pool_coin(++coins);
    const int64_t fee = draw(g, 3) ? draw(g, 40) + 1 : 10 * draw(g, 100);
    g->fees[g->n] = fee;
    g->txs[g->n++] = put(g->j, pool_tx(in, n, 8, 300 + draw(g, 400)), fee);
}

static bool spends(const struct tx *child, const struct tx *parent)
{
    for (size_t i = 0; i < child->n_in; i++)
        if (txid_equal(&child->in[i].prevout.txid, &parent->id))
            return true;
    return false;
}

/* Fees of the well-known way: again and again the best transaction with all ancestors it lacks. */
static int64_t plain_greedy(const struct graph *g, uint64_t max_bytes)
{
    bool in[400] = { false };
    uint64_t bytes = 0;
    int64_t total = 0;
    for (;;) {
        double best = -1;
        bool best_set[400] = { false };
        uint64_t best_size = 0;
        int64_t best_fee = 0;
        for (size_t t = 0; t < g->n; t++) {
            bool set[400] = { false };
            uint64_t size = 0;
            int64_t fee = 0;
            if (in[t])
                continue;
            set[t] = true;
            for (size_t k = t + 1; k-- > 0;) {
                if (!set[k])
                    continue;
                size += g->txs[k]->raw.len;
                fee += g->fees[k];
                for (size_t p = 0; p < k; p++)
                    set[p] |= !in[p] && spends(g->txs[k], g->txs[p]);
            }
            if (bytes + size > max_bytes || (double)fee / (double)size <= best)
                continue;
            best = (double)fee / (double)size;
            best_size = size;
            best_fee = fee;
            memcpy(best_set, set, sizeof(set));
        }
        if (best < 0)
            return total;
        for (size_t t = 0; t < g->n; t++)
            in[t] |= best_set[t];
        bytes += best_size;
        total += best_fee;
    }
}

/* Every parent in the graph comes before its child, nothing twice, within the limit. */
static void check_valid(const struct graph *g, const struct template_choice *c, uint64_t max_bytes)
{
    uint64_t bytes = 0;
    int64_t fees = 0;
    for (size_t i = 0; i < c->n; i++) {
        bytes += c->v[i].tx->raw.len;
        fees += c->v[i].fee;
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(c->v[k].tx, c->v[i].tx);
        for (size_t p = 0; p < g->n; p++) {
            bool before = false;
            if (!spends(c->v[i].tx, g->txs[p]))
                continue;
            for (size_t k = 0; k < i; k++)
                before |= c->v[k].tx == g->txs[p];
            assert_true(before);
        }
    }
    assert_true(bytes <= max_bytes);
    assert_int_equal(bytes, c->totals.bytes);
    assert_int_equal(fees, c->totals.fees);
}

static void random_graphs_give_blocks_as_good_as_a_plain_greedy_choice(void **state)
{
    (void)state;
    int64_t ours = 0, plain = 0;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct graph *g = xcalloc(1, sizeof(*g));
        g->j = begin();
        g->random = seed;
        while (g->n < 200)
            grow(g);
        const uint64_t max_bytes = 20000 + draw(g, 60000);
        struct template_choice c = select_bytes(g->j, max_bytes);
        check_valid(g, &c, max_bytes);
        const int64_t greedy = plain_greedy(g, max_bytes);
        assert_true(c.totals.fees * 100 >= greedy * 95);
        ours += c.totals.fees;
        plain += greedy;
        template_choice_clear(&c);
        journal_free(g->j);
        free(g);
    }
    assert_true(ours * 1000 >= plain * 995);
}

static void very_many_parents_cost_little_and_still_come_first(void **state)
{
    (void)state;
    enum { PARENTS = 3000, PAYERS = 20 };
    struct journal *j = begin();
    struct outpoint *in = xcalloc(PARENTS, sizeof(*in));
    struct tx **parents = xcalloc(PARENTS, sizeof(struct tx *));
    for (size_t i = 0; i < PARENTS; i++)
        parents[i] = put(j, pool_child(NULL, ++coins, PAYERS, SIZE), 10 + (int64_t)i % 50);
    for (uint32_t k = 0; k < PAYERS; k++) {
        for (size_t i = 0; i < PARENTS; i++)
            in[i] = pool_out(parents[i], k);
        put(j, pool_tx(in, PARENTS, 1, 0), 100000000);
    }
    struct template_choice c = select_from(j, &ALL);
    assert_int_equal(c.n, PARENTS + PAYERS);
    for (size_t i = 0; i < PARENTS; i++)
        assert_int_equal(c.v[i].tx->n_in, 1);
    template_choice_clear(&c);
    journal_free(j);
    free(parents);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_rates_are_taken_in_the_order_of_what_they_pay),
        cmocka_unit_test(equal_rates_go_by_age_and_small_ones_fill_the_rest),
        cmocka_unit_test(a_child_lifts_the_parent_that_it_needs),
        cmocka_unit_test(a_poor_child_does_not_hold_its_parent_back),
        cmocka_unit_test(a_group_enters_whole_or_not_at_all),
        cmocka_unit_test(fee_changes_choose_but_are_not_paid),
        cmocka_unit_test(signature_operations_are_limited_before_genesis),
        cmocka_unit_test(random_graphs_give_blocks_as_good_as_a_plain_greedy_choice),
        cmocka_unit_test(very_many_parents_cost_little_and_still_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
