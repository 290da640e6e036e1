#include "base/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit, or 64. */
static uint32_t digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

size_t base64_decode(uint8_t *out, size_t cap, const char *text)
{
    size_t n = 0, used = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (; *text && *text != '='; text++, used++) {
        uint32_t value = digit_value(*text);
        if (value > 63)
            return SIZE_MAX;
        bits = bits << 6 | value;
        have += 6;
        if (have >= 8) {
            if (n == cap)
                return SIZE_MAX;
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    text += strspn(text, "=");
    return *text || used % 4 == 1 ? SIZE_MAX : n; /* one digit alone says nothing */
}

void base64_encode(struct buf *out, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? p[i + 2] : 0;
        buf_put_u8(out, (uint8_t)digits[v >> 18]);
        buf_put_u8(out, (uint8_t)digits[v >> 12 & 63]);
        buf_put_u8(out, i + 1 < len ? (uint8_t)digits[v >> 6 & 63] : '=');
        buf_put_u8(out, i + 2 < len ? (uint8_t)digits[v & 63] : '=');
    }
}
