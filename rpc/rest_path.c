#include "rpc/rest_path.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/intmath.h"
#include "base/reader.h"

#define BODY_MAX 4096 /* bytes of a flag and a list of outpoints, far more than are allowed */

static int refuse(struct rest_query *q, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int refuse(struct rest_query *q, int status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(q->error, sizeof q->error, fmt, args);
    va_end(args);
    return status;
}

/* The next part of a path, up to '/' or the end; false when nothing is left. */
static bool next_part(struct span *path, struct span *part)
{
    if (!path->len)
        return false;
    const uint8_t *slash = memchr(path->data, '/', path->len);
    size_t n = slash ? (size_t)(slash - path->data) : path->len;
    *part = span_of(path->data, n);
    n += slash != NULL;
    *path = span_of(path->data + n, path->len - n);
    return true;
}

static bool part_is(struct span part, const char *word)
{
    return part.len == strlen(word) && memcmp(part.data, word, part.len) == 0;
}

static bool parse_hash(struct span text, uint8_t out[32])
{
    char hex[HASH_HEX_SIZE];
    if (text.len != HASH_HEX_SIZE - 1)
        return false;
    memcpy(hex, text.data, text.len);
    hex[text.len] = 0;
    return hash_from_hex(out, hex);
}

static bool parse_number(struct span text, uint64_t limit, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9' || (v = v * 10 + (text.data[i] - '0')) > limit)
            return false;
    *out = v;
    return text.len > 0;
}

static int take_hash(struct rest_query *q, struct span text)
{
    if (parse_hash(text, q->hash))
        return 0;
    return refuse(q, 400, "Invalid hash: %.*s", (int)MIN_OF(text.len, (size_t)100), text.data);
}

/* Cuts ".bin", ".hex" or ".json" off the end. */
static bool cut_format(struct span *path, enum rest_format *format)
{
    static const struct { const char *name; enum rest_format format; } rows[] = {
        { ".bin", REST_BIN }, { ".hex", REST_HEX }, { ".json", REST_JSON },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n = strlen(rows[i].name);
        if (path->len < n || memcmp(path->data + path->len - n, rows[i].name, n) != 0)
            continue;
        path->len -= n;
        *format = rows[i].format;
        return true;
    }
    return false;
}

/* --- what each address takes ---------------------------------------------------------------- */

typedef int (*take_fn)(struct rest_query *q, struct span rest);

static int take_headers(struct rest_query *q, struct span rest)
{
    struct span part;
    uint64_t count;
    if (!next_part(&rest, &part) || !rest.len)
        return refuse(q, 400, "No header count specified: the address is "
                              "/rest/headers/<count>/<hash>.<ext>");
    if (!parse_number(part, REST_HEADERS_MAX, &count) || count == 0)
        return refuse(q, 400, "Header count out of range (1 to %d): %.*s", REST_HEADERS_MAX,
                      (int)MIN_OF(part.len, (size_t)20), part.data);
    q->count = (unsigned)count;
    return take_hash(q, rest);
}

static int take_nothing(struct rest_query *q, struct span rest)
{
    (void)q;
    return rest.len ? 404 : 0;
}

/* "<txid>-<n>" */
static int take_outpoint(struct rest_query *q, struct span part)
{
    const uint8_t *dash = memchr(part.data, '-', part.len);
    uint64_t index;
    struct outpoint o;
    size_t n = dash ? (size_t)(dash - part.data) : 0;
    if (!dash || !parse_hash(span_of(part.data, n), o.txid.b) ||
        !parse_number(span_of(dash + 1, part.len - n - 1), UINT32_MAX, &index))
        return refuse(q, 400, "Parse error: an output is written <txid>-<n>");
    if (q->n_outpoints == REST_OUTPOINTS_MAX)
        return refuse(q, 400, "Error: max outpoints exceeded (max: %d)", REST_OUTPOINTS_MAX);
    o.index = (uint32_t)index;
    q->outpoints[q->n_outpoints++] = o;
    return 0;
}

static int take_outpoints(struct rest_query *q, struct span rest)
{
    struct span part;
    int status = 0;
    for (bool first = true; !status && next_part(&rest, &part); first = false) {
        if (first && part_is(part, "checkmempool"))
            q->check_mempool = true;
        else
            status = take_outpoint(q, part);
    }
    return status;
}

/* Longest names first: what follows a name is taken by its function. */
static const struct rest_row {
    const char *name; /* what stands between "/rest/" and what `take` wants */
    enum rest_subject subject;
    take_fn take;
    bool json_only;
} rows[] = {
    { "block/notxdetails/", REST_BLOCK_IDS, take_hash, false },
    { "block/", REST_BLOCK, take_hash, false },
    { "tx/", REST_TX, take_hash, false },
    { "headers/extended/", REST_HEADERS_EXTENDED, take_headers, false },
    { "headers/", REST_HEADERS, take_headers, false },
    { "chaininfo", REST_CHAININFO, take_nothing, true },
    { "mempool/info", REST_MEMPOOL_INFO, take_nothing, true },
    { "mempool/contents", REST_MEMPOOL_CONTENTS, take_nothing, true },
    { "getutxos/", REST_UTXOS, take_outpoints, false },
    { "getutxos", REST_UTXOS, take_nothing, false },
};

static const struct rest_row *find_row(struct span *path)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n = strlen(rows[i].name);
        if (path->len < n || memcmp(path->data, rows[i].name, n) != 0)
            continue;
        *path = span_of(path->data + n, path->len - n);
        return &rows[i];
    }
    return NULL;
}

