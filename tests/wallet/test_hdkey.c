#include "wallet/hdkey.h"

#include <string.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/wif.h"
#include "tests/base/json_text.h"
#include "tests/test.h"
#include "wallet/hdpath.h"
#include "wallet/mnemonic.h"

static int start_ec(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

static struct hdkey derive(const struct hdkey *from, const char *text)
{
    struct hdpath path;
    struct hdkey k;
    assert_int_equal(hdpath_parse(&path, text, NULL), OK);
    assert_int_equal(hdkey_derive(&k, from, &path, NULL), OK);
    return k;
}

static void assert_same(const struct hdkey *a, const struct hdkey *b)
{
    assert_int_equal(a->is_private, b->is_private);
    assert_int_equal(a->depth, b->depth);
    assert_memory_equal(a->parent, b->parent, sizeof a->parent);
    assert_int_equal(a->index, b->index);
    assert_memory_equal(a->chain_code, b->chain_code, sizeof a->chain_code);
    assert_memory_equal(a->secret, b->secret, sizeof a->secret);
    assert_memory_equal(a->key, b->key, sizeof a->key);
}

/* What a failure leaves. */
static void assert_none(const struct hdkey *k)
{
    static const struct hdkey none;
    assert_same(k, &none);
}

static void assert_text(const struct hdkey *k, const char *want)
{
    char text[HDKEY_TEXT_MAX];
    struct hdkey back;
    assert_string_equal(hdkey_encode(text, HDKEY_MAIN, k), want);
    assert_int_equal(hdkey_decode(&back, HDKEY_MAIN, want, NULL), OK);
    assert_same(&back, k);
}

static struct hdkey public_of(const struct hdkey *k)
{
    struct hdkey p = *k;
    hdkey_make_public(&p);
    return p;
}

/* The same key, reached from the public key of its parent; only when the last step is plain. */
static void check_public_step(const struct hdkey *parent, const struct hdkey *child)
{
    const struct hdkey from = public_of(parent), want = public_of(child);
    struct hdkey got;
    if (child->index & HDPATH_HARDENED) {
        assert_int_equal(hdkey_child(&got, &from, child->index, NULL), ERR_AUTH);
        return;
    }
    assert_int_equal(hdkey_child(&got, &from, child->index, NULL), OK);
    assert_same(&got, &want);
}

static size_t check_chains(struct json_object *group)
{
    struct buf seed = unhex(json_str(group, "seed"));
    struct json_object *chains = json_get(group, "chains");
    struct hdkey master, parent;
    assert_int_equal(hdkey_master(&master, buf_span(&seed), NULL), OK);
    const size_t n = json_object_array_length(chains);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(chains, i);
        const struct hdkey k = derive(&master, json_str(row, "path")), p = public_of(&k);
        assert_text(&k, json_str(row, "xprv"));
        assert_text(&p, json_str(row, "xpub"));
        if (i)
            check_public_step(&parent, &k);
        parent = k;
    }
    buf_clear(&seed);
    return n;
}

static void the_chains_of_the_standard_hold(void **state)
{
    (void)state;
    const char *name = "keys/bip32_vectors.json";
    struct json_object *file = vector_json(name), *groups = json_get(file, "valid");
    size_t run = 0;
    for (size_t i = 0; i < json_object_array_length(groups); i++)
        run += check_chains(json_object_array_get_idx(groups, i));
    json_object_put(file);
    vector_report(name, run);
}

/* A piece of the reason in the vectors, and of ours. */
static const char *const reasons[][2] = {
    { "pubkey version / prvkey", "says public, its key is private" },
    { "prvkey version / pubkey", "says private, its key is public" },
    { "prefix", "begins with" },
    { "parent fingerprint", "no parent" },
    { "non-zero index", "index 0" },
    { "unknown", "version" },
    { "private key", "zero or too large" },
    { "invalid pubkey 02", "not on the curve" },
    { "checksum", "checksum" },
};

