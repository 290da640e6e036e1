/* Packets and rotation: the vectors of BOLT 8 and of spec channels 10.1, and what is refused. */
#include "p2p/dchan_rec.h"

#include <json-c/json.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "tests/base/json_text.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

#define SECOND UINT64_C(1000)
#define START UINT64_C(1000000) /* milliseconds */

/* Both ends of one session; bytes go over when a test says so. */
struct duo {
    struct session_pair pair;
    struct dchan_rec *initiator, *responder;
};

static void duo_make(struct duo *d, enum dchan_rekeys rekeys)
{
    session_pair_make(&d->pair, span_of("x", 1));
    d->initiator = dchan_rec_new(DCHAN_INITIATOR, &d->pair.initiator, START);
    d->responder = dchan_rec_new(DCHAN_RESPONDER, &d->pair.responder, START);
    dchan_rec_allow(d->initiator, rekeys, START);
    dchan_rec_allow(d->responder, rekeys, START);
}

static void duo_clear(struct duo *d)
{
    dchan_rec_free(d->initiator);
    dchan_rec_free(d->responder);
}

static void put(struct dchan_rec *rec, const void *text, size_t len, uint64_t now_ms)
{
    assert_int_equal(dchan_rec_put(rec, span_of(text, len), span_of(NULL, 0), now_ms), OK);
}

/* What lies in the output leaves it. */
static struct buf take_output(struct dchan_rec *rec)
{
    const struct span out = dchan_rec_output(rec);
    struct buf b;
    buf_init(&b);
    buf_put(&b, out.data, out.len);
    dchan_rec_written(rec, out.len);
    return b;
}

static void assert_output(struct dchan_rec *rec, const char *hex)
{
    const struct span out = dchan_rec_output(rec);
    assert_hex(out.data, out.len, hex);
}

/* Moves the output over; the messages that arrive must be n times "hello". */
static void carry(struct dchan_rec *from, struct dchan_rec *to, size_t n, uint64_t now_ms)
{
    struct buf b = take_output(from);
    struct span in = buf_span(&b), msg;
    size_t got = 0;
    do {
        assert_int_equal(dchan_rec_read(to, &in, now_ms, &msg), OK);
        if (msg.len) {
            assert_int_equal(msg.len, 5);
            assert_memory_equal(msg.data, "hello", 5);
            got++;
        }
    } while (msg.len);
    assert_int_equal(in.len, 0);
    assert_int_equal(got, n);
    buf_clear(&b);
}

/* The same when the reader refuses. */
static void carry_refused(struct dchan_rec *from, struct dchan_rec *to, uint64_t now_ms,
                          enum err why, enum dchan_error error)
{
    struct buf b = take_output(from);
    struct span in = buf_span(&b), msg;
    enum err rc;
    do
        rc = dchan_rec_read(to, &in, now_ms, &msg);
    while (rc == OK && msg.len);
    assert_int_equal(rc, why);
    assert_int_equal(msg.len, 0);
    assert_int_equal(dchan_rec_error(to), error);
    in = span_of("more", 4);
    assert_int_equal(dchan_rec_read(to, &in, now_ms, &msg), why);
    buf_clear(&b);
}

/* --- vectors --- */

static void messages_of_bolt_8(void **state)
{
    struct json_object *all = vector_json("spec/bolt8.json");
    struct json_object *outputs = json_get(json_get(all, "messages"), "outputs");
    struct duo d;
    size_t n_checked = 0;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    for (int i = 0; i <= 1001; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        put(d.initiator, "hello", 5, START);
        if (json_str(outputs, name)) {
            assert_output(d.initiator, json_str(outputs, name));
            n_checked++;
        }
        carry(d.initiator, d.responder, 1, START);
    }
    assert_int_equal(dchan_rec_stats(d.initiator)->rotations_sent, 2);
    assert_int_equal(dchan_rec_stats(d.responder)->rotations_received, 2);
    vector_report("spec/bolt8.json messages", n_checked);
    duo_clear(&d);
    json_object_put(all);
}

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

/* --- streams --- */

