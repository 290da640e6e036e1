/* Two sessions in memory: how they come up, stay alive and end. */
#include "p2p/dchan_session.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "bca/work.h"
#include "p2p/dchan_duplicate.h"
#include "tests/bca/proof.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/test.h"

/* --- coming up --- */

static void two_sides_come_up(void **state)
{
    struct duo d;
    (void)state;
    duo_init(&d);
    d.ends[0].config.hello.has_renews = true;
    memset(d.ends[0].config.hello.renews, 0xab, 32);
    d.ends[1].config.features.offered = 1u << DCHAN_STREAMS | 1u << DCHAN_MESSAGES;
    duo_start(&d);
    duo_settle(&d);
    const struct dchan_peer *p[2];
    for (int i = 0; i < 2; i++) {
        p[i] = dchan_session_peer(d.ends[i].session);
        assert_int_equal(d.ends[i].ups, 1);
        assert_true(dchan_session_stats(d.ends[i].session).up);
        assert_int_equal(p[i]->binding, DCHAN_BARE);
        assert_true(p[i]->contact && !p[i]->translated && !p[i]->provisional);
        assert_memory_equal(p[i]->key, d.ends[1 - i].key.key.pub, 33);
        assert_int_equal(dchan_session_stats(d.ends[i].session).pongs, 1);
    }
    assert_memory_equal(p[0]->session_id, p[1]->session_id, 32);
    assert_int_equal(p[0]->features.offered, 1u << DCHAN_STREAMS | 1u << DCHAN_MESSAGES);
    assert_true(d.ends[1].has_renews && d.ends[1].renews[31] == 0xab);
    duo_clear(&d);
}

/* Comes up or closes; returns the code that end i closed with. */
static unsigned closes_with(struct duo *d, int i)
{
    duo_start(d);
    duo_settle(d);
    assert_int_equal(d->ends[0].ups + d->ends[1].ups, 0);
    assert_int_equal(d->ends[i].closes, 1);
    const unsigned code = d->ends[i].closing.code;
    duo_clear(d);
    return code;
}

static void who_is_unwelcome_is_told(void **state)
{
    struct duo d;
    (void)state;
    duo_init(&d);
    d.ends[1].knows = false;
    assert_int_equal(closes_with(&d, 0), DCHAN_ERROR_IDENTITY);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_BY_THEM);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_BY_US);
    duo_init(&d);
    d.ends[0].policy.bare = false;
    assert_int_equal(closes_with(&d, 1), DCHAN_ERROR_IDENTITY);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_BY_US);
    duo_init(&d);
    d.ends[1].own_key = true;
    duo_start(&d);
    duo_settle(&d);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_OWN_KEY);
    assert_true(dchan_session_done(d.ends[1].session));
    duo_clear(&d);
    duo_init(&d);
    d.ends[0].own_key = true;
    d.ends[0].config.remote_key = d.ends[1].key.key.pub;
    assert_null(dchan_session_new(&d.ends[0].config, d.now_ms));
}

/* Each side says what it cannot do without. */
static void what_one_requires_the_other_offers(void **state)
{
    struct duo d;
    (void)state;
    for (int i = 0; i < 2; i++) {
        duo_init(&d);
        d.ends[i].config.features.required = 1u << DCHAN_RELAY;
        d.ends[1 - i].config.features.offered &= ~(1u << DCHAN_RELAY);
        assert_int_equal(closes_with(&d, 1 - i), DCHAN_ERROR_FEATURE);
        duo_init(&d);
        d.ends[i].config.features.required = 1u << DCHAN_RELAY;
        duo_start(&d);
        duo_settle(&d);
        assert_int_equal(d.ends[0].ups + d.ends[1].ups, 2);
        duo_clear(&d);
    }
}

static void a_locked_key_opens_nothing(void **state)
{
    struct duo d;
    (void)state;
    duo_init(&d);
    d.ends[1].key.locked = true;
    duo_start(&d);
    duo_settle(&d);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_HANDSHAKE);
    assert_string_equal(d.ends[1].closing_text, "own key not available");
    duo_clear(&d);
}

