#include <string.h>

#include "script/stack.h"
#include "tests/test.h"

static const uint8_t long_bytes[100] = { 1, 2, 3, [99] = 9 };

static uint64_t recount(const struct stack *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += s->item[i].len + STACK_ELEMENT_OVERHEAD;
    return sum;
}

static void elements_cost_their_length_and_32(void **state)
{
    struct stack_budget b = { .limit = 1000 };
    struct stack s;

    (void)state;
    stack_init(&s, &b);
    assert_int_equal(stack_push_copy(&s, "abc", 3), SCRIPT_OK);
    assert_int_equal(b.used, 35);
    assert_int_equal(stack_push_borrowed(&s, span_of(long_bytes, 100)), SCRIPT_OK);
    assert_int_equal(b.used, 35 + 132);
    assert_int_equal(stack_dup(&s, 1), SCRIPT_OK);
    assert_int_equal(b.used, recount(&s));
    stack_pop(&s);
    stack_remove(&s, 1);
    assert_int_equal(b.used, 132);
    assert_memory_equal(stack_span(&s, 0).data, long_bytes, 100);
    stack_clear(&s);
}

static void growth_past_the_limit_is_refused_and_changes_nothing(void **state)
{
    struct stack_budget b = { .limit = 100 };
    struct stack s;
    uint8_t *data;

    (void)state;
    stack_init(&s, &b);
    assert_int_equal(stack_push_copy(&s, long_bytes, 68), SCRIPT_OK);
    assert_int_equal(b.used, 100);
    assert_int_equal(stack_push_copy(&s, "", 0), SCRIPT_ERR_STACK_SIZE);
    assert_int_equal(stack_dup(&s, 0), SCRIPT_ERR_STACK_SIZE);
    assert_int_equal(stack_grow(&s, 0, 69, &data), SCRIPT_ERR_STACK_SIZE);
    assert_int_equal(s.n, 1);
    assert_int_equal(b.used, 100);
    stack_shrink(&s, 0, 0, 36);
    assert_int_equal(stack_push_copy(&s, "", 0), SCRIPT_OK);
    assert_int_equal(b.used, 100);
    stack_clear(&s);
}

static void writing_never_touches_the_script(void **state)
{
    uint8_t script[100] = { 7 };
    struct stack_budget b = { .limit = 1000 };
    struct stack s;

    (void)state;
    stack_init(&s, &b);
    assert_int_equal(stack_push_borrowed(&s, span_of(script, 100)), SCRIPT_OK);
    assert_int_equal(stack_dup(&s, 0), SCRIPT_OK);
    uint8_t *own = stack_own(stack_at(&s, 0));
    own[0] = 8;
    assert_int_equal(script[0], 7);
    assert_int_equal(stack_span(&s, 1).data[0], 7);
    assert_int_equal(stack_span(&s, 0).data[0], 8);
    stack_clear(&s);
}

static void elements_move_between_inline_and_heap(void **state)
{
    struct stack_budget b = { .limit = 100000 };
    struct stack s;
    uint8_t *data;

    (void)state;
    stack_init(&s, &b);
    assert_int_equal(stack_push_copy(&s, "abc", 3), SCRIPT_OK);
    assert_int_equal(stack_grow(&s, 0, 2000, &data), SCRIPT_OK);
    assert_memory_equal(data, "abc", 3);
    memset(data + 3, 'x', 1997);
    stack_shrink(&s, 0, 1, 1000);
    assert_memory_equal(stack_span(&s, 0).data, "bcx", 3);
    stack_shrink(&s, 0, 1, 2);
    assert_memory_equal(stack_span(&s, 0).data, "cx", 2);
    assert_int_equal(b.used, 34);
    assert_int_equal(stack_grow(&s, 0, 41, &data), SCRIPT_OK);
    assert_memory_equal(data, "cx", 2);
    assert_int_equal(b.used, recount(&s));
    stack_clear(&s);
}

static void order_survives_many_elements(void **state)
{
    struct stack_budget b = { .limit = 100000 };
    struct stack s;

    (void)state;
    stack_init(&s, &b);
    for (uint8_t i = 0; i < 200; i++)
        assert_int_equal(stack_push_copy(&s, &i, 1), SCRIPT_OK);
    stack_raise(&s, 150);
    assert_int_equal(stack_span(&s, 0).data[0], 49);
    assert_int_equal(stack_span(&s, 150).data[0], 50);
    stack_swap(&s, 0, 199);
    assert_int_equal(stack_span(&s, 199).data[0], 49);
    assert_int_equal(b.used, recount(&s));
    stack_clear(&s);
}

static void moving_to_another_stack_costs_nothing(void **state)
{
    struct stack_budget b = { .limit = 132 };
    struct stack s, alt;

    (void)state;
    stack_init(&s, &b);
    stack_init(&alt, &b);
    assert_int_equal(stack_push_copy(&s, long_bytes, 100), SCRIPT_OK);
    assert_int_equal(stack_move_top(&alt, &s), SCRIPT_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(b.used, 132);
    assert_int_equal(stack_push_copy(&s, "", 0), SCRIPT_ERR_STACK_SIZE);
    stack_clear(&alt);
    assert_int_equal(b.used, 132); /* what is left at the end is not given back */
    stack_clear(&s);
}

static void copy_is_deep(void **state)
{
    struct stack_budget b = { .limit = 1000 }, b2 = { .limit = 1000 };
    struct stack s, copy;

    (void)state;
    stack_init(&s, &b);
    stack_init(&copy, &b2);
    assert_int_equal(stack_push_copy(&s, long_bytes, 100), SCRIPT_OK);
    assert_int_equal(stack_push_copy(&s, "a", 1), SCRIPT_OK);
    assert_int_equal(stack_copy(&copy, &s), SCRIPT_OK);
    stack_own(stack_at(&s, 1))[0] = 55;
    stack_clear(&s);
    assert_int_equal(copy.n, 2);
    assert_int_equal(b2.used, recount(&copy));
    assert_memory_equal(stack_span(&copy, 1).data, long_bytes, 100);
    stack_clear(&copy);
}

static void truth_ignores_zeros_and_a_lone_sign(void **state)
{
    (void)state;
    assert_false(script_bytes_true(span_of("", 0)));
    assert_false(script_bytes_true(span_of("\0\0\0", 3)));
    assert_false(script_bytes_true(span_of("\0\x80", 2)));
    assert_true(script_bytes_true(span_of("\x80\0", 2)));
    assert_true(script_bytes_true(span_of("\x01", 1)));
    assert_true(script_bytes_true(span_of("\0\x81", 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_cost_their_length_and_32),
        cmocka_unit_test(growth_past_the_limit_is_refused_and_changes_nothing),
        cmocka_unit_test(writing_never_touches_the_script),
        cmocka_unit_test(elements_move_between_inline_and_heap),
        cmocka_unit_test(order_survives_many_elements),
        cmocka_unit_test(moving_to_another_stack_costs_nothing),
        cmocka_unit_test(copy_is_deep),
        cmocka_unit_test(truth_ignores_zeros_and_a_lone_sign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