static void pieces_do_not_matter(void **state)
{
    struct duo d;
    struct buf b;
    struct span msg;
    size_t n = 0;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    for (int i = 0; i < 600; i++)
        put(d.initiator, "hello", 5, START);
    b = take_output(d.initiator);
    for (size_t at = 0, step = 1; at < b.len; at += step, step = step % 97 + 1) {
        struct span in = span_of(b.data + at, MIN_OF(step, b.len - at));
        do {
            assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
            n += msg.len == 5;
        } while (msg.len);
        assert_int_equal(in.len, 0);
    }
    assert_int_equal(n, 600);
    assert_true(dchan_rec_stats(d.responder)->bytes_received == b.len);
    assert_true(dchan_rec_stats(d.initiator)->bytes_sent == b.len);
    buf_clear(&b);
    duo_clear(&d);
}

static void the_longest_message_arrives_and_no_longer_one_leaves(void **state)
{
    struct duo d;
    uint8_t *text = xcalloc(1, DCHAN_MSG_MAX + 1);
    struct span msg, none = span_of(NULL, 0);
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    text[0] = 1;
    text[DCHAN_MSG_MAX - 1] = 9;
    assert_int_equal(dchan_rec_put(d.initiator, span_of(text, 2),
                                   span_of(text + 2, DCHAN_MSG_MAX - 2), START), OK);
    struct buf b = take_output(d.initiator);
    assert_int_equal(b.len, DCHAN_MSG_MAX + DCHAN_PACKET_EXTRA);
    struct span in = buf_span(&b);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_int_equal(msg.len, DCHAN_MSG_MAX);
    assert_memory_equal(msg.data, text, DCHAN_MSG_MAX);
    assert_int_equal(dchan_rec_put(d.initiator, span_of(text, DCHAN_MSG_MAX + 1), none, START),
                     ERR_RANGE);
    assert_int_equal(dchan_rec_put(d.initiator, span_of(text, 2), span_of(text, DCHAN_MSG_MAX - 1),
                                   START), ERR_RANGE);
    assert_int_equal(dchan_rec_put(d.initiator, span_of(text, 1), none, START), ERR_RANGE);
    assert_output(d.initiator, "");
    dchan_rec_shrink(d.initiator);
    dchan_rec_shrink(d.responder);
    put(d.initiator, "hello", 5, START);
    carry(d.initiator, d.responder, 1, START);
    buf_clear(&b);
    free(text);
    duo_clear(&d);
}

/* The socket takes a little at a time while more is queued. */
static void output_is_written_in_parts(void **state)
{
    struct duo d;
    struct buf wire;
    struct span in, msg;
    uint8_t text[3000] = { 1 };
    size_t n = 0;
    (void)state;
    buf_init(&wire);
    duo_make(&d, DCHAN_REKEYS_NONE);
    for (int i = 0; i < 200; i++) {
        text[2] = (uint8_t)i;
        put(d.initiator, text, sizeof text, START);
        const struct span out = dchan_rec_output(d.initiator);
        const size_t part = MIN_OF(out.len, 2900);
        buf_put(&wire, out.data, part);
        dchan_rec_written(d.initiator, part);
    }
    struct buf rest = take_output(d.initiator);
    assert_true(rest.len > 0);
    buf_put(&wire, rest.data, rest.len);
    for (in = buf_span(&wire); in.len; n++) {
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
        assert_int_equal(msg.len, sizeof text);
        assert_int_equal(msg.data[2], n);
    }
    assert_int_equal(n, 200);
    buf_clear(&rest);
    buf_clear(&wire);
    duo_clear(&d);
}

static void output_has_a_limit(void **state)
{
    struct duo d;
    static uint8_t text[DCHAN_MSG_MAX];
    enum err rc;
    size_t before;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    do {
        before = dchan_rec_output(d.initiator).len;
        rc = dchan_rec_put(d.initiator, span_of(text, sizeof text), span_of(NULL, 0), START);
    } while (rc == OK);
    assert_int_equal(rc, ERR_BUSY);
    assert_int_equal(dchan_rec_output(d.initiator).len, before);
    assert_true(before <= DCHAN_OUT_MAX && before > DCHAN_OUT_MAX - sizeof text - 34);
    dchan_rec_written(d.initiator, before);
    put(d.initiator, text, sizeof text, START);
    duo_clear(&d);
}

