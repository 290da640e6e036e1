#include <config.h>

#include "wallet/key_cache.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/kv.h"
#include "wallet/hdkey.h"

enum { ABOVE_SIZE = 8, KEY_SIZE = 1 + ABOVE_SIZE + 4, HASH_SIZE = 32 };

static void hash_above(uint8_t out[HASH_SIZE], const struct hdkey *above)
{
    uint8_t data[32 + EC_PUBKEY_SIZE];
    memcpy(data, above->chain_code, 32);
    memcpy(data + 32, above->key, EC_PUBKEY_SIZE);
    sha256_tagged(out, "bsvpeer/key cache", data, sizeof data);
}

/* above: the hash of the key above. */
static void hash_run(uint8_t out[HASH_SIZE], const uint8_t above[HASH_SIZE], uint32_t number,
                     const uint8_t keys[KEY_CACHE_BYTES])
{
    uint8_t place[4];
    struct sha256 h;
    be32_put(place, number);
    sha256_init(&h);
    sha256_update(&h, above, HASH_SIZE);
    sha256_update(&h, place, sizeof place);
    sha256_update(&h, keys, KEY_CACHE_BYTES);
    sha256_final(&h, out);
}

static void row_key(uint8_t key[KEY_SIZE], const uint8_t above[HASH_SIZE], uint32_t number)
{
    key[0] = 'k';
    memcpy(key + 1, above, ABOVE_SIZE);
    be32_put(key + 1 + ABOVE_SIZE, number);
}

enum err key_cache_load(struct kv *kv, const struct hdkey *above, uint32_t number,
                        uint8_t keys[KEY_CACHE_BYTES], bool *found, struct error *e)
{
    uint8_t key[KEY_SIZE], hash[HASH_SIZE], run[HASH_SIZE];
    struct buf value = { 0 };
    hash_above(hash, above);
    row_key(key, hash, number);
    enum err rc = kv_get(kv, key, sizeof key, &value, found, e);
    *found = !rc && *found && value.len == KEY_CACHE_BYTES + HASH_SIZE;
    if (*found) {
        memcpy(keys, value.data, KEY_CACHE_BYTES);
        hash_run(run, hash, number, keys);
        *found = mem_equal_var(run, value.data + KEY_CACHE_BYTES, HASH_SIZE);
    }
    buf_clear(&value);
    return rc;
}

enum err key_cache_store(struct kv *kv, const struct hdkey *above, uint32_t number,
                         const uint8_t keys[KEY_CACHE_BYTES], struct error *e)
{
    uint8_t key[KEY_SIZE], hash[HASH_SIZE], value[KEY_CACHE_BYTES + HASH_SIZE];
    struct kv_batch *b = kv_batch_new(kv);
    hash_above(hash, above);
    row_key(key, hash, number);
    memcpy(value, keys, KEY_CACHE_BYTES);
    hash_run(value + KEY_CACHE_BYTES, hash, number, keys);
    kv_batch_put(b, key, sizeof key, value, sizeof value);
    enum err rc = kv_write(kv, b, KV_NO_SYNC, e);
    kv_batch_free(b);
    return rc;
}
