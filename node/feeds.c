#include "node/feeds.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/event_serve.h"
#include "node/told_chain.h"
#include "node/told_numbers.h"
#include "node/told_txs.h"
#include "node/zmq_feed.h"

#define LOG_SIZE_MIN 1000000
#define COMMIT_BYTES (256u << 10) /* appended events are written at the latest then */

struct feeds {
    void (*fatal)(void *ctx, const struct error *e);
    void *fatal_ctx;
    struct chain *chain;      /* NULL until attached */
    struct zmq_feed *zmq;     /* NULL: no -zmqpub* */
    struct event_log *log;    /* NULL: -eventlogsize=0 */
    struct told_chain told;
    struct told_txs told_txs;
    struct told_numbers told_numbers;
    _Atomic(struct chain *) wake; /* the chain, once attached */
    _Atomic uint64_t told_bytes; /* of the account, at the last commit */
    int64_t wait_ms;          /* -eventlogwait */
    int64_t progress_ms;      /* when the chain last came closer to where the log ends */
};

/* --- the account ---------------------------------------------------------------------------- */

static void emit(void *ctx, struct event_record *r)
{
    struct feeds *f = ctx;
    if (r->type == LOGGED_START)
        told_txs_restart(&f->told_txs);
    event_log_append(f->log, r);
}

static void store(void *ctx, struct buf *out)
{
    const struct feeds *f = ctx;
    told_chain_store(&f->told, out);
    told_txs_store(&f->told_txs, out);
    told_numbers_store(&f->told_numbers, out);
}

static enum err replay_state(void *ctx, struct span state, struct error *e)
{
    struct feeds *f = ctx;
    static const uint8_t nothing[9]; /* no block, no transactions */
    struct reader r;
    reader_init(&r, state.len ? state.data : nothing, state.len ? state.len : sizeof nothing);
    told_chain_load(&f->told, &r);
    told_txs_load(&f->told_txs, &r);
    told_numbers_load(&f->told_numbers, &r);
    return reader_done(&r) ? OK : error_set(e, ERR_CORRUPT, "the state of a file does not parse");
}

static enum err replay_record(void *ctx, const struct event_record *r, struct error *e)
{
    struct feeds *f = ctx;
    if (told_chain_replay(&f->told, r) && told_txs_replay(&f->told_txs, r) &&
        told_numbers_replay(&f->told_numbers, r))
        return OK;
    return error_set(e, ERR_CORRUPT, "event %llu contradicts those before",
                     (unsigned long long)r->number);
}

/* --- life ----------------------------------------------------------------------------------- */

static enum err open_log(struct feeds *f, const struct settings *s, struct error *e)
{
    const uint64_t size = config_size(s->config, "eventlogsize");
    if (size && size < LOG_SIZE_MIN)
        return error_set(e, ERR_RANGE,
                         "-eventlogsize=%llu: must be 0 (no log) or at least %d bytes",
                         (unsigned long long)size, LOG_SIZE_MIN);
    const struct event_replayer replayer = { replay_state, replay_record, f };
    char *dir = path_join(s->net_dir, "events");
    const struct event_log_options o = { .dir = dir, .max_bytes = size, .store = store, .ctx = f };
    f->wait_ms = 1000 * config_int(s->config, "eventlogwait");
    enum err rc = size ? event_log_open(&f->log, &o, &replayer, e) : OK;
    free(dir);
    return rc;
}

enum err feeds_open(struct feeds **out, const struct settings *s,
                    void (*fatal)(void *ctx, const struct error *e), void *ctx, struct error *e)
{
    struct feeds *f = xcalloc(1, sizeof *f);
    f->fatal = fatal;
    f->fatal_ctx = ctx;
    told_chain_init(&f->told, emit, f);
    told_txs_init(&f->told_txs, emit, f);
    told_numbers_init(&f->told_numbers, emit, f);
    *out = f;
    enum err rc = zmq_feed_open(&f->zmq, s->config, e);
    return rc ? rc : open_log(f, s, e);
}

void feeds_set_net(struct feeds *f, struct net *net)
{
    if (f->zmq)
        zmq_feed_set_net(f->zmq, net);
}

