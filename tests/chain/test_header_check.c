#include <config.h>

#include "chain/header_check.h"

#include "chain/header_index.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

#define LATER INT64_C(4000000000)

/* A regtest chain of bare nodes, 12 of them, one second apart, the last at height. */
static void chain_up_to(struct bare_chain *c, int32_t height)
{
    bare_chain_init(c, height - 11, 12);
    for (uint32_t i = 0; i < 12; i++)
        bare_chain_add(c, 1400000000 + i, 0x207fffff);
}

static struct block_header next_header(const struct bare_chain *c, int32_t version)
{
    return (struct block_header){ .version = version,
                                  .time = bare_chain_last(c)->time + 1,
                                  .bits = 0x207fffff };
}

static struct verdict judge(const struct bare_chain *c, const struct block_header *h, int64_t now)
{
    struct verdict v = { .code = REJECT_NONE };
    const bool good =
        header_check_context(params_get(NETWORK_REGTEST), bare_chain_last(c), h, now, &v);
    assert_int_equal(good, verdict_ok(&v));
    return v;
}

static void bits_must_be_those_required(void **state)
{
    (void)state;
    struct bare_chain c;
    chain_up_to(&c, 100);
    struct block_header h = next_header(&c, 4);
    h.bits--;
    const struct verdict v = judge(&c, &h, LATER);
    assert_string_equal(v.reason, "bad-diffbits");
    assert_int_equal(v.ban_score, 100);
    bare_chain_clear(&c);
}

static void time_must_pass_the_median_of_eleven(void **state)
{
    (void)state;
    struct bare_chain c;
    chain_up_to(&c, 100);
    const uint32_t median = header_median_time(bare_chain_last(&c));
    struct block_header h = next_header(&c, 4);
    h.time = median;
    struct verdict v = judge(&c, &h, LATER);
    assert_string_equal(v.reason, "time-too-old");
    assert_int_equal(v.ban_score, 0);
    assert_false(v.temporary);
    h.time = median + 1; /* earlier than its parent, and fine */
    assert_true(h.time < bare_chain_last(&c)->time);
    v = judge(&c, &h, LATER);
    assert_true(verdict_ok(&v));
    bare_chain_clear(&c);
}

static void time_may_be_two_hours_ahead_of_the_clock(void **state)
{
    (void)state;
    struct bare_chain c;
    chain_up_to(&c, 100);
    const struct block_header h = next_header(&c, 4);
    struct verdict v = judge(&c, &h, (int64_t)h.time - 7200);
    assert_true(verdict_ok(&v));
    v = judge(&c, &h, (int64_t)h.time - 7201);
    assert_string_equal(v.reason, "time-too-new");
    assert_true(v.temporary);
    bare_chain_clear(&c);
}

