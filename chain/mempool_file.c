/*
 * mempool.dat: what waits in the two pools, written at the end and on request, read at the start.
 *
 *   offset  size  content
 *   0       8     "bsvpmemp"
 *   8       4     version 1, little-endian
 *   12      8     number of records
 *   20      ...   records: kind u8 (0 mempool, 1 non-final pool, 2 fee delta), time i64 (seconds
 *                 since 1970), height i32, fee delta i64, length u32, transaction (its id alone
 *                 with kind 2)
 *   end-32  32    SHA256d of everything before
 *
 * It is written beside the old one and takes its place when it is on disk; a crash leaves the old
 * one. A file that is damaged or cannot be read to its end is kept as mempool.dat.bad; nothing is
 * read from it past that.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"
#include "chain/txs.h"

#define FILE_NAME "mempool.dat"
#define FILE_VERSION 1
#define HEAD_SIZE 20
#define RECORD_HEAD_SIZE 25
#define CHECKSUM_SIZE 32
#define PIECE_BYTES (4u << 20)
static const char magic[8] = { 'b', 's', 'v', 'p', 'm', 'e', 'm', 'p' };

enum record_kind { RECORD_MEMPOOL, RECORD_NONFINAL, RECORD_DELTA };

/* --- writing -------------------------------------------------------------------------------- */

struct saved {
    struct tx *tx; /* a reference; NULL with RECORD_DELTA */
    struct txid id;
    int64_t time, fee_delta;
    int32_t height;
    enum record_kind kind;
};

struct snapshot {
    struct saved *v;
    size_t n, cap;
    bool whole; /* the file on disk holds no more */
};

static struct saved *snapshot_add(struct snapshot *s)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 1024;
        s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
    }
    return &s->v[s->n++];
}

static enum mempool_visit save_entry(void *ctx, const struct mempool_entry *entry)
{
    *snapshot_add(ctx) = (struct saved){ .tx = tx_ref(entry->tx),
                                         .time = entry->time,
                                         .fee_delta = entry->fee_delta,
                                         .height = entry->height,
                                         .kind = RECORD_MEMPOOL };
    return MEMPOOL_GO_ON;
}

static void save_held(void *ctx, struct tx *tx, int64_t time)
{
    *snapshot_add(ctx) =
        (struct saved){ .tx = tx_ref(tx), .time = time, .kind = RECORD_NONFINAL };
}

static void save_delta(void *ctx, const struct txid *id, int64_t fee_delta)
{
    *snapshot_add(ctx) =
        (struct saved){ .id = *id, .fee_delta = fee_delta, .kind = RECORD_DELTA };
}

struct out {
    struct file file;
    struct sha256 hash;
    struct buf buf;
    uint64_t offset;
};

static enum err flush(struct out *o, struct error *e)
{
    const enum err rc = file_pwrite(&o->file, o->buf.data, o->buf.len, o->offset, e);
    sha256_update(&o->hash, o->buf.data, o->buf.len);
    o->offset += o->buf.len;
    buf_reset(&o->buf);
    return rc;
}

static void put_record(struct buf *b, const struct saved *s)
{
    buf_put_u8(b, (uint8_t)s->kind);
    buf_put_le64(b, (uint64_t)s->time);
    buf_put_le32(b, (uint32_t)s->height);
    buf_put_le64(b, (uint64_t)s->fee_delta);
    const struct span content = s->tx ? s->tx->raw : span_of(s->id.b, sizeof(s->id.b));
    buf_put_le32(b, (uint32_t)content.len);
    buf_put(b, content.data, content.len);
}

static enum err write_all(struct out *o, const struct snapshot *s, struct error *e)
{
    uint8_t checksum[CHECKSUM_SIZE];
    enum err rc = OK;
    sha256_init(&o->hash);
    buf_put(&o->buf, magic, sizeof(magic));
    buf_put_le32(&o->buf, FILE_VERSION);
    buf_put_le64(&o->buf, s->n);
    for (size_t i = 0; i < s->n && !rc; i++) {
        put_record(&o->buf, &s->v[i]);
        if (o->buf.len >= PIECE_BYTES)
            rc = flush(o, e);
    }
    if (!rc)
        rc = flush(o, e);
    if (rc)
        return rc;
    sha256d_final(&o->hash, checksum);
    rc = file_pwrite(&o->file, checksum, sizeof(checksum), o->offset, e);
    return rc ? rc : file_sync(&o->file, e);
}

