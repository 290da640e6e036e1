/*
 * Digests that signatures commit to (spec consensus 4.9): the original form (before the August
 * 2017 split, and again as OTDA behind bit 0x20) and the BIP143 form with FORKID.
 *
 * A sighash_cache belongs to one transaction and holds what its inputs share: the three BIP143
 * hashes, and SHA-256 states of the original form's prefixes. Parts are made on first use; any
 * number of threads may use one cache at a time. It borrows the transaction.
 */
#ifndef SCRIPT_SIGHASH_H
#define SCRIPT_SIGHASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cancel.h"
#include "base/hash.h"
#include "base/tx.h"
#include "script/error.h"

#define SIGHASH_ALL          0x01u
#define SIGHASH_NONE         0x02u
#define SIGHASH_SINGLE       0x03u
#define SIGHASH_CHRONICLE    0x20u /* with FORKID: the original form */
#define SIGHASH_FORKID       0x40u
#define SIGHASH_ANYONECANPAY 0x80u

struct sighash_prefix; /* states of the original form every few inputs */

struct sighash_cache {
    const struct tx *tx;
    atomic_uint ready;             /* bits of what below is filled */
    pthread_mutex_t lock;          /* taken to fill, never to read */
    uint8_t hash_prevouts[32];
    uint8_t hash_sequence[32];
    uint8_t hash_outputs[32];
    struct sighash_prefix *prefix[2]; /* sequences as they are; sequences zero */
    _Atomic uint64_t bytes_hashed; /* by original digests so far: what this transaction cost */
};

void sighash_cache_init(struct sighash_cache *c, const struct tx *tx);
void sighash_cache_clear(struct sighash_cache *c);

enum sighash_form { SIGHASH_FORM_ORIGINAL, SIGHASH_FORM_BIP143 };

/* Form the hash type selects; flags are those of script/flags.h. */
enum sighash_form sighash_form_of(uint32_t hash_type, uint32_t flags);

/*
 * Digest (internal order) of input `index` for this script code. For the original form the script
 * code is given after FindAndDelete; CODESEPARATORs are removed here. hash_type is written as given
 * (tests use all 32 bits). amount matters to the BIP143 form only.
 * SCRIPT_OK, or SCRIPT_ERR_CANCELLED / SCRIPT_ERR_NOMEM.
 */
struct sighash_request {
    struct span code;
    size_t index;
    int64_t amount;
    uint32_t hash_type;
    const struct cancel *cancel; /* may be NULL */
};

enum script_err sighash_original(struct sighash_cache *c, const struct sighash_request *r,
                                 uint8_t out[32]);
enum script_err sighash_bip143(struct sighash_cache *c, const struct sighash_request *r,
                               uint8_t out[32]);

/*
 * Bytes that one original-form digest of this input feeds to SHA-256: the unit by which a mempool
 * can weigh a transaction before it verifies anything (attacks A10).
 */
uint64_t sighash_original_cost(const struct tx *tx, size_t index, size_t code_len,
                               uint32_t hash_type);

#endif
