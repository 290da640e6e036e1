/*
 * The mining journal: transactions of the primary pool in the order in which a block may take them,
 * parents before children, the members of a group side by side (spec consensus 5.3). The mempool
 * writes it on the chain thread; block_template.h reads it through snapshots.
 *
 * A snapshot never changes, costs microseconds however long the journal is, and does not hold up
 * the writer: entries lie in pieces that snapshots share, and a piece is copied before something in
 * it changes that a snapshot can see. What is added later comes after the end of older snapshots.
 *
 * While blocks are connected and disconnected the pool fits no tip; the journal is then unsettled,
 * and whoever wants a snapshot waits.
 */
#ifndef CHAIN_JOURNAL_H
#define CHAIN_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"

struct header_node;
struct journal;
struct journal_piece;

struct journal_entry {
    struct tx *tx;     /* a reference; NULL: it has left */
    uint64_t number;   /* rises along the journal, from 1 */
    uint64_t group;    /* members of one have the same and enter a block together; 0: alone */
    int64_t fee;       /* satoshis */
    int64_t fee_delta; /* prioritisetransaction: counts for the choice, not for the reward */
    uint32_t sigops;   /* before Genesis, redeem scripts included; else 0 */
};

struct journal_totals {
    uint64_t count, bytes, sigops; /* bytes: serialised */
    int64_t fees;
};

struct journal *journal_new(void);
void journal_free(struct journal *j); /* snapshots may outlive it; NULL is fine */

/* --- chain thread --- */

/* Around changes: readers see all of them or none. Short: they wait. */
void journal_begin(struct journal *j);
void journal_end(struct journal *j);
/*
 * Adds n transactions that belong together (a group, or a single one) at the end; references are
 * taken, number and group are the journal's. Returns the number of the first, the others have the
 * next ones.
 */
uint64_t journal_add(struct journal *j, const struct journal_entry *unit, size_t n);
void journal_remove(struct journal *j, uint64_t number); /* it is in */
void journal_set_fee_delta(struct journal *j, uint64_t number, int64_t fee_delta);
/* These two not between begin and end. */
void journal_unsettle(struct journal *j);
/* What is in fits a block on the tip (from here on, or still). */
void journal_settle(struct journal *j, struct header_node *tip);

/* --- any thread --- */

struct journal_part {
    struct journal_piece *piece;
    size_t n; /* entries of it that the snapshot sees */
};
struct journal_snapshot {
    struct header_node *tip;
    struct journal_totals totals;
    uint64_t revision;    /* another one: something left or changed; the same: only additions */
    uint64_t next_number; /* of what is added later */
    size_t n_parts;
    struct journal_part *parts;
};

/* NULL when the journal is not settled within the time. */
struct journal_snapshot *journal_take(struct journal *j, int64_t timeout_ms);
struct journal_snapshot *journal_snapshot_ref(struct journal_snapshot *s);
void journal_snapshot_unref(struct journal_snapshot *s); /* NULL is fine */

/* Reading a snapshot in order. Begins as all zero; a place stays good in later snapshots of the
 * same revision. */
struct journal_place { size_t part, slot; };
/* The entry at the place, which moves on; NULL at the end. Those that have left are skipped. */
const struct journal_entry *journal_next(const struct journal_snapshot *s,
                                         struct journal_place *at);

struct journal_stats {
    struct journal_totals totals;
    uint64_t revision, next_number;
    size_t memory; /* of the pieces, those that only snapshots hold not included */
};
void journal_get_stats(struct journal *j, struct journal_stats *out);

#endif
