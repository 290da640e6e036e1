#include "wallet/paychan_tx.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "base/hash.h"
#include "script/build.h"
#include "script/iter.h"
#include "script/opcode.h"
#include "script/sighash.h"
#include "script/verify.h"
#include "tests/wallet/pair.h"

/* Spec channels 10.4. */
#define LOCK_HEX \
    "74539c63522102eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619210324653eac43" \
    "4488002cc06bbfb7f10fe18991e35f9fe4302dbea6d2353dc0ab1c52ae6776aa818b012080263044022079be667e" \
    "f9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f8179802207c7e01417e2102b405d7f0322a89d0f9" \
    "f3a98e6f938fdc1c969a8d1382a2bf66a71ae74a1e83b0ad7601447f7701247f75aa78547f7701207f758882012c" \
    "947f77547f7c04feffffff8801207f77547f7501007e810300a60e040065cd1da5692102eec7245d6b7d2ccb3038" \
    "0bfbe2a3648cd7a942653f5aa340edcea1f283686619ac68"

/* One channel with the secrets of both sides. */
struct channel {
    struct paychan_terms terms;
    uint8_t payer[32], payee[32];
    struct outpoint at;
    struct buf lock;
};

static void pkh_of(uint8_t out[PAYCHAN_PKH_SIZE], uint8_t byte)
{
    const struct person p = person_with(byte);
    hash160(out, p.key, sizeof p.key);
}

static struct channel channel_make(void)
{
    struct channel c = { .terms = { .expiry = 960000, .capacity = 1000000, .close_fee = 150 } };
    const struct person payer = person_with(0x41), payee = person_with(0x42);
    memcpy(c.payer, payer.secret, 32);
    memcpy(c.payee, payee.secret, 32);
    memcpy(c.terms.payer_key, payer.key, EC_PUBKEY_SIZE);
    memcpy(c.terms.payee_key, payee.key, EC_PUBKEY_SIZE);
    pkh_of(c.terms.payer_pkh, 0x43);
    pkh_of(c.terms.payee_pkh, 0x44);
    memset(c.at.txid.b, 0x11, sizeof c.at.txid.b);
    buf_init(&c.lock);
    paychan_put_lock(&c.lock, &c.terms);
    return c;
}

static void assert_hex(const void *data, size_t len, const char *hex)
{
    struct buf want = unhex(hex);
    assert_int_equal(len, want.len);
    assert_memory_equal(data, want.data, len);
    buf_clear(&want);
}

/* Under the rules of a block, and with all that the mempool asks for. */
static const uint32_t genesis = SCRIPT_P2SH | SCRIPT_STRICTENC | SCRIPT_DERSIG | SCRIPT_LOW_S |
                                SCRIPT_NULLFAIL | SCRIPT_SIGPUSHONLY | SCRIPT_SIGHASH_FORKID |
                                SCRIPT_GENESIS | SCRIPT_UTXO_AFTER_GENESIS;
static const uint32_t policy = SCRIPT_NULLDUMMY | SCRIPT_MINIMALDATA | SCRIPT_CLEANSTACK |
                               SCRIPT_DISCOURAGE_UPGRADABLE_NOPS;
static const uint32_t chronicle = SCRIPT_CHRONICLE | SCRIPT_UTXO_AFTER_CHRONICLE;

static bool spends(const struct channel *c, const struct tx *tx, uint32_t flags)
{
    const struct script_limits limits = script_limits_consensus(0);
    const struct script_input in = { .tx = tx,
                                     .index = 0,
                                     .script_pubkey = buf_span(&c->lock),
                                     .amount = (int64_t)c->terms.capacity,
                                     .flags = flags,
                                     .limits = &limits };
    return script_verify(&in) == SCRIPT_OK;
}

static void assert_spends_everywhere(const struct channel *c, const struct tx *tx, bool expected)
{
    const uint32_t sets[] = { genesis, genesis | policy, genesis | chronicle,
                              genesis | policy | chronicle, genesis | SCRIPT_CHRONICLE,
                              genesis | policy | SCRIPT_CHRONICLE };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        assert_int_equal(spends(c, tx, sets[i]), expected);
}

