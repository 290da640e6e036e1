/* The cutter of messages: byte-exact headers, any slicing of the input, hostile sizes. */
#include "p2p/frame.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };

static void put_message(struct buf *b, const char *command, const void *payload, size_t len)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4];
    frame_checksum(sum, payload, len);
    size_t n = frame_header_put(head, magic, command, len, sum);
    buf_put(b, head, n);
    buf_put(b, payload, len);
}

/* Extended framing of a small payload, which frame_header_put does not make. */
static void put_extended(struct buf *b, const char *command, uint64_t claimed, const void *payload,
                         size_t len)
{
    uint8_t head[FRAME_EXT_HEADER_SIZE];
    static const uint8_t none[4];
    assert_int_equal(frame_header_put(head, magic, command, UINT64_C(1) << 32, none), 44);
    le64_put(head + 36, claimed);
    buf_put(b, head, sizeof(head));
    buf_put(b, payload, len);
}

static void the_header_has_the_bytes_of_the_specification(void **state)
{
    (void)state;
    struct buf want = unhex("dab5bffa76657261636b000000000000000000005df6e0e2");
    struct buf got;
    buf_init(&got);
    put_message(&got, "verack", NULL, 0);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    buf_clear(&got);
    buf_clear(&want);
}

static void above_four_gigabytes_the_extended_header_is_written(void **state)
{
    (void)state;
    uint8_t head[FRAME_EXT_HEADER_SIZE];
    const uint8_t sum[4] = { 1, 2, 3, 4 };
    assert_int_equal(frame_header_put(head, magic, "block", UINT64_C(0xffffffff), sum), 24);
    assert_memory_equal(head + 20, sum, 4);
    assert_int_equal(frame_header_put(head, magic, "block", UINT64_C(0x100000000), sum), 44);
    assert_memory_equal(head + 4, "extmsg\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 20);
    assert_memory_equal(head + 24, "block\0\0\0\0\0\0\0", 12);
    assert_int_equal(le64_get(head + 36), UINT64_C(0x100000000));
}

/* Feeds data in pieces of `step` bytes and collects every payload. */
static size_t collect_all(struct frame *f, const struct buf *in, size_t step, struct buf *payloads)
{
    size_t messages = 0;
    for (size_t at = 0; at < in->len;) {
        size_t n = in->len - at < step ? in->len - at : step, done = 0;
        for (;;) {
            size_t used;
            enum frame_event ev = frame_feed(f, in->data + at + done, n - done, &used);
            done += used;
            if (ev == FRAME_MORE)
                break;
            if (ev == FRAME_HEADER) {
                frame_take(f, FRAME_COLLECT);
                continue;
            }
            assert_int_equal(ev, FRAME_MESSAGE);
            assert_true(f->checksum_ok);
            buf_put(payloads, f->data.data, f->data.len);
            messages++;
        }
        assert_int_equal(done, n);
        at += n;
    }
    return messages;
}

static void any_slicing_gives_the_same_messages(void **state)
{
    (void)state;
    struct buf in, all;
    uint8_t payload[1000];
    buf_init(&in);
    buf_init(&all);
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)i;
    size_t sizes[] = { 0, 1, 37, 1000, 0, 5 };
    for (size_t i = 0; i < 6; i++) {
        put_message(&in, "twelve_chars", payload, sizes[i]);
        buf_put(&all, payload, sizes[i]);
    }
    put_extended(&in, "ping", 8, payload, 8);
    buf_put(&all, payload, 8);
    size_t steps[] = { 1, 2, 3, 7, 24, 25, 100, 5000 };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct frame f;
        struct buf got;
        frame_init(&f, magic);
        buf_init(&got);
        assert_int_equal(collect_all(&f, &in, steps[i], &got), 7);
        assert_int_equal(got.len, all.len);
        assert_memory_equal(got.data, all.data, all.len);
        buf_clear(&got);
        frame_clear(&f);
    }
    buf_clear(&in);
    buf_clear(&all);
}

