#include "base/u256.h"

#include <string.h>

#include "base/bytes.h"

__extension__ typedef unsigned __int128 u128;

struct u256 u256_from_u64(uint64_t v)
{
    return (struct u256){ { v } };
}

struct u256 u256_from_le(const uint8_t bytes[32])
{
    struct u256 r;
    for (int i = 0; i < 4; i++)
        r.limb[i] = le64_get(bytes + 8 * i);
    return r;
}

void u256_to_le(uint8_t bytes[32], const struct u256 *a)
{
    for (int i = 0; i < 4; i++)
        le64_put(bytes + 8 * i, a->limb[i]);
}

bool u256_from_hex(struct u256 *out, const char *hex)
{
    char digits[64];
    size_t len = strlen(hex);
    if (len == 0 || len > sizeof digits)
        return false;
    memset(digits, '0', sizeof digits - len);
    memcpy(digits + sizeof digits - len, hex, len);
    uint8_t bytes[32];
    if (!hex_decode(bytes, sizeof bytes, digits, sizeof digits, NULL))
        return false;
    for (int i = 0; i < 4; i++)
        out->limb[3 - i] = be64_get(bytes + 8 * i);
    return true;
}

char *u256_to_hex(char out[65], const struct u256 *a)
{
    uint8_t bytes[32];
    for (int i = 0; i < 4; i++)
        be64_put(bytes + 8 * i, a->limb[3 - i]);
    hex_encode(out, bytes, sizeof bytes);
    return out;
}

