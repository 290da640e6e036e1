#include "script/iter.h"
#include "tests/test.h"

/* Decodes to the end or the first cut push; where it stands then, and how many were whole. */
static size_t decode(const char *hex, size_t *stopped_at, bool *complete)
{
    struct buf b = unhex(hex);
    struct script_iter it = script_iter_of(buf_span(&b));
    struct script_op op;
    size_t n = 0;

    while (script_iter_next(&it, &op))
        n++;
    *stopped_at = (size_t)(it.p - b.data);
    *complete = it.p == it.end;
    buf_clear(&b);
    return n;
}

static void expect_decode(const char *hex, size_t n, size_t at)
{
    size_t stopped;
    bool complete;

    assert_int_equal(decode(hex, &stopped, &complete), n);
    assert_int_equal(stopped, at);
}

static void whole_scripts_are_walked_to_the_end(void **state)
{
    (void)state;
    expect_decode("", 0, 0);
    expect_decode("00", 1, 1);
    expect_decode("02aabb51", 2, 4);
    expect_decode("4c02aabb", 1, 4);
    expect_decode("4d0200aabb", 1, 5);
    expect_decode("4e02000000aabb", 1, 7);
    expect_decode("4c00", 1, 2);
    expect_decode("ff6aab", 3, 3);
}

static void a_cut_push_stops_before_its_data(void **state)
{
    (void)state;
    expect_decode("5102aa", 1, 2);
    expect_decode("4c", 0, 1);
    expect_decode("4c02aa", 0, 2);
    expect_decode("4d02", 0, 1);
    expect_decode("4d0200aa", 0, 3);
    expect_decode("4e020000", 0, 1);
    expect_decode("4effffffffaa", 0, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_scripts_are_walked_to_the_end),
        cmocka_unit_test(a_cut_push_stops_before_its_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
