/* The scenarios of spec channels 8.10, without a chain and without sockets. */
#include "tests/wallet/paychan_duo.h"

#include <stdlib.h>

#include "base/intmath.h"

static int begin(void **state)
{
    struct duo *d = malloc(sizeof *d);
    ec_init();
    duo_init(d);
    *state = d;
    return 0;
}

static int end(void **state)
{
    duo_clear(*state);
    free(*state);
    return 0;
}

/* A message as a hostile other side would send it. */
static struct paychan_result hand(struct duo_side *s, struct paychan_event ev)
{
    duo_give(s, ev);
    return s->last;
}

static void pay_ok(struct duo *d, uint64_t amount)
{
    assert_int_equal(duo_pay(d, amount), OK);
    duo_run(d);
}

static void assert_failed_with(const struct paychan_result *r, enum paychan_fail code)
{
    assert_true(r->n >= 1);
    assert_int_equal(r->actions[0].what, PAYCHAN_DO_SEND_FAIL);
    assert_int_equal(r->actions[0].fail.code, code);
    assert_int_equal(r->record, PAYCHAN_KEEP);
}

/* 1 */
static void channel_opens_pays_and_is_settled_to_the_satoshi(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(d->payer.c.state, P_OPEN);
    assert_int_equal(d->payee.c.state, R_OPEN);
    for (int i = 0; i < 1000; i++)
        pay_ok(d, 7);
    assert_int_equal(d->payer.c.acked_n, 1000);
    assert_int_equal(d->payee.c.paid, 7000);
    assert_int_equal(d->payee.served, 7000);
    assert_int_equal(duo_close(&d->payer, 0), OK);
    duo_run(d);
    duo_mine(d, 1);
    assert_non_null(d->chain_spend);
    assert_int_equal(d->chain_spend->out[0].value, 7000);
    assert_int_equal(d->chain_spend->out[1].value, 1000000 - 7000 - 150);
    assert_int_equal(d->payer.c.state, P_CLOSED);
    duo_mine(d, 5);
    assert_int_equal(d->payee.c.state, R_CLOSED);
    duo_mine(d, 100);
    assert_true(d->payee.forgotten && d->payer.forgotten);
}

/* 2: the payee is gone at each point; the payer has all back, but not before its time. */
static void payer_takes_back_what_was_not_paid(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    duo_disconnect(d);
    duo_kill(&d->payee);
    buf_reset(&d->payee.disk);
    d->payee.c = (struct paychan){ .role = PAYCHAN_PAYEE };
    duo_mine(d, d->expiry - d->view.tip - 1);
    assert_int_equal(d->payer.c.state, P_OPEN);
    assert_null(d->pool_spend);
    duo_mine(d, 1);
    assert_int_equal(d->payer.c.state, P_REFUNDING);
    assert_non_null(d->pool_spend);
    assert_int_equal(d->pool_spend->lock_time, d->expiry);
    duo_mine(d, 6);
    assert_int_equal(d->payer.c.state, P_REFUNDED);
    assert_int_equal(d->payer.c.spend, PAYCHAN_SPENT_REFUND);
}

static void locked_wallet_takes_back_when_it_is_unlocked(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    duo_disconnect(d);
    d->payee.c = (struct paychan){ .role = PAYCHAN_PAYEE };
    d->payer.locked = true;
    duo_mine(d, d->expiry - d->view.tip);
    assert_int_equal(d->payer.c.state, P_EXPIRED);
    assert_true(d->payer.alarms > 0);
    d->payer.locked = false;
    duo_mine(d, 1);
    assert_int_equal(d->payer.c.state, P_REFUNDING);
}

static void nothing_answers_before_the_channel_is_funded(void **state)
{
    struct duo *d = *state;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    assert_int_equal(d->payer.c.state, P_OPENING);
    d->wallet_funds = false;
    duo_connect(d); /* sends the opening again */
    duo_run(d);
    assert_int_equal(d->payer.c.state, P_ACCEPTED);
    d->view.now += PAYCHAN_ACCEPT_GOOD_S + 1;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_true(d->payer.forgotten);
    d->view.now += PAYCHAN_ABANDON_S;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_true(d->payee.forgotten);
}

static void an_opening_that_nobody_answers_is_given_up(void **state)
{
    struct duo *d = *state;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    d->view.now += PAYCHAN_OPEN_S;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payer.c.state, P_OPENING);
    d->view.now++;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_true(d->payer.forgotten);
}

static void without_coins_there_is_no_channel(void **state)
{
    struct duo *d = *state;
    d->wallet_funds = false;
    duo_connect(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    duo_run(d);
    assert_int_equal(d->payee.c.state, R_ACCEPTED);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_FUND }); /* no transaction */
    duo_run(d);
    assert_true(d->payer.forgotten && d->payee.forgotten);
}

/* It pays into the lock, and whoever has it may send it. */
static void funding_that_was_made_before_is_taken_however_late(void **state)
{
    struct duo *d = *state;
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUND };
    d->wallet_funds = false;
    duo_connect(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    duo_run(d);
    d->view.now += PAYCHAN_ACCEPT_GOOD_S + 1;
    ev.tx.tx = duo_make_funding(d);
    duo_give(&d->payer, ev);
    assert_int_equal(d->payer.c.state, P_ACCEPTED);
    ev.tx.already = true;
    duo_give(&d->payer, ev);
    assert_int_equal(d->payer.c.state, P_FUNDED);
}

/* A node that has lost blocks: what is sent early would be parked, and stay. */
static void refund_is_not_sent_again_below_its_height(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    duo_disconnect(d);
    d->payee.c = (struct paychan){ .role = PAYCHAN_PAYEE };
    duo_mine(d, d->expiry - d->view.tip);
    assert_int_equal(d->payer.c.state, P_REFUNDING);
    d->view.tip = 1;
    duo_kill(&d->payer); /* begins again: sending it now would be a failure (paychan_duo.c) */
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payer.c.state, P_REFUNDING);
}

static void late_accept_is_not_funded(void **state)
{
    struct duo *d = *state;
    d->wallet_funds = false;
    duo_connect(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    duo_run(d);
    d->view.now += PAYCHAN_ACCEPT_GOOD_S + 1;
    d->wallet_funds = true;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_START });
    assert_int_equal(d->payer.c.state, P_ACCEPTED);
    assert_false(d->funding_sent);
}

/* 3 and 16 */
static void payee_closes_in_time_by_height(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    duo_disconnect(d);
    duo_mine(d, d->expiry - 144 - d->view.tip - 1);
    assert_int_equal(d->payee.c.state, R_OPEN);
    duo_mine(d, 1);
    assert_int_equal(d->payee.c.state, R_CLOSING);
    assert_non_null(d->pool_spend);
    assert_int_equal(d->pool_spend->out[0].value, 5000);
}

