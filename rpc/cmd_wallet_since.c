/*
 * What became of a wallet since a block. Of a block that is no longer active, what it and those
 * before it took away comes too: such blocks are read once more.
 */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/block_scan.h"
#include "rpc/wallet_call.h"
#include "rpc/wallet_tx_json.h"

/* A list of entries, which goes to memory: the wallet is locked meanwhile. */
struct entries {
    struct rpc_call *call;
    struct wallet *w;
    bool watched;
    enum err rc;
    struct error *e;
};

static void add_entry(void *ctx, const struct wallet_view *v, size_t i, const char *category,
                      bool watch)
{
    (void)ctx;
    jw_wallet_entry(v, i, category, watch, ENTRY_ALONE);
}

static bool add_tx(void *ctx, const struct history_tx *t)
{
    struct entries *l = ctx;
    struct wallet_view v;
    l->rc = wallet_view_init(&v, l->call, l->w, t, l->watched, l->e);
    if (l->rc)
        return false;
    wallet_view_each(&v, add_entry, l);
    if (rpc_given_up(l->call)) /* a part is not told as the whole */
        l->rc = error_set(l->e, ERR_CANCELLED, "nobody waits for the answer any more");
    return !l->rc;
}

/* --- since ---------------------------------------------------------------------------------- */

/* The chain as the wallet knows it, and what was asked for. */
struct since {
    struct header_node *best; /* NULL: it knows no block */
    struct header_node *asked; /* NULL: from the beginning */
    struct header_node *fork; /* where asked leaves the chain of best */
    int64_t target;
};

/* The block of best's chain at this height, or NULL. */
static struct header_node *on_chain(const struct since *s, int64_t height)
{
    if (!s->best || height < 0 || height > s->best->height)
        return NULL;
    return header_ancestor(s->best, (int32_t)height);
}

static bool take_since(struct rpc_call *call, struct wallet *w, struct since *s)
{
    struct header_index *index = chain_headers(call->env->chain);
    struct block_hash hash;
    int32_t height;
    *s = (struct since){ .target = rpc_int(call, 1, 1) };
    if (wallet_best(w, &hash, &height, NULL))
        s->best = header_index_find(index, &hash);
    if (s->target < 1) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter");
        return false;
    }
    if (!rpc_has(call, 0))
        return true;
    rpc_hash(call, 0, hash.b);
    s->asked = s->fork = header_index_find(index, &hash);
    if (!s->asked) {
        rpc_fail(call, RPC_NOT_FOUND, "Block not found");
        return false;
    }
    while (s->fork && on_chain(s, s->fork->height) != s->fork)
        s->fork = s->fork->prev;
    return true;
}

static enum err list_since(struct entries *l, const struct since *s)
{
    wallet_lock(l->w);
    const enum err rc = history_list_since(wallet_history(l->w), s->fork ? s->fork->height : -1,
                                           add_tx, l, l->e);
    wallet_unlock(l->w);
    return rc ? rc : l->rc;
}

/* --- removed -------------------------------------------------------------------------------- */

static enum scan_next see_removed(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    struct entries *l = ctx;
    bool found;
    (void)segment;
    wallet_lock(l->w);
    const enum err rc = history_get_tx(wallet_history(l->w), &tx->id, add_tx, l, &found, l->e);
    wallet_unlock(l->w);
    l->rc = l->rc ? l->rc : rc;
    return l->rc ? SCAN_ENOUGH : SCAN_ON;
}

static enum err list_removed(struct entries *l, const struct since *s)
{
    struct header_index *index = chain_headers(l->call->env->chain);
    enum err rc = OK;
    for (struct header_node *node = s->asked; !rc && node && node != s->fork; node = node->prev) {
        if (header_index_is_active(index, node))
            continue; /* the wallet comes to it yet */
        rc = block_scan(l->call, node, SCAN_WHOLE_BLOCK, see_removed, l, l->e);
        rc = rc ? rc : l->rc;
    }
    return rc;
}

/* --- listsinceblock ------------------------------------------------------------------------- */

/* is_read: what fails after that is a matter of blocks. */
static enum err put_lists(struct entries *l, const struct since *s, bool *is_read)
{
    struct json_writer *out = l->call->out;
    jw_key(out, "transactions");
    jw_array_open(out);
    enum err rc = list_since(l, s);
    jw_array_close(out);
    *is_read = !rc;
    if (rc || !rpc_bool(l->call, 3, true))
        return rc;
    jw_key(out, "removed");
    jw_array_open(out);
    rc = list_removed(l, s);
    jw_array_close(out);
    return rc;
}

static struct rpc_result answer(struct rpc_call *call, struct wallet *w, const struct since *s)
{
    const struct header_node *last =
        s->best ? on_chain(s, (int64_t)s->best->height + 1 - s->target) : NULL;
    struct error e = { .code = OK };
    struct entries l = { .call = call, .w = w, .watched = rpc_bool(call, 2, false), .e = &e };
    struct rpc_held held;
    bool is_read;
    rpc_hold(call, &held);
    jw_object_open(call->out);
    enum err rc = put_lists(&l, s, &is_read);
    jw_put_hash(call->out, "lastblock", last ? last->hash.b : (const uint8_t[32]){ 0 });
    jw_object_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    if (!rc)
        return rpc_done();
    if (is_read && rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_MISC_ERROR, "Can't read block from disk: it is not stored");
    return rpc_wallet_fail(call, &e);
}

static struct rpc_result cmd_listsinceblock(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct since s;
    if (!w)
        return rpc_failed(call);
    const struct rpc_result r = take_since(call, w, &s) ? answer(call, w, &s) : rpc_failed(call);
    wallet_unref(w);
    return r;
}

static const struct rpc_command rows[] = {
    { .name = "listsinceblock",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listsinceblock,
      .help = "Transactions in blocks after one, and the unconfirmed. removed: those of blocks "
              "that are no longer active since then, as they stand now; they may be among the "
              "first, too. lastblock is for the next call.",
      .result = "{transactions: [as listtransactions], removed?: [...], lastblock}",
      .example = "\"blockhash\" 6",
      .params = { { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The block (default: all transactions)" },
                  { "target_confirmations", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "lastblock has so many confirmations (default 1)" },
                  RPC_WALLET_WATCHED("Of watched scripts too (default false)"),
                  { "include_removed", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "With removed (default true)" } } },
};
const struct rpc_group rpc_wallet_since_commands = { rows, COUNT_OF(rows) };
