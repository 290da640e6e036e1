#include "wallet/brc29.h"

#include "base/buf.h"
#include "base/hash.h"
#include "tests/wallet/pair.h"

static struct brc29_place place_of(const char *prefix, const char *suffix)
{
    return (struct brc29_place){ text_span(prefix), text_span(suffix) };
}

/* Spec brc-notes 10. */
static void both_sides_derive_the_key_that_is_known(void **state)
{
    (void)state;
    const struct person sender = person_with(0x11), payee = person_with(0x21);
    const struct brc29_place place = place_of("cHJlZml4", "c3VmZml4");
    struct buf want_key =
        unhex("02d9ee83bfb87a57c36b0d5cece11668679757ce04e0eec505a65237b68f6884ba");
    struct buf want = unhex("bc3b8c8845547f083ebad50df063d36f2d1cce650a9b0d2dd94ecb9f0e770dc7");
    uint8_t key[EC_PUBKEY_SIZE], secret[32];
    assert_int_equal(brc29_key_of_payee(key, sender.secret, payee.key, &place, NULL), OK);
    assert_memory_equal(key, want_key.data, sizeof key);
    assert_int_equal(brc29_secret(secret, payee.secret, sender.key, &place, NULL), OK);
    assert_memory_equal(secret, want.data, sizeof secret);
    buf_clear(&want_key);
    buf_clear(&want);
}

static void every_part_makes_another_key(void **state)
{
    (void)state;
    const struct person sender = person_with(0x11), payee = person_with(0x21);
    const struct brc29_place places[] = { place_of("a", "b"), place_of("a", "c"),
                                          place_of("c", "b"), place_of("b", "a") };
    uint8_t key[4][EC_PUBKEY_SIZE];
    for (int i = 0; i < 4; i++)
        assert_int_equal(brc29_key_of_payee(key[i], sender.secret, payee.key, &places[i], NULL),
                         OK);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(key[i], key[k], EC_PUBKEY_SIZE);
}

static void parts_that_could_be_taken_for_others_are_refused(void **state)
{
    (void)state;
    const struct person sender = person_with(0x11), payee = person_with(0x21);
    char longest[BRC29_PART_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    const char *const bad[] = { "", "a b", " a", "a\n", "\x7f", "\xc3\xa4", longest };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct brc29_place as_prefix = place_of(bad[i], "a");
        const struct brc29_place as_suffix = place_of("a", bad[i]);
        uint8_t key[EC_PUBKEY_SIZE], secret[32];
        assert_false(brc29_part_valid(text_span(bad[i])));
        assert_int_equal(brc29_key_of_payee(key, sender.secret, payee.key, &as_prefix, NULL),
                         ERR_RANGE);
        assert_int_equal(brc29_secret(secret, payee.secret, sender.key, &as_suffix, NULL),
                         ERR_RANGE);
    }
    assert_true(brc29_part_valid(text_span(longest + 1)));
}

static void a_key_that_is_none_gives_none(void **state)
{
    (void)state;
    static const uint8_t zero[32] = { 0 };
    const struct person sender = person_with(0x11), payee = person_with(0x21);
    const struct brc29_place place = place_of("a", "b");
    uint8_t key[EC_PUBKEY_SIZE], no_key[EC_PUBKEY_SIZE] = { 2 }, secret[32];
    assert_int_equal(brc29_key_of_payee(key, sender.secret, no_key, &place, NULL), ERR_RANGE);
    assert_int_equal(brc29_key_of_payee(key, zero, payee.key, &place, NULL), ERR_RANGE);
    assert_int_equal(brc29_secret(secret, zero, sender.key, &place, NULL), ERR_RANGE);
    assert_memory_equal(secret, zero, 32);
}

static void new_parts_are_valid_and_differ(void **state)
{
    (void)state;
    struct buf a = { 0 }, b = { 0 };
    assert_int_equal(brc29_new_part(&a, NULL), OK);
    assert_int_equal(brc29_new_part(&b, NULL), OK);
    assert_true(brc29_part_valid(buf_span(&a)));
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.data, b.data, a.len);
    buf_clear(&a);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_derive_the_key_that_is_known),
        cmocka_unit_test(every_part_makes_another_key),
        cmocka_unit_test(parts_that_could_be_taken_for_others_are_refused),
        cmocka_unit_test(a_key_that_is_none_gives_none),
        cmocka_unit_test(new_parts_are_valid_and_differ),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
