/* Shared by the files of payment channels (paychans.h). */
#ifndef NODE_PAYCHANS_INTERNAL_H
#define NODE_PAYCHANS_INTERNAL_H

#include <stdatomic.h>

#include "base/journal.h"
#include "base/map.h"
#include "chain/tx_result.h"
#include "node/paychan_endpoints.h"
#include "node/paychan_wallet.h"
#include "node/paychans.h"
#include "p2p/dchan_wire.h"
#include "p2p/ratelimit.h"
#include "wallet/paychan_copy.h"

/* What a step said, until its record is on disk. */
struct paychan_pending {
    struct held *h;
    struct paychan_pending *next;
    bool durable;
    uint64_t entry, amount;      /* payee: a payment, as the event log numbers it; 0: none */
    bool pays;                   /* a payment that is signed and has not left */
    enum err rc;                 /* of writing the record */
    struct channels_request *r;  /* answered when all is done; or NULL */
    uint8_t ref[PAYCHAN_REF_MAX];
    char text[PAY_TEXT_MAX];     /* of a failure or alarm */
    size_t n;
    struct paychan_action actions[];
};

/* Payments that commands have asked for, in order (paychans_pay.c). */
struct pay_fifo {
    struct pay_wait *first, *last;
};

/* An open command that waits for the funding. */
struct open_wait {
    struct channels_request r; /* first */
    struct paychans *pc;
    const struct pay_opening *in;
    struct pay_opened *out;
};

/* What a channel has sent to the network, until it is deep; nothing of it is stored. */
struct paychan_sending {
    struct tx *spend;            /* spends the funding, as far as is known; a reference, or NULL */
    struct tx *sent;             /* the last one of ours that was made; the same */
    bool shown;                  /* a peer has ours in its mempool */
    uint32_t since;              /* the tip when the first was sent; 0: none was */
    int64_t since_time;          /* unix seconds of that */
    uint32_t seen_tip;
    unsigned raced;              /* times in the block after raced_tip that it lost a race */
    uint32_t raced_tip;
    int64_t again_ms;            /* monotonic; 0: it is not to be signed anew */
    struct tx *child;            /* the last one that pays for it; a reference, or NULL */
    struct txid child_of;        /* for this one */
    uint32_t child_level;        /* times that child_blocks have passed, of the last child */
    bool child_job;
};

/* A channel with what belongs to it beside the state machine. Its owner is the table. */
struct held {
    struct paychans *pc;
    uint64_t number;             /* on disk and for jobs */
    struct paychan c;
    uint64_t contact;
    uint8_t ours[EC_PUBKEY_SIZE], theirs[EC_PUBKEY_SIZE]; /* identities, at the opening */
    char wallet[WALLET_NAME_MAX + 1];
    char memo[PAYCHAN_MEMO_MAX + 1]; /* sanitised where it is shown */
    int64_t created;
    uint32_t opened_at;          /* the tip then: no block below has to do with it */

    /* Not stored. */
    bool started;                /* PAYCHAN_EV_START was given, or it is new */
    uint8_t *secret;             /* NULL: not to be had now */
    bool imported;               /* the wallet knows the payout key */
    bool job, funding, checking; /* a job for keys, funding, its check is under way */
    struct paychan_pending *first, *last;
    bool running;
    bool forgetting, forgotten;  /* no more steps; to be dropped */
    bool ack_due;
    size_t ack_at;               /* place among those */
    struct paychan_ack_msg ack;
    uint64_t served_paid;        /* payee: of it the takers know */
    struct { uint64_t n, paid; uint8_t sig[EC_SIG_SIZE]; } safe; /* payee: the last payment that is
                                  * on disk, for this funding; n 0: none since the start */
    uint64_t helped_n;           /* up to here the helper has it, as it said in this session */
    uint64_t help_sent_n;        /* it was sent this, in the message help_id */
    uint8_t help_id[16];
    bool asked;                  /* the helper, for a state that is lost */
    bool lost, seeking;          /* payer: the funding is nowhere; a job looks for another */
    int64_t sought_ms;           /* when it was looked for last, monotonic */
    uint8_t told_state;
    uint64_t second, in_second;  /* payments that came */
    struct pay_fifo waits;       /* signed, in the order of n */
    struct pay_fifo queued;      /* for their turn */
    uint64_t sent_n;             /* payer: the highest that was durable, and so may have left */
    struct open_wait *opener;
    char alarm[PAY_TEXT_MAX];
    const char *condition;       /* static: alarms while it lasts; NULL: nothing does */
    bool condition_urgent;       /* as it was told */
    struct paychan_sending sending;
    bool has_source;             /* of a stranger: the /48 it came from */
    uint8_t source[6];
};

