/*
 * A close or refund that waits too long for a block gets a child that pays for both (spec channels
 * 8.6): it spends what comes to us out of it, to the same key. The next one spends the child
 * before, since that cannot be replaced, so that all of them together pay what is wanted; together
 * they take no more than half of the sum. The key of the payout is asked of the wallet each time.
 */
#include <config.h>

#include "node/paychans_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "chain/chain.h"
#include "chain/mempool.h"
#include "script/template.h"
#include "wallet/txbuild.h"

#define CHILD_SIZE 192      /* bytes: one input and one output of keys */
#define FIRST_FACTOR 4      /* of the fee rate; doubled with each child */
#define LEVEL_MAX 16        /* children of one close */

struct child_job {
    struct paychan_job job;  /* first */
    struct paychans *pc;
    uint64_t number;
    struct tx *parent, *before; /* references; before: the last child in the mempool, or NULL */
    struct outpoint funding;
    bool unspent;               /* the funding, in the chain */
    uint64_t capacity;
    uint64_t children, fees;    /* in the mempool already, and what they pay */
    uint32_t level;
    uint32_t tip;               /* that was known then */
    uint64_t fee_per_kb;
    uint8_t nonce[32], pkh[PAYCHAN_PKH_SIZE];
    char wallet[WALLET_NAME_MAX + 1];
    /* out */
    struct tx *child;           /* a reference, or NULL: nothing more is to be gained */
    uint64_t fee;
    enum err rc;
    struct error e;
};

/* --- the thread of jobs --- */

static bool find_payout(const struct child_job *job, uint32_t *index, uint64_t *value)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    script_make_p2pkh(script, job->pkh);
    for (uint32_t i = 0; i < job->parent->n_out; i++) {
        const struct tx_out *o = &job->parent->out[i];
        if (o->script.len == sizeof script && memcmp(o->script.data, script, sizeof script) == 0) {
            *index = i;
            *value = (uint64_t)o->value;
            return true;
        }
    }
    return false;
}

static uint64_t fee_of_parent(const struct child_job *job)
{
    uint64_t out = 0;
    for (size_t i = 0; i < job->parent->n_out; i++)
        out += (uint64_t)job->parent->out[i].value;
    return out < job->capacity ? job->capacity - out : 0;
}

/* What all that is in the mempool would pay at the rate of the level, with so many children. */
static uint64_t wanted(const struct child_job *job, uint64_t children)
{
    const uint64_t rate = job->fee_per_kb * FIRST_FACTOR << (job->level - 1);
    return ((job->parent->raw.len + children * CHILD_SIZE) * rate + 999) / 1000;
}

/* 0: what is paid already suffices, or no more may be spent. */
static uint64_t fee_of_child(const struct child_job *job, uint64_t payout)
{
    const uint64_t paid = fee_of_parent(job) + job->fees;
    const uint64_t all = wanted(job, job->children + 1);
    const uint64_t most = payout / 2 > job->fees ? payout / 2 - job->fees : 0;
    if (paid >= (job->children ? wanted(job, job->children) : all))
        return 0;
    return all - paid < most ? all - paid : most;
}

static bool is_child(const struct tx *tx, const uint8_t script[SCRIPT_P2PKH_SIZE])
{
    return tx->n_in == 1 && tx->n_out == 1 && tx->out[0].script.len == SCRIPT_P2PKH_SIZE &&
           memcmp(tx->out[0].script.data, script, SCRIPT_P2PKH_SIZE) == 0;
}

/* Those of before, also of before a restart. in: what the next one spends. False: another spends
 * it. */
static bool follow_children(const struct rpc_env *env, struct child_job *job,
                            struct txbuild_input *in)
{
    struct tx *next;
    while ((next = mempool_get_spender(chain_mempool(env->chain), &in->at)) != NULL) {
        tx_unref(job->before);
        job->before = next;
        if (!is_child(next, in->script.data) || next->out[0].value > in->value ||
            ++job->children > LEVEL_MAX)
            return false;
        job->fees += (uint64_t)(in->value - next->out[0].value);
        in->value = next->out[0].value;
        in->at = (struct outpoint){ next->id, 0 };
    }
    return true;
}

static enum err sign_child(struct child_job *job, const struct rpc_env *env,
                           struct txbuild_input *in)
{
    struct private_key secret = { .compressed = true };
    struct signing_key key;
    struct chain_tip tip;
    size_t change;
    job->rc = paychan_payout_secret(env, job->wallet, job->nonce, secret.secret, &job->e);
    if (job->rc)
        return job->rc;
    signing_key_init(&key, &secret);
    chain_get_tip(env->chain, &tip);
    in->key = &key;
    in->height = tip.height + 1;
    const struct txbuild_output out = { in->value - (int64_t)job->fee, in->script };
    const struct txbuild b = { .in = in, .n_in = 1, .out = &out, .n_out = 1 };
    const struct txbuild_rules rules = { .heights = &chain_get_params(env->chain)->heights,
                                         .next_height = tip.height + 1,
                                         .max_fee = in->value };
    job->rc = txbuild_make(&b, &rules, &job->child, &change, &job->e);
    private_key_wipe(&key.key);
    private_key_wipe(&secret);
    return job->rc;
}

