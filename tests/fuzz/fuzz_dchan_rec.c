/*
 * The record layer against an other side that may send anything. Of the first byte bit 0 chooses
 * the role, bit 1 what follows: bytes of the wire, or messages (length, seconds that pass, text)
 * that a side with the right keys seals, so that the rules of rotation are reached; bits 2 and 3
 * what may be rekeyed. Failures are final, and nothing is delivered after one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "p2p/dchan_rec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { START_MS = 1000000 };

static void check_failed(struct dchan_rec *rec, enum err why, uint64_t now_ms)
{
    struct span in = span_of("more", 4), msg;
    if (dchan_rec_read(rec, &in, now_ms, &msg) != why || msg.len || dchan_rec_clean_end(rec))
        abort();
    if (why == ERR_AUTH && (dchan_rec_error(rec) || dchan_rec_output(rec).len))
        abort();
}

/* False when it failed. */
static bool read_all(struct dchan_rec *rec, struct span in, uint64_t now_ms)
{
    struct span msg;
    enum err rc;
    do {
        rc = dchan_rec_read(rec, &in, now_ms, &msg);
        if (rc == OK && msg.len && (msg.len < DCHAN_MSG_MIN || msg.len > DCHAN_MSG_MAX))
            abort();
    } while (rc == OK && msg.len);
    if (rc)
        check_failed(rec, rc, now_ms);
    else if (in.len)
        abort();
    return rc == OK;
}

static void read_wire(struct dchan_rec *rec, struct span wire)
{
    bool alive = true;
    for (size_t at = 0; alive && at < wire.len; at += 61) {
        const size_t n = wire.len - at < 61 ? wire.len - at : 61;
        alive = read_all(rec, span_of(wire.data + at, n), START_MS);
    }
}

static void move(struct dchan_rec *from, struct dchan_rec *to, uint64_t now_ms, bool *alive)
{
    const struct span out = dchan_rec_output(from);
    if (*alive)
        *alive = read_all(to, out, now_ms);
    dchan_rec_written(from, out.len);
}

static void read_messages(struct dchan_rec *rec, struct dchan_rec *other, struct span in)
{
    uint64_t now_ms = START_MS;
    bool alive = true, other_alive = true;
    while (in.len >= 2 && alive) {
        const size_t n = in.data[0] < in.len - 2 ? in.data[0] : in.len - 2;
        now_ms += in.data[1] * UINT64_C(1000);
        const enum err rc = dchan_rec_put(other, span_of(in.data + 2, n), span_of(NULL, 0), now_ms);
        if (rc && rc != ERR_RANGE && rc != ERR_CANCELLED)
            abort();
        in = span_of(in.data + 2 + n, in.len - 2 - n);
        move(other, rec, now_ms, &alive);
        alive = alive && dchan_rec_tick(rec, now_ms) == OK;
        move(rec, other, now_ms, &other_alive);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dchan_keys one = { .send_key = { 1 }, .receive_key = { 2 } }, two = one;
    if (size < 1)
        return 0;
    ec_init();
    memcpy(two.send_key, one.receive_key, sizeof two.send_key);
    memcpy(two.receive_key, one.send_key, sizeof two.receive_key);
    const enum dchan_role role = data[0] & 1 ? DCHAN_INITIATOR : DCHAN_RESPONDER;
    const enum dchan_rekeys rekeys = (enum dchan_rekeys)((data[0] >> 2 & 3) % 3);
    struct dchan_rec *rec = dchan_rec_new(role, &one, START_MS);
    struct dchan_rec *other =
        dchan_rec_new(role == DCHAN_INITIATOR ? DCHAN_RESPONDER : DCHAN_INITIATOR, &two, START_MS);
    dchan_rec_allow(rec, rekeys, START_MS);
    if (data[0] & 2)
        read_messages(rec, other, span_of(data + 1, size - 1));
    else
        read_wire(rec, span_of(data + 1, size - 1));
    dchan_rec_free(rec);
    dchan_rec_free(other);
    return 0;
}
