#include <config.h>

#include "wallet/txbuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/wif.h"
#include "script/build.h"
#include "script/iter.h"
#include "script/opcode.h"
#include "script/template.h"
#include "tests/test.h"
#include "wallet/select.h"

enum { KEYS = 6, COINS = 12, OUTS = 4, GENESIS = 100, CHRONICLE = 200, NOW = 300 };

static const struct script_heights heights = { .genesis = GENESIS, .chronicle = CHRONICLE };

static uint64_t seed = 7;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) >> 33) % n;
}

struct fixture {
    struct signing_key keys[KEYS]; /* odd ones not compressed */
    struct buf locks[2 * KEYS];    /* hash, then the key itself */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    ec_init();
    for (unsigned i = 0; i < KEYS; i++) {
        struct private_key k = { .compressed = i % 2 == 0 };
        k.secret[31] = (uint8_t)(i + 1);
        signing_key_init(&f->keys[i], &k);
        script_make_p2pkh(buf_extend(&f->locks[i], SCRIPT_P2PKH_SIZE), f->keys[i].hash);
        script_put_data(&f->locks[KEYS + i], f->keys[i].public_key, f->keys[i].public_len);
        script_put_op(&f->locks[KEYS + i], OP_CHECKSIG);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 2 * KEYS; i++)
        buf_clear(&f->locks[i]);
    free(f);
    return 0;
}

static struct txbuild_input coin(const struct fixture *f, unsigned lock, uint32_t n, int64_t value)
{
    struct txbuild_input in = { .value = value, .script = buf_span(&f->locks[lock]),
                                .height = GENESIS + 1, .key = &f->keys[lock % KEYS] };
    in.at.index = n;
    memset(in.at.txid.b, 0x33, 32);
    return in;
}

static struct txbuild_rules rules(uint64_t rate)
{
    return (struct txbuild_rules){ &heights, NOW, rate, 10000000 };
}

/* --- random payments ------------------------------------------------------------------------- */

struct payment {
    struct txbuild_input coins[COINS];
    struct select_coin choices[COINS];
    struct select_recipient to[OUTS];
    struct txbuild_output out[OUTS + 1]; /* the last carries data */
    size_t n_to;
    struct buf data;
    struct select_request r;
    uint32_t lock_time;
};

static void make_payment(const struct fixture *f, struct payment *p)
{
    static const uint64_t rates[] = { 1, 50, 500, 1000, 20000 };
    for (uint32_t i = 0; i < COINS; i++) {
        const unsigned lock = below(2 * KEYS);
        p->coins[i] = coin(f, lock, i, 1000 + below(1000000));
        p->coins[i].height = (int32_t[]){ GENESIS - 1, GENESIS + 1, CHRONICLE + 1, NOW }[below(4)];
        p->choices[i] = (struct select_coin){
            .value = p->coins[i].value,
            .input_size = (uint32_t)txbuild_input_size(p->coins[i].script,
                                                       f->keys[lock % KEYS].key.compressed),
        };
        assert_int_not_equal(p->choices[i].input_size, 0);
    }
    p->n_to = 1 + below(OUTS);
    p->lock_time = below(2) ? 0 : NOW - 1;
    for (size_t i = 0; i < p->n_to; i++)
        p->to[i] = (struct select_recipient){ 1 + below(500000), below(5) == 0 };
    const uint8_t bytes[200] = { 1 };
    const struct span pushes[] = { span_of(bytes, below(2) ? 200 : 3), span_of("bsv", 3) };
    txbuild_put_data(&p->data, pushes, 2);
    p->r = (struct select_request){ .coins = p->choices, .n_coins = COINS, .to = p->to,
                                    .n_to = p->n_to, .n_outputs = p->n_to + 1,
                                    .change_size = OUTS, .change_input_size = 148,
                                    .fee_sat_per_kb = rates[below(COUNT_OF(rates))],
                                    .max_to = SELECT_NOBODY };
    p->r.change_size = (uint32_t)txbuild_output_size(SCRIPT_P2PKH_SIZE);
    p->r.outputs_size = p->n_to * p->r.change_size + txbuild_output_size(p->data.len);
}

