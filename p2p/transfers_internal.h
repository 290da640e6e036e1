/*
 * What the files transfers*.c share. All of it belongs to the channel thread, but for what a job
 * (struct disk_job) has while it runs: the job itself, and of the file it is for the descriptor,
 * the leaves and what does not change.
 */
#ifndef P2P_TRANSFERS_INTERNAL_H
#define P2P_TRANSFERS_INTERNAL_H

#include <pthread.h>

#include "base/file.h"
#include "base/list.h"
#include "base/pool.h"
#include "p2p/dchan_file_id.h"
#include "p2p/ratelimit.h"
#include "p2p/transfers.h"

#define TRANSFERS_DIAL_TICKS 30
#define FILE_SERVICE "file"
#define FILE_PRIORITY 5
#define FILE_REQUEST_SIZE 41
#define FILE_BLOCK (512u << 10)  /* chunks that are checked and written together */
#define FILE_PIECE (256u << 10)  /* read ahead for sending */

enum file_what { FILE_LEAVES = 1, FILE_CHUNKS = 2 };
enum file_status {
    FILE_OK = 0, FILE_UNKNOWN = 1, FILE_RANGE = 3, FILE_CHANGED = 4, FILE_BUSY = 5,
};
enum file_cancel {
    CANCEL_REFUSED = 1, CANCEL_USER = 2, CANCEL_BAD = 3, CANCEL_CHANGED = 4, CANCEL_LOCAL = 5,
};

/* --- work beside the channel thread --- */

struct disk_job {
    struct job job; /* first */
    struct transfers *t;
    void (*run)(struct disk_job *j);  /* a worker */
    void (*done)(struct disk_job *j); /* channel; frees it. Not called when the transfers end */
    void (*drop)(struct disk_job *j); /* frees it, when they do */
    struct disk_job *next;
    enum err rc;
    struct error error;
};
void disk_submit(struct transfers *t, struct disk_job *j, enum job_priority priority);

/* Bytes a second, a mean over a few seconds. */
struct meter { uint64_t bytes, last, rate; };
void meter_tick(struct meter *m);

/* --- sending --- */

/* Which file it was that was offered; others are hashed again. */
struct file_mark { uint64_t size, device, inode, changed_ns; };
enum err file_mark_of(const struct file *f, struct file_mark *out, struct error *e) MUST_CHECK;
bool file_mark_equal(const struct file_mark *a, const struct file_mark *b);

struct outgoing {
    struct list_link link;
    uint8_t id[32];
    uint64_t contact_id;
    char *path;
    struct file_mark mark;
    char name[DCHAN_NAME_MAX + 1];
    enum transfer_state state;
    unsigned code;
    bool untold;         /* cancelled, and the peer does not know */
    uint64_t created_ms, changed_ms; /* unix */
    bool told;           /* offered in this session */
    bool rehashing;
    unsigned streams;
    uint64_t done;       /* of chunks that went over, each once */
    uint8_t *went;       /* a bit for each of them; NULL: none yet */
    uint64_t price;      /* satoshis for a MiB; 0: it is free */
    struct bill bill;
    uint8_t *billed;     /* a bit for each chunk that was charged; NULL: none yet */
    struct meter sent;
};

/* A stream that we serve. */
struct serve {
    struct list_link link;
    struct transfers *t;
    struct chan_peer *peer;
    struct dchan_mux *mux;  /* NULL: it has ended, a job is still at work */
    uint32_t sid;
    struct outgoing *o;     /* NULL: not known yet, or gone */
    uint8_t request[FILE_REQUEST_SIZE];
    size_t request_len;
    bool answered;          /* the status went out */
    bool ready;             /* what comes next is known */
    uint8_t status;
    enum file_what what;
    uint32_t first, count;
    uint64_t at, end;       /* bytes to be read */
    uint64_t pulled;        /* up to here they have gone, */
    uint64_t charged_to;    /* and up to here they may */
    struct file file;
    uint8_t *piece[2];      /* the one that is sent, and the next */
    size_t piece_len[2], piece_at;
    bool reading, finished;
    size_t budget;
    uint64_t progress_ms;
};

/* --- receiving --- */

struct fetch;

