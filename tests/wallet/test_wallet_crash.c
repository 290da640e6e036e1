/*
 * A wallet on real files, in a child that ends, or whose disk is full, at its n-th write, sync,
 * rename or open, for every n. After each step that succeeded the child notes it; what was noted
 * must be there afterwards, and the blocks bring the rest.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/fault/preload.h"
#include "tests/wallet/wallet_util.h"
#include "wallet/brc42.h"
#include "wallet/payments.h"

static const struct script_heights heights = { .p2sh = 0 };

/* The steps of the child, each noted by its letter. */
enum step {
    CREATE = 'c', KEY = 'k', BLOCK = 'b', SEND = 's',
    PAY = 'p',   /* a payment to an identity key */
    ACCEPT = 'a' /* a payment of somebody else */
};
static const char plan[] = "ckbkabskbpbsak";
enum { BLOCK_VALUE = 100000, BLOCK_KEYS = TEST_GAP - 1 };

/* How often the step is among the first n of the plan. */
static unsigned times(enum step step, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += plan[i] == (char)step;
    return count;
}

/* The n-th block pays a key that the block before it brought into the table. */
static enum err tell_nth(struct rig *r, uint32_t n)
{
    const struct pay_script to = script_at(r, KEYSTORE_RECEIVE, (n + 1) * BLOCK_KEYS);
    struct tx *tx = pay_tx(n, BLOCK_VALUE, script_span(&to));
    r->later = n % 2;
    enum err rc = tell_until_taken(r, RIG_START + 1 + (int32_t)n, &tx, 1);
    tx_unref(tx);
    return rc ? rc : wallet_sync(r->w, NULL);
}

static enum err send(struct rig *r, struct error *e)
{
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 1000, false };
    const struct wallet_send s = { .to = &to, .n = 1, .fee_per_kb = 1000, .max_fee = 10000,
                                   .min_conf = 1, .height = RIG_START + 5, .heights = &heights };
    struct tx *tx;
    int64_t fee;
    enum err rc = wallet_send(r->w, &s, &tx, &fee, e);
    if (!rc)
        tx_unref(tx);
    return rc;
}

/* To the identity key of secret 1. */
static enum err pay(struct rig *r, struct error *e)
{
    const struct wallet_send s = { .fee_per_kb = 1000, .max_fee = 10000, .min_conf = 1,
                                   .height = RIG_START + 5, .heights = &heights };
    const int64_t amount = 2000;
    uint8_t payee[EC_PUBKEY_SIZE];
    struct payment_sent sent;
    assert_true(ec_pubkey_of(payee, brc42_anyone_secret));
    enum err rc = payments_send(r->w, payee, &amount, 1, &s, &sent, e);
    payment_sent_clear(&sent);
    return rc;
}

/* The n-th payment that the holder of secret 1 makes to us. */
static struct tx *strange_payment(struct rig *r, unsigned n, struct payment *p)
{
    static const char *const prefixes[] = { "first", "second" };
    const struct brc29_place place = { text_span(prefixes[n]), text_span("suffix") };
    struct wallet_key k = { .key_len = EC_PUBKEY_SIZE };
    uint8_t payee[EC_PUBKEY_SIZE];
    *p = (struct payment){ .prefix = place.prefix, .output[0].suffix = place.suffix, .n = 1 };
    if (payments_identity_key(r->w, payee, NULL) || !ec_pubkey_of(p->other, brc42_anyone_secret) ||
        brc29_key_of_payee(k.key, brc42_anyone_secret, payee, &place, NULL))
        return NULL;
    const struct pay_script to = script_of_key(&k);
    return pay_tx(1000 + n, 500, script_span(&to));
}

static enum err accept_nth(struct rig *r, unsigned n, struct error *e)
{
    struct payment p;
    struct tx *tx = strange_payment(r, n, &p);
    const enum err rc = tx ? payments_accept(r->w, &p, tx, e) : ERR_IO;
    tx_unref(tx);
    return rc;
}

static enum err do_step(size_t at, struct rig *r, const char *dir, struct error *e)
{
    struct wallet_key k;
    switch ((enum step)plan[at]) {
    case CREATE:
        return wallet_create(&r->w, dir, "w", &wallet_test_params, &from_phrase, e);
    case KEY:
        return wallet_new_key(r->w, KEYSTORE_RECEIVE, no_label, &k, e);
    case BLOCK:
        return tell_nth(r, times(BLOCK, at));
    case SEND:
        return send(r, e);
    case PAY:
        return pay(r, e);
    case ACCEPT:
        return accept_nth(r, times(ACCEPT, at), e);
    }
    return ERR_RANGE;
}

struct place {
    char *wallet, *notes;
};

/* Only the calls on files below "victim" count. */
static struct place place_of(const char *dir)
{
    return (struct place){ path_join(dir, "victim/w"), path_join(dir, "notes") };
}

static void place_clear(struct place *p)
{
    free(p->wallet);
    free(p->notes);
}

