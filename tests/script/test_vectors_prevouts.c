/* blocks-with-prevouts: every script of real blocks, under the flags of their height. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/ec.h"
#include "base/mem.h"
#include "script/sigcache.h"
#include "script/verify.h"
#include "tests/test.h"

/* spec consensus 1.1, main */
static const struct script_heights mainnet = {
    .p2sh = 173805, .bip66 = 363725, .bip65 = 388381, .csv = 419328, .uahf = 478558,
    .daa = 504031, .genesis = 620538, .chronicle = 943816,
};

/*
 * Teranode's test network (1.3) has all rules from block 0 on and Chronicle from 2. The heights of
 * the spent coins are not in the data: they count as just before Chronicle.
 */
static const struct script_heights teratestnet = {
    .p2sh = -1, .uahf = -1, .daa = -1, .genesis = 1, .chronicle = 2,
};

struct spent {
    struct outpoint at;
    int64_t value;
    int32_t height;
    struct buf script;
};

static struct json_object *field(struct json_object *row, size_t i)
{
    return json_object_array_get_idx(row, i);
}

static struct spent *spent_read(struct json_object *list, size_t *n)
{
    *n = json_object_array_length(list);
    struct spent *s = (struct spent *)xcalloc(*n + 1, sizeof(*s));
    for (size_t i = 0; i < *n; i++) {
        struct json_object *row = field(list, i);
        assert_true(hash_from_hex(s[i].at.txid.b, json_object_get_string(field(row, 0))));
        s[i].at.index = (uint32_t)json_object_get_int64(field(row, 1));
        s[i].value = json_object_get_int64(field(row, 2));
        s[i].script = unhex(json_object_get_string(field(row, 3)));
        s[i].height = field(row, 4) ? json_object_get_int(field(row, 4)) : 1;
    }
    return s;
}

static void spent_free(struct spent *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_clear(&s[i].script);
    free(s);
}

static const struct spent *spent_find(const struct spent *s, size_t n, const struct outpoint *at)
{
    for (size_t i = 0; i < n; i++)
        if (outpoint_equal(&s[i].at, at))
            return &s[i];
    return NULL;
}

struct checked {
    size_t inputs, failures;
};

struct setting {
    const struct script_heights *heights;
    uint32_t flags;
    struct script_limits limits;
    struct sigcache *sigcache;
};

static void check_tx(const struct tx *tx, const struct spent *s, size_t n,
                     const struct setting *set, struct checked *c)
{
    struct sighash_cache cache;

    sighash_cache_init(&cache, tx);
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct spent *coin = spent_find(s, n, &tx->in[i].prevout);
        assert_non_null(coin);
        struct script_input in = {
            .tx = tx, .index = i, .script_pubkey = buf_span(&coin->script), .amount = coin->value,
            .flags = script_flags_for_coin(set->heights, set->flags, coin->height),
            .limits = &set->limits, .sighash = &cache, .sigcache = set->sigcache,
        };
        enum script_err err = script_verify(&in);
        c->inputs++;
        c->failures += err != SCRIPT_OK;
        if (err)
            printf("input %zu: %s\n", i, script_err_name(err));
    }
    sighash_cache_clear(&cache);
}

/* Once with an empty signature cache, once more with what it then holds. */
static void check_block(const char *name, struct checked *c)
{
    char block_name[256];
    struct json_object *json = vector_json(name), *network;
    struct setting set = { .heights = &mainnet, .limits = script_limits_consensus(0) };
    struct buf raw;
    size_t n;

    buf_init(&raw);
    snprintf(block_name, sizeof(block_name), "%.*s.block", (int)(strlen(name) - 5), name);
    vector_read(block_name, &raw);
    if (json_object_object_get_ex(json, "network", &network))
        set.heights = &teratestnet;
    set.flags = script_flags_for_block(
        set.heights, json_object_get_int(json_object_object_get(json, "height")));
    set.sigcache = sigcache_new(1 << 20);
    struct spent *s = spent_read(json_object_object_get(json, "spent"), &n);
    for (int pass = 0; pass < 2; pass++) {
        struct reader r;
        struct block_header h;
        struct arena a;
        arena_init(&a);
        reader_init(&r, raw.data, raw.len);
        block_header_read(&r, &h);
        for (uint64_t left = read_compact(&r); left > 0; left--) {
            struct tx tx;
            assert_int_equal(tx_read(&r, &a, &tx), OK);
            if (!tx_is_coinbase(&tx))
                check_tx(&tx, s, n, &set, c);
        }
        assert_true(reader_done(&r));
        arena_clear(&a);
    }
    sigcache_free(set.sigcache);
    spent_free(s, n);
    buf_clear(&raw);
    json_object_put(json);
}

static void every_input_of_real_blocks_verifies(void **state)
{
    struct checked c = { 0, 0 };
    char **names;
    size_t n = vector_list("blocks-with-prevouts", ".json", &names);

    (void)state;
    if (n == 0)
        skip();
    for (size_t i = 0; i < n; i++)
        check_block(names[i], &c);
    vector_list_free(names, n);
    vector_report("blocks-with-prevouts", n);
    printf("%zu inputs\n", c.inputs);
    assert_int_equal(c.failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_of_real_blocks_verifies),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
