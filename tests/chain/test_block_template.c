#include <config.h>

#include "chain/block_template.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "chain/header_index.h"
#include "tests/chain/header_util.h"
#include "tests/chain/pool_util.h"

#define SIZE 200
#define PAYS 100

struct fixture {
    struct chain_params params;
    struct header_index *idx;
    struct mempool *mp;
    struct journal *journal;
    struct assembler *assembler;
    struct header_node *tip;
    uint32_t coins;
};

static struct header_node *next_header(struct fixture *f)
{
    struct header_node *prev = f->tip ? f->tip : header_index_genesis(f->idx);
    struct block_header *h = headers_mine(&prev->hash, prev->time + 1, 0, 1);
    struct header_node *node = headers_accept(f->idx, h, 1);
    free(h);
    return node;
}

static struct assembler *assembler_of(struct fixture *f, uint64_t max_size, int64_t budget_us)
{
    const struct assembler_options o = { .journal = f->journal,
                                         .params = &f->params,
                                         .max_block_size = max_size,
                                         .quick_budget_us = budget_us };
    return assembler_new(&o);
}

static void begin(struct fixture *f, uint64_t max_size)
{
    const struct mempool_options o = pool_options();
    *f = (struct fixture){ .params = *params_get(NETWORK_REGTEST) };
    f->params.heights.genesis = 1;
    f->idx = header_index_new(&f->params);
    f->mp = mempool_new(&o);
    f->journal = mempool_journal(f->mp);
    f->tip = next_header(f);
    journal_settle(f->journal, f->tip);
    f->assembler = assembler_of(f, max_size, 0);
}

static void end(struct fixture *f)
{
    assembler_free(f->assembler);
    mempool_free(f->mp);
    header_index_free(f->idx);
}

static struct mempool_entry *add_on(struct fixture *f, const struct mempool_entry *parent,
                                    uint32_t index, int64_t fee)
{
    struct tx *tx = parent ? pool_child(parent->tx, index, 4, SIZE)
                           : pool_child(NULL, ++f->coins, 4, SIZE);
    return pool_add(f->mp, tx, fee);
}

static struct block_template *get_from(struct assembler *a, enum template_need need)
{
    struct block_template *t;
    struct error e = { 0 };
    assert_int_equal(assembler_get(a, need, &t, &e), OK);
    return t;
}

static struct block_template *get(struct fixture *f)
{
    return get_from(f->assembler, TEMPLATE_COMPLETE);
}

/* Totals are those of the transactions, and the branch leads to the root of the whole list. */
static void check_template(const struct block_template *t)
{
    struct template_place at = { .n = 0 };
    const struct journal_entry *e;
    const struct txid coinbase = { { 0xcb, 1, 2, 3 } };
    struct journal_totals totals = { 0 };
    struct merkle m;
    merkle_init(&m);
    merkle_add(&m, coinbase.b);
    while ((e = block_template_next(t, &at))) {
        merkle_add(&m, e->tx->id.b);
        totals.count++;
        totals.bytes += e->tx->raw.len;
        totals.fees += e->fee;
    }
    assert_int_equal(totals.count, t->totals.count);
    assert_int_equal(totals.bytes, t->totals.bytes);
    assert_int_equal(totals.fees, t->totals.fees);
    const struct hash256 root = merkle_root(&m, NULL), found = block_template_root(t, &coinbase);
    assert_memory_equal(root.b, found.b, 32);
    assert_int_equal(t->height, t->prev->height + 1);
}

/* The template holds these (NULL ends); gives it back. */
static void template_is(struct block_template *t, struct tx *const *txs)
{
    struct template_place at = { .n = 0 };
    check_template(t);
    for (; *txs; txs++) {
        const struct journal_entry *e = block_template_next(t, &at);
        assert_non_null(e);
        assert_ptr_equal(e->tx, *txs);
    }
    assert_null(block_template_next(t, &at));
    block_template_unref(t);
}

static uint64_t size_with_coinbase(const struct block_template *t, size_t coinbase_size)
{
    const struct block_parts parts = { .coinbase = span_of("", coinbase_size), .rest = t };
    return block_parts_size(&parts);
}

static void an_empty_pool_gives_an_empty_template(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    struct block_template *t = get(&f);
    assert_ptr_equal(t->prev, f.tip);
    assert_int_equal(t->branch.n, 0);
    assert_int_equal(size_with_coinbase(t, 100), 80 + 1 + 100);
    template_is(t, (struct tx *[]){ NULL });
    end(&f);
}

