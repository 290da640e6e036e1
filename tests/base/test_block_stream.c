#include "base/block_stream.h"

#include <string.h>

#include "base/tx.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

/* What on_tx reports, checked against a plain parser over the whole block. */
struct walk {
    const struct buf *block;
    uint64_t next; /* offset where the next transaction must begin */
    size_t txs, inputs;
};

static void check_tx(void *ctx, const struct txid *id, uint64_t offset, uint64_t size)
{
    struct walk *w = (struct walk *)ctx;
    struct error e = { OK, "" };
    assert_true(w->txs == 0 || offset == w->next);
    w->next = offset + size;
    assert_true(w->next <= w->block->len);
    struct tx *tx = tx_new(w->block->data + offset, size, &e);
    if (!tx)
        fail_msg("transaction %zu: %s", w->txs, e.text);
    assert_true(txid_equal(&tx->id, id));
    w->inputs += tx->n_in;
    w->txs++;
    tx_unref(tx);
}

static enum err feed_in_pieces(struct block_stream *s, const uint8_t *data, size_t len,
                               size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        enum err rc = block_stream_feed(s, data + at, piece < len - at ? piece : len - at);
        if (rc)
            return rc;
    }
    return OK;
}

static const size_t pieces[] = { 1, 7, 64, 4096, SIZE_MAX };
#define PIECES (sizeof pieces / sizeof *pieces)

static bool root_matches(const struct block_stream *s)
{
    struct hash256 root = merkle_root(&s->merkle, NULL);
    return memcmp(root.b, s->header.merkle_root.b, 32) == 0;
}

/* A good block gives the same in pieces of any size. */
static void check_good(const struct buf *block, struct block_stream *out)
{
    for (size_t i = 0; i < PIECES; i++) {
        struct walk w = { .block = block };
        block_stream_init(out);
        if (i == PIECES - 1) {
            out->on_tx = check_tx;
            out->ctx = &w;
        }
        assert_int_equal(feed_in_pieces(out, block->data, block->len, pieces[i]), OK);
        assert_true(block_stream_done(out));
        assert_true(root_matches(out));
        assert_false(out->merkle.mutated);
        assert_true(out->bytes == block->len);
        assert_true(out->txs_done == out->tx_count);
        if (i == PIECES - 1) {
            assert_true(w.txs == out->tx_count && w.next == block->len);
            assert_true(w.inputs == out->inputs_done);
        }
    }
}

static struct json_object *index_row(struct json_object *index, const char *name)
{
    const char *base = strrchr(name, '/') + 1;
    for (size_t i = 0; i < json_object_array_length(index); i++) {
        struct json_object *row = json_object_array_get_idx(index, i);
        const char *file = json_str(row, "file");
        if (file && strncmp(file, base, strlen(base)) == 0)
            return row;
    }
    return NULL;
}

static void known_blocks_parse_with_their_ids_and_roots(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("blocks", ".block", &names), in_index = 0;
    if (n == 0)
        skip();
    struct json_object *index = vector_json("blocks/index.json");
    for (size_t i = 0; i < n; i++) {
        struct buf block;
        struct block_stream s;
        struct block_hash hash;
        char text[HASH_HEX_SIZE];
        buf_init(&block);
        vector_read(names[i], &block);
        check_good(&block, &s);
        block_header_hash(&hash, &s.header);
        assert_non_null(strstr(names[i], hash_to_hex(text, hash.b)));
        struct json_object *row = index_row(index, names[i]);
        if (row) {
            assert_string_equal(json_str(row, "hash"), text);
            assert_true(json_int(row, "bytes", -1) == (int64_t)block.len);
            assert_true(json_int(row, "txs", -1) == (int64_t)s.txs_done);
            assert_true(json_int(row, "inputs", -1) == (int64_t)s.inputs_done);
            in_index++;
        }
        buf_clear(&block);
    }
    vector_list_free(names, n);
    json_object_put(index);
    vector_report("blocks", n);
    vector_report("blocks/index.json", in_index);
}

