#include "base/bytes.h"

void hex_encode(char *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

/* 16 or more when c is no hex digit. */
static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

bool hex_decode(uint8_t *out, size_t cap, const char *hex, size_t hex_len, size_t *out_len)
{
    if (hex_len % 2 || hex_len / 2 > cap)
        return false;
    for (size_t i = 0; i < hex_len / 2; i++) {
        unsigned hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);
        if ((hi | lo) > 15)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    if (out_len)
        *out_len = hex_len / 2;
    return true;
}

bool ct_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *p = (const volatile uint8_t *)a, *q = (const volatile uint8_t *)b;
    unsigned diff = 0;
    for (size_t i = 0; i < len; i++)
        diff |= p[i] ^ q[i];
    return diff == 0;
}

void secure_wipe(void *p, size_t len)
{
    if (!len)
        return;
    memset(p, 0, len);
    /* The compiler must assume that this reads the memory, so the memset stays. */
    __asm__ __volatile__("" : : "r"(p) : "memory");
}
