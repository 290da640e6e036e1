#include "tests/wallet/paychan_duo.h"

#include <stdlib.h>

#include "base/hash.h"

/* --- setting up --- */

static void side_init(struct duo *d, struct duo_side *s, enum paychan_role role, uint8_t byte)
{
    s->duo = d;
    s->role = role;
    s->c.role = role;
    s->identity = person_with(byte);
    s->key = person_with((uint8_t)(byte + 1));
    const struct person payout = person_with((uint8_t)(byte + 2));
    hash160(s->pkh, payout.key, sizeof payout.key);
    memset(s->nonce, byte, sizeof s->nonce);
    buf_init(&s->disk);
}

void duo_init(struct duo *d)
{
    *d = (struct duo){ .view = { .tip = 1000, .tip_time = 1790000000, .now = 1790000000,
                                 .synced = true },
                       .policy = { .capacity_min = 10000, .capacity_max = 100000000,
                                   .close_margin = 144, .min_depth = 1, .shallow_max = 100000,
                                   .close_fee_min = 133 },
                       .capacity = 1000000, .close_fee = 150, .refund_fee = 320,
                       .expiry = 2000, .wallet_funds = true };
    side_init(d, &d->payer, PAYCHAN_PAYER, 0x31);
    side_init(d, &d->payee, PAYCHAN_PAYEE, 0x41);
    d->payer.other = &d->payee;
    d->payee.other = &d->payer;
}

static void drop_queue(struct duo_side *s)
{
    while (s->q_len) {
        tx_unref(s->queue_tx[s->q_first]);
        s->q_first = (s->q_first + 1) % DUO_QUEUE;
        s->q_len--;
    }
}

static void lose_waiting(struct duo_side *s)
{
    for (size_t i = 0; i < s->n_waiting; i++)
        buf_clear(&s->waiting[i].record);
    s->n_waiting = 0;
    s->flushing = false;
}

void duo_clear(struct duo *d)
{
    lose_waiting(&d->payer);
    lose_waiting(&d->payee);
    drop_queue(&d->payer);
    drop_queue(&d->payee);
    buf_clear(&d->payer.disk);
    buf_clear(&d->payee.disk);
    tx_unref(d->funding);
    tx_unref(d->pool_spend);
    tx_unref(d->chain_spend);
}

/* --- what actions mean --- */

static void send(struct duo_side *from, struct paychan_event ev, struct tx *tx)
{
    struct duo_side *to = from->other;
    if (!from->duo->session) {
        tx_unref(tx);
        return;
    }
    assert_true(to->q_len < DUO_QUEUE);
    const size_t i = (to->q_first + to->q_len++) % DUO_QUEUE;
    to->queue[i] = ev;
    to->queue_tx[i] = tx;
}

static struct paychan_event open_message(const struct duo_side *s)
{
    const struct paychan *c = &s->c;
    struct paychan_event ev = { .kind = PAYCHAN_EV_OPEN_MSG };
    ev.open = (struct paychan_open_msg){ .type = 1, .capacity = c->terms.capacity,
                                         .expiry = c->terms.expiry,
                                         .close_fee = c->terms.close_fee };
    memcpy(ev.open.nonce_a, c->nonce_a, 32);
    memcpy(ev.open.payer_key, c->terms.payer_key, EC_PUBKEY_SIZE);
    memcpy(ev.open.payer_pkh, c->terms.payer_pkh, PAYCHAN_PKH_SIZE);
    return ev;
}

static struct paychan_event accept_message(const struct duo_side *s)
{
    const struct paychan *c = &s->c;
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACCEPT_MSG };
    ev.accept = (struct paychan_accept_msg){ .min_depth = c->min_depth,
                                             .close_margin = c->close_margin };
    memcpy(ev.accept.id, c->id, sizeof c->id);
    memcpy(ev.accept.nonce_b, c->nonce_b, 32);
    memcpy(ev.accept.payee_key, c->terms.payee_key, EC_PUBKEY_SIZE);
    memcpy(ev.accept.payee_pkh, c->terms.payee_pkh, PAYCHAN_PKH_SIZE);
    return ev;
}

