/* What a peer sends of a file that it should not, late or never, and the end of one that came. */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/p2p/transfers_rig.h"
#include "tests/test.h"

static void good_answers_make_the_file(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    rig_reply(s, FILE_OK, c.data, sizeof c.data);
    rig_await_over(s, 0);
    fake_until(rig.fake, rig_is_done, NULL);
    rig_assert_said(DCHAN_F_DONE, 0);
    assert_int_equal(rig.score, 0);
}

static size_t files_in(const char *directory)
{
    DIR *d = opendir(directory);
    size_t n = 0;
    assert_non_null(d);
    for (const struct dirent *x; (x = readdir(d));)
        n += x->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool has_saved(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->saved != NULL;
}

static bool is_removed(void *ctx)
{
    rig_run_posts(&rig.fake->channels);
    return !path_exists(ctx);
}

/* The process ends when the file is there, and before the store knows: it is not fetched again, and
 * lies where it was wanted once. */
static void a_file_is_saved_once_whenever_the_process_ends(void **state)
{
    struct content c;
    (void)state;
    char *target = path_join(rig.dir, "target"), *name = path_join(target, "x");
    assert_int_equal(path_make_dirs(target, NULL), OK);
    content_make(&c);
    rig_offer(c.id, sizeof c.data, 14);
    assert_int_equal(transfers_accept(rig.files, c.id, target, 0, NULL), OK);
    rig_reply(rig_stream(1, FILE_LEAVES, 0, 3), FILE_OK, c.leaves, sizeof c.leaves);
    struct far *s = rig_stream(2, FILE_CHUNKS, 0, 3);
    char *whole = disk_path(rig.files, c.id, false);
    dchan_store_settle(rig.fake->channels.store);
    for (int i = 0; i < 3; i++) {
        kv_mem_fail_writes(rig.fake->channels.kv, 1);
        if (i == 0)
            rig_reply(s, FILE_OK, c.data, sizeof c.data);
        do {
            fake_tick(rig.fake, 1000);
            rig_run_posts(&rig.fake->channels);
            fake_settle(rig.fake);
        } while (!rig_incoming()->saved);
        assert_true(path_exists(whole));
        assert_string_equal(rig_incoming()->saved, name);
        rig_restart();
        assert_int_equal(rig_incoming()->state, TRANSFER_RUNNING);
    }
    rig.files->running = TRANSFERS_RUNNING_MAX; /* others have all places */
    fake_tick(rig.fake, 1000);
    assert_int_equal(rig_incoming()->pause, TRANSFER_QUEUED);
    rig.files->running = 0;
    do {
        fake_tick(rig.fake, 1000);
    } while (!has_saved(NULL));
    fake_until(rig.fake, is_removed, whole);
    assert_string_equal(rig_incoming()->saved, name);
    assert_int_equal(files_in(target), 1);
    assert_int_equal(rig.fake->n_streams, 2);
    rig_restart();
    assert_int_equal(rig_incoming()->state, TRANSFER_DONE);
    assert_string_equal(rig_incoming()->saved, name);
    free(whole);
    free(name);
    free(target);
}

static bool is_saved_or_not(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->state == TRANSFER_DONE && !rig_incoming()->save_due;
}

static void what_could_not_be_saved_is_told_once(void **state)
{
    struct content c;
    (void)state;
    char *target = path_join(rig.dir, "missing");
    rig.logs = true;
    rig_restart();
    fake_up(rig.fake);
    const size_t before = rig.n_told;
    content_make(&c);
    rig_offer(c.id, sizeof c.data, 14);
    assert_int_equal(transfers_accept(rig.files, c.id, target, 0, NULL), OK);
    rig_reply(rig_stream(1, FILE_LEAVES, 0, 3), FILE_OK, c.leaves, sizeof c.leaves);
    rig_reply(rig_stream(2, FILE_CHUNKS, 0, 3), FILE_OK, c.data, sizeof c.data);
    fake_until(rig.fake, is_saved_or_not, NULL);
    assert_int_not_equal(rig_incoming()->error[0], 0);
    dchan_store_settle(rig.fake->channels.store);
    assert_int_equal(rig.n_told - before, 2); /* that it was offered, and that it is there */
    rig_restart();
    fake_tick(rig.fake, 1000);
    fake_until(rig.fake, is_saved_or_not, NULL);
    dchan_store_settle(rig.fake->channels.store);
    fake_tick(rig.fake, 1000);
    assert_int_equal(rig.n_told - before, 2);
    assert_int_equal(path_make_dirs(target, NULL), OK);
    assert_int_equal(transfers_accept(rig.files, c.id, target, 0, NULL), OK);
    fake_until(rig.fake, has_saved, NULL);
    dchan_store_settle(rig.fake->channels.store);
    rig_restart();
    fake_tick(rig.fake, 1000);
    rig.logs = false;
    assert_int_equal(rig.n_told - before, 2);
    assert_int_equal(files_in(target), 1);
    free(target);
}

/* Posts end it, too: none is run once it has begun, however quick the disk is. */
static bool is_finishing(void *ctx)
{
    (void)ctx;
    if (!rig_incoming()->finishing)
        rig_run_posts(&rig.fake->channels);
    return rig_incoming()->finishing;
}

static bool has_finished(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return !rig_incoming()->finishing;
}

static void one_that_gets_its_name_may_be_accepted_again(void **state)
{
    struct content c;
    (void)state;
    rig_reply(rig_with_leaves(&c), FILE_OK, c.data, sizeof c.data);
    fake_until(rig.fake, is_finishing, NULL);
    assert_int_equal(rig_incoming()->state, TRANSFER_RUNNING);
    assert_int_equal(transfers_accept(rig.files, c.id, NULL, 0, NULL), OK);
    fake_until(rig.fake, rig_is_done, NULL);
    rig_assert_said(DCHAN_F_DONE, 0);
}

/* While the last step is at work. */
static void one_that_is_cancelled_at_the_end_is_not_there(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    char *whole = disk_path(rig.files, c.id, false);
    rig_reply(s, FILE_OK, c.data, sizeof c.data);
    fake_until(rig.fake, is_finishing, NULL);
    rig.fake->channels.parts[0].down(rig.files, &rig.fake->peer, NULL);
    assert_int_equal(transfers_cancel(rig.files, c.id, NULL), OK);
    fake_until(rig.fake, has_finished, NULL);
    assert_int_equal(rig_incoming()->state, TRANSFER_CANCELLED);
    fake_until(rig.fake, is_removed, whole);
    free(whole);
}

/* Between the two writes the process ended. */
static void what_a_contact_left_goes_with_it_after_a_start(void **state)
{
    struct content c;
    (void)state;
    free(rig_offered(&c));
    c.id[0] ^= 1;
    rig_offer(c.id, 100, 14);
    assert_int_equal(transfers_accept(rig.files, c.id, NULL, 0, NULL), OK);
    assert_int_equal(rig_count(), 2);
    rig.fake->contacts[0].id = 99;
    rig_restart();
    fake_tick(rig.fake, 1000);
    assert_int_equal(rig_count(), 1);
    assert_int_equal(rig_incoming()->state, TRANSFER_CANCELLED);
}

static bool workers_open_or_close(void)
{
    const struct list *all = &rig.files->incoming;
    for (struct list_link *l = list_first(all); l; l = list_next(all, l)) {
        const struct incoming *in = LIST_ITEM(l, struct incoming, link);
        if (in->opening || in->closing)
            return true;
    }
    return false;
}

/* Eight that bring a byte now and then, and one more: it does not wait for as long as they like. */
static void who_brings_little_holds_no_place_that_others_wait_for(void **state)
{
    uint8_t id[32] = { 0 };
    struct incoming *last;
    unsigned seconds = 0;
    (void)state;
    for (uint8_t i = 1; i <= TRANSFERS_RUNNING_MAX + 1; i++) {
        id[0] = i;
        rig_offer(id, 100, 14);
        assert_int_equal(transfers_accept(rig.files, id, NULL, 0, NULL), OK);
    }
    last = incoming_find(rig.files, id);
    for (int i = 0; i < 10000 && rig.fake->n_streams < TRANSFERS_RUNNING_MAX; i++) {
        rig_run_posts(&rig.fake->channels);
        fake_settle(rig.fake);
        usleep(1000); /* workers open files */
    }
    assert_int_equal(rig.fake->n_streams, TRANSFERS_RUNNING_MAX);
    for (int i = 0; i < 20000 && !last->open && seconds < 120; i++) {
        rig_run_posts(&rig.fake->channels);
        fake_settle(rig.fake);
        if (workers_open_or_close()) { /* that takes no time of the clock that the test has */
            usleep(1000);
            continue;
        }
        fake_tick(rig.fake, 1000);
        for (size_t k = 0; seconds % 20 == 0 && k < TRANSFERS_RUNNING_MAX; k++)
            far_send(&rig.fake->streams[k], "", 1);
        if (++seconds == 30) {
            assert_int_equal(last->pause, TRANSFER_QUEUED);
            assert_int_equal(rig.files->running, TRANSFERS_RUNNING_MAX);
        }
    }
    assert_true(last->open);
    assert_in_range(seconds, 60, 90);
    assert_true(rig.files->running <= TRANSFERS_RUNNING_MAX);
}

static void wrong_leaves_are_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_accepted(&c);
    c.leaves[1][7] ^= 1;
    rig_reply(s, FILE_OK, c.leaves, sizeof c.leaves);
    rig_stream(2, FILE_LEAVES, 0, 3);
    assert_int_equal(rig.score, 50);
    assert_false(rig_incoming()->has_leaves);
}

