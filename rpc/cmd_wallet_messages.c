/* Messages signed and encrypted with keys of a wallet. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/signed_message.h"
#include "base/utf8.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/keys.h"
#include "rpc/wallet_call.h"
#include "script/template.h"
#include "wallet/brc77.h"
#include "wallet/brc78.h"

/* --- parameters ----------------------------------------------------------------------------- */

static struct span text_of(const struct rpc_call *call, size_t i)
{
    return json_get_span(call->argv[i]);
}

/* False: call has failed. */
static bool public_key(struct rpc_call *call, size_t i, uint8_t out[EC_PUBKEY_SIZE])
{
    return rpc_wallet_pubkey(call, "Invalid public key", text_of(call, i), out);
}

/* False: call has failed. */
static bool decode_base64(struct rpc_call *call, size_t i, struct buf *out)
{
    const size_t room = text_of(call, i).len;
    if (!buf_try_reserve(out, room)) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the message");
        return false;
    }
    const size_t len = base64_decode(out->data, room, rpc_text(call, i, ""));
    if (len == SIZE_MAX) {
        rpc_fail(call, RPC_NOT_FOUND, "Malformed base64 encoding");
        return false;
    }
    out->len = len;
    return true;
}

static void answer_base64(struct rpc_call *call, struct span data)
{
    struct buf text;
    buf_init(&text);
    base64_encode(&text, data.data, data.len);
    jw_text_n(call->out, (const char *)text.data, text.len);
    buf_clear(&text);
}

/* --- keys of the wallet --------------------------------------------------------------------- */

static bool has_secret(struct rpc_call *call, struct wallet *w, const struct wallet_key *key,
                       struct private_key *k)
{
    struct error e = { .code = OK };
    if (wallet_get_secret(w, key, k->secret, &e)) {
        private_key_wipe(k);
        rpc_wallet_fail(call, &e);
        return false;
    }
    k->compressed = key->key_len == EC_PUBKEY_SIZE;
    return true;
}

/* The secret of an address; the caller wipes. False: call has failed. */
static bool key_of_address(struct rpc_call *call, struct wallet *w, size_t i,
                           struct private_key *k)
{
    uint8_t hash[20], script[SCRIPT_P2PKH_SIZE];
    struct wallet_key key;
    if (!rpc_key_address(call, rpc_text(call, i, ""), hash))
        return false;
    script_make_p2pkh(script, hash);
    if (wallet_find_key(w, span_of(script, sizeof script), &key) && key.spendable)
        return has_secret(call, w, &key, k);
    rpc_fail(call, RPC_WALLET_ERROR, "Private key not available");
    return false;
}

static bool find_public(struct wallet *w, const uint8_t pub[EC_PUBKEY_SIZE],
                        struct wallet_key *key)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    script_make_for_key(script, span_of(pub, EC_PUBKEY_SIZE));
    return wallet_find_key(w, span_of(script, sizeof script), key) && key->spendable;
}

/* --- signmessage ---------------------------------------------------------------------------- */

static struct rpc_result sign_message(struct rpc_call *call, struct wallet *w)
{
    const struct span message = text_of(call, 1);
    uint8_t sig[EC_COMPACT_SIZE];
    struct private_key k;
    if (!key_of_address(call, w, 0, &k))
        return rpc_failed(call);
    const bool good = signed_message_sign(sig, &k, message.data, message.len);
    private_key_wipe(&k);
    if (!good)
        return rpc_fail(call, RPC_NOT_FOUND, "Sign failed");
    answer_base64(call, span_of(sig, sizeof sig));
    return rpc_done();
}

static struct rpc_result cmd_signmessage(struct rpc_call *call)
{
    return rpc_with_wallet(call, sign_message);
}

/* --- BRC-77 --------------------------------------------------------------------------------- */

static struct rpc_result sign_brc77(struct rpc_call *call, struct wallet *w)
{
    const bool for_one = rpc_has(call, 2);
    uint8_t verifier[EC_PUBKEY_SIZE];
    struct error e = { .code = OK };
    struct private_key k;
    struct brc77 s;
    struct buf out;
    if ((for_one && !public_key(call, 2, verifier)) || !key_of_address(call, w, 0, &k))
        return rpc_failed(call);
    const enum err rc = brc77_sign(&s, k.secret, for_one ? verifier : NULL, text_of(call, 1), &e);
    private_key_wipe(&k);
    if (rc)
        return rpc_fail(call, RPC_NOT_FOUND, "Sign failed: %s", e.text);
    buf_init(&out);
    brc77_write(&out, &s);
    answer_base64(call, buf_span(&out));
    buf_clear(&out);
    return rpc_done();
}

static struct rpc_result cmd_brc77sign(struct rpc_call *call)
{
    return rpc_with_wallet(call, sign_brc77);
}

/* A signature for one verifier is checked with the verifier's key. False: call has failed. */
static bool verifier_key(struct rpc_call *call, const struct brc77 *s, struct private_key *k)
{
    struct wallet *w = rpc_wallet(call);
    struct wallet_key key;
    bool good = false;
    if (!w)
        return false;
    if (find_public(w, s->verifier, &key))
        good = has_secret(call, w, &key, k);
    else
        rpc_fail(call, RPC_WALLET_ERROR,
                 "Private key not available: the message was signed for another verifier");
    wallet_unref(w);
    return good;
}

static struct rpc_result verify_brc77(struct rpc_call *call, const uint8_t signer[20],
                                      const struct brc77 *s)
{
    struct private_key k = { .compressed = true };
    struct error e = { .code = OK };
    uint8_t hash[20];
    bool valid;
    if (!s->for_anyone && !verifier_key(call, s, &k))
        return rpc_failed(call);
    const enum err rc = brc77_verify(&valid, s, s->for_anyone ? NULL : k.secret, text_of(call, 2),
                                     &e);
    private_key_wipe(&k);
    if (rc)
        return rpc_wallet_fail(call, &e);
    hash160(hash, s->signer, sizeof s->signer);
    jw_bool(call->out, valid && mem_equal_var(hash, signer, sizeof hash));
    return rpc_done();
}

