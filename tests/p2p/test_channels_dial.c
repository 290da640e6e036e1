/* Whom direct channels dial, where, and how often (spec channels 2.3, 9). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "tests/p2p/channel_guest.h"
#include "tests/test.h"

/* --- fixtures --- */

struct one {
    struct channels_side side;
    struct open_key theirs;
    struct chan_peer_info info;
};

static struct one *one_new(void)
{
    struct one *o = xcalloc(1, sizeof *o);
    channels_side_init(&o->side);
    o->side.config.listen = false;
    open_key_init(&o->theirs, 0x31);
    return o;
}

static void one_start(struct one *o)
{
    channels_side_open(&o->side, 0x13);
    channels_side_freeze(&o->side);
    channels_side_start(&o->side);
}

static void one_free(struct one *o)
{
    channels_side_close(&o->side);
    free(o);
}

struct acquaintance {
    struct one *one;
    uint8_t secret;
    size_t n;
    uint16_t ports[CONTACT_ADDRESSES_MAX];
};

static void know_call(struct channels *c, void *ctx)
{
    const struct acquaintance *a = ctx;
    struct contact contact = { .has_key = true, .n_addresses = a->n }, *made;
    struct open_key key;
    open_key_init(&key, a->secret);
    memcpy(contact.key, key.key.pub, sizeof contact.key);
    for (size_t i = 0; i < a->n; i++) {
        contact.addresses[i].address[BCA_ADDRESS_SIZE - 1] = 1;
        contact.addresses[i].port = a->ports[i];
    }
    assert_int_equal(contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL), OK);
    channels_contact_changed(c, contact.key);
}

/* The key of the fixture is a contact that is at these ports of [::1]; 0: no more. */
static void know(struct one *o, uint16_t first, uint16_t second)
{
    struct acquaintance a = { o, 0x31, (first != 0) + (second != 0), { first, second } };
    assert_true(channels_call(o->side.channels, know_call, &a));
}

static void dial_call(struct channels *c, void *ctx)
{
    struct one *o = ctx;
    struct contact *contact = contacts_by_key(channels_contacts(c), o->theirs.key.pub, NULL);
    chan_peer_dial(channels_peer_of(c, contact), true);
}

static void dial_softly_call(struct channels *c, void *ctx)
{
    struct one *o = ctx;
    chan_peer_dial(channels_find(c, o->theirs.key.pub), false);
}

static void dial(struct one *o)
{
    assert_true(channels_call(o->side.channels, dial_call, o));
}

static void look_call(struct channels *c, void *ctx)
{
    struct one *o = ctx;
    chan_peer_get_info(channels_find(c, o->theirs.key.pub), &o->info);
}

static struct chan_peer_info *look(struct one *o)
{
    assert_true(channels_call(o->side.channels, look_call, o));
    return &o->info;
}

static bool pauses(void *ctx)
{
    const struct chan_peer_info *info = look(ctx);
    return info->state != CHAN_PEER_DIALLING && info->state != CHAN_PEER_HANDSHAKE &&
           info->next_dial_ms;
}

static bool shakes_hands(void *ctx) { return look(ctx)->state == CHAN_PEER_HANDSHAKE; }

/* --- pauses --- */

static void pauses_double_up_to_half_an_hour(void **state)
{
    (void)state;
    const struct guest_port nobody = guest_port_open(false);
    struct one *o = one_new();
    uint64_t base = 10000;
    one_start(o);
    know(o, nobody.number, 0);
    dial(o);
    for (int i = 0; i < 12; i++) {
        channels_pair_wait(pauses, o);
        assert_in_range(o->info.next_dial_ms, base * 8 / 10, base * 12 / 10);
        assert_non_null(strstr(o->info.last_error, "refused"));
        base = base * 2 < 1800000 ? base * 2 : 1800000;
        channels_side_skip(&o->side, o->info.next_dial_ms);
    }
    one_free(o);
    close(nobody.fd);
}

