/*
 * Merkle proofs as the reference has them (spec rpc 2, 3): gettxoutproof with its partial tree, and
 * getmerkleproof, getmerkleproof2 with the branch of one transaction.
 *
 * Judging differs from the reference: a root that comes out right is not enough (attacks A4). The
 * block must be one we know, and the number of its transactions fixes the depth of the tree.
 */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/block_json.h"
#include "rpc/spv_call.h"
#include "rpc/tx_lookup.h"
#include "rpc/tx_proof.h"

static struct rpc_result not_in_block(struct rpc_call *call)
{
    return rpc_fail(call, RPC_NOT_FOUND, "Transaction(s) not found in provided block");
}

/* --- gettxoutproof -------------------------------------------------------------------------- */

/* False: call has failed. */
static bool take_txid(struct rpc_call *call, struct json_object *v, struct txid *id)
{
    if (json_object_get_type(v) != json_type_string) {
        rpc_fail(call, RPC_MISC_ERROR, "JSON value is not a string as expected");
        return false;
    }
    if (hash_from_hex(id->b, json_object_get_string(v)))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid txid %.100s", json_object_get_string(v));
    return false;
}

/* Of sorted ids; NULL: no two are equal. */
static const struct txid *find_twice(const struct txid *ids, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (txid_equal(&ids[i - 1], &ids[i]))
            return &ids[i];
    return NULL;
}

/* Parameter 0, sorted, on the heap. NULL: call has failed. */
static struct txid *take_txids(struct rpc_call *call, size_t *n)
{
    char hex[HASH_HEX_SIZE];
    struct json_object *list = call->argv[0];
    *n = json_object_array_length(list);
    struct txid *ids = try_alloc(*n + 1, sizeof *ids);
    bool good = ids && *n;
    if (!ids)
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list of ids");
    else if (!*n)
        rpc_fail(call, RPC_INVALID_PARAMETER, "Parameter 'txids' cannot be empty");
    for (size_t i = 0; i < *n && good; i++)
        good = take_txid(call, json_object_array_get_idx(list, i), &ids[i]);
    if (good) {
        tx_proof_sort(ids, *n);
        const struct txid *twice = find_twice(ids, *n);
        if (twice)
            rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, duplicated txid: %s",
                     hash_to_hex(hex, twice->b));
        good = !twice;
    }
    if (good)
        return ids;
    free(ids);
    return NULL;
}

static void put_merkleblock(struct json_writer *w, const struct header_node *node,
                            const struct partial_merkle *tree)
{
    struct block_header h;
    struct buf raw;
    buf_init(&raw);
    header_of_node(&h, node);
    block_header_write(&raw, &h);
    partial_merkle_write(&raw, tree);
    jw_hex(w, raw.data, raw.len);
    buf_clear(&raw);
}

static struct rpc_result prove_txids(struct rpc_call *call, const struct txid *ids, size_t n)
{
    struct tx_proof_partial p;
    struct error e = { 0 };
    struct header_node *node = tx_lookup_param(call, 1, ids, n);
    if (!node)
        return rpc_failed(call);
    enum err rc = tx_proof_partial(call, node, ids, n, NULL, NULL, &p, &e);
    struct rpc_result result = rpc_done();
    if (rc)
        result = rpc_fail_block(call, node, &e);
    else if (p.n_found == n)
        put_merkleblock(call->out, node, &p.tree);
    else if (rpc_has(call, 1))
        result = not_in_block(call);
    else
        result = rpc_fail(call, RPC_NOT_FOUND,
                          "Not all transactions found in specified or retrieved block");
    tx_proof_partial_clear(&p);
    return result;
}

static struct rpc_result cmd_gettxoutproof(struct rpc_call *call)
{
    size_t n;
    struct txid *ids = take_txids(call, &n);
    if (!ids)
        return rpc_failed(call);
    struct rpc_result result = prove_txids(call, ids, n);
    free(ids);
    return result;
}

/* --- verifytxoutproof ----------------------------------------------------------------------- */

static void put_match(void *ctx, const struct partial_node *node)
{
    if (node->kind == PARTIAL_MATCH)
        jw_hash(ctx, node->hash);
}

