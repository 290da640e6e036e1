/*
 * A pipe ends in callbacks of whatever ended it, in the middle of walks over forwards and streams:
 * it is only marked there, and freed by the event that also tries guests again.
 */
#include "p2p/forwards.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/forwards_internal.h"
#include "p2p/stream_bridge.h"

#define RETRY_MS 100        /* when too many streams are being opened */
#define DIAL_EVERY_MS 5000  /* at the wish of a program, whatever the back-off says */
#define DIAL_BEGINS_MS 500
#define ACCEPTS_PER_TURN 16
#define TOKEN_LINE (2 * FORWARD_TOKEN_SIZE + 1)

/* A connection that waits for its stream, or to say the token. */
struct guest {
    struct list_link link;
    struct forward *forward;
    int fd;
    uint64_t since_ms;
    struct event *readable; /* NULL: it is welcome */
    char said[TOKEN_LINE];
    size_t n_said;
};

static struct forward *first_forward(const struct forwards *all)
{
    struct list_link *link = list_first(&all->all);
    return link ? LIST_ITEM(link, struct forward, link) : NULL;
}

static struct forward *next_forward(const struct forward *f)
{
    struct list_link *link = list_next(&f->owner->all, &f->link);
    return link ? LIST_ITEM(link, struct forward, link) : NULL;
}

uint64_t forward_now(const struct forward *f)
{
    return channels_now(f->owner->streams->channels);
}

struct span forward_service(const struct forward *f)
{
    return span_of(f->service, strlen(f->service));
}

/* --- reaching the contact --- */

/* Dialled at once for a program that asks, but not as often as it may ask. */
static void dial(struct forward *f, struct chan_peer *p)
{
    const bool now = !f->dialled || forward_now(f) - f->dialled_ms >= DIAL_EVERY_MS;
    if (now) {
        f->dialled = true;
        f->dialled_ms = forward_now(f);
    }
    chan_peer_dial(p, now);
}

/* Dialling has ended without a session, if it has begun. */
static bool is_hopeless(const struct forward *f, struct chan_peer *p)
{
    struct chan_peer_info info;
    chan_peer_get_info(p, &info);
    return info.state == CHAN_PEER_IDLE && forward_now(f) - f->dialled_ms >= DIAL_BEGINS_MS;
}

enum err forward_reach(struct forward *f, struct chan_peer **peer, struct dchan_mux **mux,
                       struct error *e)
{
    struct channels *c = f->owner->streams->channels;
    struct contact *contact = contacts_by_id(channels_contacts(c), f->contact);
    *peer = contact ? channels_peer_of(c, contact) : NULL;
    if (!*peer)
        return error_set(e, ERR_NOTFOUND, "no identity can talk to this contact");
    *mux = chan_peer_mux(*peer);
    if (*mux)
        return OK;
    if (chan_peer_is_up(*peer))
        return error_set(e, ERR_NOTFOUND, "the contact does not offer streams");
    dial(f, *peer);
    if (is_hopeless(f, *peer))
        return error_set(e, ERR_NOTFOUND, "the contact cannot be reached");
    return ERR_BUSY;
}

/* --- guests --- */

static void say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_error(int fd, const char *text)
{
    char line[ERROR_TEXT_MAX + 16];
    snprintf(line, sizeof line, "error: %s\n", text);
    say(fd, line);
}

/* Its descriptor is the caller's. */
static void guest_forget(struct guest *g)
{
    list_remove(&g->forward->guests, &g->link);
    if (g->readable)
        event_free(g->readable);
    free(g);
}

/* The forward of a pipe goes with its connection. */
static void pipe_ended(struct forward *f)
{
    if (!f->pipe || !f->taken)
        return;
    f->over = true;
    event_active(f->owner->later, EV_TIMEOUT, 0);
}

static void guest_refuse(struct guest *g, const char *why)
{
    struct forward *f = g->forward;
    const bool was_welcome = !g->readable;
    struct stream_ends ends = { .in = g->fd, .out = g->fd };
    log_debug(LOGC_CHANNEL, "forward of %s: %s", f->service, why);
    if (f->pipe && was_welcome)
        say_error(g->fd, why);
    guest_forget(g);
    stream_ends_dismiss(&ends);
    stream_ends_close(&ends);
    if (was_welcome)
        pipe_ended(f);
}

