/*
 * What a peer with good keys may say: every row of the table in every state of the session, whole,
 * without fields, with too much.
 */
#include <string.h>

#include "base/intmath.h"
#include "p2p/dchan_session_internal.h"
#include "tests/p2p/dchan_duo.h"
#include "tests/p2p/dchan_examples.h"
#include "tests/test.h"

enum reaction {
    NOTHING,      /* goes on, without an answer */
    OWNER,        /* reaches the owner, nothing else */
    ERROR_2, ERROR_3,
    ENDS,         /* told of an error */
    ANSWERED,     /* by one message of the type, goes on */
    SAYS_BYE,     /* and waits for theirs */
    CLEAN_END,    /* bye for bye */
};

struct expected {
    uint16_t type;
    enum reaction from_initiator, from_responder;
    uint16_t answer;
};

static const struct expected when_up[] = {
    { DCHAN_WARNING, OWNER, OWNER, 0 },
    { DCHAN_HELLO, ERROR_3, ERROR_3, 0 },
    { DCHAN_ERROR, ENDS, ENDS, 0 },
    { DCHAN_PING, ANSWERED, ANSWERED, DCHAN_PONG },
    { DCHAN_PONG, NOTHING, NOTHING, 0 },
    { DCHAN_GOAWAY, SAYS_BYE, SAYS_BYE, 0 },
    { DCHAN_RV, OWNER, OWNER, 0 },
    { DCHAN_REKEY, ERROR_3, ERROR_3, 0 }, /* by agreement, out of place */
    { DCHAN_BYE, CLEAN_END, CLEAN_END, 0 },
    { DCHAN_SUCCESSOR, OWNER, OWNER, 0 },
    { DCHAN_BOUND_MSG, ERROR_3, ERROR_3, 0 },
    { DCHAN_PAD, NOTHING, NOTHING, 0 },
    { DCHAN_DH_ANSWER, ERROR_3, ERROR_3, 0 },
    { DCHAN_DHT_FIND, OWNER, OWNER, 0 },
    { DCHAN_DHT_FOUND, OWNER, OWNER, 0 },
    { DCHAN_DHT_PUT, OWNER, OWNER, 0 },
    { DCHAN_DHT_PUT_OK, OWNER, OWNER, 0 },
    { DCHAN_S_OPEN, ANSWERED, ERROR_3, DCHAN_S_RESET }, /* sid 1 */
    { DCHAN_S_ACCEPT, ERROR_3, ERROR_3, 0 },
    { DCHAN_S_DATA, ERROR_3, ERROR_3, 0 },
    { DCHAN_S_WINDOW, ERROR_3, ERROR_3, 0 },
    { DCHAN_S_FIN, ERROR_3, ERROR_3, 0 },
    { DCHAN_S_RESET, NOTHING, NOTHING, 0 },
    { DCHAN_DGRAM_MSG, ERROR_3, ERROR_3, 0 },
    { DCHAN_M_SEND, OWNER, OWNER, 0 }, { DCHAN_M_ACK, OWNER, OWNER, 0 },
    { DCHAN_M_NACK, OWNER, OWNER, 0 }, { DCHAN_M_READ, OWNER, OWNER, 0 },
    { DCHAN_F_OFFER, OWNER, OWNER, 0 }, { DCHAN_F_ACCEPT, OWNER, OWNER, 0 },
    { DCHAN_F_CANCEL, OWNER, OWNER, 0 }, { DCHAN_F_DONE, OWNER, OWNER, 0 },
    { DCHAN_CHAN_OPEN, OWNER, OWNER, 0 },
    { DCHAN_CHAN_ACCEPT, OWNER, OWNER, 0 },
    { DCHAN_CHAN_FUNDED, OWNER, OWNER, 0 },
    { DCHAN_CHAN_READY, OWNER, OWNER, 0 },
    { DCHAN_CHAN_PAY, OWNER, OWNER, 0 },
    { DCHAN_CHAN_ACK, OWNER, OWNER, 0 },
    { DCHAN_CHAN_CLOSE, OWNER, OWNER, 0 },
    { DCHAN_CHAN_CLOSED, OWNER, OWNER, 0 },
    { DCHAN_CHAN_SYNC, OWNER, OWNER, 0 },
    { DCHAN_CHAN_FAIL, OWNER, OWNER, 0 },
    { DCHAN_P_REQUEST, OWNER, OWNER, 0 }, { DCHAN_P_TX, OWNER, OWNER, 0 },
    { DCHAN_P_RESULT, OWNER, OWNER, 0 },
};

static void assert_alive(struct duo *d, int attacker)
{
    duo_assert_silent(d, attacker);
    assert_int_equal(d->ends[1 - attacker].closes, 0);
    duo_attack(d, attacker, span_of("\0\x12\0\5\0\0", 6));
    duo_assert_answer(d, attacker, DCHAN_PONG);
}

