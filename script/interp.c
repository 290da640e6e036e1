#include "script/interp.h"

#include <stdlib.h>

#include "script/num.h"

/*
 * Before Genesis the limits of an output are fixed; those of later outputs come with the caller
 * (spec consensus 4.4). A script before Genesis has no byte budget.
 */
static void set_limits(struct interp *ip)
{
    const struct script_limits *l = ip->in->limits;

    if (interp_original(ip)) {
        ip->max_script = SCRIPT_ORIGINAL_SIZE_MAX;
        ip->max_ops = SCRIPT_ORIGINAL_OPS_MAX;
        ip->max_keys = SCRIPT_ORIGINAL_KEYS_MAX;
        ip->max_num = SCRIPT_NUM_ORIGINAL_BYTES;
        ip->budget.limit = INT64_MAX;
        return;
    }
    ip->max_script = l->script_size;
    ip->max_ops = l->ops;
    ip->max_keys = l->pubkeys;
    ip->max_num = ip->era == SCRIPT_ERA_CHRONICLE ? l->num_bytes_chronicle : l->num_bytes_genesis;
    ip->budget.limit = l->stack_memory;
}

void interp_init(struct interp *ip, const struct script_input *in, uint32_t flags,
                 struct sighash_cache *sighash)
{
    ip->in = in;
    ip->flags = flags;
    ip->era = script_utxo_era(flags);
    ip->malleable = (flags & SCRIPT_CHRONICLE) && in->tx->version > 1;
    ip->num_encoding = (flags & SCRIPT_MINIMALDATA) && !ip->malleable ? NUM_MINIMAL : NUM_ANY;
    ip->budget.used = 0;
    set_limits(ip);
    ip->sighash = sighash;
    ip->n_digests = 0;
    stack_init(&ip->main, &ip->budget);
}

void interp_clear(struct interp *ip)
{
    stack_clear(&ip->main);
}

bool script_push_is_minimal(const struct script_op *op)
{
    size_t len = op->data.len;

    if (len == 0)
        return op->code == OP_0;
    if (len == 1 && ((op->data.data[0] >= 1 && op->data.data[0] <= 16) || op->data.data[0] == 0x81))
        return false; /* OP_1 to OP_16 and OP_1NEGATE are shorter */
    if (len < OP_PUSHDATA1)
        return op->code == len;
    if (len <= 0xff)
        return op->code == OP_PUSHDATA1;
    return len > 0xffff || op->code == OP_PUSHDATA2;
}

static enum script_err push_data(struct interp *ip, const struct script_op *op)
{
    if (ip->num_encoding == NUM_MINIMAL && !script_push_is_minimal(op))
        return SCRIPT_ERR_MINIMALDATA;
    return stack_push_borrowed(&ip->main, op->data);
}

/* Disabled opcodes fail before Genesis even where they are not executed (spec consensus 4.5). */
static bool is_disabled(const struct interp *ip, const struct opcode_info *info)
{
    return ip->era < (enum script_era)info->enabled_from && (interp_original(ip) || ip->active);
}

static enum script_err execute(struct interp *ip, const struct script_op *op)
{
    const struct opcode_info *info = &opcode_table[op->code];

    if (is_disabled(ip, info))
        return SCRIPT_ERR_DISABLED_OPCODE;
    if (op->code <= OP_PUSHDATA4)
        return ip->active ? push_data(ip, op) : SCRIPT_OK;
    /* conditionals are followed in branches that are not executed too */
    if (!ip->active && (op->code < OP_IF || op->code > OP_ENDIF))
        return SCRIPT_OK;
    if (ip->main.n < info->min_stack)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    return info->run(ip);
}

static enum script_err step(struct interp *ip, const struct script_op *op)
{
    enum script_err err;

    if (interp_original(ip) && op->data.len > SCRIPT_ORIGINAL_ELEMENT_MAX)
        return SCRIPT_ERR_PUSH_SIZE;
    ip->code = op->code;
    ip->active = ip->conds.n_false == 0 && (!ip->returned || op->code == OP_RETURN);
    if (op->code > OP_16 && ++ip->ops > ip->max_ops)
        return SCRIPT_ERR_OP_COUNT;
    err = execute(ip, op);
    if (!err && interp_original(ip) && ip->main.n + ip->alt.n > SCRIPT_ORIGINAL_STACK_MAX)
        return SCRIPT_ERR_STACK_SIZE;
    return err;
}

static enum script_err run(struct interp *ip)
{
    struct script_op op;
    enum script_err err;

    while (ip->it.p < ip->it.end) {
        if (cancelled(ip->in->cancel))
            return SCRIPT_ERR_CANCELLED;
        if (!script_iter_next(&ip->it, &op))
            return SCRIPT_ERR_BAD_OPCODE;
        err = step(ip, &op);
        if (err)
            return err;
        if (ip->finished)
            return SCRIPT_OK;
    }
    return ip->conds.n > 0 ? SCRIPT_ERR_UNBALANCED_CONDITIONAL : SCRIPT_OK;
}

enum script_err interp_eval(struct interp *ip, struct span script, enum script_part part)
{
    enum script_err err;

    if (script.len > ip->max_script)
        return SCRIPT_ERR_SCRIPT_SIZE;
    ip->part = part;
    ip->it = script_iter_of(script);
    ip->code_start = script.data;
    ip->ops = 0;
    ip->n_digests = 0;
    ip->returned = ip->finished = false;
    ip->conds.level = ip->conds.first;
    ip->conds.cap = sizeof(ip->conds.first);
    ip->conds.n = ip->conds.n_false = 0;
    stack_init(&ip->alt, &ip->budget);
    err = run(ip);
    stack_clear(&ip->alt);
    if (ip->conds.level != ip->conds.first)
        free(ip->conds.level);
    return err;
}

enum script_err interp_read_num(struct interp *ip, size_t depth, struct num *n)
{
    return num_read(n, stack_span(&ip->main, depth), ip->max_num, ip->num_encoding);
}

enum script_err interp_replace_num(struct interp *ip, size_t pops, struct num *n)
{
    uint8_t *space;
    enum script_err err;

    stack_pop_n(&ip->main, pops);
    err = stack_push_space(&ip->main, num_size(n), &space);
    if (!err)
        num_write(n, space);
    num_clear(n);
    return err;
}

enum script_err interp_result_bool(struct interp *ip, size_t pops, bool v)
{
    stack_pop_n(&ip->main, pops);
    return stack_push_bool(&ip->main, v);
}

enum script_err interp_verify_bool(struct interp *ip, size_t pops, bool v, enum script_err error)
{
    enum script_err err = interp_result_bool(ip, pops, v);

    if (err)
        return err;
    if (!v)
        return error;
    stack_pop(&ip->main);
    return SCRIPT_OK;
}