static void assert_outputs(const struct payment *p, const struct txbuild *b,
                           const struct select_result *s, const struct tx *tx, size_t change_index)
{
    assert_int_equal(tx->n_out, p->n_to + 1 + (s->change != 0));
    int64_t out = 0;
    for (size_t i = 0, k = 0; i < tx->n_out; i++) {
        const struct txbuild_output *want =
            s->change && i == change_index ? &b->change : &b->out[k++];
        assert_int_equal(tx->out[i].value, want->value);
        assert_int_equal(tx->out[i].script.len, want->script.len);
        assert_memory_equal(tx->out[i].script.data, want->script.data, want->script.len);
        out += tx->out[i].value;
    }
    assert_int_equal(out + s->fee, s->total);
}

static void assert_inputs(const struct txbuild *b, const struct tx *tx)
{
    assert_int_equal(tx->n_in, b->n_in);
    for (size_t i = 0; i < tx->n_in; i++) {
        assert_true(outpoint_equal(&tx->in[i].prevout, &b->in[i].at));
        assert_int_equal(tx->in[i].sequence,
                         b->lock_time ? TX_SEQUENCE_FINAL - 1 : TX_SEQUENCE_FINAL);
    }
}

/* True when it could be paid. */
static bool pay(const struct fixture *f, struct payment *p, size_t *change_index, size_t *slack)
{
    struct select_result s;
    struct txbuild_input in[COINS];
    struct error e;
    struct tx *tx;
    select_coins(&p->r, &s);
    if (s.status != SELECT_OK) {
        select_result_clear(&s);
        return false;
    }
    for (size_t i = 0; i < s.n_chosen; i++)
        in[i] = p->coins[s.chosen[i]];
    for (size_t i = 0; i < p->n_to; i++)
        p->out[i] = (struct txbuild_output){ s.amounts[i], buf_span(&f->locks[i]) };
    p->out[p->n_to] = (struct txbuild_output){ 0, buf_span(&p->data) };
    const struct txbuild b = { in, s.n_chosen, p->out, p->n_to + 1,
                               { s.change, buf_span(&f->locks[KEYS - 1]) }, false,
                               p->lock_time };
    const struct txbuild_rules law = rules(p->r.fee_sat_per_kb);
    assert_int_equal(txbuild_make(&b, &law, &tx, change_index, &e), OK);
    assert_int_equal(tx->version, 1);
    assert_int_equal(tx->lock_time, p->lock_time);
    assert_inputs(&b, tx);
    assert_outputs(p, &b, &s, tx, *change_index);
    /* The size that the fee was counted for, but for short signatures. */
    assert_true(tx->raw.len <= s.size && tx->raw.len + 6 * tx->n_in >= s.size);
    assert_true(s.fee >= select_fee(p->r.fee_sat_per_kb, tx->raw.len));
    *slack = s.size - tx->raw.len;
    if (!s.change)
        *change_index = SIZE_MAX;
    tx_unref(tx);
    select_result_clear(&s);
    return true;
}

static void random_payments_are_exact_and_pass_the_interpreter(void **state)
{
    const struct fixture *f = *state;
    size_t paid = 0, places[OUTS + 3] = { 0 }, to_the_byte = 0;
    for (int round = 0; round < 300; round++) {
        struct payment p = { .n_to = 0 };
        size_t change_index, slack;
        make_payment(f, &p);
        if (pay(f, &p, &change_index, &slack)) {
            paid++;
            to_the_byte += slack == 0;
            if (change_index != SIZE_MAX)
                places[change_index]++;
        }
        buf_clear(&p.data);
    }
    assert_true(paid > 200);
    assert_true(to_the_byte > 10);
    for (size_t i = 0; i < 3; i++)
        assert_true(places[i] > 5);
}

/* --- sizes and data -------------------------------------------------------------------------- */

static void sizes_are_those_of_the_largest_signature(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(txbuild_input_size(buf_span(&f->locks[0]), true), 148);
    assert_int_equal(txbuild_input_size(buf_span(&f->locks[1]), false), 180);
    assert_int_equal(txbuild_input_size(buf_span(&f->locks[KEYS]), true), 114);
    assert_int_equal(txbuild_input_size(buf_span(&f->locks[KEYS + 1]), false), 114);
    const uint8_t other[] = { OP_1 };
    assert_int_equal(txbuild_input_size(span_of(other, 1), true), 0);
    assert_int_equal(txbuild_output_size(25), 34);
    assert_int_equal(txbuild_output_size(253), 264);
}

