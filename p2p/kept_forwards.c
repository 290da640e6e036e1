#include "p2p/kept_forwards.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define KEY_PREFIX 'w'
#define KEY_SIZE 3
#define VERSION 1
enum { FLAG_DGRAMS = 1 };

struct kept_forwards {
    struct channels *channels;
    struct forwards *forwards;
    struct list all;
};

static struct kept_forward *first_of(const struct kept_forwards *k)
{
    struct list_link *link = list_first(&k->all);
    return link ? LIST_ITEM(link, struct kept_forward, link) : NULL;
}

static struct kept_forward *after(const struct kept_forward *f)
{
    struct list_link *link = list_next(&f->owner->all, &f->link);
    return link ? LIST_ITEM(link, struct kept_forward, link) : NULL;
}

static struct kept_forward *find(const struct kept_forwards *k, uint16_t port)
{
    struct kept_forward *f = first_of(k);
    while (f && f->port != port)
        f = after(f);
    return f;
}

static struct kept_forward *add(struct kept_forwards *k, const struct kept_forward *from)
{
    struct kept_forward *f = xmalloc(sizeof *f);
    *f = *from;
    f->owner = k;
    list_append(&k->all, &f->link);
    return f;
}

static void drop(struct kept_forward *f)
{
    list_remove(&f->owner->all, &f->link);
    free(f);
}

/* --- rows --- */

static void make_key(uint8_t key[KEY_SIZE], uint16_t port)
{
    key[0] = KEY_PREFIX;
    be16_put(key + 1, port);
}