static void payee_closes_in_time_by_the_clock_when_blocks_stall(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    const uint64_t left = (uint64_t)(d->expiry - d->view.tip - 144) * 600;
    d->view.now += left;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payee.c.state, R_OPEN);
    d->view.now += 1;
    d->view.synced = false; /* old blocks are fetched: their time says nothing */
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payee.c.state, R_OPEN);
    d->view.synced = true;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payee.c.state, R_CLOSING);
}

static void stale_tip_takes_no_payment(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    d->view.now += PAYCHAN_TIP_AGE_MAX_S + 1;
    assert_int_equal(duo_pay(d, 1), OK);
    duo_run(d);
    assert_int_equal(d->payer.last_fail, PAYCHAN_TOO_SHALLOW);
    assert_int_equal(d->payee.c.paid, 5000);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    duo_mine(d, 1); /* the limit is as high as it was */
    duo_run(d);
    assert_int_equal(d->payee.c.paid, 5001);
    pay_ok(d, 1);
    assert_int_equal(d->payer.c.acked_paid, 5002);
}

/* Time goes by without a payment: the payer hears that none is taken, and when they are again. */
static void blocks_that_are_missing_are_told_and_their_return_too(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    d->view.now += PAYCHAN_TIP_AGE_MAX_S + 1;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    duo_run(d);
    assert_int_equal(d->payer.c.limit, 0);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    duo_mine(d, 1);
    duo_run(d);
    pay_ok(d, 1);
    assert_int_equal(d->payer.c.acked_paid, 5001);
}

static void nothing_paid_is_nothing_to_close(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    duo_disconnect(d);
    duo_mine(d, d->expiry - 144 - d->view.tip);
    assert_int_equal(d->payee.c.state, R_ABANDONED);
    assert_null(d->pool_spend);
}

/* spec channels 8.5: before any payment a close gives all back at once, also when the payee has
 * given the channel up. */
static void payer_gets_all_back_from_a_channel_that_was_given_up(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    assert_int_equal(d->payee.c.state, R_ABANDONED);
    assert_int_equal(duo_close(&d->payer, 0), OK);
    duo_run(d);
    assert_int_equal(d->payee.c.state, R_CLOSING);
    duo_mine(d, 1);
    assert_int_equal(d->payer.c.state, P_CLOSED);
    assert_non_null(d->chain_spend);
    assert_int_equal(d->chain_spend->n_out, 1);
    assert_int_equal(d->chain_spend->out[0].value, 1000000 - 150);
    duo_mine(d, 5);
    assert_int_equal(d->payee.c.state, R_CLOSED);
}

/* 6: what is refused changes nothing. */
struct bad_pay {
    uint64_t n, paid;
    uint64_t sign_paid;
    uint8_t spoil; /* xor of the last byte of the signature */
    enum paychan_fail code;
};

static void payments_that_are_wrong_are_refused_and_change_nothing(void **state)
{
    static const struct bad_pay cases[] = {
        { 2, 5000, 5000, 0, PAYCHAN_BAD_AMOUNT },       /* not higher */
        { 2, 4999, 4999, 0, PAYCHAN_BAD_AMOUNT },
        { 2, 999851, 999851, 0, PAYCHAN_BAD_AMOUNT },   /* above what the close can pay */
        { 2, UINT64_MAX, 6000, 0, PAYCHAN_BAD_AMOUNT },
        { 2, 6000, 6001, 0, PAYCHAN_BAD_SIG },
        { 2, 6000, 6000, 1, PAYCHAN_BAD_SIG },
        { 2, 200000, 200000, 0, PAYCHAN_TOO_SHALLOW },
    };
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    const struct paychan before = d->payee.c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bad_pay *b = &cases[i];
        struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG };
        ev.pay.n = b->n;
        ev.pay.paid = b->paid;
        const struct paychan_close close = { b->sign_paid, d->close_fee };
        assert_true(paychan_close_sign(ev.pay.sig, &d->payee.c.terms, &d->payee.c.funding, &close,
                                       d->payer.key.secret));
        ev.pay.sig[63] ^= b->spoil;
        const struct paychan_result r = hand(&d->payee, ev);
        assert_failed_with(&r, b->code);
        assert_int_equal(d->payee.c.n, before.n);
        assert_int_equal(d->payee.c.paid, before.paid);
        assert_memory_equal(d->payee.c.sig, before.sig, EC_SIG_SIZE);
    }
}

static void hand_pay(struct duo *d, uint64_t n, uint64_t paid, bool old, struct paychan_result *r)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG,
                                .pay = { .n = n, .paid = paid, .old = old } };
    const struct paychan_close close = { paid, d->close_fee };
    assert_true(paychan_close_sign(ev.pay.sig, &d->payee.c.terms, &d->payee.c.funding, &close,
                                   d->payer.key.secret));
    *r = hand(&d->payee, ev);
}

/* Each payment adds one satoshi at least: the last number would leave none for the next. */
static void a_number_above_the_sum_is_refused_over_a_gap_too(void **state)
{
    struct duo *d = *state;
    struct paychan_result r;
    duo_open(d, 1);
    pay_ok(d, 5000);
    const uint64_t bad[] = { 6001, UINT64_MAX };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        d->payee.c.gap_allowed = true; /* as after a chan_sync */
        hand_pay(d, bad[i], 6000, false, &r);
        assert_failed_with(&r, PAYCHAN_BAD_AMOUNT);
        assert_int_equal(d->payee.c.n, 1);
        assert_int_equal(d->payee.c.paid, 5000);
    }
    hand_pay(d, 6000, 6000, false, &r);
    assert_int_equal(d->payee.c.n, 6000);
    d->payee.c.unsigned_yet = true; /* the same again for another funding */
    hand_pay(d, 6000, 6000, false, &r);
    assert_false(d->payee.c.unsigned_yet);
}

static void gap_in_the_numbers_is_refused_once(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG };
    ev.pay.n = 3;
    ev.pay.paid = 6000;
    struct paychan_result r = hand(&d->payee, ev);
    assert_failed_with(&r, PAYCHAN_BAD_STATE);
    ev.pay.n = 4; /* was under way */
    r = hand(&d->payee, ev);
    assert_int_equal(r.n, 0);
    assert_int_equal(d->payee.c.n, 1);
}

