#include "rpc/own_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "p2p/bca_intake.h"
#include "p2p/channels.h"
#include "p2p/successor_part.h"
#include "rpc/identity_link.h"
#include "rpc/identity_revoked.h"
#include "rpc/wallet_call.h"

/* A record on its way. */
struct making {
    struct rpc_call *call;
    struct wallet *w;
    struct identity id;
    struct identity_address at; /* that is announced */
    bool has_address;
    int64_t assigned;           /* of at: since when it is on an interface; 0: it is on none */
    unsigned collisions;
    struct bca_own own;
    struct bca_record last;     /* of own, where there is one */
    const char *alias;          /* NULL: that of last */
    uint8_t features[DCHAN_FEATURES_MAX]; /* that sessions offer now */
    size_t n_features;
};

static void making_init(struct making *m, struct rpc_call *call, struct wallet *w)
{
    *m = (struct making){ .call = call, .w = w };
    if (call->env->channels) {
        const struct dchan_features f = channels_features(call->env->channels);
        m->n_features = dchan_features_write(m->features, &f);
    }
    identity_init(&m->id);
    identity_address_init(&m->at);
}

static void making_clear(struct making *m)
{
    identity_address_clear(&m->at);
    identity_clear(&m->id);
}

static bool has_last(const struct making *m) { return m->own.record_len > 0; }

/* Where sessions are listened for, or would be. */
static uint16_t port_of(const struct rpc_env *env)
{
    const uint16_t port = env->channels ? channels_port(env->channels) : 0;
    if (port)
        return port;
    return config_is_set(env->config, "channelport")
               ? (uint16_t)config_int(env->config, "channelport")
               : chain_get_params(env->chain)->channel_port;
}

/* --- the address ---------------------------------------------------------------------------- */

/* One on an interface goes before the others, then the one that was formed last. */
static bool goes_before(const struct making *m, int64_t assigned, unsigned modifier,
                        unsigned collisions)
{
    if (!m->has_address || assigned != m->assigned)
        return !m->has_address || assigned > m->assigned;
    if (modifier != m->at.modifier)
        return modifier > m->at.modifier;
    return collisions > m->collisions;
}

static void take_address(struct making *m, const struct identity_address *a)
{
    struct buf params = m->at.params;
    m->at = *a;
    m->at.params = params;
    buf_reset(&m->at.params);
    buf_put(&m->at.params, a->params.data, a->params.len);
    m->has_address = true;
}

static enum err see_address(void *ctx, const struct identity_address *a, struct error *e)
{
    struct making *m = ctx;
    struct assigned_address at;
    unsigned collisions;
    if (strcmp(a->name, m->own.name) != 0 ||
        rpc_identity_address_state(m->call, a) != ADDRESS_READY)
        return OK;
    const enum err rc = identity_address_collisions(a, &collisions, e);
    if (rc)
        return rc;
    const bool on_interface = rpc_link_find(m->call, m->w, a->address, &at) &&
                              assigned_in_use(m->call->env->assigned, &at);
    const int64_t assigned = on_interface ? at.since : 0;
    if (!goes_before(m, assigned, a->modifier, collisions))
        return OK;
    take_address(m, a);
    m->assigned = assigned;
    m->collisions = collisions;
    return OK;
}

/* False: call has failed. */
static bool choose_address(struct making *m)
{
    struct error e = { .code = OK };
    wallet_lock(m->w);
    const enum err rc = identity_each_address(wallet_keystore(m->w), see_address, m, &e);
    wallet_unlock(m->w);
    if (rc)
        rpc_wallet_fail(m->call, &e);
    return rc == OK;
}

/* --- making --------------------------------------------------------------------------------- */

static bool sign(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    const struct identity_secrets *s = ctx;
    uint8_t digest[32];
    sha256_tagged(digest, tag, text.data, text.len);
    return ec_sign_rs(sig, s->key, digest);
}

/* Where contacts find us when the key has a successor, or is one (spec channels 2.7). */
struct succession {
    const uint8_t *key;
    struct dchan_successor s;
    bool found;
};

static void find_successor(struct channels *c, void *ctx)
{
    struct succession *s = ctx;
    s->found = successor_part_of(c, s->key, &s->s);
}

static bool look_up_succession(const struct making *m, struct succession *s)
{
    struct channels *c = m->call->env->channels;
    return c && channels_call(c, find_successor, s) && s->found;
}

/* Appends a TLV stream, or nothing. */
static void put_succession(const struct making *m, struct buf *ext)
{
    struct succession s = { .key = m->own.key };
    if (look_up_succession(m, &s))
        bca_record_put_successor(ext, &s.s);
}

