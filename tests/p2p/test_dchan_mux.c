/*
 * Streams: two muxes under random traffic, held against a model that sees only the messages, and
 * the order in which they send.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/dchan_pipe.h"
#include "tests/test.h"

/* --- the model: who may send how much, from the messages alone --- */

struct half {
    uint32_t credit;
    bool known, ended;
};
struct model {
    struct half halves[2][2 * STREAMS + 2]; /* of the side that sends, by sid */
};

static void model_see(struct model *model, int from, const struct dchan_msg *m)
{
    switch (m->type) {
    case DCHAN_S_OPEN:
        model->halves[1 - from][m->s_open.sid].credit = m->s_open.window;
        break;
    case DCHAN_S_ACCEPT:
    case DCHAN_S_WINDOW:
        model->halves[1 - from][m->stream.sid].credit += m->stream.value;
        break;
    case DCHAN_S_FIN:
        assert_false(model->halves[from][m->stream.sid].ended);
        model->halves[from][m->stream.sid].ended = true;
        break;
    case DCHAN_S_RESET:
        model->halves[from][m->s_reset.sid].ended = true;
        break;
    case DCHAN_S_DATA:
        assert_false(model->halves[from][m->s_data.sid].ended);
        assert_true(m->s_data.data.len <= model->halves[from][m->s_data.sid].credit);
        model->halves[from][m->s_data.sid].credit -= (uint32_t)m->s_data.data.len;
        break;
    }
}

static uint64_t rng_state;

static uint32_t below(uint32_t n)
{
    rng_state = rng_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((rng_state >> 33) % n);
}

static struct owner *some_owner(struct side *side)
{
    const size_t n = side->n_mine + side->n_theirs;
    if (n == 0)
        return NULL;
    const size_t i = below((uint32_t)n);
    return i < side->n_mine ? &side->mine[i] : &side->theirs[i - side->n_mine];
}

static void random_step(struct side *side, struct side *other, struct model *model, int i,
                        bool resets)
{
    struct owner *o = some_owner(side);
    struct dchan_msg m;
    switch (below(8)) {
    case 0:
        if (side->n_mine < STREAMS / 2)
            side_open(side, (uint8_t)below(8), below(8) ? below(90000) : below(900000));
        break;
    case 1:
        if (o)
            owner_consume(o, below(300000));
        break;
    case 2:
        if (resets && o && below(10) == 0)
            dchan_mux_reset(side->mux, o->sid, DCHAN_RESET_CANCELLED);
        break;
    case 3:
    case 4:
        dchan_mux_pump(side->mux, below(40000));
        break;
    case 5:
        ++*side->now_ms;
        break;
    default: /* the pipe lets some through */
        for (uint32_t n = below(6); n > 0 && side_next(side, &m); n--) {
            model_see(model, i, &m);
            assert_int_equal(side_take(other, &m), DCHAN_NO_ERROR);
        }
    }
}

static void finish_all(struct side *side)
{
    side->eager = true;
    for (size_t i = 0; i < side->n_mine + side->n_theirs; i++) {
        struct owner *o = i < side->n_mine ? &side->mine[i] : &side->theirs[i - side->n_mine];
        o->eager = true;
        owner_consume(o, o->unconsumed);
    }
}

/* What the opener sent the other side has, and back, unless it was reset. */
static void assert_all_arrived(const struct side *side, const struct side *other, bool resets)
{
    size_t complete = 0;
    for (size_t i = 0; i < side->n_mine; i++) {
        const struct owner *o = &side->mine[i];
        assert_true(o->closed);
        if (o->code) {
            assert_true(resets);
            continue;
        }
        for (size_t j = 0; j < other->n_theirs; j++)
            if (other->theirs[j].sid == o->sid && other->theirs[j].code == 0) {
                assert_int_equal(other->theirs[j].got, o->to_send);
                assert_int_equal(o->got, other->theirs[j].to_send);
                complete++;
            }
    }
    assert_true(complete > 0);
}

