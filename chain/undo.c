#include "chain/undo.h"

#include <stdlib.h>

#include "base/mem.h"

/* A coin takes at least its length byte, the height code and the value. */
#define UNDO_COIN_MIN 3

void undo_writer_init(struct undo_writer *w)
{
    buf_init(&w->coins);
    w->count = 0;
}

void undo_writer_clear(struct undo_writer *w)
{
    buf_clear(&w->coins);
    w->count = 0;
}

enum err undo_writer_add(struct undo_writer *w, const struct coin *c, struct error *e)
{
    size_t size = coin_size(c);
    if (!buf_try_reserve(&w->coins, size + 20))
        return error_set(e, ERR_NOMEM, "no memory for the undo record of a block");
    buf_put_varint(&w->coins, size);
    coin_write(&w->coins, c);
    w->count++;
    return OK;
}

/* The count goes in front, where it was not known while the coins were collected. */
void undo_writer_finish(struct undo_writer *w, struct buf *content)
{
    struct buf head;
    buf_init(&head);
    buf_put_varint(&head, w->count);
    buf_reserve(&w->coins, head.len);
    uint8_t *data = w->coins.data;
    memmove(data + head.len, data, w->coins.len);
    memcpy(data, head.data, head.len);
    w->coins.len += head.len;
    buf_clear(&head);
    *content = w->coins;
    undo_writer_init(w);
}

static enum err find_offsets(struct undo_reader *r, struct reader *in, struct error *e)
{
    for (uint64_t i = 0; i < r->count; i++) {
        r->offsets[i] = r->content.len - in->left;
        uint64_t size = read_varint(in);
        if (in->failed || size > in->left)
            return error_set(e, ERR_CORRUPT, "undo record: coin %llu of %llu is cut short",
                             (unsigned long long)i, (unsigned long long)r->count);
        read_bytes(in, (size_t)size);
    }
    r->offsets[r->count] = r->content.len - in->left;
    if (in->left)
        return error_set(e, ERR_CORRUPT, "undo record: %zu bytes after the last coin", in->left);
    return OK;
}

enum err undo_reader_init(struct undo_reader *r, struct buf *content, struct error *e)
{
    *r = (struct undo_reader){ .content = *content };
    buf_init(content);
    struct reader in;
    reader_init(&in, r->content.data, r->content.len);
    r->count = read_varint(&in);
    enum err rc = OK;
    if (in.failed || r->count > in.left / UNDO_COIN_MIN)
        rc = error_set(e, ERR_CORRUPT, "undo record: count does not fit its %zu bytes",
                       r->content.len);
    else if (!(r->offsets = try_alloc((size_t)r->count + 1, sizeof(*r->offsets))))
        rc = error_set(e, ERR_NOMEM, "no memory to read the undo record of a block");
    else
        rc = find_offsets(r, &in, e);
    if (rc)
        undo_reader_clear(r);
    return rc;
}

void undo_reader_clear(struct undo_reader *r)
{
    buf_clear(&r->content);
    free(r->offsets);
    *r = (struct undo_reader){ .count = 0 };
}

enum err undo_reader_get(const struct undo_reader *r, uint64_t i, struct coin *c, struct error *e)
{
    if (i >= r->count)
        return error_set(e, ERR_RANGE, "undo record has %llu coins, coin %llu asked for",
                         (unsigned long long)r->count, (unsigned long long)i);
    struct reader in;
    reader_init(&in, r->content.data + r->offsets[i], (size_t)(r->offsets[i + 1] - r->offsets[i]));
    read_varint(&in);
    return coin_read(in.p, in.left, c, e);
}