static const char *reset_text(unsigned code)
{
    static const char *const texts[] = {
        [DCHAN_RESET_REFUSED] = "the contact refuses: it may want to be paid (openchannel)",
        [DCHAN_RESET_SERVICE] = "the contact has no such service for us",
        [DCHAN_RESET_LIMIT] = "the contact serves too many streams",
        [DCHAN_RESET_LOCAL] = "the service does not answer the contact",
        [DCHAN_RESET_CANCELLED] = "it was taken away",
        [DCHAN_RESET_IDLE] = "the contact did not answer",
        [DCHAN_RESET_TRUNCATED] = "the session broke off",
    };
    const char *text = code < sizeof texts / sizeof *texts ? texts[code] : NULL;
    return text ? text : "the contact broke it off";
}

static void pipe_accepted(void *ctx, const struct stream_ends *ends)
{
    (void)ctx;
    say(ends->out, "ok\n");
}

static void pipe_closed(void *ctx, const struct stream_ends *ends, unsigned code, bool was_open)
{
    if (!was_open)
        say_error(ends->out, reset_text(code));
    pipe_ended(ctx);
}

static struct guest *guest_new(struct forward *f, int fd, uint64_t since_ms)
{
    struct guest *g = xcalloc(1, sizeof *g);
    *g = (struct guest){ .forward = f, .fd = fd, .since_ms = since_ms };
    list_append(&f->guests, &g->link);
    return g;
}

static void try_later(struct forward *f)
{
    event_add(f->owner->later, &(struct timeval){ 0, RETRY_MS * 1000 });
}

/* Its session began to end when it came: the next one has it. Its time goes on, or a contact that
 * ends each session so would have the program wait for ever. */
static void unserved(void *ctx, const struct stream_ends *ends, uint64_t since_ms)
{
    (void)guest_new(ctx, ends->in, since_ms);
    try_later(ctx);
}

/* The stream has the descriptor from here on. */
static enum err open_stream(struct guest *g, struct chan_peer *peer, struct dchan_mux *mux)
{
    struct forward *f = g->forward;
    const enum err rc = stream_bridge_open(&(struct stream_bridge_config){
        .set = f->owner->streams, .peer = peer, .mux = mux, .service = forward_service(f),
        .ends = { .in = g->fd, .out = g->fd }, .tag = f, .meter = forward_pay_meter(&f->pay),
        .accepted = f->pipe ? pipe_accepted : NULL,
        .ended = f->pipe ? pipe_closed : NULL, .unserved = unserved,
        .begun_ms = g->since_ms, .ctx = f }, f->priority);
    if (!rc)
        guest_forget(g);
    return rc;
}

/* Begins the stream of a guest, lets it wait, or sends it away. */
static void guest_try(struct guest *g)
{
    struct forward *f = g->forward;
    const bool in_time = forward_now(f) - g->since_ms < FORWARD_WAIT_MS;
    struct chan_peer *peer;
    struct dchan_mux *mux;
    struct error e;
    enum err rc = forward_reach(f, &peer, &mux, &e);
    if (rc && rc != ERR_BUSY) {
        guest_refuse(g, e.text);
        return;
    }
    if (!in_time) {
        guest_refuse(g, "the contact did not answer");
        return;
    }
    if (rc)
        return;
    rc = open_stream(g, peer, mux);
    chan_peer_kick(peer);
    if (rc == ERR_BUSY || rc == ERR_CANCELLED)
        try_later(f);
}

static void try_guests(struct forward *f)
{
    for (struct list_link *link = list_first(&f->guests), *next; link; link = next) {
        struct guest *g = LIST_ITEM(link, struct guest, link);
        next = list_next(&f->guests, link);
        if (!g->readable)
            guest_try(g);
    }
}

static void try_all(struct forwards *all)
{
    for (struct forward *f = first_forward(all); f; f = next_forward(f))
        try_guests(f);
}

/* --- tokens --- */

static bool token_is_right(const struct guest *g)
{
    uint8_t said[FORWARD_TOKEN_SIZE];
    size_t len;
    return hex_decode(said, sizeof said, g->said, TOKEN_LINE - 1, &len) && len == sizeof said &&
           g->said[TOKEN_LINE - 1] == '\n' && ct_equal(said, g->forward->token, sizeof said);
}

static void stop_listening(struct forward *f)
{
    for (size_t i = 0; i < f->local.n; i++)
        event_free(f->events[i]);
    loopback_close(&f->local);
}

