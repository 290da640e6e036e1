/* Commands about the chain, blocks, coins, transactions and mining, on a real regtest chain. */
#include "rpc/commands.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/candidates.h"
#include "rpc/tx_lookup.h"
#include "tests/chain/chain_builder.h"
#include "tests/rpc/call.h"

#define GENERATE_TO "\"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn\""
#define LARGE 200000
#define ABSENT "\"00000000000000000000000000000000000000000000000000000000000000ff\""

struct fixture {
    struct test_chain t;
    struct caller c;
    char hash[2 + HASH_HEX_SIZE]; /* quoted */
    char params[300];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct chain_params p = *params_get(NETWORK_REGTEST);
    test_chain_open(&f->t, &p, 1);
    caller_init(&f->c);
    f->c.env.chain = f->t.chain;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    caller_clear(&f->c);
    test_chain_close(&f->t);
    clock_set_mock(0);
    free(f);
    return 0;
}

/* The hash of the block grown at a height, as a quoted text. */
static const char *hash_at(struct fixture *f, int height)
{
    char hex[HASH_HEX_SIZE];
    snprintf(f->hash, sizeof f->hash, "\"%s\"", hash_to_hex(hex, f->t.blocks[height].hash.b));
    return f->hash;
}

static struct json_object *on_block(struct fixture *f, const char *method, int height,
                                    const char *more)
{
    char params[200];
    snprintf(params, sizeof params, "[%s%s]", hash_at(f, height), more);
    return call(&f->c, method, params);
}

static const char *plain(struct fixture *f, int height)
{
    static char bare[HASH_HEX_SIZE];
    return hash_to_hex(bare, f->t.blocks[height].hash.b);
}

/* --- memory that is short ------------------------------------------------------------------- */

/* Bytes to be had at once. */
static _Atomic size_t largest_alloc = SIZE_MAX, largest_calloc = SIZE_MAX,
    largest_realloc = SIZE_MAX;

void *__real_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size)
{
    return count * size > largest_alloc ? NULL : __real_try_alloc(count, size);
}

void *__real_try_calloc(size_t count, size_t size);
void *__wrap_try_calloc(size_t count, size_t size);
void *__wrap_try_calloc(size_t count, size_t size)
{
    return count * size > largest_calloc ? NULL : __real_try_calloc(count, size);
}

void *__real_try_realloc(void *p, size_t count, size_t size);
void *__wrap_try_realloc(void *p, size_t count, size_t size);
void *__wrap_try_realloc(void *p, size_t count, size_t size)
{
    return count * size > largest_realloc ? NULL : __real_try_realloc(p, count, size);
}

/* Parameters with the hex of a large transaction, or of a coinbase, in place of the '#'. */
static char *with_large_tx(const char *params, bool coinbase)
{
    const struct outpoint none = { .index = UINT32_MAX }, some = { { { 1 } }, 0 };
    uint8_t *data = calloc(1, LARGE);
    const struct in_spec in = { .prevout = coinbase ? none : some, .value = 1000 };
    const struct out_spec out = { .value = 1000, .script = span_of(data, LARGE) };
    struct built_tx tx;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
    char *hex = malloc(2 * tx.raw.len + 1), *text;
    hex_encode(hex, tx.raw.data, tx.raw.len);
    const int before = (int)strcspn(params, "#");
    text = xasprintf("%.*s%s%s", before, params, hex, params + before + 1);
    built_tx_clear(&tx);
    free(data);
    free(hex);
    return text;
}

static void lack_of_memory_is_no_fault_of_a_transaction(void **state)
{
    static const struct { const char *method, *params; bool coinbase; } rows[] = {
        { "sendrawtransaction", "[\"#\"]", false },
        { "sendrawtransactions", "[[{\"hex\":\"#\"}]]", false },
        { "verifyscript", "[[{\"tx\":\"#\",\"n\":0}]]", false },
        { "addToConfiscationTxidWhitelist",
          "[{\"confiscationTxs\":[{\"confiscationTx\":{\"enforceAtHeight\":1,\"hex\":\"#\"}}]}]",
          false },
        { "submitminingsolution", "[{\"id\":\"x\",\"nonce\":1,\"coinbase\":\"#\"}]", true },
    };
    struct fixture *f = *state;
    f->c.env.candidates = candidates_new(1, 1000000, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *params = with_large_tx(rows[i].params, rows[i].coinbase);
        call_text(&f->c, rows[i].method, params);
        assert_int_not_equal(f->c.code, RPC_OUT_OF_MEMORY);
        largest_alloc = LARGE;
        call_fails(&f->c, rows[i].method, params, RPC_OUT_OF_MEMORY, "memory");
        largest_alloc = SIZE_MAX;
        free(params);
    }
    candidates_free(f->c.env.candidates);
}

static void a_list_that_memory_has_no_room_for_is_refused(void **state)
{
    struct fixture *f = *state;
    call_fails(&f->c, "sendrawtransactions", "[[0,0,0]]", RPC_INVALID_PARAMETER, "inputs[0]");
    largest_calloc = 20;
    call_fails(&f->c, "sendrawtransactions", "[[0,0,0]]", RPC_OUT_OF_MEMORY, "memory");
    largest_calloc = SIZE_MAX;
}

