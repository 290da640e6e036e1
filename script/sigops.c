#include "script/sigops.h"

#include "script/iter.h"
#include "script/num.h"
#include "script/template.h"

#define MULTISIG_WEIGHT 20 /* of a CHECKMULTISIG whose key count is not looked at */
#define OP_INVALID 0xff    /* counting ends here */

static bool is_checksig(uint8_t code)
{
    return code == OP_CHECKSIG || code == OP_CHECKSIGVERIFY;
}

static bool is_checkmultisig(uint8_t code)
{
    return code == OP_CHECKMULTISIG || code == OP_CHECKMULTISIGVERIFY;
}

uint64_t sigops_count_script(struct span script)
{
    struct script_iter it = script_iter_of(script);
    struct script_op op;
    uint64_t count = 0;

    while (script_iter_next(&it, &op) && op.code != OP_INVALID) {
        if (is_checksig(op.code))
            count++;
        else if (is_checkmultisig(op.code))
            count += MULTISIG_WEIGHT;
    }
    return count;
}

uint64_t sigops_count_tx(const struct tx *tx)
{
    uint64_t count = 0;

    for (size_t i = 0; i < tx->n_in; i++)
        count += sigops_count_script(tx->in[i].script);
    for (size_t i = 0; i < tx->n_out; i++)
        count += sigops_count_script(tx->out[i].script);
    return count;
}

/* The key count a CHECKMULTISIG has from the push before it; false: the script is refused. */
static bool multisig_keys(const struct script_op *before, enum script_era era, uint64_t *keys)
{
    *keys = MULTISIG_WEIGHT;
    if (before->code >= OP_1 && before->code <= OP_16) {
        *keys = before->code - (OP_1 - 1u);
        return true;
    }
    if (era == SCRIPT_ERA_ORIGINAL)
        return true;
    if (before->code == OP_0) {
        *keys = 0;
        return true;
    }
    if (before->data.len == 0)
        return true; /* computed, not pushed */
    int64_t v;
    if (num_read_i64(&v, before->data, SCRIPT_NUM_ORIGINAL_BYTES, NUM_MINIMAL) || v < 0)
        return false;
    *keys = (uint64_t)v;
    return true;
}

/* Follows IF and ENDIF; false when an ENDIF has no IF. */
static bool track_depth(uint8_t code, uint64_t *depth)
{
    if (code >= OP_IF && code <= OP_VERNOTIF) {
        ++*depth;
    } else if (code == OP_ENDIF) {
        if (*depth == 0)
            return false;
        --*depth;
    }
    return true;
}

bool sigops_count_accurate(struct span script, enum script_era era, uint64_t *count)
{
    struct script_iter it = script_iter_of(script);
    struct script_op op, before = { .code = OP_INVALID };
    uint64_t depth = 0, keys;

    *count = 0;
    while (script_iter_next(&it, &op) && op.code != OP_INVALID) {
        if (op.code == OP_RETURN && depth == 0)
            break;
        if (!track_depth(op.code, &depth))
            return false;
        if (is_checksig(op.code)) {
            ++*count;
        } else if (is_checkmultisig(op.code)) {
            if (!multisig_keys(&before, era, &keys))
                return false;
            *count += keys;
        }
        before = op;
    }
    return true;
}

bool sigops_count_p2sh(struct span script_sig, struct span script_pubkey, enum script_era coin_era,
                       uint64_t *count)
{
    struct script_iter it = script_iter_of(script_sig);
    struct script_op op = { 0 };

    *count = 0;
    if (coin_era != SCRIPT_ERA_ORIGINAL || !script_is_p2sh(script_pubkey))
        return true;
    while (it.p < it.end)
        if (!script_iter_next(&it, &op) || op.code > OP_16)
            return true;
    if (op.data.len == 0)
        return true; /* nothing pushed, or a number: an empty redeem script */
    return sigops_count_accurate(op.data, SCRIPT_ERA_ORIGINAL, count);
}
