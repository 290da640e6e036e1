#include "base/signed_message.h"

#include "base/buf.h"
#include "base/hash.h"

static const char prefix[] = "Bitcoin Signed Message:\n";

void signed_message_digest(uint8_t out[32], const void *message, size_t len)
{
    struct buf b;
    buf_init(&b);
    buf_put_var_bytes(&b, prefix, sizeof prefix - 1);
    buf_put_var_bytes(&b, message, len);
    sha256d(out, b.data, b.len);
    buf_clear(&b);
}

bool signed_message_sign(uint8_t out[EC_COMPACT_SIZE], const struct private_key *k,
                         const void *message, size_t len)
{
    uint8_t digest[32];
    signed_message_digest(digest, message, len);
    return ec_sign_compact(out, k->secret, k->compressed, digest);
}

bool signed_message_recover(uint8_t key_hash[20], const uint8_t sig[EC_COMPACT_SIZE],
                            const void *message, size_t len)
{
    uint8_t digest[32], key[65];
    signed_message_digest(digest, message, len);
    size_t key_len = ec_recover_compact(key, sig, digest);
    if (key_len)
        hash160(key_hash, key, key_len);
    return key_len > 0;
}