int u256_cmp(const struct u256 *a, const struct u256 *b)
{
    for (int i = 3; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

bool u256_is_zero(const struct u256 *a)
{
    return (a->limb[0] | a->limb[1] | a->limb[2] | a->limb[3]) == 0;
}

struct u256 u256_add(const struct u256 *a, const struct u256 *b)
{
    struct u256 r;
    u128 carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += (u128)a->limb[i] + b->limb[i];
        r.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return r;
}

struct u256 u256_not(const struct u256 *a)
{
    struct u256 r;
    for (int i = 0; i < 4; i++)
        r.limb[i] = ~a->limb[i];
    return r;
}

struct u256 u256_sub(const struct u256 *a, const struct u256 *b)
{
    struct u256 r;
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        u128 d = (u128)a->limb[i] - b->limb[i] - borrow;
        r.limb[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return r;
}

struct u256 u256_mul_u64(const struct u256 *a, uint64_t m)
{
    struct u256 r;
    u128 carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += (u128)a->limb[i] * m;
        r.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return r;
}

struct u256 u256_shl(const struct u256 *a, unsigned bits)
{
    struct u256 r = { { 0 } };
    unsigned limbs = bits / 64, rest = bits % 64;
    for (unsigned i = limbs; i < 4; i++) {
        r.limb[i] = a->limb[i - limbs] << rest;
        if (rest && i > limbs)
            r.limb[i] |= a->limb[i - limbs - 1] >> (64 - rest);
    }
    return r;
}

struct u256 u256_shr(const struct u256 *a, unsigned bits)
{
    struct u256 r = { { 0 } };
    unsigned limbs = bits / 64, rest = bits % 64;
    for (unsigned i = 0; i + limbs < 4; i++) {
        r.limb[i] = a->limb[i + limbs] >> rest;
        if (rest && i + limbs + 1 < 4)
            r.limb[i] |= a->limb[i + limbs + 1] << (64 - rest);
    }
    return r;
}

unsigned u256_bits(const struct u256 *a)
{
    for (unsigned i = 4; i-- > 0;)
        if (a->limb[i])
            return 64 * i + 64 - (unsigned)__builtin_clzll(a->limb[i]);
    return 0;
}

double u256_to_double(const struct u256 *a)
{
    double r = 0;
    for (int i = 3; i >= 0; i--)
        r = r * 18446744073709551616.0 + (double)a->limb[i];
    return r;
}

static struct u256 div_one_limb(const struct u256 *a, uint64_t d)
{
    struct u256 q;
    u128 rest = 0;
    for (int i = 3; i >= 0; i--) {
        rest = rest << 64 | a->limb[i];
        q.limb[i] = (uint64_t)(rest / d);
        rest %= d;
    }
    return q;
}

/* One quotient digit from the top of u (n + 1 limbs), which loses digit * v. v is normalised. */
static uint64_t div_digit(uint64_t *u, const uint64_t *v, unsigned n)
{
    u128 top = (u128)u[n] << 64 | u[n - 1];
    u128 digit = u[n] >= v[n - 1] ? UINT64_MAX : top / v[n - 1];
    u128 rest = top - digit * v[n - 1];
    /* The estimate is at most two too large; the next limb of v finds nearly all such cases. */
    while (rest >> 64 == 0 && digit * v[n - 2] > (rest << 64 | u[n - 2])) {
        digit--;
        rest += v[n - 1];
    }
    uint64_t q = (uint64_t)digit, carry = 0, borrow = 0;
    for (unsigned i = 0; i < n; i++) {
        u128 p = (u128)q * v[i] + carry;
        u128 d = (u128)u[i] - (uint64_t)p - borrow;
        u[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
        carry = (uint64_t)(p >> 64);
    }
    u128 d = (u128)u[n] - carry - borrow;
    u[n] = (uint64_t)d;
    if (!(d >> 64))
        return q;
    u128 sum = 0; /* it was one too large after all: add v back */
    for (unsigned i = 0; i < n; i++) {
        sum += (u128)u[i] + v[i];
        u[i] = (uint64_t)sum;
        sum >>= 64;
    }
    u[n] += (uint64_t)sum;
    return q - 1;
}

/* Long division in base 2^64 (Knuth, TAOCP 4.3.1, algorithm D). */
struct u256 u256_div(const struct u256 *a, const struct u256 *b)
{
    struct u256 q = { { 0 } };
    if (u256_is_zero(b) || u256_cmp(a, b) < 0)
        return q;
    unsigned n = (u256_bits(b) + 63) / 64;
    if (n == 1)
        return div_one_limb(a, b->limb[0]);
    unsigned shift = (unsigned)__builtin_clzll(b->limb[n - 1]);
    struct u256 v = u256_shl(b, shift), low = u256_shl(a, shift);
    uint64_t u[5];
    memcpy(u, low.limb, sizeof low.limb);
    u[4] = shift ? a->limb[3] >> (64 - shift) : 0;
    for (unsigned i = 5 - n; i-- > 0;)
        q.limb[i] = div_digit(u + i, v.limb, n);
    return q;
}

/*
 * Spec consensus 2.1. A mantissa of short numbers is shifted before the sign and overflow tests, so
 * bits that fall off make neither.
 */
struct u256 u256_from_compact(uint32_t bits, bool *negative, bool *overflow)
{
    unsigned size = bits >> 24;
    uint32_t word = bits & 0x7fffff;
    struct u256 r;
    if (size <= 3) {
        word >>= 8 * (3 - size);
        r = u256_from_u64(word);
    } else {
        r = u256_from_u64(word);
        r = u256_shl(&r, 8 * (size - 3));
    }
    if (negative)
        *negative = word != 0 && (bits & 0x800000) != 0;
    if (overflow)
        *overflow = word != 0 && (size > 34 || (word > 0xff && size > 33) ||
                                  (word > 0xffff && size > 32));
    return r;
}

uint32_t u256_to_compact(const struct u256 *a)
{
    unsigned size = (u256_bits(a) + 7) / 8;
    struct u256 top = size > 3 ? u256_shr(a, 8 * (size - 3)) : u256_shl(a, 8 * (3 - size));
    uint32_t word = (uint32_t)top.limb[0];
    if (word & 0x800000) { /* would be read as a sign */
        word >>= 8;
        size++;
    }
    return word | size << 24;
}
