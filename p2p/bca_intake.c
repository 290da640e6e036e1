#include "p2p/bca_intake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/bca_own.h"
#include "p2p/ratelimit.h"

enum {
    FAILURES = 4096,      /* remembered proofs that failed: a power of two */
    SCORE_FALSE = 20,     /* a signature or a proof that does not hold */
    SCORE_EQUIVOCAL = 1,  /* the key may be stolen, and the peer not know */
};

/* A record that is kept for later. */
struct held {
    struct list_link link;
    enum bca_way way;
    uint64_t peer, seq;
    int64_t since; /* clock_now */
    uint8_t record_key[32];
    size_t len;
    uint8_t raw[];
};

struct held_list {
    struct list list; /* oldest first */
    size_t bytes;
    struct map by_key;
    size_t max;
};

/* A proof that failed. */
struct failure {
    uint8_t name[32];
    int64_t until; /* clock_mono_ms; 0: none */
    enum bca_record_fault fault;
};

struct bca_intake {
    struct bca_store *store;
    struct bca_intake_config c;
    pthread_mutex_t lock; /* of what follows */
    struct ratelimit signatures;
    struct held_list waiting, parked;
    struct failure failures[FAILURES];
    struct siphash_key key; /* set once */
};

const char *bca_outcome_name(enum bca_outcome outcome)
{
    static const char *const names[] = {
        [BCA_TAKEN] = "taken",   [BCA_KNOWN] = "known",     [BCA_WAITS] = "waits",
        [BCA_PARKED] = "parked", [BCA_REFUSED] = "refused", [BCA_BUSY] = "busy",
    };
    return names[outcome];
}

struct bca_intake *bca_intake_new(struct bca_store *store, const struct bca_intake_config *c)
{
    struct bca_intake *in = xcalloc(1, sizeof *in);
    in->store = store;
    in->c = *c;
    in->c.pause_s = c->pause_s ? c->pause_s : 600;
    in->c.park_s = c->park_s ? c->park_s : 3600;
    in->c.failure_s = c->failure_s ? c->failure_s : 3600;
    in->c.signatures = c->signatures ? c->signatures : 200;
    in->waiting.max = c->waiting ? c->waiting : 1024;
    in->parked.max = c->parked ? c->parked : 256;
    pthread_mutex_init(&in->lock, NULL);
    ratelimit_init(&in->signatures, UINT64_C(1000) * in->c.signatures, in->c.signatures,
                   in->c.signatures, clock_mono_ms());
    list_init(&in->waiting.list);
    list_init(&in->parked.list);
    map_init(&in->waiting.by_key);
    map_init(&in->parked.by_key);
    rand_bytes(&in->key, sizeof in->key);
    return in;
}

static bool is_held(const void *item, const void *key)
{
    return mem_equal_var(((const struct held *)item)->record_key, key, 32);
}

/* The lock is held. */
static struct held *find_held(const struct bca_intake *in, const struct held_list *l,
                              const uint8_t record_key[32])
{
    return map_find(&l->by_key, siphash_32(&in->key, record_key), is_held, record_key);
}

/* The same. It is the caller's then. */
static struct held *take_held(const struct bca_intake *in, struct held_list *l, struct held *h)
{
    list_remove(&l->list, &h->link);
    l->bytes -= mem_cost(sizeof *h + h->len);
    map_remove(&l->by_key, siphash_32(&in->key, h->record_key), is_held, h->record_key);
    return h;
}

static void append_held(const struct bca_intake *in, struct held_list *l, struct held *h)
{
    list_append(&l->list, &h->link);
    l->bytes += mem_cost(sizeof *h + h->len);
    map_put(&l->by_key, siphash_32(&in->key, h->record_key), h);
}

static struct held *first_held(const struct held_list *l)
{
    struct list_link *link = list_first(&l->list);
    return link ? LIST_ITEM(link, struct held, link) : NULL;
}