/* Another identity of ours goes on: no record of this one is made but the last. */
static bool is_followed(const struct making *m)
{
    struct succession s = { .key = m->own.key };
    return look_up_succession(m, &s) && mem_equal_var(s.s.old_key, m->own.key, IDENTITY_KEY_SIZE);
}

/* The statement that belongs into its records was made after the last of them. */
static bool lacks_succession(const struct making *m)
{
    struct succession s = { .key = m->own.key };
    return look_up_succession(m, &s) && !m->last.has_successor;
}

/* A last record keeps it, for the next one that is no last one. */
static struct span alias_of(const struct making *m)
{
    if (m->alias)
        return span_of(m->alias, strlen(m->alias));
    return has_last(m) ? m->last.alias : span_of(NULL, 0);
}

enum kind { RECORD_OF_ADDRESS, RECORD_TOMBSTONE };

static struct bca_record fill(const struct making *m, enum kind kind)
{
    const uint32_t now = (uint32_t)clock_now();
    struct bca_record r = { .tombstone = kind == RECORD_TOMBSTONE };
    r.seq = bca_record_next_seq(m->own.seq, (uint64_t)clock_now_ms());
    r.issued = has_last(m) ? MAX_OF(now, m->last.issued) : now;
    r.expires = r.issued + (r.tombstone ? BCA_RECORD_LIFETIME_MAX : BCA_RECORD_LIFETIME);
    r.alias = alias_of(m);
    if (r.tombstone)
        return r;
    r.features = span_of(m->features, m->n_features);
    r.n_endpoints = 1;
    r.endpoints[0].type = BCA_RECORD_TCP6;
    r.endpoints[0].port = port_of(m->call->env);
    memcpy(r.endpoints[0].address, m->at.address, sizeof r.endpoints[0].address);
    r.params = buf_span(&m->at.params);
    return r;
}

static enum err write_signed(struct making *m, const struct bca_record *r, struct buf *raw,
                             struct error *e)
{
    struct identity_secrets secrets;
    struct identity_key key = { .sign = sign, .ctx = &secrets };
    wallet_lock(m->w);
    enum err rc = identity_get_secrets(wallet_keystore(m->w), &m->id, &secrets, e);
    wallet_unlock(m->w);
    memcpy(key.pub, m->id.public_key, sizeof key.pub);
    if (!rc && bca_record_write(raw, r, &key))
        rc = error_set(e, ERR_RANGE, "the record cannot be written");
    secure_wipe(&secrets, sizeof secrets);
    return rc;
}

/* To our own store and, when it is for everybody, so to all. */
static void show(struct rpc_env *env, const struct bca_own *own)
{
    struct error e = { .code = OK };
    struct bca_answer a;
    const struct bca_offer o = { .raw = span_of(own->record, own->record_len),
                                 .way = own->open ? BCA_OF_OURS : BCA_OF_OURS_DIRECT };
    if (bca_intake_offer(env->record_intake, &o, &a, &e))
        log_warn("identities: record of %s: %s", own->name, e.text);
    else
        log_debug(LOGC_WALLET, "identities: record of %s: %s", own->name,
                  a.outcome == BCA_REFUSED ? bca_record_fault_name(a.fault)
                                           : bca_outcome_name(a.outcome));
}

/*
 * One for contacts alone must not take the place of the last one for everybody, by which the others
 * hear that the identity has left.
 */
static void show_where_missing(struct rpc_env *env, const struct making *m)
{
    struct bca_facts known = { .seq = 0 };
    uint8_t record_key[32];
    bca_record_key(record_key, m->own.key);
    if (bca_store_look(env->records, record_key, &known) && known.size &&
        (known.seq >= m->own.seq || (!m->own.open && bca_facts_public(&known))))
        return;
    if (clock_now() < (int64_t)m->last.expires &&
        bca_intake_wants(env->record_intake, record_key, m->own.seq))
        show(env, &m->own);
}

