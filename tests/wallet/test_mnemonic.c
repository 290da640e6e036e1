#include "wallet/mnemonic.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"
#include "wallet/hdkey.h"
#include "wallet/mnemonic_english.h"

#define THREE "abandon abandon abandon"
#define ABANDON THREE " " THREE " " THREE " abandon abandon"
static const char known_phrase[] = ABANDON " about";

static int start_ec(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

static struct span text_span(const char *text) { return span_of(text, strlen(text)); }

static void assert_hex(const uint8_t *got, size_t len, const char *hex)
{
    struct buf want = unhex(hex);
    assert_int_equal(len, want.len);
    assert_memory_equal(got, want.data, len);
    buf_clear(&want);
}

/* The master key that a row names follows from its seed. */
static void assert_master(const uint8_t seed[64], const char *want)
{
    struct hdkey k;
    char text[HDKEY_TEXT_MAX];
    assert_int_equal(hdkey_master(&k, span_of(seed, 64), NULL), OK);
    assert_string_equal(hdkey_encode(text, HDKEY_MAIN, &k), want);
}

static const char *cell(struct json_object *row, size_t i)
{
    return json_object_get_string(json_object_array_get_idx(row, i));
}

static void english_case(struct json_object *row)
{
    struct buf entropy = unhex(cell(row, 0));
    uint8_t back[MNEMONIC_ENTROPY_MAX], seed[64];
    char text[MNEMONIC_TEXT_MAX];
    size_t len;
    assert_int_equal(mnemonic_encode(text, entropy.data, entropy.len, NULL), OK);
    assert_string_equal(text, cell(row, 1));
    assert_int_equal(mnemonic_decode(back, &len, text, NULL), OK);
    assert_int_equal(len, entropy.len);
    assert_memory_equal(back, entropy.data, len);
    assert_int_equal(mnemonic_seed(seed, text, "TREZOR", NULL), OK);
    assert_hex(seed, 64, cell(row, 2));
    assert_master(seed, cell(row, 3));
    buf_clear(&entropy);
}

/*
 * A phrase in another language with ideographic spaces made plain: all else in the vectors is
 * normalized already.
 */
static void other_case(struct json_object *row)
{
    static const char wide_space[] = "\xe3\x80\x80";
    uint8_t seed[64];
    struct buf phrase;
    buf_init(&phrase);
    const char *p = cell(row, 1);
    for (const char *space; (space = strstr(p, wide_space)) != NULL; p = space + 3) {
        buf_put(&phrase, p, (size_t)(space - p));
        buf_put_u8(&phrase, ' ');
    }
    buf_put_str(&phrase, p);
    assert_int_equal(mnemonic_seed_of_bytes(seed, buf_span(&phrase), text_span("TREZOR"), NULL),
                     OK);
    assert_hex(seed, 64, cell(row, 2));
    assert_master(seed, cell(row, 3));
    buf_clear(&phrase);
}

static void phrases_of_all_languages_match_the_vectors(void **state)
{
    (void)state;
    const char *name = "keys/bip39_vectors.json";
    struct json_object *file = vector_json(name);
    size_t english = 0, other = 0;
    json_object_object_foreach(file, language, rows) {
        const bool is_english = strcmp(language, "english") == 0;
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
            (is_english ? english_case : other_case)(json_object_array_get_idx(rows, i));
            ++*(is_english ? &english : &other);
        }
    }
    json_object_put(file);
    print_message("%s: %zu English, %zu of other languages\n", name, english, other);
    vector_report(name, english + other);
}

static void the_list_is_that_of_the_standard(void **state)
{
    (void)state;
    struct buf list, ours;
    buf_init(&list);
    buf_init(&ours);
    vector_read("keys/bip39_english.txt", &list);
    for (size_t i = 0; i < MNEMONIC_WORDS; i++)
        buf_printf(&ours, "%s\n", mnemonic_english[i]);
    assert_int_equal(ours.len, list.len);
    assert_memory_equal(ours.data, list.data, list.len);
    buf_clear(&ours);
    buf_clear(&list);
    vector_report("keys/bip39_english.txt", MNEMONIC_WORDS);
}

/* Words are looked up by halving. */
static void the_list_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; i < MNEMONIC_WORDS; i++)
        assert_true(strcmp(mnemonic_english[i - 1], mnemonic_english[i]) < 0);
}

static void a_known_phrase_has_its_seeds(void **state)
{
    (void)state;
    uint8_t seed[64], key[32];
    assert_int_equal(mnemonic_seed(seed, known_phrase, "", NULL), OK);
    assert_hex(seed, 64, "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
                         "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4");
    assert_int_equal(mnemonic_seed(seed, "dial tunnel valid cry exhaust stand match purse hope "
                                   "since demand palace", "", NULL), OK);
    sha256(key, seed, sizeof seed); /* BRC-75 */
    assert_hex(key, 32, "1ad0895dd317163f0e83499c30bc593dbcc54cad96a5f57b065ce9f700513250");
}

