#include "script/error.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *message;
} table[SCRIPT_ERR_VERDICTS] = {
    [SCRIPT_OK] = { "OK", "No error" },
    [SCRIPT_ERR_UNKNOWN_ERROR] = { "UNKNOWN_ERROR", "unknown error" },
    [SCRIPT_ERR_EVAL_FALSE] = { "EVAL_FALSE",
        "Script evaluated without error but finished with a false/empty top stack element" },
    [SCRIPT_ERR_OP_RETURN] = { "OP_RETURN", "OP_RETURN was encountered" },
    [SCRIPT_ERR_SCRIPT_SIZE] = { "SCRIPT_SIZE", "Script is too big" },
    [SCRIPT_ERR_PUSH_SIZE] = { "PUSH_SIZE", "Push value size limit exceeded" },
    [SCRIPT_ERR_OP_COUNT] = { "OP_COUNT", "Operation limit exceeded" },
    [SCRIPT_ERR_STACK_SIZE] = { "STACK_SIZE", "Stack size limit exceeded" },
    [SCRIPT_ERR_SIG_COUNT] = { "SIG_COUNT",
        "Signature count negative or greater than pubkey count" },
    [SCRIPT_ERR_PUBKEY_COUNT] = { "PUBKEY_COUNT", "Pubkey count negative or limit exceeded" },
    [SCRIPT_ERR_INVALID_OPERAND_SIZE] = { "INVALID_OPERAND_SIZE", "Invalid operand size" },
    [SCRIPT_ERR_INVALID_NUMBER_RANGE] = { "INVALID_NUMBER_RANGE",
        "Given operand is not a number within the valid range [-2^31...2^31]" },
    [SCRIPT_ERR_IMPOSSIBLE_ENCODING] = { "IMPOSSIBLE_ENCODING",
        "The requested encoding is impossible to satisfy" },
    [SCRIPT_ERR_INVALID_SPLIT_RANGE] = { "INVALID_SPLIT_RANGE", "Invalid OP_SPLIT range" },
    [SCRIPT_ERR_SCRIPTNUM_OVERFLOW] = { "SCRIPTNUM_OVERFLOW", "Script number overflow" },
    [SCRIPT_ERR_SCRIPTNUM_MINENCODE] = { "SCRIPTNUM_MINENCODE",
        "Non-minimally encoded script number" },
    [SCRIPT_ERR_VERIFY] = { "VERIFY", "Script failed an OP_VERIFY operation" },
    [SCRIPT_ERR_EQUALVERIFY] = { "EQUALVERIFY", "Script failed an OP_EQUALVERIFY operation" },
    [SCRIPT_ERR_CHECKMULTISIGVERIFY] = { "CHECKMULTISIGVERIFY",
        "Script failed an OP_CHECKMULTISIGVERIFY operation" },
    [SCRIPT_ERR_CHECKSIGVERIFY] = { "CHECKSIGVERIFY",
        "Script failed an OP_CHECKSIGVERIFY operation" },
    [SCRIPT_ERR_NUMEQUALVERIFY] = { "NUMEQUALVERIFY",
        "Script failed an OP_NUMEQUALVERIFY operation" },
    [SCRIPT_ERR_BAD_OPCODE] = { "BAD_OPCODE", "Opcode missing or not understood" },
    [SCRIPT_ERR_DISABLED_OPCODE] = { "DISABLED_OPCODE", "Attempted to use a disabled opcode" },
    [SCRIPT_ERR_INVALID_STACK_OPERATION] = { "INVALID_STACK_OPERATION",
        "Operation not valid with the current stack size" },
    [SCRIPT_ERR_INVALID_ALTSTACK_OPERATION] = { "INVALID_ALTSTACK_OPERATION",
        "Operation not valid with the current altstack size" },
    [SCRIPT_ERR_UNBALANCED_CONDITIONAL] = { "UNBALANCED_CONDITIONAL",
        "Invalid OP_IF construction" },
    [SCRIPT_ERR_DIV_BY_ZERO] = { "DIV_BY_ZERO", "Division by zero error" },
    [SCRIPT_ERR_MOD_BY_ZERO] = { "MOD_BY_ZERO", "Modulo by zero error" },
    [SCRIPT_ERR_NEGATIVE_LOCKTIME] = { "NEGATIVE_LOCKTIME", "Negative locktime" },
    [SCRIPT_ERR_UNSATISFIED_LOCKTIME] = { "UNSATISFIED_LOCKTIME",
        "Locktime requirement not satisfied" },
    [SCRIPT_ERR_SIG_HASHTYPE] = { "SIG_HASHTYPE",
        "Signature hash type missing or not understood" },
    [SCRIPT_ERR_SIG_DER] = { "SIG_DER", "Non-canonical DER signature" },
    [SCRIPT_ERR_MINIMALDATA] = { "MINIMALDATA", "Data push larger than necessary" },
    [SCRIPT_ERR_SIG_PUSHONLY] = { "SIG_PUSHONLY",
        "Only non-push operators allowed in signatures" },
    [SCRIPT_ERR_SIG_HIGH_S] = { "SIG_HIGH_S",
        "Non-canonical signature: S value is unnecessarily high" },
    [SCRIPT_ERR_SIG_NULLDUMMY] = { "SIG_NULLDUMMY", "Dummy CHECKMULTISIG argument must be zero" },
    [SCRIPT_ERR_PUBKEYTYPE] = { "PUBKEYTYPE",
        "Public key is neither compressed or uncompressed" },
    [SCRIPT_ERR_CLEANSTACK] = { "CLEANSTACK", "Script did not clean its stack" },
    [SCRIPT_ERR_MINIMALIF] = { "MINIMALIF", "OP_IF/NOTIF argument must be minimal" },
    [SCRIPT_ERR_SIG_NULLFAIL] = { "SIG_NULLFAIL",
        "Signature must be zero for failed CHECK(MULTI)SIG operation" },
    [SCRIPT_ERR_DISCOURAGE_UPGRADABLE_NOPS] = { "DISCOURAGE_UPGRADABLE_NOPS",
        "NOPx reserved for soft-fork upgrades" },
    [SCRIPT_ERR_NONCOMPRESSED_PUBKEY] = { "NONCOMPRESSED_PUBKEY",
        "Using non-compressed public key" },
    [SCRIPT_ERR_ILLEGAL_FORKID] = { "ILLEGAL_FORKID", "Illegal use of SIGHASH_FORKID" },
    [SCRIPT_ERR_MUST_USE_FORKID] = { "MUST_USE_FORKID", "Signature must use SIGHASH_FORKID" },
    [SCRIPT_ERR_ILLEGAL_CHRONICLE] = { "ILLEGAL_CHRONICLE", "Illegal use of SIGHASH_CHRONICLE" },
    [SCRIPT_ERR_BIG_INT] = { "BIG_INT", "Big integer OpenSSL error" },
    [SCRIPT_ERR_INVALID_FLAGS] = { "INVALID_FLAGS", "Invalid script flags" },
};

const char *script_err_name(enum script_err err)
{
    if (err == SCRIPT_ERR_CANCELLED)
        return "CANCELLED";
    if (err == SCRIPT_ERR_NOMEM)
        return "NOMEM";
    return err < SCRIPT_ERR_VERDICTS ? table[err].name : "UNKNOWN_ERROR";
}

const char *script_err_message(enum script_err err)
{
    if (err == SCRIPT_ERR_CANCELLED)
        return "evaluation was stopped";
    if (err == SCRIPT_ERR_NOMEM)
        return "out of memory during evaluation";
    return err < SCRIPT_ERR_VERDICTS ? table[err].message : "unknown error";
}
