#include "tests/test.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/reader.h"
#include "p2p/netaddr.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    struct error e;
    if (netaddr_parse(&a, text, 8333, &e) != OK)
        fail_msg("%s: %s", text, e.text);
    return a;
}

static struct subnet net(const char *text)
{
    struct subnet s;
    struct error e;
    if (subnet_parse(&s, text, &e) != OK)
        fail_msg("%s: %s", text, e.text);
    return s;
}

/* First and last address of each range of spec p2p 7.5, and their neighbours. */
static const struct { const char *text; enum netaddr_class class; } classes[] = {
    { "::", NETADDR_UNSPECIFIED }, { "0.0.0.0", NETADDR_UNSPECIFIED },
    { "0.255.255.255", NETADDR_UNSPECIFIED }, { "1.0.0.0", NETADDR_GLOBAL },
    { "::1", NETADDR_LOOPBACK }, { "127.0.0.1", NETADDR_LOOPBACK },
    { "127.255.255.255", NETADDR_LOOPBACK }, { "128.0.0.0", NETADDR_GLOBAL },
    { "126.255.255.255", NETADDR_GLOBAL }, { "::2", NETADDR_RESERVED },
    { "fe80::1", NETADDR_LINK_LOCAL }, { "febf:ffff::", NETADDR_LINK_LOCAL },
    { "fec0::1", NETADDR_PRIVATE }, { "fc00::", NETADDR_PRIVATE },
    { "fdff:ffff::1", NETADDR_PRIVATE }, { "fbff::1", NETADDR_GLOBAL },
    { "fe00::1", NETADDR_GLOBAL }, { "ff00::", NETADDR_MULTICAST },
    { "ff02::1", NETADDR_MULTICAST },
    { "2001:db8::1", NETADDR_DOCUMENTATION }, { "2001:db7:ffff::1", NETADDR_GLOBAL },
    { "2001:db9::", NETADDR_GLOBAL }, { "2001:10::1", NETADDR_RESERVED },
    { "2001:1f:ffff::", NETADDR_RESERVED }, { "2001:20::1", NETADDR_RESERVED },
    { "2001:30::1", NETADDR_GLOBAL }, { "100::1", NETADDR_RESERVED },
    { "100:0:0:1::", NETADDR_GLOBAL }, { "10.0.0.0", NETADDR_PRIVATE },
    { "10.255.255.255", NETADDR_PRIVATE }, { "11.0.0.0", NETADDR_GLOBAL },
    { "9.255.255.255", NETADDR_GLOBAL }, { "172.15.255.255", NETADDR_GLOBAL },
    { "172.16.0.0", NETADDR_PRIVATE }, { "172.31.255.255", NETADDR_PRIVATE },
    { "172.32.0.0", NETADDR_GLOBAL }, { "192.168.0.0", NETADDR_PRIVATE },
    { "192.168.255.255", NETADDR_PRIVATE }, { "192.169.0.0", NETADDR_GLOBAL },
    { "192.167.255.255", NETADDR_GLOBAL }, { "169.254.0.0", NETADDR_LINK_LOCAL },
    { "169.254.255.255", NETADDR_LINK_LOCAL }, { "169.255.0.0", NETADDR_GLOBAL },
    { "100.63.255.255", NETADDR_GLOBAL }, { "100.64.0.0", NETADDR_PRIVATE },
    { "100.127.255.255", NETADDR_PRIVATE }, { "100.128.0.0", NETADDR_GLOBAL },
    { "198.17.255.255", NETADDR_GLOBAL }, { "198.18.0.0", NETADDR_PRIVATE },
    { "198.19.255.255", NETADDR_PRIVATE }, { "198.20.0.0", NETADDR_GLOBAL },
    { "192.0.2.0", NETADDR_DOCUMENTATION }, { "192.0.2.255", NETADDR_DOCUMENTATION },
    { "192.0.3.0", NETADDR_GLOBAL }, { "198.51.100.7", NETADDR_DOCUMENTATION },
    { "203.0.113.255", NETADDR_DOCUMENTATION }, { "203.0.114.0", NETADDR_GLOBAL },
    { "224.0.0.1", NETADDR_MULTICAST }, { "239.255.255.255", NETADDR_MULTICAST },
    { "240.0.0.0", NETADDR_RESERVED }, { "255.255.255.255", NETADDR_RESERVED },
    { "223.255.255.255", NETADDR_GLOBAL },
    /* tunnels carry the class of the IPv4 inside */
    { "2002:0a00:0001::1", NETADDR_PRIVATE }, { "2002:0808:0808::1", NETADDR_GLOBAL },
    { "64:ff9b::192.168.1.1", NETADDR_PRIVATE }, { "64:ff9b::8.8.8.8", NETADDR_GLOBAL },
    { "::ffff:0:127.0.0.1", NETADDR_LOOPBACK }, { "::ffff:0:8.8.8.8", NETADDR_GLOBAL },
    { "2001:0:1::f5ff:fffe", NETADDR_PRIVATE }, /* inverted 10.0.0.1 */
    { "2001:0:1::f7f7:f7f7", NETADDR_GLOBAL },  /* inverted 8.8.8.8 */
    { "::ffff:10.0.0.1", NETADDR_PRIVATE }, { "2a01::1", NETADDR_GLOBAL },
};

