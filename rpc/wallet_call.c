#include "rpc/wallet_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/address.h"
#include "base/file.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/keys.h"
#include "script/template.h"

#define RESCAN_LOOK_NS 5000000

/* --- which one ------------------------------------------------------------------------------ */

const struct rpc_wallet_service *rpc_wallet_service(struct rpc_call *call)
{
    if (!call->env->wallets)
        rpc_fail(call, RPC_METHOD_NOT_FOUND, "Method not found (wallets are disabled)");
    return call->env->wallets;
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
}

/* For whoever begins without having asked for a wallet. */
static struct wallet *make_default(struct rpc_call *call, struct wallets *all)
{
    struct error e = { .code = OK };
    struct wallet *w = NULL;
    size_t on_disk = 0;
    enum err rc = wallets_each_on_disk(all, count_name, &on_disk, &e);
    if (!rc && on_disk) {
        rpc_fail(call, RPC_WALLET_NOT_FOUND,
                 "No wallet is loaded. Load a wallet using loadwallet or create a new one with "
                 "createwallet.");
        return NULL;
    }
    const struct wallet_new how = { .phrase = NULL };
    if (!rc)
        rc = wallets_create(all, RPC_WALLET_DEFAULT, &how, &w, &e);
    if (rc == ERR_EXISTS && (w = wallets_get(all, RPC_WALLET_DEFAULT)))
        return w; /* another call was first */
    if (rc) {
        rpc_wallet_fail(call, &e);
        return NULL;
    }
    log_info("wallet: there was none, \"%s\" has been made", RPC_WALLET_DEFAULT);
    return w;
}

/* n: how many are loaded. NULL unless that is one. */
static struct wallet *loaded_one(struct wallets *all, size_t *n)
{
    struct wallet **list, *w = NULL;
    *n = wallets_all(all, &list);
    if (*n == 1)
        w = wallet_ref(list[0]);
    for (size_t i = 0; i < *n; i++)
        wallet_unref(list[i]);
    free(list);
    return w;
}

static struct wallet *only_one(struct rpc_call *call, struct wallets *all)
{
    size_t n;
    struct wallet *w = loaded_one(all, &n);
    if (n == 0)
        return make_default(call, all);
    if (n > 1)
        rpc_fail(call, RPC_WALLET_NOT_SPECIFIED,
                 "Wallet file not specified (must request wallet RPC through /wallet/<filename> "
                 "uri-path).");
    return w;
}

struct wallet *rpc_wallet(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    struct wallet *w;
    if (!s)
        return NULL;
    if (call->wallet && *call->wallet) {
        w = wallets_get(s->wallets, call->wallet);
        if (!w)
            rpc_fail(call, RPC_WALLET_NOT_FOUND,
                     "Requested wallet does not exist or is not loaded");
    } else {
        w = only_one(call, s->wallets);
    }
    if (w)
        s->settle(s->ctx);
    return w;
}

struct wallet *rpc_wallet_if_loaded(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = call->env->wallets;
    size_t n;
    if (!s)
        return NULL;
    return call->wallet && *call->wallet ? wallets_get(s->wallets, call->wallet)
                                         : loaded_one(s->wallets, &n);
}

struct rpc_result rpc_with_wallet(struct rpc_call *call,
                                  struct rpc_result (*fn)(struct rpc_call *, struct wallet *))
{
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    const struct rpc_result r = fn(call, w);
    wallet_unref(w);
    return r;
}

void rpc_wallet_keys_changed(struct rpc_call *call)
{
    const struct rpc_key_keeper *k = &call->env->keeper;
    if (k->refresh)
        k->refresh(k->ctx);
}

void rpc_wallet_keys_locked(struct rpc_call *call, const char *wallet)
{
    const struct rpc_key_keeper *k = &call->env->keeper;
    if (k->locked)
        k->locked(k->ctx, wallet);
}

/* --- failures ------------------------------------------------------------------------------- */

struct rpc_result rpc_wallet_fail(struct rpc_call *call, const struct error *e)
{
    switch (e->code) {
    case ERR_AUTH:
        return rpc_fail(call, RPC_WALLET_LOCKED,
                        "Error: Please enter the wallet passphrase with walletpassphrase first.");
    case ERR_NOMEM:
    case ERR_NOTFOUND:
    case ERR_CORRUPT:
        return rpc_fail_error(call, e);
    case OK:
    case ERR_IO:
    case ERR_PARSE:
    case ERR_RANGE:
    case ERR_EXISTS:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_TIMEOUT:
    case ERR_PROTO:
    case ERR_NOSPACE:
        break;
    }
    return rpc_fail(call, RPC_WALLET_ERROR, "%s", e->text[0] ? e->text : err_name(e->code));
}