static struct tx *parse(const struct buf *raw)
{
    struct tx *tx = tx_new(raw->data, raw->len, NULL);
    assert_non_null(tx);
    return tx;
}

/* Signed by both. */
static struct tx *close_of(const struct channel *c, uint64_t paid, uint64_t fee)
{
    const struct paychan_close close = { paid, fee };
    uint8_t sig[EC_SIG_SIZE];
    struct buf raw;
    buf_init(&raw);
    assert_true(paychan_close_sign(sig, &c->terms, &c->at, &close, c->payer));
    assert_true(paychan_close_verify(sig, &c->terms, &c->at, &close));
    assert_true(paychan_put_close(&raw, &c->terms, &c->at, &close, sig, c->payee, NULL));
    assert_true(raw.len <= PAYCHAN_CLOSE_SIZE_MAX);
    struct tx *tx = parse(&raw);
    buf_clear(&raw);
    return tx;
}

static void lock_is_that_of_the_specification(void **state)
{
    (void)state;
    struct channel c = channel_make();
    assert_hex(c.lock.data, c.lock.len, LOCK_HEX);
    assert_hex(c.terms.payer_pkh, 20, "331eb609f3aacffe680f86309d6b7470e7215b0c");
    assert_hex(c.terms.payee_pkh, 20, "cc1b07838e387deacd0e5232e1e8b49f4c29e484");
    const struct tx_out good = { 1000000, buf_span(&c.lock) };
    assert_true(paychan_is_funding(&good, &c.terms));
    assert_false(paychan_is_funding(&(struct tx_out){ 999999, good.script }, &c.terms));
    assert_false(paychan_is_funding(&(struct tx_out){ -1, good.script }, &c.terms));
    c.lock.data[c.lock.len / 2] ^= 1;
    assert_false(paychan_is_funding(&good, &c.terms));
    c.lock.data[c.lock.len / 2] ^= 1;
    buf_put_u8(&c.lock, 0x61);
    const struct tx_out longer = { 1000000, buf_span(&c.lock) };
    assert_false(paychan_is_funding(&longer, &c.terms));
    buf_clear(&c.lock);
}

