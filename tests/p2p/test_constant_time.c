/* Handshake and records of direct channels take the same way whatever their secrets are. */
#include "base/intmath.h"
#include "base/rand.h"
#include "p2p/dchan_hs.h"
#include "p2p/dchan_rec.h"
#include "tests/ctime.h"
#include "tests/p2p/dchan_fixture.h"

enum { CALLER, CALLED };

struct handshake {
    struct open_key keys[2];
    uint8_t ephemeral[2][32];
    struct dchan_hs hs[2];
};

/* The secrets of one side are secret; what it says of its key was made before. */
static void prepare(struct handshake *h, int secretive)
{
    uint8_t prologue[DCHAN_PROLOGUE_SIZE];
    dchan_prologue(prologue, (const uint8_t[]){ 1, 2, 3, 4 });
    for (int i = 0; i < 2; i++) {
        open_key_init(&h->keys[i], (uint8_t)(0x11 + i));
        memset(h->ephemeral[i], 0x33 + i, sizeof h->ephemeral[i]);
    }
    ctime_secret(h->keys[secretive].secret, sizeof h->keys[secretive].secret);
    ctime_secret(h->ephemeral[secretive], sizeof h->ephemeral[secretive]);
    for (int i = 0; i < 2; i++) {
        const struct dchan_hs_config c = {
            .role = i == CALLER ? DCHAN_INITIATOR : DCHAN_RESPONDER,
            .prologue = span_of(prologue, sizeof prologue), .key = &h->keys[i].key,
            .remote_key = h->keys[CALLED].key.pub, .ephemeral = h->ephemeral[i] };
        assert_int_equal(dchan_hs_init(&h->hs[i], &c), OK);
    }
}

static void clear(struct handshake *h)
{
    dchan_hs_clear(&h->hs[CALLER]);
    dchan_hs_clear(&h->hs[CALLED]);
}

/* Until both have agreed twice; the third act carries the caller's key, which is no secret. */
static void run(struct handshake *h, uint8_t act[DCHAN_ACT_MAX])
{
    uint8_t reply[DCHAN_ACT_MAX];
    size_t len;
    assert_int_equal(dchan_hs_start(&h->hs[CALLER], act), OK);
    ctime_public(act, DCHAN_ACT_ONE_SIZE);
    struct span in = span_of(act, DCHAN_ACT_ONE_SIZE);
    assert_int_equal(dchan_hs_feed(&h->hs[CALLED], &in, reply, &len), OK);
    assert_int_equal(len, DCHAN_ACT_TWO_SIZE);
    ctime_public(reply, DCHAN_ACT_TWO_SIZE);
    in = span_of(reply, len);
    assert_int_equal(dchan_hs_feed(&h->hs[CALLER], &in, act, &len), OK);
    assert_int_equal(len, DCHAN_ACT_THREE_SIZE);
}

static void a_call(void **state)
{
    (void)state;
    struct handshake h;
    struct dchan_keys s;
    uint8_t act[DCHAN_ACT_MAX];
    prepare(&h, CALLER);
    run(&h, act);
    assert_true(dchan_hs_done(&h.hs[CALLER]));
    dchan_hs_take(&h.hs[CALLER], &s);
    dchan_keys_wipe(&s);
    clear(&h);
}

static void being_called(void **state)
{
    (void)state;
    struct handshake h;
    uint8_t act[DCHAN_ACT_MAX];
    prepare(&h, CALLED);
    run(&h, act);
    clear(&h);
}

static void fill_secretly(void *out, size_t len)
{
    memset(out, 0x44, len);
    ctime_secret(out, len);
}

/*
 * Packets, the rotation by count and by hash, and an offer of an agreement. What comes out is public.
 * Reading decides on what it decrypted, so that memcheck has nothing to say about it.
 */
static void sending(void **state)
{
    (void)state;
    struct dchan_keys s = { .session_id = { 1 } };
    memset(s.send_key, 1, sizeof s.send_key);
    memset(s.chaining_key, 3, sizeof s.chaining_key);
    CTIME_SECRET(s.send_key);
    CTIME_SECRET(s.receive_key);
    CTIME_SECRET(s.chaining_key);
    rand_set_source(fill_secretly);
    struct dchan_rec *rec = dchan_rec_new(DCHAN_INITIATOR, &s, 0);
    dchan_rec_allow(rec, DCHAN_REKEYS_BY_DH, 0);
    for (int i = 0; i < 501; i++)
        assert_int_equal(dchan_rec_put(rec, span_of("hello", 5), span_of(NULL, 0), 0), OK);
    assert_int_equal(dchan_rec_tick(rec, 600000), OK);
    assert_int_equal(dchan_rec_stats(rec)->rotations_sent, 2);
    assert_int_equal(dchan_rec_output(rec).len, 501 * (5 + DCHAN_PACKET_EXTRA) +
                                                    (3 + DCHAN_PACKET_EXTRA) +
                                                    (35 + DCHAN_PACKET_EXTRA));
    rand_set_source(NULL);
    dchan_rec_free(rec);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        CTIME_TEST(a_call),
        CTIME_TEST(being_called),
        CTIME_TEST(sending),
    };
    return ctime_run(tests, COUNT_OF(tests));
}
