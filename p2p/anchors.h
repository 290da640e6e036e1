/*
 * Anchors: the two outbound peers we would like back after a restart (attacks D2), so that filling
 * the address book and then making us restart is not enough to isolate us. Written at a clean stop;
 * read once and deleted at start, so that a crash caused by an anchor does not repeat.
 * Loop thread at start and stop (file access blocks).
 */
#ifndef P2P_ANCHORS_H
#define P2P_ANCHORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "p2p/netaddr.h"

#define ANCHORS_MAX 2

/* Number of anchors read (0: no file, or a bad one, which is logged); the file is gone after. */
size_t anchors_take(const char *path, const uint8_t magic[4], struct netaddr out[ANCHORS_MAX]);
/* Takes the first ANCHORS_MAX routable ones; with none left the file is removed. */
enum err anchors_store(const char *path, const uint8_t magic[4], const struct netaddr *addrs,
                       size_t n, struct error *e) MUST_CHECK;

#endif