static void what_pays_is_appended_as_it_comes(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    struct mempool_entry *a = add_on(&f, NULL, 0, PAYS), *b = add_on(&f, a, 0, PAYS);
    template_is(get(&f), (struct tx *[]){ a->tx, b->tx, NULL });
    struct mempool_entry *c = add_on(&f, NULL, 0, 7 * PAYS);
    struct block_template *t = get(&f);
    assert_int_equal(t->totals.fees, 9 * PAYS);
    template_is(t, (struct tx *[]){ a->tx, b->tx, c->tx, NULL });
    t = get(&f);
    struct block_template *same = get(&f);
    assert_ptr_equal(t, same); /* nothing has happened */
    block_template_unref(t);
    block_template_unref(same);
    end(&f);
}

static void behaviour_79_what_does_not_pay_is_not_mined_until_a_child_pays(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    struct mempool_entry *free_one = add_on(&f, NULL, 0, 0);
    template_is(get(&f), (struct tx *[]){ NULL });
    struct mempool_entry *child = add_on(&f, free_one, 0, 2 * PAYS);
    template_is(get(&f), (struct tx *[]){ free_one->tx, child->tx, NULL });
    end(&f);
}

static void what_leaves_the_pool_leaves_the_template(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    struct mempool_entry *a = add_on(&f, NULL, 0, PAYS), *b = add_on(&f, a, 0, PAYS);
    struct mempool_entry *c = add_on(&f, NULL, 0, PAYS);
    struct block_template *before = get(&f);
    mempool_remove(f.mp, &a->tx->id, MEMPOOL_EXPIRED, NULL);
    template_is(get(&f), (struct tx *[]){ c->tx, NULL });
    (void)b;
    assert_int_equal(before->totals.count, 3); /* readers of the old one are not disturbed */
    check_template(before);
    block_template_unref(before);
    end(&f);
}

static void a_new_tip_gives_a_new_template_without_what_is_mined(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    struct mempool_entry *a = add_on(&f, NULL, 0, PAYS), *b = add_on(&f, a, 0, PAYS);
    struct block_template *old = get(&f);
    struct tx *mined = tx_ref(a->tx);
    journal_unsettle(f.journal);
    mempool_remove_confirmed(f.mp, mined, NULL);
    mempool_note_block(f.mp, 0);
    f.tip = next_header(&f);
    journal_settle(f.journal, f.tip);
    struct block_template *t = get(&f);
    assert_ptr_equal(t->prev, f.tip);
    assert_int_equal(t->height, old->height + 1);
    template_is(t, (struct tx *[]){ b->tx, NULL });
    /* A tip of the same pool too. */
    f.tip = next_header(&f);
    journal_settle(f.journal, f.tip);
    t = get(&f);
    assert_ptr_equal(t->prev, f.tip);
    template_is(t, (struct tx *[]){ b->tx, NULL });
    block_template_unref(old);
    tx_unref(mined);
    end(&f);
}

struct later {
    struct fixture *f;
    struct header_node *tip;
};

static void *settle_later(void *arg)
{
    struct later *l = arg;
    nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
    journal_settle(l->f->journal, l->tip);
    return NULL;
}

static void who_asks_between_two_tips_gets_the_new_one(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t thread;
    begin(&f, 1000000);
    struct later l = { &f, next_header(&f) };
    journal_unsettle(f.journal);
    assert_int_equal(pthread_create(&thread, NULL, settle_later, &l), 0);
    struct block_template *t = get_from(f.assembler, TEMPLATE_QUICK);
    assert_ptr_equal(t->prev, l.tip);
    block_template_unref(t);
    pthread_join(thread, NULL);
    end(&f);
}

static void a_full_block_takes_those_that_pay_best(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000 + 2 * SIZE); /* a thousand bytes are kept for the rest of the block */
    struct mempool_entry *a = add_on(&f, NULL, 0, PAYS), *b = add_on(&f, NULL, 0, 2 * PAYS);
    template_is(get(&f), (struct tx *[]){ a->tx, b->tx, NULL });
    struct mempool_entry *c = add_on(&f, NULL, 0, 3 * PAYS);
    struct block_template *t = get(&f);
    assert_true(size_with_coinbase(t, 900) <= assembler_max_size(f.assembler));
    template_is(t, (struct tx *[]){ c->tx, b->tx, NULL });
    /* For those in a hurry a fresh choice is good for some seconds. */
    t = get(&f);
    struct mempool_entry *d = add_on(&f, NULL, 0, 4 * PAYS);
    struct block_template *quick = get_from(f.assembler, TEMPLATE_QUICK);
    assert_ptr_equal(quick, t);
    block_template_unref(t);
    block_template_unref(quick);
    template_is(get(&f), (struct tx *[]){ d->tx, c->tx, NULL });
    assembler_set_max_size(f.assembler, 1000000);
    template_is(get_from(f.assembler, TEMPLATE_QUICK),
                (struct tx *[]){ a->tx, b->tx, c->tx, d->tx, NULL });
    assembler_set_max_size(f.assembler, 1000);
    template_is(get_from(f.assembler, TEMPLATE_QUICK), (struct tx *[]){ NULL });
    end(&f);
}

