#include "base/ids.h"

#include "base/bytes.h"

static void reverse32(uint8_t out[32], const uint8_t in[32])
{
    for (int i = 0; i < 32; i++)
        out[i] = in[31 - i];
}

char *hash_to_hex(char out[HASH_HEX_SIZE], const uint8_t hash[32])
{
    uint8_t display[32];
    reverse32(display, hash);
    hex_encode(out, display, 32);
    return out;
}

bool hash_from_hex(uint8_t out[32], const char *hex)
{
    uint8_t display[32];
    if (strlen(hex) != 64 || !hex_decode(display, 32, hex, 64, NULL))
        return false;
    reverse32(out, display);
    return true;
}

bool hash_is_zero(const uint8_t hash[32])
{
    static const uint8_t zero[32];
    return memcmp(hash, zero, 32) == 0;
}

bool outpoint_is_null(const struct outpoint *o)
{
    return o->index == UINT32_MAX && hash_is_zero(o->txid.b);
}

int outpoint_order(const void *a, const void *b)
{
    const struct outpoint *x = (const struct outpoint *)a, *y = (const struct outpoint *)b;
    const int order = memcmp(x->txid.b, y->txid.b, sizeof x->txid.b);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}
