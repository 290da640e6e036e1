/* Published keys and addresses against the networks' version bytes, and a block known by its ids
 * alone. */
#include <string.h>

#include "base/address.h"
#include "base/block.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "base/tx.h"
#include "base/wif.h"
#include "chain/params.h"
#include "chain/pow.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

static bool is_address(const struct chain_params *p, const char *text)
{
    uint8_t version, hash[20];
    return address_decode(text, &version, hash) &&
           (version == p->address_version || version == p->script_address_version);
}

static bool is_secret(const struct chain_params *p, const char *text)
{
    struct private_key k;
    return wif_decode(&k, p->secret_version, text) == WIF_OK;
}

static void no_invalid_text_is_an_address_or_key_of_any_network(void **state)
{
    (void)state;
    const char *name = "keys/base58_keys_invalid.json";
    struct json_object *rows = vector_json(name);
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(json_object_array_get_idx(rows, i), 0));
        for (int network = NETWORK_MAIN; network <= NETWORK_REGTEST; network++) {
            const struct chain_params *p = params_get((enum chain_network)network);
            if (is_address(p, text) || is_secret(p, text))
                fail_msg("%s: '%s' was accepted on %s", name, text, p->name);
        }
    }
    vector_report(name, n);
    json_object_put(rows);
}

static const struct chain_params *network_of(struct json_object *about)
{
    struct json_object *flag = json_get(about, "isTestnet");
    const char *chain = json_str(about, "chain");
    if (flag)
        return params_get(json_object_get_boolean(flag) ? NETWORK_TEST : NETWORK_MAIN);
    return params_get(chain && strcmp(chain, "main") != 0 ? NETWORK_TEST : NETWORK_MAIN);
}

static void every_valid_text_is_what_it_says(void **state)
{
    (void)state;
    const char *name = "keys/base58_keys_valid.json";
    struct json_object *rows = vector_json(name);
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *text = json_object_get_string(json_object_array_get_idx(row, 0));
        struct json_object *about = json_object_array_get_idx(row, 2);
        const struct chain_params *p = network_of(about);
        const bool secret = json_object_get_boolean(json_get(about, "isPrivkey"));
        if (is_secret(p, text) != secret || is_address(p, text) == secret)
            fail_msg("%s: '%s' is not what it should be", name, text);
    }
    vector_report(name, n);
    json_object_put(rows);
}

static void assert_hex(const uint8_t secret[32], const char *want)
{
    char got[65];
    hex_encode(got, secret, 32);
    if (want)
        assert_string_equal(got, want);
}

/* The secret of a row, given as text or in hex; false: another row. */
static bool secret_of(struct json_object *input, uint8_t secret[32])
{
    const char *wif = json_str(input, "wif"), *hex = json_str(input, "privkey_hex");
    struct private_key k;
    size_t len;
    if (wif) {
        const uint8_t version = params_get(NETWORK_MAIN)->secret_version;
        assert_int_equal(wif_decode(&k, version, wif), WIF_OK);
        memcpy(secret, k.secret, 32);
        return true;
    }
    return hex && hex_decode(secret, 32, hex, strlen(hex), &len) && len == 32;
}

/* Rows about derivation (BRC-42) belong to the wallet. */
static void secrets_give_their_public_keys(void **state)
{
    (void)state;
    const char *name = "keys/private-key.json";
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    const size_t n = json_object_array_length(rows);
    size_t cases = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *expected = json_get(row, "expected");
        const char *key_hex = json_str(expected, "pubkey_hex");
        uint8_t secret[32], key[65];
        char got[131];
        if (!key_hex || !secret_of(json_get(row, "input"), secret))
            continue;
        assert_hex(secret, json_str(expected, "privkey_hex"));
        assert_hex(secret, json_str(expected, "privkey_hex_roundtrip"));
        hex_encode(got, key, ec_pubkey_create(key, secret, true));
        assert_string_equal(got, key_hex);
        cases++;
    }
    json_object_put(file);
    vector_report_part(name, n, cases);
}

/* Numbers at or above the order of the curve are no keys here: nothing is reduced. */
static void numbers_are_keys_below_the_order(void **state)
{
    (void)state;
    const char *name = "keys/regression-modular-reduction.json";
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    const uint8_t version = params_get(NETWORK_MAIN)->secret_version;
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *want = json_str(json_get(row, "expected"), "wif");
        struct buf number = unhex(json_str(json_get(row, "input"), "scalar_hex"));
        struct private_key k = { .compressed = true };
        char text[WIF_TEXT_MAX];
        assert_int_equal(number.len, 32);
        memcpy(k.secret, number.data, 32);
        wif_encode(text, version, &k);
        if (ec_seckey_valid(k.secret)) {
            assert_non_null(want);
            assert_string_equal(text, want);
        } else {
            assert_int_equal(wif_decode(&k, version, text), WIF_BAD_KEY);
        }
        buf_clear(&number);
    }
    vector_report(name, n);
    json_object_put(file);
}

/* The ids alone give the Merkle root; coinbase and header are checked as far as they go. */
static void check_ids(struct json_object *file)
{
    struct json_object *ids = json_get(file, "txids");
    struct buf raw = unhex(json_str(file, "header")), coinbase = unhex(json_str(file, "coinbase"));
    struct block_header h;
    struct block_hash hash, expected;
    struct reader r;
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    assert_true(reader_done(&r));
    block_header_hash(&hash, &h);
    assert_true(hash_from_hex(expected.b, json_str(file, "hash")));
    assert_memory_equal(hash.b, expected.b, 32);
    assert_true(pow_hash_ok(params_get(NETWORK_MAIN), &hash, h.bits));

    struct merkle m;
    merkle_init(&m);
    for (size_t i = 0; i < json_object_array_length(ids); i++) {
        struct txid id;
        assert_true(hash_from_hex(id.b, json_object_get_string(json_object_array_get_idx(ids, i))));
        merkle_add(&m, id.b);
    }
    bool mutated;
    const struct hash256 root = merkle_root(&m, &mutated);
    assert_false(mutated);
    assert_memory_equal(root.b, h.merkle_root.b, 32);
    assert_int_equal(m.count, json_int(file, "tx_count", -1));

    struct error e;
    struct tx *tx = tx_new(coinbase.data, coinbase.len, &e);
    assert_non_null(tx);
    assert_true(tx_is_coinbase(tx));
    struct txid first;
    assert_true(hash_from_hex(first.b, json_object_get_string(json_object_array_get_idx(ids, 0))));
    assert_memory_equal(tx->id.b, first.b, 32);
    tx_unref(tx);
    buf_clear(&raw);
    buf_clear(&coinbase);
}

static void a_block_known_by_its_ids_has_the_root_of_its_header(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("blocks", "_ids.json", &names);
    if (n == 0) {
        vector_list_free(names, n);
        skip();
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *file = vector_json(names[i]);
        check_ids(file);
        vector_report(names[i], json_object_array_length(json_get(file, "txids")));
        json_object_put(file);
    }
    vector_list_free(names, n);
}

static int set_up(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_invalid_text_is_an_address_or_key_of_any_network),
        cmocka_unit_test(every_valid_text_is_what_it_says),
        cmocka_unit_test(secrets_give_their_public_keys),
        cmocka_unit_test(numbers_are_keys_below_the_order),
        cmocka_unit_test(a_block_known_by_its_ids_has_the_root_of_its_header),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
