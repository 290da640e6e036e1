/* Commands that make and judge proofs, on a real regtest chain. */
#include "rpc/commands.h"

#include <stdio.h>

#include "base/beef.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/merkle_branch.h"
#include "base/partial_merkle.h"
#include "tests/chain/chain_builder.h"
#include "tests/rpc/call.h"

#define ABSENT "00000000000000000000000000000000000000000000000000000000000000ff"
#define MOVES 4 /* transactions of block 103, each of a coinbase */

struct fixture {
    struct test_chain t;
    struct caller c;
    struct built_tx moves[MOVES];
    char params[1000];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct chain_params p = *params_get(NETWORK_REGTEST);
    test_chain_open(&f->t, &p, 1);
    caller_init(&f->c);
    f->c.env.chain = f->t.chain;
    test_chain_grow(&f->t, 102 + MOVES);
    for (int i = 0; i < MOVES; i++)
        builder_move(&f->t.blocks[i + 1].coinbase, f->t.blocks[i + 1].reward, &f->moves[i]);
    test_chain_add(&f->t, f->moves, MOVES);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < MOVES; i++)
        built_tx_clear(&f->moves[i]);
    caller_clear(&f->c);
    test_chain_close(&f->t);
    clock_set_mock(0);
    free(f);
    return 0;
}

/* Parameters with the id of a transaction of the last block in place of the '#'. */
static const char *with_id(struct fixture *f, const char *params, int move)
{
    char hex[HASH_HEX_SIZE];
    int before = (int)strcspn(params, "#");
    snprintf(f->params, sizeof f->params, "%.*s%s%s", before, params,
             hash_to_hex(hex, f->moves[move].id.b), params + before + 1);
    return f->params;
}

static const struct built_block *last_block(const struct fixture *f)
{
    return &f->t.blocks[f->t.height];
}

static struct buf hex_result(struct fixture *f, const char *method, const char *params)
{
    return unhex(json_object_get_string(call(&f->c, method, params)));
}

static void take_match(void *ctx, const struct partial_node *node)
{
    if (node->kind == PARTIAL_MATCH)
        memcpy(ctx, node->hash, 32);
}

static void a_partial_tree_proves_what_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct buf raw = hex_result(f, "gettxoutproof", with_id(f, "[[\"#\"]]", 2));
    struct reader r;
    struct block_header h;
    struct partial_merkle tree;
    struct hash256 root, match = { { 0 } };
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    assert_int_equal(partial_merkle_read(&r, &tree), OK);
    assert_int_equal(tree.leaves, MOVES + 1);
    assert_true(partial_merkle_walk(&tree, take_match, &match, &root));
    assert_memory_equal(root.b, last_block(f)->header.merkle_root.b, 32);
    assert_memory_equal(match.b, f->moves[2].id.b, 32);
    char hex[900];
    assert_true(raw.len < 400);
    hex_encode(hex, raw.data, raw.len);
    snprintf(f->params, sizeof f->params, "[\"%s\"]", hex);
    struct json_object *ids = call(&f->c, "verifytxoutproof", f->params);
    assert_int_equal(json_object_array_length(ids), 1);
    buf_clear(&raw);
}

static void a_branch_is_verified(void **state)
{
    struct fixture *f = *state;
    struct json_object *proof = call(&f->c, "getmerkleproof", with_id(f, "[\"#\"]", 0));
    assert_members(proof, "flags index txOrId target nodes");
    assert_int_equal(number(proof, "index"), 1);
    struct buf params;
    buf_init(&params);
    buf_printf(&params, "[%s]", json_object_to_json_string(proof));
    buf_put_u8(&params, 0);
    assert_true(json_object_get_boolean(call(&f->c, "verifymerkleproof",
                                             (const char *)params.data)));
    buf_clear(&params);
}

static void a_branch_has_the_form_of_the_standard(void **state)
{
    struct fixture *f = *state;
    struct json_object *proof =
        call(&f->c, "getmerkleproof2", with_id(f, "[\"\", \"#\", true, \"merkleroot\"]", 3));
    char hex[HASH_HEX_SIZE];
    assert_members(proof, "index txOrId targetType target nodes");
    assert_int_equal(number(proof, "index"), 4);
    struct buf raw = unhex(text(proof, "txOrId"));
    assert_int_equal(raw.len, f->moves[3].raw.len);
    assert_memory_equal(raw.data, f->moves[3].raw.data, raw.len);
    assert_string_equal(text(proof, "target"),
                        hash_to_hex(hex, last_block(f)->header.merkle_root.b));
    /* five leaves: the last row ends before two */
    struct json_object *nodes = field(proof, "nodes");
    assert_string_equal(json_object_get_string(json_object_array_get_idx(nodes, 0)), "*");
    assert_string_equal(json_object_get_string(json_object_array_get_idx(nodes, 1)), "*");
    buf_clear(&raw);
}

