/*
 * Script number arithmetic against OpenSSL's BIGNUM. Input: operation (1 byte), length of the
 * first operand (2), both operands in script form.
 */
#include <openssl/bn.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "script/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPERAND_MAX 30000

static void need(bool condition)
{
    if (!condition)
        abort();
}

static BIGNUM *openssl_read(struct span bytes)
{
    uint8_t *copy = (uint8_t *)xmalloc(bytes.len + 1);
    bool negative = bytes.len > 0 && (bytes.data[bytes.len - 1] & 0x80);

    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    if (negative)
        copy[bytes.len - 1] &= 0x7f;
    BIGNUM *n = BN_lebin2bn(copy, (int)bytes.len, NULL);
    need(n != NULL);
    BN_set_negative(n, negative);
    free(copy);
    return n;
}

/* Writes n out and reads it with the other library: value, shortest form, and the way back. */
static void check_equal(struct num *n, const BIGNUM *expected)
{
    size_t len = num_size(n);
    uint8_t *bytes = (uint8_t *)xmalloc(len + 1);
    struct num back;

    num_write(n, bytes);
    need(num_bytes_are_minimal(span_of(bytes, len)));
    BIGNUM *got = openssl_read(span_of(bytes, len));
    need(BN_cmp(got, expected) == 0);
    need(num_read(&back, span_of(bytes, len), len, NUM_MINIMAL) == SCRIPT_OK);
    need(num_cmp(&back, n) == 0 && back.is_big == n->is_big);
    num_clear(&back);
    BN_free(got);
    free(bytes);
    num_clear(n);
}

static void check_division(const struct num *a, const struct num *b, const BIGNUM *x,
                           const BIGNUM *y, BN_CTX *ctx)
{
    BIGNUM *q = BN_new(), *m = BN_new();
    struct num r;

    need(BN_div(q, m, x, y, ctx) == 1);
    need(num_div(&r, a, b, NULL) == SCRIPT_OK);
    check_equal(&r, q);
    need(num_mod(&r, a, b, NULL) == SCRIPT_OK);
    check_equal(&r, m);
    BN_free(q);
    BN_free(m);
}

static void check_shifts(const struct num *a, const BIGNUM *x, unsigned bits)
{
    BIGNUM *z = BN_new();
    struct num r;

    need(BN_lshift(z, x, (int)bits) == 1);
    need(num_shl(&r, a, bits) == SCRIPT_OK);
    check_equal(&r, z);
    need(BN_rshift(z, x, (int)bits) == 1);
    need(num_shr(&r, a, bits) == SCRIPT_OK);
    check_equal(&r, z);
    BN_free(z);
}

static void check_ring(const struct num *a, const struct num *b, const BIGNUM *x, const BIGNUM *y,
                       BN_CTX *ctx)
{
    BIGNUM *z = BN_new();
    struct num r;

    need(BN_add(z, x, y) == 1);
    need(num_add(&r, a, b) == SCRIPT_OK);
    check_equal(&r, z);
    need(BN_sub(z, x, y) == 1);
    need(num_sub(&r, a, b) == SCRIPT_OK);
    check_equal(&r, z);
    need(BN_mul(z, x, y, ctx) == 1);
    need(num_mul(&r, a, b, NULL) == SCRIPT_OK);
    size_t product = num_size(&r);
    need(num_mul_may_fit(a, b, product));
    check_equal(&r, z);
    need(num_cmp(a, b) == BN_cmp(x, y));
    BN_free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct num a, b;

    reader_init(&r, data, size);
    unsigned shift = read_u8(&r);
    size_t a_len = read_le16(&r);
    if (r.failed || a_len > r.left || r.left > 2 * OPERAND_MAX)
        return 0;
    struct span first = span_of(r.p, a_len), second = span_of(r.p + a_len, r.left - a_len);
    need(num_read(&a, first, UINT64_MAX, NUM_ANY) == SCRIPT_OK);
    need(num_read(&b, second, UINT64_MAX, NUM_ANY) == SCRIPT_OK);
    BIGNUM *x = openssl_read(first), *y = openssl_read(second);
    BN_CTX *ctx = BN_CTX_new();
    check_ring(&a, &b, x, y, ctx);
    if (!num_is_zero(&b))
        check_division(&a, &b, x, y, ctx);
    check_shifts(&a, x, shift * 5);
    BN_CTX_free(ctx);
    BN_free(x);
    BN_free(y);
    num_clear(&a);
    num_clear(&b);
    return 0;
}
