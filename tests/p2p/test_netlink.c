#include "tests/test.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/netlink.h"

static const uint8_t address[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 4, 0x63, 0x14, 0xa9, 0xf8,
                                     0xf8, 0, 0x78 };

/* Appends a message to a datagram. */
static void put_message(struct buf *out, uint16_t type, const struct buf *body)
{
    static const uint8_t zeros[3];
    const struct nlmsghdr h = { .nlmsg_len = (uint32_t)(sizeof h + body->len), .nlmsg_type = type,
                                .nlmsg_flags = NLM_F_MULTI, .nlmsg_seq = 7 };
    buf_put(out, zeros, (4 - out->len % 4) % 4);
    buf_put(out, &h, sizeof h);
    buf_put(out, body->data, body->len);
}

static struct buf address_body(void)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = 3,
                                    .ifa_flags = 0x80 };
    const struct ifa_cacheinfo times = { .ifa_prefered = 0, .ifa_valid = 77 };
    const uint32_t flags = 0x280;
    struct buf b;
    buf_init(&b);
    buf_put(&b, &head, sizeof head);
    netlink_put(&b, IFA_ADDRESS, address, sizeof address);
    netlink_put(&b, IFA_CACHEINFO, &times, sizeof times);
    netlink_put(&b, IFA_FLAGS, &flags, sizeof flags);
    return b;
}

static struct buf route_body(uint32_t table, uint32_t metric)
{
    const struct rtmsg head = { .rtm_family = AF_INET6, .rtm_type = RTN_UNICAST };
    const uint32_t index = 5;
    struct buf b;
    buf_init(&b);
    buf_put(&b, &head, sizeof head);
    netlink_put(&b, RTA_TABLE, &table, sizeof table);
    netlink_put(&b, RTA_PRIORITY, &metric, sizeof metric);
    netlink_put(&b, RTA_OIF, &index, sizeof index);
    return b;
}

static void messages_follow_one_another(void **state)
{
    (void)state;
    struct buf all, first = unhex("0102030405"), second = unhex("aabb");
    struct netlink_message m;
    buf_init(&all);
    put_message(&all, 20, &first);
    put_message(&all, 21, &second);
    struct span rest = buf_span(&all);
    assert_true(netlink_next(&rest, &m));
    assert_int_equal(m.type, 20);
    assert_int_equal(m.seq, 7);
    assert_int_equal(m.body.len, 5);
    assert_memory_equal(m.body.data, first.data, 5);
    assert_true(netlink_next(&rest, &m));
    assert_int_equal(m.type, 21);
    assert_int_equal(m.body.len, 2);
    assert_int_equal(rest.len, 0);
    assert_false(netlink_next(&rest, &m));
    buf_clear(&all);
    buf_clear(&first);
    buf_clear(&second);
}

static void a_message_longer_than_what_came_is_none(void **state)
{
    (void)state;
    struct buf all, body = unhex("01020304");
    struct netlink_message m;
    buf_init(&all);
    put_message(&all, 20, &body);
    for (size_t len = 0; len < all.len; len++) {
        struct span rest = span_of(all.data, len);
        assert_false(netlink_next(&rest, &m));
        assert_int_equal(rest.len, len);
    }
    const uint32_t wrong[] = { 0, 15, 21, UINT32_MAX };
    for (size_t i = 0; i < 4; i++) {
        memcpy(all.data, &wrong[i], 4);
        struct span rest = buf_span(&all);
        assert_false(netlink_next(&rest, &m));
    }
    buf_clear(&all);
    buf_clear(&body);
}

static void an_address_is_read_with_its_flags_and_times(void **state)
{
    (void)state;
    struct netlink_address a;
    struct buf b = address_body();
    assert_true(netlink_read_address(buf_span(&b), &a));
    assert_memory_equal(a.address, address, 16);
    assert_int_equal(a.prefix_len, 64);
    assert_int_equal(a.index, 3);
    assert_int_equal(a.flags, 0x280);
    assert_int_equal(a.preferred_s, 0);
    assert_int_equal(a.valid_s, 77);
    buf_clear(&b);
}

static void of_a_point_to_point_link_the_near_end_counts(void **state)
{
    (void)state;
    static const uint8_t far[16] = { 0xfe };
    struct netlink_address a;
    struct buf b = address_body();
    netlink_put(&b, IFA_LOCAL, far, sizeof far);
    assert_true(netlink_read_address(buf_span(&b), &a));
    assert_memory_equal(a.address, far, 16);
    netlink_put(&b, IFA_ADDRESS, address, sizeof address);
    assert_true(netlink_read_address(buf_span(&b), &a));
    assert_memory_equal(a.address, far, 16);
    buf_clear(&b);
}