static void blocks_with_prevouts_parse(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("blocks-with-prevouts", ".block", &names);
    if (n == 0)
        skip();
    for (size_t i = 0; i < n; i++) {
        struct buf block;
        struct block_stream s;
        buf_init(&block);
        vector_read(names[i], &block);
        check_good(&block, &s);
        buf_clear(&block);
    }
    vector_list_free(names, n);
    vector_report("blocks-with-prevouts", n);
}

/* Records of magic, length and block. */
static size_t run_blk(const char *name)
{
    struct buf file;
    struct reader r;
    size_t blocks = 0;
    buf_init(&file);
    vector_read(name, &file);
    reader_init(&r, file.data, file.len);
    while (!r.failed && r.left) {
        read_le32(&r);
        uint32_t size = read_le32(&r);
        const uint8_t *p = read_bytes(&r, size);
        assert_non_null(p);
        /* borrowed */
        struct buf block = { .data = (uint8_t *)(uintptr_t)p, .len = size, .cap = size };
        struct block_stream s;
        check_good(&block, &s);
        blocks++;
    }
    buf_clear(&file);
    return blocks;
}

static void stored_chains_parse(void **state)
{
    (void)state;
    static const char *const folders[] = { "blocks", "blocks/reorg-synthetic", "regtest-chains" };
    size_t files = 0;
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        char **names;
        size_t n = vector_list(folders[f], ".blk", &names);
        for (size_t i = 0; i < n; i++)
            vector_report(names[i], run_blk(names[i]));
        vector_list_free(names, n);
        files += n;
    }
    if (!files)
        skip();
}

/* What is wrong with a block: the format, or it is not whole, or the root of another. */
static bool refused(const struct buf *block, size_t piece)
{
    struct block_stream s;
    block_stream_init(&s);
    if (feed_in_pieces(&s, block->data, block->len, piece))
        return true;
    return !block_stream_done(&s) || !root_matches(&s);
}

static void broken_blocks_are_refused(void **state)
{
    (void)state;
    char **names;
    size_t n = vector_list("blocks/broken", ".block", &names);
    if (n == 0)
        skip();
    for (size_t i = 0; i < n; i++) {
        struct buf block;
        buf_init(&block);
        vector_read(names[i], &block);
        for (size_t p = 0; p < PIECES; p++)
            assert_true(refused(&block, pieces[p]));
        buf_clear(&block);
    }
    vector_list_free(names, n);
    vector_report("blocks/broken", n);
}

/* A header of zeros, then the count and the transactions as given. */
static void build_block(struct buf *b, const char *count, const char *tx)
{
    struct buf parts[2] = { unhex(count), unhex(tx) };
    buf_init(b);
    memset(buf_extend(b, BLOCK_HEADER_SIZE), 0, BLOCK_HEADER_SIZE);
    for (size_t i = 0; i < 2; i++) {
        buf_put(b, parts[i].data, parts[i].len);
        buf_clear(&parts[i]);
    }
}

static enum err outcome(const struct buf *b, size_t piece, struct block_stream *s)
{
    block_stream_init(s);
    return feed_in_pieces(s, b->data, b->len, piece);
}

static void a_block_without_transactions_is_a_block(void **state)
{
    (void)state;
    struct buf b;
    struct block_stream s;
    build_block(&b, "00", "");
    for (size_t i = 0; i < PIECES; i++) {
        assert_int_equal(outcome(&b, pieces[i], &s), OK);
        assert_true(block_stream_done(&s));
        assert_true(s.tx_count == 0 && s.bytes == 81);
        struct hash256 root = merkle_root(&s.merkle, NULL);
        assert_true(hash_is_zero(root.b));
    }
    buf_clear(&b);
}

