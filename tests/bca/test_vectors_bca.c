/* Every section of vectors/bca.json but `binding` (test_binding.c). */
#include "bca/address.h"
#include "bca/modifiers.h"
#include "bca/verify.h"

#include <json-c/json.h>

#include "base/ec.h"
#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

#define FILE_NAME "bca.json"

static struct buf bytes_of(struct json_object *o, const char *key)
{
    const char *hex = json_str(o, key);
    assert_non_null(hex);
    return unhex(hex);
}

/* The bytes under the key are these. */
static void assert_bytes(struct json_object *o, const char *key, const void *got, size_t len)
{
    struct buf want = bytes_of(o, key);
    assert_int_equal(want.len, len);
    assert_memory_equal(want.data, got, len);
    buf_clear(&want);
}

static const struct bca_rules *rules_of(struct json_object *o)
{
    for (int i = 0; i < BCA_NET_COUNT; i++)
        if (strcmp(bca_rules_get((enum bca_network)i)->name, json_str(o, "network")) == 0)
            return bca_rules_get((enum bca_network)i);
    fail_msg("network %s", json_str(o, "network"));
    return NULL;
}

/* Calls check for each row of a section. */
static void each_row(const char *section, void (*check)(struct json_object *row))
{
    struct json_object *all = vector_json(FILE_NAME), *rows = json_get(all, section);
    ec_init();
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        check(json_object_array_get_idx(rows, i));
    vector_report(FILE_NAME, n);
    json_object_put(all);
}

/* --- verification --------------------------------------------------------------------------- */

static enum bca_place find_in_row(void *ctx, const uint8_t header[80],
                                  const struct block_hash *hash, uint64_t *confirmations)
{
    struct json_object *chain = ctx;
    char text[HASH_HEX_SIZE];
    (void)header;
    int64_t height = json_int(json_get(chain, "active"), hash_to_hex(text, hash->b), -1);
    if (height < 0)
        return BCA_PLACE_NOT_ACTIVE;
    *confirmations = (uint64_t)(json_int(chain, "tip_height", -1) - height + 1);
    return BCA_PLACE_ACTIVE;
}

static void judge(struct json_object *row, struct buf *params, struct bca_verdict *v)
{
    struct buf address = bytes_of(row, "address");
    const struct bca_chain_view view = { find_in_row, json_get(row, "chain") };
    const struct bca_policy policy = {
        .rules = rules_of(row),
        .min_sec = (unsigned)json_int(row, "min_sec", 0),
        .min_conf = (uint64_t)json_int(row, "min_conf", 1),
        .chain = view.ctx ? &view : NULL,
    };
    *params = bytes_of(row, "params");
    assert_int_equal(address.len, BCA_ADDRESS_SIZE);
    bca_verify(address.data, buf_span(params), &policy, v);
    buf_clear(&address);
}

static void check_modifiers(struct json_object *row, const struct bca_verdict *v)
{
    struct buf seed = bytes_of(row, "modifier_seed"), key = bytes_of(row, "public_key");
    struct bca_modifier_tree tree;
    uint8_t modifiers[BCA_MODIFIERS_MAX][16], siblings[32 * BCA_MODIFIER_DEPTH_MAX];
    uint8_t script[BCA_REGISTRATION_SIZE];
    size_t n = (size_t)json_int(row, "modifier_count", 0);
    for (size_t i = 0; i < n; i++)
        bca_modifier_derive(modifiers[i], seed.data, (uint8_t)i);
    bca_modifier_tree_make(&tree, modifiers[0], n);
    assert_bytes(row, "modifier_root", bca_modifier_tree_root(&tree), 32);
    bca_registration_put(script, key.data, bca_modifier_tree_root(&tree));
    assert_bytes(row, "registration_script", script, sizeof script);
    bca_modifier_tree_proof(&tree, v->params.modifier_index, siblings);
    assert_int_equal(v->params.modifier_depth, tree.depth);
    assert_memory_equal(siblings, v->params.modifier_siblings, 32 * tree.depth);
    buf_clear(&seed);
    buf_clear(&key);
}

static void check_address(struct json_object *row, const struct bca_verdict *v)
{
    const struct bca_address_input in = {
        v->params.modifier, v->params.header, v->params.subnet_prefix, v->params.transaction,
    };
    uint8_t hash1[32], address[16], count = v->params.collision_count;
    bca_hash1(hash1, &in, count);
    assert_bytes(row, "hash1", hash1, sizeof hash1);
    assert_true(bca_address_form(&in, v->sec, &count, address));
    assert_bytes(row, "address", address, sizeof address);
    assert_bytes(row, "interface_id", address + 8, 8);
    assert_int_equal(json_int(row, "collision_count", -1), count);
}

