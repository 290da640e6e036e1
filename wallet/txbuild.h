/*
 * Transactions from chosen coins (wallet/select.h): version 1, change at a random place unless it
 * must be last, signed
 * with SIGHASH_ALL|FORKID. What was made is run through the interpreter under the rules of the
 * mempool before anybody gets it. Sizes before signing are those of the largest signatures; a
 * signature may come out a byte or two shorter. Any thread.
 */
#ifndef WALLET_TXBUILD_H
#define WALLET_TXBUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/tx.h"
#include "script/flags.h"
#include "script/sign.h"

struct txbuild_input {
    struct outpoint at;
    int64_t value;
    struct span script;            /* the locking script of the coin */
    int32_t height;                /* of its block, the next one's for an unconfirmed coin */
    const struct signing_key *key; /* that unlocks it */
};

struct txbuild_output {
    int64_t value;
    struct span script;
};

struct txbuild {
    const struct txbuild_input *in;
    size_t n_in;
    const struct txbuild_output *out;
    size_t n_out;
    struct txbuild_output change; /* value 0: none */
    bool change_last;             /* behind the outputs: what they say depends on their places */
    uint32_t lock_time;           /* 0: final at once */
};

struct txbuild_rules {
    const struct script_heights *heights;
    int32_t next_height;
    uint64_t fee_sat_per_kb; /* at least this */
    int64_t max_fee;         /* in all */
};

/*
 * A signed transaction; *change_index is where the change is, n_out when there is none.
 * ERR_RANGE: sums, the fee, no or repeated inputs. ERR_NOTFOUND: the key does not unlock an input.
 * ERR_CORRUPT: what was made does not pass its own check. ERR_NOMEM.
 */
enum err txbuild_make(const struct txbuild *b, const struct txbuild_rules *rules, struct tx **out,
                      size_t *change_index, struct error *e) MUST_CHECK;

/* Bytes of the signed input of a P2PKH or P2PK output; 0 for any other script. */
size_t txbuild_input_size(struct span script, bool compressed);
size_t txbuild_output_size(size_t script_len);
/* Appends OP_FALSE OP_RETURN and these pushes: an output that carries data. */
void txbuild_put_data(struct buf *script, const struct span *pushes, size_t n);

#endif
