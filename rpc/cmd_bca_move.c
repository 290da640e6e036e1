/* bcaexport, bcaimport: an identity goes to another wallet. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "rpc/identity_form.h"
#include "rpc/own_record.h"
#include "wallet/identity_move.h"

static struct span take_passphrase(struct rpc_call *call)
{
    const char *text = rpc_text(call, 2, "");
    return span_of(text, strlen(text));
}

/* --- bcaexport ------------------------------------------------------------------------------ */

/* One that was cut short has its proof. False: call has failed. */
static bool load(struct identity_forming *g, const char *name)
{
    struct error e = { .code = OK };
    struct identity id;
    bool found = false;
    identity_init(&id);
    wallet_lock(g->w);
    const enum err rc = identity_load(wallet_keystore(g->w), name, &id, &found, &e);
    wallet_unlock(g->w);
    if (rc)
        rpc_wallet_fail(g->call, &e);
    if (rc || !found || id.use != IDENTITY_MOVING) {
        identity_clear(&id);
        return !rc && rpc_identity_ready(g, name);
    }
    g->id = id;
    return true;
}

static struct rpc_result export_to(struct identity_forming *g, const char *path)
{
    struct error e = { .code = OK };
    struct json_writer *w = g->call->out;
    struct identity_export how = { .path = path, .passphrase = take_passphrase(g->call),
                                   .network = g->view.network };
    if (identity_export(g->w, &g->id, &how, &e))
        return how.no_passphrase ? rpc_fail(g->call, RPC_INVALID_PARAMETER, "%s", e.text)
                                 : rpc_wallet_fail(g->call, &e);
    own_record_moved(g->call->env, g->id.public_key);
    jw_object_open(w);
    jw_put_text(w, "filename", path);
    jw_put_text(w, "state", rpc_identity_state_name(STANDS_MOVED));
    jw_put_u64(w, "unused", how.unused);
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_bcaexport(struct rpc_call *call)
{
    struct identity_forming g;
    const char *name = rpc_identity_name(call, 0);
    if (!name)
        return rpc_failed(call);
    rpc_identity_forming_init(&g, call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    char *path = rpc_wallet_path(call, 1);
    const struct rpc_result result = load(&g, name) ? export_to(&g, path) : rpc_failed(call);
    free(path);
    rpc_identity_forming_clear(&g);
    return result;
}

/* --- bcaimport ------------------------------------------------------------------------------ */

/* An error that is the file's. */
static struct rpc_result fail_file(struct rpc_call *call, const struct error *e)
{
    if (e->code == ERR_AUTH)
        return rpc_fail(call, RPC_WALLET_PASSPHRASE, "%s", e->text);
    return rpc_fail(call, e->code == ERR_NOTFOUND ? RPC_INVALID_PARAMETER : RPC_WALLET_ERROR, "%s",
                    e->text);
}

static struct rpc_result import_to(struct rpc_call *call, struct wallet *wallet,
                                   struct identity_import *how)
{
    struct error e = { .code = OK };
    struct json_writer *w = call->out;
    struct standing s;
    enum err rc = identity_import(wallet, how, &e);
    if (rc)
        return how->fault == IMPORT_FAULT_FILE ? fail_file(call, &e) : rpc_wallet_fail(call, &e);
    wallet_lock(wallet);
    rc = rpc_identity_standing(call, wallet, &how->id, &s, &e);
    wallet_unlock(wallet);
    if (rc)
        return rpc_wallet_fail(call, &e);
    jw_object_open(w);
    jw_put_text(w, "name", how->id.name);
    jw_put_text(w, "state", rpc_identity_state_name(s.state));
    jw_put_u64(w, "unused", identity_unused(&how->id));
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result import(struct rpc_call *call, struct wallet *w)
{
    struct bca_view view;
    bca_view_init(&view, call->env->chain);
    struct identity_import how = { .network = view.network, .passphrase = take_passphrase(call) };
    if (rpc_has(call, 1) && !(how.name = rpc_identity_name(call, 1)))
        return rpc_failed(call);
    char *path = rpc_wallet_path(call, 0);
    how.path = path;
    const struct rpc_result result = import_to(call, w, &how);
    identity_clear(&how.id);
    free(path);
    return result;
}

static struct rpc_result cmd_bcaimport(struct rpc_call *call)
{
    return rpc_with_wallet(call, import);
}

#define PASSPHRASE(text) { "passphrase", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, text }

static const struct rpc_command rows[] = {
    { .name = "bcaexport",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_bcaexport,
      .help = "Moves an identity to another wallet: all that is needed to go on with it goes into "
              "a new file, and this wallet forms no more addresses of it. Import the file once, "
              "and destroy it. After a crash or an error call it again.",
      .result = "{filename, state, unused}",
      .example = "alice alice.bca \"a passphrase\"",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Of the identity" },
                  { "filename", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "A new file; a relative path begins at the directory of the network" },
                  PASSPHRASE("Of the file (default: it is not sealed). Required when the wallet is "
                             "encrypted") } },
    { .name = "bcaimport",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_bcaimport,
      .help = "Takes an identity out of a file of bcaexport. This wallet goes on with the next "
              "modifier, and watches the registration.",
      .result = "{name, state, unused}",
      .example = "alice.bca alice \"a passphrase\"",
      .params = { { "filename", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The file" },
                  { "name", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "In this wallet (default: the one it had)" },
                  PASSPHRASE("Of the file (default: it is not sealed)") } },
};
const struct rpc_group rpc_bca_move_commands = { rows, COUNT_OF(rows) };
