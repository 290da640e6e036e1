/*
 * Outputs an operator has frozen, and confiscation transactions (spec consensus 7.3). The lists
 * are empty unless the operator fills them; nothing in them comes from the chain.
 *
 * An output is on at most one of three lists: policy (the mempool alone must not spend it),
 * consensus (blocks at heights in its intervals neither), confiscation (only a white-listed
 * confiscation transaction may, at any height). Changes are those of the reference's RPCs.
 *
 * Chain thread only, but for copies that nobody else has. chain_change_frozen (chain.h) changes
 * the chain's own lists and keeps them on disk; frozen_file.c has the format.
 */
#ifndef CHAIN_FROZEN_H
#define CHAIN_FROZEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/tx.h"
#include "chain/verdict.h"

struct frozen;

/* Values are stored: never renumber. */
enum frozen_list { FROZEN_POLICY = 1, FROZEN_CONSENSUS = 2, FROZEN_CONFISCATION = 3 };

/* Heights in [start, stop); start at or above stop: none. */
struct height_interval { int32_t start, stop; };

struct frozen_output {
    struct outpoint outpoint;
    enum frozen_list list;
    bool policy_expires; /* free in the mempool when all intervals are over; not FROZEN_POLICY */
    size_t n_intervals;  /* none of FROZEN_POLICY */
    struct height_interval intervals[];
};

struct confiscation_order {
    struct txid id;
    int32_t enforce_height; /* may be in blocks from here on */
    size_t n_outputs;       /* what the transaction spends */
    struct outpoint outputs[];
};

struct frozen *frozen_new(void);
void frozen_free(struct frozen *f); /* NULL is fine */
struct frozen *frozen_dup(const struct frozen *f);
/* a and b trade what they hold; who points to one of them sees the other's lists. */
void frozen_swap(struct frozen *a, struct frozen *b);

/* --- changes --- */

enum frozen_answer {
    FROZEN_DONE,          /* added, or taken off */
    FROZEN_MOVED,         /* from the policy list to consensus */
    FROZEN_CHANGED,       /* other intervals, or another height */
    FROZEN_WAS_SO,        /* nothing to do */
    FROZEN_IN_CONSENSUS,  /* refused: on the consensus or confiscation list */
    FROZEN_NOT_FOUND,     /* refused: not frozen at all */
    FROZEN_BAD_ORDER,     /* refused: not a valid confiscation transaction */
    FROZEN_NOT_CONSENSUS, /* refused: an input is not frozen at that height */
};

static inline bool frozen_is_change(enum frozen_answer answer)
{
    return answer <= FROZEN_CHANGED;
}

enum frozen_answer frozen_add_policy(struct frozen *f, const struct outpoint *o);
/* Also changes the intervals of an output that is there, whichever list it is on. */
enum frozen_answer frozen_add_consensus(struct frozen *f, const struct outpoint *o,
                                        const struct height_interval *intervals, size_t n,
                                        bool policy_expires);
enum frozen_answer frozen_remove_policy(struct frozen *f, const struct outpoint *o);
/* The transaction may confiscate from this height on; its inputs, frozen by consensus there, move
 * to the confiscation list. An earlier height that is known stays. */
enum frozen_answer frozen_whitelist(struct frozen *f, const struct tx *tx, int32_t enforce_height);

struct frozen_counts { size_t policy, consensus, confiscation, orders; };

enum frozen_keep { FROZEN_KEEP_NOTHING, FROZEN_KEEP_POLICY };
/* Empties the lists; what was taken off. */
struct frozen_counts frozen_clear(struct frozen *f, enum frozen_keep keep);
/* Consensus entries whose last interval ended at or below the height: off the list, or left to
 * policy when that does not expire with it. How many are off. */
size_t frozen_expire(struct frozen *f, int64_t height);
/* Forgets all orders; their outputs go back to the consensus list (counted as consensus). */
struct frozen_counts frozen_clear_orders(struct frozen *f);

/* --- questions --- */

bool frozen_in_block(const struct frozen *f, const struct outpoint *o, int32_t height);
bool frozen_in_mempool(const struct frozen *f, const struct outpoint *o, int32_t next_height);

/* The first output begins with 00 6a 04 "cftx": the rules below judge it, whatever it
 * meant to be. */
bool confiscation_is(const struct tx *tx);
bool confiscation_check_shape(const struct tx *tx, struct verdict *v); /* bad-ctx-invalid */
/* Shape and white list: bad-ctx-invalid, bad-ctx-not-whitelisted. */
bool confiscation_check(const struct frozen *f, const struct tx *tx, int32_t height,
                        struct verdict *v);

/* Whether a transaction may enter the mempool as far as the lists go: bad-txns-inputs-frozen, of a
 * confiscation what confiscation_check says. */
bool frozen_check_tx(const struct frozen *f, const struct tx *tx, int32_t next_height,
                     struct verdict *v);

/* The lists for a block that was held back long enough: nothing is frozen, orders stay allowed. */
struct frozen *frozen_released(const struct frozen *f);

struct frozen_counts frozen_count(const struct frozen *f);
/* All entries by rising outpoint or id (bytes as they are stored); heap array of borrowed items. */
const struct frozen_output **frozen_outputs(const struct frozen *f, size_t *n);
const struct confiscation_order **frozen_orders(const struct frozen *f, size_t *n);

/* --- frozen_file.c: the stored form --- */

/* How often the lists have been changed since the file was made, and SHA256d of their stored form
 * without that number: equal lists of two nodes have equal hashes (attacks A17). */
uint64_t frozen_version(const struct frozen *f);
void frozen_set_version(struct frozen *f, uint64_t version);
void frozen_hash(const struct frozen *f, uint8_t out[32]);

/* magic: of the network, on disk. */
void frozen_write(struct buf *b, const struct frozen *f, const uint8_t magic[4]);
/* Replaces what f holds. ERR_CORRUPT with the reason; ERR_NOMEM. */
enum err frozen_read(struct frozen *f, struct span data, const uint8_t magic[4],
                     struct error *e) MUST_CHECK;
/* A missing file gives empty lists. */
enum err frozen_load(struct frozen *f, const char *path, const uint8_t magic[4],
                     struct error *e) MUST_CHECK;
enum err frozen_store(const struct frozen *f, const char *path, const uint8_t magic[4],
                      struct error *e) MUST_CHECK;

/* For frozen_read: an entry as it was written; false when it is there already. */
bool frozen_put_output(struct frozen *f, const struct frozen_output *entry);
bool frozen_put_order(struct frozen *f, const struct confiscation_order *entry);

#endif
