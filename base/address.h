/*
 * Addresses: Base58Check of a version byte and a 20-byte hash (spec consensus 1.1 has the version
 * bytes of each network). Any thread.
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 40

/* NUL-terminated; returns out. */
char *address_encode(char out[ADDRESS_TEXT_MAX], uint8_t version, const uint8_t hash[20]);
/* False when text is no address; any version is taken. */
bool address_decode(const char *text, uint8_t *version, uint8_t hash[20]);

#endif
