#include "wallet/paychan_help.h"

#include <stdlib.h>

#include "tests/wallet/paychan_duo.h"

/* A state of a payee with its close. */
struct given {
    struct duo d;
    struct paychan_help help;
    struct buf tx, body;
};

static int setup(void **state)
{
    struct given *g = xcalloc(1, sizeof *g);
    struct buf copy;
    ec_init();
    duo_init(&g->d);
    duo_open(&g->d, 6);
    assert_int_equal(duo_pay(&g->d, 5000), OK);
    duo_run(&g->d);
    const struct paychan *c = &g->d.payee.c;
    buf_init(&copy);
    buf_init(&g->tx);
    buf_init(&g->body);
    paychan_put_copy(&copy, c);
    assert_true(paychan_make_close(c, g->d.payee.key.secret, &g->tx));
    g->help = (struct paychan_help){ .role = PAYCHAN_PAYEE, .n = c->n, .paid = c->paid,
                                     .close_fee = c->terms.close_fee, .tx = buf_span(&g->tx) };
    memcpy(g->help.id, c->id, sizeof g->help.id);
    memcpy(g->help.copy, copy.data, sizeof g->help.copy);
    memcpy(g->help.sig, c->sig, sizeof g->help.sig);
    paychan_put_help(&g->body, &g->help);
    buf_clear(&copy);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct given *g = *state;
    duo_clear(&g->d);
    buf_clear(&g->tx);
    buf_clear(&g->body);
    free(g);
    return 0;
}

static void a_state_is_read_as_it_was_written(void **state)
{
    struct given *g = *state;
    struct paychan_help back;
    struct paychan c = { .n = 0 };
    struct tx *tx;
    assert_int_equal(g->body.len, 32 + 1 + 224 + 8 + 8 + 4 + 64 + 2 + g->tx.len);
    assert_int_equal(paychan_get_help(&back, buf_span(&g->body), NULL), OK);
    assert_false(paychan_help_asks(&back));
    assert_int_equal(back.paid, 5000);
    assert_memory_equal(back.id, g->d.payee.c.id, 32);
    assert_int_equal(paychan_check_help(&back, &c, &tx, NULL), OK);
    assert_int_equal(tx->out[0].value, 5000);
    assert_memory_equal(&c.terms, &g->d.payee.c.terms, sizeof c.terms);
    tx_unref(tx);
    for (size_t cut = 0; cut < g->body.len; cut++)
        assert_int_equal(paychan_get_help(&back, span_of(g->body.data, cut), NULL), ERR_PARSE);
}

static void what_is_said_has_to_fit_the_close(void **state)
{
    struct given *g = *state;
    struct error e = { .code = OK };
    struct paychan c = { .n = 0 };
    struct tx *tx;
    struct paychan_help h = g->help;
    h.paid++;
    assert_int_equal(paychan_check_help(&h, &c, &tx, &e), ERR_PARSE);
    h = g->help;
    h.sig[5] ^= 1;
    assert_int_equal(paychan_check_help(&h, &c, &tx, &e), ERR_PARSE);
    h = g->help;
    h.copy[80] ^= 1; /* another output */
    assert_int_equal(paychan_check_help(&h, &c, &tx, &e), ERR_PARSE);
    h = g->help;
    h.tx.len--;
    assert_int_equal(paychan_check_help(&h, &c, &tx, &e), ERR_PARSE);
    assert_null(tx);
}

static void a_payer_gives_no_close_and_asks_with_zeros(void **state)
{
    struct given *g = *state;
    struct paychan_help h = g->help, back;
    struct paychan c = { .n = 0 };
    struct tx *tx;
    struct buf b;
    buf_init(&b);
    h.role = PAYCHAN_PAYER;
    paychan_put_help(&b, &h);
    assert_int_equal(paychan_get_help(&back, buf_span(&b), NULL), ERR_PARSE);
    h.tx = span_of(NULL, 0);
    buf_reset(&b);
    paychan_put_help(&b, &h);
    assert_int_equal(paychan_get_help(&back, buf_span(&b), NULL), OK);
    assert_int_equal(paychan_check_help(&back, &c, &tx, NULL), OK);
    assert_null(tx);
    assert_false(paychan_help_asks(&back));
    back.n = 0;
    assert_true(paychan_help_asks(&back));
    buf_clear(&b);
}

/* A payee that lost its data and has this back closes with all of it. */
static void what_was_kept_is_taken_back_by_the_payee(void **state)
{
    struct given *g = *state;
    struct paychan_event ev = { .kind = PAYCHAN_EV_KEPT };
    struct paychan *c = &g->d.payee.c;
    ev.pay = (struct paychan_pay_msg){ .n = 1, .paid = 5000 };
    memcpy(ev.pay.sig, c->sig, sizeof ev.pay.sig);
    c->n = c->paid = 0;
    ev.pay.sig[3] ^= 1;
    duo_give(&g->d.payee, ev);
    assert_int_equal(c->n, 0);
    ev.pay.sig[3] ^= 1;
    duo_give(&g->d.payee, ev);
    assert_int_equal(c->n, 1);
    assert_int_equal(g->d.payee.last.record, PAYCHAN_WHOLE);
    ev.pay.n = 0;
    ev.pay.paid = 4000; /* older */
    duo_give(&g->d.payee, ev);
    assert_int_equal(c->paid, 5000);
    assert_int_equal(duo_close(&g->d.payee, 0), OK);
    assert_int_equal(g->d.pool_spend->out[0].value, 5000);
}

/* No signature covers n: with the last number there would be none for the next payment. */
static void a_number_that_no_payment_can_have_is_not_taken_back(void **state)
{
    struct given *g = *state;
    struct duo *d = &g->d;
    struct paychan_event ev = { .kind = PAYCHAN_EV_KEPT };
    struct paychan *c = &d->payee.c;
    const uint64_t wrong[] = { UINT64_MAX, UINT64_MAX - 1, 5001 };
    ev.pay = (struct paychan_pay_msg){ .paid = 5000 };
    memcpy(ev.pay.sig, c->sig, sizeof ev.pay.sig);
    c->n = c->paid = 0;
    for (size_t i = 0; i < 3; i++) {
        ev.pay.n = wrong[i];
        duo_give(&d->payee, ev);
        assert_int_equal(c->n, 0);
        assert_int_equal(d->payee.last.record, PAYCHAN_KEEP);
    }
    ev.pay.n = 4000; /* more than there were, and it goes on all the same */
    duo_give(&d->payee, ev);
    assert_int_equal(c->n, 4000);
    duo_disconnect(d);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(d->payer.c.n, 4000);
    assert_int_equal(duo_pay(d, 10), OK);
    duo_run(d);
    assert_int_equal(c->paid, 5010);
    assert_int_equal(d->payer.c.acked_paid, 5010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_state_is_read_as_it_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_said_has_to_fit_the_close, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payer_gives_no_close_and_asks_with_zeros, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_kept_is_taken_back_by_the_payee, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_that_no_payment_can_have_is_not_taken_back, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
