/* Rotation of keys, by count, time, hash and agreement: spec channels 10.1, and what is refused. */
#include "tests/p2p/dchan_rec_duo.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/rand.h"

/* --- vectors --- */

static uint8_t fill_byte;

static void fill_same(void *out, size_t len)
{
    memset(out, fill_byte, len);
}

static void rotations_by_hash_and_by_agreement(void **state)
{
    struct duo d;
    const uint64_t now = START + 600 * SECOND;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    rand_set_source(fill_same);
    assert_int_equal(dchan_rec_rekey(d.initiator, now - 1), OK);
    assert_output(d.initiator,
                  "cf2d08beac985c470a0c66b7d66b5f71db712f42ec351b53e1d24ad955a1d57517bfa649fd");
    carry(d.initiator, d.responder, 0, now);
    put(d.initiator, "hello", 5, now - 1);
    assert_output(d.initiator, "178cb9d7387190fa34db9c2d50027d21793c9bc2d40b1e14dcf30ebeeeb220f483"
                               "64f7a4c68bf8");
    carry(d.initiator, d.responder, 1, now);

    fill_byte = 0x33;
    assert_int_equal(dchan_rec_tick(d.initiator, now - 1), OK);
    assert_output(d.initiator, "");
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    assert_output(d.initiator, "1b3e243ae0b122e165a29468a5d07796c6867c25db78cb52acae412c40324bd348"
                               "c916ce1f1ee1b987d711d0df4e107103e3c2c5c14205b47e26f5c32550db5900cc"
                               "9e78bb");
    fill_byte = 0x44;
    carry(d.initiator, d.responder, 0, now);
    assert_output(d.responder, "5bcb129e7800faa724306a33f718a5f0c6afb46cd1c78c69c6b8cd00bfd0235b22"
                               "188702675b2480c289556539121aa28114c476af64154aa627518cd458e4ac71f6"
                               "837046");
    carry(d.responder, d.initiator, 0, now);
    put(d.responder, "hello", 5, now);
    assert_output(d.responder, "8f13b309d86b5fd063148be7bd6def04ed08c016ba2b1bd16514e8cc2325bb65b2"
                               "644ff2dd02c6");
    carry(d.responder, d.initiator, 1, now);
    assert_output(d.initiator,
                  "1a49dc4826d0d452c884c7228662194fffd852a7bca86c1f25e63bf2247c29043cb4721b42");
    carry(d.initiator, d.responder, 0, now);
    put(d.initiator, "hello", 5, now);
    assert_output(d.initiator, "7b8fe3df4604c24ccc754a8e669f3a365d11ec960f31a832626af65f8d539090cd"
                               "d41e1c928c20");
    carry(d.initiator, d.responder, 1, now);
    assert_int_equal(dchan_rec_stats(d.initiator)->agreements, 1);
    assert_int_equal(dchan_rec_stats(d.responder)->agreements, 1);
    rand_set_source(NULL);
    duo_clear(&d);
}

static void a_rekey_that_is_the_500th_message_rotates_twice(void **state)
{
    struct duo d;
    const uint64_t now = START + 120 * SECOND;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_HASH);
    for (int i = 0; i < 499; i++)
        put(d.initiator, "hello", 5, START);
    carry(d.initiator, d.responder, 499, START);
    assert_int_equal(dchan_rec_tick(d.initiator, now - 1), OK);
    assert_output(d.initiator, "");
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    assert_output(d.initiator,
                  "0b0d7663ff19fe635fdd773223d1b058820d41037ab08d21dadd66773ab118bda73c797eb6");
    carry(d.initiator, d.responder, 0, now);
    put(d.initiator, "hello", 5, now);
    assert_output(d.initiator, "4a2f3cc3b5e78ddb83dcb426d9863d9d9a723b0337c89dd0b005d89f8d3c05c52b"
                               "76b29b740f09");
    carry(d.initiator, d.responder, 1, now);
    duo_clear(&d);
}

/* --- in time --- */