/* An output that makes an item of twice that size; nothing is to be signed. */
static void lack_of_memory_is_no_fault_of_a_script(void **state)
{
    struct fixture *f = *state;
    f->t.options.params.heights.genesis = f->t.options.params.heights.chronicle = 1;
    test_chain_reopen(&f->t);
    f->c.env.chain = f->t.chain;
    char *push = calloc(1, 2 * LARGE + 1), *params;
    memset(push, '1', 2 * LARGE);
    params = xasprintf(
        "[\"0100000001%.64s0000000000ffffffff0100000000000000000000000000\",[{\"txid\":\"%.64s\","
                       "\"vout\":0,\"scriptPubKey\":\"4e400d0300%s767e\",\"amount\":1}],[]]", push,
                       push, push);
    assert_non_null(strstr(call_text(&f->c, "signrawtransaction", params), "\"complete\":true"));
    largest_alloc = largest_calloc = largest_realloc = LARGE;
    assert_non_null(strstr(call_text(&f->c, "signrawtransaction", params), "out of memory"));
    largest_alloc = largest_calloc = largest_realloc = SIZE_MAX;
    free(push);
    free(params);
}

static void lack_of_memory_is_no_fault_of_a_block(void **state)
{
    struct fixture *f = *state;
    char *params = with_large_tx("[\"#\"]", false);
    call_fails(&f->c, "verifyblockcandidate", params, RPC_DESERIALIZATION_ERROR, "decode");
    largest_realloc = LARGE;
    call_fails(&f->c, "verifyblockcandidate", params, RPC_OUT_OF_MEMORY, "memory");
    largest_realloc = SIZE_MAX;
    free(params);
}

/* --- where the chain stands ----------------------------------------------------------------- */

static void counts_and_hashes_follow_the_tip(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 5);
    assert_int_equal(json_object_get_int(call(&f->c, "getblockcount", "[]")), 5);
    assert_string_equal(json_object_get_string(call(&f->c, "getbestblockhash", "[]")), plain(f, 5));
    assert_string_equal(json_object_get_string(call(&f->c, "getblockhash", "[2]")), plain(f, 2));
    call_fails(&f->c, "getblockhash", "[6]", -8, "Block height out of range");
    call_fails(&f->c, "getblockhash", "[-1]", -8, "Block height out of range");
    call_fails(&f->c, "getblockhash", "[5000000000]", -8, "Block height out of range");
    assert_string_equal(json_object_get_string(call(&f->c, "getdifficulty", "[]")),
                        "4.656542373906925e-10");
}

static void getblockchaininfo_has_the_references_fields(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 3);
    struct json_object *r = call(&f->c, "getblockchaininfo", "[]");
    assert_members(r,
                   "chain blocks headers bestblockhash difficulty mediantime verificationprogress "
                   "chainwork pruned softforks");
    assert_string_equal(text(r, "chain"), "regtest");
    assert_int_equal(number(r, "blocks"), 3);
    assert_int_equal(number(r, "headers"), 3);
    assert_string_equal(text(r, "chainwork"),
                        "0000000000000000000000000000000000000000000000000000000000000008");
    assert_false(truth(r, "pruned"));
    struct json_object *fork = json_object_array_get_idx(field(r, "softforks"), 0);
    assert_members(fork, "id version reject");
    assert_string_equal(text(fork, "id"), "bip34");
    assert_int_equal(config_set_rule(f->c.config, "prune", "1"), true);
    r = call(&f->c, "getblockchaininfo", "[]");
    assert_true(truth(r, "pruned"));
    assert_int_equal(number(r, "pruneheight"), 0);
}

static void getchaintips_tells_branches_apart(void **state)
{
    struct fixture *f = *state;
    struct built_block side[2];
    test_chain_grow(&f->t, 4);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[2] }, &side[0]);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &side[0] }, &side[1]);
    assert_string_equal(test_chain_submit(&f->t, &side[0]), "");
    struct json_object *r = call(&f->c, "getchaintips", "[]");
    assert_int_equal(json_object_array_length(r), 2);
    struct json_object *first = json_object_array_get_idx(r, 0),
                       *second = json_object_array_get_idx(r, 1);
    assert_members(first, "height hash branchlen status");
    assert_string_equal(text(first, "status"), "active");
    assert_int_equal(number(first, "branchlen"), 0);
    assert_int_equal(number(second, "height"), 3);
    assert_int_equal(number(second, "branchlen"), 1);
    assert_string_equal(text(second, "status"), "valid-headers");
    built_block_clear(&side[0]);
    built_block_clear(&side[1]);
}

/* --- blocks --------------------------------------------------------------------------------- */

#define HEADER_MEMBERS                                                                           \
    "hash confirmations size height version versionHex merkleroot num_tx time mediantime nonce " \
    "bits difficulty chainwork previousblockhash"

static void getblock_shows_each_verbosity(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 3);
    struct json_object *r = on_block(f, "getblock", 2, "");
    assert_members(r, "tx " HEADER_MEMBERS " nextblockhash status");
    assert_int_equal(number(r, "confirmations"), 2);
    assert_int_equal(number(r, "num_tx"), 1);
    assert_int_equal(number(r, "size"), (int64_t)f->t.blocks[2].raw.len);
    assert_int_equal(json_object_get_type(json_object_array_get_idx(field(r, "tx"), 0)),
                     json_type_string);
    assert_members(field(r, "status"),
                   "validity data undo failed parent failed disk meta soft reject double spend "
                   "soft consensus frozen");
    r = on_block(f, "getblock", 3, ", 2");
    assert_members(r, "tx " HEADER_MEMBERS " status");
    assert_members(json_object_array_get_idx(field(r, "tx"), 0),
                   "txid hash version size locktime vin vout hex");
    r = on_block(f, "getblock", 3, ", \"DECODE_HEADER_AND_COINBASE\"");
    assert_int_equal(json_object_array_length(field(r, "tx")), 1);
    r = on_block(f, "getblock", 3, ", false");
    struct buf raw = unhex(json_object_get_string(r));
    assert_int_equal(raw.len, f->t.blocks[3].raw.len);
    assert_memory_equal(raw.data, f->t.blocks[3].raw.data, raw.len);
    buf_clear(&raw);
}

