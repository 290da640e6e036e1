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
    SWEEP = 2048,     /* entries that one call of bca_store_expire looks at */
    SAMPLE_TRIES = 8, /* for each record wanted */
    VICTIMS = 64,     /* of one newcomer: more when limits were lowered, with the next ones */
};

struct contact { uint8_t record_key[32]; };

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

static void load_row(struct bca_store *s, struct kv_batch *bad, struct span key, struct span row,
                     size_t *n_bad)
{
    const uint8_t kind = key.len == BCA_ROW_KEY_SIZE ? key.data[0] : 0;
    if (kind != BCA_ROW_RECORD && kind != BCA_ROW_SEQ)
        return;
    const bool good = kind == BCA_ROW_RECORD ? bca_row_load_record(s, key.data + 1, row)
                                             : bca_row_load_seq(s, key.data + 1, row);
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
    const enum err rc = bca_row_read_record(s, record_key, out, found, e);
    if (rc || !*found) {
        *same = false;
        return rc;
    }
    sha256(digest, out->data + start, out->len - start);
    *same = mem_equal_var(digest, f->digest, sizeof digest);
    return OK;
}

/*
 * Memory is as the disk is, where they differ: the disk has lost something, or has a write that
 * failed all the same (kv_mend.h). writing is held.
 */
static enum err reread(struct bca_store *s, const uint8_t record_key[32], struct error *e)
{
    struct buf record, seq;
    buf_init(&record);
    buf_init(&seq);
    enum err rc = bca_row_read(s, BCA_ROW_RECORD, record_key, &record, e);
    if (!rc)
        rc = bca_row_read(s, BCA_ROW_SEQ, record_key, &seq, e);
    pthread_mutex_lock(&s->lock);
    struct bca_entry *entry = rc ? NULL : bca_index_find(s->index, record_key);
    if (entry)
        bca_index_forget(s->index, entry);
    if (!rc && !bca_row_load_record(s, record_key, buf_span(&record)))
        (void)bca_row_load_seq(s, record_key, buf_span(&seq));
    entry = rc ? NULL : bca_index_find(s->index, record_key);
    if (entry)
        bca_index_set_contact(s->index, entry, is_contact(s, record_key));
    pthread_mutex_unlock(&s->lock);
    buf_clear(&record);
    buf_clear(&seq);
    return rc;
}

/* What a reader looks for. */
struct wanted {
    const uint8_t *record_key;
    enum audience audience;
    struct buf *out;
    size_t start; /* of the record in out */
};

/* The record behind what is in out already. */
static enum err read_again(struct bca_store *s, const struct wanted *w, struct bca_facts *f,
                           bool *found, bool *same, struct error *e)
{
    buf_truncate(w->out, w->start);
    return read_known(s, w->record_key, w->audience, w->out, f, found, same, e);
}

/*
 * Without waiting for a write, unless one of this record is just under way: then what memory tells
 * is not on disk yet, and a record for us alone must not be taken for the public one before it.
 */
