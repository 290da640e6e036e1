#include "base/heap.h"

#include "base/rand.h"
#include "tests/test.h"

struct item {
    int value;
    size_t place;
};

static bool smaller(const void *a, const void *b)
{
    return ((const struct item *)a)->value < ((const struct item *)b)->value;
}

static void begin(struct heap *h, struct item *items, size_t n)
{
    heap_init(h, smaller, offsetof(struct item, place));
    for (size_t i = 0; i < n; i++)
        items[i].place = HEAP_NOWHERE;
}

static void an_empty_heap_has_no_first(void **state)
{
    (void)state;
    struct heap h;
    begin(&h, NULL, 0);
    assert_null(heap_first(&h));
    assert_null(heap_pop(&h));
    heap_clear(&h);
}

static void items_come_out_in_order(void **state)
{
    (void)state;
    enum { N = 500 };
    struct item items[N];
    struct heap h;
    begin(&h, items, N);
    for (int i = 0; i < N; i++) {
        items[i].value = i * 211 % N;
        heap_push(&h, &items[i]);
        assert_true(heap_has(&h, &items[i]));
    }
    for (int i = 0; i < N; i++) {
        const struct item *it = heap_pop(&h);
        assert_int_equal(it->value, i);
        assert_false(heap_has(&h, it));
    }
    assert_null(heap_first(&h));
    heap_clear(&h);
}

static const struct item *least(const struct heap *h, const struct item *items, size_t n)
{
    const struct item *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (heap_has(h, &items[i]) && (!best || items[i].value < best->value))
            best = &items[i];
    return best;
}

/* Items come, leave from anywhere and change their value; the first is always the least. */
static void any_item_can_leave_or_move(void **state)
{
    (void)state;
    enum { N = 60, ROUNDS = 20000 };
    struct item items[N] = { { 0, 0 } };
    struct heap h;
    size_t n = 0;
    begin(&h, items, N);
    for (int round = 0; round < ROUNDS; round++) {
        struct item *it = &items[rand_below(N)];
        if (!heap_has(&h, it)) {
            it->value = (int)rand_below(1000);
            heap_push(&h, it);
            n++;
        } else if (rand_below(2)) {
            it->value = (int)rand_below(1000);
            heap_moved(&h, it);
        } else {
            heap_remove(&h, it);
            n--;
        }
        assert_int_equal(h.n, n);
        const struct item *first = heap_first(&h), *want = least(&h, items, N);
        assert_true(first ? want && first->value == want->value : !want);
    }
    heap_clear(&h);
}

static void memory_goes_back_when_few_are_left(void **state)
{
    (void)state;
    enum { N = 4096 };
    static struct item items[N];
    struct heap h;
    begin(&h, items, N);
    for (int i = 0; i < N; i++)
        heap_push(&h, &items[i]);
    assert_int_equal(h.cap, N);
    while (h.n > 3)
        heap_pop(&h);
    assert_int_equal(h.cap, 16);
    heap_clear(&h);
    assert_int_equal(h.cap, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_first),
        cmocka_unit_test(items_come_out_in_order),
        cmocka_unit_test(any_item_can_leave_or_move),
        cmocka_unit_test(memory_goes_back_when_few_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