struct pieces {
    char first[100];
    unsigned n;
};

static enum err keep_piece(void *ctx, const void *data, size_t len)
{
    struct pieces *p = ctx;
    if (p->n++ == 0)
        snprintf(p->first, sizeof p->first, "%.*s", (int)len, (const char *)data);
    return OK;
}

/* A call whose answer leaves in pieces; what is left at the end counts for none. */
static struct pieces call_in_pieces(struct fixture *f, const char *method, const char *params)
{
    struct json_object *request;
    struct json_writer w;
    struct pieces p = { .n = 0 };
    struct buf text;
    buf_init(&text);
    buf_printf(&text, "{\"method\":\"%s\",\"params\":%s}", method, params);
    assert_int_equal(json_read((const char *)text.data, text.len, &request, NULL), OK);
    buf_reset(&text);
    jw_init(&w, &text, keep_piece, &p);
    struct rpc_run run = { .env = &f->c.env, .out = &w };
    assert_int_equal(rpc_run(&run, request), 0);
    json_object_put(request);
    buf_clear(&text);
    return p;
}

static void the_answer_about_a_large_block_begins_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    const size_t size = 900000;
    uint8_t *data = calloc(1, size);
    struct built_tx txs[5];
    test_chain_grow(&f->t, 106);
    for (int i = 0; i < 5; i++) {
        const struct in_spec in = { .prevout = f->t.blocks[i + 1].coinbase,
                                    .value = f->t.blocks[i + 1].reward };
        const struct out_spec out = { .value = in.value, .script = span_of(data, size) };
        builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &txs[i]);
    }
    test_chain_add(&f->t, txs, 5);
    char params[100];
    snprintf(params, sizeof params, "[%s,1]", hash_at(f, 107));
    struct pieces p = call_in_pieces(f, "getblock", params);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.first, "{\"result\":{\"tx\":[");
    snprintf(params, sizeof params, "[%s,2]", hash_at(f, 107));
    assert_int_equal(call_in_pieces(f, "getblockheader", params).n, 1);
    snprintf(params, sizeof params, "[%s,1]", hash_at(f, 106));
    assert_int_equal(call_in_pieces(f, "getblock", params).n, 0);
    for (int i = 0; i < 5; i++)
        built_tx_clear(&txs[i]);
    free(data);
}

static void getblock_takes_its_verbosity_in_many_forms(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 1);
    static const struct { const char *form; bool hex; } forms[] = {
        { ", 0", true }, { ", \"0\"", true }, { ", \"false\"", true }, { ", \"RAW_BLOCK\"", true },
        { ", true", false },
        { ", \"1\"", false }, { ", \"true\"", false }, { ", null", false },
        { ", \"DECODE_TRANSACTIONS\"", false },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        assert_int_equal(json_object_get_type(
            on_block(f, "getblock", 1, forms[i].form)) == json_type_string, forms[i].hex);
    char params[100];
    snprintf(params, sizeof params, "[%s, 4]", hash_at(f, 1));
    call_fails(&f->c, "getblock", params, -8, "Verbosity");
    snprintf(params, sizeof params, "[%s, \"x\"]", hash_at(f, 1));
    call_fails(&f->c, "getblock", params, -8, "Verbosity");
    snprintf(params, sizeof params, "{\"verbose\": 0, \"blockhash\": %s}", hash_at(f, 1));
    assert_int_equal(json_object_get_type(call(&f->c, "getblock", params)), json_type_string);
}

static void unknown_blocks_and_bad_hashes_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const methods[] = { "getblock", "getblockheader", "getblockstats",
                                           "invalidateblock", "reconsiderblock", "preciousblock" };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        call_fails(&f->c, methods[i], "[" ABSENT "]", -5, "Block not found");
        call_fails(&f->c, methods[i], "[\"abcd\"]", -8, "blockhash must be of length 64 (not 4)");
        call_fails(&f->c, methods[i], "[\"xyz\"]", -8,
                   "blockhash must be hexadecimal string (not 'xyz')");
        call_fails(&f->c, methods[i], "[]", -1, methods[i]);
    }
}

static void getblockheader_gives_hex_object_and_coinbase_proof(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 101);
    struct built_tx a, b;
    struct built_block block;
    builder_move(&f->t.blocks[1].coinbase, f->t.blocks[1].reward, &a);
    builder_move(&(struct outpoint){ a.id, 0 }, f->t.blocks[1].reward, &b);
    const struct built_tx txs[] = { a, b };
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[101], .txs = txs,
                                                              .n_txs = 2 }, &block);
    assert_string_equal(test_chain_submit(&f->t, &block), "");
    assert_int_equal(strlen(json_object_get_string(on_block(f, "getblockheader", 1, ", false"))),
                     160);
    assert_members(on_block(f, "getblockheader", 1, ""), HEADER_MEMBERS " nextblockhash status");
    char hex[HASH_HEX_SIZE], params[100];
    snprintf(params, sizeof params, "[\"%s\", 2]", hash_to_hex(hex, block.hash.b));
    struct json_object *r = call(&f->c, "getblockheader", params);
    assert_members(r, "tx " HEADER_MEMBERS " status merkleproof");
    struct json_object *proof = field(r, "merkleproof");
    assert_int_equal(json_object_array_length(proof), 2);
    /* three leaves: siblings are the second transaction, then the pair of the third with itself */
    assert_string_equal(json_object_get_string(json_object_array_get_idx(proof, 0)),
                        hash_to_hex(hex, a.id.b));
    built_tx_clear(&a);
    built_tx_clear(&b);
    built_block_clear(&block);
}

