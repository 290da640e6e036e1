/* The vector of spec channels 10.2, every rule of the format, times, order, addresses. */
#include "p2p/bca_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "p2p/dchan_codec.h"
#include "tests/bca/proof.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

#define ISSUED 1790000000

static const char body_hex[] =
    "0100034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa0700000000000000"
    "803bb16a008db26a010a01010020010db800000000000000000000000126d805616c696365"
    "20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00";
static const char sig_hex[] =
    "5733b01a66572006cbf1609518f16b4421f33bb4651365c2002907848cd76ab4"
    "40ae7ebc16efd1dc3e1abd5ffc16d0be74907d613c3e557509adce81addb6925";

static uint8_t example_params[32];
static struct open_key own;

/* What the vector has. */
static struct bca_record example(void)
{
    struct bca_record r = {
        .seq = 7,
        .issued = ISSUED,
        .expires = ISSUED + 86400,
        .features = span_of("\x0a", 1),
        .n_endpoints = 1,
        .endpoints = { { .type = BCA_RECORD_TCP6, .address = { 0x20, 1, 0x0d, 0xb8, [15] = 1 },
                         .port = 9944 } },
        .alias = span_of("alice", 5),
        .params = span_of(example_params, sizeof example_params),
    };
    for (uint8_t i = 0; i < sizeof example_params; i++)
        example_params[i] = i;
    open_key_init(&own, 0x11);
    return r;
}

static struct buf write(const struct bca_record *r)
{
    struct buf b;
    buf_init(&b);
    assert_int_equal(bca_record_write(&b, r, &own.key), OK);
    return b;
}

static void the_vector_is_made_and_verified(void **state)
{
    struct bca_record r = example(), again;
    struct buf b = write(&r);
    uint8_t digest[32];
    (void)state;
    assert_hex(b.data, b.len - IDENTITY_SIG_SIZE, body_hex);
    assert_hex(b.data + b.len - IDENTITY_SIG_SIZE, IDENTITY_SIG_SIZE, sig_hex);
    assert_int_equal(bca_record_read(&again, buf_span(&b)), BCA_RECORD_GOOD);
    sha256_tagged(digest, "bcapeer/record", again.body.data, again.body.len);
    assert_hex(digest, 32, "47f6942181110a93ebda1e220ba85d52c2dc9896b1a7ac0d9ac389e127b5b6bd");
    bca_record_key(digest, again.key);
    assert_hex(digest, 32, "89763a1c6b15a76314f2183004bf59b90cb172e170b9e448f924c15eef6e3d78");
    assert_int_equal(bca_record_check_signature(&again), BCA_RECORD_GOOD);
    assert_int_equal(bca_record_check_times(&again, ISSUED), BCA_RECORD_GOOD);
    assert_int_equal(bca_record_check_endpoints(&again), BCA_RECORD_GOOD);
    assert_true(again.seq == 7 && again.issued == ISSUED && again.expires == ISSUED + 86400);
    assert_int_equal(again.endpoints[0].port, 9944);
    assert_memory_equal(again.alias.data, "alice", 5);
    assert_false(again.tombstone || again.has_successor);
    buf_clear(&b);
}

static void every_changed_bit_and_length_is_seen(void **state)
{
    struct bca_record r = example(), got;
    struct buf b = write(&r);
    (void)state;
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bca_record_read(&got, buf_span(&b)) == BCA_RECORD_GOOD)
            assert_int_equal(bca_record_check_signature(&got), BCA_RECORD_BAD_SIGNATURE);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(bca_record_read(&got, span_of(b.data, len)), BCA_RECORD_MALFORMED);
    buf_put_u8(&b, 0);
    assert_int_equal(bca_record_read(&got, buf_span(&b)), BCA_RECORD_MALFORMED);
    buf_clear(&b);
}

static void versions_and_flags_we_do_not_know(void **state)
{
    struct bca_record r = example(), got;
    struct buf b = write(&r);
    (void)state;
    b.data[0] = 2;
    assert_int_equal(bca_record_read(&got, buf_span(&b)), BCA_RECORD_OTHER_VERSION);
    b.data[0] = 1;
    b.data[1] = 2;
    assert_int_equal(bca_record_read(&got, buf_span(&b)), BCA_RECORD_OTHER_VERSION);
    buf_clear(&b);
}

