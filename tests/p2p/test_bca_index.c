/* Limits of spec channels 1.2: who goes for a newcomer, and who never does. */
#include "p2p/bca_index.h"

#include <string.h>

#include "base/intmath.h"
#include "tests/test.h"

static const struct bca_limits small = { .records = 40, .bytes = 40000, .per_48 = 6, .per_64 = 3,
                                         .per_anchor = 9, .remembered = 60 };

/* Record n with 100 bytes, in a /64 of a /48, its registration in a block. */
static struct bca_facts facts(unsigned n, unsigned in_48, unsigned in_64, unsigned anchor)
{
    struct bca_facts f = { .seq = 1, .size = 100, .has_place = true };
    le32_put(f.record_key, n);
    le32_put(f.prefix, in_48);
    f.prefix[7] = (uint8_t)in_64;
    le32_put(f.anchor, anchor);
    return f;
}

/* Puts it and takes away what has to go; returns how many, *last the last of them. */
static size_t put(struct bca_index *ix, const struct bca_facts *f, bool contact, unsigned *last)
{
    struct bca_entry *e = bca_index_put(ix, f, contact), *other;
    size_t n = 0;
    while ((other = bca_index_victim(ix, e))) {
        assert_ptr_not_equal(other, e);
        *last = le32_get(other->is.record_key);
        bca_index_drop_record(ix, other);
        n++;
    }
    while ((other = bca_index_forgettable(ix, e))) {
        assert_int_equal(other->is.size, 0);
        bca_index_forget(ix, other);
    }
    return n;
}

static bool has_record(const struct bca_index *ix, unsigned n)
{
    const struct bca_facts f = facts(n, 0, 0, 0);
    const struct bca_entry *e = bca_index_find(ix, f.record_key);
    return e && e->is.size;
}

/* Newcomers of one kind: as many stay as the limit says, the newcomer always. */
static void fill(const struct bca_limits *l, unsigned limit, bool same_64, bool same_48,
                 bool same_anchor)
{
    struct bca_index *ix = bca_index_new(l);
    unsigned gone = 0;
    for (unsigned n = 0; n < 30; n++) {
        const struct bca_facts f = facts(n, same_48 ? 7 : n, same_64 ? 1 : n, same_anchor ? 3 : n);
        assert_int_equal(put(ix, &f, false, &gone), n < limit ? 0 : 1);
        assert_true(has_record(ix, n));
    }
    assert_int_equal(bca_index_records(ix), limit);
    assert_int_equal(bca_index_bytes(ix), 100 * limit);
    assert_int_equal(bca_index_count(ix), 30); /* the others are remembered */
    bca_index_free(ix);
}

static void each_group_has_its_limit(void **state)
{
    (void)state;
    fill(&small, 3, true, true, false);
    fill(&small, 6, false, true, false);
    fill(&small, 9, false, false, true);
}

static void all_records_and_their_bytes_have_limits(void **state)
{
    struct bca_limits few = small, light = small;
    (void)state;
    few.records = 12;
    fill(&few, 12, false, false, false);
    light.bytes = 1250;
    fill(&light, 12, false, false, false);
}

static void a_victim_is_a_random_one(void **state)
{
    unsigned seen = 0;
    (void)state;
    for (unsigned turn = 0; turn < 200; turn++) {
        struct bca_index *ix = bca_index_new(&small);
        unsigned gone = 99;
        for (unsigned n = 0; n < 4; n++) {
            const struct bca_facts f = facts(n, 1, 1, n);
            put(ix, &f, false, &gone);
        }
        assert_true(gone < 3);
        seen |= 1u << gone;
        bca_index_free(ix);
    }
    assert_int_equal(seen, 7); /* one of them never: a chance of 2^-115 */
}

static void reach(struct bca_index *ix, struct bca_facts f)
{
    f.reached = true;
    bca_index_put(ix, &f, false);
}

