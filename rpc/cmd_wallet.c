/* Wallets themselves: making, loading, unloading, what they are, rescans. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/wallet_call.h"

#define WALLET_VERSION 1
#define UNLOAD_LOOK_NS 5000000
#define UNLOAD_LOOKS 600 /* three seconds */

/* --- createwallet, loadwallet, unloadwallet, listwallets ------------------------------------- */

static struct rpc_result answer_opened(struct rpc_call *call, struct wallet *w, const char *warning)
{
    jw_object_open(call->out);
    jw_put_text(call->out, "name", wallet_name(w));
    jw_put_text(call->out, "warning", warning);
    jw_object_close(call->out);
    wallet_unref(w);
    return rpc_done();
}

static struct rpc_result cmd_createwallet(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    struct error e = { .code = OK };
    struct wallet *w;
    if (!s)
        return rpc_failed(call);
    if (rpc_bool(call, 1, false) || rpc_bool(call, 2, false))
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "disable_private_keys and blank must be false: every wallet has a seed");
    const char *passphrase = rpc_text(call, 3, "");
    const struct wallet_new how = { .passphrase = span_of(passphrase, strlen(passphrase)),
                                    .phrase = rpc_text(call, 4, NULL),
                                    .phrase_passphrase = rpc_text(call, 5, NULL),
                                    .birth = rpc_int(call, 6, 0) };
    if (!how.phrase && (how.phrase_passphrase || how.birth))
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "phrase_passphrase and birth belong to a phrase that is given");
    if (how.birth < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "birth cannot be negative");
    if (wallets_create(s->wallets, rpc_text(call, 0, ""), &how, &w, &e))
        return rpc_fail(call, RPC_WALLET_ERROR, "Wallet creation failed: %s", e.text);
    return answer_opened(call, w,
                         rpc_has(call, 3) && !*passphrase
                             ? "Empty string given as passphrase, wallet will not be encrypted."
                             : "");
}

static struct rpc_result cmd_loadwallet(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    const char *name = rpc_text(call, 0, "");
    struct error e = { .code = OK };
    struct wallet *w;
    if (!s)
        return rpc_failed(call);
    switch (wallets_load(s->wallets, name, &w, &e)) {
    case OK:
        return answer_opened(call, w, "");
    case ERR_NOTFOUND:
        return rpc_fail(call, RPC_WALLET_NOT_FOUND, "Wallet %.100s not found.", name);
    case ERR_EXISTS:
        return rpc_fail(call, RPC_WALLET_LOADED, "Wallet \"%.100s\" is already loaded.", name);
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_PARSE:
    case ERR_RANGE:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_TIMEOUT:
    case ERR_AUTH:
    case ERR_PROTO:
    case ERR_NOSPACE:
        break;
    }
    return rpc_fail(call, RPC_WALLET_ERROR, "Wallet loading failed: %s", e.text);
}

/* The name by parameter or by address; both must agree. */
static const char *name_to_unload(struct rpc_call *call)
{
    const char *named = call->wallet && *call->wallet ? call->wallet : NULL;
    const char *name = rpc_text(call, 0, named);
    if (!name)
        rpc_fail(call, RPC_INVALID_PARAMETER, "wallet_name is missing");
    else if (named && strcmp(named, name) != 0)
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "RPC endpoint wallet and wallet_name parameter specify different wallets");
    else
        return name;
    return NULL;
}

/* Calls that began before have references too, and as long as one is left nobody can load it. */
static bool is_let_go(const struct wallet *w)
{
    for (int i = 0; wallet_is_held(w) && i < UNLOAD_LOOKS; i++)
        nanosleep(&(struct timespec){ .tv_nsec = UNLOAD_LOOK_NS }, NULL);
    return !wallet_is_held(w);
}

static struct rpc_result cmd_unloadwallet(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    const char *name = s ? name_to_unload(call) : NULL;
    struct error e = { .code = OK };
    if (!name)
        return rpc_failed(call);
    struct wallet *w = wallets_get(s->wallets, name);
    if (!w || wallets_unload(s->wallets, name, &e)) {
        wallet_unref(w);
        return rpc_fail(call, RPC_WALLET_NOT_FOUND,
                        "Requested wallet does not exist or is not loaded");
    }
    rpc_wallet_keys_locked(call, name);
    s->let_go(s->ctx);
    jw_object_open(call->out);
    jw_put_text(call->out, "warning",
                is_let_go(w) ? "" : "It can be loaded again when the calls that use it have ended");
    jw_object_close(call->out);
    wallet_unref(w);
    return rpc_done();
}

