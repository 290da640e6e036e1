/*
 * A flush writes the coins in several batches under a marker that names where they stood and where
 * they go. When the marker is still there, any part of the entries may be old or new. Walking from
 * the old tip back to the fork with undo records and on to the new tip with blocks sets each coin
 * touched by either to its final state whatever it was before, because both walks write without
 * looking (connect.h).
 */
#include <config.h>

#include "base/log.h"
#include "chain/chain_internal.h"

static enum err find_block(struct chain *c, const struct block_hash *hash,
                           struct header_node **node, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    *node = header_index_find(c->index, hash);
    if (*node)
        return OK;
    return error_set(e, ERR_CORRUPT,
                     "the coins stand at block %s, which the block index does not know; "
                     "restart with -reindex",
                     hash_to_hex(hex, hash->b));
}

static enum err replay_transition(struct chain *c, struct header_node *old,
                                  struct header_node *new_tip, struct error *e)
{
    struct header_node *fork = old ? header_last_common(old, new_tip) : NULL;
    enum err rc = OK;
    for (struct header_node *node = old; node && node != fork && !rc; node = node->prev)
        rc = disconnect_block(&c->env, node, e);
    /* The genesis block has no effect on the coins. */
    for (int32_t height = fork ? fork->height + 1 : 1; height <= new_tip->height && !rc; height++)
        rc = replay_block(&c->env, header_ancestor(new_tip, height), e);
    return rc;
}

enum err recover_coins(struct chain *c, const struct coins_state *state, struct header_node **tip,
                       struct error *e)
{
    struct header_node *old = NULL;
    *tip = NULL;
    if (!state->in_transition)
        return state->has_best ? find_block(c, &state->best, tip, e) : OK;
    enum err rc = find_block(c, &state->new_best, tip, e);
    if (!rc && state->has_old)
        rc = find_block(c, &state->old_best, &old, e);
    if (rc)
        return rc;
    log_info("an unclean stop interrupted a flush: replaying from height %d to %d",
             old ? old->height : 0, (*tip)->height);
    if (c->h.status)
        c->h.status(c->h.ctx, "Replaying blocks...");
    rc = replay_transition(c, old, *tip, e);
    return rc ? rc : coins_flush(c->coins, &state->new_best, e);
}
