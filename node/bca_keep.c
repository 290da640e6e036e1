/*
 * A look at all addresses follows a notice of the kernel, at most three a second, and comes at
 * times without any. Looks hold the list's place of work, so that none sees an address that a
 * method is just putting on its interface as one that is missing.
 */
#include "node/bca_keep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/bca_view.h"
#include "chain/chain.h"
#include "chain/header_check.h"
#include "p2p/assigned.h"
#include "p2p/netif.h"
#include "rpc/dispatch.h"
#include "rpc/identity_link.h"
#include "rpc/identity_proof.h"

#define PAUSE_MS 300       /* between two looks */
#define CLOCK_MS 1000      /* between two glances at the clock */
#define LOOK_MS 60000      /* without a notice */
#define RETRY_MS 60000     /* of what failed; twice as long each time */
#define RETRY_MAX_MS 3600000
#define ROTATION_PATIENCE 6 /* times as long, since a try may cost a modifier */
#define GRACE_S 60
#define PREFIX_PAUSE_S 600 /* whoever sends one prefix after another must not use up modifiers: */
#define PREFIX_PAUSE_MAX_S 21600 /* twice as long each time */
#define PREFIX_SETTLE_S 60 /* prefixes come one after another when an interface comes up */

enum need { NEED_NOTHING, NEED_ASSIGNING, NEED_ROTATION, N_NEEDS };

/* What is known of an address of the list, while the node runs. */
struct note {
    uint8_t address[BCA_ADDRESS_SIZE];
    struct {
        int64_t retry_at, wait_ms; /* clock_mono_ms; how long it waits. 0: it has not failed */
    } needs[N_NEEDS];
    int64_t moved_at;           /* clock_now: the interface has another prefix since; 0: not so */
    char said[ERROR_TEXT_MAX];  /* the last failure that was logged */
};

/* What the kernel and the chain say of one. */
struct sight {
    uint32_t index; /* of its interface */
    bool gone;      /* the interface is */
    bool there, deprecated;
    enum link_fate fate;
};

struct bca_keep {
    struct assigned *assigned;
    struct rpc_env env;        /* the node's, with a table and an end of our own */
    struct rpc_table *table;
    enum bca_network network;
    int64_t rotate_s;          /* 0: at any age */
    struct cancel cancel;
    pthread_t thread;
    bool started;
    int watch;                 /* of netif_watch, or -1 */
    int wake[2];
    int64_t look_at;           /* clock_mono_ms: the next look at the latest, a thorough one */
    bool thorough;             /* this look, which asks the chain, too */
    bool timely;               /* it does not come of a notice alone */
    int64_t due;               /* clock_now: something is to be done then; 0: nothing */
    struct note notes[ASSIGNED_MAX];
    size_t n_notes;
};

enum err bca_keep_open(struct bca_keep **out, const struct settings *s,
                       struct assigned **assigned, struct error *e)
{
    struct bca_keep *k = xcalloc(1, sizeof *k);
    char *path = path_join(s->net_dir, "assigned.dat");
    k->watch = k->wake[0] = k->wake[1] = -1;
    cancel_init(&k->cancel);
    *out = k;
    const enum err rc = assigned_open(&k->assigned, path, s->params.disk_magic, e);
    free(path);
    *assigned = k->assigned;
    return rc;
}

/* --- what is done to an address ------------------------------------------------------------- */

static void say(struct note *n, const char *text)
{
    if (strcmp(n->said, text) == 0)
        return;
    log_warn("identities: %s", text);
    (void)snprintf(n->said, sizeof n->said, "%s", text);
}

/* There is room: notes are of addresses that were listed when the look began. */
static struct note *note_of(struct bca_keep *k, const uint8_t *address)
{
    for (size_t i = 0; i < k->n_notes; i++)
        if (mem_equal_var(k->notes[i].address, address, sizeof k->notes[i].address))
            return &k->notes[i];
    struct note *n = &k->notes[k->n_notes++];
    *n = (struct note){ .moved_at = 0 };
    memcpy(n->address, address, sizeof n->address);
    return n;
}

