/* The public functions, used as another program would: through their header alone. */
#include "bca/bsvpeer_bca.h"

#include "base/ec.h"
#include "base/hash.h"
#include "tests/bca/proof.h"
#include "tests/test.h"

static struct bsvpeer_bca_input input_of(const struct proof *p)
{
    return (struct bsvpeer_bca_input){
        .network = BSVPEER_BCA_REGTEST,
        .public_key = p->public_key,
        .modifiers = p->modifiers[0],
        .n_modifiers = (size_t)1 << p->shape.modifier_depth,
        .modifier_index = p->shape.modifier_index,
        .transaction = p->tx.data,
        .transaction_len = p->tx.len,
        .header = p->header,
        .tx_index = p->shape.tx_index,
        .tx_depth = p->shape.tx_depth,
        .tx_siblings = p->tx_siblings[0],
        .subnet_prefix = p->subnet_prefix,
        .sec = BSVPEER_BCA_DEFAULT,
    };
}

static enum bsvpeer_bca_error form(const struct bsvpeer_bca_input *in, uint8_t address[16],
                                   struct buf *params, struct bsvpeer_bca_report *report)
{
    buf_init(params);
    uint8_t *room = buf_extend(params, BSVPEER_BCA_PARAMS_MAX);
    params->len = BSVPEER_BCA_PARAMS_MAX;
    return bsvpeer_bca_form(in, address, room, &params->len, report);
}

static void an_address_is_formed_decoded_and_verified(void **state)
{
    (void)state;
    struct proof p;
    struct buf params, want;
    struct bsvpeer_bca_report report;
    struct bsvpeer_bca_decoded d;
    uint8_t address[16];
    proof_make(&p, &proof_shape_usual);
    want = proof_bytes(&p);
    struct bsvpeer_bca_input in = input_of(&p);
    assert_int_equal(form(&in, address, &params, &report), BSVPEER_BCA_OK);
    assert_memory_equal(address, p.address, 16);
    assert_int_equal(params.len, want.len);
    assert_memory_equal(params.data, want.data, want.len);
    assert_int_equal(report.result, BSVPEER_BCA_VALID);

    assert_int_equal(bsvpeer_bca_decode(params.data, params.len, &d, NULL, 0), BSVPEER_BCA_OK);
    assert_memory_equal(d.modifier_root, p.tx.data + 4 + 1 + 41 + 1 + 8 + 1 + 40, 32);
    assert_int_equal(d.registration_output, 0);
    assert_true(d.can_be_revoked);
    assert_int_equal(d.marker_output, 1);
    assert_int_equal(d.tx_index, 9);
    assert_memory_equal(d.txid, report.txid, 32);
    assert_memory_equal(d.block_hash, report.block_hash, 32);

    const struct bsvpeer_bca_policy policy = { BSVPEER_BCA_REGTEST, BSVPEER_BCA_DEFAULT,
                                               BSVPEER_BCA_DEFAULT, NULL };
    assert_int_equal(bsvpeer_bca_verify(address, params.data, params.len, &policy, &report),
                     BSVPEER_BCA_OK);
    assert_int_equal(report.result, BSVPEER_BCA_VALID);
    assert_null(report.failed_step);
    assert_int_equal(report.security_bits, 59);
    assert_int_equal(report.confirmations, -1);
    assert_false(report.chain_checked);
    assert_memory_equal(report.public_key, p.public_key, 33);
    address[15] ^= 1;
    assert_int_equal(bsvpeer_bca_verify(address, params.data, params.len, &policy, &report),
                     BSVPEER_BCA_OK);
    assert_int_equal(report.result, BSVPEER_BCA_INVALID);
    assert_string_equal(report.failed_step, "hash1");
    buf_clear(&want);
    buf_clear(&params);
    proof_clear(&p);
}

static void what_would_not_verify_is_not_formed(void **state)
{
    (void)state;
    struct proof p;
    struct buf params;
    struct bsvpeer_bca_report report;
    uint8_t address[16];
    proof_make(&p, &proof_shape_usual);
    struct bsvpeer_bca_input in = input_of(&p);
    in.modifier_index = 1; /* its proof leads to the same root */
    assert_int_equal(form(&in, address, &params, &report), BSVPEER_BCA_OK);
    buf_clear(&params);
    in.tx_index = 3;
    assert_int_equal(form(&in, address, &params, &report), BSVPEER_BCA_OK);
    assert_int_equal(report.result, BSVPEER_BCA_INVALID);
    assert_string_equal(report.failed_step, "tx_proof");
    buf_clear(&params);
    in = input_of(&p);
    in.sec = 7;
    assert_int_equal(form(&in, address, &params, &report), BSVPEER_BCA_OK);
    assert_string_equal(report.failed_step, "pow_sec");
    buf_clear(&params);
    proof_clear(&p);
}

