/* Payments between two wallets, without a chain. */
#include <config.h>

#include "wallet/payments.h"

#include <stdio.h>

#include "base/ec.h"
#include "base/mem.h"
#include "tests/wallet/wallet_util.h"

#define PAYEE_PHRASE "legal winner thank year wave sausage worth useful legal winner thank yellow"

static const struct script_heights heights = { .p2sh = 0 };
static const int64_t amounts[] = { 3000, 4000 };
enum { OUTPUTS = 2, SUM = 7000, COIN_VALUE = 100000 };

struct two {
    struct rig payer, payee;
    uint8_t payee_key[EC_PUBKEY_SIZE];
    struct payment_sent sent;
    struct payment got; /* as the payee is told of it */
};

static struct wallet_send how(const struct rig *r)
{
    return (struct wallet_send){ .fee_per_kb = 1000, .max_fee = 10000, .min_conf = 1,
                                 .height = r->height, .heights = &heights };
}

/* What the payee gets of a payment that was made. */
static void hand_over(struct two *t)
{
    t->got = t->sent.payment;
    assert_int_equal(payments_identity_key(t->payer.w, t->got.other, NULL), OK);
}

static struct two start_unpaid(void)
{
    static const struct wallet_new payee = { .phrase = PAYEE_PHRASE };
    struct two t = { .payer = rig_start(&from_phrase), .payee = rig_start(&payee) };
    const struct wallet_key k = new_key(&t.payer, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    pay_in_block(&t.payer, 1, COIN_VALUE, &to);
    next_block(&t.payee, NULL, 0);
    assert_int_equal(payments_identity_key(t.payee.w, t.payee_key, NULL), OK);
    return t;
}

static struct two start(void)
{
    struct two t = start_unpaid();
    const struct wallet_send s = how(&t.payer);
    assert_int_equal(payments_send(t.payer.w, t.payee_key, amounts, OUTPUTS, &s, &t.sent, NULL),
                     OK);
    hand_over(&t);
    return t;
}

static void stop(struct two *t)
{
    payment_sent_clear(&t->sent);
    rig_stop(&t->payer);
    rig_stop(&t->payee);
}

static enum err accept(struct two *t)
{
    return payments_accept(t->payee.w, &t->got, t->sent.tx, NULL);
}

static int64_t pending(struct two *t)
{
    assert_int_equal(wallet_mempool_add(t->payee.w, t->sent.tx, NULL), OK);
    return balance_of(&t->payee).spendable.pending;
}

struct list {
    size_t n;
    struct payment last;
    char prefix[BRC29_PART_MAX + 1];
};

static enum err count(void *ctx, const struct payment *p, struct error *e)
{
    struct list *l = ctx;
    (void)e;
    l->n++;
    l->last = *p;
    snprintf(l->prefix, sizeof l->prefix, "%.*s", (int)p->prefix.len,
             (const char *)p->prefix.data);
    return OK;
}

static struct list listed(struct rig *r)
{
    struct list l = { .n = 0 };
    assert_int_equal(payments_each(r->w, count, &l, NULL), OK);
    return l;
}

/* --- the cases -------------------------------------------------------------------------------- */

/* Spec brc-notes 12, BRC-75. */
static void the_identity_key_follows_from_the_phrase(void **state)
{
    (void)state;
    static const struct wallet_new known = {
        .phrase = "dial tunnel valid cry exhaust stand match purse hope since demand palace",
        .phrase_passphrase = "",
    };
    struct rig r = rig_start(&known);
    struct buf want = unhex("1ad0895dd317163f0e83499c30bc593dbcc54cad96a5f57b065ce9f700513250");
    struct buf want_key =
        unhex("021c2361fa1c39e21422b1374c2a08106f99b5425ada71f46f55b8e8e9d4a932db");
    uint8_t secret[32], key[EC_PUBKEY_SIZE];
    assert_int_equal(payments_identity_secret(r.w, secret, NULL), OK);
    assert_memory_equal(secret, want.data, 32);
    assert_int_equal(payments_identity_key(r.w, key, NULL), OK);
    assert_memory_equal(key, want_key.data, sizeof key);
    buf_clear(&want);
    buf_clear(&want_key);
    rig_stop(&r);
}

static void a_payment_goes_from_one_wallet_to_another(void **state)
{
    (void)state;
    struct two t = start();
    assert_int_equal(pending(&t), 0); /* nobody knows the keys yet */
    assert_int_equal(accept(&t), OK);
    assert_int_equal(pending(&t), SUM);
    rig_reopen(&t.payee);
    assert_int_equal(pending(&t), SUM);
    stop(&t);
}

static void the_keys_of_a_payment_can_be_used(void **state)
{
    (void)state;
    struct two t = start();
    assert_int_equal(accept(&t), OK);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < OUTPUTS; i++) {
            const struct tx_out *out = &t.sent.tx->out[t.got.output[i].index];
            struct wallet_key k;
            uint8_t secret[32], key[EC_PUBKEY_SIZE];
            assert_int_equal(out->value, amounts[i]);
            assert_true(wallet_find_key(t.payee.w, out->script, &k));
            assert_true(k.spendable && k.of_payment && !k.derived);
            assert_int_equal(wallet_get_secret(t.payee.w, &k, secret, NULL), OK);
            assert_true(ec_pubkey_of(key, secret));
            assert_memory_equal(key, k.key, sizeof key);
        }
        rig_reopen(&t.payee);
    }
    stop(&t);
}

