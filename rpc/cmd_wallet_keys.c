/* Addresses and private keys of a wallet, and the passphrase over them. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/keys.h"
#include "rpc/wallet_call.h"

#define UNLOCK_SECONDS_MAX 100000000

/* --- addresses ------------------------------------------------------------------------------ */

static struct rpc_result new_address(struct rpc_call *call, enum keystore_branch branch,
                                     const char *label)
{
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    struct wallet_key k;
    if (!w)
        return rpc_failed(call);
    const enum err rc = wallet_new_key(w, branch, span_of(label, strlen(label)), &k, &e);
    wallet_unref(w);
    if (rc)
        return rpc_wallet_fail(call, &e);
    rpc_wallet_write_address(call, &k);
    return rpc_done();
}

static struct rpc_result cmd_getnewaddress(struct rpc_call *call)
{
    const char *label = rpc_text(call, 0, "");
    if (strcmp(label, "*") == 0)
        return rpc_fail(call, RPC_WALLET_ACCOUNT, "Invalid account name");
    return new_address(call, KEYSTORE_RECEIVE, label);
}

static struct rpc_result cmd_getrawchangeaddress(struct rpc_call *call)
{
    return new_address(call, KEYSTORE_CHANGE, "");
}

/* --- private keys --------------------------------------------------------------------------- */

static struct rpc_result dump(struct rpc_call *call, struct wallet *w, struct span script)
{
    struct wallet_key key;
    struct private_key k;
    struct error e = { .code = OK };
    char text[WIF_TEXT_MAX];
    if (!wallet_find_key(w, script, &key) || !key.spendable)
        return rpc_fail(call, RPC_WALLET_ERROR, "Private key for address %.100s is not known",
                        rpc_text(call, 0, ""));
    if (key.of_payment)
        return rpc_fail(call, RPC_WALLET_ERROR,
                        "The key came with a payment: from its secret the sender could work out "
                        "that of the identity key");
    if (wallet_get_secret(w, &key, k.secret, &e)) {
        private_key_wipe(&k);
        return rpc_wallet_fail(call, &e);
    }
    k.compressed = key.key_len == EC_PUBKEY_SIZE;
    jw_text(call->out, wif_encode(text, chain_get_params(call->env->chain)->secret_version, &k));
    private_key_wipe(&k);
    secure_wipe(text, sizeof text);
    return rpc_done();
}

static struct rpc_result cmd_dumpprivkey(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct rpc_result r;
    struct buf script;
    if (!w)
        return rpc_failed(call);
    buf_init(&script);
    if (rpc_wallet_key_address(call, rpc_text(call, 0, ""), &script))
        r = dump(call, w, span_of(script.data, script.len));
    else
        r = rpc_failed(call);
    buf_clear(&script);
    wallet_unref(w);
    return r;
}

static struct rpc_result import_key(struct rpc_call *call, struct wallet *w,
                                    const struct private_key *k)
{
    const char *label = rpc_text(call, 1, "");
    const bool rescan = rpc_bool(call, 2, true);
    struct error e = { .code = OK };
    if (!rpc_wallet_may_rescan(call, rescan))
        return rpc_failed(call);
    const enum err rc = wallet_import_secret(w, k->secret, k->compressed,
                                             span_of(label, strlen(label)),
                                             rescan ? 0 : WALLET_NO_SCAN, &e);
    if (rc && rc != ERR_EXISTS)
        return rpc_wallet_fail(call, &e);
    return rpc_wallet_imported(call, w, rescan);
}

static struct rpc_result cmd_importprivkey(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct private_key k;
    struct rpc_result r;
    if (!w)
        return rpc_failed(call);
    if (rpc_private_key(call, rpc_text(call, 0, ""), &k)) {
        r = import_key(call, w, &k);
        private_key_wipe(&k);
    } else {
        r = rpc_failed(call);
    }
    wallet_unref(w);
    return r;
}

/* --- passphrase ----------------------------------------------------------------------------- */

static struct span passphrase_of(const struct rpc_call *call)
{
    return span_of(rpc_text(call, 0, ""), strlen(rpc_text(call, 0, "")));
}

static enum keystore_state state_of(struct wallet *w)
{
    wallet_lock(w);
    const enum keystore_state state = keystore_state(wallet_keystore(w), NULL);
    wallet_unlock(w);
    return state;
}

/* False: call has failed. */
static bool is_encrypted(struct rpc_call *call, struct wallet *w)
{
    if (state_of(w) != KEYSTORE_PLAIN)
        return true;
    rpc_fail(call, RPC_WALLET_ENCRYPTION,
             "Error: running with an unencrypted wallet, but %s was called.", call->command->name);
    return false;
}

static struct rpc_result encrypt(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    if (!passphrase_of(call).len)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "passphrase can not be empty");
    wallet_lock(w);
    const enum err rc = keystore_encrypt(wallet_keystore(w), passphrase_of(call), &e);
    wallet_unlock(w);
    if (rc == ERR_EXISTS)
        return rpc_fail(call, RPC_WALLET_ENCRYPTION,
                        "Error: running with an encrypted wallet, but encryptwallet was called.");
    if (rc)
        return rpc_wallet_fail(call, &e);
    rpc_wallet_keys_locked(call, wallet_name(w));
    jw_text(call->out, "wallet encrypted and locked. Backups made before hold its keys in the "
                       "open: make a new one.");
    return rpc_done();
}