static size_t memory_in_use(void)
{
    const struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* A side that is never idle is not shrunk from outside. */
static void a_full_output_gives_its_memory_back(void **state)
{
    struct duo d;
    static uint8_t text[DCHAN_MSG_MAX];
    (void)state;
    duo_make(&d, DCHAN_REKEYS_NONE);
    const size_t before = memory_in_use();
    for (int i = 0; i < 200; i++)
        put(d.initiator, text, sizeof text, START);
    dchan_rec_written(d.initiator, dchan_rec_output(d.initiator).len);
    assert_output(d.initiator, "");
    assert_true(memory_in_use() < before + (1 << 20));
    duo_clear(&d);
}

/* --- text in memory --- */

static const char plain_text[] = "nobody else should ever read this";
static bool text_moved;

void *__real_try_realloc(void *p, size_t count, size_t size);
void *__wrap_try_realloc(void *p, size_t count, size_t size);

/* What is moved stays behind in free memory. */
void *__wrap_try_realloc(void *p, size_t count, size_t size)
{
    if (p && malloc_usable_size(p) >= sizeof plain_text)
        text_moved = text_moved || memcmp(p, plain_text, sizeof plain_text) == 0;
    return __real_try_realloc(p, count, size);
}

static void text_is_not_left_behind_when_the_buffer_grows(void **state)
{
    struct duo d;
    struct span msg;
    uint8_t longer[5000] = { 1 };
    (void)state;
    text_moved = false;
    duo_make(&d, DCHAN_REKEYS_NONE);
    put(d.initiator, plain_text, sizeof plain_text, START);
    put(d.initiator, longer, sizeof longer, START);
    struct span in = dchan_rec_output(d.initiator);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_memory_equal(msg.data, plain_text, sizeof plain_text);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_int_equal(msg.len, sizeof longer);
    assert_false(text_moved);
    duo_clear(&d);
}

/* --- what is refused --- */

static void a_wrong_tag_is_final_and_silent(void **state)
{
    (void)state;
    for (size_t at = 0; at < 5 + DCHAN_PACKET_EXTRA; at++) {
        struct duo d;
        struct span msg;
        duo_make(&d, DCHAN_REKEYS_BY_DH);
        put(d.responder, "hello", 5, START);
        put(d.initiator, "hello", 5, START);
        struct buf b = take_output(d.initiator);
        b.data[at] ^= 0x10;
        struct span in = buf_span(&b);
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), ERR_AUTH);
        assert_int_equal(msg.len, 0);
        b.data[at] ^= 0x10;
        in = buf_span(&b);
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), ERR_AUTH);
        assert_int_equal(dchan_rec_error(d.responder), DCHAN_NO_ERROR);
        assert_output(d.responder, "");
        assert_int_equal(dchan_rec_put(d.responder, span_of("hello", 5), span_of(NULL, 0), START),
                         ERR_CANCELLED);
        assert_int_equal(dchan_rec_tick(d.responder, START + 1000 * SECOND), OK);
        assert_output(d.responder, "");
        assert_false(dchan_rec_clean_end(d.responder));
        buf_clear(&b);
        duo_clear(&d);
    }
}

static void packets_come_once_and_in_order(void **state)
{
    struct duo d;
    struct span in, msg;
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        duo_make(&d, DCHAN_REKEYS_NONE);
        put(d.initiator, "hello", 5, START);
        struct buf first = take_output(d.initiator);
        put(d.initiator, "hello", 5, START);
        struct buf second = take_output(d.initiator);
        in = swapped ? buf_span(&second) : buf_span(&first);
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), swapped ? ERR_AUTH : OK);
        in = buf_span(&first);
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), ERR_AUTH);
        buf_clear(&first);
        buf_clear(&second);
        duo_clear(&d);
    }
}

/* A packet that our own side would not make. */
static void a_message_without_a_type_is_malformed(void **state)
{
    (void)state;
    for (uint8_t len = 0; len < 2; len++) {
        struct duo d;
        uint8_t packet[DCHAN_LENGTH_SIZE + 1 + AEAD_TAG_SIZE], iv[12] = { 0 };
        struct span in = span_of(packet, sizeof packet), msg;
        duo_make(&d, DCHAN_REKEYS_NONE);
        const uint8_t length[2] = { 0, len };
        assert_true(aead_seal(AEAD_CHACHA20_POLY1305, d.pair.initiator.send_key,
                              span_of(iv, sizeof iv), span_of(NULL, 0), span_of(length, 2),
                              packet));
        assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), ERR_PROTO);
        assert_int_equal(dchan_rec_error(d.responder), DCHAN_ERROR_MALFORMED);
        /* the reason can be sent */
        put(d.responder, "hello", 5, START);
        carry(d.responder, d.initiator, 1, START);
        duo_clear(&d);
    }
}

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

