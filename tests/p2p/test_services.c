/* Exposed services: who may use them, what they are joined with, how each end is told. */
#include "p2p/services.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/local_program.h"
#include "tests/test.h"

#define MIB ((size_t)1 << 20)

struct world {
    struct fake *f;
    struct local_streams streams;
    struct services *services;
    int listener;
    uint16_t port;
};

static void open_services(struct world *w, const char *const *specs, size_t n, size_t max,
                          uint64_t idle_ms)
{
    struct error e;
    w->f->channels.n_parts = 0;
    local_streams_init(&w->streams, &w->f->channels, max, idle_ms);
    assert_int_equal(services_new(&w->services, &w->streams, &(struct net_strings){ specs, n }, &e),
                     OK);
}

static int world_new(void **state)
{
    char tcp[64], udp[64];
    struct world *w = xcalloc(1, sizeof *w);
    *state = w;
    w->f = fake_new();
    fake_add_contact(w->f, "carol");
    w->listener = program_listen(SOCK_STREAM, &w->port);
    snprintf(tcp, sizeof tcp, "web,[::1]:%u,bob", w->port);
    snprintf(udp, sizeof udp, "voice,udp:[::1]:%u,bob", w->port);
    const char *const specs[] = {
        tcp, udp, "echo,echo:,*", "hers,echo:,carol", "nobody,echo:",
        "upper,exec:tr a-z A-Z,bob", "sleeper,exec:echo $$; exec sleep 1000,bob",
        "deaf,exec:exec 0<&-; sleep 0.1; echo still here,bob",
        "who,exec:echo $BSVPEER_SERVICE $BSVPEER_PEER,bob",
    };
    open_services(w, specs, COUNT_OF(specs), 8, 0);
    return 0;
}