/* Feeds the 24 bytes of the header and chooses how the payload is taken. */
static void feed_header(struct frame *f, const struct buf *in, enum frame_mode mode)
{
    size_t used;
    frame_init(f, magic);
    assert_int_equal(frame_feed(f, in->data, in->len, &used), FRAME_HEADER);
    assert_int_equal(used, FRAME_HEADER_SIZE);
    frame_take(f, mode);
}

static void a_payload_in_one_piece_is_not_copied(void **state)
{
    (void)state;
    struct frame f;
    struct buf in;
    uint8_t payload[100] = { 9 };
    size_t used;
    buf_init(&in);
    put_message(&in, "ping", payload, sizeof(payload));
    feed_header(&f, &in, FRAME_COLLECT);
    assert_int_equal(frame_feed(&f, in.data + 24, in.len - 24, &used), FRAME_MESSAGE);
    assert_ptr_equal(f.data.data, in.data + 24);
    assert_int_equal(frame_memory(&f), 0);
    frame_clear(&f);
    buf_clear(&in);
}

static void a_wrong_byte_of_the_magic_is_seen_at_once(void **state)
{
    (void)state;
    for (size_t bad = 0; bad < 4; bad++) {
        struct frame f;
        uint8_t in[4];
        size_t used;
        memcpy(in, magic, 4);
        in[bad] ^= 1;
        frame_init(&f, magic);
        assert_int_equal(frame_feed(&f, in, bad, &used), FRAME_MORE);
        assert_int_equal(frame_feed(&f, in + bad, 1, &used), FRAME_BAD_MAGIC);
        frame_clear(&f);
    }
}

static void memory_follows_what_came_not_what_was_claimed(void **state)
{
    (void)state;
    struct frame f;
    uint8_t head[FRAME_EXT_HEADER_SIZE], sum[4] = { 0 }, byte = 1;
    size_t used, n = frame_header_put(head, magic, "tx", 0xfffffff0u, sum);
    frame_init(&f, magic);
    assert_int_equal(frame_feed(&f, head, n, &used), FRAME_HEADER);
    assert_int_equal(f.size, 0xfffffff0u);
    frame_take(&f, FRAME_COLLECT);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(frame_feed(&f, &byte, 1, &used), FRAME_MORE);
    assert_int_equal(f.received, 1000);
    assert_true(frame_memory(&f) < 16384);
    frame_clear(&f);
}

static void a_wrong_checksum_is_told_and_the_next_message_is_fine(void **state)
{
    (void)state;
    struct frame f;
    struct buf in;
    size_t used, at;
    buf_init(&in);
    put_message(&in, "ping", "12345678", 8);
    in.data[20] ^= 1;
    put_message(&in, "pong", "12345678", 8);
    feed_header(&f, &in, FRAME_COLLECT);
    at = FRAME_HEADER_SIZE;
    assert_int_equal(frame_feed(&f, in.data + at, in.len - at, &used), FRAME_MESSAGE);
    assert_false(f.checksum_ok);
    at += used;
    assert_int_equal(frame_feed(&f, in.data + at, in.len - at, &used), FRAME_HEADER);
    frame_take(&f, FRAME_COLLECT);
    at += used;
    assert_int_equal(frame_feed(&f, in.data + at, in.len - at, &used), FRAME_MESSAGE);
    assert_true(f.checksum_ok);
    frame_clear(&f);
    buf_clear(&in);
}

static bool command_ok(const char bytes[13])
{
    struct frame f;
    uint8_t head[FRAME_HEADER_SIZE] = { 0 };
    size_t used;
    memcpy(head, magic, 4);
    memcpy(head + 4, bytes, 12);
    frame_init(&f, magic);
    assert_int_equal(frame_feed(&f, head, sizeof(head), &used), FRAME_HEADER);
    frame_clear(&f);
    return f.command_ok;
}

