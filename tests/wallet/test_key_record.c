#include "wallet/key_record.h"

#include <string.h>

#include "base/buf.h"
#include "tests/test.h"

static const uint8_t some_key[32] = { 9, 8, 7 };
static const uint8_t some_id[33] = { 2, 0xab, 0xcd };
static const uint8_t some_secret[32] = { 0x11, 0x22, 0x33 };

static struct key_record plain_secret(void)
{
    return (struct key_record){ .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN, .flags = 5,
                                .birth = 1700000000, .id = span_of(some_id, 33),
                                .data = span_of("note", 4), .secret = span_of(some_secret, 32) };
}

struct written {
    struct buf name, value;
};

static struct written write_record(const struct key_record *r)
{
    struct written w;
    buf_init(&w.name);
    buf_init(&w.value);
    key_record_name(&w.name, r->kind, r->id);
    key_record_value(&w.value, r);
    return w;
}

static enum err read_record(struct key_record *r, const struct written *w, struct error *e)
{
    return key_record_read(r, buf_span(&w->name), buf_span(&w->value), e);
}

static void clear(struct written *w)
{
    buf_clear(&w->name);
    buf_clear(&w->value);
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && mem_equal_var(a.data, b.data, a.len);
}

static void a_record_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct key_record r = plain_secret();
    struct written w = write_record(&r);
    struct key_record back;
    assert_int_equal(read_record(&back, &w, NULL), OK);
    assert_int_equal(back.kind, KEY_RECORD_SECRET);
    assert_int_equal(back.form, KEY_RECORD_PLAIN);
    assert_int_equal(back.flags, 5);
    assert_int_equal(back.birth, 1700000000);
    assert_true(same(back.id, r.id) && same(back.data, r.data) && same(back.secret, r.secret));
    clear(&w);
}

/* The layout on disk: names and values of wallets that exist. */
static void the_bytes_on_disk_do_not_change(void **state)
{
    (void)state;
    const struct key_record r = { .kind = KEY_RECORD_LABEL, .form = KEY_RECORD_PUBLIC, .flags = 1,
                                  .birth = 2, .id = span_of("a", 1), .data = span_of("bc", 2) };
    struct written w = write_record(&r);
    struct buf name = unhex("6c61"), value = unhex("0100010000000200000000000000026263005f84b00d");
    assert_true(same(buf_span(&w.name), buf_span(&name)));
    assert_true(same(buf_span(&w.value), buf_span(&value)));
    buf_clear(&name);
    buf_clear(&value);
    clear(&w);
}

static void a_sealed_secret_opens_with_its_key_alone(void **state)
{
    (void)state;
    struct key_record r = plain_secret();
    uint8_t room[KEY_RECORD_SEALED_MAX], out[KEY_RECORD_SECRET_MAX], other[32] = { 1 };
    size_t len = 0;
    assert_int_equal(key_record_seal(&r, some_key, room, NULL), OK);
    struct written w = write_record(&r);
    struct key_record back;
    assert_int_equal(read_record(&back, &w, NULL), OK);
    assert_int_equal(back.form, KEY_RECORD_SEALED);
    assert_null(memmem(w.value.data, w.value.len, some_secret, 8));
    assert_int_equal(key_record_unseal(&back, some_key, out, &len, NULL), OK);
    assert_int_equal(len, 32);
    assert_memory_equal(out, some_secret, 32);
    struct error e = { .code = OK };
    assert_int_equal(key_record_unseal(&back, other, out, &len, &e), ERR_AUTH);
    assert_non_null(strstr(e.text, "private key 02abcd00"));
    clear(&w);
}

static void sealing_twice_gives_other_bytes(void **state)
{
    (void)state;
    struct key_record a = plain_secret(), b = plain_secret();
    uint8_t room_a[KEY_RECORD_SEALED_MAX], room_b[KEY_RECORD_SEALED_MAX];
    assert_int_equal(key_record_seal(&a, some_key, room_a, NULL), OK);
    assert_int_equal(key_record_seal(&b, some_key, room_b, NULL), OK);
    assert_int_equal(a.secret.len, b.secret.len);
    assert_memory_not_equal(room_a, room_b, a.secret.len);
}