/* What a contact has asked for: channels, and messages that cost the disk or the chain. */
struct opens {
    uint64_t contact; /* or a stranger's number */
    uint64_t since;
    unsigned n;
    struct ratelimit costly;
    struct ratelimit kept;       /* messages about states that we keep for it */
    unsigned looking;            /* looks at the chain for such states */
};

struct paychans {
    struct channels *channels;
    const struct rpc_env *env;
    struct feeds *feeds;
    struct relay *relay;
    struct paychan_endpoints *endpoints; /* NULL: none */
    bool asked;                  /* for keys, since the start */
    struct paychans_config config;
    char *dir;
    struct paychan_wallet *wallet;
    struct paychan_watch *watch;
    struct rpc_pay_service service;

    struct held **all;           /* by rising numbers */
    size_t n, cap;
    uint64_t next_number;
    struct map ids;              /* of those that have an id */
    struct siphash_key key;
    struct paychan_view view;
    struct opens *opens;
    size_t n_opens;

    struct journal *journal;
    _Atomic bool polling;
    size_t unsent;               /* pending ones that pay */
    size_t pending_bytes;        /* of all channels */
    size_t n_waits;              /* payments of commands that have no answer */
    struct held **acks;          /* with ack_due */
    size_t n_acks, acks_cap;
    char trouble[PAY_TEXT_MAX];  /* the journal has failed; "" not */
    char *export_path;           /* of what channels are brought back from; NULL: none is kept */
    bool export_due, exporting;
    int64_t export_after_ms;     /* monotonic */
    uint8_t (*over)[PAYCHAN_ID_SIZE]; /* forgotten since the start */
    size_t n_over;
    char *helper;                /* a contact, or NULL */
    uint64_t helped_at;          /* unix seconds */
    struct paychans_kept *kept;  /* for contacts */
    struct paychans_takers takers;
    struct stream_payments for_parts;
    bool compacting, compacted;  /* one is under way; was begun since the start */
    uint64_t compacted_from;     /* what is below goes when the database has it */
    struct dchan_write *compaction; /* until the records before it are on disk */
    unsigned restoring;          /* jobs under way */
    uint64_t *gone;              /* forgotten since the last compaction */
    size_t n_gone, gone_cap;
    size_t n_going;              /* the first so many: the compaction under way deletes them */
    struct untold *untold;       /* payments that the event log does not have, in their order */
    size_t untold_first, n_untold, untold_cap; /* those before the first are done with */
    uint64_t next_entry;
    bool dropping;               /* files of the journal wait until the log has what they tell */
    uint64_t drop_entry;         /* that is up to here */
    bool stopping;
};

/* A payment, or some without a ref that became durable together. */
struct untold {
    uint64_t number, entry, n, paid, amount;
    uint8_t id[PAYCHAN_ID_SIZE], theirs[EC_PUBKEY_SIZE];
    char ref[PAYCHAN_REF_MAX + 1]; /* sanitised */
};
#define PAYCHANS_UNTOLD_MAX 65536 /* no payment is taken above */

/* --- paychans.c --- */

struct held *paychans_add(struct paychans *pc, struct held *h); /* with its number */
struct held *paychans_by_number(struct paychans *pc, uint64_t number);
size_t paychans_place(const struct paychans *pc, uint64_t number); /* of the first not below */
struct held *paychans_by_id(struct paychans *pc, const uint8_t id[PAYCHAN_ID_SIZE]);
void paychans_index(struct held *h); /* it has an id now */
struct chan_peer *paychans_peer(const struct held *h); /* whose it is, or NULL */
/* A step. r (may be NULL) is answered when all that it said is done. The error: it is refused. */
enum err paychans_try(struct held *h, struct paychan_event *ev, struct channels_request *r,
                      struct error *e) MUST_CHECK;