static struct rpc_result verify_bytes(struct rpc_call *call, struct span raw)
{
    struct rpc_partial p;
    struct hash256 root;
    if (!rpc_judge_partial(call, raw, &p))
        return rpc_failed(call);
    jw_array_open(call->out);
    if (p.holds)
        partial_merkle_walk(&p.tree, put_match, call->out, &root);
    jw_array_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_verifytxoutproof(struct rpc_call *call)
{
    struct buf raw;
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    struct rpc_result result = verify_bytes(call, buf_span(&raw));
    buf_clear(&raw);
    return result;
}

/* --- getmerkleproof, getmerkleproof2 -------------------------------------------------------- */

struct branch_proof {
    struct header_node *node;
    struct merkle_branch branch;
    bool whole_tx;
    struct buf raw; /* the transaction, when it was asked for */
};

static enum err keep_tx(void *ctx, const struct tx *tx, struct error *e)
{
    struct branch_proof *p = ctx;
    if (!p->whole_tx)
        return OK;
    if (!buf_try_reserve(&p->raw, tx->raw.len))
        return error_set(e, ERR_NOMEM, "out of memory for the transaction");
    buf_put(&p->raw, tx->raw.data, tx->raw.len);
    return OK;
}

/* p->node is set. False: call has failed. */
static bool prove_txid(struct rpc_call *call, const struct txid *id, struct branch_proof *p)
{
    struct error e = { 0 };
    bool found;
    enum err rc = tx_proof_branch(call, p->node, id, keep_tx, p, &p->branch, &found, &e);
    if (rc)
        rpc_fail_block(call, p->node, &e);
    else if (!found)
        not_in_block(call);
    return !rc && found;
}

static void put_nodes(struct json_writer *w, const struct merkle_branch *b)
{
    jw_key(w, "nodes");
    jw_array_open(w);
    for (unsigned k = 0; k < b->n; k++)
        if (b->sibling[k].duplicate)
            jw_text(w, "*");
        else
            jw_hash(w, b->sibling[k].hash.b);
    jw_array_close(w);
}

static struct rpc_result cmd_getmerkleproof(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct branch_proof p = { .whole_tx = false };
    struct txid id;
    rpc_hash(call, 0, id.b);
    p.node = tx_lookup_param(call, 1, &id, 1);
    if (!p.node || !prove_txid(call, &id, &p))
        return rpc_failed(call);
    jw_object_open(w);
    jw_put_u64(w, "flags", 2);
    jw_put_u64(w, "index", p.branch.index);
    jw_put_hash(w, "txOrId", id.b);
    jw_key(w, "target");
    jw_object_open(w);
    jw_put_header(w, call->env->chain, p.node);
    jw_object_close(w);
    put_nodes(w, &p.branch);
    jw_object_close(w);
    return rpc_done();
}

enum target { TARGET_HASH, TARGET_HEADER, TARGET_ROOT, TARGETS };
static const char *const target_names[TARGETS] = { "hash", "header", "merkleroot" };

/* Parameters 3 and 4; false: call has failed. */
static bool take_target(struct rpc_call *call, enum target *out)
{
    const char *target = rpc_text(call, 3, "hash"), *format = rpc_text(call, 4, "json");
    unsigned i = 0;
    while (i < TARGETS && strcmp(target, target_names[i]) != 0)
        i++;
    *out = (enum target)i;
    if (i == TARGETS)
        rpc_fail(call, RPC_INVALID_PARAMS,
                 "targetType is '%.100s', must be 'hash', 'header' or 'merkleroot'", target);
    else if (strcmp(format, "json") != 0)
        rpc_fail(call, RPC_INVALID_PARAMS, "format is '%.100s', must be 'json'", format);
    else
        return true;
    return false;
}

/* Parameter 0 of getmerkleproof2, where "" asks to look for it. NULL: call has failed. */
static struct header_node *take_block(struct rpc_call *call, const struct txid *id)
{
    const char *text = rpc_text(call, 0, "");
    struct block_hash hash;
    if (!*text)
        return tx_lookup_first(call, id, 1);
    if (!hash_from_hex(hash.b, text)) {
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "blockhash must be 64 hexadecimal digits or empty (not '%.100s')", text);
        return NULL;
    }
    return rpc_block(call, 0);
}

