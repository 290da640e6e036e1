/*
 * What becomes of files that others offer (transfers_offered.c). A file has one state and one copy;
 * who may bring it is decided for each peer. What was refused or cancelled while the peer was away
 * stays until it hears of it.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define PAUSE_MS 60000
#define QUEUED_MS 5000 /* for those who waited before it */

/* --- life --- */

struct incoming *incoming_find(struct transfers *t, const uint8_t id[32])
{
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l)) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        if (memcmp(in->id, id, 32) == 0)
            return in;
    }
    return NULL;
}

struct incoming *incoming_new(struct transfers *t, const uint8_t id[32], uint64_t size)
{
    struct incoming *in = xcalloc(1, sizeof *in);
    in->t = t;
    memcpy(in->id, id, 32);
    in->size = size;
    in->n = dchan_chunk_count(size);
    in->chunk_log2 = dchan_chunk_log2(size);
    in->created_ms = in->changed_ms = transfers_unix();
    in->file.fd = -1;
    buf_init(&in->name);
    buf_init(&in->content_type);
    buf_init(&in->note);
    list_init(&in->sources);
    list_init(&in->fetches);
    list_append(&t->incoming, &in->link);
    return in;
}

struct source *source_add(struct incoming *in, uint64_t contact_id, const uint8_t *key)
{
    struct source *s = xcalloc(1, sizeof *s);
    s->contact_id = contact_id;
    memcpy(s->key, key, IDENTITY_KEY_SIZE);
    list_append(&in->sources, &s->link);
    return s;
}

void source_remove(struct incoming *in, struct source *s)
{
    for (struct list_link *l = list_first(&in->fetches); l; l = list_next(&in->fetches, l)) {
        struct fetch *f = LIST_ITEM(l, struct fetch, link);
        if (f->source == s)
            f->source = NULL;
    }
    list_remove(&in->sources, &s->link);
    free(s);
}

static void release(struct incoming *in)
{
    file_close(&in->file);
    in->file = (struct file){ .fd = -1 };
    free(in->leaves);
    free(in->have);
    free(in->asked);
    in->leaves = in->have = in->asked = NULL;
    in->open = in->closing = in->has_leaves = false;
    in->unsynced = 0;
    in->t->running -= in->counted;
    in->counted = false;
}

void incoming_close(struct incoming *in)
{
    in->closing = true;
    fetch_reset_all(in, DCHAN_RESET_CANCELLED);
    if (in->jobs == 0)
        release(in);
}

void incoming_free(struct incoming *in)
{
    release(in);
    while (in->sources.n)
        source_remove(in, LIST_ITEM(list_first(&in->sources), struct source, link));
    while (in->fetches.n) { /* when all ends: their writes are not waited for */
        struct fetch *f = LIST_ITEM(list_first(&in->fetches), struct fetch, link);
        list_remove(&in->fetches, &f->link);
        free(f->block);
        free(f);
    }
    list_remove(in->gone ? &in->t->gone : &in->t->incoming, &in->link);
    buf_clear(&in->name);
    buf_clear(&in->content_type);
    buf_clear(&in->note);
    free(in->directory);
    free(in->saved);
    free(in);
}

void incoming_forget(struct incoming *in)
{
    in->jobs++;
    incoming_close(in);
    list_remove(&in->t->incoming, &in->link);
    list_append(&in->t->gone, &in->link);
    in->gone = true;
    (void)incoming_job_ended(in);
}

void incoming_drop(struct incoming *in)
{
    incoming_erase(in->t, in);
    disk_remove(in->t, in->id);
    incoming_forget(in);
}

bool incoming_job_ended(struct incoming *in)
{
    in->jobs--;
    if (in->jobs)
        return !in->gone;
    if (in->gone) {
        incoming_free(in);
        return false;
    }
    if (in->closing)
        release(in);
    return true;
}

void incoming_pause(struct incoming *in, const struct error *why)
{
    in->pause = why->code == ERR_NOSPACE ? TRANSFER_NO_SPACE : TRANSFER_DISK_ERROR;
    in->retry_ms = channels_now(in->t->channels) + PAUSE_MS;
    snprintf(in->error, sizeof in->error, "%s", why->text);
    LOG_LIMITED(LOG_WARN, "files: a transfer pauses: %s", why->text);
    incoming_close(in);
}

