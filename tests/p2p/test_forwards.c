/* Services of contacts as ports of this machine, pipes, and what becomes of those who must wait. */
#include "p2p/forwards.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/local_program.h"
#include "tests/test.h"

struct world {
    struct fake *f;
    struct local_streams streams;
    struct forwards *forwards;
};

static int world_new(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    *state = w;
    w->f = fake_new();
    w->f->accepts = true;
    fake_add_contact(w->f, "carol"); /* no identity of ours talks to her */
    local_streams_init(&w->streams, &w->f->channels, 8, 0);
    w->forwards = forwards_new(&w->streams);
    return 0;
}

static int world_free(void **state)
{
    struct world *w = *state;
    if (w->f->near)
        fake_down(w->f);
    assert_int_equal(w->streams.all.n, 0);
    forwards_free(w->forwards);
    fake_free(w->f);
    free(w);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

static const struct forward *add(struct world *w, struct forward_wish wish)
{
    const struct forward *out;
    struct error e;
    wish.contact = wish.contact ? wish.contact : &w->f->contacts[0];
    wish.service = "web";
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), OK);
    return out;
}

struct arrival { struct fake *f; size_t n; };

static bool have_come(void *ctx)
{
    const struct arrival *a = ctx;
    return a->f->n_streams >= a->n;
}

/* The n-th stream that reaches the contact. */
static struct far *arrived(struct world *w, size_t n)
{
    fake_until(w->f, have_come, &(struct arrival){ w->f, n });
    return &w->f->streams[n - 1];
}

static void a_connection_becomes_a_stream(void **state)
{
    static const int families[] = { AF_INET6, AF_INET };
    struct world *w = *state;
    char got[8];
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        const int program = program_connect(families[i], SOCK_STREAM, f->port);
        struct far *s = arrived(w, i + 1);
        assert_string_equal(s->service, "web");
        assert_int_equal(s->priority, 3);
        program_write(w->f, program, "ask", 3);
        far_await(s, 3);
        far_send(s, "answer", 6);
        program_read(w->f, program, got, 6);
        assert_memory_equal(got, "answer", 6);
        far_end(s);
        assert_int_equal(program_await_end(w->f, program), 0);
        shutdown(program, SHUT_WR);
        far_await_closed(s);
        assert_int_equal(s->code, 0);
        close(program);
    }
}

static void only_loopback_is_listened_on(void **state)
{
    struct world *w = *state;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    assert_int_equal(f->local.n, 2);
    for (size_t i = 0; i < f->local.n; i++) {
        struct sockaddr_storage ss;
        struct netaddr a;
        socklen_t len = sizeof ss;
        assert_int_equal(getsockname(f->local.fds[i], (struct sockaddr *)&ss, &len), 0);
        assert_true(netaddr_from_sockaddr(&a, (struct sockaddr *)&ss));
        assert_int_equal(netaddr_class(&a), NETADDR_LOOPBACK);
        assert_int_equal(a.port, f->port);
    }
}

static void a_refused_connection_ends_cleanly(void **state)
{
    struct world *w = *state;
    w->f->accepts = false;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    assert_int_equal(send(program, "GET /", 5, 0), 5);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
}

static void a_break_of_the_stream_is_a_break_here(void **state)
{
    struct world *w = *state;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    struct far *s = arrived(w, 1);
    fake_settle(w->f);
    dchan_mux_reset(w->f->far, s->sid, DCHAN_RESET_LOCAL);
    assert_int_equal(program_await_end(w->f, program), ECONNRESET);
    close(program);
}

/* --- without a session --- */

static void a_connection_waits_until_the_contact_is_there(void **state)
{
    struct world *w = *state;
    char got[8];
    fake_down(w->f);
    w->f->peer.state = CHAN_PEER_DIALLING;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    fake_settle(w->f);
    assert_true(w->f->peer.dials > 0);
    assert_int_equal(f->guests.n, 1);
    fake_tick(w->f, 10000);
    assert_int_equal(f->guests.n, 1);
    fake_up(w->f);
    struct far *s = arrived(w, 1);
    far_send(s, "here", 4);
    program_read(w->f, program, got, 4);
    close(program);
}

