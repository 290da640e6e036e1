/*
 * CGA (RFC 3972), from which the layout of addresses comes: identifiers are built by the function
 * that builds those of BCAs, and held against the RFC's own example and its variants.
 */
#include "bca/address.h"

#include <json-c/json.h>

#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

#define FILE_NAME "cga_rfc3972.json"
#define HASH2_BYTES 14

struct cga {
    struct buf params, modifier, key, address;
    unsigned sec;
    int64_t collision_count;
};

static void hash2(const struct cga *c, uint8_t out[20])
{
    struct buf in;
    buf_init(&in);
    buf_put(&in, c->modifier.data, c->modifier.len);
    memset(buf_extend(&in, 9), 0, 9); /* prefix and count */
    buf_put(&in, c->key.data, c->key.len);
    sha1(out, in.data, in.len);
    buf_clear(&in);
}

static bool leading_bits_zero(const uint8_t *p, unsigned bits)
{
    for (unsigned i = 0; i < bits / 8; i++)
        if (p[i])
            return false;
    return true;
}

/* RFC 3972 5: the name of the check that fails, NULL when none does. */
static const char *verify(const struct cga *c, uint8_t id[8])
{
    uint8_t hash1_20[20], hash1[32] = { 0 }, hash2_20[20];
    sha1(hash1_20, c->params.data, c->params.len);
    memcpy(hash1, hash1_20, sizeof hash1_20);
    bca_interface_id(id, hash1, c->sec);
    hash2(c, hash2_20);
    if (c->collision_count > BCA_COLLISIONS_MAX)
        return "collision_count";
    if ((c->address.data[8] & 0xfc) != id[0] || memcmp(c->address.data + 9, id + 1, 7) != 0)
        return "hash1"; /* u and g are ignored there, unlike in a BCA */
    return leading_bits_zero(hash2_20, 16 * c->sec) ? NULL : "hash2";
}

static void check(struct json_object *row)
{
    struct cga c = {
        .params = unhex(json_str(row, "cga_parameters")),
        .modifier = unhex(json_str(row, "modifier")),
        .key = unhex(json_str(row, "public_key_der")),
        .address = unhex(json_str(row, "address")),
        .collision_count = json_int(row, "collision_count", 9),
    };
    struct buf want = unhex(json_str(row, "hash2_112"));
    uint8_t id[8], digest[20];
    c.sec = bca_address_sec(c.address.data);
    assert_int_equal(c.sec, json_int(row, "sec", -1));
    const char *fault = verify(&c, id);
    const char *expected = json_str(row, "fails_because");
    if ((fault == NULL) != (expected == NULL) || (fault && strcmp(fault, expected) != 0))
        fail_msg("%s: %s, expected %s", json_str(row, "name"), fault ? fault : "valid",
                 expected ? expected : "valid");
    hash2(&c, digest);
    assert_memory_equal(digest, want.data, HASH2_BYTES);
    buf_clear(&want);
    want = unhex(json_str(row, "hash1_64"));
    sha1(digest, c.params.data, c.params.len);
    assert_memory_equal(digest, want.data, 8);
    buf_clear(&want);
    buf_clear(&c.params);
    buf_clear(&c.modifier);
    buf_clear(&c.key);
    buf_clear(&c.address);
}

static void the_example_of_the_rfc_and_its_variants(void **state)
{
    (void)state;
    struct json_object *all = vector_json(FILE_NAME), *rows = json_get(all, "cases");
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        check(json_object_array_get_idx(rows, i));
    vector_report(FILE_NAME, json_object_array_length(rows));
    json_object_put(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_example_of_the_rfc_and_its_variants) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
