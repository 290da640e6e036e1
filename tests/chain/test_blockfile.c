#include <config.h>

#include "chain/blockfile.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "tests/test.h"

enum { PREFERRED = 10000 };

static const uint8_t magic[4] = { 0xf9, 0xbe, 0xb4, 0xd9 };

struct fixture {
    char *dir;
    struct blockfiles *bf;
    struct blockfile_info infos[64];
    size_t n_infos;
};

static enum err try_open(struct fixture *f, struct error *e)
{
    struct blockfiles_options o = { .dir = f->dir, .preferred_size = PREFERRED };
    memcpy(o.magic, magic, 4);
    return blockfiles_open(&f->bf, &o, f->infos, f->n_infos, e);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    assert_int_equal(try_open(f, NULL), OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    blockfiles_close(f->bf);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static void keep_info(void *ctx, const struct blockfile_info *info)
{
    struct fixture *f = ctx;
    assert_true(f->n_infos < 64);
    f->infos[f->n_infos++] = *info;
}

/* As the index would have them. */
static void take_infos(struct fixture *f)
{
    f->n_infos = 0;
    blockfiles_each(f->bf, keep_info, f);
    for (size_t i = 0; i < f->n_infos; i++)
        f->infos[i].dirty = false;
}

static void reopen(struct fixture *f)
{
    blockfiles_close(f->bf);
    f->bf = NULL;
    assert_int_equal(try_open(f, NULL), OK);
}

static void fill(uint8_t *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(seed + i * 31);
}

static struct block_pos write_block(struct fixture *f, size_t len, uint32_t seed)
{
    uint8_t *data = xmalloc(len);
    struct block_pos pos;
    fill(data, len, seed);
    assert_int_equal(blockfiles_write(f->bf, data, len, (int32_t)seed, &pos, NULL), OK);
    free(data);
    return pos;
}

static void assert_block(struct fixture *f, const struct block_pos *pos, size_t len, uint32_t seed)
{
    uint8_t *want = xmalloc(len), *got = xmalloc(len);
    fill(want, len, seed);
    assert_int_equal(pos->size, len);
    assert_int_equal(blockfiles_read(f->bf, pos, 0, got, len, NULL), OK);
    assert_memory_equal(got, want, len);
    free(want);
    free(got);
}

static uint64_t size_of(struct fixture *f, const char *prefix, uint32_t file)
{
    char *path = blockfiles_path(f->bf, prefix, file);
    struct stat st;
    uint64_t size = stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
    free(path);
    return size;
}

static void make_file(struct fixture *f, const char *name, size_t size)
{
    char *path = path_join(f->dir, name);
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_CREATE, NULL), OK);
    assert_int_equal(file_truncate(&file, size, NULL), OK);
    file_close(&file);
    free(path);
}

static bool there(struct fixture *f, const char *name)
{
    char *path = path_join(f->dir, name);
    bool yes = path_exists(path);
    free(path);
    return yes;
}

static void records_have_the_layout_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct block_pos a = write_block(f, 300, 1), b = write_block(f, 500, 2);
    assert_int_equal(a.file, 0);
    assert_int_equal(a.offset, 8);
    assert_int_equal(b.offset, 8 + 300 + 8);
    char *path = blockfiles_path(f->bf, "blk", 0);
    assert_string_equal(strrchr(path, '/'), "/blk00000.dat");
    struct buf raw;
    buf_init(&raw);
    assert_int_equal(file_read_all(path, 1 << 20, &raw, NULL), OK);
    assert_memory_equal(raw.data, magic, 4);
    assert_int_equal(le32_get(raw.data + 4), 300);
    assert_memory_equal(raw.data + 308, magic, 4);
    assert_int_equal(le32_get(raw.data + 312), 500);
    assert_block(f, &a, 300, 1);
    assert_block(f, &b, 500, 2);
    buf_clear(&raw);
    free(path);
}

