#include <config.h>

#include "chain/header_index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/pow.h"
#include "tests/chain/header_model.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

#define NOW INT64_C(4000000000)

static const struct block_pos stored = { .file = 0, .offset = 8, .size = 300 };

static struct header_index *new_index(void)
{
    return header_index_new(params_get(NETWORK_REGTEST));
}

/* n headers on prev, accepted; returns the last. */
static struct header_node *grow(struct header_index *idx, struct header_node *prev, uint32_t salt,
                                size_t n)
{
    struct block_header *h = headers_mine(&prev->hash, prev->time + 1, salt, n);
    struct header_node *last = headers_accept(idx, h, n);
    free(h);
    return last;
}

/* Data of every block from the last one that has it up to node. */
static void store_up_to(struct header_index *idx, struct header_node *node)
{
    struct header_data data;
    for (int32_t height = 0; height <= node->height; height++) {
        struct header_node *at = header_ancestor(node, height);
        header_index_get_data(idx, at, &data);
        if (!(data.status & HS_HAVE_DATA))
            header_index_set_data(idx, at, &stored, 1, 0);
    }
}

/* --- accepting --- */

static void new_index_holds_genesis(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    assert_int_equal(header_index_count(idx), 1);
    assert_ptr_equal(header_index_find(idx, &params_get(NETWORK_REGTEST)->genesis_hash), genesis);
    assert_ptr_equal(header_index_best(idx), genesis);
    assert_null(header_index_tip(idx));
    assert_null(header_index_at(idx, 0));
    assert_null(header_index_best_candidate(idx));
    header_index_free(idx);
}

static void accepted_headers_form_a_chain_with_summed_work(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *tip = grow(idx, header_index_genesis(idx), 0, 3000);
    const struct u256 one = pow_work_of_bits(0x207fffff), sum = u256_mul_u64(&one, 3001);
    assert_int_equal(tip->height, 3000);
    assert_int_equal(header_index_count(idx), 3001);
    assert_int_equal(u256_cmp(&tip->work, &sum), 0);
    assert_ptr_equal(header_index_best(idx), tip);
    for (struct header_node *at = tip; at->prev; at = at->prev)
        assert_int_equal(at->height, at->prev->height + 1);
    header_index_free(idx);
}

static void known_headers_are_accepted_again_and_nothing_changes(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct block_header *h = headers_mine(&genesis->hash, genesis->time + 1, 0, 50);
    struct header_node *last = headers_accept(idx, h, 50);
    assert_ptr_equal(headers_accept(idx, h, 50), last);
    assert_ptr_equal(headers_accept(idx, h, 10), header_ancestor(last, 10));
    assert_int_equal(header_index_count(idx), 51);
    header_index_free(idx);
    free(h);
}

static void a_refused_header_leaves_those_before_it(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx), *last;
    struct block_header *h = headers_mine(&genesis->hash, genesis->time + 1, 0, 30);
    struct verdict v;
    size_t accepted;
    h[20].bits = 0x1d00ffff; /* also changes the hash: no work for these bits */
    assert_int_equal(header_index_accept(idx, h, NULL, 30, NOW, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 20);
    assert_int_equal(last->height, 20);
    assert_string_equal(v.reason, "high-hash");
    assert_int_equal(v.ban_score, 50);
    assert_int_equal(header_index_count(idx), 21);
    header_index_free(idx);
    free(h);
}

static void header_without_known_parent_is_not_found(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    const struct block_hash nowhere = { { 1 } };
    const struct block_header h = header_mine(&nowhere, 1500000000, 0);
    struct header_node *last;
    struct verdict v;
    size_t accepted;
    assert_int_equal(header_index_accept(idx, &h, NULL, 1, NOW, &accepted, &last, &v),
                     ERR_NOTFOUND);
    assert_string_equal(v.reason, "prev-blk-not-found");
    assert_int_equal(v.ban_score, 10);
    assert_null(last);
    header_index_free(idx);
}

