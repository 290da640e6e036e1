/* script/script_tests.json: rows of [[amount]?, version, unlock, lock, flags, result, comment?]. */
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

struct row {
    int64_t amount;
    int32_t version;
    const char *unlock, *lock, *flags, *result;
};

static const char *text_at(struct json_object *row, size_t i)
{
    return json_object_get_string(json_object_array_get_idx(row, i));
}

static bool row_read(struct json_object *json, struct row *r)
{
    size_t i = 0;

    if (json_object_array_length(json) < 4)
        return false; /* a comment */
    struct json_object *first = json_object_array_get_idx(json, 0);
    r->amount = 0;
    if (json_object_is_type(first, json_type_array)) {
        r->amount = llround(json_object_get_double(json_object_array_get_idx(first, 0)) * 1e8);
        i++;
    }
    r->version = (int32_t)strtoll(text_at(json, i), NULL, 10);
    r->unlock = text_at(json, i + 1);
    r->lock = text_at(json, i + 2);
    r->flags = text_at(json, i + 3);
    r->result = text_at(json, i + 4);
    return true;
}

static bool row_holds(const struct row *r)
{
    struct buf unlock = script_asm(r->unlock), lock = script_asm(r->lock);
    struct spend s;
    enum script_err expected;

    assert_true(script_err_by_vector_name(r->result, &expected));
    spend_init(&s, r->version, buf_span(&unlock), buf_span(&lock), r->amount,
               script_flags_parse(r->flags));
    enum script_err got = spend_run(&s);
    if (got != expected)
        printf("expected %s, got %s: \"%s\" \"%.200s\" %s\n", r->result, script_err_name(got),
               r->unlock, r->lock, r->flags);
    spend_clear(&s);
    buf_clear(&unlock);
    buf_clear(&lock);
    return got == expected;
}

static void every_row_gives_the_expected_result(void **state)
{
    struct json_object *rows = vector_json("script/script_tests.json");
    size_t cases = 0, failures = 0;
    struct row r;

    (void)state;
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        if (!row_read(json_object_array_get_idx(rows, i), &r))
            continue;
        cases++;
        failures += !row_holds(&r);
    }
    json_object_put(rows);
    vector_report("script/script_tests.json", cases);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_gives_the_expected_result),
    };

    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
