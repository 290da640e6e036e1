/*
 * Private keys as text ("wallet import format"): Base58Check of a version byte, 32 bytes, and a 1
 * when the public key is written compressed. Any thread; the holder wipes what was decoded.
 */
#ifndef BASE_WIF_H
#define BASE_WIF_H

#include <stdbool.h>
#include <stdint.h>

struct private_key {
    uint8_t secret[32];
    bool compressed;
};

#define WIF_TEXT_MAX 56

enum wif_answer { WIF_OK, WIF_BAD_TEXT, WIF_BAD_KEY /* zero, or not below the order */ };

/* version: of the network, else WIF_BAD_TEXT. On failure *k holds zeros. */
enum wif_answer wif_decode(struct private_key *k, uint8_t version, const char *text);
/* NUL-terminated; returns out. */
char *wif_encode(char out[WIF_TEXT_MAX], uint8_t version, const struct private_key *k);
void private_key_wipe(struct private_key *k);

#endif
