/* Lists sorted by key and searched by halves: an operator's lists are short and change rarely. */
#include <config.h>

#include "chain/frozen.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum frozen_kind { FROZEN_POLICY, FROZEN_CONSENSUS, FROZEN_CONFISCATION };

struct frozen_entry {
    struct outpoint outpoint;
    enum frozen_kind kind;
    int32_t start, stop; /* FROZEN_CONSENSUS */
    bool policy_expires; /* FROZEN_CONSENSUS: free in the mempool when the interval is over */
};

struct whitelist_entry {
    struct txid id;
    int32_t enforce_height;
};

struct frozen {
    struct frozen_entry *entries; /* by outpoint; an outpoint may occur several times */
    size_t n;
    struct whitelist_entry *whitelist;
    size_t n_whitelist;
};

#define CTX_SCRIPT_MIN 29
#define CTX_SCRIPT_MAX 83
static const uint8_t ctx_prefix[7] = { 0x00, 0x6a, 0x04, 'c', 'f', 't', 'x' };

struct frozen *frozen_new(void) { return xcalloc(1, sizeof(struct frozen)); }

void frozen_clear(struct frozen *f)
{
    free(f->entries);
    free(f->whitelist);
    *f = (struct frozen){ 0 };
}

void frozen_free(struct frozen *f)
{
    if (!f)
        return;
    frozen_clear(f);
    free(f);
}

static int outpoint_cmp(const struct outpoint *a, const struct outpoint *b)
{
    int by_id = memcmp(a->txid.b, b->txid.b, 32);
    return by_id ? by_id : (a->index > b->index) - (a->index < b->index);
}

/* Index of the first entry not below the outpoint. */
static size_t find_first(const struct frozen *f, const struct outpoint *o)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (outpoint_cmp(&f->entries[middle].outpoint, o) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct frozen *f, const struct frozen_entry *entry)
{
    size_t at = find_first(f, &entry->outpoint);
    f->entries = xrealloc(f->entries, (f->n + 1) * sizeof(*f->entries));
    memmove(f->entries + at + 1, f->entries + at, (f->n - at) * sizeof(*f->entries));
    f->entries[at] = *entry;
    f->n++;
}

void frozen_add_consensus(struct frozen *f, const struct outpoint *o, int32_t start, int32_t stop,
                          bool policy_expires)
{
    insert(f, &(struct frozen_entry){ .outpoint = *o, .kind = FROZEN_CONSENSUS, .start = start,
                                      .stop = stop, .policy_expires = policy_expires });
}

void frozen_add_policy(struct frozen *f, const struct outpoint *o)
{
    insert(f, &(struct frozen_entry){ .outpoint = *o, .kind = FROZEN_POLICY });
}

void frozen_add_confiscation(struct frozen *f, const struct outpoint *o)
{
    insert(f, &(struct frozen_entry){ .outpoint = *o, .kind = FROZEN_CONFISCATION });
}

void frozen_whitelist(struct frozen *f, const struct txid *id, int32_t enforce_height)
{
    f->whitelist = xrealloc(f->whitelist, (f->n_whitelist + 1) * sizeof(*f->whitelist));
    f->whitelist[f->n_whitelist++] = (struct whitelist_entry){ *id, enforce_height };
}

struct frozen *frozen_released(const struct frozen *f)
{
    struct frozen *released = frozen_new();
    for (size_t i = 0; i < f->n_whitelist; i++)
        frozen_whitelist(released, &f->whitelist[i].id, f->whitelist[i].enforce_height);
    return released;
}

bool frozen_in_block(const struct frozen *f, const struct outpoint *o, int32_t height)
{
    for (size_t i = find_first(f, o); i < f->n && outpoint_equal(&f->entries[i].outpoint, o); i++) {
        const struct frozen_entry *entry = &f->entries[i];
        if (entry->kind == FROZEN_CONFISCATION)
            return true;
        if (entry->kind == FROZEN_CONSENSUS && height >= entry->start && height < entry->stop)
            return true;
    }
    return false;
}

bool frozen_in_mempool(const struct frozen *f, const struct outpoint *o, int32_t next_height)
{
    for (size_t i = find_first(f, o); i < f->n && outpoint_equal(&f->entries[i].outpoint, o); i++) {
        const struct frozen_entry *entry = &f->entries[i];
        if (entry->kind != FROZEN_CONSENSUS || !entry->policy_expires || next_height < entry->stop)
            return true;
    }
    return false;
}

bool confiscation_is(const struct tx *tx)
{
    return tx->n_out > 0 && tx->out[0].script.len >= sizeof(ctx_prefix) &&
           memcmp(tx->out[0].script.data, ctx_prefix, sizeof(ctx_prefix)) == 0;
}

/* Prefix, one single-byte push to the end: version 1, order hash of 20 bytes, a hint if any. */
static bool order_output_ok(struct span script)
{
    if (script.len < CTX_SCRIPT_MIN || script.len > CTX_SCRIPT_MAX)
        return false;
    uint8_t push = script.data[sizeof(ctx_prefix)];
    return push < 0x4c && sizeof(ctx_prefix) + 1u + push == script.len &&
           script.data[sizeof(ctx_prefix) + 1] == 0x01;
}

static bool shape_ok(const struct tx *tx)
{
    if (tx->n_in < 1 || tx_is_coinbase(tx) || !order_output_ok(tx->out[0].script))
        return false;
    for (size_t i = 1; i < tx->n_out; i++) {
        struct span script = tx->out[i].script;
        if (script.len >= 2 && script.data[0] == 0x00 && script.data[1] == 0x6a)
            return false;
    }
    return true;
}

bool confiscation_check(const struct frozen *f, const struct tx *tx, int32_t height,
                        struct verdict *v)
{
    if (!shape_ok(tx))
        return verdict_set(v, REJECT_INVALID, 100, "bad-ctx-invalid");
    for (size_t i = 0; i < f->n_whitelist; i++)
        if (txid_equal(&f->whitelist[i].id, &tx->id) && f->whitelist[i].enforce_height <= height)
            return true;
    return verdict_set(v, REJECT_INVALID, 100, "bad-ctx-not-whitelisted");
}
