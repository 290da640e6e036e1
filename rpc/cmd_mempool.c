/*
 * What waits for a block: getmempoolinfo, getrawmempool, getmempoolentry and its relatives,
 * getrawnonfinalmempool, prioritisetransaction.
 *
 * The pool's lock is never held while an answer is written, since clients may be slow: entries are
 * copied in portions first.
 */
#include "rpc/commands.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/journal.h"
#include "chain/mempool.h"
#include "chain/nonfinal.h"

#define PORTION 1000 /* entries copied under one lock */

/* --- entries, copied ------------------------------------------------------------------------ */

/* Of one entry, with nothing borrowed. */
struct row {
    struct tx *tx; /* a reference */
    int64_t fee, fee_delta, time;
    int32_t height;
    struct txid *depends;
    uint32_t n_depends;
};

struct rows {
    struct row *v;
    size_t n, cap, limit; /* limit 0: none */
    uint64_t last;        /* sequence of the last one */
    bool verbose;         /* depends is filled */
    bool no_memory;
};

static void row_clear(struct row *r)
{
    tx_unref(r->tx);
    free(r->depends);
}

static void rows_empty(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        row_clear(&r->v[i]);
    r->n = 0;
}

static void rows_clear(struct rows *r)
{
    rows_empty(r);
    free(r->v);
}

static bool copy_depends(struct row *row, const struct mempool_entry *entry)
{
    row->depends = (struct txid *)try_alloc(entry->n_parents, sizeof(*row->depends));
    if (!row->depends)
        return false;
    for (uint32_t i = 0; i < entry->n_parents; i++)
        row->depends[i] = entry->parents[i]->tx->id;
    row->n_depends = entry->n_parents;
    return true;
}

static bool rows_grow(struct rows *r)
{
    const size_t cap = r->cap ? 2 * r->cap : 64;
    struct row *v = (struct row *)try_realloc(r->v, cap, sizeof(*v));
    if (!v)
        return false;
    r->v = v;
    r->cap = cap;
    return true;
}

static enum mempool_visit copy_row(void *ctx, const struct mempool_entry *entry)
{
    struct rows *r = (struct rows *)ctx;
    struct row row = { .fee = entry->fee, .fee_delta = entry->fee_delta, .time = entry->time,
                       .height = entry->height };
    if ((r->n == r->cap && !rows_grow(r)) || (r->verbose && !copy_depends(&row, entry))) {
        r->no_memory = true;
        return MEMPOOL_ENOUGH;
    }
    row.tx = tx_ref(entry->tx);
    r->v[r->n++] = row;
    r->last = entry->sequence;
    return r->n == r->limit ? MEMPOOL_ENOUGH : MEMPOOL_GO_ON;
}

static void put_row(struct json_writer *w, const struct row *r)
{
    jw_object_open(w);
    jw_put_u64(w, "size", r->tx->raw.len);
    jw_put_amount(w, "fee", r->fee);
    jw_put_amount(w, "modifiedfee", r->fee + r->fee_delta);
    jw_put_i64(w, "time", r->time);
    jw_put_i64(w, "height", r->height);
    jw_key(w, "depends");
    jw_array_open(w);
    for (uint32_t i = 0; i < r->n_depends; i++)
        jw_hash(w, r->depends[i].b);
    jw_array_close(w);
    jw_object_close(w);
}

/* Ids of an open array, or members of an open object. */
static void put_rows(struct json_writer *w, const struct rows *r, size_t from)
{
    char hex[HASH_HEX_SIZE];
    for (size_t i = from; i < r->n; i++) {
        if (!r->verbose) {
            jw_hash(w, r->v[i].tx->id.b);
            continue;
        }
        jw_key(w, hash_to_hex(hex, r->v[i].tx->id.b));
        put_row(w, &r->v[i]);
    }
}

static void open_list(struct json_writer *w, bool verbose)
{
    if (verbose)
        jw_object_open(w);
    else
        jw_array_open(w);
}

static void close_list(struct json_writer *w, bool verbose)
{
    if (verbose)
        jw_object_close(w);
    else
        jw_array_close(w);
}