/* --- the format by what our writer refuses, which asks the reader --- */

static enum err write_result(const struct bca_record *r)
{
    struct buf b;
    buf_init(&b);
    buf_put_str(&b, "before");
    const enum err rc = bca_record_write(&b, r, &own.key);
    assert_true(rc == OK ? b.len > 6 : b.len == 6);
    buf_clear(&b);
    return rc;
}

static void fields_have_their_limits(void **state)
{
    struct bca_record r = example();
    static uint8_t bytes[BCA_RECORD_PARAMS_MAX + 1];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    struct {
        struct span *field;
        size_t max;
    } fields[] = { { &r.features, BCA_RECORD_FEATURES_MAX }, { &r.alias, BCA_RECORD_ALIAS_MAX },
                   { &r.params, BCA_RECORD_PARAMS_MAX } };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        *fields[i].field = span_of(bytes, fields[i].max);
        assert_int_equal(write_result(&r), OK);
        *fields[i].field = span_of(bytes, fields[i].max + 1);
        assert_int_equal(write_result(&r), ERR_RANGE);
        *fields[i].field = span_of(NULL, 0);
        assert_int_equal(write_result(&r), OK);
    }
    r = example();
    r.n_endpoints = 4;
    assert_int_equal(write_result(&r), OK);
    r.n_endpoints = 5;
    assert_int_equal(write_result(&r), ERR_RANGE);
    r = example();
    uint8_t ext[BCA_RECORD_EXT_MAX + 1] = { 0x03, 0xfd, 0x01, 0xfc };
    r.ext = span_of(ext, BCA_RECORD_EXT_MAX);
    assert_int_equal(write_result(&r), OK);
    ext[3]++;
    r.ext = span_of(ext, BCA_RECORD_EXT_MAX + 1);
    assert_int_equal(write_result(&r), ERR_RANGE);
}

static void what_is_not_one_encoding_is_refused(void **state)
{
    struct bca_record r = example();
    (void)state;
    r.features = span_of("\x00\x0a", 2);
    assert_int_equal(write_result(&r), ERR_RANGE);
    r = example();
    r.alias = span_of("\xff", 1);
    assert_int_equal(write_result(&r), ERR_RANGE);
    r = example();
    r.ext = span_of("\x02\x00", 2); /* unknown, even */
    assert_int_equal(write_result(&r), ERR_RANGE);
    r.ext = span_of("\x01\x02\x00\x00", 4); /* no statement */
    assert_int_equal(write_result(&r), ERR_RANGE);
    r = example();
    r.n_endpoints = 0;
    assert_int_equal(write_result(&r), ERR_RANGE);
    r = example();
    own.locked = true;
    assert_int_equal(write_result(&r), ERR_AUTH);
}

static void a_tombstone_has_no_endpoints(void **state)
{
    struct bca_record r = example(), got;
    (void)state;
    r.tombstone = true;
    assert_int_equal(write_result(&r), ERR_RANGE);
    r.n_endpoints = 0;
    r.params = span_of(NULL, 0);
    r.expires = r.issued + BCA_RECORD_LIFETIME_MAX;
    struct buf b = write(&r);
    assert_int_equal(bca_record_read(&got, buf_span(&b)), BCA_RECORD_GOOD);
    assert_true(got.tombstone);
    assert_int_equal(bca_record_check_times(&got, ISSUED), BCA_RECORD_GOOD);
    assert_int_equal(bca_record_check_bca(&got, NULL), BCA_RECORD_GOOD);
    got.expires--;
    assert_int_equal(bca_record_check_times(&got, ISSUED), BCA_RECORD_BAD_TIMES);
    buf_clear(&b);
}

