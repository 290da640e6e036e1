#include "tests/test.h"

#include <string.h>

#include "p2p/netaddr.h"
#include "p2p/socks5.h"

/* Feeds hex one byte at a time and returns the last result; out collects what is sent. */
static enum err feed_slowly(struct socks5 *s, const char *hex, struct buf *out, struct error *e)
{
    struct buf in = unhex(hex);
    enum err rc = OK;
    for (size_t i = 0; rc == OK && i < in.len; i++) {
        size_t used;
        rc = socks5_feed(s, in.data + i, 1, &used, out, e);
        assert_int_equal(used, 1);
    }
    buf_clear(&in);
    return rc;
}

static void assert_sent(struct buf *out, const char *hex)
{
    struct buf expect = unhex(hex);
    assert_int_equal(out->len, expect.len);
    assert_memory_equal(out->data, expect.data, expect.len);
    buf_clear(&expect);
    buf_reset(out);
}

static void start_v6(struct socks5 *s, const char *user, struct buf *out)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, "[2a01::5]:8333", 0, NULL), OK);
    buf_init(out);
    assert_int_equal(socks5_start_addr(s, &a, user, user ? "secret" : NULL, out, NULL), OK);
}

static void connects_to_an_ipv6_address_without_login(void **state)
{
    (void)state;
    struct socks5 s;
    struct buf out;
    start_v6(&s, NULL, &out);
    assert_sent(&out, "050100");
    assert_int_equal(feed_slowly(&s, "0500", &out, NULL), OK);
    assert_sent(&out, "05010004" "2a010000000000000000000000000005" "208d");
    assert_int_equal(feed_slowly(&s, "05000001" "00000000" "0000", &out, NULL), OK);
    assert_int_equal(s.state, SOCKS5_DONE);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

static void logs_in_when_the_proxy_asks(void **state)
{
    (void)state;
    struct socks5 s;
    struct buf out;
    start_v6(&s, "me", &out);
    assert_sent(&out, "05020002");
    assert_int_equal(feed_slowly(&s, "0502", &out, NULL), OK);
    assert_sent(&out, "01" "026d65" "06736563726574");
    assert_int_equal(feed_slowly(&s, "0100", &out, NULL), OK);
    assert_int_equal(s.state, SOCKS5_REPLY);
    socks5_clear(&s);
    assert_int_equal(s.auth_len, 0);
    buf_clear(&out);
}

static void ipv4_targets_are_sent_as_ipv4_and_names_as_names(void **state)
{
    (void)state;
    struct socks5 s;
    struct buf out;
    struct netaddr a;
    buf_init(&out);
    assert_int_equal(netaddr_parse(&a, "1.2.3.4:8333", 0, NULL), OK);
    assert_int_equal(socks5_start_addr(&s, &a, NULL, NULL, &out, NULL), OK);
    buf_reset(&out);
    assert_int_equal(feed_slowly(&s, "0500", &out, NULL), OK);
    assert_sent(&out, "05010001" "01020304" "208d");
    assert_int_equal(socks5_start_name(&s, "seed.io", 18333, NULL, NULL, &out, NULL), OK);
    buf_reset(&out);
    assert_int_equal(feed_slowly(&s, "0500", &out, NULL), OK);
    assert_sent(&out, "05010003" "07736565642e696f" "479d");
    buf_clear(&out);
}

static void bytes_of_the_peer_behind_the_reply_are_left_alone(void **state)
{
    (void)state;
    struct socks5 s;
    struct buf out, in = unhex("0500" "05000003" "02" "6161" "0001" "e3e1f3e8");
    size_t used;
    start_v6(&s, NULL, &out);
    assert_int_equal(socks5_feed(&s, in.data, in.len, &used, &out, NULL), OK);
    assert_int_equal(s.state, SOCKS5_DONE);
    assert_int_equal(used, in.len - 4);
    assert_int_equal(socks5_feed(&s, in.data, in.len, &used, &out, NULL), OK);
    assert_int_equal(used, 0);
    buf_clear(&in);
    buf_clear(&out);
}

static void refusals_and_nonsense_fail_with_a_reason(void **state)
{
    (void)state;
    static const struct { const char *in; enum err rc; const char *text; } rows[] = {
        { "0400", ERR_PROTO, "SOCKS5" },
        { "05ff", ERR_AUTH, "log in" },
        { "0502", ERR_AUTH, "log in" }, /* we have no user */
        { "0500" "0505000100000000" "0000", ERR_IO, "connection refused" },
        { "0500" "0504000100000000" "0000", ERR_IO, "host unreachable" },
        { "0500" "05fe000100000000" "0000", ERR_IO, "unknown reply" },
        { "0500" "0500010100000000" "0000", ERR_PROTO, "broken" },
        { "0500" "0400000100000000" "0000", ERR_PROTO, "broken" },
        { "0500" "0500000200000000" "0000", ERR_PROTO, "address type" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct socks5 s;
        struct buf out;
        struct error e;
        size_t used;
        start_v6(&s, NULL, &out);
        assert_int_equal(feed_slowly(&s, rows[i].in, &out, &e), rows[i].rc);
        assert_non_null(strstr(e.text, rows[i].text));
        assert_int_equal(s.state, SOCKS5_FAILED);
        assert_int_equal(socks5_feed(&s, "", 0, &used, &out, NULL), ERR_PROTO);
        buf_clear(&out);
    }
}

static void a_wrong_password_is_an_auth_error(void **state)
{
    (void)state;
    struct socks5 s;
    struct buf out;
    start_v6(&s, "me", &out);
    assert_int_equal(feed_slowly(&s, "05020101", &out, NULL), ERR_AUTH);
    buf_clear(&out);
    start_v6(&s, "me", &out);
    assert_int_equal(feed_slowly(&s, "05020500", &out, NULL), ERR_PROTO);
    buf_clear(&out);
}

/* attacks D11: the longest of each field, and one more */
static void fields_of_255_bytes_fit_and_256_are_refused(void **state)
{
    (void)state;
    char longest[257];
    struct socks5 s;
    struct buf out, reply;
    size_t used;
    memset(longest, 'a', sizeof longest);
    longest[255] = '\0';
    buf_init(&out);
    buf_init(&reply);
    assert_int_equal(socks5_start_name(&s, longest, 1, longest, longest, &out, NULL), OK);
    assert_int_equal(s.auth_len, sizeof s.auth);
    assert_int_equal(s.request_len, sizeof s.request);
    buf_put(&reply, "\x05\x02\x01\x00\x05\x00\x00\x03\xff", 9);
    buf_put(&reply, longest, 255);
    buf_put(&reply, "\x00\x01", 2);
    assert_int_equal(socks5_feed(&s, reply.data, reply.len, &used, &out, NULL), OK);
    assert_int_equal(s.state, SOCKS5_DONE);
    assert_int_equal(used, reply.len);
    longest[255] = 'a';
    longest[256] = '\0';
    assert_int_equal(socks5_start_name(&s, longest, 1, NULL, NULL, &out, NULL), ERR_RANGE);
    assert_int_equal(s.state, SOCKS5_FAILED);
    assert_int_equal(socks5_start_name(&s, "a", 1, longest, "b", &out, NULL), ERR_RANGE);
    assert_int_equal(socks5_start_name(&s, "a", 1, "b", longest, &out, NULL), ERR_RANGE);
    assert_int_equal(socks5_start_name(&s, "", 1, NULL, NULL, &out, NULL), ERR_RANGE);
    assert_int_equal(socks5_start_name(&s, "a", 1, "user", "", &out, NULL), ERR_RANGE);
    buf_clear(&reply);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_to_an_ipv6_address_without_login),
        cmocka_unit_test(logs_in_when_the_proxy_asks),
        cmocka_unit_test(ipv4_targets_are_sent_as_ipv4_and_names_as_names),
        cmocka_unit_test(bytes_of_the_peer_behind_the_reply_are_left_alone),
        cmocka_unit_test(refusals_and_nonsense_fail_with_a_reason),
        cmocka_unit_test(a_wrong_password_is_an_auth_error),
        cmocka_unit_test(fields_of_255_bytes_fit_and_256_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
