#include "script/opcode.h"

#include "script/interp.h"

#define ROW(code, opcode_name, function, depth) \
    [code] = { .name = opcode_name, .run = function, .min_stack = depth }
#define CHRONICLE_ROW(code, opcode_name, function, depth)             \
    [code] = { .name = opcode_name, .run = function, .min_stack = depth, \
               .enabled_from = SCRIPT_ERA_CHRONICLE }
#define UNDEFINED { .name = NULL, .run = op_bad }
#define UNDEFINED_10                                                                       \
    UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, \
        UNDEFINED, UNDEFINED

/* spec consensus 4.6. Opcodes that were NOPs before Chronicle check their operands themselves. */
const struct opcode_info opcode_table[256] = {
    ROW(OP_0, "0", NULL, 0),
    ROW(OP_PUSHDATA1, "OP_PUSHDATA1", NULL, 0),
    ROW(OP_PUSHDATA2, "OP_PUSHDATA2", NULL, 0),
    ROW(OP_PUSHDATA4, "OP_PUSHDATA4", NULL, 0),
    ROW(OP_1NEGATE, "-1", op_push_small, 0),
    ROW(OP_RESERVED, "OP_RESERVED", op_bad, 0),
    ROW(OP_1, "1", op_push_small, 0),
    ROW(OP_2, "2", op_push_small, 0),
    ROW(OP_3, "3", op_push_small, 0),
    ROW(OP_4, "4", op_push_small, 0),
    ROW(OP_5, "5", op_push_small, 0),
    ROW(OP_6, "6", op_push_small, 0),
    ROW(OP_7, "7", op_push_small, 0),
    ROW(OP_8, "8", op_push_small, 0),
    ROW(OP_9, "9", op_push_small, 0),
    ROW(OP_10, "10", op_push_small, 0),
    ROW(OP_11, "11", op_push_small, 0),
    ROW(OP_12, "12", op_push_small, 0),
    ROW(OP_13, "13", op_push_small, 0),
    ROW(OP_14, "14", op_push_small, 0),
    ROW(OP_15, "15", op_push_small, 0),
    ROW(OP_16, "16", op_push_small, 0),

    ROW(OP_NOP, "OP_NOP", op_nop, 0),
    ROW(OP_VER, "OP_VER", op_ver, 0),
    ROW(OP_IF, "OP_IF", op_if, 0),
    ROW(OP_NOTIF, "OP_NOTIF", op_if, 0),
    ROW(OP_VERIF, "OP_VERIF", op_verif, 0),
    ROW(OP_VERNOTIF, "OP_VERNOTIF", op_verif, 0),
    ROW(OP_ELSE, "OP_ELSE", op_else, 0),
    ROW(OP_ENDIF, "OP_ENDIF", op_endif, 0),
    ROW(OP_VERIFY, "OP_VERIFY", op_verify, 1),
    ROW(OP_RETURN, "OP_RETURN", op_return, 0),

    ROW(OP_TOALTSTACK, "OP_TOALTSTACK", op_toalt, 1),
    ROW(OP_FROMALTSTACK, "OP_FROMALTSTACK", op_fromalt, 0),
    ROW(OP_2DROP, "OP_2DROP", op_2drop, 2),
    ROW(OP_2DUP, "OP_2DUP", op_2dup, 2),
    ROW(OP_3DUP, "OP_3DUP", op_3dup, 3),
    ROW(OP_2OVER, "OP_2OVER", op_2over, 4),
    ROW(OP_2ROT, "OP_2ROT", op_2rot, 6),
    ROW(OP_2SWAP, "OP_2SWAP", op_2swap, 4),
    ROW(OP_IFDUP, "OP_IFDUP", op_ifdup, 1),
    ROW(OP_DEPTH, "OP_DEPTH", op_depth, 0),
    ROW(OP_DROP, "OP_DROP", op_drop, 1),
    ROW(OP_DUP, "OP_DUP", op_dup, 1),
    ROW(OP_NIP, "OP_NIP", op_nip, 2),
    ROW(OP_OVER, "OP_OVER", op_over, 2),
    ROW(OP_PICK, "OP_PICK", op_pick_roll, 2),
    ROW(OP_ROLL, "OP_ROLL", op_pick_roll, 2),
    ROW(OP_ROT, "OP_ROT", op_rot, 3),
    ROW(OP_SWAP, "OP_SWAP", op_swap, 2),
    ROW(OP_TUCK, "OP_TUCK", op_tuck, 2),

    ROW(OP_CAT, "OP_CAT", op_cat, 2),
    ROW(OP_SPLIT, "OP_SPLIT", op_split, 2),
    ROW(OP_NUM2BIN, "OP_NUM2BIN", op_num2bin, 2),
    ROW(OP_BIN2NUM, "OP_BIN2NUM", op_bin2num, 1),
    ROW(OP_SIZE, "OP_SIZE", op_size, 1),

    ROW(OP_INVERT, "OP_INVERT", op_invert, 1),
    ROW(OP_AND, "OP_AND", op_bitwise, 2),
    ROW(OP_OR, "OP_OR", op_bitwise, 2),
    ROW(OP_XOR, "OP_XOR", op_bitwise, 2),
    ROW(OP_EQUAL, "OP_EQUAL", op_equal, 2),
    ROW(OP_EQUALVERIFY, "OP_EQUALVERIFY", op_equal, 2),
    ROW(OP_RESERVED1, "OP_RESERVED1", op_bad, 0),
    ROW(OP_RESERVED2, "OP_RESERVED2", op_bad, 0),

    ROW(OP_1ADD, "OP_1ADD", op_unary_num, 1),
    ROW(OP_1SUB, "OP_1SUB", op_unary_num, 1),
    CHRONICLE_ROW(OP_2MUL, "OP_2MUL", op_unary_num, 1),
    CHRONICLE_ROW(OP_2DIV, "OP_2DIV", op_unary_num, 1),
    ROW(OP_NEGATE, "OP_NEGATE", op_unary_num, 1),
    ROW(OP_ABS, "OP_ABS", op_unary_num, 1),
    ROW(OP_NOT, "OP_NOT", op_unary_num, 1),
    ROW(OP_0NOTEQUAL, "OP_0NOTEQUAL", op_unary_num, 1),
    ROW(OP_ADD, "OP_ADD", op_arithmetic, 2),
    ROW(OP_SUB, "OP_SUB", op_arithmetic, 2),
    ROW(OP_MUL, "OP_MUL", op_arithmetic, 2),
    ROW(OP_DIV, "OP_DIV", op_arithmetic, 2),
    ROW(OP_MOD, "OP_MOD", op_arithmetic, 2),
    ROW(OP_LSHIFT, "OP_LSHIFT", op_shift_bits, 2),
    ROW(OP_RSHIFT, "OP_RSHIFT", op_shift_bits, 2),
    ROW(OP_BOOLAND, "OP_BOOLAND", op_compare, 2),
    ROW(OP_BOOLOR, "OP_BOOLOR", op_compare, 2),
    ROW(OP_NUMEQUAL, "OP_NUMEQUAL", op_compare, 2),
    ROW(OP_NUMEQUALVERIFY, "OP_NUMEQUALVERIFY", op_compare, 2),
    ROW(OP_NUMNOTEQUAL, "OP_NUMNOTEQUAL", op_compare, 2),
    ROW(OP_LESSTHAN, "OP_LESSTHAN", op_compare, 2),
    ROW(OP_GREATERTHAN, "OP_GREATERTHAN", op_compare, 2),
    ROW(OP_LESSTHANOREQUAL, "OP_LESSTHANOREQUAL", op_compare, 2),
    ROW(OP_GREATERTHANOREQUAL, "OP_GREATERTHANOREQUAL", op_compare, 2),
    ROW(OP_MIN, "OP_MIN", op_min_max, 2),
    ROW(OP_MAX, "OP_MAX", op_min_max, 2),
    ROW(OP_WITHIN, "OP_WITHIN", op_within, 3),

    ROW(OP_RIPEMD160, "OP_RIPEMD160", op_hash, 1),
    ROW(OP_SHA1, "OP_SHA1", op_hash, 1),
    ROW(OP_SHA256, "OP_SHA256", op_hash, 1),
    ROW(OP_HASH160, "OP_HASH160", op_hash, 1),
    ROW(OP_HASH256, "OP_HASH256", op_hash, 1),
    ROW(OP_CODESEPARATOR, "OP_CODESEPARATOR", op_codeseparator, 0),
    ROW(OP_CHECKSIG, "OP_CHECKSIG", op_checksig, 2),
    ROW(OP_CHECKSIGVERIFY, "OP_CHECKSIGVERIFY", op_checksig, 2),
    ROW(OP_CHECKMULTISIG, "OP_CHECKMULTISIG", op_checkmultisig, 0),
    ROW(OP_CHECKMULTISIGVERIFY, "OP_CHECKMULTISIGVERIFY", op_checkmultisig, 0),

    ROW(OP_NOP1, "OP_NOP1", op_upgradable_nop, 0),
    ROW(OP_CHECKLOCKTIMEVERIFY, "OP_CHECKLOCKTIMEVERIFY", op_checklocktime, 0),
    ROW(OP_CHECKSEQUENCEVERIFY, "OP_CHECKSEQUENCEVERIFY", op_checksequence, 0),
    ROW(OP_SUBSTR, "OP_SUBSTR", op_substr, 0),
    ROW(OP_LEFT, "OP_LEFT", op_left_right, 0),
    ROW(OP_RIGHT, "OP_RIGHT", op_left_right, 0),
    ROW(OP_LSHIFTNUM, "OP_LSHIFTNUM", op_shift_num, 0),
    ROW(OP_RSHIFTNUM, "OP_RSHIFTNUM", op_shift_num, 0),
    ROW(OP_NOP9, "OP_NOP9", op_upgradable_nop, 0),
    ROW(OP_NOP10, "OP_NOP10", op_upgradable_nop, 0),

    [0xba] = UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, /* to 0xbf */
    UNDEFINED_10, UNDEFINED_10, UNDEFINED_10, UNDEFINED_10, UNDEFINED_10, UNDEFINED_10,
    UNDEFINED, UNDEFINED, UNDEFINED, /* to 0xfe */
    ROW(0xff, "OP_INVALIDOPCODE", op_bad, 0),
};

const char *opcode_name(uint8_t code)
{
    const char *name = opcode_table[code].name;

    return name ? name : "OP_UNKNOWN";
}
