#include "wallet/hdkey.h"

#include <string.h>

#include "base/base58.h"
#include "base/hash.h"
#include "base/reader.h"
#include "wallet/hdpath.h"

enum {
    SEED_MIN = 16,
    SEED_MAX = 64,
    DEPTH_MAX = 255,
    /* version 4, depth 1, parent 4, index 4, chain code 32, key 33 */
    SERIAL_SIZE = 78,
};

/* By network, public and private. */
static const uint32_t versions[2][2] = {
    [HDKEY_MAIN] = { 0x0488b21e, 0x0488ade4 },
    [HDKEY_TEST] = { 0x043587cf, 0x04358394 },
};

void hdkey_wipe(struct hdkey *k)
{
    secure_wipe(k, sizeof *k);
}

void hdkey_make_public(struct hdkey *k)
{
    secure_wipe(k->secret, sizeof k->secret);
    k->is_private = false;
}

void hdkey_fingerprint(uint8_t out[4], const struct hdkey *k)
{
    uint8_t hash[20];
    hash160(hash, k->key, sizeof k->key);
    memcpy(out, hash, 4);
}

enum err hdkey_master(struct hdkey *k, struct span seed, struct error *e)
{
    static const char salt[] = "Bitcoin seed";
    uint8_t digest[64];
    *k = (struct hdkey){ .is_private = true };
    if (seed.len < SEED_MIN || seed.len > SEED_MAX) {
        hdkey_wipe(k);
        return error_set(e, ERR_RANGE, "a seed has %d to %d bytes, not %zu", SEED_MIN, SEED_MAX,
                         seed.len);
    }
    hmac_sha512(digest, salt, sizeof salt - 1, seed.data, seed.len);
    memcpy(k->secret, digest, 32);
    memcpy(k->chain_code, digest + 32, 32);
    secure_wipe(digest, sizeof digest);
    if (ec_pubkey_of(k->key, k->secret))
        return OK;
    hdkey_wipe(k);
    return error_set(e, ERR_RANGE, "this seed has no key");
}

/* HMAC of the key, or of the secret for a hardened step, and the index. */
static void child_digest(uint8_t digest[64], const struct hdkey *parent, uint32_t index)
{
    uint8_t data[EC_PUBKEY_SIZE + 4] = { 0 };
    if (index & HDPATH_HARDENED)
        memcpy(data + 1, parent->secret, 32);
    else
        memcpy(data, parent->key, EC_PUBKEY_SIZE);
    be32_put(data + EC_PUBKEY_SIZE, index);
    hmac_sha512(digest, parent->chain_code, sizeof parent->chain_code, data, sizeof data);
    secure_wipe(data, sizeof data);
}

/* k: a copy of the parent, which becomes the child. */
static bool step_down(struct hdkey *k, uint32_t index)
{
    uint8_t digest[64], parent[4];
    hdkey_fingerprint(parent, k);
    child_digest(digest, k, index);
    bool ok;
    if (k->is_private)
        ok = ec_seckey_tweak_add(k->secret, digest) && ec_pubkey_of(k->key, k->secret);
    else
        ok = ec_pubkey_tweak_add(k->key, digest);
    memcpy(k->chain_code, digest + 32, 32);
    memcpy(k->parent, parent, 4);
    k->index = index;
    k->depth++;
    secure_wipe(digest, sizeof digest);
    return ok;
}

enum err hdkey_child(struct hdkey *child, const struct hdkey *parent, uint32_t index,
                     struct error *e)
{
    struct hdkey k = *parent;
    enum err rc = OK;
    if ((index & HDPATH_HARDENED) && !k.is_private)
        rc = error_set(e, ERR_AUTH, "a hardened step needs the private key");
    else if (k.depth == DEPTH_MAX)
        rc = error_set(e, ERR_RANGE, "no key is deeper than %d steps", DEPTH_MAX);
    else if (!step_down(&k, index))
        rc = error_set(e, ERR_RANGE, "index %u has no key", (unsigned)(index & ~HDPATH_HARDENED));
    if (rc)
        hdkey_wipe(&k);
    *child = k;
    hdkey_wipe(&k);
    return rc;
}

enum err hdkey_derive(struct hdkey *k, const struct hdkey *from, const struct hdpath *path,
                      struct error *e)
{
    enum err rc = OK;
    *k = *from;
    for (size_t i = 0; i < path->n && !rc; i++)
        rc = hdkey_child(k, k, path->step[i], e);
    return rc;
}

