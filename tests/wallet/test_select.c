#include <config.h>

#include "wallet/select.h"

#include <stdlib.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

enum { IN = 148, OUT = 34, MANY = 100000 };

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

static struct select_request request(const struct select_coin *coins, size_t n_coins,
                                     const struct select_recipient *to, size_t n_to)
{
    return (struct select_request){ .coins = coins,
                                    .n_coins = n_coins,
                                    .to = to,
                                    .n_to = n_to,
                                    .n_outputs = n_to,
                                    .outputs_size = n_to * OUT,
                                    .change_size = OUT,
                                    .change_input_size = IN,
                                    .fee_sat_per_kb = 500,
                                    .max_to = SELECT_NOBODY };
}

/* --- what holds of every answer -------------------------------------------------------------- */

static size_t size_of(const struct select_request *r, const struct select_result *s)
{
    const size_t n_out = r->n_outputs + (s->change != 0);
    size_t size = select_frame_size(s->n_chosen, n_out) + r->outputs_size +
                  (s->change ? r->change_size : 0);
    for (size_t i = 0; i < s->n_chosen; i++)
        size += r->coins[s->chosen[i]].input_size;
    return size;
}

static void assert_chosen(const struct select_request *r, const struct select_result *s)
{
    int64_t total = 0;
    size_t must = 0, must_chosen = 0;
    assert_true(s->n_chosen > 0);
    for (size_t i = 0; i < s->n_chosen; i++) {
        const struct select_coin *c = &r->coins[s->chosen[i]];
        assert_true(i == 0 || s->chosen[i] > s->chosen[i - 1]);
        assert_true(c->use == SELECT_MUST || (c->use == SELECT_MAY && !r->must_alone));
        must_chosen += c->use == SELECT_MUST;
        total += c->value;
    }
    for (size_t i = 0; i < r->n_coins; i++)
        must += r->coins[i].use == SELECT_MUST;
    assert_int_equal(must, must_chosen);
    assert_int_equal(total, s->total);
}

static void assert_amounts(const struct select_request *r, const struct select_result *s)
{
    int64_t paid = 0, taken = 0, most = 0, least = INT64_MAX;
    for (size_t i = 0; i < r->n_to; i++) {
        assert_true(s->amounts[i] >= DUST_SATOSHIS);
        paid += s->amounts[i];
        if (i == r->max_to)
            continue;
        const int64_t less = r->to[i].amount - s->amounts[i];
        assert_true(less >= 0);
        assert_true(less == 0 || r->to[i].pays_fee);
        if (r->to[i].pays_fee && r->max_to == SELECT_NOBODY) {
            most = MAX_OF(most, less);
            least = MIN_OF(least, less);
        }
        taken += less;
    }
    assert_int_equal(paid + s->fee + s->change, s->total); /* to the satoshi */
    if (taken) {
        assert_true(taken <= s->fee);
        assert_true(most - least <= (int64_t)r->n_to);
    }
}

/* Never below the rate; above it only by what would not have been worth an output. */
static void assert_fee(const struct select_request *r, const struct select_result *s)
{
    const int64_t least = select_fee(r->fee_sat_per_kb, s->size);
    assert_int_equal(s->size, size_of(r, s));
    assert_true(s->fee >= least);
    if (s->change) {
        assert_true(s->change >= select_change_min(r));
        assert_int_equal(s->fee, least);
    } else {
        const int64_t output = select_fee(r->fee_sat_per_kb, r->change_size + 2);
        assert_true(s->fee < least + output + select_change_min(r));
    }
    if (r->max_size)
        assert_true(s->size <= r->max_size);
}

static void assert_good(const struct select_request *r, const struct select_result *s)
{
    assert_int_equal(s->status, SELECT_OK);
    assert_chosen(r, s);
    assert_amounts(r, s);
    assert_fee(r, s);
}

/* --- random requests against all subsets ----------------------------------------------------- */

/* Whether these coins pay for it, without change. */
static bool suffices(const struct select_request *r, uint32_t set)
{
    struct select_coin coins[16];
    struct select_request alone = *r;
    struct select_result s;
    alone.coins = coins;
    alone.must_alone = true;
    alone.max_size = 0;
    alone.n_coins = 0;
    for (size_t i = 0; i < r->n_coins; i++)
        if (r->coins[i].use == SELECT_MUST ||
            (r->coins[i].use == SELECT_MAY && !r->must_alone && set >> i & 1)) {
            coins[alone.n_coins] = r->coins[i];
            coins[alone.n_coins++].use = SELECT_MUST;
        }
    select_coins(&alone, &s);
    const bool ok = s.status == SELECT_OK;
    select_result_clear(&s);
    return ok;
}

