/*
 * Phrases that stand for the secrets of a wallet (BIP39; spec brc-notes 12): 12 to 24 words of the
 * English list for 16 to 32 bytes of entropy, and the seed of 64 bytes that follows from phrase and
 * passphrase.
 *
 * The seed depends on the bytes of both, and outside ASCII the same letters have several forms;
 * mnemonic_seed therefore refuses them. What fails leaves zeros in its result. The caller wipes all
 * results; words are looked up in variable time. Pure functions, any thread.
 */
#ifndef WALLET_MNEMONIC_H
#define WALLET_MNEMONIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    MNEMONIC_ENTROPY_MAX = 32,
    MNEMONIC_WORDS_MAX = 24,
    MNEMONIC_TEXT_MAX = MNEMONIC_WORDS_MAX * 9, /* with the NUL */
    MNEMONIC_SEED_SIZE = 64,
};

/* len: 16, 20, 24, 28 or 32, else ERR_RANGE. Words in lower case with one space between. */
enum err mnemonic_encode(char out[MNEMONIC_TEXT_MAX], const void *entropy, size_t len,
                         struct error *e) MUST_CHECK;
/*
 * Reads a phrase as people write it: capitals count as small letters, white space of any length
 * separates. ERR_PARSE says what is wrong and with which word, by its number: the word is secret.
 */
enum err mnemonic_decode(uint8_t entropy[MNEMONIC_ENTROPY_MAX], size_t *len, const char *phrase,
                         struct error *e) MUST_CHECK;
/* The seed of an English phrase as mnemonic_decode takes it; passphrase may be "". About 1 ms. */
enum err mnemonic_seed(uint8_t seed[MNEMONIC_SEED_SIZE], const char *phrase,
                       const char *passphrase, struct error *e) MUST_CHECK;
/* The seed of bytes that are already in the form BIP39 asks for (NFKD), whatever the language. */
enum err mnemonic_seed_of_bytes(uint8_t seed[MNEMONIC_SEED_SIZE], struct span phrase,
                                struct span passphrase, struct error *e) MUST_CHECK;

#endif
