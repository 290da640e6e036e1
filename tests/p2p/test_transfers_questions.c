/* A peer that asks for what it should not have, or does not read. */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/p2p/transfers_rig.h"
#include "tests/test.h"

static void ask_for(struct far *s, const uint8_t id[32], uint8_t what, uint32_t first, uint32_t n)
{
    uint8_t request[FILE_REQUEST_SIZE];
    memcpy(request, id, 32);
    request[32] = what;
    be32_put(request + 33, first);
    be32_put(request + 37, n);
    far_send(s, request, sizeof request);
    far_end(s);
}

static bool has_ended(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    return ((const struct far *)ctx)->fin || ((const struct far *)ctx)->closed;
}

static void assert_status(const uint8_t id[32], uint8_t what, uint32_t first, uint32_t n,
                          uint8_t status)
{
    struct far *s = far_open(rig.fake, "file");
    ask_for(s, id, what, first, n);
    fake_until(rig.fake, has_ended, s);
    assert_true(s->in.len >= 1);
    assert_int_equal(s->in.data[0], status);
    if (status)
        assert_int_equal(s->in.len, 1);
}

/* A worker that does not come back until `held` is unlocked. */
struct stuck { struct disk_job job; pthread_mutex_t *held; };

static void run_stuck(struct disk_job *j)
{
    struct stuck *s = (struct stuck *)(void *)j;
    pthread_mutex_lock(s->held);
    pthread_mutex_unlock(s->held);
}

static void free_job(struct disk_job *j)
{
    free(j);
}

static void stop_the_disk(pthread_mutex_t *held)
{
    pthread_mutex_lock(held);
    for (unsigned i = 0; i < pool_workers(rig.files->pool); i++) {
        struct stuck *s = xcalloc(1, sizeof *s);
        s->held = held;
        s->job = (struct disk_job){ .run = run_stuck, .done = free_job, .drop = free_job };
        disk_submit(rig.files, &s->job, JOB_BLOCK);
    }
}

#define LARGE_CHUNKS 512 /* 8 MiB */

static void what_waits_for_a_slow_disk_is_bounded(void **state)
{
    static uint8_t data[LARGE_CHUNKS * CHUNK], leaves[LARGE_CHUNKS][32];
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct dchan_tree tree;
    uint8_t root[32], id[32];
    (void)state;
    dchan_tree_init(&tree);
    for (size_t i = 0; i < LARGE_CHUNKS; i++) {
        be32_put(data + i * CHUNK, (uint32_t)i);
        dchan_leaf_hash(leaves[i], span_of(data + i * CHUNK, CHUNK));
        dchan_tree_add(&tree, leaves[i]);
    }
    dchan_tree_root(&tree, root);
    dchan_file_id(id, sizeof data, root);
    rig_offer(id, sizeof data, 14);
    assert_int_equal(transfers_accept(rig.files, id, NULL, 0, NULL), OK);
    rig.n_sent = 0;
    rig_reply(rig_stream(1, FILE_LEAVES, 0, LARGE_CHUNKS), FILE_OK, leaves, sizeof leaves);
    struct far *s = rig_stream(2, FILE_CHUNKS, 0, LARGE_CHUNKS);
    stop_the_disk(&held);
    rig_reply(s, FILE_OK, data, sizeof data);
    fake_settle(rig.fake);
    const struct incoming *in = rig_incoming();
    const uint64_t meanwhile = in->transferred;
    pthread_mutex_unlock(&held);
    assert_in_range(meanwhile, DCHAN_WINDOW_START, 3 * FILE_BLOCK + 2 * DCHAN_WINDOW_START);
    fake_until(rig.fake, rig_is_done, NULL);
    assert_int_equal(in->transferred, sizeof data);
    pthread_mutex_destroy(&held);
}

static void only_what_was_offered_and_accepted_is_served(void **state)
{
    const uint8_t unknown[32] = { 7 };
    struct content c;
    (void)state;
    free(rig_offered(&c));
    assert_status(unknown, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    struct contact *other = fake_add_contact(rig.fake, "eve");
    rig.fake->peer.contact = other;
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    rig.fake->peer.contact = NULL;
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
    rig.fake->peer.contact = &rig.fake->contacts[0];
    rig_take_id(DCHAN_F_DONE, c.id, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_UNKNOWN);
}

static bool has_hashed(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig.files->hashing == 0;
}

/* That a file cannot be opened now says nothing about what is in it. */
static void a_file_that_cannot_be_read_is_not_taken_for_changed(void **state)
{
    struct content c;
    struct rlimit few, limit;
    (void)state;
    char *path = rig_offered(&c);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    const struct outgoing *o =
        LIST_ITEM(list_first(&rig.files->outgoing), struct outgoing, link);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY);
    fake_until(rig.fake, has_hashed, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(o->state, TRANSFER_RUNNING);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    assert_int_equal(unlink(path), 0); /* that it is gone does */
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_CHANGED);
    assert_int_equal(o->state, TRANSFER_CHANGED);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_CHANGED);
    free(path);
}

static bool holds_nothing(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig.files->serve_bytes == 0;
}

