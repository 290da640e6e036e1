#include "wallet/brc2.h"

#include "base/aead.h"
#include "tests/wallet/pair.h"

static const char known_secret[] =
    "6a2991c9de20e38b31d7ea147bf55f5039e4bbc073160f5e0d541d1f17e321b8";
static const char known_party[] =
    "0294c479f762f6baa97fbcd4393564c1d7bd8336ebd15928135bbcf575cd1a71a1";

static struct brc42_party party_from(const char *hex)
{
    struct buf key = unhex(hex);
    assert_int_equal(key.len, 33);
    const struct brc42_party party = brc42_other(key.data);
    buf_clear(&key);
    return party;
}

static void the_message_of_the_standard_opens(void **state)
{
    (void)state;
    const struct brc42_party party = party_from(known_party);
    struct buf own = unhex(known_secret), out;
    struct buf sealed = unhex(
        "fccbd8b81da1dfd410c15e631f8c632b3decb8433669c72f0b13b87f02a57d09bcc3c4277882d55fba59401c"
        "015014d59f8562fd806971f7c598ec40a6cf718641263a187f918cce2f469254ba485f239a70b237487c");
    buf_init(&out);
    assert_int_equal(brc2_decrypt(&out, own.data, &party, text_span("2-brc2 test-42"),
                                  buf_span(&sealed), NULL), OK);
    assert_int_equal(out.len, 38);
    assert_memory_equal(out.data, "BRC-2 Encryption Compliance Validated!", out.len);
    buf_clear(&own);
    buf_clear(&out);
    buf_clear(&sealed);
}

static void the_signature_of_the_standard_verifies(void **state)
{
    (void)state;
    static const char data[] = "BRC-3 Compliance Validated!";
    const struct brc42_party signer = party_from(known_party);
    struct buf sig = unhex("304402202b223a9cdb2032461df09b89583cc85ff3c6c91538528d7045c4aa499c06"
                           "2c300220767dfec92c57b1aa5d0bc1861246091fea1baab13660b58ca6c4900ee676"
                           "6a69");
    assert_true(brc3_verify(brc42_anyone_secret, &signer, text_span("2-brc3 test-42"),
                            text_span(data), buf_span(&sig)));
    assert_false(brc3_verify(brc42_anyone_secret, &signer, text_span("2-brc3 test-43"),
                             text_span(data), buf_span(&sig)));
    assert_false(brc3_verify(brc42_anyone_secret, &signer, text_span("2-brc3 test-42"),
                             text_span("BRC-3"), buf_span(&sig)));
    buf_clear(&sig);
}

static void what_one_seals_the_other_opens(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    const struct span invoice = text_span("2-hello world-1");
    char plain[300];
    memset(plain, 'p', sizeof plain);
    for (size_t len = 1; len <= sizeof plain; len += 74) {
        struct buf sealed, out;
        buf_init(&sealed);
        buf_init(&out);
        buf_put_str(&out, "kept");
        assert_int_equal(brc2_encrypt(&sealed, a.secret, &b.party, invoice, span_of(plain, len),
                                      NULL), OK);
        assert_int_equal(sealed.len, len + BRC2_OVERHEAD);
        assert_int_equal(brc2_decrypt(&out, b.secret, &a.party, invoice, buf_span(&sealed), NULL),
                         OK);
        assert_int_equal(out.len, 4 + len);
        assert_memory_equal(out.data, "kept", 4);
        assert_memory_equal(out.data + 4, plain, len);
        buf_clear(&sealed);
        buf_clear(&out);
    }
}

static void an_empty_text_is_not_sealed(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    struct buf sealed;
    buf_init(&sealed);
    assert_int_equal(brc2_encrypt(&sealed, a.secret, &b.party, text_span("2-hello world-1"),
                                  span_of(NULL, 0), NULL), ERR_RANGE);
    assert_int_equal(sealed.len, 0);
    buf_clear(&sealed);
}

