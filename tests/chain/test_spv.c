/* Proofs of others, on a real regtest chain: each rule with a record that breaks it alone. */
#include "chain/spv.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/partial_merkle.h"
#include "tests/base/json_text.h"
#include "tests/chain/chain_builder.h"

enum { MOVES = 4, FAMILY = 107, TIP = 108, COINBASE_OFFSET = 0, FEE = 1000 };

struct fixture {
    struct test_chain t;
    struct chain_params params;
    struct spv_env env;
    struct built_tx moves[MOVES]; /* of block FAMILY, each of a coinbase, all but 0 to a key */
    int64_t value;                /* of the outputs of the moves */
    struct script_limits limits;
    const struct built_tx *held;  /* the one transaction that the node has */
    int32_t held_height;
    size_t most;                  /* what it was last asked to have at most */
    bool sized;                   /* it says by itself that there is too little room */
    bool given_up;
    struct spv_judgement j;
    struct spv_proof proofs[4];
};

static enum err find_held(void *ctx, const struct txid *id, size_t most, struct tx **tx,
                          int32_t *height, struct error *e)
{
    struct fixture *f = ctx;
    *tx = NULL;
    f->most = most;
    if (!f->held || !txid_equal(id, &f->held->id))
        return OK;
    if (f->sized && f->held->raw.len > most)
        return error_set(e, ERR_RANGE, "too large");
    *tx = tx_new(f->held->raw.data, f->held->raw.len, e);
    *height = f->held_height;
    return *tx ? OK : ERR_NOMEM;
}

static bool is_given_up(void *ctx)
{
    return ((const struct fixture *)ctx)->given_up;
}

static void make_move(struct fixture *f, int i)
{
    const struct built_block *b = &f->t.blocks[i + 1];
    const struct in_spec in = { .prevout = b->coinbase, .value = b->reward };
    const struct out_spec out = { b->reward, i ? builder_p2pkh() : builder_true() };
    const struct tx_spec spec = { .in = &in, .n_in = 1, .out = &out, .n_out = 1 };
    builder_tx(&spec, &f->moves[i]);
    f->value = b->reward;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->params = *params_get(NETWORK_REGTEST);
    test_chain_open(&f->t, &f->params, 1);
    test_chain_grow(&f->t, FAMILY - 1);
    for (int i = 0; i < MOVES; i++)
        make_move(f, i);
    test_chain_add(&f->t, f->moves, MOVES);
    test_chain_grow(&f->t, TIP - FAMILY);
    f->limits = script_limits_consensus(0);
    f->env = (struct spv_env){ .params = &f->params,
                               .headers = chain_headers(f->t.chain),
                               .tip = header_index_tip(chain_headers(f->t.chain)),
                               .now = clock_now(),
                               .limits = &f->limits,
                               .scripts_cpu_us = 60000000,
                               .held_bytes = 1000000,
                               .given_up = is_given_up,
                               .held = find_held,
                               .ctx = f };
    assert_int_equal(f->env.tip->height, TIP);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < MOVES; i++)
        built_tx_clear(&f->moves[i]);
    test_chain_close(&f->t);
    clock_set_mock(0);
    free(f);
    return 0;
}

/* --- proofs ----------------------------------------------------------------------------------- */

/* Of these leaves. */
static void prove(struct bump *out, const struct hash256 *leaf, size_t n, size_t wanted,
                  uint32_t height)
{
    struct partial_merkle_builder p;
    struct partial_merkle partial;
    partial_merkle_init(&p);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(partial_merkle_add(&p, leaf[i].b, i == wanted), OK);
    assert_int_equal(partial_merkle_finish(&p, &partial), OK);
    assert_int_equal(bump_from_partial(out, height, &partial, NULL), OK);
    partial_merkle_clear(&p);
}