/* The next record of m->own, on disk and then shown. False: call has failed. */
static bool issue(struct making *m, enum kind kind)
{
    struct bca_record r = fill(m, kind);
    struct bca_own next = m->own;
    struct error e = { .code = OK };
    struct buf raw, ext;
    buf_init(&raw);
    buf_init(&ext);
    put_succession(m, &ext);
    r.ext = buf_span(&ext);
    enum err rc = write_signed(m, &r, &raw, &e);
    if (!rc) {
        next.seq = r.seq;
        next.record_len = raw.len; /* the format has a limit */
        memcpy(next.record, raw.data, raw.len);
        rc = bca_own_put(m->call->env->records, &next, &e);
    }
    buf_clear(&raw);
    buf_clear(&ext);
    if (rc) {
        rpc_wallet_fail(m->call, &e);
        return false;
    }
    m->own = next;
    (void)bca_record_read(&m->last, span_of(m->own.record, m->own.record_len));
    bca_store_set_contact(m->call->env->records, m->own.key, true);
    show_where_missing(m->call->env, m);
    if (m->call->env->own_record_changed)
        m->call->env->own_record_changed(m->call->env->node);
    return true;
}

/* --- setpublication ------------------------------------------------------------------------- */

static void read_last(struct making *m)
{
    if (has_last(m) && bca_record_read(&m->last, span_of(m->own.record, m->own.record_len)))
        m->own.record_len = 0; /* of a program that knew more */
}

/* False: call has failed. */
static bool load_own(struct making *m, const char *name)
{
    const char *wallet = wallet_name(m->w);
    if (strlen(wallet) > BCA_OWN_NAME_MAX) {
        rpc_fail(m->call, RPC_WALLET_ERROR, "the name of the wallet is too long for that");
        return false;
    }
    if (!bca_own_get(m->call->env->records, m->id.public_key, &m->own)) {
        m->own = (struct bca_own){ .mode = BCA_PRIVATE };
        memcpy(m->own.key, m->id.public_key, sizeof m->own.key);
    }
    memcpy(m->own.wallet, wallet, strlen(wallet) + 1);
    memcpy(m->own.name, name, strlen(name) + 1);
    read_last(m);
    return true;
}

/* Somebody may hold the last record for good. */
static bool is_told(const struct making *m)
{
    return has_last(m) && !m->last.tombstone && clock_now() < (int64_t)m->last.expires;
}

static bool store_mode(struct making *m, enum bca_publication mode)
{
    struct error e = { .code = OK };
    m->own.mode = mode;
    if (bca_own_put(m->call->env->records, &m->own, &e) == OK)
        return true;
    rpc_fail_error(m->call, &e);
    return false;
}

/* Another wallet goes on with it, and with the numbers of its records. False: call has failed. */
static bool is_here(struct making *m, const struct standing *s)
{
    const bool moved = s->state == STANDS_MOVING || s->state == STANDS_MOVED;
    if (moved)
        rpc_fail(m->call, RPC_WALLET_ERROR, "%s has moved to another wallet", m->id.name);
    return !moved;
}

static bool leave(struct making *m)
{
    m->own.mode = BCA_PRIVATE;
    return is_told(m) && !m->own.doubled ? issue(m, RECORD_TOMBSTONE)
                                         : store_mode(m, BCA_PRIVATE);
}

static bool same_span(struct span a, struct span b)
{
    return a.len == b.len && (!a.len || mem_equal_var(a.data, b.data, a.len));
}

static bool is_current(const struct making *m)
{
    return is_told(m) && same_span(m->last.alias, alias_of(m)) &&
           same_span(m->last.features, span_of(m->features, m->n_features)) &&
           m->last.endpoints[0].port == port_of(m->call->env) &&
           mem_equal_var(m->last.endpoints[0].address, m->at.address, BCA_ADDRESS_SIZE);
}

/* False: call has failed. */
static bool may_announce(struct making *m, const struct standing *s)
{
    if (m->own.doubled)
        rpc_fail(m->call, RPC_WALLET_ERROR,
                 "somebody else announces %s with its key: a second copy of it runs, or the key is "
                 "stolen", m->own.name);
    else if (is_followed(m))
        rpc_fail(m->call, RPC_WALLET_ERROR, "%s has a successor, which is announced in its place",
                 m->own.name);
    else if (!rpc_identity_in_force(m->call, m->w, &m->id, s) || !choose_address(m))
        return false;
    else if (!m->has_address)
        rpc_fail(m->call, RPC_WALLET_ERROR,
                 "%s has no address that is in force: form one with bcanew", m->own.name);
    else
        return true;
    return false;
}

/* What was open is taken back first when only contacts shall know. */
static bool announce(struct making *m, const struct standing *s, enum bca_publication mode)
{
    const bool open = mode == BCA_PUBLIC;
    if (!may_announce(m, s))
        return false;
    if (m->own.mode == mode && is_current(m))
        return store_mode(m, mode);
    if (is_told(m) && m->own.open && !open && !leave(m))
        return false;
    m->own.mode = mode;
    m->own.open = open;
    return issue(m, RECORD_OF_ADDRESS);
}

