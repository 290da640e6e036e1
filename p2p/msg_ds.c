#include "p2p/msg_ds.h"

#include "p2p/msg_internal.h"

#define BLOCK_MIN (1 + BLOCK_HEADER_SIZE + 1)

/* The reference takes neither a coinbase nor the mark of a copy in the branch. */
static bool proof_is_of_the_kind(const struct tsc_proof *p)
{
    if (p->tx.len == 0 || p->target != TSC_MERKLE_ROOT || p->branch.index == 0)
        return false;
    for (unsigned i = 0; i < p->branch.n; i++)
        if (p->branch.sibling[i].duplicate)
            return false;
    return true;
}

void msg_ds_block_next(struct reader *r, struct msg_ds_block *b)
{
    const uint8_t *start = r->p;
    b->n = read_count(r, BLOCK_HEADER_SIZE);
    b->headers.len = b->n * BLOCK_HEADER_SIZE;
    b->headers.data = read_bytes(r, b->headers.len);
    if (tsc_proof_read(r, &b->proof) != OK || b->n == 0 || !proof_is_of_the_kind(&b->proof))
        r->failed = true;
    b->whole = r->failed ? span_of(NULL, 0) : span_of(start, (size_t)(r->p - start));
}

enum err msg_dsdetected_read(struct msg_dsdetected *m, struct span payload)
{
    struct reader r;
    struct msg_ds_block b;
    reader_init(&r, payload.data, payload.len);
    if (read_le16(&r) != MSG_DS_VERSION)
        return ERR_PARSE;
    m->payload = payload;
    m->n = read_count(&r, BLOCK_MIN);
    if (m->n < 2)
        return ERR_PARSE;
    const uint8_t *start = r.p;
    for (size_t i = 0; i < m->n && !r.failed; i++)
        msg_ds_block_next(&r, &b);
    m->blocks = r.failed ? span_of(NULL, 0) : span_of(start, (size_t)(r.p - start));
    return msg_reader_result(&r);
}

void msg_dsdetected_begin(struct buf *b, size_t n)
{
    buf_put_le16(b, MSG_DS_VERSION);
    buf_put_compact(b, n);
}

void msg_ds_block_write(struct buf *b, const struct block_header *headers, size_t n,
                        const struct tsc_proof *proof)
{
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++)
        block_header_write(b, &headers[i]);
    tsc_proof_write(b, proof, TSC_COPY_AS_HASH);
}