static int child(const char *dir)
{
    struct place p = place_of(dir);
    struct rig r = { .height = RIG_START };
    struct error e = { .code = OK };
    enum err rc = OK;
    const int notes = open(p.notes, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (size_t at = 0; !rc && plan[at]; at++) {
        rc = do_step(at, &r, p.wallet, &e);
        if (!rc && write(notes, &plan[at], 1) != 1)
            return 2;
    }
    close(notes);
    wallet_unref(r.w);
    place_clear(&p);
    return rc ? 1 : 0;
}

static size_t noted(const struct place *p)
{
    struct buf b = { 0 };
    enum err rc = file_read_all(p->notes, 100, &b, NULL);
    const size_t n = rc ? 0 : b.len;
    buf_clear(&b);
    return n;
}

/* --- what must be there --- */

static bool count_sent(void *ctx, const struct history_tx *t)
{
    *(unsigned *)ctx += t->from_us;
    return true;
}

static void check_sent(struct rig *r, size_t done)
{
    unsigned sent = 0;
    wallet_lock(r->w);
    assert_int_equal(history_list(wallet_history(r->w), 0, count_sent, &sent, NULL), OK);
    wallet_unlock(r->w);
    const unsigned all = times(SEND, done) + times(PAY, done);
    assert_in_range(sent, all, all + 1);
}

struct tally {
    unsigned sent, received;
    struct txid last_sent;
};

static enum err count_payment(void *ctx, const struct payment *p, struct error *e)
{
    struct tally *t = (struct tally *)ctx;
    (void)e;
    t->received += p->received;
    t->sent += !p->received;
    if (!p->received)
        t->last_sent = p->txid;
    return OK;
}

/* Made by pay: the one that neither pays a stranger's address nor is of a block. */
static bool find_paid(void *ctx, const struct history_tx *t)
{
    const struct pay_script there = foreign_script(7);
    bool to_stranger = !t->from_us;
    for (size_t i = 0; i < t->tx->n_out; i++)
        to_stranger |= mem_equal_var(t->tx->out[i].script.data, there.bytes, sizeof there.bytes);
    if (!to_stranger)
        *(struct txid *)ctx = t->tx->id;
    return to_stranger;
}

/* Whoever has paid can tell the payee how; what was accepted is ours, and can be accepted again. */
static void check_payments(struct rig *r, size_t done)
{
    struct tally t = { .sent = 0 };
    struct txid paid = { { 0 } };
    struct wallet_key k;
    struct payment p;
    assert_int_equal(payments_each(r->w, count_payment, &t, NULL), OK);
    assert_in_range(t.sent, times(PAY, done), times(PAY, done) + 1);
    assert_in_range(t.received, times(ACCEPT, done), times(ACCEPT, done) + 1);
    wallet_lock(r->w);
    assert_int_equal(history_list(wallet_history(r->w), 0, find_paid, &paid, NULL), OK);
    wallet_unlock(r->w);
    if (!txid_equal(&paid, &(struct txid){ { 0 } }))
        assert_true(txid_equal(&paid, &t.last_sent));
    for (unsigned n = 0; n < t.received; n++) {
        struct tx *tx = strange_payment(r, n, &p);
        assert_true(wallet_find_key(r->w, tx->out[0].script, &k) && k.spendable);
        assert_int_equal(payments_accept(r->w, &p, tx, NULL), OK);
        tx_unref(tx);
    }
}

static bool add_received(void *ctx, const struct history_tx *t)
{
    if (!t->from_us)
        *(int64_t *)ctx += t->tx->out[0].value;
    return true;
}

/* The blocks that it does not know are told; then it has all of them. */
static void check_blocks(struct rig *r, size_t done)
{
    struct block_hash hash;
    int32_t height;
    int64_t received = 0;
    uint32_t n = 0;
    const unsigned all = times(BLOCK, strlen(plan));
    if (wallet_best(r->w, &hash, &height, NULL))
        n = (uint32_t)(height - RIG_START);
    assert_in_range(n, times(BLOCK, done), times(BLOCK, done) + 1);
    for (; n < all; n++)
        assert_int_equal(tell_nth(r, n), OK);
    wallet_lock(r->w);
    assert_int_equal(history_list(wallet_history(r->w), 0, add_received, &received, NULL), OK);
    wallet_unlock(r->w);
    assert_int_equal(received, all * BLOCK_VALUE);
}

static void check_keys(struct rig *r, size_t done)
{
    const struct wallet_key k = new_key(r, KEYSTORE_RECEIVE);
    assert_true(k.index >= times(KEY, done));
    assert_true(k.index > times(BLOCK, strlen(plan)) * BLOCK_KEYS);
}

/* A wallet that is none yet can be created. */
static enum err open_again(struct rig *r, const struct place *p, size_t done, struct error *e)
{
    enum err rc = wallet_open(&r->w, p->wallet, "w", &wallet_test_params, e);
    if (done == 0 && rc == ERR_NOTFOUND)
        rc = wallet_create(&r->w, p->wallet, "w", &wallet_test_params, &from_phrase, e);
    return rc;
}

static void check_sound(const char *dir, bool whole)
{
    struct place p = place_of(dir);
    struct rig r = { .height = RIG_START };
    struct error e = { .code = OK };
    const size_t done = noted(&p);
    assert_true(!whole || done == strlen(plan));
    if (open_again(&r, &p, done, &e))
        fail_msg("after %zu steps: %s", done, e.text);
    check_sent(&r, done);
    check_payments(&r, done);
    check_blocks(&r, done);
    check_keys(&r, done);
    wallet_unref(r.w);
    place_clear(&p);
}

static void a_crash_at_any_call_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "exit", FAULT_KILLED, check_sound);
}

static void a_torn_write_at_any_call_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "torn", FAULT_KILLED, check_sound);
}

static void a_full_disk_at_any_call_is_an_error_and_leaves_what_was_done(void **state)
{
    (void)state;
    fault_need();
    fault_at_every_call("victim", "ENOSPC", 1, check_sound);
}

int main(int argc, char **argv)
{
    ec_init();
    if (argc == 3)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_call_leaves_what_was_done),
        cmocka_unit_test(a_torn_write_at_any_call_leaves_what_was_done),
        cmocka_unit_test(a_full_disk_at_any_call_is_an_error_and_leaves_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
