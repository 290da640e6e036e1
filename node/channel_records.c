#include <config.h>

#include "node/channel_records.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/bca_store.h"
#include "p2p/successor_part.h"

struct channel_records {
    struct bca_store *store;
    void (*look_for)(void *node, const uint8_t key[33]);
    void *node;
    struct channels *channels;
    bool any_address;
};

/* --- a record ------------------------------------------------------------------------------- */

/* False: none, or it could not be read, which says nothing. raw is initialized. */
static bool find(struct channel_records *cr, const uint8_t *key, struct buf *raw,
                 struct bca_record *out)
{
    struct error e;
    bool found = false;
    if (cr->store && bca_store_find(cr->store, key, raw, NULL, &found, &e))
        LOG_LIMITED(LOG_WARN, "direct channels: %s", e.text);
    return found && bca_record_read(out, buf_span(raw)) == BCA_RECORD_GOOD;
}

size_t channel_records_endpoints(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                                 struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX])
{
    struct channel_records *cr = ctx;
    const bool contact = contacts_by_key(channels_contacts(cr->channels), key, NULL) != NULL;
    struct bca_record r;
    struct buf raw;
    size_t n = 0;
    buf_init(&raw);
    if (find(cr, key, &raw, &r))
        for (size_t i = 0; i < r.n_endpoints; i++)
            if (bca_record_may_dial(&r, i, contact, cr->any_address))
                out[n++] = r.endpoints[i];
    buf_clear(&raw);
    return n;
}

void channel_records_look_for(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct channel_records *cr = ctx;
    if (cr->look_for)
        cr->look_for(cr->node, key);
}

void channel_records_contact(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], bool contact)
{
    struct channel_records *cr = ctx;
    if (cr->store)
        bca_store_set_contact(cr->store, key, contact);
}

/* --- news ----------------------------------------------------------------------------------- */

struct news {
    uint8_t key[IDENTITY_KEY_SIZE];
    bool has_place;
    struct contact_address place; /* the proved one */
    bool has_successor;
    struct dchan_successor successor;
    struct channels *c;           /* on the channel thread, as what follows */
    uint64_t contact;             /* that waits for a key at this place; 0: none */
};

/* NULL: the contact has another one, or none. */
static struct contact_address *find_place(struct contact *contact, const struct news *n)
{
    for (size_t i = 0; i < contact->n_addresses; i++)
        if (mem_equal_var(contact->addresses[i].address, n->place.address,
                          sizeof n->place.address))
            return &contact->addresses[i];
    return NULL;
}

static void match(struct contact *contact, void *ctx)
{
    struct news *n = ctx;
    if (!contact->has_key && !n->contact && find_place(contact, n))
        n->contact = contact->id;
}

static void key_stored(void *ctx, enum err rc, const struct error *e)
{
    struct news *n = ctx;
    if (rc)
        log_warn("contacts: %s", e->text);
    else
        channels_contact_changed(n->c, n->key);
    free(n);
}

/* A contact whose address this is gets the key. Takes n. */
static void give_key(struct channels *c, struct news *n)
{
    struct contacts *contacts = channels_contacts(c);
    struct contact next = *contacts_by_id(contacts, n->contact);
    struct error e;
    next.has_key = true;
    memcpy(next.key, n->key, sizeof next.key);
    find_place(&next, n)->port = n->place.port; /* it is said there where they listen */
    contact_put_first(&next, &n->place);
    n->c = c;
    if (!contacts_change(contacts, &next, key_stored, n, &e)) {
        log_info("direct channels: the key of contact \"%s\" is known now", next.alias);
        return;
    }
    log_warn("direct channels: contact \"%s\": %s", next.alias, e.text);
    free(n);
}

/* c NULL: they have stopped. */
static void take_news(struct channels *c, void *ctx)
{
    struct news *n = ctx;
    if (c && n->has_successor)
        successor_part_see(c, n->key, &n->successor);
    if (c && contacts_by_key(channels_contacts(c), n->key, NULL))
        channels_endpoints_changed(c, n->key);
    else if (c && n->has_place && contacts_keyless(channels_contacts(c)))
        contacts_each(channels_contacts(c), match, n);
    if (c && n->contact)
        give_key(c, n);
    else
        free(n);
}

/* On the thread that has put the record. */
static void on_news(void *ctx, const struct bca_news *news)
{
    struct channel_records *cr = ctx;
    struct news *n = xcalloc(1, sizeof(*n));
    struct bca_record r;
    struct buf raw;
    buf_init(&raw);
    memcpy(n->key, news->key, sizeof n->key);
    const bool found = find(cr, news->key, &raw, &r);
    n->has_place = found && r.n_endpoints;
    n->has_successor = found && r.has_successor;
    if (n->has_successor)
        n->successor = r.successor;
    if (n->has_place) {
        memcpy(n->place.address, r.endpoints[0].address, sizeof n->place.address);
        n->place.port = r.endpoints[0].port;
    }
    buf_clear(&raw);
    channels_post(cr->channels, take_news, n);
}

static void note_contact(struct contact *contact, void *ctx)
{
    if (contact->has_key)
        channel_records_contact(ctx, contact->key, true);
}

void channel_records_attach(struct channel_records *cr, struct channels *channels)
{
    cr->channels = channels;
    if (!cr->store)
        return;
    contacts_each(channels_contacts(channels), note_contact, cr);
    bca_store_listen(cr->store, on_news, cr);
}

struct channel_records *channel_records_new(const struct rpc_env *env, bool any_address)
{
    struct channel_records *cr = xcalloc(1, sizeof(*cr));
    *cr = (struct channel_records){ .store = env->records, .look_for = env->look_for_record,
                                    .node = env->node, .any_address = any_address };
    return cr;
}

void channel_records_free(struct channel_records *cr) { free(cr); }
