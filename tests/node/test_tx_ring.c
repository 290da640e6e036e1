#include "base/bytes.h"
#include "node/tx_ring.h"
#include "tests/test.h"

static void add(struct tx_ring *r, uint64_t n)
{
    struct tx_ring_entry e = { .fee_per_kb = (int64_t)n, .sequence = n };
    le64_put(e.id.b, n);
    tx_ring_add(r, &e);
}

static void every_reader_sees_all_in_order_from_where_it_began(void **state)
{
    (void)state;
    struct tx_ring *r = tx_ring_new(64);
    uint64_t early = tx_ring_end(r), late;
    for (uint64_t i = 1; i <= 20; i++)
        add(r, i);
    tx_ring_release(r);
    late = tx_ring_end(r);
    for (uint64_t i = 21; i <= 30; i++)
        add(r, i);
    tx_ring_release(r);
    assert_int_equal(tx_ring_left(r, early), 30);
    assert_int_equal(tx_ring_left(r, late), 10);
    for (uint64_t i = 1; i <= 30; i++)
        assert_int_equal(tx_ring_next(r, &early)->sequence, i);
    assert_null(tx_ring_next(r, &early));
    for (uint64_t i = 21; i <= 30; i++)
        assert_int_equal(tx_ring_next(r, &late)->sequence, i);
    assert_null(tx_ring_next(r, &late));
    assert_int_equal(tx_ring_left(r, late), 0);
    tx_ring_free(r);
}

static void what_is_held_back_cannot_be_read(void **state)
{
    (void)state;
    struct tx_ring *r = tx_ring_new(64);
    uint64_t place = tx_ring_end(r);
    add(r, 1);
    assert_int_equal(tx_ring_held(r), 1);
    assert_null(tx_ring_next(r, &place));
    tx_ring_release(r);
    assert_int_equal(tx_ring_held(r), 0);
    assert_int_equal(tx_ring_next(r, &place)->sequence, 1);
    tx_ring_free(r);
}

static void attack_B3_who_does_not_read_misses_the_oldest(void **state)
{
    (void)state;
    struct tx_ring *r = tx_ring_new(1024);
    uint64_t silent = tx_ring_end(r);
    for (uint64_t i = 1; i <= 300000; i++)
        add(r, i);
    tx_ring_release(r);
    assert_int_equal(tx_ring_left(r, silent), 1024);
    for (uint64_t i = 300000 - 1023; i <= 300000; i++)
        assert_int_equal(tx_ring_next(r, &silent)->sequence, i);
    assert_null(tx_ring_next(r, &silent));
    tx_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reader_sees_all_in_order_from_where_it_began),
        cmocka_unit_test(what_is_held_back_cannot_be_read),
        cmocka_unit_test(attack_B3_who_does_not_read_misses_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