static void only_padded_printable_commands_are_well_formed(void **state)
{
    (void)state;
    assert_true(command_ok("ping\0\0\0\0\0\0\0\0"));
    assert_true(command_ok("twelve chars"));
    assert_false(command_ok("ping\0x\0\0\0\0\0\0"));
    assert_false(command_ok("pi\x7fng\0\0\0\0\0\0\0"));
    assert_false(command_ok("pi\x1fng\0\0\0\0\0\0\0"));
    assert_false(command_ok("\0\0\0\0\0\0\0\0\0\0\0\0"));
}

static void a_stream_gives_pieces_and_an_end(void **state)
{
    (void)state;
    struct frame f;
    struct buf in;
    uint8_t payload[50] = { 3 };
    size_t used;
    buf_init(&in);
    put_message(&in, "block", payload, sizeof(payload));
    feed_header(&f, &in, FRAME_STREAM);
    assert_int_equal(frame_feed(&f, NULL, 0, &used), FRAME_MORE);
    assert_int_equal(frame_feed(&f, in.data + 24, 20, &used), FRAME_DATA);
    assert_int_equal(f.data.len, 20);
    assert_int_equal(frame_feed(&f, in.data + 44, 0, &used), FRAME_MORE);
    assert_int_equal(frame_feed(&f, in.data + 44, 30, &used), FRAME_DATA);
    assert_int_equal(f.data.len, 30);
    assert_int_equal(frame_feed(&f, NULL, 0, &used), FRAME_END);
    assert_int_equal(frame_feed(&f, NULL, 0, &used), FRAME_MORE);
    frame_clear(&f);
    buf_clear(&in);
}

static void a_stream_can_be_dropped_in_the_middle(void **state)
{
    (void)state;
    struct frame f;
    struct buf in;
    uint8_t payload[50] = { 3 };
    size_t used;
    buf_init(&in);
    put_message(&in, "block", payload, sizeof(payload));
    put_message(&in, "ping", payload, 8);
    feed_header(&f, &in, FRAME_STREAM);
    assert_int_equal(frame_feed(&f, in.data + 24, 20, &used), FRAME_DATA);
    frame_take(&f, FRAME_SKIP);
    assert_int_equal(frame_feed(&f, in.data + 44, in.len - 44, &used), FRAME_END);
    assert_int_equal(used, 30);
    assert_int_equal(frame_feed(&f, in.data + 74, in.len - 74, &used), FRAME_HEADER);
    assert_memory_equal(f.command, "ping", 5);
    frame_clear(&f);
    buf_clear(&in);
}

static void extended_framing_carries_no_checksum(void **state)
{
    (void)state;
    struct frame f;
    struct buf in;
    size_t used;
    buf_init(&in);
    put_extended(&in, "ping", 8, "abcdefgh", 8);
    frame_init(&f, magic);
    assert_int_equal(frame_feed(&f, in.data, in.len, &used), FRAME_HEADER);
    assert_int_equal(used, 44);
    assert_true(f.extended);
    assert_memory_equal(f.command, "ping", 5);
    frame_take(&f, FRAME_COLLECT);
    assert_int_equal(frame_feed(&f, in.data + used, in.len - used, &used), FRAME_MESSAGE);
    assert_true(f.checksum_ok);
    uint8_t digest[32];
    sha256d(digest, "abcdefgh", 8);
    assert_memory_equal(f.digest, digest, 32);
    frame_clear(&f);
    buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_has_the_bytes_of_the_specification),
        cmocka_unit_test(above_four_gigabytes_the_extended_header_is_written),
        cmocka_unit_test(any_slicing_gives_the_same_messages),
        cmocka_unit_test(a_payload_in_one_piece_is_not_copied),
        cmocka_unit_test(a_wrong_byte_of_the_magic_is_seen_at_once),
        cmocka_unit_test(memory_follows_what_came_not_what_was_claimed),
        cmocka_unit_test(a_wrong_checksum_is_told_and_the_next_message_is_fine),
        cmocka_unit_test(only_padded_printable_commands_are_well_formed),
        cmocka_unit_test(a_stream_gives_pieces_and_an_end),
        cmocka_unit_test(a_stream_can_be_dropped_in_the_middle),
        cmocka_unit_test(extended_framing_carries_no_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
