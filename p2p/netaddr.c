/*
 * Address classes are one table of prefixes, looked through in order. Tunnelled IPv6 takes the
 * class of the IPv4 inside it: otherwise 64:ff9b::10.0.0.1 would make us dial a private host (D6).
 */
#include "p2p/netaddr.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/reader.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

/* True when the first bits of a and b agree. */
static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

void netaddr_from_ipv4(struct netaddr *a, const uint8_t ip[4], uint16_t port)
{
    *a = (struct netaddr){ .port = port };
    memcpy(a->ip, mapped_prefix, sizeof mapped_prefix);
    memcpy(a->ip + 12, ip, 4);
}

void netaddr_from_ipv6(struct netaddr *a, const uint8_t ip[16], uint16_t port)
{
    *a = (struct netaddr){ .port = port };
    memcpy(a->ip, ip, 16);
}

bool netaddr_is_ipv4(const struct netaddr *a)
{
    return memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) == 0;
}

struct class_row {
    uint8_t prefix[16];
    uint8_t bits;
    enum netaddr_class class;
};

/* spec p2p 7.5, with multicast, reserved and discard-only ranges added for attacks D6. */
static const struct class_row ipv4_classes[] = {
    { { 0 }, 8, NETADDR_UNSPECIFIED },
    { { 10 }, 8, NETADDR_PRIVATE },
    { { 100, 64 }, 10, NETADDR_PRIVATE },
    { { 127 }, 8, NETADDR_LOOPBACK },
    { { 169, 254 }, 16, NETADDR_LINK_LOCAL },
    { { 172, 16 }, 12, NETADDR_PRIVATE },
    { { 192, 0, 0 }, 24, NETADDR_RESERVED },
    { { 192, 0, 2 }, 24, NETADDR_DOCUMENTATION },
    { { 192, 168 }, 16, NETADDR_PRIVATE },
    { { 198, 18 }, 15, NETADDR_PRIVATE },
    { { 198, 51, 100 }, 24, NETADDR_DOCUMENTATION },
    { { 203, 0, 113 }, 24, NETADDR_DOCUMENTATION },
    { { 224 }, 4, NETADDR_MULTICAST },
    { { 240 }, 4, NETADDR_RESERVED },
};

static const struct class_row ipv6_classes[] = {
    { { 0 }, 128, NETADDR_UNSPECIFIED },
    { { [15] = 1 }, 128, NETADDR_LOOPBACK },
    { { 0 }, 96, NETADDR_RESERVED }, /* IPv4-compatible form, given up by RFC 4291 */
    { { 0x01, 0x00 }, 64, NETADDR_RESERVED },
    { { 0x20, 0x01, 0x00, 0x10 }, 28, NETADDR_RESERVED },
    { { 0x20, 0x01, 0x00, 0x20 }, 28, NETADDR_RESERVED },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, NETADDR_DOCUMENTATION },
    { { 0xfc }, 7, NETADDR_PRIVATE },
    { { 0xfe, 0x80 }, 10, NETADDR_LINK_LOCAL },
    { { 0xfe, 0xc0 }, 10, NETADDR_PRIVATE },
    { { 0xff }, 8, NETADDR_MULTICAST },
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static enum netaddr_class class_lookup(const struct class_row *rows, size_t n, const uint8_t *ip)
{
    for (size_t i = 0; i < n; i++)
        if (bits_equal(ip, rows[i].prefix, rows[i].bits))
            return rows[i].class;
    return NETADDR_GLOBAL;
}

bool netaddr_tunnel_ipv4(const struct netaddr *a, uint8_t out[4])
{
    static const uint8_t six_to_four[] = { 0x20, 0x02 }; /* RFC 3056 */
    static const uint8_t teredo[] = { 0x20, 0x01, 0x00, 0x00 }; /* RFC 4380: inverted bytes */
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b }; /* RFC 6052 */
    static const uint8_t siit[12] = { [8] = 0xff, [9] = 0xff }; /* RFC 6145 */
    const uint8_t *at;
    uint8_t flip = 0;
    if (memcmp(a->ip, six_to_four, sizeof six_to_four) == 0) {
        at = a->ip + 2;
    } else if (memcmp(a->ip, teredo, sizeof teredo) == 0) {
        at = a->ip + 12;
        flip = 0xff;
    } else if (memcmp(a->ip, nat64, sizeof nat64) == 0 || memcmp(a->ip, siit, sizeof siit) == 0) {
        at = a->ip + 12;
    } else {
        return false;
    }
    for (int i = 0; out && i < 4; i++)
        out[i] = at[i] ^ flip;
    return true;
}

