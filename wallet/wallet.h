/*
 * One wallet: its keys (keystore.h), the scripts that follow from them (scripts.h), and its coins
 * and transactions (history.h), in a directory of its own:
 *
 *   keys/    LevelDB of the key store
 *   coins/   LevelDB of the history; made anew from the blocks when it is lost
 *
 * Keys of the wallet's own are those of BIP44 account 0, derived from the seed as they are needed;
 * the account's extended public key lies open in the key store, so that a locked wallet knows its
 * addresses. The table of scripts holds `gap_limit` keys beyond the last one that was given out or
 * seen in a transaction, of each branch.
 *
 * Any thread. Every function takes the wallet's lock, which a thread may take again while it has
 * it; between wallet_lock and wallet_unlock the parts are at the caller's disposal. The disk is
 * written synced before a function returns OK, so nobody who must not wait for a disk calls it.
 */
#ifndef WALLET_WALLET_H
#define WALLET_WALLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/tx.h"
#include "wallet/hdkey.h"
#include "wallet/history.h"
#include "wallet/keystore.h"

struct wallet;
struct backup_info;
struct kv;
struct script_heights;

/* Of the network and the node, the same for all wallets. */
struct wallet_params {
    uint8_t magic[4];            /* a wallet belongs to one network */
    enum hdkey_network network;
    uint8_t address_version, secret_version;
    uint32_t coin_type;          /* BIP44 */
    uint32_t gap_limit;
    int64_t (*now)(void);        /* seconds since 1970 */
    int64_t (*mono_ms)(void);    /* as of the key store */
    struct scrypt_params scrypt; /* all zero: the key store's default */
};

struct wallet_new {
    const char *backup;          /* a file (wallet/backup.h) that is restored; the rest is not
                                    looked at. NULL: a wallet of its own */
    const char *phrase;          /* NULL: of new entropy of 16 bytes */
    const char *phrase_passphrase; /* BIP39, "" for none */
    struct span passphrase;      /* not empty: encrypted and locked from the beginning */
    int64_t birth;               /* of the phrase, seconds; 0: now for a new one, else unknown */
};
/* ERR_EXISTS when there is a wallet in the directory. */
enum err wallet_create(struct wallet **out, const char *dir, const char *name,
                       const struct wallet_params *p, const struct wallet_new *how,
                       struct error *e) MUST_CHECK;
enum err wallet_open(struct wallet **out, const char *dir, const char *name,
                     const struct wallet_params *p, struct error *e) MUST_CHECK;
bool wallet_exists(const char *dir); /* a whole one: what a crash left of creating one is none */
struct wallet *wallet_ref(struct wallet *w);
void wallet_unref(struct wallet *w); /* the last one closes and wipes; NULL is fine */
bool wallet_is_held(const struct wallet *w); /* by others than the caller */
const char *wallet_name(const struct wallet *w);
const struct wallet_params *wallet_params(const struct wallet *w); /* gap_limit: under the lock */

void wallet_lock(struct wallet *w);
void wallet_unlock(struct wallet *w);
/* Under the lock. */
struct history *wallet_history(struct wallet *w);
struct keystore *wallet_keystore(struct wallet *w);
const struct scripts *wallet_scripts(struct wallet *w);

/* --- keys: these take the lock themselves --- */

struct wallet_key {
    uint8_t key[EC_PUBKEY_MAX];
    size_t key_len;
    bool derived;                /* of the wallet's own tree; else imported or watched */
    bool spendable;
    bool of_payment;             /* made for a payment by somebody else (payments.h), who could
                                    work out the identity key from its secret: shown with the
                                    phrase alone */
    enum keystore_branch branch; /* when derived */
    uint32_t index;
};
/* The next key of a branch, with a label (may be empty) on its P2PKH script. */
enum err wallet_new_key(struct wallet *w, enum keystore_branch branch, struct span label,
                        struct wallet_key *out, struct error *e) MUST_CHECK;
/* Looks that many keys ahead from now on, until it is closed, when it is more than before. What
 * they received earlier is found by a rescan. ERR_NOMEM. */
enum err wallet_raise_gap_limit(struct wallet *w, uint32_t gap_limit, struct error *e) MUST_CHECK;
/* The P2PKH scripts of all keys that were given out to be paid to, or imported, or are watched. */
typedef void (*wallet_address_fn)(void *ctx, struct span script, bool watch);
void wallet_each_address(struct wallet *w, wallet_address_fn fn, void *ctx);
/* Whose script it is; false when it is not ours. A watched script has key_len 0. */
bool wallet_find_key(struct wallet *w, struct span script, struct wallet_key *out);
/* Of a key of the wallet's own that was made for change. */
bool wallet_is_change(struct wallet *w, struct span script);
/*
 * Keys that were given out or seen in a transaction, imported and watched ones, each once, with its
 * P2PKH script; then the watched scripts. Stops at the first error. fn runs under the lock, may ask
 * the wallet and changes no keys.
 */