static void assert_refused(const char *text, const char *reason)
{
    struct hdkey k;
    struct error e;
    size_t i = 0;
    while (i < sizeof reasons / sizeof *reasons && !strstr(reason, reasons[i][0]))
        i++;
    assert_true(i < sizeof reasons / sizeof *reasons);
    memset(&k, 1, sizeof k);
    assert_int_equal(hdkey_decode(&k, HDKEY_MAIN, text, &e), ERR_PARSE);
    if (!strstr(e.text, reasons[i][1]))
        fail_msg("%s: %s", reason, e.text);
    assert_none(&k);
}

static void invalid_keys_are_refused_with_the_reason(void **state)
{
    (void)state;
    const char *name = "keys/bip32_vectors.json";
    struct json_object *file = vector_json(name), *rows = json_get(file, "invalid");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        assert_refused(json_str(row, "key"), json_str(row, "reason"));
    }
    json_object_put(file);
    vector_report(name, n);
}

static struct hdkey known_master(void)
{
    static const char phrase[] = "abandon abandon abandon abandon abandon abandon abandon abandon "
                                 "abandon abandon abandon about";
    uint8_t seed[MNEMONIC_SEED_SIZE];
    struct hdkey k;
    assert_int_equal(mnemonic_seed(seed, phrase, "", NULL), OK);
    assert_int_equal(hdkey_master(&k, span_of(seed, sizeof seed), NULL), OK);
    return k;
}

struct wallet_row { const char *path, *address, *wif; uint8_t address_version, wif_version; };

static void wallets_find_their_addresses(void **state)
{
    (void)state;
    static const struct wallet_row rows[] = {
        { "m/44'/236'/0'/0/0", "1K6LZdwpKT5XkEZo2T2kW197aMXYbYMc4f",
          "KxU83MzcLXP1WJtoFJXMDMcN3z5ykAa9xLdFTDY5XpV4e6Zit9BA", 0, 0x80 },
        { "m/44'/236'/0'/0/1", "1DhquSu6ky8QQnf88b1d3tRYeUkMLASZg9",
          "KwS5Ds6zSxwXZEzcBrY4XjQhRKdQtYHaxQ6LoNkQsrgqyktkYBq7", 0, 0x80 },
        { "m/44'/236'/0'/1/0", "125GFsvYsDtyzGkExfsX8DoHuXu2UsMUEZ",
          "KzMZ3P4wSxNoJwx8biNQEbcKhUJrXRD8AhE3qPa1ep99V3U3Dunm", 0, 0x80 },
        { "m/44'/0'/0'/0/0", "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA",
          "L4p2b9VAf8k5aUahF1JCJUzZkgNEAqLfq8DDdQiyAprQAKSbu8hf", 0, 0x80 },
        { "m/44'/1'/0'/0/0", "mkpZhYtJu2r87Js3pDiWJDmPte2NRZ8bJV",
          "cV6NTLu255SZ5iCNkVHezNGDH5qv6CanJpgBPqYgJU13NNKJhRs1", 0x6f, 0xef },
    };
    const struct hdkey master = known_master();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct hdkey k = derive(&master, rows[i].path);
        struct private_key secret = { .compressed = true };
        char text[WIF_TEXT_MAX], address[ADDRESS_TEXT_MAX];
        uint8_t hash[20];
        memcpy(secret.secret, k.secret, 32);
        assert_string_equal(wif_encode(text, rows[i].wif_version, &secret), rows[i].wif);
        hash160(hash, k.key, sizeof k.key);
        assert_string_equal(address_encode(address, rows[i].address_version, hash),
                            rows[i].address);
    }
}

