/*
 * why: what was recorded and what can be seen now about one thing, in sentences (causes.h). The
 * subject tells itself: "sync", "memory", 64 hex digits (a transaction or a block), a peer's number
 * or address.
 */
#include "rpc/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "chain/nonfinal.h"
#include "p2p/net.h"
#include "rpc/block_json.h"
#include "rpc/ledger.h"
#include "rpc/tx_lookup.h"

#define CAUSES_SHOWN 10
#define MIB (1024.0 * 1024.0)

/* --- the answer ----------------------------------------------------------------------------- */

struct answer {
    struct rpc_call *call;
    struct buf text;     /* one sentence a line */
    struct cause causes[CAUSES_SHOWN];
    size_t n_causes;
    bool known;          /* something is known of the subject */
};

static void say(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct answer *a, const char *fmt, ...)
{
    char line[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (a->text.len)
        buf_put_str(&a->text, "\n");
    buf_put_str(&a->text, line);
    a->known = true;
}

static void put_causes(struct json_writer *w, const struct answer *a)
{
    jw_key(w, "recorded");
    jw_array_open(w);
    for (size_t i = 0; i < a->n_causes; i++) {
        jw_object_open(w);
        jw_put_i64(w, "time", a->causes[i].time);
        jw_put_text(w, "cause", a->causes[i].text);
        jw_object_close(w);
    }
    jw_array_close(w);
}

/* --- transactions --------------------------------------------------------------------------- */

static const char *waiting_for(const struct mempool_entry *entry)
{
    return entry->primary ? entry->group ? "it waits for a block, in a group with what pays for it"
                                         : "it pays enough and waits for a block"
                          : "it pays less than miners ask (-minminingtxfee) and waits for a "
                            "transaction that spends it and pays for both";
}

static enum mempool_visit tell_entry(void *ctx, const struct mempool_entry *entry)
{
    struct answer *a = ctx;
    say(a, "The transaction is in the mempool since %" PRId64 " s: %s.", clock_now() - entry->time,
        waiting_for(entry));
    say(a, "Its fee is %" PRId64 " satoshis for %zu bytes, it has %u unconfirmed parents.",
        entry->fee + entry->fee_delta, entry->tx->raw.len, (unsigned)entry->n_parents);
    return MEMPOOL_ENOUGH;
}

static void tell_held(struct answer *a, const struct tx *tx)
{
    say(a,
        "The transaction is not final: its lock time is %" PRIu32 " (%s), so it waits in the "
        "non-final pool.",
        tx->lock_time, tx->lock_time < 500000000 ? "a height" : "a time");
}

static void tell_confirmed(struct answer *a, const struct txid *id)
{
    struct header_node *node = NULL;
    struct error e;
    if (tx_lookup_block(a->call, id, &node, &e)) {
        say(a, "Whether a block holds the transaction cannot be told: %s.", e.text);
        return;
    }
    char hex[HASH_HEX_SIZE];
    if (node)
        say(a, "The transaction is in block %s at height %d, confirmed %d times.",
            hash_to_hex(hex, node->hash.b), node->height,
            block_confirmations(a->call->env->chain, node));
}

static void why_tx(struct answer *a, const struct txid *id)
{
    struct chain *c = a->call->env->chain;
    struct tx *held = nonfinal_get_tx(chain_nonfinal(c), id);
    if (held)
        tell_held(a, held);
    else if (!mempool_visit(chain_mempool(c), id, tell_entry, a))
        tell_confirmed(a, id);
    tx_unref(held);
    a->n_causes =
        causes_of_hash(a->call->env->causes, CAUSE_TX, id->b, a->causes, CAUSES_SHOWN);
    if (a->n_causes && !a->known)
        say(a, "The transaction is in no pool and in no block: %s.", a->causes[0].text);
}

/* --- blocks --------------------------------------------------------------------------------- */

static void tell_failed(struct answer *a, uint32_t status, const struct header_node *node)
{
    const char *recorded = a->n_causes ? a->causes[0].text : "the cause was noted before the start";
    if (status & HS_FAILED_LIMIT)
        say(a, "The block at height %d breaks a limit of this node: %s.", node->height, recorded);
    else if (status & HS_FAILED)
        say(a, "The block at height %d is invalid: %s.", node->height, recorded);
    else
        say(a, "The block at height %d builds on an invalid one.", node->height);
}

static void tell_waiting(struct answer *a, uint32_t status, struct header_node *node)
{
    struct chain *c = a->call->env->chain;
    const struct header_node *tip = header_index_tip(chain_headers(c));
    if (!(status & HS_HAVE_DATA))
        say(a, "The header at height %d is known, the block has not come yet%s.", node->height,
            tip && node->height > tip->height + 1 ? "; blocks before it are fetched first" : "");
    else if (a->n_causes)
        say(a, "The block at height %d is stored and not connected: %s.", node->height,
            a->causes[0].text);
    else if (tip && u256_cmp(&node->work, &tip->work) <= 0)
        say(a, "The block at height %d is stored on a branch with less work than the tip's.",
            node->height);
    else
        say(a, "The block at height %d is stored and is being connected.", node->height);
}

static void why_block(struct answer *a, struct header_node *node)
{
    struct chain *c = a->call->env->chain;
    struct header_data d;
    a->n_causes = causes_of_hash(a->call->env->causes, CAUSE_BLOCK, node->hash.b, a->causes,
                                 CAUSES_SHOWN);
    header_index_get_data(chain_headers(c), node, &d);
    if (header_index_is_active(chain_headers(c), node))
        say(a, "The block is on the active chain at height %d, confirmed %d times%s.", node->height,
            block_confirmations(c, node),
            d.status & HS_HAVE_DATA ? "" : "; its data have been pruned");
    else if (d.status & HS_FAILED_MASK)
        tell_failed(a, d.status, node);
    else
        tell_waiting(a, d.status, node);
}

static void why_hash(struct answer *a, const uint8_t hash[32])
{
    struct block_hash block;
    struct txid tx;
    memcpy(block.b, hash, sizeof(block.b));
    memcpy(tx.b, hash, sizeof(tx.b));
    struct header_node *node = header_index_find(chain_headers(a->call->env->chain), &block);
    if (node) {
        why_block(a, node);
        return;
    }
    why_tx(a, &tx);
    if (a->known)
        return;
    a->n_causes =
        causes_of_hash(a->call->env->causes, CAUSE_BLOCK, hash, a->causes, CAUSES_SHOWN);
    if (a->n_causes)
        say(a, "The block is not known any more: %s.", a->causes[0].text);
}

/* --- peers ---------------------------------------------------------------------------------- */

static void tell_peer(struct answer *a, const struct peer_info *p)
{
    say(a, "Peer %" PRIu64 " (%s) is connected since %" PRId64 " s, %s, ban score %d.", p->id,
        p->addr, clock_now() - p->connected, p->inbound ? "inbound" : "outbound", p->ban_score);
    if (p->ping_us >= 0)
        say(a, "Its last ping took %.1f ms; it received at %" PRIu64 " bytes a second.",
            (double)p->ping_us / 1000, p->receive_rate);
    if (p->pause_recv)
        say(a, "It is not read now: our own work on what it sent is behind.");
    if (p->pause_send)
        say(a, "It does not read what we send: %" PRIu64 " bytes wait.", p->send_size);
    if (p->n_inflight)
        say(a, "%zu blocks are asked from it, the first at height %d.", p->n_inflight,
            p->inflight[0]);
}

static bool is_that_peer(const struct peer_info *p, uint64_t id, const char *name)
{
    return p->id == id || strcmp(p->addr, name) == 0;
}

static void why_peer(struct answer *a, const char *subject)
{
    struct rpc_env *env = a->call->env;
    struct peer_info *peers = NULL;
    char *end;
    size_t n = 0;
    const uint64_t number = strtoull(subject, &end, 10);
    const uint64_t id = *end ? 0 : number;
    if (env->net && net_list_peers(env->net, &peers, &n))
        n = 0;
    for (size_t i = 0; i < n; i++)
        if (is_that_peer(&peers[i], id, subject))
            tell_peer(a, &peers[i]);
    free(peers);
    a->n_causes = id ? causes_of_peer(env->causes, id, a->causes, CAUSES_SHOWN)
                     : causes_of_name(env->causes, subject, a->causes, CAUSES_SHOWN);
    if (a->n_causes && !a->known)
        say(a, "The peer is not connected: %s.", a->causes[0].text);
}

/* --- sync and memory ------------------------------------------------------------------------ */

static const char *limit_text(enum chain_limit limit)
{
    switch (limit) {
    case LIMIT_NONE:
        break;
    case LIMIT_PEERS:
        return "peers do not deliver blocks as fast as they are connected";
    case LIMIT_DISK:
        return "reading and writing of the disk takes the time";
    case LIMIT_CPU:
        return "checking of scripts and coins takes the time";
    }
    return "nothing in particular";
}

static void why_sync(struct answer *a)
{
    struct chain *c = a->call->env->chain;
    struct net_status net = { .active = false };
    struct chain_progress p;
    struct chain_tip tip;
    chain_get_progress(c, &p);
    chain_get_tip(c, &tip);
    const struct header_node *best = header_index_best(chain_headers(c));
    const bool asked = a->call->env->net && !net_get_status(a->call->env->net, &net);
    if (chain_is_importing(c))
        say(a, "Blocks are read from files (-reindex or -loadblock).");
    if (best && best->height > tip.height)
        say(a, "The tip is at height %d of %d known: %.1f blocks a second, what limits: %s.",
            tip.height, best->height, p.blocks_per_s, limit_text(p.limited_by));
    else
        say(a, "The tip at height %d is the best known block.", tip.height);
    if (best && best->height > tip.height && p.eta_s >= 0)
        say(a, "At this rate it takes %" PRId64 " s more.", p.eta_s);
    if (asked && net.counts.total == 0)
        say(a, "No peer is connected%s.", net.active ? "" : ": the network is switched off");
    if (chain_is_initial_download(c))
        say(a,
            "Initial download is not over: the tip is %" PRId64 " s old, or the chain has less "
            "work than -minimumchainwork.",
            clock_now() - (int64_t)tip.time);
}

static void why_memory(struct answer *a)
{
    struct ledger l;
    ledger_take(a->call->env, &l);
    say(a, "The process has %.1f MiB resident; the parts count %.1f MiB.",
        (double)l.resident / MIB, (double)l.total / MIB);
    for (size_t i = 0; i < LEDGER_ROWS; i++)
        if (l.bytes[i] >= l.resident / 100)
            say(a, "%.1f MiB %s: %s.", (double)l.bytes[i] / MIB, ledger_name(i), ledger_help(i));
}

/* --- the method ----------------------------------------------------------------------------- */

static void answer(struct answer *a, const char *subject)
{
    uint8_t hash[32];
    if (strcmp(subject, "sync") == 0)
        why_sync(a);
    else if (strcmp(subject, "memory") == 0)
        why_memory(a);
    else if (hash_from_hex(hash, subject))
        why_hash(a, hash);
    else
        why_peer(a, subject);
}

static struct rpc_result cmd_why(struct rpc_call *call)
{
    struct answer a = { .call = call };
    struct json_writer *w = call->out;
    const char *subject = rpc_text(call, 0, "");
    struct rpc_result result = rpc_done();
    buf_init(&a.text);
    answer(&a, subject);
    if (a.known) {
        jw_object_open(w);
        jw_key(w, "answer");
        jw_text_n(w, (const char *)a.text.data, a.text.len);
        put_causes(w, &a);
        jw_object_close(w);
    } else {
        result = rpc_fail(call, RPC_NOT_FOUND,
                          "Nothing is known of %.80s: give a transaction or block id, the number "
                          "or address of a peer, sync, or memory",
                          subject);
    }
    buf_clear(&a.text);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "why",
      .category = "control",
      .where = RPC_ON_WORKER,
      .fn = cmd_why,
      .help = "Tells from what was recorded why a transaction or a block was refused or waits, why "
              "a peer left, why syncing is slow, or what takes the memory.",
      .result = "{answer, recorded:[{time, cause}]}",
      .example = "sync",
      .params = { { "subject", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Id of a transaction or block, number or address of a peer, sync, or "
                    "memory" } } },
};
const struct rpc_group rpc_why_commands = { rows, COUNT_OF(rows) };
