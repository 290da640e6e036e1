/*
 * Gossip of transactions (spec p2p 3, 5, 6, 9): what peers announce is asked for, what they send is
 * handed to the chain, what the chain accepts is announced to the others.
 *
 * Everything here runs on the loop thread. The chain reports through the inbox (tx_inbox.h); the
 * state of a peer hangs on its struct sync_peer.
 *
 * Limits: what a peer has under way in the chain is bounded, and it is not read beyond that; what
 * its refused transactions cost is bounded, and it is left beyond that (attacks B4); the lists have
 * the limits that their headers tell.
 */
#ifndef NODE_RELAY_TX_H
#define NODE_RELAY_TX_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/chain.h"
#include "node/tx_inbox.h"
#include "p2p/net.h"

struct relay;
struct relay_peer;

struct relay_options {
    bool blocks_only;              /* blocksonly */
    bool whitelist_relay;          /* whitelistrelay: but not for trusted peers */
    bool whitelist_force_relay;    /* whitelistforcerelay */
    bool fee_filter;               /* feefilter: ours is sent */
    bool reject_mempool_request;   /* rejectmempoolrequest */
    int64_t broadcast_delay_ms;    /* broadcastdelay: mean of the delays of announcements */
    int64_t propagation_ms;        /* txnpropagationfreq: held together for so long; 0: not */
    size_t propagation_queue;      /* txnpropagationqlen: transactions to be announced */
    size_t announcements_each;     /* of one peer that wait, recvinvqueuefactor */
    size_t announcements_total;
    size_t orphan_bytes;           /* maxorphantxsize and the memory ceiling */
    size_t judging_bytes;          /* handed to the chain, of all peers */
    size_t kept_bytes;             /* announced lately, kept for who asks */
};

/* What the chain's handlers put into the inbox is picked up by relay_take_news. */
struct relay *relay_new(struct chain *chain, struct tx_inbox *inbox, const struct relay_options *o);
void relay_free(struct relay *r); /* NULL is fine */
/* Once the network exists. */
void relay_start(struct relay *r, struct net *net, struct event_base *base);
void relay_stop(struct relay *r);
void relay_take_news(struct relay *r);
void relay_tip_changed(struct relay *r, const struct chain_tip *tip);

struct relay_peer *relay_peer_new(struct relay *r, struct peer *p);
void relay_peer_free(struct relay_peer *rp); /* NULL is fine */
/* The peer is not read until the chain has judged what it sent. */
bool relay_peer_pauses(const struct relay_peer *rp);

/* Messages of a ready peer. */
void relay_on_inv(struct relay_peer *rp, const struct inv_item *items, size_t n);
void relay_on_tx(struct relay_peer *rp, struct span raw, const struct txid *id);
void relay_on_notfound(struct relay_peer *rp, const struct inv_item *items, size_t n);
void relay_on_reject(struct relay_peer *rp, const struct msg_reject *m);
void relay_on_mempool(struct relay_peer *rp, int64_t age_s);
void relay_on_send_room(struct relay_peer *rp);
/* A transaction above MSG_COLLECT_MAX. */
enum stream_choice relay_stream_begin(struct relay_peer *rp, uint64_t size,
                                      const uint8_t *checksum);
enum stream_flow relay_stream_data(struct relay_peer *rp, const uint8_t *data, size_t len);
void relay_stream_end(struct relay_peer *rp, enum stream_end how);
/* For getdata: a reference, or NULL when the peer may not have it (spec p2p 5). */
struct tx *relay_find_for(struct relay_peer *rp, const struct txid *id);

size_t relay_peer_count(const struct relay *r); /* any thread */
size_t relay_waiting_for(const struct relay_peer *rp); /* announcements it has not got yet */
void relay_fill_status(struct relay *r, struct net_status *status);
void relay_set_propagation(struct relay *r, int64_t ms); /* settxnpropagationfreq */

#endif