static void header_on_a_failed_block_is_refused(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *tip = grow(idx, header_index_genesis(idx), 0, 5), *last;
    struct verdict v;
    size_t accepted;
    header_index_fail(idx, header_ancestor(tip, 3), 0);
    const struct block_header h = header_mine(&tip->hash, tip->time + 1, 0);
    assert_int_equal(header_index_accept(idx, &h, NULL, 1, NOW, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 0);
    assert_string_equal(v.reason, "bad-prevblk");
    assert_int_equal(v.ban_score, 100);
    header_index_free(idx);
}

static void header_from_the_future_is_refused_now_and_taken_later(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx), *last;
    const struct block_header h = header_mine(&genesis->hash, genesis->time + 10000, 0);
    struct verdict v;
    size_t accepted;
    const int64_t now = (int64_t)genesis->time + 10000 - 7200;
    assert_int_equal(header_index_accept(idx, &h, NULL, 1, now - 1, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 0);
    assert_string_equal(v.reason, "time-too-new");
    assert_true(v.temporary);
    assert_int_equal(header_index_accept(idx, &h, NULL, 1, now, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 1);
    header_index_free(idx);
}

static void best_header_is_the_first_seen_of_most_work(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 10);
    grow(idx, genesis, 2, 10);
    assert_ptr_equal(header_index_best(idx), a);
    struct header_node *c = grow(idx, genesis, 3, 11);
    assert_ptr_equal(header_index_best(idx), c);
    header_index_fail(idx, header_ancestor(c, 4), 0);
    assert_ptr_equal(header_index_best(idx), a);
    header_index_free(idx);
}

static void headers_are_hashed_once_when_the_caller_has_done_so(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx), *last;
    struct block_header *h = headers_mine(&genesis->hash, genesis->time + 1, 0, 100);
    struct block_hash hashes[100];
    struct verdict v;
    size_t accepted;
    assert_true(headers_hash(hashes, h, 100));
    assert_int_equal(header_index_accept(idx, h, hashes, 100, NOW, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 100);
    assert_memory_equal(last->hash.b, hashes[99].b, 32);
    assert_ptr_equal(headers_accept(idx, h, 100), last); /* the same without them */
    assert_int_equal(header_index_count(idx), 101);
    header_index_free(idx);
    free(h);
}

static void headers_that_do_not_follow_are_seen_while_hashing(void **state)
{
    (void)state;
    const struct block_hash start = { { 3 } };
    struct block_header *h = headers_mine(&start, 1500000000, 0, 10);
    struct block_hash hashes[10];
    assert_true(headers_hash(hashes, h, 10)); /* whatever the first builds on */
    assert_true(headers_hash(hashes, h, 0));
    h[6].prev.b[0] ^= 1;
    assert_false(headers_hash(hashes, h, 10));
    assert_true(headers_hash(hashes, h, 6));
    assert_true(headers_hash(hashes, h + 6, 1));
    free(h);
}

/* --- candidates --- */

static void blocks_become_candidates_when_all_before_them_are_stored(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx), *tip = grow(idx, genesis, 0, 40);
    header_index_set_data(idx, genesis, &stored, 1, 0);
    for (int32_t height = 40; height > 1; height--) { /* last first */
        header_index_set_data(idx, header_ancestor(tip, height), &stored, 1, 0);
        assert_ptr_equal(header_index_best_candidate(idx), genesis);
    }
    header_index_set_data(idx, header_ancestor(tip, 1), &stored, 1, 0);
    assert_ptr_equal(header_index_best_candidate(idx), tip);
    struct header_data data;
    header_index_get_data(idx, tip, &data);
    assert_int_equal(data.chain_tx_count, 41);
    header_index_free(idx);
}

static void first_of_equal_branches_stays_until_the_other_has_more_work(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 5), *b = grow(idx, genesis, 2, 5);
    store_up_to(idx, b); /* b's data comes first */
    store_up_to(idx, a);
    assert_ptr_equal(header_index_best_candidate(idx), b);
    header_index_set_tip(idx, a); /* but a is what was connected */
    assert_ptr_equal(header_index_best_candidate(idx), a);
    struct header_node *b6 = grow(idx, b, 2, 1);
    store_up_to(idx, b6);
    assert_ptr_equal(header_index_best_candidate(idx), b6);
    header_index_free(idx);
}

static void preferred_block_wins_ties_and_the_latest_preference_counts(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 5), *b = grow(idx, genesis, 2, 5),
                       *c = grow(idx, genesis, 3, 4);
    store_up_to(idx, a);
    store_up_to(idx, b);
    store_up_to(idx, c);
    header_index_set_tip(idx, a);
    header_index_prefer(idx, c); /* has less work: no use */
    assert_ptr_equal(header_index_best_candidate(idx), a);
    header_index_prefer(idx, b);
    assert_ptr_equal(header_index_best_candidate(idx), b);
    header_index_set_tip(idx, b);
    header_index_prefer(idx, a);
    assert_ptr_equal(header_index_best_candidate(idx), a);
    header_index_free(idx);
}