static bool any_suffices(const struct select_request *r)
{
    for (uint32_t set = 0; set < 1u << r->n_coins; set++)
        if (suffices(r, set))
            return true;
    return false;
}

static void make_coins(struct select_coin *coins, size_t n, uint32_t value)
{
    static const enum select_use uses[] = { SELECT_MAY, SELECT_MAY, SELECT_MAY, SELECT_MAY,
                                            SELECT_MAY, SELECT_MUST, SELECT_LOCKED,
                                            SELECT_IMMATURE };
    for (size_t i = 0; i < n; i++)
        coins[i] = (struct select_coin){ .value = 1 + below(value),
                                         .input_size = below(4) ? IN : 114,
                                         .use = uses[below(COUNT_OF(uses))],
                                         .tier = (uint8_t)below(3) };
}

static void random_requests_are_answered_whenever_any_coins_suffice(void **state)
{
    (void)state;
    static const uint64_t rates[] = { 0, 1, 50, 500, 1000, 100000 };
    size_t n_ok = 0, n_short = 0, n_exact = 0;
    for (int round = 0; round < 3000; round++) {
        struct select_coin coins[8];
        struct select_recipient to[3];
        struct select_result s;
        const size_t n = below(9), n_to = 1 + below(3);
        const uint32_t scale = (uint32_t[]){ 300, 5000, 1000000 }[below(3)];
        make_coins(coins, n, scale);
        for (size_t i = 0; i < n_to; i++)
            to[i] = (struct select_recipient){ 1 + below(scale), below(6) == 0 };
        struct select_request r = request(coins, n, to, n_to);
        r.fee_sat_per_kb = rates[below(COUNT_OF(rates))];
        r.must_alone = below(8) == 0;
        if (below(6) == 0)
            r.max_to = below((uint32_t)n_to);
        select_coins(&r, &s);
        if (s.status == SELECT_OK) {
            assert_good(&r, &s);
            n_ok++;
            n_exact += s.change == 0;
        } else if (s.status == SELECT_INSUFFICIENT) {
            assert_true(s.missing > 0);
            assert_false(any_suffices(&r));
            n_short++;
        } else {
            assert_int_equal(s.status, SELECT_DUST);
        }
        select_result_clear(&s);
    }
    assert_true(n_ok > 500 && n_short > 200 && n_exact > 100);
}

/* With exactly what is said to be missing it works. */
static void what_is_missing_is_said_to_the_satoshi(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct select_coin coins[6];
        const struct select_recipient to = { 20000 + below(50000), false };
        struct select_result s;
        for (size_t i = 0; i < 6; i++)
            coins[i] = (struct select_coin){ .value = 100 + below(2000), .input_size = IN };
        coins[4].use = SELECT_IMMATURE;
        coins[5].use = SELECT_LOCKED;
        const struct select_request r = request(coins, 6, &to, 1);
        select_coins(&r, &s);
        assert_int_equal(s.status, SELECT_INSUFFICIENT);
        assert_int_equal(s.immature, coins[4].value);
        assert_int_equal(s.locked, coins[5].value);
        const int64_t missing = s.missing;
        select_result_clear(&s);
        coins[0].value += missing - 1;
        select_coins(&r, &s);
        assert_int_equal(s.status, SELECT_INSUFFICIENT);
        assert_int_equal(s.missing, 1);
        select_result_clear(&s);
        coins[0].value++;
        select_coins(&r, &s);
        assert_good(&r, &s);
        assert_int_equal(s.change, 0);
        select_result_clear(&s);
    }
}

/* --- preferences ----------------------------------------------------------------------------- */

static void a_match_needs_no_change(void **state)
{
    (void)state;
    static const int64_t values[] = { 900000, 40000, 31000, 20074, 10000, 5000 };
    struct select_coin coins[6];
    struct select_result s;
    for (size_t i = 0; i < 6; i++)
        coins[i] = (struct select_coin){ .value = values[i], .input_size = IN };
    /* Two inputs and an output at 500: 170 satoshis of 340 bytes. */
    const struct select_recipient to = { 31000 + 20074 - 170, false };
    const struct select_request r = request(coins, 6, &to, 1);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.change, 0);
    assert_int_equal(s.fee, 170);
    assert_int_equal(s.n_chosen, 2);
    assert_int_equal(s.chosen[0], 2);
    assert_int_equal(s.chosen[1], 3);
    select_result_clear(&s);
}

