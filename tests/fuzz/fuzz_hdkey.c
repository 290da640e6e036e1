/*
 * An extended key that is taken is the one text of its key, and its public key has the same plain
 * children. The same bytes are put behind Base58Check, which a mutated text hardly ever passes, and
 * read as a path.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base58.h"
#include "wallet/hdkey.h"
#include "wallet/hdpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_LIMIT 300

static void check_children(const struct hdkey *k)
{
    char text[2][HDKEY_TEXT_MAX];
    struct hdkey child, watched = *k;
    hdkey_make_public(&watched);
    if (hdkey_child(&child, k, 7, NULL))
        return;
    hdkey_make_public(&child);
    if (hdkey_child(&watched, &watched, 7, NULL))
        abort();
    hdkey_encode(text[0], HDKEY_MAIN, &child);
    hdkey_encode(text[1], HDKEY_MAIN, &watched);
    if (strcmp(text[0], text[1]) != 0)
        abort();
}

static void check_text(const char *text)
{
    char again[HDKEY_TEXT_MAX];
    struct hdkey k;
    for (enum hdkey_network n = HDKEY_MAIN; n <= HDKEY_TEST; n++) {
        struct error e = { .code = OK };
        const enum err rc = hdkey_decode(&k, n, text, &e);
        if (rc != e.code || (rc && rc != ERR_PARSE))
            abort();
        if (rc)
            continue;
        if (strcmp(hdkey_encode(again, n, &k), text) != 0)
            abort();
        check_children(&k);
    }
}

static void check_path(const char *text)
{
    struct hdpath p, back;
    struct buf b;
    if (hdpath_parse(&p, text, NULL))
        return;
    buf_init(&b);
    hdpath_format(&b, &p);
    buf_put_u8(&b, 0);
    if (hdpath_parse(&back, (char *)b.data, NULL) || back.n != p.n ||
        memcmp(back.step, p.step, p.n * sizeof *p.step) != 0)
        abort();
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[SIZE_LIMIT + 1], coded[2 * SIZE_LIMIT];
    ec_init();
    if (size > SIZE_LIMIT)
        size = SIZE_LIMIT;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    check_text(text);
    check_path(text);
    if (!base58check_encode(coded, sizeof coded, data, size))
        abort();
    check_text(coded);
    return 0;
}
