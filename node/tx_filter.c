#include "node/tx_filter.h"

#include "script/iter.h"
#include "script/template.h"

/* Empty pushes do not count. */
static bool script_matches(const struct bloom *b, struct span script)
{
    struct script_iter it = script_iter_of(script);
    struct script_op op;
    while (script_iter_next(&it, &op))
        if (op.data.len && bloom_contains(b, op.data.data, op.data.len))
            return true;
    return false;
}

/* As on the wire: id and index. */
static void outpoint_bytes(uint8_t out[36], const struct txid *id, uint32_t index)
{
    memcpy(out, id->b, sizeof(id->b));
    le32_put(out + 32, index);
}

static bool pays_to_keys(struct span script)
{
    struct script_match m;
    script_classify(script, SCRIPT_ERA_GENESIS, &m);
    return m.type == SCRIPT_TYPE_PUBKEY || m.type == SCRIPT_TYPE_MULTISIG;
}

static void add_output(struct bloom *b, const struct tx *tx, uint32_t index)
{
    uint8_t data[36];
    if (b->update == BLOOM_UPDATE_NONE ||
        (b->update == BLOOM_UPDATE_PUBKEY_ONLY && !pays_to_keys(tx->out[index].script)))
        return;
    outpoint_bytes(data, &tx->id, index);
    bloom_insert(b, data, sizeof(data));
}

static bool input_matches(const struct bloom *b, const struct tx_in *in)
{
    uint8_t data[36];
    outpoint_bytes(data, &in->prevout.txid, in->prevout.index);
    return bloom_contains(b, data, sizeof(data)) || script_matches(b, in->script);
}

bool tx_filter_match(struct bloom *b, const struct tx *tx)
{
    bool found = bloom_contains(b, tx->id.b, sizeof(tx->id.b));
    for (size_t i = 0; i < tx->n_out; i++) {
        if (!script_matches(b, tx->out[i].script))
            continue;
        found = true;
        add_output(b, tx, (uint32_t)i);
    }
    for (size_t i = 0; !found && i < tx->n_in; i++)
        found = input_matches(b, &tx->in[i]);
    return found;
}
