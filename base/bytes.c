#include "base/bytes.h"

/* Sixteen bytes at once (blocks are handed out as hex); the compiler knows how on any machine. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static bytes16 digits_of(bytes16 nibbles)
{
    return nibbles + '0' + ((bytes16)(nibbles > 9) & ('a' - '0' - 10));
}

static void hex_encode16(char out[32], const uint8_t in[16])
{
    bytes16 v;
    memcpy(&v, in, 16);
    const bytes16 hi = digits_of(v >> 4), lo = digits_of(v & 15);
    v = __builtin_shufflevector(hi, lo, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    memcpy(out, &v, 16);
    v = __builtin_shufflevector(hi, lo, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                31);
    memcpy(out + 16, &v, 16);
}

void hex_encode(char *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)data;
    size_t i = 0;
    for (; len - i >= 16; i += 16)
        hex_encode16(out + 2 * i, p + i);
    for (; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

/* More than 15 when c is no hex digit. */
static unsigned hex_digit(char c)
{
    static const uint8_t one_more[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };
    return one_more[(uint8_t)c] - 1u;
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