/* Forgets those of addresses that are not on the list. */
static void clean_notes(struct bca_keep *k)
{
    struct assigned_address at;
    size_t n = 0;
    for (size_t i = 0; i < k->n_notes; i++)
        if (assigned_find(k->assigned, k->notes[i].address, &at))
            k->notes[n++] = k->notes[i];
    k->n_notes = n;
}

static void set_retry(struct note *n, enum need need)
{
    const int64_t before = n->needs[need].wait_ms;
    const int64_t wait_ms = before ? MIN_OF(before * 2, (int64_t)RETRY_MAX_MS) : RETRY_MS;
    n->needs[need].wait_ms = wait_ms;
    n->needs[need].retry_at =
        clock_mono_ms() + wait_ms * (need == NEED_ROTATION ? ROTATION_PATIENCE : 1);
}

static void clear_failure(struct note *n, enum need need)
{
    n->needs[need].retry_at = n->needs[need].wait_ms = 0;
    n->said[0] = 0;
}

static const char *print(const uint8_t *address, char text[INET6_ADDRSTRLEN])
{
    return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

/* What fails because of the interface or of a wallet that is locked or not loaded costs nothing and
 * is tried again at the next look. */
static bool is_free(enum rpc_code code)
{
    return code == RPC_INVALID_PARAMETER || code == RPC_WALLET_LOCKED ||
           code == RPC_WALLET_NOT_FOUND;
}

/* A method with two texts. */
static void ask(struct bca_keep *k, const struct assigned_address *at, enum need need,
                const char *method, const char *first, const char *second)
{
    struct note *n = note_of(k, at->address);
    struct json_writer w;
    struct buf answer, message;
    char text[INET6_ADDRSTRLEN], why[ERROR_TEXT_MAX];
    struct json_object *params = json_object_new_array();
    struct rpc_run run = { .env = &k->env, .out = &w, .wallet = at->owner };
    json_object_array_add(params, json_object_new_string(first));
    json_object_array_add(params, json_object_new_string(second));
    buf_init(&answer);
    buf_init(&message);
    jw_init(&w, &answer, NULL, NULL);
    const enum rpc_code code = rpc_invoke(&run, method, params, &message);
    buf_put_u8(&message, 0);
    (void)snprintf(why, sizeof why, "%s for %s of %s: %s", method, print(at->address, text),
                   at->name, code ? (const char *)message.data : "done");
    if (code) {
        say(n, why);
    } else {
        log_info("identities: %s", why);
        clear_failure(n, need);
    }
    if (code && !is_free(code))
        set_retry(n, need);
    json_object_put(params);
    buf_clear(&answer);
    buf_clear(&message);
}

static void come_back_at(struct bca_keep *k, int64_t moment)
{
    if (moment > clock_now() && (!k->due || moment < k->due))
        k->due = moment;
}

/* A retired one goes when nobody uses it, which takes reading the table of all connections. Some
 * moments are given to those who have just learnt of it. */
static enum err look_at_retired(struct bca_keep *k, const struct assigned_address *at,
                                const struct sight *s, struct error *e)
{
    const int64_t age = MAX_OF(clock_now() - at->retired, (int64_t)0);
    size_t sessions = 0;
    come_back_at(k, at->retired + GRACE_S);
    come_back_at(k, at->retired + LINK_RETIRED_S);
    if (s->there && !s->deprecated && age < LINK_RETIRED_S) /* after a crash */
        return netif_deprecate(s->index, at->address, (uint32_t)(LINK_RETIRED_S - age), e);
    if (s->there && age < LINK_RETIRED_S &&
        (age < GRACE_S || !k->timely || netif_sessions(at->address, &sessions, e) || sessions))
        return OK;
    return link_release(k->assigned, at, e);
}

/* The interface has another prefix than the address, and has had it for a while. */
static bool has_moved(struct bca_keep *k, const struct assigned_address *at,
                      const uint8_t prefix[BCA_PREFIX_SIZE])
{
    char text[INET6_ADDRSTRLEN];
    struct note *n = note_of(k, at->address);
    const int64_t now = clock_now();
    if (mem_equal_var(prefix, at->address, BCA_PREFIX_SIZE)) {
        if (n->moved_at)
            log_info("identities: %s has the prefix of %s again", at->interface,
                     print(at->address, text));
        n->moved_at = 0;
        return false;
    }
    if (!n->moved_at || n->moved_at > now) {
        n->moved_at = now;
        log_info("identities: %s has another prefix than %s", at->interface,
                 print(at->address, text));
    }
    come_back_at(k, n->moved_at + PREFIX_SETTLE_S);
    return now - n->moved_at >= PREFIX_SETTLE_S;
}

/* When another prefix may be followed. */
static int64_t may_move_at(const struct assigned_address *at)
{
    int64_t pause_s = PREFIX_PAUSE_S;
    for (unsigned i = 1; i < at->moves && pause_s < PREFIX_PAUSE_MAX_S; i++)
        pause_s *= 2;
    return MAX_OF(at->since + PREFIX_PAUSE_S,
                  at->moved + MIN_OF(pause_s, (int64_t)PREFIX_PAUSE_MAX_S));
}

static enum need need_of(struct bca_keep *k, const struct assigned_address *at,
                         const struct sight *s)
{
    uint8_t prefix[BCA_PREFIX_SIZE];
    const int64_t age = clock_now() - at->since;
    come_back_at(k, may_move_at(at));
    come_back_at(k, at->since + k->rotate_s);
    if (link_prefix(k->assigned, k->network, s->index, at->address, prefix, NULL))
        return NEED_NOTHING; /* a notice tells when there is one */
    if (has_moved(k, at, prefix))
        return clock_now() >= may_move_at(at) ? NEED_ROTATION : NEED_NOTHING;
    if (!mem_equal_var(prefix, at->address, sizeof prefix))
        return NEED_NOTHING;
    if (s->fate == LINK_VOID)
        return NEED_ROTATION;
    if (!s->there || s->deprecated)
        return NEED_ASSIGNING;
    return k->rotate_s && age >= k->rotate_s ? NEED_ROTATION : NEED_NOTHING;
}

static enum err look_at_used(struct bca_keep *k, const struct assigned_address *at,
                             const struct sight *s, struct error *e)
{
    char text[INET6_ADDRSTRLEN];
    const enum err rc = s->there ? link_finish(k->assigned, at, e) : OK;
    if (rc)
        return rc;
    const enum need need = need_of(k, at, s);
    if (clock_mono_ms() < note_of(k, at->address)->needs[need].retry_at)
        return OK;
    if (need == NEED_ASSIGNING)
        ask(k, at, need, "bcaassign", print(at->address, text), at->interface);
    else if (need == NEED_ROTATION)
        ask(k, at, need, "bcarotate", at->name, print(at->address, text));
    return OK;
}

static enum err look_at_revoked(struct bca_keep *k, const struct assigned_address *at,
                                struct error *e)
{
    char text[INET6_ADDRSTRLEN];
    const enum err rc = link_release(k->assigned, at, e);
    if (!rc)
        log_warn("identities: %s is revoked, %s has left %s", at->name, print(at->address, text),
                 at->interface);
    return rc;
}

/* As of a machine that does not keep the time while it is off, until it has asked others for it. */
static bool clock_is_behind(const struct bca_keep *k)
{
    struct chain_tip tip;
    chain_get_tip(k->env.chain, &tip);
    return clock_now() + HEADER_MAX_FUTURE_S < tip.median_time;
}

/* Moments to come are of a clock that was wrong, and nothing would be due before them: ages count
 * from now. */
static void correct_moments(struct bca_keep *k, struct assigned_address *at)
{
    struct error e = { .code = OK };
    const int64_t now = clock_now();
    if ((at->since <= now && at->retired <= now) || clock_is_behind(k))
        return;
    at->since = MIN_OF(at->since, now);
    at->moved = MIN_OF(at->moved, now);
    at->retired = MIN_OF(at->retired, now);
    if (assigned_put(k->assigned, NULL, at, &e))
        say(note_of(k, at->address), e.text); /* what else there is to do does not wait for it */
    else
        log_info("identities: the clock was set back, addresses on %s count as new",
                 at->interface);
}

static void look_at(struct bca_keep *k, struct assigned_address *at)
{
    struct error e = { .code = OK };
    struct sight s = { .fate = k->thorough ? link_fate(&k->env, at) : LINK_STAYS };
    correct_moments(k, at);
    s.gone = netif_index(at->interface, &s.index, NULL) != OK;
    enum err rc = s.gone ? OK : netif_has(s.index, at->address, &s.there, &s.deprecated, &e);
    if (!rc && s.fate == LINK_REVOKED)
        rc = look_at_revoked(k, at, &e);
    else if (!rc && at->retired)
        rc = look_at_retired(k, at, &s, &e);
    else if (!rc && !s.gone) /* else a notice tells when it comes */
        rc = look_at_used(k, at, &s, &e);
    if (rc)
        say(note_of(k, at->address), e.text);
}

static void look(struct bca_keep *k)
{
    struct assigned_address list[ASSIGNED_MAX], now;
    assigned_begin(k->assigned);
    const size_t n = assigned_list(k->assigned, list);
    clean_notes(k);
    k->due = 0;
    for (size_t i = 0; i < n && !cancelled(&k->cancel); i++)
        if (assigned_find(k->assigned, list[i].address, &now)) /* as those before have left it */
            look_at(k, &now);
    assigned_end(k->assigned);
}

/* --- the thread ----------------------------------------------------------------------------- */

static bool is_due(const struct bca_keep *k) { return k->due && clock_now() >= k->due; }

/* Until something is to be looked at. */
static void wait_for_news(struct bca_keep *k)
{
    struct pollfd fds[] = { { .fd = k->wake[0], .events = POLLIN },
                            { .fd = k->watch, .events = POLLIN } };
    (void)poll(fds, 1, PAUSE_MS);
    while (!cancelled(&k->cancel) && clock_mono_ms() < k->look_at &&
           !is_due(k) && !(k->watch >= 0 && netif_watch_take(k->watch)))
        (void)poll(fds, 2, CLOCK_MS);
}

static void *keep(void *arg)
{
    struct bca_keep *k = arg;
    while (!cancelled(&k->cancel)) {
        k->thorough = clock_mono_ms() >= k->look_at;
        k->timely = k->thorough || is_due(k);
        if (k->thorough) {
            k->look_at = clock_mono_ms() + LOOK_MS;
            identity_keep_proofs(&k->env);
        }
        look(k);
        wait_for_news(k);
    }
    return NULL;
}

enum err bca_keep_start(struct bca_keep *k, const struct rpc_env *env, struct error *e)
{
    struct bca_view view;
    bca_view_init(&view, env->chain);
    k->table = rpc_table_new();
    k->env = *env;
    k->env.table = k->table;
    k->env.cancel = &k->cancel;
    k->rotate_s = 3600 * config_int(env->config, "bcarotate");
    k->network = view.network;
    if (netif_watch(&k->watch, e)) { /* no reason to do without the rest */
        log_warn("identities: %s", e->text);
        k->watch = -1;
    }
    if (pipe2(k->wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set_errno(e, errno, "cannot make a pipe");
    const int failure = pthread_create(&k->thread, NULL, keep, k);
    k->started = failure == 0;
    return failure ? error_set_errno(e, failure, "cannot start a thread") : OK;
}

void bca_keep_cancel(struct bca_keep *k)
{
    if (!k)
        return;
    cancel_set(&k->cancel);
    if (k->wake[1] >= 0 && write(k->wake[1], "", 1) < 0)
        log_debug(LOGC_WALLET, "identities: the thread wakes by itself");
}

void bca_keep_stop(struct bca_keep *k)
{
    if (!k || !k->started)
        return;
    bca_keep_cancel(k);
    pthread_join(k->thread, NULL);
    k->started = false;
}

void bca_keep_free(struct bca_keep *k)
{
    if (!k)
        return;
    for (int i = 0; i < 2; i++)
        if (k->wake[i] >= 0)
            close(k->wake[i]);
    if (k->watch >= 0)
        close(k->watch);
    if (k->table)
        rpc_table_free(k->table);
    assigned_free(k->assigned);
    free(k);
}
