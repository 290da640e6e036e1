/* Real headers of three networks, and tables of facts about them. */
#include <config.h>

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/header_check.h"
#include "chain/pow.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

#define PERIOD 2016
#define MEDIAN_REACH 11
#define BATCH 2000
#define LATER INT64_C(4000000000) /* past the time of any real header */

static const struct chain_params *network_of(const char *name)
{
    static const struct {
        const char *prefix;
        enum chain_network network;
    } table[] = { { "headers/mainnet", NETWORK_MAIN }, { "headers/testnet", NETWORK_TEST },
                  { "headers/stn", NETWORK_STN } };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strncmp(name, table[i].prefix, strlen(table[i].prefix)) == 0)
            return params_get(table[i].network);
    fail_msg("%s: of which network?", name);
    return NULL;
}

static int32_t first_height_of(const char *name)
{
    int height = -1;
    const char *digits = strpbrk(name, "0123456789");
    if (!digits || sscanf(digits, "%d", &height) != 1)
        fail_msg("%s: first height?", name);
    return height;
}

/* --- whole files --- */

static void check_checkpoints(struct header_index *idx, struct header_node *last)
{
    const struct chain_params *p = header_index_params(idx);
    for (size_t i = 0; i < p->n_checkpoints && p->checkpoints[i].height <= last->height; i++) {
        const struct header_node *node = header_ancestor(last, p->checkpoints[i].height);
        assert_memory_equal(node->hash.b, p->checkpoints[i].hash.b, 32);
    }
}

static size_t accept_from_genesis(const char *name, const struct chain_params *p)
{
    struct block_header *h;
    const size_t n = headers_load(name, &h);
    struct header_index *idx = header_index_new(p);
    struct header_node *last = NULL;
    /* The scaling network was restarted since: checkpoints are of the present one. */
    header_index_use_checkpoints(idx, p->network != NETWORK_STN);
    for (size_t at = 0; at < n; at += BATCH)
        last = headers_accept(idx, h + at, n - at < BATCH ? n - at : BATCH);
    assert_int_equal(header_index_count(idx), n); /* the file's first is the genesis we have */
    assert_int_equal(last->height, n - 1);
    assert_ptr_equal(header_index_best(idx), last);
    if (p->network != NETWORK_STN)
        check_checkpoints(idx, last);
    header_index_free(idx);
    free(h);
    return n;
}

/* All rules but those that look at headers before the file. */
static size_t check_from_middle(const char *name, const struct chain_params *p, int32_t first)
{
    struct block_header *h;
    struct bare_chain chain;
    struct verdict v;
    const size_t n = headers_load(name, &h);
    size_t checked = 0;
    bare_chain_init(&chain, first, n);
    for (size_t i = 0; i < n; i++) {
        const struct block_hash hash = hash_of(&h[i]);
        assert_true(pow_hash_ok(p, &hash, h[i].bits));
        if (i > 0)
            assert_memory_equal(h[i].prev.b, chain.nodes[i - 1].hash.b, 32);
        if (i >= MEDIAN_REACH && bare_chain_has_look_back(&chain, p, h[i].time)) {
            if (!header_check_context(p, bare_chain_last(&chain), &h[i], LATER, &v))
                fail_msg("%s: height %d: %s", name, first + (int32_t)i, v.reason);
            checked++;
        }
        bare_chain_add(&chain, h[i].time, h[i].bits)->hash = hash;
    }
    bare_chain_clear(&chain);
    free(h);
    return checked;
}

static void every_file_of_headers_follows_the_rules(void **state)
{
    (void)state;
    char **names;
    const size_t n = vector_list("headers", ".headers", &names);
    for (size_t i = 0; i < n; i++) {
        const struct chain_params *p = network_of(names[i]);
        const int32_t first = first_height_of(names[i]);
        vector_report(names[i], first == 0 ? accept_from_genesis(names[i], p)
                                           : check_from_middle(names[i], p, first));
    }
    vector_list_free(names, n);
    if (n == 0)
        skip();
}

/* --- tables --- */

struct lines {
    struct buf text;
    char *rest;
};

static void lines_open(struct lines *l, const char *name)
{
    buf_init(&l->text);
    vector_read(name, &l->text);
    buf_put_u8(&l->text, 0);
    l->rest = (char *)l->text.data;
}