static void put_row(struct dchan_write *w, const struct kept_forward *f)
{
    uint8_t key[KEY_SIZE];
    struct buf b;
    make_key(key, f->port);
    buf_init(&b);
    buf_put_u8(&b, VERSION);
    buf_put_be64(&b, f->contact);
    buf_put_u8(&b, f->dgrams ? FLAG_DGRAMS : 0);
    buf_put_u8(&b, f->priority);
    buf_put_v8(&b, span_of(f->service, strlen(f->service)));
    dchan_write_put(w, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

static enum err read_row(struct kept_forward *f, struct span key, struct span value,
                         struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    if (read_u8(&r) > VERSION)
        return error_set(e, ERR_RANGE, "a forward was written by a newer version");
    f->contact = read_be64(&r);
    f->dgrams = read_u8(&r) & FLAG_DGRAMS;
    f->priority = read_u8(&r);
    const struct span name = read_v8(&r, DCHAN_SERVICE_MAX);
    if (!reader_done(&r) || key.len != KEY_SIZE || !dchan_service_name_ok(name))
        return error_set(e, ERR_CORRUPT, "a stored forward is damaged");
    memcpy(f->service, name.data, name.len);
    f->port = be16_get(key.data + 1);
    return OK;
}

static void erase(struct kept_forwards *k, uint16_t port, dchan_store_fn done, void *ctx)
{
    struct dchan_write *w = dchan_write_new(channels_store(k->channels));
    uint8_t key[KEY_SIZE];
    make_key(key, port);
    dchan_write_delete(w, key, sizeof key);
    dchan_store_commit(channels_store(k->channels), w, done, ctx);
}

/* --- setting up --- */

/* One whose contact has gone is never asked for again. */
static void set_up(struct kept_forward *f)
{
    struct channels *c = f->owner->channels;
    const struct contact *contact = contacts_by_id(channels_contacts(c), f->contact);
    const struct forward_wish wish = { .contact = contact, .service = f->service,
                                       .port = f->port, .dgrams = f->dgrams,
                                       .priority = f->priority };
    const struct forward *out;
    struct error e;
    f->tried_ms = channels_now(c);
    f->listens = contact && forwards_add(f->owner->forwards, &wish, &out, &e) == OK;
    if (f->listens || !contact)
        return;
    if (!f->trouble[0])
        log_warn("forward of %s to port %u: %s; it is tried again", f->service,
                 (unsigned)f->port, e.text);
    (void)snprintf(f->trouble, sizeof f->trouble, "%s", e.text);
}

/* --- changes --- */

struct keeping {
    struct kept_forwards *k;
    uint16_t port;
    dchan_store_fn done;
    void *ctx;
};

static void on_kept(void *ctx, enum err rc, const struct error *e)
{
    struct keeping *keeping = ctx;
    struct kept_forward *f = find(keeping->k, keeping->port);
    struct error why;
    if (rc && f) { /* it may be there all the same: it is known, and not set up again by this run */
        if (forwards_remove(keeping->k->forwards, keeping->port, &why))
            log_warn("forward to port %u: %s", (unsigned)keeping->port, why.text);
        drop(f);
    }
    keeping->done(keeping->ctx, rc, e);
    free(keeping);
}

enum err kept_forwards_add(struct kept_forwards *k, const struct forward_wish *w,
                           dchan_store_fn done, void *ctx, uint16_t *port, struct error *e)
{
    const struct forward *out;
    if (w->port && find(k, w->port))
        return error_set(e, ERR_EXISTS, "port %u is a forward already", (unsigned)w->port);
    const enum err rc = forwards_add(k->forwards, w, &out, e);
    if (rc)
        return rc;
    struct kept_forward fresh = { .contact = out->contact, .port = out->port,
                                  .dgrams = out->dgrams, .priority = out->priority,
                                  .listens = true };
    memcpy(fresh.service, out->service, sizeof fresh.service);
    struct keeping *keeping = xmalloc(sizeof *keeping);
    *keeping = (struct keeping){ k, out->port, done, ctx };
    struct dchan_write *write = dchan_write_new(channels_store(k->channels));
    put_row(write, add(k, &fresh));
    *port = out->port;
    dchan_store_commit(channels_store(k->channels), write, on_kept, keeping);
    return OK;
}

enum err kept_forwards_remove(struct kept_forwards *k, uint16_t port, dchan_store_fn done,
                              void *ctx, struct error *e)
{
    struct kept_forward *f = find(k, port);
    const enum err rc = f && !f->listens ? OK : forwards_remove(k->forwards, port, e);
    if (rc)
        return rc;
    if (f)
        drop(f);
    erase(k, port, done, ctx);
    return OK;
}

void kept_forwards_each_waiting(const struct kept_forwards *k,
                                void (*fn)(const struct kept_forward *f, void *ctx), void *ctx)
{
    for (const struct kept_forward *f = first_of(k); f; f = after(f))
        if (!f->listens)
            fn(f, ctx);
}

/* --- the part --- */

static void on_tick(void *ctx, uint64_t now_ms)
{
    struct kept_forwards *k = ctx;
    for (struct kept_forward *f = first_of(k); f; f = after(f))
        if (!f->listens && now_ms - f->tried_ms >= KEPT_FORWARDS_RETRY_MS)
            set_up(f);
}

/* forwards.c takes those away that listen. */
static void on_contact_gone(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct kept_forwards *k = ctx;
    (void)key;
    for (struct kept_forward *f = first_of(k), *next; f; f = next) {
        next = after(f);
        if (contacts_by_id(channels_contacts(k->channels), f->contact))
            continue;
        erase(k, f->port, NULL, NULL);
        drop(f);
    }
}

/* --- life --- */

static enum err load(struct kept_forwards *k, struct error *e)
{
    const uint8_t prefix = KEY_PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(k->channels)));
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        struct kept_forward f = { .port = 0 };
        if (key.data[0] != prefix)
            break;
        rc = read_row(&f, key, kv_iter_value(it), e);
        if (!rc)
            (void)add(k, &f);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

enum err kept_forwards_new(struct kept_forwards **out, struct local_streams *streams,
                           struct forwards *forwards, struct error *e)
{
    struct kept_forwards *k = xcalloc(1, sizeof *k);
    k->channels = streams->channels;
    k->forwards = forwards;
    list_init(&k->all);
    const enum err rc = load(k, e);
    if (rc) {
        kept_forwards_free(k);
        return rc;
    }
    on_contact_gone(k, NULL); /* one that was removed while the row could not be */
    for (struct kept_forward *f = first_of(k); f; f = after(f))
        set_up(f);
    channels_add_part(k->channels, &(struct channel_part){
        .tick = on_tick, .contact_gone = on_contact_gone, .ctx = k });
    *out = k;
    return OK;
}

void kept_forwards_free(struct kept_forwards *k)
{
    if (!k)
        return;
    while (first_of(k))
        drop(first_of(k));
    free(k);
}