static void a_bump_leads_to_the_root(void **state)
{
    struct fixture *f = *state;
    struct buf raw = hex_result(f, "getbump", with_id(f, "[\"#\"]", 1));
    struct reader r;
    struct bump b;
    struct bump_top top;
    reader_init(&r, raw.data, raw.len);
    assert_int_equal(bump_read(&r, &b, NULL), OK);
    assert_int_equal(b.height, f->t.height);
    assert_int_equal(bump_climb(&b, &top, NULL), OK);
    assert_int_equal(top.depth, merkle_depth(MOVES + 1));
    assert_memory_equal(top.root.b, last_block(f)->header.merkle_root.b, 32);
    bump_clear(&b);
    buf_clear(&raw);
}

static void a_beef_holds(void **state)
{
    struct fixture *f = *state;
    static const char *const formats[] = { "[\"#\"]", "[\"#\", \"v2\"]", "[\"#\", \"atomic\"]" };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct buf raw = hex_result(f, "getbeef", with_id(f, formats[i], 1));
        struct reader r;
        struct beef b;
        reader_init(&r, raw.data, raw.len);
        assert_int_equal(beef_read(&r, &b, NULL), OK);
        assert_true(reader_done(&r));
        assert_int_equal(beef_check(&b, NULL), OK);
        assert_int_equal(b.version, i == 1 ? BEEF_V2 : BEEF_V1);
        assert_int_equal(b.atomic, i == 2);
        assert_true(txid_equal(&beef_subject(&b)->tx.id, &f->moves[1].id));
        beef_clear(&b);
        buf_clear(&raw);
    }
}

static void what_is_not_there_has_no_proof(void **state)
{
    struct fixture *f = *state;
    static const char *const lookups[][2] = {
        { "gettxoutproof", "[[\"" ABSENT "\"]]" },
        { "getmerkleproof", "[\"" ABSENT "\"]" },
        { "getmerkleproof2", "[\"\", \"" ABSENT "\"]" },
        { "getbump", "[\"" ABSENT "\"]" },
    };
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++)
        call_fails(&f->c, lookups[i][0], lookups[i][1], -5, "Transaction not yet in block");
    call_fails(&f->c, "getbeef", "[\"" ABSENT "\"]", -5, "No such mempool transaction");
    call_fails(&f->c, "getbump", with_id(f, "[\"#\", \"" ABSENT "\"]", 0), -5, "Block not found");
    call_fails(&f->c, "verifytxoutproof", "[\"00\"]", -1, "no header with a partial Merkle tree");
    call_fails(&f->c, "verifymerkleproof", "[{}]", -8, "flags");
}

/* Nobody waits: passes over blocks end. */
static void work_for_a_node_that_stops_ends(void **state)
{
    struct fixture *f = *state;
    cancel_set(&f->c.cancel);
    static const char *const methods[][2] = {
        { "gettxoutproof", "[[\"#\"]]" }, { "getmerkleproof", "[\"#\"]" },
        { "getmerkleproof2", "[\"\", \"#\"]" }, { "getbump", "[\"#\"]" }, { "getbeef", "[\"#\"]" },
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        call_text(&f->c, methods[i][0], with_id(f, methods[i][1], 0));
        assert_int_not_equal(f->c.code, 0);
    }
}

static bool gone(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

/* The same when the client leaves, which is asked before each segment. */
static void work_for_a_client_that_left_ends(void **state)
{
    struct fixture *f = *state;
    struct json_object *request;
    struct json_writer w;
    char hash[HASH_HEX_SIZE];
    int asked = 0;
    buf_reset(&f->c.request);
    buf_printf(&f->c.request, "{\"method\":\"getbump\",\"params\":[\"" ABSENT "\",\"%s\"]}",
               hash_to_hex(hash, last_block(f)->hash.b));
    assert_int_equal(json_read((const char *)f->c.request.data, f->c.request.len, &request, NULL),
                     OK);
    buf_reset(&f->c.out);
    jw_init(&w, &f->c.out, NULL, NULL);
    struct rpc_run run = { .env = &f->c.env, .out = &w, .client_gone = gone, .client = &asked };
    assert_int_equal(rpc_run(&run, request), -1); /* not -5, that it is not in the block */
    assert_true(asked > 0);
    json_object_put(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_partial_tree_proves_what_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_branch_is_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(a_branch_has_the_form_of_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bump_leads_to_the_root, setup, teardown),
        cmocka_unit_test_setup_teardown(a_beef_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_has_no_proof, setup, teardown),
        cmocka_unit_test_setup_teardown(work_for_a_node_that_stops_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(work_for_a_client_that_left_ends, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
