/*
 * Candidates for the next block, and the assembler that keeps one up to date.
 *
 * A template is what a block on a tip may hold after its coinbase: transactions in order, their
 * fees, and the Merkle branch of the coinbase, so that a header costs a few hashes for any
 * coinbase. It never changes and is reference-counted: threads of RPC build blocks from it, and
 * hold up nobody.
 *
 * The assembler works from snapshots of the mining journal, on the thread that asks; the chain
 * thread has nothing to do with it. While all primary transactions fit, it goes on where it
 * stopped: what has come since is added. When the tip moves or something leaves the pool, it begins
 * anew; after a new tip whoever is in a hurry gets what a tenth of a second was enough for, and
 * more with the next call. When they do not fit, template_select.h chooses, at most once in a few
 * seconds.
 *
 * What is in the journal is final and mature for a block on the tip: acceptance saw to it, and what
 * a reorganisation changes about that leaves the pool before the journal is settled again.
 */
#ifndef CHAIN_BLOCK_TEMPLATE_H
#define CHAIN_BLOCK_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/merkle_branch.h"
#include "chain/journal.h"
#include "chain/params.h"

struct assembler;

struct block_template {
    struct header_node *prev;
    int32_t height;
    struct journal_totals totals;    /* of the transactions, without the coinbase */
    struct merkle_branch branch;     /* of the coinbase */
    uint64_t revision, next_number;  /* of the journal: another pair, other transactions waiting */
};

struct block_template *block_template_ref(struct block_template *t);
void block_template_unref(struct block_template *t); /* NULL is fine */

/* The transactions in order; begins as all zero. NULL at the end. */
struct template_place { struct journal_place at; uint64_t n; };
const struct journal_entry *block_template_next(const struct block_template *t,
                                                struct template_place *at);
/* Bytes that this one takes; not the transactions, which the pool has too while they wait. */
size_t block_template_memory(const struct block_template *t);
/* Root over the id of the coinbase and the branch. */
struct hash256 block_template_root(const struct block_template *t, const struct txid *coinbase);

/* A block whose transactions come from a template. Borrows. */
struct block_parts {
    struct block_header header;
    struct span coinbase;
    const struct block_template *rest;
};
uint64_t block_parts_size(const struct block_parts *p);
/* Hands the bytes of the whole block to sink, in many pieces. */
void block_parts_write(const struct block_parts *p,
                       void (*sink)(void *ctx, const void *data, size_t len), void *ctx);

struct assembler_options {
    struct journal *journal; /* outlives the assembler */
    const struct chain_params *params;
    uint64_t max_block_size; /* blockmaxsize */
    int64_t quick_budget_us; /* work for a caller in a hurry; 0: default, tests set less */
};

struct assembler *assembler_new(const struct assembler_options *o);
void assembler_free(struct assembler *a); /* nobody is inside; NULL is fine */

/* --- any thread that may wait --- */

uint64_t assembler_max_size(struct assembler *a);
void assembler_set_max_size(struct assembler *a, uint64_t bytes); /* setblockmaxsize */

enum template_need {
    TEMPLATE_QUICK,    /* good, and soon */
    TEMPLATE_COMPLETE, /* with everything that is in the journal now, as far as it fits */
};
/* A reference. ERR_BUSY: no tip came to rest for a while. ERR_NOMEM. */
enum err assembler_get(struct assembler *a, enum template_need need, struct block_template **out,
                       struct error *e) MUST_CHECK;
/* The last one made; NULL: none yet. A reference. */
struct block_template *assembler_last(struct assembler *a);

#endif