static void an_empty_text_opens(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    const struct span invoice = text_span("2-hello world-1"), none = span_of(NULL, 0);
    uint8_t key[32], sealed[BRC2_OVERHEAD] = { 7 };
    struct buf out;
    buf_init(&out);
    assert_true(brc42_symmetric_key(key, a.secret, &b.party, invoice));
    assert_true(aead_seal(AEAD_AES_256_GCM, key, span_of(sealed, 32), none, none, sealed + 32));
    assert_int_equal(brc2_decrypt(&out, b.secret, &a.party, invoice,
                                  span_of(sealed, sizeof sealed), NULL), OK);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

static void every_message_has_another_iv(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    struct buf one, two;
    buf_init(&one);
    buf_init(&two);
    assert_int_equal(brc2_encrypt(&one, a.secret, &b.party, text_span("2-hello world-1"),
                                  text_span("same"), NULL), OK);
    assert_int_equal(brc2_encrypt(&two, a.secret, &b.party, text_span("2-hello world-1"),
                                  text_span("same"), NULL), OK);
    assert_memory_not_equal(one.data, two.data, 32);
    assert_memory_not_equal(one.data + 32, two.data + 32, 4);
    buf_clear(&one);
    buf_clear(&two);
}

static void assert_closed(const struct person *own, const struct person *other,
                          const char *invoice, struct span sealed)
{
    struct buf out;
    buf_init(&out);
    assert_int_equal(brc2_decrypt(&out, own->secret, &other->party, text_span(invoice), sealed,
                                  NULL), ERR_AUTH);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

static void what_was_changed_or_is_for_others_stays_closed(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21), c = person_with(0x31);
    struct buf sealed;
    buf_init(&sealed);
    assert_int_equal(brc2_encrypt(&sealed, a.secret, &b.party, text_span("2-hello world-1"),
                                  text_span("secret"), NULL), OK);
    assert_closed(&c, &a, "2-hello world-1", buf_span(&sealed));
    assert_closed(&b, &c, "2-hello world-1", buf_span(&sealed));
    assert_closed(&b, &a, "2-hello world-2", buf_span(&sealed));
    for (size_t len = 0; len < sealed.len; len++)
        assert_closed(&b, &a, "2-hello world-1", span_of(sealed.data, len));
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 1;
        assert_closed(&b, &a, "2-hello world-1", buf_span(&sealed));
        sealed.data[i] ^= 1;
    }
    buf_clear(&sealed);
}

static void signatures_are_for_one_pair_and_number(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21), c = person_with(0x31);
    const struct span invoice = text_span("2-hello world-1"), data = text_span("data");
    uint8_t der[72];
    const size_t len = brc3_sign(der, a.secret, &b.party, invoice, data);
    assert_true(len > 0 && ec_sig_is_low_s(der, len));
    assert_true(brc3_verify(b.secret, &a.party, invoice, data, span_of(der, len)));
    assert_false(brc3_verify(c.secret, &a.party, invoice, data, span_of(der, len)));
    assert_false(brc3_verify(b.secret, &c.party, invoice, data, span_of(der, len)));
    assert_false(brc3_verify(b.secret, &a.party, invoice, data, span_of(der, len - 1)));
    assert_false(brc3_verify(b.secret, &a.party, invoice, data, span_of(NULL, 0)));
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    const struct person a = person_with(0x11);
    const struct brc42_party bad = { .who = BRC42_OTHER };
    const struct span invoice = text_span("2-hello world-1"), data = text_span("data");
    const uint8_t zeros[48] = { 0 };
    uint8_t out[72];
    struct buf b;
    buf_init(&b);
    assert_int_equal(brc2_encrypt(&b, a.secret, &bad, invoice, data, NULL), ERR_RANGE);
    assert_int_equal(brc2_decrypt(&b, a.secret, &bad, invoice, span_of(zeros, 48), NULL),
                     ERR_RANGE);
    assert_int_equal(b.len, 0);
    assert_int_equal(brc3_sign(out, zeros, &a.party, invoice, data), 0);
    assert_false(brc3_verify(a.secret, &bad, invoice, data, span_of(out, sizeof out)));
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_message_of_the_standard_opens),
        cmocka_unit_test(the_signature_of_the_standard_verifies),
        cmocka_unit_test(what_one_seals_the_other_opens),
        cmocka_unit_test(an_empty_text_is_not_sealed),
        cmocka_unit_test(an_empty_text_opens),
        cmocka_unit_test(every_message_has_another_iv),
        cmocka_unit_test(what_was_changed_or_is_for_others_stays_closed),
        cmocka_unit_test(signatures_are_for_one_pair_and_number),
        cmocka_unit_test(keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
