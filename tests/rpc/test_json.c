#include "rpc/json_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "rpc/json_tree.h"
#include "rpc/json_write.h"
#include "tests/test.h"

static const char *written(const struct buf *b)
{
    static char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)b->len, (const char *)b->data);
    return text;
}

/* --- vectors -------------------------------------------------------------------------------- */

static size_t run_vectors(const char *prefix, void (*fn)(const char *name, const struct buf *text))
{
    char **names;
    size_t n = vector_list("json", ".json", &names), cases = 0;
    if (!n)
        skip();
    for (size_t i = 0; i < n; i++) {
        const char *base = strrchr(names[i], '/') ? strrchr(names[i], '/') + 1 : names[i];
        if (strncmp(base, prefix, strlen(prefix)) != 0)
            continue;
        char path[256];
        struct buf text;
        snprintf(path, sizeof path, "json/%s", base);
        buf_init(&text);
        vector_read(path, &text);
        fn(base, &text);
        buf_clear(&text);
        cases++;
    }
    vector_list_free(names, n);
    return cases;
}

static void must_fail(const char *name, const struct buf *text)
{
    struct json_object *v = NULL;
    struct error e = { 0 };
    if (json_read((const char *)text->data, text->len, &v, &e) == OK)
        fail_msg("%s was taken", name);
    assert_int_not_equal(strlen(e.text), 0);
}

/* The tree is the one that json-c's own reader makes. */
static void compare_with_json_c(const char *name, const struct buf *text, struct json_object *v)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_READ_DEPTH + 1);
    struct json_object *other =
        json_tokener_parse_ex(tokener, (const char *)text->data, (int)text->len);
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        other = json_tokener_parse_ex(tokener, "", 1);
    assert_int_equal(json_tokener_get_error(tokener), json_tokener_success);
    json_tokener_free(tokener);
    if (!json_object_equal(v, other) ||
        strcmp(json_object_to_json_string(v), json_object_to_json_string(other)) != 0)
        fail_msg("%s: %s, by json-c %s", name, json_object_to_json_string(v),
                 json_object_to_json_string(other));
    json_object_put(other);
}

static void must_pass(const char *name, const struct buf *text)
{
    struct json_object *v = NULL;
    struct error e = { 0 };
    if (json_read((const char *)text->data, text->len, &v, &e) != OK)
        fail_msg("%s was refused: %s", name, e.text);
    compare_with_json_c(name, text, v);
    json_object_put(v);
}

static void trees_are_those_of_json_c(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551615",
        "-9223372036854775808", "1.50", "-0.0", "1e2", "1E+2", "12345678901234567890.5", "null",
        "true", "false", "\"\"", "[]", "{}", " [ ] ", "{ }", "[null,[],{},[[]]]", "{\"\":1}",
        "{\"a\":1,\"a\":2}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\u0000x\"", "\"a\\\\\"", "[\"\\\"\",\"b\"]",
        "{\"\\u00e9\\n\":\"\\\"\"}", "\"\xc3\xa9\"", " 7 ", "[1 , 2 ,\t3\n]",
        "{\"a name that is longer than the sixty-four bytes that are kept on the stack for "
        "it\":[1]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        must_pass(texts[i],
                  &(struct buf){ .data = (uint8_t *)(uintptr_t)texts[i], .len = strlen(texts[i]) });
}

static void must_come_back(const char *name, const struct buf *text)
{
    struct json_object *v = NULL;
    struct buf out;
    struct json_writer w;
    must_pass(name, text);
    assert_int_equal(json_read((const char *)text->data, text->len, &v, NULL), OK);
    buf_init(&out);
    jw_init(&w, &out, NULL, NULL);
    jw_value(&w, v);
    size_t len = text->len;
    while (len && text->data[len - 1] == '\n')
        len--;
    if (len != out.len || memcmp(out.data, text->data, len) != 0)
        fail_msg("%s came back as %s", name, written(&out));
    json_object_put(v);
    buf_clear(&out);
}

static void vectors_that_are_no_json_are_refused(void **state)
{
    (void)state;
    vector_report("json/fail*", run_vectors("fail", must_fail));
}

static void vectors_that_are_json_are_taken(void **state)
{
    (void)state;
    vector_report("json/pass*", run_vectors("pass", must_pass));
}

static void vectors_come_back_byte_for_byte(void **state)
{
    (void)state;
    vector_report("json/round*", run_vectors("round", must_come_back));
}

/* --- reading -------------------------------------------------------------------------------- */

