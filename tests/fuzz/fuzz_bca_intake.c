/*
 * Records in any order, by any way, with clocks, verdicts of the chain and contacts that change: a
 * store and an intake of tiny limits. After each step the limits hold, the number of a key has not
 * gone back, and what is given to anybody was signed, judged good and is no record for us alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/kv.h"
#include "p2p/bca_intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WHO = 6, SEQS = 8, LIMIT = 3, HELD = 2, START = 1790000000, STEPS = 60 };

static struct buf records[WHO][SEQS]; /* made once */
static uint8_t keys[WHO][IDENTITY_KEY_SIZE], record_keys[WHO][32];

static bool no_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    (void)ctx;
    (void)out;
    (void)their_key;
    return false;
}

static bool sign(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    uint8_t digest[32];
    sha256_tagged(digest, tag, text.data, text.len);
    return ec_sign_rs(sig, ctx, digest);
}

static void make(unsigned who, unsigned n)
{
    uint8_t secret[32];
    struct identity_key key = { .noise_dh = no_dh, .sign = sign, .ctx = secret };
    struct bca_record r = {
        .seq = n + 1,
        .issued = START + 100 * n,
        .expires = START + 100 * n + BCA_RECORD_LIFETIME,
        .n_endpoints = 1,
        .endpoints = { { .type = BCA_RECORD_TCP6, .address = { 0x20, [15] = (uint8_t)who } } },
    };
    if (n % 4 == 3) {
        r.tombstone = true;
        r.n_endpoints = 0;
        r.expires = r.issued + BCA_RECORD_LIFETIME_MAX;
    }
    memset(secret, (int)who + 1, sizeof secret);
    if (!ec_pubkey_of(key.pub, secret) || bca_record_write(&records[who][n], &r, &key))
        abort();
    memcpy(keys[who], key.pub, sizeof key.pub);
    bca_record_key(record_keys[who], key.pub);
}

static void make_all(void)
{
    if (records[0][0].len)
        return;
    ec_init();
    for (unsigned who = 0; who < WHO; who++)
        for (unsigned n = 0; n < SEQS; n++)
            make(who, n);
}

struct world {
    struct bca_store *store;
    struct bca_intake *intake;
    enum bca_record_fault says;
    int64_t now;
    unsigned contacts; /* bits */
    uint64_t seqs[WHO]; /* as known after the last step */
};

static enum err check_bca(void *ctx, const struct bca_record *r, enum bca_record_fault *fault,
                          struct error *e)
{
    struct world *w = ctx;
    (void)r;
    (void)e;
    *fault = w->says;
    return OK;
}

static void misbehaved(void *ctx, uint64_t peer, int score, const char *why)
{
    (void)ctx;
    (void)peer;
    (void)why;
    if (score <= 0)
        abort();
}

static void check(struct world *w)
{
    struct bca_store_counts counts;
    struct bca_intake_counts held;
    bca_store_count(w->store, &counts);
    bca_intake_count(w->intake, &held);
    if (counts.records > LIMIT + (size_t)__builtin_popcount(w->contacts) || held.waiting > HELD ||
        held.parked > HELD)
        abort();
    for (unsigned who = 0; who < WHO; who++) {
        struct bca_facts f = { .seq = 0 };
        const bool known = bca_store_look(w->store, record_keys[who], &f);
        if (known ? f.seq < w->seqs[who] : w->now < START + BCA_RECORD_LIFETIME_MAX && w->seqs[who])
            abort();
        w->seqs[who] = f.seq;
    }
}

static void offer(struct world *w, struct span raw, enum bca_way way, bool forged)
{
    const struct bca_offer o = { raw, way, way == BCA_BY_GOSSIP ? 1 : 0 };
    struct bca_answer a;
    if (bca_intake_offer(w->intake, &o, &a, NULL) || (forged && a.outcome == BCA_TAKEN))
        abort();
}

static void offer_made(struct world *w, uint8_t byte, enum bca_way way)
{
    offer(w, buf_span(&records[byte % WHO][byte / WHO % SEQS]), way, false);
}

static void offer_forged(struct world *w, uint8_t byte)
{
    const struct buf *b = &records[byte % WHO][byte / WHO % SEQS];
    uint8_t raw[BCA_RECORD_MAX];
    memcpy(raw, b->data, b->len);
    raw[b->len - 1 - byte % 60] ^= 1;
    offer(w, span_of(raw, b->len), BCA_BY_GOSSIP, true);
}

static void set_contact(struct world *w, uint8_t byte)
{
    const unsigned who = byte % WHO;
    w->contacts ^= 1u << who;
    bca_store_set_contact(w->store, keys[who], w->contacts >> who & 1);
    /* One that is a stranger again may be one too many until the next comes. */
    w->contacts |= 1u << who;
}

static void step(struct world *w, uint8_t op, uint8_t byte)
{
    static const enum bca_record_fault faults[] = { BCA_RECORD_GOOD, BCA_RECORD_UNDETERMINED,
                                                    BCA_RECORD_BAD_BCA, BCA_RECORD_REVOKED };
    switch (op % 8) {
    case 0:
        offer_made(w, byte, BCA_BY_GOSSIP);
        break;
    case 1:
        offer_made(w, byte, BCA_BY_SESSION);
        break;
    case 2:
        offer_made(w, byte, BCA_BY_USER);
        break;
    case 3:
        offer_forged(w, byte);
        break;
    case 4:
        w->now += 60 * byte;
        clock_set_mock(w->now);
        break;
    case 5:
        if (bca_intake_retry(w->intake, NULL) || bca_store_expire(w->store, NULL))
            abort();
        break;
    case 6:
        set_contact(w, byte);
        break;
    case 7:
        w->says = faults[byte % 4];
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bca_limits limits = { .records = LIMIT, .remembered = 1000 };
    struct world w = { .now = START };
    const struct bca_intake_config c = { .check_bca = check_bca, .misbehaved = misbehaved,
                                         .ctx = &w, .waiting = HELD, .parked = HELD,
                                         .any_address = true, .signatures = 1000000 };
    make_all();
    clock_set_mock(START);
    if (bca_store_open(&w.store, kv_open_mem(), &limits, NULL))
        abort();
    w.intake = bca_intake_new(w.store, &c);
    for (size_t i = 0; i + 1 < size && i < 2 * STEPS; i += 2) {
        step(&w, data[i], data[i + 1]);
        check(&w);
    }
    offer(&w, span_of(data, size), BCA_BY_GOSSIP, true); /* what it is itself is no record */
    bca_intake_free(w.intake);
    bca_store_close(w.store);
    clock_set_mock(0);
    return 0;
}
