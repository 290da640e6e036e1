#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "p2p/banlist.h"
#include "base/state_file.h"

#define NOW INT64_C(1700000000)
#define DAY INT64_C(86400)

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, text, 8333, NULL), OK);
    return a;
}

static struct subnet net(const char *text)
{
    struct subnet s;
    assert_int_equal(subnet_parse(&s, text, NULL), OK);
    return s;
}

static bool banned(struct banlist *b, const char *text, int64_t now)
{
    struct netaddr a = addr(text);
    return banlist_is_banned(b, &a, now);
}

static bool ban(struct banlist *b, const char *text, int64_t seconds)
{
    struct netaddr a = addr(text);
    return banlist_ban_peer(b, &a, seconds, NOW);
}

static enum err add(struct banlist *b, const char *text, int64_t until)
{
    struct subnet s = net(text);
    return banlist_add(b, &s, until, NOW, NULL);
}

static void automatic_bans_cover_the_64_of_ipv6_and_one_ipv4(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    assert_true(ban(b, "2a01:1:2:3::5", DAY));
    assert_true(ban(b, "8.8.8.8", DAY));
    assert_true(banned(b, "2a01:1:2:3:ffff::1", NOW));
    assert_false(banned(b, "2a01:1:2:4::5", NOW));
    assert_true(banned(b, "8.8.8.8", NOW));
    assert_true(banned(b, "[::ffff:8.8.8.8]:1", NOW));
    assert_false(banned(b, "8.8.8.9", NOW));
    banlist_free(b);
}

static void local_addresses_are_never_banned_by_score(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    assert_false(ban(b, "::1", DAY));
    assert_false(ban(b, "127.0.0.1", DAY));
    assert_int_equal(banlist_count(b), 0);
    banlist_free(b);
}

static void a_ban_at_once_hits_local_hosts_too_but_not_their_64(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    struct netaddr local = addr("::1"), other = addr("2a01:1:2:3::5");
    struct subnet s = net("::1");
    assert_true(banlist_ban_at_once(b, &local, DAY, NOW));
    assert_true(banlist_has(b, &s, NOW));
    assert_false(banned(b, "::2", NOW));
    assert_true(banlist_ban_at_once(b, &other, DAY, NOW));
    assert_true(banned(b, "2a01:1:2:3::6", NOW));
    assert_false(banlist_ban_at_once(b, &other, 0, NOW));
    banlist_free(b);
}

static void bans_end(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    ban(b, "8.8.8.8", 100);
    assert_int_equal(add(b, "2a01::/16", NOW + 200), OK);
    assert_true(banned(b, "8.8.8.8", NOW + 99));
    assert_false(banned(b, "8.8.8.8", NOW + 100));
    assert_true(banned(b, "2a01::1", NOW + 199));
    assert_false(banned(b, "2a01::1", NOW + 200));
    banlist_sweep(b, NOW + 150);
    assert_int_equal(banlist_count(b), 1);
    ban(b, "9.9.9.9", INT64_MAX); /* does not wrap */
    assert_true(banned(b, "9.9.9.9", INT64_MAX - 1));
    banlist_free(b);
}

static void setban_takes_any_subnet_as_given(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    assert_int_equal(add(b, "10.0.0.0/8", NOW + DAY), OK);
    assert_int_equal(add(b, "2a01:1::5", NOW + DAY), OK);
    assert_true(banned(b, "10.200.1.1", NOW));
    assert_true(banned(b, "2a01:1::5", NOW));
    assert_false(banned(b, "2a01:1::6", NOW));
    assert_int_equal(add(b, "10.0.0.0/8", NOW + DAY), ERR_EXISTS);
    assert_int_equal(add(b, "11.0.0.0/8", NOW), ERR_RANGE);
    struct subnet s = net("10.0.0.0/8"), other = net("10.0.0.0/9");
    assert_false(banlist_remove(b, &other));
    assert_true(banlist_has(b, &s, NOW));
    assert_true(banlist_remove(b, &s));
    assert_false(banned(b, "10.200.1.1", NOW));
    assert_int_equal(add(b, "0.0.0.0/0", NOW + DAY), OK);
    assert_true(banned(b, "1.2.3.4", NOW));
    assert_false(banned(b, "2a02::1", NOW));
    banlist_clear(b);
    assert_int_equal(banlist_count(b), 0);
    assert_false(banned(b, "1.2.3.4", NOW));
    banlist_free(b);
}

static void a_second_automatic_ban_extends_and_never_shortens(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    ban(b, "8.8.8.8", 1000);
    ban(b, "8.8.8.8", 500);
    assert_true(banned(b, "8.8.8.8", NOW + 999));
    ban(b, "8.8.8.8", 2000);
    assert_true(banned(b, "8.8.8.8", NOW + 1999));
    assert_int_equal(banlist_count(b), 1);
    banlist_free(b);
}