static char *lines_next(struct lines *l)
{
    return strsep(&l->rest, "\n");
}

static void lines_close(struct lines *l)
{
    buf_clear(&l->text);
}

/* First and last header of the periods from genesis on. */
struct periods {
    struct header_node *first, *last; /* of one that is not in the file the bits are 0 */
    size_t n;
};

static bool period_is_whole(const struct periods *p, size_t i)
{
    return i < p->n && p->first[i].bits && p->last[i].bits;
}

#define PERIODS_MAX 1024

static void node_of_header(struct header_node *node, int32_t height, const struct block_header *h)
{
    node->height = height;
    node->hash = hash_of(h);
    node->time = h->time;
    node->bits = h->bits;
}

/* Reads mainnet_retarget_boundaries.csv; a period's nodes are linked so that its retarget computes.
 */
static void periods_load(struct periods *p)
{
    struct lines lines;
    char *line, hex[161];
    int32_t height;
    *p = (struct periods){ xcalloc(PERIODS_MAX, sizeof(*p->first)),
                           xcalloc(PERIODS_MAX, sizeof(*p->last)), 0 };
    lines_open(&lines, "headers/mainnet_retarget_boundaries.csv");
    while ((line = lines_next(&lines))) {
        if (sscanf(line, "%d,%160s", &height, hex) != 2)
            continue;
        const size_t period = (size_t)height / PERIOD;
        const struct block_header h = header_unhex(hex);
        assert_true(period < PERIODS_MAX);
        if (height % PERIOD == 0) {
            node_of_header(&p->first[period], height, &h);
        } else {
            assert_int_equal(height % PERIOD, PERIOD - 1);
            node_of_header(&p->last[period], height, &h);
            p->last[period].skip = p->last[period].prev = &p->first[period];
            p->n = period + 1 > p->n ? period + 1 : p->n;
        }
    }
    lines_close(&lines);
}

static void periods_free(struct periods *p)
{
    free(p->first);
    free(p->last);
}

static void each_retarget_gives_the_bits_of_the_next_period(void **state)
{
    (void)state;
    const struct chain_params *main = params_get(NETWORK_MAIN);
    struct periods p;
    periods_load(&p);
    size_t cases = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (!period_is_whole(&p, i))
            continue;
        assert_true(pow_hash_ok(main, &p.last[i].hash, p.last[i].bits));
        assert_int_equal(p.first[i].bits, p.last[i].bits);
        if (p.first[i + 1].bits) {
            assert_int_equal(pow_required_bits(main, &p.last[i], 0), p.first[i + 1].bits);
            cases++;
        }
    }
    vector_report("headers/mainnet_retarget_boundaries.csv", cases);
    periods_free(&p);
}

static void period_ends_have_their_hash_and_next_target(void **state)
{
    (void)state;
    const struct chain_params *main = params_get(NETWORK_MAIN);
    struct periods p;
    struct lines lines;
    char *line, hash[65], target_hex[65];
    int32_t height;
    size_t cases = 0, computed = 0;
    periods_load(&p);
    lines_open(&lines, "headers/mainnet_period_ends_prefork.csv");
    while ((line = lines_next(&lines))) {
        if (sscanf(line, "%d,%64[0-9a-f],%64[0-9a-f]", &height, hash, target_hex) != 3)
            continue;
        struct u256 target, decoded;
        struct block_hash want;
        const size_t period = (size_t)height / PERIOD;
        assert_true(u256_from_hex(&target, target_hex) && hash_from_hex(want.b, hash));
        assert_true(pow_target(main, u256_to_compact(&target), &decoded));
        assert_int_equal(u256_cmp(&decoded, &target), 0); /* the form on headers loses nothing */
        if (period_is_whole(&p, period)) {
            assert_memory_equal(p.last[period].hash.b, want.b, 32);
            assert_int_equal(pow_required_bits(main, &p.last[period], 0), u256_to_compact(&target));
            computed++;
        }
        cases++;
    }
    lines_close(&lines);
    periods_free(&p);
    print_message("%zu of them computed from headers\n", computed);
    vector_report("headers/mainnet_period_ends_prefork.csv", cases);
}

