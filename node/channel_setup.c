#include <config.h>

#include "node/channel_setup.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/kv_mend.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/bca_view.h"
#include "node/channel_identities.h"
#include "node/channel_services.h"
#include "node/channel_records.h"
#include "node/file_setup.h"
#include "node/message_setup.h"
#include "node/record_setup.h"
#include "node/paychan_setup.h"
#include "wallet/paychan_help.h"
#include "node/paytx_setup.h"
#include "p2p/channels.h"
#include "p2p/successor_part.h"
#include "rpc/wallet_call.h"

#define DIRECTORY "channels"

struct channel_setup {
    const struct settings *settings;
    struct feeds *feeds;
    struct relay *relay;
    struct chain *chain;
    struct bca_view view; /* of the channel thread */
    struct dchan_store *store;
    struct contacts *contacts;
    struct channel_records *records;
    struct bca_records *bca_records;
    struct record_setup *own_records; /* and those that contacts show */
    struct channels *channels;
    struct successor_part *successors;
    struct message_part *messages;
    struct transfers *transfers;
    struct paychans *payments;
    struct paytx *transactions;
    struct channel_identities *identities;
    struct channel_services *services;
};

/* --- what the options say --- */

static unsigned number(const struct config *c, const char *name)
{
    return (unsigned)config_int(c, name);
}

static uint64_t milliseconds(const struct config *c, const char *seconds)
{
    return 1000 * (uint64_t)config_int(c, seconds);
}

static void read_limits(const struct config *c, struct channels_limits *l)
{
    *l = (struct channels_limits){
        .sessions = number(c, "channelsessions"),
        .reserved_contacts = number(c, "channelsessionsreserved"),
        .sessions_old = number(c, "channelsessionsold"),
        .strangers_per_48 = number(c, "channelstrangersper48"),
        .handshakes = number(c, "channelhandshakes"),
        .handshakes_reserved = number(c, "channelhandshakesreserved"),
        .handshakes_per_64 = number(c, "channelhandshakesper64"),
        .handshakes_per_48 = number(c, "channelhandshakesper48"),
        .accepts_burst = number(c, "channelacceptburst"),
        .accepts_refill_s = number(c, "channelacceptrefill"),
        .act1_per_s = number(c, "channelactrate"),
        .windows = config_size(c, "channelwindows"),
        .windows_strangers = config_size(c, "channelwindowsstrangers"),
        .windows_each = config_size(c, "channelwindow"),
        .windows_each_stranger = config_size(c, "channelwindowstranger"),
        .streams = number(c, "channelstreamspercontact"),
        .streams_stranger = number(c, "channelstreamsperstranger"),
        .opens_per_s = number(c, "channelopenrate"),
        .opens_waiting = number(c, "channelopens"),
        .opens_flood_per_s = number(c, "channelopenflood"),
        .open_ms = milliseconds(c, "channelopentime"),
        .dgram_backlog = config_size(c, "channeldatagrambuffer"),
        .dgram_age_ms = number(c, "channeldatagramtime"),
        .duplicate_ms = milliseconds(c, "channelduplicatewait"),
        .known_ms = 86400 * milliseconds(c, "channelknowndays"),
        .pause_ms = milliseconds(c, "channelpause"),
        .pause_max_ms = milliseconds(c, "channelpausemax"),
        .session = {
            .act_ms = milliseconds(c, "channelacttime"),
            .hello_ms = milliseconds(c, "channelhellotime"),
            .ping_ms = milliseconds(c, "channelping"),
            .ping_dead_ms = milliseconds(c, "channelpingtimeout"),
            .provisional_ms = milliseconds(c, "channelprovisional"),
            .going_ms = milliseconds(c, "channelgoing"),
            .out_max = config_size(c, "channelbuffer"),
            .out_slow_percent = number(c, "channelbufferslow"),
            .pings = number(c, "channelpings"),
            .renewal = { milliseconds(c, "channelrenewal"),
                         config_size(c, "channelrenewalsize") },
        },
    };
}