static void bytes_after_the_end_fail_for_good(void **state)
{
    (void)state;
    struct buf b;
    struct block_stream s;
    build_block(&b, "00", "");
    assert_int_equal(outcome(&b, SIZE_MAX, &s), OK);
    assert_int_equal(block_stream_feed(&s, "", 0), OK);
    assert_int_equal(block_stream_feed(&s, "x", 1), ERR_PARSE);
    assert_false(block_stream_done(&s));
    assert_int_equal(block_stream_feed(&s, "", 0), ERR_PARSE);
    assert_int_equal(block_stream_feed(&s, b.data, b.len), ERR_PARSE);
    buf_clear(&b);
}

static void counts_must_be_canonical_in_any_cut(void **state)
{
    (void)state;
    static const struct { const char *count, *tx; enum err rc; } cases[] = {
        { "fd0000", "", ERR_PARSE }, { "fdfc00", "", ERR_PARSE }, { "feffff0000", "", ERR_PARSE },
        { "ffffffffff00000000", "", ERR_PARSE }, { "ff0000000001000000", "", ERR_PARSE },
        { "feffffffff", "", OK }, /* the largest there is; its transactions never come */
        { "01", "01000000" "fd0100", ERR_PARSE }, { "01", "01000000" "00" "fd0100", ERR_PARSE },
        { "01", "01000000" "00" "00" "00000000", OK },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct buf b;
        struct block_stream s;
        build_block(&b, cases[c].count, cases[c].tx);
        for (size_t piece = 1; piece <= b.len; piece++)
            assert_int_equal(outcome(&b, piece, &s), cases[c].rc);
        buf_clear(&b);
    }
}

static void empty_scripts_and_long_lengths_are_followed(void **state)
{
    (void)state;
    struct buf b, tx;
    struct block_stream s;
    build_block(&b, "fdfd00", ""); /* 253 transactions */
    buf_init(&tx);
    buf_put_le32(&tx, 2);
    buf_put_compact(&tx, 1);
    memset(buf_extend(&tx, 36), 0x11, 36);
    buf_put_compact(&tx, 0);
    buf_put_le32(&tx, 0);
    buf_put_compact(&tx, 2);
    buf_put_le64(&tx, 5);
    buf_put_compact(&tx, 300);
    memset(buf_extend(&tx, 300), 0x22, 300);
    buf_put_le64(&tx, 6);
    buf_put_compact(&tx, 0);
    buf_put_le32(&tx, 0);
    for (int i = 0; i < 253; i++)
        buf_put(&b, tx.data, tx.len);
    for (size_t piece = 1; piece < 400; piece += 13) {
        assert_int_equal(outcome(&b, piece, &s), OK);
        assert_true(block_stream_done(&s));
        assert_true(s.txs_done == 253 && s.inputs_done == 253 && s.outputs_done == 506);
        assert_true(s.merkle.mutated); /* all transactions are the same */
    }
    assert_int_equal(outcome(&b, b.len - 1, &s), OK);
    buf_clear(&tx);
    buf_clear(&b);
}

static void a_block_of_any_prefix_is_unfinished_not_failed(void **state)
{
    (void)state;
    struct buf b;
    struct block_stream s;
    build_block(&b, "01", "01000000" "00" "01" "0000000000000000" "02aabb" "00000000");
    for (size_t len = 0; len < b.len; len++) {
        block_stream_init(&s);
        assert_int_equal(block_stream_feed(&s, b.data, len), OK);
        assert_false(block_stream_done(&s));
        assert_true(s.bytes == len);
    }
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_blocks_parse_with_their_ids_and_roots),
        cmocka_unit_test(blocks_with_prevouts_parse),
        cmocka_unit_test(stored_chains_parse),
        cmocka_unit_test(broken_blocks_are_refused),
        cmocka_unit_test(a_block_without_transactions_is_a_block),
        cmocka_unit_test(bytes_after_the_end_fail_for_good),
        cmocka_unit_test(counts_must_be_canonical_in_any_cut),
        cmocka_unit_test(empty_scripts_and_long_lengths_are_followed),
        cmocka_unit_test(a_block_of_any_prefix_is_unfinished_not_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
