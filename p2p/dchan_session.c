/*
 * A session may be told to end while one of its streams is at work, or in a callback of its owner.
 * So the end waits until the call that came from outside is over: session_doom notes it,
 * session_leave carries it out. Where nothing else is on the stack it happens at once.
 */
#include "p2p/dchan_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/dchan_duplicate.h"
#include "p2p/dchan_session_internal.h"

#define PINGS_MS 10000
#define SHRINK_AFTER_MS 1000

static const struct span nothing;

const struct dchan_session_limits dchan_session_defaults = {
    .act_ms = DCHAN_ACT_TIMEOUT_MS, .hello_ms = DCHAN_HELLO_TIMEOUT_MS,
    .ping_ms = DCHAN_PING_IDLE_MS, .ping_dead_ms = DCHAN_PING_DEAD_MS,
    .provisional_ms = DCHAN_PROVISIONAL_MS, .going_ms = DCHAN_GOING_MS,
    .out_max = DCHAN_OUT_MAX, .out_slow_percent = DCHAN_OUT_SLOW_PERCENT,
    .pings = DCHAN_PINGS_TAKEN,
    .renewal = { DCHAN_RENEW_AGE_MS, DCHAN_RENEW_BYTES },
};

/* --- the end --- */

void session_close(struct dchan_session *s, enum dchan_closed why, unsigned code, struct span text)
{
    if (s->state == SESSION_CLOSED)
        return;
    s->state = SESSION_CLOSED;
    s->closed_ms = s->now_ms;
    s->mute = why == DCHAN_CLOSED_HANDSHAKE || why == DCHAN_CLOSED_OWN_KEY ||
              why == DCHAN_CLOSED_TIMEOUT || why == DCHAN_CLOSED_DEAD ||
              why == DCHAN_CLOSED_TAMPERED || why == DCHAN_CLOSED_LOCAL;
    if (s->mux)
        dchan_mux_end(s->mux, DCHAN_RESET_TRUNCATED);
    s->config.ops->closed(s->config.ctx, &(struct dchan_closing){ why, code, text });
}

static void put_error(struct dchan_session *s, enum dchan_error code)
{
    const struct dchan_msg m = { .type = DCHAN_ERROR, .notice = { .code = (uint16_t)code } };
    if (code && s->rec && s->state != SESSION_CLOSED)
        session_put_last(s, &m);
}

void session_fail(struct dchan_session *s, enum dchan_error code)
{
    put_error(s, code);
    session_close(s, code ? DCHAN_CLOSED_BY_US : DCHAN_CLOSED_LOCAL, code, nothing);
}

void session_doom(struct dchan_session *s, enum dchan_closed why, enum dchan_error code)
{
    if (s->doomed)
        return;
    s->doomed = true;
    s->doom = why;
    s->doom_code = code;
}

void session_enter(struct dchan_session *s, uint64_t now_ms)
{
    s->now_ms = MAX_OF(now_ms, s->now_ms);
    s->busy++;
}

void session_leave(struct dchan_session *s)
{
    if (s->busy == 1 && s->state != SESSION_CLOSED) {
        if (s->state == SESSION_UP && !s->doomed)
            session_try_bye(s);
        if (s->doomed) {
            put_error(s, s->doom_code);
            session_close(s, s->doom, s->doom_code, nothing);
        }
    }
    s->busy--;
}

bool dchan_session_done(const struct dchan_session *s)
{
    return s->state == SESSION_CLOSED &&
           (s->mute || session_waiting(s) == 0 || s->now_ms - s->closed_ms >= DCHAN_FLUSH_MS);
}

void dchan_session_abort(struct dchan_session *s, enum dchan_error code, uint64_t now_ms)
{
    session_enter(s, now_ms);
    session_doom(s, code ? DCHAN_CLOSED_BY_US : DCHAN_CLOSED_LOCAL, code);
    session_leave(s);
}

/* --- life --- */

static void keep_hello(struct dchan_session *s)
{
    struct dchan_msg m = { .type = DCHAN_HELLO, .hello = s->config.hello };
    uint8_t features[DCHAN_FEATURES_MAX];
    m.hello.version = DCHAN_VERSION;
    m.hello.features =
        span_of(features, dchan_features_write(features, &s->config.features));
    dchan_msg_write(&s->our_hello, &m);
    buf_put(&s->our_params, m.hello.params.data, m.hello.params.len);
    s->config.hello.agent = s->config.hello.params = nothing;
}