static void expiry_is_the_shortest_push_of_its_number(void **state)
{
    (void)state;
    static const struct { uint32_t expiry; const char *push; } cases[] = {
        { 16, "60" }, { 17, "0111" }, { 127, "017f" }, { 128, "028000" }, { 32767, "02ff7f" },
        { 32768, "03008000" }, { 8388607, "03ffff7f" }, { 8388608, "0400008000" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channel c = channel_make();
        struct buf push = unhex(cases[i].push), lock;
        c.terms.expiry = cases[i].expiry;
        buf_init(&lock);
        paychan_put_lock(&lock, &c.terms);
        assert_int_equal(lock.len, c.lock.len - 4 + push.len);
        assert_memory_equal(lock.data + 207, push.data, push.len);
        buf_clear(&lock);
        buf_clear(&push);
        buf_clear(&c.lock);
    }
}

static void close_is_that_of_the_specification(void **state)
{
    (void)state;
    struct channel c = channel_make();
    const struct paychan_close close = { 250000, 150 };
    uint8_t digest[32], sig[EC_SIG_SIZE];
    paychan_close_digest(digest, &c.terms, &c.at, &close);
    assert_hex(digest, 32, "d8fd56e5085f2fa02397e12a1be7094121325113541944fab1dd73d40e6363ac");
    assert_true(paychan_close_sign(sig, &c.terms, &c.at, &close, c.payer));
    assert_hex(sig, 64, "5bc49d22030cf32c4dded862f323089b31d2ff28675c719e69298fa3e63ea812"
                        "5e461b030a6fe3b4644631b73c8315c6a944893f3a3ebac20e916a432bbb3c28");
    struct tx *tx = close_of(&c, 250000, 150);
    assert_int_equal(tx->raw.len, 264);
    struct buf id = unhex("959b5b0183974f579d68c9de286b214995b307b7d14d506f3c3937d25af340fe");
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(tx->id.b[i], id.data[31 - i]);
    assert_spends_everywhere(&c, tx, true);
    buf_clear(&id);
    tx_unref(tx);
    buf_clear(&c.lock);
}

/* The digest agrees with that of the interpreter's own code. */
static void digest_is_that_of_the_signature_check(void **state)
{
    (void)state;
    struct channel c = channel_make();
    struct tx *tx = close_of(&c, 777, 150);
    struct sighash_cache cache;
    uint8_t want[32], got[32];
    sighash_cache_init(&cache, tx);
    const struct sighash_request r = { .code = buf_span(&c.lock),
                                       .amount = (int64_t)c.terms.capacity,
                                       .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
    assert_int_equal(sighash_bip143(&cache, &r, want), SCRIPT_OK);
    paychan_close_digest(got, &c.terms, &c.at, &(struct paychan_close){ 777, 150 });
    assert_memory_equal(got, want, 32);
    sighash_cache_clear(&cache);
    tx_unref(tx);
    buf_clear(&c.lock);
}

static void every_close_that_fits_spends_and_is_read_back(void **state)
{
    (void)state;
    static const struct paychan_close cases[] = {
        { 0, 150 }, { 1, 150 }, { 999849, 150 }, { 999850, 150 }, { 0, 999999 }, { 5, 0 },
    };
    struct channel c = channel_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tx *tx = close_of(&c, cases[i].paid, cases[i].fee);
        struct paychan_close read;
        uint8_t sig[EC_SIG_SIZE];
        assert_spends_everywhere(&c, tx, true);
        assert_true(paychan_read_close(tx, &c.terms, &c.at, &read));
        assert_int_equal(read.paid, cases[i].paid);
        assert_int_equal(read.fee, cases[i].fee);
        assert_true(paychan_read_close_sig(tx, sig));
        assert_true(paychan_close_verify(sig, &c.terms, &c.at, &read));
        tx_unref(tx);
    }
    buf_clear(&c.lock);
}

static void sums_that_do_not_fit_are_seen(void **state)
{
    (void)state;
    const struct paychan_terms t = { .capacity = 1000 };
    assert_true(paychan_close_fits(&t, &(struct paychan_close){ 900, 100 }));
    assert_false(paychan_close_fits(&t, &(struct paychan_close){ 901, 100 }));
    assert_true(paychan_close_fits(&t, &(struct paychan_close){ 0, 999 }));
    assert_true(paychan_close_fits(&t, &(struct paychan_close){ 1, 999 }));
    assert_false(paychan_close_fits(&t, &(struct paychan_close){ 0, 1000 })); /* no output */
    assert_false(paychan_close_fits(&t, &(struct paychan_close){ UINT64_MAX, 1 }));
    assert_false(paychan_close_fits(&t, &(struct paychan_close){ 1, UINT64_MAX }));
    assert_false(paychan_close_fits(&t, &(struct paychan_close){ UINT64_MAX, UINT64_MAX }));
}

static void another_signature_of_the_payee_is_another_id_and_the_same_close(void **state)
{
    (void)state;
    struct channel c = channel_make();
    const struct paychan_close close = { 4000, 150 };
    uint8_t sig[EC_SIG_SIZE], more[32] = { 7 };
    struct paychan_close read;
    struct buf raw;
    struct tx *first = close_of(&c, close.paid, close.fee);
    buf_init(&raw);
    assert_true(paychan_close_sign(sig, &c.terms, &c.at, &close, c.payer));
    assert_true(paychan_put_close(&raw, &c.terms, &c.at, &close, sig, c.payee, more));
    struct tx *second = parse(&raw);
    assert_false(txid_equal(&first->id, &second->id));
    assert_spends_everywhere(&c, second, true);
    assert_true(paychan_read_close(second, &c.terms, &c.at, &read));
    assert_int_equal(read.paid, 4000);
    tx_unref(first);
    tx_unref(second);
    buf_clear(&raw);
    buf_clear(&c.lock);
}

static void signature_of_another_state_key_or_channel_does_not_verify(void **state)
{
    (void)state;
    struct channel c = channel_make();
    const struct paychan_close close = { 4000, 150 };
    struct outpoint other = c.at;
    struct paychan_terms terms = c.terms;
    uint8_t sig[EC_SIG_SIZE];
    assert_true(paychan_close_sign(sig, &c.terms, &c.at, &close, c.payer));
    assert_false(paychan_close_verify(sig, &c.terms, &c.at, &(struct paychan_close){ 4001, 150 }));
    assert_false(paychan_close_verify(sig, &c.terms, &c.at, &(struct paychan_close){ 4000, 151 }));
    other.index++;
    assert_false(paychan_close_verify(sig, &c.terms, &other, &close));
    terms.expiry++;
    assert_false(paychan_close_verify(sig, &terms, &c.at, &close));
    sig[63] ^= 1;
    assert_false(paychan_close_verify(sig, &c.terms, &c.at, &close));
    assert_true(paychan_close_sign(sig, &c.terms, &c.at, &close, c.payee));
    assert_false(paychan_close_verify(sig, &c.terms, &c.at, &close));
    memset(sig, 0, sizeof sig);
    assert_false(paychan_close_verify(sig, &c.terms, &c.at, &close));
    buf_clear(&c.lock);
}

static void refund_is_that_of_the_specification(void **state)
{
    (void)state;
    struct channel c = channel_make();
    struct buf raw;
    buf_init(&raw);
    assert_true(paychan_put_refund(&raw, &c.terms, &c.at, 320, 960000, c.payer));
    struct tx *tx = parse(&raw);
    struct buf id = unhex("ea4fbda4998237dd6aab3e90ac6e8b036d11a8fe66bb81db77f4f67c33407e0a");
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(tx->id.b[i], id.data[31 - i]);
    assert_int_equal(tx->raw.len, 576);
    assert_int_equal(tx->out[0].value, 999674);
    assert_spends_everywhere(&c, tx, true);
    struct paychan_close read;
    assert_false(paychan_read_close(tx, &c.terms, &c.at, &read));
    tx_unref(tx);
    buf_clear(&id);
    buf_clear(&raw);
    buf_clear(&c.lock);
}

static void refund_is_found_at_every_height_from_the_expiry_on(void **state)
{
    (void)state;
    struct channel c = channel_make();
    for (uint32_t height = 960000; height < 960020; height++) {
        struct buf raw;
        buf_init(&raw);
        assert_true(paychan_put_refund(&raw, &c.terms, &c.at, 320, height, c.payer));
        struct tx *tx = parse(&raw);
        assert_spends_everywhere(&c, tx, true);
        tx_unref(tx);
        buf_clear(&raw);
    }
    buf_clear(&c.lock);
}

static void refund_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct channel c = channel_make();
    struct buf raw;
    buf_init(&raw);
    assert_false(paychan_put_refund(&raw, &c.terms, &c.at, 320, 959999, c.payer));
    assert_false(paychan_put_refund(&raw, &c.terms, &c.at, 320, 500000000, c.payer));
    assert_false(paychan_put_refund(&raw, &c.terms, &c.at, 1000000, 960000, c.payer));
    assert_false(paychan_put_refund(&raw, &c.terms, &c.at, UINT64_MAX, 960000, c.payer));
    assert_int_equal(raw.len, 0);
    buf_clear(&raw);
    buf_clear(&c.lock);
}

