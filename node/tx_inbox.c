#include "node/tx_inbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"

#define CONFIRMED_MAX 100000

struct tx_inbox {
    pthread_mutex_t lock;
    struct tx_news_batch batch;
    bool told;          /* who reads has been woken, and will look until nothing is there */
    size_t n_confirmed; /* of these in the batch */
    void (*wake)(void *ctx);
    void *ctx;
};

struct tx_inbox *tx_inbox_new(void (*wake)(void *ctx), void *ctx)
{
    struct tx_inbox *in = xcalloc(1, sizeof(*in));
    pthread_mutex_init(&in->lock, NULL);
    in->wake = wake;
    in->ctx = ctx;
    return in;
}

void tx_inbox_free(struct tx_inbox *in)
{
    if (!in)
        return;
    tx_news_clear(&in->batch);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

/* Grows an array of items of this size for `more`; returns it. */
static void *room(void *v, size_t size, size_t n, size_t *cap, size_t more)
{
    if (n + more <= *cap)
        return v;
    *cap = MAX_OF(2 * *cap, n + more + 64);
    return xrealloc(v, *cap * size);
}

static struct tx_news *add_locked(struct tx_inbox *in, enum tx_news_kind kind, struct tx *tx,
                                  uint64_t source)
{
    struct tx_news_batch *b = &in->batch;
    b->news = room(b->news, sizeof(*b->news), b->n, &b->cap, 1);
    struct tx_news *news = &b->news[b->n++];
    *news = (struct tx_news){ .kind = kind, .tx = tx_ref(tx), .source = source };
    return news;
}

static size_t keep_verdict(struct tx_news_batch *b, const struct verdict *v)
{
    b->verdicts =
        room(b->verdicts, sizeof(*b->verdicts), b->n_verdicts, &b->cap_verdicts, 1);
    b->verdicts[b->n_verdicts] = *v;
    return b->n_verdicts++;
}

static size_t keep_missing(struct tx_news_batch *b, const struct txid *ids, size_t n)
{
    const size_t at = b->n_missing;
    b->missing = room(b->missing, sizeof(*b->missing), at, &b->cap_missing, n);
    if (n)
        memcpy(b->missing + at, ids, n * sizeof(*ids));
    b->n_missing += n;
    return at;
}

static void add_judged_locked(struct tx_inbox *in, const struct tx_result *r)
{
    struct tx_news *news = add_locked(in, TX_NEWS_JUDGED, r->tx, r->source);
    news->outcome = r->outcome;
    news->cpu_us = r->cpu_us;
    if (r->outcome == TX_REJECTED)
        news->verdict = keep_verdict(&in->batch, &r->verdict);
    if (r->outcome == TX_MISSING_INPUTS) {
        const size_t kept = MIN_OF(r->n_missing, TX_NEWS_MISSING_MAX);
        news->missing = keep_missing(&in->batch, r->missing, kept);
        news->n_missing = r->n_missing;
    }
}

static void unlock_and_wake(struct tx_inbox *in)
{
    const bool wake = !in->told && in->batch.n > 0;
    in->told |= wake;
    pthread_mutex_unlock(&in->lock);
    if (wake)
        in->wake(in->ctx);
}

void tx_inbox_put_accepted(struct tx_inbox *in, const struct mempool_entry *entry, uint64_t source)
{
    pthread_mutex_lock(&in->lock);
    struct tx_news *news = add_locked(in, TX_NEWS_ACCEPTED, entry->tx, source);
    news->fee = entry->fee;
    news->sequence = entry->sequence;
    pthread_mutex_unlock(&in->lock);
}

void tx_inbox_put_judged(struct tx_inbox *in, const struct tx_result *results, size_t n)
{
    pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < n; i++)
        add_judged_locked(in, &results[i]);
    unlock_and_wake(in);
}

void tx_inbox_put_confirmed(struct tx_inbox *in, struct tx *tx)
{
    pthread_mutex_lock(&in->lock);
    if (in->n_confirmed < CONFIRMED_MAX) {
        add_locked(in, TX_NEWS_CONFIRMED, tx, 0);
        in->n_confirmed++;
    }
    unlock_and_wake(in);
}

bool tx_inbox_take(struct tx_inbox *in, struct tx_news_batch *out)
{
    pthread_mutex_lock(&in->lock);
    *out = in->batch;
    in->batch = (struct tx_news_batch){ .news = NULL };
    in->n_confirmed = 0;
    in->told = in->told && out->n > 0;
    pthread_mutex_unlock(&in->lock);
    return out->n > 0;
}

void tx_news_clear(struct tx_news_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        tx_unref(b->news[i].tx);
    free(b->news);
    free(b->verdicts);
    free(b->missing);
    *b = (struct tx_news_batch){ .news = NULL };
}
