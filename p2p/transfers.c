#include <config.h>

#include "p2p/transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/transfers_internal.h"

#define WORKERS 3
/* Each offer may cost a write to the disk. */
#define OFFERS_BURST 500
#define OFFERS_PER_S 10

uint64_t transfers_unix(void) { return (uint64_t)clock_now_ms(); }

/* --- work beside the channel thread --- */

static struct disk_job *take_done(struct transfers *t)
{
    pthread_mutex_lock(&t->lock);
    struct disk_job *j = t->done;
    t->done = NULL;
    t->done_end = &t->done;
    pthread_mutex_unlock(&t->lock);
    return j;
}

static void on_done(struct channels *c, void *ctx)
{
    if (!c)
        return;
    for (struct disk_job *j = take_done(ctx), *next; j; j = next) {
        next = j->next;
        j->done(j);
    }
}

static void run_job(struct job *job)
{
    struct disk_job *j = (struct disk_job *)(void *)job;
    struct transfers *t = j->t;
    j->run(j);
    pthread_mutex_lock(&t->lock);
    const bool first = !t->done;
    j->next = NULL;
    *t->done_end = j;
    t->done_end = &j->next;
    pthread_mutex_unlock(&t->lock);
    if (first)
        channels_post(t->channels, on_done, t);
}

void disk_submit(struct transfers *t, struct disk_job *j, enum job_priority priority)
{
    j->t = t;
    j->job = (struct job){ .run = run_job };
    pool_submit(t->pool, priority, &j->job);
}

void meter_tick(struct meter *m)
{
    const uint64_t now = m->bytes - m->last;
    m->last = m->bytes;
    m->rate = m->rate ? (3 * m->rate + now) / 4 : now;
}

/* --- peers --- */

bool transfers_is(struct chan_peer *p, uint64_t contact_id, const uint8_t *key)
{
    const struct contact *c = chan_peer_contact(p);
    if (contact_id)
        return c && c->id == contact_id;
    return key && mem_equal_var(chan_peer_key(p), key, IDENTITY_KEY_SIZE);
}

static struct chan_peer *find_peer(struct transfers *t, uint64_t contact_id)
{
    struct contact *c = contacts_by_id(channels_contacts(t->channels), contact_id);
    return c && c->has_key ? channels_peer_of(t->channels, c) : NULL;
}

struct chan_peer *transfers_peer_of(struct transfers *t, uint64_t contact_id)
{
    struct chan_peer *p = find_peer(t, contact_id);
    return p && chan_peer_is_up(p) ? p : NULL;
}

void transfers_dial(struct transfers *t, uint64_t contact_id)
{
    struct chan_peer *p = find_peer(t, contact_id);
    if (p && !chan_peer_is_up(p))
        chan_peer_dial(p, false);
}

void transfers_dial_again(struct transfers *t, uint64_t contact_id)
{
    struct chan_peer *p = find_peer(t, contact_id);
    if (p && (!chan_peer_is_quiet(p) || t->ticks % TRANSFERS_DIAL_TICKS == 0))
        transfers_dial(t, contact_id);
}

void transfers_send_id(struct chan_peer *p, uint16_t type, const uint8_t id[32], unsigned code)
{
    struct dchan_msg m = { .type = type, .f_id = { .code = (uint16_t)code } };
    memcpy(m.f_id.file_id, id, 32);
    if (chan_peer_send(p, &m))
        log_debug(LOGC_CHANNEL, "a message about a file could not be sent; it is in the next "
                  "session");
}

/* --- the part --- */

struct file_peer *transfers_file_peer(struct transfers *t, struct chan_peer *p)
{
    void **slot = chan_peer_slot(p, t);
    struct file_peer *f = *slot;
    if (f)
        return f;
    f = xcalloc(1, sizeof *f);
    ratelimit_init(&f->offers, OFFERS_PER_S * 1000, OFFERS_BURST, OFFERS_BURST,
                   (int64_t)channels_now(t->channels));
    *slot = f;
    return f;
}


static const struct dchan_handler handlers[4];

static struct transfers *transfers_of(struct chan_peer *p)
{
    return channels_part(chan_peer_channels(p), handlers);
}

static void take_offer(void *ctx, const struct dchan_msg *m)
{
    struct chan_peer *p = ctx;
    struct transfers *t = transfers_of(p);
    if (ratelimit_take(&transfers_file_peer(t, p)->offers, 1, (int64_t)channels_now(t->channels)))
        incoming_offered(t, p, &m->f_offer);
}

static void take_accept(void *ctx, const struct dchan_msg *m)
{
    struct transfers *t = transfers_of(ctx);
    offers_accepted(t, ctx, m->f_id.file_id);
}

static void take_cancel(void *ctx, const struct dchan_msg *m)
{
    struct transfers *t = transfers_of(ctx);
    if (!offers_cancelled(t, ctx, m->f_id.file_id, m->f_id.code))
        incoming_cancelled(t, ctx, m->f_id.file_id, m->f_id.code);
}

