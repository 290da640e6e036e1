#include "p2p/bca_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/bca_own.h"
#include "p2p/bca_store_internal.h"

enum {
    ROW_KEY_SIZE = 33,
    RECORD_AT = 9,    /* in a row of a record: behind flags and time */
    SEQ_ROW_SIZE = 45,
    SWEEP = 2048,     /* entries that one call of bca_store_expire looks at */
    SAMPLE_TRIES = 8, /* for each record wanted */
    VICTIMS = 64,     /* of one newcomer: more when limits were lowered, with the next ones */

    FLAG_RELAY = 1,
    FLAG_REACHED = 2,
    FLAG_EQUIVOCAL = 4,
};

struct contact { uint8_t record_key[32]; };

/* --- rows --- */

static const uint8_t *row_key(uint8_t out[ROW_KEY_SIZE], uint8_t kind, const uint8_t record_key[32])
{
    out[0] = kind;
    memcpy(out + 1, record_key, 32);
    return out;
}

static uint8_t flags_of(const struct bca_facts *f)
{
    return (uint8_t)((f->relay ? FLAG_RELAY : 0) | (f->reached ? FLAG_REACHED : 0) |
                     (f->equivocal ? FLAG_EQUIVOCAL : 0));
}

static void take_flags(struct bca_facts *f, uint8_t flags)
{
    f->relay = flags & FLAG_RELAY;
    f->reached = flags & FLAG_REACHED;
    f->equivocal = flags & FLAG_EQUIVOCAL;
}

static void put_record_row(struct kv_batch *b, const struct bca_facts *f, struct span raw)
{
    uint8_t key[ROW_KEY_SIZE];
    struct buf row;
    buf_init(&row);
    buf_put_u8(&row, flags_of(f));
    buf_put_le64(&row, (uint64_t)f->accepted);
    buf_put(&row, raw.data, raw.len);
    kv_batch_put(b, row_key(key, BCA_ROW_RECORD, f->record_key), sizeof key, row.data, row.len);
    kv_batch_delete(b, row_key(key, BCA_ROW_SEQ, f->record_key), sizeof key);
    buf_clear(&row);
}

/* The record goes, its number stays. */
static void put_seq_row(struct kv_batch *b, const struct bca_facts *f)
{
    uint8_t key[ROW_KEY_SIZE], row[SEQ_ROW_SIZE];
    row[0] = flags_of(f);
    le64_put(row + 1, f->seq);
    le32_put(row + 9, f->issued);
    memcpy(row + 13, f->digest, 32);
    kv_batch_put(b, row_key(key, BCA_ROW_SEQ, f->record_key), sizeof key, row, sizeof row);
    kv_batch_delete(b, row_key(key, BCA_ROW_RECORD, f->record_key), sizeof key);
}

static void delete_rows(struct kv_batch *b, const uint8_t record_key[32])
{
    uint8_t key[ROW_KEY_SIZE];
    kv_batch_delete(b, row_key(key, BCA_ROW_RECORD, record_key), sizeof key);
    kv_batch_delete(b, row_key(key, BCA_ROW_SEQ, record_key), sizeof key);
}

/* --- time --- */

static bool has_expired(const struct bca_facts *f)
{
    return clock_now() >= (int64_t)f->expires + BCA_RECORD_CLOCK_TOLERANCE;
}

/* No record with its number or a lower one is valid any more (spec channels 1.1). */
static bool is_forgettable(const struct bca_facts *f)
{
    return clock_now() >=
           (int64_t)f->issued + BCA_RECORD_LIFETIME_MAX + BCA_RECORD_CLOCK_TOLERANCE;
}

/* --- opening --- */

static bool is_contact_item(const void *item, const void *key)
{
    return mem_equal_var(((const struct contact *)item)->record_key, key, 32);
}

static bool is_contact(const struct bca_store *s, const uint8_t record_key[32])
{
    return map_find(&s->contacts, siphash_32(&s->key, record_key), is_contact_item, record_key);
}

/* False: the row is none of ours. */
static bool load_record(struct bca_store *s, const uint8_t record_key[32], struct span row)
{
    struct bca_record r;
    struct bca_facts f;
    if (row.len < RECORD_AT)
        return false;
    const struct span raw = span_of(row.data + RECORD_AT, row.len - RECORD_AT);
    if (bca_record_read(&r, raw) != BCA_RECORD_GOOD)
        return false;
    bca_facts_of(&f, &r, raw);
    if (!mem_equal_var(f.record_key, record_key, 32))
        return false;
    take_flags(&f, row.data[0]);
    f.accepted = (int64_t)le64_get(row.data + 1);
    bca_index_put(s->index, &f, false);
    return true;
}