static void an_account_is_watched_with_its_public_key(void **state)
{
    (void)state;
    static const char account[] = "xpub6CdMDgU2hzWyeZ852LWqp5AfDz3ty2cRfi4jEw9BT8aNYugMQvVykQsKLARZ"
                                  "dbqKKp7yTviJdL1N9saYLmJNKD1rwVAwLTmU8r8qKeoyG4R";
    const struct hdkey master = known_master();
    struct hdpath path;
    struct hdkey k, watched;
    assert_int_equal(hdpath_account(&path, HDPATH_COIN_BSV, 0, NULL), OK);
    assert_int_equal(hdkey_derive(&k, &master, &path, NULL), OK);
    hdkey_make_public(&k);
    assert_text(&k, account);
    assert_int_equal(hdkey_decode(&watched, HDKEY_MAIN, account, NULL), OK);
    const struct hdkey a = derive(&watched, "0/1"), b = derive(&master, "m/44'/236'/0'/0/1");
    assert_memory_equal(a.key, b.key, sizeof a.key);
    assert_false(a.is_private);
}

static void texts_belong_to_their_network(void **state)
{
    (void)state;
    const struct hdkey master = known_master(), watched = public_of(&master);
    char text[HDKEY_TEXT_MAX];
    struct hdkey back;
    struct error e;
    hdkey_encode(text, HDKEY_TEST, &master);
    assert_memory_equal(text, "tprv", 4);
    assert_int_equal(hdkey_decode(&back, HDKEY_TEST, text, NULL), OK);
    assert_same(&back, &master);
    assert_int_equal(hdkey_decode(&back, HDKEY_MAIN, text, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "test network"));
    hdkey_encode(text, HDKEY_MAIN, &watched);
    assert_int_equal(hdkey_decode(&back, HDKEY_TEST, text, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "main network"));
    hdkey_encode(text, HDKEY_TEST, &watched);
    assert_memory_equal(text, "tpub", 4);
}

static void what_is_no_extended_key_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "x", "xpub", "1111", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "0",
        "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn",
    };
    struct hdkey k;
    char long_text[1000];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(hdkey_decode(&k, HDKEY_MAIN, texts[i], NULL), ERR_PARSE);
    memset(long_text, 'z', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(hdkey_decode(&k, HDKEY_MAIN, long_text, NULL), ERR_PARSE);
}

static void seeds_and_depth_have_limits(void **state)
{
    (void)state;
    uint8_t seed[65] = { 1 };
    struct hdkey k;
    assert_int_equal(hdkey_master(&k, span_of(seed, 15), NULL), ERR_RANGE);
    assert_none(&k);
    assert_int_equal(hdkey_master(&k, span_of(seed, 65), NULL), ERR_RANGE);
    assert_int_equal(hdkey_master(&k, span_of(seed, 64), NULL), OK);
    assert_int_equal(hdkey_master(&k, span_of(seed, 16), NULL), OK);
    for (unsigned depth = 0; depth < 255; depth++) {
        assert_int_equal(k.depth, depth);
        assert_int_equal(hdkey_child(&k, &k, depth, NULL), OK);
    }
    assert_int_equal(hdkey_child(&k, &k, 0, NULL), ERR_RANGE);
    assert_none(&k);
}

/* Numbers that make no key: an HMAC cannot be steered, so the parent is what is no key here. */
static void a_step_from_no_key_fails(void **state)
{
    (void)state;
    struct hdkey k = { .is_private = true };
    memset(k.secret, 0xff, 32);
    assert_int_equal(hdkey_child(&k, &k, 0, NULL), ERR_RANGE);
    assert_none(&k);
    assert_int_equal(hdkey_child(&k, &k, 0, NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chains_of_the_standard_hold),
        cmocka_unit_test(invalid_keys_are_refused_with_the_reason),
        cmocka_unit_test(wallets_find_their_addresses),
        cmocka_unit_test(an_account_is_watched_with_its_public_key),
        cmocka_unit_test(texts_belong_to_their_network),
        cmocka_unit_test(what_is_no_extended_key_is_refused),
        cmocka_unit_test(seeds_and_depth_have_limits),
        cmocka_unit_test(a_step_from_no_key_fails),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
