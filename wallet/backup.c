#include <config.h>

#include "wallet/backup.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/kv.h"
#include "base/reader.h"
#include "base/state_file.h"
#include "wallet/key_record.h"
#include "wallet/master_key.h"

static const struct state_file_kind backup_kind = { "WBAK", 1 };

enum {
    FRAME_BYTES = 12 + 32,
    RECORD_LENGTHS = 2 * 5,     /* the longest compact lengths of name and value */
    RECORD_MIN = 2 + 1 + 1,     /* lengths, a letter, a byte */
    RECORD_MAX_COUNT_BYTES = 9,
};

/* What the records seen so far are together. */
struct census {
    struct backup_info info;
    bool head, changes;
    bool plain, sealed; /* secrets besides the master key */
};

static enum err census_add_head(struct census *c, const struct key_record *r,
                                const uint8_t magic[4], struct error *e)
{
    if (!mem_equal_var(r->data.data, magic, 4))
        return error_set(e, ERR_RANGE, "the wallet belongs to another network");
    memcpy(c->info.id, r->data.data + 4, KEYSTORE_ID_SIZE);
    c->head = true;
    return OK;
}

static void census_add_secret(struct census *c, const struct key_record *r)
{
    c->plain |= r->form == KEY_RECORD_PLAIN;
    c->sealed |= r->form == KEY_RECORD_SEALED;
}

static enum err census_add(struct census *c, const struct key_record *r, const uint8_t magic[4],
                           struct error *e)
{
    switch (r->kind) {
    case KEY_RECORD_HEAD:
        return census_add_head(c, r, magic, e);
    case KEY_RECORD_CHANGES:
        c->info.changes = le64_get(r->data.data);
        c->changes = true;
        return OK;
    case KEY_RECORD_CIPHER:
        c->info.encrypted = true;
        return master_key_check(r, e);
    case KEY_RECORD_IDENTITY_KEYS: /* no count: those of a registration that failed go */
        census_add_secret(c, r);
        return OK;
    case KEY_RECORD_SEED:
    case KEY_RECORD_SECRET:
        census_add_secret(c, r);
        c->info.keys++;
        return OK;
    case KEY_RECORD_PUBKEY:
    case KEY_RECORD_SCRIPT:
    case KEY_RECORD_XPUB:
    case KEY_RECORD_BCA:
    case KEY_RECORD_PAYMENT:
        c->info.keys++;
        return OK;
    case KEY_RECORD_INDEX:
    case KEY_RECORD_LABEL:
    case KEY_RECORD_IDENTITY:
    case KEY_RECORD_PAYEE:
    case KEY_RECORD_SCRUB:
    case KEY_RECORD_KINDS:
        return OK;
    }
    return OK;
}

static enum err census_finish(const struct census *c, struct error *e)
{
    if (!c->head || !c->changes)
        return error_set(e, ERR_CORRUPT, "the wallet has lost its head");
    if (c->info.encrypted && c->plain)
        return error_set(e, ERR_CORRUPT, "the wallet is encrypted and has a plain secret");
    if (!c->info.encrypted && c->sealed)
        return error_set(e, ERR_CORRUPT, "the wallet has sealed secrets and no master key");
    return OK;
}

/* --- writing --- */

struct outline {
    struct census census;
    uint64_t records, bytes;
};

static bool is_kept(const struct key_record *r)
{
    return r->kind != KEY_RECORD_SCRUB; /* speaks of the files of a database */
}

/* The first way through the snapshot: every record is sound, how much there is. */
static enum err outline_records(struct kv_iter *it, const uint8_t magic[4], struct outline *o,
                                struct error *e)
{
    enum err rc = OK;
    for (kv_iter_seek(it, "", 0); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span name = kv_iter_key(it), value = kv_iter_value(it);
        struct key_record r;
        rc = key_record_read(&r, name, value, e);
        if (rc || !is_kept(&r))
            continue;
        rc = census_add(&o->census, &r, magic, e);
        o->records++;
        o->bytes += name.len + value.len + RECORD_LENGTHS;
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    return rc ? rc : census_finish(&o->census, e);
}

static enum err put_records(struct kv_iter *it, struct buf *out, struct error *e)
{
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it)) {
        const struct span name = kv_iter_key(it), value = kv_iter_value(it);
        struct key_record r;
        enum err rc = key_record_read(&r, name, value, e);
        if (rc)
            return rc;
        if (!is_kept(&r))
            continue;
        buf_put_var_bytes(out, name.data, name.len);
        buf_put_var_bytes(out, value.data, value.len);
    }
    return kv_iter_error(it, e);
}

/* The whole file into out. */
static enum err encode(struct kv *kv, const uint8_t magic[4], struct buf *out,
                       struct backup_info *info, struct error *e)
{
    struct outline o = { .records = 0 };
    struct kv_iter *it = kv_iter_new(kv);
    enum err rc = outline_records(it, magic, &o, e);
    const uint64_t need = o.bytes + FRAME_BYTES + RECORD_MAX_COUNT_BYTES;
    if (!rc && need > BACKUP_MAX_BYTES)
        rc = error_set(e, ERR_RANGE, "the wallet is too large for a backup: %" PRIu64 " bytes",
                       need);
    /* At once: a buffer that grows would leave copies of plain secrets. */
    if (!rc && !buf_try_reserve(out, (size_t)need))
        rc = error_set(e, ERR_NOMEM, "no memory for a backup of %" PRIu64 " bytes", need);
    if (!rc) {
        state_file_begin(out, &backup_kind, magic);
        buf_put_compact(out, o.records);
        rc = put_records(it, out, e);
        state_file_finish(out);
    }
    kv_iter_free(it);
    *info = o.census.info;
    return rc;
}