static struct paychan_event funded_message(const struct duo_side *s)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDED_MSG };
    ev.funded = (struct paychan_funded_msg){ .at = s->c.funding, .tx = s->duo->funding,
                                             .genuine = true,
                                             .height = s->duo->funding_height,
                                             .unspent = !s->duo->chain_spend };
    return ev;
}

static struct tx *parse(const struct buf *raw)
{
    struct tx *tx = tx_new(raw->data, raw->len, NULL);
    assert_non_null(tx);
    return tx;
}

static struct tx *make_close(const struct duo_side *s)
{
    struct buf raw;
    buf_init(&raw);
    assert_true(paychan_make_close(&s->c, s->key.secret, &raw));
    struct tx *tx = parse(&raw);
    buf_clear(&raw);
    return tx;
}

static void into_pool(struct duo *d, struct tx *tx)
{
    if (d->pool_spend || d->chain_spend)
        tx_unref(tx); /* first seen */
    else
        d->pool_spend = tx;
}

static void broadcast_refund(struct duo_side *s)
{
    struct buf raw;
    assert_true(s->duo->view.tip >= s->c.terms.expiry);
    buf_init(&raw);
    assert_true(paychan_make_refund(&s->c, s->key.secret, &raw));
    into_pool(s->duo, parse(&raw));
    buf_clear(&raw);
}

/* One output, the lock; another salt, another id. */
static struct tx *make_funding(const struct duo_side *s, uint32_t salt)
{
    struct buf lock, raw;
    struct tx_in in = { .prevout.index = salt, .sequence = TX_SEQUENCE_FINAL };
    buf_init(&lock);
    buf_init(&raw);
    paychan_put_lock(&lock, &s->c.terms);
    struct tx_out out = { (int64_t)s->c.terms.capacity, buf_span(&lock) };
    const struct tx tx = { .version = 1, .n_in = 1, .n_out = 1, .in = &in, .out = &out };
    tx_write(&raw, &tx);
    struct tx *made = parse(&raw);
    buf_clear(&lock);
    buf_clear(&raw);
    return made;
}

static void fund(struct duo_side *s)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUND };
    if (!s->duo->wallet_funds)
        return;
    ev.tx.tx = duo_make_funding(s->duo);
    duo_give(s, ev);
}

const struct tx *duo_make_funding(struct duo *d)
{
    if (!d->funding)
        d->funding = make_funding(&d->payer, 7);
    return d->funding;
}

static void note_signed(struct duo *d, const struct paychan_pay_msg *m)
{
    assert_true(m->n < DUO_SUMS);
    /* No number is signed twice with another sum. */
    assert_true(d->signed_paid[m->n] == 0 || d->signed_paid[m->n] == m->paid);
    assert_true(m->n == 0 || m->paid > d->signed_paid[m->n - 1]);
    d->signed_paid[m->n] = m->paid;
    if (m->paid > d->highest_signed)
        d->highest_signed = m->paid;
}

static void acknowledge(struct duo_side *s, const struct paychan_ack_msg *m)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_ACK_MSG, .ack = *m };
    struct paychan on_disk;
    assert_int_equal(paychan_get_whole(&on_disk, buf_span(&s->disk), NULL), OK);
    assert_true(on_disk.paid >= m->paid); /* what is acknowledged is on disk */
    send(s, ev, NULL);
    duo_give(s, (struct paychan_event){ .kind = PAYCHAN_EV_ACKED, .ack = *m });
}

static void send_ready(struct duo_side *s, const struct paychan_action *a)
{
    send(s, (struct paychan_event){ .kind = PAYCHAN_EV_READY_MSG, .ready = a->ready }, NULL);
}

static void send_pay(struct duo_side *s, const struct paychan_action *a)
{
    note_signed(s->duo, &a->pay);
    send(s, (struct paychan_event){ .kind = PAYCHAN_EV_PAY_MSG, .pay = a->pay }, NULL);
}

