/*
 * What the files of the message machine share. The public face is messages.h.
 *
 *   messages.c        the machine: parties, numbers, what happens every second
 *   messages_disk.c   when the disk takes nothing, and what follows
 *   messages_queue.c  what the user sends
 *   messages_out.c    the outbox: what is in flight, receipts, the end of a message
 *   messages_in.c     what arrives
 *   messages_seen.c   ids that were taken
 *   messages_box.c    the request box of strangers
 *   messages_news.c   what the event log is told
 */
#ifndef P2P_MESSAGES_INTERNAL_H
#define P2P_MESSAGES_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "base/hash.h"
#include "p2p/messages.h"
#include "p2p/ratelimit.h"

enum {
    STORE_WAITING_MAX = 8 << 20, /* bytes: above, nothing more is taken from outside */
    PAUSE_MIN_MS = 1000,         /* after an m_nack that asks to come again; doubles */
    PAUSE_MAX_MS = 60000,
    PACE_PERCENT = 90, PACE_BURST_PERCENT = 80, /* of what we would take, we send */
    RECEIPTS_AT_ONCE = 256,
    SWEEP_AT_ONCE = 64,
    STRANGER_TOKENS = 3600,      /* a message of a stranger takes, who gets tokens by the second */
};

/* One of ours in memory while its peer has a session. */
enum flight_state {
    FLIGHT_READY,  /* to be sent (again) */
    FLIGHT_SENT,
    FLIGHT_ENDING, /* its end is being written */
};
struct flight {
    struct message_outbox row;
    enum flight_state state;
    uint64_t sent_ms;
};

struct message_party {
    struct messages *m;
    struct list_link link;
    struct message_name name;
    struct message_peer peer;
    void *session;               /* the newest; NULL: none is up */
    size_t n_held;               /* sessions that know it */
    size_t writes;               /* that wait and come back here */
    bool loaded;                 /* order, seen and unread are what the store says */
    struct message_order order;
    uint32_t seen;               /* ids kept, about */
    uint64_t unread;             /* bytes of a contact that nobody has read */

    struct ratelimit rate, reads;
    struct list incoming;        /* being written */

    size_t n_out;                /* in the outbox, with what is being written to it */
    uint64_t out_bytes;
    uint8_t (*keys)[IDENTITY_KEY_SIZE]; /* under which the outbox has something */
    size_t n_keys;
    uint64_t last_created_ms;    /* of what is or was there */
    struct list endings;         /* being written */
    struct flight *flight;       /* MESSAGES_IN_FLIGHT of them, NULL: none */
    size_t n_flight;
    bool all_loaded;             /* nothing is in the outbox but what is in flight */
    bool was_full;               /* the last look found more than there was room for */
    uint64_t paused_until_ms, pause_ms;
    struct ratelimit pace;
};

struct boxed {
    uint64_t number;
    uint8_t prefix[6];
};

struct messages {
    struct dchan_store *store;
    struct kv *kv;
    struct messages_limits limits;
    struct messages_ops ops;
    uint64_t now_ms;
    uint64_t last_number, kept_bytes;
    uint64_t out_bytes;
    size_t n_out;
    struct map by_name;
    struct siphash_key hash_key;
    struct list parties;
    size_t writes; /* of all parties, and without one */
    struct boxed *box;
    size_t n_box;
    bool news_due;
    uint64_t news_told, news_pruned; /* entries up to */
    struct message_key sweep, trim; /* where the next look begins */
    struct message_key clean;
    bool cleaning; /* what the last look found is being written */
    uint64_t clean_after_ms;
    struct error disk_error; /* code OK: none */
    bool probing;    /* a write that is to tell whether it is over */
    bool reload_due; /* after that: what failed may be there all the same */
};

static inline uint64_t messages_unix_ms(const struct messages *m)
{
    return m->ops.unix_ms(m->ops.ctx);
}

