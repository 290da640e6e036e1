/*
 * The LevelDB engine, through its C interface. That interface reports errors as text only, so the
 * kind of an error is read from the first words, which LevelDB's Status fixes.
 */
#include <config.h>

#include "base/kv.h"

#include <leveldb/c.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/kv_internal.h"
#include "base/mem.h"

enum { BLOOM_BITS_PER_KEY = 10 }; /* about 1 % false positives */

struct ldb {
    struct kv kv;
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_readoptions_t *get_options, *scan_options;
    leveldb_writeoptions_t *write_options[2]; /* by enum kv_sync */
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    char *path;
};

struct ldb_batch {
    struct kv_batch batch;
    leveldb_writebatch_t *wb;
};

struct ldb_iter {
    struct kv_iter iter;
    leveldb_iterator_t *it;
    const struct ldb *ldb;
};

/* The first row whose text occurs decides. */
static const struct ldb_error_row {
    const char *text;
    enum err code;
    const char *meaning;
} ldb_errors[] = {
    { "Corruption", ERR_CORRUPT, "the database is damaged and must be rebuilt" },
    { "No space left", ERR_NOSPACE, "the disk is full" },
    { "Disk quota exceeded", ERR_NOSPACE, "the disk quota is used up" },
    { "already held by process", ERR_BUSY, "this process has the database open already" },
    { "Resource temporarily unavailable", ERR_BUSY, "another process has the database open" },
    { "does not exist", ERR_NOTFOUND, "there is no database" },
    { "Permission denied", ERR_IO, "this user may not use the database's files" },
    { "NotFound", ERR_CORRUPT, "a file of the database is missing, it must be rebuilt" },
    { "", ERR_IO, "the database failed" },
};

static enum err ldb_error(const char *path, const char *text, struct error *e)
{
    const struct ldb_error_row *row = ldb_errors;
    while (!strstr(text, row->text))
        row++;
    return error_set(e, row->code, "%s: %s (%s)", path, row->meaning, text);
}

/* As ldb_error, and frees the text; NULL is success. */
static enum err ldb_result(const struct ldb *ldb, char *text, struct error *e)
{
    if (!text)
        return OK;
    enum err rc = ldb_error(ldb->path, text, e);
    leveldb_free(text);
    return rc;
}

static void ldb_close(struct kv *kv)
{
    struct ldb *ldb = (struct ldb *)kv;
    if (ldb->db)
        leveldb_close(ldb->db);
    leveldb_writeoptions_destroy(ldb->write_options[KV_NO_SYNC]);
    leveldb_writeoptions_destroy(ldb->write_options[KV_SYNC]);
    leveldb_readoptions_destroy(ldb->scan_options);
    leveldb_readoptions_destroy(ldb->get_options);
    leveldb_options_destroy(ldb->options);
    if (ldb->filter)
        leveldb_filterpolicy_destroy(ldb->filter);
    if (ldb->cache)
        leveldb_cache_destroy(ldb->cache);
    free(ldb->path);
    free(ldb);
}

static enum err ldb_get(struct kv *kv, struct span key, struct buf *value, bool *found,
                        struct error *e)
{
    const struct ldb *ldb = (const struct ldb *)kv;
    char *text = NULL;
    size_t len = 0;
    char *data =
        leveldb_get(ldb->db, ldb->get_options, (const char *)key.data, key.len, &len, &text);
    if (text)
        return ldb_result(ldb, text, e);
    if (!data)
        return OK;
    enum err rc = OK;
    if (buf_try_reserve(value, len)) {
        buf_put(value, data, len);
        *found = true;
    } else {
        rc = error_set(e, ERR_NOMEM, "%s: no memory for a value of %zu bytes", ldb->path, len);
    }
    secure_wipe(data, len); /* it may hold a plain secret */
    leveldb_free(data);
    return rc;
}

