/*
 * The output scripts that are ours, looked up for every output of every block. Keyed hash, so that
 * nobody outside can aim at it (attacks C20); a script of a length that none of ours has is not
 * even hashed.
 *
 * Changes: one thread, or the caller's lock; scripts_find may run on any number of threads between
 * two changes.
 */
#ifndef WALLET_SCRIPTS_H
#define WALLET_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum owner_kind { OWNER_SPENDABLE, OWNER_WATCH };

struct owner {
    uint32_t id; /* whatever the key store calls its key or watched address */
    enum owner_kind kind;
};

struct scripts;

struct scripts *scripts_new(void);
void scripts_free(struct scripts *s); /* NULL is fine */

/*
 * Copies the script. Of a script known already the owner is replaced, but watching one takes
 * nothing away from who can spend it. A bare multisig is watched whatever the owner says: other
 * holders of keys could spend it any time. False for an empty script and when memory is short.
 */
bool scripts_add(struct scripts *s, struct span script, struct owner owner);
/* Both forms that pay this public key (33 or 65 bytes): its hash and itself. */
bool scripts_add_key(struct scripts *s, struct span key, struct owner owner);
bool scripts_find(const struct scripts *s, struct span script, struct owner *owner);

size_t scripts_count(const struct scripts *s);
size_t scripts_bytes(const struct scripts *s);

#endif