/* The one that the chan_sync of the new session announces is still to come. */
static void what_comes_of_an_old_session_after_the_sync_is_the_next_one_or_nothing(void **state)
{
    struct duo *d = *state;
    struct paychan_result r;
    duo_open(d, 1);
    pay_ok(d, 5000);
    struct paychan_event sync = { .kind = PAYCHAN_EV_SYNC_MSG, .sync = { .role = PAYCHAN_PAYER,
                                  .state = P_OPEN, .n = 4, .paid = 8000 } };
    hand(&d->payee, sync);
    hand_pay(d, 2, 6000, true, &r);
    assert_int_equal(d->payee.c.n, 2);
    hand_pay(d, 6, 9000, true, &r);
    assert_int_equal(r.n, 0);
    assert_int_equal(d->payee.c.n, 2);
    hand_pay(d, 4, 8000, false, &r);
    assert_int_equal(d->payee.c.n, 4);
    hand_pay(d, 6, 9000, false, &r);
    assert_failed_with(&r, PAYCHAN_BAD_STATE);
}

static void a_payer_asks_until_the_payee_says_where_it_stands(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    struct paychan *c = &d->payer.c;
    assert_false(paychan_is_asking(c));
    struct paychan_event refusal = { .kind = PAYCHAN_EV_FAIL_MSG,
                                     .fail = { PAYCHAN_BAD_STATE, "" } };
    hand(&d->payer, refusal);
    assert_true(paychan_is_asking(c));
    struct paychan_event sync = { .kind = PAYCHAN_EV_SYNC_MSG, .sync = { .role = PAYCHAN_PAYEE,
                                  .state = R_CLOSING, .n = c->n, .paid = c->paid } };
    hand(&d->payer, sync); /* now it knows: it may not pay */
    assert_false(paychan_is_asking(c));
    assert_int_equal(c->stopped, PAYCHAN_BAD_STATE);
}

static bool sends_pay(const struct paychan_result *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->actions[i].what == PAYCHAN_DO_SEND_PAY)
            return true;
    return false;
}

/* A payment that has not arrived when another session takes the place of the one it is in, and what
 * the payee says first. */
static struct paychan_result move_amid_a_payment(struct duo *d)
{
    duo_open(d, 1);
    pay_ok(d, 5000);
    d->session = false;
    assert_int_equal(duo_pay(d, 10), OK);
    d->view.older = true;
    (void)hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_UP });
    assert_true(paychan_is_asking(&d->payer.c));
    return hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_SYNC_MSG, .sync = {
        .role = PAYCHAN_PAYEE, .state = R_OPEN, .n = 1, .paid = 5000 } });
}

static void what_the_old_session_still_carries_is_not_sent_again(void **state)
{
    struct duo *d = *state;
    struct paychan_result r = move_amid_a_payment(d);
    assert_false(sends_pay(&r));
    r = hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_false(sends_pay(&r));
    assert_true(paychan_is_asking(&d->payer.c));
    r = hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_ACK_MSG, .ack = { 2, 5010 } });
    assert_false(paychan_is_asking(&d->payer.c));
    r = hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_false(sends_pay(&r));
}

static void assert_sends_pay_after(struct duo *d, unsigned seconds)
{
    d->view.now += seconds - 1;
    struct paychan_result r = hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_false(sends_pay(&r));
    d->view.now++;
    r = hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_true(sends_pay(&r));
    assert_false(paychan_is_asking(&d->payer.c));
}

/* It may end at our side before all of it was read at the other. */
static void what_the_old_session_lost_is_sent_a_moment_after_it_has_ended(void **state)
{
    struct duo *d = *state;
    (void)move_amid_a_payment(d);
    d->view.older = false;
    assert_sends_pay_after(d, PAYCHAN_MOVE_MIN_S);
}

static void a_payee_that_has_less_than_it_acknowledged_gets_the_highest_state_at_once(void **state)
{
    struct duo *d = *state;
    (void)move_amid_a_payment(d);
    const struct paychan_result r = hand(&d->payer, (struct paychan_event){
        .kind = PAYCHAN_EV_SYNC_MSG, .sync = { .role = PAYCHAN_PAYEE, .state = R_OPEN } });
    assert_true(sends_pay(&r));
}

static void a_payer_that_was_refused_does_not_pay_because_a_session_has_ended(void **state)
{
    struct duo *d = *state;
    (void)move_amid_a_payment(d);
    (void)hand(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_FAIL_MSG,
                                                  .fail = { PAYCHAN_BAD_SIG, "" } });
    d->view.now += PAYCHAN_MOVE_S;
    const struct paychan_result r = hand(&d->payer,
                                         (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_false(sends_pay(&r));
}

static void an_old_session_that_brings_nothing_is_not_waited_for_long(void **state)
{
    struct duo *d = *state;
    (void)move_amid_a_payment(d);
    assert_sends_pay_after(d, PAYCHAN_MOVE_S);
}

/* What was signed in one session and is on disk in the next one leaves before the payee knows that
 * there is a gap. */
static void a_gap_between_two_sessions_ends_with_the_syncs(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    d->session = false; /* this one is lost */
    assert_int_equal(duo_pay(d, 10), OK);
    d->lazy = true;
    assert_int_equal(duo_pay(d, 10), OK); /* this one waits for the disk */
    duo_connect(d);
    duo_run(d);
    assert_int_equal(d->payer.last_fail, PAYCHAN_BAD_STATE);
    assert_int_equal(d->payee.c.paid, 5020);
    assert_int_equal(d->payer.c.stopped, 0);
    pay_ok(d, 10);
    assert_int_equal(d->payer.c.acked_paid, 5030);
}

static void numbers_that_were_taken_are_acknowledged_again(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    pay_ok(d, 1000);
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG };
    ev.pay.n = 1;
    const struct paychan_result r = hand(&d->payee, ev);
    assert_int_equal(r.record, PAYCHAN_KEEP);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.actions[0].what, PAYCHAN_DO_SEND_ACK);
    assert_int_equal(r.actions[0].ack.n, 2);
    assert_int_equal(r.actions[0].ack.paid, 6000);
}

static void ten_bad_signatures_end_the_session(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY_MSG };
    ev.pay.n = 1;
    ev.pay.paid = 10;
    for (int i = 0; i < 9; i++)
        hand(&d->payee, ev);
    assert_false(d->payee.session_ended);
    hand(&d->payee, ev);
    assert_true(d->payee.session_ended);
}

