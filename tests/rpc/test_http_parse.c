#include "rpc/http_parse.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

static char text_buf[4096];

static enum err parse(struct http_head *h, const char *text, int *status)
{
    size_t len = strlen(text);
    memcpy(text_buf, text, len + 1);
    size_t size = http_head_size(text_buf, len);
    assert_int_equal(size, len);
    return http_head_parse(h, text_buf, size, status);
}

static void a_plain_request_is_taken_apart(void **state)
{
    (void)state;
    struct http_head h;
    int status;
    assert_int_equal(parse(&h,
                           "\r\nPOST /wallet/w?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length:  12 \r\n"
                               "Authorization: Basic abc\r\nExpect: 100-continue\r\n\r\n", &status),
                     OK);
    assert_string_equal(h.method, "POST");
    assert_string_equal(h.path, "/wallet/w");
    assert_string_equal(h.query, "x=1");
    assert_true(h.keep_alive && h.has_length && h.expect_continue && !h.chunked);
    assert_int_equal(h.length, 12);
    assert_string_equal(http_head_field(&h, "AUTHORIZATION"), "Basic abc");
    assert_null(http_head_field(&h, "Origin"));
}

static void keep_alive_follows_version_and_connection(void **state)
{
    (void)state;
    struct http_head h;
    int status;
    assert_int_equal(parse(&h, "GET / HTTP/1.0\r\n\r\n", &status), OK);
    assert_false(h.keep_alive);
    assert_int_equal(parse(&h, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &status), OK);
    assert_true(h.keep_alive);
    assert_int_equal(parse(&h, "GET / HTTP/1.1\nConnection: foo, close\n\n", &status), OK);
    assert_false(h.keep_alive);
    assert_int_equal(parse(&h, "GET http://host:1/a HTTP/1.1\r\n\r\n", &status), OK);
    assert_string_equal(h.path, "/a");
}

static void heads_with_two_readings_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", "G@T / HTTP/1.1\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_head h;
        int status;
        if (parse(&h, bad[i], &status) == OK)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(status, 400);
    }
    struct http_head h;
    int status;
    assert_int_equal(parse(&h, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", &status),
                     ERR_RANGE);
    assert_int_equal(status, 501);
}

static void too_many_fields_are_refused(void **state)
{
    (void)state;
    struct buf b;
    struct http_head h;
    int status;
    buf_init(&b);
    buf_put_str(&b, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_printf(&b, "A%d: x\r\n", i);
    buf_put_str(&b, "\r\n");
    assert_int_equal(http_head_parse(&h, (char *)b.data, b.len, &status), ERR_RANGE);
    assert_int_equal(status, 431);
    buf_clear(&b);
}

static void the_end_of_a_head_is_found_with_either_line_end(void **state)
{
    (void)state;
    assert_int_equal(http_head_size("GET / HTTP/1.1\r\n\r\nbody", 22), 18);
    assert_int_equal(http_head_size("GET / HTTP/1.1\n\nbody", 20), 16);
    assert_int_equal(http_head_size("GET / HTTP/1.1\r\nA: b\r\n", 22), 0);
    assert_int_equal(http_head_size("\r\n\r\n", 4), 0);
}

/* Decodes text fed in pieces of `piece` bytes; false when it is refused or unfinished. */
static bool unchunk(const char *text, size_t piece, struct buf *out)
{
    struct http_chunks c;
    const char *end = text + strlen(text), *data;
    size_t n;
    buf_reset(out);
    http_chunks_init(&c);
    while (text < end && c.state != CHUNK_DONE) {
        const char *stop = (size_t)(end - text) < piece ? end : text + piece;
        while (text < stop && c.state != CHUNK_DONE) {
            if (http_chunks_next(&c, &text, stop, &data, &n))
                return false;
            buf_put(out, data, n);
        }
    }
    return c.state == CHUNK_DONE && text == end;
}

static void chunks_decode_the_same_however_they_are_cut(void **state)
{
    (void)state;
    static const char text[] =
        "5;x=y\r\nhello\r\n1\r\n \r\n0005 \r\nworld\r\n0\r\nTrailer: x\r\n\r\n";
    struct buf out;
    buf_init(&out);
    for (size_t piece = 1; piece < sizeof text; piece++) {
        assert_true(unchunk(text, piece, &out));
        assert_int_equal(out.len, 11);
        assert_memory_equal(out.data, "hello world", 11);
    }
    buf_clear(&out);
}

static void any_number_of_chunks_is_taken_but_not_of_what_is_no_content(void **state)
{
    (void)state;
    struct buf text, out;
    buf_init(&text);
    buf_init(&out);
    for (int i = 0; i < 20000; i++)
        buf_put_str(&text, "1\r\nx\r\n");
    buf_put(&text, "0\r\n\r\n", 6); /* with its NUL */
    assert_true(unchunk((const char *)text.data, 1000, &out));
    assert_int_equal(out.len, 20000);
    buf_reset(&text);
    for (int i = 0; i < 5000; i++)
        buf_put_str(&text, "1;e\r\nx\r\n");
    buf_put(&text, "0\r\n\r\n", 6);
    assert_false(unchunk((const char *)text.data, 1000, &out));
    buf_clear(&text);
    buf_clear(&out);
}

static void broken_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "x\r\n", "\r\n", "-1\r\n", "5\r\nhelloX",
                                       "fffffffffffffffff\r\n", "0\r\n" };
    struct buf out;
    buf_init(&out);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(unchunk(bad[i], 100, &out));
    buf_clear(&out);
}

