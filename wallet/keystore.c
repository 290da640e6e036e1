#include <config.h>

#include "wallet/keystore.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/kv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/secret.h"
#include "wallet/keystore_internal.h"
#include "wallet/master_key.h"

enum { INDEX_MAX = INT32_MAX, INDEX_ID_SIZE = 5 };

void stored_init(struct stored_record *s)
{
    *s = (struct stored_record){ .found = false };
    buf_init(&s->name);
    buf_init(&s->value);
}

void stored_clear(struct stored_record *s)
{
    buf_clear(&s->name);
    buf_wipe(&s->value); /* may hold a plain secret */
}

enum err stored_load(struct kv *kv, enum key_record_kind kind, struct span id,
                     struct stored_record *s, struct error *e)
{
    key_record_name(&s->name, kind, id);
    enum err rc = kv_get(kv, s->name.data, s->name.len, &s->value, &s->found, e);
    if (rc || !s->found)
        return rc;
    return key_record_read(&s->r, buf_span(&s->name), buf_span(&s->value), e);
}

static enum err exists(struct kv *kv, enum key_record_kind kind, struct span id, bool *found,
                       struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(kv, kind, id, &s, e);
    *found = s.found;
    stored_clear(&s);
    return rc;
}

static const struct span no_id = { NULL, 0 };

static void put_named(struct kv_batch *b, enum key_record_kind kind, struct span id,
                      const struct buf *value)
{
    struct buf name;
    buf_init(&name);
    key_record_name(&name, kind, id);
    kv_batch_put(b, name.data, name.len, value->data, value->len);
    buf_clear(&name);
}

void keystore_put_value(struct kv_batch *b, enum key_record_kind kind, const struct buf *value)
{
    put_named(b, kind, no_id, value);
}

void keystore_put(struct kv_batch *b, const struct key_record *r)
{
    struct buf value;
    buf_init(&value);
    key_record_value(&value, r);
    put_named(b, r->kind, r->id, &value);
    buf_wipe(&value);
}

static void put_data(struct kv_batch *b, enum key_record_kind kind, struct span id,
                     struct span data)
{
    const struct key_record r = { .kind = kind, .form = KEY_RECORD_PUBLIC, .id = id, .data = data };
    keystore_put(b, &r);
}

static void delete_record(struct kv_batch *b, enum key_record_kind kind, struct span id)
{
    struct buf name;
    buf_init(&name);
    key_record_name(&name, kind, id);
    kv_batch_delete(b, name.data, name.len);
    buf_clear(&name);
}

enum err keystore_commit_locked(struct keystore *ks, struct kv_batch *b, struct error *e)
{
    uint8_t changes[8];
    le64_put(changes, ks->changes + 1);
    put_data(b, KEY_RECORD_CHANGES, no_id, span_of(changes, sizeof changes));
    enum err rc = kv_write(ks->kv, b, KV_SYNC, e);
    if (!rc)
        ks->changes++;
    return rc;
}

/* --- create and open --- */

static struct keystore *new_keystore(struct kv *kv, const struct keystore_options *o)
{
    static const struct scrypt_params usual = { 1 << 17, 8, 1 };
    struct keystore *ks = xcalloc(1, sizeof(*ks));
    ks->kv = kv;
    ks->options = *o;
    if (o->scrypt.n == 0)
        ks->options.scrypt = usual;
    pthread_mutex_init(&ks->lock, NULL);
    return ks;
}

enum err keystore_create(struct keystore **out, struct kv *kv, const struct keystore_options *o,
                         struct error *e)
{
    bool empty;
    *out = NULL;
    enum err rc = kv_is_empty(kv, &empty, e);
    if (rc)
        return rc;
    if (!empty)
        return error_set(e, ERR_EXISTS, "the database of the new wallet is not empty");
    struct keystore *ks = new_keystore(kv, o);
    uint8_t head[sizeof o->magic + KEYSTORE_ID_SIZE];
    rc = rand_secret(ks->id, sizeof ks->id, e);
    if (rc) {
        keystore_close(ks);
        return rc;
    }
    memcpy(head, o->magic, sizeof o->magic);
    memcpy(head + sizeof o->magic, ks->id, sizeof ks->id);
    struct kv_batch *b = kv_batch_new(kv);
    put_data(b, KEY_RECORD_HEAD, no_id, span_of(head, sizeof head));
    rc = keystore_commit_locked(ks, b, e); /* nobody else knows the store yet */
    kv_batch_free(b);
    if (rc)
        keystore_close(ks);
    else
        *out = ks;
    return rc;
}

static enum err load_head(struct keystore *ks, struct error *e)
{
    struct stored_record s;
    bool empty;
    stored_init(&s);
    enum err rc = stored_load(ks->kv, KEY_RECORD_HEAD, no_id, &s, e);
    if (!rc && !s.found) {
        rc = kv_is_empty(ks->kv, &empty, e);
        if (!rc)
            rc = empty ? error_set(e, ERR_NOTFOUND, "there is no wallet in the database")
                       : error_set(e, ERR_CORRUPT,
                                   "the wallet has lost its head: restore a backup");
    } else if (!rc && !mem_equal_var(s.r.data.data, ks->options.magic, 4)) {
        rc = error_set(e, ERR_RANGE, "the wallet belongs to another network");
    } else if (!rc) {
        memcpy(ks->id, s.r.data.data + 4, sizeof ks->id);
    }
    stored_clear(&s);
    return rc;
}

