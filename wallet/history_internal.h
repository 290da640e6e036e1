/*
 * What the files of the history share. history.c has opening and operations, history_blocks.c
 * blocks, history_pending.c unconfirmed transactions, history_import.c those that come with a
 * proof, history_state.c the memory, history_rows.c the rows, history_raw.c the bytes of
 * transactions, history_write.c how all get to the store, history_walk.c how they come back,
 * history_query.c the answers.
 *
 * A spot is an outpoint that matters: a coin of ours is there, or an unconfirmed transaction of
 * ours claims it. So one lookup for each input of a block finds all that concerns us.
 */
#ifndef WALLET_HISTORY_INTERNAL_H
#define WALLET_HISTORY_INTERNAL_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "wallet/history.h"

struct pending;
struct spot;

struct coin_data {
    int64_t value;
    int32_t height;
    bool coinbase;
    struct span script;
};

/* A coin that no confirmed transaction spends. */
struct coin_item {
    struct spot *spot;
    struct pending *creator; /* NULL: confirmed */
    struct coin_data data;   /* its script is in bytes */
    bool owned, locked;
    struct owner owner;
    size_t place;            /* in memory.coins */
    struct coin_item *next_gone;
    struct outpoint at;      /* outlives the spot */
    uint8_t bytes[];
};

/* An input of an unconfirmed transaction. */
struct claim {
    struct pending *by;
    struct spot *spot;
    struct claim *next; /* on the same spot */
};

struct spot {
    struct outpoint at;
    struct coin_item *coin;           /* or NULL */
    struct claim *claims;
    struct history_conflict *spender; /* a confirmed one, when somebody else claims this too */
};

struct pending {
    struct txid id;
    size_t n_out;
    bool coinbase, from_us, abandoned, in_mempool, queued;
    bool orphaned;                    /* worked out: a coinbase, or it descends from such a one */
    struct history_conflict told;     /* by the mempool */
    struct history_conflict conflict; /* worked out */
    struct pending *next_gone;
    size_t n_ours;                    /* claims on coins that we can spend */
    size_t n_claims;                  /* inputs, none of a coinbase */
    struct claim claims[];
};

struct mark {
    bool known;
    struct block_hash hash;
    int32_t height;
};

struct marks {
    struct mark best;
    int32_t scan_next, scan_last; /* scan_last: HISTORY_TO_BEST unless a rescan ends before */
    int32_t gap_from, gap_to;     /* history_gap; gap_from is HISTORY_NO_HEIGHT: there is none */
};

struct memory {
    struct marks at;
    uint64_t next_order;
    struct map spots, pendings;
    struct coin_item **coins; /* all, for walks */
    size_t n_coins, coins_cap;
    struct pending **queue;   /* whose conflict is to be worked out, and whether orphaned */
    size_t n_queue, queue_cap;
    /* Dropped by the operation that runs; kept until it is done for what only memory knows. */
    struct coin_item *gone_coins;
    struct pending *gone_pendings;
    size_t bytes;
};

struct history {
    struct kv *kv;
    struct {
        struct map map;
        size_t bytes;
        bool no_memory; /* for one of them */
        struct kv_batch *ahead; /* row_put_ahead; NULL: none wait */
    } rows;             /* to be written */
    history_before_fn before_write;
    void *before_ctx;
    const struct scripts *scripts;
    struct siphash_key key;
    struct memory m;
    size_t strangers_kept;
    struct marks stored; /* as the store has them */
    uint64_t failed;     /* counts the operations that were undone */
    uint64_t broken;     /* counts the rescans that were broken off */
    bool stale;          /* a write failed, and reading the memory anew did too */
    struct buf value;
};

/* --- memory --- */

void memory_init(struct memory *m);
void memory_clear(struct memory *m);
void memory_forget_gone(struct memory *m);
/* What only memory knows (in the mempool, locked) goes over from old. */
void memory_carry(struct history *h, const struct memory *old);

struct spot *spot_find(const struct history *h, const struct outpoint *at);
void spot_set_spender(struct history *h, struct spot *s, const struct history_conflict *spender);
/* Nobody confirmed spends it any more; the spot may be gone afterwards. */
void spot_clear_spender(struct history *h, struct spot *s);

/* One of its outputs is ours. */
bool history_pays_us(const struct history *h, const struct tx *tx);

struct pending *pending_find(const struct history *h, const struct txid *id);
/* Not yet known. Its coins are added by the caller. */
enum err pending_add(struct history *h, const struct tx *tx, struct pending **out, struct error *e);
void pending_drop(struct history *h, struct pending *p);
bool pending_may_confirm(const struct pending *p);
bool pending_is_trusted(const struct pending *p);
/* The unconfirmed transactions that spend its outputs. */
typedef void (*pending_fn)(struct history *h, struct pending *p);
void pending_each_child(struct history *h, const struct txid *id, size_t n_out, pending_fn fn);

/* There must be no coin yet. */
enum err coin_add(struct history *h, const struct outpoint *at, const struct coin_data *data,
                  struct pending *creator, struct error *e);
void coin_drop(struct history *h, struct coin_item *c);
void coin_find_owner(struct history *h, struct coin_item *c);
/* Who spends the coin and may confirm, or has; NULL when it is unspent. */
const struct txid *coin_spender(const struct coin_item *c);

void conflict_queue(struct history *h, struct pending *p);
void conflicts_settle(struct history *h);

/* --- rows --- */