static void put_target(struct json_writer *w, enum target target, const struct header_node *node)
{
    struct block_header h;
    uint8_t raw[BLOCK_HEADER_SIZE];
    if (target != TARGET_HASH)
        jw_put_text(w, "targetType", target_names[target]);
    if (target == TARGET_HEADER) {
        header_of_node(&h, node);
        block_header_put(raw, &h);
        jw_put_hex(w, "target", raw, sizeof raw);
    } else {
        jw_put_hash(w, "target", target == TARGET_HASH ? node->hash.b : node->merkle_root.b);
    }
}

static struct rpc_result cmd_getmerkleproof2(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct branch_proof p = { .whole_tx = rpc_bool(call, 2, false) };
    enum target target;
    struct txid id;
    rpc_hash(call, 1, id.b);
    p.node = take_block(call, &id);
    if (!p.node || !take_target(call, &target))
        return rpc_failed(call);
    buf_init(&p.raw);
    bool good = prove_txid(call, &id, &p);
    if (good) {
        jw_object_open(w);
        jw_put_u64(w, "index", p.branch.index);
        if (p.whole_tx)
            jw_put_hex(w, "txOrId", p.raw.data, p.raw.len);
        else
            jw_put_hash(w, "txOrId", id.b);
        put_target(w, target, p.node);
        put_nodes(w, &p.branch);
        jw_object_close(w);
    }
    buf_clear(&p.raw);
    return good ? rpc_done() : rpc_failed(call);
}

/* --- verifymerkleproof ---------------------------------------------------------------------- */

struct claim {
    struct txid id;
    struct hash256 root;
    struct block_hash block;
    bool has_block; /* the target names it; else it is found by its root */
    struct merkle_branch branch;
    bool too_long;  /* more nodes than any tree has levels */
};

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v;
}

/* False: call has failed. */
static bool take_hash(struct rpc_call *call, struct json_object *v, const char *name,
                      uint8_t out[32])
{
    const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
    if (hash_from_hex(out, text))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER,
             "%s must be hexadecimal string of length 64 (not '%.100s')", name, text);
    return false;
}

static bool take_node(struct rpc_call *call, struct json_object *v, struct merkle_sibling *out)
{
    if (!json_object_is_type(v, json_type_string)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "\"node\" must be a \"hash\" or \"*\"");
        return false;
    }
    *out = (struct merkle_sibling){ .duplicate = strcmp(json_object_get_string(v), "*") == 0 };
    return out->duplicate || take_hash(call, v, "node", out->hash.b);
}

static bool take_nodes(struct rpc_call *call, struct json_object *list, struct claim *c)
{
    if (!json_object_is_type(list, json_type_array)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "\"nodes\" must be a Json array");
        return false;
    }
    size_t n = json_object_array_length(list);
    c->too_long = n > MERKLE_DEPTH_MAX;
    c->branch.n = (unsigned)MIN_OF(n, (size_t)MERKLE_DEPTH_MAX);
    for (unsigned k = 0; k < c->branch.n; k++)
        if (!take_node(call, json_object_array_get_idx(list, k), &c->branch.sibling[k]))
            return false;
    return true;
}

/* flags and index; NULL: fine, else what is wrong. */
static const char *take_numbers(struct json_object *proof, struct claim *c)
{
    struct json_object *flags = member(proof, "flags"), *index = member(proof, "index");
    if (!json_object_is_type(flags, json_type_int))
        return "\"flags\" must be a numeric value";
    if (json_object_get_int64(flags) != 2)
        return "verifymerkleproof only supports \"flags\" with value 2";
    if (!json_object_is_type(index, json_type_int))
        return "\"index\" must be a numeric value";
    if (json_object_get_int64(index) < 0)
        return "\"index\" must be a positive value";
    c->branch.index = (uint64_t)json_object_get_int64(index);
    return NULL;
}

static bool take_claim(struct rpc_call *call, struct json_object *proof, struct claim *c)
{
    struct json_object *target = member(proof, "target");
    struct json_object *hash = member(target, "hash");
    const char *fault = take_numbers(proof, c);
    if (fault) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s", fault);
        return false;
    }
    if (!take_hash(call, member(proof, "txOrId"), "txOrId", c->id.b))
        return false;
    if (!json_object_is_type(target, json_type_object)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "\"target\" must be a block header Json object");
        return false;
    }
    c->has_block = hash != NULL;
    return take_hash(call, member(target, "merkleroot"), "merkleroot", c->root.b) &&
           (!hash || take_hash(call, hash, "hash", c->block.b)) &&
           take_nodes(call, member(proof, "nodes"), c);
}

