/* Both ends of one session of records; bytes go over when a test says so. */
#ifndef TESTS_P2P_DCHAN_REC_DUO_H
#define TESTS_P2P_DCHAN_REC_DUO_H

#include "p2p/dchan_rec.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

#define SECOND UINT64_C(1000)
#define START UINT64_C(1000000) /* milliseconds */

struct duo {
    struct session_pair pair;
    struct dchan_rec *initiator, *responder;
};

static inline void duo_make(struct duo *d, enum dchan_rekeys rekeys)
{
    session_pair_make(&d->pair, span_of("x", 1));
    d->initiator = dchan_rec_new(DCHAN_INITIATOR, &d->pair.initiator, START);
    d->responder = dchan_rec_new(DCHAN_RESPONDER, &d->pair.responder, START);
    dchan_rec_allow(d->initiator, rekeys, START);
    dchan_rec_allow(d->responder, rekeys, START);
}

static inline void duo_clear(struct duo *d)
{
    dchan_rec_free(d->initiator);
    dchan_rec_free(d->responder);
}

static inline void put(struct dchan_rec *rec, const void *text, size_t len, uint64_t now_ms)
{
    assert_int_equal(dchan_rec_put(rec, span_of(text, len), span_of(NULL, 0), now_ms), OK);
}

/* What lies in the output leaves it. */
static inline struct buf take_output(struct dchan_rec *rec)
{
    const struct span out = dchan_rec_output(rec);
    struct buf b;
    buf_init(&b);
    buf_put(&b, out.data, out.len);
    dchan_rec_written(rec, out.len);
    return b;
}

static inline void assert_output(struct dchan_rec *rec, const char *hex)
{
    const struct span out = dchan_rec_output(rec);
    assert_hex(out.data, out.len, hex);
}

/* Moves the output over; the messages that arrive must be n times "hello". */
static inline void carry(struct dchan_rec *from, struct dchan_rec *to, size_t n, uint64_t now_ms)
{
    struct buf b = take_output(from);
    struct span in = buf_span(&b), msg;
    size_t got = 0;
    do {
        assert_int_equal(dchan_rec_read(to, &in, now_ms, &msg), OK);
        if (msg.len) {
            assert_int_equal(msg.len, 5);
            assert_memory_equal(msg.data, "hello", 5);
            got++;
        }
    } while (msg.len);
    assert_int_equal(in.len, 0);
    assert_int_equal(got, n);
    buf_clear(&b);
}

/* The same when the reader refuses. */
static inline void carry_refused(struct dchan_rec *from, struct dchan_rec *to, uint64_t now_ms,
                          enum err why, enum dchan_error error)
{
    struct buf b = take_output(from);
    struct span in = buf_span(&b), msg;
    enum err rc;
    do
        rc = dchan_rec_read(to, &in, now_ms, &msg);
    while (rc == OK && msg.len);
    assert_int_equal(rc, why);
    assert_int_equal(msg.len, 0);
    assert_int_equal(dchan_rec_error(to), error);
    in = span_of("more", 4);
    assert_int_equal(dchan_rec_read(to, &in, now_ms, &msg), why);
    buf_clear(&b);
}

#endif
