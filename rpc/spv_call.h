/*
 * Proofs that a caller gives, judged against this node's own chain (chain/spv.h). Worker threads.
 */
#ifndef RPC_SPV_CALL_H
#define RPC_SPV_CALL_H

#include "base/partial_merkle.h"
#include "chain/spv.h"
#include "rpc/command.h"

/* A BUMP or a BEEF; bytes that are none are a judgement too. */
struct rpc_bump {
    struct bump bump;
    struct spv_proof proof;
    struct spv_judgement j;
    struct header_node *tip; /* at which it was judged */
    bool read;               /* there is a bump */
};
struct rpc_beef {
    struct beef beef;
    struct spv_proof proof[BEEF_BUMPS_MAX];
    struct spv_judgement j;
    struct header_node *tip;
    bool read;
};

/* What judging may take. */
struct rpc_spv_bounds {
    struct script_limits limits;
    int64_t scripts_cpu_us; /* of all scripts together */
    size_t held_bytes;      /* of transactions that are named by an id alone */
    int64_t held_ms;        /* until the last look for such a one begins */
};
/* For what a peer sends us: scripts as the mempool takes them, for a second in all, and little from
 * our own disk. */
struct rpc_spv_bounds rpc_spv_bounds_of_peer(struct rpc_call *call);

/*
 * raw is borrowed until the clear, which is the caller's after a failure too. id: as in
 * spv_judge_bump. ERR_NOMEM, ERR_CANCELLED, ERR_TIMEOUT, trouble with the disk.
 */
enum err rpc_judge_bump(struct rpc_call *call, struct span raw, const struct txid *id,
                        struct rpc_bump *out, struct error *e) MUST_CHECK;
void rpc_bump_clear(struct rpc_bump *b);
enum err rpc_judge_beef(struct rpc_call *call, struct span raw, struct rpc_beef *out,
                        struct error *e) MUST_CHECK;
/* b NULL: as above. */
enum err rpc_judge_beef_within(struct rpc_call *call, struct span raw,
                               const struct rpc_spv_bounds *b, struct rpc_beef *out,
                               struct error *e) MUST_CHECK;
void rpc_beef_clear(struct rpc_beef *b);

/* A header with a partial tree, as gettxoutproof gives it. */
struct rpc_partial {
    struct partial_merkle tree; /* borrows raw */
    struct header_node *node;
    bool holds; /* the root is that of the header, the tree has as many leaves as the block */
};
/* False: call has failed, since it has not this form, or its block is not on the active chain. */
bool rpc_judge_partial(struct rpc_call *call, struct span raw, struct rpc_partial *out);

/* Members result, and unless it is "valid" rule and reason. */
void jw_put_judgement(struct json_writer *w, const struct spv_judgement *j);
/* Members height, blockhash and confirmations (of blocks that we have), merkleroot (unless it
 * leads nowhere), txids. */
void jw_put_proof(struct json_writer *w, const struct bump *b, const struct spv_proof *p,
                  const struct header_node *tip);

#endif