static struct rpc_result no_memory(struct rpc_call *call)
{
    return rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list of transactions");
}

/* --- the whole pool ------------------------------------------------------------------------- */

static struct rpc_result cmd_getrawmempool(struct rpc_call *call)
{
    struct mempool *pool = chain_mempool(call->env->chain);
    struct rows r = { .limit = PORTION, .verbose = rpc_bool(call, 0, false) };
    open_list(call->out, r.verbose);
    do {
        rows_empty(&r);
        mempool_each(pool, r.last, copy_row, &r);
        put_rows(call->out, &r, 0);
    } while (r.n == r.limit && !rpc_given_up(call));
    close_list(call->out, r.verbose);
    const bool failed = r.no_memory;
    rows_clear(&r);
    return failed ? no_memory(call) : rpc_done();
}

static struct rpc_result cmd_getmempoolinfo(struct rpc_call *call)
{
    struct mempool *pool = chain_mempool(call->env->chain);
    struct json_writer *w = call->out;
    struct mempool_stats s;
    struct nonfinal_stats held;
    struct journal_stats journal;
    mempool_get_stats(pool, clock_now(), &s);
    nonfinal_get_stats(chain_nonfinal(call->env->chain), &held);
    journal_get_stats(mempool_journal(pool), &journal);
    jw_object_open(w);
    jw_put_u64(w, "size", s.count);
    jw_put_u64(w, "journalsize", journal.totals.count);
    jw_put_u64(w, "nonfinalsize", held.count);
    jw_put_u64(w, "bytes", s.tx_bytes);
    jw_put_u64(w, "usage", s.memory);
    jw_put_u64(w, "usagedisk", 0);
    jw_put_u64(w, "usagecpfp", s.secondary_memory);
    jw_put_u64(w, "nonfinalusage", held.bytes);
    jw_put_u64(w, "maxmempool", s.max_memory);
    jw_put_u64(w, "maxmempoolsizedisk", 0);
    jw_put_u64(w, "maxmempoolsizecpfp", s.max_secondary_memory);
    jw_put_amount(w, "mempoolminfee", s.min_fee_per_kb);
    jw_object_close(w);
    return rpc_done();
}

static void put_held(void *ctx, struct tx *tx, int64_t time)
{
    struct buf *ids = (struct buf *)ctx;
    (void)time;
    buf_put(ids, tx->id.b, sizeof(tx->id.b));
}

static struct rpc_result cmd_getrawnonfinalmempool(struct rpc_call *call)
{
    struct buf ids;
    buf_init(&ids);
    nonfinal_each(chain_nonfinal(call->env->chain), put_held, &ids);
    jw_array_open(call->out);
    for (size_t at = 0; at < ids.len; at += sizeof(struct txid))
        jw_hash(call->out, &ids.data[at]);
    jw_array_close(call->out);
    buf_clear(&ids);
    return rpc_done();
}

/* --- one entry and its relatives ------------------------------------------------------------ */

static struct rpc_result not_in_mempool(struct rpc_call *call)
{
    return rpc_fail(call, RPC_NOT_FOUND, "Transaction not in mempool");
}

static struct rpc_result cmd_getmempoolentry(struct rpc_call *call)
{
    struct rows r = { .verbose = true };
    struct txid id;
    rpc_hash(call, 0, id.b);
    struct rpc_result result = rpc_done();
    if (!mempool_visit(chain_mempool(call->env->chain), &id, copy_row, &r))
        result = not_in_mempool(call);
    else if (r.no_memory)
        result = no_memory(call);
    else
        put_row(call->out, &r.v[0]);
    rows_clear(&r);
    return result;
}

typedef void (*each_relative_fn)(struct mempool *mp, const struct txid *id, mempool_visit_fn fn,
                                 void *ctx);

