/* A stored coin or its key that reads well is written back as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "chain/coin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const uint8_t *data, size_t size)
{
    struct coin c;
    struct error e;
    if (coin_read(data, size, &c, &e))
        return;
    struct buf b;
    buf_init(&b);
    coin_write(&b, &c);
    if (b.len != size || b.len != coin_size(&c) || memcmp(b.data, data, size) != 0)
        abort();
    buf_clear(&b);
}

static void check_key(const uint8_t *data, size_t size)
{
    struct outpoint o;
    uint8_t key[COIN_KEY_MAX];
    if (coin_key_read(data, size, &o) &&
        (coin_key(key, &o) != size || memcmp(key, data, size) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_value(data, size);
    check_key(data, size);
    return 0;
}
