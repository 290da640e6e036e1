/*
 * Files over direct channels (spec channels 6): what we offer to contacts and what is offered to
 * us, until the last chunk is on disk. A part of the channels (channels.h): it owns messages 128 to
 * 134 and the streams of service `file`.
 *
 * A file is known by its id, which its content gives it. Each chunk is checked against the list of
 * leaves before it is written; which ones are there survives a crash of either side, so that only
 * what is missing is asked for again, from any peer that offered the same id. State belongs to the
 * file, permission and quota to each peer that offers it.
 *
 * Interruptions go on without anybody's help. Who sends offers again in each session until the
 * other says that it has all; who receives answers as before, asks in each session for what is
 * missing, and both dial while it is (one whom the user has disconnected each half minute). A
 * question that was answered "busy", or whose stream broke, is asked again after 2 s, one that was
 * refused after a minute; a stream on which nothing moves for a minute is ended by either side.
 * What was not paid, and what was paid in vain: transfers_pay.c.
 *
 * Data lie in a private directory under the id and get the name that the sender chose only when the
 * user says where (file_name.h). The channel thread touches no data: a few threads read, check,
 * hash and write. Memory: at most TRANSFERS_RUNNING_MAX files at a time come, with their leaves (2
 * MiB at most), and for each of four streams two blocks and what its window lets come; serving has
 * one budget for all peers.
 *
 * "Any" functions wait for the channel thread, others are called before it starts or after it ends.
 */
#ifndef P2P_TRANSFERS_H
#define P2P_TRANSFERS_H

#include "p2p/channels.h"
#include "p2p/stream_meter.h"

struct transfers;

enum {
    TRANSFERS_STREAMS_MAX = 4,       /* for one file */
    TRANSFERS_RUNNING_MAX = 8,       /* others are queued; for these one gives up its place */
    TRANSFERS_SLOW_MS = 60000,       /* that brought less than so much in this time, */
    TRANSFERS_SLOW_BYTES = 240 << 10,
    TRANSFERS_TURN_MS = 900000,      /* or has had it for so long */
    TRANSFERS_STREAM_IDLE_MS = 60000,
    TRANSFERS_BAD_CHUNKS = 3,        /* from then on a source is not asked for the file any more */
    TRANSFERS_SYNC_BYTES = 16 << 20, /* so much may have to come again after a power cut, */
    TRANSFERS_SYNC_MS = 5000,        /* or what came in this time */
};
#define TRANSFERS_EXPIRE_MS (UINT64_C(7) * 24 * 3600 * 1000)

/* Values are stored. */
enum transfer_state {
    TRANSFER_WAITING = 0,   /* not accepted: by the peer (sending), by the user (receiving) */
    TRANSFER_RUNNING = 1,   /* accepted */
    TRANSFER_DONE = 2,
    TRANSFER_REFUSED = 3,   /* by the peer */
    TRANSFER_CANCELLED = 4, /* by the peer, or by us and it does not know yet */
    TRANSFER_CHANGED = 5,   /* the file is not what was offered any more */
    TRANSFER_FAILED = 6,    /* the peer had an error */
    TRANSFER_STATES
};
/* What a running one waits for. */
enum transfer_pause {
    TRANSFER_GOES_ON, TRANSFER_QUEUED, TRANSFER_NO_SPACE, TRANSFER_DISK_ERROR, TRANSFER_NO_SOURCE,
};

struct transfers_config {
    const char *directory;      /* private; made if need be */
    unsigned offers_max;        /* [100] of one peer that wait for the user */
    unsigned reserve_percent;   /* [5] of the file system stay free */
    uint64_t serve_budget;      /* [64 MiB] memory for what is being sent */
    uint64_t expire_ms;         /* [7 days] offers, and what is over, are kept; 0: the default */
    unsigned streams;           /* [4] for one file; 0: the default */
    unsigned bad_chunks;        /* [3] of a source, which then is not asked any more; 0: default */
    uint64_t idle_ms;           /* [60 s] before a silent stream is closed; 0: the default */
    uint64_t sync_bytes;        /* [16 MiB] of a file that came are synced; 0: the default */
    uint64_t sync_ms;           /* [5 s] or what came in this time; 0: the default */
};

