/* Codecs of compact blocks: round trips, limits, and messages of other nodes against their
 * blocks. */
#include "p2p/msg_compact.h"

#include <stdlib.h>
#include <string.h>

#include "base/block_stream.h"
#include "base/mem.h"
#include "base/tx.h"
#include "tests/test.h"

/* Version 1, no inputs, no outputs, lock time 7. */
static const uint8_t smallest[TX_MIN_SIZE] = { 1, 0, 0, 0, 0, 0, 7, 0, 0, 0 };

/* --- messages of other nodes --- */

#define TXS_MAX 4096

struct block_ids {
    struct txid ids[TXS_MAX];
    size_t n;
};

static void note_id(void *ctx, const struct txid *id, uint64_t offset, uint64_t size)
{
    struct block_ids *all = ctx;
    (void)offset;
    (void)size;
    assert_true(all->n < TXS_MAX);
    all->ids[all->n++] = *id;
}

static struct block_ids *ids_of_block(const char *name)
{
    struct block_ids *all = xcalloc(1, sizeof(*all));
    struct block_stream s;
    struct buf raw;
    buf_init(&raw);
    vector_read(name, &raw);
    block_stream_init(&s);
    s.on_tx = note_id;
    s.ctx = all;
    assert_int_equal(block_stream_feed(&s, raw.data, raw.len), OK);
    assert_true(block_stream_done(&s));
    buf_clear(&raw);
    return all;
}

static void rewrite(const struct msg_cmpctblock *m, struct buf *out)
{
    struct msg_prefilled *list = xcalloc(m->n_prefilled, sizeof(*list));
    struct msg_indices at;
    msg_indices_init(&at, m->prefilled);
    for (size_t i = 0; i < m->n_prefilled; i++)
        list[i].index = msg_prefilled_next(&at, &list[i].tx);
    assert_true(reader_done(&at.r));
    msg_cmpctblock_write(out, m, list);
    free(list);
}

/* Each transaction of the block is prefilled, or has its short id at its place. */
static void check_message(const char *message, const char *block)
{
    struct buf raw, again;
    struct msg_cmpctblock m;
    struct msg_indices at;
    buf_init(&raw);
    buf_init(&again);
    vector_read(message, &raw);
    assert_int_equal(msg_cmpctblock_read(&m, buf_span(&raw)), OK);
    struct block_ids *all = ids_of_block(block);
    assert_int_equal(all->n, m.n_short_ids + m.n_prefilled);
    const struct siphash_key key = short_id_key(&m.header, m.nonce);
    struct span tx;
    msg_indices_init(&at, m.prefilled);
    uint32_t prefilled = msg_prefilled_next(&at, &tx);
    size_t left = m.n_prefilled;
    const uint8_t *p = m.short_ids.data;
    for (size_t i = 0; i < all->n; i++) {
        if (left > 0 && i == prefilled) {
            struct txid id;
            sha256d(id.b, tx.data, tx.len);
            assert_true(txid_equal(&id, &all->ids[i]));
            if (--left > 0)
                prefilled = msg_prefilled_next(&at, &tx);
            continue;
        }
        assert_true(short_id_get(p) == short_id_of(&key, &all->ids[i]));
        p += SHORT_ID_SIZE;
    }
    assert_int_equal(left, 0);
    rewrite(&m, &again);
    assert_int_equal(again.len, raw.len);
    assert_memory_equal(again.data, raw.data, raw.len);
    vector_report(message, all->n);
    free(all);
    buf_clear(&again);
    buf_clear(&raw);
}

static void short_ids_are_those_of_the_blocks_transactions(void **state)
{
    (void)state;
    char **names;
    size_t checked = 0;
    const size_t n = vector_list("spv", ".raw", &names);
    for (size_t i = 0; i < n; i++) {
        char *block = strstr(names[i], "compactblock") ? vector_block_of(names[i]) : NULL;
        if (block) {
            check_message(names[i], block);
            checked++;
        }
        free(block);
    }
    vector_list_free(names, n);
    if (n == 0)
        skip();
    vector_report("compact blocks in spv", checked);
}

/* --- made messages --- */

static void short_ids_have_six_bytes_little_endian(void **state)
{
    (void)state;
    uint8_t p[SHORT_ID_SIZE + 1] = { 0 };
    short_id_put(p, UINT64_C(0x0605040302f1));
    assert_int_equal(p[0], 0xf1);
    assert_int_equal(p[5], 6);
    assert_int_equal(p[6], 0);
    assert_true(short_id_get(p) == UINT64_C(0x0605040302f1));
}

static struct buf made_message(size_t n_short, const struct msg_prefilled *prefilled, size_t n)
{
    uint8_t *ids = xcalloc(n_short + 1, SHORT_ID_SIZE);
    struct msg_cmpctblock m = { .header = { .version = 4, .time = 9 }, .nonce = 77,
                                .short_ids = span_of(ids, n_short * SHORT_ID_SIZE),
                                .n_short_ids = n_short, .n_prefilled = n };
    struct buf b;
    buf_init(&b);
    msg_cmpctblock_write(&b, &m, prefilled);
    free(ids);
    return b;
}