/* 7 */
static void funding_that_is_not_as_agreed_is_refused(void **state)
{
    struct duo *d = *state;
    d->wallet_funds = false;
    duo_open(d, 0);
    assert_int_equal(d->payee.c.state, R_ACCEPTED);
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDED_MSG };
    const struct tx shown = { .n_in = 0 };
    ev.funded.unspent = true;
    struct paychan_result r = hand(&d->payee, ev);
    assert_failed_with(&r, PAYCHAN_BAD_SCRIPT);
    ev.funded.tx = &shown;
    ev.funded.genuine = true;
    ev.funded.unspent = false;
    r = hand(&d->payee, ev);
    assert_failed_with(&r, PAYCHAN_BAD_SCRIPT);
    assert_int_equal(d->payee.c.state, R_ACCEPTED);
    /* Unconfirmed: known, but nothing is taken. */
    ev.funded.unspent = true;
    hand(&d->payee, ev);
    assert_int_equal(d->payee.c.state, R_SEEN);
    struct paychan_event pay = { .kind = PAYCHAN_EV_PAY_MSG };
    pay.pay.n = 1;
    pay.pay.paid = 1;
    r = hand(&d->payee, pay);
    assert_failed_with(&r, PAYCHAN_BAD_STATE);
    /* Another output while the first is unpaid is fine, the wrong one for a coin that is paid. */
    ev.funded.at.index = 5;
    hand(&d->payee, ev);
    assert_int_equal(d->payee.c.funding.index, 5);
}

/* The watch has seen the block meanwhile, and says the same thing once. */
static void a_look_at_the_funding_that_is_older_than_the_watch_changes_nothing(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    const uint32_t height = d->payee.c.funding_height;
    const uint64_t limit = d->payee.c.told_limit;
    assert_true(height > 0 && limit > 0);
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDED_MSG };
    ev.funded = (struct paychan_funded_msg){ .at = d->payee.c.funding, .tx = d->funding,
                                             .genuine = true, .unspent = true };
    hand(&d->payee, ev);
    assert_int_equal(d->payee.c.funded, PAYCHAN_CONFIRMED);
    assert_int_equal(d->payee.c.funding_height, height);
    assert_int_equal(d->payee.c.told_limit, limit);
}

static void funding_that_is_accepted_after_all_can_be_paid_from(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    const struct paychan_event refused = { .kind = PAYCHAN_EV_FAIL_MSG,
                                           .fail = { PAYCHAN_BAD_SCRIPT, "not this", false } };
    duo_give(&d->payer, refused);
    assert_int_equal(d->payer.alarms, 1);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    duo_mine(d, PAYCHAN_DEPTH_FINAL - 1); /* the payee says how much it takes now */
    duo_run(d);
    pay_ok(d, 1);
    assert_int_equal(d->payer.c.acked_paid, 5001);
}

static void wallet_that_funds_something_else_is_refused(void **state)
{
    struct duo *d = *state;
    d->wallet_funds = false;
    duo_open(d, 0);
    struct tx_out out = { 1000000, span_of("x", 1) };
    struct tx tx = { .n_out = 1, .out = &out };
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUND };
    ev.tx.tx = &tx;
    duo_give(&d->payer, ev);
    assert_int_equal(d->payer.last.refused, ERR_RANGE);
    ev.tx.index = 1;
    duo_give(&d->payer, ev);
    assert_int_equal(d->payer.last.refused, ERR_RANGE);
    assert_int_equal(d->payer.c.state, P_ACCEPTED);
}

/* 12 */
static void reorganisation_takes_the_close_out_and_it_is_sent_again(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    pay_ok(d, 5000);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    duo_run(d);
    duo_mine(d, 2);
    assert_int_equal(d->payer.c.state, P_CLOSED);
    duo_undo(d, 2);
    assert_int_equal(d->payer.c.state, P_CLOSING);
    assert_int_equal(d->payee.c.state, R_CLOSING);
    duo_mine(d, 7);
    assert_int_equal(d->payee.c.state, R_CLOSED);
}

/* Even when the close goes back to the mempool in the same moment: it is not settled any more. */
static void reorganisation_of_any_depth_opens_the_close_again(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    pay_ok(d, 5000);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    duo_run(d);
    for (uint32_t depth = 1; depth <= 10; depth++) {
        duo_mine(d, depth);
        duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
        assert_int_equal(d->payee.c.state, depth < PAYCHAN_DEPTH_FINAL ? R_CLOSING : R_CLOSED);
        duo_undo(d, depth);
        assert_int_equal(d->payee.c.state, R_CLOSING);
        assert_int_equal(d->payer.c.state, P_CLOSING);
        assert_int_equal(d->payee.c.spend_height, 0);
    }
    const uint32_t before = d->payee.c.signatures;
    d->view.tip++; /* a block without it: it goes out again */
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payee.c.signatures, before + 1);
}

/* A node that has refused a close by chance does not look at the same one again. */
static void close_that_is_not_mined_is_sent_again_as_another_transaction(void **state)
{
    struct duo *d = *state;
    struct buf first, second;
    buf_init(&first);
    buf_init(&second);
    duo_open(d, 6);
    pay_ok(d, 5000);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    assert_true(paychan_make_close(&d->payee.c, d->payee.key.secret, &first));
    d->view.tip++;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    assert_int_equal(d->payee.last.record, PAYCHAN_WHOLE);
    assert_int_equal(d->payee.last.actions[0].what, PAYCHAN_DO_BROADCAST_CLOSE);
    assert_true(paychan_make_close(&d->payee.c, d->payee.key.secret, &second));
    assert_false(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_TIP }); /* the same block */
    assert_int_equal(d->payee.last.n, 0);
    duo_kill(&d->payee); /* after a restart it is not one that has been sent */
    assert_int_equal(d->payee.c.signatures, 3);
    buf_clear(&first);
    buf_clear(&second);
}

static void funding_that_leaves_the_chain_stops_payments(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    duo_undo(d, 1);
    assert_int_equal(duo_pay(d, 1), OK); /* was not told yet */
    duo_run(d);
    assert_int_equal(d->payer.last_fail, PAYCHAN_TOO_SHALLOW);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    assert_int_equal(d->payee.c.paid, 5000);
    duo_mine(d, 1);
    duo_run(d);
    pay_ok(d, 1); /* with what was signed before */
    assert_int_equal(d->payee.c.paid, 5002);
}

/* 13 */
static void capacity_is_used_to_the_last_satoshi(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    pay_ok(d, 1);
    pay_ok(d, 999849);
    assert_int_equal(duo_pay(d, 1), ERR_RANGE);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    duo_run(d);
    assert_int_equal(d->pool_spend->n_out, 1);
    assert_int_equal(d->pool_spend->out[0].value, 999850);
}

static void close_before_any_payment_gives_all_back_at_once(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(duo_close(&d->payer, 0), OK);
    duo_run(d);
    assert_non_null(d->pool_spend);
    assert_int_equal(d->pool_spend->n_out, 1);
    assert_int_equal(d->pool_spend->out[0].value, 1000000 - 150);
}

