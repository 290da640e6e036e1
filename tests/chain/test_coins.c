/*
 * The coin cache against a plain array as the model of what must be there. Outpoints come from a
 * small set, so that each is made, spent and made again many times.
 */
#include <config.h>

#include "chain/coins.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/coins_internal.h"
#include "tests/kv_tools.h"
#include "tests/test.h"

enum { POINTS = 600 };

struct model_coin {
    bool there;
    int64_t value;
    int32_t height;
    bool coinbase;
    size_t script_len;
    uint8_t fill;
};

struct world {
    struct coins *c;
    struct model_coin now[POINTS], flushed[POINTS];
    struct block_hash best;
    uint64_t random;
};

static uint64_t next_random(struct world *w)
{
    return test_random(&w->random);
}

static struct outpoint point(unsigned i)
{
    struct outpoint o = { .index = i % 4 };
    uint32_t seed = i / 4;
    sha256(o.txid.b, &seed, sizeof(seed));
    return o;
}

static struct block_hash hash_of(uint64_t n)
{
    struct block_hash h;
    sha256(h.b, &n, sizeof(n));
    return h;
}

static const size_t script_lengths[] = { 0, 1, 25, 30, 31, 35, 100, 5000 };

static void assert_matches(const struct model_coin *m, const struct coin *c)
{
    assert_int_equal(c->value, m->value);
    assert_int_equal(c->height, m->height);
    assert_int_equal(c->coinbase, m->coinbase);
    assert_int_equal(c->script.len, m->script_len);
    for (size_t i = 0; i < m->script_len; i++)
        assert_int_equal(c->script.data[i], m->fill);
}

static void add_as(struct world *w, unsigned i, enum coins_add_mode mode)
{
    uint8_t script[5000];
    struct model_coin m = {
        .there = true,
        .value = (int64_t)(next_random(w) % 1000000000),
        .height = (int32_t)(next_random(w) % 1000000),
        .coinbase = next_random(w) & 1,
        .script_len = script_lengths[next_random(w) % 8],
        .fill = (uint8_t)next_random(w),
    };
    memset(script, m.fill, m.script_len);
    struct coin coin = { .value = m.value,
                         .height = m.height,
                         .coinbase = m.coinbase,
                         .script = { script, m.script_len } };
    struct outpoint o = point(i);
    assert_int_equal(coins_add(w->c, &o, &coin, mode, NULL), OK);
    w->now[i] = m;
}

/* New is said only of a coin that is not there; the cache may know one still to be deleted. */
static void add(struct world *w, unsigned i)
{
    add_as(w, i, w->now[i].there || next_random(w) % 4 == 0 ? COINS_ADD_OVERWRITE : COINS_ADD_NEW);
}

static void spend(struct world *w, unsigned i)
{
    struct outpoint o = point(i);
    struct coin coin;
    bool found;
    assert_int_equal(coins_spend(w->c, &o, &coin, &found, NULL), OK);
    assert_int_equal(found, w->now[i].there);
    if (found)
        assert_matches(&w->now[i], &coin);
    w->now[i].there = false;
}

static void look(struct world *w, unsigned i)
{
    struct outpoint o = point(i);
    struct coin coin;
    bool found;
    assert_int_equal(coins_get(w->c, &o, &coin, &found, NULL), OK);
    assert_int_equal(found, w->now[i].there);
    if (found)
        assert_matches(&w->now[i], &coin);
}

static void prefetch(struct world *w, struct pool *pool)
{
    struct outpoint list[200];
    for (unsigned i = 0; i < 200; i++)
        list[i] = point((unsigned)(next_random(w) % POINTS));
    assert_int_equal(coins_prefetch(w->c, list, 200, pool, NULL), OK);
}