static void send_close(struct duo_side *s, const struct paychan_action *a)
{
    send(s, (struct paychan_event){ .kind = PAYCHAN_EV_CLOSE_MSG, .close = a->close }, NULL);
}

static void send_sync(struct duo_side *s, const struct paychan_action *a)
{
    send(s, (struct paychan_event){ .kind = PAYCHAN_EV_SYNC_MSG, .sync = a->sync }, NULL);
}

static void send_fail(struct duo_side *s, const struct paychan_action *a)
{
    send(s, (struct paychan_event){ .kind = PAYCHAN_EV_FAIL_MSG, .fail = a->fail }, NULL);
}

static void send_open(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    send(s, open_message(s), NULL);
}

static void send_accept(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    send(s, accept_message(s), NULL);
}

static void send_funded(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    send(s, funded_message(s), NULL);
}

static void send_ack(struct duo_side *s, const struct paychan_action *a)
{
    acknowledge(s, &a->ack);
}

static void send_closed(struct duo_side *s, const struct paychan_action *a)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSED_MSG };
    (void)a;
    ev.tx.tx = make_close(s);
    send(s, ev, (struct tx *)ev.tx.tx);
}

static void broadcast_close(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    into_pool(s->duo, make_close(s));
}

static void refund(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    broadcast_refund(s);
}

static void do_fund(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    fund(s);
}

static void send_funding(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    s->duo->funding_sent = true;
}

static void end_session(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    s->session_ended = true;
}

static void serve(struct duo_side *s, const struct paychan_action *a) { s->served = a->pay.paid; }

static void alarm_user(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    s->alarms++;
}

static void watch(struct duo_side *s, const struct paychan_action *a)
{
    (void)s;
    (void)a;
}

static void forget(struct duo_side *s, const struct paychan_action *a)
{
    (void)a;
    s->forgotten = true;
    buf_reset(&s->disk);
    s->c = (struct paychan){ .role = s->role };
}

static void perform(struct duo_side *s, const struct paychan_action *a)
{
    static void (*const how[])(struct duo_side *s, const struct paychan_action *a) = {
        [PAYCHAN_DO_SEND_OPEN] = send_open,
        [PAYCHAN_DO_SEND_ACCEPT] = send_accept,
        [PAYCHAN_DO_SEND_FUNDED] = send_funded,
        [PAYCHAN_DO_SEND_READY] = send_ready,
        [PAYCHAN_DO_SEND_PAY] = send_pay,
        [PAYCHAN_DO_SEND_ACK] = send_ack,
        [PAYCHAN_DO_SEND_CLOSE] = send_close,
        [PAYCHAN_DO_SEND_CLOSED] = send_closed,
        [PAYCHAN_DO_SEND_SYNC] = send_sync,
        [PAYCHAN_DO_SEND_FAIL] = send_fail,
        [PAYCHAN_DO_END_SESSION] = end_session,
        [PAYCHAN_DO_FUND] = do_fund,
        [PAYCHAN_DO_SEND_FUNDING] = send_funding,
        [PAYCHAN_DO_WATCH] = watch,
        [PAYCHAN_DO_BROADCAST_CLOSE] = broadcast_close,
        [PAYCHAN_DO_BROADCAST_REFUND] = refund,
        [PAYCHAN_DO_SERVE] = serve,
        [PAYCHAN_DO_FORGET] = forget,
        [PAYCHAN_DO_ALARM] = alarm_user,
    };
    how[a->what](s, a);
}

/* --- steps, with the chance to be killed between any two of them --- */

static void make_record(struct duo_side *s, enum paychan_record_kind kind, struct buf *out)
{
    if (kind == PAYCHAN_WHOLE)
        paychan_put_whole(out, &s->c);
    else if (kind == PAYCHAN_NUMBERS)
        paychan_put_numbers(out, &s->c);
}

