#include "rpc/pay_relation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

#define CONTACTS 7
#define CHANNELS 500

/* Of a contact by its alias, or of one that was removed by its key. */
static void put(struct pay_list *l, const char *contact, uint8_t key, bool payer, uint64_t paid)
{
    struct pay_channel *c = &l->v[l->n++];
    *c = (struct pay_channel){ .payer = payer, .has_id = true, .open = true, .has_funding = true,
                               .paid = paid };
    c->id[0] = (uint8_t)l->n;
    c->key[0] = key;
    (void)snprintf(c->contact, sizeof c->contact, "%s", contact);
}

static void check(const struct pay_relation *r, size_t out, size_t in, uint64_t paid,
                  uint64_t received)
{
    assert_int_equal(r->channels_out, out);
    assert_int_equal(r->channels_in, in);
    assert_int_equal(r->paid, paid);
    assert_int_equal(r->received, received);
}

static void sums_are_those_of_one_contact_whatever_its_keys(void **state)
{
    (void)state;
    struct pay_channel v[8];
    struct pay_list l = { .v = v };
    put(&l, "bob", 1, true, 10);
    put(&l, "", 1, false, 500);
    put(&l, "carol", 3, true, 7);
    put(&l, "bob", 2, false, 30);
    put(&l, "", 9, true, 1);
    put(&l, "bob", 1, true, 5);
    put(&l, "bob", 1, false, 1000);
    v[6].spend_height = 12; /* a block has settled it */
    put(&l, "bob", 1, true, 0);
    v[7].has_funding = false; /* nothing is locked yet */
    struct pay_relation *r = pay_relations_of(&l);
    check(&r[0], 2, 1, 15, 30);
    check(&r[1], 0, 1, 0, 500);
    check(&r[2], 1, 0, 7, 0);
    check(&r[3], 2, 1, 15, 30);
    check(&r[4], 1, 0, 1, 0);
    for (size_t i = 5; i < 8; i++) /* those that do not count are shown what does */
        check(&r[i], 2, 1, 15, 30);
    free(r);
}

static void none_have_none(void **state)
{
    (void)state;
    const struct pay_list l = { .v = NULL };
    free(pay_relations_of(&l));
}

static void many_are_told_apart_in_any_order(void **state)
{
    (void)state;
    struct pay_list l = { .v = calloc(CHANNELS, sizeof *l.v) };
    uint64_t paid[CONTACTS] = { 0 }, received[CONTACTS] = { 0 };
    assert_non_null(l.v);
    for (size_t i = 0; i < CHANNELS; i++) {
        const size_t who = i * 31 % CONTACTS;
        char alias[8];
        (void)snprintf(alias, sizeof alias, "c%zu", who);
        put(&l, alias, (uint8_t)i, i % 3 == 0, i);
        *(i % 3 == 0 ? &paid[who] : &received[who]) += i;
    }
    struct pay_relation *r = pay_relations_of(&l);
    for (size_t i = 0; i < CHANNELS; i++) {
        const size_t who = i * 31 % CONTACTS;
        assert_int_equal(r[i].paid, paid[who]);
        assert_int_equal(r[i].received, received[who]);
    }
    free(r);
    free(l.v);
}

/* --- closing --- */

struct closes {
    uint8_t id[8];
    size_t n;
};

static enum err close_one(void *ctx, const struct pay_closing *in, struct error *e)
{
    struct closes *c = ctx;
    c->id[c->n++] = in->id[0];
    return c->n == 1 ? error_set(e, ERR_BUSY, "not now") : OK;
}

static void those_the_other_way_are_closed_also_after_an_error(void **state)
{
    (void)state;
    struct pay_channel v[6];
    struct pay_list l = { .v = v };
    struct closes closed = { .n = 0 };
    const struct rpc_pay_service s = { .close = close_one, .ctx = &closed };
    struct error e = { .code = OK };
    put(&l, "bob", 1, true, 0);
    put(&l, "bob", 2, false, 0);
    put(&l, "carol", 1, false, 0);
    put(&l, "bob", 1, false, 0);
    put(&l, "bob", 1, false, 0);
    v[4].open = false;
    put(&l, "bob", 1, true, 0);
    assert_int_equal(pay_relation_close(&s, &l, &v[0], &e), ERR_BUSY);
    assert_string_equal(e.text, "not now");
    assert_int_equal(closed.n, 2);
    assert_int_equal(closed.id[0], 2);
    assert_int_equal(closed.id[1], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_one_contact_whatever_its_keys),
        cmocka_unit_test(none_have_none),
        cmocka_unit_test(many_are_told_apart_in_any_order),
        cmocka_unit_test(those_the_other_way_are_closed_also_after_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