static void end_with(struct incoming *in, enum transfer_state state, unsigned code)
{
    in->state = state;
    in->code = code;
    in->good = 0;
    in->whole = false;
    in->changed_ms = transfers_unix();
    in->pause = TRANSFER_GOES_ON;
    incoming_close(in);
}

uint32_t incoming_count(const struct incoming *in, const uint8_t *bits, uint64_t *bytes)
{
    uint32_t n = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < in->n; i++) {
        if (!bit_get(bits, i))
            continue;
        n++;
        *bytes += dchan_chunk_size(in->size, i);
    }
    return n;
}

/* --- sources --- */

struct source *source_find(struct incoming *in, struct chan_peer *p)
{
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        struct source *s = LIST_ITEM(l, struct source, link);
        if (transfers_is(p, s->contact_id, s->key))
            return s;
    }
    return NULL;
}

void source_accept(struct incoming *in, struct source *s)
{
    s->accepted = true;
    if (s->peer)
        transfers_send_id(s->peer, in->state == TRANSFER_DONE ? DCHAN_F_DONE : DCHAN_F_ACCEPT,
                          in->id, 0);
    if (in->state != TRANSFER_WAITING)
        return;
    in->state = TRANSFER_RUNNING;
    in->changed_ms = transfers_unix();
}

static bool has_source(const struct incoming *in, bool accepted)
{
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        const struct source *s = LIST_ITEM(l, struct source, link);
        if (!s->untold && (s->accepted || !accepted))
            return true;
    }
    return false;
}

/* Nobody offers it any more. What the user had accepted stays in the list for a while. */
static void end_without_source(struct incoming *in, enum transfer_state why, unsigned code)
{
    if (in->state == TRANSFER_WAITING) {
        if (!in->sources.n)
            incoming_drop(in);
        return;
    }
    if (in->state != TRANSFER_RUNNING)
        return;
    end_with(in, why, code);
    incoming_store(in->t, in, NULL);
    incoming_erase_work(in->t, in);
    disk_remove(in->t, in->id);
}

void incoming_lost_source(struct incoming *in, struct source *s, enum transfer_state why,
                          unsigned code)
{
    in->jobs++;
    s->retry_ms = UINT64_MAX;
    source_erase(in->t, in, s);
    for (struct list_link *l = list_first(&in->fetches), *next; l; l = next) {
        struct fetch *f = LIST_ITEM(l, struct fetch, link);
        next = list_next(&in->fetches, l);
        if (f->source == s && f->mux)
            dchan_mux_reset(f->mux, f->sid, DCHAN_RESET_CANCELLED);
    }
    source_remove(in, s);
    if (!has_source(in, in->state == TRANSFER_RUNNING))
        end_without_source(in, why, code);
    if (incoming_job_ended(in))
        fetch_more(in);
}

/* --- sessions --- */

void incoming_up(struct transfers *t, struct chan_peer *p)
{
    for (struct list_link *l = list_first(&t->incoming), *next; l; l = next) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        struct source *s = source_find(in, p);
        next = list_next(&t->incoming, l);
        if (!s)
            continue;
        s->peer = p;
        s->retry_ms = 0;
        if (s->untold) {
            incoming_offered_again(in, s, p);
            continue;
        }
        /* Perhaps it was accepted while the peer was away, who serves nothing before it knows:
         * its offer, which is answered with the same, may come after our request. */
        if (s->accepted && in->state == TRANSFER_RUNNING)
            transfers_send_id(p, DCHAN_F_ACCEPT, in->id, 0);
        fetch_more(in);
    }
}

void incoming_down(struct transfers *t, struct chan_peer *p)
{
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l)) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        for (struct list_link *k = list_first(&in->sources); k; k = list_next(&in->sources, k)) {
            struct source *s = LIST_ITEM(k, struct source, link);
            if (s->peer == p)
                s->peer = NULL;
        }
        if (in->unsynced)
            disk_sync(in);
        if (in->max && in->state == TRANSFER_RUNNING)
            incoming_store(t, in, NULL); /* what was spent */
        fetch_more(in); /* from others, or it says that nobody is there */
    }
}

