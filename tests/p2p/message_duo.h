/*
 * Two message machines on stores in memory, connected by packets that a test may lose, repeat and
 * put in another order. A side can die at any moment and come back with what was on its disk.
 */
#ifndef TESTS_P2P_MESSAGE_DUO_H
#define TESTS_P2P_MESSAGE_DUO_H

#include <pthread.h>

#include "base/kv.h"
#include "p2p/messages.h"

#define DUO_PACKETS_MAX 4096
#define DUO_NEWS_MAX 8192
#define DUO_UNIX_MS UINT64_C(1764000000000)
#define DUO_CONTACT 7 /* number of the other side as a contact */

struct duo_packet {
    uint8_t *data;
    size_t len;
};

struct duo_side {
    struct message_duo *duo;
    int at;                       /* 0 or 1 */
    struct kv *disk;              /* survives the machine */
    _Atomic unsigned lies;        /* writes that are said to fail */
    pthread_mutex_t busy;         /* no write ends while a test has it */
    struct dchan_store *store;    /* NULL: dead */
    struct messages *m;
    struct message_party *party;  /* NULL: no session */
    struct messages_limits limits;
    bool stranger;                /* what the other side is to this one */
    bool refused;                 /* the other may send nothing */
    int64_t clock_ms;             /* its clock is ahead by */
    struct duo_packet out[DUO_PACKETS_MAX]; /* on the way to the other side */
    size_t n_out;
    bool slow;
    bool glutted;                 /* the next that it sends ends its session */
    size_t dials;
    uint64_t later_ms;            /* it asked to be called again after so long; 0: it did not */
    bool unknown;                 /* the other side is no contact any more */
    struct message_news news[DUO_NEWS_MAX]; /* as in its event log */
    size_t n_news, sent[128];     /* by type of message */
};

struct message_duo {
    struct duo_side sides[2];
    uint64_t now_ms;
    uint64_t random;
};

/* Limits and stranger may be changed before duo_start. */
void duo_init(struct message_duo *d);
void duo_start(struct message_duo *d);
void duo_clear(struct message_duo *d);
/* Other limits, in the middle of a test: as after duo_init. */
void duo_anew(struct message_duo *d);

/* All that is written is on disk, and said. */
void duo_settle(struct duo_side *s);
/* A session, after the end of the present one. */
void duo_connect(struct message_duo *d);
void duo_cut(struct message_duo *d);
/* Settles and hands over until nothing moves. */
void duo_run(struct message_duo *d);
/* Seconds with ticks; duo_run after each. */
void duo_pass(struct message_duo *d, uint64_t seconds);
/* The packet arrives and is gone. */
void duo_arrive(struct duo_side *from, size_t i);
void duo_repeat(struct duo_side *from, size_t i);

/* From now on the n-th write and all after it fail; 0: none. */
void duo_fail_writes(struct duo_side *s, uint64_t n);
/* The next n writes are said to have failed though they are there, as after a failed sync. */
void duo_lie(struct duo_side *s, unsigned n);
/* The process is gone, and so is what its disk had not been told to keep. */
void duo_kill(struct duo_side *s);
/* It comes back. */
void duo_revive(struct duo_side *s);

/* OK: settled, *number is its number (may be NULL). */
enum err duo_send(struct duo_side *s, const char *text, uint64_t *number);
enum err duo_send_draft(struct duo_side *s, const struct message_draft *draft, uint64_t *number);
struct message_draft duo_draft(struct duo_side *s, const char *text);

/* How many messages of this kind and state it has on disk; state 0: any. */
size_t duo_count(struct duo_side *s, bool ours, enum message_state state);
/* All that it received, in the order of their numbers. */
typedef void (*duo_received_fn)(void *ctx, const struct message_head *h, struct span body);
void duo_each_received(struct duo_side *s, duo_received_fn fn, void *ctx);
/* Head and body of the n-th message that it received, by number; false: there are not so many. */
bool duo_received(struct duo_side *s, size_t n, struct message_head *h, struct buf *body);
struct message_head duo_head(struct duo_side *s, uint64_t number);
size_t duo_news(const struct duo_side *s, enum message_news_kind kind);
/* Rows with this prefix. */
size_t duo_rows(struct duo_side *s, const char *prefix);

/* Below n; the same each time. */
uint64_t duo_random(struct message_duo *d, uint64_t n);

#endif
