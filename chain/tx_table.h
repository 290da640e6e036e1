/*
 * Transactions by id and by the outputs they spend: what the pools share. The items are the pools'
 * own structs, which hold the transaction somewhere inside; no two of them spend the same output.
 * Ids and outputs are chosen by others, so the hash is keyed (attacks C20). One thread, or the
 * caller's lock.
 */
#ifndef CHAIN_TX_TABLE_H
#define CHAIN_TX_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/tx.h"

/* One input of an item; the array of them is the item's and stays where it is. */
struct tx_spend {
    void *item;
    uint32_t input;
};

struct tx_table {
    struct siphash_key key;
    struct map by_id, by_spent;
    size_t tx_at; /* offset in an item of its `struct tx *` */
};

void tx_table_init(struct tx_table *t, size_t tx_at);
void tx_table_clear(struct tx_table *t); /* items are the owner's */
/* NULL when there is none. */
void *tx_table_find(const struct tx_table *t, const struct txid *id);
void *tx_table_spender(const struct tx_table *t, const struct outpoint *o);
/* spends has room for one an input and is filled here. Nothing may be there yet. */
void tx_table_put(struct tx_table *t, void *item, struct tx_spend *spends);
void tx_table_remove(struct tx_table *t, const void *item);
/* Memory that the table takes for an item, without the array of its spends. */
size_t tx_table_cost(const struct tx *tx);

#endif