static void a_new_file_begins_past_the_preferred_size(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 25; i++) {
        struct block_pos pos = write_block(f, 1992, i); /* five to a file */
        assert_int_equal(pos.file, i / 5);
    }
    struct block_pos big = write_block(f, 3 * PREFERRED, 99);
    assert_int_equal(big.file, 5);
    assert_int_equal(write_block(f, 100, 100).file, 6);
    take_infos(f);
    assert_int_equal(f->n_infos, 7);
    assert_int_equal(f->infos[1].blocks, 5);
    assert_int_equal(f->infos[1].height_first, 5);
    assert_int_equal(f->infos[1].height_last, 9);
    assert_int_equal(f->infos[1].data_size, PREFERRED);
}

static void a_part_of_a_block_can_be_read_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct block_pos pos = write_block(f, 300, 1);
    write_block(f, 300, 2);
    uint8_t want[300], got[10];
    fill(want, 300, 1);
    assert_int_equal(blockfiles_read(f->bf, &pos, 290, got, 10, NULL), OK);
    assert_memory_equal(got, want + 290, 10);
    assert_int_equal(blockfiles_read(f->bf, &pos, 291, got, 10, NULL), ERR_RANGE);
    assert_int_equal(blockfiles_read(f->bf, &pos, UINT64_MAX, got, 10, NULL), ERR_RANGE);
    int fd;
    assert_int_equal(blockfiles_open_fd(f->bf, &pos, &fd, NULL), OK);
    assert_int_equal(pread(fd, got, 10, (off_t)pos.offset), 10);
    assert_memory_equal(got, want, 10);
    close(fd);
}

static void a_restart_cuts_what_the_index_does_not_know(void **state)
{
    struct fixture *f = *state;
    struct block_pos a = write_block(f, 300, 1);
    take_infos(f);
    write_block(f, 400, 2); /* never reached the index */
    for (uint32_t i = 0; i < 8; i++)
        write_block(f, 4000, 3 + i); /* nor did these files */
    make_file(f, "blk-17.tmp", 1000);
    make_file(f, "peers.dat", 10);
    assert_true(there(f, "blk00002.dat"));
    reopen(f);
    assert_int_equal(size_of(f, "blk", 0), 308);
    assert_false(there(f, "blk00001.dat"));
    assert_false(there(f, "blk-17.tmp"));
    assert_true(there(f, "peers.dat"));
    assert_block(f, &a, 300, 1);
    struct block_pos b = write_block(f, 500, 9);
    assert_int_equal(b.offset, 308 + 8);
    assert_block(f, &b, 500, 9);
}

static void a_missing_or_short_file_is_corrupt_with_the_remedy(void **state)
{
    struct fixture *f = *state;
    write_block(f, 300, 1);
    take_infos(f);
    blockfiles_close(f->bf);
    f->bf = NULL;
    make_file(f, "blk00000.dat", 307);
    struct error e;
    assert_int_equal(try_open(f, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "-reindex"));
    assert_non_null(strstr(e.text, "307"));
    char *path = path_join(f->dir, "blk00000.dat");
    assert_int_equal(path_remove(path, NULL), OK);
    free(path);
    assert_int_equal(try_open(f, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "missing"));
    assert_non_null(strstr(e.text, "-reindex"));
}

static void block_files_without_an_index_are_not_removed(void **state)
{
    struct fixture *f = *state;
    blockfiles_close(f->bf);
    f->bf = NULL;
    make_file(f, "blk00000.dat", 100 << 20);
    make_file(f, "rev00000.dat", 100);
    struct error e;
    assert_int_equal(try_open(f, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "-reindex"));
    assert_true(there(f, "blk00000.dat"));
    /* A reindex names what it finds. */
    struct blockfile_info *infos;
    assert_int_equal(blockfiles_list(f->dir, &infos, &f->n_infos, NULL), OK);
    assert_int_equal(f->n_infos, 1);
    assert_int_equal(infos[0].data_size, 100 << 20);
    assert_int_equal(infos[0].undo_size, 0);
    f->infos[0] = infos[0];
    free(infos);
    assert_int_equal(try_open(f, NULL), OK);
    assert_int_equal(size_of(f, "blk", 0), 100 << 20);
    assert_int_equal(size_of(f, "rev", 0), 0);
    blockfiles_note_block(f->bf, 0, 7);
    blockfiles_note_block(f->bf, 0, 5);
    take_infos(f);
    assert_int_equal(f->infos[0].blocks, 2);
    assert_int_equal(f->infos[0].height_first, 5);
    assert_int_equal(f->infos[0].height_last, 7);
}

