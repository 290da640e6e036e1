#include "chain/coin.h"

#include "base/amount.h"

#define MARKER_BIT (UINT64_C(1) << 33) /* above all heights */

/* Length of an MSB-128 integer: each further byte holds 7 bits and one unit of carry. */
static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    while (v > 0x7f) {
        v = (v >> 7) - 1;
        n++;
    }
    return n;
}

static uint64_t coin_code(const struct coin *c)
{
    return (c->marker ? MARKER_BIT : 0) + (uint64_t)(uint32_t)c->height * 4 +
           (c->confiscated ? 2 : 0) + (c->coinbase ? 1 : 0);
}

size_t coin_size(const struct coin *c)
{
    return varint_size(coin_code(c)) + varint_size((uint64_t)c->value) + c->script.len;
}

void coin_write(struct buf *b, const struct coin *c)
{
    buf_put_varint(b, coin_code(c));
    buf_put_varint(b, (uint64_t)c->value);
    buf_put(b, c->script.data, c->script.len);
}

enum err coin_read(const void *data, size_t len, struct coin *c, struct error *e)
{
    struct reader r;
    reader_init(&r, data, len);
    uint64_t code = read_varint(&r);
    uint64_t value = read_varint(&r);
    if (r.failed)
        return error_set(e, ERR_CORRUPT, "stored coin of %zu bytes is cut short", len);
    const bool marker = code & MARKER_BIT;
    code &= ~MARKER_BIT;
    if (code >> 2 > INT32_MAX)
        return error_set(e, ERR_CORRUPT, "stored coin has the impossible height %llu",
                         (unsigned long long)(code >> 2));
    if (value > (uint64_t)MAX_MONEY)
        return error_set(e, ERR_CORRUPT, "stored coin has the impossible value %llu",
                         (unsigned long long)value);
    *c = (struct coin){
        .value = (int64_t)value,
        .height = (int32_t)(code >> 2),
        .coinbase = code & 1,
        .confiscated = code & 2,
        .marker = marker,
        .script = span_of(r.p, r.left),
    };
    return OK;
}

size_t coin_key(uint8_t out[COIN_KEY_MAX], const struct outpoint *o)
{
    out[0] = 'c';
    memcpy(out + 1, o->txid.b, 32);
    /* MSB-128, most significant group first, all but the last with the high bit. */
    uint8_t tmp[10];
    size_t n = 0;
    for (uint64_t v = o->index;; v = (v >> 7) - 1) {
        tmp[n] = (uint8_t)((v & 0x7f) | (n ? 0x80 : 0));
        n++;
        if (v <= 0x7f)
            break;
    }
    for (size_t i = 0; i < n; i++)
        out[33 + i] = tmp[n - 1 - i];
    return 33 + n;
}

bool coin_key_read(const void *key, size_t len, struct outpoint *o)
{
    struct reader r;
    reader_init(&r, key, len);
    uint8_t tag = read_u8(&r);
    read_copy(&r, o->txid.b, 32);
    uint64_t index = read_varint(&r);
    if (!reader_done(&r) || tag != 'c' || index > UINT32_MAX)
        return false;
    o->index = (uint32_t)index;
    return true;
}
