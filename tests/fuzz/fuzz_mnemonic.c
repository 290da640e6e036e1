/* A phrase that is taken is, apart from capitals and spaces, the one phrase of its entropy. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "wallet/mnemonic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_LIMIT 1000

/* Small letters, one space between words, none around. */
static void tidy(char *out, const char *text)
{
    char *p = out;
    for (; *text; text++) {
        if (!isspace((unsigned char)*text))
            *p++ = (char)tolower((unsigned char)*text);
        else if (p > out && p[-1] != ' ')
            *p++ = ' ';
    }
    if (p > out && p[-1] == ' ')
        p--;
    *p = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[SIZE_LIMIT + 1], plain[SIZE_LIMIT + 1], again[MNEMONIC_TEXT_MAX];
    uint8_t entropy[MNEMONIC_ENTROPY_MAX];
    size_t len;
    if (size > SIZE_LIMIT)
        size = SIZE_LIMIT;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    struct error e = { .code = OK };
    if (mnemonic_decode(entropy, &len, text, &e)) {
        if (e.code != ERR_PARSE || len != 0)
            abort();
        return 0;
    }
    tidy(plain, text);
    if (mnemonic_encode(again, entropy, len, NULL) || strcmp(again, plain) != 0)
        abort();
    return 0;
}