static void read_config(const struct settings *s, struct channels_config *out)
{
    const struct config *c = s->config;
    *out = (struct channels_config){
        .regtest = s->params.network == NETWORK_REGTEST,
        .listen = config_bool(c, "channellisten"),
        .port = config_is_set(c, "channelport") ? (uint16_t)config_int(c, "channelport")
                                                : s->params.channel_port,
        /* several nodes may run on one machine: only a port that somebody chose must be had */
        .bind_or_not = !config_is_set(c, "channelport") && !config_is_set(c, "channelbind"),
        .agent = s->user_agent,
        .strangers = config_bool(c, "channelstrangers"),
        .strangers_unbound = config_bool(c, "channelstrangersunbound"),
        .dial_contacts = config_bool(c, "channeldial"),
        .grace_ms = milliseconds(c, "channelgrace"),
        .padded = strcmp(config_string(c, "channelpadding"), "off") != 0,
    };
    memcpy(out->magic, s->params.wire_magic, sizeof out->magic);
    out->bind.n = config_list(c, "channelbind", &out->bind.v);
    out->blocked.n = config_list(c, "channelblock", &out->blocked.v);
    read_limits(c, &out->limits);
}

/* --- what the channels ask and tell, on their thread --- */

static int32_t height(void *ctx)
{
    struct chain_tip tip;
    chain_get_tip(((struct channel_setup *)ctx)->chain, &tip);
    return tip.height;
}

static size_t endpoints(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE],
                        struct bca_endpoint out[BCA_RECORD_ENDPOINTS_MAX])
{
    return channel_records_endpoints(((struct channel_setup *)ctx)->records, key, out);
}

static void look_for(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    channel_records_look_for(((struct channel_setup *)ctx)->records, key);
}

static void contact_changed(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], bool contact)
{
    channel_records_contact(((struct channel_setup *)ctx)->records, key, contact);
}

static void tell_log(struct channel_setup *cs, const struct event_record *r)
{
    if (!feeds_tell(cs->feeds, r))
        log_debug(LOGC_CHANNEL, "direct channels: an event has found no place in the log");
}

static void tell(struct channel_setup *cs, struct chan_peer *p, enum logged_event type,
                 const char *reason)
{
    struct event_record r = { .type = type };
    struct chan_peer_info info;
    chan_peer_get_info(p, &info);
    const char *last = reason ? reason : info.address;
    memcpy(r.v[SESSION_KEY].key, info.key, sizeof info.key);
    log_sanitize(r.v[SESSION_IDENTITY].text, EVENT_TEXT_MAX, info.identity, strlen(info.identity));
    log_sanitize(r.v[SESSION_ADDRESS].text, EVENT_TEXT_MAX, last, strlen(last));
    tell_log(cs, &r);
}

/* Sessions of strangers are left out: whoever dials must not fill the log. The slot of a peer is
 * set while its session is told of. */
static void session_up(void *ctx, struct chan_peer *p)
{
    void **told = chan_peer_slot(p, ctx);
    if (*told || !chan_peer_contact(p))
        return;
    *told = ctx;
    tell(ctx, p, LOGGED_SESSION_UP, NULL);
}

static void session_down(void *ctx, struct chan_peer *p, const struct dchan_closing *closing)
{
    void **told = chan_peer_slot(p, ctx);
    if (*told)
        tell(ctx, p, LOGGED_SESSION_DOWN, chan_closed_name(closing->why));
    *told = NULL;
}

static void tell_successor(void *ctx, const struct contact *contact,
                           const struct dchan_successor *s, bool followed)
{
    struct channel_setup *cs = ctx;
    struct event_record r = { .type = LOGGED_CONTACT_SUCCESSOR };
    const char *state = followed ? "followed" : "announced";
    (void)contact;
    memcpy(r.v[HEIR_OF].key, s->old_key, sizeof s->old_key);
    memcpy(r.v[HEIR_KEY].key, s->new_key, sizeof s->new_key);
    log_sanitize(r.v[HEIR_STATE].text, EVENT_TEXT_MAX, state, strlen(state));
    tell_log(cs, &r);
}

/* --- opening --- */

