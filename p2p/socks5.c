/*
 * The proxy's answer is collected in s->in until the length of the current step is known and
 * there; the longest is a reply with a 255-byte name, which s->in holds. One step at a time:
 * bytes after the reply stay with the caller.
 */
#include "p2p/socks5.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "p2p/netaddr.h"

enum { VERSION = 5, AUTH_VERSION = 1, CMD_CONNECT = 1 };
enum { METHOD_NONE = 0, METHOD_PASSWORD = 2 };
enum { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };

static enum err put_text(uint8_t *out, size_t *len, const char *text, const char *what,
                         struct error *e)
{
    size_t n = strlen(text);
    if (n == 0 || n > SOCKS5_TEXT_MAX)
        return error_set(e, ERR_RANGE, "proxy %s must have 1 to 255 bytes", what);
    out[(*len)++] = (uint8_t)n;
    memcpy(out + *len, text, n);
    *len += n;
    return OK;
}

/* RFC 1929 */
static enum err prepare_auth(struct socks5 *s, const char *user, const char *password,
                             struct error *e)
{
    if (!user)
        return OK;
    s->auth[s->auth_len++] = AUTH_VERSION;
    enum err rc = put_text(s->auth, &s->auth_len, user, "user", e);
    if (rc == OK)
        rc = put_text(s->auth, &s->auth_len, password ? password : "", "password", e);
    return rc;
}

static void put_greeting(const struct socks5 *s, struct buf *out)
{
    buf_put_u8(out, VERSION);
    buf_put_u8(out, s->auth_len ? 2 : 1);
    buf_put_u8(out, METHOD_NONE);
    if (s->auth_len)
        buf_put_u8(out, METHOD_PASSWORD);
}

static enum err begin(struct socks5 *s, const char *user, const char *password, struct error *e)
{
    *s = (struct socks5){ .state = SOCKS5_FAILED };
    enum err rc = prepare_auth(s, user, password, e);
    if (rc)
        return rc;
    s->request[s->request_len++] = VERSION;
    s->request[s->request_len++] = CMD_CONNECT;
    s->request[s->request_len++] = 0;
    return OK;
}

static void finish(struct socks5 *s, uint16_t port, struct buf *out)
{
    s->request[s->request_len++] = (uint8_t)(port >> 8);
    s->request[s->request_len++] = (uint8_t)port;
    s->state = SOCKS5_METHOD;
    put_greeting(s, out);
}

enum err socks5_start_addr(struct socks5 *s, const struct netaddr *target, const char *user,
                           const char *password, struct buf *out, struct error *e)
{
    enum err rc = begin(s, user, password, e);
    if (rc)
        return rc;
    bool ipv4 = netaddr_is_ipv4(target);
    size_t size = ipv4 ? 4 : 16;
    s->request[s->request_len++] = ipv4 ? TYPE_IPV4 : TYPE_IPV6;
    memcpy(s->request + s->request_len, target->ip + 16 - size, size);
    s->request_len += size;
    finish(s, target->port, out);
    return OK;
}

enum err socks5_start_name(struct socks5 *s, const char *host, uint16_t port, const char *user,
                           const char *password, struct buf *out, struct error *e)
{
    enum err rc = begin(s, user, password, e);
    if (rc)
        return rc;
    s->request[s->request_len++] = TYPE_NAME;
    rc = put_text(s->request, &s->request_len, host, "host name", e);
    if (rc)
        return rc;
    finish(s, port, out);
    return OK;
}

static void send_request(struct socks5 *s, struct buf *out)
{
    buf_put(out, s->request, s->request_len);
    s->state = SOCKS5_REPLY;
}

static enum err on_method(struct socks5 *s, struct buf *out, struct error *e)
{
    if (s->in[0] != VERSION)
        return error_set(e, ERR_PROTO, "proxy does not speak SOCKS5");
    if (s->in[1] == METHOD_NONE) {
        send_request(s, out);
        return OK;
    }
    if (s->in[1] != METHOD_PASSWORD || !s->auth_len)
        return error_set(e, ERR_AUTH, "proxy wants another way to log in (method %u)", s->in[1]);
    buf_put(out, s->auth, s->auth_len);
    s->state = SOCKS5_AUTH;
    return OK;
}

static enum err on_auth(struct socks5 *s, struct buf *out, struct error *e)
{
    if (s->in[0] != AUTH_VERSION)
        return error_set(e, ERR_PROTO, "proxy answered the password in an unknown way");
    if (s->in[1] != 0)
        return error_set(e, ERR_AUTH, "proxy refused user or password");
    send_request(s, out);
    return OK;
}

/* RFC 1928 section 6 */
static const char *reply_text(uint8_t code)
{
    static const char *const text[] = {
        "succeeded", "general failure", "connection not allowed", "network unreachable",
        "host unreachable", "connection refused", "time to live expired",
        "command not supported", "address type not supported",
    };
    return code < sizeof text / sizeof text[0] ? text[code] : "unknown reply";
}

static enum err on_reply(struct socks5 *s, struct buf *out, struct error *e)
{
    (void)out;
    if (s->in[0] != VERSION || s->in[2] != 0)
        return error_set(e, ERR_PROTO, "proxy sent a broken reply");
    if (s->in[1] != 0)
        return error_set(e, ERR_IO, "proxy: %s (%u)", reply_text(s->in[1]), s->in[1]);
    s->state = SOCKS5_DONE;
    return OK;
}

/* Length of the reply as far as the bytes so far tell; 0: no address type of SOCKS5. */
static size_t reply_size(const struct socks5 *s)
{
    if (s->in_len < 5)
        return 5;
    switch (s->in[3]) {
    case TYPE_IPV4: return 4 + 4 + 2;
    case TYPE_IPV6: return 4 + 16 + 2;
    case TYPE_NAME: return 4 + 1 + (size_t)s->in[4] + 2;
    default: return 0;
    }
}

static size_t step_size(const struct socks5 *s)
{
    return s->state == SOCKS5_REPLY ? reply_size(s) : 2;
}

static enum err step(struct socks5 *s, struct buf *out, struct error *e)
{
    static enum err (*const steps[])(struct socks5 *, struct buf *, struct error *) = {
        [SOCKS5_METHOD] = on_method, [SOCKS5_AUTH] = on_auth, [SOCKS5_REPLY] = on_reply,
    };
    enum err rc = steps[s->state](s, out, e);
    s->in_len = 0;
    return rc;
}

enum err socks5_feed(struct socks5 *s, const void *data, size_t len, size_t *used, struct buf *out,
                     struct error *e)
{
    const uint8_t *p = data;
    enum err rc = OK;
    *used = 0;
    if (s->state == SOCKS5_FAILED)
        return error_set(e, ERR_PROTO, "proxy handshake has failed already");
    while (rc == OK && s->state < SOCKS5_DONE && *used < len) {
        s->in[s->in_len++] = p[(*used)++];
        size_t need = step_size(s);
        if (need == 0)
            rc = error_set(e, ERR_PROTO, "proxy sent an unknown address type (%u)", s->in[3]);
        else if (s->in_len == need)
            rc = step(s, out, e);
    }
    if (rc)
        s->state = SOCKS5_FAILED;
    return rc;
}

void socks5_clear(struct socks5 *s)
{
    secure_wipe(s, sizeof *s);
    s->state = SOCKS5_FAILED;
}
