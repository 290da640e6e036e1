/*
 * Reading many coins at once. The outpoints that the cache lacks are sorted, because neighbours in
 * key order lie in the same blocks of the database, and cut into slices; a job reads a slice and
 * keeps what it found in its own memory; this thread then puts all of it into the cache.
 */
#include <config.h>

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/coins_internal.h"

enum {
    SLICE_MIN = 32,        /* lookups that are worth a job */
    SLICES_PER_WORKER = 4, /* so that slow slices even out */
    SLICE_BYTES = 4 << 20, /* of coins; what comes after is read when it is asked for */
    MISSING = -1,
};

struct slice {
    struct job job;
    struct kv *kv;
    const struct outpoint *wanted;
    size_t n;           /* after the job: how many were looked up */
    struct buf values;  /* of the coins found, one after the other */
    struct buf lengths; /* int64_t for each wanted one: length in values, or MISSING */
    enum err err;
    struct error error;
};

/* Lists the outpoints to look up, sorted, each once. */
static enum err collect(struct coins *c, const struct outpoint *outpoints, size_t n,
                        struct outpoint **out, size_t *n_out, struct error *e)
{
    *out = NULL;
    size_t count = 0, cap = 0;
    for (size_t i = 0; i < n; i++) {
        struct coin_entry *ce =
            coins_map_find(&c->map, &outpoints[i], coins_map_hash(&c->map, &outpoints[i]), NULL);
        if (ce) {
            ce->flags |= CE_RECENT;
            continue;
        }
        if (count == cap) {
            cap = MAX_OF(cap * 2, 64);
            struct outpoint *p = try_realloc(*out, cap, sizeof(*p));
            if (!p)
                return error_set(e, ERR_NOMEM, "no memory for a list of %zu coins", cap);
            *out = p;
        }
        (*out)[count++] = outpoints[i];
    }
    if (count)
        qsort(*out, count, sizeof(**out), outpoint_order);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !outpoint_equal(&(*out)[i], &(*out)[kept - 1]))
            (*out)[kept++] = (*out)[i];
    *n_out = kept;
    return OK;
}

static void run_slice(struct job *job)
{
    struct slice *s = (struct slice *)job; /* its first member */
    struct buf value;
    buf_init(&value);
    size_t i = 0;
    for (; i < s->n && s->values.len < SLICE_BYTES; i++) {
        uint8_t key[COIN_KEY_MAX];
        bool found;
        buf_reset(&value);
        s->err = kv_get(s->kv, key, coin_key(key, &s->wanted[i]), &value, &found, &s->error);
        if (s->err)
            break;
        int64_t len = found ? (int64_t)value.len : MISSING;
        if (found && !buf_try_reserve(&s->values, value.len)) {
            s->err = error_set(&s->error, ERR_NOMEM, "no memory for coins read from the database");
            break;
        }
        if (found)
            buf_put(&s->values, value.data, value.len);
        buf_put(&s->lengths, &len, sizeof(len));
    }
    s->n = i;
    buf_clear(&value);
}

static enum err insert(struct coins *c, const struct outpoint *o, const struct coin *coin,
                       struct error *e)
{
    struct coin_entry *ce;
    uint32_t number;
    return coins_insert(c, o, coins_map_hash(&c->map, o), coin, &ce, &number, e);
}

static enum err insert_slice(struct coins *c, const struct slice *s, struct error *e)
{
    if (s->err) {
        if (e)
            *e = s->error;
        return s->err;
    }
    const uint8_t *value = s->values.data;
    for (size_t i = 0; i < s->n; i++) {
        int64_t len;
        memcpy(&len, s->lengths.data + i * sizeof(len), sizeof(len));
        if (len == MISSING)
            continue;
        struct coin coin;
        enum err rc = coin_read(value, (size_t)len, &coin, e);
        if (!rc)
            rc = insert(c, &s->wanted[i], &coin, e);
        if (rc)
            return rc;
        value += len;
    }
    return OK;
}

static enum err read_slices(struct coins *c, const struct outpoint *wanted, size_t n,
                            struct pool *pool, struct error *e)
{
    size_t most = pool ? (pool_workers(pool) + 1) * (size_t)SLICES_PER_WORKER : 1;
    size_t n_slices = MIN_OF(most, MAX_OF(n / SLICE_MIN, 1));
    struct slice *slices = xcalloc(n_slices, sizeof(*slices));
    struct job_group group = { .pool = NULL };
    if (pool)
        job_group_init(&group, pool);
    for (size_t i = 0; i < n_slices; i++) {
        size_t from = n * i / n_slices, to = n * (i + 1) / n_slices;
        slices[i] = (struct slice){ .kv = c->kv, .wanted = wanted + from, .n = to - from };
        slices[i].job = (struct job){ .run = run_slice, .group = &group };
        if (n_slices == 1)
            run_slice(&slices[i].job);
        else
            pool_submit(pool, JOB_BLOCK, &slices[i].job);
    }
    if (pool)
        job_group_wait(&group);
    enum err rc = OK;
    for (size_t i = 0; i < n_slices; i++) {
        if (!rc)
            rc = insert_slice(c, &slices[i], e);
        buf_clear(&slices[i].values);
        buf_clear(&slices[i].lengths);
    }
    free(slices);
    return rc;
}

enum err coins_prefetch(struct coins *c, const struct outpoint *outpoints, size_t n,
                        struct pool *pool, struct error *e)
{
    coins_before_change(c);
    if (c->disk_empty)
        return OK;
    struct outpoint *wanted;
    size_t n_wanted = 0;
    enum err rc = collect(c, outpoints, n, &wanted, &n_wanted, e);
    if (!rc && n_wanted)
        rc = read_slices(c, wanted, n_wanted, pool, e);
    free(wanted);
    return rc;
}
