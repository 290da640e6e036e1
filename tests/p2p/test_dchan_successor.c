/* The vector of spec channels 10.2 and what does not verify. */
#include "p2p/dchan_successor.h"

#include <string.h>

#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

#define ISSUED 1790000000

static const char body_hex[] =
    "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"
    "031d16453b3ab3132acb0a5bc16cc49690d819a585267a15cd5a064e2a0ad40599"
    "0000000000000001" "6ab13b80";
static const char old_sig_hex[] =
    "f6918ac862525e74a4595dd92a9366dedbfac77e8c7b79a12550b86f61950118"
    "7597c949a2ab487fb4cdf98446a457e1a5e5490d7609ccf3789fa1d92ee48ccd";
static const char new_sig_hex[] =
    "339b1606cd5c26cc49696f96a31456100185c0897395e4302342476f5e4dff53"
    "2699f436fcba3543170b2f00a84e19eabca01e2fadbc58ef950e4e8349eb40ba";

static struct dchan_successor make(struct open_key *old_key, struct open_key *new_key)
{
    struct dchan_successor s = { .seq = 1, .issued = ISSUED };
    open_key_init(old_key, 0x11);
    open_key_init(new_key, 0x13);
    assert_int_equal(dchan_successor_sign(&s, &old_key->key, &new_key->key), OK);
    return s;
}

static void the_vector_is_made_and_verified(void **state)
{
    struct open_key old_key, new_key;
    struct dchan_successor s = make(&old_key, &new_key), again;
    struct reader r;
    struct buf b;
    (void)state;
    buf_init(&b);
    dchan_successor_write(&b, &s);
    assert_int_equal(b.len, DCHAN_SUCCESSOR_SIZE);
    assert_hex(b.data, DCHAN_SUCCESSOR_BODY_SIZE, body_hex);
    assert_hex(s.old_sig, sizeof s.old_sig, old_sig_hex);
    assert_hex(s.new_sig, sizeof s.new_sig, new_sig_hex);
    reader_init(&r, b.data, b.len);
    dchan_successor_read(&r, &again);
    assert_true(reader_done(&r));
    assert_true(dchan_successor_verify(&again, ISSUED));
    buf_clear(&b);
}

static void every_changed_bit_is_refused(void **state)
{
    struct open_key old_key, new_key;
    struct dchan_successor s = make(&old_key, &new_key), changed;
    struct buf b;
    (void)state;
    buf_init(&b);
    dchan_successor_write(&b, &s);
    for (size_t bit = 0; bit < 8 * b.len; bit += 3) {
        struct reader r;
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        reader_init(&r, b.data, b.len);
        dchan_successor_read(&r, &changed);
        assert_false(dchan_successor_verify(&changed, UINT32_MAX));
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_clear(&b);
}

static void statements_of_the_future_are_refused(void **state)
{
    struct open_key old_key, new_key;
    const struct dchan_successor s = make(&old_key, &new_key);
    (void)state;
    assert_true(dchan_successor_verify(&s, ISSUED - 7200));
    assert_false(dchan_successor_verify(&s, ISSUED - 7201));
}

static void both_signatures_are_needed(void **state)
{
    struct open_key old_key, new_key, third;
    struct dchan_successor s = make(&old_key, &new_key);
    (void)state;
    open_key_init(&third, 0x15);
    memcpy(s.old_sig, s.new_sig, sizeof s.old_sig);
    assert_false(dchan_successor_verify(&s, ISSUED));
    s = make(&old_key, &new_key);
    memcpy(s.new_key, third.key.pub, sizeof s.new_key);
    assert_false(dchan_successor_verify(&s, ISSUED));
}

static void a_key_does_not_follow_itself(void **state)
{
    struct open_key old_key, new_key;
    struct dchan_successor s = make(&old_key, &new_key);
    (void)state;
    assert_int_equal(dchan_successor_sign(&s, &old_key.key, &old_key.key), ERR_AUTH);
    new_key.locked = true;
    assert_int_equal(dchan_successor_sign(&s, &old_key.key, &new_key.key), ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_is_made_and_verified),
        cmocka_unit_test(every_changed_bit_is_refused),
        cmocka_unit_test(statements_of_the_future_are_refused),
        cmocka_unit_test(both_signatures_are_needed),
        cmocka_unit_test(a_key_does_not_follow_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
