/* Files that cost something, and a peer that wants more than its due. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/p2p/transfers_rig.h"
#include "tests/test.h"

static struct {
    uint64_t paid;
    char ref[64];
    bool refuses;
} purse;

static const char *no_trouble(void *ctx)
{
    (void)ctx;
    return NULL;
}

static bool no_channel(void *ctx, uint64_t contact)
{
    (void)ctx;
    (void)contact;
    return false;
}

static enum err pay(void *ctx, uint64_t contact, uint64_t amount, const char *ref, uint64_t *paid,
                    struct error *e)
{
    (void)ctx;
    assert_int_equal(contact, 1);
    *paid = 0;
    if (purse.refuses)
        return error_set(e, ERR_NOTFOUND, "no channel");
    *paid = amount;
    purse.paid += amount;
    snprintf(purse.ref, sizeof purse.ref, "%s", ref);
    return OK;
}

#define CHUNK_PRICE 10

/* Chunks are asked for, each of which costs that much; `more` is what may be spent beside it. */
static struct far *bought(struct content *c, uint64_t more)
{
    static const struct stream_payments payments = { no_trouble, no_channel, pay, NULL };
    struct dchan_msg m = { .type = DCHAN_F_OFFER };
    struct error e;
    memset(&purse, 0, sizeof purse);
    transfers_set_payments(rig.files, &payments);
    content_make(c);
    m.f_offer = (struct dchan_f_offer){ .size = sizeof c->data, .chunk_log2 = 14,
                                        .name = span_of("x", 1), .price = 64 * CHUNK_PRICE };
    memcpy(m.f_offer.file_id, c->id, 32);
    rig_take(&m);
    assert_int_equal(transfers_accept(rig.files, c->id, NULL, 3 * CHUNK_PRICE - 1, &e), ERR_RANGE);
    assert_int_equal(rig.n_sent, 0);
    assert_int_equal(transfers_accept(rig.files, c->id, NULL, 3 * CHUNK_PRICE + more, NULL), OK);
    rig_assert_said(DCHAN_F_ACCEPT, 0);
    rig_reply(rig_stream(1, FILE_LEAVES, 0, 3), FILE_OK, c->leaves, sizeof c->leaves);
    return rig_stream(2, FILE_CHUNKS, 0, 3);
}

static bool has_chunks(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->n_have == *(const uint32_t *)ctx;
}

static void await_chunks(uint32_t n) { fake_until(rig.fake, has_chunks, &n); }

static void a_chunk_is_paid_when_its_hash_is_right(void **state)
{
    struct content c;
    char ref[64] = "file:";
    (void)state;
    struct far *s = bought(&c, 0);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK - 1);
    fake_settle(rig.fake);
    assert_int_equal(purse.paid, 0);
    far_send(s, c.data + CHUNK - 1, 1);
    await_chunks(1);
    assert_int_equal(purse.paid, CHUNK_PRICE);
    hex_encode(ref + 5, c.id, 16);
    assert_string_equal(purse.ref, ref);
    c.data[CHUNK + 77] ^= 1;
    far_send(s, c.data + CHUNK, CHUNK);
    rig_await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(rig.score, 50);
    assert_int_equal(purse.paid, CHUNK_PRICE);
}

/* It is paid one chunk ahead, once. */
static void a_seller_that_takes_money_and_stops_gets_one_chunk(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 5 * CHUNK_PRICE);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK);
    await_chunks(1);
    fake_tick(rig.fake, 1000);
    assert_int_equal(purse.paid, CHUNK_PRICE);
    for (int i = 0; i < 30; i++)
        fake_tick(rig.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    far_send(s, c.data + CHUNK, CHUNK); /* was paid */
    await_chunks(2);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE);
}

static void nothing_above_the_limit_is_paid_for_a_file(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 0);
    const uint8_t ok = FILE_OK;
    far_send(s, &ok, 1);
    far_send(s, c.data, CHUNK);
    await_chunks(1);
    for (int i = 0; i < 10; i++)
        fake_tick(rig.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    far_send(s, c.data + CHUNK, CHUNK);
    await_chunks(2);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE); /* one was paid ahead */
    for (int i = 0; i < 10; i++)
        fake_tick(rig.fake, 1000);
    assert_int_equal(purse.paid, 3 * CHUNK_PRICE);
    assert_int_equal(rig_incoming()->spent, rig_incoming()->max);
    rig_restart();
    assert_int_equal(rig_incoming()->max, 3 * CHUNK_PRICE);
    assert_true(rig_incoming()->spent >= 2 * CHUNK_PRICE);
}

/* Tried again, and said. */
static void what_could_not_be_paid_is_paid_later(void **state)
{
    struct content c;
    (void)state;
    struct far *s = bought(&c, 0);
    purse.refuses = true;
    rig_reply(s, FILE_OK, c.data, 2 * CHUNK);
    await_chunks(2);
    assert_int_equal(purse.paid, 0);
    assert_string_equal(rig_incoming()->error, "payment: no channel");
    purse.refuses = false;
    fake_tick(rig.fake, 1000);
    assert_int_equal(purse.paid, 2 * CHUNK_PRICE);
    assert_string_equal(rig_incoming()->error, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chunk_is_paid_when_its_hash_is_right),
        TEST(a_seller_that_takes_money_and_stops_gets_one_chunk),
        TEST(nothing_above_the_limit_is_paid_for_a_file),
        TEST(what_could_not_be_paid_is_paid_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