static void texts_that_json_c_would_take_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "NaN", "[NaN]", "Infinity", "-Infinity", "nan", "tru", "nulL", "'a'", "[1,]", "{\"a\":1,}",
        "[,1]", "\"a\nb\"", "\"\x01\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\udc00\"",
        "\"\\ud800\\u0041\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12\"", "\"a", "01", "-", "-a", "1.",
        ".1", "1e", "1e+", "+1", "0x10", "[1 2]",
        "{\"a\" 1}", "{a:1}", "{\"\\u0000\":1}", "1 2", "", " ", "//x\n1", "/*x*/1", "\"\xff\"",
        "\"\xed\xa0\x80\"", "{", "[", "[[]", "]", "{\"a\":}", "True", "[1]]", "\xef\xbb\xbf" "1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (json_check(bad[i], strlen(bad[i]), NULL) == OK)
            fail_msg("taken: %s", bad[i]);
}

static void values_of_all_kinds_come_through(void **state)
{
    (void)state;
    static const char text[] = " {\"a\":[1,-2,18446744073709551615,-9223372036854775808],"
                               "\"b\":0.00000001,\"c\":\"\\u00e4\\ud83d\\ude00\\n\","
                               "\"d\":null,\"e\":true,\"f\":{}} ";
    struct json_object *v, *m;
    assert_int_equal(json_read(text, sizeof text - 1, &v, NULL), OK);
    assert_true(json_object_object_get_ex(v, "a", &m));
    assert_int_equal(json_object_get_int64(json_object_array_get_idx(m, 3)), INT64_MIN);
    assert_true(json_object_get_uint64(json_object_array_get_idx(m, 2)) == UINT64_MAX);
    assert_true(json_object_object_get_ex(v, "c", &m));
    assert_string_equal(json_object_get_string(m), "\xc3\xa4\xf0\x9f\x98\x80\n");
    assert_true(json_object_object_get_ex(v, "b", &m));
    assert_string_equal(json_object_get_string(m), "0.00000001");
    json_object_put(v);
    assert_int_equal(json_read("7", 1, &v, NULL), OK);
    assert_int_equal(json_object_get_int(v), 7);
    json_object_put(v);
    assert_int_equal(json_read("null", 4, &v, NULL), OK);
    assert_null(v);
}

/* They are no integers to anybody, and come back as they were. */
static void integers_beyond_64_bits_keep_their_text(void **state)
{
    (void)state;
    static const char *const large[] = { "18446744073709551616", "-9223372036854775809",
                                         "100000000000000000000000000000000000000000000000000" };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        struct json_object *v;
        struct json_writer w;
        struct buf out;
        int64_t satoshis;
        assert_int_equal(json_read(large[i], strlen(large[i]), &v, NULL), OK);
        assert_int_equal(json_object_get_type(v), json_type_double);
        assert_false(json_get_amount(v, &satoshis));
        buf_init(&out);
        jw_init(&w, &out, NULL, NULL);
        jw_value(&w, v);
        assert_int_equal(out.len, strlen(large[i]));
        assert_memory_equal(out.data, large[i], out.len);
        buf_clear(&out);
        json_object_put(v);
    }
}

static void depth_is_limited_exactly(void **state)
{
    (void)state;
    char text[2 * (JSON_READ_DEPTH + 1)];
    struct json_object *v;
    memset(text, '[', JSON_READ_DEPTH);
    memset(text + JSON_READ_DEPTH, ']', JSON_READ_DEPTH);
    assert_int_equal(json_read(text, 2 * JSON_READ_DEPTH, &v, NULL), OK);
    json_object_put(v);
    memset(text, '[', JSON_READ_DEPTH + 1);
    memset(text + JSON_READ_DEPTH + 1, ']', JSON_READ_DEPTH + 1);
    assert_int_equal(json_check(text, sizeof text, NULL), ERR_PARSE);
}

static void a_text_that_json_c_cannot_hold_is_refused_with_the_way_out(void **state)
{
    (void)state;
    struct error e = { 0 };
    struct json_object *v;
    /* judged by its length alone */
    assert_int_equal(json_read("[]", JSON_READ_MAX + 1, &v, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "-loadblock"));
}

