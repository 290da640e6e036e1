#include <config.h>

#include "chain/nonfinal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/chain/pool_util.h"

#define FINAL TX_SEQUENCE_FINAL
#define MEGABYTE 1000000

/* --- memory that is short --- */

static bool memory_is_short;

void *__real_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size)
{
    return memory_is_short ? NULL : __real_try_alloc(count, size);
}

/* --- transactions --- */

struct input {
    uint32_t coin, sequence;
};

/* Spends coins with these sequences; the lock time tells transactions apart. */
static struct tx *make(const struct input *in, size_t n, uint32_t lock_time)
{
    struct buf b = { 0 };
    buf_put_le32(&b, 1);
    buf_put_compact(&b, n);
    for (size_t i = 0; i < n; i++) {
        const struct outpoint coin = pool_coin(in[i].coin);
        buf_put(&b, coin.txid.b, 32);
        buf_put_le32(&b, coin.index);
        buf_put_compact(&b, 0);
        buf_put_le32(&b, in[i].sequence);
    }
    buf_put_compact(&b, 1);
    buf_put_le64(&b, 1000);
    buf_put_compact(&b, 1);
    buf_put_u8(&b, 0x51);
    buf_put_le32(&b, lock_time);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

#define TX(lock_time, ...)                                                                         \
    make((const struct input[]){ __VA_ARGS__ },                                                    \
         sizeof((const struct input[]){ __VA_ARGS__ }) / sizeof(struct input), lock_time)

/* Takes it in and gives the reference away; the pool has it. */
static struct tx *hold(struct nonfinal *nf, struct tx *tx)
{
    struct verdict v = { 0 };
    assert_true(nonfinal_add(nf, tx, NULL, 1000, &v));
    tx_unref(tx);
    return tx;
}

/* What a transaction, whose reference is given away, means; the reason of a refusal, or "". */
static struct tx *held;
static struct verdict verdict;
static enum nonfinal_relation relate(const struct nonfinal *nf, struct tx *tx, bool final)
{
    verdict = (struct verdict){ 0 };
    const enum nonfinal_relation r = nonfinal_relate(nf, tx, final, &held, &verdict);
    assert_int_equal(r == NONFINAL_REFUSED, verdict.code != REJECT_NONE);
    tx_unref(tx);
    return r;
}

#define assert_refused(nf, tx, final, why)                                                         \
    do {                                                                                           \
        assert_int_equal(relate(nf, tx, final), NONFINAL_REFUSED);                                 \
        assert_string_equal(verdict.reason, why);                                                  \
        assert_int_equal(verdict.ban_score, 0);                                                    \
    } while (0)

/* --- relations --- */

static void what_touches_nothing_is_unrelated(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    assert_int_equal(relate(nf, TX(500, { 1, 0 }), false), NONFINAL_UNRELATED);
    hold(nf, TX(500, { 1, 0 }));
    assert_int_equal(relate(nf, TX(500, { 2, 0 }), false), NONFINAL_UNRELATED);
    assert_int_equal(relate(nf, TX(0, { 2, FINAL }), true), NONFINAL_UNRELATED);
    assert_null(held);
    nonfinal_free(nf);
}

static void behaviour_82_an_update_raises_a_sequence(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *old = hold(nf, TX(500, { 1, 5 }, { 2, 5 }));
    /* Replaced: one higher, whatever else changes. */
    assert_int_equal(relate(nf, TX(500, { 1, 6 }, { 2, 5 }), false), NONFINAL_UPDATE);
    assert_ptr_equal(held, old);
    assert_int_equal(relate(nf, TX(900, { 1, 5 }, { 2, FINAL }), false), NONFINAL_UPDATE);
    /* Equal, lower, reordered, one more, one less. */
    assert_refused(nf, TX(501, { 1, 5 }, { 2, 5 }), false, "bad-txn-update");
    assert_int_equal(verdict.code, REJECT_INVALID);
    assert_refused(nf, TX(500, { 1, 6 }, { 2, 4 }), false, "bad-txn-update");
    assert_refused(nf, TX(500, { 2, 6 }, { 1, 6 }), false, "bad-txn-update");
    assert_refused(nf, TX(500, { 1, 6 }, { 2, 5 }, { 3, 0 }), false, "bad-txn-update");
    assert_refused(nf, TX(500, { 1, 6 }), false, "bad-txn-update");
    assert_refused(nf, TX(500, { 1, 6 }, { 3, 5 }), false, "bad-txn-update");
    /* Two held ones. */
    hold(nf, TX(500, { 3, 5 }));
    assert_refused(nf, TX(500, { 2, 6 }, { 3, 6 }), false, "bad-txn-update");
    nonfinal_free(nf);
}

static void behaviour_83_a_final_transaction_has_the_last_word_over_all_inputs_or_none(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *old = hold(nf, TX(500, { 1, 5 }, { 2, 5 }));
    hold(nf, TX(500, { 3, 5 }));
    assert_int_equal(relate(nf, TX(0, { 1, FINAL }, { 2, FINAL }), true), NONFINAL_FINALISES);
    assert_ptr_equal(held, old);
    /* A part of its inputs alone, or in another order. */
    assert_refused(nf, TX(0, { 1, FINAL }), true, "bad-txn-update");
    assert_refused(nf, TX(0, { 2, FINAL }, { 1, FINAL }), true, "bad-txn-update");
    /* A foreign input, two held ones, final by its lock time. */
    assert_refused(nf, TX(0, { 1, FINAL }, { 9, FINAL }), true, "txn-mempool-conflict");
    assert_int_equal(verdict.code, REJECT_CONFLICT);
    assert_ptr_equal(held, old);
    assert_refused(nf, TX(0, { 1, FINAL }, { 2, FINAL }, { 9, FINAL }), true,
                   "txn-mempool-conflict");
    assert_refused(nf, TX(0, { 1, FINAL }, { 3, FINAL }), true, "txn-mempool-conflict");
    assert_refused(nf, TX(1, { 1, 6 }, { 2, 6 }), true, "txn-mempool-conflict");
    nonfinal_free(nf);
}

static void nothing_that_is_not_final_spends_a_held_output(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *parent = hold(nf, TX(500, { 1, 5 }));
    assert_refused(nf, pool_child(parent, 0, 1, 0), false, "too-long-non-final-chain");
    assert_int_equal(verdict.code, REJECT_NONSTANDARD);
    /* A final one finds no such coin; that is not for this pool to say. */
    assert_int_equal(relate(nf, pool_child(parent, 0, 1, 0), true), NONFINAL_UNRELATED);
    nonfinal_free(nf);
}

/* --- taking in --- */

static void an_update_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *old = tx_ref(hold(nf, TX(500, { 1, 5 }))), *tx = TX(500, { 1, 6 });
    struct nonfinal_stats before, after;
    struct verdict v = { 0 };
    nonfinal_get_stats(nf, &before);
    assert_true(nonfinal_add(nf, tx, &old->id, 1000, &v));
    assert_false(nonfinal_contains(nf, &old->id));
    struct tx *got = nonfinal_get_tx(nf, &tx->id);
    assert_ptr_equal(got, tx);
    assert_null(nonfinal_get_tx(nf, &old->id));
    nonfinal_get_stats(nf, &after);
    assert_int_equal(after.count, 1);
    assert_int_equal(after.bytes, before.bytes);
    assert_true(after.bytes > tx_memory(tx));
    nonfinal_remove(nf, &tx->id);
    nonfinal_get_stats(nf, &after);
    assert_int_equal(after.count + after.bytes, 0);
    tx_unref(got);
    tx_unref(tx);
    tx_unref(old);
    nonfinal_free(nf);
}

