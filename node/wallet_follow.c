#include "node/wallet_follow_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

#define NOTES_MAX 200000
#define NOTES_BYTES ((size_t)64 << 20)
#define RETRY_MS 10000    /* of wallets that stand still */
#define LOOK_MS 60000     /* without any news */
#define SETTLE_MS 3000      /* without a step */
#define SETTLE_MOST_MS 60000
#define SETTLE_BLOCKS 1000 /* nobody waits for a wallet that has more to go */

/* --- troubles ------------------------------------------------------------------------------- */

void follow_set_why(struct wallet_follow *f, struct followed *d, const char *fmt, ...)
{
    char why[FOLLOW_WHY_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    if (strcmp(why, d->why) == 0)
        return;
    if (*why)
        log_error("wallet \"%s\": %s", wallet_name(d->w), why);
    pthread_mutex_lock(&f->lock);
    memcpy(d->why, why, sizeof why);
    pthread_mutex_unlock(&f->lock);
}

void follow_wallet_failed(struct wallet_follow *f, struct followed *d, const struct error *e)
{
    struct error ignored = { .code = OK };
    if (e->code == ERR_NOMEM) {
        follow_set_why(f, d, "%s", e->text);
        return;
    }
    log_error("wallet \"%s\" is unloaded: %s", wallet_name(d->w), e->text);
    d->dropped = true;
    if (wallets_unload(f->all, wallet_name(d->w), &ignored))
        log_debug(LOGC_WALLET, "%s", ignored.text); /* somebody else was first */
}

bool wallet_follow_trouble(void *ctx, const char *name, char *text, size_t room)
{
    struct wallet_follow *f = ctx;
    bool found = false;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n && !found; i++)
        if (strcmp(wallet_name(f->list[i].w), name) == 0 && *f->list[i].why) {
            snprintf(text, room, "%s", f->list[i].why);
            found = true;
        }
    pthread_mutex_unlock(&f->lock);
    return found;
}

bool wallet_follow_progress(void *ctx, const char *name, double *done, int64_t *took_s,
                            int64_t *eta_s)
{
    struct wallet_follow *f = ctx;
    struct follow_run run = { .on = false };
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(wallet_name(f->list[i].w), name) == 0)
            run = f->list[i].run;
    pthread_mutex_unlock(&f->lock);
    if (!run.on)
        return false;
    const struct follow_pace p = follow_pace(f->chain, &run);
    *done = p.done;
    *took_s = p.took_s;
    *eta_s = p.eta_s;
    return true;
}

/* --- the list ------------------------------------------------------------------------------- */

static struct followed *find(struct wallet_follow *f, const struct wallet *w)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].w == w && !f->list[i].dropped)
            return &f->list[i];
    return NULL;
}

/* The references of wallets that are gone are given up without the lock: the last one closes. */
static void update_list(struct wallet_follow *f)
{
    struct wallet **all;
    const size_t n = wallets_all(f->all, &all);
    struct followed *list = xcalloc(n + 1, sizeof *list), *old = f->list;
    const size_t n_old = f->n;
    for (size_t i = 0; i < n; i++) {
        const struct followed *before = find(f, all[i]);
        list[i] = before ? *before : (struct followed){ .log_ms = clock_mono_ms() };
        list[i].w = all[i];
    }
    pthread_mutex_lock(&f->lock);
    f->list = list;
    f->n = n;
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < n_old; i++)
        wallet_unref(old[i].w);
    free(old);
    free(all);
    atomic_store(&f->wanted, n > 0);
}

/* --- the thread ----------------------------------------------------------------------------- */

/* The memory it takes. */
static uint64_t look_after(struct wallet *w)
{
    wallet_lock(w);
    (void)keystore_state(wallet_keystore(w), NULL); /* wipes the master key when its time is up */
    const uint64_t bytes = history_bytes(wallet_history(w)) + scripts_bytes(wallet_scripts(w));
    wallet_unlock(w);
    return bytes;
}

static enum follow_step one_round(struct wallet_follow *f)
{
    enum follow_step worst = FOLLOW_AT_TIP;
    update_list(f);
    struct follow_note *notes = follow_take_notes(f);
    const bool lost = atomic_exchange(&f->lost, false);
    int32_t behind = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->n && !cancelled(&f->cancel); i++) {
        struct followed *d = &f->list[i];
        if (d->dropped)
            continue;
        const enum follow_step step = follow_blocks(f, d);
        if (step != FOLLOW_AT_TIP || lost)
            d->pool_known = false;
        if (step == FOLLOW_AT_TIP)
            follow_pool(f, d, notes);
        bytes += look_after(d->w);
        worst = step == FOLLOW_ON || worst == FOLLOW_AT_TIP ? step : worst;
        if (step == FOLLOW_ON) /* nobody waits for one that stands still either */
            behind = MAX_OF(behind, d->behind);
    }
    follow_free_notes(notes);
    atomic_store(&f->bytes, bytes);
    pthread_mutex_lock(&f->lock);
    f->behind = behind;
    pthread_mutex_unlock(&f->lock);
    return worst;
}

