#include "bca/binding.h"

#include <json-c/json.h>
#include <stdio.h>

#include "base/ec.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

#define FILE_NAME "bca.json"

struct side {
    struct buf ephemeral_secret, ephemeral_key, address, static_secret, static_key, params;
    bool has_bca;
};

static struct json_object *identity_of(struct json_object *all, const char *name)
{
    struct json_object *rows = json_get(all, "valid");
    for (size_t i = 0; name && i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        if (strcmp(json_str(row, "name"), name) == 0)
            return row;
    }
    return NULL;
}

static struct buf bytes_of(struct json_object *o, const char *key)
{
    const char *hex = json_str(o, key);
    return unhex(hex ? hex : "");
}

/* suffix: "_i" or "_r". */
static struct side side_of(struct json_object *all, struct json_object *row, const char *role,
                           const char *suffix)
{
    char secret[32], key[32], address[32];
    struct json_object *identity = identity_of(all, json_str(row, role));
    snprintf(secret, sizeof secret, "ephemeral_private%s", suffix);
    snprintf(key, sizeof key, "ephemeral_public%s", suffix);
    snprintf(address, sizeof address, "address%s", suffix);
    assert_int_equal(identity == NULL, json_str(row, role) == NULL);
    return (struct side){
        .ephemeral_secret = bytes_of(row, secret),
        .ephemeral_key = bytes_of(row, key),
        .address = bytes_of(row, address),
        .static_secret = bytes_of(identity, "private_key"),
        .static_key = bytes_of(identity, "public_key"),
        .params = bytes_of(identity, "params"),
        .has_bca = identity != NULL,
    };
}

static void side_clear(struct side *s)
{
    buf_clear(&s->ephemeral_secret);
    buf_clear(&s->ephemeral_key);
    buf_clear(&s->address);
    buf_clear(&s->static_secret);
    buf_clear(&s->static_key);
    buf_clear(&s->params);
}

static struct bca_bound bound_of(const struct side *s)
{
    return (struct bca_bound){ s->ephemeral_key.data, s->has_bca ? s->address.data : NULL,
                               buf_span(&s->params) };
}

static struct bca_exchange exchange_of(enum bca_role role, const struct side *us,
                                       const struct side *them)
{
    return (struct bca_exchange){
        .role = role,
        .ephemeral_secret = us->ephemeral_secret.data,
        .static_secret = us->has_bca ? us->static_secret.data : NULL,
        .their_ephemeral_key = them->ephemeral_key.data,
        .their_static_key = them->has_bca ? them->static_key.data : NULL,
    };
}

static void assert_hex(struct json_object *row, const char *key, const uint8_t got[32])
{
    char text[65];
    hex_encode(text, got, 32);
    assert_string_equal(text, json_str(row, key));
}

static void check_row(struct json_object *all, struct json_object *row)
{
    struct side i = side_of(all, row, "initiator", "_i");
    struct side r = side_of(all, row, "responder", "_r");
    const struct bca_bound bound_i = bound_of(&i), bound_r = bound_of(&r);
    uint8_t bind[32];
    struct bca_session_keys keys[2];
    bca_bind(bind, &bound_i, &bound_r);
    assert_hex(row, "bind", bind);
    const struct bca_exchange x[2] = { exchange_of(BCA_INITIATOR, &i, &r),
                                       exchange_of(BCA_RESPONDER, &r, &i) };
    for (int k = 0; k < 2; k++) { /* both sides come to the same keys */
        assert_true(bca_session_keys_make(&keys[k], bind, &x[k]));
        assert_hex(row, "key_i_to_r", keys[k].to_responder);
        assert_hex(row, "key_r_to_i", keys[k].to_initiator);
    }
    side_clear(&i);
    side_clear(&r);
}

static void both_sides_come_to_the_keys_of_the_vectors(void **state)
{
    (void)state;
    struct json_object *all = vector_json(FILE_NAME), *rows = json_get(all, "binding");
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        check_row(all, json_object_array_get_idx(rows, i));
    vector_report(FILE_NAME, json_object_array_length(rows));
    json_object_put(all);
}

static const uint8_t one[32] = { [31] = 1 }, two[32] = { [31] = 2 }, zero[32];

static void make_key(uint8_t out[33], const uint8_t secret[32])
{
    uint8_t key[65];
    assert_int_equal(ec_pubkey_create(key, secret, true), 33);
    memcpy(out, key, 33);
}

static void the_binding_covers_all_of_both_sides(void **state)
{
    (void)state;
    uint8_t key[2][33], address[16] = { 1 }, bind[2][32];
    make_key(key[0], one);
    make_key(key[1], two);
    struct bca_bound a = { key[0], address, span_of("x", 1) }, b = { key[1], NULL, { NULL, 0 } };
    bca_bind(bind[0], &a, &b);
    bca_bind(bind[1], &b, &a);
    assert_memory_not_equal(bind[0], bind[1], 32);
    a.params = span_of("y", 1);
    bca_bind(bind[1], &a, &b);
    assert_memory_not_equal(bind[0], bind[1], 32);
    a.params = span_of("x", 1);
    address[15] = 1;
    bca_bind(bind[1], &a, &b);
    assert_memory_not_equal(bind[0], bind[1], 32);
}

static void keys_that_are_none_make_no_session(void **state)
{
    (void)state;
    uint8_t key[33];
    struct bca_session_keys keys;
    make_key(key, two);
    struct bca_exchange x = { BCA_INITIATOR, one, NULL, key, NULL };
    assert_true(bca_session_keys_make(&keys, zero, &x));
    x.ephemeral_secret = zero;
    assert_false(bca_session_keys_make(&keys, zero, &x));
    assert_memory_equal(keys.to_responder, zero, 32);
    assert_memory_equal(keys.to_initiator, zero, 32);
    x.ephemeral_secret = one;
    key[0] = 5;
    assert_false(bca_session_keys_make(&keys, zero, &x));
    x.their_ephemeral_key = NULL;
    assert_false(bca_session_keys_make(&keys, zero, &x));
}

static int start(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_come_to_the_keys_of_the_vectors),
        cmocka_unit_test(the_binding_covers_all_of_both_sides),
        cmocka_unit_test(keys_that_are_none_make_no_session),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
