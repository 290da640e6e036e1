/* Messages that are lists: headers, addr, inventories, locators. */
#include "p2p/msg.h"

#include "base/mem.h"
#include "p2p/msg_internal.h"

#define HEADER_ENTRY_MIN (BLOCK_HEADER_SIZE + 1)
#define ADDR_ENTRY_SIZE 30

enum err msg_headers_read(struct block_header *out, size_t *n, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    uint64_t count = read_compact(&r);
    *n = 0;
    if (r.failed)
        return msg_reader_result(&r);
    if (count > MSG_HEADERS_MAX)
        return ERR_RANGE;
    if (count > r.left / HEADER_ENTRY_MIN)
        return ERR_PARSE;
    for (size_t i = 0; i < count; i++) {
        block_header_read(&r, &out[i]);
        (void)read_compact(&r); /* number of transactions: sent as 0, ignored */
    }
    if (!r.failed)
        *n = (size_t)count;
    return msg_reader_result(&r);
}

void msg_headers_write(struct buf *b, const struct block_header *headers, size_t n)
{
    buf_reserve(b, 9 + n * HEADER_ENTRY_MIN);
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = buf_extend(b, HEADER_ENTRY_MIN);
        block_header_put(p, &headers[i]);
        p[BLOCK_HEADER_SIZE] = 0;
    }
}

enum err msg_addr_read(struct peer_addr *out, size_t *n, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    uint64_t count = read_compact(&r);
    *n = 0;
    if (r.failed)
        return msg_reader_result(&r);
    if (count > MSG_ADDR_MAX)
        return ERR_RANGE;
    if (count > r.left / ADDR_ENTRY_SIZE)
        return ERR_PARSE;
    for (size_t i = 0; i < count; i++)
        peer_addr_read(&r, &out[i], PEER_ADDR_30);
    if (!r.failed)
        *n = (size_t)count;
    return msg_reader_result(&r);
}

void msg_addr_write(struct buf *b, const struct peer_addr *addrs, size_t n)
{
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++)
        peer_addr_write(b, &addrs[i], PEER_ADDR_30);
}

enum err msg_inv_read(struct inv_item **out, size_t *n, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *out = NULL;
    *n = 0;
    size_t count = read_count(&r, MSG_INV_ITEM_SIZE);
    if (r.failed)
        return msg_reader_result(&r);
    if (count == 0)
        return OK;
    struct inv_item *items = try_alloc(count, sizeof(*items));
    if (items == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        items[i].type = read_le32(&r);
        read_copy(&r, items[i].hash.b, 32);
    }
    *out = items;
    *n = count;
    return OK;
}

void msg_inv_write(struct buf *b, const struct inv_item *items, size_t n)
{
    buf_reserve(b, 9 + n * MSG_INV_ITEM_SIZE);
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++) {
        buf_put_le32(b, items[i].type);
        buf_put(b, items[i].hash.b, 32);
    }
}

enum err msg_locator_read(struct msg_locator *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *m = (struct msg_locator){ .version = read_le32(&r) };
    m->n = read_count(&r, 32);
    m->hashes = read_bytes(&r, m->n * 32);
    read_copy(&r, m->stop.b, 32);
    if (r.failed)
        m->n = 0;
    return msg_reader_result(&r);
}

void msg_locator_write(struct buf *b, const struct msg_locator *m)
{
    buf_reserve(b, 4 + 9 + m->n * 32 + 32);
    buf_put_le32(b, m->version);
    buf_put_compact(b, m->n);
    buf_put(b, m->hashes, m->n * 32);
    buf_put(b, m->stop.b, 32);
}