/* With the lock. */
static void wait_for_work(struct wallet_follow *f, enum follow_step last)
{
    const struct timespec until = clock_deadline(last == FOLLOW_STUCK ? RETRY_MS : LOOK_MS);
    int rc = 0;
    while (!f->woken && !cancelled(&f->cancel) && last != FOLLOW_ON && rc == 0)
        rc = pthread_cond_timedwait(&f->cond, &f->lock, &until);
    f->woken = false;
}

static void *follow_main(void *arg)
{
    struct wallet_follow *f = arg;
    enum follow_step last = FOLLOW_ON;
    pthread_mutex_lock(&f->lock);
    while (!cancelled(&f->cancel)) {
        const uint64_t told = f->told;
        f->rounds_begun++;
        pthread_mutex_unlock(&f->lock);
        last = one_round(f);
        pthread_mutex_lock(&f->lock);
        f->rounds_ended = f->rounds_begun;
        if (last != FOLLOW_ON)
            f->done = told;
        pthread_cond_broadcast(&f->cond);
        wait_for_work(f, last);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* With the lock. */
static void wake_locked(struct wallet_follow *f)
{
    f->told++;
    if (f->woken) /* once is enough: the chain thread calls this for each transaction */
        return;
    f->woken = true;
    pthread_cond_broadcast(&f->cond);
}

static void wake(struct wallet_follow *f)
{
    pthread_mutex_lock(&f->lock);
    wake_locked(f);
    pthread_mutex_unlock(&f->lock);
}

void wallet_follow_wake(void *ctx) { wake(ctx); }

void wallet_follow_blocks(struct wallet_follow *f)
{
    if (atomic_load(&f->wanted))
        wake(f);
}

/* --- who waits ------------------------------------------------------------------------------ */

void wallet_follow_settle(void *ctx)
{
    struct wallet_follow *f = ctx;
    const int64_t end = clock_mono_ms() + SETTLE_MOST_MS;
    struct timespec until = clock_deadline(SETTLE_MS);
    uint64_t steps = atomic_load(&f->steps);
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    const uint64_t told = f->told;
    while (f->done < told && f->behind <= SETTLE_BLOCKS && !cancelled(&f->cancel) && rc == 0) {
        rc = pthread_cond_timedwait(&f->cond, &f->lock, &until);
        const uint64_t now = atomic_load(&f->steps);
        if (rc && now != steps && clock_mono_ms() < end) { /* slow, and it gets on */
            until = clock_deadline(SETTLE_MS);
            steps = now;
            rc = 0;
        }
    }
    pthread_mutex_unlock(&f->lock);
}

void wallet_follow_let_go(void *ctx)
{
    struct wallet_follow *f = ctx;
    pthread_mutex_lock(&f->lock);
    wake_locked(f);
    const uint64_t round = f->rounds_begun + 1;
    while (f->rounds_ended < round && !cancelled(&f->cancel))
        pthread_cond_wait(&f->cond, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

uint64_t wallet_follow_memory(void *ctx)
{
    struct wallet_follow *f = ctx;
    return atomic_load(&f->bytes) + queue_bytes(f->notes);
}

/* --- life ----------------------------------------------------------------------------------- */

struct wallet_follow *wallet_follow_new(void)
{
    struct wallet_follow *f = xcalloc(1, sizeof *f);
    cancel_init(&f->cancel);
    pthread_mutex_init(&f->lock, NULL);
    clock_cond_init(&f->cond);
    f->notes = queue_new(NOTES_MAX, NOTES_BYTES, NULL, NULL);
    f->list = xcalloc(1, sizeof *f->list);
    return f;
}

enum err wallet_follow_start(struct wallet_follow *f, struct chain *c, struct wallets *all,
                             struct error *e)
{
    f->chain = c;
    f->all = all;
    int rc = pthread_create(&f->thread, NULL, follow_main, f);
    if (rc)
        return error_set_errno(e, rc, "wallet: thread");
    f->started = true;
    return OK;
}

void wallet_follow_cancel(struct wallet_follow *f)
{
    pthread_mutex_lock(&f->lock);
    cancel_set(&f->cancel);
    pthread_cond_broadcast(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

void wallet_follow_stop(struct wallet_follow *f)
{
    wallet_follow_cancel(f);
    if (f->started)
        pthread_join(f->thread, NULL);
    f->started = false;
    for (size_t i = 0; i < f->n; i++)
        wallet_unref(f->list[i].w);
    f->n = 0;
}

void wallet_follow_free(struct wallet_follow *f)
{
    if (!f)
        return;
    follow_free_notes(follow_take_notes(f));
    queue_free(f->notes);
    free(f->list);
    pthread_cond_destroy(&f->cond);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
