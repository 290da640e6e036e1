/* What is charged, owed and paid: to the satoshi, whatever the pieces, and without wrapping. */
#include "p2p/bill.h"

#include "base/intmath.h"
#include "tests/test.h"

#define ROUNDS 20000

/* Numbers of all sizes, from a generator of its own so that a failure comes again. */
static uint64_t next_number(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return below ? (*seed >> 33) % below : 0;
}

static struct bill of_price(uint64_t per_mib, uint64_t per_minute)
{
    return (struct bill){ .price = { per_mib, per_minute } };
}

static void the_sum_does_not_depend_on_the_pieces(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int round = 0; round < ROUNDS / 100; round++) {
        const uint64_t price = next_number(&seed, BILL_PRICE_MAX);
        struct bill whole = of_price(price, price), pieces = whole;
        uint64_t bytes = 0, ms = 0;
        for (int i = 0; i < 100; i++) {
            const uint64_t n = next_number(&seed, 20000), t = next_number(&seed, 1100);
            bill_bytes(&pieces, n);
            bill_time(&pieces, t);
            bytes += n;
            ms += t;
        }
        bill_bytes(&whole, bytes);
        bill_time(&whole, ms);
        assert_int_equal(pieces.charged, whole.charged);
        assert_int_equal(pieces.mib_rest, whole.mib_rest);
        assert_int_equal(pieces.minute_rest, whole.minute_rest);
        /* Whole satoshis and what is left of one are all that was delivered. */
        struct bill exact = of_price(price, 0);
        bill_bytes(&exact, bytes);
        assert_int_equal(exact.charged * BILL_MIB + exact.mib_rest, bytes * price);
    }
}

static void fractions_are_owed_when_they_come_to_a_satoshi(void **state)
{
    struct bill b = of_price(1, 1);
    (void)state;
    bill_bytes(&b, BILL_MIB - 1);
    assert_int_equal(bill_owed(&b), 0);
    assert_true(bill_has_rest(&b));
    bill_bytes(&b, 1);
    assert_int_equal(bill_owed(&b), 1);
    assert_false(bill_has_rest(&b));
    bill_time(&b, BILL_MINUTE_MS + 1);
    assert_int_equal(bill_owed(&b), 2);
    bill_pay(&b, 5);
    assert_int_equal(bill_owed(&b), 0);
    assert_int_equal(bill_cost(3, 1), 1);
    assert_int_equal(bill_cost(3, 2 * BILL_MIB), 6);
    assert_int_equal(bill_cost(0, UINT64_MAX), 0);
}

static void sums_that_are_too_large_stay_at_the_end(void **state)
{
    struct bill b = of_price(BILL_PRICE_MAX, BILL_PRICE_MAX);
    (void)state;
    bill_bytes(&b, UINT64_MAX);
    const uint64_t before = b.charged;
    for (int i = 0; i < 100000; i++) {
        const uint64_t last = b.charged;
        bill_bytes(&b, UINT64_MAX);
        bill_time(&b, UINT64_MAX);
        assert_true(b.charged >= last);
    }
    assert_true(b.charged >= before);
    b.charged = UINT64_MAX;
    bill_bytes(&b, BILL_MIB);
    assert_int_equal(b.charged, UINT64_MAX);
    assert_true(bill_is_over(&b, UINT64_MAX - 1));
    assert_int_equal(bill_room(&b, BILL_PRICE_MAX, 1000), 0);
    bill_pay(&b, UINT64_MAX);
    bill_pay(&b, UINT64_MAX);
    assert_int_equal(b.paid, UINT64_MAX);
    assert_int_equal(bill_owed(&b), 0);
    assert_int_equal(bill_room(&b, UINT64_MAX, 1000), 1000);
    assert_int_equal(bill_cost(BILL_PRICE_MAX, UINT64_MAX), UINT64_MAX);
}

/* However it is asked and paid: what is owed passes the credit by one satoshi, or the price of one
 * byte, and only that stops it. */