/* Among those that need no change the one that leaves least to the fee. */
static void the_closest_match_counts(void **state)
{
    (void)state;
    static const int64_t values[] = { 50130, 50110, 50096, 50120 };
    struct select_coin coins[4];
    struct select_result s;
    for (size_t i = 0; i < 4; i++)
        coins[i] = (struct select_coin){ .value = values[i], .input_size = IN };
    const struct select_recipient to = { 50000, false };
    const struct select_request r = request(coins, 4, &to, 1);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    assert_int_equal(s.chosen[0], 2);
    assert_int_equal(s.fee, 96);
    select_result_clear(&s);
    /* A later pair comes less close: 30 satoshis instead of 1. */
    static const int64_t pairs[] = { 30100, 29000, 21200, 20071 };
    for (size_t i = 0; i < 4; i++)
        coins[i].value = pairs[i];
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 2);
    assert_int_equal(s.chosen[0], 0);
    assert_int_equal(s.chosen[1], 3);
    select_result_clear(&s);
}

/* The change of 252 outputs makes their count three bytes long. */
static void counts_that_grow_are_paid_for(void **state)
{
    (void)state;
    struct select_coin coins[600];
    struct select_recipient to[252];
    struct select_result s;
    for (size_t i = 0; i < 252; i++)
        to[i] = (struct select_recipient){ 1000, false };
    coins[0] = (struct select_coin){ .value = 5000000, .input_size = IN };
    struct select_request r = request(coins, 1, to, 252);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.size, 12 + IN + 253 * OUT);
    select_result_clear(&s);
    for (size_t i = 0; i < 600; i++)
        coins[i] = (struct select_coin){ .value = 1000, .input_size = IN };
    r = request(coins, 600, to, 1);
    for (to[0].amount = 926 * 251; to[0].amount < 926 * 255; to[0].amount += 10) {
        select_coins(&r, &s);
        assert_good(&r, &s);
        select_result_clear(&s);
    }
}

static void without_a_match_few_coins_and_little_change(void **state)
{
    (void)state;
    static const int64_t values[] = { 900000, 60000, 30000, 20000, 10000, 5000 };
    struct select_coin coins[6];
    struct select_result s;
    for (size_t i = 0; i < 6; i++)
        coins[i] = (struct select_coin){ .value = values[i], .input_size = IN };
    struct select_recipient to = { 41000, false };
    const struct select_request r = request(coins, 6, &to, 1);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    assert_int_equal(s.chosen[0], 1); /* not the largest */
    select_result_clear(&s);
    to.amount = 903000;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 2);
    assert_int_equal(s.chosen[1], 5); /* the smallest that is enough */
    select_result_clear(&s);
}

static void higher_tiers_are_left_alone_while_lower_ones_do(void **state)
{
    (void)state;
    const struct select_coin coins[] = {
        { 50000, IN, SELECT_MAY, 2 }, { 30000, IN, SELECT_MAY, 0 },
        { 30001, IN, SELECT_MAY, 0 }, { 90000, IN, SELECT_MAY, 1 },
    };
    struct select_recipient to = { 49000, false };
    struct select_result s;
    const struct select_request r = request(coins, 4, &to, 1);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 2);
    assert_int_equal(s.chosen[0], 1);
    assert_int_equal(s.chosen[1], 2);
    select_result_clear(&s);
    to.amount = 89000;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    assert_int_equal(s.chosen[0], 3);
    select_result_clear(&s);
}

static void coins_that_cost_more_than_they_bring_stay(void **state)
{
    (void)state;
    struct select_coin coins[50];
    const struct select_recipient to = { 1000, false };
    struct select_result s;
    for (size_t i = 0; i < 50; i++)
        coins[i] = (struct select_coin){ .value = 74, .input_size = IN }; /* its input costs 74 */
    coins[17].value = 5000;
    struct select_request r = request(coins, 50, &to, 1);
    r.max_to = 0;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    assert_int_equal(s.amounts[0], 5000 - select_fee(500, 192));
    select_result_clear(&s);
    coins[3].use = SELECT_MUST;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 2);
    select_result_clear(&s);
}

