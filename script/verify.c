#include "script/verify.h"

#include "script/interp.h"
#include "script/template.h"

#define CONSENSUS_SCRIPT_SIZE UINT32_MAX
#define CONSENSUS_OPS UINT32_MAX
#define CONSENSUS_PUBKEYS UINT32_MAX
#define CONSENSUS_NUM_GENESIS 750000
#define CONSENSUS_NUM_CHRONICLE 32000000

struct script_limits script_limits_consensus(uint64_t max_stack_memory)
{
    return (struct script_limits){
        .script_size = CONSENSUS_SCRIPT_SIZE,
        .ops = CONSENSUS_OPS,
        .pubkeys = CONSENSUS_PUBKEYS,
        .num_bytes_genesis = CONSENSUS_NUM_GENESIS,
        .num_bytes_chronicle = CONSENSUS_NUM_CHRONICLE,
        .stack_memory = max_stack_memory ? max_stack_memory : INT64_MAX,
    };
}

struct script_policy script_policy_default(void)
{
    return (struct script_policy){
        .script_size = 500000,
        .ops = UINT32_MAX,
        .pubkeys = UINT32_MAX,
        .num_bytes = 10000,
        .stack_memory = 100000000,
    };
}

struct script_limits script_limits_policy(const struct script_policy *p)
{
    struct script_limits l = script_limits_consensus(p->stack_memory);

    if (p->script_size)
        l.script_size = p->script_size;
    if (p->ops)
        l.ops = p->ops;
    if (p->pubkeys)
        l.pubkeys = p->pubkeys;
    if (p->num_bytes)
        l.num_bytes_genesis = l.num_bytes_chronicle = p->num_bytes;
    return l;
}

static bool top_is_true(struct interp *ip)
{
    return ip->main.n > 0 && script_bytes_true(stack_span(&ip->main, 0));
}

/*
 * The redeem script runs on the stack the unlocking script left, kept aside in ip->main here. The
 * script itself is the top of that stack and stays alive beside it.
 */
static enum script_err run_redeem(struct interp *ip, struct stack *redeem)
{
    enum script_err err = stack_move_top(redeem, &ip->main);

    if (err)
        return err;
    /* its cost stays counted: before Genesis there is no byte limit to notice */
    err = interp_eval(ip, stack_span(redeem, 0), SCRIPT_PART_REDEEM);
    if (!err && !top_is_true(ip))
        err = SCRIPT_ERR_EVAL_FALSE;
    return err;
}

static enum script_err verify_p2sh(struct interp *ip, struct span script_sig, struct stack *saved)
{
    struct stack redeem;
    enum script_err err;

    if (!script_is_push_only(script_sig))
        return SCRIPT_ERR_SIG_PUSHONLY;
    stack_clear(&ip->main);
    err = stack_copy(&ip->main, saved);
    if (err)
        return err;
    stack_init(&redeem, &ip->budget);
    err = run_redeem(ip, &redeem);
    stack_clear(&redeem);
    return err;
}

static enum script_err check_clean_stack(struct interp *ip)
{
    if ((ip->flags & SCRIPT_CLEANSTACK) && !ip->malleable && ip->main.n != 1)
        return SCRIPT_ERR_CLEANSTACK;
    return SCRIPT_OK;
}

static enum script_err run_scripts(struct interp *ip, struct span script_sig)
{
    const struct script_input *in = ip->in;
    bool p2sh = (ip->flags & SCRIPT_P2SH) && interp_original(ip) &&
                script_is_p2sh(in->script_pubkey);
    struct stack saved;
    struct stack_budget saved_budget = { .used = 0, .limit = INT64_MAX };
    enum script_err err = interp_eval(ip, script_sig, SCRIPT_PART_UNLOCKING);

    if (err)
        return err;
    stack_init(&saved, &saved_budget);
    if (p2sh)
        err = stack_copy(&saved, &ip->main);
    if (!err)
        err = interp_eval(ip, in->script_pubkey, SCRIPT_PART_LOCKING);
    if (!err && !top_is_true(ip))
        err = SCRIPT_ERR_EVAL_FALSE;
    if (!err && p2sh)
        err = verify_p2sh(ip, script_sig, &saved);
    stack_clear(&saved);
    return err ? err : check_clean_stack(ip);
}

static enum script_err verify_with_cache(const struct script_input *in,
                                         struct sighash_cache *sighash)
{
    struct interp ip;
    struct span script_sig = in->tx->in[in->index].script;
    uint32_t flags = in->flags;
    enum script_err err;

    if ((flags & SCRIPT_UTXO_AFTER_CHRONICLE) && !(flags & SCRIPT_UTXO_AFTER_GENESIS))
        return SCRIPT_ERR_INVALID_FLAGS;
    if (flags & SCRIPT_SIGHASH_FORKID)
        flags |= SCRIPT_STRICTENC;
    interp_init(&ip, in, flags, sighash);
    if ((flags & SCRIPT_SIGPUSHONLY) && !ip.malleable && !script_is_push_only(script_sig))
        return SCRIPT_ERR_SIG_PUSHONLY;
    err = run_scripts(&ip, script_sig);
    interp_clear(&ip);
    return err;
}

enum script_err script_verify(const struct script_input *in)
{
    struct sighash_cache own;
    enum script_err err;

    if (in->sighash)
        return verify_with_cache(in, in->sighash);
    sighash_cache_init(&own, in->tx);
    err = verify_with_cache(in, &own);
    sighash_cache_clear(&own);
    return err;
}