static void a_successor_is_carried(void **state)
{
    struct bca_record r = example(), got;
    struct dchan_successor s = { .seq = 1, .issued = ISSUED };
    struct open_key next;
    struct buf statement, ext;
    (void)state;
    open_key_init(&next, 0x13);
    assert_int_equal(dchan_successor_sign(&s, &own.key, &next.key), OK);
    buf_init(&statement);
    buf_init(&ext);
    dchan_successor_write(&statement, &s);
    buf_put_tlv(&ext, 1, buf_span(&statement));
    r.ext = buf_span(&ext);
    struct buf b = write(&r);
    assert_int_equal(bca_record_read(&got, buf_span(&b)), BCA_RECORD_GOOD);
    assert_true(got.has_successor);
    assert_true(dchan_successor_verify(&got.successor, ISSUED));
    buf_clear(&b);
    buf_clear(&ext);
    buf_clear(&statement);
}

/* --- times and order --- */

static void times_have_their_limits(void **state)
{
    struct bca_record r = example();
    (void)state;
    assert_int_equal(bca_record_check_times(&r, ISSUED - 7200), BCA_RECORD_GOOD);
    assert_int_equal(bca_record_check_times(&r, ISSUED - 7201), BCA_RECORD_BAD_TIMES);
    r.expires = r.issued;
    assert_int_equal(bca_record_check_times(&r, ISSUED), BCA_RECORD_BAD_TIMES);
    r.expires = r.issued + BCA_RECORD_LIFETIME_MAX;
    assert_int_equal(bca_record_check_times(&r, ISSUED), BCA_RECORD_GOOD);
    r.expires++;
    assert_int_equal(bca_record_check_times(&r, ISSUED), BCA_RECORD_BAD_TIMES);
    r = example();
    assert_int_equal(bca_record_check_times(&r, r.expires + 7199), BCA_RECORD_GOOD);
    assert_int_equal(bca_record_check_times(&r, r.expires + 7200), BCA_RECORD_EXPIRED);
    r.seq = UINT64_C(1000) * (ISSUED + 7200);
    assert_int_equal(bca_record_check_times(&r, ISSUED), BCA_RECORD_GOOD);
    r.seq++;
    assert_int_equal(bca_record_check_times(&r, ISSUED), BCA_RECORD_SEQ_TOO_HIGH);
    r = example();
    r.issued = UINT32_MAX - 10; /* nothing wraps around */
    r.expires = 5;
    assert_int_equal(bca_record_check_times(&r, UINT32_MAX), BCA_RECORD_BAD_TIMES);
}

static void numbers_rise_with_the_clock_and_without_it(void **state)
{
    (void)state;
    assert_true(bca_record_next_seq(0, 1790000000123) == 1790000000123);
    assert_true(bca_record_next_seq(1790000000123, 1790000000123) == 1790000000124);
    assert_true(bca_record_next_seq(1790000000200, 5) == 1790000000201);
}

static void the_higher_number_wins(void **state)
{
    struct bca_record stored = example(), r = example();
    const struct span a = span_of("a", 1), b = span_of("b", 1), longer = span_of("aa", 2);
    (void)state;
    assert_int_equal(bca_record_compare(&r, a, &stored, a), BCA_RECORD_SAME);
    assert_int_equal(bca_record_compare(&r, b, &stored, a), BCA_RECORD_EQUIVOCATION);
    assert_int_equal(bca_record_compare(&r, longer, &stored, a), BCA_RECORD_EQUIVOCATION);
    r.seq = 8;
    assert_int_equal(bca_record_compare(&r, b, &stored, a), BCA_RECORD_REPLACES);
    r.issued--;
    assert_int_equal(bca_record_compare(&r, b, &stored, a), BCA_RECORD_BACKWARDS);
    r.seq = 6;
    assert_int_equal(bca_record_compare(&r, b, &stored, a), BCA_RECORD_OLD);
}

/* --- addresses --- */

static void endpoints_are_global_unicast(void **state)
{
    struct bca_record r = example();
    (void)state;
    r.n_endpoints = 2;
    r.endpoints[1] = r.endpoints[0];
    r.endpoints[1].address[0] = 0x3f;
    assert_int_equal(bca_record_check_endpoints(&r), BCA_RECORD_GOOD);
    r.endpoints[1].address[0] = 0x40;
    assert_int_equal(bca_record_check_endpoints(&r), BCA_RECORD_BAD_ENDPOINT);
    r.endpoints[1].type = 2; /* of a kind that is skipped */
    assert_int_equal(bca_record_check_endpoints(&r), BCA_RECORD_GOOD);
    r.endpoints[0].address[0] = 0xfe;
    assert_int_equal(bca_record_check_endpoints(&r), BCA_RECORD_BAD_ENDPOINT);
}