/* One peer that offers a file. */
struct source {
    struct list_link link;
    uint64_t contact_id;    /* 0: a stranger, by its key */
    uint8_t key[IDENTITY_KEY_SIZE];
    uint64_t offered_ms;    /* unix */
    bool accepted, banned, untold; /* untold: refused or cancelled, and it does not know */
    unsigned bad;
    struct chan_peer *peer; /* NULL: not up */
    unsigned streams;
    uint64_t retry_ms;      /* not asked before */
    struct meter got;
    uint64_t price;         /* satoshis for a MiB; 0: it is free */
    struct spending spending;
    uint64_t got_ms;        /* the last chunk that was charged, or stream that was opened */
};

struct incoming {
    struct list_link link;
    struct transfers *t;
    uint8_t id[32];
    uint64_t size;
    uint32_t n;             /* chunks */
    unsigned chunk_log2;
    struct buf name, content_type, note; /* as received */
    char *directory, *saved; /* where it goes when it is there; where it is */
    enum transfer_state state;
    enum transfer_pause pause;
    unsigned code;
    char error[ERROR_TEXT_MAX];
    uint64_t created_ms, changed_ms;
    struct list sources;
    uint64_t max, spent;    /* satoshis for it */
    uint64_t retry_ms;      /* of a pause */

    bool whole;             /* all chunks are there: it needs no source to be opened */
    bool save_due;          /* it is there, and is to be saved under its name */
    bool unsure;            /* a sync has failed: bytes without a bit need not be on the disk */
    bool open;              /* file, leaves and bits are ready */
    bool opening, syncing, finishing, closing, gone, has_leaves;
    bool counted;           /* has a place of those that run */
    unsigned jobs;          /* that use it */
    struct file file;
    uint8_t *leaves;        /* NULL: not there yet */
    uint8_t *have, *asked;  /* bits; how many streams ask for each chunk */
    uint32_t n_have;
    uint64_t good;          /* bytes of chunks that are there; also while it is closed */
    uint32_t search;        /* no chunk below is missing and unasked */
    struct list fetches;
    uint64_t unsynced, sync_ms;
    uint64_t opened_ms, looked_ms; /* when it got its place; when it was seen to be slow or not */
    uint64_t brought, had_brought; /* bytes, leaves too: in all, and by then */
    bool slow;
    uint64_t transferred;
    struct meter got;
};

/* A stream that we read. */
struct fetch {
    struct list_link link;
    struct incoming *in;
    struct source *source;  /* NULL: it is gone */
    struct chan_peer *peer;
    struct dchan_mux *mux;  /* NULL: it has ended, writes are still at work */
    uint32_t sid;
    enum file_what what;
    uint32_t first, count;
    uint32_t next;          /* chunk that the block ends in, counted from the start of the file */
    size_t request_sent;
    bool has_status, has_leaves;
    bool bad;
    unsigned users;         /* the stream, writes, calls */
    uint8_t *block;         /* chunks from block_first on, or leaves */
    size_t block_len, block_cap;
    uint32_t block_first;
    size_t unread;          /* came, and the mux does not know that it was taken */
    unsigned writes;
    uint64_t progress_ms;
};

struct transfers {
    struct channels *channels;
    struct dchan_store *store;
    struct transfers_config config;
    char *directory;
    struct transfers_ops ops;
    const struct stream_payments *payments; /* NULL: there are none */
    struct pool *pool;
    pthread_mutex_t lock;   /* of the next two */
    struct disk_job *done, **done_end;
    struct list outgoing, incoming, serves;
    struct list gone;       /* incoming ones that a job still uses */
    size_t serve_bytes;
    unsigned hashing, running; /* files that are hashed; that are open for receiving */
    unsigned ticks;
    uint64_t news_first, news_last, news_told; /* entries: stored, and that the log has */
    bool news_due;
};

/* What is kept with a peer that is up. */
struct file_peer {
    struct ratelimit offers;
    unsigned serves;
};
struct file_peer *transfers_file_peer(struct transfers *t, struct chan_peer *p);

uint64_t transfers_unix(void);
bool transfers_is(struct chan_peer *p, uint64_t contact_id, const uint8_t *key);
/* The peer of a contact, when it is up. */
struct chan_peer *transfers_peer_of(struct transfers *t, uint64_t contact_id);
/* It is wanted: dials, unless it is up or was tried lately. */
void transfers_dial(struct transfers *t, uint64_t contact_id);
/* Each second while something is under way: whom the user has disconnected seldom. */
void transfers_dial_again(struct transfers *t, uint64_t contact_id);
void transfers_send_id(struct chan_peer *p, uint16_t type, const uint8_t id[32], unsigned code);

