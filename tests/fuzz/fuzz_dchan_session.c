/*
 * A session behind its handshake against an other side that has the right keys and says what it
 * likes. Of the first byte bit 0 chooses the role, bit 1 whether hello and bound were exchanged,
 * bit 2 a stranger, bit 3 padding, bit 4 a constant rate for streams; then messages: length,
 * tenths of a second that pass, text. The owner takes every stream and echoes it; of one whose
 * number ends in hexadecimal d he consumes nothing before a datagram comes. Whatever comes: it
 * comes up and closes at most once, messages reach the owner only in between, 0 closes what came
 * whole alone, memory and windows stay within their limits, and writes have their sizes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/dchan_session_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { START_MS = 1000000, STREAMS = 512 };

static const uint8_t secret[32] = { [31] = 1 }, their_secret[32] = { [31] = 2 };

struct stream {
    struct owner *owner;
    uint32_t sid;
    size_t to_echo, unread;
    bool fin, closed;
};

struct owner {
    struct dchan_session *session;
    struct dchan_shares shares;
    struct bca_policy proof;
    bool contact, padded, rated;
    int ups, closes;
    struct stream streams[STREAMS];
    size_t n_streams;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    (void)ctx;
    return ec_ecdh_sha256(out, their_key, secret);
}

/* --- streams --- */

static void take_data(void *ctx, struct span data)
{
    struct stream *st = ctx;
    struct dchan_mux *mux = dchan_session_mux(st->owner->session);
    require(!st->fin && !st->closed && data.len > 0);
    st->to_echo += data.len;
    if (st->sid % 16 == 13)
        st->unread += data.len;
    else
        dchan_mux_consumed(mux, st->sid, data.len, st->owner->session->now_ms);
    dchan_mux_wake(mux, st->sid);
}

static void take_fin(void *ctx)
{
    struct stream *st = ctx;
    require(!st->fin && !st->closed);
    st->fin = true;
    dchan_mux_wake(dchan_session_mux(st->owner->session), st->sid);
}

static size_t pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct stream *st = ctx;
    const size_t n = MIN_OF(max, st->to_echo);
    memset(out, 'x', n);
    st->to_echo -= n;
    *end = st->fin && st->to_echo == 0;
    return n;
}

static void take_dgram(void *ctx, uint16_t seq, struct span data)
{
    struct stream *st = ctx;
    struct dchan_mux *mux = dchan_session_mux(st->owner->session);
    const size_t n = st->unread;
    (void)seq;
    dchan_mux_send_dgram(mux, st->sid, data);
    st->unread = 0;
    dchan_mux_consumed(mux, st->sid, n, st->owner->session->now_ms);
}

static void stream_closed(void *ctx, unsigned code)
{
    struct stream *st = ctx;
    require(!st->closed && (code != 0 || (st->fin && st->unread == 0)));
    st->closed = true;
}

static const struct dchan_stream_ops stream_ops = { NULL, take_data, take_fin, pull, take_dgram,
                                                    stream_closed };

/* --- the owner --- */

static bool is_own_key(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    (void)ctx;
    (void)key;
    return false;
}

static bool rules(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                  const struct bca_policy **proof)
{
    struct owner *o = ctx;
    (void)key;
    *policy = (struct dchan_policy){ .contact = o->contact, .bare = true, .any_unbound = true };
    *proof = &o->proof;
    return true;
}

static bool greeted(void *ctx, const struct dchan_hello *hello)
{
    (void)ctx;
    (void)hello;
    return true;
}

static void up(void *ctx)
{
    struct owner *o = ctx;
    require(++o->ups == 1 && o->closes == 0);
    dchan_session_set_padded(o->session, o->padded);
}

static void open_stream(void *ctx, const struct dchan_s_open *m)
{
    struct owner *o = ctx;
    require(o->ups == 1 && o->closes == 0);
    if (o->n_streams == STREAMS || m->sid % 16 == 15)
        return; /* never answered */
    struct stream *st = &o->streams[o->n_streams++];
    *st = (struct stream){ .owner = o, .sid = m->sid };
    if (dchan_mux_accept(dchan_session_mux(o->session), m->sid, &stream_ops, st,
                         o->session->now_ms))
        st->closed = true;
    else if (o->rated)
        dchan_mux_set_rate(dchan_session_mux(o->session), m->sid,
                           (struct dchan_rate){ DCHAN_PAD_CLASS, DCHAN_RATE_MS_MAX });
}

static void closed(void *ctx, const struct dchan_closing *closing)
{
    struct owner *o = ctx;
    (void)closing;
    require(++o->closes == 1);
    for (size_t i = 0; i < o->n_streams; i++)
        require(o->streams[i].closed);
}

static void take(void *ctx, const struct dchan_msg *m)
{
    const struct owner *o = ctx;
    (void)m;
    require(o->ups == 1 && o->closes == 0);
}

static const struct dchan_handler handlers[] = { { 0, UINT16_MAX, take } };
static const struct dchan_session_ops ops = {
    .is_own_key = is_own_key, .rules = rules, .greeted = greeted, .up = up, .open = open_stream,
    .closed = closed, .handlers = handlers, .n_handlers = 1
};

