/* What event_log.c (what is written and kept) and event_log_read.c (who reads it) share. */
#ifndef NODE_EVENT_LOG_INTERNAL_H
#define NODE_EVENT_LOG_INTERNAL_H

#include <pthread.h>

#include "node/event_log.h"

/* A file as the list knows it. size: with everything that is committed. */
struct listed {
    uint64_t first, size;
};

struct event_log {
    struct event_log_options o;
    char *dir;
    /* Writer. */
    struct event_segment segment;  /* the newest, open for writing; file.fd -1: none */
    uint64_t end;                  /* its size */
    uint64_t next_number;          /* of the next event to be appended */
    struct buf pending;
    struct error failed;           /* code OK: it works */

    /* Any thread. */
    pthread_mutex_t lock;          /* for all below; never held over the disk */
    pthread_cond_t more;
    uint8_t id[EVENT_LOG_ID_SIZE];
    struct listed *files;          /* by rising number; the last is the newest */
    size_t n_files;
    uint64_t committed;            /* number of the next event that readers do not see yet */
    uint64_t synced;               /* so much of the newest file is on disk, bytes */
    struct error sync_failed;      /* of a reader; code OK: it works */
    bool stopping;
    pthread_mutex_t sync_lock;     /* one reader syncs at a time */
    int64_t last_sync_ms;          /* under sync_lock */
};

#endif
