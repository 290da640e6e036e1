/* The two modes of dchan_peer that are whole sessions. */
#include "tests/p2p/dchan_peer_session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "bca/work.h"
#include "p2p/dchan_session.h"

static struct dchan_session *session;
static struct dchan_closing ended;
static bool has_ended;

/* --- the service `echo` --- */

struct echo {
    uint32_t sid;
    struct buf waiting;
    bool fin;
};

static void echo_data(void *ctx, struct span data)
{
    struct echo *e = ctx;
    buf_put(&e->waiting, data.data, data.len);
    dchan_mux_wake(dchan_session_mux(session), e->sid);
}

static void echo_fin(void *ctx)
{
    struct echo *e = ctx;
    e->fin = true;
    dchan_mux_wake(dchan_session_mux(session), e->sid);
}

/* What has gone back counts as consumed. */
static size_t echo_pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    struct echo *e = ctx;
    const size_t n = MIN_OF(max, e->waiting.len);
    if (n) {
        memcpy(out, e->waiting.data, n);
        memmove(e->waiting.data, e->waiting.data + n, e->waiting.len - n);
        buf_truncate(&e->waiting, e->waiting.len - n);
        dchan_mux_consumed(dchan_session_mux(session), e->sid, n, 0);
    }
    *end = e->fin && e->waiting.len == 0;
    return n;
}

static void echo_dgram(void *ctx, uint16_t seq, struct span data)
{
    const struct echo *e = ctx;
    (void)seq;
    dchan_mux_send_dgram(dchan_session_mux(session), e->sid, data);
}

static void echo_closed(void *ctx, unsigned code)
{
    struct echo *e = ctx;
    (void)code;
    buf_clear(&e->waiting);
    free(e);
}

static const struct dchan_stream_ops echo_ops = { NULL, echo_data, echo_fin, echo_pull, echo_dgram,
                                                  echo_closed };

static void on_open(void *ctx, const struct dchan_s_open *m)
{
    struct dchan_mux *mux = dchan_session_mux(session);
    (void)ctx;
    if (m->service.len != 4 || memcmp(m->service.data, "echo", 4) != 0) {
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_SERVICE);
        return;
    }
    struct echo *e = xcalloc(1, sizeof *e);
    e->sid = m->sid;
    if (dchan_mux_accept(mux, m->sid, &echo_ops, e, 0))
        free(e);
}

/* --- the owner: takes any key and no address --- */

static bool is_own_key(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    (void)ctx;
    (void)key;
    return false;
}

static bool rules(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                  const struct bca_policy **proof)
{
    (void)key;
    *policy = (struct dchan_policy){ .contact = true, .bare = true };
    *proof = ctx;
    return true;
}

static bool greeted(void *ctx, const struct dchan_hello *hello)
{
    (void)ctx;
    (void)hello;
    return true;
}

static void on_up(void *ctx)
{
    (void)ctx;
}

static void on_closed(void *ctx, const struct dchan_closing *closing)
{
    (void)ctx;
    ended = *closing;
    has_ended = true;
}

static const struct dchan_session_ops session_ops = {
    .is_own_key = is_own_key, .rules = rules, .greeted = greeted, .up = on_up, .open = on_open,
    .closed = on_closed
};

/* --- the socket --- */

/* False: the other side has gone. */
static bool flush(void)
{
    for (;;) {
        const struct span out = dchan_session_output(session, 0);
        if (!out.len)
            return true;
        const ssize_t n = write(STDIN_FILENO, out.data, out.len);
        if (n <= 0)
            return false;
        dchan_session_written(session, (size_t)n, 0);
    }
}

static void talk(void)
{
    static uint8_t buf[5000];
    while (flush() && !dchan_session_done(session)) {
        const ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
        if (n > 0)
            dchan_session_feed(session, span_of(buf, (size_t)n), 0);
        else
            dchan_session_feed_end(session, 0);
    }
}

static enum dchan_peer_status status(void)
{
    if (!has_ended || ended.why == DCHAN_CLOSED_TRUNCATED)
        return DCHAN_PEER_CUT;
    if (ended.why == DCHAN_CLOSED_CLEAN)
        return DCHAN_PEER_CLEAN;
    if (ended.why == DCHAN_CLOSED_HANDSHAKE || ended.why == DCHAN_CLOSED_TAMPERED)
        return DCHAN_PEER_SECRETLY_REFUSED;
    return DCHAN_PEER_REFUSED;
}

enum dchan_peer_status dchan_peer_session(enum dchan_role role, const uint8_t magic[4],
                                          const struct identity_key *key, const uint8_t *their_key)
{
    struct bca_policy proof = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    struct dchan_shares shares = { .granted_max = DCHAN_SHARES_MAX,
                                   .to_strangers_max = DCHAN_SHARES_STRANGERS_MAX };
    struct dchan_session_config config = {
        .role = role, .key = key, .remote_key = their_key, .shares = &shares,
        .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_DGRAM |
                                 1u << DCHAN_DH_REKEY },
        .ops = &session_ops, .ctx = &proof
    };
    memcpy(config.magic, magic, sizeof config.magic);
    session = dchan_session_new(&config, 0);
    if (!session)
        return DCHAN_PEER_REFUSED;
    talk();
    const enum dchan_peer_status result = status();
    dchan_session_free(session);
    return result;
}