static enum err open_store(struct channel_setup *cs, struct error *e)
{
    const struct kv_options o = { .cache_bytes = 4 << 20, .write_buffer_bytes = 4 << 20,
                                  .bloom_filter = true };
    struct kv *kv = NULL;
    char *dir = path_join(cs->settings->net_dir, DIRECTORY);
    enum err rc = kv_open_leveldb_mending(&kv, dir, &o, e);
    if (!rc)
        rc = dchan_store_new(&cs->store, kv, NULL, NULL, e);
    if (!rc)
        rc = contacts_open(&cs->contacts, cs->store, e);
    if (rc)
        rc = error_prefix(e, rc, "direct channels (-channel=0 does without them)");
    free(dir);
    return rc;
}

/* --- payments of services and files --- */

static void take_payment(void *ctx, uint64_t contact, struct span ref, uint64_t amount)
{
    struct channel_setup *cs = ctx;
    const uint64_t left = channel_services_paid(cs->services, contact, ref, amount);
    if (left)
        (void)transfers_paid(cs->transfers, contact, ref, left);
}

static void payments_failed(void *ctx)
{
    struct channel_setup *cs = ctx;
    channel_services_payments_failed(cs->services);
    transfers_payments_failed(cs->transfers);
}

static void connect_payments(struct channel_setup *cs)
{
    const struct paychans_takers takers = { take_payment, payments_failed, cs };
    const struct stream_payments *p =
        cs->payments ? paychans_for_parts(cs->payments, &takers) : NULL;
    channel_services_set_payments(cs->services, p);
    transfers_set_payments(cs->transfers, p);
}

/* What sessions are for. */
static enum err add_parts(struct channel_setup *cs, const struct rpc_env *env, struct error *e)
{
    const struct successor_part_ops successors = { .tell = tell_successor, .ctx = cs };
    const struct channel_part log = { .up = session_up, .down = session_down, .ctx = cs };
    channels_add_part(cs->channels, &log);
    cs->own_records = record_setup_new(cs->channels, cs->bca_records);
    enum err rc = successor_part_new(&cs->successors, cs->channels, &successors, e);
    if (!rc)
        rc = message_setup(&cs->messages, cs->settings->config, cs->channels, cs->feeds, e);
    if (!rc)
        rc = file_setup(&cs->transfers, cs->settings, cs->channels, cs->feeds, e);
    if (!rc)
        rc = channel_services_open(&cs->services, cs->channels, cs->settings->config, e);
    if (!rc)
        rc = paychan_setup(&cs->payments, cs->settings, cs->channels, env, cs->feeds,
                           cs->relay, e);
    if (!rc)
        rc = paytx_setup(&cs->transactions, cs->settings, cs->channels, env, cs->feeds, e);
    if (!rc)
        connect_payments(cs);
    if (!rc && cs->payments)
        message_part_divert(cs->messages, &(struct message_diversion){
            PAYCHAN_HELP_TYPE, paychans_take_help, paychans_help_acked, cs->payments });
    return rc;
}

static enum err make_channels(struct channel_setup *cs, const struct rpc_env *env,
                              struct error *e)
{
    struct channels_config c;
    const struct channels_ops ops = {
        .proof = &cs->view.policy,
        .height = height,
        .endpoints = endpoints,
        .look_for = look_for,
        .contact = contact_changed,
        .ctx = cs,
    };
    read_config(cs->settings, &c);
    const enum err rc = channels_new(&cs->channels, &c, &ops, cs->store, cs->contacts, e);
    if (rc)
        return rc;
    channel_records_attach(cs->records, cs->channels);
    return add_parts(cs, env, e);
}

static enum err start(struct channel_setup *cs, const struct rpc_env *env, struct error *e)
{
    cs->identities = channel_identities_new(env->wallets->wallets, env->assigned, env->chain,
                                            env->records);
    enum err rc = channels_start(cs->channels, e);
    if (!rc && cs->payments)
        rc = paychans_start(cs->payments, e);
    return rc ? rc : channel_identities_start(cs->identities, cs->channels, e);
}

static void refresh(void *ctx)
{
    channel_identities_refresh(((struct channel_setup *)ctx)->identities);
}

