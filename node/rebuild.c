#include "node/rebuild.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/intmath.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

#define SLOT_MEMORY (sizeof(struct slot) + 3 * sizeof(struct map_slot)) /* the table when largest */

enum rebuild_state {
    OFFERING, /* transactions of the node are looked through */
    WAITING,  /* for the one fill */
    COMPLETE,
    SPENT,    /* the fill was of no use */
};

/* One transaction of the block. */
struct slot {
    uint64_t short_id;
    struct tx *tx;  /* a reference; NULL: missing */
    bool ambiguous; /* several known transactions have this short id */
};

struct rebuild {
    enum rebuild_state state;
    struct siphash_key key, table_key;
    struct slot *slots;
    size_t n, n_missing;
    struct map by_short_id; /* slots to be filled from offers */
    size_t memory, budget;  /* in the ledger; of all rebuilds */
    uint8_t head[BLOCK_HEADER_SIZE + 9];
    size_t head_len;
    bool head_given;
    size_t next_piece;
};

static atomic_size_t memory_bytes; /* the ledger of rebuild_memory_bytes */

size_t rebuild_memory_bytes(void)
{
    return atomic_load_explicit(&memory_bytes, memory_order_relaxed);
}

static void charge(struct rebuild *r, size_t bytes)
{
    r->memory += bytes;
    atomic_fetch_add_explicit(&memory_bytes, bytes, memory_order_relaxed);
}

/* --- the message --- */

static bool has_short_id(const void *item, const void *key)
{
    const struct slot *slot = item;
    return slot->short_id == *(const uint64_t *)key;
}

/* Short ids are the sender's choice: the table is keyed (attacks C20). */
static uint64_t table_hash(const struct rebuild *r, uint64_t short_id)
{
    return siphash(&r->table_key, &short_id, sizeof(short_id));
}

static struct slot *find_slot(const struct rebuild *r, uint64_t short_id)
{
    return map_find(&r->by_short_id, table_hash(r, short_id), has_short_id, &short_id);
}

static enum rebuild_result take_tx(struct rebuild *r, struct slot *slot, struct span raw)
{
    struct error e;
    slot->tx = tx_new(raw.data, raw.len, &e);
    if (!slot->tx)
        return REBUILD_USELESS; /* the decoder has parsed it: memory is short */
    charge(r, tx_memory(slot->tx)); /* several times its bytes when its outputs are small */
    return rebuild_memory_bytes() > r->budget ? REBUILD_USELESS : REBUILD_FINE;
}

static enum rebuild_result take_prefilled(struct rebuild *r, const struct msg_cmpctblock *m)
{
    struct msg_indices at;
    msg_indices_init(&at, m->prefilled);
    for (size_t i = 0; i < m->n_prefilled; i++) {
        struct span raw;
        const uint32_t index = msg_prefilled_next(&at, &raw);
        if (index >= r->n)
            return REBUILD_BROKEN;
        const enum rebuild_result rc = take_tx(r, &r->slots[index], raw);
        if (rc != REBUILD_FINE)
            return rc;
    }
    return REBUILD_FINE;
}

/* Into the places that the prefilled transactions have left. */
static enum rebuild_result take_short_ids(struct rebuild *r, const struct msg_cmpctblock *m)
{
    const uint8_t *p = m->short_ids.data;
    for (size_t i = 0; i < r->n; i++) {
        struct slot *slot = &r->slots[i];
        if (slot->tx)
            continue;
        slot->short_id = short_id_get(p);
        p += SHORT_ID_SIZE;
        if (find_slot(r, slot->short_id))
            return REBUILD_USELESS;
        map_put(&r->by_short_id, table_hash(r, slot->short_id), slot);
    }
    return REBUILD_FINE;
}

static enum rebuild_result take_message(struct rebuild *r, const struct msg_cmpctblock *m)
{
    r->slots = try_alloc(r->n, sizeof(*r->slots));
    if (!r->slots)
        return REBUILD_USELESS;
    memset(r->slots, 0, r->n * sizeof(*r->slots));
    charge(r, r->n * SLOT_MEMORY);
    const enum rebuild_result rc = take_prefilled(r, m);
    return rc == REBUILD_FINE ? take_short_ids(r, m) : rc;
}

