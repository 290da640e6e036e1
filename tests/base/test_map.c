#include "base/map.h"

#include "base/rand.h"
#include "tests/test.h"

struct item { uint64_t key; };

static bool has_key(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const uint64_t *)key;
}

/* Few different hashes: long runs of neighbours. */
static uint64_t hash_of(uint64_t key)
{
    return key % 7 * UINT64_C(0x9e3779b97f4a7c15);
}

static struct item *find(const struct map *m, uint64_t key)
{
    return map_find(m, hash_of(key), has_key, &key);
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    struct map m;
    size_t pos = 0;
    uint64_t key = 1;
    map_init(&m);
    assert_null(find(&m, 1));
    assert_null(map_remove(&m, hash_of(1), has_key, &key));
    assert_null(map_next(&m, &pos));
    assert_int_equal(map_bytes(&m), 0);
    map_clear(&m);
}

/* Against an array of flags, with hashes that collide. */
static void it_agrees_with_a_plain_array(void **state)
{
    (void)state;
    enum { KEYS = 300, ROUNDS = 20000 };
    static struct item items[KEYS];
    bool in[KEYS] = { false };
    size_t n = 0;
    struct map m;
    map_init(&m);
    for (uint64_t i = 0; i < KEYS; i++)
        items[i].key = i;
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t key = rand_u64() % KEYS;
        if (in[key]) {
            assert_ptr_equal(map_remove(&m, hash_of(key), has_key, &key), &items[key]);
            n--;
        } else {
            assert_null(find(&m, key));
            map_put(&m, hash_of(key), &items[key]);
            n++;
        }
        in[key] = !in[key];
        assert_int_equal(m.n, n);
    }
    for (uint64_t i = 0; i < KEYS; i++)
        assert_ptr_equal(find(&m, i), in[i] ? &items[i] : NULL);
    map_clear(&m);
}

static void a_walk_meets_every_item_once(void **state)
{
    (void)state;
    enum { KEYS = 1000 };
    static struct item items[KEYS];
    int seen[KEYS] = { 0 };
    struct map m;
    map_init(&m);
    for (uint64_t i = 0; i < KEYS; i++) {
        items[i].key = i;
        map_put(&m, hash_of(i), &items[i]);
    }
    size_t pos = 0;
    for (struct item *it; (it = map_next(&m, &pos));)
        seen[it->key]++;
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], 1);
    map_clear(&m);
}

static void memory_shrinks_with_the_items(void **state)
{
    (void)state;
    enum { KEYS = 4096 };
    static struct item items[KEYS];
    struct map m;
    map_init(&m);
    for (uint64_t i = 0; i < KEYS; i++) {
        items[i].key = i;
        map_put(&m, i, &items[i]);
    }
    const size_t full = map_bytes(&m);
    for (uint64_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_remove(&m, i, has_key, &i), &items[i]);
    assert_true(map_bytes(&m) < full / 64);
    map_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(it_agrees_with_a_plain_array),
        cmocka_unit_test(a_walk_meets_every_item_once),
        cmocka_unit_test(memory_shrinks_with_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
