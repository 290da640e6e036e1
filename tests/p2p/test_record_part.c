/* Records in sessions: own ones to contacts, theirs under their own key alone. */
#include <config.h>

#include "p2p/record_part.h"

#include <stdlib.h>

#include "tests/p2p/channels_pair.h"
#include "tests/p2p/record_maker.h"
#include "tests/test.h"

/* Secrets of the sides of a pair are bytes alike; side 0 shows, side 1 judges. */
struct stage {
    struct channels_pair p;
    struct record_part *parts[2];
    struct made_record own; /* of side 0 */
    atomic_bool has_own;
    enum record_status says; /* side 1 of all that it is offered, unless it is too much */
    bool too_much;
    atomic_uint offered, answered, reached;
    atomic_int status;      /* of the last answer that side 0 got */
    struct dchan_msg out;

};

struct seat { struct stage *t; int side; };
static struct seat seats[2];

static bool own(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *raw)
{
    const struct seat *s = ctx;
    if (s->side || !s->t->has_own)
        return false;
    assert_memory_equal(key, s->t->own.key, IDENTITY_KEY_SIZE);
    buf_put(raw, s->t->own.raw.data, s->t->own.raw.len);
    return true;
}

static bool offer(void *ctx, const struct record_offer *o, struct span raw)
{
    const struct seat *s = ctx;
    assert_true(raw.len > IDENTITY_KEY_SIZE);
    atomic_fetch_add(&s->t->offered, 1);
    if (s->t->too_much)
        return false;
    record_part_answer(s->t->p.sides[s->side].channels, o, s->t->says);
    return true;
}

static void reached(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct seat *s = ctx;
    assert_memory_equal(key, s->t->p.sides[!s->side].key.key.pub, IDENTITY_KEY_SIZE);
    atomic_fetch_add(&s->t->reached, 1);
}

static struct stage *listening; /* whom answers are told */

static void on_answer(void *ctx, const struct dchan_msg *m)
{
    (void)ctx;
    atomic_store(&listening->status, m->dht_put_ok.status);
    atomic_fetch_add(&listening->answered, 1);
}

static const struct dchan_handler answers[] = { { DCHAN_DHT_PUT_OK, DCHAN_DHT_PUT_OK,
                                                  on_answer } };

static int stage_open(void **state)
{
    struct stage *t = calloc(1, sizeof(*t));
    channels_pair_init(&t->p);
    channels_pair_open(&t->p);
    listening = t;
    for (int i = 0; i < 2; i++) {
        seats[i] = (struct seat){ t, i };
        const struct record_part_ops ops = { .own = own, .offer = offer, .reached = reached,
                                             .ctx = &seats[i] };
        t->parts[i] = record_part_new(t->p.sides[i].channels, &ops);
    }
    channels_add_part(t->p.sides[0].channels,
                      &(struct channel_part){ .handlers = answers, .n_handlers = 1, .ctx = t });
    record_make(&t->own, t->p.sides[0].key.secret[0], 5, NULL);
    *state = t;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *t = *state;
    channels_pair_close(&t->p);
    for (int i = 0; i < 2; i++)
        record_part_free(t->parts[i]);
    record_clear(&t->own);
    free(t);
    return 0;
}

static void begin(struct stage *t)
{
    channels_pair_start(&t->p);
    channels_pair_connect(&t->p);
}

static void send_it(struct channels *c, void *ctx)
{
    struct stage *t = ctx;
    assert_int_equal(chan_peer_send(channels_find(c, t->p.sides[1].key.key.pub), &t->out), OK);
}

static unsigned wanted;
static bool is_answered(void *ctx) { return ((struct stage *)ctx)->answered >= wanted; }

