#include <config.h>

#include "chain/txs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/chain_internal.h"
#include "chain/journal.h"

#define STEP_MS 50        /* one turn: then blocks and commands are looked at again */
#define RULES_AGE_S 1     /* the clock in the rules may be this old */
#define SUBMIT_ROUNDS 64  /* how often those handed over before their parents are tried again */

/* --- lists ---------------------------------------------------------------------------------- */

void tx_list_init(struct tx_list *l)
{
    *l = (struct tx_list){ .first = NULL };
    l->end = &l->first;
}

void tx_list_add(struct tx_list *l, struct tx_offer *o)
{
    o->next = NULL;
    *l->end = o;
    l->end = &o->next;
    l->n++;
}

struct tx_offer *tx_list_take(struct tx_list *l)
{
    struct tx_offer *o = l->first;
    if (!o)
        return NULL;
    l->first = o->next;
    if (!l->first)
        l->end = &l->first;
    l->n--;
    return o;
}

void tx_list_put_first(struct tx_list *l, struct tx_list *first)
{
    if (!first->first)
        return;
    *first->end = l->first;
    if (!l->first)
        l->end = first->end;
    l->first = first->first;
    l->n += first->n;
    tx_list_init(first);
}

/* --- offers --------------------------------------------------------------------------------- */

struct tx_offer *tx_offer_new(struct tx *tx, uint64_t source)
{
    struct tx_offer *o = xcalloc(1, sizeof(*o));
    o->work.tx = tx_ref(tx);
    o->work.source = source;
    o->node.bytes = tx->raw.len + sizeof(*o);
    return o;
}

void tx_offer_free(struct tx_offer *o)
{
    accept_work_clear(&o->work);
    tx_unref(o->work.tx);
    free(o);
}

static void wake(void *ctx)
{
    struct txs *t = ctx;
    chain_wake(t->chain);
}

bool chain_offer_tx(struct chain *c, struct tx *tx, uint64_t source)
{
    struct tx_offer *o = tx_offer_new(tx, source);
    o->work.time_limit_us = c->txs.policy.standard_time_ms * 1000;
    if (queue_push_always(c->txs.offers, &o->node))
        return true;
    tx_offer_free(o);
    return false;
}

/* --- those who wait ------------------------------------------------------------------------- */

