#include "wallet/brc78.h"

#include "tests/base/json_text.h"
#include "tests/wallet/pair.h"
#include "wallet/brc2.h"

enum { HEAD_SIZE = 4 + 33 + 33 + 32 };

/* Made by another implementation: from the person 11 for the person 21. */
static const char known[] =
    "42421033034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa028d7500dd4c12"
    "685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f7c56fd7d3ba924f71058aad852b65d9eff2b8"
    "1485ed6fc3b84cca8cf62724e71b8b2b727d618c341a3eadf6a05e218bc7f83db0896829a993bcd81375bd32"
    "435f667dcd4b3e767400d1c2d4f7da032209da037a1646";

static void assert_opens(struct span data, const uint8_t secret[32], const char *want)
{
    struct brc78 m;
    struct buf out;
    buf_init(&out);
    assert_int_equal(brc78_read(&m, data, NULL), OK);
    assert_int_equal(brc78_decrypt(&out, &m, secret, NULL), OK);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.data, want, out.len);
    buf_clear(&out);
}

static void a_known_message_opens_for_both_sides(void **state)
{
    (void)state;
    struct buf data = unhex(known);
    assert_opens(buf_span(&data), person_with(0x21).secret, "hello");
    assert_opens(buf_span(&data), person_with(0x11).secret, "hello");
    buf_clear(&data);
}

/* Its first bytes are in another order than the programs in use have them; its keys are secret. */
static void the_sample_of_the_standard_has_the_layout(void **state)
{
    (void)state;
    const char *name = "spec/brc_examples.json";
    struct json_object *file = vector_json(name);
    struct json_object *rows = json_get(file, "brc78_encrypted_message_examples");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct buf data = unhex(json_object_get_string(json_object_array_get_idx(rows, i)));
        struct brc78 m;
        assert_int_equal(brc78_read(&m, buf_span(&data), NULL), ERR_PARSE);
        memcpy(data.data, "\x42\x42\x10\x33", 4);
        assert_int_equal(brc78_read(&m, buf_span(&data), NULL), OK);
        assert_int_equal(m.sealed.len, data.len - HEAD_SIZE);
        buf_clear(&data);
    }
    json_object_put(file);
    vector_report(name, n);
}

static void what_is_encrypted_opens(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    static const char *const texts[] = { "x", "a longer text of some words" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf data;
        buf_init(&data);
        assert_int_equal(brc78_encrypt(&data, a.secret, b.key, text_span(texts[i]), NULL), OK);
        assert_int_equal(data.len, HEAD_SIZE + BRC2_OVERHEAD + strlen(texts[i]));
        assert_opens(buf_span(&data), b.secret, texts[i]);
        assert_opens(buf_span(&data), a.secret, texts[i]);
        buf_clear(&data);
    }
}

static enum err decrypt(struct span data, const uint8_t secret[32])
{
    struct brc78 m;
    struct buf out;
    struct error e = { .code = OK };
    buf_init(&out);
    enum err rc = brc78_read(&m, data, &e);
    if (!rc)
        rc = brc78_decrypt(&out, &m, secret, &e);
    assert_int_equal(rc, e.code);
    assert_true(rc == OK || out.len == 0);
    buf_clear(&out);
    return rc;
}

static void others_and_changed_messages_get_nothing(void **state)
{
    (void)state;
    const struct person b = person_with(0x21), c = person_with(0x31);
    const uint8_t none[32] = { 0 };
    struct buf data = unhex(known);
    assert_int_equal(decrypt(buf_span(&data), b.secret), OK);
    assert_int_equal(decrypt(buf_span(&data), c.secret), ERR_AUTH);
    assert_int_equal(decrypt(buf_span(&data), none), ERR_AUTH);
    for (size_t i = HEAD_SIZE - 32; i < data.len; i++) {
        data.data[i] ^= 0x10;
        assert_int_equal(decrypt(buf_span(&data), b.secret), ERR_AUTH);
        data.data[i] ^= 0x10;
    }
    memcpy(data.data + 4, c.key, 33); /* another sender */
    assert_int_equal(decrypt(buf_span(&data), b.secret), ERR_AUTH);
    buf_clear(&data);
}

static void assert_refused(struct span data, const char *reason)
{
    struct brc78 m;
    struct error e;
    assert_int_equal(brc78_read(&m, data, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, reason));
}

static void broken_ones_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct buf data = unhex(known);
    assert_refused(span_of(NULL, 0), "42421033");
    for (size_t len = 4; len < HEAD_SIZE + BRC2_OVERHEAD; len++)
        assert_refused(span_of(data.data, len), "cut off");
    data.data[4] = 4;
    assert_refused(buf_span(&data), "sender's key");
    data.data[4] = 3;
    data.data[37] = 0;
    assert_refused(buf_span(&data), "recipient's key");
    data.data[37] = 2;
    data.data[0] = 0x43;
    assert_refused(buf_span(&data), "42421033");
    buf_clear(&data);
}

static void assert_not_encrypted(const uint8_t sender[32], const uint8_t recipient[33],
                                 const char *text)
{
    struct buf out;
    buf_init(&out);
    buf_put_str(&out, "kept");
    assert_int_equal(brc78_encrypt(&out, sender, recipient, text_span(text), NULL), ERR_RANGE);
    assert_int_equal(out.len, 4);
    buf_clear(&out);
}

static void bad_keys_and_empty_texts_are_not_encrypted(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), anyone = person_of(brc42_anyone_secret);
    const uint8_t none[33] = { 0 };
    assert_not_encrypted(a.secret, anyone.key, "x");
    assert_not_encrypted(anyone.secret, a.key, "x");
    assert_not_encrypted(a.secret, none, "x");
    assert_not_encrypted(none, a.key, "x");
    assert_not_encrypted(a.secret, person_with(0x21).key, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_message_opens_for_both_sides),
        cmocka_unit_test(the_sample_of_the_standard_has_the_layout),
        cmocka_unit_test(what_is_encrypted_opens),
        cmocka_unit_test(others_and_changed_messages_get_nothing),
        cmocka_unit_test(broken_ones_are_refused_with_the_reason),
        cmocka_unit_test(bad_keys_and_empty_texts_are_not_encrypted),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
