#include "p2p/bca_own.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "p2p/bca_store_internal.h"

#define ROW_KEY_SIZE (1 + IDENTITY_KEY_SIZE)

enum { FLAG_DOUBLED = 1, FLAG_OPEN = 2 };

static const char *const mode_names[BCA_PUBLICATIONS] = {
    [BCA_PRIVATE] = "private", [BCA_CONTACTS] = "contacts", [BCA_PUBLIC] = "public"
};

const char *bca_publication_name(enum bca_publication mode) { return mode_names[mode]; }

bool bca_publication_of(const char *name, enum bca_publication *mode)
{
    for (*mode = 0; *mode < BCA_PUBLICATIONS; ++*mode)
        if (strcmp(name, mode_names[*mode]) == 0)
            return true;
    return false;
}

/* --- rows --- */

static void write_row(struct buf *b, const struct bca_own *own)
{
    buf_put_u8(b, (uint8_t)own->mode);
    buf_put_u8(b, (uint8_t)((own->doubled ? FLAG_DOUBLED : 0) | (own->open ? FLAG_OPEN : 0)));
    buf_put_le64(b, own->seq);
    buf_put_var_bytes(b, own->wallet, strlen(own->wallet));
    buf_put_var_bytes(b, own->name, strlen(own->name));
    buf_put(b, own->record, own->record_len);
}

static void read_name(struct reader *r, char out[BCA_OWN_NAME_MAX + 1])
{
    const struct span s = read_var_bytes(r);
    if (s.len > BCA_OWN_NAME_MAX) {
        r->failed = true;
        return;
    }
    memcpy(out, s.data, s.len);
    out[s.len] = 0;
}

static bool read_row(struct bca_own *own, struct span key, struct span row)
{
    struct reader r;
    *own = (struct bca_own){ .seq = 0 };
    reader_init(&r, row.data, row.len);
    const uint8_t mode = read_u8(&r);
    own->mode = mode;
    const uint8_t flags = read_u8(&r);
    own->doubled = flags & FLAG_DOUBLED;
    own->open = flags & FLAG_OPEN;
    own->seq = read_le64(&r);
    read_name(&r, own->wallet);
    read_name(&r, own->name);
    const size_t len = r.left;
    const uint8_t *record = read_bytes(&r, len);
    if (r.failed || mode >= BCA_PUBLICATIONS || len > sizeof own->record ||
        key.len != ROW_KEY_SIZE || own->seq == UINT64_MAX)
        return false;
    memcpy(own->key, key.data + 1, sizeof own->key);
    memcpy(own->record, record, len);
    own->record_len = len;
    return true;
}

static struct bca_own *find_row(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE])
{
    for (size_t i = 0; i < s->n_own; i++)
        if (mem_equal_var(s->own[i].key, key, IDENTITY_KEY_SIZE))
            return &s->own[i];
    return NULL;
}

static struct bca_own *new_row(struct bca_store *s)
{
    if (s->n_own == s->own_cap) {
        s->own_cap += 4;
        s->own = xrealloc(s->own, s->own_cap * sizeof *s->own);
    }
    return &s->own[s->n_own++];
}