static void data_is_pushed_as_it_is(void **state)
{
    (void)state;
    static const uint8_t one[] = { 1 }, long_one[300] = { 9 };
    const struct span pushes[] = { span_of(one, 1), span_of(long_one, 300) };
    static const uint8_t head[] = { OP_0, OP_RETURN, 1, 1, OP_PUSHDATA2, 0x2c, 0x01, 9 };
    struct buf b = { 0 };
    txbuild_put_data(&b, pushes, 2);
    assert_int_equal(b.len, 2 + 2 + 3 + 300);
    assert_memory_equal(b.data, head, sizeof head);
    assert_true(script_is_unspendable(buf_span(&b), SCRIPT_ERA_GENESIS));
    buf_clear(&b);
}

/* --- refusals -------------------------------------------------------------------------------- */

static enum err try_make(const struct txbuild *b, const struct txbuild_rules *law)
{
    struct tx *tx = NULL;
    size_t change_index;
    const enum err rc = txbuild_make(b, law, &tx, &change_index, NULL);
    assert_int_equal(rc == OK, tx != NULL);
    tx_unref(tx);
    return rc;
}

static void fees_outside_the_limits_are_refused(void **state)
{
    const struct fixture *f = *state;
    struct txbuild_input in[2] = { coin(f, 0, 0, 100000), coin(f, 0, 1, 100000) };
    struct txbuild_output out = { 199830, buf_span(&f->locks[0]) };
    const struct txbuild b = { in, 2, &out, 1, { 0 }, false, 0 };
    struct txbuild_rules law = rules(500);
    assert_int_equal(try_make(&b, &law), OK); /* 170 satoshis for at most 340 bytes */
    out.value += 4;                           /* no two signatures are that short */
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
    law.fee_sat_per_kb = 0;
    out.value = 200000;
    assert_int_equal(try_make(&b, &law), OK);
    out.value++;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
    out.value = 1;
    law.max_fee = 199999;
    assert_int_equal(try_make(&b, &law), OK);
    law.max_fee--;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
    out.value = INT64_MAX;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
    out.value = -1;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
}

static void inputs_must_be_there_and_differ(void **state)
{
    const struct fixture *f = *state;
    struct txbuild_input in[3] = { coin(f, 0, 0, 1000), coin(f, 1, 1, 1000), coin(f, 2, 2, 1000) };
    const struct txbuild_output out = { 500, buf_span(&f->locks[0]) };
    struct txbuild b = { in, 3, &out, 1, { 0 }, false, 0 };
    const struct txbuild_rules law = rules(1);
    assert_int_equal(try_make(&b, &law), OK);
    in[2].at.index = 0;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
    b.n_in = 0;
    assert_int_equal(try_make(&b, &law), ERR_RANGE);
}

static void what_cannot_be_signed_is_not_made(void **state)
{
    const struct fixture *f = *state;
    struct txbuild_input in = coin(f, 0, 0, 1000);
    const struct txbuild_output out = { 500, buf_span(&f->locks[0]) };
    const struct txbuild b = { &in, 1, &out, 1, { 0 }, false, 0 };
    const struct txbuild_rules law = rules(1);
    in.key = &f->keys[1];
    assert_int_equal(try_make(&b, &law), ERR_NOTFOUND);
    in.key = NULL;
    assert_int_equal(try_make(&b, &law), ERR_NOTFOUND);
    const uint8_t true_script[] = { OP_1 };
    in.key = &f->keys[0];
    in.script = span_of(true_script, 1);
    assert_int_equal(try_make(&b, &law), ERR_NOTFOUND);
}

/* A secret that does not belong to its public key: damage that only the interpreter sees. */
static void a_bad_signature_does_not_leave_the_house(void **state)
{
    const struct fixture *f = *state;
    struct signing_key key = f->keys[0];
    struct txbuild_input in = coin(f, 0, 0, 1000);
    const struct txbuild_output out = { 500, buf_span(&f->locks[0]) };
    const struct txbuild b = { &in, 1, &out, 1, { 0 }, false, 0 };
    const struct txbuild_rules law = rules(1);
    in.key = &key;
    assert_int_equal(try_make(&b, &law), OK);
    key.key.secret[31] ^= 0x40;
    assert_int_equal(try_make(&b, &law), ERR_CORRUPT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(random_payments_are_exact_and_pass_the_interpreter),
        T(sizes_are_those_of_the_largest_signature),
        T(data_is_pushed_as_it_is),
        T(fees_outside_the_limits_are_refused),
        T(inputs_must_be_there_and_differ),
        T(what_cannot_be_signed_is_not_made),
        T(a_bad_signature_does_not_leave_the_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
