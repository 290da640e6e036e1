/* Contacts in memory and on disk; a full disk and a power cut between any two changes. */
#include <config.h>

#include "p2p/contacts_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ec.h"
#include "tests/test.h"

struct desk {
    struct kv *kv;
    struct dchan_store *store;
    struct contacts *contacts;
    atomic_int written; /* commits that are through, polled or not */
    unsigned told, failed;
    enum err last;
    struct error e;
};

static void count_written(void *ctx) { atomic_fetch_add(&((struct desk *)ctx)->written, 1); }

static void note(void *ctx, enum err rc, const struct error *e)
{
    struct desk *d = ctx;
    (void)e;
    d->told++;
    d->failed += rc != OK;
    d->last = rc;
}

static int desk_open(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    ec_init();
    d->kv = kv_open_mem();
    assert_int_equal(dchan_store_new(&d->store, d->kv, count_written, d, NULL), OK);
    assert_int_equal(contacts_open(&d->contacts, d->store, NULL), OK);
    *state = d;
    return 0;
}

static int desk_close(void **state)
{
    struct desk *d = *state;
    dchan_store_free(d->store);
    contacts_free(d->contacts);
    free(d);
    return 0;
}

static void pause_a_moment(void) { nanosleep(&(struct timespec){ 0, 1000000 }, NULL); }

/* Until so many of the changes made with `note` were told of. */
static void settle(struct desk *d, unsigned n)
{
    while (d->told < n) {
        dchan_store_poll(d->store);
        pause_a_moment();
    }
}

/* As a new process finds what is on disk. */
static void reopen(struct desk *d)
{
    contacts_free(d->contacts);
    assert_int_equal(contacts_open(&d->contacts, d->store, NULL), OK);
}

static void set_text(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text);
}

static struct contact make(uint8_t secret, const char *alias)
{
    uint8_t s[32];
    struct contact c = { .has_key = true, .policy = { .messages = true } };
    memset(s, secret, sizeof s);
    assert_true(ec_pubkey_of(c.key, s));
    (void)snprintf(c.alias, sizeof c.alias, "%s", alias);
    return c;
}

static struct contact *add(struct desk *d, const struct contact *in)
{
    struct contact *out = NULL;
    const unsigned before = d->told;
    assert_int_equal(contacts_add(d->contacts, in, note, d, &out, NULL), OK);
    settle(d, before + 1);
    assert_int_equal(d->last, OK);
    return out;
}

static enum err try_add(struct desk *d, const struct contact *in)
{
    struct contact *out;
    return contacts_add(d->contacts, in, note, d, &out, &d->e);
}

static void a_contact_is_found_by_what_it_is_called(void **state)
{
    struct desk *d = *state;
    const struct contact in = make(0x11, "alice");
    const struct contact *c = add(d, &in);
    char hex[2 * IDENTITY_KEY_SIZE + 1];
    hex_encode(hex, in.key, sizeof in.key);
    assert_ptr_equal(contacts_find(d->contacts, "alice"), c);
    assert_ptr_equal(contacts_find(d->contacts, hex), c);
    assert_ptr_equal(contacts_by_id(d->contacts, c->id), c);
    assert_ptr_equal(contacts_by_key(d->contacts, in.key, NULL), c);
    assert_null(contacts_find(d->contacts, "Alice"));
    assert_null(contacts_find(d->contacts, ""));
    assert_true(c->added_ms > 0);
    assert_int_equal(contacts_count(d->contacts), 1);
}

static void everything_of_a_contact_is_on_disk(void **state)
{
    struct desk *d = *state;
    struct contact in = make(0x11, "Ålice ✓");
    const struct contact other = make(0x12, "x");
    set_text(in.identity, sizeof in.identity, "home");
    in.policy = (struct contact_policy){ .bare = true, .files = true, .relay_for_us = true,
                                         .follow_successor = true, .padding = true,
                                         .file_quota = 77 };
    in.n_addresses = CONTACT_ADDRESSES_MAX;
    memset(in.addresses, 0x2a, sizeof in.addresses);
    in.addresses[3].port = 0x1234;
    in.n_former = 1;
    memcpy(in.former[0], other.key, sizeof other.key);
    in.n_statements = 2;
    memset(in.statements, 0x77, sizeof in.statements[0] * 2);
    struct contact before = *add(d, &in);
    reopen(d);
    const struct contact *after = contacts_by_alias(d->contacts, "Ålice ✓");
    assert_non_null(after);
    assert_int_equal(after->n_addresses, CONTACT_ADDRESSES_MAX);
    assert_memory_equal(after->addresses, before.addresses, sizeof before.addresses);
    assert_memory_equal(after->statements, before.statements, sizeof before.statements[0] * 2);
    assert_memory_equal(&after->policy, &before.policy, sizeof before.policy);
    assert_string_equal(after->identity, "home");
    assert_int_equal(after->added_ms, before.added_ms);
    assert_int_equal(after->id, before.id);
    assert_true(after->has_key);
    bool former = false;
    assert_null(contacts_by_key(d->contacts, other.key, NULL));
    assert_ptr_equal(contacts_by_key(d->contacts, other.key, &former), after);
    assert_true(former);
}

