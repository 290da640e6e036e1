/*
 * Order of a flush (architecture 4.4): block and undo files, then the index that names what is in
 * them with what spent markers, then the coins, then the transaction index. Each step is synced
 * before the next begins, so whatever the coins on disk name is on disk too.
 */
#include <config.h>

#include "base/clock.h"
#include "base/log.h"
#include "chain/chain_internal.h"

#define COINS_INTERVAL_S 3600
#define INDEX_INTERVAL_S 300
/* A crash inside a flush makes the next start replay what came since the flush before; this much
 * of it takes a few seconds (product.md: recovery in under 10 s). */
#define REPLAY_INPUTS 1000000
#define REPLAY_BYTES (UINT64_C(2) << 30)
#define TX_INDEX_BYTES (64u << 20)

static int64_t interval_ms(int64_t configured_s, int64_t default_s)
{
    return (configured_s > 0 ? configured_s : default_s) * 1000;
}

static int64_t coins_due_ms(const struct chain *c)
{
    return c->flush.coins_ms + interval_ms(c->o.coins_flush_interval_s, COINS_INTERVAL_S);
}

static int64_t index_due_ms(const struct chain *c)
{
    return c->flush.index_ms + interval_ms(c->o.index_flush_interval_s, INDEX_INTERVAL_S);
}

enum err flush_index(struct chain *c, struct error *e)
{
    enum err rc = blockfiles_sync(c->files, e);
    if (!rc)
        rc = marker_index_write(c, e);
    if (!rc)
        rc = index_db_flush(c->db, c->index, c->files, e);
    c->flush.index_ms = clock_mono_ms();
    return rc;
}

enum err flush_all(struct chain *c, struct error *e)
{
    if (c->torn)
        return error_set(e, ERR_CORRUPT,
                         "the coins in memory are not consistent and are not written");
    int64_t start = clock_mono_us();
    enum err rc = flush_index(c, e);
    if (!rc && c->tip)
        rc = coins_flush(c->coins, &c->tip->hash, e);
    if (rc) {
        c->torn =
            true; /* a part may be written: the marker on disk says so, memory does not know */
        return rc;
    }
    c->flush.durable = c->tip;
    c->flush.inputs = 0;
    c->flush.bytes = 0;
    c->flush.coins_ms = clock_mono_ms();
    rc = tx_index_write(c, e);
    int64_t took = clock_mono_us() - start;
    progress_time(&c->progress, PROGRESS_DISK, took);
    log_debug(LOGC_COINDB, "flushed at height %d in %lld us", c->tip ? c->tip->height : -1,
              (long long)took);
    return rc;
}

static bool coins_due(struct chain *c)
{
    if (c->flush.durable == c->tip && c->flush.inputs == 0)
        return false;
    return coins_over_budget(c->coins) || c->flush.inputs >= REPLAY_INPUTS ||
           c->flush.bytes >= REPLAY_BYTES ||
           (c->tx_index.batch && index_batch_bytes(c->tx_index.batch) >= TX_INDEX_BYTES) ||
           clock_mono_ms() >= coins_due_ms(c);
}

enum err flush_if_due(struct chain *c, struct error *e)
{
    if (coins_due(c))
        return flush_all(c, e);
    return clock_mono_ms() >= index_due_ms(c) ? flush_index(c, e) : OK;
}

enum err flush_for_block(struct chain *c, uint64_t block_bytes, struct error *e)
{
    struct coins_stats stats;
    coins_get_stats(c->coins, &stats);
    /* An output takes about twice its bytes on the wire in the cache; spent ones stay as marks. */
    uint64_t estimate = 2 * block_bytes;
    if (stats.dirty == 0 || stats.cache_bytes + estimate <= c->o.dbcache_bytes)
        return OK;
    return block_bytes > (UINT64_C(32) << 20) ? flush_all(c, e) : OK;
}