static void clear_held(const struct bca_intake *in, struct held_list *l)
{
    struct held *h;
    while ((h = first_held(l)))
        free(take_held(in, l, h));
    map_clear(&l->by_key);
}

void bca_intake_free(struct bca_intake *in)
{
    if (!in)
        return;
    clear_held(in, &in->waiting);
    clear_held(in, &in->parked);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

/* --- records that are kept for later; the lock is held --- */

static struct held *random_held(const struct held_list *l)
{
    struct list_link *at = list_first(&l->list);
    for (uint64_t i = rand_below(l->list.n); i > 0; i--)
        at = list_next(&l->list, at);
    return LIST_ITEM(at, struct held, link);
}

/* One of a key, the newest; a random one makes room. */
static void hold(const struct bca_intake *in, struct held_list *l, const struct bca_offer *o,
                 const struct bca_facts *f)
{
    struct held *h = find_held(in, l, f->record_key);
    if (h && h->seq >= f->seq)
        return;
    if (!h && l->list.n >= l->max)
        h = random_held(l);
    if (h)
        free(take_held(in, l, h));
    h = xmalloc(sizeof *h + o->raw.len);
    *h = (struct held){ .way = o->way, .peer = o->peer, .seq = f->seq, .since = clock_now(),
                        .len = o->raw.len };
    memcpy(h->record_key, f->record_key, sizeof h->record_key);
    memcpy(h->raw, o->raw.data, o->raw.len);
    append_held(in, l, h);
}

static void hold_locked(struct bca_intake *in, struct held_list *l, const struct bca_offer *o,
                        const struct bca_facts *f)
{
    pthread_mutex_lock(&in->lock);
    hold(in, l, o, f);
    pthread_mutex_unlock(&in->lock);
}

/* --- proofs that failed --- */

/*
 * Of key, address and parameters together: parameters of somebody, shown beside another key or
 * address, must not make those of their owner fail.
 */
static void name_proof(uint8_t out[32], const struct bca_record *r)
{
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, r->key, sizeof r->key);
    sha256_update(&h, r->endpoints[0].address, sizeof r->endpoints[0].address);
    sha256_update(&h, r->params.data, r->params.len);
    sha256_final(&h, out);
}

static struct failure *place_of(struct bca_intake *in, const uint8_t name[32])
{
    return &in->failures[siphash_32(&in->key, name) & (FAILURES - 1)];
}

/* GOOD: it is not known to have failed. */
static enum bca_record_fault known_failure(struct bca_intake *in, const uint8_t name[32])
{
    pthread_mutex_lock(&in->lock);
    const struct failure *f = place_of(in, name);
    const bool known = f->until > clock_mono_ms() && mem_equal_var(f->name, name, 32);
    const enum bca_record_fault fault = known ? f->fault : BCA_RECORD_GOOD;
    pthread_mutex_unlock(&in->lock);
    return fault;
}

static void note_failure(struct bca_intake *in, const uint8_t name[32], enum bca_record_fault fault)
{
    pthread_mutex_lock(&in->lock);
    struct failure *f = place_of(in, name);
    memcpy(f->name, name, sizeof f->name);
    f->until = clock_mono_ms() + 1000 * in->c.failure_s;
    f->fault = fault;
    pthread_mutex_unlock(&in->lock);
}

/* A success is not kept: what costs is the marker, which is looked up each time (spec bca 10). */
static enum err check_proof(struct bca_intake *in, const struct bca_record *r,
                            enum bca_record_fault *fault, struct error *e)
{
    uint8_t name[32];
    name_proof(name, r);
    *fault = known_failure(in, name);
    if (*fault)
        return OK;
    const enum err rc = in->c.check_bca(in->c.ctx, r, fault, e);
    if (!rc && *fault && *fault != BCA_RECORD_UNDETERMINED)
        note_failure(in, name, *fault);
    return rc;
}

/* --- the steps --- */

/* A record on its way. */
struct passage {
    struct bca_intake *in;
    const struct bca_offer *offer;
    struct bca_record r;
    struct bca_facts facts, known;
    enum bca_record_order order;
    bool early;      /* the pause of its key has not ended */
    bool checked;    /* its signature was, before it waited */
    struct bca_answer *answer;
};

