/*
 * Keys order by transaction id, but within one by the bytes of the index's VARINT, which is the
 * order of the numbers only up to 16,511. The hash wants rising indexes (spec rpc 2), so the
 * outputs of one transaction are collected first.
 */
#include "chain/coins_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"

#define BOGO_PER_OUTPUT 50

struct output_ref {
    uint32_t index;
    uint64_t head;  /* 2 * height + coinbase */
    size_t at, len; /* its serialisation in group.bytes */
};

/* The unspent outputs of one transaction. */
struct group {
    struct txid id;
    struct output_ref *refs;
    size_t n, cap;
    struct buf bytes;
};

static enum err group_add(struct group *g, const struct outpoint *o, const struct coin *coin,
                          struct error *e)
{
    if (g->n == g->cap) {
        const size_t cap = g->cap ? 2 * g->cap : 16;
        struct output_ref *refs = try_realloc(g->refs, cap, sizeof(*refs));
        if (!refs)
            return error_set(e, ERR_NOMEM, "no memory for the outputs of one transaction");
        g->refs = refs;
        g->cap = cap;
    }
    if (!buf_try_reserve(&g->bytes, coin->script.len + 32))
        return error_set(e, ERR_NOMEM, "no memory for the outputs of one transaction");
    struct output_ref *ref = &g->refs[g->n++];
    ref->index = o->index;
    ref->head = 2 * (uint64_t)coin->height + coin->coinbase;
    ref->at = g->bytes.len;
    buf_put_varint(&g->bytes, (uint64_t)o->index + 1);
    buf_put_var_bytes(&g->bytes, coin->script.data, coin->script.len);
    buf_put_varint(&g->bytes, (uint64_t)coin->value);
    ref->len = g->bytes.len - ref->at;
    return OK;
}

static int compare_refs(const void *a, const void *b)
{
    const struct output_ref *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void hash_varint(struct sha256 *hash, uint64_t v)
{
    struct buf b;
    buf_init(&b);
    buf_put_varint(&b, v);
    sha256_update(hash, b.data, b.len);
    buf_clear(&b);
}

static void hash_group(struct sha256 *hash, struct group *g)
{
    qsort(g->refs, g->n, sizeof(*g->refs), compare_refs);
    sha256_update(hash, g->id.b, sizeof(g->id.b));
    hash_varint(hash, g->refs[0].head);
    for (size_t i = 0; i < g->n; i++)
        sha256_update(hash, g->bytes.data + g->refs[i].at, g->refs[i].len);
    hash_varint(hash, 0);
    g->n = 0;
    buf_reset(&g->bytes);
}

static enum err count_coin(struct coins_totals *out, struct sha256 *hash, struct group *g,
                           const struct outpoint *o, const struct coin *coin, struct error *e)
{
    if (g->n > 0 && !txid_equal(&g->id, &o->txid))
        hash_group(hash, g);
    if (g->n == 0) {
        g->id = o->txid;
        out->transactions++;
    }
    out->outputs++;
    out->bogosize += BOGO_PER_OUTPUT + coin->script.len;
    if (coin->value < 0 || !add_i64(out->amount, coin->value, &out->amount))
        return error_set(e, ERR_CORRUPT, "coins database: amounts are out of range");
    return group_add(g, o, coin, e);
}

enum err coins_totals_compute(struct coins_totals *out, struct coins_iter *it,
                              const struct block_hash *best, const struct cancel *cancel,
                              struct error *e)
{
    struct group group = { .n = 0 };
    struct sha256 hash;
    struct outpoint o;
    struct coin coin;
    enum err rc = OK;
    *out = (struct coins_totals){ .outputs = 0 };
    buf_init(&group.bytes);
    sha256_init(&hash);
    sha256_update(&hash, best->b, sizeof(best->b));
    while (!rc && coins_iter_next(it, &o, &coin, &rc, e))
        rc = cancelled(cancel) ? error_set(e, ERR_CANCELLED, "stopped")
                               : count_coin(out, &hash, &group, &o, &coin, e);
    if (!rc && group.n > 0)
        hash_group(&hash, &group);
    sha256d_final(&hash, out->hash_serialized.b);
    free(group.refs);
    buf_clear(&group.bytes);
    return rc;
}