static struct kv_batch *ldb_batch_new(struct kv *kv)
{
    (void)kv;
    struct ldb_batch *b = xcalloc(1, sizeof(*b));
    b->wb = leveldb_writebatch_create();
    return &b->batch;
}

static void ldb_batch_free(struct kv_batch *batch)
{
    struct ldb_batch *b = (struct ldb_batch *)batch;
    leveldb_writebatch_destroy(b->wb);
    free(b);
}

static void ldb_batch_put(struct kv_batch *batch, struct span key, struct span value)
{
    struct ldb_batch *b = (struct ldb_batch *)batch;
    leveldb_writebatch_put(b->wb, (const char *)key.data, key.len, (const char *)value.data,
                           value.len);
}

static void ldb_batch_delete(struct kv_batch *batch, struct span key)
{
    struct ldb_batch *b = (struct ldb_batch *)batch;
    leveldb_writebatch_delete(b->wb, (const char *)key.data, key.len);
}

static void ldb_batch_clear(struct kv_batch *batch)
{
    leveldb_writebatch_clear(((struct ldb_batch *)batch)->wb);
}

static enum err ldb_write(struct kv *kv, struct kv_batch *batch, enum kv_sync sync, struct error *e)
{
    const struct ldb *ldb = (const struct ldb *)kv;
    char *text = NULL;
    leveldb_write(ldb->db, ldb->write_options[sync], ((struct ldb_batch *)batch)->wb, &text);
    return ldb_result(ldb, text, e);
}

/* LevelDB's iterators see the state at their creation. */
static struct kv_iter *ldb_iter_new(struct kv *kv)
{
    struct ldb_iter *it = xcalloc(1, sizeof(*it));
    it->ldb = (const struct ldb *)kv;
    it->it = leveldb_create_iterator(it->ldb->db, it->ldb->scan_options);
    return &it->iter;
}

static void ldb_iter_free(struct kv_iter *iter)
{
    leveldb_iter_destroy(((struct ldb_iter *)iter)->it);
    free(iter);
}

static void ldb_iter_seek(struct kv_iter *iter, struct span key)
{
    leveldb_iter_seek(((struct ldb_iter *)iter)->it, (const char *)key.data, key.len);
}

static bool ldb_iter_valid(const struct kv_iter *iter)
{
    return leveldb_iter_valid(((const struct ldb_iter *)iter)->it) != 0;
}

static void ldb_iter_next(struct kv_iter *iter)
{
    leveldb_iter_next(((struct ldb_iter *)iter)->it);
}

static struct span ldb_iter_key(const struct kv_iter *iter)
{
    size_t len;
    const char *data = leveldb_iter_key(((const struct ldb_iter *)iter)->it, &len);
    return span_of(data, len);
}

static struct span ldb_iter_value(const struct kv_iter *iter)
{
    size_t len;
    const char *data = leveldb_iter_value(((const struct ldb_iter *)iter)->it, &len);
    return span_of(data, len);
}

static enum err ldb_iter_error(const struct kv_iter *iter, struct error *e)
{
    const struct ldb_iter *it = (const struct ldb_iter *)iter;
    char *text = NULL;
    leveldb_iter_get_error(it->it, &text);
    return ldb_result(it->ldb, text, e);
}

struct size_sum {
    const char *dir;
    uint64_t bytes;
};

static void add_file_size(void *ctx, const char *name)
{
    struct size_sum *sum = (struct size_sum *)ctx;
    char *path = path_join(sum->dir, name);
    struct stat st;
    if (stat(path, &st) == 0)
        sum->bytes += (uint64_t)st.st_size;
    free(path);
}

static uint64_t ldb_disk_bytes(struct kv *kv)
{
    struct size_sum sum = { ((const struct ldb *)kv)->path, 0 };
    return path_list(sum.dir, add_file_size, &sum, NULL) ? 0 : sum.bytes;
}

