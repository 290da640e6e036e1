/*
 * An entry for each (transaction, peer) stands in the list of its transaction, in the order of
 * announcing, and in one of four lists of its peer by state. All work is a step or two an entry,
 * and a transaction has at most one entry a peer.
 */
#include "node/tx_requests.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

#define SLOW_MS 60000 /* how long a peer that let us wait comes after others */

enum entry_state {
    ENTRY_WAITING, /* nobody is asked, since no announcer has room */
    ENTRY_BLOCKED, /* another one is asked */
    ENTRY_ASKED,
    ENTRY_DONE,    /* had its turn in vain */
    ENTRY_STATES
};

struct request;

struct entry {
    struct list_link in_request, in_peer;
    struct request *request;
    struct tx_announcer *peer;
    int64_t at_ms;        /* announced; while asked: asked */
    uint64_t asked_number; /* of the peer's requests */
    enum entry_state state;
};

struct request {
    struct txid id;
    struct list entries;
    struct entry *asked;  /* NULL: nobody */
};

struct tx_announcer {
    struct list_link link;
    void *peer;
    bool preferred;
    struct list entries[ENTRY_STATES];
    size_t n;             /* in all four */
    size_t window;        /* requests it may have open */
    uint64_t asked;       /* requests ever */
    uint64_t delivered;   /* highest number of one it has answered */
    int64_t progress_ms;
    int64_t slow_until_ms;
};

struct tx_requests {
    struct tx_requests_options o;
    struct map map;       /* struct request by id */
    struct siphash_key key;
    struct list peers;
    size_t n;             /* entries of all */
};

/* --- small parts --- */

static bool has_id(const void *item, const void *key)
{
    return txid_equal(&((const struct request *)item)->id, key);
}

static uint64_t hash_of(const struct tx_requests *r, const struct txid *id)
{
    return siphash_32(&r->key, id->b);
}

static struct request *find(const struct tx_requests *r, const struct txid *id)
{
    return map_find(&r->map, hash_of(r, id), has_id, id);
}

static struct entry *entry_of_peer_link(struct list_link *link)
{
    return link ? LIST_ITEM(link, struct entry, in_peer) : NULL;
}

static struct entry *first_entry(const struct tx_announcer *a, enum entry_state state)
{
    return entry_of_peer_link(list_first(&a->entries[state]));
}

static struct entry *entry_of(const struct request *q, const struct tx_announcer *a)
{
    for (struct list_link *l = list_first(&q->entries); l; l = list_next(&q->entries, l)) {
        struct entry *e = LIST_ITEM(l, struct entry, in_request);
        if (e->peer == a)
            return e;
    }
    return NULL;
}

static void set_state(struct entry *e, enum entry_state state)
{
    list_remove(&e->peer->entries[e->state], &e->in_peer);
    list_append(&e->peer->entries[state], &e->in_peer);
    e->state = state;
}

/* All entries in one state of a transaction go to another. */
static void move_all(struct request *q, enum entry_state from, enum entry_state to)
{
    for (struct list_link *l = list_first(&q->entries); l; l = list_next(&q->entries, l)) {
        struct entry *e = LIST_ITEM(l, struct entry, in_request);
        if (e->state == from)
            set_state(e, to);
    }
}

static void drop_entry(struct tx_requests *r, struct entry *e)
{
    if (e->request->asked == e)
        e->request->asked = NULL;
    list_remove(&e->request->entries, &e->in_request);
    list_remove(&e->peer->entries[e->state], &e->in_peer);
    e->peer->n--;
    r->n--;
    free(e);
}

static void drop_request(struct tx_requests *r, struct request *q)
{
    struct list_link *l;
    while ((l = list_first(&q->entries)) != NULL)
        drop_entry(r, LIST_ITEM(l, struct entry, in_request));
    map_remove(&r->map, hash_of(r, &q->id), has_id, &q->id);
    free(q);
}

/* --- asking --- */

static bool has_room(const struct tx_announcer *a)
{
    return a->entries[ENTRY_ASKED].n < a->window;
}

/* Lower is asked first. */
static int rank(const struct tx_announcer *a, int64_t now)
{
    return (now < a->slow_until_ms ? 2 : 0) + (a->preferred ? 0 : 1);
}

static void ask(struct tx_requests *r, struct entry *e, int64_t now)
{
    set_state(e, ENTRY_ASKED);
    e->at_ms = now;
    e->asked_number = ++e->peer->asked;
    e->request->asked = e;
    move_all(e->request, ENTRY_WAITING, ENTRY_BLOCKED);
    r->o.ask(r->o.ctx, e->peer->peer, &e->request->id);
}

/* Nobody is asked for it: the best announcer with room is, if there is one; without announcers who
 * still have their turn before them it is forgotten. */