/* --- parameters ----------------------------------------------------------------------------- */

bool rpc_wallet_address(struct rpc_call *call, const char *text, struct buf *script)
{
    if (address_to_script(chain_get_params(call->env->chain), text, script))
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "Invalid Bitcoin address: %.100s", text);
    return false;
}

char *rpc_wallet_path(struct rpc_call *call, size_t i)
{
    const char *path = rpc_text(call, i, "");
    return *path == '/' ? xstrdup(path) : path_join(call->env->wallets->dir, path);
}

bool rpc_wallet_key_address(struct rpc_call *call, const char *text, struct buf *script)
{
    if (!rpc_wallet_address(call, text, script))
        return false;
    if (script->len == SCRIPT_P2PKH_SIZE)
        return true;
    rpc_fail(call, RPC_TYPE_ERROR, "Address does not refer to a key");
    return false;
}

bool rpc_wallet_pubkey(struct rpc_call *call, const char *what, struct span hex,
                       uint8_t out[EC_PUBKEY_SIZE])
{
    size_t len;
    if (hex_decode(out, EC_PUBKEY_SIZE, (const char *)hex.data, hex.len, &len) &&
        len == EC_PUBKEY_SIZE && ec_pubkey_valid(out, len))
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "%s: %.*s (33 bytes in hex)", what,
             (int)MIN_OF(hex.len, (size_t)100), (const char *)hex.data);
    return false;
}

bool rpc_wallet_all_accounts(struct rpc_call *call, size_t i)
{
    const char *account = rpc_text(call, i, "*");
    if (!*account || strcmp(account, "*") == 0)
        return true;
    rpc_fail(call, RPC_WALLET_ACCOUNT,
             "Accounts are labels here and have no balance of their own: use \"*\"");
    return false;
}

bool rpc_wallet_one_account(struct rpc_call *call, size_t i)
{
    if (strcmp(rpc_text(call, i, ""), "*") != 0)
        return true;
    rpc_fail(call, RPC_WALLET_ACCOUNT, "Invalid account name");
    return false;
}

bool rpc_wallet_min_conf(struct rpc_call *call, size_t i, int32_t def, int32_t *out)
{
    const int64_t v = rpc_int(call, i, def);
    if (v < 0 || v > RPC_WALLET_ENDLESS_CONF) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid minconf");
        return false;
    }
    *out = (int32_t)v;
    return true;
}

/* --- sending -------------------------------------------------------------------------------- */

/* -paytxfee, but never below what the mempool takes. */
static int64_t fee_rate(const struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    const int64_t asked = MAX_OF(chain_get_policy(c)->mining_fee_per_kb,
                                 mempool_min_fee_per_kb(chain_mempool(c), clock_now()));
    return MAX_OF(asked, call->env->wallets->fee_per_kb);
}

struct wallet_send rpc_wallet_send(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    return (struct wallet_send){
        .fee_per_kb = fee_rate(call),
        .max_fee = chain_get_policy(c)->max_fee,
        .height = tip.height,
        .heights = &chain_get_params(c)->heights,
    };
}

/* --- answers under the lock ----------------------------------------------------------------- */

static enum err keep(void *ctx, const void *data, size_t len)
{
    struct rpc_held *h = ctx;
    if (len > RPC_HELD_MAX - h->bytes.len || !buf_try_reserve(&h->bytes, len))
        return ERR_NOMEM;
    buf_put(&h->bytes, data, len);
    return OK;
}

void rpc_hold(struct rpc_call *call, struct rpc_held *h)
{
    h->out = call->out;
    buf_init(&h->part);
    buf_init(&h->bytes);
    jw_init(&h->text, &h->part, keep, h);
    call->out = &h->text;
}

enum err rpc_release(struct rpc_call *call, struct rpc_held *h, enum err rc, struct error *e)
{
    call->out = h->out;
    jw_flush(&h->text);
    if (!rc && h->text.failed)
        rc = error_set(e, ERR_NOMEM, "the answer is too large (its limit is %zu MiB)",
                       RPC_HELD_MAX >> 20);
    if (!rc)
        jw_json(call->out, (const char *)h->bytes.data, h->bytes.len);
    buf_clear(&h->part);
    buf_clear(&h->bytes);
    return rc;
}

/* --- members -------------------------------------------------------------------------------- */

void rpc_wallet_write_address(struct rpc_call *call, const struct wallet_key *k)
{
    uint8_t hash[20];
    char text[ADDRESS_TEXT_MAX];
    hash160(hash, k->key, k->key_len);
    jw_text(call->out,
            address_encode(text, chain_get_params(call->env->chain)->address_version, hash));
}