void feeds_add_routes(struct feeds *f, struct rpc_server *server)
{
    if (f->log)
        rpc_server_add_route(server, &(struct rpc_route){ .path = "/events",
                                                          .access = ROUTE_WITH_CREDENTIALS,
                                                          .threads = EVENT_CLIENTS_MAX,
                                                          .answer = event_serve,
                                                          .ctx = f->log });
}

/* After a crash the index may lack every block of the newest file; an older one may help. */
static void replay_whole(struct feeds *f)
{
    const struct event_replayer replayer = { replay_state, replay_record, f };
    struct error e = { .code = OK };
    if (event_log_replay_whole(f->log, &replayer, &e))
        log_warn("event log: %s", e.text);
}

struct attach {
    struct feeds *f;
    enum err rc;
    struct error *e;
};

static void attach(struct chain *c, void *ctx)
{
    struct attach *a = ctx;
    struct feeds *f = a->f;
    struct chain_tip tip;
    f->chain = c;
    if (!f->log)
        return;
    if (!told_chain_meets(&f->told, chain_headers(c)))
        replay_whole(f);
    chain_get_tip(c, &tip);
    f->progress_ms = clock_mono_ms();
    told_chain_attach(&f->told, chain_headers(c), tip.node);
    if (f->told.waiting)
        log_info("event log: it ends ahead of the chain and waits until the chain is there again");
    a->rc = event_log_commit(f->log, a->e);
    atomic_store(&f->wake, c);
}

enum err feeds_attach(struct feeds *f, struct chain *c, struct error *e)
{
    struct attach a = { .f = f, .e = e };
    enum err rc = f->zmq ? zmq_feed_start(f->zmq, c, e) : OK;
    if (rc)
        return rc;
    rc = chain_call(c, attach, &a);
    return rc ? error_set(e, rc, "the chain has ended") : a.rc;
}

uint64_t feeds_memory(struct feeds *f)
{
    return atomic_load_explicit(&f->told_bytes, memory_order_relaxed) +
           told_numbers_bytes(&f->told_numbers) + (f->zmq ? zmq_feed_bytes(f->zmq) : 0);
}

void feeds_stop(struct feeds *f)
{
    if (f && f->log)
        event_log_stop_readers(f->log);
}

enum err feeds_close(struct feeds *f, struct error *e)
{
    if (!f)
        return OK;
    zmq_feed_close(f->zmq);
    if (f->chain && f->log)
        told_numbers_take(&f->told_numbers);
    enum err rc = event_log_close(f->log, e);
    told_chain_clear(&f->told);
    told_txs_clear(&f->told_txs);
    told_numbers_clear(&f->told_numbers);
    free(f);
    return rc;
}

/* --- events of others ----------------------------------------------------------------------- */

bool feeds_tell(struct feeds *f, const struct event_record *r)
{
    struct chain *chain = atomic_load(&f->wake);
    bool first;
    if (!f->log)
        return true;
    if (!chain || !told_numbers_put(&f->told_numbers, r, &first))
        return false;
    if (first)
        chain_wake(chain);
    return true;
}

uint64_t feeds_told(struct feeds *f, enum told_source source)
{
    return f->log ? told_numbers_last(&f->told_numbers, source) : UINT64_MAX;
}

/* --- chain thread --------------------------------------------------------------------------- */

/* What comes before the feeds are attached is no news. */
static struct event_log *live_log(const struct feeds *f) { return f->chain ? f->log : NULL; }
static struct zmq_feed *live_zmq(const struct feeds *f) { return f->chain ? f->zmq : NULL; }

static void commit(struct feeds *f)
{
    struct error e;
    atomic_store_explicit(&f->told_bytes, told_txs_bytes(&f->told_txs), memory_order_relaxed);
    told_numbers_take(&f->told_numbers);
    if (event_log_has_failed(f->log) || !event_log_commit(f->log, &e))
        return;
    f->fatal(f->fatal_ctx, &e);
}

struct keeping {
    struct feeds *f;
    enum told_source source;
    uint64_t number;
    bool there;
};

static void keep(struct chain *c, void *ctx)
{
    struct keeping *k = ctx;
    (void)c;
    commit(k->f);
    k->there = !event_log_has_failed(k->f->log) &&
               k->f->told_numbers.told[k->source] >= k->number;
}

