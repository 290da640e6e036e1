/*
 * An append-only journal whose records are on disk before whoever wrote them is told: for state
 * that changes thousands of times a second, where one flush has to serve many changes. Records that
 * come while a flush is under way share the next one.
 *
 * Files DIR/NUMBER.journal; each: "BSVPJRNL", version u32, number u64, check u32, zeros up to 512.
 * Then batches, each of which begins at a multiple of 512 bytes, so that no sector that was synced
 * is written again: check u32, length u32, records (length u32, bytes), zeros. Little-endian;
 * checks are the low half of SipHash-2-4 with an all-zero key over number, offset and bytes.
 *
 * What a power cut left of the last batch is cut off at the next opening, and a last file that has
 * no more than a head of zeros is removed: nobody was told of either. A damaged batch with a good
 * one behind it is damage (ERR_CORRUPT), not a torn end.
 *
 * One owner thread; the files are written by a thread of the journal's own.
 */
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct journal;

#define JOURNAL_RECORD_MAX (1u << 20) /* bytes */

/* On the owner's thread, in the order of the records. */
typedef void (*journal_done_fn)(void *ctx, enum err rc, const struct error *e);
/* An error ends the opening. */
typedef enum err (*journal_replay_fn)(void *ctx, struct span record, struct error *e);

struct journal_options {
    const char *dir;             /* made when it is missing */
    unsigned gather_us;          /* a flush waits so long for more while others came; 0: not */
    void (*wake)(void *ctx);     /* call journal_poll; on the journal's thread. May be NULL */
    void *ctx;
};

/*
 * Hands every record of all files to replay, in the order in which they were written, and begins a
 * new file. ERR_CORRUPT; ERR_RANGE: of a newer version.
 */
enum err journal_open(struct journal **out, const struct journal_options *o,
                      journal_replay_fn replay, void *replay_ctx, struct error *e) MUST_CHECK;
/* Writes what waits; completions that were not polled are called in here. NULL is fine. */
void journal_close(struct journal *j);

/*
 * Copies the record. done (may be NULL) is called from journal_poll once it is on disk. After a
 * failure nothing is written any more, and every record ends with that error.
 */
void journal_append(struct journal *j, struct span record, journal_done_fn done, void *ctx);
void journal_poll(struct journal *j);
size_t journal_waiting(struct journal *j); /* bytes that are not on disk */

/*
 * Compaction: what is appended from now on goes into another file, whose number is returned. done
 * (may be NULL) is called when all that was appended before is on disk: not earlier does the owner
 * store elsewhere, synced, what it comes to, else a crash would leave there what no record tells
 * of. Then he drops the records before. The files go one after the other, the oldest first, each
 * for good before the next: whatever a crash leaves is the end of what was dropped, so that
 * replaying it over what was stored comes to the same. done (may be NULL) as with a record; what
 * could not be removed goes with the next order.
 */
uint64_t journal_turn(struct journal *j, journal_done_fn done, void *ctx);
void journal_drop_before(struct journal *j, uint64_t number, journal_done_fn done, void *ctx);
uint64_t journal_bytes(struct journal *j); /* written since the last turn */
/* There were files when it was opened, and they are not dropped yet. */
bool journal_has_older(const struct journal *j);

#endif
