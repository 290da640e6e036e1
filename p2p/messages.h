/*
 * Messages of direct channels (spec channels 5): an outbox that keeps what is sent until the peer
 * has it on disk, an inbox that takes each once, whatever is lost, repeated or out of order between
 * the two, and whichever side dies when.
 *
 * This is the machine alone, without sockets and clocks: whoever has the sessions (messages_part.h)
 * says who came and went, hands over what arrived, and calls messages_tick every second, and
 * messages_resume when it was asked to. What is on disk is in message_rows.h. Nothing is said to
 * the other side before it is on disk here: a message is acknowledged, and one of ours handed to
 * its sender as accepted, when its write is synced.
 *
 * Memory: for each contact with something in its outbox, and each peer with a session, a struct of
 * less than 2 KiB and at most MESSAGES_IN_FLIGHT heads; bodies are on disk alone.
 *
 * Channel thread (channels.h). Time of the arguments is milliseconds of a clock that does not go
 * back; what is stored and sent has unix time.
 */
#ifndef P2P_MESSAGES_H
#define P2P_MESSAGES_H

#include "p2p/dchan_store.h"
#include "p2p/dchan_wire.h"
#include "p2p/message_rows.h"

enum {
    MESSAGES_RESEND_MS = 60000,
    MESSAGES_TTL_DEFAULT = 7 * 86400, /* seconds */
    MESSAGES_TTL_MAX = 30 * 86400,
    MESSAGES_AHEAD_MS = 2 * 3600000,  /* that a clock of theirs may be before ours */
    MESSAGES_SEEN_MORE_MS = 7 * 86400000, /* after the end of a message its id is kept */
    MESSAGES_BOX_MAX = 1000,          /* most that may be asked for in messages_limits.box */
};

/* Codes of m_nack; others are final as well. */
enum message_nack {
    MESSAGE_NACK_FULL = 1, MESSAGE_NACK_REFUSED = 2, MESSAGE_NACK_EXPIRED = 3,
    MESSAGE_NACK_TOO_LARGE = 4, MESSAGE_NACK_BUSY = 5, /* 1 and 5: come again */
};

/* One option for each; the numbers in brackets are the defaults. */
struct messages_limits {
    size_t outbox, outbox_bytes;  /* of a contact [1000], [16 MiB] */
    uint64_t outbox_total;        /* bytes [256 MiB] */
    uint64_t inbox_total;         /* bytes of all that is kept [1 GiB] */
    unsigned rate, burst;         /* taken from a contact each second [20], [100] */
    unsigned stranger_per_hour;   /* [60] */
    size_t stranger_bytes;        /* of one message [4096] */
    size_t box, box_per_48;       /* waiting from strangers [100], [4] */
    uint32_t seen;                /* ids kept of a peer [100,000] */
    uint32_t ttl;                 /* seconds, of messages that do not say it [7 days] */
    unsigned in_flight;           /* to a peer, not acknowledged; at most [MESSAGES_IN_FLIGHT] */
    uint64_t resend_ms;           /* without an answer [60 s] */
    bool strangers;               /* who is no contact may write */
};
struct messages_limits messages_default_limits(void);

/* Something for the event log; entries rise. */
enum message_news_kind { MESSAGE_RECEIVED, MESSAGE_DELIVERED, MESSAGE_FAILED };
struct message_news {
    enum message_news_kind kind;
    uint64_t entry;
    uint64_t number; /* of the message */
    uint8_t id[MESSAGE_ID_SIZE], key[IDENTITY_KEY_SIZE];
    const char *reason; /* of MESSAGE_FAILED */
};

struct messages_ops {
    /* To the session that messages_up was called with. As dchan_session_send. */
    enum err (*send)(void *session, const struct dchan_msg *m);
    bool (*is_slow)(void *session);
    /* Something waits for the contact, which has no session. Called again every second. False: it
     * is no contact any more. */
    bool (*dial)(void *ctx, uint64_t contact);
    uint64_t (*unix_ms)(void *ctx);
    /* False: later. Entries up to told are not handed over any more. */
    bool (*tell)(void *ctx, const struct message_news *news);
    uint64_t (*told)(void *ctx);
    /* Something waits for the pace at which it may leave: messages_resume in so many milliseconds.
     * Asked several times before that, the first counts. */
    void (*later)(void *ctx, uint64_t ms);
    void *ctx;
};

