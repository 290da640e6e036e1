/* What a record that has come means for contacts, and what is told of where they are. */
#include "node/channel_records.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "p2p/bca_store.h"
#include "p2p/successor_part.h"
#include "tests/p2p/record_maker.h"
#include "tests/test.h"

/* --- the channels: what they are called with --- */

struct channels {
    struct contacts *contacts;
    bool stopped;
    unsigned endpoints_changed, contact_changed, seen;
};

struct contacts *channels_contacts(struct channels *c) { return c->contacts; }

void channels_post(struct channels *c, void (*fn)(struct channels *c, void *ctx), void *ctx)
{
    fn(c->stopped ? NULL : c, ctx);
}

void channels_endpoints_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    (void)key;
    c->endpoints_changed++;
}

void channels_contact_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    (void)key;
    c->contact_changed++;
}

void successor_part_see(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                        const struct dchan_successor *s)
{
    (void)key;
    (void)s;
    c->seen++;
}

/* --- a bench --- */

struct bench {
    struct kv *kv;              /* of the contacts */
    struct dchan_store *disk;
    struct channels channels;
    struct bca_store *records;
    struct channel_records *cr;
    unsigned looked;
};

static void look_for(void *node, const uint8_t key[33])
{
    (void)key;
    ((struct bench *)node)->looked++;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    clock_set_mock(MAKER_NOW + 100);
    b->kv = kv_open_mem();
    assert_int_equal(dchan_store_new(&b->disk, b->kv, NULL, NULL, NULL), OK);
    assert_int_equal(contacts_open(&b->channels.contacts, b->disk, NULL), OK);
    assert_int_equal(bca_store_open(&b->records, kv_open_mem(), NULL, NULL), OK);
    const struct rpc_env env = { .records = b->records, .look_for_record = look_for, .node = b };
    b->cr = channel_records_new(&env, false);
    channel_records_attach(b->cr, &b->channels);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    dchan_store_free(b->disk);
    channel_records_free(b->cr);
    contacts_free(b->channels.contacts);
    bca_store_close(b->records);
    free(b);
    return 0;
}

/* At 2001:db8::who, as record_maker.h has it. */
static struct contact_address place(uint8_t who, uint16_t port)
{
    return (struct contact_address){ .address = { 0x20, 1, 0x0d, 0xb8, [15] = who },
                                     .port = port };
}

static uint64_t add_contact(struct bench *b, const char *alias, const uint8_t *key,
                            struct contact_address at)
{
    struct contact in = { .n_addresses = 1, .addresses = { at }, .has_key = key != NULL };
    struct contact *made;
    memcpy(in.alias, alias, strlen(alias));
    if (key)
        memcpy(in.key, key, sizeof in.key);
    assert_int_equal(contacts_add(b->channels.contacts, &in, NULL, NULL, &made, NULL), OK);
    dchan_store_settle(b->disk);
    return made->id;
}

static const struct contact *contact_of(struct bench *b, uint64_t id)
{
    return contacts_by_id(b->channels.contacts, id);
}

/* A peer gave it, and it is good. */
static void put(struct bench *b, uint8_t who, uint64_t seq, void (*change)(struct bca_record *r))
{
    struct made_record m;
    struct bca_record r;
    struct bca_facts f;
    bool taken;
    record_make(&m, who, seq, change);
    assert_int_equal(bca_record_read(&r, buf_span(&m.raw)), BCA_RECORD_GOOD);
    bca_facts_of(&f, &r, buf_span(&m.raw));
    f.relay = true;
    assert_int_equal(bca_store_put(b->records, &r, buf_span(&m.raw), &f, 0, &taken, NULL), OK);
    assert_true(taken);
    record_clear(&m);
}

static void make_key(uint8_t out[IDENTITY_KEY_SIZE], uint8_t who)
{
    struct made_record m;
    record_make(&m, who, 1, NULL);
    memcpy(out, m.key, IDENTITY_KEY_SIZE);
    record_clear(&m);
}

static void more_places(struct bca_record *r)
{
    r->n_endpoints = 4;
    r->endpoints[1] = r->endpoints[0];
    r->endpoints[1].address[15] = 0x77;
    r->endpoints[2] = r->endpoints[0];
    r->endpoints[2].address[0] = 0xfe; /* of a link: nobody else can reach it */
    r->endpoints[3] = r->endpoints[0];
    r->endpoints[3].port = 22;
}

static void last_word(struct bca_record *r)
{
    r->tombstone = true;
    r->n_endpoints = 0;
    r->params = span_of(NULL, 0);
    r->expires = r->issued + BCA_RECORD_LIFETIME_MAX;
}

/* --- tests --- */