/* --- coins and transactions ----------------------------------------------------------------- */



/* Hash of the block made by generatetoaddress, quoted, and its coinbase's id, plain. */
static void generate_one(struct fixture *f, char block[HASH_HEX_SIZE + 2], char txid[HASH_HEX_SIZE])
{
    char params[100];
    struct json_object *r = call(&f->c, "generatetoaddress", "[1," GENERATE_TO "]");
    assert_int_equal(json_object_array_length(r), 1);
    snprintf(block, HASH_HEX_SIZE + 2, "\"%s\"",
             json_object_get_string(json_object_array_get_idx(r, 0)));
    snprintf(params, sizeof params, "[%s]", block);
    r = call(&f->c, "getblock", params);
    snprintf(txid, HASH_HEX_SIZE, "%s",
             json_object_get_string(json_object_array_get_idx(field(r, "tx"), 0)));
}

static void gettxout_shows_unspent_outputs_and_null_for_others(void **state)
{
    struct fixture *f = *state;
    char block[HASH_HEX_SIZE + 2], id[HASH_HEX_SIZE], params[120];
    generate_one(f, block, id);
    snprintf(params, sizeof params, "[\"%s\", 0]", id);
    struct json_object *r = call(&f->c, "gettxout", params);
    assert_members(r, "bestblock confirmations value scriptPubKey coinbase confiscation");
    assert_int_equal(number(r, "confirmations"), 1);
    assert_string_equal(text(r, "value"), "50.00000000");
    assert_true(truth(r, "coinbase"));
    assert_members(field(r, "scriptPubKey"), "asm hex reqSigs type addresses");
    assert_string_equal(text(field(r, "scriptPubKey"), "type"), "pubkeyhash");
    snprintf(params, sizeof params, "[\"%s\", 1]", id);
    assert_null(call(&f->c, "gettxout", params));
    snprintf(params, sizeof params, "[\"%s\", -1]", id);
    assert_null(call(&f->c, "gettxout", params));
    assert_null(call(&f->c, "gettxout", "[" ABSENT ", 0, false]"));
}

static void gettxoutsetinfo_sums_over_all_outputs(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 4);
    struct json_object *r = call(&f->c, "gettxoutsetinfo", "[]");
    assert_members(
        r, "height bestblock transactions txouts bogosize hash_serialized disk_size total_amount");
    assert_int_equal(number(r, "height"), 4);
    assert_int_equal(number(r, "transactions"), 4);
    assert_int_equal(number(r, "txouts"), 4);
    assert_int_equal(number(r, "bogosize"), 4 * 51);
    assert_string_equal(text(r, "total_amount"), "200.00000000");
    char first[HASH_HEX_SIZE];
    snprintf(first, sizeof first, "%s", text(r, "hash_serialized"));
    test_chain_grow(&f->t, 1);
    r = call(&f->c, "gettxoutsetinfo", "[]");
    assert_string_not_equal(text(r, "hash_serialized"), first);
    char params[100];
    snprintf(params, sizeof params, "[%s]", hash_at(f, 5));
    call(&f->c, "invalidateblock", params);
    r = call(&f->c, "gettxoutsetinfo", "[]");
    assert_string_equal(text(r, "hash_serialized"), first);
}

static void getrawtransaction_finds_by_output_block_and_index(void **state)
{
    struct fixture *f = *state;
    char block[HASH_HEX_SIZE + 2], id[HASH_HEX_SIZE], params[220];
    generate_one(f, block, id);
    snprintf(params, sizeof params, "[\"%s\"]", id);
    assert_int_equal(json_object_get_type(call(&f->c, "getrawtransaction", params)),
                     json_type_string);
    snprintf(params, sizeof params, "[\"%s\", 1]", id);
    struct json_object *r = call(&f->c, "getrawtransaction", params);
    assert_members(r,
                   "txid hash version size locktime vin vout blockhash confirmations time "
                   "blocktime blockheight hex");
    assert_string_equal(text(r, "txid"), id);
    assert_int_equal(number(r, "confirmations"), 1);
    assert_int_equal(number(r, "blockheight"), 1);
    snprintf(params, sizeof params, "[\"%s\", true, %s]", id, block);
    assert_string_equal(text(call(&f->c, "getrawtransaction", params), "txid"), id);
    snprintf(params, sizeof params, "[" ABSENT ", true, %s]", block);
    call_fails(&f->c, "getrawtransaction", params, -5, "in the provided block");
    call_fails(&f->c, "getrawtransaction", "[" ABSENT "]", -5,
               "No such mempool transaction. Use -txindex");
    snprintf(params, sizeof params, "[\"%s\", \"yes\"]", id);
    call_fails(&f->c, "getrawtransaction", params, -3, "must be a boolean");
}

static void getrawtransaction_uses_the_index(void **state)
{
    struct fixture *f = *state;
    f->t.options.tx_index = true;
    test_chain_reopen(&f->t);
    f->c.env.chain = f->t.chain;
    assert_true(config_set_rule(f->c.config, "txindex", "1"));
    test_chain_grow(&f->t, 102);
    struct built_tx move;
    struct built_block block;
    char hex[HASH_HEX_SIZE], params[120];
    builder_move(&f->t.blocks[1].coinbase, f->t.blocks[1].reward, &move);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[102],
                                                              .txs = &move, .n_txs = 1 }, &block);
    assert_string_equal(test_chain_submit(&f->t, &block), "");
    assert_int_equal(chain_flush(f->t.chain, NULL), OK);
    /* spent */
    snprintf(params, sizeof params, "[\"%s\", true]",
             hash_to_hex(hex, f->t.blocks[1].coinbase.txid.b));
    struct json_object *r = call(&f->c, "getrawtransaction", params);
    assert_int_equal(number(r, "blockheight"), 1);
    assert_int_equal(number(r, "confirmations"), 103);
    call_fails(&f->c, "getrawtransaction", "[" ABSENT "]", -5,
               "No such mempool or blockchain transaction");
    built_tx_clear(&move);
    built_block_clear(&block);
}

