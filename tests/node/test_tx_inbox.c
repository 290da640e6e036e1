#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "node/tx_inbox.h"
#include "tests/node/made_tx.h"

static atomic_uint woken;

static void wake(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&woken, 1);
}

static struct tx_inbox *new_inbox(void)
{
    atomic_store(&woken, 0);
    return tx_inbox_new(wake, NULL);
}

static void news_come_in_order_with_all_that_belongs_to_them(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    struct tx *txs[4];
    for (uint32_t i = 0; i < 4; i++)
        txs[i] = made_tx(i, 0);
    const struct mempool_entry entry = { .tx = txs[0], .fee = 500, .sequence = 77 };
    const struct txid missing[] = { { { 1 } }, { { 2 } } };
    struct tx_result results[] = {
        { .tx = txs[0], .source = 5, .outcome = TX_ACCEPTED, .cpu_us = 9 },
        { .tx = txs[1], .source = 6, .outcome = TX_REJECTED },
        { .tx = txs[2], .source = 7, .outcome = TX_MISSING_INPUTS, .missing = missing,
          .n_missing = 2 },
    };
    verdict_set(&results[1].verdict, REJECT_NONSTANDARD, 3, "dust");
    tx_inbox_put_accepted(in, &entry, 5);
    assert_int_equal(atomic_load(&woken), 0); /* the end of the batch does */
    tx_inbox_put_judged(in, results, 3);
    tx_inbox_put_confirmed(in, txs[3]);
    assert_int_equal(atomic_load(&woken), 1);

    struct tx_news_batch b;
    assert_true(tx_inbox_take(in, &b));
    for (uint32_t i = 0; i < 4; i++)
        tx_unref(txs[i]); /* the batch has its own */
    assert_int_equal(b.n, 5);
    assert_int_equal(b.news[0].kind, TX_NEWS_ACCEPTED);
    assert_int_equal(b.news[0].fee, 500);
    assert_int_equal(b.news[0].sequence, 77);
    assert_int_equal(b.news[1].kind, TX_NEWS_JUDGED);
    assert_int_equal(b.news[1].source, 5);
    assert_int_equal(b.news[1].cpu_us, 9);
    assert_string_equal(b.verdicts[b.news[2].verdict].reason, "dust");
    assert_int_equal(b.news[3].n_missing, 2);
    assert_memory_equal(&b.missing[b.news[3].missing], missing, sizeof(missing));
    assert_int_equal(b.news[4].kind, TX_NEWS_CONFIRMED);
    assert_int_equal(b.news[4].tx->lock_time, 3);
    tx_news_clear(&b);
    assert_false(tx_inbox_take(in, &b));
    tx_inbox_free(in);
}

static void a_reader_that_comes_back_is_not_woken_again_before_it_finds_nothing(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    struct tx *tx = made_tx(1, 0);
    const struct tx_result result = { .tx = tx };
    struct tx_news_batch b;
    for (unsigned i = 0; i < 3; i++) {
        tx_inbox_put_judged(in, &result, 1);
        assert_int_equal(atomic_load(&woken), 1);
        assert_true(tx_inbox_take(in, &b));
        tx_news_clear(&b);
    }
    assert_false(tx_inbox_take(in, &b));
    tx_inbox_put_judged(in, &result, 1);
    assert_int_equal(atomic_load(&woken), 2);
    tx_unref(tx);
    tx_inbox_free(in);
}

static void a_batch_that_nobody_handed_over_wakes_the_reader_too(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    struct tx *tx = made_tx(1, 0);
    const struct mempool_entry entry = { .tx = tx };
    tx_inbox_put_judged(in, NULL, 0);
    assert_int_equal(atomic_load(&woken), 0); /* nothing to take */
    tx_inbox_put_accepted(in, &entry, 1);
    tx_inbox_put_judged(in, NULL, 0);
    assert_int_equal(atomic_load(&woken), 1);
    tx_unref(tx);
    tx_inbox_free(in);
}

static void parents_beyond_what_matters_are_counted_but_not_kept(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    struct tx *tx = made_tx(1, 0);
    struct txid *many = calloc(5000, sizeof(*many));
    const struct tx_result r = { .tx = tx, .outcome = TX_MISSING_INPUTS, .missing = many,
                                 .n_missing = 5000 };
    struct tx_news_batch b;
    tx_inbox_put_judged(in, &r, 1);
    assert_true(tx_inbox_take(in, &b));
    assert_int_equal(b.news[0].n_missing, 5000);
    assert_int_equal(b.n_missing, TX_NEWS_MISSING_MAX);
    tx_news_clear(&b);
    free(many);
    tx_unref(tx);
    tx_inbox_free(in);
}

#define THREADS 4
#define EACH 5000

static void *put_many(void *arg)
{
    struct tx_inbox *in = arg;
    struct tx *tx = made_tx(1, 0);
    const struct tx_result result = { .tx = tx };
    for (int i = 0; i < EACH; i++)
        tx_inbox_put_judged(in, &result, 1);
    tx_unref(tx);
    return NULL;
}

static void nothing_is_lost_between_threads_and_the_reader_is_woken_for_the_first(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    pthread_t threads[THREADS];
    size_t taken = 0, batches = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, in), 0);
    while (taken < THREADS * EACH) {
        struct tx_news_batch b;
        batches += tx_inbox_take(in, &b);
        taken += b.n;
        tx_news_clear(&b);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(taken, THREADS * EACH);
    assert_true(atomic_load(&woken) >= 1 && atomic_load(&woken) <= batches);
    tx_inbox_free(in);
}

static void what_nobody_takes_is_given_up_at_the_end_and_confirmed_ones_are_bounded(void **state)
{
    (void)state;
    struct tx_inbox *in = new_inbox();
    struct tx *tx = made_tx(1, 0);
    for (int i = 0; i < 150000; i++)
        tx_inbox_put_confirmed(in, tx);
    struct tx_news_batch b;
    assert_true(tx_inbox_take(in, &b));
    assert_true(b.n < 150000);
    tx_news_clear(&b);
    tx_inbox_put_confirmed(in, tx);
    tx_unref(tx);
    tx_inbox_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_come_in_order_with_all_that_belongs_to_them),
        cmocka_unit_test(a_reader_that_comes_back_is_not_woken_again_before_it_finds_nothing),
        cmocka_unit_test(a_batch_that_nobody_handed_over_wakes_the_reader_too),
        cmocka_unit_test(parents_beyond_what_matters_are_counted_but_not_kept),
        cmocka_unit_test(nothing_is_lost_between_threads_and_the_reader_is_woken_for_the_first),
        cmocka_unit_test(what_nobody_takes_is_given_up_at_the_end_and_confirmed_ones_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
