/*
 * Any two scripts under any flags end in a verdict, the same one each time; the byte counter of
 * the stacks equals a recount, and never passes its limit.
 *
 * Input: flags, version (4 bytes each), length of the unlocking script (2), both scripts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ec.h"
#include "base/reader.h"
#include "script/interp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_LIMIT 200000

static const struct script_limits limits = {
    .script_size = 100000, .ops = 50000, .pubkeys = 50, .num_bytes_genesis = 1500,
    .num_bytes_chronicle = 3000, .stack_memory = MEMORY_LIMIT,
};

static struct tx *make_tx(uint32_t version, struct span unlock)
{
    static const uint8_t zero[32];
    struct buf b;

    buf_init(&b);
    buf_put_le32(&b, version);
    buf_put_compact(&b, 1);
    buf_put(&b, zero, 32);
    buf_put_le32(&b, 0);
    buf_put_var_bytes(&b, unlock.data, unlock.len);
    buf_put_le32(&b, 0xfffffffe);
    buf_put_compact(&b, 1);
    buf_put_le64(&b, 1);
    buf_put_compact(&b, 0);
    buf_put_le32(&b, 100);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    buf_clear(&b);
    return tx;
}

static uint64_t recount(const struct stack *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += s->item[i].len + STACK_ELEMENT_OVERHEAD;
    return sum;
}

static bool uses_alternate_stack(struct span script)
{
    return script.len > 0 && memchr(script.data, OP_TOALTSTACK, script.len);
}

/* What is left on an alternate stack stays counted, so without one the counts are equal. */
static void check_counter(const struct script_input *in, struct span lock)
{
    struct interp ip;
    struct sighash_cache cache;
    struct span unlock = in->tx->in[0].script;
    bool exact = !uses_alternate_stack(unlock) && !uses_alternate_stack(lock);

    sighash_cache_init(&cache, in->tx);
    interp_init(&ip, in, in->flags, &cache);
    enum script_err err = interp_eval(&ip, unlock, SCRIPT_PART_UNLOCKING);
    if (!err)
        err = interp_eval(&ip, lock, SCRIPT_PART_LOCKING);
    if (!script_err_is_verdict(err))
        abort();
    if (recount(&ip.main) > ip.budget.used || (exact && recount(&ip.main) != ip.budget.used))
        abort();
    if (!interp_original(&ip) && ip.budget.used > MEMORY_LIMIT)
        abort();
    interp_clear(&ip);
    sighash_cache_clear(&cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;

    ec_init();
    reader_init(&r, data, size);
    uint32_t flags = read_le32(&r), version = read_le32(&r);
    size_t unlock_len = read_le16(&r);
    if (r.failed || unlock_len > r.left || r.left > 20000)
        return 0;
    struct span unlock = span_of(r.p, unlock_len);
    struct span lock = span_of(r.p + unlock_len, r.left - unlock_len);
    struct tx *tx = make_tx(version, unlock);
    if (!tx)
        abort();
    struct script_input in = {
        .tx = tx, .script_pubkey = lock, .amount = 5, .flags = flags, .limits = &limits,
    };
    enum script_err first = script_verify(&in), second = script_verify(&in);
    if (first != second || !script_err_is_verdict(first))
        abort();
    check_counter(&in, lock);
    tx_unref(tx);
    return 0;
}