static bool start_acts(struct dchan_session *s)
{
    uint8_t prologue[DCHAN_PROLOGUE_SIZE];
    dchan_prologue(prologue, s->config.magic);
    const struct dchan_hs_config config = {
        .role = s->config.role, .prologue = span_of(prologue, sizeof prologue),
        .key = s->config.key, .remote_key = s->config.remote_key
    };
    s->hs = xcalloc(1, sizeof *s->hs);
    if (dchan_hs_init(s->hs, &config))
        return false;
    if (s->config.role == DCHAN_RESPONDER)
        return true;
    memcpy(s->key, s->config.remote_key, sizeof s->key);
    s->config.remote_key = NULL;
    if (s->config.ops->is_own_key(s->config.ctx, s->key))
        return false;
    return dchan_hs_start(s->hs, buf_extend(&s->acts, DCHAN_ACT_ONE_SIZE)) == OK;
}

static void drop_acts(struct dchan_session *s)
{
    if (s->hs)
        dchan_hs_clear(s->hs);
    free(s->hs);
    s->hs = NULL;
}

struct dchan_session *dchan_session_new(const struct dchan_session_config *config, uint64_t now_ms)
{
    struct dchan_session *s = xcalloc(1, sizeof *s);
    s->config = *config;
    if (!s->config.limits)
        s->config.limits = &dchan_session_defaults;
    s->now_ms = s->act_ms = s->heard_ms = now_ms;
    const unsigned pings = s->config.limits->pings;
    ratelimit_init(&s->pings, pings * 1000 * 1000 / PINGS_MS, pings, pings, (int64_t)now_ms);
    keep_hello(s);
    if (start_acts(s))
        return s;
    dchan_session_free(s);
    return NULL;
}

static void drop_hello(struct dchan_session *s)
{
    buf_clear(&s->our_hello);
    buf_clear(&s->our_params);
}

static void drop_written_acts(struct dchan_session *s)
{
    if (s->acts_written < s->acts.len)
        return;
    buf_clear(&s->acts);
    s->acts_written = 0;
}

void dchan_session_free(struct dchan_session *s)
{
    if (!s)
        return;
    drop_acts(s);
    drop_hello(s);
    buf_clear(&s->acts);
    buf_clear(&s->their_params);
    dchan_mux_free(s->mux);
    dchan_rec_free(s->rec);
    free(s);
}

/* --- bytes out --- */

enum err session_put(struct dchan_session *s, struct span head, struct span body)
{
    if (s->state == SESSION_CLOSED || !s->rec)
        return ERR_CANCELLED;
    const enum err rc = dchan_rec_put(s->rec, head, body, s->now_ms);
    if (rc && rc != ERR_CANCELLED)
        session_doom(s, DCHAN_CLOSED_LOCAL, DCHAN_NO_ERROR);
    return rc;
}

enum err session_put_msg(struct dchan_session *s, const struct dchan_msg *m)
{
    struct buf b;
    buf_init(&b);
    dchan_msg_write(&b, m);
    const enum err rc = session_put(s, buf_span(&b), nothing);
    buf_clear(&b);
    return rc;
}

size_t session_waiting(const struct dchan_session *s)
{
    return s->acts.len - s->acts_written + (s->rec ? dchan_rec_output(s->rec).len : 0);
}

bool dchan_session_slow(const struct dchan_session *s)
{
    const struct dchan_session_limits *limits = s->config.limits;
    return session_waiting(s) >= (uint64_t)limits->out_max * limits->out_slow_percent / 100;
}

struct span dchan_session_output(struct dchan_session *s, uint64_t now_ms)
{
    session_enter(s, now_ms);
    if (!session_beat(s)) {
        const size_t room = session_room(s);
        if (room)
            dchan_mux_pump(s->mux, room);
        session_pad(s, 0);
    }
    session_leave(s);
    if (s->mute)
        return nothing;
    if (s->acts.len > s->acts_written)
        return span_of(s->acts.data + s->acts_written, s->acts.len - s->acts_written);
    return s->rec ? session_may_leave(s) : nothing;
}

void dchan_session_written(struct dchan_session *s, size_t n, uint64_t now_ms)
{
    s->now_ms = MAX_OF(now_ms, s->now_ms);
    if (s->acts.len > s->acts_written) {
        s->acts_written += n;
        BUG_ON(s->acts_written > s->acts.len);
        drop_written_acts(s);
        return;
    }
    dchan_rec_written(s->rec, n);
    session_note_speed(s, n);
    s->beat_left -= MIN_OF(n, s->beat_left);
    s->written += n;
    if (s->written >= s->mark) {
        s->mark = dchan_rec_stats(s->rec)->bytes_sent;
        s->mark_ms = s->now_ms;
    }
}

