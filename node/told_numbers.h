/*
 * Events that come from other stores than the chain: direct channels keep their messages and files
 * on disk under rising numbers, and say of each what is to be in the log. The account is the
 * highest number told of each source: what is above it is told again after a crash, so that nothing
 * is missing in the log and nothing is there twice, whichever of the two lost its end.
 *
 * Until the chain thread appends them they wait here, at most TOLD_WAITING_MAX.
 *
 * told_numbers_put and _last: any thread; everything else: chain thread (before it exists: whoever
 * opens the log).
 */
#ifndef NODE_TOLD_NUMBERS_H
#define NODE_TOLD_NUMBERS_H

#include <pthread.h>

#include "base/buf.h"
#include "base/reader.h"
#include "node/event_record.h"

enum { TOLD_WAITING_MAX = 1024 };

struct told_numbers {
    void (*emit)(void *ctx, struct event_record *r);
    void *ctx;
    uint64_t told[TOLD_SOURCES]; /* in the log */
    pthread_mutex_t lock;        /* for all below */
    uint64_t last[TOLD_SOURCES]; /* in the log, or waiting */
    struct event_record *waiting;
    size_t n;
};

void told_numbers_init(struct told_numbers *t, void (*emit)(void *ctx, struct event_record *r),
                       void *ctx);
void told_numbers_clear(struct told_numbers *t);

/* --- what the log holds --- */
/* From the end of a file's state; there is none in files of earlier versions. */
void told_numbers_load(struct told_numbers *t, struct reader *r);
/* An event of the log. False: it contradicts those before. Others are ignored. */
bool told_numbers_replay(struct told_numbers *t, const struct event_record *r);
/* For a file's state: u8 sources, u64 each. */
void told_numbers_store(const struct told_numbers *t, struct buf *out);

/* --- then --- */
/* An event to come. One whose number is not above the last of its source is told already: nothing
 * happens. False: too many wait. *first: none waited before. */
bool told_numbers_put(struct told_numbers *t, const struct event_record *r, bool *first);
uint64_t told_numbers_last(struct told_numbers *t, enum told_source source);
/* Emits what waits. */
void told_numbers_take(struct told_numbers *t);
size_t told_numbers_bytes(struct told_numbers *t); /* of memory; any thread */

#endif
