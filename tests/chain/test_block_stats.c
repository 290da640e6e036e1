/* getblockstats against the reference's answers, getchaintxstats against sums made here. */
#include <config.h>

#include "chain/block_stats.h"

#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "tests/chain/chain_builder.h"

struct field {
    const char *name;
    double unit; /* 1: a number, COIN: an amount */
    int64_t value;
};

static void check_fields(struct json_object *want, const struct field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct json_object *value;
        assert_true(json_object_object_get_ex(want, fields[i].name, &value));
        const int64_t number = llround(json_object_get_double(value) * fields[i].unit);
        if (number != fields[i].value)
            fail_msg("%s: expected %lld, got %lld", fields[i].name, (long long)number,
                     (long long)fields[i].value);
    }
}

static void check_stats(struct json_object *want, const struct block_stats *s)
{
    const double coin = (double)COIN;
    const struct field fields[] = {
        { "avgfee", coin, s->fee.average },           { "avgfeerate", coin, s->fee_rate.average },
        { "avgtxsize", 1, s->tx_size.average },       { "height", 1, s->height },
        { "ins", 1, (int64_t)s->inputs },             { "maxfee", coin, s->fee.max },
        { "maxfeerate", coin, s->fee_rate.max },      { "maxtxsize", 1, s->tx_size.max },
        { "medianfee", coin, s->fee.median },         { "medianfeerate", coin, s->fee_rate.median },
        { "mediantime", 1, s->median_time },          { "mediantxsize", 1, s->tx_size.median },
        { "minfee", coin, s->fee.min },               { "minfeerate", coin, s->fee_rate.min },
        { "mintxsize", 1, s->tx_size.min },           { "outs", 1, (int64_t)s->outputs },
        { "subsidy", coin, s->subsidy },              { "time", 1, s->time },
        { "total_out", coin, s->total_out },          { "total_size", 1, (int64_t)s->total_size },
        { "totalfee", coin, s->total_fee },           { "txs", 1, (int64_t)s->txs },
        { "utxo_increase", 1, s->utxo_increase },     { "utxo_size_inc", 1, s->utxo_size_inc },
    };
    const size_t n = sizeof(fields) / sizeof(*fields);
    char hex[HASH_HEX_SIZE];
    struct json_object *hash;
    assert_true(json_object_object_get_ex(want, "blockhash", &hash));
    assert_string_equal(json_object_get_string(hash), hash_to_hex(hex, s->hash.b));
    assert_int_equal(json_object_object_length(want), n + 1); /* nothing is left out */
    check_fields(want, fields, n);
}

static void submit_all(struct test_chain *t, struct json_object *blocks)
{
    for (size_t i = 1; i < json_object_array_length(blocks); i++) { /* 0 is genesis */
        struct built_block b = { .raw = unhex(json_object_get_string(
                                     json_object_array_get_idx(blocks, i))) };
        assert_string_equal(test_chain_submit(t, &b), "");
        buf_clear(&b.raw);
    }
}

static void answers_are_the_references(void **state)
{
    (void)state;
    struct json_object *json = vector_json("rpc/rpc_getblockstats.json"), *blocks, *stats, *height;
    struct test_chain t;
    assert_true(json_object_object_get_ex(json, "blocks", &blocks));
    assert_true(json_object_object_get_ex(json, "stats", &stats));
    test_chain_open(&t, params_get(NETWORK_REGTEST), 1);
    submit_all(&t, blocks);
    for (size_t i = 0; i < json_object_array_length(stats); i++) {
        struct json_object *want = json_object_array_get_idx(stats, i);
        struct block_stats got;
        struct error e = { .code = OK };
        assert_true(json_object_object_get_ex(want, "height", &height));
        struct header_node *node =
            header_index_at(chain_headers(t.chain), json_object_get_int(height));
        assert_non_null(node);
        assert_int_equal(block_stats_compute(&got, t.chain, node, NULL, &e), OK);
        check_stats(want, &got);
    }
    vector_report("rpc/rpc_getblockstats.json", json_object_array_length(stats));
    json_object_put(json);
    test_chain_close(&t);
}

static void genesis_needs_no_undo_record(void **state)
{
    (void)state;
    struct test_chain t;
    struct block_stats s;
    struct error e;
    test_chain_open(&t, params_get(NETWORK_REGTEST), 0);
    struct header_node *genesis = header_index_genesis(chain_headers(t.chain));
    assert_int_equal(block_stats_compute(&s, t.chain, genesis, NULL, &e), OK);
    assert_int_equal(s.txs, 1);
    assert_int_equal(s.outputs, 1);
    assert_int_equal(s.inputs, 0);
    assert_int_equal(s.subsidy, 50 * COIN);
    assert_int_equal(s.fee.max, 0);
    test_chain_close(&t);
}