static void random_steps(struct world *w, unsigned n, struct pool *pool)
{
    for (unsigned k = 0; k < n; k++) {
        unsigned i = (unsigned)(next_random(w) % POINTS);
        switch (next_random(w) % 8) {
        case 0:
        case 1:
        case 2:
            if (!w->now[i].there || next_random(w) % 16 == 0)
                add(w, i);
            break;
        case 3:
        case 4:
        case 5:
            spend(w, i);
            break;
        case 6:
            look(w, i);
            break;
        default:
            if (next_random(w) % 32 == 0)
                prefetch(w, pool);
        }
    }
}

static enum err flush(struct world *w)
{
    struct block_hash new_best = hash_of(next_random(w));
    struct error e;
    enum err rc = coins_flush(w->c, &new_best, &e);
    if (!rc) {
        w->best = new_best;
        memcpy(w->flushed, w->now, sizeof(w->now));
    }
    return rc;
}

static unsigned index_of(const struct outpoint *o)
{
    for (unsigned i = 0; i < POINTS; i++) {
        struct outpoint p = point(i);
        if (outpoint_equal(&p, o))
            return i;
    }
    fail_msg("an outpoint nobody made");
    return 0;
}

/* The database holds exactly what the model says was flushed. */
static void assert_database(struct world *w)
{
    struct coins_iter *it = coins_iter_new(w->c);
    struct outpoint o, before;
    struct coin coin;
    enum err rc;
    size_t n = 0, want = 0;
    while (coins_iter_next(it, &o, &coin, &rc, NULL)) {
        unsigned i = index_of(&o);
        assert_true(w->flushed[i].there);
        assert_matches(&w->flushed[i], &coin);
        if (n++) {
            int order = memcmp(before.txid.b, o.txid.b, 32);
            assert_true(order < 0 || (order == 0 && before.index < o.index));
        }
        before = o;
    }
    assert_int_equal(rc, OK);
    coins_iter_free(it);
    for (unsigned i = 0; i < POINTS; i++)
        want += w->flushed[i].there;
    assert_int_equal(n, want);
}

static struct world *world_new(uint64_t seed, size_t budget, struct kv *kv)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct coins_state s;
    w->random = seed;
    assert_int_equal(coins_open(&w->c, kv, budget, &s, NULL), OK);
    assert_false(s.has_best);
    assert_false(s.in_transition);
    return w;
}

static void world_free(struct world *w)
{
    coins_close(w->c);
    free(w);
}

static void random_work_agrees_with_the_model(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2, "test");
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = world_new(seed, seed % 3 ? 64 << 20 : 20000, kv_open_mem());
        for (unsigned round = 0; round < 12; round++) {
            random_steps(w, 1500, pool);
            if (round % 3 == 2) {
                assert_int_equal(flush(w), OK);
                assert_database(w);
            }
        }
        for (unsigned i = 0; i < POINTS; i++)
            look(w, i);
        world_free(w);
    }
    pool_free(pool);
}

static void coins_made_and_spent_between_flushes_never_reach_the_database(void **state)
{
    (void)state;
    struct world *w = world_new(7, 64 << 20, kv_open_mem());
    add(w, 3);
    assert_int_equal(flush(w), OK);
    for (unsigned i = 10; i < 500; i++)
        add_as(w, i, COINS_ADD_NEW);
    for (unsigned i = 10; i < 500; i++)
        spend(w, i);
    struct coins_stats s;
    coins_get_stats(w->c, &s);
    assert_int_equal(s.dirty, 0);
    assert_int_equal(s.dirty_bytes, 0);
    assert_int_equal(s.entries, 1);
    world_free(w);
}

static void a_spent_coin_of_the_database_stays_as_a_mark_and_is_deleted(void **state)
{
    (void)state;
    struct world *w = world_new(8, 64 << 20, kv_open_mem());
    add(w, 1);
    assert_int_equal(flush(w), OK);
    spend(w, 1);
    struct coins_stats s;
    coins_get_stats(w->c, &s);
    assert_int_equal(s.dirty, 1);
    look(w, 1);
    assert_int_equal(flush(w), OK);
    assert_database(w);
    coins_get_stats(w->c, &s);
    assert_int_equal(s.entries, 0);
    world_free(w);
}

