#include "rpc/block_json.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

double block_difficulty(uint32_t bits)
{
    int shift = (int)(bits >> 24);
    double d = 65535.0 / (double)(bits & 0x00ffffff);
    for (; shift < 29; shift++)
        d *= 256.0;
    for (; shift > 29; shift--)
        d /= 256.0;
    return d;
}

int32_t block_confirmations(struct chain *c, struct header_node *node)
{
    struct header_node *tip = header_index_tip(chain_headers(c));
    if (!tip || !header_index_is_active(chain_headers(c), node))
        return -1;
    return tip->height - node->height + 1;
}

enum script_era block_era(struct chain *c, int32_t height)
{
    return script_era_of(&chain_get_params(c)->heights, height);
}

static const char *validity_name(uint32_t status)
{
    if (status & HS_SCRIPTS_OK)
        return "scripts";
    return status & HS_TX_CHECKED ? "transactions" : "tree";
}

static void put_status(struct json_writer *w, uint32_t status)
{
    jw_key(w, "status");
    jw_object_open(w);
    jw_put_text(w, "validity", validity_name(status));
    jw_put_bool(w, "data", status & HS_HAVE_DATA);
    jw_put_bool(w, "undo", status & HS_HAVE_UNDO);
    jw_put_bool(w, "failed", status & HS_FAILED);
    jw_put_bool(w, "parent failed", status & HS_FAILED_PARENT);
    jw_put_bool(w, "disk meta", status & HS_HAVE_DATA); /* size is kept with the position */
    jw_put_bool(w, "soft reject", false); /* of the reference alone, like the next */
    jw_put_bool(w, "double spend", false);
    jw_put_bool(w, "soft consensus frozen", status & HS_HELD);
    jw_object_close(w);
}

void jw_put_header(struct json_writer *w, struct chain *c, struct header_node *node)
{
    struct header_data d;
    char work[65];
    header_index_get_data(chain_headers(c), node, &d);
    int32_t confirmations = block_confirmations(c, node);
    struct header_node *next =
        confirmations > 1 ? header_index_at(chain_headers(c), node->height + 1) : NULL;
    jw_put_hash(w, "hash", node->hash.b);
    jw_put_i64(w, "confirmations", confirmations);
    if (d.data.size)
        jw_put_u64(w, "size", d.data.size);
    jw_put_i64(w, "height", node->height);
    jw_put_i64(w, "version", node->version);
    jw_put_hex_u32(w, "versionHex", (uint32_t)node->version);
    jw_put_hash(w, "merkleroot", node->merkle_root.b);
    if (d.tx_count)
        jw_put_u64(w, "num_tx", d.tx_count);
    jw_put_u64(w, "time", node->time);
    jw_put_u64(w, "mediantime", header_median_time(node));
    jw_put_u64(w, "nonce", node->nonce);
    jw_put_hex_u32(w, "bits", node->bits);
    jw_put_double(w, "difficulty", block_difficulty(node->bits));
    jw_put_text(w, "chainwork", u256_to_hex(work, &node->work));
    if (node->prev)
        jw_put_hash(w, "previousblockhash", node->prev->hash.b);
    if (next && next->prev == node)
        jw_put_hash(w, "nextblockhash", next->hash.b);
    put_status(w, d.status);
}

struct header_node *rpc_block(struct rpc_call *call, size_t i)
{
    struct block_hash hash;
    rpc_hash(call, i, hash.b);
    struct header_node *node = header_index_find(chain_headers(call->env->chain), &hash);
    if (!node)
        rpc_fail(call, RPC_NOT_FOUND, "Block not found");
    return node;
}

struct header_node *rpc_block_at(struct rpc_call *call, size_t i)
{
    int64_t height = rpc_int(call, i, 0);
    struct header_node *node =
        height < 0 || height > INT32_MAX
            ? NULL
            : header_index_at(chain_headers(call->env->chain), (int32_t)height);
    if (!node)
        rpc_fail(call, RPC_INVALID_PARAMETER, "Block height out of range");
    return node;
}

struct rpc_result rpc_fail_block(struct rpc_call *call, const struct header_node *node,
                                 const struct error *e)
{
    char hex[HASH_HEX_SIZE];
    if (e->code != ERR_NOTFOUND)
        return rpc_fail_error(call, e);
    return rpc_fail(call, RPC_MISC_ERROR, "Block file %s not available.",
                    hash_to_hex(hex, node->hash.b));
}

static int verbosity_of_text(const char *text, const char *const *names)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return *text == 't';
    int n = 0;
    for (; names[n]; n++)
        if (strcmp(text, names[n]) == 0)
            return n;
    if (text[0] >= '0' && text[0] <= '9' && !text[1])
        return text[0] - '0' < n ? text[0] - '0' : -1;
    return -1;
}

bool rpc_verbosity(struct rpc_call *call, size_t i, int def, const char *const *names, int *out)
{
    struct json_object *v = call->argv[i];
    enum json_type type = json_object_get_type(v);
    int highest = 0;
    while (names[highest + 1])
        highest++;
    *out = def;
    if (type == json_type_null)
        return true;
    if (type == json_type_boolean)
        *out = json_object_get_boolean(v);
    else if (type == json_type_int)
        *out = json_object_get_int(v);
    else if (type == json_type_string)
        *out = verbosity_of_text(json_object_get_string(v), names);
    else
        *out = -1;
    if (*out >= 0 && *out <= highest)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "Verbosity value out of range: allowed is 0 to %d",
             highest);
    return false;
}
