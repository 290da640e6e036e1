#include "wallet/brc43.h"

#include <ctype.h>

#include "base/base64.h"

enum {
    PROTOCOL_MIN = 5,
    PROTOCOL_MAKE_MAX = 280,
    PROTOCOL_ACCEPT_MAX = 400,
    LINKAGE_ACCEPT_MAX = 430, /* "specific linkage revelation ..." names another protocol */
    KEY_ID_MAKE_MAX = 800,
    KEY_ID_ACCEPT_MAX = 1033,
};

static struct span trimmed(struct span s)
{
    while (s.len && isspace(s.data[0]))
        s = span_of(s.data + 1, s.len - 1);
    while (s.len && isspace(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool starts_with(struct span s, const char *text)
{
    const size_t len = strlen(text);
    return s.len >= len && mem_equal_var(s.data, text, len);
}

static bool ends_with(struct span s, const char *text)
{
    const size_t len = strlen(text);
    return s.len >= len && mem_equal_var(s.data + s.len - len, text, len);
}

static size_t protocol_max(struct span name, enum brc43_use use)
{
    if (use == BRC43_MAKE)
        return PROTOCOL_MAKE_MAX;
    return starts_with(name, "specific linkage revelation ") ? LINKAGE_ACCEPT_MAX
                                                             : PROTOCOL_ACCEPT_MAX;
}

static enum err check_characters(struct span name, struct error *e)
{
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != ' ')
            return error_set(e, ERR_RANGE, "a protocol has only letters, digits and spaces");
        if (c == ' ' && name.data[i - 1] == ' ') /* the first one is no space */
            return error_set(e, ERR_RANGE, "a protocol has no two spaces in a row");
    }
    return OK;
}

/* name: trimmed and in lower case. */
static enum err check_protocol(struct span name, enum brc43_use use, struct error *e)
{
    const size_t max = protocol_max(name, use);
    if (name.len < PROTOCOL_MIN || name.len > max)
        return error_set(e, ERR_RANGE, "a protocol has %d to %zu characters, not %zu",
                         PROTOCOL_MIN, max, name.len);
    if (check_characters(name, e))
        return ERR_RANGE;
    if (ends_with(name, " protocol"))
        return error_set(e, ERR_RANGE, "a protocol does not end in \"protocol\"");
    if (use == BRC43_MAKE && (starts_with(name, "admin") || starts_with(name, "p ")))
        return error_set(e, ERR_RANGE,
                         "protocols that begin with \"admin\" or \"p \" are reserved");
    return OK;
}

enum err brc43_invoice(struct buf *out, unsigned level, struct span protocol, struct span key_id,
                       enum brc43_use use, struct error *e)
{
    const struct span raw = trimmed(protocol);
    const size_t key_max = use == BRC43_MAKE ? KEY_ID_MAKE_MAX : KEY_ID_ACCEPT_MAX;
    if (level > BRC43_LEVEL_MAX)
        return error_set(e, ERR_RANGE, "the security level is 0, 1 or 2, not %u", level);
    if (key_id.len < 1 || key_id.len > key_max)
        return error_set(e, ERR_RANGE, "a key id has 1 to %zu bytes, not %zu", key_max, key_id.len);
    if (raw.len > LINKAGE_ACCEPT_MAX)
        return error_set(e, ERR_RANGE, "a protocol has at most %d characters", LINKAGE_ACCEPT_MAX);
    uint8_t name[LINKAGE_ACCEPT_MAX];
    for (size_t i = 0; i < raw.len; i++)
        name[i] = (uint8_t)tolower(raw.data[i]);
    if (check_protocol(span_of(name, raw.len), use, e))
        return ERR_RANGE;
    buf_printf(out, "%u-", level);
    buf_put(out, name, raw.len);
    buf_put_u8(out, '-');
    buf_put(out, key_id.data, key_id.len);
    return OK;
}

void brc43_message_invoice(struct buf *out, const char *protocol,
                           const uint8_t key_id[BRC43_KEY_ID_SIZE])
{
    struct buf text;
    buf_init(&text);
    base64_encode(&text, key_id, BRC43_KEY_ID_SIZE);
    BUG_ON(brc43_invoice(out, BRC43_LEVEL_MAX, span_of(protocol, strlen(protocol)),
                         buf_span(&text), BRC43_MAKE, NULL));
    buf_clear(&text);
}