static inline bool bit_get(const uint8_t *bits, uint32_t i) { return bits[i / 8] >> i % 8 & 1; }
static inline void bit_set(uint8_t *bits, uint32_t i) { bits[i / 8] |= (uint8_t)(1 << i % 8); }
static inline size_t bits_size(uint32_t n) { return (n + 7) / 8; }
/* How many are set, and how many bytes their chunks have. */
uint32_t incoming_count(const struct incoming *in, const uint8_t *bits, uint64_t *bytes);

/* --- transfers_store.c: what is on disk --- */

enum err transfers_load(struct transfers *t, struct error *e) MUST_CHECK;
/* Called when a write is on disk, or could not be. */
typedef void (*kept_fn)(struct transfers *t, void *ctx, enum err rc, const struct error *e);
struct kept;
struct kept *kept_new(struct transfers *t, kept_fn then, void *ctx);
struct kept *transfers_answer_when_stored(struct transfers *t, struct channels_request *r);
void transfers_commit(struct transfers *t, struct dchan_write *w, struct kept *k);

/* k: NULL, nobody waits. leaves NULL: they are there already. */
void outgoing_store(struct transfers *t, const struct outgoing *o, const uint8_t *leaves,
                    struct kept *k);
void outgoing_erase(struct transfers *t, const struct outgoing *o);
void incoming_store(struct transfers *t, const struct incoming *in, struct kept *k);
void incoming_store_news(struct transfers *t, const struct incoming *in,
                         enum transfer_news_kind kind, struct kept *k);
void incoming_store_leaves(struct transfers *t, const struct incoming *in);
void incoming_store_bits(struct transfers *t, const struct incoming *in, const uint8_t *bits);
/* What is there is of no use any more: leaves and bits. */
void incoming_erase_work(struct transfers *t, const struct incoming *in);
void incoming_erase(struct transfers *t, const struct incoming *in);
void source_store(struct transfers *t, const struct incoming *in, const struct source *s);
void source_erase(struct transfers *t, const struct incoming *in, const struct source *s);
/* Any thread. found false: none. */
enum err leaves_load(struct kv *kv, bool sending, const uint8_t id[32], struct buf *out,
                     bool *found, struct error *e) MUST_CHECK;
enum err bits_load(struct kv *kv, const uint8_t id[32], struct buf *out, bool *found,
                   struct error *e) MUST_CHECK;

/* --- transfers_news.c: what the event log is told --- */

void file_news_write(struct transfers *t, struct dchan_write *w, const struct incoming *in,
                enum transfer_news_kind kind);
void file_news_load(struct transfers *t, struct span key); /* in their order */
/* After these: numbers go on above those that the event log has, also when the store was lost. */
void file_news_begin(struct transfers *t);
void file_news_tell(struct transfers *t);
/* A kept_fn: they are on disk. */
void file_news_stored(struct transfers *t, void *ctx, enum err rc, const struct error *e);

/* --- transfers_offer.c: offers of ours --- */

struct outgoing *outgoing_find(struct transfers *t, const uint8_t id[32], uint64_t contact_id);
void outgoing_free(struct transfers *t, struct outgoing *o);
void offers_up(struct transfers *t, struct chan_peer *p);
void offers_accepted(struct transfers *t, struct chan_peer *p, const uint8_t id[32]);
void offers_done(struct transfers *t, struct chan_peer *p, const uint8_t id[32]);
/* False: the peer has no such offer of ours. */
bool offers_cancelled(struct transfers *t, struct chan_peer *p, const uint8_t id[32],
                      unsigned code);
void offers_tick(struct transfers *t);
void offers_cancel(struct transfers *t, struct outgoing *o);
void offers_contact_gone(struct transfers *t);
/* The file is not what its mark says: it is hashed again. */
void offers_rehash(struct transfers *t, struct outgoing *o);

/* --- transfers_serve.c: streams of others --- */

void serve_open(struct transfers *t, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid);
void serve_tick(struct transfers *t, uint64_t now_ms);
/* o goes away: its streams end, those without an answer with the right one when it changed. */
void serve_forget(struct transfers *t, struct outgoing *o);
/* Its file was hashed again and has not changed, or could not be read: who waited may ask anew. */
void serve_looked(struct transfers *t, const struct outgoing *o);
void serve_free_all(struct transfers *t);

/* --- transfers_offered.c: offers of others --- */