/* What is asked for when the contact has begun to leave a session is asked for in the next one. */
static void a_connection_at_the_end_of_a_session_is_served_in_the_next(void **state)
{
    struct world *w = *state;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    char got[8];
    const uint32_t last = dchan_mux_goaway(w->f->far);
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    while (!w->f->shares[0].granted) /* a stream is asked for, and not handed over yet */
        event_base_loop(w->f->channels.base, EVLOOP_ONCE);
    dchan_mux_take_goaway(w->f->near, last);
    program_write(w->f, program, "ask", 3);
    assert_int_equal(w->f->n_streams, 0); /* that session takes none */
    fake_down(w->f);
    fake_up(w->f);
    struct far *s = arrived(w, 1);
    far_await(s, 3);
    assert_memory_equal(s->in.data, "ask", 3);
    far_send(s, "answer", 6);
    program_read(w->f, program, got, 6);
    assert_memory_equal(got, "answer", 6);
    far_end(s);
    close(program);
    far_await_closed(s);
}

static void nobody_waits_for_ever(void **state)
{
    struct world *w = *state;
    fake_down(w->f);
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    w->f->peer.state = CHAN_PEER_DIALLING;
    int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    fake_settle(w->f);
    fake_tick(w->f, FORWARD_WAIT_MS - 1);
    assert_int_equal(f->guests.n, 1);
    fake_tick(w->f, 1);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
    program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    fake_settle(w->f);
    w->f->peer.state = CHAN_PEER_IDLE; /* dialling has failed */
    fake_tick(w->f, 1000);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
}

/* A contact whose sessions all end when something is asked for in them. */
static void nobody_waits_anew_with_each_session(void **state)
{
    enum { ROUNDS = 3 };
    struct world *w = *state;
    fake_down(w->f);
    w->f->peer.state = CHAN_PEER_DIALLING;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    fake_settle(w->f);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(f->guests.n, 1);
        fake_up(w->f);
        assert_int_equal(f->guests.n, 0); /* it has a stream */
        dchan_mux_take_goaway(w->f->near, 0);
        fake_down(w->f);
        fake_tick(w->f, FORWARD_WAIT_MS / ROUNDS);
    }
    assert_int_equal(f->guests.n, 0);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
}

static void those_who_wait_have_a_limit(void **state)
{
    struct world *w = *state;
    int programs[FORWARD_GUESTS_MAX + 1];
    fake_down(w->f);
    w->f->peer.state = CHAN_PEER_DIALLING;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        programs[i] = program_connect(AF_INET6, SOCK_STREAM, f->port);
        fake_settle(w->f);
    }
    assert_int_equal(f->guests.n, FORWARD_GUESTS_MAX);
    assert_int_equal(program_await_end(w->f, programs[FORWARD_GUESTS_MAX]), 0);
    fake_up(w->f); /* and streams too: what is too much waits on */
    fake_settle(w->f);
    assert_int_equal(w->streams.all.n, 8);
    assert_int_equal(f->guests.n, FORWARD_GUESTS_MAX - 8);
    close(programs[0]);
    far_end(&w->f->streams[0]);
    fake_settle(w->f);
    fake_tick(w->f, 1000);
    arrived(w, 9);
    for (size_t i = 1; i < COUNT_OF(programs); i++)
        close(programs[i]);
}

