/*
 * Announced records (bca_record.h) by the key that they are asked for with, on disk and with all
 * limits of spec channels 1.2 (bca_index.h). What is put here was verified (bca_intake.h). Numbers
 * of keys are remembered until no record of them can be played back, also when the record is gone;
 * those of contacts are kept beyond their expiry, as the last address that is known.
 *
 * Any thread. What looks into memory alone waits for no disk (marked "memory"), so the loop may ask
 * it; the rest may wait for a write that is not synced. A disk that refuses is an error and says
 * nothing about a record: memory stays as it was before. Where the disk turns out to have something
 * else, a reader finds that, and memory follows.
 *
 *   r | record key   flags 1 | accepted 8 | the record
 *   s | record key   flags 1 | seq 8 | issued 4 | digest 32: the record is gone
 *   o | key          bca_own.h
 */
#ifndef P2P_BCA_STORE_H
#define P2P_BCA_STORE_H

#include "p2p/bca_index.h"

struct kv;
struct bca_store;

/* A record that has come into the store or has changed. */
struct bca_news {
    uint8_t key[IDENTITY_KEY_SIZE];
    uint8_t record_key[32];
    uint64_t seq;
    bool relay;      /* it may be given on */
    uint64_t source; /* the peer on a Bitcoin connection that gave it, or 0 */
};
/* On the thread that put it, which holds no lock. */
typedef void (*bca_news_fn)(void *ctx, const struct bca_news *news);

/* The store owns kv, also when this fails. */
enum err bca_store_open(struct bca_store **out, struct kv *kv, const struct bca_limits *limits,
                        struct error *e) MUST_CHECK;
void bca_store_close(struct bca_store *s); /* NULL is fine */
/* Further listeners, at most BCA_STORE_LISTENERS, before records can come. */
enum { BCA_STORE_LISTENERS = 4 };
void bca_store_listen(struct bca_store *s, bca_news_fn fn, void *ctx);

/* --- contacts, as whoever keeps them tells --- */

/* Of each contact at the start, and at each change; also of keys without a record. Memory. */
void bca_store_set_contact(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], bool contact);
/* A session with it was made: among strangers its record is the last to go. */
enum err bca_store_set_reached(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE],
                               struct error *e) MUST_CHECK;

/* --- looking --- */

/* A copy of the record of a key, which may have expired when it is a contact's. out is initialized;
 * facts may be NULL. */
enum err bca_store_find(struct bca_store *s, const uint8_t key[IDENTITY_KEY_SIZE], struct buf *out,
                        struct bca_facts *facts, bool *found, struct error *e) MUST_CHECK;
/* The same by what it is asked for with, only one that may be given on and has not expired. */
enum err bca_store_find_public(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                               struct bca_facts *facts, bool *found, struct error *e) MUST_CHECK;
/* The same, any that is there. */
enum err bca_store_find_any(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                            struct bca_facts *facts, bool *found, struct error *e) MUST_CHECK;
/* Whether a record with these facts is given to anybody. */
bool bca_facts_public(const struct bca_facts *f);
/* What is known of a key; false: nothing. Memory. */
bool bca_store_look(struct bca_store *s, const uint8_t record_key[32], struct bca_facts *out);
/* Up to max random records that may be given on. Returns how many. Memory. */
size_t bca_store_sample(struct bca_store *s, uint8_t (*record_keys)[32], size_t max);
/* Record keys of all records, in no order, from the `from`-th. Returns how many. Memory. */
size_t bca_store_list(struct bca_store *s, uint8_t (*record_keys)[32], size_t from, size_t max);

/* memory: bytes it takes, database included. */
struct bca_store_counts { size_t records, remembered; uint64_t bytes; size_t memory; };
void bca_store_count(struct bca_store *s, struct bca_store_counts *out);
size_t bca_store_records(struct bca_store *s); /* the first of them; memory */

/* --- changing --- */

/* How a record with these facts stands to what is known of its key. Memory. */
enum bca_record_order bca_store_compare(struct bca_store *s, const struct bca_facts *f);
/*
 * Takes a verified record, unless what is known goes before it (*taken false); f: bca_facts_of,
 * with relay and reached set. What is the same as the one that is stored lets it be given on, or
 * comes back.
 */
enum err bca_store_put(struct bca_store *s, const struct bca_record *r, struct span raw,
                       const struct bca_facts *f, uint64_t source, bool *taken,
                       struct error *e) MUST_CHECK;
/* A second record with the number of the one that is known: neither is given on. */
enum err bca_store_mark_equivocal(struct bca_store *s, const uint8_t record_key[32],
                                  struct error *e) MUST_CHECK;
/* Drops what has expired and forgets what cannot be played back; a part of all at each call. With
 * an error nothing of it has happened, and a later call tries again. */
enum err bca_store_expire(struct bca_store *s, struct error *e) MUST_CHECK;

#endif
