/* Reports of double spends: what holds together, and each way in which it does not. */
#include "node/ds_report.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

/* A branch of n headers above the ancestor; its last block has a coinbase and the transaction. */
struct made {
    struct block_header headers[DS_FORK_MAX]; /* the block's first */
    size_t n;
    struct tx *tx;
    struct tsc_proof proof;
};

static struct tx *make_tx(const uint32_t *spends, size_t n, uint32_t lock_time)
{
    struct tx_in in[4] = { { .sequence = 0 } };
    struct tx tx = { .version = 1, .lock_time = lock_time, .n_in = n, .in = in };
    struct error e;
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n; i++)
        in[i].prevout = (struct outpoint){ { { 7 } }, spends[i] };
    tx_write(&b, &tx);
    struct tx *made = tx_new(b.data, b.len, &e);
    assert_non_null(made);
    buf_clear(&b);
    return made;
}

static void make_branch(struct made *m, size_t n, uint32_t nonce, struct tx *tx)
{
    struct block_hash prev = { { 0xaa } };
    struct hash256 sibling = { { 1, 2, 3 } };
    m->n = n;
    m->tx = tx;
    m->proof = (struct tsc_proof){ .tx = tx->raw, .id = tx->id, .target = TSC_MERKLE_ROOT };
    m->proof.branch = (struct merkle_branch){ .index = 1, .n = 1 };
    m->proof.branch.sibling[0].hash = sibling;
    sha256d_pair(m->proof.root.b, sibling.b, tx->id.b);
    for (size_t i = n; i-- > 0;) {
        m->headers[i] = (struct block_header){ .version = 4, .prev = prev, .nonce = nonce };
        if (i == 0)
            m->headers[i].merkle_root = m->proof.root;
        block_header_hash(&prev, &m->headers[i]);
    }
}

static struct buf message(const struct made *m, size_t n)
{
    struct buf b;
    buf_init(&b);
    msg_dsdetected_begin(&b, n);
    for (size_t i = 0; i < n; i++)
        msg_ds_block_write(&b, m[i].headers, m[i].n, &m[i].proof);
    return b;
}

/* The reason for which it is refused, "" when it is fine, "format" when it is no message. */
static const char *judge(const struct made *made, size_t n, struct ds_report *out)
{
    static struct ds_report unused;
    struct buf b = message(made, n);
    struct msg_dsdetected m;
    const char *why = "format";
    struct ds_report *r = out ? out : &unused;
    if (msg_dsdetected_read(&m, buf_span(&b)) == OK && ds_report_read(r, &m, &why)) {
        why = "";
        ds_report_clear(r);
    }
    buf_clear(&b);
    return why;
}

#define SCENE 3
struct scene { struct made m[SCENE]; };

/* Three branches of 1, 2 and 3 headers whose transactions all spend output 5. */
static void scene_open(struct scene *s)
{
    static const uint32_t spends[SCENE][2] = { { 5, 1 }, { 2, 5 }, { 5, 3 } };
    for (uint32_t i = 0; i < SCENE; i++)
        make_branch(&s->m[i], i + 1, 100 + i, make_tx(spends[i], 2, i));
}

static void scene_close(struct scene *s)
{
    for (size_t i = 0; i < SCENE; i++)
        tx_unref(s->m[i].tx);
}

static void blocks_that_spend_the_same_make_a_report(void **state)
{
    (void)state;
    struct scene s;
    struct ds_report r;
    scene_open(&s);
    assert_string_equal(judge(s.m, 2, NULL), "");
    assert_string_equal(judge(s.m, 3, &r), "");
    struct made swapped[SCENE] = { s.m[2], s.m[0], s.m[1] };
    struct ds_report again;
    assert_string_equal(judge(swapped, 3, &again), "");
    assert_memory_equal(r.id.b, again.id.b, 32);
    assert_memory_equal(r.place.b, again.place.b, 32);
    assert_string_equal(judge(s.m + 1, 2, &again), "");
    assert_memory_not_equal(r.place.b, again.place.b, 32);
    scene_close(&s);
}

static void every_transaction_must_conflict_with_that_of_another_block(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    const uint32_t others[] = { 8, 9 }, twice[] = { 8, 8 };
    struct tx *alone = make_tx(others, 2, 1), *with_itself = make_tx(twice, 2, 2);
    tx_unref(s.m[2].tx);
    make_branch(&s.m[2], 2, 300, alone);
    assert_string_equal(judge(s.m, 3, NULL), "no double spend");
    make_branch(&s.m[2], 2, 300, with_itself);
    assert_string_equal(judge(s.m, 3, NULL), "no double spend");
    tx_unref(with_itself);
    s.m[2].tx = alone;
    scene_close(&s);
}

static void blocks_must_compete(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    struct made same[2] = { s.m[0], s.m[0] };
    assert_string_equal(judge(same, 2, NULL), "blocks do not compete");
    struct made one_tx[2] = { s.m[0], s.m[1] };
    make_branch(&one_tx[1], 2, 500, s.m[0].tx);
    assert_string_equal(judge(one_tx, 2, NULL), "blocks do not compete");
    struct made moved[2] = { s.m[0], s.m[1] };
    moved[0].headers[0].prev.b[5] ^= 1; /* another ancestor */
    assert_string_equal(judge(moved, 2, NULL), "blocks do not compete");
    /* The one block is a header in the branch of the other. */
    struct made below[2] = { s.m[0], s.m[1] };
    below[1].headers[1] = s.m[0].headers[0];
    block_header_hash(&below[1].headers[0].prev, &below[1].headers[1]);
    assert_string_equal(judge(below, 2, NULL), "blocks do not compete");
    scene_close(&s);
}