static void a_lack_of_descriptors_passes(void **state)
{
    struct world *w = *state;
    struct rlimit before, few;
    const struct forward *f = add(w, (struct forward_wish){ .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)program + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fake_settle(w->f);
    for (size_t i = 0; i < f->local.n; i++) /* it is not told of again and again */
        assert_false(event_pending(f->events[i], EV_READ, NULL));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fake_settle(w->f);
    assert_int_equal(w->f->n_streams, 0);
    fake_tick(w->f, 1000);
    arrived(w, 1);
    close(program);
}

static void a_contact_that_cannot_be_reached_is_said_at_once(void **state)
{
    struct world *w = *state;
    const struct forward *f = add(w, (struct forward_wish){ .contact = &w->f->contacts[1] });
    int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
    f = add(w, (struct forward_wish){ .priority = 3 });
    w->f->peer.no_streams = true;
    program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
}

/* --- the set --- */

static void a_forward_that_is_taken_away_ends_its_streams(void **state)
{
    struct world *w = *state;
    struct error e;
    int held[2]; /* nobody else gets the port while no forward listens */
    const uint16_t port = program_reserve(held);
    const struct forward *f = add(w, (struct forward_wish){ .port = port, .priority = 3 });
    const int program = program_connect(AF_INET6, SOCK_STREAM, port);
    struct far *s = arrived(w, 1);
    fake_settle(w->f);
    const struct forward *second;
    assert_int_equal(forwards_add(w->forwards,
                                  &(struct forward_wish){ .contact = &w->f->contacts[0],
                                                          .service = "web", .port = port },
                                  &second, &e), ERR_EXISTS);
    assert_int_equal(forwards_remove(w->forwards, (uint16_t)(port + 1), &e), ERR_NOTFOUND);
    assert_int_equal(forwards_remove(w->forwards, port, &e), OK);
    far_await_closed(s);
    assert_int_equal(s->code, DCHAN_RESET_CANCELLED);
    assert_int_equal(program_await_end(w->f, program), ECONNRESET);
    close(program);
    f = add(w, (struct forward_wish){ .port = port }); /* the port is free again */
    assert_int_equal(f->port, port);
    close(held[0]);
    close(held[1]);
}

static void a_contact_that_is_removed_loses_its_forwards(void **state)
{
    struct world *w = *state;
    struct error e;
    const uint16_t port = add(w, (struct forward_wish){ .contact = &w->f->contacts[1] })->port;
    const uint16_t kept = add(w, (struct forward_wish){ .priority = 3 })->port;
    const struct channel_part *part = &w->f->channels.parts[1];
    w->f->n_contacts = 1;
    part->contact_gone(part->ctx, (const uint8_t[IDENTITY_KEY_SIZE]){ 3 });
    assert_int_equal(forwards_remove(w->forwards, port, &e), ERR_NOTFOUND);
    assert_int_equal(forwards_remove(w->forwards, kept, &e), OK);
}

static void wishes_are_checked(void **state)
{
    struct world *w = *state;
    struct error e;
    const struct forward *out;
    uint16_t port;
    struct forward_wish wish = { .contact = &w->f->contacts[0], .service = "No" };
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_RANGE);
    wish.service = "web";
    wish.priority = DCHAN_PRIORITY_MAX + 1;
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_RANGE);
    wish.priority = 0;
    const int listener = program_listen(SOCK_STREAM, &port);
    wish.port = port; /* somebody else's */
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_IO);
    close(listener);
    wish.port = 0;
    for (size_t i = 0; i < FORWARDS_MAX; i++)
        assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), OK);
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_RANGE);
}

/* --- pipes --- */

static int enter_pipe(struct world *w, const struct forward *f, const uint8_t *token)
{
    char line[2 * FORWARD_TOKEN_SIZE + 2];
    hex_encode(line, token, FORWARD_TOKEN_SIZE);
    line[2 * FORWARD_TOKEN_SIZE] = '\n';
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    program_write(w->f, program, line, 2 * FORWARD_TOKEN_SIZE + 1);
    return program;
}

static void a_pipe_is_for_who_has_the_token(void **state)
{
    struct world *w = *state;
    char got[8];
    const uint8_t wrong[FORWARD_TOKEN_SIZE] = { 0 };
    const struct forward *f = add(w, (struct forward_wish){ .pipe = true, .priority = 2 });
    int program = enter_pipe(w, f, wrong);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
    assert_int_equal(w->f->n_streams, 0);
    const int idler = program_connect(AF_INET6, SOCK_STREAM, f->port); /* says nothing */
    fake_settle(w->f);
    program = enter_pipe(w, f, f->token);
    program_read(w->f, program, got, 3);
    assert_memory_equal(got, "ok\n", 3);
    assert_int_equal(program_await_end(w->f, idler), 0);
    close(idler);
    struct far *s = arrived(w, 1);
    program_write(w->f, program, "in", 2);
    far_await(s, 2);
    far_send(s, "out", 3);
    program_read(w->f, program, got, 3);
    assert_memory_equal(got, "out", 3);
    far_end(s);
    assert_int_equal(program_await_end(w->f, program), 0);
    shutdown(program, SHUT_WR);
    far_await_closed(s);
    close(program);
    fake_settle(w->f);
    for (size_t i = 0; i < FORWARDS_MAX; i++) /* it has made room: the set is empty */
        add(w, (struct forward_wish){ .priority = 3 });
}

