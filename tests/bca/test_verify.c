#include "bca/verify.h"

#include "base/hash.h"
#include "tests/bca/proof.h"
#include "tests/test.h"

struct world {
    struct proof proof;
    struct bca_policy policy;
    uint64_t confirmations;
    enum bca_place place;
    enum bca_marker_state marker;
    struct outpoint asked;
};

static enum bca_place find_block(void *ctx, const uint8_t header[80], const struct block_hash *hash,
                                 uint64_t *confirmations)
{
    struct world *w = ctx;
    struct bca_work work;
    bca_work_read(header, &work);
    assert_true(block_hash_equal(&work.hash, hash));
    *confirmations = w->confirmations;
    return w->place;
}

static enum bca_marker_state look_up(void *ctx, const struct outpoint *marker)
{
    struct world *w = ctx;
    w->asked = *marker;
    return w->marker;
}

static void world_make(struct world *w, const struct proof_shape *shape)
{
    memset(w, 0, sizeof *w);
    proof_make(&w->proof, shape);
    w->policy = (struct bca_policy){ .rules = bca_rules_get(BCA_NET_REGTEST), .min_conf = 6 };
}

static struct bca_verdict judge_bytes(struct world *w, struct span params)
{
    struct bca_verdict v;
    bca_verify(w->proof.address, params, &w->policy, &v);
    return v;
}

/* The verdict; its views into the parameters are gone. */
static struct bca_verdict judge(struct world *w)
{
    struct buf params = proof_bytes(&w->proof);
    struct bca_verdict v = judge_bytes(w, buf_span(&params));
    buf_clear(&params);
    return v;
}

static void assert_fails(struct world *w, enum bca_step step)
{
    struct bca_verdict v = judge(w);
    assert_int_equal(v.result, BCA_INVALID);
    assert_string_equal(bca_step_name(v.step), bca_step_name(step));
}

static void a_proof_is_valid_whatever_its_depths(void **state)
{
    (void)state;
    static const struct proof_shape shapes[] = {
        { .modifier_depth = 0 },
        { .modifier_depth = 5, .modifier_index = 31, .tx_depth = 28, .tx_index = (1u << 28) - 1 },
        { .modifier_depth = 5, .modifier_index = 0, .tx_depth = 28, .with_marker = true },
        { .modifier_depth = 1, .modifier_index = 1, .tx_depth = 1, .tx_index = 1 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct world w;
        world_make(&w, &shapes[i]);
        struct bca_verdict v = judge(&w);
        assert_int_equal(v.result, BCA_VALID);
        assert_int_equal(v.step, BCA_STEP_COUNT);
        assert_int_equal(v.sec, 0);
        assert_int_equal(v.registered.marker != NULL, shapes[i].with_marker);
        proof_clear(&w.proof);
    }
}

static void bytes_cut_off_or_left_over_fail_at_decode(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, &proof_shape_usual);
    struct buf params = proof_bytes(&w.proof);
    for (size_t len = 0; len < params.len; len++) {
        struct bca_verdict v = judge_bytes(&w, span_of(params.data, len));
        assert_int_equal(v.result, BCA_INVALID);
        assert_int_equal(v.step, BCA_STEP_DECODE);
    }
    buf_put_u8(&params, 0);
    assert_int_equal(judge_bytes(&w, buf_span(&params)).step, BCA_STEP_DECODE);
    buf_clear(&params);
    proof_clear(&w.proof);
}

/* Each changes the world so that this step, and none before it, fails. */
static void three_collisions(struct world *w) { w->proof.params.collision_count = 3; }
static void other_prefix(struct world *w) { w->proof.address[7] ^= 1; }
static void no_point(struct world *w)
{
    memset(w->proof.public_key, 0, 33);
    w->proof.public_key[0] = 2;
    w->proof.public_key[32] = 5; /* 5^3 + 7 has no square root */
}
static void hybrid_form(struct world *w) { w->proof.public_key[0] = 6; }
static void tx_cut_off(struct world *w) { w->proof.params.transaction.len--; }
static void tag_of_version_2(struct world *w) { w->proof.tx.data[4 + 1 + 41 + 1 + 8 + 1 + 6] = 2; }
static void key_of_another(struct world *w) { w->proof.params.public_key = w->proof.other_key; }
static void wrong_sibling(struct world *w) { w->proof.tx_siblings[2][0] ^= 1; }
static void tx_index_beyond(struct world *w) { w->proof.params.tx_index |= 1u << 4; }
static void wrong_modifier(struct world *w) { w->proof.modifiers[5][0] ^= 1; }
static void modifier_index_beyond(struct world *w) { w->proof.params.modifier_index |= 8; }
static void no_work(struct world *w) { proof_grind(w->proof.header, false); }
static void bits_too_easy(struct world *w) { le32_put(w->proof.header + 72, 0x2100ffff); }
static void bits_negative(struct world *w) { le32_put(w->proof.header + 72, 0x20923456); }
static void more_sec(struct world *w) { w->proof.address[8] |= 0xe0; }
static void other_bit(struct world *w) { w->proof.address[15] ^= 0x80; }
static void u_bit(struct world *w) { w->proof.address[8] |= 2; }
static void sec_wanted(struct world *w) { w->policy.min_sec = 1; }