static void take_done_msg(void *ctx, const struct dchan_msg *m)
{
    struct transfers *t = transfers_of(ctx);
    offers_done(t, ctx, m->f_id.file_id);
}

static const struct dchan_handler handlers[4] = {
    { DCHAN_F_OFFER, DCHAN_F_OFFER, take_offer },
    { DCHAN_F_ACCEPT, DCHAN_F_ACCEPT, take_accept },
    { DCHAN_F_CANCEL, DCHAN_F_CANCEL, take_cancel },
    { DCHAN_F_DONE, DCHAN_F_DONE, take_done_msg },
};

static void on_up(void *part, struct chan_peer *p)
{
    if (!chan_peer_has(p, DCHAN_FILES) || !chan_peer_has(p, DCHAN_STREAMS))
        return;
    incoming_up(part, p);
    offers_up(part, p);
}

static void on_down(void *part, struct chan_peer *p, const struct dchan_closing *closing)
{
    (void)closing;
    void **slot = chan_peer_slot(p, part);
    incoming_down(part, p);
    free(*slot);
    *slot = NULL;
}

static bool on_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                    const struct dchan_s_open *m)
{
    static const char name[] = FILE_SERVICE;
    if (m->service.len != sizeof name - 1 || memcmp(m->service.data, name, m->service.len) != 0)
        return false;
    serve_open(part, p, mux, m->sid);
    return true;
}

static void on_tick(void *part, uint64_t now_ms)
{
    struct transfers *t = part;
    if (t->ticks == 0) { /* a contact and what belongs to it are not removed in one write */
        offers_contact_gone(t);
        incoming_contact_gone(t);
    }
    offers_tick(t);
    serve_tick(t, now_ms);
    incoming_tick(t, now_ms);
    file_news_tell(t);
    t->ticks++;
}

static void on_contact_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    (void)key; /* which ones have gone is seen by their numbers */
    offers_contact_gone(part);
    incoming_contact_gone(part);
}

/* --- life --- */

enum err transfers_new(struct transfers **out, struct channels *channels,
                       const struct transfers_config *config, const struct transfers_ops *ops,
                       struct error *e)
{
    enum err rc = path_make_dirs(config->directory, e);
    if (rc)
        return rc;
    struct transfers *t = xcalloc(1, sizeof *t);
    t->channels = channels;
    t->store = channels_store(channels);
    t->config = *config;
    t->directory = xstrdup(config->directory);
    t->config.directory = t->directory;
    if (!t->config.expire_ms)
        t->config.expire_ms = TRANSFERS_EXPIRE_MS;
    if (!t->config.bad_chunks)
        t->config.bad_chunks = TRANSFERS_BAD_CHUNKS;
    if (!t->config.idle_ms)
        t->config.idle_ms = TRANSFERS_STREAM_IDLE_MS;
    if (!t->config.sync_bytes)
        t->config.sync_bytes = TRANSFERS_SYNC_BYTES;
    if (!t->config.sync_ms)
        t->config.sync_ms = TRANSFERS_SYNC_MS;
    if (!t->config.streams)
        t->config.streams = TRANSFERS_STREAMS_MAX;
    t->ops = *ops;
    t->done_end = &t->done;
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->outgoing);
    list_init(&t->incoming);
    list_init(&t->gone);
    list_init(&t->serves);
    t->pool = pool_new(WORKERS, "files");
    rc = transfers_load(t, e);
    file_news_begin(t);
    if (rc) {
        transfers_free(t);
        return rc;
    }
    channels_add_part(channels, &(struct channel_part){
        .handlers = handlers, .n_handlers = COUNT_OF(handlers),
        .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_FILES |
                                 1u << DCHAN_MULTI_SOURCE },
        .up = on_up, .down = on_down, .open = on_open, .tick = on_tick,
        .contact_gone = on_contact_gone, .ctx = t });
    *out = t;
    return OK;
}

void transfers_stop(struct transfers *t)
{
    if (!t)
        return;
    pool_free(t->pool);
    t->pool = NULL;
}

void transfers_free(struct transfers *t)
{
    if (!t)
        return;
    transfers_stop(t);
    for (struct disk_job *j = take_done(t), *next; j; j = next) {
        next = j->next;
        j->drop(j);
    }
    serve_free_all(t);
    while (t->outgoing.n)
        outgoing_free(t, LIST_ITEM(list_first(&t->outgoing), struct outgoing, link));
    while (t->incoming.n)
        incoming_free(LIST_ITEM(list_first(&t->incoming), struct incoming, link));
    while (t->gone.n)
        incoming_free(LIST_ITEM(list_first(&t->gone), struct incoming, link));
    pthread_mutex_destroy(&t->lock);
    free(t->directory);
    free(t);
}
