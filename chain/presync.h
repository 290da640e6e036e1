/*
 * Two-pass header download (attacks C1): a chain of headers costs no memory before the work it
 * claims is known to suffice. Pass 1 checks proof of work and permitted difficulty transitions,
 * adds up work, and keeps one salted bit per PRESYNC_COMMIT_EVERY headers. Pass 2 asks for the same
 * headers again, compares the bits, and hands headers out once PRESYNC_BUFFER more have matched.
 *
 * One object per peer that presyncs; loop thread. Memory: bounded by presync_memory_bytes.
 */
#ifndef CHAIN_PRESYNC_H
#define CHAIN_PRESYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "chain/header_index.h"
#include "chain/verdict.h"

#define PRESYNC_COMMIT_EVERY 600
#define PRESYNC_BUFFER 14000 /* headers held back in pass 2 */

struct presync;

enum presync_state { PRESYNC_WORK, PRESYNC_REDOWNLOAD, PRESYNC_DONE, PRESYNC_FAILED };

/* start: last known header the peer's chain builds on; needed: minimum cumulative work. */
struct presync *presync_new(struct header_index *idx, struct header_node *start,
                            const struct u256 *needed);
void presync_free(struct presync *p); /* NULL is fine */
enum presync_state presync_get_state(const struct presync *p);

/*
 * Feeds one headers message (full: it had 2,000). Accepted headers that may be stored now are
 * appended to out (count in *n_out, at most n + PRESYNC_BUFFER; borrowed until the next call).
 * False: the peer's chain is refused, *v says why (also when it ends with too little work:
 * "low-work-headers", score 0).
 */
bool presync_feed(struct presync *p, const struct block_header *h, size_t n, bool full,
                  const struct block_header **out, size_t *n_out, struct verdict *v);
/* Locator for the next getheaders: the last header seen, then start's. Returns the count. */
size_t presync_locator(const struct presync *p, struct block_hash *out, size_t cap);
/* Whether this header is the one that is waited for next. */
bool presync_continues(const struct presync *p, const struct block_header *first);
size_t presync_memory_bytes(const struct presync *p);
int32_t presync_height(const struct presync *p); /* progress */

#endif
