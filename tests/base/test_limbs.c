/* Long multiplication and division against the schoolbook forms, over the lengths where ways
 * change. */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/limbs.h"
#include "base/mem.h"
#include "base/ntt.h"
#include "tests/test.h"

enum pattern { RANDOM, ONES, SPARSE, PATTERNS };

static uint64_t *number(size_t n, enum pattern p, uint64_t *seed)
{
    uint64_t *a = (uint64_t *)xcalloc(n + 2, sizeof(*a));

    for (size_t i = 0; i < n; i++) {
        uint64_t v = test_random(seed);
        a[i] = p == RANDOM ? v : p == ONES ? UINT64_MAX : v % 8 == 0 ? v : 0;
    }
    return a;
}

static void check_product(size_t an, size_t bn, enum pattern pa, enum pattern pb)
{
    uint64_t seed = 0x9e3779b97f4a7c15u + an * 31 + bn;
    uint64_t *a = number(an, pa, &seed), *b = number(bn, pb, &seed);
    uint64_t *r = (uint64_t *)xcalloc(an + bn, 8), *expected = (uint64_t *)xcalloc(an + bn, 8);

    limbs_mul_base(expected, a, an, b, bn);
    assert_int_equal(limbs_mul(r, a, an, b, bn, NULL), OK);
    assert_memory_equal(r, expected, (an + bn) * 8);
    free(a);
    free(b);
    free(r);
    free(expected);
}

