#include "wallet/brc42.h"

#include "tests/base/json_text.h"
#include "tests/wallet/pair.h"
#include "wallet/brc43.h"

static void unhex_into(void *out, size_t len, const char *hex)
{
    struct buf b = unhex(hex);
    assert_int_equal(b.len, len);
    memcpy(out, b.data, len);
    buf_clear(&b);
}

struct names { const char *secret, *key, *invoice; };

/* Derives our own child from a row; both of its forms must be one key. */
static void check_own(struct json_object *row, const struct names *n, const char *want_hex)
{
    uint8_t own[32], other[33], want[32], got[32], key[33], want_key[33];
    unhex_into(own, 32, json_str(row, n->secret));
    unhex_into(other, 33, json_str(row, n->key));
    unhex_into(want, 32, want_hex);
    struct brc42_party party = brc42_other(other);
    struct span invoice = text_span(json_str(row, n->invoice));
    assert_true(brc42_own_secret(got, own, &party, invoice));
    assert_memory_equal(got, want, 32);
    assert_true(ec_pubkey_of(want_key, want));
    assert_true(brc42_own_key(key, own, &party, invoice));
    assert_memory_equal(key, want_key, 33);
}

static void check_their(struct json_object *row, const struct names *n, const char *want_hex)
{
    uint8_t own[32], other[33], want[33], got[33];
    unhex_into(own, 32, json_str(row, n->secret));
    unhex_into(other, 33, json_str(row, n->key));
    unhex_into(want, 33, want_hex);
    struct brc42_party party = brc42_other(other);
    assert_true(brc42_their_key(got, own, &party, text_span(json_str(row, n->invoice))));
    assert_memory_equal(got, want, 33);
}

static const struct names spec_own = { "recipientPrivateKey", "senderPublicKey", "invoiceNumber" };
static const struct names spec_their = { "senderPrivateKey", "recipientPublicKey",
                                         "invoiceNumber" };

static void the_vectors_of_the_standard_hold(void **state)
{
    (void)state;
    const char *name = "spec/brc42.json";
    struct json_object *file = vector_json(name);
    struct json_object *own = json_get(file, "private"), *their = json_get(file, "public");
    size_t n = json_object_array_length(own), m = json_object_array_length(their);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(own, i);
        check_own(row, &spec_own, json_str(row, "privateKey"));
    }
    for (size_t i = 0; i < m; i++) {
        struct json_object *row = json_object_array_get_idx(their, i);
        check_their(row, &spec_their, json_str(row, "publicKey"));
    }
    json_object_put(file);
    vector_report(name, n + m);
}

static const struct names sdk_own = { "recipient_private_key_hex", "sender_public_key_hex",
                                      "invoice_number" };
static const struct names sdk_their = { "sender_private_key_hex", "recipient_public_key_hex",
                                        "invoice_number" };

/* A key itself: it is one, it has the public key named, or a point is none. */
static bool check_plain_key(struct json_object *in, struct json_object *want)
{
    const char *hex = json_str(in, "privkey_hex");
    if (hex) {
        uint8_t secret[32], key[33];
        unhex_into(secret, 32, hex);
        assert_true(ec_pubkey_of(key, secret));
        assert_int_equal(json_int(want, "pubkey_der_length_bytes", 33), sizeof key);
        if (json_str(want, "pubkey_der_hex")) {
            uint8_t want_key[33];
            unhex_into(want_key, 33, json_str(want, "pubkey_der_hex"));
            assert_memory_equal(key, want_key, 33);
        }
        return true;
    }
    if (json_int(in, "pubkey_x", 0) == 0)
        return false;
    uint8_t point[65] = { 4 }, shared[33];
    point[32] = (uint8_t)json_int(in, "pubkey_x", 0);
    point[64] = (uint8_t)json_int(in, "pubkey_y", 0);
    assert_false(ec_ecdh_point(shared, point, sizeof point, brc42_anyone_secret));
    return true;
}