static void the_third_wrong_chunk_is_the_last(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    c.data[2 * CHUNK] ^= 1;
    for (size_t i = 2; i <= 4; i++) {
        far_send(s, "\0", 1);
        far_send(s, c.data + (i == 2 ? 0 : 2 * CHUNK), i == 2 ? sizeof c.data : CHUNK);
        if (i < 4)
            s = rig_stream(i + 1, FILE_CHUNKS, 2, 1);
    }
    rig_await_over(s, DCHAN_RESET_CANCELLED);
    fake_tick(rig.fake, 100000);
    fake_settle(rig.fake);
    assert_int_equal(rig.fake->n_streams, 4);
    assert_int_equal(rig.score, 150);
    const struct source *source =
        LIST_ITEM(list_first(&rig_incoming()->sources), struct source, link);
    assert_true(source->banned);
    assert_int_equal(rig_incoming()->n_have, 2);
    assert_int_equal(rig_incoming()->pause, TRANSFER_NO_SOURCE);
}

static void assert_one_byte_more_is_blamed(struct far *s, const void *data, size_t len)
{
    far_send(s, "\0", 1);
    far_send(s, data, len);
    far_send(s, data, 1);
    rig_await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(rig.score, 50);
}

static void more_than_was_asked_is_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    assert_one_byte_more_is_blamed(s, c.data, sizeof c.data);
}

