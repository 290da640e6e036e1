#include <config.h>

#include "base/rand.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static uint64_t next_value, step;

static void fill_counting(void *out, size_t len)
{
    assert_int_equal(len, sizeof(next_value));
    memcpy(out, &next_value, len);
    next_value += step;
}

static void use_values(uint64_t first, uint64_t then_add)
{
    next_value = first;
    step = then_add;
    rand_set_source(fill_counting);
}

static void fills_every_byte_of_long_and_odd_buffers(void **state)
{
    (void)state;
    static uint8_t seen_nonzero[1001], out[1003];
    for (int round = 0; round < 20; round++) {
        memset(out, 0, sizeof(out));
        rand_bytes(out + 1, 1001);
        assert_int_equal(out[0], 0);
        assert_int_equal(out[1002], 0);
        for (size_t i = 0; i < 1001; i++)
            seen_nonzero[i] |= out[1 + i];
    }
    for (size_t i = 0; i < 1001; i++)
        assert_int_not_equal(seen_nonzero[i], 0);
    rand_bytes(NULL, 0);
}

static void two_draws_differ(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(rand_u64() != rand_u64());
}

static void below_stays_below_and_reaches_all_values(void **state)
{
    (void)state;
    unsigned count[7] = { 0 };
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rand_below(7);
        assert_true(v < 7);
        count[v]++;
    }
    for (int v = 0; v < 7; v++)
        assert_in_range(count[v], 700, 1300);
    assert_int_equal(rand_below(1), 0);
}

static void below_draws_again_where_the_remainder_would_be_uneven(void **state)
{
    (void)state;
    /* 2^64 mod (2^63 + 1) is 2^63 - 1: smaller draws are thrown away. */
    uint64_t n = (UINT64_C(1) << 63) + 1;
    use_values((UINT64_C(1) << 63) - 2, 1);
    assert_true(rand_below(n) == (UINT64_C(1) << 63) - 1);
    rand_set_source(NULL);
}

static void exponential_delay_has_the_mean_asked_for(void **state)
{
    (void)state;
    double sum = 0;
    for (int i = 0; i < 20000; i++) {
        double d = rand_exp(30.0);
        assert_true(d >= 0 && d < 30.0 * 40);
        sum += d;
    }
    /* 20000 draws: the standard error is 0.21. */
    assert_true(sum / 20000 > 28.5 && sum / 20000 < 31.5);
}

static void exponential_delay_is_finite_at_both_ends(void **state)
{
    (void)state;
    use_values(0, 0);
    assert_true(rand_exp(5.0) == 0);
    use_values(UINT64_MAX, 0);
    assert_true(rand_exp(1.0) > 36 && rand_exp(1.0) < 37);
    rand_set_source(NULL);
}

static void replaced_source_is_used_and_can_be_taken_back(void **state)
{
    (void)state;
    use_values(41, 1);
    assert_int_equal(rand_u64(), 41);
    assert_int_equal(rand_u64(), 42);
    rand_set_source(NULL);
    assert_true(rand_u64() != 43 || rand_u64() != 44);
}

/* --- a generator that fails --- */

static int calls, fail_from; /* the number of the first call that goes wrong; 0 is the first */
static int failure;          /* errno */

static bool goes_wrong(void) { return calls++ >= fail_from; }

static ssize_t get_error(void *out, size_t len, unsigned flags)
{
    if (!goes_wrong())
        return getrandom(out, len, flags);
    errno = failure;
    return -1;
}

static ssize_t get_nothing(void *out, size_t len, unsigned flags)
{
    return goes_wrong() ? 0 : getrandom(out, len, flags);
}

static ssize_t get_too_much(void *out, size_t len, unsigned flags)
{
    return goes_wrong() ? (ssize_t)len + 1 : getrandom(out, len, flags);
}

static ssize_t get_zeros(void *out, size_t len, unsigned flags)
{
    if (!goes_wrong())
        return getrandom(out, len, flags);
    memset(out, 0, len);
    return (ssize_t)len;
}

