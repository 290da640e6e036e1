/* What statements of successors mean for a contact: in any order, up to the limits. */
#include "p2p/contact_successor.h"

#include <string.h>

#include "tests/test.h"

/* Keys are told apart by one byte; nobody verifies anything here. */
static void put_key(uint8_t out[IDENTITY_KEY_SIZE], uint8_t who)
{
    memset(out, who, IDENTITY_KEY_SIZE);
    out[0] = 2;
}

static struct contact contact_of(uint8_t who)
{
    struct contact c = { .has_key = true, .alias = "alice" };
    put_key(c.key, who);
    return c;
}

static struct dchan_successor statement(uint8_t old, uint8_t next, uint64_t seq)
{
    struct dchan_successor s = { .seq = seq, .issued = 1790000000 };
    put_key(s.old_key, old);
    put_key(s.new_key, next);
    return s;
}

static enum err add(struct contact *c, uint8_t old, uint8_t next, uint64_t seq)
{
    const struct dchan_successor s = statement(old, next, seq);
    return contact_add_statement(c, &s, NULL);
}

static enum err follow(struct contact *c, uint8_t next)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    put_key(key, next);
    return contact_follow(c, key, NULL);
}

static void assert_heir(const struct contact *c, size_t i, enum contact_heir_state state, bool torn)
{
    struct contact_heir heir;
    contact_heir_get(c, i, &heir);
    assert_int_equal(heir.state, state);
    assert_int_equal(heir.torn, torn);
}

static void assert_key(const struct contact *c, uint8_t who)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    put_key(key, who);
    assert_memory_equal(c->key, key, sizeof key);
}

static void a_contact_follows_what_its_present_key_says(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    assert_int_equal(follow(&c, 2), ERR_NOTFOUND); /* nobody has said so */
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_heir(&c, 0, CONTACT_HEIR_PROPOSED, false);
    assert_int_equal(follow(&c, 3), ERR_NOTFOUND);
    assert_int_equal(follow(&c, 2), OK);
    assert_key(&c, 2);
    assert_int_equal(c.n_former, 1);
    assert_heir(&c, 0, CONTACT_HEIR_TAKEN, false);
    assert_int_equal(follow(&c, 2), ERR_NOTFOUND); /* it is there already */
    assert_int_equal(c.n_former, 1);
}

/* Each key speaks for itself: the order in which statements come does not matter. */
static void two_steps_are_two_statements(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    assert_int_equal(add(&c, 2, 3, 1), OK);
    assert_heir(&c, 0, CONTACT_HEIR_PAST, false); /* of a key that it has not, or not any more */
    assert_int_equal(follow(&c, 3), ERR_NOTFOUND);
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_int_equal(follow(&c, 2), OK);
    assert_heir(&c, 0, CONTACT_HEIR_PROPOSED, false);
    assert_int_equal(follow(&c, 3), OK);
    assert_key(&c, 3);
    assert_int_equal(c.n_former, 2);
}

static void a_former_key_leads_nowhere_any_more(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_int_equal(follow(&c, 2), OK);
    assert_int_equal(add(&c, 1, 9, 2), OK); /* whoever has the old key */
    assert_heir(&c, 1, CONTACT_HEIR_PAST, true);
    assert_int_equal(follow(&c, 9), ERR_NOTFOUND);
    assert_int_equal(add(&c, 2, 1, 1), OK); /* back: it is one that it had */
    assert_heir(&c, 2, CONTACT_HEIR_TAKEN, false);
    assert_int_equal(follow(&c, 1), ERR_NOTFOUND);
    assert_key(&c, 2);
}

static void two_successors_of_one_key_are_a_sign_of_theft(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_int_equal(add(&c, 1, 2, 2), OK); /* the same once more is none */
    assert_heir(&c, 0, CONTACT_HEIR_PROPOSED, false);
    assert_int_equal(add(&c, 5, 6, 1), OK); /* nor is another key's */
    assert_heir(&c, 0, CONTACT_HEIR_PROPOSED, false);
    assert_int_equal(add(&c, 1, 3, 3), OK);
    assert_heir(&c, 0, CONTACT_HEIR_PROPOSED, true);
    assert_heir(&c, 1, CONTACT_HEIR_PROPOSED, true);
    assert_heir(&c, 2, CONTACT_HEIR_PAST, false);
    assert_heir(&c, 3, CONTACT_HEIR_PROPOSED, true);
    assert_int_equal(follow(&c, 3), OK); /* the user chooses */
    assert_heir(&c, 0, CONTACT_HEIR_PAST, true);
}