static void a_manual_ban_stays_one_when_the_host_misbehaves_too(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(2);
    struct ban_entry *list;
    assert_int_equal(add(b, "8.8.8.8/32", NOW + 100), OK);
    assert_true(ban(b, "8.8.8.8", DAY));
    assert_int_equal(banlist_list(b, NOW, &list), 1);
    assert_int_equal(list[0].reason, BAN_MANUAL);
    assert_int_equal(list[0].until, NOW + DAY);
    free(list);
    ban(b, "1.1.1.1", DAY);
    ban(b, "2.2.2.2", DAY); /* pushes out 1.1.1.1 */
    assert_true(banned(b, "8.8.8.8", NOW));
    banlist_free(b);
}

static void the_list_is_sorted_with_reasons_and_without_expired(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    struct ban_entry *list;
    char text[NETADDR_TEXT_MAX];
    assert_int_equal(banlist_list(b, NOW, &list), 0);
    assert_null(list);
    add(b, "2a01::/16", NOW + DAY);
    ban(b, "8.8.8.8", 50);
    ban(b, "9.9.9.9", DAY);
    assert_int_equal(banlist_list(b, NOW + 60, &list), 2);
    assert_string_equal(subnet_print(text, &list[0].net), "9.9.9.9/32");
    assert_string_equal(ban_reason_text(list[0].reason), "node misbehaving");
    assert_int_equal(list[0].created, NOW);
    assert_int_equal(list[0].until, NOW + DAY);
    assert_string_equal(ban_reason_text(list[1].reason), "manually added");
    free(list);
    banlist_free(b);
}

/* attacks C14 */
static void a_million_distinct_ipv6_bans_stay_bounded_and_fast(void **state)
{
    (void)state;
    const uint32_t max = 20000;
    struct banlist *b = banlist_new(max);
    struct netaddr a = addr("2a01::1");
    assert_int_equal(add(b, "2a02::/16", NOW + DAY), OK);
    for (uint32_t i = 0; i < 1000000; i++) {
        be32_put(a.ip + 4, i);
        assert_true(banlist_ban_peer(b, &a, DAY, NOW));
    }
    assert_int_equal(banlist_count(b), max);
    assert_true(banned(b, "2a02::5", NOW)); /* the operator's bans stay */
    assert_true(banlist_is_banned(b, &a, NOW));
    be32_put(a.ip + 4, 0); /* the oldest went first */
    assert_false(banlist_is_banned(b, &a, NOW));
    be32_put(a.ip + 4, 1000000 - max + 1);
    assert_true(banlist_is_banned(b, &a, NOW));
    int64_t start = clock_thread_cpu_us();
    for (uint32_t i = 0; i < 100000; i++) {
        be32_put(a.ip + 4, i);
        (void)banlist_is_banned(b, &a, NOW);
    }
    assert_true(clock_thread_cpu_us() - start < 2000000);
    banlist_free(b);
}

static void expired_bans_make_room_before_live_ones(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(3);
    ban(b, "1.1.1.1", DAY);
    ban(b, "2.2.2.2", 10);
    ban(b, "3.3.3.3", DAY);
    struct netaddr a = addr("4.4.4.4");
    assert_true(banlist_ban_peer(b, &a, DAY, NOW + 100));
    assert_true(banned(b, "1.1.1.1", NOW + 100));
    assert_true(banned(b, "3.3.3.3", NOW + 100));
    assert_true(banned(b, "4.4.4.4", NOW + 100));
    banlist_free(b);
}

static void a_list_full_of_manual_bans_refuses(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(2);
    struct error e = { OK, "" };
    assert_int_equal(add(b, "1.1.1.1", NOW + DAY), OK);
    assert_int_equal(add(b, "2.2.2.2", NOW + DAY), OK);
    struct subnet s = net("3.3.3.3");
    assert_int_equal(banlist_add(b, &s, NOW + DAY, NOW, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "full"));
    assert_false(ban(b, "4.4.4.4", DAY));
    assert_true(banned(b, "1.1.1.1", NOW));
    banlist_free(b);
}

static void changes_are_noticed_once(void **state)
{
    (void)state;
    struct banlist *b = banlist_new(0);
    assert_false(banlist_take_dirty(b));
    ban(b, "1.1.1.1", DAY);
    assert_true(banlist_take_dirty(b));
    assert_false(banlist_take_dirty(b));
    ban(b, "1.1.1.1", 5); /* changes nothing */
    assert_false(banlist_take_dirty(b));
    banlist_clear(b);
    assert_true(banlist_take_dirty(b));
    banlist_free(b);
}