static void an_idle_key_is_not_rotated(void **state)
{
    struct duo d;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_HASH);
    assert_int_equal(dchan_rec_tick(d.initiator, START + 1000 * SECOND), OK);
    assert_output(d.initiator, "");
    put(d.initiator, "hello", 5, START + 1000 * SECOND);
    assert_int_equal(dchan_rec_tick(d.initiator, START + 1000 * SECOND), OK);
    carry(d.initiator, d.responder, 1, START);
    assert_int_equal(dchan_rec_stats(d.responder)->rotations_received, 1);
    duo_clear(&d);
}

/* Over many rounds, with traffic both ways at every step and rotations by hash in between. */
static void agreements_follow_each_other(void **state)
{
    struct duo d;
    uint64_t now = START;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    for (int step = 0; step < 200; step++, now += 50 * SECOND) {
        assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
        assert_int_equal(dchan_rec_tick(d.responder, now), OK);
        put(d.initiator, "hello", 5, now);
        put(d.responder, "hello", 5, now);
        carry(d.initiator, d.responder, 1, now);
        carry(d.responder, d.initiator, 1, now);
        carry(d.initiator, d.responder, 0, now);
    }
    assert_int_equal(dchan_rec_stats(d.initiator)->agreements, 16);
    assert_int_equal(dchan_rec_stats(d.responder)->agreements, 16);
    assert_true(dchan_rec_stats(d.initiator)->rotations_sent > 60);
    duo_clear(&d);
}

static void a_gibibyte_asks_for_an_agreement(void **state)
{
    struct duo d;
    static uint8_t text[DCHAN_MSG_MAX] = { 1 };
    const char *is_long = getenv("BSVPEER_LONG");
    (void)state;
    if (!is_long || strcmp(is_long, "1") != 0)
        skip();
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    while (dchan_rec_stats(d.initiator)->bytes_sent < UINT64_C(1) << 30) {
        assert_int_equal(dchan_rec_tick(d.initiator, START), OK);
        put(d.initiator, text, sizeof text, START);
        const size_t n = dchan_rec_output(d.initiator).len;
        assert_int_equal(n, sizeof text + DCHAN_PACKET_EXTRA);
        dchan_rec_written(d.initiator, n);
    }
    assert_int_equal(dchan_rec_tick(d.initiator, START), OK);
    assert_int_equal(dchan_rec_output(d.initiator).len, 35 + DCHAN_PACKET_EXTRA);
    duo_clear(&d);
}

/* --- what is refused --- */

static void nothing_is_rekeyed_before_the_session_is_up(void **state)
{
    struct duo d;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    put(d.initiator, "hello", 5, START);
    carry(d.initiator, d.responder, 1, START);
    assert_int_equal(dchan_rec_tick(d.initiator, START + 1000 * SECOND), OK);
    assert_output(d.initiator, "");
    put(d.initiator, "\x00\x16\x00", 3, START);
    carry_refused(d.initiator, d.responder, START, ERR_PROTO, DCHAN_NO_ERROR);
    duo_clear(&d);
}

static void rekeys_must_not_come_too_often(void **state)
{
    struct duo d;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_HASH);
    assert_int_equal(dchan_rec_rekey(d.initiator, START), OK);
    carry(d.initiator, d.responder, 0, START);
    assert_int_equal(dchan_rec_rekey(d.initiator, START), OK);
    carry(d.initiator, d.responder, 0, START + 10 * SECOND);
    assert_int_equal(dchan_rec_rekey(d.initiator, START), OK);
    carry_refused(d.initiator, d.responder, START + 20 * SECOND - 1, ERR_PROTO, DCHAN_ERROR_LIMIT);
    duo_clear(&d);
}

/* A message as the other side might send it, without what belongs to it. */
static void put_key_message(struct dchan_rec *rec, uint16_t type, const uint8_t *key)
{
    uint8_t head[2];
    be16_put(head, type);
    assert_int_equal(dchan_rec_put(rec, span_of(head, 2), span_of(key, IDENTITY_KEY_SIZE), START),
                     OK);
}