static void a_second_session_carries_nothing_before_it_is_settled(void **state)
{
    struct duo d;
    const struct dchan_msg read = { .type = DCHAN_M_READ };
    (void)state;
    duo_init(&d);
    d.ends[1].holds = true;
    duo_start(&d);
    duo_settle(&d);
    assert_int_equal(d.ends[0].ups + d.ends[1].ups, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dchan_session_send(d.ends[i].session, &read, d.now_ms), ERR_CANCELLED);
        assert_null(dchan_session_mux(d.ends[i].session));
    }
    dchan_session_settled(d.ends[1].session, d.now_ms);
    duo_settle(&d);
    assert_int_equal(d.ends[0].ups + d.ends[1].ups, 2);
    assert_int_equal(dchan_session_send(d.ends[0].session, &read, d.now_ms), OK);
    duo_settle(&d);
    assert_int_equal(d.ends[1].n_taken, 1);
    duo_clear(&d);
    duo_init(&d); /* or the other one stays */
    d.ends[1].holds = true;
    duo_start(&d);
    duo_settle(&d);
    dchan_session_goaway(d.ends[1].session, DCHAN_DUPLICATE, d.now_ms);
    duo_settle(&d);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_GOAWAY);
    assert_int_equal(d.ends[0].goings, 1);
    assert_int_equal(d.ends[0].reason, DCHAN_DUPLICATE);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_GOAWAY);
    assert_int_equal(d.ends[1].goings, 0);
    assert_true(dchan_session_done(d.ends[1].session));
    duo_clear(&d);
}

static bool settle_at_once(void *ctx, const struct dchan_hello *hello)
{
    const struct duo_end *e = ctx;
    (void)hello;
    dchan_session_settled(e->session, e->duo->now_ms);
    return false;
}

/* What became of the other session is known while this one is being judged. */
static void what_is_settled_in_the_callback_comes_up(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct duo d;
        duo_init(&d);
        d.ends[i].ops.greeted = settle_at_once;
        duo_start(&d);
        duo_settle(&d);
        assert_int_equal(d.ends[0].closes + d.ends[1].closes, 0);
        assert_int_equal(d.ends[0].ups + d.ends[1].ups, 2);
        duo_clear(&d);
    }
}

static void time_ends_what_does_not_come_up(void **state)
{
    static const struct {
        int moves; /* how far it gets */
        uint64_t limit_ms;
    } cases[] = {
        { 0, DCHAN_ACT_TIMEOUT_MS }, { 1, DCHAN_ACT_TIMEOUT_MS }, { 2, DCHAN_ACT_TIMEOUT_MS },
    };
    struct duo d;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        duo_init(&d);
        duo_start(&d);
        for (int j = 0; j < cases[i].moves; j++)
            duo_move(&d, j % 2);
        dchan_session_tick(d.ends[1].session, d.now_ms + cases[i].limit_ms - 1);
        assert_int_equal(d.ends[1].closes, 0);
        dchan_session_tick(d.ends[1].session, d.now_ms + cases[i].limit_ms);
        assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_TIMEOUT);
        assert_int_equal(dchan_session_output(d.ends[1].session, d.now_ms).len, 0);
        duo_clear(&d);
    }
    duo_init(&d); /* act 3 and hello are there, ours does not reach the dialler */
    d.ends[1].holds = true;
    duo_start(&d);
    for (int j = 0; j < 3; j++)
        duo_move(&d, j % 2);
    dchan_session_tick(d.ends[0].session, d.now_ms + DCHAN_HELLO_TIMEOUT_MS - 1);
    assert_int_equal(d.ends[0].closes, 0);
    dchan_session_tick(d.ends[0].session, d.now_ms + DCHAN_HELLO_TIMEOUT_MS);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_TIMEOUT);
    dchan_session_tick(d.ends[1].session, d.now_ms + DCHAN_UP_TIMEOUT_MS - 1);
    assert_int_equal(d.ends[1].closes, 0);
    dchan_session_tick(d.ends[1].session, d.now_ms + DCHAN_UP_TIMEOUT_MS);
    assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_TIMEOUT);
    duo_clear(&d);
}

