/* Blocks from their compact form: what is offered, the one fill, and everything out of turn. */
#include "node/rebuild.h"

#include <stdlib.h>

#include "base/block_stream.h"
#include "base/mem.h"
#include "tests/test.h"

#define BUDGET (1u << 20)
#define TXS 6

/* A block of TXS small transactions, different in their lock time. */
struct sample {
    struct tx *txs[TXS];
    struct block_header header;
    uint64_t nonce;
    struct buf block;
};

static struct tx *make_tx(uint32_t lock_time)
{
    struct tx tx = { .version = 1, .lock_time = lock_time };
    struct error e;
    struct buf b;
    buf_init(&b);
    tx_write(&b, &tx);
    struct tx *made = tx_new(b.data, b.len, &e);
    assert_non_null(made);
    buf_clear(&b);
    return made;
}

static void sample_open(struct sample *s)
{
    *s = (struct sample){ .header = { .version = 4, .time = 1000 }, .nonce = 99 };
    struct merkle tree;
    merkle_init(&tree);
    for (uint32_t i = 0; i < TXS; i++) {
        s->txs[i] = make_tx(i);
        merkle_add(&tree, s->txs[i]->id.b);
    }
    s->header.merkle_root = merkle_root(&tree, NULL);
    block_header_write(&s->block, &s->header);
    buf_put_compact(&s->block, TXS);
    for (size_t i = 0; i < TXS; i++)
        buf_put(&s->block, s->txs[i]->raw.data, s->txs[i]->raw.len);
}

static void sample_close(struct sample *s)
{
    for (size_t i = 0; i < TXS; i++)
        tx_unref(s->txs[i]);
    buf_clear(&s->block);
    assert_int_equal(rebuild_memory_bytes(), 0);
}

/* What the message says: short ids of these transactions beside the prefilled first one. */
static struct buf message(const struct sample *s, struct tx *const *short_ids, size_t n)
{
    const struct siphash_key key = short_id_key(&s->header, s->nonce);
    uint8_t ids[TXS * SHORT_ID_SIZE];
    for (size_t i = 0; i < n; i++)
        short_id_put(ids + i * SHORT_ID_SIZE, short_id_of(&key, &short_ids[i]->id));
    const struct msg_prefilled first = { 0, s->txs[0]->raw };
    const struct msg_cmpctblock m = { .header = s->header, .nonce = s->nonce,
                                      .short_ids = span_of(ids, n * SHORT_ID_SIZE),
                                      .n_short_ids = n, .n_prefilled = 1 };
    struct buf b;
    buf_init(&b);
    msg_cmpctblock_write(&b, &m, &first);
    return b;
}

static struct rebuild *begin_with(const struct buf *raw, size_t budget, enum rebuild_result *why)
{
    struct msg_cmpctblock m;
    assert_int_equal(msg_cmpctblock_read(&m, buf_span(raw)), OK);
    return rebuild_new(&m, budget, why);
}

static struct rebuild *begin(const struct sample *s)
{
    enum rebuild_result why;
    struct buf raw = message(s, s->txs + 1, TXS - 1);
    struct rebuild *r = begin_with(&raw, BUDGET, &why);
    assert_non_null(r);
    buf_clear(&raw);
    return r;
}

static enum rebuild_result fill(struct rebuild *r, struct tx *const *txs, size_t n)
{
    const struct block_hash hash = { { 0 } };
    struct msg_blocktxn m;
    struct buf b;
    buf_init(&b);
    msg_blocktxn_begin(&b, &hash, n);
    for (size_t i = 0; i < n; i++)
        buf_put(&b, txs[i]->raw.data, txs[i]->raw.len);
    assert_int_equal(msg_blocktxn_read(&m, buf_span(&b)), OK);
    const enum rebuild_result rc = rebuild_fill(r, &m);
    buf_clear(&b);
    return rc;
}

static void assert_block(struct rebuild *r, const struct sample *s)
{
    struct buf got;
    buf_init(&got);
    assert_int_equal(rebuild_block_size(r), s->block.len);
    for (struct span p = rebuild_next_piece(r); p.len; p = rebuild_next_piece(r))
        buf_put(&got, p.data, p.len);
    assert_int_equal(got.len, s->block.len);
    assert_memory_equal(got.data, s->block.data, got.len);
    buf_clear(&got);
}

static void a_block_of_known_transactions_needs_no_fill(void **state)
{
    (void)state;
    struct sample s;
    sample_open(&s);
    struct rebuild *r = begin(&s);
    struct tx *other = make_tx(12345);
    assert_false(rebuild_offer(r, other));
    for (size_t i = TXS - 1; i > 1; i--)
        assert_false(rebuild_offer(r, s.txs[i]));
    assert_true(rebuild_offer(r, s.txs[1]));
    assert_int_equal(rebuild_end_offers(r), 0);
    assert_block(r, &s);
    rebuild_free(r);
    tx_unref(other);
    sample_close(&s);
}