/* True: this is where it ends. */
typedef bool (*step_fn)(struct passage *p, enum err *rc, struct error *e);

static bool end(struct passage *p, enum bca_outcome outcome)
{
    p->answer->outcome = outcome;
    return true;
}

static bool refuse(struct passage *p, enum bca_record_fault fault)
{
    p->answer->fault = fault;
    return end(p, BCA_REFUSED);
}

static void blame(struct passage *p, int score, const char *why)
{
    if (p->offer->peer)
        p->in->c.misbehaved(p->in->c.ctx, p->offer->peer, score, why);
}

static bool is_ours(const struct passage *p)
{
    return p->offer->way == BCA_OF_OURS || p->offer->way == BCA_OF_OURS_DIRECT;
}

static bool step_read(struct passage *p, enum err *rc, struct error *e)
{
    (void)rc;
    (void)e;
    const uint64_t now = (uint64_t)MAX_OF(clock_now(), (int64_t)0);
    enum bca_record_fault fault = bca_record_read(&p->r, p->offer->raw);
    if (!fault)
        fault = bca_record_check_times(&p->r, now);
    if (!fault && !p->in->c.any_address)
        fault = bca_record_check_endpoints(&p->r);
    return fault ? refuse(p, fault) : false;
}

/* Equivocation is looked at once more when the signature was checked. */
static bool step_compare(struct passage *p, enum err *rc, struct error *e)
{
    (void)rc;
    (void)e;
    bca_facts_of(&p->facts, &p->r, p->offer->raw);
    p->facts.relay = p->offer->way == BCA_BY_GOSSIP || p->offer->way == BCA_OF_OURS;
    p->facts.reached = p->offer->way == BCA_BY_SESSION;
    p->order = BCA_RECORD_REPLACES;
    if (!bca_store_look(p->in->store, p->facts.record_key, &p->known))
        return p->r.tombstone && p->offer->way == BCA_BY_GOSSIP ? end(p, BCA_KNOWN) : false;
    p->order = bca_store_compare(p->in->store, &p->facts);
    switch (p->order) {
    case BCA_RECORD_OLD:
    case BCA_RECORD_BACKWARDS:
        return end(p, BCA_KNOWN);
    case BCA_RECORD_SAME: /* of gossip: unless it came by another way before */
        return p->offer->way == BCA_BY_GOSSIP && (!p->known.size || p->known.relay)
                   ? end(p, BCA_KNOWN)
                   : false;
    case BCA_RECORD_EQUIVOCATION:
        return p->known.equivocal ? end(p, BCA_KNOWN) : false;
    case BCA_RECORD_REPLACES:
        break;
    }
    return false;
}

static bool step_pause(struct passage *p, enum err *rc, struct error *e)
{
    (void)rc;
    (void)e;
    struct bca_intake *in = p->in;
    const int64_t age = clock_now() - p->known.accepted;
    p->early = p->offer->way == BCA_BY_GOSSIP && p->order == BCA_RECORD_REPLACES &&
               p->known.size && age >= 0 && age < in->c.pause_s;
    if (!p->early)
        return false;
    pthread_mutex_lock(&in->lock);
    const struct held *h = find_held(in, &in->waiting, p->facts.record_key);
    const bool newer_waits = h && h->seq >= p->facts.seq;
    pthread_mutex_unlock(&in->lock);
    return newer_waits ? end(p, BCA_KNOWN) : false;
}

static bool may_verify(struct bca_intake *in)
{
    pthread_mutex_lock(&in->lock);
    const bool may = ratelimit_take(&in->signatures, 1, clock_mono_ms());
    pthread_mutex_unlock(&in->lock);
    return may;
}