struct messages;
struct message_party;

/* Counts what is in the store. store and ops outlive it. */
enum err messages_new(struct messages **out, struct dchan_store *store,
                      const struct messages_limits *limits, const struct messages_ops *ops,
                      struct error *e) MUST_CHECK;
/* Nothing may wait in the store any more (dchan_store_settle). NULL is fine. */
void messages_free(struct messages *m);
void messages_tick(struct messages *m, uint64_t now_ms);
/* Sends what the pace held back until now. */
void messages_resume(struct messages *m, uint64_t now_ms);

/* --- who is there --- */

/* Contact 0: a stranger. */
struct message_peer {
    uint64_t contact;
    uint8_t key[IDENTITY_KEY_SIZE], ours[IDENTITY_KEY_SIZE];
    bool refused;       /* the contact may send no messages */
    uint8_t prefix[6];  /* /48 that a stranger came from */
};
/*
 * A session came up, or another one took the place of the last one: what was in flight is sent
 * again, on this session. held: what this session had until now, or NULL. The party stays valid
 * until messages_down of the same session. A contact that changes its key has two for a while.
 */
struct message_party *messages_up(struct messages *m, struct message_party *held,
                                  const struct message_peer *peer, void *session,
                                  uint64_t now_ms);
void messages_down(struct messages *m, struct message_party *p, const void *session);
uint64_t messages_contact(const struct message_party *p); /* 0: a stranger */
/* What is known of who is there has changed, but whether it is a contact, and which. */
void messages_change(struct message_party *p, const struct message_peer *peer);
/* A contact was removed: what is in its outbox will not be delivered. */
void messages_forget(struct messages *m, const uint8_t key[IDENTITY_KEY_SIZE]);

/* m_send, m_ack, m_nack, m_read */
void messages_take(struct messages *m, struct message_party *p, const struct dchan_msg *msg,
                   uint64_t now_ms);

/* --- what the user does --- */

struct message_draft {
    struct message_peer to;      /* a contact */
    uint32_t ttl;                /* seconds; 0: the default */
    struct span content_type, body;
    bool has_reply_to, has_thread;
    uint8_t reply_to[MESSAGE_ID_SIZE], thread[MESSAGE_ID_SIZE];
};
/* number and id are set when rc is OK. */
typedef void (*message_sent_fn)(void *ctx, enum err rc, const struct error *e, uint64_t number,
                                const uint8_t id[MESSAGE_ID_SIZE]);
/*
 * done: it is on disk, or could not be. ERR_RANGE: too long, or a ttl above the maximum; ERR_BUSY:
 * the outbox is full, nothing is called.
 */
enum err messages_send(struct messages *m, const struct message_draft *draft,
                       message_sent_fn done, void *ctx, uint64_t now_ms,
                       struct error *e) MUST_CHECK;
/*
 * Marks one that was received as read; receipt: the sender is told, at once or in the next session.
 * done is called as in dchan_store.h unless an error is returned. ERR_NOTFOUND: none of this number
 * was received. One that was read already stays so.
 */
enum err messages_mark_read(struct messages *m, uint64_t number, bool receipt, dchan_store_fn done,
                       void *ctx, struct error *e) MUST_CHECK;

/* One of ours is on its way: it was sent in this session and is not acknowledged. */
bool messages_is_in_flight(struct messages *m, const struct message_head *head);

struct messages_stats {
    size_t parties, outbox, box;
    uint64_t outbox_bytes, kept_bytes;
    size_t memory;     /* bytes of what is not on its way to the disk */
    bool disk_trouble; /* the last write failed: nothing is acknowledged until one succeeds */
    struct error disk_error;
};
void messages_get_stats(const struct messages *m, struct messages_stats *out);

#endif