static void who_changes_his_mind_closes_at_once(void **state)
{
    struct duo d;
    (void)state;
    for (int moves = 0; moves < 3; moves++) {
        duo_init(&d);
        duo_start(&d);
        for (int i = 0; i < moves; i++)
            duo_move(&d, i % 2);
        dchan_session_goaway(d.ends[1].session, DCHAN_SHUTDOWN, d.now_ms);
        assert_int_equal(d.ends[1].closing.why, DCHAN_CLOSED_LOCAL);
        assert_int_equal(dchan_session_output(d.ends[1].session, d.now_ms).len, 0);
        assert_true(dchan_session_done(d.ends[1].session));
        duo_clear(&d);
    }
}

/* --- addresses --- */

struct proved {
    struct duo d;
    struct proof proof;
    struct buf params;
};

/* The dialler has an address that is proved; proof.c names its secret. */
static void proved_init(struct proved *p)
{
    uint8_t text[16] = "owner";
    duo_init(&p->d);
    proof_make(&p->proof, &proof_shape_usual);
    p->params = proof_bytes(&p->proof);
    struct duo_end *dialler = &p->d.ends[0], *called = &p->d.ends[1];
    sha256(dialler->key.secret, text, sizeof text);
    memcpy(dialler->key.key.pub, p->proof.public_key, 33);
    memcpy(dialler->config.local, p->proof.address, 16);
    memcpy(called->config.remote, p->proof.address, 16);
    struct dchan_hello *h = &dialler->config.hello;
    h->has_bca = true;
    h->params = buf_span(&p->params);
    h->port = 9944;
    memcpy(h->address, p->proof.address, 16);
    called->policy.bare = false;
}

static void proved_clear(struct proved *p)
{
    duo_clear(&p->d);
    proof_clear(&p->proof);
    buf_clear(&p->params);
}

static void a_proved_address_is_bound(void **state)
{
    struct proved p;
    (void)state;
    proved_init(&p);
    p.d.ends[1].policy.contact = false;
    duo_start(&p.d);
    duo_settle(&p.d);
    assert_int_equal(p.d.ends[1].ups, 1);
    assert_int_equal(dchan_session_peer(p.d.ends[1].session)->binding, DCHAN_BOUND);
    proved_clear(&p);
}

static void addresses_that_were_translated_count_as_unbound(void **state)
{
    struct proved p;
    (void)state;
    proved_init(&p);
    p.d.ends[0].config.local[15] ^= 1; /* it sees another one than the called side */
    duo_start(&p.d);
    duo_settle(&p.d);
    assert_int_equal(p.d.ends[1].ups, 1);
    assert_true(dchan_session_peer(p.d.ends[1].session)->translated);
    assert_true(dchan_session_peer(p.d.ends[0].session)->translated);
    assert_int_equal(dchan_session_peer(p.d.ends[1].session)->binding, DCHAN_UNBOUND);
    proved_clear(&p);
    proved_init(&p);
    p.d.ends[0].config.local[15] ^= 1;
    p.d.ends[1].policy.contact = false; /* and strangers must be bound */
    duo_start(&p.d);
    duo_settle(&p.d);
    assert_int_equal(p.d.ends[1].ups, 0);
    assert_int_equal(p.d.ends[1].closing.code, DCHAN_ERROR_IDENTITY);
    proved_clear(&p);
}

static enum bca_place place;
static enum bca_marker_state marker;

static enum bca_place find_block(void *ctx, const uint8_t header[80],
                                 const struct block_hash *hash, uint64_t *confirmations)
{
    (void)ctx;
    (void)header;
    (void)hash;
    *confirmations = 100;
    return place;
}

static enum bca_marker_state look_up(void *ctx, const struct outpoint *outpoint)
{
    (void)ctx;
    (void)outpoint;
    return marker;
}

