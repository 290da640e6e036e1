/*
 * A list of headers as view of the active chain, for verifiers without a node. The list is the
 * caller's statement of which chain that is: links and proof of work are checked, not difficulty
 * rules. It may begin at any block. Immutable once made: any thread reads.
 */
#ifndef BCA_HEADERS_H
#define BCA_HEADERS_H

#include "base/bytes.h"
#include "base/err.h"
#include "bca/verify.h"

struct bca_headers;

/*
 * Headers of 80 bytes one after the other, oldest first, the last one the tip; borrowed for the
 * life of the result. NULL with ERR_PARSE (no whole headers, a link that is missing, too little
 * work) or ERR_NOMEM.
 */
struct bca_headers *bca_headers_new(struct span list, const struct bca_rules *rules,
                                    struct error *e);
void bca_headers_free(struct bca_headers *h);

/* bca_chain_view.find over a struct bca_headers. */
enum bca_place bca_headers_find(void *headers, const uint8_t header[80],
                                const struct block_hash *hash, uint64_t *confirmations);

#endif
