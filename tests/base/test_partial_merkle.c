#include "base/partial_merkle.h"

#include "base/block_stream.h"
#include "tests/base/merkle_tree.h"
#include "tests/test.h"

#define MATCHES_MAX TREE_LEAVES_MAX

struct found {
    uint64_t index[MATCHES_MAX];
    struct hash256 leaf[MATCHES_MAX];
    size_t n;
};

static void take_match(void *ctx, const struct partial_node *node)
{
    struct found *f = (struct found *)ctx;
    if (node->kind != PARTIAL_MATCH)
        return;
    assert_true(f->n < MATCHES_MAX);
    f->index[f->n] = node->index;
    memcpy(f->leaf[f->n++].b, node->hash, 32);
}

/* What a verifier does that knows root and number of leaves. */
static bool verify(const struct partial_merkle *p, const struct tree *t, struct found *f)
{
    struct hash256 root;
    f->n = 0;
    return p->leaves == t->n[0] && partial_merkle_walk(p, take_match, f, &root) &&
           memcmp(root.b, tree_root(t)->b, 32) == 0;
}

static void build(struct partial_merkle_builder *b, const struct tree *t, const bool *matched,
                  struct partial_merkle *out)
{
    partial_merkle_init(b);
    for (size_t i = 0; i < t->n[0]; i++)
        assert_int_equal(partial_merkle_add(b, t->row[0][i].b, matched[i]), OK);
    assert_int_equal(partial_merkle_finish(b, out), OK);
}

/* Matches of the proof are those asked for, in order. */
static void check_matches(const struct partial_merkle *p, const struct tree *t, const bool *matched)
{
    struct found f;
    size_t want = 0;
    assert_true(verify(p, t, &f));
    for (size_t i = 0; i < t->n[0]; i++)
        if (matched[i]) {
            assert_true(want < f.n);
            assert_int_equal(f.index[want], i);
            assert_memory_equal(f.leaf[want++].b, t->row[0][i].b, 32);
        }
    assert_int_equal(f.n, want);
}

static void check_format_round_trip(const struct partial_merkle *p)
{
    struct buf b, again;
    struct reader r;
    struct partial_merkle q;
    buf_init(&b);
    buf_init(&again);
    partial_merkle_write(&b, p);
    reader_init(&r, b.data, b.len);
    assert_int_equal(partial_merkle_read(&r, &q), OK);
    assert_true(reader_done(&r));
    partial_merkle_write(&again, &q);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    buf_clear(&b);
    buf_clear(&again);
}

static void each_leaf_alone_is_proved(void **state)
{
    (void)state;
    struct tree t;
    struct partial_merkle_builder b;
    struct partial_merkle p;
    for (size_t n = 1; n <= 40; n++) {
        tree_make(&t, n, 1);
        for (size_t i = 0; i < n; i++) {
            bool matched[TREE_LEAVES_MAX] = { false };
            matched[i] = true;
            build(&b, &t, matched, &p);
            check_matches(&p, &t, matched);
            check_format_round_trip(&p);
            partial_merkle_clear(&b);
        }
    }
}

static void all_sets_of_leaves_of_small_trees_are_proved(void **state)
{
    (void)state;
    struct tree t;
    struct partial_merkle_builder b;
    struct partial_merkle p;
    for (size_t n = 1; n <= 9; n++) {
        tree_make(&t, n, 2);
        for (unsigned set = 0; set < 1u << n; set++) {
            bool matched[TREE_LEAVES_MAX];
            for (size_t i = 0; i < n; i++)
                matched[i] = set >> i & 1;
            build(&b, &t, matched, &p);
            check_matches(&p, &t, matched);
            assert_true(set || p.hashes.len == 32); /* the root alone */
            partial_merkle_clear(&b);
        }
    }
}

/* Bytes of a proof with one bit flipped prove nothing that is not so (attacks A4). */
static void no_flipped_bit_proves_another_leaf(void **state)
{
    (void)state;
    uint64_t random = 7;
    size_t accepted = 0;
    for (int round = 0; round < 4000; round++) {
        struct tree t;
        struct partial_merkle_builder b;
        struct partial_merkle p;
        struct found f;
        struct reader r;
        struct buf raw;
        bool matched[TREE_LEAVES_MAX];
        size_t n = 1 + tree_random(&random, TREE_LEAVES_MAX - 1);
        size_t often = 1 + tree_random(&random, 20);
        tree_make(&t, n, (uint32_t)round);
        for (size_t i = 0; i < n; i++)
            matched[i] = tree_random(&random, often) == 0;
        build(&b, &t, matched, &p);
        buf_init(&raw);
        partial_merkle_write(&raw, &p);
        size_t bit = tree_random(&random, raw.len * 8);
        raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        reader_init(&r, raw.data, raw.len);
        if (!partial_merkle_read(&r, &p) && reader_done(&r) && verify(&p, &t, &f)) {
            accepted++; /* a flag of a leaf: it is there all the same */
            for (size_t i = 0; i < f.n; i++)
                assert_memory_equal(f.leaf[i].b, t.row[0][f.index[i]].b, 32);
        }
        buf_clear(&raw);
        partial_merkle_clear(&b);
    }
    print_message("%zu of 4000 proofs stayed true\n", accepted);
    assert_true(accepted < 400);
}

