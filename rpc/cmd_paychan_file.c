/* exportchannels, importchannels, listkeptchannels: what lost payment channels are restored from,
 * and what is kept of those of contacts. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/channel_call.h"
#include "rpc/pay_call.h"
#include "rpc/wallet_call.h"
#include "wallet/paychan_file.h"

static const uint8_t *magic(const struct rpc_call *call)
{
    return chain_get_params(call->env->chain)->disk_magic;
}

/* --- exportchannels ------------------------------------------------------------------------- */

/* What is there goes only when all of it is in the new one (spec attacks I9). */
static enum err may_replace(const struct rpc_call *call, const char *path,
                            const struct paychan_file *now, struct error *e)
{
    struct paychan_file old;
    size_t missing = 0;
    enum err rc = paychan_file_read(&old, path, magic(call), e);
    if (rc == ERR_NOTFOUND)
        return OK;
    if (rc) {
        e->code = ERR_EXISTS;
        return error_prefix(e, ERR_EXISTS, "the file that is there is kept (replace true writes "
                            "over it)");
    }
    for (size_t i = 0; i < old.n; i++)
        missing += !paychan_file_has(now, old.v[i].id);
    paychan_file_clear(&old);
    if (!missing)
        return OK;
    return error_set(e, ERR_EXISTS, "%zu channels of the file are not known here any more, so it "
                     "is kept: importchannels brings them back, replace true writes over it",
                     missing);
}

static enum err collect(const struct rpc_pay_service *s, struct paychan_file *now,
                        struct buf *entries, struct error *e)
{
    struct buf all;
    struct reader r;
    enum err rc = s->export_all(s->ctx, entries, e);
    if (rc)
        return rc;
    buf_init(&all);
    buf_put_le32(&all, (uint32_t)(entries->len / PAYCHAN_SAVED_SIZE));
    buf_put(&all, entries->data, entries->len);
    reader_init(&r, all.data, all.len);
    rc = paychan_get_saved(&r, &now->v, &now->n, e);
    buf_clear(&all);
    return rc;
}

static struct rpc_result cmd_exportchannels(struct rpc_call *call)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    struct error e = { .code = OK };
    struct paychan_file now = { .v = NULL };
    struct buf entries;
    if (!s)
        return rpc_failed(call);
    buf_init(&entries);
    char *path = rpc_wallet_path(call, 0);
    enum err rc = collect(s, &now, &entries, &e);
    if (!rc && !rpc_bool(call, 1, false))
        rc = may_replace(call, path, &now, &e);
    if (!rc)
        rc = paychan_file_write(&now, path, magic(call), &e);
    free(path);
    paychan_file_clear(&now);
    buf_clear(&entries);
    if (rc)
        return rpc_channel_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

/* --- importchannels ------------------------------------------------------------------------- */

/* One that cannot be taken back keeps none of the others. */
static void restore(struct json_writer *w, const struct rpc_pay_service *s,
                    const struct paychan_saved *one)
{
    struct error e = { .code = OK };
    const enum err rc = s->restore(s->ctx, one, &e);
    jw_object_open(w);
    jw_put_hex(w, "id", one->id, sizeof one->id);
    jw_put_text(w, "role", one->role == PAYCHAN_PAYER ? "payer" : "payee");
    jw_put_bool(w, "restored", rc == OK);
    if (rc)
        jw_put_text(w, "error", e.text);
    jw_object_close(w);
}

static struct rpc_result cmd_importchannels(struct rpc_call *call)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    struct error e = { .code = OK };
    struct paychan_file saved;
    if (!s)
        return rpc_failed(call);
    char *path = rpc_wallet_path(call, 0);
    const enum err rc = paychan_file_read(&saved, path, magic(call), &e);
    free(path);
    if (rc)
        return rpc_channel_fail(call, &e);
    jw_array_open(call->out);
    for (size_t i = 0; i < saved.n; i++)
        restore(call->out, s, &saved.v[i]);
    jw_array_close(call->out);
    paychan_file_clear(&saved);
    return rpc_done();
}

/* --- listkeptchannels ----------------------------------------------------------------------- */

static void put_kept(struct json_writer *w, const struct pay_kept *k)
{
    jw_object_open(w);
    jw_put_hex(w, "id", k->id, sizeof k->id);
    if (k->contact[0])
        jw_put_text(w, "contact", k->contact);
    jw_put_text(w, "role", k->payer ? "payer" : "payee");
    jw_put_u64(w, "n", k->n);
    jw_put_u64(w, "paid", k->paid);
    jw_put_u64(w, "expiry", k->expiry);
    jw_put_hash(w, "txid", k->funding.txid.b);
    jw_put_u64(w, "vout", k->funding.index);
    jw_put_bool(w, "closing", k->closing);
    if (k->spend_height)
        jw_put_u64(w, "spend_height", k->spend_height);
    jw_object_close(w);
}

static struct rpc_result cmd_listkeptchannels(struct rpc_call *call)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    struct error e = { .code = OK };
    struct pay_kept_list l;
    if (!s)
        return rpc_failed(call);
    if (s->kept(s->ctx, &l, &e))
        return rpc_channel_fail(call, &e);
    jw_array_open(call->out);
    for (size_t i = 0; i < l.n; i++)
        put_kept(call->out, &l.v[i]);
    jw_array_close(call->out);
    free(l.v);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "exportchannels",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_exportchannels,
      .help = "Writes what identifies each funded payment channel into a file (it holds no "
              "secrets): with it and the phrase of the wallet importchannels brings the channels "
              "back. A file that is there is replaced when all its channels are in the new one.",
      .result = "null",
      .example = "/home/me/channels.dat",
      .params = { { "file", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "A relative path begins in the node's directory" },
                  { "replace", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Write over a file with channels that are not known here any more, or "
                    "another file; default false" } } },
    { .name = "importchannels",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_importchannels,
      .help = "Brings back payment channels that exportchannels wrote, by the keys of the loaded "
              "wallets, where the funding output is there and unspent. As payer such a channel "
              "goes on when the payee says in a session what was paid, else everything comes back "
              "after the expiry; as payee the payer has to send its last payment again. Of a "
              "channel that was settled since, the wallet learns the key that was paid out to.",
      .result = "[{id, role, restored, error}]; error: why one was not restored",
      .example = "/home/me/channels.dat",
      .params = { { "file", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "A relative path begins in the node's directory" } } },
    { .name = "listkeptchannels",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_listkeptchannels,
      .help = "Payment channels of contacts that chose this node as their helper "
              "(-paychannelhelper): their newest state is kept here, and those to them are closed "
              "when the expiry is near, or something else spends them.",
      .result = "[{id, contact, role (of the contact), n, paid, expiry, txid, vout, closing (the "
                "close was sent), spend_height}]",
      .example = "" },
};
const struct rpc_group rpc_paychan_file_commands = { rows, COUNT_OF(rows) };
