/*
 * Input: what a peer sends. Each byte is one message of headers of its chain: from where, how many,
 * and whether one of them is changed. Presync must stay within its memory, never hand out a header
 * twice or one that does not follow, and end when it says so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "chain/pow.h"
#include "chain/presync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHAIN 600
#define NEEDED 400
#define STEPS_MAX 200
#define MEMORY_MAX 2500000u

static struct block_header *chain;

static void make_chain(const struct chain_params *p)
{
    struct block_hash prev = p->genesis_hash;
    chain = xcalloc(CHAIN, sizeof(*chain));
    for (size_t i = 0; i < CHAIN; i++) {
        struct block_header *h = &chain[i];
        *h = (struct block_header){ .version = 4,
                                    .prev = prev,
                                    .time = p->genesis.time + 1 + (uint32_t)i,
                                    .bits = p->pow_limit_bits };
        do {
            h->nonce++;
            block_header_hash(&prev, h);
        } while (!pow_hash_ok(p, &prev, h->bits));
    }
}

static void check_out(const struct block_header *out, size_t n_out, size_t *handed)
{
    if (*handed + n_out > CHAIN)
        abort();
    for (size_t i = 0; i < n_out; i++)
        if (memcmp(out[i].prev.b, chain[*handed + i].prev.b, 32) != 0)
            abort(); /* in order, none left out */
    *handed += n_out;
}

/* One message; false when presync is at its end. */
static bool step(struct presync *p, const uint8_t *data, size_t *at, size_t *handed)
{
    struct block_header message[16];
    const struct block_header *out;
    struct verdict v;
    size_t n = data[0] % 16 + 1u, n_out;
    if (data[0] & 0x80)
        *at = data[1] * 3u % CHAIN; /* jumps; else it goes on */
    if (n > CHAIN - *at)
        n = CHAIN - *at;
    memcpy(message, chain + *at, n * sizeof(*message));
    if (n > 0 && (data[0] & 0x70) == 0x70)
        ((uint8_t *)&message[data[1] % n])[data[1] % sizeof(*message)] ^=
            (uint8_t)(1u << (data[0] & 7));
    const enum presync_state before = presync_get_state(p);
    const bool good = presync_feed(p, message, n, (data[0] & 0x40) == 0, &out, &n_out, &v);
    if (!good && (n_out != 0 || (presync_get_state(p) != PRESYNC_FAILED && before != PRESYNC_DONE)))
        abort();
    if (before == PRESYNC_WORK && n_out)
        abort();
    check_out(out, n_out, handed);
    *at += n;
    if (*at >= CHAIN || (before == PRESYNC_WORK && presync_get_state(p) == PRESYNC_REDOWNLOAD))
        *at = 0;
    return good && presync_get_state(p) != PRESYNC_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct chain_params *params = params_get(NETWORK_REGTEST);
    const struct u256 one = pow_work_of_bits(params->pow_limit_bits),
                      needed = u256_mul_u64(&one, NEEDED);
    struct block_hash locator[70];
    size_t at = 0, handed = 0;
    clock_set_mock(2000000000);
    if (!chain)
        make_chain(params);
    struct header_index *idx = header_index_new(params);
    struct presync *p = presync_new(idx, header_index_genesis(idx), &needed);
    for (size_t i = 0; i < STEPS_MAX && size >= 2 && step(p, data, &at, &handed); i++) {
        data += 2;
        size -= 2;
        if (presync_memory_bytes(p) > MEMORY_MAX || presync_locator(p, locator, 70) == 0)
            abort();
    }
    if (header_index_count(idx) != 1)
        abort(); /* presync itself stores nothing */
    presync_free(p);
    header_index_free(idx);
    return 0;
}