/* --- hello and bound --- */

static void greet(struct dchan_session *s)
{
    s->hello_sent = true;
    session_put(s, buf_span(&s->our_hello), nothing);
}

/* The two ends as this side sees them, in the order of roles. */
static void make_ends(const struct dchan_session *s, struct dchan_end *initiator,
                      struct dchan_end *responder)
{
    const struct dchan_end ours = {
        .address = s->our_params.len && !s->config.relayed ? s->config.local : NULL,
        .params = buf_span(&s->our_params)
    };
    const struct dchan_end theirs = {
        .address = s->their_params.len && !s->config.relayed ? s->config.remote : NULL,
        .params = buf_span(&s->their_params)
    };
    *initiator = s->config.role == DCHAN_INITIATOR ? ours : theirs;
    *responder = s->config.role == DCHAN_INITIATOR ? theirs : ours;
}

static void maybe_up(struct dchan_session *s)
{
    if (s->state != SESSION_GREETING || !s->bound_sent || !s->bound_received)
        return;
    drop_hello(s);
    session_become_up(s);
}

static void send_bound(struct dchan_session *s)
{
    struct dchan_msg m = { .type = DCHAN_BOUND_MSG };
    struct dchan_end initiator, responder;
    if (s->bound_sent || !s->hello_sent || !s->hello_received || s->state != SESSION_GREETING)
        return;
    make_ends(s, &initiator, &responder);
    dchan_bound_make(&m.bound, s->session_id, &initiator, &responder);
    s->bound_sent = true;
    session_put_msg(s, &m);
    maybe_up(s);
}

void dchan_session_settled(struct dchan_session *s, uint64_t now_ms)
{
    session_enter(s, now_ms);
    s->settled = true; /* within `greeted` our hello is still to leave */
    send_bound(s);
    session_leave(s);
}

static struct dchan_seen seen_of(const struct dchan_session *s)
{
    return (struct dchan_seen){ s->key, s->config.relayed ? NULL : s->config.remote };
}

/* The code to close with. */
static enum dchan_error judge(struct dchan_session *s, const struct dchan_hello *h,
                              struct dchan_standing *standing)
{
    const struct bca_policy *proof = NULL;
    const struct dchan_seen seen = seen_of(s);
    *standing = (struct dchan_standing){ .result = BCA_INVALID };
    s->policy = (struct dchan_policy){ 0 };
    if (!s->config.ops->rules(s->config.ctx, s->key, &s->policy, &proof))
        return DCHAN_ERROR_IDENTITY;
    s->policy.role = s->config.role;
    s->policy.offered = s->config.features.offered;
    dchan_hello_judge(h, &seen, proof, &s->policy, standing);
    return standing->error;
}

static void keep_peer(struct dchan_session *s, const struct dchan_hello *h,
                      const struct dchan_standing *standing)
{
    s->peer.binding = standing->binding;
    s->peer.contact = s->policy.contact;
    s->peer.provisional = standing->provisional;
    s->peer.version = standing->version;
    s->peer.features = standing->features;
    s->provisional_ms = s->now_ms;
    buf_put(&s->their_params, h->params.data, h->params.len);
    memcpy(s->their_address, h->address, sizeof s->their_address);
    s->hello_received = true;
}

static void take_hello(struct dchan_session *s, const struct dchan_hello *h)
{
    struct dchan_standing standing;
    if (s->hello_received) {
        session_fail(s, DCHAN_ERROR_MALFORMED);
        return;
    }
    const enum dchan_error error = judge(s, h, &standing);
    if (error) {
        session_fail(s, error);
        return;
    }
    keep_peer(s, h, &standing);
    if (s->config.ops->greeted(s->config.ctx, h))
        s->settled = true;
    if (s->doomed || s->state != SESSION_GREETING)
        return;
    if (s->config.role == DCHAN_RESPONDER)
        greet(s);
    if (s->settled)
        send_bound(s);
}

static void take_bound(struct dchan_session *s, const struct dchan_bound *m)
{
    struct dchan_end initiator, responder;
    if (!s->hello_received || s->bound_received) {
        session_fail(s, DCHAN_ERROR_MALFORMED);
        return;
    }
    make_ends(s, &initiator, &responder);
    const enum dchan_bound_result result =
        dchan_bound_check(m, s->session_id, &initiator, &responder);
    s->peer.translated = result == DCHAN_BOUND_TRANSLATED;
    if (s->peer.translated && s->peer.binding == DCHAN_BOUND)
        s->peer.binding = DCHAN_UNBOUND;
    if (result == DCHAN_BOUND_WRONG || !dchan_binding_allowed(s->peer.binding, &s->policy)) {
        session_fail(s, DCHAN_ERROR_IDENTITY);
        return;
    }
    s->bound_received = true;
    maybe_up(s);
}