/* A tree with fewer levels of the same root makes leaves of inner nodes (attacks A4). */
static void an_inner_node_passes_for_a_leaf_only_with_another_count(void **state)
{
    (void)state;
    struct tree t, cut;
    struct partial_merkle_builder b;
    struct partial_merkle p;
    struct hash256 root;
    struct found f = { .n = 0 };
    bool matched[TREE_LEAVES_MAX] = { [3] = true };
    tree_make(&t, 16, 1);
    memset(&cut, 0, sizeof cut);
    cut.n[0] = 8;
    memcpy(cut.row[0], t.row[1], 8 * sizeof *t.row[1]);
    build(&b, &cut, matched, &p);
    assert_true(partial_merkle_walk(&p, take_match, &f, &root));
    assert_memory_equal(root.b, tree_root(&t)->b, 32);
    assert_memory_equal(f.leaf[0].b, t.row[1][3].b, 32);
    assert_false(verify(&p, &t, &f));
    partial_merkle_clear(&b);
}

/* The halves of a transaction of 64 bytes as two leaves more (CVE-2017-12842). */
static void halves_of_a_short_transaction_need_another_count(void **state)
{
    (void)state;
    uint8_t tx[64] = { 1, 2, 3 };
    struct hash256 leaf[2], root;
    struct partial_merkle p;
    struct found f = { .n = 0 };
    struct tree t = { .n = { 2, 1 }, .depth = 1 };
    memset(tx + 32, 9, 32);
    sha256d(leaf[0].b, tx, sizeof tx);
    memset(leaf[1].b, 7, 32);
    sha256d_pair(t.row[1][0].b, leaf[0].b, leaf[1].b);
    /* flags 1, 1, 0, 1, 0: the right half of the transaction is the match */
    uint8_t forged[4 + 1 + 3 * 32 + 2] = { 4, 0, 0, 0, 3 };
    memcpy(forged + 5, tx, 64);
    memcpy(forged + 69, leaf[1].b, 32);
    forged[101] = 1;
    forged[102] = 0x0b;
    struct reader r;
    reader_init(&r, forged, sizeof forged);
    assert_int_equal(partial_merkle_read(&r, &p), OK);
    assert_true(partial_merkle_walk(&p, take_match, &f, &root));
    assert_memory_equal(root.b, t.row[1][0].b, 32);
    assert_memory_equal(f.leaf[0].b, tx + 32, 32);
    assert_false(verify(&p, &t, &f));
}

static bool walks(uint32_t leaves, size_t hashes, const char *flags_hex)
{
    static uint8_t bytes[64 * 32];
    struct buf flags = unhex(flags_hex);
    struct hash256 root;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i / 32 + 1);
    struct partial_merkle t = { leaves, span_of(bytes, hashes * 32), buf_span(&flags) };
    bool good = partial_merkle_walk(&t, NULL, NULL, &root);
    buf_clear(&flags);
    return good;
}

static void what_is_no_tree_is_refused(void **state)
{
    (void)state;
    assert_true(walks(1, 1, "01"));
    assert_true(walks(1, 1, "00"));
    assert_true(walks(2, 2, "03"));
    assert_false(walks(0, 0, ""));
    assert_false(walks(0, 1, "01"));
    assert_false(walks(1, 2, "01")); /* more hashes than leaves */
    assert_false(walks(2, 1, "03")); /* a hash too few */
    assert_true(walks(4, 3, "03"));
    assert_false(walks(4, 4, "03")); /* one too many */
    assert_false(walks(2, 2, ""));
    assert_false(walks(2, 2, "0300")); /* a byte of flags too many */
    assert_false(walks(2, 2, "13"));   /* padding that is not zero */
    assert_false(walks(UINT32_MAX, 3, "ffffffff"));
    assert_false(walks(UINT32_MAX, 40, "ffffffff"));
}

