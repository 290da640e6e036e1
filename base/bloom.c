#include "base/bloom.h"

#include <stdlib.h>

#include "base/mem.h"

#define SEED_STEP UINT32_C(0xfba4c795) /* BIP37: between the hashes of a filter */

/* --- MurmurHash3_x86_32 --- */

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t scramble(uint32_t k)
{
    return rotate(k * UINT32_C(0xcc9e2d51), 15) * UINT32_C(0x1b873593);
}

static uint32_t finish(uint32_t h)
{
    h = (h ^ h >> 16) * UINT32_C(0x85ebca6b);
    h = (h ^ h >> 13) * UINT32_C(0xc2b2ae35);
    return h ^ h >> 16;
}

uint32_t murmur3(uint32_t seed, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t h = seed, tail = 0;
    const size_t left = len % 4;
    for (size_t i = 0; i < len / 4; i++, p += 4)
        h = rotate(h ^ scramble(le32_get(p)), 13) * 5 + UINT32_C(0xe6546b64);
    for (size_t i = left; i-- > 0;)
        tail = tail << 8 | p[i];
    if (left)
        h ^= scramble(tail);
    return finish(h ^ (uint32_t)len);
}

/* --- the filter --- */

void bloom_init(struct bloom *b, struct span bits, uint32_t n_hashes, uint32_t tweak,
                uint8_t flags)
{
    *b = (struct bloom){ .len = bits.len, .n_hashes = n_hashes, .tweak = tweak };
    b->update = (flags & 3) == BLOOM_UPDATE_ALL           ? BLOOM_UPDATE_ALL
                : (flags & 3) == BLOOM_UPDATE_PUBKEY_ONLY ? BLOOM_UPDATE_PUBKEY_ONLY
                                                          : BLOOM_UPDATE_NONE;
    b->bits = xmalloc(bits.len + 1);
    if (bits.len)
        memcpy(b->bits, bits.data, bits.len);
}

void bloom_clear(struct bloom *b)
{
    free(b->bits);
    *b = (struct bloom){ .bits = NULL };
}

static size_t bit_of(const struct bloom *b, uint32_t n, const void *data, size_t len)
{
    return murmur3(n * SEED_STEP + b->tweak, data, len) % (b->len * 8);
}

void bloom_insert(struct bloom *b, const void *data, size_t len)
{
    for (uint32_t n = 0; b->len && n < b->n_hashes; n++) {
        const size_t bit = bit_of(b, n, data, len);
        b->bits[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

bool bloom_contains(const struct bloom *b, const void *data, size_t len)
{
    for (uint32_t n = 0; b->len && n < b->n_hashes; n++) {
        const size_t bit = bit_of(b, n, data, len);
        if (!(b->bits[bit / 8] & 1u << bit % 8))
            return false;
    }
    return true;
}

void bloom_copy(struct bloom *out, const struct bloom *b)
{
    bloom_init(out, span_of(b->bits, b->len), b->n_hashes, b->tweak, (uint8_t)b->update);
}

void bloom_merge(struct bloom *b, const struct bloom *copy)
{
    for (size_t i = 0; i < b->len && i < copy->len; i++)
        b->bits[i] |= copy->bits[i];
}
