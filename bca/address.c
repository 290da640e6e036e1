#include "bca/address.h"

#include <string.h>

#include "base/block.h"
#include "base/hash.h"
#include "bca/modifiers.h"

void bca_hash1(uint8_t out[32], const struct bca_address_input *in, uint8_t collision_count)
{
    uint8_t head[BCA_MODIFIER_SIZE + BLOCK_HEADER_SIZE + BCA_PREFIX_SIZE + 1], *p = head;
    memcpy(p, in->modifier, BCA_MODIFIER_SIZE);
    p += BCA_MODIFIER_SIZE;
    memcpy(p, in->header, BLOCK_HEADER_SIZE);
    p += BLOCK_HEADER_SIZE;
    memcpy(p, in->subnet_prefix, BCA_PREFIX_SIZE);
    p += BCA_PREFIX_SIZE;
    *p = collision_count;
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, head, sizeof head);
    sha256_update(&ctx, in->transaction.data, in->transaction.len);
    sha256_final(&ctx, out);
}

void bca_interface_id(uint8_t out[BCA_INTERFACE_ID_SIZE], const uint8_t hash1[32], unsigned sec)
{
    memcpy(out, hash1, BCA_INTERFACE_ID_SIZE);
    out[0] = (uint8_t)((hash1[0] & 0x1c) | sec << 5);
}

bool bca_prefix_allowed(const uint8_t p[BCA_PREFIX_SIZE])
{
    static const uint8_t onion[] = { 0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43 };
    return p[0] != 0x00 && p[0] != 0xff && !mem_equal_var(p, onion, sizeof onion);
}

bool bca_address_form(const struct bca_address_input *in, unsigned sec, uint8_t *collision_count,
                      uint8_t address[BCA_ADDRESS_SIZE])
{
    static const uint8_t anycast[BCA_INTERFACE_ID_SIZE]; /* of all routers, RFC 4291 2.6.1 */
    uint8_t *id = address + BCA_PREFIX_SIZE;
    memcpy(address, in->subnet_prefix, BCA_PREFIX_SIZE);
    for (; *collision_count <= BCA_COLLISIONS_MAX; ++*collision_count) {
        uint8_t hash1[32];
        bca_hash1(hash1, in, *collision_count);
        bca_interface_id(id, hash1, sec);
        if (!mem_equal_var(id, anycast, sizeof anycast))
            return true;
    }
    return false;
}