enum err bca_own_load(struct bca_store *s, struct error *e)
{
    static const uint8_t first = BCA_ROW_OWN;
    struct kv_iter *it = kv_iter_new(s->kv);
    enum err rc = OK;
    for (kv_iter_seek(it, &first, 1); !rc && kv_iter_valid(it) && s->n_own < BCA_OWN_MAX;
         kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (key.len == 0 || key.data[0] != BCA_ROW_OWN)
            break;
        if (!read_row(new_row(s), key, kv_iter_value(it)))
            rc = error_set(e, ERR_CORRUPT, "what is announced of an identity cannot be read");
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

void bca_own_clear(struct bca_store *s) { free(s->own); }

/* --- any thread --- */

void bca_own_begin(struct bca_store *s) { pthread_mutex_lock(&s->making); }
void bca_own_end(struct bca_store *s) { pthread_mutex_unlock(&s->making); }

bool bca_own_get(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct bca_own *out)
{
    pthread_mutex_lock(&s->lock);
    const struct bca_own *row = find_row(s, key);
    if (row)
        *out = *row;
    pthread_mutex_unlock(&s->lock);
    return row != NULL;
}

enum err bca_own_list(struct bca_store *s, struct bca_own **out, size_t *n, struct error *e)
{
    enum err rc = OK;
    pthread_mutex_lock(&s->lock);
    *n = s->n_own;
    *out = try_calloc(MAX_OF(s->n_own, (size_t)1), sizeof **out);
    if (!*out)
        rc = error_set(e, ERR_NOMEM, "no memory for a list of own records");
    for (size_t i = 0; !rc && i < s->n_own; i++)
        (*out)[i] = s->own[i];
    pthread_mutex_unlock(&s->lock);
    return rc;
}

size_t bca_own_record_keys(struct bca_store *s, uint8_t (*record_keys)[32])
{
    pthread_mutex_lock(&s->lock);
    const size_t n = s->n_own;
    for (size_t i = 0; i < n; i++)
        bca_record_key(record_keys[i], s->own[i].key);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* writing is held. On disk first: who reads it in memory may use it. */
static enum err put(struct bca_store *s, const struct bca_own *own, struct error *e)
{
    uint8_t key[ROW_KEY_SIZE] = { BCA_ROW_OWN };
    struct kv_batch *batch = kv_batch_new(s->kv);
    struct buf row;
    memcpy(key + 1, own->key, sizeof own->key);
    buf_init(&row);
    write_row(&row, own);
    kv_batch_put(batch, key, sizeof key, row.data, row.len);
    const enum err rc = kv_write(s->kv, batch, KV_SYNC, e);
    buf_clear(&row);
    kv_batch_free(batch);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    struct bca_own *at = find_row(s, own->key);
    if (!at)
        at = new_row(s);
    *at = *own;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

enum err bca_own_put(struct bca_store *s, const struct bca_own *own, struct error *e)
{
    pthread_mutex_lock(&s->writing);
    const enum err rc = find_row(s, own->key) || s->n_own < BCA_OWN_MAX
                            ? put(s, own, e)
                            : error_set(e, ERR_RANGE, "there are %d announced identities already",
                                        BCA_OWN_MAX);
    pthread_mutex_unlock(&s->writing);
    return rc;
}

enum err bca_own_forget(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct error *e)
{
    uint8_t row_key[ROW_KEY_SIZE] = { BCA_ROW_OWN };
    struct kv_batch *b = kv_batch_new(s->kv);
    memcpy(row_key + 1, key, IDENTITY_KEY_SIZE);
    kv_batch_delete(b, row_key, sizeof row_key);
    pthread_mutex_lock(&s->writing);
    const enum err rc = kv_write(s->kv, b, KV_SYNC, e);
    pthread_mutex_lock(&s->lock);
    struct bca_own *row = rc ? NULL : find_row(s, key);
    if (row)
        *row = s->own[--s->n_own];
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&s->writing);
    kv_batch_free(b);
    if (!rc)
        bca_store_set_contact(s, key, false);
    return rc;
}

bool bca_own_record(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *out)
{
    struct bca_own own;
    if (!bca_own_get(s, key, &own) || !own.record_len)
        return false;
    buf_put(out, own.record, own.record_len);
    return true;
}

/* One content has one form, and nobody else can change a signature so that it stays valid. */
static bool is_of_another(const struct bca_own *row, const struct bca_record *r, struct span raw)
{
    if (r->seq != row->seq || !row->record_len)
        return r->seq > row->seq;
    return raw.len != row->record_len || !mem_equal_var(raw.data, row->record, raw.len);
}

enum err bca_own_see(struct bca_store *s, const struct bca_record *r, struct span raw,
                     bool *doubled, struct error *e)
{
    enum err rc = OK;
    pthread_mutex_lock(&s->writing);
    const struct bca_own *row = find_row(s, r->key);
    *doubled = row && is_of_another(row, r, raw);
    if (*doubled && !row->doubled) {
        struct bca_own own = *row;
        own.doubled = true;
        log_warn("identity %s of wallet %s: somebody else announces it with its key: a second copy "
                 "runs or the key is stolen; nothing more is announced of it",
                 own.name, own.wallet);
        rc = put(s, &own, e);
    }
    pthread_mutex_unlock(&s->writing);
    return rc;
}