static enum err pass_over(void *ctx, const struct event_record *r, struct error *e)
{
    (void)ctx;
    (void)r;
    (void)e;
    return OK;
}

/* A reader at the end syncs. */
static bool sync_log(struct event_log *log)
{
    struct error e = { .code = OK };
    struct event_log_info info;
    struct event_reader *r;
    uint64_t n;
    event_log_get_info(log, &info);
    if (info.next == info.oldest || event_reader_open(log, info.next - 1, &r, &e))
        return false;
    const enum err rc = event_reader_next(r, pass_over, NULL, &n, &e);
    event_reader_close(r);
    return !rc && n > 0;
}

bool feeds_keep(struct feeds *f, enum told_source source, uint64_t number)
{
    struct chain *chain = atomic_load(&f->wake);
    struct keeping k = { .f = f, .source = source, .number = number };
    if (!f->log || number == 0)
        return true;
    return chain && !chain_call(chain, keep, &k) && k.there && sync_log(f->log);
}

static void commit_if_much(struct feeds *f)
{
    if (event_log_uncommitted(f->log) >= COMMIT_BYTES)
        commit(f);
}

void feeds_block_connected(struct feeds *f, struct header_node *node)
{
    if (live_zmq(f))
        zmq_feed_block_connected(f->zmq, node);
    if (!live_log(f))
        return;
    told_chain_connected(&f->told, node);
    f->progress_ms = clock_mono_ms();
    commit_if_much(f);
}

void feeds_block_disconnected(struct feeds *f, struct header_node *node)
{
    if (live_zmq(f))
        zmq_feed_block_disconnected(f->zmq, node);
    if (!live_log(f))
        return;
    told_chain_disconnected(&f->told, node);
    commit_if_much(f);
}

void feeds_block_judged(struct feeds *f, const struct block_hash *hash, const struct verdict *v,
                        uint64_t source)
{
    if (live_zmq(f))
        zmq_feed_block_judged(f->zmq, hash, v, source);
}

void feeds_tip_changed(struct feeds *f, const struct chain_tip *tip, bool initial_download)
{
    if (live_zmq(f))
        zmq_feed_tip_changed(f->zmq, tip, initial_download);
    if (live_log(f))
        commit(f);
}

void feeds_tx_accepted(struct feeds *f, const struct mempool_entry *entry)
{
    if (live_zmq(f))
        zmq_feed_tx_accepted(f->zmq, entry->tx);
    if (!live_log(f))
        return;
    told_txs_accepted(&f->told_txs, entry);
    commit_if_much(f);
}

void feeds_tx_removed(struct feeds *f, const struct mempool_removed *r,
                      const struct header_node *block)
{
    if (live_zmq(f))
        zmq_feed_tx_removed(f->zmq, r, block);
    if (!live_log(f))
        return;
    told_txs_removed(&f->told_txs, &r->tx->id, mempool_reason_name(r->reason),
                     r->conflict ? &r->conflict->id : NULL, block);
    commit_if_much(f);
}

/* The mempool is whole and belongs to the chain that the log describes: from here on it follows. */
static void settle_txs(struct feeds *f)
{
    if (f->told_txs.held && !f->told.waiting && chain_mempool_is_loaded(f->chain))
        told_txs_settle(&f->told_txs, chain_mempool(f->chain));
}

/* The end of a batch. */
void feeds_txs_judged(struct feeds *f, const struct tx_result *results, size_t n)
{
    if (live_zmq(f))
        zmq_feed_txs_judged(f->zmq, results, n);
    if (!live_log(f))
        return;
    settle_txs(f);
    commit(f);
}

/* The blocks the log told of do not seem to come back. */
static void stop_waiting(struct feeds *f)
{
    struct chain_tip tip;
    if (!f->told.waiting || clock_mono_ms() - f->progress_ms < f->wait_ms)
        return;
    chain_get_tip(f->chain, &tip);
    log_info("event log: the chain does not come back to where the log ended; says what was lost");
    told_chain_give_up(&f->told, tip.node);
}

void feeds_idle(struct feeds *f)
{
    if (!live_log(f))
        return;
    stop_waiting(f);
    settle_txs(f);
    commit(f);
}