static void write_record(struct duo_side *s, enum paychan_record_kind kind, struct span record)
{
    struct paychan c;
    if (kind == PAYCHAN_KEEP)
        return;
    if (kind == PAYCHAN_NUMBERS) {
        assert_int_equal(paychan_get_whole(&c, buf_span(&s->disk), NULL), OK);
        assert_int_equal(paychan_get_numbers(&c, record, NULL), OK);
    }
    buf_reset(&s->disk);
    if (kind == PAYCHAN_NUMBERS)
        paychan_put_whole(&s->disk, &c);
    else
        buf_put(&s->disk, record.data, record.len);
}

static struct paychan_event funding_event(const struct duo *d)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_FUNDING };
    ev.funding.funded = d->funding_height ? PAYCHAN_CONFIRMED : PAYCHAN_UNCONFIRMED;
    ev.funding.height = d->funding_height;
    return ev;
}

/* True: killed. */
static bool may_crash(struct duo_side *s)
{
    struct duo *d = s->duo;
    if (d->crash_in == 0 || --d->crash_in)
        return false;
    duo_kill(s);
    return true;
}

/* False: killed. */
static bool perform_all(struct duo_side *s, const struct paychan_result *r)
{
    const unsigned before = s->duo->crashes;
    for (size_t i = 0; i < r->n; i++) {
        if (may_crash(s))
            return false;
        perform(s, &r->actions[i]);
        if (s->duo->crashes != before)
            return false;
    }
    return true;
}

static void take_first(struct duo_side *s, struct duo_waiting *out)
{
    assert_true(s->n_waiting < DUO_WAITING);
    *out = s->waiting[0];
    s->n_waiting--;
    memmove(s->waiting, s->waiting + 1, s->n_waiting * sizeof *out);
    buf_init(&s->waiting[s->n_waiting].record);
}

/* In order; what it leads to is written with it, or next. False: there was nothing. */
static bool flush(struct duo_side *s)
{
    if (!s->n_waiting || s->flushing)
        return false;
    const unsigned before = s->duo->crashes;
    s->flushing = true;
    while (s->n_waiting && s->duo->crashes == before) {
        struct duo_waiting w;
        take_first(s, &w);
        write_record(s, w.said.record, buf_span(&w.record));
        (void)perform_all(s, &w.said);
        buf_clear(&w.record);
    }
    if (s->duo->crashes == before)
        s->flushing = false;
    return true;
}

void duo_give(struct duo_side *s, struct paychan_event ev)
{
    struct duo *d = s->duo;
    struct paychan_own own = { .capacity = d->capacity, .close_fee = d->close_fee,
                               .refund_fee = d->refund_fee, .expiry = d->expiry };
    memcpy(own.our_identity, s->identity.key, EC_PUBKEY_SIZE);
    memcpy(own.their_identity, s->other->identity.key, EC_PUBKEY_SIZE);
    memcpy(own.nonce, s->nonce, 32);
    memcpy(own.key, s->key.key, EC_PUBKEY_SIZE);
    memcpy(own.pkh, s->pkh, PAYCHAN_PKH_SIZE);
    ev.view = d->view;
    ev.policy = &d->policy;
    ev.own = &own;
    ev.secret = s->locked ? NULL : s->key.secret;
    if (ev.kind == PAYCHAN_EV_FAIL_MSG) {
        s->refused_msgs++;
        s->last_fail = (enum paychan_fail)ev.fail.code;
    }
    struct paychan_result r;
    paychan_step(&s->c, &ev, &r);
    s->last = r;
    if (may_crash(s))
        return;
    struct duo_waiting *w = &s->waiting[s->n_waiting++];
    w->said = r;
    make_record(s, r.record, &w->record);
    if (!d->lazy || (s->n_waiting == 1 && r.record == PAYCHAN_KEEP) ||
        s->n_waiting == DUO_WAITING / 2)
        (void)flush(s);
    s->last = r;
}