int rest_path_parse(struct rest_query *q, const char *path)
{
    static const char prefix[] = "/rest/";
    *q = (struct rest_query){ .n_outpoints = 0 };
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return 404;
    path += sizeof prefix - 1;
    struct span rest = span_of(path, strlen(path));
    bool has_format = cut_format(&rest, &q->format);
    const struct rest_row *row = find_row(&rest);
    if (!row)
        return 404;
    if (!has_format || (row->json_only && q->format != REST_JSON))
        return refuse(q, 404, "output format not found (available: %s)",
                      row->json_only ? "json" : ".bin, .hex, .json");
    q->subject = row->subject;
    return row->take(q, rest);
}

/* --- bodies --------------------------------------------------------------------------------- */

static int read_outpoints(struct rest_query *q, struct reader *r)
{
    uint8_t flag = read_u8(r);
    size_t n = read_count(r, 36);
    if (r->failed || flag > 1)
        return refuse(q, 400, "Parse error");
    if (n > REST_OUTPOINTS_MAX)
        return refuse(q, 400, "Error: max outpoints exceeded (max: %d, tried: %zu)",
                      REST_OUTPOINTS_MAX, n);
    q->check_mempool = flag;
    for (size_t i = 0; i < n; i++) {
        read_copy(r, q->outpoints[i].txid.b, 32);
        q->outpoints[i].index = read_le32(r);
    }
    q->n_outpoints = n;
    return reader_done(r) ? 0 : refuse(q, 400, "Parse error");
}

/* White space at the end is what `echo | curl` adds. */
static struct span without_line_end(struct span text)
{
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    return text;
}

int rest_body_parse(struct rest_query *q, struct span body)
{
    uint8_t raw[BODY_MAX];
    struct reader r;
    reader_init(&r, body.data, body.len);
    if (q->format == REST_HEX) {
        struct span text = without_line_end(body);
        size_t len = 0;
        if (!hex_decode(raw, sizeof raw, (const char *)text.data, text.len, &len))
            return refuse(q, 400, "Parse error");
        reader_init(&r, raw, len);
    }
    if (q->n_outpoints)
        return refuse(q, 400, "Combination of URI scheme inputs and raw post data is not allowed");
    return read_outpoints(q, &r);
}
