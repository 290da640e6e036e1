/* Mining as the node's own interface has it: candidates without their transactions, and solutions
 * that bring nonce and coinbase. */
#include "rpc/commands.h"

#include <json-c/json.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/miner.h"
#include "chain/pow.h"
#include "rpc/candidates.h"
#include "rpc/keys.h"
#include "rpc/mining.h"
#include "rpc/params.h"
#include "rpc/tx_arg.h"

static int64_t now_s(void)
{
    return clock_mono_ms() / 1000;
}

/* --- getminingcandidate --------------------------------------------------------------------- */

/* Where the coinbase pays that we make. False: call has failed. */
static bool reward_script(struct rpc_call *call, struct buf *script)
{
    const char *address = config_string(call->env->config, "miningaddress");
    if (address && address_to_script(chain_get_params(call->env->chain), address, script))
        return true;
    rpc_fail(call, RPC_INTERNAL_ERROR,
             "No coinbase script available: -miningaddress is not given");
    return false;
}

static bool make_coinbase(struct rpc_call *call, struct candidate *c)
{
    struct buf script;
    struct error e = { 0 };
    buf_init(&script);
    bool good = reward_script(call, &script);
    if (good && miner_make_coinbase(chain_get_params(call->env->chain), c->rest, buf_span(&script),
                                    &c->coinbase, &e)) {
        rpc_fail_error(call, &e);
        good = false;
    }
    buf_clear(&script);
    return good;
}

/* Everything but the id. */
static bool make_candidate(struct rpc_call *call, bool with_coinbase, struct candidate *c)
{
    *c = (struct candidate){ .version = rpc_block_version(call) };
    buf_init(&c->coinbase);
    if (!rpc_template(call, TEMPLATE_QUICK, &c->rest))
        return false;
    c->time = miner_block_time(c->rest->prev, clock_now());
    c->bits = pow_required_bits(chain_get_params(call->env->chain), c->rest->prev, c->time);
    if (!with_coinbase || make_coinbase(call, c))
        return true;
    candidate_clear(c);
    return false;
}

static void put_branch(struct json_writer *w, const struct merkle_branch *b)
{
    jw_key(w, "merkleProof");
    jw_array_open(w);
    for (unsigned k = 0; k < b->n; k++)
        jw_hash(w, b->sibling[k].hash.b);
    jw_array_close(w);
}

static void put_candidate(struct json_writer *w, const struct candidate *c, int64_t value)
{
    const struct block_parts parts = { .rest = c->rest };
    jw_object_open(w);
    jw_put_text(w, "id", c->id);
    jw_put_hash(w, "prevhash", c->rest->prev->hash.b);
    if (c->coinbase.len)
        jw_put_hex(w, "coinbase", c->coinbase.data, c->coinbase.len);
    jw_put_i64(w, "coinbaseValue", value);
    jw_put_i64(w, "version", c->version);
    jw_put_hex_u32(w, "nBits", c->bits);
    jw_put_u64(w, "time", c->time);
    jw_put_i64(w, "height", c->rest->height);
    jw_put_u64(w, "num_tx", c->rest->totals.count + 1);
    jw_put_u64(w, "sizeWithoutCoinbase", block_parts_size(&parts));
    put_branch(w, &c->rest->branch);
    jw_object_close(w);
}

static struct rpc_result cmd_getminingcandidate(struct rpc_call *call)
{
    struct candidate c;
    struct rpc_result result = rpc_done();
    struct error e = { 0 };
    int64_t value;
    if (!rpc_may_mine(call) || !make_candidate(call, rpc_bool(call, 0, false), &c))
        return rpc_failed(call);
    if (miner_reward(chain_get_params(call->env->chain), c.rest, &value, &e)) {
        result = rpc_fail_error(call, &e);
    } else {
        candidates_add(call->env->candidates, &c, now_s());
        put_candidate(call->out, &c, value);
    }
    candidate_clear(&c);
    return result;
}

/* --- submitminingsolution ------------------------------------------------------------------- */

enum { ID, NONCE, COINBASE, TIME, VERSION, MEMBERS };

static const struct rpc_member members[MEMBERS] = {
    [ID] = { "id", RPC_TEXT, RPC_REQUIRED },
    [NONCE] = { "nonce", RPC_INT, RPC_REQUIRED },
    [COINBASE] = { "coinbase", RPC_HEX, RPC_OPTIONAL },
    [TIME] = { "time", RPC_INT, RPC_OPTIONAL },
    [VERSION] = { "version", RPC_INT, RPC_OPTIONAL },
};

struct solution {
    const char *id;
    uint32_t nonce;
    bool has_time, has_version;
    uint32_t time;
    int32_t version;
    struct tx *coinbase; /* a reference; NULL: the candidate's own */
};

