#include "base/base58.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

#define CHECKSUM_SIZE 4

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Both directions keep the number least significant digit first in out until the end. */

static void reverse(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t c = p[i];
        p[i] = p[len - 1 - i];
        p[len - 1 - i] = c;
    }
}

/* number = number * mul + add in base; false when it would need more than cap digits. */
static bool mul_add(uint8_t *digits, size_t *len, size_t cap, unsigned base, unsigned mul,
                    unsigned add)
{
    unsigned carry = add;
    for (size_t i = 0; i < *len; i++) {
        carry += digits[i] * mul;
        digits[i] = (uint8_t)(carry % base);
        carry /= base;
    }
    for (; carry; carry /= base) {
        if (*len == cap)
            return false;
        digits[(*len)++] = (uint8_t)(carry % base);
    }
    return true;
}

bool base58_encode(char *out, size_t cap, const uint8_t *data, size_t len)
{
    size_t zeros = 0, n = 0;
    while (zeros < len && data[zeros] == 0)
        zeros++;
    if (cap <= zeros)
        return false;
    uint8_t *digits = (uint8_t *)out + zeros;
    for (size_t i = zeros; i < len; i++)
        if (!mul_add(digits, &n, cap - 1 - zeros, 58, 256, data[i]))
            return false;
    reverse(digits, n);
    for (size_t i = 0; i < n; i++)
        digits[i] = (uint8_t)alphabet[digits[i]];
    memset(out, alphabet[0], zeros);
    out[zeros + n] = '\0';
    return true;
}

bool base58_decode(uint8_t *out, size_t cap, const char *text, size_t *len)
{
    size_t zeros = 0, n = 0;
    while (text[zeros] == alphabet[0])
        zeros++;
    if (zeros > cap)
        return false;
    for (const char *p = text + zeros; *p; p++) {
        const char *digit = strchr(alphabet, *p);
        if (!digit || !mul_add(out + zeros, &n, cap - zeros, 256, 58, (unsigned)(digit - alphabet)))
            return false;
    }
    reverse(out + zeros, n);
    if (zeros)
        memset(out, 0, zeros);
    *len = zeros + n;
    return true;
}

bool base58check_encode(char *out, size_t cap, const uint8_t *data, size_t len)
{
    uint8_t digest[32];
    uint8_t *all = (uint8_t *)xmalloc(len + CHECKSUM_SIZE);
    sha256d(digest, data, len);
    if (len)
        memcpy(all, data, len);
    memcpy(all + len, digest, CHECKSUM_SIZE);
    bool ok = base58_encode(out, cap, all, len + CHECKSUM_SIZE);
    secure_wipe(all, len + CHECKSUM_SIZE); /* it may be a private key */
    free(all);
    return ok;
}

bool base58check_decode(uint8_t *out, size_t cap, const char *text, size_t *len)
{
    uint8_t digest[32];
    size_t total;
    uint8_t *all = (uint8_t *)xmalloc(cap + CHECKSUM_SIZE);
    bool ok = base58_decode(all, cap + CHECKSUM_SIZE, text, &total) && total >= CHECKSUM_SIZE;
    if (ok) {
        *len = total - CHECKSUM_SIZE;
        sha256d(digest, all, *len);
        ok = mem_equal_var(digest, all + *len, CHECKSUM_SIZE);
    }
    if (ok && *len)
        memcpy(out, all, *len);
    secure_wipe(all, cap + CHECKSUM_SIZE);
    free(all);
    return ok;
}
