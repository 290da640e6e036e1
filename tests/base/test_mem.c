#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

static void arena_pieces_are_aligned_and_separate(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    uint8_t *last = NULL;
    for (size_t i = 1; i < 400; i++) {
        uint8_t *p = (uint8_t *)arena_alloc(&a, i, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)i, i);
        if (last)
            assert_int_equal(last[0], (uint8_t)(i - 1));
        last = p;
    }
    arena_clear(&a);
    assert_null(a.chunks);
    assert_int_equal(a.total, 0);
}

static void arena_takes_pieces_larger_than_a_chunk(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    assert_non_null(arena_alloc(&a, 10, 1));
    uint8_t *p = (uint8_t *)arena_alloc(&a, 3, 1 << 20);
    assert_non_null(p);
    p[3 * (1 << 20) - 1] = 7;
    arena_clear(&a);
}

static void arena_refuses_sizes_that_overflow(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    assert_null(arena_alloc(&a, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&a, SIZE_MAX - 3, 1));
    assert_non_null(arena_alloc(&a, 0, 40));
    arena_clear(&a);
}

static void arena_reset_keeps_the_largest_chunk(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    arena_alloc(&a, 100, 1);
    arena_alloc(&a, 100000, 1);
    arena_alloc(&a, 3, 1 << 20);
    arena_alloc(&a, 100, 1); /* opens a newer, smaller chunk */
    size_t before = a.total;
    arena_reset(&a);
    assert_true(a.total >= 3 << 20 && a.total < before);
    size_t kept = a.total;
    assert_non_null(arena_alloc(&a, 3, 1 << 20));
    assert_int_equal(a.total, kept);
    arena_clear(&a);
    arena_reset(&a); /* nothing to keep */
    assert_int_equal(a.total, 0);
}

static void try_alloc_reports_what_cannot_be_had(void **state)
{
    (void)state;
    assert_null(try_alloc(SIZE_MAX / 4, 8));
    assert_null(try_alloc(SIZE_MAX, 1));
    assert_null(try_calloc(SIZE_MAX / 4, 8));
    uint8_t *zeros = try_calloc(100, 3);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(zeros[i], 0);
    free(zeros);
    void *p = try_alloc(0, 8);
    assert_non_null(p);
    assert_null(try_realloc(p, SIZE_MAX / 4, 8)); /* p is still ours */
    free(p);
}

static void strings_are_copied_and_formatted(void **state)
{
    (void)state;
    char *s = xstrndup("abcdef", 3), *t = xasprintf("%s-%d", s, 42), *u = xstrdup(t);
    assert_string_equal(s, "abc");
    assert_string_equal(u, "abc-42");
    free(s);
    free(t);
    free(u);
    uint8_t *z = (uint8_t *)xcalloc(3, 5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(z[i], 0);
    free(xrealloc(z, 0));
}

static void the_cost_of_a_piece_covers_what_it_can_hold(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300000; size += size / 50 + 1) {
        void *p = malloc(size);
        assert_true(mem_cost(size) >= malloc_usable_size(p) + 8);
        assert_true(mem_cost(size) <= size + 8192);
        free(p);
    }
    assert_int_equal(mem_cost(1), 32);
    assert_int_equal(mem_cost(25), 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_pieces_are_aligned_and_separate),
        cmocka_unit_test(arena_takes_pieces_larger_than_a_chunk),
        cmocka_unit_test(arena_refuses_sizes_that_overflow),
        cmocka_unit_test(arena_reset_keeps_the_largest_chunk),
        cmocka_unit_test(try_alloc_reports_what_cannot_be_had),
        cmocka_unit_test(strings_are_copied_and_formatted),
        cmocka_unit_test(the_cost_of_a_piece_covers_what_it_can_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
