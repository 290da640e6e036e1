#include "bca/address.h"

#include "base/hash.h"
#include "tests/bca/proof.h"
#include "tests/test.h"

static void hash1_covers_the_fields_one_after_the_other(void **state)
{
    (void)state;
    struct proof p;
    struct buf all;
    uint8_t want[32], got[32];
    proof_make(&p, &proof_shape_usual);
    const struct bca_address_input in = { p.modifiers[1], p.header, p.subnet_prefix,
                                          buf_span(&p.tx) };
    buf_init(&all);
    buf_put(&all, p.modifiers[1], 16);
    buf_put(&all, p.header, 80);
    buf_put(&all, p.subnet_prefix, 8);
    buf_put_u8(&all, 2);
    buf_put(&all, p.tx.data, p.tx.len);
    sha256(want, all.data, all.len);
    bca_hash1(got, &in, 2);
    assert_memory_equal(got, want, 32);
    buf_clear(&all);
    proof_clear(&p);
}

static void the_identifier_holds_sec_and_no_u_and_g(void **state)
{
    (void)state;
    uint8_t ones[32], id[8];
    memset(ones, 0xff, sizeof ones);
    bca_interface_id(id, ones, 0);
    assert_memory_equal(id, "\x1c\xff\xff\xff\xff\xff\xff\xff", 8);
    bca_interface_id(id, ones, 5);
    assert_int_equal(id[0], 0xbc);
    memset(ones, 0, sizeof ones);
    bca_interface_id(id, ones, 7);
    assert_memory_equal(id, "\xe0\0\0\0\0\0\0\0", 8);
}

static void reserved_prefixes_are_refused(void **state)
{
    (void)state;
    static const uint8_t bad[][8] = {
        { 0x00, 1, 2, 3 }, { 0xff, 2 }, { 0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43, 1, 2 },
    };
    static const uint8_t good[][8] = {
        { 0x20, 1, 0xd, 0xb8 }, { 0xfe, 0x80 }, { 0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x44 },
    };
    for (size_t i = 0; i < 3; i++) {
        assert_false(bca_prefix_allowed(bad[i]));
        assert_true(bca_prefix_allowed(good[i]));
    }
}

static void each_collision_count_gives_another_address_until_the_third(void **state)
{
    (void)state;
    struct proof p;
    uint8_t count = 0, address[4][16];
    proof_make(&p, &proof_shape_usual);
    const struct bca_address_input in = { p.modifiers[1], p.header, p.subnet_prefix,
                                          buf_span(&p.tx) };
    for (; count <= BCA_COLLISIONS_MAX; count++) {
        uint8_t asked = count;
        assert_true(bca_address_form(&in, 3, &count, address[count]));
        assert_int_equal(count, asked); /* no identifier of these is zero */
        assert_memory_equal(address[count], p.subnet_prefix, 8);
        assert_int_equal(bca_address_sec(address[count]), 3);
    }
    assert_memory_not_equal(address[0], address[1], 16);
    assert_memory_not_equal(address[1], address[2], 16);
    assert_false(bca_address_form(&in, 3, &count, address[3]));
    proof_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash1_covers_the_fields_one_after_the_other),
        cmocka_unit_test(the_identifier_holds_sec_and_no_u_and_g),
        cmocka_unit_test(reserved_prefixes_are_refused),
        cmocka_unit_test(each_collision_count_gives_another_address_until_the_third),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