/* Leaves of block FAMILY: its coinbase and the moves. */
static void family_leaves(const struct fixture *f, struct hash256 leaf[MOVES + 1])
{
    memcpy(leaf[0].b, f->t.blocks[FAMILY].coinbase.txid.b, 32);
    for (int i = 0; i < MOVES; i++)
        memcpy(leaf[i + 1].b, f->moves[i].id.b, 32);
}

static void prove_move(const struct fixture *f, int i, struct bump *out)
{
    struct hash256 leaf[MOVES + 1];
    family_leaves(f, leaf);
    prove(out, leaf, MOVES + 1, (size_t)i + 1, FAMILY);
}

static void prove_coinbase(const struct fixture *f, int32_t height, struct bump *out)
{
    struct hash256 leaf;
    memcpy(leaf.b, f->t.blocks[height].coinbase.txid.b, 32);
    prove(out, &leaf, 1, COINBASE_OFFSET, (uint32_t)height);
}

static void judge_bump(struct fixture *f, struct bump *b, const struct txid *id)
{
    f->j = (struct spv_judgement){ .end = SPV_VALID };
    assert_int_equal(spv_judge_bump(&f->env, b, id, &f->proofs[0], &f->j, NULL), OK);
    bump_clear(b);
}

static void assert_end(const struct fixture *f, enum spv_end end, const char *rule)
{
    if (f->j.end != end || strcmp(f->j.rule, rule) != 0)
        fail_msg("end %d, rule \"%s\": %s", (int)f->j.end, f->j.rule, f->j.reason);
    assert_true((end == SPV_VALID) == (f->j.reason[0] == 0));
}

static void a_proof_of_our_chain_is_valid(void **state)
{
    struct fixture *f = *state;
    struct bump b;
    prove_move(f, 2, &b);
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_VALID, "");
    assert_int_equal(f->proofs[0].node->height, FAMILY);
    prove_move(f, 2, &b);
    judge_bump(f, &b, &f->moves[2].id);
    assert_end(f, SPV_VALID, "");
}

static void a_proof_of_another_transaction_is_invalid(void **state)
{
    struct fixture *f = *state;
    struct txid absent = { { 1 } };
    struct bump b;
    prove_move(f, 2, &b);
    judge_bump(f, &b, &absent);
    assert_end(f, SPV_INVALID, "txid-missing");
    prove_move(f, 2, &b);
    for (size_t i = 0; i < b.level[0].n; i++)
        b.level[0].leaf[i].is_txid = false;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "no-txid");
}

static void a_root_of_no_block_of_ours_is_invalid(void **state)
{
    struct fixture *f = *state;
    struct bump b;
    prove_move(f, 1, &b);
    b.height--;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "merkle-root");
    prove_move(f, 1, &b);
    b.level[1].leaf[0].hash.b[3] ^= 1;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "merkle-root");
    prove_move(f, 1, &b);
    b.level[1].leaf[0].offset += 4;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "structure");
}

static void a_block_above_the_tip_decides_nothing(void **state)
{
    struct fixture *f = *state;
    struct bump b;
    prove_move(f, 1, &b);
    b.height = TIP + 1;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_UNDETERMINED, "block-unknown");
    assert_null(f->proofs[0].node);
    prove_move(f, 1, &b);
    b.height = UINT32_MAX;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_UNDETERMINED, "block-unknown");
}

/* A node inside the tree leads to the root as well. */
static void a_node_of_the_tree_is_no_transaction(void **state)
{
    struct fixture *f = *state;
    struct hash256 leaf[MOVES + 1], node[3];
    struct bump b;
    family_leaves(f, leaf);
    for (int i = 0; i < 3; i++)
        sha256d_pair(node[i].b, leaf[2 * i].b, leaf[i == 2 ? 4 : 2 * i + 1].b);
    prove(&b, node, 3, 1, FAMILY);
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "merkle-depth");
    assert_memory_equal(f->proofs[0].top.root.b, f->t.blocks[FAMILY].header.merkle_root.b, 32);
}

