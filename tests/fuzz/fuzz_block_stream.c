/*
 * The parser of blocks in pieces gives the same however the block is cut, and takes exactly what a
 * plain parser of the whole takes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/block_stream.h"
#include "base/tx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sizes of the pieces come from the input too. */
static enum err feed_cut(struct block_stream *s, const uint8_t *data, size_t size, unsigned salt)
{
    block_stream_init(s);
    for (size_t at = 0; at < size;) {
        size_t n = 1 + (data[at] ^ salt) % 47;
        if (n > size - at)
            n = size - at;
        if (block_stream_feed(s, data + at, n))
            return ERR_PARSE;
        at += n;
    }
    return OK;
}

static void check_equal(const struct block_stream *a, const struct block_stream *b)
{
    bool mutated_a, mutated_b;
    struct hash256 root_a = merkle_root(&a->merkle, &mutated_a);
    struct hash256 root_b = merkle_root(&b->merkle, &mutated_b);
    if (a->state != b->state || a->bytes != b->bytes || a->txs_done != b->txs_done ||
        a->tx_count != b->tx_count || a->inputs_done != b->inputs_done ||
        a->outputs_done != b->outputs_done || mutated_a != mutated_b ||
        memcmp(root_a.b, root_b.b, 32) != 0)
        abort();
}

static bool parses_whole(const uint8_t *data, size_t size, struct hash256 *root)
{
    struct reader r;
    struct block_header h;
    struct arena a;
    struct merkle m;
    struct tx tx;
    arena_init(&a);
    merkle_init(&m);
    reader_init(&r, data, size);
    block_header_read(&r, &h);
    for (uint64_t n = read_compact(&r); n > 0 && !r.failed; n--) {
        arena_reset(&a);
        if (tx_read(&r, &a, &tx))
            break;
        tx_compute_id(&tx);
        merkle_add(&m, tx.id.b);
    }
    *root = merkle_root(&m, NULL);
    arena_clear(&a);
    return reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block_stream whole, cut;
    struct hash256 want;
    block_stream_init(&whole);
    enum err rc = block_stream_feed(&whole, data, size);
    for (unsigned salt = 0; salt < 3; salt++) {
        if (feed_cut(&cut, data, size, salt * 85) != rc)
            abort();
        if (!rc)
            check_equal(&whole, &cut);
    }
    if (parses_whole(data, size, &want) != (!rc && block_stream_done(&whole)))
        abort();
    if (!rc && block_stream_done(&whole)) {
        struct hash256 root = merkle_root(&whole.merkle, NULL);
        if (memcmp(root.b, want.b, 32) != 0)
            abort();
    }
    return 0;
}
