/* Statements that a key has a successor: what a contact's session brings, and our own. */
#include <config.h>

#include "p2p/successor_part.h"

#include <stdlib.h>

#include "base/clock.h"
#include "p2p/channels_internal.h"
#include "p2p/contact_successor.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

/* Alice (0) tells bob (1) of her new key. */
struct stage {
    struct channels_pair p;
    struct successor_part *parts[2];
    struct open_key next, other; /* of alice */
    struct channel_identity next_id;
    atomic_uint stored, followed; /* as bob is told */
    atomic_uint carols;           /* of her, that were stored */
    struct guest carol;
    atomic_bool trusted;          /* and bob's disk knows */
    struct dchan_msg out;
    struct contact bobs;          /* a copy of what bob knows of alice */
};

static void on_told(void *ctx, const struct contact *contact, const struct dchan_successor *s,
                    bool followed)
{
    struct stage *t = ctx;
    if (strcmp(contact->alias, "carol") == 0) {
        atomic_fetch_add(&t->carols, 1);
        return;
    }
    assert_string_equal(contact->alias, "other");
    assert_memory_equal(s->old_key, t->p.sides[0].key.key.pub, IDENTITY_KEY_SIZE);
    atomic_fetch_add(followed ? &t->followed : &t->stored, 1);
}

static void add_parts(struct stage *t)
{
    const struct successor_part_ops ops = { .tell = on_told, .ctx = t };
    for (int i = 0; i < 2; i++)
        assert_int_equal(successor_part_new(&t->parts[i], t->p.sides[i].channels, &ops, NULL), OK);
}

static int stage_open(void **state)
{
    struct stage *t = calloc(1, sizeof(*t));
    channels_pair_init(&t->p);
    channels_pair_open(&t->p);
    add_parts(t);
    channels_pair_start(&t->p);
    open_key_init(&t->next, 0x31);
    open_key_init(&t->other, 0x41);
    channels_pair_connect(&t->p);
    *state = t;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *t = *state;
    channels_pair_close(&t->p);
    successor_part_free(t->parts[0]);
    successor_part_free(t->parts[1]);
    free(t);
    return 0;
}

static void make(struct stage *t, const struct open_key *next, uint64_t seq)
{
    t->out = (struct dchan_msg){ .type = DCHAN_SUCCESSOR };
    t->out.successor = (struct dchan_successor){ .seq = seq, .issued = (uint32_t)clock_now() };
    assert_int_equal(dchan_successor_sign(&t->out.successor, &t->p.sides[0].key.key, &next->key),
                     OK);
}

static void send_it(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    assert_int_equal(chan_peer_send(channels_find(c, t->p.sides[1].key.key.pub), &t->out), OK);
}

static void say(struct stage *t)
{
    assert_true(channels_call(t->p.sides[0].channels, send_it, t));
}

static void copy(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    t->bobs = *contacts_by_alias(channels_contacts(c), "other");
}

static const struct contact *look(struct stage *t)
{
    assert_true(channels_call(t->p.sides[1].channels, copy, t));
    return &t->bobs;
}

static bool one_is_stored(void *ctx) { return ((struct stage *)ctx)->stored == 1; }
static bool two_are_stored(void *ctx) { return ((struct stage *)ctx)->stored == 2; }
static bool has_followed(void *ctx) { return ((struct stage *)ctx)->followed == 1; }
static bool is_down(void *ctx)
{
    struct stage *t = ctx;
    return !channels_side_is_up(&t->p.sides[1], &t->p.sides[0]);
}

static void on_trusted(void *ctx, enum err rc, const struct error *e)
{
    struct stage *t = ctx;
    (void)e;
    assert_int_equal(rc, OK);
    atomic_store(&t->trusted, true);
}

static void begin_trust(struct channels *c, void *ctx)
{
    struct contact next = *contacts_by_alias(channels_contacts(c), "other");
    next.policy.follow_successor = true;
    assert_int_equal(contacts_change(channels_contacts(c), &next, on_trusted, ctx, NULL), OK);
}

static bool is_trusted(void *ctx) { return ((struct stage *)ctx)->trusted; }

static void trust(struct stage *t)
{
    assert_true(channels_call(t->p.sides[1].channels, begin_trust, t));
    channels_pair_wait(is_trusted, t);
}