static void a_coin_made_again_over_its_mark_is_still_deleted_when_spent(void **state)
{
    (void)state;
    struct world *w = world_new(9, 64 << 20, kv_open_mem());
    add(w, 1);
    assert_int_equal(flush(w), OK);
    spend(w, 1);
    struct outpoint o = point(1);
    struct coin coin = { .value = 5, .height = 6 };
    assert_int_equal(coins_add(w->c, &o, &coin, COINS_ADD_NEW, NULL), OK);
    bool found;
    assert_int_equal(coins_spend(w->c, &o, &coin, &found, NULL), OK);
    assert_true(found);
    assert_int_equal(flush(w), OK);
    assert_database(w);
    world_free(w);
}

static void a_spent_script_lives_until_the_next_change_and_may_be_added_again(void **state)
{
    (void)state;
    struct world *w = world_new(10, 64 << 20, kv_open_mem());
    uint8_t script[200];
    memset(script, 0x5a, sizeof(script));
    struct outpoint o = point(1), p = point(2);
    struct coin coin = { .value = 5, .height = 6, .script = { script, sizeof(script) } };
    assert_int_equal(coins_add(w->c, &o, &coin, COINS_ADD_NEW, NULL), OK);
    bool found;
    struct coin spent, other;
    assert_int_equal(coins_spend(w->c, &o, &spent, &found, NULL), OK);
    assert_int_equal(coins_get(w->c, &p, &other, &found, NULL), OK);
    assert_memory_equal(spent.script.data, script, sizeof(script));
    assert_int_equal(coins_add(w->c, &p, &spent, COINS_ADD_NEW, NULL), OK);
    assert_int_equal(coins_get(w->c, &p, &other, &found, NULL), OK);
    assert_memory_equal(other.script.data, script, sizeof(script));
    /* And over itself. */
    assert_int_equal(coins_add(w->c, &p, &other, COINS_ADD_OVERWRITE, NULL), OK);
    assert_int_equal(coins_get(w->c, &p, &other, &found, NULL), OK);
    assert_memory_equal(other.script.data, script, sizeof(script));
    world_free(w);
}

static void an_empty_database_is_not_asked(void **state)
{
    (void)state;
    struct world *w = world_new(11, 64 << 20, kv_open_mem());
    struct pool *pool = pool_new(0, "test");
    prefetch(w, pool);
    struct coins_stats s;
    coins_get_stats(w->c, &s);
    assert_int_equal(s.entries, 0);
    look(w, 1);
    pool_free(pool);
    world_free(w);
}

/* What is on disk as it is in memory goes. */
static void drop_clean(struct world *w)
{
    w->c->budget = 1;
    coins_before_change(w->c);
    w->c->budget = 64 << 20;
}

/* Of long scripts only some are read ahead; the others are there when they are asked for. */
static void long_scripts_are_not_all_prefetched(void **state)
{
    (void)state;
    enum { N = 4, LEN = 3 << 20 };
    struct world *w = world_new(13, 64 << 20, kv_open_mem());
    uint8_t *script = xcalloc(LEN, 1);
    const struct coin long_one = { .value = 1, .height = 1, .script = { script, LEN } };
    struct outpoint list[N];
    struct coins_stats s;
    for (unsigned i = 0; i < N; i++) {
        list[i] = point(i);
        assert_int_equal(coins_add(w->c, &list[i], &long_one, COINS_ADD_NEW, NULL), OK);
    }
    assert_int_equal(flush(w), OK);
    drop_clean(w);
    assert_int_equal(coins_prefetch(w->c, list, N, NULL, NULL), OK);
    coins_get_stats(w->c, &s);
    assert_int_equal(s.entries, 2);
    for (unsigned i = 0; i < N; i++) {
        struct coin coin;
        bool found;
        assert_int_equal(coins_get(w->c, &list[i], &coin, &found, NULL), OK);
        assert_true(found);
        assert_int_equal(coin.script.len, LEN);
    }
    free(script);
    world_free(w);
}