/* 14 */
static void payer_with_an_old_database_adopts_what_it_has_signed(void **state)
{
    struct duo *d = *state;
    struct buf old;
    duo_open(d, 1);
    pay_ok(d, 1000);
    buf_init(&old);
    buf_put(&old, d->payer.disk.data, d->payer.disk.len);
    pay_ok(d, 1000);
    pay_ok(d, 1000);
    buf_reset(&d->payer.disk);
    buf_put(&d->payer.disk, old.data, old.len);
    duo_kill(&d->payer);
    assert_int_equal(d->payer.c.n, 1);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(d->payer.c.n, 3);
    assert_int_equal(d->payer.c.paid, 3000);
    pay_ok(d, 5);
    assert_int_equal(d->payee.c.paid, 3005);
    buf_clear(&old);
}

static void state_that_was_never_signed_freezes_the_channel(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    struct paychan_event ev = { .kind = PAYCHAN_EV_SYNC_MSG };
    ev.sync = (struct paychan_sync_msg){ .role = PAYCHAN_PAYEE, .n = 9, .paid = 9000,
                                         .close_fee = 150 };
    memset(ev.sync.sig, 7, sizeof ev.sync.sig);
    hand(&d->payer, ev);
    assert_true(d->payer.c.frozen);
    assert_int_equal(d->payer.c.paid, 1000);
    assert_int_equal(duo_pay(d, 1), ERR_RANGE);
    duo_kill(&d->payer); /* and it stays so */
    assert_true(d->payer.c.frozen);
    duo_disconnect(d);
    d->payee.c = (struct paychan){ .role = PAYCHAN_PAYEE };
    duo_mine(d, d->expiry - d->view.tip);
    assert_int_equal(d->payer.c.state, P_REFUNDING);
}

/* What a payee that agreed on another fee shows of it, to a payer with an old copy of its data. */
static struct paychan_event agreed_close_shown(struct duo *d, uint64_t n, uint64_t paid,
                                               uint64_t fee)
{
    const struct paychan_close close = { paid, fee };
    struct paychan_event ev = { .kind = PAYCHAN_EV_SYNC_MSG };
    ev.sync = (struct paychan_sync_msg){ .role = PAYCHAN_PAYEE, .state = R_CLOSING, .n = n,
                                         .paid = paid, .close_fee = fee };
    assert_true(paychan_close_sign(ev.sync.sig, &d->payer.c.terms, &d->payer.c.funding, &close,
                                   d->payer.key.secret));
    return ev;
}

static bool sum_is_signed(const struct paychan *c)
{
    return paychan_close_verify(c->sig, &c->terms, &c->funding,
                                &(struct paychan_close){ c->paid, c->terms.close_fee });
}

/* spec channels 8.8: the signature is checked for the fee of the message. */
static void payer_adopts_what_it_has_signed_for_another_fee(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    struct paychan_event ev = agreed_close_shown(d, 4, 4000, 400);
    ev.sync.close_fee = 150; /* not that of the signature */
    const struct paychan before = d->payer.c;
    hand(&d->payer, ev);
    assert_true(d->payer.c.frozen);
    d->payer.c = before;
    ev.sync.close_fee = 400;
    d->payer.locked = true; /* ours cannot be made: it stays as it is, and is shown again */
    hand(&d->payer, ev);
    assert_int_equal(d->payer.c.n, 1);
    assert_false(d->payer.c.frozen);
    d->payer.locked = false;
    hand(&d->payer, ev);
    assert_false(d->payer.c.frozen);
    assert_int_equal(d->payer.c.n, 4);
    assert_int_equal(d->payer.c.paid, 4000);
    assert_true(sum_is_signed(&d->payer.c));
    duo_kill(&d->payer);
    assert_int_equal(d->payer.c.paid, 4000);
}

/* All that is left went into a close with a lower fee: no payment can be signed on top. */
static void payer_that_adopts_more_than_payments_can_have_pays_no_more(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    hand(&d->payer, agreed_close_shown(d, 2, 1000000 - 100, 100));
    assert_int_equal(d->payer.c.paid, 1000000 - 100);
    assert_int_equal(duo_pay(d, 1), ERR_RANGE);
    assert_int_equal(duo_close(&d->payer, 0), ERR_RANGE);
    assert_int_equal(duo_close(&d->payer, 100), OK);
}

/* spec channels 8.8: the higher with a valid signature counts, what has none is nothing. */
static void of_two_sums_with_one_number_the_higher_that_was_signed_counts(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    struct paychan_event ev = agreed_close_shown(d, 1, 1200, 150);
    ev.sync.sig[40] ^= 1;
    hand(&d->payer, ev);
    assert_false(d->payer.c.frozen);
    assert_int_equal(d->payer.c.paid, 1000);
    ev.sync.sig[40] ^= 1;
    hand(&d->payer, ev);
    assert_int_equal(d->payer.c.n, 1);
    assert_int_equal(d->payer.c.paid, 1200);
    assert_true(sum_is_signed(&d->payer.c));
}

static void ack_of_another_sum_is_none(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(duo_pay(d, 1000), OK);
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACK_MSG };
    ev.ack = (struct paychan_ack_msg){ 1, 999 };
    hand(&d->payer, ev);
    assert_int_equal(d->payer.c.acked_n, 0);
    ev.ack.paid = 1000;
    hand(&d->payer, ev);
    assert_int_equal(d->payer.c.acked_paid, 1000);
}

/* No code is left out: whoever sends one does not go on. */
static void refusal_with_a_code_that_we_do_not_know_is_one(void **state)
{
    struct duo *d = *state;
    struct paychan_event ev = { .kind = PAYCHAN_EV_FAIL_MSG };
    ev.fail = (struct paychan_fail_msg){ 77, "because", false };
    duo_open(d, 1);
    hand(&d->payer, ev);
    assert_int_equal(d->payer.c.stopped, PAYCHAN_REFUSED);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    duo_clear(d);
    duo_init(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    assert_int_equal(d->payer.c.state, P_OPENING);
    hand(&d->payer, ev);
    assert_true(d->payer.forgotten);
}

/* No signature covers n: a payee may name any with a sum that was signed. */
static void payer_told_of_the_last_number_pays_no_more_and_is_read_back(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    struct paychan_event ev = { .kind = PAYCHAN_EV_SYNC_MSG };
    ev.sync = (struct paychan_sync_msg){ .role = PAYCHAN_PAYEE, .n = UINT64_MAX, .paid = 1000,
                                         .close_fee = 150 };
    memcpy(ev.sync.sig, d->payer.c.sig, sizeof ev.sync.sig);
    hand(&d->payer, ev);
    assert_int_equal(duo_pay(d, 1), ERR_RANGE);
    duo_kill(&d->payer);
    assert_int_equal(d->payer.c.paid, 1000);
    assert_int_equal(duo_close(&d->payer, 0), OK);
}

static void payee_one_state_behind_gets_the_highest_again(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 1000);
    assert_int_equal(duo_pay(d, 10), OK);
    assert_int_equal(duo_pay(d, 10), OK);
    duo_disconnect(d); /* both are lost */
    assert_int_equal(d->payee.c.n, 1);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(d->payee.c.n, 3);
    assert_int_equal(d->payee.c.paid, 1020);
    assert_int_equal(d->payer.c.acked_n, 3);
}

