/*
 * The engine of tests: a skip list of keys, each with its versions, newest first. Every batch has a
 * number. An iterator sees, of each key, the newest version that is not younger than itself; a
 * power cut drops the versions younger than the last synced batch. Versions are thinned when their
 * key is written again and no iterator is open. Deleted keys stay as nodes until kv_compact.
 */
#include <config.h>

#include "base/kv.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/kv_internal.h"
#include "base/mem.h"

enum { MAX_LEVEL = 16 }; /* with one node in four on the next level: 4^16 keys */

struct version {
    struct version *older;
    uint64_t seq; /* batch that wrote it */
    bool deleted;
    size_t len;
    uint8_t data[];
};

struct node {
    struct version *newest; /* NULL: nothing (left), as if never written */
    uint8_t *key;
    size_t key_len;
    struct node *next[]; /* as many as the node's level */
};

struct mem {
    struct kv kv;
    pthread_mutex_t lock;
    struct node *head[MAX_LEVEL];
    uint64_t seq, synced_seq;
    uint64_t fail_at;   /* writes from this number on fail; 0: none */
    uint64_t writes;
    uint64_t random;    /* state of the level generator */
    size_t bytes;       /* keys and values held, all versions */
    unsigned iterators;
};

struct mem_op { bool deleted; size_t key_at, key_len, value_at, value_len; };

struct mem_batch {
    struct kv_batch batch;
    struct mem_op *ops;
    size_t count, cap;
    struct buf data;
};

struct mem_iter {
    struct kv_iter iter;
    struct mem *mem;
    uint64_t seq;
    const struct node *node; /* NULL: not valid */
    const struct version *version;
};

static int compare_keys(const struct node *n, struct span key)
{
    size_t len = n->key_len < key.len ? n->key_len : key.len;
    int c = len ? memcmp(n->key, key.data, len) : 0;
    if (c != 0)
        return c;
    return n->key_len < key.len ? -1 : n->key_len > key.len;
}

/* First node with a key >= key; links (may be NULL) gets the pointer to change on each level. */
static struct node *find_locked(struct mem *mem, struct span key, struct node **links[MAX_LEVEL])
{
    struct node **row = mem->head;
    for (int level = MAX_LEVEL - 1; level >= 0; level--) {
        while (row[level] && compare_keys(row[level], key) < 0)
            row = row[level]->next;
        if (links)
            links[level] = &row[level];
    }
    return row[0];
}

/* xorshift: fixed start, so that a test meets the same list each time. */
static int random_level(struct mem *mem)
{
    mem->random ^= mem->random << 13;
    mem->random ^= mem->random >> 7;
    mem->random ^= mem->random << 17;
    int level = 1;
    for (uint64_t r = mem->random; level < MAX_LEVEL && (r & 3) == 0; r >>= 2)
        level++;
    return level;
}

static struct node *find_or_add_locked(struct mem *mem, struct span key)
{
    struct node **links[MAX_LEVEL];
    struct node *n = find_locked(mem, key, links);
    if (n && compare_keys(n, key) == 0)
        return n;
    int levels = random_level(mem);
    n = xmalloc(sizeof(*n) + (size_t)levels * sizeof(n->next[0]));
    n->newest = NULL;
    n->key_len = key.len;
    n->key = xmalloc(key.len + 1);
    if (key.len)
        memcpy(n->key, key.data, key.len);
    for (int level = 0; level < levels; level++) {
        n->next[level] = *links[level];
        *links[level] = n;
    }
    mem->bytes += key.len;
    return n;
}

static void free_versions(struct mem *mem, struct version *v)
{
    while (v) {
        struct version *older = v->older;
        mem->bytes -= v->len;
        free(v);
        v = older;
    }
}

static void free_node(struct mem *mem, struct node *n)
{
    free_versions(mem, n->newest);
    mem->bytes -= n->key_len;
    free(n->key);
    free(n);
}

/* Keeps the newest version and the newest synced one. */
static void thin_locked(struct mem *mem, struct node *n)
{
    struct version *keep = n->newest;
    while (keep && keep->older && keep->seq > mem->synced_seq) {
        struct version *older = keep->older;
        if (older->seq <= mem->synced_seq) {
            keep = older;
            break;
        }
        keep->older = older->older;
        older->older = NULL;
        free_versions(mem, older);
    }
    if (keep) {
        free_versions(mem, keep->older);
        keep->older = NULL;
    }
}

