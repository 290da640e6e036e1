/* Opcodes that only move elements. */
#include "script/interp.h"

enum script_err op_toalt(struct interp *ip)
{
    return stack_move_top(&ip->alt, &ip->main);
}

enum script_err op_fromalt(struct interp *ip)
{
    if (ip->alt.n < 1)
        return SCRIPT_ERR_INVALID_ALTSTACK_OPERATION;
    return stack_move_top(&ip->main, &ip->alt);
}

enum script_err op_drop(struct interp *ip)
{
    stack_pop(&ip->main);
    return SCRIPT_OK;
}

enum script_err op_2drop(struct interp *ip)
{
    stack_pop_n(&ip->main, 2);
    return SCRIPT_OK;
}

/* Copies the n elements from `depth` upwards onto the top, in order. */
static enum script_err dup_n(struct interp *ip, size_t depth, size_t n)
{
    enum script_err err = SCRIPT_OK;

    while (!err && n-- > 0)
        err = stack_dup(&ip->main, depth); /* each copy moves the next one to the same depth */
    return err;
}

enum script_err op_dup(struct interp *ip)
{
    return dup_n(ip, 0, 1);
}

enum script_err op_2dup(struct interp *ip)
{
    return dup_n(ip, 1, 2);
}

enum script_err op_3dup(struct interp *ip)
{
    return dup_n(ip, 2, 3);
}

enum script_err op_2over(struct interp *ip)
{
    return dup_n(ip, 3, 2);
}

enum script_err op_over(struct interp *ip)
{
    return dup_n(ip, 1, 1);
}

enum script_err op_2rot(struct interp *ip)
{
    stack_raise(&ip->main, 5);
    stack_raise(&ip->main, 5);
    return SCRIPT_OK;
}

enum script_err op_2swap(struct interp *ip)
{
    stack_swap(&ip->main, 3, 1);
    stack_swap(&ip->main, 2, 0);
    return SCRIPT_OK;
}

enum script_err op_ifdup(struct interp *ip)
{
    if (!script_bytes_true(stack_span(&ip->main, 0)))
        return SCRIPT_OK;
    return stack_dup(&ip->main, 0);
}

enum script_err op_depth(struct interp *ip)
{
    return stack_push_i64(&ip->main, (int64_t)ip->main.n);
}

enum script_err op_nip(struct interp *ip)
{
    stack_remove(&ip->main, 1);
    return SCRIPT_OK;
}

enum script_err op_pick_roll(struct interp *ip)
{
    struct num n;
    enum script_err err = interp_read_num(ip, 0, &n);

    if (err)
        return err;
    stack_pop(&ip->main);
    int64_t depth = num_clamp(&n, -1, INT64_MAX);
    num_clear(&n);
    if (depth < 0 || (uint64_t)depth >= ip->main.n)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    if (ip->code == OP_PICK)
        return stack_dup(&ip->main, (size_t)depth);
    stack_raise(&ip->main, (size_t)depth);
    return SCRIPT_OK;
}

enum script_err op_rot(struct interp *ip)
{
    stack_raise(&ip->main, 2);
    return SCRIPT_OK;
}

enum script_err op_swap(struct interp *ip)
{
    stack_swap(&ip->main, 0, 1);
    return SCRIPT_OK;
}

enum script_err op_tuck(struct interp *ip)
{
    enum script_err err = stack_dup(&ip->main, 0);

    if (!err)
        stack_swap(&ip->main, 1, 2);
    return err;
}
