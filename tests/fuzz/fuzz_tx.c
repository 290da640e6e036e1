/* What parses as a transaction is written back as the same bytes, alone or with more behind it. */
#include <stdlib.h>
#include <string.h>

#include "base/tx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct tx *tx, const uint8_t *data)
{
    struct buf b;
    buf_init(&b);
    tx_write(&b, tx);
    if (b.len != tx->raw.len || b.len != tx_size(tx) || memcmp(b.data, data, b.len) != 0)
        abort();
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct arena a;
    struct tx tx;
    arena_init(&a);
    reader_init(&r, data, size);
    enum err rc = tx_read(&r, &a, &tx);
    struct tx *shared = tx_new(data, size, NULL);
    if (rc == OK)
        check_round_trip(&tx, data);
    if (shared)
        check_round_trip(shared, data);
    if ((shared != NULL) != (rc == OK && reader_done(&r)))
        abort();
    tx_unref(shared);
    arena_clear(&a);
    return 0;
}