static void ranges_are_read_or_ignored(void **state)
{
    (void)state;
    static const struct { const char *field; enum http_range range; uint64_t from, len; } rows[] = {
        { NULL, RANGE_WHOLE, 0, 100 },         { "bytes=0-99", RANGE_PART, 0, 100 },
        { "bytes=10-19", RANGE_PART, 10, 10 }, { "Bytes=10-", RANGE_PART, 10, 90 },
        { "bytes=-5", RANGE_PART, 95, 5 },     { "bytes=-500", RANGE_PART, 0, 100 },
        { "bytes=99-99", RANGE_PART, 99, 1 },  { "bytes=50-5000", RANGE_PART, 50, 50 },
        { "bytes=100-", RANGE_UNSATISFIABLE, 0, 100 },
        { "bytes=18446744073709551615-", RANGE_UNSATISFIABLE, 0, 100 },
        { "bytes=-0", RANGE_UNSATISFIABLE, 0, 100 },
        { "bytes=20-10", RANGE_WHOLE, 0, 100 }, { "bytes=", RANGE_WHOLE, 0, 100 },
        { "bytes=-", RANGE_WHOLE, 0, 100 },     { "bytes=1-2,4-5", RANGE_WHOLE, 0, 100 },
        { "bytes=a-b", RANGE_WHOLE, 0, 100 },   { "lines=1-2", RANGE_WHOLE, 0, 100 },
        { "bytes=1-18446744073709551616", RANGE_WHOLE, 0, 100 },
    };
    uint64_t from, len;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(http_range_parse(rows[i].field, 100, &from, &len), rows[i].range);
        assert_int_equal(from, rows[i].from);
        assert_int_equal(len, rows[i].len);
    }
    assert_int_equal(http_range_parse("bytes=0-0", 0, &from, &len), RANGE_UNSATISFIABLE);
    assert_int_equal(http_range_parse("bytes=-1", 0, &from, &len), RANGE_UNSATISFIABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_taken_apart),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(heads_with_two_readings_are_refused),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(the_end_of_a_head_is_found_with_either_line_end),
        cmocka_unit_test(chunks_decode_the_same_however_they_are_cut),
        cmocka_unit_test(any_number_of_chunks_is_taken_but_not_of_what_is_no_content),
        cmocka_unit_test(broken_chunks_are_refused),
        cmocka_unit_test(ranges_are_read_or_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