static void ask_best(struct tx_requests *r, struct request *q, int64_t now)
{
    struct entry *best = NULL;
    bool waiting = false;
    for (struct list_link *l = list_first(&q->entries); l; l = list_next(&q->entries, l)) {
        struct entry *e = LIST_ITEM(l, struct entry, in_request);
        if (e->state != ENTRY_WAITING)
            continue;
        waiting = true;
        if (has_room(e->peer) && (!best || rank(e->peer, now) < rank(best->peer, now)))
            best = e;
    }
    if (best)
        ask(r, best, now);
    else if (!waiting)
        drop_request(r, q);
}

/* The peer has room again. */
static void refill(struct tx_requests *r, struct tx_announcer *a, int64_t now)
{
    struct entry *e;
    while (has_room(a) && (e = first_entry(a, ENTRY_WAITING)) != NULL)
        ask(r, e, now);
}

/* Its turn is over, in vain. */
static void give_up(struct tx_requests *r, struct entry *e, int64_t now)
{
    struct request *q = e->request;
    set_state(e, ENTRY_DONE);
    q->asked = NULL;
    move_all(q, ENTRY_BLOCKED, ENTRY_WAITING);
    ask_best(r, q, now);
}

/* --- announcing --- */

/* Entries it could give up: what it is asked for stays. */
static size_t spare_entries(const struct tx_announcer *a)
{
    return a->n - a->entries[ENTRY_ASKED].n;
}

static struct tx_announcer *largest_peer(const struct tx_requests *r)
{
    struct tx_announcer *largest = NULL;
    for (struct list_link *l = list_first(&r->peers); l; l = list_next(&r->peers, l)) {
        struct tx_announcer *a = LIST_ITEM(l, struct tx_announcer, link);
        if (!largest || spare_entries(a) > spare_entries(largest))
            largest = a;
    }
    return largest;
}

/* The newest of them goes. */
static void give_place(struct tx_requests *r, struct tx_announcer *a, int64_t now)
{
    static const enum entry_state order[] = { ENTRY_WAITING, ENTRY_BLOCKED, ENTRY_DONE };
    struct entry *e = NULL;
    for (size_t i = 0; !e && i < COUNT_OF(order); i++)
        e = entry_of_peer_link(list_last(&a->entries[order[i]]));
    BUG_ON(!e);
    struct request *q = e->request;
    drop_entry(r, e);
    if (!q->asked)
        ask_best(r, q, now);
}

static bool find_place(struct tx_requests *r, const struct tx_announcer *a, int64_t now)
{
    if (a->n >= r->o.max_each)
        return false;
    if (r->n < r->o.max_total)
        return true;
    struct tx_announcer *largest = largest_peer(r);
    if (spare_entries(largest) <= spare_entries(a) + 1)
        return false;
    give_place(r, largest, now);
    return true;
}

static struct request *request_for(struct tx_requests *r, const struct txid *id)
{
    struct request *q = find(r, id);
    if (q)
        return q;
    q = xcalloc(1, sizeof(*q));
    q->id = *id;
    list_init(&q->entries);
    map_put(&r->map, hash_of(r, id), q);
    return q;
}

bool tx_requests_announce(struct tx_requests *r, struct tx_announcer *a, const struct txid *id,
                          int64_t now)
{
    const struct request *known = find(r, id);
    if (known && entry_of(known, a))
        return true; /* no second turn */
    if (!find_place(r, a, now))
        return false;
    struct request *q = request_for(r, id); /* after the place was made: that may drop requests */
    struct entry *e = xcalloc(1, sizeof(*e));
    *e = (struct entry){ .request = q, .peer = a, .at_ms = now,
                         .state = q->asked ? ENTRY_BLOCKED : ENTRY_WAITING };
    list_append(&q->entries, &e->in_request);
    list_append(&a->entries[e->state], &e->in_peer);
    a->n++;
    r->n++;
    if (!q->asked)
        ask_best(r, q, now);
    return true;
}

/* --- answers --- */

void tx_requests_note_progress(struct tx_announcer *a, int64_t now)
{
    a->progress_ms = now;
}

bool tx_requests_arrived(struct tx_requests *r, struct tx_announcer *from, const struct txid *id,
                         int64_t now)
{
    struct request *q = find(r, id);
    if (!q)
        return false;
    const struct entry *e = from ? entry_of(q, from) : NULL;
    const bool was_asked = e && (e->state == ENTRY_ASKED || e->state == ENTRY_DONE);
    if (was_asked) {
        from->progress_ms = now;
        from->delivered = MAX_OF(from->delivered, e->asked_number);
        from->window = MIN_OF(from->window + 1, TX_REQUEST_WINDOW_MAX);
    }
    struct tx_announcer *asked = q->asked ? q->asked->peer : NULL;
    drop_request(r, q);
    if (asked)
        refill(r, asked, now);
    return was_asked;
}