static void keys_and_names_are_of_one_contact(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice"), b = make(0x12, "bob"), again = make(0x11, "carol");
    struct contact named = make(0x13, "alice"), heir = make(0x14, "heir");
    add(d, &a);
    struct contact *bob = add(d, &b);
    assert_int_equal(try_add(d, &again), ERR_EXISTS);
    assert_non_null(strstr(d->e.text, "alice"));
    assert_int_equal(try_add(d, &named), ERR_EXISTS);
    heir.n_former = 1;
    memcpy(heir.former[0], a.key, sizeof a.key);
    assert_int_equal(try_add(d, &heir), ERR_EXISTS);
    struct contact change = *bob;
    set_text(change.alias, sizeof change.alias, "alice");
    assert_int_equal(contacts_change(d->contacts, &change, NULL, NULL, NULL), ERR_EXISTS);
    assert_string_equal(bob->alias, "bob");
    assert_int_equal(contacts_count(d->contacts), 2);
}

static void names_that_mislead_are_refused(void **state)
{
    struct desk *d = *state;
    static const char *const bad[] = {
        "a\nb", "\x1b[2J", " a", "a ", "\xff", "a\xc2\x80", "a\xe2\x80\xae" "b", "a\xe2\x80\x8b",
        "a\xe2\x81\xa6", "\xef\xbb\xbf" "a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct contact c = make(0x11, "x");
        set_text(c.alias, sizeof c.alias, bad[i]);
        assert_int_equal(try_add(d, &c), ERR_RANGE);
    }
    struct contact none = make(0x11, "x");
    none.key[0] = 5;
    assert_int_equal(try_add(d, &none), ERR_RANGE);
    none.has_key = false; /* and no address */
    assert_int_equal(try_add(d, &none), ERR_RANGE);
    assert_int_equal(contacts_count(d->contacts), 0);
}

static void a_contact_without_a_name_gets_one(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, ""), at = { .n_addresses = 1 };
    at.addresses[0].address[15] = 1;
    const struct contact *c = add(d, &a);
    assert_string_equal(c->alias, "034f355bdcb7cc0a");
    assert_string_equal(add(d, &at)->alias, "::1");
    assert_string_equal(add(d, &at)->alias, "::1-2");
    assert_int_equal(contacts_keyless(d->contacts), 2);
    struct contact known = *contacts_by_alias(d->contacts, "::1"), b = make(0x12, "");
    known.has_key = true;
    memcpy(known.key, b.key, sizeof known.key);
    assert_int_equal(contacts_change(d->contacts, &known, note, d, NULL), OK);
    assert_int_equal(contacts_keyless(d->contacts), 1);
    assert_non_null(contacts_by_key(d->contacts, b.key, NULL));
    contacts_remove(d->contacts, contacts_by_alias(d->contacts, "::1-2"), note, d);
    settle(d, d->told + 2);
    assert_int_equal(contacts_keyless(d->contacts), 0);
    assert_int_equal(try_add(d, &a), ERR_EXISTS);
}

static void a_name_is_given_away_when_the_change_is_on_disk(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice"), b = make(0x12, "alice");
    struct contact *alice = add(d, &a);
    struct contact change = *alice;
    set_text(change.alias, sizeof change.alias, "alina");
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    assert_ptr_equal(contacts_by_alias(d->contacts, "alina"), alice);
    assert_int_equal(try_add(d, &b), ERR_BUSY);
    settle(d, 2);
    add(d, &b);
    reopen(d);
    assert_int_equal(contacts_count(d->contacts), 2);
}

