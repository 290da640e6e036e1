#include "base/address.h"

#include <string.h>

#include "base/base58.h"
#include "base/err.h"

char *address_encode(char out[ADDRESS_TEXT_MAX], uint8_t version, const uint8_t hash[20])
{
    uint8_t raw[21];
    raw[0] = version;
    memcpy(raw + 1, hash, 20);
    BUG_ON(!base58check_encode(out, ADDRESS_TEXT_MAX, raw, sizeof raw));
    return out;
}

bool address_decode(const char *text, uint8_t *version, uint8_t hash[20])
{
    uint8_t raw[32];
    size_t len;
    if (strlen(text) >= ADDRESS_TEXT_MAX || !base58check_decode(raw, sizeof raw, text, &len) ||
        len != 21)
        return false;
    *version = raw[0];
    memcpy(hash, raw + 1, 20);
    return true;
}