/* --- the wire --- */

/* The other side reads, so that rotations by agreement go on. */
static void drain(struct owner *o, struct dchan_rec *other)
{
    for (;;) {
        struct span out = dchan_session_output(o->session, o->session->now_ms), msg;
        require(out.len <= DCHAN_OUT_MAX);
        require(!o->padded || o->rated || !o->ups || out.len % DCHAN_PAD_CLASS == 0);
        require(!dchan_session_beat_ms(o->session) || out.len <= DCHAN_PAD_CLASS);
        if (!out.len)
            return;
        const size_t len = out.len;
        enum err rc;
        do
            rc = dchan_rec_read(other, &out, o->session->now_ms, &msg);
        while (rc == OK && msg.len);
        dchan_session_written(o->session, len, o->session->now_ms);
    }
}

static void say(struct owner *o, struct dchan_rec *other, struct span msg, uint64_t now_ms)
{
    if (dchan_rec_put(other, msg, span_of(NULL, 0), now_ms))
        return; /* too short, or after its bye */
    const struct span out = dchan_rec_output(other);
    dchan_session_feed(o->session, out, now_ms);
    dchan_rec_written(other, out.len);
    dchan_session_tick(o->session, now_ms);
    drain(o, other);
    require(o->shares.granted <= DCHAN_WINDOWS_CONTACT);
    require(o->closes == 0 || o->shares.granted == 0);
}

static void say_bound(struct owner *o, struct dchan_rec *other)
{
    static const struct dchan_end bare;
    struct dchan_msg m = { .type = DCHAN_BOUND_MSG };
    struct buf b;
    buf_init(&b);
    dchan_bound_make(&m.bound, o->session->session_id, &bare, &bare);
    dchan_msg_write(&b, &m);
    say(o, other, span_of("\0\x10\0\1\0\3\2\xaa\xaa", 9), START_MS); /* all features */
    say(o, other, buf_span(&b), START_MS);
    require(o->ups == 1);
    buf_clear(&b);
}

/* As after a handshake that led to these keys. */
static struct dchan_rec *skip_handshake(struct dchan_session *s, enum dchan_role role)
{
    const struct dchan_keys ours = { .send_key = { 1 }, .receive_key = { 2 } };
    const struct dchan_keys theirs = { .send_key = { 2 }, .receive_key = { 1 } };
    require(ec_pubkey_of(s->key, their_secret));
    buf_reset(&s->acts);
    s->rec = dchan_rec_new(role, &ours, START_MS);
    s->state = SESSION_GREETING;
    s->greeting_ms = START_MS;
    s->hello_sent = role == DCHAN_INITIATOR;
    struct dchan_rec *other =
        dchan_rec_new(role == DCHAN_INITIATOR ? DCHAN_RESPONDER : DCHAN_INITIATOR, &theirs,
                      START_MS);
    dchan_rec_allow(other, DCHAN_REKEYS_BY_DH, START_MS);
    return other;
}

static void talk(struct owner *o, struct dchan_rec *other, struct span in)
{
    uint64_t now_ms = START_MS;
    while (in.len >= 2) {
        const size_t n = MIN_OF((size_t)in.data[0], in.len - 2);
        now_ms += in.data[1] * UINT64_C(100);
        say(o, other, span_of(in.data + 2, n), now_ms);
        in = span_of(in.data + 2 + n, in.len - 2 - n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct identity_key key = { .noise_dh = noise_dh };
    static uint8_t their_key[IDENTITY_KEY_SIZE];
    if (size < 1)
        return 0;
    ec_init();
    require(ec_pubkey_of(key.pub, secret) && ec_pubkey_of(their_key, their_secret));
    struct owner *o = xcalloc(1, sizeof *o);
    o->shares.granted_max = DCHAN_SHARES_MAX;
    o->shares.to_strangers_max = DCHAN_SHARES_STRANGERS_MAX;
    o->proof.rules = bca_rules_get(BCA_NET_REGTEST);
    o->contact = !(data[0] & 4);
    o->padded = data[0] & 8;
    o->rated = data[0] & 16;
    const enum dchan_role role = data[0] & 1 ? DCHAN_INITIATOR : DCHAN_RESPONDER;
    o->session = dchan_session_new(&(struct dchan_session_config){
        .role = role, .key = &key, .remote_key = their_key, .shares = &o->shares,
        .features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 }, .ops = &ops, .ctx = o },
        START_MS);
    require(o->session);
    struct dchan_rec *other = skip_handshake(o->session, role);
    if (data[0] & 2)
        say_bound(o, other);
    talk(o, other, span_of(data + 1, size - 1));
    dchan_session_feed_end(o->session, o->session->now_ms);
    require(o->closes == 1 || o->shares.granted > 0);
    dchan_session_tick(o->session, o->session->now_ms + DCHAN_GOING_MS);
    require(o->closes == 1);
    dchan_session_free(o->session);
    require(o->shares.granted == 0 && o->shares.to_strangers == 0);
    dchan_rec_free(other);
    free(o);
    return 0;
}
