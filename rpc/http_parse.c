#include "rpc/http_parse.h"

#include <string.h>
#include <strings.h>

#include "base/intmath.h"

#define CHUNK_OVERHEAD_MAX 4096

size_t http_head_size(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    while (p < end && (*p == '\r' || *p == '\n'))
        p++; /* RFC 9112 2.2: empty lines before a request are ignored */
    while ((p = memchr(p, '\n', (size_t)(end - p)))) {
        p++;
        if (p < end && *p == '\n')
            return (size_t)(p + 1 - text);
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
            return (size_t)(p + 2 - text);
    }
    return 0;
}

static bool is_token(const char *s, size_t n)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (!c || !strchr(extra, c)))
            return false;
    }
    return n > 0;
}

/* Cuts the line at p, which ends in LF or CRLF; NULL when there is none or a NUL or
 * CR is inside. */
static char *take_line(char **p, char *end)
{
    char *line = *p, *eol = memchr(line, '\n', (size_t)(end - line));
    if (!eol)
        return NULL;
    *p = eol + 1;
    if (eol > line && eol[-1] == '\r')
        eol--;
    *eol = 0;
    return memchr(line, 0, (size_t)(eol - line)) || memchr(line, '\r', (size_t)(eol - line)) ? NULL
                                                                                             : line;
}

/* "http://host/path" to "/path": proxies and some clients send the absolute form. */
static char *origin_form(char *target)
{
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    char *slash = strchr(target + 7, '/');
    return slash ? slash : target + strlen(target);
}

static bool parse_request_line(struct http_head *h, char *line)
{
    char *space = strchr(line, ' ');
    if (!space || !is_token(line, (size_t)(space - line)))
        return false;
    *space = 0;
    char *target = space + 1;
    space = strchr(target, ' ');
    if (!space || strncmp(space + 1, "HTTP/1.", 7) != 0)
        return false;
    *space = 0;
    const char *minor = space + 8;
    if (minor[0] < '0' || minor[0] > '9' || minor[1])
        return false;
    h->minor = *minor != '0';
    h->method = line;
    target = origin_form(target);
    h->path = *target ? target : "/";
    char *question = strchr(target, '?');
    if (question) {
        *question = 0;
        h->query = question + 1;
    }
    return h->path[0] == '/' || h->path[0] == '*';
}

/* Digits at *p, as many as there are; at least one. */
static bool take_number(const char **p, uint64_t *out)
{
    const char *start = *p;
    uint64_t v = 0;
    for (; **p >= '0' && **p <= '9'; ++*p)
        if (!mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(**p - '0'), &v))
            return false;
    *out = v;
    return *p != start;
}

static bool parse_length(const char *text, uint64_t *out)
{
    return take_number(&text, out) && !*text;
}

