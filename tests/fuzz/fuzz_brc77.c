/*
 * A signed message that is read is written as it came, and its check ends. Checked with the secret
 * of the seeds' verifier and their message.
 */
#include <stdlib.h>
#include <string.h>

#include "wallet/brc77.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct brc77 s;
    struct error e = { .code = OK };
    struct buf out;
    uint8_t secret[32];
    bool valid = true;
    ec_init();
    if (brc77_read(&s, span_of(data, size), &e)) {
        if (e.code != ERR_PARSE)
            abort();
        return 0;
    }
    buf_init(&out);
    brc77_write(&out, &s);
    if (out.len != size || memcmp(out.data, data, size) != 0)
        abort();
    buf_clear(&out);
    memset(secret, 0x21, sizeof secret);
    const enum err rc = brc77_verify(&valid, &s, secret, span_of("hello", 5), &e);
    if (rc && (rc != ERR_AUTH || valid || s.for_anyone))
        abort();
    return 0;
}