static void the_proved_address_gives_a_contact_its_key(void **state)
{
    struct bench *b = *state;
    uint8_t key[IDENTITY_KEY_SIZE];
    make_key(key, 1);
    const uint64_t id = add_contact(b, "alice", NULL, place(1, 5));
    const uint64_t other = add_contact(b, "bob", NULL, place(2, 5));
    put(b, 1, 1, NULL);
    dchan_store_settle(b->disk);
    assert_true(contact_of(b, id)->has_key);
    assert_memory_equal(contact_of(b, id)->key, key, sizeof key);
    assert_int_equal(contact_of(b, id)->addresses[0].port, BCA_RECORD_PORT);
    assert_int_equal(contact_of(b, id)->n_addresses, 1);
    assert_false(contact_of(b, other)->has_key);
    assert_int_equal(b->channels.contact_changed, 1);
    assert_int_equal(b->channels.endpoints_changed, 0);
    put(b, 1, 2, NULL); /* of a contact: where it is may have changed */
    assert_int_equal(b->channels.endpoints_changed, 1);
}

/* One that the record only claims, and a last word, which proves none. */
static void what_proves_no_address_gives_no_key(void **state)
{
    struct bench *b = *state;
    const uint64_t id = add_contact(b, "alice", NULL, place(0x77, 5));
    const uint64_t zero = add_contact(b, "zero", NULL, (struct contact_address){ .port = 5 });
    put(b, 1, 1, more_places);
    put(b, 2, 1, last_word);
    assert_false(contact_of(b, id)->has_key);
    assert_false(contact_of(b, zero)->has_key);
    assert_int_equal(b->channels.contact_changed, 0);
}

static void a_key_belongs_to_one_contact(void **state)
{
    struct bench *b = *state;
    uint8_t key[IDENTITY_KEY_SIZE];
    make_key(key, 1);
    add_contact(b, "alice", key, place(9, 5));
    const uint64_t later = add_contact(b, "bob", NULL, place(1, 5));
    put(b, 1, 1, NULL);
    assert_false(contact_of(b, later)->has_key);
    assert_int_equal(b->channels.endpoints_changed, 1);
}

static void of_two_with_one_address_the_first_gets_the_key(void **state)
{
    struct bench *b = *state;
    const uint64_t first = add_contact(b, "alice", NULL, place(1, 5));
    const uint64_t second = add_contact(b, "bob", NULL, place(1, 6));
    put(b, 1, 1, NULL);
    put(b, 1, 2, NULL);
    dchan_store_settle(b->disk);
    assert_true(contact_of(b, first)->has_key);
    assert_false(contact_of(b, second)->has_key);
}

static void what_could_not_be_written_comes_with_the_next_record(void **state)
{
    struct bench *b = *state;
    const uint64_t id = add_contact(b, "alice", NULL, place(1, 5));
    kv_mem_fail_writes(b->kv, 1);
    put(b, 1, 1, NULL);
    dchan_store_settle(b->disk);
    assert_false(contact_of(b, id)->has_key);
    assert_int_equal(contact_of(b, id)->addresses[0].port, 5);
    assert_int_equal(b->channels.contact_changed, 0);
    kv_mem_fail_writes(b->kv, 0);
    put(b, 1, 2, NULL);
    dchan_store_settle(b->disk);
    assert_true(contact_of(b, id)->has_key);
    assert_int_equal(b->channels.contact_changed, 1);
}

static void after_the_stop_nothing_changes(void **state)
{
    struct bench *b = *state;
    const uint64_t id = add_contact(b, "alice", NULL, place(1, 5));
    b->channels.stopped = true;
    put(b, 1, 1, NULL);
    assert_false(contact_of(b, id)->has_key);
}

static void strangers_are_dialled_at_the_proved_address_alone(void **state)
{
    struct bench *b = *state;
    struct bca_endpoint at[BCA_RECORD_ENDPOINTS_MAX];
    uint8_t key[IDENTITY_KEY_SIZE];
    make_key(key, 1);
    assert_int_equal(channel_records_endpoints(b->cr, key, at), 0);
    put(b, 1, 1, more_places);
    assert_int_equal(channel_records_endpoints(b->cr, key, at), 1);
    assert_int_equal(at[0].address[15], 1);
    add_contact(b, "alice", key, place(9, 5));
    assert_int_equal(channel_records_endpoints(b->cr, key, at), 2);
    assert_int_equal(at[1].address[15], 0x77);
    put(b, 1, 2, last_word);
    assert_int_equal(channel_records_endpoints(b->cr, key, at), 0);
}

static void without_records_nothing_is_known(void **state)
{
    struct bench *b = *state;
    struct bca_endpoint at[BCA_RECORD_ENDPOINTS_MAX];
    uint8_t key[IDENTITY_KEY_SIZE];
    const struct rpc_env env = { .records = NULL };
    struct channel_records *none = channel_records_new(&env, false);
    make_key(key, 1);
    channel_records_attach(none, &b->channels);
    assert_int_equal(channel_records_endpoints(none, key, at), 0);
    channel_records_contact(none, key, true);
    channel_records_look_for(none, key);
    channel_records_free(none);
    channel_records_look_for(b->cr, key);
    assert_int_equal(b->looked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_proved_address_gives_a_contact_its_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_proves_no_address_gives_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_belongs_to_one_contact, setup, teardown),
        cmocka_unit_test_setup_teardown(of_two_with_one_address_the_first_gets_the_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_could_not_be_written_comes_with_the_next_record,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(after_the_stop_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers_are_dialled_at_the_proved_address_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_records_nothing_is_known, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
