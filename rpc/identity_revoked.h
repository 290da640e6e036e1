/*
 * Whether an identity of a wallet was revoked (spec bca 14). Asked of the chain at each call, as
 * where it stands is (identity_call.h), so that a reorganisation needs no telling. Worker threads;
 * the wallet is not locked by the caller, since the chain may be busy for a while.
 */
#ifndef RPC_IDENTITY_REVOKED_H
#define RPC_IDENTITY_REVOKED_H

#include "rpc/identity_call.h"

enum revocation_state {
    REVOCATION_NONE,
    REVOCATION_PENDING, /* a transaction that spends the marker waits for a block */
    REVOCATION_DONE,    /* the marker is spent in a block */
};

struct identity_revocation {
    enum revocation_state state;
    bool known;     /* by what: always while it is pending */
    struct txid by;
};

/* False: its registration has no marker. */
bool rpc_identity_marker(const struct identity *id, struct outpoint *marker);
/* Of an identity that stands at s; marker may be NULL, when it has none. False: call has failed. */
bool rpc_identity_revocation(struct rpc_call *call, struct wallet *w, const struct standing *s,
                             const struct outpoint *marker, struct identity_revocation *out);
/* "revoking", "revoked"; NULL for REVOCATION_NONE. */
const char *rpc_identity_revocation_name(enum revocation_state state);
/* The transaction of the wallet that waits to spend the marker. The wallet is locked by the
 * caller. */
enum err rpc_identity_revoking(struct wallet *w, const struct outpoint *marker, struct txid *by,
                               bool *found, struct error *e) MUST_CHECK;
/*
 * The same of a loaded identity, for commands that want one in force. False: call has failed, with
 * the reason when it is revoked or about to be.
 */
bool rpc_identity_in_force(struct rpc_call *call, struct wallet *w, const struct identity *id,
                           const struct standing *s);
/*
 * The address that a parameter names, when the wallet has formed it and it is neither void nor of
 * an identity that is revoked; out is initialized. False: call has failed.
 */
bool rpc_identity_good_address(struct rpc_call *call, struct wallet *w, size_t i,
                               struct identity_address *out);

#endif
