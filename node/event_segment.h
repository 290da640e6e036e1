/*
 * One file of the event log:
 *
 *   offset  size  content
 *   0       8     "BSVPEVTS"
 *   8       4     version
 *   12      16    id of the log, random
 *   28      8     number of the first event
 *   36      8     length of the state
 *   44      4     SipHash-2-4 of the above (all-zero key, low half)
 *   48      n     state: what the events before this file come to (told_chain.h,
 *                    told_txs.h)
 *   48+n    32    SHA256d of the state
 *   80+n          records (event_record.h), numbered without gaps
 *
 * All little-endian. The name is the number of the first event, 20 digits, and ".events". A file
 * comes into being whole and synced; then only records are added. Any thread; a file is one
 * thread's at a time.
 */
#ifndef NODE_EVENT_SEGMENT_H
#define NODE_EVENT_SEGMENT_H

#include "base/bytes.h"
#include "base/file.h"
#include "node/event_record.h"

#define EVENT_LOG_ID_SIZE 16
#define EVENT_SEGMENT_VERSION 1

struct event_segment {
    struct file file;
    uint8_t log_id[EVENT_LOG_ID_SIZE];
    uint64_t first;      /* number of its first event */
    uint64_t state_size;
    uint64_t records_at; /* offset of the first record */
};

/* Path of the file with that first number (heap), and back; false for other names. */
char *event_segment_path(const char *dir, uint64_t first);
bool event_segment_name(const char *name, uint64_t *first);
/* A file that was being made when the process ended: such a name with more behind it. */
bool event_segment_is_leftover(const char *name);

enum err event_segment_create(const char *dir, const uint8_t log_id[EVENT_LOG_ID_SIZE],
                              uint64_t first, struct span state, struct event_segment *out,
                              struct error *e) MUST_CHECK;
/* ERR_CORRUPT: not such a file, or damaged; ERR_RANGE: of another version. */
enum err event_segment_open(const char *dir, uint64_t first, enum file_mode mode,
                            struct event_segment *out, struct error *e) MUST_CHECK;
void event_segment_close(struct event_segment *s);
/* The checked state. */
enum err event_segment_state(const struct event_segment *s, struct buf *out,
                             struct error *e) MUST_CHECK;

/* ERR_CANCELLED ends the reading without being an error of it. */
typedef enum err (*event_record_fn)(void *ctx, const struct event_record *r, struct error *e);
/*
 * Hands the records from *offset up to end to fn, in pieces of bounded size. *offset and *next move
 * past each that was taken. Stops with OK at the first that is damaged, cut off or out of number:
 * then *offset is below end.
 */
enum err event_segment_read(const struct event_segment *s, uint64_t *offset, uint64_t end,
                            uint64_t *next, event_record_fn fn, void *ctx,
                            struct error *e) MUST_CHECK;

#endif
