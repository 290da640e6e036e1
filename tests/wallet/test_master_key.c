#include "wallet/master_key.h"

#include <string.h>

#include "base/buf.h"
#include "tests/test.h"
#include "wallet/key_record.h"

static const struct scrypt_params quick = { 2, 1, 1 };
static const uint8_t some_master[MASTER_KEY_SIZE] = { 1, 2, 3, 4 };

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static struct key_record sealed(struct buf *value, const char *passphrase)
{
    struct key_record r;
    buf_init(value);
    assert_int_equal(master_key_seal(value, some_master, text(passphrase), &quick, NULL), OK);
    assert_int_equal(key_record_read(&r, text("e"), buf_span(value), NULL), OK);
    return r;
}

static void the_passphrase_opens_the_key_and_no_other_does(void **state)
{
    (void)state;
    struct buf value;
    const struct key_record r = sealed(&value, "correct horse");
    uint8_t out[MASTER_KEY_SIZE] = { 0 };
    struct error e = { .code = OK };
    assert_null(memmem(value.data, value.len, some_master, 4));
    assert_int_equal(master_key_unseal(out, &r, text("correct horsf"), &e), ERR_AUTH);
    assert_string_equal(e.text, "the passphrase is wrong");
    assert_int_equal(master_key_unseal(out, &r, text(""), NULL), ERR_AUTH);
    assert_int_equal(master_key_unseal(out, &r, text("correct horse"), NULL), OK);
    assert_memory_equal(out, some_master, sizeof out);
    buf_clear(&value);
}

static void each_sealing_has_a_salt_of_its_own(void **state)
{
    (void)state;
    struct buf a, b;
    const struct key_record ra = sealed(&a, "x"), rb = sealed(&b, "x");
    assert_int_equal(ra.data.len, rb.data.len);
    assert_memory_not_equal(ra.data.data, rb.data.data, ra.data.len);
    buf_clear(&a);
    buf_clear(&b);
}

/* A file from elsewhere must not be able to take all memory or hours. */
static void costly_parameters_from_a_file_are_refused(void **state)
{
    (void)state;
    struct buf value;
    struct key_record r = sealed(&value, "x");
    uint8_t data[48], out[MASTER_KEY_SIZE];
    memcpy(data, r.data.data, sizeof data);
    r.data = span_of(data, sizeof data);
    assert_int_equal(master_key_check(&r, NULL), OK);
    le64_put(data, UINT64_C(1) << 21);
    le32_put(data + 8, 8);
    assert_int_equal(master_key_check(&r, NULL), ERR_RANGE);
    assert_int_equal(master_key_unseal(out, &r, text("x"), NULL), ERR_RANGE);
    le64_put(data, 3);
    assert_int_equal(master_key_check(&r, NULL), ERR_RANGE);
    buf_clear(&value);
}

static void a_passphrase_has_a_length(void **state)
{
    (void)state;
    static const char long_one[MASTER_KEY_PASSPHRASE_MAX + 1] = { 'a' };
    struct buf value;
    buf_init(&value);
    assert_int_equal(master_key_seal(&value, some_master, text(""), &quick, NULL), ERR_RANGE);
    assert_int_equal(master_key_seal(&value, some_master, span_of(long_one, sizeof long_one),
                                     &quick, NULL), ERR_RANGE);
    assert_int_equal(value.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_passphrase_opens_the_key_and_no_other_does),
        cmocka_unit_test(each_sealing_has_a_salt_of_its_own),
        cmocka_unit_test(costly_parameters_from_a_file_are_refused),
        cmocka_unit_test(a_passphrase_has_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