/* Whether each period up to that of a height is known. */
static bool periods_reach(const struct periods *p, int32_t height)
{
    const size_t last = (size_t)height / PERIOD;
    size_t i = 0;
    while (i <= last && i < PERIODS_MAX && p->first[i].bits)
        i++;
    return i > last;
}

/* Work up to and including a height that the known periods cover, genesis left out as in the file.
 */
static struct u256 work_up_to(const struct periods *p, int32_t height)
{
    struct u256 sum = u256_from_u64(0);
    for (int32_t start = 0; start <= height; start += PERIOD) {
        const struct u256 one = pow_work_of_bits(p->first[start / PERIOD].bits);
        const int32_t blocks = height - start + 1 < PERIOD ? height - start + 1 : PERIOD;
        const struct u256 part = u256_mul_u64(&one, (uint64_t)blocks);
        sum = u256_add(&sum, &part);
    }
    const struct u256 genesis = pow_work_of_bits(p->first[0].bits);
    return u256_sub(&sum, &genesis);
}

/* The file of headers that begins at a height: how many, and the headers (heap); 0: none does. */
static size_t file_from(int32_t height, struct block_header **h)
{
    char **names;
    size_t found = 0;
    const size_t n = vector_list("headers", ".headers", &names);
    for (size_t i = 0; i < n && !found; i++)
        if (strstr(names[i], "mainnet") && first_height_of(names[i]) == height)
            found = headers_load(names[i], h);
    vector_list_free(names, n);
    return found;
}

static void chain_work_at_checkpoints_is_the_sum_of_blocks_after_genesis(void **state)
{
    (void)state;
    struct periods p;
    struct lines lines;
    char *line, hash[65], work_hex[65];
    int32_t height;
    size_t cases = 0, computed = 0;
    struct u256 before = u256_from_u64(0);
    periods_load(&p);
    lines_open(&lines, "headers/mainnet_chainwork_checkpoints.csv");
    while ((line = lines_next(&lines))) {
        if (sscanf(line, "%d,%64[0-9a-f],%64[0-9a-f]", &height, hash, work_hex) != 3)
            continue;
        struct u256 work;
        struct block_hash want;
        struct block_header *next;
        assert_true(u256_from_hex(&work, work_hex) && hash_from_hex(want.b, hash));
        assert_true(u256_cmp(&work, &before) > 0);
        before = work;
        if (periods_reach(&p, height)) {
            const struct u256 sum = work_up_to(&p, height);
            assert_int_equal(u256_cmp(&sum, &work), 0);
            computed++;
        } else if (file_from(height + 1, &next) > 0) {
            assert_memory_equal(next[0].prev.b, want.b, 32);
            free(next);
            computed++;
        }
        cases++;
    }
    lines_close(&lines);
    periods_free(&p);
    print_message("%zu of them computed or found in headers\n", computed);
    vector_report("headers/mainnet_chainwork_checkpoints.csv", cases);
}

/* Hashes that we can tell from something else: headers of the first file, periods, checkpoints. */
static void hashes_at_every_thousandth_height_are_as_listed(void **state)
{
    (void)state;
    const struct chain_params *main = params_get(NETWORK_MAIN);
    struct periods p;
    struct lines lines;
    struct block_header *h = NULL;
    char *line, hex[65];
    int32_t height;
    size_t cases = 0;
    periods_load(&p);
    const size_t n = file_from(0, &h);
    lines_open(&lines, "headers/mainnet_hash_every_1000.csv");
    while ((line = lines_next(&lines))) {
        struct block_hash want;
        if (sscanf(line, "%d,%64[0-9a-f]", &height, hex) != 2 || !hash_from_hex(want.b, hex))
            continue;
        if ((size_t)height < n) {
            const struct block_hash hash = hash_of(&h[height]);
            assert_memory_equal(hash.b, want.b, 32);
            cases++;
        }
        if (height % PERIOD == 0 && height / PERIOD < PERIODS_MAX &&
            p.first[height / PERIOD].bits) {
            assert_memory_equal(p.first[height / PERIOD].hash.b, want.b, 32);
            cases++;
        }
        for (size_t i = 0; i < main->n_checkpoints; i++)
            if (main->checkpoints[i].height == height) {
                assert_memory_equal(main->checkpoints[i].hash.b, want.b, 32);
                cases++;
            }
    }
    lines_close(&lines);
    periods_free(&p);
    free(h);
    vector_report("headers/mainnet_hash_every_1000.csv", cases);
}