static void each_range_has_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(classes); i++) {
        struct netaddr a = addr(classes[i].text);
        if (netaddr_class(&a) != classes[i].class)
            fail_msg("%s has class %d", classes[i].text, netaddr_class(&a));
        assert_int_equal(netaddr_is_routable(&a), classes[i].class == NETADDR_GLOBAL);
    }
    vector_report("address classes", COUNT(classes));
}

static void network_follows_family_and_routability(void **state)
{
    (void)state;
    struct netaddr a = addr("8.8.8.8"), b = addr("2a01::1"), c = addr("10.0.0.1");
    assert_int_equal(netaddr_network(&a), NETWORK_IPV4);
    assert_int_equal(netaddr_network(&b), NETWORK_IPV6);
    assert_int_equal(netaddr_network(&c), NETWORK_NONE);
}

static void local_is_what_score_never_bans(void **state)
{
    (void)state;
    static const char *const local[] = { "127.0.0.1", "127.9.9.9", "0.1.2.3", "::1" };
    static const char *const other[] = { "::", "::2", "10.0.0.1", "fe80::1", "128.0.0.1" };
    for (size_t i = 0; i < COUNT(local); i++) {
        struct netaddr a = addr(local[i]);
        assert_true(netaddr_is_local(&a));
    }
    for (size_t i = 0; i < COUNT(other); i++) {
        struct netaddr a = addr(other[i]);
        assert_false(netaddr_is_local(&a));
    }
}

static void what_the_user_names_can_be_dialled_but_nonsense_cannot(void **state)
{
    (void)state;
    static const char *const good[] = { "127.0.0.1", "::1", "fe80::1", "10.0.0.1", "8.8.8.8",
                                        "fc00::1" };
    static const char *const bad[] = { "::", "0.0.0.0", "255.255.255.255", "2001:db8::1", "ff02::1",
                                       "224.0.0.1", "8.8.8.8:0" };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct netaddr a = addr(good[i]);
        assert_true(netaddr_is_dialable(&a));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct netaddr a = addr(bad[i]);
        assert_false(netaddr_is_dialable(&a));
    }
}

static void text_forms_are_read_and_printed(void **state)
{
    (void)state;
    static const struct { const char *in, *with_port, *ip; } rows[] = {
        { "1.2.3.4", "1.2.3.4:8333", "1.2.3.4" },
        { "1.2.3.4:18444", "1.2.3.4:18444", "1.2.3.4" },
        { "::1", "[::1]:8333", "::1" },
        { "[::1]", "[::1]:8333", "::1" },
        { "[::1]:18444", "[::1]:18444", "::1" },
        { "2A01:0:0::0005:8333", "[2a01::5:8333]:8333", "2a01::5:8333" },
        { "::ffff:1.2.3.4", "1.2.3.4:8333", "1.2.3.4" },
        { "[::ffff:1.2.3.4]:1", "1.2.3.4:1", "1.2.3.4" },
        { "[2a01::]:65535", "[2a01::]:65535", "2a01::" },
    };
    char out[NETADDR_TEXT_MAX];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct netaddr a = addr(rows[i].in), again;
        assert_string_equal(netaddr_print(out, &a, NETADDR_IP_ONLY), rows[i].ip);
        assert_string_equal(netaddr_print(out, &a, NETADDR_WITH_PORT), rows[i].with_port);
        again = addr(out);
        assert_true(netaddr_equal(&a, &again));
    }
}