static enum err load_changes(struct keystore *ks, struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(ks->kv, KEY_RECORD_CHANGES, no_id, &s, e);
    if (!rc && !s.found)
        rc = error_set(e, ERR_CORRUPT, "the wallet has lost its change counter: restore a backup");
    else if (!rc)
        ks->changes = le64_get(s.r.data.data);
    stored_clear(&s);
    return rc;
}

static enum err load_cipher(struct keystore *ks, struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(ks->kv, KEY_RECORD_CIPHER, no_id, &s, e);
    if (!rc && s.found)
        rc = master_key_check(&s.r, e);
    ks->encrypted = s.found;
    stored_clear(&s);
    return rc;
}

/* What was written stays valid when this fails; the mark then stays too. */
static void finish_scrub_locked(struct keystore *ks)
{
    struct error why = { .code = OK };
    struct kv_batch *b = kv_batch_new(ks->kv);
    kv_compact(ks->kv);
    delete_record(b, KEY_RECORD_SCRUB, no_id);
    if (keystore_commit_locked(ks, b, &why))
        log_warn("the files of a wallet may hold old secrets until it is opened again: %s",
                 why.text);
    kv_batch_free(b);
}

/*
 * The files are rewritten before the change too. LevelDB puts what it has gathered in memory into
 * one file with the old and the new value of a name, and drops the old one only when it merges that
 * file with others: so the old values must be in files, and the new ones must meet them.
 */
enum err keystore_commit_and_scrub_locked(struct keystore *ks, struct kv_batch *b, struct error *e)
{
    kv_compact(ks->kv);
    put_data(b, KEY_RECORD_SCRUB, no_id, span_of(NULL, 0));
    enum err rc = keystore_commit_locked(ks, b, e);
    if (!rc)
        finish_scrub_locked(ks);
    return rc;
}

static enum err resume_scrub(struct keystore *ks, struct error *e)
{
    bool found;
    enum err rc = exists(ks->kv, KEY_RECORD_SCRUB, no_id, &found, e);
    if (!rc && found)
        finish_scrub_locked(ks);
    return rc;
}

enum err keystore_open(struct keystore **out, struct kv *kv, const struct keystore_options *o,
                       struct error *e)
{
    struct keystore *ks = new_keystore(kv, o);
    enum err rc = load_head(ks, e);
    if (!rc)
        rc = load_changes(ks, e);
    if (!rc)
        rc = load_cipher(ks, e);
    if (!rc)
        rc = resume_scrub(ks, e);
    if (rc) {
        keystore_close(ks);
        ks = NULL;
    }
    *out = ks;
    return rc;
}

void keystore_close(struct keystore *ks)
{
    if (!ks)
        return;
    secret_free(ks->master);
    pthread_mutex_destroy(&ks->lock);
    free(ks);
}

void keystore_id(const struct keystore *ks, uint8_t out[KEYSTORE_ID_SIZE])
{
    memcpy(out, ks->id, KEYSTORE_ID_SIZE);
}

struct scrypt_params keystore_scrypt(const struct keystore *ks)
{
    return ks->options.scrypt;
}

uint64_t keystore_changes(struct keystore *ks)
{
    pthread_mutex_lock(&ks->lock);
    const uint64_t changes = ks->changes;
    pthread_mutex_unlock(&ks->lock);
    return changes;
}

/* --- what needs no passphrase --- */

enum err keystore_has(struct keystore *ks, enum key_record_kind kind, struct span id, bool *has,
                      struct error *e)
{
    return exists(ks->kv, kind, id, has, e);
}

