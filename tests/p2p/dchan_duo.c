#include "tests/p2p/dchan_duo.h"

#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "bca/work.h"
#include "p2p/dchan_session_internal.h"
#include "tests/test.h"

static bool on_is_own_key(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct duo_end *e = ctx;
    const struct duo_end *other = &e->duo->ends[e == &e->duo->ends[0]];
    assert_memory_equal(key, other->key.key.pub, IDENTITY_KEY_SIZE);
    return e->own_key;
}

static bool on_rules(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                     const struct bca_policy **proof)
{
    const struct duo_end *e = ctx;
    const struct duo_end *other = &e->duo->ends[e == &e->duo->ends[0]];
    assert_memory_equal(key, other->key.key.pub, IDENTITY_KEY_SIZE);
    *policy = e->policy;
    *proof = &e->proof;
    return e->knows;
}

static bool on_greeted(void *ctx, const struct dchan_hello *hello)
{
    struct duo_end *e = ctx;
    e->has_renews = hello->has_renews;
    memcpy(e->renews, hello->renews, sizeof e->renews);
    return !e->holds;
}

static void on_up(void *ctx)
{
    struct duo_end *e = ctx;
    e->ups++;
}

static void on_going(void *ctx, enum dchan_goaway_reason reason)
{
    struct duo_end *e = ctx;
    e->goings++;
    e->reason = reason;
    assert_int_equal(e->closes, 0);
}

static void on_closed(void *ctx, const struct dchan_closing *closing)
{
    struct duo_end *e = ctx;
    e->closes++;
    e->closing = (struct dchan_closing){ closing->why, closing->code, { NULL, 0 } };
    log_sanitize(e->closing_text, sizeof e->closing_text, closing->text.data, closing->text.len);
}

static void on_message(void *ctx, const struct dchan_msg *m)
{
    struct duo_end *e = ctx;
    if (e->n_taken < DUO_TAKEN_MAX)
        e->taken[e->n_taken++] = m->type;
}

/* Types for which the table says something else than that they are the owner's. */
static const struct dchan_handler handlers[] = {
    { DCHAN_WARNING, DCHAN_WARNING, on_message }, { DCHAN_RV, DCHAN_RV, on_message },
    { DCHAN_SUCCESSOR, DCHAN_SUCCESSOR, on_message },
    { DCHAN_DHT_FIND, DCHAN_DHT_PUT_OK, on_message },
    { DCHAN_M_SEND, DCHAN_P_RESULT, on_message },
};

static void end_init(struct duo *d, int i)
{
    struct duo_end *e = &d->ends[i];
    e->duo = d;
    open_key_init(&e->key, i == 0 ? 0x11 : 0x21);
    e->knows = true;
    e->policy = (struct dchan_policy){ .contact = true, .bare = true };
    e->proof.rules = bca_rules_get(BCA_NET_REGTEST);
    e->shares.granted_max = DCHAN_SHARES_MAX;
    e->shares.to_strangers_max = DCHAN_SHARES_STRANGERS_MAX;
    e->ops = (struct dchan_session_ops){
        .is_own_key = on_is_own_key, .rules = on_rules, .greeted = on_greeted, .up = on_up,
        .going = on_going, .closed = on_closed, .handlers = handlers,
        .n_handlers = COUNT_OF(handlers)
    };
    e->config = (struct dchan_session_config){
        .role = i == 0 ? DCHAN_INITIATOR : DCHAN_RESPONDER, .magic = { 0xda, 0xb5, 0xbf, 0xfa },
        .key = &e->key.key, .local = { 0x20, 1, [15] = (uint8_t)(1 + i) },
        .remote = { 0x20, 1, [15] = (uint8_t)(2 - i) },
        .features = { .offered = (1u << DCHAN_FEATURE_COUNT) - 1 }, .shares = &e->shares,
        .ops = &e->ops, .ctx = e
    };
}

void duo_init(struct duo *d)
{
    *d = (struct duo){ .now_ms = DUO_START };
    end_init(d, 0);
    end_init(d, 1);
}

void duo_start(struct duo *d)
{
    d->ends[0].config.remote_key = d->ends[1].key.key.pub;
    for (int i = 0; i < 2; i++) {
        d->ends[i].session = dchan_session_new(&d->ends[i].config, d->now_ms);
        assert_non_null(d->ends[i].session);
    }
}

void duo_clear(struct duo *d)
{
    for (int i = 0; i < 2; i++) {
        dchan_session_free(d->ends[i].session);
        assert_int_equal(d->ends[i].shares.granted, 0);
    }
}

struct buf duo_take_output(struct duo_end *e)
{
    struct buf b;
    buf_init(&b);
    for (;;) {
        const struct span out = dchan_session_output(e->session, e->duo->now_ms);
        if (!out.len)
            return b;
        buf_put(&b, out.data, out.len);
        dchan_session_written(e->session, out.len, e->duo->now_ms);
    }
}

