#include <config.h>

#include "chain/intake.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/chain/made_block.h"
#include "tests/test.h"

enum { LARGE_MIN = 1 << 16 }; /* where the streaming path begins in these tests */

struct fixture {
    char *dir;
    struct blockfiles *files;
    struct pool *pool;
    struct intake_options o;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned results, drained;
    struct intake_result last;
};

static void on_done(void *ctx, struct intake_result *r)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->lock);
    block_segment_unref(f->last.segment);
    f->last = *r;
    f->results++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void on_drained(void *ctx, uint64_t source)
{
    struct fixture *f = ctx;
    (void)source;
    pthread_mutex_lock(&f->lock);
    f->drained++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static struct fixture *set_up(unsigned workers)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    struct blockfiles_options o = { .dir = f->dir,
                                    .magic = { 1, 2, 3, 4 },
                                    .preferred_size = 1 << 20 };
    assert_int_equal(blockfiles_open(&f->files, &o, NULL, 0, NULL), OK);
    f->pool = pool_new(workers, "test");
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->o = (struct intake_options){
        .files = f->files,
        .pool = f->pool,
        .done = on_done,
        .drained = on_drained,
        .ctx = f,
        .stream_min = LARGE_MIN,
    };
    return f;
}

/* After this no job runs any more. */
static void stop_pool(struct fixture *f)
{
    pool_free(f->pool);
    f->pool = NULL;
}

static void tear_down(struct fixture *f)
{
    stop_pool(f);
    assert_int_equal(intake_memory_bytes(), 0);
    block_segment_unref(f->last.segment);
    blockfiles_close(f->files);
    test_dir_remove(f->dir);
    free(f);
}

static void wait_result(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    while (f->results == 0)
        pthread_cond_wait(&f->changed, &f->lock);
    f->results--;
    pthread_mutex_unlock(&f->lock);
}

/* Feeds in pieces of the given size and stops while the queue is full, as a peer's reader does. */
static void feed_all(struct fixture *f, const struct made_block *m, const uint32_t *checksum,
                     size_t piece)
{
    struct block_intake *in =
        intake_new(&f->o, (struct header_node *)&m->node, m->raw.len, checksum, 77);
    for (size_t at = 0; at < m->raw.len; at += piece) {
        pthread_mutex_lock(&f->lock);
        unsigned drained = f->drained;
        pthread_mutex_unlock(&f->lock);
        size_t queued = intake_feed(in, m->raw.data + at, MIN_OF(piece, m->raw.len - at));
        assert_true(queued < INTAKE_QUEUE_MAX + piece);
        if (queued < INTAKE_QUEUE_MAX)
            continue;
        pthread_mutex_lock(&f->lock);
        while (f->drained == drained)
            pthread_cond_wait(&f->changed, &f->lock);
        pthread_mutex_unlock(&f->lock);
    }
    wait_result(f);
    assert_ptr_equal(f->last.node, &m->node);
    assert_int_equal(f->last.source, 77);
}

static void assert_stored(struct fixture *f, const struct made_block *m)
{
    assert_int_equal(f->last.err, OK);
    assert_true(verdict_ok(&f->last.verdict));
    assert_int_equal(f->last.pos.size, m->raw.len);
    assert_int_equal(f->last.wire_checksum, made_block_checksum(m));
    uint8_t *back = xmalloc(m->raw.len);
    assert_int_equal(blockfiles_read(f->files, &f->last.pos, 0, back, m->raw.len, NULL), OK);
    assert_memory_equal(back, m->raw.data, m->raw.len);
    free(back);
}

static void assert_refused(struct fixture *f, const char *reason, unsigned score)
{
    assert_int_equal(f->last.err, OK);
    assert_string_equal(f->last.verdict.reason, reason);
    assert_int_equal(f->last.verdict.ban_score, score);
    assert_true(f->last.verdict.corruption);
    assert_null(f->last.segment);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
}

static unsigned files_in(const char *dir)
{
    unsigned n = 0;
    assert_int_equal(path_list(dir, count_name, &n, NULL), OK);
    return n;
}

