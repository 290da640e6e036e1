/* What a contact gives to keep of a payment channel: refused, or written as it was read. */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "wallet/paychan_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct paychan c = { .n = 0 };
    struct paychan_help h;
    struct tx *tx;
    struct buf b;
    ec_init();
    if (paychan_get_help(&h, span_of(data, size), NULL))
        return 0;
    buf_init(&b);
    paychan_put_help(&b, &h);
    if (b.len != size || memcmp(b.data, data, size) != 0)
        abort();
    buf_clear(&b);
    if (!paychan_check_help(&h, &c, &tx, NULL) && tx)
        tx_unref(tx);
    return 0;
}