static int world_free(void **state)
{
    struct world *w = *state;
    if (w->f->near)
        fake_down(w->f);
    assert_int_equal(w->streams.all.n, 0);
    services_free(w->services);
    fake_free(w->f);
    close(w->listener);
    free(w);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

/* What the far side is told when it asks for the service. */
static unsigned refusal(struct world *w, const char *service)
{
    struct far *s = far_open(w->f, service);
    far_await_closed(s);
    assert_false(s->accepted);
    return s->code;
}

static void unknown_and_forbidden_are_alike(void **state)
{
    struct world *w = *state;
    assert_int_equal(refusal(w, "missing"), DCHAN_RESET_SERVICE);
    assert_int_equal(refusal(w, "hers"), DCHAN_RESET_SERVICE);
    assert_int_equal(refusal(w, "nobody"), DCHAN_RESET_SERVICE);
    w->f->peer.contact = NULL; /* a stranger: not even what everybody may */
    assert_int_equal(refusal(w, "echo"), DCHAN_RESET_SERVICE);
    assert_int_equal(refusal(w, "web"), DCHAN_RESET_SERVICE);
    assert_int_equal(accept(w->listener, NULL, NULL), -1);
}

static void names_of_other_parts_are_left_to_them(void **state)
{
    struct world *w = *state;
    const struct channel_part *part = &w->f->channels.parts[1];
    const struct dchan_s_open m = { .sid = 2, .service = span_of("relay", 5) };
    assert_false(part->open(part->ctx, &w->f->peer, w->f->near, &m));
}

static void echo_sends_back_bytes_and_datagrams(void **state)
{
    struct world *w = *state;
    uint8_t *data = xcalloc(1, MIB);
    struct far *s = far_open(w->f, "echo");
    for (size_t i = 0; i < MIB; i++)
        data[i] = (uint8_t)(i * 7 + i / 4096);
    far_send(s, data, MIB);
    far_await(s, MIB);
    assert_memory_equal(s->in.data, data, MIB);
    assert_true(dchan_mux_send_dgram(w->f->far, s->sid, span_of("ping", 4)));
    fake_settle(w->f);
    assert_int_equal(s->dgrams, 1);
    assert_memory_equal(s->dgram, "ping", 4);
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    free(data);
}

static void both_halves_of_a_connection_end_by_themselves(void **state)
{
    struct world *w = *state;
    char got[16];
    struct far *s = far_open(w->f, "web");
    const int program = program_accept(w->f, w->listener);
    far_send(s, "question", 8);
    far_end(s);
    program_read(w->f, program, got, 8);
    assert_memory_equal(got, "question", 8);
    assert_int_equal(program_await_end(w->f, program), 0);
    program_write(w->f, program, "answer", 6); /* its other half still talks */
    far_await(s, 6);
    assert_false(s->fin || s->closed);
    shutdown(program, SHUT_WR);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    assert_true(s->fin);
    assert_memory_equal(s->in.data, "answer", 6);

    s = far_open(w->f, "web"); /* the other way round */
    close(program);
    const int second = program_accept(w->f, w->listener);
    shutdown(second, SHUT_WR);
    far_await_fin(s);
    far_send(s, "late", 4);
    far_end(s);
    program_read(w->f, second, got, 4);
    assert_int_equal(program_await_end(w->f, second), 0);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    close(second);
}

static void what_breaks_off_is_told_as_such(void **state)
{
    struct world *w = *state;
    const struct linger at_once = { .l_onoff = 1 };
    struct far *s = far_open(w->f, "web");
    int program = program_accept(w->f, w->listener);
    fake_settle(w->f);
    setsockopt(program, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(program); /* a reset of the program's */
    far_await_closed(s);
    assert_int_equal(s->code, DCHAN_RESET_LOCAL);

    s = far_open(w->f, "web");
    program = program_accept(w->f, w->listener);
    fake_settle(w->f);
    dchan_mux_reset(w->f->far, s->sid, DCHAN_RESET_CANCELLED); /* one of the peer's */
    assert_int_equal(program_await_end(w->f, program), ECONNRESET);
    close(program);

    s = far_open(w->f, "web");
    program = program_accept(w->f, w->listener);
    fake_settle(w->f);
    fake_down(w->f); /* the session is gone */
    assert_int_equal(program_await_end(w->f, program), ECONNRESET);
    close(program);
}

static void a_target_that_is_gone_is_a_local_error(void **state)
{
    struct world *w = *state;
    close(w->listener);
    assert_int_equal(refusal(w, "web"), DCHAN_RESET_LOCAL);
    w->listener = program_listen(SOCK_STREAM, &w->port);
}

static void a_peer_may_give_up_while_the_target_is_connected(void **state)
{
    struct world *w = *state;
    int fillers[2];
    assert_int_equal(listen(w->listener, 0), 0); /* one waits, the next ones are not answered */
    fillers[0] = program_connect(AF_INET6, SOCK_STREAM, w->port);
    struct far *s = far_open(w->f, "web");
    fake_settle(w->f);
    assert_false(s->accepted || s->closed);
    assert_int_equal(w->streams.all.n, 1);
    dchan_mux_reset(w->f->far, s->sid, DCHAN_RESET_CANCELLED);
    fake_settle(w->f);
    assert_int_equal(w->streams.all.n, 0);
    close(fillers[0]);
}

/* --- back-pressure --- */

static void a_program_that_does_not_read_stops_the_sender(void **state)
{
    struct world *w = *state;
    const size_t much = 16 * MIB;
    uint8_t *data = xcalloc(1, much);
    struct far *s = far_open(w->f, "web");
    const int program = program_accept(w->f, w->listener);
    far_send(s, data, much);
    fake_settle(w->f);
    const struct local_stream *near = LIST_ITEM(list_first(&w->streams.all), struct local_stream,
                                                link);
    const size_t taken = near->received;
    assert_true(taken < 12 * MIB); /* the kernel's buffers and one window */
    assert_true(dchan_mux_stats(w->f->near)->windows <= DCHAN_WINDOW_START);
    for (size_t got = 0; got < much;) {
        uint8_t piece[65536];
        const size_t n = MIN_OF(sizeof piece, much - got);
        program_read(w->f, program, piece, n);
        got += n;
    }
    far_end(s);
    assert_int_equal(program_await_end(w->f, program), 0);
    close(program);
    far_await_closed(s);
    free(data);
}

static void a_peer_that_does_not_read_stops_the_program(void **state)
{
    struct world *w = *state;
    uint8_t piece[65536] = { 0 };
    size_t written = 0;
    struct far *s = far_open(w->f, "web");
    s->lazy = true;
    const int program = program_accept(w->f, w->listener);
    fake_settle(w->f);
    for (ssize_t n = 1; n > 0; fake_settle(w->f)) {
        n = send(program, piece, sizeof piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        written += n > 0 ? (size_t)n : 0;
    }
    const struct local_stream *near = LIST_ITEM(list_first(&w->streams.all), struct local_stream,
                                                link);
    assert_int_equal(near->sent, DCHAN_WINDOW_START);
    assert_true(written < 12 * MIB);
    s->lazy = false;
    far_consume(s);
    shutdown(program, SHUT_WR);
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->in.len, written);
    close(program);
}

/* --- commands --- */

static void a_command_has_the_stream_as_its_input_and_output(void **state)
{
    struct world *w = *state;
    struct far *s = far_open(w->f, "upper");
    far_send(s, "hello", 5);
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    assert_int_equal(s->in.len, 5);
    assert_memory_equal(s->in.data, "HELLO", 5);
    s = far_open(w->f, "who");
    far_end(s);
    far_await_closed(s);
    buf_put_u8(&s->in, 0);
    assert_string_equal((char *)s->in.data,
                        "who 0202020202020202020202020202020202020202020202020202020202020202"
                        "02\n");
}

static void commands_that_have_left_make_room(void **state)
{
    struct world *w = *state;
    for (int i = 0; i <= SERVICE_COMMANDS_MAX; i++) { /* no second passes */
        w->f->n_streams = 0;
        struct far *s = far_open(w->f, "who");
        far_end(s);
        far_await_closed(s);
        assert_int_equal(s->code, 0);
        buf_clear(&s->in);
        w->f->channels.now_ms += 50; /* for the rate of opens */
    }
}

static void a_command_that_has_closed_its_input_may_go_on(void **state)
{
    struct world *w = *state;
    struct far *s = far_open(w->f, "deaf");
    uint8_t data[100000] = { 0 };
    far_send(s, data, sizeof data);
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    assert_memory_equal(s->in.data, "still here\n", 11);
}

struct process { struct world *w; pid_t pid; };

static bool is_gone(void *ctx)
{
    const struct process *p = ctx;
    fake_tick(p->w->f, 1);
    return kill(p->pid, 0) != 0 && errno == ESRCH;
}

static pid_t start_sleeper(struct world *w, struct far **s)
{
    *s = far_open(w->f, "sleeper");
    far_await(*s, 2);
    buf_put_u8(&(*s)->in, 0);
    return (pid_t)strtol((char *)(*s)->in.data, NULL, 10);
}

static void a_command_ends_with_its_stream(void **state)
{
    struct world *w = *state;
    struct far *s;
    struct process p = { w, start_sleeper(w, &s) };
    assert_int_equal(kill(p.pid, 0), 0);
    dchan_mux_reset(w->f->far, s->sid, DCHAN_RESET_CANCELLED);
    fake_until(w->f, is_gone, &p);
    p.pid = start_sleeper(w, &s);
    fake_down(w->f);
    fake_until(w->f, is_gone, &p);
}

/* --- datagrams, unix sockets --- */

static void datagrams_go_to_a_port_and_back(void **state)
{
    struct world *w = *state;
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    char got[16];
    uint16_t port;
    const int program = program_listen(SOCK_DGRAM, &port);
    char spec[64];
    snprintf(spec, sizeof spec, "voice,udp:[::1]:%u,bob", port);
    services_free(w->services);
    open_services(w, &(const char *){ spec }, 1, 8, 0);
    struct far *s = far_open(w->f, "voice");
    fake_settle(w->f);
    assert_true(s->accepted);
    assert_true(dchan_mux_send_dgram(w->f->far, s->sid, span_of("out", 3)));
    fake_settle(w->f);
    assert_int_equal(recvfrom(program, got, sizeof got, 0, (struct sockaddr *)&from, &len), 3);
    assert_int_equal(sendto(program, "back", 4, 0, (struct sockaddr *)&from, len), 4);
    fake_settle(w->f);
    assert_int_equal(s->dgrams, 1);
    assert_memory_equal(s->dgram, "back", 4);
    w->f->backlog = DCHAN_DGRAM_BACKLOG + 1; /* what cannot leave at once is lost, and counted */
    assert_int_equal(sendto(program, "lost", 4, 0, (struct sockaddr *)&from, len), 4);
    fake_settle(w->f);
    assert_int_equal(s->dgrams, 1);
    assert_int_equal(LIST_ITEM(list_first(&w->streams.all), struct local_stream, link)->dropped, 1);
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    close(program);
}

static void a_unix_socket_is_a_target(void **state)
{
    struct world *w = *state;
    char *dir = test_dir_make(), *spec = xasprintf("sock,unix:%s/s,bob", dir), got[4];
    char *path = xasprintf("%s/s", dir);
    services_free(w->services);
    open_services(w, &(const char *){ spec }, 1, 8, 0);
    assert_int_equal(refusal(w, "sock"), DCHAN_RESET_LOCAL);
    const int listener = program_listen_unix(path);
    struct far *s = far_open(w->f, "sock");
    const int program = program_accept(w->f, listener);
    far_send(s, "abcd", 4);
    program_read(w->f, program, got, 4);
    close(program);
    far_end(s);
    far_await_closed(s);
    close(listener);
    free(spec);
    free(path);
    test_dir_remove(dir);
}

/* --- limits --- */

static void streams_have_a_limit_and_may_not_idle(void **state)
{
    struct world *w = *state;
    services_free(w->services);
    open_services(w, &(const char *){ "echo,echo:,bob" }, 1, 3, 60000);
    struct far *a = far_open(w->f, "echo"), *b = far_open(w->f, "echo");
    fake_settle(w->f);
    assert_true(a->accepted && b->accepted);
    assert_int_equal(refusal(w, "echo"), DCHAN_RESET_LIMIT);
    fake_tick(w->f, 30000);
    far_send(b, "x", 1);
    fake_settle(w->f);
    fake_tick(w->f, 30000);
    assert_true(a->closed && !b->closed);
    assert_int_equal(a->code, DCHAN_RESET_IDLE);
}

/* Of streams and of commands: there is a place for others, whatever one contact does. */
static void one_contact_has_half_of_all(void **state)
{
    struct world *w = *state;
    services_free(w->services);
    const char *const specs[] = { "echo,echo:,*", "sleeper,exec:exec sleep 1000,*" };
    open_services(w, specs, COUNT_OF(specs), 100, 0);
    for (int i = 0; i < SERVICE_COMMANDS_MAX / 2; i++) {
        struct far *s = far_open(w->f, "sleeper");
        fake_settle(w->f);
        assert_true(s->accepted);
    }
    assert_int_equal(refusal(w, "sleeper"), DCHAN_RESET_LIMIT);
    fake_tick(w->f, 1000); /* so many are not opened in a second */
    for (int i = SERVICE_COMMANDS_MAX / 2; i < 50; i++) {
        struct far *s = far_open(w->f, "echo");
        fake_settle(w->f);
        assert_true(s->accepted);
    }
    assert_int_equal(refusal(w, "echo"), DCHAN_RESET_LIMIT);
    assert_int_equal(w->streams.all.n, 50);
}

static void a_contact_that_is_removed_loses_its_streams(void **state)
{
    struct world *w = *state;
    struct far *s = far_open(w->f, "echo");
    fake_settle(w->f);
    const struct channel_part *part = &w->f->channels.parts[0];
    uint8_t other[IDENTITY_KEY_SIZE] = { 3 };
    part->contact_gone(part->ctx, other);
    fake_settle(w->f);
    assert_false(s->closed);
    part->contact_gone(part->ctx, w->f->peer.key);
    fake_settle(w->f);
    assert_true(s->closed);
    assert_int_equal(s->code, DCHAN_RESET_CANCELLED);
}

/* --- by RPC, on disk --- */

struct outcome { size_t calls; enum err rc; };

static void on_done(void *ctx, enum err rc, const struct error *e)
{
    struct outcome *o = ctx;
    (void)e;
    o->calls++;
    o->rc = rc;
}

static bool was_called(void *ctx)
{
    return ((const struct outcome *)ctx)->calls != 0;
}

static enum err expose(struct world *w, const char *name, const uint64_t *allowed, size_t n)
{
    struct outcome o = { 0 };
    struct error e;
    const struct service_wish wish = { .name = name, .target = "echo:", .allowed = allowed,
                                       .n_allowed = n };
    const enum err rc = services_expose(w->services, &wish, on_done, &o, &e);
    if (rc)
        return rc;
    fake_until(w->f, was_called, &o);
    return o.rc;
}

static enum err unexpose(struct world *w, const char *name)
{
    struct outcome o = { 0 };
    struct error e;
    const enum err rc = services_unexpose(w->services, name, on_done, &o, &e);
    if (rc)
        return rc;
    fake_until(w->f, was_called, &o);
    return o.rc;
}

/* --- services that cost something --- */

static struct {
    const char *trouble;
    bool has_channel;
} bank;

static const char *trouble(void *ctx)
{
    (void)ctx;
    return bank.trouble;
}

static bool has_channel(void *ctx, uint64_t contact)
{
    (void)ctx;
    return bank.has_channel && contact == 1;
}

static const struct stream_payments payments = { trouble, has_channel, NULL, NULL };

/* 100 satoshis for a MiB, or for a minute, of which 10 may be owed. */
static void expose_priced(struct world *w, const char *target, bool minutes)
{
    struct outcome o = { 0 };
    const uint64_t bob = 1;
    const struct service_wish wish = {
        .name = "priced", .target = target, .allowed = &bob, .n_allowed = 1, .credit = 10,
        .price = { minutes ? 0 : 100, minutes ? 100 : 0 }
    };
    struct error e;
    w->streams.payments = &payments;
    bank.trouble = NULL;
    bank.has_channel = true;
    assert_int_equal(services_expose(w->services, &wish, on_done, &o, &e), OK);
    fake_until(w->f, was_called, &o);
    assert_int_equal(o.rc, OK);
}

static bool pay(struct world *w, uint64_t amount)
{
    const bool known = services_paid(w->services, 1, span_of("priced", 6), amount);
    fake_settle(w->f);
    return known;
}

static void keep_account(const struct service_account *a, void *ctx)
{
    *(struct bill *)ctx = a->meter.spending.bill;
}

static struct bill bill_of(const struct world *w)
{
    struct bill bill = { .charged = 0 };
    service_bills_each(services_bills(w->services), "priced", keep_account, &bill);
    return bill;
}

static void who_cannot_pay_is_refused(void **state)
{
    struct world *w = *state;
    expose_priced(w, "echo:", false);
    bank.has_channel = false;
    assert_int_equal(refusal(w, "priced"), DCHAN_RESET_REFUSED);
    bank.has_channel = true;
    bank.trouble = "the disk fails";
    assert_int_equal(refusal(w, "priced"), DCHAN_RESET_LOCAL);
    w->streams.payments = NULL;
    assert_int_equal(refusal(w, "priced"), DCHAN_RESET_REFUSED);
}

/* One that was opened before would be free for as long as it lasts. */
static void streams_from_before_a_price_end(void **state)
{
    struct world *w = *state;
    const uint64_t bob = 1;
    assert_int_equal(expose(w, "priced", &bob, 1), OK);
    assert_int_equal(expose(w, "other", &bob, 1), OK);
    struct far *s = far_open(w->f, "priced"), *other = far_open(w->f, "other");
    fake_settle(w->f);
    assert_true(s->accepted && other->accepted);
    expose_priced(w, "echo:", false);
    far_await_closed(s);
    assert_int_equal(s->code, DCHAN_RESET_CANCELLED);
    struct far *charged = far_open(w->f, "priced");
    fake_settle(w->f);
    expose_priced(w, "echo:", true); /* another price */
    fake_settle(w->f);
    assert_true(charged->accepted && !charged->closed && !other->closed);
    assert_int_equal(expose(w, "priced", &bob, 1), OK); /* none */
    far_send(charged, "x", 1);
    far_await(charged, 1);
    assert_int_equal(bill_of(w).charged, 0);
    expose_priced(w, "echo:", true);
    assert_false(charged->closed);
    fake_tick(w->f, 6000);
    assert_in_range(bill_of(w).charged, 10, 11);
}

/* What comes counts, too: it is not handed on, and gives no window, before it is paid. */
static void a_stream_stops_at_the_credit_and_goes_on(void **state)
{
    struct world *w = *state;
    uint8_t *data = xcalloc(1, MIB);
    expose_priced(w, "echo:", false);
    struct far *s = far_open(w->f, "priced");
    far_send(s, data, MIB);
    fake_settle(w->f);
    assert_true(s->sent < 2 * DCHAN_WINDOW_START); /* a window alone is above the credit */
    assert_true(s->in.len <= 11 * MIB / 100 + 1);
    const uint64_t charged = bill_of(w).charged;
    assert_true(charged > 10);
    assert_true(dchan_mux_send_dgram(w->f->far, s->sid, span_of("ping", 4)));
    fake_settle(w->f);
    assert_int_equal(s->dgrams, 0);
    const size_t before = s->in.len;
    assert_true(pay(w, charged - 11)); /* not enough yet */
    assert_int_equal(s->in.len, before);
    assert_true(pay(w, 5));
    assert_true(s->in.len > before);
    assert_true(bill_of(w).charged > bill_of(w).paid + 10);
    while (s->in.len < MIB)
        assert_true(pay(w, 20));
    assert_true(pay(w, 100));
    far_end(s);
    far_await_closed(s);
    assert_int_equal(s->code, 0);
    assert_int_equal(bill_of(w).charged, 200); /* there and back */
    assert_int_equal(services_settle(w->services, 2, 7), 7); /* of somebody else */
    assert_false(services_paid(w->services, 1, span_of("echo", 4), 5)); /* is free */
    free(data);
}

static void minutes_are_charged_but_while_it_waits(void **state)
{
    struct world *w = *state;
    expose_priced(w, "echo:", true);
    struct far *s = far_open(w->f, "priced");
    far_send(s, "x", 1);
    far_await(s, 1);
    for (int i = 0; i < 60; i++)
        fake_tick(w->f, 1000);
    assert_int_equal(bill_of(w).charged, 11);
    far_send(s, "y", 1);
    fake_settle(w->f);
    assert_int_equal(s->in.len, 1);
    assert_true(pay(w, 11));
    assert_int_equal(s->in.len, 2);
    fake_tick(w->f, 6000);
    assert_int_equal(bill_of(w).charged, 21);
}

static void an_account_outlives_sessions_and_the_process(void **state)
{
    struct world *w = *state;
    uint8_t data[MIB / 4] = { 0 };
    expose_priced(w, "echo:", false);
    struct far *s = far_open(w->f, "priced");
    far_send(s, data, sizeof data);
    fake_settle(w->f);
    const uint64_t owed = bill_of(w).charged;
    assert_true(owed > 10);
    fake_down(w->f);
    dchan_store_settle(w->f->channels.store);
    services_free(w->services);
    open_services(w, NULL, 0, 8, 0);
    w->streams.payments = &payments;
    fake_up(w->f);
    assert_int_equal(bill_of(w).charged, owed);
    s = far_open(w->f, "priced");
    far_send(s, "x", 1);
    fake_settle(w->f);
    assert_int_equal(s->in.len, 0);
    assert_int_equal(services_settle(w->services, 1, 100), 100 - owed); /* no more than that */
    fake_settle(w->f);
    assert_int_equal(s->in.len, 1);
    services_payments_failed(w->services);
    far_await_closed(s);
    assert_int_equal(s->code, DCHAN_RESET_LOCAL);
}

static void what_was_exposed_is_there_after_a_restart(void **state)
{
    struct world *w = *state;
    const uint64_t bob = 1, carol = 2;
    assert_int_equal(expose(w, "mine", &bob, 1), OK);
    assert_int_equal(expose(w, "theirs", &carol, 1), OK);
    services_free(w->services);
    open_services(w, NULL, 0, 8, 0);
    struct far *s = far_open(w->f, "mine");
    fake_settle(w->f);
    assert_true(s->accepted);
    assert_int_equal(refusal(w, "theirs"), DCHAN_RESET_SERVICE);
    memset(w->f->contacts[0].alias, 'x', 3); /* another name, the same contact */
    struct far *again = far_open(w->f, "mine");
    fake_settle(w->f);
    assert_true(again->accepted);
    assert_int_equal(unexpose(w, "mine"), OK);
    fake_settle(w->f);
    assert_true(s->closed && again->closed);
    assert_int_equal(refusal(w, "mine"), DCHAN_RESET_SERVICE);
    assert_int_equal(unexpose(w, "mine"), ERR_NOTFOUND);
    services_free(w->services);
    open_services(w, NULL, 0, 8, 0);
    assert_int_equal(refusal(w, "mine"), DCHAN_RESET_SERVICE);
}

/* A port whose connections wait: nobody accepts, and the queue is full. */
static int crowded_port(uint16_t *port, int fill[4])
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t len = sizeof a;
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&a, len);
    }
    *port = ntohs(a.sin6_port);
    return fd;
}

