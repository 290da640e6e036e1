/* Writes scripts: pushes in their shortest form, opcodes, small numbers. Any thread. */
#ifndef SCRIPT_BUILD_H
#define SCRIPT_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SCRIPT_PUSH_HEAD_MAX 5

/* Opcode and length before len bytes of data by size alone (OP_n is never used); returns 1..5. */
size_t script_push_head(uint8_t out[SCRIPT_PUSH_HEAD_MAX], size_t len);

void script_put_op(struct buf *b, uint8_t code);
/* The same head and the data: what signing code and FindAndDelete mean by "the signature". */
void script_put_data(struct buf *b, const void *data, size_t len);
/* The shortest push of these bytes, OP_0, OP_1 to OP_16 and OP_1NEGATE included. */
void script_put_minimal(struct buf *b, const void *data, size_t len);
/* The shortest push of a number. */
void script_put_num(struct buf *b, int64_t v);

#endif
