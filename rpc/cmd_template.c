/* getblocktemplate (BIP 22, 23): all transactions of a candidate, long polling, proposals. */
#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/check.h"
#include "chain/miner.h"
#include "chain/pow.h"
#include "rpc/mining.h"

#define WAIT_SLICE_MS 250   /* how soon the end of the node or the client is noticed */
#define NEWS_AFTER_MS 60000 /* then new transactions end a long poll too, */
#define NEWS_EVERY_MS 10000 /* looked for this often */
#define LOOK_EVERY 1024     /* transactions written between looks whether the client is there */

/* --- proposals ------------------------------------------------------------------------------ */

/* The answer to a block that is only to be judged. */
static struct rpc_result judge_block(struct rpc_call *call, struct span raw)
{
    struct chain *c = call->env->chain;
    struct block_hash hash;
    struct verdict v;
    struct error e = { 0 };
    if (!block_of_bytes(raw, &hash))
        return rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Block decode failed");
    const char *answer = known_block_answer(c, &hash);
    if (!answer && chain_test_block(c, raw.data, raw.len, &v, &e))
        return rpc_fail_error(call, &e);
    if (!answer && !verdict_ok(&v))
        answer = v.reason;
    jw_text_or_null(call->out, answer);
    return rpc_done();
}

static struct rpc_result judge_hex(struct rpc_call *call, const char *hex)
{
    const size_t digits = strlen(hex);
    size_t n;
    struct buf raw;
    buf_init(&raw);
    struct rpc_result result;
    if (!buf_try_reserve(&raw, digits / 2 + 1))
        result = rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the block");
    else if (!hex_decode(raw.data, digits / 2, hex, digits, &n))
        result = rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Block decode failed");
    else
        result = judge_block(call, span_of(raw.data, n));
    buf_clear(&raw);
    return result;
}

static struct rpc_result cmd_verifyblockcandidate(struct rpc_call *call)
{
    return judge_hex(call, rpc_text(call, 0, ""));
}

/* --- long polling --------------------------------------------------------------------------- */

/* Rises with whatever happens to the transactions that may be mined. */
static uint64_t news_count(struct rpc_call *call)
{
    struct journal_stats s;
    journal_get_stats(mempool_journal(chain_mempool(call->env->chain)), &s);
    return s.revision + s.next_number;
}

/* Hash of the tip and a number; anything else is taken for the present state. */
static bool read_poll_id(const char *id, struct block_hash *tip, uint64_t *news)
{
    char hex[HASH_HEX_SIZE];
    if (strlen(id) < HASH_HEX_SIZE)
        return false;
    memcpy(hex, id, HASH_HEX_SIZE - 1);
    hex[HASH_HEX_SIZE - 1] = '\0';
    *news = strtoull(id + HASH_HEX_SIZE - 1, NULL, 10);
    return hash_from_hex(tip->b, hex);
}

/* Until there is another tip, or for a while none but other transactions. */
static void wait_for_news(struct rpc_call *call, const char *id)
{
    struct chain_tip tip;
    struct block_hash watched;
    uint64_t news;
    int64_t look_at = clock_mono_ms() + NEWS_AFTER_MS;
    if (!read_poll_id(id, &watched, &news)) {
        chain_get_tip(call->env->chain, &tip);
        watched = tip.hash;
        news = news_count(call);
    }
    while (!chain_wait_tip(call->env->chain, 0, &watched, WAIT_SLICE_MS, &tip) &&
           !rpc_wait_is_vain(call)) {
        if (clock_mono_ms() < look_at)
            continue;
        if (news_count(call) != news)
            return;
        look_at = clock_mono_ms() + NEWS_EVERY_MS;
    }
}

/* --- the template --------------------------------------------------------------------------- */

/* Places of transactions, counted from 1, to tell which of them others depend on. */
struct places {
    const struct tx **txs;
    struct map by_id;
    struct siphash_key key;
};

static bool has_id(const void *item, const void *key)
{
    const struct tx *const *tx = item;
    return txid_equal(&(*tx)->id, key);
}