typedef enum err (*wallet_each_fn)(void *ctx, const struct wallet_key *k, struct span script,
                                   struct error *e);
enum err wallet_each(struct wallet *w, wallet_each_fn fn, void *ctx, struct error *e) MUST_CHECK;
/* ERR_AUTH while locked, ERR_NOTFOUND for one that is watched. The caller wipes. */
enum err wallet_get_secret(struct wallet *w, const struct wallet_key *k, uint8_t out[32],
                           struct error *e) MUST_CHECK;
/*
 * Imports. ERR_EXISTS when it is ours already. The blocks from the height scan_from on are wanted
 * once more (wallet_best), also with ERR_EXISTS: that is on disk before the key is, so a crash
 * leaves no key whose coins nobody looked for.
 */
enum { WALLET_NO_SCAN = -1 };
/* Of a WIF. ERR_AUTH while locked. */
enum err wallet_import_secret(struct wallet *w, const uint8_t secret[32], bool compressed,
                              struct span label, int32_t scan_from, struct error *e) MUST_CHECK;
/* The same of a key that came with a payment, to this or another wallet: it stays one. */
enum err wallet_import_payment_secret(struct wallet *w, const uint8_t secret[32],
                                      struct span label, int32_t scan_from,
                                      struct error *e) MUST_CHECK;
/* A public key that is watched: what pays it or its hash. ERR_RANGE when it is none. */
enum err wallet_import_pubkey(struct wallet *w, struct span key, struct span label,
                              int32_t scan_from, struct error *e) MUST_CHECK;
enum err wallet_import_script(struct wallet *w, struct span script, struct span label,
                              int32_t scan_from, struct error *e) MUST_CHECK;
/* Watches branches 0 and 1 below an extended public key, with a look-ahead as the wallet's own.
 * ERR_PARSE; ERR_RANGE: a private one. */
enum err wallet_import_xpub(struct wallet *w, const char *text, int32_t scan_from,
                            struct error *e) MUST_CHECK;
/* A backup (wallet/backup.h) of its keys; info may be NULL. */
enum err wallet_backup(struct wallet *w, const char *path, struct backup_info *info,
                       struct error *e) MUST_CHECK;
/* The phrase of the wallet, when it has one. ERR_AUTH while locked. */
enum err wallet_phrase(struct wallet *w, char *out, size_t room, struct error *e) MUST_CHECK;

/* --- the chain, told in order by one thread (the follower) --- */

/* As history_best and history_scan_next: the best block of all it has seen (false: none yet, any
 * may come first, see wallet_birth); scan_next: the height of the block that a rescan wants, else
 * HISTORY_NO_HEIGHT. scan_next may be NULL. */
bool wallet_best(struct wallet *w, struct block_hash *hash, int32_t *height, int32_t *scan_next);
/* As history_begin_rescan, history_scan_last. */
enum err wallet_rescan(struct wallet *w, int32_t from, int32_t last, struct error *e) MUST_CHECK;
int32_t wallet_scan_last(struct wallet *w);
/* As history_break_rescan. */
enum err wallet_break_rescan(struct wallet *w, int32_t height, struct error *e) MUST_CHECK;
/* history_gap in words, and what to do; false: nothing was left out. */
#define WALLET_GAP_TEXT_MAX 256
bool wallet_gap_text(struct wallet *w, char text[WALLET_GAP_TEXT_MAX]);
/* Before this moment (seconds since 1970) none of its keys was known to anybody; 0: unknown. */
int64_t wallet_birth(struct wallet *w);
/*
 * The next block, or the one that a rescan wants: all its transactions in their order, each with
 * its id. Keys beyond those that were seen used are made as it goes. wallet_block_begin says
 * ERR_BUSY when another block is wanted, wallet_block_end when keys were made or given out after
 * transactions had been passed over, or when the coins had to be read anew: nothing was taken, and
 * what wallet_best names is to be told, most often the same block from wallet_block_begin.
 */
struct wallet_block {
    struct block_hash hash, prev;
    int32_t height;
    int64_t time;
};
enum err wallet_block_begin(struct wallet *w, const struct wallet_block *b,
                            struct error *e) MUST_CHECK;
enum err wallet_block_tx(struct wallet *w, const struct tx *tx, uint32_t position,
                         struct error *e) MUST_CHECK;
