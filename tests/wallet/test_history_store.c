/* The rows of a history: how they are written, what damage does, marks, blocks that wait. */
#include <config.h>

#include "wallet/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "tests/wallet/history_util.h"
#include "wallet/history_internal.h"

/* --- the store ------------------------------------------------------------------------------- */

static void the_engine_of_the_product_keeps_it(void **state)
{
    (void)state;
    const struct kv_options o = { .cache_bytes = 1 << 20, .write_buffer_bytes = 1 << 20 };
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_MINE);
    struct fixture f = { .scripts = payee_scripts(), .height = -1 };
    char *dir = test_dir_make();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kv_open_leveldb(&f.kv, dir, &o, NULL), OK);
        assert_int_equal(history_open(&f.h, f.kv, f.scripts, NULL), OK);
        block(&f, i ? NULL : in);
        assert_int_equal(history_mempool_add(f.h, out, 9, NULL), OK);
        assert_sums(&f, 60, 0, 0);
        history_close(f.h);
    }
    assert_int_equal(f.height, 2);
    scripts_free(f.scripts);
    test_dir_remove(dir);
    tx_unref(in);
    tx_unref(out);
}

static void damaged_rows_are_told(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_MINE);
    block(&f, NULL);
    block(&f, in);
    assert_int_equal(history_mempool_add(f.h, out, 9, NULL), OK);
    size_t n = 0, refused = 0;
    struct kv_iter *it = kv_iter_new(f.kv);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it), n++) {
        /* One byte less in one row. */
        const struct span key = kv_iter_key(it), value = kv_iter_value(it);
        struct kv *kv = kv_copy(f.kv);
        struct kv_batch *b = kv_batch_new(kv);
        struct history *h = NULL;
        kv_batch_put(b, key.data, key.len, value.data, value.len ? value.len - 1 : 0);
        assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
        kv_batch_free(b);
        enum err rc = history_open(&h, kv, f.scripts, NULL);
        if (!rc) {
            struct order o = { .max = 8 };
            rc = history_list(h, 0, keep_time, &o, NULL);
            history_close(h);
        }
        assert_true(rc == OK || rc == ERR_CORRUPT);
        refused += rc != OK;
    }
    kv_iter_free(it);
    assert_true(n > 10);
    assert_true(refused >= n - 4); /* not needed: places, the empty row, spent coins */
    tx_unref(in);
    tx_unref(out);
    stop(&f);
}

