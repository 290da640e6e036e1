/* Sessions over pipes: the bytes of one go from node to node by hand, as a relay carries them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "tests/p2p/channels_pair.h"
#include "tests/test.h"

/* One end; its state belongs to the channel thread of its side. */
struct end {
    struct channels_side *side;
    struct end *other;
    struct chan_pipe *pipe; /* NULL: gone */
    enum dchan_role role;
    enum err attached;
    size_t piece;           /* bytes that are pulled at a time */
    atomic_uint wakes, closes, carried;
    bool ended;
};

struct trip {
    struct end *to;
    struct buf bytes;
    bool end;
};

static void arrive(struct channels *c, void *ctx)
{
    struct trip *t = ctx;
    if (c && t->to->pipe && t->bytes.len)
        chan_pipe_push(t->to->pipe, buf_span(&t->bytes));
    if (c && t->to->pipe && t->end)
        chan_pipe_push_end(t->to->pipe);
    buf_clear(&t->bytes);
    free(t);
}

static void carry(struct end *e)
{
    struct trip *t = xcalloc(1, sizeof *t);
    size_t n;
    t->to = e->other;
    buf_init(&t->bytes);
    do {
        uint8_t piece[512];
        n = e->ended ? 0 : chan_pipe_pull(e->pipe, piece, e->piece, &e->ended);
        buf_put(&t->bytes, piece, n);
    } while (n && !e->ended);
    t->end = e->ended;
    atomic_fetch_add(&e->carried, (unsigned)t->bytes.len);
    channels_post(e->other->side->channels, arrive, t);
}

static void on_wake(void *ctx)
{
    struct end *e = ctx;
    atomic_fetch_add(&e->wakes, 1);
    carry(e);
}

static void on_closed(void *ctx)
{
    struct end *e = ctx;
    e->pipe = NULL;
    atomic_fetch_add(&e->closes, 1);
}

static const struct chan_pipe_ops pipe_ops = { on_wake, on_closed };

static void attach(struct channels *c, void *ctx)
{
    struct end *e = ctx;
    e->attached = channels_attach(c, &(struct chan_pipe_config){
        .role = e->role, .identity = &e->side->identity,
        .key = e->role == DCHAN_INITIATOR ? e->other->side->key.key.pub : NULL, .ops = &pipe_ops,
        .ctx = e }, &e->pipe);
}

struct pipes {
    struct channels_pair p;
    struct end ends[2];
};

static void open_pipes(struct pipes *t, size_t piece)
{
    channels_pair_init(&t->p);
    channels_pair_open(&t->p);
    channels_pair_start(&t->p);
    for (int i = 0; i < 2; i++)
        t->ends[i] = (struct end){ .side = &t->p.sides[i], .other = &t->ends[!i],
                                   .role = i ? DCHAN_RESPONDER : DCHAN_INITIATOR,
                                   .piece = piece };
    for (int i = 1; i >= 0; i--) {
        assert_true(channels_call(t->p.sides[i].channels, attach, &t->ends[i]));
        assert_int_equal(t->ends[i].attached, OK);
    }
}

static bool both_up(void *ctx)
{
    struct pipes *t = ctx;
    return t->p.sides[0].ups == 1 && t->p.sides[1].ups == 1;
}

static bool both_closed(void *ctx)
{
    struct pipes *t = ctx;
    return t->ends[0].closes == 1 && t->ends[1].closes == 1;
}

static void a_session_runs_over_a_pipe(void **state)
{
    static struct pipes t;
    struct chan_peer_info info;
    (void)state;
    open_pipes(&t, 512);
    channels_pair_wait(both_up, &t);
    assert_true(channels_side_info(&t.p.sides[1], &t.p.sides[0], &info));
    assert_int_equal(info.state, CHAN_PEER_UP);
    assert_string_equal(info.address, "");
    assert_true(info.inbound && info.contact);
    channels_pair_close(&t.p);
    assert_int_equal(t.ends[0].closes, 1);
    assert_int_equal(t.ends[1].closes, 1);
}

static void a_pipe_may_give_a_byte_at_a_time(void **state)
{
    static struct pipes t;
    (void)state;
    open_pipes(&t, 1);
    channels_pair_wait(both_up, &t);
    channels_pair_close(&t.p);
}

