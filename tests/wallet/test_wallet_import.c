/* Imports and the blocks they want: after a crash, twice, without memory, while a block is told. */
#include <config.h>

#include "tests/wallet/wallet_util.h"

static const uint8_t a_secret[32] = { 7, 7, 7 };

static int32_t wanted(const struct rig *r)
{
    struct block_hash hash;
    int32_t height, scan_next;
    (void)wallet_best(r->w, &hash, &height, &scan_next);
    return scan_next;
}

static struct rig start_with_blocks(int n)
{
    struct rig r = rig_start(&from_phrase);
    for (int i = 0; i < n; i++)
        next_block(&r, NULL, 0);
    return r;
}

static struct pay_script script_of_secret(void)
{
    struct wallet_key k = { .spendable = true };
    k.key_len = ec_pubkey_create(k.key, a_secret, true);
    return script_of_key(&k);
}

static bool knows(const struct rig *r, const struct pay_script *s)
{
    struct wallet_key found;
    return wallet_find_key(r->w, script_span(s), &found);
}

/* What there is to import, each with an own way into the store. */
enum thing { A_SECRET, A_PUBKEY, A_SCRIPT, AN_XPUB, THINGS };

static const char *xpub_text(char text[HDKEY_TEXT_MAX])
{
    static const uint8_t seed[16] = { 1, 2, 3 };
    struct hdkey key;
    assert_int_equal(hdkey_master(&key, span_of(seed, sizeof seed), NULL), OK);
    hdkey_make_public(&key);
    return hdkey_encode(text, HDKEY_TEST, &key);
}

static enum err import(struct rig *r, enum thing thing, int32_t scan_from)
{
    char text[HDKEY_TEXT_MAX];
    uint8_t key[EC_PUBKEY_MAX];
    const struct pay_script script = script_of_secret();
    switch (thing) {
    case A_SECRET:
        return wallet_import_secret(r->w, a_secret, true, text_span("old"), scan_from, NULL);
    case A_PUBKEY:
        return wallet_import_pubkey(r->w, span_of(key, ec_pubkey_create(key, a_secret, true)),
                                    no_label, scan_from, NULL);
    case A_SCRIPT:
        return wallet_import_script(r->w, script_span(&script), no_label, scan_from, NULL);
    case AN_XPUB:
        return wallet_import_xpub(r->w, xpub_text(text), scan_from, NULL);
    case THINGS:
        break;
    }
    return ERR_RANGE;
}

static struct pay_script script_of(enum thing thing)
{
    char text[HDKEY_TEXT_MAX];
    struct hdkey key;
    struct wallet_key k = { .key_len = EC_PUBKEY_SIZE };
    if (thing != AN_XPUB)
        return script_of_secret();
    assert_int_equal(hdkey_decode(&key, HDKEY_TEST, xpub_text(text), NULL), OK);
    assert_int_equal(hdkey_child(&key, &key, 0, NULL), OK);
    assert_int_equal(hdkey_child(&key, &key, 2, NULL), OK);
    memcpy(k.key, key.key, EC_PUBKEY_SIZE);
    return script_of_key(&k);
}

/* After the n-th write of one of the stores failed, and the process ended. True: it came to it. */
static bool crash_at(uint64_t n, bool keys, enum thing thing)
{
    struct rig r = start_with_blocks(3);
    const struct pay_script script = script_of(thing);
    kv_mem_fail_writes(keys ? r.keys : r.coins, n);
    const bool failed = import(&r, thing, 102) != OK;
    rig_reopen(&r);
    assert_int_equal(failed, !knows(&r, &script));
    if (!failed)
        assert_int_equal(wanted(&r), 102);
    rig_stop(&r);
    return failed;
}

static void no_crash_leaves_a_key_that_is_not_looked_for(void **state)
{
    (void)state;
    for (enum thing thing = 0; thing < THINGS; thing++) {
        uint64_t n = 1;
        while (crash_at(n, true, thing))
            n++;
        assert_int_equal(n, thing == A_SECRET ? 3 : 2); /* it has a label */
        assert_true(crash_at(1, false, thing));
        assert_false(crash_at(2, false, thing));
    }
}

static void what_is_there_already_is_looked_for_once_more(void **state)
{
    (void)state;
    for (enum thing thing = 0; thing < THINGS; thing++) {
        struct rig r = start_with_blocks(3);
        assert_int_equal(import(&r, thing, WALLET_NO_SCAN), OK);
        assert_int_equal(wanted(&r), HISTORY_NO_HEIGHT);
        assert_int_equal(import(&r, thing, 103), ERR_EXISTS);
        assert_int_equal(wanted(&r), 103);
        assert_int_equal(import(&r, thing, 101), ERR_EXISTS);
        rig_reopen(&r);
        assert_int_equal(wanted(&r), 101);
        rig_stop(&r);
    }
}