static void a_coinbase_counts_when_it_can_be_spent(void **state)
{
    struct fixture *f = *state;
    struct bump b;
    prove_coinbase(f, TIP - 98, &b);
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_INVALID, "coinbase-maturity");
    prove_coinbase(f, TIP - 99, &b);
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_VALID, "");
    prove_coinbase(f, TIP, &b);
    b.height = TIP + 1;
    judge_bump(f, &b, NULL);
    assert_end(f, SPV_UNDETERMINED, "block-unknown"); /* it may be old by then */
}

/* --- transactions that stand on proved ones --------------------------------------------------- */

struct family {
    struct beef beef;
    struct built_tx child;
};

static void begin_family(struct fixture *f, struct family *b, int move)
{
    struct bump bump;
    beef_init(&b->beef, BEEF_V2);
    prove_move(f, move, &bump);
    const size_t at = beef_add_bump(&b->beef, &bump);
    assert_int_equal(beef_add_proved(&b->beef, buf_span(&f->moves[move].raw), at, NULL), OK);
}

/* Spends output 0 of the move; what is given of the input stays. */
static void make_child(struct fixture *f, struct family *b, int move, struct in_spec in,
                       struct tx_spec spec, int64_t value)
{
    const struct out_spec out = { value, builder_true() };
    in.prevout = (struct outpoint){ f->moves[move].id, 0 };
    in.value = f->value;
    spec.in = &in;
    spec.n_in = 1;
    spec.out = &out;
    spec.n_out = 1;
    builder_tx(&spec, &b->child);
}

static void add_child(struct family *b)
{
    assert_int_equal(beef_add_tx(&b->beef, buf_span(&b->child.raw), NULL), OK);
}

static enum err judge(struct fixture *f, struct family *b)
{
    f->j = (struct spv_judgement){ .end = SPV_VALID };
    const enum err rc = spv_judge_beef(&f->env, &b->beef, f->proofs, &f->j, NULL);
    beef_clear(&b->beef);
    built_tx_clear(&b->child);
    return rc;
}

static void judge_child(struct fixture *f, int move, struct in_spec in, struct tx_spec spec,
                        int64_t value)
{
    struct family b;
    begin_family(f, &b, move);
    make_child(f, &b, move, in, spec, value);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
}

static const struct in_spec signed_in = { .sign = true }, plain_in = { .sign = false };
static const struct tx_spec usual = { .version = 1 };

static void a_signed_child_of_a_proved_parent_is_valid(void **state)
{
    struct fixture *f = *state;
    judge_child(f, 1, signed_in, usual, f->value - FEE);
    assert_end(f, SPV_VALID, "");
    judge_child(f, 1, signed_in, usual, f->value); /* no fee is a matter of policy */
    assert_end(f, SPV_VALID, "");
}

static void a_script_that_fails_is_invalid(void **state)
{
    struct fixture *f = *state;
    judge_child(f, 1, plain_in, usual, f->value);
    assert_end(f, SPV_INVALID, "script");
    assert_non_null(strstr(f->j.reason, "input 0"));
}

static void more_out_than_in_is_invalid(void **state)
{
    struct fixture *f = *state;
    judge_child(f, 1, signed_in, usual, f->value + 1);
    assert_end(f, SPV_INVALID, "bad-txns-in-belowout");
}

static void locks_in_time_are_kept(void **state)
{
    struct fixture *f = *state;
    const struct in_spec open = { .sign = true, .sequence_gap = 1 };
    struct tx_spec locked = { .version = 1, .lock_time = TIP + 1 };
    judge_child(f, 1, open, locked, f->value);
    assert_end(f, SPV_INVALID, "non-final");
    judge_child(f, 1, signed_in, locked, f->value);
    assert_end(f, SPV_VALID, "");
    locked.lock_time = TIP;
    judge_child(f, 1, open, locked, f->value);
    assert_end(f, SPV_VALID, "");
}