static struct rpc_result answer_passphrase(struct rpc_call *call, enum err rc,
                                           const struct error *e)
{
    if (rc == ERR_AUTH)
        return rpc_fail(call, RPC_WALLET_PASSPHRASE,
                        "Error: The wallet passphrase entered was incorrect.");
    if (rc)
        return rpc_wallet_fail(call, e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result unlock(struct rpc_call *call, struct wallet *w)
{
    const int64_t seconds = rpc_int(call, 1, 0);
    struct error e = { .code = OK };
    if (!is_encrypted(call, w))
        return rpc_failed(call);
    if (!passphrase_of(call).len)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "passphrase can not be empty");
    if (seconds < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Timeout cannot be negative.");
    wallet_lock(w);
    const int64_t until = wallet_params(w)->now() + MIN_OF(seconds, UNLOCK_SECONDS_MAX);
    const enum err rc = keystore_unlock(wallet_keystore(w), passphrase_of(call), until, &e);
    wallet_unlock(w);
    rpc_wallet_keys_changed(call);
    return answer_passphrase(call, rc, &e);
}

static struct rpc_result change(struct rpc_call *call, struct wallet *w)
{
    const char *text = rpc_text(call, 1, "");
    const struct span passphrase = span_of(text, strlen(text));
    struct error e = { .code = OK };
    if (!is_encrypted(call, w))
        return rpc_failed(call);
    if (!passphrase_of(call).len || !passphrase.len)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "passphrase can not be empty");
    wallet_lock(w);
    const enum err rc = keystore_change_passphrase(wallet_keystore(w), passphrase_of(call),
                                                   passphrase, &e);
    wallet_unlock(w);
    return answer_passphrase(call, rc, &e);
}

static struct rpc_result lock(struct rpc_call *call, struct wallet *w)
{
    if (!is_encrypted(call, w))
        return rpc_failed(call);
    wallet_lock(w);
    keystore_lock(wallet_keystore(w));
    wallet_unlock(w);
    rpc_wallet_keys_locked(call, wallet_name(w));
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_encryptwallet(struct rpc_call *call)
{
    return rpc_with_wallet(call, encrypt);
}

static struct rpc_result cmd_walletpassphrase(struct rpc_call *call)
{
    return rpc_with_wallet(call, unlock);
}

static struct rpc_result cmd_walletpassphrasechange(struct rpc_call *call)
{
    return rpc_with_wallet(call, change);
}

static struct rpc_result cmd_walletlock(struct rpc_call *call)
{
    return rpc_with_wallet(call, lock);
}

static const struct rpc_command rows[] = {
    { .name = "getnewaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getnewaddress,
      .help = "An address that was never given out before.",
      .result = "\"address\"",
      .example = "\"from Alice\"",
      .params = { { "account|label", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Label of the address" } } },
    { .name = "getrawchangeaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getrawchangeaddress,
      .help = "The same for change of transactions that are made elsewhere.",
      .result = "\"address\"",
      .example = "" },
    { .name = "dumpprivkey",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_dumpprivkey,
      .help = "Private key of an address (WIF).",
      .result = "\"key\"",
      .example = "\"address\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "An address of the wallet" } } },
    { .name = "importprivkey",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .flags = RPC_SECRET,
      .fn = cmd_importprivkey,
      .help = "Adds a private key. The rescan goes through all blocks and may take long.",
      .result = "null",
      .example = "\"privkey\" \"label\" false",
      .params = { { "privkey", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The key (WIF)" },
                  { "label", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Label of its address" },
                  { "rescan", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Look for its coins in the blocks (default true)" } } },
    { .name = "encryptwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_encryptwallet,
      .help = "Encrypts the private keys with a passphrase and locks them. The node goes on.",
      .result = "\"text\"",
      .example = "\"my pass phrase\"",
      .params = { { "passphrase", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The passphrase" } } },
    { .name = "walletpassphrase",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_walletpassphrase,
      .help = "Unlocks the private keys for a time. Those of identities stay in memory for direct "
              "channels beyond it, until walletlock.",
      .result = "null",
      .example = "\"my pass phrase\" 60",
      .params = { { "passphrase", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The passphrase" },
                  { "timeout", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON,
                    "Seconds, 100000000 at most" } } },
    { .name = "walletpassphrasechange",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_walletpassphrasechange,
      .help = "Another passphrase over the same keys. Copies and backups made before open with the "
              "old one.",
      .result = "null",
      .example = "\"my pass phrase\" \"a better one\"",
      .params = { { "oldpassphrase", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The one of now" },
                  { "newpassphrase", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The new one" } } },
    { .name = "walletlock",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_walletlock,
      .help = "Locks the private keys now. Sessions of the wallet's identities end.",
      .result = "null",
      .example = "" },
};
const struct rpc_group rpc_wallet_keys_commands = { rows, COUNT_OF(rows) };