/* In a session under a former key: the account of who is removed lasts as long as its streams, also
 * one that still waits for its target. */
static void what_a_removed_contact_owes_lasts_as_long_as_its_streams(void **state)
{
    struct world *w = *state;
    struct outcome o = { 0 };
    struct error e;
    const uint64_t bob = 1;
    char target[64];
    uint16_t port;
    int fill[4];
    const int fd = crowded_port(&port, fill);
    snprintf(target, sizeof target, "[::1]:%u", port);
    w->streams.payments = &payments;
    bank.trouble = NULL;
    bank.has_channel = true;
    const struct service_wish wish = { .name = "dear", .target = target, .allowed = &bob,
                                       .n_allowed = 1, .price = { .per_minute = 60 } };
    assert_int_equal(services_expose(w->services, &wish, on_done, &o, &e), OK);
    fake_until(w->f, was_called, &o);
    struct far *s = far_open(w->f, "dear");
    fake_settle(w->f);
    assert_false(s->accepted || s->closed);
    const struct channel_part *part = &w->f->channels.parts[1];
    const uint64_t id = w->f->contacts[0].id;
    w->f->contacts[0].id = 99;
    part->contact_gone(part->ctx, (const uint8_t[IDENTITY_KEY_SIZE]){ 3 });
    dchan_store_settle(w->f->channels.store);
    fake_tick(w->f, 1000); /* its time is charged */
    fake_down(w->f);
    assert_true(s->closed);
    w->f->contacts[0].id = id;
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
}