/* --- large blocks --- */

static void a_large_block_appears_when_it_is_finished(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    struct block_writer *w;
    uint8_t data[50000];
    fill(data, sizeof(data), 7);
    assert_int_equal(block_writer_begin(&w, f->bf, sizeof(data), NULL), OK);
    for (size_t at = 0; at < sizeof(data); at += 7000)
        assert_int_equal(block_writer_put(w, data + at, MIN_OF(7000, sizeof(data) - at), NULL), OK);
    assert_false(there(f, "blk00001.dat"));
    struct block_pos pos, next;
    assert_int_equal(block_writer_finish(w, 42, &pos, NULL), OK);
    assert_int_equal(pos.file, 1);
    assert_int_equal(size_of(f, "blk", 1), sizeof(data) + 8);
    assert_block(f, &pos, sizeof(data), 7);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    next = write_block(f, 100, 2); /* small ones go on where they were */
    assert_int_equal(next.file, 0);
    take_infos(f);
    assert_int_equal(f->infos[1].height_first, 42);
    reopen(f);
    assert_block(f, &pos, sizeof(data), 7);
}

static void an_aborted_large_block_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct block_writer *w;
    assert_int_equal(block_writer_begin(&w, f->bf, 1000, NULL), OK);
    assert_int_equal(block_writer_put(w, "abc", 3, NULL), OK);
    assert_true(there(f, "blk-1.tmp"));
    assert_int_equal(blockfiles_disk_bytes(f->bf), 3);
    block_writer_abort(w);
    assert_false(there(f, "blk-1.tmp"));
    assert_int_equal(blockfiles_disk_bytes(f->bf), 0);
    block_writer_abort(NULL);
}

static void a_large_block_of_another_size_than_said_is_refused(void **state)
{
    struct fixture *f = *state;
    struct block_writer *w;
    struct block_pos pos;
    assert_int_equal(block_writer_begin(&w, f->bf, 3, NULL), OK);
    assert_int_equal(block_writer_put(w, "abcd", 4, NULL), ERR_RANGE);
    assert_int_equal(block_writer_put(w, "ab", 2, NULL), OK);
    assert_int_equal(block_writer_finish(w, 1, &pos, NULL), ERR_RANGE);
    take_infos(f);
    assert_int_equal(f->n_infos, 0);
}

/* The file is made sparse, so 4 GiB take no room. */
static void a_record_of_4_gib_has_the_64_bit_form(void **state)
{
    struct fixture *f = *state;
    struct block_writer *w;
    uint64_t size = UINT64_C(0x100000005);
    assert_int_equal(block_writer_begin(&w, f->bf, size, NULL), OK);
    char *path = path_join(f->dir, "blk-1.tmp");
    struct buf raw;
    buf_init(&raw);
    assert_int_equal(file_read_all(path, 100, &raw, NULL), OK);
    assert_int_equal(raw.len, 16);
    assert_memory_equal(raw.data, magic, 4);
    assert_int_equal(le32_get(raw.data + 4), UINT32_MAX);
    assert_int_equal(le64_get(raw.data + 8), size);
    block_writer_abort(w);
    buf_clear(&raw);
    free(path);
}

/* --- undo --- */

static struct block_hash hash_of(uint32_t n)
{
    struct block_hash h;
    sha256(h.b, &n, sizeof(n));
    return h;
}

static struct block_pos write_undo(struct fixture *f, uint32_t file, size_t len, uint32_t seed)
{
    uint8_t content[5000];
    struct block_hash h = hash_of(seed);
    struct block_pos pos;
    fill(content, len, seed);
    assert_int_equal(blockfiles_write_undo(f->bf, file, &h, content, len, &pos, NULL), OK);
    return pos;
}

