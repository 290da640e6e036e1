/* Bytes survive encoding and decoding; text that decodes is the one text of its bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SIZE_LIMIT)
        size = SIZE_LIMIT;
    check_bytes(data, size);
    check_text(data, size);
    return 0;
}
