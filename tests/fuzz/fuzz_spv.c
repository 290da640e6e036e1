/*
 * Judging a BEEF, and its first BUMP alone, against a chain of a few blocks that have the roots the
 * BEEF wants, so that amounts, locks and scripts are reached. A valid one breaks no rule, another
 * names one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "chain/spv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES = 128, CPU_US = 20000 };

struct chain_of {
    struct header_index *index;
    struct header_node node[NODES];
};

/* The transaction that all ids alone stand for when they begin with an even byte. */
static enum err find_held(void *ctx, const struct txid *id, size_t most, struct tx **tx,
                          int32_t *height, struct error *e)
{
    static const uint8_t raw[] = { 1, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, 0, 0, 0, 0 };
    (void)ctx;
    if (most < sizeof raw)
        return ERR_RANGE;
    *height = id->b[1] % NODES;
    *tx = id->b[0] % 2 ? NULL : tx_new(raw, sizeof raw, e);
    return *tx || id->b[0] % 2 ? OK : ERR_NOMEM;
}

static void adopt_roots(struct chain_of *c, const struct beef *b)
{
    struct bump_top top;
    for (size_t i = 0; i < b->n_bumps; i++) {
        if (b->bump[i].height >= NODES || bump_climb(&b->bump[i], &top, NULL) || top.depth > 30)
            continue;
        struct header_node *node = &c->node[b->bump[i].height];
        node->merkle_root = top.root;
        node->tx_count = UINT32_C(1) << top.depth;
    }
}

static void begin_chain(struct chain_of *c, const struct chain_params *p)
{
    c->index = header_index_new(p);
    for (int i = 0; i < NODES; i++) {
        c->node[i].height = i;
        c->node[i].prev = i ? &c->node[i - 1] : NULL;
        c->node[i].time = (uint32_t)(1000000 + 600 * i);
    }
}

static void check_end(const struct spv_judgement *j)
{
    if ((j->end == SPV_VALID) != (j->rule[0] == 0) || (j->end == SPV_VALID) != (j->reason[0] == 0))
        abort();
}

static void judge(struct chain_of *c, const struct chain_params *p, const struct beef *b)
{
    const struct script_limits limits = script_limits_consensus(1 << 20);
    const struct spv_env env = { .params = p,
                                 .headers = c->index,
                                 .tip = &c->node[NODES - 1],
                                 .now = 2000000,
                                 .limits = &limits,
                                 .scripts_cpu_us = CPU_US,
                                 .held_bytes = 1 << 20,
                                 .held = find_held };
    struct spv_proof proofs[BEEF_BUMPS_MAX];
    struct spv_judgement j = { .end = SPV_VALID };
    if (spv_judge_beef(&env, b, proofs, &j, NULL) == OK)
        check_end(&j);
    j = (struct spv_judgement){ .end = SPV_VALID };
    if (b->n_bumps && spv_judge_bump(&env, &b->bump[0], NULL, proofs, &j, NULL) == OK)
        check_end(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chain_params p = *params_get(NETWORK_REGTEST);
    struct reader r;
    struct beef b;
    if (!size)
        return 0;
    ec_init();
    p.heights.genesis = data[0] % 2 ? 1 : 1000000; /* before it other rules hold */
    p.heights.csv = 1;
    reader_init(&r, data + 1, size - 1);
    if (beef_read(&r, &b, NULL))
        return 0;
    struct chain_of *c = (struct chain_of *)calloc(1, sizeof *c);
    if (!c)
        abort();
    begin_chain(c, &p);
    adopt_roots(c, &b);
    judge(c, &p, &b);
    header_index_free(c->index);
    free(c);
    beef_clear(&b);
    return 0;
}
