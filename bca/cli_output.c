#include "bca/cli_output.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "base/ids.h"

void cli_record_init(struct cli_record *r, bool json)
{
    r->json = json;
    buf_init(&r->text);
}

static void put_name(struct cli_record *r, const char *name)
{
    if (r->json)
        buf_printf(&r->text, "%s\"%s\":", r->text.len ? "," : "{", name);
    else
        buf_printf(&r->text, "%s%s: ", r->text.len ? "\n" : "", name);
}

static void put_quote(struct cli_record *r)
{
    if (r->json)
        buf_put_u8(&r->text, '"');
}

void cli_put_null(struct cli_record *r, const char *name)
{
    if (!r->json)
        return;
    put_name(r, name);
    buf_put_str(&r->text, "null");
}

void cli_put_text(struct cli_record *r, const char *name, const char *value)
{
    if (!value) {
        cli_put_null(r, name);
        return;
    }
    put_name(r, name);
    put_quote(r);
    buf_put_str(&r->text, value);
    put_quote(r);
}

void cli_put_number(struct cli_record *r, const char *name, int64_t value)
{
    put_name(r, name);
    buf_printf(&r->text, "%" PRId64, value);
}

void cli_put_bool(struct cli_record *r, const char *name, bool value)
{
    put_name(r, name);
    buf_put_str(&r->text, value ? "true" : "false");
}

void cli_put_hex(struct cli_record *r, const char *name, const void *data, size_t len)
{
    put_name(r, name);
    put_quote(r);
    buf_put_hex(&r->text, data, len);
    put_quote(r);
}

void cli_put_hash(struct cli_record *r, const char *name, const uint8_t hash[32])
{
    char text[HASH_HEX_SIZE];
    cli_put_text(r, name, hash_to_hex(text, hash));
}

void cli_put_siblings(struct cli_record *r, const char *name, const uint8_t *hashes, unsigned n)
{
    put_name(r, name);
    if (r->json)
        buf_put_u8(&r->text, '[');
    for (unsigned k = 0; k < n; k++) {
        if (k)
            buf_put_u8(&r->text, r->json ? ',' : ' ');
        put_quote(r);
        buf_put_hex(&r->text, hashes + 32 * k, 32);
        put_quote(r);
    }
    if (r->json)
        buf_put_u8(&r->text, ']');
}

void cli_put_address(struct cli_record *r, const char *name, const uint8_t address[16])
{
    char text[INET6_ADDRSTRLEN];
    cli_put_text(r, name, inet_ntop(AF_INET6, address, text, sizeof text));
}

bool cli_record_print(struct cli_record *r)
{
    buf_put_str(&r->text, r->json ? "}\n" : "\n");
    const bool printed = buf_print(&r->text);
    buf_clear(&r->text);
    return printed;
}