static bool sdk_row(struct json_object *row)
{
    struct json_object *in = json_get(row, "input"), *want = json_get(row, "expected");
    const char *secret = json_str(want, "derived_private_key_hex");
    const char *key = json_str(want, "derived_public_key_hex");
    if (secret)
        check_own(in, &sdk_own, secret);
    else if (key)
        check_their(in, &sdk_their, key);
    else
        return check_plain_key(in, want);
    return true;
}

static void run_sdk_file(const char *name)
{
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows), run = 0;
    for (size_t i = 0; i < n; i++)
        run += sdk_row(json_object_array_get_idx(rows, i));
    json_object_put(file);
    vector_report_part(name, n, run);
}

static void the_vectors_of_the_sdk_hold(void **state)
{
    (void)state;
    run_sdk_file("brc/key-derivation.json");
}

/* Files about keys that have derived ones too. */
static void private_keys_derived_by_the_sdk_hold(void **state)
{
    (void)state;
    run_sdk_file("keys/private-key.json");
}

static void public_keys_derived_by_the_sdk_hold(void **state)
{
    (void)state;
    run_sdk_file("keys/public-key.json");
}

static void invoice_of(struct buf *out, struct json_object *args)
{
    struct json_object *id = json_get(args, "protocolID");
    struct json_object *level = json_object_array_get_idx(id, 0);
    const char *protocol = json_object_get_string(json_object_array_get_idx(id, 1));
    buf_init(out);
    assert_int_equal(brc43_invoice(out, (unsigned)json_object_get_int(level), text_span(protocol),
                                   text_span(json_str(args, "keyID")), BRC43_ACCEPT, NULL), OK);
}

static struct brc42_party party_of(const char *counterparty)
{
    uint8_t key[33];
    if (strcmp(counterparty, "self") == 0)
        return (struct brc42_party){ .who = BRC42_SELF };
    if (strcmp(counterparty, "anyone") == 0)
        return (struct brc42_party){ .who = BRC42_ANYONE };
    unhex_into(key, 33, counterparty);
    return brc42_other(key);
}

static void payment_case(struct json_object *row)
{
    struct json_object *in = json_get(row, "input"), *args = json_get(in, "args");
    uint8_t root[32], want[33], got[33];
    struct buf invoice;
    unhex_into(root, 32, json_str(in, "root_key"));
    unhex_into(want, 33, json_str(json_get(row, "expected"), "publicKey"));
    struct brc42_party party = party_of(json_str(args, "counterparty"));
    invoice_of(&invoice, args);
    const bool own = json_object_get_boolean(json_get(args, "forSelf"));
    assert_true((own ? brc42_own_key : brc42_their_key)(got, root, &party, buf_span(&invoice)));
    assert_memory_equal(got, want, 33);
    buf_clear(&invoice);
}

static void payment_keys_match_the_sdk(void **state)
{
    (void)state;
    const char *name = "brc/brc29-payment-derivation.json";
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        payment_case(json_object_array_get_idx(rows, i));
    json_object_put(file);
    vector_report(name, n);
}

struct known { enum brc42_who who; const char *invoice, *secret; };

static void keys_for_oneself_and_for_anyone_are_known(void **state)
{
    (void)state;
    static const struct known cases[] = {
        { BRC42_SELF, "2-hello world-1",
          "6b645fc5bb0457baab4ed0906d0f8fd79b9fba2826b7d4f6a42bd5a8d8de9018" },
        { BRC42_ANYONE, "1-document signing-1",
          "2c90a0b7d8cdc971c681497f8ba823551272b857802ba0b16c03867746d341b4" },
    };
    uint8_t root[32], want[32], got[32];
    memset(root, 0x11, sizeof root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct brc42_party party = { .who = cases[i].who };
        unhex_into(want, 32, cases[i].secret);
        assert_true(brc42_own_secret(got, root, &party, text_span(cases[i].invoice)));
        assert_memory_equal(got, want, 32);
    }
}

