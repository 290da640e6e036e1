/* Commands that hand blocks to the chain: submitblock, submitheader, generatetoaddress,
 * generate. */
#include "rpc/commands.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/miner.h"
#include "rpc/keys.h"
#include "rpc/mining.h"
#include "rpc/wallet_call.h"
#include "script/template.h"

#define DEFAULT_TRIES 1000000
#define GENERATE_MAX 1000000

/* --- submitblock ---------------------------------------------------------------------------- */

static struct rpc_result submit(struct rpc_call *call, struct span raw)
{
    struct chain *c = call->env->chain;
    struct block_hash hash;
    struct block_submission s;
    struct error e = { 0 };
    if (!block_of_bytes(raw, &hash))
        return rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Block decode failed");
    const char *answer = known_block_answer(c, &hash);
    if (!answer && chain_submit_block(c, raw.data, raw.len, &s, &e))
        return rpc_fail_error(call, &e);
    if (!answer)
        answer = submission_answer(c, &s);
    jw_text_or_null(call->out, answer);
    return rpc_done();
}

static struct rpc_result cmd_submitblock(struct rpc_call *call)
{
    struct buf raw;
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    struct rpc_result result = submit(call, buf_span(&raw));
    buf_clear(&raw);
    return result;
}

static struct rpc_result cmd_submitheader(struct rpc_call *call)
{
    struct buf raw;
    struct block_header h;
    struct header_node *last = NULL;
    struct verdict v = { 0 };
    size_t accepted = 0;
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    struct reader r;
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    bool good = reader_done(&r);
    buf_clear(&raw);
    if (!good)
        return rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Block header decode failed");
    enum err rc = chain_accept_headers(call->env->chain, &h, NULL, 1, &accepted, &last, &v);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_VERIFY_ERROR, "Must submit previous header first");
    if (rc)
        return rpc_fail(call, RPC_MISC_ERROR, "%s", err_name(rc));
    if (!verdict_ok(&v))
        return rpc_fail(call, RPC_VERIFY_ERROR, "%s", v.reason);
    jw_null(call->out);
    return rpc_done();
}

/* --- generatetoaddress ---------------------------------------------------------------------- */

static enum err submit_mined(struct chain *c, const struct block_parts *parts,
                             struct block_hash *hash, struct error *e)
{
    struct block_submission s;
    const enum err rc = chain_submit_parts(c, parts, &s, e);
    if (rc)
        return rc;
    if (!verdict_ok(&s.verdict))
        return error_set(e, ERR_PROTO, "the block made was refused: %s", s.verdict.reason);
    *hash = s.node->hash;
    return OK;
}

/* One block on the tip with all that fits of the mempool. found = false: the tries are used up. */
static enum err generate_one(struct rpc_call *call, struct span script, uint64_t *tries,
                             bool *found, struct block_hash *hash, struct error *e)
{
    struct chain *c = call->env->chain;
    struct block_template *rest;
    struct block_parts parts;
    struct buf coinbase;
    enum err rc = assembler_get(chain_assembler(c), TEMPLATE_COMPLETE, &rest, e);
    if (rc)
        return rc;
    buf_init(&coinbase);
    const struct miner_job job = { .params = chain_get_params(c), .rest = rest, .script = script,
                                   .now = clock_now(), .version = rpc_block_version(call) };
    rc = miner_mine(&job, tries, call->env->cancel, &parts.header, &coinbase, found, e);
    parts.coinbase = buf_span(&coinbase);
    parts.rest = rest;
    if (!rc && *found)
        rc = submit_mined(c, &parts, hash, e);
    buf_clear(&coinbase);
    block_template_unref(rest);
    return rc;
}

