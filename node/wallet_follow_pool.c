/* Wallets and the mempool: what came and went, the whole of it, and our own that is not in it. */
#include "node/wallet_follow_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/nonfinal.h"

#define READ_AT_ONCE 1000    /* while the mempool is locked */
#define RESUBMIT_MAX 10000   /* at one time */
#define OWN_MISSING_MS 60000 /* until those that were not taken are handed over again */
#define OWN_LOOK_MS 600000   /* until it is looked whether all are there */
#define OWN_BLOCK_MS 2000    /* the same after a block, which may let in what was refused before */
#define AGAIN_MIN_MS 600000  /* until all are told again: a random time, so that nobody can tell */
#define AGAIN_MEAN_MS 1800000.0 /* by the schedule whose they are */

/* --- chain thread --------------------------------------------------------------------------- */

static void push(struct wallet_follow *f, const struct follow_note *content)
{
    struct follow_note *n = xmalloc(sizeof *n);
    *n = *content;
    n->node.bytes = sizeof *n + (n->tx ? tx_memory(n->tx) : 0);
    if (!queue_push(f->notes, &n->node)) {
        atomic_store(&f->lost, true);
        n->node.next = NULL;
        follow_free_notes(n);
    }
    wallet_follow_wake(f);
}

void wallet_follow_tx_accepted(struct wallet_follow *f, struct tx *tx)
{
    if (atomic_load(&f->wanted))
        push(f, &(struct follow_note){ .tx = tx_ref(tx), .id = tx->id });
}

void wallet_follow_tx_removed(struct wallet_follow *f, const struct mempool_removed *r,
                              const struct header_node *block)
{
    if (!atomic_load(&f->wanted) || r->reason == MEMPOOL_IN_BLOCK) /* the block says it */
        return;
    struct follow_note n = { .id = r->tx->id, .has_conflict = r->conflict && block };
    if (n.has_conflict)
        n.conflict = (struct history_conflict){ .by = r->conflict->id, .height = block->height };
    push(f, &n);
}

/* --- notes ---------------------------------------------------------------------------------- */

struct follow_note *follow_take_notes(struct wallet_follow *f)
{
    struct follow_note *first = NULL, *last = NULL;
    for (size_t n = queue_items(f->notes); n > 0; n--) {
        struct follow_note *note = (struct follow_note *)(void *)queue_pop(f->notes);
        if (!note)
            break;
        note->node.next = NULL;
        if (last)
            last->node.next = &note->node;
        else
            first = note;
        last = note;
    }
    return first;
}

static const struct follow_note *next_of(const struct follow_note *n)
{
    return (const struct follow_note *)(const void *)n->node.next;
}

void follow_free_notes(struct follow_note *notes)
{
    while (notes) {
        struct follow_note *next = (struct follow_note *)(void *)notes->node.next;
        tx_unref(notes->tx);
        free(notes);
        notes = next;
    }
}

static enum err tell_notes(struct followed *d, const struct follow_note *notes, struct error *e)
{
    enum err rc = OK;
    for (const struct follow_note *n = notes; n && !rc; n = next_of(n))
        rc = n->tx ? wallet_mempool_add(d->w, n->tx, e)
                   : wallet_mempool_remove(d->w, &n->id, n->has_conflict ? &n->conflict : NULL, e);
    return rc;
}

/* --- the whole of it ------------------------------------------------------------------------ */

struct part {
    struct tx *txs[READ_AT_ONCE];
    size_t n;
    uint64_t last;
};

static enum mempool_visit take_part(void *ctx, const struct mempool_entry *entry)
{
    struct part *p = ctx;
    p->txs[p->n++] = tx_ref(entry->tx);
    p->last = entry->sequence;
    return p->n < READ_AT_ONCE ? MEMPOOL_GO_ON : MEMPOOL_ENOUGH;
}

static enum err tell_all(struct wallet_follow *f, struct followed *d, struct error *e)
{
    struct part p = { .last = 0 };
    enum err rc = OK;
    do {
        p.n = 0;
        mempool_each(chain_mempool(f->chain), p.last, take_part, &p);
        for (size_t i = 0; i < p.n; i++) {
            if (!rc)
                rc = wallet_mempool_add(d->w, p.txs[i], e);
            tx_unref(p.txs[i]);
        }
    } while (!rc && p.n == READ_AT_ONCE && !cancelled(&f->cancel));
    return rc;
}

/* --- unconfirmed ones that are not in it ------------------------------------------------------ */

struct missing {
    struct chain *chain;
    bool all;                               /* those that are there too */
    struct tx_submission own[RESUBMIT_MAX]; /* to be handed over again */
    struct txid left[RESUBMIT_MAX];         /* thought to be there */
    size_t n_own, n_left, n_absent;         /* n_absent: of own, those that are not there */
    struct error *e;
};