static void capitals_and_spaces_do_not_count(void **state)
{
    (void)state;
    uint8_t want[64], got[64];
    assert_int_equal(mnemonic_seed(want, known_phrase, "", NULL), OK);
    assert_int_equal(mnemonic_seed(got, "  Abandon abandon\tabandon ABANDON abandon\n abandon "
                                   "abandon abandon abandon  abandon abandon\r\nabout ", "", NULL),
                     OK);
    assert_memory_equal(got, want, sizeof want);
}

static void assert_refused(const char *phrase, const char *reason)
{
    uint8_t entropy[MNEMONIC_ENTROPY_MAX], zeros[64] = { 0 }, seed[64];
    struct error e = { .code = OK };
    size_t len;
    memset(entropy, 1, sizeof entropy);
    memset(seed, 1, sizeof seed);
    assert_int_equal(mnemonic_decode(entropy, &len, phrase, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, reason));
    assert_int_equal(len, 0);
    assert_memory_equal(entropy, zeros, sizeof entropy);
    assert_int_equal(mnemonic_seed(seed, phrase, "", NULL), ERR_PARSE);
    assert_memory_equal(seed, zeros, sizeof seed);
}

static void a_bad_phrase_is_refused_with_the_place(void **state)
{
    (void)state;
    assert_refused("", "not 0");
    assert_refused("   ", "not 0");
    assert_refused("about", "not 1");
    assert_refused(ABANDON, "not 11");
    assert_refused("abandon abandon about", "not 3");
    assert_refused(ABANDON " about about", "not 13");
    assert_refused(ABANDON " abandon", "word 12, the last");
    assert_refused("about " ABANDON, "word 12, the last");
    assert_refused("abandon abandom", "word 2 ");
    assert_refused("abandonabandon", "word 1 ");
    assert_refused("abandon zzzzzzzzzz", "word 2 ");
    assert_refused("abandon abandon aband", "word 3 ");
    assert_refused(ABANDON " " ABANDON " about about about", "more than 24");
    assert_refused(ABANDON " \xc3\xa9t\xc3\xa9", "outside ASCII");
}

/* A secret must not get into the log. */
static void errors_do_not_repeat_the_words(void **state)
{
    (void)state;
    uint8_t entropy[MNEMONIC_ENTROPY_MAX];
    struct error e;
    size_t len;
    assert_int_equal(mnemonic_decode(entropy, &len, "abandon secretword", &e), ERR_PARSE);
    assert_null(strstr(e.text, "secretword"));
    assert_null(strstr(e.text, "abandon"));
}

static void a_passphrase_outside_ascii_is_refused(void **state)
{
    (void)state;
    uint8_t seed[64], zeros[64] = { 0 };
    struct error e;
    assert_int_equal(mnemonic_seed(seed, known_phrase, "caf\xc3\xa9", &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "passphrase"));
    assert_memory_equal(seed, zeros, sizeof seed);
}

static void only_five_sizes_of_entropy_are_taken(void **state)
{
    (void)state;
    uint8_t entropy[40] = { 0 };
    char text[MNEMONIC_TEXT_MAX];
    for (size_t len = 0; len <= sizeof entropy; len++) {
        const bool good = len == 16 || len == 20 || len == 24 || len == 28 || len == 32;
        assert_int_equal(mnemonic_encode(text, entropy, len, NULL), good ? OK : ERR_RANGE);
        assert_true(good == (text[0] != '\0'));
    }
}

static void every_entropy_comes_back(void **state)
{
    (void)state;
    uint8_t entropy[MNEMONIC_ENTROPY_MAX], back[MNEMONIC_ENTROPY_MAX];
    char text[MNEMONIC_TEXT_MAX];
    for (unsigned i = 0; i < 200; i++) {
        const size_t want = 16 + 4 * (i % 5);
        size_t len;
        sha256(entropy, &i, sizeof i);
        assert_int_equal(mnemonic_encode(text, entropy, want, NULL), OK);
        assert_int_equal(mnemonic_decode(back, &len, text, NULL), OK);
        assert_int_equal(len, want);
        assert_memory_equal(back, entropy, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases_of_all_languages_match_the_vectors),
        cmocka_unit_test(the_list_is_that_of_the_standard),
        cmocka_unit_test(the_list_is_sorted),
        cmocka_unit_test(a_known_phrase_has_its_seeds),
        cmocka_unit_test(capitals_and_spaces_do_not_count),
        cmocka_unit_test(a_bad_phrase_is_refused_with_the_place),
        cmocka_unit_test(errors_do_not_repeat_the_words),
        cmocka_unit_test(a_passphrase_outside_ascii_is_refused),
        cmocka_unit_test(only_five_sizes_of_entropy_are_taken),
        cmocka_unit_test(every_entropy_comes_back),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
