/* A history over a store in memory, and blocks for it. */
#ifndef TESTS_WALLET_HISTORY_UTIL_H
#define TESTS_WALLET_HISTORY_UTIL_H

#include "tests/wallet/coin_tx.h"
#include "wallet/history.h"

struct fixture {
    struct kv *kv;
    struct scripts *scripts;
    struct history *h;
    int32_t height; /* of the best block; its hash is made from the branch and the height */
    uint8_t branch;
};

static inline struct fixture start(void)
{
    struct fixture f = { .kv = kv_open_mem(), .scripts = payee_scripts(), .height = -1 };
    assert_int_equal(history_open(&f.h, f.kv, f.scripts, NULL), OK);
    return f;
}

static inline void stop(struct fixture *f)
{
    history_close(f->h);
    scripts_free(f->scripts);
}

/* As after the end of the process. */
static inline void reopen(struct fixture *f)
{
    struct kv *kv = kv_copy(f->kv);
    history_close(f->h);
    f->kv = kv;
    assert_int_equal(history_open(&f->h, kv, f->scripts, NULL), OK);
}

static inline struct block_hash hash_at(const struct fixture *f, int32_t height)
{
    struct block_hash hash = { .b = { f->branch } };
    le32_put(hash.b + 4, (uint32_t)height);
    return hash;
}

static inline enum err apply_at(struct fixture *f, int32_t height, struct tx *const *txs, size_t n)
{
    struct history_block_tx list[8];
    for (size_t i = 0; i < n; i++)
        list[i] = (struct history_block_tx){ .tx = txs[i], .position = (uint32_t)i };
    const struct history_block b = { .hash = hash_at(f, height), .prev = hash_at(f, height - 1),
                                     .height = height, .time = 1000 + height,
                                     .txs = list, .n = n };
    return history_apply_block(f->h, &b, NULL);
}

/* The next block; tx may be NULL. */
static inline void block(struct fixture *f, struct tx *tx)
{
    assert_int_equal(apply_at(f, f->height + 1, &tx, tx != NULL), OK);
    f->height++;
}

static inline void undo(struct fixture *f)
{
    const struct block_hash hash = hash_at(f, f->height), prev = hash_at(f, f->height - 1);
    assert_int_equal(history_undo_block(f->h, &hash, &prev, NULL), OK);
    f->height--;
}

static inline struct history_sums sums(struct fixture *f)
{
    struct history_balance b;
    assert_int_equal(history_balance(f->h, 0, &b, NULL), OK);
    return b.spendable;
}

static inline void assert_sums(struct fixture *f, int64_t trusted, int64_t pending,
                               int64_t immature)
{
    const struct history_sums s = sums(f);
    assert_int_equal(s.trusted, trusted);
    assert_int_equal(s.pending, pending);
    assert_int_equal(s.immature, immature);
}

static inline struct tx *pay(uint32_t number, struct outpoint from, int64_t value,
                             enum payee payee)
{
    const struct coin_out out = { value, payee };
    return coin_tx(number, &from, 1, &out, 1);
}

static inline bool keep_view(void *ctx, const struct history_tx *t)
{
    struct history_tx *view = ctx;
    *view = *t;
    view->tx = NULL;
    return true;
}

static inline struct history_tx view_of(struct fixture *f, const struct tx *tx)
{
    struct history_tx view;
    bool found;
    assert_int_equal(history_get_tx(f->h, &tx->id, keep_view, &view, &found, NULL), OK);
    assert_true(found);
    return view;
}

static inline size_t count_rows(struct kv *kv)
{
    size_t n = 0;
    struct kv_iter *it = kv_iter_new(kv);
    for (kv_iter_seek(it, "", 0); kv_iter_valid(it); kv_iter_next(it))
        n++;
    kv_iter_free(it);
    return n;
}

struct order {
    int64_t first[8];
    size_t n, max;
};

static inline bool keep_time(void *ctx, const struct history_tx *t)
{
    struct order *o = ctx;
    o->first[o->n++] = t->time;
    return o->n < o->max;
}

#endif
