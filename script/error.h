/*
 * Verdicts of script evaluation. Values 0..46 and names are the reference's (spec consensus 4.10):
 * names appear in test vectors, messages in reject reasons. Two further values are no verdict at
 * all: the evaluation could not be finished, and nothing may be concluded about the transaction.
 * Pure functions, any thread.
 */
#ifndef SCRIPT_ERROR_H
#define SCRIPT_ERROR_H

#include <stdbool.h>

enum script_err {
    SCRIPT_OK,
    SCRIPT_ERR_UNKNOWN_ERROR,
    SCRIPT_ERR_EVAL_FALSE,
    SCRIPT_ERR_OP_RETURN,
    SCRIPT_ERR_SCRIPT_SIZE,
    SCRIPT_ERR_PUSH_SIZE,
    SCRIPT_ERR_OP_COUNT,
    SCRIPT_ERR_STACK_SIZE,
    SCRIPT_ERR_SIG_COUNT,
    SCRIPT_ERR_PUBKEY_COUNT,
    SCRIPT_ERR_INVALID_OPERAND_SIZE,
    SCRIPT_ERR_INVALID_NUMBER_RANGE,
    SCRIPT_ERR_IMPOSSIBLE_ENCODING,
    SCRIPT_ERR_INVALID_SPLIT_RANGE,
    SCRIPT_ERR_SCRIPTNUM_OVERFLOW,
    SCRIPT_ERR_SCRIPTNUM_MINENCODE,
    SCRIPT_ERR_VERIFY,
    SCRIPT_ERR_EQUALVERIFY,
    SCRIPT_ERR_CHECKMULTISIGVERIFY,
    SCRIPT_ERR_CHECKSIGVERIFY,
    SCRIPT_ERR_NUMEQUALVERIFY,
    SCRIPT_ERR_BAD_OPCODE,
    SCRIPT_ERR_DISABLED_OPCODE,
    SCRIPT_ERR_INVALID_STACK_OPERATION,
    SCRIPT_ERR_INVALID_ALTSTACK_OPERATION,
    SCRIPT_ERR_UNBALANCED_CONDITIONAL,
    SCRIPT_ERR_DIV_BY_ZERO,
    SCRIPT_ERR_MOD_BY_ZERO,
    SCRIPT_ERR_NEGATIVE_LOCKTIME,
    SCRIPT_ERR_UNSATISFIED_LOCKTIME,
    SCRIPT_ERR_SIG_HASHTYPE,
    SCRIPT_ERR_SIG_DER,
    SCRIPT_ERR_MINIMALDATA,
    SCRIPT_ERR_SIG_PUSHONLY,
    SCRIPT_ERR_SIG_HIGH_S,
    SCRIPT_ERR_SIG_NULLDUMMY,
    SCRIPT_ERR_PUBKEYTYPE,
    SCRIPT_ERR_CLEANSTACK,
    SCRIPT_ERR_MINIMALIF,
    SCRIPT_ERR_SIG_NULLFAIL,
    SCRIPT_ERR_DISCOURAGE_UPGRADABLE_NOPS,
    SCRIPT_ERR_NONCOMPRESSED_PUBKEY,
    SCRIPT_ERR_ILLEGAL_FORKID,
    SCRIPT_ERR_MUST_USE_FORKID,
    SCRIPT_ERR_ILLEGAL_CHRONICLE,
    SCRIPT_ERR_BIG_INT,
    SCRIPT_ERR_INVALID_FLAGS,
    SCRIPT_ERR_VERDICTS,        /* how many verdicts there are */

    SCRIPT_ERR_CANCELLED = 100, /* the cancel token was set: no verdict */
    SCRIPT_ERR_NOMEM = 101,     /* memory for a large element was short: no verdict */
};

/* False for the two values that say nothing about the script. */
static inline bool script_err_is_verdict(enum script_err err)
{
    return err != SCRIPT_ERR_CANCELLED && err != SCRIPT_ERR_NOMEM;
}

/* "EVAL_FALSE", as test vectors and the reference's sources have it. */
const char *script_err_name(enum script_err err);
/* The text in "mandatory-script-verify-flag-failed (...)". */
const char *script_err_message(enum script_err err);

#endif
