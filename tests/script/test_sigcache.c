#include <pthread.h>
#include <string.h>

#include "script/sigcache.h"
#include "tests/test.h"

static struct sigcache_key key_number(struct sigcache *c, uint32_t i)
{
    uint8_t digest[32] = { 0 };

    memcpy(digest, &i, sizeof(i));
    return sigcache_key_of(c, digest, span_of("key", 3), span_of("signature", 9));
}

static void what_was_added_is_found(void **state)
{
    struct sigcache *c = sigcache_new(1 << 20);
    struct sigcache_key a = key_number(c, 1), b = key_number(c, 2);

    (void)state;
    assert_false(sigcache_contains(c, &a));
    sigcache_add(c, &a);
    assert_true(sigcache_contains(c, &a));
    assert_false(sigcache_contains(c, &b));
    struct sigcache_stats s = sigcache_stats_get(c);
    assert_int_equal(s.hits, 1);
    assert_int_equal(s.misses, 2);
    sigcache_free(c);
}

static bool same(struct sigcache_key a, struct sigcache_key b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static void every_part_of_a_check_counts(void **state)
{
    struct sigcache *c = sigcache_new(1000), *other = sigcache_new(1000);
    uint8_t d1[32] = { 1 }, d2[32] = { 2 }, big[300] = { 0 }, big2[300] = { [299] = 1 };
    struct sigcache_key k = sigcache_key_of(c, d1, span_of("ab", 2), span_of("cd", 2));

    (void)state;
    assert_true(same(k, sigcache_key_of(c, d1, span_of("ab", 2), span_of("cd", 2))));
    assert_false(same(k, sigcache_key_of(c, d2, span_of("ab", 2), span_of("cd", 2))));
    assert_false(same(k, sigcache_key_of(c, d1, span_of("ax", 2), span_of("cd", 2))));
    assert_false(same(k, sigcache_key_of(c, d1, span_of("ab", 2), span_of("cx", 2))));
    /* the border between key and signature too */
    assert_false(same(k, sigcache_key_of(c, d1, span_of("abc", 3), span_of("d", 1))));
    assert_false(same(k, sigcache_key_of(other, d1, span_of("ab", 2), span_of("cd", 2))));
    assert_false(same(sigcache_key_of(c, d1, span_of("ab", 2), span_of(big, 300)),
                      sigcache_key_of(c, d1, span_of("ab", 2), span_of(big2, 300))));
    sigcache_free(c);
    sigcache_free(other);
}

static void memory_stays_within_the_budget(void **state)
{
    struct sigcache *c = sigcache_new(64 * 1024);
    size_t found = 0;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        struct sigcache_key k = key_number(c, i);
        sigcache_add(c, &k);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        struct sigcache_key k = key_number(c, i);
        found += sigcache_contains(c, &k);
    }
    struct sigcache_stats s = sigcache_stats_get(c);
    assert_true(s.bytes <= 65 * 1024);
    assert_true(found <= s.capacity);
    assert_true(found > s.capacity * 9 / 10);
    sigcache_free(c);
}

static void a_cache_grows_with_what_it_holds_and_loses_little(void **state)
{
    struct sigcache *c = sigcache_new(16 << 20);
    size_t found = 0, touched = sigcache_stats_get(c).touched, n = 0;

    (void)state;
    assert_true(touched < 512 * 1024);
    for (uint32_t i = 0; i < 200000; i++) {
        struct sigcache_key k = key_number(c, i);
        sigcache_add(c, &k);
        n++;
        if (i == 5000)
            assert_true(sigcache_stats_get(c).touched < 1 << 20);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct sigcache_key k = key_number(c, i);
        found += sigcache_contains(c, &k);
    }
    assert_true(found > n * 97 / 100);
    assert_true(sigcache_stats_get(c).touched > 12 << 20);
    assert_true(sigcache_stats_get(c).touched <= sigcache_stats_get(c).bytes);
    sigcache_free(c);
}

static void the_smallest_cache_works(void **state)
{
    struct sigcache *c = sigcache_new(0);
    struct sigcache_key k = key_number(c, 1);

    (void)state;
    sigcache_add(c, &k);
    assert_true(sigcache_contains(c, &k));
    sigcache_free(c);
    sigcache_free(NULL);
}

static void *hammer(void *arg)
{
    struct sigcache *c = (struct sigcache *)arg;

    for (uint32_t i = 0; i < 20000; i++) {
        struct sigcache_key k = key_number(c, i % 3000), never = key_number(c, 1000000 + i);
        sigcache_add(c, &k);
        sigcache_contains(c, &k);
        if (sigcache_contains(c, &never))
            return c;
    }
    return NULL;
}

static void hammer_with_threads(size_t bytes)
{
    struct sigcache *c = sigcache_new(bytes);
    pthread_t threads[4];
    void *bad;

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, c), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    sigcache_free(c);
}

static void threads_never_see_what_nobody_added(void **state)
{
    (void)state;
    hammer_with_threads(4096);
    hammer_with_threads(4 << 20); /* grows meanwhile */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(every_part_of_a_check_counts),
        cmocka_unit_test(memory_stays_within_the_budget),
        cmocka_unit_test(a_cache_grows_with_what_it_holds_and_loses_little),
        cmocka_unit_test(the_smallest_cache_works),
        cmocka_unit_test(threads_never_see_what_nobody_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
