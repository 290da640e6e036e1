#include <config.h>

#include "chain/block_reader.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/chain/made_block.h"
#include "tests/test.h"

struct fixture {
    char *dir;
    struct blockfiles *files;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->dir = test_dir_make();
    struct blockfiles_options o = { .dir = f->dir, .magic = { 1, 2, 3, 4 } };
    assert_int_equal(blockfiles_open(&f->files, &o, NULL, 0, NULL), OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    blockfiles_close(f->files);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static struct block_pos store(struct fixture *f, const struct buf *raw)
{
    struct block_pos pos;
    assert_int_equal(blockfiles_write(f->files, raw->data, raw->len, 1, &pos, NULL), OK);
    return pos;
}

/* Walks a reader to its end: whole transactions, in order, without gaps, the ids right. Returns the
 * segments. */
static unsigned walk(struct block_reader *r, const struct made_block *m, size_t n)
{
    unsigned segments = 0;
    uint64_t next = 0, offset = 80 + compact_size_len(n);
    bool last = false;
    assert_int_equal(block_reader_tx_count(r), n);
    for (;;) {
        struct block_segment *s;
        assert_int_equal(block_reader_next(r, &s, NULL), OK);
        if (!s)
            break;
        assert_false(last);
        assert_int_equal(s->first, next);
        assert_int_equal(s->offset, offset);
        assert_true(s->n_txs > 0);
        assert_true(block_segment_memory(s) >= s->n_txs * sizeof(*s->txs));
        for (size_t i = 0; i < s->n_txs; i++) {
            const struct tx *tx = &s->txs[i];
            uint8_t id[32];
            assert_memory_equal(tx->raw.data, m->raw.data + offset, tx->raw.len);
            sha256d(id, tx->raw.data, tx->raw.len);
            assert_memory_equal(tx->id.b, id, 32);
            assert_int_equal(tx->out[0].value, 1000 + next + i);
            offset += tx->raw.len;
        }
        next += s->n_txs;
        last = s->last;
        segments++;
        block_segment_unref(s);
    }
    assert_int_equal(next, n);
    assert_int_equal(offset, m->raw.len);
    assert_true(last || n == 0);
    return segments;
}

static const size_t targets[] = { 1, 60, 1000, 4096, 100000, 1 << 22, SIZE_MAX / 4 };

static void segments_from_disk_cover_the_block_for_every_target(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(300, 500, 1);
    struct block_pos pos = store(f, &m.raw);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct block_reader *r;
        assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, targets[i], NULL), OK);
        assert_memory_equal(block_reader_header(r)->merkle_root.b, m.node.merkle_root.b, 32);
        unsigned segments = walk(r, &m, 300);
        assert_true(segments >= 1 && segments <= 300);
        if (targets[i] <= 60)
            assert_int_equal(segments, 300);
        block_reader_close(r);
    }
    made_block_clear(&m);
}

static void segments_from_memory_cover_the_block_for_every_target(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(300, 500, 2);
    uint8_t *copy = xmalloc(m.raw.len);
    memcpy(copy, m.raw.data, m.raw.len);
    struct block_bytes *bytes = block_bytes_new(copy, m.raw.len);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct block_reader *r;
        assert_int_equal(block_reader_open(&r, f->files, NULL, bytes, targets[i], NULL), OK);
        walk(r, &m, 300);
        block_reader_close(r);
    }
    block_bytes_unref(bytes);
    made_block_clear(&m);
}

static void a_segment_outlives_its_reader(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(20, 100, 4);
    struct block_pos pos = store(f, &m.raw);
    struct block_reader *r;
    struct block_segment *s;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 1 << 20, NULL), OK);
    assert_int_equal(block_reader_next(r, &s, NULL), OK);
    block_segment_ref(s);
    block_reader_close(r);
    block_segment_unref(s);
    assert_int_equal(s->n_txs, 20);
    assert_memory_equal(s->txs[19].raw.data, m.raw.data + m.raw.len - s->txs[19].raw.len,
                        s->txs[19].raw.len);
    block_segment_unref(s);
    made_block_clear(&m);
}