/* 15 */
static void openings_outside_the_limits_are_refused(void **state)
{
    static const struct { uint64_t capacity, fee; uint32_t expiry; } cases[] = {
        { 9999, 150, 2000 }, { 100000001, 150, 2000 }, { 1000000, 132, 2000 },
        { 1000000, 1000000, 2000 }, { 1000000, 150, 999 },
        { 1000000, 150, 1000 + 144 + 144 - 1 }, { 1000000, 150, 1000 + 4033 },
        { 1000000, 150, 500000000 },
    };
    struct duo *d = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct paychan_event ev = { .kind = PAYCHAN_EV_OPEN_MSG };
        ev.open = (struct paychan_open_msg){ .type = 1, .capacity = cases[i].capacity,
                                             .close_fee = cases[i].fee,
                                             .expiry = cases[i].expiry };
        memcpy(ev.open.payer_key, d->payer.key.key, EC_PUBKEY_SIZE);
        const struct paychan_result r = hand(&d->payee, ev);
        assert_failed_with(&r, PAYCHAN_BAD_PARAMS);
        assert_int_equal(d->payee.c.state, PAYCHAN_NEW);
    }
}

static void the_same_opening_twice_gets_the_same_answer(void **state)
{
    struct duo *d = *state;
    d->wallet_funds = false;
    duo_connect(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    struct paychan_event ev = d->payee.queue[d->payee.q_first];
    duo_run(d);
    struct paychan_result r = hand(&d->payee, ev);
    assert_int_equal(r.actions[0].what, PAYCHAN_DO_SEND_ACCEPT);
    ev.open.capacity++;
    r = hand(&d->payee, ev);
    assert_failed_with(&r, PAYCHAN_BAD_PARAMS);
    assert_int_equal(d->payee.c.terms.capacity, 1000000);
}

static void accepts_that_are_not_sound_get_no_money(void **state)
{
    static const struct { uint8_t depth; uint16_t margin; uint8_t spoil; } cases[] = {
        { 11, 144, 0 }, { 1, 35, 0 }, { 1, 1009, 0 }, { 1, 857, 0 }, { 1, 144, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        duo_init(&d);
        duo_connect(&d);
        duo_give(&d.payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
        struct paychan_event ev = { .kind = PAYCHAN_EV_ACCEPT_MSG };
        ev.accept.min_depth = cases[i].depth;
        ev.accept.close_margin = cases[i].margin;
        memcpy(ev.accept.payee_key, d.payee.key.key, EC_PUBKEY_SIZE);
        paychan_make_id(ev.accept.id, d.payer.identity.key, d.payee.identity.key,
                        d.payer.c.nonce_a, ev.accept.nonce_b);
        ev.accept.id[0] ^= cases[i].spoil;
        hand(&d.payer, ev);
        assert_true(d.payer.forgotten);
        assert_null(d.funding);
        duo_clear(&d);
    }
    (void)state;
}

/* 17 */
static void another_transaction_that_funds_takes_what_was_paid_along(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    duo_undo(d, 1);
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDING };
    ev.funding.funded = PAYCHAN_REPLACED;
    duo_give(&d->payer, ev);
    duo_give(&d->payee, ev);
    /* The payee takes the new one only when it spends an input of the old. */
    struct paychan_event other = { .kind = PAYCHAN_EV_FUNDED_MSG };
    struct tx_in strange = { .prevout.index = 99 };
    const struct tx elsewhere = { .n_in = 1, .in = &strange };
    other.funded = (struct paychan_funded_msg){ .at.index = 3, .tx = &elsewhere, .genuine = true,
                                                .height = d->view.tip, .unspent = true };
    struct paychan_result r = hand(&d->payee, other);
    assert_failed_with(&r, PAYCHAN_BAD_STATE);
    other.funded.tx = d->funding;
    other.funded.height = 0; /* in no block: the first may still come into one */
    r = hand(&d->payee, other);
    assert_failed_with(&r, PAYCHAN_BAD_STATE);
    other.funded.height = d->view.tip;
    hand(&d->payee, other);
    assert_int_equal(d->payee.c.funding.index, 3);
    assert_true(d->payee.c.unsigned_yet);
    /* Then the same sum, signed for it. */
    struct paychan_event pay = { .kind = PAYCHAN_EV_PAY_MSG };
    pay.pay.n = 1;
    pay.pay.paid = 5000;
    assert_true(paychan_close_sign(pay.pay.sig, &d->payee.c.terms, &d->payee.c.funding,
                                   &(struct paychan_close){ 5000, 150 }, d->payer.key.secret));
    r = hand(&d->payee, pay);
    assert_int_equal(r.record, PAYCHAN_WHOLE);
    assert_false(d->payee.c.unsigned_yet);
    assert_int_equal(d->payee.c.n, 1);
}

/* 19 */
static void closes_that_are_not_sound_leave_the_best_one(void **state)
{
    static const struct { uint64_t paid, fee, sign_fee; enum paychan_fail code; } cases[] = {
        { UINT64_MAX, 150, 150, PAYCHAN_BAD_AMOUNT },
        { 999851, 150, 150, PAYCHAN_BAD_AMOUNT },
        { 4999, 150, 150, PAYCHAN_BAD_AMOUNT },
        { 5000, 132, 132, PAYCHAN_BAD_AMOUNT },
        { 5000, UINT64_MAX, 150, PAYCHAN_BAD_AMOUNT },
        { 5000, 200, 201, PAYCHAN_BAD_SIG },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct duo d;
        duo_init(&d);
        duo_open(&d, 1);
        pay_ok(&d, 5000);
        struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSE_MSG };
        ev.close.close = (struct paychan_close){ cases[i].paid, cases[i].fee };
        assert_true(paychan_close_sign(ev.close.sig, &d.payee.c.terms, &d.payee.c.funding,
                                       &(struct paychan_close){ 5000, cases[i].sign_fee },
                                       d.payer.key.secret));
        const struct paychan_result r = hand(&d.payee, ev);
        assert_int_equal(r.actions[0].what, PAYCHAN_DO_SEND_FAIL);
        assert_int_equal(r.actions[0].fail.code, cases[i].code);
        assert_false(d.payee.c.has_agreed);
        assert_non_null(d.pool_spend); /* the best one, with the agreed fee */
        assert_int_equal(d.pool_spend->out[0].value, 5000);
        assert_int_equal(d.pool_spend->out[1].value, 1000000 - 5000 - 150);
        duo_clear(&d);
    }
}

/* Nothing was paid: nobody else publishes anything. */
static void payer_whose_close_is_refused_is_told_so_once(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(duo_close(&d->payer, 1), OK);
        duo_run(d);
        assert_int_equal(d->payer.last_fail, PAYCHAN_BAD_AMOUNT);
        assert_int_equal(d->payer.c.state, P_CLOSING);
        assert_null(d->pool_spend);
        assert_int_equal(d->payer.alarms, 1);
    }
    assert_int_equal(duo_close(&d->payer, 0), OK);
    duo_run(d);
    duo_mine(d, 1);
    assert_int_equal(d->payer.c.state, P_CLOSED);
    assert_int_equal(d->payer.alarms, 1);
}

