/* -loadblock and -reindex: records with anything between them, in any order. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "chain/record_scan.h"
#include "tests/chain/chain_builder.h"

static const uint8_t wire[4] = { 0xda, 0xb5, 0xbf, 0xfa }, disk[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static void put_record(struct buf *b, const uint8_t magic[4], const void *data, size_t len)
{
    buf_put(b, magic, 4);
    buf_put_le32(b, (uint32_t)len);
    buf_put(b, data, len);
}

static void put_large_record(struct buf *b, const uint8_t magic[4], const void *data, size_t len)
{
    buf_put(b, magic, 4);
    buf_put_le32(b, UINT32_MAX);
    buf_put_le64(b, len);
    buf_put(b, data, len);
}

/* --- finding records --- */

struct found {
    struct record records[16];
    size_t n;
};

static struct found scan(const struct buf *content)
{
    struct found f = { .n = 0 };
    struct error e;
    char *dir = test_dir_make(), *path = path_join(dir, "file");
    struct file file;
    struct record_scan s;
    bool found = true;
    assert_int_equal(file_replace(path, content->data, content->len, &e), OK);
    assert_int_equal(file_open(&file, path, FILE_READ, &e), OK);
    assert_int_equal(record_scan_init(&s, &file, disk, wire, &e), OK);
    while (f.n < 16) {
        assert_int_equal(record_scan_next(&s, &f.records[f.n], &found, &e), OK);
        if (!found)
            break;
        f.n++;
    }
    record_scan_clear(&s);
    file_close(&file);
    free(path);
    test_dir_remove(dir);
    return f;
}

static void records_are_found_between_other_bytes(void **state)
{
    (void)state;
    static const uint8_t block[100] = { 5 };
    struct buf b = { 0 };
    buf_put_str(&b, "\xfa\xbf something");
    put_record(&b, disk, block, sizeof(block));
    buf_put(&b, "\0\0\0\0\xda", 5); /* half a magic */
    put_record(&b, wire, block, 90);
    put_large_record(&b, disk, block, sizeof(block));
    struct found f = scan(&b);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.records[0].size, 100);
    assert_int_equal(b.data[f.records[0].offset], 5);
    assert_int_equal(f.records[1].size, 90);
    assert_int_equal(f.records[2].size, 100);
    assert_int_equal(f.records[2].offset + 100, b.len);
    buf_clear(&b);
}

static void a_length_beyond_the_file_or_below_a_header_is_no_record(void **state)
{
    (void)state;
    static const uint8_t block[100] = { 5 };
    struct buf b = { 0 };
    put_record(&b, disk, block, 80); /* a header alone is no block */
    buf_put(&b, disk, 4);
    buf_put_le32(&b, 1000000);       /* hides the next one only if believed */
    put_record(&b, disk, block, sizeof(block));
    buf_put(&b, disk, 4);
    struct found f = scan(&b);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.records[0].size, 100);
    buf_clear(&b);
}

static void a_record_may_straddle_the_scanners_buffer(void **state)
{
    (void)state;
    static const uint8_t block[100] = { 5 };
    for (size_t back = 0; back < 20; back++) {
        struct buf b = { 0 };
        memset(buf_extend(&b, RECORD_SCAN_BUFFER - back), 0x11, RECORD_SCAN_BUFFER - back);
        put_record(&b, disk, block, sizeof(block));
        struct found f = scan(&b);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.records[0].offset, RECORD_SCAN_BUFFER - back + 8);
        buf_clear(&b);
    }
}

/* --- importing --- */

enum { BLOCKS = 30 };

struct source {
    struct test_chain t;
    struct hash256 coins;
};

static void make_source(struct source *s)
{
    struct chain_params p = test_params(1000);
    test_chain_open(&s->t, &p, 0);
    test_chain_grow(&s->t, BLOCKS);
    s->coins = test_chain_coins(&s->t);
}

static void wait_import(struct test_chain *t)
{
    for (int i = 0; i < 10000 && chain_is_importing(t->chain); i++)
        usleep(1000);
    assert_false(chain_is_importing(t->chain));
}

/* Imports the bytes into a new chain, whose tip comes to this height and no further; compares the
 * coins when it is whole. */
static void import(struct source *s, const struct buf *content, unsigned workers, int32_t height)
{
    struct test_chain u;
    struct error e;
    struct chain_tip tip;
    test_chain_open(&u, &s->t.options.params, workers);
    assert_int_equal(chain_close(u.chain, &e), OK);
    char *path = path_join(u.dir, "import.dat");
    assert_int_equal(file_replace(path, content->data, content->len, &e), OK);
    assert_int_equal(chain_open(&u.chain, &u.options, NULL, &e), OK);
    chain_start(u.chain, (const char *const[]){ path, NULL });
    wait_import(&u);
    assert_true(chain_wait_tip(u.chain, height, NULL, 60000, &tip)); /* connected after it */
    if (height == BLOCKS) {
        struct hash256 coins = test_chain_coins(&u);
        assert_memory_equal(coins.b, s->coins.b, 32);
    } else {
        assert_false(chain_wait_tip(u.chain, height + 1, NULL, 300, &tip));
    }
    free(path);
    test_chain_close(&u);
}