static bool has_sent(struct rig *r, const uint8_t payee[EC_PUBKEY_SIZE], struct span prefix)
{
    bool sent;
    assert_int_equal(payments_prefix_was_sent(r->w, payee, prefix, &sent, NULL), OK);
    return sent;
}

static void both_sides_remember_how_the_keys_were_derived(void **state)
{
    (void)state;
    struct two t = start();
    assert_int_equal(listed(&t.payee).n, 0);
    assert_int_equal(accept(&t), OK);
    for (int i = 0; i < 2; i++) {
        struct rig *r = i ? &t.payee : &t.payer;
        rig_reopen(r);
        const struct list l = listed(r);
        assert_int_equal(l.n, 1);
        assert_int_equal(l.last.received, i);
        assert_memory_equal(l.last.other, i ? t.got.other : t.payee_key, EC_PUBKEY_SIZE);
        assert_true(txid_equal(&l.last.txid, &t.sent.tx->id));
        assert_int_equal(l.last.n, OUTPUTS);
        assert_int_equal(strlen(l.prefix), t.got.prefix.len);
        assert_memory_equal(l.prefix, t.got.prefix.data, t.got.prefix.len);
        assert_int_equal(has_sent(r, t.payee_key, t.got.prefix), !i);
    }
    assert_false(has_sent(&t.payer, t.got.other, t.got.prefix));
    assert_false(has_sent(&t.payer, t.payee_key, span_of(t.got.prefix.data, 1)));
    stop(&t);
}

static void a_payment_is_accepted_once(void **state)
{
    (void)state;
    struct two t = start();
    assert_int_equal(accept(&t), OK);
    const uint64_t changes = keystore_changes(t.payee.w->ks);
    assert_int_equal(accept(&t), OK);
    assert_int_equal(keystore_changes(t.payee.w->ks), changes);
    t.got.n--;
    assert_int_equal(accept(&t), ERR_EXISTS); /* the prefix is that of another payment */
    assert_int_equal(keystore_changes(t.payee.w->ks), changes);
    stop(&t);
}

/* Between other keys than those of the wallets, at a place that was chosen before. */
static void a_payment_may_be_between_other_identities(void **state)
{
    (void)state;
    static const uint8_t payer[32] = { [31] = 7 }, payee[32] = { [31] = 9 };
    static const struct brc29_place place = { { (const uint8_t *)"cHJl", 4 },
                                              { (const uint8_t *)"c3Vm", 4 } };
    struct two t = start_unpaid();
    const struct wallet_send s = how(&t.payer);
    uint8_t key[EC_PUBKEY_SIZE];
    assert_true(ec_pubkey_of(key, payee));
    assert_int_equal(payments_send_as(t.payer.w, payer, key, &place, 5000, &s, &t.sent, NULL), OK);
    assert_int_equal(t.sent.tx->out[t.sent.payment.output[0].index].value, 5000);
    assert_int_equal(listed(&t.payer).n, 1);
    t.got = t.sent.payment;
    assert_true(ec_pubkey_of(t.got.other, payer));
    assert_int_equal(accept(&t), ERR_RANGE); /* to the wallet's own key it says nothing */
    assert_int_equal(payments_accept_as(t.payee.w, payer, &t.got, t.sent.tx, NULL), ERR_RANGE);
    assert_int_equal(payments_check_as(t.payee.w, payer, &t.got, t.sent.tx, NULL), ERR_RANGE);
    assert_int_equal(payments_check_as(t.payee.w, payee, &t.got, t.sent.tx, NULL), OK);
    assert_int_equal(listed(&t.payee).n, 0);
    assert_int_equal(payments_accept_as(t.payee.w, payee, &t.got, t.sent.tx, NULL), OK);
    assert_int_equal(pending(&t), 5000);
    rig_reopen(&t.payee);
    assert_int_equal(pending(&t), 5000);
    assert_int_equal(payments_check_as(t.payee.w, payee, &t.got, t.sent.tx, NULL), OK);
    struct tx other = *t.sent.tx; /* another payment at the same place */
    other.id.b[0] ^= 1;
    assert_int_equal(payments_check_as(t.payee.w, payee, &t.got, &other, NULL), ERR_EXISTS);
    stop(&t);
}

