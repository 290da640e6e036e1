/* The order of the checks and what each of them costs; attacks on it. */
#include "p2p/bca_intake.h"

#include <string.h>

#include "base/clock.h"
#include "base/kv.h"
#include "p2p/bca_own.h"
#include "tests/p2p/record_maker.h"
#include "tests/test.h"

#define PEER 5

struct bench {
    struct kv *kv;
    struct bca_store *store;
    struct bca_intake *intake;
    /* What the chain says, and how often it was asked. */
    enum bca_record_fault says;
    enum err fails;
    uint64_t fails_for; /* this number alone; 0: each */
    unsigned asked;
    int score;
};

static enum err check_bca(void *ctx, const struct bca_record *r, enum bca_record_fault *fault,
                          struct error *e)
{
    struct bench *b = ctx;
    const bool is_concerned = !b->fails_for || r->seq == b->fails_for;
    b->asked++;
    *fault = b->says;
    return b->fails && is_concerned ? error_set(e, b->fails, "the chain cannot be asked") : OK;
}

static void misbehaved(void *ctx, uint64_t peer, int score, const char *why)
{
    (void)why;
    assert_int_equal(peer, PEER);
    ((struct bench *)ctx)->score += score;
}

static void start(struct bench *b, struct bca_intake_config c)
{
    *b = (struct bench){ .kv = kv_open_mem() };
    c.check_bca = check_bca;
    c.misbehaved = misbehaved;
    c.ctx = b;
    clock_set_mock(MAKER_NOW);
    assert_int_equal(bca_store_open(&b->store, b->kv, NULL, NULL), OK);
    b->intake = bca_intake_new(b->store, &c);
}

static void finish(struct bench *b)
{
    bca_intake_free(b->intake);
    bca_store_close(b->store);
}

static struct bca_answer offer_raw(struct bench *b, struct span raw, enum bca_way way)
{
    const struct bca_offer o = { raw, way, way == BCA_BY_GOSSIP ? PEER : 0 };
    struct bca_answer a;
    assert_int_equal(bca_intake_offer(b->intake, &o, &a, NULL), OK);
    return a;
}

static enum bca_outcome offer_changed(struct bench *b, uint8_t who, uint64_t seq, enum bca_way way,
                                      void (*change)(struct bca_record *r))
{
    struct made_record m;
    record_make(&m, who, seq, change);
    const struct bca_answer a = offer_raw(b, buf_span(&m.raw), way);
    record_clear(&m);
    return a.outcome;
}

static enum bca_outcome offer(struct bench *b, uint8_t who, uint64_t seq, enum bca_way way)
{
    return offer_changed(b, who, seq, way, NULL);
}

/* With one bit of its signature changed. */
static struct bca_answer offer_forged(struct bench *b, uint8_t who, uint64_t seq,
                                      void (*change)(struct bca_record *r))
{
    struct made_record m;
    record_make(&m, who, seq, change);
    m.raw.data[m.raw.len - 1] ^= 1;
    const struct bca_answer a = offer_raw(b, buf_span(&m.raw), BCA_BY_GOSSIP);
    record_clear(&m);
    return a;
}

static uint64_t stored(struct bench *b, uint8_t who)
{
    struct made_record m;
    struct bca_facts f = { .seq = 0 };
    record_make(&m, who, 1, NULL);
    const bool found = bca_store_look(b->store, m.record_key, &f);
    record_clear(&m);
    return found && f.size ? f.seq : 0;
}

static bool wants(struct bench *b, uint8_t who, uint64_t seq)
{
    struct made_record m;
    record_make(&m, who, 1, NULL);
    const bool yes = bca_intake_wants(b->intake, m.record_key, seq);
    record_clear(&m);
    return yes;
}

