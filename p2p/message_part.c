#include "p2p/message_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"

struct message_part {
    struct channels *c;
    struct messages *m;
    struct event *later_ev; /* what the pace holds back */
    struct message_part_ops ops;
    struct message_diversion other; /* take NULL: none */
};

static void take(void *ctx, const struct dchan_msg *msg);

static const struct dchan_handler handlers[] = {
    { DCHAN_M_SEND, DCHAN_M_READ, take },
};

static struct message_part *part_of(struct channels *c) { return channels_part(c, handlers); }

/* --- what the machine asks --- */

static enum err send_to(void *session, const struct dchan_msg *msg)
{
    return chan_peer_send(session, msg);
}

static bool is_slow(void *session) { return chan_peer_is_slow(session); }

/* Unless the user has said that it shall be left alone. */
static bool dial(void *ctx, uint64_t id)
{
    struct message_part *part = ctx;
    struct contact *contact = contacts_by_id(channels_contacts(part->c), id);
    struct chan_peer *p = contact ? channels_peer_of(part->c, contact) : NULL;
    if (p && !chan_peer_is_quiet(p))
        chan_peer_dial(p, false);
    return contact != NULL;
}

static uint64_t unix_now(void *ctx)
{
    (void)ctx;
    return (uint64_t)clock_now_ms();
}

static bool tell(void *ctx, const struct message_news *news)
{
    const struct message_part *part = ctx;
    return part->ops.tell(part->ops.ctx, news);
}

static uint64_t told(void *ctx)
{
    const struct message_part *part = ctx;
    return part->ops.told(part->ops.ctx);
}

static void later(void *ctx, uint64_t ms)
{
    const struct message_part *part = ctx;
    const struct timeval after = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
    if (!event_pending(part->later_ev, EV_TIMEOUT, NULL))
        event_add(part->later_ev, &after);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct message_part *part = arg;
    (void)fd;
    (void)what;
    messages_resume(part->m, channels_now(part->c));
}

/* --- who is there --- */

static void fill_contact(struct message_peer *peer, const struct contact *contact)
{
    peer->contact = contact->id;
    peer->refused = !contact->policy.messages;
    memcpy(peer->key, contact->key, sizeof peer->key);
}

/* A stranger's limits go by where its bytes come from, which it has proved by the handshake. */
static void fill_prefix(struct message_peer *peer, struct chan_peer *p)
{
    struct chan_peer_info info;
    struct netaddr from;
    chan_peer_get_info(p, &info);
    if (!netaddr_parse(&from, info.address, 0, NULL))
        memcpy(peer->prefix, from.ip, sizeof peer->prefix);
}

static struct message_peer describe(struct chan_peer *p)
{
    const struct channel_identity *ours = chan_peer_identity(p);
    const struct contact *contact = chan_peer_contact(p);
    struct message_peer peer = { .contact = 0 };
    memcpy(peer.key, chan_peer_key(p), sizeof peer.key);
    memcpy(peer.ours, ours->key.pub, sizeof peer.ours);
    if (contact)
        fill_contact(&peer, contact);
    else
        fill_prefix(&peer, p);
    return peer;
}

static void up(void *ctx, struct chan_peer *p)
{
    struct message_part *part = ctx;
    void **slot = chan_peer_slot(p, part);
    const struct message_peer peer = describe(p);
    *slot = messages_up(part->m, *slot, &peer, p, channels_now(part->c));
}

static void down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct message_part *part = ctx;
    void **slot = chan_peer_slot(p, part);
    (void)closing;
    if (*slot)
        messages_down(part->m, *slot, p);
    *slot = NULL;
}

void message_part_divert(struct message_part *p, const struct message_diversion *d)
{
    p->other = *d;
}

static bool is_diverted(const struct message_part *part, const struct contact *contact,
                        const struct dchan_msg *msg)
{
    if (msg->type != DCHAN_M_SEND || !part->other.take || !contact || !contact->policy.messages)
        return false;
    const struct span type = msg->m_send.content_type;
    return type.len == strlen(part->other.content_type) &&
           memcmp(type.data, part->other.content_type, type.len) == 0;
}

/* Whether it is a contact, and what it may do, may have changed since. */
static void take(void *ctx, const struct dchan_msg *msg)
{
    struct chan_peer *p = ctx;
    struct message_part *part = part_of(chan_peer_channels(p));
    void **slot = chan_peer_slot(p, part);
    const struct contact *contact = chan_peer_contact(p);
    if (is_diverted(part, contact, msg)) {
        part->other.take(part->other.ctx, p, &msg->m_send);
        return;
    }
    if (msg->type == DCHAN_M_ACK && contact && part->other.acked)
        part->other.acked(part->other.ctx, p, msg->m_receipt.id);
    if (!*slot || messages_contact(*slot) != (contact ? contact->id : 0)) {
        up(part, p);
    } else if (contact) {
        const struct message_peer peer = describe(p);
        messages_change(*slot, &peer);
    }
    messages_take(part->m, *slot, msg, channels_now(part->c));
}

static void tick(void *ctx, uint64_t now_ms)
{
    messages_tick(((struct message_part *)ctx)->m, now_ms);
}