static void prefetched_coins_are_hits(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct pool *pool = pool_new(1, "test");
    struct world *w = world_new(12, 20000, kv);
    for (unsigned i = 0; i < POINTS; i++)
        add(w, i);
    assert_int_equal(flush(w), OK);
    drop_clean(w);
    struct coins_stats s;
    coins_get_stats(w->c, &s);
    assert_int_equal(s.entries, 0);
    struct outpoint list[POINTS + 1];
    for (unsigned i = 0; i < POINTS; i++)
        list[i] = point(i);
    list[POINTS] = point(0); /* named twice */
    assert_int_equal(coins_prefetch(w->c, list, POINTS + 1, pool, NULL), OK);
    for (unsigned i = 0; i < POINTS; i++)
        spend(w, i);
    struct coins_stats after;
    coins_get_stats(w->c, &after);
    assert_int_equal(after.misses, s.misses);
    assert_int_equal(after.dirty, POINTS);
    pool_free(pool);
    world_free(w);
}

/* --- budget --- */

static void clean_entries_make_way_without_a_flush(void **state)
{
    (void)state;
    size_t budget = 200000;
    struct world *w = world_new(13, budget, kv_open_mem());
    for (unsigned i = 0; i < POINTS; i++)
        add(w, i);
    assert_int_equal(flush(w), OK);
    assert_false(coins_over_budget(w->c));
    for (unsigned k = 0; k < 3000; k++)
        look(w, (unsigned)(next_random(w) % POINTS));
    for (unsigned i = 0; i < 20; i++)
        spend(w, i);
    assert_false(coins_over_budget(w->c));
    struct coins_stats s;
    coins_get_stats(w->c, &s);
    assert_true(s.entries * 80 <= budget);
    world_free(w);
}

static void dirty_entries_ask_for_a_flush_and_are_never_dropped(void **state)
{
    (void)state;
    struct world *w = world_new(14, 60000, kv_open_mem());
    for (unsigned i = 0; i < POINTS; i++)
        add(w, i);
    assert_true(coins_over_budget(w->c));
    for (unsigned i = 0; i < POINTS; i++)
        look(w, i);
    assert_int_equal(flush(w), OK);
    assert_false(coins_over_budget(w->c));
    world_free(w);
}

/* --- flush under failure --- */

/* Enough for several batches: scripts of 40 KB. */
static void add_large(struct world *w, unsigned from, unsigned n, uint8_t *script, size_t len)
{
    for (unsigned i = from; i < from + n; i++) {
        struct outpoint o = { .index = i, .txid = { { (uint8_t)i, (uint8_t)(i >> 8) } } };
        struct coin coin = { .value = i, .height = 9, .script = { script, len } };
        assert_int_equal(coins_add(w->c, &o, &coin, COINS_ADD_OVERWRITE, NULL), OK);
    }
}

static size_t count_database(struct coins *c)
{
    struct coins_iter *it = coins_iter_new(c);
    struct outpoint o;
    struct coin coin;
    enum err rc;
    size_t n = 0;
    while (coins_iter_next(it, &o, &coin, &rc, NULL))
        n++;
    assert_int_equal(rc, OK);
    coins_iter_free(it);
    return n;
}

enum { LARGE_COINS = 1000, LARGE_SCRIPT = 60000 };

/*
 * A flush of four batches that fails at its n-th write. Returns false when it did not fail. kv_mem
 * lives in the process, so a crash is played on the store that the cache gives up: the power cut
 * happens below it, then a second cache opens a store with the same content.
 */