static void a_small_block_is_stored_and_handed_over_parsed(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 7, 80, 81, 1000, 1 << 20 };
    struct fixture *f = set_up(2);
    for (uint32_t i = 0; i < 6; i++) {
        struct made_block m = made_block_new(10 + i, 100, i);
        uint32_t sum = made_block_checksum(&m);
        feed_all(f, &m, i % 2 ? &sum : NULL, pieces[i]);
        assert_stored(f, &m);
        assert_int_equal(f->last.tx_count, 10 + i);
        assert_non_null(f->last.segment);
        assert_int_equal(f->last.segment->n_txs, 10 + i);
        assert_true(f->last.segment->last);
        assert_int_equal(f->last.segment->offset, 81);
        made_block_clear(&m);
    }
    tear_down(f);
}

static void a_large_block_is_stored_in_a_file_of_its_own(void **state)
{
    (void)state;
    static const size_t pieces[] = { 4099, 65536, (1 << 20) + 1, 5 << 20 };
    struct fixture *f = set_up(2);
    for (uint32_t i = 0; i < 4; i++) {
        struct made_block m = made_block_new(30 + i, 100000 + i, i);
        uint32_t sum = made_block_checksum(&m);
        feed_all(f, &m, &sum, pieces[i]);
        assert_stored(f, &m);
        assert_int_equal(f->last.pos.file, i);
        assert_int_equal(f->last.tx_count, 30 + i);
        assert_null(f->last.segment);
        made_block_clear(&m);
    }
    tear_down(f);
}

static void the_queue_is_bounded_and_says_when_it_drained(void **state)
{
    (void)state;
    struct fixture *f = set_up(1);
    struct made_block m = made_block_new(40, 1 << 20, 1);
    feed_all(f, &m, NULL, 300000);
    assert_stored(f, &m);
    made_block_clear(&m);
    tear_down(f);
}

struct held_worker {
    struct job job;
    pthread_mutex_t lock; /* held by the test */
};

static void hold_worker(struct job *job)
{
    struct held_worker *h = (struct held_worker *)(void *)job;
    pthread_mutex_lock(&h->lock);
    pthread_mutex_unlock(&h->lock);
}