/* Key pairs 11... and 21...; the payment of spec brc-notes 10. */
static void payer_and_payee_derive_the_same_key(void **state)
{
    (void)state;
    static const char invoice_text[] = "2-3241645161d8-cHJlZml4 c3VmZml4";
    const struct person a = person_with(0x11), b = person_with(0x21);
    uint8_t want[33], secret[32], got[33];
    const struct span invoice = text_span(invoice_text);
    unhex_into(want, 33, "02d9ee83bfb87a57c36b0d5cece11668679757ce04e0eec505a65237b68f6884ba");
    assert_true(brc42_their_key(got, a.secret, &b.party, invoice));
    assert_memory_equal(got, want, 33);
    assert_true(brc42_own_key(got, b.secret, &a.party, invoice));
    assert_memory_equal(got, want, 33);
    unhex_into(want, 32, "bc3b8c8845547f083ebad50df063d36f2d1cce650a9b0d2dd94ecb9f0e770dc7");
    assert_true(brc42_own_secret(secret, b.secret, &a.party, invoice));
    assert_memory_equal(secret, want, 32);
}

static void anyone_derives_the_public_key_of_a_child_for_anyone(void **state)
{
    (void)state;
    const struct person a = person_with(0x31);
    const struct brc42_party anyone = { .who = BRC42_ANYONE };
    uint8_t child[33], seen[33];
    const struct span invoice = text_span("1-document signing-1");
    assert_true(brc42_own_key(child, a.secret, &anyone, invoice));
    assert_true(brc42_their_key(seen, brc42_anyone_secret, &a.party, invoice));
    assert_memory_equal(child, seen, 33);
}

static void both_sides_make_the_same_symmetric_key(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    uint8_t one[32], two[32];
    assert_true(brc42_symmetric_key(one, a.secret, &b.party, text_span("2-hello world-1")));
    assert_true(brc42_symmetric_key(two, b.secret, &a.party, text_span("2-hello world-1")));
    assert_memory_equal(one, two, 32);
    assert_true(brc42_symmetric_key(two, b.secret, &a.party, text_span("2-hello world-2")));
    assert_memory_not_equal(one, two, 32);
}

static void what_is_no_key_derives_nothing(void **state)
{
    (void)state;
    uint8_t a[32], none[32] = { 0 }, out[33], zeros[33] = { 0 };
    memset(a, 0x11, 32);
    const struct brc42_party bad = { .who = BRC42_OTHER }, self = { .who = BRC42_SELF };
    const struct span invoice = text_span("1-document signing-1");
    assert_false(brc42_own_secret(out, a, &bad, invoice));
    assert_memory_equal(out, zeros, 32);
    assert_false(brc42_their_key(out, a, &bad, invoice));
    assert_memory_equal(out, zeros, 33);
    assert_false(brc42_own_key(out, none, &self, invoice));
    assert_memory_equal(out, zeros, 33);
    assert_false(brc42_symmetric_key(out, a, &bad, invoice));
    assert_memory_equal(out, zeros, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_standard_hold),
        cmocka_unit_test(the_vectors_of_the_sdk_hold),
        cmocka_unit_test(private_keys_derived_by_the_sdk_hold),
        cmocka_unit_test(public_keys_derived_by_the_sdk_hold),
        cmocka_unit_test(payment_keys_match_the_sdk),
        cmocka_unit_test(keys_for_oneself_and_for_anyone_are_known),
        cmocka_unit_test(payer_and_payee_derive_the_same_key),
        cmocka_unit_test(anyone_derives_the_public_key_of_a_child_for_anyone),
        cmocka_unit_test(both_sides_make_the_same_symmetric_key),
        cmocka_unit_test(what_is_no_key_derives_nothing),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