static void failed_branch_gives_way_and_comes_back_when_reconsidered(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 9), *b = grow(idx, header_ancestor(a, 3), 2, 3);
    struct header_node *a5 = header_ancestor(a, 5);
    store_up_to(idx, a);
    store_up_to(idx, b);
    header_index_set_tip(idx, a);
    header_index_fail(idx, a5, 0);
    assert_true(atomic_load(&a5->status) & HS_FAILED);
    assert_true(atomic_load(&a->status) & HS_FAILED_PARENT);
    assert_false(atomic_load(&a5->prev->status) & HS_FAILED_MASK);
    assert_ptr_equal(header_index_best_candidate(idx), b);
    header_index_reconsider(idx, a); /* named by a descendant */
    assert_false(atomic_load(&a5->status) & HS_FAILED_MASK);
    assert_ptr_equal(header_index_best_candidate(idx), a);
    header_index_free(idx);
}

static void reconsidering_one_branch_frees_the_others_of_the_same_ancestor(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *root = grow(idx, header_index_genesis(idx), 0, 2);
    struct header_node *a = grow(idx, root, 1, 3), *b = grow(idx, root, 2, 3),
                       *c = grow(idx, root, 3, 3);
    header_index_fail(idx, c->prev, HS_FAILED_LIMIT);
    header_index_fail(idx, root, 0);
    header_index_reconsider(idx, a);
    assert_false(atomic_load(&b->status) & HS_FAILED_MASK);
    assert_true(atomic_load(&c->status) & HS_FAILED_PARENT); /* its own fault remains */
    assert_true(atomic_load(&c->prev->status) & HS_FAILED);
    assert_true(atomic_load(&c->prev->status) & HS_FAILED_LIMIT);
    assert_false(atomic_load(&c->prev->prev->status) & HS_FAILED_MASK);
    header_index_free(idx);
}

static void branch_with_pruned_blocks_is_a_candidate_only_up_to_the_gap(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 10), *b = grow(idx, genesis, 2, 12);
    store_up_to(idx, a);
    header_index_set_tip(idx, a);
    store_up_to(idx, b);
    assert_ptr_equal(header_index_best_candidate(idx), b);
    header_index_set_status(idx, header_ancestor(b, 12), 0, HS_HAVE_DATA);
    assert_ptr_equal(header_index_best_candidate(idx), header_ancestor(b, 11));
    header_index_set_status(idx, header_ancestor(b, 4), 0, HS_HAVE_DATA | HS_HAVE_UNDO);
    assert_ptr_equal(header_index_best_candidate(idx), a);
    header_index_set_data(idx, header_ancestor(b, 4), &stored, 1, 0);
    assert_ptr_equal(header_index_best_candidate(idx), header_ancestor(b, 11));
    /* A lost block right above the tip leaves the tip itself. */
    struct header_node *a11 = grow(idx, a, 1, 3);
    store_up_to(idx, a11);
    header_index_set_status(idx, header_ancestor(a11, 11), 0, HS_HAVE_DATA);
    header_index_fail(idx, header_ancestor(b, 1), 0);
    assert_ptr_equal(header_index_best_candidate(idx), a);
    header_index_free(idx);
}

/* --- the active chain --- */

static void tip_moves_over_deep_forks(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 2500),
                       *b = grow(idx, header_ancestor(a, 3), 2, 1500);
    struct header_node *tips[] = { a, b, header_ancestor(a, 2000), genesis,
                                   b, a, header_ancestor(b, 10),   a };
    for (size_t i = 0; i < sizeof(tips) / sizeof(*tips); i++) {
        header_index_set_tip(idx, tips[i]);
        assert_ptr_equal(header_index_tip(idx), tips[i]);
        assert_null(header_index_at(idx, tips[i]->height + 1));
        for (struct header_node *at = tips[i]; at; at = at->prev)
            assert_ptr_equal(header_index_at(idx, at->height), at);
        assert_int_equal(header_index_is_active(idx, b), tips[i] == b);
    }
    header_index_set_tip(idx, NULL);
    assert_null(header_index_tip(idx));
    assert_false(header_index_is_active(idx, genesis));
    header_index_free(idx);
}

/* --- walks --- */

