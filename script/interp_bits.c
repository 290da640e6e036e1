/* Opcodes on bit strings, and byte equality. */
#include "script/interp.h"

#include <string.h>

enum script_err op_invert(struct interp *ip)
{
    struct stack_item *top = stack_at(&ip->main, 0);
    uint8_t *bytes = stack_own(top);

    if (!bytes)
        return SCRIPT_ERR_NOMEM;
    for (size_t i = 0; i < top->len; i++)
        bytes[i] = (uint8_t)~bytes[i];
    return SCRIPT_OK;
}

static void combine(uint8_t code, uint8_t *a, const uint8_t *b, size_t len)
{
    if (code == OP_AND)
        for (size_t i = 0; i < len; i++)
            a[i] &= b[i];
    else if (code == OP_OR)
        for (size_t i = 0; i < len; i++)
            a[i] |= b[i];
    else
        for (size_t i = 0; i < len; i++)
            a[i] ^= b[i];
}

enum script_err op_bitwise(struct interp *ip)
{
    struct stack_item *a = stack_at(&ip->main, 1), *b = stack_at(&ip->main, 0);

    if (a->len != b->len)
        return SCRIPT_ERR_INVALID_OPERAND_SIZE;
    uint8_t *bytes = stack_own(a);
    if (!bytes)
        return SCRIPT_ERR_NOMEM;
    combine(ip->code, bytes, stack_item_data(b), a->len);
    stack_pop(&ip->main);
    return SCRIPT_OK;
}

enum script_err op_equal(struct interp *ip)
{
    struct span a = stack_span(&ip->main, 1), b = stack_span(&ip->main, 0);
    bool equal = a.len == b.len && mem_equal_var(a.data, b.data, a.len);

    if (ip->code == OP_EQUALVERIFY)
        return interp_verify_bool(ip, 2, equal, SCRIPT_ERR_EQUALVERIFY);
    return interp_result_bool(ip, 2, equal);
}

/* Toward lower indices: the string is big-endian (spec consensus 4.6, 98 and 99). */
static void shift_left(uint8_t *p, size_t len, size_t bytes, unsigned bits)
{
    size_t kept = len - bytes;

    memmove(p, p + bytes, kept);
    memset(p + kept, 0, bytes);
    if (bits == 0)
        return;
    for (size_t i = 0; i < kept; i++) {
        unsigned next = i + 1 < kept ? p[i + 1] : 0;
        p[i] = (uint8_t)((unsigned)p[i] << bits | next >> (8 - bits));
    }
}

static void shift_right(uint8_t *p, size_t len, size_t bytes, unsigned bits)
{
    memmove(p + bytes, p, len - bytes);
    memset(p, 0, bytes);
    if (bits == 0)
        return;
    for (size_t i = len; i-- > bytes;) {
        unsigned above = i > bytes ? p[i - 1] : 0;
        p[i] = (uint8_t)((unsigned)p[i] >> bits | above << (8 - bits));
    }
}

enum script_err op_shift_bits(struct interp *ip)
{
    struct num n;
    enum script_err err = interp_read_num(ip, 0, &n);

    if (err)
        return err;
    int64_t shift = num_clamp(&n, -1, INT64_MAX);
    num_clear(&n);
    if (shift < 0)
        return SCRIPT_ERR_INVALID_NUMBER_RANGE;
    stack_pop(&ip->main);
    struct stack_item *top = stack_at(&ip->main, 0);
    uint8_t *p = stack_own(top);
    if (!p)
        return SCRIPT_ERR_NOMEM;
    uint64_t bytes = (uint64_t)shift / 8;
    if (bytes >= top->len)
        memset(p, 0, top->len);
    else if (ip->code == OP_LSHIFT)
        shift_left(p, top->len, (size_t)bytes, (unsigned)(shift % 8));
    else
        shift_right(p, top->len, (size_t)bytes, (unsigned)(shift % 8));
    return SCRIPT_OK;
}
