/* Rates over the last few seconds, kept in one slot a second. */
#include <config.h>

#include <string.h>

#include "base/clock.h"
#include "chain/chain_internal.h"

void progress_init(struct progress *p)
{
    memset(p, 0, sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
}

void progress_clear(struct progress *p) { pthread_mutex_destroy(&p->lock); }

static struct progress_slot *slot_now(struct progress *p)
{
    int64_t second = clock_mono_ms() / 1000;
    struct progress_slot *slot = &p->slots[second % PROGRESS_SLOTS];
    if (slot->second != second)
        *slot = (struct progress_slot){ .second = second };
    return slot;
}

void progress_time(struct progress *p, enum progress_what what, int64_t us)
{
    pthread_mutex_lock(&p->lock);
    slot_now(p)->us[what] += us;
    pthread_mutex_unlock(&p->lock);
}

void progress_block(struct progress *p, uint64_t txs, uint64_t inputs,
                    const struct coins_stats *coins)
{
    pthread_mutex_lock(&p->lock);
    struct progress_slot *slot = slot_now(p);
    slot->blocks++;
    slot->txs += txs;
    slot->inputs += inputs;
    p->coins = *coins;
    pthread_mutex_unlock(&p->lock);
}

/* Sum of the slots that are still young; returns the seconds they span. */
static double sum_slots(struct progress *p, struct progress_slot *sum, struct coins_stats *coins)
{
    int64_t now_ms = clock_mono_ms(), oldest = now_ms / 1000;
    *sum = (struct progress_slot){ 0 };
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < PROGRESS_SLOTS; i++) {
        const struct progress_slot *slot = &p->slots[i];
        if (slot->second == 0 || slot->second + PROGRESS_SLOTS <= now_ms / 1000)
            continue;
        if (slot->second < oldest)
            oldest = slot->second;
        sum->blocks += slot->blocks;
        sum->txs += slot->txs;
        sum->inputs += slot->inputs;
        for (unsigned k = 0; k < PROGRESS_KINDS; k++)
            sum->us[k] += slot->us[k];
    }
    *coins = p->coins;
    pthread_mutex_unlock(&p->lock);
    double seconds = (double)(now_ms - oldest * 1000) / 1000.0;
    return seconds < 0.1 ? 0.1 : seconds;
}

static enum chain_limit limit_of(const struct progress_slot *sum)
{
    if (sum->us[PROGRESS_IDLE] >= sum->us[PROGRESS_DISK] &&
        sum->us[PROGRESS_IDLE] >= sum->us[PROGRESS_CPU])
        return LIMIT_PEERS;
    return sum->us[PROGRESS_DISK] > sum->us[PROGRESS_CPU] ? LIMIT_DISK : LIMIT_CPU;
}

void chain_get_memory(struct chain *c, struct chain_memory *m)
{
    struct mempool_stats pool;
    struct nonfinal_stats held;
    size_t unused_headers;
    const size_t headers = header_index_memory_bytes(c->index, &unused_headers);
    const struct sigcache_stats signatures = sigcache_stats_get(c->txs.signatures),
                                scripts = sigcache_stats_get(c->txs.scripts);
    pthread_mutex_lock(&c->progress.lock);
    const size_t coins = c->progress.coins.cache_bytes;
    pthread_mutex_unlock(&c->progress.lock);
    mempool_get_stats(c->txs.pool, clock_now(), &pool);
    nonfinal_get_stats(c->txs.nonfinal, &held);
    *m = (struct chain_memory){
        .headers = headers - unused_headers,
        .coins = coins,
        .databases = coins_store_memory(c->coins) + index_db_memory(c->db),
        .mempool = pool.memory,
        .nonfinal = held.bytes,
        .signatures = signatures.touched + scripts.touched,
        .blocks_waiting = atomic_load(&c->received.bytes),
        .blocks_arriving = intake_memory_bytes(),
        .transactions_waiting = queue_bytes(c->txs.offers),
        .untouched = unused_headers + signatures.bytes - signatures.touched + scripts.bytes -
                     scripts.touched,
    };
}

void chain_get_progress(struct chain *c, struct chain_progress *p)
{
    struct progress_slot sum;
    struct chain_tip tip;
    *p = (struct chain_progress){ .eta_s = -1, .verification = 1.0 };
    double seconds = sum_slots(&c->progress, &sum, &p->coins);
    p->blocks_per_s = (double)sum.blocks / seconds;
    p->tx_per_s = (double)sum.txs / seconds;
    p->inputs_per_s = (double)sum.inputs / seconds;
    p->blocks_waiting_bytes = atomic_load(&c->received.bytes);
    chain_get_tip(c, &tip);
    const struct header_node *best = header_index_best(c->index);
    if (!tip.node || !best || best->height <= tip.height) {
        p->eta_s = tip.node ? 0 : -1;
        return;
    }
    /* No count of the transactions to come exists, so the measure is blocks. */
    p->verification = (double)tip.height / (double)best->height;
    if (p->blocks_per_s > 0)
        p->eta_s = (int64_t)((double)(best->height - tip.height) / p->blocks_per_s);
    p->limited_by = limit_of(&sum);
}