static void broken_text_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", ":", "[]", "[::1", "::1]", "[::1]x", "[::1]:", "[::1]:65536", "[::1]:-1", "1.2.3.4:",
        "1.2.3.4:65536", "1.2.3.4: 1", "1.2.3", "1.2.3.4.5", "01.2.3.4.", "256.1.1.1",
        "[1.2.3.4]:1", "seed.bitcoinsv.io", "::g", "1::2::3", "fe80::1%", "fe80::1%no-such-if0",
        "1.2.3.4%lo", "fe80::1%0", "12345:::", ":8333", "0x1.2.3.4",
    };
    struct netaddr a;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error e = { OK, "" };
        if (netaddr_parse(&a, rows[i], 8333, &e) != ERR_PARSE || e.text[0] == '\0')
            fail_msg("'%s' was taken", rows[i]);
    }
}

static void scope_is_kept_for_connect_and_print_but_not_compared(void **state)
{
    (void)state;
    unsigned lo = if_nametoindex("lo");
    struct sockaddr_storage ss;
    char out[NETADDR_TEXT_MAX];
    if (lo == 0)
        skip();
    struct netaddr a = addr("[fe80::1%lo]:8333"), b = addr("[fe80::1]:8333"), back;
    assert_int_equal(a.scope_id, lo);
    assert_string_equal(netaddr_print(out, &a, NETADDR_WITH_PORT), "[fe80::1%lo]:8333");
    assert_true(netaddr_equal(&a, &b));
    assert_int_equal(netaddr_to_sockaddr(&a, &ss), sizeof(struct sockaddr_in6));
    assert_true(netaddr_from_sockaddr(&back, (struct sockaddr *)&ss));
    assert_int_equal(back.scope_id, lo);
    assert_true(netaddr_equal(&a, &back));
}

static void mapped_addresses_connect_by_ipv4(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    struct netaddr a = addr("1.2.3.4:99"), back;
    assert_int_equal(netaddr_to_sockaddr(&a, &ss), sizeof(struct sockaddr_in));
    assert_int_equal(ss.ss_family, AF_INET);
    assert_true(netaddr_from_sockaddr(&back, (struct sockaddr *)&ss));
    assert_true(netaddr_equal(&a, &back));
    ss.ss_family = AF_UNIX;
    assert_false(netaddr_from_sockaddr(&back, (struct sockaddr *)&ss));
}

static void host_and_port_are_split_for_names_too(void **state)
{
    (void)state;
    char host[64];
    uint16_t port = 1;
    assert_int_equal(netaddr_split_host_port("node.example:18444", host, sizeof host, &port, NULL),
                     OK);
    assert_string_equal(host, "node.example");
    assert_int_equal(port, 18444);
    assert_int_equal(netaddr_split_host_port("node.example", host, sizeof host, &port, NULL), OK);
    assert_int_equal(port, 18444);
    assert_int_equal(netaddr_split_host_port("a:b:c", host, sizeof host, &port, NULL), OK);
    assert_string_equal(host, "a:b:c");
    assert_int_equal(netaddr_split_host_port("node.example:99999", host, sizeof host, &port, NULL),
                     ERR_PARSE);
    assert_int_equal(netaddr_split_host_port("node.example", host, 12, &port, NULL), ERR_PARSE);
}