/* Parameters of getrawtransaction, with more behind the id. */
static const char *with_txid(struct fixture *f, const struct txid *id, const char *more)
{
    char hex[HASH_HEX_SIZE];
    snprintf(f->params, sizeof f->params, "[\"%s\"%s]", hash_to_hex(hex, id->b), more);
    return f->params;
}

static void the_http_thread_shows_small_transactions_of_the_index_and_leaves_others(void **state)
{
    struct fixture *f = *state;
    f->t.options.tx_index = true;
    test_chain_reopen(&f->t);
    f->c.env.chain = f->t.chain;
    test_chain_grow(&f->t, 102);
    uint8_t *data = calloc(1, LARGE);
    const struct in_spec in = { .prevout = f->t.blocks[1].coinbase,
                                .value = f->t.blocks[1].reward };
    const struct out_spec out = { .value = in.value, .script = span_of(data, LARGE) };
    struct built_tx large;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &large);
    test_chain_add(&f->t, &large, 1);
    assert_int_equal(chain_flush(f->t.chain, NULL), OK);
    const struct txid *small = &f->t.blocks[2].coinbase.txid;
    char in_block[2 * HASH_HEX_SIZE];
    snprintf(in_block, sizeof in_block, ", false, %s", hash_at(f, 2));

    assert_false(http_thread_answers(&f->c, "getrawtransaction", with_txid(f, small, "")));
    assert_true(config_set_rule(f->c.config, "txindex", "1"));
    assert_true(http_thread_answers(&f->c, "getrawtransaction", with_txid(f, small, "")));
    assert_true(http_thread_answers(&f->c, "getrawtransaction", with_txid(f, small, ", true")));
    assert_false(http_thread_answers(&f->c, "getrawtransaction", with_txid(f, small, in_block)));
    assert_false(http_thread_answers(&f->c, "getrawtransaction", with_txid(f, &large.id, "")));
    assert_false(http_thread_answers(&f->c, "getrawtransaction", "[" ABSENT "]"));
    assert_int_equal(strlen(json_object_get_string(
                         call(&f->c, "getrawtransaction", with_txid(f, &large.id, "")))),
                     2 * large.raw.len);
    built_tx_clear(&large);
    free(data);
}

/* By an output that is unspent, and by the index. */
static void a_transaction_above_the_bound_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct json_writer nothing = { .failed = false };
    struct rpc_call call = { .env = &f->c.env, .out = &nothing };
    struct tx_found found = { .node = NULL };
    struct built_tx move;
    f->t.options.tx_index = true;
    test_chain_reopen(&f->t);
    f->c.env.chain = f->t.chain;
    test_chain_grow(&f->t, 102);
    builder_move(&f->t.blocks[1].coinbase, f->t.blocks[1].reward, &move);
    test_chain_add(&f->t, &move, 1);
    assert_int_equal(chain_flush(f->t.chain, NULL), OK);
    for (int i = 0; i < 2; i++) {
        assert_true(config_set_rule(f->c.config, "txindex", i ? "1" : "0"));
        assert_int_equal(tx_lookup(&call, NULL, &move.id, move.raw.len - 1, &found, NULL),
                         ERR_RANGE);
        assert_null(found.node);
        assert_int_equal(found.raw.cap, 0);
        assert_int_equal(tx_lookup(&call, NULL, &move.id, move.raw.len, &found, NULL), OK);
        assert_int_equal(found.node->height, 103);
        assert_int_equal(found.raw.len, move.raw.len);
        buf_clear(&found.raw);
    }
    built_tx_clear(&move);
}

static void the_http_thread_waits_for_no_transaction_to_be_judged(void **state)
{
    struct fixture *f = *state;
    struct built_tx move;
    char hex[400], params[420];
    test_chain_grow(&f->t, 102);
    builder_move(&f->t.blocks[1].coinbase, f->t.blocks[1].reward, &move);
    assert_true(move.raw.len < sizeof hex / 2);
    hex_encode(hex, move.raw.data, move.raw.len);
    snprintf(params, sizeof params, "[\"%s\", true, true]", hex);
    assert_false(http_thread_answers(&f->c, "sendrawtransaction", params)); /* no answer later */
    call(&f->c, "sendrawtransaction", params);
    built_tx_clear(&move);
}

static void decoderawtransaction_shows_inputs_and_outputs(void **state)
{
    struct fixture *f = *state;
    /* the first payment ever, block 170 */
    static const char params[] =
        "[\"0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd37040000000048473"
        "04402204e45e16932b8af51"
        "4961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc5"
        "6cbbac4622082221a8768d1d"
        "0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71"
        "302fa28414e7aab37397f554"
        "a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a01"
        "6b49840f8c53bc1eb68a382e"
        "97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac"
        "00000000\"]";
    struct json_object *r = call(&f->c, "decoderawtransaction", params);
    assert_members(r, "txid hash version size locktime vin vout hex");
    assert_string_equal(text(r, "txid"),
                        "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16");
    assert_int_equal(number(r, "size"), 275);
    struct json_object *in = json_object_array_get_idx(field(r, "vin"), 0);
    assert_members(in, "txid vout scriptSig sequence");
    assert_int_equal(number(in, "sequence"), 4294967295);
    struct json_object *out = json_object_array_get_idx(field(r, "vout"), 0);
    assert_members(out, "value n scriptPubKey");
    assert_string_equal(text(out, "value"), "10.00");
    struct json_object *script = field(out, "scriptPubKey");
    assert_string_equal(text(script, "type"), "pubkey");
    assert_string_equal(
        json_object_get_string(json_object_array_get_idx(field(script, "addresses"), 0)),
                        "n4YQoLK25P4RsJ2wJEpKnT6q2WGxt149rs");
    call_fails(&f->c, "decoderawtransaction", "[\"00\"]", -22, "TX decode failed");
    call_fails(&f->c, "decoderawtransaction", "[\"0\"]", -22, "TX decode failed");
}

