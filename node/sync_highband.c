/*
 * Which peers announce blocks in compact form at once (spec p2p 3: sendcmpct): the three that
 * brought the last tips first, of which one chosen by us is kept.
 */
#include <string.h>

#include "node/sync_internal.h"

void highband_note_bringer(struct sync *s, const struct header_node *node, uint64_t peer)
{
    s->bringers[s->next_bringer++ % SOURCES_MAX] = (struct block_bringer){ node, peer };
}

static uint64_t bringer_of(const struct sync *s, const struct header_node *node)
{
    for (size_t i = 0; i < SOURCES_MAX; i++)
        if (s->bringers[i].node == node)
            return s->bringers[i].peer;
    return 0;
}

static void remove_at(struct sync *s, size_t at)
{
    s->n_highband--;
    memmove(&s->highband[at], &s->highband[at + 1],
            (s->n_highband - at) * sizeof(s->highband[0]));
}

void highband_peer_closed(struct sync *s, uint64_t peer)
{
    for (size_t i = s->n_highband; i-- > 0;)
        if (s->highband[i] == peer)
            remove_at(s, i);
}

static bool is_chosen(struct sync *s, uint64_t peer)
{
    const struct peer *p = net_peer_by_id(s->net, peer);
    return p && !peer_is_inbound(p);
}

/* Who makes room for the newcomer: the oldest, unless it alone was chosen by us and the newcomer
 * was not. */
static size_t place_to_free(struct sync *s, const struct peer *newcomer)
{
    unsigned chosen = 0;
    for (size_t i = 0; i < s->n_highband; i++)
        chosen += is_chosen(s, s->highband[i]);
    return peer_is_inbound(newcomer) && chosen == 1 && is_chosen(s, s->highband[0]) ? 1 : 0;
}

static void free_place(struct sync *s, const struct peer *newcomer)
{
    const size_t at = place_to_free(s, newcomer);
    struct peer *old = net_peer_by_id(s->net, s->highband[at]);
    if (old)
        peer_send_sendcmpct(old, false);
    remove_at(s, at);
}

void highband_tip_changed(struct sync *s, const struct header_node *tip)
{
    const uint64_t id = tip ? bringer_of(s, tip) : 0;
    struct peer *p = id ? net_peer_by_id(s->net, id) : NULL;
    if (!p || !s->options.compact_blocks || !peer_takes_compact(p) || !peer_serves_blocks(p))
        return;
    bool known = false;
    for (size_t i = 0; i < s->n_highband; i++)
        known |= s->highband[i] == id;
    highband_peer_closed(s, id); /* it moves to the end */
    if (s->n_highband == HIGHBAND_PEERS_MAX)
        free_place(s, p);
    s->highband[s->n_highband++] = id;
    if (!known)
        peer_send_sendcmpct(p, true);
}
