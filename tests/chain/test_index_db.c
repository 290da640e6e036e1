/* The index database: what is written comes back, what is damaged is named. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/kv.h"
#include "base/mem.h"
#include "chain/index_db.h"
#include "tests/chain/header_util.h"
#include "tests/kv_tools.h"
#include "tests/test.h"

static void record_info(void *ctx, const struct blockfile_info *info)
{
    *(struct blockfile_info *)ctx = *info;
}

static struct blockfiles *open_files(const char *dir)
{
    struct blockfiles *bf;
    struct blockfiles_options o = { .dir = dir, .magic = { 1, 2, 3, 4 } };
    assert_int_equal(blockfiles_open(&bf, &o, NULL, 0, NULL), OK);
    return bf;
}

static void nodes_and_files_come_back_as_they_were(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    struct blockfiles *bf = open_files(dir);
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    struct header_index *idx = header_index_new(p);
    struct block_header *h = headers_mine(&p->genesis_hash, p->genesis.time + 1, 0, 20);
    struct header_node *last = headers_accept(idx, h, 20);
    struct kv *kv = kv_open_mem(), *copy;
    struct index_db *db;
    struct error e;
    struct block_pos pos;
    assert_int_equal(index_db_open(&db, kv, &e), OK);
    assert_int_equal(blockfiles_write(bf, "a block", 7, 20, &pos, &e), OK);
    header_index_set_data(idx, last, &pos, 3, 0x01020304);
    header_index_set_undo(idx, last,
                          &(struct block_pos){ .file = 0, .offset = 9, .size = UINT64_C(1) << 40 });
    header_index_set_status(idx, last, HS_SCRIPTS_OK, 0);
    header_index_fail(idx, last->prev, HS_FAILED_LIMIT);
    assert_int_equal(blockfiles_sync(bf, &e), OK);
    assert_int_equal(index_db_flush(db, idx, bf, &e), OK);
    copy = kv_copy(kv);
    index_db_close(db);

    struct header_index *again = header_index_new(p);
    struct blockfile_info *infos, want = { 0 };
    size_t n;
    assert_int_equal(index_db_open(&db, copy, &e), OK);
    assert_int_equal(index_db_load(db, again, &infos, &n, &e), OK);
    assert_int_equal(header_index_count(again), 21);
    struct header_node *found = header_index_find(again, &last->hash);
    assert_non_null(found);
    struct header_data a, b;
    header_index_get_data(idx, last, &a);
    header_index_get_data(again, found, &b);
    assert_int_equal(a.data.file, b.data.file);
    assert_int_equal(a.data.offset, b.data.offset);
    assert_int_equal(a.data.size, b.data.size);
    assert_int_equal(b.undo.size, UINT64_C(1) << 40);
    assert_int_equal(a.status, b.status);
    assert_int_equal(b.tx_count, 3);
    assert_int_equal(b.wire_checksum, 0x01020304);
    assert_true(atomic_load(&found->prev->status) & HS_FAILED_LIMIT);
    blockfiles_each(bf, record_info, &want);
    assert_int_equal(n, 1);
    assert_int_equal(infos[0].data_size, want.data_size);
    assert_int_equal(infos[0].blocks, 1);
    assert_int_equal(infos[0].height_last, 20);
    free(infos);
    index_db_close(db);
    header_index_free(again);
    header_index_free(idx);
    free(h);
    blockfiles_close(bf);
    test_dir_remove(dir);
}

static void a_flush_that_fails_says_so(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    struct blockfiles *bf = open_files(dir);
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    struct header_index *idx = header_index_new(p);
    struct block_header *h = headers_mine(&p->genesis_hash, p->genesis.time + 1, 0, 3);
    struct kv *kv = kv_open_mem();
    struct index_db *db;
    struct error e;
    headers_accept(idx, h, 3);
    assert_int_equal(index_db_open(&db, kv, &e), OK);
    kv_mem_fail_writes(kv, 1);
    assert_int_equal(index_db_flush(db, idx, bf, &e), ERR_IO);
    index_db_close(db);
    header_index_free(idx);
    free(h);
    blockfiles_close(bf);
    test_dir_remove(dir);
}

/* Many headers take several writes; whichever is the last, what is there has all its parents. */
static void a_flush_cut_off_between_its_writes_can_be_loaded(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    struct blockfiles *bf = open_files(dir);
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    const size_t headers = 90000;
    struct block_header *h = headers_mine(&p->genesis_hash, p->genesis.time + 1, 0, headers);
    size_t loaded = 0;
    for (uint64_t fail_at = 2; fail_at <= 3; fail_at++) {
        struct header_index *idx = header_index_new(p), *again = header_index_new(p);
        struct kv *kv = kv_open_mem();
        struct index_db *db;
        struct blockfile_info *infos;
        size_t n;
        struct error e;
        assert_int_equal(index_db_open(&db, kv, &e), OK);
        headers_accept(idx, h, headers);
        kv_mem_fail_writes(kv, fail_at);
        assert_int_equal(index_db_flush(db, idx, bf, &e), ERR_IO);
        struct kv *left = kv_copy(kv);
        index_db_close(db);

        assert_int_equal(index_db_open(&db, left, &e), OK);
        assert_int_equal(index_db_load(db, again, &infos, &n, &e), OK);
        assert_true(header_index_count(again) > loaded + 1000);
        loaded = header_index_count(again);
        assert_true(loaded < headers);
        assert_int_equal(header_index_best(again)->height, loaded - 1);
        free(infos);
        index_db_close(db);
        header_index_free(idx);
        header_index_free(again);
    }
    free(h);
    blockfiles_close(bf);
    test_dir_remove(dir);
}

