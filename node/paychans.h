/*
 * Payment channels of the node (spec channels 8): the state machines of wallet/paychan.h, their
 * journal, the messages of sessions, the wallet's keys and funding, and what the chain tells of
 * them, brought together as one part of the direct channels.
 *
 * What a step says is done when its record is on disk, in the order of the steps of its channel
 * (wallet/paychan.h). Acknowledgements that become due together leave as one. When the journal
 * fails nothing is taken, paid or acknowledged any more, which is said in the log, by alarms and to
 * peers; what saves money in the chain is still done.
 *
 * Contacts may open channels, others where -paychannelstrangers says so. A channel belongs to a
 * contact, whose key may change, and to the wallet of the identity that it was opened with. Files:
 * DIR/paychannels (journal), the database of the direct channels (what the journal came to, at its
 * last compaction).
 *
 * Channel thread, but for what says otherwise.
 */
#ifndef NODE_PAYCHANS_H
#define NODE_PAYCHANS_H

#include "node/feeds.h"
#include "node/paychan_watch.h"
#include "p2p/channels.h"
#include "p2p/stream_meter.h"
#include "rpc/command.h"
#include "rpc/pay_call.h"
#include "wallet/paychan.h"

struct paychans;
struct relay;

/* One option for each. */
struct paychans_config {
    const char *dir;             /* of the journal */
    unsigned gather_us;          /* base/journal.h */
    uint64_t compact_bytes;      /* of the journal: then it is begun anew */
    struct paychan_policy policy;
    uint64_t fee_per_kb;         /* of closes and refunds of channels that we open */
    unsigned networks;           /* in which peers are told of a close or refund at once */
    const char *const *nodes;    /* paychan_endpoints.h */
    size_t n_nodes;
    unsigned retry_s;            /* until a close that lost a race is sent anew */
    unsigned child_blocks;       /* until what is in no block gets a child that pays */
    unsigned live_max;           /* channels with one contact */
    unsigned opens_per_hour;     /* by one contact */
    bool strangers;              /* who is no contact may open channels, with these limits: */
    unsigned stranger_live;
    unsigned stranger_opens;     /* an hour */
    unsigned strangers_per_48;   /* accepted and not funded */
    unsigned pays_per_s;         /* on one channel */
    uint64_t pay_wait_ms;        /* then pay answers without an acknowledgement */
    const char *export_path;     /* of the file of channels that is kept; NULL: none */
    const char *helper;          /* a contact that keeps our newest states; NULL: none */
    unsigned help_s;             /* between two times that it is told */
    unsigned kept_max;           /* channels that we keep for one contact */
};

/* Before the channels start: reads the journal. env (chain, wallets, net), feeds and
 * relay outlive it. */
enum err paychans_new(struct paychans **out, struct channels *c,
                      const struct paychans_config *config, const struct rpc_env *env,
                      struct feeds *feeds, struct relay *relay, struct error *e) MUST_CHECK;
/* The channels run. */
enum err paychans_start(struct paychans *pc, struct error *e) MUST_CHECK;
/* When the channels have stopped: who waits for a payment is answered. NULL is fine, as below. */
void paychans_cancel_pays(struct paychans *pc);
/* When channels and chain have stopped, before the store of the channels is freed: ends the
 * threads. */
void paychans_stop(struct paychans *pc);
void paychans_free(struct paychans *pc); /* after that store */

/* Bytes of channels and of what waits; borrowed parts of others are not counted. NULL is fine. */
uint64_t paychans_memory(const struct paychans *pc);

/* Who is told of payments to us. */
struct paychans_takers {
    /* It is on disk. ref: what the payer says it is for; empty when it says nothing, or a session
     * was lost and the sum came with the next one. */
    void (*paid)(void *ctx, uint64_t contact, struct span ref, uint64_t amount);
    void (*failed)(void *ctx); /* the journal: none is taken any more */
    void *ctx;
};
/* Before the start. What is given back lives as long as pc. */
const struct stream_payments *paychans_for_parts(struct paychans *pc,
                                                 const struct paychans_takers *takers);

/* Any thread; waits. The node will stop: the helper is told what is new. NULL is fine. */
void paychans_help_before_stop(struct paychans *pc);
/* A message of PAYCHAN_HELP_TYPE from a contact (message_part_divert); ctx: pc. */
void paychans_take_help(void *ctx, struct chan_peer *p, const struct dchan_m_send *m);
void paychans_help_acked(void *ctx, struct chan_peer *p, const uint8_t id[16]);
/* Any thread. */
void paychans_tip_changed(struct paychans *pc);
/* What commands are given; borrowed. */
const struct rpc_pay_service *paychans_service(struct paychans *pc);

#endif