static void close_with_another_fee_is_taken(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    assert_int_equal(duo_close(&d->payer, 999), OK);
    duo_run(d);
    assert_int_equal(d->pool_spend->out[1].value, 1000000 - 5000 - 999);
}

static struct paychan_result ask_for_close(struct duo *d, uint64_t paid)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSE_MSG };
    ev.close.close = (struct paychan_close){ paid, 150 };
    assert_true(paychan_close_sign(ev.close.sig, &d->payee.c.terms, &d->payee.c.funding,
                                   &ev.close.close, d->payer.key.secret));
    return hand(&d->payee, ev);
}

static void close_that_pays_less_than_one_before_is_refused(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 5000);
    (void)ask_for_close(d, 9000);
    assert_int_equal(d->payee.c.agreed.paid, 9000);
    d->payee.c.spend = PAYCHAN_UNSPENT; /* as if the pool had dropped it */
    const struct paychan_result r = ask_for_close(d, 5000);
    assert_int_equal(r.actions[0].what, PAYCHAN_DO_SEND_FAIL);
    assert_int_equal(r.actions[0].fail.code, PAYCHAN_BAD_AMOUNT);
    assert_int_equal(d->payee.c.agreed.paid, 9000);
}

/* 20 */
static void payments_in_flight_have_a_limit(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    d->session = false; /* nothing arrives */
    for (int i = 1; i < PAYCHAN_UNACKED_MAX; i++)
        assert_int_equal(duo_pay(d, 1), OK);
    d->payer.c.n++; /* one more than the notes of the test have room for */
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    struct paychan_event ack = { .kind = PAYCHAN_EV_ACK_MSG, .ack = { 10, 10 } };
    hand(&d->payer, ack);
    assert_int_equal(d->payer.c.acked_n, 10);
    ack.ack.n = d->payer.c.n + 1; /* what was never sent cannot be acknowledged */
    hand(&d->payer, ack);
    assert_int_equal(d->payer.c.acked_n, 10);
}

static void payee_takes_no_more_than_the_limit_without_an_ack(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    d->payee.c.in_flight = PAYCHAN_UNACKED_MAX;
    assert_int_equal(duo_pay(d, 1), OK);
    duo_run(d);
    assert_int_equal(d->payer.last_fail, PAYCHAN_LIMIT);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
}

/* 21 */
static void sums_are_limited_until_the_funding_is_deep(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(duo_pay(d, 100001), ERR_BUSY);
    pay_ok(d, 100000);
    duo_mine(d, 5);
    duo_run(d);
    pay_ok(d, 800000);
    assert_int_equal(d->payee.c.paid, 900000);
}

static void unconfirmed_funding_is_taken_when_the_payee_allows_it(void **state)
{
    struct duo *d = *state;
    d->policy.min_depth = 0;
    d->policy.unconfirmed_max = 500;
    duo_open(d, 0);
    assert_int_equal(d->payer.c.state, P_OPEN);
    pay_ok(d, 500);
    assert_int_equal(d->payee.c.paid, 500);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
}

static void a_sum_above_what_is_risked_is_settled_at_once(void **state)
{
    struct duo *d = *state;
    d->policy.unsettled_max = 3000;
    duo_open(d, 1);
    pay_ok(d, 3000);
    assert_int_equal(d->payee.c.state, R_OPEN);
    pay_ok(d, 1);
    assert_int_equal(d->payee.c.state, R_CLOSING);
    assert_int_equal(d->pool_spend->out[0].value, 3001);
}

/* A refund that comes too early is answered by the best close. */
static void spend_that_is_not_ours_makes_the_payee_close(void **state)
{
    struct duo *d = *state;
    struct buf raw;
    duo_open(d, 1);
    pay_ok(d, 5000);
    buf_init(&raw);
    assert_true(paychan_make_refund(&d->payer.c, d->payer.key.secret, &raw));
    struct tx *refund = tx_new(raw.data, raw.len, NULL);
    struct paychan_event ev = { .kind = PAYCHAN_EV_SPEND };
    ev.tx.tx = refund;
    duo_give(&d->payee, ev);
    assert_int_equal(d->payee.c.state, R_CLOSING);
    assert_int_equal(d->payee.c.spend, PAYCHAN_SPENT_REFUND);
    assert_true(d->payee.alarms > 0);
    assert_int_equal(d->pool_spend->out[0].value, 5000);
    tx_unref(refund);
    buf_clear(&raw);
}

static void locked_keys_sign_nothing(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    d->payer.locked = true;
    assert_int_equal(duo_pay(d, 10), ERR_AUTH);
    assert_int_equal(duo_close(&d->payer, 0), ERR_AUTH);
    assert_int_equal(d->payer.c.n, 0);
    assert_int_equal(d->payer.c.state, P_OPEN);
}

static void what_does_not_belong_to_a_role_changes_nothing(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    pay_ok(d, 10);
    for (int kind = PAYCHAN_EV_OPEN_MSG; kind <= PAYCHAN_EV_CLOSED_MSG; kind++) {
        const bool to_payer = kind == PAYCHAN_EV_ACCEPT_MSG || kind == PAYCHAN_EV_READY_MSG ||
                              kind == PAYCHAN_EV_ACK_MSG || kind == PAYCHAN_EV_CLOSED_MSG;
        struct duo_side *wrong = to_payer ? &d->payee : &d->payer;
        const struct paychan before = wrong->c;
        const struct paychan_result r = hand(wrong, (struct paychan_event){ .kind = kind });
        assert_int_equal(r.n, 0);
        assert_memory_equal(&wrong->c, &before, sizeof before);
    }
}