static void assert_reaction(struct duo *d, int attacker, enum reaction reaction,
                            const struct expected *x)
{
    const struct duo_end *victim = &d->ends[1 - attacker];
    assert_int_equal(victim->n_taken, reaction == OWNER);
    switch (reaction) {
    case OWNER:
        assert_int_equal(victim->taken[0], x->type);
        assert_alive(d, attacker);
        break;
    case NOTHING:
        assert_alive(d, attacker);
        break;
    case ERROR_2:
        duo_assert_error(d, attacker, DCHAN_ERROR_UNKNOWN_TYPE);
        break;
    case ERROR_3:
        duo_assert_error(d, attacker, DCHAN_ERROR_MALFORMED);
        break;
    case ENDS:
        duo_assert_silent(d, attacker);
        duo_assert_closed(d, attacker, DCHAN_CLOSED_BY_THEM, 3);
        break;
    case ANSWERED:
        duo_assert_answer(d, attacker, x->answer);
        assert_alive(d, attacker);
        break;
    case SAYS_BYE:
        duo_assert_answer(d, attacker, DCHAN_BYE);
        duo_assert_silent(d, attacker);
        assert_int_equal(victim->closes, 0);
        break;
    case CLEAN_END:
        duo_assert_answer(d, attacker, DCHAN_BYE);
        duo_assert_closed(d, attacker, DCHAN_CLOSED_CLEAN, 0);
        break;
    }
}

/* A session that is up, where the attacker has sent this; the tail follows the fields. */
static void up_and_attacked(struct duo *d, int attacker, uint16_t type, const char *hex,
                            struct span tail)
{
    struct buf msg = dchan_example_message(type, hex);
    buf_put(&msg, tail.data, tail.len);
    duo_up(d);
    duo_attack(d, attacker, buf_span(&msg));
    buf_clear(&msg);
}

static const struct span no_tail = { NULL, 0 };

static const char *fields_of(uint16_t type)
{
    return dchan_example_of(type)->hex;
}

static void assert_reactions(const struct expected *x, const char *hex)
{
    for (int attacker = 0; attacker < 2; attacker++) {
        struct duo d;
        up_and_attacked(&d, attacker, x->type, hex, no_tail);
        assert_reaction(&d, attacker, attacker == 0 ? x->from_initiator : x->from_responder, x);
        duo_clear(&d);
    }
}

static void each_row_when_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(when_up); i++)
        assert_reactions(&when_up[i], fields_of(when_up[i].type));
    /* dh_offer is the row that is left: test_dchan_rec_rekey has it */
    assert_int_equal(COUNT_OF(when_up) + 1, n_dchan_examples);
}

static void each_row_without_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        struct duo d;
        const uint16_t type = dchan_examples[i].type;
        if (type == DCHAN_BYE || type == DCHAN_PAD)
            continue;
        up_and_attacked(&d, 0, type, "", no_tail);
        duo_assert_error(&d, 0, DCHAN_ERROR_MALFORMED);
        assert_int_equal(d.ends[1].n_taken, 0);
        duo_clear(&d);
    }
}

static void each_row_with_a_tail(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(when_up); i++) {
        static const uint8_t even[] = { 0x64, 0 }, odd[] = { 0x65, 0 }; /* TLVs without a value */
        const struct expected *x = &when_up[i / 2];
        struct duo d;
        up_and_attacked(&d, 0, x->type, fields_of(x->type), span_of(i % 2 ? odd : even, 2));
        if (i % 2 || dchan_row_find(x->type)->rules & DCHAN_RUNS_TO_END)
            assert_reaction(&d, 0, x->from_initiator, x);
        else if (x->type == DCHAN_BYE) /* the attacker's rec seals nothing behind it */
            duo_assert_told(&d, 0, DCHAN_ERROR_MALFORMED);
        else
            duo_assert_error(&d, 0, DCHAN_ERROR_MALFORMED);
        duo_clear(&d);
    }
}

/* Fields in hexadecimal, and how many bytes more than their limit follow. */
static const struct {
    uint16_t type;
    const char *hex;
    size_t more;
} oversized[] = {
    { DCHAN_WARNING, "00000101", 257 },
    { DCHAN_S_OPEN, "00000001046563686f0300040000" "01fd0401", 1025 },
    { DCHAN_S_OPEN, "00000001046563686f0800040000", 0 }, /* priority */
    { DCHAN_S_DATA, "00000001", DCHAN_DATA_MAX + 1 },
    { DCHAN_DGRAM_MSG, "000000010000", DCHAN_DGRAM_MAX + 1 },
    { DCHAN_M_SEND, "000102030405060708090a0b0c0d0e0f000001a0c4506c0000093a8000ea61", 60001 },
    { DCHAN_DHT_PUT, "00000002001001", 4097 },
};

static void fields_beyond_their_limits(void **state)
{
    static const uint8_t zeros[DCHAN_MSG_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(oversized); i++) {
        struct duo d;
        up_and_attacked(&d, 0, oversized[i].type, oversized[i].hex,
                        span_of(zeros, oversized[i].more));
        duo_assert_error(&d, 0, DCHAN_ERROR_MALFORMED);
        assert_int_equal(d.ends[1].n_taken, 0);
        duo_clear(&d);
    }
}

