#include "node/node.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/file.h"
#include "node/bca_gossip.h"
#include "node/bca_keep.h"
#include "node/bca_records.h"
#include "node/channel_setup.h"
#include "node/events.h"
#include "node/feeds.h"
#include "node/notify.h"
#include "node/progress.h"
#include "node/relay_tx.h"
#include "node/rpc_setup.h"
#include "node/serve.h"
#include "node/sync.h"
#include "node/wallet_follow.h"
#include "node/wallet_setup.h"

#define SIGNALS 3
#define CAUSES_KEPT 4096 /* of transactions, blocks and peers each */

struct node {
    const struct settings *settings;
    struct event_base *base;
    struct event *signals[SIGNALS];
    struct node_events *events;
    struct rpc_env env;
    struct rpc_auth *auth;
    struct rpc_server *server;
    struct feeds *feeds;
    struct chain *chain;
    struct net *net;
    struct tx_inbox *inbox;
    struct relay *relay;
    struct sync *sync;
    struct progress *progress;
    struct wallet_follow *follow; /* NULL: -disablewallet */
    struct wallets *wallets;
    struct rpc_wallet_service wallet_service;
    struct bca_keep *keep; /* the same */
    struct channel_setup *channels; /* NULL: none */
    struct bca_records *records;
    struct bca_gossip *gossip; /* NULL: -records=0 */
    struct causes *causes;
    void (*ready)(void *ctx);
    void *ready_ctx;
    struct error fatal; /* written once by the chain thread before it posts EVENT_STOP */
};

/* --- from other threads --- */

static void on_block_arrived(void *ctx, struct header_node *node, uint64_t source, bool stored)
{
    struct node *n = ctx;
    node_events_post(n->events, &(struct node_event){ .kind = EVENT_BLOCK_ARRIVED,
                                                      .node = node,
                                                      .source = source,
                                                      .flag = stored });
}

static void on_block_judged(void *ctx, const struct block_hash *hash, const struct verdict *v,
                            uint64_t source)
{
    struct node *n = ctx;
    feeds_block_judged(n->feeds, hash, v, source);
    node_events_post(n->events, &(struct node_event){ .kind = EVENT_BLOCK_JUDGED,
                                                      .hash = *hash,
                                                      .verdict = *v,
                                                      .source = source });
}

static void on_tip_changed(void *ctx, const struct chain_tip *tip, bool initial_download)
{
    struct node *n = ctx;
    feeds_tip_changed(n->feeds, tip, initial_download);
    node_events_post(
        n->events,
        &(struct node_event){ .kind = EVENT_TIP_CHANGED, .tip = *tip, .flag = initial_download });
}

static void on_block_connected(void *ctx, struct header_node *node)
{
    struct node *n = ctx;
    feeds_block_connected(n->feeds, node);
    if (n->follow)
        wallet_follow_blocks(n->follow);
}

static void on_block_disconnected(void *ctx, struct header_node *node)
{
    struct node *n = ctx;
    feeds_block_disconnected(n->feeds, node);
    if (n->follow)
        wallet_follow_blocks(n->follow);
}

static void on_tx_accepted(void *ctx, const struct mempool_entry *entry, uint64_t source)
{
    struct node *n = ctx;
    feeds_tx_accepted(n->feeds, entry);
    tx_inbox_put_accepted(n->inbox, entry, source);
    if (n->follow)
        wallet_follow_tx_accepted(n->follow, entry->tx);
}

static void on_tx_removed(void *ctx, const struct mempool_removed *removed,
                          const struct header_node *block)
{
    struct node *n = ctx;
    feeds_tx_removed(n->feeds, removed, block);
    if (removed->reason == MEMPOOL_IN_BLOCK)
        tx_inbox_put_confirmed(n->inbox, removed->tx);
    if (n->follow)
        wallet_follow_tx_removed(n->follow, removed, block);
}

static void on_txs_judged(void *ctx, const struct tx_result *results, size_t count)
{
    struct node *n = ctx;
    feeds_txs_judged(n->feeds, results, count);
    tx_inbox_put_judged(n->inbox, results, count);
}

static void on_idle(void *ctx) { feeds_idle(((struct node *)ctx)->feeds); }

static void on_intake_drained(void *ctx, uint64_t source)
{
    struct node *n = ctx;
    node_events_post(n->events,
                     &(struct node_event){ .kind = EVENT_INTAKE_DRAINED, .source = source });
}

static void wake_for_news(void *ctx)
{
    struct node *n = ctx;
    node_events_post(n->events, &(struct node_event){ .kind = EVENT_TXS });
}

static void on_fatal(void *ctx, const struct error *e)
{
    struct node *n = ctx;
    if (!n->fatal.code)
        n->fatal = *e;
    node_events_post(n->events, &(struct node_event){ .kind = EVENT_STOP });
}

