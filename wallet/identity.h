/*
 * The identities of a wallet: registrations of Bitcoin-Certified Addresses (spec bca 4, 6) and the
 * addresses that were formed of them. They are records of the key store, so that backups have them.
 *
 * Every change is on disk, synced, when a function returns OK. An address and the use of its
 * modifier are one change that is there before anybody gets the address: whatever crashes, no
 * modifier goes into two addresses. What was restored knows only part of what was used, so it forms
 * no addresses at all (enum identity_use). The caller holds the wallet's lock.
 *
 *   KEY_RECORD_IDENTITY   id: name; flags: enum identity_use; data:
 *                         number 4 | moves 4 | modifiers 1 | used 1 | sent 1 | mined 1 |
 *                         public key 33 | registration 72 | marker 25 | txid 32 | header 80 |
 *                         tx index 4 | tx depth 1 | siblings 32 * depth | transaction (compact
 *                         length)
 *   KEY_RECORD_IDENTITY_KEYS  identity_keys.h
 *   KEY_RECORD_BCA        id: address; data: modifier index 1 | header 80 | name | parameters
 *                         (compact lengths)
 */
#ifndef WALLET_IDENTITY_H
#define WALLET_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ids.h"
#include "bca/address.h"
#include "bca/params.h"
#include "bca/work.h"
#include "wallet/identity_keys.h"

#define IDENTITY_NAME_MAX 64  /* letters, digits, - _ . */
#define IDENTITY_TX_MAX 800   /* bytes: parameters with it fit a message of 2048 */
#define IDENTITY_NO_NUMBER UINT32_MAX /* it came from another wallet */

/* On disk: never renumbered. */
enum identity_use {
    IDENTITY_OPEN,     /* forms addresses */
    IDENTITY_RESTORED, /* from a backup: which modifiers were used later is unknown */
    IDENTITY_MOVING,   /* a file of it is being written (identity_move.h), or that was cut short */
    IDENTITY_MOVED,    /* another wallet goes on with it */
    IDENTITY_RECOVERED, /* by the phrase (identity_recover.h): its modifiers are unknown */
    IDENTITY_USES
};

struct identity {
    char name[IDENTITY_NAME_MAX + 1];
    enum identity_use use;
    uint32_t number;             /* of its key in the wallet's tree, or IDENTITY_NO_NUMBER */
    uint32_t moves;              /* how often it went to another wallet */
    uint8_t n_modifiers, n_used; /* the first n_used went into addresses; 0 when unknown */
    bool sent;                   /* there is a transaction, txid */
    bool mined;                  /* what follows txid is of a block that held it */
    uint8_t public_key[BCA_PUBLIC_KEY_SIZE];
    uint8_t registration[BCA_REGISTRATION_SIZE];
    uint8_t marker[SCRIPT_P2PKH_SIZE];
    struct txid txid;
    uint8_t header[80];
    uint32_t tx_index;
    uint8_t tx_depth;
    uint8_t tx_siblings[32 * BCA_TX_DEPTH_MAX];
    struct buf tx; /* raw, as mined */
};

void identity_init(struct identity *id);
void identity_clear(struct identity *id);
bool identity_name_allowed(const char *name);
/* Whether it is IDENTITY_OPEN; else e (not NULL) says why not, and what to do. */
bool identity_may_form(const struct identity *id, struct error *e);
unsigned identity_unused(const struct identity *id); /* modifiers for further addresses */

/*
 * A new one with a name and n modifiers (an allowed number), of which nothing was sent yet; it
 * takes the place of one of the same name. ERR_AUTH while locked.
 */
enum err identity_create(struct wallet *w, const char *name, unsigned n, struct identity *out,
                         struct error *e) MUST_CHECK;
/* out is initialized, and cleared by the caller. ERR_CORRUPT, ERR_RANGE: of a newer program. */
enum err identity_load(struct keystore *ks, const char *name, struct identity *out, bool *found,
                       struct error *e) MUST_CHECK;
enum err identity_store(struct keystore *ks, const struct identity *id,
                        struct error *e) MUST_CHECK;
/* With its keys: only when it was not registered. */
enum err identity_remove(struct keystore *ks, const struct identity *id,
                         struct error *e) MUST_CHECK;
/* ERR_AUTH while locked; ERR_CORRUPT when they are not those of its registration. The caller
 * wipes. */
enum err identity_get_secrets(struct keystore *ks, const struct identity *id,
                              struct identity_secrets *out, struct error *e) MUST_CHECK;
/* Marks all of a store that came from a backup (IDENTITY_RESTORED, and IDENTITY_MOVED stays). */
enum err identity_mark_restored(struct keystore *ks, struct error *e) MUST_CHECK;
/* By name. An error of fn ends the walk. */
typedef enum err (*identity_fn)(void *ctx, const struct identity *id, struct error *e);
enum err identity_each(struct keystore *ks, identity_fn fn, void *ctx, struct error *e) MUST_CHECK;

struct identity_address {
    uint8_t address[BCA_ADDRESS_SIZE];
    uint8_t modifier;
    uint8_t header[80]; /* of the block it stands on */
    char name[IDENTITY_NAME_MAX + 1];
    struct buf params;
};
void identity_address_init(struct identity_address *a);
void identity_address_clear(struct identity_address *a);

struct identity_form {
    enum bca_network network;
    const uint8_t *prefix; /* 8 bytes */
    int sec;               /* -1: as the block's target says */
};
/*
 * Forms an address of a mined identity with its next modifier; id as stored counts it used.
 * ERR_NOTFOUND: it has no modifier for one (all are used, or it is not IDENTITY_OPEN). ERR_RANGE:
 * no address is formed in this prefix, or it would not pass verification (the text names the step).
 */
enum err identity_new_address(struct keystore *ks, struct identity *id,
                              const struct identity_secrets *s, const struct identity_form *form,
                              struct identity_address *out, struct error *e) MUST_CHECK;
/*
 * What follows an address that another host has (spec bca 6): of the same modifier, with the next
 * collision count. out is initialized; not stored. ERR_RANGE: it was the third.
 */
enum err identity_collided(const struct identity_address *old, struct identity_address *out,
                           struct error *e) MUST_CHECK;
enum err identity_address_collisions(const struct identity_address *a, unsigned *count,
                                     struct error *e) MUST_CHECK;
/* One that was formed by identity_collided: the use of its modifier is known. ERR_RANGE: the
 * identity has moved. */
enum err identity_store_address(struct keystore *ks, const struct identity_address *a,
                                struct error *e) MUST_CHECK;
/* As identity_load. */
enum err identity_load_address(struct keystore *ks, const uint8_t address[BCA_ADDRESS_SIZE],
                               struct identity_address *out, bool *found,
                               struct error *e) MUST_CHECK;
typedef enum err (*identity_address_fn)(void *ctx, const struct identity_address *a,
                                        struct error *e);
enum err identity_each_address(struct keystore *ks, identity_address_fn fn, void *ctx,
                               struct error *e) MUST_CHECK;

#endif