static void a_change_of_the_list_ends_streams_of_the_others(void **state)
{
    struct world *w = *state;
    const uint64_t both[] = { 1, 2 };
    assert_int_equal(expose(w, "mine", both, 2), OK);
    struct far *s = far_open(w->f, "mine");
    fake_settle(w->f);
    assert_int_equal(expose(w, "mine", both, 1), OK);
    fake_settle(w->f);
    assert_true(s->accepted && !s->closed);
    assert_int_equal(expose(w, "mine", both + 1, 1), OK);
    fake_settle(w->f);
    assert_true(s->closed);
}

static void what_cannot_be_written_changes_nothing(void **state)
{
    struct world *w = *state;
    const uint64_t bob = 1;
    assert_int_equal(expose(w, "kept", &bob, 1), OK);
    kv_mem_fail_writes(w->f->channels.kv, 1);
    assert_int_equal(expose(w, "mine", &bob, 1), ERR_IO);
    assert_int_equal(unexpose(w, "kept"), ERR_IO);
    kv_mem_fail_writes(w->f->channels.kv, 0);
    assert_int_equal(refusal(w, "mine"), DCHAN_RESET_SERVICE);
    struct far *s = far_open(w->f, "kept");
    fake_settle(w->f);
    assert_true(s->accepted);
}