static void refuse(struct two *t, const char *part)
{
    struct error e = { .code = OK };
    struct payment p = t->got;
    assert_int_equal(payments_accept(t->payee.w, &p, t->sent.tx, &e), ERR_RANGE);
    if (!strstr(e.text, part))
        fail_msg("%s", e.text);
    assert_int_equal(listed(&t->payee).n, 0);
    hand_over(t);
}

static void what_does_not_pay_us_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct two t = start();
    t.got.output[1].index = (uint32_t)t.sent.tx->n_out;
    refuse(&t, "has no more than");
    t.got.output[1].index = t.got.output[0].index;
    refuse(&t, "named twice");
    t.got.output[1].suffix = t.got.output[0].suffix;
    refuse(&t, "named twice");
    t.got.output[1].suffix = text_span("other");
    refuse(&t, "does not pay the key");
    memcpy(t.got.other, t.payee_key, sizeof t.got.other);
    refuse(&t, "does not pay the key");
    t.got.n = 0;
    refuse(&t, "1 to 64 outputs");
    t.got.prefix = text_span("a b");
    refuse(&t, "no blank");
    assert_int_equal(pending(&t), 0);
    stop(&t);
}

static void an_output_that_is_worth_nothing_is_refused(void **state)
{
    (void)state;
    struct two t = start();
    struct buf raw = { 0 };
    buf_put(&raw, t.sent.tx->raw.data, t.sent.tx->raw.len);
    const struct span script = t.sent.tx->out[t.got.output[0].index].script;
    /* value and length of the script stand before it */
    memset(raw.data + (script.data - t.sent.tx->raw.data) - 9, 0, 8);
    tx_unref(t.sent.tx);
    t.sent.tx = tx_new(raw.data, raw.len, NULL);
    refuse(&t, "worth nothing");
    buf_clear(&raw);
    stop(&t);
}

static void a_locked_wallet_has_no_payments(void **state)
{
    (void)state;
    struct two t = start();
    const struct wallet_send s = how(&t.payer);
    struct payment_sent none;
    assert_int_equal(keystore_encrypt(t.payee.w->ks, text_span("secret"), NULL), OK);
    uint8_t key[EC_PUBKEY_SIZE], secret[32];
    assert_int_equal(payments_identity_key(t.payee.w, key, NULL), OK); /* was asked before */
    assert_memory_equal(key, t.payee_key, sizeof key);
    assert_int_equal(payments_identity_secret(t.payee.w, secret, NULL), ERR_AUTH);
    assert_int_equal(accept(&t), ERR_AUTH);
    assert_int_equal(payments_send(t.payee.w, t.got.other, amounts, 1, &s, &none, NULL), ERR_AUTH);
    payment_sent_clear(&none);
    assert_int_equal(listed(&t.payee).n, 0);
    assert_int_equal(keystore_unlock(t.payee.w->ks, text_span("secret"), wallet_test_now() + 9,
                                     NULL), OK);
    assert_int_equal(accept(&t), OK);
    keystore_lock(t.payee.w->ks);
    assert_int_equal(pending(&t), SUM);
    assert_int_equal(listed(&t.payee).n, 1);
    stop(&t);
}

static void what_cannot_be_paid_leaves_no_trace(void **state)
{
    (void)state;
    struct two t = start();
    const struct wallet_send s = how(&t.payer);
    const int64_t too_much = 2 * COIN_VALUE;
    struct payment_sent none;
    assert_int_equal(payments_send(t.payer.w, t.payee_key, &too_much, 1, &s, &none, NULL),
                     ERR_NOTFOUND);
    payment_sent_clear(&none);
    assert_int_equal(payments_send(t.payer.w, t.payee_key, amounts, 0, &s, &none, NULL),
                     ERR_RANGE);
    payment_sent_clear(&none);
    assert_int_equal(listed(&t.payer).n, 1);
    stop(&t);
}