/* The record of a transaction is gone, the lists still name it. */
static void a_missing_record_is_told_by_name(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *tx = pay(1, strange_out(1), 70, PAY_MINE);
    struct error e = { .code = OK };
    struct order o = { .max = 8 };
    char hex[HASH_HEX_SIZE];
    bool found;
    block(&f, NULL);
    block(&f, tx);
    uint8_t key[33] = { 't' };
    memcpy(key + 1, tx->id.b, 32);
    struct kv_batch *b = kv_batch_new(f.kv);
    kv_batch_delete(b, key, sizeof key);
    assert_int_equal(kv_write(f.kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
    reopen(&f);
    assert_int_equal(history_list(f.h, 0, keep_time, &o, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, hash_to_hex(hex, tx->id.b)));
    assert_int_equal(history_list_since(f.h, -1, keep_time, &o, NULL), ERR_CORRUPT);
    assert_int_equal(history_get_tx(f.h, &tx->id, keep_time, &o, &found, NULL), OK);
    assert_false(found);
    tx_unref(tx);
    stop(&f);
}

static void put_version(struct kv *kv, uint32_t version)
{
    uint8_t value[4];
    struct kv_batch *b = kv_batch_new(kv);
    le32_put(value, version);
    kv_batch_put(b, "V", 1, value, sizeof value);
    assert_int_equal(kv_write(kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
}

static void assert_marks(struct fixture *f, int32_t best, int32_t scan_next)
{
    struct block_hash hash;
    int32_t height;
    assert_true(history_best(f->h, &hash, &height));
    assert_int_equal(height, best);
    assert_true(memcmp(hash.b, hash_at(f, best).b, 32) == 0);
    assert_int_equal(history_scan_next(f->h), scan_next);
}

static void marks_that_could_not_be_written_are_not_shown(void **state)
{
    (void)state;
    struct fixture f = start();
    for (int i = 0; i < 4; i++)
        block(&f, NULL);
    put_version(f.kv, 99); /* so that memory cannot be read anew either */
    kv_mem_fail_writes(f.kv, 1);
    assert_int_equal(apply_at(&f, 4, NULL, 0), ERR_IO);
    assert_marks(&f, 3, HISTORY_NO_HEIGHT);
    assert_int_equal(apply_at(&f, 4, NULL, 0), ERR_CORRUPT);
    assert_marks(&f, 3, HISTORY_NO_HEIGHT);
    kv_mem_fail_writes(f.kv, 0);
    put_version(f.kv, 1);
    assert_int_equal(history_begin_rescan(f.h, 1, HISTORY_TO_BEST, NULL), OK);
    put_version(f.kv, 99);
    kv_mem_fail_writes(f.kv, 1);
    assert_int_equal(apply_at(&f, 1, NULL, 0), ERR_IO);
    assert_marks(&f, 3, 1);
    kv_mem_fail_writes(f.kv, 0);
    put_version(f.kv, 1);
    assert_int_equal(apply_at(&f, 1, NULL, 0), OK);
    assert_marks(&f, 3, 2);
    stop(&f);
}

static void a_rescan_ends_where_it_was_told_to(void **state)
{
    (void)state;
    struct fixture f = start();
    for (int i = 0; i < 8; i++)
        block(&f, NULL);
    assert_int_equal(history_begin_rescan(f.h, 3, 2, NULL), ERR_RANGE);
    assert_int_equal(history_begin_rescan(f.h, 2, 3, NULL), OK);
    assert_int_equal(history_scan_last(f.h), 3);
    assert_int_equal(history_begin_rescan(f.h, 4, 5, NULL), OK); /* one over both */
    reopen(&f);
    for (int32_t height = 2; height <= 5; height++) {
        assert_marks(&f, 7, height);
        assert_int_equal(history_scan_last(f.h), 5);
        assert_int_equal(apply_at(&f, height, NULL, 0), OK);
    }
    assert_marks(&f, 7, HISTORY_NO_HEIGHT);
    assert_int_equal(history_begin_rescan(f.h, 7, HISTORY_TO_BEST, NULL), OK);
    reopen(&f);
    assert_int_equal(history_scan_last(f.h), 7); /* the end of the first is forgotten */
    stop(&f);
}

static void assert_gap(const struct fixture *f, int32_t from, int32_t to)
{
    int32_t first, last;
    assert_true(history_gap(f->h, &first, &last));
    assert_int_equal(first, from);
    assert_int_equal(last, to);
}

static bool has_gap(const struct fixture *f)
{
    int32_t first, last;
    return history_gap(f->h, &first, &last);
}

static void a_rescan_whose_block_is_gone_ends_and_says_what_it_left_out(void **state)
{
    (void)state;
    struct fixture f = start();
    for (int i = 0; i < 8; i++)
        block(&f, NULL);
    assert_int_equal(history_begin_rescan(f.h, 1, HISTORY_TO_BEST, NULL), OK);
    assert_int_equal(apply_at(&f, 1, NULL, 0), OK);
    assert_int_equal(history_break_rescan(f.h, 1, NULL), OK); /* has it */
    assert_false(has_gap(&f));
    kv_mem_fail_writes(f.kv, 1);
    assert_int_equal(history_break_rescan(f.h, 2, NULL), ERR_IO);
    kv_mem_fail_writes(f.kv, 0);
    assert_false(has_gap(&f));
    assert_marks(&f, 7, 2);
    assert_int_equal(history_broken(f.h), 0);
    assert_int_equal(history_break_rescan(f.h, 2, NULL), OK);
    assert_int_equal(history_broken(f.h), 1);
    assert_marks(&f, 7, HISTORY_NO_HEIGHT);
    block(&f, NULL); /* the tip goes on */
    reopen(&f);
    assert_gap(&f, 2, 7);
    assert_marks(&f, 8, HISTORY_NO_HEIGHT);
    stop(&f);
}

static void a_later_rescan_makes_up_for_what_was_left_out(void **state)
{
    (void)state;
    struct fixture f = start();
    for (int i = 0; i < 10; i++)
        block(&f, NULL);
    assert_int_equal(history_begin_rescan(f.h, 2, 8, NULL), OK);
    assert_int_equal(history_break_rescan(f.h, 2, NULL), OK);
    assert_gap(&f, 2, 8);
    assert_int_equal(history_begin_rescan(f.h, 4, 5, NULL), OK);
    assert_gap(&f, 2, 8);
    for (int32_t height = 4; height <= 5; height++)
        assert_int_equal(apply_at(&f, height, NULL, 0), OK);
    assert_gap(&f, 2, 8);
    assert_int_equal(history_begin_rescan(f.h, 7, HISTORY_TO_BEST, NULL), OK);
    assert_gap(&f, 2, 6);
    assert_int_equal(apply_at(&f, 7, NULL, 0), OK);
    assert_int_equal(history_break_rescan(f.h, 8, NULL), OK); /* nor is this one there */
    assert_gap(&f, 2, 9);
    undo(&f); /* what comes instead of it is told anyway */
    assert_gap(&f, 2, 8);
    assert_int_equal(history_begin_rescan(f.h, 0, 3, NULL), OK);
    assert_gap(&f, 4, 8);
    assert_int_equal(history_begin_rescan(f.h, 0, HISTORY_TO_BEST, NULL), OK);
    assert_false(has_gap(&f));
    reopen(&f);
    assert_false(has_gap(&f));
    assert_marks(&f, 8, 0);
    stop(&f);
}

static enum err apply_later(struct fixture *f, int32_t height, struct tx *tx)
{
    const struct history_block_tx list = { .tx = tx };
    const struct history_block b = { .hash = hash_at(f, height), .prev = hash_at(f, height - 1),
                                     .height = height, .time = 1, .txs = &list, .n = tx != NULL };
    return history_apply_block_later(f->h, &b, NULL);
}

static enum err count_write(void *ctx, struct error *e)
{
    (void)e;
    ++*(int *)ctx;
    return OK;
}

static void blocks_that_wait_are_written_together_or_not_at_all(void **state)
{
    (void)state;
    enum { MANY = 500 };
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_MINE);
    int writes = 0;
    block(&f, NULL);
    history_before_write(f.h, count_write, &writes);
    for (int i = 0; i < 2; i++) {
        const size_t rows = count_rows(f.kv);
        assert_int_equal(apply_later(&f, 1, in), OK);
        assert_int_equal(apply_later(&f, 2, out), OK); /* spends what is not written yet */
        for (int32_t height = 3; height < MANY; height++)
            assert_int_equal(apply_later(&f, height, NULL), OK);
        assert_marks(&f, MANY - 1, HISTORY_NO_HEIGHT);
        assert_int_equal(count_rows(f.kv), rows);
        assert_int_equal(writes, i); /* the failed one */
        kv_mem_fail_writes(f.kv, i == 0);
        assert_int_equal(history_sync(f.h, NULL), i == 0 ? ERR_IO : OK);
        assert_marks(&f, i == 0 ? 0 : MANY - 1, HISTORY_NO_HEIGHT);
        kv_mem_fail_writes(f.kv, 0);
    }
    assert_int_equal(writes, 2);
    reopen(&f);
    assert_marks(&f, MANY - 1, HISTORY_NO_HEIGHT);
    assert_sums(&f, 60, 0, 0);
    tx_unref(in);
    tx_unref(out);
    stop(&f);
}

static bool count_tx(void *ctx, const struct history_tx *t)
{
    (void)t;
    ++*(int *)ctx;
    return true;
}

static void what_waits_is_read(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *tx = pay(1, strange_out(1), 70, PAY_MINE);
    int listed = 0;
    block(&f, NULL);
    for (int32_t height = 1; height <= 3; height++) /* as early coinbases came twice */
        assert_int_equal(apply_later(&f, height, tx), OK);
    assert_int_equal(history_list(f.h, 0, count_tx, &listed, NULL), OK);
    assert_int_equal(listed, 1);
    assert_int_equal(view_of(&f, tx).height, 3);
    tx_unref(tx);
    stop(&f);
}

static void what_waits_takes_little_memory(void **state)
{
    (void)state;
    struct fixture f = start();
    int writes = 0;
    block(&f, NULL);
    history_before_write(f.h, count_write, &writes);
    for (uint32_t i = 0; i < 4000; i++) {
        const struct outpoint from = strange_out(i);
        struct coin_out outs[8];
        for (size_t k = 0; k < COUNT_OF(outs); k++)
            outs[k] = (struct coin_out){ 5, PAY_MINE };
        struct tx *tx = coin_tx(i, &from, 1, outs, COUNT_OF(outs));
        assert_int_equal(apply_later(&f, (int32_t)i + 1, tx), OK);
        tx_unref(tx);
    }
    assert_in_range(writes, 4, 40); /* some 10 MB of rows */
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_of_the_product_keeps_it),
        cmocka_unit_test(damaged_rows_are_told),
        cmocka_unit_test(a_missing_record_is_told_by_name),
        cmocka_unit_test(marks_that_could_not_be_written_are_not_shown),
        cmocka_unit_test(a_rescan_ends_where_it_was_told_to),
        cmocka_unit_test(a_rescan_whose_block_is_gone_ends_and_says_what_it_left_out),
        cmocka_unit_test(a_later_rescan_makes_up_for_what_was_left_out),
        cmocka_unit_test(blocks_that_wait_are_written_together_or_not_at_all),
        cmocka_unit_test(what_waits_is_read),
        cmocka_unit_test(what_waits_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