void duo_move(struct duo *d, int from)
{
    struct buf b = duo_take_output(&d->ends[from]);
    for (size_t at = 0; at < b.len; at += 5000)
        dchan_session_feed(d->ends[1 - from].session,
                           span_of(b.data + at, MIN_OF(b.len - at, 5000)), d->now_ms);
    buf_clear(&b);
}

void duo_settle(struct duo *d)
{
    bool moved;
    do {
        moved = false;
        for (int i = 0; i < 2; i++) {
            moved = moved || dchan_session_output(d->ends[i].session, d->now_ms).len;
            duo_move(d, i);
        }
    } while (moved);
}

void duo_up(struct duo *d)
{
    duo_init(d);
    duo_start(d);
    duo_settle(d);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d->ends[i].ups, 1);
        assert_int_equal(d->ends[i].closes, 0);
    }
}

void duo_pass(struct duo *d, uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds; i++) {
        d->now_ms += 1000;
        for (int j = 0; j < 2; j++)
            dchan_session_tick(d->ends[j].session, d->now_ms);
        duo_settle(d);
    }
}

void duo_seal(struct duo *d, int attacker, struct span msg)
{
    assert_int_equal(dchan_rec_put(d->ends[attacker].session->rec, msg, span_of(NULL, 0),
                                   d->now_ms), OK);
}

void duo_attack(struct duo *d, int attacker, struct span msg)
{
    struct dchan_rec *rec = d->ends[attacker].session->rec;
    duo_seal(d, attacker, msg);
    const struct span out = dchan_rec_output(rec);
    dchan_session_feed(d->ends[1 - attacker].session, out, d->now_ms);
    dchan_rec_written(rec, out.len);
}

struct span duo_answer(struct duo *d, int attacker)
{
    struct dchan_session *victim = d->ends[1 - attacker].session;
    struct span out = dchan_session_output(victim, d->now_ms), msg;
    const size_t len = out.len;
    assert_int_equal(dchan_rec_read(d->ends[attacker].session->rec, &out, d->now_ms, &msg), OK);
    if (len - out.len)
        dchan_session_written(victim, len - out.len, d->now_ms);
    return msg;
}

void duo_assert_answer(struct duo *d, int attacker, uint16_t type)
{
    const struct span msg = duo_answer(d, attacker);
    assert_true(msg.len >= 2);
    assert_int_equal(be16_get(msg.data), type);
}

void duo_assert_silent(struct duo *d, int attacker)
{
    assert_int_equal(duo_answer(d, attacker).len, 0);
}

void duo_assert_closed(struct duo *d, int attacker, enum dchan_closed why, unsigned code)
{
    const struct duo_end *victim = &d->ends[1 - attacker];
    assert_int_equal(victim->closes, 1);
    assert_int_equal(victim->closing.why, why);
    assert_int_equal(victim->closing.code, code);
    assert_true(dchan_session_done(victim->session));
}

void duo_assert_told(struct duo *d, int attacker, unsigned code)
{
    const struct span msg = duo_answer(d, attacker);
    assert_true(msg.len >= 4);
    assert_int_equal(be16_get(msg.data), DCHAN_ERROR);
    assert_int_equal(be16_get(msg.data + 2), code);
    duo_assert_closed(d, attacker, DCHAN_CLOSED_BY_US, code);
}

void duo_assert_error(struct duo *d, int attacker, unsigned code)
{
    duo_assert_told(d, attacker, code);
    duo_attack(d, attacker, span_of("\0\x12\0\5\0\0", 6));
    duo_assert_silent(d, attacker);
    duo_assert_closed(d, attacker, DCHAN_CLOSED_BY_US, code);
}

void duo_greeting(struct duo *d, struct dchan_rec **twin)
{
    uint8_t prologue[DCHAN_PROLOGUE_SIZE], act[DCHAN_ACT_MAX];
    size_t len = DCHAN_ACT_ONE_SIZE;
    struct dchan_hs hs;
    struct dchan_keys keys;
    duo_init(d);
    duo_start(d);
    dchan_prologue(prologue, d->ends[0].config.magic);
    assert_int_equal(dchan_hs_init(&hs, &(struct dchan_hs_config){
        DCHAN_INITIATOR, span_of(prologue, sizeof prologue), &d->ends[0].key.key,
        d->ends[1].key.key.pub, NULL }), OK);
    assert_int_equal(dchan_hs_start(&hs, act), OK);
    dchan_session_feed(d->ends[1].session, span_of(act, len), d->now_ms);
    struct buf two = duo_take_output(&d->ends[1]);
    struct span in = buf_span(&two);
    assert_int_equal(dchan_hs_feed(&hs, &in, act, &len), OK);
    dchan_session_feed(d->ends[1].session, span_of(act, len), d->now_ms);
    dchan_hs_take(&hs, &keys);
    d->ends[0].session->rec = dchan_rec_new(DCHAN_INITIATOR, &keys, d->now_ms);
    if (twin)
        *twin = dchan_rec_new(DCHAN_INITIATOR, &keys, d->now_ms);
    dchan_keys_wipe(&keys);
    buf_clear(&two);
    duo_assert_silent(d, 0); /* who is called says nothing first */
}
