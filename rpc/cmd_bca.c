/*
 * Bitcoin-Certified Addresses (spec bca): bcaverify. The members of its answer have the names that
 * bsvpeer-bca gives them.
 */
#include "rpc/commands.h"

#include <arpa/inet.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "chain/bca_view.h"
#include "chain/chain.h"

static void put_nothing(struct json_writer *w, const char *name)
{
    jw_key(w, name);
    jw_null(w);
}

static void put_address(struct json_writer *w, const uint8_t address[BCA_ADDRESS_SIZE])
{
    char text[INET6_ADDRSTRLEN];
    jw_put_text(w, "address", inet_ntop(AF_INET6, address, text, sizeof text));
}

/* What the parameters hold; read is false when they could not be decoded. */
static void put_named(struct json_writer *w, const struct bca_verdict *v, bool read)
{
    if (!read) {
        put_nothing(w, "public_key");
        put_nothing(w, "block");
        put_nothing(w, "txid");
        return;
    }
    struct bca_work work;
    struct txid txid;
    bca_work_read(v->params.header, &work);
    sha256d(txid.b, v->params.transaction.data, v->params.transaction.len);
    jw_put_hex(w, "public_key", v->params.public_key, BCA_PUBLIC_KEY_SIZE);
    jw_put_hash(w, "block", work.hash.b);
    jw_put_hash(w, "txid", txid.b);
}

static void put_number_or_nothing(struct json_writer *w, const char *name, bool known, uint64_t n)
{
    if (known)
        jw_put_u64(w, name, n);
    else
        put_nothing(w, name);
}

static void put_hash_or_nothing(struct json_writer *w, const char *name, bool known,
                                const uint8_t hash[32])
{
    if (known)
        jw_put_hash(w, name, hash);
    else
        put_nothing(w, name);
}

/* What spent the marker, or is about to. */
static void put_revocation(struct json_writer *w, const struct bca_view *view)
{
    const struct header_node *block = view->revoked.block;
    const uint8_t *txid = view->revoked.txid.b;
    put_hash_or_nothing(w, "revoked_by", block, txid);
    put_hash_or_nothing(w, "revocation_block", block, block ? block->hash.b : NULL);
    put_hash_or_nothing(w, "revocation_pending", view->revoked.pending, txid);
}

static void put_verdict(struct json_writer *w, const struct bca_verdict *v,
                        const struct bca_view *view)
{
    const struct bca_rules *rules = view->rules;
    const bool marked = v->found == BCA_REGISTRATION_FOUND && v->registered.marker;
    jw_object_open(w);
    jw_put_text(w, "result", bca_result_name(v->result));
    if (v->result == BCA_VALID)
        put_nothing(w, "failed_step");
    else
        jw_put_text(w, "failed_step", bca_step_name(v->step));
    jw_put_text(w, "network", rules->name);
    put_address(w, v->address);
    jw_put_u64(w, "sec", v->sec);
    jw_put_u64(w, "security_bits", bca_security_bits(rules, v->sec));
    put_named(w, v, v->step != BCA_STEP_DECODE);
    put_number_or_nothing(w, "marker_output", marked, (uint64_t)v->registered.output + 1);
    put_number_or_nothing(w, "confirmations", v->confirmations, v->confirmations);
    jw_put_bool(w, "chain_checked", v->step > BCA_STEP_CHAIN);
    jw_put_bool(w, "revocation_checked", v->result != BCA_UNDETERMINED && v->step > BCA_STEP_CHAIN);
    put_revocation(w, view);
    jw_object_close(w);
}

static struct rpc_result verify(struct rpc_call *call, const uint8_t address[BCA_ADDRESS_SIZE],
                                struct span params)
{
    struct bca_view view;
    struct bca_verdict verdict;
    bca_view_init(&view, call->env->chain);
    bca_verify(address, params, &view.policy, &verdict);
    if (view.rc)
        return rpc_fail_error(call, &view.e);
    put_verdict(call->out, &verdict, &view);
    return rpc_done();
}

static struct rpc_result cmd_bcaverify(struct rpc_call *call)
{
    uint8_t address[BCA_ADDRESS_SIZE];
    struct buf params;
    const char *text = rpc_text(call, 0, "");
    if (inet_pton(AF_INET6, text, address) != 1)
        return rpc_fail(call, RPC_NOT_FOUND, "Invalid IPv6 address: %.100s", text);
    buf_init(&params);
    rpc_hex(call, 1, &params);
    struct rpc_result result = verify(call, address, buf_span(&params));
    buf_clear(&params);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcaverify",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcaverify,
      .help = "Whether a Bitcoin-Certified Address belongs to the key in its parameters, by this "
              "node's chain: the block of the registration must be on it, deep enough, and the "
              "marker beside the registration unspent. \"undetermined\" while this node has not "
              "caught up with the blocks that would decide. It does not say that whoever shows "
              "the address holds the key. revoked_by is the transaction that spent the marker, in "
              "revocation_block: null where this node does not know it, because it had the "
              "registration before it kept such spends (-reindex-chainstate finds them) or has "
              "not caught up. revocation_pending is one in the mempool: a warning.",
      .result = "{result:\"valid\", \"invalid\" or \"undetermined\", failed_step, network, "
                "address, sec, security_bits, public_key, block, txid, marker_output, "
                "confirmations, chain_checked, revocation_checked, revoked_by, revocation_block, "
                "revocation_pending}; null where it is not known",
      .example = "2001:db8:0:1:463:14a9:f8f8:78 \"01...\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The IPv6 address" },
                  { "params", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "Its parameters in hex" } } },
};
const struct rpc_group rpc_bca_commands = { rows, COUNT_OF(rows) };