static void two_held_ones_never_spend_the_same_output(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct verdict v = { 0 };
    struct tx *tx = TX(500, { 1, 6 }), *other = hold(nf, TX(500, { 2, 0 }));
    hold(nf, TX(500, { 1, 5 }));
    assert_false(nonfinal_add(nf, tx, NULL, 1000, &v));
    assert_string_equal(v.reason, "txn-mempool-conflict");
    assert_false(nonfinal_add(nf, tx, &other->id, 1000, &v));
    assert_true(nonfinal_contains(nf, &other->id));
    tx_unref(tx);
    nonfinal_free(nf);
}

static void a_full_pool_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct nonfinal *first = nonfinal_new(MEGABYTE);
    struct nonfinal_stats s;
    hold(first, TX(500, { 1, 5 }));
    nonfinal_get_stats(first, &s);
    nonfinal_free(first);
    struct nonfinal *nf = nonfinal_new(2 * s.bytes + s.bytes / 2);
    struct tx *old = hold(nf, TX(500, { 1, 5 })), *third = TX(500, { 3, 5 });
    struct verdict v = { 0 };
    hold(nf, TX(500, { 2, 5 }));
    assert_false(nonfinal_add(nf, third, NULL, 1000, &v));
    assert_string_equal(v.reason, "non-final-pool-full");
    assert_int_equal(v.code, REJECT_MEMPOOL_FULL);
    /* A replacement of the same size fits; one that does not leaves the old one where it is. */
    struct tx *same = TX(500, { 1, 6 });
    v = (struct verdict){ 0 };
    assert_true(nonfinal_add(nf, same, &old->id, 1000, &v));
    struct input many[40];
    for (uint32_t i = 0; i < 40; i++)
        many[i] = (struct input){ i == 0 ? 1 : 100 + i, 7 };
    struct tx *large = make(many, 40, 500);
    assert_false(nonfinal_add(nf, large, &same->id, 1000, &v));
    assert_string_equal(v.reason, "non-final-pool-full");
    assert_true(nonfinal_contains(nf, &same->id));
    tx_unref(same);
    tx_unref(large);
    tx_unref(third);
    nonfinal_free(nf);
}