static void products_equal_the_schoolbook_form(void **state)
{
    static const size_t lengths[] = { 1, 2, 31, 32, 33, 63, 64, 65, 100, 127, 257, 700, 2600 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (size_t k = 0; k < COUNT_OF(lengths); k++)
            for (int p = 0; p < PATTERNS * PATTERNS; p++)
                if (lengths[i] * lengths[k] < 1000000 || p % 4 == 0)
                    check_product(lengths[i], lengths[k], (enum pattern)(p / PATTERNS),
                                  (enum pattern)(p % PATTERNS));
}

static void a_long_factor_is_cut_into_pieces(void **state)
{
    (void)state;
    check_product(20000, 2600, RANDOM, ONES);
    check_product(2600, 20011, ONES, ONES);
    check_product(5600, 5000, SPARSE, RANDOM);
    check_product(3200, 100, RANDOM, RANDOM);
    assert_true(ntt_piece(2600) >= 2600);
    assert_int_equal(ntt_piece(4096), 4096);
}

static void transform_equals_the_schoolbook_form(void **state)
{
    static const size_t lengths[] = { 1, 2, 3, 7, 64, 300, 1025, 4097 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (size_t k = 0; k <= i; k++) {
            size_t an = lengths[i], bn = lengths[k];
            uint64_t seed = 77 + i;
            enum pattern p = (enum pattern)((i + k) % PATTERNS);
            uint64_t *a = number(an, p, &seed), *b = number(bn, p, &seed);
            uint64_t *r = (uint64_t *)xcalloc(an + bn, 8), *e = (uint64_t *)xcalloc(an + bn, 8);
            limbs_mul_base(e, a, an, b, bn);
            assert_int_equal(ntt_mul(r, a, an, b, bn, NULL), OK);
            assert_memory_equal(r, e, (an + bn) * 8);
            free(a);
            free(b);
            free(r);
            free(e);
        }
}

static void square_takes_one_transform(void **state)
{
    uint64_t seed = 5, *a = number(3000, RANDOM, &seed);
    uint64_t *r = (uint64_t *)xcalloc(6000, 8), *e = (uint64_t *)xcalloc(6000, 8);

    (void)state;
    limbs_mul_base(e, a, 3000, a, 3000);
    assert_int_equal(ntt_mul(r, a, 3000, a, 3000, NULL), OK);
    assert_memory_equal(r, e, 6000 * 8);
    free(a);
    free(r);
    free(e);
}

static void check_quotient(size_t an, size_t bn, enum pattern pa, enum pattern pb)
{
    uint64_t seed = 0x2545f4914f6cdd1du + an * 17 + bn;
    size_t qn = an - bn + 1;
    uint64_t *a = number(an, pa, &seed), *b = number(bn, pb, &seed);
    uint64_t *a2 = (uint64_t *)xcalloc(an + 2, 8);
    uint64_t *q = (uint64_t *)xcalloc(qn, 8), *q2 = (uint64_t *)xcalloc(qn, 8);

    b[bn - 1] |= UINT64_C(1) << 63;
    memcpy(a2, a, an * 8);
    limbs_div_base(q2, a2, an, b, bn);
    assert_int_equal(limbs_div(q, a, an, b, bn, NULL), OK);
    assert_memory_equal(q, q2, qn * 8);
    assert_memory_equal(a, a2, bn * 8);
    free(a);
    free(b);
    free(a2);
    free(q);
    free(q2);
}

static void quotients_equal_the_schoolbook_form(void **state)
{
    static const size_t lengths[] = { 1, 2, 55, 56, 57, 111, 113, 200, 341, 1000, 1501, 5300 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        for (size_t k = 0; k <= i; k++)
            for (int p = 0; p < PATTERNS * PATTERNS; p++)
                if (lengths[i] < 5000 || p % 4 == 0)
                    check_quotient(lengths[i], lengths[k], (enum pattern)(p / PATTERNS),
                                   (enum pattern)(p % PATTERNS));
}

/* a = b * q + (b - 1): the largest remainder, and upper parts that are equal. */
static void quotient_of_a_product_comes_back(void **state)
{
    static const size_t lengths[][2] = { { 100, 100 }, { 300, 120 }, { 120, 300 }, { 3000, 2700 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        size_t bn = lengths[i][0], qn = lengths[i][1], an = bn + qn;
        uint64_t seed = 3 + i, *b = number(bn, ONES, &seed), *q = number(qn, ONES, &seed);
        uint64_t *a = (uint64_t *)xcalloc(an + 1, 8), *got = (uint64_t *)xcalloc(qn + 1, 8);
        limbs_mul_base(a, b, bn, q, qn);
        b[0]--; /* remainder b - 1, added and taken for one */
        assert_int_equal(limbs_add(a, a, an, b, bn), 0);
        b[0]++;
        assert_int_equal(limbs_div(got, a, an, b, bn, NULL), OK);
        assert_memory_equal(got, q, qn * 8);
        assert_int_equal(got[qn], 0);
        b[0]--;
        assert_memory_equal(a, b, bn * 8);
        free(a);
        free(b);
        free(q);
        free(got);
    }
}

static void long_work_stops_when_cancelled(void **state)
{
    struct cancel cancel;
    uint64_t seed = 1, *a = number(6000, RANDOM, &seed), *b = number(3000, RANDOM, &seed);
    uint64_t *r = (uint64_t *)xcalloc(9000, 8);

    (void)state;
    cancel_init(&cancel);
    cancel_set(&cancel);
    b[2999] |= UINT64_C(1) << 63;
    assert_int_equal(limbs_mul(r, a, 6000, b, 3000, &cancel), ERR_CANCELLED);
    assert_int_equal(ntt_mul(r, a, 6000, b, 3000, &cancel), ERR_CANCELLED);
    assert_int_equal(limbs_div(r, a, 6000, b, 3000, &cancel), ERR_CANCELLED);
    free(a);
    free(b);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_the_schoolbook_form),
        cmocka_unit_test(a_long_factor_is_cut_into_pieces),
        cmocka_unit_test(transform_equals_the_schoolbook_form),
        cmocka_unit_test(square_takes_one_transform),
        cmocka_unit_test(quotients_equal_the_schoolbook_form),
        cmocka_unit_test(quotient_of_a_product_comes_back),
        cmocka_unit_test(long_work_stops_when_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