static void amounts_are_read_from_the_text_of_the_number(void **state)
{
    (void)state;
    static const struct { const char *json; bool ok; int64_t sat; } cases[] = {
        { "0.00000001", true, 1 }, { "1", true, 100000000 },
        { "20999999.99999999", true, 2099999999999999 },
        { "0.1", true, 10000000 }, { "1e-8", true, 1 }, { "0.1e-7", true, 1 },
        { "1.10000000", true, 110000000 },
        { "\"0.5\"", true, 50000000 }, { "-1", true, -100000000 }, { "0.00000001000000", true, 1 },
        { "1e-9", false, 0 }, { "0.000000019", false, 0 }, { "1e11", false, 0 },
        { "\"\"", false, 0 },
        { "\" 1\"", false, 0 }, { "\"1\\u0000\"", false, 0 }, { "true", false, 0 },
        { "93000000000", false, 0 },
        { "\"01\"", false, 0 }, { "\".1\"", false, 0 }, { "\"1.\"", false, 0 },
        { "1e99999", false, 0 },
        { "0e99999", true, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_object *v;
        int64_t sat = 0;
        assert_int_equal(json_read(cases[i].json, strlen(cases[i].json), &v, NULL), OK);
        if (json_get_amount(v, &sat) != cases[i].ok || (cases[i].ok && sat != cases[i].sat))
            fail_msg("%s gave %lld", cases[i].json, (long long)sat);
        json_object_put(v);
    }
}

/* --- writing -------------------------------------------------------------------------------- */

struct writing {
    struct buf out;
    struct json_writer w;
};

static void begin(struct writing *t)
{
    buf_init(&t->out);
    jw_init(&t->w, &t->out, NULL, NULL);
}

static void expect(struct writing *t, const char *text)
{
    assert_string_equal(written(&t->out), text);
    buf_clear(&t->out);
}

static void commas_and_nesting_come_by_themselves(void **state)
{
    (void)state;
    struct writing t;
    begin(&t);
    jw_object_open(&t.w);
    jw_put_i64(&t.w, "a", -5);
    jw_key(&t.w, "b");
    jw_array_open(&t.w);
    jw_array_open(&t.w);
    jw_array_close(&t.w);
    jw_null(&t.w);
    jw_bool(&t.w, true);
    jw_array_close(&t.w);
    jw_put_text(&t.w, "c", "x");
    jw_object_close(&t.w);
    expect(&t, "{\"a\":-5,\"b\":[[],null,true],\"c\":\"x\"}");
}

static void numbers_have_the_references_formats(void **state)
{
    (void)state;
    struct writing t;
    begin(&t);
    jw_array_open(&t.w);
    jw_amount(&t.w, 1);
    jw_amount(&t.w, -150000000);
    jw_amount(&t.w, INT64_C(2100000000000000));
    jw_amount_trimmed(&t.w, 5000000000);
    jw_amount_trimmed(&t.w, 546);
    jw_amount_trimmed(&t.w, 10000000);
    jw_double(&t.w, 1);
    jw_double(&t.w, 4.6565423739069247e-10);
    jw_double(&t.w, 1.0 / 3);
    jw_double(&t.w, NAN);
    jw_i64(&t.w, INT64_MIN);
    jw_u64(&t.w, UINT64_MAX);
    jw_array_close(&t.w);
    expect(&t,
           "[0.00000001,-1.50000000,21000000.00000000,50.00,0.00000546,0.10,1,"
           "4.656542373906925e-10,"
               "0.3333333333333333,0,-9223372036854775808,18446744073709551615]");
}

static void strings_are_escaped_and_made_valid_utf8(void **state)
{
    (void)state;
    struct writing t;
    begin(&t);
    static const char text[] = "q\"b\\n\n\t\x01\x7f/\xc3\xa4\xff\0z";
    jw_text_n(&t.w, text, sizeof text - 1);
    expect(&t, "\"q\\\"b\\\\n\\n\\t\\u0001\\u007f/\xc3\xa4\xef\xbf\xbd\\u0000z\"");
}

static void hashes_are_shown_reversed_and_hex_in_order(void **state)
{
    (void)state;
    struct writing t;
    uint8_t hash[32] = { 1 };
    begin(&t);
    jw_array_open(&t.w);
    jw_hash(&t.w, hash);
    jw_hex(&t.w, "\x01\xfe", 2);
    jw_hex_u32(&t.w, 0x1d00ffff);
    jw_hex_u64(&t.w, 0x21);
    jw_array_close(&t.w);
    expect(&t,
           "[\"0000000000000000000000000000000000000000000000000000000000000001\",\"01fe\","
           "\"1d00ffff\","
               "\"0000000000000021\"]");
}

struct sink { size_t calls, bytes; enum err answer; };

static enum err take(void *ctx, const void *data, size_t len)
{
    struct sink *s = ctx;
    assert_non_null(data);
    s->calls++;
    s->bytes += len;
    return s->answer;
}

static void long_output_leaves_in_pieces_of_bounded_size(void **state)
{
    (void)state;
    struct sink s = { 0 };
    struct buf out;
    struct json_writer w;
    size_t n = 5u << 20;
    uint8_t *data = calloc(1, n);
    buf_init(&out);
    jw_init(&w, &out, take, &s);
    jw_hex(&w, data, n);
    jw_flush(&w);
    assert_int_equal(s.bytes, 2 * n + 2);
    assert_true(s.calls >= 2 * n / (2 * JW_FLUSH_BYTES));
    assert_true(out.cap <= 4 * JW_FLUSH_BYTES);
    free(data);
    buf_clear(&out);
}

static void a_failed_sink_drops_the_rest(void **state)
{
    (void)state;
    struct sink s = { .answer = ERR_CANCELLED };
    struct buf out;
    struct json_writer w;
    static uint8_t data[300000];
    buf_init(&out);
    jw_init(&w, &out, take, &s);
    jw_hex(&w, data, sizeof data);
    assert_int_equal(w.failed, ERR_CANCELLED);
    assert_int_equal(s.calls, 1);
    buf_clear(&out);
}

static void rewinding_works_until_something_has_left(void **state)
{
    (void)state;
    struct sink s = { 0 };
    struct writing t;
    begin(&t);
    jw_array_open(&t.w);
    jw_i64(&t.w, 1);
    struct jw_mark mark = jw_mark(&t.w);
    jw_object_open(&t.w);
    jw_key(&t.w, "x");
    assert_true(jw_rewind(&t.w, &mark));
    jw_i64(&t.w, 2);
    jw_array_close(&t.w);
    assert_string_equal(written(&t.out), "[1,2]");
    t.w.sink = take;
    t.w.sink_ctx = &s;
    mark = jw_mark(&t.w);
    jw_i64(&t.w, 3);
    jw_flush(&t.w);
    assert_false(jw_rewind(&t.w, &mark));
    buf_clear(&t.out);
}

static void a_tree_is_wiped_where_it_has_text(void **state)
{
    (void)state;
    static const char text[] = "[\"first secret\",{\"a\":[null,1,true,1.5,\"se\\ncond\"]},\"\"]";
    static const char nothing[12];
    struct json_object *tree, *inner;
    assert_int_equal(json_read(text, sizeof text - 1, &tree, NULL), OK);
    assert_true(json_object_object_get_ex(json_object_array_get_idx(tree, 1), "a", &inner));
    json_tree_wipe(tree);
    struct json_object *first = json_object_array_get_idx(tree, 0),
                       *second = json_object_array_get_idx(inner, 4);
    assert_int_equal(json_object_get_string_len(first), 12);
    assert_memory_equal(json_object_get_string(first), nothing, 12);
    assert_int_equal(json_object_get_string_len(second), 7);
    assert_memory_equal(json_object_get_string(second), nothing, 7);
    assert_int_equal(json_object_get_int(json_object_array_get_idx(inner, 1)), 1);
    json_tree_wipe(NULL);
    json_object_put(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_that_are_no_json_are_refused),
        cmocka_unit_test(vectors_that_are_json_are_taken),
        cmocka_unit_test(vectors_come_back_byte_for_byte),
        cmocka_unit_test(texts_that_json_c_would_take_are_refused),
        cmocka_unit_test(trees_are_those_of_json_c),
        cmocka_unit_test(values_of_all_kinds_come_through),
        cmocka_unit_test(integers_beyond_64_bits_keep_their_text),
        cmocka_unit_test(depth_is_limited_exactly),
        cmocka_unit_test(a_tree_is_wiped_where_it_has_text),
        cmocka_unit_test(a_text_that_json_c_cannot_hold_is_refused_with_the_way_out),
        cmocka_unit_test(amounts_are_read_from_the_text_of_the_number),
        cmocka_unit_test(commas_and_nesting_come_by_themselves),
        cmocka_unit_test(numbers_have_the_references_formats),
        cmocka_unit_test(strings_are_escaped_and_made_valid_utf8),
        cmocka_unit_test(hashes_are_shown_reversed_and_hex_in_order),
        cmocka_unit_test(long_output_leaves_in_pieces_of_bounded_size),
        cmocka_unit_test(a_failed_sink_drops_the_rest),
        cmocka_unit_test(rewinding_works_until_something_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