static void strangers_are_dialled_where_they_proved_to_be(void **state)
{
    struct bca_record r = example();
    (void)state;
    r.n_endpoints = 2;
    r.endpoints[1] = r.endpoints[0];
    assert_true(bca_record_may_dial(&r, 0, false, false));
    assert_false(bca_record_may_dial(&r, 1, false, false));
    assert_true(bca_record_may_dial(&r, 1, true, false));
    assert_false(bca_record_may_dial(&r, 2, true, true));
    r.endpoints[1].port = 1023;
    assert_false(bca_record_may_dial(&r, 1, true, false));
    r.endpoints[1] = r.endpoints[0];
    r.endpoints[1].type = 2;
    assert_false(bca_record_may_dial(&r, 1, true, true));
    r.endpoints[0].address[0] = 0xfd;
    assert_false(bca_record_may_dial(&r, 0, true, false));
    assert_true(bca_record_may_dial(&r, 0, false, true));
}

static enum bca_place place;
static uint64_t confirmations;

static enum bca_place find(void *ctx, const uint8_t header[80], const struct block_hash *hash,
                           uint64_t *n)
{
    (void)ctx;
    (void)header;
    (void)hash;
    *n = confirmations;
    return place;
}

static enum bca_marker_state is_spent(void *ctx, const struct outpoint *marker)
{
    (void)ctx;
    (void)marker;
    return BCA_MARKER_SPENT;
}

static void the_address_is_proved_for_the_key(void **state)
{
    const struct bca_chain_view chain = { find, NULL };
    const struct bca_spends_view spends = { is_spent, NULL };
    struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct bca_record r = example();
    struct proof p;
    (void)state;
    proof_make(&p, &proof_shape_usual);
    struct buf params = proof_bytes(&p);
    r.params = buf_span(&params);
    memcpy(r.key, p.public_key, sizeof r.key);
    memcpy(r.endpoints[0].address, p.address, sizeof p.address);
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_GOOD);
    policy.chain = &chain;
    policy.min_conf = 6;
    place = BCA_PLACE_ACTIVE;
    confirmations = 6;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_GOOD);
    policy.spends = &spends;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_REVOKED);
    confirmations = 5;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_UNDETERMINED);
    place = BCA_PLACE_UNKNOWN;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_UNDETERMINED);
    place = BCA_PLACE_NOT_ACTIVE;
    confirmations = 0;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_NOT_ACCEPTED);
    policy = (struct bca_policy){ .rules = bca_rules_get(BCA_NET_REGTEST), .min_sec = 1 };
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_NOT_ACCEPTED);
    policy.min_sec = 0;
    r.endpoints[0].address[15] ^= 1;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_BAD_BCA);
    r.endpoints[0].address[15] ^= 1;
    memcpy(r.key, p.other_key, sizeof r.key);
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_BAD_BCA);
    r.tombstone = true;
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_BAD_BCA);
    memcpy(r.key, p.public_key, sizeof r.key);
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_GOOD);
    r.params = span_of(example_params, sizeof example_params);
    assert_int_equal(bca_record_check_bca(&r, &policy), BCA_RECORD_BAD_BCA);
    buf_clear(&params);
    proof_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_is_made_and_verified),
        cmocka_unit_test(every_changed_bit_and_length_is_seen),
        cmocka_unit_test(versions_and_flags_we_do_not_know),
        cmocka_unit_test(fields_have_their_limits),
        cmocka_unit_test(what_is_not_one_encoding_is_refused),
        cmocka_unit_test(a_tombstone_has_no_endpoints),
        cmocka_unit_test(a_successor_is_carried),
        cmocka_unit_test(times_have_their_limits),
        cmocka_unit_test(numbers_rise_with_the_clock_and_without_it),
        cmocka_unit_test(the_higher_number_wins),
        cmocka_unit_test(endpoints_are_global_unicast),
        cmocka_unit_test(strangers_are_dialled_where_they_proved_to_be),
        cmocka_unit_test(the_address_is_proved_for_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