static void a_statement_is_kept_and_the_user_decides(void **state)
{
    struct stage *t = *state;
    struct contact_heir heir;
    struct error e;
    make(t, &t->next, 1);
    say(t);
    channels_pair_wait(one_is_stored, t);
    struct contact c = *look(t);
    assert_int_equal(c.n_statements, 1);
    assert_memory_equal(c.key, t->p.sides[0].key.key.pub, sizeof c.key);
    contact_heir_get(&c, 0, &heir);
    assert_int_equal(heir.state, CONTACT_HEIR_PROPOSED);
    assert_false(heir.torn);
    assert_int_equal(contact_follow(&c, t->other.key.pub, &e), ERR_NOTFOUND);
    assert_int_equal(contact_follow(&c, t->next.key.pub, &e), OK);
    assert_memory_equal(c.key, t->next.key.pub, sizeof c.key);
    assert_memory_equal(c.former[0], t->p.sides[0].key.key.pub, sizeof c.key);
    contact_heir_get(&c, 0, &heir);
    assert_int_equal(heir.state, CONTACT_HEIR_TAKEN);
    assert_int_equal(contact_follow(&c, t->next.key.pub, &e), ERR_NOTFOUND);
}

static void a_contact_that_is_trusted_moves_and_its_old_session_ends(void **state)
{
    struct stage *t = *state;
    trust(t);
    make(t, &t->next, 1);
    say(t);
    channels_pair_wait(has_followed, t);
    const struct contact *c = look(t);
    assert_memory_equal(c->key, t->next.key.pub, sizeof c->key);
    assert_int_equal(c->n_former, 1);
    channels_pair_wait(is_down, t);
}

static void two_heirs_of_one_key_are_a_matter_for_the_user(void **state)
{
    struct stage *t = *state;
    struct contact_heir heir;
    make(t, &t->other, 1);
    say(t);
    channels_pair_wait(one_is_stored, t);
    trust(t);
    make(t, &t->next, 2);
    say(t);
    channels_pair_wait(two_are_stored, t);
    const struct contact *c = look(t);
    assert_memory_equal(c->key, t->p.sides[0].key.key.pub, sizeof c->key);
    for (size_t i = 0; i < 2; i++) {
        contact_heir_get(c, i, &heir);
        assert_true(heir.torn);
    }
    assert_int_equal(t->followed, 0);
}

/* After each of them a good one shows that nothing was taken. */
static void what_is_not_well_said_is_ignored(void **state)
{
    struct stage *t = *state;
    make(t, &t->next, 1);
    t->out.successor.new_sig[5] ^= 1;
    say(t);
    make(t, &t->next, 1);
    t->out.successor.issued = (uint32_t)clock_now() + 8000; /* the signatures are wrong, too */
    say(t);
    t->out.successor.issued = (uint32_t)clock_now() + 8000;
    assert_int_equal(dchan_successor_sign(&t->out.successor, &t->p.sides[0].key.key,
                                          &t->next.key), OK);
    say(t);
    make(t, &t->p.sides[1].key, 1); /* bob's own */
    say(t);
    make(t, &t->next, 1);
    assert_int_equal(dchan_successor_sign(&t->out.successor, &t->other.key, &t->next.key), OK);
    say(t); /* nobody's key */
    make(t, &t->next, 1);
    say(t);
    channels_pair_wait(one_is_stored, t);
    say(t);
    make(t, &t->other, 2);
    say(t);
    channels_pair_wait(two_are_stored, t);
    assert_int_equal(look(t)->n_statements, 2);
}

/* Alice sends nothing meanwhile. */
static bool all_has_arrived(void *ctx)
{
    struct stage *t = ctx;
    struct chan_peer_info from, to;
    return channels_side_info(&t->p.sides[0], &t->p.sides[1], &from) &&
           channels_side_info(&t->p.sides[1], &t->p.sides[0], &to) &&
           to.stats.bytes_received >= from.stats.bytes_sent;
}

static void a_flood_is_looked_at_no_more_than_so_often(void **state)
{
    struct stage *t = *state;
    channels_side_freeze(&t->p.sides[1]);
    for (unsigned i = 0; i < 5 * SUCCESSOR_CHECKS_BURST; i++) {
        make(t, &t->next, 1);
        t->out.successor.new_sig[5] ^= 1;
        say(t);
    }
    make(t, &t->next, 1);
    say(t);
    channels_pair_wait(all_has_arrived, t);
    channels_side_skip(&t->p.sides[1], 1000);
    make(t, &t->other, 2);
    say(t);
    channels_pair_wait(one_is_stored, t);
    assert_int_equal(look(t)->n_statements, 1);
    struct contact_heir heir;
    contact_heir_get(&t->bobs, 0, &heir);
    assert_int_equal(heir.statement.seq, 2);
}

