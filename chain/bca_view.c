#include "chain/bca_view.h"

#include "chain/chain.h"
#include "chain/index_db.h"

static const enum bca_network networks[] = {
    [NETWORK_MAIN] = BCA_NET_MAIN,
    [NETWORK_TEST] = BCA_NET_TEST,
    [NETWORK_STN] = BCA_NET_STN,
    [NETWORK_REGTEST] = BCA_NET_REGTEST,
};

void bca_view_init(struct bca_view *v, struct chain *c)
{
    const enum bca_network network = networks[chain_get_params(c)->network];
    *v = (struct bca_view){ .chain = c,
                            .network = network,
                            .rules = bca_rules_get(network),
                            .place = { bca_view_find, v },
                            .spends = { bca_view_marker, v } };
    v->policy = (struct bca_policy){ .rules = v->rules,
                                     .min_sec = v->rules->min_sec,
                                     .min_conf = v->rules->min_conf,
                                     .chain = &v->place,
                                     .spends = &v->spends };
}

void bca_view_init_indexed(struct bca_view *v, struct chain *c)
{
    bca_view_init(v, c);
    v->spends.look_up = bca_view_marker_indexed;
}

static bool caught_up(struct chain *c)
{
    return !chain_is_initial_download(c) && !chain_is_importing(c);
}

/* tip may be NULL. */
static bool is_below(struct header_node *tip, const struct header_node *node)
{
    return tip && node->height <= tip->height && header_ancestor(tip, node->height) == node;
}

/* Of a header that is known and not on the active chain. */
static enum bca_place place_beside(struct header_index *index, struct header_node *node)
{
    if (atomic_load(&node->status) & HS_FAILED_MASK)
        return BCA_PLACE_NOT_ACTIVE;
    return is_below(header_index_best(index), node) ? BCA_PLACE_UNKNOWN : BCA_PLACE_NOT_ACTIVE;
}

enum bca_place bca_view_find(void *view, const uint8_t header[80], const struct block_hash *hash,
                             uint64_t *confirmations)
{
    (void)header;
    struct bca_view *v = view;
    struct chain *c = v->chain;
    struct header_index *index = chain_headers(c);
    /* Asked before the block is looked for: "caught up" must hold for the chain that is judged. */
    const bool synced = caught_up(c);
    struct header_node *node = header_index_find(index, hash);
    struct header_node *tip = header_index_tip(index);
    *confirmations = 0;
    if (!node)
        return synced ? BCA_PLACE_NOT_ACTIVE : BCA_PLACE_UNKNOWN;
    if (!is_below(tip, node))
        return place_beside(index, node);
    *confirmations = (uint64_t)(tip->height - node->height) + 1;
    v->block = node;
    return synced || *confirmations >= v->rules->min_conf ? BCA_PLACE_ACTIVE : BCA_PLACE_UNKNOWN;
}

/* Of one output, on the chain's thread. */
struct marker_question {
    const struct outpoint *marker;
    struct chain_tip tip;
    bool found;
    enum err rc;
    struct error *e;
};

static void ask_coins(struct chain *c, void *ctx)
{
    struct marker_question *q = ctx;
    struct coin coin;
    chain_get_tip(c, &q->tip);
    q->rc = coins_get(chain_coins(c), q->marker, &coin, &q->found, q->e);
}

/* A marker is missing because it was spent only where its own block is in the chain below. */
static enum bca_marker_state judge(const struct bca_view *v, const struct marker_question *q,
                                   bool synced)
{
    if (!is_below(q->tip.node, v->block))
        return BCA_MARKER_UNKNOWN;
    if (!q->found)
        return BCA_MARKER_SPENT;
    return synced ? BCA_MARKER_UNSPENT : BCA_MARKER_UNKNOWN;
}

/* A spend of the marker, in a chain. */
struct spend_search {
    struct header_index *index;
    struct header_node *tip;
    struct bca_view *view;
};

static bool see_spend(void *ctx, const struct block_hash *block, const struct txid *spender)
{
    const struct spend_search *s = ctx;
    struct header_node *node = header_index_find(s->index, block);
    if (!node || !is_below(s->tip, node))
        return true;
    s->view->revoked.block = node;
    s->view->revoked.txid = *spender;
    return false;
}

static void find_spend(struct bca_view *v, const struct outpoint *marker, struct header_node *tip)
{
    struct spend_search s = { chain_headers(v->chain), tip, v };
    v->revoked.pending = false;
    v->rc = index_db_each_spend(chain_index_db(v->chain), marker, see_spend, &s, &v->e);
}

/* Before the chain is asked: what is mined in between is found there. */
static void look_into_mempool(struct bca_view *v, const struct outpoint *marker)
{
    struct tx *spender = mempool_get_spender(chain_mempool(v->chain), marker);
    v->revoked.pending = spender != NULL;
    if (spender)
        v->revoked.txid = spender->id;
    tx_unref(spender);
}

enum bca_marker_state bca_view_marker(void *view, const struct outpoint *marker)
{
    struct bca_view *v = view;
    const bool synced = caught_up(v->chain);
    struct marker_question q = { .marker = marker, .e = &v->e };
    look_into_mempool(v, marker);
    if (chain_call(v->chain, ask_coins, &q))
        v->rc = error_set(&v->e, ERR_CANCELLED, "the node is shutting down");
    else
        v->rc = q.rc;
    if (v->rc)
        return BCA_MARKER_UNKNOWN;
    const enum bca_marker_state state = judge(v, &q, synced);
    if (state == BCA_MARKER_SPENT)
        find_spend(v, marker, q.tip.node);
    return state;
}

enum bca_marker_state bca_view_marker_indexed(void *view, const struct outpoint *marker)
{
    struct bca_view *v = view;
    const bool synced = caught_up(v->chain);
    v->revoked.block = NULL;
    find_spend(v, marker, header_index_tip(chain_headers(v->chain)));
    if (v->rc)
        return BCA_MARKER_UNKNOWN;
    if (v->revoked.block)
        return BCA_MARKER_SPENT;
    return synced ? BCA_MARKER_UNSPENT : BCA_MARKER_UNKNOWN;
}