const char *rpc_script_address(const struct rpc_call *call, struct span script,
                               char text[ADDRESS_TEXT_MAX])
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    struct script_match m;
    uint8_t hash[20];
    script_classify(script, SCRIPT_ERA_ORIGINAL, &m);
    switch (m.type) {
    case SCRIPT_TYPE_PUBKEYHASH:
        return address_encode(text, p->address_version, m.data[0].data);
    case SCRIPT_TYPE_SCRIPTHASH:
        return address_encode(text, p->script_address_version, m.data[0].data);
    case SCRIPT_TYPE_PUBKEY:
        hash160(hash, m.data[0].data, m.data[0].len);
        return address_encode(text, p->address_version, hash);
    case SCRIPT_TYPE_NONSTANDARD:
    case SCRIPT_TYPE_MULTISIG:
    case SCRIPT_TYPE_NULL_DATA:
        break;
    }
    return NULL;
}

void jw_put_address(struct rpc_call *call, struct span script)
{
    char text[ADDRESS_TEXT_MAX];
    const char *address = rpc_script_address(call, script, text);
    if (address)
        jw_put_text(call->out, "address", address);
}

void jw_put_label(struct rpc_call *call, struct wallet *w, const char *key, struct span script)
{
    struct buf label;
    bool found = false;
    buf_init(&label);
    if (keystore_get_label(wallet_keystore(w), script, &label, &found, NULL))
        buf_reset(&label); /* a label that cannot be read hides no coin */
    jw_key(call->out, key);
    jw_text_n(call->out, (const char *)label.data, label.len);
    buf_clear(&label);
}

bool rpc_wallet_key_path(struct wallet *w, const struct wallet_key *k,
                         char text[RPC_KEY_PATH_MAX])
{
    if (k->derived)
        snprintf(text, RPC_KEY_PATH_MAX, "m/44'/%u'/0'/%u/%u",
                 (unsigned)wallet_params(w)->coin_type, (unsigned)k->branch, (unsigned)k->index);
    return k->derived;
}

static void put_key(struct rpc_call *call, struct wallet *w, const struct wallet_key *k)
{
    char path[RPC_KEY_PATH_MAX];
    jw_put_hex(call->out, "pubkey", k->key, k->key_len);
    jw_put_bool(call->out, "iscompressed", k->key_len == EC_PUBKEY_SIZE);
    if (rpc_wallet_key_path(w, k, path))
        jw_put_text(call->out, "hdkeypath", path);
}

void jw_put_ownership(struct rpc_call *call, struct span script)
{
    struct wallet *w = rpc_wallet_if_loaded(call);
    struct wallet_key k = { .key_len = 0 };
    const bool ours = w && wallet_find_key(w, script, &k);
    jw_put_bool(call->out, "ismine", ours && k.spendable);
    jw_put_bool(call->out, "iswatchonly", ours && !k.spendable);
    jw_put_bool(call->out, "isscript", script_is_p2sh(script));
    if (ours && k.key_len)
        put_key(call, w, &k);
    if (ours) {
        wallet_lock(w);
        jw_put_label(call, w, "account", script);
        wallet_unlock(w);
    }
    wallet_unref(w);
}

/* --- proved transactions -------------------------------------------------------------------- */

/* One that is not active now may be so again, and the wallet may never have left its own: so it has
 * to stand on the block itself, and will take it back with it. */
static bool stands_on(const struct rpc_call *call, struct wallet *w, const struct header_node *node)
{
    struct block_hash hash;
    int32_t height;
    struct header_node *best = NULL;
    if (wallet_best(w, &hash, &height, NULL))
        best = header_index_find(chain_headers(call->env->chain), &hash);
    return best && best->height >= node->height && header_ancestor(best, node->height) == node;
}

enum err rpc_wallet_import_tx(struct rpc_call *call, struct wallet *w, const struct tx *tx,
                              const struct header_node *node, uint32_t position, struct error *e)
{
    const struct wallet_block block = { .hash = node->hash, .height = node->height,
                                        .time = node->time };
    wallet_lock(w);
    const enum err rc = stands_on(call, w, node)
                            ? wallet_import_tx(w, tx, &block, position, e)
                            : error_set(e, ERR_BUSY, "the wallet does not know block %d yet",
                                        node->height);
    wallet_unlock(w);
    return rc;
}

/* --- rescans -------------------------------------------------------------------------------- */

