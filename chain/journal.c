/*
 * Pieces rather than one array, so that a snapshot is a list of pointers and a change copies one
 * piece. Removals leave holes; a piece with few entries left is merged with its neighbour, since a
 * few old transactions that nobody mines would otherwise hold a piece each for ever. Numbers stay
 * with their entries, which are found by two searches that touch few lines of memory: every entry
 * of the mempool leaves through here, in any order.
 */
#include <config.h>

#include "chain/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/intmath.h"
#include "base/mem.h"

#define PIECE_ENTRIES 512u
#define PIECE_SPARSE (PIECE_ENTRIES / 4) /* with fewer entries it looks for a neighbour */

struct journal_piece {
    atomic_size_t refs;
    size_t n, live; /* slots used, and those of them that hold a transaction; the writer's */
    struct journal_entry entries[PIECE_ENTRIES];
};

struct shared_snapshot {
    struct journal_snapshot s; /* first */
    atomic_size_t refs;
    struct journal_part parts[];
};

struct place_of_piece {
    uint64_t first; /* number of its first entry; here so that searching reads no piece */
    struct journal_piece *piece;
};

struct journal {
    pthread_mutex_t lock; /* for all below; only the chain thread writes */
    pthread_cond_t settled;
    struct header_node *tip; /* NULL: not settled */
    struct journal_totals totals;
    uint64_t revision, next_number;
    struct place_of_piece *pieces;
    size_t n_pieces, cap;
};

/* --- pieces --------------------------------------------------------------------------------- */

static struct journal_piece *piece_new(void)
{
    struct journal_piece *p = xmalloc(sizeof(*p));
    atomic_init(&p->refs, 1);
    p->n = p->live = 0;
    return p;
}

static void piece_unref(struct journal_piece *p)
{
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < p->n; i++)
        tx_unref(p->entries[i].tx);
    free(p);
}

static bool piece_is_shared(const struct journal_piece *p)
{
    return atomic_load_explicit(&p->refs, memory_order_acquire) > 1;
}

/* Appends the transactions of a piece; references are taken. */
static void piece_copy_live(struct journal_piece *to, const struct journal_piece *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (!from->entries[i].tx)
            continue;
        to->entries[to->n] = from->entries[i];
        tx_ref(to->entries[to->n++].tx);
    }
    to->live = to->n;
}

/* p, which is not empty, is at this place now. */
static struct journal_piece *set_piece(struct journal *j, size_t at, struct journal_piece *p)
{
    j->pieces[at] = (struct place_of_piece){ p->entries[0].number, p };
    return p;
}

/* The piece for a change of what is in it already. */
static struct journal_piece *piece_own(struct journal *j, size_t at)
{
    struct journal_piece *old = j->pieces[at].piece;
    if (!piece_is_shared(old))
        return old;
    struct journal_piece *own = piece_new();
    piece_copy_live(own, old);
    piece_unref(old);
    return set_piece(j, at, own);
}

static void drop_piece(struct journal *j, size_t at)
{
    piece_unref(j->pieces[at].piece);
    const size_t after = --j->n_pieces - at;
    memmove(j->pieces + at, j->pieces + at + 1, after * sizeof(*j->pieces));
}

/* Merges piece at with the one after it when both fit into one. */
static bool merge_with_next(struct journal *j, size_t at)
{
    if (at + 1 >= j->n_pieces)
        return false;
    struct journal_piece *one = j->pieces[at].piece, *next = j->pieces[at + 1].piece;
    if (one->live + next->live > PIECE_ENTRIES / 2)
        return false;
    struct journal_piece *both = piece_new();
    piece_copy_live(both, one);
    piece_copy_live(both, next);
    drop_piece(j, at + 1);
    piece_unref(one);
    set_piece(j, at, both);
    return true;
}

static void tidy_piece(struct journal *j, size_t at)
{
    const struct journal_piece *p = j->pieces[at].piece;
    if (p->live == 0)
        drop_piece(j, at);
    else if (p->live < PIECE_SPARSE && !merge_with_next(j, at) && at > 0)
        merge_with_next(j, at - 1);
}

