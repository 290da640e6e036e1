#include <config.h>

#include "p2p/successor_part.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "p2p/contact_successor.h"
#include "p2p/ratelimit.h"

#define PREFIX 'k'
#define KEY_SIZE (1 + IDENTITY_KEY_SIZE + 8)

/* One of ours. */
struct own_statement {
    struct dchan_successor s;
    char name[CHANNEL_IDENTITY_NAME_MAX + 1]; /* of the old identity */
};

struct successor_part {
    struct channels *c;
    struct successor_part_ops ops;
    struct ratelimit checks; /* of records; each session has its own */
    struct own_statement *own;
    size_t n_own;
    bool writing; /* one of ours is on its way: its number must not get another content */
};

/* One that goes to the disk. */
struct storing {
    struct successor_part *part;
    uint64_t contact;
    struct dchan_successor statement;
    bool under_old; /* the session it came in */
};

static void take(void *ctx, const struct dchan_msg *m);

static const struct dchan_handler handlers[] = { { DCHAN_SUCCESSOR, DCHAN_SUCCESSOR, take } };

static void tell(struct successor_part *part, const struct contact *contact,
                 const struct dchan_successor *s, bool followed)
{
    log_info("direct channels: contact \"%s\" %s", contact->alias,
             followed ? "has another key from now on, as it had announced"
                      : "announces another key: see contactlist, contactset takes it");
    if (part->ops.tell)
        part->ops.tell(part->ops.ctx, contact, s, followed);
}

/* --- following ------------------------------------------------------------------------------ */

static void followed(void *ctx, enum err rc, const struct error *e)
{
    struct storing *st = ctx;
    struct channels *c = st->part->c;
    const struct contact *contact = contacts_by_id(channels_contacts(c), st->contact);
    if (rc) {
        log_warn("direct channels: %s", e->text);
    } else if (contact) {
        tell(st->part, contact, &st->statement, true);
        channels_contact_changed(c, st->statement.old_key);
        channels_contact_changed(c, st->statement.new_key);
    }
    free(st);
}

/* Only in a session under the old key, which ends when that is revoked. */
static bool may_follow(const struct storing *st, const struct contact *contact)
{
    struct contact_heir heir = { .torn = false };
    bool torn = false;
    for (size_t i = 0; i < contact->n_statements; i++) {
        contact_heir_get(contact, i, &heir);
        torn |= heir.torn && mem_equal_var(heir.statement.old_key, st->statement.old_key,
                                           IDENTITY_KEY_SIZE);
    }
    return contact->policy.follow_successor && st->under_old && !torn && contact->has_key &&
           mem_equal_var(contact->key, st->statement.old_key, sizeof contact->key);
}

static void stored(void *ctx, enum err rc, const struct error *e)
{
    struct storing *st = ctx;
    struct contacts *contacts = channels_contacts(st->part->c);
    const struct contact *contact = contacts_by_id(contacts, st->contact);
    struct error why;
    if (rc || !contact) {
        if (rc)
            log_warn("direct channels: %s", e->text); /* it is sent again in the next session */
        free(st);
        return;
    }
    tell(st->part, contact, &st->statement, false);
    struct contact moved = *contact;
    enum err fails = may_follow(st, contact) ? OK : ERR_NOTFOUND;
    if (!fails)
        fails = contact_follow(&moved, st->statement.new_key, &why);
    if (!fails)
        fails = contacts_change(contacts, &moved, followed, st, &why);
    if (fails)
        free(st);
}

/* --- receiving ------------------------------------------------------------------------------ */

/* Whose key it speaks of, as somebody says who has it or its successor; NULL: nobody's. */
static const struct contact *whose(struct channels *c, const uint8_t *teller,
                                   const struct dchan_successor *s)
{
    struct contacts *contacts = channels_contacts(c);
    bool former = false;
    const struct contact *contact = contacts_by_key(contacts, s->old_key, &former);
    if (!contact || !(mem_equal_var(teller, s->old_key, IDENTITY_KEY_SIZE) ||
                      mem_equal_var(teller, s->new_key, IDENTITY_KEY_SIZE)))
        return NULL;
    const struct contact *other = contacts_by_key(contacts, s->new_key, &former);
    return other && other != contact ? NULL : contact;
}