static void ancestors_are_those_that_stepping_back_finds(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *tip = grow(idx, header_index_genesis(idx), 0, 5000);
    struct header_node **by_height = xcalloc(5001, sizeof(*by_height));
    for (struct header_node *at = tip; at; at = at->prev)
        by_height[at->height] = at;
    for (int32_t from = 0; from <= 5000; from += 41)
        for (int32_t to = from; to >= 0; to -= 1 + to / 60)
            assert_ptr_equal(header_ancestor(by_height[from], to), by_height[to]);
    assert_null(header_ancestor(tip, -1));
    assert_null(header_ancestor(tip, 5001));
    assert_null(header_ancestor(NULL, 0));
    free(by_height);
    header_index_free(idx);
}

static void any_ancestor_is_few_steps_away(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *tip = grow(idx, header_index_genesis(idx), 0, 20000);
    unsigned most = 0;
    for (int32_t height = 0; height < 20000; height += 7) {
        unsigned steps = 0;
        for (const struct header_node *at = tip; at->height > height; steps++)
            at = at->skip && at->skip->height >= height ? at->skip : at->prev;
        most = steps > most ? steps : most;
    }
    assert_true(most < 400); /* greedy; header_ancestor does better */
    header_index_free(idx);
}

static void last_common_block_of_two_branches(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *a = grow(idx, header_index_genesis(idx), 1, 900);
    static const int32_t forks[] = { 0, 1, 2, 63, 64, 511, 512, 899, 900 };
    for (size_t i = 0; i < sizeof(forks) / sizeof(*forks); i++) {
        struct header_node *fork = header_ancestor(a, forks[i]);
        struct header_node *b = grow(idx, fork, (uint32_t)i + 2, 300);
        assert_ptr_equal(header_last_common(a, b), fork);
        assert_ptr_equal(header_last_common(b, a), fork);
        assert_ptr_equal(header_last_common(fork, b), fork);
    }
    assert_ptr_equal(header_last_common(a, a), a);
    assert_null(header_last_common(a, NULL));
    header_index_free(idx);
}

static void median_time_is_the_middle_of_at_most_eleven(void **state)
{
    (void)state;
    static const uint32_t times[] = { 50, 10, 90, 30, 70, 20, 80, 40, 60, 100, 5, 55 };
    static const uint32_t medians[] = { 50, 50, 50, 50, 50, 50, 50, 50, 50, 60, 50, 55 };
    struct bare_chain c;
    bare_chain_init(&c, 0, 12);
    for (size_t i = 0; i < 12; i++) {
        const struct header_node *node = bare_chain_add(&c, times[i], 0x207fffff);
        assert_int_equal(header_median_time(node), medians[i]);
    }
    bare_chain_clear(&c);
}

/* --- disk --- */

struct saved {
    struct block_header header;
    struct block_hash hash;
    struct header_data data;
};

struct saver {
    struct header_index *idx;
    struct saved *rows;
    size_t n;
};

static void save_node(void *ctx, struct header_node *node)
{
    struct saver *s = ctx;
    struct saved *row = &s->rows[s->n++];
    header_of_node(&row->header, node);
    row->hash = node->hash;
    row->data = (struct header_data){ .data = node->data,
                                      .undo = node->undo,
                                      .tx_count = node->tx_count,
                                      .wire_checksum = node->wire_checksum,
                                      .status = atomic_load(&node->status) };
}

/* Field by field: the struct has bytes between them. */
static void assert_pos_equal(const struct block_pos *a, const struct block_pos *b)
{
    assert_int_equal(a->file, b->file);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->size, b->size);
}

static void index_loaded_from_rows_is_the_same(void **state)
{
    (void)state;
    struct header_index *idx = new_index(), *copy = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    struct header_node *a = grow(idx, genesis, 1, 30),
                       *b = grow(idx, header_ancestor(a, 10), 2, 30);
    struct error e;
    store_up_to(idx, a);
    store_up_to(idx, header_ancestor(b, 35));
    header_index_fail(idx, header_ancestor(b, 38), 0);

    struct saver s = { .rows = xcalloc(100, sizeof(*s.rows)) };
    header_index_each(idx, save_node, &s);
    assert_int_equal(s.n, 61);
    for (size_t i = 0; i < s.n; i++)
        assert_non_null(
            header_index_load(copy, &s.rows[i].header, &s.rows[i].hash, &s.rows[i].data, &e));
    header_index_loaded(copy);

    assert_int_equal(header_index_count(copy), 61);
    assert_memory_equal(header_index_best(copy)->hash.b, header_index_best(idx)->hash.b, 32);
    assert_memory_equal(header_index_best_candidate(copy)->hash.b, header_ancestor(b, 35)->hash.b,
                        32);
    struct header_data was, is;
    header_index_get_data(idx, header_ancestor(b, 35), &was);
    header_index_get_data(copy, header_index_find(copy, &header_ancestor(b, 35)->hash), &is);
    assert_pos_equal(&was.data, &is.data);
    assert_int_equal(was.status, is.status);
    assert_int_equal(was.chain_tx_count, is.chain_tx_count);
    assert_int_equal(is.chain_tx_count, 36);
    header_index_free(idx);
    header_index_free(copy);
    free(s.rows);
}