static void a_cancelled_request_ends(void **state)
{
    (void)state;
    struct test_chain t;
    struct block_stats s;
    struct error e;
    struct cancel cancel;
    cancel_init(&cancel);
    cancel_set(&cancel);
    test_chain_open(&t, params_get(NETWORK_REGTEST), 0);
    test_chain_grow(&t, 1);
    struct header_node *node = test_chain_node(&t, &t.blocks[1]);
    assert_int_equal(block_stats_compute(&s, t.chain, node, &cancel, &e), ERR_CANCELLED);
    test_chain_close(&t);
}

static void block_without_data_is_not_found(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block b;
    struct block_stats s;
    struct error e;
    struct verdict v;
    struct header_node *node;
    size_t accepted;
    test_chain_open(&t, params_get(NETWORK_REGTEST), 0);
    builder_block(&t.options.params, &(struct block_spec){ .prev = &t.blocks[0] }, &b);
    assert_int_equal(chain_accept_headers(t.chain, &b.header, NULL, 1, &accepted, &node, &v), OK);
    assert_int_equal(block_stats_compute(&s, t.chain, node, NULL, &e), ERR_NOTFOUND);
    built_block_clear(&b);
    test_chain_close(&t);
}

/* A chain of headers whose blocks hold 1, 2, 3 ... transactions. */
static struct header_index *counted_chain(int32_t height)
{
    struct header_index *idx = header_index_new(params_get(NETWORK_REGTEST));
    struct header_node *node = header_index_genesis(idx);
    const struct block_pos pos = { .size = 1 };
    header_index_set_data(idx, node, &pos, 1, 0);
    for (int32_t i = 1; i <= height; i++) {
        struct block_header h = {
            .version = 4, .prev = node->hash, .time = node->time + 10, .bits = node->bits
        };
        struct header_node *last = NULL;
        struct verdict v;
        size_t accepted = 0;
        for (; accepted == 0; h.nonce++)
            assert_int_equal(
                header_index_accept(idx, &h, NULL, 1, INT64_MAX / 2, &accepted, &last, &v), OK);
        node = last;
        header_index_set_data(idx, node, &pos, (uint32_t)i + 1, 0);
    }
    header_index_set_tip(idx, node);
    return idx;
}

static void transactions_of_a_window_are_counted(void **state)
{
    (void)state;
    struct header_index *idx = counted_chain(50);
    struct header_node *tip = header_index_tip(idx);
    struct tx_stats s;
    struct error e;
    assert_int_equal(tx_stats_compute(&s, idx, tip, 10, &e), OK);
    assert_int_equal(s.time, tip->time);
    assert_int_equal(s.tx_count, 51 * 52 / 2);
    assert_int_equal(s.window_blocks, 10);
    assert_int_equal(s.window_txs, 51 * 52 / 2 - 41 * 42 / 2);
    assert_int_equal(s.window_interval_s, 100);
    assert_true(fabs(s.tx_rate - (double)s.window_txs / 100) < 1e-9);
    header_index_free(idx);
}

static void window_is_a_month_or_all_but_the_first_block(void **state)
{
    (void)state;
    struct header_index *idx = counted_chain(50);
    struct tx_stats s;
    struct error e;
    assert_int_equal(tx_stats_compute(&s, idx, header_index_tip(idx), TX_STATS_DEFAULT_WINDOW, &e),
                     OK);
    assert_int_equal(s.window_blocks, 49);
    assert_int_equal(
        tx_stats_compute(&s, idx, header_index_at(idx, 1), TX_STATS_DEFAULT_WINDOW, &e), OK);
    assert_int_equal(s.window_blocks, 0);
    assert_int_equal(s.window_txs, 0);
    assert_int_equal(
        tx_stats_compute(&s, idx, header_index_genesis(idx), TX_STATS_DEFAULT_WINDOW, &e), OK);
    assert_int_equal(s.tx_count, 1);
    header_index_free(idx);
}

static void window_past_the_block_is_out_of_range(void **state)
{
    (void)state;
    struct header_index *idx = counted_chain(5);
    struct tx_stats s;
    struct error e;
    assert_int_equal(tx_stats_compute(&s, idx, header_index_tip(idx), 4, &e), OK);
    assert_int_equal(tx_stats_compute(&s, idx, header_index_tip(idx), 5, &e), ERR_RANGE);
    assert_int_equal(tx_stats_compute(&s, idx, header_index_tip(idx), -2, &e), ERR_RANGE);
    header_index_free(idx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_references),
        cmocka_unit_test(genesis_needs_no_undo_record),
        cmocka_unit_test(a_cancelled_request_ends),
        cmocka_unit_test(block_without_data_is_not_found),
        cmocka_unit_test(transactions_of_a_window_are_counted),
        cmocka_unit_test(window_is_a_month_or_all_but_the_first_block),
        cmocka_unit_test(window_past_the_block_is_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