static void on_status(void *ctx, const char *text)
{
    struct node *n = ctx;
    log_info("%s", text);
    if (n->server)
        rpc_server_set_status(n->server, text);
}

static void request_stop(void *ctx)
{
    struct node *n = ctx;
    node_events_post(n->events, &(struct node_event){ .kind = EVENT_STOP });
}

/* --- on the loop --- */

/* While syncing the progress line tells enough. */
static void log_tip(const struct node_event *ev)
{
    char hex[HASH_HEX_SIZE];
    hash_to_hex(hex, ev->tip.hash.b);
    if (!ev->flag)
        log_info("new tip: height %d, %s", ev->tip.height, hex);
    else
        log_debug(LOGC_CHAIN, "tip: height %d, %s", ev->tip.height, hex);
}

static void tip_changed(struct node *n, const struct node_event *ev)
{
    const int64_t stop_at = config_int(n->settings->config, "stopatheight");
    log_tip(ev);
    relay_tip_changed(n->relay, &ev->tip);
    channel_setup_tip_changed(n->channels);
    sync_tip_changed(n->sync, &ev->tip, ev->flag);
    if (!ev->flag)
        notify_block(config_string(n->settings->config, "blocknotify"), &ev->tip.hash);
    if (stop_at > 0 && ev->tip.height >= stop_at) {
        log_info("height %d reached: stopping (-stopatheight)", ev->tip.height);
        event_base_loopbreak(n->base);
    }
}

static void on_event(void *ctx, const struct node_event *ev)
{
    struct node *n = ctx;
    switch (ev->kind) {
    case EVENT_BLOCK_ARRIVED:
        sync_block_arrived(n->sync, ev->node, ev->source, ev->flag);
        break;
    case EVENT_BLOCK_JUDGED:
        sync_block_judged(n->sync, &ev->hash, &ev->verdict, ev->source);
        break;
    case EVENT_TIP_CHANGED:
        tip_changed(n, ev);
        break;
    case EVENT_INTAKE_DRAINED:
        sync_intake_drained(n->sync, ev->source);
        break;
    case EVENT_TXS:
        relay_take_news(n->relay);
        break;
    case EVENT_STOP:
        event_base_loopbreak(n->base);
        break;
    }
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what;
    struct node *n = arg;
    if (number == SIGHUP) {
        log_reopen();
        return;
    }
    log_info("signal %d: stopping", (int)number);
    /* The next one ends the process at once; the databases survive that. */
    for (size_t i = 0; i < SIGNALS; i++) {
        event_free(n->signals[i]);
        n->signals[i] = NULL;
    }
    event_base_loopbreak(n->base);
}

/* --- opening, in order --- */