static void random_traffic(bool resets)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct pair *p = pair_new(false);
        struct model *model = xcalloc(1, sizeof *model);
        rng_state = seed * 7919;
        for (int i = 0; i < 2; i++) {
            p->sides[i].eager = false;
            p->sides[i].answer_bytes = below(200000);
            dchan_mux_set_rtt(p->sides[i].mux, 20);
        }
        for (int step = 0; step < 3000; step++) {
            const int i = (int)below(2);
            random_step(&p->sides[i], &p->sides[1 - i], model, i, resets);
            for (int j = 0; j < 2; j++)
                assert_true(dchan_mux_stats(p->sides[j].mux)->windows <= DCHAN_WINDOWS_CONTACT);
        }
        finish_all(&p->sides[0]);
        finish_all(&p->sides[1]);
        pair_settle(p);
        for (int i = 0; i < 2; i++) {
            assert_all_arrived(&p->sides[i], &p->sides[1 - i], resets);
            assert_int_equal(dchan_mux_stats(p->sides[i].mux)->streams, 0);
            assert_int_equal(p->sides[i].shares.granted, 0);
        }
        free(model);
        pair_free(p);
    }
}

static void every_byte_arrives_once_and_in_order(void **state)
{
    (void)state;
    random_traffic(false);
}

static void streams_that_are_reset_leave_others_alone(void **state)
{
    (void)state;
    random_traffic(true);
}

/* --- the scheduler --- */

/* Of the next message that the side puts. */
static uint32_t sid_put_next(struct side *side)
{
    struct dchan_msg m;
    while (!side_next(side, &m))
        assert_true(dchan_mux_pump(side->mux, 1) > 0);
    return m.type == DCHAN_S_DATA ? m.s_data.sid : 0;
}

static void bulk_never_delays_a_lower_priority(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    struct owner *voice = side_open(side, 0, 0);
    voice->holds_end = true;
    voice->piece = 100;
    pair_settle(p);
    struct owner *bulk = side_open(side, 5, 10 << 20);
    struct dchan_msg m;
    for (int i = 0; i < 2; i++)
        while (side_next(&p->sides[i], &m))
            assert_int_equal(side_take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sid_put_next(side), bulk->sid);
        voice->to_send += 100;
        dchan_mux_wake(side->mux, voice->sid);
        assert_int_equal(sid_put_next(side), voice->sid);
    }
    assert_true(bulk->sent <= 4 * DCHAN_DATA_MAX);
    dchan_mux_pump(side->mux, 1);
    assert_int_equal(side_open(side, 7, 0)->sid, 5);
    assert_int_equal(sid_put_next(side), bulk->sid); /* it was put before the open */
    assert_int_equal(sid_put_next(side), 0);         /* which waits for no other data */
    pair_free(p);
}

static void what_is_held_waits_and_the_first_does_not(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    struct owner *bulk = side_open(side, 4, 100000);
    pair_settle(p);
    assert_false(dchan_mux_has_first(side->mux));
    assert_true(bulk->closed || bulk->sent == 100000);
    bulk = side_open(side, 4, 100000);
    struct owner *voice = side_open(side, 0, 1000);
    assert_true(dchan_mux_has_first(side->mux));
    dchan_mux_hold(side->mux, true);
    pair_settle(p);
    assert_int_equal(voice->sent, 1000);
    assert_int_equal(bulk->sent, 0);
    dchan_mux_hold(side->mux, false);
    pair_settle(p);
    assert_int_equal(bulk->sent, 100000);
    assert_true(voice->closed);
    assert_false(dchan_mux_has_first(side->mux));
    pair_free(p);
}

static void streams_of_one_priority_share_by_bytes(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    struct owner *o[3];
    struct dchan_msg m;
    (void)state;
    p->sides[1].eager = false;
    for (int i = 0; i < 3; i++) {
        o[i] = side_open(side, 3, 200000);
        o[i]->piece = i == 0 ? 1000 : i == 1 ? 16384 : 5000;
    }
    for (int i = 0; i < 2; i++)
        while (side_next(&p->sides[i], &m))
            assert_int_equal(side_take(&p->sides[1 - i], &m), DCHAN_NO_ERROR);
    dchan_mux_pump(side->mux, 300000);
    for (int i = 0; i < 3; i++) {
        assert_true(o[i]->sent > 80000);
        assert_true(o[i]->sent < 120000);
    }
    pair_free(p);
}

static void producers_are_asked_only_when_there_is_room(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    p->sides[1].eager = false;
    struct owner *o = side_open(side, 3, 10 << 20);
    assert_int_equal(dchan_mux_pump(side->mux, 100000), 0); /* not accepted yet */
    assert_int_equal(o->pulls, 0);
    pair_settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START);
    const size_t pulls = o->pulls;
    assert_int_equal(dchan_mux_pump(side->mux, 100000), 0);
    assert_int_equal(o->pulls, pulls);
    struct owner *theirs = &p->sides[1].theirs[0];
    owner_consume(theirs, DCHAN_WINDOW_START / 2 - 1);
    pair_settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START); /* credit from half a window on */
    owner_consume(theirs, 1);
    pair_settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START + DCHAN_WINDOW_START / 2);
    pair_free(p);
}

