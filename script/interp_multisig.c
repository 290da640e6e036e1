/* CHECKMULTISIG: (dummy sig1..m m key1..n n), spec consensus 4.8. */
#include "script/interp.h"

#include <stdlib.h>

/* Where the parts lie, as depths; the last key and the last signature lie highest. */
struct multisig {
    uint64_t n_keys, n_sigs;
    size_t first_key, first_sig; /* depth of the last one given, matched first */
    size_t total;                /* elements but the dummy */
};

static enum script_err count_at(struct interp *ip, size_t depth, int64_t *v)
{
    if (ip->main.n <= depth)
        return SCRIPT_ERR_INVALID_STACK_OPERATION;
    return num_read_i64(v, stack_span(&ip->main, depth), SCRIPT_NUM_ORIGINAL_BYTES,
                        ip->num_encoding);
}

static enum script_err read_counts(struct interp *ip, struct multisig *m)
{
    int64_t keys, sigs;
    enum script_err err = count_at(ip, 0, &keys);

    if (err)
        return err;
    if (keys < 0 || (uint64_t)keys > ip->max_keys)
        return SCRIPT_ERR_PUBKEY_COUNT;
    ip->ops += (uint64_t)keys;
    if (ip->ops > ip->max_ops)
        return SCRIPT_ERR_OP_COUNT;
    m->n_keys = (uint64_t)keys;
    m->first_key = 1;
    err = count_at(ip, 1 + (size_t)keys, &sigs);
    if (err)
        return err;
    if (sigs < 0 || sigs > keys)
        return SCRIPT_ERR_SIG_COUNT;
    m->n_sigs = (uint64_t)sigs;
    m->first_sig = 2 + (size_t)keys;
    m->total = m->first_sig + (size_t)sigs;
    return ip->main.n <= m->total ? SCRIPT_ERR_INVALID_STACK_OPERATION : SCRIPT_OK;
}

/* Keys and signatures are matched in order; a pair never tried is never judged. */
static enum script_err match(struct interp *ip, const struct multisig *m, struct span code,
                             bool *success)
{
    uint64_t sigs = m->n_sigs, keys = m->n_keys;
    size_t sig = m->first_sig, key = m->first_key;

    *success = true;
    while (*success && sigs > 0) {
        bool valid;
        if (cancelled(ip->in->cancel))
            return SCRIPT_ERR_CANCELLED;
        struct span s = stack_span(&ip->main, sig), k = stack_span(&ip->main, key);
        enum script_err err = interp_check_encodings(ip, s, k);
        if (!err)
            err = interp_check_sig(ip, s, k, code, &valid);
        if (err)
            return err;
        if (valid) {
            sig++;
            sigs--;
        }
        key++;
        keys--;
        *success = sigs <= keys;
    }
    return SCRIPT_OK;
}

static bool any_sig_not_empty(struct interp *ip, const struct multisig *m)
{
    for (size_t i = 0; i < m->n_sigs; i++)
        if (stack_at(&ip->main, m->first_sig + i)->len > 0)
            return true;
    return false;
}

enum script_err op_checkmultisig(struct interp *ip)
{
    struct multisig m;
    struct span code;
    uint8_t *owned = NULL;
    bool success = false;
    enum script_err err = read_counts(ip, &m);

    if (err)
        return err;
    err = interp_script_code(ip, m.first_sig, (size_t)m.n_sigs, &code, &owned);
    if (!err)
        err = match(ip, &m, code, &success);
    free(owned);
    if (err)
        return err;
    if (!success && (ip->flags & SCRIPT_NULLFAIL) && !ip->malleable && any_sig_not_empty(ip, &m))
        return SCRIPT_ERR_SIG_NULLFAIL;
    if ((ip->flags & SCRIPT_NULLDUMMY) && !ip->malleable && stack_at(&ip->main, m.total)->len > 0)
        return SCRIPT_ERR_SIG_NULLDUMMY;
    if (ip->code == OP_CHECKMULTISIGVERIFY)
        return interp_verify_bool(ip, m.total + 1, success, SCRIPT_ERR_CHECKMULTISIGVERIFY);
    return interp_result_bool(ip, m.total + 1, success);
}