char *hdkey_encode(char out[HDKEY_TEXT_MAX], enum hdkey_network network, const struct hdkey *k)
{
    uint8_t data[SERIAL_SIZE] = { 0 };
    be32_put(data, versions[network][k->is_private]);
    data[4] = k->depth;
    memcpy(data + 5, k->parent, 4);
    be32_put(data + 9, k->index);
    memcpy(data + 13, k->chain_code, 32);
    if (k->is_private)
        memcpy(data + 46, k->secret, 32);
    else
        memcpy(data + 45, k->key, EC_PUBKEY_SIZE);
    BUG_ON(!base58check_encode(out, HDKEY_TEXT_MAX, data, sizeof data));
    secure_wipe(data, sizeof data);
    return out;
}

static enum err read_version(struct hdkey *k, enum hdkey_network network, uint32_t version,
                             struct error *e)
{
    const enum hdkey_network other = network == HDKEY_MAIN ? HDKEY_TEST : HDKEY_MAIN;
    for (int is_private = 0; is_private < 2; is_private++) {
        if (version == versions[other][is_private])
            return error_set(e, ERR_PARSE, "this extended key is of %s",
                             other == HDKEY_MAIN ? "the main network" : "a test network");
        if (version == versions[network][is_private]) {
            k->is_private = is_private;
            return OK;
        }
    }
    return error_set(e, ERR_PARSE, "no extended key has this version (%08x)", (unsigned)version);
}

/* The last 33 bytes: 0 and a secret, or a point in its short form. */
static enum err read_key(struct hdkey *k, struct reader *r, struct error *e)
{
    const uint8_t prefix = *r->p;
    if (prefix != 0 && prefix != 2 && prefix != 3)
        return error_set(e, ERR_PARSE, "the key in an extended key begins with 0, 2 or 3, not %u",
                         prefix);
    if (k->is_private != (prefix == 0))
        return error_set(e, ERR_PARSE, "the version of this extended key says %s, its key %s",
                         k->is_private ? "private" : "public",
                         k->is_private ? "is public" : "is private");
    if (!k->is_private) {
        read_copy(r, k->key, sizeof k->key);
        if (!ec_pubkey_valid(k->key, sizeof k->key))
            return error_set(e, ERR_PARSE,
                             "the public key of this extended key is not on the curve");
        return OK;
    }
    read_u8(r);
    read_copy(r, k->secret, sizeof k->secret);
    if (!ec_pubkey_of(k->key, k->secret))
        return error_set(e, ERR_PARSE, "the private key of this extended key is zero or too large");
    return OK;
}

static enum err read_serial(struct hdkey *k, enum hdkey_network network,
                            const uint8_t data[SERIAL_SIZE], struct error *e)
{
    static const uint8_t none[4];
    struct reader r;
    reader_init(&r, data, SERIAL_SIZE);
    const uint32_t version = be32_get(read_bytes(&r, 4));
    if (read_version(k, network, version, e))
        return ERR_PARSE;
    k->depth = read_u8(&r);
    read_copy(&r, k->parent, sizeof k->parent);
    k->index = be32_get(read_bytes(&r, 4));
    read_copy(&r, k->chain_code, sizeof k->chain_code);
    if (k->depth == 0 && !mem_equal_var(k->parent, none, sizeof none))
        return error_set(e, ERR_PARSE, "an extended key of depth 0 has no parent");
    if (k->depth == 0 && k->index != 0)
        return error_set(e, ERR_PARSE, "an extended key of depth 0 has index 0");
    return read_key(k, &r, e);
}

enum err hdkey_decode(struct hdkey *k, enum hdkey_network network, const char *text,
                      struct error *e)
{
    uint8_t data[SERIAL_SIZE];
    size_t len = 0;
    enum err rc;
    *k = (struct hdkey){ .is_private = false };
    if (!base58check_decode(data, sizeof data, text, &len))
        rc = error_set(e, ERR_PARSE, "this is no extended key: its characters, its length or its "
                       "checksum are wrong");
    else if (len != SERIAL_SIZE)
        rc = error_set(e, ERR_PARSE, "an extended key has %d bytes, not %zu", SERIAL_SIZE, len);
    else
        rc = read_serial(k, network, data, e);
    if (rc)
        hdkey_wipe(k);
    secure_wipe(data, sizeof data);
    return rc;
}