static void what_is_stored_is_known_by_its_content(void **state)
{
    struct contact c = contact_of(1);
    struct dchan_successor s = statement(1, 2, 7);
    (void)state;
    assert_false(contact_has_statement(&c, &s));
    assert_int_equal(contact_add_statement(&c, &s, NULL), OK);
    memset(s.old_sig, 9, sizeof s.old_sig);
    assert_true(contact_has_statement(&c, &s));
    s.issued++;
    assert_false(contact_has_statement(&c, &s));
    s = statement(1, 2, 8);
    assert_false(contact_has_statement(&c, &s));
    s = statement(1, 3, 7);
    assert_false(contact_has_statement(&c, &s));
}

static void both_lists_have_an_end(void **state)
{
    struct contact c = contact_of(1);
    struct contact_heir heir;
    (void)state;
    for (uint8_t i = 0; i < CONTACT_FORMER_MAX; i++) {
        assert_int_equal(add(&c, (uint8_t)(1 + i), (uint8_t)(2 + i), 1), OK);
        assert_int_equal(follow(&c, (uint8_t)(2 + i)), OK);
    }
    const struct contact full = c;
    assert_int_equal(add(&c, 17, 18, 1), ERR_RANGE);
    assert_memory_equal(&c, &full, sizeof c);
    c.n_statements--;
    assert_int_equal(add(&c, 17, 18, 1), OK);
    assert_int_equal(follow(&c, 18), ERR_RANGE);
    assert_key(&c, 17);
    assert_int_equal(c.n_former, CONTACT_FORMER_MAX);
    contact_heir_get(&c, 0, &heir); /* as it was written */
    assert_int_equal(heir.statement.seq, 1);
    assert_int_equal(heir.statement.issued, 1790000000);
}

/* Who has stolen a key of before must not keep the contact at its present one. */
static void a_key_of_before_does_not_silence_the_present_one(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_int_equal(follow(&c, 2), OK);
    for (uint8_t i = 1; i < CONTACT_FORMER_MAX; i++)
        assert_int_equal(add(&c, 1, (uint8_t)(100 + i), 1 + i), OK);
    assert_int_equal(add(&c, 1, 99, 99), ERR_RANGE);
    assert_int_equal(add(&c, 2, 3, 1), OK);
    assert_int_equal(c.n_statements, CONTACT_FORMER_MAX);
    assert_heir(&c, 0, CONTACT_HEIR_TAKEN, true); /* the first of the theft are still shown */
    assert_heir(&c, CONTACT_FORMER_MAX - 2, CONTACT_HEIR_PAST, true);
    assert_heir(&c, CONTACT_FORMER_MAX - 1, CONTACT_HEIR_PROPOSED, false);
    assert_int_equal(add(&c, 1, 99, 99), ERR_RANGE);
    assert_int_equal(follow(&c, 3), OK);
    assert_key(&c, 3);
}

/* What the present key has said before stays, so that a theft of it shows. */
static void the_present_key_fills_the_list_once(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    for (uint8_t i = 0; i < CONTACT_FORMER_MAX; i++)
        assert_int_equal(add(&c, 1, (uint8_t)(100 + i), 1 + i), OK);
    const struct contact full = c;
    assert_int_equal(add(&c, 1, 99, 99), ERR_RANGE);
    assert_memory_equal(&c, &full, sizeof c);
}

static void where_only_an_address_is_known_nothing_is_followed(void **state)
{
    struct contact c = contact_of(1);
    (void)state;
    c.has_key = false;
    assert_int_equal(add(&c, 1, 2, 1), OK);
    assert_heir(&c, 0, CONTACT_HEIR_PAST, false);
    assert_int_equal(follow(&c, 2), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_contact_follows_what_its_present_key_says),
        cmocka_unit_test(two_steps_are_two_statements),
        cmocka_unit_test(a_former_key_leads_nowhere_any_more),
        cmocka_unit_test(two_successors_of_one_key_are_a_sign_of_theft),
        cmocka_unit_test(what_is_stored_is_known_by_its_content),
        cmocka_unit_test(both_lists_have_an_end),
        cmocka_unit_test(a_key_of_before_does_not_silence_the_present_one),
        cmocka_unit_test(the_present_key_fills_the_list_once),
        cmocka_unit_test(where_only_an_address_is_known_nothing_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
