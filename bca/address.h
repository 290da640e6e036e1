/* Forming an address (spec bca 3, 6). Pure functions, any thread. */
#ifndef BCA_ADDRESS_H
#define BCA_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define BCA_ADDRESS_SIZE 16
#define BCA_PREFIX_SIZE 8
#define BCA_INTERFACE_ID_SIZE 8
#define BCA_COLLISIONS_MAX 2

/* What Hash1 covers besides the collision count; borrowed. */
struct bca_address_input {
    const uint8_t *modifier;      /* 16 bytes */
    const uint8_t *header;        /* 80 bytes */
    const uint8_t *subnet_prefix; /* 8 bytes */
    struct span transaction;
};

void bca_hash1(uint8_t out[32], const struct bca_address_input *in, uint8_t collision_count);
/* Three bits of sec, 59 of the hash, u = g = 0. */
void bca_interface_id(uint8_t out[BCA_INTERFACE_ID_SIZE], const uint8_t hash1[32], unsigned sec);
static inline unsigned bca_address_sec(const uint8_t address[BCA_ADDRESS_SIZE])
{
    return address[BCA_PREFIX_SIZE] >> 5;
}

/* False for prefixes that no address is formed in: 00.., ff.., fd87:d87e:eb43. */
bool bca_prefix_allowed(const uint8_t subnet_prefix[BCA_PREFIX_SIZE]);

/*
 * The address with *collision_count, or with the next count when the identifier would be all zero.
 * False when that would be the third collision: the caller reports and stops. After a duplicate is
 * seen on the link he adds one to *collision_count and asks again.
 */
bool bca_address_form(const struct bca_address_input *in, unsigned sec, uint8_t *collision_count,
                      uint8_t address[BCA_ADDRESS_SIZE]);

#endif