static void provisional_init(struct proved *p)
{
    static const struct bca_chain_view chain = { find_block, NULL };
    static const struct bca_spends_view spends = { look_up, NULL };
    proved_init(p);
    p->d.ends[1].proof.chain = &chain;
    p->d.ends[1].proof.spends = &spends;
    place = BCA_PLACE_UNKNOWN;
    marker = BCA_MARKER_UNSPENT;
    duo_start(&p->d);
    duo_settle(&p->d);
    assert_int_equal(p->d.ends[1].ups, 1);
    assert_true(dchan_session_peer(p->d.ends[1].session)->provisional);
}

static void a_provisional_contact_is_looked_at_again(void **state)
{
    struct proved p;
    struct duo_end *called = &p.d.ends[1];
    (void)state;
    provisional_init(&p);
    dchan_session_recheck(called->session, p.d.now_ms);
    assert_true(dchan_session_peer(called->session)->provisional); /* still cannot tell */
    place = BCA_PLACE_ACTIVE;
    dchan_session_recheck(called->session, p.d.now_ms);
    assert_false(dchan_session_peer(called->session)->provisional);
    place = BCA_PLACE_UNKNOWN; /* no verdict takes that back */
    dchan_session_recheck(called->session, p.d.now_ms);
    assert_false(dchan_session_peer(called->session)->provisional);
    p.d.now_ms += DCHAN_PROVISIONAL_MS;
    dchan_session_feed(called->session, span_of(NULL, 0), p.d.now_ms);
    dchan_session_tick(called->session, p.d.now_ms);
    assert_int_equal(called->closes, 0);
    place = BCA_PLACE_NOT_ACTIVE;
    dchan_session_recheck(called->session, p.d.now_ms);
    assert_int_equal(called->closing.code, DCHAN_ERROR_IDENTITY);
    proved_clear(&p);
    provisional_init(&p);
    dchan_session_tick(called->session, p.d.now_ms + DCHAN_PROVISIONAL_MS - 1);
    assert_int_equal(called->closes, 0);
    dchan_session_tick(called->session, p.d.now_ms + DCHAN_PROVISIONAL_MS);
    assert_int_equal(called->closing.code, DCHAN_ERROR_IDENTITY);
    proved_clear(&p);
}

static void a_revoked_address_ends_after_the_grace(void **state)
{
    struct proved p;
    struct duo_end *called = &p.d.ends[1];
    (void)state;
    for (int grace = 0; grace < 2; grace++) {
        provisional_init(&p);
        dchan_session_free(called->session);
        dchan_session_free(p.d.ends[0].session);
        called->config.grace_ms = grace ? 5000 : 0;
        place = BCA_PLACE_ACTIVE;
        duo_start(&p.d);
        duo_settle(&p.d);
        marker = BCA_MARKER_SPENT;
        dchan_session_recheck(called->session, p.d.now_ms);
        if (grace) {
            assert_int_equal(called->closes, 0);
            marker = BCA_MARKER_UNSPENT; /* a reorganisation took it back */
            dchan_session_recheck(called->session, p.d.now_ms);
            dchan_session_tick(called->session, p.d.now_ms + 6000);
            assert_int_equal(called->closes, 0);
            marker = BCA_MARKER_SPENT;
            dchan_session_recheck(called->session, p.d.now_ms + 6000);
            dchan_session_tick(called->session, p.d.now_ms + 10999);
            assert_int_equal(called->closes, 0);
            dchan_session_tick(called->session, p.d.now_ms + 11000);
        }
        assert_int_equal(called->closes, 1);
        assert_int_equal(called->closing.code, DCHAN_ERROR_IDENTITY);
        proved_clear(&p);
    }
}

static void a_proof_that_never_held_has_no_grace(void **state)
{
    struct proved p;
    struct duo_end *called = &p.d.ends[1];
    (void)state;
    provisional_init(&p);
    dchan_session_free(called->session);
    dchan_session_free(p.d.ends[0].session);
    called->config.grace_ms = 5000;
    place = BCA_PLACE_ACTIVE;
    duo_start(&p.d);
    duo_settle(&p.d);
    place = BCA_PLACE_NOT_ACTIVE;
    dchan_session_recheck(called->session, p.d.now_ms);
    assert_int_equal(called->closes, 1);
    assert_int_equal(called->closing.code, DCHAN_ERROR_IDENTITY);
    proved_clear(&p);
}

/* --- alive --- */

