/* Parts of a transaction that its two forms have in common (tx.c, tx_extended.c). */
#ifndef BASE_TX_INTERNAL_H
#define BASE_TX_INTERNAL_H

#include "base/tx.h"

/* From the count of outputs to the end. */
enum err tx_outs_read(struct reader *r, struct arena *a, struct tx *tx) MUST_CHECK;

void tx_in_write(struct buf *b, const struct tx_in *in);
void tx_out_write(struct buf *b, const struct tx_out *out);
void tx_outs_write(struct buf *b, const struct tx *tx);

#endif
