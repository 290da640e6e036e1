/*
 * Token bucket (attacks C12, D5): so many tokens per second, saved up to a limit. Integers only,
 * nothing is lost to rounding, nothing overflows. Not thread safe; the owner passes a monotonic
 * clock in milliseconds.
 */
#ifndef P2P_RATELIMIT_H
#define P2P_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Addresses taken from one peer: 0.1 a second, 1000 saved up (attacks D5). */
#define RATELIMIT_ADDR_MILLI_PER_S 100
#define RATELIMIT_ADDR_BURST 1000
#define RATELIMIT_BURST_MAX UINT64_C(4000000000000) /* tokens */

struct ratelimit {
    uint64_t level, burst;  /* millionths of a token */
    uint64_t milli_per_s;   /* thousandths of a token each second */
    int64_t last_ms;
};

/* Starts with `start` tokens (at most burst). */
void ratelimit_init(struct ratelimit *r, uint64_t milli_per_s, uint64_t burst, uint64_t start,
                    int64_t now_ms);
/* Takes n tokens, or none and false. */
bool ratelimit_take(struct ratelimit *r, uint64_t n, int64_t now_ms);
/* Takes up to n and returns how many. */
uint64_t ratelimit_take_some(struct ratelimit *r, uint64_t n, int64_t now_ms);
/* Adds tokens beyond the burst: for an answer that we asked for. */
void ratelimit_grant(struct ratelimit *r, uint64_t n);
/* Milliseconds until n tokens will be there; 0: now; -1: never. */
int64_t ratelimit_wait_ms(struct ratelimit *r, uint64_t n, int64_t now_ms);

#endif
