/*
 * Which wallet a command is about, and what commands of the wallet share. Worker threads.
 */
#ifndef RPC_WALLET_CALL_H
#define RPC_WALLET_CALL_H

#include "base/address.h"
#include "rpc/command.h"
#include "wallet/wallets.h"

struct chain_tip;
struct header_node;

#define RPC_WALLET_DEFAULT "default"
#define RPC_WALLET_ENDLESS_CONF 9999999

/* What the node tells and does for commands of the wallet; filled by node. */
struct rpc_wallet_service {
    struct wallets *wallets;
    _Atomic int64_t fee_per_kb; /* -paytxfee, settxfee; satoshis; 0: what the mempool asks */
    bool pruned;        /* blocks may be gone */
    const char *dir;    /* of the network, where relative paths begin */
    /* Waits a moment until the wallets know what the chain knew at the call; not while they are far
     * behind. */
    void (*settle)(void *ctx);
    /* Waits until nobody works with a wallet any more that was unloaded before the call. */
    void (*let_go)(void *ctx);
    /* Why a wallet does not follow the chain, into text (may be cut); false: it does. */
    bool (*trouble)(void *ctx, const char *name, char *text, size_t room);
    /* How far a wallet is that goes through many blocks: part of the transactions, seconds since it
     * began and until it ends (-1: not known). False: it does not. */
    bool (*progress)(void *ctx, const char *name, double *done, int64_t *took_s, int64_t *eta_s);
    uint64_t (*memory)(void *ctx); /* bytes of all wallets, at the last look */
    /* Hands the wallet's own unconfirmed transactions to the chain once more, which tells peers;
     * appends the ids of those that it takes. */
    enum err (*resend)(void *ctx, struct wallet *w, struct buf *ids, struct error *e);
    void *ctx;
};

/* NULL with the failure -32601: there are no wallets. */
const struct rpc_wallet_service *rpc_wallet_service(struct rpc_call *call);
/*
 * The wallet that the address names, or the only one that is loaded; it knows what the chain knows.
 * Where there is none at all it is made. The caller's reference; NULL: call has failed.
 */
struct wallet *rpc_wallet(struct rpc_call *call);

/* The wallet that rpc_wallet would give, when it is loaded already; else NULL, and no failure. */
struct wallet *rpc_wallet_if_loaded(struct rpc_call *call);
/* fn with that wallet. */
struct rpc_result rpc_with_wallet(struct rpc_call *call,
                                  struct rpc_result (*fn)(struct rpc_call *, struct wallet *));

/* Identities may be had now that could not before. The caller holds no lock, as below. */
void rpc_wallet_keys_changed(struct rpc_call *call);
/* Copies of the secrets of a wallet that are kept for sessions are wiped. */
void rpc_wallet_keys_locked(struct rpc_call *call, const char *wallet);

/* From an error of the wallet. */
struct rpc_result rpc_wallet_fail(struct rpc_call *call, const struct error *e);
/* The script of an address of this network; "Invalid Bitcoin address" (-5). */
bool rpc_wallet_address(struct rpc_call *call, const char *text, struct buf *script);
/* A parameter as the path of a file; a relative one begins at the network's directory. Heap. */
char *rpc_wallet_path(struct rpc_call *call, size_t i);
/* The P2PKH script of an address, which alone can be of a key. False: call has failed. */
bool rpc_wallet_key_address(struct rpc_call *call, const char *text, struct buf *script);
/* A compressed public key in hex; what: how a failure begins (-5). False: call has failed. */
bool rpc_wallet_pubkey(struct rpc_call *call, const char *what, struct span hex,
                       uint8_t out[EC_PUBKEY_SIZE]);
/* Accounts are no more than labels: all of them together is what can be asked for. */
bool rpc_wallet_all_accounts(struct rpc_call *call, size_t i);
/* A label, which "*" is none. False: call has failed. */
bool rpc_wallet_one_account(struct rpc_call *call, size_t i);

/* Confirmations at least, 0 to RPC_WALLET_ENDLESS_CONF. False: call has failed. */
bool rpc_wallet_min_conf(struct rpc_call *call, size_t i, int32_t def, int32_t *out);
/* Parameters that many commands have; what they mean there may differ. */
#define RPC_WALLET_MIN_CONF(help) { "minconf", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON, help }
#define RPC_WALLET_WATCHED(help)                                                                 \
    { "include_watchonly", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON, help }

/* The address of a key, as the result. */
void rpc_wallet_write_address(struct rpc_call *call, const struct wallet_key *k);
/* The address of a script, in text; NULL when it has none. */
const char *rpc_script_address(const struct rpc_call *call, struct span script,
                               char text[ADDRESS_TEXT_MAX]);
/* "m/44'/..." of a key that was derived; false for others. */
#define RPC_KEY_PATH_MAX 64
bool rpc_wallet_key_path(struct wallet *w, const struct wallet_key *k,
                         char text[RPC_KEY_PATH_MAX]);
/* Fee rate and rules of the next block for a transaction; the rest is empty. */
struct wallet_send rpc_wallet_send(struct rpc_call *call);

/*
 * Between hold and release call->out writes to memory: a client that reads slowly must not keep the
 * wallet's lock. Release adds the one value that was written if rc, the end of the work, is OK, and
 * returns rc, or ERR_NOMEM for an answer of more than RPC_HELD_MAX bytes or than there is memory
 * for.
 */
#define RPC_HELD_MAX ((size_t)256 << 20)
struct rpc_held {
    struct json_writer text, *out;
    struct buf part, bytes;
};
void rpc_hold(struct rpc_call *call, struct rpc_held *h);
enum err rpc_release(struct rpc_call *call, struct rpc_held *h, enum err rc, struct error *e);

/* "address" of a script, left out when it has none. */
void jw_put_address(struct rpc_call *call, struct span script);
/* The label of a script as member key; empty when it has none. The caller has locked the wallet. */
void jw_put_label(struct rpc_call *call, struct wallet *w, const char *key, struct span script);

/* Members of validateaddress from "ismine" on: what a loaded wallet knows of an address. */
void jw_put_ownership(struct rpc_call *call, struct span script);

/* wallet_import_tx, of a block that was on the active chain a moment ago. ERR_BUSY: the wallet is
 * on another branch, or has not come to it yet. */
enum err rpc_wallet_import_tx(struct rpc_call *call, struct wallet *w, const struct tx *tx,
                              const struct header_node *node, uint32_t position,
                              struct error *e) MUST_CHECK;

/* Goes through the blocks from a height to last, or HISTORY_TO_BEST, once more and waits for it,
 * unless the client leaves. */
struct rpc_result rpc_wallet_rescan(struct rpc_call *call, struct wallet *w, int32_t height,
                                    int32_t last);
/* Waits for a rescan of all blocks from a height on that was asked for. */
struct rpc_result rpc_wallet_await_rescan(struct rpc_call *call, struct wallet *w, int32_t from);
/* An import may ask for a rescan: not when blocks may be gone. False: call has failed. */
bool rpc_wallet_may_rescan(struct rpc_call *call, bool wanted);
/* null, after the rescan that an import asked for. */
struct rpc_result rpc_wallet_imported(struct rpc_call *call, struct wallet *w, bool rescan);

#endif