static void headers_must_link_and_proofs_lead_to_the_block(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    struct made bad[2] = { s.m[0], s.m[2] };
    bad[1].headers[1].nonce++;
    assert_string_equal(judge(bad, 2, NULL), "headers do not link");
    bad[1] = s.m[2];
    bad[1].proof.branch.sibling[0].hash.b[0] ^= 1;
    assert_string_equal(judge(bad, 2, NULL), "proof does not lead to the block");
    bad[1] = s.m[2];
    bad[1].proof.tx = s.m[1].tx->raw;
    assert_string_equal(judge(bad, 2, NULL), "proof does not lead to the block");
    bad[1] = s.m[2];
    bad[1].headers[0].merkle_root.b[3] ^= 1;
    assert_string_equal(judge(bad, 2, NULL), "proof does not lead to the block");
    scene_close(&s);
}

static void a_coinbase_conflicts_with_nothing(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    struct tx_in in = { .prevout = { .index = UINT32_MAX } };
    struct tx coinbase = { .version = 1, .n_in = 1, .in = &in };
    struct error e;
    struct buf b;
    buf_init(&b);
    tx_write(&b, &coinbase);
    tx_unref(s.m[1].tx);
    make_branch(&s.m[1], 1, 9, tx_new(b.data, b.len, &e));
    assert_string_equal(judge(s.m, 2, NULL), "coinbase");
    buf_clear(&b);
    scene_close(&s);
}

static void what_the_reference_does_not_read_is_no_message(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    assert_string_equal(judge(s.m, 1, NULL), "format");
    struct made bad[2] = { s.m[0], s.m[1] };
    bad[1].proof.branch.index = 0;
    assert_string_equal(judge(bad, 2, NULL), "format");
    bad[1] = s.m[1];
    bad[1].proof.target = TSC_BLOCK_HASH;
    assert_string_equal(judge(bad, 2, NULL), "format");
    bad[1] = s.m[1];
    bad[1].proof.tx = span_of(NULL, 0);
    assert_string_equal(judge(bad, 2, NULL), "format");
    bad[1] = s.m[1];
    bad[1].n = 0;
    assert_string_equal(judge(bad, 2, NULL), "format");
    struct buf b = message(s.m, 3);
    for (size_t len = 0; len < b.len; len++) {
        struct msg_dsdetected m;
        assert_int_equal(msg_dsdetected_read(&m, span_of(b.data, len)), ERR_PARSE);
    }
    buf_clear(&b);
    scene_close(&s);
}

static void reports_about_very_many_blocks_are_refused(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    struct made many[DS_BLOCKS_MAX + 1];
    for (size_t i = 0; i < DS_BLOCKS_MAX + 1; i++)
        many[i] = s.m[i % SCENE];
    assert_string_equal(judge(many, DS_BLOCKS_MAX + 1, NULL), "too many blocks");
    scene_close(&s);
}

static int64_t us_to_hash(const struct made *m, size_t n)
{
    struct block_hash hash;
    const int64_t start = clock_thread_cpu_us();
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m[i].n; k++)
            block_header_hash(&hash, &m[i].headers[k]);
    return clock_thread_cpu_us() - start;
}

/* Headers cost their sender nothing before their work is looked at: none is hashed for each of the
 * other blocks. */
static void the_longest_report_costs_little_more_than_hashing_its_headers(void **state)
{
    (void)state;
    struct made *many = xmalloc(DS_BLOCKS_MAX * sizeof(*many));
    int64_t judging = INT64_MAX, hashing = INT64_MAX;
    for (uint32_t i = 0; i < DS_BLOCKS_MAX; i++)
        make_branch(&many[i], DS_FORK_MAX, i, make_tx((uint32_t[]){ 5 }, 1, i));
    for (int round = 0; round < 3; round++) {
        hashing = MIN_OF(hashing, us_to_hash(many, DS_BLOCKS_MAX));
        const int64_t start = clock_thread_cpu_us();
        assert_string_equal(judge(many, DS_BLOCKS_MAX, NULL), "");
        judging = MIN_OF(judging, clock_thread_cpu_us() - start);
    }
    assert_true(judging < 6 * hashing);
    for (size_t i = 0; i < DS_BLOCKS_MAX; i++)
        tx_unref(many[i].tx);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_spend_the_same_make_a_report),
        cmocka_unit_test(every_transaction_must_conflict_with_that_of_another_block),
        cmocka_unit_test(blocks_must_compete),
        cmocka_unit_test(headers_must_link_and_proofs_lead_to_the_block),
        cmocka_unit_test(a_coinbase_conflicts_with_nothing),
        cmocka_unit_test(what_the_reference_does_not_read_is_no_message),
        cmocka_unit_test(reports_about_very_many_blocks_are_refused),
        cmocka_unit_test(the_longest_report_costs_little_more_than_hashing_its_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
