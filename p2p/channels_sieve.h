/*
 * What a flood of connections costs before one is accepted (attacks E1). While more strangers come
 * than the loop should take, the kernel drops most of their first packets, by a filter on the
 * listening sockets: no connection is made for them, and the queue of those that wait to be
 * accepted stays short. Packets from /64s of contacts, and those of connections that there are,
 * always pass. Who was dropped tries again after a second, as after any loss.
 *
 * The first part decides how many pass, without sockets and clocks: time is an argument. One
 * thread.
 */
#ifndef P2P_CHANNELS_SIEVE_H
#define P2P_CHANNELS_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SIEVE_ALL UINT32_MAX /* the share of strangers when there is no filter */
#define SIEVE_SOURCES_MAX 512

struct sieve {
    uint64_t target;   /* strangers a second that are welcome */
    uint32_t share;    /* of 2^32 that pass */
    uint64_t passed;   /* since */
    uint64_t since_ms;
};

void sieve_init(struct sieve *s, uint64_t target, uint64_t now_ms);
/* A stranger was accepted. True: the share is another, at once. */
bool sieve_count(struct sieve *s, uint64_t now_ms);
/* Every second. True: the share is another. */
bool sieve_tick(struct sieve *s, uint64_t now_ms);

/*
 * Puts the filter on a listening IPv6 socket, in the place of an older one: of SYN packets pass
 * those from the sources, each the first 8 bytes of an address, and `share` of the others. Where
 * the kernel has no room for so many sources, the first half of them count, and so on, which the
 * log tells. It may have no room for two filters at a time: then the older one goes first. ERR_IO:
 * it takes none; all packets pass as before, or by the older filter where that is left.
 */
enum err sieve_put_on(int fd, const uint8_t (*sources)[8], size_t n, uint32_t share) MUST_CHECK;
/* From a listening socket, or one that was accepted and has it from there; none is fine. */
void sieve_take_off(int fd);

#endif