static void signature_operations_count_before_genesis(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    for (int i = 0; i < 3; i++) {
        struct tx *tx = pool_child(NULL, ++f.coins, 1, SIZE);
        const struct mempool_candidate c = { .tx = tx, .fee = (i + 1) * PAYS, .sigops = 9950 };
        assert_non_null(mempool_add(f.mp, &c));
        tx_unref(tx);
    }
    struct block_template *t = get(&f);
    assert_int_equal(t->totals.count, 3);
    block_template_unref(t);
    f.params.heights.genesis = 1000;
    struct assembler *old_rules = assembler_of(&f, 1000000, 0);
    t = get_from(old_rules, TEMPLATE_COMPLETE);
    check_template(t);
    assert_int_equal(t->totals.count, 2);
    assert_int_equal(t->totals.sigops, 19900);
    assert_int_equal(t->totals.fees, 5 * PAYS);
    block_template_unref(t);
    assembler_free(old_rules);
    end(&f);
}

/* A caller in a hurry gets a beginning and more with each call; others wait for all of it. */
static void a_hurry_cuts_the_work_but_not_a_group(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10000000);
    for (int i = 0; i < 1023; i++)
        add_on(&f, NULL, 0, PAYS);
    struct mempool_entry *free_one = add_on(&f, NULL, 0, 0); /* would be the 1024th */
    add_on(&f, free_one, 0, 2 * PAYS);
    for (int i = 0; i < 3000; i++)
        add_on(&f, NULL, 0, PAYS);
    struct assembler *a = assembler_of(&f, 10000000, 1);
    struct block_template *t = get_from(a, TEMPLATE_QUICK);
    check_template(t);
    assert_true(t->totals.count > 1024 && t->totals.count < 4000);
    const uint64_t first = t->totals.count;
    block_template_unref(t);
    t = get_from(a, TEMPLATE_QUICK);
    check_template(t);
    assert_true(t->totals.count > first);
    block_template_unref(t);
    t = get_from(a, TEMPLATE_COMPLETE);
    check_template(t);
    assert_int_equal(t->totals.count, 4025);
    block_template_unref(t);
    /* Something leaves: the full one stays until the new one is there. */
    struct mempool_entry *last = add_on(&f, NULL, 0, PAYS);
    mempool_remove(f.mp, &last->tx->id, MEMPOOL_EXPIRED, NULL);
    mempool_remove(f.mp, &free_one->tx->id, MEMPOOL_EXPIRED, NULL);
    for (int calls = 0;; calls++) {
        t = get_from(a, TEMPLATE_QUICK);
        check_template(t);
        const uint64_t n = t->totals.count;
        block_template_unref(t);
        assert_true(n == 4025 || n == 4023);
        assert_true(calls < 10);
        if (n == 4023)
            break;
        assert_true(calls < 9);
    }
    assembler_free(a);
    end(&f);
}

static void last_one_is_there_for_who_only_wants_to_know(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1000000);
    assert_null(assembler_last(f.assembler));
    add_on(&f, NULL, 0, PAYS);
    struct block_template *t = get(&f), *last = assembler_last(f.assembler);
    assert_ptr_equal(t, last);
    block_template_unref(t);
    block_template_unref(last);
    end(&f);
}

/* --- random histories --- */

struct pick { uint32_t left; struct txid id; bool found; };

static enum mempool_visit pick_entry(void *ctx, const struct mempool_entry *e)
{
    struct pick *p = ctx;
    p->id = e->tx->id;
    p->found = true;
    return p->left-- ? MEMPOOL_GO_ON : MEMPOOL_ENOUGH;
}

static struct mempool_entry *some_entry(struct fixture *f, uint64_t *random)
{
    struct pick p = { .left = pool_draw(random, 300) };
    mempool_each(f->mp, 0, pick_entry, &p);
    return p.found ? mempool_find(f->mp, &p.id) : NULL;
}

static void confirm_first(struct fixture *f, uint32_t n)
{
    struct header_node *tip = next_header(f);
    journal_unsettle(f->journal);
    while (n-- > 0) {
        struct pick p = { .left = 0 };
        mempool_each(f->mp, 0, pick_entry, &p);
        struct tx *tx = p.found ? mempool_get_tx(f->mp, &p.id) : NULL;
        if (tx)
            mempool_remove_confirmed(f->mp, tx, NULL);
        tx_unref(tx);
    }
    mempool_note_block(f->mp, 0);
    f->tip = tip;
    journal_settle(f->journal, tip);
}

