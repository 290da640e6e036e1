#include <config.h>

#include "chain/block_template.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/header_index.h"
#include "chain/template_select.h"

/* Kept free for header, count and coinbase, which come later. */
#define RESERVED_BYTES 1000
#define RESERVED_SIGOPS 100

#define SETTLE_TIMEOUT_MS 10000
#define QUICK_BUDGET_US 100000   /* work for a caller in a hurry */
#define CLOCK_EVERY 1024         /* transactions between looks at the clock */
#define SELECT_AGAIN_MS 5000     /* how old a choice may be for a caller in a hurry */

struct shared_template {
    struct block_template t; /* first */
    atomic_size_t refs;
    struct journal_snapshot *snapshot; /* first-come: its beginning, totals.count transactions */
    struct template_choice choice;     /* else what was chosen */
    int64_t made_ms;
    uint64_t max_size;                 /* that held when it was made */
};

/* The beginning of a snapshot, taken in order. */
struct first_come {
    struct journal_snapshot *snapshot; /* NULL: nothing begun */
    struct journal_place at;
    uint64_t group; /* of the last one */
    bool done;      /* the end of the snapshot is reached */
    struct journal_totals totals;
    struct merkle_branch_builder branch;
};

struct assembler {
    struct assembler_options o;
    _Atomic uint64_t max_size;
    pthread_mutex_t building; /* held while working; guards first_come */
    struct first_come work;
    pthread_mutex_t lock; /* guards last; taken after building */
    struct shared_template *last;
};

/* --- templates ------------------------------------------------------------------------------ */

static struct shared_template *shared_of(const struct block_template *t)
{
    return (struct shared_template *)(void *)(uintptr_t)t;
}

struct block_template *block_template_ref(struct block_template *t)
{
    atomic_fetch_add_explicit(&shared_of(t)->refs, 1, memory_order_relaxed);
    return t;
}

void block_template_unref(struct block_template *t)
{
    if (!t || atomic_fetch_sub_explicit(&shared_of(t)->refs, 1, memory_order_acq_rel) != 1)
        return;
    journal_snapshot_unref(shared_of(t)->snapshot);
    template_choice_clear(&shared_of(t)->choice);
    free(shared_of(t));
}

const struct journal_entry *block_template_next(const struct block_template *t,
                                                struct template_place *at)
{
    const struct shared_template *s = shared_of(t);
    if (at->n == t->totals.count)
        return NULL;
    at->n++;
    return s->snapshot ? journal_next(s->snapshot, &at->at) : &s->choice.v[at->n - 1];
}

size_t block_template_memory(const struct block_template *t)
{
    const struct shared_template *s = shared_of(t);
    const size_t list = s->snapshot ? s->snapshot->n_parts * sizeof(struct journal_part)
                                    : s->choice.n * sizeof(struct journal_entry);
    return mem_cost(sizeof(*s)) + mem_cost(list);
}

uint64_t block_parts_size(const struct block_parts *p)
{
    return BLOCK_HEADER_SIZE + compact_size_len(p->rest->totals.count + 1) + p->coinbase.len +
           p->rest->totals.bytes;
}

void block_parts_write(const struct block_parts *p,
                       void (*sink)(void *ctx, const void *data, size_t len), void *ctx)
{
    struct buf head;
    struct template_place at = { .n = 0 };
    const struct journal_entry *e;
    buf_init(&head);
    block_header_write(&head, &p->header);
    buf_put_compact(&head, p->rest->totals.count + 1);
    sink(ctx, head.data, head.len);
    buf_clear(&head);
    sink(ctx, p->coinbase.data, p->coinbase.len);
    while ((e = block_template_next(p->rest, &at)))
        sink(ctx, e->tx->raw.data, e->tx->raw.len);
}

struct hash256 block_template_root(const struct block_template *t, const struct txid *coinbase)
{
    struct hash256 root = { { 0 } };
    (void)merkle_branch_root(&t->branch, coinbase->b, &root); /* leaf 0 fits any depth */
    return root;
}

static void begin_branch(struct merkle_branch_builder *b)
{
    static const uint8_t unknown[32]; /* the coinbase is not made yet */
    merkle_branch_init(b);
    merkle_branch_add(b, unknown, true);
}

