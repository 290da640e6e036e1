/* What a wallet is brought back from: its phrase, backups of its keys, keys looked for ahead. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/wallet_call.h"
#include "wallet/backup.h"
#include "wallet/mnemonic.h"

#define REFILL_DEFAULT 100
#define REFILL_MAX 10000

/* --- backups -------------------------------------------------------------------------------- */

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static struct rpc_result backup(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    if (!*rpc_text(call, 0, ""))
        return rpc_fail(call, RPC_INVALID_PARAMETER, "destination can not be empty");
    char *destination = rpc_wallet_path(call, 0);
    char *path = is_directory(destination) ? path_join(destination, wallet_name(w))
                                           : xstrdup(destination);
    const enum err rc = wallet_backup(w, path, NULL, &e);
    free(destination);
    free(path);
    if (rc)
        return rpc_fail(call, RPC_WALLET_ERROR, "Error: Wallet backup failed! %s", e.text);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_backupwallet(struct rpc_call *call)
{
    return rpc_with_wallet(call, backup);
}

static struct rpc_result restore(struct rpc_call *call, const struct rpc_wallet_service *s,
                                 const char *path)
{
    const struct wallet_new how = { .backup = path };
    struct error e = { .code = OK };
    struct wallet *w = NULL;
    if (wallets_create(s->wallets, rpc_text(call, 0, ""), &how, &w, &e))
        return rpc_fail(call, RPC_WALLET_ERROR, "Wallet restoration failed: %s", e.text);
    jw_object_open(call->out);
    jw_put_text(call->out, "name", wallet_name(w));
    jw_put_text(call->out, "warning", "");
    jw_object_close(call->out);
    wallet_unref(w);
    return rpc_done();
}

static struct rpc_result cmd_restorewallet(struct rpc_call *call)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(call);
    struct rpc_result r;
    if (!s)
        return rpc_failed(call);
    char *path = rpc_wallet_path(call, 1);
    if (path_exists(path))
        r = restore(call, s, path);
    else
        r = rpc_fail(call, RPC_INVALID_PARAMETER, "Backup file does not exist");
    free(path);
    return r;
}

/* --- the phrase ----------------------------------------------------------------------------- */

static struct rpc_result show_phrase(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    char text[MNEMONIC_TEXT_MAX];
    if (wallet_phrase(w, text, sizeof text, &e))
        return rpc_wallet_fail(call, &e);
    jw_text(call->out, text);
    secure_wipe(text, sizeof text);
    return rpc_done();
}

static struct rpc_result cmd_getwalletphrase(struct rpc_call *call)
{
    return rpc_with_wallet(call, show_phrase);
}

/* --- keys ahead ----------------------------------------------------------------------------- */

static struct rpc_result refill(struct rpc_call *call, struct wallet *w)
{
    const int64_t n = rpc_int(call, 0, REFILL_DEFAULT);
    struct error e = { .code = OK };
    if (n < 0 || n > REFILL_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Invalid parameter, expected valid size: 0 to %d", REFILL_MAX);
    if (wallet_raise_gap_limit(w, (uint32_t)n, &e))
        return rpc_wallet_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_keypoolrefill(struct rpc_call *call)
{
    return rpc_with_wallet(call, refill);
}

static const struct rpc_command rows[] = {
    { .name = "backupwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_backupwallet,
      .help = "Writes the keys and labels to a file and reads it back. A file there is replaced "
              "when it is an older backup of this wallet, and kept when it is anything else. A "
              "relative path begins at the directory of the network.",
      .result = "null",
      .example = "/mnt/stick/savings.backup",
      .params = { { "destination", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "File, or directory for a file with the name of the wallet" } } },
    { .name = "restorewallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_restorewallet,
      .help = "Makes a wallet of a backup and loads it; its coins are looked for in the blocks.",
      .result = "{name, warning}",
      .example = "savings /mnt/stick/savings.backup",
      .params = { { "wallet_name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Letters, digits, - _ and ." },
                  { "backup_file", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The backup" } } },
    { .name = "getwalletphrase",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_getwalletphrase,
      .help = "The words that stand for all keys of the wallet but imported ones. Who has them has "
              "its coins; createwallet makes a wallet of them again.",
      .result = "\"phrase\"",
      .example = "" },
    { .name = "keypoolrefill",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_keypoolrefill,
      .help = "Looks for payments to more unused keys, until the wallet is unloaded. What they "
              "received before is found by rescanblockchain.",
      .result = "null",
      .example = "1000",
      .params = { { "newsize", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Unused keys of each kind (default 100)" } } },
};
const struct rpc_group rpc_wallet_files_commands = { rows, COUNT_OF(rows) };
