/* What a wallet does with its secrets takes the same way whatever they are. */
#include "base/ec.h"
#include "base/intmath.h"
#include "bca/modifiers.h"
#include "tests/ctime.h"
#include "wallet/brc2.h"
#include "wallet/brc42.h"
#include "wallet/hdkey.h"
#include "wallet/hdpath.h"
#include "wallet/key_record.h"

struct pair {
    uint8_t own[32];
    struct brc42_party party;
    struct span invoice;
};

static struct pair make_pair(void)
{
    struct pair p = { .own = { 9, [31] = 4 }, .invoice = span_of("2-secrets-1", 11) };
    uint8_t key[EC_PUBKEY_SIZE];
    assert_true(ec_pubkey_of(key, p.own));
    p.party = brc42_other(key);
    p.own[7] = 0xee;
    CTIME_SECRET(p.own);
    return p;
}

/* The child keys that come out are public: they are paid to. */
static void keys_of_pairs(void **state)
{
    (void)state;
    struct pair p = make_pair();
    uint8_t out[EC_PUBKEY_SIZE];
    assert_true(brc42_own_secret(out, p.own, &p.party, p.invoice));
    assert_true(brc42_own_key(out, p.own, &p.party, p.invoice));
    assert_true(brc42_their_key(out, p.own, &p.party, p.invoice));
}

static void signatures_for_pairs(void **state)
{
    (void)state;
    struct pair p = make_pair();
    uint8_t sig[72];
    size_t len = brc3_sign(sig, p.own, &p.party, p.invoice, span_of("data", 4));
    CTIME_PUBLIC(len);
    assert_true(len > 0);
}

static void keys_of_the_tree(void **state)
{
    (void)state;
    uint8_t seed[64] = { 1, 2, 3 };
    struct hdkey master, child;
    CTIME_SECRET(seed);
    assert_int_equal(hdkey_master(&master, span_of(seed, sizeof seed), NULL), OK);
    ctime_public(master.key, sizeof master.key);
    assert_int_equal(hdkey_child(&child, &master, 7, NULL), OK);
    assert_int_equal(hdkey_child(&child, &master, HDPATH_HARDENED | 7, NULL), OK);
}

static void sealed_records(void **state)
{
    (void)state;
    uint8_t key[AEAD_KEY_SIZE] = { 1 }, secret[32] = { 2 }, out[KEY_RECORD_SECRET_MAX];
    uint8_t room[KEY_RECORD_SEALED_MAX];
    size_t len;
    struct key_record r = { .kind = KEY_RECORD_SEED, .form = KEY_RECORD_PLAIN,
                            .secret = span_of(secret, sizeof secret) };
    CTIME_SECRET(key);
    CTIME_SECRET(secret);
    assert_int_equal(key_record_seal(&r, key, room, NULL), OK);
    CTIME_PUBLIC(room);
    assert_int_equal(key_record_unseal(&r, key, out, &len, NULL), OK);
    assert_int_equal(len, sizeof secret);
    room[20] ^= 1;
    assert_int_equal(key_record_unseal(&r, key, out, &len, NULL), ERR_AUTH);
}

static void modifiers_of_a_seed(void **state)
{
    (void)state;
    uint8_t seed[32] = { 1 }, out[BCA_MODIFIER_SIZE];
    CTIME_SECRET(seed);
    bca_modifier_derive(out, seed, 3);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        CTIME_TEST(keys_of_pairs),
        CTIME_TEST(signatures_for_pairs),
        CTIME_TEST(keys_of_the_tree),
        CTIME_TEST(sealed_records),
        CTIME_TEST(modifiers_of_a_seed),
    };
    return ctime_run(tests, COUNT_OF(tests));
}
