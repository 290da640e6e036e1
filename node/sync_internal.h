/* What the parts of sync share: sync.c (state, timer), sync_headers.c, sync_blocks.c,
 * sync_intake.c, sync_compact.c, sync_announce.c, sync_highband.c, and serving: serve.c,
 * serve_compact.c. Loop thread. */
#ifndef NODE_SYNC_INTERNAL_H
#define NODE_SYNC_INTERNAL_H

#include <stdatomic.h>

#include "node/flight.h"
#include "node/relay_tx.h"
#include "node/sync.h"
#include "node/sync_work.h"

#define SYNC_TIMER_MS 500
#define ANNOUNCE_HEADERS_MAX 8 /* a longer reorganisation is announced by its tip alone */
#define COMPACT_FORMS_MAX 12  /* the blocks that may be asked for piece by piece, spec p2p 3 */
#define HIGHBAND_PEERS_MAX 3  /* spec p2p 3: sendcmpct */
#define DS_REMEMBERED 1000    /* spec p2p 3: dsdetected */
#define SOURCES_MAX 16        /* blocks whose bringers are remembered */

/* Bit of a block's source as the chain knows it: the peer's compact form was made into the block,
 * so it is not to blame for what the block is (spec p2p 6). */
#define SOURCE_COMPACT (UINT64_C(1) << 63)

/* A report of double spends that was passed on. */
struct ds_seen {
    struct hash256 id, place; /* ds_report.h */
};

/* Who brought a block. */
struct block_bringer {
    const struct header_node *node;
    uint64_t peer;
};

struct compact_form;

struct sync {
    struct chain *chain;
    struct relay *relay;
    struct header_index *headers;
    struct net *net;
    struct event *timer;
    struct sync_options options;
    struct flights *flights;      /* blocks asked for or being stored */
    uint64_t header_peer;         /* whom the initial headers come from, 0: nobody */
    unsigned n_preferred;         /* preferred peers that are connected */
    struct header_node *announced; /* tip last announced to peers */
    int64_t tip_at;               /* monotonic ms of the last tip change, for the stale-tip alarm */
    bool extra_outbound;

    /* Compact blocks. */
    struct sync_work *works;      /* on the pool */
    struct compact_form *forms[COMPACT_FORMS_MAX]; /* of recent blocks, the last used first */
    size_t n_forms;
    atomic_size_t form_bytes;     /* of all of them, for the ledger */
    struct header_node *unchecked; /* announced in compact form before it was validated */
    uint64_t highband[HIGHBAND_PEERS_MAX]; /* peers asked to announce so, the oldest first */
    size_t n_highband;
    struct block_bringer bringers[SOURCES_MAX];
    size_t next_bringer;

    struct ds_seen reports[DS_REMEMBERED]; /* a ring */
    size_t n_reports;             /* ever */
};

/* sync_headers.c */
void headers_start(struct sync_peer *sp);      /* initial getheaders, when it is this peer's turn */
void headers_check_timeout(struct sync_peer *sp, int64_t now);
void headers_ask_from(struct sync_peer *sp, struct header_node *from,
                      const struct block_hash *stop);
void headers_note(struct sync_peer *sp, struct header_node *node); /* the peer has this header */
void headers_resolve_unknown(struct sync_peer *sp);
/* Headers that connect, oldest first, of a branch that must have shown enough work. False with *v
 * when they are refused. */
bool headers_accept(struct sync_peer *sp, const struct block_header *h, size_t n,
                    struct verdict *v);
/* As sync_on_headers, but nothing is asked for. */
void headers_take(struct sync_peer *sp, const struct block_header *h, size_t n);

/* sync_blocks.c */
void blocks_plan(struct sync *s);              /* ask for more wherever there is room */
void blocks_check_timeouts(struct sync_peer *sp, int64_t now);
void blocks_sample_speed(struct sync_peer *sp, int64_t now);
void blocks_release(struct sync_peer *sp,
                    struct header_node *node); /* no longer asked from this peer */
void blocks_release_all(struct sync_peer *sp);
bool blocks_was_asked(const struct sync_peer *sp, const struct header_node *node);
/* Whether blocks may be asked from this peer now. */
bool blocks_may_download(const struct sync_peer *sp, int64_t now);
/* Notes that the peer is asked; the caller sends the request. False: no place. */
bool blocks_note_asked(struct sync_peer *sp, struct header_node *node);
/* Asks for the whole block, also when its compact form was asked for before. */
void blocks_ask_whole(struct sync_peer *sp, struct header_node *node);

