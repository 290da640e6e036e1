/* Bytes survive encoding and decoding; Base58 that decodes is the one text of its bytes. The same
 * text is looked at as Base64 and as a private key. */
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"
#include "base/base64.h"
#include "base/ec.h"
#include "base/wif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_LIMIT 300 /* the work grows with the square of the length */

static void check_bytes(const uint8_t *data, size_t size)
{
    char text[2 * SIZE_LIMIT];
    uint8_t back[SIZE_LIMIT];
    size_t len;
    if (!base58_encode(text, sizeof text, data, size) ||
        !base58_decode(back, sizeof back, text, &len) || len != size ||
        (len && memcmp(back, data, len) != 0))
        abort();
    if (!base58check_encode(text, sizeof text, data, size) ||
        !base58check_decode(back, sizeof back, text, &len) || len != size)
        abort();
}

static void check_text(const uint8_t *data, size_t size)
{
    char text[SIZE_LIMIT + 1], again[SIZE_LIMIT + 1];
    uint8_t bytes[SIZE_LIMIT];
    size_t len;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (base58check_decode(bytes, sizeof bytes, text, &len) &&
        (!base58check_encode(again, sizeof again, bytes, len) || strcmp(again, text) != 0))
        abort();
    base58_decode(bytes, size % 20, text, &len);
    if (!base58_decode(bytes, sizeof bytes, text, &len))
        return;
    if (!base58_encode(again, sizeof again, bytes, len) || strcmp(again, text) != 0)
        abort();
    base58_encode(again, size % 20, bytes, len);
}

static void check_base64(const uint8_t *data, size_t size)
{
    uint8_t back[SIZE_LIMIT], other[SIZE_LIMIT];
    char text[SIZE_LIMIT + 1];
    struct buf b;
    buf_init(&b);
    base64_encode(&b, data, size);
    buf_put_u8(&b, 0);
    if (base64_decode(back, sizeof back, (const char *)b.data) != size ||
        (size && memcmp(back, data, size) != 0))
        abort();
    buf_clear(&b);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    size_t len = base64_decode(back, size % 20, text);
    if (len != SIZE_MAX && len > size % 20)
        abort();
    len = base64_decode(other, sizeof other, text);
    if (len != SIZE_MAX && len > size)
        abort();
}

static void check_key(const uint8_t *data, size_t size)
{
    char text[SIZE_LIMIT + 1], again[WIF_TEXT_MAX];
    struct private_key k;
    ec_init();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (wif_decode(&k, 0x80, text) == WIF_OK && strcmp(wif_encode(again, 0x80, &k), text) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SIZE_LIMIT)
        size = SIZE_LIMIT;
    check_bytes(data, size);
    check_text(data, size);
    check_base64(data, size);
    check_key(data, size);
    return 0;
}