/* --- reading --- */

typedef void (*record_fn)(void *ctx, struct span name, struct span value);

static bool follows(struct span name, struct span before)
{
    const size_t n = MIN_OF(name.len, before.len);
    const int c = n ? memcmp(name.data, before.data, n) : 0;
    return c > 0 || (c == 0 && name.len > before.len);
}

static enum err decode_records(struct reader *in, const uint8_t magic[4], struct census *c,
                               record_fn fn, void *ctx, struct error *e)
{
    const size_t count = read_count(in, RECORD_MIN);
    struct span before = { NULL, 0 };
    for (size_t i = 0; i < count; i++) {
        const struct span name = read_var_bytes(in), value = read_var_bytes(in);
        struct key_record r;
        if (in->failed)
            break;
        enum err rc = key_record_read(&r, name, value, e);
        if (!rc && (!follows(name, before) || !is_kept(&r)))
            rc = error_set(e, ERR_CORRUPT, "records are not in order");
        if (!rc)
            rc = census_add(c, &r, magic, e);
        if (rc)
            return rc;
        if (fn)
            fn(ctx, name, value);
        before = name;
    }
    if (!reader_done(in))
        return error_set(e, ERR_CORRUPT, "the list of records is cut short or too long");
    return census_finish(c, e);
}

static enum err decode(struct span file, const uint8_t magic[4], struct backup_info *info,
                       record_fn fn, void *ctx, struct error *e)
{
    struct reader in;
    struct census c = { .head = false };
    enum err rc = state_file_open(&in, file.data, file.len, &backup_kind, magic, e);
    if (!rc)
        rc = decode_records(&in, magic, &c, fn, ctx, e);
    if (!rc && info)
        *info = c.info;
    return rc;
}

static enum err load(const char *path, const uint8_t magic[4], struct backup_info *info,
                     record_fn fn, void *ctx, struct error *e)
{
    struct buf file;
    buf_init_secret(&file);
    enum err rc = file_read_regular(path, BACKUP_MAX_BYTES, &file, e);
    if (!rc) {
        rc = decode(buf_span(&file), magic, info, fn, ctx, e);
        if (rc)
            (void)error_prefix(e, rc, "%s", path);
    }
    buf_clear(&file);
    return rc;
}

enum err backup_check(struct span content, const uint8_t magic[4], struct backup_info *info,
                      struct error *e)
{
    return decode(content, magic, info, NULL, NULL, e);
}

enum err backup_inspect(const char *path, const uint8_t magic[4], struct backup_info *info,
                        struct error *e)
{
    return load(path, magic, info, NULL, NULL, e);
}

/* Whether the file that is at path, if any, may go. */
static enum err may_replace(const char *path, const uint8_t magic[4],
                            const struct backup_info *new, struct error *e)
{
    struct backup_info old;
    struct error why = { .code = OK };
    enum err rc = backup_inspect(path, magic, &old, &why);
    if (rc == ERR_NOTFOUND)
        return OK;
    if (rc == ERR_CORRUPT || rc == ERR_RANGE)
        return error_set(e, ERR_EXISTS, "%s exists and is not a good backup of this program: "
                                        "choose another name", path);
    if (rc)
        return error_set(e, rc, "%s", why.text);
    if (!mem_equal_var(old.id, new->id, sizeof old.id))
        return error_set(e, ERR_EXISTS, "%s is the backup of another wallet: choose another name",
                         path);
    if (old.changes > new->changes || old.keys > new->keys)
        return error_set(e, ERR_EXISTS,
                         "%s is newer than this wallet (%" PRIu64 " changes, %" PRIu64 " keys and "
                         "addresses, here %" PRIu64 " and %" PRIu64 "): choose another name",
                         path, old.changes, old.keys, new->changes, new->keys);
    return OK;
}

enum err backup_write(struct kv *kv, const uint8_t magic[4], const char *path,
                      struct backup_info *info, struct error *e)
{
    struct buf file;
    struct backup_info written;
    buf_init_secret(&file);
    enum err rc = encode(kv, magic, &file, &written, e);
    if (!rc)
        rc = backup_check(buf_span(&file), magic, NULL, e); /* what cannot be read is no backup */
    if (!rc)
        rc = may_replace(path, magic, &written, e);
    if (!rc)
        rc = file_replace_checked(path, file.data, file.len, e);
    if (!rc && info)
        *info = written;
    buf_clear(&file);
    return rc;
}

static void add_to_batch(void *ctx, struct span name, struct span value)
{
    kv_batch_put((struct kv_batch *)ctx, name.data, name.len, value.data, value.len);
}

enum err backup_restore(struct kv *kv, const uint8_t magic[4], const char *path,
                        struct backup_info *info, struct error *e)
{
    bool empty;
    enum err rc = kv_is_empty(kv, &empty, e);
    if (rc)
        return rc;
    if (!empty)
        return error_set(e, ERR_EXISTS, "the database of the restored wallet is not empty");
    struct kv_batch *b = kv_batch_new(kv);
    rc = load(path, magic, info, add_to_batch, b, e);
    if (!rc)
        rc = kv_write(kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}