static struct missing *missing_new(struct chain *c, bool all, struct error *e)
{
    struct missing *m = try_alloc(1, sizeof *m);
    if (!m) {
        error_set(e, ERR_NOMEM, "no memory for unconfirmed transactions");
        return NULL;
    }
    memset(m, 0, sizeof *m);
    m->chain = c;
    m->all = all;
    m->e = e;
    return m;
}

static bool look(void *ctx, const struct history_tx *t)
{
    struct missing *m = ctx;
    const struct txid *id = &t->tx->id;
    const bool in_mempool = mempool_contains(chain_mempool(m->chain), id);
    const bool absent = !in_mempool && !nonfinal_contains(chain_nonfinal(m->chain), id);
    if (!in_mempool && t->in_mempool)
        m->left[m->n_left++] = *id;
    if ((m->all || absent) && t->from_us && !t->abandoned &&
        t->conflict.height == HISTORY_NO_HEIGHT) {
        struct tx *tx = tx_new(t->tx->raw.data, t->tx->raw.len, m->e);
        m->n_absent += tx && absent;
        if (tx)
            m->own[m->n_own++] = (struct tx_submission){ .tx = tx, .allow_high_fee = true };
    }
    return m->n_own < RESUBMIT_MAX && m->n_left < RESUBMIT_MAX;
}

/* Those the chain knows already are told to peers again (relay_tx_results.c). */
static enum err hand_over(struct missing *m, struct wallet *w, struct error *e)
{
    if (!m->n_own)
        return OK;
    log_debug(LOGC_WALLET, "wallet \"%s\": %zu unconfirmed transactions handed over again",
              wallet_name(w), m->n_own);
    return chain_submit_txs(m->chain, m->own, m->n_own, e);
}

static void missing_free(struct missing *m)
{
    tx_submissions_clear(m->own, m->n_own);
    for (size_t i = 0; i < m->n_own; i++)
        tx_unref(m->own[i].tx);
    free(m);
}

static enum err bring_back(struct wallet_follow *f, struct followed *d, struct error *e)
{
    const int64_t now = clock_mono_ms();
    struct missing *m = missing_new(f->chain, now >= d->again_ms, e);
    struct error why = { .code = OK };
    if (!m)
        return ERR_NOMEM;
    wallet_lock(d->w);
    enum err rc = history_list_unconfirmed(wallet_history(d->w), look, m, e);
    for (size_t i = 0; i < m->n_left && !rc; i++)
        rc = wallet_mempool_remove(d->w, &m->left[i], NULL, e);
    wallet_unlock(d->w);
    if (hand_over(m, d->w, &why)) /* without the lock: the chain thread judges */
        log_debug(LOGC_WALLET, "wallet \"%s\": %s", wallet_name(d->w), why.text);
    if (m->all)
        d->again_ms = now + AGAIN_MIN_MS + (int64_t)rand_exp(AGAIN_MEAN_MS);
    d->own_ms = MIN_OF(now + (m->n_absent ? OWN_MISSING_MS : OWN_LOOK_MS), d->again_ms);
    d->own_block_ms = clock_mono_ms() + OWN_BLOCK_MS;
    missing_free(m);
    return rc;
}

static bool is_on_its_way(const struct tx_result *r)
{
    return r->outcome == TX_ACCEPTED || r->outcome == TX_PARKED || r->outcome == TX_KNOWN;
}

enum err wallet_follow_resend(void *ctx, struct wallet *w, struct buf *ids, struct error *e)
{
    struct wallet_follow *f = ctx;
    struct missing *m = missing_new(f->chain, true, e);
    if (!m)
        return ERR_NOMEM;
    wallet_lock(w);
    enum err rc = history_list_unconfirmed(wallet_history(w), look, m, e);
    wallet_unlock(w);
    if (!rc)
        rc = hand_over(m, w, e);
    for (size_t i = 0; i < m->n_own && !rc; i++)
        if (is_on_its_way(&m->own[i].result))
            buf_put(ids, m->own[i].tx->id.b, sizeof m->own[i].tx->id.b);
    missing_free(m);
    return rc;
}

static bool is_time_to_look(struct wallet_follow *f, struct followed *d)
{
    const int64_t now = clock_mono_ms();
    struct chain_tip tip;
    chain_get_tip(f->chain, &tip);
    if (now < d->own_ms && (now < d->own_block_ms || tip.node == d->own_tip))
        return false;
    d->own_tip = tip.node;
    return true;
}

void follow_pool(struct wallet_follow *f, struct followed *d, const struct follow_note *notes)
{
    struct error e = { .code = OK };
    enum err rc = d->pool_known ? tell_notes(d, notes, &e) : tell_all(f, d, &e);
    if (!rc && (is_time_to_look(f, d) || !d->pool_known))
        rc = bring_back(f, d, &e);
    d->pool_known = !rc;
    if (rc)
        follow_wallet_failed(f, d, &e);
}
