/*
 * Identities of ours that are followed by others (spec channels 2.7, the sender's side): an old one
 * serves contacts that have not moved yet, for a limited time, and nobody else. A contact has moved
 * when a session with it came up under a later identity; that is written into the contact as its
 * identity. So the identity of a contact is never newer than what the contact has shown to know.
 */
#include "p2p/channels.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return mem_equal_var(a, b, IDENTITY_KEY_SIZE);
}

static const struct channels_heir *heir_of(const struct channels *c, const uint8_t *key)
{
    for (size_t i = 0; i < c->n_heirs; i++)
        if (same_key(c->heirs[i].old_key, key))
            return &c->heirs[i];
    return NULL;
}

void channels_add_heir(struct channels *c, const struct channels_heir *heir)
{
    if (heir_of(c, heir->old_key))
        return;
    c->heirs = xrealloc(c->heirs, (c->n_heirs + 1) * sizeof *c->heirs);
    c->heirs[c->n_heirs++] = *heir;
}

bool channels_is_followed(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    return heir_of(c, key) != NULL;
}

/* Nothing leads back: a key that has a successor is none (successor_part.h). */
bool channels_key_leads_to(const struct channels *c, const uint8_t from[IDENTITY_KEY_SIZE],
                           const uint8_t to[IDENTITY_KEY_SIZE])
{
    const struct channels_heir *heir;
    for (size_t i = 0; i <= c->n_heirs && !same_key(from, to); i++) {
        if (!(heir = heir_of(c, from)))
            return false;
        from = heir->new_key;
    }
    return same_key(from, to);
}

size_t channels_keys_before(const struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE],
                            uint8_t (*out)[IDENTITY_KEY_SIZE], size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_heirs && n < max; i++)
        if (channels_key_leads_to(c, c->heirs[i].old_key, key))
            memcpy(out[n++], c->heirs[i].old_key, IDENTITY_KEY_SIZE);
    return n;
}

static struct channel_identity *default_identity(const struct channels *c)
{
    for (size_t i = 0; i < c->n_ids; i++)
        if (!channels_is_followed(c, c->ids[i]->key.pub))
            return c->ids[i];
    return NULL;
}

/* The key of a name that is not there any more, as that of an identity which was revoked. */
static const uint8_t *key_named(const struct channels *c, const char *name)
{
    for (size_t i = 0; i < c->n_heirs; i++)
        if (strcmp(c->heirs[i].name, name) == 0)
            return c->heirs[i].old_key;
    return NULL;
}

/* The key that a contact is served under: passes over those whose time is over or that have gone.
 * NULL: there is none. */
static const uint8_t *key_for(const struct channels *c, const struct contact *contact)
{
    const struct channel_identity *id = *contact->identity
        ? channels_identity_named(c, contact->identity) : default_identity(c);
    const uint8_t *key = id ? id->key.pub : key_named(c, contact->identity);
    const struct channels_heir *heir = key ? heir_of(c, key) : NULL;
    for (size_t i = 0; heir && i <= c->n_heirs; i++) {
        if (channels_identity_of(c, key) && clock_now() < heir->until)
            break;
        key = heir->new_key;
        heir = heir_of(c, key);
    }
    return key;
}

struct channel_identity *channels_identity_for(const struct channels *c,
                                               const struct contact *contact)
{
    const uint8_t *key = key_for(c, contact);
    return key ? channels_identity_of(c, key) : NULL;
}

bool heirs_serve(const struct channels *c, const struct contact *contact, const uint8_t *our_key)
{
    const uint8_t *key = key_for(c, contact);
    return key && channels_key_leads_to(c, key, our_key);
}

enum err channels_check_choice(const struct channels *c, const char *name, struct error *e)
{
    const struct channel_identity *id = *name ? channels_identity_named(c, name) : NULL;
    if (id && channels_is_followed(c, id->key.pub))
        return error_set(e, ERR_RANGE, "identity \"%.64s\" has a successor and serves only "
                         "contacts that have not moved there yet", name);
    return OK;
}

/* --- sessions --- */

/* A contact that refuses our old key may know the new one already. */
void heirs_refused(struct chan_peer *p)
{
    struct channels *c = p->c;
    const struct channels_heir *heir = heir_of(c, p->identity->key.pub);
    struct channel_identity *next = heir ? channels_identity_of(c, heir->new_key) : NULL;
    if (next && chan_peer_contact(p) && !c->stopping)
        chan_peer_dial(peer_get(c, next, p->key), false);
}

struct chan_peer *channels_peer_tried(struct channels *c, struct contact *contact)
{
    struct chan_peer *p = channels_peer_of(c, contact);
    const struct channels_heir *heir = p ? heir_of(c, p->identity->key.pub) : NULL;
    for (size_t i = 0; heir && i < c->n_heirs; i++) {
        struct chan_peer *later = peer_find(c, heir->new_key, contact->key);
        if (later && (later->wanted || later->dial || later->newest))
            p = later;
        heir = heir_of(c, heir->new_key);
    }
    return p;
}

/* Strangers, contacts that have moved, and all when the time is over. */
void heirs_tick(struct channels *c)
{
    for (struct list_link *l = c->n_heirs ? list_first(&c->peers) : NULL; l;
         l = list_next(&c->peers, l)) {
        struct chan_peer *p = LIST_ITEM(l, struct chan_peer, link);
        if (!p->newest || p->newest->going || chan_peer_contact(p) ||
            !channels_is_followed(c, p->identity->key.pub))
            continue;
        p->wanted = p->renew = false;
        peer_end_all(p, DCHAN_RENEW);
    }
}