void tx_requests_not_found(struct tx_requests *r, struct tx_announcer *a, const struct txid *id,
                           int64_t now)
{
    const struct request *q = find(r, id);
    struct entry *e = q ? entry_of(q, a) : NULL;
    if (!e || e->state != ENTRY_ASKED)
        return;
    a->progress_ms = now;
    give_up(r, e, now);
    refill(r, a, now);
}

/*
 * Peers answer in order, so a later answer shows that this one is held back. Who delivers in order
 * and slowly is waited for, since large transactions take their time.
 */
static bool is_late(const struct entry *e, int64_t now)
{
    const struct tx_announcer *a = e->peer;
    const bool passed_over = e->asked_number < a->delivered;
    const int64_t since = passed_over ? e->at_ms : MAX_OF(e->at_ms, a->progress_ms);
    return now - since >= TX_REQUEST_TIMEOUT_MS || now - e->at_ms >= TX_REQUEST_LIMIT_MS;
}

static void tick_peer(struct tx_requests *r, struct tx_announcer *a, int64_t now)
{
    struct entry *e;
    bool late = false;
    while ((e = first_entry(a, ENTRY_ASKED)) != NULL && is_late(e, now)) {
        a->slow_until_ms = now + SLOW_MS; /* before the choice of the next one */
        late = true;
        give_up(r, e, now);
    }
    if (late)
        a->window = MAX_OF(a->window / 2, TX_REQUEST_WINDOW_MIN);
    while ((e = first_entry(a, ENTRY_WAITING)) != NULL &&
           now - e->at_ms > TX_ANNOUNCEMENT_MAX_AGE_MS) {
        struct request *q = e->request;
        drop_entry(r, e);
        ask_best(r, q, now);
    }
    refill(r, a, now);
}

void tx_requests_tick(struct tx_requests *r, int64_t now)
{
    for (struct list_link *l = list_first(&r->peers); l; l = list_next(&r->peers, l))
        tick_peer(r, LIST_ITEM(l, struct tx_announcer, link), now);
}

/* --- peers --- */

struct tx_announcer *tx_requests_add_peer(struct tx_requests *r, void *peer, bool preferred)
{
    struct tx_announcer *a = xcalloc(1, sizeof(*a));
    a->peer = peer;
    a->preferred = preferred;
    a->window = TX_REQUEST_WINDOW_START;
    for (size_t i = 0; i < ENTRY_STATES; i++)
        list_init(&a->entries[i]);
    list_append(&r->peers, &a->link);
    return a;
}

void tx_requests_remove_peer(struct tx_requests *r, struct tx_announcer *a, int64_t now)
{
    a->window = 0; /* nothing more is asked from it */
    for (size_t i = 0; i < ENTRY_STATES; i++) {
        struct entry *e;
        while ((e = first_entry(a, (enum entry_state)i)) != NULL) {
            struct request *q = e->request;
            const bool was_asked = q->asked == e;
            drop_entry(r, e);
            if (was_asked)
                move_all(q, ENTRY_BLOCKED, ENTRY_WAITING);
            if (!q->asked)
                ask_best(r, q, now);
        }
    }
    list_remove(&r->peers, &a->link);
    free(a);
}

/* --- the whole --- */

struct tx_requests *tx_requests_new(const struct tx_requests_options *o)
{
    struct tx_requests *r = xcalloc(1, sizeof(*r));
    r->o = *o;
    map_init(&r->map);
    list_init(&r->peers);
    rand_bytes(&r->key, sizeof(r->key));
    return r;
}

void tx_requests_free(struct tx_requests *r)
{
    if (!r)
        return;
    struct list_link *l;
    while ((l = list_first(&r->peers)) != NULL) {
        struct tx_announcer *a = LIST_ITEM(l, struct tx_announcer, link);
        for (size_t i = 0; i < ENTRY_STATES; i++)
            while (first_entry(a, (enum entry_state)i))
                drop_request(r, first_entry(a, (enum entry_state)i)->request);
        list_remove(&r->peers, l);
        free(a);
    }
    map_clear(&r->map);
    free(r);
}

size_t tx_requests_count(const struct tx_requests *r)
{
    return r->map.n;
}

size_t tx_requests_bytes(const struct tx_requests *r)
{
    return r->n * mem_cost(sizeof(struct entry)) + r->map.n * mem_cost(sizeof(struct request)) +
           map_bytes(&r->map);
}

size_t tx_requests_open(const struct tx_announcer *a)
{
    return a->entries[ENTRY_ASKED].n;
}

size_t tx_requests_announced(const struct tx_announcer *a)
{
    return a->n;
}