static void undo_records_read_back_and_survive_a_restart(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    struct block_pos pos[5];
    for (uint32_t i = 0; i < 5; i++)
        pos[i] = write_undo(f, 0, i * 1000, i);
    take_infos(f);
    assert_int_equal(f->infos[0].undo_size, 10000 + 5 * (8 + 32));
    write_undo(f, 0, 100, 9);
    reopen(f);
    assert_int_equal(size_of(f, "rev", 0), f->infos[0].undo_size);
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t want[5000];
        struct block_hash h = hash_of(i);
        struct buf got;
        buf_init(&got);
        fill(want, i * 1000, i);
        assert_int_equal(blockfiles_read_undo(f->bf, &pos[i], &h, &got, NULL), OK);
        assert_int_equal(got.len, i * 1000);
        assert_true(mem_equal_var(got.data, want, got.len));
        buf_clear(&got);
    }
}

static void an_undo_record_is_bound_to_its_block(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    struct block_pos pos = write_undo(f, 0, 1000, 1);
    struct block_hash other = hash_of(2);
    struct buf got;
    struct error e;
    buf_init(&got);
    assert_int_equal(blockfiles_read_undo(f->bf, &pos, &other, &got, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "checksum"));
    buf_clear(&got);
}

static void every_flipped_byte_of_an_undo_record_is_seen(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    struct block_pos pos = write_undo(f, 0, 50, 1);
    struct block_hash h = hash_of(1);
    char *path = blockfiles_path(f->bf, "rev", 0);
    struct file file;
    assert_int_equal(file_open(&file, path, FILE_WRITE, NULL), OK);
    struct buf got;
    buf_init(&got);
    for (uint64_t at = 0; at < 8 + 50 + 32; at++) {
        uint8_t byte;
        assert_int_equal(file_pread(&file, &byte, 1, at, NULL), OK);
        byte ^= 4;
        assert_int_equal(file_pwrite(&file, &byte, 1, at, NULL), OK);
        assert_int_equal(blockfiles_read_undo(f->bf, &pos, &h, &got, NULL), ERR_CORRUPT);
        byte ^= 4;
        assert_int_equal(file_pwrite(&file, &byte, 1, at, NULL), OK);
    }
    assert_int_equal(blockfiles_read_undo(f->bf, &pos, &h, &got, NULL), OK);
    struct block_pos wrong = pos;
    wrong.size = UINT64_C(1) << 50; /* takes no memory */
    assert_int_equal(blockfiles_read_undo(f->bf, &wrong, &h, &got, NULL), ERR_CORRUPT);
    wrong = pos;
    wrong.offset = 3;
    assert_int_equal(blockfiles_read_undo(f->bf, &wrong, &h, &got, NULL), ERR_CORRUPT);
    buf_clear(&got);
    file_close(&file);
    free(path);
}

/* --- index, pruning, threads --- */

static void infos_stay_dirty_until_they_are_clean_or_change_again(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    f->n_infos = 0;
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    blockfiles_clean(f->bf);
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 0);
    write_block(f, 100, 2);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    write_block(f, 100, 3); /* between the batch and its success */
    blockfiles_clean(f->bf);
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
}

/* What is written after the sync may be lost, and a file shorter than the index says is damage. */
static void infos_name_no_more_than_was_synced(void **state)
{
    struct fixture *f = *state;
    write_block(f, 100, 1);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    f->n_infos = 0;
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    uint64_t synced = f->infos[0].data_size;
    blockfiles_clean(f->bf);
    write_block(f, 100, 2);
    f->n_infos = 0;
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    assert_int_equal(f->infos[0].data_size, synced);
    blockfiles_clean(f->bf); /* more is there: it stays dirty */
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    f->n_infos = 0;
    assert_int_equal(blockfiles_each_dirty(f->bf, keep_info, f), 1);
    assert_true(f->infos[0].data_size > synced);
}