static void decodescript_and_validateaddress_tell_what_they_see(void **state)
{
    struct fixture *f = *state;
    struct json_object *r =
        call(&f->c, "decodescript", "[\"76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac\"]");
    assert_members(r, "asm reqSigs type addresses p2sh");
    assert_string_equal(text(r, "type"), "pubkeyhash");
    r = call(&f->c, "decodescript", "[\"6a0101\"]");
    assert_members(r, "asm type p2sh");
    assert_string_equal(text(r, "type"), "nulldata");
    r = call(&f->c, "validateaddress", "[" GENERATE_TO "]");
    assert_members(r, "isvalid address scriptPubKey ismine iswatchonly isscript");
    assert_string_equal(text(r, "scriptPubKey"),
                        "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac");
    /* main network */
    assert_members(call(&f->c, "validateaddress", "[\"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa\"]"),
                   "isvalid");
    assert_false(truth(call(&f->c, "validateaddress", "[\"x\"]"), "isvalid"));
    assert_true(truth(call(&f->c, "validateaddress", "[\"2N2JD6wb56AfK4tfmM6PwdVmoYk2dCKf4Br\"]"),
                      "isscript"));
}

/* --- making and judging blocks -------------------------------------------------------------- */

static void submitblock_answers_by_bip_22(void **state)
{
    struct fixture *f = *state;
    struct built_block good, bad;
    struct buf params;
    char *hex;
    buf_init(&params);
    test_chain_grow(&f->t, 1);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[1] }, &good);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &good, .extra_reward = 1 },
                  &bad);
    hex = malloc(2 * good.raw.len + 1);
    hex_encode(hex, good.raw.data, good.raw.len);
    buf_printf(&params, "[\"%s\"]", hex);
    buf_put_u8(&params, 0);
    assert_null(call(&f->c, "submitblock", (const char *)params.data));
    assert_string_equal(json_object_get_string(call(&f->c, "submitblock",
                                                    (const char *)params.data)), "duplicate");
    free(hex);
    hex = malloc(2 * bad.raw.len + 1);
    hex_encode(hex, bad.raw.data, bad.raw.len);
    buf_reset(&params);
    buf_printf(&params, "[\"%s\"]", hex);
    buf_put_u8(&params, 0);
    assert_string_equal(json_object_get_string(call(&f->c, "submitblock",
                                                    (const char *)params.data)), "bad-cb-amount");
    assert_string_equal(json_object_get_string(
        call(&f->c, "submitblock", (const char *)params.data)), "duplicate-invalid");
    call_fails(&f->c, "submitblock", "[\"0011\"]", -22, "Block decode failed");
    free(hex);
    buf_clear(&params);
    built_block_clear(&good);
    built_block_clear(&bad);
}

static void submitheader_wants_a_known_parent(void **state)
{
    struct fixture *f = *state;
    struct built_block a, b;
    uint8_t raw[BLOCK_HEADER_SIZE];
    char hex[2 * BLOCK_HEADER_SIZE + 1], params[200];
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[0] }, &a);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &a }, &b);
    block_header_put(raw, &b.header);
    hex_encode(hex, raw, sizeof raw);
    snprintf(params, sizeof params, "[\"%s\"]", hex);
    call_fails(&f->c, "submitheader", params, -25, "previous header");
    block_header_put(raw, &a.header);
    hex_encode(hex, raw, sizeof raw);
    snprintf(params, sizeof params, "[\"%s\"]", hex);
    assert_null(call(&f->c, "submitheader", params));
    assert_int_equal(number(call(&f->c, "getblockchaininfo", "[]"), "headers"), 1);
    call_fails(&f->c, "submitheader", "[\"00\"]", -22, "decode");
    built_block_clear(&a);
    built_block_clear(&b);
}

static void generatetoaddress_makes_blocks_or_stops_at_its_tries(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(json_object_array_length(call(&f->c, "generatetoaddress",
                                                   "[3," GENERATE_TO "]")), 3);
    assert_int_equal(test_chain_tip_height(&f->t), 3);
    assert_int_equal(json_object_array_length(call(&f->c, "generatetoaddress",
                                                   "[1," GENERATE_TO ",0]")), 0);
    call_fails(&f->c, "generatetoaddress", "[1,\"x\"]", -5, "Invalid address");
    call_fails(&f->c, "generatetoaddress", "[-1," GENERATE_TO "]", -8, "nblocks");
}

static void a_block_can_be_invalidated_and_taken_back(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 4);
    assert_null(on_block(f, "invalidateblock", 3, ""));
    assert_int_equal(json_object_get_int(call(&f->c, "getblockcount", "[]")), 2);
    struct json_object *tips = call(&f->c, "getchaintips", "[]");
    assert_string_equal(text(json_object_array_get_idx(tips, 0), "status"), "invalid");
    assert_true(truth(field(on_block(f, "getblock", 3, ""), "status"), "failed"));
    assert_int_equal(number(on_block(f, "getblock", 3, ""), "confirmations"), -1);
    assert_null(on_block(f, "reconsiderblock", 3, ""));
    assert_int_equal(json_object_get_int(call(&f->c, "getblockcount", "[]")), 4);
}

