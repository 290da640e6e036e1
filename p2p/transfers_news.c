/*
 * What the event log is told. A piece of news is on disk in one batch with what it tells of, under
 * a rising number, and is handed over in that order from the last one that the log has: whichever
 * of the two lost its end, nothing is missing and nothing comes twice.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "p2p/transfers_internal.h"

/* Some are kept after they were told: the log may lose its end when the machine loses power. */
enum { KEPT = 1000, PRUNED_AT_ONCE = 200, TOLD_AT_ONCE = 200 };
#define KEY_SIZE 10

static void make_key(uint8_t out[KEY_SIZE], uint64_t entry)
{
    memcpy(out, "fe", 2);
    be64_put(out + 2, entry);
}

static bool is_key(struct span key)
{
    return key.len == KEY_SIZE && memcmp(key.data, "fe", 2) == 0;
}

/* Whom it is about: who offered it last, or has been accepted. */
static const struct source *source_of(const struct incoming *in, enum transfer_news_kind kind)
{
    const struct source *found = NULL;
    for (struct list_link *l = list_first(&in->sources); l; l = list_next(&in->sources, l)) {
        const struct source *s = LIST_ITEM(l, struct source, link);
        if (kind == TRANSFER_OFFERED || (s->accepted && !s->banned))
            found = s;
    }
    return found;
}

void file_news_write(struct transfers *t, struct dchan_write *w, const struct incoming *in,
                enum transfer_news_kind kind)
{
    static const uint8_t nobody[IDENTITY_KEY_SIZE];
    const struct source *s = source_of(in, kind);
    uint8_t key[KEY_SIZE];
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, (uint8_t)kind);
    buf_put(&b, in->id, sizeof in->id);
    buf_put(&b, s ? s->key : nobody, IDENTITY_KEY_SIZE);
    buf_put_be64(&b, in->size);
    buf_put_v8(&b, buf_span(&in->name));
    make_key(key, ++t->news_last);
    dchan_write_put(w, key, sizeof key, b.data, b.len);
    buf_clear(&b);
    t->news_due = true;
}

void file_news_load(struct transfers *t, struct span key)
{
    if (!is_key(key))
        return;
    t->news_last = be64_get(key.data + 2);
    t->news_first = t->news_first ? t->news_first : t->news_last;
    t->news_due = true;
}

void file_news_begin(struct transfers *t)
{
    const uint64_t told = t->ops.told ? t->ops.told(t->ops.ctx) : UINT64_MAX;
    if (told == UINT64_MAX || told <= t->news_last) /* no log, or as it should be */
        return;
    t->news_last = told;
    t->news_first = t->news_first ? t->news_first : told;
}

static bool tell(struct transfers *t, uint64_t entry, struct span value)
{
    struct transfer_news n = { .entry = entry };
    struct reader r;
    reader_init(&r, value.data, value.len);
    n.kind = (enum transfer_news_kind)read_u8(&r);
    read_copy(&r, n.id, sizeof n.id);
    read_copy(&r, n.key, sizeof n.key);
    n.size = read_be64(&r);
    n.name = read_v8(&r, DCHAN_NAME_MAX);
    return !reader_done(&r) || t->ops.tell(t->ops.ctx, &n);
}

static void prune(struct transfers *t)
{
    uint8_t key[KEY_SIZE];
    if (MIN_OF(t->news_told, t->news_last) < t->news_first + KEPT + PRUNED_AT_ONCE)
        return;
    struct dchan_write *w = dchan_write_new(t->store);
    for (unsigned i = 0; i < PRUNED_AT_ONCE; i++) {
        make_key(key, t->news_first++);
        dchan_write_delete(w, key, sizeof key);
    }
    transfers_commit(t, w, NULL);
}

/* What has not been written yet is not seen, and told the next time. */
static uint64_t tell_from(struct transfers *t, uint64_t entry)
{
    struct kv_iter *it = kv_iter_new(dchan_store_kv(t->store));
    uint8_t key[KEY_SIZE];
    uint64_t told = entry - 1;
    make_key(key, entry);
    kv_iter_seek(it, key, sizeof key);
    for (unsigned n = 0; n < TOLD_AT_ONCE && kv_iter_valid(it) && is_key(kv_iter_key(it)); n++) {
        if (!tell(t, be64_get(kv_iter_key(it).data + 2), kv_iter_value(it)))
            break;
        told = be64_get(kv_iter_key(it).data + 2);
        kv_iter_next(it);
    }
    kv_iter_free(it);
    return told;
}

void file_news_tell(struct transfers *t)
{
    if (!t->news_due || !t->ops.tell)
        return;
    t->news_told = MAX_OF(t->news_told, t->ops.told(t->ops.ctx));
    if (t->news_told < t->news_last)
        t->news_told = tell_from(t, t->news_told + 1);
    t->news_due = t->news_told < t->news_last;
    prune(t);
}

void file_news_stored(struct transfers *t, void *ctx, enum err rc, const struct error *e)
{
    (void)ctx;
    if (rc)
        LOG_LIMITED(LOG_WARN, "files: %s", e->text);
    else
        file_news_tell(t);
}
