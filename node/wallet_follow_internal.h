/*
 * What the files of the follower share. wallet_follow.c has the thread, its list of wallets and
 * whoever waits for it; wallet_follow_blocks.c the way to the tip; wallet_follow_tell.c one block;
 * wallet_follow_pool.c the mempool.
 */
#ifndef NODE_WALLET_FOLLOW_INTERNAL_H
#define NODE_WALLET_FOLLOW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/cancel.h"
#include "base/queue.h"
#include "node/wallet_follow.h"

#define FOLLOW_WHY_MAX 256

enum follow_step {
    FOLLOW_AT_TIP,
    FOLLOW_ON,      /* there is more to do at once */
    FOLLOW_STUCK,   /* later again */
};

/* Blocks that a wallet was told one after another: how far it is and how long it will take. */
struct follow_run {
    bool on;
    int64_t begun_ms;        /* monotonic */
    int32_t from, next, end; /* next: is told now; end: of the rescan, or the tip */
};

struct follow_pace {
    double done;           /* part of the transactions, 0 to 1 */
    int64_t took_s, eta_s; /* eta_s: -1 while nothing is known of it */
};
struct follow_pace follow_pace(struct chain *c, const struct follow_run *run);

/* A wallet that is followed. The thread's own but why and run. */
struct followed {
    struct wallet *w;    /* a reference */
    bool pool_known;     /* it has the mempool, and hears of changes */
    bool dropped;        /* unloaded by us; the list is made anew */
    bool unwritten;      /* it has blocks that wait to be written */
    enum follow_step step; /* what came of the last try to bring it on */
    int32_t behind;      /* blocks to go, at the last look */
    int64_t own_ms;      /* monotonic; when its own transactions are looked for in the mempool */
    int64_t own_block_ms; /* the same, when there is another tip than own_tip */
    const struct header_node *own_tip; /* at the last look */
    int64_t again_ms;    /* monotonic; when they are told to peers again, 0: at once */
    int64_t log_ms;      /* monotonic; of the last line about progress, or of the start */
    bool logged;
    struct follow_run run;    /* under the lock */
    char why[FOLLOW_WHY_MAX]; /* under the lock; "": it follows */
};

struct wallet_follow {
    struct chain *chain;
    struct wallets *all;
    struct cancel cancel;
    pthread_t thread;
    bool started;
    struct queue *notes;        /* from the chain thread */
    atomic_bool wanted;         /* a wallet is there to hear of the mempool */
    atomic_bool lost;           /* a note found the queue full */
    _Atomic uint64_t bytes;     /* of the wallets, after the last round */
    _Atomic uint64_t reads;     /* of blocks */
    _Atomic uint64_t steps;     /* blocks told, wallets written: that it gets on */
    pthread_mutex_t lock;       /* over what follows, and for cond */
    pthread_cond_t cond;
    bool woken;
    uint64_t told, done;        /* counts what the chain said; how far the wallets know it */
    uint64_t rounds_begun, rounds_ended;
    int32_t behind;             /* of the wallet that has most blocks to go */
    struct followed *list;
    size_t n;
};

/* Why a wallet stands still; said once in the log. Empty: it goes on. */
void follow_set_why(struct wallet_follow *f, struct followed *d, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The wallet has failed with e. Lack of memory passes, everything else unloads it. */
void follow_wallet_failed(struct wallet_follow *f, struct followed *d, const struct error *e);

/* For a while towards the tip, and others with it that want the same blocks. */
enum follow_step follow_blocks(struct wallet_follow *f, struct followed *d);
/* Tells a block to these; how it went is in their step. */
void follow_tell(struct wallet_follow *f, const struct header_node *node,
                 struct followed *const *who, size_t n);
/* What was told is on disk. */
void follow_write(struct wallet_follow *f);

/* What the chain thread has said of the mempool up to now, in order. */
struct follow_note {
    struct queue_node node; /* first */
    struct tx *tx;          /* a reference: it came in; NULL: id has left */
    struct txid id;
    bool has_conflict;
    struct history_conflict conflict;
};
struct follow_note *follow_take_notes(struct wallet_follow *f); /* linked by node.next */
void follow_free_notes(struct follow_note *notes);
/* Tells the wallet, which stands at the tip: the notes, or the mempool as it is. */
void follow_pool(struct wallet_follow *f, struct followed *d, const struct follow_note *notes);

#endif