static void idle_sessions_are_pinged_and_dead_ones_closed(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    duo_pass(&d, 3600);
    for (int i = 0; i < 2; i++) {
        const struct dchan_session_stats stats = dchan_session_stats(d.ends[i].session);
        assert_true(stats.rotations_sent >= 20);
        assert_int_equal(d.ends[i].closes, 0);
    }
    assert_true(dchan_session_stats(d.ends[0].session).agreements >= 5);
    assert_true(dchan_session_stats(d.ends[0].session).pongs +
                    dchan_session_stats(d.ends[1].session).pongs >= 20);
    for (int i = 0; i < 120 && d.ends[0].closes == 0; i++) { /* the other is gone */
        d.now_ms += 1000;
        dchan_session_tick(d.ends[0].session, d.now_ms);
        if (i < (DCHAN_PING_IDLE_MS - DCHAN_PING_JITTER_MS + DCHAN_PING_DEAD_MS) / 1000 - 1)
            assert_int_equal(d.ends[0].closes, 0);
    }
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_DEAD);
    assert_true(dchan_session_done(d.ends[0].session));
    duo_clear(&d);
}

static void pings_come_after_a_minute_more_or_less(void **state)
{
    uint64_t least = UINT64_MAX, most = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct duo d;
        duo_up(&d);
        const uint64_t start = d.now_ms;
        while (dchan_session_output(d.ends[0].session, d.now_ms).len == 0) {
            d.now_ms += 1000;
            dchan_session_tick(d.ends[0].session, d.now_ms);
        }
        least = MIN_OF(least, d.now_ms - start);
        most = MAX_OF(most, d.now_ms - start);
        duo_clear(&d);
    }
    assert_true(least >= DCHAN_PING_IDLE_MS - DCHAN_PING_JITTER_MS);
    assert_true(most <= DCHAN_PING_IDLE_MS + DCHAN_PING_JITTER_MS);
    assert_true(most > least);
}

/* Reads everything, answers nothing, and says that it is there. */
static void murmur(struct duo *d, int i, uint64_t seconds)
{
    while (seconds-- > 0 && d->ends[1 - i].closes == 0) {
        struct buf b = duo_take_output(&d->ends[1 - i]);
        buf_clear(&b);
        d->now_ms += 1000;
        if (seconds % 5 == 0)
            duo_attack(d, i, span_of("\0\x1b", 2)); /* pad */
        dchan_session_tick(d->ends[1 - i].session, d->now_ms);
    }
}

static void who_murmurs_lives_but_must_take_part_in_rekeys(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    dchan_session_ping(d.ends[0].session, d.now_ms);
    murmur(&d, 1, 600 + 29);
    assert_int_equal(d.ends[0].closes, 0);
    murmur(&d, 1, 2);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_TIMEOUT);
    duo_clear(&d);
}

static void a_bye_that_does_not_come_is_not_waited_for(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    dchan_session_goaway(d.ends[0].session, DCHAN_SHUTDOWN, d.now_ms);
    murmur(&d, 1, DCHAN_FLUSH_MS / 1000 - 1);
    assert_int_equal(d.ends[0].closes, 0);
    murmur(&d, 1, 1);
    assert_int_equal(d.ends[0].closing.why, DCHAN_CLOSED_GOAWAY);
    duo_clear(&d);
}

static void nothing_is_sent_that_was_not_offered(void **state)
{
    const struct dchan_msg read = { .type = DCHAN_M_READ }, ack = { .type = DCHAN_M_ACK };
    struct duo d;
    (void)state;
    duo_init(&d);
    d.ends[1].config.features.offered = 0;
    duo_start(&d);
    duo_settle(&d);
    assert_int_equal(dchan_session_send(d.ends[0].session, &read, d.now_ms), ERR_NOTFOUND);
    assert_null(dchan_session_mux(d.ends[0].session));
    assert_int_equal(dchan_session_send(d.ends[1].session, &ack, d.now_ms), OK);
    duo_settle(&d);
    assert_int_equal(d.ends[0].n_taken, 1);
    assert_int_equal(d.ends[0].taken[0], DCHAN_M_ACK);
    duo_clear(&d);
}