static void what_a_full_disk_refuses_did_not_happen(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice"), b = make(0x12, "bob"), out;
    struct contact *alice = add(d, &a);
    struct contact change = *alice;
    const uint64_t id = alice->id;
    kv_mem_fail_writes(d->kv, 1);
    set_text(change.alias, sizeof change.alias, "alina");
    memcpy(change.key, b.key, sizeof b.key);
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    set_text(change.alias, sizeof change.alias, "aline"); /* a second one that waits */
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    settle(d, 3);
    assert_int_equal(d->failed, 2);
    assert_string_equal(alice->alias, "alice");
    assert_ptr_equal(contacts_by_key(d->contacts, a.key, NULL), alice);
    assert_null(contacts_by_key(d->contacts, b.key, NULL));
    assert_int_equal(try_add(d, &b), OK);
    settle(d, 4);
    assert_null(contacts_by_alias(d->contacts, "bob"));
    contacts_remove(d->contacts, alice, note, d);
    assert_int_equal(contacts_count(d->contacts), 0);
    assert_int_equal(try_add(d, &a), ERR_BUSY);
    settle(d, 5);
    assert_ptr_equal(contacts_by_alias(d->contacts, "alice"), alice);
    kv_mem_fail_writes(d->kv, 0);
    reopen(d);
    out = *contacts_by_alias(d->contacts, "alice");
    assert_int_equal(out.id, id);
    assert_int_equal(contacts_count(d->contacts), 1);
}

static void a_later_change_stands_when_an_earlier_one_failed(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice");
    struct contact *alice = add(d, &a);
    struct contact change = *alice;
    kv_mem_fail_writes(d->kv, 1);
    set_text(change.alias, sizeof change.alias, "first");
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    while (atomic_load(&d->written) < 2)
        pause_a_moment();
    kv_mem_fail_writes(d->kv, 0);
    set_text(change.alias, sizeof change.alias, "second");
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    settle(d, 3);
    assert_int_equal(d->failed, 1);
    assert_string_equal(alice->alias, "second");
    reopen(d);
    assert_non_null(contacts_by_alias(d->contacts, "second"));
}

static void ids_are_never_given_again(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice"), b = make(0x12, "bob");
    struct contact *alice = add(d, &a);
    const uint64_t id = alice->id;
    contacts_remove(d->contacts, alice, note, d);
    assert_null(contacts_find(d->contacts, "alice"));
    settle(d, 2);
    reopen(d);
    assert_int_equal(contacts_count(d->contacts), 0);
    const struct contact *first = add(d, &a), *second = add(d, &b);
    assert_true(first->id > id);
    assert_true(second->id > first->id);
    assert_ptr_equal(contacts_next(d->contacts, 0), first);
    assert_ptr_equal(contacts_next(d->contacts, first->id), second);
    assert_null(contacts_next(d->contacts, second->id));
}

/* The store syncs each write, so what was told of survives and nothing else can be seen. */
static void a_power_cut_takes_nothing_that_was_told_of(void **state)
{
    struct desk *d = *state;
    struct contact a = make(0x11, "alice"), b = make(0x12, "bob");
    struct contact *alice = add(d, &a);
    struct contact change = *alice;
    kv_mem_power_cut(d->kv);
    reopen(d);
    set_text(change.alias, sizeof change.alias, "alina");
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    settle(d, 2);
    add(d, &b);
    kv_mem_power_cut(d->kv);
    reopen(d);
    assert_non_null(contacts_by_alias(d->contacts, "alina"));
    assert_non_null(contacts_by_alias(d->contacts, "bob"));
}

static struct contact_address at(uint8_t last, uint16_t port)
{
    struct contact_address a = { .port = port };
    a.address[0] = 0x20;
    a.address[15] = last;
    return a;
}