static void a_pause_is_kept_unless_the_user_asks(void **state)
{
    (void)state;
    const struct guest_port nobody = guest_port_open(false), silent = guest_port_open(true);
    struct one *o = one_new();
    one_start(o);
    know(o, nobody.number, silent.number);
    dial(o);
    channels_pair_wait(shakes_hands, o);
    channels_side_skip(&o->side, 5000);
    channels_pair_wait(pauses, o);
    assert_true(channels_call(o->side.channels, dial_softly_call, o));
    channels_side_skip(&o->side, 7900);
    assert_int_equal(look(o)->state, CHAN_PEER_IDLE);
    dial(o);
    channels_pair_wait(shakes_hands, o);
    one_free(o);
    close(nobody.fd);
    close(silent.fd);
}

/* --- places --- */

/* Its act 1 is not answered. */
static struct one *one_shaking_hands(struct guest_port *silent)
{
    struct one *o = one_new();
    *silent = guest_port_open(true);
    one_start(o);
    know(o, silent->number, 0);
    dial(o);
    channels_pair_wait(shakes_hands, o);
    return o;
}

static void an_answer_that_does_not_come_is_waited_for_five_seconds(void **state)
{
    (void)state;
    struct guest_port silent;
    struct one *o = one_shaking_hands(&silent);
    channels_side_skip(&o->side, 4900);
    assert_int_equal(look(o)->state, CHAN_PEER_HANDSHAKE);
    channels_side_skip(&o->side, 200);
    channels_pair_wait(pauses, o);
    assert_string_equal(o->info.last_error, "timeout");
    one_free(o);
    close(silent.fd);
}

static bool has_looked(void *ctx) { return ((struct one *)ctx)->side.looked == 1; }

static uint16_t endpoint_port;

static size_t give_endpoint(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                            struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX])
{
    (void)ctx;
    (void)key;
    out[0] = (struct bca_endpoint){ .type = BCA_RECORD_TCP6, .port = endpoint_port };
    out[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    return endpoint_port != 0;
}

static void announce_call(struct channels *c, void *ctx)
{
    struct one *o = ctx;
    channels_endpoints_changed(c, o->theirs.key.pub);
}

static void announce_from_call(struct channels *c, void *ctx)
{
    const struct guest_port *at = ctx;
    (void)c;
    endpoint_port = at->number;
}

static void who_is_nowhere_is_looked_for(void **state)
{
    (void)state;
    struct guest_port silent = guest_port_open(true);
    struct one *o = one_new();
    o->side.ops.endpoints = give_endpoint;
    endpoint_port = 0;
    one_start(o);
    know(o, 0, 0);
    dial(o);
    channels_pair_wait(has_looked, o);
    assert_int_equal(look(o)->state, CHAN_PEER_LOOKING);
    assert_string_equal(o->info.last_error, "no address is known");
    assert_true(channels_call(o->side.channels, announce_from_call, &silent));
    assert_true(channels_call(o->side.channels, announce_call, o));
    channels_pair_wait(shakes_hands, o);
    one_free(o);
    close(silent.fd);
}

static void what_may_be_dialled(void **state)
{
    static const struct {
        const char *address;
        uint16_t port;
        bool main, regtest;
    } rows[] = {
        { "2001:470::1", 9944, true, true }, { "2001:470::1", 1024, true, true },
        { "2001:470::1", 1023, false, true }, { "2001:470::1", 0, false, false },
        { "::1", 9944, false, true }, { "::", 9944, false, false },
        { "fe80::1", 9944, false, true }, { "fd00::1", 9944, false, true },
        { "ff02::1", 9944, false, false }, { "2001:db8::1", 9944, false, true },
        { "2002:a00:1::1", 9944, false, true }, { "4000::1", 9944, false, true },
        { "::ffff:10.0.0.1", 9944, false, true },
    };
    (void)state;
    struct channels c = { .config.regtest = false };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct contact_address where = { .port = rows[i].port };
        struct netaddr a;
        assert_int_equal(netaddr_parse_ip(&a, rows[i].address, NULL), OK);
        memcpy(where.address, a.ip, sizeof where.address);
        c.config.regtest = false;
        assert_int_equal(dial_may(&c, &where), rows[i].main);
        c.config.regtest = true;
        assert_int_equal(dial_may(&c, &where), rows[i].regtest);
    }
}

