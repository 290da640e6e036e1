/*
 * The replayable event log: numbered events (event_record.h) in files of bounded size
 * (event_segment.h), the oldest of which are deleted when a limit is reached. It knows nothing of
 * what events mean; the one who appends keeps an account of that (told_chain.h, told_txs.h) and
 * gives it to each new file, so that the newest file alone tells what had been said.
 *
 * Threads: one writer (the chain thread). event_log_append keeps events in memory,
 * event_log_commit writes what has come together, so that a batch costs one system call.
 * Readers have threads of their own, a descriptor of their own, and share only a few numbers with
 * the writer, under a lock that is never held over the disk: however slow, they hold up nobody.
 * A reader whose next file has been deleted meanwhile is told so.
 *
 * What is on disk when. Readers get an event only after it was synced; a reader who is at the end
 * syncs himself (at most every 20 ms, for all readers). So a number that was ever given to
 * somebody never comes to mean another event, whatever breaks. The writer syncs when it begins a
 * new file and at the end, never for an event: what a crash takes from the log nobody has seen, and
 * the blocks among it are found again by comparing the log with the chain at the next start. A
 * killed process loses what was not committed; that is as little as the mempool it describes. A
 * sync that fails, a reader's too, ends the log: event_log_commit says so to the writer.
 */
#ifndef NODE_EVENT_LOG_H
#define NODE_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "node/event_segment.h"

struct event_log;
struct event_reader;

struct event_log_options {
    const char *dir;        /* made when it is missing */
    uint64_t max_bytes;     /* of all files; the newest may exceed it by its own size */
    uint64_t segment_bytes; /* records of a file; 0: a sixteenth of max_bytes */
    /* The account of everything appended so far, for a new file. */
    void (*store)(void *ctx, struct buf *out);
    void *ctx;
};

/* Takes what the log holds: the state at the start of a file, then the records that follow. */
struct event_replayer {
    enum err (*state)(void *ctx, struct span state, struct error *e); /* empty: nothing was said */
    event_record_fn record;
    void *ctx;
};

/*
 * Opens what is there and hands the newest file to the replayer; a torn end is cut. A log that
 * cannot be understood is set aside (the folder gets the ending .bad) and a new one is begun:
 * whoever reads by the id of the log notices. ERR_RANGE: written by a version that is not known.
 */
enum err event_log_open(struct event_log **out, const struct event_log_options *o,
                        const struct event_replayer *r, struct error *e) MUST_CHECK;
/* Writes and syncs what is left, closes. Readers must be gone. NULL is fine. */
enum err event_log_close(struct event_log *l, struct error *e);

/* Before the first append: hands over all files, from the oldest. ERR_CORRUPT: not readable
 * to the end. */
enum err event_log_replay_whole(struct event_log *l, const struct event_replayer *r,
                                struct error *e) MUST_CHECK;

/* --- writer --- */
/* Sets number and time. */
void event_log_append(struct event_log *l, struct event_record *r);
size_t event_log_uncommitted(const struct event_log *l); /* bytes */
bool event_log_has_failed(const struct event_log *l);
/* A failure stays: nothing is written any more. */
enum err event_log_commit(struct event_log *l, struct error *e) MUST_CHECK;

/* --- any thread --- */

struct event_log_info {
    uint8_t id[EVENT_LOG_ID_SIZE]; /* all zero before the first event */
    uint64_t oldest, next;         /* numbers: of the oldest event kept, of the one to come */
    uint64_t bytes;
};
void event_log_get_info(struct event_log *l, struct event_log_info *out);

/* Begins at a number. ERR_NOTFOUND: no longer kept; ERR_RANGE: above the next to come. */
enum err event_reader_open(struct event_log *l, uint64_t from, struct event_reader **out,
                           struct error *e) MUST_CHECK;
void event_reader_close(struct event_reader *r);
/*
 * Hands on what is there, in order, up to the end of a file. *n: how many; 0: there is no more at
 * the moment. ERR_NOTFOUND: what comes next was deleted. An error of fn ends it and is returned.
 */
enum err event_reader_next(struct event_reader *r, event_record_fn fn, void *ctx, uint64_t *n,
                           struct error *e) MUST_CHECK;
/* Until there is more than the reader has seen: true. False: time is up, or readers shall end. */
bool event_reader_wait(struct event_reader *r, int64_t timeout_ms);

/* Readers that wait return, and shall close. */
void event_log_stop_readers(struct event_log *l);
bool event_log_is_stopping(struct event_log *l);

#endif
