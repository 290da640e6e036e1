#include <config.h>

#include "tests/chain/header_util.h"

#include <stdlib.h>

#include "base/mem.h"
#include "chain/pow.h"
#include "tests/test.h"

#define REGTEST_BITS 0x207fffffu
#define RETARGET 2016
#define LATE_S 1200
#define EDA_REACH (7 + 11) /* the sixth block back and what its median needs */
#define DAA_REACH (144 + 3)

struct block_hash hash_of(const struct block_header *h)
{
    struct block_hash hash;
    block_header_hash(&hash, h);
    return hash;
}

size_t headers_load(const char *name, struct block_header **out)
{
    struct buf raw;
    struct reader r;
    buf_init(&raw);
    vector_read(name, &raw);
    const size_t n = raw.len / BLOCK_HEADER_SIZE;
    assert_int_equal(raw.len % BLOCK_HEADER_SIZE, 0);
    *out = xcalloc(n, sizeof(**out));
    reader_init(&r, raw.data, raw.len);
    for (size_t i = 0; i < n; i++)
        block_header_read(&r, &(*out)[i]);
    assert_true(reader_done(&r));
    buf_clear(&raw);
    return n;
}

struct block_header header_unhex(const char *hex)
{
    struct block_header h;
    struct reader r;
    struct buf raw = unhex(hex);
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    assert_true(reader_done(&r));
    buf_clear(&raw);
    return h;
}

struct block_header header_mine(const struct block_hash *prev, uint32_t time, uint32_t salt)
{
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    struct block_header h = {
        .version = 0x20000000, .prev = *prev, .time = time, .bits = REGTEST_BITS
    };
    le32_put(h.merkle_root.b, salt);
    struct block_hash hash = hash_of(&h);
    while (!pow_hash_ok(p, &hash, h.bits)) {
        h.nonce++;
        hash = hash_of(&h);
    }
    return h;
}

struct block_header *headers_mine(const struct block_hash *prev, uint32_t first_time, uint32_t salt,
                                  size_t n)
{
    struct block_header *h = xcalloc(n, sizeof(*h));
    struct block_hash hash = *prev;
    for (size_t i = 0; i < n; i++) {
        h[i] = header_mine(&hash, first_time + (uint32_t)i, salt);
        hash = hash_of(&h[i]);
    }
    return h;
}

struct header_node *headers_accept(struct header_index *idx, const struct block_header *h, size_t n)
{
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    assert_int_equal(header_index_accept(idx, h, NULL, n, INT64_MAX / 2, &accepted, &last, &v), OK);
    if (!verdict_ok(&v))
        fail_msg("header %zu of %zu: %s", accepted, n, v.reason);
    assert_int_equal(accepted, n);
    return last;
}

void bare_chain_init(struct bare_chain *c, int32_t first_height, size_t cap)
{
    *c = (struct bare_chain){ .cap = cap, .first_height = first_height };
    c->nodes = xcalloc(cap, sizeof(*c->nodes));
}

void bare_chain_clear(struct bare_chain *c)
{
    free(c->nodes);
}

struct header_node *bare_chain_last(const struct bare_chain *c)
{
    return c->n ? &c->nodes[c->n - 1] : NULL;
}

struct header_node *bare_chain_add(struct bare_chain *c, uint32_t time, uint32_t bits)
{
    struct header_node *prev = bare_chain_last(c);
    assert_true(c->n < c->cap);
    struct header_node *node = &c->nodes[c->n];
    const struct u256 work = pow_work_of_bits(bits);
    node->prev = prev;
    node->height = c->first_height + (int32_t)c->n++;
    node->time = time;
    node->max_time = prev && prev->max_time > time ? prev->max_time : time;
    node->bits = bits;
    node->work = prev ? u256_add(&prev->work, &work) : work;
    return node;
}

/* The walk back to the last bits that were not the limit ends inside the chain. */
static bool walk_ends(const struct chain_params *p, const struct header_node *node)
{
    while (node && node->height % RETARGET != 0 && node->bits == p->pow_limit_bits)
        node = node->prev;
    return node;
}

bool bare_chain_has_look_back(const struct bare_chain *c, const struct chain_params *p,
                              uint32_t time)
{
    const struct header_node *prev = bare_chain_last(c);
    const bool late = p->allow_min_difficulty && time > prev->time + LATE_S;
    if (prev->height >= p->heights.daa)
        return late || c->n >= DAA_REACH;
    if ((prev->height + 1) % RETARGET == 0)
        return c->n >= RETARGET;
    if (p->allow_min_difficulty)
        return late || walk_ends(p, prev);
    return prev->bits == p->pow_limit_bits || c->n >= EDA_REACH;
}

void bare_chain_steady(struct bare_chain *c, int32_t last_height, size_t n, uint32_t gap,
                       uint32_t bits)
{
    bare_chain_init(c, last_height - (int32_t)n + 1, n + 4000);
    for (size_t i = 0; i < n; i++)
        bare_chain_add(c, STEADY_START + (uint32_t)i * gap, bits);
}

uint32_t bare_chain_required(const struct bare_chain *c, enum chain_network network, uint32_t gap)
{
    return pow_required_bits(params_get(network), bare_chain_last(c),
                             bare_chain_last(c)->time + gap);
}

uint32_t bits_scaled(uint32_t bits, uint64_t times, uint64_t divisor)
{
    bool negative, overflow;
    const struct u256 old = u256_from_compact(bits, &negative, &overflow),
                      by = u256_from_u64(divisor);
    const struct u256 product = u256_mul_u64(&old, times), quotient = u256_div(&product, &by);
    return u256_to_compact(&quotient);
}

uint32_t bits_by_daa(uint32_t bits, uint64_t blocks, uint64_t span)
{
    const struct u256 one = pow_work_of_bits(bits), all = u256_mul_u64(&one, blocks * 600),
                      by = u256_from_u64(span);
    const struct u256 work = u256_div(&all, &by), zero = u256_from_u64(0),
                      negated = u256_sub(&zero, &work);
    const struct u256 target = u256_div(&negated, &work);
    return u256_to_compact(&target);
}
