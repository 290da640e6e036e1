/* sendfile, listtransfers, acceptfile, cancelfile: files over direct channels. */
#include "rpc/commands.h"

#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/transfers.h"
#include "rpc/channel_call.h"
#include "rpc/params.h"

#define ID_SIZE 32

static struct transfers *transfers_of(struct rpc_call *call)
{
    return rpc_channels(call) ? call->env->transfers : NULL;
}

/* --- sendfile ------------------------------------------------------------------------------- */

static struct rpc_result cmd_sendfile(struct rpc_call *call)
{
    struct transfers *t = transfers_of(call);
    uint8_t id[ID_SIZE];
    uint64_t price = 0;
    struct error e = { .code = OK };
    if (!t)
        return rpc_failed(call);
    if (!rpc_up_to(call, 2, BILL_PRICE_MAX, &price))
        return rpc_failed(call);
    if (transfers_send(t, rpc_text(call, 0, ""), rpc_text(call, 1, ""), price, id, &e))
        return rpc_channel_fail(call, &e);
    jw_hex(call->out, id, sizeof id);
    return rpc_done();
}

/* --- listtransfers -------------------------------------------------------------------------- */

static const char *source_state(const struct transfer_source_info *s)
{
    if (s->banned)
        return "banned";
    if (!s->accepted)
        return "waiting";
    return s->up ? "up" : "away";
}

static void put_source(struct json_writer *w, const struct transfer_source_info *s)
{
    jw_object_open(w);
    jw_key(w, "contact");
    if (s->name[0])
        jw_text(w, s->name);
    else
        jw_null(w);
    jw_put_hex(w, "key", s->key, sizeof s->key);
    jw_put_text(w, "state", source_state(s));
    jw_put_u64(w, "bad", s->bad);
    jw_put_u64(w, "streams", s->streams);
    jw_put_u64(w, "bytes", s->bytes);
    jw_put_u64(w, "rate", s->rate);
    if (s->price) {
        jw_put_u64(w, "price_per_mib", s->price);
        jw_put_u64(w, "cost", s->cost);
        jw_put_u64(w, "charged", s->charged);
        jw_put_u64(w, "paid", s->paid);
    }
    jw_object_close(w);
}

static void put_transfer(struct json_writer *w, const struct transfer_info *i)
{
    jw_object_open(w);
    jw_put_hex(w, "id", i->id, sizeof i->id);
    jw_put_text(w, "direction", i->sending ? "out" : "in");
    jw_put_text(w, "state", transfer_state_name(i));
    jw_put_text(w, "name", i->name);
    jw_put_u64(w, "size", i->size);
    jw_put_u64(w, "done", i->done);
    jw_put_u64(w, "transferred", i->transferred);
    jw_put_u64(w, "rate", i->rate);
    if (i->rate && i->state == TRANSFER_RUNNING)
        jw_put_u64(w, "eta", (i->size - i->done) / i->rate);
    jw_put_u64(w, "created", i->created_ms / 1000);
    if (i->path)
        jw_put_text(w, "path", i->path);
    if (i->content_type[0])
        jw_put_text(w, "content_type", i->content_type);
    if (i->note[0])
        jw_put_text(w, "note", i->note);
    if (i->error[0])
        jw_put_text(w, "error", i->error);
    if (i->max) {
        jw_put_u64(w, "max_satoshis", i->max);
        jw_put_u64(w, "spent", i->spent);
    }
    jw_key(w, "sources");
    jw_array_open(w);
    for (size_t k = 0; k < i->n_sources; k++)
        put_source(w, &i->sources[k]);
    jw_array_close(w);
    jw_object_close(w);
}

static struct rpc_result cmd_listtransfers(struct rpc_call *call)
{
    struct transfers *t = transfers_of(call);
    struct transfer_list l;
    if (!t)
        return rpc_failed(call);
    if (transfers_list(t, &l))
        return rpc_fail(call, RPC_MISC_ERROR, "the node stops");
    jw_array_open(call->out);
    for (size_t i = 0; i < l.n; i++)
        put_transfer(call->out, &l.v[i]);
    jw_array_close(call->out);
    transfer_list_clear(&l);
    return rpc_done();
}

