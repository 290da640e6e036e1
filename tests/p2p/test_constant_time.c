/*
 * Handshake and records of direct channels take the same way whatever their secrets are. What was
 * decrypted is the reader's to decide on, so that it is public from there on: memcheck cannot tell
 * it from the key.
 */
#include "base/aead.h"
#include "base/intmath.h"
#include "base/rand.h"
#include "p2p/dchan_hs.h"
#include "p2p/dchan_rec.h"
#include "tests/ctime.h"
#include "tests/p2p/dchan_fixture.h"

enum { CALLER, CALLED };

bool __real_aead_open(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span sealed, uint8_t *out);
bool __wrap_aead_open(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span sealed, uint8_t *out);
bool __real_aead_ctx_open(struct aead_ctx *c, const uint8_t iv[12], struct span sealed,
                          uint8_t *out);
bool __wrap_aead_ctx_open(struct aead_ctx *c, const uint8_t iv[12], struct span sealed,
                          uint8_t *out);

bool __wrap_aead_open(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
                      struct span aad, struct span sealed, uint8_t *out)
{
    const bool ok = __real_aead_open(kind, key, iv, aad, sealed, out);
    ctime_public(out, sealed.len - AEAD_TAG_SIZE);
    return ok;
}

bool __wrap_aead_ctx_open(struct aead_ctx *c, const uint8_t iv[12], struct span sealed,
                          uint8_t *out)
{
    const bool ok = __real_aead_ctx_open(c, iv, sealed, out);
    ctime_public(out, sealed.len - AEAD_TAG_SIZE);
    return ok;
}

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

/* Until the caller is done; act is the third one. */
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
    struct dchan_keys s;
    uint8_t act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
    size_t len;
    prepare(&h, CALLED);
    run(&h, act);
    struct span in = span_of(act, DCHAN_ACT_THREE_SIZE);
    assert_int_equal(dchan_hs_feed(&h.hs[CALLED], &in, reply, &len), OK);
    assert_true(dchan_hs_done(&h.hs[CALLED]));
    dchan_hs_take(&h.hs[CALLED], &s);
    dchan_keys_wipe(&s);
    clear(&h);
}

/* Acts that are wrong in their last bit are refused by the same way. */
static void being_called_wrongly(void **state)
{
    (void)state;
    for (int n = 1; n <= 3; n += 2) {
        struct handshake h;
        uint8_t act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
        size_t len = DCHAN_ACT_ONE_SIZE;
        prepare(&h, CALLED);
        if (n == 1) {
            assert_int_equal(dchan_hs_start(&h.hs[CALLER], act), OK);
        } else {
            run(&h, act);
            len = DCHAN_ACT_THREE_SIZE;
        }
        act[len - 1] ^= 1;
        struct span in = span_of(act, len);
        assert_int_equal(dchan_hs_feed(&h.hs[CALLED], &in, reply, &len), ERR_AUTH);
        assert_int_equal(h.hs[CALLED].fault, DCHAN_HS_BAD_TAG);
        clear(&h);
    }
}

static void fill_secretly(void *out, size_t len)
{
    memset(out, 0x44, len);
    ctime_secret(out, len);
}

/* A session whose keys nobody knows, in the place of a side. */
static struct dchan_rec *secret_rec(enum dchan_role role)
{
    struct dchan_keys s = { .session_id = { 1 } };
    const bool initiator = role == DCHAN_INITIATOR;
    memset(s.send_key, initiator ? 1 : 2, sizeof s.send_key);
    memset(s.receive_key, initiator ? 2 : 1, sizeof s.receive_key);
    memset(s.chaining_key, 3, sizeof s.chaining_key);
    CTIME_SECRET(s.send_key);
    CTIME_SECRET(s.receive_key);
    CTIME_SECRET(s.chaining_key);
    struct dchan_rec *rec = dchan_rec_new(role, &s, 0);
    dchan_rec_allow(rec, DCHAN_REKEYS_BY_DH, 0);
    return rec;
}

/* What waits goes over, and may be seen on the way; returns how many messages came. */
static size_t carry(struct dchan_rec *from, struct dchan_rec *to)
{
    uint8_t wire[501 * 64];
    const struct span out = dchan_rec_output(from);
    size_t n = 0;
    assert_true(out.len > 0 && out.len <= sizeof wire);
    memcpy(wire, out.data, out.len);
    ctime_public(wire, out.len);
    struct span in = span_of(wire, out.len), msg;
    dchan_rec_written(from, out.len);
    do {
        assert_int_equal(dchan_rec_read(to, &in, 600000, &msg), OK);
        n += msg.len > 0;
    } while (msg.len);
    return n;
}

/* Packets both ways, the rotation by count, by hash and by a whole agreement. */
static void sending_and_reading(void **state)
{
    struct dchan_rec *initiator = secret_rec(DCHAN_INITIATOR);
    struct dchan_rec *responder = secret_rec(DCHAN_RESPONDER);
    (void)state;
    rand_set_source(fill_secretly);
    for (int i = 0; i < 501; i++)
        assert_int_equal(dchan_rec_put(initiator, span_of("hello", 5), span_of(NULL, 0), 0), OK);
    assert_int_equal(carry(initiator, responder), 501);
    assert_int_equal(dchan_rec_tick(initiator, 600000), OK); /* a rekey and an offer */
    assert_int_equal(carry(initiator, responder), 0);
    assert_int_equal(carry(responder, initiator), 0);
    assert_int_equal(carry(initiator, responder), 0);
    for (int i = 0; i < 2; i++) {
        const struct dchan_rec_stats *stats = dchan_rec_stats(i ? responder : initiator);
        assert_int_equal(stats->agreements, 1);
        assert_int_equal(stats->rotations_sent, i ? 1 : 3);
        assert_int_equal(stats->rotations_received, i ? 3 : 1);
    }
    rand_set_source(NULL);
    dchan_rec_free(initiator);
    dchan_rec_free(responder);
}

static void reading_what_was_changed(void **state)
{
    struct dchan_rec *initiator = secret_rec(DCHAN_INITIATOR);
    struct dchan_rec *responder = secret_rec(DCHAN_RESPONDER);
    uint8_t wire[5 + DCHAN_PACKET_EXTRA];
    struct span msg;
    (void)state;
    assert_int_equal(dchan_rec_put(initiator, span_of("hello", 5), span_of(NULL, 0), 0), OK);
    memcpy(wire, dchan_rec_output(initiator).data, sizeof wire);
    CTIME_PUBLIC(wire);
    wire[sizeof wire - 1] ^= 1;
    struct span in = span_of(wire, sizeof wire);
    assert_int_equal(dchan_rec_read(responder, &in, 0, &msg), ERR_AUTH);
    dchan_rec_free(initiator);
    dchan_rec_free(responder);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        CTIME_TEST(a_call),
        CTIME_TEST(being_called),
        CTIME_TEST(being_called_wrongly),
        CTIME_TEST(sending_and_reading),
        CTIME_TEST(reading_what_was_changed),
    };
    return ctime_run(tests, COUNT_OF(tests));
}