bool own_record_set(struct rpc_call *call, struct wallet *w, const char *identity,
                    enum bca_publication mode, const char *alias, struct bca_own *out)
{
    struct bca_store *store = call->env->records;
    struct standing s;
    struct making m;
    making_init(&m, call, w);
    m.alias = alias;
    bca_own_begin(store);
    bool done = rpc_identity_load(call, w, identity, &m.id, &s) && is_here(&m, &s) &&
                load_own(&m, identity);
    if (done)
        done = mode == BCA_PRIVATE ? leave(&m) : announce(&m, &s, mode);
    bca_own_end(store);
    *out = m.own;
    making_clear(&m);
    return done;
}

void own_record_moved(struct rpc_env *env, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct error e = { .code = OK };
    if (!env->records)
        return;
    bca_own_begin(env->records);
    if (bca_own_forget(env->records, key, &e))
        log_warn("identities: %s", e.text);
    bca_own_end(env->records);
}

/* --- from time to time ---------------------------------------------------------------------- */

/* False: they cannot be read. */
static bool list_own(struct rpc_env *env, struct bca_own **all, size_t *n)
{
    struct error e = { .code = OK };
    if (bca_own_list(env->records, all, n, &e) == OK)
        return true;
    log_warn("identities: %s", e.text);
    return false;
}

void own_records_begin(struct rpc_env *env)
{
    struct bca_own *all;
    size_t n;
    if (!list_own(env, &all, &n))
        return;
    for (size_t i = 0; i < n; i++)
        bca_store_set_contact(env->records, all[i].key, true);
    free(all);
}

static bool is_due(const struct making *m)
{
    const int64_t pause_s = config_int(m->call->env->config, "recordownpause");
    const int64_t age = clock_now() - (int64_t)m->last.issued;
    const int64_t life = (int64_t)m->last.expires - (int64_t)m->last.issued;
    return !has_last(m) || m->last.tombstone || age >= life / 2 ||
           (age >= pause_s && m->has_address && (!is_current(m) || lacks_succession(m)));
}

/* Its last record, since setsuccessor. False: call has failed. */
static bool retire(struct making *m)
{
    struct standing s;
    return rpc_identity_load(m->call, m->w, m->own.name, &m->id, &s) && is_here(m, &s) && leave(m);
}

/* False: call has failed. */
static bool renew(struct making *m)
{
    struct standing s;
    if (is_followed(m))
        return retire(m);
    if (!choose_address(m))
        return false;
    if (!is_due(m))
        return true;
    return rpc_identity_load(m->call, m->w, m->own.name, &m->id, &s) && is_here(m, &s) &&
           may_announce(m, &s) && issue(m, RECORD_OF_ADDRESS);
}

static void say(struct own_keeper *k, const char *name, const struct rpc_call *call)
{
    char text[ERROR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s cannot be announced anew: %.*s", name,
                   (int)MIN_OF(call->message.len, sizeof text), (const char *)call->message.data);
    if (strcmp(text, k->said) == 0)
        return;
    log_warn("identities: %s", text);
    memcpy(k->said, text, sizeof k->said);
}

/* Between bca_own_begin and _end. A wallet that is not loaded is left alone. */
static void keep_one(struct rpc_env *env, struct own_keeper *k, const uint8_t *key)
{
    struct json_writer out;
    struct buf nothing;
    struct rpc_call call = { .env = env, .out = &out };
    struct making m;
    buf_init(&call.message);
    buf_init(&nothing);
    jw_init(&out, &nothing, NULL, NULL);
    making_init(&m, &call, NULL);
    if (bca_own_get(env->records, key, &m.own) && !m.own.doubled) {
        read_last(&m);
        if (has_last(&m)) /* the store has lost it, or could not judge it for too long */
            show_where_missing(env, &m);
        call.wallet = m.own.wallet;
        if (m.own.mode != BCA_PRIVATE && env->wallets)
            m.w = wallets_get(env->wallets->wallets, m.own.wallet);
        if (m.w && !renew(&m))
            say(k, m.own.name, &call);
        wallet_unref(m.w);
    }
    making_clear(&m);
    buf_clear(&call.message);
    buf_clear(&nothing);
}

void own_records_keep(struct rpc_env *env, struct own_keeper *k)
{
    struct bca_own *all;
    size_t n;
    if (!list_own(env, &all, &n))
        return;
    for (size_t i = 0; i < n && !cancelled(env->cancel); i++) {
        bca_own_begin(env->records);
        keep_one(env, k, all[i].key);
        bca_own_end(env->records);
    }
    free(all);
}