static enum err find(struct bca_store *s, const uint8_t record_key[32], enum audience audience,
                     struct buf *out, struct bca_facts *facts, bool *found, struct error *e)
{
    const struct wanted w = { record_key, audience, out, out->len };
    struct bca_facts f;
    bool same;
    enum err rc = read_again(s, &w, &f, found, &same, e);
    if (!rc && !same) {
        pthread_mutex_lock(&s->writing);
        rc = read_again(s, &w, &f, found, &same, e);
        if (!rc && !same)
            rc = reread(s, record_key, e);
        if (!rc && !same)
            rc = read_again(s, &w, &f, found, &same, e);
        pthread_mutex_unlock(&s->writing);
    }
    *found = *found && same && !rc;
    if (!*found)
        buf_truncate(out, w.start);
    if (facts && *found)
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

size_t bca_store_records(struct bca_store *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t n = bca_index_records(s->index);
    pthread_mutex_unlock(&s->lock);
    return n;
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

struct before { bool existed; struct bca_facts was; };

/* Entries that a change touches, as they were: what could not be written is taken back. */
struct undo {
    size_t n;
    struct before of[];
};

static struct undo *undo_new(size_t max)
{
    return xcalloc(1, sizeof(struct undo) + max * sizeof(struct before));
}

/* lock is held, also for undo_all. e NULL: there is none of the key yet. */
static void undo_note(struct undo *u, const uint8_t record_key[32], const struct bca_entry *e)
{
    struct before *b = &u->of[u->n++];
    b->existed = e != NULL;
    if (e)
        b->was = e->is;
    else
        memcpy(b->was.record_key, record_key, 32);
}

/* The last change first: an entry may have changed twice. */
static void undo_all(struct bca_store *s, struct undo *u)
{
    while (u->n) {
        const struct bca_facts *was = &u->of[--u->n].was;
        struct bca_entry *e = bca_index_find(s->index, was->record_key);
        if (u->of[u->n].existed)
            bca_index_put(s->index, was, is_contact(s, was->record_key));
        else if (e)
            bca_index_forget(s->index, e);
    }
}

/* In memory and into the batch, with all that has to go for it. */
static void place(struct bca_store *s, struct kv_batch *b, const struct bca_facts *f,
                  struct span raw, struct undo *u)
{
    struct bca_entry *e, *other;
    undo_note(u, f->record_key, bca_index_find(s->index, f->record_key));
    e = bca_index_put(s->index, f, is_contact(s, f->record_key));
    bca_row_put_record(b, f, raw);
    for (size_t n = 0; n < VICTIMS && (other = bca_index_victim(s->index, e)); n++) {
        undo_note(u, other->is.record_key, other);
        bca_row_put_seq(b, &other->is);
        bca_index_drop_record(s->index, other);
    }
    for (size_t n = 0; n < VICTIMS && (other = bca_index_forgettable(s->index, e)); n++) {
        undo_note(u, other->is.record_key, other);
        bca_row_delete(b, other->is.record_key);
        bca_index_forget(s->index, other);
    }
}

/* writing is held. */
static enum err write_or_undo(struct bca_store *s, struct kv_batch *b, struct undo *u,
                              struct error *e)
{
    const enum err rc = kv_write(s->kv, b, KV_NO_SYNC, e);
    if (!rc)
        return OK;
    pthread_mutex_lock(&s->lock);
    undo_all(s, u);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* The same. */
static enum err put(struct bca_store *s, struct bca_facts *f, struct span raw, bool *taken,
                    struct error *e)
{
    struct kv_batch *b = kv_batch_new(s->kv);
    struct undo *u = undo_new(1 + 2 * VICTIMS);
    enum err rc = OK;
    pthread_mutex_lock(&s->lock);
    const struct bca_entry *known = bca_index_find(s->index, f->record_key);
    const enum bca_record_order order = known ? compare(f, &known->is) : BCA_RECORD_REPLACES;
    f->accepted = clock_now();
    f->reached = f->reached || (known && known->is.reached);
    *taken = order == BCA_RECORD_REPLACES ||
             (order == BCA_RECORD_SAME && merge_same(f, &known->is));
    if (*taken)
        place(s, b, f, raw, u);
    pthread_mutex_unlock(&s->lock);
    if (*taken)
        rc = write_or_undo(s, b, u, e);
    free(u);
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

/* The row of an entry as f tells it, and f as the row is. writing is held. */
static enum err put_row_anew(struct bca_store *s, struct kv_batch *b, struct bca_facts *f,
                             struct error *e)
{
    struct buf raw;
    bool found = false;
    buf_init(&raw);
    const enum err rc = f->size ? bca_row_read_record(s, f->record_key, &raw, &found, e) : OK;
    if (!rc && found) {
        bca_row_put_record(b, f, buf_span(&raw));
    } else if (!rc) {
        f->size = 0;
        f->has_place = false;
        bca_row_put_seq(b, f);
    }
    buf_clear(&raw);
    return rc;
}

/* Writes an entry with what fn changes of it. Nothing to do when it is not there. */
static enum err change(struct bca_store *s, const uint8_t record_key[32],
                       void (*fn)(struct bca_facts *f), struct error *e)
{
    struct kv_batch *b = kv_batch_new(s->kv);
    struct bca_facts f;
    enum err rc = OK;
    pthread_mutex_lock(&s->writing);
    const bool known = look(s, record_key, &f);
    if (known) {
        fn(&f);
        rc = put_row_anew(s, b, &f, e);
    }
    if (known && !rc)
        rc = kv_write(s->kv, b, KV_NO_SYNC, e);
    if (known && !rc) { /* nobody else changes what is known */
        pthread_mutex_lock(&s->lock);
        bca_index_put(s->index, &f, is_contact(s, record_key));
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&s->writing);
    kv_batch_free(b);
    return rc;
}

static void set_reached(struct bca_facts *f) { f->reached = true; }
static void set_equivocal(struct bca_facts *f) { f->equivocal = true; }

enum err bca_store_set_reached(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE],
                               struct error *e)
{
    uint8_t record_key[32];
    struct bca_facts f;
    bca_record_key(record_key, key);
    if (look(s, record_key, &f) && f.reached)
        return OK;
    return change(s, record_key, set_reached, e);
}

enum err bca_store_mark_equivocal(struct bca_store *s, const uint8_t record_key[32],
                                  struct error *e)
{
    return change(s, record_key, set_equivocal, e);
}

/* --- time goes by --- */

/* False: the entry stays as it is. */
static bool expire_entry(struct bca_store *s, struct kv_batch *b, struct bca_entry *e,
                         struct undo *u)
{
    const bool forget = is_forgettable(&e->is);
    if (e->is.size ? e->contact || !has_expired(&e->is) : !forget)
        return false;
    undo_note(u, e->is.record_key, e);
    if (forget) {
        bca_row_delete(b, e->is.record_key);
        bca_index_forget(s->index, e);
        return true;
    }
    bca_row_put_seq(b, &e->is);
    bca_index_drop_record(s->index, e);
    return true;
}

enum err bca_store_expire(struct bca_store *s, struct error *e)
{
    struct kv_batch *b = kv_batch_new(s->kv);
    struct undo *u = undo_new(SWEEP);
    enum err rc = OK;
    pthread_mutex_lock(&s->writing);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SWEEP && bca_index_count(s->index); i++) {
        if (s->swept >= bca_index_count(s->index))
            s->swept = 0;
        /* Another one is at its place then. */
        if (!expire_entry(s, b, bca_index_at(s->index, s->swept), u))
            s->swept++;
    }
    pthread_mutex_unlock(&s->lock);
    if (u->n)
        rc = write_or_undo(s, b, u, e);
    pthread_mutex_unlock(&s->writing);
    free(u);
    kv_batch_free(b);
    return rc;
}