static enum err write_file(const char *path, const char *dir, const struct snapshot *s,
                           struct error *e)
{
    char *temp = xasprintf("%s.new", path);
    struct out o = { .file = { .fd = -1 } };
    enum err rc = path_remove(temp, e);
    if (!rc)
        rc = file_open(&o.file, temp, FILE_CREATE_NEW, e);
    if (!rc)
        rc = write_all(&o, s, e);
    file_close(&o.file);
    if (!rc && rename(temp, path) != 0)
        rc = error_set_errno(e, errno, "%s: cannot be put in place", path);
    if (!rc)
        rc = path_sync_dir(dir, e);
    buf_clear(&o.buf);
    free(temp);
    return rc;
}

/* Deltas first: they count when those come that they are for. */
static void take_snapshot(struct chain *c, void *ctx)
{
    struct snapshot *s = ctx;
    s->whole = c->txs.loaded;
    mempool_each_delta(c->txs.pool, save_delta, s);
    mempool_each(c->txs.pool, 0, save_entry, s);
    nonfinal_each(c->txs.nonfinal, save_held, s);
}

static enum err save(struct chain *c, struct snapshot *s, struct error *e)
{
    char *path = path_join(c->data_dir, FILE_NAME);
    const enum err rc =
        s->whole ? write_file(path, c->data_dir, s, e)
                 : error_set(e, ERR_BUSY, FILE_NAME " is still being read: try again when it is");
    if (!rc)
        log_debug(LOGC_MEMPOOL, "%zu records written to %s", s->n, path);
    for (size_t i = 0; i < s->n; i++)
        tx_unref(s->v[i].tx);
    free(s->v);
    free(path);
    return rc;
}

enum err chain_save_mempool(struct chain *c, struct error *e)
{
    struct snapshot s = { .n = 0 };
    enum err rc;
    pthread_mutex_lock(&c->txs.file_lock);
    if (chain_call(c, take_snapshot, &s))
        rc = error_set(e, ERR_CANCELLED, "the node is shutting down");
    else
        rc = save(c, &s, e);
    pthread_mutex_unlock(&c->txs.file_lock);
    return rc;
}

enum err mempool_save_last(struct txs *t, struct error *e)
{
    struct snapshot s = { .n = 0 };
    take_snapshot(t->chain, &s);
    return save(t->chain, &s, e);
}

/* --- reading -------------------------------------------------------------------------------- */

struct mempool_load {
    struct file file;
    uint64_t offset, end;   /* of the next record; where the checksum begins */
    uint64_t left, entered; /* records */
    struct buf raw;
};

static enum err hash_file(const struct file *f, uint64_t size, uint8_t out[CHECKSUM_SIZE],
                          struct error *e)
{
    struct sha256 hash;
    uint8_t *piece = xmalloc(PIECE_BYTES);
    enum err rc = OK;
    sha256_init(&hash);
    for (uint64_t at = 0; at < size && !rc;) {
        const size_t n = (size_t)MIN_OF(size - at, (uint64_t)PIECE_BYTES);
        rc = file_pread(f, piece, n, at, e);
        sha256_update(&hash, piece, n);
        at += n;
    }
    sha256d_final(&hash, out);
    free(piece);
    return rc;
}

static enum err check_file(struct mempool_load *l, struct error *e)
{
    uint8_t head[HEAD_SIZE], want[CHECKSUM_SIZE], have[CHECKSUM_SIZE];
    uint64_t size;
    enum err rc = file_size(&l->file, &size, e);
    if (!rc && size < HEAD_SIZE + CHECKSUM_SIZE)
        rc = error_set(e, ERR_CORRUPT, "%s is too short", l->file.path);
    if (!rc)
        rc = file_pread(&l->file, head, sizeof(head), 0, e);
    if (rc)
        return rc;
    if (memcmp(head, magic, sizeof(magic)) != 0 || le32_get(head + 8) != FILE_VERSION)
        return error_set(e, ERR_CORRUPT, "%s is of another version or another program",
                         l->file.path);
    l->offset = HEAD_SIZE;
    l->end = size - CHECKSUM_SIZE;
    l->left = le64_get(head + 12);
    rc = hash_file(&l->file, l->end, have, e);
    if (!rc)
        rc = file_pread(&l->file, want, sizeof(want), l->end, e);
    if (!rc && !mem_equal_var(want, have, sizeof(want)))
        rc = error_set(e, ERR_CORRUPT, "%s: the checksum does not fit", l->file.path);
    return rc;
}