void incoming_contact_gone(struct transfers *t)
{
    for (struct list_link *l = list_first(&t->incoming), *next; l; l = next) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        next = list_next(&t->incoming, l);
        in->jobs++;
        for (struct list_link *k = list_first(&in->sources), *after; k && !in->gone; k = after) {
            struct source *s = LIST_ITEM(k, struct source, link);
            after = list_next(&in->sources, k);
            if (s->contact_id && !contacts_by_id(channels_contacts(t->channels), s->contact_id))
                incoming_lost_source(in, s, TRANSFER_CANCELLED, CANCEL_USER);
        }
        (void)incoming_job_ended(in);
    }
}

/* --- what the user does --- */

void incoming_accept(struct incoming *in, const char *directory, uint64_t max,
                     struct channels_request *r)
{
    in->max = MAX_OF(in->max, max);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        struct source *s = LIST_ITEM(l, struct source, link);
        if (!s->accepted && !s->untold && purchase_is_affordable(in, s))
            source_accept(in, s);
    }
    if (directory) {
        free(in->directory);
        in->directory = xstrdup(directory);
    }
    incoming_store(in->t, in, transfers_answer_when_stored(in->t, r));
    in->retry_ms = 0;
    fetch_more(in);
}

void incoming_cancel(struct incoming *in)
{
    const unsigned code = in->state == TRANSFER_WAITING ? CANCEL_REFUSED : CANCEL_USER;
    const bool live = in->state == TRANSFER_WAITING || in->state == TRANSFER_RUNNING;
    for (struct list_link *l = list_first(&in->sources), *next; l; l = next) {
        struct source *s = LIST_ITEM(l, struct source, link);
        next = list_next(&in->sources, l);
        if (!live || s->untold)
            continue;
        if (s->peer) {
            transfers_send_id(s->peer, DCHAN_F_CANCEL, in->id, code);
            source_erase(in->t, in, s);
            source_remove(in, s);
        } else {
            s->untold = true;
        }
    }
    if (!live || !in->sources.n) {
        incoming_drop(in);
        return;
    }
    end_with(in, TRANSFER_CANCELLED, code);
    incoming_store(in->t, in, NULL);
    incoming_erase_work(in->t, in);
    disk_remove(in->t, in->id);
}

/* --- it is there --- */

static void save_if_due(struct incoming *in)
{
    if (in->save_due && !in->finishing)
        disk_save(in, in->directory, NULL);
}

static void told_done(struct transfers *t, void *ctx, enum err rc, const struct error *e)
{
    struct incoming *in = incoming_find(t, ctx);
    free(ctx);
    file_news_stored(t, NULL, rc, e);
    if (rc || !in || in->state != TRANSFER_DONE)
        return;
    save_if_due(in);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        struct source *s = LIST_ITEM(l, struct source, link);
        if (s->accepted && s->peer)
            transfers_send_id(s->peer, DCHAN_F_DONE, in->id, 0);
    }
}

void incoming_is_there(struct incoming *in)
{
    uint8_t *id = xmalloc(32);
    struct kept *kept = kept_new(in->t, told_done, id);
    memcpy(id, in->id, 32);
    end_with(in, TRANSFER_DONE, 0);
    in->save_due = in->directory && !in->saved;
    if (in->save_due) /* news of it are for when it lies where it was wanted */
        incoming_store(in->t, in, kept);
    else
        incoming_store_news(in->t, in, TRANSFER_RECEIVED, kept);
    incoming_erase_work(in->t, in);
}

struct saving {
    uint8_t id[32];
    struct channels_request *request; /* NULL: nobody waits */
    bool saved;
};

/* What lies under the id leaves when the store knows where else it is. */
static void saving_stored(struct transfers *t, void *ctx, enum err rc, const struct error *e)
{
    struct saving *s = ctx;
    file_news_stored(t, NULL, rc, e);
    if (!rc && s->saved)
        disk_remove(t, s->id);
    if (s->request && channels_is_waiting(t->channels, s->request))
        channels_answer(t->channels, s->request, rc, e);
    free(s);
}

