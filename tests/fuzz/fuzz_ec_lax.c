/*
 * Input: one byte that tells the length of the key, the key, the signature. What verifies goes on
 * doing so with bytes behind it, and what does not parse is never called low.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t digest[32] = { 1, 2, 3 };
    if (size == 0)
        return 0;
    ec_init();
    size_t key_len = data[0] % 67;
    if (key_len > size - 1)
        key_len = size - 1;
    const uint8_t *key = data + 1, *sig = key + key_len;
    size_t sig_len = size - 1 - key_len;
    bool ok = ec_verify_lax(key, key_len, sig, sig_len, digest);
    bool low = ec_sig_is_low_s(sig, sig_len);
    if (ok && !ec_pubkey_valid(key, key_len))
        abort();
    if (low && (sig_len < 6 || sig[0] != 0x30))
        abort();
    struct buf longer;
    buf_init(&longer);
    buf_put(&longer, sig, sig_len);
    buf_put(&longer, "\x30\x02\x00", 3);
    if (ok && !ec_verify_lax(key, key_len, longer.data, longer.len, digest))
        abort();
    if (low && !ec_sig_is_low_s(longer.data, longer.len))
        abort();
    buf_clear(&longer);
    return 0;
}
