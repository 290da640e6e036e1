#include "tests/p2p/channels_pair.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "bca/work.h"
#include "p2p/channels_internal.h"
#include "tests/test.h"

#define PATIENCE_MS 120000 /* far more than it takes */

/* --- what the owner of channels says --- */

static int32_t on_height(void *ctx)
{
    (void)ctx;
    return 7;
}

static void on_look_for(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct channels_side *s = ctx;
    (void)key;
    atomic_fetch_add(&s->looked, 1);
}

static void on_session(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct channels_side *s = ctx;
    (void)p;
    if (closing)
        atomic_store(&s->why, (int)closing->why);
    atomic_fetch_add(closing ? &s->downs : &s->ups, 1);
}

static void on_release(struct channel_identity *id)
{
    struct channels_side *s = (struct channels_side *)
        (void *)((char *)id - offsetof(struct channels_side, identity));
    atomic_fetch_add(&s->released, 1);
}

/* --- one side --- */

void channels_side_init(struct channels_side *s)
{
    static const char *const here[] = { "[::1]:0" };
    *s = (struct channels_side){ .knows_other = true };
    s->config = (struct channels_config){
        .magic = { 0xda, 0xb5, 0xbf, 0xfa }, .regtest = true, .listen = true, .bind = { here, 1 },
        .agent = "test", .strangers = true, .strangers_unbound = true,
    };
}

void channels_side_open(struct channels_side *s, uint8_t secret)
{
    open_key_init(&s->key, secret);
    s->identity = (struct channel_identity){ .key = s->key.key, .name = "me", .refs = 1,
                                             .release = on_release };
    s->proof = (struct bca_policy){ .rules = bca_rules_get(BCA_NET_REGTEST) };
    s->ops = (struct channels_ops){ .proof = &s->proof, .height = on_height,
                                    .endpoints = s->ops.endpoints, .look_for = on_look_for,
                                    .session = on_session, .ctx = s };
    s->kv = kv_open_mem();
    assert_int_equal(dchan_store_new(&s->store, s->kv, NULL, NULL, NULL), OK);
    assert_int_equal(contacts_open(&s->contacts, s->store, NULL), OK);
    assert_int_equal(channels_new(&s->channels, &s->config, &s->ops, s->store, s->contacts, NULL),
                     OK);
    struct channel_identity *id = &s->identity;
    channels_set_identities(s->channels, &id, 1);
}

void channels_side_start(struct channels_side *s)
{
    struct error e = { .text = "" };
    if (channels_start(s->channels, &e))
        fail_msg("%s", e.text);
}

void channels_side_close(struct channels_side *s)
{
    if (!s->channels)
        return;
    channels_stop(s->channels);
    dchan_store_free(s->store);
    channels_free(s->channels);
    contacts_free(s->contacts);
    s->channels = NULL;
}

struct meeting {
    const struct channels_side *other;
    struct chan_peer_info *info;
    bool found;
};