void duo_kill(struct duo_side *s)
{
    s->duo->crashes++;
    lose_waiting(s);
    s->c = (struct paychan){ .role = s->role };
    if (s->disk.len)
        assert_int_equal(paychan_get_whole(&s->c, buf_span(&s->disk), NULL), OK);
    duo_disconnect(s->duo);
    if (!s->disk.len)
        return;
    duo_give(s, (struct paychan_event){ .kind = PAYCHAN_EV_START });
    if (s->duo->funding_sent)
        duo_give(s, funding_event(s->duo)); /* the first look at the chain */
}

static bool deliver_one(struct duo_side *s)
{
    if (!s->q_len)
        return false;
    struct paychan_event ev = s->queue[s->q_first];
    struct tx *tx = s->queue_tx[s->q_first];
    s->queue_tx[s->q_first] = NULL;
    s->q_first = (s->q_first + 1) % DUO_QUEUE;
    s->q_len--;
    duo_give(s, ev);
    tx_unref(tx);
    return true;
}

bool duo_deliver_one(struct duo *d) { return deliver_one(&d->payee) || deliver_one(&d->payer); }

void duo_deliver(struct duo *d)
{
    while (duo_deliver_one(d))
        continue;
}

void duo_run(struct duo *d)
{
    do {
        duo_deliver(d);
    } while (flush(&d->payee) || flush(&d->payer));
}

void duo_disconnect(struct duo *d)
{
    d->session = false;
    drop_queue(&d->payer);
    drop_queue(&d->payee);
}

void duo_connect(struct duo *d)
{
    duo_disconnect(d);
    d->session = true;
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_UP });
    duo_give(&d->payee, (struct paychan_event){ .kind = PAYCHAN_EV_UP });
}

/* --- the chain --- */

static void tell_both(struct duo *d, struct paychan_event ev)
{
    duo_give(&d->payer, ev);
    duo_give(&d->payee, ev);
}

static void tell_spend(struct duo *d)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_SPEND };
    ev.tx.tx = d->chain_spend ? d->chain_spend : d->pool_spend;
    ev.tx.height = d->spend_height;
    tell_both(d, ev);
}

static void tell_funding(struct duo *d) { tell_both(d, funding_event(d)); }

static void mine_one(struct duo *d)
{
    d->view.tip++;
    d->view.now += 600;
    d->view.tip_time = d->view.now;
    if (d->funding_sent && !d->funding_height)
        d->funding_height = d->view.tip;
    if (d->pool_spend && d->funding_height) {
        d->chain_spend = d->pool_spend;
        d->pool_spend = NULL;
        d->spend_height = d->view.tip;
    }
    if (d->funding_sent)
        tell_funding(d);
    tell_spend(d);
    tell_both(d, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
}

void duo_mine(struct duo *d, unsigned n)
{
    while (n--)
        mine_one(d);
}

void duo_undo(struct duo *d, unsigned n)
{
    d->view.tip -= n;
    if (d->spend_height > d->view.tip) {
        d->pool_spend = d->chain_spend;
        d->chain_spend = NULL;
        d->spend_height = 0;
    }
    if (d->funding_height > d->view.tip)
        d->funding_height = 0;
    tell_funding(d);
    tell_spend(d);
    tell_both(d, (struct paychan_event){ .kind = PAYCHAN_EV_TIP });
}

/* --- the user --- */

void duo_open(struct duo *d, unsigned blocks)
{
    duo_connect(d);
    duo_give(&d->payer, (struct paychan_event){ .kind = PAYCHAN_EV_OPEN });
    duo_run(d);
    duo_mine(d, blocks);
    duo_run(d);
}

enum err duo_pay(struct duo *d, uint64_t amount)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_PAY };
    ev.amount.amount = amount;
    duo_give(&d->payer, ev);
    return d->payer.last.refused;
}

enum err duo_close(struct duo_side *s, uint64_t fee)
{
    struct paychan_event ev = { .kind = PAYCHAN_EV_CLOSE };
    ev.closing.fee = fee;
    duo_give(s, ev);
    return s->last.refused;
}
