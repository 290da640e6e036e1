#include "wallet/paychan_copy.h"

#include <stdlib.h>

#include "tests/wallet/paychan_duo.h"

static int setup(void **state)
{
    struct duo *d = xmalloc(sizeof *d);
    ec_init();
    duo_init(d);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    duo_clear(*state);
    free(*state);
    return 0;
}

static struct buf copy_of(const struct paychan *c)
{
    struct buf b;
    buf_init(&b);
    paychan_put_copy(&b, c);
    assert_int_equal(b.len, PAYCHAN_COPY_SIZE);
    return b;
}

static struct paychan_saved saved_of(const struct duo_side *s)
{
    struct paychan_saved saved = { .role = s->role };
    struct buf copy = copy_of(&s->c);
    memcpy(saved.id, s->c.id, sizeof saved.id);
    memcpy(saved.ours, s->identity.key, sizeof saved.ours);
    memcpy(saved.theirs, s->other->identity.key, sizeof saved.theirs);
    memcpy(saved.copy, copy.data, sizeof saved.copy);
    buf_clear(&copy);
    return saved;
}

static void a_copy_is_read_as_it_was_written(void **state)
{
    struct duo *d = *state;
    struct paychan c = { .role = PAYCHAN_PAYER };
    duo_open(d, 1);
    struct buf b = copy_of(&d->payee.c);
    assert_int_equal(paychan_get_copy(&c, buf_span(&b), NULL), OK);
    assert_memory_equal(&c.terms, &d->payer.c.terms, sizeof c.terms);
    assert_true(outpoint_equal(&c.funding, &d->payer.c.funding));
    assert_memory_equal(c.nonce_a, d->payer.c.nonce_a, 32);
    assert_memory_equal(c.nonce_b, d->payer.c.nonce_b, 32);
    buf_clear(&b);
}

/* Big-endian, at the places that the specification gives. */
static void the_bytes_of_a_copy_are_where_the_specification_has_them(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    const struct paychan *c = &d->payer.c;
    struct buf b = copy_of(c);
    assert_int_equal(b.data[0] << 8 | b.data[1], 1);
    assert_memory_equal(b.data + 2, c->terms.payer_key, 33);
    assert_memory_equal(b.data + 35, c->terms.payee_key, 33);
    assert_int_equal(be32_get(b.data + 68), 2000);
    assert_int_equal(be64_get(b.data + 72), 1000000);
    assert_memory_equal(b.data + 80, c->funding.txid.b, 32);
    assert_int_equal(be32_get(b.data + 112), 0);
    assert_int_equal(be32_get(b.data + 116), 150);
    assert_memory_equal(b.data + 120, c->terms.payer_pkh, 20);
    assert_memory_equal(b.data + 140, c->terms.payee_pkh, 20);
    assert_memory_equal(b.data + 160, c->nonce_a, 32);
    assert_memory_equal(b.data + 192, c->nonce_b, 32);
    buf_clear(&b);
}

static void assert_no_copy(const struct buf *b, size_t at, uint8_t value, size_t len)
{
    struct paychan c = { .role = PAYCHAN_PAYER };
    struct error e = { .code = OK };
    uint8_t bytes[PAYCHAN_COPY_SIZE + 1] = { 0 };
    memcpy(bytes, b->data, PAYCHAN_COPY_SIZE);
    bytes[at] = value;
    assert_int_equal(paychan_get_copy(&c, span_of(bytes, len), &e), ERR_PARSE);
    assert_string_not_equal(e.text, "");
}

static void what_is_no_copy_is_refused(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    struct buf b = copy_of(&d->payer.c);
    assert_no_copy(&b, 1, 2, PAYCHAN_COPY_SIZE);        /* another type */
    assert_no_copy(&b, 2, 4, PAYCHAN_COPY_SIZE);        /* no key */
    assert_no_copy(&b, 68, 0xff, PAYCHAN_COPY_SIZE);    /* an expiry by time */
    assert_no_copy(&b, 72, 0xff, PAYCHAN_COPY_SIZE);    /* more than there is */
    assert_no_copy(&b, 116, 0xff, PAYCHAN_COPY_SIZE);   /* a fee above the capacity */
    assert_no_copy(&b, 0, 0, PAYCHAN_COPY_SIZE - 1);
    assert_no_copy(&b, 0, 0, PAYCHAN_COPY_SIZE + 1);
    buf_clear(&b);
}