static void the_file_brings_back_what_has_not_expired(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, "banlist.dat");
    struct banlist *b = banlist_new(0), *c = banlist_new(0);
    struct error e;
    assert_int_equal(banlist_load(c, path, magic, NOW, &e), OK); /* no file yet */
    ban(b, "2a01:1:2:3::5", DAY);
    ban(b, "8.8.8.8", 10);
    add(b, "10.0.0.0/8", NOW + DAY);
    assert_int_equal(banlist_store(b, path, magic, &e), OK);
    assert_int_equal(banlist_load(c, path, magic, NOW + 60, &e), OK);
    assert_int_equal(banlist_count(c), 2);
    assert_true(banned(c, "2a01:1:2:3::6", NOW + 60));
    assert_true(banned(c, "10.1.1.1", NOW + 60));
    assert_false(banlist_take_dirty(c));
    banlist_free(b);
    banlist_free(c);
    free(path);
    test_dir_remove(dir);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    char *dir = test_dir_make(), *path = path_join(dir, "banlist.dat");
    char *bad = path_join(dir, "banlist.dat.bad");
    struct banlist *b = banlist_new(0);
    struct buf data;
    struct error e;
    buf_init(&data);
    ban(b, "8.8.8.8", DAY);
    assert_int_equal(banlist_store(b, path, magic, &e), OK);
    assert_int_equal(file_read_all(path, 4096, &data, &e), OK);
    for (size_t i = 0; i < data.len; i++) { /* each single byte counts */
        data.data[i] ^= 1;
        assert_int_equal(banlist_decode(b, data.data, data.len, magic, NOW, NULL), ERR_CORRUPT);
        assert_int_equal(banlist_decode(b, data.data, i, magic, NOW, NULL), ERR_CORRUPT);
        data.data[i] ^= 1;
    }
    data.data[20] ^= 1;
    assert_int_equal(file_replace(path, data.data, data.len, &e), OK);
    assert_int_equal(banlist_load(b, path, magic, NOW, &e), OK);
    assert_false(path_exists(path));
    assert_true(path_exists(bad));
    buf_clear(&data);
    banlist_free(b);
    free(path);
    free(bad);
    test_dir_remove(dir);
}

static void entries_that_cannot_be_are_damage_even_with_a_good_checksum(void **state)
{
    (void)state;
    /* ip, bits, reason, then created and until far in the future */
    static const char *const rows[] = {
        "00000000000000000000ffff08080808" "81" "01", /* 129 bits */
        "00000000000000000000ffff08080808" "80" "03", /* no such reason */
        "00000000000000000000ffff08080808" "40" "01", /* host bits set */
    };
    static const struct state_file_kind kind = { "BANS", 1 };
    struct banlist *b = banlist_new(0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf data, row = unhex(rows[i]);
        buf_init(&data);
        state_file_begin(&data, &kind, magic);
        buf_put_le32(&data, 1);
        buf_put(&data, row.data, row.len);
        buf_put_le64(&data, 1);
        buf_put_le64(&data, (uint64_t)NOW * 2);
        state_file_finish(&data);
        assert_int_equal(banlist_decode(b, data.data, data.len, magic, NOW, NULL), ERR_CORRUPT);
        assert_int_equal(banlist_count(b), 0);
        buf_clear(&data);
        buf_clear(&row);
    }
    banlist_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_bans_cover_the_64_of_ipv6_and_one_ipv4),
        cmocka_unit_test(local_addresses_are_never_banned_by_score),
        cmocka_unit_test(a_ban_at_once_hits_local_hosts_too_but_not_their_64),
        cmocka_unit_test(bans_end),
        cmocka_unit_test(setban_takes_any_subnet_as_given),
        cmocka_unit_test(a_second_automatic_ban_extends_and_never_shortens),
        cmocka_unit_test(a_manual_ban_stays_one_when_the_host_misbehaves_too),
        cmocka_unit_test(the_list_is_sorted_with_reasons_and_without_expired),
        cmocka_unit_test(a_million_distinct_ipv6_bans_stay_bounded_and_fast),
        cmocka_unit_test(expired_bans_make_room_before_live_ones),
        cmocka_unit_test(a_list_full_of_manual_bans_refuses),
        cmocka_unit_test(changes_are_noticed_once),
        cmocka_unit_test(the_file_brings_back_what_has_not_expired),
        cmocka_unit_test(a_damaged_file_is_set_aside),
        cmocka_unit_test(entries_that_cannot_be_are_damage_even_with_a_good_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