static void check_valid(struct json_object *row)
{
    struct buf params, again;
    struct bca_verdict v;
    judge(row, &params, &v);
    if (v.result != BCA_VALID)
        fail_msg("%s: fails at %s", json_str(row, "name"), bca_step_name(v.step));
    assert_int_equal(v.sec, json_int(row, "sec", -1));
    assert_int_equal(bca_sec_default(rules_of(row), &v.work), json_int(row, "sec_default", -2));
    assert_int_equal(bca_sec_of_bits(rules_of(row), v.work.hash_zero_bits),
                     json_int(row, "sec_max", -2));
    assert_int_equal(v.params.modifier_index, json_int(row, "modifier_index", -1));
    assert_int_equal(v.params.tx_index, json_int(row, "tx_index", -1));
    assert_bytes(row, "transaction", v.params.transaction.data, v.params.transaction.len);
    assert_bytes(row, "key_hash", v.registered.key_hash, 32);
    check_modifiers(row, &v);
    check_address(row, &v);
    buf_init(&again);
    bca_params_write(&again, &v.params);
    assert_bytes(row, "params", again.data, again.len);
    buf_clear(&again);
    buf_clear(&params);
}

static void check_invalid(struct json_object *row)
{
    struct buf params;
    struct bca_verdict v;
    judge(row, &params, &v);
    const char *step = v.step < BCA_STEP_COUNT ? bca_step_name(v.step) : "none";
    if (v.result != BCA_INVALID || strcmp(step, json_str(row, "fails_at")) != 0)
        fail_msg("%s: ends at %s, expected %s", json_str(row, "name"), step,
                 json_str(row, "fails_at"));
    buf_clear(&params);
}

static void valid_ones_are_valid(void **state)
{
    (void)state;
    each_row("valid", check_valid);
}

static void invalid_ones_fail_at_the_step_named(void **state)
{
    (void)state;
    each_row("invalid", check_invalid);
}

/* --- parts ---------------------------------------------------------------------------------- */

static void check_tree(struct json_object *row)
{
    struct buf seed = bytes_of(row, "modifier_seed"), key = bytes_of(row, "public_key");
    struct json_object *list = json_get(row, "modifiers"), *proofs = json_get(row, "proofs");
    struct bca_modifier_tree tree;
    uint8_t modifiers[BCA_MODIFIERS_MAX][16], script[BCA_REGISTRATION_SIZE];
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct buf want = unhex(json_object_get_string(json_object_array_get_idx(list, i)));
        bca_modifier_derive(modifiers[i], seed.data, (uint8_t)i);
        assert_memory_equal(modifiers[i], want.data, 16);
        buf_clear(&want);
    }
    bca_modifier_tree_make(&tree, modifiers[0], n);
    assert_bytes(row, "root", bca_modifier_tree_root(&tree), 32);
    bca_registration_put(script, key.data, bca_modifier_tree_root(&tree));
    assert_bytes(row, "registration_script", script, sizeof script);
    for (size_t i = 0; i < json_object_array_length(proofs); i++) {
        struct json_object *proof = json_object_array_get_idx(proofs, i);
        struct json_object *siblings = json_get(proof, "siblings");
        uint8_t got[32 * BCA_MODIFIER_DEPTH_MAX];
        assert_int_equal(json_object_array_length(siblings), tree.depth);
        bca_modifier_tree_proof(&tree, (unsigned)json_int(proof, "index", -1), got);
        for (unsigned k = 0; k < tree.depth; k++) {
            struct buf want = unhex(json_object_get_string(json_object_array_get_idx(siblings, k)));
            assert_memory_equal(got + 32 * k, want.data, 32);
            buf_clear(&want);
        }
    }
    buf_clear(&seed);
    buf_clear(&key);
}

static void trees_and_scripts_agree(void **state)
{
    (void)state;
    each_row("modifier_trees", check_tree);
}

struct formation {
    struct buf modifier, header, prefix, transaction;
    struct bca_address_input in;
};

static void formation_read(struct json_object *row, struct formation *f)
{
    f->modifier = bytes_of(row, "modifier");
    f->header = bytes_of(row, "header");
    f->prefix = bytes_of(row, "subnet_prefix");
    f->transaction = bytes_of(row, "transaction");
    f->in = (struct bca_address_input){ f->modifier.data, f->header.data, f->prefix.data,
                                        buf_span(&f->transaction) };
}

static void formation_clear(struct formation *f)
{
    buf_clear(&f->modifier);
    buf_clear(&f->header);
    buf_clear(&f->prefix);
    buf_clear(&f->transaction);
}

