/* Identities out of the phrase and the blocks: those of the wallet, once, no copies by others. */
#include <config.h>

#include "wallet/identity_recover.h"

#include <string.h>

#include "base/mem.h"
#include "tests/wallet/identity_util.h"

static const struct script_heights heights = { .p2sh = 0 };
static const int64_t COIN_VALUE = 100000;

/* Registers in a transaction of the wallet, as the node does. */
static struct tx *registered(struct rig *r, const char *name)
{
    struct identity id;
    struct tx *tx;
    int64_t fee;
    identity_init(&id);
    assert_int_equal(identity_create(r->w, name, 4, &id, NULL), OK);
    const struct wallet_recipient to[] = {
        { .script = span_of(id.registration, sizeof id.registration) },
        { .script = span_of(id.marker, sizeof id.marker), .value = 1 },
    };
    const struct wallet_send s = { .to = to, .n = 2, .fee_per_kb = 1000, .max_fee = 10000,
                                   .min_conf = 1, .height = r->height, .heights = &heights,
                                   .change_last = true };
    assert_int_equal(wallet_send(r->w, &s, &tx, &fee, NULL), OK);
    identity_clear(&id);
    return tx;
}

/* The same outputs, paid for by somebody else. */
static struct tx *copied(const struct tx *tx)
{
    struct buf b = { 0 };
    struct outpoint at = strange_out(99);
    buf_put_le32(&b, 1);
    buf_put_compact(&b, 1);
    buf_put(&b, at.txid.b, 32);
    buf_put_le32(&b, at.index);
    buf_put_compact(&b, 0);
    buf_put_le32(&b, UINT32_MAX);
    buf_put_compact(&b, tx->n_out);
    for (size_t i = 0; i < tx->n_out; i++)
        put_output(&b, (uint64_t)tx->out[i].value, tx->out[i].script.data, tx->out[i].script.len);
    buf_put_le32(&b, 0);
    struct tx *copy = tx_new(b.data, b.len, NULL);
    assert_non_null(copy);
    buf_clear(&b);
    return copy;
}

struct chain {
    struct rig first, again; /* two wallets of one phrase */
    struct tx *paid[2], *sent[2], *copy;
};

static struct chain start(void)
{
    struct chain c = { .first = rig_start(&from_phrase), .again = rig_start(&from_phrase) };
    for (int i = 0; i < 2; i++) {
        const struct wallet_key k = new_key(&c.first, KEYSTORE_RECEIVE);
        const struct pay_script to = script_of_key(&k);
        c.paid[i] = pay_tx((uint32_t)i, COIN_VALUE, script_span(&to));
    }
    next_block(&c.first, c.paid, 2);
    next_block(&c.again, c.paid, 2);
    for (int i = 0; i < 2; i++)
        c.sent[i] = registered(&c.first, i ? "bob" : "alice");
    c.copy = copied(c.sent[0]);
    return c;
}

static void stop(struct chain *c)
{
    for (int i = 0; i < 2; i++) {
        tx_unref(c->paid[i]);
        tx_unref(c->sent[i]);
    }
    tx_unref(c->copy);
    rig_stop(&c->first);
    rig_stop(&c->again);
}

static enum err count(void *ctx, const struct identity *id, struct error *e)
{
    (void)id;
    (void)e;
    ++*(unsigned *)ctx;
    return OK;
}

static unsigned recovered(struct rig *r)
{
    unsigned n = 0;
    assert_int_equal(identity_recover(r->w, count, &n, NULL), OK);
    return n;
}

static struct identity get(struct rig *r, const char *name)
{
    struct identity id;
    bool found;
    identity_init(&id);
    assert_int_equal(identity_load(wallet_keystore(r->w), name, &id, &found, NULL), OK);
    assert_true(found);
    return id;
}

