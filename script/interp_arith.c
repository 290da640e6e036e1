/* Opcodes on numbers. */
#include "script/interp.h"

#define RSHIFTNUM_MAX_BITS INT32_MAX /* beyond, the reference's library fails */

/* Results of ADD SUB MUL and shifts may be no longer than operands; before Genesis they may. */
static enum script_err check_result(const struct interp *ip, const struct num *n)
{
    if (!interp_original(ip) && num_size(n) > ip->max_num)
        return SCRIPT_ERR_SCRIPTNUM_OVERFLOW;
    return SCRIPT_OK;
}

static enum script_err push_result(struct interp *ip, size_t pops, struct num *n)
{
    enum script_err err = check_result(ip, n);

    if (err) {
        num_clear(n);
        return err;
    }
    return interp_replace_num(ip, pops, n);
}

/* r = code(a) for the opcodes whose result is a number. */
static enum script_err unary(const struct interp *ip, struct num *r, const struct num *a)
{
    struct num one = num_of(1), two = num_of(2), zero = num_of(0);

    switch (ip->code) {
    case OP_1ADD:
        return num_add(r, a, &one);
    case OP_1SUB:
        return num_sub(r, a, &one);
    case OP_2MUL:
        return num_add(r, a, a);
    case OP_2DIV:
        return num_div(r, a, &two, ip->in->cancel);
    case OP_ABS:
        return num_is_negative(a) ? num_negate(r, a) : num_add(r, a, &zero);
    default:
        return num_negate(r, a);
    }
}

enum script_err op_unary_num(struct interp *ip)
{
    struct num a, r;
    enum script_err err = interp_read_num(ip, 0, &a);

    if (err)
        return err;
    if (ip->code == OP_NOT || ip->code == OP_0NOTEQUAL) {
        bool value = num_is_zero(&a) == (ip->code == OP_NOT);
        num_clear(&a);
        return interp_result_bool(ip, 1, value);
    }
    err = unary(ip, &r, &a);
    num_clear(&a);
    return err ? err : push_result(ip, 1, &r);
}

/* Both operands, a below b on the stack; nothing to clear after a failure. */
static enum script_err read_pair(struct interp *ip, struct num *a, struct num *b)
{
    enum script_err err = interp_read_num(ip, 1, a);

    if (err)
        return err;
    err = interp_read_num(ip, 0, b);
    if (err)
        num_clear(a);
    return err;
}

static enum script_err multiply(const struct interp *ip, struct num *r, const struct num *a,
                                const struct num *b)
{
    if (!interp_original(ip) && !num_mul_may_fit(a, b, ip->max_num))
        return SCRIPT_ERR_SCRIPTNUM_OVERFLOW;
    return num_mul(r, a, b, ip->in->cancel);
}

static enum script_err arithmetic(const struct interp *ip, struct num *r, const struct num *a,
                                  const struct num *b)
{
    switch (ip->code) {
    case OP_ADD:
        return num_add(r, a, b);
    case OP_SUB:
        return num_sub(r, a, b);
    case OP_MUL:
        return multiply(ip, r, a, b);
    case OP_DIV:
        return num_is_zero(b) ? SCRIPT_ERR_DIV_BY_ZERO : num_div(r, a, b, ip->in->cancel);
    default:
        return num_is_zero(b) ? SCRIPT_ERR_MOD_BY_ZERO : num_mod(r, a, b, ip->in->cancel);
    }
}

enum script_err op_arithmetic(struct interp *ip)
{
    struct num a, b, r;
    enum script_err err = read_pair(ip, &a, &b);

    if (err)
        return err;
    err = arithmetic(ip, &r, &a, &b);
    num_clear(&a);
    num_clear(&b);
    return err ? err : push_result(ip, 2, &r);
}

static bool compare(uint8_t code, const struct num *a, const struct num *b)
{
    switch (code) {
    case OP_BOOLAND:
        return !num_is_zero(a) && !num_is_zero(b);
    case OP_BOOLOR:
        return !num_is_zero(a) || !num_is_zero(b);
    case OP_NUMNOTEQUAL:
        return num_cmp(a, b) != 0;
    case OP_LESSTHAN:
        return num_cmp(a, b) < 0;
    case OP_GREATERTHAN:
        return num_cmp(a, b) > 0;
    case OP_LESSTHANOREQUAL:
        return num_cmp(a, b) <= 0;
    case OP_GREATERTHANOREQUAL:
        return num_cmp(a, b) >= 0;
    default: /* NUMEQUAL, NUMEQUALVERIFY */
        return num_cmp(a, b) == 0;
    }
}

enum script_err op_compare(struct interp *ip)
{
    struct num a, b;
    enum script_err err = read_pair(ip, &a, &b);

    if (err)
        return err;
    bool value = compare(ip->code, &a, &b);
    num_clear(&a);
    num_clear(&b);
    if (ip->code == OP_NUMEQUALVERIFY)
        return interp_verify_bool(ip, 2, value, SCRIPT_ERR_NUMEQUALVERIFY);
    return interp_result_bool(ip, 2, value);
}

enum script_err op_min_max(struct interp *ip)
{
    struct num a, b;
    enum script_err err = read_pair(ip, &a, &b);

    if (err)
        return err;
    int order = num_cmp(&a, &b);
    bool take_a = ip->code == OP_MIN ? order < 0 : order > 0;
    num_clear(take_a ? &b : &a);
    return interp_replace_num(ip, 2, take_a ? &a : &b);
}

enum script_err op_within(struct interp *ip)
{
    struct num x, min, max;
    enum script_err err = interp_read_num(ip, 2, &x);

    if (err)
        return err;
    err = read_pair(ip, &min, &max);
    if (err) {
        num_clear(&x);
        return err;
    }
    bool value = num_cmp(&min, &x) <= 0 && num_cmp(&x, &max) < 0;
    num_clear(&x);
    num_clear(&min);
    num_clear(&max);
    return interp_result_bool(ip, 3, value);
}

static enum script_err shift_left(const struct interp *ip, struct num *r, const struct num *x,
                                  const struct num *n)
{
    /* the whole bytes of the shift count even when x is 0 (spec consensus 4.6, b6) */
    int64_t bits = num_clamp(n, 0, INT64_MAX);

    if ((uint64_t)num_size(x) + (uint64_t)bits / 8 > ip->max_num)
        return SCRIPT_ERR_SCRIPTNUM_OVERFLOW;
    return num_shl(r, x, (uint64_t)bits);
}

static enum script_err shift_right(struct num *r, const struct num *x, const struct num *n)
{
    int64_t bits = num_clamp(n, 0, INT64_MAX);

    if (bits > RSHIFTNUM_MAX_BITS)
        return SCRIPT_ERR_BIG_INT;
    return num_shr(r, x, (uint64_t)bits);
}

enum script_err op_shift_num(struct interp *ip)
{
    struct num x, n, r;

    if (ip->era < SCRIPT_ERA_CHRONICLE)
        return op_upgradable_nop(ip);
    if (ip->main.n < 2)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    enum script_err err = read_pair(ip, &x, &n);
    if (err)
        return err;
    if (num_is_negative(&n))
        err = SCRIPT_ERR_INVALID_NUMBER_RANGE;
    else if (ip->code == OP_LSHIFTNUM)
        err = shift_left(ip, &r, &x, &n);
    else
        err = shift_right(&r, &x, &n);
    num_clear(&x);
    num_clear(&n);
    return err ? err : push_result(ip, 2, &r);
}