/* Before Genesis a sequence is an age that the spent output must have: here of 3 blocks. */
static void locks_by_age_are_kept_where_they_count(void **state)
{
    struct fixture *f = *state;
    const struct tx_spec aged = { .version = 2 };
    struct in_spec in = { .sequence_gap = TX_SEQUENCE_FINAL - 3 };
    judge_child(f, 0, in, aged, f->value);
    assert_end(f, SPV_VALID, "");
    f->params.heights.csv = 0;
    f->params.heights.genesis = f->params.heights.chronicle = 1000000;
    judge_child(f, 0, in, aged, f->value);
    assert_end(f, SPV_INVALID, "sequence-lock");
    in.sequence_gap = TX_SEQUENCE_FINAL - 2;
    judge_child(f, 0, in, aged, f->value);
    assert_end(f, SPV_VALID, "");
}

/* The age of an output in a block above the tip is not known: neither of a coinbase, nor where a
 * sequence asks for an age. */
static void what_comes_from_above_the_tip_has_no_age(void **state)
{
    struct fixture *f = *state;
    const struct in_spec in = { .sequence_gap = TX_SEQUENCE_FINAL - 3 };
    const struct tx_spec aged = { .version = 2 };
    struct family b;
    f->params.heights.csv = 0;
    f->params.heights.genesis = f->params.heights.chronicle = 1000000;
    for (int i = 0; i < 2; i++) {
        begin_family(f, &b, 0);
        b.beef.bump[0].height = i ? UINT32_MAX : TIP + 1;
        make_child(f, &b, 0, in, aged, f->value);
        add_child(&b);
        assert_int_equal(judge(f, &b), OK);
        assert_end(f, SPV_UNDETERMINED, "block-unknown");
    }
}

static void an_output_is_spent_once(void **state)
{
    struct fixture *f = *state;
    struct family b;
    struct built_tx first;
    begin_family(f, &b, 1);
    make_child(f, &b, 1, signed_in, usual, f->value - 1);
    add_child(&b);
    first = b.child;
    make_child(f, &b, 1, signed_in, usual, f->value - 2);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
    assert_end(f, SPV_INVALID, "double-spend");
    built_tx_clear(&first);
}

static void structure_is_judged_first(void **state)
{
    struct fixture *f = *state;
    struct family b;
    beef_init(&b.beef, BEEF_V1);
    make_child(f, &b, 1, signed_in, usual, f->value);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
    assert_end(f, SPV_INVALID, "structure");
}

static void a_proof_of_a_beef_must_be_of_our_chain(void **state)
{
    struct fixture *f = *state;
    struct family b;
    begin_family(f, &b, 1);
    b.beef.bump[0].height--;
    make_child(f, &b, 1, signed_in, usual, f->value);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
    assert_end(f, SPV_INVALID, "merkle-root");
    begin_family(f, &b, 1);
    b.beef.bump[0].height = TIP + 1;
    make_child(f, &b, 1, plain_in, usual, f->value + 1);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
    assert_end(f, SPV_INVALID, "bad-txns-in-belowout"); /* is worse than not to know */
}

/* --- ids alone -------------------------------------------------------------------------------- */

/* The parent is an id. */
static void judge_on_id(struct fixture *f, int move)
{
    struct family b;
    beef_init(&b.beef, BEEF_V2);
    b.beef.tx = calloc(1, sizeof *b.beef.tx);
    b.beef.tx[0] = (struct beef_tx){ .form = BEEF_ID_ALONE, .tx.id = f->moves[move].id };
    b.beef.n_txs = 1;
    make_child(f, &b, move, signed_in, usual, f->value);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
}

static void an_id_alone_counts_when_we_hold_the_transaction(void **state)
{
    struct fixture *f = *state;
    judge_on_id(f, 1);
    assert_end(f, SPV_UNDETERMINED, "txid-only");
    f->held = &f->moves[1];
    f->held_height = FAMILY;
    judge_on_id(f, 1);
    assert_end(f, SPV_VALID, "");
    judge_on_id(f, 2);
    assert_end(f, SPV_UNDETERMINED, "txid-only");
}