static bool load_seq(struct bca_store *s, const uint8_t record_key[32], struct span row)
{
    struct bca_facts f = { .size = 0 };
    if (row.len != SEQ_ROW_SIZE)
        return false;
    memcpy(f.record_key, record_key, 32);
    take_flags(&f, row.data[0]);
    f.seq = le64_get(row.data + 1);
    f.issued = le32_get(row.data + 9);
    memcpy(f.digest, row.data + 13, 32);
    bca_index_put(s->index, &f, false);
    return true;
}

static void load_row(struct bca_store *s, struct kv_batch *bad, struct span key, struct span row,
                     size_t *n_bad)
{
    if (key.len != ROW_KEY_SIZE || (key.data[0] != BCA_ROW_RECORD && key.data[0] != BCA_ROW_SEQ))
        return;
    const bool good = key.data[0] == BCA_ROW_RECORD ? load_record(s, key.data + 1, row)
                                                    : load_seq(s, key.data + 1, row);
    if (!good) {
        kv_batch_delete(bad, key.data, key.len);
        ++*n_bad;
    }
}

static enum err load(struct bca_store *s, struct error *e)
{
    struct kv_batch *bad = kv_batch_new(s->kv);
    struct kv_iter *it = kv_iter_new(s->kv);
    size_t n_bad = 0;
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it))
        load_row(s, bad, kv_iter_key(it), kv_iter_value(it), &n_bad);
    enum err rc = kv_iter_error(it, e);
    kv_iter_free(it);
    if (!rc && n_bad) {
        log_warn("records of identities: %zu could not be read and are dropped", n_bad);
        rc = kv_write(s->kv, bad, KV_NO_SYNC, e);
    }
    kv_batch_free(bad);
    return rc;
}