/* Who feeds from a thread of its own waits this way (submitblock). */
static void feeding_nothing_tells_what_is_queued(void **state)
{
    (void)state;
    struct fixture *f = set_up(1);
    struct made_block m = made_block_new(40, 1 << 20, 1);
    struct held_worker held = { .job.run = hold_worker, .lock = PTHREAD_MUTEX_INITIALIZER };
    pthread_mutex_lock(&held.lock);
    pool_submit(f->o.pool, JOB_BLOCK, &held.job);
    struct block_intake *in = intake_new(&f->o, &m.node, m.raw.len, NULL, 5);
    const size_t part = 10 << 20;
    assert_int_equal(intake_feed(in, m.raw.data, part), part);
    assert_int_equal(intake_feed(in, m.raw.data + part, 0), part);
    pthread_mutex_unlock(&held.lock);
    for (unsigned i = 0; i < 10000 && intake_feed(in, m.raw.data + part, 0) > 0; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    assert_int_equal(intake_feed(in, m.raw.data + part, 0), 0);
    intake_feed(in, m.raw.data + part, m.raw.len - part);
    wait_result(f);
    assert_stored(f, &m);
    pthread_mutex_destroy(&held.lock);
    made_block_clear(&m);
    tear_down(f);
}

static void without_workers_everything_happens_in_the_feed(void **state)
{
    (void)state;
    struct fixture *f = set_up(0);
    struct made_block small = made_block_new(3, 100, 1), large = made_block_new(30, 100000, 2);
    feed_all(f, &small, NULL, 100);
    assert_stored(f, &small);
    feed_all(f, &large, NULL, 100000);
    assert_stored(f, &large);
    made_block_clear(&small);
    made_block_clear(&large);
    tear_down(f);
}

/* Both paths judge alike: a row is tried with scripts that make the block small and large. */
static const size_t script_lens[] = { 50, 100000 };

static void a_wrong_checksum_refuses_without_score(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    for (unsigned i = 0; i < 2; i++) {
        struct made_block m = made_block_new(5, script_lens[i], 1);
        uint32_t sum = made_block_checksum(&m) ^ 1;
        feed_all(f, &m, &sum, 10000);
        assert_refused(f, "checksum", 0);
        made_block_clear(&m);
    }
    assert_int_equal(files_in(f->dir), 0);
    tear_down(f);
}

static void a_changed_byte_of_a_transaction_breaks_the_root(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    for (unsigned i = 0; i < 2; i++) {
        struct made_block m = made_block_new(5, script_lens[i], 1);
        m.raw.data[m.raw.len - 10] ^= 1; /* inside the last script */
        feed_all(f, &m, NULL, 10000);
        assert_refused(f, "bad-txnmrklroot", 100);
        made_block_clear(&m);
    }
    stop_pool(f);
    assert_int_equal(files_in(f->dir), 0);
    tear_down(f);
}

static void a_duplicated_transaction_with_the_same_root_is_seen(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    for (unsigned i = 0; i < 2; i++) {
        struct made_block m = made_block_mutated(5, script_lens[i], 1);
        feed_all(f, &m, NULL, 10000);
        assert_refused(f, "bad-txns-duplicate", 100);
        made_block_clear(&m);
    }
    tear_down(f);
}

static void another_header_is_refused(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    for (unsigned i = 0; i < 2; i++) {
        struct made_block m = made_block_new(5, script_lens[i], 1);
        m.raw.data[70] ^= 1;
        feed_all(f, &m, NULL, 10000);
        assert_refused(f, "bad-blk-header", 100);
        made_block_clear(&m);
    }
    tear_down(f);
}

static void bytes_missing_or_too_many_are_refused(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    for (unsigned i = 0; i < 2; i++) {
        struct made_block m = made_block_new(5, script_lens[i], 1);
        m.raw.len -= 1;
        feed_all(f, &m, NULL, 10000);
        assert_refused(f, "error parsing message", 100);
        m.raw.len += 1;
        buf_put_u8(&m.raw, 0);
        feed_all(f, &m, NULL, 10000);
        assert_refused(f, "bad-blk-length", 100);
        made_block_clear(&m);
    }
    tear_down(f);
}

static void fewer_bytes_than_a_header_and_no_transactions_are_refused(void **state)
{
    (void)state;
    struct fixture *f = set_up(1);
    struct made_block m = made_block_new(0, 0, 1);
    feed_all(f, &m, NULL, 10);
    assert_refused(f, "bad-blk-length", 100);
    m.raw.len = 40;
    feed_all(f, &m, NULL, 40);
    assert_refused(f, "error parsing message", 100);
    made_block_clear(&m);
    tear_down(f);
}

static void garbage_in_a_large_block_is_reported_before_its_end(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    struct made_block m = made_block_new(50, 100000, 1);
    m.raw.data[85] =
        0xff; /* the first count of inputs: more than a block can hold, in a wrong form */
    memset(m.raw.data + 86, 0, 8);
    struct block_intake *in = intake_new(&f->o, &m.node, m.raw.len, NULL, 5);
    intake_feed(in, m.raw.data, 2 << 20);
    wait_result(f);
    assert_refused(f, "error parsing message", 100);
    intake_feed(in, m.raw.data + (2 << 20), m.raw.len - (2 << 20)); /* ignored, and ends it */
    stop_pool(f);
    assert_int_equal(f->results, 0);
    assert_int_equal(files_in(f->dir), 0);
    made_block_clear(&m);
    tear_down(f);
}

static void an_aborted_intake_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        struct fixture *f = set_up(i % 3);
        struct made_block m = made_block_new(50, i % 2 ? 100000 : 60, 1);
        struct block_intake *in = intake_new(&f->o, &m.node, m.raw.len, NULL, 5);
        size_t part = m.raw.len / 41 * (i + 1);
        intake_feed(in, m.raw.data, part);
        intake_abort(in);
        stop_pool(f);
        assert_int_equal(f->results, 0);
        assert_int_equal(files_in(f->dir), 0);
        made_block_clear(&m);
        tear_down(f);
    }
}