static void waiter_count_down(struct tx_waiter *w)
{
    pthread_mutex_lock(&w->lock);
    if (--w->left == 0)
        pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

/* The caller takes the reference to a conflict; what the arena holds ends with the offer. */
static void tell_waiter(struct tx_offer *o)
{
    o->submission->result = o->work.result;
    o->submission->result.missing = NULL;
    o->work.result.conflict = NULL;
    waiter_count_down(o->waiter);
}

static bool is_told(const struct tx_offer *o)
{
    return o->work.source != TX_SOURCE_REORG;
}

static const char *source_name(uint64_t source, char text[32])
{
    if (source <= UINT64_MAX - 16)
        snprintf(text, 32, "peer %" PRIu64, source);
    else
        snprintf(text, 32, "%s",
                 source == TX_SOURCE_RPC     ? "RPC"
                 : source == TX_SOURCE_FILE  ? "mempool.dat"
                 : source == TX_SOURCE_REORG ? "a disconnected block"
                                             : "the non-final pool");
    return text;
}

/* What somebody may ask about later. */
static void note_cause(struct txs *t, const struct tx_offer *o)
{
    const struct tx_result *r = &o->work.result;
    struct causes *causes = t->chain->o.causes;
    const uint8_t *id = o->work.tx->id.b;
    char from[32], other[HASH_HEX_SIZE];
    source_name(o->work.source, from);
    if (r->outcome == TX_MISSING_INPUTS)
        causes_note_hash(causes, CAUSE_TX, id, "from %s: an input is unknown or spent%s%s", from,
                         r->n_missing ? ", of transaction " : "",
                         r->n_missing ? hash_to_hex(other, r->missing[0].b) : "");
    else if (r->outcome == TX_REJECTED)
        causes_note_hash(causes, CAUSE_TX, id, "from %s: refused, code %d: %s%s%s", from,
                         (int)r->verdict.code, r->verdict.reason,
                         r->conflict ? ", spent before by " : "",
                         r->conflict ? hash_to_hex(other, r->conflict->id.b) : "");
}

/* Who waits for an answer gets it before others are told: that wakes more threads, which would
 * only be in its way. A waiter takes the reference that the results show, so it comes last. */
void txs_deliver(struct txs *t, struct tx_offer *const *v, size_t n)
{
    const struct chain_handlers *h = &t->chain->h;
    struct tx_result *results = t->results;
    size_t told = 0;
    BUG_ON(n > TXS_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        v[i]->work.result.tx = v[i]->work.tx;
        v[i]->work.result.source = v[i]->work.source;
        note_cause(t, v[i]);
        if (v[i]->done)
            v[i]->done(v[i]->done_ctx, &v[i]->work.result);
        if (is_told(v[i]))
            results[told++] = v[i]->work.result;
    }
    if (n && h->txs_judged)
        h->txs_judged(h->ctx, results, told);
    for (size_t i = 0; i < n; i++) {
        if (v[i]->waiter)
            tell_waiter(v[i]);
        tx_offer_free(v[i]);
    }
}

static void wait_for_all(struct tx_waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->left > 0)
        pthread_cond_wait(&w->ended, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static struct tx_offer *offer_of(struct chain *c, const struct tx_submission *s)
{
    struct tx_offer *o = tx_offer_new(s->tx, TX_SOURCE_RPC);
    o->work.policy = s->policy;
    o->work.allow_high_fee = s->allow_high_fee;
    o->work.free = s->free;
    o->work.time_limit_us = c->txs.policy.standard_time_ms * 1000; /* past it: off the batch */
    return o;
}

bool chain_submit_tx_later(struct chain *c, const struct tx_submission *s, tx_done_fn done,
                           void *ctx)
{
    struct tx_offer *o = offer_of(c, s);
    o->done = done;
    o->done_ctx = ctx;
    if (queue_push_always(c->txs.offers, &o->node))
        return true;
    tx_offer_free(o);
    return false;
}

static void hand_over(struct chain *c, struct tx_submission *s, struct tx_waiter *w)
{
    struct tx_offer *o = offer_of(c, s);
    o->submission = s;
    o->waiter = w;
    s->result = (struct tx_result){ .outcome = TX_NOT_JUDGED, .tx = s->tx };
    if (queue_push_always(c->txs.offers, &o->node))
        return;
    waiter_count_down(w);
    tx_offer_free(o);
}

static bool wants_another_round(const struct tx_submission *s)
{
    return s->result.outcome == TX_MISSING_INPUTS;
}

/* Hands over those that are not judged yet, or came before their parents. */
static void submit_round(struct chain *c, struct tx_submission *s, size_t n, bool first)
{
    struct tx_waiter w = { .left = 0 };
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.ended, NULL);
    for (size_t i = 0; i < n; i++)
        w.left += first || wants_another_round(&s[i]);
    for (size_t i = 0; i < n; i++)
        if (first || wants_another_round(&s[i]))
            hand_over(c, &s[i], &w);
    wait_for_all(&w);
    pthread_cond_destroy(&w.ended);
    pthread_mutex_destroy(&w.lock);
}

static size_t count_outcome(const struct tx_submission *s, size_t n, enum tx_outcome outcome)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += s[i].result.outcome == outcome;
    return count;
}

enum err chain_submit_txs(struct chain *c, struct tx_submission *s, size_t n, struct error *e)
{
    size_t missing = n, entered = 0;
    for (unsigned round = 0; round < SUBMIT_ROUNDS; round++) {
        submit_round(c, s, n, round == 0);
        const size_t now_missing = count_outcome(s, n, TX_MISSING_INPUTS);
        const size_t now_entered = count_outcome(s, n, TX_ACCEPTED);
        if (now_missing == 0 || now_missing == missing || now_entered == entered)
            break;
        missing = now_missing;
        entered = now_entered;
    }
    if (count_outcome(s, n, TX_NOT_JUDGED) == 0)
        return OK;
    return error_set(e, ERR_CANCELLED, "the node is shutting down or out of memory");
}

void tx_submissions_clear(struct tx_submission *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tx_unref(s[i].result.conflict);
        s[i].result.conflict = NULL;
    }
}

/* --- open and close ------------------------------------------------------------------------- */

void txs_open(struct txs *t, struct chain *c)
{
    const size_t cache = c->o.signature_cache_bytes / 2;
    *t = (struct txs){ .chain = c, .policy = c->o.policy };
    t->pool = mempool_new(&c->o.mempool);
    t->nonfinal = nonfinal_new(c->o.nonfinal_max_bytes);
    t->signatures = sigcache_new(cache);
    t->scripts = sigcache_new(cache);
    t->offers = queue_new(0, 0, wake, t);
    t->env = (struct accept_env){ .params = &c->params,
                                  .coins = c->coins,
                                  .pool = t->pool,
                                  .nonfinal = t->nonfinal,
                                  .frozen = c->frozen,
                                  .policy = &t->policy,
                                  .consensus_limits = &c->limits,
                                  .sigcache = t->signatures,
                                  .scripts = t->scripts };
    tx_list_init(&t->again);
    tx_list_init(&t->slow);
    map_init(&t->pending);
    rand_bytes(&t->pending_key, sizeof(t->pending_key));
    job_group_init(&t->slow_group, c->pool);
    pthread_mutex_init(&t->file_lock, NULL);
    for (size_t i = 0; i < COUNT_OF(t->batches); i++)
        t->batches[i] = tx_batch_new(t);
    t->loaded = !c->o.persist_mempool;
    t->era = script_era_of(&c->params.heights, c->tip->height + 1);
    journal_settle(mempool_journal(t->pool), c->tip);
}

