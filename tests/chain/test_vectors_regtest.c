/* The published regtest chains: each connects from genesis, and they reorganise both ways. */
#include <config.h>

#include <stdlib.h>

#include "base/mem.h"
#include "tests/chain/chain_builder.h"

static const char folder[] = "regtest-chains";

static void every_chain_connects_from_genesis(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list(folder, ".blk", &names);
    if (n == 0)
        skip();
    for (size_t i = 0; i < n; i++) {
        struct test_chain t;
        struct buf file = { 0 };
        test_chain_open(&t, params_get(NETWORK_REGTEST), 2);
        vector_read(names[i], &file);
        size_t blocks = test_chain_submit_records(&t, &file);
        vector_report(names[i], blocks);
        assert_int_equal(test_chain_tip_height(&t), blocks - 1);
        assert_int_equal(t.judged, 0);
        buf_clear(&file);
        test_chain_close(&t);
    }
    vector_list_free(names, n);
}

static struct hash256 coins_of(const char *name, struct block_hash *tip_hash)
{
    struct test_chain t;
    struct buf file = { 0 };
    struct chain_tip tip;
    test_chain_open(&t, params_get(NETWORK_REGTEST), 0);
    vector_read(name, &file);
    test_chain_submit_records(&t, &file);
    chain_get_tip(t.chain, &tip);
    *tip_hash = tip.hash;
    struct hash256 coins = test_chain_coins(&t);
    buf_clear(&file);
    test_chain_close(&t);
    return coins;
}

static void expect(struct test_chain *t, const struct block_hash *tip_hash,
                   const struct hash256 *coins)
{
    struct chain_tip tip;
    chain_get_tip(t->chain, &tip);
    assert_memory_equal(tip.hash.b, tip_hash->b, 32);
    struct hash256 now = test_chain_coins(t);
    assert_memory_equal(now.b, coins->b, 32);
}

/* After both files the chain stands at the longer one; invalidating leads to the other and back. */
static void reorganise(const char *shorter, const char *longer)
{
    struct test_chain t;
    struct buf one = { 0 }, two = { 0 };
    struct block_hash short_tip, long_tip;
    struct error e;
    struct hash256 short_coins = coins_of(shorter, &short_tip),
                   long_coins = coins_of(longer, &long_tip);
    test_chain_open(&t, params_get(NETWORK_REGTEST), 2);
    vector_read(shorter, &one);
    vector_read(longer, &two);
    test_chain_submit_records(&t, &one);
    expect(&t, &short_tip, &short_coins);
    test_chain_submit_records(&t, &two);
    assert_true(t.disconnected > 0);
    expect(&t, &long_tip, &long_coins);
    struct header_index *idx = chain_headers(t.chain);
    struct header_node *a = header_index_find(idx, &short_tip),
                       *b = header_index_find(idx, &long_tip);
    struct header_node *fork = header_last_common(a, b);
    struct header_node *first = header_ancestor(b, fork->height + 1);
    assert_int_equal(chain_invalidate(t.chain, first, &e), OK);
    expect(&t, &short_tip, &short_coins);
    assert_int_equal(chain_reconsider(t.chain, first, &e), OK);
    expect(&t, &long_tip, &long_coins);
    buf_clear(&one);
    buf_clear(&two);
    test_chain_close(&t);
}

/* Hash of the last block of a file and how many it has. */
struct end {
    struct block_hash hash;
    size_t blocks;
};

typedef bool (*each_block)(void *ctx, const struct block_hash *hash);

/* False: `fn` has what it wanted. */
static bool walk(const char *name, each_block fn, void *ctx)
{
    struct buf file = { 0 };
    struct reader r;
    bool more = true;
    vector_read(name, &file);
    reader_init(&r, file.data, file.len);
    while (r.left > 0 && more) {
        struct block_header h;
        struct block_hash hash;
        read_le32(&r); /* magic */
        const uint32_t size = read_le32(&r);
        const uint8_t *block = read_bytes(&r, size);
        assert_non_null(block);
        struct reader header;
        reader_init(&header, block, size);
        block_header_read(&header, &h);
        block_header_hash(&hash, &h);
        more = fn(ctx, &hash);
    }
    buf_clear(&file);
    return more;
}

static bool take_end(void *ctx, const struct block_hash *hash)
{
    struct end *e = (struct end *)ctx;
    e->hash = *hash;
    e->blocks++;
    return true;
}

static bool is_another(void *ctx, const struct block_hash *hash)
{
    return !block_hash_equal(hash, (const struct block_hash *)ctx);
}

/* The lowest chain that is higher than this one and does not go on from it; n: none. */
static size_t rival_of(size_t i, char **names, struct end *ends, size_t n)
{
    size_t best = n;
    for (size_t k = 0; k < n; k++)
        if (ends[k].blocks > ends[i].blocks && (best == n || ends[k].blocks < ends[best].blocks) &&
            walk(names[k], is_another, &ends[i].hash))
            best = k;
    return best;
}

static void branches_reorganise_in_both_directions(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list(folder, ".blk", &names), done = 0;
    if (n == 0)
        skip();
    struct end *ends = xcalloc(n, sizeof(*ends));
    for (size_t i = 0; i < n; i++)
        walk(names[i], take_end, &ends[i]);
    for (size_t i = 0; i < n; i++) {
        const size_t rival = rival_of(i, names, ends, n);
        if (rival < n) {
            reorganise(names[i], names[rival]);
            done++;
        }
    }
    free(ends);
    vector_report(folder, done);
    vector_list_free(names, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chain_connects_from_genesis),
        cmocka_unit_test(branches_reorganise_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
