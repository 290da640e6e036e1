/* Block locators: hashes from a block back to genesis, ever more sparse (spec p2p 3, getheaders).
 */
#ifndef CHAIN_LOCATOR_H
#define CHAIN_LOCATOR_H

#include <stddef.h>

#include "chain/header_index.h"

#define LOCATOR_MAX 64
#define LOCATOR_IN_MAX 101 /* hashes of a peer's locator we look at; the rest cannot matter */

/* Fills hashes, newest first; returns how many. node NULL: genesis alone. */
size_t locator_make(struct header_index *idx, struct header_node *node,
                    struct block_hash out[LOCATOR_MAX]);
/* Newest block of the active chain that the locator names or builds on; genesis when none is known.
 */
struct header_node *locator_fork(struct header_index *idx, const struct block_hash *hashes,
                                 size_t n);

#endif
