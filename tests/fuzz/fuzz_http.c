/* A head and a chunked body: what is taken stays inside the input, and cutting changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "rpc/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const char *p, const char *text, size_t len)
{
    if (p && (p < text || p > text + len))
        abort();
}

static void try_head(const uint8_t *data, size_t size)
{
    size_t len = http_head_size((const char *)data, size);
    if (len > size)
        abort();
    if (!len)
        return;
    char *text = malloc(len + 1);
    struct http_head h;
    int status;
    memcpy(text, data, len);
    text[len] = 0;
    if (http_head_parse(&h, text, len, &status) == OK) {
        check_inside(h.method, text, len);
        if (strcmp(h.path, "/") != 0)
            check_inside(h.path, text, len);
        for (size_t i = 0; i < h.n_fields; i++) {
            check_inside(h.fields[i].name, text, len);
            check_inside(h.fields[i].value, text, len);
        }
        if (h.chunked && h.has_length)
            abort();
    }
    free(text);
}

/* Decoded content; false when the bytes are refused. */
static bool decode(const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
    struct http_chunks c;
    const char *p = (const char *)data, *end = p + size, *content;
    size_t n;
    http_chunks_init(&c);
    while (p < end && c.state != CHUNK_DONE) {
        const char *stop = (size_t)(end - p) < piece ? end : p + piece;
        while (p < stop && c.state != CHUNK_DONE) {
            if (http_chunks_next(&c, &p, stop, &content, &n))
                return false;
            buf_put(out, content, n);
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    try_head(data, size);
    buf_init(&whole);
    buf_init(&cut);
    if (decode(data, size, size + 1, &whole) != decode(data, size, 3, &cut) ||
        whole.len != cut.len ||
        (whole.len && memcmp(whole.data, cut.data, whole.len) != 0))
        abort();
    buf_clear(&whole);
    buf_clear(&cut);
    return 0;
}
