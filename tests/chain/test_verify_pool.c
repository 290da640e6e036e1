/* Script checks of a block: one verdict whatever the timing, none when cancelled. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/verify_pool.h"
#include "tests/chain/chain_builder.h"

enum { TXS = 40, INPUTS = 9 };

/* A parsed block whose transactions spend made-up coins, to be checked input by input. */
struct fixture {
    struct block_segment *seg;
    struct pool *pool;
    struct script_limits limits;
    struct chain_params params;
};

static void make(struct fixture *f, unsigned workers)
{
    struct built_tx txs[TXS];
    struct built_block genesis, b;
    struct block_header header;
    struct error e;
    size_t extra;
    ec_init();
    f->params = test_params(1);
    f->limits = script_limits_consensus(0);
    f->pool = pool_new(workers, "test");
    for (int i = 0; i < TXS; i++) {
        struct in_spec in[INPUTS];
        struct out_spec out = { 1, builder_true() };
        for (int k = 0; k < INPUTS; k++)
            in[k] = (struct in_spec){ .prevout = { { { (uint8_t)i, 1 } }, (uint32_t)k } };
        builder_tx(&(struct tx_spec){ .in = in, .n_in = INPUTS, .out = &out, .n_out = 1 }, &txs[i]);
    }
    builder_genesis(&f->params, &genesis);
    builder_block(&f->params, &(struct block_spec){ .prev = &genesis, .txs = txs, .n_txs = TXS },
                  &b);
    size_t len;
    uint8_t *data = buf_take(&b.raw, &len);
    struct block_bytes *bytes = block_bytes_new(data, len);
    assert_int_equal(block_segment_parse(&f->seg, bytes, &header, &extra, &e), OK);
    block_bytes_unref(bytes);
    built_block_clear(&genesis);
    for (int i = 0; i < TXS; i++)
        built_tx_clear(&txs[i]);
}

static void clear(struct fixture *f)
{
    assert_int_equal(atomic_load(&f->seg->refs), 1); /* no slice keeps it */
    block_segment_unref(f->seg);
    pool_free(f->pool);
}

static bool is_in(const uint64_t *list, size_t n, uint64_t tx, uint64_t input)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == tx * 1000 + input)
            return true;
    return false;
}

/* Queues every input; those listed as tx * 1000 + input spend an output that nothing satisfies. */
static void queue_all(struct fixture *f, struct verify_run *r, const uint64_t *bad, size_t n_bad)
{
    struct verify_batch *b = verify_batch_begin(r, f->seg);
    for (size_t i = 1; i <= TXS; i++) {
        assert_int_equal(verify_batch_tx(b, &f->seg->txs[i], i), OK);
        for (uint32_t k = 0; k < INPUTS; k++) {
            uint8_t script = is_in(bad, n_bad, i, k) ? 0x00 : 0x51;
            struct coin coin = { .value = 1, .height = 1, .script = span_of(&script, 1) };
            uint32_t flags = script_flags_for_coin(&f->params.heights,
                                                   script_flags_for_block(&f->params.heights, 2),
                                                   1);
            assert_int_equal(verify_batch_input(b, k, &coin, flags), OK);
        }
    }
    verify_batch_end(b);
}

static void all_good_inputs_give_no_failure(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 3; workers++) {
        struct fixture f;
        struct verify_run r;
        struct verify_failure failure;
        bool failed = true;
        make(&f, workers);
        verify_run_init(&r, &(struct verify_options){ .pool = f.pool, .limits = &f.limits });
        queue_all(&f, &r, NULL, 0);
        assert_int_equal(verify_run_join(&r, &failed, &failure, NULL), OK);
        assert_false(failed);
        assert_int_equal(r.checks, TXS * INPUTS);
        clear(&f);
    }
}

static void of_many_failures_the_lowest_is_reported(void **state)
{
    (void)state;
    static const uint64_t bad[] = { 31005, 7008, 7003, 40000, 8000 };
    for (unsigned round = 0; round < 30; round++) {
        struct fixture f;
        struct verify_run r;
        struct verify_failure failure;
        bool failed = false;
        make(&f, round % 4);
        verify_run_init(&r, &(struct verify_options){ .pool = f.pool, .limits = &f.limits });
        queue_all(&f, &r, bad, COUNT_OF(bad));
        assert_int_equal(verify_run_join(&r, &failed, &failure, NULL), OK);
        assert_true(failed);
        assert_int_equal(failure.tx, 7);
        assert_int_equal(failure.input, 3);
        assert_int_equal(failure.err, SCRIPT_ERR_EVAL_FALSE);
        assert_true(failure.new_coin);
        clear(&f);
    }
}

static void failures_past_the_limit_do_not_count(void **state)
{
    (void)state;
    static const uint64_t bad[] = { 20000, 21005 };
    for (unsigned round = 0; round < 20; round++) {
        struct fixture f;
        struct verify_run r;
        struct verify_failure failure;
        bool failed;
        make(&f, round % 3);
        verify_run_init(&r, &(struct verify_options){ .pool = f.pool, .limits = &f.limits });
        queue_all(&f, &r, bad, COUNT_OF(bad));
        verify_run_limit(&r, round % 2 ? 20 : 21);
        assert_int_equal(verify_run_join(&r, &failed, &failure, NULL), OK);
        assert_int_equal(failed, round % 2 == 0);
        clear(&f);
    }
}

static void cancelled_checks_give_no_verdict(void **state)
{
    (void)state;
    static const uint64_t bad[] = { 1000 };
    for (unsigned workers = 0; workers <= 2; workers++) {
        struct fixture f;
        struct verify_run r;
        struct verify_failure failure;
        struct cancel cancel;
        bool failed;
        make(&f, workers);
        cancel_init(&cancel);
        cancel_set(&cancel);
        verify_run_init(&r, &(struct verify_options){ .pool = f.pool, .limits = &f.limits,
                                                      .cancel = &cancel });
        queue_all(&f, &r, bad, COUNT_OF(bad));
        assert_int_equal(verify_run_join(&r, &failed, &failure, NULL), ERR_CANCELLED);
        clear(&f);
    }
}

static void feeding_waits_when_too_much_is_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    struct verify_run r;
    struct verify_failure failure;
    bool failed;
    make(&f, 1);
    verify_run_init(&r, &(struct verify_options){ .pool = f.pool, .limits = &f.limits,
                                                  .memory_bytes = 1 });
    for (int i = 0; i < 10; i++) {
        queue_all(&f, &r, NULL, 0);
        assert_true(atomic_load(&r.memory) <= 2 * block_segment_memory(f.seg));
    }
    assert_int_equal(verify_run_join(&r, &failed, &failure, NULL), OK);
    assert_int_equal(atomic_load(&r.memory), 0);
    assert_int_equal(r.checks, 10 * TXS * INPUTS);
    clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_good_inputs_give_no_failure),
        cmocka_unit_test(of_many_failures_the_lowest_is_reported),
        cmocka_unit_test(failures_past_the_limit_do_not_count),
        cmocka_unit_test(cancelled_checks_give_no_verdict),
        cmocka_unit_test(feeding_waits_when_too_much_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
