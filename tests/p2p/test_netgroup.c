#include "tests/test.h"

#include <string.h>

#include "base/hash.h"
#include "p2p/netaddr.h"
#include "p2p/netgroup.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, text, 8333, NULL), OK);
    return a;
}

struct pair { const char *a, *b; bool same; };

static void check(const struct pair *rows, size_t n, enum netgroup_use use)
{
    for (size_t i = 0; i < n; i++) {
        struct netaddr a = addr(rows[i].a), b = addr(rows[i].b);
        struct netgroup ga = netgroup_of(&a, use), gb = netgroup_of(&b, use);
        if (netgroup_equal(&ga, &gb) != rows[i].same)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
    }
}

static void diversity_groups_follow_the_table(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        { "2a01:db::1", "2a01:db:ffff::9", true },         /* /32 */
        { "2a01:db::1", "2a01:dc::1", false },
        { "2001:470:1000::1", "2001:470:1fff::1", true },  /* he.net /36 */
        { "2001:470:1000::1", "2001:470:2000::1", false },
        { "2001:471:1000::1", "2001:471:2000::1", true },
        { "8.8.8.8", "8.8.255.1", true },                  /* /16 */
        { "8.8.8.8", "8.9.8.8", false },
        { "2002:808:808::1", "8.8.1.1", true },            /* 6to4 */
        { "2001:0:1::f7f7:f7f7", "8.8.1.1", true },        /* Teredo, inverted */
        { "64:ff9b::8.8.8.8", "8.8.1.1", true },
        { "::ffff:0:8.8.8.8", "8.8.1.1", true },
        { "10.0.0.1", "192.168.0.1", true },               /* all unroutable */
        { "fe80::1", "::1", true },
        { "10.0.0.1", "fc00::1", true },
        { "10.0.0.1", "8.8.8.8", false },
    };
    check(rows, COUNT(rows), NETGROUP_DIVERSITY);
}

static void limits_count_ipv6_by_48_and_ipv4_by_host(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        { "2a01:db:1:1::1", "2a01:db:1:ffff::1", true },
        { "2a01:db:1::1", "2a01:db:2::1", false },
        { "8.8.8.8", "8.8.8.8:1", true },
        { "8.8.8.8", "8.8.8.9", false },
        { "10.0.0.1", "10.0.0.2", false },
    };
    check(rows, COUNT(rows), NETGROUP_LIMIT);
}

static void bans_cover_ipv6_by_64(void **state)
{
    (void)state;
    static const struct pair rows[] = {
        { "2a01:db:1:1::1", "2a01:db:1:1:ffff::1", true },
        { "2a01:db:1:1::1", "2a01:db:1:2::1", false },
        { "8.8.8.8", "8.8.8.9", false },
    };
    char out[NETADDR_TEXT_MAX];
    struct subnet s;
    struct netaddr v6 = addr("2a01:db:1:1:2:3:4:5"), v4 = addr("8.8.8.8");
    check(rows, COUNT(rows), NETGROUP_BAN);
    netgroup_ban_subnet(&s, &v6);
    assert_string_equal(subnet_print(out, &s), "2a01:db:1:1::/64");
    netgroup_ban_subnet(&s, &v4);
    assert_string_equal(subnet_print(out, &s), "8.8.8.8/32");
}

static void prefixes_of_different_kind_never_meet(void **state)
{
    (void)state;
    struct netaddr v4 = addr("32.1.4.112"), v6 = addr("2001:470::1");
    struct netgroup a = netgroup_of(&v4, NETGROUP_DIVERSITY);
    struct netgroup b = netgroup_of(&v6, NETGROUP_DIVERSITY);
    struct netgroup c = netgroup_of(&v4, NETGROUP_BAN), d = netgroup_of(&v6, NETGROUP_BAN);
    assert_false(netgroup_equal(&a, &b));
    assert_false(netgroup_equal(&c, &d));
    assert_false(netgroup_equal(&a, &c));
}

static void the_hash_depends_on_the_key(void **state)
{
    (void)state;
    struct siphash_key k1 = { 1, 2 }, k2 = { 1, 3 };
    struct netaddr a = addr("8.8.8.8"), b = addr("8.8.1.1");
    struct netgroup ga = netgroup_of(&a, NETGROUP_DIVERSITY);
    struct netgroup gb = netgroup_of(&b, NETGROUP_DIVERSITY);
    assert_true(netgroup_hash(&ga, &k1) == netgroup_hash(&gb, &k1));
    assert_false(netgroup_hash(&ga, &k1) == netgroup_hash(&ga, &k2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diversity_groups_follow_the_table),
        cmocka_unit_test(limits_count_ipv6_by_48_and_ipv4_by_host),
        cmocka_unit_test(bans_cover_ipv6_by_64),
        cmocka_unit_test(prefixes_of_different_kind_never_meet),
        cmocka_unit_test(the_hash_depends_on_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