/* Ancestors never change, so that no lock is held on the way. */
static struct header_node *active_block_of_root(struct chain *c, const struct hash256 *root)
{
    struct header_node *node = header_index_tip(chain_headers(c));
    while (node && !mem_equal_var(node->merkle_root.b, root->b, 32))
        node = node->prev;
    return node;
}

static struct rpc_result judge_claim(struct rpc_call *call, const struct claim *c)
{
    struct chain *chain = call->env->chain;
    struct header_node *node = c->has_block ? header_index_find(chain_headers(chain), &c->block)
                                            : active_block_of_root(chain, &c->root);
    struct header_data d = { .tx_count = 0 };
    struct hash256 root;
    bool good = node && !c->too_long && mem_equal_var(node->merkle_root.b, c->root.b, 32) &&
                merkle_branch_root(&c->branch, c->id.b, &root) &&
                mem_equal_var(root.b, c->root.b, 32);
    if (good)
        header_index_get_data(chain_headers(chain), node, &d);
    if (good && !d.tx_count) /* nobody can say how deep its tree is */
        return rpc_fail_block(call, node, &(struct error){ .code = ERR_NOTFOUND });
    jw_bool(call->out, good && merkle_branch_fits(&c->branch, d.tx_count));
    return rpc_done();
}

static struct rpc_result cmd_verifymerkleproof(struct rpc_call *call)
{
    struct claim c;
    if (!take_claim(call, call->argv[0], &c))
        return rpc_failed(call);
    return judge_claim(call, &c);
}

#define WHERE_FOUND                                                                                \
    "Its block is found with -txindex, by an unspent output of it, or is named by its hash."

static const struct rpc_command rows[] = {
    { .name = "gettxoutproof",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_gettxoutproof,
      .help = "A proof that transactions are in a block: its header and a partial Merkle tree, as "
              "in the message merkleblock. " WHERE_FOUND,
      .result = "\"hex\"",
      .example = "'[\"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b\"]'",
      .params = { { "txids", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "Ids of transactions of one block" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT, "The block" } } },
    { .name = "verifytxoutproof",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifytxoutproof,
      .help = "The transactions that a proof of gettxoutproof is for; none when it proves "
              "nothing, an error when its block is not on the active chain. The proof must be of a "
              "tree with as many transactions as the block has.",
      .result = "[\"txid\"...]",
      .example = "0100...",
      .params = { { "proof", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The proof" } } },
    { .name = "getmerkleproof",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmerkleproof,
      .help = "The way of a transaction to the Merkle root of its block. " WHERE_FOUND
              " Outdated: getmerkleproof2 gives the form of the TSC standard.",
      .result = "{flags:2, index, txOrId, target:{header as of getblockheader}, "
                "nodes:[\"hash\" or \"*\"...]}",
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT, "The block" } } },
    { .name = "getmerkleproof2",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmerkleproof2,
      .help = "The way of a transaction to the Merkle root of its block, in the form of the TSC "
              "standard (BRC-10). " WHERE_FOUND,
      .result = "{index, txOrId, targetType (unless \"hash\"), target, "
                "nodes:[\"hash\" or \"*\"...]}",
      .example = "\"\" 4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
      .params = { { "blockhash", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "The block, or \"\" to look for it" },
                  { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "includeFullTx", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "The whole transaction rather than its id (default false)" },
                  { "targetType", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "\"hash\", \"header\" or \"merkleroot\" (default \"hash\")" },
                  { "format", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "\"json\"" } } },
    { .name = "verifymerkleproof",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifymerkleproof,
      .help = "Whether a proof of getmerkleproof holds: its way leads to the Merkle root of a "
              "block we know and is as long as the tree of that block is deep. The target needs no "
              "more than merkleroot; with hash it is that of one block.",
      .result = "true or false",
      .example = "'{\"flags\":2, \"index\":1, \"txOrId\":\"...\", "
                 "\"target\":{\"merkleroot\":\"...\"}, \"nodes\":[\"*\"]}'",
      .params = { { "proof", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON, "The proof" } } },
};
const struct rpc_group rpc_proof_commands = { rows, COUNT_OF(rows) };
