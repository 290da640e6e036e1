/*
 * Walks a script one operation at a time, as bytes: nothing is judged here but whether a push is
 * complete. Borrows the script. Any thread.
 */
#ifndef SCRIPT_ITER_H
#define SCRIPT_ITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "script/opcode.h"

struct script_iter {
    const uint8_t *p;
    const uint8_t *end;
};

struct script_op {
    uint8_t code;
    struct span data; /* of a push, borrowed; empty otherwise */
};

static inline struct script_iter script_iter_of(struct span script)
{
    return (struct script_iter){ script.data, script.data + script.len };
}

/* Length of a push announced by PUSHDATA1, 2 or 4; moves past it. False when it is cut. */
static inline bool script_iter_push_size(struct script_iter *it, uint8_t code, size_t *size)
{
    size_t width = (size_t)1 << (code - OP_PUSHDATA1);

    if ((size_t)(it->end - it->p) < width)
        return false;
    *size = width == 1 ? it->p[0] : width == 2 ? le16_get(it->p) : le32_get(it->p);
    it->p += width;
    return true;
}

/*
 * False at the end and at a push that the script cuts short. In that case `p` stands after the
 * opcode and, when that was complete, its length, but before the partial data: the original
 * signature digest depends on it (spec consensus 4.9).
 */
static inline bool script_iter_next(struct script_iter *it, struct script_op *op)
{
    size_t size = 0;

    if (it->p >= it->end)
        return false;
    op->code = *it->p++;
    op->data = span_of(it->p, 0);
    if (op->code > OP_PUSHDATA4)
        return true;
    if (op->code < OP_PUSHDATA1)
        size = op->code;
    else if (!script_iter_push_size(it, op->code, &size))
        return false;
    if ((size_t)(it->end - it->p) < size)
        return false;
    op->data = span_of(it->p, size);
    it->p += size;
    return true;
}

#endif
