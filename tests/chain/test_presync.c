#include <config.h>

#include "chain/presync.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/locator.h"
#include "chain/pow.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

#define MESSAGE 2000
#define TIME_OF_TESTS INT64_C(2000000000)

/* A peer with a chain of headers, and what presync gave out of it. */
struct peer_chain {
    struct header_index *idx;
    struct presync *presync;
    struct block_header *h;
    size_t n;
    struct verdict v;
    size_t handed;        /* headers handed out so far; they are accepted into idx */
    size_t memory_max;
};

static struct u256 work_of_headers(size_t n)
{
    const struct u256 one = pow_work_of_bits(0x207fffff);
    return u256_mul_u64(&one, n);
}

/* n regtest headers; needed: as many with genesis reach the work. */
static void peer_open(struct peer_chain *c, size_t n, size_t needed)
{
    *c = (struct peer_chain){ .idx = header_index_new(params_get(NETWORK_REGTEST)), .n = n };
    const struct header_node *genesis = header_index_genesis(c->idx);
    const struct u256 work = work_of_headers(needed + 1);
    c->h = headers_mine(&genesis->hash, genesis->time + 1, 0, n);
    c->presync = presync_new(c->idx, header_index_genesis(c->idx), &work);
}

static void peer_close(struct peer_chain *c)
{
    presync_free(c->presync);
    header_index_free(c->idx);
    free(c->h);
}

/* What was handed out goes into the index, where every rule is checked again. */
static void take(struct peer_chain *c, const struct block_header *out, size_t n_out)
{
    if (n_out == 0)
        return;
    headers_accept(c->idx, out, n_out);
    c->handed += n_out;
}

static bool feed(struct peer_chain *c, const struct block_header *h, size_t n)
{
    const struct block_header *out;
    size_t n_out;
    const bool good = presync_feed(c->presync, h, n, n == MESSAGE, &out, &n_out, &c->v);
    c->memory_max = MAX_OF(c->memory_max, presync_memory_bytes(c->presync));
    take(c, out, n_out);
    return good;
}

/* Sends the chain from its start, message by message, while presync stays in the state. */
static bool send_pass(struct peer_chain *c, enum presync_state pass)
{
    bool good = true;
    for (size_t at = 0; at < c->n && good && presync_get_state(c->presync) == pass; at += MESSAGE)
        good = feed(c, c->h + at, MIN_OF(c->n - at, (size_t)MESSAGE));
    return good;
}

static void flood_of_low_work_takes_less_than_a_megabyte_and_no_place_in_the_index(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 100000, 1000000);
    assert_true(send_pass(&c, PRESYNC_WORK)); /* 50 full messages: it may go on */
    assert_int_equal(presync_get_state(c.presync), PRESYNC_WORK);
    assert_int_equal(presync_height(c.presync), 100000);
    assert_true(c.memory_max < 1000000);
    assert_int_equal(header_index_count(c.idx), 1);
    assert_false(feed(&c, NULL, 0)); /* and now it ends */
    assert_string_equal(c.v.reason, "low-work-headers");
    assert_int_equal(c.v.ban_score, 0);
    assert_int_equal(presync_get_state(c.presync), PRESYNC_FAILED);
    peer_close(&c);
}

static void chain_with_enough_work_is_handed_out_in_the_second_pass(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 31234, 30000);
    assert_true(send_pass(&c, PRESYNC_WORK));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_REDOWNLOAD);
    assert_int_equal(c.handed, 0);
    assert_true(c.memory_max < 1000000);
    assert_true(send_pass(&c, PRESYNC_REDOWNLOAD));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_DONE);
    /* Up to the end of the message in which the work was reached. */
    assert_int_equal(c.handed, 30000);
    assert_int_equal(header_index_count(c.idx), 1 + c.handed);
    assert_true(c.memory_max <
                (PRESYNC_BUFFER + 2 * MESSAGE) * sizeof(struct block_header) + 100000);
    peer_close(&c);
}

