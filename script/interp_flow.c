/* Constants, conditionals, RETURN, NOPs and lock times. */
#include "script/interp.h"

#include <stdlib.h>

#include "base/mem.h"

#define SEQUENCE_LOCK_DISABLED (INT64_C(1) << 31)
#define SEQUENCE_LOCK_TYPE (UINT32_C(1) << 22) /* seconds instead of blocks */
#define SEQUENCE_LOCK_MASK (SEQUENCE_LOCK_TYPE | UINT32_C(0xffff))
#define LOCK_TIME_THRESHOLD 500000000 /* block height below, seconds from here on */
#define LOCK_TIME_BYTES 5

enum script_err op_push_small(struct interp *ip)
{
    return stack_push_i64(&ip->main, (int)ip->code - (OP_1 - 1));
}

enum script_err op_bad(struct interp *ip)
{
    (void)ip;
    return SCRIPT_ERR_BAD_OPCODE;
}

enum script_err op_nop(struct interp *ip)
{
    (void)ip;
    return SCRIPT_OK;
}

enum script_err op_upgradable_nop(struct interp *ip)
{
    if (ip->flags & SCRIPT_DISCOURAGE_UPGRADABLE_NOPS)
        return SCRIPT_ERR_DISCOURAGE_UPGRADABLE_NOPS;
    return SCRIPT_OK;
}

enum script_err op_ver(struct interp *ip)
{
    uint8_t bytes[4];

    if (ip->era < SCRIPT_ERA_CHRONICLE)
        return SCRIPT_ERR_BAD_OPCODE;
    le32_put(bytes, (uint32_t)ip->in->tx->version);
    return stack_push_copy(&ip->main, bytes, sizeof(bytes));
}

/* ---- conditionals ---- */

static enum script_err cond_push(struct interp *ip, bool value)
{
    struct interp_conds *c = &ip->conds;

    if (c->n == c->cap) {
        bool first = c->level == c->first;
        uint8_t *more = first ? (uint8_t *)try_alloc(c->cap, 4)
                              : (uint8_t *)try_realloc(c->level, c->cap, 2);
        if (!more)
            return SCRIPT_ERR_NOMEM;
        if (first)
            memcpy(more, c->first, c->n);
        c->level = more;
        c->cap *= first ? 4 : 2;
    }
    c->level[c->n++] = value ? COND_ACTIVE : 0;
    c->n_false += !value;
    return SCRIPT_OK;
}

/* Policy MINIMALIF: the argument is empty or a single 01. */
static bool argument_is_minimal(struct span top)
{
    return top.len == 0 || (top.len == 1 && top.data[0] == 1);
}

enum script_err op_if(struct interp *ip)
{
    bool value = false;

    if (ip->active) {
        if (ip->main.n < 1)
            return SCRIPT_ERR_UNBALANCED_CONDITIONAL;
        struct span top = stack_span(&ip->main, 0);
        if ((ip->flags & SCRIPT_MINIMALIF) && !ip->malleable && !argument_is_minimal(top))
            return SCRIPT_ERR_MINIMALIF;
        value = script_bytes_true(top) == (ip->code == OP_IF);
        stack_pop(&ip->main);
    }
    return cond_push(ip, value);
}

/*
 * Before Chronicle the two are no conditionals: skipped ones open no level, and before Genesis
 * they may not even be skipped (spec consensus 4.5). From then on they compare for equality with
 * the version, unlike the published text (4.6, conflict).
 */
enum script_err op_verif(struct interp *ip)
{
    bool value = false;

    if (ip->era < SCRIPT_ERA_CHRONICLE)
        return ip->active || interp_original(ip) ? SCRIPT_ERR_BAD_OPCODE : SCRIPT_OK;
    if (ip->active) {
        uint8_t version[4];
        if (ip->main.n < 1)
            return SCRIPT_ERR_UNBALANCED_CONDITIONAL;
        struct span top = stack_span(&ip->main, 0);
        le32_put(version, (uint32_t)ip->in->tx->version);
        bool equal = top.len == 4 && mem_equal_var(top.data, version, 4);
        value = equal == (ip->code == OP_VERIF);
        stack_pop(&ip->main);
    }
    return cond_push(ip, value);
}