static void steps_out_of_place_are_malformed(void **state)
{
    static const struct {
        bool from_responder;
        enum dchan_rekeys rekeys;
        uint16_t type; /* 0: the hex */
        const char *text;
        enum dchan_error error;
    } cases[] = {
        { true, DCHAN_REKEYS_BY_DH, DCHAN_DH_OFFER, "", DCHAN_ERROR_MALFORMED },
        { true, DCHAN_REKEYS_BY_DH, DCHAN_DH_ANSWER, "", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_DH, DCHAN_DH_ANSWER, "", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_HASH, DCHAN_DH_OFFER, "", DCHAN_ERROR_UNKNOWN_TYPE },
        { true, DCHAN_REKEYS_BY_HASH, DCHAN_DH_ANSWER, "", DCHAN_ERROR_UNKNOWN_TYPE },
        { false, DCHAN_REKEYS_BY_DH, 0, "001601", DCHAN_ERROR_MALFORMED },
        { true, DCHAN_REKEYS_BY_DH, 0, "001601", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_HASH, 0, "001602", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_HASH, 0, "0016", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_HASH, 0, "00160000", DCHAN_ERROR_MALFORMED },
        { false, DCHAN_REKEYS_BY_DH, 0, "001c02", DCHAN_ERROR_MALFORMED },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct duo d;
        duo_make(&d, cases[i].rekeys);
        struct dchan_rec *from = cases[i].from_responder ? d.responder : d.initiator;
        struct dchan_rec *to = cases[i].from_responder ? d.initiator : d.responder;
        if (cases[i].type) {
            put_key_message(from, cases[i].type, d.pair.initiator_key.key.pub);
        } else {
            struct buf b = unhex(cases[i].text);
            put(from, b.data, b.len, START);
            buf_clear(&b);
        }
        carry_refused(from, to, START, ERR_PROTO, cases[i].error);
        duo_clear(&d);
    }
}

/* Whoever answered waits for a rekey; he made no offer that could be answered. */
static void an_answer_to_an_answer_is_malformed(void **state)
{
    struct duo d;
    const uint64_t now = START + 600 * SECOND;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    carry(d.initiator, d.responder, 0, now);
    put_key_message(d.initiator, DCHAN_DH_ANSWER, d.pair.initiator_key.key.pub);
    carry_refused(d.initiator, d.responder, now, ERR_PROTO, DCHAN_ERROR_MALFORMED);
    duo_clear(&d);
}

static void offers_must_not_come_too_often(void **state)
{
    struct duo d;
    const uint64_t now = START + 600 * SECOND;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    carry(d.initiator, d.responder, 0, now);
    carry(d.responder, d.initiator, 0, now);
    carry(d.initiator, d.responder, 0, now);
    assert_int_equal(dchan_rec_tick(d.initiator, now + 599 * SECOND), OK);
    assert_output(d.initiator, "");
    put_key_message(d.initiator, DCHAN_DH_OFFER, d.pair.initiator_key.key.pub);
    carry_refused(d.initiator, d.responder, now + 60 * SECOND - 1, ERR_PROTO, DCHAN_ERROR_LIMIT);
    duo_clear(&d);
}

static void an_agreement_that_is_not_finished_ends_the_session(void **state)
{
    struct duo d;
    const uint64_t now = START + 600 * SECOND;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_DH);
    assert_int_equal(dchan_rec_tick(d.initiator, now), OK);
    carry(d.initiator, d.responder, 0, now + 1);
    assert_int_equal(dchan_rec_tick(d.initiator, now + 30 * SECOND - 1), OK);
    assert_int_equal(dchan_rec_tick(d.initiator, now + 30 * SECOND), ERR_TIMEOUT);
    assert_int_equal(dchan_rec_tick(d.responder, now + 30 * SECOND), OK);
    assert_int_equal(dchan_rec_tick(d.responder, now + 30 * SECOND + 1), ERR_TIMEOUT);
    duo_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotations_by_hash_and_by_agreement),
        cmocka_unit_test(a_rekey_that_is_the_500th_message_rotates_twice),
        cmocka_unit_test(an_idle_key_is_not_rotated),
        cmocka_unit_test(agreements_follow_each_other),
        cmocka_unit_test(a_gibibyte_asks_for_an_agreement),
        cmocka_unit_test(nothing_is_rekeyed_before_the_session_is_up),
        cmocka_unit_test(rekeys_must_not_come_too_often),
        cmocka_unit_test(steps_out_of_place_are_malformed),
        cmocka_unit_test(an_answer_to_an_answer_is_malformed),
        cmocka_unit_test(offers_must_not_come_too_often),
        cmocka_unit_test(an_agreement_that_is_not_finished_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