static void meet_carol(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    struct contact carol = { .has_key = true, .alias = "carol" };
    memcpy(carol.key, t->other.key.pub, sizeof carol.key);
    assert_int_equal(contacts_add(channels_contacts(c), &carol, NULL, NULL, NULL, NULL), OK);
    channels_contact_changed(c, carol.key);
}

/* Until bob has it: her session is moved by nobody else. */
static bool carol_is_stored(void *ctx)
{
    struct stage *t = ctx;
    guest_move(&t->carol);
    return t->carols == 1;
}

static void a_flood_of_one_holds_up_no_other(void **state)
{
    struct stage *t = *state;
    struct channels_side *bob = &t->p.sides[1];
    struct dchan_msg m = { .type = DCHAN_SUCCESSOR };
    assert_true(channels_call(bob->channels, meet_carol, t));
    guests_welcome(bob);
    guest_connect(&t->carol, bob, "2001:470:1::1");
    guest_begin(&t->carol, bob, 0x41, NULL);
    channels_pair_wait(guest_has_come_up, &t->carol);
    channels_side_freeze(bob);
    for (unsigned i = 0; i < 5 * SUCCESSOR_CHECKS_BURST; i++) {
        make(t, &t->next, 1);
        t->out.successor.new_sig[5] ^= 1;
        say(t);
    }
    channels_pair_wait(all_has_arrived, t);
    m.successor = (struct dchan_successor){ .seq = 1, .issued = (uint32_t)clock_now() };
    assert_int_equal(dchan_successor_sign(&m.successor, &t->carol.key.key, &t->next.key), OK);
    assert_int_equal(dchan_session_send(t->carol.session, &m, 0), OK);
    channels_pair_wait(carol_is_stored, t);
    assert_int_equal(look(t)->n_statements, 0);
    guest_leave(&t->carol);
}

/* The session may have ended, as it does when bob has followed. */
static void send_if_up(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    struct chan_peer *p = channels_find(c, t->p.sides[1].key.key.pub);
    if (p)
        (void)!chan_peer_send(p, &t->out);
}

/* Says it again as each session does, since one that is being written counts as there. */
static bool has_followed_at_last(void *ctx)
{
    struct stage *t = ctx;
    assert_true(channels_call(t->p.sides[0].channels, send_if_up, t));
    return has_followed(ctx);
}

static void nothing_follows_what_the_disk_refuses(void **state)
{
    struct stage *t = *state;
    trust(t);
    kv_mem_fail_writes(t->p.sides[1].kv, 1);
    make(t, &t->next, 1);
    say(t);
    channels_side_skip(&t->p.sides[1], 1000);
    assert_int_equal(t->stored + t->followed, 0);
    kv_mem_fail_writes(t->p.sides[1].kv, 0);
    channels_pair_wait(has_followed_at_last, t);
    assert_int_equal(t->stored, 1);
}

/* --- our own --- */

static void on_release(struct channel_identity *id) { (void)id; }

/* Alice has a second identity. */
static void give_identities(struct stage *t)
{
    struct channels_side *alice = &t->p.sides[0];
    t->next_id = (struct channel_identity){ .key = t->next.key, .name = "next", .refs = 1,
                                            .release = on_release };
    struct channel_identity *ids[] = { channel_identity_ref(&alice->identity), &t->next_id };
    channels_set_identities(alice->channels, ids, 2);
}

static void settle(struct channels *c, void *ctx)
{
    (void)c;
    dchan_store_settle(ctx);
}

/* Of alice from now on; that she has bob as a contact is on disk. */
static void no_write_succeeds(struct stage *t)
{
    struct channels_side *alice = &t->p.sides[0];
    assert_true(channels_call(alice->channels, settle, alice->store));
    kv_mem_fail_writes(alice->kv, 1);
}

static enum err ask(struct stage *t, const char *identity, const char *successor,
                    struct dchan_successor *made)
{
    struct successor_making m = { .identity = identity, .successor = successor };
    struct error e;
    const enum err rc = channels_ask(t->p.sides[0].channels, successor_part_make, &m.r, &e);
    *made = m.made;
    return rc;
}