static void disconnect(struct channels *c, void *ctx)
{
    struct channels_side *other = ctx;
    chan_peer_disconnect(channels_find(c, other->key.key.pub));
}

static void its_session_ends_in_order(void **state)
{
    static struct pipes t;
    (void)state;
    open_pipes(&t, 512);
    channels_pair_wait(both_up, &t);
    assert_true(channels_call(t.p.sides[1].channels, disconnect, &t.p.sides[0]));
    channels_pair_wait(both_closed, &t);
    assert_int_equal(t.p.sides[0].why, DCHAN_CLOSED_CLEAN);
    assert_int_equal(t.p.sides[1].why, DCHAN_CLOSED_CLEAN);
    channels_pair_close(&t.p);
}

static bool is_direct(void *ctx)
{
    struct pipes *t = ctx;
    struct chan_peer_info info;
    return channels_side_info(&t->p.sides[1], &t->p.sides[0], &info) &&
           info.state == CHAN_PEER_UP && *info.address;
}

static void a_direct_session_takes_its_place(void **state)
{
    static struct pipes t;
    (void)state;
    open_pipes(&t, 512);
    channels_pair_wait(both_up, &t);
    channels_side_dial(&t.p.sides[0], &t.p.sides[1]);
    channels_pair_wait(is_direct, &t);
    channels_pair_wait(both_closed, &t);
    assert_int_equal(t.p.sides[0].downs + t.p.sides[1].downs, 0);
    channels_pair_close(&t.p);
}

static void close_it(struct channels *c, void *ctx)
{
    struct end *e = ctx;
    (void)c;
    chan_pipe_close(e->pipe);
    e->pipe = NULL;
}

static bool one_down(void *ctx)
{
    return ((struct channels_side *)ctx)->downs == 1;
}

static void it_is_cut_when_its_carrier_goes(void **state)
{
    static struct pipes t;
    (void)state;
    open_pipes(&t, 512);
    channels_pair_wait(both_up, &t);
    assert_true(channels_call(t.p.sides[0].channels, close_it, &t.ends[0]));
    channels_pair_wait(one_down, &t.p.sides[0]);
    assert_int_equal(t.p.sides[0].why, DCHAN_CLOSED_TRUNCATED);
    assert_int_equal(t.ends[0].closes, 0);
    assert_true(channels_call(t.p.sides[1].channels, close_it, &t.ends[1]));
    channels_pair_close(&t.p);
}

static void attach_to_self(struct channels *c, void *ctx)
{
    struct end *e = ctx;
    e->attached = channels_attach(c, &(struct chan_pipe_config){
        .role = DCHAN_INITIATOR, .identity = &e->side->identity,
        .key = e->side->key.key.pub, .ops = &pipe_ops, .ctx = e }, &e->pipe);
}

static void attach_many(struct channels *c, void *ctx)
{
    struct end *e = ctx;
    struct chan_pipe *pipe;
    e->attached = OK;
    for (size_t i = 0; i < 64 && e->attached == OK; i++)
        e->attached = channels_attach(c, &(struct chan_pipe_config){
            .role = DCHAN_RESPONDER, .identity = &e->side->identity, .ops = &pipe_ops,
            .ctx = e }, &pipe);
}

static void what_cannot_be_is_refused(void **state)
{
    static struct channels_side s;
    struct end e = { .side = &s };
    (void)state;
    channels_side_init(&s);
    channels_side_open(&s, 0x11);
    channels_side_start(&s);
    assert_true(channels_call(s.channels, attach_to_self, &e));
    assert_int_equal(e.attached, ERR_RANGE);
    assert_true(channels_call(s.channels, attach_many, &e));
    assert_int_equal(e.attached, ERR_BUSY);
    channels_side_close(&s);
    assert_int_equal(e.closes, 48); /* of those that got in, at the stop */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_runs_over_a_pipe),
        cmocka_unit_test(a_pipe_may_give_a_byte_at_a_time),
        cmocka_unit_test(its_session_ends_in_order),
        cmocka_unit_test(a_direct_session_takes_its_place),
        cmocka_unit_test(it_is_cut_when_its_carrier_goes),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
