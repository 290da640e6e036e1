/*
 * Judges proofs that somebody else gives us against the headers of the active chain: a BUMP, and a
 * BEEF with the scripts, amounts and locks of what is not in a block yet (spec brc-notes 6, 7).
 *
 * Everything is judged as for the block after `tip`, which stays the same for the whole call. What
 * breaks a rule is invalid; what we cannot know is undetermined (a block above our tip, an id in
 * place of a transaction that we do not hold or that is too large with those before it, scripts
 * that take too long). Trouble on our side is an error and says nothing about the proof.
 *
 * rule is a stable word: that of the mempool ("bad-txns-in-belowout") where it has one, else
 *   format limits structure          bytes and structure of the record
 *   no-txid txid-missing             the record proves nothing, or not what was asked
 *   block-unknown merkle-root merkle-depth
 *   coinbase-maturity
 *   txid-only double-spend non-final sequence-lock script script-time
 *
 * Any thread; what is borrowed must stay as it is meanwhile.
 */
#ifndef CHAIN_SPV_H
#define CHAIN_SPV_H

#include "base/beef.h"
#include "base/cancel.h"
#include "chain/header_index.h"
#include "chain/params.h"
#include "script/verify.h"

enum spv_end { SPV_VALID, SPV_UNDETERMINED, SPV_INVALID };

struct spv_judgement {
    enum spv_end end;
    char rule[48];    /* the first that failed; empty when valid */
    char reason[200];
};

struct spv_env {
    const struct chain_params *params;
    struct header_index *headers;
    struct header_node *tip;
    int64_t now;                        /* seconds since 1970 */
    const struct script_limits *limits; /* of consensus */
    int64_t scripts_cpu_us;             /* for all scripts together */
    size_t held_bytes;                  /* of transactions that ids stand for, together */
    const struct cancel *cancel;        /* may be NULL */
    bool (*given_up)(void *ctx);        /* asked between transactions; may be NULL */
    /*
     * The transaction that an id stands for, with the height of its block, tip + 1 when it is in
     * none: a reference; *tx is NULL when we do not hold it. What takes more
     * than `most` bytes to find or to have is ERR_RANGE, so that it need not be read.
     */
    enum err (*held)(void *ctx, const struct txid *id, size_t most, struct tx **tx,
                     int32_t *height, struct error *e);
    void *ctx;
};

/* Where a BUMP leads. */
struct spv_proof {
    const struct header_node *node; /* the block of its height; NULL above the tip */
    bool leads;                     /* there is a top */
    struct bump_top top;
};

/* Sets an end that is worse than the one there is; the first of two equal ones stays. */
void spv_judge(struct spv_judgement *j, enum spv_end end, const char *rule, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/*
 * j begins as { .end = SPV_VALID }. id: what is to be proved; NULL: whatever the record marks.
 * ERR_NOMEM.
 */
enum err spv_judge_bump(const struct spv_env *env, const struct bump *b, const struct txid *id,
                        struct spv_proof *proof, struct spv_judgement *j,
                        struct error *e) MUST_CHECK;
/* proofs: one for each BUMP of b. ERR_NOMEM, ERR_CANCELLED, errors of held. */
enum err spv_judge_beef(const struct spv_env *env, const struct beef *b, struct spv_proof *proofs,
                        struct spv_judgement *j, struct error *e) MUST_CHECK;

#endif