/* Each field of the record is bound to the secret. */
static void a_sealed_secret_does_not_open_in_another_record(void **state)
{
    (void)state;
    struct key_record r = plain_secret();
    uint8_t room[KEY_RECORD_SEALED_MAX], out[KEY_RECORD_SECRET_MAX];
    const uint8_t other_id[33] = { 3 };
    size_t len;
    assert_int_equal(key_record_seal(&r, some_key, room, NULL), OK);
    struct key_record moved[5] = { r, r, r, r, r };
    moved[0].id = span_of(other_id, 33);
    moved[1].flags++;
    moved[2].birth++;
    moved[3].data = span_of("nota", 4);
    moved[4].kind = KEY_RECORD_SEED;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(key_record_unseal(&moved[i], some_key, out, &len, NULL), ERR_AUTH);
    assert_int_equal(key_record_unseal(&r, some_key, out, &len, NULL), OK);
}

static void every_changed_bit_is_noticed_and_named(void **state)
{
    (void)state;
    const struct key_record r = plain_secret();
    struct written w = write_record(&r);
    struct key_record back;
    for (size_t bit = 0; bit < 8 * w.value.len; bit++) {
        struct error e = { .code = OK };
        w.value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err rc = read_record(&back, &w, &e);
        assert_true(rc == ERR_CORRUPT || (rc == ERR_RANGE && bit < 8)); /* the version */
        assert_non_null(strstr(e.text, "private key 02abcd00"));
        w.value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < w.value.len; len++)
        assert_int_equal(key_record_read(&back, buf_span(&w.name), span_of(w.value.data, len),
                                         NULL), ERR_CORRUPT);
    w.name.data[10] ^= 1;
    assert_int_equal(read_record(&back, &w, NULL), ERR_CORRUPT);
    clear(&w);
}

static void a_newer_format_is_refused_with_advice(void **state)
{
    (void)state;
    const struct key_record r = plain_secret();
    struct written w = write_record(&r);
    struct key_record back;
    struct error e = { .code = OK };
    w.value.data[0] = KEY_RECORD_VERSION + 1;
    assert_int_equal(read_record(&back, &w, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "newer program"));
    clear(&w);
}

static void names_of_no_kind_are_refused(void **state)
{
    (void)state;
    struct key_record r;
    struct error e = { .code = OK };
    assert_int_equal(key_record_read(&r, span_of("", 0), span_of("x", 1), &e), ERR_CORRUPT);
    assert_int_equal(key_record_read(&r, span_of("?ab", 3), span_of("x", 1), &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "3f6162"));
}

static void lengths_and_forms_follow_the_kind(void **state)
{
    (void)state;
    static const uint8_t zeros[200] = { 0 };
    struct key_record r = plain_secret();
    assert_int_equal(key_record_check(&r, NULL), OK);
    r.secret = span_of(zeros, 31);
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
    r = plain_secret();
    r.id = span_of(zeros, 32);
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
    r = plain_secret();
    r.form = KEY_RECORD_PUBLIC; /* a private key without one */
    r.secret = span_of(NULL, 0);
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
    r.kind = KEY_RECORD_PUBKEY;
    assert_int_equal(key_record_check(&r, NULL), OK);
    r.secret = span_of(zeros, 32); /* a secret where none belongs */
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
    r.form = KEY_RECORD_PLAIN;
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
    r = (struct key_record){ .kind = KEY_RECORD_CIPHER, .form = KEY_RECORD_PLAIN,
                             .data = span_of(zeros, 48), .secret = span_of(zeros, 32) };
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE); /* a master key in the open */
    r.form = (enum key_record_form)7;
    assert_int_equal(key_record_check(&r, NULL), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(the_bytes_on_disk_do_not_change),
        cmocka_unit_test(a_sealed_secret_opens_with_its_key_alone),
        cmocka_unit_test(sealing_twice_gives_other_bytes),
        cmocka_unit_test(a_sealed_secret_does_not_open_in_another_record),
        cmocka_unit_test(every_changed_bit_is_noticed_and_named),
        cmocka_unit_test(a_newer_format_is_refused_with_advice),
        cmocka_unit_test(names_of_no_kind_are_refused),
        cmocka_unit_test(lengths_and_forms_follow_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