static void message_that_goes_on_past_the_work_is_handed_out_whole(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 2700, 2100);
    assert_true(send_pass(&c, PRESYNC_WORK));
    assert_true(send_pass(&c, PRESYNC_REDOWNLOAD));
    assert_int_equal(c.handed, 2700);
    assert_int_equal(presync_get_state(c.presync), PRESYNC_DONE);
    peer_close(&c);
}

static void headers_are_held_back_until_many_more_have_matched(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 40000, 39000);
    assert_true(send_pass(&c, PRESYNC_WORK));
    for (size_t at = 0; at < 38000; at += MESSAGE) {
        assert_true(feed(&c, c.h + at, MESSAGE));
        assert_int_equal(c.handed,
                         at + MESSAGE > PRESYNC_BUFFER ? at + MESSAGE - PRESYNC_BUFFER : 0);
    }
    peer_close(&c);
}

static void other_headers_in_the_second_pass_are_caught(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 60000, 60000);
    assert_true(send_pass(&c, PRESYNC_WORK));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_REDOWNLOAD);
    const struct block_hash fork = hash_of(&c.h[8999]);
    struct block_header *other = headers_mine(&fork, c.h[9000].time, 99, c.n - 9000);
    memcpy(c.h + 9000, other, (c.n - 9000) * sizeof(*other));
    assert_false(send_pass(&c, PRESYNC_REDOWNLOAD));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_FAILED);
    assert_string_equal(c.v.reason, "headers differ from those shown before");
    assert_int_equal(c.v.ban_score, 100);
    assert_true(c.handed <= 9000); /* none of the others got in */
    free(other);
    peer_close(&c);
}

static void second_pass_that_ends_early_is_refused(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 5000, 5000);
    assert_true(send_pass(&c, PRESYNC_WORK));
    assert_true(feed(&c, c.h, MESSAGE));
    assert_false(feed(&c, c.h + MESSAGE, 100));
    assert_string_equal(c.v.reason, "low-work-headers");
    assert_int_equal(c.handed, 0);
    peer_close(&c);
}

static void gaps_are_refused_in_both_passes(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 6000, 5000);
    assert_true(feed(&c, c.h, MESSAGE));
    assert_false(feed(&c, c.h + 3000, MESSAGE));
    assert_string_equal(c.v.reason, "non-contiguous headers");
    assert_int_equal(c.v.ban_score, 20);
    assert_false(feed(&c, c.h + MESSAGE, MESSAGE)); /* nothing more from this one */
    peer_close(&c);

    peer_open(&c, 6000, 5000);
    assert_true(send_pass(&c, PRESYNC_WORK));
    assert_true(feed(&c, c.h, MESSAGE));
    assert_false(feed(&c, c.h + 3000, MESSAGE));
    assert_string_equal(c.v.reason, "non-contiguous headers");
    peer_close(&c);
}

static void header_that_breaks_a_rule_is_refused_in_the_first_pass(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        uint32_t bits, time; /* 0: as they were */
    } cases[] = { { "bad-diffbits", 0x207ffffe, 0 },
                  { "time-too-old", 0, 1296688602 },
                  { "high-hash", 0x03000001, 0 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct peer_chain c;
        peer_open(&c, 100, 200);
        struct block_header *bad = &c.h[50];
        bad->bits = cases[i].bits ? cases[i].bits : bad->bits;
        bad->time = cases[i].time ? cases[i].time : bad->time;
        for (struct block_hash hash = hash_of(bad);
             !pow_hash_ok(params_get(NETWORK_REGTEST), &hash, 0x207fff00); hash = hash_of(bad))
            bad->nonce++;
        assert_false(feed(&c, c.h, 100));
        assert_string_equal(c.v.reason, cases[i].reason);
        assert_int_equal(presync_get_state(c.presync), PRESYNC_FAILED);
        peer_close(&c);
    }
}