static void check_formation(struct json_object *row)
{
    struct formation f;
    uint8_t hash1[32], address[16], count = (uint8_t)json_int(row, "collision_count", 9);
    formation_read(row, &f);
    bca_hash1(hash1, &f.in, count);
    assert_bytes(row, "hash1", hash1, sizeof hash1);
    assert_true(bca_address_form(&f.in, (unsigned)json_int(row, "sec", 9), &count, address));
    assert_int_equal(count, json_int(row, "collision_count", 9));
    assert_bytes(row, "address", address, sizeof address);
    assert_bytes(row, "interface_id", address + 8, 8);
    formation_clear(&f);
}

static void addresses_are_formed_with_real_headers(void **state)
{
    (void)state;
    each_row("address_formation", check_formation);
}

static bool in_use(struct json_object *list, const uint8_t address[16])
{
    char text[33];
    hex_encode(text, address, 16);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), text) == 0)
            return true;
    return false;
}

static void duplicates_raise_the_count_and_the_third_stops(void **state)
{
    (void)state;
    struct json_object *all = vector_json(FILE_NAME), *section = json_get(all, "collisions");
    struct json_object *runs = json_get(section, "runs");
    struct formation f;
    formation_read(section, &f);
    unsigned sec = (unsigned)json_int(section, "sec", 9);
    for (size_t i = 0; i < json_object_array_length(runs); i++) {
        struct json_object *run = json_object_array_get_idx(runs, i);
        uint8_t count = 0, address[16];
        bool formed;
        while ((formed = bca_address_form(&f.in, sec, &count, address)) &&
               in_use(json_get(run, "in_use"), address))
            count++;
        assert_int_equal(formed, json_str(run, "error") == NULL);
        if (!formed)
            continue;
        assert_int_equal(count, json_int(run, "collision_count", 9));
        assert_bytes(run, "address", address, sizeof address);
    }
    vector_report(FILE_NAME, json_object_array_length(runs));
    formation_clear(&f);
    json_object_put(all);
}

static void check_work(struct json_object *row)
{
    struct bca_work w;
    char text[65];
    struct buf header = bytes_of(row, "header");
    bca_work_read(header.data, &w);
    assert_string_equal(hash_to_hex(text, w.hash.b), json_str(row, "block_hash"));
    assert_string_equal(u256_to_hex(text, &w.target), json_str(row, "target"));
    assert_int_equal(w.hash_zero_bits, json_int(row, "hash_zero_bits", -1));
    assert_int_equal(w.target_zero_bits, json_int(row, "target_zero_bits", -1));
    assert_int_equal(bca_work_meets_target(&w, rules_of(row)),
                     json_object_get_boolean(json_get(row, "pow_target_ok")));
    assert_int_equal(bca_sec_default(rules_of(row), &w), json_int(row, "sec_default", -1));
    assert_int_equal(bca_sec_of_bits(rules_of(row), w.hash_zero_bits),
                     json_int(row, "sec_max", -1));
    buf_clear(&header);
}

static void work_of_real_headers(void **state)
{
    (void)state;
    each_row("work", check_work);
}

static void check_nbits(struct json_object *row)
{
    struct bca_work w;
    char text[65];
    uint8_t header[80] = { 0 };
    struct buf bits = bytes_of(row, "nbits");
    le32_put(header + 72, be32_get(bits.data));
    bca_work_read(header, &w);
    assert_int_equal(w.target_valid, json_str(row, "target") != NULL);
    if (w.target_valid) {
        assert_string_equal(u256_to_hex(text, &w.target), json_str(row, "target"));
        assert_int_equal(w.target_zero_bits, json_int(row, "zero_bits", -1));
    }
    buf_clear(&bits);
}

static void compact_targets(void **state)
{
    (void)state;
    each_row("nbits", check_nbits);
}

static void names_and_networks_are_those_of_the_file(void **state)
{
    (void)state;
    struct json_object *all = vector_json(FILE_NAME), *names = json_get(all, "steps");
    size_t n = json_object_array_length(names);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(bca_step_name((enum bca_step)i),
                            json_object_get_string(json_object_array_get_idx(names, i)));
    for (int i = 0; i < BCA_NET_COUNT; i++) {
        const struct bca_rules *r = bca_rules_get((enum bca_network)i);
        struct json_object *network = json_get(json_get(all, "networks"), r->name);
        char text[65];
        assert_int_equal(json_int(network, "base_bits", -1), r->base_bits);
        assert_string_equal(u256_to_hex(text, &r->pow_limit), json_str(network, "pow_limit"));
    }
    vector_report(FILE_NAME, n + BCA_NET_COUNT);
    json_object_put(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_ones_are_valid),
        cmocka_unit_test(invalid_ones_fail_at_the_step_named),
        cmocka_unit_test(trees_and_scripts_agree),
        cmocka_unit_test(addresses_are_formed_with_real_headers),
        cmocka_unit_test(duplicates_raise_the_count_and_the_third_stops),
        cmocka_unit_test(work_of_real_headers),
        cmocka_unit_test(compact_targets),
        cmocka_unit_test(names_and_networks_are_those_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