static void end_if_revoked_long_enough(struct dchan_session *s)
{
    if (s->revoked && s->now_ms - s->revoked_ms >= s->config.grace_ms)
        session_doom(s, DCHAN_CLOSED_BY_US, DCHAN_ERROR_IDENTITY);
}

/* What a view cannot tell changes nothing: it is no verdict. */
static void take_standing(struct dchan_session *s, const struct dchan_standing *standing,
                          enum dchan_error error)
{
    if (standing->result == BCA_UNDETERMINED)
        return;
    if (standing->result == BCA_INVALID && standing->step == BCA_STEP_REVOKED) {
        if (!s->revoked)
            s->revoked_ms = s->now_ms;
        s->revoked = true;
        end_if_revoked_long_enough(s);
        return;
    }
    s->revoked = false;
    if (error || !dchan_binding_allowed(s->peer.binding, &s->policy))
        session_doom(s, DCHAN_CLOSED_BY_US, DCHAN_ERROR_IDENTITY);
    else
        s->peer.provisional = false;
}

void dchan_session_recheck(struct dchan_session *s, uint64_t now_ms)
{
    struct dchan_standing standing;
    session_enter(s, now_ms);
    if (s->hello_received && s->state != SESSION_CLOSED && s->their_params.len) {
        struct dchan_hello h = { .version = DCHAN_VERSION, .has_bca = true,
                                 .params = buf_span(&s->their_params) };
        memcpy(h.address, s->their_address, sizeof h.address);
        const enum dchan_error error = judge(s, &h, &standing);
        s->peer.contact = s->policy.contact;
        take_standing(s, &standing, error);
    }
    session_leave(s);
}

/* --- bytes in --- */

static void begin_greeting(struct dchan_session *s)
{
    struct dchan_keys keys;
    dchan_hs_take(s->hs, &keys);
    drop_acts(s);
    memcpy(s->key, keys.remote_key, sizeof s->key);
    memcpy(s->session_id, keys.session_id, sizeof s->session_id);
    s->peer.key = s->key;
    s->peer.session_id = s->session_id;
    s->rec = dchan_rec_new(s->config.role, &keys, s->now_ms);
    dchan_rec_set_out_max(s->rec, s->config.limits->out_max);
    dchan_keys_wipe(&keys);
    s->state = SESSION_GREETING;
    s->greeting_ms = s->now_ms;
    if (s->config.ops->is_own_key(s->config.ctx, s->key))
        session_close(s, DCHAN_CLOSED_OWN_KEY, 0, nothing);
    else if (s->config.role == DCHAN_INITIATOR)
        greet(s);
}

static void acts_failed(struct dchan_session *s)
{
    const char *fault = dchan_hs_fault_name(s->hs->fault);
    session_close(s, DCHAN_CLOSED_HANDSHAKE, 0, span_of(fault, strlen(fault)));
}

static void feed_acts(struct dchan_session *s, struct span *in)
{
    uint8_t reply[DCHAN_ACT_MAX];
    size_t len = 0;
    if (dchan_hs_feed(s->hs, in, reply, &len)) {
        acts_failed(s);
        return;
    }
    if (len) {
        buf_put(&s->acts, reply, len);
        s->act_ms = s->now_ms;
    }
    if (dchan_hs_done(s->hs))
        begin_greeting(s);
}

static void take_message(struct dchan_session *s, struct span raw)
{
    const struct dchan_row *row = dchan_row_find(be16_get(raw.data));
    struct dchan_msg m;
    if (s->state == SESSION_GREETING && !(row && row->rules & DCHAN_BEFORE_UP)) {
        session_close(s, DCHAN_CLOSED_EARLY, 0, nothing);
        return;
    }
    switch (dchan_msg_read(&m, raw, &s->config.features)) {
    case DCHAN_READ_OK:
        if (m.type == DCHAN_HELLO)
            take_hello(s, &m.hello);
        else if (m.type == DCHAN_BOUND_MSG)
            take_bound(s, &m.bound);
        else
            session_take(s, &m);
        break;
    case DCHAN_READ_IGNORE:
        break;
    case DCHAN_READ_UNKNOWN:
        session_fail(s, DCHAN_ERROR_UNKNOWN_TYPE);
        break;
    case DCHAN_READ_MALFORMED:
        session_fail(s, DCHAN_ERROR_MALFORMED);
        break;
    }
}