static struct shared_template *template_new(const struct assembler *a,
                                            const struct journal_snapshot *s,
                                            const struct journal_totals *totals,
                                            const struct merkle_branch_builder *branch)
{
    struct shared_template *t = xcalloc(1, sizeof(*t));
    struct merkle_branch_builder b = *branch; /* finishing ends what it finishes */
    const struct merkle_branch *finished;
    atomic_init(&t->refs, 1);
    t->t = (struct block_template){ .prev = s->tip,
                                    .height = s->tip->height + 1,
                                    .totals = *totals,
                                    .revision = s->revision,
                                    .next_number = s->next_number };
    if (merkle_branch_finish(&b, &finished))
        t->t.branch = *finished;
    t->made_ms = clock_mono_ms();
    t->max_size = atomic_load(&a->max_size);
    return t;
}

/* --- in the order of coming ----------------------------------------------------------------- */

static void first_come_clear(struct first_come *w)
{
    journal_snapshot_unref(w->snapshot);
    *w = (struct first_come){ .snapshot = NULL };
}

static bool is_older(const struct journal_snapshot *s, const struct journal_snapshot *than)
{
    return s->revision < than->revision ||
           (s->revision == than->revision && s->next_number < than->next_number);
}

/*
 * Begins anew, or goes on with what was added since. Whoever waited for another thread may come
 * with an older snapshot than that one had: what was taken in order reaches beyond its end, and
 * stays.
 */
static void first_come_follow(struct first_come *w, struct journal_snapshot *s,
                              enum template_need need)
{
    const bool same_tip = w->snapshot && w->snapshot->tip == s->tip;
    /* What was begun on this tip is finished first, or steady removals would let nothing be. */
    if (same_tip && ((!w->done && need == TEMPLATE_QUICK) || is_older(s, w->snapshot)))
        return;
    if (!same_tip || w->snapshot->revision != s->revision) {
        first_come_clear(w);
        begin_branch(&w->branch);
    }
    journal_snapshot_unref(w->snapshot);
    w->snapshot = journal_snapshot_ref(s);
    w->done = false;
}

static void first_come_add(struct first_come *w, const struct journal_entry *j)
{
    merkle_branch_add(&w->branch, j->tx->id.b, false);
    w->group = j->group;
    w->totals.count++;
    w->totals.bytes += j->tx->raw.len;
    w->totals.sigops += j->sigops;
    w->totals.fees += j->fee;
}

/* until_us: 0 for no limit. A group is not cut. */
static void first_come_run(struct first_come *w, int64_t until_us)
{
    while (!w->done) {
        struct journal_place next = w->at;
        const struct journal_entry *j = journal_next(w->snapshot, &next);
        const bool cut_here = j && w->totals.count % CLOCK_EVERY == 0 && w->totals.count > 0 &&
                              (!j->group || j->group != w->group);
        if (cut_here && until_us && clock_mono_us() > until_us)
            return;
        w->done = !j;
        w->at = next;
        if (j)
            first_come_add(w, j);
    }
}

/* The last template stays while a new one of the same tip is poorer: it is not finished. */
static bool worth_showing(const struct first_come *w, const struct shared_template *last)
{
    return w->done || !last || last->t.prev != w->snapshot->tip ||
           w->totals.fees >= last->t.totals.fees;
}

static struct shared_template *first_come_make(struct assembler *a, struct journal_snapshot *s,
                                               enum template_need need,
                                               const struct shared_template *last)
{
    struct first_come *w = &a->work;
    const int64_t until_us = need == TEMPLATE_QUICK ? clock_mono_us() + a->o.quick_budget_us : 0;
    first_come_follow(w, s, need);
    first_come_run(w, until_us);
    if (!worth_showing(w, last))
        return NULL;
    struct shared_template *t = template_new(a, w->snapshot, &w->totals, &w->branch);
    t->snapshot = journal_snapshot_ref(w->snapshot);
    return t;
}

/* --- by fee --------------------------------------------------------------------------------- */

static enum err choice_make(struct assembler *a, const struct journal_snapshot *s,
                            const struct template_limits *l, struct shared_template **out,
                            struct error *e)
{
    struct template_choice choice;
    struct merkle_branch_builder branch;
    first_come_clear(&a->work);
    const enum err rc = template_select(s, l, &choice, e);
    if (rc)
        return rc;
    begin_branch(&branch);
    for (size_t i = 0; i < choice.n; i++)
        merkle_branch_add(&branch, choice.v[i].tx->id.b, false);
    *out = template_new(a, s, &choice.totals, &branch);
    (*out)->choice = choice;
    return OK;
}

/* --- the assembler -------------------------------------------------------------------------- */

