/*
 * Payment channels of who is no contact (-paychannelstrangers): they may pay us, within limits of
 * their own. Such a payer is its key together with the identity of ours it talks to; in a channel a
 * number that follows from both stands for the contact that it has not, with the highest bit set,
 * which numbers of contacts never have. A channel keeps it when the payer becomes a contact.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "p2p/netaddr.h"

#define STRANGER (UINT64_C(1) << 63)
#define STRANGERS_MAX 1024 /* of whom it is known what they have asked for */
#define HOUR_S 3600

bool paychans_is_stranger(uint64_t party) { return party & STRANGER; }

static uint64_t number_of(const uint8_t theirs[EC_PUBKEY_SIZE], const uint8_t ours[EC_PUBKEY_SIZE])
{
    uint8_t both[2 * EC_PUBKEY_SIZE], digest[32];
    memcpy(both, theirs, EC_PUBKEY_SIZE);
    memcpy(both + EC_PUBKEY_SIZE, ours, EC_PUBKEY_SIZE);
    sha256(digest, both, sizeof both);
    return le64_get(digest) | STRANGER;
}

uint64_t paychans_party(struct paychans *pc, struct chan_peer *p, const uint8_t *id)
{
    const struct contact *contact = chan_peer_contact(p);
    const struct held *h = id ? paychans_by_id(pc, id) : NULL;
    if (h && paychans_is_stranger(h->contact) && paychans_peer(h) == p)
        return h->contact;
    return contact ? contact->id
                   : number_of(chan_peer_key(p), chan_peer_identity(p)->key.pub);
}

struct chan_peer *paychans_peer_of(struct paychans *pc, uint64_t party,
                                   const uint8_t theirs[EC_PUBKEY_SIZE],
                                   const uint8_t ours[EC_PUBKEY_SIZE])
{
    struct contact *contact = contacts_by_id(channels_contacts(pc->channels), party);
    struct chan_peer *p = paychans_is_stranger(party) ? channels_find(pc->channels, theirs)
                          : contact ? channels_peer_of(pc->channels, contact)
                                    : NULL;
    /* also when it has moved to a later identity of ours since (spec channels 2.7) */
    const bool same = p && channels_key_leads_to(pc->channels, ours,
                                                 chan_peer_identity(p)->key.pub);
    return same ? p : NULL;
}

/* --- limits --- */

/* Where its bytes come from, which the handshake has proved. After a restart it is not known of old
 * channels; their number in all is limited. */
void paychans_note_source(struct held *h, struct chan_peer *p)
{
    struct chan_peer_info info;
    struct netaddr from;
    chan_peer_get_info(p, &info);
    h->has_source = !netaddr_parse(&from, info.address, 0, NULL);
    if (h->has_source)
        memcpy(h->source, from.ip, sizeof h->source);
}

bool paychans_source_has_room(const struct paychans *pc, struct chan_peer *p)
{
    struct held asking = { .has_source = false };
    unsigned n = 0;
    paychans_note_source(&asking, p);
    for (size_t i = 0; i < pc->n; i++) {
        const struct held *h = pc->all[i];
        n += h->c.role == PAYCHAN_PAYEE && h->c.state == R_ACCEPTED && h->has_source &&
             paychans_is_stranger(h->contact) &&
             memcmp(h->source, asking.source, sizeof h->source) == 0;
    }
    return asking.has_source && n < pc->config.strangers_per_48;
}

/* Keys are nearly free: of those who asked longest ago nothing is known any more. */
bool paychans_forget_opens(struct paychans *pc)
{
    const uint64_t now = (uint64_t)clock_now();
    size_t n = 0, strangers = 0;
    for (size_t i = 0; i < pc->n_opens; i++) {
        const struct opens *o = &pc->opens[i];
        const bool stranger = paychans_is_stranger(o->contact);
        if (stranger && (now - o->since >= HOUR_S || now < o->since))
            continue;
        strangers += stranger;
        pc->opens[n++] = *o;
    }
    pc->n_opens = n;
    return strangers < STRANGERS_MAX;
}
