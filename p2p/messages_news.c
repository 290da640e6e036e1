/*
 * What the event log is told. Every entry is on disk with what it tells of; from there it is handed
 * over in the order of its numbers, beginning above the last that the log has. So it makes no
 * difference whether the log was full, or one of the two lost its end.
 */
#include "p2p/messages_internal.h"

#include <string.h>

#include "base/intmath.h"

enum { PUMP_AT_ONCE = 256, PRUNE_AT_ONCE = 256 };

void news_write(struct dchan_write *w, uint64_t entry, const struct message_entry *x)
{
    const struct message_key key = message_key_number(TABLE_ENTRY, entry);
    struct buf b;
    buf_init(&b);
    message_entry_write(&b, x);
    write_put(w, &key, &b);
    buf_clear(&b);
}

static bool tell(struct messages *m, uint64_t entry, const struct message_entry *x)
{
    struct message_news news = { .kind = (enum message_news_kind)x->kind, .entry = entry,
                                 .number = x->number };
    if (news.kind == MESSAGE_FAILED)
        news.reason = message_state_name(x->state);
    memcpy(news.id, x->id, sizeof news.id);
    memcpy(news.key, x->key, sizeof news.key);
    return m->ops.tell(m->ops.ctx, &news);
}

void news_begin(struct messages *m)
{
    const uint64_t told = m->ops.told(m->ops.ctx);
    if (told != UINT64_MAX) /* there is a log */
        m->last_number = MAX_OF(m->last_number, told);
}

void news_pump(struct messages *m)
{
    if (!m->news_due)
        return;
    m->news_told = MAX_OF(m->news_told, m->ops.told(m->ops.ctx));
    if (m->news_told == UINT64_MAX)
        return;
    const struct message_key from = message_key_number(TABLE_ENTRY, m->news_told + 1);
    struct kv_iter *it = kv_iter_new(m->kv);
    struct message_entry x;
    uint64_t entry;
    size_t n = 0;
    for (kv_iter_seek(it, from.b, from.len);
         kv_iter_valid(it) && message_key_has_number(kv_iter_key(it), TABLE_ENTRY, &entry);
         kv_iter_next(it)) {
        const bool is_entry = message_entry_read(&x, kv_iter_value(it));
        if (n++ == PUMP_AT_ONCE || (is_entry && !tell(m, entry, &x)))
            break;
        m->news_told = entry;
    }
    m->news_due = kv_iter_valid(it) &&
                  message_key_has_number(kv_iter_key(it), TABLE_ENTRY, &entry);
    kv_iter_free(it);
}

static void prune_done(void *ctx, enum err rc, const struct error *e)
{
    struct messages *m = ctx;
    m->writes--;
    note_write(m, rc, e);
}

/* Some are kept after they were told: the log may lose its end when the machine loses power. */
void news_prune(struct messages *m)
{
    const uint64_t told = MIN_OF(m->news_told, m->last_number);
    if (m->disk_error.code || told < m->news_pruned + MESSAGE_ENTRIES_KEPT + PRUNE_AT_ONCE)
        return;
    const struct message_key from = message_key_number(TABLE_ENTRY, m->news_pruned);
    struct dchan_write *w = dchan_write_new(m->store);
    struct kv_iter *it = kv_iter_new(m->kv);
    uint64_t entry, reached = told - MESSAGE_ENTRIES_KEPT;
    size_t n = 0;
    for (kv_iter_seek(it, from.b, from.len);
         kv_iter_valid(it) && message_key_has_number(kv_iter_key(it), TABLE_ENTRY, &entry) &&
         entry + MESSAGE_ENTRIES_KEPT <= told;
         kv_iter_next(it)) {
        if (n++ == PRUNE_AT_ONCE) {
            reached = entry;
            break;
        }
        dchan_write_delete(w, kv_iter_key(it).data, kv_iter_key(it).len);
    }
    kv_iter_free(it);
    m->news_pruned = reached;
    m->writes++;
    dchan_store_commit(m->store, w, prune_done, m);
}
