/* Which of two sessions stays: both sides must say the same. */
#include "p2p/dchan_duplicate.h"

#include "tests/test.h"

static const uint8_t small[33] = { 2, 1 }, large[33] = { 2, 2 };

static struct dchan_two two(bool as_small, enum dchan_role live, enum dchan_role fresh)
{
    return (struct dchan_two){ .our_key = as_small ? small : large,
                               .their_key = as_small ? large : small,
                               .live_role = live, .fresh_role = fresh,
                               .live = DCHAN_LIVE_ANSWERED };
}

static enum dchan_role other(enum dchan_role role)
{
    return role == DCHAN_INITIATOR ? DCHAN_RESPONDER : DCHAN_INITIATOR;
}

static void the_smaller_key_keeps_its_call(void **state)
{
    (void)state;
    /* live: the one that the smaller key dialled */
    struct dchan_two t = two(true, DCHAN_INITIATOR, DCHAN_RESPONDER);
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_LIVE);
    t = two(false, DCHAN_RESPONDER, DCHAN_INITIATOR);
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_LIVE);
    t = two(true, DCHAN_RESPONDER, DCHAN_INITIATOR);
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_FRESH);
    t = two(false, DCHAN_INITIATOR, DCHAN_RESPONDER);
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_FRESH);
}

static void both_sides_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        const enum dchan_role live = i & 1 ? DCHAN_INITIATOR : DCHAN_RESPONDER;
        const enum dchan_role fresh = i & 2 ? DCHAN_INITIATOR : DCHAN_RESPONDER;
        struct dchan_two a = two(true, live, fresh), b = two(false, other(live), other(fresh));
        a.renews = b.renews = i & 4;
        a.live = b.live = (enum dchan_live)(i / 8);
        assert_int_equal(dchan_duplicate_settle(&a), dchan_duplicate_settle(&b));
    }
}

static void renewals_and_signs_of_life_come_first(void **state)
{
    (void)state;
    struct dchan_two t = two(true, DCHAN_INITIATOR, DCHAN_INITIATOR);
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_LIVE); /* the older */
    t.live = DCHAN_LIVE_ASKED;
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_NOT_YET);
    t.live = DCHAN_LIVE_SILENT;
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_FRESH);
    t.renews = true;
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_RENEWAL);
    t.live = DCHAN_LIVE_ASKED;
    assert_int_equal(dchan_duplicate_settle(&t), DCHAN_SETTLED_RENEWAL);
}

static void the_smaller_key_renews_first(void **state)
{
    const uint64_t age = DCHAN_RENEW_AGE_MS, bytes = DCHAN_RENEW_BYTES;
    const struct dchan_renewal when = { age, bytes };
    (void)state;
    assert_false(dchan_renewal_due(&when, small, large, age - 1, bytes - 1, 0));
    assert_true(dchan_renewal_due(&when, small, large, age, 0, 0));
    assert_true(dchan_renewal_due(&when, small, large, 0, bytes, 0));
    assert_false(dchan_renewal_due(&when, large, small, age + DCHAN_RENEW_OTHER_MS - 1, 0, 0));
    assert_true(dchan_renewal_due(&when, large, small, age + DCHAN_RENEW_OTHER_MS, 0, 0));
    assert_false(dchan_renewal_due(&when, large, small, 0, bytes, DCHAN_RENEW_OTHER_MS - 1));
    assert_true(dchan_renewal_due(&when, large, small, 0, bytes, DCHAN_RENEW_OTHER_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smaller_key_keeps_its_call),
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(renewals_and_signs_of_life_come_first),
        cmocka_unit_test(the_smaller_key_renews_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
