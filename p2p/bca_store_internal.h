/* What the files of the store share. */
#ifndef P2P_BCA_STORE_INTERNAL_H
#define P2P_BCA_STORE_INTERNAL_H

#include <pthread.h>

#include "base/hash.h"
#include "base/kv.h"
#include "base/map.h"
#include "p2p/bca_store.h"

#define BCA_ROW_RECORD 'r'
#define BCA_ROW_SEQ 's'
#define BCA_ROW_OWN 'o'

struct bca_own;

struct bca_store {
    struct kv *kv;
    pthread_mutex_t making;  /* of bca_own_begin; taken first of all */
    pthread_mutex_t writing; /* whoever changes anything holds it, over the disk; taken first */
    pthread_mutex_t lock;    /* of what is in memory, never held over the disk */
    struct bca_index *index;
    struct siphash_key key;
    struct map contacts;     /* struct contact */
    struct bca_own *own; /* bca_own.c */
    size_t n_own, own_cap;
    size_t swept;            /* where bca_store_expire goes on */
    struct { bca_news_fn fn; void *ctx; } listeners[BCA_STORE_LISTENERS];
    size_t n_listeners;
};

/* --- bca_store_rows.c: rows of records. writing is held by those that write, lock by those that
 * load into the index. */
enum { BCA_ROW_KEY_SIZE = 33 };

void bca_row_put_record(struct kv_batch *b, const struct bca_facts *f, struct span raw);
/* The record goes, its number stays. */
void bca_row_put_seq(struct kv_batch *b, const struct bca_facts *f);
void bca_row_delete(struct kv_batch *b, const uint8_t record_key[32]);
/* The row of a kind, empty: none. row is initialized. */
enum err bca_row_read(struct bca_store *s, uint8_t kind, const uint8_t record_key[32],
                      struct buf *row, struct error *e) MUST_CHECK;
/* Appends the record of a row, without what stands before it. */
enum err bca_row_read_record(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                             bool *found, struct error *e) MUST_CHECK;
/* Into the index. False: the row is none of ours. */
bool bca_row_load_record(struct bca_store *s, const uint8_t record_key[32], struct span row);
bool bca_row_load_seq(struct bca_store *s, const uint8_t record_key[32], struct span row);

/* bca_own.c, of bca_store_open and _close. */
enum err bca_own_load(struct bca_store *s, struct error *e) MUST_CHECK;
void bca_own_clear(struct bca_store *s);

#endif