static size_t ldb_memory_bytes(struct kv *kv)
{
    char *text = leveldb_property_value(((const struct ldb *)kv)->db,
                                        "leveldb.approximate-memory-usage");
    if (!text)
        return 0;
    size_t bytes = (size_t)strtoull(text, NULL, 10);
    leveldb_free(text);
    return bytes;
}

static void ldb_compact(struct kv *kv)
{
    leveldb_compact_range(((const struct ldb *)kv)->db, NULL, 0, NULL, 0);
}

static const struct kv_ops ldb_ops = {
    .close = ldb_close, .get = ldb_get,
    .batch_new = ldb_batch_new, .batch_free = ldb_batch_free, .batch_put = ldb_batch_put,
    .batch_delete = ldb_batch_delete, .batch_clear = ldb_batch_clear, .write = ldb_write,
    .iter_new = ldb_iter_new, .iter_free = ldb_iter_free, .iter_seek = ldb_iter_seek,
    .iter_valid = ldb_iter_valid, .iter_next = ldb_iter_next, .iter_key = ldb_iter_key,
    .iter_value = ldb_iter_value, .iter_error = ldb_iter_error,
    .disk_bytes = ldb_disk_bytes, .memory_bytes = ldb_memory_bytes, .compact = ldb_compact,
};

static void set_store_options(struct ldb *ldb, const struct kv_options *o)
{
    ldb->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(ldb->options, !o->must_exist);
    leveldb_options_set_paranoid_checks(ldb->options, 1);
    leveldb_options_set_compression(ldb->options, o->compress ? leveldb_snappy_compression
                                                              : leveldb_no_compression);
    if (o->write_buffer_bytes)
        leveldb_options_set_write_buffer_size(ldb->options, o->write_buffer_bytes);
    if (o->max_open_files)
        leveldb_options_set_max_open_files(ldb->options, o->max_open_files);
    if (o->cache_bytes) {
        ldb->cache = leveldb_cache_create_lru(o->cache_bytes);
        leveldb_options_set_cache(ldb->options, ldb->cache);
    }
    if (o->bloom_filter) {
        ldb->filter = leveldb_filterpolicy_create_bloom(BLOOM_BITS_PER_KEY);
        leveldb_options_set_filter_policy(ldb->options, ldb->filter);
    }
}

static void set_access_options(struct ldb *ldb)
{
    ldb->get_options = leveldb_readoptions_create();
    leveldb_readoptions_set_verify_checksums(ldb->get_options, 1);
    ldb->scan_options = leveldb_readoptions_create();
    leveldb_readoptions_set_verify_checksums(ldb->scan_options, 1);
    /* A scan touches each block once: it must not push out what lookups need. */
    leveldb_readoptions_set_fill_cache(ldb->scan_options, 0);
    ldb->write_options[KV_NO_SYNC] = leveldb_writeoptions_create();
    ldb->write_options[KV_SYNC] = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(ldb->write_options[KV_SYNC], 1);
}

enum err kv_open_leveldb(struct kv **out, const char *path, const struct kv_options *o,
                         struct error *e)
{
    *out = NULL;
    if (!o->must_exist) {
        enum err rc = path_make_dirs(path, e);
        if (rc)
            return rc;
    } else if (!path_exists(path)) {
        /* LevelDB would make the directory before it finds that there is nothing inside. */
        return error_set(e, ERR_NOTFOUND, "%s: there is no database", path);
    }
    struct ldb *ldb = xcalloc(1, sizeof(*ldb));
    ldb->kv.ops = &ldb_ops;
    ldb->path = xstrdup(path);
    set_store_options(ldb, o);
    set_access_options(ldb);
    char *text = NULL;
    ldb->db = leveldb_open(ldb->options, path, &text);
    enum err rc = ldb_result(ldb, text, e);
    if (rc)
        ldb_close(&ldb->kv);
    else
        *out = &ldb->kv;
    return rc;
}
