/*
 * A coin: an unspent transaction output as stored in the coins database and in undo records.
 *
 * Value bytes: varint(marker*2^33 + height*4 + confiscated*2 + coinbase), varint(value), script
 *              bytes to the end.
 * Key bytes:   'c', txid (internal order), varint index.
 */
#ifndef CHAIN_COIN_H
#define CHAIN_COIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/reader.h"

struct coin {
    int64_t value;      /* satoshis */
    int32_t height;     /* of the block that made it */
    bool coinbase;
    bool confiscated;   /* made by a confiscation transaction: matures after 1,000 (spec
                           consensus 7.3) */
    bool marker;        /* its spend revokes an identity (spec bca 14); false also for those that
                           were stored before markers were noted */
    struct span script; /* borrowed */
};

#define COIN_KEY_MAX (1 + 32 + 10)

void coin_write(struct buf *b, const struct coin *c);
size_t coin_size(const struct coin *c); /* bytes that coin_write puts */
/* Borrows the script from the input. ERR_CORRUPT with the reason. */
enum err coin_read(const void *data, size_t len, struct coin *c, struct error *e) MUST_CHECK;
size_t coin_key(uint8_t out[COIN_KEY_MAX], const struct outpoint *o);
bool coin_key_read(const void *key, size_t len, struct outpoint *o);

#endif