static void no_more_is_delivered_than_the_credit_allows(void **state)
{
    uint64_t seed = 2;
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct bill b = of_price(1 + next_number(&seed, round % 2 ? 5000 : BILL_PRICE_MAX), 0);
        const uint64_t credit = next_number(&seed, 3) ? next_number(&seed, 100000) : 0;
        const uint64_t byte = b.price.per_mib / BILL_MIB + 1;
        for (int i = 0; i < ROUNDS / 200; i++) {
            const size_t wanted = (size_t)next_number(&seed, 16384) + 1;
            const size_t room = bill_room(&b, credit, wanted);
            assert_true(room <= wanted);
            assert_int_equal(room == 0, bill_is_over(&b, credit));
            bill_bytes(&b, room);
            assert_true(bill_owed(&b) <= credit + byte);
            assert_true(room == wanted || bill_is_over(&b, credit)); /* no more than is needed */
            if (bill_is_over(&b, credit) && next_number(&seed, 2))
                bill_pay(&b, 1 + next_number(&seed, bill_owed(&b) + 10));
        }
    }
}

/* --- who pays --- */

/* Both count the same bytes: whoever pays what it got never leaves the other waiting. */
static void who_pays_what_came_gets_all_of_it(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (int round = 0; round < 300; round++) {
        const uint64_t price = 1 + next_number(&seed, BILL_PRICE_MAX);
        const uint64_t credit = next_number(&seed, 1000);
        struct bill server = of_price(price, 0);
        struct spending client = { .bill = server, .max = UINT64_MAX };
        for (uint64_t left = 1 + next_number(&seed, 100000); left;) {
            const size_t n = bill_room(&server, credit, (size_t)MIN_OF(left, UINT64_C(16384)));
            assert_true(n > 0);
            bill_bytes(&server, n);
            bill_bytes(&client.bill, n);
            left -= n;
            const uint64_t due = spending_due(&client, false);
            bill_pay(&client.bill, due);
            bill_pay(&server, due);
            assert_int_equal(bill_owed(&server), 0);
            assert_true(client.bill.paid <= client.bill.charged);
        }
        const uint64_t last = spending_due(&client, true);
        assert_int_equal(last, bill_has_rest(&client.bill));
    }
}

static void nothing_above_the_limit_is_paid(void **state)
{
    struct spending s = { .bill = of_price(1000, 0), .max = 2500, .unit = 1000 };
    (void)state;
    bill_bytes(&s.bill, 2 * BILL_MIB);
    assert_int_equal(spending_due(&s, false), 2000);
    bill_pay(&s.bill, 2000);
    assert_false(spending_is_at_limit(&s));
    bill_bytes(&s.bill, BILL_MIB);
    assert_int_equal(spending_due(&s, true), 500);
    bill_pay(&s.bill, 500);
    assert_true(spending_is_at_limit(&s));
    assert_int_equal(spending_due(&s, true), 0);
    assert_false(spending_go_ahead(&s));
    assert_int_equal(spending_due(&s, false), 0);
    struct spending none = { .bill = of_price(1000, 0), .unit = 1000 };
    bill_bytes(&none.bill, BILL_MIB);
    assert_int_equal(spending_due(&none, true), 0);
    assert_false(spending_go_ahead(&none));
}

/* Who takes money and delivers nothing gets one unit; who delivers on and says that more was lost
 * gets a sixteenth more than was delivered. */
static void one_unit_is_paid_ahead_and_another_after_sixteen(void **state)
{
    struct spending s = { .bill = of_price(100, 0), .max = 100000, .unit = 100 };
    (void)state;
    for (int i = 0; i < 50; i++)
        if (spending_go_ahead(&s))
            bill_pay(&s.bill, spending_due(&s, false));
    assert_int_equal(s.bill.paid, 100);
    for (int i = 0; i < 160; i++) {
        bill_bytes(&s.bill, BILL_MIB);
        (void)spending_go_ahead(&s);
        bill_pay(&s.bill, spending_due(&s, false));
    }
    assert_int_equal(s.bill.charged, 16000);
    assert_int_equal(s.bill.paid, 16000 + 100 + 1000);
    struct spending never = { .bill = of_price(100, 0), .max = 100000 };
    assert_false(spending_go_ahead(&never));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_does_not_depend_on_the_pieces),
        cmocka_unit_test(fractions_are_owed_when_they_come_to_a_satoshi),
        cmocka_unit_test(sums_that_are_too_large_stay_at_the_end),
        cmocka_unit_test(no_more_is_delivered_than_the_credit_allows),
        cmocka_unit_test(who_pays_what_came_gets_all_of_it),
        cmocka_unit_test(nothing_above_the_limit_is_paid),
        cmocka_unit_test(one_unit_is_paid_ahead_and_another_after_sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