static enum err open_loop(struct node *n, struct error *e)
{
    static const int numbers[SIGNALS] = { SIGINT, SIGTERM, SIGHUP };
    if (evthread_use_pthreads() || !(n->base = event_base_new()))
        return error_set(e, ERR_NOMEM, "event loop could not be made");
    n->events = node_events_new(n->base, on_event, n);
    for (size_t i = 0; i < SIGNALS; i++) {
        n->signals[i] = evsignal_new(n->base, numbers[i], on_signal, n);
        event_add(n->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    return OK;
}

static enum err open_feeds(struct node *n, struct error *e)
{
    return feeds_open(&n->feeds, n->settings, on_fatal, n, e);
}

static uint64_t memory_of_feeds(void *ctx) { return feeds_memory(((struct node *)ctx)->feeds); }

static uint64_t memory_of_compact(void *ctx)
{
    return sync_compact_memory(((struct node *)ctx)->sync);
}

static void memory_of_channels(void *ctx, struct channels_memory *out)
{
    channel_setup_memory(((struct node *)ctx)->channels, out);
}

static enum err open_rpc(struct node *n, struct error *e)
{
    n->env = (struct rpc_env){
        .config = n->settings->config,
        .start_time = clock_now(),
        .mock_time_allowed = n->settings->params.network == NETWORK_REGTEST,
        .user_agent = n->settings->user_agent,
        .stop = request_stop,
        .compact_memory = memory_of_compact,
        .channels_memory = memory_of_channels,
        .feeds_memory = memory_of_feeds,
        .causes = n->causes,
        .node = n,
    };
    const enum err rc = rpc_setup(n->settings, &n->env, n->feeds, &n->auth, &n->server, e);
    if (!rc && n->server)
        rpc_server_set_status(n->server, "Starting...");
    return rc;
}

static enum err open_chain(struct node *n, struct error *e)
{
    struct chain_options o;
    const struct chain_handlers handlers = {
        .ctx = n,
        .status = on_status,
        .tip_changed = on_tip_changed,
        .block_connected = on_block_connected,
        .block_disconnected = on_block_disconnected,
        .tx_accepted = on_tx_accepted,
        .tx_removed = on_tx_removed,
        .txs_judged = on_txs_judged,
        .idle = on_idle,
        .block_judged = on_block_judged,
        .block_arrived = on_block_arrived,
        .intake_drained = on_intake_drained,
        .fatal = on_fatal,
    };
    n->inbox = tx_inbox_new(wake_for_news, n);
    if (!config_bool(n->settings->config, "disablewallet"))
        n->follow = wallet_follow_new(); /* it hears of all that the chain says */
    enum err rc = settings_chain(n->settings, &o, e);
    o.causes = n->causes;
    if (!rc)
        rc = chain_open(&n->chain, &o, &handlers, e);
    n->env.chain = n->chain;
    return rc ? rc : feeds_attach(n->feeds, n->chain, e);
}

static void look_for_record(void *node, const uint8_t key[33])
{
    bca_records_look_for(((struct node *)node)->records, key);
}

static void own_record_changed(void *node)
{
    channel_setup_own_record(((struct node *)node)->channels);
}

static enum err open_records(struct node *n, struct error *e)
{
    const enum err rc = bca_records_open(&n->records, n->settings, n->chain, e);
    if (rc)
        return rc;
    if (config_bool(n->settings->config, "records"))
        n->gossip = bca_gossip_new(n->records, n->settings);
    n->env.records = bca_records_store(n->records);
    n->env.record_intake = bca_records_intake(n->records);
    n->env.look_for_record = look_for_record;
    n->env.own_record_changed = own_record_changed;
    return OK;
}

static enum err open_sync(struct node *n, struct error *e)
{
    struct sync_options o;
    struct relay_options relay;
    (void)e;
    settings_sync(n->settings, &o);
    o.causes = n->causes;
    o.gossip = n->gossip;
    settings_relay(n->settings, &relay);
    n->relay = relay_new(n->chain, n->inbox, &relay);
    n->sync = sync_new(n->chain, n->relay, &o);
    return OK;
}

static enum err open_net(struct node *n, struct error *e)
{
    struct net_config c;
    const struct net_handlers handlers = {
        .ctx = n->sync,
        .height = sync_height,
        .in_initial_sync = sync_in_initial_download,
        .on_ready = sync_on_ready,
        .on_close = sync_on_close,
        .on_headers = sync_on_headers,
        .on_inv = sync_on_inv,
        .on_getdata = serve_getdata,
        .on_getheaders = serve_getheaders,
        .on_gethdrsen = serve_gethdrsen,
        .on_getblocks = serve_getblocks,
        .on_cmpctblock = sync_on_cmpctblock,
        .on_getblocktxn = serve_getblocktxn,
        .on_blocktxn = sync_on_blocktxn,
        .on_filter = sync_on_filter,
        .on_filter_add = sync_on_filter_add,
        .on_dsdetected = sync_on_dsdetected,
        .on_sendbca = bca_on_sendbca,
        .on_bcainv = bca_on_bcainv,
        .on_getbca = bca_on_getbca,
        .on_bcarec = bca_on_bcarec,
        .on_notfound = sync_on_notfound,
        .on_tx = sync_on_tx,
        .on_mempool = sync_on_mempool,
        .on_reject = sync_on_reject,
        .on_send_room = sync_on_send_room,
        .stream_begin = sync_stream_begin,
        .stream_data = sync_stream_data,
        .stream_end = sync_stream_end,
        .fill_info = sync_fill_info,
        .fill_status = sync_fill_status,
        .set_propagation = sync_set_propagation,
    };
    settings_net(n->settings, &c);
    c.causes = n->causes;
    enum err rc = net_new(&n->net, &c, &handlers, n->base, e);
    if (rc)
        return rc;
    n->env.net = n->net;
    feeds_set_net(n->feeds, n->net);
    sync_start(n->sync, n->net, n->base);
    relay_start(n->relay, n->net, n->base);
    if (n->gossip)
        bca_gossip_start(n->gossip, n->net, n->base);
    return net_start(n->net, e);
}

/* -invalidateblock: before anything is connected. */
static enum err invalidate_listed(struct node *n, struct error *e)
{
    const char *const *hashes;
    const size_t count = config_list(n->settings->config, "invalidateblock", &hashes);
    enum err rc = OK;
    for (size_t i = 0; !rc && i < count; i++) {
        struct block_hash hash;
        if (!hash_from_hex(hash.b, hashes[i]))
            return error_set(e, ERR_PARSE, "-invalidateblock=%s: must be 64 hex digits", hashes[i]);
        struct header_node *node = header_index_find(chain_headers(n->chain), &hash);
        if (node)
            rc = chain_invalidate(n->chain, node, e);
        else
            log_warn("-invalidateblock=%s: no such block", hashes[i]);
    }
    return rc;
}

static enum err start_chain(struct node *n, struct error *e)
{
    const char *const *files;
    const size_t count = config_list(n->settings->config, "loadblock", &files);
    const char **list = xcalloc(count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i] = files[i];
    const enum err rc = invalidate_listed(n, e);
    if (!rc)
        chain_start(n->chain, list);
    free(list);
    return rc;
}

static enum err open_wallets(struct node *n, struct error *e)
{
    if (!n->follow)
        return OK;
    enum err rc = wallet_setup(n->settings, n->follow, &n->wallets, e);
    if (rc)
        return rc;
    n->wallet_service = wallet_setup_service(n->settings, n->wallets, n->follow);
    n->env.wallets = &n->wallet_service;
    rc = wallet_follow_start(n->follow, n->chain, n->wallets, e);
    if (!rc)
        rc = bca_keep_open(&n->keep, n->settings, &n->env.assigned, e);
    return rc ? rc : bca_keep_start(n->keep, &n->env, e);
}

static enum err open_channels(struct node *n, struct error *e)
{
    return channel_setup_open(&n->channels, n->settings, n->feeds, n->relay, n->records, &n->env,
                              e);
}

static enum err start_records(struct node *n, struct error *e)
{
    return bca_records_start(n->records, &n->env, e);
}

/* Each step undoes nothing: node_close copes with what was not opened. */
static enum err node_open(struct node *n, struct error *e)
{
    static enum err (*const steps[])(struct node *n, struct error *e) = {
        open_loop, open_feeds, open_rpc, open_chain, open_records, open_sync, open_net,
        start_chain, open_wallets, open_channels, start_records,
    };
    enum err rc = OK;
    for (size_t i = 0; !rc && i < COUNT_OF(steps); i++)
        rc = steps[i](n, e);
    return rc;
}

static enum err node_close(struct node *n, struct error *e)
{
    if (n->net)
        net_stop(n->net);
    sync_stop(n->sync);
    relay_stop(n->relay);
    bca_gossip_stop(n->gossip);
    progress_free(n->progress);
    feeds_stop(n->feeds);
    channel_setup_stop(n->channels);
    if (n->follow)
        wallet_follow_cancel(n->follow);
    bca_keep_cancel(n->keep);
    bca_records_cancel(n->records);
    chain_stop(n->chain); /* first: RPC threads that verify it may wait for hours */
    rpc_server_stop(n->server);
    bca_keep_stop(n->keep);
    bca_records_stop(n->records);
    if (n->follow)
        wallet_follow_stop(n->follow);
    channel_setup_free(n->channels);
    bca_keep_free(n->keep);
    wallets_free(n->wallets);
    enum err rc = n->chain ? chain_close(n->chain, e) : OK;
    const enum err feeds_rc = feeds_close(n->feeds, rc ? NULL : e);
    rc = rc ? rc : feeds_rc;
    rpc_server_free(n->server);
    rpc_auth_free(n->auth);
    net_free(n->net);
    sync_free(n->sync);
    relay_free(n->relay);
    bca_gossip_free(n->gossip);
    bca_records_free(n->records);
    tx_inbox_free(n->inbox);
    wallet_follow_free(n->follow);
    for (size_t i = 0; i < SIGNALS; i++)
        if (n->signals[i])
            event_free(n->signals[i]);
    node_events_free(n->events);
    if (n->base)
        event_base_free(n->base);
    return rc;
}

enum err node_run(const struct settings *s, void (*ready)(void *ctx), void *ctx, struct error *e)
{
    struct node *n = xcalloc(1, sizeof(*n));
    n->settings = s;
    n->causes = causes_new(CAUSES_KEPT);
    enum err rc = node_open(n, e);
    if (!rc) {
        const bool live = config_bool(s->config, "progress");
        n->progress =
            progress_new(n->chain, n->net, n->base, live ? PROGRESS_LIVE_LINE : PROGRESS_LOG_ONLY);
        if (n->server)
            rpc_server_set_status(n->server, NULL);
        log_info("ready");
        if (ready)
            ready(ctx);
        event_base_dispatch(n->base);
        log_info("stopping");
    }
    struct error close_error;
    const enum err close_rc = node_close(n, &close_error);
    if (!rc && n->fatal.code) { /* the chain thread has ended, and may have failed stopping */
        rc = n->fatal.code;
        *e = n->fatal;
    } else if (!rc && close_rc) {
        rc = close_rc;
        *e = close_error;
    }
    if (path_remove(s->cookie_path, NULL))
        log_warn("%s could not be removed", s->cookie_path);
    causes_free(n->causes);
    free(n);
    return rc;
}