static bool is_checkpoint(const struct chain_params *p, int height, const char *hash)
{
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < p->n_checkpoints; i++)
        if (p->checkpoints[i].height == height)
            return strcmp(hash_to_hex(hex, p->checkpoints[i].hash.b), hash) == 0;
    return false;
}

static void checkpoints_are_those_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum chain_network network;
    } networks[] = { { "mainnet", NETWORK_MAIN },
                     { "testnet", NETWORK_TEST },
                     { "stn", NETWORK_STN },
                     { "regtest", NETWORK_REGTEST } };
    struct json_object *all = vector_json("headers/checkpoints.json"), *list;
    size_t cases = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct chain_params *p = params_get(networks[i].network);
        assert_true(json_object_object_get_ex(all, networks[i].key, &list));
        for (size_t j = 0; j < json_object_array_length(list); j++, cases++) {
            struct json_object *pair = json_object_array_get_idx(list, j);
            const int height = json_object_get_int(json_object_array_get_idx(pair, 0));
            if (!is_checkpoint(p, height,
                               json_object_get_string(json_object_array_get_idx(pair, 1))))
                fail_msg("%s: no such checkpoint at %d", p->name, height);
        }
    }
    json_object_put(all);
    vector_report("headers/checkpoints.json", cases);
}

/* --- a branch below a checkpoint --- */

struct testnet_fork {
    struct block_header chain[1024], fork[16];
    size_t n_chain, n_fork;
};

static void testnet_fork_load(struct testnet_fork *t)
{
    struct lines lines;
    char *line;
    t->n_chain = t->n_fork = 0;
    lines_open(&lines, "headers/testnet3_first_blocks_and_fork.txt");
    while ((line = lines_next(&lines))) {
        if (strncmp(line, "fork:", 5) == 0)
            t->fork[t->n_fork++] = header_unhex(line + 5);
        else if (strlen(line) == 2 * BLOCK_HEADER_SIZE)
            t->chain[t->n_chain++] = header_unhex(line);
    }
    lines_close(&lines);
    assert_int_equal(t->n_chain, 546);
    assert_int_equal(t->n_fork, 2);
}

static void branch_below_the_last_checkpoint_is_refused(void **state)
{
    (void)state;
    struct testnet_fork t;
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    testnet_fork_load(&t);
    struct header_index *idx = header_index_new(params_get(NETWORK_TEST));

    /* Before the checkpoint's block is in, the branch is a branch like others. */
    headers_accept(idx, t.fork, 1);
    headers_accept(idx, t.chain, t.n_chain);
    assert_int_equal(header_index_accept(idx, t.fork + 1, NULL, 1, LATER, &accepted, &last, &v),
                     OK);
    assert_int_equal(accepted, 0);
    assert_int_equal(v.code, REJECT_CHECKPOINT);
    assert_int_equal(v.ban_score, 100);
    assert_string_equal(v.reason, "bad-fork-prior-to-checkpoint");
    header_index_free(idx);

    idx = header_index_new(params_get(NETWORK_TEST));
    header_index_use_checkpoints(idx, false);
    headers_accept(idx, t.chain, t.n_chain);
    headers_accept(idx, t.fork, t.n_fork);
    assert_int_equal(header_index_count(idx), 1 + t.n_chain + t.n_fork);
    assert_int_equal(header_index_best(idx)->height, t.n_chain);
    header_index_free(idx);
    vector_report("headers/testnet3_first_blocks_and_fork.txt", t.n_chain + t.n_fork);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_headers_follows_the_rules),
        cmocka_unit_test(each_retarget_gives_the_bits_of_the_next_period),
        cmocka_unit_test(period_ends_have_their_hash_and_next_target),
        cmocka_unit_test(chain_work_at_checkpoints_is_the_sum_of_blocks_after_genesis),
        cmocka_unit_test(hashes_at_every_thousandth_height_are_as_listed),
        cmocka_unit_test(checkpoints_are_those_of_the_reference),
        cmocka_unit_test(branch_below_the_last_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
