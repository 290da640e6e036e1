/*
 * SOCKS5 client (RFC 1928, RFC 1929): bytes in, bytes out, no sockets (attacks D11). Every length
 * is checked before it is used, nothing is read past the proxy's reply, and a reply has a fixed
 * upper size. Not thread safe; the connection that dials owns it.
 */
#ifndef P2P_SOCKS5_H
#define P2P_SOCKS5_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct netaddr;

#define SOCKS5_TEXT_MAX 255 /* host, user and password: one length byte */
#define SOCKS5_DEFAULT_PORT 9050

enum socks5_state {
    SOCKS5_METHOD,  /* waiting for the method the proxy chose */
    SOCKS5_AUTH,    /* waiting for the answer to user and password */
    SOCKS5_REPLY,   /* waiting for the answer to CONNECT */
    SOCKS5_DONE,    /* connected: further bytes belong to the peer */
    SOCKS5_FAILED,
};

struct socks5 {
    enum socks5_state state;
    uint8_t request[4 + 1 + SOCKS5_TEXT_MAX + 2]; /* CONNECT, ready to send */
    size_t request_len;
    uint8_t auth[3 + 2 * SOCKS5_TEXT_MAX];        /* empty: no user */
    size_t auth_len;
    uint8_t in[4 + 1 + SOCKS5_TEXT_MAX + 2];      /* the reply so far */
    size_t in_len;
};

/* user NULL: no authentication. Appends the greeting to out. ERR_RANGE: empty or overlong text. */
enum err socks5_start_addr(struct socks5 *s, const struct netaddr *target, const char *user,
                           const char *password, struct buf *out, struct error *e) MUST_CHECK;
/* The proxy resolves the name. */
enum err socks5_start_name(struct socks5 *s, const char *host, uint16_t port, const char *user,
                           const char *password, struct buf *out, struct error *e) MUST_CHECK;
/*
 * Takes bytes from the proxy: *used says how many (the rest is the peer's once state is
 * SOCKS5_DONE), what is to be sent is appended to out. ERR_PROTO for a broken proxy, ERR_AUTH
 * when it refuses us, ERR_IO with its reason when the target cannot be reached; then it is FAILED.
 */
enum err socks5_feed(struct socks5 *s, const void *data, size_t len, size_t *used, struct buf *out,
                     struct error *e) MUST_CHECK;
/* Wipes the password. */
void socks5_clear(struct socks5 *s);

#endif
