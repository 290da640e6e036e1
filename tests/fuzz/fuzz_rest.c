/* An address and a body for REST; and a Range over some size. First line: address; the rest:
 * body. */
#include <stdlib.h>
#include <string.h>

#include "rpc/http_parse.h"
#include "rpc/rest_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const struct rest_query *q, int status)
{
    if (status && status != 400 && status != 404)
        abort();
    if (q->n_outpoints > REST_OUTPOINTS_MAX || q->count > REST_HEADERS_MAX ||
        !memchr(q->error, 0, sizeof q->error))
        abort();
    if (!status && (q->subject == REST_HEADERS || q->subject == REST_HEADERS_EXTENDED) && !q->count)
        abort();
}

static void try_range(const char *text, uint64_t size)
{
    uint64_t from, len;
    enum http_range range = http_range_parse(text, size, &from, &len);
    if (from > size || len > size - from || (range == RANGE_PART && !len) ||
        (range != RANGE_PART && (from || len != size)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *eol = size ? memchr(data, '\n', size) : NULL;
    size_t n = eol ? (size_t)(eol - data) : size;
    char *path = malloc(n + 1);
    struct rest_query q;
    if (n)
        memcpy(path, data, n);
    path[n] = 0;
    int status = rest_path_parse(&q, path);
    check_query(&q, status);
    if (!status && eol)
        check_query(&q, rest_body_parse(&q, span_of(eol + 1, size - n - 1)));
    try_range(path, 0);
    try_range(path, 1000);
    try_range(path, UINT64_MAX);
    free(path);
    return 0;
}