static void recipients_can_pay_the_fee(void **state)
{
    (void)state;
    const struct select_coin coins[] = { { 100000, IN, SELECT_MAY, 0 } };
    struct select_recipient to[] = { { 60000, true }, { 20000, false }, { 20000, true } };
    struct select_result s;
    struct select_request r = request(coins, 1, to, 3);
    r.fee_sat_per_kb = 1001;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.size, 10 + IN + 3 * OUT);
    assert_int_equal(s.fee, 261);
    assert_int_equal(s.amounts[0], 60000 - 131); /* the odd one from the first */
    assert_int_equal(s.amounts[1], 20000);
    assert_int_equal(s.amounts[2], 20000 - 130);
    select_result_clear(&s);
    to[0].amount = 10000;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.change, 50000);
    select_result_clear(&s);
    to[2].amount = 100;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_DUST);
    select_result_clear(&s);
}

static void a_limit_of_size_is_kept(void **state)
{
    (void)state;
    struct select_coin coins[21];
    struct select_recipient to = { 10000, false };
    struct select_result s;
    for (size_t i = 0; i < 20; i++)
        coins[i] = (struct select_coin){ .value = 1500, .input_size = IN };
    coins[20] = (struct select_coin){ .value = 50000, .input_size = IN, .tier = 2 };
    struct select_request r = request(coins, 21, &to, 1);
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_true(s.size > 800);
    select_result_clear(&s);
    r.max_size = 800; /* rather one of another tier */
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    select_result_clear(&s);
    r.n_coins = 20;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_TOO_LARGE);
    select_result_clear(&s);
}

static void data_alone_needs_an_input(void **state)
{
    (void)state;
    const struct select_coin coins[] = { { 1000, IN, SELECT_MAY, 0 }, { 1, IN, SELECT_MAY, 0 } };
    struct select_result s;
    struct select_request r = request(coins, 2, NULL, 0);
    r.n_outputs = 1;
    r.outputs_size = 300;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    select_result_clear(&s);
    r.fee_sat_per_kb = 0;
    select_coins(&r, &s);
    assert_good(&r, &s);
    assert_int_equal(s.n_chosen, 1);
    select_result_clear(&s);
}

static void senseless_requests_are_refused(void **state)
{
    (void)state;
    const struct select_coin coins[] = { { MAX_MONEY, IN, SELECT_MAY, 0 } };
    struct select_recipient to[] = { { MAX_MONEY, false }, { 1, false } };
    struct select_result s;
    struct select_request r = request(coins, 1, to, 2);
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_REFUSED);
    select_result_clear(&s);
    r.n_to = 1;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_INSUFFICIENT);
    select_result_clear(&s);
    to[0].amount = 0;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_DUST);
    select_result_clear(&s);
    to[0].amount = -1;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_REFUSED);
    select_result_clear(&s);
    to[0].amount = 5;
    r.fee_sat_per_kb = FEE_RATE_MAX + 1;
    select_coins(&r, &s);
    assert_int_equal(s.status, SELECT_REFUSED);
    select_result_clear(&s);
    r.fee_sat_per_kb = FEE_RATE_MAX;
    select_coins(&r, &s);
    assert_good(&r, &s);
    select_result_clear(&s);
}

static void many_coins_are_no_difficulty(void **state)
{
    (void)state;
    struct select_coin *coins = xcalloc(MANY, sizeof *coins);
    int64_t all = 0;
    for (size_t i = 0; i < MANY; i++) {
        coins[i] = (struct select_coin){ .value = 1 + below(100000), .input_size = IN,
                                         .tier = (uint8_t)(i % 3) };
        all += coins[i].value;
    }
    for (int part = 1; part <= 12; part++) {
        struct select_recipient to = { all / 100 * (part * part) / 2, part % 4 == 0 };
        struct select_result s;
        const struct select_request r = request(coins, MANY, &to, 1);
        select_coins(&r, &s);
        assert_good(&r, &s);
        select_result_clear(&s);
    }
    free(coins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_requests_are_answered_whenever_any_coins_suffice),
        cmocka_unit_test(what_is_missing_is_said_to_the_satoshi),
        cmocka_unit_test(a_match_needs_no_change),
        cmocka_unit_test(the_closest_match_counts),
        cmocka_unit_test(counts_that_grow_are_paid_for),
        cmocka_unit_test(without_a_match_few_coins_and_little_change),
        cmocka_unit_test(higher_tiers_are_left_alone_while_lower_ones_do),
        cmocka_unit_test(coins_that_cost_more_than_they_bring_stay),
        cmocka_unit_test(recipients_can_pay_the_fee),
        cmocka_unit_test(a_limit_of_size_is_kept),
        cmocka_unit_test(data_alone_needs_an_input),
        cmocka_unit_test(senseless_requests_are_refused),
        cmocka_unit_test(many_coins_are_no_difficulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
