/*
 * Records are small and self-describing enough to be read without the code that wrote them: see
 * the table in index_db.h. Node keys carry the height in front, so that a scan meets parents
 * before children.
 */
#include <config.h>

#include "chain/index_db.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define FORMAT_VERSION 1
#define BATCH_BYTES (4u << 20)
#define NODE_KEY_SIZE (1 + 4 + 32)
#define SPEND_PREFIX_SIZE (1 + 32 + 4)
#define SPEND_KEY_SIZE (SPEND_PREFIX_SIZE + 32)

struct index_db {
    struct kv *kv;
};

struct index_batch {
    struct index_db *db;
    struct kv_batch *batch;
};

static enum err write_version(struct index_db *db, struct error *e)
{
    uint8_t value[4];
    le32_put(value, FORMAT_VERSION);
    struct kv_batch *b = kv_batch_new(db->kv);
    kv_batch_put(b, "V", 1, value, sizeof(value));
    enum err rc = kv_write(db->kv, b, KV_SYNC, e);
    kv_batch_free(b);
    return rc;
}

static enum err check_version(struct index_db *db, struct error *e)
{
    struct buf value = { 0 };
    bool found;
    enum err rc = kv_get(db->kv, "V", 1, &value, &found, e);
    if (!rc && !found)
        rc = write_version(db, e);
    else if (!rc && (value.len != 4 || le32_get(value.data) != FORMAT_VERSION))
        rc = error_set(
            e, ERR_CORRUPT,
            "the block index was written by another version of this program; use that one, or "
            "restart with -reindex");
    buf_clear(&value);
    return rc;
}

enum err index_db_open(struct index_db **out, struct kv *kv, struct error *e)
{
    struct index_db *db = xcalloc(1, sizeof(*db));
    db->kv = kv;
    enum err rc = check_version(db, e);
    if (rc) {
        index_db_close(db);
        return rc;
    }
    *out = db;
    return OK;
}

void index_db_close(struct index_db *db)
{
    if (!db)
        return;
    kv_close(db->kv);
    free(db);
}

static void put_pos(struct buf *b, const struct block_pos *pos)
{
    buf_put_varint(b, pos->file);
    buf_put_varint(b, pos->offset);
    buf_put_varint(b, pos->size);
}

static void read_pos(struct reader *r, struct block_pos *pos)
{
    uint64_t file = read_varint(r);
    pos->file = (uint32_t)file;
    if (file > UINT32_MAX)
        r->failed = true;
    pos->offset = read_varint(r);
    pos->size = read_varint(r);
}

static void node_key(uint8_t key[NODE_KEY_SIZE], int32_t height, const struct block_hash *hash)
{
    key[0] = 'b';
    be32_put(key + 1, (uint32_t)height);
    memcpy(key + 5, hash->b, 32);
}

static void node_value(struct buf *b, const struct header_node *node)
{
    struct block_header h;
    header_of_node(&h, node);
    block_header_write(b, &h);
    buf_put_varint(b, atomic_load(&node->status));
    buf_put_varint(b, node->tx_count);
    buf_put_le32(b, node->wire_checksum);
    put_pos(b, &node->data);
    put_pos(b, &node->undo);
}

static enum err bad_record(const char *what, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "block index: a %s record is damaged; restart with -reindex",
                     what);
}

static enum err load_node(struct header_index *idx, struct span key, struct span value,
                          struct error *e)
{
    struct reader r;
    struct block_header h;
    struct header_data data = { 0 };
    struct block_hash hash, stored;
    reader_init(&r, value.data, value.len);
    block_header_read(&r, &h);
    uint64_t status = read_varint(&r);
    uint64_t tx_count = read_varint(&r);
    data.wire_checksum = read_le32(&r);
    read_pos(&r, &data.data);
    read_pos(&r, &data.undo);
    if (key.len != NODE_KEY_SIZE || !reader_done(&r) || status > UINT32_MAX ||
        tx_count > UINT32_MAX)
        return bad_record("header", e);
    memcpy(stored.b, key.data + 5, 32);
    block_header_hash(&hash, &h);
    if (!block_hash_equal(&hash, &stored))
        return bad_record("header", e);
    data.status = (uint32_t)status;
    data.tx_count = (uint32_t)tx_count;
    struct header_node *node = header_index_load(idx, &h, &hash, &data, e);
    if (!node)
        return ERR_CORRUPT;
    return (uint32_t)node->height == be32_get(key.data + 1) ? OK : bad_record("header", e);
}

static enum err load_info(struct span key, struct span value, struct blockfile_info *info,
                          struct error *e)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    *info = (struct blockfile_info){ 0 };
    info->data_size = read_varint(&r);
    info->undo_size = read_varint(&r);
    info->blocks = (uint32_t)read_varint(&r);
    info->height_first = (int32_t)read_le32(&r);
    info->height_last = (int32_t)read_le32(&r);
    info->pruned = read_u8(&r) != 0;
    if (key.len != 5 || !reader_done(&r))
        return bad_record("file", e);
    info->file = be32_get(key.data + 1);
    return OK;
}