static void lack_of_memory_is_no_verdict(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *old = hold(nf, TX(500, { 1, 5 })), *tx = TX(500, { 1, 6 });
    struct verdict v = { 0 };
    memory_is_short = true;
    const bool added = nonfinal_add(nf, tx, &old->id, 1000, &v);
    memory_is_short = false;
    assert_false(added);
    assert_true(verdict_ok(&v));
    assert_true(nonfinal_contains(nf, &old->id));
    assert_true(nonfinal_add(nf, tx, &old->id, 1000, &v));
    tx_unref(tx);
    nonfinal_free(nf);
}

/* --- rate of updates --- */

struct line {
    struct nonfinal *nf;
    struct tx *last;
    uint32_t sequence;
};

/* The next update of the line at this second: the reason of a refusal, or "". */
static const char *update(struct line *l, int64_t now)
{
    static struct verdict v;
    struct tx *tx = TX(500, { 1, ++l->sequence }, { 2, 0 });
    v = (struct verdict){ 0 };
    if (nonfinal_add(l->nf, tx, l->last ? &l->last->id : NULL, now, &v)) {
        tx_unref(l->last);
        l->last = tx;
    } else {
        tx_unref(tx);
    }
    return v.reason;
}

static void updates_run_through_a_bucket_that_empties_in_an_hour(void **state)
{
    (void)state;
    struct line l = { .nf = nonfinal_new(MEGABYTE) };
    assert_string_equal(update(&l, 1000), "");
    for (int i = 0; i < 7200; i++)
        assert_string_equal(update(&l, 1000), "");
    assert_string_equal(update(&l, 1000), "non-final-txn-replacement-rate");
    assert_true(nonfinal_contains(l.nf, &l.last->id));
    /* Two more each second, and a clock that goes back gives none. */
    assert_string_equal(update(&l, 1001), "");
    assert_string_equal(update(&l, 1001), "");
    assert_string_equal(update(&l, 1001), "non-final-txn-replacement-rate");
    assert_string_equal(update(&l, 900), "non-final-txn-replacement-rate");
    for (int i = 0; i < 7200; i++)
        assert_string_equal(update(&l, 1001 + 3600), "");
    assert_string_equal(update(&l, 1001 + 3600), "non-final-txn-replacement-rate");
    tx_unref(l.last);
    nonfinal_free(l.nf);
}

/* Attack B8: the counterparty burns the rate and goes on; the last word is heard all the same. */
static void the_last_word_needs_no_room_in_the_bucket(void **state)
{
    (void)state;
    struct line l = { .nf = nonfinal_new(MEGABYTE) };
    struct verdict v = { 0 };
    for (int i = 0; i <= 7200; i++)
        assert_string_equal(update(&l, 1000), "");
    assert_string_equal(update(&l, 1000), "non-final-txn-replacement-rate");
    assert_int_equal(relate(l.nf, TX(0, { 1, FINAL }, { 2, FINAL }), true), NONFINAL_FINALISES);
    /* Neither does one that settles what it raises; it begins with an empty bucket. */
    struct tx *tx = TX(500, { 1, FINAL }, { 2, 0 });
    assert_true(nonfinal_add(l.nf, tx, &l.last->id, 1000, &v));
    struct tx *next = TX(500, { 1, FINAL }, { 2, 1 });
    assert_true(nonfinal_add(l.nf, next, &tx->id, 1000, &v));
    tx_unref(next);
    tx_unref(tx);
    tx_unref(l.last);
    nonfinal_free(l.nf);
}

