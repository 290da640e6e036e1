/*
 * Passwords are not kept: what is stored and compared is an HMAC of "user:password" under a random
 * key of this process, so that neither length nor content shows in the time a comparison takes.
 */
#include "rpc/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/netaddr.h"

#define CREDENTIALS_MAX 1024 /* of "user:password" as received */

struct hashed {
    char *user, *salt;
    char digest[64]; /* hex */
};

struct rpc_auth {
    uint8_t key[32];
    uint8_t (*plain)[32]; /* HMAC of "user:password" */
    size_t n_plain;
    struct hashed *hashed;
    size_t n_hashed;
    struct subnet *allowed;
    size_t n_allowed;
};

struct rpc_auth *rpc_auth_new(void)
{
    struct rpc_auth *a = xcalloc(1, sizeof *a);
    rand_bytes(a->key, sizeof a->key);
    return a;
}

void rpc_auth_free(struct rpc_auth *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_hashed; i++) {
        free(a->hashed[i].user);
        free(a->hashed[i].salt);
    }
    free(a->hashed);
    free(a->plain);
    free(a->allowed);
    secure_wipe(a, sizeof *a);
    free(a);
}

static void add_plain(struct rpc_auth *a, const char *user_password)
{
    a->plain = xrealloc(a->plain, (a->n_plain + 1) * sizeof *a->plain);
    hmac_sha256(a->plain[a->n_plain++], a->key, sizeof a->key, user_password,
                strlen(user_password));
}

void rpc_auth_add_password(struct rpc_auth *a, const char *user, const char *password)
{
    char *both = xasprintf("%s:%s", user, password);
    add_plain(a, both);
    secure_wipe(both, strlen(both));
    free(both);
}

enum err rpc_auth_add_hashed(struct rpc_auth *a, const char *rpcauth, struct error *e)
{
    const char *colon = strchr(rpcauth, ':');
    const char *dollar = colon ? strchr(colon + 1, '$') : NULL;
    uint8_t digest[32];
    size_t n;
    if (!dollar || colon == rpcauth || dollar == colon + 1 || strlen(dollar + 1) != 64 ||
        !hex_decode(digest, sizeof digest, dollar + 1, 64, &n))
        return error_set(e, ERR_PARSE, "option rpcauth: allowed is <user>:<salt>$<64 hex digits>");
    a->hashed = xrealloc(a->hashed, (a->n_hashed + 1) * sizeof *a->hashed);
    struct hashed *h = &a->hashed[a->n_hashed++];
    h->user = xstrndup(rpcauth, (size_t)(colon - rpcauth));
    h->salt = xstrndup(colon + 1, (size_t)(dollar - colon - 1));
    char hex[65];
    hex_encode(hex, digest, 32); /* lower case */
    memcpy(h->digest, hex, 64);
    return OK;
}

enum err rpc_auth_write_cookie(struct rpc_auth *a, const char *path, struct error *e)
{
    uint8_t secret[32];
    char text[12 + 64 + 1] = "__cookie__:";
    enum err rc = rand_secret(secret, sizeof secret, e);
    if (rc)
        return rc;
    hex_encode(text + 11, secret, sizeof secret);
    secure_wipe(secret, sizeof secret);
    unlink(path); /* an old file may have a wider mode */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(e, errno, "cookie file %s", path);
    size_t len = strlen(text);
    if (write(fd, text, len) != (ssize_t)len)
        rc = error_set_errno(e, errno, "cookie file %s", path);
    if (close(fd) && !rc)
        rc = error_set_errno(e, errno, "cookie file %s", path);
    if (!rc)
        add_plain(a, text);
    secure_wipe(text, sizeof text);
    return rc;
}

enum err rpc_auth_allow(struct rpc_auth *a, const char *subnet, struct error *e)
{
    struct subnet s;
    enum err rc = subnet_parse(&s, subnet, e);
    if (rc)
        return error_prefix(e, rc, "option rpcallowip=%.80s", subnet);
    a->allowed = xrealloc(a->allowed, (a->n_allowed + 1) * sizeof *a->allowed);
    a->allowed[a->n_allowed++] = s;
    return OK;
}

static bool is_loopback(const struct netaddr *a)
{
    static const uint8_t v6[16] = { [15] = 1 };
    return netaddr_is_ipv4(a) ? a->ip[12] == 127 : mem_equal_var(a->ip, v6, 16);
}

bool rpc_auth_allows(const struct rpc_auth *a, const struct sockaddr *peer)
{
    struct netaddr addr;
    if (peer->sa_family == AF_UNSPEC || peer->sa_family == AF_UNIX)
        return true; /* a socket pair of our own process */
    if (!netaddr_from_sockaddr(&addr, peer))
        return false;
    if (is_loopback(&addr))
        return true;
    for (size_t i = 0; i < a->n_allowed; i++)
        if (subnet_contains(&a->allowed[i], &addr))
            return true;
    return false;
}

char *rpc_auth_field(const char *user_password)
{
    struct buf b;
    buf_init(&b);
    buf_put_str(&b, "Basic ");
    base64_encode(&b, user_password, strlen(user_password));
    buf_put_u8(&b, 0);
    return (char *)buf_take(&b, NULL);
}

/* --- checking ------------------------------------------------------------------------------- */

static bool matches_hashed(const struct hashed *h, const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (!colon || user_len != strlen(h->user) || !mem_equal_var(text, h->user, user_len))
        return false;
    uint8_t mac[32];
    char hex[65];
    hmac_sha256(mac, h->salt, strlen(h->salt), colon + 1, len - user_len - 1);
    hex_encode(hex, mac, sizeof mac);
    return ct_equal(hex, h->digest, 64);
}

static bool credentials_known(const struct rpc_auth *a, const char *text, size_t len)
{
    uint8_t mac[32];
    bool known = false;
    hmac_sha256(mac, a->key, sizeof a->key, text, len);
    for (size_t i = 0; i < a->n_plain; i++)
        known |= ct_equal(mac, a->plain[i], 32);
    for (size_t i = 0; i < a->n_hashed; i++)
        known |= matches_hashed(&a->hashed[i], text, len);
    return known;
}

enum auth_answer rpc_auth_check(const struct rpc_auth *a, const char *field)
{
    uint8_t text[CREDENTIALS_MAX];
    if (!field)
        return AUTH_MISSING;
    if (strncasecmp(field, "Basic ", 6) != 0)
        return AUTH_WRONG;
    field += 6 + strspn(field + 6, " ");
    size_t len = base64_decode(text, sizeof text, field);
    bool known = len != SIZE_MAX && credentials_known(a, (const char *)text, len);
    secure_wipe(text, sizeof text);
    return known ? AUTH_OK : AUTH_WRONG;
}
