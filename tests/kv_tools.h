/* What tests do with whole stores. Needs cmocka and base. */
#ifndef TESTS_KV_TOOLS_H
#define TESTS_KV_TOOLS_H

#include <string.h>

#include "base/kv.h"
#include "tests/test.h"

/* How many rows have keys that begin so. */
static inline size_t kv_rows(struct kv *kv, const char *prefix)
{
    struct kv_iter *it = kv_iter_new(kv);
    const size_t len = strlen(prefix);
    size_t n = 0;
    for (kv_iter_seek(it, prefix, len); kv_iter_valid(it); kv_iter_next(it), n++) {
        const struct span key = kv_iter_key(it);
        if (key.len < len || memcmp(key.data, prefix, len) != 0)
            break;
    }
    kv_iter_free(it);
    return n;
}

/* All that is in it, in a store of its own in memory: what another process would find. */
static inline struct kv *kv_copy(struct kv *from)
{
    struct kv *to = kv_open_mem();
    struct kv_batch *b = kv_batch_new(to);
    struct kv_iter *it = kv_iter_new(from);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        kv_batch_put(b, key.data, key.len, value.data, value.len);
    }
    assert_int_equal(kv_iter_error(it, NULL), OK);
    kv_iter_free(it);
    assert_int_equal(kv_write(to, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    return to;
}

#endif