/* sync_intake.c */
void intake_check_idle(struct sync_peer *sp);

/* sync_compact.c */
/* The tip is young enough for most transactions of the next blocks to be known. */
bool compact_tip_is_recent(struct sync *s);
/* The one block shall be asked for in compact form (spec p2p 8: direct fetch). */
bool compact_is_wanted(const struct sync_peer *sp, const struct header_node *node);
void compact_drop_all(struct sync_peer *sp);
/* Missing transactions of the block (NULL: of any) are coming in. */
bool compact_is_arriving(const struct sync_peer *sp, const struct header_node *node);
/* A block came to its end: what is being rebuilt of it is not needed, or takes its turn. */
void compact_block_stored(struct sync *s, struct header_node *node);
/* source: whose compact form the refused one was made of, or NULL. */
void compact_block_refused(struct sync *s, struct sync_peer *source, struct header_node *node);
/* The intake of a rebuilt block goes on. */
void compact_intake_drained(struct sync_peer *sp);
/* The bytes were not this block: a short id stood for another transaction. */
void compact_collided(struct sync_peer *sp, struct header_node *node);
/* cmpctblock, getblocktxn and blocktxn too large to be collected: their first bytes. */
size_t compact_head_size(enum msg_id id);
void compact_too_large(struct sync_peer *sp, enum msg_id id, const uint8_t *head);

/* sync_ds.c */
/* Another branch was taken: its blocks are compared with those that were left. */
void ds_tip_changed(struct sync *s, struct header_node *from, struct header_node *tip);

/* sync_highband.c */
void highband_note_bringer(struct sync *s, const struct header_node *node, uint64_t peer);
/* The tip came from a peer of ours: it shall announce the next ones at once. */
void highband_tip_changed(struct sync *s, const struct header_node *tip);
void highband_peer_closed(struct sync *s, uint64_t peer);

/* sync_announce.c */
void announce_inv(struct sync_peer *sp, const struct header_node *tip);
bool announce_peer_has(const struct sync_peer *sp, struct header_node *node);
void announce_tip(struct sync *s, struct header_node *tip);
/* The block is stored and extends the tip: told at once to those who asked for that. */
void announce_stored(struct sync *s, struct header_node *node);
/* Its compact form was made; NULL: could not be. */
void announce_form_made(struct sync *s, struct header_node *node, const struct compact_form *form);

/* serve_filtered.c */
/* Answers a getdata of type 3; without a filter not at all. */
void serve_filtered_block(struct sync_peer *sp, struct header_node *node);
void filter_drop(struct sync_peer *sp);

/* serve_enriched.c */
/* Tells those who want hdrsen of these blocks, oldest first, when the pool has read them. */
void enriched_announce(struct sync *s, struct header_node *const *nodes, size_t n);

/* serve.c */
/* Spec p2p 3: not while we are syncing ourselves, but for trusted peers. */
bool serve_gives_headers(struct sync *s, const struct peer *p);
/* What a locator asks for, at most MSG_HEADERS_MAX. */
size_t serve_collect_headers(struct sync *s, const struct msg_locator *m,
                             struct header_node **nodes);
/* last: of the headers that answer the locator, NULL when there are none. */
void serve_note_sent(struct sync_peer *sp, const struct msg_locator *m, struct header_node *last);
bool serve_may(struct sync *s, struct header_node *node);
void serve_whole_block(struct sync_peer *sp, struct header_node *node);
/* As if getdata had asked for it: in its turn, with the room and the upload target looked at. */
void serve_in_place(struct sync_peer *sp, const struct header_node *node);
void serve_continue(struct sync_peer *sp); /* the requests that wait */

/* serve_compact.c */
/* The compact form when it is there. Else it is made, which announce_form_made tells, and peers
 * with form_wanted get it. */
struct compact_form *forms_get(struct sync *s, struct header_node *node);
void forms_clear(struct sync *s);
/* Answers a getdata of type 4, or sets form_wanted. */
void serve_compact_block(struct sync_peer *sp, struct header_node *node);

static inline struct sync_peer *sync_peer_of(const struct peer *p)
{
    return peer_user(p);
}

/* Its socket is read again, unless one of the reasons not to is left. */
void sync_resume_reading(struct sync_peer *sp);

/* Calls fn for each ready peer's state. */
void sync_each(struct sync *s, void (*fn)(struct sync_peer *sp, void *ctx), void *ctx);

#endif
