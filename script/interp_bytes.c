/* Opcodes on byte strings: joining, cutting, lengths, number conversions. */
#include "script/interp.h"

#include <string.h>

#include "base/log.h"

enum script_err op_cat(struct interp *ip)
{
    struct stack *s = &ip->main;
    size_t a_len = stack_at(s, 1)->len, b_len = stack_at(s, 0)->len;
    uint8_t *joined;

    if (interp_original(ip) && a_len + b_len > SCRIPT_ORIGINAL_ELEMENT_MAX)
        return SCRIPT_ERR_PUSH_SIZE;
    /*
     * The second operand is given back before the first one grows, so the budget never refuses.
     * Its slot stays readable: growing an element below does not move slots.
     */
    s->budget->used -= b_len;
    enum script_err err = stack_grow(s, 1, a_len + b_len, &joined);
    s->budget->used += b_len;
    if (err)
        return err;
    if (b_len > 0)
        memcpy(joined + a_len, stack_item_data(stack_at(s, 0)), b_len);
    stack_pop(s);
    return SCRIPT_OK;
}

/* A non-negative 64-bit value; -1 for negative ones, INT64_MAX for large ones. */
static enum script_err read_length(struct interp *ip, size_t depth, int64_t *v)
{
    struct num n;
    enum script_err err = interp_read_num(ip, depth, &n);

    *v = err ? 0 : num_clamp(&n, -1, INT64_MAX);
    num_clear(&n);
    return err;
}

enum script_err op_split(struct interp *ip)
{
    struct stack *s = &ip->main;
    int64_t at;
    enum script_err err = read_length(ip, 0, &at);

    if (err)
        return err;
    struct stack_item *whole = stack_at(s, 1);
    size_t len = whole->len;
    if (at < 0 || (uint64_t)at > len)
        return SCRIPT_ERR_INVALID_SPLIT_RANGE;
    stack_pop(s);
    /* the right part becomes an element of its own, then the left one is cut down to size */
    bool heap = len > STACK_INLINE && whole->cap > 0;
    struct span right = span_of(stack_item_data(whole) + at, len - (size_t)at);
    s->budget->used -= right.len; /* never counted twice (spec consensus 4.4) */
    if (heap || len <= STACK_INLINE) {
        uint8_t *space;
        err = stack_push_space(s, right.len, &space);
        if (!err && right.len > 0) /* slots may have moved */
            memcpy(space, stack_item_data(stack_at(s, 1)) + at, right.len);
    } else {
        err = stack_push_borrowed(s, right);
    }
    s->budget->used += right.len;
    if (!err)
        stack_shrink(s, 1, 0, (size_t)at);
    return err;
}

enum script_err op_num2bin(struct interp *ip)
{
    struct stack *s = &ip->main;
    int64_t size;
    enum script_err err = read_length(ip, 0, &size);

    if (err)
        return err;
    if (size < 0 || size > (interp_original(ip) ? SCRIPT_ORIGINAL_ELEMENT_MAX : INT32_MAX))
        return SCRIPT_ERR_PUSH_SIZE;
    stack_pop(s);
    uint8_t *bytes = stack_own(stack_at(s, 0));
    if (!bytes)
        return SCRIPT_ERR_NOMEM;
    size_t len = num_bytes_minimize(bytes, stack_at(s, 0)->len);
    stack_shrink(s, 0, 0, len);
    if (len > (size_t)size)
        return SCRIPT_ERR_IMPOSSIBLE_ENCODING;
    if (len == (size_t)size)
        return SCRIPT_OK;
    err = stack_grow(s, 0, (size_t)size, &bytes);
    if (err)
        return err;
    memset(bytes + len, 0, (size_t)size - len);
    if (len > 0) {
        uint8_t sign = bytes[len - 1] & 0x80;
        bytes[len - 1] &= 0x7f;
        bytes[size - 1] |= sign;
    }
    return SCRIPT_OK;
}

enum script_err op_bin2num(struct interp *ip)
{
    struct stack *s = &ip->main;

    if (!num_bytes_are_minimal(stack_span(s, 0))) {
        uint8_t *bytes = stack_own(stack_at(s, 0));
        if (!bytes)
            return SCRIPT_ERR_NOMEM;
        stack_shrink(s, 0, 0, num_bytes_minimize(bytes, stack_at(s, 0)->len));
    }
    return stack_at(s, 0)->len > ip->max_num ? SCRIPT_ERR_INVALID_NUMBER_RANGE : SCRIPT_OK;
}

enum script_err op_size(struct interp *ip)
{
    return stack_push_i64(&ip->main, (int64_t)stack_at(&ip->main, 0)->len);
}

/*
 * Offsets of SUBSTR, LEFT and RIGHT: read by the 64-bit decoder whatever the length, then held to
 * 32 bits (spec consensus 4.6, first hazard). Beyond 8 bytes the reference's result can depend on
 * its compiler, so such a number is worth a line for whoever looks into a split.
 */
static enum script_err read_offset(struct interp *ip, size_t depth, int64_t *v)
{
    struct span bytes = stack_span(&ip->main, depth);

    *v = 0;
    if (bytes.len > ip->max_num)
        return SCRIPT_ERR_SCRIPTNUM_OVERFLOW;
    if (ip->num_encoding == NUM_MINIMAL && !num_bytes_are_minimal(bytes))
        return SCRIPT_ERR_SCRIPTNUM_MINENCODE;
    if (bytes.len > 8)
        log_debug(LOGC_SCRIPT, "offset of %zu bytes for opcode %02x, input %zu", bytes.len,
                  ip->code, ip->in->index);
    struct num n = num_of(num_decode_wrapping(bytes));
    *v = num_clamp(&n, INT32_MIN, INT32_MAX);
    return SCRIPT_OK;
}

enum script_err op_substr(struct interp *ip)
{
    int64_t begin, len;

    if (ip->era < SCRIPT_ERA_CHRONICLE)
        return op_upgradable_nop(ip);
    if (ip->main.n < 3)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    enum script_err err = read_offset(ip, 0, &len);
    if (!err)
        err = read_offset(ip, 1, &begin);
    if (err)
        return err;
    int64_t size = (int64_t)stack_at(&ip->main, 2)->len;
    if (begin < 0 || begin >= size || len < 0 || len > size - begin)
        return SCRIPT_ERR_INVALID_NUMBER_RANGE;
    stack_pop_n(&ip->main, 2);
    stack_shrink(&ip->main, 0, (size_t)begin, (size_t)len);
    return SCRIPT_OK;
}

enum script_err op_left_right(struct interp *ip)
{
    int64_t len;

    if (ip->era < SCRIPT_ERA_CHRONICLE)
        return op_upgradable_nop(ip);
    if (ip->main.n < 2)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    enum script_err err = read_offset(ip, 0, &len);
    if (err)
        return err;
    size_t size = stack_at(&ip->main, 1)->len;
    if (len < 0 || (uint64_t)len > size)
        return SCRIPT_ERR_INVALID_NUMBER_RANGE;
    stack_pop(&ip->main);
    stack_shrink(&ip->main, 0, ip->code == OP_LEFT ? 0 : size - (size_t)len, (size_t)len);
    return SCRIPT_OK;
}