static void old_versions_end_at_their_heights(void **state)
{
    (void)state;
    static const struct {
        int32_t height, version;
        const char *reason; /* NULL: valid */
    } cases[] = {
        { 1250, 1, NULL },
        { 1251, 1, "bad-version(0x00000001)" },
        { 1251, 2, "bad-version(0x00000002)" },
        { 1251, 3, NULL },
        { 1350, 3, NULL },
        { 1351, 3, "bad-version(0x00000003)" },
        { 1351, 4, NULL },
        { 1250, -1, NULL },
        { 1251, -1, "bad-version(0xffffffff)" },
        { 1351, INT32_MIN, "bad-version(0x80000000)" },
        { 1351, 0x20000000, NULL },
        { 1351, INT32_MAX, NULL },
        { 1250, 0, NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bare_chain c;
        chain_up_to(&c, cases[i].height - 1);
        const struct block_header h = next_header(&c, cases[i].version);
        const struct verdict v = judge(&c, &h, LATER);
        assert_string_equal(v.reason, cases[i].reason ? cases[i].reason : "");
        assert_int_equal(v.code, cases[i].reason ? REJECT_OBSOLETE : REJECT_NONE);
        bare_chain_clear(&c);
    }
}

static void version_two_is_needed_where_heights_are_in_coinbases(void **state)
{
    (void)state;
    struct chain_params p = *params_get(NETWORK_REGTEST);
    struct bare_chain c;
    struct verdict v;
    p.bip34_height = 101;
    chain_up_to(&c, 99);
    const struct block_header h = next_header(&c, 1);
    assert_true(header_check_context(&p, bare_chain_last(&c), &h, LATER, &v));
    bare_chain_clear(&c);
    chain_up_to(&c, 100);
    assert_false(header_check_context(&p, bare_chain_last(&c), &h, LATER, &v));
    assert_string_equal(v.reason, "bad-version(0x00000001)");
    bare_chain_clear(&c);
}

static void rules_are_checked_in_the_order_of_the_reference(void **state)
{
    (void)state;
    struct bare_chain c;
    chain_up_to(&c, 2000);
    struct block_header h = { .version = 1, .time = 1, .bits = 1 }; /* all wrong */
    assert_string_equal(judge(&c, &h, LATER).reason, "bad-diffbits");
    h.bits = 0x207fffff;
    assert_string_equal(judge(&c, &h, LATER).reason, "time-too-old");
    h.time = 1500000000;
    assert_string_equal(judge(&c, &h, 0).reason, "time-too-new");
    assert_string_equal(judge(&c, &h, LATER).reason, "bad-version(0x00000001)");
    bare_chain_clear(&c);
}

static void missing_work_costs_fifty(void **state)
{
    (void)state;
    struct pow_bits bits;
    struct verdict v;
    struct block_hash hash = { { 0 } };
    pow_bits_init(&bits, params_get(NETWORK_MAIN), 0x1d00ffff);
    assert_true(header_check_pow(&bits, &hash, &v));
    hash.b[31] = 1;
    assert_false(header_check_pow(&bits, &hash, &v));
    assert_string_equal(v.reason, "high-hash");
    assert_int_equal(v.ban_score, 50);
}

static void checkpoint_heights_have_one_hash(void **state)
{
    (void)state;
    const struct chain_params *p = params_get(NETWORK_TEST);
    struct verdict v;
    struct block_hash hash = p->checkpoints[0].hash;
    assert_true(header_check_checkpoints(p, 546, &hash, -1, &v));
    hash.b[0] ^= 1;
    assert_false(header_check_checkpoints(p, 546, &hash, -1, &v));
    assert_string_equal(v.reason, "checkpoint mismatch");
    assert_int_equal(v.code, REJECT_CHECKPOINT);
    assert_int_equal(v.ban_score, 100);
    assert_true(header_check_checkpoints(p, 547, &hash, 546, &v));
    assert_true(header_check_checkpoints(p, 2000000, &hash, 1188697, &v));
}

static void nothing_forks_below_the_last_checkpoint_passed(void **state)
{
    (void)state;
    const struct chain_params *p = params_get(NETWORK_TEST);
    const struct block_hash hash = { { 7 } };
    struct verdict v;
    assert_true(header_check_checkpoints(p, 545, &hash, -1, &v));
    assert_false(header_check_checkpoints(p, 545, &hash, 546, &v));
    assert_string_equal(v.reason, "bad-fork-prior-to-checkpoint");
    assert_int_equal(v.ban_score, 100);
    assert_false(header_check_checkpoints(p, 1188696, &hash, 1188697, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_must_be_those_required),
        cmocka_unit_test(time_must_pass_the_median_of_eleven),
        cmocka_unit_test(time_may_be_two_hours_ahead_of_the_clock),
        cmocka_unit_test(old_versions_end_at_their_heights),
        cmocka_unit_test(version_two_is_needed_where_heights_are_in_coinbases),
        cmocka_unit_test(rules_are_checked_in_the_order_of_the_reference),
        cmocka_unit_test(missing_work_costs_fifty),
        cmocka_unit_test(checkpoint_heights_have_one_hash),
        cmocka_unit_test(nothing_forks_below_the_last_checkpoint_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
