#include "bca/work.h"

#include "base/bytes.h"
#include "tests/test.h"

static void every_sixteen_zero_bits_raise_sec(void **state)
{
    (void)state;
    const struct bca_rules *main_net = bca_rules_get(BCA_NET_MAIN);
    const struct bca_rules *regtest = bca_rules_get(BCA_NET_REGTEST);
    assert_int_equal(bca_sec_of_bits(main_net, 31), -1);
    assert_int_equal(bca_sec_of_bits(main_net, 32), 0);
    assert_int_equal(bca_sec_of_bits(main_net, 47), 0);
    assert_int_equal(bca_sec_of_bits(main_net, 48), 1);
    assert_int_equal(bca_sec_of_bits(main_net, 144), 7);
    assert_int_equal(bca_sec_of_bits(main_net, 256), 7);
    assert_int_equal(bca_sec_of_bits(regtest, 0), 0);
    assert_int_equal(bca_sec_of_bits(regtest, 16), 1);
    for (unsigned sec = 0; sec <= BCA_SEC_MAX; sec++)
        assert_int_equal(bca_sec_of_bits(main_net, bca_required_bits(main_net, sec)), sec);
}

static void a_forgery_costs_what_the_table_says(void **state)
{
    (void)state;
    static const unsigned bits[] = { 59, 73, 89, 105, 121, 137, 153, 169 };
    for (unsigned sec = 0; sec <= BCA_SEC_MAX; sec++)
        assert_int_equal(bca_security_bits(bca_rules_get(BCA_NET_MAIN), sec), bits[sec]);
    assert_int_equal(bca_security_bits(bca_rules_get(BCA_NET_REGTEST), 2), 59); /* little work */
    assert_int_equal(bca_security_bits(bca_rules_get(BCA_NET_REGTEST), 3), 73);
}

static void networks_have_their_rules(void **state)
{
    (void)state;
    static const struct { const char *name; unsigned base, min_sec, min_conf; } want[] = {
        { "main", 32, 2, 6 }, { "test", 32, 0, 6 }, { "stn", 32, 0, 6 }, { "regtest", 0, 0, 1 },
    };
    for (int i = 0; i < BCA_NET_COUNT; i++) {
        const struct bca_rules *r = bca_rules_get((enum bca_network)i);
        assert_string_equal(r->name, want[i].name);
        assert_int_equal(r->base_bits, want[i].base);
        assert_int_equal(r->min_sec, want[i].min_sec);
        assert_int_equal(r->min_conf, want[i].min_conf);
    }
}

static const char genesis[] =
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac7"
    "2c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";

static void the_first_block_has_43_zero_bits(void **state)
{
    (void)state;
    struct bca_work w;
    struct buf header = unhex(genesis);
    bca_work_read(header.data, &w);
    assert_int_equal(w.hash_zero_bits, 43);
    assert_int_equal(w.target_zero_bits, 32);
    assert_true(bca_work_meets_target(&w, bca_rules_get(BCA_NET_MAIN)));
    assert_int_equal(bca_sec_default(bca_rules_get(BCA_NET_MAIN), &w), 0);
    assert_int_equal(bca_sec_of_bits(bca_rules_get(BCA_NET_REGTEST), w.hash_zero_bits), 2);
    header.data[76] ^= 1; /* another nonce */
    bca_work_read(header.data, &w);
    assert_false(bca_work_meets_target(&w, bca_rules_get(BCA_NET_MAIN)));
    buf_clear(&header);
}

static void bits_above_the_limit_or_of_no_target_are_refused(void **state)
{
    (void)state;
    static const uint32_t bits[] = { 0x1d010000, 0x207fffff, 0x00000000, 0x04923456, 0xff123456 };
    struct buf header = unhex(genesis);
    for (size_t i = 0; i < 5; i++) {
        struct bca_work w;
        le32_put(header.data + 72, bits[i]);
        bca_work_read(header.data, &w);
        assert_int_equal(w.target_valid, i < 2);
        assert_false(bca_work_meets_target(&w, bca_rules_get(BCA_NET_MAIN)));
        if (!w.target_valid)
            assert_int_equal(bca_sec_default(bca_rules_get(BCA_NET_REGTEST), &w), -1);
    }
    buf_clear(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sixteen_zero_bits_raise_sec),
        cmocka_unit_test(a_forgery_costs_what_the_table_says),
        cmocka_unit_test(networks_have_their_rules),
        cmocka_unit_test(the_first_block_has_43_zero_bits),
        cmocka_unit_test(bits_above_the_limit_or_of_no_target_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
