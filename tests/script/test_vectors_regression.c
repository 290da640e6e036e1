/* script/regression-*.json: shifts of byte strings, and the sequence a digest commits to. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/sighash.h"
#include "tests/script/script_util.h"
#include "tests/test.h"

static const char *text(struct json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

static int64_t number(struct json_object *o, const char *key)
{
    return json_object_get_int64(json_object_object_get(o, key));
}

/* value n SHIFT expected EQUAL */
static void check_shift(struct json_object *in, struct json_object *expected, uint8_t opcode)
{
    struct buf value = unhex(text(in, "value_hex")), result = unhex(text(expected, "result_hex"));
    struct buf lock;
    struct spend s;

    buf_init(&lock);
    script_put_data(&lock, value.data, value.len);
    script_put_num(&lock, number(in, "shift_bits"));
    script_put_op(&lock, opcode);
    script_put_data(&lock, result.data, result.len);
    script_put_op(&lock, OP_EQUAL);
    spend_init(&s, 1, span_of("", 0), buf_span(&lock), 0, SCRIPT_UTXO_AFTER_GENESIS);
    assert_int_equal(spend_run(&s), SCRIPT_OK);
    spend_clear(&s);
    buf_clear(&lock);
    buf_clear(&value);
    buf_clear(&result);
}

/* One input with this sequence, no outputs: the digest must be that of the image with its bytes. */
static void check_sequence(int64_t sequence, const char *field_hex)
{
    struct buf raw, image, field = unhex(field_hex);
    uint8_t zero[36] = { 0 }, digest[32], expected[32];
    struct sighash_cache cache;

    buf_init(&raw);
    buf_init(&image);
    buf_put_le32(&raw, 1);
    buf_put_compact(&raw, 1);
    buf_put(&raw, zero, 36);
    buf_put_compact(&raw, 0);
    buf_put_le32(&raw, (uint32_t)sequence);
    buf_put_compact(&raw, 0);
    buf_put_le32(&raw, 0);
    assert_memory_equal(raw.data + 4 + 1 + 36 + 1, field.data, 4);
    buf_put(&image, raw.data, 42);
    buf_put(&image, field.data, field.len);
    buf_put(&image, raw.data + 46, raw.len - 46);
    buf_put_le32(&image, SIGHASH_ALL);
    sha256d(expected, image.data, image.len);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    struct sighash_request r = { .code = span_of("", 0), .hash_type = SIGHASH_ALL };
    sighash_cache_init(&cache, tx);
    assert_int_equal(sighash_original(&cache, &r, digest), SCRIPT_OK);
    assert_memory_equal(digest, expected, 32);
    sighash_cache_clear(&cache);
    tx_unref(tx);
    buf_clear(&raw);
    buf_clear(&image);
    buf_clear(&field);
}

static void check_vector(struct json_object *vector)
{
    struct json_object *in = json_object_object_get(vector, "input");
    struct json_object *expected = json_object_object_get(vector, "expected");
    const char *operation = text(in, "operation");

    if (strcmp(operation, "op_lshift") == 0)
        check_shift(in, expected, OP_LSHIFT);
    else if (strcmp(operation, "op_rshift") == 0)
        check_shift(in, expected, OP_RSHIFT);
    else if (strcmp(operation, "sighash_preimage") == 0)
        check_sequence(number(in, "input_sequence"), text(expected, "preimage_sequence_field_hex"));
    else if (strcmp(operation, "serialise_input_sequence") == 0)
        check_sequence(number(in, "input_sequence"), text(expected, "serialised_sequence_hex"));
    else
        fail_msg("unknown operation %s", operation);
}

static void run_file(const char *name)
{
    struct json_object *file = vector_json(name);
    struct json_object *vectors = json_object_object_get(file, "vectors");
    size_t n = json_object_array_length(vectors);

    for (size_t i = 0; i < n; i++)
        check_vector(json_object_array_get_idx(vectors, i));
    json_object_put(file);
    vector_report(name, n);
}

static void left_shifts_keep_the_length(void **state)
{
    (void)state;
    run_file("script/regression-lshift.json");
}

static void shifts_are_big_endian(void **state)
{
    (void)state;
    run_file("script/regression-shift-endianness.json");
}

static void sequence_zero_is_signed_as_zero(void **state)
{
    (void)state;
    run_file("script/regression-sequence-zero-sighash.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(left_shifts_keep_the_length),
        cmocka_unit_test(shifts_are_big_endian),
        cmocka_unit_test(sequence_zero_is_signed_as_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
