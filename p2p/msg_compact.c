#include "p2p/msg_compact.h"

#include "base/tx.h"
#include "p2p/msg_internal.h"

#define SHORT_ID_MASK UINT64_C(0xffffffffffff)
#define PREFILLED_MIN (1 + TX_MIN_SIZE)

struct siphash_key short_id_key(const struct block_header *header, uint64_t nonce)
{
    uint8_t data[BLOCK_HEADER_SIZE + 8], digest[32];
    block_header_put(data, header);
    le64_put(data + BLOCK_HEADER_SIZE, nonce);
    sha256(digest, data, sizeof(data));
    return (struct siphash_key){ le64_get(digest), le64_get(digest + 8) };
}

uint64_t short_id_of(const struct siphash_key *key, const struct txid *id)
{
    return siphash_32(key, id->b) & SHORT_ID_MASK;
}

uint64_t short_id_get(const uint8_t p[SHORT_ID_SIZE])
{
    return le32_get(p) | (uint64_t)le16_get(p + 4) << 32;
}

void short_id_put(uint8_t p[SHORT_ID_SIZE], uint64_t id)
{
    le32_put(p, (uint32_t)id);
    le16_put(p + 4, (uint16_t)(id >> 32));
}

/* --- indices --- */

static uint32_t read_index(struct reader *r, uint64_t *next)
{
    const uint64_t index = *next + read_compact(r);
    if (index > UINT32_MAX)
        r->failed = true;
    if (r->failed)
        return 0;
    *next = index + 1;
    return (uint32_t)index;
}

void msg_indices_init(struct msg_indices *at, struct span list)
{
    reader_init(&at->r, list.data, list.len);
    at->next = 0;
}

uint32_t msg_index_next(struct msg_indices *at)
{
    return read_index(&at->r, &at->next);
}

uint32_t msg_prefilled_next(struct msg_indices *at, struct span *tx)
{
    const uint32_t index = read_index(&at->r, &at->next);
    *tx = tx_read_raw(&at->r);
    return index;
}

static void write_index(struct buf *b, uint32_t index, uint64_t *next)
{
    buf_put_compact(b, index - *next);
    *next = (uint64_t)index + 1;
}

/* What was read from r since start. */
static struct span read_since(const struct reader *r, const uint8_t *start)
{
    return span_of(start, r->failed ? 0 : (size_t)(r->p - start));
}

/* --- decoders --- */

enum err msg_cmpctblock_read(struct msg_cmpctblock *m, struct span payload)
{
    struct msg_indices at;
    struct span tx;
    msg_indices_init(&at, payload);
    block_header_read(&at.r, &m->header);
    m->nonce = read_le64(&at.r);
    m->n_short_ids = read_count(&at.r, SHORT_ID_SIZE);
    m->short_ids.len = m->n_short_ids * SHORT_ID_SIZE;
    m->short_ids.data = read_bytes(&at.r, m->short_ids.len);
    m->n_prefilled = read_count(&at.r, PREFILLED_MIN);
    const uint8_t *start = at.r.p;
    for (size_t i = 0; i < m->n_prefilled && !at.r.failed; i++)
        (void)msg_prefilled_next(&at, &tx);
    m->prefilled = read_since(&at.r, start);
    return msg_reader_result(&at.r);
}

enum err msg_getblocktxn_read(struct msg_getblocktxn *m, struct span payload)
{
    struct msg_indices at;
    msg_indices_init(&at, payload);
    read_copy(&at.r, m->hash.b, sizeof(m->hash.b));
    m->n = read_count(&at.r, 1);
    const uint8_t *start = at.r.p;
    for (size_t i = 0; i < m->n && !at.r.failed; i++)
        (void)msg_index_next(&at);
    m->indices = read_since(&at.r, start);
    return msg_reader_result(&at.r);
}

enum err msg_blocktxn_read(struct msg_blocktxn *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    read_copy(&r, m->hash.b, sizeof(m->hash.b));
    m->n = read_count(&r, TX_MIN_SIZE);
    const uint8_t *start = r.p;
    for (size_t i = 0; i < m->n && !r.failed; i++)
        (void)tx_read_raw(&r);
    m->txs = read_since(&r, start);
    return msg_reader_result(&r);
}

/* --- encoders --- */

void msg_cmpctblock_write(struct buf *b, const struct msg_cmpctblock *m,
                          const struct msg_prefilled *prefilled)
{
    uint64_t next = 0;
    block_header_write(b, &m->header);
    buf_put_le64(b, m->nonce);
    buf_put_compact(b, m->n_short_ids);
    buf_put(b, m->short_ids.data, m->short_ids.len);
    buf_put_compact(b, m->n_prefilled);
    for (size_t i = 0; i < m->n_prefilled; i++) {
        write_index(b, prefilled[i].index, &next);
        buf_put(b, prefilled[i].tx.data, prefilled[i].tx.len);
    }
}

void msg_getblocktxn_write(struct buf *b, const struct block_hash *hash, const uint32_t *indices,
                           size_t n)
{
    uint64_t next = 0;
    buf_put(b, hash->b, sizeof(hash->b));
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++)
        write_index(b, indices[i], &next);
}

void msg_blocktxn_begin(struct buf *b, const struct block_hash *hash, size_t n)
{
    buf_put(b, hash->b, sizeof(hash->b));
    buf_put_compact(b, n);
}