static void one_step(struct fixture *f, uint64_t *random)
{
    static const int64_t fees[] = { 0, 0, PAYS, PAYS, 2 * PAYS, 3 * PAYS };
    const uint32_t what = pool_draw(random, 100);
    struct mempool_entry *e = some_entry(f, random);
    if (what >= 98) {
        confirm_first(f, pool_draw(random, 20));
    } else if (what >= 94 && e) {
        const struct txid id = e->tx->id;
        mempool_remove(f->mp, &id, MEMPOOL_SIZE_LIMIT, NULL);
    } else if (what >= 92 && e) {
        const struct txid id = e->tx->id;
        mempool_prioritise(f->mp, &id, (int64_t)pool_draw(random, 400) - 200);
    } else {
        struct outpoint out = { .index = 0 };
        if (e)
            out = pool_out(e->tx, pool_draw(random, 4));
        const bool child = e && pool_draw(random, 2) && !mempool_spender(f->mp, &out) &&
                           e->ancestors < 20 && e->secondary_ancestors < 20;
        add_on(f, child ? e : NULL, out.index, fees[pool_draw(random, 6)]);
    }
}

static bool same_content(const struct block_template *a, const struct block_template *b)
{
    struct template_place at_a = { .n = 0 }, at_b = { .n = 0 };
    const struct journal_entry *x, *y;
    do {
        x = block_template_next(a, &at_a);
        y = block_template_next(b, &at_b);
        if (!x != !y || (x && x->tx != y->tx))
            return false;
    } while (x);
    return a->prev == b->prev && a->branch.n == b->branch.n &&
           memcmp(&a->totals, &b->totals, sizeof(a->totals)) == 0;
}

static void any_history_gives_what_an_assembler_from_scratch_makes(void **state)
{
    (void)state;
    struct fixture f;
    static const uint64_t sizes[] = { 1000000, 1000 + 60 * SIZE }; /* all fit; full */
    for (size_t i = 0; i < 2; i++) {
        uint64_t random = 99 + i;
        begin(&f, sizes[i]);
        for (int step = 0; step < 3000; step++) {
            one_step(&f, &random);
            if (pool_draw(&random, 4))
                continue;
            /* Now and then somebody in a hurry leaves work unfinished. */
            if (pool_draw(&random, 3) == 0)
                block_template_unref(get_from(f.assembler, TEMPLATE_QUICK));
            struct assembler *fresh = assembler_of(&f, sizes[i], 0);
            struct block_template *ours = get(&f), *scratch = get_from(fresh, TEMPLATE_COMPLETE);
            check_template(ours);
            assert_true(same_content(ours, scratch));
            block_template_unref(ours);
            block_template_unref(scratch);
            assembler_free(fresh);
        }
        end(&f);
    }
}

struct asker {
    struct fixture *f;
    enum template_need need;
    atomic_bool stop;
    atomic_int rounds;
};

static void *ask(void *arg)
{
    struct asker *k = arg;
    while (!atomic_load(&k->stop)) {
        struct block_template *t = get_from(k->f->assembler, k->need);
        check_template(t);
        block_template_unref(t);
        atomic_fetch_add(&k->rounds, 1);
    }
    return NULL;
}

static bool all_were_answered(struct asker *askers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&askers[i].rounds) == 0)
            return false;
    return true;
}

static void many_may_ask_while_the_pool_changes(void **state)
{
    (void)state;
    struct fixture f;
    struct asker askers[3] = { { .f = &f, .need = TEMPLATE_QUICK },
                               { .f = &f, .need = TEMPLATE_COMPLETE },
                               { .f = &f, .need = TEMPLATE_QUICK } };
    pthread_t threads[3];
    uint64_t random = 5;
    begin(&f, 1000 + 200 * SIZE);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    for (int step = 0; step < 5000 || !all_were_answered(askers, 3); step++)
        one_step(&f, &random);
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&askers[i].stop, true);
        pthread_join(threads[i], NULL);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_pool_gives_an_empty_template),
        cmocka_unit_test(what_pays_is_appended_as_it_comes),
        cmocka_unit_test(behaviour_79_what_does_not_pay_is_not_mined_until_a_child_pays),
        cmocka_unit_test(what_leaves_the_pool_leaves_the_template),
        cmocka_unit_test(a_new_tip_gives_a_new_template_without_what_is_mined),
        cmocka_unit_test(who_asks_between_two_tips_gets_the_new_one),
        cmocka_unit_test(a_full_block_takes_those_that_pay_best),
        cmocka_unit_test(signature_operations_count_before_genesis),
        cmocka_unit_test(a_hurry_cuts_the_work_but_not_a_group),
        cmocka_unit_test(last_one_is_there_for_who_only_wants_to_know),
        cmocka_unit_test(any_history_gives_what_an_assembler_from_scratch_makes),
        cmocka_unit_test(many_may_ask_while_the_pool_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