static void whom_we_reached_goes_last(void **state)
{
    struct bca_index *ix = bca_index_new(&small);
    unsigned gone = 99;
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        const struct bca_facts f = facts(n, 1, 1, n);
        put(ix, &f, false, &gone);
        if (n != 1)
            reach(ix, f);
    }
    const struct bca_facts f = facts(3, 1, 1, 3), next = facts(4, 1, 1, 4);
    const struct bca_facts last = facts(5, 1, 1, 5);
    assert_int_equal(put(ix, &f, false, &gone), 1);
    assert_int_equal(gone, 1);
    reach(ix, f);
    assert_int_equal(put(ix, &next, false, &gone), 1); /* all were reached: one of them */
    assert_true(gone == 0 || gone == 2 || gone == 3);
    assert_int_equal(put(ix, &last, false, &gone), 1);
    assert_int_equal(gone, 4);
    bca_index_free(ix);
}

static void contacts_never_go_and_count_for_no_group(void **state)
{
    struct bca_index *ix = bca_index_new(&small);
    unsigned gone = 99;
    (void)state;
    for (unsigned n = 0; n < 50; n++) {
        const struct bca_facts f = facts(n, 1, 1, 1);
        assert_int_equal(put(ix, &f, true, &gone), 0);
    }
    assert_int_equal(bca_index_records(ix), 50); /* more than the limit: they are the user's */
    /* A stranger has the place of another stranger alone, then. */
    const struct bca_facts stranger = facts(60, 2, 2, 2), second = facts(61, 3, 3, 3);
    assert_int_equal(put(ix, &stranger, false, &gone), 0);
    assert_int_equal(put(ix, &second, false, &gone), 1);
    assert_int_equal(gone, 60);
    /* No contact any more: as any other. */
    for (unsigned n = 0; n < 50; n++) {
        const struct bca_facts f = facts(n, 1, 1, 1);
        bca_index_set_contact(ix, bca_index_find(ix, f.record_key), false);
    }
    const struct bca_facts more = facts(62, 1, 1, 1);
    assert_int_equal(put(ix, &more, false, &gone), 48); /* three of the /64 stay */
    assert_true(has_record(ix, 62));
    bca_index_free(ix);
}

static void what_is_remembered_has_a_limit(void **state)
{
    struct bca_index *ix = bca_index_new(&small);
    unsigned gone;
    (void)state;
    for (unsigned n = 0; n < 200; n++) {
        const struct bca_facts f = facts(n, 1, 1, 1);
        put(ix, &f, false, &gone);
        assert_true(bca_index_count(ix) <= 60);
        assert_true(has_record(ix, n));
    }
    assert_int_equal(bca_index_records(ix), 3);
    bca_index_free(ix);
}

static void an_update_moves_between_groups(void **state)
{
    struct bca_index *ix = bca_index_new(&small);
    unsigned gone;
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        const struct bca_facts f = facts(n, 1, 1, n);
        put(ix, &f, false, &gone);
    }
    struct bca_facts moved = facts(0, 2, 2, 9), back = facts(3, 1, 1, 3);
    struct bca_facts tombstone = facts(1, 0, 0, 0);
    assert_int_equal(put(ix, &moved, false, &gone), 0);
    assert_int_equal(put(ix, &back, false, &gone), 0); /* there is room where it was */
    tombstone.has_place = false;
    assert_int_equal(put(ix, &tombstone, false, &gone), 0);
    const struct bca_facts again = facts(4, 1, 1, 4);
    assert_int_equal(put(ix, &again, false, &gone), 0);
    assert_int_equal(bca_index_records(ix), 5);
    bca_index_free(ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_group_has_its_limit),
        cmocka_unit_test(all_records_and_their_bytes_have_limits),
        cmocka_unit_test(a_victim_is_a_random_one),
        cmocka_unit_test(whom_we_reached_goes_last),
        cmocka_unit_test(contacts_never_go_and_count_for_no_group),
        cmocka_unit_test(what_is_remembered_has_a_limit),
        cmocka_unit_test(an_update_moves_between_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