static void flags_are_false_until_set(void **state)
{
    (void)state;
    struct index_db *db;
    bool value = true;
    assert_int_equal(index_db_open(&db, kv_open_mem(), NULL), OK);
    assert_int_equal(index_db_get_flag(db, "reindexing", &value, NULL), OK);
    assert_false(value);
    assert_int_equal(index_db_set_flag(db, "reindexing", true, NULL), OK);
    assert_int_equal(index_db_get_flag(db, "reindexing", &value, NULL), OK);
    assert_true(value);
    assert_int_equal(index_db_get_flag(db, "reindex", &value, NULL), OK);
    assert_false(value);
    assert_int_equal(index_db_set_flag(db, "reindexing", false, NULL), OK);
    assert_int_equal(index_db_get_flag(db, "reindexing", &value, NULL), OK);
    assert_false(value);
    index_db_close(db);
}

static void an_unknown_format_is_refused_with_advice(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct kv_batch *b = kv_batch_new(kv);
    struct index_db *db;
    struct error e;
    kv_batch_put(b, "V", 1, "\x09\x00\x00\x00", 4);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    assert_int_equal(index_db_open(&db, kv, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "-reindex"));
}

/* Every record cut short, and every header with a bit flipped, is told apart from a good one. */
static void damaged_records_are_errors_and_no_headers(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    struct blockfiles *bf = open_files(dir);
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    struct header_index *idx = header_index_new(p);
    struct block_header *h = headers_mine(&p->genesis_hash, p->genesis.time + 1, 0, 1);
    struct header_node *node = headers_accept(idx, h, 1);
    struct kv *kv = kv_open_mem();
    struct index_db *db;
    uint8_t key[37] = { 'b' };
    struct buf value = { 0 };
    bool found;
    assert_int_equal(index_db_open(&db, kv, NULL), OK);
    assert_int_equal(index_db_flush(db, idx, bf, NULL), OK);
    be32_put(key + 1, 1);
    memcpy(key + 5, node->hash.b, 32);
    assert_int_equal(kv_get(kv, key, sizeof(key), &value, &found, NULL), OK);
    assert_true(found);
    for (size_t i = 0; i < value.len + 80; i++) {
        struct kv_batch *b = kv_batch_new(kv);
        struct buf bad = { 0 };
        size_t len = i < value.len ? i : value.len;
        buf_put(&bad, value.data, len);
        if (i >= value.len)
            bad.data[i - value.len] ^= 0x10; /* of the header */
        kv_batch_put(b, key, sizeof(key), bad.data, bad.len);
        assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
        kv_batch_free(b);
        buf_clear(&bad);
        struct header_index *fresh = header_index_new(p);
        struct blockfile_info *infos;
        size_t n;
        struct error e;
        assert_int_equal(index_db_load(db, fresh, &infos, &n, &e), ERR_CORRUPT);
        assert_non_null(strstr(e.text, "-reindex"));
        header_index_free(fresh);
    }
    buf_clear(&value);
    index_db_close(db);
    header_index_free(idx);
    free(h);
    blockfiles_close(bf);
    test_dir_remove(dir);
}

