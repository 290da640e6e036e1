#include <config.h>

#include "node/paychans_internal.h"
#include "tests/test.h"

static struct paychan_coin judged(enum tx_outcome outcome)
{
    struct paychan_coin sight = { .looked = true };
    paychans_judge_unseen(&sight, outcome);
    return sight;
}

/* Else the payer would be told that its funding is none. */
static void what_was_not_judged_says_nothing(void **state)
{
    (void)state;
    assert_false(judged(TX_NOT_JUDGED).looked);
    assert_false(judged(TX_NOT_JUDGED).spent);
    assert_false(judged(TX_MISSING_INPUTS).looked);
}

static void what_is_refused_or_no_longer_there_is_spent(void **state)
{
    (void)state;
    assert_true(judged(TX_REJECTED).looked && judged(TX_REJECTED).spent);
    assert_true(judged(TX_CONFIRMED).looked && judged(TX_CONFIRMED).spent);
    assert_true(judged(TX_PARKED).looked && !judged(TX_PARKED).spent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_judged_says_nothing),
        cmocka_unit_test(what_is_refused_or_no_longer_there_is_spent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