static void saved_channels_are_read_as_they_were_written(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    const struct paychan_saved both[2] = { saved_of(&d->payer), saved_of(&d->payee) };
    struct paychan_saved *v;
    struct reader r;
    struct buf b;
    size_t n;
    buf_init(&b);
    buf_put_le32(&b, 2);
    paychan_put_saved(&b, &both[0]);
    paychan_put_saved(&b, &both[1]);
    assert_int_equal(b.len, 4 + 2 * PAYCHAN_SAVED_SIZE);
    reader_init(&r, b.data, b.len);
    assert_int_equal(paychan_get_saved(&r, &v, &n, NULL), OK);
    assert_int_equal(n, 2);
    assert_memory_equal(v, both, sizeof both);
    free(v);
    /* One less than it says, one byte more, a side that is none. */
    reader_init(&r, b.data, b.len - PAYCHAN_SAVED_SIZE);
    assert_int_equal(paychan_get_saved(&r, &v, &n, NULL), ERR_CORRUPT);
    reader_init(&r, b.data, 3);
    assert_int_equal(paychan_get_saved(&r, &v, &n, NULL), ERR_CORRUPT);
    b.data[4 + PAYCHAN_ID_SIZE] = 3;
    reader_init(&r, b.data, b.len);
    assert_int_equal(paychan_get_saved(&r, &v, &n, NULL), ERR_CORRUPT);
    assert_null(v);
    buf_clear(&b);
}

static void an_id_belongs_to_two_identities_and_a_role(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    struct paychan_saved s = saved_of(&d->payee);
    assert_true(paychan_saved_fits(&s, &d->payee.c));
    s.role = PAYCHAN_PAYER;
    assert_false(paychan_saved_fits(&s, &d->payee.c));
    s = saved_of(&d->payer);
    assert_true(paychan_saved_fits(&s, &d->payee.c));
    s.theirs[32] ^= 1;
    assert_false(paychan_saved_fits(&s, &d->payer.c));
}

/* 14: a payer that has nothing but the copy goes on where the payee stands. */
static void a_payer_that_lost_its_database_goes_on(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(duo_pay(d, 1000), OK);
    duo_run(d);
    struct buf b = copy_of(&d->payee.c);
    buf_reset(&d->payer.disk);
    d->payer.c = (struct paychan){ .role = PAYCHAN_PAYER };
    duo_connect(d); /* it says nothing of the channel; the copy comes once, after a while */
    duo_run(d);
    assert_int_equal(d->payer.c.state, PAYCHAN_NEW);
    struct paychan_event tick = { .kind = PAYCHAN_EV_TIP };
    d->view.now += PAYCHAN_SYNC_S - 1;
    duo_give(&d->payee, tick);
    assert_int_equal(d->payee.last.n, 0);
    d->view.now -= 3600; /* the clock was set back: nobody knows how long it has been */
    duo_give(&d->payee, tick);
    assert_true(d->payee.last.n == 1 && d->payee.last.actions[0].sync.copy);
    duo_give(&d->payee, tick);
    assert_int_equal(d->payee.last.n, 0);
    duo_run(d);
    /* What the node does with it. */
    assert_int_equal(paychan_get_copy(&d->payer.c, buf_span(&b), NULL), OK);
    memcpy(d->payer.c.id, d->payee.c.id, sizeof d->payer.c.id);
    d->payer.c.funded = PAYCHAN_CONFIRMED;
    d->payer.c.funding_height = d->funding_height;
    d->payer.c.refund_fee = 320;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_RESTORE });
    assert_int_equal(duo_pay(d, 1), ERR_RANGE); /* not before the payee was heard */
    duo_run(d);
    assert_int_equal(d->payer.c.state, P_OPEN);
    assert_int_equal(d->payer.c.n, 3);
    assert_int_equal(d->payer.c.paid, 3000);
    assert_int_equal(duo_pay(d, 500), OK);
    duo_run(d);
    assert_int_equal(d->payee.c.paid, 3500);
    buf_clear(&b);
}

