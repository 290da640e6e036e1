/* script/tx_valid.json and tx_invalid.json: [[[hash, index, script, amount?] ...], tx, flags]. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

struct coin {
    struct outpoint at;
    struct buf script;
    int64_t amount;
};

struct coins {
    struct coin coin[64];
    size_t n;
};

static void coins_read(struct coins *c, struct json_object *list)
{
    c->n = json_object_array_length(list);
    assert_true(c->n <= COUNT_OF(c->coin));
    for (size_t i = 0; i < c->n; i++) {
        struct json_object *row = json_object_array_get_idx(list, i);
        struct coin *k = &c->coin[i];
        assert_true(hash_from_hex(k->at.txid.b,
                                  json_object_get_string(json_object_array_get_idx(row, 0))));
        /* index -1 is that of a coinbase input */
        k->at.index = (uint32_t)json_object_get_int64(json_object_array_get_idx(row, 1));
        k->script = script_asm(json_object_get_string(json_object_array_get_idx(row, 2)));
        k->amount = json_object_array_length(row) > 3
                        ? json_object_get_int64(json_object_array_get_idx(row, 3)) : 0;
    }
}

static void coins_clear(struct coins *c)
{
    for (size_t i = 0; i < c->n; i++)
        buf_clear(&c->coin[i].script);
}

static const struct coin *coin_find(const struct coins *c, const struct outpoint *at)
{
    for (size_t i = 0; i < c->n; i++)
        if (outpoint_equal(&c->coin[i].at, at))
            return &c->coin[i];
    return NULL;
}

/*
 * The checks without context that some rows of tx_invalid.json are about (spec consensus 3.1), as
 * far as a test of scripts needs them.
 */
static bool well_formed(const struct tx *tx)
{
    int64_t sum = 0;
    const int64_t max = INT64_C(2100000000000000);

    if (tx->n_in == 0 || tx->n_out == 0)
        return false;
    for (size_t i = 0; i < tx->n_out; i++) {
        if (tx->out[i].value < 0 || tx->out[i].value > max)
            return false;
        sum += tx->out[i].value;
        if (sum > max)
            return false;
    }
    for (size_t i = 0; i < tx->n_in; i++) {
        if (outpoint_is_null(&tx->in[i].prevout) && !tx_is_coinbase(tx))
            return false;
        for (size_t k = 0; k < i; k++)
            if (outpoint_equal(&tx->in[i].prevout, &tx->in[k].prevout))
                return false;
    }
    return !tx_is_coinbase(tx) || (tx->in[0].script.len >= 2 && tx->in[0].script.len <= 100);
}

static bool tx_holds(const struct tx *tx, const struct coins *c, uint32_t flags)
{
    struct script_limits limits = script_limits_consensus(0);
    struct sighash_cache cache;
    bool ok = well_formed(tx);

    sighash_cache_init(&cache, tx);
    for (size_t i = 0; i < tx->n_in && ok; i++) {
        const struct coin *k = coin_find(c, &tx->in[i].prevout);
        assert_non_null(k);
        struct script_input in = {
            .tx = tx, .index = i, .script_pubkey = buf_span(&k->script), .amount = k->amount,
            .flags = flags, .limits = &limits, .sighash = &cache,
        };
        ok = script_verify(&in) == SCRIPT_OK;
    }
    sighash_cache_clear(&cache);
    return ok;
}

/* Every set of flags of the row gives the same verdict. */
static bool row_gives(struct json_object *row, bool expected)
{
    struct coins coins;
    struct buf raw = unhex(json_object_get_string(json_object_array_get_idx(row, 1)));
    struct json_object *flags = json_object_array_get_idx(row, 2);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    bool list = json_object_is_type(flags, json_type_array), ok = true;

    if (!tx) { /* bytes that are no transaction are not valid either */
        buf_clear(&raw);
        return !expected;
    }
    coins_read(&coins, json_object_array_get_idx(row, 0));
    for (size_t i = 0; i < (list ? json_object_array_length(flags) : 1); i++) {
        struct json_object *names = list ? json_object_array_get_idx(flags, i) : flags;
        uint32_t bits = script_flags_parse(json_object_get_string(names));
        if (tx_holds(tx, &coins, bits) == expected)
            continue;
        printf("not %s: %s %s\n", expected ? "valid" : "invalid", json_object_get_string(names),
               json_object_get_string(json_object_array_get_idx(row, 1)));
        ok = false;
    }
    coins_clear(&coins);
    tx_unref(tx);
    buf_clear(&raw);
    return ok;
}

static void run_file(const char *name, bool expected)
{
    struct json_object *rows = vector_json(name);
    size_t cases = 0, failures = 0;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        if (json_object_array_length(row) < 3)
            continue;
        cases++;
        failures += !row_gives(row, expected);
    }
    json_object_put(rows);
    vector_report(name, cases);
    assert_int_equal(failures, 0);
}

static void valid_transactions_are_accepted(void **state)
{
    (void)state;
    run_file("script/tx_valid.json", true);
}

static void invalid_transactions_are_refused(void **state)
{
    (void)state;
    run_file("script/tx_invalid.json", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_transactions_are_accepted),
        cmocka_unit_test(invalid_transactions_are_refused),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