static void options_are_not_changed_by_calls(void **state)
{
    struct world *w = *state;
    const uint64_t bob = 1;
    assert_int_equal(expose(w, "echo", &bob, 1), ERR_EXISTS);
    assert_int_equal(unexpose(w, "echo"), ERR_EXISTS);
    assert_int_equal(expose(w, "No Name", &bob, 1), ERR_PARSE);
    assert_int_equal(expose(w, "x", &bob, SERVICE_ALLOW_MAX + 1), ERR_RANGE);
}

static void targets_are_of_this_machine(void **state)
{
    static const char *const good[] = { "[::1]:80", "127.0.0.1:22", "udp:127.0.0.1:5004",
                                        "unix:/run/x", "exec:cat", "echo:" };
    static const char *const bad[] = { "", "80", "[2a00::1]:80", "192.168.0.1:80", "[::1]",
                                       "localhost:80", "udp:[::]:80", "unix:run/x", "unix:",
                                       "exec:", "echo:x", "0.0.0.0:80", "[::1]:0" };
    struct service_target t;
    struct error e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(service_target_parse(&t, good[i], &e), OK);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_not_equal(service_target_parse(&t, bad[i], &e), OK);
    char longest[SERVICE_TARGET_MAX + 2];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "exec:", 5);
    longest[SERVICE_TARGET_MAX + 1] = 0;
    assert_int_equal(service_target_parse(&t, longest, &e), ERR_RANGE);
    longest[SERVICE_TARGET_MAX] = 0;
    assert_int_equal(service_target_parse(&t, longest, &e), OK);
}