static void an_answered_ping_measures(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    dchan_session_ping(d.ends[0].session, d.now_ms);
    dchan_session_ping(d.ends[0].session, d.now_ms); /* one is open */
    duo_move(&d, 0);
    d.now_ms += 30;
    duo_settle(&d);
    assert_int_equal(dchan_session_stats(d.ends[0].session).pongs, 2);
    assert_int_equal(dchan_session_stats(d.ends[0].session).rtt_ms, 30);
    for (int i = 0; i < 2; i++) { /* one gets lost, the next does not wait for it */
        dchan_session_ping(d.ends[0].session, d.now_ms);
        struct buf b = duo_take_output(&d.ends[0]);
        assert_true(b.len > 0);
        buf_clear(&b);
        d.now_ms += 1000;
    }
    duo_clear(&d);
}

static void old_sessions_are_to_be_renewed(void **state)
{
    struct duo d;
    (void)state;
    duo_up(&d);
    const int small = memcmp(d.ends[0].key.key.pub, d.ends[1].key.key.pub, 33) < 0 ? 0 : 1;
    const uint64_t due = d.now_ms + DCHAN_RENEW_AGE_MS;
    assert_false(dchan_session_renewal_due(d.ends[small].session, due - 1));
    assert_true(dchan_session_renewal_due(d.ends[small].session, due));
    assert_false(dchan_session_renewal_due(d.ends[1 - small].session, due));
    assert_true(dchan_session_renewal_due(d.ends[1 - small].session, due + DCHAN_RENEW_OTHER_MS));
    duo_clear(&d);
}

static void idle_sessions_need_little_memory(void **state)
{
    enum { N = 20 };
    static const uint8_t body[DCHAN_BODY_MAX];
    const struct dchan_msg big = {
        .type = DCHAN_M_SEND, .m_send = { .body = span_of(body, sizeof body) }
    };
    struct duo *d = xcalloc(N, sizeof *d);
    (void)state;
    duo_up(&d[0]); /* what the libraries keep is there from now on */
    const size_t before = mallinfo2().uordblks;
    for (int i = 1; i < N; i++) {
        duo_up(&d[i]);
        for (int j = 0; j < 2; j++)
            assert_int_equal(dchan_session_send(d[i].ends[j].session, &big, d[i].now_ms), OK);
        duo_pass(&d[i], 3);
    }
    const size_t each = (mallinfo2().uordblks - before) / (2 * (N - 1));
    print_message("%zu bytes a session\n", each);
    assert_true(each <= DCHAN_SESSION_IDLE_BYTES);
    for (int i = 0; i < N; i++)
        duo_clear(&d[i]);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sides_come_up),
        cmocka_unit_test(who_is_unwelcome_is_told),
        cmocka_unit_test(what_one_requires_the_other_offers),
        cmocka_unit_test(a_locked_key_opens_nothing),
        cmocka_unit_test(a_second_session_carries_nothing_before_it_is_settled),
        cmocka_unit_test(what_is_settled_in_the_callback_comes_up),
        cmocka_unit_test(time_ends_what_does_not_come_up),
        cmocka_unit_test(who_changes_his_mind_closes_at_once),
        cmocka_unit_test(a_proved_address_is_bound),
        cmocka_unit_test(addresses_that_were_translated_count_as_unbound),
        cmocka_unit_test(a_provisional_contact_is_looked_at_again),
        cmocka_unit_test(a_revoked_address_ends_after_the_grace),
        cmocka_unit_test(a_proof_that_never_held_has_no_grace),
        cmocka_unit_test(idle_sessions_are_pinged_and_dead_ones_closed),
        cmocka_unit_test(pings_come_after_a_minute_more_or_less),
        cmocka_unit_test(who_murmurs_lives_but_must_take_part_in_rekeys),
        cmocka_unit_test(a_bye_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(nothing_is_sent_that_was_not_offered),
        cmocka_unit_test(an_answered_ping_measures),
        cmocka_unit_test(old_sessions_are_to_be_renewed),
        cmocka_unit_test(idle_sessions_need_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