static void put_depends(struct json_writer *w, const struct places *p, const struct tx *tx)
{
    jw_key(w, "depends");
    jw_array_open(w);
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct txid *id = &tx->in[i].prevout.txid;
        const struct tx **parent = map_find(&p->by_id, siphash_32(&p->key, id->b), has_id, id);
        if (parent)
            jw_u64(w, (uint64_t)(parent - p->txs) + 1);
    }
    jw_array_close(w);
}

static void put_transaction(struct json_writer *w, const struct places *p,
                            const struct journal_entry *e)
{
    jw_object_open(w);
    jw_put_hex(w, "data", e->tx->raw.data, e->tx->raw.len);
    jw_put_hash(w, "txid", e->tx->id.b);
    jw_put_hash(w, "hash", e->tx->id.b);
    put_depends(w, p, e->tx);
    jw_put_i64(w, "fee", e->fee);
    jw_put_u64(w, "sigops", e->sigops);
    jw_object_close(w);
}

/* False: nobody reads any more, or memory is short. */
static bool put_transactions(struct rpc_call *call, const struct block_template *t)
{
    struct template_place at = { .n = 0 };
    const struct journal_entry *e;
    struct places p = { .txs = try_alloc((size_t)t->totals.count, sizeof(*p.txs)) };
    size_t n = 0;
    map_init(&p.by_id);
    rand_bytes(&p.key, sizeof(p.key));
    jw_key(call->out, "transactions");
    jw_array_open(call->out);
    while (p.txs && (n % LOOK_EVERY || !rpc_given_up(call)) && (e = block_template_next(t, &at))) {
        p.txs[n] = e->tx;
        put_transaction(call->out, &p, e);
        map_put(&p.by_id, siphash_32(&p.key, e->tx->id.b), &p.txs[n++]);
    }
    jw_array_close(call->out);
    map_clear(&p.by_id);
    free(p.txs);
    return n == t->totals.count;
}

static void put_limits(struct rpc_call *call, const struct block_template *t)
{
    struct json_writer *w = call->out;
    const uint64_t accepted = chain_max_block_size(call->env->chain);
    const uint64_t made = assembler_max_size(chain_assembler(call->env->chain));
    if (t->height < chain_get_params(call->env->chain)->heights.genesis)
        jw_put_u64(w, "sigoplimit", BLOCK_SIGOPS_PER_MB * (1 + (made - 1) / 1000000));
    jw_put_u64(w, "sizelimit", accepted ? accepted : made);
}

static void put_texts(struct json_writer *w, const char *key, const char *const *texts)
{
    jw_key(w, key);
    jw_array_open(w);
    for (; *texts; texts++)
        jw_text(w, *texts);
    jw_array_close(w);
}

static void put_poll_id(struct json_writer *w, const struct block_template *t)
{
    char hex[HASH_HEX_SIZE], id[HASH_HEX_SIZE + 24];
    snprintf(id, sizeof(id), "%s%llu", hash_to_hex(hex, t->prev->hash.b),
             (unsigned long long)(t->revision + t->next_number));
    jw_put_text(w, "longpollid", id);
}

static void put_header_fields(struct rpc_call *call, const struct block_template *t)
{
    static const char *const may_change[] = { "time", "transactions", "prevblock", NULL };
    struct json_writer *w = call->out;
    const struct chain_params *p = chain_get_params(call->env->chain);
    const uint32_t now = miner_block_time(t->prev, clock_now());
    const uint32_t bits = pow_required_bits(p, t->prev, now);
    struct u256 target = { { 0 } };
    char hex[65];
    (void)pow_target(p, bits, &target); /* required bits are good ones */
    put_poll_id(w, t);
    jw_put_text(w, "target", u256_to_hex(hex, &target));
    jw_put_u64(w, "mintime", (uint64_t)header_median_time(t->prev) + 1);
    put_texts(w, "mutable", may_change);
    jw_put_text(w, "noncerange", "00000000ffffffff");
    put_limits(call, t);
    jw_put_u64(w, "curtime", now);
    jw_put_hex_u32(w, "bits", bits);
    jw_put_i64(w, "height", t->height);
}