static struct rpc_result cmd_listwallets(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    struct wallet **all;
    if (!s)
        return rpc_failed(call);
    const size_t n = wallets_all(s->wallets, &all);
    jw_array_open(call->out);
    for (size_t i = 0; i < n; i++) {
        jw_text(call->out, wallet_name(all[i]));
        wallet_unref(all[i]);
    }
    jw_array_close(call->out);
    free(all);
    return rpc_done();
}

/* --- getwalletinfo -------------------------------------------------------------------------- */

static bool take_order(void *ctx, const struct history_tx *t)
{
    *(uint64_t *)ctx = t->order + 1;
    return false;
}

struct info {
    struct history_balance balance;
    uint64_t txs;
    int32_t scan_next, scan_last, best;
    int64_t until;
    enum keystore_state state;
    uint32_t gap_limit;
    bool whole; /* else why not */
    char why[WALLET_GAP_TEXT_MAX];
};

static enum err read_info(struct rpc_call *call, struct wallet *w, struct info *i, struct error *e)
{
    const struct rpc_wallet_service *s = call->env->wallets;
    struct block_hash hash;
    *i = (struct info){ .best = HISTORY_NO_HEIGHT };
    i->whole = !s->trouble(s->ctx, wallet_name(w), i->why, sizeof i->why) &&
               !wallet_gap_text(w, i->why);
    wallet_lock(w);
    struct history *h = wallet_history(w);
    enum err rc = history_balance(h, 0, &i->balance, e);
    if (!rc)
        rc = history_list(h, 0, take_order, &i->txs, e);
    i->scan_next = history_scan_next(h);
    i->scan_last = history_scan_last(h);
    if (!history_best(h, &hash, &i->best))
        i->best = HISTORY_NO_HEIGHT;
    i->state = keystore_state(wallet_keystore(w), &i->until);
    i->gap_limit = wallet_params(w)->gap_limit;
    wallet_unlock(w);
    return rc;
}

static void put_scanning(struct rpc_call *call, struct wallet *w, const struct info *i)
{
    const struct rpc_wallet_service *s = call->env->wallets;
    double done = 0;
    int64_t took = 0, eta = -1;
    jw_key(call->out, "scanning");
    if (i->scan_next == HISTORY_NO_HEIGHT) {
        jw_bool(call->out, false);
        return;
    }
    const bool runs = s->progress(s->ctx, wallet_name(w), &done, &took, &eta);
    jw_object_open(call->out);
    jw_put_i64(call->out, "duration", took);
    jw_put_double(call->out, "progress", done);
    jw_put_i64(call->out, "height", i->scan_next);
    jw_put_i64(call->out, "stop_height", i->scan_last);
    if (runs && eta >= 0)
        jw_put_i64(call->out, "eta", eta);
    jw_object_close(call->out);
}

static void put_info(struct rpc_call *call, struct wallet *w, const struct info *i)
{
    struct json_writer *out = call->out;
    jw_object_open(out);
    jw_put_text(out, "walletname", wallet_name(w));
    jw_put_i64(out, "walletversion", WALLET_VERSION);
    jw_put_amount(out, "balance", i->balance.spendable.trusted);
    jw_put_amount(out, "unconfirmed_balance", i->balance.spendable.pending);
    jw_put_amount(out, "immature_balance", i->balance.spendable.immature);
    jw_put_u64(out, "txcount", i->txs);
    jw_put_i64(out, "keypoolsize", i->gap_limit);
    if (i->state != KEYSTORE_PLAIN)
        jw_put_i64(out, "unlocked_until", i->state == KEYSTORE_UNLOCKED ? i->until : 0);
    jw_put_amount(out, "paytxfee", call->env->wallets->fee_per_kb);
    jw_put_i64(out, "height", i->best);
    put_scanning(call, w, i);
    if (!i->whole)
        jw_put_text(out, "error", i->why);
    jw_object_close(out);
}

