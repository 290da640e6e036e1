/*
 * Transactions that peers have announced and that we do not have: who is asked for each of them
 * (spec p2p 9, attacks B2). Pure data structure; the caller brings the clock and sends the
 * requests.
 *
 * One peer at a time is asked for a transaction; every other announcer is remembered in case it
 * does not deliver. Next is asked who is preferred (outbound or trusted) before others, who has
 * delivered before who has lately let us wait, and who announced it first among equals. Whoever had
 * its turn keeps its entry, so that announcing again gives no new one. The reference lets a second
 * announcer wait for 60 s; here a silent one loses its turn after TX_REQUEST_TIMEOUT_MS.
 *
 * How many requests a peer may have open grows while it delivers and shrinks when it does not. The
 * number of announcements is bounded for each peer and for all together; when all places are taken
 * the peer that holds most of them gives one up, so that nobody can shut the others out.
 *
 * Loop thread.
 */
#ifndef NODE_TX_REQUESTS_H
#define NODE_TX_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ids.h"

#define TX_REQUEST_TIMEOUT_MS 2000       /* nothing asked for came from the peer for so long */
#define TX_REQUEST_LIMIT_MS 20000        /* it delivers others in order, but too slowly */
#define TX_ANNOUNCEMENT_MAX_AGE_MS 600000 /* nobody had room to be asked (spec p2p 9) */
#define TX_REQUEST_WINDOW_MIN 16         /* requests open at a peer at one time */
#define TX_REQUEST_WINDOW_START 1024
#define TX_REQUEST_WINDOW_MAX 8192

struct tx_requests;
struct tx_announcer; /* a peer */

struct tx_requests_options {
    size_t max_each, max_total; /* announcements: of one peer, of all */
    /* To be asked for now, from the peer given to add_peer. Must not call this module. */
    void (*ask)(void *ctx, void *peer, const struct txid *id);
    void *ctx;
};

struct tx_requests *tx_requests_new(const struct tx_requests_options *o);
void tx_requests_free(struct tx_requests *r); /* peers too; NULL is fine */

struct tx_announcer *tx_requests_add_peer(struct tx_requests *r, void *peer, bool preferred);
/* What it was asked for is asked from others. */
void tx_requests_remove_peer(struct tx_requests *r, struct tx_announcer *a, int64_t now_ms);

/* False when there is no place for it. */
bool tx_requests_announce(struct tx_requests *r, struct tx_announcer *a, const struct txid *id,
                          int64_t now_ms);
/*
 * The transaction is here, asked for or not, or is no longer wanted: it is forgotten. from: who
 * sent it, NULL when it came another way. True when it had been asked for from that peer, now or
 * before.
 */
bool tx_requests_arrived(struct tx_requests *r, struct tx_announcer *from, const struct txid *id,
                         int64_t now_ms);
/* The peer does not have it. */
void tx_requests_not_found(struct tx_requests *r, struct tx_announcer *a, const struct txid *id,
                           int64_t now_ms);
/* The peer is busy with what we asked for, or was not read for a while: its time starts again. */
void tx_requests_note_progress(struct tx_announcer *a, int64_t now_ms);
/* Time-outs; a few times a second. */
void tx_requests_tick(struct tx_requests *r, int64_t now_ms);

size_t tx_requests_count(const struct tx_requests *r);   /* transactions */
size_t tx_requests_bytes(const struct tx_requests *r);   /* memory */
size_t tx_requests_open(const struct tx_announcer *a);   /* requests under way */
size_t tx_requests_announced(const struct tx_announcer *a); /* entries of the peer */

#endif