void incoming_offered(struct transfers *t, struct chan_peer *p, const struct dchan_f_offer *m);
/* One that we know: the answer of before once more. */
void incoming_offered_again(struct incoming *in, struct source *s, struct chan_peer *p);
void incoming_cancelled(struct transfers *t, struct chan_peer *p, const uint8_t id[32],
                        unsigned code);

/* --- transfers_in.c: what becomes of them --- */

struct incoming *incoming_find(struct transfers *t, const uint8_t id[32]);
struct incoming *incoming_new(struct transfers *t, const uint8_t id[32], uint64_t size);
struct source *source_add(struct incoming *in, uint64_t contact_id, const uint8_t *key);
struct source *source_find(struct incoming *in, struct chan_peer *p); /* NULL: it is none */
void source_remove(struct incoming *in, struct source *s);
/* To be stored with the file. */
void source_accept(struct incoming *in, struct source *s);
/* Nothing is at work on it any more. */
void incoming_free(struct incoming *in);
/* Streams end; memory goes when no job uses it any more. The file stays. */
void incoming_close(struct incoming *in);
void incoming_drop(struct incoming *in);
/* Out of all lists; memory goes when no job uses it any more. */
void incoming_forget(struct incoming *in);
/* The disk does not take it: it is tried again later. */
void incoming_pause(struct incoming *in, const struct error *why);
/* A job of this file has ended; false: it is gone, and freed when that was the last. */
bool incoming_job_ended(struct incoming *in);
void incoming_up(struct transfers *t, struct chan_peer *p);
void incoming_down(struct transfers *t, struct chan_peer *p);
void incoming_accept(struct incoming *in, const char *directory, uint64_t max,
                     struct channels_request *r);
void incoming_cancel(struct incoming *in);
/* A source that said it does not have the file, or not any more. */
void incoming_lost_source(struct incoming *in, struct source *s, enum transfer_state why,
                          unsigned code);
void incoming_is_there(struct incoming *in); /* the file has its name */
void incoming_saved(struct incoming *in, struct channels_request *request); /* or not: in->error */
void incoming_tick(struct transfers *t, uint64_t now_ms);
void incoming_contact_gone(struct transfers *t);

/* --- transfers_fetch.c: asking sources --- */

/* Asks whom it can for what is missing. */
void fetch_more(struct incoming *in);
void fetch_tick(struct incoming *in, uint64_t now_ms);
void fetch_reset_all(struct incoming *in, enum dchan_reset code);
void fetch_written(struct fetch *f);
/* Wrong data came. */
void fetch_blame(struct fetch *f, const char *what);

/* --- transfers_pay.c: files that cost something --- */

/* How many of max bytes may leave now. */
size_t sale_room(struct serve *s, size_t max);
/* The contact can pay for it. */
bool sale_is_possible(const struct transfers *t, const struct outgoing *o);

uint64_t purchase_cost(const struct incoming *in, const struct source *s); /* of what is missing */
bool purchase_is_affordable(const struct incoming *in, const struct source *s);
bool purchase_may_ask(const struct incoming *in, const struct source *s);
/* Of one that was loaded with its price. */
void purchase_begin(const struct incoming *in, struct source *s);
/* Its offer says so; one that was accepted may not be any more. */
void purchase_priced(struct incoming *in, struct source *s, uint64_t price);
/* Good chunks of it are written: they are paid. s may be NULL. */
void purchase_got(struct incoming *in, struct source *s, uint64_t bytes);
void purchase_refused(struct incoming *in, const struct source *s);
void purchase_tick(struct incoming *in, uint64_t now_ms);
void purchase_opened(struct incoming *in); /* what is there is known */

/* --- transfers_disk.c: the file --- */

void disk_open(struct incoming *in);
/* Checks chunks and writes the good ones; takes the block. */
void disk_write(struct fetch *f, uint32_t first, uint32_t n, uint8_t *block);
/* Checks the leaves that the fetch has. */
void disk_leaves(struct fetch *f);
void disk_sync(struct incoming *in);
char *disk_path(const struct transfers *t, const uint8_t id[32], bool part);

/* --- transfers_finish.c: its end --- */

/* When all of it is there, and nothing is at work on it. */
void disk_finish(struct incoming *in);
/* What is there already; the request, which may be NULL, is answered when it is done. */
void disk_save(struct incoming *in, const char *directory, struct channels_request *request);
void disk_remove(struct transfers *t, const uint8_t id[32]);

#endif
