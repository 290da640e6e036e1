#include "wallet/brc77.h"

#include "tests/base/json_text.h"
#include "tests/wallet/pair.h"

/* Made by another implementation: from the person 11 for the person 21, and for anyone. */
static const char for_one[] =
    "42423301034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa028d7500dd4c12"
    "685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f730f4106319c1f7a827c14af272169a98da9c"
    "496abd8f916b449991c98cd085e03044022027464437aee67b0525cb744ed29d002af4b96e8d6a27a439c259"
    "5432d8fc148402203b74a17b8aee0d7235cd86a26f1167a957a75d586209f317c2b656bd758b8ba1";
static const char for_anyone[] =
    "42423301034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa0071c83ee88208"
    "cf9efab474a23e7b51072eb05f88a6e9c265299684039dc2e3cc30450221009995836a4cc4656b72d544ef76"
    "015e11a4ac8829be525eeeabc54cddcf31a2d2022032f4257d53019b6de04080c7e44d35f211b22ff0b3cd77"
    "43401b6e0b49a0a889";

static struct brc77 read_hex(const char *hex)
{
    struct brc77 s;
    struct buf data = unhex(hex), out;
    buf_init(&out);
    assert_int_equal(brc77_read(&s, buf_span(&data), NULL), OK);
    brc77_write(&out, &s);
    assert_int_equal(out.len, data.len);
    assert_memory_equal(out.data, data.data, out.len);
    buf_clear(&data);
    buf_clear(&out);
    return s;
}

static bool verifies(const struct brc77 *s, const uint8_t *secret, const char *message)
{
    bool valid = true;
    assert_int_equal(brc77_verify(&valid, s, secret, text_span(message), NULL), OK);
    return valid;
}

static void known_signatures_verify(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    const struct brc77 one = read_hex(for_one), anyone = read_hex(for_anyone);
    assert_memory_equal(one.signer, a.key, 33);
    assert_memory_equal(one.verifier, b.key, 33);
    assert_false(one.for_anyone);
    assert_true(anyone.for_anyone);
    assert_true(verifies(&one, b.secret, "hello"));
    assert_false(verifies(&one, b.secret, "hello!"));
    assert_true(verifies(&anyone, NULL, "hello"));
    assert_true(verifies(&anyone, b.secret, "hello"));
    assert_false(verifies(&anyone, NULL, ""));
}

/* The keys of these are not published: they show the layout. */
static void the_samples_of_the_standard_are_read(void **state)
{
    (void)state;
    const char *name = "spec/brc_examples.json";
    struct json_object *file = vector_json(name);
    struct json_object *rows = json_get(file, "brc77_signed_message_examples");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        const struct brc77 s = read_hex(json_object_get_string(json_object_array_get_idx(rows, i)));
        assert_true(s.sig_len >= 70 && s.sig[0] == 0x30 && s.sig[1] == s.sig_len - 2);
    }
    json_object_put(file);
    vector_report(name, n);
}

static void a_signature_for_one_is_for_no_other(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21), c = person_with(0x31);
    const uint8_t *const others[] = { NULL, a.secret, c.secret, brc42_anyone_secret };
    struct brc77 s;
    assert_int_equal(brc77_sign(&s, a.secret, b.key, text_span("text"), NULL), OK);
    assert_true(verifies(&s, b.secret, "text"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        bool valid = true;
        assert_int_equal(brc77_verify(&valid, &s, others[i], text_span("text"), NULL), ERR_AUTH);
        assert_false(valid);
    }
}

static void a_signature_for_anyone_needs_no_secret(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), c = person_with(0x31);
    struct brc77 s, t;
    assert_int_equal(brc77_sign(&s, a.secret, NULL, text_span("text"), NULL), OK);
    assert_int_equal(brc77_sign(&t, a.secret, NULL, text_span("text"), NULL), OK);
    assert_memory_not_equal(s.key_id, t.key_id, sizeof s.key_id);
    assert_true(verifies(&s, NULL, "text"));
    s.key_id[0] ^= 1;
    assert_false(verifies(&s, NULL, "text"));
    s.key_id[0] ^= 1;
    memcpy(s.signer, c.key, sizeof s.signer);
    assert_false(verifies(&s, NULL, "text"));
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    for (int i = 0; i < 20; i++) {
        struct brc77 s, back;
        struct buf out;
        buf_init(&out);
        assert_int_equal(brc77_sign(&s, a.secret, i % 2 ? b.key : NULL, text_span("x"), NULL), OK);
        brc77_write(&out, &s);
        assert_int_equal(brc77_read(&back, buf_span(&out), NULL), OK);
        assert_true(verifies(&back, b.secret, "x"));
        buf_clear(&out);
    }
}

static void assert_refused(struct span data, const char *reason)
{
    struct brc77 s;
    struct error e;
    assert_int_equal(brc77_read(&s, data, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, reason));
}

static void broken_ones_are_refused_with_the_reason(void **state)
{
    (void)state;
    struct buf data = unhex(for_one), anyone = unhex(for_anyone);
    const size_t head = 4 + 33 + 33 + 32;
    assert_refused(span_of(NULL, 0), "42423301");
    for (size_t len = 4; len <= head; len++)
        assert_refused(span_of(data.data, len), "cut off");
    for (size_t len = 4; len <= head - 32; len++)
        assert_refused(span_of(anyone.data, len), "cut off");
    data.data[3] = 2;
    assert_refused(buf_span(&data), "42423301");
    data.data[3] = 1;
    data.data[4] = 4;
    assert_refused(buf_span(&data), "signer's key");
    data.data[4] = 3;
    data.data[37] = 5;
    assert_refused(buf_span(&data), "verifier's key");
    data.data[37] = 2;
    while (data.len < head + BRC77_SIG_MAX)
        buf_put_u8(&data, 0);
    struct brc77 longest;
    assert_int_equal(brc77_read(&longest, buf_span(&data), NULL), OK);
    buf_put_u8(&data, 0);
    assert_refused(buf_span(&data), "73 bytes");
    buf_clear(&data);
    buf_clear(&anyone);
}

/* Bytes behind the signature make it another encoding, which is none. */
static void a_longer_signature_does_not_verify(void **state)
{
    (void)state;
    struct brc77 s = read_hex(for_anyone);
    assert_true(verifies(&s, NULL, "hello"));
    s.sig_len--;
    assert_false(verifies(&s, NULL, "hello"));
    s = read_hex(for_one);
    s.sig[s.sig_len++] = 0;
    assert_false(verifies(&s, person_with(0x21).secret, "hello"));
}

static void keys_that_are_none_do_not_sign(void **state)
{
    (void)state;
    const struct person a = person_with(0x11);
    const uint8_t none[33] = { 0 };
    struct brc77 s;
    assert_int_equal(brc77_sign(&s, none, a.key, text_span("x"), NULL), ERR_RANGE);
    assert_int_equal(brc77_sign(&s, a.secret, none, text_span("x"), NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_signatures_verify),
        cmocka_unit_test(the_samples_of_the_standard_are_read),
        cmocka_unit_test(a_signature_for_one_is_for_no_other),
        cmocka_unit_test(a_signature_for_anyone_needs_no_secret),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(broken_ones_are_refused_with_the_reason),
        cmocka_unit_test(a_longer_signature_does_not_verify),
        cmocka_unit_test(keys_that_are_none_do_not_sign),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