enum err keystore_each(struct keystore *ks, enum key_record_kind kind, keystore_each_fn fn,
                       void *ctx, struct error *e)
{
    struct kv_iter *it = kv_iter_new(ks->kv);
    struct buf first;
    enum err rc = OK;
    buf_init(&first);
    key_record_name(&first, kind, no_id);
    for (kv_iter_seek(it, first.data, first.len); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span name = kv_iter_key(it);
        struct key_record r;
        if (name.data[0] != first.data[0])
            break;
        rc = key_record_read(&r, name, kv_iter_value(it), e);
        r.secret = span_of(NULL, 0);
        if (!rc)
            rc = fn(ctx, &r, e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    buf_clear(&first);
    kv_iter_free(it);
    return rc;
}

enum err keystore_find(struct keystore *ks, enum key_record_kind kind, struct span id,
                       keystore_each_fn fn, void *ctx, bool *found, struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(ks->kv, kind, id, &s, e);
    s.r.secret = span_of(NULL, 0);
    if (!rc && s.found)
        rc = fn(ctx, &s.r, e);
    *found = s.found;
    stored_clear(&s);
    return rc;
}

bool keystore_changes_kind(enum key_record_kind kind)
{
    return kind == KEY_RECORD_IDENTITY || kind == KEY_RECORD_IDENTITY_KEYS ||
           kind == KEY_RECORD_BCA;
}

enum err keystore_remove(struct keystore *ks, const struct key_record *records, size_t n,
                         struct error *e)
{
    struct kv_batch *b = kv_batch_new(ks->kv);
    for (size_t i = 0; i < n; i++) {
        BUG_ON(!keystore_changes_kind(records[i].kind));
        delete_record(b, records[i].kind, records[i].id);
    }
    pthread_mutex_lock(&ks->lock);
    enum err rc = keystore_commit_locked(ks, b, e);
    pthread_mutex_unlock(&ks->lock);
    kv_batch_free(b);
    return rc;
}

enum err keystore_set_label(struct keystore *ks, struct span subject, struct span label,
                            struct error *e)
{
    const struct key_record r = { .kind = KEY_RECORD_LABEL, .form = KEY_RECORD_PUBLIC,
                                  .id = subject, .data = label };
    enum err rc = OK;
    if (label.len)
        rc = key_record_check(&r, e);
    if (rc)
        return rc;
    struct kv_batch *b = kv_batch_new(ks->kv);
    if (label.len)
        keystore_put(b, &r);
    else
        delete_record(b, KEY_RECORD_LABEL, subject);
    pthread_mutex_lock(&ks->lock);
    rc = keystore_commit_locked(ks, b, e);
    pthread_mutex_unlock(&ks->lock);
    kv_batch_free(b);
    return rc;
}

enum err keystore_get_data(struct keystore *ks, enum key_record_kind kind, struct span id,
                           struct buf *data, bool *found, struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(ks->kv, kind, id, &s, e);
    if (!rc && s.found)
        buf_put(data, s.r.data.data, s.r.data.len);
    *found = !rc && s.found;
    stored_clear(&s);
    return rc;
}

enum err keystore_get_label(struct keystore *ks, struct span subject, struct buf *label,
                            bool *found, struct error *e)
{
    return keystore_get_data(ks, KEY_RECORD_LABEL, subject, label, found, e);
}

/* --- indices --- */

static void index_id(uint8_t id[INDEX_ID_SIZE], uint32_t account, enum keystore_branch branch)
{
    be32_put(id, account);
    id[4] = (uint8_t)branch;
}

static enum err load_index(struct kv *kv, const uint8_t id[INDEX_ID_SIZE], uint32_t *next,
                           struct error *e)
{
    struct stored_record s;
    stored_init(&s);
    enum err rc = stored_load(kv, KEY_RECORD_INDEX, span_of(id, INDEX_ID_SIZE), &s, e);
    if (!rc)
        *next = s.found ? le32_get(s.r.data.data) : 0;
    stored_clear(&s);
    return rc;
}

static enum err store_index_locked(struct keystore *ks, const uint8_t id[INDEX_ID_SIZE],
                                   uint32_t next, struct error *e)
{
    struct kv_batch *b = kv_batch_new(ks->kv);
    uint8_t data[4];
    le32_put(data, next);
    put_data(b, KEY_RECORD_INDEX, span_of(id, INDEX_ID_SIZE), span_of(data, sizeof data));
    enum err rc = keystore_commit_locked(ks, b, e);
    kv_batch_free(b);
    return rc;
}

enum err keystore_next_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                             uint32_t *index, struct error *e)
{
    uint8_t id[INDEX_ID_SIZE];
    uint32_t next;
    index_id(id, account, branch);
    pthread_mutex_lock(&ks->lock);
    enum err rc = load_index(ks->kv, id, &next, e);
    if (!rc && next > INDEX_MAX)
        rc = error_set(e, ERR_RANGE, "account %" PRIu32 " has no addresses left", account);
    if (!rc)
        rc = store_index_locked(ks, id, next + 1, e);
    pthread_mutex_unlock(&ks->lock);
    if (!rc)
        *index = next;
    return rc;
}

enum err keystore_peek_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                             uint32_t *index, struct error *e)
{
    uint8_t id[INDEX_ID_SIZE];
    index_id(id, account, branch);
    return load_index(ks->kv, id, index, e);
}

enum err keystore_raise_index(struct keystore *ks, uint32_t account, enum keystore_branch branch,
                              uint32_t next, struct error *e)
{
    uint8_t id[INDEX_ID_SIZE];
    uint32_t now;
    if (next > (uint32_t)INDEX_MAX + 1)
        return error_set(e, ERR_RANGE, "%" PRIu32 " is no index of an address", next);
    index_id(id, account, branch);
    pthread_mutex_lock(&ks->lock);
    enum err rc = load_index(ks->kv, id, &now, e);
    if (!rc && now < next)
        rc = store_index_locked(ks, id, next, e);
    pthread_mutex_unlock(&ks->lock);
    return rc;
}
