/*
 * Judges one transaction for the mempool, in the order of spec consensus 5.2, in steps:
 *
 *   accept_precheck  what needs nothing but the transaction
 *   accept_judge     conflicts, coins, fees, limits                      (chain thread)
 *   accept_scripts   its scripts under the flags and limits of policy    (any thread)
 *   accept_enter     looks again at what may have changed, then inserts  (chain thread)
 *
 * Nothing may happen to the coins between accept_judge and accept_enter; txs.c sees to that. A
 * step that ends the matter sets work->result.outcome, and the later ones do nothing.
 */
#ifndef CHAIN_ACCEPT_H
#define CHAIN_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/mem.h"
#include "chain/check.h"
#include "chain/coins.h"
#include "chain/frozen.h"
#include "chain/mempool.h"
#include "chain/nonfinal.h"
#include "chain/policy.h"
#include "chain/tx_result.h"
#include "script/error.h"
#include "script/sigcache.h"

/* What judging works on; borrowed. */
struct accept_env {
    const struct chain_params *params;
    struct coins *coins;
    struct mempool *pool;
    struct nonfinal *nonfinal;
    const struct frozen *frozen;
    const struct tx_policy *policy;      /* the node's */
    const struct script_limits *consensus_limits;
    struct sigcache *sigcache;
    struct sigcache *scripts;            /* inputs found valid, see accept_script_key */
};

/* What depends on the tip: rules and flags of the next block. */
struct accept_rules {
    struct block_rules next;
    struct header_node *tip;
    int64_t median_time;                 /* of the tip */
    int64_t now;                         /* seconds */
    uint32_t policy_flags, block_flags;
    uint32_t mandatory_flags;            /* a peer is to blame for what fails under these */
    uint32_t grace_flags;                /* mandatory ones of the era on the other side of a line
                                            that is near (spec consensus 1.1) */
    const char *grace_line;              /* its name; NULL: none is near */
    struct script_limits policy_limits;  /* of the node's policy */
};
void accept_rules_init(struct accept_rules *r, const struct accept_env *env,
                       struct header_node *tip, int64_t now);

enum accept_scripts_end {
    SCRIPTS_PENDING,
    SCRIPTS_GOOD,
    SCRIPTS_BAD,        /* under the mandatory flags too */
    SCRIPTS_UNUSUAL,    /* bad under policy only */
    SCRIPTS_OTHER_ERA,  /* bad, but good on the other side of a line that is near */
    SCRIPTS_TOO_LONG,   /* the time limit was reached */
    SCRIPTS_UNDECIDED,  /* stopped, or out of memory */
};

/* One transaction on its way. */
struct accept_work {
    /* Given. */
    struct tx *tx;                  /* a reference of the owner's */
    uint64_t source;
    const struct tx_policy *policy; /* NULL: the node's */
    bool allow_high_fee, free;      /* as in struct tx_submission */
    int64_t time_limit_us;          /* CPU time for its scripts, 0: none */
    int64_t time;                   /* of acceptance, 0: now */
    int32_t height;                 /* of the tip then, when time is given */
    struct arena *arena;            /* for what follows; lives as long as the work */

    /* Made by accept_judge. */
    struct coin *coins;             /* of the inputs, scripts copied */
    bool final, confiscation, pays; /* pays: a consolidation, mined without a fee */
    struct tx *replaces;            /* held non-final one that leaves; borrowed */
    bool pending_parents;           /* inputs come from work that has not entered yet */
    int64_t fee;

    /* Made by accept_scripts; good ones stay good under the same flags. */
    enum accept_scripts_end scripts;
    uint32_t scripts_flags;
    enum script_err script_err;
    const char *other_era;          /* of SCRIPTS_OTHER_ERA: the line that is near */

    struct tx_result result;        /* outcome counts when judged; conflict holds a reference */
    bool judged;
};

/* A transaction that was judged but has not entered: its outputs count for those after it. */
typedef const struct tx *(*accept_pending_fn)(void *ctx, const struct txid *id);

void accept_precheck(const struct accept_env *env, const struct accept_rules *r,
                     struct accept_work *w);
/* An error means that coins could not be read, or memory is short: nothing is judged. */
enum err accept_judge(const struct accept_env *env, const struct accept_rules *r,
                      struct accept_work *w, accept_pending_fn pending, void *ctx,
                      struct error *e) MUST_CHECK;
void accept_scripts(const struct accept_env *env, const struct accept_rules *r,
                    struct accept_work *w, const struct cancel *cancel);
void accept_enter(const struct accept_env *env, const struct accept_rules *r,
                  struct accept_work *w);
/* Gives up the reference to a conflicting transaction. */
void accept_work_clear(struct accept_work *w);
/* Ready to be judged once more; what was given and the end of the scripts stay. */
void accept_work_again(struct accept_work *w);

/* Ends the matter, for callers that decide by themselves. */
void accept_reject(struct accept_work *w, const struct verdict *v);

/*
 * The cache of scripts remembers inputs that were valid under given flags; one under consensus
 * flags spares the block its check (connect.c). policy: valid under the node's script limits too.
 */
struct sigcache_key accept_script_key(const struct sigcache *c, const struct txid *id,
                                      uint32_t input, uint32_t flags, bool policy);

#endif
