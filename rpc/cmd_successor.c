/* setsuccessor: an identity of ours is followed by another one (spec channels 2.7). */
#include <config.h>

#include "rpc/commands.h"

#include "base/intmath.h"
#include "p2p/successor_part.h"
#include "rpc/channel_call.h"

static void put_statement(struct json_writer *w, const struct dchan_successor *s)
{
    struct buf b;
    buf_init(&b);
    dchan_successor_write(&b, s);
    jw_object_open(w);
    jw_put_hex(w, "of", s->old_key, sizeof s->old_key);
    jw_put_hex(w, "key", s->new_key, sizeof s->new_key);
    jw_put_u64(w, "seq", s->seq);
    jw_put_u64(w, "issued", s->issued);
    jw_put_u64(w, "ends", (uint64_t)s->issued + SUCCESSOR_SENT_S);
    jw_put_hex(w, "statement", b.data, b.len);
    jw_object_close(w);
    buf_clear(&b);
}

static struct rpc_result cmd_setsuccessor(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct successor_making m = { .identity = rpc_text(call, 0, ""),
                                  .successor = rpc_text(call, 1, "") };
    if (!c || !rpc_channel_ask(call, c, successor_part_make, &m.r))
        return rpc_failed(call);
    put_statement(call->out, &m.made);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "setsuccessor",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_setsuccessor,
      .help = "Tells all contacts, in the sessions of either identity, that one is followed by the "
              "other: they know us by the key of the successor when they have taken it. That "
              "cannot be taken back. From then on the old identity serves contacts alone that have "
              "not moved yet, until 180 days are over: a contact that comes to the successor is "
              "served there from then on. It takes no new contact and opens no payment channel, is "
              "no default, and when it was announced its last record says that it has left. Keep "
              "both identities for so long.",
      .result = "{of, key, seq, issued, ends:unix time until which the old one serves, "
                "statement:\"hex\"}",
      .example = "alice alice2",
      .params = { { "identity", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The one that ends" },
                  { "successor", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "The one that follows, registered already" } } },
};
const struct rpc_group rpc_successor_commands = { rows, COUNT_OF(rows) };
