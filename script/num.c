#include "script/num.h"

#include "base/intmath.h"

/* From 2^20 + 1 words on the reference's library refuses factors of about equal length. */
#define MUL_EQUAL_LIMIT_WORDS ((size_t)1 << 20)

static enum script_err from_err(enum err rc)
{
    if (rc == OK)
        return SCRIPT_OK;
    return rc == ERR_CANCELLED ? SCRIPT_ERR_CANCELLED : SCRIPT_ERR_NOMEM;
}

bool num_bytes_are_minimal(struct span bytes)
{
    if (bytes.len == 0 || (bytes.data[bytes.len - 1] & 0x7f))
        return true;
    /* only a sign in the last byte: needed when the byte below has its top bit set */
    return bytes.len > 1 && (bytes.data[bytes.len - 2] & 0x80);
}

size_t num_bytes_minimize(uint8_t *bytes, size_t len)
{
    if (num_bytes_are_minimal(span_of(bytes, len)))
        return len;
    uint8_t sign = bytes[len - 1] & 0x80;
    size_t n = len - 1;

    while (n > 0 && bytes[n - 1] == 0)
        n--;
    if (n == 0)
        return 0;
    if (bytes[n - 1] & 0x80)
        bytes[n++] = sign;
    else
        bytes[n - 1] |= sign;
    return n;
}

static int64_t decode_up_to_8(struct span bytes)
{
    uint64_t magnitude = 0;

    if (bytes.len == 0)
        return 0;
    for (size_t i = 0; i < bytes.len; i++)
        magnitude |= (uint64_t)bytes.data[i] << 8 * i;
    uint64_t sign = UINT64_C(0x80) << 8 * (bytes.len - 1);
    return magnitude & sign ? -(int64_t)(magnitude & ~sign) : (int64_t)magnitude;
}

static enum script_err check_bytes(struct span bytes, uint64_t max_len, enum num_encoding e)
{
    if (bytes.len > max_len)
        return SCRIPT_ERR_SCRIPTNUM_OVERFLOW;
    if (e == NUM_MINIMAL && !num_bytes_are_minimal(bytes))
        return SCRIPT_ERR_SCRIPTNUM_MINENCODE;
    return SCRIPT_OK;
}

/* Takes over big, in the small form when that holds it. */
static struct num demote(struct bignum *big)
{
    int64_t v;

    if (!bignum_get_i64(big, &v))
        return (struct num){ .is_big = true, .big = *big };
    bignum_clear(big);
    return num_of(v);
}

enum script_err num_read(struct num *n, struct span bytes, uint64_t max_len, enum num_encoding e)
{
    struct bignum big;
    enum script_err err = check_bytes(bytes, max_len, e);

    *n = num_of(0);
    if (err)
        return err;
    if (bytes.len <= 8) {
        n->small = decode_up_to_8(bytes);
        return SCRIPT_OK;
    }
    err = from_err(bignum_read_le(&big, bytes.data, bytes.len));
    if (!err)
        *n = demote(&big);
    return err;
}

enum script_err num_read_i64(int64_t *v, struct span bytes, uint64_t max_len, enum num_encoding e)
{
    enum script_err err = check_bytes(bytes, max_len, e);

    *v = err ? 0 : decode_up_to_8(bytes);
    return err;
}

int64_t num_decode_wrapping(struct span bytes)
{
    uint64_t v = 0;

    if (bytes.len <= 8)
        return decode_up_to_8(bytes);
    for (size_t i = 0; i + 1 < bytes.len; i++)
        v |= (uint64_t)bytes.data[i] << (8 * i) % 64;
    return (int64_t)v;
}

