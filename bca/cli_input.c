#include "bca/cli_input.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/file.h"

static bool is_text(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (!isprint(b->data[i]) && !isspace(b->data[i]))
            return false;
    return true;
}

static void drop_white_space(struct buf *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->len; i++)
        if (!isspace(b->data[i]))
            b->data[kept++] = b->data[i];
    b->len = kept;
}

/* Hex digits to bytes in place; the bytes never overtake the digits. */
static enum err from_hex(const char *what, struct buf *b, size_t limit, struct error *e)
{
    size_t len = 0;
    if (b->len / 2 > limit)
        return error_set(e, ERR_RANGE, "%s: more than %zu bytes", what, limit);
    if (b->len && !hex_decode(b->data, b->len / 2, (const char *)b->data, b->len, &len))
        return error_set(e, ERR_PARSE, "%s: no hex digits, or an odd number of them", what);
    b->len = len;
    return OK;
}

enum err cli_read_bytes(const char *what, const char *text, size_t limit, struct buf *out,
                        struct error *e)
{
    const bool from_input = strcmp(text, "-") == 0;
    if (text[0] != '@' && !from_input) {
        buf_reset(out);
        buf_put_str(out, text);
        return from_hex(what, out, limit, e);
    }
    /* Two digits and a line end for each byte at most. */
    enum err rc = file_read_all(from_input ? "/dev/stdin" : text + 1, 3 * limit + 2, out, e);
    if (rc)
        return error_prefix(e, rc, "%s", what);
    if (is_text(out)) {
        drop_white_space(out);
        return from_hex(what, out, limit, e);
    }
    return out->len > limit ? error_set(e, ERR_RANGE, "%s: more than %zu bytes", what, limit) : OK;
}

enum err cli_read_exact(const char *what, const char *text, uint8_t *out, size_t len,
                        struct error *e)
{
    struct buf b;
    buf_init(&b);
    enum err rc = cli_read_bytes(what, text, len, &b, e);
    if (!rc && b.len != len)
        rc = error_set(e, ERR_RANGE, "%s: %zu bytes where %zu are needed", what, b.len, len);
    if (!rc)
        memcpy(out, b.data, len);
    buf_wipe(&b);
    return rc;
}

enum err cli_read_address(const char *text, uint8_t out[16], struct error *e)
{
    size_t len;
    if (strlen(text) == 32 && hex_decode(out, 16, text, 32, &len))
        return OK;
    if (inet_pton(AF_INET6, text, out) == 1)
        return OK;
    return error_set(e, ERR_PARSE, "ADDRESS: %.80s is no IPv6 address", text);
}

enum err cli_read_prefix(const char *text, uint8_t out[8], struct error *e)
{
    static const uint8_t zeros[8];
    char address[INET6_ADDRSTRLEN] = "";
    uint8_t all[16];
    size_t len;
    if (strlen(text) == 16 && hex_decode(out, 8, text, 16, &len))
        return OK;
    const size_t n = strcspn(text, "/");
    if (n < sizeof address && (!text[n] || strcmp(text + n, "/64") == 0)) {
        memcpy(address, text, n);
        if (inet_pton(AF_INET6, address, all) == 1 && mem_equal_var(all + 8, zeros, 8)) {
            memcpy(out, all, 8);
            return OK;
        }
    }
    return error_set(e, ERR_PARSE, "option prefix: %.80s is no IPv6 prefix of 64 bits", text);
}