static void long_alias(struct bca_record *r) { r->alias = span_of("another", 7); }
static void loopback(struct bca_record *r) { memset(r->endpoints[0].address, 0, 15); }
static void other_address(struct bca_record *r) { r->endpoints[0].address[15] = 99; }
static void address_of_one(struct bca_record *r) { r->endpoints[0].address[15] = 1; }
static void issued_later(struct bca_record *r)
{
    r->issued += 50;
    r->expires = r->issued + BCA_RECORD_LIFETIME;
}
static void issued_long_ago(struct bca_record *r)
{
    r->issued = MAKER_NOW - 100;
    r->expires = r->issued + BCA_RECORD_LIFETIME;
}

/* --- one record after the other --- */

static void a_good_record_is_taken_once(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_true(wants(&b, 1, 5));
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_KNOWN);
    assert_int_equal(b.asked, 1); /* what is known costs nothing */
    assert_false(wants(&b, 1, 5));
    assert_true(wants(&b, 1, 6));
    assert_int_equal(b.score, 0);
    finish(&b);
}

static void cheap_checks_come_first_and_cost_no_score(void **state)
{
    struct bench b;
    struct bca_answer a;
    (void)state;
    start(&b, (struct bca_intake_config){ .signatures = 1 });
    a = offer_raw(&b, span_of("\x01", 1), BCA_BY_GOSSIP);
    assert_true(a.outcome == BCA_REFUSED && a.fault == BCA_RECORD_MALFORMED);
    a = offer_raw(&b, span_of("\x02\x00", 2), BCA_BY_GOSSIP);
    assert_true(a.outcome == BCA_REFUSED && a.fault == BCA_RECORD_OTHER_VERSION);
    clock_set_mock(MAKER_NOW + 2 * BCA_RECORD_LIFETIME);
    a = offer_forged(&b, 1, 1, NULL);
    assert_true(a.outcome == BCA_REFUSED && a.fault == BCA_RECORD_EXPIRED);
    clock_set_mock(MAKER_NOW);
    a = offer_forged(&b, 1, 1, loopback);
    assert_true(a.outcome == BCA_REFUSED && a.fault == BCA_RECORD_BAD_ENDPOINT);
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_TAKEN); /* the one signature of a second */
    a = offer_forged(&b, 1, 4, NULL);
    assert_int_equal(a.outcome, BCA_KNOWN);
    assert_true(b.score == 0 && b.asked == 1);
    finish(&b);
}

static void a_number_does_not_go_back_in_time(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_TAKEN);
    clock_set_mock(MAKER_NOW + 601);
    assert_int_equal(offer_changed(&b, 1, 7, BCA_BY_GOSSIP, issued_long_ago), BCA_KNOWN);
    assert_int_equal(offer_changed(&b, 1, 4, BCA_BY_USER, issued_later), BCA_KNOWN);
    assert_int_equal(stored(&b, 1), 5);
    finish(&b);
}

/* D5, G4: what a signature costs is bounded, for all peers together. */
static void signatures_have_a_budget(void **state)
{
    struct bench b;
    unsigned busy = 0;
    (void)state;
    start(&b, (struct bca_intake_config){ .signatures = 1 });
    for (uint8_t who = 1; who <= 30; who++)
        busy += offer_forged(&b, who, 1, NULL).outcome == BCA_BUSY;
    assert_true(busy >= 20);
    assert_int_equal(b.score, 20 * (int)(30 - busy));
    assert_int_equal(offer(&b, 31, 1, BCA_BY_USER), BCA_TAKEN); /* the user does not wait */
    finish(&b);
}

