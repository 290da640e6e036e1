#include "wallet/paychan_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/test.h"

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };
static const uint8_t other_magic[4] = { 0xe3, 0xe1, 0xf3, 0xe8 };

struct place {
    char *dir, *path;
};

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->dir = test_dir_make();
    p->path = path_join(p->dir, "channels");
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    test_dir_remove(p->dir);
    free(p->path);
    free(p);
    return 0;
}

static struct paychan_saved one(uint8_t byte)
{
    struct paychan_saved s = { .role = PAYCHAN_PAYER };
    memset(s.id, byte, sizeof s.id);
    memset(s.copy, byte + 1, sizeof s.copy);
    return s;
}

static void what_was_written_is_read(void **state)
{
    const struct place *p = *state;
    struct paychan_file f = { .v = NULL }, back;
    assert_int_equal(paychan_file_read(&back, p->path, magic, NULL), ERR_NOTFOUND);
    for (uint8_t i = 1; i <= 3; i++) {
        const struct paychan_saved s = one(i);
        paychan_file_put(&f, &s);
    }
    assert_int_equal(paychan_file_write(&f, p->path, magic, NULL), OK);
    assert_int_equal(paychan_file_read(&back, p->path, magic, NULL), OK);
    assert_int_equal(back.n, 3);
    assert_memory_equal(back.v, f.v, 3 * sizeof *f.v);
    paychan_file_clear(&back);
    paychan_file_clear(&f);
}

static void a_channel_is_there_once_and_leaves_when_it_is_told(void **state)
{
    struct paychan_file f = { .v = NULL };
    struct paychan_saved s = one(1);
    (void)state;
    paychan_file_put(&f, &s);
    s.copy[0] = 9;
    paychan_file_put(&f, &s);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.v[0].copy[0], 9);
    const struct paychan_saved other = one(2);
    paychan_file_remove(&f, other.id);
    assert_true(paychan_file_has(&f, s.id));
    paychan_file_put(&f, &other);
    paychan_file_remove(&f, s.id);
    assert_false(paychan_file_has(&f, s.id));
    assert_true(paychan_file_has(&f, other.id));
    assert_int_equal(f.n, 1);
    paychan_file_clear(&f);
}

static void another_network_and_every_changed_byte_are_noticed(void **state)
{
    const struct place *p = *state;
    struct paychan_file f = { .v = NULL }, back;
    const struct paychan_saved s = one(7);
    struct buf raw;
    buf_init(&raw);
    paychan_file_put(&f, &s);
    assert_int_equal(paychan_file_write(&f, p->path, magic, NULL), OK);
    assert_int_equal(paychan_file_read(&back, p->path, other_magic, NULL), ERR_CORRUPT);
    assert_int_equal(file_read_all(p->path, 4096, &raw, NULL), OK);
    for (size_t i = 0; i < raw.len; i += 13) {
        raw.data[i] ^= 1;
        assert_int_equal(file_replace(p->path, raw.data, raw.len, NULL), OK);
        assert_int_not_equal(paychan_file_read(&back, p->path, magic, NULL), OK);
        assert_null(back.v);
        raw.data[i] ^= 1;
    }
    buf_clear(&raw);
    paychan_file_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read, setup, teardown),
        cmocka_unit_test(a_channel_is_there_once_and_leaves_when_it_is_told),
        cmocka_unit_test_setup_teardown(another_network_and_every_changed_byte_are_noticed, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
