/* Keys and addresses without a wallet: multisig addresses, signed messages. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/base64.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/signed_message.h"
#include "chain/chain.h"
#include "rpc/keys.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"

/* A push of before Genesis: outputs of then alone are spent by showing a script. */
#define REDEEM_SCRIPT_MAX 520

/* --- createmultisig ------------------------------------------------------------------------- */

static bool put_public_key(struct buf *script, struct json_object *v)
{
    uint8_t key[65];
    size_t len;
    if (json_object_get_type(v) != json_type_string ||
        !hex_decode(key, sizeof key, json_object_get_string(v),
                    (size_t)json_object_get_string_len(v), &len) ||
        !ec_pubkey_valid(key, len))
        return false;
    script_put_data(script, key, len);
    return true;
}

/* m <key> ... n CHECKMULTISIG. False: call has failed. */
static bool put_multisig(struct rpc_call *call, struct buf *script)
{
    int64_t required = rpc_int(call, 0, 0);
    size_t n = json_object_array_length(call->argv[1]);
    if (required < 1 || n > SCRIPT_MULTISIG_KEYS_MAX || (uint64_t)required > n) {
        rpc_fail(call, RPC_MISC_ERROR,
                 "nrequired must be 1 or more and at most the number of keys, which is %zu and may "
                 "be %d at most",
                 n, SCRIPT_MULTISIG_KEYS_MAX);
        return false;
    }
    script_put_num(script, required);
    for (size_t i = 0; i < n; i++)
        if (!put_public_key(script, json_object_array_get_idx(call->argv[1], i))) {
            rpc_fail(call, RPC_MISC_ERROR, "Invalid public key: keys[%zu] must be 33 or 65 bytes "
                                           "in hex (an address needs a wallet)", i);
            return false;
        }
    script_put_num(script, (int64_t)n);
    script_put_op(script, OP_CHECKMULTISIG);
    if (script->len <= REDEEM_SCRIPT_MAX)
        return true;
    rpc_fail(call, RPC_MISC_ERROR, "redeemScript exceeds size limit: %zu > %d", script->len,
             REDEEM_SCRIPT_MAX);
    return false;
}

static struct rpc_result cmd_createmultisig(struct rpc_call *call)
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    char text[ADDRESS_TEXT_MAX];
    uint8_t hash[20];
    struct buf script;
    buf_init(&script);
    bool good = put_multisig(call, &script);
    if (good) {
        hash160(hash, script.data, script.len);
        jw_object_open(call->out);
        jw_put_text(call->out, "address", address_encode(text, p->script_address_version, hash));
        jw_put_hex(call->out, "redeemScript", script.data, script.len);
        jw_object_close(call->out);
    }
    buf_clear(&script);
    return good ? rpc_done() : rpc_failed(call);
}

/* --- signed messages ------------------------------------------------------------------------ */

/* A signature of another length is Base64 all the same: no key made it. */
static struct rpc_result verify_message(struct rpc_call *call, const uint8_t address[20],
                                        struct buf *sig)
{
    uint8_t signer[20];
    size_t room = (size_t)json_object_get_string_len(call->argv[1]);
    if (!buf_try_reserve(sig, room))
        return rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the signature");
    size_t len = base64_decode(sig->data, room, rpc_text(call, 1, ""));
    if (len == SIZE_MAX)
        return rpc_fail(call, RPC_NOT_FOUND, "Malformed base64 encoding");
    jw_bool(call->out, len == EC_COMPACT_SIZE &&
                           signed_message_recover(
                               signer, sig->data, rpc_text(call, 2, ""),
                               (size_t)json_object_get_string_len(call->argv[2])) &&
                           mem_equal_var(signer, address, sizeof signer));
    return rpc_done();
}

static struct rpc_result cmd_verifymessage(struct rpc_call *call)
{
    uint8_t address[20];
    struct buf sig;
    if (!rpc_key_address(call, rpc_text(call, 0, ""), address))
        return rpc_failed(call);
    buf_init(&sig);
    struct rpc_result result = verify_message(call, address, &sig);
    buf_clear(&sig);
    return result;
}

static struct rpc_result cmd_signmessagewithprivkey(struct rpc_call *call)
{
    struct private_key k;
    uint8_t sig[EC_COMPACT_SIZE];
    struct buf text;
    if (!rpc_private_key(call, rpc_text(call, 0, ""), &k))
        return rpc_failed(call);
    bool good = signed_message_sign(sig, &k, rpc_text(call, 1, ""),
                                    (size_t)json_object_get_string_len(call->argv[1]));
    private_key_wipe(&k);
    if (!good)
        return rpc_fail(call, RPC_NOT_FOUND, "Sign failed");
    buf_init(&text);
    base64_encode(&text, sig, sizeof sig);
    jw_text_n(call->out, (const char *)text.data, text.len);
    buf_clear(&text);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "createmultisig",
      .category = "util",
      .where = RPC_ON_WORKER,
      .fn = cmd_createmultisig,
      .help = "A script that wants n signatures of m keys, and its address (spendable only with "
              "outputs of before Genesis).",
      .result = "{address, redeemScript}",
      .example = "2 '[\"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\","
                 "\"02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5\"]'",
      .params = { { "nrequired", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "Signatures needed" },
                  { "keys", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON, "Public keys in hex" } } },
    { .name = "verifymessage",
      .category = "util",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifymessage,
      .help = "Was a message signed with the key of an address?",
      .result = "true|false",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"signature\" \"my message\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The address" },
                  { "signature", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The signature, Base64" },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" } } },
    { .name = "signmessagewithprivkey",
      .category = "util",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_signmessagewithprivkey,
      .help = "Signs a message with a private key.",
      .result = "\"signature\" (string) Base64",
      .example = "\"privkey\" \"my message\"",
      .params = { { "privkey", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The key (WIF)" },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" } } },
};
const struct rpc_group rpc_keys_commands = { rows, COUNT_OF(rows) };
