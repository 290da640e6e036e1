#include "wallet/mnemonic.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "wallet/mnemonic_english.h"

enum {
    WORD_BITS = 11,
    SEED_ROUNDS = 2048,
    /* Entropy and its checksum: one bit for each four bytes, so one byte at most. */
    BITS_MAX = MNEMONIC_ENTROPY_MAX + 1,
};

static bool is_entropy_size(size_t len)
{
    return len >= 16 && len <= MNEMONIC_ENTROPY_MAX && len % 4 == 0;
}

static size_t words_of(size_t entropy_len)
{
    return entropy_len * 3 / 4;
}

/* The bits of a word begin anywhere in a byte. */
static unsigned bits_get(const uint8_t *bits, size_t word)
{
    unsigned value = 0;
    for (size_t i = word * WORD_BITS; i < (word + 1) * WORD_BITS; i++)
        value = value << 1 | (bits[i / 8] >> (7 - i % 8) & 1u);
    return value;
}

static void bits_put(uint8_t *bits, size_t word, unsigned value)
{
    for (size_t i = 0; i < WORD_BITS; i++) {
        const size_t at = word * WORD_BITS + i;
        bits[at / 8] |= (uint8_t)((value >> (WORD_BITS - 1 - i) & 1u) << (7 - at % 8));
    }
}

/* The byte behind the entropy, cut to the bits that the words hold. */
static uint8_t checksum(const uint8_t *entropy, size_t len)
{
    uint8_t digest[32];
    sha256(digest, entropy, len);
    const uint8_t sum = digest[0] & (uint8_t)(0xff << (8 - len / 4));
    secure_wipe(digest, sizeof digest);
    return sum;
}

enum err mnemonic_encode(char out[MNEMONIC_TEXT_MAX], const void *entropy, size_t len,
                         struct error *e)
{
    uint8_t bits[BITS_MAX];
    memset(out, 0, MNEMONIC_TEXT_MAX);
    if (!is_entropy_size(len))
        return error_set(e, ERR_RANGE, "a phrase has 16, 20, 24, 28 or 32 bytes of entropy");
    memcpy(bits, entropy, len);
    bits[len] = checksum(bits, len);
    for (size_t i = 0; i < words_of(len); i++) {
        const char *word = mnemonic_english[bits_get(bits, i)];
        const size_t n = strlen(word);
        if (i)
            *out++ = ' ';
        memcpy(out, word, n);
        out += n;
    }
    secure_wipe(bits, sizeof bits);
    return OK;
}

static int compare_words(const void *key, const void *word)
{
    return strcmp((const char *)key, (const char *)word);
}

/* The next word in small letters; false at the end. A letter too many stays, so that none fits. */
static bool next_word(const char **phrase, char word[MNEMONIC_WORD_MAX + 2])
{
    const char *p = *phrase;
    size_t len = 0;
    memset(word, 0, MNEMONIC_WORD_MAX + 2);
    while (isspace((unsigned char)*p))
        p++;
    for (; *p && !isspace((unsigned char)*p); p++)
        if (len <= MNEMONIC_WORD_MAX)
            word[len++] = (char)tolower((unsigned char)*p);
    *phrase = p;
    return len > 0;
}

static enum err check_ascii(const char *text, const char *what, struct error *e)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return error_set(e, ERR_PARSE,
                             "the %s has characters outside ASCII: they have more than one form "
                             "in bytes, and another program might make another wallet of them",
                             what);
    return OK;
}