static struct rpc_result generate(struct rpc_call *call, int64_t n, uint64_t tries,
                                  struct span script)
{
    struct error e = { 0 };
    jw_array_open(call->out);
    for (int64_t i = 0; i < n && !rpc_client_gone(call); i++) {
        struct block_hash hash;
        bool found;
        if (generate_one(call, script, &tries, &found, &hash, &e))
            return rpc_fail_error(call, &e);
        if (!found)
            break;
        jw_hash(call->out, hash.b);
    }
    jw_array_close(call->out);
    return rpc_done();
}

/* False: call has failed. */
static bool may_generate(struct rpc_call *call, int64_t n, int64_t tries)
{
    if (n >= 0 && n <= GENERATE_MAX && tries >= 0)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "nblocks must be 0 to %d, maxtries not negative",
             GENERATE_MAX);
    return false;
}

static struct rpc_result cmd_generatetoaddress(struct rpc_call *call)
{
    int64_t n = rpc_int(call, 0, 0), tries = rpc_int(call, 2, DEFAULT_TRIES);
    struct buf script;
    buf_init(&script);
    struct rpc_result result;
    if (!may_generate(call, n, tries))
        result = rpc_failed(call);
    else if (!address_to_script(chain_get_params(call->env->chain), rpc_text(call, 1, ""), &script))
        result = rpc_fail(call, RPC_NOT_FOUND, "Error: Invalid address");
    else
        result = generate(call, n, (uint64_t)tries, buf_span(&script));
    buf_clear(&script);
    return result;
}

/* --- generate ------------------------------------------------------------------------------- */

static struct rpc_result generate_to_wallet(struct rpc_call *call, struct wallet *w)
{
    const int64_t n = rpc_int(call, 0, 0), tries = rpc_int(call, 1, DEFAULT_TRIES);
    struct error e = { .code = OK };
    uint8_t script[SCRIPT_P2PKH_SIZE];
    struct wallet_key key;
    if (!may_generate(call, n, tries))
        return rpc_failed(call);
    if (wallet_new_key(w, KEYSTORE_RECEIVE, span_of(NULL, 0), &key, &e))
        return rpc_wallet_fail(call, &e);
    script_make_for_key(script, span_of(key.key, key.key_len));
    return generate(call, n, (uint64_t)tries, span_of(script, sizeof script));
}

static struct rpc_result cmd_generate(struct rpc_call *call)
{
    return rpc_with_wallet(call, generate_to_wallet);
}

static const struct rpc_command rows[] = {
    { .name = "submitblock",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_submitblock,
      .help = "Hands over a block. Blocks too large for a request come by P2P or -loadblock.",
      .result = "null, or a text that says why it was not taken (BIP 22)",
      .example = "0100...",
      .params = { { "hexdata", RPC_BLOCK, RPC_REQUIRED, RPC_CLI_TEXT, "The block" },
                  { "parameters", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON, "Not used" } } },
    { .name = "submitheader",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_submitheader,
      .help = "Hands over a block header whose parent is known.",
      .result = "null",
      .example = "0100...",
      .params = { { "hexdata", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The header, 80 bytes" } } },
    { .name = "generatetoaddress",
      .category = "generating",
      .where = RPC_ON_WORKER,
      .fn = cmd_generatetoaddress,
      .help = "Makes blocks at once whose reward goes to an address (regtest).",
      .result = "[\"hash\", ...]",
      .example = "11 \"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn\"",
      .params = { { "nblocks", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "How many" },
                  { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Where the reward goes" },
                  { "maxtries", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Nonces to try at most (default 1000000)" } } },
    { .name = "generate",
      .category = "generating",
      .where = RPC_ON_WORKER,
      .fn = cmd_generate,
      .help = "Makes blocks at once whose reward goes to a new key of the wallet (regtest).",
      .result = "[\"hash\", ...]",
      .example = "11",
      .params = { { "nblocks", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "How many" },
                  { "maxtries", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Nonces to try at most (default 1000000)" } } },
};
const struct rpc_group rpc_mining_commands = { rows, COUNT_OF(rows) };