static void values_out_of_range_are_errors(void **state)
{
    (void)state;
    struct proof p;
    struct buf params;
    struct bsvpeer_bca_report report;
    uint8_t address[16], script[72], anycast[8] = { 0xff, 2 };
    proof_make(&p, &proof_shape_usual);
    struct bsvpeer_bca_input bad[7];
    for (size_t i = 0; i < 7; i++)
        bad[i] = input_of(&p);
    bad[0].n_modifiers = 3;
    bad[1].modifier_index = 8;
    bad[2].tx_depth = 29;
    bad[3].sec = 8;
    bad[4].collision_count = 3;
    bad[5].transaction_len = BSVPEER_BCA_TX_MAX + 1;
    bad[6].network = (enum bsvpeer_bca_network)4;
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(form(&bad[i], address, &params, &report), BSVPEER_BCA_ERROR_ARGUMENT);
        buf_clear(&params);
    }
    struct bsvpeer_bca_input in = input_of(&p);
    in.subnet_prefix = anycast;
    assert_int_equal(form(&in, address, &params, &report), BSVPEER_BCA_ERROR_PREFIX);
    in = input_of(&p);
    params.len = 100; /* no room */
    assert_int_equal(bsvpeer_bca_form(&in, address, params.data, &params.len, &report),
                     BSVPEER_BCA_ERROR_ARGUMENT);
    const struct bsvpeer_bca_policy policy = { BSVPEER_BCA_MAIN, 8, 0, NULL };
    assert_int_equal(bsvpeer_bca_verify(address, params.data, 0, &policy, &report),
                     BSVPEER_BCA_ERROR_ARGUMENT);
    p.public_key[0] = 4;
    assert_int_equal(bsvpeer_bca_registration_script(p.public_key, p.modifiers[0], 8, script),
                     BSVPEER_BCA_ERROR_ARGUMENT);
    assert_int_equal(bsvpeer_bca_modifiers(p.header, 5, script), BSVPEER_BCA_ERROR_ARGUMENT);
    buf_clear(&params);
    proof_clear(&p);
}

static void headers_give_confirmations(void **state)
{
    (void)state;
    struct proof p;
    struct bsvpeer_bca_headers *headers;
    struct bsvpeer_bca_report report;
    uint8_t chain[2][80] = { { 0 } };
    char text[100] = "";
    proof_make(&p, &proof_shape_usual);
    struct buf params = proof_bytes(&p);
    memcpy(chain[0], p.header, 80);
    sha256d(chain[1] + 4, chain[0], 80);
    le32_put(chain[1] + 72, 0x207fffff);
    proof_grind(chain[1], true);
    assert_int_equal(bsvpeer_bca_headers_new(BSVPEER_BCA_REGTEST, chain[0], 160, &headers, NULL, 0),
                     BSVPEER_BCA_OK);
    struct bsvpeer_bca_policy policy = { BSVPEER_BCA_REGTEST, 0, 2, headers };
    assert_int_equal(bsvpeer_bca_verify(p.address, params.data, params.len, &policy, &report), 0);
    assert_int_equal(report.result, BSVPEER_BCA_VALID);
    assert_int_equal(report.confirmations, 2);
    assert_true(report.chain_checked);
    policy.min_conf = 3;
    assert_int_equal(bsvpeer_bca_verify(p.address, params.data, params.len, &policy, &report), 0);
    assert_string_equal(report.failed_step, "chain");
    assert_false(report.chain_checked);
    bsvpeer_bca_headers_free(headers);
    assert_int_equal(
        bsvpeer_bca_headers_new(BSVPEER_BCA_MAIN, chain[0], 160, &headers, text, sizeof text),
        BSVPEER_BCA_ERROR_FORMAT);
    assert_null(headers);
    assert_non_null(strstr(text, "header 0"));
    buf_clear(&params);
    proof_clear(&p);
}