static uint64_t magnitude_i64(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

size_t num_encode_i64(uint8_t out[9], int64_t v)
{
    size_t n = 0;

    for (uint64_t m = magnitude_i64(v); m > 0; m >>= 8)
        out[n++] = (uint8_t)m;
    if (n > 0 && (out[n - 1] & 0x80))
        out[n++] = 0;
    if (v < 0)
        out[n - 1] |= 0x80;
    return n;
}

size_t num_size(const struct num *n)
{
    uint8_t bytes[9];

    return n->is_big ? bignum_size_le(&n->big) : num_encode_i64(bytes, n->small);
}

void num_write(const struct num *n, uint8_t *out)
{
    uint8_t bytes[9];

    if (n->is_big)
        bignum_write_le(&n->big, out);
    else
        memcpy(out, bytes, num_encode_i64(bytes, n->small));
}

int num_cmp(const struct num *a, const struct num *b)
{
    if (!a->is_big && !b->is_big)
        return (a->small > b->small) - (a->small < b->small);
    if (a->is_big && b->is_big)
        return bignum_cmp(&a->big, &b->big);
    /* a big value is beyond every small one */
    if (a->is_big)
        return a->big.negative ? -1 : 1;
    return b->big.negative ? 1 : -1;
}

int64_t num_clamp(const struct num *n, int64_t lo, int64_t hi)
{
    if (n->is_big)
        return n->big.negative ? lo : hi;
    return n->small < lo ? lo : n->small > hi ? hi : n->small;
}

/* A view of a as bignum: a's own, or *limb filled with its magnitude. Borrowed, never cleared. */
static struct bignum view(const struct num *a, uint64_t *limb)
{
    if (a->is_big)
        return a->big;
    *limb = magnitude_i64(a->small);
    return (struct bignum){ .limb = limb, .n = *limb != 0, .negative = a->small < 0 };
}

static enum script_err take(struct num *r, struct bignum *big, enum err rc)
{
    *r = rc ? num_of(0) : demote(big);
    return from_err(rc);
}

enum script_err num_add(struct num *r, const struct num *a, const struct num *b)
{
    uint64_t la, lb;
    struct bignum big;

    *r = num_of(0);
    if (!a->is_big && !b->is_big && add_i64(a->small, b->small, &r->small) &&
        r->small != INT64_MIN)
        return SCRIPT_OK;
    struct bignum va = view(a, &la), vb = view(b, &lb);
    return take(r, &big, bignum_add(&big, &va, &vb));
}

enum script_err num_sub(struct num *r, const struct num *a, const struct num *b)
{
    uint64_t la, lb;
    struct bignum big;

    *r = num_of(0);
    if (!a->is_big && !b->is_big && sub_i64(a->small, b->small, &r->small) &&
        r->small != INT64_MIN)
        return SCRIPT_OK;
    struct bignum va = view(a, &la), vb = view(b, &lb);
    return take(r, &big, bignum_sub(&big, &va, &vb));
}

static bool reference_refuses(size_t a_words, size_t b_words)
{
    size_t more = MAX_OF(a_words, b_words), less = MIN_OF(a_words, b_words);

    return more - less <= 1 && more > MUL_EQUAL_LIMIT_WORDS;
}

enum script_err num_mul(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel)
{
    uint64_t la, lb;
    struct bignum big;

    *r = num_of(0);
    if (!a->is_big && !b->is_big && mul_i64(a->small, b->small, &r->small) &&
        r->small != INT64_MIN)
        return SCRIPT_OK;
    struct bignum va = view(a, &la), vb = view(b, &lb);
    if (reference_refuses(va.n, vb.n))
        return SCRIPT_ERR_BIG_INT;
    return take(r, &big, bignum_mul(&big, &va, &vb, cancel));
}

enum script_err num_div(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel)
{
    uint64_t la, lb;
    struct bignum big;

    *r = num_of(0);
    if (!a->is_big && !b->is_big) {
        r->small = a->small / b->small;
        return SCRIPT_OK;
    }
    struct bignum va = view(a, &la), vb = view(b, &lb);
    return take(r, &big, bignum_divmod(&big, NULL, &va, &vb, cancel));
}

enum script_err num_mod(struct num *r, const struct num *a, const struct num *b,
                        const struct cancel *cancel)
{
    uint64_t la, lb;
    struct bignum big;

    *r = num_of(0);
    if (!a->is_big && !b->is_big) {
        r->small = a->small % b->small;
        return SCRIPT_OK;
    }
    struct bignum va = view(a, &la), vb = view(b, &lb);
    return take(r, &big, bignum_divmod(NULL, &big, &va, &vb, cancel));
}

enum script_err num_negate(struct num *r, const struct num *a)
{
    struct num zero = num_of(0);

    return num_sub(r, &zero, a);
}

enum script_err num_shl(struct num *r, const struct num *a, uint64_t bits)
{
    uint64_t la;
    struct bignum big;

    struct bignum va = view(a, &la);
    return take(r, &big, bignum_shl(&big, &va, bits));
}

enum script_err num_shr(struct num *r, const struct num *a, uint64_t bits)
{
    uint64_t la;
    struct bignum big;

    struct bignum va = view(a, &la);
    return take(r, &big, bignum_shr(&big, &va, bits));
}

static uint64_t bit_length(const struct bignum *v)
{
    return v->n == 0 ? 0 : v->n * UINT64_C(64) - (unsigned)__builtin_clzll(v->limb[v->n - 1]);
}

bool num_mul_may_fit(const struct num *a, const struct num *b, uint64_t max_len)
{
    uint64_t la, lb;
    struct bignum va = view(a, &la), vb = view(b, &lb);

    if (va.n == 0 || vb.n == 0 || reference_refuses(va.n, vb.n))
        return true;
    /* a product has one bit less than both lengths together, or as many; one more for the sign */
    return (bit_length(&va) + bit_length(&vb) - 1) / 8 + 1 <= max_len;
}