/* Spends of the same output by others. */
static void what_is_no_close_of_the_channel_is_not_taken_for_one(void **state)
{
    (void)state;
    struct channel c = channel_make();
    struct paychan_close read;
    struct tx *tx = close_of(&c, 4000, 150);
    struct tx_in in[2] = { tx->in[0], tx->in[0] };
    struct tx_out out[2] = { tx->out[0], tx->out[1] };
    struct tx t = *tx;
    t.in = in;
    t.out = out;
    assert_true(paychan_read_close(&t, &c.terms, &c.at, &read));
    t.n_in = 2;
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    t.n_in = 1;
    in[0].sequence--;
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    in[0].sequence++;
    in[0].prevout.index++;
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    in[0].prevout.index--;
    out[1] = out[0];
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    out[1] = tx->out[1];
    out[1].value = 1000000;
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    t.n_out = 0;
    assert_false(paychan_read_close(&t, &c.terms, &c.at, &read));
    tx_unref(tx);
    buf_clear(&c.lock);
}

/* spec channels 8.1.1, attacks I2: the opcodes for it do nothing after Genesis, so that a lock with
 * them is open at once; ours has none. */
static void time_is_locked_without_the_opcodes_for_it(void **state)
{
    (void)state;
    struct channel c = channel_make();
    struct script_iter it = script_iter_of(buf_span(&c.lock));
    struct script_op op;
    while (script_iter_next(&it, &op))
        assert_true(op.code != OP_CHECKLOCKTIMEVERIFY && op.code != OP_CHECKSEQUENCEVERIFY);
    struct tx *tx = close_of(&c, 1, 150); /* final at once, as its one input is */
    struct tx_in in = tx->in[0];
    struct tx t = *tx;
    in.script = span_of(NULL, 0);
    t.in = &in;
    buf_reset(&c.lock);
    script_put_num(&c.lock, 960000);
    script_put_op(&c.lock, OP_CHECKLOCKTIMEVERIFY);
    script_put_op(&c.lock, OP_CHECKSEQUENCEVERIFY);
    assert_true(spends(&c, &t, genesis));
    assert_true(spends(&c, &t, genesis | chronicle));
    tx_unref(tx);
    buf_clear(&c.lock);
}