static void a_pruned_file_is_removed_and_reads_say_so(void **state)
{
    struct fixture *f = *state;
    struct block_pos a = write_block(f, 9000, 1), b = write_block(f, 9000, 2);
    write_undo(f, 0, 100, 1);
    uint64_t before = blockfiles_disk_bytes(f->bf);
    blockfiles_mark_pruned(f->bf, 0);
    assert_true(there(f, "blk00000.dat")); /* until the index is safe */
    assert_int_equal(blockfiles_remove_pruned(f->bf, NULL), OK);
    assert_false(there(f, "blk00000.dat"));
    assert_false(there(f, "rev00000.dat"));
    assert_true(blockfiles_disk_bytes(f->bf) < before);
    uint8_t byte;
    assert_int_equal(blockfiles_read(f->bf, &a, 0, &byte, 1, NULL), ERR_NOTFOUND);
    assert_block(f, &b, 9000, 2);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK);
    assert_false(there(f, "blk00000.dat"));
    take_infos(f);
    make_file(f, "blk00000.dat", 10); /* a crash between index and removal */
    reopen(f);
    assert_false(there(f, "blk00000.dat"));
    assert_int_equal(blockfiles_read(f->bf, &a, 0, &byte, 1, NULL), ERR_NOTFOUND);
}

static void many_files_are_read_with_few_descriptors(void **state)
{
    struct fixture *f = *state;
    struct block_pos pos[50];
    for (uint32_t i = 0; i < 50; i++)
        pos[i] = write_block(f, 9995, i);
    assert_int_equal(pos[49].file, 49);
    for (uint32_t i = 0; i < 200; i++)
        assert_block(f, &pos[i * 7 % 50], 9995, i * 7 % 50);
    int fd = open("/dev/null", O_RDONLY);
    assert_in_range(fd, 3, 40);
    close(fd);
}

struct writer_thread {
    pthread_t thread;
    struct fixture *f;
    uint32_t number;
    struct block_pos pos[50];
};

static void *write_many(void *arg)
{
    struct writer_thread *t = arg;
    for (uint32_t i = 0; i < 50; i++)
        t->pos[i] = write_block(t->f, 100 + i, t->number * 1000 + i);
    return NULL;
}

static void threads_write_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct writer_thread threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        threads[i].f = f;
        threads[i].number = i;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, write_many, &threads[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++)
        pthread_join(threads[i].thread, NULL);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t k = 0; k < 50; k++)
            assert_block(f, &threads[i].pos[k], 100 + k, i * 1000 + k);
    take_infos(f);
    uint32_t blocks = 0;
    for (size_t i = 0; i < f->n_infos; i++)
        blocks += f->infos[i].blocks;
    assert_int_equal(blocks, 200);
}

static void a_failed_write_gives_its_place_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rmdir(f->dir), 0);
    struct block_pos pos;
    struct error e;
    assert_int_not_equal(blockfiles_write(f->bf, "abc", 3, 1, &pos, &e), OK);
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(blockfiles_sync(f->bf, NULL), OK); /* there is no file, and nothing to sync */
    take_infos(f);
    assert_int_equal(f->infos[0].data_size, 0);
    pos = write_block(f, 100, 1);
    assert_int_equal(pos.offset, 8);
    assert_block(f, &pos, 100, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(records_have_the_layout_of_the_reference),
        TEST(a_new_file_begins_past_the_preferred_size),
        TEST(a_part_of_a_block_can_be_read_and_no_more),
        TEST(a_restart_cuts_what_the_index_does_not_know),
        TEST(a_missing_or_short_file_is_corrupt_with_the_remedy),
        TEST(block_files_without_an_index_are_not_removed),
        TEST(a_large_block_appears_when_it_is_finished),
        TEST(an_aborted_large_block_leaves_nothing),
        TEST(a_large_block_of_another_size_than_said_is_refused),
        TEST(a_record_of_4_gib_has_the_64_bit_form),
        TEST(undo_records_read_back_and_survive_a_restart),
        TEST(an_undo_record_is_bound_to_its_block),
        TEST(every_flipped_byte_of_an_undo_record_is_seen),
        TEST(infos_stay_dirty_until_they_are_clean_or_change_again),
        TEST(infos_name_no_more_than_was_synced),
        TEST(a_pruned_file_is_removed_and_reads_say_so),
        TEST(many_files_are_read_with_few_descriptors),
        TEST(threads_write_side_by_side),
        TEST(a_failed_write_gives_its_place_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