/* One connection has it: the others leave, and none comes any more. */
static void pipe_taken(struct guest *g)
{
    struct forward *f = g->forward;
    f->taken = true;
    stop_listening(f);
    event_free(g->readable);
    g->readable = NULL;
    g->since_ms = forward_now(f);
    for (struct list_link *link = list_first(&f->guests), *next; link; link = next) {
        struct guest *other = LIST_ITEM(link, struct guest, link);
        next = list_next(&f->guests, link);
        if (other != g)
            guest_refuse(other, "another connection was there before");
    }
    guest_try(g);
}

static void on_token(evutil_socket_t fd, short what, void *ctx)
{
    struct guest *g = ctx;
    (void)what;
    const ssize_t n = recv(fd, g->said + g->n_said, sizeof g->said - g->n_said, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    g->n_said += n > 0 ? (size_t)n : 0;
    if (n > 0 && g->n_said < sizeof g->said)
        return;
    if (n > 0 && token_is_right(g))
        pipe_taken(g);
    else
        guest_refuse(g, "a wrong token");
}

/* --- listening --- */

static void enter(struct forward *f, int fd)
{
    const int one = 1;
    if (f->guests.n >= FORWARD_GUESTS_MAX) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct guest *g = guest_new(f, fd, forward_now(f));
    if (f->pipe) {
        g->readable = xcheck(event_new(channels_base(f->owner->streams->channels), fd,
                                       EV_READ | EV_PERSIST, on_token, g));
        event_add(g->readable, NULL);
    } else {
        guest_try(g);
    }
}

static bool is_shortage(int failed)
{
    return failed == EMFILE || failed == ENFILE || failed == ENOBUFS || failed == ENOMEM;
}

/* Until the next tick: the connection stays where it is, and would be told of without end. */
static void pause_listening(struct forward *f)
{
    for (size_t i = 0; i < f->local.n; i++)
        event_del(f->events[i]);
}

static void resume_listening(struct forward *f)
{
    for (size_t i = 0; i < f->local.n; i++)
        event_add(f->events[i], NULL);
}

static void on_connection(evutil_socket_t fd, short what, void *ctx)
{
    struct forward *f = ctx;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        const int guest = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (guest < 0) {
            if (is_shortage(errno)) {
                LOG_LIMITED(LOG_WARN, "cannot accept a connection for %s: %s", f->service,
                            strerror(errno));
                pause_listening(f);
            }
            return;
        }
        enter(f, guest);
    }
}

/* --- the set --- */

static bool is_tagged(const struct local_stream *s, const void *forward)
{
    return s->tag == forward;
}

/* Streams go first: they tell it. */
static void forward_free(struct forward *f)
{
    f->taken = false; /* a pipe does not end itself any more */
    local_streams_end(f->owner->streams, DCHAN_RESET_CANCELLED, is_tagged, f);
    forward_pay_clear(&f->pay);
    while (list_first(&f->guests)) {
        struct guest *g = LIST_ITEM(list_first(&f->guests), struct guest, link);
        const int fd = g->fd;
        guest_forget(g);
        close(fd);
    }
    stop_listening(f);
    list_remove(&f->owner->all, &f->link);
    secure_wipe(f->token, sizeof f->token);
    free(f->programs);
    free(f);
}

static void on_later(evutil_socket_t fd, short what, void *ctx)
{
    struct forwards *all = ctx;
    (void)fd;
    (void)what;
    for (struct forward *f = first_forward(all), *next; f; f = next) {
        next = next_forward(f);
        if (f->over)
            forward_free(f);
    }
    try_all(all);
}

static enum err check(const struct forwards *all, const struct forward_wish *w, struct error *e)
{
    if (!dchan_service_name_ok(span_of(w->service, strlen(w->service))))
        return error_set(e, ERR_RANGE, "a service name has 1 to %d of a-z 0-9 . _ -",
                         DCHAN_SERVICE_MAX);
    if (w->priority > DCHAN_PRIORITY_MAX)
        return error_set(e, ERR_RANGE, "a priority is 0 to %d", DCHAN_PRIORITY_MAX);
    if (all->all.n >= FORWARDS_MAX)
        return error_set(e, ERR_RANGE, "there are %d forwards already", FORWARDS_MAX);
    if (w->budget.max && !all->streams->payments)
        return error_set(e, ERR_RANGE, "payment channels are off (-paychannels=0)");
    return forward_budget_check(&w->budget, e);
}

static void listen_to(struct forward *f)
{
    for (size_t i = 0; i < f->local.n; i++)
        f->events[i] = xcheck(event_new(channels_base(f->owner->streams->channels),
                                        f->local.fds[i], EV_READ | EV_PERSIST,
                                        f->dgrams ? forward_on_datagrams : on_connection, f));
    resume_listening(f);
}

