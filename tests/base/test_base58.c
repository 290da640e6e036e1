#include "base/base58.h"

#include <string.h>

#include "tests/base/json_text.h"
#include "tests/test.h"

static void known_strings_go_both_ways(void **state)
{
    (void)state;
    const char *name = "keys/base58_encode_decode.json";
    struct json_object *rows = vector_json(name);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct buf data = unhex(json_object_get_string(json_object_array_get_idx(row, 0)));
        const char *want = json_object_get_string(json_object_array_get_idx(row, 1));
        char text[256];
        uint8_t back[256];
        size_t len;
        assert_true(base58_encode(text, sizeof text, data.data, data.len));
        assert_string_equal(text, want);
        assert_true(base58_decode(back, sizeof back, want, &len));
        assert_int_equal(len, data.len);
        assert_memory_equal(back, data.data, len);
        buf_clear(&data);
    }
    json_object_put(rows);
    vector_report(name, n);
}

static void known_addresses_and_keys_have_good_checksums(void **state)
{
    (void)state;
    const char *name = "keys/base58_keys_valid.json";
    struct json_object *rows = vector_json(name);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *text = json_object_get_string(json_object_array_get_idx(row, 0));
        struct buf want = unhex(json_object_get_string(json_object_array_get_idx(row, 1)));
        uint8_t data[64];
        char again[128];
        size_t len;
        assert_true(base58check_decode(data, sizeof data, text, &len));
        /* a version byte before, and behind a private key perhaps 01 for compressed */
        assert_true(len == want.len + 1 || (len == want.len + 2 && data[len - 1] == 1));
        assert_memory_equal(data + 1, want.data, want.len);
        assert_true(base58check_encode(again, sizeof again, data, len));
        assert_string_equal(again, text);
        buf_clear(&want);
    }
    json_object_put(rows);
    vector_report(name, n);
}

static void other_characters_are_refused(void **state)
{
    (void)state;
    uint8_t out[64];
    size_t len;
    static const char *const bad[] = { "0", "O", "I", "l", "a b", " a", "a ", "a\n", "\xc3\xa9",
                                       "+" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(base58_decode(out, sizeof out, bad[i], &len));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    uint8_t data[20], back[20];
    char text[64];
    size_t len;
    for (unsigned zeros = 0; zeros <= sizeof data; zeros++) {
        memset(data, 0xff, sizeof data);
        memset(data, 0, zeros);
        assert_true(base58_encode(text, sizeof text, data, sizeof data));
        size_t size = strlen(text) + 1;
        char exact[64];
        assert_true(base58_encode(exact, size, data, sizeof data));
        assert_false(base58_encode(exact, size - 1, data, sizeof data));
        assert_true(base58_decode(back, sizeof back, text, &len));
        assert_int_equal(len, sizeof data);
        assert_memory_equal(back, data, len);
        assert_false(base58_decode(back, sizeof back - 1, text, &len));
    }
    assert_false(base58_encode(text, 0, data, 0));
    assert_true(base58_decode(back, 0, "", &len));
    assert_int_equal(len, 0);
}

static void a_changed_character_breaks_the_checksum(void **state)
{
    (void)state;
    char text[] = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    uint8_t out[21];
    size_t len;
    assert_true(base58check_decode(out, sizeof out, text, &len));
    assert_int_equal(len, 21);
    assert_false(base58check_decode(out, 20, text, &len));
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char was = text[i];
        text[i] = was == '2' ? '3' : '2';
        assert_false(base58check_decode(out, sizeof out, text, &len));
        text[i] = was;
    }
    assert_false(base58check_decode(out, sizeof out, "", &len));
    assert_false(base58check_decode(out, sizeof out, "111", &len));
}

static void an_empty_payload_has_a_checksum_too(void **state)
{
    (void)state;
    char text[16];
    uint8_t out[1];
    size_t len = 9;
    assert_true(base58check_encode(text, sizeof text, NULL, 0));
    assert_string_equal(text, "3QJmnh");
    assert_true(base58check_decode(out, 0, text, &len));
    assert_int_equal(len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_strings_go_both_ways),
        cmocka_unit_test(known_addresses_and_keys_have_good_checksums),
        cmocka_unit_test(other_characters_are_refused),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_changed_character_breaks_the_checksum),
        cmocka_unit_test(an_empty_payload_has_a_checksum_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