static void pipes_of_commands_are_large(void **state)
{
    struct service_target t;
    struct stream_ends ends;
    char *none[] = { NULL };
    (void)state;
    assert_int_equal(service_target_parse(&t, "exec:cat", NULL), OK);
    assert_int_equal(service_target_open(&t, none, &ends, NULL), OK);
    assert_true(fcntl(ends.in, F_GETPIPE_SZ) >= 256 << 10);
    assert_true(fcntl(ends.out, F_GETPIPE_SZ) >= 256 << 10);
    const pid_t pid = ends.pid;
    stream_ends_close(&ends);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_wrong_option_is_named(void **state)
{
    static const char *const bad[] = { "", "x", "x,", "X,echo:", "x,[2a00::1]:80,bob",
                                       "file,[::1]:80", "relay,echo:", "echo,[::1]:80" };
    static const char *const good = "x,echo:,bob,carol,*";
    struct local_streams streams;
    struct services *services;
    struct fake *f = fake_new();
    (void)state;
    local_streams_init(&streams, &f->channels, 8, 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error e = { .text = "" };
        assert_int_not_equal(services_new(&services, &streams, &(struct net_strings){ &bad[i], 1 },
                                          &e), OK);
        assert_non_null(strstr(e.text, "-channelservice"));
    }
    assert_int_equal(services_new(&services, &streams, &(struct net_strings){ &good, 1 }, NULL),
                     OK);
    fake_down(f);
    services_free(services);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(unknown_and_forbidden_are_alike),
        CASE(names_of_other_parts_are_left_to_them),
        CASE(echo_sends_back_bytes_and_datagrams),
        CASE(both_halves_of_a_connection_end_by_themselves),
        CASE(what_breaks_off_is_told_as_such),
        CASE(a_target_that_is_gone_is_a_local_error),
        CASE(a_peer_may_give_up_while_the_target_is_connected),
        CASE(a_program_that_does_not_read_stops_the_sender),
        CASE(a_peer_that_does_not_read_stops_the_program),
        CASE(a_command_has_the_stream_as_its_input_and_output),
        CASE(commands_that_have_left_make_room),
        CASE(a_command_that_has_closed_its_input_may_go_on),
        CASE(a_command_ends_with_its_stream),
        CASE(datagrams_go_to_a_port_and_back),
        CASE(a_unix_socket_is_a_target),
        CASE(streams_have_a_limit_and_may_not_idle),
        CASE(one_contact_has_half_of_all),
        CASE(a_contact_that_is_removed_loses_its_streams),
        CASE(what_was_exposed_is_there_after_a_restart),
        CASE(a_change_of_the_list_ends_streams_of_the_others),
        CASE(what_a_removed_contact_owes_lasts_as_long_as_its_streams),
        CASE(what_cannot_be_written_changes_nothing),
        CASE(who_cannot_pay_is_refused),
        CASE(streams_from_before_a_price_end),
        CASE(a_stream_stops_at_the_credit_and_goes_on),
        CASE(minutes_are_charged_but_while_it_waits),
        CASE(an_account_outlives_sessions_and_the_process),
        CASE(options_are_not_changed_by_calls),
        cmocka_unit_test(targets_are_of_this_machine),
        cmocka_unit_test(pipes_of_commands_are_large),
        cmocka_unit_test(a_wrong_option_is_named),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