static void meet(struct channels *c, void *ctx)
{
    struct meeting *m = ctx;
    struct contact contact = { .has_key = true, .n_addresses = 1, .alias = "other" };
    struct contact *made;
    memcpy(contact.key, m->other->key.key.pub, sizeof contact.key);
    contact.addresses[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    contact.addresses[0].port = channels_port(m->other->channels);
    contact.policy.messages = contact.policy.files = contact.policy.bare = true;
    m->found = contacts_add(channels_contacts(c), &contact, NULL, NULL, &made, NULL) == OK;
    channels_contact_changed(c, contact.key);
}

void channels_side_meet(struct channels_side *s, const struct channels_side *other)
{
    struct meeting m = { .other = other };
    assert_true(channels_call(s->channels, meet, &m));
    assert_true(m.found);
}

static void dial(struct channels *c, void *ctx)
{
    struct meeting *m = ctx;
    struct contact *contact =
        contacts_by_key(channels_contacts(c), m->other->key.key.pub, NULL);
    m->found = contact != NULL;
    if (contact)
        chan_peer_dial(channels_peer_of(c, contact), true);
}

void channels_side_dial(struct channels_side *s, const struct channels_side *other)
{
    struct meeting m = { .other = other };
    assert_true(channels_call(s->channels, dial, &m));
    assert_true(m.found);
}

static void look(struct channels *c, void *ctx)
{
    struct meeting *m = ctx;
    struct chan_peer *p = channels_find(c, m->other->key.key.pub);
    m->found = p != NULL;
    if (p)
        chan_peer_get_info(p, m->info);
}

bool channels_side_info(struct channels_side *s, const struct channels_side *other,
                        struct chan_peer_info *out)
{
    struct meeting m = { .other = other, .info = out };
    assert_true(channels_call(s->channels, look, &m));
    return m.found;
}

bool channels_side_is_up(struct channels_side *s, const struct channels_side *other)
{
    struct chan_peer_info info;
    return channels_side_info(s, other, &info) && info.state == CHAN_PEER_UP;
}

void channels_side_freeze(struct channels_side *s)
{
    atomic_store(&s->channels->frozen_ms, (uint64_t)clock_mono_ms());
}

/* Waits for the timers: who skips twice has them run twice. */
static void run_timers(struct channels *c, void *ctx)
{
    (void)ctx;
    channels_tick(c);
}

void channels_side_skip(struct channels_side *s, uint64_t ms)
{
    atomic_fetch_add(&s->channels->skew_ms, ms);
    assert_true(channels_call(s->channels, run_timers, NULL));
}

struct unanswered { struct channels_side *side; unsigned n; };

static void count_unanswered(struct channels *c, void *ctx)
{
    struct unanswered *u = ctx;
    u->n = 0;
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        u->n += conn->state == CONN_UP && !conn->going &&
                dchan_session_stats(conn->session).pongs == 0;
    }
}

static bool all_have_answered(void *ctx)
{
    struct unanswered *u = ctx;
    assert_true(channels_call(u->side->channels, count_unanswered, u));
    return u->n == 0;
}

void channels_side_await_pongs(struct channels_side *s)
{
    struct unanswered u = { .side = s };
    channels_pair_wait(all_have_answered, &u);
}

/* --- both --- */

void channels_pair_init(struct channels_pair *p)
{
    channels_side_init(&p->sides[0]);
    channels_side_init(&p->sides[1]);
}

void channels_pair_open(struct channels_pair *p)
{
    channels_side_open(&p->sides[0], 0x11);
    channels_side_open(&p->sides[1], 0x21);
}

void channels_pair_start(struct channels_pair *p)
{
    channels_side_start(&p->sides[0]);
    channels_side_start(&p->sides[1]);
    for (int i = 0; i < 2; i++)
        if (p->sides[i].knows_other)
            channels_side_meet(&p->sides[i], &p->sides[!i]);
}

static bool both_up(void *ctx)
{
    struct channels_pair *p = ctx;
    return channels_side_is_up(&p->sides[0], &p->sides[1]) &&
           channels_side_is_up(&p->sides[1], &p->sides[0]);
}

void channels_pair_connect(struct channels_pair *p)
{
    channels_side_dial(&p->sides[0], &p->sides[1]);
    channels_pair_wait(both_up, p);
}

void channels_pair_close(struct channels_pair *p)
{
    for (int i = 0; i < 2; i++)
        if (p->sides[i].channels)
            channels_stop(p->sides[i].channels);
    channels_side_close(&p->sides[0]);
    channels_side_close(&p->sides[1]);
}

void channels_pair_wait(bool (*holds)(void *ctx), void *ctx)
{
    const struct timespec moment = { 0, 1000000 };
    const int64_t end = clock_mono_ms() + PATIENCE_MS;
    while (!holds(ctx)) {
        assert_true(clock_mono_ms() < end);
        nanosleep(&moment, NULL);
    }
}
