#include "node/tx_kept.h"
#include "tests/node/made_tx.h"

static void what_was_announced_is_found_for_a_quarter_of_an_hour(void **state)
{
    (void)state;
    struct tx_kept *k = tx_kept_new(1000000);
    struct tx *a = made_tx(1, 0), *b = made_tx(2, 0);
    tx_kept_add(k, a, 1, 0);
    tx_kept_add(k, b, 2, 1000);
    assert_ptr_equal(tx_kept_find(k, &a->id, 10), a);
    tx_kept_expire(k, TX_KEPT_MS);
    assert_ptr_equal(tx_kept_find(k, &a->id, 10), a);
    tx_kept_expire(k, TX_KEPT_MS + 1);
    assert_null(tx_kept_find(k, &a->id, 10));
    assert_ptr_equal(tx_kept_find(k, &b->id, 10), b);
    tx_unref(a);
    tx_unref(b);
    tx_kept_free(k);
}

static void what_was_not_announced_is_not_shown(void **state)
{
    (void)state;
    struct tx_kept *k = tx_kept_new(1000000);
    struct tx *a = made_tx(1, 0), *own = made_tx(2, 0);
    tx_kept_add(k, a, 5, 0);
    tx_kept_add(k, own, 0, 0);
    assert_null(tx_kept_find(k, &a->id, 5));
    assert_ptr_equal(tx_kept_find(k, &a->id, 6), a);
    assert_ptr_equal(tx_kept_find(k, &own->id, 1), own);
    tx_kept_add(k, own, 7, 0);
    assert_ptr_equal(tx_kept_find(k, &own->id, 1), own);
    tx_unref(a);
    tx_unref(own);
    tx_kept_free(k);
}

static void the_oldest_go_when_bytes_run_out(void **state)
{
    (void)state;
    struct tx_kept *k = tx_kept_new(100000);
    struct tx *first = made_tx(0, 0), *last = first, *huge = made_tx(1000, 200000);
    tx_kept_add(k, first, 1, 0);
    for (uint32_t i = 1; i < 500; i++) {
        if (last != first)
            tx_unref(last);
        last = made_tx(i, 1000);
        tx_kept_add(k, last, i, 0);
        assert_true(tx_kept_bytes(k) <= 100000);
    }
    assert_null(tx_kept_find(k, &first->id, 1000));
    assert_ptr_equal(tx_kept_find(k, &last->id, 1000), last);
    tx_kept_add(k, huge, 1, 0);
    assert_null(tx_kept_find(k, &huge->id, 1000));
    assert_ptr_equal(tx_kept_find(k, &last->id, 1000), last); /* and nothing went for it */
    tx_unref(first);
    tx_unref(last);
    tx_unref(huge);
    tx_kept_free(k);
}

static void memory_that_the_mempool_has_given_up_is_counted_here(void **state)
{
    (void)state;
    struct tx_kept *k = tx_kept_new(1000000);
    struct tx *a = made_tx(1, 5000);
    tx_kept_add(k, a, 1, 0);
    const size_t before = tx_kept_own_bytes(k);
    assert_true(before < 5000);
    tx_kept_note_left(k, &a->id);
    tx_kept_note_left(k, &a->id);
    assert_int_equal(tx_kept_own_bytes(k), before + tx_memory(a));
    tx_kept_expire(k, TX_KEPT_MS + 1);
    assert_true(tx_kept_own_bytes(k) < 5000);
    tx_unref(a);
    tx_kept_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_announced_is_found_for_a_quarter_of_an_hour),
        cmocka_unit_test(what_was_not_announced_is_not_shown),
        cmocka_unit_test(the_oldest_go_when_bytes_run_out),
        cmocka_unit_test(memory_that_the_mempool_has_given_up_is_counted_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