/* The piece that has the number; the caller knows that it is in. */
static size_t find_piece(const struct journal *j, uint64_t number)
{
    size_t low = 0, high = j->n_pieces;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (j->pieces[mid].first <= number)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static struct journal_entry *find_entry(struct journal_piece *p, uint64_t number)
{
    /* Numbers rise, mostly by one: where it stands when none is missing is looked at first. */
    const uint64_t distance = number - p->entries[0].number;
    size_t low = 0, high = p->n, at = (size_t)MIN_OF(distance, (uint64_t)p->n - 1);
    while (high - low > 1 && p->entries[low].number != number) {
        if (p->entries[at].number <= number)
            low = at;
        else
            high = at;
        at = low + (high - low) / 2;
    }
    return p->entries[low].number == number && p->entries[low].tx ? &p->entries[low] : NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

struct journal *journal_new(void)
{
    struct journal *j = xcalloc(1, sizeof(*j));
    j->next_number = 1;
    pthread_mutex_init(&j->lock, NULL);
    clock_cond_init(&j->settled);
    return j;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    for (size_t i = 0; i < j->n_pieces; i++)
        piece_unref(j->pieces[i].piece);
    free(j->pieces);
    pthread_cond_destroy(&j->settled);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* --- chain thread --------------------------------------------------------------------------- */

static struct journal_piece *piece_with_room(struct journal *j)
{
    if (j->n_pieces && j->pieces[j->n_pieces - 1].piece->n < PIECE_ENTRIES)
        return j->pieces[j->n_pieces - 1].piece;
    if (j->n_pieces == j->cap) {
        j->cap = 2 * j->cap + 16;
        j->pieces = xrealloc(j->pieces, j->cap * sizeof(*j->pieces));
    }
    j->pieces[j->n_pieces] = (struct place_of_piece){ j->next_number, piece_new() };
    return j->pieces[j->n_pieces++].piece;
}

static void append(struct journal *j, const struct journal_entry *e, uint64_t group)
{
    struct journal_piece *p = piece_with_room(j);
    struct journal_entry *to = &p->entries[p->n++];
    *to = *e;
    to->number = j->next_number++;
    to->group = group;
    tx_ref(to->tx);
    p->live++;
    j->totals.count++;
    j->totals.bytes += e->tx->raw.len;
    j->totals.sigops += e->sigops;
    j->totals.fees += e->fee;
}

void journal_begin(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
}

void journal_end(struct journal *j)
{
    pthread_mutex_unlock(&j->lock);
}

uint64_t journal_add(struct journal *j, const struct journal_entry *unit, size_t n)
{
    const uint64_t first = j->next_number;
    for (size_t i = 0; i < n; i++)
        append(j, &unit[i], n > 1 ? first : 0);
    return first;
}

static void remove_entry(struct journal *j, size_t at, struct journal_entry *e)
{
    j->totals.count--;
    j->totals.bytes -= e->tx->raw.len;
    j->totals.sigops -= e->sigops;
    j->totals.fees -= e->fee;
    tx_unref(e->tx);
    e->tx = NULL;
    j->pieces[at].piece->live--;
    tidy_piece(j, at);
}

/* The entry in a piece that may be changed; NULL: our own mistake. */
static struct journal_entry *own_entry(struct journal *j, uint64_t number, size_t *at)
{
    if (WARN_BUG(j->n_pieces == 0))
        return NULL;
    *at = find_piece(j, number);
    struct journal_entry *e = find_entry(piece_own(j, *at), number);
    j->revision += e != NULL;
    return WARN_BUG(!e) ? NULL : e;
}

void journal_remove(struct journal *j, uint64_t number)
{
    size_t at;
    struct journal_entry *e = own_entry(j, number, &at);
    if (e)
        remove_entry(j, at, e);
}

void journal_set_fee_delta(struct journal *j, uint64_t number, int64_t fee_delta)
{
    size_t at;
    struct journal_entry *e = own_entry(j, number, &at);
    if (e)
        e->fee_delta = fee_delta;
}

void journal_unsettle(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->tip = NULL;
    pthread_mutex_unlock(&j->lock);
}

void journal_settle(struct journal *j, struct header_node *tip)
{
    pthread_mutex_lock(&j->lock);
    j->tip = tip;
    pthread_cond_broadcast(&j->settled);
    pthread_mutex_unlock(&j->lock);
}

/* --- any thread ----------------------------------------------------------------------------- */

static struct journal_snapshot *snapshot_locked(const struct journal *j)
{
    const size_t n = j->n_pieces;
    struct shared_snapshot *shared = xmalloc(sizeof(*shared) + n * sizeof(*shared->parts));
    atomic_init(&shared->refs, 1);
    shared->s = (struct journal_snapshot){ .tip = j->tip,
                                           .totals = j->totals,
                                           .revision = j->revision,
                                           .next_number = j->next_number,
                                           .n_parts = n,
                                           .parts = shared->parts };
    for (size_t i = 0; i < n; i++) {
        struct journal_piece *p = j->pieces[i].piece;
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        shared->parts[i] = (struct journal_part){ .piece = p, .n = p->n };
    }
    return &shared->s;
}

struct journal_snapshot *journal_take(struct journal *j, int64_t timeout_ms)
{
    struct journal_snapshot *s = NULL;
    const struct timespec until = clock_deadline(timeout_ms);
    int waited = 0;
    pthread_mutex_lock(&j->lock);
    while (!j->tip && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&j->settled, &j->lock, &until);
    if (j->tip)
        s = snapshot_locked(j);
    pthread_mutex_unlock(&j->lock);
    return s;
}

static struct shared_snapshot *shared_of(struct journal_snapshot *s)
{
    return (struct shared_snapshot *)(void *)s;
}

struct journal_snapshot *journal_snapshot_ref(struct journal_snapshot *s)
{
    atomic_fetch_add_explicit(&shared_of(s)->refs, 1, memory_order_relaxed);
    return s;
}

void journal_snapshot_unref(struct journal_snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&shared_of(s)->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n_parts; i++)
        piece_unref(s->parts[i].piece);
    free(shared_of(s));
}

const struct journal_entry *journal_next(const struct journal_snapshot *s, struct journal_place *at)
{
    while (at->part < s->n_parts) {
        const struct journal_part *part = &s->parts[at->part];
        while (at->slot < part->n) {
            const struct journal_entry *e = &part->piece->entries[at->slot++];
            if (e->tx)
                return e;
        }
        if (at->part + 1 == s->n_parts)
            break; /* the place stays here: more may come into this piece */
        at->part++;
        at->slot = 0;
    }
    return NULL;
}

void journal_get_stats(struct journal *j, struct journal_stats *out)
{
    pthread_mutex_lock(&j->lock);
    *out = (struct journal_stats){ .totals = j->totals,
                                   .revision = j->revision,
                                   .next_number = j->next_number,
                                   .memory = j->n_pieces * sizeof(struct journal_piece) +
                                             j->cap * sizeof(*j->pieces) };
    pthread_mutex_unlock(&j->lock);
}