static struct rpc_result put_template(struct rpc_call *call, const struct block_template *t,
                                      int64_t value)
{
    static const char *const can[] = { "proposal", NULL };
    struct json_writer *w = call->out;
    jw_object_open(w);
    put_texts(w, "capabilities", can);
    jw_put_i64(w, "version", rpc_block_version(call));
    jw_put_hash(w, "previousblockhash", t->prev->hash.b);
    if (!put_transactions(call, t))
        return rpc_given_up(call)
                   ? rpc_fail(call, RPC_MISC_ERROR, "nobody waits for the template any more")
                   : rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the template");
    jw_key(w, "coinbaseaux");
    jw_object_open(w);
    jw_put_text(w, "flags", "");
    jw_object_close(w);
    jw_put_i64(w, "coinbasevalue", value);
    put_header_fields(call, t);
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result give_template(struct rpc_call *call)
{
    struct block_template *t;
    struct error e = { 0 };
    int64_t value;
    if (!rpc_template(call, TEMPLATE_QUICK, &t))
        return rpc_failed(call);
    struct rpc_result result =
        miner_reward(chain_get_params(call->env->chain), t, &value, &e)
            ? rpc_fail_error(call, &e)
            : put_template(call, t, value);
    block_template_unref(t);
    return result;
}

/* --- the command ---------------------------------------------------------------------------- */

static struct json_object *member(struct json_object *request, const char *name)
{
    struct json_object *v = NULL;
    if (request)
        json_object_object_get_ex(request, name, &v);
    return v;
}

static struct rpc_result propose(struct rpc_call *call, struct json_object *request)
{
    struct json_object *data = member(request, "data");
    if (json_object_get_type(data) != json_type_string)
        return rpc_fail(call, RPC_TYPE_ERROR, "Missing data String key for proposal");
    return judge_hex(call, json_object_get_string(data));
}

static struct rpc_result cmd_getblocktemplate(struct rpc_call *call)
{
    struct json_object *request = call->argv[0], *mode = member(request, "mode");
    struct json_object *poll = member(request, "longpollid");
    if (mode && json_object_get_type(mode) != json_type_string)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid mode");
    const char *name = mode ? json_object_get_string(mode) : "template";
    if (strcmp(name, "proposal") == 0)
        return propose(call, request);
    if (strcmp(name, "template") != 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid mode");
    if (!rpc_may_mine(call))
        return rpc_failed(call);
    if (poll)
        wait_for_news(call, json_object_get_type(poll) == json_type_string
                                ? json_object_get_string(poll)
                                : "");
    return give_template(call);
}

/* Who waits has a thread of his own. */
static enum rpc_where place_template(struct json_object *params)
{
    struct json_object *request = NULL;
    if (json_object_get_type(params) == json_type_array)
        request = json_object_array_length(params) ? json_object_array_get_idx(params, 0) : NULL;
    else if (params)
        json_object_object_get_ex(params, "template_request", &request);
    const bool waits = json_object_get_type(request) == json_type_object &&
                       member(request, "longpollid") != NULL;
    return waits ? RPC_ON_WAITER : RPC_ON_WORKER;
}

static const struct rpc_command rows[] = {
    { .name = "getblocktemplate",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblocktemplate,
      .place = place_template,
      .help = "What a block may hold, with all transactions (BIP 22). With a longpollid the answer "
              "waits for news. Mode \"proposal\" (BIP 23) judges a block whose proof of work is "
              "missing.",
      .result = "{capabilities, version, previousblockhash, transactions:[{data, txid, hash, "
                "depends, fee, sigops}], coinbaseaux, coinbasevalue, longpollid, target, mintime, "
                "mutable, noncerange, sigoplimit?, sizelimit, curtime, bits, height}; of a "
                "proposal null or a text that says what is wrong",
      .example = "'{\"mode\":\"template\"}'",
      .params = { { "template_request", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "{mode?, capabilities?, longpollid?, data?}" } } },
    { .name = "verifyblockcandidate",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifyblockcandidate,
      .help = "Whether a block would be good on the tip, its proof of work aside.",
      .result = "null, or a text that says what is wrong",
      .example = "0100...",
      .params = { { "hexdata", RPC_BLOCK, RPC_REQUIRED, RPC_CLI_TEXT, "The block" },
                  { "parameters", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON, "Not used" } } },
};
const struct rpc_group rpc_template_commands = { rows, COUNT_OF(rows) };
