/*
 * An encrypted message that is read points into what came; it opens for the secret of the seeds'
 * recipient or leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "wallet/brc2.h"
#include "wallet/brc78.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct brc78 m;
    struct error e = { .code = OK };
    struct buf out;
    uint8_t secret[32];
    ec_init();
    if (brc78_read(&m, span_of(data, size), &e)) {
        if (e.code != ERR_PARSE)
            abort();
        return 0;
    }
    if (m.sealed.data + m.sealed.len != data + size || m.sealed.len < BRC2_OVERHEAD)
        abort();
    memset(secret, 0x21, sizeof secret);
    buf_init(&out);
    const enum err rc = brc78_decrypt(&out, &m, secret, &e);
    if (rc ? rc != ERR_AUTH || out.len != 0 : out.len != m.sealed.len - BRC2_OVERHEAD)
        abort();
    buf_clear(&out);
    return 0;
}
