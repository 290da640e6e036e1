#include <config.h>

#include "wallet/scripts.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"
#include "tests/test.h"

static const struct owner mine = { 7, OWNER_SPENDABLE }, watched = { 8, OWNER_WATCH };

static void assert_owner(const struct scripts *s, struct span script, struct owner want)
{
    struct owner got;
    assert_true(scripts_find(s, script, &got));
    assert_int_equal(got.id, want.id);
    assert_int_equal(got.kind, want.kind);
}

static void assert_unknown(const struct scripts *s, struct span script)
{
    struct owner got;
    assert_false(scripts_find(s, script, &got));
}

/* Any script of len bytes that depends on n. */
static struct span numbered(uint8_t *out, size_t len, uint32_t n)
{
    memset(out, 0x51, len);
    le32_put(out, n);
    return span_of(out, len);
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    enum { N = 2000, LONG = 300 };
    uint8_t bytes[LONG];
    struct scripts *s = scripts_new();
    const size_t empty = scripts_bytes(s);
    for (uint32_t i = 0; i < N; i++)
        assert_true(scripts_add(s, numbered(bytes, 25 + i % 3 * 137, i),
                                (struct owner){ .id = i }));
    assert_int_equal(scripts_count(s), N);
    assert_true(scripts_bytes(s) > empty + N * 25u);
    for (uint32_t i = 0; i < N; i++) {
        assert_owner(s, numbered(bytes, 25 + i % 3 * 137, i), (struct owner){ .id = i });
        assert_unknown(s, numbered(bytes, 25 + i % 3 * 137, N + i));
        assert_unknown(s, numbered(bytes, 26, i));
    }
    scripts_free(s);
}

static void lengths_above_all_of_ours_are_no_harm(void **state)
{
    (void)state;
    static uint8_t big[5000];
    struct scripts *s = scripts_new();
    assert_unknown(s, span_of(big, sizeof big));
    assert_unknown(s, span_of(big, 0));
    assert_false(scripts_add(s, span_of(big, 0), mine));
    assert_true(scripts_add(s, span_of(big, 400), mine));
    assert_owner(s, span_of(big, 400), mine);
    assert_unknown(s, span_of(big, 399));
    assert_unknown(s, span_of(big, sizeof big));
    scripts_free(s);
}

static void watching_takes_nothing_from_who_can_spend(void **state)
{
    (void)state;
    static const uint8_t script[25] = { 1 };
    const struct span span = span_of(script, sizeof script);
    struct scripts *s = scripts_new();
    assert_true(scripts_add(s, span, watched));
    assert_owner(s, span, watched);
    assert_true(scripts_add(s, span, mine));
    assert_owner(s, span, mine);
    assert_true(scripts_add(s, span, watched));
    assert_owner(s, span, mine);
    assert_true(scripts_add(s, span, (struct owner){ 9, OWNER_SPENDABLE }));
    assert_owner(s, span, (struct owner){ 9, OWNER_SPENDABLE });
    assert_int_equal(scripts_count(s), 1);
    scripts_free(s);
}

static void a_key_is_paid_by_its_hash_and_by_itself(void **state)
{
    (void)state;
    const uint8_t secret[32] = { [31] = 5 };
    struct scripts *s = scripts_new();
    for (int compressed = 0; compressed < 2; compressed++) {
        uint8_t key[65], hash[20], by_hash[SCRIPT_P2PKH_SIZE];
        const size_t len = ec_pubkey_create(key, secret, compressed);
        const struct owner owner = { 20 + (uint32_t)compressed, OWNER_SPENDABLE };
        assert_true(scripts_add_key(s, span_of(key, len), owner));
        hash160(hash, key, len);
        script_make_p2pkh(by_hash, hash);
        assert_owner(s, span_of(by_hash, sizeof by_hash), owner);
        struct buf itself = { 0 };
        script_put_data(&itself, key, len);
        script_put_op(&itself, OP_CHECKSIG);
        assert_owner(s, buf_span(&itself), owner);
        itself.data[itself.len - 1] = OP_CHECKSIGVERIFY;
        assert_unknown(s, buf_span(&itself));
        buf_clear(&itself);
    }
    assert_int_equal(scripts_count(s), 4);
    scripts_free(s);
}

static void a_bare_multisig_is_only_watched(void **state)
{
    (void)state;
    const uint8_t secret[32] = { [31] = 6 };
    uint8_t key[65];
    struct scripts *s = scripts_new();
    struct buf lock = { 0 };
    script_put_num(&lock, 1);
    script_put_data(&lock, key, ec_pubkey_create(key, secret, true));
    script_put_num(&lock, 1);
    script_put_op(&lock, OP_CHECKMULTISIG);
    assert_true(scripts_add(s, buf_span(&lock), mine));
    assert_owner(s, buf_span(&lock), (struct owner){ mine.id, OWNER_WATCH });
    buf_clear(&lock);
    scripts_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(lengths_above_all_of_ours_are_no_harm),
        cmocka_unit_test(watching_takes_nothing_from_who_can_spend),
        cmocka_unit_test(a_key_is_paid_by_its_hash_and_by_itself),
        cmocka_unit_test(a_bare_multisig_is_only_watched),
    };
    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