/* The same of one whose refusal is of no interest but to r. h may be gone afterwards. */
void paychans_give(struct held *h, struct paychan_event *ev, struct channels_request *r);
void paychans_run(struct held *h);      /* what is durable is done */
void paychans_send_acks(struct paychans *pc);
void paychans_ack_not_due(struct held *h);
/* So much waits for the disk that a peer has to wait, too. */
bool paychans_is_behind(const struct paychans *pc);
void paychans_drop_if_new(struct held *h); /* nothing came of it */
void paychans_alarm(struct held *h, const char *text);
struct paychan_own paychans_own(const struct held *h);
bool paychans_is_open(const struct held *h);

/* --- paychans_store.c --- */

enum err paychans_load(struct paychans *pc, struct error *e) MUST_CHECK;
void paychans_write(struct held *h, enum paychan_record_kind kind, struct paychan_pending *p);
void paychans_write_forget(struct paychans *pc, uint64_t number);
void paychans_poll(struct paychans *pc);
void paychans_compact_if_due(struct paychans *pc);

/* --- paychan_broadcast.c: what goes to the network --- */

/* The close, signed anew; the refund. */
void paychans_send_close(struct held *h);
void paychans_send_refund(struct held *h);
void paychans_submit(struct held *h, struct tx *tx, const char *what); /* to our own node */
/* After this tip, or a second: what was sent goes again, gets a child, is complained of. */
void paychans_look_after(struct held *h);
void paychans_note_spend(struct held *h, const struct paychan_sight *s);
void paychans_listen_to_peers(struct paychans *pc); /* the loop's thread, before it runs */
void paychans_end_sending(struct held *h); /* peers are told no more */
void paychans_sending_clear(struct held *h);
/* To peers; kind 0 of a channel: close or refund, 1: the one that a child pays for, 2: the child.
 */
void paychans_push(struct held *h, struct tx *tx, unsigned kind);
/* Of no channel of ours; number: its own, below 2^60. tx NULL: the order ends. */
void paychans_push_tx(struct paychans *pc, struct tx *tx, uint64_t number, bool everybody);

/* Blocks made since close or refund was first sent, in none of which it is. */
uint32_t paychans_blocks_waited(const struct held *h);
bool paychans_is_overdue(const struct held *h); /* it waits long for a block */

/* --- paychan_alarms.c --- */

void paychans_look_for_danger(struct held *h); /* each second */
bool paychans_is_urgent(const struct held *h); /* it has to be settled, and is not */

/* --- paychan_child.c --- */

/* Another child, if it is time. */
void paychans_look_at_child(struct held *h);

/* --- paychans_do.c: actions --- */

void paychans_do(struct held *h, const struct paychan_action *a);
void paychans_send_ack(struct held *h); /* the one that is due */
/* Keys of what was loaded, and payout keys that the wallet does not know yet. */
void paychans_ask_for_keys(struct held *h);

/* --- paychans_strangers.c --- */

/* Who it is: a contact's id, or a number of a stranger; also of one who is a contact now, for a
 * channel (id, may be NULL) from before. */
uint64_t paychans_party(struct paychans *pc, struct chan_peer *p, const uint8_t *id);
bool paychans_is_stranger(uint64_t party);
struct chan_peer *paychans_peer_of(struct paychans *pc, uint64_t party,
                                   const uint8_t theirs[EC_PUBKEY_SIZE],
                                   const uint8_t ours[EC_PUBKEY_SIZE]);
void paychans_note_source(struct held *h, struct chan_peer *p);
bool paychans_source_has_room(const struct paychans *pc, struct chan_peer *p);
bool paychans_forget_opens(struct paychans *pc); /* false: too many have asked */

/* --- paychans_msgs.c --- */

extern const struct dchan_handler paychans_handlers[1];
/* NULL: too many strangers have asked for something in the last hour. */
struct opens *paychans_opens_of(struct paychans *pc, uint64_t contact);
void paychans_send_fail(struct chan_peer *p, const uint8_t id[PAYCHAN_ID_SIZE], unsigned code,
                        const char *text);