enum err bca_store_open(struct bca_store **out, struct kv *kv, const struct bca_limits *limits,
                        struct error *e)
{
    struct bca_store *s = xcalloc(1, sizeof *s);
    s->kv = kv;
    s->index = bca_index_new(limits);
    pthread_mutex_init(&s->making, NULL);
    pthread_mutex_init(&s->writing, NULL);
    pthread_mutex_init(&s->lock, NULL);
    rand_bytes(&s->key, sizeof s->key);
    map_init(&s->contacts);
    enum err rc = load(s, e);
    if (!rc)
        rc = bca_own_load(s, e);
    if (rc) {
        bca_store_close(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

void bca_store_close(struct bca_store *s)
{
    struct contact *c;
    if (!s)
        return;
    for (size_t pos = 0; (c = map_next(&s->contacts, &pos));)
        free(c);
    map_clear(&s->contacts);
    bca_own_clear(s);
    bca_index_free(s->index);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->writing);
    pthread_mutex_destroy(&s->making);
    kv_close(s->kv);
    free(s);
}

void bca_store_listen(struct bca_store *s, bca_news_fn fn, void *ctx)
{
    BUG_ON(s->n_listeners == BCA_STORE_LISTENERS);
    s->listeners[s->n_listeners].fn = fn;
    s->listeners[s->n_listeners++].ctx = ctx;
}

static void tell(struct bca_store *s, const struct bca_record *r, const struct bca_facts *f,
                 uint64_t source)
{
    struct bca_news news = { .seq = f->seq, .relay = f->relay && !f->equivocal, .source = source };
    memcpy(news.key, r->key, sizeof news.key);
    memcpy(news.record_key, f->record_key, sizeof news.record_key);
    for (size_t i = 0; i < s->n_listeners; i++)
        s->listeners[i].fn(s->listeners[i].ctx, &news);
}

/* --- contacts --- */

void bca_store_set_contact(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], bool contact)
{
    uint8_t record_key[32];
    bca_record_key(record_key, key);
    const uint64_t hash = siphash_32(&s->key, record_key);
    pthread_mutex_lock(&s->lock);
    struct contact *c = map_remove(&s->contacts, hash, is_contact_item, record_key);
    if (contact) {
        c = c ? c : xcalloc(1, sizeof *c);
        memcpy(c->record_key, record_key, sizeof c->record_key);
        map_put(&s->contacts, hash, c);
    } else {
        free(c);
    }
    struct bca_entry *e = bca_index_find(s->index, record_key);
    if (e)
        bca_index_set_contact(s->index, e, contact);
    pthread_mutex_unlock(&s->lock);
}

/* --- looking --- */

static bool look(struct bca_store *s, const uint8_t record_key[32], struct bca_facts *out)
{
    pthread_mutex_lock(&s->lock);
    const struct bca_entry *e = bca_index_find(s->index, record_key);
    if (e)
        *out = e->is;
    pthread_mutex_unlock(&s->lock);
    return e != NULL;
}

bool bca_store_look(struct bca_store *s, const uint8_t record_key[32], struct bca_facts *out)
{
    return look(s, record_key, out);
}

/* The record behind flags and time. */
static enum err read_row(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                         bool *found, struct error *e)
{
    uint8_t key[ROW_KEY_SIZE];
    struct buf row;
    buf_init(&row);
    const enum err rc = kv_get(s->kv, row_key(key, BCA_ROW_RECORD, record_key), sizeof key, &row,
                               found, e);
    if (!rc && *found && row.len > RECORD_AT)
        buf_put(out, row.data + RECORD_AT, row.len - RECORD_AT);
    buf_clear(&row);
    return rc;
}

bool bca_facts_public(const struct bca_facts *f)
{
    return f->size && f->relay && !f->equivocal && !has_expired(f);
}

enum audience { FOR_US, FOR_ANYBODY };

/* *same: what was read is what memory tells of. */
static enum err read_known(struct bca_store *s, const uint8_t record_key[32],
                           enum audience audience, struct buf *out, struct bca_facts *f,
                           bool *found, bool *same, struct error *e)
{
    const size_t start = out->len;
    uint8_t digest[32];
    *same = true;
    *found = look(s, record_key, f) && f->size && (audience == FOR_US || bca_facts_public(f));
    if (!*found)
        return OK;
    const enum err rc = read_row(s, record_key, out, found, e);
    if (rc || !*found) {
        *same = false;
        return rc;
    }
    sha256(digest, out->data + start, out->len - start);
    *same = mem_equal_var(digest, f->digest, sizeof digest);
    return OK;
}

/*
 * Without waiting for a write, unless one of this record is just under way: then what memory tells
 * is not on disk yet, and a record for us alone must not be taken for the public one before it.
 */
static enum err find(struct bca_store *s, const uint8_t record_key[32], enum audience audience,
                     struct buf *out, struct bca_facts *facts, bool *found, struct error *e)
{
    const size_t start = out->len;
    struct bca_facts f;
    bool same;
    enum err rc = read_known(s, record_key, audience, out, &f, found, &same, e);
    if (!rc && !same) {
        buf_truncate(out, start);
        pthread_mutex_lock(&s->writing);
        rc = read_known(s, record_key, audience, out, &f, found, &same, e);
        pthread_mutex_unlock(&s->writing);
    }
    if (!rc && !same) /* of a disk that has lost it */
        buf_truncate(out, start);
    *found = *found && same;
    if (facts && !rc && *found)
        *facts = f;
    return rc;
}

enum err bca_store_find(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *out,
                        struct bca_facts *facts, bool *found, struct error *e)
{
    uint8_t record_key[32];
    bca_record_key(record_key, key);
    return find(s, record_key, FOR_US, out, facts, found, e);
}

enum err bca_store_find_any(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                            struct bca_facts *facts, bool *found, struct error *e)
{
    return find(s, record_key, FOR_US, out, facts, found, e);
}

enum err bca_store_find_public(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                               struct bca_facts *facts, bool *found, struct error *e)
{
    return find(s, record_key, FOR_ANYBODY, out, facts, found, e);
}

static bool has_key(uint8_t (*keys)[32], size_t n, const uint8_t key[32])
{
    for (size_t i = 0; i < n; i++)
        if (mem_equal_var(keys[i], key, 32))
            return true;
    return false;
}

size_t bca_store_sample(struct bca_store *s, uint8_t (*record_keys)[32], size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < max * SAMPLE_TRIES && n < max; i++) {
        const struct bca_entry *e = bca_index_random(s->index);
        if (e && bca_facts_public(&e->is) && !has_key(record_keys, n, e->is.record_key))
            memcpy(record_keys[n++], e->is.record_key, 32);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t bca_store_list(struct bca_store *s, uint8_t (*record_keys)[32], size_t from, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = from; i < bca_index_records(s->index) && n < max; i++)
        memcpy(record_keys[n++], bca_index_at(s->index, i)->is.record_key, 32);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void bca_store_count(struct bca_store *s, struct bca_store_counts *out)
{
    pthread_mutex_lock(&s->lock);
    out->records = bca_index_records(s->index);
    out->remembered = bca_index_count(s->index) - out->records;
    out->bytes = bca_index_bytes(s->index);
    out->memory = bca_index_memory(s->index) + s->own_cap * sizeof(*s->own);
    pthread_mutex_unlock(&s->lock);
    out->memory += kv_memory_bytes(s->kv);
}

/* --- changing --- */

static enum bca_record_order compare(const struct bca_facts *f, const struct bca_facts *known)
{
    if (f->seq == known->seq)
        return mem_equal_var(f->digest, known->digest, 32) ? BCA_RECORD_SAME
                                                           : BCA_RECORD_EQUIVOCATION;
    if (f->seq < known->seq)
        return BCA_RECORD_OLD;
    return f->issued < known->issued ? BCA_RECORD_BACKWARDS : BCA_RECORD_REPLACES;
}

enum bca_record_order bca_store_compare(struct bca_store *s, const struct bca_facts *f)
{
    struct bca_facts known;
    return look(s, f->record_key, &known) ? compare(f, &known) : BCA_RECORD_REPLACES;
}

/* The one that is known already: false when nothing changes. */
static bool merge_same(struct bca_facts *f, const struct bca_facts *known)
{
    if (known->size && (known->relay || !f->relay))
        return false;
    f->relay = f->relay || known->relay;
    f->equivocal = known->equivocal;
    return true;
}

/* Keys of the entries that a change touches. */
struct touched {
    uint8_t keys[1 + 2 * VICTIMS][32];
    size_t n;
};

static void touch(struct touched *t, const struct bca_facts *f)
{
    memcpy(t->keys[t->n++], f->record_key, 32);
}

/* In memory and into the batch, with all that has to go for it. */
static void place(struct bca_store *s, struct kv_batch *b, const struct bca_facts *f,
                  struct span raw, struct touched *t)
{
    struct bca_entry *e, *other;
    touch(t, f);
    e = bca_index_put(s->index, f, is_contact(s, f->record_key));
    put_record_row(b, f, raw);
    for (size_t n = 0; n < VICTIMS && (other = bca_index_victim(s->index, e)); n++) {
        touch(t, &other->is);
        put_seq_row(b, &other->is);
        bca_index_drop_record(s->index, other);
    }
    for (size_t n = 0; n < VICTIMS && (other = bca_index_forgettable(s->index, e)); n++) {
        touch(t, &other->is);
        delete_rows(b, other->is.record_key);
        bca_index_forget(s->index, other);
    }
}

/* The row of an entry, empty: none, or it cannot be read. */
static void read_any_row(struct bca_store *s, uint8_t kind, const uint8_t record_key[32],
                         struct buf *row)
{
    uint8_t key[ROW_KEY_SIZE];
    struct error e;
    bool found = false;
    if (kv_get(s->kv, row_key(key, kind, record_key), sizeof key, row, &found, &e))
        LOG_LIMITED(LOG_WARN, "records of identities: %s", e.text);
    if (!found)
        buf_reset(row);
}

/* What could not be written is in memory as it is on disk; what cannot be read is forgotten. */
static void restore(struct bca_store *s, const uint8_t record_key[32])
{
    struct buf record, seq;
    buf_init(&record);
    buf_init(&seq);
    read_any_row(s, BCA_ROW_RECORD, record_key, &record);
    read_any_row(s, BCA_ROW_SEQ, record_key, &seq);
    pthread_mutex_lock(&s->lock);
    struct bca_entry *e = bca_index_find(s->index, record_key);
    if (e)
        bca_index_forget(s->index, e);
    if (!load_record(s, record_key, buf_span(&record)))
        (void)load_seq(s, record_key, buf_span(&seq));
    e = bca_index_find(s->index, record_key);
    if (e)
        bca_index_set_contact(s->index, e, is_contact(s, record_key));
    pthread_mutex_unlock(&s->lock);
    buf_clear(&record);
    buf_clear(&seq);
}

/* writing is held. */
static enum err put(struct bca_store *s, struct bca_facts *f, struct span raw, bool *taken,
                    struct error *e)
{
    struct kv_batch *b = kv_batch_new(s->kv);
    struct touched touched = { .n = 0 };
    enum err rc = OK;
    pthread_mutex_lock(&s->lock);
    const struct bca_entry *known = bca_index_find(s->index, f->record_key);
    const enum bca_record_order order = known ? compare(f, &known->is) : BCA_RECORD_REPLACES;
    f->accepted = clock_now();
    f->reached = f->reached || (known && known->is.reached);
    *taken = order == BCA_RECORD_REPLACES ||
             (order == BCA_RECORD_SAME && merge_same(f, &known->is));
    if (*taken)
        place(s, b, f, raw, &touched);
    pthread_mutex_unlock(&s->lock);
    if (*taken)
        rc = kv_write(s->kv, b, KV_NO_SYNC, e);
    for (size_t i = 0; rc && i < touched.n; i++)
        restore(s, touched.keys[i]);
    kv_batch_free(b);
    return rc;
}

enum err bca_store_put(struct bca_store *s, const struct bca_record *r, struct span raw,
                       const struct bca_facts *facts, uint64_t source, bool *taken,
                       struct error *e)
{
    struct bca_facts f = *facts;
    pthread_mutex_lock(&s->writing);
    const enum err rc = put(s, &f, raw, taken, e);
    pthread_mutex_unlock(&s->writing);
    if (!rc && *taken)
        tell(s, r, &f, source);
    return rc;
}

/* Writes an entry anew after fn has changed it in memory. Nothing to do when it is not there. */
static enum err change(struct bca_store *s, const uint8_t record_key[32],
                       void (*fn)(struct bca_index *ix, struct bca_entry *e), struct error *e)
{
    struct buf raw;
    struct bca_facts f = { .size = 0 };
    struct kv_batch *b = kv_batch_new(s->kv);
    bool found = false;
    enum err rc = OK;
    buf_init(&raw);
    pthread_mutex_lock(&s->writing);
    pthread_mutex_lock(&s->lock);
    struct bca_entry *entry = bca_index_find(s->index, record_key);
    if (entry) {
        fn(s->index, entry);
        f = entry->is;
    }
    pthread_mutex_unlock(&s->lock);
    if (entry && f.size)
        rc = read_row(s, record_key, &raw, &found, e);
    if (!rc && found)
        put_record_row(b, &f, buf_span(&raw));
    else if (!rc && entry)
        put_seq_row(b, &f);
    if (!rc && entry)
        rc = kv_write(s->kv, b, KV_NO_SYNC, e);
    pthread_mutex_unlock(&s->writing);
    kv_batch_free(b);
    buf_clear(&raw);
    return rc;
}

enum err bca_store_set_reached(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE],
                               struct error *e)
{
    uint8_t record_key[32];
    struct bca_facts f;
    bca_record_key(record_key, key);
    if (look(s, record_key, &f) && f.reached)
        return OK;
    return change(s, record_key, bca_index_set_reached, e);
}

static void set_equivocal(struct bca_index *ix, struct bca_entry *e)
{
    (void)ix;
    e->is.equivocal = true;
}

enum err bca_store_mark_equivocal(struct bca_store *s, const uint8_t record_key[32],
                                  struct error *e)
{
    return change(s, record_key, set_equivocal, e);
}

/* --- time goes by --- */

/* False: the entry stays as it is. */
static bool expire_entry(struct bca_store *s, struct kv_batch *b, struct bca_entry *e)
{
    if (e->is.size && (e->contact || !has_expired(&e->is)))
        return false;
    if (is_forgettable(&e->is)) {
        delete_rows(b, e->is.record_key);
        bca_index_forget(s->index, e);
        return true;
    }
    if (!e->is.size)
        return false;
    put_seq_row(b, &e->is);
    bca_index_drop_record(s->index, e);
    return true;
}

enum err bca_store_expire(struct bca_store *s, struct error *e)
{
    struct kv_batch *b = kv_batch_new(s->kv);
    bool any = false;
    enum err rc = OK;
    pthread_mutex_lock(&s->writing);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SWEEP && bca_index_count(s->index); i++) {
        if (s->swept >= bca_index_count(s->index))
            s->swept = 0;
        /* Another one is at its place then. */
        if (expire_entry(s, b, bca_index_at(s->index, s->swept)))
            any = true;
        else
            s->swept++;
    }
    pthread_mutex_unlock(&s->lock);
    if (any)
        rc = kv_write(s->kv, b, KV_NO_SYNC, e);
    pthread_mutex_unlock(&s->writing);
    kv_batch_free(b);
    return rc;
}
