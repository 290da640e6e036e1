/*
 * Text form of addresses and subnets (spec p2p 7.5). The system's inet_pton decides what an address
 * is; this file takes brackets, ports, scopes and prefix lengths apart.
 */
#include "p2p/netaddr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 256 /* a host name of 255 and NUL */

/* Decimal digits only, no sign, at most max. */
static bool parse_number(const char *text, size_t len, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *out = (uint32_t)v;
    return v <= max;
}

/* Parts of "[host]:port", "host:port", "host". port is NULL when there is none. */
struct host_port {
    const char *host, *port;
    size_t host_len;
};

static bool split(const char *text, struct host_port *out)
{
    *out = (struct host_port){ .host = text, .host_len = strlen(text) };
    const char *colon = strrchr(text, ':');
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close || (close[1] != '\0' && close[1] != ':'))
            return false;
        out->host = text + 1;
        out->host_len = (size_t)(close - out->host);
        out->port = close[1] == ':' ? close + 2 : NULL;
    } else if (colon && strchr(text, ':') == colon) {
        out->host_len = (size_t)(colon - text);
        out->port = colon + 1;
    }
    return out->host_len > 0;
}

enum err netaddr_split_host_port(const char *text, char *host, size_t host_cap, uint16_t *port,
                                 struct error *e)
{
    struct host_port hp;
    uint32_t number;
    if (!split(text, &hp) || hp.host_len >= host_cap)
        return error_set(e, ERR_PARSE, "not a host: '%.100s'", text);
    if (hp.port) {
        if (!parse_number(hp.port, strlen(hp.port), UINT16_MAX, &number))
            return error_set(e, ERR_PARSE, "bad port in '%.100s'", text);
        *port = (uint16_t)number;
    }
    memcpy(host, hp.host, hp.host_len);
    host[hp.host_len] = '\0';
    return OK;
}

/* Interface name or number. */
static bool parse_scope(const char *text, uint32_t *scope)
{
    if (parse_number(text, strlen(text), UINT32_MAX, scope))
        return *scope != 0;
    *scope = if_nametoindex(text);
    return *scope != 0;
}

enum err netaddr_parse_ip(struct netaddr *out, const char *text, struct error *e)
{
    char host[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    uint32_t scope = 0;
    const char *percent = strchr(text, '%');
    size_t len = percent ? (size_t)(percent - text) : strlen(text);
    if (len >= sizeof host)
        return error_set(e, ERR_PARSE, "not an address: '%.100s'", text);
    memcpy(host, text, len);
    host[len] = '\0';
    if (!percent && inet_pton(AF_INET, host, ip) == 1) {
        netaddr_from_ipv4(out, ip, 0);
        return OK;
    }
    if (inet_pton(AF_INET6, host, ip) != 1)
        return error_set(e, ERR_PARSE, "not an address: '%.100s'", text);
    if (percent && !parse_scope(percent + 1, &scope))
        return error_set(e, ERR_PARSE, "no interface named in '%.100s'", text);
    netaddr_from_ipv6(out, ip, 0);
    out->scope_id = scope;
    return OK;
}

enum err netaddr_parse(struct netaddr *out, const char *text, uint16_t default_port,
                       struct error *e)
{
    char host[HOST_MAX];
    uint16_t port = default_port;
    enum err rc = netaddr_split_host_port(text, host, sizeof host, &port, e);
    if (rc)
        return rc;
    if (text[0] == '[' && !strchr(host, ':'))
        return error_set(e, ERR_PARSE, "brackets are for IPv6: '%.100s'", text);
    rc = netaddr_parse_ip(out, host, e);
    if (rc)
        return rc;
    out->port = port;
    return OK;
}

/* Digits and dots, or hex groups and the scope; NUL terminated. */
static void print_ip(char *out, size_t cap, const struct netaddr *a)
{
    if (netaddr_is_ipv4(a)) {
        snprintf(out, cap, "%u.%u.%u.%u", a->ip[12], a->ip[13], a->ip[14], a->ip[15]);
        return;
    }
    char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
    if (!inet_ntop(AF_INET6, a->ip, text, sizeof text))
        text[0] = '\0';
    if (!a->scope_id)
        snprintf(out, cap, "%s", text);
    else if (if_indextoname(a->scope_id, name))
        snprintf(out, cap, "%s%%%s", text, name);
    else
        snprintf(out, cap, "%s%%%u", text, a->scope_id);
}

char *netaddr_print(char out[NETADDR_TEXT_MAX], const struct netaddr *a, enum netaddr_print how)
{
    char ip[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    print_ip(ip, sizeof ip, a);
    if (how == NETADDR_IP_ONLY)
        snprintf(out, NETADDR_TEXT_MAX, "%s", ip);
    else
        snprintf(out, NETADDR_TEXT_MAX, netaddr_is_ipv4(a) ? "%s:%u" : "[%s]:%u", ip, a->port);
    return out;
}

/* Length of a contiguous IPv4 or IPv6 mask of len bytes, or false. */
static bool mask_bits(const uint8_t *mask, size_t len, uint32_t *bits)
{
    uint32_t n = 0;
    while (n < len * 8 && (mask[n / 8] >> (7 - n % 8) & 1))
        n++;
    for (size_t i = n; i < len * 8; i++)
        if (mask[i / 8] >> (7 - i % 8) & 1)
            return false;
    *bits = n;
    return true;
}

/* "24" or "255.255.255.0" for an address of `width` bits. */
static bool parse_prefix(const char *text, bool ipv4, uint32_t *bits)
{
    uint8_t mask[16];
    if (parse_number(text, strlen(text), ipv4 ? 32 : 128, bits))
        return true;
    if (inet_pton(ipv4 ? AF_INET : AF_INET6, text, mask) != 1)
        return false;
    return mask_bits(mask, ipv4 ? 4 : 16, bits);
}

enum err subnet_parse(struct subnet *out, const char *text, struct error *e)
{
    char host[HOST_MAX];
    struct netaddr a;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof host)
        return error_set(e, ERR_PARSE, "not a subnet: '%.100s'", text);
    memcpy(host, text, len);
    host[len] = '\0';
    enum err rc = netaddr_parse_ip(&a, host, e);
    if (rc)
        return rc;
    bool ipv4 = netaddr_is_ipv4(&a);
    uint32_t bits = ipv4 ? 32 : 128;
    if (slash && !parse_prefix(slash + 1, ipv4, &bits))
        return error_set(e, ERR_PARSE, "bad prefix length or mask in '%.100s'", text);
    subnet_of(out, &a, ipv4 ? 96 + bits : bits);
    return OK;
}

char *subnet_print(char out[NETADDR_TEXT_MAX], const struct subnet *s)
{
    char ip[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    struct netaddr a;
    netaddr_from_ipv6(&a, s->ip, 0);
    print_ip(ip, sizeof ip, &a);
    unsigned bits = netaddr_is_ipv4(&a) && s->bits >= 96 ? s->bits - 96u : s->bits;
    snprintf(out, NETADDR_TEXT_MAX, "%s/%u", ip, bits);
    return out;
}