static void what_is_missing_comes_with_one_fill(void **state)
{
    (void)state;
    struct sample s;
    uint32_t missing[2];
    sample_open(&s);
    struct rebuild *r = begin(&s);
    for (size_t i = 1; i < TXS; i++)
        if (i != 2 && i != 5)
            rebuild_offer(r, s.txs[i]);
    assert_int_equal(rebuild_end_offers(r), 2);
    rebuild_missing(r, missing);
    assert_int_equal(missing[0], 2);
    assert_int_equal(missing[1], 5);
    assert_int_equal(rebuild_next_piece(r).len, 0); /* not complete yet */
    assert_int_equal(fill(r, (struct tx *[]){ s.txs[2], s.txs[5] }, 2), REBUILD_FINE);
    assert_block(r, &s);
    rebuild_free(r);
    sample_close(&s);
}

/* Attack C3. */
static void a_second_fill_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct sample s;
    sample_open(&s);
    struct rebuild *r = begin(&s);
    assert_int_equal(rebuild_end_offers(r), TXS - 1);
    assert_int_equal(fill(r, s.txs + 1, TXS - 1), REBUILD_FINE);
    for (int i = 0; i < 100; i++)
        assert_int_equal(fill(r, s.txs + 1, TXS - 1), REBUILD_BROKEN);
    assert_int_equal(fill(r, s.txs, 0), REBUILD_BROKEN);
    assert_block(r, &s);
    rebuild_free(r);
    sample_close(&s);
}

static void a_fill_of_the_wrong_length_uses_up_the_turn(void **state)
{
    (void)state;
    struct sample s;
    sample_open(&s);
    for (size_t n = 0; n < TXS + 1; n++) {
        if (n == TXS - 1)
            continue;
        struct rebuild *r = begin(&s);
        struct tx *many[TXS] = { s.txs[1], s.txs[2], s.txs[3], s.txs[4], s.txs[5], s.txs[0] };
        rebuild_end_offers(r);
        assert_int_equal(fill(r, many, n), REBUILD_BROKEN);
        assert_int_equal(fill(r, s.txs + 1, TXS - 1), REBUILD_BROKEN);
        assert_int_equal(rebuild_next_piece(r).len, 0);
        rebuild_free(r);
    }
    sample_close(&s);
}

static void a_fill_before_it_was_asked_for_is_refused(void **state)
{
    (void)state;
    struct sample s;
    sample_open(&s);
    struct rebuild *r = begin(&s);
    assert_int_equal(fill(r, s.txs + 1, TXS - 1), REBUILD_BROKEN); /* offers are not over */
    rebuild_end_offers(r);
    assert_int_equal(fill(r, s.txs + 1, TXS - 1), REBUILD_FINE);
    assert_block(r, &s);
    rebuild_free(r);

    r = begin(&s);
    for (size_t i = 1; i < TXS; i++)
        rebuild_offer(r, s.txs[i]);
    assert_int_equal(rebuild_end_offers(r), 0);
    assert_int_equal(fill(r, s.txs, 0), REBUILD_BROKEN); /* nothing is missing */
    assert_false(!rebuild_offer(r, s.txs[1]));
    assert_block(r, &s);
    rebuild_free(r);
    sample_close(&s);
}

/* The peer gives transaction 2 the short id of another that we know: a collision as it looks to
 * us. */
static void a_collision_gives_another_block_and_no_blame(void **state)
{
    (void)state;
    struct sample s;
    enum rebuild_result why;
    sample_open(&s);
    struct tx *other = make_tx(777);
    struct tx *named[TXS - 1] = { s.txs[1], other, s.txs[3], s.txs[4], s.txs[5] };
    struct buf raw = message(&s, named, TXS - 1);
    struct rebuild *r = begin_with(&raw, BUDGET, &why);
    assert_non_null(r);
    rebuild_offer(r, other);
    assert_int_equal(rebuild_end_offers(r), TXS - 2);
    assert_int_equal(fill(r, (struct tx *[]){ s.txs[1], s.txs[3], s.txs[4], s.txs[5] }, 4),
                     REBUILD_FINE);
    struct block_stream stream;
    block_stream_init(&stream);
    for (struct span p = rebuild_next_piece(r); p.len; p = rebuild_next_piece(r))
        assert_int_equal(block_stream_feed(&stream, p.data, p.len), OK);
    assert_true(block_stream_done(&stream));
    const struct hash256 root = merkle_root(&stream.merkle, NULL);
    assert_memory_not_equal(root.b, s.header.merkle_root.b, sizeof(root.b));
    rebuild_free(r);
    tx_unref(other);
    buf_clear(&raw);
    sample_close(&s);
}

