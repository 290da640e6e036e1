/* SipHash-2-4 (Aumasson and Bernstein, 2012), declared in base/hash.h. */
#include "base/bytes.h"
#include "base/hash.h"

struct sip { uint64_t v0, v1, v2, v3; };

static inline uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

static inline struct sip sip_start(const struct siphash_key *key)
{
    /* The initial state spells "somepseudorandomlygeneratedbytes". */
    return (struct sip){ .v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
                         .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
                         .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
                         .v3 = key->k1 ^ UINT64_C(0x7465646279746573) };
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t sip_end(struct sip *s, uint64_t last)
{
    sip_word(s, last);
    s->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
    const uint8_t *p = (const uint8_t *)data;
    struct sip s = sip_start(key);
    for (size_t left = len; left >= 8; left -= 8, p += 8)
        sip_word(&s, le64_get(p));
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < len % 8; i++)
        last |= (uint64_t)p[i] << 8 * i;
    return sip_end(&s, last);
}

uint64_t siphash_32(const struct siphash_key *key, const uint8_t data[32])
{
    struct sip s = sip_start(key);
    for (int i = 0; i < 32; i += 8)
        sip_word(&s, le64_get(data + i));
    return sip_end(&s, UINT64_C(32) << 56);
}

uint64_t siphash_36(const struct siphash_key *key, const uint8_t data[32], uint32_t extra)
{
    struct sip s = sip_start(key);
    for (int i = 0; i < 32; i += 8)
        sip_word(&s, le64_get(data + i));
    return sip_end(&s, UINT64_C(36) << 56 | extra);
}