static bool failed_flush(unsigned n)
{
    uint8_t *script = xcalloc(1, LARGE_SCRIPT);
    struct kv *kv = kv_open_mem();
    struct world *w = world_new(20 + n, 1 << 20, kv);
    struct block_hash old = hash_of(1), new = hash_of(2);
    add_large(w, 0, 10, script, 5);
    assert_int_equal(coins_flush(w->c, &old, NULL), OK);
    add_large(w, 0, LARGE_COINS, script, LARGE_SCRIPT);
    kv_mem_fail_writes(kv, n);
    struct error e;
    enum err rc = coins_flush(w->c, &new, &e);
    kv_mem_fail_writes(kv, 0);

    /* What a restart after a power cut finds. */
    kv_mem_power_cut(kv);
    struct coins *again;
    struct coins_state s;
    assert_int_equal(coins_open(&again, kv_copy(kv), 1 << 20, &s, NULL), OK);
    if (rc && n == 1) {
        assert_true(s.has_best && block_hash_equal(&s.best, &old));
        assert_int_equal(count_database(again), 10);
    } else if (rc) {
        assert_true(s.in_transition && s.has_old && !s.has_best);
        assert_true(block_hash_equal(&s.old_best, &old));
        assert_true(block_hash_equal(&s.new_best, &new));
    }
    coins_close(again);

    /* The same process repeats the flush. */
    struct coins_stats stats;
    coins_get_stats(w->c, &stats);
    assert_int_equal(stats.dirty, rc ? LARGE_COINS : 0);
    assert_int_equal(coins_flush(w->c, &new, NULL), OK);
    assert_int_equal(count_database(w->c), LARGE_COINS);
    assert_int_equal(coins_open(&again, kv_copy(kv), 1 << 20, &s, NULL), OK);
    assert_true(s.has_best && block_hash_equal(&s.best, &new) && !s.in_transition);
    coins_close(again);
    world_free(w);
    free(script);
    return rc != OK;
}

static void a_flush_that_fails_at_any_write_leaves_the_marker_and_can_be_repeated(void **state)
{
    (void)state;
    unsigned n = 1;
    while (failed_flush(n))
        n++;
    assert_in_range(n, 5, 8); /* marker, three or more batches, end */
}

static void a_small_flush_is_one_write(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct world *w = world_new(15, 1 << 20, kv);
    for (unsigned i = 0; i < 100; i++)
        add(w, i);
    kv_mem_fail_writes(kv, 2);
    assert_int_equal(flush(w), OK);
    kv_mem_fail_writes(kv, 0);
    kv_mem_power_cut(kv);
    assert_database(w);
    world_free(w);
}

static void what_is_spent_after_a_failed_flush_is_deleted_by_the_next(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    uint8_t *script = xcalloc(1, LARGE_SCRIPT);
    struct world *w = world_new(16, 1 << 20, kv);
    add_large(w, 0, LARGE_COINS, script, LARGE_SCRIPT); /* FRESH, since the store is empty */
    kv_mem_fail_writes(kv, 4);
    struct block_hash best = hash_of(5);
    struct error e;
    assert_int_equal(coins_flush(w->c, &best, &e), ERR_IO);
    kv_mem_fail_writes(kv, 0);
    for (unsigned i = 0; i < LARGE_COINS; i++) {
        struct outpoint o = { .index = i, .txid = { { (uint8_t)i, (uint8_t)(i >> 8) } } };
        struct coin coin;
        bool found;
        assert_int_equal(coins_spend(w->c, &o, &coin, &found, NULL), OK);
        assert_true(found);
    }
    assert_int_equal(coins_flush(w->c, &best, NULL), OK);
    assert_int_equal(count_database(w->c), 0);
    world_free(w);
    free(script);
}

static void a_first_flush_has_no_old_tip(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    uint8_t *script = xcalloc(1, LARGE_SCRIPT);
    struct world *w = world_new(17, 1 << 20, kv);
    add_large(w, 0, LARGE_COINS, script, LARGE_SCRIPT);
    kv_mem_fail_writes(kv, 3);
    struct block_hash best = hash_of(6);
    struct error e;
    assert_int_equal(coins_flush(w->c, &best, &e), ERR_IO);
    struct coins *again;
    struct coins_state s;
    assert_int_equal(coins_open(&again, kv_copy(kv), 1 << 20, &s, NULL), OK);
    assert_true(s.in_transition && !s.has_old);
    assert_true(block_hash_equal(&s.new_best, &best));
    coins_close(again);
    world_free(w);
    free(script);
}