static void an_intake_that_was_judged_early_can_be_aborted(void **state)
{
    (void)state;
    struct fixture *f = set_up(1);
    struct made_block m = made_block_new(50, 100000, 1);
    m.raw.data[0] ^= 1;
    struct block_intake *in = intake_new(&f->o, &m.node, m.raw.len, NULL, 5);
    intake_feed(in, m.raw.data, 3 << 20);
    wait_result(f);
    intake_abort(in);
    stop_pool(f);
    assert_int_equal(f->results, 0);
    made_block_clear(&m);
    tear_down(f);
}

static void claimed_sizes_take_no_memory(void **state)
{
    (void)state;
    struct fixture *f = set_up(1);
    struct made_block m = made_block_new(1, 100, 1);
    struct block_intake *ins[100];
    for (unsigned i = 0; i < 100; i++) {
        ins[i] = intake_new(&f->o, &m.node, UINT64_C(4000000000), NULL, i);
        intake_feed(ins[i], m.raw.data, 90);
    }
    assert_true(intake_memory_bytes() < 4 << 20);
    for (unsigned i = 0; i < 100; i++)
        intake_abort(ins[i]);
    made_block_clear(&m);
    tear_down(f);
}

/* The directory is taken away: a name in its place makes every open fail, also for root. */
static void a_disk_that_fails_is_an_error_and_no_verdict(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = set_up(2);
        assert_int_equal(rmdir(f->dir), 0);
        struct made_block m = made_block_new(5, script_lens[i], 1);
        feed_all(f, &m, NULL, 10000);
        assert_int_not_equal(f->last.err, OK);
        assert_true(verdict_ok(&f->last.verdict));
        assert_true(strlen(f->last.error.text) > 0);
        assert_null(f->last.segment);
        assert_int_equal(mkdir(f->dir, 0700), 0);
        made_block_clear(&m);
        tear_down(f);
    }
}

static void a_block_of_the_real_limit_streams(void **state)
{
    (void)state;
    struct fixture *f = set_up(2);
    f->o.stream_min = 0;
    struct made_block m = made_block_new(330, 102400, 1);
    assert_true(m.raw.len > BLOCKFILE_STREAM_MIN);
    uint32_t sum = made_block_checksum(&m);
    int64_t start = clock_mono_ms();
    feed_all(f, &m, &sum, 1 << 18);
    print_message("%zu bytes in %lld ms\n", m.raw.len, (long long)(clock_mono_ms() - start));
    assert_stored(f, &m);
    assert_null(f->last.segment);
    made_block_clear(&m);
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_block_is_stored_and_handed_over_parsed),
        cmocka_unit_test(a_large_block_is_stored_in_a_file_of_its_own),
        cmocka_unit_test(the_queue_is_bounded_and_says_when_it_drained),
        cmocka_unit_test(feeding_nothing_tells_what_is_queued),
        cmocka_unit_test(without_workers_everything_happens_in_the_feed),
        cmocka_unit_test(a_wrong_checksum_refuses_without_score),
        cmocka_unit_test(a_changed_byte_of_a_transaction_breaks_the_root),
        cmocka_unit_test(a_duplicated_transaction_with_the_same_root_is_seen),
        cmocka_unit_test(another_header_is_refused),
        cmocka_unit_test(bytes_missing_or_too_many_are_refused),
        cmocka_unit_test(fewer_bytes_than_a_header_and_no_transactions_are_refused),
        cmocka_unit_test(garbage_in_a_large_block_is_reported_before_its_end),
        cmocka_unit_test(an_aborted_intake_leaves_nothing),
        cmocka_unit_test(an_intake_that_was_judged_early_can_be_aborted),
        cmocka_unit_test(claimed_sizes_take_no_memory),
        cmocka_unit_test(a_disk_that_fails_is_an_error_and_no_verdict),
        cmocka_unit_test(a_block_of_the_real_limit_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