static void a_false_record_costs_its_sender(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    struct bca_answer a = offer_forged(&b, 1, 1, NULL);
    assert_true(a.outcome == BCA_REFUSED && a.fault == BCA_RECORD_BAD_SIGNATURE);
    assert_true(b.score == 20 && b.asked == 0);
    b.says = BCA_RECORD_BAD_BCA;
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_int_equal(b.score, 40);
    b.says = BCA_RECORD_REVOKED; /* the sender may not see that */
    assert_int_equal(offer(&b, 2, 1, BCA_BY_GOSSIP), BCA_REFUSED);
    b.says = BCA_RECORD_NOT_ACCEPTED;
    assert_int_equal(offer(&b, 3, 1, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_int_equal(b.score, 40);
    assert_int_equal(stored(&b, 1) + stored(&b, 2) + stored(&b, 3), 0);
    finish(&b);
}

/* F8: a proof that failed is not looked at again, but one beside it is. */
static void failures_are_remembered_for_exactly_what_failed(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    b.says = BCA_RECORD_BAD_BCA;
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_int_equal(offer(&b, 1, 2, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_true(b.asked == 1 && b.score == 40);
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(offer(&b, 1, 3, BCA_BY_GOSSIP), BCA_REFUSED);
    /* The same parameters of another key, or for another address. */
    assert_int_equal(offer(&b, 2, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_int_equal(offer_changed(&b, 1, 4, BCA_BY_GOSSIP, other_address), BCA_TAKEN);
    b.says = BCA_RECORD_BAD_BCA;
    assert_int_equal(offer_changed(&b, 4, 1, BCA_BY_GOSSIP, address_of_one), BCA_REFUSED);
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(offer_changed(&b, 3, 1, BCA_BY_GOSSIP, address_of_one), BCA_TAKEN);
    finish(&b);
    start(&b, (struct bca_intake_config){ .failure_s = -1 }); /* without that memory */
    b.says = BCA_RECORD_BAD_BCA;
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_int_equal(offer(&b, 1, 2, BCA_BY_GOSSIP), BCA_REFUSED);
    assert_int_equal(b.asked, 2);
    finish(&b);
}

static void a_chain_that_cannot_be_asked_is_no_verdict(void **state)
{
    struct bench b;
    struct made_record m;
    struct bca_answer a;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    record_make(&m, 1, 1, NULL);
    b.fails = ERR_IO;
    b.says = BCA_RECORD_BAD_BCA;
    const struct bca_offer o = { buf_span(&m.raw), BCA_BY_GOSSIP, PEER };
    assert_int_equal(bca_intake_offer(b.intake, &o, &a, NULL), ERR_IO);
    assert_int_equal(b.score, 0);
    b.fails = OK;
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(bca_intake_offer(b.intake, &o, &a, NULL), OK);
    assert_int_equal(a.outcome, BCA_TAKEN);
    record_clear(&m);
    finish(&b);
}

/* --- updates --- */

static void updates_of_a_key_have_a_pause_and_the_newest_waits(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_int_equal(offer(&b, 1, 2, BCA_BY_GOSSIP), BCA_WAITS);
    assert_int_equal(offer(&b, 1, 4, BCA_BY_GOSSIP), BCA_WAITS);
    assert_int_equal(offer(&b, 1, 3, BCA_BY_GOSSIP), BCA_KNOWN);
    bca_intake_count(b.intake, &counts);
    assert_int_equal(counts.waiting, 1);
    assert_false(wants(&b, 1, 4)); /* it is here */
    clock_set_mock(MAKER_NOW + 599);
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    assert_int_equal(stored(&b, 1), 1);
    clock_set_mock(MAKER_NOW + 600);
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    assert_int_equal(stored(&b, 1), 4);
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_WAITS);
    assert_int_equal(offer(&b, 1, 6, BCA_BY_SESSION), BCA_TAKEN); /* its own word at once */
    assert_int_equal(b.asked, 3);
    finish(&b);
}

/* A record that waits for its turn, and one that cannot be judged yet. */
static void offer_two_that_wait(struct bench *b)
{
    assert_int_equal(offer(b, 1, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_int_equal(offer(b, 1, 2, BCA_BY_GOSSIP), BCA_WAITS);
    b->says = BCA_RECORD_UNDETERMINED;
    assert_int_equal(offer(b, 2, 5, BCA_BY_GOSSIP), BCA_PARKED);
    b->says = BCA_RECORD_GOOD;
}

/* Neither the chain nor the disk: what they keep from being judged is there at the next look. */
static void what_could_not_be_judged_goes_on_waiting(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    offer_two_that_wait(&b);
    clock_set_mock(MAKER_NOW + 3000);
    b.fails = ERR_IO;
    for (int i = 0; i < 3; i++)
        assert_int_equal(bca_intake_retry(b.intake, NULL), ERR_IO);
    b.fails = OK;
    kv_mem_fail_writes(b.kv, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(bca_intake_retry(b.intake, NULL), ERR_IO);
    bca_intake_count(b.intake, &counts);
    assert_true(counts.waiting == 1 && counts.parked == 1);
    assert_false(wants(&b, 1, 2) || wants(&b, 2, 5));
    kv_mem_fail_writes(b.kv, 0);
    clock_set_mock(MAKER_NOW + 3599); /* it is no younger for all that */
    b.says = BCA_RECORD_UNDETERMINED;
    b.fails = ERR_IO;
    assert_int_equal(bca_intake_retry(b.intake, NULL), ERR_IO);
    b.fails = OK;
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    bca_intake_count(b.intake, &counts);
    assert_true(counts.waiting == 0 && counts.parked == 0);
    assert_true(stored(&b, 1) == 2 && stored(&b, 2) == 5);
    finish(&b);
}

static void one_that_can_never_be_judged_holds_up_no_other(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    struct error e = { .code = OK };
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    offer_two_that_wait(&b);
    b.fails = ERR_IO;
    b.fails_for = 2;
    clock_set_mock(MAKER_NOW + 3000);
    assert_int_equal(bca_intake_retry(b.intake, &e), ERR_IO);
    assert_non_null(strstr(e.text, "cannot be asked"));
    assert_int_equal(stored(&b, 2), 5);
    bca_intake_count(b.intake, &counts);
    assert_true(counts.waiting == 1 && counts.parked == 0);
    finish(&b);
}

/* A record with a high number and a false signature must not push out the one that waits. */
static void a_forged_update_pushes_no_honest_one_out(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_int_equal(offer_forged(&b, 1, 9, NULL).outcome, BCA_REFUSED);
    assert_int_equal(offer(&b, 1, 2, BCA_BY_GOSSIP), BCA_WAITS);
    assert_int_equal(offer_forged(&b, 1, 9, NULL).outcome, BCA_REFUSED);
    assert_int_equal(b.score, 40);
    clock_set_mock(MAKER_NOW + 600);
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    assert_int_equal(stored(&b, 1), 2);
    finish(&b);
}

static void what_waits_has_a_limit(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    (void)state;
    start(&b, (struct bca_intake_config){ .waiting = 8, .signatures = 1000 });
    for (uint8_t who = 1; who <= 30; who++) {
        assert_int_equal(offer(&b, who, 1, BCA_BY_GOSSIP), BCA_TAKEN);
        assert_int_equal(offer(&b, who, 2, BCA_BY_GOSSIP), BCA_WAITS);
        bca_intake_count(b.intake, &counts);
        assert_true(counts.waiting <= 8);
    }
    assert_int_equal(counts.waiting, 8);
    assert_false(wants(&b, 30, 2)); /* the newest is there */
    finish(&b);
}

/* --- what cannot be judged yet --- */

static void what_is_undetermined_is_parked_for_an_hour(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    b.says = BCA_RECORD_UNDETERMINED;
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_PARKED);
    assert_int_equal(offer(&b, 2, 3, BCA_BY_GOSSIP), BCA_PARKED);
    assert_int_equal(offer(&b, 2, 2, BCA_BY_GOSSIP), BCA_PARKED); /* the newer one stays */
    assert_true(b.score == 0 && stored(&b, 1) == 0);
    assert_false(wants(&b, 1, 1));
    clock_set_mock(MAKER_NOW + 1800);
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    bca_intake_count(b.intake, &counts);
    assert_int_equal(counts.parked, 2);
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    assert_true(stored(&b, 1) == 1 && stored(&b, 2) == 3);
    b.says = BCA_RECORD_UNDETERMINED;
    assert_int_equal(offer(&b, 3, 1801, BCA_BY_GOSSIP), BCA_PARKED);
    clock_set_mock(MAKER_NOW + 1800 + 3000);
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK); /* it stays as old as it is */
    clock_set_mock(MAKER_NOW + 1800 + 3600);
    b.says = BCA_RECORD_GOOD;
    assert_int_equal(bca_intake_retry(b.intake, NULL), OK);
    bca_intake_count(b.intake, &counts);
    assert_true(counts.parked == 0 && stored(&b, 3) == 0);
    finish(&b);
}

static void what_is_parked_has_a_limit(void **state)
{
    struct bench b;
    struct bca_intake_counts counts;
    (void)state;
    start(&b, (struct bca_intake_config){ .parked = 4 });
    b.says = BCA_RECORD_UNDETERMINED;
    for (uint8_t who = 1; who <= 20; who++)
        assert_int_equal(offer(&b, who, 1, BCA_BY_GOSSIP), BCA_PARKED);
    bca_intake_count(b.intake, &counts);
    assert_int_equal(counts.parked, 4);
    finish(&b);
}

/* --- two records with one number --- */

static bool may_be_given_on(struct bench *b, uint8_t who)
{
    struct made_record m;
    struct bca_facts f;
    record_make(&m, who, 1, NULL);
    assert_true(bca_store_look(b->store, m.record_key, &f));
    record_clear(&m);
    return f.relay && !f.equivocal;
}

static void equivocation_keeps_the_first_and_relays_neither(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    /* Anybody can write a number: without the signature it is none. */
    assert_int_equal(offer_forged(&b, 1, 1, long_alias).outcome, BCA_REFUSED);
    assert_true(b.score == 20 && may_be_given_on(&b, 1));
    assert_int_equal(offer_changed(&b, 1, 1, BCA_BY_GOSSIP, long_alias), BCA_KNOWN);
    assert_true(b.score == 21 && !may_be_given_on(&b, 1));
    assert_int_equal(offer_changed(&b, 1, 1, BCA_BY_GOSSIP, long_alias), BCA_KNOWN);
    assert_true(b.score == 21 && b.asked == 1);
    finish(&b);
}

static bool was_reached(struct bench *b, uint8_t who)
{
    struct made_record m;
    struct bca_facts f;
    record_make(&m, who, 1, NULL);
    assert_true(bca_store_look(b->store, m.record_key, &f));
    record_clear(&m);
    return f.reached;
}

static void what_came_for_us_alone_is_not_given_on(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer(&b, 1, 1, BCA_BY_SESSION), BCA_TAKEN);
    assert_true(was_reached(&b, 1));
    assert_int_equal(offer(&b, 2, 1, BCA_BY_USER), BCA_TAKEN);
    assert_int_equal(offer(&b, 3, 1, BCA_OF_OURS_DIRECT), BCA_TAKEN);
    assert_int_equal(offer(&b, 4, 1, BCA_OF_OURS), BCA_TAKEN);
    assert_false(may_be_given_on(&b, 1) || may_be_given_on(&b, 2) || may_be_given_on(&b, 3));
    assert_true(may_be_given_on(&b, 4));
    assert_false(was_reached(&b, 2) || was_reached(&b, 4));
    assert_true(wants(&b, 1, 1)); /* once it is public it can be given on */
    assert_int_equal(offer(&b, 1, 1, BCA_BY_GOSSIP), BCA_TAKEN);
    assert_true(may_be_given_on(&b, 1));
    finish(&b);
}

static void last_word(struct bca_record *r)
{
    r->tombstone = true;
    r->n_endpoints = 0;
    r->params = span_of(NULL, 0);
    r->expires = r->issued + BCA_RECORD_LIFETIME_MAX;
}

/* F9, G4: keys cost nothing, registrations do. A tombstone shows none. */
static void tombstones_of_unknown_keys_fill_no_store(void **state)
{
    struct bench b;
    (void)state;
    start(&b, (struct bca_intake_config){ 0 });
    assert_int_equal(offer_changed(&b, 1, 5, BCA_BY_GOSSIP, last_word), BCA_KNOWN);
    assert_int_equal(stored(&b, 1), 0);
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_TAKEN);
    clock_set_mock(MAKER_NOW + 600);
    assert_int_equal(offer_changed(&b, 1, 6, BCA_BY_GOSSIP, last_word), BCA_TAKEN);
    assert_int_equal(stored(&b, 1), 6);
    assert_int_equal(offer_changed(&b, 2, 6, BCA_BY_SESSION, last_word), BCA_TAKEN);
    finish(&b);
}

/* --- own keys --- */

/* Key 1 is ours, with number 5; its record is known too, or not. */
static void start_with_own(struct bench *b, struct made_record *m, bool with_record)
{
    struct bca_own own = { .mode = BCA_PUBLIC, .seq = 5, .wallet = "w", .name = "alice" };
    start(b, (struct bca_intake_config){ 0 });
    record_make(m, 1, 5, NULL);
    memcpy(own.key, m->key, sizeof own.key);
    if (with_record) {
        memcpy(own.record, m->raw.data, m->raw.len);
        own.record_len = m->raw.len;
    }
    assert_int_equal(bca_own_put(b->store, &own, NULL), OK);
}

static void a_number_we_never_gave_is_the_mark_of_a_second_copy(void **state)
{
    struct bench b;
    struct made_record m;
    struct bca_own got;
    (void)state;
    start_with_own(&b, &m, false);
    assert_int_equal(offer(&b, 1, 5, BCA_OF_OURS), BCA_TAKEN);
    assert_int_equal(offer_forged(&b, 1, 8, NULL).outcome, BCA_REFUSED);
    assert_true(bca_own_get(b.store, m.key, &got) && !got.doubled);
    assert_int_equal(offer(&b, 1, 8, BCA_BY_GOSSIP), BCA_KNOWN);
    assert_true(bca_own_get(b.store, m.key, &got) && got.doubled);
    assert_int_equal(stored(&b, 1), 5);
    record_clear(&m);
    finish(&b);
}

static void another_record_with_a_number_of_ours_is_one_too(void **state)
{
    struct bench b;
    struct made_record m;
    struct bca_own got;
    (void)state;
    start_with_own(&b, &m, true);
    assert_int_equal(offer(&b, 1, 5, BCA_OF_OURS), BCA_TAKEN);
    assert_int_equal(offer(&b, 1, 5, BCA_BY_GOSSIP), BCA_KNOWN); /* ours comes back */
    assert_int_equal(offer_forged(&b, 1, 5, long_alias).outcome, BCA_REFUSED);
    assert_true(bca_own_get(b.store, m.key, &got) && !got.doubled);
    assert_int_equal(offer_changed(&b, 1, 5, BCA_BY_GOSSIP, long_alias), BCA_KNOWN);
    assert_true(bca_own_get(b.store, m.key, &got) && got.doubled);
    assert_false(may_be_given_on(&b, 1));
    record_clear(&m);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_record_is_taken_once),
        cmocka_unit_test(cheap_checks_come_first_and_cost_no_score),
        cmocka_unit_test(a_number_does_not_go_back_in_time),
        cmocka_unit_test(signatures_have_a_budget),
        cmocka_unit_test(a_false_record_costs_its_sender),
        cmocka_unit_test(failures_are_remembered_for_exactly_what_failed),
        cmocka_unit_test(a_chain_that_cannot_be_asked_is_no_verdict),
        cmocka_unit_test(updates_of_a_key_have_a_pause_and_the_newest_waits),
        cmocka_unit_test(what_could_not_be_judged_goes_on_waiting),
        cmocka_unit_test(one_that_can_never_be_judged_holds_up_no_other),
        cmocka_unit_test(a_forged_update_pushes_no_honest_one_out),
        cmocka_unit_test(what_waits_has_a_limit),
        cmocka_unit_test(what_is_undetermined_is_parked_for_an_hour),
        cmocka_unit_test(what_is_parked_has_a_limit),
        cmocka_unit_test(equivocation_keeps_the_first_and_relays_neither),
        cmocka_unit_test(what_came_for_us_alone_is_not_given_on),
        cmocka_unit_test(tombstones_of_unknown_keys_fill_no_store),
        cmocka_unit_test(a_number_we_never_gave_is_the_mark_of_a_second_copy),
        cmocka_unit_test(another_record_with_a_number_of_ours_is_one_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