enum err wallet_block_end(struct wallet *w, struct error *e) MUST_CHECK;
/* As history_apply_block_later and history_sync: many blocks share a write. */
enum err wallet_block_end_later(struct wallet *w, struct error *e) MUST_CHECK;
enum err wallet_sync(struct wallet *w, struct error *e) MUST_CHECK;
void wallet_block_cancel(struct wallet *w); /* it could not be read to its end */
enum err wallet_undo_block(struct wallet *w, const struct block_hash *hash,
                           const struct block_hash *prev, struct error *e) MUST_CHECK;
enum err wallet_mempool_add(struct wallet *w, const struct tx *tx, struct error *e) MUST_CHECK;
enum err wallet_mempool_remove(struct wallet *w, const struct txid *id,
                               const struct history_conflict *conflict,
                               struct error *e) MUST_CHECK;

/*
 * A transaction of a block that has been told and not been taken back, without the rest of it; only
 * hash, height and time of b count. ERR_NOTFOUND: it concerns no key of ours. ERR_BUSY: the wallet
 * has not come to that block yet.
 */
enum err wallet_import_tx(struct wallet *w, const struct tx *tx, const struct wallet_block *b,
                          uint32_t position, struct error *e) MUST_CHECK;

/* --- sending --- */

struct wallet_recipient {
    struct span script;
    int64_t value;      /* satoshis; -1: all that is there (send-max), one recipient alone */
    bool subtract_fee;
};
/* A P2PKH coin that is none of the wallet's own and must be spent too. */
struct wallet_extra {
    struct outpoint at;
    int64_t value;
    int32_t height;        /* of its block */
    struct span script;
    const uint8_t *secret; /* 32 bytes: of its compressed key */
};
struct wallet_send {
    const struct wallet_recipient *to;
    size_t n;
    const struct outpoint *coins; /* these and no others (coin control); NULL: chosen */
    size_t n_coins;
    bool and_more;       /* the coins in any case, and others where they do not suffice */
    const struct wallet_extra *extra; /* in any case; may be NULL */
    int64_t fee_per_kb;  /* satoshis per 1000 bytes */
    int64_t max_fee;     /* satoshis, ERR_RANGE above */
    int32_t min_conf;    /* of coins; own change in the mempool counts when 0 */
    int32_t height;      /* of the tip, for the self-check under the rules of the next block */
    const struct script_heights *heights; /* of the network, for the same */
    size_t max_size;     /* bytes of the transaction, ERR_RANGE above; 0: any */
    bool *too_large;     /* whether that was why no coins could be chosen; may be NULL */
    bool change_last;    /* not among the recipients */
    struct span change;  /* script that gets the change; empty: a new key of the wallet */
    struct history_note note;
    /* Called with the signed transaction before it is recorded; an error ends it all. May be
     * NULL. */
    enum err (*keep)(void *ctx, const struct tx *tx, struct error *e);
    void *keep_ctx;
};
/*
 * Chooses coins, makes change, signs, checks every input by the interpreter, and records the
 * transaction synced before it is returned: *out is the caller's reference. ERR_AUTH: locked.
 * ERR_NOTFOUND: the coins do not suffice; the text says what is missing and how much is immature.
 * ERR_RANGE: dust, fee, amounts, coins that cannot be spent.
 */
enum err wallet_send(struct wallet *w, const struct wallet_send *s, struct tx **out, int64_t *fee,
                     struct error *e) MUST_CHECK;
/*
 * The first step when a payment would be too large: brings coins together in one of the wallet's
 * own that pays for it (without s->extra). When the mempool has told that to the wallet, s goes
 * through.
 */
enum err wallet_gather(struct wallet *w, const struct wallet_send *s, struct tx **out,
                       struct error *e) MUST_CHECK;

/*
 * What a transaction lacks that somebody else makes: coins besides those that are named, which must
 * be the wallet's, and change. Nothing is signed or recorded; a locked wallet does it too.
 */
struct wallet_funding {
    struct outpoint *added;
    size_t n_added;
    int64_t *amounts;    /* one a recipient, less the fee where it is subtracted */
    int64_t fee, change; /* change 0: none */
    struct buf change_script;
};
enum wallet_fund_lock { WALLET_FUND_FREE, WALLET_FUND_LOCK /* all its coins, those named too */ };
/* ERR_NOTFOUND and ERR_RANGE as above. */
enum err wallet_fund(struct wallet *w, const struct wallet_send *s, enum wallet_fund_lock lock,
                     struct wallet_funding *out, struct error *e) MUST_CHECK;
void wallet_funding_clear(struct wallet_funding *f);

#endif