static void make_head(struct rebuild *r, const struct block_header *header)
{
    struct buf b;
    buf_init(&b);
    block_header_write(&b, header);
    buf_put_compact(&b, r->n);
    memcpy(r->head, b.data, b.len);
    r->head_len = b.len;
    buf_clear(&b);
}

struct rebuild *rebuild_new(const struct msg_cmpctblock *m, size_t budget,
                            enum rebuild_result *why)
{
    const size_t n = m->n_short_ids + m->n_prefilled;
    *why = n == 0 || n > UINT32_MAX ? REBUILD_BROKEN : REBUILD_USELESS;
    if (n == 0 || n > budget / SLOT_MEMORY ||
        rebuild_memory_bytes() + n * SLOT_MEMORY + m->prefilled.len > budget)
        return NULL;
    struct rebuild *r = xcalloc(1, sizeof(*r));
    r->n = n;
    r->n_missing = m->n_short_ids;
    r->budget = budget;
    r->key = short_id_key(&m->header, m->nonce);
    r->table_key = (struct siphash_key){ rand_u64(), rand_u64() };
    map_init(&r->by_short_id);
    make_head(r, &m->header);
    *why = take_message(r, m);
    if (*why == REBUILD_FINE)
        return r;
    rebuild_free(r);
    return NULL;
}

void rebuild_free(struct rebuild *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->slots && i < r->n; i++)
        tx_unref(r->slots[i].tx);
    free(r->slots);
    map_clear(&r->by_short_id);
    atomic_fetch_sub_explicit(&memory_bytes, r->memory, memory_order_relaxed);
    free(r);
}

/* --- what the node knows --- */

bool rebuild_offer(struct rebuild *r, struct tx *tx)
{
    struct slot *slot = find_slot(r, short_id_of(&r->key, &tx->id));
    if (!slot || slot->ambiguous || r->state != OFFERING)
        return r->n_missing == 0;
    if (!slot->tx) {
        slot->tx = tx_ref(tx);
        r->n_missing--;
    } else if (!txid_equal(&slot->tx->id, &tx->id)) {
        tx_unref(slot->tx);
        slot->tx = NULL;
        slot->ambiguous = true;
        r->n_missing++;
    }
    return r->n_missing == 0;
}

size_t rebuild_end_offers(struct rebuild *r)
{
    map_clear(&r->by_short_id);
    if (r->state == OFFERING)
        r->state = r->n_missing ? WAITING : COMPLETE;
    return r->n_missing;
}

void rebuild_missing(const struct rebuild *r, uint32_t *indices)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->slots[i].tx)
            *indices++ = (uint32_t)i;
}

/* --- what the peer adds --- */

enum rebuild_result rebuild_fill(struct rebuild *r, const struct msg_blocktxn *m)
{
    struct reader txs;
    if (r->state != WAITING)
        return REBUILD_BROKEN;
    r->state = SPENT; /* whatever comes of this one, no second is taken */
    if (m->n != r->n_missing)
        return REBUILD_BROKEN;
    reader_init(&txs, m->txs.data, m->txs.len);
    for (size_t i = 0; i < r->n; i++) {
        if (r->slots[i].tx)
            continue;
        const enum rebuild_result rc = take_tx(r, &r->slots[i], tx_read_raw(&txs));
        if (rc != REBUILD_FINE)
            return rc;
    }
    r->n_missing = 0;
    r->state = COMPLETE;
    return REBUILD_FINE;
}

/* --- the block --- */

uint64_t rebuild_block_size(const struct rebuild *r)
{
    uint64_t size = r->head_len;
    for (size_t i = 0; i < r->n; i++)
        size += r->slots[i].tx ? r->slots[i].tx->raw.len : 0;
    return size;
}

struct span rebuild_next_piece(struct rebuild *r)
{
    if (r->state != COMPLETE || (r->head_given && r->next_piece == r->n))
        return span_of(NULL, 0);
    if (r->head_given)
        return r->slots[r->next_piece++].tx->raw;
    r->head_given = true;
    return span_of(r->head, r->head_len);
}
