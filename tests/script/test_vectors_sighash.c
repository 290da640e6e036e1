/* script/sighash*.json: [raw transaction, script, input index, hash type, hash ...]. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "script/sighash.h"
#include "tests/test.h"

struct row {
    struct buf raw, code;
    struct tx *tx;
    struct sighash_request request;
    const char *hash, *hash_original;
};

static bool row_read(struct json_object *json, struct row *r)
{
    if (json_object_array_length(json) < 5)
        return false; /* the heading */
    r->raw = unhex(json_object_get_string(json_object_array_get_idx(json, 0)));
    r->code = unhex(json_object_get_string(json_object_array_get_idx(json, 1)));
    r->tx = tx_new(r->raw.data, r->raw.len, NULL);
    assert_non_null(r->tx);
    r->request = (struct sighash_request){
        .code = buf_span(&r->code),
        .index = (size_t)json_object_get_int64(json_object_array_get_idx(json, 2)),
        .hash_type = (uint32_t)json_object_get_int64(json_object_array_get_idx(json, 3)),
    };
    r->hash = json_object_get_string(json_object_array_get_idx(json, 4));
    r->hash_original = json_object_get_string(json_object_array_get_idx(json, 5));
    return true;
}

static void row_clear(struct row *r)
{
    tx_unref(r->tx);
    buf_clear(&r->raw);
    buf_clear(&r->code);
}

static bool digest_is(struct row *r, enum sighash_form form, const char *expected)
{
    struct sighash_cache cache;
    uint8_t digest[32];
    char hex[HASH_HEX_SIZE];

    sighash_cache_init(&cache, r->tx);
    enum script_err err = form == SIGHASH_FORM_BIP143
                              ? sighash_bip143(&cache, &r->request, digest)
                              : sighash_original(&cache, &r->request, digest);
    sighash_cache_clear(&cache);
    assert_int_equal(err, SCRIPT_OK);
    hash_to_hex(hex, digest);
    if (strcmp(hex, expected) != 0)
        printf("expected %s, got %s (type %08x)\n", expected, hex, r->request.hash_type);
    return strcmp(hex, expected) == 0;
}

typedef bool (*row_fn)(struct row *r);

static void run_file(const char *name, row_fn check)
{
    struct json_object *rows = vector_json(name);
    size_t cases = 0, failures = 0;
    struct row r;

    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        if (!row_read(json_object_array_get_idx(rows, i), &r))
            continue;
        cases++;
        failures += !check(&r);
        row_clear(&r);
    }
    json_object_put(rows);
    vector_report(name, cases);
    assert_int_equal(failures, 0);
}

/* First hash: by the hash type with FORKID on; second: the original form. */
static bool both_hashes(struct row *r)
{
    enum sighash_form form = sighash_form_of(r->request.hash_type, UINT32_C(1) << 16);
    bool first = digest_is(r, form, r->hash);

    return digest_is(r, SIGHASH_FORM_ORIGINAL, r->hash_original) && first;
}

static bool bip143_hash(struct row *r)
{
    return digest_is(r, SIGHASH_FORM_BIP143, r->hash);
}

static bool original_hash(struct row *r)
{
    return digest_is(r, SIGHASH_FORM_ORIGINAL, r->hash);
}

static void reference_digests_match(void **state)
{
    (void)state;
    run_file("script/sighash.json", both_hashes);
}

static void bip143_digests_match(void **state)
{
    (void)state;
    run_file("script/sighash_bip143.json", bip143_hash);
}

static void original_digests_match(void **state)
{
    (void)state;
    run_file("script/sighash_legacy.json", original_hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_digests_match),
        cmocka_unit_test(bip143_digests_match),
        cmocka_unit_test(original_digests_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