static void transactions_are_found_where_they_were_put(void **state)
{
    (void)state;
    struct index_db *db;
    struct tx_location loc = { .block = { { 1, 2, 3 } }, .offset = UINT64_C(5) << 32, .size = 250 },
                       got;
    struct txid id = { { 7 } }, other = { { 8 } };
    struct block_hash tip;
    bool found;
    assert_int_equal(index_db_open(&db, kv_open_mem(), NULL), OK);
    assert_int_equal(index_db_get_tx_tip(db, &tip, &found, NULL), OK);
    assert_false(found);
    struct index_batch *b = index_batch_new(db);
    index_batch_put_tx(b, &id, &loc);
    index_batch_set_tx_tip(b, &loc.block);
    assert_true(index_batch_bytes(b) > 60);
    assert_int_equal(index_db_find_tx(db, &id, &got, &found, NULL), OK);
    assert_false(found);
    assert_int_equal(index_batch_write(b, KV_SYNC, NULL), OK);
    index_batch_free(b);
    assert_int_equal(index_db_find_tx(db, &id, &got, &found, NULL), OK);
    assert_true(found);
    assert_memory_equal(got.block.b, loc.block.b, 32);
    assert_int_equal(got.offset, loc.offset);
    assert_int_equal(got.size, loc.size);
    assert_int_equal(index_db_find_tx(db, &other, &got, &found, NULL), OK);
    assert_false(found);
    assert_int_equal(index_db_get_tx_tip(db, &tip, &found, NULL), OK);
    assert_true(found);
    assert_memory_equal(tip.b, loc.block.b, 32);
    index_db_close(db);
}

struct seen_spends {
    struct block_hash blocks[4];
    struct txid spenders[4];
    size_t n, stop_at;
};

static bool see_spend(void *ctx, const struct block_hash *block, const struct txid *spender)
{
    struct seen_spends *s = ctx;
    s->blocks[s->n] = *block;
    s->spenders[s->n++] = *spender;
    return s->n != s->stop_at;
}

static void the_spends_of_one_marker_are_found_on_all_branches(void **state)
{
    (void)state;
    struct index_db *db;
    struct kv *kv = kv_open_mem();
    const struct outpoint marker = { { { 7 } }, 1 }, next = { { { 7 } }, 2 },
                          other = { { { 8 } }, 1 };
    const struct block_hash a = { { 1 } }, b = { { 0xff } };
    const struct txid x = { { 5 } }, y = { { 6 } };
    assert_int_equal(index_db_open(&db, kv, NULL), OK);
    struct index_batch *batch = index_batch_new(db);
    index_batch_put_spend(batch, &marker, &a, &x);
    index_batch_put_spend(batch, &marker, &b, &y);
    index_batch_put_spend(batch, &next, &a, &y);
    index_batch_put_tx(batch, &x, &(struct tx_location){ .block = a });
    assert_int_equal(index_batch_write(batch, KV_SYNC, NULL), OK);
    assert_int_equal(index_batch_bytes(batch), 0);

    struct seen_spends s = { .n = 0 }, first = { .stop_at = 1 }, none = { .n = 0 };
    assert_int_equal(index_db_each_spend(db, &marker, see_spend, &s, NULL), OK);
    assert_int_equal(s.n, 2);
    assert_memory_equal(s.blocks[0].b, a.b, 32);
    assert_memory_equal(s.spenders[0].b, x.b, 32);
    assert_memory_equal(s.blocks[1].b, b.b, 32);
    assert_memory_equal(s.spenders[1].b, y.b, 32);
    assert_int_equal(index_db_each_spend(db, &marker, see_spend, &first, NULL), OK);
    assert_int_equal(first.n, 1);
    assert_int_equal(index_db_each_spend(db, &other, see_spend, &none, NULL), OK);
    assert_int_equal(none.n, 0);
    index_batch_free(batch);
    index_db_close(db);
}

static void a_damaged_spend_is_named(void **state)
{
    (void)state;
    struct index_db *db;
    struct error e = { .code = OK };
    struct seen_spends s = { .n = 0 };
    struct kv *kv = kv_open_mem();
    const struct outpoint marker = { .index = 1 };
    const uint8_t key[69] = { [0] = 'm', [36] = 1 };
    struct kv_batch *b = kv_batch_new(kv);
    kv_batch_put(b, key, sizeof key, "short", 5);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    assert_int_equal(index_db_open(&db, kv, NULL), OK);
    assert_int_equal(index_db_each_spend(db, &marker, see_spend, &s, &e), ERR_CORRUPT);
    assert_int_equal(s.n, 0);
    assert_non_null(strstr(e.text, "-reindex"));
    index_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_files_come_back_as_they_were),
        cmocka_unit_test(a_flush_that_fails_says_so),
        cmocka_unit_test(a_flush_cut_off_between_its_writes_can_be_loaded),
        cmocka_unit_test(flags_are_false_until_set),
        cmocka_unit_test(an_unknown_format_is_refused_with_advice),
        cmocka_unit_test(damaged_records_are_errors_and_no_headers),
        cmocka_unit_test(transactions_are_found_where_they_were_put),
        cmocka_unit_test(the_spends_of_one_marker_are_found_on_all_branches),
        cmocka_unit_test(a_damaged_spend_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