static void read_failed(struct dchan_session *s, enum err why)
{
    if (why == ERR_AUTH)
        session_close(s, dchan_rec_is_copy(s->rec) ? DCHAN_CLOSED_LOCAL : DCHAN_CLOSED_TAMPERED,
                      0, nothing);
    else if (why != ERR_PROTO || dchan_rec_error(s->rec))
        session_fail(s, why == ERR_PROTO ? dchan_rec_error(s->rec) : DCHAN_NO_ERROR);
    else
        session_close(s, s->bye_received ? DCHAN_CLOSED_AFTER_BYE : DCHAN_CLOSED_EARLY, 0,
                      nothing);
}

void dchan_session_feed(struct dchan_session *s, struct span in, uint64_t now_ms)
{
    session_enter(s, now_ms);
    if (in.len)
        s->heard_ms = s->now_ms;
    while (in.len && s->state == SESSION_ACTS)
        feed_acts(s, &in);
    while (s->state != SESSION_ACTS && s->state != SESSION_CLOSED && !s->doomed) {
        struct span msg;
        const enum err rc = dchan_rec_read(s->rec, &in, s->now_ms, &msg);
        if (rc)
            read_failed(s, rc);
        else if (msg.len)
            take_message(s, msg);
        else
            break;
    }
    session_leave(s);
}

void dchan_session_feed_end(struct dchan_session *s, uint64_t now_ms)
{
    session_enter(s, now_ms);
    if (s->state == SESSION_ACTS && dchan_hs_end(s->hs))
        acts_failed(s);
    else if (s->state != SESSION_CLOSED && !dchan_rec_clean_end(s->rec))
        session_close(s, DCHAN_CLOSED_TRUNCATED, 0, nothing);
    session_leave(s); /* what ended in order closes there, when it was consumed */
}

/* --- time --- */

static bool past(const struct dchan_session *s, uint64_t since_ms, uint64_t limit_ms)
{
    return s->now_ms - since_ms >= limit_ms;
}

static bool too_slow(const struct dchan_session *s)
{
    if (s->state == SESSION_ACTS) /* each side waits for two at most: 10 s in all */
        return past(s, s->act_ms, s->config.limits->act_ms);
    return s->state == SESSION_GREETING &&
           (past(s, s->greeting_ms, 2 * s->config.limits->hello_ms) ||
            (!s->hello_received && past(s, s->greeting_ms, s->config.limits->hello_ms)));
}

void dchan_session_tick(struct dchan_session *s, uint64_t now_ms)
{
    session_enter(s, now_ms);
    if (too_slow(s))
        session_close(s, DCHAN_CLOSED_TIMEOUT, 0, nothing);
    if (s->state == SESSION_UP)
        session_tick_up(s);
    if (s->hello_received) {
        end_if_revoked_long_enough(s);
        if (s->peer.provisional && past(s, s->provisional_ms, s->config.limits->provisional_ms))
            session_doom(s, DCHAN_CLOSED_BY_US, DCHAN_ERROR_IDENTITY);
    }
    if (s->rec && past(s, s->heard_ms, SHRINK_AFTER_MS))
        dchan_rec_shrink(s->rec);
    session_leave(s);
}

/* --- what is known --- */

const struct dchan_peer *dchan_session_peer(const struct dchan_session *s)
{
    return &s->peer;
}

struct dchan_session_stats dchan_session_stats(const struct dchan_session *s)
{
    struct dchan_session_stats out = {
        .up = s->state == SESSION_UP, .up_ms = s->up_ms, .heard_ms = s->heard_ms,
        .rtt_ms = s->rtt_ms, .pongs = s->pongs
    };
    if (!s->rec)
        return out;
    const struct dchan_rec_stats *rec = dchan_rec_stats(s->rec);
    out.bytes_sent = rec->bytes_sent;
    out.bytes_received = rec->bytes_received;
    out.rotations_sent = rec->rotations_sent;
    out.rotations_received = rec->rotations_received;
    out.agreements = rec->agreements;
    return out;
}

bool dchan_session_renewal_due(const struct dchan_session *s, uint64_t now_ms)
{
    const struct dchan_session_stats stats = dchan_session_stats(s);
    return stats.up &&
           dchan_renewal_due(&s->config.limits->renewal, s->config.key->pub, s->key,
                             now_ms - s->up_ms,
                             stats.bytes_sent + stats.bytes_received,
                             s->over_bytes_ms ? now_ms - s->over_bytes_ms : 0);
}
