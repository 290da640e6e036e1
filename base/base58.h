/* Base58 and Base58Check. Variable time: for addresses; wipe buffers after keys. Any thread. */
#ifndef BASE_BASE58_H
#define BASE_BASE58_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NUL-terminated text into out; false when cap is too small. */
bool base58_encode(char *out, size_t cap, const uint8_t *data, size_t len);
/* False on a bad character or more than cap bytes. Surrounding white space is not skipped. */
bool base58_decode(uint8_t *out, size_t cap, const char *text, size_t *len);
/* With four bytes of SHA256d appended / verified and removed. */
bool base58check_encode(char *out, size_t cap, const uint8_t *data, size_t len);
bool base58check_decode(uint8_t *out, size_t cap, const char *text, size_t *len);

#endif