static void preciousblock_turns_a_tie(void **state)
{
    struct fixture *f = *state;
    struct built_block side;
    char hex[HASH_HEX_SIZE], params[100];
    test_chain_grow(&f->t, 2);
    builder_block(&f->t.options.params, &(struct block_spec){ .prev = &f->t.blocks[1] }, &side);
    assert_string_equal(test_chain_submit(&f->t, &side), "");
    assert_string_equal(json_object_get_string(call(&f->c, "getbestblockhash", "[]")), plain(f, 2));
    snprintf(params, sizeof params, "[\"%s\"]", hash_to_hex(hex, side.hash.b));
    call(&f->c, "preciousblock", params);
    assert_string_equal(json_object_get_string(call(&f->c, "getbestblockhash", "[]")), hex);
    built_block_clear(&side);
}

static void verifychain_checks_its_limits_and_the_blocks(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 3);
    assert_true(json_object_get_boolean(call(&f->c, "verifychain", "[]")));
    assert_true(json_object_get_boolean(call(&f->c, "verifychain", "[4, 0]")));
    call_fails(&f->c, "verifychain", "[5]", -8, "checklevel");
    call_fails(&f->c, "verifychain", "[3, -1]", -8, "nblocks");
}

static void pruneblockchain_refuses_what_it_cannot_do(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 2);
    call_fails(&f->c, "pruneblockchain", "[1]", -1, "not in prune mode");
    assert_true(config_set_rule(f->c.config, "prune", "1"));
    call_fails(&f->c, "pruneblockchain", "[-1]", -8, "Negative block height.");
    call_fails(&f->c, "pruneblockchain", "[4000000000]", -8, "Could not find block");
    call_fails(&f->c, "pruneblockchain", "[1]", -1, "Blockchain is too short for pruning.");
}

static void pruneblockchain_deletes_whole_files_below_the_height(void **state)
{
    struct fixture *f = *state;
    char params[100];
    f->t.options.prune_target_bytes = 1; /* by RPC only */
    f->t.options.preferred_file_size = 20000;
    test_chain_reopen(&f->t);
    f->c.env.chain = f->t.chain;
    assert_true(config_set_rule(f->c.config, "prune", "1"));
    test_chain_grow(&f->t, 1010);
    call_fails(&f->c, "pruneblockchain", "[2000]", -8,
               "Blockchain is shorter than the attempted prune height.");
    int last = json_object_get_int(call(&f->c, "pruneblockchain", "[600]"));
    assert_true(last > 100 && last <= 600);
    assert_int_equal(number(call(&f->c, "getblockchaininfo", "[]"), "pruneheight"), last + 1);
    snprintf(params, sizeof params, "[%s]", hash_at(f, 1));
    call_fails(&f->c, "getblock", params, -1, "Block file ");
    snprintf(params, sizeof params, "[%s, 0]", hash_at(f, 1));
    call_fails(&f->c, "getblock", params, -1, " not available.");
    call_fails(&f->c, "getblockstats", "[\"" "\"]", -8, "blockhash must be");
    snprintf(params, sizeof params, "[%s]", hash_at(f, 1));
    call_fails(&f->c, "getblockstats", params, -1, "not available");
    assert_members(on_block(f, "getblockheader", 1, ""),
                   "hash confirmations height version versionHex merkleroot num_tx time mediantime "
                   "nonce bits difficulty chainwork previousblockhash nextblockhash status");
}

/* --- statistics ----------------------------------------------------------------------------- */

static void getchaintxstats_counts_over_its_window(void **state)
{
    struct fixture *f = *state;
    test_chain_grow(&f->t, 10);
    struct json_object *r = call(&f->c, "getchaintxstats", "[5]");
    assert_members(r, "time txcount window_block_count window_tx_count window_interval txrate");
    assert_int_equal(number(r, "txcount"), 11);
    assert_int_equal(number(r, "window_tx_count"), 5);
    assert_members(call(&f->c, "getchaintxstats", "[0]"), "time txcount window_block_count");
    call_fails(&f->c, "getchaintxstats", "[10]", -8, "Invalid block count");
    call_fails(&f->c, "getchaintxstats", "[-1]", -8, "Invalid block count");
    call_fails(&f->c, "getchaintxstats", "[1," ABSENT "]", -5, "Block not found");
}

static void getblockstats_gives_the_references_answers(void **state)
{
    struct fixture *f = *state;
    struct json_object *all = vector_json("rpc/rpc_getblockstats.json");
    struct json_object *blocks = field(all, "blocks"), *stats = field(all, "stats");
    size_t n = json_object_array_length(blocks), cases = 0;
    clock_set_mock(number(all, "mocktime"));
    for (size_t i = 1; i < n; i++) { /* the first is genesis */
        struct buf params;
        buf_init(&params);
        buf_printf(&params, "[\"%s\"]",
                   json_object_get_string(json_object_array_get_idx(blocks, i)));
        buf_put_u8(&params, 0);
        assert_null(call(&f->c, "submitblock", (const char *)params.data));
        buf_clear(&params);
    }
    for (size_t i = 0; i < json_object_array_length(stats); i++, cases++) {
        struct json_object *want = json_object_array_get_idx(stats, i);
        char params[100];
        snprintf(params, sizeof params, "[\"%s\"]", text(want, "blockhash"));
        struct json_object *have = call(&f->c, "getblockstats", params);
        assert_int_equal(json_object_object_length(have), json_object_object_length(want));
        json_object_object_foreach(want, key, value) {
            struct json_object *mine = field(have, key);
            if (json_object_get_type(value) == json_type_string)
                assert_string_equal(json_object_get_string(mine), json_object_get_string(value));
            else if (json_object_get_double(mine) != json_object_get_double(value))
                fail_msg("%s is %s, not %s", key, json_object_get_string(mine),
                         json_object_get_string(value));
        }
        snprintf(params, sizeof params, "[\"%s\", [\"txs\",\"avgfee\"]]", text(want, "blockhash"));
        assert_members(call(&f->c, "getblockstats", params), "avgfee txs");
        snprintf(params, sizeof params, "[\"%s\", [\"bogus\"]]", text(want, "blockhash"));
        call_fails(&f->c, "getblockstats", params, -8, "Invalid selected statistic bogus");
    }
    json_object_put(all);
    vector_report("rpc/rpc_getblockstats.json", cases);
}