static void our_own_statement_is_made_once_and_sent(void **state)
{
    struct stage *t = *state;
    struct dchan_successor made, again;
    give_identities(t);
    assert_int_equal(ask(t, "me", "nobody", &made), ERR_NOTFOUND);
    assert_int_equal(ask(t, "me", "me", &made), ERR_AUTH);
    assert_int_equal(ask(t, "me", "next", &made), OK);
    assert_true(dchan_successor_verify(&made, (uint64_t)clock_now()));
    assert_int_equal(made.seq, 1);
    channels_pair_wait(one_is_stored, t);
    assert_int_equal(ask(t, "me", "next", &again), OK);
    assert_memory_equal(&again, &made, sizeof made);
    assert_int_equal(ask(t, "next", "me", &made), ERR_RANGE);
    assert_int_equal(look(t)->n_statements, 1);
}

static void what_the_disk_refuses_is_not_sent(void **state)
{
    struct stage *t = *state;
    struct dchan_successor made;
    give_identities(t);
    no_write_succeeds(t);
    assert_int_equal(ask(t, "me", "next", &made), ERR_IO);
    kv_mem_fail_writes(t->p.sides[0].kv, 0);
    make(t, &t->other, 9);
    say(t);
    channels_pair_wait(one_is_stored, t);
    struct contact_heir heir;
    contact_heir_get(look(t), 0, &heir);
    assert_int_equal(heir.statement.seq, 9);
    assert_int_equal(ask(t, "me", "next", &made), OK);
}

/* --- whom the old key serves from then on --- */

static void copy_of_alice(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    t->bobs = *contacts_by_alias(channels_contacts(c), "other");
}

/* Which identity of hers alice talks to bob with. */
static const char *chosen(struct stage *t)
{
    assert_true(channels_call(t->p.sides[0].channels, copy_of_alice, t));
    return t->bobs.identity;
}

struct under {
    struct stage *t;
    const struct open_key *ours;
    bool up;
};

static void look_under(struct channels *c, void *ctx)
{
    struct under *u = ctx;
    const struct chan_peer *p = peer_find(c, u->ours->key.pub, u->t->p.sides[1].key.key.pub);
    u->up = p && p->newest && !p->newest->going;
}

static bool is_up_under(struct stage *t, const struct open_key *ours)
{
    struct under u = { .t = t, .ours = ours };
    assert_true(channels_call(t->p.sides[0].channels, look_under, &u));
    return u.up;
}

static bool is_up_under_next(void *ctx)
{
    struct stage *t = ctx;
    return is_up_under(t, &t->next);
}

static bool is_gone_under_old(void *ctx)
{
    struct stage *t = ctx;
    return !is_up_under(t, &t->p.sides[0].key);
}

static bool bob_is_refused(void *ctx)
{
    struct stage *t = ctx;
    struct chan_peer_info info;
    return channels_side_info(&t->p.sides[1], &t->p.sides[0], &info) &&
           strcmp(info.last_error, "error received 1 (identity)") == 0;
}

static void name_successor(struct stage *t)
{
    struct dchan_successor made;
    give_identities(t);
    assert_int_equal(ask(t, "me", "next", &made), OK);
    assert_string_equal(chosen(t), "me");
}

/* He comes to the key that he has left. */
static void begin_going_back(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    struct contact back = *contacts_by_alias(channels_contacts(c), "other");
    memcpy(back.key, t->p.sides[0].key.key.pub, sizeof back.key);
    back.n_former = back.n_statements = 0;
    assert_int_equal(contacts_change(channels_contacts(c), &back, NULL, NULL, NULL), OK);
    chan_peer_dial(channels_peer_of(c, contacts_by_alias(channels_contacts(c), "other")), true);
}

static void check_choices(struct channels *c, void *ctx)
{
    (void)ctx;
    assert_int_equal(channels_check_choice(c, "me", NULL), ERR_RANGE);
    assert_int_equal(channels_check_choice(c, "next", NULL), OK);
    assert_int_equal(channels_check_choice(c, "", NULL), OK);
    const struct contact fresh = { .identity = "" };
    assert_string_equal(channels_identity_for(c, &fresh)->name, "next");
}