static void prefilled_indices_are_distances(void **state)
{
    (void)state;
    const struct span tx = span_of(smallest, sizeof(smallest));
    const struct msg_prefilled list[] = { { 0, tx }, { 1, tx }, { 5, tx }, { 1000, tx } };
    struct buf b = made_message(1000, list, 4);
    struct msg_cmpctblock m;
    struct msg_indices at;
    struct span got;
    assert_int_equal(msg_cmpctblock_read(&m, buf_span(&b)), OK);
    assert_int_equal(m.n_prefilled, 4);
    assert_int_equal(m.prefilled.data[0], 0);
    assert_int_equal(m.prefilled.data[1 + sizeof(smallest)], 0);
    assert_int_equal(m.prefilled.data[2 * (1 + sizeof(smallest))], 3);
    msg_indices_init(&at, m.prefilled);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(msg_prefilled_next(&at, &got), list[i].index);
        assert_int_equal(got.len, sizeof(smallest));
    }
    buf_clear(&b);
}

static void a_cut_message_is_refused_at_every_length(void **state)
{
    (void)state;
    const struct msg_prefilled list[] = { { 0, span_of(smallest, sizeof(smallest)) } };
    struct buf b = made_message(3, list, 1);
    for (size_t len = 0; len < b.len; len++) {
        struct msg_cmpctblock m;
        assert_int_equal(msg_cmpctblock_read(&m, span_of(b.data, len)), ERR_PARSE);
        assert_int_equal(m.prefilled.len, 0);
    }
    buf_clear(&b);
}

static void requests_round_trip(void **state)
{
    (void)state;
    const struct block_hash hash = { { 1, 2, 3 } };
    const uint32_t indices[] = { 0, 1, 3, 300, UINT32_MAX };
    struct buf b;
    struct msg_getblocktxn m;
    struct msg_indices at;
    buf_init(&b);
    msg_getblocktxn_write(&b, &hash, indices, 5);
    assert_int_equal(msg_getblocktxn_read(&m, buf_span(&b)), OK);
    assert_true(block_hash_equal(&m.hash, &hash));
    assert_int_equal(m.n, 5);
    msg_indices_init(&at, m.indices);
    for (size_t i = 0; i < 5; i++)
        assert_true(msg_index_next(&at) == indices[i]);
    assert_true(reader_done(&at.r));
    for (size_t len = 0; len < b.len; len++)
        assert_int_equal(msg_getblocktxn_read(&m, span_of(b.data, len)), ERR_PARSE);
    buf_clear(&b);
}

static void indices_beyond_32_bits_are_malformed(void **state)
{
    (void)state;
    const struct block_hash hash = { { 0 } };
    const uint32_t last = UINT32_MAX;
    struct msg_getblocktxn m;
    struct buf b;
    buf_init(&b);
    msg_getblocktxn_write(&b, &hash, &last, 1);
    b.data[32] = 2;
    buf_put_u8(&b, 0); /* the index after the last */
    assert_int_equal(msg_getblocktxn_read(&m, buf_span(&b)), ERR_PARSE);
    buf_clear(&b);
}

static void answers_hold_whole_transactions(void **state)
{
    (void)state;
    const struct block_hash hash = { { 9 } };
    struct buf b;
    struct msg_blocktxn m;
    buf_init(&b);
    msg_blocktxn_begin(&b, &hash, 2);
    buf_put(&b, smallest, sizeof(smallest));
    buf_put(&b, smallest, sizeof(smallest));
    buf_put_u8(&b, 0xee); /* ignored, spec p2p 1.6 */
    assert_int_equal(msg_blocktxn_read(&m, buf_span(&b)), OK);
    assert_int_equal(m.n, 2);
    assert_int_equal(m.txs.len, 2 * sizeof(smallest));
    for (size_t len = 0; len < b.len - 1; len++)
        assert_int_equal(msg_blocktxn_read(&m, span_of(b.data, len)), ERR_PARSE);
    buf_clear(&b);
}

static void claimed_counts_are_held_against_the_bytes(void **state)
{
    (void)state;
    struct buf b = made_message(0, NULL, 0);
    struct msg_cmpctblock m;
    b.len = BLOCK_HEADER_SIZE + 8;
    buf_put_compact(&b, UINT32_MAX);
    assert_int_equal(msg_cmpctblock_read(&m, buf_span(&b)), ERR_PARSE);
    b.len = BLOCK_HEADER_SIZE + 8;
    buf_put_u8(&b, 0xff); /* spec p2p 1.4: above the cap */
    buf_put_le64(&b, UINT64_C(0x100000000));
    assert_int_equal(msg_cmpctblock_read(&m, buf_span(&b)), ERR_RANGE);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_ids_are_those_of_the_blocks_transactions),
        cmocka_unit_test(short_ids_have_six_bytes_little_endian),
        cmocka_unit_test(prefilled_indices_are_distances),
        cmocka_unit_test(a_cut_message_is_refused_at_every_length),
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(indices_beyond_32_bits_are_malformed),
        cmocka_unit_test(answers_hold_whole_transactions),
        cmocka_unit_test(claimed_counts_are_held_against_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