static void what_is_cut_is_no_address_and_no_route(void **state)
{
    (void)state;
    struct netlink_address a;
    struct netlink_route r;
    struct buf b = address_body(), c = route_body(RT_TABLE_MAIN, 1);
    const size_t whole = sizeof(struct ifaddrmsg) + 20; /* head and IFA_ADDRESS */
    for (size_t len = 0; len < b.len; len++)
        if (len != whole && len != whole + 20) /* the ends of attributes */
            assert_false(netlink_read_address(span_of(b.data, len), &a));
    for (size_t len = 0; len < c.len; len++)
        assert_false(netlink_read_default_route(span_of(c.data, len), &r));
    b.data[0] = AF_INET;
    assert_false(netlink_read_address(buf_span(&b), &a));
    netlink_put(&c, RTA_OIF, "123", 3);
    assert_false(netlink_read_default_route(buf_span(&c), &r));
    buf_clear(&b);
    buf_clear(&c);
}

static void a_default_route_is_of_the_main_table_and_usable(void **state)
{
    (void)state;
    struct netlink_route r;
    struct buf b = route_body(RT_TABLE_MAIN, 1024), other = route_body(100, 1024);
    assert_true(netlink_read_default_route(buf_span(&b), &r));
    assert_int_equal(r.index, 5);
    assert_int_equal(r.metric, 1024);
    assert_false(netlink_read_default_route(buf_span(&other), &r));
    struct rtmsg head;
    memcpy(&head, b.data, sizeof head);
    const struct rtmsg good = head;
    struct rtmsg bad[5] = { good, good, good, good, good };
    bad[0].rtm_dst_len = 64;
    bad[1].rtm_type = RTN_UNREACHABLE;
    bad[2].rtm_family = AF_INET;
    bad[3].rtm_flags = RTNH_F_DEAD;
    bad[4].rtm_src_len = 1;
    for (size_t i = 0; i < 5; i++) {
        memcpy(b.data, &bad[i], sizeof head);
        assert_false(netlink_read_default_route(buf_span(&b), &r));
    }
    buf_clear(&b);
    buf_clear(&other);
}

static void of_several_ways_the_first_counts(void **state)
{
    (void)state;
    const struct rtmsg head = { .rtm_family = AF_INET6, .rtm_type = RTN_UNICAST,
                                .rtm_table = RT_TABLE_MAIN };
    const struct rtnexthop hops[2] = { { .rtnh_len = sizeof *hops, .rtnh_ifindex = 8 },
                                       { .rtnh_len = sizeof *hops, .rtnh_ifindex = 9 } };
    struct netlink_route r;
    struct buf b;
    buf_init(&b);
    buf_put(&b, &head, sizeof head);
    assert_false(netlink_read_default_route(buf_span(&b), &r));
    netlink_put(&b, RTA_MULTIPATH, hops, sizeof hops);
    assert_true(netlink_read_default_route(buf_span(&b), &r));
    assert_int_equal(r.index, 8);
    buf_clear(&b);
}

static void a_list_that_ended_early_is_none(void **state)
{
    (void)state;
    struct error e = { .code = OK };
    const int fine = 0, failed = -ENOMEM, odd = 7;
    assert_int_equal(netlink_read_end(span_of(&fine, sizeof fine), &e), OK);
    assert_int_equal(netlink_read_end(span_of(NULL, 0), &e), OK);
    assert_int_not_equal(netlink_read_end(span_of(&failed, sizeof failed), &e), OK);
    assert_non_null(strstr(e.text, strerror(ENOMEM)));
    assert_int_not_equal(netlink_read_end(span_of(&odd, sizeof odd), &e), OK);
    assert_int_not_equal(netlink_read_end(span_of(&failed, 3), &e), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_follow_one_another),
        cmocka_unit_test(a_message_longer_than_what_came_is_none),
        cmocka_unit_test(an_address_is_read_with_its_flags_and_times),
        cmocka_unit_test(of_a_point_to_point_link_the_near_end_counts),
        cmocka_unit_test(what_is_cut_is_no_address_and_no_route),
        cmocka_unit_test(a_default_route_is_of_the_main_table_and_usable),
        cmocka_unit_test(of_several_ways_the_first_counts),
        cmocka_unit_test(a_list_that_ended_early_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