/* --- acceptfile, cancelfile ----------------------------------------------------------------- */

static struct rpc_result cmd_acceptfile(struct rpc_call *call)
{
    struct transfers *t = transfers_of(call);
    uint8_t id[ID_SIZE];
    uint64_t max = 0;
    struct error e = { .code = OK };
    if (!t || !rpc_bytes32(call, 0, "the id of a file", id))
        return rpc_failed(call);
    if (!rpc_up_to(call, 2, BILL_PRICE_MAX, &max))
        return rpc_failed(call);
    const char *directory = rpc_text(call, 1, "");
    if (transfers_accept(t, id, *directory ? directory : NULL, max, &e))
        return rpc_channel_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_cancelfile(struct rpc_call *call)
{
    struct transfers *t = transfers_of(call);
    uint8_t id[ID_SIZE];
    struct error e = { .code = OK };
    if (!t || !rpc_bytes32(call, 0, "the id of a file", id))
        return rpc_failed(call);
    if (transfers_cancel(t, id, &e))
        return rpc_channel_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

#define FILE_ID                                                        \
    {                                                                  \
        "id", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "Of listtransfers"  \
    }

static const struct rpc_command rows[] = {
    { .name = "sendfile",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_sendfile,
      .help = "Offers a file to a contact. Returns when the file has been read through once and "
              "the offer is stored; the contact hears of it now or when it is there, decides, and "
              "fetches it, over as many sessions as it takes. The file must stay where it is and "
              "as it is until then. With a price the contact needs a payment channel to us that "
              "is open, and pays for each chunk when it has it: none is sent before the one before "
              "it is paid.",
      .result = "The id of the file; the same content has the same id everywhere",
      .example = "bob /home/me/photo.jpg 100",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "path", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Of the file on the node's machine, from the root" },
                  { "price_per_mib", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Satoshis for 1,048,576 bytes (default: 0)" } } },
    { .name = "listtransfers",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_listtransfers,
      .help = "Files that were offered to contacts, and by them. state: waiting (for whom it is "
              "offered to), running, done, refused, cancelled, changed, failed; of one that runs "
              "also away (sending: the contact is), queued, no source, no space and disk error, "
              "which go on by themselves. Names are what the sender says.",
      .result = "[{id, direction, state, name, size, done, transferred, rate, eta, created, path, "
                "content_type, note, error, max_satoshis, spent, sources: [{contact, key, state, "
                "bad, streams, bytes, rate; of a file that costs something price_per_mib, cost:of "
                "what is missing, charged, paid}]}], oldest first; rates in bytes a second, eta in "
                "seconds, money in satoshis",
      .example = "" },
    { .name = "acceptfile",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_acceptfile,
      .help = "Takes a file that was offered, from all who offer it. When it is there it lies in "
              "the node's directory under its id, or is saved under a safe form of its name "
              "where a directory was given; also for one that is there already. Nothing is "
              "overwritten: a number is added. One that costs something is taken when max_satoshis "
              "are enough for it (cost of listtransfers), and paid for as it comes; once more with "
              "a higher limit where that was spent.",
      .result = "null",
      .example = "e65e2ad61c94df60410ffa6839fa528c72673badd8726ae45640510eb628dd00 /home/me/files",
      .params = { FILE_ID,
                  { "directory", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "On the node's machine, from the root; empty: none" },
                  { "max_satoshis", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "The most that is paid for it (default: 0)" } } },
    { .name = "cancelfile",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_cancelfile,
      .help = "Refuses an offer, withdraws one of ours, ends a transfer or forgets one that is "
              "over. What has arrived and was not saved is removed.",
      .result = "null",
      .example = "e65e2ad61c94df60410ffa6839fa528c72673badd8726ae45640510eb628dd00",
      .params = { FILE_ID } },
};
const struct rpc_group rpc_file_commands = { rows, COUNT_OF(rows) };