static void each_fault_fails_at_its_step(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct world *w);
        enum bca_step step;
    } rows[] = {
        { three_collisions, BCA_STEP_COLLISION_COUNT }, { other_prefix, BCA_STEP_SUBNET_PREFIX },
        { no_point, BCA_STEP_PUBLIC_KEY },              { hybrid_form, BCA_STEP_PUBLIC_KEY },
        { tx_cut_off, BCA_STEP_TRANSACTION },           { tag_of_version_2, BCA_STEP_REGISTRATION },
        { key_of_another, BCA_STEP_KEY_HASH },          { wrong_sibling, BCA_STEP_TX_PROOF },
        { tx_index_beyond, BCA_STEP_TX_PROOF },         { wrong_modifier, BCA_STEP_MODIFIER_PROOF },
        { modifier_index_beyond, BCA_STEP_MODIFIER_PROOF }, { no_work, BCA_STEP_POW_TARGET },
        { bits_too_easy, BCA_STEP_POW_TARGET },         { bits_negative, BCA_STEP_POW_TARGET },
        { more_sec, BCA_STEP_POW_SEC },                 { other_bit, BCA_STEP_HASH1 },
        { u_bit, BCA_STEP_HASH1 },                      { sec_wanted, BCA_STEP_MIN_SEC },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        world_make(&w, &proof_shape_usual);
        rows[i].change(&w);
        assert_fails(&w, rows[i].step);
        proof_clear(&w.proof);
    }
}

static void a_right_node_with_an_equal_sibling_is_refused(void **state)
{
    (void)state;
    struct world w;
    static const struct proof_shape shape = { .tx_depth = 1, .tx_index = 0 };
    world_make(&w, &shape);
    sha256d(w.proof.tx_siblings[0], w.proof.tx.data, w.proof.tx.len);
    sha256d_pair(w.proof.header + 36, w.proof.tx_siblings[0], w.proof.tx_siblings[0]);
    proof_grind(w.proof.header, true);
    struct bca_verdict v = judge(&w); /* the end of an odd row */
    assert_int_equal(v.step, BCA_STEP_HASH1);
    w.proof.params.tx_index = 1;
    assert_fails(&w, BCA_STEP_TX_PROOF);
    proof_clear(&w.proof);
}

static void the_chain_decides_when_there_is_a_view_of_it(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, &proof_shape_usual);
    const struct bca_chain_view view = { find_block, &w };
    w.policy.chain = &view;
    w.place = BCA_PLACE_ACTIVE;
    w.confirmations = 6;
    struct bca_verdict v = judge(&w);
    assert_int_equal(v.result, BCA_VALID);
    assert_int_equal(v.confirmations, 6);
    w.confirmations = 5;
    assert_fails(&w, BCA_STEP_CHAIN);
    w.place = BCA_PLACE_NOT_ACTIVE;
    assert_fails(&w, BCA_STEP_CHAIN);
    w.place = BCA_PLACE_UNKNOWN;
    v = judge(&w);
    assert_int_equal(v.result, BCA_UNDETERMINED);
    assert_int_equal(v.step, BCA_STEP_CHAIN);
    proof_clear(&w.proof);
}

static void a_spent_marker_revokes(void **state)
{
    (void)state;
    struct world w;
    world_make(&w, &proof_shape_usual);
    const struct bca_spends_view view = { look_up, &w };
    w.policy.spends = &view;
    w.marker = BCA_MARKER_SPENT;
    struct bca_verdict v = judge(&w);
    assert_int_equal(v.result, BCA_INVALID);
    assert_int_equal(v.step, BCA_STEP_REVOKED);
    assert_int_equal(w.asked.index, 1);
    assert_true(txid_equal(&w.asked.txid, &v.txid));
    w.marker = BCA_MARKER_UNSPENT;
    assert_int_equal(judge(&w).result, BCA_VALID);
    w.marker = BCA_MARKER_UNKNOWN;
    assert_int_equal(judge(&w).result, BCA_UNDETERMINED);
    proof_clear(&w.proof);

    struct proof_shape bare = proof_shape_usual;
    bare.with_marker = false;
    world_make(&w, &bare);
    w.policy.spends = &view;
    w.marker = BCA_MARKER_SPENT;
    assert_int_equal(judge(&w).result, BCA_VALID); /* cannot be revoked, so nobody is asked */
    proof_clear(&w.proof);
}

static void results_and_steps_have_the_names_of_the_specification(void **state)
{
    (void)state;
    assert_string_equal(bca_step_name(BCA_STEP_DECODE), "decode");
    assert_string_equal(bca_step_name(BCA_STEP_REVOKED), "revoked");
    assert_string_equal(bca_result_name(BCA_VALID), "valid");
    assert_string_equal(bca_result_name(BCA_INVALID), "invalid");
    assert_string_equal(bca_result_name(BCA_UNDETERMINED), "undetermined");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_is_valid_whatever_its_depths),
        cmocka_unit_test(bytes_cut_off_or_left_over_fail_at_decode),
        cmocka_unit_test(each_fault_fails_at_its_step),
        cmocka_unit_test(a_right_node_with_an_equal_sibling_is_refused),
        cmocka_unit_test(the_chain_decides_when_there_is_a_view_of_it),
        cmocka_unit_test(a_spent_marker_revokes),
        cmocka_unit_test(results_and_steps_have_the_names_of_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