static void header_from_the_future_is_refused(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 10, 20);
    clock_set_mock(c.h[9].time - 7201);
    assert_false(feed(&c, c.h, 10));
    assert_string_equal(c.v.reason, "time-too-new");
    clock_set_mock(TIME_OF_TESTS);
    peer_close(&c);
}

static void locator_leads_from_the_front_back_to_the_start(void **state)
{
    (void)state;
    struct peer_chain c;
    struct block_hash out[LOCATOR_MAX + 1];
    peer_open(&c, 6000, 5000);
    const struct block_hash genesis = header_index_genesis(c.idx)->hash;
    assert_int_equal(presync_locator(c.presync, out, LOCATOR_MAX + 1), 1);
    assert_memory_equal(out[0].b, genesis.b, 32);
    assert_true(feed(&c, c.h, MESSAGE));
    const struct block_hash front = hash_of(&c.h[MESSAGE - 1]);
    assert_int_equal(presync_locator(c.presync, out, LOCATOR_MAX + 1), 2);
    assert_memory_equal(out[0].b, front.b, 32);
    assert_memory_equal(out[1].b, genesis.b, 32);
    assert_int_equal(presync_locator(c.presync, out, 1), 1);
    assert_true(presync_continues(c.presync, &c.h[MESSAGE]));
    assert_false(presync_continues(c.presync, &c.h[MESSAGE + 1]));
    assert_true(feed(&c, c.h + MESSAGE, MESSAGE));
    assert_true(feed(&c, c.h + 2 * MESSAGE, MESSAGE)); /* the work is there: from the start again */
    assert_int_equal(presync_locator(c.presync, out, LOCATOR_MAX + 1), 1);
    assert_memory_equal(out[0].b, genesis.b, 32);
    peer_close(&c);
}

static void presync_may_start_high_up_in_a_known_chain(void **state)
{
    (void)state;
    struct peer_chain c;
    peer_open(&c, 12000, 12000);
    struct header_node *start = headers_accept(c.idx, c.h, 7000);
    const struct u256 work = work_of_headers(12001);
    presync_free(c.presync);
    c.presync = presync_new(c.idx, start, &work);
    for (int pass = 0; pass < 2; pass++)
        for (size_t at = 7000; at < 12000; at += MESSAGE)
            assert_true(feed(&c, c.h + at, MIN_OF(12000 - at, (size_t)MESSAGE)));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_DONE);
    assert_int_equal(header_index_count(c.idx), 12001);
    peer_close(&c);
}

/* --- difficulty over the window: only real headers have the work for it --- */

/*
 * The headers of a file, the first known of which are in the index already. A file that begins in
 * the middle of a chain is taken for a chain of its own, by the DAA from its start.
 */
static void real_open(struct peer_chain *c, const char *name, struct chain_params *p, size_t known)
{
    struct block_header *all;
    struct error e;
    const size_t n = headers_load(name, &all);
    const struct block_hash first = hash_of(&all[0]);
    if (!block_hash_equal(&first, &p->genesis_hash)) {
        p->genesis = all[0];
        p->genesis_hash = first;
        p->heights = (struct script_heights){ .daa = 0 };
        p->bip34_height = 0;
        p->n_checkpoints = 0;
    }
    *c = (struct peer_chain){ .idx = header_index_new(p), .n = n - known };
    struct header_node *start = header_index_genesis(c->idx);
    for (size_t i = 1; i < known; i++) {
        const struct block_hash hash = hash_of(&all[i]);
        const struct header_data data = { .status = HS_HEADER_VALID };
        start = header_index_load(c->idx, &all[i], &hash, &data, &e);
        assert_non_null(start);
    }
    c->h = xcalloc(c->n, sizeof(*c->h));
    memcpy(c->h, all + known, c->n * sizeof(*c->h));
    free(all);
    struct u256 needed = start->work;
    for (size_t i = 0; i < c->n; i++) {
        const struct u256 one = pow_work_of_bits(c->h[i].bits);
        needed = u256_add(&needed, &one);
    }
    c->presync = presync_new(c->idx, start, &needed);
}

