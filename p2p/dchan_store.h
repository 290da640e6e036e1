/*
 * What direct channels keep on disk: one key-value store that is read on the channel thread and
 * written by a thread of its own, so that the loop never waits for a sync. Writes are on disk in
 * the order in which they were handed over; those that wait together share one sync. A read sees
 * what has been written, not what still waits: who must know keeps it in memory until it is done.
 *
 * First byte of a key: c contacts; o outbox, i inbox, s ids seen, n numbers of messages; f
 * transfers, l their leaves, b what of them is there; v services, m what contacts owe for them; w
 * forwards; k statements that keys of ours have successors; p payment channels
 * (node/paychans_store.c), h those kept for contacts (node/paychans_kept.c); q payments by a
 * transaction (p2p/pay_rows.h).
 */
#ifndef P2P_DCHAN_STORE_H
#define P2P_DCHAN_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/kv.h"

struct dchan_store;
struct dchan_write;

/* On the channel thread, once for each commit. e: why rc is no success. */
typedef void (*dchan_store_fn)(void *ctx, enum err rc, const struct error *e);

/*
 * Takes kv (also when it fails) and starts the thread. wake: something is done, call
 * dchan_store_poll; it is called on the writing thread.
 */
enum err dchan_store_new(struct dchan_store **out, struct kv *kv, void (*wake)(void *ctx),
                         void *ctx, struct error *e) MUST_CHECK;
/* Writes what waits, joins. Completions that were not polled are called in here. NULL is fine. */
void dchan_store_free(struct dchan_store *s);
/* Another receiver of wake; before anything is written. */
void dchan_store_set_wake(struct dchan_store *s, void (*wake)(void *ctx), void *ctx);

struct kv *dchan_store_kv(struct dchan_store *s); /* for reading */

/* A batch; given to commit or freed. */
struct dchan_write *dchan_write_new(struct dchan_store *s);
void dchan_write_free(struct dchan_write *w); /* NULL is fine */
void dchan_write_put(struct dchan_write *w, const void *key, size_t key_len, const void *value,
                     size_t value_len);
void dchan_write_delete(struct dchan_write *w, const void *key, size_t key_len);

/* Takes w. done (may be NULL: a failure is logged) is called from dchan_store_poll. */
void dchan_store_commit(struct dchan_store *s, struct dchan_write *w, dchan_store_fn done,
                        void *ctx);
/* Calls what is done. */
void dchan_store_poll(struct dchan_store *s);
/* Waits until all is written and calls what is done, also what that hands over meanwhile: once
 * nobody else does, before what completions use is freed. */
void dchan_store_settle(struct dchan_store *s);
/* Bytes of commits that were not completed, those being written too: producers stop taking from
 * outside above some MiB. Channel thread. */
size_t dchan_store_waiting(const struct dchan_store *s);

#endif