/* One that could not be saved lies under its id, as is told now: a later start leaves it there. */
void incoming_saved(struct incoming *in, struct channels_request *request)
{
    struct saving *s = xcalloc(1, sizeof *s);
    struct kept *kept = kept_new(in->t, saving_stored, s);
    if (!in->saved) {
        free(in->directory);
        in->directory = NULL;
    }
    *s = (struct saving){ .request = request, .saved = in->saved != NULL };
    memcpy(s->id, in->id, sizeof s->id);
    if (in->save_due)
        incoming_store_news(in->t, in, TRANSFER_RECEIVED, kept);
    else
        incoming_store(in->t, in, kept);
    in->save_due = false;
}

/* --- time --- */

static bool has_expired(const struct incoming *in, uint64_t now)
{
    return in->state != TRANSFER_RUNNING && now > in->changed_ms &&
           now - in->changed_ms > in->t->config.expire_ms;
}

/* Rows of what is over go; a received file that was not saved stays where it is. */
static void expire(struct incoming *in)
{
    if (in->state == TRANSFER_DONE) {
        incoming_erase(in->t, in);
        incoming_forget(in);
    } else {
        incoming_drop(in);
    }
}

/* It has a place of those that run, and nobody to run with. */
static bool is_idle(const struct incoming *in)
{
    return in->open && in->pause == TRANSFER_NO_SOURCE && in->jobs == 0 && in->unsynced == 0;
}

static void dial_sources(struct incoming *in)
{
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        const struct source *s = LIST_ITEM(l, struct source, link);
        if (s->contact_id && (s->accepted || s->untold) && !s->banned)
            transfers_dial_again(in->t, s->contact_id);
    }
}

static void look_how_fast(struct incoming *in, uint64_t now_ms)
{
    if (now_ms - in->looked_ms < TRANSFERS_SLOW_MS)
        return;
    in->slow = in->brought - in->had_brought < TRANSFERS_SLOW_BYTES;
    in->had_brought = in->brought;
    in->looked_ms = now_ms;
}

static bool may_be_pushed_out(const struct incoming *in, uint64_t now_ms)
{
    return in->state == TRANSFER_RUNNING && in->open && !in->closing && !in->finishing &&
           (in->slow || now_ms - in->opened_ms >= TRANSFERS_TURN_MS);
}

/* Places are few: a source that brings little, or very much, must not keep all of them from others.
 * The one that has had its place longest is behind them then; what it has got stays. */
static void give_place(struct transfers *t, uint64_t now_ms)
{
    struct incoming *victim = NULL;
    bool wanted = false;
    for (struct list_link *l = list_first(&t->incoming); l; l = list_next(&t->incoming, l)) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        wanted |= in->state == TRANSFER_RUNNING && in->pause == TRANSFER_QUEUED && !in->counted &&
                  now_ms >= in->retry_ms;
        if (may_be_pushed_out(in, now_ms) && (!victim || in->opened_ms < victim->opened_ms))
            victim = in;
    }
    if (!wanted || !victim || t->running < TRANSFERS_RUNNING_MAX)
        return;
    victim->pause = TRANSFER_QUEUED;
    victim->retry_ms = now_ms + QUEUED_MS;
    incoming_close(victim);
}

static void tick_running(struct incoming *in, uint64_t now_ms)
{
    if (in->open)
        look_how_fast(in, now_ms);
    meter_tick(&in->got);
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l))
        meter_tick(&LIST_ITEM(l, struct source, link)->got);
    if (in->open && in->unsynced && now_ms - in->sync_ms >= in->t->config.sync_ms)
        disk_sync(in);
    fetch_tick(in, now_ms);
    purchase_tick(in, now_ms);
    if (in->whole)
        disk_open(in);
    fetch_more(in);
    if (is_idle(in))
        incoming_close(in);
    dial_sources(in);
}

void incoming_tick(struct transfers *t, uint64_t now_ms)
{
    const uint64_t now = transfers_unix();
    for (struct list_link *l = list_first(&t->incoming), *next; l; l = next) {
        struct incoming *in = LIST_ITEM(l, struct incoming, link);
        next = list_next(&t->incoming, l);
        if (in->state == TRANSFER_RUNNING)
            tick_running(in, now_ms);
        else if (in->save_due)
            save_if_due(in);
        else if (has_expired(in, now))
            expire(in);
    }
    give_place(t, now_ms);
}