static void blocks_in_any_order_and_with_either_magic_are_imported(void **state)
{
    (void)state;
    struct source s;
    make_source(&s);
    for (unsigned workers = 0; workers <= 2; workers++) {
        struct buf b = { 0 };
        for (int i = BLOCKS; i >= 0; i--) { /* the worst order */
            put_record(&b, i % 2 ? disk : wire, s.t.blocks[i].raw.data, s.t.blocks[i].raw.len);
            if (i % 5 == 0)
                buf_put_str(&b, "between");
        }
        import(&s, &b, workers, BLOCKS);
        buf_clear(&b);
    }
    test_chain_close(&s.t);
}

static void a_damaged_record_is_passed_over_and_a_later_copy_taken(void **state)
{
    (void)state;
    struct source s;
    struct buf b = { 0 };
    make_source(&s);
    for (int i = 1; i <= BLOCKS; i++) {
        size_t at = b.len + 8;
        put_record(&b, disk, s.t.blocks[i].raw.data, s.t.blocks[i].raw.len);
        if (i == 7)
            b.data[at + 120] ^= 1; /* of its transaction */
        if (i == 12)
            b.data[at + 10] ^= 1;  /* of its header */
    }
    import(&s, &b, 1, 6);
    put_record(&b, wire, s.t.blocks[7].raw.data, s.t.blocks[7].raw.len);
    put_record(&b, wire, s.t.blocks[12].raw.data, s.t.blocks[12].raw.len);
    import(&s, &b, 1, BLOCKS);
    buf_clear(&b);
    test_chain_close(&s.t);
}

static void a_record_inside_one_with_a_wrong_length_is_found(void **state)
{
    (void)state;
    struct source s;
    struct buf b = { 0 };
    make_source(&s);
    put_record(&b, disk, s.t.blocks[1].raw.data, s.t.blocks[1].raw.len);
    size_t at = b.len;
    put_record(&b, disk, "not a block, but a length that reaches far", 42);
    for (int i = 2; i <= BLOCKS; i++)
        put_record(&b, disk, s.t.blocks[i].raw.data, s.t.blocks[i].raw.len);
    le32_put(b.data + at + 4, (uint32_t)(b.len - at - 8));
    import(&s, &b, 1, BLOCKS);
    buf_clear(&b);
    test_chain_close(&s.t);
}

static void a_missing_file_does_not_stop_the_node(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct error e;
    test_chain_open(&t, &p, 1);
    assert_int_equal(chain_close(t.chain, &e), OK);
    assert_int_equal(chain_open(&t.chain, &t.options, NULL, &e), OK);
    chain_start(t.chain, (const char *const[]){ "/nonexistent/blocks.dat", NULL });
    wait_import(&t);
    test_chain_grow(&t, 1);
    assert_int_equal(t.fatal, 0);
    test_chain_close(&t);
}

static void a_reindex_that_was_stopped_goes_on_at_the_next_start(void **state)
{
    (void)state;
    struct source s;
    struct error e;
    struct chain_tip tip;
    make_source(&s);
    /* Opened for a reindex, but stopped before anything was read. */
    assert_int_equal(chain_close(s.t.chain, &e), OK);
    s.t.options.rebuild = REBUILD_ALL;
    assert_int_equal(chain_open(&s.t.chain, &s.t.options, NULL, &e), OK);
    assert_int_equal(chain_close(s.t.chain, &e), OK);
    s.t.options.rebuild = REBUILD_NONE;
    s.t.chain = NULL;
    test_chain_reopen(&s.t);
    assert_true(chain_wait_tip(s.t.chain, BLOCKS, NULL, 10000, &tip));
    wait_import(&s.t);
    struct hash256 coins = test_chain_coins(&s.t);
    assert_memory_equal(coins.b, s.coins.b, 32);
    test_chain_close(&s.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_found_between_other_bytes),
        cmocka_unit_test(a_length_beyond_the_file_or_below_a_header_is_no_record),
        cmocka_unit_test(a_record_may_straddle_the_scanners_buffer),
        cmocka_unit_test(blocks_in_any_order_and_with_either_magic_are_imported),
        cmocka_unit_test(a_damaged_record_is_passed_over_and_a_later_copy_taken),
        cmocka_unit_test(a_record_inside_one_with_a_wrong_length_is_found),
        cmocka_unit_test(a_missing_file_does_not_stop_the_node),
        cmocka_unit_test(a_reindex_that_was_stopped_goes_on_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