static void look_at_funding(struct chain *c, void *ctx)
{
    struct child_job *job = ctx;
    struct coin coin;
    job->rc = coins_get(chain_coins(c), &job->funding, &coin, &job->unspent, &job->e);
}

/* Whoever watches the chain may be behind: what is in a block needs no child. */
static bool is_wanted(const struct rpc_env *env, struct child_job *job)
{
    return !chain_call(env->chain, look_at_funding, job) && !job->rc && job->unspent;
}

static void work(const struct rpc_env *env, struct paychan_job *j)
{
    struct child_job *job = (struct child_job *)j;
    uint8_t script[SCRIPT_P2PKH_SIZE];
    uint32_t index;
    uint64_t payout;
    if (!is_wanted(env, job) || !find_payout(job, &index, &payout))
        return;
    script_make_p2pkh(script, job->pkh);
    struct txbuild_input in = { .at = { job->parent->id, index }, .value = (int64_t)payout,
                                .script = span_of(script, sizeof script) };
    if (!follow_children(env, job, &in))
        return;
    job->fee = fee_of_child(job, payout);
    if (job->fee && job->fee < (uint64_t)in.value)
        job->rc = sign_child(job, env, &in);
}

/* --- the channel thread --- */

static void take(struct held *h, struct child_job *job)
{
    struct paychan_sending *s = &h->sending;
    s->child_job = false;
    if (job->tip != h->pc->view.tip)
        s->seen_tip = 0; /* blocks came meanwhile, with which it may be time for another one */
    if (job->rc) {
        paychans_alarm(h, job->rc == ERR_AUTH ? "the wallet is locked: what waits for a block "
                                                "cannot be sped up"
                                              : job->e.text);
        return; /* again with the next block */
    }
    if (!job->unspent)
        return; /* not yet in a block of ours, or it is in one */
    s->child_level = job->level;
    s->child_of = job->parent->id;
    struct tx *last = job->child ? job->child : job->before;
    if (!last)
        return;
    tx_unref(s->child);
    s->child = tx_ref(last); /* of before a restart, too: it is sent with each block */
    if (!job->child)
        return;
    paychans_submit(h, job->child, "child");
    paychans_push(h, job->parent, 1);
    paychans_push(h, job->child, 2);
}

static void done(struct channels *c, struct paychan_job *j)
{
    struct child_job *job = (struct child_job *)j;
    struct held *h = c ? paychans_by_number(job->pc, job->number) : NULL;
    if (h)
        take(h, job);
    tx_unref(job->parent);
    tx_unref(job->before);
    tx_unref(job->child);
    free(job);
}

static void begin(struct held *h, struct tx *parent, uint32_t level)
{
    struct paychan_sending *s = &h->sending;
    const struct paychan *c = &h->c;
    const bool payee = c->role == PAYCHAN_PAYEE;
    struct child_job *job = xcalloc(1, sizeof *job);
    job->job = (struct paychan_job){ .work = work, .done = done };
    job->pc = h->pc;
    job->number = h->number;
    job->parent = tx_ref(parent);
    job->funding = c->funding;
    job->capacity = c->terms.capacity;
    job->level = level;
    job->tip = h->pc->view.tip;
    job->fee_per_kb = h->pc->config.fee_per_kb;
    memcpy(job->nonce, payee ? c->nonce_b : c->nonce_a, sizeof job->nonce);
    memcpy(job->pkh, payee ? c->terms.payee_pkh : c->terms.payer_pkh, sizeof job->pkh);
    memcpy(job->wallet, h->wallet, sizeof job->wallet);
    s->child_job = true;
    paychan_wallet_do(h->pc->wallet, &job->job);
}

/* What is ours and waits; NULL: nothing, or another spend came first. */
static struct tx *waiting(const struct held *h)
{
    const struct paychan *c = &h->c;
    const struct paychan_sending *s = &h->sending;
    const bool payee = c->role == PAYCHAN_PAYEE;
    if (!s->since || c->spend_height || c->state != (payee ? R_CLOSING : P_REFUNDING))
        return NULL;
    if (c->spend == PAYCHAN_UNSPENT)
        return s->sent;
    return c->spend == (payee ? PAYCHAN_SPENT_CLOSE : PAYCHAN_SPENT_REFUND) ? s->spend : NULL;
}

void paychans_look_at_child(struct held *h)
{
    struct paychan_sending *s = &h->sending;
    struct tx *parent = waiting(h);
    const uint32_t waited = parent ? paychans_blocks_waited(h) : 0;
    if (!waited || s->child_job)
        return;
    const uint32_t passed = waited / h->pc->config.child_blocks;
    const uint32_t level = passed < LEVEL_MAX ? passed : LEVEL_MAX;
    const bool another = s->child_level && !txid_equal(&s->child_of, &parent->id);
    if (level && (level > s->child_level || another)) { /* 0: a reorganisation took blocks back */
        begin(h, parent, level);
    } else if (s->child && !another) { /* once more: peers may have come or forgotten */
        paychans_push(h, parent, 1);
        paychans_push(h, s->child, 2);
    }
}