/* --- who --- */

static void count_call(struct channels *c, void *ctx)
{
    *(size_t *)ctx = c->conns.n;
}

static size_t dials_of_thirty(unsigned sessions)
{
    const struct guest_port silent = guest_port_open(true);
    struct one *o = one_new();
    size_t n = 0;
    o->side.config.dial_contacts = true;
    o->side.config.limits.sessions = sessions;
    o->side.config.limits.reserved_contacts = 1;
    one_start(o);
    for (uint8_t i = 0; i < 30; i++) {
        struct acquaintance a = { o, (uint8_t)(0x31 + i), 1, { silent.number } };
        assert_true(channels_call(o->side.channels, know_call, &a));
    }
    channels_side_skip(&o->side, 0);
    assert_true(channels_call(o->side.channels, count_call, &n));
    one_free(o);
    close(silent.fd);
    return n;
}

static void few_are_dialled_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(dials_of_thirty(128), CHANNELS_DIALS_MAX);
    assert_int_equal(dials_of_thirty(9), 9);
}

static bool is_up(void *ctx)
{
    struct channels_pair *p = ctx;
    return channels_side_is_up(&p->sides[0], &p->sides[1]);
}

static bool is_not_up(void *ctx) { return !is_up(ctx); }

static bool has_gone(void *ctx)
{
    struct channels_pair *p = ctx;
    struct chan_peer_info info;
    return !channels_side_info(&p->sides[0], &p->sides[1], &info) ||
           info.state != CHAN_PEER_GOING;
}

static void disconnect_call(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    chan_peer_disconnect(channels_find(c, other->key.key.pub));
}

static void contacts_are_kept_unless_the_user_disconnects(void **state)
{
    (void)state;
    struct channels_pair p;
    struct chan_peer_info info;
    channels_pair_init(&p);
    p.sides[0].config.dial_contacts = true;
    channels_pair_open(&p);
    channels_side_freeze(&p.sides[0]);
    channels_pair_start(&p);
    channels_side_skip(&p.sides[0], 0);
    channels_pair_wait(is_up, &p);
    assert_true(channels_call(p.sides[1].channels, disconnect_call, &p.sides[0]));
    channels_pair_wait(is_not_up, &p);
    channels_pair_wait(has_gone, &p); /* the pause begins at its end */
    channels_side_skip(&p.sides[0], 12000); /* it had not lasted */
    channels_pair_wait(is_up, &p);
    assert_true(channels_call(p.sides[0].channels, disconnect_call, &p.sides[1]));
    channels_pair_wait(is_not_up, &p);
    channels_side_skip(&p.sides[0], 3600000);
    channels_side_skip(&p.sides[0], 3600000);
    assert_true(channels_side_info(&p.sides[0], &p.sides[1], &info));
    assert_true(info.state == CHAN_PEER_IDLE || info.state == CHAN_PEER_GOING);
    channels_side_dial(&p.sides[0], &p.sides[1]);
    channels_pair_wait(is_up, &p);
    channels_pair_close(&p);
}

static void somebody_else_at_the_address_gets_no_session(void **state)
{
    (void)state;
    struct channels_pair p;
    struct one *o = one_new();
    channels_pair_init(&p);
    channels_pair_open(&p);
    channels_pair_start(&p);
    one_start(o);
    know(o, channels_port(p.sides[1].channels), 0);
    dial(o);
    channels_pair_wait(pauses, o);
    assert_string_equal(o->info.last_error, "handshake failed");
    assert_int_equal(p.sides[1].ups, 0);
    one_free(o);
    channels_pair_close(&p);
}