enum script_err op_else(struct interp *ip)
{
    struct interp_conds *c = &ip->conds;

    if (c->n == 0)
        return SCRIPT_ERR_UNBALANCED_CONDITIONAL;
    uint8_t *level = &c->level[c->n - 1];
    if ((*level & COND_ELSE_SEEN) && !interp_original(ip))
        return SCRIPT_ERR_UNBALANCED_CONDITIONAL;
    if (*level & COND_ACTIVE)
        c->n_false++;
    else
        c->n_false--;
    *level = (*level ^ COND_ACTIVE) | COND_ELSE_SEEN;
    return SCRIPT_OK;
}

enum script_err op_endif(struct interp *ip)
{
    struct interp_conds *c = &ip->conds;

    if (c->n == 0)
        return SCRIPT_ERR_UNBALANCED_CONDITIONAL;
    c->n--;
    if (!(c->level[c->n] & COND_ACTIVE))
        c->n_false--;
    return SCRIPT_OK;
}

enum script_err op_verify(struct interp *ip)
{
    if (!script_bytes_true(stack_span(&ip->main, 0)))
        return SCRIPT_ERR_VERIFY;
    stack_pop(&ip->main);
    return SCRIPT_OK;
}

enum script_err op_return(struct interp *ip)
{
    if (interp_original(ip))
        return SCRIPT_ERR_OP_RETURN;
    if (ip->conds.n == 0)
        ip->finished = true;
    else
        ip->returned = true;
    return SCRIPT_OK;
}

/* ---- lock times: outputs of before Genesis only ---- */

static bool lock_opcode_on(const struct interp *ip, uint32_t flag)
{
    return interp_original(ip) && (ip->flags & flag);
}

/* The operand stays on the stack. */
static enum script_err read_lock(struct interp *ip, int64_t *v)
{
    if (ip->main.n < 1)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    enum script_err err = num_read_i64(v, stack_span(&ip->main, 0), LOCK_TIME_BYTES,
                                       ip->num_encoding);
    return !err && *v < 0 ? SCRIPT_ERR_NEGATIVE_LOCKTIME : err;
}

enum script_err op_checklocktime(struct interp *ip)
{
    const struct tx *tx = ip->in->tx;
    int64_t wanted;

    if (!lock_opcode_on(ip, SCRIPT_CLTV))
        return op_upgradable_nop(ip);
    enum script_err err = read_lock(ip, &wanted);
    if (err)
        return err;
    bool same_unit = (wanted < LOCK_TIME_THRESHOLD) == (tx->lock_time < LOCK_TIME_THRESHOLD);
    if (!same_unit || wanted > (int64_t)tx->lock_time ||
        tx->in[ip->in->index].sequence == TX_SEQUENCE_FINAL)
        return SCRIPT_ERR_UNSATISFIED_LOCKTIME;
    return SCRIPT_OK;
}

enum script_err op_checksequence(struct interp *ip)
{
    const struct tx *tx = ip->in->tx;
    uint32_t sequence = tx->in[ip->in->index].sequence;
    int64_t operand;

    if (!lock_opcode_on(ip, SCRIPT_CSV))
        return op_upgradable_nop(ip);
    enum script_err err = read_lock(ip, &operand);
    if (err)
        return err;
    if (operand & SEQUENCE_LOCK_DISABLED)
        return SCRIPT_OK;
    uint32_t wanted = (uint32_t)operand & SEQUENCE_LOCK_MASK, has = sequence & SEQUENCE_LOCK_MASK;
    bool same_unit = (wanted < SEQUENCE_LOCK_TYPE) == (has < SEQUENCE_LOCK_TYPE);
    if ((uint32_t)tx->version < 2 || (sequence & SEQUENCE_LOCK_DISABLED) || !same_unit ||
        wanted > has)
        return SCRIPT_ERR_UNSATISFIED_LOCKTIME;
    return SCRIPT_OK;
}