static void equal_short_ids_in_the_message_need_the_whole_block(void **state)
{
    (void)state;
    struct sample s;
    enum rebuild_result why;
    sample_open(&s);
    struct buf raw = message(&s, (struct tx *[]){ s.txs[1], s.txs[2], s.txs[1] }, 3);
    assert_null(begin_with(&raw, BUDGET, &why));
    assert_int_equal(why, REBUILD_USELESS);
    buf_clear(&raw);
    sample_close(&s);
}

static void a_message_that_names_no_block_is_broken(void **state)
{
    (void)state;
    struct sample s;
    enum rebuild_result why;
    sample_open(&s);
    struct msg_cmpctblock nothing = { .header = s.header };
    assert_null(rebuild_new(&nothing, BUDGET, &why));
    assert_int_equal(why, REBUILD_BROKEN);
    struct buf raw = message(&s, s.txs + 1, 1);
    raw.data[BLOCK_HEADER_SIZE + 8 + 1 + SHORT_ID_SIZE + 1] = 2; /* prefilled at 2 of 2 */
    assert_null(begin_with(&raw, BUDGET, &why));
    assert_int_equal(why, REBUILD_BROKEN);
    buf_clear(&raw);
    sample_close(&s);
}

static void the_memory_of_all_rebuilds_is_bounded(void **state)
{
    (void)state;
    struct sample s;
    enum rebuild_result why;
    sample_open(&s);
    struct buf raw = message(&s, s.txs + 1, TXS - 1);
    struct rebuild *first = begin_with(&raw, BUDGET, &why);
    const size_t one = rebuild_memory_bytes();
    assert_true(one > 0);
    assert_null(begin_with(&raw, one, &why));
    assert_int_equal(why, REBUILD_USELESS);
    struct rebuild *second = begin_with(&raw, 2 * one + 1, &why);
    assert_non_null(second);
    rebuild_free(first);
    rebuild_free(second);
    buf_clear(&raw);
    sample_close(&s);
}

/* Its memory is many times its bytes. */
static struct tx *make_tx_of_small_outputs(size_t n)
{
    struct tx_out *out = xcalloc(n, sizeof(*out));
    const struct tx tx = { .version = 1, .n_out = n, .out = out };
    struct error e;
    struct buf b;
    buf_init(&b);
    tx_write(&b, &tx);
    struct tx *made = tx_new(b.data, b.len, &e);
    assert_non_null(made);
    buf_clear(&b);
    free(out);
    return made;
}

/* Spec attacks C6: neither what comes with the message nor what is added later goes beyond it. */
static void transactions_count_with_all_their_memory(void **state)
{
    (void)state;
    struct sample s;
    enum rebuild_result why;
    sample_open(&s);
    struct tx *large = make_tx_of_small_outputs(1000);
    struct buf raw = message(&s, s.txs + 1, TXS - 1);
    struct rebuild *r = begin_with(&raw, BUDGET, &why);
    const size_t empty = rebuild_memory_bytes();
    rebuild_free(r);
    r = begin_with(&raw, empty + 5 * large->raw.len, &why);
    rebuild_end_offers(r);
    struct tx *all[TXS - 1] = { large, large, large, large, large };
    assert_int_equal(fill(r, all, TXS - 1), REBUILD_USELESS);
    assert_true(rebuild_memory_bytes() < empty + 5 * large->raw.len + tx_memory(large));
    rebuild_free(r);
    buf_clear(&raw);

    struct tx *first = s.txs[0];
    s.txs[0] = large; /* is prefilled */
    raw = message(&s, s.txs + 1, TXS - 1);
    assert_null(begin_with(&raw, empty + 2 * large->raw.len, &why));
    assert_int_equal(why, REBUILD_USELESS);
    s.txs[0] = first;
    tx_unref(large);
    buf_clear(&raw);
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_of_known_transactions_needs_no_fill),
        cmocka_unit_test(what_is_missing_comes_with_one_fill),
        cmocka_unit_test(a_second_fill_is_refused_and_changes_nothing),
        cmocka_unit_test(a_fill_of_the_wrong_length_uses_up_the_turn),
        cmocka_unit_test(a_fill_before_it_was_asked_for_is_refused),
        cmocka_unit_test(a_collision_gives_another_block_and_no_blame),
        cmocka_unit_test(equal_short_ids_in_the_message_need_the_whole_block),
        cmocka_unit_test(a_message_that_names_no_block_is_broken),
        cmocka_unit_test(the_memory_of_all_rebuilds_is_bounded),
        cmocka_unit_test(transactions_count_with_all_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