static void keys_locked(void *ctx, const char *wallet)
{
    channel_identities_lock(((struct channel_setup *)ctx)->identities, wallet);
}

enum err channel_setup_open(struct channel_setup **out, const struct settings *s,
                            struct feeds *feeds, struct relay *relay,
                            struct bca_records *records, struct rpc_env *env, struct error *e)
{
    *out = NULL;
    if (!config_bool(s->config, "channel") || !env->wallets)
        return OK;
    struct channel_setup *cs = xcalloc(1, sizeof(*cs));
    *out = cs;
    cs->settings = s;
    cs->feeds = feeds;
    cs->relay = relay;
    cs->bca_records = records;
    cs->chain = env->chain;
    bca_view_init_indexed(&cs->view, env->chain);
    cs->records = channel_records_new(env, s->params.network == NETWORK_REGTEST);
    enum err rc = open_store(cs, e);
    if (!rc)
        rc = make_channels(cs, env, e);
    if (!rc)
        rc = start(cs, env, e);
    if (rc)
        return rc;
    env->channels = cs->channels;
    env->transfers = cs->transfers;
    channel_services_show(cs->services, env);
    env->payments = cs->payments ? paychans_service(cs->payments) : NULL;
    env->transactions = cs->transactions ? paytx_service(cs->transactions) : NULL;
    env->keeper = (struct rpc_key_keeper){ refresh, keys_locked, cs };
    return OK;
}

struct count {
    const struct channel_setup *cs;
    struct channels_memory *out;
};

static void count_session(struct chan_peer *p, void *ctx)
{
    if (chan_peer_is_up(p))
        ((struct channels_memory *)ctx)->channels += DCHAN_SESSION_IDLE_BYTES;
}

static void count_all(struct channels *c, void *ctx)
{
    const struct count *count = ctx;
    *count->out = (struct channels_memory){
        .channels = contacts_bytes(channels_contacts(c)) +
                    kv_memory_bytes(dchan_store_kv(count->cs->store)) +
                    dchan_store_waiting(count->cs->store),
        .messages = message_part_memory(count->cs->messages),
        .files = transfers_memory(count->cs->transfers),
        .payments = paychans_memory(count->cs->payments) +
                    paytx_memory(count->cs->transactions),
    };
    channels_each_peer(c, count_session, count->out);
}

void channel_setup_memory(struct channel_setup *cs, struct channels_memory *out)
{
    struct count count = { cs, out };
    if (cs && cs->channels && !channels_call(cs->channels, count_all, &count))
        log_debug(LOGC_CHANNEL, "direct channels have stopped: their memory is not counted");
}

void channel_setup_own_record(struct channel_setup *cs)
{
    if (cs)
        record_part_own_changed(cs->channels);
}

void channel_setup_tip_changed(struct channel_setup *cs)
{
    if (!cs)
        return;
    channels_recheck(cs->channels);
    paychans_tip_changed(cs->payments);
}

void channel_setup_stop(struct channel_setup *cs)
{
    if (!cs)
        return;
    if (cs->channels)
        paychans_help_before_stop(cs->payments);
    channel_identities_stop(cs->identities);
    if (cs->channels)
        channels_stop(cs->channels);
    paychans_cancel_pays(cs->payments);
    paytx_cancel(cs->transactions);
    if (cs->services)
        channel_services_set_payments(cs->services, NULL);
    if (cs->transfers)
        transfers_set_payments(cs->transfers, NULL);
    transfers_stop(cs->transfers);
}

/* The store first: it completes what waits, which contacts, parts and channels hear of. */
void channel_setup_free(struct channel_setup *cs)
{
    if (!cs)
        return;
    paychans_stop(cs->payments);
    paytx_stop(cs->transactions);
    dchan_store_free(cs->store);
    paychans_free(cs->payments);
    paytx_free(cs->transactions);
    transfers_free(cs->transfers);
    successor_part_free(cs->successors);
    message_part_free(cs->messages);
    record_setup_free(cs->own_records);
    channel_records_free(cs->records);
    channel_services_free(cs->services);
    channels_free(cs->channels);
    channel_identities_free(cs->identities);
    contacts_free(cs->contacts);
    free(cs);
}
