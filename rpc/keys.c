#include "rpc/keys.h"

#include "base/address.h"
#include "chain/chain.h"
#include "script/template.h"

bool address_to_script(const struct chain_params *p, const char *text, struct buf *script)
{
    uint8_t version, hash[20];
    if (!address_decode(text, &version, hash))
        return false;
    if (version == p->address_version)
        script_make_p2pkh(buf_extend(script, SCRIPT_P2PKH_SIZE), hash);
    else if (version == p->script_address_version)
        script_make_p2sh(buf_extend(script, SCRIPT_P2SH_SIZE), hash);
    else
        return false;
    return true;
}

bool rpc_key_address(struct rpc_call *call, const char *text, uint8_t hash[20])
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    uint8_t version;
    if (!address_decode(text, &version, hash))
        rpc_fail(call, RPC_TYPE_ERROR, "Invalid address");
    else if (version == p->script_address_version)
        rpc_fail(call, RPC_TYPE_ERROR, "Address does not refer to key");
    else if (version != p->address_version)
        rpc_fail(call, RPC_TYPE_ERROR, "Invalid address: of another network");
    else
        return true;
    return false;
}

bool rpc_private_key(struct rpc_call *call, const char *text, struct private_key *k)
{
    switch (wif_decode(k, chain_get_params(call->env->chain)->secret_version, text)) {
    case WIF_OK:
        return true;
    case WIF_BAD_TEXT:
        rpc_fail(call, RPC_NOT_FOUND, "Invalid private key");
        return false;
    case WIF_BAD_KEY:
        rpc_fail(call, RPC_NOT_FOUND, "Private key outside allowed range");
        return false;
    }
    return false;
}