/* --- messages.c --- */
struct message_party *party_find(struct messages *m, const struct message_name *n);
/* Made when there is none. */
struct message_party *party_get(struct messages *m, const struct message_peer *peer);
/* Of its rate, for one message. */
uint64_t party_tokens(const struct message_party *p);
/* Frees it when nothing keeps it. */
void party_release(struct message_party *p);
/* Order and number of ids, from the store. */
enum err party_load(struct message_party *p, struct error *e) MUST_CHECK;
void write_put(struct dchan_write *w, const struct message_key *key, const struct buf *value);
void write_delete(struct dchan_write *w, const struct message_key *key);
void write_head(struct dchan_write *w, const struct message_head *h);
void write_order(struct dchan_write *w, const struct message_party *p);
/* Numbers and bytes of all, as they are now. */
void write_last(struct messages *m, struct dchan_write *w);
/* Iterators stay in a table. */
bool key_has_prefix(struct span key, const struct message_key *prefix);

/* --- messages_disk.c --- */
/* What is counted and kept in memory is taken from the store again, when that is due and nothing is
 * being written. False: it is due still, nothing new is taken. */
bool reload_if_due(struct messages *m);
/* The same as an error. */
enum err reload_check(struct messages *m, struct error *e) MUST_CHECK;
/* Every completion says how it went. */
void note_write(struct messages *m, enum err rc, const struct error *e);
/* Numbers, bytes and the request box. */
enum err load_totals(struct messages *m, struct error *e) MUST_CHECK;
/* While there is trouble one write a second finds its end, also when nobody sends anything. */
void probe_disk(struct messages *m);

/* --- messages_out.c --- */
void out_charge(struct message_party *p, const struct message_outbox *row);
void out_discharge(struct message_party *p, const struct message_outbox *row);
void out_add_key(struct message_party *p, const uint8_t key[IDENTITY_KEY_SIZE]);
enum err out_count_all(struct messages *m, struct error *e) MUST_CHECK;
void out_forget_counts(struct message_party *p); /* before that */
void out_up(struct message_party *p);
void out_down(struct message_party *p);
void out_tick(struct message_party *p);
/* Sends what may be sent. */
void out_pump(struct message_party *p);
void out_sweep(struct messages *m);
void out_take_ack(struct message_party *p, const struct dchan_m_receipt *r);
void out_take_nack(struct message_party *p, const struct dchan_m_receipt *r);
void out_take_read(struct message_party *p, const struct dchan_m_receipt *r);
void out_forget(struct message_party *p);

/* --- messages_in.c --- */
void in_take(struct message_party *p, const struct dchan_m_send *s);
/* What is being written counts as not come. */
void in_untake(const struct message_party *p, struct message_order *o);
void in_up(struct message_party *p); /* sends the m_reads that waited */
enum err unread_load(struct message_party *p, struct error *e) MUST_CHECK;

/* --- messages_seen.c --- */
enum err seen_find(struct message_party *p, const uint8_t id[MESSAGE_ID_SIZE], bool *found,
                   struct error *e) MUST_CHECK;
/* Into the batch; what is over the limit or its time leaves. */
enum err seen_add(struct message_party *p, struct dchan_write *w,
                  const uint8_t id[MESSAGE_ID_SIZE], uint64_t until_ms,
                  struct error *e) MUST_CHECK;
enum err seen_load(struct message_party *p, struct error *e) MUST_CHECK;
/* Looks at some more of all, those of peers that never come again too. */
void seen_clean(struct messages *m);

/* --- messages_box.c --- */
enum err box_load(struct messages *m, struct error *e) MUST_CHECK;
bool box_has_room(const struct messages *m, const uint8_t prefix[6]);
void box_add(struct messages *m, struct dchan_write *w, uint64_t number, const uint8_t prefix[6]);
/* w NULL: it was never written. */
void box_remove(struct messages *m, struct dchan_write *w, uint64_t number);

/* --- messages_news.c --- */
void news_write(struct dchan_write *w, uint64_t entry, const struct message_entry *x);
/* Numbers go on above those that the event log has, also when the store was lost. */
void news_begin(struct messages *m);
void news_pump(struct messages *m);
void news_prune(struct messages *m);

#endif
