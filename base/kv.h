/*
 * Ordered key-value store: the seam between what we keep and which engine keeps it. Engines:
 * kv_leveldb.c, kv_mem.c (tests, with faults on demand). Keys order bytewise.
 *
 * get and iterators may run on any thread; writes are serialised by the engine. "Not there" is
 * found = false with OK; an error means the engine could not look.
 */
#ifndef BASE_KV_H
#define BASE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct kv;
struct kv_batch;
struct kv_iter;

struct kv_options {
    size_t cache_bytes;        /* block cache */
    size_t write_buffer_bytes;
    bool compress;
    bool bloom_filter;
    int max_open_files;        /* 0: engine's default */
    bool must_exist;           /* ERR_NOTFOUND rather than creating */
};

enum kv_sync { KV_NO_SYNC, KV_SYNC };

enum err kv_open_leveldb(struct kv **out, const char *path, const struct kv_options *o,
                         struct error *e) MUST_CHECK;
struct kv *kv_open_mem(void);
/* kv_mem only: the n-th write from now fails with ERR_IO (1 = the next), and all after
 * it; 0: none. */
void kv_mem_fail_writes(struct kv *kv, uint64_t n);
/* kv_mem only: drops every batch since the last synced one, as a power cut would. */
void kv_mem_power_cut(struct kv *kv);
void kv_close(struct kv *kv); /* NULL is fine */

enum err kv_get(struct kv *kv, const void *key, size_t key_len, struct buf *value, bool *found,
                struct error *e) MUST_CHECK;

struct kv_batch *kv_batch_new(struct kv *kv);
void kv_batch_free(struct kv_batch *b);
void kv_batch_put(struct kv_batch *b, const void *key, size_t key_len, const void *value,
                  size_t value_len);
void kv_batch_delete(struct kv_batch *b, const void *key, size_t key_len);
size_t kv_batch_bytes(const struct kv_batch *b); /* counted here: the LevelDB C API does not tell */
/* Atomic. On success the batch is empty and can be reused. */
enum err kv_write(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e) MUST_CHECK;

/* A snapshot taken at creation. */
struct kv_iter *kv_iter_new(struct kv *kv);
void kv_iter_free(struct kv_iter *it);
void kv_iter_seek(struct kv_iter *it, const void *key, size_t key_len); /* first key >= this */
bool kv_iter_valid(const struct kv_iter *it);
void kv_iter_next(struct kv_iter *it);
struct span kv_iter_key(const struct kv_iter *it);   /* borrowed until the next move */
struct span kv_iter_value(const struct kv_iter *it);
enum err kv_iter_error(const struct kv_iter *it, struct error *e) MUST_CHECK;

enum err kv_is_empty(struct kv *kv, bool *empty, struct error *e) MUST_CHECK;
uint64_t kv_disk_bytes(struct kv *kv); /* approximate */
size_t kv_memory_bytes(struct kv *kv); /* approximate */
/* Rewrites the store's files; long. */
void kv_compact(struct kv *kv);

#endif
