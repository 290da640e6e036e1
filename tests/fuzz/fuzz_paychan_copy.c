/* A copy of a payment channel, and a file of saved ones: refused, or written as it was read. */
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "wallet/paychan_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_copy(const uint8_t *data, size_t size)
{
    struct paychan c = { .n = 0 };
    struct buf b;
    if (paychan_get_copy(&c, span_of(data, size), NULL))
        return;
    buf_init(&b);
    paychan_put_copy(&b, &c);
    if (b.len != size || memcmp(b.data, data, size) != 0)
        abort();
    buf_clear(&b);
}

static void check_saved(const uint8_t *data, size_t size)
{
    struct paychan_saved *v;
    struct reader r;
    struct buf b;
    size_t n;
    reader_init(&r, data, size);
    if (paychan_get_saved(&r, &v, &n, NULL))
        return;
    buf_init(&b);
    buf_put_le32(&b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        paychan_put_saved(&b, &v[i]);
        check_copy(v[i].copy, sizeof v[i].copy);
    }
    if (b.len != size || memcmp(b.data, data, size) != 0)
        abort();
    buf_clear(&b);
    free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ec_init();
    check_copy(data, size);
    check_saved(data, size);
    return 0;
}