/* What was read before counts. */
static void set_aside(const struct txs *t, const struct error *why)
{
    char *path = path_join(t->chain->data_dir, FILE_NAME);
    char *bad = xasprintf("%s.bad", path);
    log_warn("mempool: %s; the rest is not read and the file kept as %s", why->text, bad);
    if (rename(path, bad) != 0)
        log_warn("%s could not be renamed", path);
    free(bad);
    free(path);
}

static struct mempool_load *load_open(struct txs *t)
{
    char *path = path_join(t->chain->data_dir, FILE_NAME);
    struct mempool_load *l = xcalloc(1, sizeof(*l));
    struct error e;
    l->file.fd = -1;
    enum err rc = path_exists(path) ? file_open(&l->file, path, FILE_READ, &e) : ERR_NOTFOUND;
    if (!rc)
        rc = check_file(l, &e);
    if (rc) {
        file_close(&l->file);
        free(l);
        l = NULL;
    }
    if (rc && rc != ERR_NOTFOUND)
        set_aside(t, &e);
    free(path);
    return l;
}

struct record {
    enum record_kind kind;
    int64_t time, fee_delta;
    int32_t height;
    struct span content; /* in load->raw */
};

static enum err read_record(struct mempool_load *l, struct record *r, struct error *e)
{
    uint8_t head[RECORD_HEAD_SIZE];
    if (l->end - l->offset < sizeof(head))
        return error_set(e, ERR_CORRUPT, "a record is cut off");
    enum err rc = file_pread(&l->file, head, sizeof(head), l->offset, e);
    if (rc)
        return rc;
    const uint32_t len = le32_get(head + 21);
    l->offset += sizeof(head);
    buf_reset(&l->raw);
    if (l->end - l->offset < len)
        return error_set(e, ERR_CORRUPT, "a record is cut off");
    if (!buf_try_reserve(&l->raw, len))
        return error_set(e, ERR_NOMEM, "out of memory for a record of %u bytes", len);
    rc = file_pread(&l->file, buf_extend(&l->raw, len), len, l->offset, e);
    l->offset += len;
    *r = (struct record){ .kind = head[0],
                          .time = (int64_t)le64_get(head + 1),
                          .height = (int32_t)le32_get(head + 9),
                          .fee_delta = (int64_t)le64_get(head + 13),
                          .content = buf_span(&l->raw) };
    return rc;
}

static enum err take_record(struct txs *t, const struct record *r, struct tx_list *out,
                            struct error *e)
{
    struct txid id;
    if (r->kind == RECORD_DELTA && r->content.len == sizeof(id.b)) {
        memcpy(id.b, r->content.data, sizeof(id.b));
        mempool_prioritise(t->pool, &id, r->fee_delta);
        return OK;
    }
    struct tx *tx = tx_new(r->content.data, r->content.len, e);
    if (!tx)
        return e->code;
    struct tx_offer *o = tx_offer_new(tx, TX_SOURCE_FILE);
    o->work.time = r->time;
    o->work.height = r->height;
    tx_unref(tx);
    tx_list_add(out, o);
    return OK;
}

/* The checksum held: what does not fit now was written so, or cannot be read. */
static enum err next_record(struct txs *t, struct tx_list *out, size_t *bytes, struct error *e)
{
    struct record r = { .kind = RECORD_MEMPOOL };
    enum err rc = read_record(t->load, &r, e);
    if (!rc)
        rc = take_record(t, &r, out, e);
    *bytes += t->load->raw.len;
    return rc;
}

void mempool_load_stop(struct txs *t)
{
    if (!t->load)
        return;
    file_close(&t->load->file);
    buf_clear(&t->load->raw);
    free(t->load);
    t->load = NULL;
}

static void load_ended(struct txs *t)
{
    log_info("%" PRIu64 " transactions read from " FILE_NAME, t->load->entered);
    mempool_load_stop(t);
    t->loaded = true;
}

enum err mempool_load_step(struct txs *t, bool *did, struct error *e)
{
    struct error why = { .code = OK };
    struct tx_list l;
    size_t bytes = 0;
    if (t->loaded)
        return OK;
    if (!t->load)
        t->load = load_open(t);
    if (!t->load) {
        t->loaded = true;
        return OK;
    }
    tx_list_init(&l);
    while (t->load->left > 0 && l.n < TXS_BATCH_MAX && bytes < TXS_BATCH_BYTES) {
        t->load->left--;
        if (!next_record(t, &l, &bytes, &why))
            continue;
        set_aside(t, &why);
        t->load->left = 0;
    }
    t->load->entered += l.n;
    *did = true;
    const enum err rc = txs_run_list(t, &l, e);
    if (t->load->left == 0)
        load_ended(t);
    return rc;
}
