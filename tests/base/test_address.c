#include "base/address.h"

#include "tests/test.h"

static const uint8_t genesis_hash160[20] = {
    0x62, 0xe9, 0x07, 0xb1, 0x5c, 0xbf, 0x27, 0xd5, 0x42, 0x53,
    0x99, 0xeb, 0xf6, 0xf0, 0xfb, 0x50, 0xeb, 0xb8, 0x8f, 0x18,
};

static void a_known_address_encodes_and_decodes(void **state)
{
    (void)state;
    char text[ADDRESS_TEXT_MAX];
    uint8_t version = 9, hash[20];
    assert_string_equal(address_encode(text, 0, genesis_hash160),
                        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
    assert_true(address_decode(text, &version, hash));
    assert_int_equal(version, 0);
    assert_memory_equal(hash, genesis_hash160, 20);
}

static void damaged_short_and_long_texts_are_no_addresses(void **state)
{
    (void)state;
    uint8_t version, hash[20];
    static const char *const bad[] = {
        "", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN",
        " 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "0A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        "111111111111111111111111111111111111111111111111111111111111111111111",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(address_decode(bad[i], &version, hash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_address_encodes_and_decodes),
        cmocka_unit_test(damaged_short_and_long_texts_are_no_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