static void more_leaves_than_there_are_are_blamed(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_accepted(&c);
    assert_one_byte_more_is_blamed(s, c.leaves, sizeof c.leaves);
}

static void what_ends_early_is_asked_for_again_later(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    rig_reply(s, FILE_OK, c.data, 2 * CHUNK + 5);
    rig_await_over(s, 0); /* both halves had ended */
    assert_int_equal(rig.score, 0);
    fake_tick(rig.fake, 1000);
    fake_settle(rig.fake);
    assert_int_equal(rig.fake->n_streams, 2);
    fake_tick(rig.fake, 2000);
    rig_reply(rig_stream(3, FILE_CHUNKS, 2, 1), FILE_OK, c.data + 2 * CHUNK, CHUNK);
    fake_until(rig.fake, rig_is_done, NULL);
}

static void a_busy_source_has_two_seconds_and_one_that_refuses_a_minute(void **state)
{
    struct content c;
    (void)state;
    rig_reply(rig_accepted(&c), FILE_BUSY, NULL, 0);
    fake_settle(rig.fake);
    fake_tick(rig.fake, 2000);
    rig_reply(rig_stream(2, FILE_LEAVES, 0, 3), FILE_UNKNOWN, NULL, 0);
    fake_settle(rig.fake);
    fake_tick(rig.fake, 59000);
    fake_settle(rig.fake);
    assert_int_equal(rig.fake->n_streams, 2);
    fake_tick(rig.fake, 1000);
    rig_reply(rig_stream(3, FILE_LEAVES, 0, 3), FILE_CHANGED, NULL, 0);
    fake_settle(rig.fake);
    assert_int_equal(rig_incoming()->state, TRANSFER_CHANGED);
    fake_tick(rig.fake, 100000);
    fake_settle(rig.fake);
    assert_int_equal(rig.fake->n_streams, 3);
}

static size_t dials_in(unsigned seconds)
{
    const size_t before = rig.fake->peer.dials;
    for (unsigned i = 0; i < seconds; i++)
        fake_tick(rig.fake, 1000);
    return rig.fake->peer.dials - before;
}

/* How often it is really tried is for the dials to know. */
static void a_source_that_is_away_is_wanted_at_once_and_one_that_was_sent_away_seldom(void **state)
{
    struct content c;
    (void)state;
    rig_accepted(&c);
    fake_down(rig.fake);
    assert_int_equal(dials_in(10), 10);
    rig.fake->peer.quiet = true;
    assert_int_equal(dials_in(60), 2);
}

