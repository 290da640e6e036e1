/*
 * Large transactions that pay the wallet. Memory is counted where our own code asks for it (the
 * linker puts the functions below before malloc and its like); what LevelDB takes is not.
 */
#include <config.h>

#include <malloc.h>
#include <stdlib.h>

#include "base/intmath.h"
#include "tests/wallet/history_util.h"
#include "tests/wallet/wallet_util.h"

#define MIB ((size_t)1 << 20)

/* --- memory ---------------------------------------------------------------------------------- */

static size_t in_use, most_in_use;

void *__real_realloc(void *p, size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static void *count_in(void *p)
{
    in_use += malloc_usable_size(p);
    most_in_use = MAX_OF(most_in_use, in_use);
    return p;
}

void *__wrap_realloc(void *p, size_t size)
{
    in_use -= malloc_usable_size(p);
    return count_in(__real_realloc(p, size));
}

void *__wrap_malloc(size_t size)
{
    return __wrap_realloc(NULL, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return count_in(__real_calloc(count, size));
}

void __wrap_free(void *p)
{
    in_use -= malloc_usable_size(p);
    __real_free(p);
}

/* --- what the tests tell --------------------------------------------------------------------- */

/* Pays the script one satoshi, beside much data. */
static struct tx *large_to(uint32_t number, size_t size, struct span to)
{
    struct buf raw = { 0 };
    const struct outpoint from = strange_out(number);
    buf_put_le32(&raw, 1);
    buf_put_u8(&raw, 1);
    buf_put(&raw, from.txid.b, 32);
    buf_put_le32(&raw, from.index);
    buf_put_u8(&raw, 0);
    buf_put_le32(&raw, UINT32_MAX);
    buf_put_u8(&raw, 2);
    buf_put_le64(&raw, 0);
    buf_put_compact(&raw, size);
    memset(buf_extend(&raw, size), 0x6a, size);
    buf_put_le64(&raw, 1);
    buf_put_var_bytes(&raw, to.data, to.len);
    buf_put_le32(&raw, 0);
    struct tx *tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    buf_clear(&raw);
    return tx;
}

static struct tx *large(uint32_t number, size_t size)
{
    return large_to(number, size, payee_script(PAY_MINE));
}

static bool is_whole(void *ctx, const struct history_tx *t)
{
    const struct tx *want = ctx;
    assert_int_equal(t->tx->raw.len, want->raw.len);
    assert_memory_equal(t->tx->raw.data, want->raw.data, want->raw.len);
    return true;
}

static void assert_whole(struct history *h, struct tx *tx)
{
    bool found;
    assert_int_equal(history_get_tx(h, &tx->id, is_whole, tx, &found, NULL), OK);
    assert_true(found);
}

static void assert_unknown(struct history *h, const struct tx *tx)
{
    struct history_tx view;
    bool found;
    assert_int_equal(history_get_tx(h, &tx->id, keep_view, &view, &found, NULL), OK);
    assert_false(found);
}

static size_t count_kind(struct kv *kv, char kind)
{
    size_t n = 0;
    struct kv_iter *it = kv_iter_new(kv);
    for (kv_iter_seek(it, &kind, 1); kv_iter_valid(it); kv_iter_next(it))
        n += (char)kv_iter_key(it).data[0] == kind;
    kv_iter_free(it);
    return n;
}

struct most {
    const struct history *h;
    size_t bytes;
};

static enum err note_bytes(void *ctx, struct error *e)
{
    struct most *m = ctx;
    (void)e;
    m->bytes = MAX_OF(m->bytes, history_bytes(m->h));
    return OK;
}

/* --- the store ------------------------------------------------------------------------------- */

/* Some of them may be in the store: none is there without its block. */
static void large_ones_do_not_wait_for_the_whole_block(void **state)
{
    enum { N = 4, SIZE = 5 << 20 };
    (void)state;
    struct fixture f = start();
    struct tx *txs[N];
    uint64_t fails = 1;
    for (uint32_t i = 0; i < N; i++)
        txs[i] = large(i + 1, SIZE);
    block(&f, NULL);
    struct most most = { f.h, 0 };
    history_before_write(f.h, note_bytes, &most);
    for (enum err rc = ERR_IO; rc; fails++) {
        kv_mem_fail_writes(f.kv, fails);
        rc = apply_at(&f, 1, txs, N);
        kv_mem_fail_writes(f.kv, 0);
        if (!rc)
            break;
        assert_int_equal(rc, ERR_IO);
        assert_sums(&f, 0, 0, 0);
        assert_unknown(f.h, txs[0]);
    }
    assert_in_range(fails, N, 2 * N + 1); /* the last of them was not reached */
    assert_in_range(most.bytes, 1, 6 * MIB); /* not N * SIZE */
    f.height = 1;
    kv_mem_power_cut(f.kv);
    reopen(&f);
    assert_sums(&f, N, 0, 0);
    for (size_t i = 0; i < N; i++)
        assert_whole(f.h, txs[i]);
    undo(&f);
    assert_sums(&f, 0, 0, 0);
    reopen(&f);
    assert_whole(f.h, txs[0]);
    assert_int_equal(history_remove(f.h, &txs[1]->id, NULL), OK);
    assert_unknown(f.h, txs[1]);
    assert_int_equal(apply_at(&f, 1, txs, N), OK);
    assert_sums(&f, N, 0, 0);
    assert_whole(f.h, txs[1]);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(history_remove(f.h, &txs[i]->id, NULL), OK);
        tx_unref(txs[i]);
    }
    assert_int_equal(count_kind(f.kv, 'r') + count_kind(f.kv, 'p'), 0);
    stop(&f);
}

static void large_ones_of_the_mempool_are_kept_too(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *exact = large(1, MIB - 200), *more = large(2, 3 * MIB);
    block(&f, NULL);
    assert_int_equal(history_mempool_add(f.h, exact, 9, NULL), OK);
    assert_int_equal(history_mempool_add(f.h, more, 9, NULL), OK);
    assert_int_equal(count_kind(f.kv, 'p'), 4);
    reopen(&f);
    assert_whole(f.h, exact);
    assert_whole(f.h, more);
    tx_unref(exact);
    tx_unref(more);
    stop(&f);
}

static enum err load(struct fixture *f, const struct tx *tx)
{
    struct history_tx view;
    bool found;
    return history_get_tx(f->h, &tx->id, keep_view, &view, &found, NULL);
}

/* The second piece. */
static void put_piece(struct fixture *f, const struct tx *tx, struct span piece)
{
    uint8_t key[37] = { 'p' };
    memcpy(key + 1, tx->id.b, 32);
    be32_put(key + 33, 1);
    struct kv_batch *b = kv_batch_new(f->kv);
    if (piece.data)
        kv_batch_put(b, key, sizeof key, piece.data, piece.len);
    else
        kv_batch_delete(b, key, sizeof key);
    assert_int_equal(kv_write(f->kv, b, KV_SYNC, NULL), OK);
    kv_batch_free(b);
}

static void damaged_pieces_are_told(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *tx = large(1, 2 * MIB);
    block(&f, tx);
    uint8_t *other = xcalloc(1, MIB);
    assert_int_equal(load(&f, tx), OK);
    put_piece(&f, tx, span_of(other, MIB));
    assert_int_equal(load(&f, tx), ERR_CORRUPT);
    put_piece(&f, tx, span_of(tx->raw.data + MIB, MIB));
    assert_int_equal(load(&f, tx), OK);
    put_piece(&f, tx, span_of(tx->raw.data + MIB, MIB - 1));
    assert_int_equal(load(&f, tx), ERR_CORRUPT);
    put_piece(&f, tx, span_of(NULL, 0));
    assert_int_equal(load(&f, tx), ERR_CORRUPT);
    free(other);
    tx_unref(tx);
    stop(&f);
}

/* --- a block that is told -------------------------------------------------------------------- */

static struct rig rig_on_disk(const char *dir)
{
    const struct kv_options o = { .cache_bytes = MIB, .write_buffer_bytes = MIB };
    struct rig r = { .keys = kv_open_mem(), .height = RIG_START };
    assert_int_equal(kv_open_leveldb(&r.coins, dir, &o, NULL), OK);
    assert_int_equal(wallet_make_keys(r.keys, &wallet_test_params, &from_phrase, NULL), OK);
    assert_int_equal(wallet_open_stores(&r.w, r.keys, r.coins, "w", &wallet_test_params, NULL),
                     OK);
    return r;
}

static void begin_next(struct rig *r)
{
    const struct wallet_block b = { .hash = rig_hash(r, r->height + 1),
                                    .prev = rig_hash(r, r->height), .height = r->height + 1 };
    assert_int_equal(wallet_block_begin(r->w, &b, NULL), OK);
}

/* held: while the block is told; read: when it is through. Above what was there before. */
static void tell_within(struct rig *r, struct tx *const *txs, size_t n, size_t held, size_t read)
{
    const size_t before = in_use;
    most_in_use = in_use;
    begin_next(r);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(wallet_block_tx(r->w, txs[i], (uint32_t)i, NULL), OK);
    assert_in_range(most_in_use - before, 1, held);
    assert_int_equal(wallet_block_end(r->w, NULL), OK);
    assert_in_range(most_in_use - before, 1, read);
    r->height++;
}

static void a_block_of_large_ones_takes_the_memory_of_one(void **state)
{
    enum { N = 3 };
    (void)state;
    char *dir = test_dir_make();
    struct rig r = rig_on_disk(dir);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    struct tx *txs[N];
    next_block(&r, NULL, 0);
    for (uint32_t i = 0; i < N; i++)
        txs[i] = large_to(i, 20 * MIB, script_span(&to));
    tell_within(&r, txs, N, MIB, 23 * MIB);
    assert_int_equal(trusted(&r), N);
    for (size_t i = 0; i < N; i++) {
        assert_whole(wallet_history(r.w), txs[i]);
        tx_unref(txs[i]);
    }
    rig_stop(&r);
    test_dir_remove(dir);
}

static void many_of_ours_are_held_up_to_a_limit(void **state)
{
    enum { N = 40, SIZE = 700000 };
    (void)state;
    char *dir = test_dir_make();
    struct rig r = rig_on_disk(dir);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    struct tx *txs[N];
    next_block(&r, NULL, 0);
    for (uint32_t i = 0; i < N; i++)
        txs[i] = large_to(i, SIZE, script_span(&to));
    tell_within(&r, txs, N, 17 * MIB, 34 * MIB); /* of 27 MiB, which would be twice there at last */
    assert_int_equal(trusted(&r), N);
    for (size_t i = 0; i < N; i++) {
        assert_whole(wallet_history(r.w), txs[i]);
        tx_unref(txs[i]);
    }
    rig_stop(&r);
    test_dir_remove(dir);
}

static void what_is_removed_while_its_block_is_told_is_wanted_again(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    struct tx *tx = large_to(1, 17 * MIB, script_span(&to));
    next_block(&r, NULL, 0);
    assert_int_equal(wallet_mempool_add(r.w, tx, NULL), OK);
    begin_next(&r);
    assert_int_equal(wallet_block_tx(r.w, tx, 0, NULL), OK);
    assert_int_equal(history_remove(wallet_history(r.w), &tx->id, NULL), OK);
    assert_int_equal(wallet_block_end(r.w, NULL), ERR_BUSY);
    assert_int_equal(trusted(&r), 0);
    next_block(&r, &tx, 1);
    assert_int_equal(trusted(&r), 1);
    assert_whole(wallet_history(r.w), tx);
    tx_unref(tx);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_ones_do_not_wait_for_the_whole_block),
        cmocka_unit_test(large_ones_of_the_mempool_are_kept_too),
        cmocka_unit_test(damaged_pieces_are_told),
        cmocka_unit_test(a_block_of_large_ones_takes_the_memory_of_one),
        cmocka_unit_test(many_of_ours_are_held_up_to_a_limit),
        cmocka_unit_test(what_is_removed_while_its_block_is_told_is_wanted_again),
    };
    ec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