static struct rpc_result cmd_getwalletinfo(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    struct info i;
    if (!w)
        return rpc_failed(call);
    const enum err rc = read_info(call, w, &i, &e);
    if (!rc)
        put_info(call, w, &i);
    wallet_unref(w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

/* --- rescanblockchain ----------------------------------------------------------------------- */

static struct rpc_result rescan(struct rpc_call *call, struct wallet *w)
{
    int32_t best;
    struct block_hash hash;
    if (!wallet_best(w, &hash, &best, NULL))
        return rpc_fail(call, RPC_WALLET_ERROR, "the wallet knows no block yet");
    const bool to_best = !rpc_has(call, 1);
    const int64_t from = rpc_int(call, 0, 0), last = rpc_int(call, 1, best);
    if (from < 0 || from > best)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid start_height");
    if (last < 0 || last > best)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid stop_height");
    if (last < from)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "stop_height must be greater than start_height");
    const struct rpc_result r =
        rpc_wallet_rescan(call, w, (int32_t)from, to_best ? HISTORY_TO_BEST : (int32_t)last);
    if (r.end != RPC_DONE)
        return r;
    if (to_best && !wallet_best(w, &hash, &best, NULL))
        best = HISTORY_NO_HEIGHT;
    jw_object_open(call->out);
    jw_put_i64(call->out, "start_height", from);
    jw_put_i64(call->out, "stop_height", to_best ? best : last);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_rescanblockchain(struct rpc_call *call)
{
    return rpc_with_wallet(call, rescan);
}

static const struct rpc_command rows[] = {
    { .name = "createwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_createwallet,
      .help = "Makes a wallet with a seed of its own, or of the words of a phrase, and loads it.",
      .result = "{name, warning}",
      .example = "savings",
      .params = { { "wallet_name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Letters, digits, - _ and ." },
                  { "disable_private_keys", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Must be false" },
                  { "blank", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON, "Must be false" },
                  { "passphrase", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Encrypts it from the beginning" },
                  { "phrase", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Words of an earlier wallet (BIP39, English): its coins are looked for in all "
                    "blocks" },
                  { "phrase_passphrase", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The passphrase that belongs to the words, when there is one" },
                  { "birth", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Seconds since 1970: the words are no older (default: unknown)" } } },
    { .name = "loadwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_loadwallet,
      .help = "Loads a wallet that was made before. It is brought up to the tip by itself.",
      .result = "{name, warning}",
      .example = "savings",
      .params = { { "filename", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name" } } },
    { .name = "unloadwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_unloadwallet,
      .help = "Closes a wallet, and waits for a while for the calls that use it.",
      .result = "{warning}",
      .example = "savings",
      .params = { { "wallet_name", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Its name (default: of the address /wallet/<name>)" } } },
    { .name = "listwallets",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listwallets,
      .help = "Names of the wallets that are loaded.",
      .result = "[\"name\", ...]",
      .example = "" },
    { .name = "getwalletinfo",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getwalletinfo,
      .help = "State of a wallet. keypoolsize counts the unused keys that are looked for; height "
              "is the block up to which all is known; scanning tells of a rescan: seconds since it "
              "began and until it ends (eta), and which part of it is done, 0 to 1; error says why "
              "the wallet stands still, or of which blocks it may lack transactions because they "
              "were pruned before a rescan came to them.",
      .result = "{walletname, walletversion, balance, unconfirmed_balance, immature_balance, "
                "txcount, keypoolsize, unlocked_until?, paytxfee, height, scanning: false|"
                "{duration, progress, height, stop_height, eta?}, error?}",
      .example = "" },
    { .name = "rescanblockchain",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .fn = cmd_rescanblockchain,
      .help = "Goes through the blocks once more for transactions of the wallet. getwalletinfo "
              "tells how far it is. A block that is pruned meanwhile ends it with an error.",
      .result = "{start_height, stop_height}",
      .example = "100",
      .params = { { "start_height", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "First block (default 0)" },
                  { "stop_height", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Last block (default: the best one). A coin that is found and that a later "
                    "block spends counts as unspent until that block is gone through too" } } },
};
const struct rpc_group rpc_wallet_commands = { rows, COUNT_OF(rows) };
