/*
 * Verification flags and the heights that switch them (spec consensus 4.1 to 4.3).
 *
 * Two inputs choose the rules of a script: the height of the block that contains the spending
 * transaction (script_flags_for_block; tip + 1 in the mempool) and the height of the block that
 * created the spent output (script_flags_for_coin, a mempool parent counts as tip + 1).
 * Pure functions, any thread.
 */
#ifndef SCRIPT_FLAGS_H
#define SCRIPT_FLAGS_H

#include <stdint.h>

#define SCRIPT_P2SH                       (UINT32_C(1) << 0)
#define SCRIPT_STRICTENC                  (UINT32_C(1) << 1)
#define SCRIPT_DERSIG                     (UINT32_C(1) << 2)
#define SCRIPT_LOW_S                      (UINT32_C(1) << 3)
#define SCRIPT_NULLDUMMY                  (UINT32_C(1) << 4)
#define SCRIPT_SIGPUSHONLY                (UINT32_C(1) << 5)
#define SCRIPT_MINIMALDATA                (UINT32_C(1) << 6)
#define SCRIPT_DISCOURAGE_UPGRADABLE_NOPS (UINT32_C(1) << 7)
#define SCRIPT_CLEANSTACK                 (UINT32_C(1) << 8)
#define SCRIPT_CLTV                       (UINT32_C(1) << 9)
#define SCRIPT_CSV                        (UINT32_C(1) << 10)
#define SCRIPT_MINIMALIF                  (UINT32_C(1) << 13)
#define SCRIPT_NULLFAIL                   (UINT32_C(1) << 14)
#define SCRIPT_COMPRESSED_PUBKEYTYPE      (UINT32_C(1) << 15)
#define SCRIPT_SIGHASH_FORKID             (UINT32_C(1) << 16)
#define SCRIPT_GENESIS                    (UINT32_C(1) << 18)
#define SCRIPT_UTXO_AFTER_GENESIS         (UINT32_C(1) << 19)
#define SCRIPT_CHRONICLE                  (UINT32_C(1) << 20)
#define SCRIPT_UTXO_AFTER_CHRONICLE       (UINT32_C(1) << 21)

/* Era of a block, or of the output a script belongs to. */
enum script_era {
    SCRIPT_ERA_ORIGINAL,  /* before Genesis */
    SCRIPT_ERA_GENESIS,
    SCRIPT_ERA_CHRONICLE,
};

/*
 * Activation heights as the reference names them: bip66, bip65, csv, genesis and chronicle are the
 * first block under the rule; p2sh, uahf and daa are the last block *before* it (spec 4.3).
 */
struct script_heights {
    int32_t p2sh;
    int32_t bip66;
    int32_t bip65;
    int32_t csv;
    int32_t uahf;
    int32_t daa;
    int32_t genesis;
    int32_t chronicle;
};

enum script_era script_era_of(const struct script_heights *h, int32_t height);

/* Consensus flags of the block at this height. */
uint32_t script_flags_for_block(const struct script_heights *h, int32_t height);

/*
 * Flags a mempool applies for the block at next_height: the standard set, a superset of
 * script_flags_mandatory (a failure under the latter alone is what peers are punished for).
 */
uint32_t script_flags_for_policy(const struct script_heights *h, int32_t next_height);
uint32_t script_flags_mandatory(const struct script_heights *h, int32_t next_height);

/* flags plus the UTXO bits of an output created at coin_height. */
uint32_t script_flags_for_coin(const struct script_heights *h, uint32_t flags, int32_t coin_height);

/* The era the UTXO bits say. */
static inline enum script_era script_utxo_era(uint32_t flags)
{
    if (flags & SCRIPT_UTXO_AFTER_CHRONICLE)
        return SCRIPT_ERA_CHRONICLE;
    return flags & SCRIPT_UTXO_AFTER_GENESIS ? SCRIPT_ERA_GENESIS : SCRIPT_ERA_ORIGINAL;
}

#endif