/* --- waiting -------------------------------------------------------------------------------- */

static void *grow_later(void *arg)
{
    struct fixture *f = arg;
    usleep(100000);
    test_chain_grow(&f->t, 1);
    return NULL;
}

static void waiting_commands_end_with_the_block_the_time_or_the_node(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    test_chain_grow(&f->t, 1);
    struct json_object *r = call(&f->c, "waitforblockheight", "[1]");
    assert_members(r, "hash height");
    assert_int_equal(number(call(&f->c, "waitforblockheight", "[5, 50]"), "height"), 1);
    pthread_create(&thread, NULL, grow_later, f);
    assert_int_equal(number(call(&f->c, "waitforblockheight", "[2, 20000]"), "height"), 2);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, grow_later, f);
    assert_int_equal(number(call(&f->c, "waitfornewblock", "[20000]"), "height"), 3);
    pthread_join(thread, NULL);
    cancel_set(&f->c.cancel);
    assert_int_equal(number(call(&f->c, "waitforblockheight", "[100]"), "height"), 3);
    call_fails(&f->c, "waitfornewblock", "[-1]", -8, "Negative timeout");
}

static void overviews_work_without_a_network(void **state)
{
    struct fixture *f = *state;
    struct json_object *r = call(&f->c, "getinfo", "[]");
    assert_members(r,
                   "version protocolversion initcomplete blocks timeoffset connections proxy "
                   "difficulty testnet stn paytxfee relayfee errors maxblocksize maxminedblocksize "
                   "maxstackmemoryusagepolicy maxstackmemoryusageconsensus");
    assert_int_equal(number(r, "maxblocksize"), 0);
    assert_string_equal(json_object_get_string(call(&f->c, "setexcessiveblock", "[5000000000]")),
                        "Excessive Block set to 5000000000 bytes.");
    assert_int_equal(number(call(&f->c, "getinfo", "[]"), "maxblocksize"), 5000000000);
    r = call(&f->c, "getsettings", "[]");
    assert_string_equal(text(r, "minminingtxfee"), "0.00000100");
    assert_int_equal(number(r, "limitcpfpgroupmemberscount"), 25);
    assert_int_equal(number(r, "datacarriersize"), UINT32_MAX);
    call_fails(&f->c, "getnetworkinfo", "[]", -31, "Peer-to-peer");
    call_fails(&f->c, "getpeerinfo", "[]", -31, "Peer-to-peer");
    call_fails(&f->c, "addnode", "[\"a\",\"add\"]", -31, "Peer-to-peer");
    assert_int_equal(json_object_array_length(call(&f->c, "dumpparameters", "[]")), 0);
    assert_true(config_set_rule(f->c.config, "par", "4"));
    assert_string_equal(json_object_get_string(
        json_object_array_get_idx(call(&f->c, "dumpparameters", "[]"), 0)), "par=4");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(counts_and_hashes_follow_the_tip),
        T(getblockchaininfo_has_the_references_fields),
        T(getchaintips_tells_branches_apart),
        T(getblock_shows_each_verbosity),
        T(the_answer_about_a_large_block_begins_before_it_is_read),
        T(getblock_takes_its_verbosity_in_many_forms),
        T(unknown_blocks_and_bad_hashes_are_refused),
        T(getblockheader_gives_hex_object_and_coinbase_proof),
        T(gettxout_shows_unspent_outputs_and_null_for_others),
        T(gettxoutsetinfo_sums_over_all_outputs),
        T(getrawtransaction_finds_by_output_block_and_index),
        T(getrawtransaction_uses_the_index),
        T(a_transaction_above_the_bound_is_not_read),
        T(the_http_thread_shows_small_transactions_of_the_index_and_leaves_others),
        T(the_http_thread_waits_for_no_transaction_to_be_judged),
        T(decoderawtransaction_shows_inputs_and_outputs),
        T(decodescript_and_validateaddress_tell_what_they_see),
        T(submitblock_answers_by_bip_22),
        T(submitheader_wants_a_known_parent),
        T(generatetoaddress_makes_blocks_or_stops_at_its_tries),
        T(a_block_can_be_invalidated_and_taken_back),
        T(preciousblock_turns_a_tie),
        T(verifychain_checks_its_limits_and_the_blocks),
        T(pruneblockchain_refuses_what_it_cannot_do),
        T(pruneblockchain_deletes_whole_files_below_the_height),
        T(getchaintxstats_counts_over_its_window),
        T(getblockstats_gives_the_references_answers),
        T(waiting_commands_end_with_the_block_the_time_or_the_node),
        T(overviews_work_without_a_network),
        T(lack_of_memory_is_no_fault_of_a_transaction),
        T(lack_of_memory_is_no_fault_of_a_script),
        T(lack_of_memory_is_no_fault_of_a_block),
        T(a_list_that_memory_has_no_room_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