static struct rpc_result cmd_brc77verify(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct rpc_result r = { RPC_FAILED };
    struct brc77 s;
    struct buf data;
    uint8_t signer[20];
    if (!rpc_key_address(call, rpc_text(call, 0, ""), signer))
        return rpc_failed(call);
    buf_init(&data);
    if (decode_base64(call, 1, &data))
        r = brc77_read(&s, buf_span(&data), &e)
                ? rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Invalid signature: %s", e.text)
                : verify_brc77(call, signer, &s);
    buf_clear(&data);
    return r;
}

/* --- BRC-78 --------------------------------------------------------------------------------- */

static struct rpc_result encrypt(struct rpc_call *call, struct wallet *w)
{
    uint8_t recipient[EC_PUBKEY_SIZE];
    struct error e = { .code = OK };
    struct private_key k;
    struct buf out;
    if (!public_key(call, 1, recipient) || !key_of_address(call, w, 0, &k))
        return rpc_failed(call);
    buf_init(&out);
    const enum err rc = brc78_encrypt(&out, k.secret, recipient, text_of(call, 2), &e);
    private_key_wipe(&k);
    if (!rc)
        answer_base64(call, buf_span(&out));
    buf_clear(&out);
    if (rc == ERR_RANGE)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "%s", e.text);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_brc78encrypt(struct rpc_call *call)
{
    return rpc_with_wallet(call, encrypt);
}

static void put_decrypted(struct rpc_call *call, const struct brc78 *m, struct span plain)
{
    struct json_writer *out = call->out;
    jw_object_open(out);
    jw_put_hex(out, "sender", m->sender, sizeof m->sender);
    jw_put_hex(out, "recipient", m->recipient, sizeof m->recipient);
    if (utf8_valid(plain.data, plain.len)) {
        jw_key(out, "message");
        jw_text_n(out, (const char *)plain.data, plain.len);
    }
    jw_put_hex(out, "hex", plain.data, plain.len);
    jw_object_close(out);
}

static struct rpc_result open_brc78(struct rpc_call *call, struct wallet *w, const struct brc78 *m)
{
    struct error e = { .code = OK };
    struct wallet_key key;
    struct private_key k;
    struct buf plain;
    if (!find_public(w, m->recipient, &key) && !find_public(w, m->sender, &key))
        return rpc_fail(call, RPC_WALLET_ERROR,
                        "Private key not available: the message is neither to nor from this "
                        "wallet");
    if (!has_secret(call, w, &key, &k))
        return rpc_failed(call);
    buf_init(&plain);
    const enum err rc = brc78_decrypt(&plain, m, k.secret, &e);
    private_key_wipe(&k);
    if (!rc)
        put_decrypted(call, m, buf_span(&plain));
    buf_wipe(&plain);
    if (rc == ERR_AUTH)
        return rpc_fail(call, RPC_VERIFY_ERROR, "Decryption failed: the message was changed");
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result decrypt(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct rpc_result r = { RPC_FAILED };
    struct brc78 m;
    struct buf data;
    buf_init(&data);
    if (decode_base64(call, 0, &data))
        r = brc78_read(&m, buf_span(&data), &e)
                ? rpc_fail(call, RPC_DESERIALIZATION_ERROR, "Invalid message: %s", e.text)
                : open_brc78(call, w, &m);
    buf_clear(&data);
    return r;
}

static struct rpc_result cmd_brc78decrypt(struct rpc_call *call)
{
    return rpc_with_wallet(call, decrypt);
}

#define ADDRESS_HELP "An address of the wallet"

static const struct rpc_command rows[] = {
    { .name = "signmessage",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_signmessage,
      .help = "Signs a message with the key of an address; verifymessage checks it.",
      .result = "\"signature\" (string) Base64",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"my message\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, ADDRESS_HELP },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" } } },
    { .name = "brc77sign",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_brc77sign,
      .help = "Signs a message with the key of an address, for anyone or for one verifier, who "
              "alone can check it (BRC-77).",
      .result = "\"signature\" (string) Base64",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"my message\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, ADDRESS_HELP },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" },
                  { "verifier", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Public key of the verifier in hex (default: anyone)" } } },
    { .name = "brc77verify",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_brc77verify,
      .help = "Was a message signed with the key of an address (BRC-77)? What was signed for one "
              "verifier is checked with the verifier's key, which must be in the wallet.",
      .result = "true|false",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"signature\" \"my message\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Address of the signer" },
                  { "signature", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The signature, Base64" },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" } } },
    { .name = "brc78encrypt",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_brc78encrypt,
      .help = "Encrypts a message from the key of an address to a public key (BRC-78). Sender and "
              "recipient can read it.",
      .result = "\"message\" (string) Base64",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"recipient\" \"my message\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, ADDRESS_HELP },
                  { "recipient", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Public key in hex" },
                  { "message", RPC_MESSAGE, RPC_REQUIRED, RPC_CLI_TEXT, "The message" } } },
    { .name = "brc78decrypt",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_brc78decrypt,
      .help = "Reads an encrypted message (BRC-78) to or from a key of the wallet. message is left "
              "out when it is no text.",
      .result = "{sender, recipient, message?, hex}",
      .example = "\"message\"",
      .params = { { "message", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The message, Base64" } } },
};
const struct rpc_group rpc_wallet_messages_commands = { rows, COUNT_OF(rows) };