struct transfer_source_info {
    char name[CONTACT_ALIAS_MAX + 1]; /* alias, or "" for a stranger */
    uint8_t key[IDENTITY_KEY_SIZE];
    bool up, accepted, banned;
    unsigned bad, streams;
    uint64_t bytes, rate;       /* since the start; now, in bytes a second */
    uint64_t price, cost;       /* satoshis for a MiB; for what is missing, or (sending) in all */
    uint64_t charged, paid;     /* since the start */
};

struct transfer_info {
    bool sending;
    uint8_t id[32];
    enum transfer_state state;
    enum transfer_pause pause;
    unsigned code;              /* of f_cancel */
    char name[DCHAN_NAME_MAX + 1], content_type[DCHAN_CONTENT_TYPE_MAX + 1],
        note[DCHAN_NOTE_MAX + 1]; /* sanitised */
    uint64_t size, done;        /* done: good bytes of it that are there, or went over */
    uint64_t transferred;       /* bytes of chunks in all, those that were not needed too */
    uint64_t rate;
    uint64_t created_ms;        /* unix */
    char *path;                 /* where it is; NULL: nowhere yet */
    char error[ERROR_TEXT_MAX]; /* of the pause, or why it is not paid */
    uint64_t max, spent;        /* satoshis, receiving */
    size_t n_sources;           /* sending: the receiver */
    struct transfer_source_info *sources;
};

/* For the event log. Entries rise, and are on disk with what they tell of. */
enum transfer_news_kind { TRANSFER_OFFERED = 1, TRANSFER_RECEIVED = 2 };
struct transfer_news {
    enum transfer_news_kind kind;
    uint64_t entry;
    uint8_t id[32], key[IDENTITY_KEY_SIZE]; /* key: who offered it */
    uint64_t size;
    struct span name;           /* not sanitised */
};

/* Channel thread. */
struct transfers_ops {
    /* False: later. Entries up to told are not handed over any more. */
    bool (*tell)(void *ctx, const struct transfer_news *news);
    uint64_t (*told)(void *ctx);
    void *ctx;
};

/* Reads what is stored and becomes a part of the channels. The directory is copied. */
enum err transfers_new(struct transfers **out, struct channels *channels,
                       const struct transfers_config *config, const struct transfers_ops *ops,
                       struct error *e) MUST_CHECK;
/* After channels_stop, before the store is freed, which the workers read. NULL is fine. */
void transfers_stop(struct transfers *t);
/* When the store has gone, before channels_free. NULL is fine. */
void transfers_free(struct transfers *t);

/* --- any --- */

/* Hashes the file, which takes its time, and stores the offer; it is sent when the contact is
 * there. price: satoshis for a MiB, 0: it is free. */
enum err transfers_send(struct transfers *t, const char *contact, const char *path, uint64_t price,
                        uint8_t id[32], struct error *e) MUST_CHECK;
/* Takes the offers that wait, those that cost something when max satoshis are enough; of a file
 * that is there: saves it. directory: where it is saved under its name, or NULL. ERR_RANGE: all of
 * them cost more. */
enum err transfers_accept(struct transfers *t, const uint8_t id[32], const char *directory,
                          uint64_t max, struct error *e) MUST_CHECK;
/* Whatever has to do with the id. */
enum err transfers_cancel(struct transfers *t, const uint8_t id[32], struct error *e) MUST_CHECK;

struct transfer_list {
    struct transfer_info *v;
    size_t n;
};
/* Newest last. ERR_CANCELLED: it stops. */
enum err transfers_list(struct transfers *t, struct transfer_list *out) MUST_CHECK;
void transfer_list_clear(struct transfer_list *l);

/* Channel thread: bytes of memory. */
uint64_t transfers_memory(const struct transfers *t);

const char *transfer_state_name(const struct transfer_info *i);

/* --- payments (transfers_pay.c): channel thread --- */

/* Before the channels start, and NULL before what is given ends. */
void transfers_set_payments(struct transfers *t, const struct stream_payments *p);
/* A payment of the contact is on disk. What is left of the amount: it is for nothing here. */
uint64_t transfers_paid(struct transfers *t, uint64_t contact, struct span ref, uint64_t amount);
void transfers_payments_failed(struct transfers *t); /* none is taken any more */

#endif