struct assembler *assembler_new(const struct assembler_options *o)
{
    struct assembler *a = xcalloc(1, sizeof(*a));
    a->o = *o;
    if (!o->quick_budget_us)
        a->o.quick_budget_us = QUICK_BUDGET_US;
    atomic_init(&a->max_size, o->max_block_size);
    pthread_mutex_init(&a->building, NULL);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void assembler_free(struct assembler *a)
{
    if (!a)
        return;
    first_come_clear(&a->work);
    if (a->last)
        block_template_unref(&a->last->t);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->building);
    free(a);
}

uint64_t assembler_max_size(struct assembler *a)
{
    return atomic_load(&a->max_size);
}

void assembler_set_max_size(struct assembler *a, uint64_t bytes)
{
    atomic_store(&a->max_size, bytes);
}

struct block_template *assembler_last(struct assembler *a)
{
    pthread_mutex_lock(&a->lock);
    struct block_template *t = a->last ? block_template_ref(&a->last->t) : NULL;
    pthread_mutex_unlock(&a->lock);
    return t;
}

static void show(struct assembler *a, struct shared_template *t)
{
    pthread_mutex_lock(&a->lock);
    struct shared_template *old = a->last;
    a->last = t;
    pthread_mutex_unlock(&a->lock);
    if (old)
        block_template_unref(&old->t);
}

static struct template_limits limits_of(const struct assembler *a, const struct journal_snapshot *s)
{
    const uint64_t max = atomic_load(&a->max_size);
    return (struct template_limits){
        .max_bytes = max > RESERVED_BYTES ? max - RESERVED_BYTES : 0,
        .sigops_limited = s->tip->height + 1 < a->o.params->heights.genesis,
        .coinbase_sigops = RESERVED_SIGOPS,
    };
}

/* Everything may be taken in the order of coming, wherever a hurry cuts it. */
static bool all_fit(const struct template_limits *l, const struct journal_snapshot *s)
{
    return template_limits_allow(l, s->totals.bytes, s->totals.sigops) &&
           template_limits_allow(l, MIN_OF(s->totals.bytes, 1), s->totals.sigops);
}

/* Nothing has happened since it was made; or little, and the caller is in a hurry. */
static bool still_good(const struct assembler *a, const struct shared_template *last,
                       const struct journal_snapshot *s, enum template_need need)
{
    if (!last || last->t.prev != s->tip || last->max_size != atomic_load(&a->max_size))
        return false;
    const bool same = last->t.revision == s->revision && last->t.next_number == s->next_number;
    if (last->snapshot) /* first-come */
        return same && a->work.done;
    return same || (need == TEMPLATE_QUICK && clock_mono_ms() < last->made_ms + SELECT_AGAIN_MS);
}

/* With `building` held. */
static enum err bring_up_to_date(struct assembler *a, struct journal_snapshot *s,
                                 enum template_need need, struct error *e)
{
    const struct template_limits l = limits_of(a, s);
    struct shared_template *last = a->last, *made = NULL; /* only who holds `building` changes it */
    enum err rc = OK;
    if (still_good(a, last, s, need))
        return OK;
    if (all_fit(&l, s))
        made = first_come_make(a, s, need, last);
    else
        rc = choice_make(a, s, &l, &made, e);
    if (made)
        show(a, made);
    return rc;
}

/* While another thread builds, its last result is good enough for who is in a hurry. */
static struct block_template *last_if_busy(struct assembler *a, const struct journal_snapshot *s)
{
    if (pthread_mutex_trylock(&a->building) == 0) {
        pthread_mutex_unlock(&a->building);
        return NULL;
    }
    struct block_template *t = assembler_last(a);
    if (t && t->prev == s->tip)
        return t;
    block_template_unref(t);
    return NULL;
}

enum err assembler_get(struct assembler *a, enum template_need need, struct block_template **out,
                       struct error *e)
{
    enum err rc = OK;
    struct journal_snapshot *s = journal_take(a->o.journal, SETTLE_TIMEOUT_MS);
    if (!s)
        return error_set(e, ERR_BUSY, "blocks are being connected");
    *out = need == TEMPLATE_QUICK ? last_if_busy(a, s) : NULL;
    if (!*out) {
        pthread_mutex_lock(&a->building);
        rc = bring_up_to_date(a, s, need, e);
        *out = rc ? NULL : assembler_last(a);
        pthread_mutex_unlock(&a->building);
    }
    journal_snapshot_unref(s);
    return rc;
}
