/*
 * A store whose owner goes on after a write has failed, as on a full disk. LevelDB would go on
 * appending to a log whose end is torn, and lose at the next start what follows, or take no write
 * any more. So after a failure nothing is written until the disk takes something; then the database
 * is closed and opened again, which cuts the torn end. Reads are answered all the time, unless it
 * cannot be opened again.
 *
 * A write that failed may be there all the same: whoever gets the error does not know.
 *
 * As kv.h; one thread writes. An iterator belongs to the thread that made it, and holds up opening
 * again while it lives.
 */
#ifndef BASE_KV_MEND_H
#define BASE_KV_MEND_H

#include "base/kv.h"

#define KV_MEND_PROBE_BYTES (8u << 20) /* a new log and what is in the old one find room */
#define KV_MEND_PAUSE_MS 1000          /* between two looks at the disk */

enum err kv_open_leveldb_mending(struct kv **out, const char *path, const struct kv_options *o,
                                 struct error *e) MUST_CHECK;

/* The same over any engine. */
struct kv_mend_ops {
    enum err (*open)(void *ctx, struct kv **out, struct error *e);
    enum err (*probe)(void *ctx, struct error *e); /* OK: the disk takes something */
    void (*clear)(void *ctx);                      /* the store is closed */
    int64_t (*now_ms)(void);
    void *ctx;
};
/* Takes ctx, also when it fails. */
enum err kv_mend_open(struct kv **out, const struct kv_mend_ops *ops, struct error *e) MUST_CHECK;

#endif
