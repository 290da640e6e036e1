/*
 * What an engine gives to kv.c. An engine embeds struct kv, kv_batch and kv_iter as the first
 * member of its own; kv.c keeps the common part (byte counts) and passes on through the table.
 */
#ifndef BASE_KV_INTERNAL_H
#define BASE_KV_INTERNAL_H

#include "base/kv.h"

struct kv_ops {
    void (*close)(struct kv *kv);
    enum err (*get)(struct kv *kv, struct span key, struct buf *value, bool *found,
                    struct error *e);
    struct kv_batch *(*batch_new)(struct kv *kv);
    void (*batch_free)(struct kv_batch *b);
    void (*batch_put)(struct kv_batch *b, struct span key, struct span value);
    void (*batch_delete)(struct kv_batch *b, struct span key);
    void (*batch_clear)(struct kv_batch *b);
    enum err (*write)(struct kv *kv, struct kv_batch *b, enum kv_sync sync, struct error *e);
    struct kv_iter *(*iter_new)(struct kv *kv);
    void (*iter_free)(struct kv_iter *it);
    void (*iter_seek)(struct kv_iter *it, struct span key);
    bool (*iter_valid)(const struct kv_iter *it);
    void (*iter_next)(struct kv_iter *it);
    struct span (*iter_key)(const struct kv_iter *it);
    struct span (*iter_value)(const struct kv_iter *it);
    enum err (*iter_error)(const struct kv_iter *it, struct error *e);
    uint64_t (*disk_bytes)(struct kv *kv);
    size_t (*memory_bytes)(struct kv *kv);
    void (*compact)(struct kv *kv);
};

struct kv { const struct kv_ops *ops; };
struct kv_batch { const struct kv_ops *ops; size_t bytes; };
struct kv_iter { const struct kv_ops *ops; };

#endif
