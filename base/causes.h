/*
 * What lately happened to things that have a 32-byte key (transactions, blocks) or a number or a
 * name (peers), in words, so that a question "why" is answered from what was recorded and not
 * guessed. A ring of fixed size for each kind: the oldest go. Any thread; a leaf lock inside.
 */
#ifndef BASE_CAUSES_H
#define BASE_CAUSES_H

#include <stddef.h>
#include <stdint.h>

#define CAUSE_TEXT_MAX 200
#define CAUSE_NAME_MAX 64

enum cause_kind { CAUSE_TX, CAUSE_BLOCK, CAUSE_PEER, CAUSE_KINDS };

struct cause {
    enum cause_kind kind;
    uint8_t key[32];           /* hash in internal order; a peer's id in the first 8 bytes */
    char name[CAUSE_NAME_MAX]; /* of a peer: its address; else "" */
    int64_t time;              /* seconds since 1970 */
    char text[CAUSE_TEXT_MAX];
};

struct causes;

struct causes *causes_new(size_t max); /* how many of each kind are kept */
void causes_free(struct causes *c);    /* NULL is fine */

/* c may be NULL: nothing is recorded. */
void causes_note_hash(struct causes *c, enum cause_kind kind, const uint8_t hash[32],
                      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void causes_note_peer(struct causes *c, uint64_t id, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Copies the latest ones, newest first, into out; returns how many (at most max). */
size_t causes_of_hash(struct causes *c, enum cause_kind kind, const uint8_t hash[32],
                      struct cause *out, size_t max);
size_t causes_of_peer(struct causes *c, uint64_t id, struct cause *out, size_t max);
/* By the name, or by the address in it without the port. */
size_t causes_of_name(struct causes *c, const char *name, struct cause *out, size_t max);
size_t causes_bytes(struct causes *c);     /* touched memory */
size_t causes_untouched(struct causes *c); /* reserved for notes to come */

#endif
