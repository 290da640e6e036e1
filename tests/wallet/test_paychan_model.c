/* Whatever is killed whenever: nobody loses what is on disk. */
#include "tests/wallet/paychan_duo.h"

#include <stdlib.h>

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A kill now, and the other side gone for good: the payee closes alone, and gets what it has
 * served and acknowledged for. */
static void check_closable(const struct duo *d)
{
    const struct duo_side *s = &d->payee;
    struct paychan c;
    struct paychan_close close;
    struct buf raw;
    buf_init(&raw);
    if (s->disk.len && !s->forgotten) {
        assert_int_equal(paychan_get_whole(&c, buf_span(&s->disk), NULL), OK);
        if (c.n > 0) {
            assert_true(paychan_make_close(&c, s->key.secret, &raw));
            struct tx *tx = tx_new(raw.data, raw.len, NULL);
            assert_non_null(tx);
            assert_true(paychan_read_close(tx, &c.terms, &c.funding, &close));
            assert_true(paychan_close_verify(c.has_agreed ? c.agreed_sig : c.sig, &c.terms,
                                             &c.funding, &close));
            assert_true(close.paid >= s->served && close.paid >= d->payer.c.acked_paid);
            assert_true(close.paid <= d->highest_signed);
            uint64_t out = 0;
            for (size_t i = 0; i < tx->n_out; i++)
                out += (uint64_t)tx->out[i].value;
            assert_int_equal(out, c.terms.capacity - close.fee);
            tx_unref(tx);
        }
    }
    buf_clear(&raw);
}

/* What must hold at any time. */
static void check(const struct duo *d)
{
    const struct paychan *a = &d->payer.c, *b = &d->payee.c;
    assert_true(b->paid <= d->highest_signed);
    assert_true(d->payee.served <= b->paid || d->payee.forgotten);
    if (a->state >= P_FUNDED && a->state <= P_OPEN)
        assert_true(a->paid >= d->highest_signed);
    assert_true(a->acked_paid <= b->paid || d->payee.forgotten);
    assert_true(a->paid + a->terms.close_fee <= d->capacity);
}

static void one_move(struct duo *d, uint32_t *seed)
{
    switch (next(seed) % 16) {
    case 0: duo_disconnect(d); break;
    case 1: duo_connect(d); break;
    case 2: duo_mine(d, 1 + next(seed) % 3); break;
    case 3: duo_kill(next(seed) % 2 ? &d->payer : &d->payee); break;
    case 4: d->crash_in = 1 + next(seed) % 12; break;
    default:
        if (duo_pay(d, 1 + next(seed) % 500) == OK && next(seed) % 3)
            duo_deliver(d);
    }
    if (next(seed) % 2)
        duo_run(d);
    check(d);
    if (next(seed) % 8 == 0)
        check_closable(d);
}

/* Whatever happened: with both there again, the next payment arrives without anybody's help. */
static void check_goes_on(struct duo *d)
{
    const struct paychan_event second = { .kind = PAYCHAN_EV_TIP };
    if (d->payer.c.state != P_OPEN || d->payee.c.state != R_OPEN)
        return;
    d->view.now += PAYCHAN_SYNC_S;
    duo_give(&d->payer, second);
    duo_give(&d->payee, second);
    duo_run(d);
    assert_int_equal(duo_pay(d, 1), OK);
    duo_run(d);
    assert_int_equal(d->payer.c.acked_paid, d->payer.c.paid);
}

/* Both are there again, and close. */
static void settle(struct duo *d, bool payee_closes)
{
    d->crash_in = 0;
    duo_connect(d);
    duo_run(d);
    check_goes_on(d);
    duo_mine(d, 1);
    duo_run(d);
    const uint64_t paid = d->payee.c.paid;
    const struct paychan_terms terms = d->payer.c.terms;
    const struct outpoint funding = d->payer.c.funding;
    if (d->payer.c.state == P_OPEN) {
        assert_int_equal(duo_close(payee_closes && paid ? &d->payee : &d->payer, 0), OK);
        duo_run(d);
    }
    duo_mine(d, d->expiry - d->view.tip + 8);
    assert_non_null(d->chain_spend);
    const struct tx *tx = d->chain_spend;
    uint64_t out = 0;
    for (size_t i = 0; i < tx->n_out; i++)
        out += (uint64_t)tx->out[i].value;
    assert_true(out < d->capacity);
    /* The payee has all that it served for. */
    struct paychan_close close = { 0, 0 };
    if (paid) {
        assert_true(paychan_read_close(tx, &terms, &funding, &close));
        assert_true(close.paid >= paid);
    }
    assert_true(close.paid <= d->highest_signed);
    assert_true(close.paid >= d->payee.served);
}

/* After a kill while it was opened. */
static void open_again(struct duo *d)
{
    if (d->payer.c.state == PAYCHAN_NEW)
        duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    duo_connect(d);
    duo_run(d);
    duo_mine(d, 1);
    duo_run(d);
}

static void run_once(uint32_t seed, bool lazy)
{
    struct duo d;
    duo_init(&d);
    d.lazy = lazy;
    d.crash_in = next(&seed) % 20;
    duo_open(&d, 1 + next(&seed) % 8);
    while (d.payer.c.state != P_OPEN)
        open_again(&d);
    for (int i = 0; i < 60; i++)
        one_move(&d, &seed);
    settle(&d, next(&seed) % 2);
    duo_clear(&d);
}

static void kills_at_random_lose_nothing(void **state)
{
    (void)state;
    const uint32_t runs = getenv("BSVPEER_LONG") ? 20000 : 200;
    for (uint32_t seed = 1; seed <= runs; seed++)
        run_once(seed, seed % 2);
}

/* One payment and one close, with a kill at each point on either side. */
static void kill_at_every_point_loses_nothing(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 240; at++) {
        struct duo d;
        duo_init(&d);
        d.crash_in = 1 + at / 2;
        d.lazy = at % 2;
        duo_open(&d, 1);
        for (int i = 0; i < 8 && d.payer.c.state != P_OPEN; i++)
            open_again(&d);
        assert_int_equal(d.payer.c.state, P_OPEN);
        for (int i = 0; i < 5; i++) {
            if (!d.session)
                duo_connect(&d);
            for (int in_flight = 0; in_flight < 3 && duo_pay(&d, 100) == OK; in_flight++)
                duo_deliver(&d);
            duo_run(&d);
            check(&d);
            check_closable(&d);
        }
        settle(&d, at / 2 % 2);
        duo_clear(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_at_every_point_loses_nothing),
        cmocka_unit_test(kills_at_random_lose_nothing),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
