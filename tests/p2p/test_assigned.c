#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/state_file.h"
#include "p2p/assigned.h"

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

struct place {
    char *dir, *path;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->dir = test_dir_make();
    p->path = path_join(p->dir, "assigned.dat");
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    test_dir_remove(p->dir);
    free(p->path);
    free(p);
    return 0;
}

static struct assigned *reopen(const struct place *p, struct assigned *a)
{
    assigned_free(a);
    assert_int_equal(assigned_open(&a, p->path, magic, NULL), OK);
    return a;
}

static struct assigned_address entry(uint8_t n)
{
    struct assigned_address a = { .interface = "eth0", .owner = "default", .name = "alice",
                                  .since = 1000 + n };
    memset(a.address, n, sizeof a.address);
    memset(a.replaces, n + 100, sizeof a.replaces);
    return a;
}

/* Entries 1 to n. */
static struct assigned *open_with(const struct place *p, uint8_t n)
{
    struct assigned *a = reopen(p, NULL);
    for (uint8_t i = 1; i <= n; i++) {
        const struct assigned_address in = entry(i);
        assert_int_equal(assigned_put(a, NULL, &in, NULL), OK);
    }
    return a;
}

/* The numbers of the entries, in their order. */
static void assert_list(struct assigned *a, const char *numbers)
{
    struct assigned_address list[ASSIGNED_MAX];
    assert_int_equal(assigned_list(a, list), strlen(numbers));
    for (size_t i = 0; numbers[i]; i++) {
        const struct assigned_address want = entry((uint8_t)(numbers[i] - '0'));
        assert_memory_equal(list[i].address, want.address, sizeof want.address);
    }
}

static void what_is_put_is_there_after_a_restart(void **state)
{
    struct assigned_address found;
    struct assigned *a = reopen(*state, NULL);
    assert_list(a, "");
    assigned_free(a);
    a = reopen(*state, open_with(*state, 2));
    assert_list(a, "12");
    const struct assigned_address two = entry(2);
    assert_true(assigned_find(a, two.address, &found));
    assert_memory_equal(found.replaces, two.replaces, 16);
    assert_string_equal(found.interface, "eth0");
    assert_string_equal(found.owner, "default");
    assert_string_equal(found.name, "alice");
    assert_int_equal(found.since, 1002);
    assert_int_equal(found.retired, 0);
    assigned_free(a);
}

static void one_takes_the_place_of_another(void **state)
{
    struct assigned_address found;
    struct assigned *a = open_with(*state, 2);
    const struct assigned_address one = entry(1), two = entry(2);
    struct assigned_address three = entry(3);
    assert_int_equal(assigned_put(a, one.address, &three, NULL), OK);
    three.retired = 5;
    assert_int_equal(assigned_put(a, NULL, &three, NULL), OK);
    assert_int_equal(assigned_put(a, two.address, &three, NULL), ERR_EXISTS);
    a = reopen(*state, a);
    assert_list(a, "32");
    assert_true(assigned_find(a, three.address, &found));
    assert_int_equal(found.retired, 5);
    assert_false(assigned_find(a, one.address, &found));
    assigned_free(a);
}

static void one_that_is_still_tried_is_not_in_use(void **state)
{
    struct assigned *a = open_with(*state, 2);
    struct assigned_address old = entry(1), next = entry(2);
    memcpy(next.replaces, old.address, sizeof next.replaces);
    assert_int_equal(assigned_put(a, NULL, &next, NULL), OK);
    assert_true(assigned_in_use(a, &old));
    assert_false(assigned_in_use(a, &next));
    old.retired = 2000;
    assert_int_equal(assigned_put(a, NULL, &old, NULL), OK);
    assert_false(assigned_in_use(a, &old));
    assert_true(assigned_in_use(a, &next));
    assert_int_equal(assigned_remove(a, old.address, NULL), OK);
    assert_true(assigned_in_use(a, &next));
    struct assigned_address fresh = entry(3);
    fresh.trying = true;
    assert_int_equal(assigned_put(a, NULL, &fresh, NULL), OK);
    assert_true(assigned_find(a, fresh.address, &fresh));
    assert_false(assigned_in_use(a, &fresh));
    assigned_settle(a, fresh.address);
    assert_true(assigned_find(a, fresh.address, &fresh));
    assert_true(assigned_in_use(a, &fresh));
    assigned_free(a);
}

static void what_is_removed_stays_away(void **state)
{
    struct assigned *a = open_with(*state, 3);
    const struct assigned_address two = entry(2);
    assert_int_equal(assigned_remove(a, two.address, NULL), OK);
    assert_int_equal(assigned_remove(a, two.address, NULL), OK);
    a = reopen(*state, a);
    assert_list(a, "13");
    assigned_free(a);
}

/* Heap. */
static char *moved_name(const char *dir)
{
    struct buf b;
    buf_init(&b);
    buf_printf(&b, "%s.moved", dir);
    buf_put_u8(&b, 0);
    return (char *)buf_take(&b, &(size_t){ 0 });
}

static void a_write_that_fails_changes_nothing(void **state)
{
    const struct place *p = *state;
    struct assigned *a = open_with(p, 2);
    const struct assigned_address one = entry(1), three = entry(3);
    char *moved = moved_name(p->dir);
    assert_int_equal(rename(p->dir, moved), 0);
    assert_int_not_equal(assigned_put(a, NULL, &three, NULL), OK);
    assert_int_not_equal(assigned_put(a, one.address, &three, NULL), OK);
    assert_int_not_equal(assigned_remove(a, one.address, NULL), OK);
    assert_int_equal(rename(moved, p->dir), 0);
    free(moved);
    assert_list(a, "12");
    assigned_free(a);
}

static void there_is_a_limit(void **state)
{
    const struct place *p = *state;
    struct assigned *a = reopen(p, NULL);
    struct assigned_address in = entry(1);
    for (unsigned i = 0; i < ASSIGNED_MAX; i++) {
        in.address[0] = (uint8_t)i;
        assert_int_equal(assigned_put(a, NULL, &in, NULL), OK);
    }
    in.address[1] = 77;
    assert_int_equal(assigned_put(a, NULL, &in, NULL), ERR_RANGE);
    in.address[1] = 1;
    assert_int_equal(assigned_put(a, NULL, &in, NULL), OK); /* one that is there */
    assigned_free(a);
}

static void a_damaged_file_is_set_aside(void **state)
{
    const struct place *p = *state;
    static const struct state_file_kind kind = { "ASGN", 1 };
    static const char *const payloads[] = { "", "0100", "ffff", "000001", "010000" };
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct buf b, part = unhex(payloads[i]);
        buf_init(&b);
        state_file_begin(&b, &kind, magic);
        buf_put(&b, part.data, part.len);
        assert_int_equal(state_file_commit(p->path, &b, NULL), OK);
        struct assigned *a = reopen(p, NULL);
        assert_list(a, "");
        assert_int_not_equal(access(p->path, F_OK), 0);
        assigned_free(a);
        buf_clear(&part);
        buf_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_there_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_takes_the_place_of_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_still_tried_is_not_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_removed_stays_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_fails_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_set_aside, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