static void contact_gone(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    messages_forget(((struct message_part *)ctx)->m, key);
}

/* --- life --- */

enum err message_part_new(struct message_part **out, struct channels *c,
                          const struct messages_limits *limits,
                          const struct message_part_ops *ops, struct error *e)
{
    struct message_part *part = xcalloc(1, sizeof *part);
    const struct messages_ops asks = { send_to, is_slow, dial, unix_now, tell, told, later,
                                       part };
    *part = (struct message_part){ .c = c, .ops = *ops };
    part->later_ev = xcheck(event_new(channels_base(c), -1, 0, on_later, part));
    const enum err rc = messages_new(&part->m, channels_store(c), limits, &asks, e);
    if (!rc)
        channels_add_part(c, &(struct channel_part){
            .handlers = handlers, .n_handlers = 1,
            .features = { .offered = 1u << DCHAN_MESSAGES },
            .up = up, .down = down, .tick = tick, .contact_gone = contact_gone, .ctx = part });
    else
        message_part_free(part);
    *out = rc ? NULL : part;
    return rc;
}

size_t message_part_memory(const struct message_part *part)
{
    struct messages_stats stats;
    messages_get_stats(part->m, &stats);
    return stats.memory;
}

void message_part_free(struct message_part *part)
{
    if (!part)
        return;
    messages_free(part->m);
    event_free(part->later_ev);
    free(part);
}

/* --- what others ask --- */

struct asked {
    struct channels *c;
    struct channels_request *r;
};

static struct asked *ask_new(struct channels *c, struct channels_request *r)
{
    struct asked *a = xmalloc(sizeof *a);
    *a = (struct asked){ c, r };
    return a;
}

static void answer(struct asked *a, enum err rc, const struct error *e)
{
    if (channels_is_waiting(a->c, a->r))
        channels_answer(a->c, a->r, rc, e);
    free(a);
}

static void on_sent(void *ctx, enum err rc, const struct error *e, uint64_t number,
                    const uint8_t id[MESSAGE_ID_SIZE])
{
    struct asked *a = ctx;
    struct message_sending *s = (struct message_sending *)a->r;
    if (channels_is_waiting(a->c, a->r)) {
        s->number = number;
        memcpy(s->id, id, sizeof s->id);
    }
    answer(a, rc, e);
}

static struct contact *whose(struct channels *c, const char *text, struct error *e)
{
    struct contact *contact = contacts_find(channels_contacts(c), text);
    if (!contact)
        contact_unknown(text, e);
    else if (!contact->has_key)
        error_set(e, ERR_NOTFOUND, "the key of \"%.80s\" is not known yet: connect to it", text);
    return contact && contact->has_key ? contact : NULL;
}

void message_part_send(struct channels *c, struct channels_request *r)
{
    struct message_sending *s = (struct message_sending *)r;
    struct message_part *part = part_of(c);
    struct error e = { .code = OK };
    struct contact *contact = whose(c, s->contact, &e);
    struct chan_peer *p = contact ? channels_peer_of(c, contact) : NULL;
    if (!contact) {
        channels_answer(c, r, e.code, &e);
        return;
    }
    fill_contact(&s->draft.to, contact);
    if (p) {
        memcpy(s->draft.to.ours, chan_peer_identity(p)->key.pub, sizeof s->draft.to.ours);
        chan_peer_dial(p, true);
    }
    struct asked *a = ask_new(c, r);
    const enum err rc = messages_send(part->m, &s->draft, on_sent, a, channels_now(c), &e);
    if (rc)
        answer(a, rc, &e);
}

static void on_marked(void *ctx, enum err rc, const struct error *e) { answer(ctx, rc, e); }

void message_part_mark(struct channels *c, struct channels_request *r)
{
    const struct message_marking *k = (const struct message_marking *)r;
    struct error e = { .code = OK };
    struct asked *a = ask_new(c, r);
    const enum err rc =
        messages_mark_read(part_of(c)->m, k->number, k->receipt, on_marked, a, &e);
    if (rc)
        answer(a, rc, &e);
}

void message_part_show(struct channels *c, void *showing)
{
    struct message_showing *s = showing;
    struct message_part *part = part_of(c);
    messages_get_stats(part->m, &s->stats);
    for (size_t i = 0; i < s->n; i++) {
        struct message_shown *m = &s->all[i];
        const struct contact *contact =
            m->head.contact ? contacts_by_id(channels_contacts(c), m->head.contact)
                            : contacts_by_key(channels_contacts(c), m->head.key, NULL);
        snprintf(m->who, sizeof m->who, "%s", contact ? contact->alias : "");
        if (m->head.state == MESSAGE_STATE_QUEUED && messages_is_in_flight(part->m, &m->head))
            m->head.state = MESSAGE_STATE_SENT;
    }
}

void message_part_find(struct channels *c, void *ctx)
{
    struct message_whose *w = ctx;
    const struct contact *contact = contacts_find(channels_contacts(c), w->contact);
    w->found = contact != NULL;
    if (!contact)
        return;
    w->id = contact->id;
    memcpy(w->key, contact->key, sizeof w->key);
}