static bool step_signature(struct passage *p, enum err *rc, struct error *e)
{
    (void)rc;
    (void)e;
    const bool limited = p->offer->way == BCA_BY_GOSSIP || p->offer->way == BCA_BY_SESSION;
    if (p->checked || is_ours(p))
        return false;
    if (limited && !may_verify(p->in))
        return end(p, BCA_BUSY);
    if (bca_record_check_signature(&p->r) == BCA_RECORD_GOOD)
        return false;
    blame(p, SCORE_FALSE, "record with a bad signature");
    return refuse(p, BCA_RECORD_BAD_SIGNATURE);
}

/* Under an own key one that we never made (spec channels 0). */
static enum err see_own(const struct passage *p, bool *doubled, struct error *e)
{
    *doubled = false;
    return is_ours(p) ? OK : bca_own_see(p->in->store, &p->r, p->offer->raw, doubled, e);
}

static bool step_equivocation(struct passage *p, enum err *rc, struct error *e)
{
    bool doubled;
    if (p->order != BCA_RECORD_EQUIVOCATION)
        return false;
    blame(p, SCORE_EQUIVOCAL, "two records with one number");
    *rc = see_own(p, &doubled, e);
    if (!*rc)
        *rc = bca_store_mark_equivocal(p->in->store, p->facts.record_key, e);
    return end(p, BCA_KNOWN);
}

static bool step_own(struct passage *p, enum err *rc, struct error *e)
{
    bool doubled;
    *rc = see_own(p, &doubled, e);
    return doubled ? end(p, BCA_KNOWN) : false;
}

static bool step_wait(struct passage *p, enum err *rc, struct error *e)
{
    (void)rc;
    (void)e;
    if (!p->early)
        return false;
    hold_locked(p->in, &p->in->waiting, p->offer, &p->facts);
    return end(p, BCA_WAITS);
}

static bool step_proof(struct passage *p, enum err *rc, struct error *e)
{
    enum bca_record_fault fault = BCA_RECORD_GOOD;
    *rc = check_proof(p->in, &p->r, &fault, e);
    if (*rc || !fault)
        return *rc != OK;
    if (fault == BCA_RECORD_UNDETERMINED) {
        hold_locked(p->in, &p->in->parked, p->offer, &p->facts);
        return end(p, BCA_PARKED);
    }
    if (fault == BCA_RECORD_BAD_BCA)
        blame(p, SCORE_FALSE, "record of an address that is not proved");
    return refuse(p, fault);
}

static bool step_store(struct passage *p, enum err *rc, struct error *e)
{
    bool taken = false;
    *rc = bca_store_put(p->in->store, &p->r, p->offer->raw, &p->facts, p->offer->peer, &taken, e);
    return end(p, taken ? BCA_TAKEN : BCA_KNOWN);
}

static enum err pass(struct bca_intake *in, const struct bca_offer *o, bool checked,
                     struct bca_answer *a, struct error *e)
{
    static const step_fn steps[] = { step_read, step_compare, step_pause, step_signature,
                                     step_equivocation, step_own, step_wait, step_proof,
                                     step_store };
    struct passage p = { .in = in, .offer = o, .answer = a, .checked = checked };
    enum err rc = OK;
    bool ended = false;
    *a = (struct bca_answer){ .outcome = BCA_REFUSED };
    for (size_t i = 0; !rc && !ended && i < COUNT_OF(steps); i++)
        ended = steps[i](&p, &rc, e);
    return rc;
}

enum err bca_intake_offer(struct bca_intake *in, const struct bca_offer *o, struct bca_answer *a,
                          struct error *e)
{
    return pass(in, o, false, a, e);
}

/* --- later --- */

/* The one that waits for the end of the pause of its key; NULL: none. */
static struct held *take_rested(struct bca_intake *in)
{
    struct held *found = NULL;
    pthread_mutex_lock(&in->lock);
    for (struct list_link *at = list_first(&in->waiting.list); at && !found;
         at = list_next(&in->waiting.list, at)) {
        struct held *h = LIST_ITEM(at, struct held, link);
        struct bca_facts known;
        const bool is_known = bca_store_look(in->store, h->record_key, &known);
        const int64_t age = is_known ? clock_now() - known.accepted : in->c.pause_s;
        if (age < 0 || age >= in->c.pause_s)
            found = h;
    }
    if (found)
        take_held(in, &in->waiting, found);
    pthread_mutex_unlock(&in->lock);
    return found;
}

