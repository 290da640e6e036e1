/*
 * The text of a script in RPC results ("asm"): opcode names, pushes of up to 4 bytes as decimal
 * numbers, longer ones as hex, "[error]" where a push is cut short. Any thread.
 */
#ifndef SCRIPT_DISASM_H
#define SCRIPT_DISASM_H

#include "base/buf.h"
#include "base/bytes.h"

enum script_disasm {
    SCRIPT_DISASM_PLAIN,
    SCRIPT_DISASM_SIGNATURES, /* for unlocking scripts: 30..[ALL|FORKID] instead of ..41 */
};

/* Appends the text, without a terminating NUL. */
void script_disassemble(struct buf *out, struct span script, enum script_disasm mode);

#endif