static void ids_stand_for_so_many_bytes(void **state)
{
    struct fixture *f = *state;
    f->held = &f->moves[1];
    f->held_height = FAMILY;
    f->env.held_bytes = f->held->raw.len;
    judge_on_id(f, 1);
    assert_end(f, SPV_VALID, "");
    f->env.held_bytes--;
    for (int i = 0; i < 2; i++, f->sized = true) {
        judge_on_id(f, 1);
        assert_end(f, SPV_UNDETERMINED, "txid-only");
        assert_non_null(strstr(f->j.reason, "more than"));
    }
}

/* Two ids of one record. */
static void the_second_is_asked_for_with_what_the_first_left(void **state)
{
    struct fixture *f = *state;
    struct family b;
    f->held = &f->moves[1];
    f->held_height = FAMILY;
    beef_init(&b.beef, BEEF_V2);
    b.beef.tx = calloc(2, sizeof *b.beef.tx);
    b.beef.tx[0] = (struct beef_tx){ .form = BEEF_ID_ALONE, .tx.id = f->moves[1].id };
    b.beef.tx[1] = (struct beef_tx){ .form = BEEF_ID_ALONE, .tx.id = f->moves[2].id };
    b.beef.n_txs = 2;
    make_child(f, &b, 1, signed_in, usual, f->value);
    add_child(&b);
    assert_int_equal(judge(f, &b), OK);
    assert_int_equal(f->most, f->env.held_bytes - f->held->raw.len);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void nobody_waits(void **state)
{
    struct fixture *f = *state;
    struct family b;
    f->given_up = true;
    begin_family(f, &b, 1);
    make_child(f, &b, 1, signed_in, usual, f->value);
    add_child(&b);
    assert_int_equal(judge(f, &b), ERR_CANCELLED);
}

/* A chain of two in the mempool, the first with a locking script that hashes a long time. */
static void scripts_that_take_long_decide_nothing(void **state)
{
    enum { ROUNDS = 100000 };
    struct fixture *f = *state;
    struct family b;
    struct built_tx slow;
    struct buf script;
    f->params.heights.genesis = 1; /* before, scripts are short */
    buf_init(&script);
    for (int i = 0; i < ROUNDS; i++)
        buf_put(&script, "\x51\xa8\x75", 3); /* 1 SHA256 DROP */
    buf_put_u8(&script, 0x51);
    const struct in_spec in = { .prevout = { f->moves[0].id, 0 }, .value = f->value };
    const struct out_spec out = { f->value, buf_span(&script) };
    const struct tx_spec spec = { .in = &in, .n_in = 1, .out = &out, .n_out = 1 };
    builder_tx(&spec, &slow);
    const struct in_spec last_in = { .prevout = { slow.id, 0 }, .value = f->value };
    const struct out_spec last_out = { f->value, builder_true() };
    const struct tx_spec last = { .in = &last_in, .n_in = 1, .out = &last_out, .n_out = 1 };
    for (int i = 0; i < 2; i++) {
        f->env.scripts_cpu_us = i ? 1 : 60000000;
        begin_family(f, &b, 0);
        assert_int_equal(beef_add_tx(&b.beef, buf_span(&slow.raw), NULL), OK);
        builder_tx(&last, &b.child);
        add_child(&b);
        assert_int_equal(judge(f, &b), OK);
        assert_end(f, i ? SPV_UNDETERMINED : SPV_VALID, i ? "script-time" : "");
    }
    built_tx_clear(&slow);
    buf_clear(&script);
}

/* --- BEEFs of the main network ---------------------------------------------------------------- */

enum { NODES = 4 };

/* Blocks with the roots that the BEEF wants, and a tip so much higher that coinbases are mature. */
static struct header_node *make_nodes(const struct beef *b, struct header_node *node)
{
    size_t n = 0;
    assert_true(b->n_bumps > 0 && b->n_bumps < NODES);
    for (int32_t height = 0; n < b->n_bumps; height++)
        for (size_t i = 0; i < b->n_bumps; i++) {
            struct bump_top top;
            if (b->bump[i].height != (uint32_t)height)
                continue;
            assert_int_equal(bump_climb(&b->bump[i], &top, NULL), OK);
            node[n] = (struct header_node){ .height = height, .merkle_root = top.root,
                                            .prev = n ? &node[n - 1] : NULL,
                                            .tx_count = UINT32_C(1) << top.depth };
            n++;
        }
    node[n] = (struct header_node){ .height = node[n - 1].height + 100, .prev = &node[n - 1] };
    return &node[n];
}

/* False: its structure is none, which is judged elsewhere. */
static bool judge_known(struct fixture *f, const char *hex)
{
    struct header_node node[NODES];
    struct buf raw = unhex(hex);
    struct reader r;
    struct beef b;
    reader_init(&r, raw.data, raw.len);
    assert_int_equal(beef_read(&r, &b, NULL), OK);
    const bool sound = !beef_check(&b, NULL);
    if (sound) {
        struct spv_env env = f->env;
        env.params = params_get(NETWORK_MAIN);
        env.tip = make_nodes(&b, node);
        f->j = (struct spv_judgement){ .end = SPV_VALID };
        assert_int_equal(spv_judge_beef(&env, &b, f->proofs, &f->j, NULL), OK);
    }
    beef_clear(&b);
    buf_clear(&raw);
    return sound;
}

/* A payment of the main network with its signature. */
static void the_example_of_the_standard_holds(void **state)
{
    struct fixture *f = *state;
    struct json_object *file = vector_json("spec/brc_examples.json");
    assert_true(judge_known(f, json_str(file, "brc62_beef_example")));
    assert_end(f, SPV_VALID, "");
    json_object_put(file);
    vector_report("spec/brc_examples.json", 1);
}

/* All but their scripts, which are made up: they run last. */
static void examples_of_the_sdk_hold_up_to_their_scripts(void **state)
{
    struct fixture *f = *state;
    struct json_object *file = vector_json("spv/beef-isvalid-hydration.json");
    struct json_object *rows = json_rows(file);
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        if (judge_known(f, json_str(json_get(row, "input"), "beef_hex")) && f->j.end != SPV_VALID)
            assert_end(f, SPV_INVALID, "script");
    }
    json_object_put(file);
    vector_report("spv/beef-isvalid-hydration.json", n);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        CASE(a_proof_of_our_chain_is_valid),
        CASE(a_proof_of_another_transaction_is_invalid),
        CASE(a_root_of_no_block_of_ours_is_invalid),
        CASE(a_block_above_the_tip_decides_nothing),
        CASE(a_node_of_the_tree_is_no_transaction),
        CASE(a_coinbase_counts_when_it_can_be_spent),
        CASE(a_signed_child_of_a_proved_parent_is_valid),
        CASE(a_script_that_fails_is_invalid),
        CASE(more_out_than_in_is_invalid),
        CASE(locks_in_time_are_kept),
        CASE(locks_by_age_are_kept_where_they_count),
        CASE(what_comes_from_above_the_tip_has_no_age),
        CASE(an_output_is_spent_once),
        CASE(structure_is_judged_first),
        CASE(a_proof_of_a_beef_must_be_of_our_chain),
        CASE(an_id_alone_counts_when_we_hold_the_transaction),
        CASE(ids_stand_for_so_many_bytes),
        CASE(the_second_is_asked_for_with_what_the_first_left),
        CASE(nobody_waits),
        CASE(scripts_that_take_long_decide_nothing),
        CASE(the_example_of_the_standard_holds),
        CASE(examples_of_the_sdk_hold_up_to_their_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
