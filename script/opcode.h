/*
 * The 256 opcodes: byte values, and one table row each with what the interpreter and the
 * disassembler need (spec consensus 4.6). Constant data, any thread.
 */
#ifndef SCRIPT_OPCODE_H
#define SCRIPT_OPCODE_H

#include <stdint.h>

#include "script/error.h"
#include "script/flags.h"

enum opcode {
    OP_0 = 0x00, OP_PUSHDATA1 = 0x4c, OP_PUSHDATA2 = 0x4d, OP_PUSHDATA4 = 0x4e, OP_1NEGATE = 0x4f,
    OP_RESERVED = 0x50, OP_1 = 0x51, OP_2, OP_3, OP_4, OP_5, OP_6, OP_7, OP_8, OP_9, OP_10, OP_11,
    OP_12, OP_13, OP_14, OP_15, OP_16 = 0x60,

    OP_NOP = 0x61, OP_VER, OP_IF, OP_NOTIF, OP_VERIF, OP_VERNOTIF, OP_ELSE, OP_ENDIF, OP_VERIFY,
    OP_RETURN = 0x6a,

    OP_TOALTSTACK = 0x6b, OP_FROMALTSTACK, OP_2DROP, OP_2DUP, OP_3DUP, OP_2OVER, OP_2ROT, OP_2SWAP,
    OP_IFDUP, OP_DEPTH, OP_DROP, OP_DUP, OP_NIP, OP_OVER, OP_PICK, OP_ROLL, OP_ROT, OP_SWAP,
    OP_TUCK = 0x7d,

    OP_CAT = 0x7e, OP_SPLIT, OP_NUM2BIN, OP_BIN2NUM, OP_SIZE = 0x82,

    OP_INVERT = 0x83, OP_AND, OP_OR, OP_XOR, OP_EQUAL, OP_EQUALVERIFY, OP_RESERVED1,
    OP_RESERVED2 = 0x8a,

    OP_1ADD = 0x8b, OP_1SUB, OP_2MUL, OP_2DIV, OP_NEGATE, OP_ABS, OP_NOT, OP_0NOTEQUAL, OP_ADD,
    OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_LSHIFT, OP_RSHIFT, OP_BOOLAND, OP_BOOLOR, OP_NUMEQUAL,
    OP_NUMEQUALVERIFY, OP_NUMNOTEQUAL, OP_LESSTHAN, OP_GREATERTHAN, OP_LESSTHANOREQUAL,
    OP_GREATERTHANOREQUAL, OP_MIN, OP_MAX, OP_WITHIN = 0xa5,

    OP_RIPEMD160 = 0xa6, OP_SHA1, OP_SHA256, OP_HASH160, OP_HASH256, OP_CODESEPARATOR, OP_CHECKSIG,
    OP_CHECKSIGVERIFY, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY = 0xaf,

    OP_NOP1 = 0xb0, OP_CHECKLOCKTIMEVERIFY, OP_CHECKSEQUENCEVERIFY, OP_SUBSTR, OP_LEFT, OP_RIGHT,
    OP_LSHIFTNUM, OP_RSHIFTNUM, OP_NOP9, OP_NOP10 = 0xb9,
};

struct interp;
typedef enum script_err (*opcode_fn)(struct interp *ip);

struct opcode_info {
    const char *name;      /* as in RPC output; NULL: undefined */
    opcode_fn run;         /* NULL for pushes 0x00 to 0x4e, which the loop does itself */
    uint8_t min_stack;     /* elements needed when run, else INVALID_STACK_OPERATION */
    uint8_t enabled_from;  /* enum script_era of the output: earlier, the opcode is disabled */
};

extern const struct opcode_info opcode_table[256];

/* "OP_ADD", "0", "-1", "16", "OP_UNKNOWN". */
const char *opcode_name(uint8_t code);

#endif