/* As when there was no memory for the table: the store has it alone. */
static void store_alone(struct rig *r, enum thing thing)
{
    char text[HDKEY_TEXT_MAX];
    uint8_t key[EC_PUBKEY_MAX];
    const size_t len = ec_pubkey_create(key, a_secret, true);
    const struct pay_script script = script_of_secret();
    const struct key_record records[THINGS] = {
        [A_SECRET] = { .kind = KEY_RECORD_SECRET, .form = KEY_RECORD_PLAIN,
                       .id = span_of(key, len), .secret = span_of(a_secret, 32) },
        [A_PUBKEY] = { .kind = KEY_RECORD_PUBKEY, .id = span_of(key, len) },
        [A_SCRIPT] = { .kind = KEY_RECORD_SCRIPT, .id = script_span(&script) },
        [AN_XPUB] = { .kind = KEY_RECORD_XPUB, .id = text_span(xpub_text(text)) },
    };
    assert_int_equal(keystore_add(wallet_keystore(r->w), &records[thing], 1, NULL), OK);
}

static void an_import_that_found_no_memory_can_be_made_again(void **state)
{
    (void)state;
    for (enum thing thing = 0; thing < THINGS; thing++) {
        struct rig r = start_with_blocks(3);
        const struct pay_script script = script_of(thing);
        store_alone(&r, thing);
        assert_false(knows(&r, &script));
        assert_int_equal(import(&r, thing, 101), OK);
        assert_true(knows(&r, &script));
        assert_int_equal(wanted(&r), 101);
        assert_int_equal(import(&r, thing, 101), ERR_EXISTS);
        rig_stop(&r);
    }
}

static void a_locked_wallet_wants_no_blocks_for_what_it_refuses(void **state)
{
    (void)state;
    struct rig r = start_with_blocks(3);
    assert_int_equal(import(&r, A_SECRET, WALLET_NO_SCAN), OK);
    assert_int_equal(keystore_encrypt(wallet_keystore(r.w), text_span("pass"), NULL), OK);
    assert_int_equal(wallet_import_secret(r.w, a_secret, false, no_label, 101, NULL), ERR_AUTH);
    assert_int_equal(wanted(&r), HISTORY_NO_HEIGHT);
    assert_int_equal(import(&r, A_SECRET, 101), ERR_EXISTS);
    assert_int_equal(wanted(&r), 101);
    rig_stop(&r);
}

static void blocks_before_the_first_that_was_told_are_wanted(void **state)
{
    (void)state;
    for (int32_t from = 100; from <= 102; from++) {
        struct rig r = rig_start(&from_phrase);
        assert_int_equal(import(&r, A_SECRET, from), OK);
        assert_int_equal(wanted(&r), HISTORY_NO_HEIGHT); /* there is none yet to begin with */
        next_block(&r, NULL, 0);
        assert_int_equal(wanted(&r), from > 101 ? HISTORY_NO_HEIGHT : from);
        rig_stop(&r);
    }
}

static void what_comes_while_a_block_is_told_is_looked_for_in_all_of_it(void **state)
{
    (void)state;
    for (int32_t from = 103; from <= 104; from++) { /* the rescan wants it, or it is the next */
        struct rig r = start_with_blocks(3);
        const struct pay_script script = script_of(A_SECRET);
        struct tx *tx = pay_tx(1, 500, script_span(&script));
        const struct wallet_block b = { .hash = rig_hash(&r, from), .height = from,
                                        .prev = rig_hash(&r, from - 1) };
        assert_int_equal(import(&r, AN_XPUB, from), OK);
        assert_int_equal(wallet_block_begin(r.w, &b, NULL), OK);
        assert_int_equal(wallet_block_tx(r.w, tx, 0, NULL), OK);
        assert_int_equal(import(&r, A_SECRET, from), OK);
        assert_int_equal(wallet_block_end(r.w, NULL), ERR_BUSY);
        assert_int_equal(tell_until_taken(&r, from, &tx, 1), OK);
        assert_int_equal(trusted(&r), 500);
        tx_unref(tx);
        rig_stop(&r);
    }
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_crash_leaves_a_key_that_is_not_looked_for),
        cmocka_unit_test(what_is_there_already_is_looked_for_once_more),
        cmocka_unit_test(an_import_that_found_no_memory_can_be_made_again),
        cmocka_unit_test(a_locked_wallet_wants_no_blocks_for_what_it_refuses),
        cmocka_unit_test(blocks_before_the_first_that_was_told_are_wanted),
        cmocka_unit_test(what_comes_while_a_block_is_told_is_looked_for_in_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
