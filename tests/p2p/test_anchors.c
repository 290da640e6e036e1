#include "tests/test.h"

#include <stdlib.h>

#include "base/file.h"
#include "p2p/anchors.h"

static const uint8_t magic[4] = { 1, 2, 3, 4 }, other_magic[4] = { 1, 2, 3, 5 };

struct fixture { char *dir, *path; };

static int setup(void **state)
{
    static struct fixture f;
    f.dir = test_dir_make();
    f.path = path_join(f.dir, "anchors.dat");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    test_dir_remove(f->dir);
    free(f->path);
    return 0;
}

static struct netaddr addr(const char *text)
{
    struct netaddr a;
    assert_int_equal(netaddr_parse(&a, text, 8333, NULL), OK);
    return a;
}

static void anchors_come_back_once(void **state)
{
    struct fixture *f = *state;
    struct netaddr in[] = { addr("2a01::1"), addr("8.8.8.8:9999") }, out[ANCHORS_MAX];
    assert_int_equal(anchors_store(f->path, magic, in, 2, NULL), OK);
    assert_int_equal(anchors_take(f->path, magic, out), 2);
    assert_true(netaddr_equal(&in[0], &out[0]));
    assert_true(netaddr_equal(&in[1], &out[1]));
    assert_false(path_exists(f->path)); /* attacks D2: a crash must not repeat */
    assert_int_equal(anchors_take(f->path, magic, out), 0);
}

static void only_the_first_two_routable_ones_are_kept(void **state)
{
    struct fixture *f = *state;
    struct netaddr in[] = { addr("::1"), addr("10.0.0.1"), addr("2a01::1"), addr("8.8.8.8"),
                            addr("9.9.9.9") };
    struct netaddr out[ANCHORS_MAX];
    assert_int_equal(anchors_store(f->path, magic, in, 5, NULL), OK);
    assert_int_equal(anchors_take(f->path, magic, out), 2);
    assert_true(netaddr_equal(&in[2], &out[0]));
    assert_true(netaddr_equal(&in[3], &out[1]));
}

static void without_anchors_an_old_file_goes(void **state)
{
    struct fixture *f = *state;
    struct netaddr in[] = { addr("2a01::1") };
    assert_int_equal(anchors_store(f->path, magic, in, 1, NULL), OK);
    assert_int_equal(anchors_store(f->path, magic, in, 0, NULL), OK);
    assert_false(path_exists(f->path));
}

static void a_file_of_another_network_or_with_damage_gives_none(void **state)
{
    struct fixture *f = *state;
    struct netaddr in[] = { addr("2a01::1") }, out[ANCHORS_MAX];
    struct buf data;
    assert_int_equal(anchors_store(f->path, magic, in, 1, NULL), OK);
    assert_int_equal(anchors_take(f->path, other_magic, out), 0);
    assert_false(path_exists(f->path));
    assert_int_equal(anchors_store(f->path, magic, in, 1, NULL), OK);
    buf_init(&data);
    assert_int_equal(file_read_all(f->path, 4096, &data, NULL), OK);
    data.data[data.len - 1] ^= 1;
    assert_int_equal(file_replace(f->path, data.data, data.len, NULL), OK);
    assert_int_equal(anchors_take(f->path, magic, out), 0);
    buf_clear(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(anchors_come_back_once, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_first_two_routable_ones_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(without_anchors_an_old_file_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_another_network_or_with_damage_gives_none, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
