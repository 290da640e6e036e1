#include "base/causes.h"

#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "tests/test.h"

static void what_was_noted_is_found_newest_first(void **state)
{
    (void)state;
    const uint8_t key[32] = { 7 }, other[32] = { 8 };
    struct cause found[4];
    struct causes *c = causes_new(10);
    clock_set_mock(1600000000);
    causes_note_hash(c, CAUSE_TX, key, "first %d", 1);
    causes_note_hash(c, CAUSE_TX, other, "another");
    causes_note_hash(c, CAUSE_BLOCK, key, "a block");
    causes_note_hash(c, CAUSE_TX, key, "second");
    assert_int_equal(causes_of_hash(c, CAUSE_TX, key, found, COUNT_OF(found)), 2);
    assert_string_equal(found[0].text, "second");
    assert_string_equal(found[1].text, "first 1");
    assert_int_equal(found[1].time, 1600000000);
    assert_int_equal(causes_of_hash(c, CAUSE_TX, key, found, 1), 1);
    clock_set_mock(0);
    causes_free(c);
}

static void the_oldest_go_when_the_ring_is_full(void **state)
{
    (void)state;
    struct cause found[20];
    struct causes *c = causes_new(5);
    for (uint64_t id = 1; id <= 12; id++)
        causes_note_peer(c, id % 2, "x", "%u", (unsigned)id);
    assert_int_equal(causes_of_peer(c, 0, found, COUNT_OF(found)), 3);
    assert_string_equal(found[0].text, "12");
    assert_string_equal(found[2].text, "8");
    assert_int_equal(causes_of_peer(c, 1, found, COUNT_OF(found)), 2);
    causes_free(c);
}

static void a_peer_is_found_by_its_address_in_all_forms(void **state)
{
    (void)state;
    struct cause found[2];
    struct causes *c = causes_new(5);
    causes_note_peer(c, 3, "[2001:db8::1]:8333", "left");
    causes_note_peer(c, 4, "10.0.0.1:8333", "left");
    const char *const yes[] = { "[2001:db8::1]:8333", "[2001:db8::1]", "2001:db8::1",
                                "10.0.0.1", "10.0.0.1:8333" };
    const char *const no[] = { "", "2001:db8::", "[2001:db8::1", "10.0.0", "10.0.0.1:83" };
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        assert_int_equal(causes_of_name(c, yes[i], found, 2), 1);
    for (size_t i = 0; i < COUNT_OF(no); i++)
        assert_int_equal(causes_of_name(c, no[i], found, 2), 0);
    causes_free(c);
}

static void long_texts_are_cut_and_nothing_records_nothing(void **state)
{
    (void)state;
    const uint8_t key[32] = { 0 };
    char text[1000];
    struct cause found;
    struct causes *c = causes_new(1);
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    causes_note_hash(c, CAUSE_TX, key, "%s", text);
    assert_int_equal(causes_of_hash(c, CAUSE_TX, key, &found, 1), 1);
    assert_int_equal(strlen(found.text), CAUSE_TEXT_MAX - 1);
    causes_note_hash(NULL, CAUSE_TX, key, "nobody listens");
    assert_int_equal(causes_of_hash(NULL, CAUSE_TX, key, &found, 1), 0);
    causes_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_noted_is_found_newest_first),
        cmocka_unit_test(the_oldest_go_when_the_ring_is_full),
        cmocka_unit_test(a_peer_is_found_by_its_address_in_all_forms),
        cmocka_unit_test(long_texts_are_cut_and_nothing_records_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