/* --- leaving --- */

static void those_that_became_final_are_handed_out(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *by_height = hold(nf, TX(100, { 1, 0 })), *later = hold(nf, TX(101, { 2, 0 }));
    struct tx *by_time = hold(nf, TX(1500000000, { 3, 0 })), **out;
    assert_int_equal(nonfinal_take_final(nf, 100, 1500000000, &out), 0);
    free(out);
    assert_int_equal(nonfinal_take_final(nf, 101, 1500000001, &out), 2);
    assert_ptr_equal(out[0], by_height);
    assert_ptr_equal(out[1], by_time);
    tx_unref(out[0]);
    tx_unref(out[1]);
    free(out);
    assert_true(nonfinal_contains(nf, &later->id));
    nonfinal_free(nf);
}

static void old_ones_are_purged(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *old = tx_ref(hold(nf, TX(100, { 1, 0 }))), *young = TX(100, { 2, 0 });
    struct verdict v = { 0 };
    assert_true(nonfinal_add(nf, young, NULL, 1001, &v));
    nonfinal_purge(nf, 1000 + NONFINAL_MAX_AGE_S);
    assert_true(nonfinal_contains(nf, &old->id));
    nonfinal_purge(nf, 1001 + NONFINAL_MAX_AGE_S);
    assert_false(nonfinal_contains(nf, &old->id));
    assert_true(nonfinal_contains(nf, &young->id));
    tx_unref(old);
    tx_unref(young);
    nonfinal_free(nf);
}

static void what_a_block_spends_is_not_held_any_longer(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *a = tx_ref(hold(nf, TX(100, { 1, 0 }, { 2, 0 })));
    struct tx *b = hold(nf, TX(100, { 3, 0 })), *spender = TX(0, { 2, FINAL }, { 7, FINAL });
    nonfinal_remove_conflicts(nf, spender);
    assert_false(nonfinal_contains(nf, &a->id));
    assert_true(nonfinal_contains(nf, &b->id));
    tx_unref(spender);
    tx_unref(a);
    nonfinal_free(nf);
}

static void collect(void *ctx, struct tx *tx, int64_t time)
{
    struct tx ***next = (struct tx ***)ctx;
    assert_int_equal(time, 1000);
    *(*next)++ = tx;
}

static void they_are_listed_by_age(void **state)
{
    (void)state;
    struct nonfinal *nf = nonfinal_new(MEGABYTE);
    struct tx *a = hold(nf, TX(100, { 1, 0 })), *b = hold(nf, TX(100, { 2, 0 }));
    struct tx *c = hold(nf, TX(100, { 3, 0 })), *seen[3], **next = seen;
    nonfinal_remove(nf, &b->id);
    nonfinal_each(nf, collect, &next);
    assert_int_equal(next - seen, 2);
    assert_ptr_equal(seen[0], a);
    assert_ptr_equal(seen[1], c);
    nonfinal_free(nf);
    nonfinal_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_touches_nothing_is_unrelated),
        cmocka_unit_test(behaviour_82_an_update_raises_a_sequence),
        cmocka_unit_test(
            behaviour_83_a_final_transaction_has_the_last_word_over_all_inputs_or_none),
        cmocka_unit_test(nothing_that_is_not_final_spends_a_held_output),
        cmocka_unit_test(an_update_takes_the_place_of_the_old_one),
        cmocka_unit_test(two_held_ones_never_spend_the_same_output),
        cmocka_unit_test(a_full_pool_refuses_and_keeps_what_it_has),
        cmocka_unit_test(lack_of_memory_is_no_verdict),
        cmocka_unit_test(updates_run_through_a_bucket_that_empties_in_an_hour),
        cmocka_unit_test(the_last_word_needs_no_room_in_the_bucket),
        cmocka_unit_test(those_that_became_final_are_handed_out),
        cmocka_unit_test(old_ones_are_purged),
        cmocka_unit_test(what_a_block_spends_is_not_held_any_longer),
        cmocka_unit_test(they_are_listed_by_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