static void init_checks(const struct successor_part *part, struct ratelimit *r,
                        uint64_t per_second)
{
    ratelimit_init(r, per_second * 1000, SUCCESSOR_CHECKS_BURST, SUCCESSOR_CHECKS_BURST,
                   (int64_t)channels_now(part->c));
}

/* Who floods in a session must not keep the word of others from us. */
static struct ratelimit *checks_of(struct successor_part *part, struct chan_peer *p)
{
    void **slot = chan_peer_slot(p, part);
    if (!*slot) {
        *slot = xcalloc(1, sizeof(struct ratelimit));
        init_checks(part, *slot, SUCCESSOR_CHECKS_PER_S);
    }
    return *slot;
}

enum teller { TELLER_SESSION, TELLER_RECORD };

static void see(struct successor_part *part, const uint8_t *key, enum teller teller,
                struct ratelimit *checks, const struct dchan_successor *s)
{
    struct channels *c = part->c;
    const struct contact *contact = whose(c, key, s);
    struct error e = { .code = OK };
    if (!contact || contact_has_statement(contact, s) || channels_is_own_key(c, s->new_key) ||
        !ratelimit_take(checks, 1, (int64_t)channels_now(c)) ||
        !dchan_successor_verify(s, (uint64_t)clock_now()))
        return;
    struct contact next = *contact;
    struct storing *st = xcalloc(1, sizeof(*st));
    *st = (struct storing){ .part = part, .contact = contact->id, .statement = *s };
    st->under_old = teller == TELLER_SESSION && mem_equal_var(key, s->old_key, IDENTITY_KEY_SIZE);
    enum err rc = contact_add_statement(&next, s, &e);
    if (!rc)
        rc = contacts_change(channels_contacts(c), &next, stored, st, &e);
    if (!rc)
        return;
    LOG_LIMITED(LOG_WARN, "direct channels: %s", e.text);
    free(st);
}

static void take(void *ctx, const struct dchan_msg *m)
{
    struct successor_part *part = channels_part(chan_peer_channels(ctx), handlers);
    see(part, chan_peer_key(ctx), TELLER_SESSION, checks_of(part, ctx), &m->successor);
}

void successor_part_see(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                        const struct dchan_successor *s)
{
    struct successor_part *part = channels_part(c, handlers);
    if (part)
        see(part, key, TELLER_RECORD, &part->checks, s);
}

/* --- our own -------------------------------------------------------------------------------- */

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return mem_equal_var(a, b, IDENTITY_KEY_SIZE);
}

static const struct dchan_successor *own_of(const struct successor_part *part, const uint8_t *key)
{
    for (size_t i = 0; i < part->n_own; i++)
        if (same_key(part->own[i].s.old_key, key))
            return &part->own[i].s;
    return NULL;
}

/* It holds from now on. */
static void add_own(struct successor_part *part, const struct own_statement *own)
{
    struct channels_heir heir = { .until = (int64_t)own->s.issued + SUCCESSOR_SENT_S };
    part->own = xrealloc(part->own, (part->n_own + 1) * sizeof(*part->own));
    part->own[part->n_own++] = *own;
    memcpy(heir.old_key, own->s.old_key, sizeof heir.old_key);
    memcpy(heir.new_key, own->s.new_key, sizeof heir.new_key);
    memcpy(heir.name, own->name, sizeof heir.name);
    channels_add_heir(part->c, &heir);
}

/* Each as its own message; what the session cannot take comes with the next one. */
static void send_own(struct successor_part *part, struct chan_peer *p)
{
    const uint8_t *key = chan_peer_identity(p)->key.pub;
    const int64_t now = clock_now();
    for (size_t i = 0; chan_peer_contact(p) && i < part->n_own; i++) {
        const struct dchan_msg m = { .type = DCHAN_SUCCESSOR, .successor = part->own[i].s };
        const bool recent = now < (int64_t)m.successor.issued + SUCCESSOR_SENT_S;
        if (same_key(m.successor.old_key, key) || (recent && same_key(m.successor.new_key, key)))
            (void)!chan_peer_send(p, &m);
    }
}

/* --- contacts that have moved --- */

struct moving {
    struct channels *c;
    uint8_t key[IDENTITY_KEY_SIZE]; /* of the contact */
};