enum netaddr_class netaddr_class(const struct netaddr *a)
{
    uint8_t ipv4[4];
    if (netaddr_is_ipv4(a))
        return class_lookup(ipv4_classes, ROWS(ipv4_classes), a->ip + 12);
    if (netaddr_tunnel_ipv4(a, ipv4))
        return class_lookup(ipv4_classes, ROWS(ipv4_classes), ipv4);
    return class_lookup(ipv6_classes, ROWS(ipv6_classes), a->ip);
}

enum network netaddr_network(const struct netaddr *a)
{
    if (!netaddr_is_routable(a))
        return NETWORK_NONE;
    return netaddr_is_ipv4(a) ? NETWORK_IPV4 : NETWORK_IPV6;
}

bool netaddr_is_local(const struct netaddr *a)
{
    static const uint8_t loopback[16] = { [15] = 1 };
    if (netaddr_is_ipv4(a))
        return a->ip[12] == 127 || a->ip[12] == 0;
    return memcmp(a->ip, loopback, 16) == 0;
}

bool netaddr_is_dialable(const struct netaddr *a)
{
    static const uint8_t zero[4], ones[4] = { 255, 255, 255, 255 };
    enum netaddr_class class = netaddr_class(a);
    if (a->port == 0 || class == NETADDR_MULTICAST)
        return false;
    if (netaddr_is_ipv4(a))
        return memcmp(a->ip + 12, zero, 4) != 0 && memcmp(a->ip + 12, ones, 4) != 0;
    return class != NETADDR_DOCUMENTATION && class != NETADDR_UNSPECIFIED;
}

bool netaddr_same_ip(const struct netaddr *a, const struct netaddr *b)
{
    return memcmp(a->ip, b->ip, 16) == 0;
}

bool netaddr_equal(const struct netaddr *a, const struct netaddr *b)
{
    return a->port == b->port && netaddr_same_ip(a, b);
}

void netaddr_read(struct reader *r, struct netaddr *a)
{
    read_copy(r, a->ip, 16);
    a->port = read_be16(r);
    a->scope_id = 0;
}

void netaddr_write(struct buf *b, const struct netaddr *a)
{
    buf_put(b, a->ip, 16);
    buf_put_be16(b, a->port);
}

void peer_addr_read(struct reader *r, struct peer_addr *pa, enum peer_addr_form form)
{
    pa->time = form == PEER_ADDR_30 ? read_le32(r) : 0;
    pa->services = read_le64(r);
    netaddr_read(r, &pa->addr);
}

void peer_addr_write(struct buf *b, const struct peer_addr *pa, enum peer_addr_form form)
{
    if (form == PEER_ADDR_30)
        buf_put_le32(b, (uint32_t)pa->time);
    buf_put_le64(b, pa->services);
    netaddr_write(b, &pa->addr);
}

bool netaddr_from_sockaddr(struct netaddr *a, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        netaddr_from_ipv4(a, (const uint8_t *)&in.sin_addr, ntohs(in.sin_port));
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        netaddr_from_ipv6(a, in6.sin6_addr.s6_addr, ntohs(in6.sin6_port));
        a->scope_id = in6.sin6_scope_id;
        return true;
    }
    return false;
}

unsigned netaddr_to_sockaddr(const struct netaddr *a, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (netaddr_is_ipv4(a)) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };
        memcpy(&in.sin_addr, a->ip + 12, 4);
        memcpy(ss, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope_id,
    };
    memcpy(&in6.sin6_addr, a->ip, 16);
    memcpy(ss, &in6, sizeof in6);
    return sizeof in6;
}

void subnet_of(struct subnet *out, const struct netaddr *a, unsigned bits)
{
    *out = (struct subnet){ .bits = (uint8_t)(bits > 128 ? 128 : bits) };
    unsigned whole = out->bits / 8, rest = out->bits % 8;
    memcpy(out->ip, a->ip, whole);
    if (rest)
        out->ip[whole] = (uint8_t)(a->ip[whole] & (0xff00 >> rest));
}

bool subnet_contains(const struct subnet *s, const struct netaddr *a)
{
    return bits_equal(s->ip, a->ip, s->bits);
}

bool subnet_equal(const struct subnet *a, const struct subnet *b)
{
    return a->bits == b->bits && memcmp(a->ip, b->ip, 16) == 0;
}