static void wire_forms_are_26_and_30_bytes_and_come_back(void **state)
{
    (void)state;
    struct peer_addr pa = { addr("[2a01::5]:8333"), 0x21, 1700000000 }, back;
    struct buf b, expect = unhex("00f15365" "2100000000000000"
                                 "2a010000000000000000000000000005" "208d");
    struct reader r;
    buf_init(&b);
    peer_addr_write(&b, &pa, PEER_ADDR_30);
    assert_int_equal(b.len, 30);
    assert_memory_equal(b.data, expect.data, 30);
    reader_init(&r, b.data, b.len);
    peer_addr_read(&r, &back, PEER_ADDR_30);
    assert_true(reader_done(&r));
    assert_true(netaddr_equal(&pa.addr, &back.addr));
    assert_int_equal(back.time, 1700000000);
    assert_int_equal(back.services, 0x21);
    buf_reset(&b);
    peer_addr_write(&b, &pa, PEER_ADDR_26);
    assert_int_equal(b.len, 26);
    reader_init(&r, b.data, 25);
    peer_addr_read(&r, &back, PEER_ADDR_26);
    assert_true(r.failed);
    buf_clear(&b);
    buf_clear(&expect);
}

static void subnets_are_read_printed_and_matched(void **state)
{
    (void)state;
    static const struct { const char *in, *out, *inside, *outside; } rows[] = {
        { "1.2.3.4", "1.2.3.4/32", "1.2.3.4", "1.2.3.5" },
        { "1.2.3.4/24", "1.2.3.0/24", "1.2.3.255", "1.2.4.0" },
        { "10.1.2.3/255.0.0.0", "10.0.0.0/8", "10.255.0.1", "11.0.0.1" },
        { "192.168.1.0/255.255.255.252", "192.168.1.0/30", "192.168.1.3", "192.168.1.4" },
        { "0.0.0.0/0", "0.0.0.0/0", "255.1.1.1", "2a01::1" },
        { "2a01:db::1", "2a01:db::1/128", "2a01:db::1", "2a01:db::2" },
        { "2a01:db::1/32", "2a01:db::/32", "2a01:db:ffff::", "2a01:dc::" },
        { "2a01:db::1/ffff:ffff::", "2a01:db::/32", "2a01:db:ffff::", "2a01:dc::" },
        { "2a01::/63", "2a01::/63", "2a01:0:0:1::", "2a01:0:0:2::" },
    };
    char out[NETADDR_TEXT_MAX];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct subnet s = net(rows[i].in), again;
        struct netaddr in = addr(rows[i].inside), outside = addr(rows[i].outside);
        assert_string_equal(subnet_print(out, &s), rows[i].out);
        again = net(out);
        assert_true(subnet_equal(&s, &again));
        assert_true(subnet_contains(&s, &in));
        assert_false(subnet_contains(&s, &outside));
    }
}

static void broken_subnets_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "/", "/8", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "::/129", "1.2.3.4/255.0.255.0",
        "1.2.3.4/ffff::", "::/255.0.0.0", "::1/ffff::1", "name/8", "1.2.3.4/8/8", "1.2.3.4/8 ",
        "[::1]/8",
    };
    struct subnet s;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (subnet_parse(&s, rows[i], NULL) != ERR_PARSE)
            fail_msg("'%s' was taken", rows[i]);
}

static void overlong_text_is_refused(void **state)
{
    (void)state;
    char text[2000];
    struct netaddr a;
    struct subnet s;
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(netaddr_parse(&a, text, 1, NULL), ERR_PARSE);
    assert_int_equal(subnet_parse(&s, text, NULL), ERR_PARSE);
    text[0] = '[';
    assert_int_equal(netaddr_parse(&a, text, 1, NULL), ERR_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_range_has_its_class),
        cmocka_unit_test(network_follows_family_and_routability),
        cmocka_unit_test(local_is_what_score_never_bans),
        cmocka_unit_test(what_the_user_names_can_be_dialled_but_nonsense_cannot),
        cmocka_unit_test(text_forms_are_read_and_printed),
        cmocka_unit_test(broken_text_is_refused),
        cmocka_unit_test(scope_is_kept_for_connect_and_print_but_not_compared),
        cmocka_unit_test(mapped_addresses_connect_by_ipv4),
        cmocka_unit_test(host_and_port_are_split_for_names_too),
        cmocka_unit_test(wire_forms_are_26_and_30_bytes_and_come_back),
        cmocka_unit_test(subnets_are_read_printed_and_matched),
        cmocka_unit_test(broken_subnets_are_refused),
        cmocka_unit_test(overlong_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