static void a_payment_in_a_block_that_was_told_before_is_taken(void **state)
{
    (void)state;
    struct two t = start();
    struct wallet_block b = { .hash = rig_hash(&t.payee, t.payee.height),
                              .height = t.payee.height + 1, .time = 5 };
    assert_int_equal(wallet_import_tx(t.payee.w, t.sent.tx, &b, 3, NULL), ERR_NOTFOUND);
    assert_int_equal(accept(&t), OK);
    assert_int_equal(wallet_import_tx(t.payee.w, t.sent.tx, &b, 3, NULL), ERR_BUSY);
    b.height--;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wallet_import_tx(t.payee.w, t.sent.tx, &b, 3, NULL), OK);
        assert_int_equal(trusted(&t.payee), SUM);
    }
    undo_block(&t.payee);
    assert_int_equal(trusted(&t.payee), 0);
    assert_int_equal(pending(&t), SUM);
    stop(&t);
}

/* A store may come from elsewhere. */
static void a_damaged_record_is_told(void **state)
{
    (void)state;
    uint8_t id[35] = { 'r', 2 }, data[39] = { 0 };
    const struct key_record r = { .kind = KEY_RECORD_PAYMENT, .form = KEY_RECORD_PUBLIC,
                                  .id = span_of(id, sizeof id),
                                  .data = span_of(data, sizeof data) };
    for (int outputs = 0; outputs < 2; outputs++) {
        struct rig rig = rig_start(&from_phrase);
        struct list l = { .n = 0 };
        struct error e = { .code = OK };
        data[32] = outputs ? 1 : 200; /* in the six bytes that follow */
        data[37] = 2;                 /* length of the suffix of one: a byte is left */
        assert_int_equal(keystore_add(rig.w->ks, &r, 1, NULL), OK);
        assert_int_equal(payments_each(rig.w, count, &l, &e), ERR_CORRUPT);
        assert_non_null(strstr(e.text, "payment 72"));
        rig_stop(&rig);
    }
}

static enum err add_to(void *ctx, const struct key_record *r, struct error *e)
{
    return keystore_add(((struct rig *)ctx)->w->ks, r, 1, e);
}

/* As when memory was short after the records had been written. */
static void a_payment_that_was_stored_and_no_more_is_taken_again(void **state)
{
    (void)state;
    static const struct wallet_new same = { .phrase = PAYEE_PHRASE };
    struct two t = start();
    struct rig half = rig_start(&same);
    struct wallet_key k;
    const struct tx_out *out = &t.sent.tx->out[t.got.output[0].index];
    assert_int_equal(accept(&t), OK);
    assert_int_equal(keystore_each(t.payee.w->ks, KEY_RECORD_PAYMENT, add_to, &half, NULL), OK);
    assert_false(wallet_find_key(half.w, out->script, &k));
    assert_int_equal(payments_accept(half.w, &t.got, t.sent.tx, NULL), OK);
    assert_true(wallet_find_key(half.w, out->script, &k));
    assert_true(k.spendable && k.of_payment);
    rig_stop(&half);
    stop(&t);
}

/* A block is being told, and the payment in it was passed over, when the key comes. */
static void a_block_that_is_being_told_is_told_again(void **state)
{
    (void)state;
    struct two t = start();
    const int32_t height = t.payee.height + 1;
    const struct wallet_block b = { .hash = rig_hash(&t.payee, height),
                                    .prev = rig_hash(&t.payee, height - 1),
                                    .height = height, .time = 5 };
    assert_int_equal(wallet_block_begin(t.payee.w, &b, NULL), OK);
    assert_int_equal(wallet_block_tx(t.payee.w, t.sent.tx, 0, NULL), OK);
    assert_int_equal(accept(&t), OK);
    assert_int_equal(wallet_block_end(t.payee.w, NULL), ERR_BUSY);
    next_block(&t.payee, &t.sent.tx, 1);
    assert_int_equal(trusted(&t.payee), SUM);
    stop(&t);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_identity_key_follows_from_the_phrase),
        cmocka_unit_test(a_payment_goes_from_one_wallet_to_another),
        cmocka_unit_test(the_keys_of_a_payment_can_be_used),
        cmocka_unit_test(both_sides_remember_how_the_keys_were_derived),
        cmocka_unit_test(a_payment_is_accepted_once),
        cmocka_unit_test(a_payment_may_be_between_other_identities),
        cmocka_unit_test(what_does_not_pay_us_is_refused_as_a_whole),
        cmocka_unit_test(an_output_that_is_worth_nothing_is_refused),
        cmocka_unit_test(a_locked_wallet_has_no_payments),
        cmocka_unit_test(what_cannot_be_paid_leaves_no_trace),
        cmocka_unit_test(a_payment_in_a_block_that_was_told_before_is_taken),
        cmocka_unit_test(a_block_that_is_being_told_is_told_again),
        cmocka_unit_test(a_damaged_record_is_told),
        cmocka_unit_test(a_payment_that_was_stored_and_no_more_is_taken_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