static bool is_scanning(struct wallet *w)
{
    wallet_lock(w);
    const bool on = history_scan_next(wallet_history(w)) != HISTORY_NO_HEIGHT;
    wallet_unlock(w);
    return on;
}

/* The first block that is gone, or NULL. */
static const struct header_node *first_pruned(struct chain *c, int32_t from, int32_t last)
{
    struct header_index *index = chain_headers(c);
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    for (int32_t height = from; height <= MIN_OF(tip.height, last); height++) {
        const struct header_node *node = header_index_at(index, height);
        if (node && !(atomic_load(&node->status) & HS_HAVE_DATA))
            return node;
    }
    return NULL;
}

/* Unloaded, on request or after a write error: nobody scans it any more. */
static bool is_loaded(struct wallets *all, const struct wallet *w)
{
    struct wallet *now = wallets_get(all, wallet_name(w));
    wallet_unref(now);
    return now == w;
}

static struct rpc_result wait_for_scan(struct rpc_call *call, struct wallet *w)
{
    const struct rpc_wallet_service *s = call->env->wallets;
    char why[160];
    wallets_wake(s->wallets);
    s->settle(s->ctx); /* what was in the way may be so no more */
    while (is_scanning(w)) {
        if (rpc_given_up(call))
            return rpc_fail(call, RPC_MISC_ERROR, "the rescan goes on without a reply");
        if (s->trouble(s->ctx, wallet_name(w), why, sizeof why))
            return rpc_fail(call, RPC_WALLET_ERROR, "the rescan cannot go on: %s", why);
        if (!is_loaded(s->wallets, w))
            return rpc_fail(call, RPC_WALLET_ERROR,
                            "the wallet was unloaded: the rescan goes on when it is loaded");
        nanosleep(&(struct timespec){ .tv_nsec = RESCAN_LOOK_NS }, NULL);
    }
    return rpc_done();
}

static struct rpc_result broken_off(struct rpc_call *call, struct wallet *w)
{
    char text[WALLET_GAP_TEXT_MAX] = "blocks that it needed were pruned";
    wallet_gap_text(w, text);
    return rpc_fail(call, RPC_WALLET_ERROR, "the rescan was broken off: %s", text);
}

/* How many were broken off before it began. */
static enum err begin_rescan(struct wallet *w, int32_t height, int32_t last, uint64_t *broken,
                             struct error *e)
{
    wallet_lock(w);
    *broken = history_broken(wallet_history(w));
    const enum err rc = wallet_rescan(w, height, last, e);
    wallet_unlock(w);
    return rc;
}

static bool was_broken_off(struct wallet *w, uint64_t before)
{
    wallet_lock(w);
    const bool yes = history_broken(wallet_history(w)) != before;
    wallet_unlock(w);
    return yes;
}

struct rpc_result rpc_wallet_rescan(struct rpc_call *call, struct wallet *w, int32_t height,
                                    int32_t last)
{
    const struct rpc_wallet_service *s = call->env->wallets;
    const struct header_node *gone =
        s->pruned ? first_pruned(call->env->chain, height, last) : NULL;
    struct error e = { .code = OK };
    uint64_t broken;
    if (gone)
        return rpc_fail(call, RPC_MISC_ERROR,
                        "Can't rescan beyond pruned data: block %d is not stored any more",
                        gone->height);
    if (begin_rescan(w, height, last, &broken, &e))
        return rpc_wallet_fail(call, &e);
    const struct rpc_result r = wait_for_scan(call, w);
    return r.end == RPC_DONE && was_broken_off(w, broken) ? broken_off(call, w) : r;
}

struct rpc_result rpc_wallet_await_rescan(struct rpc_call *call, struct wallet *w, int32_t from)
{
    int32_t gap, gap_last;
    const struct rpc_result r = wait_for_scan(call, w);
    wallet_lock(w);
    const bool lacks = history_gap(wallet_history(w), &gap, &gap_last) && gap_last >= from;
    wallet_unlock(w);
    return r.end == RPC_DONE && lacks ? broken_off(call, w) : r;
}

bool rpc_wallet_may_rescan(struct rpc_call *call, bool wanted)
{
    if (!wanted || !call->env->wallets->pruned)
        return true;
    rpc_fail(call, RPC_WALLET_ERROR, "Rescan is disabled in pruned mode");
    return false;
}

struct rpc_result rpc_wallet_imported(struct rpc_call *call, struct wallet *w, bool rescan)
{
    if (rescan) {
        const struct rpc_result r = rpc_wallet_await_rescan(call, w, 0);
        if (r.end != RPC_DONE)
            return r;
    }
    jw_null(call->out);
    return rpc_done();
}
