#include <config.h>

#include "rpc/candidates.h"

#include "chain/block_template.h"
#include "chain/header_index.h"
#include "tests/chain/pool_util.h"

#define MAX 4
#define AGE_S 60
#define PAYS 100

struct fixture {
    struct header_node tips[4];
    struct mempool *pool;
    struct assembler *assembler;
    uint32_t coins;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    const struct mempool_options o = pool_options();
    for (int32_t i = 0; i < 4; i++)
        f->tips[i] = (struct header_node){ .height = 10 + i };
    f->pool = mempool_new(&o);
    f->assembler =
        assembler_new(&(struct assembler_options){ .journal = mempool_journal(f->pool),
                                                   .params = params_get(NETWORK_REGTEST),
                                                   .max_block_size = 1000000 });
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assembler_free(f->assembler);
    mempool_free(f->pool);
    test_free(f);
    return 0;
}

/* Another template than before, on one of the tips. */
static struct block_template *new_template(struct fixture *f, unsigned tip)
{
    struct block_template *t;
    struct error e = { 0 };
    pool_add(f->pool, pool_child(NULL, ++f->coins, 1, 200), PAYS);
    journal_settle(mempool_journal(f->pool), &f->tips[tip]);
    assert_int_equal(assembler_get(f->assembler, TEMPLATE_COMPLETE, &t, &e), OK);
    return t;
}

/* One of the template, which the caller gives up; id is filled. */
static void add(struct candidates *t, struct block_template *rest, int64_t now,
                char id[CANDIDATE_ID_SIZE])
{
    struct candidate c = { .rest = rest };
    buf_init(&c.coinbase);
    candidates_add(t, &c, now);
    memcpy(id, c.id, CANDIDATE_ID_SIZE);
    candidate_clear(&c);
}

static bool has(struct candidates *t, const char *id, int64_t now)
{
    struct candidate c;
    const bool found = candidates_find(t, id, now, &c);
    if (found) {
        assert_string_equal(c.id, id);
        candidate_clear(&c);
    }
    return found;
}

static void the_oldest_make_room(void **state)
{
    struct candidates *t = candidates_new(MAX, SIZE_MAX, AGE_S);
    char id[MAX + 1][CANDIDATE_ID_SIZE];
    for (int i = 0; i <= MAX; i++)
        add(t, new_template(*state, 0), 0, id[i]);
    assert_int_equal(candidates_count(t), MAX);
    assert_false(has(t, id[0], 0));
    for (int i = 1; i <= MAX; i++)
        assert_true(has(t, id[i], 0));
    candidates_free(t);
}

static void old_ones_are_forgotten(void **state)
{
    struct candidates *t = candidates_new(MAX, SIZE_MAX, AGE_S);
    char id[2][CANDIDATE_ID_SIZE];
    add(t, new_template(*state, 0), 100, id[0]);
    add(t, new_template(*state, 0), 101, id[1]);
    assert_true(has(t, id[0], 100 + AGE_S));
    assert_false(has(t, id[0], 101 + AGE_S));
    assert_true(has(t, id[1], 101 + AGE_S));
    candidates_free(t);
}

static void those_more_than_a_block_behind_are_forgotten(void **state)
{
    struct candidates *t = candidates_new(MAX, SIZE_MAX, AGE_S);
    char id[3][CANDIDATE_ID_SIZE];
    for (unsigned i = 0; i < 3; i++)
        add(t, new_template(*state, i), 0, id[i]);
    assert_false(has(t, id[0], 0));
    assert_true(has(t, id[1], 0));
    assert_true(has(t, id[2], 0));
    candidates_free(t);
}

static void candidates_of_one_template_count_once(void **state)
{
    struct candidates *t = candidates_new(MAX, SIZE_MAX, AGE_S);
    struct block_template *rest = new_template(*state, 0);
    const size_t memory = block_template_memory(rest);
    char id[CANDIDATE_ID_SIZE];
    assert_true(memory > 0);
    for (int i = 0; i < 2 * MAX; i++) {
        add(t, block_template_ref(rest), 0, id);
        assert_int_equal(candidates_memory(t), memory);
    }
    block_template_unref(rest);
    candidates_free(t);
}

static void templates_stay_within_their_memory(void **state)
{
    struct block_template *rest = new_template(*state, 0);
    const size_t memory = block_template_memory(rest);
    struct candidates *t = candidates_new(2 * MAX, 2 * memory, AGE_S);
    char id[MAX][CANDIDATE_ID_SIZE];
    add(t, block_template_ref(rest), 0, id[0]);
    add(t, rest, 0, id[1]);
    for (int i = 2; i < MAX; i++)
        add(t, new_template(*state, 0), 0, id[i]);
    assert_int_equal(candidates_count(t), 2);
    assert_int_equal(candidates_memory(t), 2 * memory);
    assert_false(has(t, id[1], 0));
    assert_true(has(t, id[2], 0));
    assert_true(has(t, id[3], 0));
    candidates_free(t);
}

static void the_newest_stays_however_large(void **state)
{
    struct candidates *t = candidates_new(MAX, 1, AGE_S);
    struct block_template *rest = new_template(*state, 0);
    char id[2][CANDIDATE_ID_SIZE];
    for (int i = 0; i < 2; i++)
        add(t, block_template_ref(rest), 0, id[i]);
    assert_int_equal(candidates_count(t), 1);
    assert_int_equal(candidates_memory(t), block_template_memory(rest));
    assert_true(has(t, id[1], 0));
    block_template_unref(rest);
    candidates_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(old_ones_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(those_more_than_a_block_behind_are_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(candidates_of_one_template_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(templates_stay_within_their_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_stays_however_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
