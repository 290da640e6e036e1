/* Packets: the vectors of BOLT 8, streams, and what is refused. */
#include "tests/p2p/dchan_rec_duo.h"

#include <json-c/json.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/base/json_text.h"

/* --- vectors --- */

static void put_secret(uint8_t out[32], struct json_object *messages, const char *name)
{
    struct buf secret = unhex(json_str(messages, name));
    assert_int_equal(secret.len, 32);
    memcpy(out, secret.data, secret.len);
    buf_clear(&secret);
}

/* The two ends after a handshake with these keys. */
static void duo_of(struct duo *d, struct json_object *messages)
{
    struct dchan_keys *i = &d->pair.initiator, *r = &d->pair.responder;
    *d = (struct duo){ .initiator = NULL };
    ec_init();
    put_secret(i->chaining_key, messages, "ck");
    put_secret(i->send_key, messages, "sk");
    put_secret(i->receive_key, messages, "rk");
    memcpy(r->chaining_key, i->chaining_key, sizeof r->chaining_key);
    memcpy(r->send_key, i->receive_key, sizeof r->send_key);
    memcpy(r->receive_key, i->send_key, sizeof r->receive_key);
    d->initiator = dchan_rec_new(DCHAN_INITIATOR, i, START);
    d->responder = dchan_rec_new(DCHAN_RESPONDER, r, START);
}

static void messages_of_bolt_8(void **state)
{
    struct json_object *all = vector_json("spec/bolt8.json"), *messages = json_get(all, "messages");
    struct json_object *outputs = json_get(messages, "outputs");
    const size_t n = (size_t)json_object_object_length(outputs);
    const size_t n_rotated = json_object_array_length(json_get(messages, "rotated"));
    struct duo d;
    size_t n_checked = 0;
    (void)state;
    duo_of(&d, messages);
    for (size_t i = 0; n_checked < n; i++) { /* numbers name messages: others would have no end */
        char name[24];
        snprintf(name, sizeof name, "%zu", i);
        assert_true(i < 100000);
        put(d.initiator, "hello", 5, START);
        if (json_str(outputs, name)) {
            assert_output(d.initiator, json_str(outputs, name));
            n_checked++;
        }
        carry(d.initiator, d.responder, 1, START);
    }
    assert_int_equal(dchan_rec_stats(d.initiator)->rotations_sent, n_rotated);
    assert_int_equal(dchan_rec_stats(d.responder)->rotations_received, n_rotated);
    vector_report("spec/bolt8.json messages", n_checked);
    duo_clear(&d);
    json_object_put(all);
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
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(the_longest_message_arrives_and_no_longer_one_leaves),
        cmocka_unit_test(output_is_written_in_parts),
        cmocka_unit_test(output_has_a_limit),
        cmocka_unit_test(a_full_output_gives_its_memory_back),
        cmocka_unit_test(a_wrong_tag_is_final_and_silent),
        cmocka_unit_test(packets_come_once_and_in_order),
        cmocka_unit_test(a_message_without_a_type_is_malformed),
        cmocka_unit_test(bye_is_the_last_message),
        cmocka_unit_test(what_follows_bye_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