/* From low to what 32 bits hold. */
static bool read_u32(struct rpc_call *call, const char *name, struct json_object *v, int64_t low,
                     uint32_t *out)
{
    int64_t n;
    if (!rpc_in_range(call, "", name, v, low, UINT32_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_coinbase(struct rpc_call *call, struct json_object *hex, struct tx **out)
{
    struct error e = { 0 };
    *out = tx_from_text(hex, &e);
    const bool good = *out && tx_is_coinbase(*out);
    if (!*out)
        rpc_fail_tx(call, &e, "Coinbase decode failed");
    else if (!good)
        rpc_fail(call, RPC_INVALID_PARAMETER, "coinbase is not a coinbase transaction");
    return good;
}

/* False: call has failed; the coinbase is to be given up all the same. */
static bool read_solution(struct rpc_call *call, struct solution *s)
{
    struct json_object *m[MEMBERS];
    uint32_t version = 0;
    if (!rpc_members(call, call->argv[0], "", members, MEMBERS, m) ||
        !read_u32(call, "nonce", m[NONCE], 0, &s->nonce) ||
        (m[TIME] && !read_u32(call, "time", m[TIME], 0, &s->time)) ||
        (m[VERSION] && !read_u32(call, "version", m[VERSION], INT32_MIN, &version)))
        return false;
    s->id = json_object_get_string(m[ID]);
    s->has_time = m[TIME] != NULL;
    s->has_version = m[VERSION] != NULL;
    s->version = (int32_t)version;
    return !m[COINBASE] || read_coinbase(call, m[COINBASE], &s->coinbase);
}

static struct block_header solved_header(const struct candidate *c, const struct solution *s,
                                         struct span coinbase)
{
    struct txid id;
    sha256d(id.b, coinbase.data, coinbase.len);
    return (struct block_header){ .version = s->has_version ? s->version : c->version,
                                  .prev = c->rest->prev->hash,
                                  .merkle_root = block_template_root(c->rest, &id),
                                  .time = s->has_time ? s->time : c->time,
                                  .bits = c->bits,
                                  .nonce = s->nonce };
}

static struct rpc_result submit_solution(struct rpc_call *call, const struct candidate *c,
                                         const struct solution *s)
{
    struct chain *chain = call->env->chain;
    const struct span coinbase = s->coinbase ? s->coinbase->raw : buf_span(&c->coinbase);
    struct block_submission submission;
    struct block_hash hash;
    struct error e = { 0 };
    if (coinbase.len == 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "coinbase is missing: the candidate was made without one");
    const struct block_parts parts = { .header = solved_header(c, s, coinbase),
                                       .coinbase = coinbase,
                                       .rest = c->rest };
    block_header_hash(&hash, &parts.header);
    const char *answer = known_block_answer(chain, &hash);
    if (!answer && chain_submit_parts(chain, &parts, &submission, &e))
        return rpc_fail_error(call, &e);
    if (!answer)
        answer = submission_answer(chain, &submission);
    if (answer)
        jw_text(call->out, answer);
    else
        jw_bool(call->out, true);
    return rpc_done();
}

static struct rpc_result cmd_submitminingsolution(struct rpc_call *call)
{
    struct solution s = { .nonce = 0 };
    struct candidate c;
    struct rpc_result result;
    if (!read_solution(call, &s)) {
        result = rpc_failed(call);
    } else if (!candidates_find(call->env->candidates, s.id, now_s(), &c)) {
        jw_text(call->out, "unknown-id");
        result = rpc_done();
    } else {
        result = submit_solution(call, &c, &s);
        candidate_clear(&c);
    }
    tx_unref(s.coinbase);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "getminingcandidate",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_getminingcandidate,
      .help = "A block to be solved, without its transactions. The root is that of the coinbase "
              "and its Merkle proof.",
      .result = "{id, prevhash, coinbase?, coinbaseValue, version, nBits, time, height, num_tx, "
                "sizeWithoutCoinbase, merkleProof:[\"hash\", ...]}; num_tx counts the coinbase",
      .example = "false",
      .params = { { "coinbase", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Make a coinbase, which pays to -miningaddress (default false)" } } },
    { .name = "submitminingsolution",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_submitminingsolution,
      .help = "Hands over the solution of a candidate.",
      .result = "true, or a text that says why it was not taken: unknown-id, duplicate, "
                "inconclusive, high-hash, ... (BIP 22)",
      .example = "'{\"id\":\"a5a5...\",\"nonce\":1804358173,\"coinbase\":\"0100...\"}'",
      .params = { { "solution", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON,
                    "{id, nonce, coinbase?, time?, version?}; coinbase is needed unless the "
                    "candidate had one" } } },
};
const struct rpc_group rpc_candidate_commands = { rows, COUNT_OF(rows) };