static const char *text_of(struct json_object *o, const char *name)
{
    return json_object_get_string(json_object_object_get(o, name));
}

static uint64_t number_of(struct json_object *o, const char *name)
{
    return json_object_get_uint64(json_object_object_get(o, name));
}

/* The public key of a secret in the file. */
static void read_key(uint8_t key[EC_PUBKEY_SIZE], struct json_object *all, const char *name)
{
    struct buf secret = unhex(text_of(all, name));
    assert_int_equal(secret.len, 32);
    assert_true(ec_pubkey_of(key, secret.data));
    buf_clear(&secret);
}

/* The channel whose spends a file has, with the lock that the file says it has. */
static struct channel channel_read(struct json_object *all)
{
    struct channel c = { .terms = { .expiry = (uint32_t)number_of(all, "expiry"),
                                    .capacity = number_of(all, "capacity"),
                                    .close_fee = number_of(all, "close_fee") } };
    read_key(c.terms.payer_key, all, "payer_key");
    read_key(c.terms.payee_key, all, "payee_key");
    buf_init(&c.lock);
    paychan_put_lock(&c.lock, &c.terms);
    assert_hex(c.lock.data, c.lock.len, text_of(all, "lock"));
    return c;
}

static void published_spends_end_as_they_say(void **state)
{
    (void)state;
    struct json_object *all = vector_json("../spec/channels-vectors.json");
    struct json_object *cases = json_object_object_get(all, "cases");
    struct channel c = channel_read(all);
    const size_t n = json_object_array_length(cases);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(cases, i);
        struct buf raw = unhex(text_of(row, "tx"));
        struct tx *tx = parse(&raw);
        const bool valid = json_object_get_boolean(json_object_object_get(row, "valid"));
        assert_spends_everywhere(&c, tx, valid);
        tx_unref(tx);
        buf_clear(&raw);
    }
    vector_report("channels-vectors.json", n);
    buf_clear(&c.lock);
    json_object_put(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_is_that_of_the_specification),
        cmocka_unit_test(expiry_is_the_shortest_push_of_its_number),
        cmocka_unit_test(close_is_that_of_the_specification),
        cmocka_unit_test(digest_is_that_of_the_signature_check),
        cmocka_unit_test(every_close_that_fits_spends_and_is_read_back),
        cmocka_unit_test(sums_that_do_not_fit_are_seen),
        cmocka_unit_test(another_signature_of_the_payee_is_another_id_and_the_same_close),
        cmocka_unit_test(signature_of_another_state_key_or_channel_does_not_verify),
        cmocka_unit_test(refund_is_that_of_the_specification),
        cmocka_unit_test(refund_is_found_at_every_height_from_the_expiry_on),
        cmocka_unit_test(refund_that_cannot_be_is_refused),
        cmocka_unit_test(what_is_no_close_of_the_channel_is_not_taken_for_one),
        cmocka_unit_test(time_is_locked_without_the_opcodes_for_it),
        cmocka_unit_test(published_spends_end_as_they_say),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
