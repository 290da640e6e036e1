/* What parses as an extended transaction is written back as the same bytes, and its plain form is a
 * transaction with the same fields. */
#include <stdlib.h>
#include <string.h>

#include "base/tx_extended.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tx_extended *x, const uint8_t *data, size_t used)
{
    struct buf b;
    buf_init(&b);
    tx_extended_write(&b, &x->tx, x->spent);
    if (b.len != used || memcmp(b.data, data, used) != 0 || !tx_extended_detect(buf_span(&b)))
        abort();
    struct tx *plain = tx_new(x->tx.raw.data, x->tx.raw.len, NULL);
    if (!plain || plain->n_in != x->tx.n_in || plain->n_out != x->tx.n_out)
        abort();
    buf_reset(&b);
    tx_extended_write(&b, plain, x->spent);
    if (b.len != used || memcmp(b.data, data, used) != 0)
        abort();
    tx_unref(plain);
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct arena a;
    struct tx_extended x;
    arena_init(&a);
    reader_init(&r, data, size);
    if (tx_extended_read(&r, &a, &x) == OK)
        check(&x, data, size - r.left);
    arena_clear(&a);
    return 0;
}
