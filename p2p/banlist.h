/*
 * Banned subnets (spec p2p 6, attacks C14): bounded, looked up in constant time, kept on disk.
 *
 * A lookup probes one hash table entry for each prefix length in use. Automatic bans cover the
 * IPv6 /64 or the IPv4 address; when the list is full the oldest automatic ban goes first, bans
 * by the operator never make room. Loop thread only; times are seconds since 1970.
 */
#ifndef P2P_BANLIST_H
#define P2P_BANLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "p2p/netaddr.h"

struct banlist;
struct buf;

#define BANLIST_DEFAULT_MAX 100000
#define BANLIST_DEFAULT_SECONDS 86400

enum ban_reason { BAN_MISBEHAVING = 1, BAN_MANUAL = 2 }; /* values are on disk */

struct ban_entry {
    struct subnet net;
    int64_t created, until;
    enum ban_reason reason;
};

struct banlist *banlist_new(size_t max_entries); /* 0: BANLIST_DEFAULT_MAX */
void banlist_free(struct banlist *b);

/* A peer misbehaved. Local addresses (127/8, 0/8, ::1) are not banned: returns false. */
bool banlist_ban_peer(struct banlist *b, const struct netaddr *a, int64_t seconds, int64_t now);
/* For the two faults that ban at once and local addresses too (spec p2p 1.6): those by host. */
bool banlist_ban_at_once(struct banlist *b, const struct netaddr *a, int64_t seconds, int64_t now);
/* As given by the operator. ERR_EXISTS if that very subnet is banned, ERR_RANGE if until has passed
 * or the list is full of manual bans. */
enum err banlist_add(struct banlist *b, const struct subnet *net, int64_t until, int64_t now,
                     struct error *e) MUST_CHECK;
/* Exactly this subnet; false when it is not in the list. */
bool banlist_remove(struct banlist *b, const struct subnet *net);
void banlist_clear(struct banlist *b);

bool banlist_is_banned(struct banlist *b, const struct netaddr *a, int64_t now);
/* Exactly this subnet (setban add refuses a second time). */
bool banlist_has(struct banlist *b, const struct subnet *net, int64_t now);
void banlist_sweep(struct banlist *b, int64_t now); /* drops what has expired */
size_t banlist_count(const struct banlist *b);
/* Unexpired entries sorted by subnet; heap array, caller frees; NULL and 0 when there are none. */
size_t banlist_list(struct banlist *b, int64_t now, struct ban_entry **out);
const char *ban_reason_text(enum ban_reason r); /* "node misbehaving", "manually added" */

/* True once after a change; the caller then stores the list. */
bool banlist_take_dirty(struct banlist *b);

/* File (banlist.dat); same treatment of missing and damaged files as addrman_load. */
enum err banlist_load(struct banlist *b, const char *path, const uint8_t magic[4], int64_t now,
                      struct error *e) MUST_CHECK;
enum err banlist_store(const struct banlist *b, const char *path, const uint8_t magic[4],
                       struct error *e) MUST_CHECK;
/* Without its checksum: see state_file_commit. */
void banlist_encode(const struct banlist *b, const uint8_t magic[4], struct buf *out);
enum err banlist_decode(struct banlist *b, const void *data, size_t len, const uint8_t magic[4],
                        int64_t now, struct error *e) MUST_CHECK;

#endif