static void the_address_where_it_was_reached_comes_first(void **state)
{
    struct desk *d = *state;
    const struct contact in = make(0x11, "alice");
    struct contact *c = add(d, &in);
    assert_true(contacts_bytes(d->contacts) > sizeof *c);
    for (uint8_t i = 1; i <= CONTACT_ADDRESSES_MAX + 1; i++) {
        const struct contact_address where = at(i, 9944);
        contacts_seen(d->contacts, c, &where, 1000000 + i);
    }
    assert_int_equal(c->n_addresses, CONTACT_ADDRESSES_MAX);
    assert_int_equal(c->addresses[0].address[15], 5);
    assert_int_equal(c->addresses[3].address[15], 2);
    const struct contact_address again = at(3, 9944);
    contacts_seen(d->contacts, c, &again, 2000000);
    assert_int_equal(c->n_addresses, CONTACT_ADDRESSES_MAX);
    assert_int_equal(c->addresses[0].address[15], 3);
    assert_int_equal(c->addresses[1].address[15], 5);
    assert_int_equal(c->addresses[3].address[15], 2);
    struct contact change = *c;
    assert_int_equal(contacts_change(d->contacts, &change, note, d, NULL), OK);
    settle(d, 2);
    reopen(d);
    assert_int_equal(contacts_by_alias(d->contacts, "alice")->seen_ms, 2000000);
    assert_int_equal(contacts_by_alias(d->contacts, "alice")->addresses[0].address[15], 3);
}

/* Puts a value for the contact's key past the store. */
static enum err open_with(struct desk *d, const struct buf *value)
{
    uint8_t key[CONTACTS_KEY_SIZE], next[9] = { 9 };
    struct contacts *c = NULL;
    struct kv_batch *b = kv_batch_new(d->kv);
    contact_disk_key(key, 3);
    kv_batch_put(b, key, 1, next, 8);
    kv_batch_put(b, key, sizeof key, value->data, value->len);
    assert_int_equal(kv_write(d->kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    const enum err rc = contacts_open(&c, d->store, NULL);
    contacts_free(c);
    return rc;
}

static void damage_and_newer_forms_are_told_apart(void **state)
{
    struct desk *d = *state;
    struct contact in = make(0x11, "alice");
    struct buf b;
    buf_init(&b);
    contact_write(&b, &in);
    assert_int_equal(open_with(d, &b), OK);
    for (size_t cut = 0; cut < b.len; cut++) {
        struct buf part = { .data = b.data, .len = cut };
        assert_int_equal(open_with(d, &part), ERR_CORRUPT);
    }
    buf_put_u8(&b, 0);
    assert_int_equal(open_with(d, &b), ERR_CORRUPT);
    b.data[0] = 2;
    assert_int_equal(open_with(d, &b), ERR_RANGE);
    b.data[0] = 1;
    b.data[2] |= 0x80; /* a permission of later versions */
    assert_int_equal(open_with(d, &b), ERR_RANGE);
    buf_clear(&b);
}

static void more_contacts_than_the_limit_are_refused(void **state)
{
    struct desk *d = *state;
    struct contact c = { .n_addresses = 1 };
    for (unsigned i = 0; i < CONTACTS_MAX; i++) {
        be32_put(c.addresses[0].address, i);
        (void)snprintf(c.alias, sizeof c.alias, "%u", i);
        assert_int_equal(try_add(d, &c), OK);
    }
    set_text(c.alias, sizeof c.alias, "one more");
    assert_int_equal(try_add(d, &c), ERR_RANGE);
    settle(d, CONTACTS_MAX);
    reopen(d);
    assert_int_equal(contacts_count(d->contacts), CONTACTS_MAX);
    assert_non_null(contacts_by_alias(d->contacts, "9999"));
}

int main(void)
{
#define DESK_TEST(f) cmocka_unit_test_setup_teardown(f, desk_open, desk_close)
    const struct CMUnitTest tests[] = {
        DESK_TEST(a_contact_is_found_by_what_it_is_called),
        DESK_TEST(everything_of_a_contact_is_on_disk),
        DESK_TEST(keys_and_names_are_of_one_contact),
        DESK_TEST(names_that_mislead_are_refused),
        DESK_TEST(a_contact_without_a_name_gets_one),
        DESK_TEST(a_name_is_given_away_when_the_change_is_on_disk),
        DESK_TEST(what_a_full_disk_refuses_did_not_happen),
        DESK_TEST(a_later_change_stands_when_an_earlier_one_failed),
        DESK_TEST(ids_are_never_given_again),
        DESK_TEST(a_power_cut_takes_nothing_that_was_told_of),
        DESK_TEST(the_address_where_it_was_reached_comes_first),
        DESK_TEST(damage_and_newer_forms_are_told_apart),
        DESK_TEST(more_contacts_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests_name("contacts", tests, NULL, NULL);
}