/* Two equal neighbours would prove a leaf at a place where the tree has none (CVE-2012-2459). */
static void equal_neighbours_are_refused(void **state)
{
    (void)state;
    uint8_t hashes[64] = { 0 };
    uint8_t flags = 7;
    struct hash256 root;
    struct partial_merkle t = { 2, span_of(hashes, 64), span_of(&flags, 1) };
    assert_false(partial_merkle_walk(&t, NULL, NULL, &root));
    hashes[0] = 1;
    assert_true(partial_merkle_walk(&t, NULL, NULL, &root));
}

static void a_claimed_count_does_not_allocate(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "01000000", "01000000" "feffffffff" "00",
                                       "01000000" "00" "05" "00000000" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf raw = unhex(bad[i]);
        struct reader r;
        struct partial_merkle t;
        reader_init(&r, raw.data, raw.len);
        assert_int_equal(partial_merkle_read(&r, &t), ERR_PARSE);
        buf_clear(&raw);
    }
}

/* --- a message of the network ----------------------------------------------------------------- */

struct rebuilt {
    struct partial_merkle_builder b;
    const struct found *want;
    size_t next; /* of want */
};

static void add_tx(void *ctx, const struct txid *id, uint64_t offset, uint64_t size)
{
    struct rebuilt *re = (struct rebuilt *)ctx;
    (void)offset;
    (void)size;
    bool matched = re->next < re->want->n && memcmp(re->want->leaf[re->next].b, id->b, 32) == 0;
    if (matched)
        assert_int_equal(re->want->index[re->next++], re->b.leaves);
    assert_int_equal(partial_merkle_add(&re->b, id->b, matched), OK);
}

/* The proof in the message holds, and the block gives the same bytes for the same matches. */
static void rebuild(const char *name, const char *block_name)
{
    struct buf message, block, again;
    struct reader r;
    struct block_header header;
    struct partial_merkle p;
    struct hash256 root;
    struct found f = { .n = 0 };
    struct rebuilt re = { .want = &f };
    struct block_stream stream;
    buf_init(&message);
    buf_init(&block);
    buf_init(&again);
    vector_read(name, &message);
    vector_read(block_name, &block);
    reader_init(&r, message.data, message.len);
    block_header_read(&r, &header);
    assert_int_equal(partial_merkle_read(&r, &p), OK);
    assert_true(reader_done(&r));
    assert_true(partial_merkle_walk(&p, take_match, &f, &root));
    assert_memory_equal(root.b, header.merkle_root.b, 32);
    assert_true(f.n > 0);

    partial_merkle_init(&re.b);
    block_stream_init(&stream);
    stream.on_tx = add_tx;
    stream.ctx = &re;
    assert_int_equal(block_stream_feed(&stream, block.data, block.len), OK);
    assert_int_equal(re.next, f.n);
    assert_int_equal(p.leaves, stream.tx_count);
    assert_int_equal(partial_merkle_finish(&re.b, &p), OK);
    block_header_write(&again, &header);
    partial_merkle_write(&again, &p);
    assert_int_equal(again.len, message.len);
    assert_memory_equal(again.data, message.data, message.len);
    vector_report(name, f.n);
    partial_merkle_clear(&re.b);
    buf_clear(&message);
    buf_clear(&block);
    buf_clear(&again);
}

static void messages_of_the_network_are_rebuilt_from_their_blocks(void **state)
{
    (void)state;
    char **names;
    size_t rebuilt = 0;
    const size_t n = vector_list("spv", ".raw", &names);
    for (size_t i = 0; i < n; i++) {
        char *block = strstr(names[i], "merkleblock") ? vector_block_of(names[i]) : NULL;
        if (block) {
            rebuild(names[i], block);
            rebuilt++;
        }
        free(block);
    }
    vector_list_free(names, n);
    if (n == 0)
        skip();
    vector_report("merkleblock messages in spv", rebuilt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_leaf_alone_is_proved),
        cmocka_unit_test(all_sets_of_leaves_of_small_trees_are_proved),
        cmocka_unit_test(no_flipped_bit_proves_another_leaf),
        cmocka_unit_test(an_inner_node_passes_for_a_leaf_only_with_another_count),
        cmocka_unit_test(halves_of_a_short_transaction_need_another_count),
        cmocka_unit_test(what_is_no_tree_is_refused),
        cmocka_unit_test(equal_neighbours_are_refused),
        cmocka_unit_test(a_claimed_count_does_not_allocate),
        cmocka_unit_test(messages_of_the_network_are_rebuilt_from_their_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