static void apply_locked(struct mem *mem, const struct mem_batch *b, const struct mem_op *op)
{
    struct node *n = find_or_add_locked(mem, span_of(b->data.data + op->key_at, op->key_len));
    struct version *v = xmalloc(sizeof(*v) + op->value_len);
    v->older = n->newest;
    v->seq = mem->seq;
    v->deleted = op->deleted;
    v->len = op->value_len;
    if (v->len)
        memcpy(v->data, b->data.data + op->value_at, v->len);
    n->newest = v;
    mem->bytes += v->len;
    if (mem->iterators == 0)
        thin_locked(mem, n);
}

static const struct version *visible(const struct node *n, uint64_t seq)
{
    const struct version *v = n->newest;
    while (v && v->seq > seq)
        v = v->older;
    return v && !v->deleted ? v : NULL;
}

static void mem_close(struct kv *kv)
{
    struct mem *mem = (struct mem *)kv;
    BUG_ON(mem->iterators != 0);
    for (struct node *n = mem->head[0]; n;) {
        struct node *next = n->next[0];
        free_node(mem, n);
        n = next;
    }
    pthread_mutex_destroy(&mem->lock);
    free(mem);
}

static enum err mem_get(struct kv *kv, struct span key, struct buf *value, bool *found,
                        struct error *e)
{
    (void)e;
    struct mem *mem = (struct mem *)kv;
    pthread_mutex_lock(&mem->lock);
    const struct node *n = find_locked(mem, key, NULL);
    const struct version *v = n && compare_keys(n, key) == 0 ? visible(n, mem->seq) : NULL;
    if (v) {
        buf_put(value, v->data, v->len);
        *found = true;
    }
    pthread_mutex_unlock(&mem->lock);
    return OK;
}

static struct kv_batch *mem_batch_new(struct kv *kv)
{
    (void)kv;
    struct mem_batch *b = xcalloc(1, sizeof(*b));
    buf_init(&b->data);
    return &b->batch;
}

static void mem_batch_free(struct kv_batch *batch)
{
    struct mem_batch *b = (struct mem_batch *)batch;
    buf_clear(&b->data);
    free(b->ops);
    free(b);
}

static struct mem_op *batch_add(struct mem_batch *b, struct span key)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->ops = xrealloc(b->ops, b->cap * sizeof(*b->ops));
    }
    struct mem_op *op = &b->ops[b->count++];
    *op = (struct mem_op){ .key_at = b->data.len, .key_len = key.len };
    buf_put(&b->data, key.data, key.len);
    return op;
}

static void mem_batch_put(struct kv_batch *batch, struct span key, struct span value)
{
    struct mem_batch *b = (struct mem_batch *)batch;
    struct mem_op *op = batch_add(b, key);
    op->value_at = b->data.len;
    op->value_len = value.len;
    buf_put(&b->data, value.data, value.len);
}

static void mem_batch_delete(struct kv_batch *batch, struct span key)
{
    batch_add((struct mem_batch *)batch, key)->deleted = true;
}

static void mem_batch_clear(struct kv_batch *batch)
{
    struct mem_batch *b = (struct mem_batch *)batch;
    b->count = 0;
    buf_reset(&b->data);
}

static enum err mem_write(struct kv *kv, struct kv_batch *batch, enum kv_sync sync, struct error *e)
{
    struct mem *mem = (struct mem *)kv;
    const struct mem_batch *b = (const struct mem_batch *)batch;
    pthread_mutex_lock(&mem->lock);
    mem->writes++;
    bool fails = mem->fail_at && mem->writes >= mem->fail_at;
    if (!fails) {
        mem->seq++;
        for (size_t i = 0; i < b->count; i++)
            apply_locked(mem, b, &b->ops[i]);
        if (sync == KV_SYNC)
            mem->synced_seq = mem->seq;
    }
    pthread_mutex_unlock(&mem->lock);
    return fails ? error_set(e, ERR_IO, "memory store: write failed on request") : OK;
}

static struct kv_iter *mem_iter_new(struct kv *kv)
{
    struct mem_iter *it = xcalloc(1, sizeof(*it));
    it->mem = (struct mem *)kv;
    pthread_mutex_lock(&it->mem->lock);
    it->seq = it->mem->seq;
    it->mem->iterators++;
    pthread_mutex_unlock(&it->mem->lock);
    return &it->iter;
}

static void mem_iter_free(struct kv_iter *iter)
{
    struct mem_iter *it = (struct mem_iter *)iter;
    pthread_mutex_lock(&it->mem->lock);
    it->mem->iterators--;
    pthread_mutex_unlock(&it->mem->lock);
    free(it);
}

/* Stops at the first node from n on that this iterator can see. */
static void settle_locked(struct mem_iter *it, const struct node *n)
{
    it->version = NULL;
    for (; n; n = n->next[0]) {
        it->version = visible(n, it->seq);
        if (it->version)
            break;
    }
    it->node = n;
}