static void registrations_of_the_phrase_come_back_once(void **state)
{
    (void)state;
    struct chain c = start();
    struct identity_secrets s;
    next_block(&c.again, c.sent, 1);
    assert_int_equal(recovered(&c.again), 1);
    next_block(&c.again, c.sent + 1, 1);
    assert_int_equal(recovered(&c.again), 1);
    assert_int_equal(recovered(&c.again), 0);
    const struct identity alice = get(&c.first, "alice"), found = get(&c.again, "recovered-1");
    const struct identity bob = get(&c.first, "bob"), second = get(&c.again, "recovered-2");
    assert_memory_equal(found.registration, alice.registration, sizeof found.registration);
    assert_memory_equal(second.registration, bob.registration, sizeof second.registration);
    assert_memory_equal(found.marker, alice.marker, sizeof found.marker);
    assert_memory_equal(found.txid.b, c.sent[0]->id.b, 32);
    assert_int_equal(found.use, IDENTITY_RECOVERED);
    rig_reopen(&c.again);
    struct identity_secrets of_alice;
    assert_int_equal(identity_get_secrets(wallet_keystore(c.again.w), &found, &s, NULL), OK);
    assert_int_equal(identity_get_secrets(wallet_keystore(c.first.w), &alice, &of_alice, NULL), OK);
    assert_memory_equal(s.key, of_alice.key, 32);
    assert_memory_equal(s.marker, of_alice.marker, 32);
    stop(&c);
}

static void no_address_is_formed_of_what_was_recovered(void **state)
{
    (void)state;
    struct chain c = start();
    struct identity_secrets s;
    struct identity_address a;
    struct identity carol;
    identity_address_init(&a);
    identity_init(&carol);
    next_block(&c.again, c.sent, 2);
    assert_int_equal(recovered(&c.again), 2);
    struct identity id = get(&c.again, "recovered-1");
    assert_int_equal(identity_unused(&id), 0);
    assert_int_equal(identity_get_secrets(wallet_keystore(c.again.w), &id, &s, NULL), OK);
    assert_int_equal(identity_new_address(wallet_keystore(c.again.w), &id, &s, &identity_form, &a,
                                          NULL), ERR_NOTFOUND);
    assert_int_equal(identity_create(c.again.w, "carol", 1, &carol, NULL), OK);
    assert_true(carol.number > get(&c.again, "recovered-2").number);
    identity_address_clear(&a);
    stop(&c);
}

static void the_wallet_s_own_and_copies_by_others_are_passed_over(void **state)
{
    (void)state;
    struct chain c = start();
    next_block(&c.first, c.sent, 2);
    assert_int_equal(recovered(&c.first), 0);
    next_block(&c.again, &c.copy, 1);
    assert_int_equal(recovered(&c.again), 0);
    stop(&c);
}

static void a_locked_wallet_recovers_nothing(void **state)
{
    (void)state;
    struct chain c = start();
    next_block(&c.again, c.sent, 2);
    assert_int_equal(keystore_encrypt(wallet_keystore(c.again.w), text_span("secret"), NULL), OK);
    assert_int_equal(identity_recover(c.again.w, NULL, NULL, NULL), ERR_AUTH);
    stop(&c);
}

static void what_a_failed_write_left_out_comes_with_the_next_call(void **state)
{
    (void)state;
    struct chain c = start();
    next_block(&c.again, c.sent, 2);
    for (unsigned n = 0; n < 2; n++) {
        kv_mem_fail_writes(c.again.keys, 1);
        assert_int_equal(identity_recover(c.again.w, NULL, NULL, NULL), ERR_IO);
        kv_mem_fail_writes(c.again.keys, 0);
        rig_reopen(&c.again);
    }
    assert_int_equal(recovered(&c.again), 2);
    stop(&c);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registrations_of_the_phrase_come_back_once),
        cmocka_unit_test(no_address_is_formed_of_what_was_recovered),
        cmocka_unit_test(the_wallet_s_own_and_copies_by_others_are_passed_over),
        cmocka_unit_test(a_locked_wallet_recovers_nothing),
        cmocka_unit_test(what_a_failed_write_left_out_comes_with_the_next_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
