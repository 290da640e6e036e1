/* Offers of a peer that sends what it should not: which are kept, and for how long. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "tests/kv_tools.h"
#include "tests/p2p/transfers_rig.h"
#include "tests/test.h"

static void a_wrong_size_of_chunks_is_refused_before_anything_is_kept(void **state)
{
    static const struct { uint64_t size; unsigned log2; } bad[] = {
        { 100, 13 }, { 100, 15 }, { 100, 0 }, { 100, 255 }, { (UINT64_C(1) << 30) + 1, 14 },
        { UINT64_C(1) << 30, 15 }, { DCHAN_FILE_MAX + 1, 22 }, { UINT64_MAX, 22 },
        { UINT64_MAX, 14 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const uint8_t id[32] = { (uint8_t)i };
        rig_offer(id, bad[i].size, bad[i].log2);
        rig_assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
        assert_int_equal(rig_count(), 0);
    }
}

static void offers_that_wait_are_limited_and_may_come_again(void **state)
{
    (void)state;
    for (uint8_t i = 1; i <= 4; i++) {
        const uint8_t id[32] = { i };
        rig_offer(id, 100, 14);
        rig_offer(id, 100, 14);
    }
    assert_int_equal(rig_count(), 3);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    const uint8_t first[32] = { 1 }, fifth[32] = { 5 };
    rig_offer(first, 101, 14); /* the id says another size */
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
    rig_take_id(DCHAN_F_CANCEL, first, CANCEL_USER);
    assert_int_equal(rig_count(), 2);
    rig_offer(fifth, 100, 14);
    assert_int_equal(rig_count(), 3);
    assert_int_equal(rig.n_sent, 0);
}

/* Its offer comes later than our request, which it refuses while it waits for an answer. */
static void what_was_accepted_while_the_peer_was_away_is_said_before_it_is_asked_for(void **state)
{
    struct content c;
    (void)state;
    content_make(&c);
    rig_offer(c.id, sizeof c.data, 14);
    fake_down(rig.fake);
    assert_int_equal(transfers_accept(rig.files, c.id, NULL, 0, NULL), OK);
    assert_int_equal(rig.n_sent, 0);
    fake_up(rig.fake);
    assert_int_equal(rig.fake->n_streams, 0);
    rig_assert_said(DCHAN_F_ACCEPT, 0);
    (void)rig_stream(1, FILE_LEAVES, 0, 3);
}

static size_t rows(const char *prefix)
{
    dchan_store_settle(rig.fake->channels.store);
    return kv_rows(rig.fake->channels.kv, prefix);
}

/* Who offered a file, without the file: what a process left that ended between two writes. */
static void a_source_without_its_file_is_forgotten(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    rig_offer(id, 100, 14);
    assert_int_equal(rows("fs"), 1);
    struct dchan_write *w = dchan_write_new(rig.fake->channels.store);
    uint8_t key[34] = "fi";
    memcpy(key + 2, id, sizeof id);
    dchan_write_delete(w, key, sizeof key);
    dchan_store_commit(rig.fake->channels.store, w, NULL, NULL);
    rig_restart();
    fake_up(rig.fake);
    assert_int_equal(rig_count(), 0);
    assert_int_equal(rows("fs"), 0);
    rig_offer(id, 100, 14);
    rig_restart();
    assert_int_equal(rig_count(), 1);
}

/* Keys cost nothing: one file has no more of those who come with one than are of any use. */
static void strangers_that_offer_one_file_are_limited(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    rig.fake->peer.contact = NULL;
    for (uint32_t i = 0; i < 200; i++) {
        be32_put(rig.fake->peer.key + 1, i);
        rig.n_sent = 0;
        rig_offer(id, 100, 14);
    }
    assert_int_equal(rig_incoming()->sources.n, 16);
    assert_int_equal(rows("fs"), 16);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    rig.fake->peer.contact = &rig.fake->contacts[0]; /* there is always a place for one */
    rig_offer(id, 100, 14);
    assert_int_equal(rig_incoming()->sources.n, 17);
    assert_int_equal(rig.n_sent, 0);
}