size_t chain_txs_under_way(struct chain *c)
{
    const struct txs *t = &c->txs;
    return queue_items(t->offers) + t->again.n + t->slow.n + t->slow_running;
}

void txs_give_up(struct txs *t, struct tx_offer *o)
{
    o->work.result.outcome = TX_NOT_JUDGED;
    txs_deliver(t, &o, 1);
}

void txs_stop(struct txs *t)
{
    struct queue_node *node;
    struct tx_offer *o;
    if (!t->offers)
        return;
    txs_slow_stop(t);
    mempool_load_stop(t);
    queue_close(t->offers);
    while ((node = queue_pop(t->offers)))
        txs_give_up(t, (struct tx_offer *)(void *)node);
    while ((o = tx_list_take(&t->again)) || (o = tx_list_take(&t->slow)))
        txs_give_up(t, o);
}

void txs_close(struct txs *t)
{
    if (!t->offers)
        return;
    txs_stop(t);
    txs_block_forget(t);
    txs_forget_returned(t);
    free(t->returned);
    free(t->staged);
    map_clear(&t->pending);
    queue_free(t->offers);
    mempool_free(t->pool);
    nonfinal_free(t->nonfinal);
    sigcache_free(t->signatures);
    sigcache_free(t->scripts);
    pthread_mutex_destroy(&t->file_lock);
    for (size_t i = 0; i < COUNT_OF(t->batches); i++)
        tx_batch_free(t->batches[i]);
}

struct mempool *chain_mempool(struct chain *c) { return c->txs.pool; }
bool chain_mempool_is_loaded(const struct chain *c) { return c->txs.loaded; }
struct nonfinal *chain_nonfinal(struct chain *c) { return c->txs.nonfinal; }
const struct tx_policy *chain_get_policy(const struct chain *c) { return &c->txs.policy; }
const struct script_limits *chain_consensus_limits(const struct chain *c) { return &c->limits; }

/* --- turns ---------------------------------------------------------------------------------- */

void txs_refresh_rules(struct txs *t)
{
    const int64_t now = clock_now();
    if (t->rules.tip != t->chain->tip || now - t->rules.now >= RULES_AGE_S ||
        now < t->rules.now)
        accept_rules_init(&t->rules, &t->env, t->chain->tip, now);
}

static struct tx_offer *next_offer(struct txs *t)
{
    struct tx_offer *o = tx_list_take(&t->again);
    return o ? o : (struct tx_offer *)(void *)queue_pop(t->offers);
}

static void fill(struct txs *t, struct tx_batch *b)
{
    struct tx_offer *o;
    while ((o = next_offer(t)))
        if (!tx_batch_add(b, o))
            break;
}

static bool turn_is_over(struct txs *t, int64_t end)
{
    return clock_mono_ms() >= end || queue_items(t->chain->queue) > 0;
}

/* While the scripts of one batch run on the pool the next one is judged here. */
static enum err run_batches(struct txs *t, bool *did, struct error *e)
{
    struct tx_batch *const *batches = t->batches;
    const int64_t end = clock_mono_ms() + STEP_MS;
    enum err rc = OK;
    unsigned at = 0;
    txs_refresh_rules(t);
    do {
        fill(t, batches[at]);
        if (tx_batch_count(batches[at]) == 0)
            break;
        *did = true;
        rc = tx_batch_begin(batches[at], &t->again, e);
        at ^= 1;
        tx_batch_end(batches[at]);
    } while (!rc && !turn_is_over(t, end));
    tx_batch_end(batches[at]);
    tx_batch_end(batches[at ^ 1]);
    return rc;
}

enum err txs_step(struct txs *t, bool *did, struct error *e)
{
    enum err rc = txs_tidy(t, e);
    if (!rc && (t->again.n || queue_items(t->offers)))
        rc = run_batches(t, did, e);
    if (!rc)
        rc = txs_slow_step(t, did, e);
    return rc;
}