static void mem_iter_seek(struct kv_iter *iter, struct span key)
{
    struct mem_iter *it = (struct mem_iter *)iter;
    pthread_mutex_lock(&it->mem->lock);
    settle_locked(it, find_locked(it->mem, key, NULL));
    pthread_mutex_unlock(&it->mem->lock);
}

static bool mem_iter_valid(const struct kv_iter *iter)
{
    return ((const struct mem_iter *)iter)->node != NULL;
}

static void mem_iter_next(struct kv_iter *iter)
{
    struct mem_iter *it = (struct mem_iter *)iter;
    BUG_ON(!it->node);
    pthread_mutex_lock(&it->mem->lock);
    settle_locked(it, it->node->next[0]);
    pthread_mutex_unlock(&it->mem->lock);
}

static struct span mem_iter_key(const struct kv_iter *iter)
{
    const struct mem_iter *it = (const struct mem_iter *)iter;
    return span_of(it->node->key, it->node->key_len);
}

static struct span mem_iter_value(const struct kv_iter *iter)
{
    const struct mem_iter *it = (const struct mem_iter *)iter;
    return span_of(it->version->data, it->version->len);
}

static enum err mem_iter_error(const struct kv_iter *iter, struct error *e)
{
    (void)iter;
    (void)e;
    return OK;
}

static uint64_t mem_disk_bytes(struct kv *kv)
{
    struct mem *mem = (struct mem *)kv;
    pthread_mutex_lock(&mem->lock);
    uint64_t n = mem->bytes;
    pthread_mutex_unlock(&mem->lock);
    return n;
}

static size_t mem_memory_bytes(struct kv *kv)
{
    return (size_t)mem_disk_bytes(kv);
}

static bool is_gone(const struct node *n, uint64_t synced_seq)
{
    const struct version *v = n->newest;
    return !v || (v->deleted && !v->older && v->seq <= synced_seq);
}

static void mem_compact(struct kv *kv)
{
    struct mem *mem = (struct mem *)kv;
    pthread_mutex_lock(&mem->lock);
    /* Nothing may vanish below an iterator. */
    for (struct node *n = mem->iterators ? NULL : mem->head[0]; n;) {
        struct node *next = n->next[0];
        thin_locked(mem, n);
        if (is_gone(n, mem->synced_seq)) {
            struct node **links[MAX_LEVEL];
            find_locked(mem, span_of(n->key, n->key_len), links);
            for (int level = 0; level < MAX_LEVEL && *links[level] == n; level++)
                *links[level] = n->next[level];
            free_node(mem, n);
        }
        n = next;
    }
    pthread_mutex_unlock(&mem->lock);
}

static const struct kv_ops mem_ops = {
    .close = mem_close, .get = mem_get,
    .batch_new = mem_batch_new, .batch_free = mem_batch_free, .batch_put = mem_batch_put,
    .batch_delete = mem_batch_delete, .batch_clear = mem_batch_clear, .write = mem_write,
    .iter_new = mem_iter_new, .iter_free = mem_iter_free, .iter_seek = mem_iter_seek,
    .iter_valid = mem_iter_valid, .iter_next = mem_iter_next, .iter_key = mem_iter_key,
    .iter_value = mem_iter_value, .iter_error = mem_iter_error,
    .disk_bytes = mem_disk_bytes, .memory_bytes = mem_memory_bytes, .compact = mem_compact,
};

struct kv *kv_open_mem(void)
{
    struct mem *mem = xcalloc(1, sizeof(*mem));
    mem->kv.ops = &mem_ops;
    mem->random = 0x9e3779b97f4a7c15u;
    pthread_mutex_init(&mem->lock, NULL);
    return &mem->kv;
}

void kv_mem_fail_writes(struct kv *kv, uint64_t n)
{
    struct mem *mem = (struct mem *)kv;
    BUG_ON(kv->ops != &mem_ops);
    pthread_mutex_lock(&mem->lock);
    mem->fail_at = n ? mem->writes + n : 0;
    pthread_mutex_unlock(&mem->lock);
}

void kv_mem_power_cut(struct kv *kv)
{
    struct mem *mem = (struct mem *)kv;
    BUG_ON(kv->ops != &mem_ops);
    pthread_mutex_lock(&mem->lock);
    BUG_ON(mem->iterators != 0);
    for (struct node *n = mem->head[0]; n; n = n->next[0])
        while (n->newest && n->newest->seq > mem->synced_seq) {
            struct version *lost = n->newest;
            n->newest = lost->older;
            lost->older = NULL;
            free_versions(mem, lost);
        }
    pthread_mutex_unlock(&mem->lock);
}