static ssize_t get_ones(void *out, size_t len, unsigned flags)
{
    if (!goes_wrong())
        return getrandom(out, len, flags);
    memset(out, 0xff, len);
    return (ssize_t)len;
}

/* The call succeeds and writes nothing. */
static ssize_t get_untouched(void *out, size_t len, unsigned flags)
{
    return goes_wrong() ? (ssize_t)len : getrandom(out, len, flags);
}

/* The same stream from its start with each call. */
static ssize_t get_again(void *out, size_t len, unsigned flags)
{
    if (!goes_wrong())
        return getrandom(out, len, flags);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i * 37 + 11);
    return (ssize_t)len;
}

/* Blocks that differ from call to call and repeat within one. */
static ssize_t get_short_period(void *out, size_t len, unsigned flags)
{
    if (!goes_wrong())
        return getrandom(out, len, flags);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)(i % 16 * 37 + (size_t)calls);
    return (ssize_t)len;
}

static ssize_t get_interrupted_and_short(void *out, size_t len, unsigned flags)
{
    errno = EINTR;
    return calls++ % 3 ? -1 : getrandom(out, len > 7 ? 7 : len, flags);
}

typedef ssize_t (*system_fn)(void *out, size_t len, unsigned flags);

static void use_system(system_fn get, int from)
{
    calls = 0;
    fail_from = from;
    rand_set_system(get);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

static const system_fn broken[] = { get_error, get_nothing, get_too_much, get_zeros, get_ones,
                                    get_untouched, get_again, get_short_period };

static void a_broken_generator_gives_no_secret(void **state)
{
    uint8_t out[32];
    struct error e;
    (void)state;
    failure = ENOSYS;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        for (int from = 0; from < 2; from++) {
            assert_int_equal(rand_secret(out, sizeof out, NULL), OK);
            use_system(broken[i], from);
            /* What begins anew with each call is no repetition before it comes twice. */
            if (from == 1 && broken[i] == get_again)
                assert_int_equal(rand_secret(out, sizeof out, NULL), OK);
            memset(out, 0x55, sizeof out);
            e = (struct error){ .code = OK };
            assert_int_equal(rand_secret(out, sizeof out, &e), ERR_IO);
            assert_int_equal(e.code, ERR_IO);
            assert_non_null(strstr(e.text, "random generator"));
            assert_true(is_zero(out, sizeof out));
            rand_set_system(NULL);
        }
    assert_int_equal(rand_secret(out, sizeof out, NULL), OK);
    assert_false(is_zero(out, sizeof out));
}

/* One call after the other, in a secret that takes several. */
static void it_may_fail_at_any_call(void **state)
{
    static uint8_t out[1000];
    (void)state;
    failure = EPERM;
    for (int from = 0; from < 5; from++) {
        use_system(get_error, from);
        assert_int_equal(rand_secret(out, sizeof out, NULL), ERR_IO);
        assert_true(is_zero(out, sizeof out));
    }
    use_system(get_error, 5);
    assert_int_equal(rand_secret(out, sizeof out, NULL), OK);
    rand_set_system(NULL);
}

static void short_secrets_are_tested_as_well(void **state)
{
    uint8_t iv[12];
    (void)state;
    use_system(get_again, 0);
    assert_int_equal(rand_secret(iv, sizeof iv, NULL), ERR_IO);
    assert_true(is_zero(iv, sizeof iv));
    use_system(get_zeros, 0);
    assert_int_equal(rand_secret(iv, sizeof iv, NULL), ERR_IO);
    rand_set_system(NULL);
}

static void calls_that_are_cut_short_go_on(void **state)
{
    uint8_t out[1001], other[1001];
    (void)state;
    use_system(get_interrupted_and_short, 0);
    assert_int_equal(rand_secret(out, sizeof out, NULL), OK);
    assert_int_equal(rand_secret(other, sizeof other, NULL), OK);
    assert_memory_not_equal(out, other, sizeof out);
    for (size_t at = 0; at + 16 <= sizeof out; at += 16)
        assert_false(is_zero(out + at, 16));
    assert_true(calls > 2 * 3 * 1001 / 7 - 10);
    rand_set_system(NULL);
}

static void a_program_does_not_start_without_one(void **state)
{
    struct error e = { .code = OK };
    (void)state;
    failure = ENOSYS;
    use_system(get_error, 0);
    assert_int_equal(rand_init(&e), ERR_IO);
    assert_non_null(strstr(e.text, "Function not implemented"));
    use_system(get_zeros, 0);
    assert_int_equal(rand_init(&e), ERR_IO);
    assert_non_null(strstr(e.text, "repeats itself"));
    rand_set_system(NULL);
    assert_int_equal(rand_init(&e), OK);
}

/* Delays and picks: the program goes on, and what it draws still differs. */
static void the_rest_goes_on_while_it_is_broken(void **state)
{
    static uint8_t long_one[1003];
    uint64_t drawn[64];
    (void)state;
    assert_int_equal(rand_init(NULL), OK);
    failure = EPERM;
    for (size_t b = 0; b < sizeof broken / sizeof broken[0]; b++) {
        use_system(broken[b], 0);
        for (size_t i = 0; i < 64; i++) {
            drawn[i] = rand_u64();
            for (size_t k = 0; k < i; k++)
                assert_true(drawn[i] != drawn[k]);
        }
        rand_bytes(long_one, sizeof long_one);
        for (size_t at = 0; at + 16 <= sizeof long_one; at += 16)
            assert_false(is_zero(long_one + at, 16));
        /* One draw in two is thrown away here: what never changes would be thrown away for ever. */
        for (int i = 0; i < 20; i++)
            (void)rand_below((UINT64_C(1) << 63) + 1);
        assert_true(rand_exp(1.0) >= 0);
    }
    rand_set_system(NULL);
}

/* --- copies of the process --- */

struct drawn {
    uint8_t secret[32];
    uint64_t number;
};

/* Each child draws at once, from the state it was copied with; then the parent. */
static void copies_draw_other_bytes(void **state)
{
    struct drawn *d = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const size_t n = 16;
    (void)state;
    assert_true(d != MAP_FAILED);
    assert_int_equal(rand_init(NULL), OK);
    failure = EPERM;
    for (size_t i = 0; i < n; i++) {
        const pid_t child = i < n - 1 ? fork() : -1;
        if (child <= 0) {
            assert_int_equal(rand_secret(d[i].secret, sizeof d[i].secret, NULL), OK);
            use_system(get_error, i % 2 ? 0 : 1000); /* of half of them it fails */
            d[i].number = rand_u64();
            rand_set_system(NULL);
        }
        if (child == 0)
            _exit(0);
        int status = 1;
        if (child > 0) {
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(d[i].secret, d[k].secret, sizeof d[i].secret);
            assert_true(d[i].number != d[k].number);
        }
    munmap(d, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_every_byte_of_long_and_odd_buffers),
        cmocka_unit_test(two_draws_differ),
        cmocka_unit_test(below_stays_below_and_reaches_all_values),
        cmocka_unit_test(below_draws_again_where_the_remainder_would_be_uneven),
        cmocka_unit_test(exponential_delay_has_the_mean_asked_for),
        cmocka_unit_test(exponential_delay_is_finite_at_both_ends),
        cmocka_unit_test(replaced_source_is_used_and_can_be_taken_back),
        cmocka_unit_test(a_broken_generator_gives_no_secret),
        cmocka_unit_test(it_may_fail_at_any_call),
        cmocka_unit_test(short_secrets_are_tested_as_well),
        cmocka_unit_test(calls_that_are_cut_short_go_on),
        cmocka_unit_test(a_program_does_not_start_without_one),
        cmocka_unit_test(the_rest_goes_on_while_it_is_broken),
        cmocka_unit_test(copies_draw_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
