/*
 * Records of identities in the sessions of direct channels (p2p/record_part.h), as the node has
 * them: own ones from the store, those of contacts to the thread that judges (bca_records.h).
 */
#ifndef NODE_RECORD_SETUP_H
#define NODE_RECORD_SETUP_H

#include "node/bca_records.h"
#include "p2p/record_part.h"

struct record_setup;

/* Before the channels start. */
struct record_setup *record_setup_new(struct channels *c, struct bca_records *records);
/* After the channels have stopped, and the thread of the records. NULL is fine. */
void record_setup_free(struct record_setup *rs);

#endif