/* It has no place for strangers. */
static void why_a_peer_turned_us_away_is_told(void **state)
{
    (void)state;
    struct channels_pair p;
    struct one *o = one_new();
    channels_pair_init(&p);
    p.sides[1].config.limits.sessions = p.sides[1].config.limits.reserved_contacts = 2;
    channels_pair_open(&p);
    channels_pair_start(&p);
    one_start(o);
    struct acquaintance a = { o, 0x21, 1, { channels_port(p.sides[1].channels) } };
    o->theirs = p.sides[1].key;
    assert_true(channels_call(o->side.channels, know_call, &a));
    dial(o);
    channels_pair_wait(pauses, o);
    assert_string_equal(o->info.last_error, "peer went away: it is busy");
    one_free(o);
    channels_pair_close(&p);
}

static void choose_identity(struct channels *c, void *ctx)
{
    struct one *o = ctx;
    struct contact contact =
        *contacts_by_key(channels_contacts(c), o->theirs.key.pub, NULL);
    memcpy(contact.identity, "work", 5);
    assert_int_equal(contacts_change(channels_contacts(c), &contact, NULL, NULL, NULL), OK);
    channels_contact_changed(c, contact.key);
}

static void count_conns(struct channels *c, void *ctx) { *(size_t *)ctx = c->conns.n; }

static bool is_alone(void *ctx)
{
    size_t n = 0;
    assert_true(channels_call(((struct one *)ctx)->side.channels, count_conns, &n));
    return n == 0;
}

/* Else the contact would learn that two identities are of one host. */
static void a_dial_ends_when_another_identity_is_chosen(void **state)
{
    (void)state;
    struct guest_port silent;
    struct one *o = one_shaking_hands(&silent);
    assert_true(channels_call(o->side.channels, choose_identity, o));
    channels_pair_wait(is_alone, o); /* no time passes that would end it */
    channels_side_skip(&o->side, 100000);
    assert_true(is_alone(o));
    one_free(o);
    close(silent.fd);
}

/* One that comes before the one of the fixture. */
struct other_identity {
    struct open_key key;
    struct channel_identity id;
};

static void keep_it(struct channel_identity *id) { (void)id; }

static void put_before(struct channels_side *s, struct other_identity *other)
{
    open_key_init(&other->key, 0x77);
    other->id = (struct channel_identity){ .key = other->key.key, .name = "first", .refs = 1,
                                           .release = keep_it };
    struct channel_identity *both[] = { &other->id, channel_identity_ref(&s->identity) };
    channels_set_identities(s->channels, both, 2);
}

static bool both_are_down(void *ctx)
{
    struct channels_pair *p = ctx;
    return p->sides[0].downs && p->sides[1].downs;
}

/* As of a wallet that is loaded or unlocked later: from then on it is the default. */
static void a_session_ends_when_another_identity_is_the_default(void **state)
{
    static struct other_identity other;
    struct channels_pair p;
    (void)state;
    channels_pair_init(&p);
    channels_pair_open(&p);
    channels_pair_start(&p);
    channels_pair_connect(&p);
    put_before(&p.sides[0], &other);
    channels_pair_wait(both_are_down, &p);
    assert_int_equal(p.sides[1].why, DCHAN_CLOSED_CLEAN);
    channels_pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_up_to_half_an_hour),
        cmocka_unit_test(a_pause_is_kept_unless_the_user_asks),
        cmocka_unit_test(an_answer_that_does_not_come_is_waited_for_five_seconds),
        cmocka_unit_test(who_is_nowhere_is_looked_for),
        cmocka_unit_test(what_may_be_dialled),
        cmocka_unit_test(few_are_dialled_at_a_time),
        cmocka_unit_test(contacts_are_kept_unless_the_user_disconnects),
        cmocka_unit_test(why_a_peer_turned_us_away_is_told),
        cmocka_unit_test(somebody_else_at_the_address_gets_no_session),
        cmocka_unit_test(a_dial_ends_when_another_identity_is_chosen),
        cmocka_unit_test(a_session_ends_when_another_identity_is_the_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
