/*
 * The original signature digest against one made from a whole image, as spec consensus 4.9 words
 * it: separators out, cut pushes without their data, the length that counts them nevertheless.
 *
 * Input: hash type (4 bytes), input index (2), length of the script code (2), code, transaction.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/reader.h"
#include "base/tx.h"
#include "script/sighash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes the operation at p takes with what of it is written; 0 written data when it is cut. */
static size_t operation(const uint8_t *p, size_t left, bool *cut)
{
    size_t head = 1, n = 0;

    *cut = false;
    if (p[0] < 0x4c) {
        n = p[0];
    } else if (p[0] <= 0x4e) {
        size_t width = p[0] == 0x4c ? 1 : p[0] == 0x4d ? 2 : 4;
        if (left - 1 < width) {
            *cut = true;
            return 1;
        }
        for (size_t i = 0; i < width; i++)
            n |= (size_t)p[1 + i] << 8 * i;
        head += width;
    }
    if (left - head < n) {
        *cut = true;
        return head;
    }
    return head + n;
}

static void put_code(struct buf *image, struct span code)
{
    struct buf kept;
    size_t at = 0, separators = 0;
    bool cut = false;

    buf_init(&kept);
    while (at < code.len && !cut) {
        size_t n = operation(code.data + at, code.len - at, &cut);
        if (code.data[at] == 0xab)
            separators++;
        else
            buf_put(&kept, code.data + at, n);
        at += n;
    }
    buf_put_compact(image, code.len - separators);
    buf_put(image, kept.data, kept.len);
    buf_clear(&kept);
}

static void put_input(struct buf *image, const struct tx *tx, size_t i, size_t own,
                      struct span code, bool zero_others)
{
    buf_put(image, tx->in[i].prevout.txid.b, 32);
    buf_put_le32(image, tx->in[i].prevout.index);
    if (i == own)
        put_code(image, code);
    else
        buf_put_compact(image, 0);
    buf_put_le32(image, i != own && zero_others ? 0 : tx->in[i].sequence);
}

static void slow_digest(const struct tx *tx, const struct sighash_request *r, uint8_t out[32])
{
    uint32_t base = r->hash_type & 31;
    bool alone = r->hash_type & 0x80, loose = base == 2 || base == 3;
    size_t outputs = base == 2 ? 0 : base == 3 ? r->index + 1 : tx->n_out;
    struct buf image;

    memset(out, 0, 32);
    out[0] = 1;
    if (r->index >= tx->n_in || (base == 3 && r->index >= tx->n_out))
        return;
    buf_init(&image);
    buf_put_le32(&image, (uint32_t)tx->version);
    buf_put_compact(&image, alone ? 1 : tx->n_in);
    for (size_t i = 0; i < tx->n_in; i++)
        if (!alone || i == r->index)
            put_input(&image, tx, i, r->index, r->code, loose);
    buf_put_compact(&image, outputs);
    for (size_t i = 0; i < outputs; i++) {
        bool blank = base == 3 && i != r->index;
        buf_put_le64(&image, blank ? UINT64_MAX : (uint64_t)tx->out[i].value);
        buf_put_var_bytes(&image, tx->out[i].script.data, blank ? 0 : tx->out[i].script.len);
    }
    buf_put_le32(&image, tx->lock_time);
    buf_put_le32(&image, r->hash_type);
    sha256d(out, image.data, image.len);
    buf_clear(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct sighash_cache cache;
    uint8_t fast[32], slow[32];

    reader_init(&r, data, size);
    uint32_t type = read_le32(&r);
    size_t index = read_le16(&r), code_len = read_le16(&r);
    if (r.failed || code_len > r.left)
        return 0;
    struct sighash_request request = {
        .code = span_of(r.p, code_len), .index = index, .hash_type = type,
    };
    struct tx *tx = tx_new(r.p + code_len, r.left - code_len, NULL);
    if (!tx)
        return 0;
    request.index = tx->n_in > 0 ? index % (tx->n_in + 1) : 0;
    sighash_cache_init(&cache, tx);
    slow_digest(tx, &request, slow);
    if (sighash_original(&cache, &request, fast) != SCRIPT_OK || memcmp(fast, slow, 32) != 0)
        abort();
    if (request.index < tx->n_in && sighash_bip143(&cache, &request, fast) != SCRIPT_OK)
        abort();
    sighash_cache_clear(&cache);
    tx_unref(tx);
    return 0;
}
