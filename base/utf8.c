#include "base/utf8.h"

size_t utf8_sequence(const uint8_t *p, size_t len)
{
    if (!len)
        return 0;
    uint8_t c = p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* second byte: no longer form than needed, no surrogate, not above U+10FFFF */
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_valid(const void *text, size_t len)
{
    const uint8_t *p = text;
    for (size_t i = 0, n; i < len; i += n)
        if (!(n = utf8_sequence(p + i, len - i)))
            return false;
    return true;
}