/* Where the output that funds a channel was seen. */
struct paychan_coin {
    bool looked, found;   /* in the chain */
    bool in_pool, spent;
    uint32_t height;
};
/* It is in the chain and in the mempool not to be seen; what our node says of its transaction. In a
 * block, but not there: spent. A parent is missing, or all outputs are spent, or it was not judged
 * at all: nothing can be said. */
void paychans_judge_unseen(struct paychan_coin *sight, enum tx_outcome outcome);

/* What was said in a chan_sync. */
void paychans_take_sync(struct held *h, const struct dchan_chan_sync *m);

/* --- paychans_restore.c --- */

/* The other side shows the copy of a channel that is not known here. True: it is being looked at,
 * and answered. */
bool paychans_restore_from(struct paychans *pc, struct chan_peer *p,
                           const struct dchan_chan_sync *m);
/* A session with a contact is up. */
void paychans_adopt(struct paychans *pc, struct chan_peer *p);
/* Of the service (rpc/pay_call.h). */
enum err paychans_restore(void *ctx, const struct paychan_saved *saved, struct error *e);

/* --- paychans_helper.c --- */

struct paychan_help;
void paychans_help_tick(struct paychans *pc);
void paychans_help_up(struct paychans *pc, struct chan_peer *p); /* a session with a contact */
/* id: of the message. False: it was not sent. */
bool paychans_say_help(struct chan_peer *p, const struct paychan_help *help, uint8_t id[16]);
/* Our helper gives back what it has of a channel of ours. False: it is none. */
bool paychans_take_kept(struct paychans *pc, struct chan_peer *p, const struct paychan_help *help);

/* --- paychans_kept.c --- */

enum err paychans_kept_load(struct paychans *pc, struct error *e) MUST_CHECK;
void paychans_kept_free(struct paychans_kept *all); /* NULL is fine */
size_t paychans_kept_bytes(const struct paychans_kept *all);
void paychans_kept_tip(struct paychans *pc);
/* False: the number is that of a channel of ours. */
bool paychans_kept_sight(struct paychans *pc, uint64_t number, const struct paychan_sight *s);
enum err paychans_list_kept(void *ctx, struct pay_kept_list *out, struct error *e);

/* --- paychans_export.c --- */

enum err paychans_export(void *ctx, struct buf *out, struct error *e); /* rpc_pay_service */
void paychans_export_if_due(struct paychans *pc);
void paychans_note_over(struct held *h); /* it is forgotten, as nothing can come of it any more */

/* --- paychans_seek.c --- */

/* Where the funding is now. */
void paychans_note_sight(struct held *h, const struct paychan_sight *s);
void paychans_seek(struct held *h); /* each second */

/* --- paychans_tell.c: the event log --- */

void paychans_tell_state(struct held *h);
/* A payment is on disk. */
void paychans_note_paid(struct held *h, uint64_t entry, const struct paychan_pay_msg *m,
                        uint64_t amount);
void paychans_tell_paid(struct paychans *pc); /* as many as find room */
void paychans_tell_alarm(const struct held *h, const char *text);

/* --- paychans_parts.c --- */

/* Payee: the sum is on disk. */
void paychans_served(struct held *h, const struct paychan_pay_msg *m);
void paychans_tell_failed(struct paychans *pc);

/* --- paychans_calls.c --- */

void paychans_fill_service(struct paychans *pc);
/* The contact of a text and its session that takes payments; NULL: why not is in e. */
struct chan_peer *paychans_find_peer(struct paychans *pc, const char *text,
                                     struct contact **contact, struct error *e);
bool paychans_is_funded(const struct paychan *c);
void paychans_opened(struct held *h, enum err rc, const char *text);

/* --- paychans_pay.c --- */

/* rpc_pay_service.pay */
void paychans_pay(void *ctx, const struct pay_paying *in, pay_done_fn done, void *done_ctx);
void paychans_answer_pays(struct held *h); /* what is acknowledged by now */
/* No acknowledgement comes for now; rc: the disk fails. */
void paychans_end_pays(struct held *h, enum err rc);
/* One more may be in flight. */
bool paychans_has_room(const struct held *h, const struct chan_peer *p);
void paychans_pay_queued(struct paychans *pc); /* there is room again */
void paychans_end_late_pays(struct paychans *pc); /* they have waited long enough */
uint64_t paychans_pays_bytes(const struct paychans *pc);

#endif