static void a_transaction_larger_than_the_target_is_a_segment(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(3, 1 << 20, 5);
    struct block_pos pos = store(f, &m.raw);
    struct block_reader *r;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 1000, NULL), OK);
    assert_int_equal(walk(r, &m, 3), 3);
    block_reader_close(r);
    made_block_clear(&m);
}

static void no_more_is_read_of_a_transaction_than_allowed(void **state)
{
    enum { PIECE = 1000, OUTPUT = 64 << 10 };
    struct fixture *f = *state;
    struct made_block m = made_block_new(3, OUTPUT, 7);
    const struct block_pos pos = store(f, &m.raw);
    for (int fits = 0; fits < 2; fits++) {
        struct block_reader *r;
        struct block_segment *s;
        size_t parsed = 0;
        enum err rc;
        assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, PIECE, NULL), OK);
        block_reader_set_most(r, fits ? m.raw.len : PIECE / 2);
        while (!(rc = block_reader_next(r, &s, NULL)) && s) {
            assert_true(s->raw.len <= (fits ? m.raw.len : PIECE));
            parsed += s->n_txs;
            block_segment_unref(s);
        }
        assert_int_equal(rc, fits ? OK : ERR_RANGE);
        assert_int_equal(parsed, fits ? 3 : 0);
        block_reader_close(r);
    }
    made_block_clear(&m);
}

static void damaged_bytes_are_corrupt_and_name_the_place(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(30, 100, 6);
    m.raw.data[81 + 4] = 0xfd; /* count of inputs */
    struct block_pos pos = store(f, &m.raw);
    struct block_reader *r;
    struct block_segment *s;
    struct error e;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 1 << 20, NULL), OK);
    assert_int_equal(block_reader_next(r, &s, &e), ERR_CORRUPT);
    assert_null(s);
    assert_non_null(strstr(e.text, "blk00000.dat"));
    block_reader_close(r);
    made_block_clear(&m);
}

static void a_record_cut_short_or_with_bytes_behind_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(5, 100, 7);
    buf_put_u8(&m.raw, 0);
    struct block_pos pos = store(f, &m.raw);
    for (unsigned i = 0; i < 3; i += 2) { /* one byte too many, one too few */
        struct block_pos p = pos;
        p.size = pos.size - i;
        struct block_reader *r;
        struct block_segment *s;
        enum err rc;
        assert_int_equal(block_reader_open(&r, f->files, &p, NULL, 100, NULL), OK);
        do {
            rc = block_reader_next(r, &s, NULL);
            block_segment_unref(
                s); /* NULL after an error and at the end; s is only compared from here */
        } while (!rc && s);
        assert_int_equal(rc, ERR_CORRUPT);
        block_reader_close(r);
    }
    made_block_clear(&m);
}

static void an_impossible_count_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct made_block m = made_block_new(1, 10, 8);
    m.raw.data[80] = 0xfc;
    struct block_pos pos = store(f, &m.raw);
    struct block_reader *r;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 100, NULL), ERR_CORRUPT);
    pos.size = 60;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 100, NULL), ERR_CORRUPT);
    made_block_clear(&m);
}

static void a_missing_file_is_corrupt_with_the_remedy(void **state)
{
    struct fixture *f = *state;
    struct block_pos pos = { .file = 7, .offset = 8, .size = 300 };
    struct block_reader *r;
    struct error e;
    assert_int_equal(block_reader_open(&r, f->files, &pos, NULL, 100, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "-reindex"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(segments_from_disk_cover_the_block_for_every_target, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(segments_from_memory_cover_the_block_for_every_target,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_segment_outlives_its_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_is_read_of_a_transaction_than_allowed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_larger_than_the_target_is_a_segment, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damaged_bytes_are_corrupt_and_name_the_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_record_cut_short_or_with_bytes_behind_is_corrupt, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_impossible_count_is_refused_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_file_is_corrupt_with_the_remedy, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