/* Failed: the contact is as it was, and moves in its next session. */
static void on_moved(void *ctx, enum err rc, const struct error *e)
{
    struct moving *m = ctx;
    if (rc)
        log_warn("direct channels: %s", e->text);
    channels_contact_changed(m->c, m->key);
    free(m);
}

/* It has a session under an identity that follows its own. */
static void note_moved(struct successor_part *part, struct chan_peer *p)
{
    const struct channel_identity *id = chan_peer_identity(p);
    const struct contact *contact = chan_peer_contact(p);
    struct error e = { .code = OK };
    const struct channel_identity *is = contact ? channels_identity_for(part->c, contact) : NULL;
    if (!contact || (is && same_key(is->key.pub, id->key.pub)))
        return;
    struct contact next = *contact;
    struct moving *m = xcalloc(1, sizeof(*m));
    m->c = part->c;
    memcpy(m->key, contact->key, sizeof m->key);
    memcpy(next.identity, id->name, sizeof next.identity);
    if (contacts_change(channels_contacts(part->c), &next, on_moved, m, &e)) {
        LOG_LIMITED(LOG_WARN, "direct channels: %s", e.text);
        free(m);
        return;
    }
    log_info("direct channels: contact \"%s\" knows us by identity %s now", next.alias, id->name);
}

static void up(void *ctx, struct chan_peer *p)
{
    note_moved(ctx, p);
    send_own(ctx, p);
}

static void down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    void **slot = chan_peer_slot(p, ctx);
    (void)closing;
    free(*slot);
    *slot = NULL;
}

static void send_if_up(struct chan_peer *p, void *part)
{
    if (chan_peer_is_up(p))
        send_own(part, p);
}

/* --- making one --- */

struct made {
    struct successor_part *part;
    struct successor_making *asker;
    struct own_statement own;
    size_t pins;      /* contacts that are being written; one more while they are handed over */
    enum err rc;      /* of the first that failed */
    struct error e;
};

static void on_made(void *ctx, enum err rc, const struct error *e)
{
    struct made *made = ctx;
    struct channels *c = made->part->c;
    made->part->writing = false;
    if (!rc) {
        add_own(made->part, &made->own);
        channels_each_peer(c, send_if_up, made->part);
    }
    if (channels_is_waiting(c, &made->asker->r)) {
        made->asker->made = made->own.s;
        channels_answer(c, &made->asker->r, rc, e);
    }
    free(made);
}

static void store_own(struct channels *c, struct made *made)
{
    const struct span name = span_of(made->own.name, strlen(made->own.name));
    uint8_t key[KEY_SIZE] = { PREFIX };
    struct dchan_write *w = dchan_write_new(channels_store(c));
    struct buf b;
    buf_init(&b);
    memcpy(key + 1, made->own.s.old_key, IDENTITY_KEY_SIZE);
    be64_put(key + 1 + IDENTITY_KEY_SIZE, made->own.s.seq);
    dchan_successor_write(&b, &made->own.s);
    buf_put_v8(&b, name);
    dchan_write_put(w, key, sizeof key, b.data, b.len);
    buf_clear(&b);
    dchan_store_commit(channels_store(c), w, on_made, made);
}

/* A contact that fails leaves everything as it was, but for names that say what held before. */
static void on_pinned(void *ctx, enum err rc, const struct error *e)
{
    struct made *made = ctx;
    if (rc && !made->rc) {
        made->rc = rc;
        made->e = *e;
    }
    if (--made->pins)
        return;
    if (made->rc)
        on_made(made, made->rc, &made->e);
    else
        store_own(made->part->c, made);
}

static void pin(struct contact *contact, void *ctx)
{
    struct made *made = ctx;
    struct channels *c = made->part->c;
    const struct channel_identity *id = channels_identity_for(c, contact);
    struct contact next = *contact;
    struct error e = { .code = OK };
    if (*contact->identity || !id || !same_key(id->key.pub, made->own.s.old_key))
        return;
    memcpy(next.identity, id->name, sizeof next.identity);
    made->pins++;
    const enum err rc = contacts_change(channels_contacts(c), &next, on_pinned, made, &e);
    if (rc)
        on_pinned(made, rc, &e);
}

/* Contacts under the default name the old identity from now on, then the statement is written. */
static void begin_storing(struct channels *c, struct made *made)
{
    made->part->writing = true;
    made->pins = 1;
    contacts_each(channels_contacts(c), pin, made);
    on_pinned(made, OK, NULL);
}