static void an_end_needs_no_window(void **state)
{
    struct pair *p = pair_new(false);
    (void)state;
    p->sides[1].eager = false;
    struct owner *o = side_open(&p->sides[0], 3, DCHAN_WINDOW_START);
    o->holds_end = true;
    pair_settle(p);
    assert_int_equal(o->sent, DCHAN_WINDOW_START);
    assert_false(p->sides[1].theirs[0].fin);
    owner_consume(&p->sides[1].theirs[0], 1000);
    o->holds_end = false;
    dchan_mux_wake(p->sides[0].mux, o->sid);
    pair_settle(p);
    assert_true(p->sides[1].theirs[0].fin);
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_START - 1000); /* what is unread */
    owner_consume(&p->sides[1].theirs[0], SIZE_MAX);
    assert_int_equal(p->sides[1].shares.granted, 0);
    pair_settle(p);
    assert_true(o->closed && o->code == 0);
    pair_free(p);
}

static void an_owner_may_reset_while_he_is_asked_for_data(void **state)
{
    struct pair *p = pair_new(false);
    struct side *side = &p->sides[0];
    (void)state;
    struct owner *o = side_open(side, 3, 50000);
    o->resets_at = 20000;
    struct owner *other = side_open(side, 3, 50000);
    pair_settle(p);
    assert_true(o->closed && o->code == DCHAN_RESET_LOCAL);
    assert_true(p->sides[1].theirs[0].closed && p->sides[1].theirs[0].code == DCHAN_RESET_LOCAL);
    assert_true(p->sides[1].theirs[0].got >= 20000 && p->sides[1].theirs[0].got < 50000);
    assert_true(other->closed && other->code == 0);
    pair_free(p);
}

static void windows_of_strangers_grow_within_their_share(void **state)
{
    struct pair *p = pair_new(true);
    (void)state;
    dchan_mux_set_rtt(p->sides[1].mux, 50);
    for (int i = 0; i < 2; i++)
        side_open(&p->sides[0], 3, 20 << 20);
    pair_settle(p);
    for (int i = 0; i < 2; i++)
        assert_true(p->sides[0].mine[i].closed && p->sides[0].mine[i].code == 0);
    p->sides[1].eager = false;
    side_open(&p->sides[0], 3, 20 << 20);
    pair_settle(p);
    for (int i = 0; i < 8; i++) {
        owner_consume(&p->sides[1].theirs[2], SIZE_MAX);
        pair_settle(p);
    }
    assert_int_equal(p->sides[1].shares.to_strangers, DCHAN_WINDOWS_STRANGER);
    pair_free(p);
}

static void windows_grow_when_they_are_drained_fast(void **state)
{
    struct pair *p = pair_new(false);
    (void)state;
    dchan_mux_set_rtt(p->sides[1].mux, 50);
    p->sides[1].eager = false;
    side_open(&p->sides[0], 3, 200 << 20);
    pair_settle(p);
    for (int i = 0; i < 14; i++) {
        p->now_ms += i < 10 ? 10 : 1000;
        if (i == 10)
            assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_MAX);
        owner_consume(&p->sides[1].theirs[0], SIZE_MAX);
        pair_settle(p);
    }
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_MAX);
    pair_free(p);
    p = pair_new(false);
    dchan_mux_set_rtt(p->sides[1].mux, 50);
    p->sides[1].eager = false;
    side_open(&p->sides[0], 3, 200 << 20);
    pair_settle(p);
    for (int i = 0; i < 10; i++) {
        p->now_ms += 101;
        owner_consume(&p->sides[1].theirs[0], SIZE_MAX);
        pair_settle(p);
    }
    assert_int_equal(p->sides[1].shares.granted, DCHAN_WINDOW_START);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives_once_and_in_order),
        cmocka_unit_test(streams_that_are_reset_leave_others_alone),
        cmocka_unit_test(bulk_never_delays_a_lower_priority),
        cmocka_unit_test(what_is_held_waits_and_the_first_does_not),
        cmocka_unit_test(streams_of_one_priority_share_by_bytes),
        cmocka_unit_test(producers_are_asked_only_when_there_is_room),
        cmocka_unit_test(an_end_needs_no_window),
        cmocka_unit_test(an_owner_may_reset_while_he_is_asked_for_data),
        cmocka_unit_test(windows_of_strangers_grow_within_their_share),
        cmocka_unit_test(windows_grow_when_they_are_drained_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
