#include "node/event_serve.h"

#include "tests/test.h"

#define ID "000102030405060708090a0b0c0d0e0f"

static void good_queries_are_understood(void **state)
{
    (void)state;
    struct event_query q;
    assert_null(event_query_parse(&q, NULL));
    assert_false(q.has_from || q.follow || q.has_log);
    assert_null(event_query_parse(&q, ""));
    assert_null(event_query_parse(&q, "from=18446744073709551615"));
    assert_true(q.has_from && q.from == UINT64_MAX && !q.follow);
    assert_null(event_query_parse(&q, "follow=1&from=5&log=" ID));
    assert_true(q.follow && q.has_log && q.from == 5 && q.log_id[15] == 15);
    assert_null(event_query_parse(&q, "from=5&follow=0&"));
    assert_false(q.follow);
}

static void bad_queries_are_explained(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "from=", "from=-1", "from=1x", "from=18446744073709551616", "from", "x=1",
        "from=1&&follow=1", "follow=1", "from=1&follow=2", "from=1&follow=", "log=", "log=" ID "00",
        "log=zz", "from=1&log=00", "&",
    };
    struct event_query q;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(event_query_parse(&q, bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_queries_are_understood),
        cmocka_unit_test(bad_queries_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