static void who_has_moved_is_served_by_the_new_key_alone(void **state)
{
    struct stage *t = *state;
    trust(t);
    name_successor(t);
    assert_true(channels_call(t->p.sides[0].channels, check_choices, NULL));
    channels_pair_wait(has_followed, t);
    channels_pair_wait(is_gone_under_old, t);
    channels_side_dial(&t->p.sides[0], &t->p.sides[1]); /* by the old one, which he refuses */
    channels_pair_wait(is_up_under_next, t);
    assert_string_equal(chosen(t), "next");
    assert_true(channels_call(t->p.sides[1].channels, begin_going_back, t));
    channels_pair_wait(bob_is_refused, t);
    assert_false(is_up_under(t, &t->p.sides[0].key));
}

static void who_has_not_moved_is_served_for_180_days(void **state)
{
    struct stage *t = *state;
    const int64_t then = clock_now() + SUCCESSOR_SENT_S;
    name_successor(t);
    channels_pair_wait(one_is_stored, t);
    clock_set_mock(then - 60);
    channels_side_skip(&t->p.sides[0], 1000);
    assert_true(is_up_under(t, &t->p.sides[0].key));
    clock_set_mock(then + 60);
    channels_side_skip(&t->p.sides[0], 1000);
    channels_pair_wait(is_down, t);
    channels_side_dial(&t->p.sides[1], &t->p.sides[0]);
    channels_pair_wait(bob_is_refused, t);
    clock_set_mock(0);
}

static void begin_forgetting(struct channels *c, void *ctx)
{
    const struct stage *t = ctx;
    struct contact *bob = contacts_by_alias(channels_contacts(c), "other");
    contacts_remove(channels_contacts(c), bob, NULL, NULL);
    channels_contact_changed(c, t->p.sides[1].key.key.pub);
}

static bool is_up_again(void *ctx) { return !is_gone_under_old(ctx); }

static void strangers_are_served_no_more(void **state)
{
    struct stage *t = *state;
    struct dchan_successor made;
    assert_true(channels_call(t->p.sides[0].channels, begin_forgetting, t));
    channels_pair_wait(is_gone_under_old, t);
    channels_pair_wait(is_down, t);
    channels_side_dial(&t->p.sides[1], &t->p.sides[0]);
    channels_pair_wait(is_up_again, t); /* as strangers may */
    give_identities(t);
    assert_int_equal(ask(t, "me", "next", &made), OK);
    channels_pair_wait(is_down, t);
    channels_side_dial(&t->p.sides[1], &t->p.sides[0]);
    channels_pair_wait(bob_is_refused, t);
}

static void contacts_that_cannot_be_written_leave_all_as_it_was(void **state)
{
    struct stage *t = *state;
    struct dchan_successor made;
    give_identities(t);
    no_write_succeeds(t);
    assert_int_equal(ask(t, "me", "next", &made), ERR_IO);
    kv_mem_fail_writes(t->p.sides[0].kv, 0);
    assert_string_equal(chosen(t), "");
    assert_int_equal(ask(t, "me", "other", &made), ERR_NOTFOUND);
    assert_int_equal(ask(t, "me", "next", &made), OK);
    assert_string_equal(chosen(t), "me");
}

int main(void)
{
#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)
    const struct CMUnitTest tests[] = {
        STAGE_TEST(a_statement_is_kept_and_the_user_decides),
        STAGE_TEST(a_contact_that_is_trusted_moves_and_its_old_session_ends),
        STAGE_TEST(two_heirs_of_one_key_are_a_matter_for_the_user),
        STAGE_TEST(what_is_not_well_said_is_ignored),
        STAGE_TEST(a_flood_is_looked_at_no_more_than_so_often),
        STAGE_TEST(a_flood_of_one_holds_up_no_other),
        STAGE_TEST(nothing_follows_what_the_disk_refuses),
        STAGE_TEST(our_own_statement_is_made_once_and_sent),
        STAGE_TEST(what_the_disk_refuses_is_not_sent),
        STAGE_TEST(who_has_moved_is_served_by_the_new_key_alone),
        STAGE_TEST(who_has_not_moved_is_served_for_180_days),
        STAGE_TEST(strangers_are_served_no_more),
        STAGE_TEST(contacts_that_cannot_be_written_leave_all_as_it_was),
    };
    return cmocka_run_group_tests_name("successor_part", tests, NULL, NULL);
}