static enum err make(struct successor_part *part, const struct successor_making *asker,
                     struct own_statement *own, struct error *e)
{
    struct dchan_successor *s = &own->s;
    const struct channel_identity *ids[2];
    const char *names[2] = { asker->identity, asker->successor };
    for (int i = 0; i < 2; i++)
        if (!*names[i] || !(ids[i] = channels_identity_named(part->c, names[i])))
            return error_set(e, ERR_NOTFOUND, "there is no identity \"%.64s\" now: its wallet is "
                             "not loaded, or locked", names[i]);
    const struct dchan_successor *before = own_of(part, ids[0]->key.pub);
    if (before && !same_key(before->new_key, ids[1]->key.pub))
        return error_set(e, ERR_EXISTS, "%s has named another successor: contacts would take a "
                         "second one for a theft", names[0]);
    if (own_of(part, ids[1]->key.pub))
        return error_set(e, ERR_RANGE, "%s has a successor itself", names[1]);
    if (part->writing)
        return error_set(e, ERR_BUSY, "another statement is being written");
    if (part->n_own >= SUCCESSOR_OWN_MAX)
        return error_set(e, ERR_RANGE, "too many statements");
    *s = (struct dchan_successor){ .seq = 1, .issued = (uint32_t)clock_now() };
    if (before)
        *s = *before;
    else if (dchan_successor_sign(s, &ids[0]->key, &ids[1]->key))
        return error_set(e, ERR_AUTH, "the two keys cannot sign: they are one, or locked");
    memcpy(own->name, ids[0]->name, sizeof own->name);
    return OK;
}

void successor_part_make(struct channels *c, struct channels_request *r)
{
    struct successor_part *part = channels_part(c, handlers);
    struct successor_making *asker = (struct successor_making *)r;
    struct made *made = xcalloc(1, sizeof(*made));
    struct error e = { .code = OK };
    made->part = part;
    made->asker = asker;
    const enum err rc = make(part, asker, &made->own, &e);
    if (!rc && !own_of(part, made->own.s.old_key)) {
        begin_storing(c, made);
        return;
    }
    asker->made = made->own.s;
    channels_answer(c, r, rc, &e);
    free(made);
}

bool successor_part_of(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                       struct dchan_successor *out)
{
    const struct successor_part *part = channels_part(c, handlers);
    const struct dchan_successor *found = part ? own_of(part, key) : NULL;
    for (size_t i = 0; part && !found && i < part->n_own; i++)
        if (same_key(part->own[i].s.new_key, key))
            found = &part->own[i].s;
    if (found)
        *out = *found;
    return found != NULL;
}

/* --- opening -------------------------------------------------------------------------------- */

static void read_own(struct reader *r, struct own_statement *own)
{
    dchan_successor_read(r, &own->s);
    if (!r->left)
        return;
    const struct span name = read_v8(r, CHANNEL_IDENTITY_NAME_MAX);
    if (name.len)
        memcpy(own->name, name.data, name.len);
}

static enum err load_own(struct successor_part *part, struct error *e)
{
    const uint8_t prefix = PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(part->c)));
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        struct own_statement own = { .name = "" };
        struct reader r;
        if (!key.len || key.data[0] != prefix)
            break;
        reader_init(&r, value.data, value.len);
        read_own(&r, &own);
        if (!reader_done(&r) || part->n_own >= SUCCESSOR_OWN_MAX)
            rc = error_set(e, ERR_CORRUPT, "a statement about a successor of ours is damaged");
        else
            add_own(part, &own);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

enum err successor_part_new(struct successor_part **out, struct channels *c,
                            const struct successor_part_ops *ops, struct error *e)
{
    struct successor_part *part = xcalloc(1, sizeof(*part));
    part->c = c;
    part->ops = *ops;
    init_checks(part, &part->checks, SUCCESSOR_RECORDS_PER_S);
    const enum err rc = load_own(part, e);
    if (rc) {
        successor_part_free(part);
        return rc;
    }
    channels_add_part(c, &(struct channel_part){ .handlers = handlers, .n_handlers = 1,
                                                 .up = up, .down = down, .ctx = part });
    *out = part;
    return OK;
}

void successor_part_free(struct successor_part *part)
{
    if (!part)
        return;
    free(part->own);
    free(part);
}