/* Not with an answer to try again, or a reset: its bytes are looked at first. */
static void who_asks_for_a_file_that_was_edited_is_told(void **state)
{
    struct content c;
    struct far *both[2];
    (void)state;
    char *path = rig_offered(&c);
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    assert_int_equal(file_replace(path, c.data, sizeof c.data, NULL), OK);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY); /* another file of the same content */
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
    c.data[0] ^= 1;
    assert_int_equal(file_replace(path, c.data, sizeof c.data, NULL), OK);
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        both[i] = far_open(rig.fake, "file");
        ask_for(both[i], c.id, FILE_CHUNKS, 0, 1);
    }
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        fake_until(rig.fake, has_ended, both[i]);
        assert_int_equal(both[i]->in.len, 1);
        assert_int_equal(both[i]->in.data[0], FILE_CHANGED);
        assert_false(both[i]->closed && both[i]->code);
    }
    assert_int_equal(rig.sent[rig.n_sent - 1].type, DCHAN_F_CANCEL);
    fake_until(rig.fake, holds_nothing, NULL); /* a worker may still read for one of them */
    free(path);
}

static void ranges_outside_the_file_are_refused(void **state)
{
    struct content c;
    (void)state;
    free(rig_offered(&c));
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    for (uint8_t what = FILE_LEAVES; what <= FILE_CHUNKS; what++) {
        assert_status(c.id, what, 0, 0, FILE_RANGE);
        assert_status(c.id, what, 0, 4, FILE_RANGE);
        assert_status(c.id, what, 3, 1, FILE_RANGE);
        assert_status(c.id, what, 1, UINT32_MAX, FILE_RANGE);
        assert_status(c.id, what, UINT32_MAX, 1, FILE_RANGE);
        assert_status(c.id, what, UINT32_MAX, UINT32_MAX, FILE_RANGE);
        assert_status(c.id, what, 2, 1, FILE_OK);
    }
    assert_status(c.id, 0, 0, 1, FILE_RANGE);
    assert_status(c.id, 3, 0, 1, FILE_RANGE);
    assert_status(c.id, 255, 0, 1, FILE_RANGE);
    assert_int_equal(rig.files->serve_bytes, 0);
}

static void questions_of_another_length_are_reset(void **state)
{
    uint8_t bytes[FILE_REQUEST_SIZE + 1] = { 0 };
    (void)state;
    struct far *s = far_open(rig.fake, "file");
    far_send(s, bytes, sizeof bytes);
    rig_await_over(s, DCHAN_RESET_REFUSED);
    s = far_open(rig.fake, "file");
    far_send(s, bytes, FILE_REQUEST_SIZE - 1);
    far_end(s);
    rig_await_over(s, DCHAN_RESET_REFUSED);
    s = far_open(rig.fake, "file");
    far_end(s);
    rig_await_over(s, DCHAN_RESET_REFUSED);
}

/* They never read: what waits for them is bounded, others get their turn, and they are reset. */
static void who_does_not_read_has_four_streams_and_a_minute(void **state)
{
    struct content c;
    struct far *lazy[TRANSFERS_STREAMS_MAX];
    (void)state;
    free(rig_offered(&c));
    rig_take_id(DCHAN_F_ACCEPT, c.id, 0);
    for (size_t i = 0; i < COUNT_OF(lazy); i++) {
        lazy[i] = far_open(rig.fake, "file");
        lazy[i]->lazy = true;
        uint8_t request[FILE_REQUEST_SIZE];
        memcpy(request, c.id, 32);
        request[32] = FILE_CHUNKS;
        be32_put(request + 33, 0);
        be32_put(request + 37, 3);
        far_send(lazy[i], request, sizeof request); /* and keeps its half open */
    }
    fake_settle(rig.fake);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_BUSY);
    assert_true(rig.files->serve_bytes <= rig.files->config.serve_budget);
    for (size_t i = 0; i < COUNT_OF(lazy); i++)
        fake_until(rig.fake, has_ended, lazy[i]);
    fake_tick(rig.fake, 60000);
    for (size_t i = 0; i < COUNT_OF(lazy); i++)
        rig_await_over(lazy[i], DCHAN_RESET_IDLE);
    assert_int_equal(rig.files->serve_bytes, 0);
    assert_status(c.id, FILE_CHUNKS, 0, 1, FILE_OK);
}

static void silent_streams_are_limited(void **state)
{
    struct far *s = NULL;
    (void)state;
    for (int i = 0; i < 17; i++)
        s = far_open(rig.fake, "file");
    rig_await_over(s, DCHAN_RESET_LIMIT);
    fake_tick(rig.fake, 60000);
    fake_settle(rig.fake);
    assert_int_equal(rig.files->serves.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_for_a_slow_disk_is_bounded),
        TEST(only_what_was_offered_and_accepted_is_served),
        TEST(a_file_that_cannot_be_read_is_not_taken_for_changed),
        TEST(who_asks_for_a_file_that_was_edited_is_told),
        TEST(ranges_outside_the_file_are_refused),
        TEST(questions_of_another_length_are_reset),
        TEST(who_does_not_read_has_four_streams_and_a_minute),
        TEST(silent_streams_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