/* All but the first one, which is the transaction itself. */
static struct rpc_result answer_relatives(struct rpc_call *call, each_relative_fn each)
{
    struct rows r = { .verbose = rpc_bool(call, 1, false) };
    struct txid id;
    rpc_hash(call, 0, id.b);
    each(chain_mempool(call->env->chain), &id, copy_row, &r);
    struct rpc_result result = rpc_done();
    if (r.no_memory) {
        result = no_memory(call);
    } else if (r.n == 0) {
        result = not_in_mempool(call);
    } else {
        open_list(call->out, r.verbose);
        put_rows(call->out, &r, 1);
        close_list(call->out, r.verbose);
    }
    rows_clear(&r);
    return result;
}

static struct rpc_result cmd_getmempoolancestors(struct rpc_call *call)
{
    return answer_relatives(call, mempool_each_ancestor);
}

static struct rpc_result cmd_getmempooldescendants(struct rpc_call *call)
{
    return answer_relatives(call, mempool_each_descendant);
}

/* --- fees ----------------------------------------------------------------------------------- */

struct fee_change {
    struct txid id;
    int64_t fee_delta;
};

static void change_fee(struct chain *c, void *ctx)
{
    const struct fee_change *f = (const struct fee_change *)ctx;
    mempool_prioritise(chain_mempool(c), &f->id, f->fee_delta);
}

static struct rpc_result cmd_prioritisetransaction(struct rpc_call *call)
{
    struct fee_change f = { .fee_delta = rpc_int(call, 2, 0) };
    rpc_hash(call, 0, f.id.b);
    if (chain_call(call->env->chain, change_fee, &f))
        return rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    jw_bool(call->out, true);
    return rpc_done();
}

#define ENTRY_RESULT "{size, fee, modifiedfee, time, height, depends:[txid]}"
#define LIST_RESULT "[txid], or with verbose {txid:" ENTRY_RESULT "}"
#define TXID { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Transaction in the mempool" }
#define VERBOSE                                                                                    \
    { "verbose", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON, "Objects instead of ids (default false)" }

static const struct rpc_command rows[] = {
    { .name = "getmempoolinfo",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmempoolinfo,
      .help = "State of the mempool. journalsize counts what may be mined, usagecpfp is the memory "
              "of transactions that wait for a child to pay for them, mempoolminfee the fee rate "
              "below which nothing is accepted now. Nothing is kept on disk.",
      .result = "{size, journalsize, nonfinalsize, bytes, usage, usagedisk, usagecpfp, "
                "nonfinalusage, maxmempool, maxmempoolsizedisk, maxmempoolsizecpfp, mempoolminfee}",
      .example = "" },
    { .name = "getrawmempool",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getrawmempool,
      .help = "All transactions of the mempool, parents before children.",
      .result = LIST_RESULT,
      .example = "true",
      .params = { VERBOSE } },
    { .name = "getmempoolentry",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmempoolentry,
      .help = "One transaction of the mempool.",
      .result = ENTRY_RESULT,
      .example = "\"txid\"",
      .params = { TXID } },
    { .name = "getmempoolancestors",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmempoolancestors,
      .help = "Transactions of the mempool that this one depends on.",
      .result = LIST_RESULT,
      .example = "\"txid\" true",
      .params = { TXID, VERBOSE } },
    { .name = "getmempooldescendants",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmempooldescendants,
      .help = "Transactions of the mempool that depend on this one.",
      .result = LIST_RESULT,
      .example = "\"txid\" true",
      .params = { TXID, VERBOSE } },
    { .name = "getrawnonfinalmempool",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getrawnonfinalmempool,
      .help = "Transactions that wait for their lock time, the oldest first.",
      .result = "[txid]",
      .example = "" },
    { .name = "prioritisetransaction",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_prioritisetransaction,
      .help = "Counts a transaction as if it paid so much more or less: for its place in the "
              "mempool and in blocks made here. It need not be there yet. The sum of all changes "
              "is kept until it is in a block.",
      .result = "true",
      .example = "\"txid\" 0 10000",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Transaction" },
                  { "priority_delta", RPC_NUMBER, RPC_REQUIRED, RPC_CLI_JSON, "Has no meaning" },
                  { "fee_delta", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON,
                    "Satoshis to add, or to take off when negative" } } },
};

const struct rpc_group rpc_mempool_commands = { rows, COUNT_OF(rows) };