static void bye_is_the_last_message(void **state)
{
    struct duo d;
    struct span in, msg;
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_HASH);
    assert_false(dchan_rec_clean_end(d.responder));
    put(d.initiator, "\x00\x18", 2, START);
    assert_int_equal(dchan_rec_put(d.initiator, span_of("hello", 5), span_of(NULL, 0), START),
                     ERR_CANCELLED);
    assert_int_equal(dchan_rec_tick(d.initiator, START + 1000 * SECOND), OK);
    struct buf b = take_output(d.initiator);
    assert_int_equal(b.len, 2 + DCHAN_PACKET_EXTRA);
    in = buf_span(&b);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_int_equal(msg.len, 2);
    assert_true(dchan_rec_clean_end(d.responder));
    in = span_of(b.data, 1); /* inside the next packet */
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_false(dchan_rec_clean_end(d.responder));
    buf_clear(&b);
    duo_clear(&d);
}

/* Sealed by hand, as our side sends nothing behind it. */
static void what_follows_bye_closes(void **state)
{
    struct duo d;
    uint8_t packet[DCHAN_LENGTH_SIZE + 2 + AEAD_TAG_SIZE], iv[12] = { 0 };
    static const uint8_t length[2] = { 0, 2 }, type[2] = { 0, 1 };
    (void)state;
    duo_make(&d, DCHAN_REKEYS_BY_HASH);
    put(d.initiator, "\x00\x18", 2, START);
    struct buf b = take_output(d.initiator);
    const struct span none = span_of(NULL, 0);
    iv[4] = 2;
    assert_true(aead_seal(AEAD_CHACHA20_POLY1305, d.pair.initiator.send_key, span_of(iv, 12), none,
                          span_of(length, 2), packet));
    iv[4] = 3;
    assert_true(aead_seal(AEAD_CHACHA20_POLY1305, d.pair.initiator.send_key, span_of(iv, 12), none,
                          span_of(type, 2), packet + DCHAN_LENGTH_SIZE));
    buf_put(&b, packet, sizeof packet);
    struct span in = buf_span(&b), msg;
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), OK);
    assert_int_equal(dchan_rec_read(d.responder, &in, START, &msg), ERR_PROTO);
    assert_int_equal(dchan_rec_error(d.responder), DCHAN_NO_ERROR);
    assert_false(dchan_rec_clean_end(d.responder));
    buf_clear(&b);
    duo_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_bolt_8),
        cmocka_unit_test(rotations_by_hash_and_by_agreement),
        cmocka_unit_test(a_rekey_that_is_the_500th_message_rotates_twice),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(the_longest_message_arrives_and_no_longer_one_leaves),
        cmocka_unit_test(output_is_written_in_parts),
        cmocka_unit_test(output_has_a_limit),
        cmocka_unit_test(a_full_output_gives_its_memory_back),
        cmocka_unit_test(text_is_not_left_behind_when_the_buffer_grows),
        cmocka_unit_test(a_wrong_tag_is_final_and_silent),
        cmocka_unit_test(packets_come_once_and_in_order),
        cmocka_unit_test(a_message_without_a_type_is_malformed),
        cmocka_unit_test(nothing_is_rekeyed_before_the_session_is_up),
        cmocka_unit_test(an_idle_key_is_not_rotated),
        cmocka_unit_test(rekeys_must_not_come_too_often),
        cmocka_unit_test(steps_out_of_place_are_malformed),
        cmocka_unit_test(an_answer_to_an_answer_is_malformed),
        cmocka_unit_test(offers_must_not_come_too_often),
        cmocka_unit_test(agreements_follow_each_other),
        cmocka_unit_test(an_agreement_that_is_not_finished_ends_the_session),
        cmocka_unit_test(a_gibibyte_asks_for_an_agreement),
        cmocka_unit_test(bye_is_the_last_message),
        cmocka_unit_test(what_follows_bye_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