struct record {
    int32_t height;
    struct block_hash block;
    uint32_t position;
    int64_t time;
    uint64_t order;
    bool coinbase, from_us, abandoned;
    struct history_conflict told;
    struct history_note note;
};

/* r borrows value. */
enum err record_load(struct history *h, const struct txid *id, struct buf *value, struct record *r,
                     bool *found, struct error *e);
void record_put(struct history *h, const struct txid *id, const struct record *r);
void row_put_order(struct history *h, uint64_t order, const struct txid *id); /* never changes */
/* All rows of an unconfirmed transaction but those of its coins. */
enum err record_delete(struct history *h, const struct txid *id, uint64_t order, struct error *e);

void row_put_pending(struct history *h, const struct txid *id);
void row_delete_pending(struct history *h, const struct txid *id);
void row_put_place(struct history *h, int32_t height, uint32_t position, const struct txid *id);
void row_delete_place(struct history *h, int32_t height, uint32_t position);
void row_put_coin(struct history *h, const struct coin_item *c);
void row_delete_coin(struct history *h, const struct outpoint *at);
void row_put_spent(struct history *h, const struct coin_item *c,
                   const struct history_conflict *spender);
void row_delete_spent(struct history *h, const struct outpoint *at);
/* data borrows h->value. */
enum err row_load_spent(struct history *h, const struct outpoint *at, struct coin_data *data,
                        struct history_conflict *spender, bool *found, struct error *e);
void row_put_spender(struct history *h, const struct spot *s);
void row_delete_spender(struct history *h, const struct outpoint *at);
void row_put_best(struct history *h);
void row_put_scan(struct history *h);
void row_put_gap(struct history *h);

enum err rows_corrupt(struct error *e, const char *what);
struct reader;
void row_read_conflict(struct reader *r, struct history_conflict *c);
void row_read_coin(struct reader *r, struct coin_data *c);

/* --- history_raw.c --- */

/* A transaction that was read back. tx points into the rest; raw_clear in any case. */
struct raw_tx {
    struct tx tx;
    struct buf raw;
    struct arena arrays;
};
enum err raw_put(struct history *h, const struct tx *tx, struct error *e);
enum err raw_find(struct history *h, const struct txid *id, struct raw_tx *out, bool *found,
                  struct error *e);
enum err raw_load(struct history *h, const struct txid *id, struct raw_tx *out, struct error *e);
void raw_clear(struct raw_tx *t);
enum err raw_delete(struct history *h, const struct txid *id, struct error *e);

/* --- history_walk.c --- */

enum { ID_KEY_SIZE = 33, OUTPOINT_KEY_SIZE = 37, ORDER_KEY_SIZE = 9, PLACE_KEY_SIZE = 9 };
void row_place_key(uint8_t key[PLACE_KEY_SIZE], int32_t height, uint32_t position);

/* Calls fn for each transaction of blocks in these heights, in their order. */
typedef enum err (*place_fn)(struct history *h, void *ctx, const struct txid *id,
                             struct error *e);
enum err rows_each_place(struct history *h, int32_t from, int32_t to, place_fn fn, void *ctx,
                         struct error *e);
enum err rows_each_order(struct history *h, uint64_t skip, place_fn fn, void *ctx,
                         struct error *e);

/* Fills the empty memory. */
enum err rows_load(struct history *h, struct error *e);

/* --- the way to the store --- */

void row_put(struct history *h, const void *key, size_t key_len, const void *value, size_t len);
void row_delete(struct history *h, const void *key, size_t key_len);
/* For a large row that means nothing without others: it goes to the store before them, and may stay
 * there although the operation is undone. row_put_bytes: only when many bytes wait. */
enum err row_put_bytes(struct history *h, struct span key, struct span value, struct error *e);
enum err row_put_ahead(struct history *h, struct span key, struct span value, struct error *e);
enum err rows_write_ahead(struct history *h, struct error *e);
/* Appends the value. */
enum err row_get(struct history *h, const void *key, size_t key_len, struct buf *value,
                 bool *found, struct error *e);
void rows_forget(struct history *h);
enum err rows_write(struct history *h, struct error *e);

/* --- operations --- */

/* Memory that could not be read anew after a failed write is now. Every call begins with it, or
 * with history_sync when it walks over the store. */
enum err history_refresh(struct history *h, struct error *e);
/* Writes the rows. rc: of the operation so far; a failure makes it undone. */
enum err history_finish(struct history *h, enum err rc, struct error *e);
/* The same, but the rows may wait for those of other blocks. */
enum err history_finish_later(struct history *h, enum err rc, struct error *e);
/* The coins of a transaction that is now in the state r. known: some may be spent already. */
enum err history_place_coins(struct history *h, const struct tx *tx, struct pending *creator,
                             const struct record *r, bool known, struct error *e);
/* A transaction of a block; one that does not concern us is passed over. */
enum err history_confirm(struct history *h, const struct history_block *b,
                         const struct history_block_tx *t, struct error *e);
/* A transaction of a block is in none any more. */
enum err history_unconfirm(struct history *h, const struct txid *id, struct error *e);
/* All that is known of it but what its spent outputs were. */
enum err pending_forget(struct history *h, struct pending *p, struct error *e);
/* It leaves, with the rows of conflicts that concern nobody else. */
void pending_unclaim(struct history *h, struct pending *p);
enum err pending_set_told(struct history *h, struct pending *p,
                          const struct history_conflict *told, struct error *e);

#endif