static void real_chain(const char *name, enum chain_network network, size_t known)
{
    struct peer_chain c;
    struct chain_params p = *params_get(network);
    real_open(&c, name, &p, known);
    if (!send_pass(&c, PRESYNC_WORK))
        fail_msg("height %d: %s", presync_height(c.presync), c.v.reason);
    assert_true(send_pass(&c, PRESYNC_REDOWNLOAD));
    assert_int_equal(presync_get_state(c.presync), PRESYNC_DONE);
    assert_int_equal(header_index_count(c.idx), known + c.n);
    vector_report(name, c.n);
    peer_close(&c);
}

/* The same headers under the other rule for late blocks. */
static void real_chain_of_the_wrong_kind(const char *name, enum chain_network network, size_t known)
{
    struct peer_chain c;
    struct chain_params p = *params_get(network);
    p.allow_min_difficulty = !p.allow_min_difficulty;
    real_open(&c, name, &p, known);
    assert_false(send_pass(&c, PRESYNC_WORK));
    assert_string_equal(c.v.reason, "bad-diffbits");
    assert_int_equal(c.v.ban_score, 100);
    peer_close(&c);
}

#define DAA_KNOWN 200

static void real_headers_under_the_first_rules_pass_both_rounds(void **state)
{
    (void)state;
    real_chain("headers/mainnet_000000_006999.headers", NETWORK_MAIN, 1);
}

static void real_headers_with_late_blocks_and_retargets_pass_both_rounds(void **state)
{
    (void)state;
    real_chain("headers/testnet_0000000_0006999.headers", NETWORK_TEST, 1);
    real_chain_of_the_wrong_kind("headers/testnet_0000000_0006999.headers", NETWORK_TEST, 1);
}

static void real_headers_under_the_daa_pass_both_rounds(void **state)
{
    (void)state;
    real_chain("headers/mainnet_900000_912199.headers", NETWORK_MAIN, DAA_KNOWN);
    real_chain_of_the_wrong_kind("headers/mainnet_900000_912199.headers", NETWORK_MAIN, DAA_KNOWN);
}

static void real_headers_with_a_late_block_under_the_daa_pass_both_rounds(void **state)
{
    (void)state;
    real_chain("headers/testnet_1602530_1602710.headers", NETWORK_TEST, 150);
    real_chain_of_the_wrong_kind("headers/testnet_1602530_1602710.headers", NETWORK_TEST, 150);
}

static int set_clock(void **state)
{
    (void)state;
    clock_set_mock(TIME_OF_TESTS);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_of_low_work_takes_less_than_a_megabyte_and_no_place_in_the_index),
        cmocka_unit_test(chain_with_enough_work_is_handed_out_in_the_second_pass),
        cmocka_unit_test(message_that_goes_on_past_the_work_is_handed_out_whole),
        cmocka_unit_test(headers_are_held_back_until_many_more_have_matched),
        cmocka_unit_test(other_headers_in_the_second_pass_are_caught),
        cmocka_unit_test(second_pass_that_ends_early_is_refused),
        cmocka_unit_test(gaps_are_refused_in_both_passes),
        cmocka_unit_test(header_that_breaks_a_rule_is_refused_in_the_first_pass),
        cmocka_unit_test(header_from_the_future_is_refused),
        cmocka_unit_test(locator_leads_from_the_front_back_to_the_start),
        cmocka_unit_test(presync_may_start_high_up_in_a_known_chain),
        cmocka_unit_test(real_headers_under_the_first_rules_pass_both_rounds),
        cmocka_unit_test(real_headers_with_late_blocks_and_retargets_pass_both_rounds),
        cmocka_unit_test(real_headers_under_the_daa_pass_both_rounds),
        cmocka_unit_test(real_headers_with_a_late_block_under_the_daa_pass_both_rounds),
    };
    return cmocka_run_group_tests(tests, set_clock, NULL);
}