/* The payee's nonce gives its key back, the payer's last state the rest. */
static void a_payee_that_lost_its_database_gets_the_last_sum_again(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    for (uint64_t n = 0; n < 3; n++)
        assert_int_equal(duo_pay(d, 1000), OK);
    duo_run(d);
    struct buf b = copy_of(&d->payer.c);
    buf_reset(&d->payee.disk);
    d->payee.c = (struct paychan){ .role = PAYCHAN_PAYEE };
    duo_connect(d);
    duo_run(d);
    const struct paychan_event unknown = { .kind = PAYCHAN_EV_FAIL_MSG,
                                           .fail = { PAYCHAN_UNKNOWN, "no such channel", false } };
    duo_give(&d->payer, unknown);
    assert_true(d->payer.last.n == 1 && d->payer.last.actions[0].sync.copy);
    assert_int_equal(d->payer.alarms, 0);
    assert_int_equal(duo_pay(d, 1), ERR_BUSY);
    assert_int_equal(paychan_get_copy(&d->payee.c, buf_span(&b), NULL), OK);
    memcpy(d->payee.c.id, d->payer.c.id, sizeof d->payee.c.id);
    d->payee.c.funded = PAYCHAN_CONFIRMED;
    d->payee.c.funding_height = d->funding_height;
    d->payee.c.min_depth = 1;
    d->payee.c.close_margin = 144;
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_RESTORE });
    duo_run(d);
    assert_int_equal(d->payee.c.state, R_OPEN);
    assert_int_equal(d->payee.c.paid, 3000);
    assert_int_equal(duo_pay(d, 500), OK);
    duo_run(d);
    assert_int_equal(d->payee.c.paid, 3500);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    assert_int_equal(d->pool_spend->out[0].value, 3500);
    /* Asked a second time in a session, the user is told. */
    duo_give(&d->payer, unknown);
    assert_int_equal(d->payer.alarms, 1);
    buf_clear(&b);
}

/* 22: what an old database says of the funding counts once the chain was asked. */
static void after_a_start_nothing_is_taken_before_the_output_was_seen(void **state)
{
    struct duo *d = *state;
    duo_open(d, 6);
    assert_int_equal(duo_pay(d, 1000), OK);
    duo_run(d);
    d->funding_sent = false; /* the chain is not asked yet */
    duo_kill(&d->payee);
    duo_connect(d);
    duo_run(d);
    assert_int_equal(duo_pay(d, 500), ERR_BUSY);
    struct paychan_event seen = { .kind = PAYCHAN_EV_FUNDING };
    seen.funding.funded = PAYCHAN_CONFIRMED;
    seen.funding.height = d->funding_height;
    duo_give(&d->payee, seen);
    duo_run(d);
    assert_int_equal(duo_pay(d, 500), OK);
    duo_run(d);
    assert_int_equal(d->payee.c.paid, 1500);
}

/* 17, both sides: the same outputs under another id, after payments. */
static void a_replaced_funding_takes_the_payments_along_on_both_sides(void **state)
{
    struct duo *d = *state;
    duo_open(d, 1);
    assert_int_equal(duo_pay(d, 5000), OK);
    duo_run(d);
    struct paychan_event gone = { .kind = PAYCHAN_EV_FUNDING };
    gone.funding.funded = PAYCHAN_REPLACED;
    duo_give(&d->payer, gone);
    duo_give(&d->payee, gone);
    struct tx other = *d->funding;
    other.id.b[0] ^= 1;
    struct paychan_event fund = { .kind = PAYCHAN_EV_FUND };
    fund.tx.tx = &other;
    fund.tx.height = d->funding_height;
    d->payer.locked = true; /* it waits for the key, and nothing changes */
    duo_give(&d->payer, fund);
    assert_int_equal(d->payer.last.refused, ERR_AUTH);
    assert_true(txid_equal(&d->payer.c.funding.txid, &d->funding->id));
    d->payer.locked = false;
    duo_give(&d->payer, fund);
    duo_disconnect(d); /* lost on the way, and both begin again from their disks */
    duo_kill(&d->payer);
    duo_kill(&d->payee);
    duo_connect(d);
    duo_run(d);
    assert_true(txid_equal(&d->payee.c.funding.txid, &other.id));
    assert_false(d->payee.c.unsigned_yet);
    assert_int_equal(d->payee.c.n, 1);
    assert_int_equal(d->payee.c.paid, 5000);
    assert_int_equal(duo_pay(d, 500), OK);
    duo_run(d);
    assert_int_equal(d->payee.c.paid, 5500);
    assert_int_equal(duo_close(&d->payee, 0), OK);
    assert_memory_equal(d->pool_spend->in[0].prevout.txid.b, other.id.b, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_is_read_as_it_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_bytes_of_a_copy_are_where_the_specification_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_copy_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(saved_channels_are_read_as_they_were_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_belongs_to_two_identities_and_a_role, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_payer_that_lost_its_database_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payee_that_lost_its_database_gets_the_last_sum_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            after_a_start_nothing_is_taken_before_the_output_was_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_replaced_funding_takes_the_payments_along_on_both_sides, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