static void records_are_read_back_and_damage_is_seen(void **state)
{
    struct duo *d = *state;
    struct paychan c;
    duo_open(d, 1);
    pay_ok(d, 10);
    struct buf *disk = &d->payee.disk;
    assert_int_equal(paychan_get_whole(&c, buf_span(disk), NULL), OK);
    assert_int_equal(c.n, 1);
    assert_memory_equal(&c.terms, &d->payee.c.terms, sizeof c.terms);
    for (size_t len = 0; len < disk->len; len++)
        assert_int_equal(paychan_get_whole(&c, span_of(disk->data, len), NULL), ERR_CORRUPT);
    disk->data[0] = PAYCHAN_RECORD_VERSION + 1;
    assert_int_equal(paychan_get_whole(&c, buf_span(disk), NULL), ERR_RANGE);
    disk->data[0] = PAYCHAN_RECORD_VERSION;
    disk->data[1] = 3;
    assert_int_equal(paychan_get_whole(&c, buf_span(disk), NULL), ERR_CORRUPT);
    disk->data[1] = PAYCHAN_PAYEE;
    /* Older ones say nothing new; n and sum that go apart are damage. */
    struct buf numbers;
    buf_init(&numbers);
    paychan_put_numbers(&numbers, &d->payee.c);
    c = d->payee.c;
    c.n++;
    c.paid++;
    c.sig[0] ^= 1;
    const struct paychan later = c;
    assert_int_equal(paychan_get_numbers(&c, buf_span(&numbers), NULL), OK);
    assert_memory_equal(&c, &later, sizeof c);
    c.paid -= 2;
    assert_int_equal(paychan_get_numbers(&c, buf_span(&numbers), NULL), ERR_CORRUPT);
    c = d->payee.c;
    c.n--;
    c.paid++;
    assert_int_equal(paychan_get_numbers(&c, buf_span(&numbers), NULL), ERR_CORRUPT);
    buf_clear(&numbers);
}

/* Each counts as the answer to one of ours: they do not answer each other for ever. */
static void chan_syncs_that_cross_come_to_an_end(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    duo_connect(d);
    for (int i = 0; i < 3; i++) { /* refused for a moment, again and again */
        d->payer.c.stopped = PAYCHAN_LIMIT;
        duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
    }
    unsigned delivered = 0;
    while (duo_deliver_one(d) && delivered < 100) {
        d->view.now += 2;
        delivered++;
    }
    assert_true(delivered < 30);
}

static void identifiers_are_those_of_the_specification(void **state)
{
    (void)state;
    const struct person a = person_with(0x11), b = person_with(0x21);
    uint8_t id[32], nonce_a[32], nonce_b[32];
    struct buf want = unhex("97f552069165c2370d3dc3704372e1b1898f0c8b7895c04bd25b72c3c9270c9a");
    memset(nonce_a, 1, 32);
    memset(nonce_b, 2, 32);
    paychan_make_id(id, a.key, b.key, nonce_a, nonce_b);
    assert_memory_equal(id, want.data, 32);
    buf_clear(&want);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(channel_opens_pays_and_is_settled_to_the_satoshi),
        T(payer_takes_back_what_was_not_paid),
        T(locked_wallet_takes_back_when_it_is_unlocked),
        T(nothing_answers_before_the_channel_is_funded),
        T(an_opening_that_nobody_answers_is_given_up),
        T(without_coins_there_is_no_channel),
        T(funding_that_was_made_before_is_taken_however_late),
        T(refund_is_not_sent_again_below_its_height),
        T(late_accept_is_not_funded),
        T(payee_closes_in_time_by_height),
        T(payee_closes_in_time_by_the_clock_when_blocks_stall),
        T(stale_tip_takes_no_payment),
        T(blocks_that_are_missing_are_told_and_their_return_too),
        T(nothing_paid_is_nothing_to_close),
        T(payer_gets_all_back_from_a_channel_that_was_given_up),
        T(payments_that_are_wrong_are_refused_and_change_nothing),
        T(a_number_above_the_sum_is_refused_over_a_gap_too),
        T(gap_in_the_numbers_is_refused_once),
        T(what_comes_of_an_old_session_after_the_sync_is_the_next_one_or_nothing),
        T(a_payer_asks_until_the_payee_says_where_it_stands),
        T(what_the_old_session_still_carries_is_not_sent_again),
        T(what_the_old_session_lost_is_sent_a_moment_after_it_has_ended),
        T(a_payee_that_has_less_than_it_acknowledged_gets_the_highest_state_at_once),
        T(a_payer_that_was_refused_does_not_pay_because_a_session_has_ended),
        T(an_old_session_that_brings_nothing_is_not_waited_for_long),
        T(a_gap_between_two_sessions_ends_with_the_syncs),
        T(numbers_that_were_taken_are_acknowledged_again),
        T(ten_bad_signatures_end_the_session),
        T(funding_that_is_not_as_agreed_is_refused),
        T(a_look_at_the_funding_that_is_older_than_the_watch_changes_nothing),
        T(funding_that_is_accepted_after_all_can_be_paid_from),
        T(wallet_that_funds_something_else_is_refused),
        T(reorganisation_takes_the_close_out_and_it_is_sent_again),
        T(reorganisation_of_any_depth_opens_the_close_again),
        T(close_that_is_not_mined_is_sent_again_as_another_transaction),
        T(funding_that_leaves_the_chain_stops_payments),
        T(capacity_is_used_to_the_last_satoshi),
        T(close_before_any_payment_gives_all_back_at_once),
        T(payer_with_an_old_database_adopts_what_it_has_signed),
        T(state_that_was_never_signed_freezes_the_channel),
        T(payer_adopts_what_it_has_signed_for_another_fee),
        T(payer_that_adopts_more_than_payments_can_have_pays_no_more),
        T(of_two_sums_with_one_number_the_higher_that_was_signed_counts),
        T(ack_of_another_sum_is_none),
        T(refusal_with_a_code_that_we_do_not_know_is_one),
        T(payer_told_of_the_last_number_pays_no_more_and_is_read_back),
        T(payee_one_state_behind_gets_the_highest_again),
        T(openings_outside_the_limits_are_refused),
        T(the_same_opening_twice_gets_the_same_answer),
        T(accepts_that_are_not_sound_get_no_money),
        T(another_transaction_that_funds_takes_what_was_paid_along),
        T(closes_that_are_not_sound_leave_the_best_one),
        T(payer_whose_close_is_refused_is_told_so_once),
        T(close_with_another_fee_is_taken),
        T(close_that_pays_less_than_one_before_is_refused),
        T(payments_in_flight_have_a_limit),
        T(payee_takes_no_more_than_the_limit_without_an_ack),
        T(sums_are_limited_until_the_funding_is_deep),
        T(unconfirmed_funding_is_taken_when_the_payee_allows_it),
        T(a_sum_above_what_is_risked_is_settled_at_once),
        T(spend_that_is_not_ours_makes_the_payee_close),
        T(locked_keys_sign_nothing),
        T(what_does_not_belong_to_a_role_changes_nothing),
        T(records_are_read_back_and_damage_is_seen),
        T(identifiers_are_those_of_the_specification),
        T(chan_syncs_that_cross_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