/* Nobody can check it before the leaves are there. */
static void what_a_stranger_says_of_a_file_gives_way_to_a_contact(void **state)
{
    struct content c;
    (void)state;
    content_make(&c);
    rig.fake->peer.contact = NULL;
    rig.fake->peer.key[1] ^= 1;
    rig_offer(c.id, 100, 14);
    assert_int_equal(rig_incoming()->size, 100);
    rig.fake->peer.key[1] ^= 1;
    rig.fake->peer.contact = &rig.fake->contacts[0];
    rig_offer(c.id, sizeof c.data, 14);
    assert_int_equal(rig.n_sent, 0);
    assert_int_equal(rig_incoming()->size, sizeof c.data);
    assert_int_equal(rig_incoming()->sources.n, 1);
    struct contact *other = fake_add_contact(rig.fake, "eve");
    rig.fake->peer.contact = other; /* of two contacts the first one counts */
    rig_offer(c.id, 100, 14);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_BAD);
    assert_int_equal(rig_incoming()->size, sizeof c.data);
}

/* The store was lost and the event log was not: its numbers go on. */
static void what_comes_after_a_loss_of_the_store_is_told(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    rig.logs = true;
    rig.last_told = 500;
    rig_restart();
    fake_up(rig.fake);
    rig_offer(id, 100, 14);
    dchan_store_settle(rig.fake->channels.store);
    rig.logs = false;
    assert_int_equal(rig.n_told, 1);
    assert_int_equal(rig.last_told, 501);
}

static void who_may_not_offer_is_refused(void **state)
{
    const uint8_t id[32] = { 1 };
    (void)state;
    rig.fake->peer.contact->policy.files = false;
    rig_offer(id, 100, 14);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_REFUSED);
    assert_int_equal(rig_count(), 0);
}

static void files_within_the_quota_are_taken_unasked(void **state)
{
    const uint8_t ids[3][32] = { { 1 }, { 2 }, { 3 } };
    (void)state;
    rig.fake->peer.contact->policy.accept_files = true;
    rig.fake->peer.contact->policy.file_quota = 250;
    rig_offer(ids[0], 100, 14);
    rig_assert_said(DCHAN_F_ACCEPT, 0);
    rig_offer(ids[1], 151, 14);
    assert_int_equal(rig.n_sent, 0);
    rig_offer(ids[2], 150, 14);
    rig_assert_said(DCHAN_F_ACCEPT, 0);
}

static void a_flood_of_offers_costs_no_more_than_its_share(void **state)
{
    uint8_t id[32] = { 0 };
    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        be32_put(id, i + 1);
        rig_offer(id, 100, 14);
        rig_take_id(DCHAN_F_CANCEL, id, CANCEL_USER);
        rig.n_sent = 0;
    }
    rig_offer(id, 100, 14); /* more than it may in a row: not looked at */
    assert_int_equal(rig_count(), 0);
    assert_int_equal(rig.n_sent, 0);
    fake_tick(rig.fake, 1000);
    rig_offer(id, 100, 14);
    assert_int_equal(rig_count(), 1);
}

/* That it was withdrawn was lost with the session it was said in: else it asks for ever. */
static void who_accepts_what_is_not_on_offer_is_told(void **state)
{
    struct content c;
    (void)state;
    free(rig_offered(&c));
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    assert_int_equal(transfers_cancel(rig.files, c.id, NULL), OK);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_USER);
    fake_down(rig.fake);
    fake_up(rig.fake);
    assert_int_equal(rig.n_sent, 0);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    rig_assert_said(DCHAN_F_CANCEL, CANCEL_USER);
    free(rig_offered(&c));
    rig.n_sent = 0;
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0); /* it was accepted already */
    rig_take_id(DCHAN_F_DONE, c.id, 0);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0); /* of a session before */
    assert_int_equal(rig.n_sent, 0);
    rig.fake->peer.contact = NULL;
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    assert_int_equal(rig.n_sent, 0);
}

static void what_is_said_of_unknown_files_does_nothing(void **state)
{
    const uint8_t id[32] = { 9 };
    (void)state;
    rig_take_id(DCHAN_F_DONE, id, 0);
    rig_take_id(DCHAN_F_CANCEL, id, 2);
    assert_int_equal(rig_count(), 0);
    assert_int_equal(rig.n_sent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_size_of_chunks_is_refused_before_anything_is_kept),
        TEST(offers_that_wait_are_limited_and_may_come_again),
        TEST(what_was_accepted_while_the_peer_was_away_is_said_before_it_is_asked_for),
        TEST(a_source_without_its_file_is_forgotten),
        TEST(strangers_that_offer_one_file_are_limited),
        TEST(what_a_stranger_says_of_a_file_gives_way_to_a_contact),
        TEST(what_comes_after_a_loss_of_the_store_is_told),
        TEST(who_may_not_offer_is_refused),
        TEST(files_within_the_quota_are_taken_unasked),
        TEST(a_flood_of_offers_costs_no_more_than_its_share),
        TEST(who_accepts_what_is_not_on_offer_is_told),
        TEST(what_is_said_of_unknown_files_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