/* Fills bits, which are zero, with the words' numbers. */
static enum err read_words(uint8_t bits[BITS_MAX], size_t *n, const char *phrase, struct error *e)
{
    char word[MNEMONIC_WORD_MAX + 2];
    enum err rc = OK;
    for (*n = 0; next_word(&phrase, word); ++*n) {
        if (*n == MNEMONIC_WORDS_MAX) {
            rc = error_set(e, ERR_PARSE, "the phrase has more than %d words", MNEMONIC_WORDS_MAX);
            break;
        }
        const char(*found)[MNEMONIC_WORD_MAX + 1] = (const char(*)[MNEMONIC_WORD_MAX + 1])bsearch(
            word, mnemonic_english, MNEMONIC_WORDS, sizeof *mnemonic_english, compare_words);
        if (!found) {
            rc = error_set(e, ERR_PARSE, "word %zu of the phrase is not in the English list",
                           *n + 1);
            break;
        }
        bits_put(bits, *n, (unsigned)(found - mnemonic_english));
    }
    secure_wipe(word, sizeof word);
    return rc;
}

static enum err decode_bits(uint8_t bits[BITS_MAX], size_t *len, const char *phrase,
                            struct error *e)
{
    size_t n;
    enum err rc = check_ascii(phrase, "phrase", e);
    if (!rc)
        rc = read_words(bits, &n, phrase, e);
    if (rc)
        return rc;
    *len = n / 3 * 4;
    if (n % 3 || !is_entropy_size(*len))
        return error_set(e, ERR_PARSE, "a phrase has 12, 15, 18, 21 or 24 words, not %zu", n);
    if (bits[*len] != checksum(bits, *len))
        return error_set(e, ERR_PARSE, "the checksum in word %zu, the last of the phrase, does "
                         "not match: a word is wrong or two are swapped", n);
    return OK;
}

enum err mnemonic_decode(uint8_t entropy[MNEMONIC_ENTROPY_MAX], size_t *len, const char *phrase,
                         struct error *e)
{
    uint8_t bits[BITS_MAX] = { 0 };
    memset(entropy, 0, MNEMONIC_ENTROPY_MAX);
    *len = 0;
    size_t n;
    const enum err rc = decode_bits(bits, &n, phrase, e);
    if (!rc) {
        *len = n;
        memcpy(entropy, bits, n);
    }
    secure_wipe(bits, sizeof bits);
    return rc;
}

enum err mnemonic_seed_of_bytes(uint8_t seed[MNEMONIC_SEED_SIZE], struct span phrase,
                                struct span passphrase, struct error *e)
{
    static const char prefix[] = "mnemonic";
    const size_t prefix_len = sizeof prefix - 1, salt_len = prefix_len + passphrase.len;
    uint8_t *salt = (uint8_t *)try_alloc(salt_len, 1);
    bool ok = salt != NULL;
    if (ok) {
        memcpy(salt, prefix, prefix_len);
        if (passphrase.len)
            memcpy(salt + prefix_len, passphrase.data, passphrase.len);
        ok = pbkdf2_hmac_sha512(seed, MNEMONIC_SEED_SIZE, phrase, span_of(salt, salt_len),
                                SEED_ROUNDS);
        secure_wipe(salt, salt_len);
    }
    free(salt);
    if (ok)
        return OK;
    secure_wipe(seed, MNEMONIC_SEED_SIZE);
    return error_set(e, ERR_NOMEM, "no memory for the seed of a phrase");
}

enum err mnemonic_seed(uint8_t seed[MNEMONIC_SEED_SIZE], const char *phrase,
                       const char *passphrase, struct error *e)
{
    uint8_t entropy[MNEMONIC_ENTROPY_MAX];
    char text[MNEMONIC_TEXT_MAX] = "";
    size_t len;
    memset(seed, 0, MNEMONIC_SEED_SIZE);
    enum err rc = mnemonic_decode(entropy, &len, phrase, e);
    if (!rc)
        rc = check_ascii(passphrase, "passphrase", e);
    if (!rc)
        rc = mnemonic_encode(text, entropy, len, e);
    if (!rc)
        rc = mnemonic_seed_of_bytes(seed, span_of(text, strlen(text)),
                                    span_of(passphrase, strlen(passphrase)), e);
    secure_wipe(entropy, sizeof entropy);
    secure_wipe(text, sizeof text);
    return rc;
}