static struct forward *find(const struct forwards *all, uint16_t port)
{
    for (struct forward *f = first_forward(all); f; f = next_forward(f))
        if (f->port == port && !f->pipe)
            return f;
    return NULL;
}

/* token is NULL where it has none. */
static struct forward *add(struct forwards *all, const struct forward_wish *w,
                           const struct loopback *local, const uint8_t *token)
{
    struct forward *f = xcalloc(1, sizeof *f);
    *f = (struct forward){
        .owner = all, .contact = w->contact->id, .dgrams = w->dgrams, .pipe = w->pipe,
        .priority = w->priority, .local = *local, .port = local->port
    };
    memcpy(f->service, w->service, strlen(w->service));
    f->since_ms = forward_now(f);
    list_init(&f->guests);
    forward_pay_init(&f->pay, all->streams, f->contact, f->service, &w->budget);
    if (token)
        memcpy(f->token, token, sizeof f->token);
    list_append(&all->all, &f->link);
    listen_to(f);
    return f;
}

enum err forwards_add(struct forwards *all, const struct forward_wish *w,
                      const struct forward **out, struct error *e)
{
    struct loopback local;
    uint8_t token[sizeof ((struct forward *)NULL)->token];
    enum err rc = check(all, w, e);
    if (!rc && w->pipe)
        rc = rand_secret(token, sizeof token, e);
    if (!rc && w->port && find(all, w->port))
        rc = error_set(e, ERR_EXISTS, "port %u is a forward already", (unsigned)w->port);
    if (!rc)
        rc = loopback_open(&local, w->dgrams ? SOCK_DGRAM : SOCK_STREAM, w->port, e);
    if (!rc)
        *out = add(all, w, &local, w->pipe ? token : NULL);
    secure_wipe(token, sizeof token);
    return rc;
}

enum err forwards_remove(struct forwards *all, uint16_t port, struct error *e)
{
    struct forward *f = find(all, port);
    if (!f)
        return error_set(e, ERR_NOTFOUND, "no forward has port %u", (unsigned)port);
    forward_free(f);
    return OK;
}

void forwards_each(const struct forwards *all,
                   void (*fn)(const struct forward *forward, void *ctx), void *ctx)
{
    for (const struct forward *f = first_forward(all); f; f = next_forward(f))
        if (!f->pipe)
            fn(f, ctx);
}

/* --- the part --- */

static void on_up(void *part, struct chan_peer *p)
{
    struct forwards *all = part;
    const struct contact *contact = chan_peer_contact(p);
    for (struct forward *f = first_forward(all); f; f = next_forward(f))
        if (contact && contact->id == f->contact)
            try_guests(f);
}

/* Connections that say no token, and pipes that nobody took. */
static void expire(struct forward *f, uint64_t now_ms)
{
    for (struct list_link *link = list_first(&f->guests), *next; link; link = next) {
        struct guest *g = LIST_ITEM(link, struct guest, link);
        next = list_next(&f->guests, link);
        if (g->readable && now_ms - g->since_ms >= FORWARD_TOKEN_MS)
            guest_refuse(g, "no token");
    }
    if (f->pipe && !f->taken && now_ms - f->since_ms >= FORWARD_PIPE_MS) {
        f->taken = true;
        pipe_ended(f);
    }
}

static void on_tick(void *part, uint64_t now_ms)
{
    struct forwards *all = part;
    for (struct forward *f = first_forward(all); f; f = next_forward(f)) {
        resume_listening(f);
        expire(f, now_ms);
        forward_pay_tick(&f->pay, now_ms);
    }
    try_all(all);
}

static void on_contact_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct forwards *all = part;
    struct contacts *contacts = channels_contacts(all->streams->channels);
    (void)key;
    for (struct forward *f = first_forward(all), *next; f; f = next) {
        next = next_forward(f);
        if (!contacts_by_id(contacts, f->contact))
            forward_free(f);
    }
}

struct forwards *forwards_new(struct local_streams *streams)
{
    struct forwards *all = xcalloc(1, sizeof *all);
    all->streams = streams;
    list_init(&all->all);
    all->later = xcheck(event_new(channels_base(streams->channels), -1, 0, on_later, all));
    channels_add_part(streams->channels, &(struct channel_part){
        .up = on_up, .tick = on_tick, .contact_gone = on_contact_gone, .ctx = all });
    return all;
}

void forwards_free(struct forwards *all)
{
    if (!all)
        return;
    while (first_forward(all))
        forward_free(first_forward(all));
    event_free(all->later);
    free(all);
}