static void types_that_nobody_knows(void **state)
{
    static const struct expected unknown[] = {
        { 3, NOTHING, NOTHING, 0 }, { 2, ERROR_2, ERROR_2, 0 }, { 32769, NOTHING, NOTHING, 0 },
        { 32768, ERROR_2, ERROR_2, 0 }, { 65535, NOTHING, NOTHING, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_reactions(&unknown[i], "0102");
}

static void features_that_were_not_offered(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_dchan_examples; i++) {
        struct duo d;
        const struct dchan_example *e = &dchan_examples[i];
        const enum dchan_feature feature = dchan_row_find(e->type)->feature;
        struct buf msg = dchan_example_message(e->type, e->hex);
        if (feature != DCHAN_FEATURE_NONE) {
            duo_init(&d);
            d.ends[1].config.features.offered &= ~(1u << feature);
            duo_start(&d);
            duo_settle(&d);
            duo_attack(&d, 0, buf_span(&msg));
            if (e->type % 2)
                assert_alive(&d, 0);
            else
                duo_assert_error(&d, 0, DCHAN_ERROR_UNKNOWN_TYPE);
            assert_int_equal(d.ends[1].n_taken, 0);
            duo_clear(&d);
        }
        buf_clear(&msg);
    }
}

static void send_bare_hello(struct duo *d)
{
    duo_attack(d, 0, span_of("\0\x10\0\1\0\0", 6));
    duo_assert_answer(d, 0, DCHAN_HELLO);
    duo_assert_answer(d, 0, DCHAN_BOUND_MSG);
    duo_assert_silent(d, 0);
}

static void assert_reaction_before_up(struct duo *d, uint16_t type, unsigned to_hello,
                                      unsigned to_bound)
{
    if (type == DCHAN_HELLO) {
        duo_assert_error(d, 0, to_hello);
    } else if (type == DCHAN_BOUND_MSG) {
        duo_assert_error(d, 0, to_bound);
    } else if (type == DCHAN_PING) {
        duo_assert_answer(d, 0, DCHAN_PONG);
    } else {
        duo_assert_silent(d, 0);
        if (type == DCHAN_ERROR)
            duo_assert_closed(d, 0, DCHAN_CLOSED_BY_THEM, 3);
        else if (type == DCHAN_GOAWAY)
            duo_assert_closed(d, 0, DCHAN_CLOSED_GOAWAY, 0);
        else if (type != DCHAN_PONG)
            duo_assert_closed(d, 0, DCHAN_CLOSED_EARLY, 0);
    }
    assert_int_equal(d->ends[1].ups, 0);
    assert_int_equal(d->ends[1].n_taken, 0);
}

static void each_row_before_it_is_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * n_dchan_examples; i++) {
        struct duo d;
        const struct dchan_example *e = &dchan_examples[i / 2];
        struct buf msg = dchan_example_message(e->type, e->hex);
        duo_greeting(&d, NULL);
        if (i % 2)
            send_bare_hello(&d);
        duo_attack(&d, 0, buf_span(&msg));
        if (i % 2)
            assert_reaction_before_up(&d, e->type, DCHAN_ERROR_MALFORMED, DCHAN_ERROR_IDENTITY);
        else /* parameters that prove nothing; bound before hello */
            assert_reaction_before_up(&d, e->type, DCHAN_ERROR_IDENTITY, DCHAN_ERROR_MALFORMED);
        buf_clear(&msg);
        duo_clear(&d);
    }
    struct duo d; /* nor what will never be known */
    duo_greeting(&d, NULL);
    duo_attack(&d, 0, span_of("\x80\1", 2));
    duo_assert_silent(&d, 0);
    duo_assert_closed(&d, 0, DCHAN_CLOSED_EARLY, 0);
    duo_clear(&d);
}

static void versions_and_features_that_do_not_fit(void **state)
{
    static const struct {
        const char *hello;
        size_t len;
        enum dchan_error error;
    } cases[] = {
        { "\0\x10\0\0\0\0", 6, DCHAN_ERROR_VERSION },
        { "\0\x10\0\1\0\x08\1\0\0\0\0\0\0\0", 14, DCHAN_ERROR_FEATURE },
        { "\0\x10\0\1\0", 5, DCHAN_ERROR_MALFORMED },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct duo d;
        duo_greeting(&d, NULL);
        duo_attack(&d, 0, span_of(cases[i].hello, cases[i].len));
        duo_assert_error(&d, 0, cases[i].error);
        duo_clear(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_when_up),
        cmocka_unit_test(each_row_without_its_fields),
        cmocka_unit_test(each_row_with_a_tail),
        cmocka_unit_test(fields_beyond_their_limits),
        cmocka_unit_test(types_that_nobody_knows),
        cmocka_unit_test(features_that_were_not_offered),
        cmocka_unit_test(each_row_before_it_is_up),
        cmocka_unit_test(versions_and_features_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