static void hold_again(struct bca_intake *in, struct held_list *l, struct held *h)
{
    pthread_mutex_lock(&in->lock);
    const bool has_room = l->list.n < l->max && !find_held(in, l, h->record_key);
    if (has_room)
        append_held(in, l, h);
    pthread_mutex_unlock(&in->lock);
    if (!has_room)
        free(h);
}

/* Takes h, which was taken out of the list and goes back when it could not be judged. */
static enum err offer_held(struct bca_intake *in, struct held_list *l, struct held *h,
                           struct error *e)
{
    struct bca_answer a;
    const struct bca_offer o = { span_of(h->raw, h->len), h->way, h->peer };
    const enum err rc = pass(in, &o, true, &a, e);
    if (rc)
        hold_again(in, l, h);
    else
        free(h);
    return rc;
}

/* What is parked again keeps the time at which it came first. */
static enum err offer_parked(struct bca_intake *in, struct held *h, struct error *e)
{
    uint8_t record_key[32];
    const uint64_t seq = h->seq;
    const int64_t since = h->since;
    memcpy(record_key, h->record_key, sizeof record_key);
    const enum err rc = offer_held(in, &in->parked, h, e);
    pthread_mutex_lock(&in->lock);
    struct held *again = find_held(in, &in->parked, record_key);
    if (again && again->seq == seq)
        again->since = since;
    pthread_mutex_unlock(&in->lock);
    return rc;
}

static struct held *take_parked(struct bca_intake *in)
{
    pthread_mutex_lock(&in->lock);
    struct held *h = first_held(&in->parked);
    if (h)
        take_held(in, &in->parked, h);
    pthread_mutex_unlock(&in->lock);
    return h;
}

/* Each once: what is parked again comes behind the others. */
static enum err retry_parked(struct bca_intake *in, struct error *e)
{
    struct bca_intake_counts counts;
    struct held *h;
    enum err rc = OK;
    bca_intake_count(in, &counts);
    for (size_t n = counts.parked; !rc && n > 0 && (h = take_parked(in)); n--) {
        if (clock_now() - h->since < in->c.park_s)
            rc = offer_parked(in, h, e);
        else
            free(h);
    }
    return rc;
}

enum err bca_intake_retry(struct bca_intake *in, struct error *e)
{
    struct held *h;
    enum err rc = OK;
    while (!rc && (h = take_rested(in)))
        rc = offer_held(in, &in->waiting, h, e);
    /* one that cannot be judged does not keep the others from it */
    const enum err parked = retry_parked(in, rc ? NULL : e);
    return rc ? rc : parked;
}

/* --- what is known --- */

bool bca_intake_wants(struct bca_intake *in, const uint8_t record_key[32], uint64_t seq)
{
    struct bca_facts known;
    if (bca_store_look(in->store, record_key, &known) && known.seq >= seq &&
        (known.relay || !known.size || known.seq > seq))
        return false;
    pthread_mutex_lock(&in->lock);
    const struct held *waits = find_held(in, &in->waiting, record_key);
    const struct held *parks = find_held(in, &in->parked, record_key);
    const bool have = (waits && waits->seq >= seq) || (parks && parks->seq >= seq);
    pthread_mutex_unlock(&in->lock);
    return !have;
}

void bca_intake_count(struct bca_intake *in, struct bca_intake_counts *out)
{
    pthread_mutex_lock(&in->lock);
    out->waiting = in->waiting.list.n;
    out->parked = in->parked.list.n;
    out->memory = sizeof *in + in->waiting.bytes + in->parked.bytes +
                  map_bytes(&in->waiting.by_key) + map_bytes(&in->parked.by_key);
    pthread_mutex_unlock(&in->lock);
}
