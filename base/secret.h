/*
 * Memory for secrets that live for a while, such as the key of an unlocked wallet. Each piece has
 * pages of its own, between pages that may not be touched; it is left out of core dumps, locked
 * against swapping when the limit of the process (ulimit -l) allows, and wiped when freed. A
 * limit that is too small is said once in the log. What lives only for a call belongs on the stack
 * and is wiped there (secure_wipe). Any thread.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

/* size bytes, zero; never NULL: stops the process as xmalloc does. */
void *secret_alloc(size_t size);
/* Wipes and frees; NULL is fine. */
void secret_free(void *p);

#endif