static void scripts_and_modifiers_come_from_key_and_seed(void **state)
{
    (void)state;
    struct proof p;
    static const uint8_t seed[32] = { 5 };
    uint8_t modifiers[2 * 16], script[72], mac[32];
    proof_make(&p, &proof_shape_usual);
    assert_int_equal(bsvpeer_bca_modifiers(seed, 2, modifiers), BSVPEER_BCA_OK);
    hmac_sha256(mac, seed, 32, "BCA modifier\x01", 13);
    assert_memory_equal(modifiers + 16, mac, 16);
    assert_int_equal(bsvpeer_bca_registration_script(p.public_key, p.modifiers[0], 8, script),
                     BSVPEER_BCA_OK);
    assert_memory_equal(script, p.tx.data + 4 + 1 + 41 + 1 + 8 + 1, 72);
    proof_clear(&p);
}

static void two_sides_come_to_one_pair_of_keys(void **state)
{
    (void)state;
    static const uint8_t secret[3][32] = { { [31] = 1 }, { [31] = 2 }, { [31] = 3 } };
    static const uint8_t zero[32];
    struct proof p;
    uint8_t key[3][65], keys[2][2][32];
    proof_make(&p, &proof_shape_usual);
    struct buf params = proof_bytes(&p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ec_pubkey_create(key[i], secret[i], true), 33);
    struct bsvpeer_bca_side a = { .ephemeral_key = key[0] };
    const struct bsvpeer_bca_side b = { key[1], p.address, params.data, params.len, key[2] };
    assert_int_equal(bsvpeer_bca_session_keys(&a, &b, secret[0], NULL, 1, keys[0][0], keys[0][1]),
                     BSVPEER_BCA_OK);
    assert_int_equal(
        bsvpeer_bca_session_keys(&b, &a, secret[1], secret[2], 0, keys[1][0], keys[1][1]),
        BSVPEER_BCA_OK);
    assert_memory_equal(keys[0][0], keys[1][1], 32);
    assert_memory_equal(keys[0][1], keys[1][0], 32);
    assert_memory_not_equal(keys[0][0], keys[0][1], 32);
    assert_int_equal(bsvpeer_bca_session_keys(&b, &a, secret[1], NULL, 0, keys[1][0], keys[1][1]),
                     BSVPEER_BCA_ERROR_ARGUMENT); /* never without the static key */
    key[0][0] = 9;
    assert_int_equal(
        bsvpeer_bca_session_keys(&b, &a, secret[1], secret[2], 0, keys[1][0], keys[1][1]),
        BSVPEER_BCA_ERROR_ARGUMENT);
    assert_memory_equal(keys[1][0], zero, 32);
    buf_clear(&params);
    proof_clear(&p);
}

static void bytes_that_are_no_parameters_say_why(void **state)
{
    (void)state;
    struct bsvpeer_bca_decoded d;
    char text[100] = "";
    assert_int_equal(bsvpeer_bca_decode((const uint8_t *)"\2", 1, &d, text, sizeof text),
                     BSVPEER_BCA_ERROR_FORMAT);
    assert_string_equal(text, "BCA parameters: the version is not 1");
}

static void networks_have_names(void **state)
{
    (void)state;
    enum bsvpeer_bca_network found;
    assert_string_equal(bsvpeer_bca_network_name(BSVPEER_BCA_STN), "stn");
    assert_true(bsvpeer_bca_network_find("regtest", &found));
    assert_int_equal(found, BSVPEER_BCA_REGTEST);
    assert_false(bsvpeer_bca_network_find("testnet", &found));
    assert_null(bsvpeer_bca_network_name((enum bsvpeer_bca_network)4));
    assert_null(bsvpeer_bca_result_name((enum bsvpeer_bca_result)3));
    assert_string_equal(bsvpeer_bca_result_name(BSVPEER_BCA_UNDETERMINED), "undetermined");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_formed_decoded_and_verified),
        cmocka_unit_test(what_would_not_verify_is_not_formed),
        cmocka_unit_test(values_out_of_range_are_errors),
        cmocka_unit_test(headers_give_confirmations),
        cmocka_unit_test(scripts_and_modifiers_come_from_key_and_seed),
        cmocka_unit_test(two_sides_come_to_one_pair_of_keys),
        cmocka_unit_test(bytes_that_are_no_parameters_say_why),
        cmocka_unit_test(networks_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
