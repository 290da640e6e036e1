/*
 * The syntax of HTTP/1.x requests (RFC 9112): head and chunked body. Pure functions over memory,
 * no sockets; strict where two readings of a message could differ (attacks by request smuggling).
 */
#ifndef RPC_HTTP_PARSE_H
#define RPC_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HTTP_HEAD_MAX 8192 /* spec rpc 1.1 */
#define HTTP_HEADERS_MAX 64

struct http_field { const char *name, *value; };

/* All pointers lead into the text that was parsed. */
struct http_head {
    const char *method, *path, *query; /* query: after '?', or NULL */
    unsigned minor;                    /* HTTP/1.minor, 0 or 1 */
    bool keep_alive, chunked, expect_continue, has_length;
    uint64_t length;                   /* of the body when has_length */
    size_t n_fields;
    struct http_field fields[HTTP_HEADERS_MAX];
};

/* Bytes up to and with the empty line, 0 when it has not arrived. Leading empty lines count. */
size_t http_head_size(const char *text, size_t len);
/* Parses a head in place (line ends become NULs). ERR_PARSE: answer 400; ERR_RANGE: 431 or 501
 * as *status says. */
enum err http_head_parse(struct http_head *h, char *text, size_t len, int *status) MUST_CHECK;
/* Value of a field, name in any case; NULL when absent. */
const char *http_head_field(const struct http_head *h, const char *name);

/*
 * A Range field over a body of `size` bytes: one range, "bytes=a-b", "bytes=a-" or "bytes=-n".
 * Anything else, and NULL, asks for the whole (RFC 9110 14.2).
 */
enum http_range { RANGE_WHOLE, RANGE_PART, RANGE_UNSATISFIABLE };
enum http_range http_range_parse(const char *field, uint64_t size, uint64_t *from, uint64_t *len);

/* Decoder of a chunked body; feed pieces in order. */
struct http_chunks {
    enum http_chunk_state {
        CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE,
    } state;
    uint64_t left;     /* bytes of the current chunk */
    unsigned digits;   /* of the size read so far */
    unsigned overhead; /* bytes of extensions and trailers, limited */
    bool line_empty;   /* the trailer line so far */
};

void http_chunks_init(struct http_chunks *c);
/*
 * Consumes from *p up to end, at most to the end of a piece of content: *data and *n are that
 * piece (n 0: none). Call again until *p == end or the state is CHUNK_DONE. ERR_PARSE.
 */
enum err http_chunks_next(struct http_chunks *c, const char **p, const char *end, const char **data,
                          size_t *n) MUST_CHECK;

/* "OK" for 200 ... "Error" for a number without a name. */
const char *http_status_text(int status);

#endif