static void info_value(struct buf *b, const struct blockfile_info *info)
{
    buf_put_varint(b, info->data_size);
    buf_put_varint(b, info->undo_size);
    buf_put_varint(b, info->blocks);
    buf_put_le32(b, (uint32_t)info->height_first);
    buf_put_le32(b, (uint32_t)info->height_last);
    buf_put_u8(b, info->pruned);
}

/* Visits every record whose key begins with the letter. */
static enum err each_record(struct index_db *db, char letter,
                            enum err (*fn)(void *ctx, struct span key, struct span value,
                                           struct error *e),
                            void *ctx, struct error *e)
{
    struct kv_iter *it = kv_iter_new(db->kv);
    enum err rc = OK;
    for (kv_iter_seek(it, &letter, 1); kv_iter_valid(it) && !rc; kv_iter_next(it)) {
        struct span key = kv_iter_key(it);
        if (key.len == 0 || key.data[0] != (uint8_t)letter)
            break;
        rc = fn(ctx, key, kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

static enum err on_node(void *ctx, struct span key, struct span value, struct error *e)
{
    return load_node((struct header_index *)ctx, key, value, e);
}

struct info_list {
    struct blockfile_info *infos;
    size_t n, cap;
};

static enum err on_info(void *ctx, struct span key, struct span value, struct error *e)
{
    struct info_list *list = (struct info_list *)ctx;
    if (list->n == list->cap) {
        list->cap = 2 * list->cap + 16;
        list->infos = xrealloc(list->infos, list->cap * sizeof(*list->infos));
    }
    enum err rc = load_info(key, value, &list->infos[list->n], e);
    list->n += rc == OK;
    return rc;
}

enum err index_db_load(struct index_db *db, struct header_index *idx, struct blockfile_info **infos,
                       size_t *n_infos, struct error *e)
{
    struct info_list list = { 0 };
    enum err rc = each_record(db, 'b', on_node, idx, e);
    if (!rc)
        rc = each_record(db, 'f', on_info, &list, e);
    if (rc) {
        free(list.infos);
        return rc;
    }
    header_index_loaded(idx);
    *infos = list.infos;
    *n_infos = list.n;
    return OK;
}

/* Dirty nodes are copied out under the index lock and written outside of it. */
struct flush {
    struct kv_batch *batch;
    struct buf value;
    struct buf records; /* key, le32 length, value; again and again */
};

static void take_node(void *ctx, const struct header_node *node)
{
    struct flush *f = (struct flush *)ctx;
    buf_reset(&f->value);
    node_value(&f->value, node);
    node_key(buf_extend(&f->records, NODE_KEY_SIZE), node->height, &node->hash);
    buf_put_le32(&f->records, (uint32_t)f->value.len);
    buf_put(&f->records, f->value.data, f->value.len);
}

static void take_info(void *ctx, const struct blockfile_info *info)
{
    struct flush *f = (struct flush *)ctx;
    uint8_t key[5] = { 'f' };
    be32_put(key + 1, info->file);
    buf_reset(&f->value);
    info_value(&f->value, info);
    kv_batch_put(f->batch, key, sizeof(key), f->value.data, f->value.len);
}


static enum err write_nodes(struct index_db *db, struct flush *f, struct error *e)
{
    struct reader r;
    reader_init(&r, f->records.data, f->records.len);
    while (r.left > 0) {
        const uint8_t *key = read_bytes(&r, NODE_KEY_SIZE);
        uint32_t len = read_le32(&r);
        kv_batch_put(f->batch, key, NODE_KEY_SIZE, read_bytes(&r, len), len);
        if (kv_batch_bytes(f->batch) < BATCH_BYTES)
            continue;
        /* Each is synced: LevelDB does not sync a log it has rotated away
         * from (architecture 4.4). */
        enum err rc = kv_write(db->kv, f->batch, KV_SYNC, e);
        if (rc)
            return rc;
    }
    return OK;
}

enum err index_db_flush(struct index_db *db, struct header_index *idx, struct blockfiles *bf,
                        struct error *e)
{
    struct flush f = { .batch = kv_batch_new(db->kv) };
    header_index_take_dirty(idx, take_node, &f);
    /* Headers before the files they point into would be no harm, a synced end of both is what
     * counts. */
    enum err rc = write_nodes(db, &f, e);
    blockfiles_each_dirty(bf, take_info, &f);
    if (!rc)
        rc = kv_write(db->kv, f.batch, KV_SYNC, e);
    if (!rc)
        blockfiles_clean(bf);
    buf_clear(&f.records);
    buf_clear(&f.value);
    kv_batch_free(f.batch);
    return rc;
}

static void flag_key(struct buf *key, const char *name)
{
    buf_put_u8(key, 'F');
    buf_put_str(key, name);
}

enum err index_db_get_flag(struct index_db *db, const char *name, bool *value, struct error *e)
{
    struct buf key = { 0 }, data = { 0 };
    bool found;
    flag_key(&key, name);
    enum err rc = kv_get(db->kv, key.data, key.len, &data, &found, e);
    if (!rc)
        *value = found && data.len == 1 && data.data[0] != 0;
    buf_clear(&key);
    buf_clear(&data);
    return rc;
}

enum err index_db_set_flag(struct index_db *db, const char *name, bool value, struct error *e)
{
    struct buf key = { 0 };
    uint8_t byte = value;
    struct kv_batch *b = kv_batch_new(db->kv);
    flag_key(&key, name);
    kv_batch_put(b, key.data, key.len, &byte, 1);
    enum err rc = kv_write(db->kv, b, KV_SYNC, e);
    kv_batch_free(b);
    buf_clear(&key);
    return rc;
}

static void tx_key(uint8_t key[33], const struct txid *id)
{
    key[0] = 't';
    memcpy(key + 1, id->b, 32);
}

enum err index_db_find_tx(struct index_db *db, const struct txid *id, struct tx_location *loc,
                          bool *found, struct error *e)
{
    uint8_t key[33];
    struct buf value = { 0 };
    struct reader r;
    tx_key(key, id);
    enum err rc = kv_get(db->kv, key, sizeof(key), &value, found, e);
    if (!rc && *found) {
        reader_init(&r, value.data, value.len);
        read_copy(&r, loc->block.b, 32);
        loc->offset = read_varint(&r);
        loc->size = read_varint(&r);
        if (!reader_done(&r))
            rc = error_set(e, ERR_CORRUPT,
                           "transaction index: a record is damaged; restart with -reindex");
    }
    buf_clear(&value);
    return rc;
}

enum err index_db_get_tx_tip(struct index_db *db, struct block_hash *tip, bool *found,
                             struct error *e)
{
    struct buf value = { 0 };
    enum err rc = kv_get(db->kv, "T", 1, &value, found, e);
    if (!rc && *found && value.len != 32)
        rc = error_set(e, ERR_CORRUPT,
                       "transaction index: its tip is damaged; restart with -reindex");
    if (!rc && *found)
        memcpy(tip->b, value.data, 32);
    buf_clear(&value);
    return rc;
}

static void spend_key(uint8_t key[SPEND_KEY_SIZE], const struct outpoint *marker,
                      const struct block_hash *block)
{
    key[0] = 'm';
    memcpy(key + 1, marker->txid.b, 32);
    be32_put(key + 33, marker->index);
    memcpy(key + SPEND_PREFIX_SIZE, block->b, 32);
}

static bool is_of_marker(struct span key, const uint8_t prefix[SPEND_PREFIX_SIZE])
{
    return key.len == SPEND_KEY_SIZE && mem_equal_var(key.data, prefix, SPEND_PREFIX_SIZE);
}

enum err index_db_each_spend(struct index_db *db, const struct outpoint *marker,
                             marker_spend_fn fn, void *ctx, struct error *e)
{
    uint8_t first[SPEND_KEY_SIZE];
    struct block_hash block = { { 0 } };
    struct txid spender;
    struct kv_iter *it = kv_iter_new(db->kv);
    enum err rc = OK;
    bool more = true;
    spend_key(first, marker, &block);
    for (kv_iter_seek(it, first, SPEND_PREFIX_SIZE); more && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        if (!is_of_marker(key, first))
            break;
        if (value.len != 32) {
            rc = bad_record("marker", e);
            break;
        }
        memcpy(block.b, key.data + SPEND_PREFIX_SIZE, 32);
        memcpy(spender.b, value.data, 32);
        more = fn(ctx, &block, &spender);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

struct index_batch *index_batch_new(struct index_db *db)
{
    struct index_batch *b = xcalloc(1, sizeof(*b));
    b->db = db;
    b->batch = kv_batch_new(db->kv);
    return b;
}

void index_batch_free(struct index_batch *b)
{
    if (!b)
        return;
    kv_batch_free(b->batch);
    free(b);
}

void index_batch_put_tx(struct index_batch *b, const struct txid *id,
                        const struct tx_location *loc)
{
    uint8_t key[33];
    struct buf value = { 0 };
    tx_key(key, id);
    buf_put(&value, loc->block.b, 32);
    buf_put_varint(&value, loc->offset);
    buf_put_varint(&value, loc->size);
    kv_batch_put(b->batch, key, sizeof(key), value.data, value.len);
    buf_clear(&value);
}

void index_batch_set_tx_tip(struct index_batch *b, const struct block_hash *tip)
{
    kv_batch_put(b->batch, "T", 1, tip->b, 32);
}

void index_batch_put_spend(struct index_batch *b, const struct outpoint *marker,
                           const struct block_hash *block, const struct txid *spender)
{
    uint8_t key[SPEND_KEY_SIZE];
    spend_key(key, marker, block);
    kv_batch_put(b->batch, key, sizeof(key), spender->b, 32);
}

size_t index_batch_bytes(const struct index_batch *b) { return kv_batch_bytes(b->batch); }

enum err index_batch_write(struct index_batch *b, enum kv_sync sync, struct error *e)
{
    return kv_write(b->db->kv, b->batch, sync, e);
}

size_t index_db_memory(struct index_db *db)
{
    return kv_memory_bytes(db->kv);
}