/* Shows a record as side 0 and waits for the answer. */
static enum record_status show(struct stage *t, uint8_t kind, uint8_t who, uint64_t seq)
{
    struct made_record m;
    record_make(&m, who, seq, NULL);
    t->out = (struct dchan_msg){ .type = DCHAN_DHT_PUT,
                                 .dht_put = { 9, kind, buf_span(&m.raw) } };
    wanted = t->answered + 1;
    assert_true(channels_call(t->p.sides[0].channels, send_it, t));
    channels_pair_wait(is_answered, t);
    record_clear(&m);
    return (enum record_status)atomic_load(&t->status);
}

static void do_nothing(struct channels *c, void *ctx)
{
    (void)c;
    (void)ctx;
}

static void an_own_record_is_shown_when_a_session_is_up_and_when_it_changes(void **state)
{
    struct stage *t = *state;
    t->has_own = true;
    wanted = 1;
    begin(t);
    channels_pair_wait(is_answered, t);
    assert_int_equal(t->status, RECORD_STORED);
    assert_int_equal(t->offered, 1);
    record_part_own_changed(t->p.sides[0].channels); /* it has not, so nothing is sent */
    assert_true(channels_call(t->p.sides[0].channels, do_nothing, NULL)); /* behind that */
    record_clear(&t->own);
    record_make(&t->own, t->p.sides[0].key.secret[0], 6, NULL);
    t->says = RECORD_STALE;
    wanted = 2;
    record_part_own_changed(t->p.sides[0].channels);
    channels_pair_wait(is_answered, t);
    assert_int_equal(t->status, RECORD_STALE);
    assert_int_equal(t->offered, 2);
}

static void what_is_private_is_not_shown(void **state)
{
    struct stage *t = *state;
    begin(t);
    record_part_own_changed(t->p.sides[0].channels);
    assert_int_equal(show(t, 1, t->p.sides[0].key.secret[0], 1), RECORD_STORED);
    assert_int_equal(t->offered, 1); /* that one alone */
    assert_int_equal(t->reached, 2); /* by both sides */
}

/* E3: a contact speaks for its own key alone. */
static void a_record_of_somebody_else_is_not_taken(void **state)
{
    struct stage *t = *state;
    begin(t);
    assert_int_equal(show(t, 1, 0x77, 1), RECORD_INVALID);
    assert_int_equal(show(t, 1, t->p.sides[1].key.secret[0], 1), RECORD_INVALID);
    assert_int_equal(show(t, 0, t->p.sides[0].key.secret[0], 1), RECORD_NOT_RESPONSIBLE);
    assert_int_equal(t->offered, 0);
}

static void a_contact_has_a_rate(void **state)
{
    struct stage *t = *state;
    begin(t);
    for (uint64_t seq = 1; seq <= RECORD_PART_BURST; seq++)
        assert_int_equal(show(t, 1, t->p.sides[0].key.secret[0], seq), RECORD_STORED);
    channels_side_freeze(&t->p.sides[1]);
    assert_int_equal(show(t, 1, t->p.sides[0].key.secret[0], 9), RECORD_FULL);
    assert_int_equal(t->offered, RECORD_PART_BURST);
}

static void who_has_too_much_to_judge_says_so(void **state)
{
    struct stage *t = *state;
    t->too_much = true;
    begin(t);
    assert_int_equal(show(t, 1, t->p.sides[0].key.secret[0], 1), RECORD_FULL);
}

static void strangers_give_and_get_none(void **state)
{
    struct stage *t = *state;
    t->has_own = true;
    t->p.sides[1].knows_other = false;
    begin(t);
    wanted = 1; /* to the side that side 0 knows it goes, and is not taken there */
    channels_pair_wait(is_answered, t);
    assert_int_equal(t->status, RECORD_NOT_RESPONSIBLE);
    assert_int_equal(t->offered, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_own_record_is_shown_when_a_session_is_up_and_when_it_changes),
        TEST(what_is_private_is_not_shown),
        TEST(a_record_of_somebody_else_is_not_taken),
        TEST(a_contact_has_a_rate),
        TEST(who_has_too_much_to_judge_says_so),
        TEST(strangers_give_and_get_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