static void row_without_its_parent_is_corrupt(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    const struct block_hash nowhere = { { 9 } };
    const struct block_header h = header_mine(&nowhere, 1500000000, 0);
    const struct block_hash hash = hash_of(&h);
    const struct header_data data = { .status = HS_HEADER_VALID };
    struct error e;
    assert_null(header_index_load(idx, &h, &hash, &data, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    header_index_free(idx);
}

static void loaded_block_gives_way_to_nothing_of_equal_work(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *genesis = header_index_genesis(idx);
    const struct block_header h = header_mine(&genesis->hash, genesis->time + 1, 7);
    const struct block_hash hash = hash_of(&h);
    const struct header_data data = { .status = HS_HAVE_DATA | HS_TX_CHECKED,
                                      .data = stored,
                                      .tx_count = 1 };
    struct error e;
    header_index_load(idx, &params_get(NETWORK_REGTEST)->genesis, &genesis->hash, &data, &e);
    struct header_node *loaded = header_index_load(idx, &h, &hash, &data, &e);
    header_index_loaded(idx);
    struct header_node *later = grow(idx, genesis, 8, 1);
    store_up_to(idx, later);
    assert_ptr_equal(header_index_best_candidate(idx), loaded);
    header_index_free(idx);
}

static void count_dirty(void *ctx, const struct header_node *node)
{
    (void)node;
    ++*(size_t *)ctx;
}

static void changed_nodes_are_handed_out_once(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *tip = grow(idx, header_index_genesis(idx), 0, 2500);
    size_t n = 0;
    header_index_take_dirty(idx, count_dirty, &n);
    assert_int_equal(n, 2500);
    header_index_take_dirty(idx, count_dirty, &n);
    assert_int_equal(n, 2500);
    header_index_set_data(idx, tip, &stored, 1, 0);
    header_index_set_undo(idx, tip, &stored);
    header_index_set_status(idx, tip, HS_SCRIPTS_OK, 0);
    n = 0;
    header_index_take_dirty(idx, count_dirty, &n);
    assert_int_equal(n, 1);
    header_index_free(idx);
}

static void data_fields_are_kept_and_cleared(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    struct header_node *node = grow(idx, header_index_genesis(idx), 0, 1);
    const struct block_pos undo = { .file = 0, .offset = 800, .size = 44 };
    struct header_data d;
    header_index_set_data(idx, node, &stored, 12, 0xabcdef01);
    header_index_set_undo(idx, node, &undo);
    header_index_get_data(idx, node, &d);
    assert_pos_equal(&d.data, &stored);
    assert_pos_equal(&d.undo, &undo);
    assert_int_equal(d.tx_count, 12);
    assert_int_equal(d.wire_checksum, 0xabcdef01);
    assert_int_equal(d.chain_tx_count, 0); /* genesis has no data yet */
    assert_int_equal(d.status, HS_HEADER_VALID | HS_HAVE_DATA | HS_HAVE_UNDO | HS_TX_CHECKED);
    header_index_set_status(idx, node, 0, HS_HAVE_DATA | HS_HAVE_UNDO);
    header_index_get_data(idx, node, &d);
    assert_int_equal(d.data.size, 0);
    assert_int_equal(d.undo.size, 0);
    assert_int_equal(d.tx_count, 12);
    header_index_free(idx);
}

/* --- against the model, and with other threads --- */

static void random_trees_agree_with_the_model(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    size_t nodes = 0;
    for (int round = 0; round < 12; round++) {
        struct header_model *m = header_model_new();
        for (int i = 0; i < 500; i++) {
            uint8_t step[MODEL_STEP_BYTES];
            (void)test_random(&random);
            memcpy(step, &random, sizeof(step));
            header_model_step(m, step);
            if (i % 10 == 0)
                header_model_compare(m);
        }
        nodes += header_model_size(m);
        header_model_free(m);
    }
    assert_true(nodes > 500);
}

struct reader_job {
    struct header_index *idx;
    atomic_bool stop;
    atomic_size_t reads;
};

static void *read_while_it_grows(void *arg)
{
    struct reader_job *job = arg;
    while (!atomic_load(&job->stop)) {
        struct header_node *best = header_index_best(job->idx);
        struct header_node *middle = header_ancestor(best, best->height / 2);
        assert_ptr_equal(header_index_find(job->idx, &middle->hash), middle);
        header_median_time(best);
        struct header_node *tip = header_index_tip(job->idx);
        if (tip)
            header_index_at(job->idx, tip->height);
        atomic_fetch_add(&job->reads, 1);
    }
    return NULL;
}

static void readers_see_whole_nodes_while_headers_arrive(void **state)
{
    (void)state;
    struct reader_job job = { .idx = new_index() };
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_while_it_grows, &job), 0);
    struct header_node *tip = header_index_genesis(job.idx);
    for (int i = 0; i < 40; i++) {
        tip = grow(job.idx, tip, 0, 250);
        header_index_set_tip(job.idx, tip);
    }
    while (atomic_load(&job.reads) < 10)
        ;
    atomic_store(&job.stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(header_index_tip(job.idx)->height, 10000);
    header_index_free(job.idx);
}

static void memory_is_counted(void **state)
{
    (void)state;
    struct header_index *idx = new_index();
    size_t unused;
    const size_t before = header_index_memory_bytes(idx, &unused);
    grow(idx, header_index_genesis(idx), 0, 50000);
    const size_t used = header_index_memory_bytes(idx, &unused) - before,
                 nodes = 50000 * sizeof(struct header_node);
    assert_true(used >= nodes - (2u << 20)); /* the first slab was there before */
    assert_true(used <= nodes + (2u << 20) + 50000 * 8 * sizeof(void *));
    header_index_free(idx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_index_holds_genesis),
        cmocka_unit_test(accepted_headers_form_a_chain_with_summed_work),
        cmocka_unit_test(known_headers_are_accepted_again_and_nothing_changes),
        cmocka_unit_test(a_refused_header_leaves_those_before_it),
        cmocka_unit_test(header_without_known_parent_is_not_found),
        cmocka_unit_test(header_on_a_failed_block_is_refused),
        cmocka_unit_test(header_from_the_future_is_refused_now_and_taken_later),
        cmocka_unit_test(best_header_is_the_first_seen_of_most_work),
        cmocka_unit_test(headers_are_hashed_once_when_the_caller_has_done_so),
        cmocka_unit_test(headers_that_do_not_follow_are_seen_while_hashing),
        cmocka_unit_test(blocks_become_candidates_when_all_before_them_are_stored),
        cmocka_unit_test(first_of_equal_branches_stays_until_the_other_has_more_work),
        cmocka_unit_test(preferred_block_wins_ties_and_the_latest_preference_counts),
        cmocka_unit_test(failed_branch_gives_way_and_comes_back_when_reconsidered),
        cmocka_unit_test(reconsidering_one_branch_frees_the_others_of_the_same_ancestor),
        cmocka_unit_test(branch_with_pruned_blocks_is_a_candidate_only_up_to_the_gap),
        cmocka_unit_test(tip_moves_over_deep_forks),
        cmocka_unit_test(ancestors_are_those_that_stepping_back_finds),
        cmocka_unit_test(any_ancestor_is_few_steps_away),
        cmocka_unit_test(last_common_block_of_two_branches),
        cmocka_unit_test(median_time_is_the_middle_of_at_most_eleven),
        cmocka_unit_test(index_loaded_from_rows_is_the_same),
        cmocka_unit_test(row_without_its_parent_is_corrupt),
        cmocka_unit_test(loaded_block_gives_way_to_nothing_of_equal_work),
        cmocka_unit_test(changed_nodes_are_handed_out_once),
        cmocka_unit_test(data_fields_are_kept_and_cleared),
        cmocka_unit_test(random_trees_agree_with_the_model),
        cmocka_unit_test(readers_see_whole_nodes_while_headers_arrive),
        cmocka_unit_test(memory_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