/* --- damage --- */

static void put(struct kv *kv, const void *key, size_t key_len, const void *value, size_t len)
{
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, key, key_len, value, len);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
}

static void a_damaged_coin_is_an_error_and_not_a_missing_coin(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    uint8_t key[COIN_KEY_MAX];
    struct outpoint o = point(1);
    size_t len = coin_key(key, &o);
    put(kv, key, len, "\x80", 1);
    struct world *w = world_new(18, 1 << 20, kv);
    struct coin coin;
    bool found = true;
    struct error e;
    assert_int_equal(coins_get(w->c, &o, &coin, &found, &e), ERR_CORRUPT);
    assert_false(found);
    assert_int_equal(coins_spend(w->c, &o, &coin, &found, &e), ERR_CORRUPT);
    assert_int_equal(coins_prefetch(w->c, &o, 1, NULL, &e), ERR_CORRUPT);
    world_free(w);
}

static void a_damaged_marker_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t len;
    } rows[] = { { "B", 31 }, { "T", 64 }, { "T", 0 } };
    uint8_t zeros[65] = { 0 };
    for (size_t i = 0; i < 3; i++) {
        struct kv *kv = kv_open_mem();
        put(kv, rows[i].key, 1, zeros, rows[i].len);
        struct coins *c;
        struct coins_state s;
        struct error e;
        assert_int_equal(coins_open(&c, kv, 1000, &s, &e), ERR_CORRUPT);
    }
}

static void a_coin_in_the_cache_takes_less_than_120_bytes(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct world *w = world_new(19, 1 << 30, kv_open_mem());
    uint8_t script[25] = { 0x76, 0xa9 };
    struct coin coin = { .value = 5, .height = 6, .script = { script, sizeof(script) } };
    struct outpoint point = { .index = 0 };
    struct coins_stats s;
    bool found;
    for (uint32_t i = 0; i < N; i++) {
        sha256(point.txid.b, &i, sizeof(i));
        assert_int_equal(coins_add(w->c, &point, &coin, COINS_ADD_NEW, NULL), OK);
    }
    coins_get_stats(w->c, &s);
    assert_true(s.cache_bytes < (size_t)N * 120);
    for (uint32_t i = 0; i < N; i++) {
        sha256(point.txid.b, &i, sizeof(i));
        assert_int_equal(coins_spend(w->c, &point, &coin, &found, NULL), OK);
        assert_true(found);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_work_agrees_with_the_model),
        cmocka_unit_test(coins_made_and_spent_between_flushes_never_reach_the_database),
        cmocka_unit_test(a_spent_coin_of_the_database_stays_as_a_mark_and_is_deleted),
        cmocka_unit_test(a_coin_made_again_over_its_mark_is_still_deleted_when_spent),
        cmocka_unit_test(a_spent_script_lives_until_the_next_change_and_may_be_added_again),
        cmocka_unit_test(an_empty_database_is_not_asked),
        cmocka_unit_test(prefetched_coins_are_hits),
        cmocka_unit_test(long_scripts_are_not_all_prefetched),
        cmocka_unit_test(clean_entries_make_way_without_a_flush),
        cmocka_unit_test(dirty_entries_ask_for_a_flush_and_are_never_dropped),
        cmocka_unit_test(a_flush_that_fails_at_any_write_leaves_the_marker_and_can_be_repeated),
        cmocka_unit_test(a_small_flush_is_one_write),
        cmocka_unit_test(what_is_spent_after_a_failed_flush_is_deleted_by_the_next),
        cmocka_unit_test(a_first_flush_has_no_old_tip),
        cmocka_unit_test(a_damaged_coin_is_an_error_and_not_a_missing_coin),
        cmocka_unit_test(a_damaged_marker_is_refused),
        cmocka_unit_test(a_coin_in_the_cache_takes_less_than_120_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
