#include "base/bytes.h"
#include "base/hash.h"
#include "base/recent_set.h"
#include "tests/fixed_rand.h"
#include "tests/test.h"

static void id_of(uint8_t id[32], uint64_t n)
{
    uint8_t text[8];
    le64_put(text, n);
    sha256(id, text, sizeof(text));
}

static bool add(struct recent_set *s, uint64_t n)
{
    uint8_t id[32];
    id_of(id, n);
    return recent_set_add(s, id);
}

static bool has(const struct recent_set *s, uint64_t n)
{
    uint8_t id[32];
    id_of(id, n);
    return recent_set_has(s, id);
}

static void the_last_n_are_known_and_those_before_the_last_two_n_are_not(void **state)
{
    (void)state;
    struct recent_set s;
    recent_set_init(&s, 1000);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(add(&s, i));
        if (i % 97)
            continue;
        for (uint64_t back = 0; back < 1000 && back <= i; back++)
            assert_true(has(&s, i - back));
        for (uint64_t back = 2000; back <= i; back++)
            assert_false(has(&s, i - back));
    }
    recent_set_clear(&s);
}

static void an_id_is_new_once(void **state)
{
    (void)state;
    struct recent_set s;
    recent_set_init(&s, 100);
    assert_false(has(&s, 1));
    assert_true(add(&s, 1));
    assert_false(add(&s, 1));
    for (uint64_t i = 2; i <= 150; i++) /* a generation later it is still no new one */
        assert_true(add(&s, i));
    assert_false(add(&s, 1));
    recent_set_clear(&s);
}

static void an_id_added_again_stays_known(void **state)
{
    (void)state;
    struct recent_set s;
    recent_set_init(&s, 100);
    for (uint64_t i = 1; i < 5000; i++) {
        add(&s, 0);
        add(&s, i);
        assert_true(has(&s, 0));
    }
    recent_set_clear(&s);
}

static void strangers_are_not_taken_for_known_ones(void **state)
{
    (void)state;
    struct recent_set s;
    recent_set_init(&s, 120000);
    for (uint64_t i = 0; i < 240000; i++)
        add(&s, i);
    for (uint64_t i = 1000000; i < 1500000; i++)
        assert_false(has(&s, i));
    recent_set_clear(&s);
}

static void a_reset_forgets_all_and_a_clear_frees(void **state)
{
    (void)state;
    struct recent_set s;
    recent_set_init(&s, 100);
    assert_int_equal(recent_set_bytes(&s), 0);
    recent_set_reset(&s);
    for (uint64_t i = 0; i < 170; i++)
        add(&s, i);
    recent_set_reset(&s);
    for (uint64_t i = 0; i < 170; i++)
        assert_false(has(&s, i));
    assert_true(add(&s, 5));
    assert_true(recent_set_bytes(&s) > 0);
    recent_set_clear(&s);
    assert_int_equal(recent_set_bytes(&s), 0);
    assert_false(has(&s, 5));
    assert_true(add(&s, 5));
    recent_set_clear(&s);
}

/* With a key of chance some stranger is taken for a known one in 1 of 2000 runs. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_n_are_known_and_those_before_the_last_two_n_are_not),
        cmocka_unit_test(an_id_is_new_once),
        cmocka_unit_test(an_id_added_again_stays_known),
        cmocka_unit_test(strangers_are_not_taken_for_known_ones),
        cmocka_unit_test(a_reset_forgets_all_and_a_clear_frees),
    };
    return cmocka_run_group_tests(tests, fixed_rand_begin, fixed_rand_end);
}
