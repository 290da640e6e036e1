/*
 * Which addresses this node has put on network interfaces, so that they are there again after a
 * restart: assigned.dat, in the frame of base/state_file.h. It belongs to the machine and not to a
 * wallet: a copy of a wallet must not take its addresses along.
 *
 * Any thread. A change is on disk, synced, when its function returns OK. Whoever changes what is on
 * an interface does it between begin and end, which lasts seconds; reading the list waits for the
 * disk at most.
 *
 *   count 2 | each: address 16 | replaces 16 | since 8 | retired 8 |
 *   interface, owner, name (compact lengths)
 */
#ifndef P2P_ASSIGNED_H
#define P2P_ASSIGNED_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ASSIGNED_MAX 64
#define ASSIGNED_TEXT_MAX 64

struct assigned_address {
    uint8_t address[16];
    uint8_t replaces[16];              /* one to be retired when this is there; zeros: none */
    char interface[IF_NAMESIZE];
    char owner[ASSIGNED_TEXT_MAX + 1]; /* a wallet */
    char name[ASSIGNED_TEXT_MAX + 1];  /* of the identity in it */
    int64_t since;                     /* seconds since 1970 */
    int64_t retired;                   /* the same; 0: in use */
    uint8_t spare[16];                 /* one that was formed to replace it and could not be put
                                          there; zeros: none. Not on disk, as what follows */
    unsigned moves;                    /* changes of the prefix that led to it, without a day of
                                          quiet between them */
    int64_t moved;                     /* as since: the last of these */
    bool trying;                       /* whether another host has it is not known yet */
};

struct assigned;

/* A damaged file is kept as PATH.bad and forgotten. */
enum err assigned_open(struct assigned **out, const char *path, const uint8_t magic[4],
                       struct error *e) MUST_CHECK;
void assigned_free(struct assigned *a); /* NULL is fine */

/* One piece of work at a time, before any lock of a wallet; its thread may begin again in it. */
void assigned_begin(struct assigned *a);
void assigned_end(struct assigned *a);

/* A copy of all, oldest first; room for ASSIGNED_MAX. */
size_t assigned_list(struct assigned *a, struct assigned_address *out);
/* ERR_RANGE: there are ASSIGNED_MAX. */
enum err assigned_room(struct assigned *a, struct error *e) MUST_CHECK;
bool assigned_find(struct assigned *a, const uint8_t address[16], struct assigned_address *out);
/* Others may be told of it: it is not retired, duplicate address detection is over, and it is not
 * one that will replace another one which is in use. */
bool assigned_in_use(struct assigned *a, const struct assigned_address *at);
/* In place of the one at `old` (NULL: of the one with its own address), or as a new one. ERR_RANGE:
 * there are ASSIGNED_MAX. ERR_EXISTS: it is there beside the old one. */
enum err assigned_put(struct assigned *a, const uint8_t *old, const struct assigned_address *in,
                      struct error *e) MUST_CHECK;
/* It is on its interface: not being tried any more. */
void assigned_settle(struct assigned *a, const uint8_t address[16]);
enum err assigned_remove(struct assigned *a, const uint8_t address[16],
                         struct error *e) MUST_CHECK;

#endif