static void a_silent_source_is_reset_after_a_minute(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    far_send(s, "\0ab", 3);
    fake_settle(rig.fake);
    fake_tick(rig.fake, 59000);
    assert_false(s->closed);
    fake_tick(rig.fake, 1000);
    rig_await_over(s, DCHAN_RESET_IDLE);
}

static void a_source_that_withdraws_ends_what_nobody_else_has(void **state)
{
    struct content c;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    rig_take_id(DCHAN_F_CANCEL, c.id, CANCEL_USER);
    rig_await_over(s, DCHAN_RESET_CANCELLED);
    assert_int_equal(rig_incoming()->state, TRANSFER_CANCELLED);
    rig_offer(c.id, sizeof c.data, 14); /* anew: the user is asked again */
    assert_int_equal(rig_incoming()->state, TRANSFER_WAITING);
}

static bool is_paused(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->pause == TRANSFER_DISK_ERROR && !rig_incoming()->open;
}

/* The directory takes no new file: nothing is asked for, and a minute later it is tried again. */
static void a_disk_that_fails_pauses(void **state)
{
    struct content c;
    char name[80];
    (void)state;
    content_make(&c);
    hex_encode(name, c.id, 32);
    memcpy(name + 64, ".part", 6);
    char *path = path_join(rig.dir, name);
    assert_int_equal(path_make_dirs(path, NULL), OK);
    rig_offer(c.id, sizeof c.data, 14);
    assert_int_equal(transfers_accept(rig.files, c.id, NULL, 0, NULL), OK);
    fake_until(rig.fake, is_paused, NULL);
    assert_int_not_equal(rig_incoming()->error[0], 0);
    assert_int_equal(rig.fake->n_streams, 0);
    assert_int_equal(rmdir(path), 0);
    fake_tick(rig.fake, 59000);
    fake_settle(rig.fake);
    assert_int_equal(rig.fake->n_streams, 0);
    fake_tick(rig.fake, 1000);
    rig_stream(1, FILE_LEAVES, 0, 3);
    free(path);
}

static bool has_a_chunk(void *ctx)
{
    (void)ctx;
    rig_run_posts(&rig.fake->channels);
    return rig_incoming()->n_have == 1;
}

/* The kernel tells of it once: what is read after that and synced again may not be on the disk. */
static void what_a_sync_lost_is_fetched_again(void **state)
{
    struct content c;
    const uint8_t good = FILE_OK;
    (void)state;
    struct far *s = rig_with_leaves(&c);
    far_send(s, &good, 1);
    far_send(s, c.data, CHUNK);
    fake_until(rig.fake, has_a_chunk, NULL);
    dchan_store_settle(rig.fake->channels.store); /* the leaves are kept, and not asked for again */
    const int writes_but_cannot_sync = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(writes_but_cannot_sync >= 0);
    assert_true(dup3(writes_but_cannot_sync, rig_incoming()->file.fd, O_CLOEXEC) >= 0);
    close(writes_but_cannot_sync);
    fake_tick(rig.fake, TRANSFERS_SYNC_MS);
    fake_until(rig.fake, is_paused, NULL);
    fake_tick(rig.fake, 60000);
    rig_reply(rig_stream(3, FILE_CHUNKS, 0, 3), FILE_OK, c.data, sizeof c.data);
    fake_until(rig.fake, rig_is_done, NULL);
    assert_int_equal(rig.score, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_answers_make_the_file),
        TEST(a_file_is_saved_once_whenever_the_process_ends),
        TEST(what_could_not_be_saved_is_told_once),
        TEST(one_that_gets_its_name_may_be_accepted_again),
        TEST(one_that_is_cancelled_at_the_end_is_not_there),
        TEST(what_a_contact_left_goes_with_it_after_a_start),
        TEST(who_brings_little_holds_no_place_that_others_wait_for),
        TEST(wrong_leaves_are_blamed),
        TEST(the_third_wrong_chunk_is_the_last),
        TEST(more_than_was_asked_is_blamed),
        TEST(more_leaves_than_there_are_are_blamed),
        TEST(what_ends_early_is_asked_for_again_later),
        TEST(a_busy_source_has_two_seconds_and_one_that_refuses_a_minute),
        TEST(a_source_that_is_away_is_wanted_at_once_and_one_that_was_sent_away_seldom),
        TEST(a_silent_source_is_reset_after_a_minute),
        TEST(a_source_that_withdraws_ends_what_nobody_else_has),
        TEST(a_disk_that_fails_pauses),
        TEST(what_a_sync_lost_is_fetched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