static void a_pipe_says_why_it_fails(void **state)
{
    struct world *w = *state;
    const char said[] = "error: the contact has no such service for us\n";
    char got[sizeof said];
    w->f->accepts = false;
    const struct forward *f = add(w, (struct forward_wish){ .pipe = true });
    const int program = enter_pipe(w, f, f->token);
    program_read(w->f, program, got, sizeof said - 1);
    assert_memory_equal(got, said, sizeof said - 1);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
}

static void a_pipe_that_nobody_takes_goes(void **state)
{
    struct world *w = *state;
    const struct forward *f = add(w, (struct forward_wish){ .pipe = true });
    const int idler = program_connect(AF_INET6, SOCK_STREAM, f->port);
    fake_settle(w->f);
    fake_tick(w->f, FORWARD_TOKEN_MS);
    assert_int_equal(program_await_end(w->f, idler), 0);
    close(idler);
    fake_tick(w->f, FORWARD_PIPE_MS);
    for (size_t i = 0; i < FORWARDS_MAX; i++)
        add(w, (struct forward_wish){ .priority = 3 });
}

/* --- datagrams --- */

static void each_program_has_a_stream_for_its_datagrams(void **state)
{
    struct world *w = *state;
    int programs[2];
    char got[16];
    const struct forward *f = add(w, (struct forward_wish){ .dgrams = true });
    for (size_t i = 0; i < 2; i++) {
        programs[i] = program_connect(i ? AF_INET : AF_INET6, SOCK_DGRAM, f->port);
        assert_int_equal(send(programs[i], i ? "two" : "one", 3, 0), 3);
        assert_int_equal(send(programs[i], "more", 4, 0), 4);
        struct far *s = arrived(w, i + 1);
        fake_settle(w->f);
        assert_int_equal(s->dgrams, 2); /* the first ones have waited for the stream */
        assert_memory_equal(s->dgram, "more", 4);
        assert_int_equal(s->priority, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(dchan_mux_send_dgram(w->f->far, w->f->streams[i].sid,
                                         span_of(i ? "b" : "a", 1)));
        program_read(w->f, programs[i], got, 1);
        assert_int_equal(got[0], i ? 'b' : 'a');
    }
    assert_int_equal(f->n_programs, 2);
    fake_tick(w->f, 60000);
    assert_int_equal(send(programs[1], "x", 1, 0), 1);
    fake_settle(w->f);
    fake_tick(w->f, 60000); /* one has been quiet for long enough */
    assert_true(w->f->streams[0].closed && !w->f->streams[1].closed);
    assert_int_equal(f->n_programs, 1);
    close(programs[0]);
    close(programs[1]);
}

static void datagrams_without_a_stream_are_lost_and_counted(void **state)
{
    struct world *w = *state;
    uint8_t large[DCHAN_DGRAM_MAX + 1] = { 0 };
    fake_down(w->f);
    w->f->peer.state = CHAN_PEER_DIALLING;
    const struct forward *f = add(w, (struct forward_wish){ .dgrams = true });
    const int program = program_connect(AF_INET6, SOCK_DGRAM, f->port);
    assert_int_equal(send(program, "x", 1, 0), 1);
    fake_settle(w->f);
    assert_int_equal(f->lost, 1);
    assert_true(w->f->peer.dials > 0);
    fake_up(w->f);
    assert_int_equal(send(program, large, sizeof large, 0), sizeof large);
    assert_int_equal(send(program, large, sizeof large - 1, 0), sizeof large - 1);
    struct far *s = arrived(w, 1);
    fake_settle(w->f);
    assert_int_equal(s->dgrams, 1);
    assert_int_equal(s->dgram_len, DCHAN_DGRAM_MAX);
    assert_int_equal(LIST_ITEM(list_first(&w->streams.all), struct local_stream, link)->dropped, 1);
    close(program);
}

/* Attack H8: what comes before the answer waits within a limit. */
static void few_datagrams_wait_for_their_stream(void **state)
{
    enum { SENT = 40, EACH = 1000, WAIT_AT_MOST = 16384 / EACH };
    const uint8_t data[EACH] = { 1 };
    struct world *w = *state;
    w->f->silent = true;
    const struct forward *f = add(w, (struct forward_wish){ .dgrams = true });
    const int program = program_connect(AF_INET6, SOCK_DGRAM, f->port);
    for (int i = 0; i < SENT; i++) {
        assert_int_equal(send(program, data, sizeof data, 0), EACH);
        fake_settle(w->f);
    }
    struct far *s = arrived(w, 1);
    far_accept(s);
    fake_settle(w->f);
    assert_true(s->dgrams > 0 && s->dgrams <= WAIT_AT_MOST);
    assert_int_equal(LIST_ITEM(list_first(&w->streams.all), struct local_stream, link)->dropped,
                     SENT - s->dgrams);
    close(program);
}

/* --- forwards that pay --- */

static struct {
    uint64_t paid;
    size_t payments;
    bool refuses;
} purse;

static enum err pay(void *ctx, uint64_t contact, uint64_t amount, const char *ref, uint64_t *paid,
                    struct error *e)
{
    (void)ctx;
    assert_int_equal(contact, 1);
    assert_string_equal(ref, "service:web");
    *paid = 0;
    if (purse.refuses)
        return error_set(e, ERR_NOTFOUND, "no channel");
    *paid = amount;
    purse.paid += amount;
    purse.payments++;
    return OK;
}

static const struct stream_payments payments = { NULL, NULL, pay, NULL };

#define PIECE 10486 /* bytes; a hundredth of a MiB, rounded up */

static const struct forward *add_paying(struct world *w, uint64_t max)
{
    purse.paid = purse.payments = 0;
    purse.refuses = false;
    w->streams.payments = &payments;
    return add(w, (struct forward_wish){ .budget = { max, { 100, 0 }, 30 } });
}

static bool is_paid(void *ctx)
{
    return purse.paid >= *(const uint64_t *)ctx;
}

static void await_paid(struct world *w, uint64_t amount)
{
    fake_until(w->f, is_paid, &amount);
    assert_int_equal(purse.paid, amount);
}

static void bring(struct world *w, struct far *s, int program, size_t pieces)
{
    static const uint8_t data[PIECE];
    uint8_t got[PIECE];
    for (size_t i = 0; i < pieces; i++) {
        far_send(s, data, PIECE);
        program_read(w->f, program, got, PIECE);
    }
}

static bool has_trouble(void *ctx)
{
    return ((const struct forward *)ctx)->pay.trouble[0] != 0;
}

static void seconds_pass(struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        fake_tick(w->f, 1000);
}

static void a_forward_pays_for_what_came_and_not_above_its_limit(void **state)
{
    struct world *w = *state;
    const struct forward *f = add_paying(w, 25);
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    struct far *s = arrived(w, 1);
    fake_settle(w->f);
    assert_int_equal(purse.paid, 0);
    bring(w, s, program, 10);
    await_paid(w, 10);
    assert_true(purse.payments <= 10);
    assert_string_equal(f->pay.trouble, "");
    bring(w, s, program, 15);
    await_paid(w, 25);
    seconds_pass(w, 1);
    assert_string_equal(f->pay.trouble, ""); /* all that came is paid */
    bring(w, s, program, 5);
    seconds_pass(w, 1);
    assert_string_equal(f->pay.trouble, "max_satoshis are spent");
    assert_int_equal(purse.paid, 25);
    close(program);
    assert_int_equal(purse.paid, 25);
}

static void a_silent_service_gets_one_unit_ahead(void **state)
{
    struct world *w = *state;
    const struct forward *f = add_paying(w, 1000);
    seconds_pass(w, 10);
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    struct far *s = arrived(w, 1);
    seconds_pass(w, 2);
    assert_int_equal(purse.paid, 0); /* it has just begun */
    seconds_pass(w, 30);
    assert_int_equal(purse.paid, 30);
    bring(w, s, program, 20);
    await_paid(w, 50);
    seconds_pass(w, 30);
    assert_int_equal(purse.paid, 50);
    close(program);
}

static void what_a_forward_could_not_pay_is_tried_again(void **state)
{
    struct world *w = *state;
    struct error e;
    const struct forward *f = add_paying(w, 1000);
    const int program = program_connect(AF_INET6, SOCK_STREAM, f->port);
    struct far *s = arrived(w, 1);
    purse.refuses = true;
    bring(w, s, program, 5);
    fake_until(w->f, has_trouble, (void *)(uintptr_t)f);
    assert_string_equal(f->pay.trouble, "no channel");
    assert_int_equal(purse.paid, 0);
    purse.refuses = false;
    seconds_pass(w, 1);
    assert_true(purse.paid >= 4); /* the first satoshi was tried, the rest came meanwhile */
    seconds_pass(w, 1);
    await_paid(w, 5);
    assert_string_equal(f->pay.trouble, "");
    bring(w, s, program, 1);
    close(program);
    assert_int_equal(forwards_remove(w->forwards, f->port, &e), OK);
    assert_int_equal(purse.paid, 7); /* the last fraction is a whole one */
}

static void without_a_limit_and_a_price_no_forward_pays(void **state)
{
    static const struct forward_budget bad[] = {
        { 5, { 0, 0 }, 0 }, { 0, { 1, 0 }, 0 }, { 0, { 0, 1 }, 0 },
        { BILL_PRICE_MAX + 1, { 1, 0 }, 0 }, { 5, { BILL_PRICE_MAX + 1, 0 }, 0 },
        { 5, { 1, 0 }, BILL_PRICE_MAX + 1 },
    };
    const struct forward *out;
    struct world *w = *state;
    struct error e;
    struct forward_wish wish = { .contact = &w->f->contacts[0], .service = "web" };
    w->streams.payments = &payments;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        wish.budget = bad[i];
        assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_RANGE);
    }
    wish.budget = (struct forward_budget){ 5, { 1, 0 }, 0 };
    w->streams.payments = NULL;
    assert_int_equal(forwards_add(w->forwards, &wish, &out, &e), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_connection_becomes_a_stream),
        CASE(only_loopback_is_listened_on),
        CASE(a_refused_connection_ends_cleanly),
        CASE(a_break_of_the_stream_is_a_break_here),
        CASE(a_connection_waits_until_the_contact_is_there),
        CASE(a_connection_at_the_end_of_a_session_is_served_in_the_next),
        CASE(nobody_waits_for_ever),
        CASE(nobody_waits_anew_with_each_session),
        CASE(those_who_wait_have_a_limit),
        CASE(a_lack_of_descriptors_passes),
        CASE(a_contact_that_cannot_be_reached_is_said_at_once),
        CASE(a_forward_that_is_taken_away_ends_its_streams),
        CASE(a_contact_that_is_removed_loses_its_forwards),
        CASE(wishes_are_checked),
        CASE(a_pipe_is_for_who_has_the_token),
        CASE(a_pipe_says_why_it_fails),
        CASE(a_pipe_that_nobody_takes_goes),
        CASE(each_program_has_a_stream_for_its_datagrams),
        CASE(datagrams_without_a_stream_are_lost_and_counted),
        CASE(few_datagrams_wait_for_their_stream),
        CASE(a_forward_pays_for_what_came_and_not_above_its_limit),
        CASE(a_silent_service_gets_one_unit_ahead),
        CASE(what_a_forward_could_not_pay_is_tried_again),
        CASE(without_a_limit_and_a_price_no_forward_pays),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