/* Is word one of the comma-separated elements, in any case? */
static bool has_element(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (*list) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == len && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* What the server must know of a field. False: refuse the request with *status. */
static bool note_field(struct http_head *h, const struct http_field *f, int *status)
{
    if (strcasecmp(f->name, "Content-Length") == 0) {
        uint64_t length;
        if (!parse_length(f->value, &length) || (h->has_length && h->length != length))
            return false;
        h->has_length = true;
        h->length = length;
    } else if (strcasecmp(f->name, "Transfer-Encoding") == 0) {
        if (strcasecmp(f->value, "chunked") != 0 || h->chunked) {
            *status = 501;
            return false;
        }
        h->chunked = true;
    } else if (strcasecmp(f->name, "Connection") == 0) {
        if (has_element(f->value, "close"))
            h->keep_alive = false;
        else if (has_element(f->value, "keep-alive"))
            h->keep_alive = true;
    } else if (strcasecmp(f->name, "Expect") == 0) {
        h->expect_continue = strcasecmp(f->value, "100-continue") == 0;
    }
    return true;
}

static bool parse_field(struct http_field *f, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return false; /* also folded lines, which begin with white space */
    *colon = 0;
    char *value = colon + 1;
    value += strspn(value, " \t");
    size_t n = strlen(value);
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        value[--n] = 0;
    *f = (struct http_field){ line, value };
    return true;
}

enum err http_head_parse(struct http_head *h, char *text, size_t len, int *status)
{
    char *p = text, *end = text + len;
    *h = (struct http_head){ 0 };
    *status = 400;
    while (p < end && (*p == '\r' || *p == '\n'))
        p++;
    char *line = take_line(&p, end);
    if (!line || !parse_request_line(h, line))
        return ERR_PARSE;
    h->keep_alive = h->minor == 1;
    while ((line = take_line(&p, end)) && *line) {
        if (h->n_fields == HTTP_HEADERS_MAX) {
            *status = 431;
            return ERR_RANGE;
        }
        struct http_field *f = &h->fields[h->n_fields++];
        if (!parse_field(f, line) || !note_field(h, f, status))
            return *status == 400 ? ERR_PARSE : ERR_RANGE;
    }
    if (!line || (h->chunked && h->has_length))
        return ERR_PARSE; /* RFC 9112 6.3: both lengths at once are an attack */
    return OK;
}

const char *http_head_field(const struct http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (strcasecmp(h->fields[i].name, name) == 0)
            return h->fields[i].value;
    return NULL;
}

/* "a-b", "a-" or "-n" as first and last byte, last at most size - 1. */
static bool take_range(const char *p, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t n;
    if (*p == '-') {
        p++;
        if (!take_number(&p, &n) || *p)
            return false;
        *first = n ? size - MIN_OF(n, size) : size;
        *last = size - 1;
        return true;
    }
    if (!take_number(&p, first) || *p++ != '-')
        return false;
    *last = UINT64_MAX;
    if (*p && (!take_number(&p, last) || *p || *last < *first))
        return false;
    *last = size ? MIN_OF(*last, size - 1) : 0;
    return true;
}

enum http_range http_range_parse(const char *field, uint64_t size, uint64_t *from, uint64_t *len)
{
    uint64_t first, last;
    *from = 0;
    *len = size;
    if (!field || strncasecmp(field, "bytes=", 6) != 0 ||
        !take_range(field + 6, size, &first, &last))
        return RANGE_WHOLE;
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    *from = first;
    *len = last - first + 1;
    return RANGE_PART;
}

/* --- chunked bodies ------------------------------------------------------------------------- */

void http_chunks_init(struct http_chunks *c) { *c = (struct http_chunks){ .state = CHUNK_SIZE }; }

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum err size_ended(struct http_chunks *c)
{
    if (!c->digits)
        return ERR_PARSE;
    c->digits = 0;
    c->line_empty = true;
    c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
    return OK;
}

static enum err size_byte(struct http_chunks *c, char byte)
{
    int digit = digit_of(byte);
    if (digit >= 0) {
        if (c->digits++ == 15)
            return ERR_PARSE;
        c->left = c->left << 4 | (uint64_t)digit;
        return OK;
    }
    if (byte == '\n')
        return size_ended(c);
    if (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t')
        return ERR_PARSE;
    c->state = CHUNK_EXTENSION;
    return OK;
}

/* One byte of everything that is not content. */
static enum err frame_byte(struct http_chunks *c, char byte)
{
    if (c->state == CHUNK_SIZE)
        return size_byte(c, byte);
    if (c->state == CHUNK_DATA_END) {
        if (byte == '\n')
            c->state = CHUNK_SIZE;
        return byte == '\n' || byte == '\r' ? OK : ERR_PARSE;
    }
    if (c->state == CHUNK_EXTENSION && byte == '\n')
        return size_ended(c);
    if (++c->overhead > CHUNK_OVERHEAD_MAX)
        return ERR_PARSE;
    if (c->state == CHUNK_EXTENSION)
        return OK;
    if (byte == '\n') {
        if (c->line_empty)
            c->state = CHUNK_DONE;
        c->line_empty = true;
    } else if (byte != '\r') {
        c->line_empty = false;
    }
    return OK;
}

enum err http_chunks_next(struct http_chunks *c, const char **p, const char *end, const char **data,
                          size_t *n)
{
    *data = *p;
    *n = 0;
    while (*p < end && c->state != CHUNK_DONE) {
        if (c->state == CHUNK_DATA) {
            size_t have = (size_t)(end - *p);
            *data = *p;
            *n = c->left < have ? (size_t)c->left : have;
            *p += *n;
            c->left -= *n;
            if (!c->left)
                c->state = CHUNK_DATA_END;
            return OK;
        }
        enum err rc = frame_byte(c, *(*p)++);
        if (rc)
            return rc;
    }
    return OK;
}

const char *http_status_text(int status)
{
    static const struct { int status; const char *text; } names[] = {
        { 200, "OK" }, { 204, "No Content" }, { 206, "Partial Content" }, { 400, "Bad Request" },
        { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 410, "Gone" },
        { 413, "Content Too Large" }, { 416, "Range Not Satisfiable" },
        { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 503, "Service Unavailable" },
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].status == status)
            return names[i].text;
    return "Error";
}
